//! Upload sessions: begun, mounted, asked how far they are, taken up after a killed process, given up
//! (distribution-spec §Pushing blobs).

use reqwest::Method;
use reqwest::header::{LOCATION, RANGE};
use url::Url;

use super::answer::Answer;
use super::hosts;
use super::push::BlobPush;
use super::request::{Ask, To};
use super::token::Scope;
use super::{Client, Error, api};
use crate::digest::Digest;
use crate::oci::Repository;

/// An upload that was begun, as it is kept for a later process. The location may hold a secret of the registry's making.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// Absolute URL the registry gave.
    pub location: String,
    /// When it was noted, in seconds since 1970, 0 where the clock is not set: registries drop sessions after hours or days.
    pub started: i64,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session(started {})", self.started)
    }
}

/// Remembers upload sessions, so that another process can go on. Called from many threads.
pub trait UploadNotes: Send + Sync {
    /// The session noted for this blob in this repository.
    fn find(&self, repository: &Repository, digest: &Digest) -> Option<Session>;
    /// Notes `session`, in the place of any other for the same blob and repository.
    fn save(&self, repository: &Repository, digest: &Digest, session: &Session);
    /// Drops what is noted.
    fn forget(&self, repository: &Repository, digest: &Digest);
}

/// Remembers nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoNotes;

impl UploadNotes for NoNotes {
    fn find(&self, _: &Repository, _: &Digest) -> Option<Session> {
        None
    }
    fn save(&self, _: &Repository, _: &Digest, _: &Session) {}
    fn forget(&self, _: &Repository, _: &Digest) {}
}

/// What beginning an upload came to.
pub(super) enum Begun {
    /// The blob was taken over from another repository.
    Mounted,
    /// A session is open.
    Open {
        /// Where it takes bytes.
        at: Url,
        /// `OCI-Chunk-Min-Length`, 0 when not stated.
        least: u64,
    },
}

impl Client {
    /// Begins an upload, taking the blob over from `from` where the registry can.
    pub(super) fn begin(&self, push: &BlobPush<'_>, from: Option<&Repository>) -> Result<Begun, Error> {
        let mut scopes = vec![Scope::push(push.repository.path())];
        let mut query = String::new();
        if let Some(from) = from {
            scopes.push(Scope::pull(from.path()));
            query = format!("?mount={}&from={}", push.blob.digest, from.path());
        }
        let to = api(push.repository, &format!("blobs/uploads/{query}"));
        let ask = Ask::new(Method::POST, push.repository.registry(), to, push.what()).scoped(scopes);
        let answer = self.runtime.block_on(self.core.ask(&ask))?;
        match answer.status {
            201 if from.is_some() => Ok(Begun::Mounted),
            202 => {
                let at = self.location(&answer, &ask.what)?.ok_or_else(|| Error::Malformed {
                    what: ask.what.clone(),
                    why: "an upload without a Location".into(),
                })?;
                let least = answer.header("oci-chunk-min-length").and_then(|text| text.trim().parse().ok());
                Ok(Begun::Open { at, least: least.unwrap_or(0) })
            }
            _ => {
                answer.not_a_page(&ask.what)?;
                Err(answer.refusal(ask.registry, &ask.what))
            }
        }
    }

    /// Where the session at `at` takes bytes now, and how many it has; `None` when it is gone or cannot be asked about.
    pub(super) fn progress(&self, push: &BlobPush<'_>, at: &Url) -> Result<Option<(Url, u64)>, Error> {
        let ask = session_ask(Method::GET, push, at);
        let answer = self.runtime.block_on(self.core.ask(&ask))?;
        match answer.status {
            200..=299 => {
                let next = self.location(&answer, &ask.what)?.unwrap_or_else(|| at.clone());
                Ok(Some((next, answer.header(RANGE.as_str()).map_or(0, received))))
            }
            403 => Err(answer.refusal(ask.registry, &ask.what)),
            _ => Ok(None),
        }
    }

    /// Gives the session up, so that the registry can drop its bytes. Best effort: it will drop them some day anyway.
    pub(super) fn cancel(&self, push: &BlobPush<'_>, at: &Url) {
        let ask = session_ask(Method::DELETE, push, at);
        let _ = self.runtime.block_on(self.core.open(&ask));
    }

    /// Where an answer says that its session takes bytes next.
    pub(super) fn location(&self, answer: &Answer, what: &str) -> Result<Option<Url>, Error> {
        let Some(text) = answer.header(LOCATION.as_str()) else { return Ok(None) };
        let malformed =
            || Error::Malformed { what: what.to_owned(), why: "a Location that is not a URL".into() };
        let to = answer.url.join(text).map_err(|_| malformed())?;
        let refused = |why| Error::RedirectRefused { what: what.to_owned(), to: hosts::place(&to), why };
        if answer.url.scheme() == "https" && to.scheme() != "https" {
            return Err(refused("it leaves TLS"));
        }
        if !self.core.hosts.admits(&to) {
            return Err(Error::PlainHttpRefused { host: hosts::authority(&to) });
        }
        if !to.username().is_empty() || to.password().is_some() {
            return Err(refused("it carries credentials"));
        }
        if hosts::is_metadata(&to) {
            return Err(refused("it is no address of a registry (link-local, or none at all)"));
        }
        Ok(Some(to))
    }
}

fn session_ask<'a>(method: Method, push: &BlobPush<'a>, at: &Url) -> Ask<'a> {
    Ask::new(method, push.repository.registry(), To::Url(at.clone()), push.what())
        .scoped(vec![Scope::push(push.repository.path())])
}

/// Bytes received, from `0-<last>`. `0-0` is what registries say of an empty session; of one with a single byte too, and
/// taking that for empty costs one byte.
pub(super) fn received(range: &str) -> u64 {
    let range = range.trim();
    let range = range.strip_prefix("bytes=").unwrap_or(range);
    match range.split_once('-').map(|(first, last)| (first.parse::<u64>(), last.parse::<u64>())) {
        Some((Ok(0), Ok(last))) if last > 0 => last.saturating_add(1),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_sessions() {
        for (range, wanted) in
            [("0-99", 100), ("bytes=0-99", 100), ("0-0", 0), ("0--1", 0), ("5-9", 0), ("", 0), ("0-x", 0)]
        {
            assert_eq!(received(range), wanted, "{range}");
        }
    }
}
