//! Opening a bundle of which there are several copies, each perhaps damaged: what all of them should be.
//!
//! The rules are those of one folder: a list counts when enough signatures hold over its bytes. They may lie in different copies, and so
//! may the index, whose hash the list names. The copy to be mended is asked first: what it is, it stays.

use std::path::PathBuf;

use signing::{KeyId, Policy, raw, sshsig};

use super::{Authenticated, Error, Form, Opened, Signatures, absent, named, signatures};
use crate::bundle::names::SUMS;
use crate::limits;
use crate::ops::finding::Finding;
use crate::sys::{delivered, fs};

/// What copies of a bundle should be, when enough signatures hold.
#[derive(Debug)]
pub struct Known {
    /// What was seen of the signatures.
    pub findings: Vec<Finding>,
    /// The bundle, its folders those to be mended; `None` when no copy's signatures hold.
    pub bundle: Option<Authenticated>,
    /// The signed list, byte for byte.
    pub sums: Vec<u8>,
    /// The copy whose list it is.
    pub from: PathBuf,
    /// Signature files that hold over it: by name, with their bytes.
    pub signatures: Vec<(String, Vec<u8>)>,
}

/// Finds out what the bundle in `folders` should be, from them and from `others`.
///
/// # Errors
/// Why the first of `folders` is no bundle, when none of the others tells either.
pub fn authenticate(
    (folders, others): (&[PathBuf], &[PathBuf]),
    policy: &Policy,
    now: Option<i64>,
) -> Result<Known, Error> {
    let all: Vec<PathBuf> = folders.iter().chain(others).cloned().collect();
    if let Some(folder) = all.iter().find(|folder| absent(folder)) {
        return Err(Error::NoFolder { folder: folder.clone() });
    }
    // Others may hold; when too few do, that these could not be read is why.
    let mut unread = None;
    let mut found = Vec::new();
    for folder in &all {
        let mut keep = |error| {
            unread.get_or_insert(error);
            Ok(())
        };
        found.push(signatures(folder, &mut keep).unwrap_or_default());
    }
    let mut first_fault = None;
    let mut candidates = Vec::new();
    for (folder, signatures) in all.iter().zip(&found) {
        match delivered::read(folder, &named(SUMS)?, limits::SUMS_BYTES) {
            Ok(sums) => {
                let folders = vec![folder.clone()];
                candidates.push(Opened { folders, sums, signatures: signatures.clone() });
            }
            Err(error) => {
                first_fault.get_or_insert(error);
            }
        }
    }
    // Each by itself; then each with the signatures of all.
    let joined = candidates.iter().map(|candidate| {
        let mut candidate = candidate.clone();
        for other in &found {
            candidate.join(other, policy);
        }
        candidate
    });
    let mut refused: Option<Result<Known, Error>> = None;
    for candidate in candidates.iter().cloned().chain(joined) {
        let (sums, from) = (candidate.sums.clone(), candidate.home().to_owned());
        match candidate.authenticate_in(policy, now, &all) {
            Ok((findings, Some(mut bundle))) => {
                bundle.folders = home_first(folders);
                let signatures = holding(&found, &sums, policy);
                return Ok(Known { findings, bundle: Some(bundle), sums, from, signatures });
            }
            Ok((findings, None)) => {
                refused.get_or_insert(Ok(Known { findings, bundle: None, sums, from, signatures: vec![] }));
            }
            Err(error) => {
                refused.get_or_insert(Err(error));
            }
        }
    }
    let first = all.first().cloned().unwrap_or_default();
    match (refused, first_fault) {
        (Some(refused), _) => match unread {
            Some(error) if refused.is_ok() => Err(error.into()),
            _ => refused,
        },
        (None, Some(fs::Error::Io { source, .. })) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(fs::Error::Io { path: first.join(SUMS), source }.into())
        }
        (None, _) => Err(Error::NoBundle { folder: first }),
    }
}

/// The folder that has the signed list before the others; where none has, in the order given.
fn home_first(folders: &[PathBuf]) -> Vec<PathBuf> {
    let mut ordered = folders.to_vec();
    ordered.sort_by_key(|folder| !folder.join(SUMS).exists());
    ordered
}

impl Opened {
    /// Takes signatures of another copy that are lacking here, or that hold where the one here does not.
    fn join(&mut self, other: &Signatures, policy: &Policy) {
        let sums = &self.sums;
        let raw =
            |key: KeyId, bytes: &[u8]| policy.key(key).is_some_and(|one| raw::holds(&one.key, sums, bytes));
        let ssh = |key: KeyId, bytes: &[u8]| {
            policy.key(key).is_some_and(|one| sshsig::check(&one.key, sums, bytes).is_ok())
        };
        for (key, bytes) in &other.raw {
            match self.signatures.raw.iter_mut().find(|(own, _)| own == key) {
                None => self.signatures.raw.push((*key, bytes.clone())),
                Some((_, own)) if !raw(*key, own) && raw(*key, bytes) => own.clone_from(bytes),
                Some(_) => {}
            }
        }
        for (key, bytes) in &other.ssh {
            if let Some((_, own)) = self.signatures.ssh.iter_mut().find(|(own, _)| own == key)
                && !ssh(*key, own)
                && ssh(*key, bytes)
            {
                own.clone_from(bytes);
            }
        }
    }
}

/// Every signature of a trusted key in any copy that holds over `sums`, under the name of its file.
fn holding(found: &[Signatures], sums: &[u8], policy: &Policy) -> Vec<(String, Vec<u8>)> {
    let mut held: Vec<(String, Vec<u8>)> = Vec::new();
    let mut keep = |key: KeyId, form: Form, bytes: &[u8]| {
        let Some(trusted) = policy.key(key) else { return };
        let (end, holds) = match form {
            Form::Raw => ("sig", raw::holds(&trusted.key, sums, bytes)),
            Form::Ssh => ("sshsig", sshsig::check(&trusted.key, sums, bytes).is_ok()),
        };
        let name = format!("{SUMS}.{key}.{end}");
        if holds && held.iter().all(|(other, _)| *other != name) {
            held.push((name, bytes.to_vec()));
        }
    };
    for one in found {
        one.raw.iter().for_each(|(key, bytes)| keep(*key, Form::Raw, bytes));
        one.ssh.iter().for_each(|(key, bytes)| keep(*key, Form::Ssh, bytes));
    }
    held
}
