//! Blobs on the way in: whether they are there, and their bytes, going on where a connection broke.

use std::sync::Arc;

use bytes::Bytes;
use reqwest::header::{CONTENT_RANGE, HeaderMap, HeaderValue, RANGE};
use reqwest::{Method, Response};
use tokio::runtime::Runtime;

use super::answer::{self, Answer, content_digest, header};
use super::request::{Ask, Bound, Core};
use super::retry::Failure;
use super::token::Scope;
use super::web::WebFile;
use super::{Client, Error, api};
use crate::checked::small;
use crate::digest::{Blob, Digest};
use crate::oci::{Pointer, Repository};
use crate::store::{self, Pieces};

/// The longest piece that is handed out.
const PIECE: usize = 1 << 20;
/// Bytes that make a failure forgotten: a registry that gives less each time is failing, however often it answers.
const PROGRESS: u64 = 1 << 20;

impl Client {
    /// The size of a blob; `None` only when the registry says that it does not have it.
    pub fn head_blob(&self, repository: &Repository, digest: &Digest) -> Result<Option<u64>, Error> {
        let mut ask = blob_ask(Method::HEAD, repository, digest);
        let answer = self.runtime.block_on(self.core.ask(&ask));
        match answer {
            Ok(answer) if answer.status == 200 => {
                answer.not_a_page(&ask.what)?;
                if let Some(size) = answer.header("content-length").and_then(|length| length.parse().ok()) {
                    return Ok(Some(size));
                }
            }
            Ok(answer) if answer.status == 404 => return Ok(None),
            Ok(answer) if answer.status == 405 => {}
            Ok(answer) => return Err(answer.refusal(repository.registry(), &ask.what)),
            Err(error) => return Err(error),
        }
        // No size, or no HEAD: one byte tells both.
        ask.method = Method::GET;
        ask.headers.insert(RANGE, HeaderValue::from_static("bytes=0-0"));
        self.runtime.block_on(async {
            let response = self.core.open(&ask).await.map_err(|failure| failure.error)?;
            match response.status().as_u16() {
                404 => Ok(None),
                // Of an empty blob there is no first byte.
                416 => Ok(Some(0)),
                status @ (200 | 206) => {
                    let size = match status {
                        200 => response.content_length(),
                        _ => range(&response).and_then(|(_, total)| total),
                    };
                    let unsaid = || Error::Malformed {
                        what: ask.what.clone(),
                        why: "it does not say its size".into(),
                    };
                    size.map(Some).ok_or_else(unsaid)
                }
                _ => Err(refusal(&self.core, &ask, response).await),
            }
        })
    }

    /// The bytes of `blob` from `offset` (≤ its size) to its end, as the registry gives them: unhashed, but exactly as many.
    pub fn open_blob(&self, repository: &Repository, blob: &Blob, offset: u64) -> Result<BlobBody, Error> {
        let mut body = BlobBody {
            core: self.core.clone(),
            runtime: self.runtime.clone(),
            target: Target::Blob { repository: repository.clone(), digest: blob.digest },
            size: blob.size,
            position: offset,
            arrived: offset,
            failures: 0,
            response: None,
            skip: 0,
            pending: Bytes::new(),
        };
        body.begin()?;
        Ok(body)
    }

    /// The bytes of a file on the web from `offset` (≤ its size) to its end: unhashed, but exactly as many.
    pub fn open_web(&self, file: &WebFile, offset: u64) -> Result<BlobBody, Error> {
        let mut body = BlobBody {
            core: self.core.clone(),
            runtime: self.runtime.clone(),
            target: Target::Web(Box::new(file.clone())),
            size: file.size,
            position: offset,
            arrived: offset,
            failures: 0,
            response: None,
            skip: 0,
            pending: Bytes::new(),
        };
        body.begin()?;
        Ok(body)
    }
}

/// What a body is of.
enum Target {
    /// A blob of a repository.
    Blob { repository: Repository, digest: Digest },
    /// A file of another server.
    Web(Box<WebFile>),
}

/// The bytes of a blob or file as they arrive. A broken connection is taken up again where it broke.
pub struct BlobBody {
    core: Arc<Core>,
    runtime: Arc<Runtime>,
    target: Target,
    /// Bytes of the whole.
    size: u64,
    /// Bytes before this one were received.
    position: u64,
    /// Where `position` was at the last counted failure.
    arrived: u64,
    failures: u32,
    response: Option<Response>,
    /// Bytes still to be dropped from a body that begins at 0 although it was asked to begin later.
    skip: u64,
    pending: Bytes,
}

impl Pieces for BlobBody {
    fn next(&mut self) -> Result<Option<Bytes>, store::Error> {
        if self.pending.is_empty() {
            let runtime = self.runtime.clone();
            self.pending = runtime.block_on(self.receive())?;
        }
        if self.pending.is_empty() {
            return Ok(None);
        }
        let length = self.pending.len().min(PIECE);
        Ok(Some(self.pending.split_to(length)))
    }
}

impl std::fmt::Debug for BlobBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BlobBody({} at {})", self.what(), self.position)
    }
}

impl BlobBody {
    fn what(&self) -> String {
        match &self.target {
            Target::Blob { repository, digest } => format!("{repository}@{digest}"),
            Target::Web(file) => file.what.clone(),
        }
    }

    /// Connects, when there is a byte to come.
    fn begin(&mut self) -> Result<(), Error> {
        if self.position < self.size {
            let runtime = self.runtime.clone();
            runtime.block_on(self.connect())?;
        }
        Ok(())
    }

    /// The next bytes; empty at the end.
    async fn receive(&mut self) -> Result<Bytes, Error> {
        while self.position < self.size {
            if self.response.is_none() {
                self.connect().await?;
            }
            let what = self.what();
            let Some(response) = self.response.as_mut() else { continue };
            let failure = match self.core.piece(response, &what).await {
                Ok(Some(piece)) => match self.take(piece)? {
                    piece if piece.is_empty() => continue,
                    piece => return Ok(piece),
                },
                Ok(None) => {
                    let (expected, got) = (self.size, self.position);
                    Failure::passing(Error::ShortBody { what, expected, got })
                }
                Err(failure) => failure,
            };
            self.response = None;
            self.failed(failure).await?;
        }
        self.end().await?;
        Ok(Bytes::new())
    }

    /// Counts a piece, less what was there before.
    fn take(&mut self, mut piece: Bytes) -> Result<Bytes, Error> {
        let skipped = small(self.skip).min(piece.len());
        let piece = piece.split_off(skipped);
        self.skip -= skipped as u64;
        self.position += piece.len() as u64;
        if self.position > self.size {
            return Err(self.too_long());
        }
        Ok(piece)
    }

    /// After the last byte nothing may come. Where a length was stated this is known already.
    async fn end(&mut self) -> Result<(), Error> {
        let Some(mut response) = self.response.take() else { return Ok(()) };
        if response.content_length().is_some() {
            return Ok(());
        }
        let what = self.what();
        match self.core.piece(&mut response, &what).await {
            Ok(Some(_)) => Err(self.too_long()),
            // Every byte is here: a connection that breaks now took nothing away.
            Ok(None) | Err(_) => Ok(()),
        }
    }

    fn too_long(&self) -> Error {
        Error::TooLong { what: self.what(), limit: self.size }
    }

    async fn failed(&mut self, failure: Failure) -> Result<(), Error> {
        if self.position - self.arrived >= PROGRESS {
            self.failures = 0;
        }
        self.arrived = self.position;
        self.failures += 1;
        self.core.pause(failure, self.failures, &self.what()).await
    }

    /// Asks for the bytes from `position` on, as often as it takes.
    async fn connect(&mut self) -> Result<(), Error> {
        loop {
            match self.try_connect().await {
                Ok(response) => {
                    self.response = Some(response);
                    return Ok(());
                }
                Err(failure) => self.failed(failure).await?,
            }
        }
    }

    async fn try_connect(&mut self) -> Result<Response, Failure> {
        let core = self.core.clone();
        let mut headers = HeaderMap::new();
        if self.position > 0 {
            let value = HeaderValue::from_str(&format!("bytes={}-", self.position))
                .map_err(|_| self.malformed("an offset that cannot be asked for"))?;
            headers.insert(RANGE, value);
        }
        let response = match &self.target {
            Target::Blob { repository, digest } => {
                let mut ask = blob_ask(Method::GET, repository, digest);
                ask.headers = headers;
                let response = core.open(&ask).await?;
                if !matches!(response.status().as_u16(), 200 | 206 | 416) {
                    return Err(refusal(&core, &ask, response).await.into());
                }
                response
            }
            Target::Web(file) => file.open(&core, headers).await?,
        };
        let (begins, total) = match response.status().as_u16() {
            200 => (0, response.content_length()),
            206 => {
                let (begins, total) = range(&response)
                    .ok_or_else(|| self.malformed("206 without a Content-Range that can be read"))?;
                if begins != self.position {
                    return Err(self.malformed("206 with another range than was asked for").into());
                }
                (begins, total)
            }
            416 => {
                let (expected, got) = (self.size, self.position);
                return Err(Error::ShortBody { what: self.what(), expected, got }.into());
            }
            _ => return Err(self.malformed("an answer that was not asked for").into()),
        };
        if total.is_some_and(|total| total > self.size) {
            return Err(self.too_long().into());
        }
        let html = header(response.headers(), "content-type").is_some_and(|kind| kind.contains("text/html"));
        if html && total != Some(self.size) {
            return Err(self.malformed("a web page (text/html)").into());
        }
        if let Target::Blob { digest, .. } = self.target
            && let Some(got) = content_digest(response.headers(), &self.what())?
            && got != digest
        {
            return Err(Error::WrongDigest { what: self.what(), expected: digest, got }.into());
        }
        self.skip = self.position - begins;
        Ok(response)
    }

    fn malformed(&self, why: &str) -> Error {
        Error::Malformed { what: self.what(), why: why.to_owned() }
    }
}

/// The refusal that a response is.
async fn refusal(core: &Core, ask: &Ask<'_>, response: Response) -> Error {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let url = response.url().clone();
    let body = core.read(response, Bound::REFUSAL, &ask.what).await;
    let body = body.unwrap_or_default();
    match status {
        200..=399 => answer::refusal(status, ask.registry, &ask.what, "it was not expected".into()),
        _ => Answer { status, headers, body, url }.refusal(ask.registry, &ask.what),
    }
}

/// First byte and, where stated, total of a `Content-Range: bytes first-last/total` (RFC 9110 §14.4).
pub(super) fn range(response: &Response) -> Option<(u64, Option<u64>)> {
    content_range(header(response.headers(), CONTENT_RANGE.as_str())?)
}

fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    let total = if total == "*" { None } else { Some(total.parse::<u64>().ok()?) };
    (first <= last && total.is_none_or(|total| last < total)).then_some((first, total))
}

fn blob_ask<'a>(method: Method, repository: &'a Repository, digest: &Digest) -> Ask<'a> {
    let what = super::manifest::name(repository, &Pointer::Digest(*digest));
    Ask::new(method, repository.registry(), api(repository, &format!("blobs/{digest}")), what)
        .scoped(vec![Scope::pull(repository.path())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        for (text, wanted) in [
            ("bytes 5-9/10", Some((5, Some(10)))),
            ("bytes 0-0/*", Some((0, None))),
            ("bytes 5-10/10", None),
            ("bytes 9-5/10", None),
            ("bytes */10", None),
            ("bytes -5/10", None),
            ("items 0-1/2", None),
            ("", None),
        ] {
            assert_eq!(content_range(text), wanted, "{text}");
        }
    }
}
