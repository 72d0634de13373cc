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
