//! Programs and libraries in a process, read from its memory alone: the file may be gone, replaced, or in another
//! container.

use object::elf::{
    DT_DEBUG, DT_JMPREL, DT_NULL, DT_PLTRELSZ, DT_RELA, DT_RELASZ, DT_STRTAB, DT_SYMTAB, DT_VERDEF, DT_VERSYM,
    NT_GNU_BUILD_ID, PT_DYNAMIC, PT_GNU_EH_FRAME, PT_LOAD, PT_NOTE,
};
use patchwright_formats::hot::MAX_BUILD_ID;

use crate::error::LiveError;
use crate::target::{Mapping, Target};

/// A program or library in a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Module {
    /// The name of its file, as the kernel shows it.
    pub name: String,
    /// Its build identity; empty without one.
    pub build: Vec<u8>,
    /// What is added to the addresses that it was linked with.
    pub bias: u64,
    /// First address, and the one after the last.
    pub range: (u64, u64),
    /// Its code: start and end of each stretch.
    pub(crate) code: Vec<(u64, u64)>,
    /// Where its index of unwind data is.
    pub(crate) unwind_index: Option<(u64, u64)>,
    /// Where its first mapping is, for its file.
    pub(crate) first: Option<Mapping>,
    pub(crate) dynamic: Option<Dynamic>,
}

/// What the loader was told of a module; actual addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dynamic {
    pub(crate) symbols: u64,
    pub(crate) strings: u64,
    pub(crate) versions: u64,
    pub(crate) defined_versions: u64,
    pub(crate) relocations: (u64, u64),
    pub(crate) stub_relocations: (u64, u64),
    pub(crate) debug: u64,
}

const HEADER: usize = 64;
const SEGMENT: usize = 56;
const MAX_SEGMENTS: usize = 64;
const MAX_NOTES: u64 = 1 << 16;

/// A word of `bytes` at an offset.
pub(crate) fn word<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    if let Some(found) = at.checked_add(N).and_then(|end| bytes.get(at..end)) {
        word[..N].copy_from_slice(found);
    }
    u64::from_le_bytes(word)
}

/// Lists the modules of a process by address.
///
/// # Errors
/// The list of its memory cannot be read. A module that is damaged in memory is left out.
pub fn modules(target: &mut dyn Target) -> Result<Vec<Module>, LiveError> {
    let mappings = target.mappings().map_err(|error| LiveError::io("list the memory of the process", &error))?;
    Ok(modules_in(target, &mappings))
}

pub(crate) fn modules_in(target: &dyn Target, mappings: &[Mapping]) -> Vec<Module> {
    let starts = mappings.iter().filter(|mapping| mapping.offset == 0 && mapping.protection.read);
    // Special mappings such as [vdso] are modules, anonymous memory is not.
    let starts = starts.filter(|mapping| mapping.file != (0, 0) || mapping.name == "[vdso]");
    starts.filter_map(|mapping| read(target, mapping)).collect()
}

fn read(target: &dyn Target, mapping: &Mapping) -> Option<Module> {
    let mut header = [0; HEADER];
    target.read_exact(mapping.start, &mut header).ok()?;
    // ELF, 64 bits, little endian, x86-64.
    if !header.starts_with(b"\x7fELF\x02\x01") || word::<2>(&header, 18) != 62 {
        return None;
    }
    let count = usize::try_from(word::<2>(&header, 56)).ok().filter(|count| *count <= MAX_SEGMENTS)?;
    let mut segments = vec![0; count * SEGMENT];
    target.read_exact(mapping.start.checked_add(word::<8>(&header, 32))?, &mut segments).ok()?;
    let segments: Vec<&[u8]> = segments.chunks_exact(SEGMENT).collect();
    let kind = |segment: &&&[u8]| word::<4>(segment, 0);
    let loads = || segments.iter().filter(|segment| kind(segment) == u64::from(PT_LOAD.0));
    let first = loads().next()?;
    // The segment that the header is in says where that was meant to be.
    let bias = mapping.start.wrapping_sub(word::<8>(first, 16).wrapping_sub(word::<8>(first, 8)));
    let place = |segment: &[u8]| (bias.wrapping_add(word::<8>(segment, 16)), word::<8>(segment, 40));
    let end = |segment: &[u8]| place(segment).0.checked_add(place(segment).1);
    let last = loads().filter_map(|segment| end(segment)).max()?;
    if last <= mapping.start {
        return None;
    }
    let code = loads().filter(|segment| word::<4>(segment, 4) & 1 != 0);
    let code = code.filter_map(|segment| Some((place(segment).0, end(segment)?))).collect();
    let find = |wanted: u64| segments.iter().find(|segment| kind(segment) == wanted).map(|segment| place(segment));
    let notes = segments.iter().filter(|segment| kind(segment) == u64::from(PT_NOTE.0));
    let build = notes.filter_map(|segment| build_id(target, place(segment))).next().unwrap_or_default();
    Some(Module {
        name: mapping.name.clone(),
        build,
        bias,
        range: (mapping.start, last),
        code,
        unwind_index: find(u64::from(PT_GNU_EH_FRAME.0)),
        first: Some(mapping.clone()),
        dynamic: find(u64::from(PT_DYNAMIC.0)).map(|place| dynamic(target, place, bias, mapping.start)),
    })
}

/// The note that the linker left: name length, length, type, name, identity, each padded to four bytes.
fn build_id(target: &dyn Target, (address, len): (u64, u64)) -> Option<Vec<u8>> {
    let mut notes = vec![0; usize::try_from(len.min(MAX_NOTES)).ok()?];
    target.read_exact(address, &mut notes).ok()?;
    let mut rest = notes.as_slice();
    while rest.len() >= 12 {
        let padded = |at: usize| usize::try_from(word::<4>(rest, at)).ok()?.checked_next_multiple_of(4);
        let name = rest.get(12..12_usize.checked_add(padded(0)?)?)?;
        let body_at = 12 + name.len();
        let body = rest.get(body_at..body_at.checked_add(usize::try_from(word::<4>(rest, 4)).ok()?)?)?;
        if word::<4>(rest, 8) == u64::from(NT_GNU_BUILD_ID.0) && name == b"GNU\0" && body.len() <= MAX_BUILD_ID {
            return Some(body.to_vec());
        }
        rest = rest.get(body_at.checked_add(padded(4)?)?..)?;
    }
    None
}

fn dynamic(target: &dyn Target, (address, len): (u64, u64), bias: u64, start: u64) -> Dynamic {
    let mut bytes = vec![0; usize::try_from(len.min(1 << 14)).unwrap_or(0)];
    let read = target.read(address, &mut bytes).unwrap_or(0);
    bytes.truncate(read);
    let mut found = Dynamic::default();
    // The loader writes actual addresses into the list of what it loaded; nobody does into that of the vDSO.
    let actual = |value: u64| if value < start { value.wrapping_add(bias) } else { value };
    for entry in bytes.chunks_exact(16) {
        let value = word::<8>(entry, 8);
        match i64::from_le_bytes(word::<8>(entry, 0).to_le_bytes()) {
            tag if tag == DT_NULL.0 => break,
            tag if tag == DT_SYMTAB.0 => found.symbols = actual(value),
            tag if tag == DT_STRTAB.0 => found.strings = actual(value),
            tag if tag == DT_VERSYM.0 => found.versions = actual(value),
            tag if tag == DT_VERDEF.0 => found.defined_versions = actual(value),
            tag if tag == DT_RELA.0 => found.relocations.0 = actual(value),
            tag if tag == DT_RELASZ.0 => found.relocations.1 = value,
            tag if tag == DT_JMPREL.0 => found.stub_relocations.0 = actual(value),
            tag if tag == DT_PLTRELSZ.0 => found.stub_relocations.1 = value,
            tag if tag == DT_DEBUG.0 => found.debug = value,
            _ => {}
        }
    }
    found
}
