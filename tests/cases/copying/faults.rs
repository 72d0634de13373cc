//! Devices that fail: what they got wrong is named, and it does not look whole.

use std::fs;

use super::super::forge::Forgery;
use super::device::{Device, Fault};
use super::{Desk, VOLUME_1, VOLUME_2};

const PLENTY: Option<u64> = Some(1 << 40);

fn mounted(desk: &Desk, name: &str, (fault, free): (Fault, Option<u64>)) -> Device {
    fs::create_dir(desk.path(name)).unwrap();
    Device::mount(&desk.path(name), fault, free)
}

#[test]
fn a_device_that_gives_back_something_else_is_named_with_chunk_and_bytes() {
    let desk = Desk::new(&Forgery::two_volumes());
    let device = mounted(&desk, "stick", (Fault::None, PLENTY));
    let volume = fs::metadata(desk.path("good").join(VOLUME_1)).unwrap().len();
    let chunk_1 = format!("{VOLUME_1}, chunk 1, bytes 16777216 to {volume}");
    let chunk_0 = format!("{VOLUME_1}, chunk 0, bytes 0 to 16777216");
    // The last number: bytes that are written when the device works again.
    let cases = [
        (Fault::Flips(17_000_000), &chunk_1, "other bytes came back", 0),
        (Fault::Flips(3), &chunk_0, "other bytes came back", 0),
        (Fault::Unreadable(16_777_216), &chunk_1, "Input/output error", 0),
        (Fault::Forgets(5_000_000), &chunk_0, "other bytes came back", 16 << 20),
    ];
    for (fault, bytes, why, again) in cases {
        device.set(fault);
        let outcome = desk.program.run(&["copy", "good", "stick", "--for", "acme", "--trust", "trust.json"]);
        let says = format!("stick does not give back what was written to it: {bytes}: {why}");
        outcome.says(3, &[&says, "the copy is not whole", "copy to another one"]);
        let stick = desk.path("stick");
        assert!(!stick.join(VOLUME_1).exists() && stick.join(VOLUME_2).exists(), "{fault:?}");
        assert!(!stick.join("SHA256SUMS").exists() && !stick.join("bundle.json").exists(), "{fault:?}");
        device.set(Fault::None);
        let report = desk.done("good stick --for acme");
        let seals: u64 = desk
            .travels()
            .iter()
            .filter(|(name, _)| name.starts_with("SHA256SUMS") || *name == "bundle.json")
            .map(|(_, bytes)| bytes.len() as u64)
            .sum();
        assert_eq!(report["places"][0]["written"], again + seals, "{fault:?}: {report}");
        desk.is_the_bundle(&stick);
        for entry in fs::read_dir(&stick).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
        }
    }
}

#[test]
fn what_was_right_before_and_is_not_any_more_is_found_and_written_again() {
    let desk = Desk::new(&Forgery::two_volumes());
    let device = mounted(&desk, "stick", (Fault::None, PLENTY));
    desk.done("good stick --for acme");
    // Rot that stays is the device's; the file loses its name.
    device.set(Fault::Flips(9));
    let outcome = desk.program.run(&["copy", "good", "stick", "--for", "acme", "--trust", "trust.json"]);
    outcome.says(3, &["chunk 0, bytes 0 to 16777216: other bytes came back"]);
    assert!(!desk.path("stick").join(VOLUME_1).exists());
    device.set(Fault::None);
    desk.done("good stick --for acme");
    desk.is_the_bundle(&desk.path("stick"));
}

#[test]
fn a_source_that_cannot_be_read_is_named_and_everything_else_is_copied() {
    let desk = Desk::new(&Forgery::two_volumes());
    let device = mounted(&desk, "stick", (Fault::None, PLENTY));
    desk.done("good stick --for acme");
    device.set(Fault::Unreadable(17_000_000));
    let outcome = desk.program.run(&["copy", "stick", "disk", "--for", "acme", "--trust", "trust.json"]);
    outcome
        .says(1, &[&format!("{VOLUME_1} is damaged in chunk 1, bytes 16777216 to"), "the copy is not whole"]);
    assert!(desk.path("disk").join(VOLUME_2).exists() && !desk.path("disk/SHA256SUMS").exists());
    // From a source that is whole it goes on, whichever that is.
    let report = desk.done("good disk --for acme");
    assert!(report["places"][0]["written"].as_u64().unwrap() < 2 << 20, "{report}");
    desk.is_the_bundle(&desk.path("disk"));
}

#[test]
fn a_device_that_cannot_make_it_durable_fails_the_copy() {
    let desk = Desk::new(&Forgery::small());
    let device = mounted(&desk, "stick", (Fault::NoSync, PLENTY));
    desk.copy("good stick --for acme").says(3, &["Input/output error", "dmesg"]);
    assert!(!desk.path("stick/README.md").exists());
    device.set(Fault::None);
    desk.done("good stick --for acme");
    desk.is_the_bundle(&desk.path("stick"));
}

#[test]
fn a_full_device_is_told_before_the_first_byte_or_when_it_turns_out_so() {
    let desk = Desk::new(&Forgery::two_volumes());
    let _told = mounted(&desk, "told", (Fault::None, Some(10 << 20)));
    desk.copy("good told --for acme").says(3, &["told is full; volumes without a place: 1"]);
    assert_eq!(fs::read_dir(desk.path("told")).unwrap().count(), 0);
    let _small = mounted(&desk, "small", (Fault::None, Some(60 << 10)));
    desk.copy("good small --for acme").says(3, &["small has 0 B free; what every medium must hold takes"]);

    // It says nothing, or more than is true.
    for (name, free) in [("silent", None), ("boasting", PLENTY)] {
        let _device = mounted(&desk, name, (Fault::Holds(18 << 20), free));
        let outcome = desk.copy(&format!("good {name} --for acme"));
        outcome.says(3, &[&format!("{name} is full; volumes without a place: 1")]);
        assert!(desk.path(name).join(VOLUME_1).exists() && !desk.path(name).join(VOLUME_2).exists());
        let left = fs::read_dir(desk.path(name).join("volumes")).unwrap().count();
        assert_eq!(left, 1, "nothing half-written takes room");
        let second = format!("{name}-2");
        desk.done(&format!("good {name} --to {second} --for acme"));
        let outcome = desk.verifies(&[&desk.path(&second), &desk.path(name)]);
        assert_eq!(outcome.code, Some(0), "{outcome:#?}");
        let _none = mounted(&desk, &format!("{name}-3"), (Fault::Holds(1 << 20), free));
        desk.copy(&format!("good {name}-3 --for acme"))
            .says(3, &[&format!("{name}-3 is full"), "it goes on"]);
    }
}
