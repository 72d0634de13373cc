//! YAML in: the one door, strict and bounded.
//!
//! Duplicate keys, unknown keys, merge keys and unknown tags are refused; aliases are counted, so that a few bytes cannot
//! grow into gigabytes; nesting is limited. Faults carry file, line, column and the lines around it. Nothing else in the
//! program names the YAML crate.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};

use crate::limits;

pub mod tree;

/// Who wrote a document, and so how large it may be and what it may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hand {
    /// A person: at most [`limits::HAND_WRITTEN_BYTES`]; a few anchors and aliases are fine.
    Person,
    /// Whoever made a chart: at most [`limits::CHART_FILE_BYTES`].
    Chart,
    /// The program that keeps a chart repository: at most [`limits::REPOSITORY_BYTES`].
    Repository,
    /// This program: at most [`limits::LOCK_BYTES`]; it never writes an anchor, so none is read.
    Machine,
}

/// Where in a document something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Line, from 1.
    pub line: u64,
    /// Column in characters, from 1.
    pub column: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Why a document cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Longer than its kind may be.
    #[error("{file}: it has {size} bytes; at most {limit} are read")]
    TooLarge {
        /// Name of the document.
        file: String,
        /// Its length in bytes.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// Not UTF-8.
    #[error("{file}: it is not UTF-8 text from byte {at} on")]
    Text {
        /// Name of the document.
        file: String,
        /// Offset of the first byte that is not.
        at: usize,
    },
    /// Not YAML, or not of the right shape.
    #[error("{file}{}: {message}", place.map(|p| format!(":{p}")).unwrap_or_default())]
    Shape {
        /// Name of the document.
        file: String,
        /// Where, when that is known.
        place: Option<Place>,
        /// One line.
        message: String,
        /// The lines around it with a marker, for a terminal; several lines, may be empty.
        snippet: String,
    },
}

/// A value and where it stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Where it stood.
    pub place: Place,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = serde_saphyr::Spanned::<T>::deserialize(deserializer)?;
        let place = Place { line: spanned.referenced.line(), column: spanned.referenced.column() };
        Ok(Self { value: spanned.value, place })
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// Parses `bytes`, one document, as `T`. `file` is the name faults are reported under.
///
/// # Errors
/// [`Error`], always with the file and, where the fault has one, its place.
pub fn parse<T: DeserializeOwned>(bytes: &[u8], file: &str, hand: Hand) -> Result<T, Error> {
    let limit = match hand {
        Hand::Person => limits::HAND_WRITTEN_BYTES,
        Hand::Chart => limits::CHART_FILE_BYTES,
        Hand::Repository => limits::REPOSITORY_BYTES,
        Hand::Machine => limits::LOCK_BYTES,
    };
    let size = bytes.len() as u64;
    if size > limit {
        return Err(Error::TooLarge { file: file.to_owned(), size, limit });
    }
    let text =
        std::str::from_utf8(bytes).map_err(|e| Error::Text { file: file.to_owned(), at: e.valid_up_to() })?;
    serde_saphyr::from_str_with_options(text, options(hand)).map_err(|e| describe(&e, file, text))
}

fn options(hand: Hand) -> serde_saphyr::Options {
    let (aliases, replayed) = match hand {
        Hand::Person | Hand::Chart | Hand::Repository => (limits::YAML_ALIASES, limits::YAML_REPLAYED),
        Hand::Machine => (0, 0),
    };
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: limits::YAML_NODES * 2,
            max_nodes: limits::YAML_NODES,
            max_depth: limits::JSON_DEPTH,
            flow_nesting_limit: limits::JSON_DEPTH,
            max_documents: 1,
            max_aliases: aliases,
            max_anchors: aliases,
            max_recorded_anchor_events: replayed,
            max_total_scalar_bytes: crate::checked::small(limits::LOCK_BYTES),
            max_total_comment_bytes: crate::checked::small(limits::HAND_WRITTEN_BYTES),
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: replayed,
            max_replay_stack_depth: 4,
        },
        emit_comments: false,
        strict_booleans: true,
        reject_unsupported_tags: true,
    }
}

fn describe(error: &serde_saphyr::Error, file: &str, text: &str) -> Error {
    use serde_saphyr::Error as Yaml;
    let bare = match error.without_snippet() {
        Yaml::AliasError { error, .. } => error.without_snippet(),
        other => other,
    };
    let place = error
        .location()
        .filter(|location| location.line() > 0)
        .map(|location| Place { line: location.line(), column: location.column() });
    let message = match bare {
        Yaml::SerdeUnknownField { field, expected, .. } => {
            let field = printable(field);
            match nearest(&field, expected) {
                Some(near) => format!("unknown key \"{field}\"; there is \"{near}\""),
                None if expected.is_empty() => format!("unknown key \"{field}\""),
                None => format!("unknown key \"{field}\"; known here: {}", expected.join(", ")),
            }
        }
        Yaml::SerdeUnknownVariant { variant, expected, .. } => {
            format!("\"{}\" is none of {}", printable(variant), expected.join(", "))
        }
        wrong @ (Yaml::InvalidScalar { .. } | Yaml::InvalidBooleanStrict { .. }) => {
            let ty = if let Yaml::InvalidScalar { ty, .. } = wrong { ty } else { "boolean" };
            let key = place.and_then(|place| key_before(text, place));
            let key = key.map(|key| format!("\"{}\": ", printable(key))).unwrap_or_default();
            format!("{key}{} is expected here", scalar(ty))
        }
        Yaml::SerdeMissingField { field, .. } => format!("the key \"{field}\" is missing"),
        Yaml::DuplicateMappingKey { key, .. } => {
            format!("the key \"{}\" stands here twice", printable(key.as_deref().unwrap_or("")))
        }
        Yaml::Unexpected { expected: "sequence start", .. } => "a list is expected here".to_owned(),
        Yaml::Unexpected { expected: "mapping start", .. } => "a mapping is expected here".to_owned(),
        Yaml::Budget { breach: BudgetBreach::Documents { .. }, .. } | Yaml::MultipleDocuments { .. } => {
            "it holds more than one document".to_owned()
        }
        Yaml::Budget { breach: BudgetBreach::Aliases { .. } | BudgetBreach::Anchors { .. }, .. }
        | Yaml::AliasReplayLimitExceeded { .. }
        | Yaml::AliasReplayStackDepthExceeded { .. } => {
            "it uses anchors and aliases more than any document of its kind".to_owned()
        }
        Yaml::Budget { breach, .. } => format!("it is larger or deeper than is read: {breach:?}"),
        other => first_line(&other.to_string()),
    };
    let snippet = match error {
        Yaml::WithSnippet { .. } => printable_lines(&error.to_string()),
        _ => String::new(),
    };
    Error::Shape { file: file.to_owned(), place, message, snippet }
}

/// What a scalar of a Rust type is, to who writes one.
fn scalar(ty: &str) -> String {
    match ty {
        "bool" | "boolean" => "true or false".to_owned(),
        "u8" => "a whole number from 0 to 255".to_owned(),
        "u16" => "a whole number from 0 to 65535".to_owned(),
        "u32" => "a whole number from 0 to 4294967295".to_owned(),
        "u64" | "u128" | "usize" => "a whole number, 0 or more,".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "i128" => "a whole number".to_owned(),
        "f32" | "f64" | "floating point" => "a number".to_owned(),
        other => format!("something else ({other})"),
    }
}

/// The key that stands before the value at `place`, on the same line.
fn key_before(text: &str, place: Place) -> Option<&str> {
    let line = text.lines().nth(usize::try_from(place.line).ok()?.checked_sub(1)?)?;
    let before = usize::try_from(place.column).ok()?.checked_sub(1)?;
    let end = line.char_indices().nth(before).map_or(line.len(), |(at, _)| at);
    let key = line[..end].trim_end().strip_suffix(':')?;
    let key = key.rsplit(['{', ',', '[']).next()?.trim().trim_start_matches("- ").trim();
    let key = key.trim_matches(['"', '\'']);
    (!key.is_empty()).then_some(key)
}

/// The crate appends the place to its one-line messages; it is reported beside them already.
fn first_line(message: &str) -> String {
    let line = message.lines().next().unwrap_or("");
    let line = line.strip_prefix("error: ").unwrap_or(line);
    let line = match line.find(" at line ") {
        Some(at) if line[at..].contains("column") => &line[..at],
        _ => line,
    };
    printable(line)
}

fn printable(text: &str) -> String {
    crate::text::printable(text, 400)
}

fn printable_lines(text: &str) -> String {
    text.chars()
        .take(4000)
        .map(|c| if crate::text::is_printable(c) || c == '\n' { c } else { crate::text::REPLACEMENT })
        .collect()
}

/// The known key at most two edits away from `field`, if there is one.
pub(crate) fn nearest<'a>(field: &str, known: &[&'a str]) -> Option<&'a str> {
    let normal = |text: &str| text.to_lowercase().replace(['_', ' '], "-");
    let field = normal(field);
    known
        .iter()
        .map(|candidate| (edits(&field, &normal(candidate)), *candidate))
        .filter(|(edits, candidate)| *edits <= 2 && *edits < candidate.len())
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance; 3 stands for everything above 2 when the lengths alone say so.
fn edits(a: &str, b: &str) -> usize {
    if a.len().abs_diff(b.len()) > 2 {
        return 3;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = if from == *to { diagonal } else { 1 + diagonal.min(above).min(row[j]) };
            diagonal = above;
        }
    }
    row[b.len()]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_value_of_the_wrong_kind_is_named_by_its_key() {
        let whole =
            |text: &str| parse::<BTreeMap<String, BTreeMap<String, u16>>>(text.as_bytes(), "f", Hand::Person);
        let said = |text: &str| whole(text).unwrap_err().to_string();
        let number = "a whole number from 0 to 65535 is expected here";
        assert_eq!(said("a:\n  port: http\n"), format!("f:2:9: \"port\": {number}"));
        assert_eq!(said("a: {\"x\": 1, y: 70000}\n"), format!("f:1:16: \"y\": {number}"));
        assert_eq!(said("a:\n  x:\n    http\n"), format!("f:3:5: {number}"));
        let list = parse::<Vec<bool>>(b"- true\n- yes\n", "f", Hand::Person).unwrap_err().to_string();
        assert_eq!(list, "f:2:3: true or false is expected here");
        let list =
            parse::<Vec<BTreeMap<String, i64>>>(b"- n: much\n", "f", Hand::Person).unwrap_err().to_string();
        assert_eq!(list, "f:1:6: \"n\": a whole number is expected here");
    }
}
