//! What somebody else put where the vendor builds: a state to go on with, links to elsewhere, an edited lock. A build that believed it
//! would be signed by the vendor all the same.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;

use serde_json::json;
use sha2::{Digest as _, Sha256};
use xtask::images::{Compression, Family, Layer, Named, Seed, image};
use xtask::registry::{Config, Server};

use super::forge::{Forgery, Yard};
use super::program::Program;
use super::stage::Stage;

const VOLUME: &str = "demo-1.2.0.0001.tar.age";

/// A locked release of one image, and the registry it is read from.
fn stage() -> (Stage, Server) {
    let vendor = Server::start(Config::default()).unwrap();
    let layer = Layer::seeded(Seed::of("planted"), 200 << 10, Compression::None).unwrap();
    let graph = image(Family::Oci, "linux/amd64", &[layer]);
    let named = Named { repository: "planted/one".to_owned(), tag: "v1".to_owned(), graph };
    named.graph.put(&vendor, &named.repository, &named.tag).unwrap();
    let stage = Stage::new();
    stage.release("platforms: [linux/amd64]\n", &[named], &vendor.host());
    stage.program.done(&["lock"]);
    (stage, vendor)
}

/// The state of a build of this lock, with a key that whoever wrote it knows.
fn state(stage: &Stage) -> String {
    let lock = hex::encode(Sha256::digest(fs::read(stage.path("release.lock")).unwrap()));
    let known = fs::read_to_string(stage.path("acme.key")).unwrap();
    let key = known.lines().find(|line| line.starts_with("AGE-SECRET-KEY-1")).unwrap();
    let volume_bytes = (4_u64 << 30) - (4 << 20);
    let state = json!({"format": 1, "lock": format!("sha256:{lock}"), "seal": "age", "volume_bytes": volume_bytes, "key": key});
    format!("{state}\n")
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_state_that_others_could_have_written_is_not_gone_on_with() {
    type Plant = fn(&Path, &Path);
    let (stage, _vendor) = stage();
    let cases: [(&str, Plant, &str); 5] = [
        ("a state open to the writing of others", |_, state| mode(state, 0o666), "others may write to it"),
        ("a state open to the reading of others", |_, state| mode(state, 0o644), "others may read"),
        ("another user's state", |_, state| chown(state, Some(1000), None).unwrap(), "it is another user's"),
        ("another user's folder", |work, _| chown(work, Some(1000), None).unwrap(), "it is another user's"),
        ("a folder that others may write to", |work, _| mode(work, 0o777), "others may write to it"),
    ];
    for (reason, plant, said) in cases {
        let out = stage.path("out");
        let work = out.join(".demo-1.2.0.partial");
        fs::create_dir_all(&work).unwrap();
        let file = work.join("build-state");
        fs::write(&file, state(&stage)).unwrap();
        mode(&file, 0o600);
        plant(&work, &file);
        stage.program.run(&stage.build("out")).says(1, &[said, "hint:"]);
        assert!(!stage.bundle("out").exists(), "{reason}");
        fs::remove_dir_all(&out).unwrap();
    }
}

#[test]
fn no_link_in_the_work_folder_is_followed() {
    let (stage, _vendor) = stage();
    let victim = stage.path("victim");
    for link in ["volumes/first", "build-state", "bundle.json", "volumes", ""] {
        fs::write(&victim, b"precious").unwrap();
        let out = stage.path("out");
        let work = out.join(".demo-1.2.0.partial");
        let place = work.join(link.replace("first", VOLUME));
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        let target =
            if link.is_empty() || link == "volumes" { stage.path("elsewhere") } else { victim.clone() };
        fs::create_dir_all(stage.path("elsewhere")).unwrap();
        // The work folder itself has no last part of its own to name.
        symlink(&target, place.components().as_path()).unwrap();
        stage.program.run(&stage.build("out")).says(1, &["it is a link", "hint:"]);
        assert!(!stage.bundle("out").exists(), "{link}");
        assert_eq!(fs::read(&victim).unwrap(), b"precious", "{link}");
        assert_eq!(fs::read_dir(stage.path("elsewhere")).unwrap().count(), 0, "{link}");
        fs::remove_dir_all(&out).unwrap();
    }
}

#[test]
fn a_lock_that_was_edited_is_refused_by_what_was_changed() {
    let (stage, _vendor) = stage();
    let path = stage.path("release.lock");
    let good = fs::read_to_string(&path).unwrap();
    for (line, edited, said) in [
        ("seal: age", "seal: none", "the seal"),
        ("version: \"1.2.0\"", "version: \"9.0.0\"", "the version"),
        ("vendor: Demo", "vendor: Evil", "the vendor"),
        ("name: demo", "name: other", "the name"),
        ("docker.io/planted/one:v1", "docker.io/planted/two:v1", "image docker.io/planted/one:v1"),
    ] {
        let (before, after) = good.split_once(line).unwrap_or_else(|| panic!("no {line} in {good}"));
        fs::write(&path, format!("{before}{edited}{after}")).unwrap();
        stage.program.run(&stage.build("out")).says(1, &[said, "is not what", "bundle lock"]);
        assert!(!stage.path("out").exists(), "{edited}");
    }
    // The platforms that an image is said to have are those of its manifests.
    let (before, after) = good.split_once("linux/amd64").unwrap();
    for said in ["linux/arm64", ""] {
        fs::write(&path, format!("{before}{said}{after}")).unwrap();
        stage.program.run(&stage.build("out")).says(1, &["image docker.io/planted/one:v1"]);
    }
    // Nothing of the vendor's disk travels that the release does not name.
    let hash = hex::encode(Sha256::digest(fs::read(stage.path("vendor.key")).unwrap()));
    let size = fs::metadata(stage.path("vendor.key")).unwrap().len();
    let smuggled =
        format!("files:\n  - {{path: docs/x, size: {size}, sha256: \"{hash}\", from: vendor.key}}\n");
    fs::write(&path, format!("{good}{smuggled}")).unwrap();
    stage.program.run(&stage.build("out")).says(1, &["file docs/x"]);
    fs::write(&path, good).unwrap();
    stage.program.done(&stage.build("out"));
}

/// Where others can write, they may have prepared what an export would go on with.
#[test]
fn an_export_follows_no_link_that_lay_there_and_writes_into_no_file_of_others() {
    let yard = Yard::new();
    let program = Program::at(&yard.path("."));
    program.done(&["trust", "init", "--key", "vendor.pub", "--threshold", "1", "--out", "trust.json"]);
    Forgery::small().write(&yard, "good", &[&yard.key]);
    let victim = yard.path("victim");
    fs::create_dir(&victim).unwrap();
    fs::write(victim.join("file"), b"mine").unwrap();
    let export = |to: &str| {
        let line = format!(
            "export good --trust trust.json --identity acme.key --image docker.io/demo/one:v1 --to {to}"
        );
        program.run(&line.split(' ').collect::<Vec<_>>())
    };
    symlink(&victim, yard.path(".tree.parts")).unwrap();
    export("dir:tree").says(1, &[".tree.parts", "it is a link"]);
    fs::create_dir_all(yard.path(".layout.parts/blobs")).unwrap();
    symlink(victim.join("file"), yard.path(".layout.parts/index.json")).unwrap();
    export("oci:layout").says(1, &[".layout.parts/index.json", "it is a link"]);
    symlink(victim.join("file"), yard.path(".x.tar.part")).unwrap();
    export("docker-archive:x.tar").says(1, &[".x.tar.part", "it is a link"]);
    fs::write(yard.path(".y.tar.part"), b"theirs").unwrap();
    fs::hard_link(yard.path(".y.tar.part"), yard.path("other-name")).unwrap();
    export("docker-archive:y.tar").says(1, &[".y.tar.part", "it has a second name elsewhere"]);
    assert_eq!(fs::read(yard.path("other-name")).unwrap(), b"theirs");
    assert_eq!(fs::read_dir(&victim).unwrap().count(), 1);
    assert_eq!(fs::read(victim.join("file")).unwrap(), b"mine");
}
