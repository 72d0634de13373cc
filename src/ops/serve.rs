//! `bundle serve`: the bundle as a read-only registry, straight from the sealed volumes.
//!
//! Reads the signatures and the index, and then answers; of the payload nothing is read before it is asked for. Of a whole blob the last
//! piece goes out when its digest holds; of a part of one, nothing of a chunk before the chunk's signed hash holds ([`Proven`]).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use signing::KeyId;

use crate::bundle::index::Release;
use crate::digest::Blob;
use crate::ops::finding::{Finding, What};
use crate::ops::unlock::{self, Seen};
use crate::ops::verify::folder::unopened;
use crate::plan::catalog::Catalog;
use crate::plan::mapping::{Mapping, MappingError};
use crate::registry::server::{self, Journal, Library, Options, Server, Stop};
use crate::store::ahead::Ahead;
use crate::store::proven::Proven;
use crate::store::volumes::Volumes;
use crate::store::{self, Pieces};
use crate::sys::fs;

/// What is asked for.
pub struct Request<'a> {
    /// The bundle, and who may open it.
    pub bundle: unlock::Request<'a>,
    /// What each reference is called; its registry does not matter.
    pub mapping: &'a Mapping,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Files of certificate and key, for TLS.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// File of those who may in, where not everyone may.
    pub htpasswd: Option<PathBuf>,
}

/// What is served, or why it is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether it is served.
    pub ok: bool,
    /// What; `None` when the signatures do not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
    /// Whose signatures hold.
    pub signers: Vec<KeyId>,
    /// Everything seen; when one of them refuses, nothing is served.
    pub findings: Vec<Finding>,
    /// Where it listens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Whether it asks for passwords.
    pub passwords: bool,
    /// How many repositories it has.
    pub repositories: usize,
    /// How many tags.
    pub tags: usize,
    /// The registries that the vendor's names are in, which containerd can be told to find here.
    pub vendors: Vec<String>,
}

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bundle's content cannot be read.
    #[error(transparent)]
    Unlock(#[from] unlock::Error),
    /// References cannot be mapped.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// Certificate, key or passwords cannot be used.
    #[error(transparent)]
    Setup(#[from] server::SetupError),
    /// There is nowhere to listen.
    #[error(transparent)]
    Server(#[from] server::Error),
}

/// The report before anything is served.
fn report(request: &Request<'_>, seen: &Seen) -> Report {
    Report {
        ok: false,
        release: seen.release.clone(),
        signers: seen.signers.clone(),
        findings: seen.findings.clone(),
        address: None,
        tls: request.tls.is_some(),
        passwords: request.htpasswd.is_some(),
        repositories: 0,
        tags: 0,
        vendors: vec![],
    }
}

fn stocked(report: &mut Report, catalog: &Catalog) {
    (report.repositories, report.tags) = catalog.counts();
    report.vendors = catalog.vendors().into_iter().map(str::to_owned).collect();
    report.ok = true;
}

/// What would be served, without listening or a key.
pub fn look(request: &Request<'_>) -> Result<Report, Error> {
    let seen = unlock::authenticate(&request.bundle)?;
    let mut report = report(request, &seen);
    if let Some(index) = seen.index() {
        unlock::stands_alone(index)?;
        stocked(&mut report, &Catalog::new(index, request.mapping)?);
    }
    Ok(report)
}

/// Serves a bundle until `stop` is asked. `begun` is told what is served once it is, or why it is not; gives that, and how many
/// connections were cut at the end.
pub fn serve(
    request: &Request<'_>,
    journal: Arc<dyn Journal>,
    stop: &Stop,
    begun: &dyn Fn(&Report),
) -> Result<(Report, usize), Error> {
    let seen = unlock::authenticate(&request.bundle)?;
    let mut report = report(request, &seen);
    let Some(bundle) = &seen.bundle else {
        begun(&report);
        return Ok((report, 0));
    };
    unlock::stands_alone(bundle.index.get())?;
    let catalog = Catalog::new(bundle.index.get(), request.mapping)?;
    // A cluster opens thousands of connections, and each thread has descriptors of its own.
    fs::open_many();
    // What cannot be listened with is found out before a passphrase is worked on.
    let options = Options::read(request.listen, request.tls.clone(), request.htpasswd.clone())?;
    let volumes = Arc::new(unlock::volumes(bundle, request.bundle.with)?);
    report.findings.extend(lacking(&volumes));
    let threads = crate::sys::cores();
    stocked(&mut report, &catalog);
    let content = Content { catalog, proven: Arc::new(Proven::new(Ahead::new(volumes, threads))) };
    let server = Server::bind(options, Arc::new(content), journal)?;
    report.address = Some(server.address());
    begun(&report);
    let cut = server.run(stop);
    Ok((report, cut))
}

/// Volumes that are not there, or not as long as they were: served is what lies in the others, and a forgotten medium is told at once.
fn lacking(volumes: &Volumes) -> Vec<Finding> {
    let shape = volumes.shape();
    let lacking = |number: usize| {
        let path = volumes.name(number).to_owned();
        let expected = shape.file_length(number);
        match volumes.file(number) {
            Err(error) => Some(unopened(&path, &error).what),
            Ok((file, _)) => match file.metadata().map_or(expected, |facts| facts.len()) {
                got if got == expected => None,
                got => Some(What::Size { path, expected, got }),
            },
        }
    };
    (0..shape.volumes()).filter_map(lacking).map(Finding::warn).collect()
}

/// A bundle as the server reads it.
struct Content {
    catalog: Catalog,
    proven: Arc<Proven>,
}

impl Library for Content {
    fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    fn read(&self, blob: &Blob, range: Option<(u64, u64)>) -> Result<Box<dyn Pieces>, store::Error> {
        Ok(match range {
            Some(range) => Box::new(self.proven.part(blob, range)?),
            None => Box::new(self.proven.whole(blob)?),
        })
    }
}
