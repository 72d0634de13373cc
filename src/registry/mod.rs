//! Our registry client: OCI distribution-spec 1.1 over HTTP/1.1, as blocking calls that many threads may make at once.
//!
//! It moves bytes and says truly what happened: what is there, what is not, what could not be asked. Manifests come and go
//! as the bytes they are. Blob bytes are *not* hashed here: `ops::transfer` does that once, on the way. Every request is
//! tried again where that can help, downloads and uploads go on where they stopped, and nothing has a total time limit.
//!
//! May not: write files, keep content, print, or send an `Authorization` anywhere but to the registry's own origin and the
//! token issuer it names.

use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};

mod answer;
mod challenge;
mod credentials;
mod error;
mod hosts;
mod http;
mod list;
mod manifest;
mod options;
mod porter;
mod probe;
mod pull;
mod push;
mod referrers_api;
mod request;
mod retry;
pub mod server;
mod session;
mod small;
mod token;
mod web;
mod wire;

pub use credentials::docker_config;
pub use error::Error;
pub use manifest::{ManifestHead, PutManifest, RawManifest};
pub use options::{Options, Proxies};
pub use pull::BlobBody;
pub use push::{BlobPush, Pushed};
pub use session::{NoNotes, Session, UploadNotes};
pub use small::PushedSmall;
pub use web::{Got, Page, Pass, Site, WebFile};

use crate::oci::Repository;
use crate::progress::Observer;

/// Threads that move bytes. Hashing and sealing have their own; two keep several connections busy.
const WORKERS: usize = 2;

/// A client for any number of registries. Cheap to share, not to make. Its calls block, so never make them in async code.
pub struct Client {
    core: Arc<request::Core>,
    runtime: Arc<Runtime>,
    porters: porter::Porters,
    window: Option<u64>,
    sessions_only: small::SessionsOnly,
    referrers_apis: referrers_api::Apis,
}

impl Client {
    /// A client that tells `observer` of waits and new attempts.
    ///
    /// Fails with [`Error::CaFile`] when a certificate file cannot be used, and [`Error::Setup`].
    pub fn new(options: &Options, observer: Arc<dyn Observer>) -> Result<Self, Error> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .thread_name("registry")
            .enable_all()
            .build()
            .map_err(|error| Error::Setup { why: error.to_string() })?;
        let window = options.upload_window;
        let core = Arc::new(request::Core::new(options, observer)?);
        Ok(Self {
            core,
            runtime: Arc::new(runtime),
            porters: porter::Porters::default(),
            window,
            sessions_only: small::SessionsOnly::default(),
            referrers_apis: referrers_api::Apis::default(),
        })
    }

    /// Whether `registry` (host, perhaps with a port) answers as a registry, and lets us in (distribution-spec end-1).
    pub fn ping(&self, registry: &str) -> Result<(), Error> {
        let to = request::To::Api(String::new());
        let ask = request::Ask::new(reqwest::Method::GET, registry, to, format!("{registry}/v2/"));
        let answer = self.runtime.block_on(self.core.ask(&ask))?;
        answer.not_a_page(&ask.what)?;
        match answer.status {
            200 => Ok(()),
            status @ (404 | 405 | 410) => Err(Error::NoRegistry { host: registry.to_owned(), status }),
            _ => Err(answer.refusal(registry, &ask.what)),
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("registry::Client")
    }
}

/// A path below `/v2/` in a repository. Every part is of a grammar without characters that a URL would escape.
fn api(repository: &Repository, rest: &str) -> request::To {
    request::To::Api(format!("{}/{rest}", repository.path()))
}
