//! The texts a bundle carries for its operator: as they should read, and their commands run as printed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bundle::bundle::names::TEXTS;

use super::peers::registry::{Kind, Peer};
use super::program::tool;
use super::world::World;

/// A delivered folder, and an operator's own folder beside it.
struct Delivered {
    world: World,
    folder: PathBuf,
}

fn delivered(settings: &str) -> Delivered {
    let mut world = World::new(settings);
    world.grantees[1].name = "acme-corp".parse().unwrap();
    world.lock();
    let folder = world.build("stick");
    Delivered { world, folder }
}

/// Compares with what is kept, or writes it anew where `BUNDLE_SNAPSHOTS=write` asks for that.
fn compare(kind: &str, delivered: &Delivered) {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots/texts").join(kind);
    // The one thing that a run makes up.
    let key = delivered.world.key.public().id().to_string();
    for name in TEXTS {
        let got = fs::read_to_string(delivered.folder.join(name)).unwrap().replace(&key, "0123456789abcdef");
        let place = kept.join(name);
        if std::env::var_os("BUNDLE_SNAPSHOTS").is_some_and(|value| value == "write") {
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(&place, &got).unwrap();
        }
        let wanted = fs::read_to_string(&place).unwrap_or_default();
        assert!(got == wanted, "{name} is not {}:\n{got}", place.display());
        assert!(!got.contains("{{") && !got.contains("{%"), "{name}");
    }
}

fn shellcheck(delivered: &Delivered) {
    for name in TEXTS.iter().filter(|name| name.ends_with(".sh")) {
        tool(Command::new("shellcheck").arg(delivered.folder.join(name)));
    }
}

#[test]
fn texts_of_a_sealed_bundle_read_as_they_should() {
    let delivered = delivered("volume-size: 2MiB\n");
    compare("sealed", &delivered);
    shellcheck(&delivered);
}

#[test]
fn texts_of_a_plain_bundle_read_as_they_should() {
    let delivered = delivered("seal: none\n");
    compare("plain", &delivered);
    shellcheck(&delivered);
}

/// The `sh` blocks of a guide, in order, one script.
fn blocks(text: &str) -> Vec<String> {
    text.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// The README's own lines, from the folder that holds the bundle, the keys and the policy.
#[test]
fn the_readme_is_right_about_our_program() {
    for settings in ["volume-size: 2MiB\n", "seal: none\n"] {
        let delivered = delivered(settings);
        let registry = Peer::start(Kind::Tls);
        let home = delivered.folder.parent().unwrap();
        for name in ["vendor.pub", "acme.key"] {
            fs::copy(delivered.world.path(name), home.join(name)).unwrap();
        }
        let readme = fs::read_to_string(delivered.folder.join("README.md")).unwrap();
        let blocks = readme.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap());
        let ours: Vec<&str> = blocks.filter(|block| block.starts_with("bundle ")).collect();
        assert_eq!(ours.len(), 1, "{readme}");
        let policy = "bundle trust init --key vendor.pub --threshold 1 --out trust.json\n";
        let script = policy.to_owned() + &ours[0].replace("harbor.acme.internal", &registry.host());
        let program = Path::new(env!("CARGO_BIN_EXE_bundle")).parent().unwrap();
        let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("sh");
        shell.args(["-euc", &script]).current_dir(home).env_clear().env("PATH", path).env("HOME", home);
        tool(shell.env("BUNDLE_STATE", home.join("state")).env("SSL_CERT_FILE", registry.ca()));
    }
}

fn run_the_guide(settings: &str) {
    let delivered = delivered(settings);
    let guide = fs::read_to_string(delivered.folder.join("INSTALLATION_GUIDE.md")).unwrap();
    let operations = fs::read_to_string(delivered.folder.join("docs/OPERATIONS.md")).unwrap();
    let registry = Peer::start(Kind::Tls);
    let stick = delivered.folder.parent().unwrap().display().to_string();
    let home = delivered.world.path("operator");
    fs::create_dir(&home).unwrap();
    for name in ["vendor.pub", "acme.key"] {
        fs::copy(delivered.world.path(name), home.join(name)).unwrap();
    }
    let program = Path::new(env!("CARGO_BIN_EXE_bundle")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let before = super::world::files(&delivered.folder);
    let all = [blocks(&guide), blocks(&operations)].concat();
    assert_eq!(all.len(), 6, "{all:#?}");
    for block in all {
        // What an operator puts in: where the medium is, and the registry's name.
        let script = block.replace("/media/stick", &stick).replace("harbor.acme.internal", &registry.host());
        let mut shell = Command::new("sh");
        shell.args(["-euc", &script]).current_dir(&home).env_clear();
        shell.env("PATH", &path).env("HOME", &home).env("BUNDLE_STATE", home.join("state"));
        shell.env("SSL_CERT_FILE", registry.ca());
        tool(&mut shell);
    }
    for image in &delivered.world.images {
        let reference = format!("docker://{}/{}:{}", registry.host(), image.repository, image.tag);
        let raw = tool(registry.skopeo("inspect", "").arg("--raw").arg(reference));
        assert_eq!(raw, image.graph.root().bytes, "{}", image.repository);
    }
    // Nothing was written on the medium.
    assert_eq!(super::world::files(&delivered.folder), before);
}

#[test]
fn the_guide_of_a_sealed_bundle_works_as_printed() {
    run_the_guide("volume-size: 2MiB\n");
}

#[test]
fn the_guide_of_a_plain_bundle_works_as_printed() {
    run_the_guide("seal: none\n");
}

#[test]
fn load_images_takes_names_that_layouts_do_not_have() {
    let world = World::new("seal: none\n");
    let image = &world.images[0];
    let from = format!("{}/{}:{}", world.vendor.host(), image.repository, image.tag);
    let mut release = fs::read_to_string(world.path("release.yaml")).unwrap();
    release += &format!("  - {{ref: \"docker.io/odd__name/x---y:v1..2-\", from: \"{from}\"}}\n");
    fs::write(world.path("release.yaml"), release).unwrap();
    world.lock();
    let folder = world.build("stick");
    let registry = Peer::start(Kind::Plain);
    let mut shell = Command::new("sh");
    shell.arg(folder.join("scripts/load-images.sh")).args(["--registry", &registry.host(), "--plain-http"]);
    tool(shell.args(["--public-key", "vendor.pub"]).current_dir(world.folder.path()));
    let reference = format!("docker://{}/odd__name/x---y:v1..2-", registry.host());
    let raw = tool(registry.skopeo("inspect", "").arg("--raw").arg(reference));
    assert_eq!(raw, image.graph.root().bytes);
}

#[test]
fn load_images_says_what_is_wrong_and_does_nothing_then() {
    let delivered = delivered("");
    let script = delivered.folder.join("scripts/load-images.sh");
    let other = super::world::signing_key(delivered.world.folder.path(), "other");
    assert_ne!(other.public().id(), delivered.world.key.public().id());
    let grant = delivered.folder.join("grants/acme-corp.age");
    let run = |key: &str, identity: &str| {
        let mut shell = Command::new("sh");
        shell.arg(&script).args(["--registry", "127.0.0.1:1", "--public-key", key, "--identity", identity]);
        shell.arg("--grant").arg(&grant).current_dir(delivered.world.folder.path());
        let output = shell.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = run("other.pub", "acme.key");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no signature is by"), "{said}");
    let (code, said) = run("vendor.pub", "escrow.key");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("does not open with"), "{said}");
    let volume = fs::read_dir(delivered.folder.join("volumes")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&volume).unwrap();
    bytes[9000] ^= 1;
    fs::write(&volume, bytes).unwrap();
    let (code, said) = run("vendor.pub", "acme.key");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("not what was signed"), "{said}");
    let output = Command::new("sh").arg(&script).arg("--frobnicate").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
