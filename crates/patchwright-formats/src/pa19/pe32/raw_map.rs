//! Which bytes of the file are loaded at an address, without a walk over all sections.
//!
//! Where sections overlap, the first one in the table has the address. An image can have 65,535 sections and ask for
//! millions of addresses, so the rule is worked out once: for disjoint intervals, in which an address is then found.

use std::collections::BTreeSet;

use super::Section;

/// The addresses that have raw data, and where it is.
#[derive(Clone, Debug)]
pub(super) struct RawMap {
    /// By their first address. Each ends where the next one begins, the last one with the address space.
    intervals: Vec<Interval>,
}

#[derive(Clone, Copy, Debug)]
struct Interval {
    start: u32,
    /// What makes an offset of an address, modulo 2^32; `None` between sections.
    shift: Option<u32>,
}

impl RawMap {
    /// Sweeps over the ends of all sections. The time is that of sorting them.
    pub(super) fn new(sections: &[Section]) -> Self {
        let ends = |(index, section): (usize, &Section)| {
            let start = u64::from(section.rva);
            [(start, index), (start + u64::from(section.raw_size), index)]
        };
        let mut ends: Vec<(u64, usize)> = sections.iter().enumerate().flat_map(ends).collect();
        ends.sort_unstable();
        let mut intervals: Vec<Interval> = Vec::new();
        let mut open = BTreeSet::new();
        for group in ends.chunk_by(|a, b| a.0 == b.0) {
            for (_, index) in group {
                // The first end of a section opens it, the second one closes it; an empty one has both here.
                if !open.remove(index) {
                    open.insert(*index);
                }
            }
            let Ok(start) = u32::try_from(group[0].0) else { break };
            let shift = open.first().map(|index| sections[*index].raw_offset.wrapping_sub(sections[*index].rva));
            if intervals.last().and_then(|last| last.shift) != shift {
                intervals.push(Interval { start, shift });
            }
        }
        Self { intervals }
    }

    /// The offset of the byte at `rva`, by the first section that has raw data for it. It may be beyond the file.
    pub(super) fn offset(&self, rva: u32) -> Option<u32> {
        let after = self.intervals.partition_point(|interval| interval.start <= rva);
        let shift = self.intervals[..after].last()?.shift?;
        Some(rva.wrapping_add(shift))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn section(rva: u32, raw_size: u32, raw_offset: u32) -> Section {
        let (name, virtual_size, characteristics, characteristics_at) = ([0; 8], 0, 0, 0);
        Section { name, virtual_size, rva, raw_size, raw_offset, characteristics, characteristics_at }
    }

    /// The rule itself.
    fn by_definition(sections: &[Section], rva: u32) -> Option<u32> {
        let holds = |section: &&Section| rva.checked_sub(section.rva).is_some_and(|within| within < section.raw_size);
        sections.iter().find(holds).map(|section| section.raw_offset.wrapping_add(rva - section.rva))
    }

    /// Addresses at both ends of the address space, close together, so that sections touch and overlap.
    fn address() -> impl Strategy<Value = u32> {
        (0..48u32, any::<bool>()).prop_map(|(near, high)| if high { u32::MAX - near } else { near })
    }

    fn sections() -> impl Strategy<Value = Vec<Section>> {
        let size = prop_oneof![4 => 0..24u32, 1 => any::<u32>()];
        let offset = prop_oneof![1 => 0..4u32, 1 => any::<u32>()];
        let section = (address(), size, offset).prop_map(|(rva, size, offset)| section(rva, size, offset));
        prop::collection::vec(section, 0..12)
    }

    proptest! {
        #[test]
        fn the_first_section_that_covers_an_address_has_it(sections in sections(), others: [u32; 16]) {
            let map = RawMap::new(&sections);
            let ends = (0..80).chain((0..80).map(|near| u32::MAX - near));
            for rva in ends.chain(others) {
                prop_assert_eq!(map.offset(rva), by_definition(&sections, rva), "{:#x}", rva);
            }
        }
    }

    #[test]
    fn there_are_no_more_intervals_than_ends_of_sections() {
        let count = 0xFFFF;
        let nested: Vec<Section> = (0..count).map(|i| section(count - i, 2 * i + 1, i * 7)).collect();
        let map = RawMap::new(&nested);
        assert!(map.intervals.len() <= 2 * nested.len());
        for rva in (0..2 * count).step_by(4099) {
            assert_eq!(map.offset(rva), by_definition(&nested, rva));
        }
    }
}
