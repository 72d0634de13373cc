//! A copy mended by its own parity, with nothing sent.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use bundle::ops::repair::{self, Mode, Report};
use bundle::progress::Silent;

use super::{Bench, VOLUME_1, VOLUME_2, change, flip};
use crate::cases::forge::{Forgery, Yard, noise, state};
use crate::cases::program::Program;
use crate::cases::world::{World, files, policy};

const PARITY_1: &str = "parity/demo-1.2.0.0001.parity";
const DAMAGES: usize = 200;

/// Fourteen volumes of a chunk each, and six chunks of parity.
fn small() -> Bench {
    let bench = Bench::new(&Forgery { parity: Some(40), ..Forgery::plain(128 << 10, [1 << 20, 700 << 10]) });
    let count = |folder: &str| bench.good.keys().filter(|name| name.starts_with(folder)).count();
    assert_eq!((count("volumes/"), count("parity/")), (14, 6));
    bench
}

fn mend(bench: &Bench, bundle: &Path) -> Report {
    let request = repair::Request {
        folders: &[bundle.to_owned()],
        from: &[],
        damage: None,
        policy: &policy(std::slice::from_ref(&bench.yard.key), 1),
        now: Some(1_790_000_000),
        mode: Mode::Write,
    };
    repair::repair(&request, &Silent).unwrap()
}

/// Does `draw` to a file: some bits, a run of bytes, a lost tail, too much, or all of it is lost.
fn damage(bundle: &Path, name: &str, draw: &[u8]) {
    let number = |at: usize| u32::from_le_bytes(draw[at..at + 4].try_into().unwrap()) as usize;
    match draw[0] % 5 {
        0 => change(bundle, name, |bytes| {
            for bit in 0..=usize::from(draw[1] % 9) {
                let at = (number(2) + bit * 7919) % bytes.len();
                bytes[at] ^= 1 << (draw[6] % 8);
            }
        }),
        1 => change(bundle, name, |bytes| {
            let from = number(2) % bytes.len();
            let to = (from + 1 + number(6) % 20_000).min(bytes.len());
            bytes[from..to].iter_mut().for_each(|byte| *byte = !*byte);
        }),
        2 => change(bundle, name, |bytes| bytes.truncate(number(2) % bytes.len())),
        3 => change(bundle, name, |bytes| {
            bytes[number(2) % 1000] ^= 1;
            bytes.extend(noise(3, 5000));
        }),
        _ => fs::remove_file(bundle.join(name)).unwrap(),
    }
}

#[test]
fn two_hundred_random_damages_within_the_parity_are_mended_to_identical_bytes() {
    let bench = small();
    let names: Vec<&String> = bench
        .good
        .keys()
        .filter(|name| name.starts_with("volumes/") || name.starts_with("parity/"))
        .collect();
    let random = noise(2_026, DAMAGES * 128);
    for (round, draw) in random.chunks(128).enumerate() {
        let mut hit = BTreeSet::new();
        let bundle = bench.copy("case", |bundle| {
            // Up to as many chunks as there are of parity; parity itself can be hit too.
            for part in draw[1..].chunks_exact(12).take(1 + usize::from(draw[0] % 6)) {
                let name = names[usize::from(part[11]) % names.len()];
                if hit.insert(name) {
                    damage(bundle, name, part);
                }
            }
        });
        let report = mend(&bench, &bundle);
        assert!(report.ok && report.mended.len() >= hit.len(), "round {round}, {hit:?}: {report:#?}");
        assert!(files(&bundle) == bench.good, "round {round}, {hit:?}: not the same bytes");
    }
}

#[test]
fn one_damage_beyond_the_parity_is_refused_with_the_exact_shortfall() {
    let bench = small();
    let lose = |bundle: &Path, volumes: usize, parity: usize| {
        for number in 1..=volumes {
            flip(bundle, &format!("volumes/demo-1.2.0.{number:04}.tar.age"), 1000);
        }
        for number in 1..=parity {
            fs::remove_file(bundle.join(format!("parity/demo-1.2.0.{number:04}.parity"))).unwrap();
        }
    };
    // Lost volumes, lost parity, and by how many chunks it falls short.
    for (volumes, parity, short) in
        [(6, 0, 0), (7, 0, 1), (14, 0, 8), (3, 3, 0), (3, 4, 1), (1, 5, 0), (1, 6, 1), (0, 6, 0)]
    {
        let bundle = bench.copy("case", |bundle| lose(bundle, volumes, parity));
        let seen = bench.run("verify case --trust trust.json");
        let there = 6 - parity;
        let words = match (volumes, short) {
            (0, _) => format!("{parity} of 6 parity chunks are damaged; the content is whole"),
            (_, 0) => {
                format!("the damage, {volumes} chunks, is within it: {there} of 6 parity chunks are there")
            }
            _ => format!(
                "{volumes} chunks are damaged and {there} of 6 parity chunks are there: {short} chunks must come from another copy"
            ),
        };
        seen.says(1, &[&words]);
        let damaged = state(&bundle);
        if short == 0 {
            bench.repair("case").says(0, &[&words, "by parity", "everything is as signed"]);
            bench.is_whole("case");
            continue;
        }
        bench.repair("case").says(1, &[&words, &format!("parity falls {short} chunks short")]);
        assert_eq!(state(&bundle), damaged, "something was written");
        // Exactly so many from another copy, and parity does the rest.
        bench.copy("other", |other| {
            lose(other, volumes, parity);
            for number in 1..=short {
                flip(other, &format!("volumes/demo-1.2.0.{number:04}.tar.age"), 1000);
            }
        });
        bench.repair("case --from other").says(0, &["from other", "by parity"]);
        bench.is_whole("case");
    }
}

#[test]
fn a_lost_volume_of_several_chunks_is_mended_and_a_short_chunk_too() {
    let bench = Bench::new(&Forgery { parity: Some(67), ..Forgery::two_volumes() });
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 4] = [
        ("the first volume", |b| fs::remove_file(b.join(VOLUME_1)).unwrap()),
        ("the second volume", |b| fs::remove_file(b.join(VOLUME_2)).unwrap()),
        ("two tails", |b| {
            change(b, VOLUME_1, |bytes| bytes.truncate(17 << 20));
            change(b, VOLUME_2, |bytes| bytes.truncate(10));
        }),
        ("parity", |b| change(b, PARITY_1, |bytes| bytes[4000..5000].fill(0))),
    ];
    for (reason, harm) in harms {
        bench.copy("case", harm);
        let outcome = bench.repair("case");
        assert_eq!(outcome.code, Some(0), "{reason}: {outcome:#?}");
        bench.is_whole("case");
    }
}

#[test]
fn a_build_with_parity_is_whole_and_mends_itself() {
    let world = World::new("volume-size: 128KiB\n");
    world.lock();
    let report = world.try_build_with("out", Some(10)).unwrap();
    let parity = report.parity.unwrap();
    assert_eq!(parity.chunks, (report.volumes as u64).div_ceil(10), "{parity:?}");
    assert!(parity.whole_volume && parity.bytes <= report.volume_bytes / 5, "{parity:?}");
    let seen = world.verify(&report.folder, true);
    assert!(seen.ok && seen.findings.is_empty(), "{seen:#?}");
    let good = files(&report.folder);
    let program = Program::at(&world.path("."));
    program.done(&["trust", "init", "--key", "vendor.pub", "--threshold", "1", "--out", "trust.json"]);
    let folder = report.folder.to_str().unwrap();
    let lost: Vec<PathBuf> = [
        format!("volumes/demo-1.2.0.{:04}.tar.age", report.volumes),
        "parity/demo-1.2.0.0001.parity".to_owned(),
    ]
    .iter()
    .map(|name| report.folder.join(name))
    .collect();
    for lost in [&lost[..1], &lost[1..]] {
        for path in lost {
            fs::remove_file(path).unwrap();
        }
        program.done(&["repair", folder, "--trust", "trust.json"]);
        assert!(files(&report.folder) == good, "{lost:?}");
    }
    // A build without parity is the same build otherwise, and not taken for this one.
    assert!(world.try_build("out").is_err());
}

#[test]
fn a_repair_by_parity_that_is_killed_goes_on_and_leaves_nothing_behind() {
    let bench = small();
    let spoil = || {
        bench.copy("case", |bundle| {
            for number in 1..=6 {
                fs::remove_file(bundle.join(format!("volumes/demo-1.2.0.{number:04}.tar.age"))).unwrap();
            }
        })
    };
    super::kills::until_whole(&bench, &["repair", "case", "--trust", "trust.json"], &spoil);
}

#[test]
fn an_index_whose_parity_cannot_be_is_refused() {
    type Edit = fn(String) -> String;
    let cases: [(&str, Edit, &str); 8] = [
        ("none", |text| text, ""),
        (
            "no share",
            |t| t.replace("\"share\": 40", "\"share\": 0"),
            "a share of parity that there cannot be",
        ),
        (
            "too much",
            |t| t.replace("\"share\": 40", "\"share\": 101"),
            "a share of parity that there cannot be",
        ),
        (
            "a share past all numbers",
            |t| t.replace("\"share\": 40", "\"share\": 18446744073709551615"),
            "a share of parity that there cannot be",
        ),
        ("another share", |t| t.replace("\"share\": 40", "\"share\": 90"), "more or fewer parity volumes"),
        ("another length", |t| t.replace("131328,\n    \"scheme\"", "131392,\n    \"scheme\""), "cannot be"),
        ("another scheme", |t| t.replace("\"rs16\"", "\"rs8\""), "it is not an index"),
        ("another name", |t| t.replace("0001.parity", "0007.parity"), "has the name of another"),
    ];
    let yard = Yard::new();
    for (reason, edit, words) in cases {
        let forgery = Forgery { parity: Some(40), edit, ..Forgery::plain(128 << 10, [1 << 20, 700 << 10]) };
        let seen = yard.verify_keyless(&forgery.write(&yard, reason, &[&yard.key]));
        assert_eq!(seen.ok, words.is_empty(), "{reason}: {seen:?}");
        assert!(seen.text.contains(words), "{reason}: {seen:?}");
    }
}
