//! Canonical prefix codes: shorter codes first, among equals the lower symbol first.

use super::bits::BitReader;
use super::{LzxError, LzxErrorKind};

/// The longest code of any tree.
pub(super) const MAX_CODE_LEN: usize = 16;
/// Codes up to this length are looked up in one step.
const FAST_BITS: usize = 10;

/// How many codes there are of each length.
fn count_lens(lens: &[u8]) -> [u32; MAX_CODE_LEN + 1] {
    let mut counts = [0; MAX_CODE_LEN + 1];
    for len in lens {
        counts[usize::from(*len)] += 1;
    }
    counts[0] = 0;
    counts
}

/// What a tree decodes with.
pub(super) struct Decoder {
    /// By the next `FAST_BITS` bits: symbol and length of a code, or length 0 where it is longer.
    fast: Vec<(u16, u8)>,
    /// By length: the first 16 bits that are above all codes of that length, as far as they go.
    limits: [u32; MAX_CODE_LEN + 1],
    /// By length: what to add to a code of that length for its place in `symbols`.
    bases: [u32; MAX_CODE_LEN + 1],
    /// Symbols that have a code, in the order of the codes.
    symbols: Vec<u16>,
}

impl Decoder {
    /// Makes the tree from the lengths of its codes (at most 16 each), which must use up all codes there are.
    ///
    /// `None` where they do not: the genuine creator makes complete trees only.
    pub(super) fn new(lens: &[u8]) -> Option<Self> {
        let counts = count_lens(lens);
        let used: u32 = (1..=MAX_CODE_LEN).map(|len| counts[len] << (MAX_CODE_LEN - len)).sum();
        if used != 1 << MAX_CODE_LEN {
            return None;
        }
        let mut limits = [0; MAX_CODE_LEN + 1];
        let mut bases = [0; MAX_CODE_LEN + 1];
        let mut places = [0usize; MAX_CODE_LEN + 1];
        let (mut code, mut place) = (0u32, 0u32);
        for len in 1..=MAX_CODE_LEN {
            bases[len] = place.wrapping_sub(code);
            places[len] = place as usize;
            code += counts[len];
            place += counts[len];
            limits[len] = code << (MAX_CODE_LEN - len);
            code <<= 1;
        }
        let mut symbols = vec![0; place as usize];
        for (symbol, len) in (0..=u16::MAX).zip(lens).filter(|(_, len)| **len > 0) {
            let place = &mut places[usize::from(*len)];
            symbols[*place] = symbol;
            *place += 1;
        }
        let mut fast = Vec::with_capacity(1 << FAST_BITS);
        for symbol in &symbols {
            let len = lens[usize::from(*symbol)];
            let Some(spare) = FAST_BITS.checked_sub(usize::from(len)) else { break };
            fast.resize(fast.len() + (1 << spare), (*symbol, len));
        }
        fast.resize(1 << FAST_BITS, (0, 0));
        Some(Self { fast, limits, bases, symbols })
    }

    /// Reads the next symbol.
    #[inline]
    pub(super) fn read(&self, reader: &mut BitReader<'_>) -> Result<u16, LzxError> {
        let next = reader.peek16();
        let (symbol, len) = self.fast[usize::from(next >> (MAX_CODE_LEN - FAST_BITS))];
        if len > 0 {
            reader.take(u32::from(len))?;
            return Ok(symbol);
        }
        let next = u32::from(next);
        for (len, bits) in (FAST_BITS + 1..=MAX_CODE_LEN).zip(1u32..) {
            if next < self.limits[len] {
                let code = next >> (MAX_CODE_LEN - len);
                reader.take(bits + u32::try_from(FAST_BITS).expect("a small number"))?;
                return Ok(self.symbols[self.bases[len].wrapping_add(code) as usize]);
            }
        }
        Err(reader.fault(LzxErrorKind::IncompleteTree))
    }
}

/// The best code lengths for symbols that occur so often, none longer than `limit`.
///
/// Symbols that do not occur get no code. Where fewer than two occur, others get one as well, since a tree must be
/// complete; the caller decides what to do where none does.
pub(super) fn optimal_lens(counts: &[u32], limit: usize) -> Vec<u8> {
    let mut lens = vec![0; counts.len()];
    let mut leaves: Vec<(u32, usize)> =
        counts.iter().enumerate().filter(|(_, count)| **count > 0).map(|(symbol, count)| (*count, symbol)).collect();
    if leaves.len() < 2 {
        let only = leaves.first().map_or(0, |(_, symbol)| *symbol);
        let other = if only.is_multiple_of(2) && only + 1 < counts.len() { only + 1 } else { only.saturating_sub(1) };
        (lens[only], lens[other]) = (1, 1);
        return lens;
    }
    leaves.sort_unstable();
    for (count, (_, symbol)) in leaf_counts(&leaves, limit).into_iter().zip(&leaves) {
        lens[*symbol] = count;
    }
    lens
}

/// Package-merge: how often each leaf is in the `2n - 2` cheapest items of the last of `limit` lists, packages unpacked.
///
/// The first list has the leaves, each further one has the leaves and the pairs of items of the list before. What counts
/// of a list is which of its items are leaves: among those taken, they are the cheapest.
fn leaf_counts(leaves: &[(u32, usize)], limit: usize) -> Vec<u8> {
    let mut lists: Vec<Vec<bool>> = vec![vec![true; leaves.len()]];
    let mut weights: Vec<u64> = leaves.iter().map(|(count, _)| u64::from(*count)).collect();
    for _ in 1..limit {
        let mut packages = weights.chunks_exact(2).map(|pair| pair[0] + pair[1]).peekable();
        let mut singles = leaves.iter().map(|(count, _)| u64::from(*count)).peekable();
        let room = leaves.len() + weights.len() / 2;
        let (mut list, mut merged) = (Vec::with_capacity(room), Vec::with_capacity(room));
        loop {
            let single = match (singles.peek(), packages.peek()) {
                (Some(single), Some(package)) => single <= package,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => break,
            };
            list.push(single);
            merged.extend(if single { singles.next() } else { packages.next() });
        }
        lists.push(list);
        weights = merged;
    }
    let mut counts = vec![0; leaves.len()];
    let mut take = 2 * leaves.len() - 2;
    for list in lists.iter().rev() {
        let singles = list[..take].iter().filter(|single| **single).count();
        counts[..singles].iter_mut().for_each(|count| *count += 1);
        take = 2 * (take - singles);
    }
    counts
}

/// The code of every symbol, in its low bits.
pub(super) fn codes(lens: &[u8]) -> Vec<u16> {
    let counts = count_lens(lens);
    let mut next = [0u32; MAX_CODE_LEN + 1];
    for len in 1..=MAX_CODE_LEN {
        next[len] = (next[len - 1] + counts[len - 1]) << 1;
    }
    let mut code = |len: u8| {
        let next = &mut next[usize::from(len)];
        *next += 1;
        u16::try_from(*next - 1).expect("a complete tree has codes of 16 bits at most")
    };
    lens.iter().map(|len| if *len == 0 { 0 } else { code(*len) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_complete_trees_decode() {
        let complete: [&[u8]; 4] = [&[1, 1], &[0, 1, 0, 2, 2], &[2, 2, 2, 2], &[1, 2, 3, 3]];
        for lens in complete {
            assert!(Decoder::new(lens).is_some(), "{lens:?}");
        }
        let wrong: [&[u8]; 6] = [&[], &[0, 0], &[1], &[1, 2], &[1, 1, 1], &[16; 300]];
        for lens in wrong {
            assert!(Decoder::new(lens).is_none(), "{lens:?}");
        }
        assert!(Decoder::new(&[16; 65_536]).is_some());
    }
    #[test]
    fn code_lengths_are_optimal_and_limited() {
        assert_eq!(optimal_lens(&[1, 1, 2, 4], 16), [3, 3, 2, 1]);
        assert_eq!(optimal_lens(&[1, 1, 2, 4], 2), [2, 2, 2, 2]);
        assert_eq!(optimal_lens(&[0, 0, 5, 0], 16), [0, 0, 1, 1]);
        assert_eq!(optimal_lens(&[0, 5], 16), [1, 1]);
        assert_eq!(optimal_lens(&[0, 0, 5], 16), [0, 1, 1]);
        // Fibonacci numbers make the deepest trees.
        let mut counts = vec![1u32, 1];
        while counts.len() < 40 {
            counts.push(counts[counts.len() - 1] + counts[counts.len() - 2]);
        }
        for limit in [6, 7, 15, 16] {
            let lens = optimal_lens(&counts, limit);
            assert_eq!(lens.iter().max(), Some(&(limit as u8)));
            assert!(Decoder::new(&lens).is_some());
        }
    }

    #[test]
    fn codes_are_canonical() {
        assert_eq!(codes(&[2, 0, 1, 3, 3]), [0b10, 0, 0b0, 0b110, 0b111]);
    }
}
