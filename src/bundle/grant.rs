//! `grants/<customer>.age`: the release identity, sealed to one customer.
//!
//! Ordinary age v1 files (C2SP age), binary when written, binary or armored when read: what is sealed here, stock `age` opens, and the other
//! way round. Inside is an age identity file with one X25519 identity, so `age -d` of a grant gives what `age -i` takes. Randomness is
//! the age crate's own.

use std::io::{Read as _, Write as _};

use age::secrecy::{ExposeSecret as _, SecretString};
use age::{DecryptError, Decryptor, Encryptor, armor};
use zeroize::Zeroizing;

use crate::limits;

mod error;
mod identity;

pub use error::GrantError;
pub use identity::{Identities, Identity, Recipient};

/// log₂ of scrypt's N when a passphrase seals: what stock `age` takes, about a second and 256 MiB.
const WORK: u8 = 18;

/// What something is sealed to.
#[derive(Clone, Copy)]
pub enum SealTo<'a> {
    /// Whoever holds one of these recipients' identities.
    Recipients(&'a [Recipient]),
    /// Whoever knows the passphrase.
    Passphrase(&'a SecretString),
}

/// What opens something.
#[derive(Clone, Copy)]
pub enum OpenWith<'a> {
    /// The identities of a file.
    Identities(&'a Identities),
    /// A passphrase.
    Passphrase(&'a SecretString),
}

/// Seals the identity of a release; gives the bytes of a grant.
pub fn seal(release: &Identity, to: SealTo<'_>) -> Result<Vec<u8>, GrantError> {
    seal_bytes(release.to_file().as_bytes(), to)
}

/// Opens a grant; gives the identity of the release.
pub fn open(grant: &[u8], with: OpenWith<'_>) -> Result<Identity, GrantError> {
    let file = open_bytes(grant, with)?;
    let identities = Identities::parse_plain(&file).map_err(|_| GrantError::Content)?;
    identities.into_one().ok_or(GrantError::Content)
}

/// Whether it is an age file that a passphrase opens, so that one is worth asking for.
#[must_use]
pub fn wants_passphrase(bytes: &[u8]) -> bool {
    check_length(bytes).is_ok()
        && Decryptor::new_buffered(armor::ArmoredReader::new(bytes)).is_ok_and(|file| file.is_scrypt())
}

/// The scrypt blocks that one try at its passphrase takes (C2SP age, "scrypt recipient stanza"); 0 for what no passphrase opens.
#[must_use]
pub fn passphrase_work(bytes: &[u8]) -> u64 {
    let mut head = Vec::new();
    // What cannot be read so far is no grant, and trying it costs nothing.
    let _ = armor::ArmoredReader::new(bytes).take(256).read_to_end(&mut head);
    let text = String::from_utf8_lossy(&head);
    let stanza = text.lines().nth(1).and_then(|line| line.strip_prefix("-> scrypt "));
    let work = stanza.and_then(|rest| rest.split(' ').nth(1)?.parse::<u32>().ok());
    work.and_then(|work| 1u64.checked_shl(work)).unwrap_or(0)
}

/// The bytes of an identity file that only the passphrase opens, armored as `age -p -a` writes it.
pub fn lock_identity(identity: &Identity, passphrase: &SecretString) -> Result<String, GrantError> {
    let sealed = seal_bytes(identity.to_file().as_bytes(), SealTo::Passphrase(passphrase))?;
    let armored = armor::ArmoredWriter::wrap_output(Vec::new(), armor::Format::AsciiArmor)
        .and_then(|mut writer| writer.write_all(&sealed).and_then(|()| writer.finish()))
        .map_err(|_| GrantError::Seal { why: "armor" })?;
    String::from_utf8(armored).map_err(|_| GrantError::Seal { why: "armor" })
}

fn seal_bytes(plain: &[u8], to: SealTo<'_>) -> Result<Vec<u8>, GrantError> {
    let encryptor = match to {
        SealTo::Recipients(recipients) => {
            Encryptor::with_recipients(recipients.iter().map(Recipient::as_age))
                .map_err(|_| GrantError::Seal { why: "there is no recipient" })?
        }
        SealTo::Passphrase(passphrase) => {
            if passphrase.expose_secret().is_empty() {
                return Err(GrantError::EmptyPassphrase);
            }
            let mut recipient = age::scrypt::Recipient::new(passphrase.clone());
            recipient.set_work_factor(WORK);
            Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient))
                .map_err(|_| GrantError::Seal { why: "passphrase" })?
        }
    };
    let mut sealed = Vec::new();
    encryptor
        .wrap_output(&mut sealed)
        .and_then(|mut writer| writer.write_all(plain).and_then(|()| writer.finish()))
        .map_err(|_| GrantError::Seal { why: "writing to memory" })?;
    Ok(sealed)
}

pub(super) fn open_bytes(bytes: &[u8], with: OpenWith<'_>) -> Result<Zeroizing<Vec<u8>>, GrantError> {
    check_length(bytes)?;
    let file = Decryptor::new_buffered(armor::ArmoredReader::new(bytes))
        .map_err(|error| GrantError::of(&error, false))?;
    let reader = match with {
        OpenWith::Identities(_) if file.is_scrypt() => return Err(GrantError::PassphraseNeeded),
        OpenWith::Identities(identities) => file.decrypt(identities.as_age()),
        OpenWith::Passphrase(_) if !file.is_scrypt() => return Err(GrantError::NotByPassphrase),
        OpenWith::Passphrase(passphrase) => {
            let mut identity = age::scrypt::Identity::new(passphrase.clone());
            identity.set_max_work_factor(limits::PASSPHRASE_WORK);
            file.decrypt(std::iter::once(&identity as &dyn age::Identity))
        }
    };
    let by_passphrase = matches!(with, OpenWith::Passphrase(_));
    let mut reader = reader.map_err(|error| GrantError::of(&error, by_passphrase))?;
    // Never longer than what it came from; given room so that growing leaves no copy of a secret behind.
    let mut plain = Zeroizing::new(Vec::with_capacity(bytes.len()));
    reader.read_to_end(&mut plain).map_err(|_| GrantError::Damaged)?;
    Ok(plain)
}

fn check_length(bytes: &[u8]) -> Result<(), GrantError> {
    let length = bytes.len() as u64;
    if length > limits::KEY_BYTES {
        return Err(GrantError::TooLong { bytes: length, limit: limits::KEY_BYTES });
    }
    Ok(())
}

impl GrantError {
    fn of(error: &DecryptError, by_passphrase: bool) -> Self {
        match error {
            DecryptError::NoMatchingKeys => Self::NotForYou,
            DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed if by_passphrase => {
                Self::WrongPassphrase
            }
            DecryptError::ExcessiveWork { required, .. } => {
                Self::Work { asked: *required, limit: limits::PASSPHRASE_WORK }
            }
            DecryptError::InvalidHeader => Self::Malformed { why: "its header is not an age header" },
            DecryptError::UnknownFormat => {
                Self::Malformed { why: "it is of an age version that is not known" }
            }
            DecryptError::Io(_) => Self::Malformed { why: "it is not an age file, or cut off" },
            _ => Self::Damaged,
        }
    }
}

#[cfg(test)]
mod tests;
