//! Rust text with comments and literals told from code; line numbers stay.

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Code,
    Comment,
    Literal,
}

/// The text with comments and the content of literals blanked.
pub(super) fn code_only(text: &str) -> String {
    keep(text, Part::Code)
}

/// The text with everything but comments blanked.
pub(super) fn comments_only(text: &str) -> String {
    keep(text, Part::Comment)
}

/// `code` without its test modules; nothing is left of a file that is one.
pub(super) fn without_tests(path: &str, code: &str) -> String {
    if path.ends_with("/tests.rs") || path.contains("/tests/") {
        return String::new();
    }
    let mut kept: Vec<&str> = Vec::new();
    let mut lines = code.lines().peekable();
    while let Some(line) = lines.next() {
        // A test module is written at the end of its file, attributes between its gate and `mod`.
        if line.trim_end() == "#[cfg(test)]" {
            while lines.peek().is_some_and(|next| next.starts_with("#[")) {
                lines.next();
            }
            if lines.peek().is_some_and(|next| next.starts_with("mod ") && next.contains('{')) {
                break;
            }
            // `#[cfg(test)] mod tests;` and gated items: the item's first line goes.
            lines.next();
            kept.extend(["", ""]);
            continue;
        }
        kept.push(line);
    }
    kept.join("\n")
}

fn keep(text: &str, wanted: Part) -> String {
    let parts = classify(text);
    text.char_indices()
        .map(|(at, c)| if c == '\n' || parts.get(at) == Some(&wanted) { c } else { ' ' })
        .collect()
}

/// For every byte, what it belongs to.
fn classify(text: &str) -> Vec<Part> {
    let bytes = text.as_bytes();
    let mut parts = vec![Part::Code; bytes.len()];
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text.get(at..).unwrap_or("");
        let (end, part) = if rest.starts_with("//") {
            (rest.find('\n').map_or(bytes.len(), |n| at + n), Part::Comment)
        } else if rest.starts_with("/*") {
            (at + block_comment(rest), Part::Comment)
        } else if let Some(length) = raw_string(rest).filter(|_| !follows_word(bytes, at)) {
            (at + length, Part::Literal)
        } else if rest.starts_with('"') {
            (at + quoted(rest, b'"'), Part::Literal)
        } else if let Some(length) = character(rest) {
            (at + length, Part::Literal)
        } else {
            (at + rest.chars().next().map_or(1, char::len_utf8), Part::Code)
        };
        parts[at..end.min(bytes.len())].fill(part);
        at = end;
    }
    parts
}

fn follows_word(bytes: &[u8], at: usize) -> bool {
    at.checked_sub(1).is_some_and(|before| bytes[before].is_ascii_alphanumeric() || bytes[before] == b'_')
}

fn block_comment(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let mut depth = 0;
    let mut at = 0;
    while at < bytes.len() {
        match &bytes[at..(at + 2).min(bytes.len())] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// Length of `r"…"`, `r#"…"#`, `br"…"`.
fn raw_string(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'))?;
    let hashes = after.bytes().take_while(|b| *b == b'#').count();
    let open = after[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let head = rest.len() - open.len();
    Some(open.find(&close).map_or(rest.len(), |n| head + n + close.len()))
}

fn quoted(rest: &str, quote: u8) -> usize {
    let mut bytes = rest.bytes().enumerate().skip(1);
    while let Some((at, byte)) = bytes.next() {
        if byte == b'\\' {
            bytes.next();
        } else if byte == quote {
            return at + 1;
        }
    }
    rest.len()
}

/// Length of a character literal; `None` for a lifetime.
fn character(rest: &str) -> Option<usize> {
    let mut inner = rest.strip_prefix('\'')?.chars();
    let first = inner.next()?;
    if first == '\\' {
        return Some(quoted(rest, b'\''));
    }
    (inner.next() == Some('\'')).then(|| first.len_utf8() + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_comments_and_literals_are_told_apart() {
        for (text, code) in [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            ("a \"b // c\" d", "a          d"),
            ("a \"\\\"b\" c", "a       c"),
            ("r#\"a\"b\"# c", "         c"),
            ("'a' '\\'' 'b c", "         'b c"),
            ("for\"x\"", "for   "),
        ] {
            assert_eq!(code_only(text), code, "{text}");
        }
        assert_eq!(comments_only("a // b\n\"// c\""), "  // b\n      ");
    }
}
