//! The registry client against registries that behave, and against ones that do not.

mod auth;
mod debian;
mod pull;
mod push;
mod small;
mod storms;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bundle::digest::{Blob, Digest};
use bundle::oci::{Pointer, Repository};
use bundle::progress::{Event, Observer};
use bundle::registry::{Client, Options, Proxies, Session, UploadNotes};
use bundle::store::{self, Pieces, Source};
use bytes::Bytes;
use xtask::registry::{Config, Server};

/// Settings for tests: nothing from the environment, and little patience.
fn options() -> Options {
    Options {
        stall: Duration::from_millis(400),
        attempts: 5,
        backoff: Duration::from_millis(2),
        proxies: Proxies::default(),
        credential_files: Vec::new(),
        ..Options::default()
    }
}

fn client() -> Client {
    Client::new(&options(), Arc::new(Recorder::default())).unwrap()
}

fn server() -> Server {
    Server::start(Config::default()).unwrap()
}

fn repository(server: &Server, path: &str) -> Repository {
    Repository::new(&server.host(), path).unwrap()
}

fn tag(name: &str) -> Pointer {
    Pointer::Tag(name.to_owned())
}

/// Bytes that no compression and no repetition makes smaller.
fn noise(length: usize, seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

fn blob_of(bytes: &[u8]) -> Blob {
    Blob { digest: Digest::of(bytes), size: bytes.len() as u64 }
}

/// A small manifest, whole in itself: its configuration is put beside it.
fn manifest(server: &Server, path: &str, name: &str) -> (Bytes, Digest) {
    let config = server.put_blob(path, format!("{{\"name\":\"{name}\"}}"));
    let size = name.len() + 11;
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":{size}}},"layers":[]}}"#
    );
    let bytes = Bytes::from(text);
    let digest = server.put_manifest(path, Some(name), (MANIFEST, bytes.clone())).unwrap();
    (bytes, digest.parse().unwrap())
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Reads to the end.
fn drain(mut pieces: impl Pieces) -> Result<Vec<u8>, store::Error> {
    let mut all = Vec::new();
    while let Some(piece) = pieces.next()? {
        assert!(!piece.is_empty() && piece.len() <= 1 << 20);
        all.extend_from_slice(&piece);
    }
    Ok(all)
}

/// The registry's error in a store's.
fn fault(error: store::Error) -> bundle::registry::Error {
    match error {
        store::Error::Registry(error) => error,
        other => panic!("not a registry error: {other}"),
    }
}

/// A blob in memory, given out in pieces.
struct Held {
    bytes: Bytes,
    piece: usize,
    /// Where reading fails, and how.
    breaks: Option<(u64, fn() -> store::Error)>,
    given: AtomicU64,
}

impl Held {
    fn new(bytes: &Bytes) -> Self {
        Self { bytes: bytes.clone(), piece: 300_000, breaks: None, given: AtomicU64::new(0) }
    }

    fn given(&self) -> u64 {
        self.given.load(Ordering::Relaxed)
    }
}

struct HeldPieces<'a> {
    held: &'a Held,
    at: usize,
}

impl Source for Held {
    fn open<'a>(&'a self, blob: &Blob, offset: u64) -> Result<Box<dyn Pieces + 'a>, store::Error> {
        assert_eq!(blob.size, self.bytes.len() as u64);
        Ok(Box::new(HeldPieces { held: self, at: usize::try_from(offset).unwrap() }))
    }
}

impl Pieces for HeldPieces<'_> {
    fn next(&mut self) -> Result<Option<Bytes>, store::Error> {
        if let Some((at, error)) = self.held.breaks
            && self.at as u64 >= at
        {
            return Err(error());
        }
        let end = (self.at + self.held.piece).min(self.held.bytes.len());
        let piece = self.held.bytes.slice(self.at..end);
        self.at = end;
        self.held.given.fetch_add(piece.len() as u64, Ordering::Relaxed);
        Ok((!piece.is_empty()).then_some(piece))
    }
}

/// Upload notes in memory, as a journal on disk would keep them.
#[derive(Default)]
struct Notes(Mutex<HashMap<String, Session>>);

impl Notes {
    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

impl UploadNotes for Notes {
    fn find(&self, repository: &Repository, digest: &Digest) -> Option<Session> {
        self.0.lock().unwrap().get(&format!("{repository}@{digest}")).cloned()
    }
    fn save(&self, repository: &Repository, digest: &Digest, session: &Session) {
        self.0.lock().unwrap().insert(format!("{repository}@{digest}"), session.clone());
    }
    fn forget(&self, repository: &Repository, digest: &Digest) {
        self.0.lock().unwrap().remove(&format!("{repository}@{digest}"));
    }
}

/// Keeps what it is told.
#[derive(Default)]
struct Recorder(Mutex<Vec<String>>);

impl Recorder {
    fn told(&self, word: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|line| line.starts_with(word)).count()
    }
}

impl Observer for Recorder {
    fn event(&self, event: Event<'_>) {
        self.0.lock().unwrap().push(format!("{event:?}"));
    }
}
