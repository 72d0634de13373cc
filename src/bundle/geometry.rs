//! Where a byte of the payload is: which volume, which sealed chunk, which byte of the file.
//!
//! 02-format "Volumes": the payload is cut every `volume_bytes`; each slice is sealed alone. All arithmetic here is on
//! values held to `limits::PAYLOAD_BYTES`, so it cannot wrap.

use crate::bundle::seal::{self, HEADER, PLAIN, SEALED};
use crate::limits;
use crate::release::lock::Seal;

/// The shape of a bundle's volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    seal: Seal,
    payload: u64,
    volume_bytes: u64,
}

/// A shape that no bundle can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GeometryError {
    /// Empty, or past the limit.
    #[error("a payload of {0} bytes is outside what the format allows")]
    Payload(u64),
    /// Zero, or not a multiple of 64 KiB, or past the limit.
    #[error("volume_bytes {0} is not a positive multiple of 65536 within the format's limits")]
    VolumeBytes(u64),
    /// More volumes than the format allows.
    #[error("{0} volumes are more than the format allows ({max})", max = limits::INDEX_VOLUMES)]
    Volumes(u64),
}

/// A place in a volume's plaintext.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Which volume, from 0.
    pub volume: usize,
    /// Byte of that volume's plaintext.
    pub offset: u64,
}

impl Geometry {
    /// The geometry of `payload` bytes cut every `volume_bytes`.
    pub fn new(seal: Seal, payload: u64, volume_bytes: u64) -> Result<Self, GeometryError> {
        if payload == 0 || payload > limits::PAYLOAD_BYTES {
            return Err(GeometryError::Payload(payload));
        }
        if volume_bytes == 0
            || !volume_bytes.is_multiple_of(limits::VOLUME_MIN)
            || volume_bytes > limits::PAYLOAD_BYTES
        {
            return Err(GeometryError::VolumeBytes(volume_bytes));
        }
        let volumes = payload.div_ceil(volume_bytes);
        if volumes > limits::INDEX_VOLUMES as u64 {
            return Err(GeometryError::Volumes(volumes));
        }
        Ok(Self { seal, payload, volume_bytes })
    }

    /// The largest `volume_bytes` whose files stay below `size` bytes; `None` when `size` has no room for one chunk.
    #[must_use]
    pub fn volume_bytes_below(seal: Seal, size: u64) -> Option<u64> {
        let room = size.checked_sub(1)?;
        let bytes = match seal {
            Seal::None => room / limits::VOLUME_MIN * limits::VOLUME_MIN,
            Seal::Age => room.checked_sub(HEADER as u64)? / SEALED as u64 * PLAIN as u64,
        };
        (bytes > 0).then_some(bytes)
    }

    /// Bytes of payload.
    #[must_use]
    pub fn payload(&self) -> u64 {
        self.payload
    }

    /// Bytes of payload in every volume but the last.
    #[must_use]
    pub fn volume_bytes(&self) -> u64 {
        self.volume_bytes
    }

    /// Whether volumes are sealed.
    #[must_use]
    pub fn seal(&self) -> Seal {
        self.seal
    }

    /// How many volumes there are; at least one.
    #[must_use]
    pub fn volumes(&self) -> usize {
        crate::checked::small(self.payload.div_ceil(self.volume_bytes))
    }

    /// Bytes of payload in `volume`.
    #[must_use]
    pub fn plain_length(&self, volume: usize) -> u64 {
        self.payload.saturating_sub(volume as u64 * self.volume_bytes).min(self.volume_bytes)
    }

    /// Bytes of `volume`'s file.
    #[must_use]
    pub fn file_length(&self, volume: usize) -> u64 {
        match self.seal {
            Seal::None => self.plain_length(volume),
            Seal::Age => seal::sealed_length(self.plain_length(volume)),
        }
    }

    /// Bytes of all volume files.
    #[must_use]
    pub fn total_length(&self) -> u64 {
        (0..self.volumes()).map(|v| self.file_length(v)).sum()
    }

    /// How many chunks of `chunk_bytes` the file of `volume` has.
    #[must_use]
    pub fn chunks(&self, volume: usize) -> u64 {
        self.file_length(volume).div_ceil(limits::CHUNK_BYTES)
    }

    /// Where payload byte `offset` is.
    #[must_use]
    pub fn place(&self, offset: u64) -> Place {
        Place {
            volume: crate::checked::small(offset / self.volume_bytes),
            offset: offset % self.volume_bytes,
        }
    }

    /// AEAD chunks in `volume`; for a plain volume, its 64 KiB units.
    #[must_use]
    pub fn units(&self, volume: usize) -> u64 {
        self.plain_length(volume).div_ceil(PLAIN as u64)
    }

    /// Bytes of unit `unit` of `volume` as plaintext.
    #[must_use]
    pub fn unit_plain(&self, volume: usize, unit: u64) -> usize {
        crate::checked::small(self.plain_length(volume).saturating_sub(unit * PLAIN as u64).min(PLAIN as u64))
    }

    /// The file offset at which unit `unit` begins.
    #[must_use]
    pub fn unit_offset(&self, unit: u64) -> u64 {
        match self.seal {
            Seal::None => unit * PLAIN as u64,
            Seal::Age => HEADER as u64 + unit * SEALED as u64,
        }
    }

    /// Bytes `plain` bytes of one unit take in the file.
    #[must_use]
    pub fn unit_length(&self, plain: usize) -> usize {
        match self.seal {
            Seal::None => plain,
            Seal::Age => plain + seal::TAG,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn default_volumes_fit_fat32() {
        for seal in [Seal::Age, Seal::None] {
            let bytes = Geometry::volume_bytes_below(seal, limits::VOLUME_SIZE).unwrap();
            let shape = Geometry::new(seal, 10 * bytes, bytes).unwrap();
            assert!(shape.file_length(0) < 4 << 30);
            assert!(shape.file_length(0) + SEALED as u64 >= 4 << 30);
        }
        assert_eq!(Geometry::volume_bytes_below(Seal::Age, 65_000), None);
    }

    #[test]
    fn every_byte_has_one_place() {
        let shape = Geometry::new(Seal::Age, 5 * 65536 + 7, 2 * 65536).unwrap();
        assert_eq!(shape.volumes(), 3);
        assert_eq!((0..3).map(|v| shape.plain_length(v)).sum::<u64>(), shape.payload());
        assert_eq!(shape.place(2 * 65536), Place { volume: 1, offset: 0 });
        assert_eq!(shape.units(2), 2);
        assert_eq!(shape.unit_plain(2, 1), 7);
        assert_eq!(shape.file_length(2), shape.unit_offset(1) + 7 + 16);
    }

    #[test]
    fn shapes_that_cannot_be_are_refused() {
        for (payload, volume) in
            [(0, 65536), (u64::MAX, 65536), (1, 0), (1, 65537), (1, u64::MAX - 65535), (65536 * 5000, 65536)]
        {
            assert!(Geometry::new(Seal::Age, payload, volume).is_err(), "{payload} {volume}");
        }
    }
}
