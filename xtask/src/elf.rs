//! Whether a program needs a dynamic loader: the one question `ldd` answers, without running what is asked about.

/// Whether the ELF64 little-endian file asks for an interpreter (`PT_INTERP`; System V ABI, program header).
/// `None` when it is no such file.
pub(crate) fn wants_loader(file: &[u8]) -> Option<bool> {
    const PT_INTERP: u32 = 3;
    if file.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let start = usize::try_from(u64::from_le_bytes(file.get(32..40)?.try_into().ok()?)).ok()?;
    let size = usize::from(u16::from_le_bytes(file.get(54..56)?.try_into().ok()?));
    let count = usize::from(u16::from_le_bytes(file.get(56..58)?.try_into().ok()?));
    for number in 0..count {
        let at = start.checked_add(number.checked_mul(size)?)?;
        let kind = u32::from_le_bytes(file.get(at..at.checked_add(4)?)?.try_into().ok()?);
        if kind == PT_INTERP {
            return Some(true);
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header and one program header of `kind`.
    fn program(kind: u32) -> Vec<u8> {
        let mut file = vec![0; 64 + 56];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[32] = 64;
        file[54] = 56;
        file[56] = 1;
        file[64..68].copy_from_slice(&kind.to_le_bytes());
        file
    }

    #[test]
    fn an_interpreter_means_dynamic() {
        assert_eq!(wants_loader(&program(3)), Some(true));
        assert_eq!(wants_loader(&program(1)), Some(false));
        assert_eq!(wants_loader(&program(3)[..66]), None, "cut off");
        assert_eq!(wants_loader(b"#!/bin/sh\n"), None);
    }

    #[test]
    fn this_very_test_is_dynamic() {
        let own = std::env::current_exe().ok().and_then(|path| std::fs::read(path).ok());
        assert_eq!(own.as_deref().and_then(wants_loader), Some(true));
    }
}
