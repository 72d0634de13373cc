//! Completeness: every listed file is there and, but for volumes, is the one listed; nothing else is there.

use std::collections::BTreeSet;
use std::path::Path;

use crate::digest::{Digest, Hasher};
use crate::limits;
use crate::ops::finding::{Finding, What};
use crate::ops::open::{self, Authenticated};
use crate::ops::sign::SUMS;
use crate::path::EntryPath;

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

/// Compares the folders with the signed list. Sizes of volumes are checked; their bytes are not.
pub(super) fn check(bundle: &Authenticated) -> Vec<Finding> {
    let mut findings = Vec::new();
    let volumes: BTreeSet<&EntryPath> = bundle.index.get().volumes.iter().map(|v| &v.name).collect();
    for (path, expected) in bundle.sums.iter() {
        if !volumes.contains(path) {
            findings.extend(check_small(bundle.home(), path, *expected));
        }
    }
    for volume in &bundle.index.get().volumes {
        let found =
            bundle.folders.iter().find_map(|folder| volume.name.under(folder).symlink_metadata().ok());
        let path = volume.name.to_string();
        findings.extend(match found {
            None => Some(Finding::refuse(What::Missing { path })),
            Some(facts) if !facts.is_file() => Some(irregular(path)),
            Some(facts) if facts.len() != volume.bytes => {
                Some(Finding::refuse(What::Size { path, expected: volume.bytes, got: facts.len() }))
            }
            Some(_) => None,
        });
    }
    for folder in &bundle.folders {
        let mut walk = Walk { bundle, left: limits::FOLDER_FILES, findings: vec![] };
        walk.folder(folder, "", 0);
        findings.extend(walk.findings);
    }
    findings
}

fn irregular(path: String) -> Finding {
    Finding::refuse(What::Unreadable { path, why: "it is not an ordinary file".into() })
}

fn check_small(home: &Path, path: &EntryPath, expected: Digest) -> Option<Finding> {
    let file = path.under(home);
    let shown = path.to_string();
    match file.symlink_metadata() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Some(Finding::refuse(What::Missing { path: shown }));
        }
        Ok(facts) if !facts.is_file() => return Some(irregular(shown)),
        _ => {}
    }
    match hash(&file) {
        Ok(got) if got == expected => None,
        Ok(got) => Some(Finding::refuse(What::Changed { path: shown, expected, got })),
        Err(e) => Some(Finding::refuse(What::Unreadable { path: shown, why: e.to_string() })),
    }
}

/// The SHA-256 of a file of any size.
fn hash(path: &Path) -> std::io::Result<Digest> {
    let mut file = std::fs::File::open(path)?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match std::io::Read::read(&mut file, &mut buffer)? {
            0 => return Ok(hasher.finish()),
            read => hasher.update(&buffer[..read]),
        }
    }
}

struct Walk<'a> {
    bundle: &'a Authenticated,
    left: usize,
    findings: Vec<Finding>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, prefix: &str, depth: usize) {
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(e) => {
                self.say(What::Unreadable { path: prefix.to_owned(), why: e.to_string() });
                return;
            }
        };
        for entry in entries {
            let Some(left) = self.left.checked_sub(1) else { return };
            self.left = left;
            let Ok(entry) = entry else { continue };
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
            if LITTER.contains(&name.as_str()) || name.starts_with("._") || name.starts_with(".Trash-") {
                self.findings.push(Finding::warn(What::Extra { path }));
                continue;
            }
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder && depth < 16 && self.leads_somewhere(&path) {
                self.folder(&entry.path(), &path, depth + 1);
            } else if is_folder || !self.belongs(&path) {
                self.say(What::Extra { path: if is_folder { format!("{path}/") } else { path } });
            }
        }
    }

    /// Whether a listed file, a grant or a licence may lie below the folder `path`.
    fn leads_somewhere(&self, path: &str) -> bool {
        let below = format!("{path}/");
        matches!(path, "grants" | "licenses")
            || self.bundle.sums.iter().any(|(listed, _)| listed.as_str().starts_with(&below))
    }

    fn belongs(&self, path: &str) -> bool {
        let listed = path.parse::<EntryPath>().is_ok_and(|path| self.bundle.sums.contains(&path));
        let of = |folder: &str, suffix: &str| {
            path.strip_prefix(folder).is_some_and(|name| !name.contains('/') && name.ends_with(suffix))
        };
        listed
            || path == SUMS
            || (!path.contains('/') && open::is_signature(path))
            || of("grants/", ".age")
            || of("licenses/", ".lic")
    }

    fn say(&mut self, what: What) {
        self.findings.push(Finding::refuse(what));
    }
}
