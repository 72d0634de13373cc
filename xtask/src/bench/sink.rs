//! A registry that discards, for measuring what it is sent: it parses requests and answers them, and has the kernel drop every body.
//!
//! It knows no more of the distribution specification than one load into an empty registry uses, and believes every digest.

use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::net::{RecvFlags, recv};
use sha2::{Digest as _, Sha256};

/// Bytes of a manifest at most.
const MANIFEST: usize = 4 << 20;

/// A registry on a free port of loopback, until the process ends.
pub(super) struct Sink {
    address: SocketAddr,
}

/// Manifests, by path, with their media types.
type Kept = Arc<Mutex<HashMap<String, (Vec<u8>, String)>>>;

impl Sink {
    pub(super) fn start() -> Result<Self, String> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
        let address = listener.local_addr().map_err(|e| e.to_string())?;
        let kept = Kept::default();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                // A connection that ends is no fault here: the load says what it missed.
                std::thread::spawn(move || {
                    let _ = serve(&stream, &kept);
                });
            }
        });
        Ok(Self { address })
    }

    pub(super) fn host(&self) -> String {
        self.address.to_string()
    }
}

struct Request {
    method: String,
    path: String,
    length: usize,
    media_type: String,
}

fn serve(mut stream: &TcpStream, kept: &Kept) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(4 << 10, stream);
    let mut space = vec![0; 1 << 20];
    while let Some(request) = head(&mut reader)? {
        let mut body = Vec::new();
        if request.path.contains("/manifests/") {
            body.resize(request.length.min(MANIFEST), 0);
            reader.read_exact(&mut body)?;
        } else {
            let read = reader.buffer().len().min(request.length);
            reader.consume(read);
            let mut left = request.length - read;
            while left > 0 {
                let room = left.min(space.len());
                match recv(stream, &mut space[..room], RecvFlags::TRUNC)?.1 {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    dropped => left -= dropped.min(left),
                }
            }
        }
        let (status, headers, body) = answer(&request, body, kept);
        write!(stream, "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len())?;
        if request.method != "HEAD" {
            stream.write_all(&body)?;
        }
    }
    Ok(())
}

/// A request up to its body; none where the connection ends.
fn head(reader: &mut BufReader<&TcpStream>) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut request = Request { method, path, length: 0, media_type: String::new() };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { return Ok(Some(request)) };
        if name.eq_ignore_ascii_case("content-length") {
            request.length = value.parse().map_err(|_| io::ErrorKind::InvalidData)?;
        } else if name.eq_ignore_ascii_case("content-type") {
            value.clone_into(&mut request.media_type);
        }
    }
}

fn answer(request: &Request, body: Vec<u8>, kept: &Kept) -> (&'static str, String, Vec<u8>) {
    let Request { method, path, length, media_type } = request;
    let created = |digest: &str| format!("Docker-Content-Digest: {digest}\r\nLocation: {path}\r\n");
    let manifests = path.rsplit_once("/manifests/");
    match (method.as_str(), manifests) {
        ("PUT", Some((repository, _))) => {
            let digest = format!("sha256:{}", hex::encode(Sha256::digest(&body)));
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.insert(format!("{repository}/manifests/{digest}"), (body.clone(), media_type.clone()));
            kept.insert(path.clone(), (body, media_type.clone()));
            ("201 Created", created(&digest), vec![])
        }
        (_, Some(_)) => match kept.lock().unwrap_or_else(PoisonError::into_inner).get(path) {
            Some((body, media_type)) => {
                let digest = hex::encode(Sha256::digest(body));
                let headers =
                    format!("Docker-Content-Digest: sha256:{digest}\r\nContent-Type: {media_type}\r\n");
                ("200 OK", headers, body.clone())
            }
            None => ("404 Not Found", String::new(), vec![]),
        },
        ("POST", None) => {
            let path = path.split('?').next().unwrap_or(path);
            ("202 Accepted", format!("Location: {path}session\r\nRange: 0-0\r\n"), vec![])
        }
        ("PATCH", None) => {
            ("202 Accepted", format!("Location: {path}\r\nRange: 0-{}\r\n", length.saturating_sub(1)), vec![])
        }
        ("PUT", None) => {
            let digest = path.split_once("digest=").map_or("", |(_, digest)| digest).replace("%3A", ":");
            ("201 Created", created(&digest), vec![])
        }
        ("GET", None) if path == "/v2/" => ("200 OK", String::new(), vec![]),
        _ => ("404 Not Found", String::new(), vec![]),
    }
}
