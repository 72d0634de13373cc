//! Damaged copies, mended: from each other, from parts, from parity; and what is said when that is not enough.

mod copies;
mod kills;
mod parity;
mod parts;
mod receipts;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::forge::{Forgery, Yard, copy};
use super::program::{Outcome, Program};
use super::world::files;

pub(crate) const VOLUME_1: &str = "volumes/demo-1.2.0.0001.tar.age";
pub(crate) const VOLUME_2: &str = "volumes/demo-1.2.0.0002.tar.age";

/// An operator with a program, a policy, and a good copy that is only looked at.
pub(crate) struct Bench {
    pub(crate) yard: Yard,
    pub(crate) program: Program,
    /// Every file of the good copy.
    pub(crate) good: BTreeMap<String, Vec<u8>>,
}

impl Bench {
    pub(crate) fn new(forgery: &Forgery) -> Self {
        let yard = Yard::new();
        let program = Program::at(&yard.path("."));
        program.done(&["trust", "init", "--key", "vendor.pub", "--threshold", "1", "--out", "trust.json"]);
        let good = files(&forgery.write(&yard, "good", &[&yard.key]));
        Self { yard, program, good }
    }

    /// A fresh copy called `name`, after `harm`.
    pub(crate) fn copy(&self, name: &str, harm: impl FnOnce(&Path)) -> PathBuf {
        let bundle = self.yard.path(name);
        let _ = fs::remove_dir_all(&bundle);
        copy(&self.yard.path("good"), &bundle);
        harm(&bundle);
        bundle
    }

    pub(crate) fn run(&self, line: &str) -> Outcome {
        self.program.run(&line.split(' ').collect::<Vec<_>>())
    }

    /// `repair` with the policy.
    pub(crate) fn repair(&self, line: &str) -> Outcome {
        self.run(&format!("repair {line} --trust trust.json"))
    }

    /// Whether the copy called `name` is the good one, byte for byte, and nothing else.
    #[track_caller]
    pub(crate) fn is_whole(&self, name: &str) {
        let now = files(&self.yard.path(name));
        assert_eq!(now.keys().collect::<Vec<_>>(), self.good.keys().collect::<Vec<_>>(), "{name}");
        for (path, bytes) in &self.good {
            assert!(now.get(path) == Some(bytes), "{name}: {path} differs");
        }
        self.run(&format!("verify {name} --trust trust.json")).says(0, &["OK"]);
    }
}

/// Changes a file in place.
pub(crate) fn change(bundle: &Path, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let path = bundle.join(name);
    let mut bytes = fs::read(&path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

pub(crate) fn flip(bundle: &Path, name: &str, at: usize) {
    change(bundle, name, |bytes| bytes[at] ^= 1);
}
