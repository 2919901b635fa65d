//! Matches by a suffix array of the whole old file.
//!
//! The scan is that of bsdiff (Percival, "Naive differences of executable code"): follow the diagonal that matches, and
//! leave it only for a match that beats it by more than eight bytes. Two things keep it linear on repetitive files: a
//! run on the current diagonal is followed without any search, and a search compares at most [`SEARCH`] bytes.

use std::ops::Range;

use libsais::SuffixArrayConstruction;
use rayon::prelude::*;

use crate::cover::Cover;
use crate::segment::common_prefix;

use super::CreateError;
use super::covers::{Costs, Extension};

/// A search compares no more than this; what matches so far is extended without searching.
const SEARCH: usize = 1 << 10;

/// A run of this length on the current diagonal is followed without looking for a better one.
const FOLLOW: usize = 64;

/// By how many bytes a match must beat the current diagonal.
const BEAT: usize = 8;

/// How far a match is followed to the left: a bound on work done twice on periodic files.
const MAX_BACK: usize = 8 << 10;

/// How many bytes after the end of a part order its suffixes.
const MARGIN: usize = 64;

/// How many neighbours of a match in the suffix array are looked at for one that is nearer.
const NEIGHBOURS: usize = 16;

/// A match must be longer than this to be worth anything, so that what the old file does not hold so much of is not
/// searched.
const GRAM: usize = BEAT;

/// A suffix array of the old file, with a table of where the suffixes with each first two bytes are.
pub(super) struct SuffixIndex<'a> {
    old: &'a [u8],
    suffixes: Vec<i32>,
    /// For each pair of bytes, how many suffixes are less than the pair; one more entry for the end.
    buckets: Vec<u32>,
    grams: Grams,
    /// Whether all suffixes are there.
    whole: bool,
    costs: Costs,
}

/// Where a part of the old file matches, and how long.
#[derive(Clone, Copy, Debug, Default)]
struct Match {
    old: usize,
    len: usize,
}

impl<'a> SuffixIndex<'a> {
    pub(super) fn new(old: &'a [u8], costs: Costs) -> Result<Self, CreateError> {
        let suffixes = sorted(old)?;
        Ok(Self { old, suffixes, buckets: buckets(old), grams: Grams::new(old), whole: true, costs })
    }

    /// An index of those suffixes only that start in `parts`, which are in order.
    ///
    /// They are sorted by what follows in the parts: where one ends soon, matches may be missed.
    pub(super) fn of_parts(old: &'a [u8], parts: &[Range<usize>], costs: Costs) -> Result<Self, CreateError> {
        let mut text = Vec::new();
        // Where each part starts in the text, and how far that is from its place in the file.
        let mut starts: Vec<(usize, usize)> = Vec::with_capacity(parts.len());
        for part in parts {
            starts.push((text.len(), part.start));
            text.extend_from_slice(&old[part.start..old.len().min(part.end + MARGIN)]);
        }
        let mut suffixes = sorted(&text)?;
        suffixes.par_iter_mut().for_each(|suffix| {
            let at = usize::try_from(*suffix).expect("suffixes start inside the text");
            let (from, to) = starts[starts.partition_point(|(start, _)| *start <= at) - 1];
            *suffix = i32::try_from(to + (at - from)).expect("files are shorter than 2 GiB");
        });
        Ok(Self { old, suffixes, buckets: buckets(&text), grams: Grams::new(&text), whole: false, costs })
    }

    /// Finds the covers of a piece of the new file; their new offsets count from the start of the piece.
    pub(super) fn covers(&self, new: &[u8]) -> Vec<Cover> {
        if self.old.is_empty() {
            return Vec::new();
        }
        Scan { index: self, new, anchor: None, covers: Vec::new() }.run()
    }

    /// As [`SuffixIndex::covers`], with the piece at first taken for what is at `expected` of the old file.
    pub(super) fn covers_after(&self, expected: usize, new: &[u8]) -> Vec<Cover> {
        let anchor = Some(Anchor { old: expected, new: 0 }).filter(|anchor| anchor.old <= self.old.len());
        Scan { index: self, new, anchor, covers: Vec::new() }.run()
    }

    fn suffix(&self, rank: usize) -> usize {
        usize::try_from(self.suffixes[rank]).expect("suffixes start inside the file")
    }

    /// The longest match of the start of `wanted`. Matches of one byte are not found.
    fn longest(&self, wanted: &[u8]) -> (Match, usize) {
        let Some([first, second]) = wanted.first_chunk() else { return (Match::default(), 0) };
        let bucket = usize::from(*first) << 8 | usize::from(*second);
        let (mut low, mut high) = (place(self.buckets[bucket]), place(self.buckets[bucket + 1]));
        // Everything between `low` and `high` shares this much with `wanted`.
        let (mut low_len, mut high_len) = (2, 2);
        let mut best = (Match::default(), 0);
        while low < high {
            let middle = low + (high - low) / 2;
            let old = self.suffix(middle);
            let shared = low_len.min(high_len);
            let suffix = &self.old[old..];
            let len = shared + common_prefix(&suffix[shared.min(suffix.len())..], &wanted[shared..]);
            if len > best.0.len {
                best = (Match { old, len }, middle);
            }
            if len == wanted.len() {
                break;
            }
            if suffix.get(len).is_none_or(|byte| *byte < wanted[len]) {
                (low, low_len) = (middle + 1, len);
            } else {
                (high, high_len) = (middle, len);
            }
        }
        if !self.whole {
            // What the order says of lengths is not true where parts end.
            best.0.len = common_prefix(&self.old[best.0.old..], wanted);
        }
        best
    }

    /// Among the matches as long as `found`, of rank `rank`, the one nearest to `expected`; the first of equals.
    fn nearest(&self, wanted: &[u8], found: Match, rank: usize, expected: usize) -> Match {
        let as_long =
            |old: usize| self.old.get(old..old + found.len).is_some_and(|bytes| bytes == &wanted[..found.len]);
        let below = (rank.saturating_sub(NEIGHBOURS)..rank).rev();
        let above = rank + 1..(rank + 1 + NEIGHBOURS).min(self.suffixes.len());
        let below = below.map(|rank| self.suffix(rank)).take_while(|old| as_long(*old));
        let above = above.map(|rank| self.suffix(rank)).take_while(|old| as_long(*old));
        let old = below.chain(above).chain([found.old]).min_by_key(|old| (old.abs_diff(expected), *old));
        Match { old: old.unwrap_or(found.old), ..found }
    }
}

/// Which sequences of [`GRAM`] bytes a file may hold: all that it does, and few others.
///
/// Most bytes of literals are told apart from the old file by one look here, where a search takes twenty.
struct Grams {
    bits: Vec<u64>,
    /// How far the hash of a sequence is shifted to be the number of its bit.
    shift: u32,
}

impl Grams {
    fn new(bytes: &[u8]) -> Self {
        let log = (bytes.len().max(64) * 4).next_power_of_two().ilog2();
        let mut grams = Self { bits: vec![0; 1 << (log - 6)], shift: 64 - log };
        for gram in bytes.array_windows() {
            let (word, bit) = grams.place(gram);
            grams.bits[word] |= bit;
        }
        grams
    }

    fn place(&self, gram: &[u8; GRAM]) -> (usize, u64) {
        let hash = u64::from_le_bytes(*gram).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift;
        (usize::try_from(hash >> 6).expect("below the number of words"), 1 << (hash & 63))
    }

    /// Whether the first bytes of `wanted` may be in the file; `false` for fewer than [`GRAM`].
    fn may_hold(&self, wanted: &[u8]) -> bool {
        wanted.first_chunk().is_some_and(|gram| {
            let (word, bit) = self.place(gram);
            self.bits[word] & bit != 0
        })
    }
}

/// The suffixes of a text in order.
fn sorted(text: &[u8]) -> Result<Vec<i32>, CreateError> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let sorted = SuffixArrayConstruction::for_text(text).in_owned_buffer32().single_threaded().run();
    let mut suffixes = sorted.map_err(|_| CreateError::Index("the suffix sort fails"))?.into_vec();
    suffixes.truncate(text.len());
    Ok(suffixes)
}

/// Counts, for each pair of bytes, the suffixes that are less than it. A suffix of one byte is less than all pairs
/// that start with its byte.
fn buckets(old: &[u8]) -> Vec<u32> {
    let mut counts = vec![0u32; (1 << 16) + 1];
    for pair in old.windows(2) {
        counts[(usize::from(pair[0]) << 8 | usize::from(pair[1])) + 1] += 1;
    }
    if let Some(last) = old.last() {
        counts[usize::from(*last) << 8] += 1;
    }
    let mut sum = 0;
    for count in &mut counts {
        sum += *count;
        *count = sum;
    }
    counts
}

fn place(rank: u32) -> usize {
    usize::try_from(rank).expect("ranks fit in memory")
}

/// Where the current alignment starts, in the old file and in the piece.
#[derive(Clone, Copy)]
struct Anchor {
    old: usize,
    new: usize,
}

impl Anchor {
    /// The place in the old file that the current diagonal gives for `new`.
    fn old_at(self, new: usize) -> usize {
        self.old + (new - self.new)
    }
}

/// The walk over one piece of the new file.
struct Scan<'a> {
    index: &'a SuffixIndex<'a>,
    new: &'a [u8],
    anchor: Option<Anchor>,
    covers: Vec<Cover>,
}

impl Scan<'_> {
    fn run(mut self) -> Vec<Cover> {
        let mut at = 0;
        while let Some((found, new)) = self.next_switch(at) {
            self.switch(found, new);
            at = new + found.len;
        }
        let end = self.new.len();
        if let Some(anchor) = self.anchor {
            let forward = self.forward(anchor, end);
            self.emit(anchor, forward);
        }
        self.covers
    }

    /// Looks from `at` on for the next match that is worth leaving the current diagonal for.
    fn next_switch(&self, mut at: usize) -> Option<(Match, usize)> {
        // `score` counts the bytes of `[at, counted)` that match on the current diagonal.
        let (mut score, mut counted) = (0, at);
        while at < self.new.len() {
            let run = self.run_on_diagonal(at);
            if run >= FOLLOW {
                at += run;
                (score, counted) = (0, at);
                continue;
            }
            if !self.index.grams.may_hold(&self.new[at..]) {
                if counted > at {
                    score -= usize::from(self.matches_on_diagonal(at));
                }
                at += 1;
                counted = counted.max(at);
                continue;
            }
            let wanted = &self.new[at..self.new.len().min(at + SEARCH)];
            let (found, rank) = self.index.longest(wanted);
            while counted < at + found.len {
                score += usize::from(self.matches_on_diagonal(counted));
                counted += 1;
            }
            if found.len > score + BEAT {
                let found = self.index.nearest(wanted, found, rank, self.expected(at));
                return Some((found, at));
            }
            if found.len > 0 && found.len == score {
                at += found.len;
                (score, counted) = (0, at);
                continue;
            }
            if counted > at {
                score -= usize::from(self.matches_on_diagonal(at));
            }
            at += 1;
            counted = counted.max(at);
        }
        None
    }

    fn expected(&self, new: usize) -> usize {
        self.anchor.map_or(0, |anchor| anchor.old_at(new))
    }

    fn run_on_diagonal(&self, new: usize) -> usize {
        let old = self.anchor.and_then(|anchor| self.index.old.get(anchor.old_at(new)..));
        old.map_or(0, |old| common_prefix(old, &self.new[new..]))
    }

    fn matches_on_diagonal(&self, new: usize) -> bool {
        self.anchor.is_some_and(|anchor| self.index.old.get(anchor.old_at(new)) == Some(&self.new[new]))
    }

    /// Ends the current alignment and starts that of `found`, which matches from `new` on.
    fn switch(&mut self, found: Match, new: usize) {
        let from = self.anchor.map_or(0, |anchor| anchor.new);
        let back = self.backward(found, new, from);
        let next = Anchor { old: found.old - back, new: new - back };
        if let Some(anchor) = self.anchor {
            let forward = self.forward(anchor, new);
            let end = anchor.new + forward;
            if end > next.new {
                return self.split(anchor, end, next);
            }
            self.emit(anchor, forward);
        }
        self.anchor = Some(next);
    }

    /// Gives each of two alignments that meet the part of `[next.new, end)` in which it matches better.
    fn split(&mut self, anchor: Anchor, end: usize, next: Anchor) {
        let (mut score, mut best_score, mut best) = (0i64, 0, next.new);
        for new in next.new..end {
            score += i64::from(self.index.old.get(anchor.old_at(new)) == Some(&self.new[new]));
            score -= i64::from(self.index.old.get(next.old_at(new)) == Some(&self.new[new]));
            if score > best_score {
                (best_score, best) = (score, new + 1);
            }
        }
        self.emit(anchor, best - anchor.new);
        self.anchor = Some(Anchor { old: next.old_at(best), new: best });
    }

    /// How far the alignment is worth following, up to `end`.
    fn forward(&self, anchor: Anchor, end: usize) -> usize {
        let len = (end - anchor.new).min(self.index.old.len() - anchor.old);
        let mut extension = Extension::without_end(&self.index.costs);
        extension.forward(&self.index.old[anchor.old..anchor.old + len], &self.new[anchor.new..anchor.new + len]);
        extension.best
    }

    /// How far a match is worth following to the left, down to `from`.
    fn backward(&self, found: Match, new: usize, from: usize) -> usize {
        let len = (new - from).min(found.old).min(MAX_BACK);
        let mut extension = Extension::new(&self.index.costs);
        extension.backward(&self.index.old[found.old - len..found.old], &self.new[new - len..new]);
        extension.best
    }

    fn emit(&mut self, anchor: Anchor, len: usize) {
        if len > 0 {
            let (old_offset, new_offset, len) = (anchor.old as u64, anchor.new as u64, len as u64);
            self.covers.push(Cover { old_offset, new_offset, len });
        }
    }
}
