//! From `release.yaml` to `release.lock`, against layouts and archives that other tools made.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use bundle::digest::{Blob, Digest, Hasher};
use bundle::oci::Reference;
use bundle::ops::lock::{Change, Error, Finding, Mode, Outcome, Report, Request, Stale, lock};
use bundle::progress::Silent;
use bundle::release::Origin;
use bundle::release::lock::{Lock, LockedBlob};
use bundle::sources::{Images, Sources};
use bundle::store::Pieces as _;
use serde_json::{Value, json};

const HEAD: &str = "apiVersion: bundle/v1\nkind: Release\nname: demo\nversion: 1.0.0\nvendor: Demo\n";

/// A folder with a release in it, gone with the value.
struct Bench {
    folder: tempfile::TempDir,
}

fn no_registry(_: &Reference) -> Arc<dyn Images> {
    panic!("no registry should be asked");
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let output = Command::new(program)
            .args(arguments)
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .output()
            .unwrap_or_else(|error| panic!("{program} cannot be run: {error}"));
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {told}");
    }

    /// A layout `layout` with an image under each of `tags`, each of its own content.
    fn layout(&self, tags: &[&str]) {
        self.run("umoci", &["init", "--layout", "layout"]);
        for tag in tags {
            self.run("umoci", &["new", "--image", &format!("layout:{tag}")]);
            self.insert(tag, tag);
        }
    }

    /// One more layer, which holds `content`.
    fn insert(&self, tag: &str, content: &str) {
        fs::create_dir_all(self.path("root")).unwrap();
        fs::write(self.path("root/file"), content).unwrap();
        self.run("umoci", &["insert", "--image", &format!("layout:{tag}"), "root", "/data"]);
    }

    fn release(&self, rest: &str) {
        fs::write(self.path("release.yaml"), format!("{HEAD}{rest}")).unwrap();
    }

    fn lock(&self, mode: Mode) -> Result<Report, Error> {
        lock(&Request { file: self.path("release.yaml"), mode, helm: None }, no_registry, &Silent)
    }

    fn refused(&self) -> String {
        let error = self.lock(Mode::Write).unwrap_err().to_string();
        assert!(!self.path("release.lock").exists());
        error.replace(&self.folder.path().display().to_string(), "")
    }

    fn read(&self) -> Lock {
        Lock::parse(&fs::read(self.path("release.lock")).unwrap(), "release.lock").unwrap()
    }

    /// Reads every blob of the lock from its source, opened anew, and compares digest and size.
    fn every_blob_is_there(&self) -> BTreeSet<Digest> {
        let sources = Sources::new(self.folder.path(), &no_registry);
        let mut seen = BTreeSet::new();
        for image in self.read().images {
            let from: Option<Origin> = image.from.as_ref().map(|from| from.parse().unwrap());
            let opened = sources.open(&image.reference, from.as_ref()).unwrap();
            for manifest in &image.manifests {
                let own = manifest.inline.is_none().then(|| manifest.blob());
                let others = manifest.config.iter().chain(&manifest.layers).map(LockedBlob::blob);
                for blob in own.into_iter().chain(others) {
                    let mut hasher = Hasher::new();
                    let mut pieces = opened.images.open(&blob, 0).unwrap();
                    while let Some(piece) = pieces.next().unwrap() {
                        hasher.update(&piece);
                    }
                    assert_eq!(hasher.finish_blob(), blob);
                    seen.insert(blob.digest);
                }
            }
        }
        seen
    }

    fn put_blob(&self, bytes: &[u8]) -> Blob {
        let blob = Blob { digest: Digest::of(bytes), size: bytes.len() as u64 };
        let folder = self.path("layout/blobs/sha256");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(blob.digest.hex()), bytes).unwrap();
        blob
    }

    fn put_json(&self, json: &Value) -> Blob {
        self.put_blob(&serde_json::to_vec(json).unwrap())
    }

    /// An image manifest for `platform` in the layout; its descriptor.
    fn put_image(&self, os: &str, architecture: &str) -> Value {
        let config = self.put_json(&json!({
            "os": os, "architecture": architecture, "rootfs": {"type": "layers", "diff_ids": []},
        }));
        let layer = self.put_blob(format!("layer of {os}/{architecture}").as_bytes());
        let manifest = self.put_json(&json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
        }));
        let mut described = descriptor("application/vnd.oci.image.manifest.v1+json", manifest);
        described["platform"] = json!({"os": os, "architecture": architecture});
        described
    }

    /// An attestation about `about`, as `BuildKit` makes them.
    fn put_attestation(&self, about: &Value) -> Value {
        let mut described = self.put_image("unknown", "unknown");
        described["annotations"] = json!({
            "vnd.docker.reference.digest": about["digest"],
            "vnd.docker.reference.type": "attestation-manifest",
        });
        described
    }

    /// A layout with one index of `children` under the tag `multi`.
    fn put_index(&self, children: &[Value]) -> Blob {
        let media_type = "application/vnd.oci.image.index.v1+json";
        let index =
            self.put_json(&json!({"schemaVersion": 2, "mediaType": media_type, "manifests": children}));
        let mut entry = descriptor(media_type, index);
        entry["annotations"] = json!({"org.opencontainers.image.ref.name": "multi"});
        fs::write(self.path("layout/oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        let top = json!({"schemaVersion": 2, "manifests": [entry]});
        fs::write(self.path("layout/index.json"), top.to_string()).unwrap();
        index
    }
}

/// What is done to the file of a blob.
type Damage<'a> = &'a dyn Fn(&Path);

fn descriptor(media_type: &str, blob: Blob) -> Value {
    json!({"mediaType": media_type, "digest": blob.digest, "size": blob.size})
}

#[test]
fn a_layout_and_an_archive_are_locked_and_every_blob_is_found_again() {
    let bench = Bench::new();
    bench.layout(&["agent", "web"]);
    bench.run("skopeo", &["copy", "oci:layout:web", "docker-archive:web.tar:docker.io/demo/web:v1"]);
    bench.release(
        "platforms: [linux/amd64]\nimages:\n  - {ref: \"demo/agent:v1\", from: \"oci:layout:agent\"}\n  - {ref: \"demo/web:v1\", from: \"docker-archive:web.tar\"}\n",
    );
    let report = bench.lock(Mode::Write).unwrap();
    assert_eq!(report.outcome, Outcome::Written);
    assert!(report.images.iter().all(|image| image.change == Change::Added));
    let lock = bench.read();
    assert_eq!(lock.images[0].manifests.len(), 1);
    assert_eq!(lock.images[0].platforms[0].to_string(), "linux/amd64");
    let made = &lock.images[1].manifests[0];
    assert!(made.inline.as_ref().unwrap().contains("sha256:"));
    assert_eq!(made.layers.len(), 1);
    assert_eq!(made.layers[0].media_type, "application/vnd.oci.image.layer.v1.tar");
    assert!(bench.every_blob_is_there().len() >= 5);

    let text = fs::read(bench.path("release.lock")).unwrap();
    assert_eq!(bench.lock(Mode::Write).unwrap().outcome, Outcome::Unchanged);
    assert_eq!(bench.lock(Mode::Check).unwrap().outcome, Outcome::Current);
    assert_eq!(fs::read(bench.path("release.lock")).unwrap(), text);
}

#[test]
fn an_archive_of_several_images_is_asked_by_name() {
    let bench = Bench::new();
    bench.layout(&["one"]);
    bench.run("skopeo", &["copy", "oci:layout:one", "docker-archive:one.tar:docker.io/demo/one:v1"]);
    for (tag, holds) in [("docker.io/demo/one:v1", true), ("demo/one:v1", true), ("demo/two:v1", false)] {
        bench.release(&format!("images:\n  - {{ref: \"x/y:v1\", from: \"docker-archive:one.tar:{tag}\"}}\n"));
        match bench.lock(Mode::Write) {
            Ok(_) => assert!(holds, "{tag}"),
            Err(error) => {
                assert!(!holds, "{tag}: {error}");
                assert!(error.to_string().contains("it holds docker.io/demo/one:v1"), "{error}");
            }
        }
    }
}

#[test]
fn a_stale_lock_says_in_what() {
    let bench = Bench::new();
    bench.layout(&["agent", "web"]);
    bench.release("images:\n  - {ref: \"demo/agent:v1\", from: \"oci:layout:agent\"}\n");
    let Err(Error::Stale { reasons, .. }) = bench.lock(Mode::Check) else { panic!() };
    assert_eq!(reasons, [Stale::NoLock]);
    let first = bench.lock(Mode::Write).unwrap();

    bench.insert("agent", "something new");
    let Err(Error::Stale { reasons, .. }) = bench.lock(Mode::Check) else { panic!() };
    assert!(
        matches!(&reasons[..], [Stale::Moved { was, now, .. }] if *was == first.images[0].digest && was != now)
    );
    let text = fs::read(bench.path("release.lock")).unwrap();
    let moved = bench.lock(Mode::Write).unwrap();
    assert_eq!(moved.images[0].change, Change::Moved { was: first.images[0].digest });
    assert_ne!(fs::read(bench.path("release.lock")).unwrap(), text);

    bench.release("images:\n  - {ref: \"demo/web:v1\", from: \"oci:layout:web\"}\n");
    let Err(Error::Stale { reasons, .. }) = bench.lock(Mode::Check) else { panic!() };
    assert!(
        matches!(&reasons[..], [Stale::Release, Stale::Missing { .. }, Stale::Extra { .. }]),
        "{reasons:?}"
    );

    let edited = String::from_utf8(fs::read(bench.path("release.lock")).unwrap()).unwrap();
    fs::write(bench.path("release.lock"), edited.replace("vendor: Demo", "vendor: Other")).unwrap();
    bench.release("images:\n  - {ref: \"demo/agent:v1\", from: \"oci:layout:agent\"}\n");
    let Err(Error::Stale { reasons, .. }) = bench.lock(Mode::Check) else { panic!() };
    assert_eq!(reasons, [Stale::Content]);
    fs::write(bench.path("release.lock"), "format: 1\n").unwrap();
    let report = bench.lock(Mode::Write).unwrap();
    assert!(matches!(&report.findings[..], [Finding::LockReplaced { .. }]));
    fs::write(bench.path("release.lock"), "format: 2\n").unwrap();
    assert!(matches!(bench.lock(Mode::Write), Err(Error::Later(_))));
    assert_eq!(fs::read(bench.path("release.lock")).unwrap(), b"format: 2\n");
}

#[test]
fn an_index_is_carried_whole_or_narrowed() {
    let bench = Bench::new();
    let amd64 = bench.put_image("linux", "amd64");
    let arm64 = bench.put_image("linux", "arm64");
    let windows = bench.put_image("windows", "amd64");
    let about = bench.put_attestation(&arm64);
    let index = bench.put_index(&[amd64, arm64.clone(), windows, about.clone()]);
    let with = |platforms: &str| {
        bench.release(&format!("images:\n  - {{ref: \"a/b:v1\", from: \"oci:layout:multi\"{platforms}}}\n"));
        let report = bench.lock(Mode::Write).unwrap();
        assert_eq!(bench.lock(Mode::Write).unwrap().outcome, Outcome::Unchanged);
        bench.every_blob_is_there();
        (report, bench.read().images.remove(0))
    };

    for all in ["", ", platforms: [linux/amd64, linux/arm64, windows/amd64]"] {
        let (_, image) = with(all);
        assert_eq!((image.original, image.root().unwrap().digest), (None, index.digest));
        assert_eq!(image.manifests.len(), 5);
        assert_eq!(image.platforms.len(), 3);
    }

    let (report, image) = with(", platforms: [linux/arm64]");
    assert_eq!(image.original, Some(index.digest));
    assert_eq!(image.manifests.len(), 1);
    assert_eq!(json!(image.root().unwrap().digest), arm64["digest"]);
    assert!(matches!(&report.findings[..], [Finding::AttestationsLeftBehind { attestations, .. }]
        if json!(attestations) == json!([about["digest"]])));

    let (report, image) = with(", platforms: [linux/arm64, linux/amd64]");
    assert_eq!(image.original, Some(index.digest));
    assert_eq!(image.manifests.len(), 4);
    assert!(image.root().unwrap().inline.is_some());
    assert!(report.findings.is_empty());
}

#[test]
fn what_an_image_lacks_is_named_and_every_image_is_looked_at() {
    let bench = Bench::new();
    bench.layout(&["agent"]);
    bench.release(
        "platforms: [linux/arm64]\nimages:\n  - {ref: \"a/a:v1\", from: \"oci:layout:agent\"}\n  - {ref: \"a/b:v1\", from: \"oci:layout:nope\"}\n  - {ref: \"a/c:v1\", from: \"oci:gone\"}\n  - {ref: \"a/d:v1\", from: \"docker-archive:release.yaml\"}\n",
    );
    let told = bench.refused();
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 4, "{told}");
    for (line, says) in lines.iter().zip([
        "/release.yaml:8:5: docker.io/a/a:v1: it is not made for linux/arm64; it has linux/amd64",
        "/release.yaml:9:5: docker.io/a/b:v1: oci:/layout holds no image named nope; it holds agent",
        "/release.yaml:10:5: docker.io/a/c:v1: /gone/oci-layout: No such file",
        "/release.yaml:11:5: docker.io/a/d:v1: /release.yaml: it is not a tar",
    ]) {
        assert!(line.starts_with(says), "{line}\n{says}");
    }
}

#[test]
fn a_release_of_nothing_is_refused() {
    let bench = Bench::new();
    bench.release("");
    assert!(bench.refused().ends_with("it names no image, chart or model"));
}

#[test]
fn a_pinned_reference_must_be_what_its_source_has() {
    let bench = Bench::new();
    bench.layout(&["agent"]);
    let digest = Digest::of(b"another");
    bench.release(&format!("images:\n  - {{ref: \"a/a@{digest}\", from: \"oci:layout:agent\"}}\n"));
    assert!(bench.refused().contains(&format!("its reference pins {digest}")));
}

#[test]
fn a_hostile_layout_is_refused_by_what_is_wrong() {
    let image = "images:\n  - {ref: \"a/b:v1\", from: \"oci:layout:multi\"}\n";
    let flipped = |bench: &Bench, blob: &Value, change: &dyn Fn(&Path)| {
        let hex = blob["digest"].as_str().unwrap().trim_start_matches("sha256:");
        change(&bench.path("layout/blobs/sha256").join(hex));
    };
    let cases: [(&str, Damage); 4] = [
        ("was asked for,", &|path: &Path| {
            let mut bytes = fs::read(path).unwrap();
            bytes[10] ^= 1;
            fs::write(path, bytes).unwrap();
        }),
        ("bytes where", &|path: &Path| {
            let mut bytes = fs::read(path).unwrap();
            bytes.push(b' ');
            fs::write(path, bytes).unwrap();
        }),
        ("symbolic links", &|path: &Path| {
            fs::rename(path, path.with_extension("moved")).unwrap();
            std::os::unix::fs::symlink(path.with_extension("moved"), path).unwrap();
        }),
        ("does not hold", &|path: &Path| fs::remove_file(path).unwrap()),
    ];
    for (says, change) in &cases {
        let bench = Bench::new();
        let child = bench.put_image("linux", "amd64");
        bench.put_index(std::slice::from_ref(&child));
        bench.release(image);
        flipped(&bench, &child, change);
        let told = bench.refused();
        assert!(told.contains(says), "{told} should say {says}");
    }

    // A layer is not read, and looked at all the same.
    for (says, change) in cases.iter().skip(1) {
        let bench = Bench::new();
        bench.layout(&["agent"]);
        let index: Value =
            serde_json::from_slice(&fs::read(bench.path("layout/index.json")).unwrap()).unwrap();
        let blob = |blob: &Value| {
            let hex = blob["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
            bench.path("layout/blobs/sha256").join(hex)
        };
        let manifest: Value =
            serde_json::from_slice(&fs::read(blob(&index["manifests"][0])).unwrap()).unwrap();
        change(&blob(&manifest["layers"][0]));
        bench.release("images:\n  - {ref: \"a/b:v1\", from: \"oci:layout:agent\"}\n");
        let told = bench.refused();
        assert!(told.contains(says) && told.contains("docker.io/a/b:v1"), "{told} should say {says}");
    }

    let bench = Bench::new();
    let mut child = bench.put_image("linux", "amd64");
    child["size"] = json!(u64::MAX);
    bench.put_index(&[child]);
    bench.release(image);
    assert!(bench.refused().contains("larger than the 4194304 bytes"), "{}", bench.refused());
}

#[test]
fn an_index_in_an_index_is_narrowed_with_it() {
    let bench = Bench::new();
    let media_type = "application/vnd.oci.image.index.v1+json";
    let (amd, arm) = (bench.put_image("linux", "amd64"), bench.put_image("linux", "arm64"));
    let inner = bench.put_json(&json!({"schemaVersion": 2, "mediaType": media_type, "manifests": [amd]}));
    bench.put_index(&[descriptor(media_type, inner), arm.clone()]);
    for (platforms, manifests) in [("linux/amd64", 2), ("linux/arm64", 1), ("linux/amd64, linux/arm64", 4)] {
        bench.release(&format!(
            "images:\n  - {{ref: \"a/b:v1\", from: \"oci:layout:multi\", platforms: [{platforms}]}}\n"
        ));
        bench.lock(Mode::Write).unwrap();
        let image = &bench.read().images[0];
        let found: Vec<String> = image.platforms.iter().map(ToString::to_string).collect();
        assert_eq!(found.join(", "), platforms);
        assert_eq!(image.manifests.len(), manifests, "{platforms}");
        bench.every_blob_is_there();
    }
}

#[test]
fn indexes_in_indexes_end_somewhere() {
    let bench = Bench::new();
    let media_type = "application/vnd.oci.image.index.v1+json";
    let mut child = bench.put_image("linux", "amd64");
    for _ in 0..6 {
        let index =
            bench.put_json(&json!({"schemaVersion": 2, "mediaType": media_type, "manifests": [child]}));
        child = descriptor(media_type, index);
    }
    bench.put_index(&[child]);
    bench.release("images:\n  - {ref: \"a/b:v1\", from: \"oci:layout:multi\"}\n");
    assert!(bench.refused().contains("nested more than 4 deep"), "{}", bench.refused());
}
