//! Lists of ranges and of locations.
//!
//! They are followed from the entries that name them, for GCC keeps other things between lists.

use super::{Cursor, Place, Work};

/// What lists are read with: things that their unit says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unit {
    pub(super) version: u16,
    /// What distances count from at first.
    pub(super) base: Option<Place>,
    pub(super) addr_base: Option<u64>,
    pub(super) rnglists_base: Option<u64>,
    pub(super) loclists_base: Option<u64>,
}

/// What a list holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Ranges,
    Locations,
}

/// The list at an offset that an entry names.
pub(super) fn at_offset(work: &mut Work<'_, '_>, unit: &Unit, sort: Sort, offset: u64) -> Option<()> {
    let name: &[u8] = match (sort, unit.version >= 5) {
        (Sort::Ranges, true) => b".debug_rnglists",
        (Sort::Ranges, false) => b".debug_ranges",
        (Sort::Locations, true) => b".debug_loclists",
        (Sort::Locations, false) => b".debug_loc",
    };
    let section = *work.by_name.get(name)?;
    if unit.version >= 5 {
        new_list(work, unit, sort, section, offset)
    } else {
        old_list(work, unit, sort, section, offset)
    }
}

/// The list that an entry names by its number.
pub(super) fn at_index(work: &mut Work<'_, '_>, unit: &Unit, sort: Sort, index: u64) -> Option<()> {
    let (name, base): (&[u8], _) = match sort {
        Sort::Ranges => (b".debug_rnglists", unit.rnglists_base?),
        Sort::Locations => (b".debug_loclists", unit.loclists_base?),
    };
    let section = *work.by_name.get(name)?;
    let mut cursor = Cursor { data: work.data(section), at: base.checked_add(index.checked_mul(4)?)? };
    let offset = base.checked_add(cursor.fixed(4)?)?;
    new_list(work, unit, sort, section, offset)
}

/// A list of DWARF 5: a byte says what each entry is.
fn new_list(work: &mut Work<'_, '_>, unit: &Unit, sort: Sort, section: usize, offset: u64) -> Option<()> {
    let word = work.word();
    let mut base = unit.base;
    let mut cursor = Cursor { data: work.data(section), at: offset };
    while work.seen.insert((section, cursor.at)) {
        let kind = cursor.fixed(1)?;
        // The numbers of both sorts agree up to here.
        let kind = match (sort, kind) {
            (Sort::Ranges, 5..=7) => kind + 1,
            _ => kind,
        };
        match kind {
            0 => return Some(()),
            // Base by its number.
            1 => base = Some(work.address(unit.addr_base, cursor.uleb()?)?),
            // Start and end by number: the end has no relocation of its own to tell it by.
            2 => {
                cursor.uleb()?;
                let index = cursor.uleb()?;
                let end = work.address(unit.addr_base, index)?;
                (work.start(end) == work.end(end)).then_some(())?;
            }
            3 => {
                let index = cursor.uleb()?;
                let start = work.address(unit.addr_base, index);
                length(work, section, start, &mut cursor)?;
            }
            4 => pair(work, section, base, &mut cursor)?,
            5 => {}
            6 => {
                base = work.place(section, cursor.at);
                cursor.skip(u64::from(word))?;
            }
            7 => {
                let start = cursor.at;
                cursor.skip(u64::from(word))?;
                work.note_end(section, start, cursor.at);
                cursor.skip(u64::from(word))?;
            }
            8 => {
                let start = work.place(section, cursor.at);
                cursor.skip(u64::from(word))?;
                length(work, section, start, &mut cursor)?;
            }
            // A pair of views.
            9 if sort == Sort::Locations => {
                cursor.uleb()?;
                cursor.uleb()?;
            }
            _ => return None,
        }
        if sort == Sort::Locations && matches!(kind, 2..=5 | 7 | 8) {
            let len = cursor.uleb()?;
            cursor.skip(len)?;
        }
    }
    Some(())
}

/// A length after its start.
fn length(work: &mut Work<'_, '_>, section: usize, start: Option<Place>, cursor: &mut Cursor<'_>) -> Option<()> {
    let at = cursor.at;
    let len = cursor.uleb()?;
    match start {
        Some(start) => work.set_uleb(section, at, work.len(start, len)?),
        None => Some(()),
    }
}

/// Start and end as distances from a base.
fn pair(work: &mut Work<'_, '_>, section: usize, base: Option<Place>, cursor: &mut Cursor<'_>) -> Option<()> {
    let start_at = cursor.at;
    let start = cursor.uleb()?;
    let end_at = cursor.at;
    let end = cursor.uleb()?;
    let Some(base) = base else { return Some(()) };
    let from = work.start(base);
    let new_start = work.start((base.0, base.1.checked_add(start)?)).checked_sub(from)?;
    let new_end = work.end((base.0, base.1.checked_add(end)?)).checked_sub(from);
    // An empty range stays empty.
    let new_end = if start == end { new_start } else { new_end? };
    work.set_uleb(section, start_at, new_start)?;
    work.set_uleb(section, end_at, new_end)
}

/// A list of DWARF 4: pairs of addresses, or of distances where there are no relocations.
fn old_list(work: &mut Work<'_, '_>, unit: &Unit, sort: Sort, section: usize, offset: u64) -> Option<()> {
    let word = work.word();
    let largest = if word == 4 { u64::from(u32::MAX) } else { u64::MAX };
    let mut base = unit.base;
    let mut cursor = Cursor { data: work.data(section), at: offset };
    while work.seen.insert((section, cursor.at)) {
        let [start_at, end_at] = [cursor.at, cursor.at + u64::from(word)];
        let (start, end) = (cursor.fixed(word)?, cursor.fixed(word)?);
        let [has_start, has_end] = [start_at, end_at].map(|at| work.relocs.contains_key(&(section, at)));
        if start == largest && !has_start {
            base = work.place(section, end_at);
            continue;
        }
        if start == 0 && end == 0 && !has_start && !has_end {
            return Some(());
        }
        if has_end {
            work.note_end(section, start_at, end_at);
        } else if let Some(base) = base.filter(|_| !has_start) {
            let from = work.start(base);
            let new_start = work.start((base.0, base.1.checked_add(start)?)).checked_sub(from)?;
            let new_end = work.end((base.0, base.1.checked_add(end)?)).checked_sub(from);
            let new_end = if start == end { new_start } else { new_end? };
            work.set(section, start_at, word, new_start)?;
            work.set(section, end_at, word, new_end)?;
        }
        if sort == Sort::Locations {
            let len = cursor.fixed(2)?;
            cursor.skip(len)?;
        }
    }
    Some(())
}

/// The lengths and tables of offsets at the head of lists that have grown.
pub(super) fn headers(work: &mut Work<'_, '_>) -> Option<()> {
    for name in [&b".debug_rnglists"[..], b".debug_loclists"] {
        let Some(&section) = work.by_name.get(name) else { continue };
        let Some(inserts) = work.out.inserts.get(&section) else { continue };
        let map = super::Edits::new(inserts.clone());
        let moved = |offset| map.map(offset, super::Use::Body);
        let data = work.data(section);
        let mut at = 0;
        while at < data.len() as u64 {
            let mut cursor = Cursor { data, at };
            let len = cursor.fixed(4).filter(|len| *len < 0xffff_fff0)?;
            let end = cursor.at.checked_add(len).filter(|end| *end <= data.len() as u64)?;
            work.set(section, at, 4, moved(end).checked_sub(moved(at))?.checked_sub(4)?)?;
            // Version, sizes of addresses and of segments.
            cursor.skip(4)?;
            let number = cursor.fixed(4)?;
            let base = cursor.at;
            for index in 0..number {
                let entry = base + index * 4;
                let offset = Cursor { data, at: entry }.fixed(4)?;
                let new = moved(base.checked_add(offset)?).checked_sub(moved(base))?;
                work.set(section, entry, 4, new)?;
            }
            at = end;
        }
    }
    Some(())
}

/// `.debug_aranges`: address and length of all code of a unit.
pub(super) fn aranges(work: &mut Work<'_, '_>, section: usize) -> Option<()> {
    let data = work.data(section);
    let word = work.word();
    let mut at = 0;
    while at < data.len() as u64 {
        let mut cursor = Cursor { data, at };
        let len = cursor.fixed(4).filter(|len| *len < 0xffff_fff0)?;
        let end = cursor.at.checked_add(len).filter(|end| *end <= data.len() as u64)?;
        // Version, the unit, sizes of addresses and of segments; then to a multiple of the size of an entry.
        cursor.skip(8)?;
        let entry = 2 * u64::from(word);
        cursor.at = at + (cursor.at - at).next_multiple_of(entry);
        while cursor.at + entry <= end {
            if let Some(start) = work.place(section, cursor.at) {
                let len_at = cursor.at + u64::from(word);
                let len = Cursor { data, at: len_at }.fixed(word)?;
                work.set(section, len_at, word, work.len(start, len)?)?;
            }
            cursor.at += entry;
        }
        at = end;
    }
    Some(())
}
