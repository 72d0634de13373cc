//! Kubernetes quantities, as nodes report them: `2`, `1930m`, `24683068Ki`, `1e3`.

/// What is counted in thousandths: `1930m` is 1930, `2` is 2000. `None` for what is no quantity, or no thousandth.
#[must_use]
pub fn millis(text: &str) -> Option<u64> {
    match text.strip_suffix('m') {
        Some(number) => number.parse().ok(),
        None => whole(text)?.checked_mul(1000).or(Some(u64::MAX)),
    }
}

/// A whole number of bytes or things. `None` for what is no quantity, or no whole number.
#[must_use]
pub fn whole(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 12] = [
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("Ti", 1 << 40),
        ("Pi", 1 << 50),
        ("Ei", 1 << 60),
        ("k", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
        ("P", 1_000_000_000_000_000),
        ("E", 1_000_000_000_000_000_000),
    ];
    if let Some(number) = text.strip_suffix('m') {
        return Some(number.parse::<u64>().ok()? / 1000);
    }
    let (number, unit) = UNITS
        .iter()
        .find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, *unit)))
        .unwrap_or((text, 1));
    let (number, power) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let power = 10u64.checked_pow(power.parse().ok()?)?;
    number.parse::<u64>().ok()?.checked_mul(power)?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_as_nodes_report_them() {
        for (text, wanted) in [
            ("24683068Ki", Some(25_275_461_632)),
            ("110", Some(110)),
            ("8Gi", Some(8 << 30)),
            ("5k", Some(5000)),
            ("12e6", Some(12_000_000)),
            ("48294789041m", Some(48_294_789)),
            ("1.5Gi", None),
            ("99999999E", None),
            ("", None),
            ("-1", None),
        ] {
            assert_eq!(whole(text), wanted, "{text}");
        }
        for (text, wanted) in [("2", Some(2000)), ("1930m", Some(1930)), ("x", None), ("m", None)] {
            assert_eq!(millis(text), wanted, "{text}");
        }
    }
}
