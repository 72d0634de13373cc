//! Text from outside, made safe to show.
//!
//! File names, JSON and replies of registries can hold characters that move a terminal's cursor, or that show a line in another order
//! than it has. Whoever puts such text into a message passes it through here; the face does it once more for all it prints.

pub use signing::text::{REPLACEMENT, is_printable, printable};

/// `text` without what must not be shown or logged: age's private identities, and what stands before the host of an address.
#[must_use]
pub fn without_secrets(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((at, mark)) = next_secret(rest) {
        let (before, after) = rest.split_at(at + mark.len());
        out.push_str(before);
        let secret = match mark {
            ADDRESS => {
                after.find('@').filter(|end| !after[..*end].contains(['/', ' ', '"', '\n'])).unwrap_or(0)
            }
            _ => after.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(after.len()),
        };
        if secret > 0 {
            out.push('…');
        }
        rest = &after[secret..];
    }
    out.push_str(rest);
    out
}

const IDENTITY: &str = "AGE-SECRET-KEY-1";
const ADDRESS: &str = "://";

/// Where the next mark of a secret is, in any case of its letters.
fn next_secret(text: &str) -> Option<(usize, &'static str)> {
    let upper = text.to_ascii_uppercase();
    [IDENTITY, ADDRESS].into_iter().filter_map(|mark| Some((upper.find(mark)?, mark))).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_act_on_is_replaced() {
        for hostile in
            ["\x1b[2J", "\u{9b}2J", "a\rb", "a\nb", "a\u{202e}b", "a\u{2066}b", "a\u{2028}b", "\u{feff}"]
        {
            let shown = printable(hostile, 100);
            assert!(shown.contains(REPLACEMENT), "{hostile:?}");
            assert!(shown.chars().all(is_printable), "{hostile:?}");
        }
        assert_eq!(printable("Ünïcode 漢字 ok", 100), "Ünïcode 漢字 ok");
        assert_eq!(printable("abcdef", 3), "abc");
    }

    #[test]
    fn secrets_that_were_given_in_the_wrong_place_are_not_repeated() {
        for (text, shown) in [
            ("cannot read AGE-SECRET-KEY-1QQQSYQCYQ5: no", "cannot read AGE-SECRET-KEY-1…: no"),
            ("age-secret-key-1abc/age-secret-key-1x.", "age-secret-key-1…/age-secret-key-1…."),
            ("AGE-SECRET-KEY-1…", "AGE-SECRET-KEY-1…"),
            ("https://me:pass@host/x and http://host/@me", "https://…@host/x and http://host/@me"),
            ("\"oci://a b@c\"", "\"oci://a b@c\""),
            ("nothing: at all", "nothing: at all"),
        ] {
            assert_eq!(without_secrets(text), shown);
        }
    }
}
