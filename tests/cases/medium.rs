//! What a medium can hold in place of a bundle's files: links, pipes, files nobody may read, parts in another folder; and any random
//! change of any of them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::forge::{Forgery, Judge, Yard, copy, noise, state, tags};
use super::program::{NOBODY, Outcome, Program};

const VOLUME_1: &str = "volumes/demo-1.2.0.0001.tar.age";
const VOLUME_2: &str = "volumes/demo-1.2.0.0002.tar.age";

/// Puts something else where `name` is.
fn replace(bundle: &Path, name: &str, with: &str) {
    let path = bundle.join(name);
    let aside = bundle.with_extension("aside");
    let _ = fs::remove_dir_all(&aside);
    let _ = fs::remove_file(&aside);
    fs::rename(&path, &aside).unwrap();
    match with {
        "link" => std::os::unix::fs::symlink(&aside, &path).unwrap(),
        "folder" => fs::create_dir(&path).unwrap(),
        "FIFO" => mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap(),
        _ => drop(std::os::unix::net::UnixListener::bind(&path).unwrap()),
    }
}

#[test]
fn links_folders_and_pipes_are_no_files() {
    let yard = Yard::new();
    let good = Forgery::small().write(&yard, "good", &[&yard.key]);
    let id = yard.key.public().id();
    let (raw, ssh) = (format!("SHA256SUMS.{id}.sig"), format!("SHA256SUMS.{id}.sshsig"));
    // What holds all the same: (by verify without an identity, by load).
    let names = [
        ("SHA256SUMS", [false, false]),
        (raw.as_str(), [false, false]),
        (ssh.as_str(), [false, false]),
        ("bundle.json", [false, false]),
        ("README.md", [false, true]),
        (VOLUME_1, [false, false]),
        (VOLUME_2, [false, false]),
        ("volumes", [false, false]),
        ("grants/acme.age", [false, false]),
    ];
    for (name, [keyless, load]) in names {
        for with in ["link", "folder", "FIFO", "socket"] {
            let bundle = yard.path("case");
            copy(&good, &bundle);
            replace(&bundle, name, with);
            let before = state(&bundle);
            let without = yard.verify_keyless(&bundle);
            let deep = yard.verify(&bundle, &yard.judge());
            let (loaded, registry) = yard.load(&bundle, &yard.judge());
            let case = format!("{with} for {name}: {without:?} {deep:?} {loaded:?}");
            assert_eq!(without.ok, keyless, "{case}");
            assert!(!deep.ok, "{case}");
            assert_eq!(loaded.ok, load, "{case}");
            // An empty folder `volumes` holds nothing; otherwise the thing is named for what it is.
            for seen in [&without, &deep] {
                assert!(seen.text.contains(name), "{case}");
                let irregular =
                    seen.text.contains("not an ordinary file") || seen.text.contains("is not listed");
                assert!(irregular || seen.text.contains("is missing"), "{case}");
            }
            assert_eq!(tags(&registry).is_empty(), !load, "{case}");
            assert_eq!(state(&bundle), before, "{case}");
            fs::remove_dir_all(&bundle).unwrap();
        }
    }
}

#[test]
fn swapped_volumes_of_one_size_are_both_named() {
    let yard = Yard::new();
    let bundle = Forgery::small().write(&yard, "good", &[&yard.key]);
    let [one, two, aside] = [VOLUME_1, VOLUME_2, "aside"].map(|name| bundle.join(name));
    for (from, to) in [(&one, &aside), (&two, &one), (&aside, &two)] {
        fs::rename(from, to).unwrap();
    }
    for seen in [yard.verify_keyless(&bundle), yard.verify(&bundle, &yard.judge())] {
        let both = [VOLUME_1, VOLUME_2].map(|name| format!("{name} is damaged in chunk 0, bytes 0 to 131"));
        assert!(!seen.ok && both.iter().all(|text| seen.text.contains(text)), "{seen:?}");
    }
    // Both open under the release key, so it is the blobs that show it.
    let (seen, registry) = yard.load(&bundle, &yard.judge());
    assert!(!seen.ok && seen.text.contains(&format!("{VOLUME_1} gave wrong bytes for sha256:")), "{seen:?}");
    assert!(tags(&registry).is_empty());
}

#[test]
fn a_second_folder_is_held_to_the_same_list() {
    let yard = Yard::new();
    let good = Forgery::small().write(&yard, "good", &[&yard.key]);
    let second = yard.path("second");
    fs::create_dir_all(second.join("volumes")).unwrap();
    fs::rename(good.join(VOLUME_2), second.join(VOLUME_2)).unwrap();
    let folders = [good, second.clone()];
    let seen = yard.verify_many(&folders, &yard.judge());
    assert!(seen.ok, "{seen:?}");
    fs::write(second.join("README.md"), b"run this").unwrap();
    let seen = yard.verify_many(&folders, &yard.judge());
    assert!(!seen.ok && seen.text.contains("README.md is not the file that was signed"), "{seen:?}");
    fs::remove_file(second.join("README.md")).unwrap();
    fs::copy(folders[0].join(VOLUME_1), second.join(VOLUME_1)).unwrap();
    let seen = yard.verify_many(&folders, &yard.judge());
    assert!(seen.ok && seen.text.is_empty(), "{seen:?}");
    // A second copy of a volume is read too: someone may take that folder for good.
    let copy = second.join(VOLUME_1);
    let mut bytes = fs::read(&copy).unwrap();
    bytes[70_000] ^= 1;
    fs::write(&copy, &bytes).unwrap();
    for with in [None, yard.judge().with] {
        let seen = yard.verify_many(&folders, &Judge { with, ..yard.judge() });
        let named = format!("{}/{VOLUME_1} is damaged in chunk 0", second.display());
        assert!(!seen.ok && seen.text.contains(&named), "{seen:?}");
    }
    bytes.truncate(70_000);
    fs::write(&copy, &bytes).unwrap();
    let seen = yard.verify_many(&folders, &yard.judge());
    assert!(!seen.ok && seen.text.contains("has 70000 bytes of"), "{seen:?}");
}

/// A file that claims to be long costs the time of its true length, or of the longest that can be there.
#[test]
fn a_sparse_file_of_terabytes_is_refused_at_once() {
    let yard = Yard::new();
    let good = Forgery::small().write(&yard, "good", &[&yard.key]);
    let file = fs::OpenOptions::new().write(true).open(good.join("README.md")).unwrap();
    file.set_len(4 << 40).unwrap();
    let seen = yard.verify_keyless(&good);
    assert!(!seen.ok && seen.text.contains("README.md cannot be read: it has more than"), "{seen:?}");
}

#[test]
fn a_volume_that_may_not_be_read_is_a_finding() {
    let yard = Yard::new();
    let bundle = Forgery::small().write(&yard, "bundle", &[&yard.key]);
    fs::set_permissions(bundle.join(VOLUME_2), fs::Permissions::from_mode(0o000)).unwrap();
    let program = Program::at(&yard.path("."));
    program.done(&["trust", "init", "--key", "vendor.pub", "--threshold", "1", "--out", "trust.json"]);
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(yard.path("acme.key"), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    for line in ["verify bundle --trust trust.json", "verify bundle --trust trust.json --identity acme.key"] {
        let words: Vec<&str> = line.split(' ').collect();
        let outcome = Outcome::of(program.as_nobody(&words).output().unwrap());
        outcome.says(3, &[&format!("{VOLUME_2} cannot be read")]);
    }
    // Nor is the folder it lies in damage.
    fs::set_permissions(bundle.join("volumes"), fs::Permissions::from_mode(0o000)).unwrap();
    let outcome =
        Outcome::of(program.as_nobody(&["verify", "bundle", "--trust", "trust.json"]).output().unwrap());
    outcome.says(3, &["volumes cannot be read", "run as one who may"]);
    fs::set_permissions(bundle.join("volumes"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn no_random_change_of_any_file_is_passed() {
    let yard = Yard::new();
    let bundle = Forgery::small().write(&yard, "good", &[&yard.key]);
    let names: Vec<String> =
        super::world::files(&bundle).into_keys().filter(|n| !n.starts_with("grants/")).collect();
    let sums = fs::read(bundle.join("SHA256SUMS")).unwrap();
    let random = noise(2_026, 300 * 32);
    for (number, seed) in random.chunks(32).enumerate() {
        let draw = |at: usize| u64::from_le_bytes(seed[at..at + 8].try_into().unwrap());
        let below = |at: usize, end: usize| usize::try_from(draw(at) % end as u64).unwrap();
        let name = &names[below(0, names.len())];
        let path = bundle.join(name);
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        match draw(8) % 4 {
            0 => bad.truncate(below(16, good.len())),
            1 => bad.insert(below(16, good.len()), seed[24]),
            _ => bad[below(16, good.len())] ^= 1 << (seed[24] % 8),
        }
        let still =
            name.ends_with(".sshsig") && signing::sshsig::check(&yard.key.public(), &sums, &bad).is_ok();
        if bad == good || still {
            continue;
        }
        fs::write(&path, &bad).unwrap();
        let seen =
            if number % 2 == 0 { yard.verify_keyless(&bundle) } else { yard.verify(&bundle, &yard.judge()) };
        assert!(!seen.ok, "change {number} of {name} was passed: {seen:?}");
        assert!(!seen.text.is_empty(), "change {number} of {name}");
        fs::write(&path, &good).unwrap();
    }
    let seen = yard.verify(&bundle, &yard.judge());
    assert!(seen.ok, "{seen:?}");
}
