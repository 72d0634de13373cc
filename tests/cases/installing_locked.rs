//! `install:` and `upgrade:` from the release into the lock, the index and the delivered folder; and what is refused of them.

use std::fs;

use serde_json::{Value, json};
use xtask::images::{Compression, Family, Layer, Named, Seed, image};
use xtask::registry::{Config, Server};

use super::stage::Stage;

const QUESTIONS: &str = "apiVersion: bundle/v1\nkind: Questions\nquestions:\n\
    \x20 - {variable: mode, label: Mode, type: enum, options: [inside, outside], default: inside}\n\
    \x20 - {variable: host, label: Host, type: hostname, show-if: {mode: outside}}\n\
    \x20 - {variable: key, label: Key, type: secret, secret: {name: k, key: k}, generate: 8}\n";
const TEMPLATE: &str = "registry: {{ registry }}\nmode: {{ answers.mode }}\n";
const SECTIONS: &str = "files: [{from: hooks/backup.sh, to: scripts/}]\n\
    upgrade:\n  from: \">=1.1.0, <1.2.0\"\n  stops:\n    - {version: 1.1.0, from: \">=0.9.0\"}\n  migrate:\n    - {answer: site, to: host}\n\
    install:\n  questions: ask/questions.yaml\n  values-template: ask/values.j2\n  backup: hooks/backup.sh\n\
    \x20 requires: {kubernetes: \">=1.24\", memory-per-node: 8GiB, gpu: optional}\n  health: [{service: one, port: 80, path: /health}]\n";

fn stage(sections: &str) -> (Stage, Server) {
    let vendor = Server::start(Config::default()).unwrap();
    let layer = Layer::seeded(Seed::of("installing"), 2000, Compression::None).unwrap();
    let graph = image(Family::Oci, "linux/amd64", &[layer]);
    let named = Named { repository: "installing/one".to_owned(), tag: "v1".to_owned(), graph };
    named.graph.put(&vendor, &named.repository, &named.tag).unwrap();
    let stage = Stage::new();
    stage.release(sections, &[named], &vendor.host());
    for (name, text) in
        [("ask/questions.yaml", QUESTIONS), ("ask/values.j2", TEMPLATE), ("hooks/backup.sh", "exit 0\n")]
    {
        fs::create_dir_all(stage.path(name).parent().unwrap()).unwrap();
        fs::write(stage.path(name), text).unwrap();
    }
    (stage, vendor)
}

#[test]
fn they_are_carried_and_their_files_lie_in_the_folder() {
    let (stage, _vendor) = stage(SECTIONS);
    stage.program.done(&["lock"]);
    stage.program.done(&["lock", "--check"]);
    stage.program.done(&stage.build("out"));
    let folder = stage.bundle("out");
    let index: Value = serde_json::from_slice(&fs::read(folder.join("bundle.json")).unwrap()).unwrap();
    assert_eq!(
        index["install"],
        json!({
            "backup": "scripts/backup.sh", "questions": "install/questions.yaml", "values_template": "install/values.j2",
            "health": [{"path": "/health", "port": 80, "service": "one"}],
            "requires": {"gpu": "optional", "ingress": false, "kubernetes": ">=1.24", "memory_per_node": 8_u64 << 30, "storage_class": false},
        })
    );
    assert_eq!(
        index["upgrade"],
        json!({
            "from": ">=1.1.0, <1.2.0", "migrate": [{"answer": "site", "to": "host"}],
            "stops": [{"from": ">=0.9.0", "version": "1.1.0"}],
        })
    );
    for (path, text) in [
        ("install/questions.yaml", QUESTIONS),
        ("install/values.j2", TEMPLATE),
        ("scripts/backup.sh", "exit 0\n"),
    ] {
        assert_eq!(fs::read_to_string(folder.join(path)).unwrap(), text);
        assert!(
            fs::read_to_string(folder.join("SHA256SUMS")).unwrap().contains(&format!("  {path}\n")),
            "{path}"
        );
    }
    stage.program.done(&stage.verify(&folder));
    let shown = stage.program.run(&["inspect", &folder.display().to_string()]);
    assert!(shown.stdout.contains("installed >=1.1.0, <1.2.0; never past 1.1.0"), "{}", shown.stdout);
}

#[test]
fn a_lock_that_says_otherwise_than_the_release_is_not_built() {
    for (reason, old, new, said) in [
        ("another range", "from: \">=1.1.0, <1.2.0\"", "from: \">=1.0.0, <1.2.0\"", "the upgrade in it"),
        ("another rule", "{answer: site, to: host}", "{answer: host, to: host}", "the upgrade in it"),
        ("no script", "  backup: scripts/backup.sh\n", "", "the install in it"),
        (
            "another file",
            "questions: install/questions.yaml",
            "questions: install/values.j2",
            "the install in it",
        ),
        ("another need", "memory-per-node: 8589934592", "memory-per-node: 1", "the install in it"),
        ("another place", "path: install/values.j2", "path: docs/values.j2", "not among the files"),
        ("a file of nobody", "from: hooks/backup.sh", "from: trust.json", "the install in it"),
    ] {
        let (stage, _vendor) = stage(SECTIONS);
        stage.program.done(&["lock"]);
        let lock = fs::read_to_string(stage.path("release.lock")).unwrap();
        assert!(lock.contains(old), "{reason}: {lock}");
        fs::write(stage.path("release.lock"), lock.replace(old, new)).unwrap();
        let outcome = stage.run(stage.build("out"), vec![]);
        assert!(outcome.code != Some(0) && outcome.stderr.contains(said), "{reason}: {outcome:?}");
    }
}

#[test]
fn what_does_not_hold_is_refused_with_file_line_and_field() {
    let files = "install: {questions: ask/questions.yaml, values-template: ask/values.j2}\n";
    for (reason, sections, questions, template, said) in [
        (
            "a file that is not there",
            "install: {backup: gone.sh}\n",
            "",
            "",
            "release.yaml:6:19: install.backup: gone.sh: ",
        ),
        (
            "a template that names an unknown value",
            files,
            QUESTIONS,
            "a: 1\nb: {{ answers.hots }}\n",
            "ask/values.j2:2: \"answers.hots\" is used, and there is no such question; there is \"host\"",
        ),
        (
            "a template that uses an answer that may be missing",
            files,
            QUESTIONS,
            "{% if answers.mode == \"outside\" %}\nb: {{ answers.host }}\n{% endif %}\n",
            "ask/values.j2:2: \"answers.host\" is used here with mode: outside, and its question (ask/questions.yaml:5:16) may then have no answer",
        ),
        (
            "a template that is no YAML for one of the answers",
            files,
            QUESTIONS,
            "{% if answers.mode == \"outside\" %}\nb: [\n{% endif %}\na: 1\n",
            "(rendered with mode: outside)",
        ),
        (
            "a template that names a secret",
            files,
            QUESTIONS,
            "a: {{ answers.key }}\n",
            "ask/values.j2:1: \"answers.key\" is a secret",
        ),
        (
            "a question of no type",
            files,
            "apiVersion: bundle/v1\nkind: Questions\nquestions:\n  - {variable: a, label: A}\n",
            TEMPLATE,
            "ask/questions.yaml:4:19: the key \"type\" is missing",
        ),
        (
            "a rule that leads to no question",
            "install: {questions: ask/questions.yaml}\nupgrade: {from: \"*\", migrate: [{answer: a, to: b}]}\n",
            QUESTIONS,
            "",
            "release.yaml:7:32: upgrade.migrate: the rule for \"a\" leads to \"b\", and there is no such question",
        ),
        (
            "a rule that leads to a secret",
            "install: {questions: ask/questions.yaml}\nupgrade: {from: \"*\", migrate: [{answer: a, to: key}]}\n",
            QUESTIONS,
            "",
            "leads to the secret \"key\"",
        ),
        (
            "a rule that makes no answer",
            "install: {questions: ask/questions.yaml}\nupgrade: {from: \"*\", migrate: [{answer: mode, values: {a: b}}]}\n",
            QUESTIONS,
            "",
            "makes an answer of \"mode\" that it does not take: \"b\" is none of inside, outside",
        ),
    ] {
        let (stage, _vendor) = stage(sections);
        fs::write(stage.path("ask/questions.yaml"), questions).unwrap();
        fs::write(stage.path("ask/values.j2"), template).unwrap();
        let outcome = stage.program.run(&["lock"]);
        assert_eq!(outcome.code, Some(2), "{reason}: {outcome:?}");
        assert!(outcome.stderr.contains(said), "{reason}: {}", outcome.stderr);
        assert!(!stage.path("release.lock").exists());
    }
}
