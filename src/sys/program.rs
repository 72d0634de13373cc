//! The program that is running, as a file: whether it could be given to somebody else's machine.

use std::io::Read as _;
use std::path::PathBuf;

/// Bytes in which an ELF file's headers lie; linkers put them first.
const HEAD: u64 = 64 << 10;

/// A program that needs nothing but a kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Static {
    /// Where it is.
    pub path: PathBuf,
    /// `linux/amd64` or `linux/arm64`.
    pub platform: &'static str,
}

/// The running program, when it is static; `None` when it needs libraries that another machine may lack, or cannot be read.
#[must_use]
pub fn running() -> Option<Static> {
    let path = std::env::current_exe().ok()?;
    let mut head = Vec::new();
    std::fs::File::open(&path).ok()?.take(HEAD).read_to_end(&mut head).ok()?;
    Some(Static { path, platform: platform_of_static(&head)? })
}

/// The platform of an ELF64 file that asks for no interpreter (`PT_INTERP`; System V ABI, program header); `None` for any other.
fn platform_of_static(head: &[u8]) -> Option<&'static str> {
    const PT_INTERP: u32 = 3;
    if head.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let number = |at: usize| Some(u16::from_le_bytes(head.get(at..at.checked_add(2)?)?.try_into().ok()?));
    let platform = match number(18)? {
        62 => "linux/amd64",
        183 => "linux/arm64",
        _ => return None,
    };
    let start = usize::try_from(u64::from_le_bytes(head.get(32..40)?.try_into().ok()?)).ok()?;
    let (size, count) = (usize::from(number(54)?), usize::from(number(56)?));
    for header in 0..count {
        let at = start.checked_add(header.checked_mul(size)?)?;
        let kind = u32::from_le_bytes(head.get(at..at.checked_add(4)?)?.try_into().ok()?);
        if kind == PT_INTERP {
            return None;
        }
    }
    Some(platform)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header for a machine, and one program header of `kind`.
    fn program(machine: u8, kind: u8) -> Vec<u8> {
        let mut file = vec![0; 64 + 56];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[18] = machine;
        file[32] = 64;
        file[54] = 56;
        file[56] = 1;
        file[64] = kind;
        file
    }

    #[test]
    fn only_what_needs_no_interpreter_can_travel() {
        assert_eq!(platform_of_static(&program(62, 1)), Some("linux/amd64"));
        assert_eq!(platform_of_static(&program(183, 1)), Some("linux/arm64"));
        assert_eq!(platform_of_static(&program(62, 3)), None);
        assert_eq!(platform_of_static(&program(40, 1)), None);
        assert_eq!(platform_of_static(&program(62, 1)[..66]), None, "cut off");
        assert_eq!(platform_of_static(b"#!/bin/sh\n"), None);
    }
}
