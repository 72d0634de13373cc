//! The report: a page of Markdown that says on what it was measured, what exactly each figure is, and how to measure it again.

use super::charts::Charts;
use super::row::{ROUNDS, Row};
use super::spine::Case;
use super::{LAYERS, machine};

/// The text of `docs/benchmarks.md`.
pub(super) fn text([large, weights, many]: &[&Case; 3], charts: &Charts, bytes: u64) -> String {
    let mut text = format!(
        "# Benchmarks\n\nWritten by `cargo xtask bench`: one run, one process, everything on the same data and machine. Machines are shared, and do \
         not do the same at all times: read the ratios.\n\n{}, {} cores.\n\n## {} MiB in {LAYERS} layers\n\n{HEAD}",
        machine::model(),
        machine::cores(),
        bytes >> 20
    );
    large.rows.iter().for_each(|row| text += &line(row));
    text += &format!(
        "\n## Model weights\n\nThe limit of lock is S / 2: each byte is hashed as the file's and as the layer's. Otherwise as above.\n\n{HEAD}"
    );
    weights.rows.iter().for_each(|row| text += &line(row));
    text += &format!("\n{LEGEND}\n### What the machine did meanwhile\n\n{MACHINE}");
    let rows = large.rows.iter().chain(&weights.rows);
    rows.filter(|row| row.wanted.is_some()).for_each(|row| text += &beside(row));
    text += &format!(
        "\nRates are GB/s: SHA-256 S / seal A / open B (ChaCha20-Poly1305 in 64 KiB units), each on a buffer in the core's cache, by the libraries that the program uses (sha2, aws-lc-rs): another may seal faster. *All cores*: every \
         core at once, summed; *one core*: one alone. Measured before, between and after the runs of the row, and the best of all counts. *Medium*: \
         for `build`, as many bytes as the bundle has written to the bundle's own file system and synced, with all older dirty data written \
         out first, through the page cache or past it, whichever was faster; for `verify`, the volumes read by all cores and not looked at, after \
         the page cache dropped them (from the medium) or with them in it.\n\n## Many small blobs\n\n{SMALL}"
    );
    many.rows.iter().for_each(|row| text += &small(row));
    text += "\nEach run once, in this order. The registry is the embedded one, on loopback, on the same cores; it discards what it is given.\n\n";
    text += &charts.text();
    text
}

const HEAD: &str = "| what | seconds | GB/s | limit GB/s | of the limit | wanted | of one core × cores | bare loop, seconds | peak memory MiB | MiB written |\n|---|---|---|---|---|---|---|---|---|---|\n";
const MACHINE: &str =
    "| around | all cores S / A / B | one core S / A / B | medium GB/s |\n|---|---|---|---|\n";
const SMALL: &str = "| what | seconds | peak memory MiB | MiB written |\n|---|---|---|---|\n";

const LEGEND: &str = "\
A command with a limit is run three times, with `sync` before each; the fastest run counts, and the highest peak of memory and of bytes written: those the command wrote itself, and not what \
the kernel notes of the files it read. Programs of others, and `load` into docker-registry, run once. *GB/s* is bytes of layers by seconds, the start of the program and its last sync included.\n\n\
*Limit* is what the machine allows, by the rates in the next table, all cores at once: build, the lesser of 1 / (3/S + 1/A) and writing; verify, the lesser of S and \
reading; verify --identity, 1 / (1/B + 2/S); load and serve, 1 / (1/B + 1/S); repair by parity, 1 / (1/S + 1/(cores × 0.5 GB/s)), where one chunk of the bundle is damaged; serve to 8 nodes or 8 pulls, what docker-registry gave of the same blobs, both from the medium (it stands as *medium* below), which only copies: opening and hashing alone, 1 / (1/B + 1/S), may allow less. S is of one stream after another, as everybody hashes; verify, load and serve hash several side by side where the processor can, so that theirs may be more. It knows nothing of reading, copying and sending, which take the same cores. \
*Of one core × cores* is the same ratio if all cores could do at once what one does alone.\n\n\
*Bare loop* is a program that does only the work itself on all cores, on the same files, in turn with the command (fastest of three): no order, queues, index, \
checks or resume. For build: read, hash three times, seal, write, sync. For load: read, open, hash, send over loopback TCP to a reader that has the kernel drop it. \
The registry of the load row is this process, on the same cores; it has the kernel drop bodies, too; so does the client of serve. A node pulls three layers at a time, as containerd does; podman and skopeo pull six.\n";

fn line(row: &Row) -> String {
    let number = |value: Option<f64>, digits: usize| {
        value.map_or_else(|| "–".into(), |value| format!("{value:.digits$}"))
    };
    let wanted = row.wanted.map_or_else(|| "–".into(), |(wanted, _)| format!("≥ {wanted}"));
    let of = |limit: Option<f64>| number(limit.map(|limit| row.rate() / limit), 2);
    format!(
        "| {} | {:.2} | {:.2} | {} | {} | {wanted} | {} | {} | {} | {} |\n",
        row.name,
        row.run.seconds,
        row.rate() / 1e9,
        number(row.limit().map(|limit| limit / 1e9), 2),
        of(row.limit()),
        of(row.limit_by_one()),
        number(row.bare, 2),
        number(row.ours.then(|| mebi(row.run.memory)), 0),
        number(row.ours.then(|| mebi(row.run.written)), 1),
    )
}

fn beside(row: &Row) -> String {
    let medium = row.medium.map_or_else(|| "–".into(), |rate| format!("{:.2}", rate / 1e9));
    format!("| {} | {} | {} | {medium} |\n", row.name, row.all, row.one)
}

fn small(row: &Row) -> String {
    let (seconds, memory, written) = (row.run.seconds, mebi(row.run.memory), mebi(row.run.written));
    format!("| {} | {seconds:.1} | {memory:.0} | {written:.1} |\n", row.name)
}

fn mebi(bytes: u64) -> f64 {
    bytes as f64 / 1048576.0
}

const _: () = assert!(ROUNDS == 3, "the legend says three");
