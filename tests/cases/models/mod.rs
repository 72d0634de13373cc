//! Models: from a folder or a hub into a bundle, a registry, a mount.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::program::{Outcome, Program};
use super::stage::Stage;

mod containerd;
mod folder;
mod hub;
mod large;

/// Files by path.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// A `safetensors` file of tensors of bytes, each by name and length.
pub(super) fn safetensors(tensors: &[(&str, usize)]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let mut at = 0;
    for (name, length) in tensors {
        let tensor = serde_json::json!({"dtype": "U8", "shape": [length], "data_offsets": [at, at + length]});
        header.insert((*name).to_owned(), tensor);
        at += length;
    }
    let header = serde_json::Value::Object(header).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    let mut state = 7u32;
    file.extend((0..at).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    }));
    file
}

/// A small model in two shards with a list, a folder, a notice and a name that a tar's own header cannot hold.
pub(super) fn sharded() -> Files {
    let (one, two) = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors");
    let list = serde_json::json!({
        "metadata": {"total_size": 300_000 + 70_000},
        "weight_map": {"a": one, "b": one, "c": two},
    });
    let long = format!("onnx/{}/{}.json", "graph".repeat(20), "ünïcode".repeat(10));
    [
        (one.to_owned(), safetensors(&[("a", 100_000), ("b", 200_000)])),
        (two.to_owned(), safetensors(&[("c", 70_000)])),
        ("model.safetensors.index.json".to_owned(), list.to_string().into_bytes()),
        ("config.json".to_owned(), b"{\"model_type\": \"demo\"}".to_vec()),
        ("LICENSE".to_owned(), b"Use it well.\n".to_vec()),
        ("empty.txt".to_owned(), Vec::new()),
        (long, b"{}".to_vec()),
    ]
    .into()
}

/// Writes `files` below `folder`.
pub(super) fn write(folder: &Path, files: &Files) {
    for (path, bytes) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// A stage whose release has one model, `demo-model`.
pub(super) struct Bench {
    pub(super) stage: Stage,
    /// Variables of the program's environment.
    pub(super) environment: Vec<(&'static str, String)>,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self { stage: Stage::new(), environment: Vec::new() }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.stage.path(name)
    }

    /// A release of the model `from`, with more lines of its entry.
    pub(super) fn release(&self, from: &str, more: &[&str]) {
        let mut text = format!(
            "apiVersion: bundle/v1\nkind: Release\nname: demo\nversion: 1.2.0\nvendor: Demo\nmodels:\n  - name: demo-model\n    from: {from}\n"
        );
        more.iter().for_each(|line| text += &format!("    {line}\n"));
        fs::write(self.path("release.yaml"), text).unwrap();
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Outcome {
        let program = Program::at(self.stage.folder.path());
        let mut command = program.command(arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        Outcome::of(command.output().unwrap())
    }

    #[track_caller]
    pub(super) fn done(&self, arguments: &[&str]) -> Outcome {
        let outcome = self.run(arguments);
        assert_eq!(outcome.code, Some(0), "{outcome:#?}");
        outcome
    }

    /// Locks and builds; the bundle's folder.
    pub(super) fn build(&self, out: &str) -> PathBuf {
        self.done(&["lock"]);
        let line = self.stage.build(out);
        self.done(&line.iter().map(String::as_str).collect::<Vec<_>>());
        self.stage.bundle(out)
    }

    /// Loads a bundle into `registry` below `mirror`.
    pub(super) fn load(&self, bundle: &Path, registry: &str) {
        let line = self.stage.load(bundle, registry);
        self.done(&line.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// A lock is refused with `code` and these words, and nothing is written.
    #[track_caller]
    pub(super) fn refused(&self, reason: &str, code: i32, words: &[&str]) {
        let before = fs::read(self.path("release.lock")).ok();
        let outcome = self.run(&["lock"]);
        assert_eq!(outcome.code, Some(code), "{reason}: {outcome:#?}");
        for word in words {
            assert!(outcome.stderr.contains(word), "{reason}: no \"{word}\" in {outcome:#?}");
        }
        assert!(!outcome.stderr.contains("panicked"), "{reason}: {outcome:#?}");
        assert_eq!(fs::read(self.path("release.lock")).ok(), before, "{reason}: the lock was touched");
    }
}
