//! `kill -9` at seeded random moments of `install` and `upgrade`, with and without the Helm they started, and the same command again: it ends
//! as one that nobody disturbed. Two at once; one whose machine is gone.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use xtask::images::Seed;

use super::shop::Shop;
use super::upgrading::{Cut, command, statuses};
use crate::cases::program::Outcome;

/// Kills of each verb.
const KILLS: u32 = 20;
/// Kills in a row, at most, until it may come to its end.
const ROW: u64 = 7;
/// How long it takes at most, in milliseconds, on a machine that does nothing else: later than this it is seldom still at work.
const LONGEST: u64 = 6000;
const ANSWERS: &str = "host: shop.example.com\ngreeting: good day\n";

/// What programs `id` has started and are still there.
fn children(id: u32) -> Vec<String> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{id}/task")) else { return vec![] };
    let of = |path: std::path::PathBuf| std::fs::read_to_string(path.join("children")).unwrap_or_default();
    let text: String = threads.flatten().map(|thread| of(thread.path()) + " ").collect();
    text.split_whitespace().map(ToOwned::to_owned).collect()
}

/// Runs it for a while, kills it, and gives whether it was still at work. With `all`, what it started is killed too, as when a
/// machine loses its power.
fn killed(mut command: Command, moment: Duration, all: bool) -> bool {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(moment);
    let started = if all { children(child.id()) } else { vec![] };
    let was_at_work = child.try_wait().unwrap().is_none();
    let _ = child.kill();
    for id in started {
        let _ = Command::new("kill").args(["-9", &id]).output();
    }
    child.wait().unwrap();
    was_at_work
}

/// All that must be the same in the end: records, pods, health, what Helm remembers, and that nobody holds it any more.
fn state(shop: &Shop) -> (Vec<(String, String)>, String, Value) {
    let helm = shop.namespace.kubectl(&[
        "get",
        "secret",
        "--selector",
        "owner=helm,status!=superseded",
        "--output",
        "jsonpath={range .items[*]}{.metadata.labels.status} {end}",
    ]);
    assert_eq!(helm.trim(), "deployed", "Helm has one revision, and nothing half done");
    let lock = shop.namespace.kubectl(&["get", "configmap", "bundle.shop.lock", "--ignore-not-found"]);
    assert_eq!(lock, "", "nobody holds it");
    let health = format!("/api/v1/namespaces/{}/services/shop-agent:8080/proxy/health", shop.namespace.name);
    let health: Value = serde_json::from_str(&shop.namespace.kubectl(&["get", "--raw", &health])).unwrap();
    let live = statuses(shop).into_iter().filter(|(_, status)| status != "superseded").collect();
    (live, shop.pods(), health)
}

/// Kills `run` until it was killed often enough, and lets it come to its end in between; each end is like that of the undisturbed,
/// after which `undo` brings back what was before.
fn kill_and_go_on(shop: &Shop, run: &dyn Fn() -> Command, undo: &dyn Fn(), name: &str) {
    let begun = Instant::now();
    Outcome::of(run().output().unwrap()).says(0, &["healthy"]);
    let whole = u64::try_from(begun.elapsed().as_millis()).unwrap().min(LONGEST);
    let undisturbed = state(shop);
    undo();
    let mut seed = Seed::of(name);
    let mut kills = 0;
    while kills < KILLS {
        for _ in 0..=seed.below(ROW).max(2) {
            let (moment, all) = (Duration::from_millis(seed.below(whole)), seed.below(5) == 0);
            kills += u32::from(killed(run(), moment, all));
        }
        let end = Outcome::of(run().output().unwrap());
        assert_eq!(end.code, Some(0), "{name}, after {kills} kills: {end:#?}");
        assert_eq!(state(shop), undisturbed, "{name}, after {kills} kills: {end:#?}");
        undo();
    }
}

#[test]
fn an_installation_that_is_killed_goes_on_and_ends_right() {
    let shop = Shop::new("install-killed");
    let undo = || {
        let line = ["uninstall", "--namespace", &shop.namespace.name, "--delete-data", "--yes"];
        shop.run(&line).says(0, &["is gone"]);
    };
    kill_and_go_on(&shop, &|| shop.installing(ANSWERS, &[]), &undo, "kills of install");
}

#[test]
fn an_upgrade_that_is_killed_goes_on_and_ends_right() {
    let shop = Shop::new("upgrade-killed");
    shop.install(ANSWERS, &["--allow-downgrade"]).says(0, &["installed, as revision 1"]);
    let next = Cut {
        version: "1.1.0",
        release: "upgrade: {from: \">=1.0.0, <1.1.0\"}\n",
        install: "  backup: backup.sh\n",
        edits: &[],
        build: "--since out/shop-1.0.0",
    }
    .deliver(&shop);
    let run = || command(&shop, &next, &["--backup-dir", "backups"]);
    let undo = || {
        let line = ["rollback", "--namespace", &shop.namespace.name, "--yes", "--wait", "25"];
        shop.run(&line).says(0, &["(1.0.0), as revision"]);
    };
    kill_and_go_on(&shop, &run, &undo, "kills of upgrade");
}

/// A program that is at work, and has said so in the cluster.
fn at_work(shop: &Shop, mut command: Command) -> Child {
    let child = command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    let asked = ["get", "pods", "--output", "name"];
    while shop.namespace.kubectl(&asked).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", child.wait_with_output());
        std::thread::sleep(Duration::from_millis(200));
    }
    child
}

#[test]
fn two_at_once_are_one_and_a_refusal() {
    let shop = Shop::new("two");
    let first = at_work(&shop, shop.installing("host: shop.example.com\ncrash: true\n", &["--wait", "60"]));
    // On the same machine that is known at once, and on another one when it is seen to live.
    let again = || shop.installing(ANSWERS, &[]);
    let place = shop.home.path().join("elsewhere");
    let words = ["another bundle works on shop in namespace", "This one changed nothing.", "bundle status"];
    let here = Outcome::of(again().output().unwrap());
    here.says(1, &[&words[..], &[&format!("process {}", first.id())]].concat());
    let elsewhere = Outcome::of(again().env("BUNDLE_STATE", &place).output().unwrap());
    elsewhere.says(1, &[&words[..], &[&format!("process {}, since 20", first.id())]].concat());
    for line in [&["uninstall", "--yes"][..], &["rollback", "--yes"]] {
        let outcome = shop.run(&[line, &["--namespace", &shop.namespace.name]].concat());
        assert_eq!(outcome.code, Some(1), "{outcome:#?}");
    }
    assert_eq!(statuses(&shop), [("1.0.0".to_owned(), "working".to_owned())]);

    // Its machine is gone: another one takes over when nothing is heard of it for a while.
    let mut first = first;
    first.kill().unwrap();
    first.wait().unwrap();
    let begun = Instant::now();
    let over = Outcome::of(again().env("BUNDLE_STATE", &place).output().unwrap());
    over.says(0, &["looking whether it still lives", "healthy"]);
    assert!(begun.elapsed() >= Duration::from_secs(30), "{over:?}");
    assert_eq!(state(&shop).0, [("1.0.0".to_owned(), "deployed".to_owned())]);
}
