//! A chart's archive, read as hostile input: a gzip of a tar with one folder, named as the chart.
//!
//! What Helm would refuse is refused, and what it would quietly pass over: links, devices, names that climb or that a filesystem cannot
//! store, two entries of one name, bytes after the end. Only what says which chart it is stays in memory; other files are shown once to
//! whoever asks.

use std::cell::Cell;
use std::io::{self, Read};

use flate2::bufread::MultiGzDecoder;
use tar::EntryType;

use super::dependencies::{self, DependencyFault, DependencyLock};
use super::metadata::{Metadata, MetadataError};
use crate::checked::small;
use crate::limits;
use crate::path::{Clash, EntryPath, PathError};
use crate::text;

/// What an archive says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chart {
    /// Its `Chart.yaml`.
    pub metadata: Metadata,
    /// Its `Chart.lock`, or `requirements.lock`.
    pub lock: Option<DependencyLock>,
    /// The charts in its `charts/`, by name.
    pub subcharts: Vec<Subchart>,
}

/// A chart within a chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subchart {
    /// Its folder or archive, relative to the chart it is in: `charts/db` or `charts/db-1.0.0.tgz`.
    pub place: String,
    /// What it says of itself.
    pub chart: Chart,
}

/// Why an archive is refused. `entry` is the name in the archive, made printable.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// More bytes than any chart.
    #[error("it has {size} bytes; a chart has at most {}", limits::CHART_BYTES)]
    TooLarge {
        /// How many.
        size: u64,
    },
    /// More unpacked bytes than Helm reads.
    #[error("it unpacks to more than {} bytes", limits::CHART_UNPACKED_BYTES)]
    Unpacked,
    /// Unpacked bytes out of all proportion.
    #[error("it unpacks to more than {} times its {size} bytes", limits::CHART_RATIO)]
    Bomb {
        /// The archive's own bytes.
        size: u64,
    },
    /// More entries than any chart.
    #[error("it has more than {} entries", limits::CHART_ENTRIES)]
    Entries,
    /// Charts within charts, deeper than any real one.
    #[error("its charts are nested more than {} deep", limits::CHART_DEPTH)]
    Depth,
    /// A file that Helm does not read.
    #[error("{entry} has {size} bytes; Helm reads files of at most {}", limits::CHART_FILE_BYTES)]
    File {
        /// Which.
        entry: String,
        /// Its size.
        size: u64,
    },
    /// It is no gzip of a tar, or it is cut off.
    #[error("it is not a gzipped tar: {why}")]
    Unreadable {
        /// What was met.
        why: String,
    },
    /// Something behind the end of the tar.
    #[error("there are bytes behind the end of its tar")]
    Trailing,
    /// A link, a device, a FIFO, a sparse file.
    #[error("{entry} is {kind}; a chart holds plain files")]
    Kind {
        /// Which.
        entry: String,
        /// What it is.
        kind: &'static str,
    },
    /// A name that cannot be stored.
    #[error(transparent)]
    Name(#[from] PathError),
    /// A name that is not text.
    #[error("the name \"{entry}\" is not UTF-8")]
    Text {
        /// The name, as far as it can be shown.
        entry: String,
    },
    /// Two names that cannot lie in one folder.
    #[error(transparent)]
    Together(#[from] Clash),
    /// Something beside the one folder.
    #[error("{entry} is not in the folder {folder}; a chart's archive holds one folder")]
    Outside {
        /// What.
        entry: String,
        /// The folder of the first entry.
        folder: String,
    },
    /// The folder does not have the chart's name.
    #[error("its folder is named {folder}, and its chart {name}")]
    Folder {
        /// The folder.
        folder: String,
        /// The name in `Chart.yaml`.
        name: String,
    },
    /// No chart at all.
    #[error("it holds no {folder}/Chart.yaml")]
    NoChart {
        /// The folder, or what stands for it.
        folder: String,
    },
    /// A file that says what the chart is cannot be read.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// An archive within it is refused.
    #[error("{place}: {source}")]
    Within {
        /// Which.
        place: String,
        /// Why.
        source: Box<ArchiveError>,
    },
    /// Who looks at the files had enough.
    #[error(transparent)]
    Visitor(io::Error),
}

/// What is told of each file: its path, beginning with the chart's folder, and its bytes. Archives within are given as they are.
pub type Visitor<'v> = dyn FnMut(&EntryPath, &[u8]) -> io::Result<()> + 'v;

/// Reads an archive.
///
/// # Errors
/// [`ArchiveError`]. Whether its dependencies are there is asked by [`Chart::dependency_faults`].
pub fn read(bytes: &[u8]) -> Result<Chart, ArchiveError> {
    read_with(bytes, &mut |_, _| Ok(()))
}

/// Reads an archive and shows each file to `visitor`. Files that were shown before an error are of an archive that is refused.
///
/// # Errors
/// [`ArchiveError`].
pub fn read_with(bytes: &[u8], visitor: &mut Visitor<'_>) -> Result<Chart, ArchiveError> {
    let size = bytes.len() as u64;
    if size > limits::CHART_BYTES {
        return Err(ArchiveError::TooLarge { size });
    }
    let meter = Meter { size, unpacked: Cell::new(0), entries: Cell::new(0) };
    read_archive(bytes, &meter, 0, visitor)
}

impl Chart {
    /// How the charts in `charts/` differ from what the chart and its subcharts ask for. That a chart within lacks one, or was locked with
    /// another digest, is its maker's affair: Helm installs it so.
    #[must_use]
    pub fn dependency_faults(&self) -> Vec<DependencyFault> {
        let mut faults = self.own_faults(&self.metadata.name);
        for subchart in &self.subcharts {
            let named = format!("{}/{}", self.metadata.name.as_str(), subchart.place);
            let theirs = subchart.chart.faults_within(&named);
            faults
                .extend(theirs.into_iter().filter(|fault| matches!(fault, DependencyFault::Version { .. })));
        }
        faults
    }

    fn faults_within(&self, named: &str) -> Vec<DependencyFault> {
        let mut faults = self.own_faults(named);
        for Subchart { place, chart } in &self.subcharts {
            faults.extend(chart.faults_within(&format!("{named}/{place}")));
        }
        faults
    }

    fn own_faults(&self, named: &str) -> Vec<DependencyFault> {
        let held: Vec<(&str, &str)> = self
            .subcharts
            .iter()
            .map(|subchart| &subchart.chart.metadata)
            .map(|metadata| (metadata.name.as_str(), metadata.version.as_str()))
            .collect();
        dependencies::faults(named, &self.metadata, self.lock.as_ref(), &held)
    }
}

/// What has been unpacked so far, archives within archives among it.
struct Meter {
    size: u64,
    unpacked: Cell<u64>,
    entries: Cell<usize>,
}

impl Meter {
    /// The limit that has been passed, if one has.
    fn passed(&self) -> Option<ArchiveError> {
        let unpacked = self.unpacked.get();
        if unpacked > limits::CHART_UNPACKED_BYTES {
            return Some(ArchiveError::Unpacked);
        }
        let bomb =
            unpacked > limits::CHART_RATIO_FROM && unpacked > self.size.saturating_mul(limits::CHART_RATIO);
        bomb.then_some(ArchiveError::Bomb { size: self.size })
    }
}

/// Unpacked bytes, counted; an error of the kind `OutOfMemory` when a limit is passed.
struct Metered<'m, R> {
    inner: R,
    meter: &'m Meter,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.meter.unpacked.set(self.meter.unpacked.get() + read as u64);
        match self.meter.passed() {
            None => Ok(read),
            Some(error) => Err(io::Error::new(io::ErrorKind::OutOfMemory, error.to_string())),
        }
    }
}

/// What is kept of a file until the chart is whole.
#[allow(clippy::large_enum_variant, reason = "most are small, and the large one is rare")]
enum Kept {
    /// The bytes of a file that says something of a chart.
    Bytes(Vec<u8>),
    /// An archive within, read.
    Chart(Chart),
    /// That it is there.
    Nothing,
}

fn read_archive(
    bytes: &[u8],
    meter: &Meter,
    depth: usize,
    visitor: &mut Visitor<'_>,
) -> Result<Chart, ArchiveError> {
    let unreadable = |error: io::Error| {
        meter
            .passed()
            .unwrap_or_else(|| ArchiveError::Unreadable { why: text::printable(&error.to_string(), 200) })
    };
    let mut archive = tar::Archive::new(Metered { inner: MultiGzDecoder::new(bytes), meter });
    let mut folder: Option<String> = None;
    let mut paths = Vec::new();
    let mut files = Vec::new();
    for entry in archive.entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        meter.entries.set(meter.entries.get() + 1);
        if meter.entries.get() > limits::CHART_ENTRIES {
            return Err(ArchiveError::Entries);
        }
        // What `git archive` writes first: a comment, of no file.
        if entry.header().entry_type() == EntryType::XGlobalHeader {
            continue;
        }
        let (path, is_folder) = name(&entry)?;
        let (top, rest) = path.as_str().split_once('/').unwrap_or((path.as_str(), ""));
        let own = folder.get_or_insert_with(|| top.to_owned());
        if own != top || (rest.is_empty() && !is_folder) {
            let folder = if own == top { "of the chart".to_owned() } else { own.clone() };
            return Err(ArchiveError::Outside { entry: path.to_string(), folder });
        }
        // Helm passes over them, and so do we: a folder is where a file is.
        if is_folder {
            continue;
        }
        let size = entry.size();
        if size > limits::CHART_FILE_BYTES {
            return Err(ArchiveError::File { entry: path.to_string(), size });
        }
        let mut content = Vec::with_capacity(small(size));
        entry.read_to_end(&mut content).map_err(unreadable)?;
        visitor(&path, &content).map_err(ArchiveError::Visitor)?;
        let kept = match role(rest) {
            Role::Says => Kept::Bytes(content),
            Role::Archive if depth >= limits::CHART_DEPTH => return Err(ArchiveError::Depth),
            Role::Archive => {
                let within =
                    |source| ArchiveError::Within { place: path.to_string(), source: Box::new(source) };
                Kept::Chart(read_archive(&content, meter, depth + 1, &mut |_, _| Ok(())).map_err(within)?)
            }
            Role::Other => Kept::Nothing,
        };
        files.push((rest.to_owned(), kept));
        paths.push(path);
    }
    crate::path::together(&paths)?;
    let mut rest = archive.into_inner();
    let mut piece = [0; 4096];
    loop {
        match rest.read(&mut piece).map_err(unreadable)? {
            0 => break,
            read if piece[..read].iter().all(|byte| *byte == 0) => {}
            _ => return Err(ArchiveError::Trailing),
        }
    }
    let folder = folder.unwrap_or_else(|| "NAME".to_owned());
    let chart = assemble(&folder, files, depth)?;
    if chart.metadata.name.as_str() != folder {
        let name = chart.metadata.name.to_string();
        return Err(ArchiveError::Folder { folder: text::printable(&folder, 100), name });
    }
    Ok(chart)
}

/// The path of an entry, and whether it is a folder.
fn name<R: Read>(entry: &tar::Entry<'_, R>) -> Result<(EntryPath, bool), ArchiveError> {
    let raw = entry.path_bytes();
    let shown = || text::printable(&String::from_utf8_lossy(&raw), 120);
    let Ok(path) = std::str::from_utf8(&raw) else { return Err(ArchiveError::Text { entry: shown() }) };
    let refused = |kind| Err(ArchiveError::Kind { entry: shown(), kind });
    let is_folder = match entry.header().entry_type() {
        // Before POSIX, a folder was a file whose name ends in a slash.
        EntryType::Regular => path.ends_with('/'),
        EntryType::Directory => true,
        EntryType::Link => return refused("a hard link"),
        EntryType::Symlink => return refused("a symbolic link"),
        EntryType::Char | EntryType::Block => return refused("a device"),
        EntryType::Fifo => return refused("a FIFO"),
        EntryType::GNUSparse => return refused("a sparse file"),
        _ => return refused("of a kind that is not known"),
    };
    let path = if is_folder { path.strip_suffix('/').unwrap_or(path) } else { path };
    Ok((path.parse()?, is_folder))
}

/// What a file is to the chart.
enum Role {
    /// It says which chart it is, or what the chart needs.
    Says,
    /// A chart within.
    Archive,
    /// Anything else.
    Other,
}

fn role(path: &str) -> Role {
    let mut rest = path;
    // Down into charts within that are folders.
    while let Some((_, below)) = rest.strip_prefix("charts/").and_then(|rest| rest.split_once('/')) {
        rest = below;
    }
    match rest {
        "Chart.yaml" | "Chart.lock" | "requirements.yaml" | "requirements.lock" => Role::Says,
        _ => match rest.strip_prefix("charts/") {
            Some(name) if name.ends_with(".tgz") && !hidden(name) => Role::Archive,
            _ => Role::Other,
        },
    }
}

/// What Helm passes over in `charts/`.
fn hidden(name: &str) -> bool {
    name.starts_with(['_', '.'])
}

/// The chart of these files, whose paths are relative to it (Helm's `LoadFiles`). `place` is its name in messages.
fn assemble(place: &str, files: Vec<(String, Kept)>, depth: usize) -> Result<Chart, ArchiveError> {
    if depth > limits::CHART_DEPTH {
        return Err(ArchiveError::Depth);
    }
    let mut says: Vec<(String, Vec<u8>)> = Vec::new();
    let mut subcharts: Vec<Subchart> = Vec::new();
    let mut folders: Vec<(String, Vec<(String, Kept)>)> = Vec::new();
    for (path, kept) in files {
        let Some(within) = path.strip_prefix("charts/") else {
            if let Kept::Bytes(bytes) = kept {
                says.push((path, bytes));
            }
            continue;
        };
        let (name, rest) = within.split_once('/').unwrap_or((within, ""));
        // Provenance files lie beside archives.
        if hidden(name) || path.ends_with(".prov") {
            continue;
        }
        if let (Kept::Chart(chart), "") = (&kept, rest) {
            subcharts.push(Subchart { place: path.clone(), chart: chart.clone() });
            continue;
        }
        let folder = match folders.iter_mut().find(|(folder, _)| folder == name) {
            Some((_, folder)) => folder,
            None => {
                folders.push((name.to_owned(), Vec::new()));
                let last = folders.len() - 1;
                &mut folders[last].1
            }
        };
        if !rest.is_empty() {
            folder.push((rest.to_owned(), kept));
        }
    }
    for (name, files) in folders {
        let chart = assemble(&format!("{place}/charts/{name}"), files, depth + 1)?;
        subcharts.push(Subchart { place: format!("charts/{name}"), chart });
    }
    subcharts.sort_by(|one, other| one.place.cmp(&other.place));
    let find = |name: &str| says.iter().find(|(path, _)| path == name).map(|(_, bytes)| bytes.as_slice());
    let file = |name: &str| format!("{place}/{name}");
    let Some(bytes) = find("Chart.yaml") else {
        return Err(ArchiveError::NoChart { folder: place.to_owned() });
    };
    let mut metadata = Metadata::parse(bytes, &file("Chart.yaml"))?;
    if let Some(bytes) = find("requirements.yaml") {
        metadata.take_requirements(bytes, &file("requirements.yaml"))?;
    }
    let lock = ["Chart.lock", "requirements.lock"].into_iter().find_map(|name| Some((name, find(name)?)));
    let lock = lock.map(|(name, bytes)| DependencyLock::parse(bytes, &file(name))).transpose()?;
    Ok(Chart { metadata, lock, subcharts })
}

#[cfg(test)]
mod tests;
