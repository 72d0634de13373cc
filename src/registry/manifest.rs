//! Manifests, as raw bytes (distribution-spec §Pulling manifests, §Pushing Manifests).

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};

use super::answer::{Answer, content_digest};
use super::request::{Ask, To};
use super::token::Scope;
use super::{Client, Error, api};
use crate::digest::Digest;
use crate::limits;
use crate::oci::{Pointer, Repository, media};

/// A manifest as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawManifest {
    /// The bytes.
    pub bytes: Bytes,
    /// What the registry says they are, without parameters; empty when it does not say.
    pub media_type: String,
    /// The digest of the bytes, computed here.
    pub digest: Digest,
}

/// What a registry says of a manifest without sending it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestHead {
    /// Its digest; stated by the registry, or computed here when it states none.
    pub digest: Option<Digest>,
    /// Its media type, without parameters.
    pub media_type: Option<String>,
    /// Its size in bytes.
    pub size: Option<u64>,
}

/// What a registry says of a manifest it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutManifest {
    /// Its digest, if stated; it is then the digest of the bytes sent.
    pub digest: Option<Digest>,
    /// Whether the registry lists the manifest as a referrer of its subject by itself (`OCI-Subject`).
    pub subject_handled: bool,
}

impl Client {
    /// The manifest at `pointer`: at most [`limits::MANIFEST_BYTES`], its digest checked against the pointer's and the one
    /// the registry states.
    pub fn manifest(&self, repository: &Repository, pointer: &Pointer) -> Result<RawManifest, Error> {
        let ask = manifest_ask(Method::GET, repository, pointer);
        let answer = self.runtime.block_on(self.core.ask(&ask))?;
        if answer.status != 200 {
            return Err(answer.refusal(repository.registry(), &ask.what));
        }
        raw(&answer, pointer, &ask.what)
    }

    /// What is known of the manifest at `pointer`; `None` only when the registry says that there is none.
    pub fn head_manifest(
        &self,
        repository: &Repository,
        pointer: &Pointer,
    ) -> Result<Option<ManifestHead>, Error> {
        self.head(repository, pointer, false)
    }

    /// The same, giving up sooner on a registry that fails (5xx): for one who can do without the answer.
    pub(crate) fn glance_manifest(
        &self,
        repository: &Repository,
        pointer: &Pointer,
    ) -> Result<Option<ManifestHead>, Error> {
        self.head(repository, pointer, true)
    }

    fn head(
        &self,
        repository: &Repository,
        pointer: &Pointer,
        few: bool,
    ) -> Result<Option<ManifestHead>, Error> {
        let ask = Ask { few, ..manifest_ask(Method::HEAD, repository, pointer) };
        let answer = self.runtime.block_on(self.core.ask(&ask))?;
        match answer.status {
            404 => return Ok(None),
            200 | 405 => {}
            _ => return Err(answer.refusal(repository.registry(), &ask.what)),
        }
        answer.not_a_page(&ask.what)?;
        let stated = content_digest(&answer.headers, &ask.what)?.filter(|_| answer.status == 200);
        let Some(stated) = stated else {
            return match self.manifest(repository, pointer) {
                Ok(RawManifest { bytes, media_type, digest }) => Ok(Some(ManifestHead {
                    digest: Some(digest),
                    media_type: Some(media_type).filter(|kind| !kind.is_empty()),
                    size: Some(bytes.len() as u64),
                })),
                Err(Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            };
        };
        if let Pointer::Digest(wanted) = pointer
            && *wanted != stated
        {
            return Err(Error::WrongDigest { what: ask.what, expected: *wanted, got: stated });
        }
        let size = answer.header("content-length").and_then(|length| length.parse().ok());
        Ok(Some(ManifestHead { digest: Some(stated), media_type: answer.media_type(), size }))
    }

    /// Puts `bytes` at `pointer`, exactly as they are, and compares the digest the registry states afterwards.
    #[allow(clippy::too_many_arguments, reason = "an address of two parts and content of two parts")]
    pub fn push_manifest(
        &self,
        repository: &Repository,
        pointer: &Pointer,
        media_type: &str,
        bytes: &Bytes,
    ) -> Result<PutManifest, Error> {
        let what = name(repository, pointer);
        let own = Digest::of(bytes);
        if let Pointer::Digest(wanted) = pointer
            && *wanted != own
        {
            return Err(Error::WrongDigest { what, expected: *wanted, got: own });
        }
        let kind = HeaderValue::from_str(media_type).map_err(|_| Error::Malformed {
            what: what.clone(),
            why: "its media type cannot stand in a header".into(),
        })?;
        let scopes = vec![Scope::push(repository.path())];
        let to = to(repository, pointer);
        let mut ask = Ask::new(Method::PUT, repository.registry(), to, what).scoped(scopes);
        ask.headers.insert(CONTENT_TYPE, kind);
        ask.body = bytes.clone();
        let answer = self.runtime.block_on(self.core.ask(&ask))?;
        if !matches!(answer.status, 200..=202) {
            return Err(answer.refusal(repository.registry(), &ask.what));
        }
        answer.not_a_page(&ask.what)?;
        let digest = content_digest(&answer.headers, &ask.what)?;
        match digest {
            Some(got) if got != own => Err(Error::WrongDigest { what: ask.what, expected: own, got }),
            digest => Ok(PutManifest { digest, subject_handled: answer.header("oci-subject").is_some() }),
        }
    }
}

/// `host/path:tag` or `host/path@digest`.
pub(super) fn name(repository: &Repository, pointer: &Pointer) -> String {
    match pointer {
        Pointer::Tag(tag) => format!("{repository}:{tag}"),
        Pointer::Digest(digest) => format!("{repository}@{digest}"),
    }
}

fn to(repository: &Repository, pointer: &Pointer) -> To {
    api(repository, &format!("manifests/{pointer}"))
}

fn manifest_ask<'a>(method: Method, repository: &'a Repository, pointer: &Pointer) -> Ask<'a> {
    let mut ask = Ask::new(method, repository.registry(), to(repository, pointer), name(repository, pointer))
        .scoped(vec![Scope::pull(repository.path())]);
    ask.headers.insert(ACCEPT, HeaderValue::from_static(media::ACCEPT_MANIFEST));
    ask.limit = limits::MANIFEST_BYTES;
    ask
}

fn raw(answer: &Answer, pointer: &Pointer, what: &str) -> Result<RawManifest, Error> {
    answer.not_a_page(what)?;
    let digest = Digest::of(&answer.body);
    let wanted = match pointer {
        Pointer::Digest(wanted) => Some(*wanted),
        Pointer::Tag(_) => None,
    };
    for expected in [wanted, content_digest(&answer.headers, what)?].into_iter().flatten() {
        if expected != digest {
            return Err(Error::WrongDigest { what: what.to_owned(), expected, got: digest });
        }
    }
    let media_type = answer.media_type().unwrap_or_default();
    Ok(RawManifest { bytes: answer.body.clone(), media_type, digest })
}
