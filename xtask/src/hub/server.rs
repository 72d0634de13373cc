//! The running hub, as those who started it see it.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION, RANGE};
use hyper::service::service_fn;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::answer::{Call, answer_hub, answer_storage};
use super::{Config, HubFaults, Model, Seen};
use crate::registry::body::{Counter, Outgoing};
use crate::registry::connection::after;
use crate::registry::reply::{Reply, empty, error, head_only, set, with_body};
use crate::registry::wire::{Wire, WireStream};
use crate::registry::{Action, Faults};

/// Everything the connections share.
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) hub: SocketAddr,
    pub(super) storage: SocketAddr,
    faults: HubFaults,
    models: Mutex<BTreeMap<String, Model>>,
    seen: Mutex<Vec<Seen>>,
    sent: Mutex<BTreeMap<String, u64>>,
}

impl Shared {
    pub(super) fn models(&self) -> MutexGuard<'_, BTreeMap<String, Model>> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counter for Shared {
    fn sent(&self, name: &str, bytes: u64) {
        *self.sent.lock().unwrap_or_else(PoisonError::into_inner).entry(name.to_owned()).or_default() +=
            bytes;
    }
}

/// A hub that runs until it is dropped.
pub struct Hub {
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Hub {
    /// Starts a hub and its storage host on 127.0.0.1. Both answer when this returns.
    ///
    /// # Errors
    /// What binding or the runtime met.
    pub fn start(config: Config) -> io::Result<Self> {
        let bind = || {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            listener.set_nonblocking(true)?;
            Ok::<_, io::Error>(listener)
        };
        let (hub, storage) = (bind()?, bind()?);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("hub")
            .enable_all()
            .build()?;
        let shared = Arc::new(Shared {
            config,
            hub: hub.local_addr()?,
            storage: storage.local_addr()?,
            faults: HubFaults::default(),
            models: Mutex::default(),
            seen: Mutex::default(),
            sent: Mutex::default(),
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let (hub, storage) = {
            let _inside = runtime.enter();
            (tokio::net::TcpListener::from_std(hub)?, tokio::net::TcpListener::from_std(storage)?)
        };
        let state = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("hub".to_owned()).spawn(move || {
            runtime.spawn(accept(Arc::clone(&state), hub, Host::Hub));
            runtime.spawn(accept(state, storage, Host::Storage));
            // Ends when the sender is dropped.
            drop(runtime.block_on(stopped));
            runtime.shutdown_background();
        })?;
        Ok(Self { shared, stop: Some(stop), thread: Some(thread) })
    }

    /// `http://127.0.0.1:<port>`, for `HF_ENDPOINT`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.shared.hub)
    }

    /// Puts a model there, in place of one of its name.
    pub fn put(&self, model: Model) {
        self.shared.models().insert(model.repo.clone(), model);
    }

    /// How both hosts misbehave.
    #[must_use]
    pub fn faults(&self) -> &HubFaults {
        &self.shared.faults
    }

    /// Every request so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Bytes of file content sent so far, by path in the model; torn answers included.
    #[must_use]
    pub fn sent(&self) -> BTreeMap<String, u64> {
        self.shared.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets what was asked and sent so far.
    pub fn reset(&self) {
        self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.shared.sent.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // The thread ends in either case; how does not matter any more.
            drop(thread.join());
        }
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hub({})", self.shared.hub)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Host {
    Hub,
    Storage,
}

async fn accept(shared: Arc<Shared>, listener: tokio::net::TcpListener, host: Host) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        drop(stream.set_nodelay(true));
        tokio::spawn(serve(Arc::clone(&shared), stream, host));
    }
}

async fn serve(shared: Arc<Shared>, stream: TcpStream, host: Host) {
    let wire = Arc::new(Wire::default());
    let io = TokioIo::new(WireStream { stream, wire: Arc::clone(&wire) });
    let service = service_fn(|request| handle(Arc::clone(&shared), request, Arc::clone(&wire), host));
    // A connection that ends badly is the client's to report.
    drop(hyper::server::conn::http1::Builder::new().serve_connection(io, service).await);
}

async fn handle(
    shared: Arc<Shared>,
    request: Request<Incoming>,
    wire: Arc<Wire>,
    host: Host,
) -> io::Result<Reply> {
    let (parts, _) = request.into_parts();
    let header =
        |name| parts.headers.get(name).and_then(|value: &hyper::header::HeaderValue| value.to_str().ok());
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut call = Call {
        path: path.to_owned(),
        authorization: header(AUTHORIZATION).map(str::to_owned),
        range: header(RANGE).map(str::to_owned),
    };
    shared.seen.lock().unwrap_or_else(PoisonError::into_inner).push(Seen {
        storage: host == Host::Storage,
        path: call.path.clone(),
        authorization: call.authorization.clone(),
        range: call.range.clone(),
    });
    let faults: &Faults = if host == Host::Hub { &shared.faults.hub } else { &shared.faults.storage };
    let fault = faults.pick(parts.method.as_str(), path);
    match &fault {
        Some(Action::Status(code, headers)) => {
            let status = StatusCode::from_u16(*code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut reply = error(status, "UNAVAILABLE", "this fault was asked for");
            for (header, value) in headers {
                if let Ok(header) = header.parse() {
                    set(&mut reply, header, value);
                }
            }
            return Ok(reply);
        }
        Some(Action::Html(code)) => {
            let status = StatusCode::from_u16(*code).unwrap_or(StatusCode::OK);
            let page = "<!DOCTYPE html><html><head><title>Sign in</title></head></html>\n";
            let mut reply = with_body(status, Outgoing::bytes(Bytes::from_static(page.as_bytes())));
            set(&mut reply, CONTENT_TYPE, "text/html; charset=utf-8");
            return Ok(reply);
        }
        Some(Action::Redirect(to)) => {
            let mut reply = empty(StatusCode::FOUND);
            set(&mut reply, LOCATION, to);
            return Ok(reply);
        }
        Some(Action::Stall) => std::future::pending().await,
        Some(Action::Delay(time)) => tokio::time::sleep(*time).await,
        Some(Action::RangeIgnored) => call.range = None,
        _ => {}
    }
    let mut reply = match host {
        Host::Hub => answer_hub(&shared, &call),
        Host::Storage => answer_storage(&shared, &call),
    };
    if let Some(fault) = &fault {
        after(fault, &mut reply, &wire);
    }
    Ok(if parts.method == Method::HEAD { head_only(reply) } else { reply })
}
