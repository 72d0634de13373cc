//! Chart repositories: `index.yaml`, archives and provenance files over HTTP.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use url::Url;

use super::made::Parts;
use super::{ChartError, check};
use crate::chart::repository::{Found, Index, index_url};
use crate::digest::Digest;
use crate::limits;
use crate::registry::{self, Page, Site};
use crate::sources::{Error, Reach};
use crate::store;

/// The indexes that have been read, each once.
#[derive(Debug, Default)]
pub(crate) struct Indexes(Mutex<HashMap<Url, Arc<Index>>>);

impl Indexes {
    /// The archive of a chart in the repository at `base`.
    pub(super) fn find(
        &self,
        reach: &dyn Reach,
        base: &Url,
        name: &str,
        version: &str,
    ) -> Result<Found, Error> {
        let index = self.get(reach, base)?;
        let fault = |source| ChartError::Index { repository: shown(base), source };
        Ok(index.find(base, name, version).map_err(fault)?)
    }

    fn get(&self, reach: &dyn Reach, base: &Url) -> Result<Arc<Index>, Error> {
        let mut read = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = read.get(base) {
            return Ok(Arc::clone(index));
        }
        let url = index_url(base);
        let name = shown(&url);
        let bytes = get(reach, &url, limits::REPOSITORY_BYTES)?;
        let index = Index::parse(&bytes, &name)
            .map_err(|source| ChartError::Index { repository: shown(base), source })?;
        let index = Arc::new(index);
        read.insert(base.clone(), Arc::clone(&index));
        Ok(index)
    }
}

/// Fetches an archive that an index leads to, with its provenance where there is one.
pub(super) fn fetch(reach: &dyn Reach, found: &Found, name: &str, version: &str) -> Result<Parts, Error> {
    let place = shown(&found.url);
    let archive = get(reach, &found.url, limits::CHART_BYTES)?;
    let got = Digest::of(&archive);
    if let Some(stated) = found.digest.filter(|stated| *stated != got) {
        return Err(ChartError::Digest { place, stated, by: "listed in the index", got }.into());
    }
    let own = check(&archive, &place)?;
    if own.0 != name || own.1 != version {
        let declared = format!("{name} {version}");
        return Err(ChartError::Disagrees { place, name: own.0, version: own.1, declared }.into());
    }
    let provenance = provenance(reach, &found.url)?;
    Parts::new(archive, provenance, &place)
}

/// The `.prov` beside an archive. Stores of objects answer 403 for what is not there, so that is taken for absence too: the archive beside
/// it was given.
fn provenance(reach: &dyn Reach, archive: &Url) -> Result<Option<Vec<u8>>, Error> {
    let mut url = archive.clone();
    url.set_path(&format!("{}.prov", archive.path()));
    match get(reach, &url, limits::MANIFEST_BYTES) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(Error::Store(store::Error::Registry(registry::Error::Web {
            status: 403 | 404 | 410, ..
        }))) => Ok(None),
        Err(error) => Err(error),
    }
}

fn get(reach: &dyn Reach, url: &Url, limit: u64) -> Result<Vec<u8>, Error> {
    let what = shown(url);
    let client = reach.client().ok_or_else(|| ChartError::NoClient(what.clone()))?;
    let page = Page { site: Site::Other, url: url.clone(), what: &what, pass: None, limit };
    Ok(client.page(&page).map_err(store::Error::from)?.body.to_vec())
}

/// An address for messages: no query string, no credentials.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}
