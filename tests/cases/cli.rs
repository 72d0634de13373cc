//! The program as scripts and people meet it: exit codes, `--json`, silence on stdout, no colour in pipes.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use xtask::images::sample;
use xtask::registry::{Config, Server};

/// A folder in which the program runs, with nothing from the environment it was started in.
struct Bench(TempDir);

impl Bench {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bundle"));
        command
            .args(line.split_whitespace())
            .current_dir(self.path())
            .env_clear()
            .env("HOME", self.path())
            .env("COLUMNS", "100")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// Runs `line`, which must end with `code`; gives stdout and stderr.
    fn ends(&self, line: &str, code: i32) -> (String, String) {
        told(line, &self.run(line), code)
    }

    /// Runs `line --json`, which must end with `code` and print one document.
    fn json(&self, line: &str, code: i32) -> Value {
        let (out, _) = self.ends(&format!("{line} --json"), code);
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{line}: {error}: {out}"))
    }
}

fn told(line: &str, output: &Output, code: i32) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{line}\n{out}\n{err}");
    assert!(!out.contains('\x1b') && !err.contains('\x1b'), "{line}: colour in a pipe");
    (out, err)
}

/// A release of the sample images in `server`, and its keys.
fn release(bench: &Bench, server: &Server) {
    let mut text = String::from(
        "apiVersion: bundle/v1\nkind: Release\nname: demo\nversion: 1.0.0\nvendor: Demo\n\
         platforms: [linux/amd64]\nvolume-size: 4MiB\nimages:\n",
    );
    for image in &sample("incidentfox", "v1.2.0").unwrap() {
        image.graph.put(server, &image.repository, &image.tag).unwrap();
        let name = format!("{}/{}:{}", server.host(), image.repository, image.tag);
        text +=
            &format!("  - {{ref: \"docker.io/{0}:{1}\", from: \"{name}\"}}\n", image.repository, image.tag);
    }
    fs::write(bench.path().join("release.yaml"), text).unwrap();
    bench.ends("keygen signing --out ci", 0);
    bench.ends("keygen recipient --out escrow", 0);
    bench.ends("keygen recipient --out acme", 0);
    bench.ends("trust init --key ci.pub --threshold 1", 0);
}

#[test]
fn the_whole_way_by_the_commands_of_the_manual() {
    let (vendor, customer) =
        (Server::start(Config::default()).unwrap(), Server::start(Config::default()).unwrap());
    let bench = Bench::new();
    release(&bench, &vendor);
    let out = "out/demo-1.0.0";
    assert_eq!(bench.json("lock --check", 1)["error"]["kind"], "stale_lock");
    assert_eq!(bench.json("build --out out --recipient escrow.pub", 2)["error"]["kind"], "no_lock");
    assert_eq!(bench.json("lock", 0)["outcome"], "written");
    assert_eq!(bench.json("lock --check", 0)["outcome"], "current");
    assert_eq!(bench.json("build --out out", 2)["error"]["kind"], "no_recipient");
    let build = "build --out out --sign-key ci.key --recipient escrow.pub";
    assert_eq!(bench.json(&format!("{build} --dry-run"), 0)["dry_run"], true);
    assert!(!bench.path().join("out").exists(), "a dry run writes nothing");
    assert_eq!(bench.json(build, 0)["grants"][0], "escrow");
    assert_eq!(bench.json(build, 2)["error"]["kind"], "exists");
    let grant = format!("grant {out} --identity escrow.key --recipient acme.pub --name acme-corp");
    assert_eq!(bench.json(&grant, 0)["name"], "acme-corp");
    assert_eq!(bench.json(&format!("inspect {out}"), 0)["authenticated"], false);

    let open = "--trust trust.json --identity acme.key";
    assert_eq!(bench.json(&format!("verify {out} --trust trust.json"), 0)["depth"], "bytes");
    assert_eq!(bench.json(&format!("verify {out} {open}"), 0)["depth"], "content");
    let to = format!("--registry {}/mirror", customer.host());
    let sealed = bench.json(&format!("load {out} --trust trust.json {to}"), 2);
    assert_eq!(sealed["error"]["kind"], "sealed");
    let load = format!("load {out} {open} {to} --mapping mapping.json");
    let first = bench.json(&load, 0);
    assert!(first["images"].as_array().unwrap().iter().all(|image| image["state"] == "loaded"), "{first}");
    assert_eq!(bench.json(&load, 0)["blobs"]["sent"], 0);
    let mapping: Value =
        serde_json::from_slice(&fs::read(bench.path().join("mapping.json")).unwrap()).unwrap();
    assert!(
        mapping["images"][0]["to"]
            .as_str()
            .unwrap()
            .starts_with(&format!("{}/mirror/incidentfox/", customer.host()))
    );

    let volumes = bench.path().join(out).join("volumes");
    let volume = fs::read_dir(volumes).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&volume).unwrap();
    bytes[1000] ^= 1;
    fs::write(&volume, bytes).unwrap();
    let report = bench.json(&format!("verify {out} --trust trust.json"), 1);
    assert_eq!((&report["ok"], &report["findings"][0]["what"]), (&false.into(), &"damaged".into()));
    let (page, advice) = bench.ends(&format!("verify {out} --trust trust.json"), 1);
    assert!(page.contains("is damaged in chunk 0") && page.contains("REFUSED"), "{page}");
    assert!(advice.contains("hint: copy the files named above"), "{advice}");
}

#[test]
fn failures_have_a_kind_a_hint_and_an_exit_code() {
    let bench = Bench::new();
    bench.ends("keygen signing --out k", 0);
    fs::write(bench.path().join("bad.yaml"), "apiVersion: bundle/v1\nkind: Release\nname: X\n").unwrap();
    for (line, code, kind) in [
        ("lok", 2, "arguments"),
        ("trust rotate", 2, "arguments"),
        ("keygen signing --out k", 2, "exists"),
        ("keygen signing --out l --passphrase", 2, "no_passphrase"),
        ("trust show missing.json", 2, "not_found"),
        ("trust show k.pub", 2, "policy"),
        ("trust init --key k.key --threshold 1", 2, "key"),
        ("trust init --key k.pub --threshold 2", 2, "policy"),
        ("lock", 2, "not_found"),
        ("lock -f bad.yaml", 2, "release"),
        ("inspect", 2, "not_a_bundle"),
        ("sign --key k.pub", 2, "key"),
        ("man no-such", 2, "no_such_command"),
    ] {
        let error = &bench.json(line, code)["error"];
        assert_eq!((&error["kind"], &error["exit_code"]), (&kind.into(), &code.into()), "{line}");
        assert!(error["hint"].is_string(), "{line}: {error}");
        let (out, err) = bench.ends(line, code);
        assert!(out.is_empty() && err.starts_with("error: "), "{line}: {out}{err}");
    }
    let (_, err) = bench.ends("lock -f bad.yaml", 2);
    assert!(err.contains("bad.yaml:3:7: "), "{err}");
}

#[test]
fn the_world_failing_is_exit_code_3_and_says_where_things_stand() {
    let bench = Bench::new();
    let text = "apiVersion: bundle/v1\nkind: Release\nname: demo\nversion: 1.0.0\nvendor: Demo\n\
                images:\n  - 127.0.0.1:1/a/b:v1\n";
    fs::write(bench.path().join("release.yaml"), text).unwrap();
    let error = &bench.json("lock --progress none", 3)["error"];
    assert_eq!(error["kind"], "unreachable");
    assert!(error["message"].as_str().unwrap().starts_with("release.yaml:7:5: "), "{error}");
    assert!(error["state"].as_str().unwrap().contains("release.lock is as it was"), "{error}");
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    assert_eq!(bench.command("keygen signing --out k").stdout(full).status().unwrap().code(), Some(3));
}

#[test]
fn a_signal_is_exit_code_4() {
    let bench = Bench::new();
    let text = "apiVersion: bundle/v1\nkind: Release\nname: demo\nversion: 1.0.0\nvendor: Demo\n\
                images:\n  - 127.0.0.1:1/a/b:v1\n";
    fs::write(bench.path().join("release.yaml"), text).unwrap();
    let mut command = bench.command("lock --json --progress plain");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The first word about a new attempt says that the handlers are there and a wait goes on.
    let mut word = [0; 1];
    std::io::Read::read_exact(child.stderr.as_mut().unwrap(), &mut word).unwrap();
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let (out, err) = told("lock", &output, 4);
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["error"]["kind"], "interrupted");
    assert!(err.contains("state: release.lock is as it was"), "{err}");
}

#[test]
fn events_are_one_json_object_a_line_on_stderr() {
    let server = Server::start(Config::default()).unwrap();
    let bench = Bench::new();
    release(&bench, &server);
    let (_, err) = bench.ends("lock --progress json", 0);
    let events: Vec<Value> = err.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.first().unwrap()["event"], "begin");
    assert!(events.iter().any(|event| event["event"] == "end" && event["failed"] == 0));
    let (_, err) = bench.ends("lock -f missing.yaml --progress json", 2);
    let event: Value = serde_json::from_str(&err).unwrap();
    assert_eq!((&event["event"], &event["error"]["exit_code"]), (&"error".into(), &2.into()));
    let (out, err) = bench.ends("keygen signing --out quiet -q", 0);
    assert!(out.is_empty() && err.is_empty(), "{out}{err}");
}

#[test]
fn passphrases_come_from_stdin_or_the_environment() {
    let bench = Bench::new();
    let given = |line: &str, text: &str| {
        let input = bench.path().join("input");
        fs::write(&input, text).unwrap();
        bench.command(line).stdin(fs::File::open(input).unwrap()).output().unwrap()
    };
    told("keygen", &given("keygen signing --out a --passphrase-stdin", "one\n"), 0);
    let mut command = bench.command("keygen signing --out b --passphrase");
    told("keygen", &command.env("BUNDLE_PASSPHRASE", "two").output().unwrap(), 0);
    bench.ends("trust init --key a.pub --key b.pub --threshold 2", 0);
    let draft = "trust rotate --key b.pub --threshold 1 --out next.json --sign-key a.key --sign-key b.key";
    assert_eq!(bench.json(draft, 2)["error"]["kind"], "no_passphrase");
    told("one line", &given(&format!("{draft} --passphrase-stdin"), "one\n"), 2);
    told("wrong", &given(&format!("{draft} --passphrase-stdin"), "one\nwrong\n"), 1);
    told("both", &given(&format!("{draft} --passphrase-stdin"), "one\ntwo\n"), 0);
    assert_eq!(bench.json("trust rotate --accept next.json", 0)["version"], 2);
    assert_eq!(bench.json("trust rotate --accept next.json", 1)["error"]["kind"], "rotation");
}

#[test]
fn help_names_every_command_and_is_never_a_failure() {
    let bench = Bench::new();
    let (help, _) = bench.ends("--help", 0);
    let commands = "keygen trust lock build sign grant inspect diff verify repair parts load serve export copy relocate preflight diagnose license install upgrade status rollback uninstall completions man";
    let found: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(found, commands.split(' ').collect::<Vec<_>>());
    for command in found {
        let (help, _) = bench.ends(&format!("{command} --help"), 0);
        // clap does not wrap the line of usage.
        let mut lines = help.lines().filter(|line| !line.starts_with("Usage:"));
        assert!(lines.all(|line| line.chars().count() <= 100), "{command}");
        assert!(!help.contains('`'), "{command}: help is read on terminals, not as markup");
    }
    assert!(bench.ends("", 2).1.contains("Usage:"));
    assert!(bench.ends("--version", 0).0.starts_with("bundle "));
    assert!(bench.ends("man trust rotate", 0).0.contains(".TH"));
    assert!(bench.ends("completions bash", 0).0.contains("bundle"));
    bench.ends("man --out .", 0);
    assert!(bench.path().join("bundle-trust-init.1").exists());
}
