//! Where plain files and tools are read: a file beside the release.

use std::path::Path;
use std::sync::Arc;

use super::file::{Links, Regular, malformed};
use super::{Error, Reach};
use crate::digest::Blob;
use crate::store::{self, Pieces, Source};

/// Who has the bytes of the file `from`, whose relative paths start at `base`. It has that one blob.
///
/// # Errors
/// A file that cannot be opened.
pub fn plain(base: &Path, from: &str, _reach: &dyn Reach) -> Result<Arc<dyn Source>, Error> {
    if from.contains("://") {
        return Err(Error::Place { from: from.to_owned() });
    }
    Ok(Arc::new(Regular::open(&base.join(from), Links::Followed)?))
}

impl Source for Regular {
    fn open<'a>(&'a self, blob: &Blob, offset: u64) -> Result<Box<dyn Pieces + 'a>, store::Error> {
        if self.length != blob.size {
            let why = format!("it has {} bytes where {} are expected", self.length, blob.size);
            return Err(malformed(&self.path, &why));
        }
        Ok(Box::new(self.part(offset, blob.size.saturating_sub(offset))))
    }
}
