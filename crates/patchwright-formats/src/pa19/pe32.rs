//! A 32-bit portable executable, seen through checked offsets.
//!
//! Only what normalisation and transforms need, and with their rules: those of the genuine creator, which are not
//! those of the loader. Addresses are relative virtual addresses (`rva`) unless they are called offsets.

mod raw_map;

use super::budget::Budget;
use raw_map::RawMap;

/// Indices of the data directories in use.
pub(super) mod directory {
    pub(in super::super) const EXPORT: usize = 0;
    pub(in super::super) const IMPORT: usize = 1;
    pub(in super::super) const RESOURCE: usize = 2;
    pub(in super::super) const BASERELOC: usize = 5;
    pub(in super::super) const LOAD_CONFIG: usize = 10;
    pub(in super::super) const BOUND_IMPORT: usize = 11;
    /// How many there are.
    pub(in super::super) const COUNT: usize = 16;
}

/// `Machine` of x86, the only one whose instructions are looked at.
pub(super) const MACHINE_X86: u16 = 0x14C;
/// The section holds code.
pub(super) const MEM_EXECUTE: u32 = 0x2000_0000;
/// The section can be written to.
pub(super) const MEM_WRITE: u32 = 0x8000_0000;
/// The section can be read.
pub(super) const MEM_READ: u32 = 0x4000_0000;

const SECTION_HEADER: usize = 40;

/// Where the parts of an image are. It holds no bytes: the image changes while it is looked at.
#[derive(Clone, Debug)]
pub(super) struct Pe32 {
    /// Offset of the file header, behind the signature.
    file_header: usize,
    /// Offset of the optional header.
    optional: usize,
    pub(super) machine: u16,
    pub(super) size_of_headers: u32,
    pub(super) size_of_image: u32,
    pub(super) sections: Vec<Section>,
    /// What `sections` say of addresses.
    raw_map: RawMap,
    image_len: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Section {
    pub(super) name: [u8; 8],
    pub(super) virtual_size: u32,
    pub(super) rva: u32,
    pub(super) raw_size: u32,
    pub(super) raw_offset: u32,
    pub(super) characteristics: u32,
    /// Offset of `characteristics` in the file.
    pub(super) characteristics_at: usize,
}

/// An entry of the table of data directories.
#[derive(Clone, Copy, Debug)]
pub(super) struct Directory {
    pub(super) rva: u32,
    pub(super) size: u32,
}

/// Bytes of a directory that lies inside the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mapped {
    pub(super) rva: u32,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Pe32 {
    /// Finds the parts of `image`; `None` for everything that is not processed as a 32-bit image.
    pub(super) fn parse(image: &[u8]) -> Option<Self> {
        if image.len() < 0x200 || !image.starts_with(b"MZ") {
            return None;
        }
        let signature = u32_at(image, 0x3C)? as usize;
        if signature >= image.len() || image.len() - signature < 248 {
            return None;
        }
        if image[signature..signature + 4] != *b"PE\0\0" {
            return None;
        }
        let file_header = signature + 4;
        let optional = file_header + 20;
        if u16_at(image, optional)? != 0x10B {
            return None;
        }
        let directories = u64::from(u32_at(image, optional + 92)?);
        if optional as u64 + 96 + directories * 8 > image.len() as u64 {
            return None;
        }
        let count = usize::from(u16_at(image, file_header + 2)?);
        let table = optional + usize::from(u16_at(image, file_header + 16)?);
        if table + count * SECTION_HEADER > image.len() {
            return None;
        }
        let sections =
            (0..count).map(|i| Section::read(image, table + i * SECTION_HEADER)).collect::<Option<Vec<_>>>()?;
        Some(Self {
            file_header,
            optional,
            machine: u16_at(image, file_header)?,
            size_of_headers: u32_at(image, optional + 60)?,
            size_of_image: u32_at(image, optional + 56)?,
            raw_map: RawMap::new(&sections),
            sections,
            image_len: image.len(),
        })
    }

    /// Offset of `TimeDateStamp` in the file header.
    pub(super) fn time_at(&self) -> usize {
        self.file_header + 4
    }

    /// Offset of `ImageBase`.
    pub(super) fn image_base_at(&self) -> usize {
        self.optional + 28
    }

    /// Offset of `CheckSum`.
    pub(super) fn checksum_at(&self) -> usize {
        self.optional + 64
    }

    /// Offset of the entry of a data directory. All sixteen are taken to be there, whatever the header says.
    pub(super) fn directory_at(&self, index: usize) -> usize {
        self.optional + 96 + index * 8
    }

    pub(super) fn image_base(&self, image: &[u8]) -> u32 {
        u32_at(image, self.image_base_at()).unwrap_or(0)
    }

    pub(super) fn directory(&self, image: &[u8], index: usize) -> Directory {
        let at = self.directory_at(index);
        Directory { rva: u32_at(image, at).unwrap_or(0), size: u32_at(image, at + 4).unwrap_or(0) }
    }

    /// The bytes of a directory, if it has an address and lies inside the file.
    pub(super) fn mapped(&self, image: &[u8], index: usize) -> Option<Mapped> {
        let Directory { rva, size } = self.directory(image, index);
        let start = self.offset(rva)?;
        let end = start.checked_add(size as usize)?;
        (rva != 0 && start < self.image_len && end <= self.image_len).then_some(Mapped { rva, start, end })
    }

    /// Offset of an address; `None` where no bytes of the file are loaded. The offset may be beyond the file.
    pub(super) fn offset(&self, rva: u32) -> Option<usize> {
        let offset = if rva < self.size_of_headers { rva } else { self.raw_map.offset(rva)? };
        (offset != 0).then_some(offset as usize)
    }

    /// Address of an offset in the file, for the sections with code.
    ///
    /// Sections may be the same bytes again and again; those that no [`Budget`] is left for are not there.
    pub(super) fn sections_with_code(&self) -> impl Iterator<Item = CodeRange> {
        let mut budget = Budget::new(self.image_len);
        let ranges =
            self.sections.iter().filter(|section| section.characteristics & MEM_EXECUTE != 0).filter_map(|section| {
                let start = section.raw_offset as usize;
                let end = start.checked_add(section.virtual_size.min(section.raw_size) as usize)?;
                (end <= self.image_len).then_some(CodeRange { start, end, rva: section.rva })
            });
        ranges.take_while(move |range| budget.spend(range.end - range.start))
    }
}

/// Code in the file: offsets, and the address of the first byte.
#[derive(Clone, Copy, Debug)]
pub(super) struct CodeRange {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) rva: u32,
}

impl CodeRange {
    /// Address of `offset`, which lies in the range.
    pub(super) fn rva_of(&self, offset: usize) -> u32 {
        self.rva.wrapping_add(u32::try_from(offset - self.start).expect("sections are smaller than 4 GiB"))
    }
}

impl Section {
    fn read(image: &[u8], at: usize) -> Option<Self> {
        Some(Self {
            name: *image.get(at..)?.first_chunk()?,
            virtual_size: u32_at(image, at + 8)?,
            rva: u32_at(image, at + 12)?,
            raw_size: u32_at(image, at + 16)?,
            raw_offset: u32_at(image, at + 20)?,
            characteristics: u32_at(image, at + 36)?,
            characteristics_at: at + 36,
        })
    }

    /// The raw bytes, clipped to a file of `len` bytes.
    pub(super) fn raw(&self, len: usize) -> std::ops::Range<usize> {
        let start = (self.raw_offset as usize).min(len);
        start..start.saturating_add(self.raw_size as usize).min(len)
    }
}

pub(super) fn u16_at(image: &[u8], at: usize) -> Option<u16> {
    image.get(at..)?.first_chunk().copied().map(u16::from_le_bytes)
}

pub(super) fn u32_at(image: &[u8], at: usize) -> Option<u32> {
    image.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}

/// Stores `value` at `at`, or nothing where the image ends before.
pub(super) fn put_u16(image: &mut [u8], at: usize, value: u16) {
    if let Some(bytes) = image.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *bytes = value.to_le_bytes();
    }
}

/// Stores `value` at `at`, or nothing where the image ends before.
pub(super) fn put_u32(image: &mut [u8], at: usize, value: u32) {
    if let Some(bytes) = image.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *bytes = value.to_le_bytes();
    }
}

/// The low half.
pub(super) fn low(value: u32) -> u16 {
    u16::try_from(value & 0xFFFF).expect("masked")
}

/// The high half.
pub(super) fn high(value: u32) -> u16 {
    low(value >> 16)
}

/// Relocations: a walk over the blocks, which normalisation and transform share.
pub(super) mod reloc {
    use super::{Mapped, u16_at, u32_at};

    pub(in super::super) const ABSOLUTE: u8 = 0;
    pub(in super::super) const HIGH: u8 = 1;
    pub(in super::super) const LOW: u8 = 2;
    pub(in super::super) const HIGHLOW: u8 = 3;
    pub(in super::super) const HIGHADJ: u8 = 4;

    #[derive(Clone, Copy, Debug)]
    pub(in super::super) struct Fixup {
        /// Address of what is to be relocated.
        pub(in super::super) rva: u32,
        pub(in super::super) kind: u8,
        /// What follows a `HIGHADJ`; 0 for the others.
        pub(in super::super) addend: u16,
    }

    /// Why a table cannot be walked to its end.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(in super::super) enum Fault {
        /// A block header reaches beyond the end of the file.
        Truncated { at: usize },
        /// A block ends with a `HIGHADJ` that lacks its second half.
        HalfAdjust { at: usize },
    }

    /// All fixups of a table in its order, those of type `ABSOLUTE` left out.
    ///
    /// The table ends where its size ends or where a block cannot be: eight bytes or less, or more than is left.
    pub(in super::super) fn fixups(image: &[u8], table: Mapped) -> Result<Vec<Fixup>, Fault> {
        let mut found = Vec::new();
        let mut at = table.start;
        while at < table.end {
            let header = u32_at(image, at).zip(u32_at(image, at + 4));
            let (page, size) = header.ok_or(Fault::Truncated { at })?;
            let size = size as usize;
            if size <= 8 || size > table.end - at {
                break;
            }
            let end = at + size;
            let mut entry = at + 8;
            while entry + 2 <= end {
                let word = u16_at(image, entry).expect("the table lies inside the file");
                let kind = u8::try_from(word >> 12).expect("four bits");
                let mut addend = 0;
                entry += 2;
                if kind == HIGHADJ {
                    if entry + 2 > end {
                        return Err(Fault::HalfAdjust { at: entry - 2 });
                    }
                    addend = u16_at(image, entry).expect("the table lies inside the file");
                    entry += 2;
                }
                if kind != ABSOLUTE {
                    found.push(Fixup { rva: page.wrapping_add(u32::from(word & 0xFFF)), kind, addend });
                }
            }
            at = end;
        }
        Ok(found)
    }
}
