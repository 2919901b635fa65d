//! Objects and archives: sections that end up in memory, symbols, relocations.

use object::elf;
use object::read::elf::{ElfFile64, FileHeader as _, Rela as _, SectionHeader as _, Sym as _};
use object::read::{Object as _, ObjectSection as _};
use object::{LittleEndian, SectionIndex};

use super::ObjectFile;
use crate::archive;
use crate::error::ImageError;

const LE: LittleEndian = LittleEndian;

/// One relocatable object.
#[derive(Debug)]
pub(super) struct Object<'data> {
    pub(super) name: String,
    /// The source file that local names belong to.
    pub(super) file: Option<String>,
    pub(super) sections: Vec<Section<'data>>,
    /// By number in the symbol table.
    pub(super) symbols: Vec<Symbol>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content<'data> {
    Bytes(&'data [u8]),
    Zeros,
}

#[derive(Debug)]
pub(super) struct Section<'data> {
    pub(super) size: u64,
    pub(super) content: Content<'data>,
    pub(super) executable: bool,
    /// The linker takes it apart: equal texts become one.
    pub(super) merged: bool,
    /// By place.
    pub(super) relocations: Vec<Relocation>,
}

#[derive(Debug)]
pub(super) struct Relocation {
    pub(super) at: u64,
    pub(super) kind: elf::RelocationType,
    pub(super) symbol: usize,
    pub(super) addend: i64,
}

#[derive(Debug)]
pub(super) struct Symbol {
    pub(super) name: String,
    /// Index in [`Object::sections`]; nothing if it is defined elsewhere or in no such section.
    pub(super) section: Option<usize>,
    pub(super) value: u64,
    pub(super) size: u64,
    pub(super) local: bool,
    /// More than a section or a file.
    pub(super) named: bool,
}

/// Reads all objects; archives are opened, and what is no object for x86-64 is passed over.
pub(super) fn objects(files: &[ObjectFile]) -> Result<Vec<Object<'_>>, ImageError> {
    let mut objects = Vec::new();
    for file in files {
        let about = |error: ImageError| ImageError::malformed(format!("{}: {error}", file.name));
        // The members of a thin archive are files of their own, and the caller's to give.
        if file.data.starts_with(b"!<thin>\n") {
            continue;
        }
        if archive::is_archive(&file.data) {
            for member in archive::members(&file.data).map_err(about)? {
                if let archive::Content::Object(bytes) = member.content {
                    objects.extend(object(format!("{}({})", file.name, member.name), bytes).map_err(about)?);
                }
            }
        } else {
            objects.extend(object(file.name.clone(), &file.data).map_err(about)?);
        }
    }
    if objects.is_empty() {
        return Err(ImageError::unsupported("there are no ELF objects for x86-64 in the folder"));
    }
    Ok(objects)
}

fn object(name: String, bytes: &[u8]) -> Result<Option<Object<'_>>, ImageError> {
    if !bytes.starts_with(b"\x7fELF\x02\x01") {
        return Ok(None);
    }
    let file: ElfFile64<'_, LittleEndian> = ElfFile64::parse(bytes)?;
    let header = file.elf_header();
    if header.e_machine(LE) != elf::EM_X86_64 || header.e_type(LE) != elf::ET_REL {
        return Ok(None);
    }
    let mut object = Object { name, file: None, sections: Vec::new(), symbols: Vec::new() };
    let mut numbers = Vec::new();
    for section in file.sections() {
        let header = section.elf_section_header();
        let flags = header.sh_flags(LE).0;
        // Thread variables are no stretch of memory; of exceptions the program's own data tell.
        let skipped = flags & elf::SHF_ALLOC.0 == 0
            || flags & elf::SHF_TLS.0 != 0
            || matches!(section.name(), Ok(".eh_frame" | ".gcc_except_table"));
        let number = section.index().0;
        numbers.resize(number + 1, None);
        if skipped {
            continue;
        }
        let zeros = header.sh_type(LE) == elf::SHT_NOBITS;
        numbers[number] = Some(object.sections.len());
        object.sections.push(Section {
            size: section.size(),
            content: if zeros { Content::Zeros } else { Content::Bytes(section.data()?) },
            executable: flags & elf::SHF_EXECINSTR.0 != 0,
            merged: flags & elf::SHF_MERGE.0 != 0,
            relocations: Vec::new(),
        });
    }
    let own = |index: SectionIndex| numbers.get(index.0).copied().flatten();
    let table = file.elf_symbol_table();
    for symbol in table.symbols() {
        let name = String::from_utf8_lossy(symbol.name(LE, table.strings()).unwrap_or_default()).into_owned();
        let kind = symbol.st_type();
        if kind == elf::STT_FILE && object.file.is_none() {
            object.file = Some(name.clone()).filter(|name| !name.is_empty());
        }
        let section = Some(usize::from(symbol.st_shndx(LE).0)).and_then(|index| own(SectionIndex(index)));
        // A symbol beyond its section is no place in it.
        let section = section.filter(|index| symbol.st_value(LE) <= object.sections[*index].size);
        object.symbols.push(Symbol {
            named: !name.is_empty() && !matches!(kind, elf::STT_SECTION | elf::STT_FILE),
            name,
            section,
            value: symbol.st_value(LE),
            size: symbol.st_size(LE).min(1 << 40),
            local: symbol.st_bind() == elf::STB_LOCAL,
        });
    }
    read_relocations(&file, bytes.len(), &own, &mut object)?;
    Ok(Some(object))
}

fn read_relocations(
    file: &ElfFile64<'_, LittleEndian>,
    budget: usize,
    own: &dyn Fn(SectionIndex) -> Option<usize>,
    object: &mut Object<'_>,
) -> Result<(), ImageError> {
    let mut left = budget;
    for header in file.elf_section_table().iter() {
        let Some((relas, _)) = header.rela(LE, file.data())? else { continue };
        let Some(target) = own(SectionIndex(header.sh_info(LE) as usize)) else { continue };
        let Some(section) = object.sections.get_mut(target) else { continue };
        for rela in relas {
            left = left.checked_sub(1).ok_or_else(|| ImageError::malformed("more relocations than bytes"))?;
            let kind = rela.r_type(LE, false);
            let at = rela.r_offset(LE);
            if kind != elf::R_X86_64_NONE && at < section.size {
                let symbol = rela.r_sym(LE, false) as usize;
                section.relocations.push(Relocation { at, kind, symbol, addend: rela.r_addend(LE) });
            }
        }
        section.relocations.sort_by_key(|relocation| relocation.at);
    }
    Ok(())
}
