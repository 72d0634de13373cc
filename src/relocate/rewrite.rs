//! Relocation: the text with every bundled reference at its place in the customer's registry, and nothing else changed.
//!
//! Works on the bytes of the text: comments, order, quoting and folding stay. A reference becomes `registry/path:tag@digest`; a
//! repository to which something appends a tag becomes the repository's new place; a reference in parts is rewritten in its parts:
//!
//! | part | becomes |
//! |---|---|
//! | `registry` that is a host | the customer's host |
//! | `repository`, `image` | the rest of the path; an `image` beside a `repository` keeps as many parts of the path as it had |
//! | `digest` | the digest |
//! | `tag`, without a `digest` beside it | `tag@digest`: what joins them with `:` names the image by digest |
//! | `tag` that another image may share, `version` | stays: the image is named by its tag |

use std::ops::Range;

use serde::Serialize;

use super::known::{Entry, Known, Match};
use super::scan::{Field, Shape, Sighting, scan};
use super::split::Split;
use super::word::{Certainty, Name};
use crate::oci::{Reference, Repository};
use crate::release::yaml::tree::TreeError;

/// A text, relocated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Relocated {
    /// The new text.
    #[serde(skip)]
    pub text: String,
    /// What was changed, in the order of the text.
    pub changes: Vec<Change>,
    /// What looks like a reference, is not known, and was left.
    pub left: Vec<Spot>,
}

/// One reference that was rewritten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Where.
    #[serde(flatten)]
    pub spot: Spot,
    /// What it says now.
    pub now: String,
}

/// A place in the text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Spot {
    /// The template it was rendered from, where the text says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Its line, from 1.
    pub line: usize,
    /// Where in its document.
    pub path: String,
    /// As it is written.
    pub text: String,
}

impl std::fmt::Display for Spot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(template) = &self.template {
            write!(f, "{}, ", crate::text::printable(template, 200))?;
        }
        write!(f, "line {}, {}", self.line, crate::text::printable(&self.path, 200))?;
        write!(f, ": {}", crate::text::printable(&self.text, 300))
    }
}

/// Why a text is not relocated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not YAML.
    #[error("it is not YAML: {0}")]
    Yaml(#[from] TreeError),
    /// References that the mapping does not have, or that cannot be rewritten, all of them.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Remains(Vec<Remains>),
}

/// A reference that would still point elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{spot}: {why}")]
pub struct Remains {
    /// Where.
    #[serde(flatten)]
    pub spot: Spot,
    /// Why it was not rewritten.
    pub why: Why,
}

/// Why a reference was not rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// Nothing is known of it.
    #[error("the mapping does not have it")]
    Unknown,
    /// The name is known, with another digest.
    #[error("the mapping has this name with another digest")]
    OtherContent,
    /// Images of this repository went to different places.
    #[error("images of this repository went to several places, and no tag says which is meant")]
    SeveralPlaces,
    /// The same text is a part of two references that went to different places.
    #[error("another reference in the same text went elsewhere")]
    Twice,
    /// An IPv6 address cannot stand there without quotes.
    #[error("an IPv6 address cannot be written here")]
    Brackets,
}

impl Sighting<'_> {
    /// Where it is.
    #[must_use]
    pub fn spot(&self) -> Spot {
        Spot {
            template: self.template.clone(),
            line: self.line,
            path: self.path.clone(),
            text: self.text.clone(),
        }
    }
}

/// Rewrites `text`, a stream of rendered manifests, to the places that `known` has.
///
/// # Errors
/// [`Error::Remains`] when a reference would still point elsewhere; every one is named.
pub fn relocate(text: &str, known: &Known) -> Result<Relocated, Error> {
    let mut edits: Vec<(Range<usize>, String, Spot)> = Vec::new();
    let mut relocated = Relocated { text: String::new(), changes: Vec::new(), left: Vec::new() };
    let mut remains = Vec::new();
    for sighting in scan(text, known)? {
        let spot = sighting.spot();
        let wanted = match edits_of(&sighting, known) {
            Ok(wanted) => wanted,
            Err(Why::Unknown | Why::OtherContent) if sighting.certainty != Certainty::Certain => {
                relocated.left.push(spot);
                continue;
            }
            Err(why) => {
                remains.push(Remains { spot, why });
                continue;
            }
        };
        let wanted: Vec<(&Field, String)> =
            wanted.into_iter().filter(|(field, now)| field.value != *now).collect();
        if wanted.is_empty() {
            continue;
        }
        let now: Vec<&str> = wanted.iter().map(|(_, now)| now.as_str()).collect();
        relocated.changes.push(Change { spot: spot.clone(), now: now.join(" ") });
        for (field, now) in wanted {
            match written(text, field, now) {
                Ok((range, now)) => edits.push((range, now, spot.clone())),
                Err(why) => remains.push(Remains { spot: spot.clone(), why }),
            }
        }
    }
    edits.sort_by_key(|(range, ..)| range.start);
    // One field that several sightings write alike is written once.
    edits.dedup_by(|one, other| one.0 == other.0 && one.1 == other.1);
    let mut at = 0;
    for (range, now, spot) in edits {
        if range.start < at {
            remains.push(Remains { spot, why: Why::Twice });
            continue;
        }
        relocated.text.push_str(&text[at..range.start]);
        relocated.text.push_str(&now);
        at = range.end;
    }
    if !remains.is_empty() {
        return Err(Error::Remains(remains));
    }
    relocated.text.push_str(&text[at..]);
    Ok(relocated)
}

/// What to write into which fields.
fn edits_of<'s>(sighting: &'s Sighting<'_>, known: &Known) -> Result<Vec<(&'s Field, String)>, Why> {
    match sighting.what {
        Match::Unknown => Err(Why::Unknown),
        Match::OtherContent(_) => Err(Why::OtherContent),
        Match::Ignored | Match::Placed(_) | Match::PlacedRepository(_) => Ok(Vec::new()),
        Match::Image(entry) | Match::PlacedByTag(entry) => {
            let Some(to) = &entry.to else { return Err(Why::Unknown) };
            Ok(match &sighting.shape {
                Shape::Word(field) => vec![(field, pinned(entry, to, sighting))],
                Shape::Split(split) => parts(split, entry, to),
            })
        }
        Match::Repository(entry) => {
            let place = known.place_of(entry.from.repository()).ok_or(Why::SeveralPlaces)?;
            Ok(match &sighting.shape {
                Shape::Word(field) => vec![(field, place.to_string())],
                Shape::Split(split) => pieces(split, place),
            })
        }
    }
}

/// The whole reference: by digest, with the tag it was known by.
fn pinned(entry: &Entry, to: &Reference, sighting: &Sighting<'_>) -> String {
    let tag = match &sighting.name {
        Name::Image { reference, .. } if reference.tag().is_some() => to.tag(),
        _ => None,
    };
    let tag = tag.map(|tag| format!(":{tag}")).unwrap_or_default();
    let digest = entry.digest.map(|digest| format!("@{digest}")).unwrap_or_default();
    format!("{}{tag}{digest}", to.repository())
}

fn parts<'s>(split: &'s Split, entry: &Entry, to: &Reference) -> Vec<(&'s Field, String)> {
    let mut all = pieces(split, to.repository());
    match (&split.digest, &split.tag, entry.digest) {
        (Some(field), _, Some(digest)) => {
            let bare = !field.value.starts_with("sha256:");
            let digest = digest.to_string();
            all.push((field, if bare { digest.trim_start_matches("sha256:").to_owned() } else { digest }));
        }
        (None, Some(field), Some(digest)) if !split.shared => {
            let tag = to.tag().unwrap_or_else(|| field.value.split('@').next().unwrap_or(""));
            all.push((field, format!("{tag}@{digest}")));
        }
        _ => {}
    }
    all
}

/// The new repository, cut as the old one was.
fn pieces<'s>(split: &'s Split, place: &Repository) -> Vec<(&'s Field, String)> {
    let whole = place.to_string();
    let mut rest: Vec<&str> = whole.split('/').collect();
    let fields: Vec<&Field> = split.pieces().collect();
    let mut all = Vec::new();
    let host_first =
        split.registry.as_ref().is_some_and(|registry| !registry.value.trim_end_matches('/').contains('/'));
    let (first, others) = match fields.split_first() {
        Some((first, others)) if host_first => {
            let slash = if first.value.ends_with('/') { "/" } else { "" };
            all.push((*first, format!("{}{slash}", rest.remove(0))));
            match others.split_first() {
                Some((first, others)) => (*first, others),
                None => return all,
            }
        }
        Some((first, others)) => (*first, others),
        None => return all,
    };
    for field in others.iter().rev() {
        let count = field.value.trim_matches('/').split('/').count().min(rest.len().saturating_sub(1));
        let tail = rest.split_off(rest.len() - count);
        all.push((*field, tail.join("/")));
    }
    let slash = if first.value.ends_with('/') { "/" } else { "" };
    all.push((first, format!("{}{slash}", rest.join("/"))));
    all
}

/// The edit, with quotes where the new text needs them.
fn written(text: &str, field: &Field, now: String) -> Result<(Range<usize>, String), Why> {
    if !(field.bare && now.starts_with('[')) {
        return Ok((field.range.clone(), now));
    }
    // The word is all there is of its scalar, or quotes would end in the middle of it.
    let rest = text[field.range.end..].lines().next().unwrap_or("").trim_end();
    let alone = rest.is_empty() || rest.starts_with(" #") || rest.starts_with([',', ']', '}']);
    if alone { Ok((field.range.clone(), format!("\"{now}\""))) } else { Err(Why::Brackets) }
}
