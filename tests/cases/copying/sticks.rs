//! Copies onto real FAT and exFAT, served through FUSE from images, and from there into a registry.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bundle::digest::Digest;
use xtask::registry::{Config, Server};

use super::super::forge::{Forgery, publish, tags};
use super::super::program::{Outcome, tool};
use super::super::world::files;
use super::{Desk, VOLUME_1, VOLUME_2};

/// How a stick is plugged in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Writable,
    ReadOnly,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Fat,
    Exfat,
}

/// A stick: an image of a filesystem, and where it is plugged in.
pub(super) struct Stick {
    image: PathBuf,
    at: PathBuf,
    kind: Kind,
    plugged: Option<Plugged>,
}

enum Plugged {
    Program(Child),
    Loop(String),
}

impl Stick {
    fn new(desk: &Desk, name: &str, (kind, mib): (Kind, u64)) -> Self {
        let (image, at) = (desk.path(&format!("{name}.img")), desk.path(name));
        fs::create_dir(&at).unwrap();
        fs::File::create(&image).unwrap().set_len(mib << 20).unwrap();
        let (program, options): (&str, &[&str]) = match kind {
            Kind::Fat => ("/usr/sbin/mkfs.vfat", &["-F", "32", "-s", "1"]),
            Kind::Exfat => ("/usr/sbin/mkfs.exfat", &[]),
        };
        tool(Command::new(program).args(options).arg(&image));
        let mut stick = Self { image, at, kind, plugged: None };
        stick.plug(Mode::Writable);
        stick
    }

    fn mounted(&self) -> bool {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let at = self.at.canonicalize().unwrap();
        mounts.lines().any(|line| line.split(' ').nth(4) == at.to_str())
    }

    pub(super) fn plug(&mut self, mode: Mode) {
        self.unplug();
        self.plugged = Some(match self.kind {
            Kind::Fat => {
                let options = if mode == Mode::Writable { "rw+" } else { "ro" };
                let mut command = Command::new("fusefat");
                command.args(["-f", "-o", options]).arg(&self.image).arg(&self.at);
                let child =
                    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
                Plugged::Program(child)
            }
            Kind::Exfat => {
                let device = tool(Command::new("losetup").args(["-f", "--show"]).arg(&self.image));
                let device = String::from_utf8(device).unwrap().trim().to_owned();
                let options = if mode == Mode::Writable { "rw" } else { "ro" };
                tool(Command::new("/usr/sbin/mount.exfat-fuse").args(["-o", options, &device]).arg(&self.at));
                Plugged::Loop(device)
            }
        });
        while !self.mounted() {
            if let Some(Plugged::Program(child)) = &mut self.plugged {
                assert!(child.try_wait().unwrap().is_none(), "the filesystem's program ended");
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }

    fn unplug(&mut self) {
        match self.plugged.take() {
            None => {}
            Some(Plugged::Program(mut child)) => {
                let _ = Command::new("umount").arg(&self.at).output();
                let _ = child.wait();
            }
            Some(Plugged::Loop(device)) => {
                let _ = Command::new("umount").arg(&self.at).output();
                let _ = Command::new("losetup").args(["-d", &device]).output();
            }
        }
    }

    /// Takes room away, as what a desktop leaves does.
    fn fill(&self, mib: usize) {
        fs::create_dir(self.at.join(".Trash-1000")).unwrap();
        fs::write(self.at.join(".Trash-1000/old"), vec![7; mib << 20]).unwrap();
    }
}

impl Drop for Stick {
    fn drop(&mut self) {
        self.unplug();
    }
}

/// Two volumes of 17 MiB and a little less.
fn large() -> Forgery {
    Forgery::plain(17 << 20, [33 << 19, 33 << 19])
}

fn load(desk: &Desk, folders: &str) -> Outcome {
    let registry = Server::start(Config::default()).unwrap();
    let line = format!(
        "load {folders} --trust trust.json --identity acme.key --registry {}/mirror",
        registry.host()
    );
    let outcome = desk.program.run(&line.split(' ').collect::<Vec<_>>());
    assert_eq!(tags(&registry).len(), if outcome.code == Some(0) { 2 } else { 0 }, "{outcome:#?}");
    outcome
}

#[test]
fn a_bundle_over_two_fat_sticks_loads_from_both_in_either_order_read_only() {
    let desk = Desk::new(&large());
    let mut sticks = ["one", "two"].map(|name| Stick::new(&desk, name, (Kind::Fat, 36)));
    sticks[0].fill(8);
    sticks[1].fill(8);
    let report = desk.done("good one --to two --for acme");
    for (place, volume) in [(0, VOLUME_1), (1, VOLUME_2)] {
        let place = &report["places"][place];
        assert_eq!((&place["whole"], &place["volumes"]), (&true.into(), &vec![volume].into()), "{report}");
        assert!(place["filesystem"].as_str().unwrap().contains("fusefat"), "{report}");
    }
    for stick in &mut sticks {
        stick.plug(Mode::ReadOnly);
        assert!(fs::write(stick.at.join("x"), "x").is_err(), "it can be written to");
    }
    for (first, second) in [("one", "two"), ("two", "one")] {
        let outcome = desk.verifies(&[&desk.path(first), &desk.path(second)]);
        assert_eq!(outcome.code, Some(0), "{outcome:#?}");
        load(&desk, &format!("{first} {second}")).says(0, &[]);
    }
    let missing = desk.verifies(&[&desk.path("one")]);
    missing.says(1, &[VOLUME_2]);
    load(&desk, "two").says(1, &[VOLUME_1]);
    // And from both onto one disk again.
    desk.done("one two together --for acme");
    desk.is_the_bundle(&desk.path("together"));
}

#[test]
fn a_stick_that_is_full_asks_for_the_next_also_in_a_script() {
    let desk = Desk::new(&large());
    let _sticks = ["one", "two", "three"].map(|name| {
        let stick = Stick::new(&desk, name, (Kind::Exfat, 24));
        if name == "three" {
            stick.fill(20);
        }
        stick
    });
    let ask = |answers: &str| {
        let words = Desk::words("good one --ask --for acme");
        let mut child = desk
            .program
            .command(&words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(answers.as_bytes()).unwrap();
        Outcome::of(child.wait_with_output().unwrap())
    };
    // Without anybody to ask, it is known before the first byte.
    let outcome = desk.copy("good one --for acme");
    outcome.says(3, &["one is full; volumes without a place: 1", "--to", "--ask"]);
    assert_eq!(fs::read_dir(desk.path("one")).unwrap().count(), 0);
    let dry = desk.copy("good one --to two --dry-run --for acme");
    dry.says(0, &[VOLUME_1, VOLUME_2]);
    assert_eq!(fs::read_dir(desk.path("one")).unwrap().count(), 0);
    // An empty line stops; the first stick is whole for its part.
    ask("\n").says(3, &["one is full", "Volumes without a place: 1", "run the same command again"]);
    assert!(desk.path("one").join("SHA256SUMS").exists());
    // A stick that is too small is told from one that will do.
    ask("three\n").says(3, &["three has no room for another volume", "three is full"]);
    ask("one\ntwo\n").says(0, &["one is full"]);
    let outcome = desk.verifies(&[&desk.path("two"), &desk.path("one")]);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    assert!(!files(&desk.path("two")).contains_key(VOLUME_1));
}

/// The bundle `good` with one more listed file, all of zeros, that nobody need hash: it is looked at before it is read.
fn with_a_file_of(desk: &Desk, bytes: u64) {
    let good = desk.path("good");
    let sums = fs::read_to_string(good.join("SHA256SUMS")).unwrap();
    let mut lines: Vec<String> =
        sums.lines().filter(|line| !line.ends_with("  big.bin")).map(str::to_owned).collect();
    lines.push(format!("{}  big.bin", "0".repeat(64)));
    let index = fs::read_to_string(good.join("bundle.json")).unwrap();
    let plain = match index.split_once(" \"files\": [") {
        Some((before, rest)) => before.to_owned() + rest.split_once(" ],\n").unwrap().1,
        None => index,
    };
    let entry = format!(
        " \"files\": [\n  {{\n   \"bytes\": {bytes},\n   \"path\": \"big.bin\",\n   \"sha256\": \"{}\"\n  }}\n ],\n \"format\"",
        "0".repeat(64)
    );
    let index = plain.replacen(" \"format\"", &entry, 1);
    fs::write(good.join("bundle.json"), &index).unwrap();
    lines.retain(|line| !line.ends_with("  bundle.json"));
    lines.push(format!("{}  bundle.json", Digest::of(index.as_bytes()).hex()));
    lines.sort_by_key(|line| line[66..].to_owned());
    fs::File::create(good.join("big.bin")).unwrap().set_len(bytes).unwrap();
    publish(&good, (lines.join("\n") + "\n").as_bytes(), &[&desk.yard.key]);
}

#[test]
fn what_fat_cannot_hold_is_known_before_anything_is_written() {
    let desk = Desk::new(&Forgery::small());
    let mut stick = Stick::new(&desk, "stick", (Kind::Fat, 36));
    with_a_file_of(&desk, 1 << 32);
    let says = ["big.bin has 4294967296 bytes", "holds no file of more than 4294967295", "exFAT"];
    desk.copy("good stick --for acme").says(3, &says);
    desk.copy("good stick --for acme --dry-run").says(3, &says);
    assert_eq!(fs::read_dir(desk.path("stick")).unwrap().count(), 0);
    with_a_file_of(&desk, (1 << 32) - 1);
    desk.done("good stick --for acme --dry-run");
    stick.plug(Mode::ReadOnly);
    desk.copy("good stick --for acme").says(3, &["Read-only file system", "write to another place"]);
}

#[test]
fn a_whole_stick_that_is_read_only_is_read_back_and_left_as_it_is() {
    let desk = Desk::new(&Forgery::small());
    let mut stick = Stick::new(&desk, "stick", (Kind::Fat, 36));
    desk.done("good stick --for acme");
    desk.is_the_bundle(&desk.path("stick"));
    stick.plug(Mode::ReadOnly);
    let report = desk.done("good stick --for acme");
    assert_eq!(report["places"][0]["written"], 0, "{report}");
    assert!(Path::new(&desk.path("stick")).join(VOLUME_1).exists());
}
