//! Weights from a folder into a bundle and out of it: a model of 2 GiB in four shards, every byte written, none sparse.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use super::machine::Machine;
use super::measure::Run;
use super::spine::{BUILD, BUNDLE, Case, Row, Stage, discarding, folder_bytes, load};
use crate::say;

/// Shards of the model.
const SHARDS: u64 = 4;

/// Lock, build and load of a model of `bytes`.
pub(super) fn case(program: &Path, folder: &Path, machine: &Machine, bytes: u64) -> Result<Case, String> {
    let shard = bytes / SHARDS;
    std::fs::create_dir_all(folder.join("weights")).map_err(|e| e.to_string())?;
    let stage = Stage { program, folder };
    say::line(&format!("writing a model of {SHARDS} shards of {} MiB", shard >> 20));
    for number in 1..=SHARDS {
        let name = format!("weights/model-{number:05}-of-{SHARDS:05}.safetensors");
        write_shard(&folder.join(name), number, shard).map_err(|e| e.to_string())?;
    }
    stage.keys()?;
    let release = "apiVersion: bundle/v1\nkind: Release\nname: bench\nversion: 1.0.0\nvendor: Bench\nmodels:\n  - name: weights\n    from: dir:weights\n";
    std::fs::write(folder.join("release.yaml"), release).map_err(|e| e.to_string())?;
    let mut rows = Vec::new();
    let mut add = |name: &str, run: Run, limit: Option<(f64, f64)>, may_write: Option<u64>| {
        say::line(&format!("  {name}: {:.1} s, {} MiB read", run.seconds, run.read >> 20));
        // Keys, texts and libraries are read too, far below a sixteenth.
        let twice = run.read > bytes + bytes / 16;
        rows.push(Row { name: name.into(), run, bytes, limit, may_write, ours: true });
        if twice { Err(format!("{name}: bytes of the model were read again")) } else { Ok(()) }
    };
    let (cores, s, a) = (machine.cores as f64, machine.hash, machine.seal);
    // Two hashes of each byte: the file's and the layer's.
    add("lock, weights from a folder", stage.bundle(&["lock"])?, Some((cores * s / 2.0, 0.75)), None)?;
    let built = stage.bundle(BUILD)?;
    let limit = (cores / (3.0 / s + 1.0 / a)).min(machine.write);
    let may_write = folder_bytes(&folder.join(BUNDLE)) / 100 * 102;
    add("build, weights from a folder", built, Some((limit, 0.75)), Some(may_write))?;
    let server = discarding()?;
    add("load, weights", load(&stage, &server.host(), "bench")?, None, Some(1 << 20))?;
    Ok(Case { rows })
}

/// One tensor of `bytes` bytes that look like chance.
fn write_shard(path: &Path, seed: u64, bytes: u64) -> std::io::Result<()> {
    let header = format!(r#"{{"w{seed}":{{"dtype":"U8","shape":[{bytes}],"data_offsets":[0,{bytes}]}}}}"#);
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(header.as_bytes())?;
    let mut state = seed;
    for _ in 0..bytes / 8 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        file.write_all(&(state ^ state >> 29).to_le_bytes())?;
    }
    file.flush()
}
