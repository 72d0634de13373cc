//! Copies that are refused, each before anything is written.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};

use super::super::forge::{Forgery, state};
use super::super::program::Outcome;
use super::{Desk, VOLUME_1};

#[test]
fn a_bundle_is_not_copied_onto_into_or_around_itself() {
    let desk = Desk::new(&Forgery::small());
    symlink("good", desk.path("link")).unwrap();
    let before = state(&desk.path("good"));
    for line in
        ["good good", "good good/inside", "good link", "link good/volumes", "good .", "good good/../good/x"]
    {
        let outcome = desk.copy(line);
        outcome.says(2, &["one folder, or one is inside of the other"]);
    }
    desk.copy("good stick --to stick").says(2, &["is given twice"]);
    assert_eq!(state(&desk.path("good")), before);
    assert!(!desk.path("stick").exists());
}

#[test]
fn a_place_that_holds_something_else_is_named_and_left_alone() {
    let desk = Desk::new(&Forgery::small());
    Forgery { version: "1.1.0", ..Forgery::small() }.write(&desk.yard, "older", &[&desk.yard.key]);
    Forgery::small().write(&desk.yard, "anew", &[&desk.yard.key]);
    fs::create_dir(desk.path("mine")).unwrap();
    fs::write(desk.path("mine/letter.odt"), "mine").unwrap();
    fs::create_dir_all(desk.path("theirs/grants")).unwrap();
    fs::write(desk.path("theirs/grants/other.age"), "theirs").unwrap();
    for (place, says) in [
        ("older", ["older holds another bundle: demo 1.1.0", "nothing was written"]),
        ("anew", ["anew holds another bundle: demo 1.2.0, built or signed anew", "nothing was written"]),
        ("mine", ["mine holds files that are no part of the copy: letter.odt", "name mine/demo-1.2.0"]),
        ("theirs", ["no part of the copy: grants/other.age", "nothing was written"]),
        ("no/such", ["there is no folder", "is the stick mounted there?"]),
        ("mine/letter.odt", ["mine/letter.odt: Not a directory", "not the kind of thing"]),
    ] {
        let before = desk.path(place).is_dir().then(|| state(&desk.path(place)));
        desk.copy(&format!("good {place} --for acme")).says(2, &says);
        assert_eq!(desk.path(place).is_dir().then(|| state(&desk.path(place))), before, "{place}");
    }
}

#[test]
fn what_verify_would_refuse_is_refused_before_it_is_carried_away() {
    let desk = Desk::new(&Forgery::small());
    type Plant = fn(&std::path::Path);
    let plants: [(&str, Plant, &str); 4] = [
        (
            "a signature of nobody",
            |stick| fs::write(stick.join("SHA256SUMS.0123456789abcdef.sig"), [0; 64]).unwrap(),
            "SHA256SUMS.0123456789abcdef.sig",
        ),
        ("a folder of nothing", |stick| fs::create_dir_all(stick.join("evil/x")).unwrap(), "evil/x/"),
        (
            "somebody's own file of the same name",
            |stick| fs::write(stick.join("README.md"), b"my own notes").unwrap(),
            "README.md (another file of that name)",
        ),
        (
            "a longer one",
            |stick| fs::write(stick.join("README.md"), vec![b'x'; 100_000]).unwrap(),
            "README.md (another file of that name)",
        ),
    ];
    for (reason, plant, named) in plants {
        let stick = desk.path("stick");
        let _ = fs::remove_dir_all(&stick);
        fs::create_dir(&stick).unwrap();
        plant(&stick);
        let before = state(&stick);
        desk.copy("good stick --for acme").says(2, &[named, "nothing was written"]);
        assert_eq!(state(&stick), before, "{reason}");
    }
}

#[test]
fn a_half_file_beside_a_whole_one_is_taken_away_and_no_other_file_is_written_into() {
    let desk = Desk::new(&Forgery::small());
    desk.done("good stick --for acme");
    fs::write(desk.path("stick/.README.md.part"), b"left over").unwrap();
    desk.done("good stick --for acme");
    assert!(!desk.path("stick/.README.md.part").exists());
    // A second name of a file elsewhere, in the place of what is begun and of what is whole.
    let precious = desk.path("precious");
    for name in [".README.md.part", "README.md"] {
        fs::write(&precious, b"precious").unwrap();
        let _ = fs::remove_file(desk.path("stick/README.md"));
        fs::hard_link(&precious, desk.path("stick").join(name)).unwrap();
        desk.done("good stick --for acme");
        assert_eq!(fs::read(&precious).unwrap(), b"precious", "{name}");
        assert_ne!(fs::read(desk.path("stick/README.md")).unwrap(), b"precious");
    }
    // Whoever left it, and however it may be run.
    fs::remove_file(desk.path("stick/README.md")).unwrap();
    fs::write(desk.path("stick/.README.md.part"), b"").unwrap();
    let mode = fs::Permissions::from_mode(0o6777);
    fs::set_permissions(desk.path("stick/.README.md.part"), mode).unwrap();
    chown(desk.path("stick/.README.md.part"), Some(65534), Some(65534)).unwrap();
    desk.done("good stick --for acme");
    let facts = fs::metadata(desk.path("stick/README.md")).unwrap();
    assert_eq!((facts.uid(), facts.mode() & 0o7777), (0, 0o644));
}

#[test]
fn nothing_is_written_through_links() {
    let desk = Desk::new(&Forgery::small());
    fs::create_dir(desk.path("outside")).unwrap();
    fs::create_dir(desk.path("stick")).unwrap();
    let file = desk.path("outside/file");
    fs::write(&file, "untouched").unwrap();
    fs::create_dir(desk.path("stick/volumes")).unwrap();
    for (link, to) in [(VOLUME_1, "outside/file"), ("volumes/.demo-1.2.0.0001.tar.age.part", "outside/file")]
    {
        symlink(desk.path(to), desk.path("stick").join(link)).unwrap();
        desk.copy("good stick --for acme").says(1, &["it is not an ordinary file"]);
        fs::remove_file(desk.path("stick").join(link)).unwrap();
    }
    fs::remove_dir(desk.path("stick/volumes")).unwrap();
    symlink(desk.path("outside"), desk.path("stick/volumes")).unwrap();
    desk.copy("good stick --for acme").says(2, &["no part of the copy: volumes"]);
    assert_eq!(fs::read(&file).unwrap(), b"untouched");
    assert_eq!(fs::read_dir(desk.path("outside")).unwrap().count(), 1);
}

#[test]
fn the_signature_is_looked_at_first_and_a_customer_without_a_grant_is_named() {
    let desk = Desk::new(&Forgery::small());
    let outcome = desk.program.run(&["copy", "good", "stick", "--for", "nobody", "--trust", "trust.json"]);
    outcome.says(1, &["grants/nobody.age is missing"]);
    desk.program.done(&["keygen", "signing", "--out", "stranger"]);
    let line = "trust init --key stranger.pub --threshold 1 --out trust2.json";
    desk.program.done(&line.split(' ').collect::<Vec<_>>());
    // Nothing is read before the signature holds: what is missing is not even noticed.
    fs::remove_file(desk.path("good/README.md")).unwrap();
    let outcome = desk.program.run(&["copy", "good", "stick", "--trust", "trust2.json"]);
    outcome.says(1, &["0 of the 1 signatures", "nothing was copied"]);
    assert!(!outcome.stdout.contains("README"), "{outcome:?}");
    assert!(!desk.path("stick").exists());
}

#[test]
fn grants_and_licences_that_may_not_be_read_are_not_left_behind_in_silence() {
    let desk = Desk::new(&Forgery::small());
    fs::set_permissions(desk.path("."), fs::Permissions::from_mode(0o777)).unwrap();
    for (folder, to) in [("grants", &[][..]), ("licenses", &["--for", "acme"])] {
        let hidden = desk.path("good").join(folder);
        fs::create_dir_all(&hidden).unwrap();
        fs::set_permissions(&hidden, fs::Permissions::from_mode(0o000)).unwrap();
        let words = [&["copy", "good", "stick", "--trust", "trust.json"][..], to].concat();
        let outcome = Outcome::of(desk.program.as_nobody(&words).output().unwrap());
        assert_ne!(outcome.code, Some(0), "{folder}: {outcome:#?}");
        outcome.says(outcome.code.unwrap(), &[&format!("{folder} cannot be read")]);
        assert!(!desk.path("stick").exists(), "{folder}");
        fs::set_permissions(&hidden, fs::Permissions::from_mode(0o755)).unwrap();
    }
}
