//! The running registry, as those who started it see it.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;

use super::connection;
use super::content::{Blob, Content};
use super::manifests;
use super::token::Tokens;
use super::uploads::Upload;
use super::{Config, Faults, Stats};

/// How long the connections of a client that is gone may take to end.
const SETTLED: Duration = Duration::from_secs(30);

/// Everything the connections share.
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) address: SocketAddr,
    pub(super) faults: Faults,
    content: Mutex<Content>,
    stats: Mutex<Stats>,
    tokens: Mutex<Tokens>,
    pub(super) uploads: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Upload>>>>,
    serial: AtomicU64,
}

impl Shared {
    pub(super) fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn stats(&self) -> MutexGuard<'_, Stats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tokens(&self) -> MutexGuard<'_, Tokens> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn uploads(&self) -> MutexGuard<'_, HashMap<String, Arc<tokio::sync::Mutex<Upload>>>> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number never given before, for session and token names.
    pub(super) fn serial(&self) -> u64 {
        self.serial.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl super::body::Counter for Shared {
    fn sent(&self, name: &str, bytes: u64) {
        let mut stats = self.stats();
        stats.blob_sent += bytes;
        *stats.sent.entry(name.to_owned()).or_default() += bytes;
    }
}

/// A registry that runs until it is dropped.
pub struct Server {
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts a registry on 127.0.0.1. It answers when this returns.
    pub fn start(config: Config) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, config.port))?;
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(config.workers.max(1))
            .thread_name("registry")
            .enable_all()
            .build()?;
        let shared = Arc::new(Shared {
            config,
            address: listener.local_addr()?,
            faults: Faults::default(),
            content: Mutex::default(),
            stats: Mutex::default(),
            tokens: Mutex::default(),
            uploads: Mutex::default(),
            serial: AtomicU64::new(0),
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let state = Arc::clone(&shared);
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let thread = std::thread::Builder::new().name("registry".to_owned()).spawn(move || {
            runtime.spawn(connection::accept(state, listener));
            // Ends when the sender is dropped.
            drop(runtime.block_on(stopped));
            runtime.shutdown_background();
        })?;
        Ok(Self { shared, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// `127.0.0.1:<port>`, as it stands in image references.
    #[must_use]
    pub fn host(&self) -> String {
        self.shared.address.to_string()
    }

    /// What was asked of it so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.stats().clone()
    }

    /// The same once no connection is open any more, so that what a client took before it was killed is all counted.
    ///
    /// # Panics
    /// When a connection is still open after [`SETTLED`].
    #[must_use]
    pub fn settled_stats(&self) -> Stats {
        let begun = Instant::now();
        loop {
            let stats = self.stats();
            if stats.open == 0 {
                return stats;
            }
            assert!(begun.elapsed() < SETTLED, "{} connections stay open", stats.open);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Forgets what was asked so far.
    pub fn reset_stats(&self) {
        let mut stats = self.shared.stats();
        let (under_way, open) = (stats.under_way, stats.open);
        *stats = Stats { under_way, open, ..Stats::default() };
    }

    /// How it misbehaves.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Makes every token issued so far worthless.
    pub fn expire_tokens(&self) {
        self.shared.tokens().forget();
    }

    /// Puts a blob into a repository without a request, whatever the storage; returns its digest.
    pub fn put_blob(&self, repository: &str, bytes: impl Into<Bytes>) -> String {
        let bytes = bytes.into();
        let digest = digest_of(&bytes);
        self.shared.content().put_blob(repository, &digest, Blob::Memory(bytes));
        digest
    }

    /// Lets a file stand for the blob `digest`, unhashed. The file is read whenever the blob is.
    pub fn put_file(&self, repository: &str, digest: &str, path: &Path) -> io::Result<()> {
        let blob = Blob::File { path: path.to_owned(), length: path.metadata()?.len() };
        self.shared.content().put_blob(repository, digest, blob);
        Ok(())
    }

    /// Puts a manifest into a repository without a request, as strictly as a request would; returns its digest.
    ///
    /// The error is what is wrong with it, in one line.
    pub fn put_manifest(
        &self,
        repository: &str,
        tag: Option<&str>,
        manifest: (&str, Bytes),
    ) -> Result<String, String> {
        let (media_type, bytes) = manifest;
        manifests::store(&mut self.shared.content(), repository, tag, (media_type, bytes))
            .map_err(|(_, _, message)| message)
    }

    /// The bytes of a blob held in memory, wherever it is.
    #[must_use]
    pub fn blob(&self, digest: &str) -> Option<Bytes> {
        match self.shared.content().blobs.get(digest) {
            Some(Blob::Memory(bytes)) => Some(bytes.clone()),
            _ => None,
        }
    }

    /// Whether the repository has the blob.
    #[must_use]
    pub fn has_blob(&self, repository: &str, digest: &str) -> bool {
        self.shared.content().blob(repository, digest).is_some()
    }

    /// Loses a blob from a repository, as a disk or a collector of garbage does; what points to it stays.
    pub fn lose_blob(&self, repository: &str, digest: &str) {
        if let Some(repository) = self.shared.content().repositories.get_mut(repository) {
            repository.blobs.remove(digest);
        }
    }

    /// Media type and bytes of a manifest by tag or digest.
    #[must_use]
    pub fn manifest(&self, repository: &str, reference: &str) -> Option<(String, Bytes)> {
        let content = self.shared.content();
        let (_, manifest) = content.manifest(repository, reference)?;
        Some((manifest.media_type.clone(), manifest.bytes.clone()))
    }

    /// Every repository.
    #[must_use]
    pub fn repositories(&self) -> Vec<String> {
        self.shared.content().repositories.keys().cloned().collect()
    }

    /// The tags of a repository, each with the digest it points to.
    #[must_use]
    pub fn tags(&self, repository: &str) -> Vec<(String, String)> {
        let content = self.shared.content();
        let tags = content.repositories.get(repository).map(|repository| repository.tags.clone());
        tags.unwrap_or_default().into_iter().collect()
    }

    /// Upload sessions that were opened and neither finished nor cancelled.
    #[must_use]
    pub fn open_uploads(&self) -> usize {
        self.shared.uploads().len()
    }

    /// Empties the registry; settings, faults and statistics stay.
    pub fn wipe(&self) {
        *self.shared.content() = Content::default();
        self.shared.uploads().clear();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // The thread ends in either case; how does not matter any more.
            drop(thread.join());
        }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Server({})", self.shared.address)
    }
}

/// `sha256:<hex>` of `bytes`.
#[must_use]
pub fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}
