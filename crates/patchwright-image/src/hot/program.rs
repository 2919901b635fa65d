//! One linked ELF program for x86-64 with the relocations that made it: sections, symbols, what each slot of its tables
//! is for.
//!
//! Relocations are only possible here because the linker was told to keep them (`--emit-relocs`). They say where
//! references are and which symbol was meant; what an instruction really refers to is read from its bytes, since
//! linkers relax instructions without telling.

use std::collections::{BTreeMap, BTreeSet};

use object::elf;
use object::read::elf::{ElfFile64, FileHeader as _, Rela as _, SectionHeader as _, Sym as _};
use object::read::{Object as _, ObjectSection as _};
use object::{LittleEndian, SectionIndex, SymbolIndex};

use crate::error::ImageError;

const LE: LittleEndian = LittleEndian;

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
    /// The address of a symbol, once it is known.
    Symbol { import: Import, lazy: bool },
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
}

type Elf<'data> = ElfFile64<'data, LittleEndian>;

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
        };
        program.read_sections(&file)?;
        program.read_segments(&file)?;
        program.read_symbols(&file)?;
        program.read_kept(&file, bytes.len())?;
        program.read_loaded(&file, bytes.len())?;
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

    fn read_symbols(&mut self, file: &Elf<'data>) -> Result<(), ImageError> {
        let table = file.elf_symbol_table();
        let mut functions: BTreeMap<u64, Func> = BTreeMap::new();
        let mut data: BTreeMap<u64, Datum> = BTreeMap::new();
        let mut thread_data: BTreeMap<u64, Datum> = BTreeMap::new();
        let mut source = None;
        for symbol in table.symbols() {
            let name = String::from_utf8_lossy(symbol.name(LE, table.strings()).unwrap_or_default()).into_owned();
            let kind = symbol.st_type();
            if kind == elf::STT_FILE {
                source = Some(name).filter(|name| !name.is_empty());
                continue;
            }
            let undefined = symbol.st_shndx(LE) == elf::SHN_UNDEF || symbol.st_shndx(LE) == elf::SHN_ABS;
            if undefined || name.is_empty() || kind == elf::STT_SECTION {
                continue;
            }
            let (address, size) = (symbol.st_value(LE), symbol.st_size(LE));
            let local = symbol.st_bind() == elf::STB_LOCAL;
            let own = source.clone().filter(|_| local);
            let code = self.section_at(address).is_some_and(|section| section.executable);
            match kind {
                elf::STT_FUNC | elf::STT_GNU_IFUNC if code => {
                    let func = functions.entry(address).or_insert_with(|| Func {
                        address,
                        size,
                        names: Vec::new(),
                        file: own.clone(),
                        indirect: false,
                    });
                    func.size = func.size.max(size);
                    func.indirect |= kind == elf::STT_GNU_IFUNC;
                    func.names.push(name);
                }
                elf::STT_TLS => note(&mut thread_data, address, size, name, own, true),
                elf::STT_OBJECT | elf::STT_COMMON if !code => {
                    // A mark of the linker's, such as the end of a list, is no variable, whatever its type says.
                    note(&mut data, address, size, name, own, size > 0);
                }
                elf::STT_NOTYPE if !code && !name.starts_with(".L") => note(&mut data, address, size, name, own, false),
                _ => {}
            }
        }
        self.functions = functions.into_values().collect();
        self.data = data.into_values().collect();
        self.thread_data = thread_data.into_values().collect();
        for func in &mut self.functions {
            func.names.sort();
        }
        for datum in self.data.iter_mut().chain(&mut self.thread_data) {
            datum.names.sort();
        }
        self.end_functions();
        self.end_data();
        self.anchors
            .extend(self.data.iter().flat_map(|datum| [datum.address, datum.address.saturating_add(datum.size)]));
        Ok(())
    }

    /// No datum reaches beyond its section, whatever its symbol says; one in no section is none.
    fn end_data(&mut self) {
        let mut data = std::mem::take(&mut self.data);
        data.retain_mut(|datum| {
            let limit = self.section_at(datum.address).map(|section| section.address + section.size);
            // A mark of an end stands behind its section.
            let end = limit.or_else(|| self.section_at(datum.address.checked_sub(1)?).map(|_| datum.address));
            datum.size = datum.size.min(end.map_or(0, |end| end - datum.address));
            end.is_some()
        });
        self.data = data;
        let block = self.thread_block;
        self.thread_data.retain(|datum| datum.address <= block);
        for datum in &mut self.thread_data {
            datum.size = datum.size.min(block - datum.address);
        }
    }

    /// A function without a length reaches to the next, and none reaches beyond its section.
    fn end_functions(&mut self) {
        let starts: Vec<u64> = self.functions.iter().map(|func| func.address).collect();
        let ends: Vec<u64> = starts
            .iter()
            .map(|start| self.section_at(*start).map_or(*start, |section| section.address + section.size))
            .collect();
        for (index, func) in self.functions.iter_mut().enumerate() {
            let limit = ends.get(index).copied().unwrap_or(func.address);
            let next = starts.get(index + 1).copied().unwrap_or(limit).min(limit);
            if func.size == 0 {
                func.size = next - func.address;
            }
            func.size = func.size.min(limit - func.address);
        }
    }

    /// What `--emit-relocs` left, of sections that are in memory.
    fn read_kept(&mut self, file: &Elf<'data>, budget: usize) -> Result<(), ImageError> {
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
        if !any {
            return Err(ImageError::unsupported(
                "the relocations are missing: link with -Wl,--emit-relocs (rustc: -C link-arg=-Wl,--emit-relocs)",
            ));
        }
        // Addends of instructions count from the end of the field, so that these are near, not exact: what the
        // instructions refer to is added when they are read.
        let exact = self
            .kept
            .iter()
            .filter(|(_, kept)| matches!(kept.kind, elf::R_X86_64_64 | elf::R_X86_64_32 | elf::R_X86_64_32S));
        let exact: Vec<u64> = exact.map(|(_, kept)| kept.target).collect();
        self.anchors.extend(exact);
        Ok(())
    }

    fn read_loaded(&mut self, file: &Elf<'data>, budget: usize) -> Result<(), ImageError> {
        let symbols = file.elf_dynamic_symbol_table();
        let versions = file.elf_section_table().versions(LE, file.data())?;
        let mut left = budget;
        for section in file.elf_section_table().iter() {
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
                    (elf::R_X86_64_GLOB_DAT | elf::R_X86_64_64, Some(import)) => Loaded::Symbol { import, lazy: false },
                    (elf::R_X86_64_JUMP_SLOT, Some(import)) => Loaded::Symbol { import, lazy: true },
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

fn note(data: &mut BTreeMap<u64, Datum>, address: u64, size: u64, name: String, file: Option<String>, typed: bool) {
    let datum =
        data.entry(address).or_insert_with(|| Datum { address, size: 0, names: Vec::new(), file: None, typed: false });
    // A label that happens to stand where a variable begins does not share its identity.
    if typed && !datum.typed {
        datum.names.clear();
        datum.file = None;
    } else if !typed && datum.typed {
        return;
    }
    datum.typed |= typed;
    datum.size = datum.size.max(size);
    datum.file = datum.file.take().or(file);
    datum.names.push(name);
}
