//! Large things written beside their place: a folder or a file under a temporary name that the next run takes over.
//!
//! `NAME` is written as `.NAME.part` (a file) or `.NAME.parts` (a folder), locked while a program writes it, and renamed when it is whole and synced. What a killed program
//! left is found by the next one under the same name, so nothing gathers and nothing half-written is ever called `NAME`.

use std::collections::HashSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::fs::{Error, PUBLIC, publish_folder, publish_new, sync_folder_of};
use super::own;
use crate::digest::{Blob, Hasher};
use crate::path::EntryPath;

/// Bytes read at once when what is there is hashed.
const PIECE: usize = 256 << 10;

fn io_at(path: &Path) -> impl Fn(io::Error) -> Error + '_ {
    move |source| Error::Io { path: path.to_owned(), source }
}

/// The temporary name of `target`, which must not be there.
fn beside(target: &Path, end: &str) -> Result<PathBuf, Error> {
    let name = target.file_name().ok_or_else(|| Error::NoName { path: target.to_owned() })?;
    match std::fs::symlink_metadata(target) {
        Ok(_) => return Err(Error::Exists { path: target.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(io_at(target)(error)),
    }
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(end);
    Ok(target.with_file_name(hidden))
}

fn lock(file: &File, temporary: &Path) -> Result<(), Error> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(Error::Busy { path: temporary.to_owned() }),
        Err(TryLockError::Error(source)) => Err(io_at(temporary)(source)),
    }
}

/// A folder being written.
#[derive(Debug)]
pub struct Folder {
    temporary: PathBuf,
    target: PathBuf,
    handle: File,
    names: Mutex<HashSet<EntryPath>>,
    /// How many files were begun.
    begun: AtomicUsize,
}

/// Where the files of a folder lie until they are whole: no file that is delivered can have a name that begins with a dot.
const PARTS: &str = ".part";

impl Folder {
    /// Begins the folder `target`, or goes on with what a killed program left of it.
    pub fn begin(target: &Path) -> Result<Self, Error> {
        let temporary = beside(target, ".parts")?;
        own::folder(&temporary)?;
        let handle = File::open(&temporary).map_err(io_at(&temporary))?;
        lock(&handle, &temporary)?;
        let (names, begun) = (Mutex::default(), AtomicUsize::new(0));
        Ok(Self { temporary, target: target.to_owned(), handle, names, begun })
    }

    /// Bytes of files that are there already.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let mut total = 0;
        let _ = walk(&self.temporary, &mut |_, facts| {
            total += facts.len();
            Ok(())
        });
        total
    }

    /// Whether the file `name` is there already with the bytes of `blob`; then it is part of the folder.
    pub fn holds(&self, name: &EntryPath, blob: &Blob) -> Result<bool, Error> {
        let path = name.under(&self.temporary);
        match std::fs::symlink_metadata(&path) {
            Ok(facts) if facts.is_file() && facts.len() == blob.size => {}
            _ => return Ok(false),
        }
        let mut file = File::open(&path).map_err(io_at(&path))?;
        let mut hasher = Hasher::new();
        let mut piece = vec![0; PIECE];
        loop {
            let read = file.read(&mut piece).map_err(io_at(&path))?;
            if read == 0 {
                break;
            }
            hasher.update(&piece[..read]);
        }
        let same = hasher.finish_blob() == *blob;
        if same {
            self.name(name);
        }
        Ok(same)
    }

    /// Begins a file of the folder.
    pub fn file(&self, name: &EntryPath) -> Result<Entry<'_>, Error> {
        let path = name.under(&self.temporary);
        own::folders_of(&path)?;
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        let part = self.temporary.join(PARTS).join(number.to_string());
        own::folders_of(&part)?;
        let mut options = OpenOptions::new();
        options.create(true).truncate(true).write(true).mode(PUBLIC);
        let file = options.open(&part).map_err(io_at(&part))?;
        Ok(Entry { folder: self, name: name.clone(), path, part, file })
    }

    fn name(&self, name: &EntryPath) {
        if let Ok(mut names) = self.names.lock() {
            names.insert(name.clone());
        }
    }

    /// Takes away what is not part of the folder, makes it durable and gives it its name.
    pub fn publish(self) -> Result<(), Error> {
        let names = self.names.into_inner().unwrap_or_default();
        let root = self.temporary.clone();
        walk(&self.temporary, &mut |path, _| {
            let name =
                path.strip_prefix(&root).ok().and_then(Path::to_str).and_then(|name| name.parse().ok());
            match name.filter(|name: &EntryPath| names.contains(name)) {
                Some(_) => Ok(()),
                None => std::fs::remove_file(path).map_err(io_at(path)),
            }
        })?;
        rustix::fs::syncfs(&self.handle).map_err(|errno| io_at(&self.temporary)(errno.into()))?;
        publish_folder(&self.temporary, &self.target)
    }
}

/// Calls `each` for every file below `folder`; folders left without one are taken away.
fn walk(
    folder: &Path,
    each: &mut dyn FnMut(&Path, &std::fs::Metadata) -> Result<(), Error>,
) -> Result<(), Error> {
    for entry in std::fs::read_dir(folder).map_err(io_at(folder))? {
        let path = entry.map_err(io_at(folder))?.path();
        let facts = std::fs::symlink_metadata(&path).map_err(io_at(&path))?;
        if facts.is_dir() {
            walk(&path, each)?;
            // Fails where something is in it, as it should.
            let _ = std::fs::remove_dir(&path);
        } else {
            each(&path, &facts)?;
        }
    }
    Ok(())
}

/// A file of a [`Folder`], being written.
#[derive(Debug)]
pub struct Entry<'a> {
    folder: &'a Folder,
    name: EntryPath,
    path: PathBuf,
    part: PathBuf,
    file: File,
}

impl Entry<'_> {
    /// Where it will be, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it its name: it is whole.
    pub fn finish(self) -> Result<(), Error> {
        drop(self.file);
        std::fs::rename(&self.part, &self.path).map_err(io_at(&self.path))?;
        self.folder.name(&self.name);
        Ok(())
    }
}

impl Write for Entry<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A large file being written.
#[derive(Debug)]
pub struct LargeFile {
    temporary: PathBuf,
    target: PathBuf,
    file: File,
}

impl LargeFile {
    /// Begins the file `target`, over what a killed program left of it.
    pub fn begin(target: &Path) -> Result<Self, Error> {
        let temporary = beside(target, ".part")?;
        // It may lie where others write: neither through a link of theirs, nor into a file of theirs.
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(PUBLIC)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed() | OFlags::NONBLOCK.bits().cast_signed())
            .open(&temporary)
            .map_err(|error| match Errno::from_io_error(&error) {
                Some(Errno::LOOP) => Error::Foreign { path: temporary.clone(), why: "it is a link" },
                _ => io_at(&temporary)(error),
            })?;
        own::file(&file, &temporary)?;
        lock(&file, &temporary)?;
        file.set_len(0).map_err(io_at(&temporary))?;
        Ok(Self { temporary, target: target.to_owned(), file })
    }

    /// Where it will be.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.target
    }

    /// Makes it durable and gives it its name.
    pub fn publish(self) -> Result<(), Error> {
        self.file.sync_all().map_err(io_at(&self.temporary))?;
        publish_new(&self.temporary, &self.target)?;
        sync_folder_of(&self.target)
    }
}

impl Write for LargeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn name(text: &str) -> EntryPath {
        text.parse().unwrap()
    }

    fn put(folder: &Folder, at: &str, bytes: &[u8]) {
        let mut file = folder.file(&name(at)).unwrap();
        file.write_all(bytes).unwrap();
        file.finish().unwrap();
    }

    #[test]
    fn a_folder_goes_on_where_it_was_left_and_holds_only_what_was_put_there() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("out");
        let first = Folder::begin(&target).unwrap();
        put(&first, "a/kept", b"kept");
        put(&first, "b/stale", b"stale");
        first.file(&name("a/half")).unwrap().write_all(b"ha").unwrap();
        assert!(matches!(Folder::begin(&target), Err(Error::Busy { .. })));
        drop(first);
        assert!(!target.exists());
        let second = Folder::begin(&target).unwrap();
        let blob = |bytes: &[u8]| Blob { digest: Digest::of(bytes), size: bytes.len() as u64 };
        assert!(second.holds(&name("a/kept"), &blob(b"kept")).unwrap());
        assert!(!second.holds(&name("b/stale"), &blob(b"other")).unwrap());
        assert!(!second.holds(&name("a/half"), &blob(b"ha")).unwrap());
        put(&second, "c", b"c");
        second.publish().unwrap();
        let mut found = vec![];
        walk(&target, &mut |path, _| {
            found.push(path.strip_prefix(&target).unwrap().to_str().unwrap().to_owned());
            Ok(())
        })
        .unwrap();
        found.sort();
        assert_eq!(found, ["a/kept", "c"]);
        assert!(!target.join("b").exists());
        assert!(matches!(Folder::begin(&target), Err(Error::Exists { .. })));
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_large_file_appears_whole_and_replaces_nothing() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("x.tar");
        LargeFile::begin(&target).unwrap().write_all(b"a longer half").unwrap();
        let mut file = LargeFile::begin(&target).unwrap();
        file.write_all(b"whole").unwrap();
        assert!(matches!(LargeFile::begin(&target), Err(Error::Busy { .. })));
        file.publish().unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"whole");
        assert!(matches!(LargeFile::begin(&target), Err(Error::Exists { .. })));
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 1);
    }
}
