//! Sealing a volume: an age v1 file to one X25519 recipient, any 64 KiB of which can be opened alone.
//!
//! C2SP age.md, §X25519 recipient stanza, §Header MAC, §Payload. We write the one shape of header we need and read that shape
//! only: its length never changes, so every volume's size is known before a byte is sealed, and a hostile header has
//! nothing to play with. Stock `age` reads what is written here. Chunks are independent, so many threads may seal or open
//! parts of the same volume.
//!
//! Absent on purpose: other recipients (grants carry those), armor, writing in place of an existing nonce.

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey, X25519};
use aws_lc_rs::{hkdf, hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as B64;
use bech32::{FromBase32 as _, ToBase32 as _, Variant};
use zeroize::{Zeroize as _, Zeroizing};

/// Bytes of plaintext in one AEAD chunk (age.md §Payload).
pub const PLAIN: usize = 64 << 10;
/// Bytes a chunk grows by.
pub const TAG: usize = 16;
/// Bytes of one full sealed chunk.
pub const SEALED: usize = PLAIN + TAG;
/// Bytes before the first chunk: the header for one X25519 recipient and the payload nonce.
pub const HEADER: usize = TEXT + NONCE;

const TEXT: usize = INTRO.len() + STANZA.len() + 43 + 1 + 43 + 1 + MAC.len() + 1 + 43 + 1;
const INTRO: &str = "age-encryption.org/v1\n";
const STANZA: &str = "-> X25519 ";
const MAC: &str = "---";
const NONCE: usize = 16;
const INFO_WRAP: &[u8] = b"age-encryption.org/v1/X25519";

/// Why sealing or opening failed. Deliberately says no more than that: the caller knows what it was opening.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The text is not an age X25519 identity.
    #[error("not an age X25519 identity")]
    Identity,
    /// The bytes do not begin with the header this format has.
    #[error("not the header of a sealed volume")]
    Header,
    /// The header is of a volume sealed for another release.
    #[error("sealed for another release key")]
    NotForThisKey,
    /// A chunk does not authenticate.
    #[error("a chunk does not authenticate")]
    Chunk,
    /// The key derivation failed.
    #[error("key derivation failed")]
    Derive,
    /// The system gave no random bytes.
    #[error("no random bytes from the system")]
    Random,
}

/// The release's own X25519 identity: opens every volume of the release.
pub struct ReleaseKey {
    secret: Zeroizing<[u8; 32]>,
    public: [u8; 32],
}

impl std::fmt::Debug for ReleaseKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReleaseKey(..)")
    }
}

impl ReleaseKey {
    /// A new key from 32 random bytes.
    pub fn from_secret(secret: [u8; 32]) -> Result<Self, SealError> {
        let secret = Zeroizing::new(secret);
        let private =
            PrivateKey::from_private_key(&X25519, secret.as_ref()).map_err(|_| SealError::Identity)?;
        let public = private.compute_public_key().map_err(|_| SealError::Identity)?;
        let public = public.as_ref().try_into().map_err(|_| SealError::Identity)?;
        Ok(Self { secret, public })
    }

    /// A new random key.
    pub fn generate() -> Result<Self, SealError> {
        let mut secret = [0; 32];
        rand::fill(&mut secret).map_err(|_| SealError::Random)?;
        let key = Self::from_secret(secret);
        secret.zeroize();
        key
    }

    /// Reads `AGE-SECRET-KEY-1…` (age.md §X25519 identity), surrounding white space ignored.
    pub fn from_text(text: &str) -> Result<Self, SealError> {
        let (prefix, data, variant) = bech32::decode(text.trim()).map_err(|_| SealError::Identity)?;
        if !prefix.eq_ignore_ascii_case("age-secret-key-") || variant != Variant::Bech32 {
            return Err(SealError::Identity);
        }
        let raw = Zeroizing::new(Vec::from_base32(&data).map_err(|_| SealError::Identity)?);
        Self::from_secret(raw.as_slice().try_into().map_err(|_| SealError::Identity)?)
    }

    /// The key as `AGE-SECRET-KEY-1…`, for a grant.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let text = bech32::encode("age-secret-key-", self.secret.to_base32(), Variant::Bech32);
        Zeroizing::new(text.unwrap_or_default().to_uppercase())
    }

    /// Reads the header of a volume and derives what opens it. `header` is its first [`HEADER`] bytes.
    pub fn open_header(&self, header: &[u8; HEADER]) -> Result<VolumeKey, SealError> {
        let text = std::str::from_utf8(&header[..TEXT]).map_err(|_| SealError::Header)?;
        let rest = text.strip_prefix(INTRO).and_then(|t| t.strip_prefix(STANZA)).ok_or(SealError::Header)?;
        let (share, rest) = rest.split_once('\n').ok_or(SealError::Header)?;
        let (body, rest) = rest.split_once('\n').ok_or(SealError::Header)?;
        let mac = rest.strip_prefix("--- ").and_then(|r| r.strip_suffix('\n')).ok_or(SealError::Header)?;
        let share: [u8; 32] = decode(share)?;
        let wrapped: [u8; 32] = decode(body)?;
        let mac: [u8; 32] = decode(mac)?;

        let private = PrivateKey::from_private_key(&X25519, self.secret.as_ref())
            .map_err(|_| SealError::NotForThisKey)?;
        let key = wrap_key(&private, &share, &share, &self.public)?;
        let mut file_key = Zeroizing::new(wrapped);
        let opened = key
            .open_in_place(nonce(0, false), Aad::empty(), file_key.as_mut())
            .map_err(|_| SealError::NotForThisKey)?;
        let file_key: Zeroizing<[u8; 16]> =
            Zeroizing::new((&*opened).try_into().map_err(|_| SealError::Header)?);
        let covered = &header[..TEXT - 1 - 43 - 1];
        hmac::verify(&mac_key(&file_key)?, covered, &mac).map_err(|_| SealError::Header)?;
        VolumeKey::derive(&file_key, &header[TEXT..])
    }
}

/// Opens and seals the chunks of one volume. Shared between threads.
pub struct VolumeKey(LessSafeKey);

impl std::fmt::Debug for VolumeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("VolumeKey(..)")
    }
}

impl VolumeKey {
    /// A fresh volume: its header and its key, under a file key never used before.
    pub fn generate(recipient: &ReleaseKey) -> Result<([u8; HEADER], Self), SealError> {
        let (mut ephemeral, mut file_key) = (Zeroizing::new([0u8; 32]), Zeroizing::new([0u8; 16]));
        let mut payload_nonce = [0u8; NONCE];
        for bytes in [&mut ephemeral[..], &mut file_key[..], &mut payload_nonce[..]] {
            rand::fill(bytes).map_err(|_| SealError::Random)?;
        }
        let private =
            PrivateKey::from_private_key(&X25519, ephemeral.as_ref()).map_err(|_| SealError::Random)?;
        let share = private.compute_public_key().map_err(|_| SealError::Random)?;
        let key = wrap_key(&private, &recipient.public, share.as_ref(), &recipient.public)?;
        let mut wrapped = Zeroizing::new(file_key.to_vec());
        key.seal_in_place_append_tag(nonce(0, false), Aad::empty(), &mut *wrapped)
            .map_err(|_| SealError::Chunk)?;

        let covered = format!("{INTRO}{STANZA}{}\n{}\n{MAC}", B64.encode(share), B64.encode(&*wrapped));
        let mac = hmac::sign(&mac_key(&file_key)?, covered.as_bytes());
        let mut header = [0; HEADER];
        let text = format!("{covered} {}\n", B64.encode(mac));
        header[..TEXT].copy_from_slice(text.as_bytes());
        header[TEXT..].copy_from_slice(&payload_nonce);
        Ok((header, Self::derive(&file_key, &payload_nonce)?))
    }

    fn derive(file_key: &[u8; 16], payload_nonce: &[u8]) -> Result<Self, SealError> {
        let key = expand(file_key, payload_nonce, b"payload")?;
        let key = UnboundKey::new(&CHACHA20_POLY1305, key.as_ref()).map_err(|_| SealError::Header)?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// Seals chunk `number` in place: `unit` is its plaintext ([`PLAIN`] bytes, fewer only in the last) and [`TAG`] bytes of room.
    pub fn seal(&self, number: u64, last: bool, unit: &mut [u8]) -> Result<(), SealError> {
        let plain = unit.len().checked_sub(TAG).ok_or(SealError::Chunk)?;
        let (plain, room) = unit.split_at_mut(plain);
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce(number, last), Aad::empty(), plain)
            .map_err(|_| SealError::Chunk)?;
        room.copy_from_slice(tag.as_ref());
        Ok(())
    }

    /// Opens chunk `number` in place; the plaintext is the first `chunk.len() - TAG` bytes.
    pub fn open(&self, number: u64, last: bool, chunk: &mut [u8]) -> Result<usize, SealError> {
        let opened =
            self.0.open_in_place(nonce(number, last), Aad::empty(), chunk).map_err(|_| SealError::Chunk)?;
        Ok(opened.len())
    }

    /// Opens chunk `number` into `plain`, which is [`TAG`] bytes shorter, and leaves the sealed bytes as they are.
    pub fn open_into(
        &self,
        number: u64,
        last: bool,
        (sealed, plain): (&[u8], &mut [u8]),
    ) -> Result<(), SealError> {
        let (sealed, tag) = sealed.split_at_checked(plain.len()).ok_or(SealError::Chunk)?;
        self.0
            .open_separate_gather(nonce(number, last), Aad::empty(), sealed, tag, plain)
            .map_err(|_| SealError::Chunk)
    }
}

/// The sealed length of `plain` bytes (> 0) of a volume.
#[must_use]
pub fn sealed_length(plain: u64) -> u64 {
    HEADER as u64 + plain + plain.div_ceil(PLAIN as u64) * TAG as u64
}

/// age.md §Payload: an 11-byte big-endian counter and one byte that marks the last chunk.
fn nonce(number: u64, last: bool) -> Nonce {
    let mut bytes = [0; 12];
    bytes[3..11].copy_from_slice(&number.to_be_bytes());
    bytes[11] = u8::from(last);
    Nonce::assume_unique_for_key(bytes)
}

fn decode(text: &str) -> Result<[u8; 32], SealError> {
    let bytes = B64.decode(text).map_err(|_| SealError::Header)?;
    bytes.as_slice().try_into().map_err(|_| SealError::Header)
}

/// age.md §X25519: the key that wraps the file key. `peer` is the other side's public key.
fn wrap_key(
    private: &PrivateKey,
    peer: &[u8; 32],
    share: &[u8],
    recipient: &[u8; 32],
) -> Result<LessSafeKey, SealError> {
    let mut salt = [0; 64];
    salt[..32].copy_from_slice(share);
    salt[32..].copy_from_slice(recipient);
    // X25519 of a low-order point is all zero; `agree` refuses it, as age.md requires.
    let peer = UnparsedPublicKey::new(&X25519, peer);
    let key =
        agreement::agree(private, peer, SealError::NotForThisKey, |shared| expand(shared, &salt, INFO_WRAP))?;
    UnboundKey::new(&CHACHA20_POLY1305, key.as_ref()).map(LessSafeKey::new).map_err(|_| SealError::Chunk)
}

fn mac_key(file_key: &[u8; 16]) -> Result<hmac::Key, SealError> {
    Ok(hmac::Key::new(hmac::HMAC_SHA256, expand(file_key, &[], b"header")?.as_ref()))
}

/// HKDF-SHA-256 to 32 bytes.
fn expand(secret: &[u8], salt: &[u8], info: &[u8]) -> Result<Zeroizing<[u8; 32]>, SealError> {
    let mut out = Zeroizing::new([0; 32]);
    let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(secret);
    prk.expand(&[info], hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(out.as_mut()))
        .map_err(|_| SealError::Derive)?;
    Ok(out)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn seal_all(key: &ReleaseKey, plain: &[u8]) -> Vec<u8> {
        let (header, volume) = VolumeKey::generate(key).unwrap();
        let mut sealed = header.to_vec();
        let count = plain.len().div_ceil(PLAIN).max(1);
        for (number, chunk) in plain.chunks(PLAIN).enumerate() {
            let start = sealed.len();
            sealed.extend_from_slice(chunk);
            sealed.extend_from_slice(&[0; TAG]);
            volume.seal(number as u64, number + 1 == count, &mut sealed[start..]).unwrap();
        }
        sealed
    }

    #[test]
    fn the_age_library_opens_what_is_sealed_here() {
        let key = ReleaseKey::generate().unwrap();
        let identity: age::x25519::Identity = key.to_text().parse().unwrap();
        for length in [1, PLAIN - 1, PLAIN, PLAIN + 1, 3 * PLAIN] {
            let plain: Vec<u8> = (0..length).map(|n| n.to_le_bytes()[0]).collect();
            let sealed = seal_all(&key, &plain);
            assert_eq!(sealed.len() as u64, sealed_length(length as u64));
            assert_eq!(age::decrypt(&identity, &sealed).unwrap(), plain, "{length}");
        }
    }

    #[test]
    fn each_chunk_opens_alone_and_only_in_its_place() {
        let key = ReleaseKey::generate().unwrap();
        let plain = vec![7; 2 * PLAIN + 5];
        let sealed = seal_all(&key, &plain);
        let volume = key.open_header(sealed[..HEADER].try_into().unwrap()).unwrap();
        let chunk = |n: usize| sealed[HEADER + n * SEALED..].chunks(SEALED).next().unwrap().to_vec();
        assert_eq!(volume.open(1, false, &mut chunk(1)), Ok(PLAIN));
        assert_eq!(volume.open(2, true, &mut chunk(2)), Ok(5));
        let mut opened = vec![0; 5];
        assert_eq!(volume.open_into(2, true, (&chunk(2), &mut opened)), Ok(()));
        assert_eq!(opened, plain[2 * PLAIN..]);
        for wrong in [0, 4, 6, 5 + TAG, 6 + TAG] {
            assert_eq!(
                volume.open_into(2, true, (&chunk(2), &mut vec![0; wrong])),
                Err(SealError::Chunk),
                "{wrong}"
            );
        }
        for (number, last, at) in [(0, false, 1), (1, true, 1), (2, false, 2)] {
            assert_eq!(volume.open(number, last, &mut chunk(at)), Err(SealError::Chunk));
            let mut plain = vec![0; chunk(at).len() - TAG];
            assert_eq!(volume.open_into(number, last, (&chunk(at), &mut plain)), Err(SealError::Chunk));
        }
    }

    #[test]
    fn a_changed_header_is_refused() {
        let key = ReleaseKey::generate().unwrap();
        let other = ReleaseKey::generate().unwrap();
        let sealed = seal_all(&key, b"x");
        let header: [u8; HEADER] = sealed[..HEADER].try_into().unwrap();
        assert!(matches!(other.open_header(&header), Err(SealError::NotForThisKey)));
        for at in 0..TEXT {
            let mut bad = header;
            bad[at] ^= 1;
            assert!(key.open_header(&bad).is_err(), "byte {at}");
        }
    }

    #[test]
    fn identity_text_round_trips_and_age_makes_the_same_recipient() {
        let key = ReleaseKey::generate().unwrap();
        assert_eq!(ReleaseKey::from_text(&format!(" {}\n", *key.to_text())).unwrap().public, key.public);
        for bad in ["", "AGE-SECRET-KEY-1", "age1qqqq", "AGE-SECRET-KEY-PQ-1QQ"] {
            assert!(ReleaseKey::from_text(bad).is_err());
        }
    }
}
