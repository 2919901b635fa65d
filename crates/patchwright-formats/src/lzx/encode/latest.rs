//! The latest positions with the same next 4, 8, 16 and 32 bytes.
//!
//! That misses matches that a thorough search finds. But where a file resembles an older version, what has the same next
//! 32 bytes is mostly the place that it resembles.

use super::matches::Match;
use super::{CHUNK_LEN, Data, index, narrow};

/// How many bytes are hashed for each table.
const LENS: [usize; 4] = [4, 8, 16, 32];

pub(super) struct Latest {
    /// For each of `LENS`, by hash: the latest position and one, or 0.
    tables: [Vec<u32>; LENS.len()],
    hash_bits: u32,
}

impl Latest {
    pub(super) fn new(data: &Data) -> Self {
        let hash_bits = data.bytes.len().next_power_of_two().ilog2().clamp(12, 22);
        Self { tables: LENS.map(|_| vec![0; 1 << hash_bits]), hash_bits }
    }

    /// Adds the positions in `from..to`.
    pub(super) fn add(&mut self, data: &Data, from: usize, to: usize) {
        for at in from..to {
            for slot in self.slots(&data.bytes[at..]) {
                *slot = narrow(at + 1);
            }
        }
    }

    /// Where the latest position with the same next bytes is kept.
    fn slots(&mut self, bytes: &[u8]) -> impl Iterator<Item = &mut u32> {
        let shift = u64::BITS - self.hash_bits;
        let tables = self.tables.iter_mut().zip(LENS).zip(hashes(bytes));
        let fits = tables.take_while(move |((_, len), _)| *len <= bytes.len());
        fits.map(move |((table, _), hash)| {
            let slot = usize::try_from(hash >> shift).expect("a few bits");
            &mut table[slot]
        })
    }

    /// Adds `at`; reports each match that is longer than those before it, and returns the last one.
    pub(super) fn walk(&mut self, data: &Data, at: usize, mut report: impl FnMut(Match)) -> Match {
        let mut longest = Match { distance: 0, len: 3 };
        for slot in self.slots(&data.bytes[at..]) {
            let before = index(std::mem::replace(slot, narrow(at + 1)));
            let distance = at.wrapping_sub(before.wrapping_sub(1));
            if before == 0 || distance > index(data.window.max_distance()) || distance == index(longest.distance) {
                continue;
            }
            let len = data.common(at, distance, 0, CHUNK_LEN);
            if len > index(longest.len) {
                longest = Match { distance: narrow(distance), len: narrow(len) };
                report(longest);
            }
        }
        longest
    }
}

/// Hashes of the next `LENS` bytes, as far as these are there; zeros are taken for those that are not.
fn hashes(bytes: &[u8]) -> [u64; LENS.len()] {
    let word = |at: usize| {
        let word = bytes.get(at..at + 8).and_then(|word| word.try_into().ok());
        word.map_or(0, u64::from_le_bytes)
    };
    let mix = |hash: u64, word: u64| (hash.rotate_left(23) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let four = bytes.first_chunk().map_or(0, |word| u64::from(u32::from_le_bytes(*word)));
    let eight = mix(0, word(0));
    let sixteen = mix(eight, word(8));
    [mix(1, four), eight, sixteen, mix(mix(sixteen, word(16)), word(24))]
}
