//! `.helmignore`: which files of a chart's folder are not part of it, by Helm's rules.
//!
//! They are not git's: rules are tried in order and the first that speaks decides, a rule without `/` looks at the last name only, and
//! `!rule` leaves out everything that it does *not* match. Patterns are Go's `filepath.Match`.

/// The rules of one folder.
#[derive(Debug, Clone, Default)]
pub struct Rules(Vec<Rule>);

#[derive(Debug, Clone)]
struct Rule {
    pattern: Vec<char>,
    negated: bool,
    folders_only: bool,
    last_name: bool,
}

/// A rule that Helm refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(".helmignore:{line}: {why}")]
pub struct RuleError {
    /// Its line, from 1.
    pub line: usize,
    /// Why.
    pub why: &'static str,
}

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A file.
    File,
    /// A folder.
    Folder,
}

impl Rules {
    /// The rules of a `.helmignore`, and the one that Helm adds: no hidden file directly in `templates/` is read.
    ///
    /// # Errors
    /// [`RuleError`].
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut rules = Vec::new();
        for (number, line) in text.lines().chain(["templates/.?*"]).enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                rules.push(Rule::parse(line).map_err(|why| RuleError { line: number + 1, why })?);
            }
        }
        Ok(Self(rules))
    }

    /// Whether `path`, relative to the chart's folder and `/`-separated, is left out; a folder is left out with all in it.
    #[must_use]
    pub fn leave_out(&self, path: &str, what: What) -> bool {
        for rule in &self.0 {
            let passed_over = rule.folders_only && what == What::File;
            if rule.negated {
                if passed_over || !rule.matches(path) {
                    return true;
                }
            } else if !passed_over && rule.matches(path) {
                return true;
            }
        }
        false
    }
}

impl Rule {
    fn parse(line: &str) -> Result<Self, &'static str> {
        if line.contains("**") {
            return Err("\"**\" is not supported, by Helm neither");
        }
        let (negated, line) = line.strip_prefix('!').map_or((false, line), |rest| (true, rest));
        let (folders_only, line) = line.strip_suffix('/').map_or((false, line), |rest| (true, rest));
        let (rooted, line) = line.strip_prefix('/').map_or((false, line), |rest| (true, rest));
        let pattern: Vec<char> = line.chars().collect();
        if !well_formed(&pattern) {
            return Err("the pattern has a bracket or an escape that does not end");
        }
        Ok(Self { last_name: !rooted && !pattern.contains(&'/'), pattern, negated, folders_only })
    }

    fn matches(&self, path: &str) -> bool {
        let path = match self.last_name {
            true => path.rsplit('/').next().unwrap_or(path),
            false => path,
        };
        let path: Vec<char> = path.chars().collect();
        glob(&self.pattern, &path)
    }
}

/// One step of a pattern: what it matches, and the pattern behind it.
enum Step<'a> {
    Stars(&'a [char]),
    One(&'a [char]),
    Class { negated: bool, ranges: Vec<(char, char)>, rest: &'a [char] },
    Literal(char, &'a [char]),
}

/// The first step of a pattern that is not empty; `None` when it is malformed.
fn step(pattern: &[char]) -> Option<Step<'_>> {
    match pattern {
        ['*', ..] => {
            let stars = pattern.iter().take_while(|c| **c == '*').count();
            Some(Step::Stars(&pattern[stars..]))
        }
        ['?', rest @ ..] => Some(Step::One(rest)),
        ['\\'] | [] => None,
        ['[', rest @ ..] => {
            let (negated, mut rest) = match rest {
                ['^', rest @ ..] => (true, rest),
                rest => (false, rest),
            };
            let mut ranges = Vec::new();
            loop {
                match rest {
                    [']', after @ ..] if !ranges.is_empty() => {
                        return Some(Step::Class { negated, ranges, rest: after });
                    }
                    _ => {
                        let (low, after) = class_character(rest)?;
                        let (high, after) = match after {
                            ['-', after @ ..] => class_character(after)?,
                            after => (low, after),
                        };
                        ranges.push((low, high));
                        rest = after;
                    }
                }
            }
        }
        ['\\', c, rest @ ..] | [c, rest @ ..] => Some(Step::Literal(*c, rest)),
    }
}

/// A character of a bracket, perhaps escaped (Go's `getEsc`).
fn class_character(pattern: &[char]) -> Option<(char, &[char])> {
    match pattern {
        ['\\', c, rest @ ..] if !rest.is_empty() => Some((*c, rest)),
        ['\\' | '-' | ']', ..] => None,
        [c, rest @ ..] if !rest.is_empty() => Some((*c, rest)),
        _ => None,
    }
}

fn well_formed(mut pattern: &[char]) -> bool {
    while !pattern.is_empty() {
        pattern = match step(pattern) {
            Some(Step::Stars(rest) | Step::One(rest) | Step::Class { rest, .. } | Step::Literal(_, rest)) => {
                rest
            }
            None => return false,
        };
    }
    true
}

/// Go's `filepath.Match`: the whole of `text`, in which `*` and `?` stand for no `/`. Goes back to the last star only, so that no
/// pattern takes more than pattern times text steps.
fn glob(pattern: &[char], text: &[char]) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    let mut back: Option<(&[char], &[char])> = None;
    loop {
        let advanced = match (pattern, text) {
            ([], []) => return true,
            ([], _) => None,
            (pattern, text) => match (step(pattern), text) {
                (Some(Step::Stars(rest)), text) => {
                    back = Some((rest, text));
                    Some((rest, text))
                }
                (Some(Step::One(rest)), [c, after @ ..]) if *c != '/' => Some((rest, after)),
                (Some(Step::Literal(wanted, rest)), [c, after @ ..]) if *c == wanted => Some((rest, after)),
                (Some(Step::Class { negated, ranges, rest }), [c, after @ ..]) => {
                    let within = ranges.iter().any(|(low, high)| (low..=high).contains(&c));
                    (within != negated).then_some((rest, after))
                }
                _ => None,
            },
        };
        (pattern, text) = match (advanced, back) {
            (Some(next), _) => next,
            // The star takes one more character, which may not be a separator.
            (None, Some((rest, [c, after @ ..]))) if *c != '/' => {
                back = Some((rest, after));
                (rest, after)
            }
            _ => return false,
        };
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::What::{File, Folder};
    use super::*;

    /// Helm's own table (`pkg/ignore/rules_test.go`).
    #[test]
    fn rules_mean_what_they_mean_to_helm() {
        for (rule, path, what, left_out) in [
            ("helm.txt", "helm.txt", File, true),
            ("helm.*", "helm.txt", File, true),
            ("helm.*", "rudder.txt", File, false),
            ("*.txt", "tiller.txt", File, true),
            ("*.txt", "cargo/a.txt", File, true),
            ("cargo/*.txt", "cargo/a.txt", File, true),
            ("cargo/*.*", "cargo/a.txt", File, true),
            ("cargo/*.txt", "mast/a.txt", File, false),
            ("ru[c-e]?er.txt", "rudder.txt", File, true),
            ("templates/.?*", "templates/.dotfile", File, true),
            (".*", ".joonix", File, true),
            (".*", "helm.txt", File, false),
            ("cargo/", "cargo", Folder, true),
            ("cargo/", "mast", Folder, false),
            ("helm.txt/", "helm.txt", File, false),
            ("!helm.txt", "helm.txt", File, false),
            ("!helm.txt", "tiller.txt", File, true),
            ("!*.txt", "cargo", Folder, true),
            ("!cargo/", "mast", Folder, true),
            ("/a.txt", "a.txt", File, true),
            ("/a.txt", "cargo/a.txt", File, false),
            ("/cargo/a.txt", "cargo/a.txt", File, true),
            ("a*/b", "a/x/b", File, false),
            ("[^a]*", "b", File, true),
            ("[^a]*", "a", File, false),
            ("\\*", "*", File, true),
        ] {
            let rules = Rules::parse(rule).unwrap();
            assert_eq!(rules.leave_out(path, what), left_out, "{rule} {path}");
        }
    }

    #[test]
    fn comments_and_the_rule_of_helm_itself() {
        let rules = Rules::parse("\u{feff}# a comment\n\n  x.bak \r\n").unwrap();
        assert!(rules.leave_out("x.bak", File));
        assert!(rules.leave_out("templates/.swp", File));
        assert!(!rules.leave_out("templates/a.yaml", File));
        assert!(!rules.leave_out(".helmignore", File));
    }

    #[test]
    fn what_helm_refuses_is_refused() {
        for bad in ["foo/**/bar", "[z-", "[", "[]", "a\\", "[a"] {
            let error = Rules::parse(&format!("ok\n{bad}\n")).unwrap_err();
            assert_eq!(error.line, 2, "{bad}");
        }
    }

    #[test]
    fn many_stars_take_little_time() {
        let rule = "*a".repeat(200) + "b";
        assert!(!Rules::parse(&rule).unwrap().leave_out(&"a".repeat(5000), File));
    }
}
