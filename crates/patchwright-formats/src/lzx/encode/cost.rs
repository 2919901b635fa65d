//! What symbols cost, in parts of a bit.

use super::super::slots::{SLOT_BASE, footer_bits, slot_of};
use super::super::{
    ALIGNED_SYMBOLS, FIRST_EXTENDED_LENGTH, FIRST_TREE_LENGTH, LENGTH_EXTENSIONS, LENGTH_SYMBOLS, LITERALS, MIN_MATCH,
    Window,
};
use super::block::{Block, Counts};
use super::index;

/// How many parts a bit has.
pub(super) const BIT: u32 = 64;

/// `BIT` times the logarithm of 1 + n/256 to the base of two, in integers, so that it is the same everywhere.
const LOG2_FRACTION: [u32; 256] = {
    let mut table = [0; 256];
    let mut n = 0;
    while n < 256 {
        // Squaring doubles the logarithm; each time it exceeds one, that is a bit of it.
        let mut x: u64 = (256 + n as u64) << 22;
        let (mut log2, mut bit) = (0, BIT / 2);
        while bit > 0 {
            x = (x * x) >> 30;
            if x >= 1 << 31 {
                x >>= 1;
                log2 += bit;
            }
            bit /= 2;
        }
        table[n] = log2;
        n += 1;
    }
    table
};

/// `BIT` times the logarithm to the base of two of a number that is not zero.
pub(super) fn log2(value: u32) -> u32 {
    let whole = value.ilog2();
    let fraction = if whole >= 8 { value >> (whole - 8) } else { value << (8 - whole) } & 0xFF;
    whole * BIT + LOG2_FRACTION[index(fraction)]
}

/// How costs are seen. No one way is best for all files, least of all for short streams, in which trees weigh most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Temper {
    /// What the main symbol of a match is thought to cost at first, in bits. More makes for fewer, longer matches.
    pub(super) match_guess: u32,
    /// What a symbol costs for being in a tree at all.
    pub(super) rare: u32,
    /// Blocks are made of segments of so many tokens.
    pub(super) segment_tokens: usize,
}

/// What a block's symbols cost.
pub(super) struct Costs {
    main: Vec<u32>,
    /// By length of a match from 9 to 257: what comes besides main symbol and footer.
    length: [u32; LENGTH_SYMBOLS],
    /// Where the block is aligned: the lowest three bits of a footer.
    aligned: Option<[u32; ALIGNED_SYMBOLS]>,
}

impl Costs {
    /// Before anything is known.
    pub(super) fn guess(window: Window, temper: Temper) -> Self {
        let mut main = vec![8 * BIT; window.main_symbols()];
        main[LITERALS..].fill(temper.match_guess * BIT);
        main[LITERALS..LITERALS + 8].fill(5 * BIT);
        Self { main, length: [5 * BIT; LENGTH_SYMBOLS], aligned: None }
    }

    /// As in a block that was made.
    pub(super) fn of(block: &Block, Temper { rare, .. }: Temper) -> Self {
        let Counts { main, length, aligned, .. } = &block.counts;
        let mut costs = Self { main: entropy(main, rare), length: [0; LENGTH_SYMBOLS], aligned: None };
        costs.length.copy_from_slice(&entropy(length, rare));
        if block.is_aligned() {
            let lens = entropy(aligned, 0);
            costs.aligned = lens.try_into().ok();
        }
        costs
    }

    pub(super) fn literal(&self, byte: u8) -> u32 {
        self.main[usize::from(byte)]
    }

    /// A match of `len` with the main symbols of `slot`, but for the footer.
    #[inline]
    pub(super) fn len(&self, slot: usize, len: usize) -> u32 {
        let symbols = LITERALS + 8 * slot;
        if len < FIRST_TREE_LENGTH {
            self.main[symbols + len - MIN_MATCH]
        } else {
            self.main[symbols + 7] + self.tree_len(len)
        }
    }

    #[inline]
    fn tree_len(&self, len: usize) -> u32 {
        let symbol = len.min(FIRST_EXTENDED_LENGTH) - FIRST_TREE_LENGTH;
        let extension = if len >= FIRST_EXTENDED_LENGTH { extension(len).1 * BIT } else { 0 };
        self.length[symbol] + extension
    }

    /// The slot of a distance (formatted) and what its footer costs.
    #[inline]
    pub(super) fn footer(&self, formatted: u32) -> (usize, u32) {
        let slot = slot_of(formatted);
        let bits = footer_bits(slot);
        let cost = match &self.aligned {
            Some(aligned) if bits >= 3 => (bits - 3) * BIT + aligned[index((formatted - SLOT_BASE[index(slot)]) % 8)],
            _ => bits * BIT,
        };
        (index(slot), cost)
    }
}

/// The form of extension for a match of 257 or more, and how many bits it takes in all.
pub(super) fn extension(len: usize) -> (usize, u32) {
    let above = len - FIRST_EXTENDED_LENGTH;
    let fits = |form: &super::super::LengthExtension| {
        above.checked_sub(index(form.base)).is_some_and(|above| above < 1 << form.value_bits)
    };
    let form = LENGTH_EXTENSIONS.iter().position(fits).expect("no match is longer than a chunk");
    (form, LENGTH_EXTENSIONS[form].prefix_bits + LENGTH_EXTENSIONS[form].value_bits)
}

/// What each symbol costs when it occurs so often. One that does not must have its code length written; `rare` is what
/// each occurrence has to bear together with the others for that.
fn entropy(counts: &[u32], rare: u32) -> Vec<u32> {
    let total: u32 = counts.iter().sum();
    let unseen = log2(total.max(1) + 1) + 4 * BIT;
    let cost = |count: &u32| match *count {
        0 => unseen,
        count => (log2(total) - log2(count)).max(BIT / 4) + rare / count,
    };
    counts.iter().map(cost).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_are_close() {
        for value in (1..3000).chain([1 << 20, (1 << 24) + 12345, u32::MAX]) {
            let exact = f64::from(value).log2() * f64::from(BIT);
            assert!((f64::from(log2(value)) - exact).abs() < 1.6, "{value}");
        }
    }

    #[test]
    fn extensions_take_the_shortest_form() {
        let forms = [(257, (0, 9)), (512, (0, 9)), (513, (1, 12)), (1536, (1, 12)), (1537, (2, 15)), (5632, (2, 15))];
        for (len, form) in forms.into_iter().chain([(5633, (3, 18)), (32768, (3, 18))]) {
            assert_eq!(extension(len), form, "{len}");
        }
    }
}
