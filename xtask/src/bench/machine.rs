//! What the processor can do at all: hashing, sealing and opening, on one core alone and on all cores at the same time.
//!
//! Two hyperthreads of one core do not do twice the work of one, and a shared machine does not do the same at all times: what counts is
//! what all cores did together, next to the work that is measured.

use std::fmt;
use std::time::Instant;

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use sha2::{Digest as _, Sha256};

/// Bytes per second of the three things that this program spends its time with.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rates {
    /// SHA-256 of a buffer in cache: S.
    pub(super) hash: f64,
    /// ChaCha20-Poly1305 in 64 KiB chunks, sealing: A.
    pub(super) seal: f64,
    /// The same, opening into another buffer: B.
    pub(super) open: f64,
}

impl Rates {
    /// The better of two for each.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            hash: self.hash.max(other.hash),
            seal: self.seal.max(other.seal),
            open: self.open.max(other.open),
        }
    }

    /// The same on so many cores, if each did what one did.
    pub(super) fn times(self, cores: usize) -> Self {
        let cores = cores as f64;
        Self { hash: self.hash * cores, seal: self.seal * cores, open: self.open * cores }
    }

    /// Bytes per second when each byte is hashed, sealed and opened so many times.
    pub(super) fn of(self, hashed: f64, sealed: f64, opened: f64) -> f64 {
        1.0 / (hashed / self.hash + sealed / self.seal + opened / self.open)
    }
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [hash, seal, open] = [self.hash, self.seal, self.open].map(|rate| rate / 1e9);
        write!(f, "{hash:.2} / {seal:.2} / {open:.2}")
    }
}

/// The processor's name and what it has for this work.
pub(super) fn model() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        text.lines()
            .find(|line| line.starts_with(name))
            .and_then(|line| line.split(": ").nth(1))
            .map(str::to_owned)
    };
    let flags = field("flags").unwrap_or_default();
    let has: Vec<&str> = ["sha_ni", "vaes", "avx512f"]
        .into_iter()
        .filter(|flag| flags.split(' ').any(|f| f == *flag))
        .collect();
    format!("{} ({})", field("model name").unwrap_or_else(|| "unknown processor".into()), has.join(", "))
}

/// Cores that work may run on.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What so many cores do together, each with buffers of its own: the best of three short rounds, because other work only ever slows.
pub(super) fn measure(cores: usize) -> Rates {
    (0..3).fold(Rates::default(), |best, _| best.or(round(cores)))
}

const CHUNK: usize = 64 << 10;
const ROUND: usize = 96 << 20;

fn round(cores: usize) -> Rates {
    Rates {
        hash: together(cores, &|| {
            let buffer = vec![7u8; CHUNK];
            let mut hasher = Sha256::new();
            for _ in 0..ROUND / CHUNK {
                hasher.update(&buffer);
            }
            std::hint::black_box(hasher.finalize());
        }),
        seal: together(cores, &|| {
            let (Some(key), mut buffer) = (key(), vec![7u8; CHUNK]) else { return };
            for _ in 0..ROUND / CHUNK {
                let tag = key.seal_in_place_separate_tag(nonce(), Aad::empty(), &mut buffer);
                std::hint::black_box(&tag);
            }
        }),
        open: together(cores, &|| {
            let (Some(key), mut sealed) = (key(), vec![7u8; CHUNK]) else { return };
            let Ok(tag) = key.seal_in_place_separate_tag(nonce(), Aad::empty(), &mut sealed) else { return };
            let mut plain = vec![0u8; CHUNK];
            for _ in 0..ROUND / CHUNK {
                let opened =
                    key.open_separate_gather(nonce(), Aad::empty(), &sealed, tag.as_ref(), &mut plain);
                std::hint::black_box(opened.is_ok());
            }
        }),
    }
}

/// Bytes per second of `cores` threads that each handle [`ROUND`] bytes: all of them, by the time of the slowest.
fn together(cores: usize, work: &(dyn Fn() + Sync)) -> f64 {
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(work);
        }
    });
    (cores * ROUND) as f64 / started.elapsed().as_secs_f64()
}

/// A key for measuring; none only where the algorithm is not there.
pub(super) fn key() -> Option<LessSafeKey> {
    UnboundKey::new(&CHACHA20_POLY1305, &[9; 32]).ok().map(LessSafeKey::new)
}

pub(super) fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}
