//! An object as `prepare` sees it, whatever its format: sections, symbols, relocations with their addends in the open.

use std::borrow::Cow;

use crate::image::{Format, Machine};

/// What a section is to the rewriting of code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Instructions.
    Code,
    /// Unwind data: `.eh_frame`, `.pdata`, `.xdata`.
    Frames,
    /// Other tables that speak of the code itself, not of how it is called: debug and trace data.
    AboutCode,
    /// Data of the program; an address of a function there is one to call it by.
    Data,
}

/// A section.
#[derive(Clone, Debug)]
pub(crate) struct Section<'data> {
    pub(crate) name: &'data [u8],
    pub(crate) role: Role,
    pub(crate) data: Cow<'data, [u8]>,
    pub(crate) align: u64,
    /// Sorted by offset.
    pub(crate) relocs: Vec<Reloc>,
    /// Whether its bytes are compressed: relocations then speak of what they unpack to.
    pub(crate) packed: bool,
}

/// A relocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reloc {
    /// Of the field, in its section.
    pub(crate) offset: u64,
    /// The number that the format gives the kind.
    pub(crate) kind: u32,
    /// Index in the symbol table.
    pub(crate) symbol: usize,
    /// What is added to the symbol.
    pub(crate) addend: i64,
    /// Whether the addend stands in the field itself.
    pub(crate) in_place: bool,
}

/// What a symbol is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SymbolKind {
    /// A function.
    Function,
    /// A section.
    Section,
    /// `$x`, `$d`: what the bytes from here on are.
    Mark,
    /// A label without a type that other objects do not see.
    Label,
    /// Anything else.
    Other,
}

/// A symbol.
#[derive(Clone, Debug)]
pub(crate) struct Symbol<'data> {
    pub(crate) name: &'data [u8],
    pub(crate) kind: SymbolKind,
    /// The section it is in, if it is in one.
    pub(crate) section: Option<usize>,
    /// Offset in the section.
    pub(crate) value: u64,
    pub(crate) size: u64,
}

/// An object.
#[derive(Clone, Debug)]
pub(crate) struct Model<'data> {
    pub(crate) format: Format,
    pub(crate) machine: Machine,
    /// By the index that the file gives them; what is no section of the file has no bytes.
    pub(crate) sections: Vec<Section<'data>>,
    pub(crate) symbols: Vec<Symbol<'data>>,
}

/// What a relocation computes, as far as moving code matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// An address, or its distance from something that does not move; bytes of the field, 0 within an instruction word.
    Absolute(u8),
    /// The distance from the field, or from the instruction, to the address.
    Relative(u8),
    /// Nothing of the target's place: sizes, thread-local offsets, marks, sections.
    Unmoved,
    /// A kind that is not known here.
    Unknown,
}

impl Model<'_> {
    /// What the kind of a relocation means.
    pub(crate) fn class(&self, kind: u32) -> Class {
        match (self.format, self.machine) {
            (Format::Elf, Machine::X86_64) => elf_x86_64(kind),
            (Format::Elf, Machine::X86) => elf_x86(kind),
            (Format::Elf, Machine::Aarch64) => elf_aarch64(kind),
            (Format::Pe, Machine::X86_64) => coff_x64(kind),
            (Format::Pe, Machine::X86) => coff_x86(kind),
            (Format::Pe, _) | (Format::Elf, Machine::Arm) => Class::Unknown,
        }
    }
}

/// Numbers of the psABI for x86-64, table 4.9.
fn elf_x86_64(kind: u32) -> Class {
    match kind {
        // Those that reach a slot of the GOT among them: the slot holds what the symbol is, wherever that moves.
        0 | 3 | 9 | 16..=23 | 27..=28 | 30 | 32..=36 | 41..=45 => Class::Unmoved,
        1 | 25 | 31 => Class::Absolute(8),
        10 | 11 => Class::Absolute(4),
        12 => Class::Absolute(2),
        14 => Class::Absolute(1),
        2 | 4 | 26 => Class::Relative(4),
        24 | 29 => Class::Relative(8),
        13 => Class::Relative(2),
        15 => Class::Relative(1),
        _ => Class::Unknown,
    }
}

/// Numbers of the psABI for i386, table 2.2.
fn elf_x86(kind: u32) -> Class {
    match kind {
        0 | 3 | 14..=19 | 24..=41 | 43 => Class::Unmoved,
        1 | 9 => Class::Absolute(4),
        20 => Class::Absolute(2),
        22 => Class::Absolute(1),
        2 | 4 | 10 => Class::Relative(4),
        21 => Class::Relative(2),
        23 => Class::Relative(1),
        _ => Class::Unknown,
    }
}

/// Numbers of AAELF64. What lies in an instruction word has no addend there, since ELF for ARM64 keeps addends apart.
fn elf_aarch64(kind: u32) -> Class {
    match kind {
        0 | 256 | 309..=313 | 512..=573 => Class::Unmoved,
        257 => Class::Absolute(8),
        258 => Class::Absolute(4),
        259 => Class::Absolute(2),
        260 => Class::Relative(8),
        261 | 314 => Class::Relative(4),
        262 => Class::Relative(2),
        263..=308 => Class::Absolute(0),
        _ => Class::Unknown,
    }
}

/// `IMAGE_REL_AMD64_*`.
fn coff_x64(kind: u32) -> Class {
    match kind {
        0 | 10 => Class::Unmoved,
        1 => Class::Absolute(8),
        2 | 3 | 11 => Class::Absolute(4),
        4..=9 => Class::Relative(4),
        _ => Class::Unknown,
    }
}

/// `IMAGE_REL_I386_*`.
fn coff_x86(kind: u32) -> Class {
    match kind {
        0 | 10 => Class::Unmoved,
        6 | 7 | 11 => Class::Absolute(4),
        20 => Class::Relative(4),
        1 => Class::Absolute(2),
        2 => Class::Relative(2),
        _ => Class::Unknown,
    }
}

/// What the section of a name is, where the name tells more than the flags.
pub(crate) fn role_by_name(name: &[u8]) -> Role {
    const ABOUT_CODE: [&str; 15] = [
        ".debug",
        ".zdebug",
        ".gcc_except_table",
        ".sxdata",
        ".stab",
        ".line",
        ".note.stapsdt",
        ".llvm_stackmaps",
        ".llvm_faultmaps",
        ".llvm_bb_addr_map",
        ".gnu.debuglto_",
        "xray_",
        ".BTF",
        ".sframe",
        ".orc_unwind",
    ];
    if name == b".eh_frame" || name.starts_with(b".pdata") || name.starts_with(b".xdata") {
        Role::Frames
    } else if ABOUT_CODE.iter().any(|known| name.starts_with(known.as_bytes())) {
        Role::AboutCode
    } else {
        Role::Data
    }
}
