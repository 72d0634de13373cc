//! What can go wrong where a bundle is carried to.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

/// A fault of a place that a bundle is carried to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no room left.
    #[error("{place} is full")]
    Full {
        /// Which place.
        place: String,
    },
    /// The medium was taken away while it was used.
    #[error("{place} is not there any more: {source}")]
    Gone {
        /// Which place.
        place: String,
        /// What the system said.
        source: io::Error,
    },
    /// A link, a folder or a device where an ordinary file should be, or a link where a folder should be.
    #[error("{path}: it is not an ordinary file", path = path.display())]
    Irregular {
        /// Which.
        path: PathBuf,
    },
    /// Another program copies to it.
    #[error("{place}: another program is copying to it")]
    Busy {
        /// Which place.
        place: String,
    },
    /// The folder that it would be made in is not there.
    #[error("there is no folder {folder}", folder = folder.display())]
    NoFolder {
        /// Which.
        folder: PathBuf,
    },
    /// The link dropped, or was never there. What was done so far is done.
    #[error("{place}: {why}")]
    Link {
        /// Which place.
        place: String,
        /// Why, in few words.
        why: String,
    },
    /// A machine that nothing is known of.
    #[error("{host} is not known: it shows the key {fingerprint}")]
    UnknownHost {
        /// As `known_hosts` names it.
        host: String,
        /// The fingerprint of the key it shows.
        fingerprint: String,
        /// The line that would make it known.
        line: String,
        /// The file that this line would go into.
        file: PathBuf,
    },
    /// A machine that shows another key than the one it is known by, or one that was revoked.
    #[error(
        "{host} SHOWS {} ({fingerprint}): line {line} of {file} says otherwise",
        if *.revoked { "A KEY THAT WAS REVOKED" } else { "ANOTHER KEY THAN IT IS KNOWN BY" },
        file = .file.display()
    )]
    ChangedHost {
        /// As `known_hosts` names it.
        host: String,
        /// The fingerprint of the key it shows.
        fingerprint: String,
        /// The file of known machines that says otherwise.
        file: PathBuf,
        /// Which line of it.
        line: usize,
        /// Whether the key was revoked.
        revoked: bool,
    },
    /// None of the keys opens the machine.
    #[error("{place} lets {user} in by none of the keys: {}", if .tried.is_empty() { "there is none".to_owned() } else { .tried.join(", ") })]
    Denied {
        /// Which place.
        place: String,
        /// Who wanted in.
        user: String,
        /// The keys that were offered.
        tried: Vec<String>,
    },
    /// A private key that cannot be used.
    #[error("{path}: {why}", path = path.display())]
    Key {
        /// Its file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A machine that lets the user in and speaks no SFTP.
    #[error("{place} speaks no SFTP: {why}")]
    NoSftp {
        /// Which place.
        place: String,
        /// What it said.
        why: String,
    },
    /// Larger than it may be.
    #[error("{path}: more than {limit} bytes", path = path.display())]
    TooLong {
        /// Which file.
        path: PathBuf,
        /// The limit, in bytes.
        limit: u64,
    },
}

impl Error {
    /// What `source` means at the file `path` of `place`.
    pub(super) fn of(place: &str, path: PathBuf, source: io::Error) -> Self {
        let errno = source.raw_os_error().map(Errno::from_raw_os_error);
        match errno {
            Some(Errno::NOSPC | Errno::DQUOT) => Self::Full { place: place.to_owned() },
            Some(
                Errno::NODEV
                | Errno::NXIO
                | Errno::NOTCONN
                | Errno::STALE
                | Errno::SHUTDOWN
                | Errno::NOMEDIUM,
            ) => Self::Gone { place: place.to_owned(), source },
            Some(Errno::LOOP) => Self::Irregular { path },
            _ => Self::Io { path, source },
        }
    }
}
