//! Where functions begin and end, and which sources say so.
//!
//! Each source has its gaps: `.pdata` leaves out leaf functions, exports name few, a stripped image has no symbols. A
//! function is the union of what all sources say about one address.

use std::collections::BTreeMap;

use object::read::{ExportTarget, File, NameOrOrdinal, Object as _, ObjectSection as _, ObjectSymbol as _};
use object::{SymbolKind, pe};

use crate::code::{What, decode};
use crate::image::{Address, Format, Image, Kind, is_relative};
use crate::{eh_frame, pdata};

/// Who says that a function begins somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// `.symtab`, or the symbol table of COFF.
    Symbols,
    /// `.dynsym`.
    DynamicSymbols,
    /// The export directory of a PE image.
    Exports,
    /// The exception directory of an x64 PE image.
    Pdata,
    /// The FDEs of `.eh_frame`.
    EhFrame,
    /// `__patchable_function_entries`: functions compiled with room for a patch.
    PatchableEntries,
}

/// A function, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its entry.
    pub address: Address,
    /// Its length, if a source says.
    pub size: Option<u64>,
    /// Its names, sorted; none where only unwind data tell of it.
    pub names: Vec<String>,
    /// Who tells of it.
    pub sources: Vec<Source>,
    /// Whether other images, or other objects, see it.
    pub exported: bool,
    /// The source file that the symbol table puts it under.
    pub file: Option<String>,
    /// Whether it is a cold part or a chained piece of another function.
    pub part: bool,
}

impl Function {
    /// Whether it comes from the start files of the toolchain, as far as names tell.
    pub fn is_runtime(&self) -> bool {
        let by_name = self.names.iter().any(|name| is_runtime_name(name));
        by_name || self.file.as_deref().is_some_and(|file| RUNTIME_FILES.contains(&file))
    }
}

/// Whether a function of this name comes from the start files of the toolchain.
pub(crate) fn is_runtime_name(name: &str) -> bool {
    RUNTIME_NAMES.contains(&name)
}

/// Functions of `crt1.o`, `crti.o` and `crtbegin.o`, and of mingw's start files.
const RUNTIME_NAMES: [&str; 22] = [
    "_start",
    "_init",
    "_fini",
    "__libc_csu_init",
    "__libc_csu_fini",
    "_dl_relocate_static_pie",
    "deregister_tm_clones",
    "register_tm_clones",
    "__do_global_dtors_aux",
    "frame_dummy",
    "__x86.get_pc_thunk.ax",
    "__x86.get_pc_thunk.bx",
    "__x86.get_pc_thunk.cx",
    "__x86.get_pc_thunk.dx",
    "__x86.get_pc_thunk.si",
    "__x86.get_pc_thunk.di",
    "___chkstk_ms",
    "__chkstk_ms",
    "__main",
    "mainCRTStartup",
    "WinMainCRTStartup",
    "DllMainCRTStartup",
];

const RUNTIME_FILES: [&str; 34] = [
    "crtstuff.c",
    "crt1.c",
    "crtexe.c",
    "crtdll.c",
    "crtbegin.c",
    "crtend.c",
    "cygming-crtbegin.c",
    "cygming-crtend.c",
    "gccmain.c",
    "atonexit.c",
    "natstart.c",
    "wildcard.c",
    "_newmode.c",
    "dllargv.c",
    "dll_math.c",
    "dllmain.c",
    "dllentry.c",
    "tlssup.c",
    "tlsthrd.c",
    "tlsmcrt.c",
    "xncommod.c",
    "xtxtmode.c",
    "cinitexe.c",
    "merr.c",
    "usermatherr.c",
    "mingw_matherr.c",
    "CRT_fp10.c",
    "mingw_helpers.c",
    "pseudo-reloc.c",
    "pseudo-reloc-list.c",
    "pesect.c",
    "crt_handler.c",
    "gs_support.c",
    "charmax.c",
];

/// What sources have said so far, by address.
type Found = BTreeMap<u64, Function>;

/// Asks every source and leaves the answers in the image.
pub(crate) fn read<'data>(file: &File<'data>, image: &mut Image<'data>) {
    let mut found = Found::new();
    symbols(file, image, &mut found);
    exports(file, image, &mut found);
    unwind_data(file, image, &mut found);
    patchable_entries(file, image, &mut found);
    for function in found.values_mut() {
        function.names.sort_unstable();
        function.names.dedup();
        function.sources.sort_unstable();
        function.sources.dedup();
        function.part |= function.names.iter().any(|name| name.ends_with(".cold") || name.contains(".cold."));
    }
    image.hashes.sort_unstable();
    image.functions = found.into_values().collect();
    for source in ALL_SOURCES {
        let number = image.functions.iter().filter(|function| function.sources.contains(&source)).count();
        if number > 0 {
            image.sources.push((source, number));
        }
    }
}

const ALL_SOURCES: [Source; 6] = [
    Source::Symbols,
    Source::DynamicSymbols,
    Source::Exports,
    Source::Pdata,
    Source::EhFrame,
    Source::PatchableEntries,
];

fn note<'a>(
    image: &Image<'_>,
    found: &'a mut Found,
    address: u64,
    size: u64,
    source: Source,
) -> Option<&'a mut Function> {
    image.section_of(address)?;
    let function = found.entry(address).or_insert_with(|| Function {
        address: Address(address),
        size: None,
        names: Vec::new(),
        sources: Vec::new(),
        exported: false,
        file: None,
        part: false,
    });
    if size > 0 {
        function.size = Some(function.size.map_or(size, |known| known.max(size)));
    }
    function.sources.push(source);
    Some(function)
}

fn symbols(file: &File<'_>, image: &mut Image<'_>, found: &mut Found) {
    let mut source_file: Option<String> = None;
    let mut hashes = Vec::new();
    let tables = [(Source::Symbols, file.symbols()), (Source::DynamicSymbols, file.dynamic_symbols())];
    for (source, table) in tables {
        for symbol in table {
            let name = symbol.name().unwrap_or_default();
            if symbol.kind() == SymbolKind::File {
                source_file = Some(name.to_owned());
            }
            if symbol.kind() != SymbolKind::Text || symbol.is_undefined() || name.is_empty() {
                continue;
            }
            let base = match image.kind {
                Kind::Object => {
                    symbol.section_index().and_then(|index| image.section_by_index(index.0)).map(|s| s.address)
                }
                _ => Some(0),
            };
            let Some(address) = base.map(|base| base.wrapping_add(symbol.address())) else { continue };
            if name.starts_with("__cfi_") {
                hashes.push(address);
                continue;
            }
            // COFF has names of sections among the symbols of functions.
            if image.format == Format::Pe && name.starts_with('.') {
                continue;
            }
            let size = if image.format == Format::Elf { symbol.size() } else { 0 };
            if let Some(function) = note(image, found, address, size, source) {
                function.names.push(name.to_owned());
                let seen = source == Source::DynamicSymbols || image.kind == Kind::Object && symbol.is_global();
                function.exported |= seen;
                // ELF names the file of local symbols only.
                if image.format == Format::Pe || symbol.is_local() {
                    function.file.clone_from(&source_file);
                }
            }
        }
        source_file = None;
    }
    image.hashes = hashes;
}

fn exports(file: &File<'_>, image: &Image<'_>, found: &mut Found) {
    if image.format == Format::Elf || image.kind == Kind::Object {
        return;
    }
    for export in file.exports().into_iter().flatten().flatten() {
        let ExportTarget::Address { address: at } = export.target() else { continue };
        if let Some(function) = note(image, found, at, 0, Source::Exports) {
            if let NameOrOrdinal::Name(name) = export.name() {
                function.names.push(String::from_utf8_lossy(name).into_owned());
            }
            function.exported = true;
        }
    }
}

fn unwind_data(file: &File<'_>, image: &Image<'_>, found: &mut Found) {
    if image.kind == Kind::Object {
        return;
    }
    if let File::Pe64(pe_file) = file {
        let base = file.relative_address_base();
        let at = |rva: u32| pe_file.section_table().pe_data_at(pe_file.data(), rva);
        let directory = pe_file
            .data_directory(pe::IMAGE_DIRECTORY_ENTRY_EXCEPTION)
            .and_then(|directory| directory.data(pe_file.data(), &pe_file.section_table()).ok())
            .unwrap_or_default();
        for entry in pdata::read(directory, |rva| at(rva)?.first().copied()) {
            let size = u64::from(entry.end - entry.begin);
            let address = base.wrapping_add(u64::from(entry.begin));
            if let Some(function) = note(image, found, address, size, Source::Pdata) {
                function.part |= entry.part;
            }
        }
    }
    if image.format == Format::Elf
        && let Some(section) = file.section_by_name(".eh_frame")
        && let Ok(data) = section.data()
    {
        let address_size = if file.is_64() { 8 } else { 4 };
        for (address, size) in eh_frame::read(data, section.address(), address_size) {
            // An FDE that begins inside a function that a symbol tells of is a piece of it.
            let before = found.range(..address).next_back();
            let inside = before.is_some_and(|(start, function)| {
                function.size.is_some_and(|size| address < start.saturating_add(size))
            });
            if !inside {
                note(image, found, address, size, Source::EhFrame);
            }
        }
    }
}

/// Each entry holds the address of the first nop, before the function where there is a pad. A position-independent
/// image has it in a relocation, and not all linkers leave it in the section as well.
fn patchable_entries(file: &File<'_>, image: &Image<'_>, found: &mut Found) {
    if image.format != Format::Elf || image.kind == Kind::Object {
        return;
    }
    let Some(section) = file.section_by_name("__patchable_function_entries") else { return };
    let Ok(data) = section.data() else { return };
    let width = if file.is_64() { 8_u8 } else { 4 };
    let range = section.address()..section.address().saturating_add(data.len() as u64);
    let moved: BTreeMap<u64, u64> = file
        .dynamic_relocations()
        .into_iter()
        .flatten()
        .take(data.len())
        .filter(|(at, relocation)| range.contains(at) && is_relative(relocation) && relocation.addend() != 0)
        .map(|(at, relocation)| (at, relocation.addend().cast_unsigned()))
        .collect();
    let stored = data
        .chunks_exact(usize::from(width))
        .map(|chunk| chunk.iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte)));
    for (slot, value) in (range.start..).step_by(usize::from(width)).zip(stored) {
        let first_nop = moved.get(&slot).copied().unwrap_or(value);
        let next = found.range(first_nop..).next().map(|(address, _)| *address);
        let inside = found.range(..=first_nop).next_back().map(|(address, _)| *address);
        // Without a pad the nops may stand behind ENDBR.
        let entry =
            next.filter(|next| is_filler(image, first_nop, *next)).or(inside.filter(|start| first_nop - start <= 8));
        if let Some(function) = entry.and_then(|entry| found.get_mut(&entry)) {
            function.sources.push(Source::PatchableEntries);
        }
    }
}

/// Whether there is nothing but filler in `[from, to)`, which is no longer than a pad can be.
fn is_filler(image: &Image<'_>, mut from: u64, to: u64) -> bool {
    if to - from > 256 {
        return false;
    }
    while from < to {
        match decode(image.machine, image.bytes(Address(from), Address(to)), from) {
            Some(instr) if matches!(instr.what, What::Filler { .. }) => from += instr.len as u64,
            _ => return false,
        }
    }
    true
}
