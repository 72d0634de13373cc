//! Lines added to a `release.yaml` that a person wrote: everything that stands there stays as it is.

use crate::oci::Reference;
use crate::release::yaml::tree::{self, Node};

/// `text` with `references` at the end of its `images:`; `None` when they cannot be added without rewriting what stands there.
#[must_use]
pub fn add_images(text: &str, references: &[Reference]) -> Option<String> {
    let documents = tree::documents(text).ok()?;
    let root = documents.first()?.root.as_ref()?;
    let Node::Map(entries) = root else { return None };
    let line_end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let lines = |indent: &str| -> String {
        references.iter().map(|reference| format!("{indent}- {reference}{line_end}")).collect()
    };
    let Some((key, value)) = entries.iter().find(|(key, _)| key.text() == Some("images")) else {
        let gap = if text.ends_with('\n') { "" } else { line_end };
        return Some(format!("{text}{gap}images:{line_end}{}", lines("  ")));
    };
    let key_end = key.scalar()?.source.end;
    match value {
        Node::List(items) if !items.is_empty() => {
            let after = text.get(key_end..)?;
            let first = text.get(key_end + after.find(['[', '-'])?..)?;
            if first.starts_with('[') {
                let last = end_of(items.last()?, text)?;
                let close = last + text.get(last..)?.find(']')?;
                let between = text.get(last..close)?.trim_end_matches([' ', '\t']);
                if between.contains(['#', '\n']) {
                    return None;
                }
                let more: String = references.iter().map(|reference| format!(", {reference}")).collect();
                return Some(format!("{}{more}{}", &text[..last], &text[last..]));
            }
            // The indentation of the first item, and the end of the last line of the last one.
            let dash = key_end + after.find('-')?;
            let begin = text[..dash].rfind('\n').map_or(0, |at| at + 1);
            let indent = text.get(begin..dash)?;
            if !indent.trim().is_empty() {
                return None;
            }
            let last = end_of(items.last()?, text)?;
            let end = text[last..].find('\n').map_or(text.len(), |at| last + at + 1);
            let gap = if text[..end].ends_with('\n') { "" } else { line_end };
            Some(format!("{}{gap}{}{}", &text[..end], lines(indent), &text[end..]))
        }
        Node::List(_) => {
            let open = key_end + text.get(key_end..)?.find('[')?;
            let close = open + text.get(open..)?.find(']')?;
            let all: Vec<String> = references.iter().map(ToString::to_string).collect();
            Some(format!("{}[{}]{}", &text[..open], all.join(", "), &text[close + 1..]))
        }
        _ => None,
    }
}

/// Where a node ends in its text.
fn end_of(node: &Node<'_>, text: &str) -> Option<usize> {
    match node {
        Node::Scalar(scalar) => Some(scalar.source.end),
        Node::List(items) => close(items.last().and_then(|item| end_of(item, text))?, ']', text),
        Node::Map(entries) => {
            let (_, value) = entries.last()?;
            close(end_of(value, text)?, '}', text)
        }
        Node::Alias => None,
    }
}

/// Past the bracket that closes a collection on the same line, where one does.
fn close(end: usize, bracket: char, text: &str) -> Option<usize> {
    let rest = text.get(end..)?;
    let blank = rest.len() - rest.trim_start_matches([' ', '\t']).len();
    Some(if rest[blank..].starts_with(bracket) { end + blank + 1 } else { end })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_added_and_nothing_else_changes() {
        let references: Vec<Reference> = ["redis:7", "quay.io/a/b:1"].map(|r| r.parse().unwrap()).to_vec();
        let added = "docker.io/library/redis:7";
        let other = "quay.io/a/b:1";
        for (text, wanted) in [
            (
                "name: x\nimages: # all\n  # first\n  - a:1 # one\n\n  - ref: b:1\n    platforms: [linux/amd64] # two\n# end\ncharts: []\n",
                format!(
                    "name: x\nimages: # all\n  # first\n  - a:1 # one\n\n  - ref: b:1\n    platforms: [linux/amd64] # two\n  - {added}\n  - {other}\n# end\ncharts: []\n"
                ),
            ),
            ("images:\n- a:1", format!("images:\n- a:1\n- {added}\n- {other}\n")),
            (
                "images: [a:1, {ref: b:1}] # x\n",
                format!("images: [a:1, {{ref: b:1}}, {added}, {other}] # x\n"),
            ),
            ("images: []\nname: x\n", format!("images: [{added}, {other}]\nname: x\n")),
            ("name: x\n", format!("name: x\nimages:\n  - {added}\n  - {other}\n")),
            ("name: x", format!("name: x\nimages:\n  - {added}\n  - {other}\n")),
            (
                "images:\r\n  - a:1\r\nname: x\r\n",
                format!("images:\r\n  - a:1\r\n  - {added}\r\n  - {other}\r\nname: x\r\n"),
            ),
            (
                "images:\n  - 'a:1'\n  - {ref: b, from: \"oci:x\"}\n",
                format!("images:\n  - 'a:1'\n  - {{ref: b, from: \"oci:x\"}}\n  - {added}\n  - {other}\n"),
            ),
        ] {
            assert_eq!(add_images(text, &references).as_deref(), Some(wanted.as_str()), "{text}");
        }
        assert_eq!(add_images("images: &x\n", &references), None);
    }
}
