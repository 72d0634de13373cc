//! References in parts: `repository` beside `tag`, perhaps `registry` and `digest`, as fields of custom resources, as variables, as
//! values in a ConfigMap.
//!
//! Parts belong together when what is left of their names is the same: `sidecarRepository` and `sidecarTag`. What joins them is
//! taken to be what everybody does: `registry/repository/image:tag@digest`.

use std::collections::BTreeMap;

use super::keys::{self, Part};
use super::scan::{Field, Frame};
use super::word::{self, Certainty, Name};
use crate::oci::Reference;
use crate::release::yaml::tree::Scalar;

/// The parts of a reference, each where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Split {
    /// Before the repository; without a `/` in it, it is a host.
    pub registry: Option<Field>,
    pub repository: Field,
    /// After the repository: the last part of its path.
    pub image: Option<Field>,
    pub tag: Option<Field>,
    pub digest: Option<Field>,
    /// Whether the tag may belong to another image too.
    pub shared: bool,
}

impl Split {
    /// The parts put together.
    pub(super) fn text(&self) -> String {
        let path: Vec<&str> = self.pieces().map(|field| field.value.trim_matches('/')).collect();
        let tag = self.tag.as_ref().map(|tag| format!(":{}", tag.value)).unwrap_or_default();
        let digest = self.digest.as_ref().map(|digest| format!("@{}", digest.value)).unwrap_or_default();
        format!("{}{tag}{digest}", path.join("/"))
    }

    /// What is joined by `/`, in order.
    pub(super) fn pieces(&self) -> impl Iterator<Item = &Field> {
        self.registry.iter().chain(std::iter::once(&self.repository)).chain(&self.image)
    }
}

/// Fields that are parts of one reference, by their place among the fields.
#[derive(Debug, Default)]
pub(super) struct Group {
    registry: Option<usize>,
    repository: Option<usize>,
    image: Option<usize>,
    tag: Option<usize>,
    version: Option<usize>,
    digest: Option<usize>,
    shared: bool,
}

/// A group that makes a reference.
#[derive(Debug)]
pub(super) struct Found {
    pub name: Name,
    pub certainty: Certainty,
    group: Group,
}

impl Found {
    /// The fields it is made of; not the version, which others read.
    pub(super) fn members(&self) -> impl Iterator<Item = usize> {
        let Group { registry, repository, image, tag, digest, .. } = self.group;
        [registry, repository, image, tag, digest].into_iter().flatten()
    }

    /// Where its parts stand in the outermost text.
    pub(super) fn fields(&self, fields: &[(&str, &Scalar<'_>)], frame: &Frame<'_>) -> Option<Split> {
        let field = |at: Option<usize>| {
            let (_, scalar) = fields.get(at?)?;
            let text = scalar.value.trim();
            let start = scalar.value.find(text)?;
            frame.field(scalar, &(start..start + text.len()))
        };
        Some(Split {
            registry: field(self.group.registry),
            repository: field(self.group.repository)?,
            image: field(self.group.image),
            tag: field(self.group.tag),
            digest: field(self.group.digest),
            shared: self.group.shared,
        })
    }
}

/// The references that `fields` (of one mapping, or variables of one list) hold in parts. `parent` is the name they stand under.
pub(super) fn groups(
    fields: &[(&str, &Scalar<'_>)],
    parent: Option<&str>,
    known_host: &dyn Fn(&str) -> bool,
) -> Vec<Found> {
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    let under_image = parent.is_some_and(keys::names_image);
    for (at, (key, scalar)) in fields.iter().enumerate() {
        let part = match *key {
            "name" | "newName" if under_image => Some((String::new(), Part::Repository)),
            "newTag" if under_image => Some((String::new(), Part::Tag)),
            key => keys::part(key),
        };
        let Some((of, part)) = part.filter(|_| !scalar.value.trim().is_empty()) else { continue };
        let group = groups.entry(of).or_default();
        let place = match part {
            Part::Registry => &mut group.registry,
            Part::Repository => &mut group.repository,
            Part::Image => &mut group.image,
            Part::Tag => &mut group.tag,
            Part::Version => &mut group.version,
            Part::Digest => &mut group.digest,
        };
        place.get_or_insert(at);
    }
    let value = |at: Option<usize>| at.and_then(|at| fields.get(at)).map(|(_, scalar)| scalar.value.trim());
    let lacks_tag = |group: &Group| {
        group.tag.or(group.digest).is_none()
            && value(group.repository.or(group.image)).is_some_and(|v| !says_all(v))
    };
    let tagless = groups.values().any(lacks_tag);
    groups
        .into_values()
        .filter_map(|mut group| {
            group.shared = tagless;
            compose(group, &value, under_image, known_host)
        })
        .collect()
}

fn compose<'v>(
    mut group: Group,
    value: &dyn Fn(Option<usize>) -> Option<&'v str>,
    under_image: bool,
    known_host: &dyn Fn(&str) -> bool,
) -> Option<Found> {
    let named_repository = group.repository.is_some();
    if group.repository.is_none() {
        group.repository = group.image.take();
    }
    let repository = value(group.repository)?;
    if says_all(repository) || value(group.image).is_some_and(says_all) {
        return None;
    }
    if word::written_host(repository).is_some() {
        group.registry = None;
    }
    let pieces = [group.registry, group.repository, group.image];
    let path: Vec<&str> = pieces.into_iter().filter_map(value).map(|piece| piece.trim_matches('/')).collect();
    let path = path.join("/");
    let tag = value(group.tag);
    let version = value(group.version).filter(|_| tag.is_none());
    let digest = value(group.digest).map(|digest| digest.strip_prefix("sha256:").unwrap_or(digest));
    let mut text = path.clone();
    if let Some(tag) = tag.or(version) {
        text = format!("{text}:{tag}");
    }
    if let Some(digest) = digest {
        text = format!("{text}@sha256:{digest}");
    }
    let reference: Reference = text.parse().ok()?;
    let host = word::written_host(&path).filter(|host| word::plausible(host, known_host));
    if word::written_host(&path).is_some() && host.is_none() {
        return None;
    }
    let (name, certainty) = if tag.or(digest).is_some() {
        let sure = host.is_some() || under_image || (named_repository && path.contains('/') && tag.is_some());
        let certainty = if sure { Certainty::Certain } else { Certainty::Possible };
        (Name::Image { reference, bare: false }, certainty)
    } else if version.is_some() {
        let certainty = if host.is_some() { Certainty::Certain } else { Certainty::Weak };
        (Name::Image { reference, bare: false }, certainty)
    } else {
        // An image without a tag, alone, is a word like others.
        if !named_repository && group.registry.is_none() {
            return None;
        }
        let certainty = match host {
            Some(host) if word::public(host) || known_host(host) => Certainty::Possible,
            _ => Certainty::Weak,
        };
        (Name::Repository(reference.repository().clone()), certainty)
    };
    Some(Found { name, certainty, group })
}

/// Whether a repository's field holds a whole reference.
fn says_all(text: &str) -> bool {
    text.contains('@') || text.rsplit('/').next().is_some_and(|last| last.contains(':'))
}
