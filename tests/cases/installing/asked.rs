//! A person at a terminal who leaves at each prompt of `install`: nothing is done, and that is said.

use std::process::Command;

use xtask::terminal::Terminal;

use super::shop::Shop;
use crate::cases::program::tool;

/// The prompts, in order: what is on the screen, and what goes on from there.
const PROMPTS: [(&str, &[&str]); 8] = [
    ("Greeting", &["Enter"]),
    ("Replicas", &["Enter"]),
    ("Name under which it is reached", &["shop.example.com", "Enter"]),
    ("Crash", &["Enter"]),
    ("Password of the first administrator (", &["Enter"]),
    ("Password of the database (", &["Enter"]),
    ("These are the answers", &["Enter"]),
    ("Install this?", &["Down", "Enter"]),
];

/// The arguments of the last line of the guide that begins so, with what an operator puts in: where the medium is, and the registry's name.
fn printed(shop: &Shop, beginning: &str) -> Vec<&'static str> {
    let guide = std::fs::read_to_string(shop.folder.join("INSTALLATION_GUIDE.md")).unwrap();
    let line = guide.lines().rfind(|line| line.starts_with(beginning)).unwrap();
    let word = |word: &str| match word.starts_with('/') || word.ends_with("shop-1.0.0") {
        true => shop.folder.display().to_string(),
        false => word.replace("harbor.acme.internal", &shop.place),
    };
    line.split(' ').skip(1).map(|one| &*word(one).leak()).collect()
}

fn start(shop: &Shop) -> Terminal {
    let folder = shop.folder.display().to_string();
    let line = ["install", &folder, "--trust", "trust.json", "--registry", &shop.place, "--wait", "25"];
    Terminal::start(&shop.command(&line), "bundle install").unwrap()
}

#[test]
fn whoever_leaves_at_a_prompt_has_changed_nothing_and_whoever_stays_installs() {
    let shop = Shop::new("asked");
    let is_there = || {
        let asked = ["get", "namespace", &shop.namespace.name];
        shop.namespace.command(&asked).output().unwrap().status.success()
    };
    for leave in 0..PROMPTS.len() {
        let terminal = start(&shop);
        for (prompt, keys) in &PROMPTS[..leave] {
            terminal.wait(prompt).unwrap();
            terminal.press(keys).unwrap();
        }
        terminal.wait(PROMPTS[leave].0).unwrap();
        terminal.press(&["C-c"]).unwrap();
        let screen = terminal.wait("exit code").unwrap();
        assert!(screen.contains("exit code 4"), "{screen}");
        assert!(screen.to_lowercase().contains("nothing was changed"), "at {}: {screen}", PROMPTS[leave].0);
        assert!(!is_there(), "at {}: {screen}", PROMPTS[leave].0);
    }
    // Who says no has done nothing either.
    let terminal = start(&shop);
    for (prompt, keys) in &PROMPTS[..PROMPTS.len() - 1] {
        terminal.wait(prompt).unwrap();
        terminal.press(keys).unwrap();
    }
    terminal.wait("Install this?").unwrap();
    terminal.press(&["Enter"]).unwrap();
    let screen = terminal.wait("exit code").unwrap();
    assert!(
        screen.contains("nothing was changed") && screen.contains("exit code 4") && !is_there(),
        "{screen}"
    );

    // As the guide in the bundle prints it.
    let terminal =
        Terminal::start(&shop.command(&printed(&shop, "bundle install ")), "bundle install").unwrap();
    for (prompt, keys) in PROMPTS {
        terminal.wait(prompt).unwrap();
        terminal.press(keys).unwrap();
    }
    let screen = terminal.wait("exit code").unwrap();
    assert!(screen.contains("exit code 0") && screen.contains("installed, as revision 1"), "{screen}");
    let mut helm = Command::new(xtask::tools::helm4().unwrap());
    helm.args(printed(&shop, "helm show values ")).arg("--plain-http").current_dir(shop.home.path());
    let values = String::from_utf8(tool(&mut helm)).unwrap();
    assert!(values.contains("docker.io/acme/agent:v1"), "{values}");
}
