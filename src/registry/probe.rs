//! What a preflight tries and a transfer never does: an upload that is given up, and the removal of a blob.

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderValue};

use super::request::{Ask, To};
use super::session::Begun;
use super::token::Scope;
use super::{BlobPush, Client, Error, api};
use crate::digest::Digest;
use crate::oci::{Pointer, Repository};

impl Client {
    /// Sends `bytes` as the first piece of an upload (`PATCH`, distribution-spec §Pushing a blob in chunks) and gives the upload up,
    /// so that nothing of it stays. `push` says where, and of which blob.
    ///
    /// # Errors
    /// What the registry refuses.
    pub fn try_piece(&self, push: &BlobPush<'_>, bytes: &Bytes) -> Result<(), Error> {
        let Begun::Open { at, .. } = self.begin(push, None)? else { return Ok(()) };
        let repository = push.repository;
        let mut ask = Ask::new(Method::PATCH, repository.registry(), To::Url(at.clone()), push.what())
            .scoped(vec![Scope::push(repository.path())]);
        ask.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        let range = format!("0-{}", bytes.len().saturating_sub(1));
        if let Ok(range) = HeaderValue::from_str(&range) {
            ask.headers.insert(CONTENT_RANGE, range);
        }
        ask.body = bytes.clone();
        let answer = self.runtime.block_on(self.core.ask(&ask));
        // The session moved on, and its later address is the one that can be given up.
        let moved = answer.as_ref().ok().and_then(|answer| self.location(answer, &ask.what).ok().flatten());
        self.cancel(push, moved.as_ref().unwrap_or(&at));
        match answer? {
            answer if matches!(answer.status, 200..=299) => Ok(()),
            answer => Err(answer.refusal(repository.registry(), &ask.what)),
        }
    }

    /// Asks for a blob to be removed. Many registries refuse that to everybody.
    ///
    /// # Errors
    /// What the registry refuses.
    pub fn delete_blob(&self, repository: &Repository, digest: &Digest) -> Result<(), Error> {
        let what = super::manifest::name(repository, &Pointer::Digest(*digest));
        let ask = Ask::new(
            Method::DELETE,
            repository.registry(),
            api(repository, &format!("blobs/{digest}")),
            what,
        )
        .scoped(vec![Scope::delete(repository.path())]);
        match self.runtime.block_on(self.core.ask(&ask))? {
            answer if matches!(answer.status, 200..=299 | 404) => Ok(()),
            answer => Err(answer.refusal(repository.registry(), &ask.what)),
        }
    }
}
