//! Files and tools, copied into the folder as they are: hashed on the way and compared with the lock.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use super::{Error, Plan};
use crate::digest::{Blob, Digest};
use crate::ops::transfer::Checked;
use crate::path::EntryPath;
use crate::progress::Silent;
use crate::release::lock::NOTICE;
use crate::sources::{self, Reach};
use crate::store::{Pieces as _, Source};
use crate::sys::fs;

/// Copies every file and tool of the lock into `folder`; gives them for `SHA256SUMS`. `base` is the folder of the release.
pub(super) fn copy(
    plan: &Plan,
    base: &Path,
    folder: &Path,
    reach: &dyn Reach,
) -> Result<Vec<(EntryPath, Digest)>, Error> {
    let files =
        plan.lock.files.iter().map(|file| (&file.path, &file.from, file.sha256, file.size, fs::PUBLIC));
    let tools =
        plan.lock.tools.iter().map(|tool| (&tool.path, &tool.from, tool.sha256, tool.size, fs::PROGRAM));
    let sources = sources::Sources::new(base, reach);
    // A model's notice is one of the model's files.
    let open = |from: &str| -> Result<Arc<dyn Source>, sources::Error> {
        let named =
            from.strip_prefix(NOTICE).and_then(|name| plan.lock.models.iter().find(|m| m.name == name));
        match named {
            Some(model) => sources.open_model(model).map(|source| source as Arc<dyn Source>),
            None => sources::plain(base, from, reach),
        }
    };
    files
        .chain(tools)
        .map(|(path, from, digest, size, mode)| {
            let source = open(from)
                .map_err(|source| Error::Source { what: path.to_string(), source: Box::new(source) })?;
            let checked = Checked::new(&*source, from, &Silent);
            let target = path.under(folder);
            let io = |source| fs::Error::Io { path: target.clone(), source };
            if let Some(parent) = target.parent() {
                std::fs::create_dir_all(parent).map_err(io)?;
            }
            let mut draft = fs::Draft::begin(&target, mode)?;
            let mut pieces = checked.open(&Blob { digest, size }, 0)?;
            while let Some(piece) = pieces.next()? {
                draft.write_all(&piece).map_err(io)?;
            }
            draft.create()?;
            Ok((path.clone(), digest))
        })
        .collect()
}
