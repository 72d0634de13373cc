//! The verdict about time, around every boundary.

use signing::Weight;
use signing::license::{Claims, Expect, Verdict, issue, judge};
use signing::time::Time;

use super::licenses::{claims, public, signer};

/// How a verdict about time is written in the tables: its name and its days.
fn said(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Valid { days_left, .. } => format!("valid {days_left}"),
        Verdict::Warning { days_left, .. } => format!("warning {days_left}"),
        Verdict::Grace { days_left, .. } => format!("grace {days_left}"),
        Verdict::Expired { .. } => "expired".to_owned(),
        Verdict::NotYetValid { .. } => "not yet".to_owned(),
        Verdict::ClockUnset => "no clock".to_owned(),
        Verdict::ClockBehind { .. } => "clock behind".to_owned(),
        other => format!("{other:?}"),
    }
}

fn time(text: &str) -> Time {
    text.parse().unwrap()
}

/// Judges `claims` at each moment, and compares.
fn table(claims: &Claims, expect: &Expect<'_>, rows: &[(Option<i64>, &str)]) {
    let token = issue(claims, &signer("ed25519")).unwrap();
    for (now, expected) in rows {
        let judgement = judge(token.as_bytes(), &public("ed25519"), expect, *now);
        let shown = now.and_then(Time::from_unix).map_or_else(|| format!("{now:?}"), |time| time.to_string());
        assert_eq!(said(judgement.verdict()), *expected, "at {shown}");
        // Whatever the time, the claims are the signed ones.
        assert_eq!(judgement.claims(), Some(claims));
    }
}

const DAY: i64 = 86_400;

#[test]
fn every_boundary_of_a_year() {
    // 2026-02-01 to 2027-01-01, issued on 2026-01-01; 14 days of warning and 30 of grace, by default.
    let claims = Claims { not_before: Some(time("2026-02-01T00:00:00Z")), ..claims() };
    let (issued, begin, end) = (1_767_225_600, 1_769_904_000, 1_798_761_600);
    let rows = [
        (issued - DAY, "clock behind"),
        (issued - 301, "clock behind"),
        // Within the leeway for a clock that is a little behind.
        (issued - 300, "not yet"),
        (issued - 1, "not yet"),
        (issued, "not yet"),
        (begin - 1, "not yet"),
        (begin, "valid 334"),
        (begin + 1, "valid 334"),
        (begin + DAY, "valid 333"),
        // 28 February and 1 March of a year without a leap day.
        (1_772_236_800, "valid 307"),
        (1_772_323_200, "valid 306"),
        (end - 15 * DAY - 1, "valid 16"),
        (end - 15 * DAY, "valid 15"),
        (end - 14 * DAY - 1, "valid 15"),
        (end - 14 * DAY, "warning 14"),
        (end - 14 * DAY + 1, "warning 14"),
        (end - 13 * DAY, "warning 13"),
        (end - DAY - 1, "warning 2"),
        (end - DAY, "warning 1"),
        (end - DAY + 1, "warning 1"),
        (end - 1, "warning 1"),
        (end, "grace 30"),
        (end + 1, "grace 30"),
        (end + DAY, "grace 29"),
        (end + 29 * DAY, "grace 1"),
        (end + 30 * DAY - 1, "grace 1"),
        (end + 30 * DAY, "expired"),
        (end + 30 * DAY + 1, "expired"),
        (end + 3660 * DAY, "expired"),
        (Time::LAST.unix(), "expired"),
        // No time that a clock of a machine can show.
        (Time::LAST.unix() + 1, "no clock"),
        (i64::MAX, "no clock"),
        (-1, "no clock"),
        (i64::MIN, "no clock"),
        // A clock that was never set shows 1970, or what its maker put there.
        (0, "clock behind"),
        (315_532_800, "clock behind"),
    ];
    let rows: Vec<_> = rows.into_iter().map(|(now, expected)| (Some(now), expected)).collect();
    table(&claims, &Expect::default(), &rows);
    table(&claims, &Expect::default(), &[(None, "no clock")]);
}

#[test]
fn every_day_around_warning_and_grace() {
    let claims = claims();
    let end = claims.expires.unix();
    let token = issue(&claims, &signer("ed25519")).unwrap();
    for day in -20..=35 {
        let expected = match day {
            ..-14 => format!("valid {}", -day),
            -14..0 => format!("warning {}", -day),
            0..30 => format!("grace {}", 30 - day),
            _ => "expired".to_owned(),
        };
        let judgement =
            judge(token.as_bytes(), &public("ed25519"), &Expect::default(), Some(end + day * DAY));
        assert_eq!(said(judgement.verdict()), expected, "day {day}");
    }
}

#[test]
fn a_leap_day_is_a_day() {
    // Expires on 29 February 2028; the grace of a day ends on 1 March.
    let claims =
        Claims { expires: time("2028-02-29T00:00:00Z"), grace_days: Some(1), warn_days: Some(1), ..claims() };
    let at = |text: &str| Some(time(text).unix());
    table(
        &claims,
        &Expect::default(),
        &[
            (at("2028-02-27T23:59:59Z"), "valid 2"),
            (at("2028-02-28T00:00:00Z"), "warning 1"),
            (at("2028-02-28T23:59:59Z"), "warning 1"),
            (at("2028-02-29T00:00:00Z"), "grace 1"),
            (at("2028-02-29T23:59:59Z"), "grace 1"),
            (at("2028-03-01T00:00:00Z"), "expired"),
            // An hour earlier by a clock two hours east: the same moment.
            (at("2028-03-01T01:59:59+02:00"), "grace 1"),
        ],
    );
}

#[test]
fn the_license_decides_over_who_asks_and_who_asks_over_the_default() {
    let end = claims().expires.unix();
    let asked = Expect { grace_days: 7, warn_days: 60, ..Expect::default() };
    table(
        &claims(),
        &asked,
        &[
            (Some(end - 60 * DAY - 1), "valid 61"),
            (Some(end - 60 * DAY), "warning 60"),
            (Some(end + 7 * DAY - 1), "grace 1"),
            (Some(end + 7 * DAY), "expired"),
        ],
    );
    // None of either: no word before, nothing after.
    let none = Claims { grace_days: Some(0), warn_days: Some(0), ..claims() };
    table(&none, &asked, &[(Some(end - 1), "valid 1"), (Some(end), "expired")]);
    let long = Claims { grace_days: Some(3660), warn_days: Some(3660), ..claims() };
    table(
        &long,
        &asked,
        &[
            (Some(long.issued.unix()), "warning 365"),
            (Some(end), "grace 3660"),
            (Some(end + 3660 * DAY - 1), "grace 1"),
            (Some(end + 3660 * DAY), "expired"),
        ],
    );
    // Who asks for more than a license can have gets that.
    let absurd = Expect { grace_days: u32::MAX, warn_days: u32::MAX, ..Expect::default() };
    table(
        &claims(),
        &absurd,
        &[(Some(end + 3660 * DAY - 1), "grace 1"), (Some(end + 3660 * DAY), "expired")],
    );
}

#[test]
fn nothing_overflows_at_the_end_of_time() {
    let claims = Claims { expires: Time::LAST, grace_days: Some(3660), ..claims() };
    let rows = [
        (Some(claims.issued.unix()), "valid 2912443"),
        (Some(Time::LAST.unix() - 1), "warning 1"),
        (Some(Time::LAST.unix()), "grace 3660"),
        (Some(Time::LAST.unix() + 1), "no clock"),
    ];
    table(&claims, &Expect::default(), &rows);
    let first =
        Claims { issued: Time::from_unix(0).unwrap(), expires: Time::from_unix(1).unwrap(), ..claims };
    table(&first, &Expect::default(), &[(Some(0), "warning 1"), (Some(1), "grace 3660")]);
}

#[test]
fn a_license_of_the_future_in_its_own_words() {
    // Issued now for next month: not a matter of a wrong clock.
    let claims = Claims { not_before: Some(time("2026-06-01T00:00:00Z")), ..claims() };
    let begin = time("2026-06-01T00:00:00Z");
    let token = issue(&claims, &signer("ed25519")).unwrap();
    let now = time("2026-05-31T23:59:59Z");
    let judgement = judge(token.as_bytes(), &public("ed25519"), &Expect::default(), Some(now.unix()));
    assert_eq!(judgement.verdict(), &Verdict::NotYetValid { from: begin, now });
    assert_eq!(judgement.weight(), Weight::Refuse);
}

#[test]
fn a_clock_that_tells_nothing_weighs_what_who_asks_says() {
    let token = issue(&claims(), &signer("ed25519")).unwrap();
    for (now, expected) in [(None, "no clock"), (Some(i64::MIN), "no clock"), (Some(0), "clock behind")] {
        for clock in [Weight::Ignore, Weight::Warn, Weight::Refuse] {
            let expect = Expect { clock, ..Expect::default() };
            let judgement = judge(token.as_bytes(), &public("ed25519"), &expect, now);
            assert_eq!((said(judgement.verdict()), judgement.weight()), (expected.to_owned(), clock));
            // It is still somebody's, and that is refused whatever the clock.
            let expect = Expect { customer: Some("umbrella"), ..expect };
            let judgement = judge(token.as_bytes(), &public("ed25519"), &expect, now);
            assert_eq!(judgement.weight(), Weight::Refuse);
            assert!(matches!(judgement.verdict(), Verdict::OtherCustomer { .. }));
        }
    }
}

#[test]
fn the_weights_of_what_time_does() {
    let token = issue(&claims(), &signer("ed25519")).unwrap();
    let end = claims().expires.unix();
    for (now, weight) in [
        (end - 15 * DAY, Weight::Ignore),
        (end - 14 * DAY, Weight::Warn),
        (end, Weight::Warn),
        (end + 30 * DAY, Weight::Refuse),
    ] {
        let judgement = judge(token.as_bytes(), &public("ed25519"), &Expect::default(), Some(now));
        assert_eq!(judgement.weight(), weight, "{now}");
    }
}
