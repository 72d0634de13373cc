//! Files and tools, copied into the folder as they are: hashed on the way and compared with the lock.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use super::{Error, Plan, Request};
use crate::bundle::index::IndexError;
use crate::bundle::plain;
use crate::digest::{Blob, Digest};
use crate::oci::Platform;
use crate::ops::transfer::Checked;
use crate::path::EntryPath;
use crate::progress::Silent;
use crate::release::lock::{LockedTool, NOTICE};
use crate::sources::{self, Reach};
use crate::store::{Pieces as _, Source};
use crate::sys::{fs, own};

/// The running program as a tool, where no tool of the release is it and it can run elsewhere.
pub(super) fn ourselves(
    plan: &Plan,
    request: &Request<'_>,
    reach: &dyn Reach,
) -> Result<Option<LockedTool>, Error> {
    let Some(program) = request.program.as_ref().filter(|_| !plan.declares_program()) else {
        return Ok(None);
    };
    let fault = |why: String| Error::Index(IndexError::Contradiction(why));
    let from = program.path.to_str().ok_or_else(|| fault("the program's own path is no text".to_owned()))?;
    let platform: Platform = program
        .platform
        .parse()
        .map_err(|error: crate::oci::platform::PlatformError| fault(error.to_string()))?;
    let path = plain::tool_path(plain::OURSELVES, &platform).map_err(|error| fault(error.to_string()))?;
    // A file of the release in that place is what its maker wants there.
    if plan.lock.files.iter().any(|file| file.path == path) {
        return Ok(None);
    }
    let Blob { digest: sha256, size } = sources::plain_measure(Path::new(""), from, reach)
        .map_err(|source| Error::Source { what: path.to_string(), source: Box::new(source) })?;
    let (name, from) = (plain::OURSELVES.to_owned(), from.to_owned());
    Ok(Some(LockedTool { name, platform, path, size, sha256, from }))
}

/// Copies every file of the lock, and `tools`, into `folder`; gives them for `SHA256SUMS`. `base` is the folder of the release.
pub(super) fn copy(
    plan: &Plan,
    tools: &[LockedTool],
    base: &Path,
    folder: &Path,
    reach: &dyn Reach,
) -> Result<Vec<(EntryPath, Digest)>, Error> {
    let files =
        plan.lock.files.iter().map(|file| (&file.path, &file.from, file.sha256, file.size, fs::PUBLIC));
    let tools = tools.iter().map(|tool| (&tool.path, &tool.from, tool.sha256, tool.size, fs::PROGRAM));
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
            own::folders_of(&target)?;
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
