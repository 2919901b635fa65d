//! Absolute addresses: by the relocations of the image, or by what looks like an address.

use super::Work;
use super::hints::{NO_CODE, NO_POINTER, STRUCTURE};
use crate::pa19::pe32::{MACHINE_X86, Mapped, directory, put_u16, reloc};

/// What to do with an image that has no relocations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Without {
    /// Everything from the first section on that could be an address is one.
    Scan,
    /// Everything behind the headers that could be an address, and is not known to be something else, is one.
    Infer,
}

pub(super) fn transform(work: &mut Work<'_>, without: Without) {
    match usable(work) {
        Some(table) => by_table(work, table),
        None if work.pe.machine == MACHINE_X86 => by_value(work, without),
        None => {}
    }
}

fn usable(work: &Work<'_>) -> Option<Mapped> {
    work.directory(directory::BASERELOC)
}

fn by_value(work: &mut Work<'_>, without: Without) {
    let base = work.pe.image_base(work.image);
    let Some(first) = work.pe.sections.first() else { return };
    let (mut at, lowest) = match without {
        Without::Scan => (first.raw_offset as usize, base.wrapping_add(first.rva)),
        Without::Infer => (work.pe.size_of_headers as usize, base),
    };
    let limit = base.wrapping_add(work.pe.size_of_image);
    let end = work.image.len().saturating_sub(4);
    while at < end {
        let value = work.u32_at(at).expect("four bytes are left");
        let free = without == Without::Scan || work.hints.clear(at, 4, NO_POINTER);
        if (lowest..limit).contains(&value) && free {
            work.hints.add(at, 4, NO_CODE);
            work.put_u32(at, base.wrapping_add(work.rift.map(value.wrapping_sub(base))));
            at += 4;
        } else {
            at += 1;
        }
    }
}

fn by_table(work: &mut Work<'_>, table: Mapped) {
    let base = work.pe.image_base(work.image);
    work.hints.set(table.start, table.end - table.start, STRUCTURE);
    // What normalisation refuses is refused before; a table that it did not look at is taken as far as it goes.
    let Ok(fixups) = reloc::fixups(work.image, table) else { return };
    let mut moved = Vec::with_capacity(fixups.len());
    for fixup in fixups {
        if let Some(at) = work.pe.offset(fixup.rva) {
            match fixup.kind {
                reloc::HIGH | reloc::LOW | reloc::HIGHADJ => work.hints.add(at, 2, NO_CODE),
                reloc::HIGHLOW if at < work.image.len().saturating_sub(4) => {
                    work.hints.add(at, 4, NO_CODE);
                    let value = work.u32_at(at).expect("four bytes are left");
                    work.put_u32(at, base.wrapping_add(work.rift.map(value.wrapping_sub(base))));
                }
                _ => {}
            }
        }
        moved.push((work.rift.map(fixup.rva), fixup.kind));
    }
    moved.sort_by_key(|(rva, _)| *rva);
    rebuild(work, table, &moved);
}

/// Writes the moved fixups over the table, as far as there is room.
fn rebuild(work: &mut Work<'_>, table: Mapped, moved: &[(u32, u8)]) {
    let section = work
        .pe
        .sections
        .iter()
        .find(|section| section.name == *b".reloc\0\0" && section.raw(work.image.len()).contains(&table.start));
    let end = section.map_or(table.end, |section| section.raw(work.image.len()).end);
    let mut budget = (end - table.start) & !1;
    let mut at = table.start;
    let mut rest = moved;
    while budget > 8
        && let Some((first, _)) = rest.first()
    {
        let page = first & !0xFFF;
        let block = at;
        work.put_u32(block, page);
        at += 8;
        budget -= 8;
        while let Some(((rva, kind), after)) = rest.split_first()
            && rva & !0xFFF == page
            && budget > 0
        {
            let entry = u16::from(*kind) << 12 | u16::try_from(rva & 0xFFF).expect("twelve bits");
            put_u16(work.image, at, entry);
            (at, budget, rest) = (at + 2, budget - 2, after);
        }
        if at & 2 != 0 && budget > 0 {
            put_u16(work.image, at, 0);
            (at, budget) = (at + 2, budget - 2);
        }
        work.put_u32(block + 4, u32::try_from(at - block).expect("within the image"));
    }
}
