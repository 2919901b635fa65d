//! Unwind data for the new first instructions of functions, in `.eh_frame`.
//!
//! At the island the stack is as the caller left it, which is what the CIE says. So the FDE of the function comes to begin
//! at the island, and its first advance becomes longer by as much. The table of exceptions that counts from there is
//! counted anew. Where a number has no room to grow, the FDE goes on describing the old code alone, and the island gets
//! one of its own, without instructions.

use std::collections::{BTreeMap, BTreeSet};

use super::bytes::{array, put, range, round_up, u32_at, unsigned_at};
use super::edit::{Edits, Use};
use super::lsda::{count_from_earlier, uleb};
use super::model::{Model, Reloc};
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
    /// What an advance is counted in.
    unit: u64,
    /// Its end.
    end: u64,
    /// Where its table of exceptions is, if it has one.
    lsda: Option<(usize, u64)>,
    section: usize,
    target: u64,
}

/// What has become of the descriptions of functions with islands.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    /// Fields that mean the entry now: section and offset.
    pub(crate) extended: BTreeSet<(usize, u64)>,
    /// What needs a description of its own.
    rest: Vec<(usize, Fde)>,
}

/// Lets descriptions begin at islands, where that can be done in place.
pub(crate) fn extend(old: &Model<'_>, targets: &Targets, edits: &[Edits], new: &mut Model<'_>) -> Frames {
    let mut frames = Frames::default();
    for index in 0..old.sections.len() {
        let section = &old.sections[index];
        if section.name != b".eh_frame" || section.packed {
            continue;
        }
        let fdes = read(old, targets, index).unwrap_or_default();
        let mut users: BTreeMap<(usize, u64), usize> = BTreeMap::new();
        for lsda in fdes.iter().filter_map(|fde| fde.lsda) {
            *users.entry(lsda).or_default() += 1;
        }
        for fde in fdes {
            let island =
                edits.get(fde.section).and_then(|map| map.at(fde.target)).map_or(0, |at| at.island.len() as u64);
            let shared = fde.lsda.is_some_and(|lsda| users.get(&lsda) != Some(&1));
            if island == 0 {
                continue;
            }
            if !shared && fde.extend(new, index, island).is_some() {
                frames.extended.insert((index, fde.reloc.offset));
            } else {
                frames.rest.push((index, fde));
            }
        }
    }
    frames
}

impl Frames {
    /// Appends the descriptions that are missing.
    pub(crate) fn add(&self, old: &Model<'_>, edits: &[Edits], new: &mut Model<'_>) {
        for (index, fde) in &self.rest {
            append(old, edits, new, *index, std::slice::from_ref(fde));
        }
    }
}

impl Fde {
    /// Lets it begin `by` bytes earlier, its table of exceptions included.
    fn extend(&self, new: &mut Model<'_>, index: usize, by: u64) -> Option<()> {
        let section = new.sections.get_mut(index)?;
        let range_at = self.reloc.offset + u64::from(self.width);
        let range = unsigned_at(&section.data, range_at, self.width)?.checked_add(by)?;
        let skip = self.augmentation.map_or(0, |len| len + 1);
        let program = range_at + u64::from(self.width) + skip;
        let advance = first_advance(&section.data, program, self.end)?;
        let longer = advance.map(|advance| advance.longer(by / self.unit)).filter(|_| by.is_multiple_of(self.unit));
        if advance.is_some() && longer.flatten().is_none() || self.width == 4 && range > u64::from(u32::MAX) {
            return None;
        }
        if let Some((table, at)) = self.lsda {
            let table = new.sections.get_mut(table)?;
            count_from_earlier(table.data.to_mut(), at, by).then_some(())?;
        }
        let data = new.sections.get_mut(index)?.data.to_mut();
        if let Some((at, width, value)) = longer.flatten() {
            put(data, at, width, value).then_some(())?;
        }
        put(data, range_at, self.width, range).then_some(())
    }
}

/// An instruction that advances the location.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Advance {
    at: u64,
    /// Bytes of the number; 0 within the instruction.
    width: u8,
    by: u64,
}

impl Advance {
    /// Where to write what, so that it advances by so much more.
    fn longer(self, by: u64) -> Option<(u64, u8, u64)> {
        let sum = self.by.checked_add(by)?;
        match self.width {
            0 => (sum < 0x40).then_some((self.at, 1, 0x40 | sum)),
            width => (sum >> (8 * u32::from(width)) == 0).then_some((self.at + 1, width, sum)),
        }
    }
}

/// The first advance of a program; none where it never advances, `None` where it cannot be read that far.
#[allow(clippy::option_option, reason = "two ways not to find one")]
fn first_advance(data: &[u8], mut at: u64, end: u64) -> Option<Option<Advance>> {
    while at < end {
        let [op] = array(data, at)?;
        let advance = |width| Some(Some(Advance { at, width, by: unsigned_at(data, at + 1, width)? }));
        let numbers = match op {
            0x40..=0x7f => return Some(Some(Advance { at, width: 0, by: u64::from(op & 0x3f) })),
            0x02 => return advance(1),
            0x03 => return advance(2),
            0x04 => return advance(4),
            // nop, remember, restore, window save; restore of a register
            0x00 | 0x0a | 0x0b | 0x2d | 0xc0.. => 0,
            0x80..=0xbf | 0x06..=0x08 | 0x0d | 0x0e | 0x13 | 0x2e => 1,
            0x05 | 0x09 | 0x0c | 0x11 | 0x12 | 0x14 | 0x15 => 2,
            _ => return None,
        };
        at += 1;
        for _ in 0..numbers {
            at += uleb(data, usize::try_from(at).ok()?)?.1 as u64;
        }
    }
    Some(None)
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
            let lsda_at = at + 9 + 2 * u64::from(cie.width);
            let lsda = relocs.get(&lsda_at).filter(|_| cie.lsda && augmentation.is_some_and(|len| len > 0));
            let lsda = lsda.and_then(|reloc| targets.of(model, index, reloc));
            let lsda = lsda.and_then(|(section, at)| Some((section, u64::try_from(at).ok()?)));
            if augmentation.is_none_or(|len| len < 0x80) {
                found.push(Fde {
                    cie: start,
                    reloc: *reloc,
                    width: cie.width,
                    augmentation,
                    unit: cie.unit,
                    end,
                    lsda,
                    section,
                    target,
                });
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
    /// Whether those begin with the place of a table of exceptions.
    lsda: bool,
    /// What an advance is counted in.
    unit: u64,
}

impl Cie {
    fn read(data: &[u8], model: &Model<'_>) -> Option<Self> {
        let text = data.get(9..)?;
        let end = text.iter().position(|byte| *byte == 0)?;
        let (augmentation, rest) = text.split_at(end);
        let mut rest = rest.get(1..)?;
        let (unit, _) = uleb(rest, 0)?;
        let unit = unit.max(1);
        // Code factor, data factor, return register.
        for _ in 0..3 {
            let last = rest.iter().position(|byte| byte & 0x80 == 0)?;
            rest = rest.get(last + 1..)?;
        }
        let word = if model.machine == Machine::X86 { 4 } else { 8 };
        let Some(kinds) = augmentation.strip_prefix(b"z") else {
            return augmentation.is_empty().then_some(Self { width: word, augmented: false, lsda: false, unit });
        };
        // The length of the augmentation data is one byte in practice.
        let mut rest = rest.get(1..)?;
        let (mut width, mut lsda) = (word, false);
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
                b'L' => {
                    lsda = true;
                    rest = rest.get(1..)?;
                }
                b'P' => {
                    let len = size(*rest.first()?)?;
                    rest = rest.get(1 + usize::from(len)..)?;
                }
                // Signal frames, and keys of ARM64: no data.
                b'S' | b'B' | b'G' => {}
                _ => return None,
            }
        }
        Some(Self { width, augmented: true, lsda, unit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_advance_is_found_and_made_longer() {
        for (program, expect, longer) in [
            // advance_loc 1; def_cfa_offset 16
            (&[0x41, 0x0e, 16][..], Some(Some((0, 1))), Some((0, 1, 0x43))),
            (&[0x7e, 0x0e, 16], Some(Some((0, 62))), None),
            (&[0x02, 0xfd, 0x0a], Some(Some((0, 253))), Some((1, 1, 0xff))),
            (&[0x02, 0xfe, 0x0a], Some(Some((0, 254))), None),
            (&[0x0e, 0x90, 0x01, 0x86, 0x02, 0x44], Some(Some((5, 4))), Some((5, 1, 0x46))),
            (&[0, 0, 0], Some(None), None),
            (&[], Some(None), None),
            // set_loc, an expression, a cut number
            (&[0x01, 0, 0, 0, 0], None, None),
            (&[0x0f, 1, 0x30, 0x41], None, None),
            (&[0x0e, 0x80], None, None),
        ] {
            let found = first_advance(program, 0, program.len() as u64);
            assert_eq!(found.map(|found| found.map(|one| (one.at, one.by))), expect, "{program:02x?}");
            assert_eq!(found.flatten().and_then(|one| one.longer(2)), longer, "{program:02x?}");
        }
    }
}
