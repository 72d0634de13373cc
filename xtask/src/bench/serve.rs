//! Pulls from `bundle serve`, and of the same blobs from `docker-registry`, by a client that looks at nothing it gets.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use rustix::net::{RecvFlags, recv};

use super::bare;
use super::machine;
use super::measure::Run;
use super::medium;
use super::peers::Registry;
use super::row::{Beside, Row};
use super::spine::{BUNDLE, Stage, files, load};

/// Layers that containerd pulls at the same time for one image, unless it is told otherwise.
const ONE: usize = 3;
/// The same of podman and skopeo.
const SIX: usize = 6;
/// Pulls at the same time beside `docker-registry`.
const MANY: usize = 8;

/// `bundle serve` to one client, by what the machine allows; and to many, by what `docker-registry` gives of the same blobs from disk:
/// eight nodes that pull the same image, and eight pulls of which each has layers of its own.
pub(super) fn rows(stage: &Stage<'_>, bytes: u64) -> Result<Vec<Row>, String> {
    let volumes = files(&stage.folder.join(BUNDLE).join("volumes"))?;
    let paths = layers(&stage.folder.join("layout/blobs/sha256"))?;
    let serve = |nodes, parallel| {
        let serving = Serving::start(stage.program, stage.folder)?;
        let (seconds, got) = pull_all(&serving.host, &paths, (nodes, parallel))?;
        // A layer is a tar: a little more than what is in it.
        if got < nodes as u64 * bytes {
            return Err(format!("{got} bytes of {nodes} times {bytes} were served"));
        }
        Ok(Run { seconds, memory: serving.memory(), ..Run::default() })
    };
    let cores = machine::cores();
    let one = |name: &str, parallel| {
        let mut row = Row::of(name, bytes, (0.75, |rates| rates.of(1.0, 0.0, 1.0)));
        let bare = || bare::load(&volumes, cores);
        row.measure(&Beside { run: &|| serve(1, parallel), medium: None, bare: &bare })?;
        Ok::<_, String>(row)
    };
    let three = one("serve, one client, 3 layers at a time", ONE)?;
    let six = one("serve, one client, 6 layers at a time", SIX)?;

    let registry = Registry::start(&stage.folder.join("registry-c"))?;
    load(stage, &registry.host, "bench")?;
    let stored = registry.files()?;
    let prefixed: Vec<String> = paths.iter().map(|path| path.replace("/v2/", "/v2/bench/")).collect();
    let beside = |name: &str, (nodes, parallel): (usize, usize)| {
        let mut row = Row::of(name, nodes as u64 * bytes, (1.0, |_| f64::INFINITY));
        row.measure(&Beside {
            run: &|| {
                medium::forget(&volumes);
                serve(nodes, parallel)
            },
            // What limits is what the other one gives.
            medium: Some(&|| {
                medium::forget(&stored);
                let (seconds, got) = pull_all(&registry.host, &prefixed, (nodes, parallel))?;
                Ok(got as f64 / seconds)
            }),
            bare: &|| bare::load(&volumes, cores),
        })?;
        Ok::<_, String>(row)
    };
    let nodes = beside("serve, 8 nodes pull the same, beside docker-registry", (MANY, ONE))?;
    let apart = beside("serve, 8 pulls of different layers, beside docker-registry", (1, MANY))?;
    Ok(vec![three, six, nodes, apart])
}

/// Every one of `nodes` downloads every path, `parallel` at a time; gives the seconds it took all of them and the bytes of bodies.
fn pull_all(host: &str, paths: &[String], (nodes, parallel): (usize, usize)) -> Result<(f64, u64), String> {
    let begun = Instant::now();
    let outcomes: Vec<Result<u64, String>> = std::thread::scope(|scope| {
        let nodes: Vec<_> = (0..nodes).map(|_| scope.spawn(|| pull(host, paths, parallel))).collect();
        nodes.into_iter().map(|node| node.join().unwrap_or(Err("a node panicked".into()))).collect()
    });
    let seconds = begun.elapsed().as_secs_f64();
    Ok((seconds, outcomes.into_iter().sum::<Result<u64, String>>()?))
}

/// Where the layers of the layout in `folder` are pulled: its large files.
fn layers(folder: &Path) -> Result<Vec<String>, String> {
    let large = |path: &&std::path::PathBuf| path.metadata().is_ok_and(|facts| facts.len() > 1 << 20);
    let name = |path: &std::path::PathBuf| {
        let hex = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        format!("/v2/bench/image/blobs/sha256:{hex}")
    };
    Ok(files(folder)?.iter().filter(large).map(name).collect())
}

/// Downloads every path of `paths` from `host`, `parallel` at a time; gives the bytes of bodies.
fn pull(host: &str, paths: &[String], parallel: usize) -> Result<u64, String> {
    let next = AtomicUsize::new(0);
    let outcomes: Vec<Result<u64, String>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..parallel)
            .map(|_| {
                scope.spawn(|| {
                    let mut bytes = 0;
                    while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                        bytes += get(host, path).map_err(|error| format!("{host}{path}: {error}"))?;
                    }
                    Ok(bytes)
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or(Err("a puller panicked".into()))).collect()
    });
    outcomes.into_iter().sum()
}

/// One download; the kernel drops the body's bytes without copying them (tcp(7), `MSG_TRUNC`).
fn get(host: &str, path: &str) -> std::io::Result<u64> {
    let mut stream = TcpStream::connect(host)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && head.len() < 16 << 10 {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: u64 = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
    if !head.starts_with("http/1.1 200") {
        return Err(std::io::Error::other(head.lines().next().unwrap_or_default().to_owned()));
    }
    let mut space = vec![0; 1 << 20];
    let mut got = 0;
    loop {
        match recv(&stream, &mut space[..], RecvFlags::TRUNC)?.1 {
            0 if got == length => return Ok(got),
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            taken => got += taken as u64,
        }
    }
}

/// A `bundle serve` that runs until it is dropped.
struct Serving {
    child: Child,
    host: String,
}

impl Serving {
    /// Serves the bundle in `folder`.
    fn start(program: &Path, folder: &Path) -> Result<Self, String> {
        let words =
            ["serve", BUNDLE, "--trust", "trust.json", "--identity", "acme.key", "--listen", "127.0.0.1:0"];
        let mut child = Command::new(program)
            .args(words)
            .args(["--json", "--quiet"])
            .current_dir(folder)
            .env_clear()
            .env("HOME", folder)
            .env("BUNDLE_STATE", folder.join("state"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let mut host = None;
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(rest) = line.trim().strip_prefix("\"address\": \"") {
                    host = rest.split('"').next().map(str::to_owned);
                }
                if line == "}" {
                    break;
                }
            }
        }
        match host {
            Some(host) => Ok(Self { child, host }),
            None => {
                let _ = child.kill();
                let _ = child.wait();
                Err("bundle serve does not serve".to_owned())
            }
        }
    }

    /// The most memory it has had, in bytes.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) << 10
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
