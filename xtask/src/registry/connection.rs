//! From a TCP connection to a handler and back, with the faults applied on the way.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use super::body::{Ending, Intake, Outgoing, Torn};
use super::reply::{Fail, Outcome, Reply, empty, error, head_only, name, set, with_body};
use super::route::{Query, Route};
use super::server::Shared;
use super::wire::{Wire, WireStream};
use super::{Action, Line, blobs, lists, manifests, token, uploads};

/// Takes connections for as long as the runtime lives.
pub(super) async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, or a connection that left at once: the next one may do better.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        // Without it small answers wait for acknowledgements; with an error there it is only slower.
        drop(stream.set_nodelay(true));
        tokio::spawn(serve(Open::begin(&shared), stream));
    }
}

/// A connection, counted for as long as it lives: what it carried is in the statistics when it is gone.
struct Open(Arc<Shared>);

impl Open {
    fn begin(shared: &Arc<Shared>) -> Self {
        let mut stats = shared.stats();
        stats.connections += 1;
        stats.open += 1;
        Self(Arc::clone(shared))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut stats = self.0.stats();
        stats.open = stats.open.saturating_sub(1);
    }
}

async fn serve(open: Open, stream: TcpStream) {
    let shared = &open.0;
    let wire = Arc::new(Wire::default());
    let io = TokioIo::new(WireStream { stream, wire: Arc::clone(&wire) });
    let service = service_fn(|request| handle(Arc::clone(shared), request, Arc::clone(&wire)));
    // A connection that ends badly is the client's to report.
    drop(hyper::server::conn::http1::Builder::new().serve_connection(io, service).await);
}

/// One request, taken apart.
pub(super) struct Call {
    pub(super) shared: Arc<Shared>,
    pub(super) parts: Parts,
    pub(super) route: Route,
    pub(super) query: Query,
    pub(super) intake: Intake,
}

impl Call {
    /// A header's text.
    pub(super) fn header(&self, header: hyper::header::HeaderName) -> Option<&str> {
        self.parts.headers.get(header).and_then(|value| value.to_str().ok())
    }

    /// `path` as `Location` says it.
    pub(super) fn location(&self, path: &str) -> String {
        if self.shared.config.absolute_location {
            format!("http://{}{path}", self.shared.address)
        } else {
            path.to_owned()
        }
    }
}

/// Keeps the request's line in the statistics true, also when the request is dropped half-way.
struct Entry {
    shared: Arc<Shared>,
    at: usize,
    status: u16,
}

impl Entry {
    fn begin(shared: &Arc<Shared>, parts: &Parts, route: &Route) -> Self {
        let header = |header| parts.headers.get(header).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let mut stats = shared.stats();
        stats.under_way += 1;
        stats.peak = stats.peak.max(stats.under_way);
        stats.lines.push(Line {
            method: parts.method.to_string(),
            path: parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
            kind: route.kind(),
            authorization: header(AUTHORIZATION),
            range: header(RANGE),
            content_range: header(CONTENT_RANGE),
            status: 0,
        });
        Self { shared: Arc::clone(shared), at: stats.lines.len() - 1, status: 0 }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut stats = self.shared.stats();
        stats.under_way = stats.under_way.saturating_sub(1);
        if let Some(line) = stats.lines.get_mut(self.at) {
            line.status = self.status;
        }
    }
}

async fn handle(shared: Arc<Shared>, request: Request<Incoming>, wire: Arc<Wire>) -> io::Result<Reply> {
    let (parts, body) = request.into_parts();
    let route = Route::of(parts.uri.path());
    let mut entry = Entry::begin(&shared, &parts, &route);
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let fault = shared.faults.pick(parts.method.as_str(), path);
    let query = Query::of(parts.uri.query().unwrap_or(""));
    let head = parts.method == Method::HEAD;
    let mut call = Call { shared, parts, route, query, intake: Intake::new(body, &wire) };

    let outcome = match fault.as_ref().map(|fault| before(fault, &mut call)) {
        Some(Before::Answer(reply)) => {
            // An answer that overtakes its request can be lost with the connection: a server that means to be heard reads on for a while.
            let mut left = HEARD_OUT;
            while left > 0
                && let Ok(Some(piece)) = call.intake.next().await
            {
                left = left.saturating_sub(piece.len());
            }
            Ok(*reply)
        }
        Some(Before::Never) => std::future::pending().await,
        Some(Before::Wait(time)) => {
            tokio::time::sleep(time).await;
            dispatch(&mut call).await
        }
        Some(Before::Go) | None => dispatch(&mut call).await,
    };
    let mut reply = match outcome {
        Ok(reply) => reply,
        Err(Fail::Reply(reply)) => *reply,
        Err(Fail::Torn) => return Err(io::ErrorKind::ConnectionAborted.into()),
    };
    if let Some(fault) = &fault {
        if *fault == Action::LoseAnswer {
            wire.reset();
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        after(fault, &mut reply, &wire);
    }
    entry.status = reply.status().as_u16();
    Ok(if head { head_only(reply) } else { reply })
}

/// Bytes of a request that is refused at once which are read all the same.
const HEARD_OUT: usize = 8 << 20;

enum Before {
    Go,
    Wait(Duration),
    Never,
    Answer(Box<Reply>),
}

/// The part of a fault that happens before the handler.
fn before(fault: &Action, call: &mut Call) -> Before {
    let answer = |reply| Before::Answer(Box::new(reply));
    match fault {
        Action::Status(code, headers) => {
            let status = StatusCode::from_u16(*code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut reply = error(status, "UNAVAILABLE", "this fault was asked for");
            for (header, value) in headers {
                if let Ok(header) = header.parse() {
                    set(&mut reply, header, value);
                }
            }
            answer(reply)
        }
        Action::Html(code) => {
            let page =
                "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Welcome.</body></html>\n";
            let status = StatusCode::from_u16(*code).unwrap_or(StatusCode::OK);
            let mut reply = with_body(status, Outgoing::bytes(Bytes::from_static(page.as_bytes())));
            set(&mut reply, CONTENT_TYPE, "text/html; charset=utf-8");
            answer(reply)
        }
        Action::Index(text) => {
            let mut reply = with_body(StatusCode::OK, Outgoing::bytes(Bytes::from(text.clone())));
            set(&mut reply, CONTENT_TYPE, "application/vnd.oci.image.index.v1+json");
            answer(reply)
        }
        Action::Redirect(to) => {
            let mut reply = empty(StatusCode::TEMPORARY_REDIRECT);
            set(&mut reply, LOCATION, to);
            answer(reply)
        }
        Action::ExpireTokens => {
            call.shared.tokens().forget();
            Before::Go
        }
        Action::Stall => Before::Never,
        Action::Delay(time) => Before::Wait(*time),
        Action::ResetRequest(after) => {
            call.intake.cut(*after, Ending::Reset);
            Before::Go
        }
        Action::StallRequest(after) => {
            call.intake.cut(*after, Ending::Stall);
            Before::Go
        }
        Action::TooLarge(most) => {
            let announced = call.header(CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
            if announced.is_some_and(|length| length > *most) {
                return answer(too_large());
            }
            call.intake.at_most(*most);
            Before::Go
        }
        Action::ForgetSession => {
            if let Route::Upload { session, .. } = &call.route {
                call.shared.uploads().remove(session);
            }
            Before::Go
        }
        Action::RangeIgnored => {
            call.parts.headers.remove(RANGE);
            Before::Go
        }
        _ => Before::Go,
    }
}

/// The part of a fault that happens to the answer.
pub(crate) fn after(fault: &Action, reply: &mut Reply, wire: &Arc<Wire>) {
    match fault {
        Action::ResetResponse(bytes) => reply.body_mut().cut(*bytes, Ending::Reset, wire),
        Action::CloseResponse(bytes) => reply.body_mut().cut(*bytes, Ending::Close, wire),
        Action::StallResponse(bytes) => reply.body_mut().cut(*bytes, Ending::Stall, wire),
        Action::WrongBytes(at) => reply.body_mut().flip(*at),
        Action::ShortBody(length) => {
            reply.body_mut().shorten(*length);
            let length = reply.body().length();
            set(reply, CONTENT_LENGTH, &length.to_string());
        }
        Action::EndlessBody => {
            reply.body_mut().endless();
            reply.headers_mut().remove(CONTENT_LENGTH);
        }
        Action::WrongDigestHeader => {
            let other = format!("sha256:{}", "0".repeat(64));
            set(reply, name("docker-content-digest"), &other);
        }
        Action::OmitLocation => {
            reply.headers_mut().remove(LOCATION);
        }
        _ => {}
    }
}

fn too_large() -> Reply {
    error(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID", "the body is too large")
}

impl From<Torn> for Fail {
    fn from(torn: Torn) -> Self {
        match torn {
            Torn::Broken => Self::Torn,
            Torn::TooLarge => Self::Reply(Box::new(too_large())),
        }
    }
}

async fn dispatch(call: &mut Call) -> Outcome {
    if call.route == Route::Token {
        return token::issue(call).await;
    }
    token::admit(call)?;
    let mut reply = match call.route {
        Route::Base => empty(StatusCode::OK),
        Route::Catalog => lists::catalog(call),
        Route::Tags { .. } => lists::tags(call)?,
        Route::Referrers { .. } => lists::referrers(call)?,
        Route::Manifest { .. } => manifests::handle(call).await?,
        Route::Blob { .. } => blobs::handle(call)?,
        Route::Uploads { .. } => uploads::begin(call).await?,
        Route::Upload { .. } => uploads::proceed(call).await?,
        Route::Token | Route::Unknown => {
            error(StatusCode::NOT_FOUND, "NAME_INVALID", "there is nothing at this path")
        }
    };
    set(&mut reply, name("docker-distribution-api-version"), "registry/2.0");
    Ok(reply)
}
