//! The second step of locking a model: its files' bytes, each once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};

use super::place::States;
use super::{Chosen, ModelError, Survey};
use crate::digest::Hasher;
use crate::limits;
use crate::path::EntryPath;
use crate::progress::{Event, ItemState, Observer};
use crate::store::{self, Pieces};
use crate::weights::File;
use crate::weights::image::ModelImage;
use crate::weights::safetensors::{Check, Tensors};
use crate::weights::shards::{self, LIST_ENDING, OtherTotal, ShardError};

/// A model, pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Its name.
    pub name: String,
    /// Where it is read, as declared.
    pub from: String,
    /// The file that the operator must accept.
    pub notice: Option<EntryPath>,
    /// Its files, in the order of their layers.
    pub files: Vec<File>,
    /// The image they make.
    pub image: ModelImage,
    /// Lists of shards whose total is not the sum of the shards.
    pub totals: Vec<OtherTotal>,
}

/// What one file came to.
#[derive(Default)]
struct Outcome {
    file: Option<File>,
    tensors: Option<Tensors>,
    list: Option<Vec<u8>>,
}

impl Survey {
    /// Reads what is not known; tells `observer` of each byte and file. Every fault is found.
    ///
    /// # Errors
    /// All faults.
    pub fn read(self, observer: &dyn Observer) -> Result<Resolved, Vec<ModelError>> {
        // Where nothing is new, the shards were held together when they were locked.
        let judge = self.files.iter().any(|file| file.known.is_none() && (is_tensors(file) || is_list(file)));
        let outcomes = self.read_all(judge, observer)?;
        let mut files = Vec::with_capacity(outcomes.len());
        let (mut tensors, mut lists) = (HashMap::new(), Vec::new());
        for (chosen, outcome) in self.files.iter().zip(outcomes) {
            if let Some(file) = outcome.file {
                files.push((file, chosen.layer.size()));
            }
            if let Some(found) = outcome.tensors {
                tensors.insert(chosen.path.clone(), found);
            }
            lists.extend(outcome.list.map(|text| (chosen.path.clone(), text)));
        }
        let mut totals = Vec::new();
        if judge {
            let paths: Vec<EntryPath> = self.files.iter().map(|file| file.path.clone()).collect();
            totals = shards::check(&lists, &paths, &tensors).map_err(|error| vec![error.into()])?;
        }
        let image = ModelImage::new(&self.name, &self.version, &files);
        Ok(Resolved {
            name: self.name,
            from: self.origin,
            notice: self.notice,
            files: files.into_iter().map(|(file, _)| file).collect(),
            image,
            totals,
        })
    }

    /// What each file comes to, in order.
    fn read_all(&self, judge: bool, observer: &dyn Observer) -> Result<Vec<Outcome>, Vec<ModelError>> {
        let cores = crate::sys::cores();
        let workers = if self.place.is_fixed() { limits::LOCK_PARALLEL } else { cores };
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Vec::with_capacity(self.files.len()));
        std::thread::scope(|scope| {
            for _ in 0..workers.min(self.files.len()) {
                scope.spawn(|| {
                    while let Some((place, chosen)) = {
                        let place = next.fetch_add(1, Ordering::Relaxed);
                        self.files.get(place).map(|chosen| (place, chosen))
                    } {
                        let name = chosen.path.as_str();
                        let item = |state| Event::Item { name, digest: None, bytes: chosen.size, state };
                        observer.event(item(ItemState::Started));
                        let outcome = self.read_one(chosen, judge, observer);
                        observer.event(item(match &outcome {
                            Err(_) => ItemState::Failed,
                            Ok(_) if chosen.known.is_some() => ItemState::Present,
                            Ok(_) => ItemState::Done,
                        }));
                        done.lock().unwrap_or_else(PoisonError::into_inner).push((place, outcome));
                    }
                });
            }
        });
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_by_key(|(place, _)| *place);
        let (mut outcomes, mut faults) = (Vec::with_capacity(done.len()), Vec::new());
        for (_, outcome) in done {
            match outcome {
                Ok(outcome) => outcomes.push(outcome),
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() { Ok(outcomes) } else { Err(faults) }
    }

    fn read_one(&self, chosen: &Chosen, judge: bool, observer: &dyn Observer) -> Result<Outcome, ModelError> {
        let Chosen { path, size, states, known, .. } = chosen;
        if let Some(known) = known {
            let mut outcome = Outcome { file: Some(known.clone()), ..Outcome::default() };
            if judge && is_tensors(chosen) {
                outcome.tensors = Some(self.header_alone(chosen)?);
            }
            if judge && is_list(chosen) {
                hold_list(chosen)?;
                let mut text = Vec::new();
                let mut pieces = self.place.read(path, *size, 0, *states)?;
                while let Some(piece) = pieces.next()? {
                    text.extend_from_slice(&piece);
                }
                outcome.list = Some(text);
            }
            return Ok(outcome);
        }
        if is_list(chosen) {
            hold_list(chosen)?;
        }
        let mut pass = Pass::new(chosen);
        let mut pieces = self.place.read(path, *size, 0, *states)?;
        while let Some(piece) = pieces.next()? {
            pass.take(&piece).map_err(|source| ModelError::Header { path: path.to_string(), source })?;
            observer.event(Event::Advance { bytes: piece.len() as u64 });
        }
        pass.finish(&format!("{}/{path}", self.origin))
    }

    /// What a file holds that need not be hashed again: its first bytes say so.
    fn header_alone(&self, chosen: &Chosen) -> Result<Tensors, ModelError> {
        let Chosen { path, size, states, .. } = chosen;
        let fault = |source| ModelError::Header { path: path.to_string(), source };
        let mut check = Check::new();
        let mut pieces = self.place.read(path, *size, 0, *states)?;
        while let Some(piece) = pieces.next()? {
            check.feed(&piece).map_err(fault)?;
            if check.seen() {
                break;
            }
        }
        check.finish(*size).map_err(fault)
    }
}

fn is_tensors(chosen: &Chosen) -> bool {
    chosen.path.as_str().ends_with(".safetensors")
}

fn is_list(chosen: &Chosen) -> bool {
    chosen.path.as_str().ends_with(LIST_ENDING)
}

/// Lists of shards are held in memory.
fn hold_list(chosen: &Chosen) -> Result<(), ModelError> {
    match chosen.size {
        0..=limits::SHARD_LIST_BYTES => Ok(()),
        size => {
            let why = format!("it has {size} bytes; at most {} are read", limits::SHARD_LIST_BYTES);
            Err(ShardError::List { list: chosen.path.to_string(), why }.into())
        }
    }
}

/// One file passing: everything that is learned of it, in one go.
struct Pass<'a> {
    chosen: &'a Chosen,
    file: Hasher,
    layer: Hasher,
    git: Option<(Context, [u8; 20])>,
    check: Option<Check>,
    list: Option<Vec<u8>>,
}

impl<'a> Pass<'a> {
    fn new(chosen: &'a Chosen) -> Self {
        let mut layer = Hasher::new();
        layer.update(&chosen.layer.head);
        let git = match chosen.states {
            States::Git(object) => {
                // git hashes "blob SIZE\0" before the bytes (gitformat, "Object storage format").
                let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
                context.update(format!("blob {}\0", chosen.size).as_bytes());
                Some((context, object))
            }
            States::Sha256(_) | States::Nothing => None,
        };
        Self {
            chosen,
            file: Hasher::new(),
            layer,
            git,
            check: is_tensors(chosen).then(Check::new),
            list: is_list(chosen).then(Vec::new),
        }
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), crate::weights::safetensors::HeaderError> {
        self.file.update(piece);
        self.layer.update(piece);
        if let Some((context, _)) = &mut self.git {
            context.update(piece);
        }
        if let Some(list) = &mut self.list {
            list.extend_from_slice(piece);
        }
        self.check.as_mut().map_or(Ok(()), |check| check.feed(piece))
    }

    fn finish(mut self, what: &str) -> Result<Outcome, ModelError> {
        let Chosen { path, size, states, layer, .. } = self.chosen;
        let got = self.file.finish_blob();
        if got.size != *size {
            let why = format!("it has {} bytes where {size} are expected", got.size);
            return Err(store::Error::Malformed { path: what.into(), why }.into());
        }
        let wrong = |expected, got| Err(ModelError::Wrong { what: what.to_owned(), expected, got });
        if let States::Sha256(stated) = states
            && *stated != got.digest
        {
            return wrong(stated.to_string(), got.digest.to_string());
        }
        if let Some((context, stated)) = self.git {
            let object = context.finish();
            if object.as_ref() != stated {
                let shown = |object: &[u8]| format!("git object {}", hex::encode(object));
                return wrong(shown(&stated), shown(object.as_ref()));
            }
        }
        self.layer.update(&vec![0; crate::checked::small(layer.tail)]);
        let tensors = self.check.map(|check| check.finish(*size)).transpose();
        let tensors = tensors.map_err(|source| ModelError::Header { path: path.to_string(), source })?;
        let file = File { path: path.clone(), size: *size, sha256: got.digest, layer: self.layer.finish() };
        Ok(Outcome { file: Some(file), tensors, list: self.list })
    }
}
