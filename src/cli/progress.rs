//! How long work is shown while it lasts: bars on a terminal, a few lines a minute elsewhere, events for programs.
//!
//! All three watch the same [`Tally`]. Observers are called from many threads, so each does little and never waits for a reader for long.

mod bars;
mod lines;
mod plain;
mod tally;

pub(super) use bars::Bars;
pub(super) use lines::Lines;
pub(super) use plain::Plain;
use tally::Tally;

/// `1 min 5 s`: two units, enough to wait by.
fn duration(seconds: u64) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest} s"),
        (0, _) => format!("{minutes} min {rest} s"),
        _ => format!("{hours} h {minutes} min"),
    }
}

/// What is tried again, and when.
fn retry(what: &str, why: &str, attempt: u32, wait_ms: u64) -> String {
    let wait =
        if wait_ms < 1000 { "now".to_owned() } else { format!("in {}", duration(wait_ms.div_ceil(1000))) };
    // The reason often names the thing itself.
    if why.contains(what) {
        format!("{why}; attempt {attempt} {wait}")
    } else {
        format!("{what}: {why}; attempt {attempt} {wait}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units() {
        for (seconds, text) in
            [(0, "0 s"), (59, "59 s"), (65, "1 min 5 s"), (3600, "1 h 0 min"), (90061, "25 h 1 min")]
        {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn a_retry_names_the_thing_once() {
        assert_eq!(retry("r/a", "r/a: reset", 2, 0), "r/a: reset; attempt 2 now");
        assert_eq!(retry("r/a", "reset", 3, 1500), "r/a: reset; attempt 3 in 2 s");
    }
}
