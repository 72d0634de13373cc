//! A web server with the files of a folder, for chart repositories and tools: what is there is given, anything else is not found.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// A running server; it ends when dropped.
pub(crate) struct Shelf {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Shelf {
    pub(crate) fn of(folder: &Path) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (folder, log) = (folder.to_owned(), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { break };
                let (folder, log) = (folder.clone(), Arc::clone(&log));
                let path = answer(&stream, &folder);
                match path.as_deref() {
                    None | Some("/end") => break,
                    Some(path) => log.lock().unwrap().push(path.to_owned()),
                }
            }
        });
        Self { port, asked }
    }

    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The paths that were asked for.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn forget(&self) {
        self.asked.lock().unwrap().clear();
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        if let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)) {
            let _ = stream.write_all(b"GET /end HTTP/1.1\r\n\r\n");
        }
    }
}

/// Answers one request of a connection; gives its path.
fn answer(mut stream: &TcpStream, folder: &Path) -> Option<String> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let path = first.split(' ').nth(1)?.to_owned();
    let mut range = None;
    for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
        let line = line.to_lowercase();
        if let Some(rest) = line.strip_prefix("range: bytes=") {
            range =
                rest.split_once('-').map(|(from, to)| (from.parse().unwrap_or(0), to.parse::<usize>().ok()));
        }
    }
    let file: PathBuf = folder.join(path.trim_start_matches('/'));
    let (head, body) = match (std::fs::read(file), range) {
        (Err(_), _) => ("404 Not Found".to_owned(), b"no".to_vec()),
        (Ok(bytes), None) => ("200 OK".to_owned(), bytes),
        (Ok(bytes), Some((from, to))) => {
            let to = to.map_or(bytes.len(), |to| (to + 1).min(bytes.len()));
            let range = format!("Content-Range: bytes {from}-{}/{}", to - 1, bytes.len());
            (format!("206 Partial Content\r\n{range}"), bytes[from..to].to_vec())
        }
    };
    let length = body.len();
    let head = format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(&body).ok()?;
    Some(path)
}
