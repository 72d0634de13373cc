//! The threads that connections live on: one for each connection, as far as they go.
//!
//! A body costs least where one thread reads it, opens it, hashes it and writes it to the socket: its bytes stay in that core's cache, and
//! nobody is woken for each piece. So a body is read where its connection is looked after, and whoever else lives on that thread waits
//! meanwhile. Threads are begun as connections come; when there are as many as may be, the one with the fewest connections takes the next.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::Builder;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::limits;

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
#[derive(Default)]
pub(super) struct Workers(Vec<Worker>);

impl Workers {
    /// Has `live` look after `stream` on one of the threads.
    pub(super) fn take<F>(
        &mut self,
        stream: TcpStream,
        live: impl FnOnce(tokio::net::TcpStream) -> F + Send + 'static,
    ) -> std::io::Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let least = self.0.iter().min_by_key(|worker| worker.connections.load(Ordering::Relaxed));
        let idle = least.is_some_and(|worker| worker.connections.load(Ordering::Relaxed) == 0);
        if !idle && self.0.len() < limits::SERVE_READERS {
            // Without a thread more, those that there are have to do.
            match Worker::begin() {
                Ok(worker) => self.0.push(worker),
                Err(error) if self.0.is_empty() => return Err(error),
                Err(_) => {}
            }
        }
        let all = self.0.iter().min_by_key(|worker| worker.connections.load(Ordering::Relaxed));
        let Some(worker) = all else { return Ok(()) };
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
}

impl Worker {
    fn begin() -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (work, mut queue) = unbounded_channel::<Work>();
        std::thread::Builder::new().name("serve".to_owned()).spawn(move || {
            runtime.block_on(async {
                while let Some(work) = queue.recv().await {
                    tokio::spawn(work());
                }
            });
            // A thread that tries a password is not waited for.
            runtime.shutdown_background();
        })?;
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
