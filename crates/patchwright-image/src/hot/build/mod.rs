//! From what differs to the hot part: the closed set, what it needs, where everything goes.
//!
//! In this order: `need` adds what the closed set refers to, `layout` gives everything a place in the body, `fill` writes
//! the references, `list` names the functions and their redirects.

mod doubt;
mod fill;
mod layout;
mod list;
mod need;

use std::collections::BTreeMap;

use patchwright_formats::hot::{HotImport, HotPart, HotRelocation, MAX_BODY};

use super::likeness::Comparison;
use super::piece::Place;
use super::program::{Import, Loaded};
use super::site::Sites;
use super::unwind::{self, Frame};
use super::{Case, HotObjection};

/// A function of the closed set.
pub(super) struct Included {
    pub(super) why: String,
    /// Old functions that it replaces; none if it is new.
    pub(super) olds: Vec<usize>,
}

/// Where something ends up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dest {
    /// A stated address of the old program.
    Program(u64),
    /// An offset in the body.
    Body(u64),
}

/// What a slot of the body's data holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum SlotKey {
    Import(Import),
    /// The address of a place of the new program.
    Place(u64),
}

/// Data of the new program that the body gets a copy of.
struct Copied {
    end: u64,
    constant: bool,
    /// Only zeros, and none of them in the file.
    zeros: bool,
}

pub(super) struct Builder<'c, 'a, 'data> {
    comparison: &'c Comparison<'a, 'data>,
    included: BTreeMap<usize, Included>,
    copied: BTreeMap<u64, Copied>,
    slots: BTreeMap<SlotKey, u64>,
    stubs: BTreeMap<Import, u64>,
    frames: Vec<Frame<'data>>,
    pub(super) objections: Vec<HotObjection>,
    /// Offsets in the body.
    functions_at: BTreeMap<usize, u64>,
    data_at: BTreeMap<u64, u64>,
    relocations: Vec<HotRelocation>,
    /// Pointers to symbols of other modules in new data.
    imports: Vec<HotImport>,
    /// By name, slots and stubs of the old program that are usable.
    old_slots: BTreeMap<Import, u64>,
    old_stubs: BTreeMap<Import, u64>,
    old_thread_slots: Vec<(Place, u64)>,
}

impl<'c, 'a, 'data> Builder<'c, 'a, 'data> {
    pub(super) fn new(comparison: &'c Comparison<'a, 'data>, included: BTreeMap<usize, Included>) -> Self {
        let mut builder = Self {
            comparison,
            included,
            copied: BTreeMap::new(),
            slots: BTreeMap::new(),
            stubs: BTreeMap::new(),
            frames: Vec::new(),
            objections: Vec::new(),
            functions_at: BTreeMap::new(),
            data_at: BTreeMap::new(),
            relocations: Vec::new(),
            imports: Vec::new(),
            old_slots: BTreeMap::new(),
            old_stubs: BTreeMap::new(),
            old_thread_slots: Vec::new(),
        };
        builder.read_old_tables();
        builder
    }

    fn read_old_tables(&mut self) {
        let old = &self.comparison.old.program;
        for (address, loaded) in &old.loaded {
            let in_table = old.section_at(*address).is_some_and(|section| section.name.starts_with(".got"));
            match loaded {
                // A slot that is bound at the first call holds something else before.
                Loaded::Symbol { import, lazy: false, .. } if in_table => {
                    self.old_slots.insert(import.clone(), *address);
                }
                Loaded::Thread { .. } if in_table => self.old_thread_slots.push((old.place(*address, None), *address)),
                _ => {}
            }
        }
        for section in old.sections.iter().filter(|section| section.name.starts_with(".plt") || section.name == ".iplt")
        {
            for address in (section.address..section.address + section.size).step_by(8) {
                if let Place::Stub(import) = old.place(address, None) {
                    // A stub may be read from its start or from eight bytes in; the start comes first.
                    self.old_stubs.entry(import).or_insert(address);
                }
            }
        }
    }

    fn object(&mut self, subject: String, case: Case, reason: impl Into<String>) {
        let objection = HotObjection { subject, case, reason: reason.into() };
        if !self.objections.contains(&objection) {
            self.objections.push(objection);
        }
    }

    fn name_of(&self, function: usize) -> String {
        self.comparison.new.program.functions[function].names.first().cloned().unwrap_or_default()
    }

    /// Lays everything out and fills everything in.
    pub(super) fn finish(
        mut self,
        sites: &Sites<'_, '_>,
        parts: &[(usize, String)],
    ) -> Result<HotPart, Vec<HotObjection>> {
        let mut part = HotPart {
            old_build: self.comparison.old.program.build.clone(),
            new_build: self.comparison.new.program.build.clone(),
            references: self.comparison.old.program.references.max(self.comparison.new.program.references),
            ..HotPart::default()
        };
        let total: u64 = self.copied.iter().map(|(start, copied)| copied.end - start).sum();
        if total > MAX_BODY / 2 {
            self.object("the new data".to_owned(), Case::Data, format!("they are {total} bytes long"));
        }
        if !self.objections.is_empty() {
            return Err(self.objections);
        }
        self.lay_out_text(&mut part.body);
        let (unwind, pointers) = unwind::write(&self.frames);
        let unwind_at = self.lay_out_constants(&mut part.body, &unwind);
        self.lay_out_variables(&mut part);
        self.fill_functions(&mut part.body);
        self.fill_stubs(&mut part.body);
        self.fill_data(&mut part.body);
        self.fill_slots();
        if !self.frames.is_empty() {
            part.unwind = Some(unwind_at);
            self.fill_unwind(unwind_at, &pointers);
        }
        self.list_functions(&mut part, sites, parts);
        if !self.objections.is_empty() {
            return Err(self.objections);
        }
        self.relocations.sort_by_key(|relocation| relocation.at);
        part.relocations = self.relocations;
        part.imports.extend(self.imports);
        Ok(part)
    }
}
