//! A connection whose client must go on taking what it is sent.
//!
//! A reader of the bundle, its memory and its place among the connections are held as long as a body is under way. A client that takes
//! nothing, on purpose or because it is gone without a word, is let go: the writing fails as for a connection that broke.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::journal::Cause;

/// A stream on which what was handed over must be taken within `patience`, all of it.
///
/// The writer above flushes when it has no more to send for the time being: what it gives between two flushes is at most a piece of a body
/// and its own buffer.
pub(super) struct Paced<S> {
    stream: S,
    patience: Duration,
    /// Is told when it is let go.
    cause: Cause,
    /// Runs from the first byte that the client did not take to the next flush that ends.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Paced<S> {
    pub(super) fn new(stream: S, patience: Duration, cause: Cause) -> Self {
        Self { stream, patience, cause, waiting: None }
    }

    /// What to say while the client takes nothing.
    fn wait<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        let patience = self.patience;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(waiting.as_mut().poll(context));
        let _ = self.cause.set(format!("the client took nothing for {} seconds", patience.as_secs()));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let own = self.get_mut();
        match Pin::new(&mut own.stream).poll_write(context, bytes) {
            Poll::Pending => own.wait(context),
            ready => ready,
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let own = self.get_mut();
        match Pin::new(&mut own.stream).poll_write_vectored(context, pieces) {
            Poll::Pending => own.wait(context),
            ready => ready,
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let own = self.get_mut();
        match Pin::new(&mut own.stream).poll_flush(context) {
            Poll::Pending => own.wait(context),
            ready => {
                own.waiting = None;
                ready
            }
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let own = self.get_mut();
        match Pin::new(&mut own.stream).poll_shutdown(context) {
            Poll::Pending => own.wait(context),
            ready => ready,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(200);

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    }

    #[test]
    fn a_client_that_takes_nothing_is_let_go() {
        run(async {
            let (ours, _theirs) = duplex(10);
            let cause = Cause::default();
            let mut paced = Paced::new(ours, PATIENCE, Cause::clone(&cause));
            let error = paced.write_all(&[0; 100]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert!(cause.get().is_some_and(|cause| cause.starts_with("the client took nothing")));
        });
    }

    #[test]
    fn a_client_that_takes_a_byte_now_and_then_is_let_go_too() {
        run(async {
            let (ours, mut theirs) = duplex(1);
            let taking = tokio::spawn(async move {
                while theirs.read_u8().await.is_ok() {
                    sleep(PATIENCE / 10).await;
                }
            });
            let mut paced = Paced::new(ours, PATIENCE, Cause::default());
            let error = paced.write_all(&[0; 100]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            drop(paced);
            taking.await.unwrap();
        });
    }

    #[test]
    fn each_flush_begins_anew() {
        run(async {
            let (ours, mut theirs) = duplex(1);
            let taking = tokio::spawn(async move {
                let mut taken = 0;
                while theirs.read_u8().await.is_ok() {
                    taken += 1;
                    sleep(PATIENCE / 10).await;
                }
                taken
            });
            let mut paced = Paced::new(ours, PATIENCE, Cause::default());
            for _ in 0..10 {
                paced.write_all(&[0; 3]).await.unwrap();
                paced.flush().await.unwrap();
            }
            drop(paced);
            assert_eq!(taking.await.unwrap(), 30);
        });
    }
}
