//! Who carries large bodies: the thread that reads them.
//!
//! A body costs least where one thread opens it, hashes it and writes it to the socket: its bytes stay in that core's cache, and nobody is
//! woken for each piece. So every upload has a runtime of one thread and an HTTP client of its own. A connection that ended well is used
//! again by the next upload; any other is closed with its porter, because nobody would look after it in the meantime.

use std::sync::{Mutex, PoisonError};

use tokio::runtime::{Builder, Runtime};

use super::Error;
use super::http::Http;

/// A runtime of this thread alone, and a client whose connections live in it.
pub(super) struct Porter {
    pub(super) runtime: Runtime,
    pub(super) http: Http,
}

/// The porters who wait for the next upload: at most as many as ever worked at the same time.
#[derive(Default)]
pub(super) struct Porters(Mutex<Vec<Porter>>);

impl Porters {
    /// One who waits, or else a new one with a client like `http`.
    pub(super) fn take(&self, http: &Http) -> Result<Porter, Error> {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(porter) = waiting {
            return Ok(porter);
        }
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::Setup { why: error.to_string() })?;
        Ok(Porter { runtime, http: http.another()? })
    }

    /// Takes back one whose connection may be used again.
    pub(super) fn put(&self, porter: Porter) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(porter);
    }
}
