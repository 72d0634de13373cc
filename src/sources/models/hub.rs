//! A model on a hub: `hf://OWNER/NAME@COMMIT`, over the protocol of the Hugging Face Hub.
//!
//! Three requests: `GET /api/models/REPO/revision/REVISION` says which commit a revision is; `GET /api/models/REPO/tree/COMMIT?recursive=true`
//! lists its files page by page, large ones with their SHA-256, small ones with their git object; `GET /REPO/resolve/COMMIT/PATH` gives a
//! file, mostly by a redirect to a storage host, which never sees the token.

use std::sync::Arc;

use serde::Deserialize;
use url::Url;

use super::ModelError;
use super::place::{Listed, States};
use crate::digest::Digest;
use crate::limits;
use crate::path::EntryPath;
use crate::registry::{Client, Page, Pass, Site, WebFile};
use crate::store::{self, Pieces};
use crate::sys::{environment, fs};
use crate::text::printable;
use crate::weights::{Commit, Repo};

/// The hub that is asked when `HF_ENDPOINT` names none.
const ENDPOINT: &str = "https://huggingface.co";

/// A hub and who asks it.
#[derive(Debug)]
pub(super) struct Hub {
    client: Arc<Client>,
    endpoint: Url,
    pass: Option<Pass>,
}

impl Hub {
    /// The hub that the environment names: `HF_ENDPOINT`; `HF_TOKEN`, or the file `HF_TOKEN_PATH`, `HF_HOME/token` or
    /// `~/.cache/huggingface/token`, as the hub's own client looks for them.
    pub(super) fn from_environment(client: Arc<Client>) -> Result<Self, ModelError> {
        let stated = environment::text("HF_ENDPOINT");
        let endpoint = endpoint(stated.as_deref().unwrap_or(ENDPOINT))?;
        let pass = match token()? {
            None => None,
            Some((secret, place)) => Some(Pass::bearer(&secret).ok_or(ModelError::Token { place })?),
        };
        Ok(Self { client, endpoint, pass })
    }

    fn url(&self, names: &[&str]) -> Url {
        let mut url = self.endpoint.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(names.iter().flat_map(|name| name.split('/')));
        }
        url
    }

    fn page(&self, url: Url, what: &str) -> Result<crate::registry::Got, ModelError> {
        let pass = self.pass.as_ref();
        let page = Page { site: Site::Hub, url, what, pass, limit: limits::LIST_BYTES };
        Ok(self.client.page(&page).map_err(store::Error::from)?)
    }
}

fn endpoint(text: &str) -> Result<Url, ModelError> {
    // It may hold a password: what is wrong is said without repeating it.
    let fault = |why| ModelError::Endpoint { why };
    let url = Url::parse(text.trim().trim_end_matches('/')).map_err(|_| fault("it is not a URL"))?;
    if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none() {
        return Err(fault("it is not an http or https URL"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(fault("it holds credentials; a token goes into HF_TOKEN"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(fault("it holds a query"));
    }
    Ok(url)
}

/// The token, and where it was found.
fn token() -> Result<Option<(String, String)>, ModelError> {
    if let Some(token) = environment::text("HF_TOKEN") {
        return Ok(Some((token.trim().to_owned(), "HF_TOKEN".to_owned())));
    }
    let home = || environment::path("HOME").map(|home| home.join(".cache/huggingface"));
    let cache = || environment::path("XDG_CACHE_HOME").map(|cache| cache.join("huggingface"));
    let stated = environment::path("HF_TOKEN_PATH");
    let file = match &stated {
        Some(file) => Some(file.clone()),
        None => environment::path("HF_HOME").or_else(cache).or_else(home).map(|folder| folder.join("token")),
    };
    let Some(file) = file else { return Ok(None) };
    match fs::read_limited(&file, limits::KEY_BYTES) {
        Err(fs::Error::Io { source, .. })
            if source.kind() == std::io::ErrorKind::NotFound && stated.is_none() =>
        {
            Ok(None)
        }
        Err(error) => Err(error.into()),
        Ok(bytes) => {
            let place = file.display().to_string();
            let text = std::str::from_utf8(&bytes).map_err(|_| ModelError::Token { place: place.clone() })?;
            Ok(Some((text.trim().to_owned(), place)).filter(|(token, _)| !token.is_empty()))
        }
    }
}

/// A repository at a commit that the hub knows.
#[derive(Debug)]
pub(super) struct Snapshot {
    hub: Arc<Hub>,
    repo: Repo,
    commit: Commit,
}

#[derive(Deserialize)]
struct Revision {
    sha: String,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: String,
    oid: String,
    #[serde(default)]
    size: u64,
    path: String,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    oid: String,
    size: u64,
}

impl Snapshot {
    /// The snapshot, which is not asked for yet; a revision that is no commit is, so that the commit can be named.
    pub(super) fn open(hub: Arc<Hub>, repo: &Repo, revision: &str) -> Result<Self, ModelError> {
        if let Some(commit) = Commit::new(revision) {
            return Ok(Self { hub, repo: repo.clone(), commit });
        }
        let sha = sha(&hub, repo, revision)?;
        Err(ModelError::NotPinned { repo: repo.to_string(), revision: revision.to_owned(), sha })
    }

    fn what(&self) -> String {
        format!("hf://{}@{}", self.repo, self.commit)
    }

    /// Every file, in the hub's order.
    pub(super) fn list(&self) -> Result<Vec<Listed>, ModelError> {
        let what = self.what();
        let sha = sha(&self.hub, &self.repo, self.commit.as_str())?;
        if sha != self.commit.as_str() {
            return Err(ModelError::Moved { what, sha });
        }
        let mut url = self.hub.url(&["api/models", self.repo.as_str(), "tree", self.commit.as_str()]);
        url.set_query(Some("recursive=true"));
        let mut found = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..limits::LIST_PAGES {
            if !seen.insert(url.clone()) {
                return Err(malformed(&what, "its pages go in a circle"));
            }
            let page = self.hub.page(url, &what)?;
            let entries: Vec<Entry> = serde_json::from_slice(&page.body)
                .map_err(|error| malformed(&what, &printable(&error.to_string(), 200)))?;
            for entry in entries.into_iter().filter(|entry| entry.kind != "directory") {
                if found.len() >= limits::MODEL_LISTED {
                    return Err(ModelError::TooManyListed { place: what });
                }
                found.push(listed(entry).map_err(|why| malformed(&what, &why))?);
            }
            match page.next {
                None => return Ok(found),
                Some(next) => url = next,
            }
        }
        Err(malformed(&what, "its list has too many pages"))
    }

    /// The bytes of a file from `offset` on.
    pub(super) fn read(
        &self,
        path: &EntryPath,
        size: u64,
        offset: u64,
        states: States,
    ) -> Result<Box<dyn Pieces>, store::Error> {
        let mut expect = vec![("x-repo-commit", self.commit.to_string())];
        if let States::Sha256(sha256) = states {
            expect.push(("x-linked-etag", sha256.hex()));
        }
        let file = WebFile {
            site: Site::Hub,
            url: self.hub.url(&[self.repo.as_str(), "resolve", self.commit.as_str(), path.as_str()]),
            what: format!("{}/{path}", self.what()),
            pass: self.hub.pass.clone(),
            size,
            expect,
        };
        Ok(Box::new(self.hub.client.open_web(&file, offset)?))
    }
}

/// The commit that the hub says `revision` is.
fn sha(hub: &Hub, repo: &Repo, revision: &str) -> Result<String, ModelError> {
    let what = format!("hf://{repo}@{revision}");
    let page = hub.page(hub.url(&["api/models", repo.as_str(), "revision", revision]), &what)?;
    let answer: Revision = serde_json::from_slice(&page.body)
        .map_err(|error| malformed(&what, &printable(&error.to_string(), 200)))?;
    match Commit::new(&answer.sha) {
        Some(commit) => Ok(commit.to_string()),
        None => Err(malformed(&what, "it names no commit")),
    }
}

fn listed(entry: Entry) -> Result<Listed, String> {
    let shown = printable(&entry.path, 200);
    let (size, states) = match entry.lfs {
        Some(lfs) => {
            let sha256 = Digest::from_hex(&lfs.oid).map_err(|_| format!("{shown} has no SHA-256"))?;
            (lfs.size, States::Sha256(sha256))
        }
        None => {
            let mut git = [0; 20];
            hex::decode_to_slice(&entry.oid, &mut git).map_err(|_| format!("{shown} has no git object"))?;
            (entry.size, States::Git(git))
        }
    };
    Ok(Listed { path: entry.path, size, states })
}

fn malformed(what: &str, why: &str) -> ModelError {
    let (what, why) = (what.to_owned(), why.to_owned());
    ModelError::Store(store::Error::Registry(crate::registry::Error::Malformed { what, why }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_plain_address() {
        for good in ["https://hf-mirror.example", "https://hub.acme.internal/hf/", "http://127.0.0.1:1"] {
            assert!(endpoint(good).is_ok(), "{good}");
        }
        for bad in ["", "hf-mirror.example", "ftp://x", "https://u:secret@x", "https://x/?a=b"] {
            let error = endpoint(bad).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{bad}: {error}");
        }
    }
}
