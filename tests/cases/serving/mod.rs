//! `bundle serve`: the bundle as a registry, asked by hand, by our own client and by other people's.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use xtask::images::{Named, sample};
use xtask::registry::{Config, Server};

use super::stage::Stage;

mod clients;
mod damage;
pub(crate) mod forged;
pub(crate) mod nodes;
mod protocol;
mod refusals;
mod shared;

/// A customer with a bundle.
pub(crate) struct Site {
    pub(crate) stage: Stage,
    pub(crate) images: Vec<Named>,
}

impl Site {
    /// The sample images in a bundle with `settings` (whole lines of YAML).
    pub(crate) fn new(settings: &str) -> Self {
        Self::of(settings, sample("incidentfox", "v1.2.0").unwrap())
    }

    /// These images in a bundle.
    pub(crate) fn of(settings: &str, images: Vec<Named>) -> Self {
        let stage = Stage::new();
        let vendor = Server::start(Config::default()).unwrap();
        for image in &images {
            image.graph.put(&vendor, &image.repository, &image.tag).unwrap();
        }
        stage.release(settings, &images, &vendor.host());
        stage.program.done(&["lock"]);
        stage.program.done(&stage.build("out"));
        Self { stage, images }
    }

    pub(crate) fn bundle(&self) -> PathBuf {
        self.stage.bundle("out")
    }

    pub(crate) fn words(&self, verb: &str) -> Vec<String> {
        let bundle = self.bundle().display().to_string();
        let words = [verb, &bundle, "--trust", "trust.json", "--identity", "acme.key"];
        words.map(str::to_owned).to_vec()
    }

    /// The arguments that serve it on a free port.
    pub(crate) fn serve(&self, more: &[&str]) -> Vec<String> {
        let mut words = self.words("serve");
        words.extend(["--listen", "127.0.0.1:0", "--json"].map(str::to_owned));
        words.extend(more.iter().map(|word| (*word).to_owned()));
        words
    }

    /// Serves it until the result is dropped.
    pub(crate) fn serving(&self, more: &[&str]) -> Serving {
        Serving::start(self.stage.program.command(&self.serve(more)))
    }
}

/// A server that runs until it is dropped or stopped.
pub(crate) struct Serving {
    child: Child,
    pub(crate) report: Value,
    /// How long it took from the start of the program to its report.
    pub(crate) started: Duration,
    log: Arc<Mutex<Vec<Value>>>,
    reader: Option<JoinHandle<()>>,
}

impl Serving {
    pub(crate) fn start(mut command: Command) -> Self {
        let begun = Instant::now();
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let reader = std::thread::spawn({
            let log = Arc::clone(&log);
            move || {
                for line in lines.map_while(Result::ok) {
                    let event = serde_json::from_str(&line).unwrap_or(Value::String(line));
                    log.lock().unwrap().push(event);
                }
            }
        });
        // One JSON document ends with a brace at the beginning of a line.
        let mut text = String::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            let last = line == "}";
            text.push_str(&line);
            if last {
                break;
            }
        }
        let started = begun.elapsed();
        let report = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{log:?}"));
        Self { child, report, started, log, reader: Some(reader) }
    }

    pub(crate) fn host(&self) -> String {
        self.report["address"].as_str().unwrap_or_else(|| panic!("{:#}", self.report)).to_owned()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, &[])
    }

    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
        Reply::of(TcpStream::connect(self.host()).unwrap(), method, path, headers)
    }

    /// Requests told of so far, once there are at least `count`.
    pub(crate) fn log(&self, count: usize) -> Vec<Value> {
        let begun = Instant::now();
        loop {
            let log: Vec<Value> = self.log.lock().unwrap().clone();
            let requests: Vec<Value> = log.iter().filter(|e| e["event"] == "request").cloned().collect();
            if requests.len() >= count {
                return requests;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{count} requests wanted: {log:#?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Asks it to end as systemd does, and gives its exit code and what it said.
    pub(crate) fn stop(mut self) -> (Option<i32>, Vec<Value>) {
        self.signal("TERM");
        let code = self.child.wait().unwrap().code();
        self.reader.take().unwrap().join().unwrap();
        let log = self.log.lock().unwrap().clone();
        (code, log)
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer, read to its end or to where the connection broke.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn of(mut stream: TcpStream, method: &str, path: &str, headers: &[(&str, &str)]) -> Self {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: bundle\r\nConnection: close\r\n");
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        stream.write_all(format!("{request}\r\n").as_bytes()).unwrap();
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let status = line.split(' ').nth(1).unwrap_or_else(|| panic!("{line:?}")).parse().unwrap();
        let mut headers = Vec::new();
        loop {
            line.clear();
            reader.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let mut body = Vec::new();
        // A reset in the middle is an end too.
        let _ = reader.read_to_end(&mut body);
        Self { status, headers, body }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Whether as many bytes came as were promised.
    pub(crate) fn whole(&self) -> bool {
        self.header("content-length").unwrap().parse::<usize>().unwrap() == self.body.len()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The code of an error in the specification's form.
    pub(crate) fn code(&self) -> String {
        self.json()["errors"][0]["code"].as_str().unwrap().to_owned()
    }
}

/// Flips a bit of a file.
pub(crate) fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}
