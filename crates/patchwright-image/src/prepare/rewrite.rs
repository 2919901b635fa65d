//! Moves code: sections, symbols, relocations, and the distances inside instructions that no relocation keeps.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::bytes::{fits_signed, put};
use super::dwarf::{self, DebugEdits};
use super::edit::{Edits, Use};
use super::flow::{Flow, SectionFlow};
use super::model::{Class, Model, Reloc, Role, SymbolKind};
use super::plan::{Function, Plan, State, function_at, is_in_jump_table, is_same, owner_of};
use super::{frames, seh};
use crate::image::{Format, Machine};

/// A place that would get out of reach, so that what was to be put between must stay out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OutOfReach {
    pub(crate) section: usize,
    /// The old entries between.
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) why: String,
}

/// The object with everything moved. Without `debug`, debug data go on describing the old code alone.
pub(crate) fn rewrite<'data>(
    model: &Model<'data>,
    plan: &Plan,
    edits: &[Edits],
    debug: Option<&DebugEdits>,
) -> Result<Model<'data>, Vec<OutOfReach>> {
    let mut new = model.clone();
    let mut far = Vec::new();
    for (index, align) in plan.aligned(model) {
        let section = &mut new.sections[index];
        section.align = section.align.max(align);
    }
    merge_nops(plan, &mut new);
    let mut edits = edits.to_vec();
    for (section, overwrites) in debug.iter().flat_map(|debug| &debug.overwrites) {
        let data = new.sections[*section].data.to_mut();
        for (at, bytes) in overwrites {
            // It was read from there.
            let at = usize::try_from(*at).unwrap_or(usize::MAX);
            if let Some(place) = data.get_mut(at..).and_then(|rest| rest.get_mut(..bytes.len())) {
                place.copy_from_slice(bytes);
            }
        }
    }
    for (section, inserts) in debug.iter().flat_map(|debug| &debug.inserts) {
        edits[*section] = Edits::new(inserts.clone());
    }
    let edits = edits.as_slice();
    for (section, edits) in new.sections.iter_mut().zip(edits).filter(|(_, edits)| !edits.is_empty()) {
        section.data = Cow::Owned(edits.apply(&section.data));
    }
    move_symbols(model, edits, &mut new);
    let frames = frames::extend(model, &plan.targets, edits, &mut new);
    let mut extended = seh::extend(model, &plan.targets, edits, &mut new);
    extended.extend(&frames.extended);
    for index in 0..model.sections.len() {
        let mover = Mover { model, plan, edits, debug, extended: &extended, index };
        mover.move_relocs(&mut new);
        far.extend(mover.move_code(&mut new));
    }
    frames.add(model, edits, &mut new);
    if far.is_empty() { Ok(new) } else { Err(far) }
}

/// `nop; nop` becomes one nop of two bytes.
fn merge_nops(plan: &Plan, new: &mut Model<'_>) {
    for function in &plan.functions {
        if let State::Lacks(lack) = &function.state
            && let Some(site) = lack.merge
        {
            // The plan has looked at both bytes.
            let _: bool = put(new.sections[function.section].data.to_mut(), site, 2, 0x9066);
        }
    }
}

fn move_symbols(model: &Model<'_>, edits: &[Edits], new: &mut Model<'_>) {
    for (old, symbol) in model.symbols.iter().zip(&mut new.symbols) {
        let Some(edits) = old.section.and_then(|section| edits.get(section)).filter(|edits| !edits.is_empty()) else {
            continue;
        };
        let meant = match old.kind {
            SymbolKind::Section => continue,
            SymbolKind::Mark => Use::End,
            SymbolKind::Label => Use::Body,
            SymbolKind::Function | SymbolKind::Other => Use::Entry,
        };
        symbol.value = edits.map(old.value, meant);
        if old.size > 0 {
            let end = edits.map(old.value.saturating_add(old.size), Use::End);
            symbol.size = end.saturating_sub(symbol.value);
        }
    }
}

/// Moves what refers to code from one section.
struct Mover<'a, 'data> {
    model: &'a Model<'data>,
    plan: &'a Plan,
    edits: &'a [Edits],
    debug: Option<&'a DebugEdits>,
    /// Fields of unwind data that mean the entry.
    extended: &'a BTreeSet<(usize, u64)>,
    index: usize,
}

impl Mover<'_, '_> {
    fn flow(&self) -> &SectionFlow {
        &self.plan.targets.flows[self.index]
    }

    fn move_relocs(&self, new: &mut Model<'_>) {
        let own = &self.edits[self.index];
        for (at, old) in self.model.sections[self.index].relocs.iter().enumerate() {
            let addend = self.addend(old, new);
            let section = &mut new.sections[self.index];
            let Some(reloc) = section.relocs.get_mut(at) else { continue };
            reloc.offset = own.map(old.offset, Use::Body);
            if addend == old.addend {
                continue;
            }
            reloc.addend = addend;
            if let (true, Class::Absolute(width) | Class::Relative(width)) = (old.in_place, self.model.class(old.kind))
            {
                // It was read from there.
                let _: bool = put(section.data.to_mut(), reloc.offset, width, addend.cast_unsigned());
            }
        }
    }

    fn addend(&self, reloc: &Reloc, new: &Model<'_>) -> i64 {
        let Some((section, target)) = self.plan.targets.of(self.model, self.index, reloc) else { return reloc.addend };
        let Some(edits) = self.edits.get(section).filter(|edits| !edits.is_empty()) else { return reloc.addend };
        let [before, after] = [&self.model.symbols, &new.symbols].map(|symbols| symbols.get(reloc.symbol));
        let Some((before, after)) = before.zip(after) else { return reloc.addend };
        let meant = match self.model.sections[self.index].role {
            // The second field of a RUNTIME_FUNCTION is where the function ends.
            Role::Frames if self.model.format == Format::Pe && self.is_pdata() && reloc.offset % 12 == 4 => Use::End,
            Role::AboutCode if self.debug.is_some_and(|debug| debug.ends.contains(&(self.index, reloc.offset))) => {
                Use::End
            }
            _ if self.extended.contains(&(self.index, reloc.offset)) => Use::Entry,
            _ => self.meant(reloc, section, target),
        };
        let moved = edits.map_signed(target, meant).wrapping_sub(target);
        let with_symbol = after.value.wrapping_sub(before.value).cast_signed();
        reloc.addend.wrapping_add(moved).wrapping_sub(with_symbol)
    }

    fn is_pdata(&self) -> bool {
        self.model.machine == Machine::X86_64 && self.model.sections[self.index].name.starts_with(b".pdata")
    }

    /// Whether a relocation to the entry of a function means to call it, or speaks of its code.
    fn meant(&self, reloc: &Reloc, section: usize, target: i64) -> Use {
        let Some(function) = function_at(&self.plan.functions, section, target) else { return Use::Body };
        match self.model.sections[self.index].role {
            Role::Code => match self.flow().at(reloc.offset) {
                Some(reference) => self.meant_by_code(reference.flow, reference.start, function),
                None => Use::Entry,
            },
            Role::AboutCode
                if self.debug.is_some() && dwarf::is_about_functions(self.model.sections[self.index].name) =>
            {
                Use::Entry
            }
            Role::Frames | Role::AboutCode => Use::Body,
            Role::Data if is_in_jump_table(self.model, &self.plan.targets, self.index, reloc, function) => Use::Body,
            Role::Data => Use::Entry,
        }
    }

    fn meant_by_code(&self, flow: Flow, from: u64, function: &Function) -> Use {
        let own = owner_of(&self.plan.functions, self.index, from).is_some_and(|from| is_same(from, function));
        if flow == Flow::Jump && own { Use::Body } else { Use::Entry }
    }

    /// Distances inside of instructions.
    fn move_code(&self, new: &mut Model<'_>) -> Vec<OutOfReach> {
        let edits = &self.edits[self.index];
        let mut far = Vec::new();
        if edits.is_empty() || self.model.sections[self.index].role != Role::Code {
            return far;
        }
        let relocs = &self.model.sections[self.index].relocs;
        let relocated: BTreeSet<u64> = relocs.iter().map(|reloc| reloc.offset).collect();
        let len = self.model.sections[self.index].data.len() as u64;
        for reference in self.flow().references.iter().filter(|reference| !relocated.contains(&reference.place())) {
            let Some(target) = u64::try_from(reference.target).ok().filter(|target| *target <= len) else { continue };
            let function = function_at(&self.plan.functions, self.index, reference.target);
            let meant = match function {
                Some(function) => self.meant_by_code(reference.flow, reference.start, function),
                None => Use::Body,
            };
            let start = edits.map(reference.start, Use::Body);
            let moved = edits.map(target, meant);
            let code = new.sections[self.index].data.to_mut();
            if moved.wrapping_sub(start) == target.wrapping_sub(reference.start) {
                continue;
            }
            if !i64::try_from(moved).is_ok_and(|moved| reference.retarget(code, start, moved)) {
                let (from, to) = (reference.start.min(target), reference.start.max(target));
                let what = format!(
                    "the branch at offset {:#x} cannot reach {target:#x} across the new bytes",
                    reference.start
                );
                far.push(OutOfReach { section: self.index, from, to, why: what });
            }
        }
        far
    }
}

/// Whether an addend can be written into its field: into an explicit one always.
pub(crate) fn addends_fit(model: &Model<'_>, new: &Model<'_>) -> Option<String> {
    for (old, section) in model.sections.iter().zip(&new.sections) {
        for (before, after) in old.relocs.iter().zip(&section.relocs) {
            let width = match model.class(after.kind) {
                Class::Absolute(width) | Class::Relative(width) if after.in_place => width,
                _ if model.machine == Machine::X86 => 4,
                _ => 8,
            };
            let unsigned = width >= 8 || after.addend >> (u32::from(width) * 8) == 0;
            if before.addend != after.addend && !fits_signed(after.addend, width.max(1)) && !unsigned {
                let name = String::from_utf8_lossy(section.name);
                return Some(format!("the addend at {name}+{:#x} does not fit into {width} bytes", after.offset));
            }
        }
    }
    None
}
