//! SHA-256 of eight streams at once: what no single stream can be hashed at.
//!
//! One stream is a chain in which every round waits for the one before; eight of them fill the vector units of a core that has AVX-512, and
//! go through one and a half times as fast as one after the other by the SHA extensions, several times as fast as without those. (This is
//! known as multi-buffer hashing.) FIPS 180-4 §6.2, on each 32-bit lane of a vector of 256 bits.
//!
//! Only a digest that is the expected one may be believed as it is. `verify` has the bytes of any other hashed alone before it calls them
//! damaged; who hashes while sending breaks the transfer off, which is always safe.

use super::Hasher;
use super::hasher::BLOCK;

/// Streams that are hashed at once.
pub const STREAMS: usize = 8;
/// Streams from which on it is worth it.
pub const WORTHWHILE: usize = 5;

/// The hash words of every stream: word by word, and in each the streams side by side.
type State = [[u32; STREAMS]; 8];

/// A processor that hashes several streams at once faster than one after the other.
#[derive(Debug, Clone, Copy)]
pub struct MultiBuffer {
    #[cfg(target_arch = "x86_64")]
    simd: pulp::x86::V4,
    #[cfg(not(target_arch = "x86_64"))]
    none: std::convert::Infallible,
}

impl MultiBuffer {
    /// This machine's, if it is one.
    #[must_use]
    pub fn get() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        return pulp::x86::V4::try_new().map(|simd| Self { simd });
        #[cfg(not(target_arch = "x86_64"))]
        None
    }

    /// Gives each of up to [`STREAMS`] hashers more of its stream: as many bytes to each.
    ///
    /// # Panics
    /// When there are other than as many streams as hashers, or none, or too many; when their lengths differ; or when a hasher has seen, or
    /// is given, other than whole blocks.
    pub fn update(self, hashers: &mut [&mut Hasher], streams: &[&[u8]]) {
        let length = streams.first().map_or(0, |stream| stream.len());
        assert!(!hashers.is_empty() && hashers.len() == streams.len() && streams.len() <= STREAMS);
        assert!(length.is_multiple_of(BLOCK) && streams.iter().all(|stream| stream.len() == length));
        assert!(hashers.iter().all(|hasher| hasher.is_even()));
        // Lanes without a stream do the first one's work once more.
        let lane = |lane: usize| if lane < streams.len() { lane } else { 0 };
        let mut state: State = [[0; STREAMS]; 8];
        for (number, word) in state.iter_mut().enumerate() {
            *word = std::array::from_fn(|n| hashers[lane(n)].words[number]);
        }
        self.blocks(&mut state, &std::array::from_fn(|n| streams[lane(n)]));
        for (n, hasher) in hashers.iter_mut().enumerate() {
            hasher.words = state.map(|word| word[n]);
            hasher.length += length as u64;
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn blocks(self, state: &mut State, streams: &[&[u8]; STREAMS]) {
        self.simd.vectorize(x86::Blocks { simd: self.simd, state, streams });
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn blocks(self, _: &mut State, _: &[&[u8]; STREAMS]) {
        match self.none {}
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::__m256i;

    use pulp::x86::V4;
    use pulp::{NullaryFnOnce, cast};

    use super::{BLOCK, STREAMS, State};

    /// Round constants, FIPS 180-4 §4.2.2.
    #[rustfmt::skip]
    const K: [u32; 64] = [
        0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
        0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
        0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
        0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
        0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
        0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
        0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
        0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
    ];

    /// The bytes of every 32-bit word the other way round, within each 128 bits.
    const BIG_ENDIAN: [u8; 32] = {
        let mut places = [0; 32];
        let mut at = 0_u8;
        while at < 32 {
            places[at as usize] = (at & 12) | (3 - (at & 3));
            at += 1;
        }
        places
    };

    /// All blocks of the streams, into the state.
    pub(super) struct Blocks<'a> {
        pub(super) simd: V4,
        pub(super) state: &'a mut State,
        pub(super) streams: &'a [&'a [u8]; STREAMS],
    }

    macro_rules! sixteen {
        ($do:ident) => {
            $do!(0);
            $do!(1);
            $do!(2);
            $do!(3);
            $do!(4);
            $do!(5);
            $do!(6);
            $do!(7);
            $do!(8);
            $do!(9);
            $do!(10);
            $do!(11);
            $do!(12);
            $do!(13);
            $do!(14);
            $do!(15);
        };
    }

    impl NullaryFnOnce for Blocks<'_> {
        type Output = ();

        // Everything in one body: only so is it compiled for these instructions.
        #[inline(always)]
        fn call(self) {
            let (avx, avx2, avx512) = (self.simd.avx, self.simd.avx2, self.simd.avx512f);
            let mut state: [__m256i; 8] = cast(*self.state);
            for block in 0..self.streams[0].len() / BLOCK {
                let mut words = words(self.simd, self.streams, block * BLOCK);
                let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
                macro_rules! add {
                    ($one:expr, $other:expr) => {
                        avx2._mm256_add_epi32($one, $other)
                    };
                }
                macro_rules! xor {
                    ($one:expr, $other:expr, $third:expr) => {
                        avx512._mm256_ternarylogic_epi32::<0x96>($one, $other, $third)
                    };
                }
                macro_rules! rotate {
                    ($word:expr, $by:literal) => {
                        avx512._mm256_ror_epi32::<$by>($word)
                    };
                }
                // §6.2.2 step 3, with Ch as "f where e, else g" and Maj as the majority of three bits.
                macro_rules! round {
                    ($word:expr, $constant:expr) => {
                        let sigma = xor!(rotate!(e, 6), rotate!(e, 11), rotate!(e, 25));
                        let choice = avx512._mm256_ternarylogic_epi32::<0xca>(e, f, g);
                        let constant = avx._mm256_set1_epi32($constant.cast_signed());
                        let first = add!(add!(add!(h, $word), constant), add!(sigma, choice));
                        let sigma = xor!(rotate!(a, 2), rotate!(a, 13), rotate!(a, 22));
                        let majority = avx512._mm256_ternarylogic_epi32::<0xe8>(a, b, c);
                        (h, g, f, e) = (g, f, e, add!(d, first));
                        (d, c, b, a) = (c, b, a, add!(first, add!(sigma, majority)));
                    };
                }
                macro_rules! first_rounds {
                    ($t:literal) => {
                        round!(words[$t], K[$t]);
                    };
                }
                sixteen!(first_rounds);
                for more in [16, 32, 48] {
                    // §6.2.2 step 1: the word takes the place of the one sixteen before it.
                    macro_rules! later_rounds {
                        ($t:literal) => {
                            let (near, far) = (words[($t + 14) % 16], words[($t + 1) % 16]);
                            let near = xor!(
                                rotate!(near, 17),
                                rotate!(near, 19),
                                avx2._mm256_srli_epi32::<10>(near)
                            );
                            let far =
                                xor!(rotate!(far, 7), rotate!(far, 18), avx2._mm256_srli_epi32::<3>(far));
                            words[$t] = add!(add!(words[$t], far), add!(words[($t + 9) % 16], near));
                            round!(words[$t], K[more + $t]);
                        };
                    }
                    sixteen!(later_rounds);
                }
                for (word, more) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
                    *word = add!(*word, more);
                }
            }
            *self.state = cast(state);
        }
    }

    /// The sixteen words of the block at `at`: word by word, and in each the streams side by side.
    #[inline(always)]
    fn words(simd: V4, streams: &[&[u8]; STREAMS], at: usize) -> [__m256i; 16] {
        let avx2 = simd.avx2;
        let order: __m256i = cast(BIG_ENDIAN);
        let mut words = [order; 16];
        for (half, words) in words.chunks_exact_mut(8).enumerate() {
            let from = at + half * 32;
            let mut rows = [order; STREAMS];
            for (row, stream) in rows.iter_mut().zip(streams) {
                let mut bytes = [0; 32];
                bytes.copy_from_slice(&stream[from..from + 32]);
                *row = avx2._mm256_shuffle_epi8(cast(bytes), order);
            }
            // A matrix of 8 × 8 words turned over, in three steps of halves.
            let mut pairs = rows;
            for n in (0..8).step_by(2) {
                pairs[n] = avx2._mm256_unpacklo_epi32(rows[n], rows[n + 1]);
                pairs[n + 1] = avx2._mm256_unpackhi_epi32(rows[n], rows[n + 1]);
            }
            let mut fours = pairs;
            for n in (0..8).step_by(4) {
                fours[n] = avx2._mm256_unpacklo_epi64(pairs[n], pairs[n + 2]);
                fours[n + 1] = avx2._mm256_unpackhi_epi64(pairs[n], pairs[n + 2]);
                fours[n + 2] = avx2._mm256_unpacklo_epi64(pairs[n + 1], pairs[n + 3]);
                fours[n + 3] = avx2._mm256_unpackhi_epi64(pairs[n + 1], pairs[n + 3]);
            }
            for n in 0..4 {
                words[n] = avx2._mm256_permute2x128_si256::<0x20>(fours[n], fours[4 + n]);
                words[4 + n] = avx2._mm256_permute2x128_si256::<0x31>(fours[n], fours[4 + n]);
            }
        }
        words
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    /// Bytes that repeat nowhere, other ones for each stream.
    fn stream(number: usize, length: usize) -> Vec<u8> {
        let mut state = number as u64 + 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        (0..length).map(|_| next()).collect()
    }

    // Where a processor cannot do this, `get` says so, and there is nothing to test.

    #[test]
    fn every_stream_has_the_digest_that_it_has_alone() {
        let Some(many) = MultiBuffer::get() else { return };
        for count in 1..=STREAMS {
            for cuts in [vec![0], vec![64], vec![64, 4032, 4096], vec![128, 1 << 16, (1 << 16) + 64]] {
                let streams: Vec<Vec<u8>> = (0..count).map(|n| stream(n, cuts[cuts.len() - 1])).collect();
                let mut hashers = vec![Hasher::new(); count];
                let mut at = 0;
                for next in cuts {
                    let parts: Vec<&[u8]> = streams.iter().map(|stream| &stream[at..next]).collect();
                    many.update(&mut hashers.iter_mut().collect::<Vec<_>>(), &parts);
                    at = next;
                }
                for (mut hasher, stream) in hashers.into_iter().zip(&streams) {
                    assert_eq!(hasher.clone().finish(), Digest::of(stream), "{count} of {at} bytes");
                    // And goes on alone.
                    hasher.update(b"more");
                    assert_eq!(hasher.finish(), Digest::of(&[stream, &b"more"[..]].concat()));
                }
            }
        }
    }

    #[test]
    fn a_bit_changes_the_digest_of_its_stream_alone() {
        let Some(many) = MultiBuffer::get() else { return };
        let good = stream(7, 256);
        for (changed, bit) in [(0, 0), (5, 1000), (7, 2047)] {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let mut hashers = vec![Hasher::new(); STREAMS];
            let parts: [&[u8]; STREAMS] =
                std::array::from_fn(|n| if n == changed { &bad[..] } else { &good });
            many.update(&mut hashers.iter_mut().collect::<Vec<_>>(), &parts);
            for (hasher, part) in hashers.into_iter().zip(parts) {
                assert_eq!(hasher.finish(), Digest::of(part));
            }
        }
    }
}
