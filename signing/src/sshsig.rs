//! The same key's signature for `ssh-keygen -Y verify` (OpenSSH's PROTOCOL.sshsig), namespace `bundle`, hash SHA-512.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha512};

use crate::keys::{PublicKey, SecretKey};
use crate::text::printable;
use crate::{limits, raw};

/// The namespace: what `ssh-keygen` takes as `-n`.
pub const NAMESPACE: &str = "bundle";

const MAGIC: &[u8] = b"SSHSIG";
const VERSION: u32 = 1;
const HASH: &str = "sha512";
const ALGORITHM: &str = "ssh-ed25519";
const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";
const END: &str = "-----END SSH SIGNATURE-----";
/// Characters in a line of armor, as `ssh-keygen` writes it.
const LINE: usize = 70;

/// Why an SSH signature does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SshsigError {
    /// Not an armored SSH signature as this program and `ssh-keygen` write it.
    #[error("not an SSH signature: {why}")]
    Malformed {
        /// What is wrong.
        why: &'static str,
    },
    /// Made for another purpose.
    #[error("the signature's namespace is \"{got}\", expected \"bundle\"")]
    Namespace {
        /// The namespace it names.
        got: String,
    },
    /// Made by another key.
    #[error("the signature is by another key")]
    OtherKey,
    /// The signature does not hold for the document.
    #[error("the signature does not hold")]
    Invalid,
}

/// Signs exactly the bytes of `document`; gives the armored form, ending in a newline.
#[must_use]
pub fn sign(key: &SecretKey, document: &[u8]) -> String {
    let mut signature = Vec::new();
    put(&mut signature, ALGORITHM.as_bytes());
    put(&mut signature, &raw::sign(key, &signed_data(document)));
    let mut blob = MAGIC.to_vec();
    blob.extend_from_slice(&VERSION.to_be_bytes());
    put(&mut blob, &public_blob(&key.public()));
    put(&mut blob, NAMESPACE.as_bytes());
    put(&mut blob, b""); // reserved
    put(&mut blob, HASH.as_bytes());
    put(&mut blob, &signature);
    armor(&blob)
}

/// Checks that `armored` is `key`'s signature over exactly the bytes of `document`.
pub fn check(key: &PublicKey, document: &[u8], armored: &[u8]) -> Result<(), SshsigError> {
    let blob = dearmor(armored)?;
    let mut rest = blob.strip_prefix(MAGIC).ok_or(malformed("it does not begin with SSHSIG"))?;
    let (version, tail) = rest.split_first_chunk::<4>().ok_or(malformed("it is cut off"))?;
    if u32::from_be_bytes(*version) != VERSION {
        return Err(malformed("its version is not 1"));
    }
    rest = tail;
    let public = take(&mut rest)?;
    let namespace = take(&mut rest)?;
    let reserved = take(&mut rest)?;
    let hash = take(&mut rest)?;
    let mut signature = take(&mut rest)?;
    let algorithm = take(&mut signature)?;
    let bytes = take(&mut signature)?;
    if !rest.is_empty() || !signature.is_empty() || !reserved.is_empty() {
        return Err(malformed("something follows the signature"));
    }
    if namespace != NAMESPACE.as_bytes() {
        return Err(SshsigError::Namespace { got: printable(&String::from_utf8_lossy(namespace), 40) });
    }
    if hash != HASH.as_bytes() {
        return Err(malformed("its hash is not sha512"));
    }
    if public != public_blob(key) || algorithm != ALGORITHM.as_bytes() {
        return Err(SshsigError::OtherKey);
    }
    if raw::holds(key, &signed_data(document), bytes) { Ok(()) } else { Err(SshsigError::Invalid) }
}

/// The line for an `allowed_signers` file (ssh-keygen(1), ALLOWED SIGNERS) under which `principal` may sign bundles; without a
/// newline. `None` when `principal` has a character that such a line gives a meaning to.
#[must_use]
pub fn allowed_signers_line(principal: &str, key: &PublicKey) -> Option<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"@._+-".contains(&b);
    if principal.is_empty() || !principal.bytes().all(plain) {
        return None;
    }
    let key = STANDARD.encode(public_blob(key));
    Some(format!("{principal} namespaces=\"{NAMESPACE}\" {ALGORITHM} {key}"))
}

/// What is signed in the end: magic, namespace, reserved, hash name, hash of the document.
fn signed_data(document: &[u8]) -> Vec<u8> {
    let mut data = MAGIC.to_vec();
    put(&mut data, NAMESPACE.as_bytes());
    put(&mut data, b"");
    put(&mut data, HASH.as_bytes());
    put(&mut data, &Sha512::digest(document));
    data
}

/// RFC 8709, §4: the name of the algorithm and the 32 bytes.
fn public_blob(key: &PublicKey) -> Vec<u8> {
    let mut blob = Vec::new();
    put(&mut blob, ALGORITHM.as_bytes());
    put(&mut blob, key.as_bytes());
    blob
}

/// RFC 4251, §5: `string`. Everything written here is shorter than 300 bytes.
fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn take<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], SshsigError> {
    let cut = malformed("it is cut off");
    let (length, tail) = rest.split_first_chunk::<4>().ok_or(cut.clone())?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| cut.clone())?;
    let (bytes, tail) = tail.split_at_checked(length).ok_or(cut)?;
    *rest = tail;
    Ok(bytes)
}

fn malformed(why: &'static str) -> SshsigError {
    SshsigError::Malformed { why }
}

fn armor(blob: &[u8]) -> String {
    let body = STANDARD.encode(blob);
    let mut text = format!("{BEGIN}\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(LINE));
        text.push_str(line);
        text.push('\n');
        rest = tail;
    }
    text.push_str(END);
    text.push('\n');
    text
}

fn dearmor(armored: &[u8]) -> Result<Vec<u8>, SshsigError> {
    if armored.len() > limits::SSHSIG_BYTES {
        return Err(malformed("it is too long"));
    }
    let text = std::str::from_utf8(armored).map_err(|_| malformed("it is not text"))?;
    let body = text
        .trim_end()
        .strip_prefix(BEGIN)
        .and_then(|text| text.strip_suffix(END))
        .ok_or(malformed("it is not armored"))?;
    let body: String = body.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
    STANDARD.decode(body).map_err(|_| malformed("it is not base64"))
}
