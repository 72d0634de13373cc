//! The references a release knows: what it declares, and where each is in the customer's registry.

use std::collections::{BTreeMap, BTreeSet};

use crate::digest::Digest;
use crate::oci::{Reference, Repository};

/// One image of the release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// As the vendor names it.
    pub from: Reference,
    /// The digest it is delivered with; `None` while it is not known.
    pub digest: Option<Digest>,
    /// The digest its source had, when it was narrowed to fewer platforms.
    pub original: Option<Digest>,
    /// Its name in the customer's registry; `None` on the vendor's side.
    pub to: Option<Reference>,
}

/// All images of a release, found by name.
#[derive(Debug, Clone, Default)]
pub struct Known {
    entries: Vec<Entry>,
    from: BTreeMap<Repository, Vec<usize>>,
    to: BTreeMap<Repository, Vec<usize>>,
    ignored: BTreeSet<Reference>,
}

/// What a reference is to a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match<'k> {
    /// One of its images, under the vendor's name.
    Image(&'k Entry),
    /// Only a repository of its images: nothing says which.
    Repository(&'k Entry),
    /// One of its images, at its place in the customer's registry, by digest.
    Placed(&'k Entry),
    /// The same without a digest.
    PlacedByTag(&'k Entry),
    /// The repository at its place.
    PlacedRepository(&'k Entry),
    /// Found, and not carried, for a reason that was given.
    Ignored,
    /// The name is known, and stands for other bytes than these.
    OtherContent(&'k Entry),
    /// Not known.
    Unknown,
}

impl Known {
    /// Knows `entries`, and that `ignored` are not carried.
    #[must_use]
    pub fn new(entries: Vec<Entry>, ignored: impl IntoIterator<Item = Reference>) -> Self {
        let mut known =
            Self { entries: Vec::new(), ignored: ignored.into_iter().collect(), ..Self::default() };
        for (at, entry) in entries.iter().enumerate() {
            known.from.entry(entry.from.repository().clone()).or_default().push(at);
            if let Some(to) = &entry.to {
                known.to.entry(to.repository().clone()).or_default().push(at);
            }
        }
        known.entries = entries;
        known
    }

    fn of<'k>(
        &'k self,
        map: &'k BTreeMap<Repository, Vec<usize>>,
        repository: &Repository,
    ) -> impl Iterator<Item = &'k Entry> {
        map.get(repository).into_iter().flatten().filter_map(|at| self.entries.get(*at))
    }

    /// Whether a host is that of a declared image, or the customer's registry.
    #[must_use]
    pub(super) fn has_registry(&self, host: &str) -> bool {
        self.from.keys().chain(self.to.keys()).any(|repository| repository.registry() == host)
    }

    /// What `reference` is. Without tag and digest it was written as `latest`; `bare` tells that apart.
    #[must_use]
    pub fn find(&self, reference: &Reference, bare: bool) -> Match<'_> {
        if self.ignored.contains(reference) {
            return Match::Ignored;
        }
        let repository = reference.repository();
        let tag = reference.tag();
        if let Some(digest) = reference.digest() {
            let same =
                |entry: &&Entry| [entry.digest, entry.original, entry.from.digest()].contains(&Some(digest));
            let tagged = |entry: &&Entry| tag.is_none() || entry.from.tag() == tag;
            if let Some(entry) = self.of(&self.from, repository).filter(same).find(tagged) {
                return Match::Image(entry);
            }
            if let Some(entry) = self.of(&self.to, repository).find(|entry| entry.digest == Some(digest)) {
                return Match::Placed(entry);
            }
            if let Some(entry) = self.of(&self.from, repository).find(same) {
                return Match::Image(entry);
            }
            let named = |entry: &&Entry| tag.is_some() && entry.from.tag() == tag;
            return self.of(&self.from, repository).find(named).map_or(Match::Unknown, |entry| {
                // What is not resolved yet cannot contradict.
                if entry.digest.is_none() { Match::Image(entry) } else { Match::OtherContent(entry) }
            });
        }
        if let Some(entry) = self.of(&self.from, repository).find(|entry| entry.from.tag() == tag) {
            return Match::Image(entry);
        }
        if let Some(entry) =
            self.of(&self.to, repository).find(|entry| entry.to.as_ref().and_then(Reference::tag) == tag)
        {
            return Match::PlacedByTag(entry);
        }
        if bare { self.find_repository(repository) } else { Match::Unknown }
    }

    /// Whether `repository` is one of its images'.
    #[must_use]
    pub fn find_repository(&self, repository: &Repository) -> Match<'_> {
        if let Some(entry) = self.of(&self.from, repository).next() {
            return Match::Repository(entry);
        }
        self.of(&self.to, repository).next().map_or(Match::Unknown, Match::PlacedRepository)
    }

    /// The one repository that all images of `repository` are in at the customer's; `None` when there are several.
    #[must_use]
    pub fn place_of(&self, repository: &Repository) -> Option<&Repository> {
        let mut places =
            self.of(&self.from, repository).filter_map(|entry| entry.to.as_ref().map(Reference::repository));
        let first = places.next()?;
        places.all(|place| place == first).then_some(first)
    }

    /// Every image.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}
