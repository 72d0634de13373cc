//! The other end of the distribution specification: a bundle served, read-only, over HTTP/1.1.
//!
//! Stands beside the client because both speak the same protocol; async stays inside, as there. What is served comes from a
//! [`Library`]: its catalog says what there is, and its readers give bytes, a body's on the thread of its connection ([`workers`]). The last
//! piece of a blob comes out of the reader when the digest holds, so a body that was sent whole was the right one; a reader that fails
//! breaks the connection off inside the body, which every client takes for a failed download.
//!
//! May not: read files but certificate, key and passwords; take anything in; judge content.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use crate::digest::Blob;
use crate::limits;
use crate::plan::catalog::Catalog;
use crate::store::{self, Pieces};
use crate::sys::net;

mod answer;
mod body;
mod handle;
mod journal;
mod lists;
mod paced;
mod passwords;
mod range;
mod route;
mod tls;
mod workers;

use paced::Paced;
use workers::Workers;

use journal::Cause;
pub use journal::{Entry, Journal, Refused};
pub use passwords::{Passwords, PasswordsError};
pub use tls::{Tls, TlsError};

/// What is served.
pub trait Library: Send + Sync + 'static {
    /// What there is.
    fn catalog(&self) -> &Catalog;

    /// The bytes of `blob`, or those of `range` of it (ascending, inside), in order. Not one byte is given that is known to be wrong, and
    /// the last ones only when all hold.
    fn read(&self, blob: &Blob, range: Option<(u64, u64)>) -> Result<Box<dyn Pieces>, store::Error>;
}

/// How to serve.
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// TLS, or none.
    pub tls: Option<Tls>,
    /// Who may in, where not everyone may.
    pub passwords: Option<Passwords>,
}

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The machine has no threads or descriptors left.
    #[error("cannot start the server: {0}")]
    Setup(io::Error),
}

/// Manifests read at the same time.
const SMALL: usize = 4;
/// How long a client may take over its TLS handshake, or over the head of a request.
const HEAD: Duration = Duration::from_secs(30);
/// How long a client may take over what is handed to the connection at a time.
const STALL: Duration = Duration::from_secs(60);
/// How long a body may wait for a reader before its client is told to ask again.
pub(super) const BUSY: Duration = Duration::from_secs(20);
/// How long requests under way may go on after the end was asked for.
const GRACE: Duration = Duration::from_secs(10);
/// Bytes of a body that wait inside hyper before it writes.
const BUFFER: usize = 64 << 10;

/// Asks a server to end; shared with whoever may ask.
#[derive(Debug, Clone)]
pub struct Stop(Arc<watch::Sender<bool>>);

impl Default for Stop {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl Stop {
    /// Asks. Requests under way are finished, no new ones are taken.
    pub fn ask(&self) {
        self.0.send_replace(true);
    }
}

/// What all connections share.
struct Shared {
    library: Arc<dyn Library>,
    journal: Arc<dyn Journal>,
    passwords: Option<Passwords>,
    /// Told when what is still under way is cut.
    cut: Cause,
    /// Bodies being read at the same time.
    readers: Arc<Semaphore>,
    /// Manifests being read at the same time: a few MiB each, and they must not wait behind the large.
    small: Semaphore,
}

/// A server that listens and does not answer yet.
pub struct Server {
    runtime: Runtime,
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Server {
    /// Listens. Requests wait until [`Server::run`].
    pub fn bind(
        options: Options,
        library: Arc<dyn Library>,
        journal: Arc<dyn Journal>,
    ) -> Result<Self, Error> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(Error::Setup)?;
        let refused = |source| Error::Listen { address: options.listen, source };
        let listener = runtime.block_on(TcpListener::bind(options.listen)).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let shared = Shared {
            library,
            journal,
            passwords: options.passwords,
            cut: Cause::default(),
            readers: Arc::new(Semaphore::new(limits::SERVE_READERS)),
            small: Semaphore::new(SMALL),
        };
        let tls = options.tls.map(Tls::acceptor);
        Ok(Self { runtime, listener, address, tls, shared: Arc::new(shared) })
    }

    /// Where it listens, the port known.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` is asked; gives the number of connections that had to be cut then.
    #[must_use]
    pub fn run(self, stop: &Stop) -> usize {
        let Self { runtime, listener, tls, shared, .. } = self;
        runtime.block_on(accept(listener, tls, shared, stop))
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>, stop: &Stop) -> usize {
    let all = u32::try_from(limits::SERVE_CONNECTIONS).unwrap_or(u32::MAX);
    let connections = Arc::new(Semaphore::new(limits::SERVE_CONNECTIONS));
    let mut asked = stop.0.subscribe();
    let mut workers = Workers::default();
    loop {
        // At the limit the next ones wait in the system's queue.
        let permit = tokio::select! {
            permit = Arc::clone(&connections).acquire_owned() => permit,
            _ = asked.wait_for(|asked| *asked) => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = asked.wait_for(|asked| *asked) => break,
        };
        let (Ok((stream, peer)), Ok(permit)) = (accepted, permit) else {
            // Out of file descriptors, or a client that left at once: the next one may do better.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        // Without it small answers wait for acknowledgements; with an error there it is only slower.
        let _ = stream.set_nodelay(true);
        let (shared, tls, asked) = (Arc::clone(&shared), tls.clone(), stop.0.subscribe());
        let cause = Cause::default();
        // A client that cannot be looked after is let go, and may come again.
        let _ = stream.into_std().and_then(|stream| {
            net::hurry_at_home(&stream);
            workers.take(stream, move |stream| async move {
                let stream = Paced::new(stream, STALL, Arc::clone(&cause));
                connection(stream, (peer, cause), tls, shared, asked).await;
                drop(permit);
            })
        });
    }
    drop(listener);
    let ended = tokio::time::timeout(GRACE, connections.acquire_many(all)).await;
    let left = if ended.is_ok() { 0 } else { limits::SERVE_CONNECTIONS - connections.available_permits() };
    let _ = shared.cut.set("it was still under way when the server was stopped".to_owned());
    workers.end();
    left
}

async fn connection(
    stream: Paced<TcpStream>,
    (peer, cause): (SocketAddr, Cause),
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    asked: watch::Receiver<bool>,
) {
    let Some(tls) = tls else { return speak(stream, (peer, cause), shared, asked).await };
    let refused = match tokio::time::timeout(HEAD, tls.accept(stream)).await {
        Ok(Ok(stream)) => return speak(stream, (peer, cause), shared, asked).await,
        // A probe that only connects and leaves is no fault.
        Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return,
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("nothing came for {} seconds", HEAD.as_secs()),
    };
    let why = format!("no TLS connection: {}", crate::text::printable(&refused, 200));
    shared.journal.refused(&Refused { peer, why });
}

async fn speak<S>(
    stream: S,
    (peer, cause): (SocketAddr, Cause),
    shared: Arc<Shared>,
    mut asked: watch::Receiver<bool>,
) where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(|request| {
        let (shared, from) = (Arc::clone(&shared), (peer, Arc::clone(&cause)));
        async move { Ok::<_, std::convert::Infallible>(handle::handle(shared, request, from).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        // A connection that ends badly is told by the request it was about, or was about none.
        _ = connection.as_mut() => return,
        _ = asked.wait_for(|asked| *asked) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

/// Reads the passwords and certificate paths that a request names.
impl Options {
    /// Reads certificate and key, and the passwords.
    pub fn read(
        listen: SocketAddr,
        tls: Option<(PathBuf, PathBuf)>,
        htpasswd: Option<PathBuf>,
    ) -> Result<Self, SetupError> {
        let tls = tls.map(|(certificate, key)| Tls::read(&certificate, &key)).transpose()?;
        let passwords = htpasswd.map(|path| Passwords::read(&path)).transpose()?;
        Ok(Self { listen, tls, passwords })
    }
}

/// Why the options cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Certificate or key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The passwords.
    #[error(transparent)]
    Passwords(#[from] PasswordsError),
}
