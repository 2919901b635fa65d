//! Where the sections of a program are, in its file and in memory.
//!
//! Our own small reader of PE, ELF and Mach-O: `apply` depends on what it finds, byte for byte, so its behaviour is
//! part of the format (`docs/formats/delta-native.md`) and may not change when a library does. It is total: whatever
//! is not understood gives [`Layout::raw`], which is a layout without sections, on both sides alike.

/// The instruction set of an image, as far as references in its code are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) enum Machine {
    /// Nothing is known: all bytes are data.
    #[default]
    Other,
    X86,
    X64,
    Arm64,
}

/// A stretch of the file, of memory, or of both. Addresses count from [`Layout::base`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Section {
    /// Its first byte in the file; without meaning when `file_len` is zero.
    pub(super) offset: u32,
    pub(super) file_len: u32,
    /// Its address, less the base of the image.
    pub(super) address: u32,
    pub(super) memory_len: u32,
    pub(super) code: bool,
    /// What its words may count from, besides all that the words of any section may count from.
    pub(super) origin: Origin,
}

/// What some words of a section count from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) enum Origin {
    /// The first code of the image.
    #[default]
    Text,
    /// Bytes of another section, by its number: symbols and their names.
    Bytes(usize),
    /// Records of 24 bytes of another section, by its number: relocations and their symbols.
    Records(usize),
}

/// The length of a record that [`Origin::Records`] counts.
pub(super) const RECORD_LEN: u32 = 24;

impl Section {
    pub(super) fn file_end(&self) -> u32 {
        self.offset.saturating_add(self.file_len)
    }

    pub(super) fn memory_end(&self) -> u32 {
        self.address.saturating_add(self.memory_len)
    }
}

/// The sections of an image in the order of their file offsets; those in memory only come last.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Layout {
    pub(super) machine: Machine,
    /// What addresses count from.
    pub(super) base: u64,
    pub(super) sections: Vec<Section>,
    /// For PE: where the base relocations are in the file, and how long they are.
    pub(super) relocations: Option<(u32, u32)>,
    /// For PE on x86-64: where the table of functions (`.pdata`) is in the file, and how long it is.
    pub(super) functions: Option<(u32, u32)>,
}

/// More sections than this are not believed.
pub(super) const MAX_SECTIONS: usize = 1024;

impl Layout {
    /// A file of which nothing is known.
    pub(super) fn raw() -> Self {
        Self::default()
    }

    /// Reads the layout of any file.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let found = match bytes.get(..4) {
            Some([0x7F, b'E', b'L', b'F']) => elf(bytes),
            Some([b'M', b'Z', ..]) => pe(bytes),
            Some([0xCF, 0xFA, 0xED, 0xFE]) => mach(bytes),
            _ => None,
        };
        found.map_or_else(Self::raw, |layout| layout.cleaned(bytes.len()))
    }

    /// Sorts the sections, keeps them inside the file and apart from each other.
    fn cleaned(mut self, file_len: usize) -> Self {
        let file_len = u32::try_from(file_len).unwrap_or(0);
        if self.sections.len() > MAX_SECTIONS {
            return Self::raw();
        }
        for section in &mut self.sections {
            section.offset = section.offset.min(file_len);
            section.file_len = section.file_len.min(file_len - section.offset);
            section.memory_len = section.memory_len.max(section.file_len);
        }
        let order = |s: &Section| {
            (s.file_len == 0, if s.file_len == 0 { 0 } else { s.offset }, s.address, s.file_len, s.memory_len)
        };
        let mut numbered: Vec<(usize, Section)> = self.sections.into_iter().enumerate().collect();
        numbered.sort_unstable_by_key(|(number, section)| (order(section), *number));
        let mut end = 0;
        numbered.retain(|(_, section)| {
            let apart = section.file_len == 0 || section.offset >= end;
            if apart && section.file_len > 0 {
                end = section.file_end();
            }
            apart && section.memory_len > 0
        });
        // Sections are known by their place in order from here on.
        let place = |was: usize| numbered.iter().position(|(number, _)| *number == was);
        let origin = |origin: Origin| match origin {
            Origin::Text => Origin::Text,
            Origin::Bytes(was) => place(was).map_or(Origin::Text, Origin::Bytes),
            Origin::Records(was) => place(was).map_or(Origin::Text, Origin::Records),
        };
        self.sections =
            numbered.iter().map(|(_, section)| Section { origin: origin(section.origin), ..*section }).collect();
        self
    }

    /// The address that words of this origin count from, and the length of what they count.
    pub(super) fn origin(&self, origin: Origin) -> (u32, u32) {
        let address = |number: usize| self.sections.get(number).map_or(0, |section| section.address);
        match origin {
            Origin::Text => (self.text(), 1),
            Origin::Bytes(number) => (address(number), 1),
            Origin::Records(number) => (address(number), RECORD_LEN),
        }
    }

    /// The first address after all sections.
    pub(super) fn memory_end(&self) -> u32 {
        let end = |section: &Section| section.memory_end();
        self.sections.iter().map(end).filter(|end| u64::from(*end) < ELSEWHERE).max().unwrap_or(0)
    }

    /// The section that holds a byte of the file.
    pub(super) fn section_at(&self, offset: u32) -> Option<&Section> {
        let after = self.sections.partition_point(|s| s.file_len > 0 && s.offset <= offset);
        let section = self.sections.get(after.checked_sub(1)?)?;
        (offset < section.file_end()).then_some(section)
    }

    /// The number of the section that holds a byte of the file.
    #[cfg(feature = "create")]
    pub(super) fn number_at(&self, offset: u32) -> Option<usize> {
        let number = self.sections.partition_point(|s| s.file_len > 0 && s.offset <= offset).checked_sub(1)?;
        (offset < self.sections[number].file_end()).then_some(number)
    }

    /// What four-byte addresses in code count from: in images above 4 GiB they can only be distances from the base.
    pub(super) fn code_base(&self) -> u32 {
        u32::try_from(self.base).unwrap_or(0)
    }

    /// Where the first section of code starts: what text-relative words count from.
    pub(super) fn text(&self) -> u32 {
        self.sections.iter().find(|s| s.code && s.memory_len > 64 << 10).map_or(0, |s| s.address)
    }
}

/// Fields of a structure somewhere in the file; none when they lie outside.
struct Fields<'a> {
    bytes: &'a [u8],
}

impl Fields<'_> {
    fn u16(&self, at: u64) -> Option<u16> {
        Some(u16::from_le_bytes(*self.array(at)?))
    }

    fn u32(&self, at: u64) -> Option<u32> {
        Some(u32::from_le_bytes(*self.array(at)?))
    }

    fn u64(&self, at: u64) -> Option<u64> {
        Some(u64::from_le_bytes(*self.array(at)?))
    }

    fn array<const N: usize>(&self, at: u64) -> Option<&[u8; N]> {
        self.bytes.get(usize::try_from(at).ok()?..)?.first_chunk()
    }
}

/// A section before its addresses are counted from the base.
struct Found {
    offset: u64,
    file_len: u64,
    address: u64,
    memory_len: u64,
    code: bool,
    origin: Origin,
}

/// Where sections that are not in memory are thought to be.
const ELSEWHERE: u64 = 0xC000_0000;

/// Counts addresses from `base`; sections that are not within 4 GiB of it are left out.
fn based(machine: Machine, base: u64, found: Vec<Found>) -> Layout {
    let narrow = |section: Found| {
        Some(Section {
            offset: u32::try_from(section.offset).ok()?,
            file_len: u32::try_from(section.file_len).ok()?,
            address: u32::try_from(section.address.checked_sub(base)?).ok()?,
            memory_len: u32::try_from(section.memory_len).ok()?,
            code: section.code,
            origin: section.origin,
        })
    };
    // One that is left out stays as an empty one, so that the others keep their numbers.
    let sections = found.into_iter().map(|section| narrow(section).unwrap_or_default()).collect();
    Layout { machine, base, sections, relocations: None, functions: None }
}

fn elf(bytes: &[u8]) -> Option<Layout> {
    const SHT_SYMTAB: u32 = 2;
    const SHT_RELA: u32 = 4;
    const SHT_NOBITS: u32 = 8;
    const SHT_DYNSYM: u32 = 11;
    const SHF_ALLOC: u64 = 2;
    const SHF_EXECINSTR: u64 = 4;
    const SHF_TLS: u64 = 0x400;
    let fields = Fields { bytes };
    let wide = match bytes.get(4..6)? {
        [1, 1] => false,
        [2, 1] => true,
        _ => return None,
    };
    let machine = match (fields.u16(18)?, wide) {
        (3, false) => Machine::X86,
        (62, true) => Machine::X64,
        (183, true) => Machine::Arm64,
        _ => Machine::Other,
    };
    let (table, entry_len, count) = if wide {
        (fields.u64(0x28)?, fields.u16(0x3A)?, fields.u16(0x3C)?)
    } else {
        (u64::from(fields.u32(0x20)?), fields.u16(0x2E)?, fields.u16(0x30)?)
    };
    let mut found = Vec::new();
    for number in 0..u64::from(count) {
        let at = table.checked_add(number * u64::from(entry_len))?;
        let at_word = |wide_at: u64, narrow_at: u64| {
            if wide {
                fields.u64(at.checked_add(wide_at)?)
            } else {
                fields.u32(at.checked_add(narrow_at)?).map(u64::from)
            }
        };
        let at_u32 = |at: u64, wide_at: u64, narrow_at: u64| {
            fields.u32(at.checked_add(if wide { wide_at } else { narrow_at })?)
        };
        let kind = fields.u32(at.checked_add(4)?)?;
        let (flags, address) = (at_word(8, 8)?, at_word(16, 12)?);
        let (offset, len) = (at_word(24, 16)?, at_word(32, 20)?);
        let link = usize::try_from(at_u32(at, 40, 24)?).unwrap_or(usize::MAX);
        let origin = match kind {
            SHT_SYMTAB | SHT_DYNSYM => Origin::Bytes(link),
            SHT_RELA if wide => Origin::Records(link),
            _ => Origin::Text,
        };
        let in_memory = flags & SHF_ALLOC != 0;
        let absent = len == 0 || (kind == SHT_NOBITS && (flags & SHF_TLS != 0 || !in_memory));
        let file_len = if kind == SHT_NOBITS { 0 } else { len };
        // What is not in memory gets an address after everything else: its parts refer to each other as well.
        let address = if in_memory { address } else { offset.checked_add(ELSEWHERE)? };
        if absent {
            found.push(Found { offset: 0, file_len: 0, address: 0, memory_len: 0, code: false, origin });
            continue;
        }
        found.push(Found { offset, file_len, address, memory_len: len, code: flags & SHF_EXECINSTR != 0, origin });
    }
    // Programs that are linked to a fixed place far up count from there, all others from zero.
    let lowest = found.iter().filter(|section| section.memory_len > 0).map(|section| section.address).min()?;
    let base = if lowest < 1 << 31 { 0 } else { lowest & !0xFFFF };
    Some(based(machine, base, found))
}

fn pe(bytes: &[u8]) -> Option<Layout> {
    const CODE: u32 = 0x20;
    const EXECUTE: u32 = 0x2000_0000;
    let fields = Fields { bytes };
    let header = u64::from(fields.u32(0x3C)?);
    if fields.u32(header)? != 0x4550 {
        return None;
    }
    let machine = match fields.u16(header + 4)? {
        0x14C => Machine::X86,
        0x8664 => Machine::X64,
        0xAA64 => Machine::Arm64,
        _ => Machine::Other,
    };
    let count = u64::from(fields.u16(header + 6)?);
    let optional = header + 24;
    let (base, directories) = match fields.u16(optional)? {
        0x10B => (u64::from(fields.u32(optional + 28)?), optional + 96),
        0x20B => (fields.u64(optional + 24)?, optional + 112),
        _ => return None,
    };
    let table = optional + u64::from(fields.u16(header + 20)?);
    // The headers are in memory too, at the base of the image.
    let headers_len = u64::from(fields.u32(optional + 60)?);
    let mut found = vec![Found {
        offset: 0,
        file_len: headers_len,
        address: base,
        memory_len: headers_len,
        code: false,
        origin: Origin::Text,
    }];
    for number in 0..count {
        let at = table + number * 40;
        let memory_len = u64::from(fields.u32(at + 8)?);
        let address = base.checked_add(u64::from(fields.u32(at + 12)?))?;
        let file_len = u64::from(fields.u32(at + 16)?);
        let flags = fields.u32(at + 36)?;
        let offset = u64::from(fields.u32(at + 20)?);
        found.push(Found {
            offset,
            file_len,
            address,
            memory_len,
            code: flags & (CODE | EXECUTE) != 0,
            origin: Origin::Text,
        });
    }
    let mut layout = based(machine, base, found);
    let known = fields.u32(directories - 4)?;
    let directory = |number: u32| {
        let at = directories + u64::from(number) * 8;
        let (address, len) = (fields.u32(at)?, fields.u32(at + 4)?);
        let inside = |s: &&Section| s.address <= address && address - s.address < s.file_len;
        let section = layout.sections.iter().find(inside).filter(|_| number < known)?;
        let within = address - section.address;
        Some((section.offset.checked_add(within)?, len.min(section.file_len - within)))
    };
    let (functions, relocations) = (directory(3), directory(5));
    layout.functions = functions.filter(|_| machine == Machine::X64);
    layout.relocations = relocations;
    Some(layout)
}

fn mach(bytes: &[u8]) -> Option<Layout> {
    const LC_SEGMENT_64: u32 = 0x19;
    const INSTRUCTIONS: u32 = 0x8000_0400;
    const ZEROFILL: [u32; 3] = [1, 12, 18];
    let fields = Fields { bytes };
    let machine = match fields.u32(4)? {
        0x0100_0007 => Machine::X64,
        0x0100_000C => Machine::Arm64,
        _ => Machine::Other,
    };
    let mut found = Vec::new();
    let mut base = 0;
    let mut at = 32;
    for _ in 0..fields.u32(16)? {
        let (command, len) = (fields.u32(at)?, u64::from(fields.u32(at + 4)?));
        if len < 8 {
            return None;
        }
        if command == LC_SEGMENT_64 {
            // The segment that starts the file is where addresses count from.
            if fields.u64(at + 40)? == 0 && fields.u64(at + 48)? > 0 {
                base = fields.u64(at + 24)?;
            }
            for number in 0..u64::from(fields.u32(at + 64)?) {
                let section = at.checked_add(72 + number * 80)?;
                let (address, len) = (fields.u64(section + 32)?, fields.u64(section + 40)?);
                let (offset, flags) = (u64::from(fields.u32(section + 48)?), fields.u32(section + 64)?);
                let file_len = if ZEROFILL.contains(&(flags & 0xFF)) { 0 } else { len };
                found.push(Found {
                    offset,
                    file_len,
                    address,
                    memory_len: len,
                    code: flags & INSTRUCTIONS != 0,
                    origin: Origin::Text,
                });
            }
        }
        at = at.checked_add(len)?;
    }
    Some(based(machine, base, found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_no_images_are_raw() {
        for bytes in [&b""[..], b"MZ", b"\x7FELF", b"\x7FELF\x02\x01", b"\xCF\xFA\xED\xFE", b"#!/bin/sh\n"] {
            assert_eq!(Layout::of(bytes), Layout::raw(), "{bytes:?}");
        }
        assert_eq!(Layout::of(&[&b"MZ"[..], &[0xFF; 500]].concat()), Layout::raw());
        assert_eq!(Layout::of(&[&b"\x7FELF\x02\x01"[..], &[0xFF; 500]].concat()), Layout::raw());
    }

    #[test]
    fn sections_are_sorted_and_kept_apart_and_inside() {
        let section = |offset, file_len| Section { offset, file_len, address: 1, memory_len: 8, ..Section::default() };
        let layout = Layout {
            sections: vec![section(50, 100), section(0, 20), section(10, 20), section(30, 20), section(0, 0)],
            ..Layout::raw()
        };
        let cleaned: Vec<_> = layout.cleaned(90).sections.iter().map(|s| (s.offset, s.file_len)).collect();
        assert_eq!(cleaned, [(0, 20), (30, 20), (50, 40), (0, 0)]);
    }

    #[test]
    fn sections_are_found_by_what_they_hold() {
        let section = |offset, file_len| Section { offset, file_len, memory_len: 1, ..Section::default() };
        let layout = Layout { sections: vec![section(10, 5), section(20, 5), section(0, 0)], ..Layout::raw() };
        for (offset, expected) in [(9, None), (10, Some(10)), (14, Some(10)), (15, None), (24, Some(20)), (25, None)] {
            assert_eq!(layout.section_at(offset).map(|s| s.offset), expected, "{offset}");
        }
    }
}
