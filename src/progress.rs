//! What long work tells whoever watches: plain events, no wording, no terminal.

use crate::digest::Digest;

/// One thing that happened. Byte counts never go backwards: bytes sent again are not told again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Event<'a> {
    /// A stretch of work begins.
    Begin {
        /// What is being done, in the user's word: `build`, `load`, `verify`, `lock`.
        verb: &'a str,
        /// Bytes it will handle; 0 when that cannot be known.
        bytes: u64,
        /// Blobs (or chunks) it will handle.
        items: u64,
    },
    /// One blob (or chunk) changed state.
    Item {
        /// What a person calls it: an image reference, a file, a short digest.
        name: &'a str,
        /// Which bytes, where they have a digest.
        digest: Option<&'a Digest>,
        /// Its size in bytes.
        bytes: u64,
        /// What became of it.
        state: ItemState,
    },
    /// `bytes` more went through.
    Advance {
        /// How many.
        bytes: u64,
    },
    /// Something failed and is tried again.
    Retry {
        /// What: a blob, a request.
        what: &'a str,
        /// Why, in one line without secrets.
        why: &'a str,
        /// The attempt that comes, counted from 2.
        attempt: u32,
        /// How long until then, in milliseconds.
        wait_ms: u64,
    },
    /// Nothing has moved for a while.
    Stalled {
        /// What waits.
        what: &'a str,
        /// For how long, in seconds.
        seconds: u64,
    },
    /// A remark worth a line: resumed from byte N, limited to one connection.
    Note {
        /// One line.
        text: &'a str,
    },
    /// The stretch of work is over.
    End,
}

/// What became of one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemState {
    /// Work on it began.
    Started,
    /// Done, its bytes moved.
    Done,
    /// Nothing to do: it was there.
    Present,
    /// Taken over from another repository of the same registry without moving bytes.
    Mounted,
    /// It failed for good.
    Failed,
}

/// Watches long work. Called from many threads, and must not block them.
pub trait Observer: Send + Sync {
    /// Takes one event.
    fn event(&self, event: Event<'_>);
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _: Event<'_>) {}
}
