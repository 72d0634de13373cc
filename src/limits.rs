//! Every number that something outside may reach, in one table, each with its reason.
//!
//! A value exactly at its limit is accepted; one past it is refused by name, never cut off in silence.

/// Bytes of `SHA256SUMS`: a hundred thousand lines of 300 bytes fit; read before anything is trusted.
pub const SUMS_BYTES: u64 = 32 << 20;
/// Bytes of `bundle.json`: 200,000 blobs at 250 bytes each fit, and it is held in memory once.
pub const INDEX_BYTES: u64 = 64 << 20;
/// Blobs in one bundle: twice the largest release planned for (100,000).
pub const INDEX_BLOBS: usize = 200_000;
/// Volumes in one bundle: 16 TiB at the default volume size.
pub const INDEX_VOLUMES: usize = 4096;
/// Images, charts, models, files or tools in one bundle, each.
pub const INDEX_ENTRIES: usize = 20_000;
/// Bytes of payload: 64 TiB, far below where `u64` arithmetic on offsets could wrap.
pub const PAYLOAD_BYTES: u64 = 64 << 40;
/// Bytes that a reader of the payload keeps of what signatures of images sign: thirty thousand, as cosign makes them.
pub const SIGNED_TEXTS_BYTES: u64 = 8 << 20;
/// Bytes of the payload before its blobs: what tells stock tools the names of things.
pub const PRELUDE_BYTES: u64 = 32 << 20;
/// Nesting of any JSON that is read: manifests need 6, the index 5.
pub const JSON_DEPTH: usize = 32;
/// Bytes of one manifest: the 4 MiB that registries enforce (distribution-spec, §Pushing Manifests).
pub const MANIFEST_BYTES: u64 = 4 << 20;
/// Bytes of one image configuration; real ones stay below 100 KiB.
pub const CONFIG_BYTES: u64 = 8 << 20;
/// Bytes of image configurations that a build keeps from planning until their turn: some hundred real ones. Others are read again.
pub const CONFIGS_KEPT: u64 = 2 << 20;
/// Descriptors in one manifest; 4 MiB of the smallest ones.
pub const MANIFEST_DESCRIPTORS: usize = 32_768;
/// Depth of an index of indexes: real ones are one deep.
pub const GRAPH_DEPTH: usize = 4;
/// Bytes of `release.yaml`, `trust.json` and other files that people write.
pub const HAND_WRITTEN_BYTES: u64 = 4 << 20;
/// Bytes of `release.lock`.
pub const LOCK_BYTES: u64 = 128 << 20;
/// Bytes of a key, signature, grant or licence file.
pub const KEY_BYTES: u64 = 64 << 10;
/// Signatures looked at in one bundle; more is an attempt to make the verifier work.
pub const SIGNATURES: usize = 64;
/// Identities in one identity file; each is tried on each stanza of a grant.
pub const IDENTITIES: usize = 64;
/// log₂ of scrypt's N when a passphrase opens something: 20 is 1 GiB and some seconds, stock `age` writes 18.
pub const PASSPHRASE_WORK: u8 = 20;
/// Blocks of scrypt work (2^N for a grant of work N) spent on trying grants by passphrase: sixteen as `age` makes them.
pub const PASSPHRASE_TRIES: u64 = 16 << 18;
/// Grants looked at when an identity is tried: customers of one vendor.
pub const GRANTS: usize = 10_000;
/// Bytes of a damage report: a line for each chunk of a TiB, and it is held in memory.
pub const REPORT_BYTES: u64 = 16 << 20;
/// Bytes of a path inside a bundle.
pub const PATH_BYTES: usize = 512;
/// Bytes of one path component: the limit of ext4, XFS, NTFS and exFAT.
pub const NAME_BYTES: usize = 255;
/// Files in a delivered folder that are looked at when searching for ones that do not belong.
pub const FOLDER_FILES: usize = 200_000;
/// Bytes of the largest file that FAT32 holds: what is declared to lie beside the volumes must travel on any stick.
pub const FAT_FILE_BYTES: u64 = (4 << 30) - 1;
/// Bytes of one file beside the volumes: programs and documents. A sparse one of many TiB would keep a check busy for days.
pub const PLAIN_FILE_BYTES: u64 = 64 << 30;
/// Entries of a docker-archive tar: 127 layers an image, many images.
pub const ARCHIVE_ENTRIES: usize = 100_000;
/// Bytes of a registry's error body that are kept for the message.
pub const ERROR_BODY_BYTES: usize = 8 << 10;
/// Bytes of a token reply: tokens of 16 KiB have been seen.
pub const TOKEN_BYTES: usize = 256 << 10;
/// Pages followed in a listing (tags, referrers); 1,000 pages of 100 entries.
pub const LIST_PAGES: usize = 1000;
/// What refers to one manifest, and to one image with all of its manifests: signatures of some dozen people, SBOMs and reports of each build.
pub const REFERRERS: usize = 1000;
/// Depth of referrers of referrers: a signature of an SBOM is one deep.
pub const REFERRER_DEPTH: usize = 4;
/// Bytes of one page of a listing: registries that do not page answer with 100,000 tags of 160 bytes.
pub const LIST_BYTES: u64 = 16 << 20;
/// Redirects followed for one request; registries send one, to their blob storage.
pub const REDIRECTS: usize = 5;

/// Bytes of one chunk of a volume, the unit in which damage is named and mended.
pub const CHUNK_BYTES: u64 = 16 << 20;
/// Default size a volume file stays below: 4 GiB, what FAT32 can hold less one byte.
pub const VOLUME_SIZE: u64 = 4 << 30;
/// The smallest volume: 64 KiB of plaintext is age's own unit.
pub const VOLUME_MIN: u64 = 64 << 10;
/// The smallest `volume-size` a release may ask for: two of age's units, so that a header fits beside one.
pub const VOLUME_SIZE_MIN: u64 = 128 << 10;

/// YAML nodes in one document: seven for each of the blobs a lock may hold, and as many again for manifests.
pub const YAML_NODES: usize = 4_000_000;
/// Nesting of YAML that others wrote: schemas in custom resource definitions are 60 deep.
pub const YAML_DEPTH: usize = 200;
/// Anchors and aliases in YAML that people write: a few repeated lists.
pub const YAML_ALIASES: usize = 1000;
/// Events that aliases may replay in one YAML document, so that a few bytes cannot stand for gigabytes.
pub const YAML_REPLAYED: usize = 100_000;
/// Bytes read from a file at a time: large enough that calls do not count, small enough for many at once.
pub const PIECE_BYTES: u64 = 256 << 10;
/// Bytes of a tar's extended header: names of 64 KiB are beyond every filesystem.
pub const TAR_HEADER_BYTES: u64 = 64 << 10;
/// Links followed from one entry of a docker archive; old `docker save` needs one.
pub const ARCHIVE_LINKS: usize = 8;
/// Images locked, or asked for their configuration, at the same time.
pub const LOCK_PARALLEL: usize = 8;
/// Bytes of a chart's archive. Helm keeps a chart in a Kubernetes secret of 1 MiB; those with many subcharts reach 5 MiB.
pub const CHART_BYTES: u64 = 32 << 20;
/// Bytes of one file of a chart: what Helm reads.
pub const CHART_FILE_BYTES: u64 = 5 << 20;
/// Bytes that a chart's archive unpacks to, those of subcharts in it among them: what Helm reads.
pub const CHART_UNPACKED_BYTES: u64 = 100 << 20;
/// How many times its own size an archive may unpack to, beyond [`CHART_RATIO_FROM`]: charts of repetitive manifests reach 30.
pub const CHART_RATIO: u64 = 200;
/// Bytes an archive may unpack to whatever its own size.
pub const CHART_RATIO_FROM: u64 = 16 << 20;
/// Entries of a chart's archive, those of subcharts in it among them.
pub const CHART_ENTRIES: usize = 20_000;
/// Charts within charts: real ones are three deep.
pub const CHART_DEPTH: usize = 8;
/// Bytes of a repository's `index.yaml`: the largest public one has 25 MB.
pub const REPOSITORY_BYTES: u64 = 64 << 20;

/// Bytes of a `safetensors` header. The format allows 100 MB; the largest real ones, of mixtures of experts with 90,000 tensors, have 12 MB,
/// and one is held in memory.
pub const SAFETENSORS_HEADER_BYTES: u64 = 24 << 20;
/// Tensors in one `safetensors` file; real ones have 90,000 at most.
pub const SAFETENSORS_TENSORS: usize = 300_000;
/// Bytes of one list of shards (`model.safetensors.index.json`); 90,000 tensors take 9 MB.
pub const SHARD_LIST_BYTES: u64 = 32 << 20;
/// Files in one model: each is a layer, and overlayfs stacks as many layers as their names fit one page of mount options: about 400.
pub const MODEL_FILES: usize = 384;
/// Files looked at in a model's folder or in a hub's listing before the patterns choose.
pub const MODEL_LISTED: usize = 100_000;
/// Folders in folders in a model.
pub const MODEL_DEPTH: usize = 32;
/// Bytes of a model's notice, which people read.
pub const NOTICE_BYTES: u64 = 4 << 20;
/// Default for `max-layer`: what the strictest public registry takes (GHCR: 10 GB a layer); transformers writes shards of 5 GB.
pub const MAX_LAYER: u64 = 10_000_000_000;
/// Questions of one release: nobody answers a thousand.
pub const QUESTIONS: usize = 1000;
/// Seconds that a backup script may say nothing: a dump of a large database says nothing until it is done.
pub const BACKUP_SILENCE_SECONDS: u64 = 24 * 60 * 60;
/// Ways through the questions that a values template is rendered for when it is locked; real ones have some dozens.
pub const ANSWER_WAYS: usize = 1000;
/// Texts in texts that are read when images are looked for: a manifest in JSON in a ConfigMap in a template is three deep.
pub const NESTED_TEXTS: usize = 4;
/// Bytes of a mapping: twenty thousand images at 500 bytes each.
pub const MAPPING_BYTES: u64 = 16 << 20;
/// Bytes of rendered manifests: five times the largest chart met; Kubernetes keeps no Helm release above 1 MiB but for CRDs.
pub const RENDERED_BYTES: u64 = 64 << 20;
/// Bytes of what another program says on stderr that are kept for the message: its end, where the reason is.
pub const TOOL_WORDS: usize = 16 << 10;
/// Seconds another program may say nothing: charts render in one, the largest in ten.
pub const TOOL_SILENCE_SECONDS: u64 = 300;
/// Seconds a credential helper may take: it asks a key ring, or a person who unlocks one.
pub const CREDENTIAL_HELPER_SECONDS: u64 = 60;
/// Steps that a template may take; 64 bytes written are one, so this is 256 MB at most. The guides take a few for each image.
pub const TEMPLATE_STEPS: u64 = 4_000_000;
/// Seconds a cluster may take for one answer: the API server's own limit is 60.
pub const CLUSTER_ANSWER_SECONDS: u64 = 60;
/// Seconds that Helm may say nothing while it changes a cluster: it waits for hooks; whoever watches ends it when nothing moves.
pub const HELM_HOOK_SECONDS: u64 = 7 * 86_400;
/// Revisions of an installed release that are remembered, ours and Helm's.
pub const REVISIONS: usize = 10;
/// [`REVISIONS`] as Helm takes it; twice as many, for a roll-back makes a revision too.
pub const REVISIONS_TEXT: &str = "20";
/// Seconds in which a program that was asked to end must have ended.
pub const ENDING_SECONDS: u64 = 60;
/// Bodies that a server reads at the same time, each with about a MiB (a few have more); more pulls wait their turn.
pub const SERVE_READERS: usize = 96;
/// Threads that a server's connections live on: one for each body, where there are no more connections than that.
pub const SERVE_THREADS: usize = SERVE_READERS;
/// Connections to a server at the same time; more wait in the system's queue. Clusters of a thousand nodes open a few each.
pub const SERVE_CONNECTIONS: usize = 4096;
/// log₂ of bcrypt's rounds in a file of passwords: 17 is some ten seconds; `htpasswd -B` writes 5.
pub const BCRYPT_COST: u32 = 17;
/// Lines of each container's log that a diagnosis takes: what led to the fault is in the last.
pub const DIAGNOSE_LOG_LINES: u32 = 1000;
/// Bytes of each container's log that a diagnosis takes: 1000 lines of 4 KiB.
pub const DIAGNOSE_LOG_BYTES: u32 = 4 << 20;
/// Pods whose logs a diagnosis takes: with more, the change window ends before the file does.
pub const DIAGNOSE_PODS: usize = 500;
