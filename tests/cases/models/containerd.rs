//! The proof that a model's image is one: Debian's containerd pulls it from Debian's registry, unpacks and mounts it, and every file is
//! what it was.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Bench, Files, sharded, write};
use crate::cases::peers::registry::{Kind, Peer};
use crate::cases::program::tool;

/// A containerd with its own socket, root and state; ended when dropped, and what it mounted with it.
struct Containerd {
    folder: tempfile::TempDir,
    child: Child,
    mounts: Vec<PathBuf>,
}

impl Containerd {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let config = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.internal.v1.opt\", \
             \"io.containerd.snapshotter.v1.aufs\", \"io.containerd.snapshotter.v1.btrfs\", \
             \"io.containerd.snapshotter.v1.devmapper\", \"io.containerd.snapshotter.v1.zfs\"]\n\
             [grpc]\n  address = {:?}\n[ttrpc]\n  address = {:?}\n[debug]\n  level = \"warn\"\n",
            path("root"),
            path("state"),
            path("socket"),
            path("socket.ttrpc"),
        );
        fs::write(path("config.toml"), config).unwrap();
        let log = fs::File::create(path("log")).unwrap();
        let child = Command::new("containerd")
            .args(["--config", &path("config.toml")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("containerd is installed");
        let mut containerd = Self { folder, child, mounts: Vec::new() };
        let begun = Instant::now();
        while !containerd
            .ctr(&["version"])
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .unwrap()
            .success()
        {
            let ended = containerd.child.try_wait().unwrap();
            let log = fs::read_to_string(containerd.folder.path().join("log")).unwrap();
            assert!(
                ended.is_none() && begun.elapsed() < Duration::from_secs(60),
                "containerd: {ended:?}\n{log}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        containerd
    }

    fn ctr(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("ctr");
        command.arg("--address").arg(self.folder.path().join("socket")).args(["--namespace", "k8s.io"]);
        command.args(arguments).stdin(Stdio::null());
        command
    }

    /// Pulls `image` for `platform` as a node of that platform would, and mounts it read-only, as an image volume is; gives the mount.
    fn mounted(&mut self, image: &str, platform: &str) -> PathBuf {
        tool(&mut self.ctr(&[
            "images",
            "pull",
            "--plain-http",
            "--snapshotter",
            "overlayfs",
            "--platform",
            platform,
            image,
        ]));
        let target = self.folder.path().join(format!("mount-{}", self.mounts.len()));
        fs::create_dir(&target).unwrap();
        let shown = target.display().to_string();
        tool(&mut self.ctr(&[
            "images",
            "mount",
            "--snapshotter",
            "overlayfs",
            "--platform",
            platform,
            image,
            &shown,
        ]));
        self.mounts.push(target.clone());
        target
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        for mount in &self.mounts {
            let _ = Command::new("umount").arg(mount).status();
        }
        // SIGTERM lets it end its own mounts; it holds none, so a kill is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Every regular file below `folder`.
fn files(folder: &Path) -> Files {
    let mut found = Files::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(current) = folders.pop() {
        for entry in fs::read_dir(current).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn containerd_mounts_a_model_and_every_file_is_equal() {
    let bench = Bench::new();
    write(&bench.path("weights"), &sharded());
    bench.release("dir:weights", &["notice: LICENSE"]);
    let bundle = bench.build("out");
    let registry = Peer::start(Kind::Plain);
    bench.load(&bundle, &registry.host());
    let image = format!("{}/mirror/models/demo-model:1.2.0", registry.host());
    let mut containerd = Containerd::start();
    let amd64 = containerd.mounted(&image, "linux/amd64");
    assert!(files(&amd64) == sharded(), "{:?}", files(&amd64).keys());
    drop(containerd);
    // Nothing in it runs, so the image of the other platform unpacks and mounts here as well.
    let mut containerd = Containerd::start();
    let arm64 = containerd.mounted(&image, "linux/arm64");
    assert!(files(&arm64) == sharded(), "{:?}", files(&arm64).keys());
}

#[test]
fn real_weights_and_as_many_layers_as_are_allowed_mount_whole() {
    let folder = xtask::minilm::folder().unwrap();
    let bench = Bench::new();
    let mut wanted = files(&folder);
    // The limit on files is one on layers: with the most of them the mount must hold too.
    let more = bundle::limits::MODEL_FILES - wanted.len();
    let extra: Files =
        (0..more).map(|n| (format!("more/file-{n}.txt"), n.to_string().into_bytes())).collect();
    write(&bench.path("weights"), &wanted);
    write(&bench.path("weights"), &extra);
    wanted.extend(extra);
    bench.release("dir:weights", &["notice: LICENSE"]);
    let bundle = bench.build("out");
    let registry = Peer::start(Kind::Plain);
    bench.load(&bundle, &registry.host());
    let mut containerd = Containerd::start();
    let mount =
        containerd.mounted(&format!("{}/mirror/models/demo-model:1.2.0", registry.host()), "linux/amd64");
    let got = files(&mount);
    assert_eq!(got.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>());
    assert!(got == wanted);
}
