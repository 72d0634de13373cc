//! What the program remembers between runs, where it has nowhere to remember it, and what it writes beside a load.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use xtask::registry::{Config, Server};

use super::forge::{Forgery, Yard, tags};
use super::program::{Outcome, Program};

struct Desk {
    yard: Yard,
    program: Program,
    registry: Server,
}

impl Desk {
    fn new() -> Self {
        let yard = Yard::new();
        let program = Program::at(&yard.path("."));
        program.done(&["trust", "init", "--key", "vendor.pub", "--threshold", "1", "--out", "trust.json"]);
        Forgery::small().write(&yard, "good", &[&yard.key]);
        Self { yard, program, registry: Server::start(Config::default()).unwrap() }
    }

    fn line(&self, verb: &str) -> Vec<String> {
        let to = match verb {
            "load" => format!(" --registry {}/mirror", self.registry.host()),
            _ => String::new(),
        };
        let line = format!("{verb} good --trust trust.json --identity acme.key{to}");
        line.split(' ').map(str::to_owned).collect()
    }

    /// Runs with the state in `state`; `None` for a machine that offers no place for it.
    fn run(&self, line: &[String], state: Option<PathBuf>) -> Outcome {
        let mut command = self.program.command(line);
        command.env_remove("HOME").env_remove("BUNDLE_STATE");
        if let Some(state) = state {
            command.env("BUNDLE_STATE", state);
        }
        Outcome::of(command.output().unwrap())
    }
}

#[test]
fn without_a_place_to_remember_that_is_said_every_time() {
    let desk = Desk::new();
    for verb in ["verify", "load"] {
        desk.run(&desk.line(verb), None).says(0, &["there is no state folder", "BUNDLE_STATE"]);
        let json = desk.run(&[desk.line(verb), vec!["--json".into()]].concat(), None);
        json.says(0, &["no-memory"]);
    }
    // Who lets older releases through by policy need not hear of it.
    let ignoring = "trust init --key vendor.pub --threshold 1 --weigh downgrade=ignore --out ignoring.json";
    desk.program.done(&ignoring.split(' ').collect::<Vec<_>>());
    let line: Vec<String> =
        desk.line("verify").iter().map(|w| w.replace("trust.json", "ignoring.json")).collect();
    let quiet = desk.run(&line, None);
    assert!(!quiet.stdout.contains("state folder"), "{quiet:#?}");
}

#[test]
fn a_place_that_cannot_be_written_is_found_out_before_anything_is_sent() {
    let desk = Desk::new();
    let file = desk.yard.path("a-file");
    fs::write(&file, b"x").unwrap();
    let outcome = desk.run(&desk.line("load"), Some(file.join("state")));
    outcome.says(3, &["nothing was sent", "BUNDLE_STATE"]);
    assert!(tags(&desk.registry).is_empty());
    // An empty one, as the power leaves it, blocks nothing for ever: what to remove is named.
    let state = desk.yard.path("torn");
    fs::create_dir(&state).unwrap();
    fs::write(state.join("releases.json"), b"").unwrap();
    desk.run(&desk.line("load"), Some(state.clone()))
        .says(3, &["releases.json", "remove", "nothing was sent"]);
    assert!(tags(&desk.registry).is_empty());
    fs::remove_file(state.join("releases.json")).unwrap();
    // A pipe is not waited for.
    super::program::tool(std::process::Command::new("mkfifo").arg(state.join("releases.json")));
    desk.run(&desk.line("load"), Some(state.clone())).says(3, &["releases.json: it is not an ordinary file"]);
    fs::remove_file(state.join("releases.json")).unwrap();
    desk.run(&desk.line("load"), Some(state)).says(0, &["OK"]);
}

#[test]
fn a_mapping_that_cannot_be_written_is_found_out_before_anything_is_sent() {
    let desk = Desk::new();
    let load = |mapping: &str| [desk.line("load"), vec!["--mapping".into(), mapping.into()]].concat();
    let state = || Some(desk.yard.path("state"));
    let outcome = desk.run(&load("no/such/map.json"), state());
    outcome.says(2, &["no/such/map.json"]);
    assert!(!outcome.stderr.contains(".part"), "{outcome:#?}");
    // Nor into the delivered folder, by whatever way.
    symlink(desk.yard.path("good"), desk.yard.path("link")).unwrap();
    for inside in ["good/map.json", "good/volumes/map.json", "link/map.json", "./good/../good/map.json"] {
        desk.run(&load(inside), state()).says(2, &["never written to", inside]);
        assert!(!desk.yard.path(inside).exists());
    }
    assert!(tags(&desk.registry).is_empty());
    desk.run(&load("map.json"), state()).says(0, &["OK"]);
    assert!(desk.yard.path("map.json").exists());
    let left: Vec<_> = fs::read_dir(desk.yard.path(".")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".part")), "{left:?}");
}
