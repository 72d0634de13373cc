//! Bodies both ways, with the faults that can befall them.

use std::fs::File;
use std::future::Future;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Sleep, sleep};

use super::wire::Wire;

/// Bytes of one piece of an answer: large enough to be cheap, small enough that counts are true when a client leaves.
const PIECE: u64 = 256 << 10;

/// How long a cut waits, so that what was sent before it has left the process.
const FLUSH: Duration = Duration::from_millis(30);

#[derive(Debug)]
enum Origin {
    Bytes(Bytes),
    File { file: File, left: u64 },
    Zeros,
}

/// How a body ends before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Reset,
    Close,
    Stall,
}

/// The body of an answer.
pub(crate) struct Outgoing {
    origin: Origin,
    length: u64,
    given: u64,
    flip: Option<u64>,
    endless: bool,
    cut: Option<(u64, Ending)>,
    wire: Option<Arc<Wire>>,
    pause: Option<Pin<Box<Sleep>>>,
    count: Option<(Arc<dyn Counter>, String)>,
}

/// Whoever counts what goes out, piece by piece.
pub(crate) trait Counter: Send + Sync {
    /// `bytes` more of the thing called `name` went out.
    fn sent(&self, name: &str, bytes: u64);
}

impl std::fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Outgoing({} of {} bytes)", self.given, self.length)
    }
}

impl Outgoing {
    fn new(origin: Origin, length: u64) -> Self {
        Self {
            origin,
            length,
            given: 0,
            flip: None,
            endless: false,
            cut: None,
            wire: None,
            pause: None,
            count: None,
        }
    }

    pub(crate) fn bytes(bytes: Bytes) -> Self {
        let length = bytes.len() as u64;
        Self::new(Origin::Bytes(bytes), length)
    }

    /// `length` bytes of a file from `offset` on.
    pub(crate) fn file(path: &Path, offset: u64, length: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        Ok(Self::new(Origin::File { file, left: length }, length))
    }

    /// Counts what goes out as content of `name`.
    pub(crate) fn counted(mut self, counter: Arc<dyn Counter>, name: &str) -> Self {
        self.count = Some((counter, name.to_owned()));
        self
    }

    /// Bytes it has in all.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    pub(crate) fn flip(&mut self, at: u64) {
        self.flip = Some(at);
    }

    pub(crate) fn endless(&mut self) {
        self.endless = true;
    }

    /// Ends after `length` bytes, as if that were all.
    pub(crate) fn shorten(&mut self, length: u64) {
        self.length = self.length.min(length);
    }

    pub(crate) fn cut(&mut self, after: u64, ending: Ending, wire: &Arc<Wire>) {
        self.cut = Some((after, ending));
        self.wire = Some(Arc::clone(wire));
    }

    fn piece(&mut self, most: u64) -> io::Result<Bytes> {
        let most = usize::try_from(most.min(PIECE)).unwrap_or(usize::MAX);
        match &mut self.origin {
            Origin::Bytes(bytes) if !bytes.is_empty() => Ok(bytes.split_to(most.min(bytes.len()))),
            Origin::File { file, left } if *left > 0 => {
                let mut buffer = vec![0; most.min(usize::try_from(*left).unwrap_or(usize::MAX))];
                file.read_exact(&mut buffer)?;
                *left -= buffer.len() as u64;
                Ok(buffer.into())
            }
            Origin::Bytes(_) | Origin::File { .. } => {
                self.origin = Origin::Zeros;
                Ok(Bytes::from(vec![0; most]))
            }
            Origin::Zeros => Ok(Bytes::from(vec![0; most])),
        }
    }

    fn flipped(&self, piece: Bytes) -> Bytes {
        let inside =
            self.flip.and_then(|at| at.checked_sub(self.given)).filter(|at| *at < piece.len() as u64);
        match inside.and_then(|at| usize::try_from(at).ok()) {
            Some(at) => {
                let mut bytes = piece.to_vec();
                bytes[at] ^= 1;
                bytes.into()
            }
            None => piece,
        }
    }

    fn ended(&mut self, ending: Ending, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if ending == Ending::Stall {
            return Poll::Pending;
        }
        let pause = self.pause.get_or_insert_with(|| Box::pin(sleep(FLUSH)));
        if pause.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        if let Some(wire) = self.wire.as_ref().filter(|_| ending == Ending::Reset) {
            wire.reset();
        }
        Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())))
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        let end = if this.endless { u64::MAX } else { this.length };
        let stop = match this.cut {
            Some((after, ending)) if this.given >= after => return this.ended(ending, context),
            Some((after, _)) => end.min(after),
            None => end,
        };
        if this.given >= end {
            return Poll::Ready(None);
        }
        let piece = match this.piece(stop - this.given) {
            Ok(piece) => this.flipped(piece),
            Err(error) => return Poll::Ready(Some(Err(error))),
        };
        let size = piece.len() as u64;
        this.given += size;
        if let Some((counter, name)) = &this.count {
            counter.sent(name, size);
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        !self.endless && self.cut.is_none() && self.given >= self.length
    }

    fn size_hint(&self) -> SizeHint {
        if self.endless { SizeHint::default() } else { SizeHint::with_exact(self.length - self.given) }
    }
}

/// Why a request's body did not come whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Torn {
    /// The connection ended, or was ended here.
    Broken,
    /// It has more bytes than are taken.
    TooLarge,
}

/// The body of a request, piece by piece.
#[derive(Debug)]
pub(crate) struct Intake {
    body: Incoming,
    taken: u64,
    cut: Option<(u64, Ending)>,
    most: Option<u64>,
    wire: Arc<Wire>,
}

impl Intake {
    pub(crate) fn new(body: Incoming, wire: &Arc<Wire>) -> Self {
        Self { body, taken: 0, cut: None, most: None, wire: Arc::clone(wire) }
    }

    pub(crate) fn cut(&mut self, after: u64, ending: Ending) {
        self.cut = Some((after, ending));
    }

    pub(crate) fn at_most(&mut self, bytes: u64) {
        self.most = Some(self.most.map_or(bytes, |most| most.min(bytes)));
    }

    /// The next piece; `None` after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Torn> {
        if let Some((after, ending)) = self.cut.filter(|(after, _)| self.taken >= *after) {
            debug_assert!(self.taken == after, "pieces end at the cut");
            if ending == Ending::Stall {
                std::future::pending::<()>().await;
            }
            if ending == Ending::Reset {
                self.wire.reset();
            }
            return Err(Torn::Broken);
        }
        loop {
            let frame = match self.body.frame().await {
                None => return Ok(None),
                Some(Err(_)) => return Err(Torn::Broken),
                Some(Ok(frame)) => frame,
            };
            let Ok(mut piece) = frame.into_data() else { continue };
            if piece.is_empty() {
                continue;
            }
            if let Some((after, _)) = self.cut {
                piece.truncate(usize::try_from(after - self.taken).unwrap_or(usize::MAX));
            }
            self.taken += piece.len() as u64;
            if self.most.is_some_and(|most| self.taken > most) {
                return Err(Torn::TooLarge);
            }
            return Ok(Some(piece));
        }
    }

    /// From here on only the length of the body counts.
    pub(crate) fn blank(&self) {
        if let Some(rest) = self.body.size_hint().exact() {
            self.wire.blank(rest);
        }
    }

    /// All of it, held in memory.
    pub(crate) async fn whole(&mut self) -> Result<Bytes, Torn> {
        let mut all = Vec::new();
        while let Some(piece) = self.next().await? {
            all.extend_from_slice(&piece);
        }
        Ok(all.into())
    }
}
