//! Reading and deleting blobs (distribution-spec §Pulling Blobs, §Deleting Blobs; RFC 9110 §14 for `Range`).

use std::ops::RangeInclusive;

use bytes::Bytes;
use hyper::header::{ACCEPT_RANGES, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use hyper::{Method, StatusCode};

use super::body::Outgoing;
use super::connection::Call;
use super::content::Blob;
use super::reply::{Outcome, empty, error, name, refuse, set, with_body};
use super::route::{Route, valid_digest};

pub(super) fn handle(call: &mut Call) -> Outcome {
    let Route::Blob { repository, digest } = &call.route else {
        return Ok(empty(StatusCode::NOT_FOUND));
    };
    if !valid_digest(digest) {
        return Err(refuse(StatusCode::BAD_REQUEST, "DIGEST_INVALID", "not a sha256 digest"));
    }
    let found = call.shared.content().blob(repository, digest).cloned();
    let Some(blob) = found else {
        return Err(refuse(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", "no such blob in this repository"));
    };
    match call.parts.method {
        Method::HEAD => {
            let mut reply = empty(StatusCode::OK);
            describe(&mut reply, digest);
            set(&mut reply, hyper::header::CONTENT_LENGTH, &blob.length().to_string());
            Ok(reply)
        }
        Method::GET => read(call, digest, &blob),
        Method::DELETE => {
            if let Some(held) = call.shared.content().repositories.get_mut(repository) {
                held.blobs.remove(digest);
            }
            Ok(empty(StatusCode::ACCEPTED))
        }
        _ => {
            Ok(error(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "blobs are read, asked after or deleted"))
        }
    }
}

fn describe(reply: &mut super::reply::Reply, digest: &str) {
    set(reply, CONTENT_TYPE, "application/octet-stream");
    set(reply, ACCEPT_RANGES, "bytes");
    set(reply, name("docker-content-digest"), digest);
}

fn read(call: &Call, digest: &str, blob: &Blob) -> Outcome {
    let length = blob.length();
    let range = match call.header(RANGE).map(|text| wanted(text, length)) {
        Some(Wanted::Part(range)) => Some(range),
        Some(Wanted::Unsatisfiable) => {
            let mut reply =
                error(StatusCode::RANGE_NOT_SATISFIABLE, "SIZE_INVALID", "the blob has no such bytes");
            set(&mut reply, CONTENT_RANGE, &format!("bytes */{length}"));
            return Ok(reply);
        }
        Some(Wanted::Whole) | None => None,
    };
    let (offset, size) = match &range {
        Some(range) => (*range.start(), range.end() - range.start() + 1),
        None => (0, length),
    };
    let body = match blob {
        Blob::Memory(bytes) => Outgoing::bytes(part(bytes, offset, size)),
        Blob::File { path, .. } => Outgoing::file(path, offset, size).map_err(|_| {
            refuse(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", "the file behind the blob cannot be read")
        })?,
        Blob::Discarded { .. } => {
            return Err(refuse(
                StatusCode::NOT_FOUND,
                "BLOB_UNKNOWN",
                "this registry drops what it takes in",
            ));
        }
    };
    let status = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let mut reply = with_body(status, body.counted(call.shared.clone(), digest));
    describe(&mut reply, digest);
    if let Some(range) = range {
        set(&mut reply, CONTENT_RANGE, &format!("bytes {}-{}/{length}", range.start(), range.end()));
    }
    Ok(reply)
}

pub(crate) fn part(bytes: &Bytes, offset: u64, size: u64) -> Bytes {
    let at = |value: u64| usize::try_from(value).map_or(bytes.len(), |value| value.min(bytes.len()));
    bytes.slice(at(offset)..at(offset + size))
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Whole,
    Part(RangeInclusive<u64>),
    Unsatisfiable,
}

/// One range of bytes; several, or another unit, mean the whole (RFC 9110 lets a server ignore them).
pub(crate) fn wanted(text: &str, length: u64) -> Wanted {
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Wanted::Whole;
    };
    let range = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => first..=last.min(length.saturating_sub(1)),
        (Ok(first), Err(_)) if last.is_empty() => first..=length.saturating_sub(1),
        (Err(_), Ok(suffix)) if first.is_empty() && suffix > 0 && length > 0 => {
            length.saturating_sub(suffix)..=length - 1
        }
        (Err(_), Ok(_)) if first.is_empty() => return Wanted::Unsatisfiable,
        _ => return Wanted::Whole,
    };
    if *range.start() >= length { Wanted::Unsatisfiable } else { Wanted::Part(range) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        assert_eq!(wanted("bytes=0-0", 10), Wanted::Part(0..=0));
        assert_eq!(wanted("bytes=3-", 10), Wanted::Part(3..=9));
        assert_eq!(wanted("bytes=3-99", 10), Wanted::Part(3..=9));
        assert_eq!(wanted("bytes=-4", 10), Wanted::Part(6..=9));
        assert_eq!(wanted("bytes=-99", 10), Wanted::Part(0..=9));
        assert_eq!(wanted("bytes=10-", 10), Wanted::Unsatisfiable);
        assert_eq!(wanted("bytes=0-", 0), Wanted::Unsatisfiable);
        assert_eq!(wanted("bytes=5-3", 10), Wanted::Whole);
        assert_eq!(wanted("lines=0-3", 10), Wanted::Whole);
        assert_eq!(wanted("bytes=0-1,4-5", 10), Wanted::Whole);
    }
}
