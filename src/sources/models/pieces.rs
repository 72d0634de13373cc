//! A layer as it streams: header, file, padding, from any offset, nothing copied to a disk.

use bytes::Bytes;

use super::place::{Place, States};
use crate::checked::small;
use crate::store::{self, Pieces};
use crate::weights::{File, Layer};

/// Bytes in memory, as pieces.
#[derive(Debug)]
pub(super) struct Held(Option<Bytes>);

impl Held {
    pub(super) fn new(bytes: &Bytes, offset: u64) -> Self {
        let from = small(offset).min(bytes.len());
        Self(Some(bytes.slice(from..)).filter(|rest| !rest.is_empty()))
    }
}

impl Pieces for Held {
    fn next(&mut self) -> Result<Option<Bytes>, store::Error> {
        Ok(self.0.take())
    }
}

/// The bytes of a layer.
pub(super) struct LayerPieces<'a> {
    head: Held,
    file: Box<dyn Pieces + 'a>,
    /// Bytes of the file still to come, and its path for when they do not.
    left: u64,
    tail: u64,
    of: &'a File,
}

impl std::fmt::Debug for LayerPieces<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LayerPieces({}, {} to come)", self.of.path, self.left)
    }
}

impl<'a> LayerPieces<'a> {
    pub(super) fn open(
        place: &'a Place,
        layer: &Layer,
        of: &'a File,
        offset: u64,
    ) -> Result<Self, store::Error> {
        let head = layer.head.len() as u64;
        let inside = offset.saturating_sub(head).min(of.size);
        let after = offset.saturating_sub(head + of.size);
        Ok(Self {
            head: Held::new(&Bytes::copy_from_slice(&layer.head), offset),
            file: place.read(&of.path, of.size, inside, States::Nothing)?,
            left: of.size - inside,
            tail: layer.tail.saturating_sub(after),
            of,
        })
    }
}

impl Pieces for LayerPieces<'_> {
    fn next(&mut self) -> Result<Option<Bytes>, store::Error> {
        if let Some(head) = self.head.next()? {
            return Ok(Some(head));
        }
        if self.left > 0 {
            // A file that changes its length while it is read shows in the digest; here only nothing must follow too early or too late.
            if let Some(mut piece) = self.file.next()? {
                piece.truncate(small(self.left));
                self.left -= piece.len() as u64;
                return Ok(Some(piece));
            }
            let why = format!("it ends {} bytes before its {}", self.left, self.of.size);
            return Err(store::Error::Malformed { path: self.of.path.as_str().into(), why });
        }
        let tail = std::mem::take(&mut self.tail);
        Ok((tail > 0).then(|| Bytes::from(vec![0; small(tail)])))
    }
}
