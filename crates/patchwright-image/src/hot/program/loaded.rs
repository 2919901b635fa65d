//! What the loader puts into the program's tables and data.

use object::read::elf::{Rela as _, SectionHeader as _, Sym as _};
use object::{SymbolIndex, elf};

use super::{Elf, Import, LE, Loaded, Program};
use crate::error::ImageError;

impl<'data> Program<'data> {
    pub(super) fn read_loaded(&mut self, file: &Elf<'data>, budget: usize) -> Result<(), ImageError> {
        let symbols = file.elf_dynamic_symbol_table();
        let versions = file.elf_section_table().versions(LE, file.data())?;
        let mut left = budget;
        for section in file.elf_section_table().iter() {
            // Packed: the addend stands in place.
            if let Some(places) = section.relr(LE, file.data())? {
                for at in places {
                    left = left.checked_sub(1).ok_or_else(|| ImageError::malformed("more relocations than bytes"))?;
                    let target = self.word(at);
                    self.anchors.insert(target);
                    self.loaded.insert(at, Loaded::Relative(target));
                }
            }
            let Some((relas, _)) = section.rela(LE, file.data())? else { continue };
            if section.sh_flags(LE).0 & elf::SHF_ALLOC.0 == 0 {
                continue;
            }
            for rela in relas {
                left = left.checked_sub(1).ok_or_else(|| ImageError::malformed("more relocations than bytes"))?;
                let index = SymbolIndex(rela.r_sym(LE, false) as usize);
                let import = symbols.symbol(index).ok().filter(|_| index.0 != 0).map(|symbol| {
                    let name = String::from_utf8_lossy(symbol.name(LE, symbols.strings()).unwrap_or_default());
                    let version = versions
                        .as_ref()
                        .and_then(|table| table.version(table.version_index(LE, index).index()).ok().flatten())
                        .map(|version| String::from_utf8_lossy(version.name()).into_owned());
                    Import { name: name.into_owned(), version: version.unwrap_or_default() }
                });
                let addend = rela.r_addend(LE).cast_unsigned();
                let kind = rela.r_type(LE, false);
                let loaded = match (kind, import) {
                    (elf::R_X86_64_RELATIVE, _) => Loaded::Relative(addend),
                    (elf::R_X86_64_IRELATIVE, _) => Loaded::Resolved(addend),
                    (elf::R_X86_64_GLOB_DAT | elf::R_X86_64_64, Some(import)) => {
                        Loaded::Symbol { import, lazy: false, addend: rela.r_addend(LE) }
                    }
                    (elf::R_X86_64_JUMP_SLOT, Some(import)) => Loaded::Symbol { import, lazy: true, addend: 0 },
                    (elf::R_X86_64_COPY, Some(import)) => Loaded::Copy(import),
                    (
                        elf::R_X86_64_TPOFF64 | elf::R_X86_64_DTPMOD64 | elf::R_X86_64_DTPOFF64 | elf::R_X86_64_TLSDESC,
                        import,
                    ) => Loaded::Thread { kind, import, offset: addend },
                    _ => continue,
                };
                if let Loaded::Relative(target) = &loaded {
                    self.anchors.insert(*target);
                }
                self.loaded.insert(rela.r_offset(LE), loaded);
            }
        }
        Ok(())
    }
}
