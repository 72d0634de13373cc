//! Files and tools: each hashed where it is, folders file by file.

use std::path::Path;

use super::{EntryFault, named};
use crate::bundle::plain::tool_path;
use crate::digest::Blob;
use crate::limits;
use crate::ops::parallel::each;
use crate::release::Release;
use crate::release::lock::{Lock, LockedFile, LockedTool};
use crate::release::sections::Tool;
use crate::sources::{self, PlainError, Reach, plain_list, plain_measure};

/// Locks every file, in the order of the release; or all faults.
pub(super) fn lock_files(
    release: &Release,
    base: &Path,
    reach: &dyn Reach,
) -> Result<Vec<LockedFile>, Vec<EntryFault>> {
    let results = each(&release.files, 1, |entry| {
        let file = |(from, path): (String, _)| -> Result<LockedFile, sources::Error> {
            let Blob { digest: sha256, size } = plain_measure(base, &from, reach)?;
            Ok(LockedFile { path, size, sha256, from })
        };
        let files = plain_list(base, &entry.value.from, &entry.value.to)
            .and_then(|files| files.into_iter().map(file).collect::<Result<Vec<_>, _>>());
        files.map_err(|source| EntryFault::new(entry.place, format!("file {}", entry.value.from), source))
    });
    Ok(named(results)?.into_iter().flatten().collect())
}

/// Locks every tool, in the order of the release; or all faults. One from an address that is in the lock with the declared digest is not
/// fetched again.
pub(super) fn lock_tools(
    release: &Release,
    previous: Option<&Lock>,
    base: &Path,
    reach: &dyn Reach,
) -> Result<Vec<LockedTool>, Vec<EntryFault>> {
    let results = each(&release.tools, limits::LOCK_PARALLEL, |entry| {
        let tool = &entry.value;
        let fault = |source| EntryFault::new(entry.place, format!("tool {}", tool.name), source);
        let old = previous.and_then(|lock| lock.tools.iter().find(|old| is_of(old, tool)));
        let size = match old {
            Some(old) => old.size,
            None => measure(tool, base, reach).map_err(fault)?,
        };
        let (name, platform) = (tool.name.to_string(), tool.platform.clone());
        let path = tool_path(&name, &platform);
        let path =
            path.map_err(|source| fault(PlainError::Name { path: tool.from.clone().into(), source }.into()))?;
        Ok(LockedTool { name, platform, path, size, sha256: tool.sha256, from: tool.from.clone() })
    });
    named(results)
}

fn measure(tool: &Tool, base: &Path, reach: &dyn Reach) -> Result<u64, sources::Error> {
    let Blob { digest: got, size } = plain_measure(base, &tool.from, reach)?;
    if got != tool.sha256 {
        return Err(PlainError::Digest { from: tool.from.clone(), declared: tool.sha256, got }.into());
    }
    Ok(size)
}

fn is_of(old: &LockedTool, tool: &Tool) -> bool {
    tool.from.contains("://") && old.from == tool.from && old.sha256 == tool.sha256
}
