//! `dir:`: what is carried of a folder, and what is refused.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::symlink;

use xtask::registry::{Config, Server};

use super::{Bench, Files, safetensors, sharded, write};

#[test]
fn a_folder_becomes_an_image_whose_layers_are_its_files() {
    let bench = Bench::new();
    let files = sharded();
    write(&bench.path("weights"), &files);
    bench.release("dir:weights", &["notice: LICENSE"]);
    let bundle = bench.build("out");
    assert_eq!(fs::read(bundle.join("notices/demo-model/LICENSE")).unwrap(), files["LICENSE"]);
    let sums = fs::read_to_string(bundle.join("SHA256SUMS")).unwrap();
    assert!(sums.contains("  notices/demo-model/LICENSE\n"), "{sums}");
    bench.done(&["inspect", "out/demo-1.2.0"]).says(0, &["demo-model 1.2.0", "LICENSE"]);

    let registry = Server::start(Config::default()).unwrap();
    bench.load(&bundle, &registry.host());
    let (_, index) = registry.manifest("mirror/models/demo-model", "1.2.0").unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    let platforms: Vec<_> = index["manifests"].as_array().unwrap().iter().map(|m| &m["platform"]).collect();
    assert_eq!(
        platforms.iter().map(|p| p["architecture"].as_str().unwrap()).collect::<Vec<_>>(),
        ["amd64", "arm64"]
    );
    for child in index["manifests"].as_array().unwrap() {
        let digest = child["digest"].as_str().unwrap();
        let (_, manifest) = registry.manifest("mirror/models/demo-model", digest).unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        let config = registry.blob(manifest["config"]["digest"].as_str().unwrap()).unwrap();
        let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
        let mut found = Files::new();
        for (layer, diff_id) in manifest["layers"]
            .as_array()
            .unwrap()
            .iter()
            .zip(config["rootfs"]["diff_ids"].as_array().unwrap())
        {
            assert_eq!(layer["digest"], *diff_id, "an uncompressed layer is its own diff_id");
            let blob = registry.blob(layer["digest"].as_str().unwrap()).unwrap();
            for entry in tar::Archive::new(&blob[..]).entries().unwrap() {
                let mut entry = entry.unwrap();
                let header = entry.header();
                assert_eq!(
                    (header.mtime().unwrap(), header.uid().unwrap(), header.gid().unwrap()),
                    (0, 0, 0)
                );
                if header.entry_type().is_dir() {
                    assert_eq!(header.mode().unwrap(), 0o755);
                    continue;
                }
                assert_eq!(header.mode().unwrap(), 0o644);
                let path = entry.path().unwrap().to_str().unwrap().to_owned();
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).unwrap();
                assert!(found.insert(path, bytes).is_none(), "one file in one layer");
            }
        }
        assert_eq!(found, files);
    }
    // Twice the same, byte for byte, and a second load has nothing to do.
    let lock = fs::read(bench.path("release.lock")).unwrap();
    fs::remove_file(bench.path("release.lock")).unwrap();
    bench.done(&["lock"]);
    assert_eq!(fs::read(bench.path("release.lock")).unwrap(), lock);
    registry.reset_stats();
    bench.load(&bundle, &registry.host());
    assert_eq!(registry.stats().blob_received, 0);
}

#[test]
fn patterns_choose_and_the_lock_says_what_changed() {
    let bench = Bench::new();
    write(&bench.path("weights"), &sharded());
    bench.release("dir:weights", &["include: [\"*.safetensors\", \"*.json\"]"]);
    bench.done(&["lock"]).says(0, &["demo-model", "new"]);
    let lock = fs::read_to_string(bench.path("release.lock")).unwrap();
    assert!(
        lock.contains("path: config.json") && !lock.contains("path: LICENSE") && !lock.contains("onnx"),
        "{lock}"
    );
    bench.done(&["lock", "--check"]);
    fs::write(bench.path("weights/config.json"), "{\"model_type\": \"oddo\"}").unwrap();
    bench.run(&["lock", "--check"]).says(1, &["model demo-model is not as it was locked"]);
    // The build believes no folder: it reads what was locked, or stops.
    let line = bench.stage.build("out");
    let outcome = bench.run(&line.iter().map(String::as_str).collect::<Vec<_>>());
    outcome.says(1, &["model demo-model"]);
    assert!(!bench.path("out/demo-1.2.0").exists());
}

#[test]
fn a_hub_clients_cache_is_followed_and_no_other_link() {
    let bench = Bench::new();
    let cache = bench.path("models--acme--demo");
    fs::create_dir_all(cache.join("blobs")).unwrap();
    fs::create_dir_all(cache.join("snapshots/abc")).unwrap();
    fs::write(cache.join("blobs/0123"), safetensors(&[("a", 10)])).unwrap();
    symlink("../../blobs/0123", cache.join("snapshots/abc/model.safetensors")).unwrap();
    bench.release("dir:models--acme--demo/snapshots/abc", &[]);
    bench.done(&["lock"]);
    symlink("/etc/passwd", cache.join("snapshots/abc/notes.txt")).unwrap();
    bench.refused("a link out of the folder", 1, &["notes.txt", "a link that leads out of the folder"]);
}

#[test]
fn what_cannot_be_carried_is_named() {
    type Change = fn(&mut Files);
    /// What is wrong, how it is made so, what else the release says, the exit code, what is said of it.
    type Case<'a> = (&'a str, Change, &'a [&'a str], i32, &'a [&'a str]);
    let header = |json: &str| {
        let mut file = (json.len() as u64).to_le_bytes().to_vec();
        file.extend_from_slice(json.as_bytes());
        file
    };
    let cases: [Case<'_>; 15] = [
        (
            "a missing shard",
            |f| drop(f.remove("model-00002-of-00002.safetensors")),
            &[],
            1,
            &["model.safetensors.index.json names the shard model-00002-of-00002.safetensors", "include:"],
        ),
        (
            "an extra shard",
            |f| drop(f.insert("model-00003-of-00003.safetensors".into(), safetensors(&[("d", 5)]))),
            &[],
            1,
            &["does not name model-00003-of-00003.safetensors"],
        ),
        (
            "a tensor in another shard",
            |f| drop(f.insert("model-00002-of-00002.safetensors".into(), safetensors(&[("d", 5)]))),
            &[],
            1,
            &["places tensor c in model-00002-of-00002.safetensors"],
        ),
        (
            "a header of absurd length",
            |f| {
                let mut file = u64::MAX.to_le_bytes().to_vec();
                file.extend_from_slice(b"{}");
                f.insert("model-00001-of-00002.safetensors".into(), file);
            },
            &[],
            1,
            &["model-00001-of-00002.safetensors", "18446744073709551615 bytes long", "damaged"],
        ),
        (
            "a cut file",
            |f| f.get_mut("model-00001-of-00002.safetensors").unwrap().truncate(200_000),
            &[],
            1,
            &["model-00001-of-00002.safetensors: its tensors end at byte 300000"],
        ),
        (
            "a file larger than max-layer",
            |_| (),
            &["max-layer: 100KiB"],
            2,
            &[
                "model-00001-of-00002.safetensors would be a layer of",
                "max-layer is 102400",
                "raise max-layer to",
                "shards",
            ],
        ),
        (
            "names that differ in case",
            |f| drop(f.insert("license".into(), b"another".to_vec())),
            &[],
            2,
            &["LICENSE and license differ only in case", "rename"],
        ),
        (
            "a name that FAT cannot store",
            |f| drop(f.insert("a:b".into(), vec![])),
            &[],
            2,
            &["\"a:b\" is refused"],
        ),
        (
            "a device's name",
            |f| drop(f.insert("aux.json".into(), vec![])),
            &[],
            2,
            &["aux.json", "device name"],
        ),
        ("a notice that is not there", |_| (), &["notice: EULA"], 2, &["the notice EULA is not among"]),
        (
            "a notice that no pattern takes",
            |_| (),
            &["notice: LICENSE", "include: [\"*.json\"]"],
            2,
            &["the notice LICENSE is not among"],
        ),
        (
            "a pattern that takes nothing",
            |_| (),
            &["include: [\"*\", \"*.gguf\"]"],
            2,
            &["\"*.gguf\" takes no file"],
        ),
        ("a pattern that is none", |_| (), &["include: [\"[a-z]*\"]"], 2, &["release.yaml:7:5", "[a-z]*"]),
        ("an empty folder", Files::clear, &[], 2, &["holds no file"]),
        (
            "more files than can be mounted",
            |f| f.extend((0..400).map(|n| (format!("f{n}"), vec![]))),
            &[],
            2,
            &["407 files would be as many layers", "384"],
        ),
    ];
    let bench = Bench::new();
    for (at, (reason, change, more, code, words)) in cases.into_iter().enumerate() {
        let mut files = sharded();
        change(&mut files);
        let folder = format!("weights-{at}");
        fs::create_dir(bench.path(&folder)).unwrap();
        write(&bench.path(&folder), &files);
        bench.release(&format!("dir:{folder}"), more);
        bench.refused(reason, code, words);
    }
    bench.release("dir:nowhere", &[]);
    bench.refused("a folder that is not there", 2, &["nowhere", "No such file"]);
    bench.release("dir:release.yaml", &[]);
    bench.refused("a file in the folder's place", 1, &["it is not a folder"]);
    bench.release("weights", &[]);
    bench.refused("no place at all", 2, &["expected dir:PATH or hf://OWNER/NAME@COMMIT"]);
    let overlapping = r#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}"#;
    let mut file = header(overlapping);
    file.extend_from_slice(&[0; 3]);
    fs::create_dir(bench.path("overlap")).unwrap();
    fs::write(bench.path("overlap/model.safetensors"), file).unwrap();
    bench.release("dir:overlap", &[]);
    bench.refused(
        "overlapping tensors",
        1,
        &["model.safetensors: tensor b begins at byte 1, inside the one before it"],
    );
}

#[test]
fn a_total_that_is_wrong_is_told_and_carried() {
    let bench = Bench::new();
    let mut files = sharded();
    let list = files.get_mut("model.safetensors.index.json").unwrap();
    *list = String::from_utf8(list.clone()).unwrap().replace("370000", "370001").into_bytes();
    write(&bench.path("weights"), &files);
    bench.release("dir:weights", &[]);
    bench.done(&["lock"]).says(0, &["states 370001 bytes in all; its shards have 370000"]);
}
