//! Faults of keys, identities, recipients and policies.

use signing::rotation::RotationError;
use signing::{KeyError, PolicyError};

use super::Failure;
use crate::bundle::grant::GrantError;
use crate::ops::{keygen, keys, trust};

const PASSPHRASE: &str = "set BUNDLE_PASSPHRASE, or give it on stdin with --passphrase-stdin";

impl From<keygen::Error> for Failure {
    fn from(error: keygen::Error) -> Self {
        match error {
            keygen::Error::File(error) => error.into(),
            keygen::Error::Random(error) => error.into(),
            keygen::Error::Key(error) => key(&error).telling(&error),
            keygen::Error::Age(error) => age(&error).telling(&error),
        }
    }
}

impl From<keys::Error> for Failure {
    fn from(error: keys::Error) -> Self {
        match &error {
            keys::Error::File(_) => {}
            keys::Error::Key { source, .. } => return key(source).telling(&error),
            keys::Error::Age { source, .. } => return age(source).telling(&error),
            keys::Error::Recipient { source, .. } => {
                return age(source).hint("a recipient is age1… or a file of such lines").telling(&error);
            }
            keys::Error::Policy { source, .. } => return policy(source).telling(&error),
        }
        match error {
            keys::Error::File(error) => error.into(),
            other => Self::usage("key", other.to_string()),
        }
    }
}

impl From<trust::Error> for Failure {
    fn from(error: trust::Error) -> Self {
        match error {
            trust::Error::File(error) => error.into(),
            trust::Error::Key(error) => error.into(),
            trust::Error::Policy(ref source) => policy(source).telling(&error),
            trust::Error::Rotation { ref source, .. } => rotation(source).telling(&error),
            trust::Error::LastVersion => {
                Self::usage("policy", "").hint("make a new policy with bundle trust init").telling(&error)
            }
        }
    }
}

/// What follows from a fault of a signing key, without its words.
pub(super) fn key(error: &KeyError) -> Failure {
    match error {
        KeyError::PassphraseNeeded => Failure::usage("no_passphrase", "").hint(PASSPHRASE),
        KeyError::EmptyPassphrase => {
            Failure::usage("no_passphrase", "").hint("give a passphrase, or leave --passphrase out")
        }
        KeyError::WrongPassphrase => {
            Failure::refused("wrong_passphrase", "").hint("try again; the file was not changed")
        }
        KeyError::Label { got, .. } if got.starts_with("RSA ") => Failure::usage("key", "").hint(
            "this is PKCS#1; write it anew: openssl pkcs8 -topk8 -nocrypt -in KEY -out NEW (a private key), openssl rsa -RSAPublicKey_in -in PUB \
             -pubout -out NEW (a public one)",
        ),
        KeyError::Label { got, .. } if got == "PUBLIC KEY" => {
            Failure::usage("key", "").hint("this is a public key (.pub); the private one (.key) is wanted")
        }
        KeyError::Label { got, .. } if got.ends_with("PRIVATE KEY") && !got.contains("OPENSSH") => {
            Failure::usage("key", "").hint("this is a private key (.key); the public one (.pub) is wanted")
        }
        KeyError::LicenseAlgorithm { .. } => Failure::usage("key", "").hint(
            "licences are signed with RSA (openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out KEY) or Ed25519 (bundle \
             keygen signing)",
        ),
        KeyError::RsaSize { .. } | KeyError::RsaExponent => Failure::refused("key", "")
            .hint("make one: openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out KEY"),
        KeyError::Algorithm { .. } | KeyError::Label { .. } | KeyError::NotPem => Failure::usage("key", "")
            .hint("an Ed25519 key in PEM is wanted, as bundle keygen signing makes it"),
        KeyError::SignerAlgorithm { .. } => {
            Failure::usage("key", "").hint("name the public key that signed the images, cosign.pub")
        }
        KeyError::Encryption { .. } | KeyError::Cost { .. } => Failure::usage("key", "").hint(
            "write it anew: openssl pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA256 -in KEY -out NEW",
        ),
        KeyError::Mismatch | KeyError::Weak | KeyError::RsaNumbers => {
            Failure::refused("key", "").hint("do not use this key; ask where it came from")
        }
        KeyError::TooLong { .. } | KeyError::Malformed { .. } | KeyError::TrailingData => {
            Failure::usage("key", "")
                .hint("the file is damaged, or is not a key; take it from its source again")
        }
    }
}

/// What follows from a fault of an age file, without its words.
pub(super) fn age(error: &GrantError) -> Failure {
    match error {
        GrantError::PassphraseNeeded => Failure::usage("no_passphrase", "").hint(PASSPHRASE),
        GrantError::EmptyPassphrase => Failure::usage("no_passphrase", "").hint("give a passphrase"),
        GrantError::WrongPassphrase => Failure::refused("wrong_passphrase", "").hint("try again; the file was not changed"),
        GrantError::NotForYou | GrantError::NotByPassphrase => {
            Failure::refused("not_granted", "").hint("use the identity whose .pub was given to the vendor")
        }
        GrantError::Damaged | GrantError::Content | GrantError::Work { .. } => {
            Failure::refused("grant", "").hint("the file was damaged or made by someone else; get it from its source again")
        }
        GrantError::IdentityAsRecipient { .. } => {
            Failure::usage("recipient", "").hint("this is a private identity (.key); give its .pub, and keep the .key to yourself")
        }
        GrantError::Recipient { .. } => {
            Failure::usage("recipient", "").hint("a recipient is age1…, as bundle keygen recipient writes it into .pub")
        }
        GrantError::Identity { .. } | GrantError::Nothing { .. } | GrantError::Malformed { .. } => Failure::usage("identity", "")
            .hint("an identity file holds AGE-SECRET-KEY-1…, as bundle keygen recipient or age-keygen writes it"),
        GrantError::TooLong { .. } | GrantError::TooMany { .. } => {
            Failure::usage("identity", "").hint("this is not the kind of file that is expected here")
        }
        GrantError::Seal { .. } => Failure::world("seal", ""),
    }
}

fn policy(error: &PolicyError) -> Failure {
    let hint = match error {
        PolicyError::Format { .. } => "a newer program wrote it: use that one",
        PolicyError::DuplicateKey(_) => "name each key once",
        PolicyError::KeyCount { .. } => "name at least one key",
        PolicyError::Threshold { .. } => "the threshold is at least 1 and at most the number of keys",
        PolicyError::Validity { .. } => "the validity must begin before it ends",
        PolicyError::KeyIdMismatch { .. } | PolicyError::DuplicateSignature(_) => {
            "it was changed after it was made; get it from its source again"
        }
        _ => "a trust policy is made with bundle trust init, not by hand",
    };
    Failure::usage("policy", "").hint(hint)
}

fn rotation(error: &RotationError) -> Failure {
    let hint = match error {
        RotationError::NotNewer { .. } => "this one, or a later one, is in force already: bundle trust show",
        RotationError::Invalid(_) => "it was changed after it was signed; draft and sign it again",
        RotationError::TooFewOld { .. } => {
            "let more holders of the keys in force sign it: bundle trust rotate --endorse FILE --sign-key KEY"
        }
        RotationError::TooFewNew { .. } => {
            "let more holders of the new keys sign it: bundle trust rotate --endorse FILE --sign-key KEY"
        }
    };
    Failure::refused("rotation", "").hint(hint)
}
