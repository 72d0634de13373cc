//! The payload's tar: headers that are the same on every machine, and the arithmetic of where things lie.
//!
//! POSIX.1-2017 pax, "ustar Interchange Format" and "pax Header Block". Every entry is a regular file, mode 0644, owner 0,
//! time 0. A pax record is written only for a size that ustar's eleven octal digits cannot hold (8 GiB and more).

/// Bytes of a tar block.
pub const BLOCK: u64 = 512;
/// Bytes that end a tar: two zero blocks.
pub const END: u64 = 2 * BLOCK;

const OCTAL_MAX: u64 = 0o777_7777_7777;

/// Bytes of header before the data of a file of `size` bytes.
#[must_use]
pub fn header_length(size: u64) -> u64 {
    if size > OCTAL_MAX { 3 * BLOCK } else { BLOCK }
}

/// Zero bytes after the data of a file of `size` bytes.
#[must_use]
pub fn padding(size: u64) -> u64 {
    (BLOCK - size % BLOCK) % BLOCK
}

/// The header for a file called `name` (ASCII, at most 100 bytes) of `size` bytes.
#[must_use]
pub fn header(name: &str, size: u64) -> Vec<u8> {
    if size <= OCTAL_MAX {
        return block(name, size, b'0').to_vec();
    }
    let mut out = Vec::with_capacity(1536);
    let record = pax_record("size", &size.to_string());
    out.extend_from_slice(&block("pax", record.len() as u64, b'x'));
    out.extend_from_slice(record.as_bytes());
    out.resize(1024, 0);
    out.extend_from_slice(&block(name, 0, b'0'));
    out
}

/// The header of a file of any name and size, for tars that others unpack: as [`header`] where that can hold it, else with pax records.
#[must_use]
pub fn file_entry(name: &str, size: u64) -> Vec<u8> {
    entry(name, size, b'0')
}

/// The entry of a folder, whose name ends in `/`: mode 0755.
#[must_use]
pub fn folder_entry(name: &str) -> Vec<u8> {
    entry(name, 0, b'5')
}

/// An entry whose name or size may need a pax record. Names that are not ASCII do: ustar leaves their encoding open, pax says UTF-8.
fn entry(name: &str, size: u64, kind: u8) -> Vec<u8> {
    let mut records = String::new();
    if name.len() > 100 || !name.is_ascii() {
        records += &pax_record("path", name);
    }
    if size > OCTAL_MAX {
        records += &pax_record("size", &size.to_string());
    }
    let size = if size > OCTAL_MAX { 0 } else { size };
    if records.is_empty() {
        return block(name, size, kind).to_vec();
    }
    let mut out = block("pax", records.len() as u64, b'x').to_vec();
    out.extend_from_slice(records.as_bytes());
    out.resize(out.len().next_multiple_of(512), 0);
    // Readers that know no pax see the beginning of the name.
    let plain: String = name.chars().filter(char::is_ascii).take(100).collect();
    out.extend_from_slice(&block(&plain, size, kind));
    out
}

/// `<length> <key>=<value>\n`, where the length counts itself.
fn pax_record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length.to_string().len() + rest != length {
        length = length.to_string().len() + rest;
    }
    format!("{length} {key}={value}\n")
}

fn block(name: &str, size: u64, kind: u8) -> [u8; 512] {
    let mut block = [0u8; 512];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &name.as_bytes()[..name.len().min(100)]);
    put(100, if kind == b'5' { b"0000755\0" } else { b"0000644\0" });
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    put(329, b"0000000\0");
    put(337, b"0000000\0");
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn the_tar_library_reads_what_is_written_here() {
        let big = 9u64 << 30;
        for size in [0, 1, 511, 512, 513, OCTAL_MAX, OCTAL_MAX + 1, big] {
            let header = header("blobs/sha256/x", size);
            assert_eq!(header.len() as u64, header_length(size));
            let stream = std::io::Cursor::new(header).chain(std::io::repeat(0));
            let mut archive = tar::Archive::new(stream);
            let entry = archive.entries().unwrap().next().unwrap().unwrap();
            assert_eq!(entry.path().unwrap().to_str(), Some("blobs/sha256/x"));
            assert_eq!(entry.size(), size);
        }
    }

    #[test]
    fn a_pax_record_counts_itself() {
        assert_eq!(pax_record("size", "9663676416"), "19 size=9663676416\n");
    }

    #[test]
    fn data_always_begins_on_a_block() {
        for size in [0, 1, 512, 513, OCTAL_MAX + 1] {
            assert_eq!((header_length(size) + size + padding(size)) % BLOCK, 0);
        }
    }
}
