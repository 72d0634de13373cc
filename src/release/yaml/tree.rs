//! YAML as it stands in its text: documents as trees whose scalars know their bytes in the source.
//!
//! For text that others wrote and that must stay as it is but for a few words (rendered manifests). Nothing is interpreted: a
//! number is the text of a number, duplicate keys stand side by side, an alias stands for itself. Where YAML folds, escapes or
//! indents, [`Scalar::place`] finds the source bytes of a word of the value.

use std::borrow::Cow;
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, Span};

use super::Place;
use crate::limits;

/// A node of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node<'a> {
    /// A text.
    Scalar(Scalar<'a>),
    /// A sequence.
    List(Vec<Node<'a>>),
    /// A mapping, in the order of the text, repetitions kept.
    Map(Vec<(Node<'a>, Node<'a>)>),
    /// What an anchor stands for, a second time.
    Alias,
}

/// A text and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar<'a> {
    /// The text, as a reader takes it.
    pub value: Cow<'a, str>,
    /// How it is written.
    pub style: Style,
    /// Its bytes in the source, quotes included; for a block scalar without its header.
    pub source: Range<usize>,
}

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Without quotes.
    Plain,
    /// `'…'`.
    Single,
    /// `"…"`.
    Double,
    /// `|` or `>`.
    Block,
}

/// One document of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document<'a> {
    /// Its node; `None` when there is nothing in it but comments.
    pub root: Option<Node<'a>>,
    /// Where it begins in the source: after its `---`, where it has one.
    pub start: usize,
}

/// Why a text is not YAML.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct TreeError {
    /// Where.
    pub place: Place,
    /// What is wrong, on one line.
    pub message: String,
}

impl<'a> Node<'a> {
    /// The scalar, if it is one.
    #[must_use]
    pub fn scalar(&self) -> Option<&Scalar<'a>> {
        match self {
            Self::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// The text, if it is a scalar.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.scalar().map(|scalar| scalar.value.as_ref())
    }

    /// The value of `key`, if it is a mapping that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node<'a>> {
        match self {
            Self::Map(entries) => {
                entries.iter().find(|(name, _)| name.text() == Some(key)).map(|(_, value)| value)
            }
            _ => None,
        }
    }
}

/// The documents of a stream.
///
/// # Errors
/// The first fault of the syntax, or what is deeper or larger than is read.
pub fn documents(text: &str) -> Result<Vec<Document<'_>>, TreeError> {
    let options = granit_parser::options! {
        flow_nesting_limit: limits::YAML_DEPTH,
        block_nesting_limit: limits::YAML_DEPTH,
        emit_comments: false,
        // As the readers of Kubernetes do.
        block_scalar_eof_without_line_feed: true,
    };
    let mut events = Parser::new_from_str_with_options(text, options);
    let mut all = Vec::new();
    let mut builder = Builder::default();
    while let Some(event) = events.next_event() {
        let (event, span) = event.map_err(|error| TreeError {
            place: Place { line: error.marker().line() as u64, column: error.marker().col() as u64 + 1 },
            message: crate::text::printable(&error.info(), 200),
        })?;
        match event {
            Event::DocumentStart(..) => {
                let start = span.end.byte_offset().unwrap_or(0);
                all.push(Document { root: None, start });
            }
            Event::DocumentEnd => {
                if let Some(document) = all.last_mut() {
                    document.root = builder.root.take().filter(|root| !is_nothing(root));
                }
            }
            event => builder.take(event, &span)?,
        }
    }
    Ok(all)
}

fn is_nothing(root: &Node<'_>) -> bool {
    root.scalar().is_some_and(|scalar| scalar.source.is_empty() && scalar.style == Style::Plain)
}

/// Puts nodes together. Its depth is that of the document, which the parser bounds.
#[derive(Default)]
struct Builder<'a> {
    open: Vec<Open<'a>>,
    root: Option<Node<'a>>,
    nodes: usize,
}

enum Open<'a> {
    List(Vec<Node<'a>>),
    Map(Vec<(Node<'a>, Node<'a>)>, Option<Node<'a>>),
}

impl<'a> Builder<'a> {
    fn take(&mut self, event: Event<'a>, span: &Span) -> Result<(), TreeError> {
        self.nodes += 1;
        if self.nodes > limits::YAML_NODES {
            let place = Place { line: span.start.line() as u64, column: span.start.col() as u64 + 1 };
            let message = format!("more than {} values", limits::YAML_NODES);
            return Err(TreeError { place, message });
        }
        match event {
            Event::SequenceStart(..) => self.open.push(Open::List(Vec::new())),
            Event::MappingStart(..) => self.open.push(Open::Map(Vec::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List(items)) => self.put(Node::List(items)),
                Some(Open::Map(entries, _)) => self.put(Node::Map(entries)),
                None => {}
            },
            Event::Alias(_) | Event::UnresolvedAlias(_) => self.put(Node::Alias),
            Event::Scalar(value, style, ..) => self.put(Node::Scalar(scalar(value, style, span))),
            _ => {}
        }
        Ok(())
    }

    fn put(&mut self, node: Node<'a>) {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List(items)) => items.push(node),
            Some(Open::Map(entries, key)) => match key.take() {
                None => *key = Some(node),
                Some(key) => entries.push((key, node)),
            },
        }
    }
}

fn scalar<'a>(value: Cow<'a, str>, style: ScalarStyle, span: &Span) -> Scalar<'a> {
    let source = span.byte_range().unwrap_or(0..0);
    let style = match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted => Style::Single,
        ScalarStyle::DoubleQuoted => Style::Double,
        ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
    };
    Scalar { value, style, source }
}

/// The blanks that YAML folds, indents and breaks lines with. Everything else of a value stands in its source in the same order.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

impl Scalar<'_> {
    /// The source bytes of the word `word` (a range of the value without blanks in it); `text` is the text that was parsed.
    /// `None` when the word cannot be told apart in it.
    #[must_use]
    pub fn place(&self, word: &Range<usize>, text: &str) -> Option<Range<usize>> {
        let before = self.value.get(..word.start)?;
        let wanted = self.value.get(word.clone())?;
        let quote = usize::from(matches!(self.style, Style::Single | Style::Double));
        let (at, end) = (self.source.start + quote, self.source.end.checked_sub(quote)?);
        let mut atoms = Atoms { style: self.style, text, at, end };
        for c in before.chars().filter(|c| !is_blank(*c)) {
            if atoms.next()?.0 != c {
                return None;
            }
        }
        let mut found: Option<Range<usize>> = None;
        for wanted in wanted.chars() {
            let (c, range) = atoms.next()?;
            if c != wanted {
                return None;
            }
            found = Some(found.map_or(range.clone(), |found| found.start..range.end));
        }
        found
    }
}

/// The characters of a scalar that are no blanks, each with its source bytes.
struct Atoms<'t> {
    style: Style,
    text: &'t str,
    at: usize,
    end: usize,
}

impl Iterator for Atoms<'_> {
    type Item = (char, Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let from = self.at;
            let rest = self.text.get(from..self.end)?;
            let (c, length) = match (self.style, rest.chars().next()?) {
                (Style::Double, '\\') => escape(rest)?,
                (Style::Single, '\'') => (Some('\''), 2),
                (_, c) => (Some(c), c.len_utf8()),
            };
            self.at += length;
            if let Some(c) = c.filter(|c| !is_blank(*c)) {
                return Some((c, from..self.at));
            }
        }
    }
}

/// What an escape of a double-quoted scalar (YAML 1.2, 5.7) stands for, and its length in bytes.
fn escape(rest: &str) -> Option<(Option<char>, usize)> {
    let kind = rest[1..].chars().next()?;
    let hex = |digits: usize| {
        let code = u32::from_str_radix(rest.get(2..2 + digits)?, 16).ok()?;
        Some((char::from_u32(code), 2 + digits))
    };
    Some(match kind {
        'x' => return hex(2),
        'u' => return hex(4),
        'U' => return hex(8),
        '0' => (Some('\0'), 2),
        'a' => (Some('\u{7}'), 2),
        'b' => (Some('\u{8}'), 2),
        'v' => (Some('\u{b}'), 2),
        'f' => (Some('\u{c}'), 2),
        'e' => (Some('\u{1b}'), 2),
        'N' => (Some('\u{85}'), 2),
        '_' => (Some('\u{a0}'), 2),
        'L' => (Some('\u{2028}'), 2),
        'P' => (Some('\u{2029}'), 2),
        't' | 'n' | 'r' | ' ' | '\t' | '\n' | '\r' => (None, 2),
        other => (Some(other), 1 + other.len_utf8()),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn scalars<'a>(node: &'a Node<'a>, all: &mut Vec<&'a Scalar<'a>>) {
        match node {
            Node::Scalar(scalar) => all.push(scalar),
            Node::List(items) => items.iter().for_each(|item| scalars(item, all)),
            Node::Map(entries) => entries.iter().for_each(|(key, value)| {
                scalars(key, all);
                scalars(value, all);
            }),
            Node::Alias => {}
        }
    }

    #[test]
    fn a_word_is_found_in_every_style() {
        for text in [
            "a: one h/x:1 two",
            "a: 'it''s h/x:1'",
            "a: \"q\\\"\\n\\th/x:1\\u0020z\"",
            "a: \"h\\/x\\x3a1\"",
            "a: |-\n  | one\n    h/x:1 two\n# comment\nb: c",
            "a: |  # header\n  first\n\n  h/x:1\n",
            "a: >2-\n    first\n   h/x:1\n  last\nb: c",
            "a: one\n  two\n  h/x:1\nb: c",
            "a: \"one \\\n   two\n\n  h/x:1\"",
            "a: !!str &x h/x:1\nb: *x",
            "a: [é, {b: h/x:1}]",
            "- !t |\n h/x:1",
            "a: &b |\n  h/x:1\n",
        ] {
            let documents = documents(text).unwrap();
            let mut all = Vec::new();
            scalars(documents[0].root.as_ref().unwrap(), &mut all);
            let scalar = all.iter().find(|scalar| scalar.value.contains("h/x:1")).unwrap();
            let at = scalar.value.find("h/x:1").unwrap();
            let place = scalar.place(&(at..at + 5), text);
            let found = place.map(|place| text[place].replace("\\x3a", ":").replace('\\', ""));
            assert_eq!(found.as_deref(), Some("h/x:1"), "{text:?} {scalar:?}");
        }
    }

    #[test]
    fn documents_and_faults_are_placed() {
        let text = "---\n# Source: x\na: 1\n---\n# nothing\n---\nb: [1\n";
        assert!(documents(text).unwrap_err().place.line >= 7);
        let text = "---\n# Source: x\na: 1\n---\n# nothing\n---\nb: [1]\n";
        let all = documents(text).unwrap();
        assert_eq!(all.iter().map(|d| d.root.is_some()).collect::<Vec<_>>(), [true, false, true]);
        assert_eq!(all.iter().map(|d| text[..d.start].lines().count()).collect::<Vec<_>>(), [1, 4, 6]);
    }

    #[test]
    fn what_nests_without_end_is_refused() {
        assert!(documents(&"[".repeat(100_000)).is_err());
        assert!(documents(&(0..1000).map(|n| format!("{}a:\n", " ".repeat(n))).collect::<String>()).is_err());
    }
}
