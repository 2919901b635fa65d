//! Bytes of the new file that resemble nothing at their place: coded one by one, with what is alike elsewhere as a guess.

use super::code::{index, narrow};
use super::coder::Engine;
use super::image::Machine;
use super::mix::{hash2, scatter};
use super::model::{ByteContext, Bytes};
use super::walk::{Tables, out_before};
use super::x86;

/// How many bytes find a place to copy from.
const ANCHOR: usize = 6;

/// How many bytes find one among the literals of the segment.
const NEAR_ANCHOR: usize = 4;

/// The most places of the old file that are indexed, as a power of two.
const MAX_INDEX_LOG: u32 = 22;

/// After so many wrong guesses in a row of sixteen a copy is given up.
const MAX_WRONG: u32 = 8;

/// Places of the old file by the six bytes that stand before them.
#[derive(Debug)]
pub(super) struct OldIndex<'a> {
    old: &'a [u8],
    /// Places, zero where there is none. Of equal hashes the last stays.
    places: Vec<u32>,
}

impl<'a> OldIndex<'a> {
    /// Indexes the old file, or nothing of it when no literals will ask.
    pub(super) fn new(old: &'a [u8], wanted: bool) -> Self {
        if !wanted {
            return Self { old, places: Vec::new() };
        }
        let log = old.len().max(1 << 10).next_power_of_two().ilog2().min(MAX_INDEX_LOG);
        let mut places = vec![0; 1 << log];
        let distance = (old.len() >> log) + 1;
        let mut at = ANCHOR;
        while at < old.len() {
            places[hash(&old[at - ANCHOR..at]) & ((1 << log) - 1)] = narrow(at);
            at += distance;
        }
        Self { old, places }
    }

    fn find(&self, last: &[u8]) -> Option<usize> {
        let mask = self.places.len().checked_sub(1)?;
        let at = index(self.places[hash(last) & mask]);
        (at > 0 && self.old.get(at - last.len()..at) == Some(last)).then_some(at)
    }
}

fn hash(bytes: &[u8]) -> usize {
    let mixed =
        bytes.iter().fold(0u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193).rotate_left(7));
    scatter(mixed, 11) as usize
}

/// Where guesses are copied from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Old,
    New,
}

/// A copy under way.
#[derive(Clone, Copy, Debug)]
struct Copy {
    from: From,
    at: usize,
    /// Bytes it guessed right, up to 15.
    len: u32,
    /// Its last guesses: a bit for each, set when it was wrong.
    wrong: u32,
}

pub(super) struct Literals<'a> {
    index: &'a OldIndex<'a>,
    /// Places of the segment by the bytes before them, plus one.
    near: Vec<u32>,
    bytes: Bytes,
    copy: Option<Copy>,
    machine: Machine,
    /// Whether what is coded is code.
    code: bool,
    /// Where the instruction that is being coded seems to start.
    instruction: usize,
    /// A hash of the operation before it.
    operation: u32,
}

impl<'a> Literals<'a> {
    pub(super) fn new(index: &'a OldIndex<'a>, tables: Tables, machine: Machine) -> Self {
        Self {
            index,
            near: vec![0; 1 << 16],
            bytes: Bytes::new(tables.log, 16, 7),
            copy: None,
            machine,
            code: false,
            instruction: 0,
            operation: 0,
        }
    }

    /// A run of literals starts at `at`, in code or elsewhere.
    pub(super) fn enter(&mut self, at: usize, code: bool) {
        self.code = code;
        self.instruction = at;
    }

    /// Moves on to the next instruction once the present one is complete.
    fn step(&mut self, out: &[u8], after: usize) {
        let coded = &out[self.instruction..after];
        let len = match self.machine {
            Machine::Arm64 => 4,
            Machine::X86 | Machine::X64 => {
                x86::decode(coded, self.machine == Machine::X64).map_or(x86::MAX_LEN, |instruction| instruction.len)
            }
            Machine::Other => x86::MAX_LEN,
        };
        if len <= coded.len() {
            let first: [u8; 3] = std::array::from_fn(|at| coded.get(at).copied().unwrap_or(0));
            self.operation = u32::from_le_bytes([first[0], first[1], first[2], 0]);
            if self.machine == Machine::Arm64 {
                self.operation = u32::from(coded[3]) | u32::from(coded[2] & 0xE0) << 8;
            }
            self.instruction += len;
        }
    }

    /// Takes note that the last cover ended at `old`: what follows there is a first guess.
    pub(super) fn follow(&mut self, old: u64) {
        let at = usize::try_from(old).unwrap_or(usize::MAX);
        self.copy = Some(Copy { from: From::Old, at, len: 0, wrong: 0 });
    }

    pub(super) fn code<E: Engine>(&mut self, engine: &mut E, out: &mut [u8], at: usize) {
        self.look(out, at);
        let source = |copy: &Copy| match copy.from {
            From::Old => self.index.old.get(copy.at).copied(),
            From::New => out.get(copy.at).copied().filter(|_| copy.at < at),
        };
        let guess = self.copy.as_ref().and_then(|copy| Some((source(copy)?, grade(copy))));
        let back = |n| u32::from(out_before(out, at, n));
        let (b1, b2, b3, b4) = (back(1), back(2), back(3), back(4));
        let last2 = b1 | b2 << 8;
        let last4 = last2 | b3 << 16 | b4 << 24;
        let expected = guess.map_or(0x1FF, |(byte, grade)| u32::from(byte) | narrow(grade) << 9);
        let (first, second) = if self.code {
            // What there is of the instruction, alone and with the operation before it.
            let start = self.instruction.max(at.saturating_sub(x86::MAX_LEN));
            let prefix = out[start..at].iter().fold(narrow(at - start), |hash, byte| hash2(hash, u32::from(*byte)));
            (hash2(prefix, 8), hash2(prefix, self.operation ^ 0x900_0000))
        } else {
            (hash2(b4 | back(8) << 8, 7 | narrow(at & 3) << 8), hash2(b2 | b3 << 8, 10))
        };
        let context = ByteContext {
            contexts: [
                hash2(b1, 1),
                hash2(last2, 2),
                hash2(last2 | b3 << 16, 3),
                hash2(last4, 4),
                hash2(expected, b1 << 8 | 6),
                first,
                second,
            ],
            guess,
            set: guess.map_or(0, |(_, grade)| 1 + grade / 8) + if self.code { 8 } else { 0 },
        };
        let made = self.bytes.code(engine, &context, out[at]);
        out[at] = made;
        if self.code {
            self.step(out, at + 1);
        }
        self.learn(guess.map(|(byte, _)| byte == made), out, at + 1);
    }

    fn learn(&mut self, right: Option<bool>, out: &[u8], after: usize) {
        if let Some(copy) = &mut self.copy {
            copy.at = copy.at.saturating_add(1);
            match right {
                Some(true) => {
                    copy.len = (copy.len + 1).min(15);
                    copy.wrong <<= 1;
                }
                _ => {
                    copy.len /= 4;
                    copy.wrong = copy.wrong << 1 | 1;
                }
            }
            if (copy.wrong & 0xFFFF).count_ones() > MAX_WRONG {
                self.copy = None;
            }
        }
        if let Some(last) = after.checked_sub(NEAR_ANCHOR).map(|from| &out[from..after]) {
            let slot = hash(last) & (self.near.len() - 1);
            self.near[slot] = narrow(after);
        }
    }

    /// Looks for a better copy when the present one is none or has just failed.
    fn look(&mut self, out: &[u8], at: usize) {
        if self.copy.is_some_and(|copy| copy.len > 0 && copy.wrong & 0xFF == 0) {
            return;
        }
        let Some(last) = at.checked_sub(ANCHOR).map(|from| &out[from..at]) else { return };
        if let Some(place) = self.index.find(last) {
            self.copy = Some(Copy { from: From::Old, at: place, len: 6, wrong: 0 });
            return;
        }
        let last = &last[ANCHOR - NEAR_ANCHOR..];
        let place = index(self.near[hash(last) & (self.near.len() - 1)]);
        if place >= NEAR_ANCHOR && place < at && &out[place - NEAR_ANCHOR..place] == last {
            self.copy = Some(Copy { from: From::New, at: place, len: 4, wrong: 0 });
        }
    }
}

/// How good a copy's guess is, below 48.
fn grade(copy: &Copy) -> usize {
    let wrong = (copy.wrong & 0xFF).count_ones().min(2);
    index(copy.len + 16 * wrong)
}
