//! Where a block should end and another begin.
//!
//! Tokens are cut into short segments, and neighbours are joined as long as one block is shorter than two: those first
//! that gain most.

use std::ops::Range;

use super::super::Window;
use super::block::Counts;
use super::cost::{BIT, log2};
use super::parse::Token;

/// At most so many segments are compared.
const MAX_SEGMENTS: usize = 2048;

struct Segment {
    range: Range<usize>,
    counts: Counts,
    bits: u64,
    /// How many bits it gains to join the next segment.
    gain: i64,
}

/// Cuts tokens into ranges, each to be a block.
pub(super) fn split(window: Window, tokens: &[Token], segment_tokens: usize) -> Vec<Range<usize>> {
    let step = segment_tokens.max(tokens.len().div_ceil(MAX_SEGMENTS));
    let mut segments: Vec<Segment> = (0..tokens.len())
        .step_by(step)
        .map(|start| {
            let range = start..tokens.len().min(start + step);
            let counts = Counts::of(window, &tokens[range.clone()]);
            let bits = estimate(&counts);
            Segment { range, counts, bits, gain: 0 }
        })
        .collect();
    for first in 1..segments.len() {
        update_gain(&mut segments, first - 1);
    }
    while segments.len() > 1 {
        let candidates = segments[..segments.len() - 1].iter().enumerate();
        let (first, gain) = candidates
            .map(|(first, segment)| (first, segment.gain))
            .max_by_key(|(first, gain)| (*gain, std::cmp::Reverse(*first)))
            .expect("more than one segment");
        if gain <= 0 {
            break;
        }
        let second = segments.remove(first + 1);
        let joined = &mut segments[first];
        joined.range.end = second.range.end;
        joined.counts.add_all(&second.counts);
        joined.bits = estimate(&joined.counts);
        if first + 1 < segments.len() {
            update_gain(&mut segments, first);
        }
        if first > 0 {
            update_gain(&mut segments, first - 1);
        }
    }
    segments.into_iter().map(|segment| segment.range).collect()
}

fn update_gain(segments: &mut [Segment], first: usize) {
    let [one, two, ..] = &mut segments[first..] else { return };
    let mut joined = one.counts.clone();
    joined.add_all(&two.counts);
    one.gain = one.bits.cast_signed() + two.bits.cast_signed() - estimate(&joined).cast_signed();
}

/// Roughly what a block of such symbols takes.
fn estimate(counts: &Counts) -> u64 {
    let (main, main_used) = entropy_bits(&counts.main);
    let (length, length_used) = entropy_bits(&counts.length);
    let (aligned, _) = entropy_bits(&counts.aligned);
    let trees = 27 + 3 * 80 + 4 * (main_used + length_used);
    let bits = trees + main + length + counts.other_bits + aligned.min(counts.low_bits());
    bits.min(counts.raw_bits())
}

/// The bits that these symbols take with the best code, and how many different ones there are.
fn entropy_bits(counts: &[u32]) -> (u64, u64) {
    let total: u32 = counts.iter().sum();
    if total == 0 {
        return (0, 0);
    }
    let all = u64::from(log2(total));
    let (mut parts, mut used) = (0, 0);
    for count in counts.iter().filter(|count| **count > 0) {
        parts += u64::from(*count) * (all - u64::from(log2(*count)));
        used += 1;
    }
    (parts / u64::from(BIT), used)
}
