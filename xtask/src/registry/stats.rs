//! What a registry saw.

use std::collections::BTreeMap;

use super::Kind;

/// One request as it came in and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// HTTP method.
    pub method: String,
    /// Path with its query.
    pub path: String,
    /// Endpoint.
    pub kind: Kind,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// The `Range` header.
    pub range: Option<String>,
    /// The `Content-Range` header.
    pub content_range: Option<String>,
    /// HTTP status answered; 0 while under way, and when the connection was dropped instead.
    pub status: u16,
}

/// Everything since the start or the last [`super::Server::reset_stats`].
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// Every request, in order of arrival.
    pub lines: Vec<Line>,
    /// Bytes of blob content taken in, torn and refused uploads included.
    pub blob_received: u64,
    /// Bytes of blob content sent out, torn answers included.
    pub blob_sent: u64,
    /// Bytes taken in for each digest that was finished.
    pub received: BTreeMap<String, u64>,
    /// Bytes sent out of each digest.
    pub sent: BTreeMap<String, u64>,
    /// The most requests under way at the same moment.
    pub peak: usize,
    /// Connections accepted.
    pub connections: u64,
    pub(super) under_way: usize,
    pub(super) open: usize,
}

impl Stats {
    /// Requests of `method` to `kind`.
    #[must_use]
    pub fn count(&self, method: &str, kind: Kind) -> usize {
        self.lines.iter().filter(|line| line.kind == kind && line.method == method).count()
    }

    /// Requests by method and endpoint.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<(String, Kind), usize> {
        let mut counts = BTreeMap::new();
        for line in &self.lines {
            *counts.entry((line.method.clone(), line.kind)).or_default() += 1;
        }
        counts
    }

    /// `METHOD /path?query` of every request, in order of arrival.
    #[must_use]
    pub fn request_lines(&self) -> Vec<String> {
        self.lines.iter().map(|line| format!("{} {}", line.method, line.path)).collect()
    }
}
