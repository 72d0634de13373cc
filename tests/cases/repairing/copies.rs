//! A copy mended from another copy.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use super::{Bench, VOLUME_1, VOLUME_2, change, flip};
use crate::cases::forge::{Forgery, state};
use crate::cases::program::Outcome;

const MIB: usize = 1 << 20;

type Harm = fn(&Path, &str);

/// What happens to copies; the second argument is the id of the key that signed.
const HARMS: [(&str, Harm); 17] = [
    ("nothing", |_, _| {}),
    ("a bit of a volume", |b, _| flip(b, VOLUME_1, 8 * MIB)),
    ("a volume's header", |b, _| flip(b, VOLUME_2, 60)),
    ("a run of zeros over the edge of a chunk", |b, _| {
        change(b, VOLUME_1, |bytes| bytes[16 * MIB - 5000..16 * MIB + 5000].fill(0));
    }),
    ("a volume's last byte", |b, _| change(b, VOLUME_2, |bytes| *bytes.last_mut().unwrap() ^= 128)),
    ("a volume without its end", |b, _| change(b, VOLUME_1, |bytes| bytes.truncate(9 * MIB))),
    ("an empty volume", |b, _| change(b, VOLUME_2, Vec::clear)),
    ("a volume with more than its end", |b, _| change(b, VOLUME_2, |bytes| bytes.extend([7; 9000]))),
    ("a lost volume", |b, _| fs::remove_file(b.join(VOLUME_1)).unwrap()),
    ("swapped volumes", |b, _| {
        for (from, to) in [(VOLUME_1, "x"), (VOLUME_2, VOLUME_1), ("x", VOLUME_2)] {
            fs::rename(b.join(from), b.join(to)).unwrap();
        }
    }),
    ("README.md", |b, _| flip(b, "README.md", 3)),
    ("a lost index", |b, _| fs::remove_file(b.join("bundle.json")).unwrap()),
    ("a bit of the index", |b, _| flip(b, "bundle.json", 300)),
    ("a bit of the list", |b, _| flip(b, "SHA256SUMS", 70)),
    ("a lost list", |b, _| fs::remove_file(b.join("SHA256SUMS")).unwrap()),
    ("lost signatures", |b, id| {
        for end in ["sig", "sshsig"] {
            fs::remove_file(b.join(format!("SHA256SUMS.{id}.{end}"))).unwrap();
        }
    }),
    ("everything but the volumes", |b, _| {
        for name in ["README.md", "bundle.json", "SHA256SUMS"] {
            fs::write(b.join(name), b"").unwrap();
        }
    }),
];

#[test]
fn every_damage_is_mended_from_a_good_copy_that_is_only_read() {
    let bench = Bench::new(&Forgery::two_volumes());
    let id = bench.yard.key.public().id().to_string();
    let before = state(&bench.yard.path("good"));
    for (reason, harm) in HARMS {
        let bundle = bench.copy("case", |bundle| harm(bundle, &id));
        let damaged = state(&bundle);
        bench.repair("case --from good --dry-run").says(0, &["OK"]);
        assert_eq!(state(&bundle), damaged, "{reason}: a dry run wrote");
        let outcome = bench.repair("case --from good");
        assert_eq!(outcome.code, Some(0), "{reason}: {outcome:#?}");
        bench.is_whole("case");
        bench.repair("case").says(0, &["nothing was damaged"]);
    }
    assert_eq!(state(&bench.yard.path("good")), before, "the good copy was touched");
}

#[test]
fn copies_that_are_damaged_in_different_places_mend_each_other() {
    let bench = Bench::new(&Forgery::two_volumes());
    let id = bench.yard.key.public().id().to_string();
    let one = |bundle: &Path| {
        flip(bundle, VOLUME_1, 3 * MIB);
        fs::remove_file(bundle.join(VOLUME_2)).unwrap();
        flip(bundle, "SHA256SUMS", 70);
        flip(bundle, "README.md", 3);
    };
    let other = |bundle: &Path| {
        flip(bundle, VOLUME_1, 17 * MIB);
        fs::remove_file(bundle.join(format!("SHA256SUMS.{id}.sig"))).unwrap();
        fs::write(bundle.join("bundle.json"), b"{}").unwrap();
    };
    // Neither of them is proved by itself: the list of one is signed by the file of the other.
    for order in [["one", "other"], ["other", "one"]] {
        bench.copy("one", one);
        let untouched = state(&bench.copy("other", other));
        for name in order {
            bench.run(&format!("verify {name} --trust trust.json")).says(1, &[]);
        }
        let [first, second] = order;
        bench.repair(&format!("{first} --from {second}")).says(0, &["everything is as signed"]);
        bench.is_whole(first);
        if second == "other" {
            assert_eq!(state(&bench.yard.path("other")), untouched);
        }
        bench.repair(&format!("{second} --from {first}")).says(0, &["everything is as signed"]);
        bench.is_whole(second);
    }
}

#[test]
fn what_no_copy_has_right_is_named_and_the_rest_is_mended() {
    let bench = Bench::new(&Forgery::two_volumes());
    let bundle = bench.copy("case", |bundle| {
        flip(bundle, VOLUME_1, 3 * MIB);
        flip(bundle, VOLUME_1, 17 * MIB);
        flip(bundle, "README.md", 3);
    });
    bench.copy("other", |bundle| {
        flip(bundle, VOLUME_1, 5 * MIB);
        flip(bundle, "README.md", 5);
    });
    let left = [
        "0001.tar.age stays damaged in chunk 0: no copy has it right",
        "README.md stays as it is: no copy has it right",
    ];
    bench.repair("case --from other --dry-run").says(1, &left);
    bench.repair("case --from other").says(1, &left);
    assert_eq!(fs::read(bundle.join(VOLUME_1)).unwrap()[17 * MIB], bench.good[VOLUME_1][17 * MIB]);
    // A third copy has what the second lacks.
    bench.copy("third", |bundle| flip(bundle, VOLUME_1, 17 * MIB));
    bench.repair("case --from other --from third").says(0, &["mended"]);
    bench.is_whole("case");
}

#[test]
fn volumes_on_several_media_are_mended_where_they_lie() {
    let bench = Bench::new(&Forgery::two_volumes());
    let first = bench.copy("first", |bundle| flip(bundle, VOLUME_1, 3 * MIB));
    let second = bench.yard.path("second");
    fs::create_dir_all(second.join("volumes")).unwrap();
    fs::rename(first.join(VOLUME_2), second.join(VOLUME_2)).unwrap();
    flip(&second, VOLUME_2, 100);
    bench.repair("first second --from good").says(0, &["mended"]);
    assert!(!first.join(VOLUME_2).exists(), "it was made anew where it does not lie");
    bench.run("verify second first --trust trust.json").says(0, &["OK"]);
}

#[test]
fn what_is_no_copy_is_not_made_one() {
    let bench = Bench::new(&Forgery::small());
    let later = Forgery { version: "1.3.0", ..Forgery::small() };
    later.write(&bench.yard, "later", &[&bench.yard.key]);
    let before = state(&bench.yard.path("later"));
    // It knows what it is, and nobody has its pieces.
    bench.repair("later --from good").says(0, &["nothing was damaged"]);
    let volume = bench.yard.path("later/volumes/demo-1.3.0.0001.tar.age");
    let bytes = fs::read(&volume).unwrap();
    flip(&bench.yard.path("later"), "volumes/demo-1.3.0.0001.tar.age", 9);
    let stays = "0001.tar.age stays damaged in chunk 0: no copy has it right";
    let why = "good holds no volume of this bundle and no part of one";
    bench.repair("later --from good").says(1, &[stays, why]);
    fs::write(&volume, bytes).unwrap();
    // It does not know any more, and nothing in it is of the other.
    fs::remove_file(bench.yard.path("later/SHA256SUMS")).unwrap();
    let refused = ["none of its volumes is of demo 1.2.0", "another release"];
    bench.repair("later --from good").says(1, &refused);
    fs::create_dir(bench.yard.path("empty")).unwrap();
    bench.repair("empty --from good").says(1, &["none of its volumes is of demo 1.2.0"]);
    assert_eq!(before.len() - 1, state(&bench.yard.path("later")).len());

    bench.repair("good --from good").says(2, &["cannot be mended from itself"]);
    bench.repair("good --from nowhere").says(2, &["there is no folder nowhere"]);
    fs::write(bench.yard.path("good/SHA256SUMS"), b"").unwrap();
    bench
        .repair("good --from empty")
        .says(1, &["SHA256SUMS or the signature was changed", "nothing was written"]);
}

/// Repair takes nothing away that may be somebody's; it does not call it good either.
#[test]
fn what_verify_would_refuse_is_not_called_good() {
    let bench = Bench::new(&Forgery::small());
    type Plant = fn(&Path);
    let plants: [(Plant, &str); 3] = [
        (|bundle| fs::write(bundle.join("install.sh"), b"?").unwrap(), "install.sh is not listed"),
        (
            |bundle| {
                std::os::unix::fs::symlink("x", bundle.join("SHA256SUMS.0123456789abcdef.sig")).unwrap();
            },
            "it is not an ordinary file",
        ),
        (
            |bundle| {
                for n in 0..71 {
                    fs::write(bundle.join(format!("SHA256SUMS.{n:016x}.sig")), [0; 64]).unwrap();
                }
            },
            "at most 64",
        ),
    ];
    for (number, (plant, says)) in plants.into_iter().enumerate() {
        let name = format!("planted-{number}");
        let bundle = bench.yard.path(&name);
        crate::cases::forge::copy(&bench.yard.path("good"), &bundle);
        plant(&bundle);
        let before = state(&bundle);
        bench.repair(&format!("{name} --from good")).says(1, &[says]);
        assert_eq!(state(&bundle), before, "{says}");
    }
}

/// What may be run is the vendor's to say, not the other copy's.
#[test]
fn what_can_be_run_is_told_by_the_index() {
    let bench = Bench::new(&Forgery::small());
    let other = bench.yard.path("other");
    crate::cases::forge::copy(&bench.yard.path("good"), &other);
    fs::set_permissions(other.join("README.md"), fs::Permissions::from_mode(0o4777)).unwrap();
    fs::remove_file(bench.yard.path("good/README.md")).unwrap();
    bench.repair("good --from other").says(0, &["OK"]);
    assert_eq!(fs::metadata(bench.yard.path("good/README.md")).unwrap().mode() & 0o7777, 0o644);
}

#[test]
fn nothing_is_written_outside_and_links_are_not_followed() {
    let bench = Bench::new(&Forgery::small());
    let outside = bench.yard.path("outside");
    fs::create_dir(&outside).unwrap();
    let spoil = |bundle: &Path| {
        fs::rename(bundle.join(VOLUME_1), outside.join("volume")).unwrap();
        flip(&outside, "volume", 500);
        std::os::unix::fs::symlink(outside.join("volume"), bundle.join(VOLUME_1)).unwrap();
        fs::remove_file(bundle.join("README.md")).unwrap();
        std::os::unix::fs::symlink(outside.join("readme"), bundle.join("README.md")).unwrap();
    };
    let bundle = bench.copy("case", spoil);
    let before = fs::read(outside.join("volume")).unwrap();
    bench.repair("case --from good").says(1, &["no ordinary file", "README.md"]);
    assert!(!outside.join("readme").exists());
    assert_eq!(fs::read(outside.join("volume")).unwrap(), before);
    // Nothing is lost by putting a file in the place of a link; a volume's is the operator's to take away.
    assert!(bundle.join("README.md").symlink_metadata().unwrap().is_file());
    fs::remove_file(bundle.join(VOLUME_1)).unwrap();
    // The same bytes under a second name could be another copy's.
    fs::hard_link(outside.join("volume"), bundle.join(VOLUME_1)).unwrap();
    bench.repair("case --from good").says(1, &["has a second name elsewhere"]);
    assert_eq!(fs::read(outside.join("volume")).unwrap(), before);
    fs::remove_file(outside.join("volume")).unwrap();
    bench.repair("case --from good").says(0, &["mended"]);
    bench.is_whole("case");
}

#[test]
fn a_copy_that_cannot_be_written_to_is_said_so() {
    let bench = Bench::new(&Forgery::small());
    let bundle = bench.copy("case", |bundle| flip(bundle, VOLUME_1, 500));
    let mode = |mode| fs::set_permissions(&bundle, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o555);
    let words: Vec<&str> = "repair case --from good --trust trust.json".split(' ').collect();
    let outcome = Outcome::of(bench.program.as_nobody(&words).output().unwrap());
    outcome.says(3, &["case cannot be written to", "mend that copy"]);
    mode(0o755);
}

#[test]
fn signatures_that_cannot_be_read_are_passed_over_and_named_when_too_few_hold() {
    let bench = Bench::new(&Forgery::two_volumes());
    let id = bench.yard.key.public().id().to_string();
    let hide = |bundle: &Path, end: &str| {
        let path = bundle.join(format!("SHA256SUMS.{id}.{end}"));
        fs::remove_file(&path).unwrap();
        fs::create_dir(path).unwrap();
    };
    let lose = |bundle: &Path| {
        for end in ["sig", "sshsig"] {
            fs::remove_file(bundle.join(format!("SHA256SUMS.{id}.{end}"))).unwrap();
        }
        flip(bundle, VOLUME_1, 3 * MIB);
    };
    bench.copy("case", lose);
    bench.copy("other", |bundle| hide(bundle, "sshsig"));
    let outcome = bench.repair("case --from other");
    outcome.says(0, &[&format!("SHA256SUMS.{id}.sig")]);
    bench.run("verify case --trust trust.json").says(0, &["OK"]);

    bench.copy("case", lose);
    bench.copy("other", |bundle| ["sig", "sshsig"].map(|end| hide(bundle, end)).into_iter().collect());
    let outcome = bench.repair("case --from other");
    outcome.says(1, &[&format!("other/SHA256SUMS.{id}."), "it is not an ordinary file"]);
}
