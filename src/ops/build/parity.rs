//! The parity volumes, computed from the volumes once those are written: one more reading of them, a column at a time.
//!
//! A build that is killed meanwhile begins the parity again; the volumes stay as they are.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::{Error, Parity, Plan};
use crate::bundle::Geometry;
use crate::bundle::index::{self, Index, Scheme, Volume, parity_name};
use crate::bundle::parity::Shape;
use crate::checked::small;
use crate::digest::Hasher;
use crate::limits;
use crate::progress::{Event, Observer};
use crate::store;
use crate::store::parity::{Strip, each_column};
use crate::sys::{fs, own};

/// The shape of `share` percent of parity for these volumes.
pub(super) fn shape(volumes: &Geometry, share: u64) -> Option<Shape> {
    let lengths = (0..volumes.volumes()).flat_map(|volume| {
        let bytes = volumes.file_length(volume);
        (0..volumes.chunks(volume))
            .map(move |chunk| limits::CHUNK_BYTES.min(bytes - chunk * limits::CHUNK_BYTES))
    });
    Shape::new(share, lengths)
}

/// What a person wants to know of it.
pub(super) fn summary(parity: &Shape, volumes: &Geometry) -> Parity {
    let lengths = Index::parity_lengths(parity, volumes.file_length(0));
    // Chunks that follow each other are dealt to one group after the other.
    let whole_volume = (0..parity.groups())
        .all(|number| parity.group(number).rows >= volumes.chunks(0).div_ceil(parity.groups()));
    Parity {
        share: parity.share(),
        volumes: lengths.len(),
        bytes: lengths.iter().sum(),
        chunks: parity.rows(),
        whole_volume,
    }
}

/// Writes the parity volumes of the bundle in `folder`, when there are to be any.
pub(super) fn write(
    plan: &Plan,
    index: &Index,
    folder: &Path,
    observer: &dyn Observer,
) -> Result<Option<index::Parity>, Error> {
    let Some(shape) = &plan.parity else { return Ok(None) };
    let lengths = Index::parity_lengths(shape, plan.shape.file_length(0));
    let rows = shape.rows_of_volume(plan.shape.file_length(0));
    let mut files = Vec::new();
    for (number, length) in lengths.iter().enumerate() {
        let path = folder.join(parity_name(&plan.release, number));
        let io = |source| Error::File(fs::Error::Io { path: path.clone(), source });
        own::folders_of(&path)?;
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path).map_err(io)?;
        file.set_len(*length).map_err(io)?;
        files.push((file, path));
    }
    let chunked = index.chunked();
    let bytes = chunked.iter().map(|file| file.bytes).sum();
    observer.event(Event::Begin { verb: "parity", bytes, items: shape.rows() });
    let folders = [folder.to_owned()];
    let strip = Strip::new(&folders, &chunked);
    for number in 0..shape.groups() {
        let group = shape.group(number);
        each_column(shape, &group, &|columns, at, width| {
            columns.compute(&group, width, &mut |place, room| {
                strip.read(shape.number(number, place), at, room)
            })?;
            observer.event(Event::Advance { bytes: group.chunks * width });
            for row in 0..group.rows {
                let all = shape.number(number, row);
                let (file, path) = &files[small(all / rows)];
                file.write_all_at(columns.row(row, width), all % rows * shape.length() + at)
                    .map_err(|source| store::Error::Io { path: path.clone(), source })?;
            }
            Ok(())
        })?;
    }
    observer.event(Event::End);
    let mut volumes = Vec::new();
    for (number, (file, path)) in files.into_iter().enumerate() {
        let io = |source| Error::File(fs::Error::Io { path: path.clone(), source });
        file.sync_all().map_err(io)?;
        let name = parity_name(&plan.release, number);
        let name = name
            .parse()
            .map_err(|e: crate::path::PathError| index::IndexError::Contradiction(e.to_string()))?;
        volumes.push(volume(&file, shape.length(), name).map_err(io)?);
    }
    Ok(Some(index::Parity {
        chunk_bytes: shape.length(),
        scheme: Scheme::Rs16,
        share: shape.share(),
        volumes,
    }))
}

/// Reads a parity volume once more, for its hashes: it was not written in order.
fn volume(file: &File, chunk_bytes: u64, name: crate::path::EntryPath) -> std::io::Result<Volume> {
    let bytes = file.metadata()?.len();
    let mut whole = Hasher::new();
    let mut chunks = Vec::new();
    let mut piece = vec![0; small(limits::PIECE_BYTES)];
    let mut at = 0;
    while at < bytes {
        let mut chunk = Hasher::new();
        while chunk.length() < chunk_bytes && at < bytes {
            let wanted = small(chunk_bytes - chunk.length()).min(piece.len());
            let read = file.read_at(&mut piece[..wanted], at)?;
            if read == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            chunk.update(&piece[..read]);
            whole.update(&piece[..read]);
            at += read as u64;
        }
        chunks.push(chunk.finish());
    }
    Ok(Volume { bytes, chunks, name, sha256: whole.finish() })
}
