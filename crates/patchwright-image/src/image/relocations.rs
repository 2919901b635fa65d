//! Where relocations change code, and where those of data lead.
//!
//! Linked images: dynamic relocations of ELF with their addend in the record or in place, packed ones (RELR), and base
//! relocations of PE. Objects: fields of code, branches that the linker resolves, and jump tables.

use object::read::{
    File, Object as _, ObjectSection as _, ObjectSymbol as _, Relocation, RelocationFlags, RelocationTarget, Section,
};
use object::{SectionFlags, SectionKind, elf, pe};

use super::{Edge, Format, Image, Kind, Machine, Pe, Via};

impl<'data> Image<'data> {
    pub(super) fn read_relocations(&mut self, file: &File<'data>, pe: Option<&Pe<'data>>, budget: usize) {
        match pe {
            Some(pe) => self.read_base_relocations(pe, budget),
            None if self.kind != Kind::Object => self.read_dynamic_relocations(file, budget),
            None => {}
        }
        if self.kind == Kind::Object {
            self.read_object_relocations(file, budget);
        }
        self.fields.sort_unstable();
        self.pointers.sort_unstable();
        self.links.sort_unstable();
    }

    fn read_dynamic_relocations(&mut self, file: &File<'data>, budget: usize) {
        let width = if file.is_64() { 8 } else { 4 };
        for (at, relocation) in file.dynamic_relocations().into_iter().flatten().take(budget) {
            let target = is_relative(&relocation).then(|| {
                let addend = relocation.addend().cast_unsigned();
                let in_place = relocation.has_implicit_addend();
                if in_place { self.number(at, width).unwrap_or_default() } else { addend }
            });
            self.note_relocation(at, target);
        }
        let packed = file.sections().filter(|section| {
            matches!(section.flags(), SectionFlags::Elf { .. }) && section_type(file, section) == Some(elf::SHT_RELR)
        });
        for section in packed {
            let data = section.data().unwrap_or_default();
            // Each place is a word of the file.
            for at in relr(data, width, budget / width) {
                let target = self.number(at, width);
                self.note_relocation(at, target);
            }
        }
    }

    fn read_base_relocations(&mut self, pe: &Pe<'data>, budget: usize) {
        const HIGHLOW: u16 = 3;
        const DIR64: u16 = 10;
        for (kind, at) in pe.relocations().take(budget) {
            let width = match kind {
                HIGHLOW => 4,
                DIR64 => 8,
                0 => continue,
                _ => {
                    self.note_relocation(at, None);
                    continue;
                }
            };
            let target = self.number(at, width);
            self.note_relocation(at, target);
        }
    }

    fn note_relocation(&mut self, at: u64, target: Option<u64>) {
        if self.section_of(at).is_some() {
            self.fields.push(at);
        }
        self.pointers.extend(target.filter(|target| self.section_of(*target).is_some()));
    }

    fn read_object_relocations(&mut self, file: &File<'data>, mut budget: usize) {
        // Where code takes addresses in data: possible jump tables, as section and offset.
        let mut tables: Vec<(usize, u64)> = Vec::new();
        // Relocations in data that may be entries: section, offset, where they lead without their distance.
        let mut entries: Vec<(usize, u64, u64, bool)> = Vec::new();
        for section in file.sections() {
            let code = self.section_by_index(section.index().0).map(|section| section.address);
            let held = matches!(
                section.kind(),
                SectionKind::ReadOnlyData | SectionKind::Data | SectionKind::ReadOnlyDataWithRel
            );
            // Debug information points to every line; only code and data can lead a branch.
            // And what tells where pads are leads there.
            if code.is_none() && (!held || section.name() == Ok("__patchable_function_entries")) {
                continue;
            }
            let bytes = section.data().unwrap_or_default();
            for (offset, relocation) in section.relocations() {
                let Some(left) = budget.checked_sub(1) else { return };
                budget = left;
                self.fields.extend(code.map(|base| base.wrapping_add(offset)));
                let RelocationTarget::Symbol(index) = relocation.target() else { continue };
                let Ok(symbol) = file.symbol_by_index(index) else { continue };
                let Some(target_section) = symbol.section_index() else { continue };
                let shape = Shape::of(self.format, self.machine, &relocation);
                let addend = addend(&relocation, bytes, offset);
                let value = symbol.address().wrapping_add_signed(addend);
                let target = self.section_by_index(target_section.0).map(|section| section.address.wrapping_add(value));
                match (code, target, shape) {
                    (Some(base), Some(target), Shape::Branch { bias }) => {
                        self.links.push((base.wrapping_add(offset), target.wrapping_add_signed(bias)));
                    }
                    (Some(_), None, Shape::Branch { bias }) => {
                        tables.push((target_section.0, value.wrapping_add_signed(bias)));
                    }
                    (None, Some(target), Shape::Branch { .. }) => {
                        entries.push((section.index().0, offset, target, true));
                    }
                    (None, Some(target), Shape::Address) => entries.push((section.index().0, offset, target, false)),
                    _ => {}
                }
            }
        }
        tables.sort_unstable();
        self.read_object_tables(&tables, &entries);
    }

    /// An entry that is relative holds its distance from the table's start as well, which the addend includes.
    fn read_object_tables(&mut self, tables: &[(usize, u64)], entries: &[(usize, u64, u64, bool)]) {
        for &(section, offset, target, relative) in entries {
            let to = if relative {
                let after = tables.partition_point(|table| *table <= (section, offset));
                let table = tables[..after].last().filter(|table| table.0 == section);
                let Some((_, start)) = table else { continue };
                target.wrapping_sub(offset - start)
            } else {
                target
            };
            if self.section_of(to).is_some() {
                // The code that jumps through a table is in the function that the table leads to.
                self.edges.push(Edge { to, from: to, via: if relative { Via::Table } else { Via::Pointer } });
            }
        }
    }
}

/// What a relocation of an object is to the audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// The distance from the end of the instruction, or on ARM64 from its start.
    Branch {
        bias: i64,
    },
    /// An address as it is.
    Address,
    Other,
}

impl Shape {
    fn of(format: Format, machine: Machine, relocation: &Relocation) -> Self {
        match (format, machine, relocation.flags()) {
            (Format::Elf, Machine::X86_64, RelocationFlags::Elf { r_type }) => match r_type {
                elf::R_X86_64_PC32 | elf::R_X86_64_PLT32 => Self::Branch { bias: 4 },
                elf::R_X86_64_64 | elf::R_X86_64_32 | elf::R_X86_64_32S => Self::Address,
                _ => Self::Other,
            },
            (Format::Elf, Machine::X86, RelocationFlags::Elf { r_type }) => match r_type {
                elf::R_386_PC32 | elf::R_386_PLT32 => Self::Branch { bias: 4 },
                elf::R_386_32 => Self::Address,
                _ => Self::Other,
            },
            (Format::Elf, Machine::Aarch64, RelocationFlags::Elf { r_type }) => match r_type {
                elf::R_AARCH64_CALL26
                | elf::R_AARCH64_JUMP26
                | elf::R_AARCH64_CONDBR19
                | elf::R_AARCH64_TSTBR14
                | elf::R_AARCH64_PREL32 => Self::Branch { bias: 0 },
                elf::R_AARCH64_ABS64 => Self::Address,
                _ => Self::Other,
            },
            (Format::Pe, Machine::X86_64, RelocationFlags::Coff { typ }) => match typ {
                pe::IMAGE_REL_AMD64_REL32 => Self::Branch { bias: 4 },
                pe::IMAGE_REL_AMD64_ADDR64 => Self::Address,
                _ => Self::Other,
            },
            (Format::Pe, Machine::X86, RelocationFlags::Coff { typ }) => match typ {
                pe::IMAGE_REL_I386_REL32 => Self::Branch { bias: 4 },
                pe::IMAGE_REL_I386_DIR32 => Self::Address,
                _ => Self::Other,
            },
            _ => Self::Other,
        }
    }
}

/// The addend, from the field itself where the record has none.
///
/// `object` gives relative fields of COFF an addend of minus four, which is their distance from the end of the field.
fn addend(relocation: &Relocation, bytes: &[u8], offset: u64) -> i64 {
    if !relocation.has_implicit_addend() {
        return relocation.addend();
    }
    let at = usize::try_from(offset).ok();
    let field = |len: usize| at.and_then(|at| bytes.get(at..at.checked_add(len)?));
    let number = match relocation.size() {
        64 => field(8).and_then(|bytes| bytes.first_chunk()).map(|bytes| i64::from_le_bytes(*bytes)),
        _ => field(4).and_then(|bytes| bytes.first_chunk()).map(|bytes| i64::from(i32::from_le_bytes(*bytes))),
    };
    relocation.addend().wrapping_add(number.unwrap_or_default())
}

/// Whether a relocation of a linked image stores an address of the image itself.
pub(crate) fn is_relative(relocation: &Relocation) -> bool {
    let relative = [elf::R_X86_64_RELATIVE, elf::R_386_RELATIVE, elf::R_AARCH64_RELATIVE, elf::R_ARM_RELATIVE];
    matches!(relocation.flags(), RelocationFlags::Elf { r_type } if relative.contains(&r_type))
}

fn section_type(file: &File<'_>, section: &Section<'_, '_>) -> Option<elf::SectionType> {
    use object::Endianness;
    use object::read::elf::SectionHeader as _;
    match file {
        File::Elf64(file) => {
            let header = file.elf_section_table().section(section.index()).ok()?;
            Some(header.sh_type(Endianness::Little))
        }
        File::Elf32(file) => {
            let header = file.elf_section_table().section(section.index()).ok()?;
            Some(header.sh_type(Endianness::Little))
        }
        _ => None,
    }
}

/// The addresses that packed relocations stand for, at most `budget`: an address, or bits for the words after it.
fn relr(data: &[u8], width: usize, budget: usize) -> Vec<u64> {
    let mut places = Vec::new();
    let step = width as u64;
    let bits = step * 8 - 1;
    let mut next = 0_u64;
    for entry in data.chunks_exact(width) {
        let entry = entry.iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        if entry & 1 == 0 {
            places.push(entry);
            next = entry.wrapping_add(step);
        } else {
            let set = (0..bits).filter(|bit| entry >> (bit + 1) & 1 != 0);
            places.extend(set.map(|bit| next.wrapping_add(bit * step)));
            next = next.wrapping_add(bits * step);
        }
        if places.len() > budget {
            places.truncate(budget);
            break;
        }
    }
    places
}

#[test]
fn packed_relocations_unfold() {
    let words = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
    for (stored, places) in [
        (&[0x1000_u64][..], &[0x1000_u64][..]),
        (&[0x1000, 0b1011], &[0x1000, 0x1008, 0x1018]),
        (&[0x1000, 1, 0b11], &[0x1000, 0x1008 + 63 * 8]),
        (&[0x1000, 0x2000], &[0x1000, 0x2000]),
    ] {
        assert_eq!(relr(&words(stored), 8, 100), places, "{stored:x?}");
    }
    assert_eq!(relr(&words(&[0x1000, u64::MAX]), 8, 5).len(), 5);
}
