//! Links drop: the same is tried again, later and later, and for ever as long as something moves between.

use std::time::Duration;

use crate::courier::Error;
use crate::progress::{Event, Observer};

/// Tries in a row in which nothing moved.
const ATTEMPTS: u32 = 8;
/// The first wait; each is twice as long as the one before.
const FIRST: Duration = Duration::from_millis(200);
/// The longest one.
const LONGEST: Duration = Duration::from_secs(30);

/// Does `work` until it ends otherwise than by a link that dropped; `moved` tells what moved so far.
pub(super) fn patiently<T>(
    observer: &dyn Observer,
    work: &mut dyn FnMut() -> Result<T, Error>,
    moved: &dyn Fn() -> u64,
) -> Result<T, Error> {
    let (mut attempt, mut before) = (1, moved());
    loop {
        let (place, why) = match work() {
            Err(Error::Link { place, why }) => (place, why),
            other => return other,
        };
        let now = moved();
        if now > before {
            (attempt, before) = (1, now);
        }
        attempt += 1;
        if attempt > ATTEMPTS {
            return Err(Error::Link { place, why });
        }
        let wait = FIRST.saturating_mul(1 << (attempt - 2)).min(LONGEST);
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        observer.event(Event::Retry { what: &place, why: &why, attempt, wait_ms });
        std::thread::sleep(wait);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    #[test]
    fn it_goes_on_while_something_moves_and_ends_with_the_last_fault() {
        let mut left = 4;
        let moving = std::cell::Cell::new(0);
        let link = || Error::Link { place: "there".into(), why: "cut".into() };
        let done = patiently(
            &Silent,
            &mut || {
                moving.set(moving.get() + 1);
                left -= 1;
                if left == 0 { Ok(()) } else { Err(link()) }
            },
            &|| moving.get(),
        );
        assert!(done.is_ok());
        let other = patiently(&Silent, &mut || Err::<(), _>(Error::Full { place: "there".into() }), &|| 0);
        assert!(matches!(other, Err(Error::Full { .. })));
    }
}
