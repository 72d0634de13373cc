//! `kill -9` at seeded random moments of a copy: it never looks whole before it is, and always ends in the bundle's bytes.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use xtask::images::Seed;

use super::super::forge::Forgery;
use super::Desk;

#[test]
fn a_killed_copy_never_looks_whole_and_the_next_one_completes_it() {
    // Fifty in all: among many small files, and inside of large ones.
    for (forgery, kills) in [(Forgery::small(), 30), (Forgery::two_volumes(), 20)] {
        kill(&forgery, kills);
    }
}

fn kill(forgery: &Forgery, kills: u32) {
    let desk = Desk::new(forgery);
    let begun = Instant::now();
    desk.done("good stick --for acme");
    let whole = u64::try_from(begun.elapsed().as_micros()).unwrap();
    let stick = desk.path("stick");
    fs::remove_dir_all(&stick).unwrap();
    let mut seed = Seed::of("kills of copy");
    let mut killed = 0;
    while killed < kills {
        let mut child = desk
            .program
            .command(&Desk::words("good stick --for acme"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let moment = Duration::from_micros(seed.below(whole));
        let begun = Instant::now();
        let ended = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if begun.elapsed() >= moment {
                child.kill().unwrap();
                break child.wait().unwrap();
            }
            std::thread::sleep(Duration::from_micros(300));
        };
        if ended.success() {
            desk.is_the_bundle(&stick);
            assert_eq!(desk.verifies(&[&stick]).code, Some(0));
            fs::remove_dir_all(&stick).unwrap();
            continue;
        }
        assert_eq!(ended.code(), None, "{ended}");
        killed += 1;
        if stick.join("SHA256SUMS").exists() {
            // The last name is given when everything else has its own.
            desk.is_the_bundle(&stick);
        } else if stick.exists() {
            assert_ne!(desk.verifies(&[&stick]).code, Some(0));
        }
    }
    desk.done("good stick --for acme");
    desk.is_the_bundle(&stick);
}
