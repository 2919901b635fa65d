//! One function under judgement.

use super::sweep::Sweep;
use super::{Audited, Objection, PatchSite, Protocol, Reach, Verdict};
use crate::code::{Instr, Isa, Movable, What, a64_stub, decode, filler_before, is_replaceable, movable};
use crate::image::{Address, Edge, Format, Image, Kind, Machine, Via};
use crate::rule::Rule;
use crate::starts::{Function, Source};

pub(super) struct Case<'a, 's, 'data> {
    image: &'a Image<'data>,
    sweep: &'s Sweep,
    index: usize,
    function: &'a Function,
    isa: Isa,
    /// Bytes of pad.
    need: usize,
    reasons: Vec<Objection>,
    notes: Vec<Objection>,
    by: Protocol,
}

impl<'a, 's, 'data> Case<'a, 's, 'data> {
    pub(super) fn new(image: &'a Image<'data>, sweep: &'s Sweep, index: usize, min_pad: Option<usize>) -> Self {
        let function = &image.functions[index];
        // The word that a jump on ARM loads is aligned.
        let uneven = if image.machine == Machine::Arm { usize::from(function.address.0 & 2 != 0) * 2 } else { 0 };
        let need = min_pad.unwrap_or_else(|| image.machine.default_pad() + uneven);
        Self {
            image,
            sweep,
            index,
            function,
            isa: image.isa(function.address.0),
            need,
            reasons: Vec::new(),
            notes: Vec::new(),
            by: Protocol::Atomic,
        }
    }

    pub(super) fn judge(mut self) -> Audited<'a> {
        let entry = self.function.address.0;
        let end = self.sweep.ends[self.index];
        let code = self.image.section_of(entry).map(|section| section.from(entry)).unwrap_or_default();
        let pad_bytes = self.sweep.pads[self.index];
        let mut site = PatchSite { address: Address(entry), len_bytes: 0, pad_bytes };
        if self.function.part {
            return self.done(site, Verdict::Exempt { rule: Rule::A17 });
        }
        if code.is_empty() {
            self.object(Rule::A09, "no bytes of the file are loaded here");
            return self.decided(site);
        }
        let Some((skipped, first)) = self.first(code) else {
            let why = "the first bytes are no instruction of this machine".to_owned();
            return self.done(site, Verdict::Unknown { why });
        };
        site = PatchSite { address: Address(entry + skipped as u64), len_bytes: first.len, pad_bytes };
        let at_site = code.get(skipped..).unwrap_or_default();
        if let Some(by) = self.patched_by(at_site, &site) {
            self.object(Rule::A11, by);
            return self.decided(site);
        }
        if let Some(leads_to) = self.thunk(at_site, &site, pad_bytes) {
            self.note(Rule::A16, leads_to);
            return self.done(site, Verdict::Exempt { rule: Rule::A16 });
        }
        if self.isa.is_x86() {
            self.check_first(&mut site, at_site, first.what, end);
        } else {
            self.check_word(at_site, &site, end);
        }
        self.check_pad(entry, pad_bytes);
        self.check_place(&site);
        self.check_edges(entry, end, &site);
        self.take_notes(entry, &site, skipped);
        self.decided(site)
    }

    /// The verdict, from what was found.
    fn decided(mut self, site: PatchSite) -> Audited<'a> {
        let by = self.by;
        let reasons = std::mem::take(&mut self.reasons);
        let verdict = if reasons.is_empty() { Verdict::HotPatchable { by } } else { Verdict::Unpatchable { reasons } };
        self.done(site, verdict)
    }

    fn done(self, site: PatchSite, verdict: Verdict) -> Audited<'a> {
        let at = site.address.0;
        let bytes = self.image.bytes(site.address, Address(at.saturating_add(16)));
        let call_original = if site.len_bytes == 0 { Movable::No } else { movable(self.isa, bytes, at) };
        let reach = Reach::of(self.image.machine, site.pad_bytes);
        Audited { function: self.function, site, verdict, notes: self.notes, call_original, reach }
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

    fn place(&self, address: u64) -> String {
        self.image.place(Address(address))
    }

    /// How many bytes of landing pads come first, and the instruction after them.
    fn first(&self, code: &[u8]) -> Option<(usize, Instr)> {
        let mut at = 0;
        for _ in 0..3 {
            let instr = decode(self.isa, code.get(at..)?, self.function.address.0 + at as u64)?;
            match instr.what {
                What::LandingPad => at += instr.len,
                What::Invalid => return None,
                _ => return Some((at, instr)),
            }
        }
        None
    }

    /// Who switched it over, if somebody did: a jump at the site into its own pad, and there one to elsewhere; or the
    /// pages through which Windows leads (`HPAT`).
    fn patched_by(&self, code: &[u8], site: &PatchSite) -> Option<String> {
        const WINDOWS: &str = "Windows has patched it: it leads to a page of jumps";
        let What::Branch { to: Some(to), call: false } = decode(self.isa, code, site.address.0)?.what else {
            return None;
        };
        let there = self.image.memory(to);
        if self.isa == Isa::A64 {
            // ldr x16, [pc, #4096] or #8; br x16
            let (load, jump) = there.get(..8)?.split_at(4);
            let known = load == 0x5800_8010_u32.to_le_bytes() || load == 0x5800_0050_u32.to_le_bytes();
            let windows = load == 0x5800_8010_u32.to_le_bytes();
            let is_jump = known && jump == 0xd61f_0200_u32.to_le_bytes();
            let text =
                if windows { WINDOWS.to_owned() } else { format!("the entry jumps to a jump at {}", self.place(to)) };
            return is_jump.then_some(text);
        }
        let back = code.first() == Some(&0xeb) && to < self.function.address.0;
        if !self.isa.is_x86() || !back {
            return None;
        }
        match decode(self.isa, there, to)?.what {
            What::Branch { to: Some(next), call: false } if there.first() == Some(&0xe9) => {
                // jmp [rip+0xffa]: the pointer is in the page behind the code.
                let windows = self.image.memory(next).starts_with(&[0xff, 0x25, 0xfa, 0x0f, 0, 0]);
                Some(if windows {
                    WINDOWS.to_owned()
                } else {
                    format!("the entry jumps to a jump at {}", self.place(to))
                })
            }
            What::Branch { to: None, call: false } if there.starts_with(&[0xff, 0x25]) => {
                Some(format!("the entry jumps to a jump at {}", self.place(to)))
            }
            _ => None,
        }
    }

    /// Where it leads, if it is a thunk.
    fn thunk(&self, code: &[u8], site: &PatchSite, pad: usize) -> Option<String> {
        let section = self.image.section_of(self.function.address.0)?;
        let end = self.sweep.ends[self.index];
        let len = end - self.function.address.0;
        let elsewhere = || "leads to where a pointer says, such as another image".to_owned();
        let to = |to: u64| format!("leads to {}", self.place(to));
        if section.name.starts_with(".plt") || section.name == ".iplt" {
            return Some(elsewhere());
        }
        let named = self.function.thunk
            || self.function.names.iter().any(|name| {
                let veneer = ["_veneer", "_from_thumb", "_from_arm"].iter().any(|mark| name.ends_with(mark));
                veneer
                    || ["__AArch64", "__ARM", "__Thumb"]
                        .iter()
                        .any(|of| name.starts_with(of) && name.contains("Thunk_"))
            });
        let first = decode(self.isa, code, site.address.0)?;
        match first.what {
            What::Branch { to: Some(target), call: false } => {
                let long = match self.isa {
                    Isa::X86 | Isa::X86_64 => code.first() == Some(&0xe9),
                    Isa::A64 | Isa::A32 => len <= 4,
                    Isa::Thumb => len <= 4 && first.len == 4,
                };
                let unnamed = self.function.names.is_empty() || pad == 0 && len <= 8;
                (long && (named || self.image.format == Format::Pe && unnamed)).then(|| to(target))
            }
            What::Branch { to: None, call: false } if self.isa.is_x86() && code.starts_with(&[0xff, 0x25]) => {
                Some(elsewhere())
            }
            _ if self.isa == Isa::A64 => match a64_stub(code, site.address.0) {
                Some(target) => Some(target.map_or_else(elsewhere, to)),
                None => named.then(elsewhere),
            },
            _ => named.then(elsewhere),
        }
    }

    /// x86: the first instruction.
    fn check_first(&mut self, site: &mut PatchSite, code: &[u8], what: What, end: u64) {
        let after = site.address.0 + 1;
        let next = self.image.functions.get(self.index + 1);
        let behind = code.get(1..).and_then(|code| decode(self.isa, code, after));
        let room_after = after >= end
            && next.is_none_or(|next| next.address.0 > after)
            && behind.is_some_and(|instr| matches!(instr.what, What::Filler { .. }));
        if site.len_bytes == 1 {
            if code.starts_with(&[0x90, 0x90]) && end > after {
                site.len_bytes = 2;
                self.slow_down(Protocol::Stopped, Rule::A01, "two one-byte nops: a thread may stand between them");
            } else if what == What::Return && room_after && self.is_atomic(site) {
                site.len_bytes = 2;
                self.note(Rule::A10, "a lone ret: the jump covers the filler behind it as well");
            } else if what == What::Return && after >= end {
                let why = if room_after { "and the patch site is not aligned" } else { "with no filler behind it" };
                self.object(Rule::A10, format!("1 byte long, {why}"));
            } else {
                self.object(Rule::A01, "1 byte long");
            }
        } else if site.address.0 + 2 > end {
            self.object(Rule::A10, format!("ends at {}", self.place(end)));
        }
    }

    fn is_atomic(&self, site: &PatchSite) -> bool {
        let align = self.image.section_of(site.address.0).map_or(1, |section| section.align);
        align >= 8 && site.address.0 % 8 != 7
    }

    /// ARM of all sorts: the instruction may be replaced as it is, or all threads must be stopped.
    fn check_word(&mut self, code: &[u8], site: &PatchSite, end: u64) {
        if site.address.0 + site.len_bytes as u64 > end {
            self.object(Rule::A10, format!("ends at {}", self.place(end)));
        }
        if !is_replaceable(self.isa, code) {
            let bytes = code.get(..site.len_bytes).unwrap_or_default();
            let word = bytes.iter().rev().fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
            let what = format!("the first instruction is {word:0width$x}, no nop", width = site.len_bytes * 2);
            self.slow_down(Protocol::Stopped, Rule::A13, what);
        }
        if self.isa == Isa::A64 && site.pad_bytes < 16 {
            let pad = site.pad_bytes;
            self.note(Rule::A14, format!("{pad} bytes: the replacement, or a jump to it, must lie within 128 MiB"));
        }
    }

    fn check_pad(&mut self, entry: u64, pad: usize) {
        if self.sweep.overlapped[self.index] && self.need > 0 {
            self.object(Rule::A03, "an earlier function reaches beyond the entry");
            return;
        }
        if pad >= self.need {
            return;
        }
        if let Some(what) = self.in_place_of_pad(entry) {
            self.object(Rule::A07, what);
        } else if let Some(owned) = self.owned_filler(entry, pad) {
            self.object(Rule::A03, owned);
        } else if let Some(later) = self.linker_pads(entry) {
            self.note(Rule::A02, later);
        } else {
            self.object(Rule::A02, format!("{pad} of {} bytes", self.need));
        }
    }

    /// Filler that would be enough, had an earlier function not said that some of it is its own.
    fn owned_filler(&self, entry: u64, pad: usize) -> Option<String> {
        let start = entry.saturating_sub(super::LONGEST_PAD as u64);
        let section = self.image.section_of(entry)?;
        let bytes = section.range(start.max(section.address), entry);
        let filler = filler_before(self.isa, bytes, start.max(section.address), super::LONGEST_PAD);
        let before = self.index.checked_sub(1)?;
        let ends_inside = entry - self.sweep.ends[before] < filler as u64;
        let known = self.image.functions[before].size.is_some();
        (filler >= self.need && filler > pad && known && ends_inside)
            .then(|| format!("{pad} of {} bytes: the function before claims the rest of the filler", self.need))
    }

    /// What of use stands where the pad should be.
    fn in_place_of_pad(&self, entry: u64) -> Option<String> {
        let image = self.image;
        let before = |len: u64| image.bytes(Address(entry.saturating_sub(len)), Address(entry));
        let from = entry.saturating_sub(self.need as u64);
        let hash = image.hashes.partition_point(|at| at.saturating_add(16) < entry);
        let hashed = image.hashes.get(hash).is_some_and(|at| *at < entry);
        // Eleven nops and `mov eax, imm32`.
        let kcfi = matches!(before(16), [0x90, 0x90, 0x90, 0x90, 0x90, 0x90, .., 0xb8, _, _, _, _]);
        if hashed || self.isa.is_x86() && kcfi {
            return Some("a type hash stands before the entry (KCFI)".to_owned());
        }
        if before(8).starts_with(&0xc105_cafe_u32.to_le_bytes()) {
            return Some("a type signature stands before the entry (-fsanitize=function)".to_owned());
        }
        let low = self.sweep.tables.partition_point(|(_, end)| *end <= from);
        if let Some((start, _)) = self.sweep.tables.get(low).filter(|(start, _)| *start < entry) {
            return Some(format!("a jump table stands before the entry, at {}", self.place(*start)));
        }
        let low = image.data_symbols.partition_point(|(_, end)| *end <= from);
        if let Some((start, _)) = image.data_symbols.get(low).filter(|(start, _)| *start < entry) {
            return Some(format!("data stand before the entry, at {}", self.place(*start)));
        }
        let by_pointer = self.function.sources.contains(&Source::GuardTable);
        // The lowest bit of the hash is set so that it is no aligned address.
        if image.facts.xfg && by_pointer && before(8).first().is_some_and(|byte| byte & 1 != 0) {
            return Some("a type hash stands before the entry (/guard:xfg)".to_owned());
        }
        if image.facts.hybrid && self.isa == Isa::A64 && before(4).iter().any(|byte| *byte != 0) {
            return Some("the offset of an entry thunk stands before the entry (ARM64EC)".to_owned());
        }
        None
    }

    /// Pads of COFF objects come later, from `/FUNCTIONPADMIN`: but only to objects that say that they were compiled for
    /// hot patching, and only before the first function of a section.
    fn linker_pads(&self, entry: u64) -> Option<&'static str> {
        let of_linker = self.image.kind == Kind::Object && self.image.format == Format::Pe;
        let flagged = self.image.modules.first().is_some_and(|module| module.hot_patch == Some(true));
        let first = self.image.section_of(entry).is_some_and(|section| section.address == entry);
        (of_linker && flagged && first).then_some("the linker makes the pad")
    }

    fn check_place(&mut self, site: &PatchSite) {
        let Some(section) = self.image.section_of(self.function.address.0) else { return };
        let len = if self.isa.is_x86() { 2 } else { site.len_bytes as u64 };
        if site.address.0 + len > section.end() {
            self.object(Rule::A09, format!("the section ends at {}", self.place(section.end())));
        }
        if !self.isa.is_x86() {
            return;
        }
        if site.address.0 % 4096 == 4095 {
            self.object(Rule::A04, "the patch site crosses a page");
        } else if section.align < 8 {
            self.slow_down(Protocol::Trap, Rule::A04, format!("the section is aligned to {} only", section.align));
        } else if site.address.0 % 8 == 7 {
            let line = site.address.0 % 64 == 63;
            let what = if line { "a cache line" } else { "8 bytes: Intel alone stores that at once" };
            self.slow_down(Protocol::Trap, Rule::A04, format!("the patch site crosses a boundary of {what}"));
        }
    }

    fn check_edges(&mut self, entry: u64, end: u64, site: &PatchSite) {
        let used = (self.sweep.pads[self.index].min(self.need)) as u64;
        let (from, to) = (entry - used, site.address.0 + site.len_bytes as u64);
        let within = |edges: &'s [Edge]| {
            let low = edges.partition_point(|edge| edge.to < from);
            edges[low..].iter().take_while(move |edge| edge.to < to)
        };
        let sweep = self.sweep;
        let is_start = |to: u64| to == entry || to == site.address.0;
        if let Some(edge) = within(&sweep.edges).find(|edge| !is_start(edge.to) && edge.via != Via::Stray) {
            let [from, to] = [edge.from, edge.to].map(|at| self.place(at));
            let found = match edge.via {
                Via::Jump | Via::Stray | Via::Call => format!("the branch at {from} leads to {to}"),
                Via::Table => format!("a jump table leads to {to}"),
                Via::Pointer => format!("a pointer leads to {to}"),
                Via::LandingPad => format!("exceptions land at {to}"),
                Via::Continuation => format!("the table of exception continuations leads to {to}"),
                Via::LongJump => format!("the table of longjmp targets leads to {to}"),
            };
            self.object(Rule::A05, found);
        } else {
            self.check_pointers(from, to, entry, is_start);
        }
        let is_own = |from: u64| (entry..end).contains(&from) || self.is_in_part(from);
        let back = within(&sweep.edges).find(|edge| {
            is_start(edge.to) && matches!(edge.via, Via::Jump | Via::Stray | Via::Table) && is_own(edge.from)
        });
        if let Some(edge) = back {
            let what = if edge.via == Via::Table { "jump table used" } else { "branch" };
            self.object(Rule::A06, format!("the {what} at {} leads back", self.place(edge.from)));
        }
    }

    fn check_pointers(&mut self, from: u64, to: u64, entry: u64, is_start: impl Fn(u64) -> bool) {
        let pointers = &self.image.pointers;
        let low = pointers.partition_point(|pointer| *pointer < from);
        let is_thumb = self.isa == Isa::Thumb;
        let into = pointers[low..]
            .iter()
            .take_while(|pointer| **pointer < to)
            .find(|pointer| !is_start(if is_thumb { **pointer & !1 } else { **pointer }));
        if let Some(pointer) = into
            // The table of entries with pads points to the pad.
            && !(*pointer < entry && self.function.sources.contains(&Source::PatchableEntries))
        {
            self.object(Rule::A05, format!("a pointer leads to {}", self.place(*pointer)));
        }
    }

    /// Whether the address lies in a part of this function that was split off.
    fn is_in_part(&self, address: u64) -> bool {
        let after = self.image.functions.partition_point(|function| function.address.0 <= address);
        let Some(index) = after.checked_sub(1).filter(|index| address < self.sweep.ends[*index]) else { return false };
        let part = &self.image.functions[index];
        let is_mine = |part: &String| {
            let names = &self.function.names;
            names.iter().any(|name| part.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with(".cold")))
        };
        part.parent == Some(self.function.address) || part.names.iter().any(is_mine)
    }

    fn take_notes(&mut self, entry: u64, site: &PatchSite, skipped: usize) {
        let used = (site.pad_bytes.min(self.need)) as u64;
        let patched = if self.isa.is_x86() { 2 } else { site.len_bytes as u64 };
        if self.image.kind != Kind::Object && self.image.is_relocated(entry - used, site.address.0 + patched) {
            self.note(Rule::A08, "a relocation covers the patched bytes");
        }
        if self.image.facts.tracked && skipped == 0 && self.isa.is_x86() {
            self.note(Rule::A12, "no ENDBR: an indirect call cannot land here, before the patch or after");
        }
        if self.function.aliases > 1 {
            self.note(Rule::A15, format!("{} names share the entry", self.function.aliases));
        }
        if self.function.resolver {
            self.note(Rule::A15, "it picks the function that is called by its name: patch that one");
        }
        let copy = [".constprop.", ".isra.", ".part.", ".lto_priv.", ".llvm."];
        if self.function.names.iter().any(|name| copy.iter().any(|mark| name.contains(mark))) {
            self.note(Rule::A18, "a copy or a piece that the compiler made of another function");
        }
        if self.function.inlined > 0 {
            self.note(Rule::A18, format!("its body was copied into {} callers", self.function.inlined));
        }
    }
}
