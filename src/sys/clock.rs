//! What time it is.

use std::time::{SystemTime, UNIX_EPOCH};

/// 2026-01-01T00:00:00Z: no clock that was ever set shows an earlier time to this program.
const EARLIEST: i64 = 1_767_225_600;

/// Seconds since 1970; `None` when the clock was evidently never set (it shows a time before this program existed).
#[must_use]
pub fn now() -> Option<i64> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    i64::try_from(seconds).ok().filter(|seconds| *seconds >= EARLIEST)
}
