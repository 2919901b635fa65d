//! A file becomes sections with code, what relocations touch, and functions.
//!
//! Sections of a relocatable object have no addresses; each gets a range of its own, so that the rest of the crate need
//! not care.

mod elf;
mod pe;
mod relocations;

use std::collections::BTreeMap;
use std::fmt;

use object::read::{File, Object as _, ObjectSection as _, ObjectSegment as _};
use object::{Architecture, BinaryFormat, ObjectKind, SectionFlags, SegmentFlags};

use crate::code::Isa;
use crate::error::ImageError;
use crate::starts::{self, Disagreement, Function, Module, Source};

pub use pe::PdbReference;
pub(crate) use pe::{Guard, Pe};
pub(crate) use relocations::is_relative;

/// An address of the image as it was linked. Of an object: invented, see [`Image::place`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub u64);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:x}", self.0)
    }
}

/// The format of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// ELF.
    Elf,
    /// PE, or COFF of an object.
    Pe,
}

/// The machine type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// x86, 32 bits.
    X86,
    /// x86-64.
    X86_64,
    /// ARM64.
    Aarch64,
    /// 32-bit ARM, Thumb and A32.
    Arm,
}

impl Machine {
    /// Bytes before the entry that a jump to a replacement needs: what `/FUNCTIONPADMIN` means without a number on x86;
    /// none on ARM64, where the entry itself holds it; on ARM a load of the pc and its address, to which an entry that
    /// is no multiple of four adds two.
    pub const fn default_pad(self) -> usize {
        match self {
            Self::X86 => 5,
            Self::X86_64 => 6,
            Self::Aarch64 => 0,
            Self::Arm => 8,
        }
    }
}

/// What the file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A linked program.
    Executable,
    /// A linked library.
    Library,
    /// A relocatable object.
    Object,
}

/// A section with code, or with data that code is led by.
#[derive(Debug)]
pub(crate) struct Section<'data> {
    pub(crate) name: String,
    pub(crate) index: usize,
    pub(crate) address: u64,
    pub(crate) data: &'data [u8],
    /// What its address is a multiple of; of a linked image as much as one could ask for.
    pub(crate) align: u64,
    /// Where it ends in memory: after its bytes in the file, or later.
    pub(crate) mem_end: u64,
}

impl Section<'_> {
    /// Where its bytes in the file end.
    pub(crate) fn end(&self) -> u64 {
        self.address + self.data.len() as u64
    }

    /// The bytes from `address` on.
    pub(crate) fn from(&self, address: u64) -> &[u8] {
        let at = address.checked_sub(self.address).and_then(|at| usize::try_from(at).ok());
        at.and_then(|at| self.data.get(at..)).unwrap_or_default()
    }

    /// The bytes of a range, cut where the section ends.
    pub(crate) fn range(&self, start: u64, end: u64) -> &[u8] {
        let bytes = self.from(start);
        let len = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
        &bytes[..len.min(bytes.len())]
    }
}

/// How control comes to an address without a branch instruction that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Via {
    /// A branch instruction after all.
    Jump,
    /// A branch instruction that nothing was seen to lead to: it may be data.
    Stray,
    /// A call.
    Call,
    /// A table of jump targets.
    Table,
    /// A pointer that the loader fills in.
    Pointer,
    /// An exception that was caught.
    LandingPad,
    /// The table of continuations after an exception (`/guard:ehcont`).
    Continuation,
    /// The table of targets of `longjmp`.
    LongJump,
}

/// A way that control may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Edge {
    pub(crate) to: u64,
    /// The branch, or the function that it belongs to, or the table.
    pub(crate) from: u64,
    pub(crate) via: Via,
}

/// What a stretch of an ARM file holds, by its mapping symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mark {
    Code(Isa),
    Data,
}

/// What the headers of an image say that bears on patching.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// Whether indirect branches must land on ENDBR.
    pub(crate) tracked: bool,
    /// Whether type hashes of eight bytes stand before functions that pointers lead to (`/guard:xfg`).
    pub(crate) xfg: bool,
    /// Whether there is code for two machines, whose ARM64 functions have an offset before them (ARM64EC, ARM64X).
    pub(crate) hybrid: bool,
    /// What keeps it from being patched at run time or on disk, or bears on it (`HP-A20`).
    pub(crate) policies: Vec<String>,
    /// `IMAGE_DLLCHARACTERISTICS_EX_HOTPATCH_COMPATIBLE`.
    pub(crate) hot_patch_compatible: bool,
}

/// A PE or ELF file with what the audit needs of it.
#[derive(Debug)]
pub struct Image<'data> {
    pub(crate) format: Format,
    pub(crate) machine: Machine,
    pub(crate) kind: Kind,
    /// Sections with code, sorted by address.
    pub(crate) sections: Vec<Section<'data>>,
    /// Position in `sections` by the number in the file.
    by_index: BTreeMap<usize, usize>,
    /// Data of a linked image that is in memory when it runs, sorted by address.
    pub(crate) held: Vec<Section<'data>>,
    /// What addresses in a PE file are relative to.
    pub(crate) base: u64,
    /// What the jump tables of position-independent code for x86 are relative to.
    pub(crate) got: Option<u64>,
    /// Sorted by address, one per address.
    pub(crate) functions: Vec<Function>,
    /// Where relocations change code; sorted.
    pub(crate) fields: Vec<u64>,
    /// Where relocated branches of an object lead, by the address of the field; sorted.
    pub(crate) links: Vec<(u64, u64)>,
    /// What relocations of data point to in code; sorted.
    pub(crate) pointers: Vec<u64>,
    /// Ways into code that tables tell of.
    pub(crate) edges: Vec<Edge>,
    /// Addresses of type hashes before functions; sorted.
    pub(crate) hashes: Vec<u64>,
    /// Ranges of code sections that symbols call data; sorted.
    pub(crate) data_symbols: Vec<(u64, u64)>,
    /// Where code and data begin, by mapping symbols; sorted.
    pub(crate) marks: Vec<(u64, Mark)>,
    pub(crate) facts: Facts,
    pub(crate) sources: Vec<(Source, usize)>,
    pub(crate) modules: Vec<Module>,
    pub(crate) disagreements: Vec<Disagreement>,
    /// Whether the symbol table names local functions too.
    pub(crate) has_symbol_table: bool,
}

/// What may stand beside an image.
#[derive(Clone, Copy, Debug, Default)]
pub struct Companions<'a> {
    /// Its program database, as a whole.
    pub pdb: Option<&'a [u8]>,
}

impl<'data> Image<'data> {
    /// Reads a PE, COFF or ELF file.
    ///
    /// # Errors
    /// It is damaged, of another format, or of a machine type that is not supported.
    pub fn read(data: &'data [u8]) -> Result<Self, ImageError> {
        Self::read_with(data, Companions::default())
    }

    /// Reads a PE, COFF or ELF file with what stands beside it.
    ///
    /// # Errors
    /// It is damaged, of another format, or of a machine type that is not supported; or a companion is damaged, or
    /// belongs to another build.
    pub fn read_with(data: &'data [u8], companions: Companions<'_>) -> Result<Self, ImageError> {
        let file = File::parse(data)?;
        let (format, machine) = supported(&file)?;
        let kind = match file.kind() {
            ObjectKind::Relocatable => Kind::Object,
            ObjectKind::Dynamic if !elf::is_program(&file) => Kind::Library,
            ObjectKind::Executable | ObjectKind::Dynamic => Kind::Executable,
            _ => return Err(ImageError::unsupported("neither a program, a library nor an object: not supported")),
        };
        let sections = code_sections(&file, kind, data.len())?;
        let by_index = sections.iter().enumerate().map(|(at, section)| (section.index, at)).collect();
        let mut image = Self {
            format,
            machine,
            kind,
            sections,
            by_index,
            held: held_sections(&file, kind),
            base: file.relative_address_base(),
            got: elf::got(&file),
            functions: Vec::new(),
            fields: Vec::new(),
            links: Vec::new(),
            pointers: Vec::new(),
            edges: Vec::new(),
            hashes: Vec::new(),
            data_symbols: Vec::new(),
            marks: Vec::new(),
            facts: Facts::default(),
            sources: Vec::new(),
            modules: Vec::new(),
            disagreements: Vec::new(),
            has_symbol_table: false,
        };
        let pe = Pe::of(&file);
        image.facts = match &pe {
            Some(pe) => pe.facts(),
            None => elf::facts(&file),
        };
        if image.facts.hybrid && machine != Machine::Aarch64 {
            return Err(ImageError::unsupported("PE files with code for ARM64 beside x86 or x64 are not supported"));
        }
        image.read_relocations(&file, pe.as_ref(), data.len());
        starts::read(&file, pe.as_ref(), companions, data.len(), &mut image)?;
        image.edges.sort_unstable();
        image.edges.dedup();
        Ok(image)
    }

    /// ELF or PE.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The machine type.
    pub fn machine(&self) -> Machine {
        self.machine
    }

    /// Program, library or object.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The functions that were found, by address.
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// Who said where functions are, and how many each.
    pub fn sources(&self) -> &[(Source, usize)] {
        &self.sources
    }

    /// The objects that it was linked from, as far as debug information tells; of an object itself.
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// Where sources contradict each other, by address.
    pub fn disagreements(&self) -> &[Disagreement] {
        &self.disagreements
    }

    /// Whether it says that the system may patch it (`/HOTPATCHCOMPATIBLE`).
    pub fn is_hot_patch_compatible(&self) -> bool {
        self.facts.hot_patch_compatible
    }

    /// Where an address is: of an object `section+offset`.
    pub fn place(&self, address: Address) -> String {
        match self.section_of(address.0) {
            Some(section) if self.kind == Kind::Object => {
                format!("{}+0x{:x}", section.name, address.0 - section.address)
            }
            _ => address.to_string(),
        }
    }

    /// The bytes of `[start, end)`, cut to the section that holds `start`.
    pub fn bytes(&self, start: Address, end: Address) -> &[u8] {
        self.section_of(start.0).map(|section| section.range(start.0, end.0)).unwrap_or_default()
    }

    /// The section with code whose memory holds `address`.
    pub(crate) fn section_of(&self, address: u64) -> Option<&Section<'data>> {
        let after = self.sections.partition_point(|section| section.address <= address);
        self.sections[..after].last().filter(|section| address < section.mem_end)
    }

    pub(crate) fn section_by_index(&self, index: usize) -> Option<&Section<'data>> {
        self.by_index.get(&index).and_then(|at| self.sections.get(*at))
    }

    /// The bytes in the file of what lies at `address` when the image runs, up to the end of its section.
    pub(crate) fn memory(&self, address: u64) -> &[u8] {
        [&self.sections, &self.held]
            .into_iter()
            .find_map(|sections| {
                let after = sections.partition_point(|section| section.address <= address);
                let bytes = sections[..after].last()?.from(address);
                (!bytes.is_empty()).then_some(bytes)
            })
            .unwrap_or_default()
    }

    /// A little-endian number of at most eight bytes at `address`.
    pub(crate) fn number(&self, address: u64, width: usize) -> Option<u64> {
        let bytes = self.memory(address).get(..width)?;
        Some(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// What the code at `address` is written in.
    pub(crate) fn isa(&self, address: u64) -> Isa {
        match self.mark(address) {
            Some(Mark::Code(isa)) => isa,
            _ => self.machine.into(),
        }
    }

    /// What mapping symbols say of `address`.
    pub(crate) fn mark(&self, address: u64) -> Option<Mark> {
        let after = self.marks.partition_point(|(at, _)| *at <= address);
        let (at, mark) = self.marks[..after].last()?;
        // Of the section that they are in, not of the next.
        (self.section_of(address)?.address <= *at).then_some(*mark)
    }

    /// Whether a relocation changes bytes of `[start, end)`.
    pub(crate) fn is_relocated(&self, start: u64, end: u64) -> bool {
        // A field is as long as a pointer; of an object most are 4 bytes, and one that begins up to 3 before reaches in.
        let wide = self.kind != Kind::Object && matches!(self.machine, Machine::X86_64 | Machine::Aarch64);
        let reach = if wide { 7 } else { 3 };
        let from = self.fields.partition_point(|at| *at < start.saturating_sub(reach));
        self.fields.get(from).is_some_and(|at| *at < end)
    }
}

fn supported(file: &File<'_>) -> Result<(Format, Machine), ImageError> {
    let format = match file.format() {
        BinaryFormat::Elf => Format::Elf,
        BinaryFormat::Pe | BinaryFormat::Coff => Format::Pe,
        other => return Err(ImageError::unsupported(format!("files of format {other:?} are not supported"))),
    };
    let machine = match (file.architecture(), file.sub_architecture(), format) {
        (Architecture::I386, None, _) => Machine::X86,
        (Architecture::X86_64, None, _) => Machine::X86_64,
        (Architecture::Aarch64, None, _) if file.is_little_endian() => Machine::Aarch64,
        (Architecture::Arm, None, _) if file.is_little_endian() => Machine::Arm,
        (other, sub, _) => {
            let sub = sub.map(|sub| format!(" ({sub:?})")).unwrap_or_default();
            return Err(ImageError::unsupported(format!("{format:?} files for {other:?}{sub} are not supported")));
        }
    };
    Ok((format, machine))
}

fn code_sections<'data>(file: &File<'data>, kind: Kind, file_len: usize) -> Result<Vec<Section<'data>>, ImageError> {
    let mut sections = Vec::new();
    let (mut total, mut next) = (0_usize, 0_u64);
    for section in file.sections().filter(|section| is_code(&section.flags())) {
        let data = section.data()?;
        total = total.saturating_add(data.len());
        if total > file_len {
            return Err(ImageError::malformed("sections with code overlap in the file"));
        }
        let align = section.align().clamp(1, 1 << 12);
        let address = if kind == Kind::Object { next.next_multiple_of(1 << 12) } else { section.address() };
        let end = address.checked_add(data.len() as u64).filter(|end| *end < u64::MAX - (1 << 16));
        let Some(end) = end else { return Err(ImageError::malformed("a section ends beyond the address space")) };
        next = end;
        let name = short_name(section.name());
        let align = if kind == Kind::Object { align } else { 1 << 12 };
        let in_memory = if kind == Kind::Object { 0 } else { section.size() };
        let mem_end = address.saturating_add(in_memory).min(u64::MAX - (1 << 16)).max(end);
        if mem_end > address {
            sections.push(Section { name, index: section.index().0, address, data, align, mem_end });
        }
    }
    if sections.is_empty() && file.sections().next().is_none() {
        sections = code_segments(file)?;
    }
    sections.sort_by_key(|section| section.address);
    if sections.windows(2).any(|pair| pair[0].end() > pair[1].address) {
        return Err(ImageError::malformed("sections with code overlap in memory"));
    }
    for at in 1..sections.len() {
        let next = sections[at].address;
        sections[at - 1].mem_end = sections[at - 1].mem_end.min(next);
    }
    Ok(sections)
}

/// The name of a section; many may share a long one.
fn short_name(name: object::Result<&str>) -> String {
    name.unwrap_or_default().chars().take(64).collect()
}

/// What an ELF file without section headers loads to be run.
fn code_segments<'data>(file: &File<'data>) -> Result<Vec<Section<'data>>, ImageError> {
    let mut sections = Vec::new();
    for (index, segment) in file.segments().enumerate() {
        let SegmentFlags::Elf { p_flags, .. } = segment.flags() else { continue };
        if p_flags.0 & object::elf::PF_X.0 == 0 {
            continue;
        }
        let (data, address) = (segment.data()?, segment.address());
        if address.checked_add(data.len() as u64).is_none_or(|end| end >= u64::MAX - (1 << 16)) {
            return Err(ImageError::malformed("a segment ends beyond the address space"));
        }
        let mem_end = address + data.len() as u64;
        let name = format!("segment {index}");
        sections.push(Section { name, index: usize::MAX - index, address, data, align: 1 << 12, mem_end });
    }
    Ok(sections)
}

/// Data of a linked image; sections that overlap others are left out.
fn held_sections<'data>(file: &File<'data>, kind: Kind) -> Vec<Section<'data>> {
    if kind == Kind::Object {
        return Vec::new();
    }
    let mut held: Vec<Section<'data>> = file
        .sections()
        .filter(|section| is_held(&section.flags()))
        .filter_map(|section| {
            let (address, data) = (section.address(), section.data().ok().filter(|data| !data.is_empty())?);
            let mem_end = address.checked_add(data.len() as u64)?;
            let name = short_name(section.name());
            Some(Section { name, index: section.index().0, address, data, align: 1, mem_end })
        })
        .collect();
    held.sort_by_key(|section| (section.address, section.index));
    let mut end = 0;
    held.retain(|section| {
        let apart = section.address >= end;
        end = end.max(section.end());
        apart
    });
    held
}

fn is_code(flags: &SectionFlags) -> bool {
    match flags {
        SectionFlags::Elf { sh_flags, .. } => sh_flags.0 & object::elf::SHF_EXECINSTR.0 != 0,
        SectionFlags::Coff { characteristics } => {
            characteristics.0 & (object::pe::IMAGE_SCN_CNT_CODE.0 | object::pe::IMAGE_SCN_MEM_EXECUTE.0) != 0
        }
        _ => false,
    }
}

fn is_held(flags: &SectionFlags) -> bool {
    match flags {
        SectionFlags::Elf { sh_flags, .. } => sh_flags.0 & object::elf::SHF_ALLOC.0 != 0 && !is_code(flags),
        SectionFlags::Coff { characteristics } => {
            characteristics.0 & object::pe::IMAGE_SCN_MEM_DISCARDABLE.0 == 0 && !is_code(flags)
        }
        _ => false,
    }
}
