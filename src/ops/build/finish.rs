//! What is written once the volumes are: the texts, the index, the grants, and last the list of files and its signatures.

use std::path::Path;

use super::journal::Work;
use super::{Error, Plan, Request};
use crate::bundle::grant::{self, Identity, SealTo};
use crate::bundle::names::{GRANTS, INDEX, SUMS};
use crate::bundle::sums::Sums;
use crate::digest::Digest;
use crate::ops::sign::write_signature;
use crate::path::EntryPath;
use crate::plan::payload;
use crate::progress::Observer;
use crate::release::lock::LockedTool;
use crate::sources::Reach;
use crate::sys::{fs, own};

/// Finishes the bundle in the work folder.
pub(super) fn finish(
    plan: &Plan,
    work: &Work,
    (request, reach): (&Request<'_>, &dyn Reach),
    observer: &dyn Observer,
) -> Result<(), Error> {
    let folder = work.folder();
    sweep(folder)?;
    let base = request.file.parent().unwrap_or(Path::new(""));
    let ourselves = super::plain::ourselves(plan, request, reach)?;
    let tools: Vec<LockedTool> = plan.lock.tools.iter().cloned().chain(ourselves.clone()).collect();
    let plain = super::plain::copy(plan, &tools, base, folder, reach)?;
    let known = work.known();
    let mut index = payload::index(&plan.lock, plan.lock_digest, &plan.payload, plan.shape.volume_bytes());
    index.tools.extend(ourselves.map(payload::index_tool));
    index.tools.sort_by(|one, other| one.path.cmp(&other.path));
    index.volumes = known.written.into_values().collect();
    index.parity = super::parity::write(plan, &index, folder, observer)?;
    let text = index.to_text()?;
    let mut files: Vec<(EntryPath, Digest)> =
        index.chunked().iter().map(|file| (file.name.clone(), file.sha256)).chain(plain).collect();
    // What is signed must be what a reader accepts. Two of an index are not held at the same time.
    drop(index);
    crate::bundle::Index::parse(&text)?;
    let texts = super::texts::render(plan, request, &tools)?;
    let index = (INDEX, text, fs::PUBLIC);
    for (name, bytes, mode) in std::iter::once(index).chain(texts) {
        let path: EntryPath = name.parse().map_err(|e: crate::path::PathError| {
            crate::bundle::index::IndexError::Contradiction(e.to_string())
        })?;
        let target = path.under(folder);
        own::folders_of(&target)?;
        fs::write(&target, &bytes, mode)?;
        files.push((path, Digest::of(&bytes)));
    }
    if let Some(key) = work.key() {
        write_grants(folder, &key.to_text(), request)?;
    }
    let sums = Sums::new(files)?.render();
    for key in request.sign_keys {
        write_signature(folder, sums.as_bytes(), key)?;
    }
    fs::write(&folder.join(SUMS), sums.as_bytes(), fs::PUBLIC)?;
    Ok(())
}

/// A bundle that only lacked its name: the signatures asked for now are added to those it has. Its grants were sealed by the run that had
/// the release key; gives their names.
pub(super) fn sign_again(work: &Work, request: &Request<'_>) -> Result<Vec<String>, Error> {
    let sums = fs::read_limited(&work.folder().join(SUMS), crate::limits::SUMS_BYTES)?;
    for key in request.sign_keys {
        write_signature(work.folder(), &sums, key)?;
    }
    Ok(crate::ops::inspect::names(&work.folder().join(GRANTS), "age"))
}

/// Takes away what an earlier run had begun to finish, perhaps with other keys.
fn sweep(folder: &Path) -> Result<(), Error> {
    let io = |source| Error::File(fs::Error::Io { path: folder.to_owned(), source });
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        let name = entry.file_name();
        if name == "volumes" || name == super::journal::STATE {
            continue;
        }
        let path = entry.path();
        let gone = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        gone.map_err(|source| fs::Error::Io { path, source })?;
    }
    Ok(())
}

fn write_grants(folder: &Path, key: &str, request: &Request<'_>) -> Result<(), Error> {
    let grants = folder.join(GRANTS);
    own::folder(&grants)?;
    let identity: Identity = key.parse()?;
    for grantee in request.recipients {
        let sealed = grant::seal(&identity, SealTo::Recipients(std::slice::from_ref(&grantee.recipient)))?;
        fs::create(&grants.join(format!("{}.age", grantee.name)), &sealed, fs::PUBLIC)?;
    }
    Ok(())
}
