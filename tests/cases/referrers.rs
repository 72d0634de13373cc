//! Signatures and SBOMs travel: all that refers to an image, and to what refers to it, from one registry into another.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use bundle::digest::Digest;
use bundle::oci::{Pointer, Repository};
use bundle::ops::load::State;
use bundle::ops::lock::{Error, Finding, Mode, Outcome, Report, Request, lock};
use bundle::progress::Silent;
use bundle::release::lock::Lock;
use serde_json::json;
use xtask::images::{
    Compression, Document, Family, Graph, Key, Layer, Seed, artifact, cosign_tag, image, signature,
};
use xtask::registry::{Config, Kind, Server};

use super::peers::registry::{Kind as PeerKind, Peer};
use super::world::World;

const EC: [&str; 4] = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
const SPDX: &str = "application/spdx+json";

/// What refers to the first image of a world, in the vendor's registry.
struct Said {
    /// Tag, where there is one, and manifest.
    all: Vec<(Option<String>, Document)>,
}

impl Said {
    /// A signature and an attestation of the root by tag, an SBOM of a child with a signature of that SBOM in both forms.
    fn put(world: &World, server: &Server) -> Self {
        let image = &world.images[0];
        let key = Key::generate(&world.path("cosign"), &EC).unwrap();
        let root = &image.graph.root().digest;
        let child = image.graph.documents.iter().find(|d| d.platform.is_some()).unwrap();
        let sbom = artifact(SPDX, b"{\"spdxVersion\": \"SPDX-2.3\"}", Some(child));
        let about = sbom.root().clone();
        let parts: [(Option<String>, Graph); 5] = [
            (Some(cosign_tag(root, "sig")), signature(root, &image.repository, &key).unwrap()),
            (Some(cosign_tag(root, "att")), artifact("application/vnd.dsse.envelope.v1+json", b"{}", None)),
            (None, sbom),
            (
                Some(cosign_tag(&about.digest, "sig")),
                signature(&about.digest, &image.repository, &key).unwrap(),
            ),
            (None, artifact("application/vnd.dev.sigstore.bundle.v0.3+json", b"{\"a\":1}", Some(&about))),
        ];
        let all = parts
            .into_iter()
            .map(|(tag, graph)| {
                put(server, &image.repository, tag.as_deref(), &graph);
                (tag, graph.root().clone())
            })
            .collect();
        Self { all }
    }

    fn digests(&self) -> BTreeSet<String> {
        self.all.iter().map(|(_, document)| document.digest.clone()).collect()
    }
}

fn put(server: &Server, repository: &str, tag: Option<&str>, graph: &Graph) {
    for (_, bytes) in &graph.blobs {
        server.put_blob(repository, bytes.clone());
    }
    let root = graph.root();
    server.put_manifest(repository, tag, (root.media_type, root.bytes.clone())).unwrap();
}

fn relock(world: &World, mode: Mode) -> Result<Report, Error> {
    world.vendor.reset_stats();
    let request = Request { file: world.path("release.yaml"), mode, helm: None };
    lock(&request, world.registry(), &Silent)
}

fn read_lock(world: &World) -> Lock {
    Lock::parse(&fs::read(world.path("release.lock")).unwrap(), "release.lock").unwrap()
}

/// What a registry lists about `subject`.
fn listed(world: &World, host: &str, subject: &str) -> BTreeSet<String> {
    let repository = Repository::new(host, &format!("mirror/{}", world.images[0].repository)).unwrap();
    let found = world.client.referrers(&repository, &subject.parse().unwrap()).unwrap();
    found.iter().map(|one| one.digest.to_string()).collect()
}

#[test]
fn all_that_refers_to_an_image_travels_and_is_counted() {
    for api in [true, false] {
        let mut world = World::new("");
        world.customer = Server::start(Config { referrers: api, ..Config::default() }).unwrap();
        let said = Said::put(&world, &world.vendor);
        let image = world.images[0].clone();
        let there = format!("mirror/{}", image.repository);
        let about = &said.all[2].1;
        // Another's entry in the list that is kept by a tag stays there.
        let foreign = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
            {"mediaType": image.graph.documents[0].media_type, "digest": image.graph.documents[0].digest, "size": image.graph.documents[0].bytes.len()}
        ]});
        let fallback = about.digest.replace(':', "-");
        if !api {
            image.graph.put(&world.customer, &there, "other").unwrap();
            let list = ("application/vnd.oci.image.index.v1+json", foreign.to_string().into());
            world.customer.put_manifest(&there, Some(&fallback), list).unwrap();
        }
        world.lock();
        let locked = read_lock(&world);
        let found: BTreeSet<String> =
            locked.images[0].referrers.iter().map(|r| r.root().unwrap().digest.to_string()).collect();
        assert_eq!(found, said.digests());
        assert!(locked.images[1..].iter().all(|image| image.referrers.is_empty()));

        let folder = world.build("out");
        assert!(world.verify(&folder, true).ok);
        let inside = bundle::ops::inspect::inspect(std::slice::from_ref(&folder), None).unwrap();
        let sboms: Vec<_> = inside.sboms.iter().map(|sbom| (sbom.kind.as_str(), sbom.size)).collect();
        assert_eq!((sboms, inside.referrers.len()), (vec![("spdx", 27)], 5));
        let report = world.load(&folder);
        assert!(report.ok, "{report:#?}");
        assert_eq!(report.referrers.len(), 5);
        for (tag, document) in &said.all {
            let name = tag.as_deref().unwrap_or(&document.digest);
            assert_eq!(world.customer.manifest(&there, name).unwrap().1, document.bytes, "{name}");
        }
        let lists = listed(&world, &world.customer.host(), &about.digest);
        assert!(lists.contains(&said.all[4].1.digest), "{lists:?}");
        assert_eq!(lists.len(), if api { 1 } else { 2 }, "what others listed stays");

        let again = world.load(&folder);
        let states = again.items().chain(&again.referrers).map(|one| one.state).collect::<BTreeSet<_>>();
        assert_eq!(states, BTreeSet::from([State::Present]));
    }
}

#[test]
fn an_unchanged_image_costs_three_requests_and_a_new_signature_is_seen() {
    let world = World::new("");
    world.lock();
    let report = relock(&world, Mode::Write).unwrap();
    assert_eq!(report.outcome, Outcome::Unchanged);
    let asked = world.vendor.stats().request_lines().len();
    assert!(asked <= 3 * world.images.len(), "{asked}: {:#?}", world.vendor.stats().request_lines());
    assert_eq!(world.vendor.stats().count("GET", Kind::Blob), 0);

    let said = Said::put(&world, &world.vendor);
    assert!(matches!(relock(&world, Mode::Check), Err(Error::Stale { .. })));
    let report = relock(&world, Mode::Write).unwrap();
    assert_eq!((report.outcome, report.images[0].referrers), (Outcome::Written, said.all.len() as u64));
    assert_eq!(relock(&world, Mode::Write).unwrap().outcome, Outcome::Unchanged);
    assert_eq!(world.vendor.stats().count("GET", Kind::Blob), 0);
}

#[test]
fn what_covered_only_the_whole_index_is_a_finding() {
    let world = World::new("platforms: [linux/amd64]\n");
    let image = &world.images[0];
    let key = Key::generate(&world.path("cosign"), &EC).unwrap();
    let root = &image.graph.root().digest;
    let child = image.graph.documents.iter().find(|d| d.platform.is_some()).unwrap();
    for subject in [root, &child.digest] {
        let signed = signature(subject, &image.repository, &key).unwrap();
        put(&world.vendor, &image.repository, Some(&cosign_tag(subject, "sig")), &signed);
    }
    for _ in 0..2 {
        let report = relock(&world, Mode::Write).unwrap();
        let left =
            report.findings.iter().filter(|f| matches!(f, Finding::ReferrersLeftBehind { .. })).count();
        assert_eq!((left, report.images[0].referrers), (1, 1), "{:#?}", report.findings);
    }
    assert_eq!(read_lock(&world).images[0].referrers[0].subject.to_string(), child.digest);
}

/// What locking says when the vendor's registry is as `prepare` makes it.
fn refused(config: Config, prepare: impl FnOnce(&World)) -> String {
    let mut world = World::new("");
    if config.endless_referrers {
        let vendor = Server::start(config).unwrap();
        let release = fs::read_to_string(world.path("release.yaml")).unwrap();
        fs::write(world.path("release.yaml"), release.replace(&world.vendor.host(), &vendor.host())).unwrap();
        for image in &world.images {
            image.graph.put(&vendor, &image.repository, &image.tag).unwrap();
        }
        world.vendor = vendor;
    }
    prepare(&world);
    let error = relock(&world, Mode::Write).unwrap_err().to_string();
    assert!(!world.path("release.lock").exists());
    error
}

#[test]
fn what_cannot_be_carried_is_named() {
    let endless = refused(Config { endless_referrers: true, ..Config::default() }, |_| {});
    assert!(endless.contains("it lists more than 1000 of them"), "{endless}");

    let other = Digest::of(b"other").to_string();
    let wrong = refused(Config::default(), |world| {
        let image = &world.images[0];
        let key = Key::generate(&world.path("cosign"), &EC).unwrap();
        let signed = signature(&other, &image.repository, &key).unwrap();
        put(&world.vendor, &image.repository, Some(&cosign_tag(&image.graph.root().digest, "sig")), &signed);
    });
    assert!(wrong.contains(".sig") && wrong.contains(&format!("it is a signature of {other}")), "{wrong}");

    let moved = refused(Config::default(), |world| {
        let image = &world.images[0];
        let child = &image.graph.documents[0];
        let sbom = artifact(SPDX, b"{}", Some(child));
        put(&world.vendor, &image.repository, Some(&cosign_tag(&image.graph.root().digest, "sbom")), &sbom);
    });
    assert!(moved.contains("its subject is sha256:"), "{moved}");

    let circle = refused(Config { referrers: false, ..Config::default() }, |world| {
        // A list that is kept by a tag says what it likes: here that an image is about itself.
        let image = &world.images[0];
        let root = image.graph.root();
        let list = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
            {"mediaType": root.media_type, "digest": root.digest, "size": root.bytes.len()}
        ]});
        let list = ("application/vnd.oci.image.index.v1+json", list.to_string().into());
        world.vendor.put_manifest(&image.repository, Some(&root.digest.replace(':', "-")), list).unwrap();
        world.vendor.faults().add(
            xtask::registry::Rule::new(xtask::registry::Action::Status(404, Vec::new())).path("/referrers/"),
        );
    });
    assert!(circle.contains("it is itself what it is about"), "{circle}");
}

#[test]
fn they_travel_from_a_layout_and_through_debians_registry() {
    let world = World::new("seal: none\n");
    let said = Said::put(&world, &world.vendor);
    world.lock();
    let folder = world.build("out");
    // The bundle's own payload is a layout; a second release is made from that.
    let layout = world.path("layout");
    fs::create_dir(&layout).unwrap();
    let unpack = "cat volumes/*.tar | tar -x -C \"$1\"";
    let done =
        Command::new("sh").args(["-c", unpack, "sh"]).arg(&layout).current_dir(&folder).status().unwrap();
    assert!(done.success());
    let name = format!("docker.io/{}:{}", world.images[0].repository, world.images[0].tag);
    let release = format!(
        "apiVersion: bundle/v1\nkind: Release\nname: demo\nversion: 1.3.0\nvendor: Demo\nimages:\n  - {{ref: \"{name}\", from: \"oci:layout:{name}\"}}\n"
    );
    fs::write(world.path("release.yaml"), release).unwrap();
    world.lock();
    assert_eq!(read_lock(&world).images[0].referrers.len(), said.all.len());
    let again = world.build("again");

    let peer = Peer::start(PeerKind::Plain);
    let report = load_into(&world, &again, &peer.host());
    assert!(report.ok, "{report:#?}");
    let about = &said.all[2].1.digest;
    assert_eq!(listed(&world, &peer.host(), about), BTreeSet::from([said.all[4].1.digest.clone()]));
    let repository =
        Repository::new(&peer.host(), &format!("mirror/{}", world.images[0].repository)).unwrap();
    for (tag, document) in &said.all {
        let pointer = match tag {
            Some(tag) => Pointer::Tag(tag.clone()),
            None => Pointer::Digest(document.digest.parse().unwrap()),
        };
        assert_eq!(world.client.manifest(&repository, &pointer).unwrap().bytes, document.bytes);
    }
    let states: BTreeSet<State> =
        load_into(&world, &again, &peer.host()).referrers.iter().map(|one| one.state).collect();
    assert_eq!(states, BTreeSet::from([State::Present]));
}

fn load_into(world: &World, folder: &Path, host: &str) -> bundle::ops::load::Report {
    world.try_load_into(folder, host).unwrap()
}

const KINDS: [&[&str]; 4] = [
    &EC,
    &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
    &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    &["-algorithm", "ED25519"],
];

/// Asks for a signature of the first image by the key in `public`.
fn ask(world: &World, public: &str) {
    let image = &world.images[0];
    let (name, key) = (format!("\"docker.io/{}:{}\"", image.repository, image.tag), public);
    let release = fs::read_to_string(world.path("release.yaml")).unwrap();
    let line = release.lines().find(|line| line.contains(&name)).unwrap();
    let asked = format!(
        "{}, verify: {{cosign-key: {key}}}}}",
        line.split(", verify:").next().unwrap().trim_end_matches('}')
    );
    fs::write(world.path("release.yaml"), release.replace(line, &asked)).unwrap();
}

fn sign(world: &World, subject: &str, key: &Key) {
    let image = &world.images[0];
    let signed = signature(subject, &image.repository, key).unwrap();
    put(&world.vendor, &image.repository, Some(&cosign_tag(subject, "sig")), &signed);
}

#[test]
fn a_signature_by_the_key_that_is_asked_for_holds_whatever_its_kind() {
    for kind in KINDS {
        let world = World::new("");
        let root = &world.images[0].graph.root().digest;
        let key = Key::generate(&world.path("cosign"), kind).unwrap();
        ask(&world, "cosign.pub");
        let refused = relock(&world, Mode::Write).unwrap_err().to_string();
        assert!(refused.contains(&format!("{root} is not signed by key")), "{refused}");
        assert!(refused.contains(".sig is not there"), "{refused}");

        Key::generate(&world.path("other"), kind).map(|other| sign(&world, root, &other)).unwrap();
        let refused = relock(&world, Mode::Write).unwrap_err().to_string();
        assert!(refused.contains("it is not a signature by key"), "{kind:?}: {refused}");

        sign(&world, root, &key);
        let report = relock(&world, Mode::Write).unwrap();
        assert_eq!(report.outcome, Outcome::Written, "{kind:?}");
        assert_eq!(relock(&world, Mode::Write).unwrap().outcome, Outcome::Unchanged);
        assert_eq!(world.vendor.stats().count("GET", Kind::Blob), 0);
        // Another key is another question.
        ask(&world, "other.pub");
        assert!(relock(&world, Mode::Check).is_err(), "{kind:?}");
    }
}

#[test]
fn after_the_load_openssl_alone_checks_a_signature_in_the_customers_registry() {
    let world = World::new("");
    let root = world.images[0].graph.root().digest.clone();
    let key = Key::generate(&world.path("cosign"), &EC).unwrap();
    sign(&world, &root, &key);
    ask(&world, "cosign.pub");
    world.lock();
    let folder = world.build("out");
    let report = world.verify(&folder, true);
    assert!(report.ok, "{:#?}", report.findings);
    let peer = Peer::start(PeerKind::Plain);
    assert!(load_into(&world, &folder, &peer.host()).ok);

    let repository =
        Repository::new(&peer.host(), &format!("mirror/{}", world.images[0].repository)).unwrap();
    let there = world.client.manifest(&repository, &Pointer::Tag(cosign_tag(&root, "sig"))).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&there.bytes).unwrap();
    let layer = &manifest["layers"][0];
    let url = format!(
        "http://{}/v2/{}/blobs/{}",
        peer.host(),
        repository.path(),
        layer["digest"].as_str().unwrap()
    );
    let signature = layer["annotations"]["dev.cosignproject.cosign/signature"].as_str().unwrap();
    let check = "curl -sSf \"$1\" -o payload && printf %s \"$2\" | openssl base64 -d -A -out payload.sig && openssl dgst -sha256 -verify cosign.pub -signature payload.sig payload";
    let done = Command::new("sh")
        .args(["-c", check, "sh", &url, signature])
        .current_dir(world.folder.path())
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&done.stdout).contains("Verified OK"), "{done:?}");
    assert!(fs::read_to_string(world.path("payload")).unwrap().contains(&root));
}

#[test]
fn a_signature_of_the_whole_index_alone_is_no_signature_of_what_is_carried() {
    let world = World::new("platforms: [linux/amd64]\n");
    let image = &world.images[0];
    let child = image.graph.documents.iter().find(|d| d.platform.is_some()).unwrap().digest.clone();
    let key = Key::generate(&world.path("cosign"), &EC).unwrap();
    sign(&world, &image.graph.root().digest, &key);
    ask(&world, "cosign.pub");
    let refused = relock(&world, Mode::Write).unwrap_err().to_string();
    assert!(refused.contains("before it was narrowed to fewer platforms, does not count"), "{refused}");
    sign(&world, &child, &key);
    assert_eq!(relock(&world, Mode::Write).unwrap().outcome, Outcome::Written);
}

/// Locks many tags of a few repositories from a registry with or without the referrers API, everything signed by tag and by list.
fn lock_many(api: bool, proxied: bool) -> (World, Lock, usize) {
    const REPOSITORIES: [&str; 4] = ["acme/agent", "acme/web/ui", "acme/jobs", "cache/jobs"];
    let mut world = World::new("");
    world.vendor = Server::start(Config { referrers: api, ..Config::default() }).unwrap();
    let key = Key::generate(&world.path("cosign"), &EC).unwrap();
    let mut release =
        "apiVersion: bundle/v1\nkind: Release\nname: demo\nversion: 1.2.0\nvendor: Demo\nimages:\n"
            .to_owned();
    let mut images = 0;
    for repository in REPOSITORIES {
        for tag in ["v1", "v2", "v3"] {
            let layer =
                Layer::seeded(Seed::of(&format!("{repository}{tag}")), 100, Compression::Gzip).unwrap();
            let graph = image(Family::Oci, "linux/amd64", &[layer]);
            graph.put(&world.vendor, repository, tag).unwrap();
            let root = &graph.root().digest;
            let signed = signature(root, repository, &key).unwrap();
            put(&world.vendor, repository, Some(&cosign_tag(root, "sig")), &signed);
            if tag == "v2" {
                refer(&world, repository, &graph, api);
            }
            let name = format!("{}/{repository}:{tag}", world.vendor.host());
            release += &format!("  - \"{name}\"\n");
            images += 1;
        }
    }
    if proxied {
        // As a repository of another registry behind the same host, without the API.
        let rule = xtask::registry::Rule::new(xtask::registry::Action::Status(404, Vec::new()));
        world.vendor.faults().add(rule.path("/v2/cache/jobs/referrers/"));
    }
    fs::write(world.path("release.yaml"), release).unwrap();
    relock(&world, Mode::Write).unwrap();
    let lock = read_lock(&world);
    (world, lock, images)
}

/// Puts an SBOM about an image, in the list of the registry or in the one that is kept by a tag.
fn refer(world: &World, repository: &str, image: &Graph, api: bool) {
    let sbom = artifact(SPDX, b"{\"spdxVersion\": \"SPDX-2.3\"}", Some(image.root()));
    put(&world.vendor, repository, None, &sbom);
    if !api {
        let one = sbom.root();
        let list = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
            {"mediaType": one.media_type, "digest": one.digest, "size": one.bytes.len()}
        ]});
        let list = ("application/vnd.oci.image.index.v1+json", list.to_string().into());
        let tag = image.root().digest.replace(':', "-");
        world.vendor.put_manifest(repository, Some(&tag), list).unwrap();
    }
}

#[test]
fn a_repository_is_asked_for_its_tags_once_and_a_registry_without_the_api_once_for_that() {
    for api in [true, false] {
        let (world, lock, images) = lock_many(api, false);
        let found: Vec<usize> = lock.images.iter().map(|image| image.referrers.len()).collect();
        assert_eq!(found, [1, 2, 1, 1, 2, 1, 1, 2, 1, 1, 2, 1], "API: {api}");
        let stats = world.vendor.stats();
        assert_eq!(stats.count("GET", Kind::Tags), 4, "API: {api}");
        // Of the SBOMs and the signatures each is asked about as well.
        let subjects = images + 12 + 4;
        assert_eq!(stats.count("GET", Kind::Referrers), if api { subjects } else { 3 });
    }
}

#[test]
fn what_is_behind_one_host_need_not_be_one_registry() {
    let (_, lock, _) = lock_many(true, true);
    let found: Vec<usize> = lock.images.iter().map(|image| image.referrers.len()).collect();
    assert_eq!(found, [1, 2, 1, 1, 2, 1, 1, 2, 1, 1, 1, 1]);
}
