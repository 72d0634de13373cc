//! A bundle opened without our program: the lines of its own README, executed as they stand there, and other people's tools on what
//! comes out.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::peers::registry::{Kind, Peer};
use super::program::tool;
use super::world::{World, files};

/// A bundle's folder as a customer holds it: `vendor.pub` and, where it is sealed, `acme.key` beside the README.
struct Delivered {
    world: World,
    folder: PathBuf,
    layout: PathBuf,
}

impl Delivered {
    fn new(settings: &str) -> Self {
        let mut world = World::new(settings);
        world.grantees[1].name = "acme-corp".parse().unwrap();
        world.lock();
        let folder = world.build("out");
        fs::copy(world.path("vendor.pub"), folder.join("vendor.pub")).unwrap();
        if !settings.contains("seal: none") {
            fs::copy(world.path("acme.key"), folder.join("acme.key")).unwrap();
        }
        let layout = folder.join("layout");
        Self { world, folder, layout }
    }

    fn index(&self) -> Value {
        serde_json::from_slice(&fs::read(self.folder.join("bundle.json")).unwrap()).unwrap()
    }

    /// The payload's files are those of the images, byte for byte.
    fn compare_layout(&self) {
        let mut wanted = BTreeSet::new();
        let root = self.layout.join("blobs/sha256");
        for image in &self.world.images {
            let documents = image.graph.documents.iter().map(|d| (&d.digest, &d.bytes));
            for (digest, bytes) in image.graph.blobs.iter().map(|(d, b)| (d, b)).chain(documents) {
                let hex = digest.trim_start_matches("sha256:");
                assert!(fs::read(root.join(hex)).unwrap() == *bytes, "{digest} differs");
                wanted.insert(hex.to_owned());
            }
        }
        let got: BTreeSet<String> = files(&root).into_keys().collect();
        assert_eq!(got, wanted);
    }

    /// `docker load` reads `manifest.json`: what it names must be there.
    fn check_docker_manifest(&self) {
        let text = fs::read(self.layout.join("manifest.json")).unwrap();
        let entries: Value = serde_json::from_slice(&text).unwrap();
        let entries = entries.as_array().unwrap();
        assert!(!entries.is_empty());
        let mut tags = BTreeSet::new();
        for entry in entries {
            let layers = entry["Layers"].as_array().unwrap();
            for path in layers.iter().chain([&entry["Config"]]) {
                assert!(self.layout.join(path.as_str().unwrap()).is_file(), "{path}");
            }
            let config = fs::read(self.layout.join(entry["Config"].as_str().unwrap())).unwrap();
            let config: Value = serde_json::from_slice(&config).unwrap();
            assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), layers.len());
            tags.extend(entry["RepoTags"].as_array().unwrap().iter().map(|t| t.as_str().unwrap().to_owned()));
        }
        for image in &self.world.images {
            let name = format!("{}:{}", image.repository, image.tag);
            assert!(tags.iter().any(|tag| tag.ends_with(&name)), "{name} is not in {tags:?}");
        }
    }
}

/// The console blocks of the README that use nothing of ours, in order.
fn console_blocks(readme: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut rest = readme;
    while let Some((_, after)) = rest.split_once("```console\n") {
        let (block, after) = after.split_once("```").unwrap();
        if !block.lines().any(|line| line.starts_with("bundle ")) {
            blocks.push(block.to_owned());
        }
        rest = after;
    }
    blocks
}

fn shell(folder: &Path, script: &str, ca: &Path) -> String {
    let mut shell = Command::new("sh");
    shell.args(["-e", "-u", "-c", script]).current_dir(folder).env("SSL_CERT_FILE", ca);
    String::from_utf8(tool(&mut shell)).unwrap()
}

/// Runs what the README prints; the one thing changed is the name of the customer's registry.
fn open_as_the_readme_says(settings: &str) -> Delivered {
    let delivered = Delivered::new(settings);
    let readme = fs::read_to_string(delivered.folder.join("README.md")).unwrap();
    let blocks = console_blocks(&readme);
    let sealed = !settings.contains("seal: none");
    assert_eq!(blocks.len(), 5, "{readme}");
    let registry = Peer::start(Kind::Tls);
    let run = |block: &str| {
        let script = block.replace("harbor.acme.internal", &registry.host());
        shell(&delivered.folder, &script, &registry.ca())
    };
    assert!(blocks[0].starts_with("openssl pkeyutl -verify "));
    assert_eq!(run(&blocks[0]).trim(), "Signature Verified Successfully");
    assert_eq!(blocks[1], "sha256sum -c SHA256SUMS\n");
    let checked = run(&blocks[1]);
    let listed = fs::read_to_string(delivered.folder.join("SHA256SUMS")).unwrap().lines().count();
    let volumes = delivered.index()["volumes"].as_array().unwrap().len();
    assert!(listed > volumes + 2);
    assert_eq!(checked.lines().filter(|line| line.ends_with(": OK")).count(), listed, "{checked}");
    assert_eq!(blocks[2].contains("age -d -i release.key"), sealed);
    run(&blocks[2]);
    delivered.compare_layout();
    delivered.check_docker_manifest();
    let copies = blocks[3..].iter().flat_map(|b| b.lines()).filter(|line| line.starts_with("skopeo copy "));
    assert_eq!(copies.count(), delivered.world.images.len());
    assert!(blocks[3].lines().all(|line| line.contains("oci:layout:docker.io/incidentfox/")));
    run(&blocks[3]);
    run(&blocks[4]);
    for image in &delivered.world.images {
        let reference = format!("docker://{}/{}:{}", registry.host(), image.repository, image.tag);
        let raw = tool(registry.skopeo("inspect", "").arg("--raw").arg(reference));
        assert_eq!(raw, image.graph.root().bytes, "{}", image.repository);
    }
    // What the customer did beside it changed nothing that is signed.
    run(&blocks[1]);
    delivered
}

/// A blob that begins in one volume and ends in another.
fn one_crosses_a_cut(delivered: &Delivered) -> bool {
    let index = delivered.index();
    let cut = index["payload"]["volume_bytes"].as_u64().unwrap();
    index["blobs"].as_array().unwrap().iter().any(|blob| {
        let (offset, size) = (blob["offset"].as_u64().unwrap(), blob["size"].as_u64().unwrap());
        offset / cut != (offset + size - 1) / cut
    })
}

#[test]
fn one_sealed_volume() {
    let delivered = open_as_the_readme_says("");
    assert_eq!(delivered.index()["volumes"].as_array().unwrap().len(), 1);
}

#[test]
fn many_sealed_volumes_and_a_blob_across_a_cut() {
    let delivered = open_as_the_readme_says("volume-size: 2MiB\n");
    assert!(delivered.index()["volumes"].as_array().unwrap().len() > 3);
    assert!(one_crosses_a_cut(&delivered));
    unpack(&delivered);
}

#[test]
fn one_plain_volume() {
    open_as_the_readme_says("seal: none\n");
}

#[test]
fn many_plain_volumes_and_a_blob_across_a_cut() {
    let delivered = open_as_the_readme_says("seal: none\nvolume-size: 2MiB\n");
    assert!(one_crosses_a_cut(&delivered));
}

/// `umoci` unpacks an image of the layout into a root filesystem.
fn unpack(delivered: &Delivered) {
    let image = &delivered.world.images[0];
    let name = format!("docker.io/{}:{}", image.repository, image.tag);
    let folder = &delivered.folder;
    tool(
        Command::new("skopeo")
            .args(["copy", &format!("oci:layout:{name}"), "oci:single:unpack"])
            .current_dir(folder),
    );
    tool(
        Command::new("umoci")
            .args(["unpack", "--rootless", "--image", "single:unpack", "unpacked"])
            .current_dir(folder),
    );
    let release = fs::read_to_string(folder.join("unpacked/rootfs/etc/os-release")).unwrap();
    assert!(release.contains("PLATFORM=linux/"), "{release}");
    assert!(folder.join("unpacked/rootfs/bin/start").is_file());
}
