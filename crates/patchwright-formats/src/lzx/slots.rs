//! Windows, and how a distance is split into a slot, which a main symbol holds, and the bits of a footer.

use super::{CHUNK_LEN, LITERALS};

/// How far back a match may reach: a power of two from 2^17 to 2^25; in cabinets, from 2^15 to 2^21.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window(u8);

impl Window {
    /// The smallest window, 128 KiB.
    pub const MIN: Self = Self(17);
    /// The largest window of a patch without the flag for large ones, 8 MiB.
    pub const NORMAL_CAP: Self = Self(23);
    /// The largest window, 32 MiB.
    pub const MAX: Self = Self(25);

    /// The window of 2^`log2` bytes; 17 to 25 are possible.
    #[must_use]
    pub fn new(log2: u8) -> Option<Self> {
        (Self::MIN.0..=Self::MAX.0).contains(&log2).then_some(Self(log2))
    }

    /// The window of 2^`log2` bytes of a cabinet; 15 to 21 are possible.
    #[must_use]
    pub fn of_cabinet(log2: u8) -> Option<Self> {
        (15..=21).contains(&log2).then_some(Self(log2))
    }

    /// The window of a patch that does not record one: the smallest that holds the old file, rounded up to whole chunks,
    /// and the new one, but no more than `cap`.
    #[must_use]
    pub fn natural(old_len: u64, new_len: u64, cap: Self) -> Self {
        let need = old_len.div_ceil(CHUNK_LEN as u64).saturating_mul(CHUNK_LEN as u64).saturating_add(new_len);
        (Self::MIN.0..cap.0).map(Self).find(|window| window.len_bytes() as u64 >= need).unwrap_or(cap)
    }

    /// The logarithm of the length to the base of two.
    #[must_use]
    pub fn log2(self) -> u8 {
        self.0
    }

    /// The length in bytes.
    #[must_use]
    pub fn len_bytes(self) -> usize {
        1 << self.0
    }

    /// The largest distance that a match can have.
    pub(super) fn max_distance(self) -> u32 {
        (1 << self.0) - 3
    }

    /// How many slots there are for distances.
    pub(super) fn slots(self) -> usize {
        slot_of((1 << self.0) - 1) as usize + 1
    }

    /// How many symbols the main tree has.
    pub(super) fn main_symbols(self) -> usize {
        LITERALS + 8 * self.slots()
    }
}

/// The slots of the largest window.
pub(super) const MAX_SLOTS: usize = 290;

/// Slots 0 to 2 stand for the last three distances.
pub(super) const REPEATS: usize = 3;

/// What is added to a distance before it is split, which makes room for the repeats.
pub(super) const FORMATTED_BIAS: u32 = 2;

/// From here on, slots are equally wide.
const FIRST_EVEN_SLOT: u32 = 36;
/// The number of footer bits of those.
const EVEN_FOOTER_BITS: u32 = 17;

/// How many bits follow a slot.
pub(super) const fn footer_bits(slot: u32) -> u32 {
    match slot {
        0..4 => 0,
        4..36 => (slot >> 1) - 1,
        _ => EVEN_FOOTER_BITS,
    }
}

/// The first formatted distance of every slot.
pub(super) const SLOT_BASE: [u32; MAX_SLOTS] = {
    let mut base = [0; MAX_SLOTS];
    let mut slot = 1u32;
    while (slot as usize) < MAX_SLOTS {
        base[slot as usize] = base[slot as usize - 1] + (1 << footer_bits(slot - 1));
        slot += 1;
    }
    base
};

/// The slot of a formatted distance (the distance and two).
pub(super) const fn slot_of(formatted: u32) -> u32 {
    match formatted {
        0..4 => formatted,
        _ if formatted < SLOT_BASE[FIRST_EVEN_SLOT as usize] => {
            let log2 = formatted.ilog2();
            2 * log2 + (formatted >> (log2 - 1) & 1)
        }
        _ => (formatted >> EVEN_FOOTER_BITS) + FIRST_EVEN_SLOT - 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_have_as_many_slots_as_the_specification_says() {
        let slots = [(17, 34), (18, 36), (19, 38), (20, 42), (21, 50), (22, 66), (23, 98), (24, 162), (25, 290)];
        for (log2, slots) in slots {
            assert_eq!(Window::new(log2).unwrap().slots(), slots);
        }
        assert_eq!((Window::new(16), Window::new(26)), (None, None));
        assert_eq!([15, 16].map(|log2| Window::of_cabinet(log2).unwrap().slots()), [30, 32]);
        assert_eq!((Window::of_cabinet(14), Window::of_cabinet(22)), (None, None));
    }

    #[test]
    fn every_slot_begins_where_the_last_one_ends() {
        assert_eq!(SLOT_BASE[..9], [0, 1, 2, 3, 4, 6, 8, 12, 16]);
        assert_eq!((SLOT_BASE[36], SLOT_BASE[37]), (262_144, 262_144 + 131_072));
        for (slot, base) in SLOT_BASE.iter().enumerate() {
            let slot = slot as u32;
            assert_eq!(slot_of(*base), slot);
            assert_eq!(slot_of(base + (1 << footer_bits(slot)) - 1), slot);
        }
    }

    #[test]
    fn natural_windows_round_the_old_file_and_obey_the_cap() {
        let natural = |old, new| Window::natural(old, new, Window::NORMAL_CAP).log2();
        assert_eq!(natural(0, 0), 17);
        assert_eq!(natural(0, 131_072), 17);
        assert_eq!(natural(1, 131_072), 18);
        assert_eq!(natural(32_768, 98_304), 17);
        assert_eq!(natural(32_769, 98_304), 18);
        assert_eq!(natural(u64::MAX, u64::MAX), 23);
        assert_eq!(Window::natural(1 << 40, 1, Window::MAX), Window::MAX);
        assert_eq!(Window::natural(1 << 40, 1, Window::MIN), Window::MIN);
    }
}
