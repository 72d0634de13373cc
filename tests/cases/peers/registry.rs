//! Debian's `docker-registry` (distribution 2.8), set up four ways, on a free port of this machine.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::issuer::Issuer;
use crate::cases::program::tool;

/// Who may in, where not everyone may.
pub(crate) const USER: &str = "robot";
/// With what.
pub(crate) const PASSWORD: &str = "correct horse";

/// How a registry is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Everyone, plain HTTP.
    Plain,
    /// Basic authentication from an htpasswd file.
    Htpasswd,
    /// TLS under a CA that nobody knows.
    Tls,
    /// Tokens of an issuer.
    Token,
}

/// A registry that runs until it is dropped.
pub(crate) struct Peer {
    pub(crate) kind: Kind,
    pub(crate) issuer: Option<Issuer>,
    folder: tempfile::TempDir,
    port: u16,
    child: Child,
}

impl Peer {
    /// Starts an empty registry; it answers when this returns.
    pub(crate) fn start(kind: Kind) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let issuer = (kind == Kind::Token).then(|| Issuer::start(folder.path()));
        match kind {
            Kind::Htpasswd => {
                let line = tool(Command::new("htpasswd").args(["-nbB", "-C", "4", USER, PASSWORD]));
                fs::write(folder.path().join("htpasswd"), line).unwrap();
            }
            Kind::Tls => certificates(folder.path()),
            Kind::Plain | Kind::Token => {}
        }
        // A port that is free now may be taken a moment later by another test: then the next one is tried.
        for _ in 0..5 {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
            if let Some(child) = run(folder.path(), port, (kind, issuer.as_ref())) {
                return Self { kind, issuer, folder, port, child };
            }
        }
        panic!("docker-registry does not start: {}", log(folder.path()));
    }

    /// As it stands in image references.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where the storage is.
    pub(crate) fn storage(&self) -> PathBuf {
        self.folder.path().join("storage")
    }

    /// The CA's certificate, for one with TLS.
    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    /// `METHOD /path status` of every request so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        log(self.folder.path()).lines().filter_map(request).collect()
    }

    /// The options with which our program reaches it.
    pub(crate) fn options(&self) -> Vec<String> {
        match self.kind {
            Kind::Tls => vec!["--ca-file".to_owned(), self.ca().display().to_string()],
            _ => Vec::new(),
        }
    }

    /// The entry of a Docker configuration's `auths` that lets `password` try.
    pub(crate) fn login(&self, password: &str) -> (String, serde_json::Value) {
        (self.host(), json!({"auth": STANDARD.encode(format!("{USER}:{password}"))}))
    }

    /// `skopeo` with the options that let it in, for whichever end of a copy it is.
    pub(crate) fn skopeo(&self, verb: &str, end: &str) -> Command {
        let mut command = Command::new("skopeo");
        command.arg(verb).env("SSL_CERT_FILE", self.ca());
        if self.kind != Kind::Tls {
            command.arg(format!("--{end}tls-verify=false"));
        }
        if matches!(self.kind, Kind::Htpasswd | Kind::Token) {
            command.arg(format!("--{end}creds={USER}:{PASSWORD}"));
        }
        command
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(folder: &Path, port: u16, how: (Kind, Option<&Issuer>)) -> Option<Child> {
    let path = |name: &str| folder.join(name).display().to_string();
    let mut http = json!({"addr": format!("127.0.0.1:{port}"), "secret": "a secret of the test's"});
    let mut config = json!({
        "version": 0.1,
        "log": {"level": "info", "accesslog": {"disabled": false}},
        "storage": {"filesystem": {"rootdirectory": path("storage")}, "delete": {"enabled": true}},
    });
    match how {
        (Kind::Htpasswd, _) => {
            config["auth"] = json!({"htpasswd": {"realm": "registry", "path": path("htpasswd")}});
        }
        (Kind::Tls, _) => {
            http["tls"] = json!({"certificate": path("server.crt"), "key": path("server.key")});
        }
        (_, Some(issuer)) => {
            config["auth"] = json!({"token": {
                "realm": issuer.realm(), "service": "registry", "issuer": "issuer",
                "rootcertbundle": issuer.certificate(),
            }});
        }
        (Kind::Plain | Kind::Token, None) => {}
    }
    config["http"] = http;
    // JSON is YAML.
    fs::write(folder.join("config.yml"), config.to_string()).unwrap();
    let output = fs::File::create(folder.join("log")).unwrap();
    let mut child = Command::new("docker-registry")
        .args(["serve", &path("config.yml")])
        .env_clear()
        .env("OTEL_TRACES_EXPORTER", "none")
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .spawn()
        .expect("docker-registry");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(20) {
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
        // The port may be answered by another program that was there first: then ours has ended, or does so at once.
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() && log(folder).contains("listening on") {
            return Some(child);
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

fn log(folder: &Path) -> String {
    fs::read_to_string(folder.join("log")).unwrap_or_default()
}

/// `METHOD /path status` of a line of the access log.
fn request(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("] \"")?;
    let (request, rest) = rest.split_once('"')?;
    let (request, _) = request.rsplit_once(" HTTP/")?;
    let status = rest.split_ascii_whitespace().next()?;
    Some(format!("{request} {status}"))
}

/// A CA of its own, and a certificate of this machine under it.
pub(crate) fn certificates(folder: &Path) {
    fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n").unwrap();
    let openssl = |arguments: &str| {
        tool(Command::new("openssl").args(arguments.split(' ')).current_dir(folder));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!("req -x509 {key} -days 30 -subj /CN=harbour-ca -keyout ca.key -out ca.crt"));
    openssl(&format!("req {key} -subj /CN=127.0.0.1 -keyout server.key -out server.csr"));
    openssl(
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile names -out server.crt",
    );
}
