//! Debug data: every length and distance in them that reaches across new bytes is counted anew.
//!
//! A function that has got an island begins there for debuggers too: only then do they step into it, and stop in it once
//! when asked to break on its name. So the start of a range is the island, its end is before the pad of what follows, and
//! the row of the line table for the first line begins at the island.
//!
//! - `info`: lengths of entries, and where the lists of a unit are;
//! - `lists`: ranges and locations, of DWARF 4 and 5; `line`: the line tables.
//!
//! All or nothing: where one table cannot be counted anew, all of them go on describing the old code alone, and functions
//! that share a section cannot be moved apart.

mod info;
mod line;
mod lists;

use std::collections::{BTreeMap, BTreeSet};

use super::bytes::{put, unsigned_at};
use super::edit::{Edits, Insert, Use};
use super::lsda::{put_uleb, uleb};
use super::model::{Model, Reloc};
use super::targets::Targets;
use crate::image::Machine;

/// A place in code: section and offset.
type Place = (usize, u64);

/// What becomes of debug data.
#[derive(Debug, Default)]
pub(crate) struct DebugEdits {
    /// Bytes that numbers grow by, by section.
    pub(crate) inserts: BTreeMap<usize, Vec<Insert>>,
    /// Bytes that take the place of others, by section and old offset.
    pub(crate) overwrites: BTreeMap<usize, BTreeMap<u64, Vec<u8>>>,
    /// Relocations that mean the end of a range.
    pub(crate) ends: BTreeSet<(usize, u64)>,
}

/// Counts all debug data anew; `None` where that is not possible.
pub(crate) fn edit(model: &Model<'_>, targets: &Targets, edits: &[Edits]) -> Option<DebugEdits> {
    let mut work = Work::new(model, targets, edits);
    for index in 0..model.sections.len() {
        let section = &model.sections[index];
        if section.packed && section.name.starts_with(b".debug") || section.name.starts_with(b".zdebug") {
            return None;
        }
        match section.name {
            b".debug_info" => info::edit(&mut work, index)?,
            b".debug_line" => line::edit(&mut work, index)?,
            b".debug_aranges" => lists::aranges(&mut work, index)?,
            _ => {}
        }
    }
    lists::headers(&mut work)?;
    Some(work.out)
}

/// Whether a table says where functions begin, so that its relocations to an old entry mean the new one.
pub(crate) fn is_about_functions(name: &[u8]) -> bool {
    const TABLES: [&[u8]; 9] = [
        b".debug_info",
        b".debug_line",
        b".debug_aranges",
        b".debug_addr",
        b".debug_ranges",
        b".debug_rnglists",
        b".debug_loc",
        b".debug_loclists",
        b".debug_types",
    ];
    TABLES.contains(&name)
}

/// Everything that is looked at, and what has been found to change.
struct Work<'a, 'data> {
    model: &'a Model<'data>,
    targets: &'a Targets,
    edits: &'a [Edits],
    relocs: BTreeMap<(usize, u64), &'a Reloc>,
    by_name: BTreeMap<&'a [u8], usize>,
    /// Entries of lists that have been seen.
    seen: BTreeSet<(usize, u64)>,
    out: DebugEdits,
}

impl<'a, 'data> Work<'a, 'data> {
    fn new(model: &'a Model<'data>, targets: &'a Targets, edits: &'a [Edits]) -> Self {
        let mut relocs = BTreeMap::new();
        let mut by_name = BTreeMap::new();
        for (index, section) in model.sections.iter().enumerate() {
            if section.name.starts_with(b".debug") {
                by_name.entry(section.name).or_insert(index);
                relocs.extend(section.relocs.iter().map(|reloc| ((index, reloc.offset), reloc)));
            }
        }
        Self { model, targets, edits, relocs, by_name, seen: BTreeSet::new(), out: DebugEdits::default() }
    }

    fn data(&self, section: usize) -> &'a [u8] {
        self.model.sections.get(section).map(|section| &*section.data).unwrap_or_default()
    }

    fn word(&self) -> u8 {
        if self.model.machine == Machine::X86 { 4 } else { 8 }
    }

    /// The place in code that the relocation of a field means.
    fn place(&self, section: usize, at: u64) -> Option<Place> {
        let (code, offset) = self.targets.of(self.model, section, self.relocs.get(&(section, at))?)?;
        Some((code, u64::try_from(offset).ok()?))
    }

    /// The place of an entry of `.debug_addr`.
    fn address(&self, base: Option<u64>, index: u64) -> Option<Place> {
        let section = *self.by_name.get(&b".debug_addr"[..])?;
        self.place(section, base?.checked_add(index.checked_mul(u64::from(self.word()))?)?)
    }

    fn start(&self, (section, offset): Place) -> u64 {
        self.edits.get(section).map_or(offset, |edits| edits.map(offset, Use::Entry))
    }

    fn end(&self, (section, offset): Place) -> u64 {
        self.edits.get(section).map_or(offset, |edits| edits.map(offset, Use::End))
    }

    /// The new length of a range.
    fn len(&self, (section, start): Place, len: u64) -> Option<u64> {
        let end = self.end((section, start.checked_add(len)?));
        if len == 0 { Some(0) } else { end.checked_sub(self.start((section, start))) }
    }

    /// Remembers that an address is the end of a range, unless the range is empty and is to stay so.
    fn note_end(&mut self, section: usize, start_at: u64, end_at: u64) {
        if self.place(section, start_at) != self.place(section, end_at) {
            self.out.ends.insert((section, end_at));
        }
    }

    fn overwrite(&mut self, section: usize, at: u64, bytes: Vec<u8>) {
        self.out.overwrites.entry(section).or_default().insert(at, bytes);
    }

    /// Writes a number of fixed width.
    fn set(&mut self, section: usize, at: u64, width: u8, value: u64) -> Option<()> {
        if unsigned_at(self.data(section), at, width)? == value {
            return Some(());
        }
        let mut bytes = vec![0; usize::from(width)];
        (width >= 8 || value >> (8 * u32::from(width)) == 0).then_some(())?;
        put(&mut bytes, 0, width, value).then_some(())?;
        self.overwrite(section, at, bytes);
        Some(())
    }

    /// Writes a number in LEB128, which may become longer.
    fn set_uleb(&mut self, section: usize, at: u64, value: u64) -> Option<()> {
        let (old, len) = uleb(self.data(section), usize::try_from(at).ok()?)?;
        if old == value {
            return Some(());
        }
        let mut bytes = vec![0; len];
        if put_uleb(&mut bytes, 0, len, value) {
            self.overwrite(section, at, bytes);
            return Some(());
        }
        let bytes = to_uleb(value);
        let (first, more) = bytes.split_at_checked(len)?;
        self.overwrite(section, at, first.to_vec());
        self.insert(section, at + len as u64, more.to_vec());
        Some(())
    }

    fn insert(&mut self, section: usize, at: u64, bytes: Vec<u8>) {
        self.out.inserts.entry(section).or_default().push(Insert { at, pad: bytes, island: Vec::new() });
    }
}

fn to_uleb(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or(0);
        value >>= 7;
        bytes.push(if value == 0 { low } else { low | 0x80 });
        if value == 0 {
            return bytes;
        }
    }
}

/// A position in a section that is read from its start on.
#[derive(Clone, Copy)]
struct Cursor<'a> {
    data: &'a [u8],
    at: u64,
}

impl Cursor<'_> {
    fn fixed(&mut self, width: u8) -> Option<u64> {
        let value = unsigned_at(self.data, self.at, width)?;
        self.at += u64::from(width);
        Some(value)
    }

    fn uleb(&mut self) -> Option<u64> {
        let (value, len) = uleb(self.data, usize::try_from(self.at).ok()?)?;
        self.at += len as u64;
        Some(value)
    }

    fn skip(&mut self, len: u64) -> Option<()> {
        self.at = self.at.checked_add(len).filter(|at| *at <= self.data.len() as u64)?;
        Some(())
    }
}
