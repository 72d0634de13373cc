//! `kill -9` at seeded random moments of `repair`, and the same command again until it is done.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::{Bench, VOLUME_1, VOLUME_2, change, flip};
use crate::cases::forge::{Forgery, noise};

const KILLS: usize = 25;

#[test]
fn a_repair_that_is_killed_goes_on_and_ends_right() {
    let bench = Bench::new(&Forgery::two_volumes());
    let spoil = || {
        bench.copy("case", |bundle| {
            // The second chunk stays: it is how the copy is known to be one.
            change(bundle, VOLUME_1, |bytes| bytes[..16 << 20].fill(0));
            std::fs::remove_file(bundle.join(VOLUME_2)).unwrap();
            for name in ["SHA256SUMS", "bundle.json", "README.md"] {
                flip(bundle, name, 3);
            }
        })
    };
    until_whole(&bench, &["repair", "case", "--from", "good", "--trust", "trust.json"], &spoil);
}

/// Kills `arguments` at work on `case` again and again; begins anew with `spoil` when it ended before it was killed.
pub(super) fn until_whole(bench: &Bench, arguments: &[&str], spoil: &dyn Fn() -> PathBuf) {
    spoil();
    let begun = Instant::now();
    bench.program.done(arguments);
    let whole = begun.elapsed();
    bench.is_whole("case");
    let mut killed = 0;
    spoil();
    for moment in noise(5, KILLS * 4).chunks(4) {
        let share = f64::from(u32::from_le_bytes(moment.try_into().unwrap())) / f64::from(u32::MAX);
        let mut command = bench.program.command(arguments);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_secs_f64(whole.as_secs_f64() * share));
        child.kill().unwrap();
        if child.wait().unwrap().success() {
            bench.is_whole("case");
            spoil();
        } else {
            killed += 1;
        }
    }
    assert!(killed > 0, "no run was killed");
    bench.program.done(arguments);
    bench.is_whole("case");
}
