//! Where the bytes at a position occur in the reference and in what came before.
//!
//! Two ways to find out: [`Trees`] thoroughly, [`Latest`] quickly. Either way, what repeats earlier data for long is not
//! added, but for its ends.

use super::latest::Latest;
use super::trees::Trees;
use super::{Data, index, narrow};

const HASH_BITS_2: u32 = 16;
const HASH_BITS_3: u32 = 16;
/// Matches of two bytes from farther away cost more than two literals.
const MAX_DISTANCE_2: usize = 1 << 10;
/// The same for three bytes.
const MAX_DISTANCE_3: usize = 1 << 16;

/// A match that could be taken: the shortest distance for its length and for shorter ones, down to the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) distance: u32,
    pub(super) len: u32,
}

/// How hard to look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    pub(super) search: Search,
    /// A match of that length is taken as it is, and nothing is looked for inside.
    pub(super) long: usize,
}

/// What to look in.
#[derive(Clone, Copy, Debug)]
pub(super) enum Search {
    /// Only the latest positions with the same next bytes.
    Latest,
    /// Trees, so many levels deep.
    Trees { depth: usize },
}

enum Index {
    Latest(Latest),
    Trees(Trees),
}

pub(super) struct Finder<'a> {
    data: &'a Data,
    long: usize,
    /// By hash of two and of three bytes: the latest position and one, or 0.
    latest_2: Vec<u32>,
    latest_3: Vec<u32>,
    index: Index,
}

impl<'a> Finder<'a> {
    pub(super) fn new(data: &'a Data, effort: Effort) -> Self {
        Self {
            data,
            long: effort.long,
            latest_2: vec![0; 1 << HASH_BITS_2],
            latest_3: vec![0; 1 << HASH_BITS_3],
            index: match effort.search {
                Search::Latest => Index::Latest(Latest::new(data)),
                Search::Trees { depth } => Index::Trees(Trees::new(data, depth)),
            },
        }
    }

    /// Adds `at`; reports each match of at least four bytes that is longer than those before it, and returns the last one.
    fn walk(&mut self, at: usize, report: impl FnMut(Match)) -> Match {
        match &mut self.index {
            Index::Latest(latest) => latest.walk(self.data, at, report),
            Index::Trees(trees) => trees.walk(self.data, at, report),
        }
    }

    /// Adds the positions in `from..to` without saying what matches.
    pub(super) fn add(&mut self, from: usize, to: usize) {
        if let Index::Latest(latest) = &mut self.index {
            return latest.add(self.data, from, to);
        }
        let mut at = from;
        while at < to {
            let longest = self.walk(at, |_| ());
            at += 1;
            at += index(longest.len).saturating_sub(self.long);
        }
    }

    /// Adds `at` and appends what matches there, shortest first, lengths up to `room`.
    ///
    /// Returns how many positions need not be added, since they repeat what is there, if the last match is a long one.
    pub(super) fn find(&mut self, at: usize, room: usize, found: &mut Vec<Match>) -> usize {
        let first = found.len();
        self.short_matches(at, room, found);
        let room = narrow(room);
        let longest = self.walk(at, |candidate: Match| {
            if found[first..].last().is_none_or(|last| last.len < candidate.len) {
                found.push(candidate);
            }
        });
        clip(found, first, room);
        index(longest.len.min(room)).saturating_sub(self.long)
    }

    /// Matches of two and three bytes near by.
    fn short_matches(&mut self, at: usize, room: usize, found: &mut Vec<Match>) {
        let bytes = &self.data.bytes[at..];
        let Some(next) = bytes.first_chunk::<4>() else { return };
        let next = u32::from_le_bytes(*next);
        let hash_3 = (next << 8).wrapping_mul(0x9E37_79B1) >> (32 - HASH_BITS_3);
        let slots = [
            (&mut self.latest_2[index(next & 0xFFFF)], MAX_DISTANCE_2, 2),
            (&mut self.latest_3[index(hash_3)], MAX_DISTANCE_3, 3),
        ];
        let mut longest = 1;
        for (slot, limit, least) in slots {
            let before = index(std::mem::replace(slot, narrow(at + 1)));
            if before == 0 || at + 1 - before > limit.min(index(self.data.window.max_distance())) {
                continue;
            }
            let distance = at + 1 - before;
            let len = self.data.common(at, distance, 0, room.min(self.long));
            if len >= least && len > longest {
                longest = len;
                found.push(Match { distance: narrow(distance), len: narrow(len) });
            }
        }
    }
}

/// Cuts matches to `room`, and drops those that are then no longer than one before.
fn clip(found: &mut Vec<Match>, first: usize, room: u32) {
    while found.len() > first && found[found.len() - 1].len > room {
        let last = found.pop().expect("longer than first");
        let before = found[first..].last().map_or(1, |before| before.len);
        if before < room {
            found.push(Match { len: room, ..last });
            return;
        }
    }
}
