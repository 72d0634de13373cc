//! From a registry into a bundle and from the bundle into another registry, and what must hold on the way.

use std::fs;

use bundle::ops::load::State;
use bundle::ops::verify::Depth;
use xtask::registry::Kind;

use super::world::{World, files};

const SMALL: &str = "volume-size: 2MiB\n";

#[test]
fn registry_to_bundle_to_registry_keeps_every_byte_and_a_second_load_sends_none() {
    let world = World::new(SMALL);
    world.lock();
    let folder = world.build("out");
    let report = world.verify(&folder, true);
    assert!(report.ok, "{:#?}", report.findings);
    assert_eq!(report.depth, Depth::Content);
    assert!(report.volumes > 3);
    assert!(world.verify(&folder, false).ok);

    let report = world.load(&folder);
    assert!(report.ok, "{report:#?}");
    for image in &world.images {
        let there = format!("mirror/{}", image.repository);
        let (_, sent) = world.vendor.manifest(&image.repository, &image.tag).unwrap();
        let (_, got) = world.customer.manifest(&there, &image.tag).unwrap();
        assert_eq!(sent, got);
    }
    let before = world.customer.stats().blob_received;
    world.customer.reset_stats();
    let again = world.load(&folder);
    assert!(again.images.iter().all(|image| image.state == State::Present));
    assert_eq!(world.customer.stats().blob_received, 0);
    assert_eq!(world.customer.stats().count("HEAD", Kind::Manifest), world.images.len());
    assert!(before > 0);
}

#[test]
fn files_and_tools_lie_in_the_folder_as_they_are() {
    let hash = |bytes: &str| bundle::digest::Digest::of(bytes.as_bytes()).hex();
    let (guide, helm) = (hash("read me"), hash("#!/bin/sh\necho helm\n"));
    let world = World::new(&format!(
        "files:\n  - {{from: docs/guide.md, to: docs/en/guide.md}}\n\
         tools:\n  - {{name: helm, platform: linux/amd64, sha256: \"{helm}\", from: helm-4}}\n"
    ));
    fs::create_dir(world.path("docs")).unwrap();
    fs::write(world.path("docs/guide.md"), "read me").unwrap();
    fs::write(world.path("helm-4"), "#!/bin/sh\necho helm\n").unwrap();
    world.lock();
    let folder = world.build("out");
    assert_eq!(fs::read(folder.join("docs/en/guide.md")).unwrap(), b"read me");
    let ran = std::process::Command::new(folder.join("tools/linux-amd64/helm")).output().unwrap();
    assert_eq!(ran.stdout, b"helm\n");
    let sums = fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
    assert!(sums.contains(&format!("{guide}  docs/en/guide.md\n")), "{sums}");
    assert!(sums.contains(&format!("{helm}  tools/linux-amd64/helm\n")), "{sums}");
    assert!(world.verify(&folder, true).ok);
    fs::write(folder.join("tools/linux-amd64/helm"), "#!/bin/sh\necho other\n").unwrap();
    assert!(!world.verify(&folder, false).ok);

    // What changed since it was locked is never delivered.
    fs::write(world.path("helm-4"), "#!/bin/sh\necho evil\n").unwrap();
    let error = world.try_build("again").unwrap_err().to_string();
    assert!(error.contains("helm-4") && !world.path("again/demo-1.2.0").exists(), "{error}");
}

#[test]
fn plain_volumes_make_the_same_folder_twice() {
    let world = World::new("seal: none\nvolume-size: 2MiB\n");
    world.lock();
    let (first, second) = (world.build("one"), world.build("two"));
    assert_eq!(files(&first), files(&second));
}

#[test]
fn sealed_volumes_make_the_same_index_but_for_their_hashes() {
    let world = World::new(SMALL);
    world.lock();
    let read = |out: &str| {
        let text = fs::read(world.build(out).join("bundle.json")).unwrap();
        let mut index: serde_json::Value = serde_json::from_slice(&text).unwrap();
        for volume in index["volumes"].as_array_mut().unwrap() {
            volume["sha256"] = "".into();
            volume["chunks"] = volume["chunks"].as_array().unwrap().len().into();
        }
        index
    };
    assert_eq!(read("one"), read("two"));
}

#[test]
fn the_delivered_folder_is_never_written() {
    let world = World::new(SMALL);
    world.lock();
    let folder = world.build("out");
    let before = files(&folder);
    world.verify(&folder, true);
    world.load(&folder);
    assert_eq!(files(&folder), before);
}

#[test]
fn a_flipped_bit_is_named_by_volume_chunk_and_range() {
    let world = World::new(SMALL);
    world.lock();
    let folder = world.build("out");
    let volume = fs::read_dir(folder.join("volumes")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&volume).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&volume, bytes).unwrap();
    let name = format!("volumes/{}", volume.file_name().unwrap().to_str().unwrap());
    for deep in [false, true] {
        let report = world.verify(&folder, deep);
        assert!(!report.ok);
        let text = report.findings.iter().map(|f| f.what.to_string()).collect::<Vec<_>>();
        assert_eq!(text.len(), 1, "{text:?}");
        assert!(text[0].starts_with(&format!("{name} is damaged in chunk 0, bytes ")), "{text:?}");
    }
    let report = world.load(&folder);
    assert!(!report.ok);
    assert!(report.images.iter().any(|image| image.damaged));
}
