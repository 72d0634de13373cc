//! A unified diff of a relocated text, to look at.
//!
//! Relocation never adds or takes a line, so lines are compared one by one.

/// Lines shown around a change.
const CONTEXT: usize = 3;

/// The difference between `old` and `new`, which have the same number of lines; empty when there is none.
#[must_use]
pub fn unified(old: &str, new: &str, name: &str) -> String {
    let old: Vec<&str> = old.lines().collect();
    let new: Vec<&str> = new.lines().collect();
    let changed: Vec<usize> =
        old.iter().zip(&new).enumerate().filter(|(_, (a, b))| a != b).map(|(at, _)| at).collect();
    let mut out = String::new();
    let mut changed = changed.into_iter().peekable();
    while let Some(first) = changed.next() {
        let from = first.saturating_sub(CONTEXT);
        let mut last = first;
        while let Some(next) = changed.next_if(|next| *next <= last + 2 * CONTEXT) {
            last = next;
        }
        let to = (last + CONTEXT + 1).min(old.len());
        if out.is_empty() {
            out = format!("--- {name}\n+++ {name}, relocated\n");
        }
        let count = to - from;
        out.push_str(&format!("@@ -{},{count} +{},{count} @@\n", from + 1, from + 1));
        let mut at = from;
        while at < to {
            let run = (at..to).take_while(|line| old[*line] != new[*line]).count();
            if run == 0 {
                out.push_str(&format!(" {}\n", old[at]));
                at += 1;
                continue;
            }
            old[at..at + run].iter().for_each(|line| out.push_str(&format!("-{line}\n")));
            new[at..at + run].iter().for_each(|line| out.push_str(&format!("+{line}\n")));
            at += run;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::unified;

    #[test]
    fn changes_are_shown_with_what_is_around_them() {
        let old: String = (0..20).map(|n| format!("{n}\n")).collect();
        let new = old.replace("5\n", "five\n").replace("6\n", "six\n");
        let diff = unified(&old, &new, "x");
        assert!(
            diff.starts_with(
                "--- x\n+++ x, relocated\n@@ -3,8 +3,8 @@\n 2\n 3\n 4\n-5\n-6\n+five\n+six\n 7\n"
            ),
            "{diff}"
        );
        assert!(diff.contains("@@ -13,8 +13,8 @@\n 12\n 13\n 14\n-15\n-16\n+1five\n+1six\n 17"), "{diff}");
        assert_eq!(unified(&old, &old, "x"), "");
    }
}
