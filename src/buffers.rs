//! Large buffers that are used again: taking one costs neither fresh pages nor zeros, which would cost more than hashing what goes in.
//!
//! A buffer's bytes are whatever its last user left; whoever fills one shows no more than was filled. Small ones are plain memory, so
//! that a hundred thousand small blobs do not each hold a large buffer.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

/// Bytes up to which fresh memory is as quick as used memory.
const SMALL: usize = 16 << 10;

/// Buffers of one size that wait to be used again.
pub struct Pool {
    size: usize,
    most: usize,
    free: Mutex<Vec<Vec<u8>>>,
}

impl Pool {
    /// A pool of buffers of `size` bytes that keeps at most `most` of them waiting.
    #[must_use]
    pub const fn new(size: usize, most: usize) -> Self {
        Self { size, most, free: Mutex::new(Vec::new()) }
    }

    /// A buffer of `length` bytes, of no particular content. More than the pool's size is no mistake, only never used again.
    #[must_use]
    pub fn take(&'static self, length: usize) -> Buffer {
        if length <= SMALL || length > self.size {
            return Buffer { bytes: vec![0; length], length, pool: None };
        }
        let waiting = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let bytes = waiting.unwrap_or_else(|| vec![0; self.size]);
        Buffer { bytes, length, pool: Some(self) }
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("size", &self.size).finish_non_exhaustive()
    }
}

/// A buffer of its own; it goes back to its pool when dropped.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    length: usize,
    pool: Option<&'static Pool>,
}

impl Buffer {
    /// The bytes in `range` as shared [`Bytes`], without a copy; the buffer goes back to its pool with the last of them.
    ///
    /// # Panics
    /// When `range` is not within the buffer.
    #[must_use]
    pub fn freeze(self, range: Range<usize>) -> Bytes {
        Bytes::from_owner(self).slice(range)
    }
}

impl std::ops::Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl std::ops::DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let Some(pool) = self.pool else { return };
        let mut free = pool.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < pool.most {
            free.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static POOL: Pool = Pool::new(1 << 20, 2);

    #[test]
    fn a_buffer_is_used_again_once_all_who_share_it_are_gone() {
        let mut buffer = POOL.take(100_000);
        buffer.fill(7);
        let address = buffer.as_ptr();
        let (first, second) = {
            let shared = buffer.freeze(10..20);
            (shared.slice(..5), shared.slice(5..))
        };
        drop(first);
        assert_ne!(POOL.take(50_000).as_ptr(), address, "the second half still shows it");
        assert_eq!(second, [7; 5][..]);
        drop(second);
        let all: Vec<Buffer> = (0..3).map(|_| POOL.take(50_000)).collect();
        assert!(all.iter().any(|buffer| buffer.as_ptr() == address));
        assert!(all.iter().all(|buffer| buffer.len() == 50_000));
        drop(all);
        assert_eq!(POOL.free.lock().unwrap().len(), 2, "no more wait than the pool keeps");
    }

    #[test]
    fn what_is_small_or_too_large_is_plain_memory() {
        for length in [0, 1, SMALL, (1 << 20) + 1] {
            let buffer = POOL.take(length);
            assert!(buffer.pool.is_none() && buffer.len() == length);
        }
    }
}
