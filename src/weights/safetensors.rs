//! `safetensors` headers, checked while a file passes: the first bytes are kept until the header is whole, the rest is only counted.
//!
//! The format is eight bytes of little-endian length, that much JSON, and the tensors' bytes. Its rules (safetensors README, "Format" and
//! "Notes"): the JSON begins with `{` and may be padded with spaces; no key twice; each tensor has the bytes its type and shape need; all
//! tensors together cover the rest of the file, without hole or overlap. In which order the header names them is free.
//!
//! Deliberately absent: any look at the values (NaN and infinity are theirs to have).

use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, Visitor};

use crate::checked::small;
use crate::limits;
use crate::text::printable;

/// Why a file is not a whole `safetensors` file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The file ends before its header does.
    #[error("its header should have {wanted} bytes and the file has {size}")]
    Cut {
        /// Bytes of length and header.
        wanted: u64,
        /// Bytes of the file.
        size: u64,
    },
    /// A header longer than is read.
    #[error(
        "its header says that it is {length} bytes long; at most {} are read",
        limits::SAFETENSORS_HEADER_BYTES
    )]
    TooLong {
        /// What it says.
        length: u64,
    },
    /// Not JSON of the right shape.
    #[error("its header is not one: {0}")]
    Json(String),
    /// More tensors than any real file.
    #[error("its header names more than {} tensors", limits::SAFETENSORS_TENSORS)]
    TooMany,
    /// A type this program does not know the size of.
    #[error("tensor {tensor} is of the unknown type {dtype}")]
    Type {
        /// Which tensor.
        tensor: String,
        /// Its type.
        dtype: String,
    },
    /// Type and shape need other bytes than the offsets give.
    #[error("tensor {tensor} needs {needs} bytes and has {has}")]
    Size {
        /// Which tensor.
        tensor: String,
        /// Bytes by type and shape.
        needs: u128,
        /// Bytes by offsets.
        has: u64,
    },
    /// Type and shape multiply to more than any file.
    #[error("tensor {0} has a shape that no file can hold")]
    Shape(String),
    /// Offsets the wrong way round.
    #[error("tensor {tensor} ends at byte {end}, before it begins at {begin}")]
    Backwards {
        /// Which tensor.
        tensor: String,
        /// Its first byte.
        begin: u64,
        /// One past its last.
        end: u64,
    },
    /// Two tensors share bytes.
    #[error("tensor {tensor} begins at byte {begin}, inside the one before it, which ends at {before}")]
    Overlap {
        /// The second.
        tensor: String,
        /// Its first byte.
        begin: u64,
        /// Where the first ends.
        before: u64,
    },
    /// Bytes that belong to no tensor.
    #[error("bytes {from} to {to} after the header belong to no tensor")]
    Hole {
        /// The first.
        from: u64,
        /// One past the last.
        to: u64,
    },
    /// A tensor outside the file.
    #[error("its tensors end at byte {end} after the header, and the file has {has} there")]
    Outside {
        /// Where the tensors end.
        end: u64,
        /// Bytes after the header.
        has: u64,
    },
}

/// What a whole file holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tensors {
    /// The tensors' names.
    pub names: HashSet<String>,
    /// Bytes of all tensors.
    pub bytes: u64,
}

/// A check in progress.
#[derive(Debug, Default)]
pub struct Check {
    kept: Vec<u8>,
    parsed: Option<Header>,
}

#[derive(Debug)]
struct Header {
    length: u64,
    names: HashSet<String>,
    /// Where the tensors end, counted from the end of the header.
    end: u64,
}

impl Check {
    /// A check that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in the next bytes of the file. What comes after the header is passed over.
    ///
    /// # Errors
    /// [`HeaderError`] as soon as the header is seen to be wrong.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), HeaderError> {
        if self.parsed.is_some() {
            return Ok(());
        }
        let mut rest = bytes;
        while self.parsed.is_none() && !rest.is_empty() {
            let wanted = self.wanted()?;
            let (now, later) = rest.split_at(small(wanted - self.kept.len() as u64).min(rest.len()));
            self.kept.extend_from_slice(now);
            rest = later;
            if self.kept.len() >= 8 && self.kept.len() as u64 == self.wanted()? {
                self.parsed = Some(parse(&self.kept[8..])?);
                self.kept = Vec::new();
            }
        }
        Ok(())
    }

    /// Whether the whole header was seen.
    #[must_use]
    pub fn seen(&self) -> bool {
        self.parsed.is_some()
    }

    /// Bytes that must be kept: the length, then the header.
    fn wanted(&self) -> Result<u64, HeaderError> {
        let Some(length) = self.kept.first_chunk::<8>().map(|raw| u64::from_le_bytes(*raw)) else {
            return Ok(8);
        };
        match length {
            0..=limits::SAFETENSORS_HEADER_BYTES => Ok(8 + length),
            _ => Err(HeaderError::TooLong { length }),
        }
    }

    /// The verdict on a file of `size` bytes, all of which, or at least its header, were taken in.
    ///
    /// # Errors
    /// [`HeaderError`].
    pub fn finish(self, size: u64) -> Result<Tensors, HeaderError> {
        let wanted = self.wanted()?;
        let Some(Header { length, names, end }) = self.parsed else {
            return Err(HeaderError::Cut { wanted, size });
        };
        let has = size.saturating_sub(8 + length);
        match end.cmp(&has) {
            std::cmp::Ordering::Equal => Ok(Tensors { names, bytes: end }),
            std::cmp::Ordering::Less => Err(HeaderError::Hole { from: end, to: has }),
            std::cmp::Ordering::Greater => Err(HeaderError::Outside { end, has }),
        }
    }
}

fn parse(json: &[u8]) -> Result<Header, HeaderError> {
    // The rule is about the very first byte: what pads stands behind.
    if json.first() != Some(&b'{') {
        return Err(HeaderError::Json("it does not begin with {".into()));
    }
    let mut found = Found::default();
    let mut reader = serde_json::Deserializer::from_slice(json);
    let outcome = found.deserialize(&mut reader).and_then(|()| reader.end());
    if let Some(fault) = found.fault {
        return Err(fault);
    }
    outcome.map_err(|error| HeaderError::Json(printable(&error.to_string(), 200)))?;
    let Found { names, mut spans, .. } = found;
    // Empty tensors lie between two others and take no part.
    spans.sort_unstable_by_key(|(begin, end, _)| (*begin, *end));
    let mut at = 0;
    for (begin, end, tensor) in spans {
        match begin.cmp(&at) {
            std::cmp::Ordering::Less if end > begin => {
                return Err(HeaderError::Overlap { tensor, begin, before: at });
            }
            std::cmp::Ordering::Greater => return Err(HeaderError::Hole { from: at, to: begin }),
            _ => at = at.max(end),
        }
    }
    Ok(Header { length: json.len() as u64, names, end: at })
}

/// What was read of a header so far; the format's faults are kept apart from JSON's.
#[derive(Default)]
struct Found {
    names: HashSet<String>,
    spans: Vec<(u64, u64, String)>,
    fault: Option<HeaderError>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tensor {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

impl<'de> DeserializeSeed<'de> for &mut Found {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Found {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a key for each tensor")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut metadata = false;
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                if std::mem::replace(&mut metadata, true) {
                    return Err(de::Error::custom("it has __metadata__ twice"));
                }
                map.next_value::<Metadata>()?;
                continue;
            }
            let shown = printable(&name, 120);
            if self.names.contains(&name) {
                return Err(de::Error::custom(format!("it names tensor {shown} twice")));
            }
            let tensor: Tensor = map.next_value()?;
            if self.fault.is_none() {
                self.fault = check_tensor(&tensor, &shown).err();
            }
            if self.names.len() >= limits::SAFETENSORS_TENSORS {
                self.fault.get_or_insert(HeaderError::TooMany);
                return Err(de::Error::custom("too many tensors"));
            }
            let (begin, end) = tensor.data_offsets;
            self.spans.push((begin, end, shown));
            self.names.insert(name);
        }
        Ok(())
    }
}

/// Text by text, as the format says; held to that and forgotten.
struct Metadata;

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;
        impl<'de> Visitor<'de> for Texts {
            type Value = Metadata;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metadata, A::Error> {
                while map.next_key::<IgnoredAny>()?.is_some() {
                    map.next_value::<String>()?;
                }
                Ok(Metadata)
            }
        }
        deserializer.deserialize_map(Texts)
    }
}

fn check_tensor(tensor: &Tensor, name: &str) -> Result<(), HeaderError> {
    let Tensor { dtype, shape, data_offsets: (begin, end) } = tensor;
    let owned = || name.to_owned();
    let bits =
        bits(dtype).ok_or_else(|| HeaderError::Type { tensor: owned(), dtype: printable(dtype, 40) })?;
    // A shape of no dimensions is one element.
    let elements = shape.iter().try_fold(1u128, |all, side| all.checked_mul(u128::from(*side)));
    let bits = elements
        .and_then(|elements| elements.checked_mul(bits))
        .filter(|bits| bits.is_multiple_of(8))
        .ok_or_else(|| HeaderError::Shape(owned()))?;
    let has = end.checked_sub(*begin).ok_or_else(|| HeaderError::Backwards {
        tensor: owned(),
        begin: *begin,
        end: *end,
    })?;
    match bits / 8 == u128::from(has) {
        true => Ok(()),
        false => Err(HeaderError::Size { tensor: owned(), needs: bits / 8, has }),
    }
}

/// Bits of one element (safetensors, `Dtype`).
fn bits(dtype: &str) -> Option<u128> {
    Some(match dtype {
        "F4" => 4,
        "F6_E2M3" | "F6_E3M2" => 6,
        "BOOL" | "U8" | "I8" | "F8_E5M2" | "F8_E4M3" | "F8_E8M0" | "F8_E4M3FNUZ" | "F8_E5M2FNUZ" => 8,
        "I16" | "U16" | "F16" | "BF16" => 16,
        "I32" | "U32" | "F32" => 32,
        "I64" | "U64" | "F64" | "C64" => 64,
        _ => return None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn file(json: &str, data: usize) -> Vec<u8> {
        let mut file = (json.len() as u64).to_le_bytes().to_vec();
        file.extend_from_slice(json.as_bytes());
        file.resize(file.len() + data, 7);
        file
    }

    fn check(bytes: &[u8]) -> Result<Tensors, HeaderError> {
        let mut whole = Check::new();
        let mut by_byte = Check::new();
        let first = whole.feed(bytes).and_then(|()| whole.finish(bytes.len() as u64));
        let each = bytes.chunks(1).try_for_each(|byte| by_byte.feed(byte));
        assert_eq!(each.and_then(|()| by_byte.finish(bytes.len() as u64)), first, "however it comes");
        first
    }

    #[test]
    fn good_files_hold() {
        for (reason, json, data) in [
            ("one tensor", r#"{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}"#, 24),
            ("none", "{}", 0),
            ("metadata and padding", "{\"__metadata__\":{\"format\":\"pt\"}}   ", 0),
            ("a scalar", r#"{"a":{"dtype":"BF16","shape":[],"data_offsets":[0,2]}}"#, 2),
            ("half bytes", r#"{"a":{"dtype":"F4","shape":[3,2],"data_offsets":[0,3]}}"#, 3),
            (
                "named in another order, one empty",
                r#"{"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]},"e":{"dtype":"U8","shape":[0],"data_offsets":[2,2]},"a":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}"#,
                3,
            ),
        ] {
            let got = check(&file(json, data)).unwrap_or_else(|e| panic!("{reason}: {e}"));
            assert_eq!(got.bytes, data as u64, "{reason}");
        }
    }

    #[test]
    fn bad_files_are_named() {
        let one = |rest: &str| format!(r#"{{"a":{{{rest}}}}}"#);
        let two = |first: &str, second: &str| {
            format!(
                r#"{{"a":{{"dtype":"U8","shape":[2],"data_offsets":{first}}},"b":{{"dtype":"U8","shape":[2],"data_offsets":{second}}}}}"#
            )
        };
        let cases: Vec<(&str, Vec<u8>, &str)> = vec![
            ("empty", vec![], "should have 8 bytes"),
            ("shorter than a length", vec![1, 2, 3], "should have 8 bytes and the file has 3"),
            ("an absurd length", u64::MAX.to_le_bytes().to_vec(), "at most"),
            ("a header of no bytes", file("", 5), "begin with {"),
            ("a header longer than the file", file("{}", 0)[..9].to_vec(), "should have 10 bytes"),
            ("not JSON", file("{oops", 0), "not one"),
            ("a list", file("[]", 0), "begin with {"),
            ("padding before", file(" {}", 0), "begin with {"),
            ("text behind", file("{}x", 0), "not one"),
            ("bytes of no tensor", file("{}", 3), "bytes 0 to 3"),
            ("twice the same", file(&two("[0,2]", "[2,4]").replace("\"b\"", "\"a\""), 4), "twice"),
            ("overlap", file(&two("[0,2]", "[1,3]"), 3), "inside the one before"),
            ("a hole", file(&two("[0,2]", "[3,5]"), 5), "bytes 2 to 3"),
            ("past the end", file(&two("[0,2]", "[2,4]"), 3), "end at byte 4"),
            ("too few bytes", file(&one(r#""dtype":"F32","shape":[2],"data_offsets":[0,4]"#), 4), "needs 8"),
            (
                "backwards",
                file(&one(r#""dtype":"U8","shape":[2],"data_offsets":[2,0]"#), 2),
                "before it begins",
            ),
            (
                "a shape past all numbers",
                file(
                    &one(&format!(r#""dtype":"F32","shape":[{0},{0},{0}],"data_offsets":[0,4]"#, u64::MAX)),
                    4,
                ),
                "no file can hold",
            ),
            (
                "half a byte",
                file(&one(r#""dtype":"F4","shape":[3],"data_offsets":[0,2]"#), 2),
                "no file can hold",
            ),
            ("an unknown type", file(&one(r#""dtype":"F31","shape":[1],"data_offsets":[0,4]"#), 4), "F31"),
            (
                "a negative side",
                file(&one(r#""dtype":"U8","shape":[-1],"data_offsets":[0,1]"#), 1),
                "not one",
            ),
            ("no offsets", file(&one(r#""dtype":"U8","shape":[1]"#), 1), "data_offsets"),
            ("metadata of numbers", file(r#"{"__metadata__":{"a":1}}"#, 0), "not one"),
            ("a name that moves the cursor", file(&one("").replace('a', "\\u001b[2J"), 0), "not one"),
        ];
        for (reason, bytes, words) in cases {
            let error = check(&bytes).expect_err(reason).to_string();
            assert!(error.contains(words), "{reason}: {error}");
            assert!(!error.contains('\x1b'), "{reason}");
        }
    }

    #[test]
    fn the_limit_itself_is_accepted() {
        let mut json = String::from("{}");
        json.extend(std::iter::repeat_n(' ', small(limits::SAFETENSORS_HEADER_BYTES) - 2));
        assert!(check_once(&file(&json, 0)).is_ok());
        json.push(' ');
        assert!(matches!(check_once(&file(&json, 0)), Err(HeaderError::TooLong { .. })));
    }

    fn check_once(bytes: &[u8]) -> Result<Tensors, HeaderError> {
        let mut check = Check::new();
        check.feed(bytes)?;
        check.finish(bytes.len() as u64)
    }
}
