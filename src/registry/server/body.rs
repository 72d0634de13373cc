//! Bodies on their way out: bytes in hand, or a queue that a reader fills.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::mpsc;

use super::journal::Note;

/// The body of an answer, with the note on its request.
pub(super) struct Body {
    content: Content,
    left: u64,
    note: Option<Note>,
}

enum Content {
    Held(Bytes),
    /// The first piece, which came before the answer was begun, and the rest.
    Queue(Option<Bytes>, mpsc::Receiver<Bytes>),
}

impl Body {
    /// Bytes in hand.
    pub(super) fn held(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { left: bytes.len() as u64, content: Content::Held(bytes), note: None }
    }

    /// `length` bytes, `first` and the rest from a queue; when it ends before, the connection is broken off.
    pub(super) fn queue(first: Bytes, queue: mpsc::Receiver<Bytes>, length: u64) -> Self {
        Self { left: length, content: Content::Queue(Some(first), queue), note: None }
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
        let next = match &mut self.content {
            Content::Held(bytes) => Poll::Ready(Some(std::mem::take(bytes))),
            Content::Queue(first, queue) => match first.take() {
                Some(first) => Poll::Ready(Some(first)),
                None => queue.poll_recv(context),
            },
        };
        match next {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(piece)) => {
                self.count(&piece);
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            // The reader gave up: whoever waits must not take what came for all.
            Poll::Ready(None) => Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
