//! The threads that connections live on: one for each connection, as far as they go.
//!
//! A body costs least where one thread reads it, opens it, hashes it and writes it to the socket: its bytes stay in that core's cache, and
//! nobody is woken for each piece. So a body is read where its connection is looked after (what is opened ahead for a lone reader is
//! opened elsewhere), and whoever else lives on that thread waits for a few pieces, or for a medium that does not answer.
//! Threads are begun as connections come; when there are as many as may be, the one with the fewest connections takes the next.

use std::convert::Infallible;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::limits;

/// Threads that one of these may have beside it, for manifests and passwords.
const BLOCKING: usize = 2;
/// How long such a one waits for more.
const LINGER: Duration = Duration::from_millis(200);

/// How long threads are waited for at the end.
const LAST: Duration = Duration::from_secs(2);

/// What becomes of a connection on its thread.
type Work = Box<dyn FnOnce() -> Life + Send>;
/// A connection from its beginning to its end.
type Life = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// A thread, as those see it who give it connections.
struct Worker {
    work: UnboundedSender<Work>,
    connections: Arc<AtomicUsize>,
}

/// All threads. Dropped, they cut the connections they still have.
pub(super) struct Workers {
    all: Vec<Worker>,
    /// Every thread has one end of it as long as it lives.
    alive: (Sender<Infallible>, Receiver<Infallible>),
}

impl Default for Workers {
    fn default() -> Self {
        Self { all: Vec::new(), alive: channel() }
    }
}

impl Workers {
    /// Has `live` look after `stream` on one of the threads.
    pub(super) fn take<F>(
        &mut self,
        stream: TcpStream,
        live: impl FnOnce(tokio::net::TcpStream) -> F + Send + 'static,
    ) -> io::Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let idle = self.least().is_some_and(|worker| worker.connections.load(Ordering::Relaxed) == 0);
        if !idle && self.all.len() < limits::SERVE_THREADS {
            // Without a thread more, those that there are have to do.
            match Worker::begin(self.alive.0.clone()) {
                Ok(worker) => self.all.push(worker),
                Err(error) if self.all.is_empty() => return Err(error),
                Err(_) => {}
            }
        }
        let Some(worker) = self.least() else { return Ok(()) };
        let here = Here::enter(&worker.connections);
        let work = Box::new(move || -> Life {
            Box::pin(async move {
                let _here = here;
                if let Ok(stream) = tokio::net::TcpStream::from_std(stream) {
                    live(stream).await;
                }
            })
        });
        // A thread ends only when this is dropped.
        let _ = worker.work.send(work);
        Ok(())
    }

    /// Cuts the connections there still are, and waits a moment until that is told of each; a thread that hangs in a medium is not waited
    /// for.
    pub(super) fn end(self) {
        let Self { all, alive: (own, others) } = self;
        drop((all, own));
        let _ = others.recv_timeout(LAST);
    }

    /// The one with the fewest connections.
    fn least(&self) -> Option<&Worker> {
        self.all.iter().min_by_key(|worker| worker.connections.load(Ordering::Relaxed))
    }
}

impl Worker {
    fn begin(alive: Sender<Infallible>) -> io::Result<Self> {
        let (work, mut queue) = unbounded_channel::<Work>();
        let (begun, answer) = sync_channel(1);
        // The runtime is made on its thread: one that is given up may not be dropped inside of another.
        std::thread::Builder::new().name("serve".to_owned()).spawn(move || {
            let built = Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads(BLOCKING)
                .thread_keep_alive(LINGER)
                .build();
            let runtime = match built {
                Ok(runtime) => runtime,
                Err(error) => return drop(begun.send(Err(error))),
            };
            let _ = begun.send(Ok(()));
            runtime.block_on(async {
                while let Some(work) = queue.recv().await {
                    tokio::spawn(work());
                }
            });
            // A thread that tries a password is not waited for.
            runtime.shutdown_background();
            drop(alive);
        })?;
        answer.recv().unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))?;
        Ok(Self { work, connections: Arc::default() })
    }
}

/// Counts a connection on its thread as long as it lives.
struct Here(Arc<AtomicUsize>);

impl Here {
    fn enter(connections: &Arc<AtomicUsize>) -> Self {
        connections.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(connections))
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::TcpListener;

    use tokio::io::AsyncReadExt as _;

    use super::*;

    /// A connection from here to `listener`: its client's end, and the server's.
    fn connected(listener: &TcpListener) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        (client, stream)
    }

    #[test]
    fn connections_share_threads_only_when_there_are_no_more_of_them() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (mut workers, (told, over)) = (Workers::default(), channel());
        let live = |workers: &mut Workers| {
            let (client, stream) = connected(&listener);
            let told = told.clone();
            let life = move |mut stream: tokio::net::TcpStream| async move {
                let _ = stream.read_u8().await;
                told.send(()).unwrap();
            };
            workers.take(stream, life).unwrap();
            client
        };
        // One after the other.
        for _ in 0..3 {
            drop(live(&mut workers));
            over.recv().unwrap();
            while workers.all[0].connections.load(Ordering::Relaxed) > 0 {
                std::thread::yield_now();
            }
        }
        assert_eq!(workers.all.len(), 1);
        // At the same time.
        let all: Vec<TcpStream> = (0..limits::SERVE_THREADS + 4).map(|_| live(&mut workers)).collect();
        assert_eq!(workers.all.len(), limits::SERVE_THREADS);
        let most = workers.all.iter().map(|worker| worker.connections.load(Ordering::Relaxed)).max();
        assert_eq!(most, Some(2));
        let count = all.len();
        drop(all);
        (0..count).for_each(|_| over.recv().unwrap());
        // What is still there is cut with the threads.
        let (mut client, stream) = connected(&listener);
        workers.take(stream, |mut stream| async move { drop(stream.read_u8().await) }).unwrap();
        workers.end();
        assert_eq!(std::io::Read::read(&mut client, &mut [0]).unwrap(), 0);
    }
}
