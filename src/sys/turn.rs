//! One at a time on this machine: a locked file that the programs one starts hold too, for as long as they run.
//!
//! The lock belongs to the open file (flock(2)), so it is gone when whoever took it and everything that it started have ended, however that
//! happened: nothing has to be cleared away, and nothing expires. Who holds it is found in `/proc`, where there is one.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use super::fs::{self, Error};
use super::{own, random};

/// Bytes of such a file: a mark and a process id.
const FILE_BYTES: u64 = 200;

/// The turn, until it is dropped and all that were given [`Turn::file`] have ended.
#[derive(Debug)]
pub struct Turn {
    file: Arc<File>,
    mark: String,
}

/// Who has the turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// The program itself, by its process id where that is known.
    Program(Option<u32>),
    /// It has ended; these, which it started, have not.
    Left(Vec<u32>),
}

/// Takes the turn at the file `path`, or gives who has it.
///
/// # Errors
/// What the system refused, or [`Error::Foreign`] for a file that others could have prepared.
pub fn take(path: &Path) -> Result<Result<Turn, Holder>, Error> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    fs::private_folder_of(path)?;
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false).mode(fs::PRIVATE);
    let mut file = options.open(path).map_err(io)?;
    own::file(&file, path)?;
    let mut text = String::new();
    (&mut file).take(FILE_BYTES).read_to_string(&mut text).map_err(io)?;
    let mut words = text.split_whitespace();
    let mark = words.next().map(ToOwned::to_owned);
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Err(holder(path, words.next()))),
        Err(TryLockError::Error(source)) => return Err(io(source)),
    }
    let mark = match mark {
        Some(mark) => mark,
        None => hex::encode(*random::bytes::<12>()?),
    };
    // Programs that are started may read from here, and shall find the end: the text is before it.
    file.set_len(0).map_err(io)?;
    std::io::Seek::rewind(&mut file).map_err(io)?;
    file.write_all(format!("{mark} {}\n", std::process::id()).as_bytes()).map_err(io)?;
    Ok(Ok(Turn { file: Arc::new(file), mark }))
}

impl Turn {
    /// What a program that is started is given as its stdin, to hold the turn with it. It finds nothing to read there.
    #[must_use]
    pub fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// The same for everyone who has had this turn, and for no other.
    #[must_use]
    pub fn mark(&self) -> &str {
        &self.mark
    }
}

fn holder(path: &Path, main: Option<&str>) -> Holder {
    let Ok(path) = path.canonicalize() else { return Holder::Program(None) };
    let main = main.and_then(|word| word.parse::<u32>().ok());
    if main.is_some_and(|id| has_open(id, &path)) {
        return Holder::Program(main);
    }
    match started(&path) {
        none if none.is_empty() => Holder::Program(None),
        left => Holder::Left(left),
    }
}

/// Whether process `id` has the file open.
fn has_open(id: u32, path: &Path) -> bool {
    let Ok(files) = std::fs::read_dir(format!("/proc/{id}/fd")) else { return false };
    files.flatten().any(|file| std::fs::read_link(file.path()).is_ok_and(|to| to == path))
}

/// The processes that were started with it as their stdin; one that only asks for the turn has it open elsewhere.
fn started(path: &Path) -> Vec<u32> {
    let Ok(processes) = std::fs::read_dir("/proc") else { return vec![] };
    let ids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|id| std::fs::read_link(format!("/proc/{id}/fd/0")).is_ok_and(|to| to == path)).collect()
}

/// Asks programs that were left, and what they started, to end (SIGTERM).
pub fn ask_to_end(ids: &[u32]) {
    for id in ids {
        if let Some(group) = i32::try_from(*id).ok().and_then(rustix::process::Pid::from_raw) {
            // Each was started as the first of its group.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::TERM);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn it_is_held_until_all_that_were_started_have_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("turns/one");
        let turn = take(&path).unwrap().unwrap();
        assert_eq!(take(&path).unwrap().unwrap_err(), Holder::Program(Some(std::process::id())));
        let started = Stdio::from(turn.file().try_clone().unwrap());
        let mut child = Command::new("sleep").arg("60").stdin(started).spawn().unwrap();
        let mark = turn.mark().to_owned();
        drop(turn);
        // Who else asks is none of those.
        let asks = File::open(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace(&std::process::id().to_string(), "4194305")).unwrap();
        assert_eq!(take(&path).unwrap().unwrap_err(), Holder::Left(vec![child.id()]));
        drop(asks);
        child.kill().unwrap();
        child.wait().unwrap();
        let again = take(&path).unwrap().unwrap();
        assert_eq!(again.mark(), mark);
    }
}
