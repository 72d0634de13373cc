//! Completeness: every listed file is there and, but for volumes, is the one listed; nothing else is there.

use std::collections::BTreeSet;
use std::fs::{DirEntry, FileType};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::bundle::names::{self, SUMS};
use crate::bundle::sums::Sums;
use crate::digest::Digest;
use crate::limits;
use crate::ops::finding::{Finding, What};
use crate::ops::grant::GrantName;
use crate::ops::open::{self, Authenticated};
use crate::ops::verify::chunks;
use crate::path::EntryPath;
use crate::progress::Observer;
use crate::store;
use crate::sys::{delivered, fs};
use crate::text::printable;

/// Folders in folders that are walked: more than the longest path that a bundle may have needs.
const DEPTH: usize = limits::PATH_BYTES / 2;

/// What operating systems leave on sticks unasked. Said, not refused.
const LITTER: [&str; 9] = [
    ".DS_Store",
    ".Spotlight-V100",
    ".Trashes",
    ".fseventsd",
    "System Volume Information",
    "$RECYCLE.BIN",
    "lost+found",
    "Thumbs.db",
    "desktop.ini",
];

/// Compares the folders with the signed list. Volumes' sizes are compared; whoever reads them says what else is wrong with them.
pub(super) fn check(bundle: &Authenticated) -> Vec<Finding> {
    let mut findings = Vec::new();
    let chunked = bundle.index.get().chunked();
    let volumes: BTreeSet<&EntryPath> = chunked.iter().map(|file| file.name).collect();
    let most = bundle.index.get().most();
    for (path, expected) in bundle.sums.iter().filter(|(path, _)| !volumes.contains(path)) {
        let expected = (most(path), *expected);
        findings.extend(check_small(bundle.home(), path, expected));
        // A second folder need not have the small files; those that it has may be run or read as well.
        for other in bundle.folders.iter().skip(1) {
            let found = check_small(other, path, expected);
            let found = found.filter(|finding| !matches!(finding.what, What::Missing { .. }));
            findings.extend(found.map(|finding| named_in(other, finding)));
        }
    }
    for volume in &chunked {
        let path = volume.name.to_string();
        let facts = |folder: &PathBuf| volume.name.under(folder).symlink_metadata().ok();
        let found = bundle.folders.iter().find_map(facts);
        if let Some(facts) = found.filter(|facts| facts.is_file() && facts.len() != volume.bytes) {
            findings.push(Finding::refuse(What::Size { path, expected: volume.bytes, got: facts.len() }));
        }
    }
    findings.extend(strangers(bundle));
    findings
}

/// What lies in the folders and belongs to no bundle.
pub(crate) fn strangers(bundle: &Authenticated) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut ways = BTreeSet::from([names::GRANTS, names::LICENSES]);
    for (path, _) in bundle.sums.iter() {
        ways.extend(path.as_str().match_indices('/').map(|(at, _)| &path.as_str()[..at]));
    }
    for folder in &bundle.folders {
        let mut walk = Walk { bundle, ways: &ways, left: limits::FOLDER_FILES, findings: vec![] };
        walk.folder(folder, "", 0);
        let several = bundle.folders.len() > 1;
        let found = walk.findings.into_iter();
        findings.extend(found.map(|one| if several { named_in(folder, one) } else { one }));
    }
    findings
}

/// Copies of volumes in further folders: each is read as well, so that a folder that is lent on was looked at whole.
pub(super) fn copies(bundle: &Authenticated, observer: &dyn Observer) -> Vec<Finding> {
    let mut findings = Vec::new();
    for volume in &bundle.index.get().chunked() {
        let there = |folder: &&PathBuf| volume.name.under(folder).symlink_metadata().is_ok();
        for folder in bundle.folders.iter().filter(there).skip(1) {
            let found = match delivered::open(folder, volume.name) {
                Ok(file) => chunks::check_file(volume, &file, observer),
                Err(_) => {
                    let path = volume.name.to_string();
                    vec![Finding::refuse(What::Unreadable { path, why: IRREGULAR.to_owned() })]
                }
            };
            findings.extend(found.into_iter().map(|finding| named_in(folder, finding)));
        }
    }
    findings
}

/// The finding for a volume whose file could not be opened.
pub(crate) fn unopened(path: &str, error: &store::Error) -> Finding {
    let path = path.to_owned();
    Finding::refuse(match error {
        store::Error::NoVolume { .. } => What::Missing { path },
        store::Error::Gone { source, .. } => What::Gone { path, why: source.to_string() },
        store::Error::Io { source, .. } if source.kind() == ErrorKind::PermissionDenied => {
            What::Denied { path, why: source.to_string() }
        }
        store::Error::Io { source, .. } => What::Unreadable { path, why: source.to_string() },
        store::Error::Malformed { why, .. } => What::Unreadable { path, why: why.clone() },
        other => What::Unreadable { path, why: other.to_string() },
    })
}

/// The finding, with the folder that the file lies in, which is not the one of the small files.
fn named_in(folder: &Path, mut finding: Finding) -> Finding {
    if let What::Changed { path, .. }
    | What::Unreadable { path, .. }
    | What::Denied { path, .. }
    | What::Damaged { path, .. }
    | What::Size { path, .. }
    | What::Extra { path } = &mut finding.what
    {
        *path = format!("{}/{path}", folder.display());
    }
    finding
}

/// Compares a file of at most `most` bytes with its hash: one that only claims to be long is not read to its end.
fn check_small(home: &Path, path: &EntryPath, (most, expected): (u64, Digest)) -> Option<Finding> {
    let shown = path.to_string();
    Some(Finding::refuse(match delivered::hash(home, path, most) {
        Ok(got) if got == expected => return None,
        Ok(got) => What::Changed { path: shown, expected, got },
        Err(error) => unread(shown, &error),
    }))
}

/// What a file at `path` is that could not be read.
pub(crate) fn unread(path: String, error: &fs::Error) -> What {
    match error {
        fs::Error::Io { source, .. } if source.kind() == ErrorKind::NotFound => What::Missing { path },
        fs::Error::Io { source, .. } if source.kind() == ErrorKind::PermissionDenied => {
            What::Denied { path, why: source.to_string() }
        }
        fs::Error::Io { source, .. } => What::Unreadable { path, why: source.to_string() },
        fs::Error::TooLong { limit, .. } => {
            What::Unreadable { path, why: format!("it has more than {limit} bytes") }
        }
        _ => What::Unreadable { path, why: IRREGULAR.to_owned() },
    }
}

fn listed(sums: &Sums, path: &str) -> bool {
    path.parse::<EntryPath>().is_ok_and(|path| sums.contains(&path))
}

/// Whether a bundle of `sums` may hold a file called `path`.
pub(crate) fn belongs(sums: &Sums, path: &str) -> bool {
    listed(sums, path)
        || path == SUMS
        || (!path.contains('/') && open::is_signature(path))
        || path.split_once('/').is_some_and(|(folder, name)| match folder {
            names::GRANTS => GrantName::of_file(name).is_some(),
            names::LICENSES => {
                !name.contains('/') && name.ends_with(".lic") && path.parse::<EntryPath>().is_ok()
            }
            _ => false,
        })
}

/// Whether a file or folder called `name` is one that operating systems leave on sticks unasked.
pub(crate) fn is_litter(name: &str) -> bool {
    LITTER.contains(&name) || name.starts_with("._") || name.starts_with(".Trash-")
}

/// What is said of a link, a folder or a device in the place of a file.
const IRREGULAR: &str = "it is not an ordinary file";

struct Walk<'a> {
    bundle: &'a Authenticated,
    /// Folders in which something that belongs may lie.
    ways: &'a BTreeSet<&'a str>,
    left: usize,
    findings: Vec<Finding>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, prefix: &str, depth: usize) {
        let unlisted = |source| unread(shown(prefix), &fs::Error::Io { path: folder.to_owned(), source });
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(source) => return self.say(unlisted(source)),
        };
        for entry in entries {
            let Some(left) = self.left.checked_sub(1) else {
                let detail = format!("more than {} files; the rest was not looked at", limits::FOLDER_FILES);
                return self.say(What::Unchecked { detail });
            };
            self.left = left;
            match entry.and_then(|entry| Ok((entry.file_type()?, entry))) {
                Ok((kind, entry)) => self.entry(&entry, kind, prefix, depth),
                Err(source) => return self.say(unlisted(source)),
            }
        }
    }

    fn entry(&mut self, entry: &DirEntry, kind: FileType, prefix: &str, depth: usize) {
        let name = entry.file_name();
        let path = match prefix {
            "" => name.to_string_lossy().into_owned(),
            _ => format!("{prefix}/{}", name.to_string_lossy()),
        };
        // A name that is no text belongs nowhere, whatever it looks like.
        let Some(name) = name.to_str() else { return self.say(What::Extra { path: printable(&path, 600) }) };
        let extra = |path: &str, mark: &str| What::Extra { path: format!("{}{mark}", shown(path)) };
        if is_litter(name) {
            self.findings.push(Finding::warn(extra(&path, "")));
        } else if kind.is_dir() && self.ways.contains(path.as_str()) && depth < DEPTH {
            self.folder(&entry.path(), &path, depth + 1);
        } else if kind.is_dir() {
            self.say(extra(&path, "/"));
        } else if !belongs(&self.bundle.sums, &path) {
            self.say(extra(&path, ""));
        } else if !kind.is_file() && !listed(&self.bundle.sums, &path) {
            self.say(What::Unreadable { path, why: IRREGULAR.to_owned() });
        }
    }

    fn say(&mut self, what: What) {
        self.findings.push(Finding::refuse(what));
    }
}

/// A path that was found, as it can be shown; the folder itself is a dot.
fn shown(path: &str) -> String {
    if path.is_empty() { ".".to_owned() } else { printable(path, 600) }
}
