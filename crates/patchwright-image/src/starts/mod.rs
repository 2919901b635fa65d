//! Where functions begin and end, and which sources say so.
//!
//! Each source has its gaps: `.pdata` leaves out leaf functions, exports name few, a stripped image has no symbols. A
//! function is the union of what all sources say about one address. Sources that name functions are asked first; what
//! others say about the inside of such a function is no function, but may be a contradiction worth telling.
//!
//! | module | sources |
//! |---|---|
//! | [`symbols`] | symbol tables, exports |
//! | [`codeview`], [`pdb`] | debug information of Microsoft's kind, in objects and beside images |
//! | [`dwarf`] | debug information of the other kind |
//! | [`pdata`], [`eh_frame`] | unwind data |
//! | [`tables`] | guard tables, exception handlers, functions compiled with room for a patch |
//! | [`link_map`] | the map of the link, which the image does not hold |
//! | [`origin`] | who a function comes from |

mod codeview;
mod dwarf;
mod eh_frame;
mod link_map;
mod origin;
mod pdata;
mod pdb;
mod symbols;
mod tables;

use std::collections::{BTreeMap, BTreeSet};

use object::read::File;

use crate::code::{What, decode};
use crate::error::ImageError;
use crate::image::{Address, Companions, Image, Kind, Pe};

/// Who says that a function begins somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// `.symtab`, or the symbol table of COFF.
    Symbols,
    /// `.dynsym`.
    DynamicSymbols,
    /// The export directory of a PE image.
    Exports,
    /// Procedures and thunks of a program database, or of `.debug$S` of an object.
    CodeView,
    /// Public symbols of a program database.
    Publics,
    /// Subprograms of DWARF.
    Dwarf,
    /// The exception directory of a PE image.
    Pdata,
    /// The FDEs of `.eh_frame`.
    EhFrame,
    /// The search table of `.eh_frame_hdr`.
    EhFrameHeader,
    /// `.ARM.exidx`.
    Exidx,
    /// Functions that indirect calls may reach (`/guard:cf`).
    GuardTable,
    /// Exception handlers of x86 code (`/safeseh`).
    Handlers,
    /// `__patchable_function_entries`: functions compiled with room for a patch.
    PatchableEntries,
    /// `mov edi, edi; push ebp; mov ebp, esp` behind filler: how hot-patchable x86 code for Windows begins.
    Prologue,
    /// The map of the link, if whoever reads the image has it: [`Image::add_starts`].
    LinkMap,
}

impl Source {
    /// Every source, those that are asked first in front.
    pub const ALL: [Self; 15] = [
        Self::Symbols,
        Self::DynamicSymbols,
        Self::Exports,
        Self::CodeView,
        Self::Publics,
        Self::Dwarf,
        Self::Pdata,
        Self::EhFrame,
        Self::EhFrameHeader,
        Self::Exidx,
        Self::GuardTable,
        Self::Handlers,
        Self::PatchableEntries,
        Self::Prologue,
        Self::LinkMap,
    ];

    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Symbols => "symbols",
            Self::DynamicSymbols => "dynamic-symbols",
            Self::Exports => "exports",
            Self::CodeView => "codeview",
            Self::Publics => "pdb-publics",
            Self::Dwarf => "dwarf",
            Self::Pdata => "pdata",
            Self::EhFrame => "eh-frame",
            Self::EhFrameHeader => "eh-frame-hdr",
            Self::Exidx => "arm-exidx",
            Self::GuardTable => "guard-table",
            Self::Handlers => "seh-handlers",
            Self::PatchableEntries => "patchable-function-entries",
            Self::Prologue => "prologue",
            Self::LinkMap => "link-map",
        }
    }
}

/// A function, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Function {
    /// Its entry.
    pub address: Address,
    /// Its length, if a source says.
    pub size: Option<u64>,
    /// Its names, sorted; none where only unwind data tell of it.
    pub names: Vec<String>,
    /// Who tells of it.
    pub sources: Vec<Source>,
    /// How many names one source has for it: more than one is an alias, or functions that were folded into one.
    pub aliases: usize,
    /// Whether other images, or other objects, see it.
    pub exported: bool,
    /// The source file that the symbol table puts it under.
    pub file: Option<String>,
    /// The object that it comes from, in [`Image::modules`].
    pub module: Option<usize>,
    /// The toolchain's start files or precompiled runtime that it comes from, as far as names and debug information tell.
    pub origin: Option<&'static str>,
    /// Whether it is a cold part or a chained piece of another function.
    pub part: bool,
    /// Of which, if a source says.
    pub parent: Option<Address>,
    /// Whether debug information calls it a thunk.
    pub thunk: bool,
    /// Whether it only picks the function that is called by its name (`STT_GNU_IFUNC`).
    pub resolver: bool,
    /// In how many places its body was copied into callers, as far as debug information tells.
    pub inlined: usize,
}

impl Function {
    fn at(address: u64) -> Self {
        Self {
            address: Address(address),
            size: None,
            names: Vec::new(),
            sources: Vec::new(),
            aliases: 0,
            exported: false,
            file: None,
            module: None,
            origin: None,
            part: false,
            parent: None,
            thunk: false,
            resolver: false,
            inlined: 0,
        }
    }

    /// Whether it comes from the toolchain's start files or precompiled runtime, which nobody here compiles.
    pub fn is_runtime(&self) -> bool {
        self.origin.is_some()
    }
}

/// An object that an image was linked from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Module {
    /// Its path, as the compiler or linker wrote it.
    pub name: String,
    /// The library that it was taken from, or the folder that it was compiled in.
    pub library: String,
    /// The compiler.
    pub producer: String,
    /// Whether it was compiled for hot patching; `None` where it does not say.
    pub hot_patch: Option<bool>,
    /// The toolchain's runtime that it belongs to.
    pub origin: Option<&'static str>,
    /// How many functions come from it.
    pub functions: usize,
}

/// Two sources that cannot both be right.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Disagreement {
    /// Where.
    pub address: Address,
    /// What each of them says.
    pub found: String,
}

/// What sources have said so far.
struct Found {
    /// By address.
    functions: BTreeMap<u64, Function>,
    /// Names by address and source, to be sorted at the end.
    names: Vec<(u64, Source, String)>,
    /// Labels without a type, which assembly has.
    labels: BTreeMap<u64, String>,
    disagreements: Vec<Disagreement>,
    /// Bytes of names that may still be read. Many symbols may share one long name, so that without it a small file would
    /// take any memory.
    room: usize,
}

/// Names and files are cut here where nothing depends on the rest of them.
const LONGEST_TEXT: usize = 256;

/// One damaged table makes thousands.
const MOST_DISAGREEMENTS: usize = 10_000;

impl Found {
    /// Takes a name, if there is room for it.
    fn name(&mut self, address: u64, source: Source, name: &[u8]) {
        if let Some(name) = self.text(name) {
            self.names.push((address, source, name));
        }
    }

    /// Takes any text, if there is room for it.
    fn text(&mut self, text: &[u8]) -> Option<String> {
        self.room = self.room.checked_sub(text.len())?;
        Some(String::from_utf8_lossy(text).into_owned())
    }

    fn disagree(&mut self, address: u64, found: String) {
        if self.disagreements.len() < MOST_DISAGREEMENTS {
            self.disagreements.push(Disagreement { address: Address(address), found });
        }
    }

    /// A source that names functions says that one begins here. Nothing where no code is.
    fn note(&mut self, image: &Image<'_>, address: u64, size: u64, source: Source) -> Option<&mut Function> {
        image.section_of(address)?;
        let function = self.functions.entry(address).or_insert_with(|| Function::at(address));
        if size > 0 {
            function.size = Some(function.size.map_or(size, |known| known.max(size)));
        }
        function.sources.push(source);
        Some(function)
    }

    /// A source that knows ranges of code, but not what is a function, says that one begins here.
    fn note_range(&mut self, image: &Image<'_>, address: u64, size: u64, source: Source) -> Option<&mut Function> {
        image.section_of(address)?;
        if self.functions.contains_key(&address) {
            return self.note(image, address, size, source);
        }
        if let Some((&start, before)) = self.functions.range(..address).next_back() {
            let inside = before.size.is_some_and(|size| address < start.saturating_add(size));
            if (inside || before.size.is_none()) && does_nothing(image, start, address) {
                // `ms_hook_prologue`, and room made for a patch: unwind data begin behind it.
                let grown = if size > 0 { address + size - start } else { 0 };
                return self.note(image, start, grown, source);
            }
            if inside {
                let found = format!("{} begins a function here, inside that at {}", source.name(), Address(start));
                self.disagree(address, found);
                return None;
            }
        }
        let (start, size) = if is_behind_island(image, address) { (address - 2, size + 2) } else { (address, size) };
        self.note(image, start, size, source)
    }
}

/// Whether there is nothing but filler and landing pads in `[from, to)`, and not much of it.
fn does_nothing(image: &Image<'_>, mut from: u64, to: u64) -> bool {
    // `lea rsp, [rsp+0]`, with which `ms_hook_prologue` begins.
    const HOOK: [u8; 8] = [0x48, 0x8d, 0xa4, 0x24, 0, 0, 0, 0];
    if to - from > 16 {
        return false;
    }
    if image.bytes(Address(from), Address(to)) == HOOK {
        return true;
    }
    while from < to {
        let isa = image.isa(from);
        match decode(isa, image.bytes(Address(from), Address(to)), from) {
            Some(instr) if matches!(instr.what, What::Filler { breakpoint: false } | What::LandingPad) => {
                from += instr.len as u64;
            }
            _ => return false,
        }
    }
    from == to
}

/// Whether a nop that was put before a function together with breakpoints stands before `address`: the entry is the nop,
/// although unwind data, which is all that a stripped image has, begin behind it.
fn is_behind_island(image: &Image<'_>, address: u64) -> bool {
    let isa = image.isa(address);
    let before = address.checked_sub(3).map(|start| image.bytes(Address(start), Address(address)));
    isa.is_x86() && before == Some(&[0xcc, 0x66, 0x90])
}

/// Asks every source and leaves the answers in the image.
pub(crate) fn read<'data>(
    file: &File<'data>,
    pe: Option<&Pe<'data>>,
    companions: Companions<'_>,
    file_len: usize,
    image: &mut Image<'data>,
) -> Result<(), ImageError> {
    let mut found = Found {
        functions: BTreeMap::new(),
        names: Vec::new(),
        labels: BTreeMap::new(),
        disagreements: Vec::new(),
        // Suffixes may be shared, and two tables may name the same.
        room: file_len.saturating_add(companions.pdb.map_or(0, <[u8]>::len)).saturating_mul(2),
    };
    symbols::read(file, image, &mut found);
    symbols::exports(file, image, &mut found);
    codeview::read_object(file, image, &mut found);
    if let (Some(pdb), Some(pe)) = (companions.pdb, pe) {
        pdb::read(pdb, pe.pdb().as_ref(), image, &mut found)?;
    }
    if image.kind != Kind::Object {
        dwarf::read(file, image, &mut found);
        match pe {
            Some(pe) => {
                pdata::read(pe, image, &mut found);
                tables::guard(pe, image, &mut found);
            }
            None => {
                eh_frame::read(file, file_len, image, &mut found);
                tables::exidx(file, image, &mut found);
            }
        }
        tables::patchable_entries(file, image, &mut found);
        tables::prologues(image, &mut found);
    }
    finish(found, image);
    Ok(())
}

/// The beginning of a text.
fn cut(text: &str) -> String {
    text.chars().take(LONGEST_TEXT).collect()
}

fn finish(mut found: Found, image: &mut Image<'_>) {
    let mut by_source: BTreeSet<(u64, Source, String)> = found.names.drain(..).collect();
    // A name without a type is better than none.
    for (address, name) in found.labels {
        if by_source.range((address, Source::Symbols, String::new())..).next().is_none_or(|next| next.0 != address) {
            by_source.insert((address, Source::Symbols, name));
        }
    }
    let mut counts: BTreeMap<(u64, Source), usize> = BTreeMap::new();
    for (address, source, name) in by_source {
        if let Some(function) = found.functions.get_mut(&address) {
            function.names.push(name);
            let count = counts.entry((address, source)).or_default();
            *count += 1;
            function.aliases = function.aliases.max(*count);
        }
    }
    for function in found.functions.values_mut() {
        function.names.sort_unstable();
        function.names.dedup();
        function.sources.sort_unstable();
        function.sources.dedup();
        function.part |= function.names.iter().any(|name| is_part(name));
        if let Some(module) = function.module.and_then(|at| image.modules.get_mut(at)) {
            module.functions += 1;
        }
    }
    for module in &mut image.modules {
        module.origin = origin::of_module(module);
    }
    let modules = &image.modules;
    let module = |function: &Function| function.module.and_then(|at| modules.get(at));
    let rust = origin::RustNames::of(found.functions.values().map(|function| (function, module(function))));
    for function in found.functions.values_mut() {
        let by_module = origin::of_function(function, module(function));
        function.origin = by_module.or_else(|| rust.origin(function));
    }
    image.hashes.sort_unstable();
    image.data_symbols.sort_unstable();
    image.functions = found.functions.into_values().collect();
    found.disagreements.sort_unstable();
    found.disagreements.dedup();
    image.disagreements = found.disagreements;
    for source in Source::ALL {
        let number = image.functions.iter().filter(|function| function.sources.contains(&source)).count();
        if number > 0 {
            image.sources.push((source, number));
        }
    }
}

/// Cold parts by GCC, LLVM and BOLT, and handlers that compilers for Windows cut out of functions.
fn is_part(name: &str) -> bool {
    const FUNCLETS: [&str; 6] = ["?catch$", "?dtor$", "?fin$", "?filt$", "__catch$", "__unwindfunclet$"];
    name.ends_with(".cold")
        || name.contains(".cold.")
        || name.contains(".__part.")
        || FUNCLETS.iter().any(|mark| name.starts_with(mark))
}
