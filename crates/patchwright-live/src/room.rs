//! Where new code fits: near enough to the program for a jump, in nobody's way.

use patchwright_formats::hot::PAGE;

use crate::target::Mapping;

/// What a jump reaches, less a margin.
const REACH: u64 = (1 << 31) - (1 << 20);
/// Nothing may be mapped below (`vm.mmap_min_addr`, with room for stricter settings).
const LOWEST: u64 = 1 << 16;
/// The first address that is not a process's.
const HIGHEST: u64 = (1 << 47) - PAGE;
/// The heap and stacks grow into the free memory beside them.
const GROWTH: u64 = 64 << 20;

/// Places for `len` bytes from which all of `module`, and it from them, can be reached; the best first.
pub(crate) fn places(mappings: &[Mapping], module: (u64, u64), len: u64) -> Vec<u64> {
    let lowest = module.1.saturating_sub(REACH).max(LOWEST);
    let highest = module.0.saturating_add(REACH).min(HIGHEST);
    let mut gaps = Vec::new();
    let mut free = 0;
    for mapping in mappings.iter().filter(|mapping| mapping.start < HIGHEST) {
        // A stack grows down, into what is free before it.
        let end = if mapping.name == "[stack]" { mapping.start.saturating_sub(GROWTH) } else { mapping.start };
        gaps.push((free, end));
        let growth =
            if mapping.name == "[heap]" || mapping.end == module.1.next_multiple_of(PAGE) { GROWTH } else { 0 };
        free = mapping.end.saturating_add(growth);
    }
    gaps.push((free, HIGHEST));
    let mut found: Vec<(bool, u64, u64)> = Vec::new();
    for (start, end) in gaps {
        // A page stays free on each side, so that the kernel does not join neighbours.
        let start = start.saturating_add(PAGE).max(lowest).next_multiple_of(PAGE);
        let end = end.saturating_sub(PAGE).min(highest) / PAGE * PAGE;
        if end.checked_sub(start).is_none_or(|room| room < len) {
            continue;
        }
        let below = end <= module.0;
        let place = if below { end - len } else { start };
        found.push((!below, place.abs_diff(module.0), place));
    }
    found.sort_unstable();
    found.into_iter().map(|(_, _, place)| place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Protection;

    fn mapping(start: u64, end: u64, name: &str) -> Mapping {
        let name = name.to_owned();
        Mapping { start, end, protection: Protection::TEXT, private: true, offset: 0, file: (0, 0), name }
    }

    #[test]
    fn places_are_near_and_in_nobodys_way() {
        let base = 0x5555_0000_0000;
        let maps = [
            mapping(base, base + 0x4000, "prog"),
            mapping(base + 0x4000, base + 0x2_0000, "[heap]"),
            mapping(base + 0x10_0000_0000, base + 0x10_0000_1000, "far"),
        ];
        let found = places(&maps, (base, base + 0x4000), 0x3000);
        // Right below the program, a page apart; then above the heap with room for it to grow.
        assert_eq!(found, [base - PAGE - 0x3000, base + 0x2_0000 + GROWTH + PAGE]);
    }

    #[test]
    fn low_programs_have_room_below_or_above() {
        let maps = [mapping(0x40_0000, 0x40_5000, "prog"), mapping(0x7ffc_0000_0000, 0x7ffc_0002_0000, "[stack]")];
        assert_eq!(places(&maps, (0x40_0000, 0x40_5000), 0x4000)[0], 0x40_0000 - PAGE - 0x4000);
        let large = places(&maps, (0x40_0000, 0x40_5000), 0x80_0000);
        assert_eq!(large.len(), 1);
        assert!(large[0] > 0x40_5000 && large[0] + 0x80_0000 < 0x40_0000 + REACH);
    }

    #[test]
    fn nothing_in_reach_is_no_place() {
        let base = 0x7000_0000_0000;
        let maps = [mapping(base - (4 << 30), base, "a"), mapping(base, base + (4 << 30), "prog")];
        assert!(places(&maps, (base, base + (4 << 30)), 0x1000).is_empty());
    }
}
