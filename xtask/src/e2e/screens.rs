//! What a person sees who installs at a terminal, written into the documentation as it was on the screen.

use std::fs;
use std::path::Path;

use xtask::terminal::Terminal;

use super::Desk;
use crate::{Outcome, cargo, say};

/// Where the screens are between the two halves.
const FILE: &str = "screens.md";
/// Where they belong.
const PAGE: &str = "docs/screens.md";
const INTRODUCTION: &str = "# An installation, as it is on the screen\n\n\
    Written by `cargo xtask screens`, from a real terminal, on a real cluster. The registry's address, folders and the password that is shown are put in\n\
    afterwards. What happens at each step is in [installing.md](installing.md).\n";

/// Prompts, the keys that answer them, and what is said of them on the page; screens without words are not shown.
const STEPS: [(&str, &[&str], &str); 7] = [
    (
        "Name under which it is reached",
        &["shop.acme.example", "Enter"],
        "The questions come one by one; what has a proposal takes it with Enter.",
    ),
    ("Replicas of the agent", &["2", "Enter"], ""),
    ("Send mail", &["Up", "Enter"], "Of several things one is chosen with the arrow keys."),
    ("Host of the mail relay", &["relay.acme.example", "Enter"], "An answer may bring further questions."),
    ("Password of the first administrator (", &["Enter"], "Secrets are typed unseen, or made."),
    (
        "These are the answers",
        &["Enter"],
        "All answers once more. Each can be changed; nothing has happened yet.",
    ),
    (
        "Install this?",
        &["Down", "Enter"],
        "Then the plan: what becomes of every object. Enter alone leaves, with nothing done.",
    ),
];

/// Installs at a terminal, and keeps the screens.
pub(super) fn take(desk: &Desk<'_>, host: &str) -> Outcome {
    let place = format!("--registry {host}/mirror");
    desk.run(&format!("load out/shop-1.0.0 --trust trust.json {place} --identity acme.key"))?;
    let line = format!("install out/shop-1.0.0 --trust trust.json {place}");
    let terminal = Terminal::start(&desk.command(&line)?, &format!("bundle {line}"))?;
    let shown = |screen: &str| as_documented(screen, host, desk.folder);
    let mut page = INTRODUCTION.to_owned();
    let mut before = String::new();
    for (prompt, keys, words) in STEPS {
        let screen = terminal.wait(prompt)?;
        if !words.is_empty() {
            page += &format!("\n{words}\n\n```text\n{}\n```\n", shown(&news(&screen, &before)));
            before = screen;
        }
        terminal.press(keys)?;
    }
    let screen = terminal.wait("exit code 0")?;
    let end = news(&screen, &before).replace("\nexit code 0", "");
    page += "\nThe work: what is waited for is said, and then how it ended, where it is reached, and the password, once.\n";
    page += &format!("\n```text\n{}\n```\n", shown(&end));
    fs::write(desk.folder.join(FILE), page).map_err(|error| error.to_string())
}

/// The lines that were not on the screen before.
fn news(screen: &str, before: &str) -> String {
    let known = screen.lines().zip(before.lines()).take_while(|(now, before)| now == before).count();
    screen.lines().skip(known).collect::<Vec<_>>().join("\n")
}

/// Puts the page where it belongs, and the report where it can be looked at.
pub(super) fn write(folder: &Path) -> Outcome {
    let error = |error: std::io::Error| error.to_string();
    let page = fs::read_to_string(folder.join(FILE)).map_err(error)?;
    fs::write(cargo::root().join(PAGE), page).map_err(error)?;
    let report = cargo::target_folder()?.join("report.html");
    fs::copy(folder.join(".local/state/bundle/reports/shop-1.0.0-r1.html"), &report).map_err(error)?;
    say::line(&format!("{PAGE}: written; the report is {}", report.display()));
    Ok(())
}

/// A screen with what is of this machine replaced.
fn as_documented(screen: &str, host: &str, folder: &Path) -> String {
    let screen = screen
        .replace(host, "registry.acme.example")
        .replace(&folder.display().to_string(), "/home/operator");
    let lines = screen.lines().map(|line| match line.split_once("first administrator: ") {
        Some((label, _)) => format!("{label}first administrator: 7hKq2RxTn5WzVb9LdYcM"),
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}
