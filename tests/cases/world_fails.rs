//! When the world fails: disks that fill, media that cannot be written, keys that cannot be read, registries that lie. Each is told by
//! name with the right exit code, leaves nothing half-written, and the same command goes on once the world is mended.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use xtask::images::{Compression, Family, Layer, Named, Seed, image};
use xtask::registry::{Action, Auth, Config, Rule, Server, TokenAuth};

use super::program::tool;
use super::stage::Stage;
use super::world::files;

/// What a registry lies about: one image, two layers of which are large enough to be cut short.
fn images(bytes: usize) -> Vec<Named> {
    let layer = |name: &str| Layer::seeded(Seed::of(name), bytes, Compression::None).unwrap();
    let graph = image(Family::Oci, "linux/amd64", &[layer("one"), layer("two")]);
    vec![Named { repository: "acme/app".to_owned(), tag: "v1".to_owned(), graph }]
}

/// A locked release in a vendor's registry.
struct Bench {
    stage: Stage,
    vendor: Server,
}

impl Bench {
    fn new(config: Config, bytes: usize) -> Self {
        let bench = Self::unlocked(config, bytes);
        bench.stage.program.done(&["lock"]);
        bench
    }

    fn unlocked(config: Config, bytes: usize) -> Self {
        let vendor = Server::start(config).unwrap();
        let stage = Stage::new();
        let images = images(bytes);
        images[0].graph.put(&vendor, "acme/app", "v1").unwrap();
        stage.release("volume-size: 1MiB\n", &images, &vendor.host());
        Self { stage, vendor }
    }
}

/// A small filesystem in memory, gone when dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path, options: &str) -> Self {
        fs::create_dir_all(at).unwrap();
        tool(Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at));
        Self(at.to_owned())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_disk_too_small_is_told_before_a_layer_is_fetched() {
    let bench = Bench::new(Config::default(), 3 << 20);
    let _disk = Disk::mount(&bench.stage.path("out"), "size=4m");
    bench.vendor.reset_stats();
    let outcome = bench.stage.program.run(&bench.stage.build("out"));
    outcome.says(3, &["out has ", " bytes free; ", " more are needed"]);
    // What the image runs on, which its configuration alone says, is part of the plan.
    let asked: Vec<String> = bench.vendor.stats().lines.into_iter().map(|line| line.path).collect();
    let config = &images(3 << 20)[0].graph.blobs[0].0;
    assert_eq!(asked, [format!("/v2/acme/app/blobs/{config}")]);
    assert!(!bench.stage.bundle("out").exists());
}

#[test]
fn a_disk_that_fills_on_the_way_costs_nothing_but_the_wait() {
    let bench = Bench::new(Config::default(), 3 << 20);
    let stage = &bench.stage;
    let out = stage.path("out");
    let _disk = Disk::mount(&out, "size=10m");
    // One layer is fetched, then the registry takes its time, and somebody else fills the disk.
    bench.vendor.faults().add(Rule::new(Action::Delay(Duration::from_secs(3))).path("/blobs/").skip(2));
    bench.vendor.reset_stats();
    let child = stage
        .program
        .command(&stage.build("out"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let work = out.join(".demo-1.2.0.partial");
    let begun = Instant::now();
    while bench.vendor.stats().blob_sent < 1 << 20 && begun.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let ballast = out.join("ballast");
    // As much as fits, then some of it given back: less than the build still needs.
    let _ = fs::write(&ballast, vec![1; 10 << 20]);
    let full = fs::metadata(&ballast).unwrap().len();
    fs::File::options().write(true).open(&ballast).unwrap().set_len(full.saturating_sub(1 << 20)).unwrap();
    let outcome = super::program::Outcome::of(child.wait_with_output().unwrap());
    outcome.says(3, &["No space left on device"]);
    assert!(!stage.bundle("out").exists());
    assert!(work.join("build-state").exists());
    // Asked again while it is full: how much is needed, before anything is fetched.
    bench.vendor.faults().clear();
    stage.program.run(&stage.build("out")).says(3, &[" more are needed"]);
    fs::remove_file(ballast).unwrap();
    bench.vendor.reset_stats();
    stage.program.done(&stage.build("out"));
    stage.program.done(&stage.verify(&stage.bundle("out")));
    assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
}

#[test]
fn a_medium_that_cannot_be_written_is_verified_and_loaded() {
    let bench = Bench::new(Config::default(), 1 << 20);
    let stage = &bench.stage;
    stage.program.done(&stage.build("out"));
    let bundle = stage.bundle("out");
    let medium = stage.path("medium");
    fs::create_dir(&medium).unwrap();
    tool(Command::new("mount").arg("--bind").args([&bundle, &medium]));
    let _medium = Disk(medium.clone());
    tool(Command::new("mount").args(["-o", "remount,bind,ro"]).arg(&medium));
    assert!(fs::write(medium.join("probe"), "").is_err());
    let before = files(&bundle);
    stage.program.done(&stage.verify(&medium));
    let customer = Server::start(Config::default()).unwrap();
    stage.program.done(&stage.load(&medium, &customer.host()));
    assert_eq!(customer.tags("mirror/acme/app").len(), 1);
    // One that fails leaves it alone too.
    customer.wipe();
    customer.faults().add(Rule::new(Action::Status(403, Vec::new())).method("POST"));
    stage.program.run(&stage.load(&medium, &customer.host())).says(3, &[]);
    assert_eq!(files(&bundle), before);
}

#[test]
fn keys_that_cannot_be_used_are_named() {
    let bench = Bench::new(Config::default(), 64 << 10);
    let stage = &bench.stage;
    let folder = stage.folder.path();
    let mode = |name: &str, mode: u32| {
        fs::set_permissions(folder.join(name), Permissions::from_mode(mode)).unwrap();
    };
    // A private key that everyone can read is refused, and nothing is built with it.
    mode("vendor.key", 0o644);
    stage.program.run(&stage.build("out")).says(1, &["vendor.key", "others may read", "chmod 600"]);
    mode("vendor.key", 0o600);
    // One that is not there, and one that is none.
    let with_key = |key: &str| {
        let build =
            stage.build("out").into_iter().map(|a| if a == "vendor.key" { key.to_owned() } else { a });
        stage.program.run(&build.collect::<Vec<_>>())
    };
    with_key("gone.key").says(2, &["gone.key"]);
    with_key("acme.pub").says(2, &["acme.pub"]);
    // A locked one: nobody to ask, then the wrong words.
    let locked = ["keygen", "signing", "--out", "locked", "--passphrase"];
    let made = stage.program.command(&locked).env("BUNDLE_PASSPHRASE", "right").output().unwrap();
    assert!(made.status.success(), "{made:?}");
    with_key("locked.key").says(2, &["locked.key", "passphrase"]);
    let build: Vec<String> = stage
        .build("out")
        .into_iter()
        .map(|a| if a == "vendor.key" { "locked.key".into() } else { a })
        .collect();
    let wrong = stage.program.command(&build).env("BUNDLE_PASSPHRASE", "wrong").output().unwrap();
    let wrong = super::program::Outcome::of(wrong);
    wrong.says(1, &["locked.key", "passphrase"]);
    assert!(!stage.path("out").exists(), "it began to build");

    stage.program.done(&stage.build("out"));
    let bundle = stage.bundle("out");
    let customer = Server::start(Config::default()).unwrap();
    let load = |identity: Option<&str>| {
        let load = stage.load(&bundle, &customer.host());
        let at = load.iter().position(|a| a == "--identity").unwrap();
        let mut changed = load.clone();
        match identity {
            Some(identity) => identity.clone_into(&mut changed[at + 1]),
            None => drop(changed.drain(at..at + 2)),
        }
        stage.program.run(&changed)
    };
    load(None).says(2, &["identity"]);
    load(Some("gone.key")).says(2, &["gone.key"]);
    stage.program.done(&["keygen", "recipient", "--out", "stranger"]);
    load(Some("stranger.key")).says(1, &["none of the 2 grants"]);
    mode("acme.key", 0o640);
    load(Some("acme.key")).says(1, &["acme.key", "others may read"]);
    mode("acme.key", 0o600);
    assert_eq!(customer.stats().count("POST", xtask::registry::Kind::Upload), 0);
    load(Some("acme.key")).says(0, &[]);
}

/// A lie, what becomes of the command that is told it, and words that must be among what it says.
type Lie = (Action, i32, &'static str);

/// A refusal that asks to be asked again at once: storms without the wait.
fn storm(status: u16) -> Action {
    Action::Status(status, vec![("Retry-After".to_owned(), "0".to_owned())])
}

fn lies_about_content() -> Vec<Lie> {
    vec![
        (Action::WrongBytes(20), 1, "sha256:"),
        (Action::CloseResponse(10), 3, ""),
        (Action::ResetResponse(10), 3, ""),
        (Action::EndlessBody, 3, ""),
        (Action::Html(200), 3, ""),
        (Action::Html(502), 3, ""),
        (storm(429), 3, "too many requests"),
        (storm(500), 3, "500"),
        (storm(502), 3, "502"),
        (Action::Redirect("http://169.254.169.254/latest".to_owned()), 1, "redirect"),
        (Action::Redirect("http://elsewhere.example/blob".to_owned()), 1, "elsewhere.example"),
    ]
}

#[test]
fn a_registry_that_lies_to_lock_is_not_believed() {
    let bench = Bench::unlocked(Config::default(), 64 << 10);
    let short = (Action::ShortBody(50), 1, "wrong digest");
    for (lie, code, words) in lies_about_content().into_iter().chain([short]) {
        println!("lock: {lie:?}");
        bench.vendor.faults().add(Rule::new(lie).path("/manifests/"));
        bench.stage.program.run(&["lock"]).says(code, &["acme/app", "release.yaml:", words]);
        assert!(!bench.stage.path("release.lock").exists());
        bench.vendor.faults().clear();
    }
    bench.stage.program.done(&["lock"]);
}

#[test]
fn a_registry_that_lies_to_build_is_not_believed() {
    let bench = Bench::new(Config::default(), 600 << 10);
    let (stage, faults) = (&bench.stage, bench.vendor.faults());
    let short = (Action::ShortBody(50), 3, "");
    for (lie, code, words) in lies_about_content().into_iter().chain([short]) {
        println!("build: {lie:?}");
        faults.add(Rule::new(lie).path("/blobs/").skip(1));
        stage.program.run(&stage.build("out")).says(code, &["acme/app", words]);
        assert!(!stage.bundle("out").exists());
        assert!(!stage.path("out/.demo-1.2.0.partial/SHA256SUMS").exists());
        faults.clear();
    }
    // All of them in a row left nothing that is in the way.
    stage.program.done(&stage.build("out"));
    stage.program.done(&stage.verify(&stage.bundle("out")));
    assert_eq!(fs::read_dir(stage.path("out")).unwrap().count(), 1);
}

#[test]
fn a_registry_that_lies_to_load_is_not_believed() {
    let bench = Bench::new(Config::default(), 600 << 10);
    let stage = &bench.stage;
    stage.program.done(&stage.build("out"));
    let customer = Server::start(Config::default()).unwrap();
    let load = stage.load(&stage.bundle("out"), &customer.host());
    let lies: Vec<(&str, &str, Lie)> = vec![
        ("POST", "/blobs/uploads/", (storm(429), 3, "too many requests")),
        ("POST", "/blobs/uploads/", (storm(500), 3, "500")),
        ("POST", "/blobs/uploads/", (Action::Html(200), 3, "")),
        ("POST", "/blobs/uploads/", (Action::OmitLocation, 3, "Location")),
        ("POST", "/blobs/uploads/", (Action::Status(403, Vec::new()), 3, "not allowed")),
        ("PUT", "/blobs/uploads/", (Action::Html(200), 3, "")),
        ("", "/blobs/uploads/", (storm(502), 3, "502")),
        ("PUT", "/blobs/uploads/", (Action::WrongDigestHeader, 3, "wrong digest")),
        ("PUT", "/blobs/uploads/", (Action::Redirect("http://169.254.169.254/x".to_owned()), 3, "")),
        ("HEAD", "/blobs/", (storm(500), 3, "500")),
        ("PUT", "/manifests/", (storm(500), 3, "500")),
        ("PUT", "/manifests/", (Action::Html(200), 3, "")),
        ("PUT", "/manifests/", (Action::WrongDigestHeader, 3, "wrong digest")),
        ("HEAD", "/manifests/", (Action::Status(401, Vec::new()), 3, "")),
        ("GET", "/v2/", (Action::Html(200), 3, "")),
        ("", "", (storm(503), 3, "503")),
    ];
    for (method, path, (lie, code, words)) in lies {
        println!("load: {method} {path}: {lie:?}");
        customer.wipe();
        let mut rule = Rule::new(lie).path(path);
        if !method.is_empty() {
            rule = rule.method(method);
        }
        customer.faults().add(rule);
        let outcome = stage.program.run(&load);
        outcome.says(code, &[&customer.host(), words]);
        if path != "/manifests/" {
            assert!(customer.tags("mirror/acme/app").is_empty(), "a name before its content");
        }
        customer.faults().clear();
        stage.program.done(&load);
        assert_eq!(customer.tags("mirror/acme/app").len(), 1);
    }
}

#[test]
fn credentials_do_not_go_elsewhere() {
    let config = || Config {
        auth: Auth::Basic { user: "robot".to_owned(), password: "secret".to_owned() },
        ..Config::default()
    };
    let elsewhere = Server::start(Config::default()).unwrap();
    let bench = Bench::unlocked(config(), 64 << 10);
    let customer = Server::start(config()).unwrap();
    let stage = &bench.stage;
    let auth = serde_json::json!({"auth": "cm9ib3Q6c2VjcmV0"});
    stage.log_in([(bench.vendor.host(), auth.clone()), (customer.host(), auth)]);
    stage.program.done(&["lock"]);
    // A registry may keep its blobs elsewhere; what is there needs no name and password of ours, and must be what it should be.
    for (_, bytes) in &images(64 << 10)[0].graph.blobs {
        elsewhere.put_blob("acme/app", bytes.clone());
    }
    let away = |server: &Server, path: &str, method: &str| {
        let url = format!("http://{}{path}", server.host());
        Rule::new(Action::Redirect(url)).method(method).path("/blobs/")
    };
    bench.vendor.faults().add(away(&elsewhere, "/v2/acme/app/blobs/sha256:00", "GET"));
    let refused = stage.program.run(&stage.build("out"));
    assert!(matches!(refused.code, Some(1 | 3)), "{refused:#?}");
    assert!(!elsewhere.stats().lines.is_empty());
    bench.vendor.faults().clear();
    stage.program.done(&stage.build("out"));
    customer.faults().add(away(&elsewhere, "/v2/acme/app/blobs/uploads/", "PUT"));
    let refused = stage.program.run(&stage.load(&stage.bundle("out"), &customer.host()));
    assert!(matches!(refused.code, Some(1 | 3)), "{refused:#?}");
    for line in elsewhere.stats().lines {
        assert_eq!(line.authorization, None, "{} {}", line.method, line.path);
    }
    let text = format!("{refused:?}");
    assert!(!text.contains("secret") && !text.contains("cm9ib3Q6c2VjcmV0"), "{text}");
}

#[test]
fn tokens_that_run_out_only_cost_requests() {
    let config = || Config {
        auth: Auth::Token(TokenAuth { requests: Some(40), ..TokenAuth::default() }),
        ..Config::default()
    };
    let expire = |path: &str| Rule::new(Action::ExpireTokens).path(path);
    let bench = Bench::new(config(), 600 << 10);
    let customer = Server::start(config()).unwrap();
    let stage = &bench.stage;
    bench.vendor.faults().add(expire("/blobs/").skip(1).once());
    stage.program.done(&stage.build("out"));
    assert_eq!(bench.vendor.faults().hits(), [2]);
    for method in ["POST", "PUT", "HEAD"] {
        customer.wipe();
        customer.faults().clear();
        customer.faults().add(expire("/v2/mirror/").method(method).skip(1).once());
        stage.program.done(&stage.load(&stage.bundle("out"), &customer.host()));
        assert_eq!(customer.faults().hits(), [2], "{method}");
        assert_eq!(customer.tags("mirror/acme/app").len(), 1);
    }
}

#[test]
fn a_registry_that_fails_when_asked_is_sent_to_and_names_what_failed() {
    let bench = Bench::new(Config::default(), 64 << 10);
    let stage = &bench.stage;
    stage.program.done(&stage.build("out"));
    let load = |host: &str| stage.program.run(&stage.load(&stage.bundle("out"), host));
    let customer = Server::start(Config::default()).unwrap();
    // It cannot say whether the tag is there, and takes it.
    customer
        .faults()
        .add(Rule::new(Action::Status(500, Vec::new())).method("HEAD").path("/manifests/v1").times(2));
    load(&customer.host()).says(0, &[]);
    assert_eq!(customer.tags("mirror/acme/app").len(), 1);
    // What it refuses while it is sent to has advice of its own.
    for (status, advice) in [(413, "raise that limit"), (403, "for the right"), (507, "its disk")] {
        customer.wipe();
        customer.faults().clear();
        for method in ["POST", "PUT", "PATCH"] {
            customer.faults().add(Rule::new(Action::Status(status, Vec::new())).method(method));
        }
        load(&customer.host()).says(3, &[advice, "keeps what it has"]);
    }
}

#[test]
fn what_is_no_registry_is_told_so() {
    let bench = Bench::new(Config::default(), 64 << 10);
    let stage = &bench.stage;
    stage.program.done(&stage.build("out"));
    let load = |host: &str| stage.program.run(&stage.load(&stage.bundle("out"), host));
    let customer = Server::start(Config::default()).unwrap();
    customer.faults().add(Rule::new(Action::Status(404, Vec::new())));
    load(&customer.host()).says(3, &["is no registry, or not at this address", "only a prefix of names"]);
    customer.faults().clear();
    load(&customer.host()).says(0, &["3 sent"]);
    // Nothing is counted where all was there.
    assert!(!load(&customer.host()).stdout.contains("taken over"));
}
