//! Matching of two views of the same lengths as the files they stand for.

use std::ops::Range;

use rayon::prelude::*;

use crate::cover::Cover;

use super::covers::{self, Costs};
use super::sampled::{DENSE, SampleIndex};
use super::suffixes::SuffixIndex;
use super::{CreateError, PIECE};

/// From this length of the old view on, long equal runs are looked for before it is sorted.
const LARGE: usize = 4 << 20;

/// How long such a run is at least.
const RUN: usize = 1 << 10;

/// The distance between two samples for the search for runs: one in four of their length.
const SPARSE: usize = RUN / 4;

/// Runs are worth it when they leave at most one in so many bytes of the old view to be sorted.
const LEFT: usize = 4;

/// Finds covers by a suffix array of the old view; of what is left of it by long equal runs, when that is little.
pub(crate) fn covers(old: &[u8], new: &[u8]) -> Result<Vec<Cover>, CreateError> {
    let all = match runs(old, new) {
        Some((runs, left)) => between(old, new, &runs, &left)?,
        None => {
            let index = SuffixIndex::new(old, Costs::NATIVE)?;
            in_pieces(new, |piece| index.covers(piece))
        }
    };
    covers::refine(&old, new, 0, all, &Costs::NATIVE).map_err(CreateError::OldRead)
}

/// Long equal runs, and the parts of the old view that are in none of them; `None` if that is much.
fn runs(old: &[u8], new: &[u8]) -> Option<(Vec<Cover>, Vec<Range<usize>>)> {
    if old.len() < LARGE {
        return None;
    }
    let index = SampleIndex::new(old, SPARSE, Costs::NATIVE);
    let runs = in_pieces(new, |piece| index.runs(piece, RUN));
    let mut used: Vec<Range<usize>> = runs.iter().map(|run| place(run.old_offset)..place(run.old_end())).collect();
    used.sort_unstable_by_key(|used| (used.start, used.end));
    let mut left = Vec::new();
    let mut end = 0;
    for used in used.into_iter().chain(std::iter::once(old.len()..old.len())) {
        if used.start > end {
            left.push(end..used.start);
        }
        end = end.max(used.end);
    }
    let rest: usize = left.iter().map(Range::len).sum();
    (rest <= old.len() / LEFT).then_some((runs, left))
}

/// Searches what is between runs in the parts of the old view that they leave.
fn between(old: &[u8], new: &[u8], runs: &[Cover], left: &[Range<usize>]) -> Result<Vec<Cover>, CreateError> {
    let index = SuffixIndex::of_parts(old, left, Costs::NATIVE)?;
    let starts = runs.iter().map(|run| Some((place(run.old_end()), place(run.new_end()))));
    let ends = runs.iter().map(|run| place(run.new_offset)).chain([new.len()]);
    let gaps: Vec<(Option<usize>, Range<usize>)> = [None]
        .into_iter()
        .chain(starts)
        .zip(ends)
        .flat_map(|(after, end)| {
            let (expected, start) = after.map_or((None, 0), |(old, new)| (Some(old), new));
            // The pieces of a long gap after its first one start anywhere.
            (start..end).step_by(PIECE).map(move |at| (expected.filter(|_| at == start), at..end.min(at + PIECE)))
        })
        .collect();
    let found: Vec<Vec<Cover>> = gaps
        .into_par_iter()
        .map(|(expected, gap)| {
            let start = gap.start as u64;
            let found = match expected {
                Some(expected) => index.covers_after(expected, &new[gap]),
                None => index.covers(&new[gap]),
            };
            found.into_iter().map(|cover| Cover { new_offset: cover.new_offset + start, ..cover }).collect()
        })
        .collect();
    let mut all = found.concat();
    all.extend_from_slice(runs);
    all.sort_unstable_by_key(|cover| cover.new_offset);
    Ok(all)
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).expect("views are in memory")
}

/// Finds covers by an index of samples of the old view: less, and much faster.
pub(crate) fn quick_covers(old: &[u8], new: &[u8]) -> Result<Vec<Cover>, CreateError> {
    let index = SampleIndex::new(old, DENSE, Costs::SAMPLES);
    let all = in_pieces(new, |piece| index.covers(piece));
    drop(index);
    covers::refine(&old, new, 0, all, &Costs::SAMPLES).map_err(CreateError::OldRead)
}

/// Finds the covers of all pieces in parallel. Pieces are of one size, whatever the number of threads.
fn in_pieces(new: &[u8], find: impl Fn(&[u8]) -> Vec<Cover> + Sync + Send) -> Vec<Cover> {
    let pieces: Vec<Vec<Cover>> = new.par_chunks(PIECE).map(find).collect();
    let mut all = Vec::with_capacity(pieces.iter().map(Vec::len).sum());
    for (number, piece) in pieces.into_iter().enumerate() {
        let from = (number * PIECE) as u64;
        all.extend(piece.into_iter().map(|cover| Cover { new_offset: cover.new_offset + from, ..cover }));
    }
    all
}

/// Puts what `others` know of the gaps between `found` into them.
pub(crate) fn fill_gaps(
    old: &[u8],
    new: &[u8],
    found: Vec<Cover>,
    others: &[Cover],
) -> Result<Vec<Cover>, CreateError> {
    let mut all = Vec::with_capacity(found.len());
    let mut rest = others;
    let mut end = 0;
    let last = Cover { old_offset: 0, new_offset: new.len() as u64, len: 0 };
    for cover in found.into_iter().chain([last]) {
        while let Some(other) = rest.first() {
            let from = other.new_offset.max(end);
            let to = other.new_end().min(cover.new_offset);
            if from < to {
                all.push(Cover {
                    old_offset: other.old_offset + (from - other.new_offset),
                    new_offset: from,
                    len: to - from,
                });
            }
            if other.new_end() > cover.new_offset {
                break;
            }
            rest = &rest[1..];
        }
        end = cover.new_end();
        all.push(cover);
    }
    all.pop();
    covers::refine(&old, new, 0, all, &Costs::NATIVE).map_err(CreateError::OldRead)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that look like no others of another seed.
    fn noise(seed: u64, len: usize) -> Vec<u8> {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        (0..len).map(|_| next()).collect()
    }

    /// A large file, and one in which parts of it moved, changed here and there, with something new between.
    fn little_changed() -> (Vec<u8>, Vec<u8>) {
        let old = noise(1, LARGE + 500_000);
        let mut moved = old[700_000..3_000_000].to_vec();
        for at in (500..moved.len()).step_by(70_001) {
            moved[at] ^= 1;
        }
        // Shorter than a run, and found in what the runs leave.
        let new = [&old[..600_000], &noise(2, 3000), &old[610_000..610_900], &moved, &old[3_000_000..]].concat();
        (old, new)
    }

    #[test]
    fn large_little_changed_files_are_not_sorted_whole() {
        let (old, new) = little_changed();
        let (_, left) = runs(&old, &new).expect("most of it is in runs");
        let left: usize = left.iter().map(Range::len).sum();
        assert!((100_000..120_000).contains(&left), "{left}");
        let found = covers(&old, &new).unwrap();
        let found: Vec<_> = found.iter().map(|cover| (cover.old_offset, cover.new_offset, cover.len)).collect();
        let rest = (old.len() - 700_000) as u64;
        assert_eq!(found, [(0, 0, 600_000), (610_000, 603_000, 900), (700_000, 603_900, rest)]);
        assert!(runs(&old, &noise(3, old.len())).is_none());
    }

    #[test]
    fn covers_do_not_depend_on_the_number_of_threads() {
        let (old, new) = little_changed();
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| (covers(&old, &new).unwrap(), quick_covers(&old, &new).unwrap()))
        };
        let one = with(1);
        for threads in [2, 3, 5] {
            assert_eq!(with(threads), one, "{threads}");
        }
    }
}
