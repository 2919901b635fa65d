//! One linked ELF program for x86-64 with the relocations that made it: sections, symbols, what each slot of its tables
//! is for.
//!
//! `symbols` reads functions and data, `kept` the relocations that the linker was told to keep (`--emit-relocs`),
//! `loaded` what the loader fills in; where none were kept, `decoded` infers them. Relocations say where references are and which symbol was meant; what an
//! instruction really refers to is read from its bytes, since linkers relax instructions without telling.

mod decoded;
mod kept;
mod loaded;
mod symbols;

use std::collections::{BTreeMap, BTreeSet};

use object::LittleEndian;
use object::elf;
use object::read::elf::{ElfFile64, FileHeader as _, SectionHeader as _};
use object::read::{Object as _, ObjectSection as _};
use patchwright_formats::hot::References;

use crate::error::ImageError;

pub(super) const LE: LittleEndian = LittleEndian;

/// A stretch of memory of the program.
#[derive(Debug)]
pub(super) struct Section<'data> {
    pub(super) name: String,
    pub(super) address: u64,
    pub(super) size: u64,
    /// Empty where there are only zeros.
    pub(super) data: &'data [u8],
    pub(super) writable: bool,
    pub(super) executable: bool,
}

/// A function, all its names together.
#[derive(Debug)]
pub(super) struct Func {
    pub(super) address: u64,
    pub(super) size: u64,
    /// Sorted.
    pub(super) names: Vec<String>,
    /// The source file that local names belong to.
    pub(super) file: Option<String>,
    pub(super) indirect: bool,
}

/// A variable or constant with a name.
#[derive(Debug)]
pub(super) struct Datum {
    pub(super) address: u64,
    pub(super) size: u64,
    pub(super) names: Vec<String>,
    pub(super) file: Option<String>,
    /// Whether a symbol says that it is data, and not only a label.
    pub(super) typed: bool,
}

/// A relocation that the linker kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    pub(super) kind: elf::RelocationType,
    /// Of a symbol that is more than a section: its value and whether it is data.
    pub(super) symbol: Option<u64>,
    /// Symbol and addend.
    pub(super) target: u64,
    /// Whether the symbol is defined elsewhere.
    pub(super) undefined: bool,
}

/// A symbol of another module.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Import {
    pub(super) name: String,
    pub(super) version: String,
}

/// What the loader puts somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Loaded {
    /// The address of a symbol, once it is known, or so far behind it.
    Symbol { import: Import, lazy: bool, addend: i64 },
    /// An address of the program itself.
    Relative(u64),
    /// What the function at this address returns.
    Resolved(u64),
    /// The data that a symbol of another module has.
    Copy(Import),
    /// Something of a thread's variables: relocation type, name or offset.
    Thread { kind: elf::RelocationType, import: Option<Import>, offset: u64 },
}

/// A program and all that is known of its parts.
#[derive(Debug)]
pub(super) struct Program<'data> {
    pub(super) build: Vec<u8>,
    /// Linked for one address.
    pub(super) fixed: bool,
    pub(super) sections: Vec<Section<'data>>,
    pub(super) functions: Vec<Func>,
    pub(super) data: Vec<Datum>,
    /// Variables of threads, by offset in the block.
    pub(super) thread_data: Vec<Datum>,
    /// Length of the block of thread variables, as the thread pointer counts it.
    pub(super) thread_block: u64,
    pub(super) kept: BTreeMap<u64, Kept>,
    pub(super) loaded: BTreeMap<u64, Loaded>,
    /// Where something begins that is referred to.
    pub(super) anchors: BTreeSet<u64>,
    /// How it is known what code and data refer to.
    pub(super) references: References,
    /// Entries of tables of distances that were inferred, and the start of the table that each counts from.
    pub(super) tables: BTreeMap<u64, u64>,
    /// Functions of which not all references could be inferred, and why.
    pub(super) unresolved: BTreeMap<usize, &'static str>,
}

pub(super) type Elf<'data> = ElfFile64<'data, LittleEndian>;

impl<'data> Program<'data> {
    /// Reads a linked program or library.
    pub(super) fn read(bytes: &'data [u8]) -> Result<Self, ImageError> {
        let file: Elf<'data> = ElfFile64::parse(bytes)?;
        let header = file.elf_header();
        if header.e_machine(LE) != elf::EM_X86_64 {
            return Err(ImageError::unsupported("hot patches are for ELF programs of x86-64"));
        }
        let kind = header.e_type(LE);
        if kind != elf::ET_EXEC && kind != elf::ET_DYN {
            return Err(ImageError::unsupported("not a linked program or library"));
        }
        let build = file.build_id().ok().flatten().unwrap_or_default().to_vec();
        let mut program = Self {
            build,
            fixed: kind == elf::ET_EXEC,
            sections: Vec::new(),
            functions: Vec::new(),
            data: Vec::new(),
            thread_data: Vec::new(),
            thread_block: 0,
            kept: BTreeMap::new(),
            loaded: BTreeMap::new(),
            anchors: BTreeSet::new(),
            references: References::Kept,
            tables: BTreeMap::new(),
            unresolved: BTreeMap::new(),
        };
        program.read_sections(&file)?;
        program.read_segments(&file)?;
        program.read_symbols(&file)?;
        let kept = program.read_kept(&file, bytes.len())?;
        program.read_loaded(&file, bytes.len())?;
        if !kept {
            program.references = References::Decoded;
        }
        if !kept && program.fixed {
            return Err(ImageError::unsupported(
                "the program is for a fixed address and its relocations are missing, so that numbers and addresses cannot \
                 be told apart: link with -Wl,--emit-relocs (rustc: -C link-arg=-Wl,--emit-relocs), or as a \
                 position-independent program (-pie)",
            ));
        }
        if program.functions.is_empty() {
            return Err(ImageError::unsupported(
                "it has no symbols of functions: use the file as it was before `strip`, or unite it with its debug file \
                 (eu-unstrip)",
            ));
        }
        Ok(program)
    }

    fn read_sections(&mut self, file: &Elf<'data>) -> Result<(), ImageError> {
        let mut total = 0_u64;
        for section in file.sections() {
            let header = section.elf_section_header();
            let flags = header.sh_flags(LE).0;
            // Thread variables have addresses that overlap with what follows; they are reached by offset.
            if flags & elf::SHF_ALLOC.0 == 0 || flags & elf::SHF_TLS.0 != 0 && header.sh_type(LE) == elf::SHT_NOBITS {
                continue;
            }
            let data = if header.sh_type(LE) == elf::SHT_NOBITS { &[][..] } else { section.data()? };
            total = total.saturating_add(data.len() as u64);
            self.sections.push(Section {
                name: section.name().unwrap_or_default().to_owned(),
                address: section.address(),
                size: section.size(),
                data,
                writable: flags & elf::SHF_WRITE.0 != 0,
                executable: flags & elf::SHF_EXECINSTR.0 != 0,
            });
        }
        self.sections.retain(|section| section.size > 0);
        self.sections.sort_by_key(|section| section.address);
        let overlaps = |pair: &[Section<'_>]| pair[0].address.saturating_add(pair[0].size) > pair[1].address;
        if self.sections.windows(2).any(overlaps)
            || self.sections.iter().any(|section| {
                section.address.checked_add(section.size).is_none_or(|end| end > i64::MAX.cast_unsigned())
            })
        {
            return Err(ImageError::malformed("sections overlap in memory"));
        }
        self.anchors.extend(self.sections.iter().flat_map(|section| [section.address, section.address + section.size]));
        Ok(())
    }

    fn read_segments(&mut self, file: &Elf<'data>) -> Result<(), ImageError> {
        use object::read::elf::ProgramHeader as _;
        for segment in file.elf_program_headers() {
            if segment.p_type(LE) == elf::PT_TLS {
                let align = segment.p_align(LE).clamp(1, 1 << 20);
                let size = segment.p_memsz(LE).checked_next_multiple_of(align);
                self.thread_block = size
                    .filter(|size| *size < 1 << 40)
                    .ok_or_else(|| ImageError::malformed("thread variables without end"))?;
            }
        }
        Ok(())
    }
    /// The section that holds an address.
    pub(super) fn section_at(&self, address: u64) -> Option<&Section<'data>> {
        let after = self.sections.partition_point(|section| section.address <= address);
        self.sections.get(after.checked_sub(1)?).filter(|section| address - section.address < section.size)
    }

    /// Up to `len` bytes at an address; fewer where the section, or its bytes in the file, end.
    pub(super) fn bytes(&self, address: u64, len: u64) -> &'data [u8] {
        let Some(section) = self.section_at(address) else { return &[] };
        let start = usize::try_from(address - section.address).unwrap_or(usize::MAX);
        let rest = section.data.get(start..).unwrap_or_default();
        rest.get(..usize::try_from(len).unwrap_or(usize::MAX).min(rest.len())).unwrap_or_default()
    }

    /// Eight bytes at an address.
    pub(super) fn word(&self, address: u64) -> u64 {
        self.bytes(address, 8).first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// The function that an address is in.
    pub(super) fn function_at(&self, address: u64) -> Option<usize> {
        let index = self.functions.partition_point(|func| func.address <= address).checked_sub(1)?;
        let func = self.functions.get(index)?;
        (address - func.address < func.size.max(1)).then_some(index)
    }

    /// The datum that an address is in.
    pub(super) fn datum_at(&self, address: u64) -> Option<usize> {
        let index = self.datum_before(address)?;
        let datum = self.data.get(index)?;
        (address - datum.address < datum.size.max(1)).then_some(index)
    }

    /// The last datum that begins at an address or before it.
    pub(super) fn datum_before(&self, address: u64) -> Option<usize> {
        self.data.partition_point(|datum| datum.address <= address).checked_sub(1)
    }

    /// The datum that begins at an address.
    pub(super) fn datum_named_at(&self, address: u64) -> Option<usize> {
        self.data.binary_search_by_key(&address, |datum| datum.address).ok()
    }

    /// The thread variable that an offset in the block is in.
    pub(super) fn thread_datum_at(&self, offset: u64) -> Option<usize> {
        let index = self.thread_data.partition_point(|datum| datum.address <= offset).checked_sub(1)?;
        let datum = self.thread_data.get(index)?;
        (offset - datum.address < datum.size.max(1)).then_some(index)
    }

    /// Whether what is at an address never changes while the program runs.
    pub(super) fn is_constant(&self, address: u64) -> bool {
        self.section_at(address).is_some_and(|section| {
            !section.executable && (!section.writable || section.name.starts_with(".data.rel.ro"))
        })
    }
}
