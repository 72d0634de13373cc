//! A body on its way out: from a blocking source into one request, piece by piece, on one thread. No byte is copied or kept.

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::Stream;
use futures_util::future::{Either, select};
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};
use reqwest::{Body, Method};
use tokio::sync::mpsc;
use url::Url;

use super::answer::Answer;
use super::hosts::{authority, same_origin};
use super::http::{Http, fault};
use super::porter::Porter;
use super::request::{Bound, Core};
use super::retry::Failure;
use super::token::{Bearer, Need, Scope};
use super::{Client, Error};
use crate::checked::small;
use crate::digest::Blob;
use crate::progress::Event;
use crate::store::{self, Pieces, Source};

/// The longest piece; one or two of them wait between source and network.
const PIECE: u64 = 512 << 10;
/// How many stall times a registry may think over a body it has received: it may be copying 10 GB to its storage.
const COMMIT: u32 = 10;

/// A blob being read from its source, at some offset.
pub(super) struct Feed<'a> {
    pieces: Box<dyn Pieces + 'a>,
    pending: Bytes,
    blob: Blob,
    position: u64,
}

impl<'a> Feed<'a> {
    pub(super) fn open(source: &'a dyn Source, blob: &Blob, offset: u64) -> Result<Self, store::Error> {
        let mut pieces = source.open(blob, offset)?;
        if blob.size == 0 && pieces.next()?.is_some() {
            return Err(Error::UnevenSource { digest: blob.digest, expected: 0, got: 1 }.into());
        }
        Ok(Self { pieces, pending: Bytes::new(), blob: *blob, position: offset })
    }

    /// Where the next byte stands in the blob.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Between 1 and `most` (> 0) bytes.
    fn take(&mut self, most: u64) -> Result<Bytes, store::Error> {
        let uneven = |got| Error::UnevenSource { digest: self.blob.digest, expected: self.blob.size, got };
        while self.pending.is_empty() {
            self.pending = self.pieces.next()?.ok_or_else(|| uneven(self.position))?;
        }
        if self.position + self.pending.len() as u64 > self.blob.size {
            return Err(uneven(self.position + self.pending.len() as u64).into());
        }
        let piece = self.pending.split_to(small(most.min(PIECE)).min(self.pending.len()));
        self.position += piece.len() as u64;
        Ok(piece)
    }
}

/// One request with a body that is sent once.
pub(super) struct Parcel {
    pub(super) method: Method,
    pub(super) registry: String,
    pub(super) to: Url,
    pub(super) scope: Scope,
    pub(super) what: String,
    /// Bytes of the body.
    pub(super) length: u64,
    /// `Content-Range` of an upload window, as the distribution specification writes it: `first-last`.
    pub(super) range: Option<String>,
}

impl Parcel {
    fn need(&self) -> Need<'_> {
        Need { registry: &self.registry, what: &self.what, scopes: std::slice::from_ref(&self.scope) }
    }
}

/// What became of a parcel, and how many bytes were handed to the network for it.
pub(super) struct Delivery {
    pub(super) result: Result<Answer, Failure>,
    pub(super) sent: u64,
}

impl Client {
    /// Sends `parcel` with the next bytes of `feed`. An error is the source's: the request was broken off, and the registry
    /// never saw a whole body.
    pub(super) fn send(&self, parcel: Parcel, feed: &mut Feed<'_>) -> Result<Delivery, store::Error> {
        // Tokens are asked for over the connections that all share.
        let pass = match self.runtime.block_on(self.core.pass(&parcel)) {
            Ok(pass) => pass,
            Err(failure) => return Ok(Delivery { result: Err(failure), sent: 0 }),
        };
        let porter = self.porters.take(&self.core.http)?;
        let (delivery, whole) = self.core.over(&porter, (parcel, pass), feed)?;
        if whole && delivery.result.as_ref().is_ok_and(|answer| matches!(answer.status, 200..=204)) {
            self.porters.put(porter);
        }
        Ok(delivery)
    }
}

impl Core {
    /// Sends `parcel` with the next bytes of `feed` by `porter`, and says whether all of them went.
    fn over(
        &self,
        porter: &Porter,
        (parcel, pass): (Parcel, Option<Bearer>),
        feed: &mut Feed<'_>,
    ) -> Result<(Delivery, bool), store::Error> {
        let (queue, receiver) = mpsc::channel(1);
        let pulse = Arc::new(Pulse::new());
        let mut left = parcel.length;
        let ends = (receiver, Arc::clone(&pulse));
        let mut carried = pin!(self.carry(&porter.http, parcel, pass.as_ref(), ends));
        let (mut sent, mut broken, mut over) = (0, None, None);
        while left > 0 {
            // Outside of the runtime: a source may have one of its own. The network is not looked after meanwhile.
            let begun = Instant::now();
            let taken = feed.take(left);
            pulse.excuse(begun.elapsed());
            let (piece, length) = match taken {
                Ok(piece) => {
                    let length = piece.len() as u64;
                    (Ok(piece), length)
                }
                Err(error) => {
                    broken = Some(error);
                    (Err(BrokenOff), left)
                }
            };
            left -= length;
            // To the socket at once, while the piece is still in the core's cache.
            let handed = pin!(async {
                let _ = queue.send(piece).await;
                tokio::task::yield_now().await;
            });
            match porter.runtime.block_on(select(carried.as_mut(), handed)) {
                // The request is over before its body: refused, or broken.
                Either::Left((result, _)) => {
                    over = Some(result);
                    break;
                }
                Either::Right(_) if broken.is_none() => sent += length,
                Either::Right(_) => {}
            }
        }
        drop(queue);
        let whole = over.is_none();
        let result = over.unwrap_or_else(|| porter.runtime.block_on(carried));
        match broken {
            Some(error) => Err(error),
            None => Ok((Delivery { result, sent }, whole)),
        }
    }

    /// What `parcel` shows to be let in, where that is known.
    async fn pass(&self, parcel: &Parcel) -> Result<Option<Bearer>, Failure> {
        let home = self.hosts.api(&parcel.registry, "")?;
        if !same_origin(&parcel.to, &home) {
            return Ok(None);
        }
        self.tokens.bearer(self, &parcel.need(), &[]).await
    }

    /// Sends `parcel` over `http` with the bytes of `queue`; any status comes back as an answer. After a 401 the next one carries a new
    /// token.
    async fn carry(
        &self,
        http: &Http,
        parcel: Parcel,
        pass: Option<&Bearer>,
        (queue, pulse): (Queue, Arc<Pulse>),
    ) -> Result<Answer, Failure> {
        if !self.hosts.admits(&parcel.to) {
            return Err(Error::PlainHttpRefused { host: authority(&parcel.to) }.into());
        }
        let mut request = http
            .client(&parcel.to)
            .request(parcel.method.clone(), parcel.to.clone())
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_LENGTH, parcel.length);
        if let Some(range) = &parcel.range {
            request = request.header(CONTENT_RANGE, range);
        }
        if let Some(bearer) = pass {
            request = request.header(AUTHORIZATION, bearer.header.clone());
        }
        if parcel.length > 0 {
            request = request.body(Body::wrap_stream(Outflow { queue, pulse: pulse.clone() }));
        } else {
            pulse.beat(Stage::Sent);
        }
        let response = self.watch(&parcel.what, request.send(), &pulse).await?;
        let response = response.map_err(|error| fault(error, &parcel.to).failure())?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = self.read(response, Bound::REFUSAL, &parcel.what).await;
        if status == 401 && same_origin(&parcel.to, &self.hosts.api(&parcel.registry, "")?) {
            self.tokens.challenged(&parcel.need(), &headers, pass)?;
        }
        Ok(Answer { status, headers, body: body.unwrap_or_default(), url: parcel.to })
    }

    /// Waits for `future` as long as the network takes bytes, or the source has none to give.
    async fn watch<T>(
        &self,
        what: &str,
        future: impl Future<Output = T>,
        pulse: &Pulse,
    ) -> Result<T, Failure> {
        let mut future = pin!(future);
        loop {
            if let Ok(value) = tokio::time::timeout(self.stall / 4, &mut future).await {
                return Ok(value);
            }
            let (stage, silence) = pulse.read();
            let patience = match stage {
                Stage::Waiting => continue,
                Stage::Sending => self.stall,
                Stage::Sent => self.stall * COMMIT,
            };
            if silence >= self.stall / 4 {
                self.observer.event(Event::Stalled { what, seconds: silence.as_secs() });
            }
            if silence >= patience {
                let seconds = silence.as_secs();
                return Err(Failure::passing(Error::Stalled { what: what.to_owned(), seconds }));
            }
        }
    }
}

type Queue = mpsc::Receiver<Result<Bytes, BrokenOff>>;

/// The source failed, and the body will not end.
#[derive(Debug, thiserror::Error)]
#[error("broken off")]
struct BrokenOff;

/// The body as the HTTP client takes it: polled only when the network has room.
struct Outflow {
    queue: Queue,
    pulse: Arc<Pulse>,
}

impl Stream for Outflow {
    type Item = Result<Bytes, BrokenOff>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.queue.poll_recv(context);
        self.pulse.beat(match &polled {
            Poll::Pending => Stage::Waiting,
            Poll::Ready(Some(_)) => Stage::Sending,
            Poll::Ready(None) => Stage::Sent,
        });
        polled
    }
}

/// Whose turn it is.
#[derive(Clone, Copy)]
enum Stage {
    /// The source's: the network has room.
    Waiting,
    /// The network's: a piece is on its way.
    Sending,
    /// The registry's: it has everything.
    Sent,
}

/// When the body last moved.
struct Pulse(Mutex<(Stage, Instant)>);

impl Pulse {
    fn new() -> Self {
        Self(Mutex::new((Stage::Sending, Instant::now())))
    }

    fn beat(&self, stage: Stage) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (stage, Instant::now());
    }

    /// Leaves out time in which nothing could move.
    fn excuse(&self, time: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1 += time;
    }

    fn read(&self) -> (Stage, Duration) {
        let (stage, at) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (stage, at.elapsed())
    }
}
