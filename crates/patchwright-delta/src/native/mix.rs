//! Adaptive probabilities, and how several are mixed into one: all in integers.
//!
//! A slot is the probability of a bit in one context. Slots are mixed as logits, `ln(p / (1 - p))` in 1/256, by weights
//! that follow how good each was. Nothing depends on the width of the machine's words or on rounding of floats. The
//! tables are computed when this is compiled, from the 65 numbers that `docs/formats/delta-native.md` lists.

#![allow(clippy::cast_possible_truncation, reason = "probabilities and logits are bounded where they are made")]

/// 65536 / (1 + e^(-x / 256)) for every 64th x from -2048 on.
const LOGISTIC: [i32; 65] = [
    22, 28, 36, 47, 60, 77, 98, 126, 162, 208, 267, 342, 439, 562, 720, 922, 1179, 1506, 1921, 2446, 3108, 3938, 4971,
    6249, 7812, 9702, 11955, 14595, 17625, 21025, 24743, 28693, 32768, 36843, 40793, 44511, 47911, 50941, 53581, 55834,
    57724, 59287, 60565, 61598, 62428, 63090, 63615, 64030, 64357, 64614, 64816, 64974, 65097, 65194, 65269, 65328,
    65374, 65410, 65438, 65459, 65476, 65489, 65500, 65508, 65514,
];

/// The largest logit, in 1/256 nats.
const LOGIT_MAX: i32 = 2047;

/// The probability of a logit, between the entries of [`LOGISTIC`] by a line.
const fn squash_exact(logit: i32) -> i32 {
    let from_start = logit + 2048;
    let (cell, within) = (from_start >> 6, from_start & 63);
    let (left, right) = (LOGISTIC[cell.cast_unsigned() as usize], LOGISTIC[cell.cast_unsigned() as usize + 1]);
    left + (((right - left) * within + 32) >> 6)
}

/// The probability of every logit from -2047 to 2047.
static SQUASH: [u16; 4096] = squash_table();

const fn squash_table() -> [u16; 4096] {
    let mut table = [0; 4096];
    let mut at = 1;
    while at < 4096 {
        let p = squash_exact(at - 2048);
        table[at.cast_unsigned() as usize] = clamp_u16(p);
        at += 1;
    }
    table[0] = table[1];
    table
}

const fn clamp_u16(value: i32) -> u16 {
    if value <= 0 {
        0
    } else if value >= 0xFFFF {
        0xFFFF
    } else {
        (value.cast_unsigned() & 0xFFFF) as u16
    }
}

/// The logit of every probability of twelve bits, in 1/1024: the inverse of [`SQUASH`].
static STRETCH: [i16; 4096] = stretch_table();

const fn stretch_table() -> [i16; 4096] {
    let mut table = [0; 4096];
    let mut logit = -LOGIT_MAX;
    let mut at = 0;
    while at < 4096 {
        let wanted = at * 16 + 8;
        while logit < LOGIT_MAX && squash_exact(logit) < wanted {
            logit += 1;
        }
        table[at.cast_unsigned() as usize] = (4 * logit) as i16;
        at += 1;
    }
    table
}

/// A probability of 22 bits that adapts, and how often it did, in ten bits below.
pub(super) type Slot = u32;

/// A slot that knows nothing.
pub(super) const FRESH: Slot = 1 << 31;

/// The bits of a slot that count.
pub(super) const COUNT_MASK: u32 = 1023;

/// How fast a slot adapts after so many bits: 32768 / (n + 1.5).
static RATE: [i32; 1024] = rate_table();

const fn rate_table() -> [i32; 1024] {
    let mut table = [0; 1024];
    let mut n = 0i32;
    while n < 1024 {
        table[n.cast_unsigned() as usize] = 65_536 / (2 * n + 3);
        n += 1;
    }
    table
}

/// The logit of what a slot predicts, in 1/1024: as fine as it is mixed.
pub(super) fn logit(slot: Slot) -> i16 {
    STRETCH[(slot >> 20) as usize]
}

/// Teaches a slot a bit; it counts no further than `limit`.
///
/// A step is at most two thirds of the way, so that neither end is ever reached, let alone passed.
pub(super) fn teach(slot: &mut Slot, bit: bool, limit: u32) {
    let n = *slot & COUNT_MASK;
    let goal = if bit { 0xFFFF } else { 0 };
    let step = (goal - (*slot >> 16).cast_signed()) * RATE[n as usize];
    *slot = slot.wrapping_add(step.cast_unsigned() << 1 & !COUNT_MASK) + u32::from(n < limit);
}

/// The number of predictions that are mixed for one bit: as many as fit a register of every CPU.
pub(super) const LANES: usize = 8;

/// Logits of what is mixed, in 1/1024; zeros where there is nothing.
pub(super) type Logits = [i16; LANES];

/// Weights of predictions: one set for each situation.
#[derive(Debug)]
pub(super) struct Weights {
    sets: Vec<[i16; LANES]>,
}

/// One in weights, as a power of two.
const WEIGHT_BITS: u32 = 13;

/// The largest weight: two. Sixteen products of it and a logit fit 32 bits.
const MAX_WEIGHT: i16 = 1 << 14;

impl Weights {
    /// `sets` sets for `inputs` predictions, to be used together with `others` more sets.
    pub(super) fn new(sets: usize, inputs: usize, others: usize) -> Self {
        // All together they give two and a half times the mean.
        let parts = i32::try_from((inputs + 1) * (others + 1)).unwrap_or(16);
        let first = i16::try_from((12 << WEIGHT_BITS) / (5 * parts)).unwrap_or(0);
        Self { sets: vec![[first; LANES]; sets] }
    }

    /// The logit that these logits give.
    pub(super) fn mix(&self, set: usize, logits: &Logits) -> i32 {
        dot(&self.sets[set], logits) >> (WEIGHT_BITS + 2)
    }

    /// Follows an error of at most `i16::MAX` either way.
    pub(super) fn teach(&mut self, set: usize, logits: &Logits, error: i16) {
        follow(&mut self.sets[set], logits, error);
    }
}

/// The sum of all products. A function of its own, as the one below: with all eight in memory they become vectors.
#[inline(never)]
fn dot(weights: &[i16; LANES], logits: &Logits) -> i32 {
    weights.iter().zip(logits).map(|(weight, logit)| i32::from(*weight) * i32::from(*logit)).sum()
}

#[inline(never)]
fn follow(weights: &mut [i16; LANES], logits: &Logits, error: i16) {
    for (weight, logit) in weights.iter_mut().zip(logits) {
        let change = (((i32::from(*logit) * i32::from(error)) >> 16) as i16 + 1) >> 1;
        *weight = weight.saturating_add(change).clamp(-MAX_WEIGHT, MAX_WEIGHT);
    }
}

/// The probability of a logit.
pub(super) fn squash(logit: i32) -> u32 {
    u32::from(SQUASH[(logit.clamp(-LOGIT_MAX, LOGIT_MAX) + 2048).cast_unsigned() as usize])
}

/// How wrong a probability was, times `speed / 512`.
pub(super) fn error_of(p: u32, bit: bool, speed: i32) -> i16 {
    let error = (i32::from(bit) << 16) - p.cast_signed();
    ((error * speed) >> 9) as i16
}

/// Spreads a context over all bits, differently for each number.
pub(super) fn scatter(context: u32, number: u32) -> u32 {
    let mixed = (context ^ number.wrapping_mul(0x9E37_79B9)).wrapping_mul(0x85EB_CA6B);
    let mixed = (mixed ^ mixed >> 15).wrapping_mul(0xC2B2_AE35);
    mixed ^ mixed >> 13
}

/// Two numbers to one context.
pub(super) fn hash2(a: u32, b: u32) -> u32 {
    (a.wrapping_mul(0x2C1B_3C6D) ^ b.wrapping_add(0x7F4A_7C15)).wrapping_mul(0x297A_2D39).rotate_left(13)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_those_of_the_format() {
        let squash =
            [-2047, -1024, -64, 0, 64, 1024, 2047].map(|logit: i32| SQUASH[usize::try_from(logit + 2048).unwrap()]);
        assert_eq!(squash, [22, 1179, 28693, 32768, 36843, 64357, 65514]);
        assert!(SQUASH.is_sorted() && STRETCH.is_sorted());
        assert_eq!([0, 1, 2047, 2048, 4095].map(|p: usize| STRETCH[p]), [-8188, -8128, 0, 4, 8188]);
    }

    #[test]
    fn slots_stay_in_bounds_and_learn() {
        for bit in [false, true] {
            let mut slot = FRESH;
            for _ in 0..5000 {
                teach(&mut slot, bit, 1023);
            }
            assert_eq!(logit(slot) > 6000, bit);
            assert_eq!(logit(slot) < -6000, !bit);
            assert_eq!(slot & COUNT_MASK, 1023);
        }
    }
}
