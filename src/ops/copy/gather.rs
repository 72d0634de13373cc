//! What travels: every listed file, the signatures, and of grants and licences all, or those of one customer.
//!
//! Each file is known by the hashes its bytes must have, so that the source is judged while it is read and the copy when it is read back.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use crate::bundle::Index;
use crate::bundle::names::{self, INDEX, SUMS};
use crate::bundle::sums::Sums;
use crate::digest::Digest;
use crate::limits;
use crate::ops::finding::{Finding, What};
use crate::ops::grant::GrantName;
use crate::ops::inspect::names;
use crate::ops::open;
use crate::ops::verify::folder;
use crate::path::EntryPath;
use crate::plan::copy::{self as plan, Spread};
use crate::release::lock::Seal;
use crate::store::volumes::open_volume;
use crate::sys::{delivered, fs};

/// A stretch of a file and the hash of its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) sha256: Digest,
}

/// One file that travels.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) path: EntryPath,
    pub(super) bytes: u64,
    pub(super) spread: Spread,
    /// Of all its bytes.
    pub(super) sha256: Digest,
    /// The stretches in which it is judged, in order; one for a file without chunks.
    pub(super) pieces: Vec<Piece>,
    /// Whether it can be run.
    pub(super) program: bool,
    /// Small bytes that are known; others are read when it is copied.
    pub(super) known: Option<Vec<u8>>,
    /// Whether it authenticates the others, and so goes last.
    pub(super) seals: bool,
}

/// The bundle that is copied, in whichever folders it is.
pub(super) struct Origin<'a> {
    pub(super) folders: &'a [PathBuf],
    pub(super) sums: &'a Sums,
    pub(super) index: &'a Index,
}

impl Origin<'_> {
    pub(super) fn home(&self) -> &Path {
        self.folders.first().map_or(Path::new("."), PathBuf::as_path)
    }

    /// Opens a file that travels.
    pub(super) fn open(&self, item: &Item) -> Result<File, What> {
        match item.spread {
            Spread::One => open_volume(self.folders, &item.path)
                .map(|(file, _)| file)
                .map_err(|error| folder::unopened(item.path.as_str(), &error).what),
            Spread::Each => delivered::open(self.home(), &item.path)
                .map_err(|error| folder::unread(item.path.to_string(), &error)),
        }
    }
}

/// What travels, in the order it is written, and what is wrong with it as far as that can be seen without reading it.
pub(super) fn gather(origin: &Origin<'_>, customer: Option<&GrantName>) -> (Vec<Item>, Vec<Finding>) {
    let most = origin.index.most();
    let mut gathering = Gathering { origin, most: &most, items: Vec::new(), findings: Vec::new() };
    gathering.listed();
    gathering.personal(customer);
    gathering.volumes();
    gathering.seals();
    gathering.left_behind();
    (gathering.items, gathering.findings)
}

struct Gathering<'a> {
    origin: &'a Origin<'a>,
    /// How long a listed file may be.
    most: &'a dyn Fn(&EntryPath) -> u64,
    items: Vec<Item>,
    findings: Vec<Finding>,
}

impl Gathering<'_> {
    fn refuse(&mut self, what: What) {
        self.findings.push(Finding::refuse(what));
    }

    /// Every listed file but the volumes, those of parity among them, and the index.
    fn listed(&mut self) {
        let volumes: HashSet<&EntryPath> =
            self.origin.index.chunked().into_iter().map(|file| file.name).collect();
        for (path, sha256) in self.origin.sums.iter() {
            if !volumes.contains(path) && path.as_str() != INDEX {
                self.plain(path, *sha256, false);
            }
        }
    }

    fn plain(&mut self, path: &EntryPath, sha256: Digest, seals: bool) {
        let opened = delivered::open(self.origin.home(), path).and_then(|file| {
            file.metadata().map_err(|source| fs::Error::Io { path: path.under(self.origin.home()), source })
        });
        let most = (self.most)(path);
        match opened {
            Ok(facts) if facts.len() > most => {
                let why = format!("it has more than {most} bytes");
                self.refuse(What::Unreadable { path: path.to_string(), why });
            }
            Ok(facts) => self.items.push(Item {
                path: path.clone(),
                bytes: facts.len(),
                spread: Spread::Each,
                sha256,
                pieces: vec![Piece { from: 0, to: facts.len(), sha256 }],
                program: self.origin.index.runs(path),
                known: None,
                seals,
            }),
            Err(error) => self.refuse(folder::unread(path.to_string(), &error)),
        }
    }

    fn volumes(&mut self) {
        for volume in self.origin.index.chunked() {
            let length = open_volume(self.origin.folders, volume.name)
                .map_err(|error| folder::unopened(volume.name.as_str(), &error).what)
                .and_then(|(file, _)| {
                    let unread = |e: std::io::Error| What::Unreadable {
                        path: volume.name.to_string(),
                        why: e.to_string(),
                    };
                    file.metadata().map(|facts| facts.len()).map_err(unread)
                });
            match length {
                Ok(got) if got != volume.bytes => {
                    self.refuse(What::Size { path: volume.name.to_string(), expected: volume.bytes, got });
                }
                Ok(_) => {}
                Err(what) => self.refuse(what),
            }
            let pieces = volume.chunks.iter().zip(0..).map(|(sha256, chunk)| {
                let (from, to) = volume.range(chunk);
                Piece { from, to, sha256: *sha256 }
            });
            self.items.push(Item {
                path: volume.name.clone(),
                bytes: volume.bytes,
                spread: Spread::One,
                sha256: volume.sha256,
                pieces: pieces.collect(),
                program: false,
                known: None,
                seals: false,
            });
        }
    }

    /// Grants and licences. They are signed by nobody, so what is read now is what is copied.
    fn personal(&mut self, customer: Option<&GrantName>) {
        let home = self.origin.home();
        for (folder, end) in [(names::GRANTS, "age"), (names::LICENSES, "lic")] {
            match std::fs::read_dir(home.join(folder)) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    let error = fs::Error::Io { path: home.join(folder), source };
                    self.refuse(folder::unread(folder.to_owned(), &error));
                }
                _ => {}
            }
            for name in names(&home.join(folder), end) {
                if customer.is_none_or(|customer| customer.to_string() == name) {
                    self.small(&format!("{folder}/{name}.{end}"), limits::KEY_BYTES, false);
                }
            }
        }
        let Some(customer) = customer else { return };
        let has = |items: &[Item], path: &str| items.iter().any(|item| item.path.as_str() == path);
        let grant = names::grant(customer);
        let license = names::license(customer);
        if self.origin.index.payload.seal == Seal::Age && !has(&self.items, &grant) {
            self.refuse(What::Missing { path: grant });
        }
        let needed = self.origin.index.license.as_ref().is_some_and(|license| license.required);
        if needed && !has(&self.items, &license) {
            let detail = format!("{license} is not there, and an installation needs it; it can follow");
            self.findings.push(Finding::warn(What::Unchecked { detail }));
        }
    }

    fn small(&mut self, path: &str, most: u64, seals: bool) {
        // A name that no file of a bundle has is said where what is left behind is said.
        let Ok(name) = path.parse::<EntryPath>() else { return };
        match delivered::read(self.origin.home(), &name, most) {
            Ok(bytes) => self.known(name, bytes, seals),
            Err(error) => self.refuse(folder::unread(path.to_owned(), &error)),
        }
    }

    fn known(&mut self, path: EntryPath, bytes: Vec<u8>, seals: bool) {
        let (sha256, length) = (Digest::of(&bytes), bytes.len() as u64);
        self.items.push(Item {
            path,
            bytes: length,
            spread: Spread::Each,
            sha256,
            pieces: vec![Piece { from: 0, to: length, sha256 }],
            program: false,
            known: Some(bytes),
            seals,
        });
    }

    /// What authenticates everything: the index, the signatures, the list, in this order.
    fn seals(&mut self) {
        let index = self.origin.sums.iter().find(|(path, _)| path.as_str() == INDEX);
        if let Some((path, sha256)) = index {
            self.plain(path, *sha256, true);
        }
        let home = self.origin.home();
        let mut signatures: Vec<String> = std::fs::read_dir(home)
            .into_iter()
            .flatten()
            .take(limits::FOLDER_FILES)
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| open::is_signature(name))
            .collect();
        signatures.sort();
        for name in signatures {
            self.small(&name, limits::KEY_BYTES, true);
        }
        if let Ok(path) = SUMS.parse() {
            // The text that was read: a list has one form.
            self.known(path, self.origin.sums.render().into_bytes(), true);
        }
    }

    /// Files of the source that are no part of the bundle stay behind, and that is said.
    fn left_behind(&mut self) {
        for (folder, at) in self.origin.folders.iter().zip(0..) {
            let mut walk = vec![(folder.clone(), String::new())];
            let mut left = limits::FOLDER_FILES;
            while let Some((path, prefix)) = walk.pop() {
                for entry in std::fs::read_dir(&path).into_iter().flatten().flatten() {
                    let name = entry.file_name().to_string_lossy().into_owned();
                    let shown = format!("{prefix}{name}");
                    if folder::is_litter(&name) || left == 0 {
                        continue;
                    }
                    left -= 1;
                    if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                        walk.push((entry.path(), format!("{shown}/")));
                    } else if !folder::belongs(self.origin.sums, &shown) {
                        let shown = crate::text::printable(&shown, 600);
                        let path = if at == 0 { shown } else { format!("{}/{shown}", folder.display()) };
                        self.findings.push(Finding::warn(What::Extra { path }));
                    }
                }
            }
        }
    }
}

/// As the plan sees it.
pub(super) fn file(item: &Item) -> plan::File {
    plan::File { path: item.path.clone(), bytes: item.bytes, spread: item.spread }
}
