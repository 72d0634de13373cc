//! What is told of each request once it is over.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use serde::Serialize;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Who asked.
    pub peer: SocketAddr,
    /// As whom, where passwords are asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// How.
    pub method: String,
    /// For what: path and query.
    pub target: String,
    /// The answer.
    pub status: u16,
    /// Bytes of body that were handed to the network.
    pub bytes: u64,
    /// How long it took.
    pub milliseconds: u64,
    /// Why it was not served, or the body broken off, when it was not the client who left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// Whether the client left before the end.
    pub left: bool,
}

/// A connection that came to no request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// Who.
    pub peer: SocketAddr,
    /// Why.
    pub why: String,
}

/// Takes notes. Called from many threads, and must not block them for long.
pub trait Journal: Send + Sync + 'static {
    /// A request is over.
    fn request(&self, entry: &Entry);
    /// A connection was refused.
    fn refused(&self, refused: &Refused);
}

/// Why connections are cut, once they are; shared by those who cut and those who tell.
pub(super) type Cause = Arc<OnceLock<String>>;

/// The note on a request under way; written down when it is dropped, however it ended.
pub(super) struct Note {
    pub(super) entry: Entry,
    /// Bytes still to be handed on.
    pub(super) due: u64,
    begun: Instant,
    journal: Arc<dyn Journal>,
    /// Why its connection was cut, or all of them.
    causes: [Cause; 2],
    /// Where the reader puts what went wrong.
    pub(super) fault: Arc<Mutex<Option<String>>>,
}

impl Note {
    pub(super) fn begin(
        journal: &Arc<dyn Journal>,
        (peer, causes): (SocketAddr, [Cause; 2]),
        (method, target): (&str, &str),
    ) -> Self {
        let entry = Entry {
            peer,
            user: None,
            method: crate::text::printable(method, 20),
            target: crate::text::printable(target, 1000),
            status: 0,
            bytes: 0,
            milliseconds: 0,
            fault: None,
            left: false,
        };
        let journal = Arc::clone(journal);
        Self { entry, due: 0, begun: Instant::now(), journal, causes, fault: Arc::default() }
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        self.entry.milliseconds = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.entry.fault = self.fault.lock().ok().and_then(|mut fault| fault.take());
        if self.due > 0 && self.entry.fault.is_none() {
            self.entry.fault = self.causes.iter().find_map(|cause| cause.get().cloned());
        }
        self.entry.left = self.due > 0 && self.entry.fault.is_none();
        self.journal.request(&self.entry);
    }
}

/// Notes what went wrong with a request.
pub(super) fn tell(fault: &Mutex<Option<String>>, error: &dyn std::fmt::Display) {
    if let Ok(mut fault) = fault.lock() {
        *fault = Some(error.to_string());
    }
}
