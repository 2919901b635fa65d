//! CodeView symbols: records of `.debug$S` in objects, and of modules in a program database.
//!
//! A record is a length, a kind and its data. Of interest are procedures, thunks and cold parts, and `S_COMPILE3`, whose
//! flags say whether the object was compiled for hot patching; the linker makes pads only for objects that say so.

use object::read::{File, Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget};

use super::{Found, Module, Source};
use crate::image::{Address, Format, Image, Kind};

const S_COMPILE2: u16 = 0x1116;
const S_COMPILE3: u16 = 0x113c;
const S_OBJNAME: u16 = 0x1101;
const S_THUNK32: u16 = 0x1102;
const S_LPROC32: u16 = 0x110f;
const S_GPROC32: u16 = 0x1110;
const S_LPROC32_ID: u16 = 0x1146;
const S_GPROC32_ID: u16 = 0x1147;
const S_LPROC32_DPC: u16 = 0x1155;
const S_LPROC32_DPC_ID: u16 = 0x1156;
const S_SEPCODE: u16 = 0x1132;
const S_PUB32: u16 = 0x110e;

/// Bit 14 of the flags, whose lowest byte is the language.
const HOT_PATCH: u32 = 1 << 14;

/// The subsection of `.debug$S` that holds symbols.
const DEBUG_S_SYMBOLS: u32 = 0xf1;
const SIGNATURE_C13: [u8; 4] = [4, 0, 0, 0];

/// A record that matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record<'a> {
    Procedure { place: Place, len: u32, global: bool, name: &'a [u8] },
    Thunk { place: Place, len: u32, name: &'a [u8] },
    Part { place: Place, len: u32, of: Place },
    Public { place: Place, function: bool, name: &'a [u8] },
    Compile { hot_patch: bool, producer: &'a [u8] },
    ObjectName(&'a [u8]),
}

/// A section by number, and an offset in it. In an object both are zero until relocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) section: u16,
    pub(super) offset: u32,
    /// Where in the records the offset stands: what a relocation of an object refers to.
    pub(super) field: usize,
}

/// The records in `data`, which begin at `start`; the rest is left out when one cannot be read.
pub(super) fn records(data: &[u8], start: usize) -> impl Iterator<Item = Record<'_>> {
    let mut at = start;
    std::iter::from_fn(move || {
        loop {
            let rest = data.get(at..)?;
            let len = usize::from(half(rest, 0)?);
            let body = rest.get(4..len.checked_add(2)?).filter(|_| len >= 2)?;
            let (kind, body_at) = (half(rest, 2)?, at + 4);
            at += len + 2;
            if let Some(record) = record(kind, body, body_at) {
                return Some(record);
            }
        }
    })
}

fn record(kind: u16, body: &[u8], at: usize) -> Option<Record<'_>> {
    let place = |offset: usize, section: usize| {
        Some(Place { section: half(body, section)?, offset: word(body, offset)?, field: at + offset })
    };
    let text = |from: usize| body.get(from..)?.split(|byte| *byte == 0).next();
    Some(match kind {
        S_LPROC32 | S_GPROC32 | S_LPROC32_ID | S_GPROC32_ID | S_LPROC32_DPC | S_LPROC32_DPC_ID => {
            let global = matches!(kind, S_GPROC32 | S_GPROC32_ID);
            Record::Procedure { place: place(28, 32)?, len: word(body, 12)?, global, name: text(35)? }
        }
        S_THUNK32 => Record::Thunk { place: place(12, 16)?, len: u32::from(half(body, 18)?), name: text(21)? },
        S_SEPCODE => Record::Part { place: place(16, 24)?, len: word(body, 8)?, of: place(20, 26)? },
        S_PUB32 => {
            // Bit 0 says code, bit 1 a function.
            Record::Public { place: place(4, 8)?, function: word(body, 0)? & 3 != 0, name: text(10)? }
        }
        S_COMPILE3 => Record::Compile { hot_patch: word(body, 0)? & HOT_PATCH != 0, producer: text(22)? },
        S_COMPILE2 => Record::Compile { hot_patch: word(body, 0)? & HOT_PATCH != 0, producer: text(18)? },
        S_OBJNAME => Record::ObjectName(text(4)?),
        _ => return None,
    })
}

/// What an object says of itself. One without records says nothing, and gets no pads.
pub(super) fn read_object(file: &File<'_>, image: &mut Image<'_>, found: &mut Found) {
    if image.kind != Kind::Object || image.format != Format::Pe {
        return;
    }
    let mut module = Module {
        name: String::new(),
        library: String::new(),
        producer: String::new(),
        hot_patch: Some(false),
        origin: None,
        functions: 0,
    };
    for section in file.sections().filter(|section| section.name() == Ok(".debug$S")) {
        let data = section.data().unwrap_or_default();
        // Relocations by the field that they fill: the symbol, and what is added.
        let mut links: Vec<_> = section.relocations().take(data.len()).collect();
        links.sort_unstable_by_key(|(offset, _)| *offset);
        let target = |field: usize| {
            let at = links.partition_point(|(offset, _)| *offset < field as u64);
            let (_, relocation) = links.get(at).filter(|(offset, _)| *offset == field as u64)?;
            let RelocationTarget::Symbol(index) = relocation.target() else { return None };
            let symbol = file.symbol_by_index(index).ok()?;
            let base = image.section_by_index(symbol.section_index()?.0)?.address;
            Some(base.wrapping_add(symbol.address()))
        };
        for (start, symbols) in subsections(data) {
            for record in records(&data[..start + symbols], start) {
                match record {
                    Record::Compile { hot_patch, producer } => {
                        module.hot_patch = Some(module.hot_patch == Some(true) || hot_patch);
                        module.producer = text(producer);
                    }
                    Record::ObjectName(name) => module.name = text(name),
                    Record::Procedure { place, len, name, .. } => {
                        // The field holds what is added to the symbol.
                        let address = target(place.field).map(|at| at.wrapping_add(u64::from(place.offset)));
                        // Unlike a linked image's, an object's symbol table is whole: a procedure that begins behind its
                        // symbol, because room was made before it, is the symbol's.
                        if let Some(address) = address {
                            let named = found.functions.contains_key(&address);
                            let at = found.note_range(image, address, u64::from(len), Source::CodeView);
                            if at.is_some() && named {
                                found.name(address, Source::CodeView, name);
                            }
                        }
                    }
                    _ => {}
                }
            }
        }
    }
    image.modules.push(module);
    for function in found.functions.values_mut() {
        function.module = Some(0);
    }
}

/// Where the subsections with symbols begin, and how long they are.
fn subsections(data: &[u8]) -> Vec<(usize, usize)> {
    let mut at = SIGNATURE_C13.len();
    let mut found = Vec::new();
    if !data.starts_with(&SIGNATURE_C13) {
        return found;
    }
    while let Some((kind, len)) = data.get(at..).and_then(|rest| word(rest, 0).zip(word(rest, 4))) {
        let start = at + 8;
        let Some(len) = usize::try_from(len).ok().filter(|len| *len <= data.len().saturating_sub(start)) else { break };
        if kind == DEBUG_S_SYMBOLS {
            found.push((start, len));
        }
        at = (start + len).next_multiple_of(4);
    }
    found
}

/// Notes what the records of a module of a linked image say; `module` is its number.
pub(super) fn note_module(data: &[u8], module: usize, image: &mut Image<'_>, found: &mut Found) {
    let address = |image: &Image<'_>, place: Place| {
        Some(image.section_by_index(usize::from(place.section))?.address.wrapping_add(u64::from(place.offset)))
    };
    // Behind the signature.
    for record in records(data, 4) {
        match record {
            Record::Compile { hot_patch, producer } => {
                if let Some(module) = image.modules.get_mut(module) {
                    module.hot_patch = Some(module.hot_patch == Some(true) || hot_patch);
                    module.producer = text(producer);
                }
            }
            Record::Procedure { place, len, name, .. } | Record::Thunk { place, len, name } => {
                let thunk = matches!(record, Record::Thunk { .. });
                let Some(at) = address(image, place) else { continue };
                if let Some(function) = found.note(image, at, u64::from(len), Source::CodeView) {
                    function.module = Some(module);
                    function.thunk |= thunk;
                    found.name(at, Source::CodeView, name);
                }
            }
            Record::Part { place, len, of } => {
                let (Some(at), of) = (address(image, place), address(image, of)) else { continue };
                if let Some(function) = found.note(image, at, u64::from(len), Source::CodeView) {
                    function.module = Some(module);
                    function.part = true;
                    function.parent = of.map(Address);
                }
            }
            _ => {}
        }
    }
}

/// Notes public symbols that are functions.
pub(super) fn note_publics(data: &[u8], image: &Image<'_>, found: &mut Found) {
    for record in records(data, 0) {
        let Record::Public { place, function, name } = record else { continue };
        let Some(section) = image.section_by_index(usize::from(place.section)) else { continue };
        let at = section.address.wrapping_add(u64::from(place.offset));
        // Assemblers do not always say that their functions are some.
        let noted = if function {
            found.note(image, at, 0, Source::Publics)
        } else {
            found.note_range(image, at, 0, Source::Publics)
        };
        if noted.is_some_and(|function| function.address == Address(at)) {
            found.name(at, Source::Publics, name);
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(super) fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_le_bytes(*bytes))
}

pub(super) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}
