//! All code read once, from the start of each function to the start of the next.
//!
//! What is kept is small: ways of control that end near an entry, and the filler before each. Tables of branch targets are
//! followed where the code that uses them tells where they are; in x86 code for Windows they lie between functions, and
//! reading them as code would show branches that are none.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::LONGEST_PAD;
use crate::code::{Hint, Instr, Isa, What, X86Reader, decode, filler_before};
use crate::image::{Edge, Format, Image, Kind, Machine, Mark, Section, Via};

/// The longest stretch from an entry to the end of its patch site: three landing pads and an instruction.
const LONGEST_SITE: u64 = 32;

/// More entries are not in one table.
const LONGEST_TABLE: u64 = 4096;

/// Code checks an index this many instructions before it jumps, or sooner.
const NEAR_BOUND: usize = 16;

/// Addresses that a jump may use are taken not much earlier.
const NEAR_CANDIDATES: usize = 16;

/// What is known after all code was read once.
pub(super) struct Sweep {
    /// Ways of control that end near an entry, by target.
    pub(super) edges: Vec<Edge>,
    /// Tables between code, by address.
    pub(super) tables: Vec<(u64, u64)>,
    /// For each function, where it ends: what its source says, but not beyond the next.
    pub(super) ends: Vec<u64>,
    /// For each function, filler before it that no earlier function owns.
    pub(super) pads: Vec<usize>,
    /// For each function, whether an earlier one says that it reaches beyond its entry.
    pub(super) overlapped: Vec<bool>,
}

impl Sweep {
    pub(super) fn of(image: &Image<'_>) -> Self {
        let functions = &image.functions;
        let mut sweep = Self {
            edges: Vec::new(),
            tables: Vec::new(),
            ends: Vec::with_capacity(functions.len()),
            pads: vec![0; functions.len()],
            overlapped: vec![false; functions.len()],
        };
        let mut stretches = Vec::new();
        for section in &image.sections {
            sweep.lay_out(image, section, &mut stretches);
        }
        let swept: Vec<_> = stretches.par_iter().map(|stretch| stretch.read(image)).collect();
        for (stretch, read) in stretches.iter().zip(swept) {
            sweep.edges.extend(read.edges);
            sweep.tables.extend(read.tables);
            if let Some(next) = stretch.next {
                sweep.pads[next] = read.pad.min(LONGEST_PAD);
            }
        }
        sweep.edges.extend(image.edges.iter().filter(|edge| is_near_entry(image, edge)));
        sweep.edges.sort_unstable();
        sweep.edges.dedup();
        sweep.tables.sort_unstable();
        sweep
    }

    /// Cuts a section into functions and what lies between them.
    fn lay_out<'a>(&mut self, image: &Image<'_>, section: &'a Section<'a>, stretches: &mut Vec<Stretch<'a>>) {
        let functions = &image.functions;
        let first = functions.partition_point(|function| function.address.0 < section.address);
        let last = functions.partition_point(|function| function.address.0 < section.mem_end);
        let mut owned = section.address;
        let before = functions.get(first).filter(|_| first < last).map_or(section.end(), |next| next.address.0);
        stretches.push(Stretch {
            section,
            start: section.address,
            end: before,
            gap: true,
            next: (first < last).then_some(first),
        });
        for index in first..last {
            let start = functions[index].address.0;
            self.overlapped[index] = owned > start;
            let next = (index + 1 < last).then_some(index + 1);
            let limit = next.map_or(section.mem_end, |next| functions[next].address.0);
            let end = functions[index].size.map_or(limit, |size| start.saturating_add(size));
            owned = owned.max(if functions[index].size.is_some() { end } else { start });
            let end = end.min(limit);
            self.ends.push(end);
            let open = functions[index].size.is_none();
            stretches.push(Stretch { section, start, end, gap: false, next: next.filter(|_| open) });
            if !open {
                stretches.push(Stretch { section, start: end, end: limit, gap: true, next });
            }
        }
    }
}

/// Whether a way of control can matter to a function: calls of an entry, which are most, cannot.
fn is_near_entry(image: &Image<'_>, edge: &Edge) -> bool {
    let functions = &image.functions;
    let after = functions.partition_point(|function| function.address.0 <= edge.to);
    let behind = after.checked_sub(1).and_then(|at| functions.get(at)).is_some_and(|function| {
        let distance = edge.to - function.address.0;
        distance < LONGEST_SITE && !(edge.via == Via::Call && distance == 0)
    });
    let before = functions.get(after).is_some_and(|next| next.address.0 - edge.to <= LONGEST_PAD as u64);
    behind || before
}

/// A stretch of code that is read from its start to its end.
struct Stretch<'a> {
    section: &'a Section<'a>,
    start: u64,
    end: u64,
    /// Whether no function owns it.
    gap: bool,
    /// Which function comes after it.
    next: Option<usize>,
}

/// What was read of a stretch.
#[derive(Default)]
struct Read {
    edges: Vec<Edge>,
    tables: Vec<(u64, u64)>,
    pad: usize,
}

/// The filler that was just read.
#[derive(Default)]
struct Filler {
    len: usize,
    after_call: bool,
}

impl Filler {
    fn add(&mut self, instr: Instr, gap: bool) {
        match instr.what {
            // A call that should not come back, but may: the breakpoint behind it is its own.
            What::Filler { breakpoint: true } if self.after_call && self.len == 0 && !gap => {}
            What::Filler { .. } => self.len += instr.len,
            _ => self.len = 0,
        }
        self.after_call = matches!(instr.what, What::Branch { call: true, .. });
    }
}

impl Stretch<'_> {
    fn read(&self, image: &Image<'_>) -> Read {
        let mut read = Read::default();
        let bytes = self.section.range(self.start, self.end);
        let isa = Isa::from(image.machine);
        let linear =
            if isa.is_x86() { self.read_x86(image, bytes, &mut read) } else { self.read_arm(image, &mut read) };
        if self.next.is_some() {
            read.pad = self.pad(image, bytes, linear);
        }
        read
    }

    /// The filler at its end. Of a gap all that decodes as filler; behind a function whose end no source knows what was
    /// filler when it was read in step, since the last bytes of an instruction may look like filler.
    fn pad(&self, image: &Image<'_>, bytes: &[u8], linear: Option<usize>) -> usize {
        let isa = Isa::from(image.machine);
        let is_data = |at: u64| image.mark(at) == Some(Mark::Data);
        if self.gap {
            let isa = if isa.is_x86() { isa } else { image.isa(self.end.saturating_sub(1)) };
            let filler = filler_before(isa, bytes, self.start, LONGEST_PAD);
            return if self.end > self.start && is_data(self.end - 1) { 0 } else { filler };
        }
        let plain = bytes.iter().rev().take_while(|byte| matches!(byte, 0x90 | 0xcc)).count();
        linear.unwrap_or(if isa.is_x86() { plain } else { 0 })
    }

    /// Notes a branch. What no function owns may be data, in which nearly every byte can be read as a branch.
    fn note(&self, image: &Image<'_>, at: u64, instr: Instr, jump: Via, read: &mut Read) {
        let What::Branch { to: Some(to), call } = instr.what else { return };
        if self.gap {
            return;
        }
        let end = at + instr.len as u64;
        let to = if image.kind == Kind::Object && image.is_relocated(at, end) {
            // The field of a relocated branch is in its last bytes, on ARM in the whole of it.
            let link = image.links.partition_point(|(field, _)| *field < at);
            match image.links.get(link) {
                Some((field, to)) if *field < end => *to,
                _ => return,
            }
        } else {
            to
        };
        let edge = Edge { to, from: at, via: if call { Via::Call } else { jump } };
        if is_near_entry(image, &edge) {
            read.edges.push(edge);
        }
    }

    /// ARM of all sorts. Gives the filler at the end if it was read in step.
    fn read_arm(&self, image: &Image<'_>, read: &mut Read) -> Option<usize> {
        let mut filler = Filler::default();
        let mut at = self.start;
        let end = self.end.min(self.section.end());
        while at < end {
            let mark = image.marks.partition_point(|(start, _)| *start <= at);
            let until = image.marks.get(mark).map_or(end, |(next, _)| (*next).min(end));
            if image.mark(at) == Some(Mark::Data) {
                filler.len = 0;
                at = until;
                continue;
            }
            let isa = image.isa(at);
            while at < until {
                let instr = decode(isa, self.section.range(at, until), at)?;
                filler.add(instr, self.gap);
                self.note(image, at, instr, Via::Jump, read);
                at += instr.len as u64;
            }
        }
        (at == self.end).then_some(filler.len)
    }

    fn read_x86(&self, image: &Image<'_>, bytes: &[u8], read: &mut Read) -> Option<usize> {
        let bits = if image.machine == Machine::X86_64 { 64 } else { 32 };
        let mut reader = X86Reader::new(bits, bytes, self.start);
        let mut filler = Filler::default();
        let mut data = Data::new(self.relocated_tables(image));
        // What a function's tables are read for is bounded by its length.
        let mut tables = Tables { budget: bytes.len().saturating_mul(8).saturating_add(4096), ..Tables::default() };
        // The furthest that a branch leads. Behind that, and behind a jump or ret, are data or another function; unless an
        // exception or a table that was not understood leads there.
        let mut reached = self.start;
        let mut at = self.start;
        loop {
            if let Some(end) = data.end_of(at) {
                at = end.min(self.end);
                filler = Filler::default();
                reader.go(usize::try_from(at - self.start).ok()?);
            }
            let Some(instr) = reader.read() else { break };
            filler.add(instr, self.gap);
            let ended = at > reached;
            if !ended {
                self.note(image, at, instr, Via::Jump, read);
                tables.see(image, reader.hint());
            } else if !self.is_open() {
                self.note(image, at, instr, Via::Stray, read);
            }
            if let Hint::ByteIndexed(displacement) = reader.hint() {
                // Bytes that lead into a second table, up to filler or the end.
                let table = Candidate::address(image, displacement);
                if (at..self.end).contains(&table) {
                    data.add(at, (table, self.bytes_end(table)));
                }
            }
            let next = at + instr.len as u64;
            match instr.what {
                What::Branch { to: None, call: false } if !ended => {
                    let furthest = self.follow(image, at, &mut tables, read, &mut data);
                    reached = reached.max(furthest.unwrap_or(at));
                }
                What::Branch { to: Some(to), call: false } if !ended => {
                    // A jump goes away for good, a condition goes on.
                    let goes_on = !reader.is_jump();
                    let near = if (self.start..self.end).contains(&to) { to } else { at };
                    reached = reached.max(near).max(if goes_on { next } else { at });
                }
                What::Return | What::Filler { breakpoint: true } | What::Invalid => {}
                _ if !ended => reached = reached.max(next),
                _ => {}
            }
            at = next;
        }
        (at == self.end).then_some(filler.len)
    }

    /// Whether no source knows where the function ends.
    fn is_open(&self) -> bool {
        !self.gap && self.next.is_some()
    }

    /// Notes where the tables lead that code before an indirect jump named, and says where the furthest is.
    fn follow(
        &self,
        image: &Image<'_>,
        jump: u64,
        tables: &mut Tables,
        read: &mut Read,
        data: &mut Data,
    ) -> Option<u64> {
        let mut furthest = None;
        for candidate in tables.candidates.iter().rev() {
            // One table ends where the next begins.
            let limit =
                tables.candidates.iter().map(|other| other.table).filter(|other| *other > candidate.table).min();
            let width = candidate.width as u64;
            // Without a check of the index the end is a guess: good enough to step over it, not to accuse anybody.
            let bound = tables.bound();
            let mut number = 0;
            while number < LONGEST_TABLE {
                let place = candidate.table.wrapping_add(number * width);
                if limit.is_some_and(|limit| place >= limit) {
                    break;
                }
                let target = image.number(place, candidate.width).map(|value| candidate.target(value));
                let Some(to) = target.filter(|to| (self.start..self.end).contains(to)) else { break };
                let edge = Edge { to, from: jump, via: Via::Table };
                if bound.is_some_and(|bound| number < bound) && !self.gap {
                    furthest = furthest.max(Some(to));
                    if is_near_entry(image, &edge) {
                        read.edges.push(edge);
                    }
                }
                number += 1;
                let Some(left) = tables.budget.checked_sub(1) else { return furthest };
                tables.budget = left;
            }
            if number > 0 && image.section_of(candidate.table).is_some() {
                let range = (candidate.table, candidate.table.saturating_add(number * width));
                read.tables.push(range);
                data.add(jump, range);
            }
        }
        furthest
    }

    /// Runs of relocated words that lead into code: tables, whoever uses them. An instruction has at most two.
    fn relocated_tables(&self, image: &Image<'_>) -> BTreeMap<u64, u64> {
        if image.format != Format::Pe || image.machine != Machine::X86 || image.kind == Kind::Object {
            return BTreeMap::new();
        }
        let low = image.fields.partition_point(|field| *field < self.start);
        let high = image.fields.partition_point(|field| *field < self.end);
        let mut tables = BTreeMap::new();
        for run in image.fields[low..high].chunk_by(|one, next| next - one == 4) {
            if let [first, _, .., last] = run {
                tables.insert(*first, *last + 4);
            }
        }
        tables
    }

    fn bytes_end(&self, table: u64) -> u64 {
        let bytes = self.section.range(table, self.end);
        let len = bytes.windows(2).position(|pair| pair == [0xcc, 0xcc] || pair == [0x90, 0x90]);
        table + len.unwrap_or(bytes.len()) as u64
    }
}

/// Ranges of data between code, and where the next of them begins.
struct Data {
    ranges: BTreeMap<u64, u64>,
    next: u64,
}

impl Data {
    fn new(ranges: BTreeMap<u64, u64>) -> Self {
        let next = ranges.keys().next().copied().unwrap_or(u64::MAX);
        Self { ranges, next }
    }

    /// Where the range ends that holds `at`, which only grows from call to call.
    fn end_of(&mut self, at: u64) -> Option<u64> {
        if at < self.next {
            return None;
        }
        let holds = self.ranges.range(..=at).next_back().map(|(_, end)| *end).filter(|end| at < *end);
        let from = holds.unwrap_or(at).saturating_add(1);
        self.next = self.ranges.range(from..).next().map_or(u64::MAX, |(start, _)| *start);
        holds
    }

    /// Adds what was found at `at`; what lies behind is of no use any more.
    fn add(&mut self, at: u64, (start, end): (u64, u64)) {
        if end > at {
            let known = self.ranges.entry(start).or_default();
            *known = end.max(*known);
            self.next = self.next.min(start);
        }
    }
}

/// What code said of tables lately.
#[derive(Default)]
struct Tables {
    candidates: Vec<Candidate>,
    /// The last number that something was compared with, and when.
    compared: Option<(u64, usize)>,
    seen: usize,
    /// Entries that may still be read.
    budget: usize,
}

impl Tables {
    fn see(&mut self, image: &Image<'_>, hint: Hint) {
        self.seen += 1;
        if let Hint::Compared(number) = hint {
            self.compared = Some((number, self.seen));
        }
        if let Some(candidate) = Candidate::of(image, hint) {
            if self.candidates.len() == NEAR_CANDIDATES {
                self.candidates.remove(0);
            }
            self.candidates.push(candidate);
        }
    }

    /// How many entries the index was checked to have at most.
    fn bound(&self) -> Option<u64> {
        let (number, when) = self.compared?;
        (self.seen - when <= NEAR_BOUND).then(|| number.saturating_add(1).min(LONGEST_TABLE))
    }
}

/// A table that code before an indirect jump may mean.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    table: u64,
    width: usize,
    /// What its entries are added to; of absolute ones nothing.
    base: Option<u64>,
}

impl Candidate {
    fn of(image: &Image<'_>, hint: Hint) -> Option<Self> {
        match hint {
            // Distances from the table itself.
            Hint::Address(table) => Some(Self { table, width: 4, base: Some(table) }),
            Hint::Indexed { displacement, scale, based: false } => {
                let table = if image.machine == Machine::X86 { displacement & 0xffff_ffff } else { displacement };
                Some(Self { table, width: usize::try_from(scale).ok()?, base: None })
            }
            Hint::Indexed { displacement, scale: 4, based: true } => match (image.format, image.got) {
                // Distances from the image.
                (Format::Pe, _) if image.machine == Machine::X86_64 => {
                    Some(Self { table: image.base.wrapping_add(displacement), width: 4, base: Some(image.base) })
                }
                (Format::Elf, Some(got)) => {
                    let table = got.wrapping_add(displacement) & 0xffff_ffff;
                    Some(Self { table, width: 4, base: Some(got) })
                }
                _ => None,
            },
            _ => None,
        }
    }

    fn address(image: &Image<'_>, displacement: u64) -> u64 {
        match image.machine {
            Machine::X86_64 => image.base.wrapping_add(displacement),
            _ => displacement & 0xffff_ffff,
        }
    }

    fn target(&self, value: u64) -> u64 {
        match self.base {
            None => value,
            Some(base) => {
                let distance = u32::try_from(value).map_or(0, |value| i64::from(value.cast_signed()));
                let target = base.wrapping_add_signed(distance);
                // The address space of x86 goes round.
                if base <= u64::from(u32::MAX) && self.width == 4 { target & 0xffff_ffff } else { target }
            }
        }
    }
}
