//! The one hasher everything uses.

use std::fmt;

use sha2::block_api::compress256;

use super::{Blob, Digest};

/// Bytes of a block (FIPS 180-4 §5.2.1).
pub const BLOCK: usize = 64;

/// Initial hash value (FIPS 180-4 §5.3.3).
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// The one SHA-256 in the program: incremental, its state can be put down and taken up again, and several can be fed side by side
/// ([`MultiBuffer`](super::multi_buffer::MultiBuffer)).
#[derive(Clone)]
pub struct Hasher {
    pub(super) words: [u32; 8],
    pub(super) length: u64,
    /// What came since the last whole block.
    partial: [u8; BLOCK],
}

impl Default for Hasher {
    fn default() -> Self {
        Self { words: INITIAL, length: 0, partial: [0; BLOCK] }
    }
}

impl Hasher {
    /// A hasher that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes taken in since the last whole block.
    fn held(&self) -> usize {
        crate::checked::small(self.length % BLOCK as u64)
    }

    /// Whether everything taken in was whole blocks.
    #[must_use]
    pub fn is_even(&self) -> bool {
        self.held() == 0
    }

    /// Takes in `bytes`.
    pub fn update(&mut self, mut bytes: &[u8]) {
        let held = self.held();
        self.length += bytes.len() as u64;
        if held > 0 {
            let (now, rest) = bytes.split_at(bytes.len().min(BLOCK - held));
            self.partial[held..held + now.len()].copy_from_slice(now);
            if held + now.len() < BLOCK {
                return;
            }
            compress256(&mut self.words, &[self.partial]);
            bytes = rest;
        }
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        compress256(&mut self.words, blocks);
        self.partial[..rest.len()].copy_from_slice(rest);
    }

    /// Bytes taken in so far.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The digest of everything taken in.
    #[must_use]
    pub fn finish(mut self) -> Digest {
        // FIPS 180-4 §5.1.1: one bit, zeros up to the end of a block, and there the length in bits.
        let bits = self.length.wrapping_mul(8).to_be_bytes();
        let zeros = 2 * BLOCK - 1 - bits.len() - self.held();
        let mut padding = [0; 2 * BLOCK];
        padding[0] = 0x80;
        let end = 1 + zeros % BLOCK + bits.len();
        padding[end - bits.len()..end].copy_from_slice(&bits);
        self.update(&padding[..end]);
        let mut raw = [0; 32];
        for (bytes, word) in raw.chunks_exact_mut(4).zip(self.words) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        Digest(raw)
    }

    /// What was taken in, as a [`Blob`].
    #[must_use]
    pub fn finish_blob(self) -> Blob {
        let size = self.length;
        Blob { digest: self.finish(), size }
    }

    /// The state between two updates, as text, for [`Hasher::resume`].
    #[must_use]
    pub fn suspend(&self) -> String {
        let words: String = self.words.iter().map(|word| format!("{word:08x}")).collect();
        format!("{}:{words}:{}", self.length, hex::encode(&self.partial[..self.held()]))
    }

    /// Takes up a state that [`Hasher::suspend`] put down; `None` when it is not one.
    #[must_use]
    pub fn resume(state: &str) -> Option<Self> {
        let mut parts = state.split(':');
        let mut hasher = Self { length: parts.next()?.parse().ok()?, ..Self::default() };
        let mut words = [0; 32];
        hex::decode_to_slice(parts.next()?, &mut words).ok()?;
        for (word, bytes) in hasher.words.iter_mut().zip(words.as_chunks().0) {
            *word = u32::from_be_bytes(*bytes);
        }
        let held = hasher.held();
        hex::decode_to_slice(parts.next()?, &mut hasher.partial[..held]).ok()?;
        parts.next().is_none().then_some(hasher)
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hasher({} bytes)", self.length)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Examples of NIST's (FIPS 180-2 appendix B, and the empty message).
    #[test]
    fn the_standards_examples() {
        let million = "a".repeat(1_000_000);
        for (message, digest) in [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
            ),
            (&million, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
        ] {
            assert_eq!(Digest::of(message.as_bytes()).hex(), digest);
        }
    }

    #[test]
    fn any_length_in_any_pieces_is_what_the_library_says() {
        use sha2::Digest as _;
        let data: Vec<u8> = (0..700u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
        for length in 0..300 {
            let expected = <[u8; 32]>::from(sha2::Sha256::digest(&data[..length]));
            for piece in [1, 7, 63, 64, 65, 200] {
                let mut hasher = Hasher::new();
                data[..length].chunks(piece).for_each(|piece| hasher.update(piece));
                assert_eq!(hasher.finish().as_bytes(), &expected, "{length} bytes, {piece} at a time");
            }
        }
    }

    #[test]
    fn a_suspended_hasher_goes_on_where_it_was() {
        for cut in [0, 1, 63, 64, 65, 1000] {
            let data: Vec<u8> = (0..2000u32).map(|n| n.to_le_bytes()[0]).collect();
            let mut first = Hasher::new();
            first.update(&data[..cut]);
            let mut second = Hasher::resume(&first.suspend()).unwrap();
            second.update(&data[cut..]);
            assert_eq!(second.finish_blob(), Blob { digest: Digest::of(&data), size: 2000 });
        }
        for bad in
            ["", "5", "5:00", "64:", &format!("1:{}:", "0".repeat(64)), &format!("0:{}::", "0".repeat(64))]
        {
            assert!(Hasher::resume(bad).is_none(), "{bad}");
        }
    }
}
