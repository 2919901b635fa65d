//! Where addresses of the old image are in the new one.
//!
//! Covers move whole stretches of the file, hence of memory; between them an address moves like the stretch before it
//! in its section, and without one like the section. The map is a list of steps, the same on both sides.

use crate::cover::Cover;

use super::code::index;
use super::image::Layout;

/// A part of memory that moves as a whole: from `old` on, addresses grow by `shift`, up to the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    old: u32,
    shift: u32,
    /// Whether a cover says so.
    covered: bool,
}

/// The addresses of an old image, mapped to those of a new one.
#[derive(Clone, Debug)]
pub(super) struct AddressMap {
    steps: Vec<Step>,
    /// For every `1 << PAGE_BITS` addresses the first step that may hold them.
    first: Vec<u32>,
}

/// The size of a page of addresses, as a power of two.
const PAGE_BITS: u32 = 10;

/// More parts of covers than this do not count: a bound on memory for hostile bodies.
const MAX_PIECES: usize = 1 << 19;

/// What a step takes in memory.
pub(super) const STEP_LEN: usize = size_of::<Step>();

/// The most pages of addresses that are indexed; beyond, the last entry serves.
pub(super) const MAX_PAGES: usize = 1 << 20;

impl AddressMap {
    /// Builds the map. `pairs` holds, for each section of the new image, the number of the old one that became it.
    pub(super) fn new(old: &Layout, new: &Layout, pairs: &[Option<usize>], covers: &[Cover]) -> Self {
        let moved = disjoint(covers.iter().flat_map(|cover| pieces(old, new, *cover)).take(MAX_PIECES).collect());
        let mut steps = Vec::with_capacity(moved.len() * 2 + old.sections.len() + 1);
        let mut sections: Vec<(u32, u32)> = Vec::new();
        for (section, pair) in new.sections.iter().zip(pairs) {
            if let Some(was) = pair.and_then(|pair| old.sections.get(pair)) {
                sections.push((was.address, section.address.wrapping_sub(was.address)));
            }
        }
        sections.sort_unstable();
        sections.dedup_by_key(|(start, _)| *start);
        steps.push(Step { old: 0, shift: 0, covered: false });
        let mut sections = sections.into_iter().peekable();
        for (number, piece) in moved.iter().enumerate() {
            while let Some((start, shift)) = sections.next_if(|(start, _)| *start < piece.old) {
                steps.push(Step { old: start, shift, covered: false });
            }
            while sections.next_if(|(start, _)| *start < piece.old + piece.len).is_some() {}
            steps.push(Step { old: piece.old, shift: piece.shift, covered: true });
            let end = piece.old + piece.len;
            if moved.get(number + 1).is_none_or(|next| next.old > end) {
                steps.push(Step { old: end, shift: piece.shift, covered: false });
            }
        }
        steps.extend(sections.map(|(old, shift)| Step { old, shift, covered: false }));
        steps.dedup_by(|later, earlier| later.shift == earlier.shift && later.covered == earlier.covered);
        steps.shrink_to_fit();
        let first = first_steps(&steps);
        Self { steps, first }
    }

    /// How many bytes it takes.
    pub(super) fn memory(&self) -> usize {
        size_of_val(&*self.steps) + size_of_val(&*self.first)
    }

    /// Where an address goes, and whether a cover says so.
    pub(super) fn find(&self, address: u32) -> (u32, bool) {
        let page = index(address >> PAGE_BITS).min(self.first.len() - 1);
        let mut at = index(self.first[page]);
        if let Some(last) = self.first.get(page + 1) {
            let within = &self.steps[at..=index(*last).min(self.steps.len() - 1)];
            at += within.partition_point(|step| step.old <= address).saturating_sub(1);
        } else {
            at += self.steps[at..].partition_point(|step| step.old <= address).saturating_sub(1);
        }
        let step = self.steps[at];
        (address.wrapping_add(step.shift), step.covered)
    }
}

/// For each page the step that holds its first address.
fn first_steps(steps: &[Step]) -> Vec<u32> {
    let last = steps.last().map_or(0, |step| index(step.old >> PAGE_BITS)).min(MAX_PAGES);
    let mut first = Vec::with_capacity(last + 1);
    let mut at = 0u32;
    for page in 0..=last {
        let start = super::code::narrow(page) << PAGE_BITS;
        while steps.get(index(at) + 1).is_some_and(|next| next.old <= start) {
            at += 1;
        }
        first.push(at);
    }
    first
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    old: u32,
    len: u32,
    shift: u32,
}

/// The parts of a cover that are in memory on both sides.
fn pieces(old: &Layout, new: &Layout, cover: Cover) -> Vec<Piece> {
    let narrow = |n: u64| u32::try_from(n).ok();
    let (Some(mut from), Some(mut to), Some(mut left)) =
        (narrow(cover.old_offset), narrow(cover.new_offset), narrow(cover.len))
    else {
        return Vec::new();
    };
    let mut pieces = Vec::new();
    while left > 0 {
        let (here, there) = (stretch(old, from), stretch(new, to));
        let len = left.min(here.1).min(there.1);
        if let (Some(here), Some(there)) = (here.0, there.0) {
            let shift = there.wrapping_sub(here);
            pieces.push(Piece { old: here, len: len.min(u32::MAX - here), shift });
        }
        (from, to, left) = (from + len, to + len, left - len);
    }
    pieces
}

/// The address of a byte of the file and for how many bytes that goes on; at least one.
fn stretch(layout: &Layout, offset: u32) -> (Option<u32>, u32) {
    match layout.section_at(offset) {
        Some(section) => (section.address.checked_add(offset - section.offset), section.file_end() - offset),
        None => {
            let next = layout.sections.partition_point(|s| s.file_len > 0 && s.offset <= offset);
            let next = layout.sections.get(next).filter(|s| s.file_len > 0);
            (None, next.map_or(u32::MAX, |section| section.offset - offset))
        }
    }
}

/// Where pieces overlap in the old image the longer one counts, and of equals the one that goes to the lower address.
fn disjoint(mut pieces: Vec<Piece>) -> Vec<Piece> {
    pieces.sort_unstable_by_key(|piece| (piece.old, std::cmp::Reverse(piece.len), piece.old.wrapping_add(piece.shift)));
    let mut kept: Vec<Piece> = Vec::with_capacity(pieces.len());
    for mut piece in pieces {
        if let Some(last) = kept.last_mut() {
            let end = last.old + last.len;
            if piece.old < end {
                if piece.len > last.len && piece.old > last.old {
                    last.len = piece.old - last.old;
                } else {
                    let cut = (end - piece.old).min(piece.len);
                    piece.old += cut;
                    piece.len -= cut;
                }
            }
        }
        if piece.len > 0 {
            kept.push(piece);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::super::image::Section;
    use super::*;

    fn layout(sections: &[(u32, u32, u32)]) -> Layout {
        let section = |(offset, address, len): &(u32, u32, u32)| Section {
            offset: *offset,
            file_len: *len,
            address: *address,
            memory_len: *len,
            ..Section::default()
        };
        Layout { sections: sections.iter().map(section).collect(), ..Layout::raw() }
    }

    fn cover(old_offset: u64, new_offset: u64, len: u64) -> Cover {
        Cover { old_offset, new_offset, len }
    }

    #[test]
    fn addresses_follow_covers_then_the_stretch_before_then_their_section() {
        let old = layout(&[(0x100, 0x1000, 0x200), (0x300, 0x2000, 0x100)]);
        let new = layout(&[(0x100, 0x1100, 0x300), (0x400, 0x3000, 0x100)]);
        let covers = [cover(0x140, 0x150, 0x40), cover(0x1C0, 0x1F0, 0x20)];
        let map = AddressMap::new(&old, &new, &[Some(0), Some(1)], &covers);
        for (address, expected) in [
            (0x1000, (0x1100, false)),
            (0x103F, (0x113F, false)),
            (0x1040, (0x1150, true)),
            (0x107F, (0x118F, true)),
            (0x1080, (0x1190, false)),
            (0x10C0, (0x11F0, true)),
            (0x10E0, (0x1210, false)),
            (0x2000, (0x3000, false)),
            (0x20FF, (0x30FF, false)),
            (0xF000_0000, (0xF000_1000, false)),
        ] {
            assert_eq!(map.find(address), expected, "{address:x}");
        }
    }

    #[test]
    fn where_covers_overlap_the_longer_one_counts() {
        let image = layout(&[(0, 0x1000, 0x1000)]);
        let covers = [cover(0, 0x10, 0x100), cover(0x80, 0x200, 0x200), cover(0x90, 0x800, 0x10)];
        let map = AddressMap::new(&image, &image, &[Some(0)], &covers);
        assert_eq!(map.find(0x107F), (0x108F, true));
        assert_eq!(map.find(0x1090), (0x1210, true));
    }

    #[test]
    fn covers_outside_of_sections_move_nothing() {
        let map = AddressMap::new(&Layout::raw(), &Layout::raw(), &[], &[cover(0, 5, 100)]);
        assert_eq!(map.find(50), (50, false));
    }
}
