//! What a filesystem can hold: room, the size of its files, the length of its names.
//!
//! FAT32 holds no file of 4 GiB, and says so only when a copy of hours has got there. Which filesystem it is stands in statfs(2) where
//! the kernel knows; one that a program serves (FUSE) is known by the type it is mounted as.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::fs::Error;
use crate::limits;

/// What was found out of a filesystem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// What it is, as `mount` calls it; empty where that cannot be told.
    pub kind: String,
    /// What is mounted there: a device, an image.
    pub device: String,
    /// Bytes free for this user; `None` where it does not tell.
    pub free: Option<u64>,
    /// Bytes that files are rounded up to.
    pub unit: u64,
    /// Bytes of the largest file, where there is a limit that people meet.
    pub largest: Option<u64>,
    /// Bytes of the longest name, where that is known.
    pub name: Option<usize>,
}

/// statfs(2): the filesystems of DOS, one number for FAT12, FAT16 and FAT32.
const MSDOS: u64 = 0x4d44;

/// What is so of the filesystem that holds `path`, which is there.
///
/// # Errors
/// What the system refused.
pub fn facts(path: &Path) -> Result<Facts, Error> {
    let io = |source: io::Error| Error::Io { path: path.to_owned(), source };
    let number = rustix::fs::statfs(path).map_err(|errno| io(errno.into()))?.f_type;
    let facts = rustix::fs::statvfs(path).map_err(|errno| io(errno.into()))?;
    let device = std::fs::metadata(path).map_err(io)?.dev();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let (kind, source) = mounted(&mounts, device).unwrap_or_default();
    let fat = u64::try_from(number).is_ok_and(|number| number == MSDOS) || is_fat(&kind);
    Ok(Facts {
        kind,
        device: source,
        // A filesystem of no blocks at all is one that does not tell.
        free: (facts.f_blocks > 0).then(|| facts.f_bavail.saturating_mul(facts.f_frsize)),
        unit: facts.f_bsize.clamp(512, 32 << 20),
        largest: fat.then_some(limits::FAT_FILE_BYTES),
        name: usize::try_from(facts.f_namemax).ok().filter(|most| *most > 0),
    })
}

/// Whether the filesystem that `mount` calls `kind` is one of DOS.
fn is_fat(kind: &str) -> bool {
    matches!(kind.trim_start_matches("fuse.").trim_start_matches("fuseblk."), "vfat" | "msdos" | "fusefat")
}

/// The type and the source of what is mounted as `device`, by the text of `/proc/self/mountinfo` (proc(5)); the last one that was mounted.
fn mounted(text: &str, device: u64) -> Option<(String, String)> {
    let wanted = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    text.lines().rev().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        (before.split(' ').nth(2)? == wanted).then_some(())?;
        let mut after = after.split(' ');
        Some((after.next()?.to_owned(), after.next()?.to_owned()))
    })
}

/// Whether `one` is `other`, or lies inside of it, by whatever names they are reached: what is mounted twice, or linked, is one folder.
///
/// What is not there yet lies where the nearest folder above it does.
#[must_use]
pub fn within(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| std::fs::metadata(path).ok().map(|facts| (facts.dev(), facts.ino()));
    let Some(other) = identity(other) else { return false };
    let Some(start) = nearest(one) else { return false };
    start.ancestors().any(|folder| identity(folder) == Some(other))
}

/// The nearest folder above `path`, or itself, that is there; by its own name, without links.
#[must_use]
pub fn nearest(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    path.ancestors().find_map(|folder| folder.canonicalize().ok())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_type_is_read_from_the_list_of_mounts() {
        let text = "27 1 254:0 / / rw - ext4 /dev/vda rw\n\
                    42 27 0:39 / /media/a\\040b rw,nosuid shared:1 - fuse.fusefat fusefat rw,user_id=0\n\
                    43 27 8:17 / /media/c rw - vfat /dev/sdb1 rw\n";
        let of = |major, minor| mounted(text, rustix::fs::makedev(major, minor)).map(|(kind, _)| kind);
        assert_eq!(of(254, 0).as_deref(), Some("ext4"));
        assert_eq!(of(0, 39).as_deref(), Some("fuse.fusefat"));
        assert_eq!(of(8, 17).as_deref(), Some("vfat"));
        assert_eq!(of(8, 18), None);
        for (kind, fat) in
            [("vfat", true), ("fuse.fusefat", true), ("msdos", true), ("exfat", false), ("ext4", false)]
        {
            assert_eq!(is_fat(kind), fat, "{kind}");
        }
    }

    #[test]
    fn a_folder_is_inside_of_another_by_whatever_name() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        std::fs::create_dir_all(at("a/b")).unwrap();
        std::fs::create_dir(at("ab")).unwrap();
        std::os::unix::fs::symlink(at("a"), at("link")).unwrap();
        for (one, other, inside) in [
            ("a", "a", true),
            ("a/b", "a", true),
            ("a/new/er", "a", true),
            ("link/b", "a", true),
            ("a/b/../b", "link", true),
            ("a", "a/b", false),
            ("ab", "a", false),
            ("a", "gone", false),
        ] {
            assert_eq!(within(&at(one), &at(other)), inside, "{one} in {other}");
        }
        let facts = facts(root.path()).unwrap();
        assert!(facts.unit >= 512 && !facts.kind.is_empty(), "{facts:?}");
    }
}
