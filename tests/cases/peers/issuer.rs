//! A small token issuer for `docker-registry`: RS256 tokens with the certificate in `x5c`
//! (distribution docs/spec/auth/jwt.md), signed by `openssl`, on one thread.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;
use url::Url;

use super::registry::{PASSWORD, USER};
use crate::cases::program::tool;

/// Seconds a token is good for: short, so that a test of some seconds sees several.
const SECONDS: u64 = 60;

/// The issuer; ends when dropped.
pub(crate) struct Issuer {
    address: SocketAddr,
    folder: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
    issued: Arc<AtomicUsize>,
}

impl Issuer {
    /// Starts one with a fresh key in `folder`.
    pub(crate) fn start(folder: &Path) -> Self {
        tool(
            Command::new("openssl")
                .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=issuer"])
                .args(["-keyout", "issuer.key", "-out", "issuer.pem"])
                .current_dir(folder),
        );
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, issued) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let thread = std::thread::spawn({
            let (stop, issued, folder) = (Arc::clone(&stop), Arc::clone(&issued), folder.to_owned());
            move || {
                for stream in listener.incoming() {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    // A caller who hangs up is no fault of the issuer's.
                    let _ = stream.and_then(|stream| answer(&stream, &folder, &issued));
                }
            }
        });
        Self { address, folder: folder.to_owned(), stop, thread: Some(thread), issued }
    }

    /// Where tokens are asked for.
    pub(crate) fn realm(&self) -> String {
        format!("http://{}/token", self.address)
    }

    /// The certificate that the registry trusts.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.join("issuer.pem")
    }

    /// Tokens issued so far.
    pub(crate) fn issued(&self) -> usize {
        self.issued.load(Ordering::Relaxed)
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn answer(stream: &TcpStream, folder: &Path, issued: &AtomicUsize) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut known = false;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        if name.eq_ignore_ascii_case("authorization") {
            let wanted = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
            known = value == wanted;
        }
    }
    let (status, body) = if known {
        issued.fetch_add(1, Ordering::Relaxed);
        ("200 OK", json!({"token": token(&request, folder), "expires_in": SECONDS}).to_string())
    } else {
        let details = "these credentials are not known to the issuer";
        let body = json!({"errors": [{"code": "UNAUTHORIZED", "message": details}]});
        ("401 Unauthorized", body.to_string())
    };
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// A token for whatever scopes the request line asks for.
fn token(request: &str, folder: &Path) -> String {
    let path = request.split(' ').nth(1).unwrap();
    let url = Url::parse("http://issuer").unwrap().join(path).unwrap();
    let access: Vec<_> = url
        .query_pairs()
        .filter(|(name, _)| name == "scope")
        .flat_map(|(_, scopes)| scopes.split(' ').map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|scope| {
            let (resource, actions) = scope.rsplit_once(':')?;
            let (kind, name) = resource.split_once(':')?;
            Some(json!({"type": kind, "name": name, "actions": actions.split(',').collect::<Vec<_>>()}))
        })
        .collect();
    let pem = std::fs::read_to_string(folder.join("issuer.pem")).unwrap();
    let der: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let header = json!({"typ": "JWT", "alg": "RS256", "x5c": [der]});
    let claims = json!({
        "iss": "issuer", "sub": USER, "aud": "registry", "jti": format!("{now}"),
        "iat": now - 10, "nbf": now - 10, "exp": now + SECONDS, "access": access,
    });
    let text = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
    let mut signer = Command::new("openssl")
        .args(["dgst", "-sha256", "-sign", "issuer.key"])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    signer.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let signature = signer.wait_with_output().unwrap().stdout;
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}
