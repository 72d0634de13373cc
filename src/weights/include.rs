//! Which files of a model are carried: patterns over whole paths.
//!
//! `*` stands for any characters but `/`, `?` for one, `**` as a whole name for any number of folders (none too). Everything else stands
//! for itself. Characters that other tools give a meaning (`[ ] { } !` and `\`) are refused, so that no pattern means less than its author
//! thought.

use crate::text::printable;

/// Patterns; none at all take everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Include(Vec<Vec<String>>);

/// Why a text is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("pattern \"{pattern}\" is refused: {why}")]
pub struct PatternError {
    /// The pattern, made printable.
    pub pattern: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Include {
    /// The patterns `texts`.
    ///
    /// # Errors
    /// The first that is none.
    pub fn new(texts: &[String]) -> Result<Self, PatternError> {
        texts.iter().map(|text| pattern(text)).collect::<Result<_, _>>().map(Self)
    }

    /// Whether `path` is carried. Each pattern that takes it is noted in `used`, which has a place for each.
    pub fn takes(&self, path: &str, used: &mut [bool]) -> bool {
        let names: Vec<&str> = path.split('/').collect();
        let mut taken = self.0.is_empty();
        for (pattern, used) in self.0.iter().zip(used) {
            if path_matches(pattern, &names) {
                *used = true;
                taken = true;
            }
        }
        taken
    }

    /// How many patterns there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn pattern(text: &str) -> Result<Vec<String>, PatternError> {
    let fault = |why| PatternError { pattern: printable(text, 120), why };
    if text.is_empty() || text.len() > crate::limits::PATH_BYTES {
        return Err(fault("it is empty, or longer than any path"));
    }
    if text.chars().any(|c| "[]{}!\\".contains(c) || c.is_control()) {
        return Err(fault("only * ? and ** have a meaning; [ ] { } ! and \\ are not used"));
    }
    let names: Vec<String> = text.split('/').map(str::to_owned).collect();
    if names.iter().any(|name| name.is_empty() || name == "." || name == "..") {
        return Err(fault("it has an empty name, \".\" or \"..\" in it"));
    }
    if names.iter().any(|name| name.contains("**") && name != "**") {
        return Err(fault("** stands alone between slashes, as in **/*.json"));
    }
    Ok(names)
}

/// Matches name by name; `**` is tried with every number of folders, in time that grows with the product of both lengths.
fn path_matches(pattern: &[String], names: &[&str]) -> bool {
    // reached[n]: the pattern so far matches the first n names.
    let mut reached = vec![false; names.len() + 1];
    reached[0] = true;
    for part in pattern {
        let mut next = vec![false; names.len() + 1];
        if part == "**" {
            let mut any = false;
            for (at, slot) in next.iter_mut().enumerate() {
                any |= reached[at];
                *slot = any;
            }
        } else {
            for (at, name) in names.iter().enumerate() {
                next[at + 1] = reached[at] && name_matches(part, name);
            }
        }
        reached = next;
    }
    reached[names.len()]
}

/// Matches one name. Goes back at most to the last `*`.
fn name_matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    n = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn takes(pattern: &str, path: &str) -> bool {
        Include::new(&[pattern.to_owned()]).unwrap().takes(path, &mut [false])
    }

    #[test]
    fn patterns_mean_what_is_documented() {
        for (pattern, path, wanted) in [
            ("*.json", "config.json", true),
            ("*.json", "a/config.json", false),
            ("**/*.json", "config.json", true),
            ("**/*.json", "a/b/config.json", true),
            ("a/**", "a/b/c", true),
            ("a/**", "b/a", false),
            ("a/**/d", "a/d", true),
            ("a/**/d", "a/b/c/d", true),
            ("tokenizer*", "tokenizer", true),
            ("tokenizer*", "tokenizer.model", true),
            ("model-?.bin", "model-1.bin", true),
            ("model-?.bin", "model-10.bin", false),
            ("*-of-*.safetensors", "model-1-of-2.safetensors", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("*.JSON", "config.json", false),
        ] {
            assert_eq!(takes(pattern, path), wanted, "{pattern} {path}");
        }
    }

    #[test]
    fn what_others_would_read_otherwise_is_refused() {
        for bad in ["", "!*.bin", "[ab]", "{a,b}", "a\\b", "/a", "a/", "../a", "a**", "a//b"] {
            assert!(Include::new(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_pattern_takes_everything_and_used_ones_are_noted() {
        assert!(Include::default().takes("x", &mut []));
        let include = Include::new(&["a*".to_owned(), "b*".to_owned()]).unwrap();
        let mut used = [false; 2];
        assert!(!include.takes("c", &mut used));
        assert!(include.takes("ab", &mut used));
        assert_eq!(used, [true, false]);
    }
}
