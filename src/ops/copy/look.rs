//! What lies at a place before anything is written to it, and whether it may become, or go on being, a copy of this bundle.

use std::collections::HashSet;

use super::{Copying, Error, To};
use crate::bundle::Index;
use crate::bundle::index::Release;
use crate::bundle::names::{INDEX, SUMS};
use crate::courier::sftp::Remote;
use crate::courier::{self, Folder, Held, Place};
use crate::digest::Digest;
use crate::limits;
use crate::ops::copy::gather::Item;
use crate::ops::verify::folder::is_litter;
use crate::path::EntryPath;
use crate::plan::copy::{Medium, Spread, unfinished};

/// A place, and what was found out of it.
pub(super) struct Site {
    pub(super) to: To,
    pub(super) medium: Medium,
    /// Files that lie there whole and half at the same time.
    pub(super) stale: Vec<EntryPath>,
}

/// Where a file lies until it is whole.
fn beside(path: &EntryPath) -> String {
    match path.as_str().rsplit_once('/') {
        Some((folder, name)) => format!("{folder}/{}", unfinished(name)),
        None => unfinished(path.as_str()),
    }
}

impl Copying<'_> {
    /// What is known of a place before anything is written to it; refused when it holds something else.
    pub(super) fn look(&self, to: &To) -> Result<Site, Error> {
        let place: Box<dyn Place> = match to {
            To::Folder(path) => Box::new(Folder::look(path)?),
            To::Sftp(address) => Box::new(Remote::new(address, self.request.ssh)?),
        };
        let mut medium = self.patiently(&mut || place.medium())?;
        self.other_bundle(place.as_ref())?;
        let there = self.patiently(&mut || place.list())?;
        self.foreign(place.as_ref(), &there)?;
        let whole = |item: &&Item| there.iter().any(|path| path == item.path.as_str());
        let stale = |item: &&Item| there.contains(&beside(&item.path));
        let stale = self.items.iter().filter(whole).filter(stale).map(|item| item.path.clone()).collect();
        for item in &self.items {
            match self.patiently(&mut || place.held(&item.path))? {
                Held::Nothing => {}
                Held::Begun(bytes) | Held::Named(bytes) => {
                    medium.held.insert(item.path.clone(), bytes);
                }
            }
        }
        Ok(Site { to: to.clone(), medium, stale })
    }

    fn other_bundle(&self, place: &dyn Place) -> Result<(), Error> {
        let named = |name: &str| name.parse::<EntryPath>().ok();
        let read = |name: &str, most| {
            named(name).map_or(Ok(None), |path| self.patiently(&mut || place.small(&path, most)))
        };
        let Some(theirs) = read(SUMS, limits::SUMS_BYTES)? else { return Ok(()) };
        if theirs == self.origin.sums.render().into_bytes() {
            return Ok(());
        }
        let index = read(INDEX, limits::INDEX_BYTES)?;
        let signed = named(INDEX).and_then(|name| self.origin.sums.get(&name));
        if index.as_ref().is_some_and(|bytes| Some(&Digest::of(bytes)) == signed) {
            // This very bundle; its list is damaged, and is mended like any other file.
            return Ok(());
        }
        let index = index.and_then(|bytes| Index::parse(&bytes).ok());
        let what = match index {
            Some(index) if index.release != self.origin.index.release => {
                format!("{} {}", index.release.name, index.release.version)
            }
            Some(index) => format!("{} {}, built or signed anew", index.release.name, index.release.version),
            None => "its SHA256SUMS is another".to_owned(),
        };
        Err(Error::OtherBundle { place: place.name().to_owned(), what })
    }

    /// A folder of a bundle holds nothing else: `verify` would refuse it.
    fn foreign(&self, place: &dyn Place, there: &[String]) -> Result<(), Error> {
        let mut own = HashSet::new();
        for item in &self.items {
            own.insert(item.path.as_str().to_owned());
            own.insert(beside(&item.path));
        }
        let litter = |path: &str| path.split('/').any(is_litter);
        let names: Vec<String> = there
            .iter()
            .filter(|path| !litter(path))
            .filter(|path| match path.strip_suffix('/') {
                // Folders that an interrupted copy made, with nothing in them yet.
                Some(_) => !own.iter().any(|own| own.starts_with(path.as_str())),
                None => !own.contains(path.as_str()),
            })
            .take(4)
            .map(|path| crate::text::printable(path, 200))
            .collect();
        let names = if names.is_empty() { self.others_own(place, there)? } else { names };
        if names.is_empty() {
            return Ok(());
        }
        let Release { name, version, .. } = &self.origin.index.release;
        Err(Error::Foreign { place: place.name().to_owned(), names, own: format!("{name}-{version}") })
    }

    /// Files that are called as those of the bundle, in a folder that is no copy of it: somebody else's, and not to be overwritten. What an
    /// interrupted copy named is as signed; in what has the bundle's own list it is mended.
    fn others_own(&self, place: &dyn Place, there: &[String]) -> Result<Vec<String>, Error> {
        if there.iter().any(|path| path == SUMS) {
            return Ok(vec![]);
        }
        let mut names = vec![];
        let small = |item: &&Item| item.spread == Spread::Each && item.bytes <= limits::HAND_WRITTEN_BYTES;
        for item in
            self.items.iter().filter(small).filter(|item| there.iter().any(|path| path == item.path.as_str()))
        {
            let held = self.patiently(&mut || match place.small(&item.path, item.bytes) {
                Err(courier::Error::TooLong { .. }) => Ok(None),
                held => held,
            })?;
            if held.is_none_or(|bytes| Digest::of(&bytes) != item.sha256) {
                names.push(format!("{} (another file of that name)", item.path));
            }
        }
        Ok(names)
    }
}
