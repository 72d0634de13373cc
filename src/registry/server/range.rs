//! `Range`, as far as blobs need it: one run of bytes.
//!
//! RFC 9110 §14. More than one run, another unit or a malformed header are answered with the whole, which every client must take.

/// What a request wants of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it.
    Whole,
    /// From the first byte up to, not including, the second; not empty.
    Part(u64, u64),
    /// Bytes it does not have.
    Outside,
}

/// Reads `header` for a blob of `size` bytes.
pub(super) fn wanted(header: Option<&str>, size: u64) -> Wanted {
    let Some((first, last)) = header
        .and_then(|header| header.trim().strip_prefix("bytes="))
        .and_then(|range| range.trim().split_once('-'))
    else {
        return Wanted::Whole;
    };
    let number = |text: &str| match text {
        "" => Some(None),
        // A number too large for any blob is a number all the same.
        text if text.bytes().all(|b| b.is_ascii_digit()) => Some(Some(text.parse().unwrap_or(u64::MAX))),
        _ => None,
    };
    match (number(first), number(last)) {
        (Some(Some(first)), Some(Some(last))) if first > last => Wanted::Whole,
        (Some(Some(first)), Some(_)) if first >= size => Wanted::Outside,
        (Some(Some(first)), Some(last)) => {
            Wanted::Part(first, last.map_or(size, |last| last.saturating_add(1).min(size)))
        }
        // The last so many bytes.
        (Some(None), Some(Some(0))) => Wanted::Outside,
        (Some(None), Some(Some(_))) if size == 0 => Wanted::Outside,
        (Some(None), Some(Some(count))) => Wanted::Part(size.saturating_sub(count), size),
        _ => Wanted::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_run_of_bytes_is_understood() {
        for (header, wanted_of_ten) in [
            ("bytes=0-0", Wanted::Part(0, 1)),
            ("bytes=3-", Wanted::Part(3, 10)),
            ("bytes=3-99", Wanted::Part(3, 10)),
            ("bytes=0-9", Wanted::Part(0, 10)),
            ("bytes=9-9", Wanted::Part(9, 10)),
            ("bytes=-4", Wanted::Part(6, 10)),
            ("bytes=-40", Wanted::Part(0, 10)),
            ("bytes=10-", Wanted::Outside),
            ("bytes=10-12", Wanted::Outside),
            ("bytes=-0", Wanted::Outside),
            ("bytes=99999999999999999999999-", Wanted::Outside),
            ("bytes=0-99999999999999999999999", Wanted::Part(0, 10)),
            ("bytes=4-3", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("lines=0-1", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
        ] {
            assert_eq!(wanted(Some(header), 10), wanted_of_ten, "{header}");
        }
        assert_eq!(wanted(None, 10), Wanted::Whole);
        assert_eq!(wanted(Some("bytes=0-"), 0), Wanted::Outside);
        assert_eq!(wanted(Some("bytes=-1"), 0), Wanted::Outside);
    }
}
