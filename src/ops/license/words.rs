//! Verdicts in words: facts, without advice.

use signing::license::Verdict;

/// What a verdict says, as one line.
#[must_use]
pub fn told(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Valid { days_left, expires } => format!("valid until {expires}: {}", days(*days_left)),
        Verdict::Warning { days_left, expires } => {
            format!("expires soon, on {expires}: {}", days(*days_left))
        }
        Verdict::Grace { days_left, expired, until } => {
            format!("expired on {expired}, and in its grace until {until}: {}", days(*days_left))
        }
        Verdict::Expired { expired, grace_ended, now } if expired == grace_ended => {
            format!("expired on {expired}; it is {now}")
        }
        Verdict::Expired { expired, grace_ended, now } => {
            format!("expired on {expired}, and its grace ended on {grace_ended}; it is {now}")
        }
        Verdict::NotYetValid { from, now } => format!("not valid before {from}; it is {now}"),
        Verdict::ClockUnset => "the clock is not set, so whether it has expired was not checked".to_owned(),
        Verdict::ClockBehind { issued, now } => format!(
            "the clock shows {now}, before the licence was issued on {issued}, so whether it has expired was not checked"
        ),
        Verdict::OtherCustomer { got, expected } => format!("it is the licence of {got}, not of {expected}"),
        Verdict::OtherIssuer { got, expected } => format!("{got} issued it, not {expected}"),
        Verdict::LacksFeatures { missing } => format!("it does not grant {}", missing.join(", ")),
        Verdict::WrongKey { named: Some(named), algorithm, key } => {
            format!("it is signed ({algorithm}) with key {named}, not with {key}")
        }
        Verdict::WrongKey { named: None, algorithm, key } => {
            format!("it is signed ({algorithm}) with a key of another kind than {key}")
        }
        Verdict::Altered { key, named: true } => {
            format!("the signature does not hold under key {key}, which it names: it was altered or forged")
        }
        Verdict::Altered { key, named: false } => {
            format!(
                "the signature does not hold under key {key}: it was altered, or is signed with another key"
            )
        }
        Verdict::WrongAlgorithm { got, expected } => {
            format!("it asks to be checked by \"{got}\"; the key stands for {expected} alone")
        }
        Verdict::Malformed { part, why } => format!("it is not a licence: {part}: {why}"),
        Verdict::Oversized { limit } => format!("it is not a licence: it has more than {limit} bytes"),
    }
}

fn days(left: u32) -> String {
    match left {
        1 => "1 day left".to_owned(),
        left => format!("{left} days left"),
    }
}
