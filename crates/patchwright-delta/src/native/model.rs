//! Models of flags, bytes and numbers: contexts are looked up, mixed, and taught what came.

#![allow(clippy::cast_possible_truncation, reason = "places in tables are masked, nodes of trees are below 256")]

use super::coder::Engine;
use super::mix::{COUNT_MASK, Correction, FRESH, MAX_INPUTS, Mixer, Slot, hash2, logit, mean, scatter, teach};

/// How fast weights follow: of flags, of bytes, and of bytes by how good a guess there is.
const FLAG_SPEED: i32 = 40;
const BYTE_SPEED: i32 = 40;
const GUESS_SPEED: i32 = 32;

/// How far slots count, hence how slow they become: of flags and of bytes.
const FLAG_LIMIT: u32 = 40;
const BYTE_LIMIT: u32 = 127;

/// How far the slots of guesses count: they are few and see much.
const GUESS_LIMIT: u32 = 1023;

/// Mixes contexts that each have one slot: for flags.
#[derive(Debug)]
pub(super) struct Flags {
    slots: Vec<Slot>,
    mixer: Mixer,
    limit: u32,
}

impl Flags {
    /// `sets` situations; slots for `2^log` contexts, which share them when they are more.
    pub(super) fn new(log: u32, sets: usize, inputs: usize) -> Self {
        Self { slots: vec![FRESH; 1 << log], mixer: Mixer::new(sets, inputs, FLAG_SPEED), limit: FLAG_LIMIT }
    }

    pub(super) fn code<E: Engine, const N: usize>(
        &mut self,
        engine: &mut E,
        set: usize,
        contexts: [u32; N],
        bit: bool,
    ) -> bool {
        let mask = self.slots.len() - 1;
        let mut places = [0; N];
        let mut logits = [0; N];
        for (number, ((place, logit_of), context)) in (0u32..).zip(places.iter_mut().zip(&mut logits).zip(contexts)) {
            *place = scatter(context, number) as usize & mask;
            *logit_of = logit(self.slots[*place]);
        }
        let (p, _) = self.mixer.mix(set, &logits);
        let bit = engine.bit(bit, p.clamp(16, 0xFFF0));
        self.mixer.teach(set, &logits, p, bit);
        for place in places {
            teach(&mut self.slots[place], bit, self.limit);
        }
        bit
    }
}

/// Rows of slots, a cache line each: fifteen for the bits of four, and a check word.
#[derive(Debug)]
pub(super) struct Rows {
    rows: Vec<[Slot; 16]>,
}

impl Rows {
    fn new(log: u32) -> Self {
        Self { rows: vec![EMPTY_ROW; 1 << log] }
    }

    /// The row of a context: its own, or that of the less used of two, made empty.
    fn find(&mut self, context: u32) -> usize {
        let mask = self.rows.len() - 1;
        let check = context | 1;
        let first = scatter(context, 7) as usize & mask;
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
    mixer: Mixer,
    second: Mixer,
    adjust: Vec<Slot>,
    correction: Correction,
    limit: u32,
}

/// What is known of a byte before it is coded.
pub(super) struct ByteContext<const N: usize> {
    /// Hashes of what came before.
    pub(super) contexts: [u32; N],
    /// What the byte may be, if there is a guess, and how good guesses of this kind are (below 32).
    pub(super) guess: Option<(u8, usize)>,
    /// Which weights to use (below the number of sets).
    pub(super) set: usize,
    /// By what the outcome is corrected at last, below the number there is.
    pub(super) last: usize,
}

/// How good a guess may be said to be.
pub(super) const GUESS_GRADES: usize = 64;

impl Bytes {
    /// Tables of `2^log` rows; `sets` situations, each with weights for so many inputs and a guess; corrections for
    /// `lasts` more.
    pub(super) fn new(log: u32, sets: usize, inputs: usize, lasts: usize) -> Self {
        Self {
            rows: Rows::new(log),
            mixer: Mixer::new(sets * 256, inputs + 1, BYTE_SPEED),
            second: Mixer::new(GUESS_GRADES * 2, inputs + 1, GUESS_SPEED),
            adjust: vec![FRESH; GUESS_GRADES * 2 * 8],
            correction: Correction::new(lasts * 256),
            limit: BYTE_LIMIT,
        }
    }

    pub(super) fn code<E: Engine, const N: usize>(&mut self, engine: &mut E, context: &ByteContext<N>, byte: u8) -> u8 {
        let mut tree = 1usize;
        let mut places = [0; N];
        for (place, hash) in places.iter_mut().zip(context.contexts) {
            *place = self.rows.find(hash);
        }
        for shift in (0..8u32).rev() {
            if shift == 3 {
                for (number, (place, hash)) in (0u32..).zip(places.iter_mut().zip(context.contexts)) {
                    *place = self.rows.find(hash2(hash, tree as u32 | number << 8));
                }
            }
            let node = if shift >= 4 { tree } else { (tree & ((1 << (3 - shift)) - 1)) | 1 << (3 - shift) };
            // A guess speaks as long as it has been right so far.
            let expected = context.guess.filter(|(guess, _)| (usize::from(*guess) | 256) >> (shift + 1) == tree);
            let mut logits = [0; MAX_INPUTS];
            for (logit_of, place) in logits.iter_mut().zip(places) {
                *logit_of = logit(self.rows.rows[place][node]);
            }
            let grade = expected.map_or(0, |(guess, grade)| {
                1 + (grade * 2 + usize::from(guess >> shift & 1)).min(GUESS_GRADES * 2 - 2)
            });
            let adjust = grade * 8 + shift as usize;
            logits[N] = if grade == 0 { 0 } else { logit(self.adjust[adjust]) };
            let used = &logits[..=N];
            let set = context.set * 256 + tree;
            let (p1, l1) = self.mixer.mix(set, used);
            let (p2, l2) = self.second.mix(grade, used);
            let (p, mixed) = mean(l1, l2);
            let (refined, place) = self.correction.refine(context.last << 8 | tree, mixed);
            let p = (p + refined) / 2;
            let bit = engine.bit(byte >> shift & 1 == 1, p.clamp(16, 0xFFF0));
            self.mixer.teach(set, used, p1, bit);
            self.second.teach(grade, used, p2, bit);
            for place in places {
                teach(&mut self.rows.rows[place][node], bit, self.limit);
            }
            self.correction.teach(place, bit);
            if grade > 0 {
                teach(&mut self.adjust[adjust], bit, GUESS_LIMIT);
            }
            tree = tree << 1 | usize::from(bit);
        }
        tree.to_le_bytes()[0]
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
