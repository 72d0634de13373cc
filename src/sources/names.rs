//! Which entry of an `index.json` or `manifest.json` a name means.

use super::{Error, Named};
use crate::oci::{Descriptor, Reference};

/// The annotations by which layouts name their images: the specification's, which holds a tag or a full reference, and
/// containerd's, which holds a full reference.
const NAMES: [&str; 2] = ["org.opencontainers.image.ref.name", "io.containerd.image.name"];

/// The names of `descriptor`, none when it has none.
pub(super) fn names_of(descriptor: &Descriptor) -> impl Iterator<Item = &str> {
    NAMES.iter().filter_map(|name| descriptor.annotations.as_ref()?.get(*name).map(String::as_str))
}

/// The entry of an `index.json` that `named` means.
pub(super) fn choose_descriptor<'a>(
    entries: &'a [Descriptor],
    named: &Named<'_>,
    place: &str,
) -> Result<&'a Descriptor, Error> {
    let entries: Vec<(Vec<&str>, &Descriptor)> =
        entries.iter().map(|entry| (names_of(entry).collect(), entry)).collect();
    choose(&entries, named, place, |a, b| a.digest == b.digest).copied()
}

/// The entry whose names include the one that `named` means: its tag, or without one the only entry, or the one under the
/// image's own reference. `same` says when two entries are one.
pub(super) fn choose<'a, T>(
    entries: &'a [(Vec<&str>, T)],
    named: &Named<'_>,
    place: &str,
    same: impl Fn(&T, &T) -> bool,
) -> Result<&'a T, Error> {
    if let (None, [(_, only)]) = (named.tag, entries) {
        return Ok(only);
    }
    let wanted = match named.tag {
        Some(tag) => tag.to_owned(),
        None => named.reference.to_string(),
    };
    let reference: Option<Reference> = wanted.parse().ok();
    let means =
        |name: &&str| **name == *wanted || reference.is_some() && name.parse::<Reference>().ok() == reference;
    // A name that is spelt exactly so goes before one that only means the same.
    let exact = entries.iter().filter(|(names, _)| names.iter().any(|name| *name == wanted));
    let mut found: Vec<&T> = exact.map(|(_, entry)| entry).collect();
    if found.is_empty() {
        let meant = entries.iter().filter(|(names, _)| names.iter().any(means));
        found = meant.map(|(_, entry)| entry).collect();
    }
    match found.as_slice() {
        [] => Err(Error::NoImage {
            place: place.to_owned(),
            wanted,
            has: entries.iter().flat_map(|(names, _)| names.iter().map(|n| printable(n))).collect(),
        }),
        [first, rest @ ..] if rest.iter().all(|other| same(first, other)) => Ok(first),
        _ => Err(Error::Ambiguous { place: place.to_owned(), wanted }),
    }
}

fn printable(text: &str) -> String {
    crate::text::printable(text, 200)
}
