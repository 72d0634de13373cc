//! When a request is worth another attempt, and after which wait. Decides; does not wait itself.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::Error;
use crate::sys::clock;

/// The longest wait a registry can ask for with `Retry-After`: longer, and a person should hear of it.
const LONGEST_ASKED: Duration = Duration::from_secs(300);
/// The longest wait of our own choosing.
const LONGEST_OWN: Duration = Duration::from_secs(30);

/// A failed attempt.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    /// What to report when it was the last one.
    pub(super) error: Error,
    /// Whether another attempt can help.
    pub(super) again: Again,
}

/// Whether another attempt can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// No: the answer stands.
    Never,
    /// Yes, after our own wait.
    Soon,
    /// Yes, after the wait the registry asked for.
    After(Duration),
}

impl From<Error> for Failure {
    /// A fault that stands.
    fn from(error: Error) -> Self {
        Self { error, again: Again::Never }
    }
}

impl Failure {
    /// A fault that may pass.
    pub(super) fn passing(error: Error) -> Self {
        Self { error, again: Again::Soon }
    }
}

/// Whether a status says "not now" (RFC 9110 §15, RFC 6585 §4).
pub(super) fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}

/// How soon an answer with a passing status wants to be asked again.
pub(super) fn again(headers: &HeaderMap) -> Again {
    headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| retry_after(value, clock::now()))
        .map_or(Again::Soon, Again::After)
}

/// `Retry-After` as a wait from `now` (seconds since 1970, where the clock is set): seconds or an HTTP date (RFC 9110 §10.2.3), at most five minutes.
fn retry_after(value: &str, now: Option<i64>) -> Option<Duration> {
    let value = value.trim();
    let wait = if value.bytes().all(|b| b.is_ascii_digit()) && !value.is_empty() {
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let then = jiff::fmt::rfc2822::parse(value).ok()?.timestamp().as_second();
        Duration::from_secs(u64::try_from(then - now?).unwrap_or(0))
    };
    Some(wait.min(LONGEST_ASKED))
}

/// The wait before the attempt after `failures` ones: `first` doubled each time, half of it chosen by chance so that many
/// clients do not come back at once.
pub(super) fn wait(again: Again, first: Duration, failures: u32) -> Duration {
    if let Again::After(asked) = again {
        return asked;
    }
    let whole = first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST_OWN);
    let chance = u32::try_from(RandomState::new().build_hasher().finish() % 1000).unwrap_or(0);
    whole / 2 + whole / 2 * chance / 1000
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date_and_bounded() {
        let now: jiff::Timestamp = "2026-11-24T10:00:00Z".parse().unwrap();
        let now = Some(now.as_second());
        for (value, wanted) in [
            ("0", Some(0)),
            (" 7 ", Some(7)),
            ("300", Some(300)),
            ("301", Some(300)),
            ("99999999999999999999999", Some(300)),
            ("Tue, 24 Nov 2026 10:00:09 GMT", Some(9)),
            ("Tue, 24 Nov 2026 09:00:00 GMT", Some(0)),
            ("Wed, 24 Nov 2027 10:00:00 GMT", Some(300)),
            ("", None),
            ("-1", None),
            ("soon", None),
        ] {
            let got = retry_after(value, now).map(|d| d.as_secs());
            assert_eq!(got, wanted, "{value}");
        }
        assert_eq!(retry_after("Tue, 24 Nov 2026 10:00:09 GMT", None), None);
    }

    #[test]
    fn waits_grow_and_stay_bounded() {
        let first = Duration::from_millis(500);
        for (failures, most) in [(1, 500), (2, 1000), (3, 2000), (40, 30_000)] {
            let wait = wait(Again::Soon, first, failures).as_millis();
            assert!(wait >= most / 2 && wait <= most, "{failures}: {wait}");
        }
        assert_eq!(wait(Again::After(Duration::from_secs(3)), first, 9), Duration::from_secs(3));
    }
}
