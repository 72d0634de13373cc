//! Small blobs on the way out: whole in memory, so a request can simply be sent again, and one request is enough where the registry takes it.
//!
//! distribution-spec §Pushing a blob monolithically: `POST` with the digest and the bytes, or, where that only opens a session, a `PUT` to it.
//! Whatever else happens is left to [`Client::push_blob`], which knows every way there is.

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use url::Url;

use super::answer::{Answer, content_digest};
use super::request::{Ask, To};
use super::token::Scope;
use super::{Client, Error, api};
use crate::digest::Digest;
use crate::oci::{Pointer, Repository};

/// What became of a small blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushedSmall {
    /// It is there, under its digest.
    Sent,
    /// The registry did not take it so; nothing is said about any other way.
    NotSo,
}

impl Client {
    /// Pushes `bytes`, which have the digest `digest`.
    pub fn push_small(
        &self,
        repository: &Repository,
        digest: &Digest,
        bytes: &Bytes,
    ) -> Result<PushedSmall, Error> {
        let what = super::manifest::name(repository, &Pointer::Digest(*digest));
        let send = |method: Method, to: To, body: &Bytes| {
            let mut ask = Ask::new(method, repository.registry(), to, what.clone())
                .scoped(vec![Scope::push(repository.path())]);
            if !body.is_empty() {
                ask.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
                ask.body = body.clone();
            }
            self.runtime.block_on(self.core.ask(&ask))
        };
        let in_one = !bytes.is_empty() && self.sessions_only.takes_one(repository.registry());
        let begun = if in_one {
            let to = api(repository, &format!("blobs/uploads/?digest={digest}"));
            let answer = send(Method::POST, to, bytes)?;
            if answer.status == 201 {
                return settled(&answer, &what, digest);
            }
            self.sessions_only.note(repository.registry());
            answer
        } else {
            send(Method::POST, api(repository, "blobs/uploads/"), &Bytes::new())?
        };
        if begun.status != 202 {
            return Ok(PushedSmall::NotSo);
        }
        let Some(at) = self.location(&begun, &what)? else { return Ok(PushedSmall::NotSo) };
        let answer = send(Method::PUT, To::Url(closing(at, digest)), bytes)?;
        if matches!(answer.status, 200..=204) {
            settled(&answer, &what, digest)
        } else {
            Ok(PushedSmall::NotSo)
        }
    }
}

/// What the answer to a whole upload says.
fn settled(answer: &Answer, what: &str, digest: &Digest) -> Result<PushedSmall, Error> {
    answer.not_a_page(what)?;
    match content_digest(&answer.headers, what)? {
        Some(got) if got != *digest => {
            Err(Error::WrongDigest { what: what.to_owned(), expected: *digest, got })
        }
        _ => Ok(PushedSmall::Sent),
    }
}

/// Where a `PUT` ends the session at `at` with `digest`.
pub(super) fn closing(mut at: Url, digest: &Digest) -> Url {
    at.query_pairs_mut().append_pair("digest", &digest.to_string());
    at
}

/// The registries that were seen to open a session where they were given a whole blob.
#[derive(Debug, Default)]
pub(super) struct SessionsOnly(std::sync::Mutex<std::collections::BTreeSet<String>>);

impl SessionsOnly {
    fn takes_one(&self, registry: &str) -> bool {
        !self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).contains(registry)
    }

    fn note(&self, registry: &str) {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(registry.to_owned());
    }
}
