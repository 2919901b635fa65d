//! The base relocations of PE files: blocks of a page's address, a length, and two-byte entries.

/// Each entry with the address of its page; stops at the first block that makes no sense.
pub(super) fn entries(table: &[u8]) -> impl Iterator<Item = (u32, u16)> {
    let mut rest = table;
    std::iter::from_fn(move || {
        let ([page, len], _) = rest.first_chunk::<8>()?.as_chunks::<4>().0.first_chunk::<2>().map(|w| (*w, ()))?;
        let (page, len) = (u32::from_le_bytes(page), usize::try_from(u32::from_le_bytes(len)).ok()?);
        if len < 8 {
            return None;
        }
        let block = rest.get(8..len)?;
        rest = &rest[len..];
        Some((page, block))
    })
    .flat_map(|(page, block)| block.as_chunks::<2>().0.iter().map(move |entry| (page, u16::from_le_bytes(*entry))))
}
