//! What lies in the payload before, between and after the blobs: every byte of a tar that `bundle.json` implies.

use std::collections::HashMap;

use crate::bundle::index::Index;
use crate::bundle::tar;
use crate::checked::small;
use crate::digest::Digest;
use crate::limits;
use crate::ops::finding::{Finding, What};
use crate::plan::load::Known;
use crate::plan::payload::blob_name;
use crate::plan::prelude;

/// Compares what lies between two blobs with what must lie there: padding and the next header. What lies before the first is kept, to be
/// compared when the manifests are known.
pub(super) struct TarCheck {
    expected: Vec<u8>,
    from: u64,
    said: bool,
    /// Whether what comes lies before the first blob.
    first: bool,
    prelude: Vec<u8>,
}

impl TarCheck {
    pub(super) fn new(index: &Index, first: usize, from: u64) -> Self {
        let mut check = Self { expected: vec![], from, said: false, first: first == 0, prelude: vec![] };
        if first > 0 {
            check.after(index, first);
        }
        check
    }

    /// What lies before blob `next`: the padding of the one before it and its own header.
    pub(super) fn after(&mut self, index: &Index, next: usize) {
        let Some(previous) = next.checked_sub(1).and_then(|n| index.blobs.get(n)) else { return };
        self.first = false;
        self.from = previous.offset + previous.size;
        self.expected = vec![0; small(tar::padding(previous.size))];
        match index.blobs.get(next) {
            Some(blob) => self.expected.extend(tar::header(&blob_name(&blob.digest), blob.size)),
            None => self.expected.resize(self.expected.len() + small(tar::END), 0),
        }
    }

    pub(super) fn lose(&mut self) {
        self.expected.clear();
    }

    /// What lay before the first blob.
    pub(super) fn into_prelude(self) -> Vec<u8> {
        self.prelude
    }

    pub(super) fn feed(&mut self, at: u64, bytes: &[u8], findings: &mut Vec<Finding>) {
        // The header of the first blob comes with it.
        let most = limits::PRELUDE_BYTES + tar::header_length(u64::MAX);
        if self.first && (self.prelude.len() + bytes.len()) as u64 <= most {
            self.prelude.extend_from_slice(bytes);
            return;
        }
        if self.expected.is_empty() || self.said {
            return;
        }
        let skip = small(at.saturating_sub(self.from));
        if self.expected.get(skip..skip + bytes.len()) != Some(bytes) {
            self.said = true;
            findings.push(Finding::refuse(What::WrongTar { offset: at }));
        }
    }
}

/// Whether the tar begins as the index implies, `bytes` being all before the first blob.
pub(super) fn prelude(index: &Index, bytes: &[u8], manifests: &HashMap<Digest, Known>) -> Option<Finding> {
    let end = match index.blobs.first() {
        Some(blob) => tar::header(&blob_name(&blob.digest), blob.size),
        None => vec![0; small(tar::END)],
    };
    let wrong = match bytes.strip_suffix(end.as_slice()) {
        Some(bytes) => prelude::check(bytes, index, manifests).err(),
        None => Some(prelude::DOCKER),
    };
    wrong.map(|file| Finding::refuse(What::WrongName { file: file.to_owned() }))
}
