//! Relocations that the linker was told to keep.

use object::read::elf::{Rela as _, SectionHeader as _, Sym as _};
use object::{SectionIndex, SymbolIndex, elf};

use super::{Elf, Kept, LE, Program};
use crate::error::ImageError;

impl<'data> Program<'data> {
    /// What `--emit-relocs` left, of sections that are in memory; and whether it left anything.
    pub(super) fn read_kept(&mut self, file: &Elf<'data>, budget: usize) -> Result<bool, ImageError> {
        let symbols = file.elf_symbol_table();
        let mut left = budget;
        let mut any = false;
        for section in file.elf_section_table().iter() {
            let Some((relas, link)) = section.rela(LE, file.data())? else { continue };
            if section.sh_flags(LE).0 & elf::SHF_ALLOC.0 != 0 || link != symbols.section() {
                continue;
            }
            let target = file.elf_section_table().section(SectionIndex(section.sh_info(LE) as usize));
            if !target.is_ok_and(|target| target.sh_flags(LE).0 & elf::SHF_ALLOC.0 != 0) {
                continue;
            }
            any = true;
            for rela in relas {
                left = left.checked_sub(1).ok_or_else(|| ImageError::malformed("more relocations than bytes"))?;
                let index = rela.r_sym(LE, false);
                let symbol = symbols.symbol(SymbolIndex(index as usize)).ok();
                let value = symbol.map_or(0, |symbol| symbol.st_value(LE));
                let named = symbol
                    .filter(|symbol| symbol.st_type() != elf::STT_SECTION && symbol.st_shndx(LE) != elf::SHN_UNDEF);
                let kept = Kept {
                    kind: rela.r_type(LE, false),
                    symbol: named.map(|symbol| symbol.st_value(LE)),
                    target: value.wrapping_add_signed(rela.r_addend(LE)),
                    undefined: index != 0 && symbol.is_none_or(|symbol| symbol.st_shndx(LE) == elf::SHN_UNDEF),
                };
                if kept.kind != elf::R_X86_64_NONE {
                    self.kept.insert(rela.r_offset(LE), kept);
                }
            }
        }
        // Addends of instructions count from the end of the field, so that these are near, not exact: what the
        // instructions refer to is added when they are read.
        let exact = self
            .kept
            .iter()
            .filter(|(_, kept)| matches!(kept.kind, elf::R_X86_64_64 | elf::R_X86_64_32 | elf::R_X86_64_32S));
        let exact: Vec<u64> = exact.map(|(_, kept)| kept.target).collect();
        self.anchors.extend(exact);
        Ok(any)
    }
}
