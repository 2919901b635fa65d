//! Joins covers and drops those that cost more than they save.
//!
//! Costs are in bits and come from measurement (`docs/design/delta-engine.md`): they need not be exact, only the same
//! everywhere.

use std::io;

use patchwright_formats::ReadAt;

use crate::cover::Cover;
use crate::old::CachedOld;
use crate::segment::common_prefix;

/// What the parts of a body cost, in bits, and what a walk along a diagonal counts for them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Costs {
    /// A cover: lengths and seek.
    cover: i64,
    /// For each bit of the distance from where the last cover would have gone on.
    seek_bit: i64,
    /// A cover that goes on where the last one would have gone on.
    cover_on_diagonal: i64,
    /// A corrected byte: gap and value.
    correction: i64,
    /// A literal byte.
    literal: i64,
    /// A byte of a cover that is the same on both sides, for the walk that finds its ends.
    equal: i64,
    /// One that is not.
    unequal: i64,
}

impl Costs {
    /// Bodies of compressed streams.
    pub(crate) const STREAMS: Self =
        Self { cover: 60, seek_bit: 0, cover_on_diagonal: 16, correction: 8, literal: 5, equal: 5, unequal: -4 };

    /// Bodies for native programs, whose heads code a distance in about as many bits as it has.
    pub(crate) const NATIVE: Self = Self { cover: 0, seek_bit: 5, ..Self::STREAMS };

    /// For matches found by samples of the bytes as they are: those of another place look alike for a while, and a better
    /// one is found soon.
    pub(crate) const SAMPLES: Self = Self { unequal: -14, ..Self::STREAMS };
}

/// The longest gap between two covers on one diagonal that is looked at.
const MAX_JOIN: u64 = 4096;

/// Makes the best of `covers`, which are in order and lie inside `output`, at `start` of the new file.
///
/// They may touch but not overlap.
pub(super) fn refine(
    old: &dyn ReadAt,
    output: &[u8],
    start: u64,
    covers: Vec<Cover>,
    costs: &Costs,
) -> io::Result<Vec<Cover>> {
    let mut old = CachedOld::new(old);
    let joined = join(&mut old, output, start, covers, costs)?;
    let kept = drop_costly(&mut old, output, start, joined, costs)?;
    join(&mut old, output, start, kept, costs)
}

fn join(
    old: &mut CachedOld<'_>,
    output: &[u8],
    start: u64,
    covers: Vec<Cover>,
    costs: &Costs,
) -> io::Result<Vec<Cover>> {
    let mut joined: Vec<Cover> = Vec::with_capacity(covers.len());
    for cover in covers {
        match joined.last_mut() {
            Some(last) if on_one_diagonal(*last, cover) && gap_pays(old, output, start, *last, cover, costs)? => {
                last.len = cover.new_end() - last.new_offset;
            }
            _ => joined.push(cover),
        }
    }
    Ok(joined)
}

fn on_one_diagonal(before: Cover, after: Cover) -> bool {
    let distance = after.new_offset - before.new_end();
    distance <= MAX_JOIN && before.old_end().checked_add(distance) == Some(after.old_offset)
}

/// Whether the bytes between two covers are cheaper as covered bytes with corrections.
fn gap_pays(
    old: &mut CachedOld<'_>,
    output: &[u8],
    start: u64,
    before: Cover,
    after: Cover,
    costs: &Costs,
) -> io::Result<bool> {
    let gap =
        Cover { old_offset: before.old_end(), new_offset: before.new_end(), len: after.new_offset - before.new_end() };
    let literal = signed(gap.len) * costs.literal + costs.cover_on_diagonal;
    Ok(signed(differences(old, output, start, gap)?) * costs.correction <= literal)
}

fn drop_costly(
    old: &mut CachedOld<'_>,
    output: &[u8],
    start: u64,
    covers: Vec<Cover>,
    costs: &Costs,
) -> io::Result<Vec<Cover>> {
    let mut kept: Vec<Cover> = Vec::with_capacity(covers.len());
    for cover in covers {
        let goes_on = kept.last().is_some_and(|last| on_one_diagonal(*last, cover));
        let seek = costs.seek_bit * seek_bits(kept.last(), cover);
        let cost = if goes_on { costs.cover_on_diagonal } else { costs.cover + seek };
        let worth =
            |differences: u64| signed(cover.len) * costs.literal - signed(differences) * costs.correction > cost;
        // Long covers come from the matchers only when they pay.
        if cover.len >= MAX_JOIN || worth(differences(old, output, start, cover)?) {
            kept.push(cover);
        }
    }
    Ok(kept)
}

/// How many bits the distance has from where the last cover would go on to where this one starts.
fn seek_bits(last: Option<&Cover>, cover: Cover) -> i64 {
    let on_diagonal = |last: &Cover| last.old_end() + (cover.new_offset - last.new_end());
    let expected = last.map_or(cover.new_offset, on_diagonal);
    i64::from(u64::BITS - cover.old_offset.abs_diff(expected).leading_zeros())
}

/// How many bytes of a cover need correction.
fn differences(old: &mut CachedOld<'_>, output: &[u8], start: u64, cover: Cover) -> io::Result<u64> {
    let mut buffer = [0; 4096];
    let old_bytes = &mut buffer[..index(cover.len)];
    old.read(old_bytes, cover.old_offset)?;
    let at = index(cover.new_offset - start);
    let new_bytes = &output[at..at + old_bytes.len()];
    Ok(old_bytes.iter().zip(new_bytes).filter(|(old, new)| old != new).count() as u64)
}

fn signed(len: u64) -> i64 {
    i64::try_from(len).expect("at most a segment")
}

fn index(within: u64) -> usize {
    usize::try_from(within).expect("at most a segment")
}

/// Extends an alignment while it pays: a matching byte saves a literal, another one costs a correction.
///
/// Ends at the best length once the sum is [`Extension::GIVE_UP`] below its best. Shared by both directions: the
/// caller feeds pairs of bytes outwards.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extension {
    give_up: i64,
    equal: i64,
    unequal: i64,
    walked: usize,
    score: i64,
    best_score: i64,
    /// The length at which the sum was best.
    pub(super) best: usize,
}

impl Extension {
    /// How far the sum may fall before the walk ends, in equal bytes.
    const GIVE_UP: i64 = 32;

    /// A walk that ends once it no longer pays.
    pub(super) const fn new(costs: &Costs) -> Self {
        Self { give_up: Self::GIVE_UP * costs.equal, ..Self::without_end(costs) }
    }

    /// A walk that ends only where its bytes do.
    pub(super) const fn without_end(costs: &Costs) -> Self {
        let (equal, unequal) = (costs.equal, costs.unequal);
        Self { give_up: i64::MAX / 2, equal, unequal, walked: 0, score: 0, best_score: 0, best: 0 }
    }

    /// Walks forward over two stretches of the same length; `false` when the walk is over.
    pub(super) fn forward(&mut self, old: &[u8], new: &[u8]) -> bool {
        let mut at = 0;
        while at < old.len() {
            let equal = common_prefix(&old[at..], &new[at..]);
            self.matching(equal);
            at += equal;
            if at < old.len() && !self.pair(false) {
                return false;
            }
            at += 1;
        }
        true
    }

    /// Walks backward from the ends of two stretches of the same length; `false` when the walk is over.
    pub(super) fn backward(&mut self, old: &[u8], new: &[u8]) -> bool {
        old.iter().rev().zip(new.iter().rev()).all(|(old, new)| self.pair(old == new))
    }

    fn matching(&mut self, len: usize) {
        self.walked += len;
        self.score += self.equal * i64::try_from(len).expect("at most a segment");
        self.note_best();
    }

    fn pair(&mut self, equal: bool) -> bool {
        self.walked += 1;
        self.score += if equal { self.equal } else { self.unequal };
        self.note_best();
        self.score > self.best_score - self.give_up
    }

    fn note_best(&mut self) {
        if self.score > self.best_score {
            self.best_score = self.score;
            self.best = self.walked;
        }
    }
}
