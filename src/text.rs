//! Text from outside, made safe to show.
//!
//! File names, JSON and replies of registries can hold characters that move a terminal's cursor, or that show a line in another order
//! than it has. Whoever puts such text into a message passes it through here; the face does it once more for all it prints.

/// What stands where a character was taken out.
pub const REPLACEMENT: char = '\u{fffd}';

/// Whether a terminal shows `c` as one visible character in its place: no control character (ISO 6429), none of Unicode's
/// line breaks, direction marks, overrides and isolates (UAX #9), and no invisible mark.
#[must_use]
pub fn is_printable(c: char) -> bool {
    !c.is_control()
        && !matches!(
            c,
            '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

/// At most `limit` characters of `text`, each one that is not printable replaced.
#[must_use]
pub fn printable(text: &str, limit: usize) -> String {
    text.chars().take(limit).map(|c| if is_printable(c) { c } else { REPLACEMENT }).collect()
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
}
