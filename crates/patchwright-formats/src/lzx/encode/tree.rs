//! How code lengths are written: as differences from those of the block before, with runs, by a tree of their own.

use super::super::bits::BitWriter;
use super::super::huffman::{codes, optimal_lens};
use super::super::{LITERALS, PRETREE_SYMBOLS};

/// Code lengths of the trees of a block, from which those of the next block differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lens {
    pub(super) main: Vec<u8>,
    pub(super) length: Vec<u8>,
}

/// Bits of a pretree symbol's code length.
const PRETREE_LEN_BITS: u32 = 4;
/// The longest code that those can state.
const PRETREE_LIMIT: usize = 15;

const ZEROS: usize = 17;
const MORE_ZEROS: usize = 18;
const SAME: usize = 19;

/// One symbol of a pretree and what follows it.
#[derive(Clone, Copy, Debug)]
enum Step {
    Single(u8),
    Zeros(usize),
    MoreZeros(usize),
    Same(usize, u8),
}

impl Step {
    fn len(self) -> usize {
        match self {
            Step::Single(_) => 1,
            Step::Zeros(len) | Step::MoreZeros(len) | Step::Same(len, _) => len,
        }
    }

    /// The symbols, and value and number of the bits after the first one.
    fn parts(self) -> (usize, u32, u32, Option<u8>) {
        let above = |len: usize, least: usize| u32::try_from(len - least).expect("a short run");
        match self {
            Step::Single(difference) => (usize::from(difference), 0, 0, None),
            Step::Zeros(len) => (ZEROS, above(len, 4), 4, None),
            Step::MoreZeros(len) => (MORE_ZEROS, above(len, 20), 5, None),
            Step::Same(len, difference) => (SAME, above(len, 4), 1, Some(difference)),
        }
    }
}

/// The code lengths of a part of a tree, ready to be written.
struct Plan {
    pretree: Vec<u8>,
    steps: Vec<Step>,
    bits: u32,
}

impl Plan {
    /// Finds a short way to write `lens` after `old`.
    ///
    /// Which steps are best depends on the pretree, which depends on the steps; a few rounds settle it.
    fn new(old: &[u8], lens: &[u8], rounds: usize) -> Self {
        let mut pretree: Vec<u8> = vec![4; PRETREE_SYMBOLS];
        let mut best: Option<Plan> = None;
        for _ in 0..rounds {
            let steps = cheapest_steps(old, lens, &pretree);
            let mut counts = [0; PRETREE_SYMBOLS];
            let mut extra = 0;
            for step in &steps {
                let (symbol, _, bits, second) = step.parts();
                counts[symbol] += 1;
                extra += bits;
                if let Some(second) = second {
                    counts[usize::from(second)] += 1;
                }
            }
            pretree = optimal_lens(&counts, PRETREE_LIMIT);
            let coded: u32 = counts.iter().zip(&pretree).map(|(count, len)| count * u32::from(*len)).sum();
            let bits = coded + extra + PRETREE_LEN_BITS * 20;
            if best.as_ref().is_some_and(|best| best.bits <= bits) {
                break;
            }
            best = Some(Plan { pretree: pretree.clone(), steps, bits });
        }
        best.expect("there was a round")
    }

    fn write(&self, writer: &mut BitWriter) {
        for len in &self.pretree {
            writer.put(u32::from(*len), PRETREE_LEN_BITS);
        }
        let codes = codes(&self.pretree);
        let mut put = |symbol: usize, value, bits| {
            writer.put(u32::from(codes[symbol]), u32::from(self.pretree[symbol]));
            writer.put(value, bits);
        };
        for step in &self.steps {
            let (symbol, value, bits, second) = step.parts();
            put(symbol, value, bits);
            if let Some(second) = second {
                put(usize::from(second), 0, 0);
            }
        }
    }
}

fn difference(old: u8, len: u8) -> u8 {
    (old + 17 - len) % 17
}

/// The steps that cost least with a given pretree, from the end to the front.
fn cheapest_steps(old: &[u8], lens: &[u8], pretree: &[u8]) -> Vec<Step> {
    // A symbol that the last round did not use may still be worth having.
    let price = |symbol: usize| match pretree[symbol] {
        0 => 7,
        len => u32::from(len),
    };
    let count = lens.len();
    // For each place: the cost from there on, the best step, and how many lengths from there on are the same.
    let mut costs = vec![0u32; count + 1];
    let mut steps = vec![Step::Single(0); count];
    let mut run = 0;
    for at in (0..count).rev() {
        run = if at + 1 < count && lens[at] == lens[at + 1] { run + 1 } else { 1 };
        let single = difference(old[at], lens[at]);
        let mut best = (price(usize::from(single)) + costs[at + 1], Step::Single(single));
        let mut consider = |step: Step, price: u32| {
            let cost = price + costs[at + step.len()];
            if cost < best.0 {
                best = (cost, step);
            }
        };
        if lens[at] == 0 {
            for len in 4..=run.min(19) {
                consider(Step::Zeros(len), price(ZEROS) + 4);
            }
            for len in 20..=run.min(51) {
                consider(Step::MoreZeros(len), price(MORE_ZEROS) + 5);
            }
        }
        for len in 4..=run.min(5) {
            consider(Step::Same(len, single), price(SAME) + 1 + price(usize::from(single)));
        }
        (costs[at], steps[at]) = best;
    }
    let mut chosen = Vec::new();
    let mut at = 0;
    while at < count {
        chosen.push(steps[at]);
        at += steps[at].len();
    }
    chosen
}

impl Lens {
    /// The lengths before the first block.
    pub(super) fn zero(main_symbols: usize, length_symbols: usize) -> Self {
        Self { main: vec![0; main_symbols], length: vec![0; length_symbols] }
    }

    fn plans(&self, old: &Self, rounds: usize) -> [Plan; 3] {
        [
            Plan::new(&old.main[..LITERALS], &self.main[..LITERALS], rounds),
            Plan::new(&old.main[LITERALS..], &self.main[LITERALS..], rounds),
            Plan::new(&old.length, &self.length, rounds),
        ]
    }

    /// How many bits it takes to write these lengths after `old`.
    pub(super) fn bits_after(&self, old: &Self, rounds: usize) -> u32 {
        self.plans(old, rounds).iter().map(|plan| plan.bits).sum()
    }

    pub(super) fn write_after(&self, old: &Self, rounds: usize, writer: &mut BitWriter) {
        for plan in self.plans(old, rounds) {
            plan.write(writer);
        }
    }
}
