//! What the closed set needs beside itself: new functions, new data, changed constants, unwind data; and what of it
//! cannot be had.

use patchwright_formats::hot::RelocationKind;

use super::{Builder, Copied, Included};
use crate::hot::Case;
use crate::hot::likeness::Likeness;
use crate::hot::piece::{Field, Place, Reference, Use};
use crate::hot::program::Loaded;
use crate::hot::unwind::Frame;

impl<'data> Builder<'_, '_, 'data> {
    /// Adds what the closed set needs: new functions, new data, changed constants, unwind data.
    pub(in crate::hot) fn close(&mut self, frames: &[Frame<'data>], with_unwind: bool) {
        let mut functions: Vec<usize> = self.included.keys().copied().collect();
        let mut data: Vec<u64> = Vec::new();
        loop {
            if let Some(function) = functions.pop() {
                let name = self.name_of(function);
                let func = &self.comparison.new.program.functions[function];
                let piece = &self.comparison.new.pieces[function];
                if let Some(why) = self.comparison.new.program.unresolved.get(&function) {
                    self.object(name.clone(), Case::Unreadable, format!("{why}: link with -Wl,--emit-relocs"));
                }
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
            Place::Datum(index, _) => self.need_datum(from, *index, data),
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
            // A slot of its own, in the datum, that is filled when the patch is applied.
            Place::Symbol(_, 0) => {}
            Place::Symbol(import, addend) => {
                let reason = format!(
                    "it points {addend} bytes into {}, which is of another module: point to its start",
                    import.name
                );
                self.object(from.to_owned(), Case::Import, reason);
            }
            Place::Stub(import) | Place::Slot(import) if import.version != "*" => {}
            Place::Stub(import) | Place::Slot(import) => {
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

    fn need_datum(&mut self, from: &str, index: usize, data: &mut Vec<u64>) {
        let new = &self.comparison.new.program;
        let datum = &new.data[index];
        let name = datum.names.first().cloned().unwrap_or_default();
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

    fn copy(&mut self, start: u64, end: u64, data: &mut Vec<u64>) {
        let new = &self.comparison.new.program;
        let section = new.section_at(start);
        let zeros = section.is_some_and(|section| section.data.is_empty());
        // The process fills in pointers to other modules, where it can write.
        let holds_pointers = || {
            let references = new.data_piece(start, end).references;
            references.iter().any(|reference| matches!(reference.place, Place::Symbol(..)))
        };
        let constant = new.is_constant(start) && !holds_pointers();
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
    pub(super) fn beside(&self, address: u64) -> Option<u64> {
        let new = &self.comparison.new.program;
        let before = new.datum_before(address)?;
        let old = self.comparison.data[before]?;
        Some(self.comparison.old.program.data[old].address + (address - new.data[before].address))
    }

    pub(super) fn thread_slot(&self, place: &Place) -> Option<u64> {
        let alike = |old: &Place| self.comparison.places(old, place, 0, 0) == Likeness::Same;
        self.old_thread_slots.iter().find(|(old, _)| alike(old)).map(|(_, address)| *address)
    }
}
