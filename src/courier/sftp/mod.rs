//! A folder behind SFTP (draft-ietf-secsh-filexfer-02, as OpenSSH speaks it).
//!
//! Many requests are under way at the same time, so that a long way costs nothing but its length. A link that drops is a fault of its own
//! kind, [`Error::Link`]: the next request connects anew, and whoever copies goes on where the other side is.

use std::collections::{HashSet, VecDeque};
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use russh::keys::{PrivateKey, decode_secret_key};
use russh_sftp::client::error::Error as Fault;
use russh_sftp::protocol::{FileAttributes, OpenFlags, Packet, StatusCode};
use tokio::runtime::Runtime;

use super::{Error, Held, Place, Reading, Writing};
use crate::limits;
use crate::path::EntryPath;
use crate::plan::copy::{Medium, unfinished};
use crate::sys::fs;

mod address;
mod file;
mod known;
mod link;

pub use address::{Address, AddressError};
use file::{Back, Part};
use link::Link;

/// Files at the same time.
const FILES: usize = 4;
/// Folders within folders that are looked at.
const DEPTH: usize = limits::PATH_BYTES / 2;

/// Who comes, and how the other side is known.
#[derive(Clone, Default)]
pub struct Options {
    /// Keys that are offered, and what they are called.
    pub keys: Vec<(Arc<PrivateKey>, String)>,
    /// The socket of an agent whose keys are offered after those.
    pub agent: Option<PathBuf>,
    /// Files that say by which keys machines are known; the first is named to people.
    pub known_hosts: Vec<PathBuf>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys: Vec<&String> = self.keys.iter().map(|(_, name)| name).collect();
        f.debug_struct("Options").field("keys", &keys).field("agent", &self.agent).finish_non_exhaustive()
    }
}

/// Reads a private key; `passphrase` is asked when it is locked, and `None` of it leaves the key locked.
///
/// # Errors
/// [`Error::Key`] for what is no key, or stays locked.
pub fn private_key(path: &Path, passphrase: &dyn Fn() -> Option<String>) -> Result<Arc<PrivateKey>, Error> {
    let bad = |why: String| Error::Key { path: path.to_owned(), why };
    let bytes = fs::read_private(path, limits::KEY_BYTES).map_err(|error| bad(error.to_string()))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| bad("it is no text".to_owned()))?;
    match decode_secret_key(text, None) {
        Ok(key) => Ok(Arc::new(key)),
        Err(russh::keys::Error::KeyIsEncrypted) => {
            let secret =
                passphrase().ok_or_else(|| bad("it has a passphrase, and none was given".to_owned()))?;
            let key = decode_secret_key(text, Some(&secret));
            key.map(Arc::new).map_err(|_| bad("the passphrase does not open it".to_owned()))
        }
        Err(error) => Err(bad(error.to_string())),
    }
}

/// A folder on another machine.
pub struct Remote {
    name: String,
    address: Address,
    options: Options,
    runtime: Runtime,
    link: tokio::sync::Mutex<Option<Arc<Link>>>,
    /// Folders that are known to be there.
    made: Mutex<HashSet<String>>,
    /// Whether programs may be run there, as far as is known.
    runs: AtomicBool,
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Remote {
    /// The folder; nothing is asked of the other machine yet.
    pub fn new(address: &Address, options: &Options) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|source| Error::Io { path: PathBuf::from(address.to_string()), source })?;
        Ok(Self {
            name: address.to_string(),
            address: address.clone(),
            options: options.clone(),
            runtime,
            link: tokio::sync::Mutex::default(),
            made: Mutex::default(),
            runs: AtomicBool::new(true),
        })
    }

    fn path(&self, path: &EntryPath) -> String {
        format!("{}/{path}", self.address.path)
    }

    fn part(&self, path: &EntryPath) -> String {
        let whole = self.path(path);
        match whole.rsplit_once('/') {
            Some((folder, name)) => format!("{folder}/{}", unfinished(name)),
            None => unfinished(&whole),
        }
    }

    /// How a path there is named in messages.
    fn shown(&self, path: &str) -> PathBuf {
        match (path.strip_prefix(&self.address.path), self.name.strip_suffix(&self.address.path)) {
            (Some(inside), _) => PathBuf::from(format!("{}{inside}", self.name)),
            // Above the folder.
            (None, machine) => PathBuf::from(format!("{}{path}", machine.unwrap_or(""))),
        }
    }

    async fn link(&self) -> Result<Arc<Link>, Error> {
        let mut held = self.link.lock().await;
        if let Some(link) = held.as_ref().filter(|link| !link.is_closed()) {
            return Ok(Arc::clone(link));
        }
        let link = Arc::new(Link::open(&self.address, &self.options).await?);
        *held = Some(Arc::clone(&link));
        Ok(link)
    }

    /// Does `work` on the link; `path` is for messages.
    fn run<T, F>(&self, path: &str, work: impl FnOnce(Arc<Link>) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        self.runtime.block_on(async {
            let link = self.link().await?;
            match work(Arc::clone(&link)).await {
                Ok(done) => Ok(done),
                Err(fault) => Err(self.fault(path, fault, &link).await),
            }
        })
    }

    /// What a fault means; a link that is of no more use is let go.
    async fn fault(&self, path: &str, fault: Fault, link: &Arc<Link>) -> Error {
        let status = match fault {
            Fault::Status(status) => status,
            other => {
                let mut held = self.link.lock().await;
                if held.as_ref().is_some_and(|held| Arc::ptr_eq(held, link)) {
                    *held = None;
                }
                return Error::Link { place: self.name.clone(), why: cut(&other) };
            }
        };
        let kind = match status.status_code {
            StatusCode::NoSuchFile => io::ErrorKind::NotFound,
            StatusCode::PermissionDenied => io::ErrorKind::PermissionDenied,
            StatusCode::OpUnsupported => io::ErrorKind::Unsupported,
            StatusCode::ConnectionLost | StatusCode::NoConnection => {
                return Error::Link { place: self.name.clone(), why: "the connection broke".to_owned() };
            }
            _ => io::ErrorKind::Other,
        };
        let said = crate::text::printable(&status.error_message, 200);
        Error::Io { path: self.shown(path), source: io::Error::new(kind, said) }
    }

    /// The length of an ordinary file; `None` when nothing is there.
    fn length(&self, path: &str) -> Result<Option<u64>, Error> {
        let Some(attrs) = self.attrs(path)? else { return Ok(None) };
        match attrs.file_type().is_file() {
            true => Ok(Some(attrs.size.unwrap_or(0))),
            false => Err(Error::Irregular { path: self.shown(path) }),
        }
    }

    fn attrs(&self, path: &str) -> Result<Option<FileAttributes>, Error> {
        let name = path.to_owned();
        match self.run(path, |link| async move { link.sftp.lstat(name).await }) {
            Ok(attrs) => Ok(Some(attrs.attrs)),
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes the folder `path`, which is there afterwards.
    fn make(&self, path: &str) -> Result<(), Error> {
        let made = || self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made().contains(path) {
            return Ok(());
        }
        match self.attrs(path)? {
            Some(attrs) if attrs.file_type().is_dir() => {}
            Some(_) => return Err(Error::Irregular { path: self.shown(path) }),
            None => {
                let name = path.to_owned();
                let mode = FileAttributes { permissions: Some(0o755), ..FileAttributes::default() };
                let outcome = self.run(path, |link| async move { link.sftp.mkdir(name, mode).await });
                // Another file's folder is made at the same time.
                if outcome.is_err() && self.attrs(path)?.is_none() {
                    outcome?;
                }
            }
        }
        made().insert(path.to_owned());
        Ok(())
    }

    fn open(&self, path: &str, flags: OpenFlags, mode: Option<u32>) -> Result<(Arc<Link>, String), Error> {
        let name = path.to_owned();
        let attrs = FileAttributes { permissions: mode, ..FileAttributes::default() };
        self.run(path, |link| async move {
            let handle = link.sftp.open(name, flags, attrs).await?.handle;
            Ok((link, handle))
        })
    }

    /// Renames, over what may be there where the server can.
    fn rename(&self, from: &str, to: &str) -> Result<(), Error> {
        let (old, new) = (from.to_owned(), to.to_owned());
        self.run(to, |link| async move {
            if link.extensions.contains_key(POSIX_RENAME) {
                let data = [old.as_bytes(), new.as_bytes()].map(|text| {
                    let length = u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes();
                    [&length[..], text].concat()
                });
                return match link.sftp.extended(POSIX_RENAME, data.concat()).await? {
                    Packet::Status(status) if status.status_code == StatusCode::Ok => Ok(()),
                    Packet::Status(status) => Err(status.into()),
                    _ => Err(Fault::UnexpectedPacket),
                };
            }
            match link.sftp.remove(new.clone()).await {
                Ok(_) => {}
                Err(Fault::Status(status)) if status.status_code == StatusCode::NoSuchFile => {}
                Err(error) => return Err(error),
            }
            link.sftp.rename(old, new).await.map(|_| ())
        })
    }

    fn walk(
        &self,
        folder: &str,
        (prefix, depth): (&str, usize),
        found: &mut Vec<String>,
    ) -> Result<(), Error> {
        let name = folder.to_owned();
        let listed = self.run(folder, |link| async move {
            let handle = link.sftp.opendir(name).await?.handle;
            let mut all = Vec::new();
            loop {
                match link.sftp.readdir(handle.clone()).await {
                    Ok(names) => all.extend(names.files),
                    Err(Fault::Status(status)) if status.status_code == StatusCode::Eof => break,
                    Err(error) => return Err(error),
                }
                if all.len() > limits::FOLDER_FILES {
                    break;
                }
            }
            let _ = link.sftp.close(handle).await;
            Ok(all)
        });
        let listed = match listed {
            Err(Error::Io { source, .. }) if depth == 0 && source.kind() == io::ErrorKind::NotFound => {
                return Ok(());
            }
            listed => listed?,
        };
        for file in listed.into_iter().filter(|file| file.filename != "." && file.filename != "..") {
            let path = format!("{prefix}{}", file.filename);
            if file.attrs.file_type().is_dir() && depth < DEPTH && !file.filename.contains('/') {
                let (path, before) = (format!("{path}/"), found.len());
                self.walk(&format!("{folder}/{}", file.filename), (&path, depth + 1), found)?;
                if found.len() == before {
                    found.push(path);
                }
            } else {
                found.push(path);
            }
            if found.len() > limits::FOLDER_FILES {
                break;
            }
        }
        Ok(())
    }
}

/// OpenSSH, `PROTOCOL`, section 4.3.
const POSIX_RENAME: &str = "posix-rename@openssh.com";
/// OpenSSH, `PROTOCOL`, section 4.6.
const FSYNC: &str = "fsync@openssh.com";
/// OpenSSH, `PROTOCOL`, section 4.4.
const STATVFS: &str = "statvfs@openssh.com";

/// Why a link is of no more use, in few words.
fn cut(fault: &Fault) -> String {
    match fault {
        Fault::Timeout => "nothing moved for two minutes".to_owned(),
        Fault::IO(_) | Fault::UnexpectedBehavior(_) => "the connection broke".to_owned(),
        other => other.to_string(),
    }
}

impl Place for Remote {
    fn name(&self) -> &str {
        &self.name
    }

    fn parallel(&self) -> usize {
        FILES
    }

    fn medium(&self) -> Result<Medium, Error> {
        let path = self.address.path.clone();
        let mut nearest = path.clone();
        if self.attrs(&path)?.is_none() {
            nearest = match path.rsplit_once('/') {
                Some(("", _)) => "/".to_owned(),
                Some((above, _)) => above.to_owned(),
                None => ".".to_owned(),
            };
            if self.attrs(&nearest)?.is_none() {
                return Err(Error::NoFolder { folder: self.shown(&nearest) });
            }
        }
        let told = self.run(&path, |link| async move {
            match link.extensions.contains_key(STATVFS) {
                true => Ok(link.sftp.statvfs(nearest).await.ok()),
                false => Ok(None),
            }
        })?;
        let told = told.filter(|facts| facts.blocks > 0);
        Ok(Medium {
            name: self.name.clone(),
            kind: "SFTP".to_owned(),
            free: told.as_ref().map(|facts| facts.blocks_avail.saturating_mul(facts.fragment_size)),
            unit: told.as_ref().map_or(4096, |facts| facts.block_size.clamp(512, 32 << 20)),
            largest: None,
            longest: told.and_then(|facts| usize::try_from(facts.name_max).ok()).filter(|most| *most > 0),
            held: std::collections::BTreeMap::new(),
        })
    }

    fn list(&self) -> Result<Vec<String>, Error> {
        let mut found = Vec::new();
        self.walk(&self.address.path, ("", 0), &mut found)?;
        found.sort();
        Ok(found)
    }

    fn held(&self, path: &EntryPath) -> Result<Held, Error> {
        if let Some(bytes) = self.length(&self.path(path))? {
            return Ok(Held::Named(bytes));
        }
        Ok(self.length(&self.part(path))?.map_or(Held::Nothing, Held::Begun))
    }

    fn small(&self, path: &EntryPath, most: u64) -> Result<Option<Vec<u8>>, Error> {
        let Held::Named(bytes) = self.held(path)? else { return Ok(None) };
        if bytes > most {
            return Err(Error::TooLong { path: self.shown(&self.path(path)), limit: most });
        }
        let mut whole = Vec::new();
        self.reader(path, Held::Named(bytes))?.read(0, bytes, &mut |piece| whole.extend_from_slice(piece))?;
        Ok(Some(whole))
    }

    fn begin(&self, path: &EntryPath, program: bool) -> Result<Box<dyn Writing + '_>, Error> {
        self.make(&self.address.path)?;
        for (at, _) in path.as_str().match_indices('/') {
            self.make(&format!("{}/{}", self.address.path, &path.as_str()[..at]))?;
        }
        let (whole, part) = (self.path(path), self.part(path));
        if self.length(&whole)?.is_some() {
            self.rename(&whole, &part)?;
        }
        let length = self.length(&part)?.unwrap_or(0);
        let mode = if program { 0o755 } else { 0o644 };
        let (link, handle) =
            self.open(&part, OpenFlags::READ | OpenFlags::WRITE | OpenFlags::CREATE, Some(mode))?;
        Ok(Box::new(Part { remote: self, link, handle, path: part, length, window: VecDeque::new() }))
    }

    fn reader(&self, path: &EntryPath, held: Held) -> Result<Box<dyn Reading + '_>, Error> {
        let path = match held {
            Held::Named(_) => self.path(path),
            Held::Begun(_) | Held::Nothing => self.part(path),
        };
        let (link, handle) = self.open(&path, OpenFlags::READ, None)?;
        Ok(Box::new(Back { remote: self, link, handle, path, read: AtomicBool::new(false) }))
    }

    fn publish(&self, path: &EntryPath) -> Result<(), Error> {
        // The answer to a rename that was done can be lost with its link.
        let (part, whole) = (self.part(path), self.path(path));
        if self.length(&part)?.is_none() && self.length(&whole)?.is_some() {
            return Ok(());
        }
        self.rename(&part, &whole)
    }

    fn discard(&self, path: &EntryPath) -> Result<(), Error> {
        let part = self.part(path);
        let name = part.clone();
        match self.run(&part, |link| async move { link.sftp.remove(name).await }) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
            outcome => outcome.map(|_| ()),
        }
    }
}
