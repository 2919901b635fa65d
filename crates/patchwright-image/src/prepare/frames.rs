//! Unwind data for the new first instructions of functions: `.eh_frame` gets an FDE for each.
//!
//! The FDE of the function goes on describing the old code alone, so that its instructions, and the tables of exceptions
//! that count from its start, stay as they are. At the island the stack is as the caller left it, which is what the CIE
//! says, so that the new FDE has no instructions of its own.

use std::collections::BTreeMap;

use super::bytes::{put, range, round_up, u32_at};
use super::edit::{Edits, Use};
use super::model::{Model, Reloc, Role};
use super::targets::Targets;
use crate::image::Machine;

/// A frame description of the old object.
#[derive(Clone, Copy, Debug)]
struct Fde {
    /// Where its CIE begins.
    cie: u64,
    /// The relocation that says where its code begins.
    reloc: Reloc,
    /// Bytes of the field for that.
    width: u8,
    /// Whether a length of augmentation data follows the range, and how many bytes.
    augmentation: Option<u64>,
    section: usize,
    target: u64,
}

/// Adds the descriptions of islands to the new object.
pub(crate) fn add(old: &Model<'_>, targets: &Targets, edits: &[Edits], new: &mut Model<'_>) {
    for index in 0..old.sections.len() {
        let section = &old.sections[index];
        if section.name == b".eh_frame" && section.role == Role::Frames && !section.packed {
            let fdes = read(old, targets, index).unwrap_or_default();
            append(old, edits, new, index, &fdes);
        }
    }
}

fn append(old: &Model<'_>, edits: &[Edits], new: &mut Model<'_>, index: usize, fdes: &[Fde]) {
    let word = if old.machine == Machine::X86 { 4 } else { 8 };
    for fde in fdes {
        let Some((map, insert)) = edits.get(fde.section).and_then(|map| Some((map, map.at(fde.target)?))) else {
            continue;
        };
        if insert.island.is_empty() {
            continue;
        }
        let Some(symbol) = new.symbols.get(fde.reloc.symbol) else { continue };
        let section = &mut new.sections[index];
        let start = section.data.len() as u64;
        let Some(back) = (start + 4).checked_sub(fde.cie).and_then(|back| u32::try_from(back).ok()) else { continue };
        let mut body = back.to_le_bytes().to_vec();
        body.resize(4 + 2 * usize::from(fde.width), 0);
        let _: bool = put(&mut body, 4 + u64::from(fde.width), fde.width, insert.island.len() as u64);
        if let Some(len) = fde.augmentation {
            // One byte of length, as long as it is short, and no language-specific data.
            body.push(u8::try_from(len).unwrap_or(0));
            body.resize(body.len() + usize::try_from(len).unwrap_or(0), 0);
        }
        let len = round_up(body.len() as u64 + 4, word) - 4;
        body.resize(usize::try_from(len).unwrap_or(body.len()), 0);
        let entry = map.map(fde.target, Use::Entry);
        let mut reloc = fde.reloc;
        reloc.offset = start + 8;
        let old_entry = old.symbols.get(fde.reloc.symbol).map_or(0, |symbol| fde.target.wrapping_sub(symbol.value));
        // Whatever the addend holds beside the target stays in it.
        let rest = fde.reloc.addend.wrapping_sub(old_entry.cast_signed());
        reloc.addend = entry.wrapping_sub(symbol.value).cast_signed().wrapping_add(rest);
        if reloc.in_place {
            let _: bool = put(&mut body, 4, fde.width, reloc.addend.cast_unsigned());
        }
        let data = section.data.to_mut();
        data.extend_from_slice(&u32::try_from(len).unwrap_or(0).to_le_bytes());
        data.extend_from_slice(&body);
        section.relocs.push(reloc);
    }
}

/// The descriptions in a section, as far as it can be read; `None` where it ends with a terminator.
fn read(model: &Model<'_>, targets: &Targets, index: usize) -> Option<Vec<Fde>> {
    let section = &model.sections[index];
    let data = &*section.data;
    let relocs: BTreeMap<u64, Reloc> = section.relocs.iter().map(|reloc| (reloc.offset, *reloc)).collect();
    let mut cies: BTreeMap<u64, Cie> = BTreeMap::new();
    let mut found = Vec::new();
    let mut at = 0;
    while at + 4 <= data.len() as u64 {
        let len = u32_at(data, at)?;
        if len == 0 || len == u32::MAX {
            // What follows a terminator is not read by anybody; 64-bit lengths are made by nobody.
            return None;
        }
        let end = at + 4 + u64::from(len);
        let id = u32_at(data, at + 4)?;
        if id == 0 {
            cies.insert(at, Cie::read(range(data, at, end - at)?, model)?);
        } else if let Some(start) = (at + 4).checked_sub(u64::from(id))
            && let Some(cie) = cies.get(&start)
            && let Some(reloc) = relocs.get(&(at + 8))
            && let Some((section, target)) = targets.of(model, index, reloc)
            && let Ok(target) = u64::try_from(target)
        {
            let augmentation = match cie.augmented {
                true => Some(u64::from(*data.get(usize::try_from(at + 8 + 2 * u64::from(cie.width)).ok()?)?)),
                false => None,
            };
            if augmentation.is_none_or(|len| len < 0x80) {
                found.push(Fde { cie: start, reloc: *reloc, width: cie.width, augmentation, section, target });
            }
        }
        at = end;
    }
    Some(found)
}

/// What of a CIE decides the shape of its FDEs.
#[derive(Clone, Copy, Debug)]
struct Cie {
    /// Bytes of an address.
    width: u8,
    /// Whether FDEs have augmentation data.
    augmented: bool,
}

impl Cie {
    fn read(data: &[u8], model: &Model<'_>) -> Option<Self> {
        let text = data.get(9..)?;
        let end = text.iter().position(|byte| *byte == 0)?;
        let (augmentation, rest) = text.split_at(end);
        let mut rest = rest.get(1..)?;
        // Code factor, data factor, return register.
        for _ in 0..3 {
            let last = rest.iter().position(|byte| byte & 0x80 == 0)?;
            rest = rest.get(last + 1..)?;
        }
        let word = if model.machine == Machine::X86 { 4 } else { 8 };
        let Some(kinds) = augmentation.strip_prefix(b"z") else {
            return augmentation.is_empty().then_some(Self { width: word, augmented: false });
        };
        // The length of the augmentation data is one byte in practice.
        let mut rest = rest.get(1..)?;
        let mut width = word;
        for kind in kinds {
            let size = |encoding: u8| match encoding & 15 {
                0 => Some(word),
                3 | 11 => Some(4),
                4 | 12 => Some(8),
                _ => None,
            };
            match kind {
                b'R' => {
                    width = size(*rest.first()?)?;
                    rest = rest.get(1..)?;
                }
                b'L' => rest = rest.get(1..)?,
                b'P' => {
                    let len = size(*rest.first()?)?;
                    rest = rest.get(1 + usize::from(len)..)?;
                }
                // Signal frames, and keys of ARM64: no data.
                b'S' | b'B' | b'G' => {}
                _ => return None,
            }
        }
        Some(Self { width, augmented: true })
    }
}
