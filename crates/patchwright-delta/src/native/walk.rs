//! One segment of the new file, coded or decoded: literals, and covers group by group.
//!
//! The walk is written once. An encoder is handed the segment and codes it; a decoder is handed room and fills it.
//! A group is some 64 covered bytes with one flag before them: clean ones are as foretold and cost nothing more.

use crate::cover::Cover;

use super::code::{Form, index, narrow};
use super::coder::Engine;
use super::literals::{Literals, OldIndex};
use super::mix::hash2;
use super::model::{ByteContext, Bytes, Flags};
use super::predict::{Images, Predictor, Trust, Unit};

/// How many covered bytes a group has at least, unless its cover ends.
const GROUP: u32 = 64;

/// What bits of a body are spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Spent {
    Groups,
    Flags,
    Bytes,
    Targets,
    Words,
    Literals,
}

/// The number of purposes in [`Spent`].
pub(super) const PURPOSES: usize = 6;

/// The state of coding one segment.
pub(super) struct Walk<'a, E> {
    engine: E,
    images: &'a Images<'a>,
    predictor: Predictor<'a>,
    coder: Units<'a>,
    literals: Literals<'a>,
    spent: Spending,
}

/// Bits spent on each section of the new file (the first entry is for what is in none), by purpose, in 1/256.
pub(super) type Spending = Vec<[u64; PURPOSES]>;

/// How large the tables of a segment are: `2^log` rows of 64 bytes for bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tables {
    pub(super) log: u32,
}

impl<'a, E: Engine> Walk<'a, E> {
    /// `slots` is how many decoded pages of the old file are kept.
    pub(super) fn new(
        engine: E,
        images: &'a Images<'a>,
        matches: &'a OldIndex<'a>,
        tables: Tables,
        slots: usize,
    ) -> Self {
        Self {
            engine,
            images,
            predictor: Predictor::new(images, slots),
            coder: Units::new(images, tables),
            literals: Literals::new(matches, tables, images.old_layout.machine),
            spent: vec![[0; PURPOSES]; images.new_layout.sections.len() + 1],
        }
    }

    /// Walks a segment whose first byte is byte `start` of the new file. `covers` lie in it, in order.
    ///
    /// Ends early, with what is made so far, when a decoder runs out of bytes.
    pub(super) fn run(mut self, out: &mut [u8], start: u32, covers: &[Cover]) -> (E, Spending) {
        let mut at = 0;
        for cover in covers {
            let new = index(narrow_offset(cover.new_offset) - start);
            self.literal_run(out, start, at, new);
            let (old, len) = (narrow_offset(cover.old_offset), narrow_offset(cover.len));
            if !self.cover(out, start, new, old, len) {
                return (self.engine, self.spent);
            }
            at = new + index(len);
            self.literals.follow(cover.old_offset + cover.len);
        }
        let end = out.len();
        self.literal_run(out, start, at, end);
        (self.engine, self.spent)
    }

    fn literal_run(&mut self, out: &mut [u8], start: u32, from: usize, to: usize) {
        if from == to {
            return;
        }
        let before = self.engine.cost();
        let section = self.predictor.new_section(start + narrow(from));
        self.literals.enter(from, self.predictor.new_is_code());
        for at in from..to {
            if self.engine.exhausted() {
                break;
            }
            self.literals.code(&mut self.engine, out, at);
        }
        self.spent[section][Spent::Literals as usize] += self.engine.cost() - before;
    }

    fn cover(&mut self, out: &mut [u8], start: u32, new: usize, old: u32, len: u32) -> bool {
        let mut done = 0;
        let mut units = Vec::new();
        while done < len {
            if self.engine.exhausted() {
                return false;
            }
            let end = len.min(done + GROUP);
            let place = |done: u32| (old + done, start + narrow(new) + done);
            if E::WRITES {
                units.clear();
                let mut dirty = false;
                let first = done;
                while done < end {
                    let (old, at) = place(done);
                    let here = new + index(done);
                    let unit = self.predictor.foretell(old, at, len - done, &out[..here], done);
                    let actual = bytes_at(out, here, unit.len());
                    dirty |= actual != unit.foretold();
                    self.predictor.settle(&unit, at, actual);
                    done += unit.len();
                    units.push(unit);
                }
                let before = self.engine.cost();
                self.coder.group(&mut self.engine, dirty);
                let section = self.predictor.new_section(start + narrow(new) + first);
                let spent = &mut self.spent[section];
                spent[Spent::Groups as usize] += self.engine.cost() - before;
                if dirty {
                    let mut here = new + index(first);
                    for unit in &units {
                        let at = start + narrow(here);
                        self.coder.unit(&mut self.engine, unit, out, here, at, spent);
                        here += index(unit.len());
                    }
                }
            } else {
                let dirty = self.coder.group(&mut self.engine, false);
                while done < end {
                    let (old, at) = place(done);
                    let here = new + index(done);
                    let plain = self.predictor.plain(old, end - done);
                    if !plain.is_empty() {
                        let from = index(old);
                        if dirty {
                            for (number, step) in plain.iter().enumerate() {
                                let unit = (old + narrow(number), self.images.old[from + number], *step);
                                self.coder.byte(&mut self.engine, unit, out, here + number);
                            }
                        } else {
                            let bytes = &self.images.old[from..from + plain.len()];
                            out[here..here + plain.len()].copy_from_slice(bytes);
                        }
                        done += narrow(plain.len());
                        continue;
                    }
                    let unit = self.predictor.foretell(old, at, len - done, &out[..here], done);
                    if dirty {
                        self.coder.unit(&mut self.engine, &unit, out, here, at, &mut self.spent[0]);
                    } else {
                        let foretold = unit.foretold();
                        out[here..here + index(unit.len())].copy_from_slice(&foretold[..index(unit.len())]);
                    }
                    let actual = bytes_at(out, here, unit.len());
                    self.predictor.settle(&unit, at, actual);
                    done += unit.len();
                }
            }
        }
        true
    }
}

fn narrow_offset(offset: u64) -> u32 {
    u32::try_from(offset).expect("files of this format are shorter than 2 GiB")
}

/// The bytes of a unit, the rest zero.
fn bytes_at(out: &[u8], at: usize, len: u32) -> [u8; 4] {
    let mut bytes = [0; 4];
    let len = index(len);
    bytes[..len].copy_from_slice(&out[at..at + len]);
    bytes
}

/// Codes the units of dirty groups.
struct Units<'a> {
    images: &'a Images<'a>,
    flags: Flags,
    bytes: Bytes,
    targets: Bytes,
    /// Which of the last groups were dirty, latest in the lowest bit.
    groups: u32,
    /// Which of the last units missed, latest in the lowest bit.
    misses: u32,
    /// What replaced a byte last, by that byte and the step in the instruction.
    replaced: Vec<u8>,
}

impl<'a> Units<'a> {
    fn new(images: &'a Images<'a>, tables: Tables) -> Self {
        Self {
            images,
            flags: Flags::new((tables.log + 2).min(18), 64, 4),
            bytes: Bytes::new(tables.log - 1, 4, 4),
            targets: Bytes::new(tables.log - 2, 8, 4),
            groups: 0,
            misses: 0,
            replaced: vec![0; 256 * 16],
        }
    }

    fn group<E: Engine>(&mut self, engine: &mut E, dirty: bool) -> bool {
        let contexts = [
            self.groups & 0xF,
            0x100 | (self.groups & 0xFF),
            0x200 | (self.groups & 0xFFFF).count_ones() << 3,
            0x1000 | (self.groups & 0xFFF),
        ];
        let dirty = self.flags.code(engine, 0, contexts, dirty);
        self.groups = self.groups << 1 | u32::from(dirty);
        dirty
    }

    /// Codes one unit that stands at `here` of the segment and at `new` of the new file.
    fn unit<E: Engine>(
        &mut self,
        engine: &mut E,
        unit: &Unit,
        out: &mut [u8],
        here: usize,
        new: u32,
        spent: &mut [u64; PURPOSES],
    ) {
        let before = engine.cost();
        let mut purpose = Spent::Bytes;
        match unit {
            Unit::Byte { old, byte, step } => {
                if self.byte(engine, (*old, *byte, *step), out, here) {
                    purpose = Spent::Flags;
                }
            }
            Unit::Reference { .. } => {
                purpose = Spent::Targets;
                self.reference(engine, unit, out, here, new);
            }
            Unit::Word { .. } => {
                purpose = Spent::Words;
                self.word(engine, unit, out, here);
            }
        }
        spent[purpose as usize] += engine.cost() - before;
    }

    fn miss(&mut self, missed: bool) {
        self.misses = self.misses << 1 | u32::from(missed);
    }

    /// A hash of the first bytes of the old instruction that byte `old` belongs to.
    fn operation(&self, old: u32, step: u8) -> u32 {
        let start = index(old.saturating_sub(u32::from(step.saturating_sub(1))));
        let bytes = self.images.old.get(start..).and_then(|rest| rest.first_chunk::<4>()).copied().unwrap_or_default();
        let [a, b, c, d] = bytes;
        if self.images.old_layout.machine == super::image::Machine::Arm64 {
            return u32::from_le_bytes([0, 0, c & 0xE0, d]) >> 16;
        }
        u32::from_le_bytes([a, b, c, 0])
    }

    fn byte<E: Engine>(
        &mut self,
        engine: &mut E,
        (old, byte, step): (u32, u8, u8),
        out: &mut [u8],
        here: usize,
    ) -> bool {
        let predicted = u32::from(byte);
        let operation =
            if step > 0 { self.operation(old, step) } else { u32::from(out_before(self.images.old, index(old), 1)) };
        let previous = u32::from(out_before(out, here, 1));
        let place = hash2(operation, u32::from(step));
        let slot = usize::from(byte) * 16 + usize::from(step.min(15));
        let replaced = u32::from(self.replaced[slot]);
        let next = u32::from(self.images.old.get(index(old) + 1).copied().unwrap_or(0));
        let contexts = [
            hash2(place, 1),
            hash2(predicted << 8 | previous, 2 + u32::from(step > 0)),
            hash2(self.misses & 0xFF, u32::from(step) << 8 | 4),
            hash2(predicted | next << 8 | (self.misses & 3) << 16, 7 | previous << 8),
        ];
        let actual = out[here];
        let missed = self.flags.code(
            engine,
            1 + usize::from(step.min(15)) + 16 * (self.misses & 1) as usize,
            contexts,
            actual != byte,
        );
        self.miss(missed);
        if !missed {
            out[here] = byte;
            return true;
        }
        let before = u32::from(out_before(out, here, 2));
        let context = ByteContext {
            contexts: [
                hash2(predicted, u32::from(step) << 8 | 1),
                hash2(previous << 8 | before, 3),
                hash2(predicted << 8 | previous, replaced << 8 | 5),
                hash2(place, previous << 8 | 4),
            ],
            guess: Some((self.replaced[slot], 1 + usize::from(step.min(15)))),
            set: usize::from(step > 0),
        };
        out[here] = self.bytes.code(engine, &context, actual);
        self.replaced[slot] = out[here];
        false
    }

    fn reference<E: Engine>(&mut self, engine: &mut E, unit: &Unit, out: &mut [u8], here: usize, new: u32) {
        let Unit::Reference { reference, word, target, trust, step } = unit else { return };
        let kind = form_number(reference.form);
        let operation = self.operation(reference.at, *step);
        let trusted = match trust {
            Trust::Near => 0,
            Trust::Covered => 1,
            Trust::Learned => 2,
        };
        let contexts = [
            hash2(kind << 4 | trusted, 20),
            hash2(operation, 22 | trusted << 8),
            hash2(self.misses & 0xFF, trusted << 8 | 23),
            hash2(reference.target >> 8, 25),
        ];
        let actual = u32::from_le_bytes(bytes_at(out, here, 4));
        let missed = self.flags.code(engine, 33 + trusted as usize, contexts, actual != *word);
        self.miss(missed);
        let made = if missed {
            let base = self.images.new_layout.code_base();
            let address = self.images.new_layout.section_at(new).map(|s| s.address.wrapping_add(new - s.offset));
            let goal = address.and_then(|address| reference.form.goal(actual, *word, *target, address, base));
            // The whole instruction may be another one; x86 has operands of their own.
            let whole = matches!(reference.form, Form::Relative { .. } | Form::Absolute);
            let other = match address {
                None => true,
                Some(_) if whole => false,
                Some(_) => self.flags.code(
                    engine,
                    63,
                    [hash2(kind, 70), hash2(operation, 71), hash2(*word, 72)],
                    goal.is_none(),
                ),
            };
            match address {
                Some(address) if !other => {
                    let found =
                        self.number(engine, goal.unwrap_or(0), *target, hash2(kind, operation), kind as usize & 1);
                    reference.form.point(*word, found, address, base)
                }
                _ => self.number(engine, actual, *word, hash2(kind, 77), 2),
            }
        } else {
            *word
        };
        out[here..here + 4].copy_from_slice(&made.to_le_bytes());
    }

    fn word<E: Engine>(&mut self, engine: &mut E, unit: &Unit, out: &mut [u8], here: usize) {
        let Unit::Word { old, choices } = unit else { return };
        let actual = u32::from_le_bytes(bytes_at(out, here, 4));
        let way = super::code::narrow(choices.way);
        let contexts = [
            hash2(way << 8 | choices.grade, 40 | choices.phase << 8),
            hash2(self.misses & 0xFF, 41 | way << 8 | choices.phase << 16),
            hash2(choices.best >> 16, 42 | way << 8),
            hash2(choices.best, 43),
        ];
        let missed = self.flags.code(engine, 36 + choices.way, contexts, actual != choices.best);
        self.miss(missed);
        let mut made = choices.best;
        if missed {
            let other = choices.second.is_some_and(|second| {
                let contexts = [
                    hash2(way, 50),
                    hash2(way << 8 | choices.grade, 51 | choices.phase << 8),
                    hash2(self.misses & 0xFF, 52),
                ];
                self.flags.code(engine, 62, contexts, actual == second)
            });
            made = match choices.second {
                Some(second) if other => second,
                _ if choices.way == 0 => {
                    // No address: its bytes are looked at one by one.
                    for (at, byte) in (0u32..).zip(choices.best.to_le_bytes()) {
                        self.byte(engine, (old + at, byte, 0), out, here + index(at));
                    }
                    return;
                }
                _ => self.number(engine, actual, choices.best, hash2(way, 60 | choices.phase << 8), 3),
            };
        }
        out[here..here + 4].copy_from_slice(&made.to_le_bytes());
    }

    /// Codes four bytes, highest first, that are probably near `guess`.
    fn number<E: Engine>(&mut self, engine: &mut E, number: u32, guess: u32, site: u32, set: usize) -> u32 {
        let mut made = 0u32;
        let mut same = true;
        for (at, shift) in (0u32..).zip([24, 16, 8, 0]) {
            let expected = (guess >> shift).to_le_bytes()[0];
            let context = ByteContext {
                contexts: [
                    hash2(made, at << 8 | 1),
                    hash2(u32::from(expected) | u32::from(same) << 8, at << 8 | 3),
                    hash2(guess >> shift, at << 8 | 4),
                    hash2(site, at << 8 | 5 | u32::from(same) << 16),
                ],
                guess: same.then_some((expected, 20 + index(at))),
                set: set * 2 + usize::from(same),
            };
            let byte = self.targets.code(engine, &context, (number >> shift).to_le_bytes()[0]);
            same &= byte == expected;
            made = made << 8 | u32::from(byte);
        }
        made
    }
}

/// A number for each form, without its details.
fn form_number(form: Form) -> u32 {
    match form {
        Form::Relative { after } => u32::from(after.min(7)),
        Form::Absolute => 8,
        Form::Branch => 9,
        Form::Adr => 10,
        Form::Adrp => 11,
        Form::Literal => 12,
        Form::Low { shift } => 13 + u32::from(shift.min(4)),
    }
}

/// The byte `back` before a place; zero before the start.
pub(super) fn out_before(out: &[u8], here: usize, back: usize) -> u8 {
    here.checked_sub(back).and_then(|at| out.get(at)).copied().unwrap_or(0)
}
