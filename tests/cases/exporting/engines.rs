//! Real engines that load a docker archive: dockerd and podman, each with a folder of its own, ended with the test.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use xtask::images::Compression;

use super::{entries, export};
use crate::cases::program::tool;
use crate::cases::serving::Site;
use crate::cases::serving::nodes::{WORDS, speaking};

/// Three images that share no layer, each packed in another way.
fn site() -> Site {
    let one = |name: &str, compression| speaking(&format!("acme/{name}"), name, compression);
    let images = vec![
        one("speaker", Compression::Gzip),
        one("plain", Compression::None),
        one("zstd", Compression::Zstd),
    ];
    Site::of("", images)
}

struct Dockerd {
    root: tempfile::TempDir,
    child: Child,
}

impl Dockerd {
    fn start() -> Self {
        let root = tempfile::Builder::new().prefix("dk").tempdir_in("/tmp").unwrap();
        let path = |name: &str| root.path().join(name).display().to_string();
        let log = fs::File::create(root.path().join("log")).unwrap();
        let child = Command::new("dockerd")
            .args(["--data-root", &path("data"), "--exec-root", &path("exec"), "--pidfile", &path("pid")])
            .args(["--host", &format!("unix://{}", path("sock")), "--config-file", &path("none")])
            .args(["--bridge", "none", "--iptables=false", "--ip6tables=false", "--storage-driver", "vfs"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("dockerd");
        fs::write(root.path().join("none"), "{}").unwrap();
        let this = Self { root, child };
        let begun = Instant::now();
        while !this.docker(&["version"]).output().unwrap().status.success() {
            let log = fs::read_to_string(this.root.path().join("log")).unwrap();
            assert!(begun.elapsed() < Duration::from_secs(90), "dockerd does not answer: {log}");
            std::thread::sleep(Duration::from_millis(100));
        }
        this
    }

    fn docker(&self, words: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.arg("--host").arg(format!("unix://{}", self.root.path().join("sock").display())).args(words);
        command.env("HOME", self.root.path());
        command
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

#[test]
fn docker_loads_and_runs_what_is_exported() {
    let site = site();
    let report = export(&site, "docker-archive:images.tar", &[]);
    assert_eq!(report["written"].as_array().unwrap().len(), 3);
    let tar = site.stage.path("images.tar");
    assert_eq!(entries(&tar)[0], "manifest.json");
    assert_eq!(fs::metadata(&tar).unwrap().len(), report["bytes"].as_u64().unwrap());
    let dockerd = Dockerd::start();
    let loaded = tool(&mut dockerd.docker(&["load", "-i", tar.to_str().unwrap()]));
    let loaded = String::from_utf8(loaded).unwrap();
    for name in ["acme/speaker:v1", "acme/plain:v1", "acme/zstd:v1"] {
        assert!(loaded.contains(name), "{loaded}");
        let run = ["run", "--rm", "--network", "none", name, "/bin/start"];
        assert_eq!(String::from_utf8(tool(&mut dockerd.docker(&run))).unwrap(), WORDS);
    }
}

#[test]
fn podman_loads_what_is_exported() {
    let site = site();
    export(&site, "docker-archive:images.tar", &[]);
    export(&site, "dir:tree", &[]);
    let root = tempfile::Builder::new().prefix("pm").tempdir_in("/tmp").unwrap();
    let podman = |words: &[&str]| {
        let mut command = Command::new("podman");
        command
            .arg("--root")
            .arg(root.path().join("root"))
            .arg("--runroot")
            .arg(root.path().join("run"))
            .args(["--storage-driver", "vfs"])
            .args(words)
            .env("HOME", root.path());
        String::from_utf8(tool(&mut command)).unwrap()
    };
    let tar = site.stage.path("images.tar").display().to_string();
    podman(&["load", "-i", &tar]);
    let names = podman(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
    for name in ["docker.io/acme/speaker:v1", "docker.io/acme/plain:v1", "docker.io/acme/zstd:v1"] {
        assert!(names.contains(name), "{names}");
    }
    podman(&["rmi", "--all"]);
    podman(&["load", "-i", &site.stage.path("tree/images/speaker-v1.tar").display().to_string()]);
    let names = podman(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
    assert!(names.contains("docker.io/acme/speaker:v1") && !names.contains("acme/plain"), "{names}");
}

#[test]
fn skopeo_reads_every_sample_from_an_archive() {
    let site = Site::new("");
    export(&site, "docker-archive:images.tar", &["--platform", "linux/amd64"]);
    for image in &site.images {
        let from = format!("docker-archive:images.tar:docker.io/{}:{}", image.repository, image.tag);
        tool(Command::new("skopeo").args(["inspect", "--raw", &from]).current_dir(site.stage.path("")));
        let to =
            format!("dir:{}", site.stage.path("copied").join(image.repository.replace('/', "-")).display());
        fs::create_dir_all(site.stage.path("copied")).unwrap();
        tool(Command::new("skopeo").args(["copy", &from, &to]).current_dir(site.stage.path("")));
    }
}
