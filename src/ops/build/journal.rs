//! What a build remembers so that it can be killed: one file, mode 0600, in the hidden work folder, gone when the build is.
//!
//! Lines of JSON, appended: first the build's identity with the release key, then what became of each volume. The volumes
//! themselves say how far the unfinished one came, so no position is written. A torn last line is the one that was being written when the
//! power went, and counts for nothing.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Error, Plan};
use crate::bundle::index::Volume;
use crate::bundle::names::{INDEX, SUMS};
use crate::bundle::seal::ReleaseKey;
use crate::digest::{Digest, Hasher};
use crate::limits;
use crate::release::lock::Seal;
use crate::store::writer::Milestone;
use crate::sys::{fs, own};

/// The file that remembers. Named in `docs/format.md`.
pub(crate) const STATE: &str = "build-state";

/// The work folder of one build, held by this process alone.
pub(crate) struct Work {
    folder: PathBuf,
    key: Option<Arc<ReleaseKey>>,
    file: Mutex<Option<File>>,
    known: Mutex<Known>,
}

#[derive(Default, Clone)]
pub(crate) struct Known {
    /// The hash of the blob that the volume's first byte is in, as it was before that byte.
    pub(crate) starts: BTreeMap<usize, Hasher>,
    /// Volumes written whole.
    pub(crate) written: BTreeMap<usize, Volume>,
    /// Volumes known to be on the medium.
    pub(crate) synced: BTreeMap<usize, ()>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    format: u32,
    lock: Digest,
    seal: Seal,
    volume_bytes: u64,
    /// What it stands on; absent for a bundle that holds everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base: Option<Digest>,
    key: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Start { volume: usize, hash: Option<String> },
    Written { number: usize, volume: Volume },
    Synced { number: usize },
    Again { from: usize },
}

impl Work {
    /// Takes up the work folder of `plan` below `out`, or makes one.
    pub(crate) fn open(out: &Path, plan: &Plan) -> Result<Self, Error> {
        let folder = out.join(format!(".{}.partial", plan.folder_name()));
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::File(fs::Error::Io { path, source })
        };
        std::fs::DirBuilder::new().recursive(true).create(out).map_err(io(out))?;
        own::folder(&folder)?;
        own::folder(&folder.join("volumes"))?;
        let path = folder.join(STATE);
        let sums = folder.join(SUMS);
        if !path.exists() && sums.exists() {
            return Self::take_up_complete(folder, plan);
        }
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .mode(fs::PRIVATE)
            .open(&path)
            .map_err(io(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Busy { folder }),
            Err(TryLockError::Error(source)) => return Err(io(&path)(source)),
        }
        let text = fs::read_private(&path, limits::LOCK_BYTES)?;
        let (key, known) = match parse(&text, &path)? {
            Some((identity, known)) => {
                let same = identity.format == 1
                    && identity.lock == plan.lock_digest
                    && identity.seal == plan.lock.seal
                    && identity.volume_bytes == plan.shape.volume_bytes()
                    && identity.base == plan.base();
                if !same {
                    return Err(Error::Unfinished { folder });
                }
                let whole = text.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
                file.set_len(whole as u64).map_err(io(&path))?;
                (identity.key.map(|text| ReleaseKey::from_text(&Zeroizing::new(text))).transpose()?, known)
            }
            None => {
                file.set_len(0).map_err(io(&path))?;
                let key = match plan.lock.seal {
                    Seal::Age => Some(ReleaseKey::generate()?),
                    Seal::None => None,
                };
                let identity = Identity {
                    format: 1,
                    lock: plan.lock_digest,
                    seal: plan.lock.seal,
                    volume_bytes: plan.shape.volume_bytes(),
                    base: plan.base(),
                    key: key.as_ref().map(|key| key.to_text().to_string()),
                };
                append(&mut file, &path, &identity)?;
                file.sync_data().map_err(io(&path))?;
                (key, Known::default())
            }
        };
        Ok(Self { folder, key: key.map(Arc::new), file: Mutex::new(Some(file)), known: Mutex::new(known) })
    }

    /// All was written and only the rename was missing.
    fn take_up_complete(folder: PathBuf, plan: &Plan) -> Result<Self, Error> {
        let index = fs::read_limited(&folder.join(INDEX), limits::INDEX_BYTES)?;
        let index = crate::bundle::Index::parse(&index)?;
        let same = index.lock == plan.lock_digest
            && index.payload.seal == plan.lock.seal
            && index.payload.volume_bytes == plan.shape.volume_bytes()
            && index.base.as_ref().map(|base| base.index) == plan.base()
            && index.parity.as_ref().map(|parity| parity.share) == plan.parity.map(|parity| parity.share());
        if !same {
            return Err(Error::Unfinished { folder });
        }
        Ok(Self { folder, key: None, file: Mutex::new(None), known: Mutex::default() })
    }

    /// Whether only the rename is missing.
    pub(crate) fn complete(&self) -> bool {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn key(&self) -> Option<&Arc<ReleaseKey>> {
        self.key.as_ref()
    }

    pub(crate) fn known(&self) -> Known {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Remembers the hash of the blob that volume `volume` begins inside of.
    pub(crate) fn start(&self, volume: usize, hash: Option<Hasher>) -> Result<(), Error> {
        self.add(&Line::Start { volume, hash: hash.as_ref().map(Hasher::suspend) })?;
        if let Some(hash) = hash {
            self.known.lock().unwrap_or_else(PoisonError::into_inner).starts.insert(volume, hash);
        }
        Ok(())
    }

    /// Remembers what became of a volume.
    pub(crate) fn milestone(&self, milestone: Milestone) -> Result<(), Error> {
        let line = match milestone {
            Milestone::Written(number, volume) => Line::Written { number, volume },
            Milestone::Synced(number) => Line::Synced { number },
        };
        self.add(&line)?;
        self.known.lock().unwrap_or_else(PoisonError::into_inner).take(line);
        Ok(())
    }

    /// Forgets volumes `from` and later: they are begun again, under fresh file keys.
    pub(crate) fn again(&self, from: usize) -> Result<(), Error> {
        let line = Line::Again { from };
        self.add(&line)?;
        // On the medium before any of those files is gone from it: a line that the power took would leave a volume believed in.
        if let Some(file) = self.file.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            let path = self.folder.join(STATE);
            file.sync_data().map_err(|source| Error::File(fs::Error::Io { path, source }))?;
        }
        self.known.lock().unwrap_or_else(PoisonError::into_inner).take(line);
        Ok(())
    }

    fn add(&self, line: &Line) -> Result<(), Error> {
        let path = self.folder.join(STATE);
        match self.file.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            Some(file) => append(file, &path, line),
            None => Err(Error::Journal { path, why: "it is closed".into() }),
        }
    }

    /// Forgets the state and gives the folder its name; returns the digest of `bundle.json`.
    pub(crate) fn publish(&self, folder: &Path) -> Result<Digest, Error> {
        let index = fs::read_limited(&self.folder.join(INDEX), limits::INDEX_BYTES)?;
        let io = |path: PathBuf| move |source| Error::File(fs::Error::Io { path, source });
        let state = self.folder.join(STATE);
        match std::fs::remove_file(&state) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => return Err(io(state)(source)),
            _ => {}
        }
        fs::sync_folder_of(&state)?;
        fs::publish_folder(&self.folder, folder)?;
        Ok(Digest::of(&index))
    }
}

impl Known {
    fn take(&mut self, line: Line) {
        match line {
            Line::Start { volume, hash } => {
                if let Some(hash) = hash.and_then(|text| Hasher::resume(&text)) {
                    self.starts.insert(volume, hash);
                }
            }
            Line::Written { number, volume } => {
                self.written.insert(number, volume);
            }
            Line::Synced { number } => {
                self.synced.insert(number, ());
            }
            Line::Again { from } => {
                self.starts.retain(|number, _| *number <= from);
                self.written.retain(|number, _| *number < from);
                self.synced.retain(|number, ()| *number < from);
            }
        }
    }

    /// How many volumes from the first on are written whole.
    pub(crate) fn whole(&self) -> usize {
        (0..).take_while(|number| self.written.contains_key(number)).count()
    }
}

fn append(file: &mut File, path: &Path, line: &impl Serialize) -> Result<(), Error> {
    let json = |e: serde_json::Error| Error::Journal { path: path.to_owned(), why: e.to_string() };
    let mut text = Zeroizing::new(serde_json::to_vec(line).map_err(json)?);
    text.push(b'\n');
    file.write_all(&text).map_err(|source| Error::File(fs::Error::Io { path: path.to_owned(), source }))
}

/// The identity and what is known, from all whole lines; `None` when there is not even a first one.
fn parse(text: &[u8], path: &Path) -> Result<Option<(Identity, Known)>, Error> {
    let why = |e: serde_json::Error| Error::Journal { path: path.to_owned(), why: e.to_string() };
    let mut lines = text.split_inclusive(|b| *b == b'\n').filter(|line| line.ends_with(b"\n"));
    let Some(first) = lines.next() else { return Ok(None) };
    let identity = serde_json::from_slice(first).map_err(why)?;
    let mut known = Known::default();
    for line in lines {
        known.take(serde_json::from_slice(line).map_err(why)?);
    }
    Ok(Some((identity, known)))
}
