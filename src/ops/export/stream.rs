//! The pieces of a blob as something to read from, as it is or unpacked.

use std::io::{self, Read};

use bytes::Bytes;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use crate::store::{self, Pieces};

/// The bytes of a blob.
pub(super) struct Stream<'a> {
    pub(super) pieces: Box<dyn Pieces + 'a>,
    piece: Bytes,
    /// Why reading failed: readers of tars and frames pass only system errors on.
    pub(super) fault: Option<store::Error>,
}

impl<'a> Stream<'a> {
    pub(super) fn new(pieces: Box<dyn Pieces + 'a>) -> Self {
        Self { pieces, piece: Bytes::new(), fault: None }
    }

    /// Makes sure that there is a piece; `false` at the end.
    fn fill(&mut self) -> io::Result<bool> {
        while self.piece.is_empty() {
            match self.pieces.next() {
                Ok(Some(piece)) => self.piece = piece,
                Ok(None) => return Ok(false),
                Err(error) => {
                    self.fault = Some(error);
                    return Err(io::ErrorKind::InvalidData.into());
                }
            }
        }
        Ok(true)
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.fill()? {
            return Ok(0);
        }
        let length = buffer.len().min(self.piece.len());
        buffer[..length].copy_from_slice(&self.piece.split_to(length));
        Ok(length)
    }
}

/// Unpacks the Zstandard frames of `stream`, one after the other, into `out` (RFC 8878, §3.1: frames can be concatenated, and some are
/// to be skipped). The error is what is wrong with them, unless it is in [`Stream::fault`] or `out`'s own.
pub(super) fn unpack(
    stream: &mut Stream<'_>,
    out: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), Unpack> {
    let mut decoder = FrameDecoder::new();
    let mut piece = vec![0; 256 << 10];
    while stream.fill().map_err(|error| Unpack::Frame(error.to_string()))? {
        match decoder.reset(&mut *stream) {
            Ok(()) => {}
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length, ..
            })) => {
                let skipped = io::copy(&mut stream.by_ref().take(u64::from(length)), &mut io::sink());
                skipped.map_err(|error| Unpack::Frame(error.to_string()))?;
                continue;
            }
            Err(error) => return Err(Unpack::Frame(error.to_string())),
        }
        loop {
            while decoder.can_collect() > 0 {
                let read = decoder.read(&mut piece).map_err(|error| Unpack::Frame(error.to_string()))?;
                out(&piece[..read]).map_err(Unpack::Out)?;
            }
            if decoder.is_finished() {
                break;
            }
            decoder
                .decode_blocks(&mut *stream, BlockDecodingStrategy::UptoBlocks(1))
                .map_err(|error| Unpack::Frame(error.to_string()))?;
        }
    }
    Ok(())
}

/// Why something was not unpacked.
pub(super) enum Unpack {
    /// The frames are wrong, or could not be read.
    Frame(String),
    /// Nobody could take what is in them.
    Out(io::Error),
}
