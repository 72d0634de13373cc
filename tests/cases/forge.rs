//! Bundles made by hand, byte by byte, and properly signed and sealed: what a mistaken or malicious vendor, or a carrier with time, can
//! make. A plain [`Forgery`] is a good bundle; a case changes one thing.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use age::secrecy::ExposeSecret as _;
use bundle::bundle::grant::{self, Identities, Identity, OpenWith, Recipient, SealTo};
use bundle::bundle::index::{
    Index, IndexBlob, IndexChart, IndexImage, IndexModel, IndexReferrer, Kind, Parity, Payload, Release,
    Scheme, Volume, parity_name, volume_name,
};
use bundle::bundle::parity::{Columns, Shape};
use bundle::bundle::seal::{PLAIN, ReleaseKey, VolumeKey};
use bundle::bundle::sums::Sums;
use bundle::bundle::tar;
use bundle::digest::Digest;
use bundle::limits::CHUNK_BYTES;
use bundle::oci::media;
use bundle::ops::{load, verify};
use bundle::plan::mapping::Mapping;
use bundle::plan::payload::blob_name;
use bundle::plan::prelude;
use bundle::progress::Silent;
use bundle::registry::Client;
use bundle::release::lock::Seal;
use signing::{Policy, SecretKey, raw, sshsig};
use xtask::registry::{Config, Server};

use super::world;

/// One blob of a payload: what the index says of it, and what is there.
#[derive(Clone)]
pub(crate) struct Piece {
    pub(crate) digest: Digest,
    pub(crate) bytes: Vec<u8>,
    pub(crate) media_type: String,
    /// The tar header, where it is not the right one.
    pub(crate) header: Option<Vec<u8>>,
}

/// What a bundle is forged from.
#[derive(Clone)]
pub(crate) struct Forgery {
    pub(crate) version: &'static str,
    pub(crate) pieces: Vec<Piece>,
    pub(crate) images: Vec<(String, Digest)>,
    pub(crate) charts: Vec<IndexChart>,
    pub(crate) models: Vec<IndexModel>,
    pub(crate) referrers: Vec<IndexReferrer>,
    /// The key that image `two` is said to be signed with.
    pub(crate) cosign_key: Option<String>,
    pub(crate) volume_bytes: u64,
    /// A share of parity, in percent.
    pub(crate) parity: Option<u64>,
    /// A volume that is sealed under a key that nobody was granted.
    pub(crate) foreign: Option<usize>,
    /// A change to the files that name things for stock tools.
    pub(crate) names: fn(&str, Vec<u8>) -> Vec<u8>,
    /// The last change to the text of the index.
    pub(crate) edit: fn(String) -> String,
}

/// Bytes that no two seeds share.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A descriptor as it stands in a manifest.
pub(crate) fn pointer(media_type: &str, bytes: &[u8]) -> serde_json::Value {
    serde_json::json!({"mediaType": media_type, "digest": Digest::of(bytes).to_string(), "size": bytes.len()})
}

impl Forgery {
    /// No image yet.
    pub(crate) fn empty(volume_bytes: u64) -> Self {
        Self {
            version: "1.2.0",
            pieces: vec![],
            images: vec![],
            charts: vec![],
            models: vec![],
            referrers: vec![],
            cosign_key: None,
            volume_bytes,
            parity: None,
            foreign: None,
            names: |_, text| text,
            edit: |text| text,
        }
    }

    /// Two images, `one` and `two`, with a layer of these sizes each; everything small lies before the layers.
    pub(crate) fn plain(volume_bytes: u64, layers: [usize; 2]) -> Self {
        let mut forgery = Self::empty(volume_bytes);
        let mut last = Vec::new();
        for (name, seed) in [("one", 0usize), ("two", 1)] {
            let config =
                format!("{{\"architecture\":\"amd64\",\"os\":\"linux\",\"name\":\"{name}\"}}").into_bytes();
            let layer = noise(seed as u64 + 1, layers[seed]);
            let manifest = serde_json::json!({
                "schemaVersion": 2, "mediaType": media::OCI_MANIFEST,
                "config": pointer("application/vnd.oci.image.config.v1+json", &config),
                "layers": [pointer("application/vnd.oci.image.layer.v1.tar", &layer)],
            });
            let root = forgery.add(media::OCI_MANIFEST, manifest.to_string().into_bytes());
            forgery.add("application/vnd.oci.image.config.v1+json", config);
            last.push(layer);
            forgery.images.push((name.to_owned(), root));
        }
        for layer in last {
            forgery.add("application/vnd.oci.image.layer.v1.tar", layer);
        }
        forgery
    }

    /// One more image of one small layer, unlike that of any other seed.
    pub(crate) fn small_image(&mut self, name: &str, seed: u64) {
        let config = format!("{{\"name\":\"{name}\"}}").into_bytes();
        let layer = noise(seed + 1, 1000);
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": media::OCI_MANIFEST,
            "config": pointer(media::OCI_CONFIG, &config),
            "layers": [pointer(media::OCI_LAYER, &layer)],
        });
        self.add(media::OCI_CONFIG, config);
        self.add(media::OCI_LAYER, layer);
        self.image(name, media::OCI_MANIFEST, manifest.to_string().into_bytes());
    }

    /// Two volumes, the first of two chunks, the second with nothing of image `one`.
    pub(crate) fn two_volumes() -> Self {
        Self::plain(17 << 20, [33 << 19, 5 << 20])
    }

    /// Some small volumes.
    pub(crate) fn small() -> Self {
        Self::plain(128 << 10, [200 << 10, 90_000])
    }

    /// One more blob; gives its digest.
    pub(crate) fn add(&mut self, media_type: &str, bytes: Vec<u8>) -> Digest {
        let digest = Digest::of(&bytes);
        self.pieces.push(Piece { digest, bytes, media_type: media_type.to_owned(), header: None });
        digest
    }

    /// An image with this manifest, whatever it is.
    pub(crate) fn image(&mut self, name: &str, media_type: &str, manifest: Vec<u8>) {
        let root = self.add(media_type, manifest);
        self.images.push((name.to_owned(), root));
    }

    /// What names things for stock tools, as `index` implies it or as the case has it.
    fn prelude(&self, index: &Index) -> Vec<u8> {
        let listing = prelude::layout_index(&prelude::of_index(index).unwrap());
        let files = [
            (prelude::LAYOUT.0, prelude::LAYOUT.1.to_vec()),
            (prelude::INDEX, listing),
            (prelude::DOCKER, b"[]".to_vec()),
        ];
        let mut bytes = Vec::new();
        for (name, text) in files {
            let text = (self.names)(name, text);
            bytes.extend(tar::header(name, text.len() as u64));
            bytes.extend(text);
            bytes.resize(bytes.len().next_multiple_of(512), 0);
        }
        bytes
    }

    /// The blobs as the index lists them, where they lie after `prelude`.
    fn blobs(&self, prelude: usize) -> Vec<IndexBlob> {
        let mut at = prelude as u64;
        let place = |piece: &Piece| {
            let size = piece.bytes.len() as u64;
            let header = piece.header.as_ref().map_or(tar::header_length(size), |h| h.len() as u64);
            let offset = at + header;
            at = offset + size + tar::padding(size);
            IndexBlob { digest: piece.digest, media_type: piece.media_type.clone(), offset, size }
        };
        self.pieces.iter().map(place).collect()
    }

    fn payload(&self, mut payload: Vec<u8>) -> Vec<u8> {
        for piece in &self.pieces {
            let header = tar::header(&blob_name(&piece.digest), piece.bytes.len() as u64);
            payload.extend(piece.header.clone().unwrap_or(header));
            payload.extend(&piece.bytes);
            payload.resize(payload.len().next_multiple_of(512), 0);
        }
        payload.resize(payload.len() + 1024, 0);
        payload
    }

    fn release(&self) -> Release {
        Release { name: "demo".into(), vendor: "Demo".into(), version: self.version.parse().unwrap() }
    }

    /// The index, but for what lies where.
    fn index(&self) -> Index {
        Index {
            base: None,
            blobs: self.blobs(0),
            charts: self.charts.clone(),
            files: vec![],
            format: 1,
            images: self
                .images
                .iter()
                .map(|(name, digest)| IndexImage {
                    cosign_key: self.cosign_key.clone().filter(|_| name == "two"),
                    digest: *digest,
                    original_digest: None,
                    platforms: vec!["linux/amd64".parse().unwrap()],
                    reference: format!("docker.io/demo/{name}:v1").parse().unwrap(),
                })
                .collect(),
            install: None,
            kind: Kind::Full,
            license: None,
            lock: Digest::of(b""),
            models: self.models.clone(),
            parity: None,
            payload: Payload {
                bytes: 0,
                chunk_bytes: CHUNK_BYTES,
                seal: Seal::Age,
                volume_bytes: self.volume_bytes,
            },
            reader: "0.1.0".parse().unwrap(),
            referrers: self.referrers.clone(),
            release: self.release(),
            relied_on: vec![],
            sboms: vec![],
            tools: vec![],
            upgrade: None,
            volumes: vec![],
        }
    }

    /// Writes parity volumes for these volumes.
    fn write_parity(&self, share: u64, volumes: &[Vec<u8>], folder: &Path) -> Parity {
        let chunks: Vec<&[u8]> =
            volumes.iter().flat_map(|bytes| bytes.chunks(usize::try_from(CHUNK_BYTES).unwrap())).collect();
        let shape = Shape::new(share, chunks.iter().map(|chunk| chunk.len() as u64)).unwrap();
        assert_eq!(shape.groups(), 1);
        let group = shape.group(0);
        let mut columns = Columns::new(&group, shape.length());
        let mut read = |place: u64, room: &mut [u8]| {
            let chunk = chunks[usize::try_from(place).unwrap()];
            room[..chunk.len()].copy_from_slice(chunk);
            room[chunk.len()..].fill(0);
            Ok::<(), std::convert::Infallible>(())
        };
        columns.compute(&group, shape.length(), &mut read).unwrap();
        fs::create_dir_all(folder.join("parity")).unwrap();
        let (mut row, mut made) = (0, vec![]);
        let lengths = Index::parity_lengths(&shape, volumes[0].len() as u64);
        for (number, length) in lengths.into_iter().enumerate() {
            let mut bytes = Vec::new();
            let mut hashes = Vec::new();
            while (bytes.len() as u64) < length {
                let chunk = columns.row(row, shape.length());
                hashes.push(Digest::of(chunk));
                bytes.extend_from_slice(chunk);
                row += 1;
            }
            let name = parity_name(&self.release(), number);
            fs::write(folder.join(&name), &bytes).unwrap();
            let (name, sha256) = (name.parse().unwrap(), Digest::of(&bytes));
            made.push(Volume { bytes: length, chunks: hashes, name, sha256 });
        }
        Parity { chunk_bytes: shape.length(), scheme: Scheme::Rs16, share, volumes: made }
    }

    /// Writes the bundle, signed by `keys` and granted to everyone in `yard`.
    pub(crate) fn write(&self, yard: &Yard, name: &str, keys: &[&SecretKey]) -> PathBuf {
        let folder = yard.path(name);
        fs::create_dir_all(folder.join("volumes")).unwrap();
        fs::create_dir_all(folder.join("grants")).unwrap();
        let identity = Identity::generate();
        let key = ReleaseKey::from_text(identity.to_text().expose_secret()).unwrap();
        let mut index = self.index();
        let prelude = self.prelude(&index);
        index.blobs = self.blobs(prelude.len());
        let payload = self.payload(prelude);
        index.payload.bytes = payload.len() as u64;
        let mut files = Vec::new();
        let mut volumes = Vec::new();
        let mut sealed = Vec::new();
        for (number, slice) in payload.chunks(usize::try_from(self.volume_bytes).unwrap()).enumerate() {
            let foreign = ReleaseKey::generate().unwrap();
            let key = if self.foreign == Some(number) { &foreign } else { &key };
            let bytes = seal(key, slice);
            let name = volume_name(&self.release(), Seal::Age, number).parse().unwrap();
            fs::write(folder.join(volume_name(&self.release(), Seal::Age, number)), &bytes).unwrap();
            let chunks = bytes.chunks(usize::try_from(CHUNK_BYTES).unwrap()).map(Digest::of).collect();
            let volume = Volume { bytes: bytes.len() as u64, chunks, name, sha256: Digest::of(&bytes) };
            files.push((volume.name.clone(), volume.sha256));
            volumes.push(volume);
            sealed.push(bytes);
        }
        index.volumes = volumes;
        index.parity = self.parity.map(|share| self.write_parity(share, &sealed, &folder));
        let parity = index.parity.iter().flat_map(|one| &one.volumes);
        files.extend(parity.map(|one| (one.name.clone(), one.sha256)));
        let text = (self.edit)(String::from_utf8(index.to_text().unwrap()).unwrap());
        for (name, bytes) in [("bundle.json", text.as_bytes()), ("README.md", b"# read me\n")] {
            fs::write(folder.join(name), bytes).unwrap();
            files.push((name.parse().unwrap(), Digest::of(bytes)));
        }
        for (name, recipient) in &yard.grantees {
            let sealed = grant::seal(&identity, SealTo::Recipients(std::slice::from_ref(recipient))).unwrap();
            fs::write(folder.join(format!("grants/{name}.age")), sealed).unwrap();
        }
        publish(&folder, Sums::new(files).unwrap().render().as_bytes(), keys);
        folder
    }
}

fn seal(key: &ReleaseKey, slice: &[u8]) -> Vec<u8> {
    let (header, key) = VolumeKey::generate(key).unwrap();
    let mut sealed = header.to_vec();
    let units = slice.chunks(PLAIN);
    let last = units.len() - 1;
    for (number, unit) in units.enumerate() {
        let start = sealed.len();
        sealed.extend_from_slice(unit);
        sealed.extend_from_slice(&[0; bundle::bundle::seal::TAG]);
        key.seal(number as u64, number == last, &mut sealed[start..]).unwrap();
    }
    sealed
}

/// Writes `sums` and its signatures.
pub(crate) fn publish(folder: &Path, sums: &[u8], keys: &[&SecretKey]) {
    fs::write(folder.join("SHA256SUMS"), sums).unwrap();
    for key in keys {
        let id = key.public().id();
        fs::write(folder.join(format!("SHA256SUMS.{id}.sig")), raw::sign(key, sums)).unwrap();
        fs::write(folder.join(format!("SHA256SUMS.{id}.sshsig")), sshsig::sign(key, sums)).unwrap();
    }
}

/// Keys, a customer, and a place for bundles.
pub(crate) struct Yard {
    folder: tempfile::TempDir,
    pub(crate) key: SecretKey,
    pub(crate) acme: Identities,
    pub(crate) escrow: Identities,
    pub(crate) grantees: Vec<(&'static str, Recipient)>,
    pub(crate) client: Arc<Client>,
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) ok: bool,
    pub(crate) text: String,
}

/// How a bundle is judged.
pub(crate) struct Judge<'a> {
    pub(crate) policy: Policy,
    pub(crate) with: Option<OpenWith<'a>>,
    pub(crate) now: Option<i64>,
    pub(crate) allow_downgrade: bool,
}

impl Yard {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = world::signing_key(folder.path(), "vendor");
        let (acme, to_acme) = world::recipient(folder.path(), "acme");
        let (escrow, to_escrow) = world::recipient(folder.path(), "escrow");
        let grantees = vec![("acme", to_acme), ("escrow", to_escrow)];
        Self { folder, key, acme, escrow, grantees, client: world::client() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// By the vendor's one key, and with the customer's identity.
    pub(crate) fn judge(&self) -> Judge<'_> {
        Judge {
            policy: world::policy(std::slice::from_ref(&self.key), 1),
            with: Some(OpenWith::Identities(&self.acme)),
            now: Some(1_790_000_000),
            allow_downgrade: false,
        }
    }

    pub(crate) fn verify(&self, folder: &Path, judge: &Judge<'_>) -> Seen {
        self.verify_many(&[folder.to_owned()], judge)
    }

    pub(crate) fn verify_many(&self, folders: &[PathBuf], judge: &Judge<'_>) -> Seen {
        let request = verify::Request {
            folders,
            policy: &judge.policy,
            with: judge.with,
            now: judge.now,
            state: Some(&self.path("state")),
            allow_downgrade: judge.allow_downgrade,
        };
        match verify::verify(&request, &Silent) {
            Ok(report) => {
                let lines = report.findings.iter().map(|finding| finding.what.to_string());
                Seen { ok: report.ok, text: lines.collect::<Vec<_>>().join("\n") }
            }
            Err(error) => Seen { ok: false, text: error.to_string() },
        }
    }

    /// Without a key to the content.
    pub(crate) fn verify_keyless(&self, folder: &Path) -> Seen {
        self.verify(folder, &Judge { with: None, ..self.judge() })
    }

    /// Loads into a registry of its own.
    pub(crate) fn load(&self, folder: &Path, judge: &Judge<'_>) -> (Seen, Server) {
        let registry = Server::start(Config::default()).unwrap();
        let mapping = Mapping::new(&format!("{}/mirror", registry.host()), &[], false).unwrap();
        let request = load::Request {
            folders: &[folder.to_owned()],
            policy: &judge.policy,
            bases: &[],
            with: judge.with,
            mapping: &mapping,
            parallel: 2,
            now: judge.now,
            state: Some(&self.path("state")),
            allow_downgrade: judge.allow_downgrade,
            recheck: false,
            mode: load::Mode::Write,
        };
        let seen = match load::load(&request, &self.client, &Silent) {
            Ok(report) => {
                let findings = report.findings.iter().map(|finding| finding.what.to_string());
                let faults = report.images.iter().filter_map(|image| image.why.clone());
                Seen { ok: report.ok, text: findings.chain(faults).collect::<Vec<_>>().join("\n") }
            }
            Err(error) => Seen { ok: false, text: error.to_string() },
        };
        (seen, registry)
    }
}

/// The names (`mirror/demo/one:v1`) that a registry holds, with the digest of each.
pub(crate) fn tags(registry: &Server) -> BTreeMap<String, String> {
    let mut tags = BTreeMap::new();
    for repository in registry.repositories() {
        for (tag, digest) in registry.tags(&repository) {
            tags.insert(format!("{repository}:{tag}"), digest);
        }
    }
    tags
}

/// Everything that can be said of a folder without opening what must not be opened.
pub(crate) fn state(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut state = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(current) = folders.pop() {
        for entry in fs::read_dir(&current).unwrap() {
            let path = entry.unwrap().path();
            let facts = path.symlink_metadata().unwrap();
            let times = (facts.mtime(), facts.mtime_nsec(), facts.ctime(), facts.ctime_nsec());
            let mut line = format!("{:?} {:o} {} {times:?}", facts.file_type(), facts.mode(), facts.len());
            if facts.is_file() {
                line += &Digest::of(&fs::read(&path).unwrap()).to_string();
            } else if facts.is_dir() {
                folders.push(path.clone());
            }
            state.insert(path, line);
        }
    }
    state
}

/// A copy of the bundle in `from`, for one case.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}
