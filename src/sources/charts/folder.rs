//! A chart in a folder: its files as Helm takes them, packed.
//!
//! Symbolic links are followed, as Helm follows them, when they lead to something below the folder of the release or of the chart; a link that
//! leads elsewhere is refused, so that no chart that somebody else made can name a file of the vendor's machine.

use std::path::{Path, PathBuf};

use super::ChartError;
use crate::chart::ignore::{Rules, What};
use crate::chart::{Metadata, pack};
use crate::limits;
use crate::path::EntryPath;
use crate::sources::Error;
use crate::sources::file::{Links, Regular};
use crate::store;

/// Folders within folders that are gone into: links can make a circle.
const DEPTH: usize = 32;

/// The archive of the chart in `folder`; links may lead below `base` too.
pub(super) fn pack_folder(folder: &Path, base: &Path) -> Result<Vec<u8>, Error> {
    let io = |path: &Path| {
        let path = path.to_path_buf();
        move |source| store::Error::Io { path, source }
    };
    let own = folder.to_path_buf();
    let chart = read(&folder.join("Chart.yaml"), limits::CHART_FILE_BYTES)?;
    let metadata = Metadata::parse(&chart, "Chart.yaml")
        .map_err(|source| ChartError::Metadata { folder: own.clone(), source })?;
    let ignore = folder.join(".helmignore");
    let rules = match ignore.symlink_metadata() {
        Ok(_) => String::from_utf8(read(&ignore, limits::CHART_FILE_BYTES)?)
            .map_err(|_| refused(&ignore, "it is not UTF-8 text"))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(io(&ignore)(error).into()),
    };
    let rules = Rules::parse(&rules).map_err(|source| ChartError::Ignore { folder: own.clone(), source })?;
    let roots = [folder, if base.as_os_str().is_empty() { Path::new(".") } else { base }];
    let roots: Vec<PathBuf> =
        roots.iter().map(|root| root.canonicalize().map_err(io(root))).collect::<Result<_, _>>()?;
    let mut walk = Walk { rules, roots, folder: own, files: Vec::new(), bytes: 0, looked: 0 };
    walk.folder(folder, "", 0)?;
    let packed = pack::pack(&metadata.name, &walk.files);
    Ok(packed.map_err(|source| ChartError::Name { folder: folder.to_path_buf(), source })?)
}

pub(super) fn refused(path: &Path, why: impl Into<String>) -> ChartError {
    ChartError::File { path: path.to_path_buf(), why: why.into() }
}

pub(super) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    Ok(Regular::open(path, Links::Followed)?.read_whole(limit)?)
}

struct Walk {
    rules: Rules,
    roots: Vec<PathBuf>,
    folder: PathBuf,
    files: Vec<(EntryPath, Vec<u8>)>,
    bytes: u64,
    looked: usize,
}

impl Walk {
    fn folder(&mut self, folder: &Path, prefix: &str, depth: usize) -> Result<(), Error> {
        if depth > DEPTH {
            return Err(refused(
                folder,
                "it lies deeper than charts do, or a link leads back to where it is",
            )
            .into());
        }
        let io = |path: &Path, source| store::Error::Io { path: path.to_path_buf(), source };
        for entry in folder.read_dir().map_err(|e| io(folder, e))? {
            let path = entry.map_err(|e| io(folder, e))?.path();
            self.looked += 1;
            if self.looked > limits::CHART_ENTRIES {
                let why = format!("it holds more than {} files and folders", limits::CHART_ENTRIES);
                return Err(refused(
                    &self.folder,
                    why + "; name those that are no part of the chart in .helmignore",
                )
                .into());
            }
            let name = path.file_name().and_then(std::ffi::OsStr::to_str);
            let Some(name) = name else { return Err(refused(&path, "its name is not UTF-8 text").into()) };
            let shown = format!("{prefix}{name}");
            let facts = path.metadata().map_err(|e| io(&path, e))?;
            let what = if facts.is_dir() { What::Folder } else { What::File };
            if self.rules.leave_out(&shown, what) {
                continue;
            }
            let link = path.symlink_metadata().map_err(|e| io(&path, e))?.is_symlink();
            if link {
                let target = path.canonicalize().map_err(|e| io(&path, e))?;
                if !self.roots.iter().any(|root| target.starts_with(root)) {
                    return Err(refused(&path, "it is a link that leads out of the release's folder").into());
                }
            }
            if facts.is_dir() {
                self.folder(&path, &format!("{shown}/"), depth + 1)?;
            } else {
                self.file(&path, &shown, &facts)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, shown: &str, facts: &std::fs::Metadata) -> Result<(), Error> {
        if !facts.is_file() {
            return Err(refused(path, "it is neither a file nor a folder").into());
        }
        if facts.len() > limits::CHART_FILE_BYTES {
            let (size, limit) = (facts.len(), limits::CHART_FILE_BYTES);
            let why = format!("it has {size} bytes, and Helm reads files of at most {limit}");
            return Err(refused(path, why + "; name it in .helmignore if it is no part of the chart").into());
        }
        let name: EntryPath =
            shown.parse().map_err(|source| ChartError::Name { folder: self.folder.clone(), source })?;
        let bytes = read(path, limits::CHART_FILE_BYTES)?;
        self.bytes += bytes.len() as u64;
        if self.bytes > limits::CHART_UNPACKED_BYTES {
            let limit = limits::CHART_UNPACKED_BYTES;
            return Err(refused(
                &self.folder,
                format!("its files have more than {limit} bytes, the most that Helm reads"),
            )
            .into());
        }
        self.files.push((name, bytes));
        Ok(())
    }
}
