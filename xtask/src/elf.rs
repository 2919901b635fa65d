//! Bytes of a 64-bit little-endian ELF file that nothing uses: padding between its parts.
//!
//! The demo plants its stamp there: a program runs on unharmed with a stamp in its padding.

use std::ops::Range;

/// Finds the longest run of zero bytes that belongs to no section and no header; `None` when `file` is no such ELF file.
pub(crate) fn longest_padding(file: &[u8]) -> Option<Range<usize>> {
    let mut used = used(file)?;
    used.sort_by_key(|range| (range.start, range.end));
    let mut best: Option<Range<usize>> = None;
    let mut end = 0;
    for range in used {
        // What follows the last section is no padding: nothing there is known to be kept.
        if range.start > end {
            let gap = end..range.start;
            let zero = file.get(gap.clone()).is_some_and(|bytes| bytes.iter().all(|&byte| byte == 0));
            if zero && best.as_ref().is_none_or(|best| gap.len() > best.len()) {
                best = Some(gap);
            }
        }
        end = end.max(range.end);
    }
    best
}

/// Headers, tables and sections, in no order.
fn used(file: &[u8]) -> Option<Vec<Range<usize>>> {
    const SHT_NOBITS: u64 = 8;
    // ELFCLASS64, ELFDATA2LSB.
    if file.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let number = |at: usize, len: usize| -> Option<u64> {
        let bytes = file.get(at..at.checked_add(len)?)?;
        Some(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    };
    let at = |at: usize, len: usize| usize::try_from(number(at, len)?).ok();
    let table = |offset: usize, size: usize, count: usize| -> Option<Range<usize>> {
        Some(offset..offset.checked_add(size.checked_mul(count)?)?)
    };
    let (e_phoff, e_shoff) = (at(0x20, 8)?, at(0x28, 8)?);
    let (e_phentsize, e_phnum) = (at(0x36, 2)?, at(0x38, 2)?);
    let (e_shentsize, e_shnum) = (at(0x3a, 2)?, at(0x3c, 2)?);
    let sections = table(e_shoff, e_shentsize, e_shnum)?;
    let mut used = vec![0..at(0x34, 2)?, table(e_phoff, e_phentsize, e_phnum)?, sections.clone()];
    for header in sections.step_by(e_shentsize.max(1)) {
        let (sh_type, sh_offset, sh_size) = (number(header + 4, 4)?, at(header + 0x18, 8)?, at(header + 0x20, 8)?);
        if sh_type != SHT_NOBITS {
            used.push(sh_offset..sh_offset.checked_add(sh_size)?);
        }
    }
    Some(used)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF header, one section header at 0x40, and sections at the given places.
    fn elf(sections: &[Range<usize>], len: usize) -> Vec<u8> {
        let mut file = vec![0; len];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[0x28] = 0x40;
        file[0x34] = 0x40;
        file[0x3a] = 0x40;
        file[0x3c] = u8::try_from(sections.len()).unwrap();
        for (index, section) in sections.iter().enumerate() {
            let header = 0x40 + index * 0x40;
            file[header + 0x18..][..8].copy_from_slice(&(section.start as u64).to_le_bytes());
            file[header + 0x20..][..8].copy_from_slice(&(section.len() as u64).to_le_bytes());
            file[section.clone()].fill(0xcc);
        }
        file
    }

    #[test]
    fn padding_lies_between_sections() {
        let file = elf(&[0x800..0x900, 0x200..0x310], 0xf00);
        assert_eq!(longest_padding(&file), Some(0x310..0x800));
    }

    #[test]
    fn bytes_that_are_not_zero_are_no_padding() {
        let mut file = elf(&[0x200..0x310, 0x800..0x900], 0xf00);
        file[0x500] = 1;
        assert_eq!(longest_padding(&file), Some(0xc0..0x200));
    }

    #[test]
    fn broken_files_have_none() {
        assert_eq!(longest_padding(b"MZ"), None);
        let mut file = elf(&[0x200..0x310, 0x380..0x400], 0x400);
        file[0x3c] = 200;
        assert_eq!(longest_padding(&file), None);
        file[0x28..0x30].fill(0xff);
        assert_eq!(longest_padding(&file), None);
    }

    #[test]
    fn this_program_is_read() {
        let file = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        if cfg!(all(target_os = "linux", target_pointer_width = "64", target_endian = "little")) {
            assert!(used(&file).is_some());
        }
    }
}
