//! One pass over a text: at each place the first pattern that fits takes its part. Patterns are ASCII; all else goes through as it is.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Kind, Redactor, is_nothing, is_secret_name};

/// What tokens of well-known kinds begin with.
const PREFIXES: [&str; 15] = [
    "AKIA",
    "ASIA",
    "ghp_",
    "gho_",
    "ghs_",
    "ghu_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "sk-",
    "hf_",
    "npm_",
    "dckr_pat_",
    "AGE-SECRET-KEY-1",
];
/// Characters after a prefix that make it a token.
const TOKEN: usize = 12;
const PEM: (&str, &str, &str) = ("-----BEGIN ", "PRIVATE KEY-----", "-----END ");

/// `text` without what the patterns find.
pub(super) fn scan(redactor: &mut Redactor, text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let begins = !text[..at].ends_with(word);
        let found = if c == '-' {
            private_key(text, at)
        } else if text[at..].starts_with("://") {
            user_of_address(text, at)
        } else if begins && (c.is_ascii_alphanumeric() || c == ':' || c == '_') {
            token(text, at)
                .or_else(|| bearer(text, at))
                .or_else(|| named(text, at))
                .or_else(|| email(text, at))
                .or_else(|| address(text, at))
        } else {
            None
        };
        match found.filter(|found| !redactor.keeps(found.kind)) {
            Some(Found { kind, from, to }) => {
                out.push_str(&text[at..from]);
                out.push_str(&redactor.take(kind, &text[from..to]));
                at = to;
            }
            // A word in which nothing was found at its beginning has nothing further on, but what is named by it.
            None => {
                out.push(c);
                at += c.len_utf8();
            }
        }
    }
    out
}

/// A part that is taken: what comes before it from where it was looked for stays.
#[derive(Debug, Clone, Copy)]
struct Found {
    kind: Kind,
    from: usize,
    to: usize,
}

fn word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The end of the run of characters from `at` that `is` holds for.
fn run(text: &str, at: usize, is: impl Fn(char) -> bool) -> usize {
    text[at..].find(|c| !is(c)).map_or(text.len(), |length| at + length)
}

/// `-----BEGIN … PRIVATE KEY-----` to its end, or to the end of the text.
fn private_key(text: &str, at: usize) -> Option<Found> {
    let (begin, key, end) = PEM;
    let rest = text[at..].strip_prefix(begin)?;
    let title = &rest[..rest.find('\n').unwrap_or(rest.len()).min(rest.find("\\n").unwrap_or(rest.len()))];
    if !title.contains(key) {
        return None;
    }
    let to = rest.find(end).map_or(text.len(), |length| {
        let last = at + begin.len() + length + end.len();
        text[last..].find("-----").map_or(text.len(), |more| last + more + 5)
    });
    Some(Found { kind: Kind::PrivateKey, from: at, to })
}

/// `user:password@` after `://`.
fn user_of_address(text: &str, at: usize) -> Option<Found> {
    let from = at + 3;
    let end = run(text, from, |c| !c.is_whitespace() && !matches!(c, '/' | '"' | '\'' | '<' | '>' | ','));
    let to = from + text[from..end].rfind('@')?;
    (to > from).then_some(Found { kind: Kind::Secret, from, to })
}

fn token(text: &str, at: usize) -> Option<Found> {
    let end = run(text, at, |c| word(c) || matches!(c, '-' | '.' | '+' | '/' | '='));
    let whole = &text[at..end];
    // A JWT: three parts, of which the first is a JSON object in base64url.
    if whole.starts_with("eyJ") && whole.len() >= 40 && whole.matches('.').count() >= 2 {
        return Some(Found { kind: Kind::Token, from: at, to: end });
    }
    let end = run(text, at, |c| word(c) || c == '-');
    let whole = &text[at..end];
    PREFIXES
        .iter()
        .any(|prefix| whole.strip_prefix(prefix).is_some_and(|rest| rest.len() >= TOKEN))
        .then_some(Found { kind: Kind::Token, from: at, to: end })
}

/// `Bearer …`, `Basic …`.
fn bearer(text: &str, at: usize) -> Option<Found> {
    let end = run(text, at, |c| c.is_ascii_alphabetic());
    if !["bearer", "basic"].contains(&text[at..end].to_ascii_lowercase().as_str()) {
        return None;
    }
    let from = run(text, end, |c| c == ' ');
    let to = run(text, from, |c| word(c) || matches!(c, '.' | '~' | '+' | '/' | '=' | '-'));
    (from > end && to - from >= 8).then_some(Found { kind: Kind::Token, from, to })
}

/// `password=…`, `"apiKey": "…"`, `--token …`.
fn named(text: &str, at: usize) -> Option<Found> {
    let end = run(text, at, |c| word(c) || matches!(c, '-' | '.'));
    if !is_secret_name(&text[at..end]) {
        return None;
    }
    let quotes = |c| matches!(c, '"' | '\'' | '\\' | '`');
    let mut from = run(text, end, quotes);
    let spaced = run(text, from, |c| c == ' ');
    from = match text[spaced..].chars().next() {
        Some('=' | ':') => run(text, spaced + 1, |c| matches!(c, ' ' | '=' | '>')),
        // `--token x`, where it is no next option.
        _ if spaced > end && text[..at].ends_with("--") && !text[spaced..].starts_with('-') => spaced,
        _ => return None,
    };
    let open = run(text, from, quotes);
    let to = match text[from..open].chars().next_back() {
        // To the quote that closes it: one behind a backslash does only where the one that opened had one.
        Some(quote @ ('"' | '\'' | '`')) => {
            let escaped = text[from..open].contains('\\');
            let mut last = '\0';
            let closing = text[open..].char_indices().find(|(_, c)| {
                let closes = *c == quote && (escaped == (last == '\\'));
                last = *c;
                closes || *c == '\n'
            });
            let to = closing.map_or(text.len(), |(length, _)| open + length);
            if escaped { open + text[open..to].trim_end_matches('\\').len() } else { to }
        }
        _ => run(text, open, |c| {
            !c.is_whitespace() && !matches!(c, ',' | ';' | '&' | '"' | '\'' | '`' | '}' | ')' | ']')
        }),
    };
    let value = &text[open..to];
    // A scheme before the token itself: `Authorization: Bearer …`.
    let scheme = value.eq_ignore_ascii_case("bearer") || value.eq_ignore_ascii_case("basic");
    (to > open && !scheme && !is_nothing(value) && !value.starts_with('[')).then_some(Found {
        kind: Kind::Secret,
        from: open,
        to,
    })
}

fn email(text: &str, at: usize) -> Option<Found> {
    let end = run(text, at, |c| word(c) || matches!(c, '.' | '%' | '+' | '-'));
    let domain = text[end..].strip_prefix('@').map(|_| end + 1)?;
    let to = run(text, domain, |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'));
    let to = domain + text[domain..to].trim_end_matches(['.', '-']).len();
    let last = text[domain..to].rsplit_once('.')?.1;
    let named = last.len() >= 2 && last.chars().all(|c| c.is_ascii_alphabetic());
    named.then_some(Found { kind: Kind::Email, from: at, to })
}

fn address(text: &str, at: usize) -> Option<Found> {
    if text[..at].ends_with(['.', ':']) {
        return None;
    }
    let end = run(text, at, |c| c.is_ascii_hexdigit() || matches!(c, ':' | '.'));
    let whole = text[at..end].trim_end_matches(['.', ':']);
    let found = |length: usize| Some(Found { kind: Kind::Ip, from: at, to: at + length });
    // `::` and what has no digit are words of programs: `std::fs`.
    if whole.matches(':').count() >= 2 && !text[end..].starts_with(word) {
        let six: Ipv6Addr = whole.parse().ok()?;
        let meant =
            whole.contains(|c: char| c.is_ascii_digit()) && !six.is_loopback() && !six.is_unspecified();
        return if meant { found(whole.len()) } else { None };
    }
    let end = run(text, at, |c| c.is_ascii_digit() || c == '.');
    let whole = text[at..end].trim_end_matches('.');
    if text[end..].starts_with(word) {
        return None;
    }
    let four: Ipv4Addr = whole.parse().ok()?;
    let meant = !four.is_loopback() && !four.is_unspecified() && !four.is_broadcast();
    if meant { found(whole.len()) } else { None }
}
