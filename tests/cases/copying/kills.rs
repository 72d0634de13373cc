//! `kill -9` at seeded random moments of a copy: it never looks whole before it is, and always ends in the bundle's bytes.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use xtask::images::Seed;

use super::super::forge::Forgery;
use super::Desk;

const KILLS: u32 = 50;

#[test]
fn a_killed_copy_never_looks_whole_and_the_next_one_completes_it() {
    let desk = Desk::new(&Forgery::two_volumes());
    let begun = Instant::now();
    desk.done("good stick --for acme");
    let whole = u64::try_from(begun.elapsed().as_micros()).unwrap();
    let stick = desk.path("stick");
    fs::remove_dir_all(&stick).unwrap();
    let mut seed = Seed::of("kills of copy");
    let (mut killed, mut completed) = (0, 0);
    while killed < KILLS {
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
            completed += 1;
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
    println!("{killed} kills, {completed} copies completed between them");
}
