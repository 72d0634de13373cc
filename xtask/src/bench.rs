//! `cargo xtask bench`: how fast the release binary is, beside what this machine can do at all and beside stock tools.
//!
//! Everything is measured in one run on the same data, because machines are shared and noisy: what counts is the ratios. The
//! result goes into `docs/benchmarks.md`.

mod bare;
mod charts;
mod copy;
mod machine;
mod measure;
mod medium;
mod parity;
mod peers;
mod report;
mod row;
mod serve;
mod sink;
mod spine;
mod weights;

use std::path::Path;

use crate::{Outcome, cargo, say};

/// Bytes of layers in the large case, and how many layers they are in.
const LAYERS: usize = 8;
const LAYER_BYTES: u64 = 512 << 20;
/// Bytes of the model.
const MODEL_BYTES: u64 = 2 << 30;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Everything; the report is written down.
    All,
    /// Everything with less data, for a quick look.
    Quick,
    /// The release of many charts.
    Charts,
}

/// Measures and, where all was, writes the report.
///
/// What measures is optimised like what is measured: a slow measure of the machine would flatter the program, and a slow registry blame it.
pub(crate) fn run(part: Part) -> Outcome {
    if cfg!(debug_assertions) {
        let mut words =
            vec!["run", "--quiet", "--release", "--package", "xtask", "--bin", "xtask", "--", "bench"];
        words.extend(match part {
            Part::All => None,
            Part::Quick => Some("--quick"),
            Part::Charts => Some("charts"),
        });
        return cargo::run(cargo::cargo(&words));
    }
    // What the data are divided by.
    let scale = if part == Part::Quick { 16 } else { 1 };
    let program = cargo::build_release("bundle")?;
    let folder = tempfile::tempdir().map_err(|e| format!("no temporary folder: {e}"))?;
    let place = folder.path();
    if part == Part::Charts {
        let charts = charts::case(&program, &place.join("charts"))?;
        say::line(&charts.text());
        return if charts.holds() {
            Ok(())
        } else {
            Err("below what was set: lock of many charts".to_owned())
        };
    }
    let large = spine::large(&program, &place.join("large"), LAYER_BYTES / scale)?;
    let weights = weights::case(&program, &place.join("weights"), MODEL_BYTES / scale)?;
    let many = spine::many(&program, &place.join("many"), 100_000 / scale)?;
    let charts = charts::case(&program, &place.join("charts"))?;
    let text = report::text(&[&large, &weights, &many], &charts, LAYERS as u64 * LAYER_BYTES / scale);
    say::line(&text);
    if part == Part::All {
        let path = Path::new("docs/benchmarks.md");
        std::fs::write(path, &text).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    let mut missed: Vec<&str> = large
        .rows
        .iter()
        .chain(&weights.rows)
        .chain(&many.rows)
        .filter(|row| !row.holds())
        .map(|row| row.name.as_str())
        .collect();
    missed.extend((!charts.holds()).then_some("lock of many charts"));
    if missed.is_empty() { Ok(()) } else { Err(format!("below what was set: {}", missed.join(", "))) }
}
