//! `bundle upgrade` on a real cluster: forward, and back where it was; what is refused before anything is touched.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::shop::{Otherwise, Shop};
use crate::cases::program::{Outcome, tool};

/// A further version of the shop: what changes of its files.
pub(super) struct Cut<'a> {
    pub(super) version: &'a str,
    /// Lines of release.yaml.
    pub(super) release: &'a str,
    /// Lines of its `install:`.
    pub(super) install: &'a str,
    /// Texts of all files that are replaced.
    pub(super) edits: &'a [(&'a str, &'a str)],
    /// Arguments of the build.
    pub(super) build: &'a str,
}

impl Cut<'_> {
    /// Locked, built and delivered; loaded too.
    pub(super) fn deliver(&self, shop: &Shop) -> PathBuf {
        let home = shop.home.path();
        let (first, vendor) = (home.join("vendor-1.0.0"), home.join(format!("vendor-{}", self.version)));
        tool(Command::new("cp").arg("-r").arg(&first).arg(&vendor));
        for name in
            ["release.yaml", "chart/Chart.yaml", "questions.yaml", "values.yaml.j2", "chart/values.yaml"]
        {
            let path = vendor.join(name);
            let mut text = fs::read_to_string(&path)
                .unwrap()
                .replace("version: 1.0.0", &format!("version: {}", self.version));
            if name == "release.yaml" {
                let from = text.split("from: \"").nth(1).unwrap().split('/').next().unwrap().to_owned();
                text = text.replace(&from, &shop.place);
                text = text.replace("install:\n", &format!("install:\n{}", self.install));
                text += self.release;
            }
            for (old, new) in self.edits {
                text = text.replace(old, new);
            }
            fs::write(&path, text).unwrap();
        }
        fs::write(vendor.join("backup.sh"), BACKUP).unwrap();
        let file = vendor.join("release.yaml").display().to_string();
        let helm = xtask::tools::helm4().unwrap().display().to_string();
        shop.program.done(&["lock", "-f", &file, "--helm", &helm]);
        let line =
            format!("build -f {file} --out delivered-{} --sign-key ci.key {}", self.version, self.build);
        shop.program.done(&line.split_whitespace().collect::<Vec<_>>());
        let mut folders = fs::read_dir(home.join(format!("delivered-{}", self.version))).unwrap();
        let folder = folders.next().unwrap().unwrap().path();
        load(shop, &folder);
        folder
    }
}

/// Loads it, whatever was loaded before.
fn load(shop: &Shop, folder: &Path) {
    let folder = folder.display().to_string();
    let line = ["load", &folder, "--trust", "trust.json", "--allow-downgrade", "--registry", &shop.place];
    shop.program.done(&line);
}

const BACKUP: &str = "#!/bin/sh\nset -eu\necho \"saved $BUNDLE_FROM of $BUNDLE_RELEASE, to go to $BUNDLE_TO\"\n\
    kubectl --namespace \"$BUNDLE_NAMESPACE\" get configmap shop-config --output yaml >\"$BUNDLE_OUT/config.yaml\"\n\
    test \"$BUNDLE_ANSWER_HOST\" = shop.example.com\n";

/// `bundle upgrade` to a delivered folder.
pub(super) fn command(shop: &Shop, folder: &Path, more: &[&str]) -> Command {
    let folder = folder.display().to_string();
    let line = ["upgrade", &folder, "--trust", "trust.json", "--allow-downgrade", "--wait", "20"];
    shop.command(&[&line[..], more].concat())
}

pub(super) fn upgrade(shop: &Shop, folder: &Path, more: &[&str]) -> Outcome {
    Outcome::of(command(shop, folder, more).output().unwrap())
}

pub(super) fn statuses(shop: &Shop) -> Vec<(String, String)> {
    let text = shop.namespace.kubectl(&[
        "get",
        "configmap",
        "--selector",
        "bundle/release=shop",
        "--output",
        "json",
    ]);
    let all: Value = serde_json::from_str(&text).unwrap();
    let record = |object: &Value| -> (String, String) {
        let record: Value = serde_json::from_str(object["data"]["record.json"].as_str().unwrap()).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&record["release"]["version"]), text(&record["status"]))
    };
    all["items"].as_array().unwrap().iter().map(record).collect()
}

pub(super) fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(version, status)| ((*version).to_owned(), (*status).to_owned())).collect()
}

const ANSWERS: &str = "host: shop.example.com\ngreeting: good day\n";
const RENAMED: [(&str, &str); 2] =
    [("variable: greeting", "variable: salutation"), ("answers.greeting", "answers.salutation")];

#[test]
fn it_goes_forward_and_on_a_failure_back_where_it_was() {
    let shop = Shop::otherwise("upgrade", &Otherwise { licensed: true, ..Otherwise::default() });
    shop.install(ANSWERS, &[]).says(0, &["installed, as revision 1"]);
    let secret = |name: &str, key: &str| {
        shop.namespace.kubectl(&["get", "secret", name, "--output", &format!("jsonpath={{.data.{key}}}")])
    };
    let kept = || {
        (
            secret("shop-admin", "password"),
            secret("shop-database", "password"),
            secret("shop-license", "license\\.jwt"),
        )
    };
    let before = kept();
    let release = "upgrade: {from: \">=1.0.0, <1.1.0\", migrate: [{answer: greeting, to: salutation, before: 1.1.0}]}\n";
    let next = Cut {
        version: "1.1.0",
        release,
        install: "  backup: backup.sh\n",
        edits: &RENAMED,
        build: "--since out/shop-1.0.0",
    }
    .deliver(&shop);
    // Planned: the answers are carried, and nothing is touched.
    let plan = upgrade(&shop, &next, &["--dry-run"]);
    plan.says(
        0,
        &[
            "upgrade of shop from 1.0.0 to 1.1.0",
            "greeting is called salutation now",
            "the release's script is run first",
            "nothing was changed; without --dry-run it is done",
        ],
    );
    assert_eq!(statuses(&shop), pairs(&[("1.0.0", "deployed")]));
    let done = upgrade(&shop, &next, &["--backup-dir", "backups"]);
    done.says(0, &["installed, as revision 2", "healthy"]);
    assert_eq!(statuses(&shop), pairs(&[("1.0.0", "superseded"), ("1.1.0", "deployed")]));
    assert_eq!(shop.record(2)["answers"]["salutation"], "good day");
    assert!(shop.pods().contains("good day"), "{}", shop.pods());
    assert_eq!(kept(), before, "secrets and licence are those in force");
    let backup = fs::read_dir(shop.home.path().join("backups")).unwrap().next().unwrap().unwrap().path();
    assert!(fs::read_to_string(backup.join("config.yaml")).unwrap().contains("good day"));
    let log = fs::read_to_string(backup.join("backup.log")).unwrap();
    assert_eq!(log, "saved 1.0.0 of shop, to go to 1.1.0\n");
    upgrade(&shop, &next, &[]).says(0, &["nothing was changed"]);

    // The next one's pods crash: the old one runs again, whole, and nothing of it was taken away.
    let uid = || {
        shop.namespace.kubectl(&["get", "deployment", "shop-agent", "--output", "jsonpath={.metadata.uid}"])
    };
    let there = uid();
    let broken = Cut {
        version: "1.2.0",
        release: "upgrade: {from: \">=1.1.0, <1.2.0\"}\n",
        install: "",
        edits: &[RENAMED[0], RENAMED[1], ("crash: {{ answers.crash }}", "crash: true")],
        build: "",
    }
    .deliver(&shop);
    shop.license("acme", "2098-01-01", &broken.join("licenses/acme.lic"));
    let failed = upgrade(&shop, &broken, &[]);
    failed.says(3, &["revision 2, which ran before, runs again", "The whole release is back at revision 2"]);
    assert_eq!(
        statuses(&shop),
        pairs(&[("1.0.0", "superseded"), ("1.1.0", "deployed"), ("1.2.0", "failed")])
    );
    assert!(shop.pods().contains("good day"), "{}", shop.pods());
    assert_eq!(kept(), before, "the licence that came with it is not in force");
    assert_eq!(uid(), there, "nothing was uninstalled");
    let healthy = shop.namespace.kubectl(&[
        "get",
        "deployment",
        "shop-agent",
        "--output",
        "jsonpath={.status.readyReplicas}/{.status.updatedReplicas}",
    ]);
    assert_eq!(healthy, "1/1");

    // Mended by an answer, the same command goes through.
    let mended = Cut {
        version: "1.2.1",
        release: "upgrade: {from: \">=1.1.0, <1.2.1\"}\n",
        install: "",
        edits: &RENAMED,
        build: "",
    }
    .deliver(&shop);
    fs::write(shop.home.path().join("more.yaml"), "salutation: farewell\n").unwrap();
    upgrade(&shop, &mended, &["--answers", "more.yaml"]).says(0, &["installed, as revision 3"]);
    assert!(shop.pods().contains("farewell"), "{}", shop.pods());
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_touched() {
    let shop = Shop::new("upgrade-refused");
    let plain = |version: &'static str, release: &'static str| {
        Cut { version, release, install: "", edits: &[], build: "" }.deliver(&shop)
    };
    let next = plain("1.1.0", "upgrade: {from: \">=1.0.0, <1.1.0\"}\n");
    upgrade(&shop, &next, &[]).says(1, &["shop is not installed in namespace", "bundle install"]);
    shop.install(ANSWERS, &["--allow-downgrade"]).says(0, &["installed, as revision 1"]);
    for (reason, version, release, said) in [
        (
            "too old",
            "2.0.0",
            "upgrade: {from: \">=1.1.0, <2.0.0\"}\n",
            "2.0.0 replaces >=1.1.0, <2.0.0; 1.0.0 is installed",
        ),
        (
            "stops between",
            "3.0.0",
            "upgrade: {from: \">=2.0.0, <3.0.0\", stops: [{version: 1.1.0, from: \"<1.1.0\"}, {version: 2.0.0, from: \">=1.1.0\"}]}\n",
            "from 1.0.0, the way to 3.0.0 is over 1.1.0, then 2.0.0",
        ),
        ("no upgrade", "1.3.0", "", "1.3.0 does not say that it replaces any version; 1.0.0 is installed"),
        ("older", "0.9.0", "upgrade: {from: \"*\"}\n", "1.0.0 is installed, which is newer than 0.9.0"),
        (
            "the same by another bundle",
            "1.0.0",
            "# another\n",
            "1.0.0 is installed, from another bundle than this one",
        ),
    ] {
        let folder = match version {
            "1.0.0" => {
                // Cut again, with one line more.
                let again = shop.home.path().join("vendor-again");
                tool(Command::new("cp").arg("-r").arg(shop.home.path().join("vendor-1.0.0")).arg(&again));
                let vendor = again.join("release.yaml");
                let text = fs::read_to_string(&vendor).unwrap();
                let from = text.split("from: \"").nth(1).unwrap().split('/').next().unwrap().to_owned();
                fs::write(&vendor, text.replace(&from, &shop.place) + release).unwrap();
                let file = vendor.display().to_string();
                let helm = xtask::tools::helm4().unwrap().display().to_string();
                shop.program.done(&["lock", "-f", &file, "--helm", &helm]);
                shop.program.done(&["build", "-f", &file, "--out", "other", "--sign-key", "ci.key"]);
                shop.home.path().join("other/shop-1.0.0")
            }
            _ => plain(version, release),
        };
        let outcome = upgrade(&shop, &folder, &[]);
        assert!(outcome.code == Some(1) && outcome.stderr.contains(said), "{reason}: {outcome:?}");
    }
    // Answers: new ones are asked for, secrets stay where they are, and what fits no question is told.
    let asks = Cut {
        version: "1.4.0",
        release: "upgrade: {from: \">=1.0.0\"}\n",
        install: "",
        edits: &[(
            "questions:\n",
            "questions:\n  - {variable: region, label: Region, type: string, required: true}\n",
        )],
        build: "",
    }
    .deliver(&shop);
    upgrade(&shop, &asks, &[])
        .says(2, &["region: it has no answer, and needs one: Region", "--answers FILE"]);
    for (text, said) in [
        ("region: eu\nregoin: x\n", "more.yaml:2:9: regoin: there is no such question; there is \"region\""),
        ("region: eu\nreplicas: many\n", "more.yaml:2:11: replicas: \"many\" is no whole number"),
        ("region: eu\npassword: other\n", "password is kept in secret shop-admin, key password"),
    ] {
        fs::write(shop.home.path().join("more.yaml"), text).unwrap();
        upgrade(&shop, &asks, &["--answers", "more.yaml"]).says(2, &[said]);
    }
    // A backup that does not come about.
    let backs = Cut {
        version: "1.5.0",
        release: "upgrade: {from: \">=1.0.0\"}\n",
        install: "  backup: backup.sh\n",
        edits: &[],
        build: "",
    };
    let vendor = backs.deliver(&shop);
    let answers = "host: other.example.com\n";
    shop.install(answers, &["--allow-downgrade"]).says(0, &["installed, as revision 2"]);
    upgrade(&shop, &vendor, &[]).says(
        3,
        &["the backup script ended with exit code 1", "without a backup nothing is upgraded", "backup.log"],
    );
    // A blob that the registry lost since.
    let layer = fs::read_to_string(next.join("bundle.json")).unwrap();
    let index: Value = serde_json::from_str(&layer).unwrap();
    let layer = index["blobs"]
        .as_array()
        .unwrap()
        .iter()
        .find(|blob| blob["media_type"].as_str().unwrap().contains("layer"));
    let layer = layer.unwrap()["digest"].as_str().unwrap();
    for repository in ["mirror/acme/agent", "mirror/charts/shop"] {
        shop.registry.lose_blob(repository, layer);
    }
    upgrade(&shop, &next, &[]).says(1, &[&format!("lacks {layer}"), "load the bundle again"]);
    assert_eq!(statuses(&shop), pairs(&[("1.0.0", "superseded"), ("1.0.0", "deployed")]));
    // Loaded again, it goes through; and the backup is left out only when that is said, and then shown.
    let folder = next.display().to_string();
    let line = ["load", &folder, "--trust", "trust.json", "--allow-downgrade", "--registry", &shop.place];
    shop.program.done(&[&line[..], &["--recheck"]].concat());
    upgrade(&shop, &vendor, &["--no-backup"]).says(0, &["NOT MADE: --no-backup", "installed, as revision 3"]);
}
