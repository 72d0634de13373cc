//! age identities and recipients, X25519 only, and the text files they are kept in.
//!
//! Plugin, SSH and post-quantum identities are deliberately absent: a line that is not understood is an error, never skipped.

use std::fmt;
use std::str::FromStr;

use age::secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::{GrantError, OpenWith, open_bytes};
use crate::limits;

/// A private X25519 identity. Wiped from memory when dropped; never printed.
#[derive(Clone)]
pub struct Identity(age::x25519::Identity);

/// A public recipient, printed `age1…`.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient(age::x25519::Recipient);

/// What an identity file holds: at least one identity.
#[derive(Debug)]
pub struct Identities(Vec<Identity>);

impl Identity {
    /// A new one, from the system's random source.
    #[must_use]
    pub fn generate() -> Self {
        Self(age::x25519::Identity::generate())
    }

    /// The one recipient that seals to it.
    #[must_use]
    pub fn recipient(&self) -> Recipient {
        Recipient(self.0.to_public())
    }

    /// `AGE-SECRET-KEY-1…`.
    #[must_use]
    pub fn to_text(&self) -> SecretString {
        self.0.to_string()
    }

    /// An identity file, as `age-keygen` writes it but for the date.
    #[must_use]
    pub fn to_file(&self) -> Zeroizing<String> {
        let (recipient, secret) = (self.recipient().to_string(), self.to_text());
        let mut text = Zeroizing::new(String::with_capacity(256));
        for part in ["# public key: ", &recipient, "\n", secret.expose_secret(), "\n"] {
            text.push_str(part);
        }
        text
    }

    /// The identity as the age crate has it, for the header of a volume.
    #[must_use]
    pub fn as_age(&self) -> &age::x25519::Identity {
        &self.0
    }
}

impl FromStr for Identity {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        text.parse().map(Self).map_err(|_| GrantError::Identity { line: 1 })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({}, redacted)", self.recipient())
    }
}

impl Identities {
    /// Reads an identity file as `age -i` takes it: lines of identities, comments and empty lines, plain or sealed with a
    /// passphrase (armored or not). The passphrase is not looked at when the file is plain.
    pub fn parse(file: &[u8], passphrase: Option<&SecretString>) -> Result<Self, GrantError> {
        let sealed = [b"age-encryption.org/".as_slice(), b"-----BEGIN AGE ENCRYPTED FILE-----"];
        if !sealed.iter().any(|start| file.starts_with(start)) {
            return Self::parse_plain(file);
        }
        let passphrase = passphrase.ok_or(GrantError::PassphraseNeeded)?;
        Self::parse_plain(&open_bytes(file, OpenWith::Passphrase(passphrase))?)
    }

    pub(super) fn parse_plain(file: &[u8]) -> Result<Self, GrantError> {
        let identities = lines(file, |line, text| text.parse().map_err(|_| GrantError::Identity { line }))?;
        if identities.is_empty() {
            return Err(GrantError::Nothing { what: "identity" });
        }
        Ok(Self(identities.into_iter().map(Identity).collect()))
    }

    /// Those in it, in the order of the file.
    #[must_use]
    pub fn as_slice(&self) -> &[Identity] {
        &self.0
    }

    /// The only one; `None` when there are more.
    #[must_use]
    pub fn into_one(mut self) -> Option<Identity> {
        self.0.pop().filter(|_| self.0.is_empty())
    }

    pub(super) fn as_age(&self) -> impl Iterator<Item = &dyn age::Identity> {
        self.0.iter().map(|identity| &identity.0 as &dyn age::Identity)
    }
}

impl Recipient {
    /// Reads a recipients file as `age -R` takes it: lines of recipients, comments and empty lines; at least one recipient.
    pub fn parse_file(file: &[u8]) -> Result<Vec<Self>, GrantError> {
        let recipients = lines(file, |line, text| {
            if text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") {
                return Err(GrantError::IdentityAsRecipient { line });
            }
            text.parse().map_err(|_| GrantError::Recipient { line })
        })?;
        if recipients.is_empty() {
            return Err(GrantError::Nothing { what: "recipient" });
        }
        Ok(recipients)
    }

    /// The recipient as the age crate has it, for the header of a volume.
    #[must_use]
    pub fn as_age(&self) -> &dyn age::Recipient {
        &self.0
    }
}

impl FromStr for Recipient {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        text.parse().map(Self).map_err(|_| GrantError::Recipient { line: 1 })
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What `read` makes of each line that is neither empty nor a comment.
fn lines<T>(file: &[u8], read: impl Fn(usize, &str) -> Result<T, GrantError>) -> Result<Vec<T>, GrantError> {
    let length = file.len() as u64;
    if length > limits::KEY_BYTES {
        return Err(GrantError::TooLong { bytes: length, limit: limits::KEY_BYTES });
    }
    let text = std::str::from_utf8(file).map_err(|_| GrantError::Malformed { why: "it is not text" })?;
    let mut found = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        if found.len() == limits::IDENTITIES {
            return Err(GrantError::TooMany { limit: limits::IDENTITIES });
        }
        found.push(read(line, text)?);
    }
    Ok(found)
}
