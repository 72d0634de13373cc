//! What an operator reads, and how the program ends, when a copy is not whole, not the right one, or taken away.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bundle::ops::load;
use bundle::plan::mapping::Mapping;
use bundle::progress::{Event, ItemState, Observer};
use xtask::registry::{Config, Server};

use super::forge::{Forgery, Yard, copy, state, tags};
use super::program::{Outcome, Program};

const VOLUME_1: &str = "volumes/demo-1.2.0.0001.tar.age";
const VOLUME_2: &str = "volumes/demo-1.2.0.0002.tar.age";
/// What is said when the vendor is at fault.
const VENDOR: &str = "send this report to the vendor";

struct Desk {
    yard: Yard,
    program: Program,
}

impl Desk {
    fn new() -> Self {
        let yard = Yard::new();
        let program = Program::at(&yard.path("."));
        program.done(&["trust", "init", "--key", "vendor.pub", "--threshold", "1", "--out", "trust.json"]);
        Forgery::small().write(&yard, "good", &[&yard.key]);
        Self { yard, program }
    }

    /// A fresh copy of the bundle, called `name`.
    fn copy(&self, name: &str) -> std::path::PathBuf {
        let bundle = self.yard.path(name);
        let _ = fs::remove_dir_all(&bundle);
        copy(&self.yard.path("good"), &bundle);
        bundle
    }

    fn run(&self, line: &str) -> Outcome {
        let line = format!("{line} --trust trust.json --identity acme.key");
        self.program.run(&line.split(' ').collect::<Vec<_>>())
    }

    /// Loads, and proves that nothing was sent when it ended with other than 0.
    fn load(&self, line: &str) -> Outcome {
        let registry = Server::start(Config::default()).unwrap();
        let outcome = self.run(&format!("load {line} --registry {}/mirror", registry.host()));
        assert_eq!(tags(&registry).is_empty(), outcome.code != Some(0), "{outcome:?}");
        outcome
    }
}

#[track_caller]
fn accuses_nobody(outcome: &Outcome) {
    for word in [VENDOR, "is as signed, but", "has the bytes of", "is not the tar"] {
        assert!(!outcome.stderr.contains(word) && !outcome.stdout.contains(word), "{word}: {outcome:#?}");
    }
}

#[test]
fn what_is_missing_is_named_and_nothing_is_sent() {
    let desk = Desk::new();
    for name in [VOLUME_1, "bundle.json"] {
        fs::remove_file(desk.copy("case").join(name)).unwrap();
        let missing = format!("{name} is missing");
        desk.load("case").says(1, &[&missing, "nothing was sent"]);
        desk.run("verify case").says(1, &[&missing]);
    }
}

#[test]
fn faults_of_copying_accuse_no_vendor() {
    let desk = Desk::new();
    type Spoil = fn(&Path);
    let spoil: [(&str, Spoil); 3] = [
        ("0001.tar.age has 0 bytes", |bundle| fs::write(bundle.join(VOLUME_1), b"").unwrap()),
        ("0001.tar.age has 100000 bytes", |bundle| {
            fs::File::options().write(true).open(bundle.join(VOLUME_1)).unwrap().set_len(100_000).unwrap();
        }),
        ("0002.tar.age is damaged in chunk 0", |bundle| {
            let aside = bundle.with_extension("aside");
            for (from, to) in [(VOLUME_1, None), (VOLUME_2, Some(VOLUME_1))] {
                fs::rename(bundle.join(from), to.map_or(aside.clone(), |to| bundle.join(to))).unwrap();
            }
            fs::rename(aside, bundle.join(VOLUME_2)).unwrap();
        }),
    ];
    for (words, spoil) in spoil {
        spoil(&desk.copy("case"));
        let seen = desk.run("verify case");
        seen.says(1, &[words, "copy the files named above again", "was not checked"]);
        accuses_nobody(&seen);
    }
}

#[test]
fn a_grant_of_another_release_is_one_finding_that_says_which_to_ask_for() {
    let desk = Desk::new();
    let later =
        Forgery { version: "1.3.0", ..Forgery::small() }.write(&desk.yard, "later", &[&desk.yard.key]);
    let bundle = desk.copy("case");
    fs::copy(later.join("grants/acme.age"), bundle.join("grants/acme.age")).unwrap();
    let words = ["grants/acme.age is for another release key than that of demo 1.2.0"];
    let seen = desk.run("verify case");
    seen.says(1, &words);
    assert_eq!(seen.stdout.matches("refused").count(), 1, "{seen:#?}");
    accuses_nobody(&seen);
    desk.load("case").says(1, &[words[0], "ask the vendor for the grant for demo 1.2.0"]);
}

#[test]
fn a_damaged_grant_is_copied_again() {
    let desk = Desk::new();
    let path = desk.copy("case").join("grants/acme.age");
    let good = fs::read(&path).unwrap();
    // In the header's first line, and in the last byte of what is sealed.
    for at in [3, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&path, bad).unwrap();
        for seen in [desk.run("verify case"), desk.load("case")] {
            seen.says(1, &["the grant case/grants/acme.age is damaged", "copy it again"]);
        }
    }
    fs::remove_file(&path).unwrap();
    desk.load("case").says(1, &["none of the 1 grants", "yours may also be damaged"]);
}

#[test]
fn folders_that_do_not_belong_together_are_named() {
    let desk = Desk::new();
    Forgery { version: "1.3.0", ..Forgery::small() }.write(&desk.yard, "later", &[&desk.yard.key]);
    let other = "later is another release than good, or a copy that differs";
    desk.run("verify good later").says(1, &[other]);
    desk.load("good later").says(1, &[other]);
    desk.run("verify good nowhere").says(2, &["there is no folder nowhere"]);
    desk.load("good nowhere").says(2, &["there is no folder nowhere"]);
}

#[test]
fn a_load_says_what_it_checked() {
    let desk = Desk::new();
    desk.load("good").says(0, &["the other files of the folder were not"]);
    let registry = Server::start(Config::default()).unwrap();
    let plan = desk.run(&format!("load good --dry-run --registry {}/mirror", registry.host()));
    plan.says(0, &["no other byte of a volume was read"]);
}

#[test]
fn two_copies_damaged_elsewhere_load_together() {
    let desk = Desk::new();
    // Each into a registry of its own, so that everything is read.
    let load = |folders: &str| {
        let registry = Server::start(Config::default()).unwrap();
        desk.run(&format!("load {folders} --registry {}/mirror", registry.host()))
    };
    for (name, at) in [("one", 30_000), ("two", 120_000)] {
        let path = desk.copy(name).join(VOLUME_1);
        let mut bytes = fs::read(&path).unwrap();
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
        load(name).says(1, &["0001.tar.age: chunk 0", "second copy"]);
    }
    // The second lacks a volume as well.
    fs::remove_file(desk.yard.path("two").join(VOLUME_2)).unwrap();
    load("one two").says(0, &["OK"]);
    load("two one").says(0, &["OK"]);
    let verified = desk.run("verify one two");
    verified.says(1, &["0001.tar.age is damaged in chunk 0"]);
    // What neither has is named as ever.
    let path = desk.yard.path("one").join(VOLUME_1);
    let mut bytes = fs::read(&path).unwrap();
    bytes[120_001] ^= 1;
    fs::write(&path, bytes).unwrap();
    load("one two").says(1, &["0001.tar.age: chunk 0"]);
}

/// Takes the medium away when everything was planned and nothing was sent yet.
struct Pull<'a>(&'a Path);

impl Observer for Pull<'_> {
    fn event(&self, event: Event<'_>) {
        if matches!(event, Event::Begin { verb: "load", .. }) {
            fs::rename(self.0, self.0.with_extension("pulled")).unwrap();
        }
    }
}

#[test]
fn a_medium_that_is_pulled_out_is_not_called_damaged() {
    let desk = Desk::new();
    let bundle = desk.copy("case");
    let before = state(&bundle).len();
    let registry = Server::start(Config::default()).unwrap();
    let judge = desk.yard.judge();
    let request = load::Request {
        folders: std::slice::from_ref(&bundle),
        policy: &judge.policy,
        bases: &[],
        with: judge.with,
        mapping: &Mapping::new(&format!("{}/mirror", registry.host()), &[], false).unwrap(),
        parallel: 2,
        now: judge.now,
        state: None,
        allow_downgrade: false,
        recheck: false,
        mode: load::Mode::Write,
    };
    let report = load::load(&request, &desk.yard.client, &Pull(&bundle)).unwrap();
    assert!(!report.ok && report.items().any(|item| item.gone), "{report:?}");
    assert!(report.items().all(|item| !item.damaged), "{report:?}");
    fs::rename(bundle.with_extension("pulled"), &bundle).unwrap();
    assert_eq!(state(&bundle).len(), before);
    let report = load::load(&request, &desk.yard.client, &bundle::progress::Silent).unwrap();
    assert!(report.ok, "{report:?}");
}

/// Ends the registry when everything was planned, and counts the blobs that were tried in vain.
struct PullThePlug(Mutex<Option<Server>>, AtomicUsize);

impl Observer for PullThePlug {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Begin { verb: "load", .. } => drop(self.0.lock().unwrap().take()),
            Event::Item { state: ItemState::Failed, bytes: 1.., .. } => {
                self.1.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
    }
}

#[test]
fn a_registry_that_went_down_is_not_asked_for_every_blob() {
    let yard = Yard::new();
    let mut forgery = Forgery::empty(1 << 20);
    for number in 0..40 {
        forgery.small_image(&format!("i{number}"), number);
    }
    let bundle = forgery.write(&yard, "many", &[&yard.key]);
    let registry = Server::start(Config::default()).unwrap();
    let judge = yard.judge();
    let request = load::Request {
        folders: std::slice::from_ref(&bundle),
        bases: &[],
        policy: &judge.policy,
        with: judge.with,
        mapping: &Mapping::new(&format!("{}/mirror", registry.host()), &[], false).unwrap(),
        parallel: 2,
        now: judge.now,
        state: None,
        allow_downgrade: false,
        recheck: false,
        mode: load::Mode::Write,
    };
    let plug = PullThePlug(Mutex::new(Some(registry)), AtomicUsize::new(0));
    let report = load::load(&request, &yard.client, &plug).unwrap();
    assert_eq!(report.items().count(), 40);
    for item in report.items() {
        assert_eq!(item.state, load::State::Failed);
        assert!(item.why.as_ref().is_some_and(|why| why.contains("cannot be reached")), "{item:?}");
    }
    assert!(plug.1.load(Ordering::Relaxed) <= request.parallel, "{:?}", plug.1);
}

#[test]
fn a_rule_for_names_that_moves_nothing_is_told() {
    let desk = Desk::new();
    let registry = Server::start(Config::default()).unwrap();
    let line = format!(
        "load good --registry {}/mirror --map docker.io/demo/one=first --map docker.io/dmeo=x",
        registry.host()
    );
    let outcome = desk.run(&line);
    outcome.says(0, &["--map docker.io/dmeo=x moves nothing of this bundle"]);
    assert!(!outcome.stderr.contains("=first"), "{outcome:#?}");
    assert!(tags(&registry).contains_key("mirror/first:v1"));
}

#[test]
fn secrets_in_the_wrong_place_are_not_repeated() {
    let desk = Desk::new();
    let key = fs::read_to_string(desk.yard.path("acme.key")).unwrap();
    let secret = key.lines().find(|line| line.starts_with("AGE-SECRET-KEY-1")).unwrap();
    for (line, code) in [
        (format!("grant good --identity acme.key --name x --recipient {secret}"), 2),
        (format!("grant good --identity {secret} --name x --recipient acme.pub"), 2),
        ("load good --trust trust.json --identity acme.key --registry me:hunter2@h.example/x".to_owned(), 2),
        (
            "load good --trust trust.json --identity acme.key --registry https://me:hunter2@h.example/x"
                .to_owned(),
            2,
        ),
    ] {
        for line in [line.clone(), format!("{line} --json")] {
            let outcome = desk.program.run(&line.split(' ').collect::<Vec<_>>());
            assert_eq!(outcome.code, Some(code), "{outcome:#?}");
            for said in [&outcome.stdout, &outcome.stderr] {
                assert!(!said.contains(&secret[20..]) && !said.contains("hunter2"), "{outcome:#?}");
            }
        }
    }
}

#[test]
fn a_registry_that_says_a_byte_now_and_then_is_not_waited_for() {
    use std::io::{Read as _, Write as _};
    let site = super::serving::Site::new("");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
                while stream.write_all(b" ").is_ok() {
                    std::thread::sleep(std::time::Duration::from_millis(100));
                }
            });
        }
    });
    let mut words = site.words("load");
    words.extend(["--registry", &host, "--stall-timeout", "1"].map(str::to_owned));
    site.stage
        .program
        .run(&words)
        .says(3, &["bytes came in", "attempt 2", "state: nothing was sent", "hint:"]);
}

#[test]
fn the_script_loads_an_image_without_a_tag_and_leaves_the_medium_alone() {
    let stage = super::stage::Stage::new();
    let images = xtask::images::sample("incidentfox", "v1.2.0").unwrap();
    let (vendor, customer) =
        (Server::start(Config::default()).unwrap(), Server::start(Config::default()).unwrap());
    for image in &images {
        image.graph.put(&vendor, &image.repository, &image.tag).unwrap();
    }
    stage.release("", &images, &vendor.host());
    // The first by its digest alone.
    let first = &images[0];
    let (tagged, digest) = (format!("{}:{}", first.repository, first.tag), &first.graph.root().digest);
    let pinned = format!("{}@{digest}", first.repository);
    let release = fs::read_to_string(stage.path("release.yaml")).unwrap().replace(&tagged, &pinned);
    fs::write(stage.path("release.yaml"), release).unwrap();
    stage.program.done(&["lock"]);
    stage.program.done(&stage.build("out"));
    let bundle = stage.bundle("out");
    let before = super::world::files(&bundle);
    let mut shell = std::process::Command::new("sh");
    shell.arg(bundle.join("scripts/load-images.sh")).current_dir(stage.path(""));
    shell.args(["--registry", &format!("{}/mirror", customer.host()), "--plain-http", "--work", "work"]);
    shell.args([
        "--public-key",
        "vendor.pub",
        "--identity",
        "acme.key",
        "--grant",
        "out/demo-1.2.0/grants/acme.age",
    ]);
    super::program::tool(&mut shell);
    assert_eq!(super::world::files(&bundle), before, "the medium was written to");
    for image in &images {
        let root = image.graph.root();
        let at = format!("mirror/{}", image.repository);
        let found = customer.manifest(&at, &root.digest).map(|(_, bytes)| bytes);
        assert_eq!(found.as_deref(), Some(&root.bytes[..]), "{at}");
    }
    let guide = fs::read_to_string(bundle.join("INSTALLATION_GUIDE.md")).unwrap();
    assert!(guide.contains(&format!("{}@{digest}", first.repository)));
}

#[test]
fn nothing_is_remembered_in_a_delivered_folder() {
    let desk = Desk::new();
    let bundle = Forgery::small().write(&desk.yard, "bundle", &[&desk.yard.key]);
    let before = state(&bundle);
    let registry = ["--registry", "127.0.0.1:9"];
    for (verb, more) in
        [("load", &registry[..]), ("preflight", &registry), ("install", &registry), ("verify", &[])]
    {
        let words = [&[verb, "bundle", "--trust", "trust.json"][..], more].concat();
        let mut command = desk.program.command(&words);
        let outcome = Outcome::of(command.env("BUNDLE_STATE", bundle.join("st/deep")).output().unwrap());
        outcome.says(2, &["a delivered folder is never written to", "BUNDLE_STATE="]);
        assert_eq!(state(&bundle), before, "{verb}");
    }
}
