//! Where relocations lead.
//!
//! An addend alone does not say it. In an instruction it holds the way from the field to the end of the instruction. In
//! a jump table of position-independent code (`.long target - table`) it holds the way from the table to the field, and
//! only the instruction that loads the table's address tells where that is.

use std::collections::BTreeMap;

use super::flow::SectionFlow;
use super::model::{Class, Model, Reloc, Role, SymbolKind};
use super::plan::{Function, owner_of};
use crate::image::{Format, Machine};

/// What is needed to tell where relocations lead.
#[derive(Debug, Default)]
pub(crate) struct Targets {
    /// By section: what its instructions refer to.
    pub(crate) flows: Vec<SectionFlow>,
    /// By section: places in data that code refers to, and the ranges of code that do.
    tables: Vec<BTreeMap<u64, Vec<Range>>>,
    /// By section with data: its relocations by offset.
    by_offset: Vec<BTreeMap<u64, usize>>,
}

/// Code of one function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    section: usize,
    start: u64,
    end: u64,
}

impl Targets {
    /// Looks up what code refers to.
    pub(crate) fn new(model: &Model<'_>, functions: &[Function], flows: Vec<SectionFlow>) -> Self {
        let tables = vec![BTreeMap::new(); model.sections.len()];
        let by_offset = model.sections.iter().map(|section| match section.role {
            Role::Data => section.relocs.iter().enumerate().map(|(index, reloc)| (reloc.offset, index)).collect(),
            _ => BTreeMap::new(),
        });
        let mut this = Self { flows, tables, by_offset: by_offset.collect() };
        let mut tables: Vec<BTreeMap<u64, Vec<Range>>> = vec![BTreeMap::new(); model.sections.len()];
        for (index, holder) in model.sections.iter().enumerate().filter(|(_, holder)| holder.role == Role::Code) {
            for reloc in &holder.relocs {
                let Some((section, target)) = this.of(model, index, reloc) else { continue };
                let Some(owner) = owner_of(functions, index, reloc.offset) else { continue };
                let is_data = model.sections.get(section).is_some_and(|section| section.role == Role::Data);
                if let (true, Ok(target)) = (is_data, u64::try_from(target)) {
                    let range = Range { section: index, start: owner.start, end: owner.end };
                    let ranges = tables[section].entry(target).or_default();
                    // Many functions that share a table do not happen.
                    if ranges.len() < 16 && !ranges.contains(&range) {
                        ranges.push(range);
                    }
                }
            }
        }
        this.tables = tables;
        this
    }

    /// The relocation of a field in data.
    pub(crate) fn reloc_at<'m>(&self, model: &'m Model<'_>, section: usize, offset: u64) -> Option<&'m Reloc> {
        let index = self.by_offset.get(section)?.get(&offset)?;
        model.sections.get(section)?.relocs.get(*index)
    }

    /// The place that a relocation leads to: section and offset there.
    pub(crate) fn of(&self, model: &Model<'_>, holder: usize, reloc: &Reloc) -> Option<(usize, i64)> {
        let symbol = model.symbols.get(reloc.symbol)?;
        let section = symbol.section?;
        let base = symbol.value.cast_signed();
        let role = model.sections.get(holder)?.role;
        match model.class(reloc.kind) {
            Class::Unmoved | Class::Unknown => None,
            Class::Relative(_) if role == Role::Code => {
                let bias = match (model.format, model.machine) {
                    // The linker counts from the end of the instruction by itself.
                    (Format::Pe, _) | (_, Machine::Aarch64) => 0,
                    _ => self.flows.get(holder)?.at(reloc.offset).map_or(4, |reference| reference.bias()),
                };
                Some((section, base.wrapping_add(reloc.addend).wrapping_add(bias)))
            }
            // The distance from something in data: the addend holds more than the target.
            Class::Relative(_) if role == Role::Data && symbol.kind != SymbolKind::Section => Some((section, base)),
            Class::Relative(_) => {
                let plain = base.wrapping_add(reloc.addend).wrapping_sub(from_end(model));
                let in_table = if role == Role::Data { self.in_table(holder, reloc, section, plain) } else { None };
                Some((section, in_table.unwrap_or(plain)))
            }
            Class::Absolute(_) => Some((section, base.wrapping_add(reloc.addend))),
        }
    }

    /// Where an entry of a jump table leads: into a function that refers to the table.
    fn in_table(&self, holder: usize, reloc: &Reloc, section: usize, plain: i64) -> Option<i64> {
        let (start, ranges) = self.tables.get(holder)?.range(..=reloc.offset).next_back()?;
        let target = plain.wrapping_sub((reloc.offset - start).cast_signed());
        let inside = u64::try_from(target).ok()?;
        let is_inside = |range: &Range| range.section == section && (range.start..range.end).contains(&inside);
        ranges.iter().any(is_inside).then_some(target)
    }

    /// Whether it is certain where a relocation leads, in a section whose code moves apart.
    pub(crate) fn is_certain(&self, model: &Model<'_>, functions: &[Function], holder: usize, reloc: &Reloc) -> bool {
        let Some(symbol) = model.symbols.get(reloc.symbol) else { return true };
        let Some(section) = symbol.section else { return true };
        let relative = matches!(model.class(reloc.kind), Class::Relative(_));
        let role = model.sections.get(holder).map(|holder| holder.role);
        if role == Some(Role::Code) && relative && model.machine != Machine::Aarch64 && model.format == Format::Elf {
            return self.flows.get(holder).is_some_and(|flow| flow.at(reloc.offset).is_some());
        }
        if role != Some(Role::Data) || !relative || symbol.kind != SymbolKind::Section {
            return true;
        }
        let plain = symbol.value.cast_signed().wrapping_add(reloc.addend).wrapping_sub(from_end(model));
        let is_entry = super::plan::function_at(functions, section, plain).is_some();
        is_entry || self.in_table(holder, reloc, section, plain).is_some()
    }
}

/// What COFF counts more than ELF in the addend of a distance: from the end of the field instead of its start.
fn from_end(model: &Model<'_>) -> i64 {
    if model.format == Format::Pe { 4 } else { 0 }
}
