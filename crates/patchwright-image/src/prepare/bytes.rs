//! Little-endian numbers at offsets that a file states.

/// `N` bytes at `at`, if they are there.
pub(crate) fn array<const N: usize>(data: &[u8], at: u64) -> Option<[u8; N]> {
    let at = usize::try_from(at).ok()?;
    data.get(at..)?.first_chunk().copied()
}

/// `len` bytes at `at`, if they are there.
pub(crate) fn range(data: &[u8], at: u64, len: u64) -> Option<&[u8]> {
    let start = usize::try_from(at).ok()?;
    let end = usize::try_from(at.checked_add(len)?).ok()?;
    data.get(start..end)
}

/// The 16-bit number at `at`.
pub(crate) fn u16_at(data: &[u8], at: u64) -> Option<u16> {
    array(data, at).map(u16::from_le_bytes)
}

/// The 32-bit number at `at`.
pub(crate) fn u32_at(data: &[u8], at: u64) -> Option<u32> {
    array(data, at).map(u32::from_le_bytes)
}

/// The 64-bit number at `at`.
pub(crate) fn u64_at(data: &[u8], at: u64) -> Option<u64> {
    array(data, at).map(u64::from_le_bytes)
}

/// A number of `width` bytes at `at`.
pub(crate) fn unsigned_at(data: &[u8], at: u64, width: u8) -> Option<u64> {
    let bytes = range(data, at, u64::from(width)).filter(|_| width <= 8)?;
    Some(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

/// A number of `width` bytes at `at`, whose highest bit is its sign.
pub(crate) fn signed_at(data: &[u8], at: u64, width: u8) -> Option<i64> {
    let value = unsigned_at(data, at, width)?;
    let shift = 64_u32.saturating_sub(u32::from(width) * 8);
    Some(if shift == 64 { 0 } else { (value << shift).cast_signed() >> shift })
}

/// Writes the low `width` bytes of a number; whether they fit into `data`.
#[must_use]
pub(crate) fn put(data: &mut [u8], at: u64, width: u8, value: u64) -> bool {
    let Ok(at) = usize::try_from(at) else { return false };
    let Some(field) = data.get_mut(at..).and_then(|rest| rest.get_mut(..usize::from(width))) else { return false };
    let bytes = value.to_le_bytes();
    let Some(bytes) = bytes.get(..field.len()) else { return false };
    field.copy_from_slice(bytes);
    true
}

/// Whether a signed number survives being cut to `width` bytes.
pub(crate) fn fits_signed(value: i64, width: u8) -> bool {
    let shift = 64_u32.saturating_sub(u32::from(width) * 8);
    width > 0 && value << shift >> shift == value
}

/// `value` rounded up to a multiple of `unit`, a power of two or not.
pub(crate) fn round_up(value: u64, unit: u64) -> u64 {
    value.checked_next_multiple_of(unit.max(1)).unwrap_or(value)
}
