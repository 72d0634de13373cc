//! What an image runs on where no release asks for it: left out of the lock, learnt by the build, the same in the bundle.

use std::collections::BTreeMap;
use std::fs;

use bundle::bundle::Index;
use bundle::digest::Digest;
use bundle::release::lock::Lock;
use serde_json::json;
use xtask::images::{Compression, Family, Layer, Named, Seed, image, sample};
use xtask::registry::{Config, Kind, Server};

use super::program::Outcome;
use super::stage::Stage;
use super::world::files;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// A release of two images of one platform each and of one for two, which are not sealed so that bundles can be compared.
fn stage() -> (Stage, Server, Vec<Named>) {
    let vendor = Server::start(Config::default()).unwrap();
    let one = |name: &str, platform: &str| {
        let layer = Layer::seeded(Seed::of(name), 1000, Compression::Gzip).unwrap();
        let graph = image(Family::Oci, platform, &[layer]);
        Named { repository: format!("plain/{name}"), tag: "v1".to_owned(), graph }
    };
    let several = sample("incidentfox", "v1.2.0").unwrap().swap_remove(0);
    let images = vec![one("amd", "linux/amd64"), several, one("arm", "linux/arm64/v8")];
    for image in &images {
        image.graph.put(&vendor, &image.repository, &image.tag).unwrap();
    }
    let stage = Stage::new();
    stage.release("seal: none\n", &images, &vendor.host());
    stage.program.done(&["lock"]);
    (stage, vendor, images)
}

fn lock(stage: &Stage) -> Lock {
    Lock::parse(&fs::read(stage.path("release.lock")).unwrap(), "release.lock").unwrap()
}

fn index(stage: &Stage, out: &str) -> Index {
    Index::parse(&fs::read(stage.bundle(out).join("bundle.json")).unwrap()).unwrap()
}

/// The platforms of each image.
fn platforms(index: &Index) -> Vec<String> {
    let joined = |image: &bundle::bundle::index::IndexImage| {
        image.platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    index.images.iter().map(joined).collect()
}

#[test]
fn a_build_learns_what_the_lock_left_unread_and_reads_each_blob_once() {
    let (stage, vendor, images) = stage();
    let told: Vec<usize> = lock(&stage).images.iter().map(|image| image.platforms.len()).collect();
    assert_eq!(told, [0, 2, 0]);

    let dry = stage.program.done(&[stage.build("out"), vec!["--dry-run".into(), "--json".into()]].concat());
    let dry: serde_json::Value = serde_json::from_str(&dry.stdout).unwrap();
    vendor.reset_stats();
    stage.program.done(&stage.build("out"));
    let sent = vendor.settled_stats();
    let blobs: BTreeMap<_, _> = images.iter().flat_map(|image| image.graph.blobs.iter().cloned()).collect();
    assert_eq!(sent.count("GET", Kind::Blob), blobs.len());
    assert_eq!(sent.blob_sent, blobs.values().map(|bytes| bytes.len() as u64).sum::<u64>());

    let index = index(&stage, "out");
    assert_eq!(platforms(&index), ["linux/amd64", "linux/amd64 linux/arm64", "linux/arm64/v8"]);
    assert_eq!(dry["payload_bytes"], index.payload.bytes);
    let readme = fs::read_to_string(stage.bundle("out").join("README.md")).unwrap();
    assert!(readme.contains("| `docker.io/plain/amd:v1` | linux/amd64 |"), "{readme}");
    stage.program.done(&stage.verify(&stage.bundle("out")));
}

#[test]
fn a_lock_that_has_the_platforms_gives_the_same_bundle() {
    let (stage, _vendor, _) = stage();
    stage.program.done(&stage.build("unread"));
    stage.program.done(&stage.build("again"));
    let unread = files(&stage.bundle("unread"));
    assert_eq!(unread, files(&stage.bundle("again")), "two builds of one lock");

    let mut older = lock(&stage);
    older.images[0].runs_on("linux/amd64".parse().unwrap());
    older.images[2].runs_on("linux/arm64/v8".parse().unwrap());
    fs::write(stage.path("release.lock"), older.render()).unwrap();
    let kept = stage.program.done(&["lock"]);
    assert!(kept.stdout.contains("up to date, left as it was"), "{}", kept.stdout);
    stage.program.done(&stage.build("older"));
    // The lock is another, so the index names another; nothing else differs but what is signed over it.
    let mut index = index(&stage, "older");
    index.lock = Digest::of(&fs::read(stage.path("release.lock")).unwrap());
    assert_eq!(index, self::index(&stage, "older"));
    index.lock = self::index(&stage, "unread").lock;
    assert_eq!(index, self::index(&stage, "unread"));
    let same = |folder: BTreeMap<String, Vec<u8>>| -> BTreeMap<String, Vec<u8>> {
        let signed = |name: &String| name == "bundle.json" || name.starts_with("SHA256SUMS");
        folder.into_iter().filter(|(name, _)| !signed(name) && !name.starts_with("signatures")).collect()
    };
    let (unread, older) = (same(unread), same(files(&stage.bundle("older"))));
    assert_eq!(unread.keys().collect::<Vec<_>>(), older.keys().collect::<Vec<_>>());
    let differ: Vec<_> = unread.iter().filter(|(name, bytes)| older[*name] != **bytes).collect();
    assert!(differ.is_empty(), "{:?}", differ.iter().map(|(name, _)| name).collect::<Vec<_>>());
}

/// What is said to be wrong, and what to do.
fn faults(outcome: &Outcome) -> Vec<&str> {
    let lines = outcome.stderr.lines();
    lines.filter(|line| ["error: ", "  ", "hint: "].iter().any(|start| line.starts_with(start))).collect()
}

#[test]
fn a_configuration_that_cannot_be_read_is_told_before_anything_is_written() {
    let (stage, vendor, mut images) = stage();
    // A manifest whose configuration is no JSON, and one whose configuration is gone.
    for (name, config) in [("text", "no configuration"), ("gone", "{}")] {
        let digest = vendor.put_blob(&format!("plain/{name}"), config);
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "layers": [],
            "config": {"mediaType": CONFIG, "digest": digest, "size": config.len()},
        });
        let manifest = (MANIFEST, manifest.to_string().into());
        vendor.put_manifest(&format!("plain/{name}"), Some("v1"), manifest).unwrap();
        if name == "gone" {
            vendor.lose_blob("plain/gone", &digest);
        }
        images.push(Named { repository: format!("plain/{name}"), ..images[0].clone() });
    }
    stage.release("seal: none\n", &images, &vendor.host());
    let release = fs::read_to_string(stage.path("release.yaml")).unwrap();
    let asking = format!("{release}platforms: [linux/amd64]\n").replace("plain/arm", "plain/amd-2");
    images[0].graph.put(&vendor, "plain/amd-2", "v1").unwrap();
    fs::write(stage.path("release.yaml"), asking).unwrap();
    let locking = stage.program.run(&["lock"]);
    locking.says(3, &["docker.io/plain/text:v1: configuration sha256:", "docker.io/plain/gone:v1: "]);

    fs::write(stage.path("release.yaml"), release).unwrap();
    stage.program.done(&["lock"]);
    for more in [vec![], vec!["--dry-run".to_owned()]] {
        let building = stage.program.run(&[stage.build("out"), more].concat());
        building.says(3, &["state: Nothing was written"]);
        assert_eq!((building.code, faults(&building)), (locking.code, faults(&locking)));
        assert!(!stage.path("out").exists());
    }
}

#[test]
fn what_can_be_refused_without_asking_is() {
    let (stage, vendor, images) = stage();
    stage.program.done(&stage.build("out"));
    vendor.reset_stats();
    stage.program.run(&stage.build("out")).says(2, &["exists"]);
    assert_eq!(vendor.stats().lines.len(), 0);

    // A list of images that nobody asked for their platforms has no column for them.
    let several = stage.program.done(&["lock"]).stdout;
    stage.release("", &images[..1], &vendor.host());
    let one = stage.program.done(&["lock"]).stdout;
    assert!(several.contains(" platforms\n") && !one.contains("platforms"), "{several}{one}");
}
