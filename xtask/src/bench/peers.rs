//! The same work by the programs people have now, on the same data.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::measure::{Run, run};
use super::row::Row;
use super::spine::Stage;
use crate::say;

/// `sha256sum -c`, `age`, and `skopeo copy` into `docker-registry`, each after its counterpart of ours where that was not measured yet.
pub(super) fn rows(stage: &Stage<'_>, tags: &[String], bytes: u64) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    let mut add = |name: &str, run: Run, ours: bool| {
        say::line(&format!("  {name}: {:.1} s", run.seconds));
        rows.push(Row { ours, ..Row::once(name, bytes, run) });
    };
    let log = stage.folder.join("log");
    let mut sums = Command::new("sha256sum");
    sums.args(["-c", "--quiet", "SHA256SUMS"]).current_dir(stage.folder.join("out/bench-1.0.0"));
    add("sha256sum -c", run(&mut sums, &log)?, false);

    let recipient = std::fs::read_to_string(stage.folder.join("acme.pub")).map_err(|e| e.to_string())?;
    let age = format!("cat layout/blobs/sha256/* | age -r {} -o sealed.age", recipient.trim());
    let mut sealing = Command::new("sh");
    sealing.args(["-c", &age]).current_dir(stage.folder);
    add("age, one file", run(&mut sealing, &log)?, false);
    let _ = std::fs::remove_file(stage.folder.join("sealed.age"));

    let registry = Registry::start(&stage.folder.join("registry-a"))?;
    let to = format!("{}/bench", registry.host);
    let words = [
        "load",
        "out/bench-1.0.0",
        "--trust",
        "trust.json",
        "--identity",
        "acme.key",
        "--registry",
        &to,
        "--progress",
        "none",
    ];
    add("load, docker-registry", stage.bundle(&words)?, true);
    drop(registry);
    let registry = Registry::start(&stage.folder.join("registry-b"))?;
    let copy: Vec<String> = tags
        .iter()
        .map(|tag| {
            format!(
                "skopeo copy -q --all --preserve-digests --dest-tls-verify=false oci:layout:{tag} docker://{}/bench/image:{tag}",
                registry.host
            )
        })
        .collect();
    let mut skopeo = Command::new("sh");
    skopeo.args(["-ec", &copy.join("\n")]).current_dir(stage.folder);
    add("skopeo copy, docker-registry", run(&mut skopeo, &log)?, false);
    Ok(rows)
}

/// Debian's `docker-registry` on a free port; ended when dropped.
pub(super) struct Registry {
    child: Child,
    pub(super) host: String,
    folder: std::path::PathBuf,
}

impl Registry {
    pub(super) fn start(folder: &Path) -> Result<Self, String> {
        let text = |e: std::io::Error| e.to_string();
        std::fs::create_dir_all(folder).map_err(text)?;
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).map_err(text)?.port();
        let host = format!("127.0.0.1:{port}");
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {:?}}}}}\nhttp: {{addr: \"{host}\"}}\n",
            folder.join("data")
        );
        let path = folder.join("config.yml");
        std::fs::write(&path, config).map_err(text)?;
        let child = Command::new("docker-registry")
            .args(["serve".as_ref(), path.as_os_str()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("docker-registry: {e}"))?;
        let registry = Self { child, host, folder: folder.to_owned() };
        let started = Instant::now();
        while std::net::TcpStream::connect(&registry.host).is_err() {
            if started.elapsed() > Duration::from_secs(20) {
                return Err("docker-registry does not answer".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(registry)
    }

    /// Every file of its storage.
    pub(super) fn files(&self) -> Result<Vec<std::path::PathBuf>, String> {
        let mut folders = vec![self.folder.join("data")];
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            for path in super::spine::files(&folder)? {
                if path.is_dir() { folders.push(path) } else { found.push(path) }
            }
        }
        Ok(found)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
