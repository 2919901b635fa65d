//! Joins covers and drops those that cost more than they save.
//!
//! Costs are in bits and come from measurement (`docs/design/delta-engine.md`): they need not be exact, only the same
//! everywhere.

use std::io;

use patchwright_formats::ReadAt;

use crate::cover::Cover;
use crate::old::CachedOld;
use crate::segment::common_prefix;

/// What a cover costs: lengths and seek.
const COVER: i64 = 60;

/// What a cover costs that goes on where the last one would have gone on.
const COVER_ON_DIAGONAL: i64 = 16;

/// What a corrected byte costs: gap and value.
const CORRECTION: i64 = 8;

/// What a literal byte costs.
const LITERAL: i64 = 5;

/// The longest gap between two covers on one diagonal that is looked at.
const MAX_JOIN: u64 = 4096;

/// Makes the best of `covers`, which are in order and lie inside `output`, at `start` of the new file.
///
/// They may touch but not overlap.
pub(super) fn refine(old: &dyn ReadAt, output: &[u8], start: u64, covers: Vec<Cover>) -> io::Result<Vec<Cover>> {
    let mut old = CachedOld::new(old);
    let joined = join(&mut old, output, start, covers)?;
    let kept = drop_costly(&mut old, output, start, joined)?;
    join(&mut old, output, start, kept)
}

fn join(old: &mut CachedOld<'_>, output: &[u8], start: u64, covers: Vec<Cover>) -> io::Result<Vec<Cover>> {
    let mut joined: Vec<Cover> = Vec::with_capacity(covers.len());
    for cover in covers {
        match joined.last_mut() {
            Some(last) if on_one_diagonal(*last, cover) && gap_pays(old, output, start, *last, cover)? => {
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
fn gap_pays(old: &mut CachedOld<'_>, output: &[u8], start: u64, before: Cover, after: Cover) -> io::Result<bool> {
    let gap =
        Cover { old_offset: before.old_end(), new_offset: before.new_end(), len: after.new_offset - before.new_end() };
    let literal = signed(gap.len) * LITERAL + COVER_ON_DIAGONAL;
    Ok(signed(differences(old, output, start, gap)?) * CORRECTION <= literal)
}

fn drop_costly(old: &mut CachedOld<'_>, output: &[u8], start: u64, covers: Vec<Cover>) -> io::Result<Vec<Cover>> {
    let mut kept: Vec<Cover> = Vec::with_capacity(covers.len());
    for cover in covers {
        let goes_on = kept.last().is_some_and(|last| on_one_diagonal(*last, cover));
        let cost = if goes_on { COVER_ON_DIAGONAL } else { COVER };
        let worth = |differences: u64| signed(cover.len) * LITERAL - signed(differences) * CORRECTION > cost;
        // Long covers come from the matchers only when they pay.
        if cover.len >= MAX_JOIN || worth(differences(old, output, start, cover)?) {
            kept.push(cover);
        }
    }
    Ok(kept)
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
    walked: usize,
    score: i64,
    best_score: i64,
    /// The length at which the sum was best.
    pub(super) best: usize,
}

impl Default for Extension {
    fn default() -> Self {
        Self { give_up: Self::GIVE_UP, ..Self::without_end() }
    }
}

impl Extension {
    /// How far the sum may fall before the walk ends.
    const GIVE_UP: i64 = 32 * Self::MATCH;
    const MATCH: i64 = 5;
    const MISMATCH: i64 = -4;

    /// A walk that ends only where its bytes do.
    pub(super) const fn without_end() -> Self {
        Self { give_up: i64::MAX / 2, walked: 0, score: 0, best_score: 0, best: 0 }
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
        self.score += Self::MATCH * i64::try_from(len).expect("at most a segment");
        self.note_best();
    }

    fn pair(&mut self, equal: bool) -> bool {
        self.walked += 1;
        self.score += if equal { Self::MATCH } else { Self::MISMATCH };
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
