//! `SHA256SUMS`: every file of a bundle with its SHA-256, in the form `sha256sum -c` reads. What the signatures cover.
//!
//! Strict, so that it means the same to `sha256sum` and to us: one form of line, sorted by path, no path twice, not even in
//! another case (FAT32 and exFAT hold only one of `a` and `A`), no path that is also another's folder. The escaped form that
//! `sha256sum` writes for names with a backslash or newline is absent because [`EntryPath`] refuses such names; so is the binary mark `*`.

use std::collections::BTreeMap;

use crate::digest::{Digest, DigestError};
use crate::limits;
use crate::path::{self, Clash, EntryPath, PathError};

/// The whole list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sums {
    entries: BTreeMap<EntryPath, Digest>,
}

/// Why a text is not a `SHA256SUMS` file, or a list cannot become one. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SumsError {
    /// Longer than the limit.
    #[error("{bytes} bytes are more than SHA256SUMS may have (at most {limit})")]
    TooLong {
        /// How long it is, in bytes.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// No line at all.
    #[error("it lists no file")]
    Empty,
    /// Not UTF-8.
    #[error("it is not UTF-8 text")]
    NotText,
    /// The last line has no newline: the file is cut off.
    #[error("line {line} is cut off: it does not end in a newline")]
    CutOff {
        /// Which line.
        line: usize,
    },
    /// Not 64 hex digits, two spaces and a path.
    #[error("line {line} is not \"<64 hex digits>  <path>\"")]
    Line {
        /// Which line.
        line: usize,
    },
    /// The digest is not lower-case hex.
    #[error("line {line}: {source}")]
    Digest {
        /// Which line.
        line: usize,
        /// What is wrong.
        source: DigestError,
    },
    /// The path is not safe.
    #[error("line {line}: {source}")]
    Path {
        /// Which line.
        line: usize,
        /// What is wrong.
        source: PathError,
    },
    /// Not after the path of the line before.
    #[error("line {line}: \"{path}\" is out of order or listed twice")]
    Order {
        /// Which line.
        line: usize,
        /// The path.
        path: EntryPath,
    },
    /// Two paths that cannot be in one folder.
    #[error(transparent)]
    Together(#[from] Clash),
}

impl Sums {
    /// A list of these files; an error when two of them cannot be in one folder.
    pub fn new(files: impl IntoIterator<Item = (EntryPath, Digest)>) -> Result<Self, SumsError> {
        let mut entries = BTreeMap::new();
        for (path, digest) in files {
            if entries.insert(path.clone(), digest).is_some() {
                return Err(Clash::Twice { path }.into());
            }
        }
        let sums = Self { entries };
        path::together(sums.entries.keys())?;
        Ok(sums)
    }

    /// Reads `SHA256SUMS`. At most [`limits::SUMS_BYTES`].
    pub fn parse(bytes: &[u8]) -> Result<Self, SumsError> {
        let length = bytes.len() as u64;
        if length > limits::SUMS_BYTES {
            return Err(SumsError::TooLong { bytes: length, limit: limits::SUMS_BYTES });
        }
        let text = std::str::from_utf8(bytes).map_err(|_| SumsError::NotText)?;
        let mut entries: BTreeMap<EntryPath, Digest> = BTreeMap::new();
        for (line, text) in (1..).zip(text.split_inclusive('\n')) {
            let text = text.strip_suffix('\n').ok_or(SumsError::CutOff { line })?;
            let (hex, path) = text.split_once("  ").ok_or(SumsError::Line { line })?;
            if hex.len() != 64 {
                return Err(SumsError::Line { line });
            }
            let digest = Digest::from_hex(hex).map_err(|source| SumsError::Digest { line, source })?;
            let path: EntryPath = path.parse().map_err(|source| SumsError::Path { line, source })?;
            if entries.last_key_value().is_some_and(|(last, _)| *last >= path) {
                return Err(SumsError::Order { line, path });
            }
            entries.insert(path, digest);
        }
        if entries.is_empty() {
            return Err(SumsError::Empty);
        }
        let sums = Self { entries };
        path::together(sums.entries.keys())?;
        Ok(sums)
    }

    /// The one way it is written: lines sorted by the bytes of the path. [`Sums::parse`] reads exactly this back.
    #[must_use]
    pub fn render(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::with_capacity(self.entries.len() * 100);
        for (path, digest) in &self.entries {
            let _ = writeln!(text, "{}  {path}", digest.hex());
        }
        text
    }

    /// The digest of one file.
    #[must_use]
    pub fn get(&self, path: &EntryPath) -> Option<&Digest> {
        self.entries.get(path)
    }

    /// Whether the file is listed.
    #[must_use]
    pub fn contains(&self, path: &EntryPath) -> bool {
        self.entries.contains_key(path)
    }

    /// Every file, sorted by path.
    pub fn iter(&self) -> impl Iterator<Item = (&EntryPath, &Digest)> {
        self.entries.iter()
    }

    /// How many files are listed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is listed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn file(path: &str) -> (EntryPath, Digest) {
        (path.parse().unwrap(), Digest::of(path.as_bytes()))
    }

    #[test]
    fn what_is_written_is_read_back() {
        let sums =
            Sums::new(["volumes/x.0002.tar.age", "README.md", "a b.txt", "volumes/x.0001.tar.age"].map(file))
                .unwrap();
        let text = sums.render();
        assert!(text.ends_with("  volumes/x.0002.tar.age\n"));
        assert_eq!(Sums::parse(text.as_bytes()), Ok(sums.clone()));
        assert_eq!(sums.get(&"README.md".parse().unwrap()), Some(&Digest::of(b"README.md")));
        assert_eq!(sums.get(&"readme.md".parse().unwrap()), None);
    }

    #[test]
    fn folders_may_be_shared_and_prefixes_are_not_folders() {
        assert!(Sums::new(["a/b", "a/c", "ab", "a-b", "a.b/c"].map(file)).is_ok());
    }

    #[test]
    fn every_other_form_is_refused() {
        let hex = Digest::of(b"").hex();
        let l = |path: &str| format!("{hex}  {path}\n");
        type Is = fn(&SumsError) -> bool;
        let cases: [(&str, String, Is); 22] = [
            ("empty", String::new(), |e| matches!(e, SumsError::Empty)),
            ("blank line", "\n".into(), |e| matches!(e, SumsError::Line { line: 1 })),
            ("no newline", format!("{hex}  a"), |e| matches!(e, SumsError::CutOff { line: 1 })),
            ("one space", format!("{hex} a\n"), |e| matches!(e, SumsError::Line { .. })),
            ("binary mark", format!("{hex} *a\n"), |e| matches!(e, SumsError::Line { .. })),
            ("three spaces", l(" a"), |e| matches!(e, SumsError::Path { .. })),
            ("escaped", format!("\\{}", l("a")), |e| matches!(e, SumsError::Line { .. })),
            ("upper case", l("a").to_uppercase(), |e| matches!(e, SumsError::Digest { .. })),
            ("short digest", l("a")[1..].into(), |e| matches!(e, SumsError::Line { .. })),
            ("CRLF", format!("{hex}  a\r\n"), |e| matches!(e, SumsError::Path { .. })),
            ("comment", format!("# x\n{}", l("a")), |e| matches!(e, SumsError::Line { line: 1 })),
            ("parent", l("../a"), |e| matches!(e, SumsError::Path { .. })),
            ("absolute", l("/a"), |e| matches!(e, SumsError::Path { .. })),
            ("unsorted", l("b") + &l("a"), |e| matches!(e, SumsError::Order { line: 2, .. })),
            ("twice", l("a") + &l("a"), |e| matches!(e, SumsError::Order { line: 2, .. })),
            ("case", l("A") + &l("a"), |e| matches!(e, SumsError::Together(Clash::Case { .. }))),
            ("case of a folder", l("A/x") + &l("a/y"), |e| {
                matches!(e, SumsError::Together(Clash::Case { .. }))
            }),
            ("case outside ASCII", l("Ä") + &l("ä"), |e| {
                matches!(e, SumsError::Together(Clash::Case { .. }))
            }),
            ("file and folder", l("a") + &l("a/b"), |e| {
                matches!(e, SumsError::Together(Clash::FileAndFolder { .. }))
            }),
            ("file and folder, apart", l("a") + &l("a.txt") + &l("a/b"), |e| {
                matches!(e, SumsError::Together(Clash::FileAndFolder { .. }))
            }),
            ("file and folder in another case", l("A/b") + &l("a"), |e| {
                matches!(e, SumsError::Together(Clash::Case { .. }))
            }),
            ("case of a folder, apart", l("A/z") + &l("Ab/x") + &l("a/a"), |e| {
                matches!(e, SumsError::Together(Clash::Case { .. }))
            }),
        ];
        for (reason, text, expected) in cases {
            let error = Sums::parse(text.as_bytes()).unwrap_err();
            assert!(expected(&error), "{reason}: {error:?}");
        }
        assert_eq!(Sums::parse(b"\xff\n"), Err(SumsError::NotText));
    }

    #[test]
    fn exactly_at_the_limit_is_read_and_one_past_it_is_not() {
        let hex = Digest::of(b"").hex();
        let limit = usize::try_from(limits::SUMS_BYTES).unwrap();
        // Lines of 256 bytes: 64 + 2 + 189 + 1.
        let mut text: String = (0..limit / 256).map(|n| format!("{hex}  {n:0>189}\n")).collect();
        assert_eq!(text.len(), limit);
        assert!(Sums::parse(text.as_bytes()).is_ok());
        text.push('\n');
        assert!(matches!(Sums::parse(text.as_bytes()), Err(SumsError::TooLong { .. })));
    }
}
