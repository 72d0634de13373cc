//! Weights from a folder into a bundle and out of it: a model of 2 GiB in four shards, every byte written, none sparse.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use super::measure::Run;
use super::row::{Beside, Row};
use super::spine::{BUILD, BUNDLE, Case, Stage, discarding, files, folder_bytes, load};
use super::{bare, machine, medium};
use crate::say;

/// Shards of the model.
const SHARDS: u64 = 4;

/// Lock, build and load of a model of `bytes`.
pub(super) fn case(program: &Path, folder: &Path, bytes: u64) -> Result<Case, String> {
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
    let cores = machine::cores();
    let files = files(&folder.join("weights"))?;
    let once = |run: Run| {
        // Keys, texts and libraries are read too, far below a sixteenth.
        let again = run.read > bytes + bytes / 16;
        if again { Err("bytes of the model were read again".to_owned()) } else { Ok(run) }
    };
    // Two hashes of each byte: the file's and the layer's.
    let mut lock = Row::of("lock, weights from a folder", bytes, (0.75, |rates| rates.of(2.0, 0.0, 0.0)));
    lock.measure(&Beside {
        run: &|| {
            let _ = std::fs::remove_file(folder.join("release.lock"));
            once(stage.bundle(&["lock"])?)
        },
        medium: None,
        bare: &|| bare::check(&files, cores, (2, false)),
    })?;
    let mut build = Row::of("build, weights from a folder", bytes, (0.75, |rates| rates.of(3.0, 1.0, 0.0)));
    let way = medium::best(folder, bytes)?.0;
    build.measure(&Beside {
        run: &|| {
            let _ = std::fs::remove_dir_all(folder.join("out"));
            medium::settle();
            once(stage.bundle(BUILD)?)
        },
        medium: Some(&|| medium::write(folder, bytes, way)),
        bare: &|| bare::build(&files, folder, (cores, way)),
    })?;
    build.may_write = Some(folder_bytes(&folder.join(BUNDLE)) / 100 * 102);
    let server = discarding()?;
    let mut loaded = Row::once("load, weights", bytes, once(load(&stage, &server.host(), "bench")?)?);
    loaded.may_write = Some(1 << 20);
    Ok(Case { rows: vec![lock, build, loaded] })
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
