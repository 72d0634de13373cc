//! Completeness: every listed file is there and, but for volumes, is the one listed; nothing else is there.

use std::collections::BTreeSet;
use std::fs::{DirEntry, FileType};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::limits;
use crate::ops::finding::{Finding, What};
use crate::ops::grant::GrantName;
use crate::ops::open::{self, Authenticated};
use crate::ops::sign::SUMS;
use crate::path::EntryPath;
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
    let volumes: BTreeSet<&EntryPath> = bundle.index.get().volumes.iter().map(|v| &v.name).collect();
    for (path, expected) in bundle.sums.iter().filter(|(path, _)| !volumes.contains(path)) {
        findings.extend(check_small(bundle.home(), path, *expected));
        // A second folder need not have the small files; those that it has may be run or read as well.
        for other in bundle.folders.iter().skip(1) {
            let found = check_small(other, path, *expected);
            let found = found.filter(|finding| !matches!(finding.what, What::Missing { .. }));
            findings.extend(found.map(|finding| named_in(other, finding)));
        }
    }
    for volume in &bundle.index.get().volumes {
        let path = volume.name.to_string();
        let facts = |folder: &'_ PathBuf| {
            Some((folder.display().to_string(), volume.name.under(folder).symlink_metadata().ok()?))
        };
        let mut found = bundle.folders.iter().filter_map(facts);
        let first = found.next();
        if let Some((_, facts)) =
            first.as_ref().filter(|(_, facts)| facts.is_file() && facts.len() != volume.bytes)
        {
            let path = path.clone();
            findings.push(Finding::refuse(What::Size { path, expected: volume.bytes, got: facts.len() }));
        }
        if let (Some((first, _)), Some(_)) = (first, found.next()) {
            let detail = format!("{path} is in more than one folder; only the one in {first} was checked");
            findings.push(Finding::warn(What::Unchecked { detail }));
        }
    }
    let mut ways = BTreeSet::from(["grants", "licenses"]);
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

/// The finding for a volume whose file could not be opened.
pub(super) fn unopened(path: &str, error: &store::Error) -> Finding {
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
    | What::Extra { path } = &mut finding.what
    {
        *path = format!("{}/{path}", folder.display());
    }
    finding
}

fn check_small(home: &Path, path: &EntryPath, expected: Digest) -> Option<Finding> {
    let shown = path.to_string();
    Some(Finding::refuse(match delivered::hash(home, path, limits::PLAIN_FILE_BYTES) {
        Ok(got) if got == expected => return None,
        Ok(got) => What::Changed { path: shown, expected, got },
        Err(fs::Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
            What::Missing { path: shown }
        }
        Err(fs::Error::Io { source, .. }) if source.kind() == ErrorKind::PermissionDenied => {
            What::Denied { path: shown, why: source.to_string() }
        }
        Err(fs::Error::Io { source, .. }) => What::Unreadable { path: shown, why: source.to_string() },
        Err(fs::Error::TooLong { limit, .. }) => {
            What::Unreadable { path: shown, why: format!("it has more than {limit} bytes") }
        }
        Err(_) => What::Unreadable { path: shown, why: IRREGULAR.to_owned() },
    }))
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
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(e) => return self.say(What::Unreadable { path: shown(prefix), why: e.to_string() }),
        };
        for entry in entries {
            let Some(left) = self.left.checked_sub(1) else {
                let detail = format!("more than {} files; the rest was not looked at", limits::FOLDER_FILES);
                return self.say(What::Unchecked { detail });
            };
            self.left = left;
            match entry.and_then(|entry| Ok((entry.file_type()?, entry))) {
                Ok((kind, entry)) => self.entry(&entry, kind, prefix, depth),
                Err(e) => return self.say(What::Unreadable { path: shown(prefix), why: e.to_string() }),
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
        if LITTER.contains(&name) || name.starts_with("._") || name.starts_with(".Trash-") {
            self.findings.push(Finding::warn(extra(&path, "")));
        } else if kind.is_dir() && self.ways.contains(path.as_str()) && depth < DEPTH {
            self.folder(&entry.path(), &path, depth + 1);
        } else if kind.is_dir() {
            self.say(extra(&path, "/"));
        } else if !self.belongs(&path) {
            self.say(extra(&path, ""));
        } else if !kind.is_file() && !self.listed(&path) {
            self.say(What::Unreadable { path, why: IRREGULAR.to_owned() });
        }
    }

    fn listed(&self, path: &str) -> bool {
        path.parse::<EntryPath>().is_ok_and(|path| self.bundle.sums.contains(&path))
    }

    fn belongs(&self, path: &str) -> bool {
        self.listed(path)
            || path == SUMS
            || (!path.contains('/') && open::is_signature(path))
            || path.strip_prefix("grants/").is_some_and(|name| GrantName::of_file(name).is_some())
            || path.strip_prefix("licenses/").is_some_and(|name| {
                !name.contains('/') && name.ends_with(".lic") && path.parse::<EntryPath>().is_ok()
            })
    }

    fn say(&mut self, what: What) {
        self.findings.push(Finding::refuse(what));
    }
}

/// A path that was found, as it can be shown; the folder itself is a dot.
fn shown(path: &str) -> String {
    if path.is_empty() { ".".to_owned() } else { printable(path, 600) }
}
