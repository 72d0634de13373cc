//! From a request to its answer.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT_RANGES, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, IF_RANGE,
    RANGE,
};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode};

use super::answer::{
    API_VERSION, Answer, DIGEST, busy, damaged, error, json, read_only, set, unauthorized, unknown, with,
};
use super::body::{Body, Reading};
use super::journal::{Cause, Note, tell};
use super::range::{Wanted, wanted};
use super::route::{Query, Route};
use super::{BUSY, Library, Shared, lists};
use crate::digest::{Blob, Digest};
use crate::limits::SERVE_READERS;
use crate::oci::Pointer;
use crate::store;

/// One request, taken apart.
pub(super) struct Call {
    pub(super) shared: Arc<Shared>,
    pub(super) parts: Parts,
    pub(super) query: Query,
    note: Note,
}

/// Answers one request.
pub(super) async fn handle(
    shared: Arc<Shared>,
    request: Request<Incoming>,
    (peer, cause): (SocketAddr, Cause),
) -> Answer {
    let (parts, _) = request.into_parts();
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let causes = [cause, Arc::clone(&shared.cut)];
    let note = Note::begin(&shared.journal, (peer, causes), (parts.method.as_str(), target));
    let head = parts.method == Method::HEAD;
    let query = Query::of(parts.uri.query().unwrap_or(""));
    let mut call = Call { shared, parts, query, note };
    let mut answer = call.answer().await;
    set(&mut answer, API_VERSION, "registry/2.0");
    let length = answer.body().left();
    if !answer.headers().contains_key(CONTENT_LENGTH) {
        set(&mut answer, CONTENT_LENGTH, &length.to_string());
    }
    let mut note = call.note;
    note.entry.status = answer.status().as_u16();
    answer.map(|body| if head { Body::held(Bytes::new()) } else { body }.noted(note))
}

impl Call {
    /// A header's text.
    fn header(&self, name: HeaderName) -> Option<&str> {
        self.parts.headers.get(name).and_then(|value| value.to_str().ok())
    }

    async fn answer(&mut self) -> Answer {
        if !self.admitted().await {
            return unauthorized();
        }
        if !matches!(self.parts.method, Method::GET | Method::HEAD) {
            return read_only();
        }
        match Route::of(self.parts.uri.path()) {
            Route::Base => json(StatusCode::OK, &serde_json::json!({})),
            Route::Catalog => lists::catalog(self),
            Route::Tags(name) => lists::tags(self, &name),
            Route::Referrers(name, subject) => lists::referrers(self, &name, subject).await,
            Route::Manifest(name, pointer) => self.manifest(&name, &pointer).await,
            Route::Blob(name, digest) => self.blob(&name, digest).await,
            Route::Uploads => read_only(),
            Route::Malformed(code, what) => {
                let what = crate::text::printable(&what, 100);
                error(
                    StatusCode::BAD_REQUEST,
                    code,
                    &format!("\"{what}\" is not a name that can be asked for"),
                )
            }
            Route::Unknown => unknown("NAME_INVALID", "there is nothing at this path"),
        }
    }

    /// Whether the client may in.
    async fn admitted(&mut self) -> bool {
        let Some(passwords) = &self.shared.passwords else { return true };
        let Some(header) = self.header(AUTHORIZATION).map(str::to_owned) else { return false };
        self.note.entry.user = passwords.check(&header).await;
        self.note.entry.user.is_some()
    }

    /// The answer for a repository that is not here.
    pub(super) fn no_repository(&self, name: &str) -> Answer {
        let name = crate::text::printable(name, 300);
        let message = match &self.query.vendor {
            Some(vendor) => {
                let vendor = crate::text::printable(vendor, 300);
                format!("this bundle has nothing of {vendor}/{name}")
            }
            None => format!("this bundle has no repository {name}"),
        };
        unknown("NAME_UNKNOWN", &message)
    }

    async fn manifest(&mut self, name: &str, pointer: &Pointer) -> Answer {
        let library = Arc::clone(&self.shared.library);
        let Some(shelf) = library.catalog().repository(name, self.query.vendor.as_deref()) else {
            return self.no_repository(name);
        };
        let digest = match pointer {
            Pointer::Digest(digest) => Some(*digest),
            Pointer::Tag(tag) => shelf.tag(tag),
        };
        let found = digest.and_then(|digest| Some((digest, library.catalog().manifest(&digest)?)));
        let Some((digest, held)) = found else {
            let pointer = match pointer {
                Pointer::Digest(digest) => digest.to_string(),
                Pointer::Tag(tag) => tag.clone(),
            };
            return unknown("MANIFEST_UNKNOWN", &format!("this bundle has no manifest {pointer} of {name}"));
        };
        let body = if self.parts.method == Method::HEAD {
            Body::held(Bytes::new())
        } else {
            match self.whole(held.blob(digest)).await {
                Ok(bytes) => Body::held(bytes),
                Err(answer) => return answer,
            }
        };
        let mut answer = with(StatusCode::OK, body);
        set(&mut answer, CONTENT_LENGTH, &held.size.to_string());
        set(&mut answer, CONTENT_TYPE, &held.media_type);
        name_bytes(&mut answer, &digest);
        answer
    }

    async fn blob(&mut self, name: &str, digest: Digest) -> Answer {
        let library = Arc::clone(&self.shared.library);
        if library.catalog().repository(name, self.query.vendor.as_deref()).is_none() {
            return self.no_repository(name);
        }
        let Some(held) = library.catalog().blob(&digest) else {
            return unknown("BLOB_UNKNOWN", &format!("this bundle has no blob {digest}"));
        };
        let blob = held.blob(digest);
        let get = self.parts.method == Method::GET;
        // RFC 9110 §13.1.5: a part of something else is not wanted.
        let same = self.header(IF_RANGE).is_none_or(|tag| tag.trim_matches('"') == digest.to_string());
        let range = self.header(RANGE).filter(|_| get && same);
        let mut answer = match wanted(range, blob.size) {
            Wanted::Outside => {
                let mut answer =
                    error(StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UNKNOWN", "the blob has no such bytes");
                set(&mut answer, CONTENT_RANGE, &format!("bytes */{}", blob.size));
                return answer;
            }
            Wanted::Whole if get => self.stream(StatusCode::OK, blob, None).await,
            Wanted::Whole => {
                let mut answer = with(StatusCode::OK, Body::held(Bytes::new()));
                set(&mut answer, CONTENT_LENGTH, &blob.size.to_string());
                answer
            }
            Wanted::Part(from, to) => {
                let mut answer = self.stream(StatusCode::PARTIAL_CONTENT, blob, Some((from, to))).await;
                set(&mut answer, CONTENT_RANGE, &format!("bytes {from}-{}/{}", to - 1, blob.size));
                answer
            }
        };
        if !answer.status().is_success() {
            answer.headers_mut().remove(CONTENT_RANGE);
            return answer;
        }
        set(&mut answer, CONTENT_TYPE, "application/octet-stream");
        set(&mut answer, ACCEPT_RANGES, "bytes");
        name_bytes(&mut answer, &digest);
        answer
    }

    /// An answer of `status` with a body that is read while it is sent. It is begun when the first piece is there: what cannot be read at
    /// all is answered as a fault.
    async fn stream(&self, status: StatusCode, blob: Blob, range: Option<(u64, u64)>) -> Answer {
        let length = range.map_or(blob.size, |(from, to)| to - from);
        if length == 0 {
            return with(status, Body::held(Bytes::new()));
        }
        let permit = tokio::time::timeout(BUSY, Arc::clone(&self.shared.readers).acquire_owned()).await;
        let Ok(Ok(permit)) = permit else {
            tell(&self.note.fault, &format!("{SERVE_READERS} others are under way, as many as are served"));
            return busy();
        };
        let fault = Arc::clone(&self.note.fault);
        let mut reading = match self.shared.library.read(&blob, range) {
            Ok(pieces) => Reading { pieces, fault, permit },
            Err(error) => {
                tell(&fault, &error);
                return damaged();
            }
        };
        match reading.next() {
            Some(first) => with(status, Body::read(first, reading, length)),
            None => damaged(),
        }
    }

    /// The whole of a manifest, or the answer when it cannot be read.
    pub(super) async fn whole(&self, blob: Blob) -> Result<Bytes, Answer> {
        if blob.size > crate::limits::MANIFEST_BYTES {
            return Err(error(
                StatusCode::INTERNAL_SERVER_ERROR,
                "SIZE_INVALID",
                "a manifest is never that large",
            ));
        }
        let permit = self.shared.small.acquire().await;
        let library = Arc::clone(&self.shared.library);
        let fault = Arc::clone(&self.note.fault);
        let read = tokio::task::spawn_blocking(move || {
            gather(&*library, &blob).map_err(|error| tell(&fault, &error))
        });
        let read = read.await;
        drop(permit);
        match read {
            Ok(Ok(bytes)) => Ok(bytes.into()),
            _ => Err(damaged()),
        }
    }
}

fn gather(library: &dyn Library, blob: &Blob) -> Result<Vec<u8>, store::Error> {
    let mut bytes = Vec::with_capacity(crate::checked::small(blob.size));
    let mut pieces = library.read(blob, None)?;
    while let Some(piece) = pieces.next()? {
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// Says which bytes an answer holds.
fn name_bytes(answer: &mut Answer, digest: &Digest) {
    set(answer, DIGEST, &digest.to_string());
    set(answer, ETAG, &format!("\"{digest}\""));
}
