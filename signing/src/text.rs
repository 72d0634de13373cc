//! Text from outside, made safe to show.

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
