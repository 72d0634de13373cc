//! `bundle copy` onto this machine's disk, beside `dd` with the same flush and the same reading back.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use super::medium;
use super::row::{Beside, Row};
use super::spine::{BUNDLE, Stage, files};

/// What is copied, written and flushed, read back past the page cache: by us, and by `dd`, which compares nothing.
pub(super) fn row(stage: &Stage<'_>, bytes: u64) -> Result<Row, String> {
    let volumes = files(&stage.folder.join(BUNDLE).join("volumes"))?;
    let stick = stage.folder.join("stick");
    let clear = || {
        let _ = std::fs::remove_dir_all(&stick);
        medium::settle();
    };
    let mut row = Row::of("copy, read back, beside dd", bytes, (0.9, |_| f64::INFINITY));
    row.may_write = Some(bytes / 100 * 102);
    row.measure(&Beside {
        run: &|| {
            clear();
            stage.bundle(&["copy", BUNDLE, "stick", "--trust", "trust.json", "--progress", "none"])
        },
        // What limits is what dd does.
        medium: Some(&|| {
            clear();
            Ok(bytes as f64 / dd(&volumes, &stick, true)?)
        }),
        bare: &|| {
            clear();
            dd(&volumes, &stick, false)
        },
    })?;
    clear();
    Ok(row)
}

/// Seconds that `dd` takes to copy `volumes` into `folder`, each with a flush; and to read them back from the medium, where that is wanted.
fn dd(volumes: &[PathBuf], folder: &Path, back: bool) -> Result<f64, String> {
    std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let begun = Instant::now();
    for volume in volumes {
        let copy = folder.join(volume.file_name().unwrap_or_default());
        let (from, to) = (volume.display(), copy.display());
        run(&[&format!("if={from}"), &format!("of={to}"), "bs=1M", "conv=fsync"])?;
        if back {
            run(&[&format!("if={to}"), "of=/dev/null", "bs=1M", "iflag=direct"])?;
        }
    }
    Ok(begun.elapsed().as_secs_f64())
}

fn run(words: &[&str]) -> Result<(), String> {
    let status =
        Command::new("dd").args(words).stderr(Stdio::null()).status().map_err(|e| format!("dd: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("dd {}: {status}", words.join(" "))) }
}
