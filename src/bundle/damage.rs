//! The damage report: what `bundle verify --json` writes, read back by the verbs that mend.
//!
//! It comes by mail from somebody whose stick is broken, so it is held to a shape, and nothing in it is believed: it only says where to
//! look. What it names is looked for in the signed index, and what is cut or written is compared with the signed hashes.

use serde::Deserialize;
use signing::{KeyId, Weight};

use crate::bundle::index::Release;
use crate::digest::Digest;
use crate::limits;
use crate::text::printable;

/// What is damaged, as somebody says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Damage {
    /// The release that was checked; `None` when its signatures did not hold.
    pub release: Option<Release>,
    /// SHA-256 of its `bundle.json`; `None` when its signatures did not hold.
    pub index: Option<Digest>,
    /// Whether nothing refused the bundle.
    pub ok: bool,
    /// How many findings there are, damage or not.
    pub findings: usize,
    /// What is damaged, in the order of the report.
    pub places: Vec<Place>,
}

/// One place that is damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The path that the report has; not yet one of the bundle.
    pub path: String,
    /// What of the file.
    pub what: What,
}

/// What of a file is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// All of it.
    Whole,
    /// One chunk, counted from 0.
    Chunk(u64),
    /// Its length is this.
    Length(u64),
}

/// Why bytes are not a damage report.
#[derive(Debug, thiserror::Error)]
pub enum DamageError {
    /// Larger than any real one.
    #[error("it is larger than {} bytes", limits::REPORT_BYTES)]
    TooLarge,
    /// Not JSON, or not of the shape.
    #[error("it is not a report of bundle verify --json: {0}")]
    Json(String),
}

/// What mending does not use of a report is not looked at, so that a later program may say more.
#[derive(Deserialize)]
#[allow(dead_code, reason = "what is not used must be there and of its type")]
struct Report {
    ok: bool,
    release: Option<Release>,
    index: Option<Digest>,
    signers: Vec<KeyId>,
    depth: String,
    volumes: u64,
    bytes: u64,
    bytes_listed: u64,
    blobs: u64,
    blobs_listed: u64,
    graphs: bool,
    findings: Vec<Finding>,
}

#[derive(Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
enum Finding {
    Missing(Whole),
    Changed(Changed),
    Size(Size),
    Damaged(Chunk),
    Unreadable(Unread),
    Denied(Unread),
    Gone(Unread),
    /// What mending does not mend; a later program may say more of such.
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "what is not used must be there and of its type")]
struct Whole {
    weight: Weight,
    path: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "what is not used must be there and of its type")]
struct Changed {
    weight: Weight,
    path: String,
    expected: Digest,
    got: Digest,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "what is not used must be there and of its type")]
struct Size {
    weight: Weight,
    path: String,
    expected: u64,
    got: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "what is not used must be there and of its type")]
struct Chunk {
    weight: Weight,
    path: String,
    chunk: u64,
    from: u64,
    to: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "what is not used must be there and of its type")]
struct Unread {
    weight: Weight,
    path: String,
    why: String,
}

impl Damage {
    /// Reads a report.
    ///
    /// # Errors
    /// Why `bytes` are none.
    pub fn parse(bytes: &[u8]) -> Result<Self, DamageError> {
        if bytes.len() as u64 > limits::REPORT_BYTES {
            return Err(DamageError::TooLarge);
        }
        let report: Report =
            serde_json::from_slice(bytes).map_err(|e| DamageError::Json(printable(&e.to_string(), 300)))?;
        let (ok, findings) = (report.ok, report.findings.len());
        let places = report.findings.into_iter().filter_map(|finding| {
            let (path, what) = match finding {
                Finding::Missing(Whole { path, .. })
                | Finding::Changed(Changed { path, .. })
                | Finding::Unreadable(Unread { path, .. })
                | Finding::Denied(Unread { path, .. })
                | Finding::Gone(Unread { path, .. }) => (path, What::Whole),
                Finding::Size(Size { path, got, .. }) => (path, What::Length(got)),
                Finding::Damaged(Chunk { path, chunk, .. }) => (path, What::Chunk(chunk)),
                Finding::Other => return None,
            };
            Some(Place { path, what })
        });
        Ok(Self { release: report.release, index: report.index, ok, findings, places: places.collect() })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const HEAD: &str = r#""ok":false,"signers":[],"depth":"bytes","volumes":1,"bytes":0,"bytes_listed":9,"blobs":0,"blobs_listed":1,"graphs":false"#;

    fn parse(findings: &str) -> Result<Damage, DamageError> {
        Damage::parse(format!("{{{HEAD},\"findings\":[{findings}]}}").as_bytes())
    }

    #[test]
    fn what_is_damaged_is_read_and_all_else_is_passed_over() {
        let damage = parse(concat!(
            r#"{"weight":"refuse","what":"damaged","path":"v","chunk":3,"from":1,"to":2},"#,
            r#"{"weight":"refuse","what":"size","path":"v","expected":9,"got":8},"#,
            r#"{"weight":"refuse","what":"missing","path":"README.md"},"#,
            r#"{"weight":"warn","what":"no-memory"},"#,
            r#"{"weight":"warn","what":"signature","detail":"x","key":"0011223344556677"},"#,
            r#"{"weight":"refuse","what":"extra","path":"../../x"}"#,
        ));
        let place = |path: &str, what| Place { path: path.to_owned(), what };
        let expected =
            [place("v", What::Chunk(3)), place("v", What::Length(8)), place("README.md", What::Whole)];
        assert_eq!(damage.unwrap().places, expected);
    }

    #[test]
    fn what_is_no_report_is_refused() {
        let twice = format!("{{{HEAD},{HEAD},\"findings\":[]}}");
        let deep = "[".repeat(100_000);
        for (reason, text) in [
            ("nothing", ""),
            ("another document", "{\"error\":{}}"),
            ("a field twice", twice.as_str()),
            ("depth", deep.as_str()),
        ] {
            assert!(Damage::parse(text.as_bytes()).is_err(), "{reason}");
        }
        for (reason, finding) in [
            ("no finding", r#"{"weight":"refuse","path":"v"}"#),
            ("an unknown field", r#"{"weight":"refuse","what":"missing","path":"v","x":1}"#),
            ("a missing field", r#"{"weight":"refuse","what":"damaged","path":"v","chunk":3}"#),
            (
                "a negative chunk",
                r#"{"weight":"refuse","what":"damaged","path":"v","chunk":-3,"from":1,"to":2}"#,
            ),
            (
                "a chunk past all numbers",
                r#"{"weight":"refuse","what":"damaged","path":"v","chunk":1e30,"from":1,"to":2}"#,
            ),
            ("a path that is a list", r#"{"weight":"refuse","what":"missing","path":["v"]}"#),
            ("an unknown weight", r#"{"weight":"maybe","what":"missing","path":"v"}"#),
        ] {
            assert!(parse(finding).is_err(), "{reason}");
        }
        let long = vec![b' '; usize::try_from(limits::REPORT_BYTES).unwrap() + 1];
        assert!(matches!(Damage::parse(&long), Err(DamageError::TooLarge)));
    }
}
