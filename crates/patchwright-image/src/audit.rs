//! The rules applied, function by function.
//!
//! First all code is swept once, for branches and for the filler before each function; then every function is judged
//! for itself. All objections to a function are collected, not the first one only.

use rayon::prelude::*;

use crate::code::{Branch, What, a64_replaceable, decode};
use crate::image::{Address, Format, Image, Kind, Machine, Section};
use crate::rule::Rule;
use crate::starts::{Function, Source};

/// Longer pads are cut: no form of jump needs more, and a jump of two bytes reaches no further.
const LONGEST_PAD: usize = 120;

/// How a patcher switches the function over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// One aligned store.
    Atomic,
    /// A breakpoint first, since one store does not reach the whole site.
    Trap,
    /// All threads must be stopped.
    Stopped,
}

/// What came of the audit of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every rule holds.
    HotPatchable {
        /// The mildest way that is safe.
        by: Protocol,
    },
    /// Rules are broken.
    Unpatchable {
        /// All of them.
        reasons: Vec<Objection>,
    },
    /// Its code cannot be read.
    Unknown {
        /// Why.
        why: String,
    },
    /// It is no function of its own: a thunk (`HP-A16`) or a part (`HP-A17`).
    Exempt {
        /// Which of them.
        rule: Rule,
    },
}

/// A rule that does not hold, and what was found instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    /// The rule.
    pub rule: Rule,
    /// What was found.
    pub found: String,
}

/// Where the jump goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PatchSite {
    /// The entry, or the instruction after `endbr`, `bti` or `paciasp`.
    pub address: Address,
    /// Length of the instruction there; of two one-byte nops 2.
    pub len_bytes: usize,
    /// Usable filler right before the entry.
    pub pad_bytes: usize,
}

/// A function, judged.
#[derive(Clone, Debug)]
pub struct Audited<'image> {
    /// The function.
    pub function: &'image Function,
    /// Where it would be patched.
    pub site: PatchSite,
    /// What came of it.
    pub verdict: Verdict,
    /// What whoever patches it should know.
    pub notes: Vec<Objection>,
}

/// Judges every function of an image, by address. `min_pad` defaults to what the machine needs.
pub fn audit<'image>(image: &'image Image<'_>, min_pad: Option<usize>) -> Vec<Audited<'image>> {
    let sweep = Sweep::of(image);
    let need = min_pad.unwrap_or_else(|| image.machine.default_pad());
    let sweep = &sweep;
    // Named, so that what the jobs borrow of the sweep ends before it does.
    let audited: Vec<_> =
        (0..image.functions.len()).into_par_iter().map(|index| Case::new(image, sweep, index, need).judge()).collect();
    audited
}

/// What is known after all code was read once.
pub(crate) struct Sweep {
    /// By target.
    pub(crate) branches: Vec<Branch>,
    /// For each function, where it ends: what its source says, but not beyond the next.
    pub(crate) ends: Vec<u64>,
    /// For each function, filler before it that no earlier function owns.
    pub(crate) pads: Vec<usize>,
    /// For each function, whether an earlier one says that it reaches beyond its entry.
    overlapped: Vec<bool>,
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

impl Sweep {
    pub(crate) fn of(image: &Image<'_>) -> Self {
        let functions = &image.functions;
        let mut sweep = Self {
            branches: Vec::new(),
            ends: Vec::with_capacity(functions.len()),
            pads: vec![0; functions.len()],
            overlapped: vec![false; functions.len()],
        };
        let mut stretches = Vec::new();
        for section in &image.sections {
            sweep.lay_out(image, section, &mut stretches);
        }
        let swept: Vec<_> = stretches.par_iter().map(|stretch| stretch.read(image)).collect();
        for (stretch, (branches, pad)) in stretches.iter().zip(swept) {
            sweep.branches.extend(branches);
            if let Some(next) = stretch.next {
                sweep.pads[next] = pad.min(LONGEST_PAD);
            }
        }
        sweep.branches.sort_unstable();
        sweep
    }

    /// Cuts a section into functions and what lies between them.
    fn lay_out<'a>(&mut self, image: &Image<'_>, section: &'a Section<'a>, stretches: &mut Vec<Stretch<'a>>) {
        let functions = &image.functions;
        let first = functions.partition_point(|function| function.address.0 < section.address);
        let last = functions.partition_point(|function| function.address.0 < section.end());
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
            let limit = next.map_or(section.end(), |next| functions[next].address.0);
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

impl Stretch<'_> {
    /// The branches in it, and the length of the filler at its end.
    fn read(&self, image: &Image<'_>) -> (Vec<Branch>, usize) {
        let mut branches = Vec::new();
        let bytes = self.section.range(self.start, self.end);
        let (mut at, mut filler, mut after_call) = (0, 0, false);
        while let Some(instr) = bytes.get(at..).and_then(|rest| decode(image.machine, rest, self.start + at as u64)) {
            let address = self.start + at as u64;
            match instr.what {
                // A call that should not come back, but may: the breakpoint behind it is its own.
                What::Filler { breakpoint: true } if after_call && filler == 0 && !self.gap => {}
                What::Filler { .. } => filler += instr.len,
                _ => filler = 0,
            }
            after_call = matches!(instr.what, What::Branch { call: true, .. });
            if let What::Branch { to: Some(to), call } = instr.what
                && !(image.kind == Kind::Object && image.is_relocated(address, address + instr.len as u64))
            {
                branches.push(Branch { to, from: address, call });
            }
            at += instr.len;
        }
        let in_step = at == bytes.len() && self.start + at as u64 == self.end;
        let plain = bytes.iter().rev().take_while(|byte| matches!(byte, 0x90 | 0xcc)).count();
        // Data between functions bring the reading out of step. In a gap the plain fillers count nevertheless.
        let plain = if self.gap && image.machine != Machine::Aarch64 { plain } else { 0 };
        (branches, if in_step { filler.max(plain) } else { plain })
    }
}

/// One function under judgement.
struct Case<'a, 's, 'data> {
    image: &'a Image<'data>,
    sweep: &'s Sweep,
    index: usize,
    function: &'a Function,
    need: usize,
    reasons: Vec<Objection>,
    notes: Vec<Objection>,
    by: Protocol,
}

impl<'a, 's, 'data> Case<'a, 's, 'data> {
    fn new(image: &'a Image<'data>, sweep: &'s Sweep, index: usize, need: usize) -> Self {
        let function = &image.functions[index];
        Self { image, sweep, index, function, need, reasons: Vec::new(), notes: Vec::new(), by: Protocol::Atomic }
    }

    fn judge(mut self) -> Audited<'a> {
        let entry = self.function.address.0;
        let end = self.sweep.ends[self.index];
        let code = self.image.section_of(entry).map(|section| section.from(entry)).unwrap_or_default();
        let pad_bytes = self.sweep.pads[self.index];
        let address = Address(entry);
        let Some((skipped, first)) = self.first(code) else {
            let site = PatchSite { address, len_bytes: 0, pad_bytes };
            let why = "the first bytes are no instruction of this machine".to_owned();
            return self.done(site, Verdict::Unknown { why });
        };
        let mut site = PatchSite { address: Address(entry + skipped as u64), len_bytes: first.len, pad_bytes };
        let at_site = code.get(skipped..).unwrap_or_default();
        if let Some(rule) = self.no_function_of_its_own(at_site, pad_bytes) {
            return self.done(site, Verdict::Exempt { rule });
        }
        match self.image.machine {
            Machine::Aarch64 => self.check_a64(at_site, pad_bytes),
            _ => self.check_first(&mut site, at_site, first.what, end),
        }
        self.check_pad(entry, pad_bytes);
        self.check_place(&site);
        self.check_branches(entry, end, &site);
        self.check_patched(at_site, &site);
        self.take_notes(entry, &site, skipped);
        let by = self.by;
        let reasons = std::mem::take(&mut self.reasons);
        let verdict = if reasons.is_empty() { Verdict::HotPatchable { by } } else { Verdict::Unpatchable { reasons } };
        self.done(site, verdict)
    }

    fn done(self, site: PatchSite, verdict: Verdict) -> Audited<'a> {
        Audited { function: self.function, site, verdict, notes: self.notes }
    }

    fn object(&mut self, rule: Rule, found: impl Into<String>) {
        self.reasons.push(Objection { rule, found: found.into() });
    }

    fn note(&mut self, rule: Rule, found: impl Into<String>) {
        self.notes.push(Objection { rule, found: found.into() });
    }

    fn slow_down(&mut self, to: Protocol, rule: Rule, found: impl Into<String>) {
        self.by = self.by.max(to);
        self.note(rule, found);
    }

    /// How many bytes of landing pads come first, and the instruction after them.
    fn first(&self, code: &[u8]) -> Option<(usize, crate::code::Instr)> {
        let mut at = 0;
        for _ in 0..3 {
            let address = self.function.address.0 + at as u64;
            let instr = decode(self.image.machine, code.get(at..)?, address)?;
            match instr.what {
                What::LandingPad => at += instr.len,
                What::Invalid => return None,
                _ => return Some((at, instr)),
            }
        }
        None
    }

    fn no_function_of_its_own(&self, code: &[u8], pad: usize) -> Option<Rule> {
        let section = self.image.section_of(self.function.address.0)?;
        let jumps_by_table = self.image.machine != Machine::Aarch64 && code.starts_with(&[0xff, 0x25]);
        let jumps_on = self.image.format == Format::Pe
            && code.first() == Some(&0xe9)
            && (self.function.names.is_empty()
                || pad == 0 && self.sweep.ends[self.index] - self.function.address.0 <= 8);
        if self.function.part {
            Some(Rule::A17)
        } else if section.name.starts_with(".plt") || jumps_by_table || jumps_on {
            Some(Rule::A16)
        } else {
            None
        }
    }

    fn check_first(&mut self, site: &mut PatchSite, code: &[u8], what: What, end: u64) {
        let after = site.address.0 + 1;
        let next = self.image.functions.get(self.index + 1);
        let behind = code.get(1..).and_then(|code| decode(self.image.machine, code, after));
        let room_after = after >= end
            && next.is_none_or(|next| next.address.0 > after)
            && behind.is_some_and(|instr| matches!(instr.what, What::Filler { .. }));
        if site.len_bytes == 1 {
            if code.starts_with(&[0x90, 0x90]) && end > after {
                site.len_bytes = 2;
                self.slow_down(Protocol::Stopped, Rule::A01, "two one-byte nops: a thread may stand between them");
            } else if what == What::Return && room_after {
                site.len_bytes = 2;
            } else if what == What::Return && after >= end {
                self.object(Rule::A10, "1 byte long, with no filler behind it");
            } else {
                self.object(Rule::A01, "1 byte long");
            }
        } else if site.address.0 + 2 > end {
            self.object(Rule::A10, format!("ends at {}", self.image.place(Address(end))));
        }
    }

    fn check_a64(&mut self, code: &[u8], pad: usize) {
        let word = code.first_chunk().map_or(0, |word| u32::from_le_bytes(*word));
        if !a64_replaceable(word) {
            self.slow_down(Protocol::Stopped, Rule::A13, format!("the first instruction is {word:08x}, no nop"));
        }
        if pad < 16 {
            self.note(Rule::A14, format!("{pad} bytes: the replacement, or a jump to it, must lie within 128 MiB"));
        }
    }

    fn check_pad(&mut self, entry: u64, pad: usize) {
        let hash = self.image.hashes.partition_point(|at| at.saturating_add(16) < entry);
        let hashed = self.image.hashes.get(hash).is_some_and(|at| *at < entry);
        let overlapped = self.sweep.overlapped[self.index];
        if overlapped && self.need > 0 {
            self.object(Rule::A03, "an earlier function reaches beyond the entry");
        } else if hashed && pad < self.need {
            self.object(Rule::A07, "a type hash stands before the entry");
        } else if pad < self.need && !self.linker_pads() {
            self.object(Rule::A02, format!("{pad} of {} bytes", self.need));
        } else if pad < self.need {
            self.note(Rule::A02, "the linker makes the pad");
        }
    }

    /// Pads of COFF objects come later, from `/FUNCTIONPADMIN`.
    fn linker_pads(&self) -> bool {
        self.image.kind == Kind::Object && self.image.format == Format::Pe
    }

    fn check_place(&mut self, site: &PatchSite) {
        let Some(section) = self.image.section_of(self.function.address.0) else { return };
        if site.address.0 + 2 > section.end() {
            self.object(Rule::A09, format!("the section ends at {}", self.image.place(Address(section.end()))));
        }
        if self.image.machine == Machine::Aarch64 {
            return;
        }
        if site.address.0 % 4096 == 4095 {
            self.object(Rule::A04, "the patch site crosses a page");
        } else if section.align < 8 {
            self.slow_down(Protocol::Trap, Rule::A04, format!("the section is aligned to {} only", section.align));
        } else if site.address.0 % 8 == 7 {
            let line = site.address.0 % 64 == 63;
            let what = if line { "a cache line" } else { "8 bytes" };
            self.slow_down(Protocol::Trap, Rule::A04, format!("the patch site crosses a boundary of {what}"));
        }
    }

    fn check_branches(&mut self, entry: u64, end: u64, site: &PatchSite) {
        let used = (self.sweep.pads[self.index].min(self.need)) as u64;
        let (from, to) = (entry - used, site.address.0 + site.len_bytes as u64);
        let branches = &self.sweep.branches;
        let low = branches.partition_point(|branch| branch.to < from);
        let into: Vec<Branch> = branches[low..].iter().take_while(|branch| branch.to < to).copied().collect();
        let is_start = |to: u64| to == entry || to == site.address.0;
        if let Some(branch) = into.iter().find(|branch| !is_start(branch.to)) {
            let [from, to] = [branch.from, branch.to].map(|at| self.image.place(Address(at)));
            self.object(Rule::A05, format!("the branch at {from} leads to {to}"));
        }
        let is_own = |from: u64| (entry..end).contains(&from) || self.is_in_part(from);
        if let Some(branch) = into.iter().find(|branch| is_start(branch.to) && !branch.call && is_own(branch.from)) {
            self.object(Rule::A06, format!("the branch at {} leads back", self.image.place(Address(branch.from))));
        }
        let pointers = &self.image.pointers;
        let low = pointers.partition_point(|pointer| *pointer < from);
        let into = pointers[low..].iter().take_while(|pointer| **pointer < to).find(|pointer| !is_start(**pointer));
        if let Some(pointer) = into
            // The table of entries with pads points to the pad.
            && !(*pointer < entry && self.function.sources.contains(&Source::PatchableEntries))
            && self.image.kind != Kind::Object
        {
            self.object(Rule::A05, format!("a pointer leads to {}", self.image.place(Address(*pointer))));
        }
    }

    /// Whether the address lies in the cold part of this function, as far as names tell.
    fn is_in_part(&self, address: u64) -> bool {
        let after = self.image.functions.partition_point(|function| function.address.0 <= address);
        let Some(index) = after.checked_sub(1).filter(|index| address < self.sweep.ends[*index]) else { return false };
        let is_mine = |part: &String| {
            let names = &self.function.names;
            names.iter().any(|name| part.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with(".cold")))
        };
        self.image.functions[index].names.iter().any(is_mine)
    }

    fn check_patched(&mut self, code: &[u8], site: &PatchSite) {
        let &[0xeb, back, ..] = code else { return };
        let back = back.cast_signed();
        let target = (site.address.0 + 2).wrapping_add_signed(i64::from(back));
        let jump = self.image.bytes(Address(target), Address(target.saturating_add(2)));
        let is_jump = jump.first() == Some(&0xe9) || jump == [0xff, 0x25];
        if self.image.machine != Machine::Aarch64 && target < self.function.address.0 && back < 0 && is_jump {
            self.object(Rule::A11, format!("the entry jumps to a jump at {}", self.image.place(Address(target))));
        }
    }

    fn take_notes(&mut self, entry: u64, site: &PatchSite, skipped: usize) {
        let used = (site.pad_bytes.min(self.need)) as u64;
        if self.image.kind != Kind::Object && self.image.is_relocated(entry - used, site.address.0 + 2) {
            self.note(Rule::A08, "a relocation covers the patched bytes");
        }
        if self.image.tracked && skipped == 0 && self.image.machine != Machine::Aarch64 {
            self.note(Rule::A12, "no ENDBR: an indirect call cannot land here, before the patch or after");
        }
        if self.function.names.len() > 1 {
            self.note(Rule::A15, format!("{} names share the entry", self.function.names.len()));
        }
        let copy = [".constprop.", ".isra.", ".part.", ".lto_priv."];
        if self.function.names.iter().any(|name| copy.iter().any(|mark| name.contains(mark))) {
            self.note(Rule::A18, "a copy or a piece that the compiler made of another function");
        }
    }
}
