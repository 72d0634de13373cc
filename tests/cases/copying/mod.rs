//! `bundle copy`: what arrives is what was signed, whatever happened on the way, and nothing half-copied looks whole.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bundle::digest::Digest;
use serde_json::Value;

use super::forge::{Forgery, Yard, publish, state};
use super::program::{Outcome, Program};
use super::world::files;

mod device;
mod faults;
mod folder;
mod kills;
mod refusals;
mod remote;
mod sticks;

pub(crate) const VOLUME_1: &str = "volumes/demo-1.2.0.0001.tar.age";
pub(crate) const VOLUME_2: &str = "volumes/demo-1.2.0.0002.tar.age";

/// A bundle `good`, a policy, and the program.
pub(crate) struct Desk {
    pub(crate) yard: Yard,
    pub(crate) program: Program,
}

impl Desk {
    /// With the bundle that `forgery` makes, and a licence for each of two customers.
    pub(crate) fn new(forgery: &Forgery) -> Self {
        let yard = Yard::new();
        let program = Program::at(&yard.path("."));
        program.done(&["trust", "init", "--key", "vendor.pub", "--threshold", "1", "--out", "trust.json"]);
        forgery.write(&yard, "good", &[&yard.key]);
        fs::create_dir(yard.path("good/licenses")).unwrap();
        for customer in ["acme", "other"] {
            fs::write(yard.path(&format!("good/licenses/{customer}.lic")), format!("of {customer}")).unwrap();
        }
        Self { yard, program }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.yard.path(name)
    }

    /// `copy` and `words`, split at blanks, with the policy.
    pub(crate) fn words(line: &str) -> Vec<String> {
        format!("copy {line} --trust trust.json --json").split(' ').map(str::to_owned).collect()
    }

    pub(crate) fn copy(&self, line: &str) -> Outcome {
        let outcome = self.program.run(&Self::words(line));
        assert!(!outcome.stderr.contains("panicked"), "{outcome:?}");
        outcome
    }

    /// The report of a copy that is done.
    #[track_caller]
    pub(crate) fn done(&self, line: &str) -> Value {
        let outcome = self.copy(line);
        assert_eq!(outcome.code, Some(0), "{outcome:#?}");
        serde_json::from_str(&outcome.stdout).unwrap()
    }

    /// What travels for `acme`.
    pub(crate) fn travels(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = files(&self.path("good"));
        files.retain(|name, _| {
            !(name.starts_with("grants/") || name.starts_with("licenses/")) || name.contains("/acme.")
        });
        files
    }

    /// The copy in `folder` is the bundle, byte for byte, for `acme`.
    #[track_caller]
    pub(crate) fn is_the_bundle(&self, folder: &Path) {
        let (got, wanted) = (files(folder), self.travels());
        assert!(got.keys().eq(wanted.keys()), "{:?}", got.keys());
        for (name, bytes) in &wanted {
            assert!(got[name] == *bytes, "{name} differs");
        }
    }

    /// Whether `verify` passes what is in `folders`.
    pub(crate) fn verifies(&self, folders: &[&Path]) -> Outcome {
        let mut words = vec!["verify".to_owned()];
        words.extend(folders.iter().map(|folder| folder.display().to_string()));
        words.extend("--trust trust.json --identity acme.key --json".split(' ').map(str::to_owned));
        self.program.run(&words)
    }
}

/// Flips a bit of byte `at`.
pub(crate) fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 4;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_copy_is_the_bundle_for_one_customer_and_the_source_is_only_read() {
    let desk = Desk::new(&Forgery::small());
    let before = state(&desk.path("good"));
    let dry = desk.done("good stick --for acme --dry-run");
    assert!(!desk.path("stick").exists() && dry["dry_run"] == true && dry["ok"] == true, "{dry}");
    let report = desk.done("good stick --for acme");
    desk.is_the_bundle(&desk.path("stick"));
    assert_eq!(state(&desk.path("good")), before);
    let bytes: usize = desk.travels().values().map(Vec::len).sum();
    let place = &report["places"][0];
    assert_eq!((&place["written"], &place["bytes"]), (&bytes.into(), &bytes.into()), "{report}");
    assert_eq!(dry["places"][0]["written"], bytes, "{dry}");
    assert_eq!((&place["whole"], &report["authenticated"]), (&true.into(), &true.into()));
    assert_eq!(place["volumes"].as_array().unwrap().len(), 3, "{report}");
    assert!(place["read_back"].is_string() && place["filesystem"].is_string(), "{report}");
    // Again: all of it is there, which is found out by reading it.
    let again = desk.done("good stick --for acme");
    assert_eq!(again["places"][0]["written"], 0, "{again}");
}

#[test]
fn without_a_customer_all_grants_travel_and_without_trust_that_is_said_loudly() {
    let desk = Desk::new(&Forgery::small());
    fs::remove_dir_all(desk.path("good/licenses")).unwrap();
    let outcome = desk.program.run(&["copy", "good", "stick"]);
    outcome.says(
        0,
        &["warning: no --trust", "nobody checked who signed", "read back and compared", "all grants"],
    );
    assert_eq!(files(&desk.path("good")), files(&desk.path("stick")));
}

#[test]
fn programs_stay_programs() {
    use std::os::unix::fs::PermissionsExt as _;
    let desk = Desk::new(&Forgery::small());
    // Whatever the medium before made of them: FAT knows no modes, and who had it may have set any.
    fs::set_permissions(desk.path("good/README.md"), fs::Permissions::from_mode(0o4777)).unwrap();
    fs::create_dir(desk.path("good/scripts")).unwrap();
    fs::write(desk.path("good/scripts/run.sh"), "#!/bin/sh\n").unwrap();
    let sums = fs::read_to_string(desk.path("good/SHA256SUMS")).unwrap();
    let line = format!("{}  scripts/run.sh\n", Digest::of(b"#!/bin/sh\n").hex());
    let at = sums.find("  volumes/").unwrap() - 64;
    publish(
        &desk.path("good"),
        format!("{}{line}{}", &sums[..at], &sums[at..]).as_bytes(),
        &[&desk.yard.key],
    );
    desk.done("good stick --for acme");
    let mode =
        |name: &str| fs::metadata(desk.path("stick").join(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("README.md"), mode("bundle.json"), mode("scripts/run.sh")), (0o644, 0o644, 0o755));
}
