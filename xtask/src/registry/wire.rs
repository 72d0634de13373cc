//! The TCP stream under a connection, with what cannot be done from above it: ending in a reset, and passing over
//! bytes that nobody will look at.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use rustix::net::{RecvFlags, recv};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// What the handler of a request tells its connection.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    reset: AtomicBool,
    blank: AtomicU64,
}

/// Bytes that may have been read ahead of the handler; more than hyper's buffer holds (408 KiB).
const AHEAD: u64 = 1 << 20;

impl Wire {
    /// Ends the connection, once it is dropped, with a TCP reset instead of an orderly close.
    pub(crate) fn reset(&self) {
        self.reset.store(true, Ordering::SeqCst);
    }

    /// Nobody looks at the `rest` of the body that is being read: its bytes may be anything.
    ///
    /// The kernel then drops them without copying, all but the last, which may be in one read with the next request.
    pub(crate) fn blank(&self, rest: u64) {
        self.blank.store(rest.saturating_sub(AHEAD), Ordering::SeqCst);
    }
}

/// The stream.
#[derive(Debug)]
pub(crate) struct WireStream {
    pub(crate) stream: TcpStream,
    pub(crate) wire: Arc<Wire>,
}

impl WireStream {
    /// Reads as many bytes as the buffer has room for, at most `most`, and leaves in it what was there.
    fn poll_blank(
        &self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
        most: u64,
    ) -> Poll<io::Result<()>> {
        let room = usize::try_from(most).unwrap_or(usize::MAX).min(buffer.remaining());
        let space = buffer.initialize_unfilled_to(room);
        loop {
            ready!(self.stream.poll_read_ready(context))?;
            // On a TCP socket MSG_TRUNC takes bytes off the queue without copying them (tcp(7)).
            let flags = RecvFlags::TRUNC | RecvFlags::DONTWAIT;
            let taken = self.stream.try_io(Interest::READABLE, || {
                recv(&self.stream, &mut *space, flags).map(|(_, taken)| taken).map_err(io::Error::from)
            });
            match taken {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(taken) => {
                    self.wire.blank.fetch_sub(taken as u64, Ordering::SeqCst);
                    buffer.advance(taken);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl Drop for WireStream {
    fn drop(&mut self) {
        if self.wire.reset.load(Ordering::SeqCst) {
            // Without it the client sees an orderly close, which is a fault too.
            drop(self.stream.set_zero_linger());
        }
    }
}

impl AsyncRead for WireStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.wire.blank.load(Ordering::SeqCst) {
            0 => Pin::new(&mut self.stream).poll_read(context, buffer),
            most => self.poll_blank(context, buffer, most),
        }
    }
}

impl AsyncWrite for WireStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.wire.reset.load(Ordering::SeqCst) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }
}
