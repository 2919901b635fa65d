//! Bytes of the new file that resemble nothing at their place: coded one by one, with what is alike elsewhere as a guess.

use super::code::{index, narrow};
use super::coder::Engine;
use super::image::Machine;
use super::mix::hash2;
use super::model::{ByteContext, Bytes};
use super::walk::{Tables, out_before};
use super::x86;

/// How many bytes find a place to copy from.
const ANCHOR: usize = 6;

/// How many bytes find one among the literals of the segment.
const NEAR_ANCHOR: usize = 4;

/// How many places of the segment are known by their bytes, as a power of two.
const NEAR_LOG: u32 = 16;

/// The most places of the old file that are indexed, as a power of two.
const MAX_INDEX_LOG: u32 = 21;

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
        let log = index_log(old.len() as u64);
        let mut places = vec![0; 1 << log];
        let distance = (old.len() >> log) + 1;
        let mut at = ANCHOR;
        while at < old.len() {
            places[index(hash(anchor(old, at)) >> (32 - log))] = narrow(at);
            at += distance;
        }
        Self { old, places }
    }

    /// The place in the old file that these bytes stand before.
    fn find(&self, last: [u8; ANCHOR]) -> Option<usize> {
        if self.places.is_empty() {
            return None;
        }
        let at = index(self.places[index(hash(last) >> (32 - self.places.len().ilog2()))]);
        (at > 0 && anchor(self.old, at) == last).then_some(at)
    }
}

/// How many places are indexed, as a power of two.
pub(super) fn index_log(old_len: u64) -> u32 {
    old_len.max(1 << 10).next_power_of_two().ilog2().min(MAX_INDEX_LOG)
}

/// The bytes before a place.
fn anchor(bytes: &[u8], at: usize) -> [u8; ANCHOR] {
    *bytes[..at].last_chunk().expect("the first places are left out")
}

/// A hash whose highest bits are its best.
fn hash([a, b, c, d, e, f]: [u8; ANCHOR]) -> u32 {
    let (first, last) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, 0, 0]));
    near_hash(first ^ near_hash(last).rotate_left(16))
}

fn near_hash(word: u32) -> u32 {
    word.wrapping_mul(0x9E37_79B1)
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
            near: vec![0; 1 << NEAR_LOG],
            bytes: Bytes::new(tables.log, 16, 5),
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
            contexts: [hash2(last2, 2), hash2(last4, 4), hash2(expected, b1 << 8 | 6), first, second],
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
        if let Some(last) = out[..after].last_chunk::<NEAR_ANCHOR>() {
            self.near[index(near_hash(u32::from_le_bytes(*last)) >> (32 - NEAR_LOG))] = narrow(after);
        }
    }

    /// Looks for a better copy when the present one is none or has just failed.
    fn look(&mut self, out: &[u8], at: usize) {
        if self.copy.is_some_and(|copy| copy.len > 0 && copy.wrong & 0xFF == 0) {
            return;
        }
        let Some(last) = out[..at].last_chunk::<ANCHOR>() else { return };
        if let Some(place) = self.index.find(*last) {
            self.copy = Some(Copy { from: From::Old, at: place, len: 6, wrong: 0 });
            return;
        }
        let [_, _, last @ ..] = *last;
        let place = index(self.near[index(near_hash(u32::from_le_bytes(last)) >> (32 - NEAR_LOG))]);
        if place < at && out[..place].last_chunk() == Some(&last) {
            self.copy = Some(Copy { from: From::New, at: place, len: 4, wrong: 0 });
        }
    }
}

/// How good a copy's guess is, below 48.
fn grade(copy: &Copy) -> usize {
    let wrong = (copy.wrong & 0xFF).count_ones().min(2);
    index(copy.len + 16 * wrong)
}
