//! The entries of a tar: name to place. Read header by header at offsets, with bounded memory; nothing is unpacked.
//!
//! POSIX ustar and pax (`path`, `linkpath`, `size`), GNU long names. Sparse entries are refused: their bytes in the file are not
//! their content.

use std::collections::HashMap;

use tar::{EntryType, Header, PaxExtensions};

use crate::limits;
use crate::sources::Error;
use crate::sources::file::Regular;

const BLOCK: u64 = 512;

/// Where an entry's bytes lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Extent {
    /// First byte, in the tar.
    pub(super) offset: u64,
    /// How many.
    pub(super) size: u64,
}

#[derive(Debug)]
enum Node {
    File(Extent),
    /// Another name, from the top of the archive.
    Link(String),
}

/// Every file and link of a tar.
#[derive(Debug)]
pub(super) struct Entries {
    nodes: HashMap<String, Node>,
}

/// What extended headers said about the entry that follows them.
#[derive(Default)]
struct Extended {
    path: Option<String>,
    link: Option<String>,
    size: Option<u64>,
}

impl Entries {
    /// Reads all headers of `file`.
    pub(super) fn read(file: &Regular) -> Result<Self, Error> {
        let broken = |why: String| Error::Malformed { path: file.path.clone(), why };
        let mut nodes = HashMap::new();
        let mut extended = Extended::default();
        let (mut at, mut count) = (0u64, 0usize);
        while at < file.length {
            let cut = || broken(format!("it is cut off at byte {}", file.length));
            if at == 0 && file.length < BLOCK {
                return Err(broken("it is not a tar".to_owned()));
            }
            if at + BLOCK > file.length {
                return Err(cut());
            }
            let block = file.read(at, BLOCK)?;
            if block.iter().all(|byte| *byte == 0) {
                break;
            }
            count += 1;
            if count > limits::ARCHIVE_ENTRIES {
                return Err(broken(format!("it has more than {} entries", limits::ARCHIVE_ENTRIES)));
            }
            let header = Header::from_byte_slice(&block);
            if header.cksum().ok() != Some(checksum(&block)) {
                return Err(broken(match at {
                    0 => "it is not a tar".to_owned(),
                    _ => format!("there is no tar header at byte {at}"),
                }));
            }
            let kind = header.entry_type();
            let describes_next = kind.is_pax_local_extensions()
                || kind.is_pax_global_extensions()
                || kind.is_gnu_longname()
                || kind.is_gnu_longlink();
            let stated = header.entry_size().map_err(|e| broken(format!("at byte {at}: {e}")))?;
            let size = if describes_next { stated } else { extended.size.unwrap_or(stated) };
            let offset = at + BLOCK;
            let next = size
                .checked_next_multiple_of(BLOCK)
                .and_then(|padded| offset.checked_add(padded))
                .ok_or_else(cut)?;
            if offset + size > file.length {
                return Err(cut());
            }
            at = next;
            if describes_next {
                if size > limits::TAR_HEADER_BYTES {
                    return Err(broken(format!("a tar header at byte {offset} has {size} bytes")));
                }
                let bytes = file.read(offset, size)?;
                extended.take_in(kind, &bytes).map_err(broken)?;
                continue;
            }
            let Extended { path, link, .. } = std::mem::take(&mut extended);
            let name = match path {
                Some(path) => path,
                None => text(&header.path_bytes()).map_err(broken)?,
            };
            let node = match kind {
                EntryType::Regular | EntryType::Continuous => Node::File(Extent { offset, size }),
                EntryType::Symlink | EntryType::Link => {
                    let target = match link {
                        Some(link) => link,
                        None => text(&header.link_name_bytes().unwrap_or_default()).map_err(broken)?,
                    };
                    let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
                    let from = if kind.is_symlink() { folder } else { "" };
                    match join(from, &target) {
                        Some(target) => Node::Link(target),
                        None => return Err(broken(format!("entry {name} links out of the archive"))),
                    }
                }
                EntryType::GNUSparse => return Err(broken(format!("entry {name} is sparse"))),
                _ => continue,
            };
            let name =
                join("", &name).ok_or_else(|| broken(format!("entry {name} lies outside the archive")))?;
            if nodes.insert(name.clone(), node).is_some() {
                return Err(broken(format!("entry {name} stands in it twice")));
            }
        }
        Ok(Self { nodes })
    }

    /// The bytes of `name`, links followed; `None` when there is no such file.
    pub(super) fn find(&self, name: &str) -> Option<Extent> {
        let mut name = join("", name)?;
        for _ in 0..=limits::ARCHIVE_LINKS {
            match self.nodes.get(&name)? {
                Node::File(extent) => return Some(*extent),
                Node::Link(target) => name.clone_from(target),
            }
        }
        None
    }

    /// Every file of exactly `size` bytes, with its name, in the order of the archive.
    pub(super) fn of_size(&self, size: u64) -> Vec<(&str, Extent)> {
        let mut found: Vec<(&str, Extent)> = self
            .nodes
            .iter()
            .filter_map(|(name, node)| match node {
                Node::File(extent) if extent.size == size => Some((name.as_str(), *extent)),
                _ => None,
            })
            .collect();
        found.sort_by_key(|(_, extent)| *extent);
        found
    }
}

impl Extended {
    fn take_in(&mut self, kind: EntryType, bytes: &[u8]) -> Result<(), String> {
        if kind.is_gnu_longname() {
            self.path = Some(text(bytes)?);
        } else if kind.is_gnu_longlink() {
            self.link = Some(text(bytes)?);
        } else if kind.is_pax_local_extensions() {
            for record in PaxExtensions::new(bytes) {
                let record = record.map_err(|e| format!("a pax header is broken: {e}"))?;
                match record.key_bytes() {
                    b"path" => self.path = Some(text(record.value_bytes())?),
                    b"linkpath" => self.link = Some(text(record.value_bytes())?),
                    b"size" => {
                        let size = record.value().ok().and_then(|value| value.parse().ok());
                        self.size = Some(size.ok_or("a pax header states a size that is no number")?);
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// The sum of a header's bytes, its checksum field taken as spaces (POSIX ustar, `chksum`).
fn checksum(block: &[u8]) -> u32 {
    let byte =
        |(place, byte): (usize, &u8)| u32::from(if (148..156).contains(&place) { b' ' } else { *byte });
    block.iter().enumerate().map(byte).sum()
}

fn text(bytes: &[u8]) -> Result<String, String> {
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) if text.chars().any(char::is_control) => {
            Err("an entry's name has control characters".into())
        }
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err("an entry's name is not UTF-8".into()),
    }
}

/// `target` seen from `folder`, without `.` and `..`; `None` when it leads out. A leading `/` is the archive's top.
fn join(folder: &str, target: &str) -> Option<String> {
    let start = if target.starts_with('/') { "" } else { folder };
    let mut names: Vec<&str> = Vec::new();
    for name in start.split('/').chain(target.split('/')) {
        match name {
            "" | "." => {}
            ".." => {
                names.pop()?;
            }
            name => names.push(name),
        }
    }
    (!names.is_empty()).then(|| names.join("/"))
}
