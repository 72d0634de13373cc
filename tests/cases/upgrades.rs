//! Upgrade bundles: what a base lacks, loaded where the base is; what happens where it is not; and supplements.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use xtask::images::{Compression, Family, Layer, Named, Seed, image};
use xtask::registry::{Config, Kind, Server};

use super::program::tool;
use super::stage::Stage;
use super::world::files;

/// A vendor with two versions of a release, and a customer.
struct Yard {
    stage: Stage,
    vendor: Server,
    customer: Server,
    old: Vec<Named>,
    new: Vec<Named>,
}

fn layer(name: &str, size: usize) -> Layer {
    Layer::seeded(Seed::of(name), size, Compression::None).unwrap()
}

fn named(name: &str, tag: &str, layers: &[&str]) -> Named {
    let layers: Vec<Layer> = layers.iter().map(|name| layer(name, 60_000)).collect();
    Named {
        repository: format!("up/{name}"),
        tag: tag.to_owned(),
        graph: image(Family::Oci, "linux/amd64", &layers),
    }
}

impl Yard {
    fn new(settings: &str) -> Self {
        let (vendor, customer) =
            (Server::start(Config::default()).unwrap(), Server::start(Config::default()).unwrap());
        let old = vec![
            named("one", "v1", &["ground", "one old"]),
            named("same", "v1", &["ground", "same"]),
            named("gone", "v1", &["kept"]),
        ];
        let new = vec![
            named("one", "v2", &["ground", "one new"]),
            named("same", "v1", &["ground", "same"]),
            named("moved", "v1", &["kept", "ground"]),
        ];
        for named in old.iter().chain(&new) {
            named.graph.put(&vendor, &named.repository, &named.tag).unwrap();
        }
        let yard = Self { stage: Stage::new(), vendor, customer, old, new };
        yard.declare("old", &format!("version: 1.1.0\n{settings}"), &yard.old);
        let upgrade = format!("version: 1.2.0\n{settings}upgrade: {{from: \">=1.1.0, <1.2.0\"}}\n");
        yard.declare("new", &upgrade, &yard.new);
        yard
    }

    fn declare(&self, folder: &str, settings: &str, images: &[Named]) {
        let mut text =
            format!("apiVersion: bundle/v1\nkind: Release\nname: demo\nvendor: Demo\n{settings}images:\n");
        for Named { repository, tag, .. } in images {
            let host = self.vendor.host();
            text += &format!(
                "  - {{ref: \"docker.io/{repository}:{tag}\", from: \"{host}/{repository}:{tag}\"}}\n"
            );
        }
        fs::create_dir_all(self.stage.path(folder)).unwrap();
        fs::write(self.stage.path(folder).join("release.yaml"), text).unwrap();
        self.stage.program.done(&["lock", "-f", &format!("{folder}/release.yaml")]);
    }

    fn args(&self, folder: &str, out: &str, more: &str) -> Vec<String> {
        let line = format!(
            "build -f {folder}/release.yaml --out {out} --sign-key vendor.key --recipient escrow.pub --recipient acme.pub {more}"
        );
        line.split_whitespace().map(str::to_owned).collect()
    }

    fn base(&self) -> PathBuf {
        self.stage.program.done(&self.args("old", "out", ""));
        self.stage.path("out/demo-1.1.0")
    }

    fn upgrade(&self) -> PathBuf {
        self.stage.program.done(&self.args("new", "out", "--since out/demo-1.1.0"));
        self.stage.path("out/demo-1.2.0-from-1.1.0")
    }

    fn load(&self, bundle: &Path, more: &str) -> Vec<String> {
        let mut line = self.stage.load(bundle, &self.customer.host());
        line.extend(more.split_whitespace().map(str::to_owned));
        line
    }

    /// Everything of the new version is in the customer's registry, byte for byte.
    fn arrived(&self) {
        for Named { repository, tag, graph } in &self.new {
            let (_, bytes) = self.customer.manifest(&format!("mirror/{repository}"), tag).unwrap();
            assert_eq!(bytes, graph.root().bytes, "{repository}");
            for (digest, bytes) in &graph.blobs {
                assert!(
                    self.customer.has_blob(&format!("mirror/{repository}"), digest),
                    "{repository} {digest}"
                );
                assert_eq!(self.customer.blob(digest).unwrap(), *bytes);
            }
        }
    }

    fn written(&self) -> usize {
        let stats = self.customer.settled_stats();
        ["POST", "PUT", "PATCH"]
            .iter()
            .map(|method| {
                [Kind::Upload, Kind::Blob, Kind::Manifest]
                    .map(|kind| stats.count(method, kind))
                    .iter()
                    .sum::<usize>()
            })
            .sum()
    }
}

fn index(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("bundle.json")).unwrap()).unwrap()
}

fn digests(list: &Value) -> BTreeSet<String> {
    list.as_array().unwrap().iter().map(|blob| blob["digest"].as_str().unwrap().to_owned()).collect()
}

fn digest(name: &str) -> String {
    layer(name, 60_000).digest
}

#[test]
fn it_carries_what_the_base_lacks_and_loads_where_the_base_is() {
    let yard = Yard::new("");
    let base = yard.base();
    // The base's index alone is enough, and it tells the weight before anything is built.
    fs::copy(base.join("bundle.json"), yard.stage.path("base.json")).unwrap();
    let dry = yard
        .stage
        .program
        .done(&[yard.args("new", "out", "--since base.json --dry-run"), vec!["--json".to_owned()]].concat());
    let told: Value = serde_json::from_str(&dry.stdout).unwrap();
    assert_eq!(
        (told["base"]["version"].as_str(), told["relied_on"].as_u64()),
        (Some("1.1.0"), Some(4)),
        "{told}"
    );
    let bundle = yard.upgrade();
    let index = index(&bundle);
    assert_eq!(index["kind"], "upgrade");
    let images = index["images"].as_array().unwrap();
    assert!(images.iter().all(|image| image["platforms"] == serde_json::json!(["linux/amd64"])), "{index}");
    assert_eq!(index["payload"]["bytes"], told["payload_bytes"]);
    assert!(told["payload_bytes"].as_u64().unwrap() < 90_000, "one layer of 60 kB, and manifests: {told}");
    let (carried, relied) = (digests(&index["blobs"]), digests(&index["relied_on"]));
    assert!(carried.contains(&digest("one new")) && !carried.contains(&digest("ground")));
    for there in ["ground", "same", "kept"] {
        assert!(relied.contains(&digest(there)), "{there}");
    }
    let base_digest = format!("sha256:{}", tool_sum(&base.join("bundle.json")));
    assert_eq!(index["base"]["index"], base_digest);
    assert_eq!(index["base"]["images"], serde_json::json!(["docker.io/up/gone:v1"]));

    let keyless = format!("verify {} --trust trust.json", bundle.display());
    let seen = yard.stage.program.done(&keyless.split(' ').collect::<Vec<_>>());
    assert!(seen.stdout.contains("1.1.0 for 4 blobs"), "{}", seen.stdout);
    yard.stage.program.done(&yard.stage.verify(&bundle));
    let shown = yard.stage.program.done(&["inspect", &bundle.display().to_string()]);
    assert!(shown.stdout.contains("relies on"), "{}", shown.stdout);

    yard.stage.program.done(&yard.load(&base, ""));
    yard.customer.reset_stats();
    let loaded = yard.stage.program.done(&yard.load(&bundle, ""));
    assert!(loaded.stdout.contains("relied on: 4 blobs, found before anything was sent: 2 in the registry, 2 in other repositories of it"), "{}", loaded.stdout);
    yard.arrived();
    yard.customer.reset_stats();
    yard.stage.program.done(&yard.load(&bundle, ""));
    assert_eq!(yard.written(), 0, "nothing is sent twice");
}

fn tool_sum(file: &Path) -> String {
    let sum = String::from_utf8(tool(Command::new("sha256sum").arg(file))).unwrap();
    sum.split(' ').next().unwrap().to_owned()
}

#[test]
fn what_the_registry_lost_is_named_asked_for_and_mended() {
    for mount in [true, false] {
        let mut yard = Yard::new("");
        yard.customer = Server::start(Config { mount, ..Config::default() }).unwrap();
        let base = yard.base();
        let bundle = yard.upgrade();
        yard.stage.program.done(&yard.load(&base, ""));
        // One blob is nowhere any more, one is only in another repository than the one that needs it.
        yard.customer.lose_blob("mirror/up/gone", &digest("kept"));
        yard.customer.lose_blob("mirror/up/same", &digest("ground"));
        yard.customer.reset_stats();
        let refused = yard.stage.program.run(&yard.load(&bundle, "--request lacking.json"));
        refused.says(
            1,
            &[
                "docker.io/up/moved:v1 needs 1 blobs",
                "nothing was sent",
                &digest("kept"),
                "send lacking.json to the vendor",
            ],
        );
        assert_eq!(yard.written(), 0, "it is found out before anything is sent");

        // The vendor cuts exactly that.
        yard.stage.program.done(&yard.args("new", "out", "--for lacking.json"));
        let supplement = fs::read_dir(yard.stage.path("out")).unwrap().map(|entry| entry.unwrap().path());
        let supplement =
            supplement.into_iter().find(|path| path.display().to_string().contains("supplement")).unwrap();
        let carried = digests(&index(&supplement)["blobs"]);
        assert!(carried.contains(&digest("kept")) && !carried.contains(&digest("one new")));
        yard.stage.program.done(&yard.stage.verify(&supplement));
        let loaded =
            yard.stage.program.done(&yard.load(&bundle, &format!("--base {}", supplement.display())));
        assert!(loaded.stdout.contains("1 in the base bundle"), "{}", loaded.stdout);
        yard.arrived();
    }
}

#[test]
fn the_base_bundle_gives_what_an_empty_registry_has_not() {
    let yard = Yard::new("");
    let (base, bundle) = (yard.base(), yard.upgrade());
    yard.stage.program.run(&yard.load(&bundle, "")).says(1, &["nothing was sent", "--base DIR"]);
    let dry = yard.stage.program.run(&yard.load(&bundle, "--dry-run"));
    dry.says(1, &["nothing was sent"]);
    // A base that somebody changed is none.
    tool(Command::new("cp").arg("-r").arg(&base).arg(yard.stage.path("changed")));
    let sums = yard.stage.path("changed/SHA256SUMS");
    fs::write(&sums, fs::read_to_string(&sums).unwrap().replace("  README", "  readme")).unwrap();
    yard.stage.program.run(&yard.load(&bundle, "--base changed")).says(1, &["changed: ", "nothing was sent"]);
    assert_eq!(yard.written(), 0);
    yard.stage.program.done(&yard.load(&bundle, &format!("--base {}", base.display())));
    yard.arrived();
}

#[test]
fn a_registry_that_cannot_be_asked_is_not_one_that_lacks() {
    use xtask::registry::{Action, Rule};
    let yard = Yard::new("");
    let (base, bundle) = (yard.base(), yard.upgrade());
    yard.stage.program.done(&yard.load(&base, ""));
    yard.customer.reset_stats();
    yard.customer.faults().add(Rule::new(Action::Status(403, vec![])).method("HEAD").path("/blobs/"));
    let refused = yard.stage.program.run(&yard.load(&bundle, ""));
    assert!(refused.code != Some(0) && !refused.stderr.contains("supplement"), "{refused:?}");
    assert_eq!(yard.written(), 0);
}

#[test]
fn the_difference_tells_what_changed_and_what_an_upgrade_weighs() {
    let yard = Yard::new("");
    let base = yard.base();
    yard.stage.program.done(&yard.args("new", "whole", ""));
    let whole = yard.stage.path("whole/demo-1.2.0");
    fs::copy(base.join("bundle.json"), yard.stage.path("base.json")).unwrap();
    let upgrade = yard.upgrade();
    let built = index(&upgrade);
    // By the folders, by the index alone, and with the upgrade in place of the whole.
    for (old, new) in
        [(base.clone(), &whole), (yard.stage.path("base.json"), &whole), (base.clone(), &upgrade)]
    {
        let (old, new) = (old.display().to_string(), new.display().to_string());
        let told = yard.stage.program.done(&["diff", &old, &new, "--json"]);
        let told: Value = serde_json::from_str(&told.stdout).unwrap();
        let changes: Vec<(&str, &str)> = told["images"]
            .as_array()
            .unwrap()
            .iter()
            .map(|image| (image["name"].as_str().unwrap(), image["change"].as_str().unwrap()))
            .collect();
        assert_eq!(
            changes,
            [
                ("docker.io/up/one", "changed"),
                ("docker.io/up/same", "same"),
                ("docker.io/up/moved", "added"),
                ("docker.io/up/gone", "removed")
            ]
        );
        assert_eq!(told["upgrade"]["bytes"], built["payload"]["bytes"], "{told}");
        assert_eq!(told["whole"], index(&whole)["payload"]["bytes"]);
        assert_eq!(told["blobs"]["shared"]["bytes"].as_u64().unwrap() / 60_000, 3, "{told}");
        let page = yard.stage.program.done(&["diff", &old, &new]);
        assert!(
            page.stdout.contains("demo: 1.1.0 -> 1.2.0") && page.stdout.contains("1 image is the same"),
            "{}",
            page.stdout
        );
    }
    let line = ["diff", &base.display().to_string(), "nowhere"];
    yard.stage.program.run(&line).says(2, &["nowhere"]);
    fs::write(yard.stage.path("none.json"), "{}").unwrap();
    yard.stage.program.run(&["diff", "none.json", "none.json"]).says(1, &["none.json: it is not an index"]);
}

#[test]
fn the_same_lock_and_base_make_the_same_bundle() {
    let yard = Yard::new("seal: none\n");
    let base = yard.base();
    fs::copy(base.join("bundle.json"), yard.stage.path("base.json")).unwrap();
    let bundle = yard.upgrade();
    yard.stage.program.done(&yard.args("new", "again", "--since base.json"));
    assert_eq!(files(&bundle), files(&yard.stage.path("again/demo-1.2.0-from-1.1.0")));
}

#[test]
fn what_can_be_no_base_is_refused() {
    let yard = Yard::new("");
    let base = yard.base();
    let text = fs::read_to_string(base.join("bundle.json")).unwrap();
    let other = text.replace("demo-1.1.0", "else-1.1.0");
    fs::write(yard.stage.path("other.json"), other.replace("\"name\": \"demo\"", "\"name\": \"else\""))
        .unwrap();
    fs::write(yard.stage.path("older.json"), text.replace("1.1.0", "1.0.0")).unwrap();
    fs::write(yard.stage.path("none.json"), "{}").unwrap();
    let request = |version: &str, digest: &str| {
        format!(
            "{{\"blobs\":[{{\"digest\":\"{digest}\",\"size\":60000}}],\"bundle\":\"{digest}\",\"format\":1,\"release\":{{\"name\":\"demo\",\"vendor\":\"Demo\",\"version\":\"{version}\"}}}}"
        )
    };
    fs::write(yard.stage.path("late.json"), request("1.3.0", &digest("kept"))).unwrap();
    fs::write(yard.stage.path("stranger.json"), request("1.2.0", &digest("stranger"))).unwrap();
    for (reason, more, said) in [
        ("another release", "--since other.json", "other.json is of else; the release is demo"),
        ("out of range", "--since older.json", "is version 1.0.0, and the release upgrades >=1.1.0, <1.2.0"),
        ("no index", "--since none.json", "none.json: it is not an index"),
        ("no bundle", "--since new", "is not a bundle"),
        ("not there", "--since nowhere", "nowhere"),
        ("both", "--since base.json --for late.json", "cannot be used with"),
        ("no request", "--for none.json", "none.json: it is no request"),
        ("of another version", "--for late.json", "it is about demo 1.3.0; the lock is of demo 1.2.0"),
        ("of what is not in the release", "--for stranger.json", "is no blob of this lock"),
    ] {
        let outcome = yard.stage.program.run(&yard.args("new", "refused", more));
        assert!(outcome.code != Some(0) && outcome.stderr.contains(said), "{reason}: {outcome:?}");
        assert!(!outcome.stderr.contains("panicked"), "{reason}: {outcome:?}");
    }
    let outcome = yard.stage.program.run(&yard.args("old", "refused", "--since out/demo-1.1.0"));
    outcome.says(2, &["is version 1.1.0, which is not older than 1.1.0"]);
    assert!(!yard.stage.path("refused").exists());
    let bundle = yard.upgrade();
    for line in [
        "export DIR --to oci:x --trust trust.json --identity acme.key",
        "serve DIR --trust trust.json --identity acme.key --listen 127.0.0.1:0",
    ] {
        let line = line.replace("DIR", &bundle.display().to_string());
        let outcome = yard.stage.program.run(&line.split(' ').collect::<Vec<_>>());
        outcome.says(1, &["it is an upgrade of 1.1.0 and holds only what that lacks"]);
    }
}

#[test]
fn stock_tools_make_a_whole_layout_of_base_and_upgrade() {
    let yard = Yard::new("");
    let (base, bundle) = (yard.base(), yard.upgrade());
    let layout = yard.stage.path("layout");
    fs::create_dir(&layout).unwrap();
    let unpack = "age -d -i \"$KEY\" grants/acme.age > \"$OUT.key\"; for v in volumes/*.age; do age -d -i \"$OUT.key\" \"$v\"; done | tar -x -C \"$OUT\"";
    let open = |folder: &Path, out: &Path| {
        let mut shell = Command::new("sh");
        shell
            .args(["-euc", unpack])
            .current_dir(folder)
            .env("KEY", yard.stage.path("acme.key"))
            .env("OUT", out);
        tool(&mut shell);
    };
    open(&base, &layout);
    let old = yard.stage.path("old-layout");
    tool(Command::new("cp").arg("-r").arg(&layout).arg(&old));
    open(&bundle, &layout);
    for Named { repository, tag, .. } in &yard.new {
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["copy", "--quiet", "--all", "--preserve-digests", "--dest-tls-verify=false"]);
        let to = format!("docker://{}/mirror/{repository}:{tag}", yard.customer.host());
        tool(skopeo.arg(format!("oci:{}:docker.io/{repository}:{tag}", layout.display())).arg(to));
    }
    yard.arrived();
    // The script of the bundle does the same.
    yard.customer.wipe();
    let script = bundle.join("scripts/load-images.sh");
    tool(Command::new("shellcheck").arg(&script));
    let mut shell = Command::new("sh");
    shell.arg(&script).args(["--registry", &format!("{}/mirror", yard.customer.host()), "--plain-http"]);
    shell
        .arg("--public-key")
        .arg(yard.stage.path("vendor.pub"))
        .arg("--identity")
        .arg(yard.stage.path("acme.key"));
    shell.arg("--grant").arg(bundle.join("grants/acme.age")).arg("--layout").arg(&old);
    tool(&mut shell);
    yard.arrived();
}
