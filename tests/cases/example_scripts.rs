//! The worked example's own scripts: the backup, and the copy of a model out of a registry.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use xtask::images::{Compression, Family, Layer, image};
use xtask::registry::{Config, Server};

use super::example_chart::folder;
use super::program::tool;

#[test]
fn shellcheck_finds_nothing() {
    for name in ["incidentfox-installer", "scripts/backup-database.sh"] {
        tool(Command::new("shellcheck").arg(folder().join(name)));
    }
}

/// A program of that name that runs `script`.
fn stand_in(folder: &Path, name: &str, script: &str) {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_backup_is_whole_or_not_there() {
    for (reason, script, code) in [
        ("a dump", "printf 'PGDMP and more'", 0),
        ("a pod that is not there", "echo 'pods not found' >&2; exit 1", 3),
        ("a broken connection", "printf 'PGDMP and'; exit 1", 3),
        ("something else", "printf '<html>'", 3),
        ("nothing", ":", 3),
    ] {
        let scratch = tempfile::tempdir().unwrap();
        let bin = scratch.path().join("bin");
        fs::create_dir(&bin).unwrap();
        stand_in(&bin, "kubectl", script);
        // Whether this machine has a real one is not the question here.
        stand_in(&bin, "pg_restore", "exit 0");
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("sh");
        command.arg(folder().join("scripts/backup-database.sh")).args(["--out", "backups"]);
        let output = command.current_dir(scratch.path()).env("PATH", path).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{reason}: {said}");
        let left: Vec<_> =
            fs::read_dir(scratch.path().join("backups")).unwrap().map(|e| e.unwrap().path()).collect();
        assert_eq!(left.len(), usize::from(code == 0), "{reason}: {left:?}");
        if code != 0 {
            assert!(said.contains("there is no backup"), "{reason}: {said}");
        } else {
            assert_eq!(fs::metadata(&left[0]).unwrap().permissions().mode() & 0o077, 0);
        }
    }
}

/// A registry that has a model of one file a layer.
fn registry(files: &[(&str, &[u8])]) -> Server {
    let server = Server::start(Config::default()).unwrap();
    let layers: Vec<Layer> =
        files.iter().map(|file| Layer::of_files(&[*file], Compression::None).unwrap()).collect();
    image(Family::Oci, "linux/amd64", &layers).put(&server, "models/small", "1.0").unwrap();
    server
}

fn copy(server: &Server, target: &Path) -> Output {
    Command::new("python3")
        .arg(folder().join("chart/incidentfox-enterprise/files/copy_model.py"))
        .env("MODEL_IMAGE", format!("{}/models/small:1.0", server.host()))
        .env("MODEL_FOLDER", target)
        .env("PLAIN_HTTP", "true")
        .output()
        .unwrap()
}

#[test]
fn a_model_is_copied_once_and_mended() {
    let large = vec![7; 9 << 20];
    let server = registry(&[("config.json", b"{}"), ("model.safetensors", &large), ("deep/er/x", b"x")]);
    let scratch = tempfile::tempdir().unwrap();
    let target = scratch.path().join("models/small");
    let told = |output: Output| {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let first = told(copy(&server, &target));
    assert_eq!(first.matches("copying").count(), 3, "{first}");
    assert_eq!(fs::read(target.join("model.safetensors")).unwrap(), large);
    assert_eq!(fs::read(target.join("deep/er/x")).unwrap(), b"x");
    let second = told(copy(&server, &target));
    assert_eq!(second.matches("there already").count(), 3, "{second}");
    // One cut off, and one that does not belong.
    fs::write(target.join("config.json"), "").unwrap();
    fs::write(target.join("old.safetensors"), "old").unwrap();
    let third = told(copy(&server, &target));
    assert_eq!(third.matches("copying").count(), 1, "{third}");
    assert_eq!(fs::read(target.join("config.json")).unwrap(), b"{}");
    assert!(!target.join("old.safetensors").exists());
}

#[test]
fn a_model_that_is_not_there_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let server = registry(&[("x", b"x")]);
    let missing = Command::new("python3")
        .arg(folder().join("chart/incidentfox-enterprise/files/copy_model.py"))
        .env("MODEL_IMAGE", format!("{}/models/other:1.0", server.host()))
        .env("MODEL_FOLDER", scratch.path().join("m"))
        .env("PLAIN_HTTP", "true")
        .output()
        .unwrap();
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("was it loaded?"));
}
