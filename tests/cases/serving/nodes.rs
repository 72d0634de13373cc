//! Nodes: a real containerd that finds the vendor's image here by the files that we print, pulls it over TLS and runs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use xtask::images::{Compression, Family, Layer, Named, image};

use super::clients::{TLS, with_certificates};
use super::{Serving, Site};
use crate::cases::program::tool;

/// What the container says.
pub(crate) const WORDS: &str = "served from sealed volumes\n";

/// A static program for x86-64 Linux that writes [`WORDS`] and ends: an ELF header, one segment, eleven instructions.
pub(crate) fn program() -> Vec<u8> {
    let length = u32::try_from(WORDS.len()).unwrap();
    let mut code = Vec::new();
    code.extend([0xb8, 1, 0, 0, 0]); // mov eax, 1 (write)
    code.extend([0xbf, 1, 0, 0, 0]); // mov edi, 1
    code.extend([0x48, 0x8d, 0x35, 16, 0, 0, 0]); // lea rsi, [rip + 16]
    code.push(0xba); // mov edx, length
    code.extend(length.to_le_bytes());
    code.extend([0x0f, 0x05]); // syscall
    code.extend([0xb8, 60, 0, 0, 0]); // mov eax, 60 (exit)
    code.extend([0x31, 0xff]); // xor edi, edi
    code.extend([0x0f, 0x05]); // syscall
    code.extend(WORDS.as_bytes());
    let base: u64 = 0x40_0000;
    let all = 64 + 56 + code.len() as u64;
    let mut elf = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    elf.extend(2u16.to_le_bytes());
    elf.extend(62u16.to_le_bytes());
    elf.extend(1u32.to_le_bytes());
    for number in [base + 64 + 56, 64, 0] {
        elf.extend(number.to_le_bytes());
    }
    elf.extend(0u32.to_le_bytes());
    for number in [64u16, 56, 1, 0, 0, 0] {
        elf.extend(number.to_le_bytes());
    }
    elf.extend(1u32.to_le_bytes());
    elf.extend(5u32.to_le_bytes());
    for number in [0, base, base, all, all, 4096] {
        elf.extend(number.to_le_bytes());
    }
    elf.extend(code);
    elf
}

/// An image that says [`WORDS`]. Its one layer is told from others by `mark`, and packed as `compression` says.
pub(crate) fn speaking(repository: &str, mark: &str, compression: Compression) -> Named {
    let files = [("bin/start", &program()[..]), ("etc/mark", mark.as_bytes())];
    let layer = Layer::of_files(&files, compression).unwrap();
    let graph = image(Family::Oci, "linux/amd64", &[layer]);
    Named { repository: repository.to_owned(), tag: "v1".to_owned(), graph }
}

/// A containerd of its own, ended with the test.
struct Containerd {
    root: tempfile::TempDir,
    child: Child,
}

impl Containerd {
    fn start() -> Self {
        // A socket's path is short.
        let root = tempfile::Builder::new().prefix("cd").tempdir_in("/tmp").unwrap();
        let path = |name: &str| root.path().join(name).display().to_string();
        let config = format!(
            "version = 2\nroot = \"{}\"\nstate = \"{}\"\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = \"{}\"\n",
            path("root"),
            path("state"),
            path("sock")
        );
        fs::write(root.path().join("config.toml"), config).unwrap();
        let log = fs::File::create(root.path().join("log")).unwrap();
        let child = Command::new("containerd")
            .args(["--config", &path("config.toml")])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("containerd");
        let this = Self { root, child };
        let begun = Instant::now();
        while !this.ctr(&["version"]).output().unwrap().status.success() {
            let log = fs::read_to_string(this.root.path().join("log")).unwrap();
            assert!(begun.elapsed() < Duration::from_secs(60), "containerd does not answer: {log}");
            std::thread::sleep(Duration::from_millis(50));
        }
        this
    }

    fn ctr(&self, words: &[&str]) -> Command {
        let mut command = Command::new("ctr");
        command.arg("--address").arg(self.root.path().join("sock")).args(words);
        command
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// Puts the files that `--print-hosts-toml` prints where its comments say, below `root` in place of `/etc/containerd/certs.d`.
fn place(printed: &str, root: &Path) -> Vec<PathBuf> {
    let mut placed: Vec<PathBuf> = Vec::new();
    for line in printed.lines() {
        if let Some(path) = line.strip_prefix("# ---- /etc/containerd/certs.d/") {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            placed.push(path);
        } else if let Some(path) = placed.last() {
            let here = line.replace("/etc/containerd/certs.d", root.to_str().unwrap());
            let before = fs::read_to_string(path).unwrap_or_default();
            fs::write(path, before + &here + "\n").unwrap();
        }
    }
    placed
}

#[test]
fn containerd_runs_a_container_pulled_over_tls_by_the_vendors_name() {
    let site = Site::of("volume-size: 1MiB\n", vec![speaking("acme/speaker", "node", Compression::Gzip)]);
    with_certificates(&site);
    let serving: Serving = site.serving(&TLS);
    let mut words = site.words("serve");
    let host = serving.host();
    words.extend(["--listen", &host, "--print-hosts-toml"].map(str::to_owned));
    words.extend(TLS.map(str::to_owned));
    let printed = site.stage.program.done(&words).stdout;
    let hosts = site.stage.path("certs.d");
    let placed = place(&printed, &hosts);
    assert!(placed.iter().any(|path| path.ends_with("docker.io/hosts.toml")), "{printed}");
    assert!(placed.iter().any(|path| path.ends_with(format!("{host}/hosts.toml"))), "{printed}");
    fs::copy(site.stage.path("ca.crt"), hosts.join("bundle-ca.crt")).unwrap();

    let containerd = Containerd::start();
    let hosts = hosts.display().to_string();
    // As the vendor's chart names it; and as one names it who takes this for a registry.
    for name in ["docker.io/acme/speaker:v1".to_owned(), format!("{host}/acme/speaker:v1")] {
        tool(&mut containerd.ctr(&[
            "images",
            "pull",
            "--snapshotter",
            "native",
            "--hosts-dir",
            &hosts,
            &name,
        ]));
        let id = format!("speaker-{}", name.len());
        // Its words go to a file: what a container says at once and ends with can be gone before `ctr` listens.
        let said = site.stage.path(&id);
        let log = format!("file://{}", said.display());
        let run = ["run", "--rm", "--snapshotter", "native", "--log-uri", &log, &name, &id, "/bin/start"];
        tool(&mut containerd.ctr(&run));
        assert_eq!(fs::read_to_string(&said).unwrap(), WORDS);
    }
    let log = serving.log(1);
    assert!(log.iter().any(|entry| entry["target"].as_str().unwrap().contains("ns=docker.io")), "{log:#?}");
    assert!(log.iter().all(|entry| entry.get("fault").is_none()));
}
