//! What charts run, found by `lock` with the real Helm 3 and 4, and relocated so that nothing refers to the outside.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use bundle::oci::Reference;
use bundle::release::lock::Lock;
use bundle::relocate::{Certainty, Entry, Known, relocate, scan};
use xtask::images::{self, Named};
use xtask::registry::{Config, Server};

use super::program::{Outcome, Program, tool};

const HEAD: &str = "apiVersion: bundle/v1\nkind: Release\nname: demo\nversion: 1.0.0\nvendor: Demo\n";

/// A vendor's folder and registry, with one image that stands for all.
struct Desk {
    folder: tempfile::TempDir,
    registry: Server,
    image: Named,
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/charts")
}

fn helms() -> [(char, PathBuf); 2] {
    [('3', xtask::tools::helm3().unwrap()), ('4', xtask::tools::helm4().unwrap())]
}

impl Desk {
    fn new() -> Self {
        let registry = Server::start(Config::default()).unwrap();
        let image = images::sample("acme", "v1").unwrap().remove(0);
        image.graph.put(&registry, "base", "1").unwrap();
        Self { folder: tempfile::tempdir().unwrap(), registry, image }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Lines that declare images, read from the one there is.
    fn images<'r>(&self, references: impl IntoIterator<Item = &'r Reference>) -> String {
        let from = self.registry.host();
        let lines =
            references.into_iter().map(|r| format!("  - {{ref: \"{r}\", from: \"{from}/base:1\"}}\n"));
        format!("images:\n{}", lines.collect::<String>())
    }

    fn release(&self, rest: &str) {
        self.write("release.yaml", &format!("{HEAD}{rest}"));
    }

    fn lock(&self, helm: &Path, arguments: &[&str]) -> Outcome {
        let mut command = Program::at(self.folder.path()).command(&[&["lock"], arguments].concat());
        Outcome::of(command.env("BUNDLE_HELM", helm).output().unwrap())
    }

    fn read(&self) -> Lock {
        Lock::parse(&fs::read(self.path("release.lock")).unwrap(), "release.lock").unwrap()
    }

    /// A program that says `words` and ends.
    fn fake(&self, script: &str) -> PathBuf {
        let path = self.write("fake/helm", &format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }
}

/// What a chart of the tests runs under a Helm.
fn runs(chart: &Path, helm: char) -> BTreeSet<Reference> {
    let own = fs::read_to_string(chart.join(format!("images-{helm}.txt"))).unwrap_or_default();
    let all = fs::read_to_string(chart.join("images.txt")).unwrap() + &own;
    all.lines().map(|line| line.parse().unwrap()).collect()
}

/// The chart's files of values, as they stand in a release.
fn values(chart: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(chart.join("values")) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().path().display().to_string()).collect()
}

fn charts() -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = fs::read_dir(data()).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    assert_eq!(all.len(), 8);
    all
}

fn declared(chart: &Path) -> String {
    format!("charts:\n  - path: \"{}\"\n    release: r\n    values: {:?}\n", chart.display(), values(chart))
}

#[test]
fn every_habit_is_discovered_and_what_is_missing_is_named() {
    let desk = Desk::new();
    for chart in charts() {
        for (version, helm) in helms() {
            let runs = runs(&chart, version);
            desk.release(&(desk.images(&runs) + &declared(&chart)));
            let outcome = desk.lock(&helm, &[]);
            assert_eq!(outcome.code, Some(0), "{} {version}: {outcome:#?}", chart.display());
            assert!(
                !outcome.stderr.contains("no chart uses it"),
                "{} {version}: {outcome:#?}",
                chart.display()
            );
            let found: BTreeSet<Reference> =
                desk.read().charts[0].images.iter().map(|found| found.reference.clone()).collect();
            assert_eq!(found, runs, "{} {version}", chart.display());
            // One line less, and it is named.
            let gone = runs.last().unwrap();
            desk.release(&(desk.images(runs.iter().filter(|r| *r != gone)) + &declared(&chart)));
            let lines =
                if runs.len() == 1 { "images: []\n".to_owned() + &declared(&chart) } else { String::new() };
            if !lines.is_empty() {
                desk.release(&lines);
            }
            let name = chart.file_name().unwrap().to_string_lossy().into_owned();
            desk.lock(&helm, &[])
                .says(1, &[&format!("  - {gone}"), &format!("chart {name} 1.0.0"), "line ", "lock --add"]);
        }
    }
}

#[test]
fn every_habit_relocated_refers_to_nothing_outside() {
    for chart in charts() {
        for (version, helm) in helms() {
            let mut command = Command::new(&helm);
            command.args(["template", "r", "--include-crds"]).arg(&chart);
            values(&chart).iter().for_each(|values| {
                command.args(["--values", values]);
            });
            let text = String::from_utf8(tool(&mut command)).unwrap();
            let runs = runs(&chart, version);
            let entries = runs.iter().enumerate().map(|(number, from)| Entry {
                from: from.clone(),
                digest: Some(format!("sha256:{number:064}").parse().unwrap()),
                original: None,
                to: Some(
                    format!("h.internal:5000/m/{}:{}", from.repository().path(), from.tag().unwrap())
                        .parse()
                        .unwrap(),
                ),
            });
            let known = Known::new(entries.collect(), Vec::new());
            let relocated = relocate(&text, &known).unwrap();
            for sighting in scan(&relocated.text, &Known::default()).unwrap() {
                let inside = sighting.text.starts_with("h.internal:5000/m/");
                assert!(inside || sighting.certainty != Certainty::Certain, "{version} {sighting:?}");
            }
            for from in &runs {
                assert!(!relocated.text.contains(&from.to_string()), "{version} {from}");
            }
            let again = relocate(&relocated.text, &known).unwrap();
            assert_eq!(again.text, relocated.text);
            assert_eq!(relocated.text.lines().count(), text.lines().count());
        }
    }
}

/// A chart of one template.
fn small(desk: &Desk, template: &str) {
    desk.write("chart/Chart.yaml", "apiVersion: v2\nname: small\nversion: 0.1.0\n");
    desk.write("chart/templates/all.yaml", template);
}

#[test]
fn what_is_missing_is_added_and_what_was_rendered_is_not_rendered_again() {
    let desk = Desk::new();
    let host = desk.registry.host();
    desk.image.graph.put(&desk.registry, "acme/app", "1").unwrap();
    let pod = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec:\n  containers: [{{name: a, image: \"{host}/acme/app:1\"}}]\n"
    );
    small(&desk, &pod);
    desk.release(&format!("# The images.\nimages:\n  # the first\n  - {host}/base:1 # stays\n\ncharts:\n  - path: chart\n    extra-images: [\"{host}/base:1\"]\n"));
    let helm = xtask::tools::helm4().unwrap();
    let calls = desk.path("calls");
    let counted = desk.fake(&format!("echo \"$1\" >> {}\nexec {} \"$@\"", calls.display(), helm.display()));
    let rendered = || fs::read_to_string(&calls).unwrap_or_default().matches("template").count();
    desk.lock(&counted, &["--check"]).says(1, &["all.yaml", "line 7", &format!("  - {host}/acme/app:1")]);
    desk.lock(&counted, &["--add"]).says(0, &["is declared now"]);
    let text = fs::read_to_string(desk.path("release.yaml")).unwrap();
    assert!(text.contains(&format!("  - {host}/base:1 # stays\n  - {host}/acme/app:1\n\ncharts:")), "{text}");
    let before = rendered();
    desk.lock(&counted, &[]).says(0, &["left as it was"]);
    desk.lock(&counted, &["--check"]).says(0, &["up to date"]);
    assert_eq!(rendered(), before);
    desk.write("chart/values.yaml", "a: 1\n");
    desk.lock(&counted, &[]).says(0, &["is written"]);
    assert_eq!(rendered(), before + 1);
}

#[test]
fn ignored_images_extra_images_and_what_nobody_uses() {
    let desk = Desk::new();
    let host = desk.registry.host();
    small(&desk, "kind: Pod\nspec:\n  containers: [{name: a, image: \"quay.io/acme/own:1\"}]\n");
    let ignore = "    ignore-images: [{image: \"quay.io/acme/own:1\", reason: the customer has it}]\n";
    let helm = xtask::tools::helm4().unwrap();
    desk.release(&format!("images:\n  - {host}/base:1\ncharts:\n  - path: chart\n{ignore}"));
    desk.lock(&helm, &[]).says(0, &[&format!("{host}/base:1 is declared, and no chart uses it")]);
    desk.release(&format!("images:\n  - {host}/base:1\ncharts:\n  - path: chart\n    extra-images: [\"quay.io/acme/operand:2\"]\n{ignore}"));
    desk.lock(&helm, &[]).says(1, &["extra-images[0]", "  - quay.io/acme/operand:2"]);
}

#[test]
fn what_cannot_be_rendered_is_named() {
    let desk = Desk::new();
    let host = desk.registry.host();
    let helm = xtask::tools::helm4().unwrap();
    let chart = |rest: &str| {
        format!(
            "images:\n  - {host}/base:1\ncharts:\n  - path: chart\n    extra-images: [\"{host}/base:1\"]\n{rest}"
        )
    };
    small(&desk, "a: {{ required \"a token is needed\" .Values.token }}\n");
    desk.write("values.yaml", "token: [1\n");
    for (rest, code, words) in [
        ("", 2, vec!["chart small 0.1.0, with its own values", "a token is needed", "under values:"]),
        (
            "    values: [values.yaml]\n",
            2,
            vec!["chart small 0.1.0, with values.yaml", "values.yaml", "yaml"],
        ),
        ("    values: [[values.yaml, missing.yaml]]\n", 2, vec!["missing.yaml", "release.yaml:9:"]),
    ] {
        desk.release(&chart(rest));
        for (_, helm) in helms() {
            desk.lock(&helm, &[]).says(code, &words);
        }
        assert!(!desk.path("release.lock").exists());
    }
    desk.release(&chart(""));
    let nowhere = desk.path("nowhere");
    desk.lock(&nowhere, &[]).says(3, &["there is no helm at", "--helm PATH"]);
    desk.lock(&helm, &["--helm", "nowhere"]).says(3, &["there is no helm at nowhere"]);
    let old = desk.fake("echo v3.7.2");
    desk.lock(&old, &[]).says(3, &["is Helm 3.7.2; 3.8.0 and later are driven", "install a later Helm"]);
    let other = desk.fake("echo what; exit 7");
    desk.lock(&other, &[]).says(3, &["does not answer like Helm"]);
    let much = desk.fake("case $1 in version) echo v4.0.0;; *) exec yes;; esac");
    desk.lock(&much, &[]).says(3, &["wrote more than 67108864 bytes"]);
    let odd = desk.fake("case $1 in version) echo v4.0.0;; *) echo 'a: [';; esac");
    desk.lock(&odd, &[]).says(2, &["what it renders is not YAML"]);
}

#[test]
fn helm_uses_it_as_post_renderer() {
    let desk = Desk::new();
    let pods = ["acme/app:1", "acme/hook:1"].map(|image| {
        let hook = if image.contains("hook") { ", annotations: {helm.sh/hook: pre-install}" } else { "" };
        format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: x{hook}}}\nspec:\n  containers: [{{name: a, image: {image}}}]\n")
    });
    small(&desk, &pods.join("---\n"));
    let went = |name: &str| {
        format!(
            "{{\"from\": \"acme/{name}:1\", \"to\": \"h.io/acme/{name}:1\", \"digest\": \"sha256:{}\"}}",
            "1".repeat(64)
        )
    };
    let mapping = desk.write("mapping.json", &format!("{{\"images\": [{}, {}]}}", went("app"), went("hook")));
    let program = env!("CARGO_BIN_EXE_bundle");
    let moved = |name: &str| format!("h.io/acme/{name}:1@sha256:1111");
    let [(_, helm3), (_, helm4)] = helms();
    let mut command = Command::new(helm3);
    command.args(["template", "r"]).arg(desk.path("chart")).args(["--post-renderer", program]);
    for argument in ["relocate", "--mapping", mapping.to_str().unwrap()] {
        command.args(["--post-renderer-args", argument]);
    }
    let text = String::from_utf8(tool(&mut command)).unwrap();
    // Helm 3 gives no hooks to post-renderers.
    assert!(text.contains(&moved("app")) && !text.contains(&moved("hook")), "{text}");

    let plugin = desk.path("plugins/bundle-relocate");
    Program::at(desk.folder.path()).done(&[
        "relocate",
        "--mapping",
        "mapping.json",
        "--helm-plugin",
        plugin.to_str().unwrap(),
    ]);
    let mut command = Command::new(helm4);
    command.args(["template", "r"]).arg(desk.path("chart")).args(["--post-renderer", "bundle-relocate"]);
    let text = String::from_utf8(tool(command.env("HELM_PLUGINS", desk.path("plugins")))).unwrap();
    assert!(text.contains(&moved("app")) && text.contains(&moved("hook")), "{text}");
}
