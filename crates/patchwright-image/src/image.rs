//! A file becomes sections with code, what relocations touch, and functions.
//!
//! Sections of a relocatable object have no addresses; each gets a range of its own, so that the rest of the crate need
//! not care.

use std::fmt;

use object::read::{File, Object as _, ObjectSection as _, Relocation};
use object::{
    Architecture, BinaryFormat, ObjectKind, RelocationFlags, RelocationTarget, SectionFlags, SectionKind, elf, pe,
};

use crate::error::ImageError;
use crate::starts::{self, Function, Source};

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
}

impl Machine {
    /// Bytes before the entry that a jump to a replacement needs: what `/FUNCTIONPADMIN` means without a number; none
    /// on ARM64, where the entry itself holds it.
    pub const fn default_pad(self) -> usize {
        match self {
            Self::X86 => 5,
            Self::X86_64 => 6,
            Self::Aarch64 => 0,
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

/// A section with code.
#[derive(Debug)]
pub(crate) struct Section<'data> {
    pub(crate) name: String,
    pub(crate) index: usize,
    pub(crate) address: u64,
    pub(crate) data: &'data [u8],
    /// What its address is a multiple of; of a linked image as much as one could ask for.
    pub(crate) align: u64,
}

impl Section<'_> {
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

/// A PE or ELF file with what the audit needs of it.
#[derive(Debug)]
pub struct Image<'data> {
    pub(crate) format: Format,
    pub(crate) machine: Machine,
    pub(crate) kind: Kind,
    /// What relative addresses of a PE image count from.
    pub(crate) base: u64,
    /// Sorted by address.
    pub(crate) sections: Vec<Section<'data>>,
    /// Sorted by address, one per address.
    pub(crate) functions: Vec<Function>,
    /// Where relocations change code; sorted.
    pub(crate) fields: Vec<u64>,
    /// What relocations of data point to in code; sorted.
    pub(crate) pointers: Vec<u64>,
    /// Addresses of type hashes before functions; sorted.
    pub(crate) hashes: Vec<u64>,
    /// Whether indirect branches must land on ENDBR.
    pub(crate) tracked: bool,
    pub(crate) sources: Vec<(Source, usize)>,
}

impl<'data> Image<'data> {
    /// Reads a PE, COFF or ELF file.
    ///
    /// # Errors
    /// It is damaged, of another format, or of a machine type that is not supported.
    pub fn read(data: &'data [u8]) -> Result<Self, ImageError> {
        let file = File::parse(data)?;
        let (format, machine) = supported(&file)?;
        let kind = match file.kind() {
            ObjectKind::Relocatable => Kind::Object,
            ObjectKind::Dynamic if !is_program(&file) => Kind::Library,
            ObjectKind::Executable | ObjectKind::Dynamic => Kind::Executable,
            _ => return Err(ImageError::unsupported("neither a program, a library nor an object: not supported")),
        };
        let sections = code_sections(&file, kind, data.len())?;
        let mut image = Self {
            format,
            machine,
            kind,
            base: file.relative_address_base(),
            sections,
            functions: Vec::new(),
            fields: Vec::new(),
            pointers: Vec::new(),
            hashes: Vec::new(),
            tracked: is_tracked(&file),
            sources: Vec::new(),
        };
        image.read_relocations(&file, data.len());
        starts::read(&file, &mut image);
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

    /// What relative addresses of a PE image count from.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// The functions that were found, by address.
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// Who said where functions are, and how many each.
    pub fn sources(&self) -> &[(Source, usize)] {
        &self.sources
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

    pub(crate) fn section_of(&self, address: u64) -> Option<&Section<'data>> {
        let after = self.sections.partition_point(|section| section.address <= address);
        self.sections[..after].last().filter(|section| address < section.end())
    }

    pub(crate) fn section_by_index(&self, index: usize) -> Option<&Section<'data>> {
        self.sections.iter().find(|section| section.index == index)
    }

    /// Whether a relocation changes bytes of `[start, end)`.
    pub(crate) fn is_relocated(&self, start: u64, end: u64) -> bool {
        // A field is at most 8 bytes long; most are 4, and one that begins up to 3 before reaches in.
        let from = self.fields.partition_point(|at| *at < start.saturating_sub(3));
        self.fields.get(from).is_some_and(|at| *at < end)
    }

    fn read_relocations(&mut self, file: &File<'data>, budget: usize) {
        let linked = file.dynamic_relocations().into_iter().flatten().take(budget);
        for (at, relocation) in linked {
            let target = is_relative(&relocation).then(|| relocation.addend().cast_unsigned());
            self.note_relocation(at, target);
        }
        if self.kind == Kind::Object {
            self.read_object_relocations(file, budget);
        }
        self.fields.sort_unstable();
        self.pointers.sort_unstable();
    }

    fn read_object_relocations(&mut self, file: &File<'data>, mut budget: usize) {
        use object::ObjectSymbol as _;
        for section in file.sections() {
            let code = self.section_by_index(section.index().0).map(|section| section.address);
            for (offset, relocation) in section.relocations().take(budget) {
                budget -= 1;
                let RelocationTarget::Symbol(index) = relocation.target() else { continue };
                let target = file.symbol_by_index(index).ok().and_then(|symbol| {
                    let base = self.section_by_index(symbol.section_index()?.0)?.address;
                    // Debug information points to every line; only data can lead a branch there.
                    let held = matches!(
                        section.kind(),
                        SectionKind::ReadOnlyData | SectionKind::Data | SectionKind::ReadOnlyDataWithRel
                    );
                    let addend = relocation.addend();
                    held.then(|| base.wrapping_add(symbol.address()).wrapping_add_signed(addend))
                });
                match code {
                    Some(base) => self.fields.push(base.wrapping_add(offset)),
                    None => self.pointers.extend(target),
                }
            }
        }
    }

    fn note_relocation(&mut self, at: u64, target: Option<u64>) {
        if self.section_of(at).is_some() {
            self.fields.push(at);
        }
        self.pointers.extend(target.filter(|target| self.section_of(*target).is_some()));
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
        (Architecture::Aarch64, None, Format::Elf) if file.is_little_endian() => Machine::Aarch64,
        (other, sub, _) => {
            let sub = sub.map(|sub| format!(" ({sub:?})")).unwrap_or_default();
            return Err(ImageError::unsupported(format!("{format:?} files for {other:?}{sub} are not supported")));
        }
    };
    Ok((format, machine))
}

/// Whether a relocation of a linked image stores an address of the image itself.
pub(crate) fn is_relative(relocation: &Relocation) -> bool {
    let relative = [elf::R_X86_64_RELATIVE, elf::R_386_RELATIVE, elf::R_AARCH64_RELATIVE];
    matches!(relocation.flags(), RelocationFlags::Elf { r_type } if relative.contains(&r_type))
}

/// A position-independent ELF program is a dynamic object with an interpreter; some libraries have one too, but those
/// have a name to be linked by. A PE library has a flag that `object` knows.
fn is_program(file: &File<'_>) -> bool {
    let width = if file.is_64() { 8 } else { 4 };
    let dynamic = file.section_by_name(".dynamic").and_then(|section| section.data().ok()).unwrap_or_default();
    let soname = [elf::DT_SONAME.0.to_le_bytes().as_slice(), &[0; 8]].concat();
    let has_name = dynamic.chunks_exact(2 * width).any(|entry| entry.starts_with(&soname[..width]));
    file.section_by_name(".interp").is_some() && !has_name
}

fn is_tracked(file: &File<'_>) -> bool {
    // Elf*_Nhdr of NT_GNU_PROPERTY_TYPE_0, then properties: type, length, bits.
    let property = elf::GNU_PROPERTY_X86_FEATURE_1_AND.0.to_le_bytes();
    let note = file.section_by_name(".note.gnu.property").and_then(|section| section.data().ok()).unwrap_or_default();
    note.windows(12).any(|window| {
        window.starts_with(&property)
            && window[4..8] == 4_u32.to_le_bytes()
            && u32::from(window[8]) & elf::GNU_PROPERTY_X86_FEATURE_1_IBT != 0
    })
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
        if !data.is_empty() {
            let name = section.name().unwrap_or_default().to_owned();
            let align = if kind == Kind::Object { align } else { 1 << 12 };
            sections.push(Section { name, index: section.index().0, address, data, align });
        }
    }
    sections.sort_by_key(|section| section.address);
    if sections.windows(2).any(|pair| pair[0].end() > pair[1].address) {
        return Err(ImageError::malformed("sections with code overlap in memory"));
    }
    Ok(sections)
}

fn is_code(flags: &SectionFlags) -> bool {
    match flags {
        SectionFlags::Elf { sh_flags, .. } => sh_flags.0 & elf::SHF_EXECINSTR.0 != 0,
        SectionFlags::Coff { characteristics } => {
            characteristics.0 & (pe::IMAGE_SCN_CNT_CODE.0 | pe::IMAGE_SCN_MEM_EXECUTE.0) != 0
        }
        _ => false,
    }
}
