//! Lays one byte string over another: pieces that are the same but for small changes.

use std::ops::Range;

/// `len` bytes of the old string that lie under as many of the new one. Few, but not none of them may differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) old: usize,
    pub(super) new: usize,
    pub(super) len: usize,
}

/// How many bytes are looked up at a time.
const SEED: usize = 8;
/// The shortest match that can begin a piece.
const SHORTEST: usize = 12;
/// By how many bytes a match must be better than going on as before.
const BETTER_BY: usize = 8;
/// How many places are looked at for every seed.
const DEPTH: usize = 64;
/// How far matches are followed in a search.
const FAR: usize = 1 << 12;

/// Pieces in the order of the new string, not overlapping there.
pub(super) fn align(old: &[u8], new: &[u8]) -> Vec<Piece> {
    let index = Index::new(old);
    let mut pieces: Vec<Piece> = Vec::new();
    // The piece being grown: where it lies, and up to where it is known to be good.
    let mut current: Option<Piece> = None;
    let mut at = 0;
    while at + SEED <= new.len() {
        let here = current.map(|piece| piece.old + (at - piece.new));
        let going_on = here.map_or(0, |here| common_len(&old[here.min(old.len())..], &new[at..], usize::MAX));
        if going_on >= SEED {
            at += going_on;
            current = current.map(|piece| Piece { len: at - piece.new, ..piece });
            continue;
        }
        if let Some((found, len)) = index.longest(old, new, at) {
            let same = here.map_or(0, |here| equal_bytes(old, here, new, at..at + len));
            if len >= SHORTEST && len > same + BETTER_BY {
                let start = match &mut current {
                    Some(piece) => divide(old, new, piece, found, at),
                    None => at - common_suffix_len(&old[..found], &new[..at]),
                };
                pieces.extend(current.take());
                at += len;
                current = Some(Piece { old: found + start + len - at, new: start, len: at - start });
                continue;
            }
        }
        at += 1;
    }
    pieces.extend(current);
    pieces.retain(|piece| piece.len > 0);
    pieces
}

/// Divides what lies between the good part of `piece` and `at`, where the match with `found` begins; returns where the
/// next piece begins.
fn divide(old: &[u8], new: &[u8], piece: &mut Piece, found: usize, at: usize) -> usize {
    let good = piece.new + piece.len;
    let reach = (at - good).min(found);
    let equal = |old_at: Option<usize>, new_at: usize| old_at.and_then(|at| old.get(at)) == new.get(new_at);
    // From right to left: bytes that the next piece gains, less those that the piece before loses.
    let mut score = 0i64;
    let (mut best, mut start) = (0i64, at);
    for back in 1..=reach {
        score += i64::from(equal(Some(found - back), at - back));
        score -= i64::from(equal(Some(piece.old + (at - back - piece.new)), at - back));
        if score > best {
            (best, start) = (score, at - back);
        }
    }
    // The piece before keeps the rest as far as it is in the old string.
    piece.len = (start - piece.new).min(old.len().saturating_sub(piece.old));
    start
}

fn common_len(old: &[u8], new: &[u8], limit: usize) -> usize {
    old.iter().zip(new).take(limit).take_while(|(old, new)| old == new).count()
}

fn common_suffix_len(old: &[u8], new: &[u8]) -> usize {
    old.iter().rev().zip(new.iter().rev()).take_while(|(old, new)| old == new).count()
}

fn equal_bytes(old: &[u8], old_at: usize, new: &[u8], range: Range<usize>) -> usize {
    let old = &old[old_at.min(old.len())..];
    old.iter().zip(&new[range]).filter(|(old, new)| old == new).count()
}

/// Where in the old string each seed is: chains through the places with the same hash.
struct Index {
    heads: Vec<u32>,
    before: Vec<u32>,
    bits: u32,
}

const NONE: u32 = u32::MAX;

impl Index {
    fn new(old: &[u8]) -> Self {
        let bits = (old.len().max(2).ilog2() + 1).clamp(8, 22);
        let mut index = Self { heads: vec![NONE; 1 << bits], before: vec![NONE; old.len()], bits };
        // From the end, so that chains begin with the first place.
        for at in (0..old.len().saturating_sub(SEED - 1)).rev() {
            if let Some(slot) = index.slot(&old[at..]) {
                index.before[at] = index.heads[slot];
                index.heads[slot] = u32::try_from(at).unwrap_or(NONE);
            }
        }
        index
    }

    /// The chain of a seed; `None` for runs of one byte, which are everywhere.
    fn slot(&self, bytes: &[u8]) -> Option<usize> {
        let seed = bytes.first_chunk::<SEED>()?;
        if seed.iter().all(|byte| *byte == seed[0]) {
            return None;
        }
        let hash = u64::from_le_bytes(*seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - self.bits);
        usize::try_from(hash).ok()
    }

    /// The place of the longest match with `new[at..]`, and its length; the first of several.
    fn longest(&self, old: &[u8], new: &[u8], at: usize) -> Option<(usize, usize)> {
        let mut best = None;
        let mut best_len = SEED - 1;
        let mut place = self.heads[self.slot(&new[at..])?];
        for _ in 0..DEPTH {
            if place == NONE {
                break;
            }
            let start = place as usize;
            let len = common_len(&old[start..], &new[at..], FAR);
            if len > best_len {
                (best, best_len) = (Some((start, len)), len);
            }
            place = self.before[start];
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_follow_what_has_moved_and_bear_small_changes() {
        let text: Vec<u8> = (0..4000u32).map(|i| (i.wrapping_mul(i) >> 3) as u8 ^ (i >> 5) as u8).collect();
        let mut new = [&text[2000..], b"something else, and long enough", &text[..2000]].concat();
        new[300] ^= 1;
        let pieces = align(&text, &new);
        for (at, expect) in [(10, 2010), (299, 2299), (301, 2301), (2100, 2100 - 2031)] {
            let piece = pieces.iter().find(|piece| (piece.new..piece.new + piece.len).contains(&at)).unwrap();
            assert_eq!(piece.old + at - piece.new, expect);
        }
        for pair in pieces.windows(2) {
            assert!(pair[0].new + pair[0].len <= pair[1].new);
        }
    }

    #[test]
    fn strings_without_anything_in_common_have_no_pieces() {
        assert_eq!(align(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13], &[0; 100]), []);
        assert_eq!(align(b"", b"new new new new new"), []);
        assert_eq!(align(b"old old old old old", b""), []);
    }
}
