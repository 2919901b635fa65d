//! Matches by an index of samples of the old file: no sort, a pass over each file.
//!
//! Sixteen bytes at every eighth place of the old file are indexed, and all of the new file are looked up, so that every
//! run of 23 equal bytes is found. From there an alignment is followed both ways as long as it pays, over bytes that
//! differ too: in code most of them belong to references, and will be foretold.
//!
//! With samples further apart the same index finds long equal runs before a suffix sort: what they cover is not sorted.

use rayon::prelude::*;

use crate::cover::Cover;
use crate::segment::common_prefix;

use super::covers::{Costs, Extension};

/// The length of a sample in bytes.
const SAMPLE: usize = 16;

/// The distance between two samples of the old file for a search by samples alone.
pub(super) const DENSE: usize = 8;

/// How many places are kept for one hash: the last ones.
const WAYS: usize = 4;

/// How many parts of the index are filled apart from each other; a power of two.
const PARTS: usize = 4;

/// How far a match is followed to the left: a bound on work done twice on periodic files.
const MAX_BACK: usize = 8 << 10;

/// How much is followed at a time to the right before it is asked whether that still pays.
const STEP: usize = 4 << 10;

/// An index of the samples of a file shorter than 4 GiB.
pub(super) struct SampleIndex<'a> {
    old: &'a [u8],
    /// Numbers of samples plus one; zero where there is none. The last to come is the first.
    buckets: Vec<[u32; WAYS]>,
    /// From one sample to the next.
    distance: usize,
    costs: Costs,
}

impl<'a> SampleIndex<'a> {
    /// Indexes what is at every `distance`-th place.
    pub(super) fn new(old: &'a [u8], distance: usize, costs: Costs) -> Self {
        let place = |number| place(number, distance);
        let count = (old.len() / distance / 2).next_power_of_two().max(PARTS);
        let mut buckets = vec![[0u32; WAYS]; count];
        // Each part goes through the whole file and keeps what belongs to it: so threads share neither places nor order.
        buckets.par_chunks_mut(count / PARTS).enumerate().for_each(|(part, buckets)| {
            let first = part * buckets.len();
            for (number, sample) in (1u32..).zip(old.windows(SAMPLE).step_by(distance)) {
                let Some(sample) = sample.first_chunk() else { continue };
                let Some(places) = bucket(sample, count).checked_sub(first).and_then(|at| buckets.get_mut(at)) else {
                    continue;
                };
                // One place is enough for what repeats: zeros would drive everything else out.
                let last = places[0].checked_sub(1).map(place);
                if last.is_none_or(|last| old[last..last + SAMPLE] != sample[..]) {
                    places.rotate_right(1);
                    places[0] = number;
                }
            }
        });
        Self { old, buckets, distance, costs }
    }

    /// Where the old file holds the sample: at `expected`, or as near to it as is known.
    fn find(&self, sample: &[u8; SAMPLE], expected: Option<usize>) -> Option<usize> {
        let holds = |old: usize| self.old.get(old..).is_some_and(|rest| rest.starts_with(sample));
        if let Some(expected) = expected.filter(|old| holds(*old)) {
            return Some(expected);
        }
        let place = |number| place(number, self.distance);
        let places = self.buckets[bucket(sample, self.buckets.len())]
            .iter()
            .map_while(|number| number.checked_sub(1).map(place));
        let near = expected.unwrap_or(0);
        places.filter(|old| holds(*old)).min_by_key(|old| (old.abs_diff(near), *old))
    }

    /// Finds the covers of a piece of the new file; their new offsets count from the start of the piece.
    pub(super) fn covers(&self, new: &[u8]) -> Vec<Cover> {
        let mut covers: Vec<Cover> = Vec::new();
        // Where the last cover would go on, and where it ends in the piece.
        let (mut last, mut end, mut at) = (None, 0, 0);
        while let Some(sample) = new.get(at..).and_then(|rest| rest.first_chunk()) {
            let expected = last.map(|old: usize| old + (at - end));
            let Some(old) = self.find(sample, expected) else {
                at += 1;
                continue;
            };
            let back = self.back(old, &new[end..at]);
            let len = back + self.forward(old, &new[at..]);
            let (old, start) = (old - back, at - back);
            covers.push(Cover { old_offset: old as u64, new_offset: start as u64, len: len as u64 });
            end = start + len;
            last = Some(old + len);
            at = end;
        }
        covers
    }

    /// Finds runs of at least `least` equal bytes, apart from each other in the piece; their new offsets count from its
    /// start.
    pub(super) fn runs(&self, new: &[u8], least: usize) -> Vec<Cover> {
        let mut runs: Vec<Cover> = Vec::new();
        let (mut last, mut end, mut at) = (None, 0, 0);
        while let Some(sample) = new.get(at..).and_then(|rest| rest.first_chunk()) {
            let expected = last.map(|old: usize| old + (at - end));
            let Some(old) = self.find(sample, expected) else {
                at += 1;
                continue;
            };
            let equal = common_prefix(&self.old[old..], &new[at..]);
            let before = self.old[..old].iter().rev().zip(new[end..at].iter().rev());
            let back = before.take(least).take_while(|(old, new)| old == new).count();
            at += equal;
            if back + equal >= least {
                let (old_offset, new_offset) = ((old - back) as u64, (at - equal - back) as u64);
                runs.push(Cover { old_offset, new_offset, len: (back + equal) as u64 });
                (last, end) = (Some(old + equal), at);
            }
        }
        runs
    }

    /// How many bytes before the match are worth having, of those before it in the piece.
    fn back(&self, old: usize, before: &[u8]) -> usize {
        let len = before.len().min(old).min(MAX_BACK);
        let mut extension = Extension::new(&self.costs);
        extension.backward(&self.old[old - len..old], &before[before.len() - len..]);
        extension.best
    }

    /// How far the match is worth following; at least as far as it is one.
    fn forward(&self, old: usize, new: &[u8]) -> usize {
        let old = &self.old[old..];
        let len = old.len().min(new.len());
        let equal = common_prefix(old, new);
        let mut extension = Extension::new(&self.costs);
        let mut at = equal;
        while at < len {
            let step = (len - at).min(STEP);
            if !extension.forward(&old[at..at + step], &new[at..at + step]) {
                break;
            }
            at += step;
        }
        equal + extension.best
    }
}

/// The bucket of a sample among `count` of them, a power of two.
fn bucket(sample: &[u8; SAMPLE], count: usize) -> usize {
    let [low, high] = [0, SAMPLE - 8].map(|at| u64::from_le_bytes(*sample[at..].first_chunk().expect("eight bytes")));
    let mixed = (low ^ high.rotate_left(29)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 32;
    usize::try_from(mixed).expect("32 bits") & (count - 1)
}

/// Where a sample starts.
fn place(number: u32, distance: usize) -> usize {
    usize::try_from(number).expect("samples are in memory") * distance
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

    fn check(old: &[u8], new: &[u8], expected: &[(u64, u64, u64)]) {
        let found = SampleIndex::new(old, DENSE, Costs::SAMPLES).covers(new);
        let found: Vec<_> = found.iter().map(|cover| (cover.old_offset, cover.new_offset, cover.len)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn equal_runs_of_23_bytes_are_found_wherever_they_are() {
        let old = noise(1, 1000);
        for at in 100..120 {
            let new = [noise(2, 50), old[at..at + 23].to_vec(), noise(3, 50)].concat();
            let found = SampleIndex::new(&old, DENSE, Costs::SAMPLES).covers(&new);
            assert!(found.iter().any(|cover| cover.old_offset + 50 == cover.new_offset + at as u64), "{at}: {found:?}");
        }
    }

    #[test]
    fn alignments_go_on_over_bytes_that_differ() {
        let old = noise(1, 4000);
        let mut new = old.clone();
        for at in (100..3900).step_by(37) {
            new[at] ^= 0x55;
        }
        check(&old, &new, &[(0, 0, 4000)]);
        let moved = [noise(2, 77), new].concat();
        check(&old, &moved, &[(0, 77, 4000)]);
    }

    #[test]
    fn of_several_places_the_one_near_the_last_cover_is_taken() {
        let (same, a, b) = (noise(1, 64), noise(2, 640), noise(3, 640));
        let old = [&same[..], &a, &same, &b, &same].concat();
        check(&old, &[&a[..], &same].concat(), &[(64, 0, 704)]);
    }

    #[test]
    fn long_equal_runs_are_found_whole() {
        let old = noise(1, 20_000);
        let new =
            [&noise(2, 99)[..], &old[3001..6000], &noise(3, 500), &old[10_000..10_900], &old[12_000..20_000]].concat();
        let runs = SampleIndex::new(&old, 256, Costs::SAMPLES).runs(&new, 1024);
        let found: Vec<_> = runs.iter().map(|run| (run.old_offset, run.new_offset, run.len)).collect();
        assert_eq!(found, [(3001, 99, 2999), (12_000, 4498, 8000)]);
    }

    #[test]
    fn short_and_empty_files_have_no_covers() {
        for (old, new) in [(0, 100), (100, 0), (15, 15), (7, 100)] {
            check(&noise(1, old), &noise(1, new), &[]);
        }
    }
}
