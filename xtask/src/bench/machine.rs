//! What the machine can do at all: hashing and sealing on one core, writing and reading files.

use std::fmt;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::Instant;

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use sha2::{Digest as _, Sha256};

/// Rates in bytes per second; those of one core where it is about computing.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    pub(super) model: String,
    pub(super) cores: usize,
    /// SHA-256 of a buffer in cache: S.
    pub(super) hash: f64,
    /// ChaCha20-Poly1305 in 64 KiB chunks: A.
    pub(super) seal: f64,
    /// The same, opening: B.
    pub(super) open: f64,
    /// A file written and synced.
    pub(super) write: f64,
    /// The same file read, from the page cache.
    pub(super) read: f64,
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [hash, seal, open, write, read] =
            [self.hash, self.seal, self.open, self.write, self.read].map(|rate| rate / 1e9);
        write!(
            f,
            "{}, {} cores; a core: SHA-256 S = {hash:.2} GB/s, seal A = {seal:.2} GB/s, open B = {open:.2} GB/s; disk: write {write:.2} GB/s, cached read {read:.2} GB/s",
            self.model, self.cores
        )
    }
}

const CHUNK: usize = 64 << 10;
const ROUND: usize = 256 << 20;
const FILE: u64 = 1 << 30;

/// Measures; the best of three rounds each, because other work only ever slows.
pub(super) fn measure(folder: &Path) -> Result<Machine, String> {
    let mut buffer = vec![7u8; CHUNK];
    let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &[9; 32]).map_err(|e| e.to_string())?);
    let nonce = || Nonce::assume_unique_for_key([0; 12]);
    let hash = best(|| {
        let mut hasher = Sha256::new();
        for _ in 0..ROUND / CHUNK {
            hasher.update(&buffer);
        }
        std::hint::black_box(hasher.finalize());
        ROUND
    });
    let seal = best(|| {
        for _ in 0..ROUND / CHUNK {
            let tag = key.seal_in_place_separate_tag(nonce(), Aad::empty(), &mut buffer);
            std::hint::black_box(&tag);
        }
        ROUND
    });
    let mut sealed = vec![7u8; CHUNK];
    key.seal_in_place_append_tag(nonce(), Aad::empty(), &mut sealed).map_err(|e| e.to_string())?;
    let mut work = sealed.clone();
    let open = best(|| {
        for _ in 0..ROUND / CHUNK {
            work.copy_from_slice(&sealed);
            std::hint::black_box(key.open_in_place(nonce(), Aad::empty(), &mut work).is_ok());
        }
        ROUND
    });
    let path = folder.join("probe");
    let io = |e: std::io::Error| format!("{}: {e}", path.display());
    let block = vec![3u8; 1 << 20];
    let started = Instant::now();
    let mut file = File::create(&path).map_err(io)?;
    for _ in 0..FILE >> 20 {
        file.write_all(&block).map_err(io)?;
    }
    file.sync_all().map_err(io)?;
    let write = FILE as f64 / started.elapsed().as_secs_f64();
    let mut block = vec![0u8; 256 << 10];
    let mut failed = None;
    let read = best(|| {
        let mut read = 0;
        match File::open(&path) {
            Err(e) => failed = Some(e),
            Ok(mut file) => {
                while let Ok(more) = file.read(&mut block)
                    && more > 0
                {
                    read += more;
                }
            }
        }
        read
    });
    if let Some(error) = failed {
        return Err(io(error));
    }
    std::fs::remove_file(&path).map_err(io)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(Machine { model: model(), cores, hash, seal, open, write, read })
}

fn best(mut round: impl FnMut() -> usize) -> f64 {
    let rates = (0..3).map(|_| {
        let started = Instant::now();
        let bytes = round();
        bytes as f64 / started.elapsed().as_secs_f64()
    });
    rates.fold(0.0, f64::max)
}

fn model() -> String {
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
