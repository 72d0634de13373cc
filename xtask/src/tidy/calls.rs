//! Raw calls that have one place each, and what the pure layers may not touch.

use super::layers::{layer_of, module_of};
use super::{Problem, Source, at};

struct Rule {
    /// What is looked for, as it stands in code.
    calls: &'static [&'static str],
    /// Where it may stand: path prefixes.
    allowed: &'static [&'static str],
    why: &'static str,
}

/// Calls in `src/` with one place each. A second copy of what guards is a defect even when correct today.
const ONE_PLACE: &[Rule] = &[
    Rule {
        calls: &["Sha256::", "sha2::Sha256"],
        allowed: &["src/digest.rs"],
        why: "digest::Hasher is the one hasher",
    },
    Rule {
        calls: &["fs::write(", "fs::rename(", "File::create(", "NamedTempFile"],
        allowed: &["src/sys", "src/store"],
        why: "files are written whole or not at all, in sys",
    },
    Rule { calls: &["Command::new("], allowed: &["src/tools"], why: "programs are run in tools" },
    Rule {
        calls: &["reqwest::Client", "ClientBuilder"],
        allowed: &["src/registry"],
        why: "the one HTTP client builder is in registry",
    },
    Rule {
        calls: &["serde_saphyr::", "granit_parser::"],
        allowed: &["src/release"],
        why: "YAML has one wrapper, in release",
    },
    Rule {
        calls: &["SystemTime::now", "Timestamp::now", "Zoned::now", "Utc::now"],
        allowed: &["src/sys"],
        why: "the clock is read in sys",
    },
    Rule {
        calls: &["env::var", "env::current_dir", "env::home_dir"],
        allowed: &["src/cli", "src/sys"],
        why: "the environment is read in sys, or by the face",
    },
    Rule {
        calls: &["process::exit(", "stdout()", "stderr()", "println!(", "eprintln!(", "print!(", "eprint!("],
        allowed: &["src/cli", "src/main.rs"],
        why: "only the face prints and exits",
    },
];

/// What words, formats and plans may not touch.
const IMPURE: &[&str] = &[
    "std::fs",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "std::process",
    "std::env",
    "SystemTime",
    "Instant",
    "tokio::",
    "reqwest::",
    "rustix::",
];
/// What only ports may have.
const ASYNC: &[&str] = &["async fn", "async move", ".await", "tokio::"];

/// Rank of the first layer that may touch the world.
const PORTS: usize = 3;

pub(super) fn check(file: &Source, code: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    if !file.path.starts_with("src/") && !file.path.starts_with("signing/src/") {
        return problems;
    }
    let rank = module_of(&file.path).and_then(layer_of).map(|(rank, _)| rank);
    let pure = file.path.starts_with("signing/") || rank.is_some_and(|rank| rank < PORTS);
    // `fs::` may be a module of ours.
    let std_fs = code.contains("use std::fs") || code.contains("use std::{fs");
    let bound = ONE_PLACE.iter().filter(|rule| !rule.allowed.iter().any(|p| file.path.starts_with(p)));
    let bound: Vec<&Rule> = bound.filter(|_| file.path.starts_with("src/")).collect();
    for (number, line) in code.lines().enumerate() {
        for rule in &bound {
            let known = |call: &&&str| std_fs || !call.starts_with("fs::") || line.contains("std::fs::");
            if let Some(call) = rule.calls.iter().filter(known).find(|call| stands(line, call)) {
                problems.push(at(file, number, format!("{call} here: {}", rule.why)));
            }
        }
        if let Some(what) = IMPURE.iter().find(|what| pure && stands(line, what)) {
            problems.push(at(file, number, format!("{what} here: words, formats and plans touch no world")));
        } else if let Some(what) = ASYNC.iter().find(|what| rank != Some(PORTS) && stands(line, what)) {
            problems.push(at(file, number, format!("{what} here: async stays inside the ports")));
        }
    }
    // A raw call in a pure layer breaks two rules; the one about the place says more.
    problems.dedup_by(|later, first| later.line == first.line);
    problems
}

/// Whether `line` has `what` as a word of its own.
fn stands(line: &str, what: &str) -> bool {
    line.match_indices(what).any(|(offset, _)| {
        let before = line[..offset].chars().next_back();
        !what.starts_with(|c: char| c.is_alphanumeric())
            || !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}
