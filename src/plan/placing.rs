//! Everything that a bundle puts into a registry, and under which names: images with what refers to them, charts, models.

use std::collections::HashMap;

use serde::Serialize;

use crate::bundle::index::{Index, IndexChart, IndexModel, IndexReferrer};
use crate::digest::Digest;
use crate::oci::reference::ReferenceError;
use crate::oci::{LocalName, Pointer, Reference};
use crate::plan::mapping::{Mapping, MappingError};

/// What something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A container image.
    Image,
    /// A Helm chart.
    Chart,
    /// Model weights.
    Model,
}

/// One thing and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// What it is.
    pub kind: Kind,
    /// As the bundle names it: an image by its reference in full, others like `charts/redis:1.2.0`.
    pub from: String,
    /// As it is named in the customer's registry.
    pub to: Reference,
    /// Its root manifest.
    pub root: Digest,
    /// What refers to it and goes beside it, each after what it is about.
    pub referrers: Vec<PlacedReferrer>,
}

/// Something that refers to an image and goes beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedReferrer {
    /// As the bundle lists it.
    pub listed: IndexReferrer,
    /// As it is named in the customer's registry: by its tag, else by its digest.
    pub to: Reference,
}

impl Placed {
    /// The name its root is put under: the tag, or its own digest when the reference has none.
    #[must_use]
    pub fn pointer(&self) -> Pointer {
        self.to.tag().map_or(Pointer::Digest(self.root), |tag| Pointer::Tag(tag.to_owned()))
    }
}

impl PlacedReferrer {
    /// The name its root is put under.
    #[must_use]
    pub fn pointer(&self) -> Pointer {
        self.to.pointer()
    }
}

/// The rules of `mapping` that move nothing of `index`.
#[must_use]
pub fn idle(index: &Index, mapping: &Mapping) -> Vec<String> {
    let charts = index.charts.iter().map(IndexChart::local_name);
    let models = index.models.iter().map(IndexModel::local_name);
    let local: Vec<LocalName> = charts.chain(models).flatten().collect();
    mapping.idle(index.images.iter().map(|image| &image.reference), &local)
}

/// Everything in `index`, placed by `mapping`. Two things that would get the same name are refused.
pub fn place(index: &Index, mapping: &Mapping) -> Result<Vec<Placed>, MappingError> {
    let mut referrers = HashMap::<&Reference, Vec<&IndexReferrer>>::new();
    for referrer in &index.referrers {
        referrers.entry(&referrer.image).or_default().push(referrer);
    }
    let mut taken = Taken::default();
    let mut placed = Vec::new();
    for image in &index.images {
        let to = mapping.map(&image.reference)?;
        let (kind, from, root) = (Kind::Image, image.reference.to_string(), image.digest);
        taken.take(&to, &from, None)?;
        let referrers = referrers.remove(&image.reference).unwrap_or_default();
        let referrers = referrers
            .into_iter()
            .map(|listed| place_referrer(listed, &to, &mut taken))
            .collect::<Result<_, _>>()?;
        placed.push(Placed { kind, from, to, root, referrers });
    }
    let mut local = |kind, name: Result<LocalName, ReferenceError>, root| {
        let name = name.map_err(|source| MappingError::Name { from: root_name(root), source })?;
        let (from, to) = (name.to_string(), mapping.map_local(&name)?);
        taken.take(&to, &from, None)?;
        placed.push(Placed { kind, from, to, root, referrers: Vec::new() });
        Ok(())
    };
    for chart in &index.charts {
        local(Kind::Chart, chart.local_name(), chart.digest)?;
    }
    for model in &index.models {
        local(Kind::Model, model.local_name(), model.digest)?;
    }
    Ok(placed)
}

fn root_name(root: Digest) -> String {
    format!("the manifest {root}")
}

fn place_referrer(
    listed: &IndexReferrer,
    image: &Reference,
    taken: &mut Taken,
) -> Result<PlacedReferrer, MappingError> {
    let digest = listed.tag.is_none().then_some(listed.digest);
    let to = Reference::new(image.repository().clone(), listed.tag.as_deref(), digest)
        .map_err(|source| MappingError::Name { from: listed.to_string(), source })?;
    taken.take(&to, &listed.to_string(), Some(listed.digest))?;
    Ok(PlacedReferrer { listed: listed.clone(), to })
}

/// Names that are given away, to what; with a digest where the very same thing may have it twice.
#[derive(Default)]
struct Taken(HashMap<String, (String, Option<Digest>)>);

impl Taken {
    fn take(&mut self, to: &Reference, from: &str, same: Option<Digest>) -> Result<(), MappingError> {
        match self.0.insert(to.to_string(), (from.to_owned(), same)) {
            Some((first, other)) if same.is_none() || other != same => {
                Err(MappingError::Clash { first, second: from.to_owned(), to: to.to_string() })
            }
            _ => Ok(()),
        }
    }
}
