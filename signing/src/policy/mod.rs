//! `trust.json`: whose signatures count, how many it takes, and what weighs how much.
//!
//! The policy lives with the customer, never in a bundle. It is strict JSON: an unknown field, a field given twice, a
//! wrong type is an error. It knows no clock: see [`crate::verify`].

use serde::{Deserialize, Serialize};

use crate::keys::{KeyError, KeyId, PublicKey};
use crate::limits;
use crate::text::is_printable;
use crate::time::Time;

mod document;

pub(crate) use document::Document;

/// The policy file's own format.
pub const FORMAT: u32 = 1;

/// What follows from a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// Not worth a line.
    Ignore,
    /// Said, and the work goes on.
    Warn,
    /// The work stops.
    Refuse,
}

/// The weight the policy gives to findings whose weight is a matter of judgement. Each field may be left out; what then
/// holds is in its description. That signatures are missing, too few or wrong always refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Consequences {
    /// There is no usable clock to check the policy's validity by. `warn`: a dead battery must not lock an operator out.
    pub clock: Weight,
    /// A release older than the highest one installed. `refuse`.
    pub downgrade: Weight,
    /// The policy's validity is over. `warn`: a wrong clock must not lock an operator out either.
    pub expired: Weight,
    /// The policy's validity has not begun. `warn`, for the same reason.
    pub not_yet_valid: Weight,
    /// A signature by a key that the policy does not name. `warn`: it counts for nothing, and the vendor may have added a signer.
    pub unknown_key: Weight,
}

impl Default for Consequences {
    fn default() -> Self {
        Self {
            clock: Weight::Warn,
            downgrade: Weight::Refuse,
            expired: Weight::Warn,
            not_yet_valid: Weight::Warn,
            unknown_key: Weight::Warn,
        }
    }
}

/// One key the policy trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    /// What people call it; for messages only.
    pub name: Option<String>,
    /// The key.
    pub key: PublicKey,
}

/// What a policy is made from. Checked by [`Policy::new`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Counts up by rotation; from 1.
    pub version: u64,
    /// The keys, in any order.
    pub keys: Vec<TrustedKey>,
    /// How many different keys must have signed.
    pub threshold: u32,
    /// When the validity begins; `None` for always.
    pub valid_from: Option<Time>,
    /// The last second of the validity; `None` for ever.
    pub valid_until: Option<Time>,
    /// What follows from what.
    pub consequences: Consequences,
}

/// A trust policy that makes sense: at least one key, no key twice, a threshold that can be met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    terms: Terms,
    endorsements: Vec<Endorsement>,
}

/// A signature over [`Policy::signed_bytes`], carried in the policy itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endorsement {
    /// Whose it says it is.
    pub key: KeyId,
    /// 64 bytes, unchecked.
    pub signature: [u8; 64],
}

/// Why a policy is refused.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// Longer than any policy.
    #[error("{bytes} bytes are more than a trust policy has (at most {limit})")]
    TooLong {
        /// How long it is, in bytes.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Not the JSON of a policy; names line and column.
    #[error("not a trust policy: {0}")]
    Json(#[from] serde_json::Error),
    /// Another kind of document.
    #[error("the document's kind is \"{got}\", expected \"trust\"")]
    Kind {
        /// The kind it names.
        got: String,
    },
    /// A format that this program does not know.
    #[error("the policy has format {got}, this program reads format {FORMAT}")]
    Format {
        /// The format it names.
        got: u32,
    },
    /// Versions count from 1.
    #[error("the policy's version is 0, versions count from 1")]
    Version,
    /// No key, or more than any ceremony has.
    #[error("the policy has {got} keys, expected 1 to {limit}")]
    KeyCount {
        /// How many it has.
        got: usize,
        /// The limit.
        limit: usize,
    },
    /// A key that cannot be used.
    #[error("key {id}: {source}")]
    Key {
        /// The id it was given.
        id: KeyId,
        /// What is wrong with it.
        source: KeyError,
    },
    /// A key's id is not the one that follows from the key.
    #[error("key {stated} has the id {actual}")]
    KeyIdMismatch {
        /// The id in the policy.
        stated: KeyId,
        /// The id that follows from the key.
        actual: KeyId,
    },
    /// The same key twice: it would count twice towards the threshold.
    #[error("key {0} is listed twice")]
    DuplicateKey(KeyId),
    /// A name that is too long or not printable.
    #[error("the name of key {0} is longer than 100 characters or not printable")]
    KeyName(KeyId),
    /// Nothing, or more than there are keys.
    #[error("the threshold is {threshold} of {keys} keys")]
    Threshold {
        /// The threshold.
        threshold: u32,
        /// How many keys there are.
        keys: usize,
    },
    /// The validity ends before it begins.
    #[error("the policy is valid from {from} until {until}, which is no time at all")]
    Validity {
        /// Its beginning.
        from: Time,
        /// Its end.
        until: Time,
    },
    /// Two signatures by one key.
    #[error("the policy carries two signatures by key {0}")]
    DuplicateSignature(KeyId),
    /// More signatures than are looked at.
    #[error("the policy carries {got} signatures, at most {limit} are looked at")]
    SignatureCount {
        /// How many it carries.
        got: usize,
        /// The limit.
        limit: usize,
    },
}

impl Policy {
    /// A policy with these terms, not yet signed by anyone. Keys are put in the order of their ids.
    pub fn new(mut terms: Terms) -> Result<Self, PolicyError> {
        if terms.version == 0 {
            return Err(PolicyError::Version);
        }
        let count = terms.keys.len();
        if count == 0 || count > limits::POLICY_KEYS {
            return Err(PolicyError::KeyCount { got: count, limit: limits::POLICY_KEYS });
        }
        terms.keys.sort_by_key(|trusted| trusted.key.id());
        for pair in terms.keys.windows(2) {
            // Two keys with one id would make signature files ambiguous, so the id is what must differ.
            if pair[0].key.id() == pair[1].key.id() {
                return Err(PolicyError::DuplicateKey(pair[0].key.id()));
            }
        }
        for trusted in &terms.keys {
            let printable = |name: &String| {
                name.chars().count() <= limits::KEY_NAME_CHARS && name.chars().all(is_printable)
            };
            if !trusted.name.as_ref().is_none_or(printable) {
                return Err(PolicyError::KeyName(trusted.key.id()));
            }
        }
        if terms.threshold == 0 || usize::try_from(terms.threshold).is_ok_and(|need| need > count) {
            return Err(PolicyError::Threshold { threshold: terms.threshold, keys: count });
        }
        if let (Some(from), Some(until)) = (terms.valid_from, terms.valid_until)
            && from > until
        {
            return Err(PolicyError::Validity { from, until });
        }
        Ok(Self { terms, endorsements: Vec::new() })
    }

    /// Reads `trust.json`.
    pub fn from_json(text: &[u8]) -> Result<Self, PolicyError> {
        if text.len() > limits::POLICY_BYTES {
            return Err(PolicyError::TooLong { bytes: text.len(), limit: limits::POLICY_BYTES });
        }
        document::head(text)?;
        serde_json::from_slice::<Document>(text)?.into_policy()
    }

    /// `trust.json`: canonical JSON (sorted keys, two spaces, LF, one trailing newline), signatures included.
    #[must_use]
    pub fn to_json(&self) -> String {
        Document::of(self, true).render()
    }

    /// The bytes a signature on this policy covers: `trust.json` without its signatures.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        Document::of(self, false).render().into_bytes()
    }

    /// What it says.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The signatures it carries, unchecked, in the order of their key ids.
    #[must_use]
    pub fn endorsements(&self) -> &[Endorsement] {
        &self.endorsements
    }

    /// Puts signatures into it, in place of earlier ones by the same keys.
    pub fn endorse(&mut self, more: impl IntoIterator<Item = Endorsement>) -> Result<(), PolicyError> {
        for endorsement in more {
            self.endorsements.retain(|old| old.key != endorsement.key);
            self.endorsements.push(endorsement);
        }
        self.endorsements.sort_by_key(|endorsement| endorsement.key);
        let got = self.endorsements.len();
        if got > limits::SIGNATURES {
            return Err(PolicyError::SignatureCount { got, limit: limits::SIGNATURES });
        }
        Ok(())
    }

    /// The trusted key of that id.
    #[must_use]
    pub fn key(&self, id: KeyId) -> Option<&TrustedKey> {
        self.terms.keys.iter().find(|trusted| trusted.key.id() == id)
    }
}
