//! Points in time as policies write them: RFC 3339, to the second. No clock.

use std::fmt;
use std::str::FromStr;

use crate::text::printable;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Seconds since 1970-01-01T00:00:00Z, in the years 1970 to 9999; printed `2026-01-31T08:00:00Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

/// The text is not a point in time as RFC 3339 writes it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a time: expected RFC 3339 to the second, like 2026-01-31T08:00:00Z")]
pub struct TimeError(String);

/// 9999-12-31T23:59:59Z.
const LAST: i64 = 253_402_300_799;

impl Time {
    /// A time from seconds since 1970; `None` before 1970 and after 9999.
    #[must_use]
    pub fn from_unix(seconds: i64) -> Option<Self> {
        (0..=LAST).contains(&seconds).then_some(Self(seconds))
    }

    /// The last moment that is a time.
    pub const LAST: Self = Self(LAST);

    /// Seconds since 1970.
    #[must_use]
    pub fn unix(self) -> i64 {
        self.0
    }
}

impl FromStr for Time {
    type Err = TimeError;

    /// RFC 3339, §5.6, with upper-case `T` and `Z`, without fractions and leap seconds; an offset is folded in.
    fn from_str(text: &str) -> Result<Self, TimeError> {
        let error = || TimeError(printable(text, 40));
        parse(text.as_bytes()).and_then(Self::from_unix).ok_or_else(error)
    }
}

fn parse(text: &[u8]) -> Option<i64> {
    let (moment, zone) = text.split_at_checked(19)?;
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if !separators.iter().all(|(at, byte)| moment[*at] == *byte) {
        return None;
    }
    let (year, month, day) = (digits(&moment[0..4])?, digits(&moment[5..7])?, digits(&moment[8..10])?);
    let (hour, minute, second) =
        (digits(&moment[11..13])?, digits(&moment[14..16])?, digits(&moment[17..19])?);
    if !(1..=12).contains(&month)
        || !(1..=days_in(year, month)).contains(&day)
        || hour > 23
        || minute > 59
        || second > 59
    {
        return None;
    }
    let offset = match zone {
        b"Z" => 0,
        [sign @ (b'+' | b'-'), a, b, b':', c, d] => {
            let (hours, minutes) = (digits(&[*a, *b])?, digits(&[*c, *d])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let offset = hours * 3600 + minutes * 60;
            if *sign == b'+' { offset } else { -offset }
        }
        _ => return None,
    };
    Some(days_before(year, month) * 86_400 + (day - 1) * 86_400 + hour * 3600 + minute * 60 + second - offset)
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
}

fn leap(year: i64) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to the first of the month.
fn days_before(year: i64, month: i64) -> i64 {
    let past = year - 1;
    let leaps = past / 4 - past / 100 + past / 400;
    let in_year: i64 = (1..month).map(|m| days_in(year, m)).sum();
    // 719,162 days lie between 0001-01-01 and 1970-01-01.
    past * 365 + leaps + in_year - 719_162
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, seconds) = (self.0 / 86_400, self.0 % 86_400);
        // A year's guess from the mean length is at most one too high.
        let mut year = 1970 + days / 365;
        while days_before(year, 1) > days {
            year -= 1;
        }
        let mut month = 12;
        while days_before(year, month) > days {
            month -= 1;
        }
        let day = days - days_before(year, month) + 1;
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_printed() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:34:56Z", 951_827_696),
            ("2026-11-24T02:37:00Z", 1_795_487_820),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
            ("9999-12-31T23:59:59Z", LAST),
        ] {
            let time: Time = text.parse().unwrap();
            assert_eq!((time.unix(), time.to_string().as_str()), (seconds, text));
        }
        let shifted: Time = "2026-11-24T04:37:00+02:00".parse().unwrap();
        assert_eq!(shifted.to_string(), "2026-11-24T02:37:00Z");
    }

    #[test]
    fn every_other_form_is_refused() {
        for bad in [
            "",
            "2026-11-24",
            "2026-11-24T02:37:00",
            "2026-11-24t02:37:00Z",
            "2026-11-24T02:37:00z",
            "2026-11-24 02:37:00Z",
            "2026-11-24T02:37:00.5Z",
            "2026-11-24T02:37:60Z",
            "2026-11-24T24:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+01:00",
            "9999-12-31T23:59:59-00:01",
            "2026-11-24T02:37:00+0200",
            "+026-11-24T02:37:00Z",
            "２026-11-24T02:37:00Z",
        ] {
            assert!(bad.parse::<Time>().is_err(), "{bad}");
        }
    }

    #[test]
    fn every_day_survives_the_round_trip() {
        for day in 0..=LAST / 86_400 {
            let time = Time::from_unix(day * 86_400 + 86_399).unwrap();
            if day % 7 == 0 || day < 40_000 {
                assert_eq!(time.to_string().parse::<Time>().unwrap(), time);
            }
        }
    }
}
