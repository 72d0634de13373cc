//! A copy into a folder that goes on with what is there, and a source that is damaged.

use std::fs;
use std::path::Path;

use super::super::forge::Forgery;
use super::{Desk, VOLUME_1, VOLUME_2, flip};

/// Under which name a file is written.
fn part(folder: &Path, name: &str) -> std::path::PathBuf {
    let (before, last) = name.rsplit_once('/').map_or(("", name), |(before, last)| (before, last));
    folder.join(before).join(format!(".{last}.part"))
}

#[test]
fn what_is_there_is_checked_and_only_the_rest_is_written() {
    const CHUNK: usize = 16 << 20;
    let desk = Desk::new(&Forgery::two_volumes());
    desk.done("good whole --for acme");
    let travels = desk.travels();
    let all: usize = travels.values().map(Vec::len).sum();
    let volume = &travels[VOLUME_1];
    assert!(volume.len() > CHUNK);
    let rest = all - volume.len();
    type Left = fn(&Path, &[u8]);
    let cases: [(&str, Left, usize); 8] = [
        (
            "a byte and a half chunk",
            |at, bytes| fs::write(part(at, VOLUME_1), &bytes[..5_000_001]).unwrap(),
            { all - 5_000_001 + 5_000_001 % 4096 },
        ),
        (
            "a chunk and a bit",
            |at, bytes| fs::write(part(at, VOLUME_1), &bytes[..CHUNK + 70_000]).unwrap(),
            { all - CHUNK - 70_000 + 70_000 % 4096 },
        ),
        ("all of it, unnamed", |at, bytes| fs::write(part(at, VOLUME_1), bytes).unwrap(), rest),
        (
            "all of it, and more",
            |at, bytes| fs::write(part(at, VOLUME_1), [bytes, b"more"].concat()).unwrap(),
            rest,
        ),
        (
            "a wrong chunk",
            |at, bytes| {
                fs::write(part(at, VOLUME_1), &bytes[..CHUNK + 4096]).unwrap();
                flip(&part(at, VOLUME_1), 77);
            },
            all - CHUNK - 4096 + CHUNK,
        ),
        ("all of it, named", |at, bytes| fs::write(at.join(VOLUME_1), bytes).unwrap(), rest),
        (
            "named, and its last chunk wrong",
            |at, bytes| {
                fs::write(at.join(VOLUME_1), bytes).unwrap();
                flip(&at.join(VOLUME_1), bytes.len() - 1);
            },
            rest + volume.len() - CHUNK,
        ),
        (
            "named, and half of it",
            |at, bytes| fs::write(at.join(VOLUME_1), &bytes[..CHUNK]).unwrap(),
            all - CHUNK,
        ),
    ];
    for (reason, left, written) in cases {
        let stick = desk.path("stick");
        fs::create_dir_all(stick.join("volumes")).unwrap();
        left(&stick, volume);
        let report = desk.done("good stick --for acme");
        assert_eq!(report["places"][0]["written"], written, "{reason}: {report}");
        desk.is_the_bundle(&stick);
        fs::remove_dir_all(&stick).unwrap();
    }
}

#[test]
fn a_damaged_source_is_named_and_its_copy_looks_whole_only_when_it_was_mended() {
    let desk = Desk::new(&Forgery::two_volumes());
    let good = desk.path("good");
    let cases = [
        (VOLUME_1, 5, format!("{VOLUME_1} is damaged in chunk 0, bytes 0 to 16777216")),
        (VOLUME_1, 17_000_000, format!("{VOLUME_1} is damaged in chunk 1, bytes 16777216 to")),
        ("README.md", 2, "README.md is not the file that was signed".to_owned()),
    ];
    for (name, at, says) in cases {
        flip(&good.join(name), at);
        let outcome = desk.program.run(&["copy", "good", "stick", "--for", "acme", "--trust", "trust.json"]);
        outcome.says(
            1,
            &[&says, "the copy is not whole", "copy the files named above again from where they came"],
        );
        let stick = desk.path("stick");
        assert!(!stick.join(name).exists() && stick.join(VOLUME_2).exists(), "{name}");
        for seal in ["SHA256SUMS", "bundle.json"] {
            assert!(!stick.join(seal).exists(), "{name}: {seal}");
        }
        assert_ne!(desk.verifies(&[&stick]).code, Some(0));
        flip(&good.join(name), at);
        let report = desk.done("good stick --for acme");
        assert!(report["places"][0]["written"].as_u64().unwrap() < 17 << 20, "{report}");
        desk.is_the_bundle(&stick);
        fs::remove_dir_all(&stick).unwrap();
    }
}

#[test]
fn what_is_missing_or_too_short_in_the_source_is_named_before_anything_is_written() {
    let desk = Desk::new(&Forgery::small());
    let good = desk.path("good");
    let kept = fs::read(good.join(VOLUME_2)).unwrap();
    fs::write(good.join(VOLUME_2), &kept[..1000]).unwrap();
    fs::remove_file(good.join("README.md")).unwrap();
    let says = [format!("{VOLUME_2} has 1000 bytes of {}", kept.len()), "README.md is missing".to_owned()];
    let outcome = desk.program.run(&["copy", "good", "stick", "--trust", "trust.json"]);
    outcome.says(1, &[&says[0], &says[1], "nothing was copied"]);
    assert!(!desk.path("stick").exists());
}

#[test]
fn what_is_no_part_of_the_bundle_stays_behind_and_that_is_said() {
    let desk = Desk::new(&Forgery::small());
    fs::write(desk.path("good/notes.txt"), "mine").unwrap();
    fs::write(desk.path("good/.DS_Store"), "litter").unwrap();
    let outcome = desk.copy("good stick --for acme");
    outcome.says(0, &["notes.txt"]);
    assert!(!outcome.stdout.contains("DS_Store") && !desk.path("stick/notes.txt").exists());
}

/// A list that a stick lost or garbled is no other bundle's, as long as the index is this one's.
#[test]
fn a_list_that_is_damaged_is_mended_like_any_other_file() {
    let desk = Desk::new(&Forgery::small());
    desk.done("good stick --for acme");
    let whole = crate::cases::world::files(&desk.path("stick"));
    let list = desk.path("stick/SHA256SUMS");
    let good = fs::read(&list).unwrap();
    let mut flipped = good.clone();
    flipped[20] ^= 1;
    for bad in [flipped, good[..300].to_vec(), vec![]] {
        fs::write(&list, bad).unwrap();
        desk.done("good stick --for acme");
        assert!(crate::cases::world::files(&desk.path("stick")) == whole);
    }
}
