//! Brings every copy of an image to one form: unbound, and linked at the same time for the same base.
//!
//! Installed copies of a 32-bit image differ in their base, their bound imports and what follows from these. Patches
//! and signatures therefore speak of the normalised file. Files of any other sort only get their ranges blanked.

use super::budget::Budget;
use super::error::{Pa19Error, PatchCode};
use super::flags;
use super::header::Coff;
use super::pe32::reloc::{self, Fixup};
use super::pe32::{self, Pe32, directory, high, low, put_u16, put_u32, u16_at, u32_at};
use crate::region::ByteRange;

/// Whether normalisation found anything to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The file is as it was.
    Unmodified,
    /// The file has changed, or has blank ranges.
    Modified,
}

impl Change {
    /// What `NormalizeFileForPatchSignature` returns for it.
    pub const fn return_value(self) -> u32 {
        match self {
            Self::Unmodified => 1,
            Self::Modified => 2,
        }
    }

    fn note(&mut self, changed: bool) {
        if changed {
            *self = Self::Modified;
        }
    }
}

/// Normalises `image` in place, then zeroes the `blanks` that lie inside it.
///
/// `options` are those of a patch ([`flags`]); `coff` is what base and link time become where that is zero or not.
///
/// # Errors
/// [`PatchCode::DecodeFailure`] if the relocations of an image that is to be rebased are damaged in one of the two ways
/// in which the genuine function fails or runs on to the end of the file. The image is then as it was.
pub fn normalise(
    image: &mut [u8],
    options: u32,
    coff: Coff,
    blanks: impl IntoIterator<Item = ByteRange>,
) -> Result<Change, Pa19Error> {
    let mut change = Change::Unmodified;
    if let Some(pe) = Pe32::parse(image) {
        if options & flags::NO_REBASE == 0 {
            change.note(rebase(image, &pe, coff)?);
        }
        if options & flags::NO_BINDFIX == 0 {
            change.note(unbind(image, &pe));
        }
        if options & flags::NO_LOCKFIX == 0 {
            change.note(fix_locks(image, &pe));
        }
        let cleared = options & flags::NO_CHECKSUM != 0;
        change.note(fix_checksum(image, &pe, cleared, change));
    }
    change.note(blank(image, blanks));
    Ok(change)
}

/// Zeroes the ranges that lie inside `bytes` as a whole; whether there was one.
pub(super) fn blank(bytes: &mut [u8], ranges: impl IntoIterator<Item = ByteRange>) -> bool {
    let mut any = false;
    for range in ranges {
        if let Some(inside) = to_indices(range).and_then(|indices| bytes.get_mut(indices)) {
            inside.fill(0);
            any = true;
        }
    }
    any
}

pub(super) fn to_indices(range: ByteRange) -> Option<std::ops::Range<usize>> {
    Some(usize::try_from(range.offset).ok()?..usize::try_from(range.end()?).ok()?)
}

fn rebase(image: &mut [u8], pe: &Pe32, coff: Coff) -> Result<bool, Pa19Error> {
    let old_base = pe.image_base(image);
    let table = pe
        .mapped(image, directory::BASERELOC)
        .filter(|table| coff.base != 0 && old_base != coff.base && table.start + 8 <= image.len());
    let fixups = match table {
        Some(table) => reloc::fixups(image, table).map_err(refuse_relocations)?,
        None => Vec::new(),
    };
    let mut changed = false;
    if coff.time != 0 && u32_at(image, pe.time_at()) != Some(coff.time) {
        put_u32(image, pe.time_at(), coff.time);
        changed = true;
    }
    if table.is_some() {
        put_u32(image, pe.image_base_at(), coff.base);
        changed = true;
        let delta = coff.base.wrapping_sub(old_base);
        for fixup in fixups {
            relocate(image, pe, fixup, delta);
        }
    }
    Ok(changed)
}

/// The genuine function fails for the first fault and takes the rest of the file for relocations with the second.
fn refuse_relocations(fault: reloc::Fault) -> Pa19Error {
    let (at, what) = match fault {
        reloc::Fault::Truncated { at } => (at, "a block header reaches beyond the end of the file"),
        reloc::Fault::HalfAdjust { at } => (at, "a block ends inside a HIGHADJ entry"),
    };
    Pa19Error::new(PatchCode::DecodeFailure, "relocations", at as u64, what)
}

fn relocate(image: &mut [u8], pe: &Pe32, fixup: Fixup, delta: u32) {
    let Some(at) = pe.offset(fixup.rva) else { return };
    let word = |image: &[u8]| u16_at(image, at).map(u32::from);
    match fixup.kind {
        reloc::HIGHLOW => {
            if let Some(value) = u32_at(image, at) {
                put_u32(image, at, value.wrapping_add(delta));
            }
        }
        reloc::HIGH => {
            if let Some(value) = word(image) {
                put_u16(image, at, high((value << 16).wrapping_add(delta)));
            }
        }
        reloc::LOW => {
            if let Some(value) = word(image) {
                put_u16(image, at, low(value.wrapping_add(delta)));
            }
        }
        reloc::HIGHADJ => {
            if let Some(value) = word(image) {
                let addend = i32::from(fixup.addend.cast_signed()).cast_unsigned();
                let sum = (value << 16).wrapping_add(addend).wrapping_add(delta).wrapping_add(0x8000);
                put_u16(image, at, high(sum));
            }
        }
        _ => {}
    }
}

fn unbind(image: &mut [u8], pe: &Pe32) -> bool {
    let mut changed = false;
    if let Some(bound) = pe.mapped(image, directory::BOUND_IMPORT) {
        image[bound.start..bound.end].fill(0);
        let entry = pe.directory_at(directory::BOUND_IMPORT);
        image[entry..entry + 8].fill(0);
        changed = true;
    }
    if let Some(imports) = pe.mapped(image, directory::IMPORT) {
        changed |= unbind_imports(image, pe, imports.start);
    }
    if let Some(section) = pe.sections.iter().find(|section| is_idata(section.name))
        && section.characteristics & pe32::MEM_WRITE == 0
    {
        put_u32(image, section.characteristics_at, section.characteristics | pe32::MEM_WRITE | pe32::MEM_READ);
        changed = true;
    }
    changed
}

/// `.idata`, filled up with zeros, blanks or both.
fn is_idata(name: [u8; 8]) -> bool {
    let (start, rest) = name.split_at(6);
    start.eq_ignore_ascii_case(b".idata") && rest.iter().all(|byte| matches!(byte, 0 | b' '))
}

fn unbind_imports(image: &mut [u8], pe: &Pe32, start: usize) -> bool {
    let mut changed = false;
    let mut budget = Budget::new(image.len());
    let mut at = start;
    while at + 20 <= image.len() {
        let field = |image: &[u8], index: usize| u32_at(image, at + 4 * index).unwrap_or(0);
        let lookup = field(image, 0);
        if lookup == 0 {
            break;
        }
        if field(image, 1) != 0 {
            put_u32(image, at + 4, 0);
            changed = true;
            if let Some((from, to)) = pe.offset(lookup).zip(pe.offset(field(image, 4))) {
                copy_thunks(image, from, to, &mut budget);
            }
        }
        if field(image, 2) != 0 {
            put_u32(image, at + 8, 0);
            changed = true;
        }
        at += 20;
    }
    changed
}

/// Descriptors may share their thunks; the budget is for all of them.
fn copy_thunks(image: &mut [u8], mut from: usize, mut to: usize, budget: &mut Budget) {
    while let Some(thunk) = u32_at(image, from)
        && thunk != 0
        && to + 4 <= image.len()
        && budget.spend(4)
    {
        put_u32(image, to, thunk);
        (from, to) = (from + 4, to + 4);
    }
}

fn fix_locks(image: &mut [u8], pe: &Pe32) -> bool {
    let base = pe.image_base(image);
    let to_offset = |va: u32| pe.offset(va.checked_sub(base)?);
    let table = pe.mapped(image, directory::LOAD_CONFIG).and_then(|config| u32_at(image, config.start + 0x20));
    let Some(mut at) = table.filter(|va| *va != 0).and_then(to_offset) else { return false };
    let mut changed = false;
    while let Some(va) = u32_at(image, at)
        && va != 0
    {
        if let Some(prefix) = to_offset(va).and_then(|offset| image.get_mut(offset)) {
            changed |= *prefix != 0xF0;
            *prefix = 0xF0;
        }
        at += 4;
    }
    changed
}

fn fix_checksum(image: &mut [u8], pe: &Pe32, cleared: bool, change: Change) -> bool {
    let at = pe.checksum_at();
    if cleared {
        let was = u32_at(image, at);
        put_u32(image, at, 0);
        return was != Some(0);
    }
    if change == Change::Modified {
        put_u32(image, at, 0);
        let sum = checksum(image);
        put_u32(image, at, sum);
    }
    false
}

/// The checksum of an image whose `CheckSum` is zero: words added with the carry fed back, and the length.
fn checksum(image: &[u8]) -> u32 {
    let (words, rest) = image.as_chunks::<2>();
    let odd = rest.first().map_or(0, |byte| u32::from(*byte));
    let sum = words.iter().map(|word| u32::from(u16::from_le_bytes(*word))).chain([odd]).fold(0, |sum, word| {
        let sum = sum + word;
        (sum & 0xFFFF) + (sum >> 16)
    });
    sum.wrapping_add(u32::try_from(image.len()).unwrap_or(u32::MAX))
}
