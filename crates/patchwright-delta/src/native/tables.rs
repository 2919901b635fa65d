//! Tables that follow from the rest of an image: made anew from the old ones and the map, as further old bytes.
//!
//! | table | in | entries |
//! |---|---|---|
//! | base relocations | PE | blocks of a page's address, a length, and two-byte entries |
//! | `.pdata` | PE on x86-64 | start, end and unwind record of each function, sorted |
//! | `.eh_frame_hdr` | ELF | places of functions and their unwind records, sorted, from the start of the section |
//!
//! Whatever a linker does otherwise costs bytes and nothing else.

use super::code::{index, narrow, word_at};
use super::image::{Layout, Section};
use super::map::AddressMap;

/// More entries of a table than this are left alone: a bound on memory.
pub(super) const MAX_ENTRIES: usize = 1 << 21;

/// Tables made anew.
#[derive(Clone, Debug, Default)]
pub(super) struct Anew {
    pub(super) bytes: Vec<u8>,
    /// Where those begin that consist of words.
    pub(super) words_from: usize,
}

/// The tables that the new image would have if everything in it came from the old one, in this order.
///
/// `pairs` says which old section each new one comes from. At most as long as the old file.
pub(super) fn made_anew(
    old: &[u8],
    old_layout: &Layout,
    new_layout: &Layout,
    pairs: &[Option<usize>],
    map: &AddressMap,
) -> Anew {
    let mut made = moved_relocations(old, old_layout, map);
    let words_from = made.len();
    made.extend(moved_functions(old, old_layout, map));
    for (section, pair) in new_layout.sections.iter().zip(pairs) {
        if let Some(was) = pair.and_then(|pair| old_layout.sections.get(pair)) {
            made.extend(moved_frames(old, was, section, map));
        }
    }
    made.truncate(old.len());
    Anew { bytes: made, words_from }
}

/// Where the tables are in a file that [`made_anew`] makes: offsets and lengths.
#[cfg(feature = "create")]
pub(super) fn places(bytes: &[u8], layout: &Layout) -> Vec<(u32, u32)> {
    let frames = layout.sections.iter().filter(|section| frame_table(bytes, section).is_some());
    layout
        .relocations
        .into_iter()
        .chain(layout.functions)
        .chain(frames.map(|section| (section.offset, section.file_len)))
        .collect()
}

/// The functions of the old image, each where it went.
fn moved_functions(old: &[u8], layout: &Layout, map: &AddressMap) -> Vec<u8> {
    let table = layout.functions.and_then(|(at, len)| old.get(index(at)..index(at.checked_add(len)?)));
    let (entries, _) = table.unwrap_or_default().as_chunks::<12>();
    let mut places: Vec<[u32; 3]> = Vec::new();
    for entry in entries.iter().take(MAX_ENTRIES) {
        let [Some(start), Some(end), Some(unwind)] = [0, 4, 8].map(|at| word_at(entry, at)) else { continue };
        let (moved, covered) = map.find(start);
        if covered && start < end {
            // What follows the end may have gone elsewhere; the last byte has not.
            places.push([moved, map.find(end - 1).0.wrapping_add(1), map.find(unwind).0]);
        }
    }
    places.sort_unstable();
    places.dedup();
    places.iter().flatten().flat_map(|word| word.to_le_bytes()).collect()
}

/// The bytes of a section that is a sorted table of frames.
fn frame_table<'a>(bytes: &'a [u8], section: &Section) -> Option<&'a [u8]> {
    let table = bytes.get(index(section.offset)..index(section.file_end()))?;
    (!section.code && table.starts_with(&FRAME_TABLE)).then_some(table)
}

/// Version 1; a pointer from its own place, a count, and entries from the start of the section, of four bytes each.
const FRAME_TABLE: [u8; 4] = [0x01, 0x1B, 0x03, 0x3B];

fn moved_frames(old: &[u8], was: &Section, section: &Section, map: &AddressMap) -> Vec<u8> {
    let Some(table) = frame_table(old, was) else { return Vec::new() };
    let (Some(frames), Some(count)) = (word_at(table, 4), word_at(table, 8)) else { return Vec::new() };
    let moved = |word: u32| {
        let (address, covered) = map.find(was.address.wrapping_add(word));
        (address.wrapping_sub(section.address), covered)
    };
    let (entries, _) = table.get(12..).unwrap_or_default().as_chunks::<8>();
    let mut places: Vec<(i32, u32)> = Vec::new();
    for entry in entries.iter().take(index(count).min(MAX_ENTRIES)) {
        let (Some(function), Some(frame)) = (word_at(entry, 0), word_at(entry, 4)) else { continue };
        if let ((function, true), (frame, true)) = (moved(function), moved(frame)) {
            places.push((function.cast_signed(), frame));
        }
    }
    places.sort_unstable();
    places.dedup();
    let mut made = FRAME_TABLE.to_vec();
    let frames = moved(frames.wrapping_add(4)).0.wrapping_sub(4);
    made.extend_from_slice(&frames.to_le_bytes());
    made.extend_from_slice(&narrow(places.len()).to_le_bytes());
    for (function, frame) in places {
        made.extend_from_slice(&function.to_le_bytes());
        made.extend_from_slice(&frame.to_le_bytes());
    }
    made
}

/// Each entry with the address of its page; stops at the first block that makes no sense.
pub(super) fn entries(table: &[u8]) -> impl Iterator<Item = (u32, u16)> {
    let mut rest = table;
    std::iter::from_fn(move || {
        let ([page, len], _) = rest.first_chunk::<8>()?.as_chunks::<4>().0.first_chunk::<2>().map(|w| (*w, ()))?;
        let (page, len) = (u32::from_le_bytes(page), usize::try_from(u32::from_le_bytes(len)).ok()?);
        if len < 8 {
            return None;
        }
        let block = rest.get(8..len)?;
        rest = &rest[len..];
        Some((page, block))
    })
    .flat_map(|(page, block)| block.as_chunks::<2>().0.iter().map(move |entry| (page, u16::from_le_bytes(*entry))))
}

/// The relocations of the old image, each where its place went.
fn moved_relocations(old: &[u8], layout: &Layout, map: &AddressMap) -> Vec<u8> {
    let table = layout.relocations.and_then(|(at, len)| old.get(index(at)..index(at.checked_add(len)?)));
    let Some(table) = table else { return Vec::new() };
    let place = |(page, entry): (u32, u16)| {
        let (kind, within) = (entry >> 12, entry & 0xFFF);
        let (address, covered) = map.find(page.wrapping_add(u32::from(within)));
        (kind != 0 && covered).then_some((address, kind))
    };
    let mut places: Vec<(u32, u16)> = entries(table).take(MAX_ENTRIES).filter_map(place).collect();
    places.sort_unstable();
    places.dedup();
    let mut made = Vec::new();
    for block in places.chunk_by(|(a, _), (b, _)| a >> 12 == b >> 12) {
        let len = (8 + 2 * block.len()).next_multiple_of(4);
        if made.len() + len > old.len() {
            break;
        }
        let page = block.first().map_or(0, |(address, _)| address & !0xFFF);
        made.extend_from_slice(&page.to_le_bytes());
        made.extend_from_slice(&narrow(len).to_le_bytes());
        for (address, kind) in block {
            let within = u16::try_from(address & 0xFFF).expect("twelve bits");
            made.extend_from_slice(&(kind << 12 | within).to_le_bytes());
        }
        made.resize(made.len().next_multiple_of(4), 0);
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cover::Cover;

    /// A file with one section at 0x1000, whose relocations stand at `table`.
    fn image(relocations: (u32, u32), len: u32) -> Layout {
        let section = Section { address: 0x1000, file_len: len, memory_len: len, ..Section::default() };
        Layout { sections: vec![section], relocations: Some(relocations), ..Layout::raw() }
    }

    #[test]
    fn relocations_move_with_their_places() {
        let block = |page: u32, entries: &[u16]| {
            let mut block = page.to_le_bytes().to_vec();
            block.extend_from_slice(&narrow(8 + 2 * entries.len()).to_le_bytes());
            block.extend(entries.iter().flat_map(|entry| entry.to_le_bytes()));
            block
        };
        let table = [block(0x1000, &[0x3004, 0x3010, 0x3FFC, 0]), block(0x2000, &[0x3000, 0x3020])].concat();
        let mut file = vec![0; 0x1100];
        file.extend_from_slice(&table);
        let len = narrow(file.len());
        let layout = image((0x1100, narrow(table.len())), len);
        let with = |covers: &[Cover]| {
            let map = AddressMap::new(&layout, &layout, &[Some(0)], covers);
            made_anew(&file, &layout, &layout, &[Some(0)], &map).bytes
        };
        let all = |shift: u64| Cover { old_offset: 0, new_offset: shift, len: u64::from(len) - shift };
        assert_eq!(with(&[all(0)]), table, "what stays is the same");
        let moved = [block(0x1000, &[0x3008, 0x3014]), block(0x2000, &[0x3000, 0x3004, 0x3024, 0])].concat();
        assert_eq!(with(&[all(4)]), moved);
        let part = Cover { old_offset: 0x1000, new_offset: 0x1000, len: 0x100 };
        assert_eq!(with(&[part]), block(0x2000, &[0x3000, 0x3020]), "what no cover holds is left out");
    }

    #[test]
    fn broken_tables_end_where_they_break() {
        for table in [&[][..], &[0; 7], &[0; 64], &[0, 0x10, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF], &[0xFF; 40]] {
            assert_eq!(entries(table).count(), 0, "{table:?}");
        }
    }
}
