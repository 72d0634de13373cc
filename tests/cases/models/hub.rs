//! `hf://`: the hub's protocol, and a hub that misbehaves.

use std::fs;
use std::time::Duration;

use xtask::hub::{Access, Config, Hub, HubFile, Model};
use xtask::registry::{Action, Rule};

use super::{Bench, Files, sharded, write};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const SHARD: &str = "model-00001-of-00002.safetensors";

/// `sharded()` on a hub, tensors held as large files.
fn model() -> Model {
    let file = |(path, bytes): (String, Vec<u8>)| {
        let file = if path.ends_with(".safetensors") { HubFile::large(bytes) } else { HubFile::small(bytes) };
        (path, file)
    };
    Model {
        repo: "acme/demo-1b".into(),
        commit: COMMIT.into(),
        files: sharded().into_iter().map(file).collect(),
        access: Access::Open,
    }
}

/// A hub with `model`, and a bench that asks it.
fn with(config: Config, model: Model) -> (Hub, Bench) {
    let hub = Hub::start(config).unwrap();
    hub.put(model);
    let mut bench = Bench::new();
    bench.environment.push(("HF_ENDPOINT", hub.endpoint()));
    bench.release(&format!("hf://acme/demo-1b@{COMMIT}"), &["notice: LICENSE"]);
    (hub, bench)
}

#[test]
fn a_hub_and_a_folder_make_the_same_image() {
    let (hub, bench) = with(Config { page: 3, ..Config::default() }, model());
    bench.done(&["lock"]);
    let lists = hub.seen().iter().filter(|seen| seen.path.contains("/tree/")).count();
    assert_eq!(lists, 3, "7 files and 2 folders, 3 to a page");
    let sent = hub.sent();
    for (path, bytes) in sharded() {
        assert_eq!(sent.get(&path).copied().unwrap_or(0), bytes.len() as u64, "{path} is read once");
    }
    let by_hub = fs::read_to_string(bench.path("release.lock")).unwrap();
    hub.reset();
    bench.done(&["lock"]);
    assert!(hub.sent().is_empty(), "a commit that is locked is not read again: {:?}", hub.sent());

    let bundle = bench.build("from-hub");
    write(&bench.path("weights"), &sharded());
    bench.release("dir:weights", &["notice: LICENSE"]);
    bench.done(&["lock"]);
    let by_folder = fs::read_to_string(bench.path("release.lock")).unwrap();
    let images = |lock: &str| lock.split("from: ").nth(1).unwrap().split_once('\n').unwrap().1.to_owned();
    assert_eq!(images(&by_hub), images(&by_folder));
    assert_eq!(fs::read(bundle.join("notices/demo-model/LICENSE")).unwrap(), sharded()["LICENSE"]);
}

#[test]
fn a_large_file_that_stands_is_not_read_again_under_another_commit() {
    let at = |commit: &str| {
        let mut model = model();
        model.commit = commit.to_owned();
        model.files.insert("weights.gguf".into(), HubFile::large(vec![7; 1 << 20]));
        model
    };
    let (hub, bench) = with(Config::default(), at(COMMIT));
    bench.done(&["lock"]);
    assert_eq!(hub.sent()["weights.gguf"], 1 << 20);
    let moved = "f".repeat(40);
    hub.put(at(&moved));
    hub.reset();
    bench.release(&format!("hf://acme/demo-1b@{moved}"), &["notice: LICENSE"]);
    bench.done(&["lock"]);
    // Of the others, the hub states no SHA-256, or a list of shards that was read anew is held against their headers.
    let sent = hub.sent();
    assert!(!sent.contains_key("weights.gguf") && sent.contains_key("config.json"), "{sent:?}");
}

#[test]
fn a_gated_model_is_read_with_a_token_that_no_other_host_sees() {
    let gated = Model { access: Access::Gated { token: "hf_goodsecret".into() }, ..model() };
    let (hub, mut bench) = with(Config::default(), gated);
    bench.refused("no token", 3, &["401", "Access to model acme/demo-1b is restricted", "HF_TOKEN"]);
    bench.environment.push(("HF_TOKEN", "hf_othersecret".into()));
    bench.refused("a token without access", 3, &["403", "not in the authorized list", "ask for access"]);
    let outcome = bench.run(&["lock", "-v"]);
    assert!(!outcome.stderr.contains("secret"), "{outcome:#?}");
    bench.environment.pop();

    // From where the hub's own client keeps it, and from a file that is named.
    fs::create_dir_all(bench.path(".cache/huggingface")).unwrap();
    fs::write(bench.path(".cache/huggingface/token"), "hf_goodsecret\n").unwrap();
    hub.reset();
    bench.done(&["lock"]);
    let (storage, hub_own): (Vec<_>, Vec<_>) = hub.seen().into_iter().partition(|seen| seen.storage);
    assert!(!storage.is_empty() && storage.iter().all(|seen| seen.authorization.is_none()), "{storage:?}");
    assert!(hub_own.iter().all(|seen| seen.authorization.as_deref() == Some("Bearer hf_goodsecret")));
    fs::remove_file(bench.path(".cache/huggingface/token")).unwrap();
    fs::remove_file(bench.path("release.lock")).unwrap();
    fs::write(bench.path("secret-file"), "hf_goodsecret").unwrap();
    bench.environment.push(("HF_TOKEN_PATH", bench.path("secret-file").display().to_string()));
    bench.done(&["lock"]);

    bench.environment.push(("HF_TOKEN", "hf_bad\nsecret".into()));
    fs::remove_file(bench.path("release.lock")).unwrap();
    let outcome = bench.run(&["lock"]);
    outcome.says(2, &["the token of HF_TOKEN"]);
    assert!(!outcome.stderr.contains("secret\""), "{outcome:#?}");
}

#[test]
fn only_a_commit_is_locked() {
    let (_hub, bench) = with(Config::default(), model());
    bench.release("hf://acme/demo-1b@main", &[]);
    bench.refused(
        "a branch",
        2,
        &["\"main\" of acme/demo-1b is not a commit", COMMIT, "hf://acme/demo-1b@0123"],
    );
    bench.release(&format!("hf://acme/demo-1b@{}", &COMMIT[..12]), &[]);
    bench.refused("half a commit", 3, &["404", "Invalid rev id"]);
    bench.release(&format!("hf://acme/demo-1b@{}", "9".repeat(40)), &[]);
    bench.refused("a commit that is not there", 3, &["404", "owner, name and commit"]);
    bench.release(&format!("hf://acme/nothing@{COMMIT}"), &[]);
    bench.refused("a model that is not there", 3, &["401", "HF_TOKEN"]);
    let moved = Config { moved: Some("e".repeat(40)), ..Config::default() };
    let (_hub, bench) = with(moved, model());
    bench.refused("a moved commit", 1, &["the hub says that this is commit eeeee", "mirror"]);
}

#[test]
fn a_hub_that_lies_is_not_believed() {
    for (reason, path, hash) in
        [("another SHA-256", SHARD, "5".repeat(64)), ("another git object", "config.json", "5".repeat(40))]
    {
        let mut lying = model();
        let file = lying.files[path].clone().listed_as(&hash);
        lying.files.insert(path.into(), file);
        let (_hub, bench) = with(Config::default(), lying);
        bench.refused(reason, 1, &[path, "the hub states", &hash]);
    }
    let (hub, bench) = with(Config::default(), model());
    hub.faults().storage.add(Rule::new(Action::WrongBytes(200_000)).path("00001"));
    bench.refused("a flipped bit", 1, &[SHARD, "the hub states"]);
    hub.faults().storage.clear();
    hub.faults().storage.add(Rule::new(Action::EndlessBody).path("00001"));
    bench.refused("a body without end", 3, &[SHARD, "longer than"]);
    let elsewhere = Config { page: 2, next_host: Some("127.0.0.1:9".into()), ..Config::default() };
    let (_hub, bench) = with(elsewhere, model());
    bench.refused("a next page elsewhere", 3, &["another host"]);
}

#[test]
fn what_breaks_is_taken_up_where_it_broke() {
    let (hub, bench) = with(Config::default(), model());
    let storage = &hub.faults().storage;
    storage.add(Rule::new(Action::ResetResponse(90_000)).path("00001").once());
    storage.add(Rule::new(Action::CloseResponse(50_000)).path("00001").once());
    storage.add(Rule::new(Action::Status(503, vec![])).path("00002").times(2));
    let slow = vec![("retry-after".to_owned(), "0".to_owned())];
    hub.faults().hub.add(Rule::new(Action::Status(429, slow)).path("/tree/").times(3));
    bench.done(&["lock"]);
    let ranges: Vec<_> =
        hub.seen().into_iter().filter(|s| s.path.contains("00001")).filter_map(|s| s.range).collect();
    assert!(ranges.iter().any(|range| range.starts_with("bytes=") && range != "bytes=0-"), "{ranges:?}");
    let sent = hub.sent()[SHARD];
    assert!(sent < 400_000, "{sent} bytes for a file of 300,000");

    // The build too, and its bytes are the lock's.
    storage.add(Rule::new(Action::ResetResponse(100_000)).path("00001").once());
    storage.add(Rule::new(Action::RangeIgnored).path("00001").once());
    bench.build("out");
}

#[test]
fn what_stays_broken_is_named_and_nothing_is_written() {
    let (hub, bench) = with(Config::default(), model());
    let always = |action| {
        hub.faults().hub.clear();
        hub.faults().storage.clear();
        hub.faults().hub.add(Rule::new(action));
    };
    let now = || vec![("retry-after".to_owned(), "0".to_owned())];
    always(Action::Status(429, now()));
    bench.refused("429 without end", 3, &["too many requests", "acme/demo-1b"]);
    always(Action::Status(500, now()));
    bench.refused("500 without end", 3, &["500"]);
    always(Action::Html(200));
    bench.refused("a login page", 3, &["web page"]);
    always(Action::Redirect("http://hub.example/".into()));
    bench.refused("a redirect to plain HTTP elsewhere", 1, &["redirect to http://hub.example refused"]);
    hub.faults().hub.clear();
    hub.faults().storage.add(Rule::new(Action::ShortBody(1000)).path("00001"));
    let begun = std::time::Instant::now();
    bench.refused("a short body", 3, &[SHARD, "the body ends at byte"]);
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert!(!bench.path("release.lock").exists());
}

#[test]
fn a_private_hub_needs_the_token_for_its_list() {
    let private = Model { access: Access::Private { token: "hf_t".into() }, ..model() };
    let (_hub, mut bench) = with(Config::default(), private);
    bench.refused("no token", 3, &["401", "private, gated and missing"]);
    bench.environment.push(("HF_TOKEN", "hf_t".into()));
    bench.done(&["lock"]);
}

#[test]
fn real_weights_come_through_the_hub_as_they_are() {
    let folder = xtask::minilm::folder().unwrap();
    let mut files: Files = Files::new();
    for name in ["LICENSE", "config.json", "tokenizer.json", "1_Pooling/config.json"] {
        files.insert(name.into(), fs::read(folder.join(name)).unwrap());
    }
    let tensors = fs::read(folder.join("model.safetensors")).unwrap();
    let sha256 = bundle::digest::Digest::of(&tensors).hex();
    let mut on_hub = Model {
        repo: "sentence-transformers/all-MiniLM-L6-v2".into(),
        commit: COMMIT.into(),
        files: files.into_iter().map(|(path, bytes)| (path, HubFile::small(bytes))).collect(),
        access: Access::Open,
    };
    let large = HubFile::on_disk(folder.join("model.safetensors"), &sha256).unwrap();
    on_hub.files.insert("model.safetensors".into(), large);
    let hub = Hub::start(Config::default()).unwrap();
    hub.put(on_hub);
    let mut bench = Bench::new();
    bench.environment.push(("HF_ENDPOINT", hub.endpoint()));
    bench.release(&format!("hf://sentence-transformers/all-MiniLM-L6-v2@{COMMIT}"), &["notice: LICENSE"]);
    let bundle = bench.build("out");
    assert_eq!(hub.sent()["model.safetensors"], 2 * tensors.len() as u64, "once to lock, once to build");
    let line = bench.stage.verify(&bundle);
    bench.done(&line.iter().map(String::as_str).collect::<Vec<_>>());
}
