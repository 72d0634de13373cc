//! What a check saw: facts, each with the weight it has. Wording and remedies are the face's.

use std::fmt;

use serde::Serialize;
use signing::{FindingKind, KeyId, Weight};

use crate::digest::Digest;

/// One thing a check saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What follows from it.
    pub weight: Weight,
    /// What it is.
    #[serde(flatten)]
    pub what: What,
}

/// What a check can see. In JSON, `what` names the variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum What {
    /// Something about the signatures or the policy.
    Signature {
        /// In words, without advice.
        detail: String,
        /// Which key, where it is about one.
        #[serde(skip_serializing_if = "Option::is_none")]
        key: Option<KeyId>,
    },
    /// A listed file is not there.
    Missing {
        /// Its path in the bundle.
        path: String,
    },
    /// A file that nothing lists.
    Extra {
        /// Its path in the bundle.
        path: String,
    },
    /// A file whose bytes are not those that are listed.
    Changed {
        /// Its path in the bundle.
        path: String,
        /// What is listed.
        expected: Digest,
        /// What it is.
        got: Digest,
    },
    /// A volume that is too short or too long.
    Size {
        /// Its path in the bundle.
        path: String,
        /// Bytes it should have.
        expected: u64,
        /// Bytes it has.
        got: u64,
    },
    /// A chunk whose bytes are not those that were signed.
    Damaged {
        /// The volume's path in the bundle.
        path: String,
        /// Which chunk, from 0.
        chunk: u64,
        /// First byte of the file that may be damaged.
        from: u64,
        /// One past the last.
        to: u64,
    },
    /// A stretch of a copy that the device does not give back as it was written.
    Miswritten {
        /// Where the copy is.
        place: String,
        /// The file's path in the bundle.
        path: String,
        /// Which chunk, from 0; 0 for a file without chunks.
        chunk: u64,
        /// First byte of the file that may be wrong.
        from: u64,
        /// One past the last.
        to: u64,
        /// What came instead.
        why: String,
    },
    /// A file that cannot be read, or is no ordinary file.
    Unreadable {
        /// Its path in the bundle.
        path: String,
        /// What the system said.
        why: String,
    },
    /// A file that this user may not read.
    Denied {
        /// Its path in the bundle.
        path: String,
        /// What the system said.
        why: String,
    },
    /// A file that was there when the check began and is not any more: the medium was taken away.
    Gone {
        /// Its path in the bundle.
        path: String,
        /// What the system said.
        why: String,
    },
    /// The only grant that opens is for another release key.
    OtherKey {
        /// In words, without advice.
        detail: String,
        /// The release whose grant is needed: name and version.
        release: String,
    },
    /// The index and `SHA256SUMS`, both signed, contradict each other.
    Contradiction {
        /// Its path in the bundle.
        path: String,
    },
    /// A volume that the release key does not open, though its bytes are those that were signed.
    NotOpened {
        /// Its path in the bundle.
        path: String,
        /// Which bytes of the file.
        from: u64,
        /// One past the last.
        to: u64,
    },
    /// A blob whose bytes are not those its digest names, though the volumes are intact.
    WrongBlob {
        /// Its digest.
        digest: Digest,
        /// What its bytes hash to.
        got: Digest,
    },
    /// A blob that is listed as a manifest and is none.
    WrongManifest {
        /// Its digest.
        digest: Digest,
        /// What is wrong with it.
        detail: String,
    },
    /// The tar around the blobs is not the one the index describes.
    WrongTar {
        /// Payload byte from which on it differs.
        offset: u64,
    },
    /// What names things for stock tools says something else than the index.
    WrongName {
        /// Which file at the beginning of the payload.
        file: String,
    },
    /// Blobs that belong to nothing.
    Idle {
        /// The first.
        digest: Digest,
        /// How many.
        blobs: usize,
    },
    /// An image, chart or model, or what refers to one, is not whole.
    Graph {
        /// As it is called.
        root: String,
        /// What is missing.
        detail: String,
    },
    /// An image without the signature that its vendor proved when the release was locked.
    Unsigned {
        /// Its reference.
        image: String,
        /// The manifest that should be signed.
        subject: Digest,
        /// By which key.
        key: KeyId,
        /// What there is instead.
        detail: String,
    },
    /// A release older than the highest one that was loaded here.
    Downgrade {
        /// The highest.
        installed: String,
        /// This one.
        version: String,
    },
    /// A rule for names that moves none.
    IdleRule {
        /// The rule.
        rule: String,
    },
    /// Nothing is known of what was loaded before: there is no folder that remembers.
    NoMemory,
    /// It was loaded, and that could not be remembered.
    NotRemembered {
        /// Why.
        detail: String,
    },
    /// A licence beside the bundle that is not, or soon no more, one for this release.
    License {
        /// Its path in the bundle.
        path: String,
        /// The verdict's name, as `bundle license verify --json` has it.
        verdict: String,
        /// The same in words, without advice.
        detail: String,
    },
    /// Something that is not as signed and could not be mended.
    Unmended {
        /// Its path in the bundle.
        path: String,
        /// Which chunk of it; `None` for a whole file.
        #[serde(skip_serializing_if = "Option::is_none")]
        chunk: Option<u64>,
        /// Why.
        why: String,
    },
    /// Blobs that an upgrade relies on, and that are neither in the registry nor in a base bundle.
    BaseLacks {
        /// The image, chart or model that needs them.
        of: String,
        /// How many.
        blobs: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// A base bundle that cannot be used.
    Base {
        /// Its folder.
        path: String,
        /// In words, without advice.
        detail: String,
    },
    /// A check that was asked for could not be made.
    Unchecked {
        /// Which, and why.
        detail: String,
    },
}

impl Finding {
    /// A finding that stops the work.
    #[must_use]
    pub fn refuse(what: What) -> Self {
        Self { weight: Weight::Refuse, what }
    }

    /// A finding that is said, and the work goes on.
    #[must_use]
    pub fn warn(what: What) -> Self {
        Self { weight: Weight::Warn, what }
    }
}

/// Whether nothing refuses but what could not be read at all: that says nothing of the bundle.
#[must_use]
pub fn only_unreachable(findings: &[Finding]) -> bool {
    let mut refusals = findings.iter().filter(|finding| finding.weight == Weight::Refuse).peekable();
    refusals.peek().is_some()
        && refusals.all(|finding| matches!(finding.what, What::Denied { .. } | What::Gone { .. }))
}

/// Whether any of `findings` stops the work.
#[must_use]
pub fn refused(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.weight == Weight::Refuse)
}

impl From<signing::Finding> for Finding {
    fn from(finding: signing::Finding) -> Self {
        let (detail, key) = match finding.kind {
            FindingKind::NoSignature => ("it is not signed".to_owned(), None),
            FindingKind::TooManySignatures { have, limit } => {
                (format!("it has {have} signatures; at most {limit} are looked at"), None)
            }
            FindingKind::NotEnough { have, need } => {
                (format!("{have} of the {need} signatures that the policy asks for hold"), None)
            }
            FindingKind::UnknownKey { key } => {
                (format!("a signature by key {key}, which the policy does not name"), Some(key))
            }
            FindingKind::InvalidSignature { key } => (
                format!("the signature by key {key} does not hold: SHA256SUMS or the signature was changed"),
                Some(key),
            ),
            FindingKind::MalformedSignature { key, bytes } => {
                (format!("the signature by key {key} has {bytes} bytes, not 64"), Some(key))
            }
            FindingKind::DuplicateKey { key } => {
                (format!("key {key} signed twice; it counts once"), Some(key))
            }
            FindingKind::Expired { until, now } => {
                (format!("the trust policy was valid until {until}; it is {now}"), None)
            }
            FindingKind::NotYetValid { from, now } => {
                (format!("the trust policy is valid from {from}; it is {now}"), None)
            }
            FindingKind::NoClock => {
                ("the clock is not set, so the policy's validity was not checked".to_owned(), None)
            }
        };
        Self { weight: finding.weight, what: What::Signature { detail, key } }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signature { detail, .. } | Self::Unchecked { detail } | Self::OtherKey { detail, .. } => {
                f.write_str(detail)
            }
            Self::Miswritten { place, path, chunk, from, to, why } => write!(
                f,
                "{place} does not give back what was written to it: {path}, chunk {chunk}, bytes {from} to {to}: {why}"
            ),
            Self::Missing { path } => write!(f, "{path} is missing"),
            Self::Extra { path } => write!(f, "{path} is not listed in SHA256SUMS"),
            Self::Changed { path, .. } => write!(f, "{path} is not the file that was signed"),
            Self::Size { path, expected, got } => write!(f, "{path} has {got} bytes of {expected}"),
            Self::Damaged { path, chunk, from, to } => {
                write!(f, "{path} is damaged in chunk {chunk}, bytes {from} to {to}")
            }
            Self::Unreadable { path, why } | Self::Denied { path, why } => {
                write!(f, "{path} cannot be read: {why}")
            }
            Self::Gone { path, why } => write!(f, "{path} is not there any more: {why}"),
            Self::Contradiction { path } => write!(f, "bundle.json and SHA256SUMS disagree about {path}"),
            Self::NotOpened { path, from, to } => {
                write!(f, "{path} is as signed, but bytes {from} to {to} do not open under the release key")
            }
            Self::WrongBlob { digest, got } => write!(f, "blob {digest} has the bytes of {got}"),
            Self::WrongManifest { digest, detail } => write!(f, "manifest {digest}: {detail}"),
            Self::WrongTar { offset } => {
                write!(f, "the payload is not the tar that bundle.json describes, from byte {offset}")
            }
            Self::WrongName { file } => {
                write!(f, "{file} at the beginning of the payload does not name what bundle.json names")
            }
            Self::Idle { digest, blobs: 1 } => {
                write!(f, "blob {digest} belongs to no image, chart or model")
            }
            Self::Idle { digest, blobs } => {
                write!(f, "{blobs} blobs belong to no image, chart or model, the first of them {digest}")
            }
            Self::Unsigned { image, subject, key, detail } => {
                write!(f, "{subject} of {image} is not signed by key {key}: {detail}")
            }
            Self::Graph { root, detail } => write!(f, "{root} is not whole: {detail}"),
            Self::License { path, detail, .. } | Self::Base { path, detail } => write!(f, "{path}: {detail}"),
            Self::BaseLacks { of, blobs, bytes } => write!(
                f,
                "{of} needs {blobs} blobs ({}) that this upgrade does not bring, and that neither the registry nor a base bundle has",
                crate::checked::ByteSize(*bytes)
            ),
            Self::IdleRule { rule } => write!(f, "--map {rule} moves nothing of this bundle"),
            Self::NoMemory => f.write_str(
                "there is no state folder (no HOME, no BUNDLE_STATE): whether a newer release was loaded before is not known",
            ),
            Self::NotRemembered { detail } => {
                write!(f, "everything was loaded, but that could not be remembered: {detail}")
            }
            Self::Unmended { path, chunk: Some(chunk), why } => {
                write!(f, "{path} stays damaged in chunk {chunk}: {why}")
            }
            Self::Unmended { path, chunk: None, why } => write!(f, "{path} stays as it is: {why}"),
            Self::Downgrade { installed, version } => {
                write!(f, "version {version} is older than {installed}, which was loaded before")
            }
        }
    }
}
