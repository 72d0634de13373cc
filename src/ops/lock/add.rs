//! `bundle lock --add`: what charts run and the release does not declare, written into the release.

use std::path::Path;

use super::{Error, Undeclared};
use crate::limits;
use crate::oci::Reference;
use crate::release::edit::add_images;
use crate::relocate::discover::Lack;
use crate::sys::fs;

/// Declares in `file` what can be declared as it was found; the rest stays an error, and then nothing is written.
pub(super) fn declare(file: &Path, undeclared: Vec<Undeclared>) -> Result<Vec<Reference>, Error> {
    if undeclared.iter().any(|one| one.why != Lack::NotDeclared) {
        return Err(Error::Undeclared(undeclared));
    }
    let mut references: Vec<Reference> = undeclared.iter().map(|one| one.reference.clone()).collect();
    references.sort();
    references.dedup();
    let bytes = fs::read_limited(file, limits::HAND_WRITTEN_BYTES)?;
    let added = std::str::from_utf8(&bytes).ok().and_then(|text| add_images(text, &references));
    let Some(added) = added else { return Err(Error::Undeclared(undeclared)) };
    fs::write(file, added.as_bytes(), fs::PUBLIC)?;
    Ok(references)
}
