//! Binary trees over suffixes, which find the longest match of all and the shortest distance for every shorter one.
//!
//! All positions whose first four bytes have the same hash are in one tree, ordered by what follows, the latest at the
//! root. Looking for a position and adding it is one walk. The walk is bounded in depth and in the bytes that it compares,
//! so zeros and periodic data take no longer than other data.

use super::matches::Match;
use super::{CHUNK_LEN, Data, index, narrow};

/// So many bytes that are compared count as one more level of depth.
const LONG_COMPARISON: usize = 512;

pub(super) struct Trees {
    depth: usize,
    /// By hash of four bytes: the position at the root of a tree and one, or 0.
    roots: Vec<u32>,
    root_bits: u32,
    /// For positions modulo a power of two that is at least the window: the subtrees that are less and greater.
    children: Vec<[u32; 2]>,
}

impl Trees {
    /// Trees in which a walk compares `depth` positions at most.
    pub(super) fn new(data: &Data, depth: usize) -> Self {
        let reach = data.bytes.len().min(data.window.len_bytes()).next_power_of_two();
        let root_bits = reach.ilog2().clamp(12, 22);
        Self { depth, roots: vec![0; 1 << root_bits], root_bits, children: vec![[0; 2]; reach] }
    }

    /// Adds `at` to its tree; reports each match that is longer than those before it, and returns the last one.
    pub(super) fn walk(&mut self, data: &Data, at: usize, mut report: impl FnMut(Match)) -> Match {
        let bytes = &data.bytes[..];
        let Some(next) = bytes[at..].first_chunk::<4>() else { return Match::default() };
        let hash = u32::from_le_bytes(*next).wrapping_mul(0x9E37_79B1) >> (32 - self.root_bits);
        let mask = self.children.len() - 1;
        let limit = CHUNK_LEN.min(bytes.len() - at);
        let mut current = std::mem::replace(&mut self.roots[index(hash)], narrow(at + 1));
        let mut longest = Match { distance: 0, len: 3 };
        // Where the next node that is less, and greater, belongs; and how much such nodes have in common with `at`.
        let (mut less, mut greater) = ((at & mask, 0), (at & mask, 1));
        let (mut less_len, mut greater_len) = (0, 0);
        let mut depth = self.depth;
        loop {
            let distance = at.wrapping_sub(index(current).wrapping_sub(1));
            if current == 0 || distance > index(data.window.max_distance()) || depth == 0 {
                self.children[less.0][less.1] = 0;
                self.children[greater.0][greater.1] = 0;
                return longest;
            }
            let before = at - distance;
            let known = less_len.min(greater_len);
            let len = data.common(at, distance, known, limit);
            depth = depth.saturating_sub(1 + (len - known) / LONG_COMPARISON);
            if len > index(longest.len) {
                longest = Match { distance: narrow(distance), len: narrow(len) };
                report(longest);
            }
            let node = before & mask;
            if len >= limit {
                let [below, above] = self.children[node];
                self.children[less.0][less.1] = below;
                self.children[greater.0][greater.1] = above;
                return longest;
            }
            if bytes[before + len] < bytes[at + len] {
                self.children[less.0][less.1] = current;
                less = (node, 1);
                less_len = len;
                current = self.children[node][1];
            } else {
                self.children[greater.0][greater.1] = current;
                greater = (node, 0);
                greater_len = len;
                current = self.children[node][0];
            }
        }
    }
}
