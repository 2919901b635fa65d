//! From what differs to the hot part: the closed set, what it needs, where everything goes.

use std::collections::{BTreeMap, BTreeSet};

use patchwright_formats::hot::{
    BREAKPOINT, Base, Body, HotFunction, HotImport, HotPart, HotRelocation, MAX_BODY, OldCode, RelocationKind,
};

use super::likeness::{Comparison, Likeness};
use super::piece::{Field, Piece, Place, Reference, Use};
use super::program::{Import, Loaded};
use super::site::Sites;
use super::unwind::{self, Frame, Pointer};
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
                Loaded::Symbol { import, lazy: false } if in_table => {
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

    /// Adds what the closed set needs: new functions, new data, changed constants, unwind data.
    pub(super) fn close(&mut self, frames: &[Frame<'data>], with_unwind: bool) {
        let mut functions: Vec<usize> = self.included.keys().copied().collect();
        let mut data: Vec<u64> = Vec::new();
        loop {
            if let Some(function) = functions.pop() {
                let name = self.name_of(function);
                let func = &self.comparison.new.program.functions[function];
                let piece = &self.comparison.new.pieces[function];
                if !piece.readable {
                    self.object(name.clone(), Case::Unreadable, "its code cannot be read as instructions");
                }
                for reference in &piece.references {
                    self.need(&name, reference, &reference.place, &mut functions, &mut data);
                }
                if with_unwind {
                    for frame in frames {
                        let inside = frame.start >= func.address && frame.start < func.address + func.size;
                        if inside {
                            self.need_frame(&name, frame, &mut functions, &mut data);
                        }
                    }
                }
            } else if let Some(address) = data.pop() {
                let end = self.copied.get(&address).filter(|copied| !copied.zeros).map_or(address, |copied| copied.end);
                let name = self.comparison.new.program.describe(&self.comparison.new.program.place(address, None));
                for reference in self.comparison.new.program.data_piece(address, end).references {
                    self.need(&name, &reference, &reference.place, &mut functions, &mut data);
                }
            } else {
                return;
            }
        }
    }

    fn need_frame(&mut self, name: &str, frame: &Frame<'data>, functions: &mut Vec<usize>, data: &mut Vec<u64>) {
        let places = [frame.handlers, frame.common.personality.map(|(address, _)| address)];
        for address in places.into_iter().flatten() {
            let place = self.comparison.new.program.place(address, None);
            let reference = Reference {
                at: 0,
                field: Field::Like(RelocationKind::Absolute64),
                used: Use::Address,
                place: place.clone(),
                target: address,
                tail: 0,
                vague: false,
            };
            self.need(name, &reference, &place, functions, data);
        }
        self.frames.push(frame.clone());
    }

    fn need(
        &mut self,
        from: &str,
        reference: &Reference,
        place: &Place,
        functions: &mut Vec<usize>,
        data: &mut Vec<u64>,
    ) {
        let new = &self.comparison.new.program;
        match reference.field {
            Field::Near => {
                let reason = "a short branch leads out of it, which cannot be moved: compile with -ffunction-sections";
                self.object(from.to_owned(), Case::Unreadable, reason);
            }
            Field::Unknown(kind) => {
                self.object(from.to_owned(), Case::Unreadable, format!("a relocation of type {kind} is not supported"));
            }
            _ => {}
        }
        match place {
            Place::Function(index, _) => {
                let indirect = new.functions[*index].indirect;
                if self.comparison.functions[*index].is_none() && !self.included.contains_key(index) {
                    if indirect {
                        let name = self.name_of(*index);
                        self.object(name, Case::Ifunc, "a new function that is chosen at the start (IFUNC)");
                    }
                    let why = format!("new; {from} refers to it");
                    self.included.insert(*index, Included { why, olds: Vec::new() });
                    functions.push(*index);
                }
            }
            Place::Datum(index, _) => self.need_datum(from, reference, *index, data),
            Place::Nameless(address) => {
                if new.is_constant(*address) {
                    let least = if let Use::Access(bytes) = reference.used { bytes } else { 0 };
                    self.copy(*address, new.nameless_end(*address, least), data);
                } else if self.beside(*address).is_none() {
                    self.object(from.to_owned(), Case::Data, "it refers to a variable that has no name");
                }
            }
            Place::SlotOf(inner) => {
                self.need(from, reference, inner, functions, data);
            }
            Place::Stub(import) | Place::Slot(import) | Place::Symbol(import) if import.version != "*" => {}
            Place::Stub(import) | Place::Slot(import) | Place::Symbol(import) => {
                if !self.old_stubs.contains_key(import) {
                    let reason =
                        format!("the old build has no stub of {}, which is chosen at the start (IFUNC)", import.name);
                    self.object(from.to_owned(), Case::Ifunc, reason);
                }
            }
            Place::ThreadSlot(..) => {
                if self.thread_slot(place).is_none() {
                    let what = new.describe(place);
                    let reason = format!("it refers to the thread variable {what} as the old build nowhere does");
                    self.object(from.to_owned(), Case::NewThreadVariable, reason);
                }
            }
            Place::Thread { datum, .. } => {
                if self.comparison.thread_data[*datum].is_none() {
                    let name = new.thread_data[*datum].names.first().cloned().unwrap_or_default();
                    let reason = format!("a new thread variable, which {from} refers to");
                    self.object(name, Case::NewThreadVariable, reason);
                }
            }
            Place::Code(address) => {
                let reason = format!("it refers to code at {address:#x} that no symbol tells of");
                self.object(from.to_owned(), Case::Unreadable, reason);
            }
            Place::Nowhere(address) => {
                let kept = matches!(
                    reference.field,
                    Field::Like(RelocationKind::Absolute32 | RelocationKind::Absolute64 | RelocationKind::Signed32)
                );
                if !kept {
                    let reason = format!("it refers to {address:#x}, which no section holds");
                    self.object(from.to_owned(), Case::Unreadable, reason);
                }
            }
        }
    }

    fn need_datum(&mut self, from: &str, reference: &Reference, index: usize, data: &mut Vec<u64>) {
        let new = &self.comparison.new.program;
        let datum = &new.data[index];
        let name = datum.names.first().cloned().unwrap_or_default();
        if reference.vague && self.is_ambiguous(reference) {
            let reason = format!("what it points to is the start of {name} or the end of what stands before it");
            self.object(from.to_owned(), Case::Data, reason);
        }
        if let Some(old) = self.comparison.data[index] {
            // Addresses inside of changed functions, such as labels, lead into the old code.
            if self.leads_inside(index) {
                if new.is_constant(datum.address) {
                    self.copy(datum.address, datum.address + datum.size, data);
                } else {
                    let reason = format!("a variable holds addresses inside of functions that changed, for {from}");
                    self.object(name, Case::Data, reason);
                }
                return;
            }
            if matches!(self.comparison.data_content(old, index, 0), Likeness::Different(_)) {
                if name.starts_with("_ZTV") || name.starts_with("_ZTI") || name.starts_with("_ZTT") {
                    let reason = "a class has other virtual functions or bases; objects that exist have the old ones";
                    self.object(name, Case::Layout, reason);
                } else {
                    self.copy(datum.address, datum.address + datum.size, data);
                }
            }
            return;
        }
        if let Some(Loaded::Copy(import)) = new.loaded.get(&datum.address) {
            let reason = format!(
                "it refers to the variable {} of another module as the old build nowhere does: compile with -fPIC",
                import.name
            );
            self.object(from.to_owned(), Case::Import, reason);
        } else if !datum.typed || datum.size == 0 {
            self.object(from.to_owned(), Case::Data, format!("it refers to {name}, which only the new build has"));
        } else {
            self.copy(datum.address, datum.address + datum.size, data);
        }
    }

    /// Whether a datum holds addresses inside of functions of the closed set, other than their entries.
    fn leads_inside(&self, index: usize) -> bool {
        let new = &self.comparison.new.program;
        let datum = &new.data[index];
        // Most data are not tables; only relocations can be addresses.
        if new.kept.range(datum.address..datum.address + datum.size).next().is_none() {
            return false;
        }
        let piece = new.data_piece(datum.address, datum.address + datum.size);
        let inside = |reference: &Reference| matches!(reference.place, Place::Function(function, at) if at > 0 && self.included.contains_key(&function));
        piece.references.iter().any(inside)
    }

    /// Whether an address without a symbol may as well be the end of what stands before, and that makes a difference.
    fn is_ambiguous(&self, reference: &Reference) -> bool {
        let (old, new) = (&self.comparison.old.program, &self.comparison.new.program);
        let Place::Datum(index, 0) = reference.place else { return false };
        let Some(before) = new.datum_before(reference.target.wrapping_sub(1)) else { return false };
        let ends_here =
            |datum: &super::program::Datum| datum.size > 0 && datum.address + datum.size == reference.target;
        if before == index || !ends_here(&new.data[before]) {
            return false;
        }
        match (self.comparison.data[before], self.comparison.data[index]) {
            (Some(before), Some(index)) => {
                let before = &old.data[before];
                before.address + before.size != old.data[index].address
            }
            _ => true,
        }
    }

    fn copy(&mut self, start: u64, end: u64, data: &mut Vec<u64>) {
        let new = &self.comparison.new.program;
        let section = new.section_at(start);
        let zeros = section.is_some_and(|section| section.data.is_empty());
        let constant = new.is_constant(start);
        match self.copied.get_mut(&start) {
            Some(copied) if copied.end >= end => {}
            Some(copied) => {
                copied.end = end;
                data.push(start);
            }
            None => {
                self.copied.insert(start, Copied { end, constant, zeros });
                data.push(start);
            }
        }
    }

    /// The old address of a variable without a name: as far behind a twin.
    fn beside(&self, address: u64) -> Option<u64> {
        let new = &self.comparison.new.program;
        let before = new.datum_before(address)?;
        let old = self.comparison.data[before]?;
        Some(self.comparison.old.program.data[old].address + (address - new.data[before].address))
    }

    fn thread_slot(&self, place: &Place) -> Option<u64> {
        let alike = |old: &Place| self.comparison.places(old, place, 0, 0) == Likeness::Same;
        self.old_thread_slots.iter().find(|(old, _)| alike(old)).map(|(_, address)| *address)
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
        Ok(part)
    }

    fn lay_out_text(&mut self, body: &mut Body) {
        for index in self.included.keys() {
            pad(&mut body.text, 16, 0xcc);
            self.functions_at.insert(*index, body.text.len() as u64);
            body.text.extend(&self.comparison.new.pieces[*index].bytes);
        }
        let new = &self.comparison.new;
        let mut imports: BTreeSet<&Import> = BTreeSet::new();
        for index in self.included.keys() {
            for reference in &new.pieces[*index].references {
                if let Place::Stub(import) = &reference.place
                    && !self.old_stubs.contains_key(import)
                {
                    imports.insert(import);
                }
            }
        }
        for import in imports {
            pad(&mut body.text, 8, 0xcc);
            self.stubs.insert(import.clone(), body.text.len() as u64);
            body.text.extend([0xff, 0x25, 0, 0, 0, 0]);
        }
        // A breakpoint for calls to come back to.
        body.text.push(BREAKPOINT);
    }

    /// Returns where the unwind data begin.
    fn lay_out_constants(&mut self, body: &mut Body, unwind: &[u8]) -> u64 {
        let base = body.rodata_at();
        for (start, copied) in self.copied.iter().filter(|(_, copied)| copied.constant) {
            pad(&mut body.rodata, alignment(*start), 0);
            self.data_at.insert(*start, base + body.rodata.len() as u64);
            let piece = self.comparison.new.program.data_piece(*start, copied.end);
            body.rodata.extend(piece.bytes);
        }
        pad(&mut body.rodata, 8, 0);
        let at = base + body.rodata.len() as u64;
        if !self.frames.is_empty() {
            body.rodata.extend(unwind);
        }
        at
    }

    fn lay_out_variables(&mut self, part: &mut HotPart) {
        let base = part.body.data_at();
        let body = &mut part.body;
        for key in self.wanted_slots() {
            let at = base + body.data.len() as u64;
            body.data.extend([0; 8]);
            if let SlotKey::Import(import) = &key {
                let (name, version) = (import.name.clone(), import.version.clone());
                part.imports.push(HotImport { name, version, slot: at });
            }
            self.slots.insert(key, at);
        }
        let variables = || self.copied.iter().filter(|(_, copied)| !copied.constant);
        for (start, copied) in variables().filter(|(_, copied)| !copied.zeros) {
            pad(&mut body.data, alignment(*start), 0);
            self.data_at.insert(*start, base + body.data.len() as u64);
            body.data.extend(self.comparison.new.program.data_piece(*start, copied.end).bytes);
        }
        let mut end = base + body.data.len() as u64;
        for (start, copied) in variables().filter(|(_, copied)| copied.zeros) {
            end = end.next_multiple_of(alignment(*start) as u64);
            self.data_at.insert(*start, end);
            end += copied.end - start;
        }
        body.bss_bytes = end - base - body.data.len() as u64;
    }

    /// Slots that the closed set reads and the old program does not have.
    fn wanted_slots(&self) -> BTreeSet<SlotKey> {
        let new = self.comparison.new;
        let mut wanted: BTreeSet<SlotKey> = BTreeSet::new();
        for reference in self.included.keys().flat_map(|index| &new.pieces[*index].references) {
            match &reference.place {
                Place::Slot(import) if !self.old_slots.contains_key(import) => {
                    wanted.insert(SlotKey::Import(import.clone()));
                }
                Place::SlotOf(_) => {
                    wanted.insert(SlotKey::Place(reference.target));
                }
                _ => {}
            }
        }
        // A new stub jumps through a slot, the program's own if it has one that is bound.
        wanted.extend(
            self.stubs.keys().filter(|import| !self.old_slots.contains_key(import)).cloned().map(SlotKey::Import),
        );
        // Pointers to symbols of other modules in new data are imports of their own place.
        wanted
    }

    fn fill_functions(&mut self, body: &mut Body) {
        let new = self.comparison.new;
        let placed: Vec<(usize, u64)> = self.functions_at.iter().map(|(index, at)| (*index, *at)).collect();
        for (index, at) in placed {
            let from = self.name_of(index);
            for reference in &new.pieces[index].references {
                self.fill(&from, at, reference, &mut body.text, at);
            }
        }
    }

    fn fill_stubs(&mut self, body: &mut Body) {
        for (import, at) in &self.stubs {
            let slot = self.old_slots.get(import).map(|address| Dest::Program(*address));
            let slot = slot.or_else(|| self.slots.get(&SlotKey::Import(import.clone())).map(|at| Dest::Body(*at)));
            let field = at + 2;
            match slot {
                Some(Dest::Body(slot)) => store32(&mut body.text, field, slot.wrapping_sub(field + 4)),
                Some(Dest::Program(slot)) => self.relocations.push(HotRelocation {
                    at: field,
                    kind: RelocationKind::Relative32,
                    base: Base::Program,
                    addend: slot.cast_signed() - 4,
                }),
                None => {}
            }
        }
    }

    fn fill_data(&mut self, body: &mut Body) {
        let copied: Vec<(u64, u64, bool)> = self
            .copied
            .iter()
            .filter(|(_, copied)| !copied.zeros)
            .map(|(start, copied)| (*start, copied.end, copied.constant))
            .collect();
        for (start, end, constant) in copied {
            let Some(at) = self.data_at.get(&start).copied() else { continue };
            let piece: Piece = self.comparison.new.program.data_piece(start, end);
            let name = self.comparison.new.program.describe(&self.comparison.new.program.place(start, None));
            let (base, stretch) = match constant {
                true => (body.rodata_at(), &mut body.rodata),
                false => (body.data_at(), &mut body.data),
            };
            for reference in &piece.references {
                self.fill(&name, at, reference, stretch, at - base);
            }
        }
    }

    fn fill_slots(&mut self) {
        let slots: Vec<(u64, u64)> = self
            .slots
            .iter()
            .filter_map(|(key, at)| if let SlotKey::Place(address) = key { Some((*address, *at)) } else { None })
            .collect();
        for (address, at) in slots {
            let Place::SlotOf(inner) = self.comparison.new.program.place(address, None) else { continue };
            match self.dest(&inner, Use::Address) {
                Ok(dest) => self.relocate(at, RelocationKind::Absolute64, dest, 0),
                Err(reason) => self.object("a slot of the new build".to_owned(), Case::Unreadable, reason),
            }
        }
    }

    fn fill_unwind(&mut self, unwind_at: u64, pointers: &[(usize, Pointer)]) {
        let new = &self.comparison.new.program;
        for (offset, pointer) in pointers {
            let dest = match pointer {
                Pointer::Code(address) => new
                    .function_at(*address)
                    .and_then(|index| Some(self.functions_at.get(&index)? + (address - new.functions[index].address)))
                    .map(Dest::Body)
                    .ok_or_else(|| "unwind data of code that is not there".to_owned()),
                Pointer::Handlers(address) | Pointer::Personality(address) => {
                    self.dest(&new.place(*address, None), Use::Address)
                }
            };
            match dest {
                Ok(dest) => self.relocate(unwind_at + *offset as u64, RelocationKind::Absolute64, dest, 0),
                Err(reason) => self.object("unwind data".to_owned(), Case::Unwind, reason),
            }
        }
    }

    fn relocate(&mut self, at: u64, kind: RelocationKind, dest: Dest, adjust: i64) {
        let (base, value) = match dest {
            Dest::Program(address) => (Base::Program, address),
            Dest::Body(offset) => (Base::Body, offset),
        };
        self.relocations.push(HotRelocation { at, kind, base, addend: value.cast_signed().wrapping_add(adjust) });
    }

    /// Fills in one reference of a piece that begins at `piece_at` in the body and at `in_stretch` in its stretch.
    fn fill(&mut self, from: &str, piece_at: u64, reference: &Reference, stretch: &mut [u8], in_stretch: u64) {
        let at = piece_at + reference.at;
        let field = in_stretch + reference.at;
        if let (Field::Constant, Place::Thread { datum, offset, from_pointer }) = (reference.field, &reference.place) {
            let old = &self.comparison.old.program;
            if let Some(datum) = self.comparison.thread_data[*datum] {
                let in_block = old.thread_data[datum].address + offset;
                let value = if *from_pointer { in_block.wrapping_sub(old.thread_block) } else { in_block };
                store32(stretch, field, value);
            }
            return;
        }
        if let (Place::Nowhere(value), Field::Like(kind)) = (&reference.place, reference.field) {
            match kind {
                RelocationKind::Absolute64 => store64(stretch, field, *value),
                _ => store32(stretch, field, *value),
            }
            return;
        }
        let dest = match self.dest(&reference.place, reference.used) {
            Ok(dest) => dest,
            // The slot of a place is found by its own address.
            Err(_) if matches!(reference.place, Place::SlotOf(_)) => {
                match self.slots.get(&SlotKey::Place(reference.target)) {
                    Some(at) => Dest::Body(*at),
                    None => {
                        return self.object(from.to_owned(), Case::Unreadable, "it refers to a slot that is not there");
                    }
                }
            }
            Err(reason) => return self.object(from.to_owned(), Case::Unreadable, reason),
        };
        match (reference.field, dest) {
            (Field::Like(RelocationKind::Relative32), Dest::Body(to)) => {
                store32(stretch, field, to.wrapping_sub(at + reference.tail));
            }
            (Field::Like(RelocationKind::Relative32), dest) => {
                self.relocate(at, RelocationKind::Relative32, dest, -reference.tail.cast_signed());
            }
            (Field::Like(kind), dest) => self.relocate(at, kind, dest, 0),
            (Field::Table, Dest::Body(to)) => store32(stretch, field, to.wrapping_sub(piece_at)),
            _ => self.object(from.to_owned(), Case::Unreadable, "it refers to something in a way that cannot be moved"),
        }
    }

    /// Where a place of the new program is after the switch.
    fn dest(&self, place: &Place, used: Use) -> Result<Dest, String> {
        let (old, new) = (&self.comparison.old.program, &self.comparison.new.program);
        let missing = || format!("it refers to {}, which cannot be reached", new.describe(place));
        match place {
            Place::Function(index, at) => {
                let twin = self.comparison.functions[*index];
                let body = self.functions_at.get(index).map(|start| Dest::Body(start + at));
                match twin {
                    // An address that is taken is compared: it stays the one of the old entry.
                    Some(twin) if used != Use::Branch && *at == 0 => Ok(Dest::Program(old.functions[twin].address)),
                    Some(twin) => Ok(body.unwrap_or(Dest::Program(old.functions[twin].address + at))),
                    None => body.ok_or_else(missing),
                }
            }
            Place::Datum(index, at) => {
                let start = new.data[*index].address;
                match (self.data_at.get(&start), self.comparison.data[*index]) {
                    (Some(copy), _) => Ok(Dest::Body(copy.wrapping_add_signed(*at))),
                    (None, Some(twin)) => Ok(Dest::Program(old.data[twin].address.wrapping_add_signed(*at))),
                    (None, None) => Err(missing()),
                }
            }
            Place::Nameless(address) => match self.data_at.get(address) {
                Some(copy) => Ok(Dest::Body(*copy)),
                None => self.beside(*address).map(Dest::Program).ok_or_else(missing),
            },
            Place::Stub(import) => {
                let stub = self.old_stubs.get(import).map(|address| Dest::Program(*address));
                stub.or_else(|| self.stubs.get(import).map(|at| Dest::Body(*at))).ok_or_else(missing)
            }
            Place::Slot(import) => {
                let slot = self.old_slots.get(import).map(|address| Dest::Program(*address));
                let own = || self.slots.get(&SlotKey::Import(import.clone())).map(|at| Dest::Body(*at));
                slot.or_else(own).ok_or_else(missing)
            }
            Place::ThreadSlot(..) => self.thread_slot(place).map(Dest::Program).ok_or_else(missing),
            Place::Symbol(_) | Place::SlotOf(_) | Place::Thread { .. } | Place::Code(_) | Place::Nowhere(_) => {
                Err(missing())
            }
        }
    }

    fn list_functions(&mut self, part: &mut HotPart, sites: &Sites<'_, '_>, parts: &[(usize, String)]) {
        let (old, new) = (&self.comparison.old.program, &self.comparison.new.program);
        let mut listed = Vec::new();
        let mut objections = Vec::new();
        let old_code = |index: usize| {
            let func = &old.functions[index];
            let hash = *blake3::hash(old.bytes(func.address, func.size)).as_bytes();
            OldCode { address: func.address, size: func.size, hash }
        };
        for (index, included) in &self.included {
            let func = &new.functions[*index];
            let name = func.names.first().cloned().unwrap_or_default();
            let at = self.functions_at.get(index).copied().unwrap_or_default();
            let placed = Some((at, func.size));
            if included.olds.is_empty() {
                let why = included.why.clone();
                listed.push(HotFunction { name, why, old: None, new: placed, site: None });
                continue;
            }
            for old_index in &included.olds {
                let func = &old.functions[*old_index];
                let name = func.names.first().cloned().unwrap_or_default();
                // A cold part is entered by its owner alone, which is redirected.
                let site = if super::owner_of(&name).is_some() {
                    None
                } else {
                    match sites.find(func.address, func.address + func.size) {
                        Ok(site) => Some(site),
                        Err(reason) => {
                            objections.push(HotObjection { subject: name.clone(), case: Case::Entry, reason });
                            None
                        }
                    }
                };
                let (why, old) = (included.why.clone(), Some(old_code(*old_index)));
                listed.push(HotFunction { name, why, old, new: placed, site });
            }
        }
        for (index, why) in parts {
            let name = old.functions[*index].names.first().cloned().unwrap_or_default();
            listed.push(HotFunction { name, why: why.clone(), old: Some(old_code(*index)), new: None, site: None });
        }
        listed.sort_by_key(|function| (function.old.as_ref().map_or(u64::MAX, |old| old.address), function.new));
        self.objections.extend(objections);
        part.functions = listed;
    }
}

fn pad(bytes: &mut Vec<u8>, align: usize, with: u8) {
    bytes.resize(bytes.len().next_multiple_of(align), with);
}

/// What an address is a multiple of, as far as it can matter.
fn alignment(address: u64) -> usize {
    1 << address.trailing_zeros().min(6)
}

fn store32(stretch: &mut [u8], at: u64, value: u64) {
    let [a, b, c, d, ..] = value.to_le_bytes();
    store(stretch, at, &[a, b, c, d]);
}

fn store64(stretch: &mut [u8], at: u64, value: u64) {
    store(stretch, at, &value.to_le_bytes());
}

fn store(stretch: &mut [u8], at: u64, bytes: &[u8]) {
    let at = usize::try_from(at).unwrap_or(usize::MAX);
    if let Some(field) = stretch.get_mut(at..at.saturating_add(bytes.len())) {
        field.copy_from_slice(bytes);
    }
}
