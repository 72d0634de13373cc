//! Everything in the payload, as one list of graphs.

use std::fmt;

use super::{Lock, LockedChart, LockedImage, LockedManifest, LockedModel, LockedReferrer};

/// One root and all below it, and who has its bytes.
#[derive(Debug, Clone, Copy)]
pub struct Graph<'a> {
    /// What it is.
    pub of: Of<'a>,
    /// The number of its source: images count from 0, then charts, then models; a referrer is read where its image is.
    pub source: usize,
}

/// What a graph is.
#[derive(Debug, Clone, Copy)]
pub enum Of<'a> {
    /// An image.
    Image(&'a LockedImage),
    /// Something that refers to an image.
    Referrer(&'a LockedImage, &'a LockedReferrer),
    /// A chart.
    Chart(&'a LockedChart),
    /// A model.
    Model(&'a LockedModel),
}

impl<'a> Graph<'a> {
    /// The manifests, children first, the root last.
    #[must_use]
    pub fn manifests(&self) -> &'a [LockedManifest] {
        match self.of {
            Of::Image(image) => &image.manifests,
            Of::Referrer(_, referrer) => &referrer.manifests,
            Of::Chart(chart) => &chart.manifests,
            Of::Model(model) => &model.manifests,
        }
    }

    /// The root; `None` only in a lock that does not hold.
    #[must_use]
    pub fn root(&self) -> Option<&'a LockedManifest> {
        self.manifests().last()
    }
}

/// As it is called in messages.
impl fmt::Display for Of<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(image) => write!(f, "{}", image.reference),
            Self::Referrer(image, referrer) => match &referrer.tag {
                Some(tag) => write!(f, "{}:{tag}", image.reference.repository()),
                None => write!(f, "what refers to {} in {}", referrer.subject, image.reference),
            },
            Self::Chart(chart) => write!(f, "chart {} {}", chart.name, chart.version),
            Self::Model(model) => write!(f, "model {}", model.name),
        }
    }
}

impl Lock {
    /// Everything in the payload, in payload order: each image with what refers to it, then charts, then models.
    pub fn graphs(&self) -> impl Iterator<Item = Graph<'_>> {
        let images = self.images.iter().enumerate().flat_map(|(source, image)| {
            let referrers = image.referrers.iter().map(move |referrer| Of::Referrer(image, referrer));
            std::iter::once(Of::Image(image)).chain(referrers).map(move |of| Graph { of, source })
        });
        let charts = self.charts.iter().map(Of::Chart);
        let models = self.models.iter().map(Of::Model);
        let others = (self.images.len()..).zip(charts.chain(models));
        images.chain(others.map(|(source, of)| Graph { of, source }))
    }
}
