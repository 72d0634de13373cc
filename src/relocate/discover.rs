//! What a rendered chart runs, held against what its release declares.

use std::collections::BTreeMap;

use super::known::{Known, Match};
use super::rewrite::Spot;
use super::scan::scan;
use super::word::{Certainty, Name};
use crate::oci::Reference;
use crate::release::yaml::tree::TreeError;

/// What a text names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovered {
    /// Declared images that it names, as declared, each with where it is first named.
    pub images: BTreeMap<Reference, Spot>,
    /// References it certainly names that the release does not declare, each with where it is first named.
    pub missing: Vec<Missing>,
    /// What may be a reference and is not declared.
    pub possible: Vec<Spot>,
}

/// A reference that is not declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Where.
    pub spot: Spot,
    /// What to declare.
    pub reference: Reference,
    /// Why what is declared does not do.
    pub why: Lack,
}

/// Why what is declared does not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// Nothing of the name is declared.
    NotDeclared,
    /// The same name is declared and locked with another digest.
    OtherDigest,
    /// Only the repository is named; something appends a tag to it.
    NoTag,
}

/// What `text`, a stream of rendered manifests, names of what `known` declares, and what beside it.
///
/// # Errors
/// [`TreeError`] when it is not YAML.
pub fn discover(text: &str, known: &Known) -> Result<Discovered, TreeError> {
    let mut discovered = Discovered::default();
    for sighting in scan(text, known)? {
        let spot = sighting.spot();
        match sighting.what {
            Match::Image(entry) | Match::Placed(entry) | Match::PlacedByTag(entry) => {
                discovered.images.entry(entry.from.clone()).or_insert(spot);
            }
            // Something appends a tag; which one is not known, so all of the repository are used.
            Match::Repository(entry) | Match::PlacedRepository(entry) => {
                let same = known.entries().iter().filter(|e| e.from.repository() == entry.from.repository());
                for entry in same {
                    discovered.images.entry(entry.from.clone()).or_insert_with(|| spot.clone());
                }
            }
            Match::Ignored => {}
            Match::Unknown | Match::OtherContent(_) if sighting.certainty != Certainty::Certain => {
                if !discovered.possible.iter().any(|seen| seen.text == spot.text) {
                    discovered.possible.push(spot);
                }
            }
            what => {
                let other = matches!(what, Match::OtherContent(_));
                let (reference, why) = match sighting.name {
                    Name::Image { reference, .. } if other => (reference, Lack::OtherDigest),
                    Name::Image { reference, .. } => (reference, Lack::NotDeclared),
                    Name::Repository(repository) => match Reference::new(repository, None, None) {
                        Ok(reference) => (reference, Lack::NoTag),
                        Err(_) => continue,
                    },
                    Name::Fragment(_) => continue,
                };
                if !discovered.missing.iter().any(|seen| seen.reference == reference) {
                    discovered.missing.push(Missing { spot, reference, why });
                }
            }
        }
    }
    Ok(discovered)
}
