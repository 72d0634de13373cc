//! Bad input: each with its message, its state, its next step and its exit code.

use std::fs;
use std::process::Command;

use super::Forged;
use crate::cases::program::{Outcome, tool};
use crate::cases::serving::{Site, flip};

fn run(site: &Site, to: &str, more: &[&str]) -> Outcome {
    let mut words = site.words("export");
    words.extend(["--to", to].iter().chain(more).map(|word| (*word).to_owned()));
    site.stage.program.run(&words)
}

#[test]
fn what_cannot_be_written_is_named_before_anything_is() {
    let site = Site::new("");
    let nothing = || {
        let names = fs::read_dir(site.stage.path("")).unwrap();
        let part = |name: std::ffi::OsString| name.to_string_lossy().contains(".part");
        assert!(!names.into_iter().any(|entry| part(entry.unwrap().file_name())));
    };
    fs::create_dir(site.stage.path("there")).unwrap();
    fs::write(site.stage.path("there.tar"), "mine").unwrap();
    run(&site, "oci:there", &[]).says(2, &["there: exists", "nothing is overwritten"]);
    run(&site, "dir:there", &[]).says(2, &["there: exists"]);
    let amd = ["--platform", "linux/amd64"];
    run(&site, "docker-archive:there.tar", &amd).says(2, &["there.tar: exists"]);
    assert_eq!(fs::read(site.stage.path("there.tar")).unwrap(), b"mine");
    let inside = site.bundle().join("volumes/x").display().to_string();
    for form in ["oci", "docker-archive", "dir"] {
        run(&site, &format!("{form}:{inside}"), &amd).says(2, &["a delivered folder is never written to"]);
    }
    run(&site, "oci:gone/layout", &[]).says(2, &["gone", "look at the path"]);
    run(&site, "oci:", &[]).says(2, &["the path is missing"]);
    run(&site, "zip:x", &[]).says(2, &["oci:PATH, docker-archive:PATH or dir:PATH"]);
    run(&site, "oci:x", &["--image", "no/such:v1"])
        .says(2, &["the bundle has no no/such:v1", "docker.io/incidentfox/agent:v1.2.0", "bundle inspect"]);
    run(&site, "oci:x", &["--platform", "linux/s390x"])
        .says(2, &["is not for linux/s390x; it is for linux/amd64", "--platform"]);
    run(&site, "docker-archive:x.tar", &[]).says(2, &["docker load takes one", "--platform linux/amd64"]);
    nothing();
    let forged = Forged::new();
    let words = forged.words("export", &["--to", "docker-archive:x.tar", "--image", "charts/app:1.2.0_b1"]);
    forged.program.run(&words).says(2, &["only images go into a docker archive"]);
}

#[test]
fn damage_ends_an_export_and_nothing_looks_whole() {
    let site = Site::new("volume-size: 1MiB\n");
    let volumes = site.bundle().join("volumes");
    let mut paths: Vec<_> = fs::read_dir(volumes).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    flip(paths.last().unwrap(), 50_000);
    let name = paths.last().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    let named = format!("volume volumes/{name}: chunk 0 (bytes ");
    for to in ["oci:x", "dir:x"] {
        run(&site, to, &["--platform", "linux/amd64"]).says(1, &[&named, "bundle verify"]);
    }
    run(&site, "docker-archive:x", &["--platform", "linux/amd64"]).says(1, &[&named]);
    assert!(!site.stage.path("x").exists());
    flip(&site.bundle().join("SHA256SUMS"), 3);
    run(&site, "oci:x", &[]).says(1, &["nothing was written", "copy it again"]);
}

#[test]
fn a_disk_too_small_or_read_only_is_told_before_the_first_byte() {
    let site = Site::new("");
    let disk = site.stage.path("disk");
    fs::create_dir(&disk).unwrap();
    tool(Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(&disk));
    let full = run(&site, "oci:disk/layout", &[]);
    tool(Command::new("mount").args(["-o", "remount,ro"]).arg(&disk));
    let read_only = run(&site, "oci:disk/other", &[]);
    tool(Command::new("umount").arg(&disk));
    full.says(3, &["disk has ", " bytes free; ", " are needed", "state: disk/layout does not exist"]);
    read_only.says(3, &["Read-only file system", "write to another place"]);
}
