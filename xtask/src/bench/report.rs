//! The report: a page of Markdown that says on what it was measured and how to measure it again.

use super::machine::Machine;
use super::spine::{Case, Row};

/// The text of `docs/benchmarks.md`.
pub(super) fn text(machine: &Machine, [large, weights, many]: &[&Case; 3], bytes: u64) -> String {
    let mut text = format!(
        "# Benchmarks\n\nWritten by `cargo xtask bench`. One run, everything on the same data and machine; other work may have run \
         beside it, so read the ratios.\n\n{machine}.\n\n\
         The limits are what the machine allows: build, the lesser of cores / (3/S + 1/A) and the disk's write rate; verify, cores × S; verify \
         --identity, cores / (1/B + 2/S); load, cores / (1/B + 1/S).\n\n## {} MiB in large layers\n\n{HEAD}",
        bytes >> 20
    );
    large.rows.iter().for_each(|row| text += &line(row));
    text += &format!(
        "\n## Model weights\n\nThe limit of lock is cores × S / 2: each byte is hashed as the file's and as the layer's.\n\n{HEAD}"
    );
    weights.rows.iter().for_each(|row| text += &line(row));
    text += &format!("\n## Many small blobs\n\n{HEAD}");
    many.rows.iter().for_each(|row| text += &line(row));
    text
}

const HEAD: &str = "| what | seconds | GB/s | of the limit | wanted | peak memory MiB | MiB written |\n|---|---|---|---|---|---|---|\n";

fn line(row: &Row) -> String {
    let rate = if row.bytes > 0 { format!("{:.2}", row.rate() / 1e9) } else { "–".into() };
    let ratio = row.ratio().map_or_else(|| "–".into(), |ratio| format!("{ratio:.2}"));
    let wanted = row.limit.map_or_else(|| "–".into(), |(_, wanted)| format!("≥ {wanted}"));
    let memory = if row.ours { format!("{:.0}", row.run.memory as f64 / 1048576.0) } else { "–".into() };
    let written = if row.ours { format!("{:.1}", row.run.written as f64 / 1048576.0) } else { "–".into() };
    format!(
        "| {} | {:.1} | {rate} | {ratio} | {wanted} | {memory} | {written} |\n",
        row.name, row.run.seconds
    )
}
