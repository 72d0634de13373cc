//! Bodies on their way out: bytes in hand, or a reader that is asked for more when the network has room.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

use super::journal::{Note, tell};
use crate::store::Pieces;

/// The body of an answer, with the note on its request.
pub(super) struct Body {
    content: Content,
    left: u64,
    /// Pieces given since others on this thread had their turn.
    run: usize,
    note: Option<Note>,
}

/// Pieces after which others on the same thread have their turn: a client that is as quick as we are would never let go.
const RUN: usize = 4;

enum Content {
    Held(Bytes),
    /// The first piece, which came before the answer was begun, and the rest.
    Read(Option<Bytes>, Reading),
}

/// A blob being read, and its place among those that are read.
pub(super) struct Reading {
    pub(super) pieces: Box<dyn Pieces>,
    /// Where it is put what went wrong.
    pub(super) fault: Arc<Mutex<Option<String>>>,
    #[expect(dead_code, reason = "held until the body is gone")]
    pub(super) permit: OwnedSemaphorePermit,
}

impl Reading {
    /// The next piece; none at the end, and none when it cannot be read, which is noted.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        self.pieces.next().unwrap_or_else(|error| {
            tell(&self.fault, &error);
            None
        })
    }
}

impl Body {
    /// Bytes in hand.
    pub(super) fn held(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { left: bytes.len() as u64, content: Content::Held(bytes), run: 0, note: None }
    }

    /// `length` bytes, `first` and the rest from `reading`; when it ends before, the connection is broken off.
    pub(super) fn read(first: Bytes, reading: Reading, length: u64) -> Self {
        Self { left: length, content: Content::Read(Some(first), reading), run: 0, note: None }
    }

    /// Bytes still to come.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// Keeps the note until the body is gone.
    pub(super) fn noted(mut self, mut note: Note) -> Self {
        note.due = self.left;
        self.note = Some(note);
        self
    }

    fn count(&mut self, piece: &Bytes) {
        let bytes = piece.len() as u64;
        self.left -= bytes.min(self.left);
        if let Some(note) = &mut self.note {
            note.entry.bytes += bytes;
            note.due = self.left;
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        if self.run >= RUN {
            self.run = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.run += 1;
        let next = match &mut self.content {
            Content::Held(bytes) => Some(std::mem::take(bytes)),
            Content::Read(first, reading) => first.take().or_else(|| reading.next()),
        };
        Poll::Ready(Some(match next {
            Some(piece) => {
                self.count(&piece);
                Ok(Frame::data(piece))
            }
            // The reader gave up: whoever waits must not take what came for all.
            None => Err(io::ErrorKind::ConnectionAborted.into()),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
