//! A model hub inside the process: the Hugging Face Hub's protocol on loopback, observable, and able to misbehave on demand.
//!
//! Two servers, as there are two in the world: the hub (`/api/models/…`, `/OWNER/NAME/resolve/…`) and the storage host that it redirects
//! to for large files. The storage host takes only signed addresses, and refuses a request that carries an `Authorization`, as S3 does. Each
//! has its own [`Faults`].

mod answer;
mod server;

use std::collections::BTreeMap;
use std::path::PathBuf;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest as hash};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::registry::Faults;

pub use server::Hub;

/// A model repository at its one commit.
#[derive(Debug, Clone)]
pub struct Model {
    /// `OWNER/NAME`.
    pub repo: String,
    /// 40 hex digits; `main` stands for it.
    pub commit: String,
    /// Its files by path.
    pub files: BTreeMap<String, HubFile>,
    /// Who may read the files.
    pub access: Access,
}

/// Who may read a model's files. Lists are open to all who know the model, as on the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Everyone.
    Open,
    /// Those whose token was given access; another token is answered 403, none 401.
    Gated {
        /// The token that has access.
        token: String,
    },
    /// Those with the token; to others the model does not exist, not even its list.
    Private {
        /// The token that has access.
        token: String,
    },
}

/// One file.
#[derive(Debug, Clone)]
pub struct HubFile {
    content: Content,
    large: Option<String>,
    oid: String,
}

#[derive(Debug, Clone)]
enum Content {
    Memory(Bytes),
    Disk { path: PathBuf, size: u64 },
}

impl HubFile {
    /// A small file, which git itself holds.
    #[must_use]
    pub fn small(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let mut git = format!("blob {}\0", bytes.len()).into_bytes();
        git.extend_from_slice(&bytes);
        let oid = hex::encode(hash(&SHA1_FOR_LEGACY_USE_ONLY, &git));
        Self { content: Content::Memory(bytes), large: None, oid }
    }

    /// A large file, held by the storage host under its SHA-256.
    #[must_use]
    pub fn large(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let sha256 = hex::encode(Sha256::digest(&bytes));
        Self { content: Content::Memory(bytes), large: Some(sha256), oid: "0".repeat(40) }
    }

    /// A large file whose bytes are read from a disk whenever they are asked for. `sha256` is taken on trust.
    ///
    /// # Errors
    /// A file that is not there.
    pub fn on_disk(path: PathBuf, sha256: &str) -> std::io::Result<Self> {
        let size = path.metadata()?.len();
        let content = Content::Disk { path, size };
        Ok(Self { content, large: Some(sha256.to_owned()), oid: "0".repeat(40) })
    }

    /// The same bytes under another name for them: what the hub lists is then not what it gives.
    #[must_use]
    pub fn listed_as(mut self, hash: &str) -> Self {
        match &mut self.large {
            Some(sha256) => hash.clone_into(sha256),
            None => hash.clone_into(&mut self.oid),
        }
        self
    }

    fn size(&self) -> u64 {
        match &self.content {
            Content::Memory(bytes) => bytes.len() as u64,
            Content::Disk { size, .. } => *size,
        }
    }
}

/// How the hub is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// Entries on one page of a list.
    pub page: usize,
    /// The next page's address names this host instead of the hub.
    pub next_host: Option<String>,
    /// The commit that the hub says every revision is.
    pub moved: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self { page: 1000, next_host: None, moved: None }
    }
}

/// One request as it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Whether the storage host got it, not the hub.
    pub storage: bool,
    /// Path with its query.
    pub path: String,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// The `Range` header.
    pub range: Option<String>,
}

/// Misbehaviour of both hosts.
#[derive(Debug, Clone, Default)]
pub struct HubFaults {
    /// Of the hub.
    pub hub: Faults,
    /// Of the storage host.
    pub storage: Faults,
}
