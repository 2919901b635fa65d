//! Which functions need what: a pad, a new first instruction, an alignment; and which of them cannot have it.
//!
//! The audit says what is missing. What it cannot see in an object, because the linker fills it in, is looked up in the
//! relocations: jumps of a cold part, and jump tables.

use std::collections::{BTreeMap, BTreeSet};

use super::bytes::{range, round_up};
use super::dwarf::is_about_functions;
use super::edit::{Edits, Insert};
use super::flow::{Flow, SectionFlow, Stretch, read};
use super::model::{Class, Model, Reloc, Role, Symbol, SymbolKind};
use super::targets::Targets;
use crate::audit::{Protocol, Verdict, audit};
use crate::code::{What, decode};
use crate::error::ImageError;
use crate::image::{Format, Image, Machine};
use crate::rule::Rule;

/// A function of an object.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    pub(crate) section: usize,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) names: Vec<String>,
    /// Whether it is a part of another one.
    part: bool,
    pub(crate) state: State,
}

/// What becomes of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It is hot-patchable as it is.
    Already,
    /// It is no function of its own.
    Exempt,
    /// It lacks something that it can have.
    Lacks(Lack),
    /// It cannot have what it lacks.
    Refused(Vec<String>),
}

/// What a function lacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lack {
    /// Bytes of pad that are missing.
    pub(crate) pad: u64,
    /// New first instructions.
    pub(crate) island: bool,
    /// Two nops at this offset are to become one.
    pub(crate) merge: Option<u64>,
    /// The section must be aligned.
    pub(crate) align: bool,
}

/// Everything that is known before bytes are moved.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) functions: Vec<Function>,
    pub(crate) targets: Targets,
    /// By section: whether code may move apart within it, or why it may not.
    blocked: Vec<Option<String>>,
    /// The same, for the case that debug data cannot be counted anew.
    debugged: Vec<Option<String>>,
}

const INIT_SECTIONS: [&[u8]; 2] = [b".init", b".fini"];

impl Plan {
    /// Looks at every function of the object `data`, which `model` was read from.
    pub(crate) fn new(data: &[u8], model: &Model<'_>, min_pad: usize, linker_pads: bool) -> Result<Self, ImageError> {
        let image = Image::read(data)?;
        let mut functions = functions(model);
        let mut flows = vec![SectionFlow::default(); model.sections.len()];
        let mut by_section: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, function) in functions.iter().enumerate() {
            by_section.entry(function.section).or_default().push(index);
        }
        let mut cuts = vec![Vec::new(); model.sections.len()];
        for (&section, members) in &by_section {
            cuts[section] = stretches(model, section, members.iter().map(|index| &functions[*index]));
            flows[section] = read(model, section, &cuts[section]);
        }
        let targets = Targets::new(model, &functions, flows);
        let (mut blocked, debugged) = speaking(model, &functions, &targets);
        for &section in by_section.keys() {
            let code = blocked_by_code(model, section, &cuts[section], &targets.flows[section]);
            blocked[section] = code.or(blocked[section].take());
        }
        let loops = entries_jumped_to(model, &functions, &targets);
        let audited = audit(&image, Some(min_pad));
        let mut verdicts = BTreeMap::new();
        for found in &audited {
            let at = found.function.address.0;
            if let Some(section) = image.section_of(at) {
                let site = found.site.address.0.saturating_sub(section.address);
                verdicts.insert((section.index, at - section.address), (&found.verdict, site, found.site.pad_bytes));
            }
        }
        for function in &mut functions {
            let place = (function.section, function.start);
            let state = match verdicts.get(&place) {
                None => State::Refused(vec!["no bytes of code stand at its symbol".to_owned()]),
                Some((verdict, site, pad)) => {
                    let linker_pads = linker_pads && place.1 == 0;
                    let case = Case { model, min_pad: min_pad as u64, linker_pads, function };
                    case.judge(verdict, *pad as u64, *site, loops.contains(&place))
                }
            };
            function.state = state;
        }
        let mut plan = Self { functions, targets, blocked, debugged };
        plan.refuse_neighbours(model);
        plan.refuse_unmovable(model);
        Ok(plan)
    }

    /// What is inserted into each section.
    pub(crate) fn edits(&self, model: &Model<'_>) -> Vec<Edits> {
        let mut inserts: Vec<Vec<Insert>> = vec![Vec::new(); model.sections.len()];
        for (index, function) in self.functions.iter().enumerate() {
            let State::Lacks(lack) = &function.state else { continue };
            if lack.pad == 0 && !lack.island {
                continue;
            }
            let fallen_into = self.is_fallen_into(index);
            inserts[function.section].push(insert(model, function, lack, fallen_into));
        }
        inserts.into_iter().map(Edits::new).collect()
    }

    /// The sections that must be aligned, and to what at least.
    pub(crate) fn aligned(&self, model: &Model<'_>) -> BTreeMap<usize, u64> {
        let asks = |state: &State| matches!(state, State::Lacks(lack) if lack.align || lack.island || lack.pad > 0);
        let asking = self.functions.iter().filter(|function| asks(&function.state));
        asking.map(|function| (function.section, least_align(model.machine))).collect()
    }

    /// Whether what stands before the function may run on into it.
    fn is_fallen_into(&self, index: usize) -> bool {
        let function = &self.functions[index];
        let before = index.checked_sub(1).map(|before| &self.functions[before]);
        match before.filter(|before| before.section == function.section) {
            Some(before) => self.targets.flows[function.section].falls_through.contains(&before.start),
            None => function.start > 0,
        }
    }

    /// Takes back what was planned for the functions at these places.
    pub(crate) fn refuse(&mut self, section: usize, from: u64, to: u64, why: &str) -> bool {
        let mut any = false;
        for function in &mut self.functions {
            let is_it = function.section == section && (from..=to).contains(&function.start);
            if is_it && matches!(&function.state, State::Lacks(lack) if lack.pad > 0 || lack.island) {
                function.state = State::Refused(vec![why.to_owned()]);
                any = true;
            }
        }
        any
    }

    /// Takes back what cannot be done without counting debug data anew.
    pub(crate) fn refuse_debugged(&mut self) {
        for function in self.functions.iter_mut().filter(|function| function.start > 0) {
            if let (Some(why), State::Lacks(lack)) = (&self.debugged[function.section], &function.state)
                && (lack.pad > 0 || lack.island)
            {
                let why = format!("one of several functions in one section, which cannot be moved apart: {why}");
                function.state = State::Refused(vec![why]);
            }
        }
    }

    /// Whether some function lacks what it can have.
    pub(crate) fn is_anything_to_do(&self) -> bool {
        self.functions.iter().any(|function| matches!(function.state, State::Lacks(_)))
    }

    /// Takes back everything.
    pub(crate) fn refuse_all(&mut self, why: &str) {
        for function in self.functions.iter_mut().filter(|function| matches!(function.state, State::Lacks(_))) {
            function.state = State::Refused(vec![why.to_owned()]);
        }
    }

    /// Functions that others reach into, or that own what stands before them.
    fn refuse_neighbours(&mut self, model: &Model<'_>) {
        // The section, the furthest end of a function in it so far, and whose that is.
        let mut reach = (usize::MAX, 0, String::new());
        for function in &mut self.functions {
            if reach.0 != function.section {
                reach = (function.section, 0, String::new());
            }
            if matches!(&function.state, State::Lacks(lack) if lack.pad > 0 || lack.island) {
                let mut reasons = Vec::new();
                if reach.1 > function.start {
                    reasons.push(format!("it begins inside of {}", reach.2));
                }
                if !is_filler(model, function.section, reach.1.min(function.start), function.start) {
                    reasons.push("bytes that are no filler stand before its entry and may belong to it".to_owned());
                }
                if !reasons.is_empty() {
                    function.state = State::Refused(reasons);
                }
            }
            if function.end > reach.1 {
                reach = (function.section, function.end, name_of(function));
            }
        }
    }

    /// Functions in sections whose code cannot move, or not apart.
    fn refuse_unmovable(&mut self, model: &Model<'_>) {
        let narrow = narrow_relocs(model);
        let mut numbers: BTreeMap<usize, usize> = BTreeMap::new();
        for function in &self.functions {
            *numbers.entry(function.section).or_default() += 1;
        }
        for index in 0..self.functions.len() {
            let function = &self.functions[index];
            let State::Lacks(lack) = &function.state else { continue };
            if lack.pad == 0 && !lack.island {
                continue;
            }
            let mut reasons: Vec<String> = narrow.get(&function.section).into_iter().cloned().collect();
            let unreadable = &self.targets.flows[function.section].unreadable;
            if function.start > 0 {
                let number = numbers.get(&function.section).copied().unwrap_or(1);
                reasons.extend(self.blocked[function.section].as_ref().map(|why| {
                    format!("one of {number} functions in one section, which cannot be moved apart: {why}")
                }));
            } else if let Some((_, at)) =
                unreadable.iter().find(|(part, _)| part.start == function.start && lack.island)
            {
                reasons.push(format!("the bytes at offset {at:#x} are no instruction: calls of itself may hide there"));
            }
            if !reasons.is_empty() {
                self.functions[index].state = State::Refused(reasons);
            }
        }
    }
}

pub(crate) fn name_of(function: &Function) -> String {
    function.names.first().cloned().unwrap_or_else(|| "a function without a name".to_owned())
}

/// The functions that symbols name, by place.
fn functions(model: &Model<'_>) -> Vec<Function> {
    let mut found: BTreeMap<(usize, u64), Function> = BTreeMap::new();
    for symbol in &model.symbols {
        let Some(section) = symbol.section.filter(|_| symbol.kind == SymbolKind::Function) else { continue };
        let Some(holder) = model.sections.get(section).filter(|holder| holder.role == Role::Code) else { continue };
        if symbol.name.is_empty() || symbol.value >= holder.data.len() as u64 || symbol.name.starts_with(b"__cfi_") {
            continue;
        }
        let function = found.entry((section, symbol.value)).or_insert_with(|| Function {
            section,
            start: symbol.value,
            end: symbol.value,
            names: Vec::new(),
            part: false,
            state: State::Already,
        });
        let name = String::from_utf8_lossy(symbol.name).into_owned();
        function.part |= name.ends_with(".cold") || name.contains(".cold.") || name.contains(".__part.");
        function.names.push(name);
        function.end = function.end.max(symbol.value.saturating_add(symbol.size)).min(holder.data.len() as u64);
    }
    let mut functions: Vec<_> = found.into_values().collect();
    for index in 0..functions.len() {
        let next = functions.get(index + 1).filter(|next| next.section == functions[index].section);
        let limit = next.map_or(model.sections[functions[index].section].data.len() as u64, |next| next.start);
        let function = &mut functions[index];
        function.names.sort_unstable();
        function.names.dedup();
        if function.end == function.start {
            function.end = limit - trailing_filler(model, function.section, function.start, limit);
        }
    }
    functions
}

/// Filler at the end of a stretch that a function without a size might own.
fn trailing_filler(model: &Model<'_>, section: usize, start: u64, end: u64) -> u64 {
    let data = &model.sections[section].data;
    let (mut at, mut filler) = (start, 0);
    while at < end {
        let code = range(data, at, end - at).unwrap_or_default();
        let Some(instr) = decode(model.machine, code, at) else { break };
        filler = if matches!(instr.what, What::Filler { .. }) { filler + instr.len as u64 } else { 0 };
        at += instr.len as u64;
    }
    if at == end { filler.min(end - start) } else { 0 }
}

/// Cuts a section at everything that its functions say.
fn stretches<'a>(model: &Model<'_>, section: usize, functions: impl Iterator<Item = &'a Function>) -> Vec<Stretch> {
    let mut cuts = BTreeSet::from([0, model.sections[section].data.len() as u64]);
    let mut owned: Vec<(u64, u64)> = Vec::new();
    for function in functions {
        cuts.extend([function.start, function.end]);
        owned.push((function.start, function.end));
    }
    let cuts: Vec<_> = cuts.into_iter().collect();
    let mut reach = 0;
    let mut next = owned.iter().peekable();
    cuts.windows(2)
        .map(|pair| {
            while let Some((_, end)) = next.next_if(|(start, _)| *start <= pair[0]) {
                reach = reach.max(*end);
            }
            Stretch { start: pair[0], end: pair[1], owned: pair[0] < reach }
        })
        .collect()
}

/// Why the functions of a section cannot move apart.
fn blocked_by_code(model: &Model<'_>, section: usize, stretches: &[Stretch], flow: &SectionFlow) -> Option<String> {
    if let Some((_, at)) = flow.unreadable.iter().find(|(stretch, _)| stretch.owned) {
        return Some(format!("the bytes at offset {at:#x} are no instruction"));
    }
    let gap = stretches.iter().find(|gap| !gap.owned && !is_filler(model, section, gap.start, gap.end));
    if let Some(gap) = gap {
        return Some(format!("the bytes at offset {:#x} belong to no function", gap.start));
    }
    let len = model.sections[section].data.len() as u64;
    let fields: BTreeSet<u64> = model.sections[section].relocs.iter().map(|reloc| reloc.offset).collect();
    let bare = |place: u64| !fields.contains(&place);
    let outside = |target: i64| u64::try_from(target).map_or(true, |target| target > len);
    if let Some(far) = flow.references.iter().find(|reference| outside(reference.target) && bare(reference.place())) {
        return Some(format!("the instruction at offset {:#x} refers to what lies outside of the section", far.start));
    }
    None
}

/// By section: why what other sections say of its functions keeps them from moving apart; and why it would if debug data
/// could not be counted anew.
fn speaking(
    model: &Model<'_>,
    functions: &[Function],
    targets: &Targets,
) -> (Vec<Option<String>>, Vec<Option<String>>) {
    let none = vec![None; model.sections.len()];
    let (mut found, mut debugged) = (none.clone(), none);
    for (index, holder) in model.sections.iter().enumerate() {
        let counts = holder.role == Role::AboutCode && counts_distances(holder.name);
        let slots = if counts && is_about_functions(holder.name) { &mut debugged } else { &mut found };
        for reloc in &holder.relocs {
            let Some(section) = model.symbols.get(reloc.symbol).and_then(|symbol| symbol.section) else { continue };
            let Some(slot) = slots.get_mut(section).filter(|slot| slot.is_none()) else { continue };
            let name = || String::from_utf8_lossy(holder.name);
            if counts {
                *slot = Some(format!("{} counts distances across them; compile with -ffunction-sections", name()));
            } else if !targets.is_certain(model, functions, index, reloc) {
                *slot = Some(format!("it is not certain what {}+{:#x} refers to", name(), reloc.offset));
            }
        }
    }
    (found, debugged)
}

/// Whether a table holds distances between places of the code.
fn counts_distances(name: &[u8]) -> bool {
    let known = [".debug", ".zdebug", ".stab", ".BTF", ".line"].iter().any(|known| name.starts_with(known.as_bytes()));
    // Each of its descriptions is about one function.
    known && name != b".debug_frame"
}

/// Whether there is nothing but filler in a range.
fn is_filler(model: &Model<'_>, section: usize, start: u64, end: u64) -> bool {
    let data = &model.sections[section].data;
    let mut at = start;
    while at < end {
        let code = range(data, at, end - at).unwrap_or_default();
        match decode(model.machine, code, at) {
            Some(instr) if matches!(instr.what, What::Filler { .. }) => at += instr.len as u64,
            _ => return false,
        }
    }
    let relocs = &model.sections[section].relocs;
    !relocs.iter().any(|reloc| (start..end).contains(&reloc.offset))
}

/// Sections that a field of one or two bytes ties down, and the field.
fn narrow_relocs(model: &Model<'_>) -> BTreeMap<usize, String> {
    let mut found = BTreeMap::new();
    for (index, holder) in model.sections.iter().enumerate() {
        for reloc in &holder.relocs {
            let Some(symbol) = model.symbols.get(reloc.symbol) else { continue };
            let class = model.class(reloc.kind);
            let narrow = matches!(class, Class::Absolute(1 | 2) | Class::Relative(1 | 2));
            let unknown = class == Class::Unknown && symbol.kind != SymbolKind::Function;
            let packed = holder.packed && reloc.in_place;
            if !narrow && !unknown && !packed {
                continue;
            }
            let what =
                if packed { "compressed, with the addends inside" } else { "not known to keep up with moved code" };
            let name = String::from_utf8_lossy(holder.name);
            let why = format!("the relocation of type {} at {name}+{:#x} is {what}", reloc.kind, reloc.offset);
            let ends = [symbol.section, (holder.role == Role::Code && narrow).then_some(index)];
            for section in ends.into_iter().flatten() {
                found.entry(section).or_insert_with(|| why.clone());
            }
        }
    }
    found
}

/// Entries that their own function jumps to by way of a relocation: from its cold part, or through a jump table.
fn entries_jumped_to(model: &Model<'_>, functions: &[Function], targets: &Targets) -> BTreeSet<(usize, u64)> {
    let mut found = BTreeSet::new();
    for (index, holder) in model.sections.iter().enumerate() {
        for reloc in &holder.relocs {
            let Some((section, target)) = targets.of(model, index, reloc) else { continue };
            let Some(function) = function_at(functions, section, target) else { continue };
            let jumps = match holder.role {
                Role::Code => {
                    let reference = targets.flows[index].at(reloc.offset);
                    reference.is_some_and(|reference| {
                        let from = owner_of(functions, index, reference.start);
                        reference.flow == Flow::Jump && from.is_some_and(|from| is_same(from, function))
                    })
                }
                Role::Data => is_in_jump_table(model, targets, index, reloc, function),
                _ => false,
            };
            if jumps {
                found.insert((section, function.start));
            }
        }
    }
    found
}

pub(crate) fn function_at(functions: &[Function], section: usize, target: i64) -> Option<&Function> {
    let target = u64::try_from(target).ok()?;
    let index =
        functions.binary_search_by_key(&(section, target), |function| (function.section, function.start)).ok()?;
    functions.get(index)
}

pub(crate) fn owner_of(functions: &[Function], section: usize, offset: u64) -> Option<&Function> {
    let after = functions.partition_point(|function| (function.section, function.start) <= (section, offset));
    let function = functions.get(after.checked_sub(1)?)?;
    (function.section == section && offset < function.end).then_some(function)
}

/// Whether code of `from` is code of `function`: the same, or a cold part of it.
pub(crate) fn is_same(from: &Function, function: &Function) -> bool {
    let is_part = |part: &String| {
        let of = |name: &String| part.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with(".cold"));
        function.names.iter().any(of)
    };
    (from.section, from.start) == (function.section, function.start) || from.names.iter().any(is_part)
}

/// Whether an address of an entry in data stands among addresses of the inside of the same function. Function pointers
/// have such neighbours never, entries of jump tables nearly always; and these are labels, which objects refer to by the
/// section.
pub(crate) fn is_in_jump_table(
    model: &Model<'_>,
    targets: &Targets,
    holder: usize,
    reloc: &Reloc,
    function: &Function,
) -> bool {
    let by_name = |symbol: &Symbol<'_>| matches!(symbol.kind, SymbolKind::Function | SymbolKind::Other);
    if model.symbols.get(reloc.symbol).is_none_or(by_name) {
        return false;
    }
    let (Class::Absolute(width) | Class::Relative(width)) = model.class(reloc.kind) else { return false };
    let inside = |offset: Option<u64>| {
        let other = offset.and_then(|offset| targets.reloc_at(model, holder, offset));
        let target = other.and_then(|other| targets.of(model, holder, other));
        target.is_some_and(|(section, target)| {
            let within = u64::try_from(target).is_ok_and(|target| target > function.start && target < function.end);
            section == function.section && within
        })
    };
    let step = u64::from(width);
    let near =
        |steps: u64| inside(reloc.offset.checked_add(step * steps)) || inside(reloc.offset.checked_sub(step * steps));
    near(1) || near(2)
}

/// What is put before a function.
fn insert(model: &Model<'_>, function: &Function, lack: &Lack, fallen_into: bool) -> Insert {
    let section = &model.sections[function.section];
    let start = usize::try_from(function.start).unwrap_or(usize::MAX);
    let code = section.data.get(start..).unwrap_or_default();
    let island = if lack.island { island(model, code, function.start) } else { Vec::new() };
    // A multiple of the alignment, so that all behind it stays aligned as it was.
    let unit = section.align.max(least_align(model.machine)).min(4096);
    let total = round_up(lack.pad + island.len() as u64, unit);
    let pad = usize::try_from(total).unwrap_or(0).saturating_sub(island.len());
    let pad = match model.machine {
        Machine::Aarch64 => A64_NOP.iter().copied().cycle().take(pad).collect(),
        // What runs on into the pad has to get through.
        _ if fallen_into => vec![0x90; pad],
        _ => vec![0xcc; pad],
    };
    Insert { at: function.start, pad, island }
}

const A64_NOP: [u8; 4] = [0x1f, 0x20, 0x03, 0xd5];
const A64_BTI_C: [u8; 4] = [0x5f, 0x24, 0x03, 0xd5];

/// What a section is aligned to so that places in it can be told apart by their distance to a multiple of 8.
const fn least_align(machine: Machine) -> u64 {
    match machine {
        Machine::Aarch64 => 4,
        _ => 16,
    }
}

/// The new first instructions of a function at `start`: landing pads stay first, a nop of at least 2 bytes follows.
fn island(model: &Model<'_>, code: &[u8], start: u64) -> Vec<u8> {
    match (model.machine, code) {
        (Machine::Aarch64, _) => {
            let word = code.first_chunk().map_or(0, |word| u32::from_le_bytes(*word));
            // bti c, bti jc, paciasp, pacibsp accept a call; the island must as well.
            let lands = matches!(word, 0xd503_245f | 0xd503_24df | 0xd503_233f | 0xd503_237f);
            if lands { [A64_BTI_C, A64_NOP].concat() } else { A64_NOP.to_vec() }
        }
        (machine, code) => {
            let landing: &[u8] = match (machine, code) {
                (Machine::X86, [0xf3, 0x0f, 0x1e, 0xfb, ..]) => &[0xf3, 0x0f, 0x1e, 0xfb],
                (_, [0xf3, 0x0f, 0x1e, 0xfa, ..]) => &[0xf3, 0x0f, 0x1e, 0xfa],
                _ => &[],
            };
            // The nop ends where the old code begins; it must not straddle a multiple of 8 two bytes long.
            let nop: &[u8] = match (start % 8, model.format, machine) {
                (1, _, Machine::X86_64) => &[0x0f, 0x1f, 0x00],
                (1, _, _) => &[0x8d, 0x76, 0x00],
                // What tools on Windows look for.
                (_, Format::Pe, Machine::X86) => &[0x8b, 0xff],
                _ => &[0x66, 0x90],
            };
            [landing, nop].concat()
        }
    }
}

/// One function under judgement.
struct Case<'a, 'data> {
    model: &'a Model<'data>,
    min_pad: u64,
    /// Whether the linker makes its pad.
    linker_pads: bool,
    function: &'a Function,
}

impl Case<'_, '_> {
    fn judge(&self, verdict: &Verdict, pad: u64, site: u64, looped: bool) -> State {
        let section = &self.model.sections[self.function.section];
        if self.function.part {
            return State::Exempt;
        }
        if INIT_SECTIONS.contains(&section.name) {
            return State::Refused(vec![format!(
                "{} is one function that the linker puts together from pieces",
                String::from_utf8_lossy(section.name)
            )]);
        }
        let mut lack = Lack::default();
        match verdict {
            Verdict::HotPatchable { by: Protocol::Atomic } => {}
            Verdict::HotPatchable { by: Protocol::Trap } => self.make_atomic(&mut lack, site),
            Verdict::HotPatchable { by: Protocol::Stopped } => self.make_one_instruction(&mut lack, site),
            Verdict::Unpatchable { reasons } => {
                let refused: Vec<_> = reasons
                    .iter()
                    .filter(|reason| matches!(reason.rule, Rule::A03 | Rule::A07 | Rule::A11))
                    .map(|reason| format!("{}: {}", reason.rule.id(), reason.found))
                    .collect();
                if !refused.is_empty() {
                    return State::Refused(refused);
                }
                let at_entry = [Rule::A01, Rule::A04, Rule::A05, Rule::A06, Rule::A09, Rule::A10];
                lack.island = reasons.iter().any(|reason| at_entry.contains(&reason.rule));
                if !lack.island {
                    self.make_atomic(&mut lack, site);
                    self.make_one_instruction(&mut lack, site);
                }
            }
            Verdict::Unknown { why } => return State::Refused(vec![why.clone()]),
            // A function that only jumps on is a function where a symbol says so; to PE tools it is a thunk.
            Verdict::Exempt { rule: Rule::A16 } if self.model.format == Format::Elf => lack.island = true,
            Verdict::Exempt { .. } => return State::Exempt,
        }
        lack.island |= looped;
        if lack.island {
            lack.merge = None;
        }
        if !self.linker_pads {
            lack.pad = self.min_pad.saturating_sub(pad);
        }
        if lack == Lack::default() { State::Already } else { State::Lacks(lack) }
    }

    /// One store must reach the site.
    fn make_atomic(&self, lack: &mut Lack, site: u64) {
        if self.model.machine != Machine::Aarch64 {
            let align = self.model.sections[self.function.section].align;
            lack.align |= align < least_align(self.model.machine) && align < 8;
            lack.island |= site % 8 == 7;
        }
    }

    /// The site must be one instruction that may be replaced while it runs.
    fn make_one_instruction(&self, lack: &mut Lack, site: u64) {
        let data = &self.model.sections[self.function.section].data;
        match self.model.machine {
            Machine::Aarch64 => {
                let word = range(data, site, 4).unwrap_or_default();
                lack.island |= !crate::code::is_replaceable(crate::code::Isa::A64, word);
            }
            _ => {
                if range(data, site, 2) == Some(&[0x90, 0x90]) {
                    lack.merge = Some(site);
                    self.make_atomic(lack, site);
                }
            }
        }
    }
}
