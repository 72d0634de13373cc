//! One file on the other machine: written and read with many requests under way.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use bytes::Bytes;
use russh_sftp::client::error::Error as Fault;
use russh_sftp::protocol::{Data, FileAttributes, Status, StatusCode};

use super::link::Link;
use super::{FSYNC, Remote};
use crate::courier::{Error, ReadBack, Reading, Writing};
use crate::digest::Digest;

/// Bytes of one request: what every server takes.
const REQUEST: usize = 32 << 10;
/// Requests under way for one file.
const WINDOW: usize = 64;

pub(super) type Answer<T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send>>;

/// Sends a request; its answer is waited for later. Requests go out in the order in which they are sent so.
async fn send<T>(request: &mut Answer<T>) -> Option<Result<T, Fault>> {
    std::future::poll_fn(|context| {
        Poll::Ready(match request.as_mut().poll(context) {
            Poll::Ready(done) => Some(done),
            Poll::Pending => None,
        })
    })
    .await
}

/// A file there, being written.
pub(super) struct Part<'a> {
    pub(super) remote: &'a Remote,
    pub(super) link: Arc<Link>,
    pub(super) handle: String,
    pub(super) path: String,
    pub(super) length: u64,
    pub(super) window: VecDeque<Answer<Status>>,
}

impl Part<'_> {
    async fn told(&self, fault: Fault) -> Error {
        match self.remote.fault(&self.path, fault, &self.link).await {
            // OpenSSH has no word for a full disk.
            Error::Io { source, .. } if source.kind() == io::ErrorKind::Other && self.is_full().await => {
                Error::Full { place: self.remote.name.clone() }
            }
            error => error,
        }
    }

    async fn is_full(&self) -> bool {
        let facts = self.link.sftp.statvfs(self.path.clone()).await;
        facts.is_ok_and(|facts| {
            facts.blocks > 0 && facts.blocks_avail.saturating_mul(facts.fragment_size) < 1 << 20
        })
    }
}

impl Writing for Part<'_> {
    fn length(&self) -> u64 {
        self.length
    }

    fn write(&mut self, at: u64, bytes: Bytes) -> Result<(), Error> {
        self.remote.runtime.block_on(async {
            for (offset, piece) in (at..).step_by(REQUEST).zip(bytes.chunks(REQUEST)) {
                let (sftp, handle, data) = (Arc::clone(&self.link.sftp), self.handle.clone(), piece.to_vec());
                let mut request: Answer<Status> =
                    Box::pin(async move { sftp.write(handle, offset, data).await });
                match send(&mut request).await {
                    None => self.window.push_back(request),
                    Some(Ok(_)) => {}
                    Some(Err(fault)) => return Err(self.told(fault).await),
                }
                while self.window.len() >= WINDOW
                    && let Some(first) = self.window.pop_front()
                {
                    if let Err(fault) = first.await {
                        return Err(self.told(fault).await);
                    }
                }
            }
            Ok(())
        })
    }

    fn settle(&mut self, length: u64) -> Result<(), Error> {
        self.remote.runtime.block_on(async {
            while let Some(first) = self.window.pop_front() {
                if let Err(fault) = first.await {
                    return Err(self.told(fault).await);
                }
            }
            let settled = async {
                let sftp = &self.link.sftp;
                if sftp.fstat(self.handle.clone()).await?.attrs.size.is_some_and(|size| size > length) {
                    let size = FileAttributes { size: Some(length), ..FileAttributes::default() };
                    sftp.fsetstat(self.handle.clone(), size).await?;
                }
                if self.link.extensions.contains_key(FSYNC) {
                    sftp.fsync(self.handle.clone()).await?;
                }
                Ok(())
            };
            match settled.await {
                Ok(()) => Ok(()),
                Err(fault) => Err(self.told(fault).await),
            }
        })
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        let (sftp, handle) = (Arc::clone(&self.link.sftp), std::mem::take(&mut self.handle));
        drop(self.remote.runtime.spawn(async move { sftp.close(handle).await }));
    }
}

/// A file there, being read back.
pub(super) struct Back<'a> {
    pub(super) remote: &'a Remote,
    pub(super) link: Arc<Link>,
    pub(super) handle: String,
    pub(super) path: String,
    pub(super) read: AtomicBool,
}

impl Reading for Back<'_> {
    fn way(&self) -> ReadBack {
        if self.read.load(Ordering::Relaxed) { ReadBack::Sftp } else { ReadBack::Sha256sum }
    }

    fn digest(&self) -> Result<Option<Digest>, Error> {
        if !self.remote.runs.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let quoted = self.path.replace('\'', "'\\''");
        // A name that begins with a dash would be an option; `--` ends them.
        let said = self.remote.runtime.block_on(self.link.exec(&format!("sha256sum -b -- '{quoted}'")));
        if said.is_none() && self.link.is_closed() {
            return Err(Error::Link {
                place: self.remote.name.clone(),
                why: "the connection broke".to_owned(),
            });
        }
        let digest = said.and_then(|said| Digest::from_hex(std::str::from_utf8(&said).ok()?.get(..64)?).ok());
        if digest.is_none() {
            self.remote.runs.store(false, Ordering::Relaxed);
        }
        Ok(digest)
    }

    fn read(&self, from: u64, to: u64, each: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        self.read.store(true, Ordering::Relaxed);
        let ask = |at: u64| {
            let length = crate::checked::small(to - at).min(REQUEST);
            let (sftp, handle) = (Arc::clone(&self.link.sftp), self.handle.clone());
            let wanted = u32::try_from(length).unwrap_or(0);
            let request: Answer<Data> = Box::pin(async move { sftp.read(handle, at, wanted).await });
            (request, at, length)
        };
        let outcome = self.remote.runtime.block_on(async {
            let mut window: VecDeque<(Answer<Data>, u64, usize)> = VecDeque::new();
            let mut next = from;
            loop {
                while next < to && window.len() < WINDOW {
                    let (mut request, at, length) = ask(next);
                    next += length as u64;
                    match send(&mut request).await {
                        None => window.push_back((request, at, length)),
                        Some(done) => window.push_back((Box::pin(std::future::ready(done)), at, length)),
                    }
                }
                let Some((request, at, length)) = window.pop_front() else { return Ok(()) };
                let mut got = 0;
                let mut answer = request.await;
                loop {
                    match answer {
                        Ok(data) if !data.data.is_empty() && data.data.len() <= length - got => {
                            each(&data.data);
                            got += data.data.len();
                        }
                        Ok(_) => return Err(Fault::UnexpectedPacket),
                        // The file ends here.
                        Err(Fault::Status(status)) if status.status_code == StatusCode::Eof => return Ok(()),
                        Err(fault) => return Err(fault),
                    }
                    if got == length {
                        break;
                    }
                    // A server may give less than was asked for.
                    let missing = u32::try_from(length - got).unwrap_or(0);
                    answer = self.link.sftp.read(self.handle.clone(), at + got as u64, missing).await;
                }
            }
        });
        outcome
            .map_err(|fault| self.remote.runtime.block_on(self.remote.fault(&self.path, fault, &self.link)))
    }
}

impl Drop for Back<'_> {
    fn drop(&mut self) {
        let (sftp, handle) = (Arc::clone(&self.link.sftp), std::mem::take(&mut self.handle));
        drop(self.remote.runtime.spawn(async move { sftp.close(handle).await }));
    }
}
