//! `bundle trust`: the customer's policy, made, shown and rotated.
//!
//! A rotation has two halves, which may happen on different days and machines: [`draft`] writes the next version and signs it
//! with the keys at hand, [`sign`] adds signatures, [`accept`] puts it in force once a threshold of the old and of the new keys
//! has signed.

use std::path::{Path, PathBuf};

use serde::Serialize;
use signing::policy::{Consequences, Terms, TrustedKey};
use signing::rotation::{self, RotationError};
use signing::time::Time;
use signing::{KeyId, Policy, PolicyError, SecretKey};

use super::keys;
use crate::sys::fs;

/// What a new policy shall say.
#[derive(Debug, Clone)]
pub struct NewPolicy {
    /// Files of the public keys; a file's name without its ending becomes the key's name.
    pub keys: Vec<PathBuf>,
    /// How many of them must have signed.
    pub threshold: u32,
    /// When the validity begins; `None` for always.
    pub valid_from: Option<Time>,
    /// When it ends; `None` for never.
    pub valid_until: Option<Time>,
    /// What weighs how much; `None` for the documented defaults, in a rotation for what holds now.
    pub consequences: Option<Consequences>,
}

/// A policy, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The policy's file.
    pub path: String,
    /// Its version.
    pub version: u64,
    /// How many keys must have signed.
    pub threshold: u32,
    /// The keys.
    pub keys: Vec<ShownKey>,
    /// When its validity begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<Time>,
    /// When its validity ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Time>,
    /// What weighs how much.
    pub consequences: Consequences,
    /// Who has signed it, unchecked: that is checked when it takes another's place.
    pub signed_by: Vec<KeyId>,
}

/// One key of a policy, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownKey {
    /// Its id.
    pub id: KeyId,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The line for `ssh-keygen`'s `allowed_signers` file.
    pub allowed_signers: String,
}

/// Why a policy was not made, shown or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be written, or one is there.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// A key or policy could not be read.
    #[error(transparent)]
    Key(#[from] keys::Error),
    /// The policy would make no sense.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The new policy is not accepted.
    #[error("{path}: {source}", path = path.display())]
    Rotation {
        /// The new policy's file.
        path: PathBuf,
        /// Why not.
        source: RotationError,
    },
    /// The highest version there is was reached.
    #[error("the policy's version cannot be counted up")]
    LastVersion,
}

/// Writes the first version of a policy to `out`, which must not exist.
pub fn init(new: &NewPolicy, out: &Path) -> Result<Report, Error> {
    let policy = Policy::new(terms(new, 1, Consequences::default())?)?;
    fs::create(out, policy.to_json().as_bytes(), fs::PUBLIC)?;
    Ok(report(out, &policy))
}

/// Says what the policy at `path` says.
pub fn show(path: &Path) -> Result<Report, Error> {
    Ok(report(path, &keys::policy(path)?))
}

/// Writes the version after the one at `current` to `out`, which must not exist, signed with `signers`.
pub fn draft(current: &Path, new: &NewPolicy, signers: &[SecretKey], out: &Path) -> Result<Report, Error> {
    let current = keys::policy(current)?;
    let version = current.terms().version.checked_add(1).ok_or(Error::LastVersion)?;
    let mut policy = Policy::new(terms(new, version, current.terms().consequences)?)?;
    endorse(&mut policy, signers)?;
    fs::create(out, policy.to_json().as_bytes(), fs::PUBLIC)?;
    Ok(report(out, &policy))
}

/// Adds signatures to the policy at `path`.
pub fn sign(path: &Path, signers: &[SecretKey]) -> Result<Report, Error> {
    let mut policy = keys::policy(path)?;
    endorse(&mut policy, signers)?;
    fs::write(path, policy.to_json().as_bytes(), fs::PUBLIC)?;
    Ok(report(path, &policy))
}

/// Puts the policy at `next` in the place of the one at `current`, when the keys of both agree.
pub fn accept(current: &Path, next: &Path) -> Result<Report, Error> {
    let policy = rotation::rotate(&keys::policy(current)?, keys::policy(next)?)
        .map_err(|source| Error::Rotation { path: next.to_owned(), source })?;
    fs::write(current, policy.to_json().as_bytes(), fs::PUBLIC)?;
    Ok(report(current, &policy))
}

fn terms(new: &NewPolicy, version: u64, default: Consequences) -> Result<Terms, keys::Error> {
    let read = |path: &PathBuf| {
        let name = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
        Ok(TrustedKey { name, key: keys::public_key(path)? })
    };
    Ok(Terms {
        version,
        keys: new.keys.iter().map(read).collect::<Result<_, keys::Error>>()?,
        threshold: new.threshold,
        valid_from: new.valid_from,
        valid_until: new.valid_until,
        consequences: new.consequences.unwrap_or(default),
    })
}

fn endorse(policy: &mut Policy, signers: &[SecretKey]) -> Result<(), PolicyError> {
    let signatures: Vec<_> = signers.iter().map(|key| rotation::endorsement(policy, key)).collect();
    policy.endorse(signatures)
}

fn report(path: &Path, policy: &Policy) -> Report {
    let terms = policy.terms();
    Report {
        path: path.display().to_string(),
        version: terms.version,
        threshold: terms.threshold,
        keys: terms
            .keys
            .iter()
            .map(|trusted| ShownKey {
                id: trusted.key.id(),
                name: trusted.name.clone(),
                allowed_signers: allowed_signers(trusted),
            })
            .collect(),
        valid_from: terms.valid_from,
        valid_until: terms.valid_until,
        consequences: terms.consequences,
        signed_by: policy.endorsements().iter().map(|endorsement| endorsement.key).collect(),
    }
}

/// The principal is the key's id: it has no character that such a line gives a meaning to.
fn allowed_signers(trusted: &TrustedKey) -> String {
    signing::sshsig::allowed_signers_line(&trusted.key.id().to_string(), &trusted.key).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::sys::random;

    fn key(folder: &Path, name: &str) -> SecretKey {
        let key = SecretKey::from_seed(&random::bytes().unwrap());
        std::fs::write(folder.join(format!("{name}.pub")), key.public().to_pem()).unwrap();
        key
    }

    fn policy(folder: &Path, names: &[&str], threshold: u32) -> NewPolicy {
        NewPolicy {
            keys: names.iter().map(|name| folder.join(format!("{name}.pub"))).collect(),
            threshold,
            valid_from: None,
            valid_until: None,
            consequences: None,
        }
    }

    #[test]
    fn a_rotation_takes_a_threshold_of_the_old_and_of_the_new_keys() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let (a, b, c) = (key(folder, "a"), key(folder, "b"), key(folder, "c"));
        let (current, next) = (folder.join("trust.json"), folder.join("next.json"));
        let first = init(&policy(folder, &["a", "b"], 2), &current).unwrap();
        assert_eq!((first.version, first.keys.len()), (1, 2));
        assert!(first.keys.iter().any(|key| key.name.as_deref() == Some("a")));
        let again = init(&policy(folder, &["c"], 1), &current);
        assert!(matches!(again, Err(Error::File(fs::Error::Exists { .. }))));

        draft(&current, &policy(folder, &["b", "c"], 2), &[a], &next).unwrap();
        let before = std::fs::read(&current).unwrap();
        let refused = |expected: fn(&RotationError) -> bool| {
            let error = accept(&current, &next).unwrap_err();
            assert!(matches!(&error, Error::Rotation { source, .. } if expected(source)), "{error}");
            assert_eq!(std::fs::read(&current).unwrap(), before);
        };
        refused(|e| matches!(e, RotationError::TooFewOld { have: 1, need: 2 }));
        sign(&next, &[b]).unwrap();
        refused(|e| matches!(e, RotationError::TooFewNew { have: 1, need: 2 }));
        assert_eq!(sign(&next, &[c]).unwrap().signed_by.len(), 3);
        assert_eq!(accept(&current, &next).unwrap().version, 2);
        assert_eq!(show(&current).unwrap().version, 2);
        let error = accept(&current, &next).unwrap_err();
        assert!(matches!(error, Error::Rotation { source: RotationError::NotNewer { old: 2, new: 2 }, .. }));
    }

    #[test]
    fn a_policy_that_makes_no_sense_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        key(folder, "a");
        let out = folder.join("trust.json");
        assert!(matches!(
            init(&policy(folder, &["a", "a"], 1), &out),
            Err(Error::Policy(PolicyError::DuplicateKey(_)))
        ));
        for threshold in [0, 2] {
            assert!(matches!(
                init(&policy(folder, &["a"], threshold), &out),
                Err(Error::Policy(PolicyError::Threshold { .. }))
            ));
        }
        assert!(matches!(
            init(&policy(folder, &["a", "missing"], 1), &out),
            Err(Error::Key(keys::Error::File(_)))
        ));
        assert!(!out.exists());
    }
}
