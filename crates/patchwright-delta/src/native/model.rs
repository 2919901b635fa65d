//! Adaptive probabilities, their mixing, and the binary range coder, all in integers.
//!
//! Every decision is one bit with a probability of sixteen bits. A model predicts it from several contexts; a mixer
//! weighs the predictions by how good they were, in the logistic domain. Encoder and decoder run the same code over
//! the trait [`Engine`]; nothing here depends on the width of the machine's words or on rounding of floats.

/// Where bits come from or go to. An encoder writes `bit` and returns it; a decoder ignores it and returns the bit read.
pub(super) trait Engine {
    /// Whether the bits are known: an encoder.
    const WRITES: bool;

    /// Codes one bit whose probability of being set is `p / 65536`, `p` in `1..=65535`.
    fn bit(&mut self, bit: bool, p: u32) -> bool;

    /// Whether more was read than there is: what was decoded since then means nothing.
    fn exhausted(&self) -> bool;

    /// The cost so far in 1/256 bits, where costs are counted.
    fn cost(&self) -> u64 {
        0
    }
}

/// Writes bits as an arithmetic code.
#[derive(Debug)]
pub(super) struct Encoder {
    low: u32,
    high: u32,
    cost: u64,
    pub(super) bytes: Vec<u8>,
}

impl Encoder {
    pub(super) fn new() -> Self {
        Self { low: 0, high: u32::MAX, cost: 0, bytes: Vec::new() }
    }

    /// Writes what is needed to tell the last bits.
    pub(super) fn finish(mut self) -> Vec<u8> {
        // A decoder reads zeros beyond the end. The first bytes of `low` and `high` differ, so the one above that of
        // `low` lies between them.
        if self.low > 0 {
            self.bytes.push((self.low >> 24).to_le_bytes()[0] + 1);
        }
        self.bytes
    }
}

fn split(low: u32, high: u32, p: u32) -> u32 {
    let range = u64::from(high - low);
    low + u32::try_from((range * u64::from(p)) >> 16).expect("less than the range")
}

impl Engine for Encoder {
    const WRITES: bool = true;

    fn bit(&mut self, bit: bool, p: u32) -> bool {
        let middle = split(self.low, self.high, p);
        if bit {
            self.high = middle;
        } else {
            self.low = middle + 1;
        }
        while (self.low ^ self.high) >> 24 == 0 {
            self.bytes.push(self.high.to_be_bytes()[0]);
            self.low <<= 8;
            self.high = self.high << 8 | 0xFF;
        }
        self.cost += u64::from(cost_of(if bit { p } else { 0x1_0000 - p }));
        bit
    }

    fn exhausted(&self) -> bool {
        false
    }

    fn cost(&self) -> u64 {
        self.cost
    }
}

/// What an event of probability `p / 65536` costs in 1/256 bits, by its highest bits.
fn cost_of(p: u32) -> u32 {
    let log = p.max(1).ilog2();
    // Between powers of two the logarithm is near enough to a line.
    let fraction = ((p << 8) >> log) - 256;
    (16 - log) * 256 - fraction.min((16 - log) * 256)
}

/// Reads the bits that an [`Encoder`] wrote.
#[derive(Debug)]
pub(super) struct Decoder<'a> {
    low: u32,
    high: u32,
    code: u32,
    bytes: &'a [u8],
    at: usize,
}

/// How many bytes a decoder reads ahead of what it needs.
const AHEAD: usize = 4;

impl<'a> Decoder<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let mut decoder = Self { low: 0, high: u32::MAX, code: 0, bytes, at: 0 };
        for _ in 0..AHEAD {
            decoder.code = decoder.code << 8 | decoder.next();
        }
        decoder
    }

    fn next(&mut self) -> u32 {
        let byte = self.bytes.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        u32::from(byte)
    }

    /// Whether all bytes were used: those that were not would be someone's hiding place.
    pub(super) fn used_up(&self) -> bool {
        self.at >= self.bytes.len() && !self.exhausted()
    }
}

impl Engine for Decoder<'_> {
    const WRITES: bool = false;

    fn bit(&mut self, _: bool, p: u32) -> bool {
        let middle = split(self.low, self.high, p);
        let bit = self.code <= middle;
        if bit {
            self.high = middle;
        } else {
            self.low = middle + 1;
        }
        while (self.low ^ self.high) >> 24 == 0 {
            self.low <<= 8;
            self.high = self.high << 8 | 0xFF;
            self.code = self.code << 8 | self.next();
        }
        bit
    }

    fn exhausted(&self) -> bool {
        self.at > self.bytes.len() + AHEAD
    }
}

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

/// The logit of every probability of twelve bits: the inverse of [`SQUASH`].
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
        table[at.cast_unsigned() as usize] = (logit as i64 & 0xFFFF) as i16;
        at += 1;
    }
    table
}

/// A probability of 22 bits that adapts, and how often it did, in ten bits.
pub(super) type Slot = u32;

/// A slot that knows nothing.
pub(super) const FRESH: Slot = 1 << 31;

const COUNT_MASK: u32 = 1023;

/// How fast a slot adapts after so many bits: 65536 / (n + 1.5).
static RATE: [i32; 1024] = rate_table();

const fn rate_table() -> [i32; 1024] {
    let mut table = [0; 1024];
    let mut n = 0i32;
    while n < 1024 {
        table[n.cast_unsigned() as usize] = 131_072 / (2 * n + 3);
        n += 1;
    }
    table
}

/// The logit of what a slot predicts.
fn logit(slot: Slot) -> i32 {
    i32::from(STRETCH[(slot >> 20) as usize])
}

/// Teaches a slot a bit; it counts no further than `limit`.
fn teach(slot: &mut Slot, bit: bool, limit: u32) {
    let n = *slot & COUNT_MASK;
    let p = (*slot >> 10).cast_signed();
    let goal = if bit { (1 << 22) - 1 } else { 0 };
    let moved = p + ((i64::from(goal - p) * i64::from(RATE[n as usize])) >> 16) as i32;
    *slot = moved.cast_unsigned() << 10 | (n + u32::from(n < limit));
}

/// The most predictions that are mixed for one bit.
pub(super) const MAX_INPUTS: usize = 10;

/// Weights for the mixing of predictions: one set for each situation.
#[derive(Debug)]
pub(super) struct Mixer {
    weights: Vec<[i32; MAX_INPUTS]>,
    /// How fast weights follow.
    speed: i32,
}

/// One in weights.
const WEIGHT_ONE: i32 = 1 << 16;

impl Mixer {
    pub(super) fn new(sets: usize, inputs: usize, speed: i32) -> Self {
        let first = WEIGHT_ONE * knob("W0",12) as i32 / (5 * i32::try_from(inputs + 1).unwrap_or(8));
        Self { weights: vec![[first; MAX_INPUTS]; sets], speed }
    }

    /// The probability that these logits give together, and the logit itself.
    fn mix(&self, set: usize, logits: &[i32]) -> (u32, i32) {
        let weights = &self.weights[set];
        let sum: i64 = logits.iter().zip(weights).map(|(l, w)| i64::from(*l) * i64::from(*w)).sum();
        let logit = (sum >> 16).clamp(i64::from(-LOGIT_MAX), i64::from(LOGIT_MAX)) as i32;
        (u32::from(SQUASH[(logit + 2048).cast_unsigned() as usize]), logit)
    }

    fn teach(&mut self, set: usize, logits: &[i32], p: u32, bit: bool) {
        let error = (i32::from(bit) << 16) - p.cast_signed();
        for (weight, logit) in self.weights[set].iter_mut().zip(logits) {
            let change = (i64::from(*logit) * i64::from(error) * i64::from(self.speed) + (1 << 19)) >> 20;
            *weight = (*weight + change as i32).clamp(-(1 << 22), 1 << 22);
        }
    }
}

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
        Self { slots: vec![FRESH; 1 << log], mixer: Mixer::new(sets, inputs, knob("FSP",40) as i32), limit: knob("FLIM",40) as u32 }
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
        for (number, ((place, logit_of), context)) in
            (0u32..).zip(places.iter_mut().zip(&mut logits).zip(contexts))
        {
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
    sse: u32,
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
    /// The byte by which the outcome is corrected at last, below 256.
    pub(super) last: usize,
}

/// How good a guess may be said to be.
pub(super) const GUESS_GRADES: usize = 64;

impl Bytes {
    /// Tables of `2^log` rows; `sets` situations, each with weights for so many inputs and a guess; corrections for
    /// `lasts` bytes.
    pub(super) fn new(log: u32, sets: usize, inputs: usize, lasts: usize) -> Self {
        Self {
            rows: Rows::new(log),
            mixer: Mixer::new(sets * 256, inputs + 1, knob("SP1",40) as i32),
            second: Mixer::new(GUESS_GRADES * 2, inputs + 1, knob("SP2",32) as i32),
            adjust: vec![FRESH; GUESS_GRADES * 2 * 8],
            correction: Correction::new(lasts * 256), sse: knob("SSE", 2) as u32,
            limit: knob("LIM",127) as u32,
        }
    }

    pub(super) fn code<E: Engine, const N: usize>(
        &mut self,
        engine: &mut E,
        context: &ByteContext<N>,
        byte: u8,
    ) -> u8 {
        let sse = self.sse;
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
            let mixed = (l1 + l2) / 2;
            let p = u32::from(SQUASH[(mixed + 2048).cast_unsigned() as usize]);
            let (refined, place) = self.correction.refine(context.last << 8 | tree, mixed);
            let p = (p * (4 - sse) + refined * sse) >> 2;
            let bit = engine.bit(byte >> shift & 1 == 1, p.clamp(16, 0xFFF0));
            self.mixer.teach(set, used, p1, bit);
            self.second.teach(grade, used, p2, bit);
            for place in places {
                teach(&mut self.rows.rows[place][node], bit, self.limit);
            }
            self.correction.teach(place, bit);
            if grade > 0 {
                teach(&mut self.adjust[adjust], bit, 1023);
            }
            tree = tree << 1 | usize::from(bit);
        }
        tree.to_le_bytes()[0]
    }
}

/// Corrects a probability by what came of it before, in each of some situations.
#[derive(Debug)]
struct Correction {
    slots: Vec<u16>,
}

/// The logits between which a correction is a line.
const CELLS: usize = 33;

impl Correction {
    fn new(sets: usize) -> Self {
        let row: Vec<u16> = (0..CELLS).map(|cell| {
            let logit = (i32::try_from(cell).expect("few") - 16) * 128;
            clamp_u16(squash_exact(logit.clamp(-LOGIT_MAX, LOGIT_MAX)))
        }).collect();
        Self { slots: row.repeat(sets) }
    }

    /// The corrected probability, and where it came from.
    fn refine(&self, set: usize, logit: i32) -> (u32, usize) {
        let from_start = (logit + 2048).cast_unsigned() as usize;
        let (cell, within) = (from_start >> 7, from_start as u32 & 127);
        let at = set * CELLS + cell;
        let p = (u32::from(self.slots[at]) * (128 - within) + u32::from(self.slots[at + 1]) * within) >> 7;
        (p, if within >= 64 { at + 1 } else { at })
    }

    fn teach(&mut self, at: usize, bit: bool) {
        let slot = &mut self.slots[at];
        if bit {
            *slot += (0xFFFF - *slot) >> 6;
        } else {
            *slot -= *slot >> 6;
        }
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

fn knob(n: &str, d: i64) -> i64 { std::env::var(n).ok().and_then(|v| v.parse().ok()).unwrap_or(d) }
