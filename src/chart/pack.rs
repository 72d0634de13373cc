//! A chart's folder as an archive: the same files give the same bytes, on any machine and in any year.
//!
//! `<name>/<path>` for each file, sorted by path; mode 0644, no owner, no time; the ustar header, with a pax header only for names that do
//! not fit; two blocks of zeros; a gzip of one member without name and time, by zlib-rs at level 9. The level and the encoder are
//! part of the form: another encoder gives an archive with another digest. What `.helmignore` leaves out is left out by whoever lists
//! the files.

use std::io::Write as _;

use flate2::{Compression, GzBuilder};

use crate::path::EntryPath;

/// The level of compression.
const LEVEL: u32 = 9;
/// The `OS` byte of the gzip header (RFC 1952): unknown, on every machine.
const OS_UNKNOWN: u8 = 255;

/// Packs files, which are relative to the chart's folder, under the folder `name`.
///
/// # Errors
/// A path that is too long with the folder before it.
pub fn pack(name: &str, files: &[(EntryPath, Vec<u8>)]) -> Result<Vec<u8>, crate::path::PathError> {
    let mut sorted: Vec<(EntryPath, &[u8])> = files
        .iter()
        .map(|(path, bytes)| Ok((format!("{name}/{path}").parse()?, bytes.as_slice())))
        .collect::<Result<_, _>>()?;
    sorted.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut gzip = GzBuilder::new().operating_system(OS_UNKNOWN).write(Vec::new(), Compression::new(LEVEL));
    for (path, bytes) in sorted {
        let head = crate::bundle::tar::file_entry(path.as_str(), bytes.len() as u64);
        let padding = bytes.len().next_multiple_of(512) - bytes.len();
        write(&mut gzip, &head);
        write(&mut gzip, bytes);
        write(&mut gzip, &[0; 512][..padding]);
    }
    write(&mut gzip, &[0; 1024]);
    Ok(gzip.finish().unwrap_or_default())
}

fn write(gzip: &mut flate2::write::GzEncoder<Vec<u8>>, bytes: &[u8]) {
    // Writing to memory does not fail.
    let _ = gzip.write_all(bytes);
}
