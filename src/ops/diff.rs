//! `bundle diff`: what changed between two bundles, from what they say of themselves.

use std::path::Path;

use serde::Serialize;

use crate::bundle::tar;
use crate::ops::open::{self, Error};
use crate::plan::diff::{self as plan, Diff};

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What changed.
    #[serde(flatten)]
    pub diff: Diff,
    /// Bytes of the payload that a bundle of everything in the new release has.
    pub whole: u64,
}

/// Compares two bundles, each named by its folder or by its `bundle.json` alone.
pub fn diff(old: &Path, new: &Path) -> Result<Report, Error> {
    let (_, old) = open::index_at(old)?;
    let (_, new) = open::index_at(new)?;
    let relied = new.relied_on.iter().map(|blob| blob.size);
    let relied: u64 = relied.map(|size| tar::header_length(size) + size + tar::padding(size)).sum();
    Ok(Report { diff: plan::diff(&old, &new), whole: new.payload.bytes + relied })
}
