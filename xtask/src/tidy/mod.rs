//! The house rules that no compiler checks: layers, file sizes, raw calls, what lies at the top level.
//!
//! Takes files as text and gives back everything that is wrong; reads and prints nothing itself.

mod calls;
mod layers;
mod text;

use std::fmt;

/// A file of the project.
#[derive(Debug, Clone)]
pub struct Source {
    /// Path from the top level, `/`-separated.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// Content, for Rust files.
    pub text: Option<String>,
}

/// One thing that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Path from the top level.
    pub path: String,
    /// Line, counted from 1; 0 for the whole file.
    pub line: usize,
    /// What is wrong, in one line.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.what),
            line => write!(f, "{}:{line}: {}", self.path, self.what),
        }
    }
}

/// Lines a Rust file may have.
const LINES: usize = 600;
/// Bytes any file may have: larger ones are made, not kept.
const BYTES: u64 = 1 << 20;

/// What the top level holds, besides names that begin with a dot.
const TOP: [&str; 14] = [
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "docs",
    "manifests",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "signing",
    "src",
    "templates",
    "tests",
    "xtask",
];

/// Everything that breaks a rule in `files`, which are all of the project's, in order of path and line.
#[must_use]
pub fn check(files: &[Source]) -> Vec<Problem> {
    let mut problems = top_level(files);
    for file in files {
        if file.size > BYTES {
            problems.push(whole(file, format!("{} bytes; at most {BYTES} are kept", file.size)));
        }
        if let Some(text) = &file.text {
            problems.extend(rust(file, text));
        }
    }
    problems.sort();
    problems
}

fn whole(file: &Source, what: String) -> Problem {
    Problem { path: file.path.clone(), line: 0, what }
}

fn at(file: &Source, line: usize, what: String) -> Problem {
    Problem { path: file.path.clone(), line: line + 1, what }
}

fn top_level(files: &[Source]) -> Vec<Problem> {
    let entry = |file: &Source| file.path.split('/').next().unwrap_or("").to_owned();
    let mut problems: Vec<Problem> = files
        .iter()
        .filter(|file| !file.path.starts_with('.') && !TOP.contains(&entry(file).as_str()))
        .map(|file| whole(file, "the top level is fixed, and this is not part of it".to_owned()))
        .collect();
    for wanted in TOP {
        if !files.iter().any(|file| entry(file) == wanted) {
            let what = "the top level is fixed, and this is missing".to_owned();
            problems.push(Problem { path: wanted.to_owned(), line: 0, what });
        }
    }
    problems
}

fn rust(file: &Source, text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    let lines = text.lines().count();
    if lines > LINES {
        problems.push(whole(file, format!("{lines} lines; at most {LINES}")));
    }
    if !text.starts_with("//!") {
        problems.push(at(file, 0, "a file opens with //! and what it is for".to_owned()));
    }
    let code = text::code_only(text);
    for (number, line) in code.lines().enumerate() {
        for banned in ["#[ignore", "todo!(", "unimplemented!("] {
            if line.contains(banned) {
                problems.push(at(file, number, format!("{banned} has no place here")));
            }
        }
    }
    for (number, line) in text::comments_only(text).lines().enumerate() {
        for banned in ["TODO", "FIXME", "XXX", "HACK"] {
            if line.split(|c: char| !c.is_alphanumeric()).any(|word| word == banned) {
                problems.push(at(file, number, format!("{banned}: do it or leave it out")));
            }
        }
    }
    let shipped = text::without_tests(&file.path, &code);
    problems.extend(layers::check(file, &shipped));
    problems.extend(calls::check(file, &shipped));
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let file = Source { path: path.to_owned(), size: text.len() as u64, text: Some(text.to_owned()) };
        rust(&file, text).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn upward_paths_are_found_in_every_form() {
        for line in [
            "use crate::ops::load;",
            "use crate::{digest::Blob, ops::{load, build}};",
            "use crate::{\n    digest,\n    ops,\n};",
            "fn f() { crate::ops::load(); }",
            "use super::super::ops;",
        ] {
            let problems = found("src/plan/load.rs", &format!("//! Doc.\n{line}\n"));
            assert_eq!(problems.len(), 1, "{line}: {problems:?}");
            assert!(problems[0].contains("plan may not name ops"), "{problems:?}");
        }
    }

    #[test]
    fn own_layer_and_lower_are_free() {
        let text =
            "//! Doc.\nuse crate::{bundle, digest::{Blob, ops}};\nuse super::super::oci;\n// crate::ops\n";
        assert_eq!(found("src/plan/load.rs", text), Vec::<String>::new());
        assert_eq!(found("src/cli/load.rs", "//! Doc.\nuse crate::ops::load;\n"), Vec::<String>::new());
    }

    #[test]
    fn an_unknown_module_has_no_layer() {
        assert!(found("src/misc.rs", "//! Doc.\n")[0].contains("no layer"));
    }

    #[test]
    fn raw_calls_are_found_outside_their_place_and_outside_tests() {
        let text = "//! Doc.\nfn f() { std::fs::write(a, b); }\n";
        assert_eq!(found("src/ops/load.rs", text).len(), 1);
        assert_eq!(found("src/bundle/index.rs", text).len(), 1);
        let tested = "//! Doc.\n#[cfg(test)]\nmod tests { fn f() { std::fs::write(a, b); } }\n";
        assert_eq!(found("src/bundle/index.rs", tested), Vec::<String>::new());
        let text = "//! Doc.\nasync fn f() {}\n";
        assert_eq!(found("src/ops/load.rs", text).len(), 1);
        assert_eq!(found("src/registry/load.rs", text), Vec::<String>::new());
    }

    #[test]
    fn unfinished_things_are_found() {
        let text = format!("//! Doc.\n#[{}]\nfn f() {{ {}!() }}\n// {}: later\n", "ignore", "todo", "TODO");
        assert_eq!(found("tests/x.rs", &text).len(), 3);
        assert_eq!(found("tests/x.rs", "fn f() {}\n").len(), 1);
        let long = format!("//! Doc.\n{}", "\n".repeat(LINES));
        assert_eq!(found("tests/x.rs", &long).len(), 1);
        assert_eq!(
            found("tests/x.rs", "//! Doc.\nconst X: &str = \"todo!() TODO\";\n"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn the_top_level_is_fixed() {
        let file = |path: &str| Source { path: path.to_owned(), size: 0, text: None };
        let mut files: Vec<Source> = TOP.iter().map(|path| file(path)).collect();
        files.push(file(".ci/run"));
        assert_eq!(check(&files), []);
        files.push(file("lib/x"));
        files.remove(0);
        assert_eq!(check(&files).len(), 2);
    }
}
