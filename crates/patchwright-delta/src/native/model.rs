//! Models of flags, bytes and numbers: contexts are looked up, mixed, and taught what came.

#![allow(clippy::cast_possible_truncation, reason = "places in tables are masked, nodes of trees are below 256")]

use super::coder::Engine;
use super::mix::{COUNT_MASK, FRESH, LANES, Slot, Weights, error_of, hash2, logit, squash, teach};

/// How fast weights follow, in 1/512: of flags and of bytes, where two sets follow the same error.
const FLAG_SPEED: i32 = 120;
const BYTE_SPEED: i32 = 110;

/// How far slots count, hence how slow they become: of flags and of bytes.
const FLAG_LIMIT: u32 = 40;
const BYTE_LIMIT: u32 = 127;

/// How far the slots of guesses count: they are few and see much.
const GUESS_LIMIT: u32 = 1023;

/// No probability is nearer than this to none or all.
const MARGIN: u32 = 16;

/// Spreads a context over the highest bits, which choose its place in a table.
const SPREAD: u32 = 0x9E37_79B1;

fn believable(p: u32) -> u32 {
    p.clamp(MARGIN, 0x1_0000 - MARGIN)
}

/// Mixes contexts that each have one slot: for flags.
#[derive(Debug)]
pub(super) struct Flags {
    slots: Vec<Slot>,
    shift: u32,
    weights: Weights,
}

impl Flags {
    /// `sets` situations; slots for `2^log` contexts, which share them when they are more.
    pub(super) fn new(log: u32, sets: usize, inputs: usize) -> Self {
        Self { slots: vec![FRESH; 1 << log], shift: 32 - log, weights: Weights::new(sets, inputs, 0) }
    }

    pub(super) fn code<E: Engine, const N: usize>(
        &mut self,
        engine: &mut E,
        set: usize,
        contexts: [u32; N],
        bit: bool,
    ) -> bool {
        let mut places = [0; N];
        let mut logits = [0; LANES];
        for ((place, lane), context) in places.iter_mut().zip(&mut logits).zip(contexts) {
            *place = (context.wrapping_mul(SPREAD) >> self.shift) as usize;
            *lane = logit(self.slots[*place]);
        }
        let p = squash(self.weights.mix(set, &logits));
        let bit = engine.bit(bit, believable(p));
        self.weights.teach(set, &logits, error_of(p, bit, FLAG_SPEED));
        for place in places {
            teach(&mut self.slots[place], bit, FLAG_LIMIT);
        }
        bit
    }
}

/// Rows of slots, a cache line each: fifteen for the bits of four, and a check word.
#[derive(Debug)]
pub(super) struct Rows {
    rows: Vec<[Slot; 16]>,
    shift: u32,
}

impl Rows {
    fn new(log: u32) -> Self {
        Self { rows: vec![EMPTY_ROW; 1 << log], shift: 32 - log }
    }

    /// The row of a context: its own, or that of the less used of two, made empty.
    fn find(&mut self, context: u32) -> usize {
        let check = context | 1;
        let first = (context.wrapping_mul(SPREAD) >> self.shift) as usize;
        if self.rows[first][0] == check {
            return first;
        }
        let second = first ^ 1;
        if self.rows[second][0] == check {
            return second;
        }
        let used = |row: usize| self.rows[row][1] & COUNT_MASK;
        let victim = if used(first) <= used(second) { first } else { second };
        self.rows[victim] = EMPTY_ROW;
        self.rows[victim][0] = check;
        victim
    }
}

const EMPTY_ROW: [Slot; 16] = {
    let mut row = [FRESH; 16];
    row[0] = 0;
    row
};

/// Mixes contexts that each have a row for every half byte: for bytes.
#[derive(Debug)]
pub(super) struct Bytes {
    rows: Rows,
    weights: Weights,
    /// Weights by how good a guess is.
    guessed: Weights,
    adjust: Vec<Slot>,
}

/// What is known of a byte before it is coded.
pub(super) struct ByteContext<const N: usize> {
    /// Hashes of what came before.
    pub(super) contexts: [u32; N],
    /// What the byte may be, if there is a guess, and how good guesses of this kind are (below 64).
    pub(super) guess: Option<(u8, usize)>,
    /// Which weights to use (below the number of sets).
    pub(super) set: usize,
}

/// How good a guess may be said to be.
pub(super) const GUESS_GRADES: usize = 64;

impl Bytes {
    /// Tables of `2^log` rows; `sets` situations, each with weights for so many inputs and a guess.
    pub(super) fn new(log: u32, sets: usize, inputs: usize) -> Self {
        Self {
            rows: Rows::new(log),
            weights: Weights::new(sets * 256, inputs + 1, 1),
            guessed: Weights::new(GUESS_GRADES * 2, inputs + 1, 1),
            adjust: vec![FRESH; GUESS_GRADES * 2 * 8],
        }
    }

    pub(super) fn code<E: Engine, const N: usize>(&mut self, engine: &mut E, context: &ByteContext<N>, byte: u8) -> u8 {
        const { assert!(N < LANES, "the guess needs a lane too") };
        let high = self.nibble(engine, context, 1, byte >> 4);
        let low = self.nibble(engine, context, 16 | high, byte & 15);
        (high << 4 | low).to_le_bytes()[0]
    }

    /// Codes the next four bits of a byte whose bits so far, after a one, are `before`.
    fn nibble<E: Engine, const N: usize>(
        &mut self,
        engine: &mut E,
        context: &ByteContext<N>,
        before: usize,
        nibble: u8,
    ) -> usize {
        let mut places = [0; N];
        for (place, hash) in places.iter_mut().zip(context.contexts) {
            *place = self.rows.find(hash.wrapping_add((before as u32 - 1).wrapping_mul(0x6C8E_9CF5)));
        }
        let base = if before == 1 { 4 } else { 0 };
        let mut node = 1;
        for shift in (0..4u32).rev() {
            let tree = before << (3 - shift) | (node ^ 1 << (3 - shift));
            let level = shift + base;
            // A guess speaks as long as it has been right so far.
            let expected = context.guess.filter(|(guess, _)| (usize::from(*guess) | 256) >> (level + 1) == tree);
            let grade = expected.map_or(0, |(guess, grade)| {
                1 + (grade * 2 + usize::from(guess >> level & 1)).min(GUESS_GRADES * 2 - 2)
            });
            let adjust = grade * 8 + level as usize;
            let mut logits = [0; LANES];
            for (lane, place) in logits.iter_mut().zip(places) {
                *lane = logit(self.rows.rows[place][node & 15]);
            }
            logits[N] = if grade == 0 { 0 } else { logit(self.adjust[adjust]) };
            let set = context.set * 256 + tree;
            let p = squash(self.weights.mix(set, &logits) + self.guessed.mix(grade, &logits));
            let bit = engine.bit(nibble >> shift & 1 == 1, believable(p));
            let error = error_of(p, bit, BYTE_SPEED);
            self.weights.teach(set, &logits, error);
            self.guessed.teach(grade, &logits, error);
            for place in places {
                teach(&mut self.rows.rows[place][node & 15], bit, BYTE_LIMIT);
            }
            if grade > 0 {
                teach(&mut self.adjust[adjust], bit, GUESS_LIMIT);
            }
            node = node << 1 | usize::from(bit);
        }
        node & 15
    }
}

/// Codes whole numbers by their length in bits and the bits themselves.
#[derive(Debug)]
pub(super) struct Numbers {
    flags: Flags,
}

/// Numbers are below two to this power.
const NUMBER_BITS: u32 = 40;

/// How many bits after the first have statistics; the others are as good as random.
const MODELLED: u32 = 4;

impl Numbers {
    pub(super) fn new(kinds: usize) -> Self {
        Self { flags: Flags::new(16, kinds, 4) }
    }

    /// Codes `value`; `kind` (below the number of kinds) and two more facts choose the statistics.
    pub(super) fn code<E: Engine>(&mut self, engine: &mut E, kind: usize, facts: [u32; 2], value: u64) -> u64 {
        let bits = 64 - value.leading_zeros();
        // The length as a number of six bits, highest first.
        let mut tree = 1u32;
        for shift in (0..6).rev() {
            let bit = self.one(engine, kind, facts, tree, bits >> shift & 1 == 1);
            tree = tree << 1 | u32::from(bit);
        }
        let len = (tree & 63).min(NUMBER_BITS);
        let mut made = u64::from(len > 0);
        for shift in (0..len.saturating_sub(1)).rev() {
            let wanted = value >> shift & 1 == 1;
            let bit = if shift + 1 + MODELLED >= len {
                let node = 64 + len * 32 + (made & 31) as u32;
                self.one(engine, kind, facts, node, wanted)
            } else {
                engine.bit(wanted, 1 << 15)
            };
            made = made << 1 | u64::from(bit);
        }
        made
    }

    fn one<E: Engine>(&mut self, engine: &mut E, kind: usize, [a, b]: [u32; 2], node: u32, bit: bool) -> bool {
        let here = node | (kind as u32) << 12;
        let contexts = [here, hash2(here, a << 1), hash2(here, b << 1 | 1), hash2(hash2(here, a), b)];
        self.flags.code(engine, kind, contexts, bit)
    }
}
