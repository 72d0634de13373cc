//! The bare loops: programs that do only the work itself, on all cores, and nothing that makes it a bundle.
//!
//! No order, no plan, no queue, no resume, no index, nothing checked: each core takes the next piece of a file and hashes, opens or seals
//! it where it lies. What such a loop reaches on the same data in the same run is what the machine gives to any program of this kind.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use aws_lc_rs::aead::{Aad, LessSafeKey};
use rustix::net::{RecvFlags, recv};
use sha2::{Digest as _, Sha256};

use super::machine::{key, nonce};
use super::medium::{self, Way};

/// Bytes that are read, and handled, at a time: they stay in a core's own cache.
const PIECE: usize = 512 << 10;
/// What is sealed at a time.
const UNIT: usize = 64 << 10;
const ALIGN: usize = 4096;

/// Seconds of reading `files`, hashing each byte three times, sealing it once and writing it to one file in `folder`, synced.
pub(super) fn build(files: &[PathBuf], folder: &Path, (cores, way): (usize, Way)) -> Result<f64, String> {
    let path = folder.join("bare");
    let started = Instant::now();
    let target = medium::create(&path, way).map_err(|e| format!("{}: {e}", path.display()))?;
    let place = AtomicU64::new(0);
    let work = || {
        let (mut hashers, key) = ([Sha256::new(), Sha256::new(), Sha256::new()], key());
        let mut room = vec![0u8; PIECE + ALIGN];
        let (target, place) = (&target, &place);
        move |piece: &mut [u8]| -> io::Result<()> {
            let skip = room.as_ptr().align_offset(ALIGN).min(ALIGN);
            hashers[0].update(&*piece);
            // The tags are made and left out; the last bytes of a file are rounded up to a block.
            let sealed = &mut room[skip..skip + piece.len().next_multiple_of(ALIGN)];
            sealed[..piece.len()].copy_from_slice(piece);
            let key = key.as_ref().ok_or(io::ErrorKind::Unsupported)?;
            for unit in sealed.chunks_mut(UNIT) {
                let tag = key.seal_in_place_separate_tag(nonce(), Aad::empty(), unit);
                std::hint::black_box(tag.is_ok());
            }
            hashers[1].update(&*sealed);
            hashers[2].update(&*sealed);
            target.write_all_at(sealed, place.fetch_add(sealed.len() as u64, Ordering::Relaxed))
        }
    };
    let outcome = medium::pieces(files, cores, PIECE, &work)
        .and_then(|_| target.sync_data().map_err(|e| format!("{}: {e}", path.display())));
    let seconds = started.elapsed().as_secs_f64();
    let _ = std::fs::remove_file(&path);
    outcome.map(|()| seconds)
}

/// Seconds of reading `files`, hashing each byte so many times, and opening it where asked.
pub(super) fn check(files: &[PathBuf], cores: usize, (hashed, opened): (usize, bool)) -> Result<f64, String> {
    let started = Instant::now();
    let work = || {
        let (mut hashers, key) = (vec![Sha256::new(); hashed], key());
        let mut plain = vec![0u8; UNIT];
        move |piece: &mut [u8]| -> io::Result<()> {
            hashers.iter_mut().for_each(|hasher| hasher.update(&*piece));
            if opened {
                open(key.as_ref(), piece, &mut plain);
            }
            Ok(())
        }
    };
    medium::pieces(files, cores, PIECE, &work)?;
    Ok(started.elapsed().as_secs_f64())
}

/// Seconds of reading `files`, opening and hashing each byte, and sending it over loopback TCP to a reader that has the kernel drop it.
pub(super) fn load(files: &[PathBuf], cores: usize) -> Result<f64, String> {
    let text = |e: io::Error| e.to_string();
    let listener = TcpListener::bind("127.0.0.1:0").map_err(text)?;
    let address = listener.local_addr().map_err(text)?;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for stream in listener.incoming().take(cores).flatten() {
                std::thread::spawn(move || drain(&stream));
            }
        });
        let started = Instant::now();
        let work = || {
            let (mut hasher, key) = (Sha256::new(), key());
            let mut plain = vec![0u8; UNIT];
            let stream = TcpStream::connect(address);
            move |piece: &mut [u8]| -> io::Result<()> {
                open(key.as_ref(), piece, &mut plain);
                hasher.update(&*piece);
                stream.as_ref().map_err(|e| io::Error::from(e.kind()))?.write_all(piece)
            }
        };
        medium::pieces(files, cores, PIECE, &work)?;
        Ok(started.elapsed().as_secs_f64())
    })
}

/// The work of opening; that the tag does not fit is known at its end.
fn open(key: Option<&LessSafeKey>, sealed: &[u8], plain: &mut [u8]) {
    let Some(key) = key else { return };
    for unit in sealed.chunks(UNIT) {
        let opened =
            key.open_separate_gather(nonce(), Aad::empty(), unit, &[0; 16], &mut plain[..unit.len()]);
        std::hint::black_box(opened.is_ok());
    }
}

fn drain(mut stream: &TcpStream) {
    let mut buffer = vec![0u8; PIECE];
    loop {
        match recv(stream, &mut *buffer, RecvFlags::TRUNC).map(|(_, taken)| taken) {
            Ok(0) => return,
            Ok(_) => {}
            // Not Linux: it is read.
            Err(_) => {
                if !stream.read(&mut buffer).is_ok_and(|read| read > 0) {
                    return;
                }
            }
        }
    }
}
