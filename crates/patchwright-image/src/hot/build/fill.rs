//! The references of everything in the body, written or left to the process.

use patchwright_formats::hot::{Base, Body, HotImport, HotRelocation, RelocationKind};

use super::{Builder, Dest, SlotKey};
use crate::hot::Case;
use crate::hot::piece::{Field, Piece, Place, Reference, Use};
use crate::hot::unwind::Pointer;

impl Builder<'_, '_, '_> {
    pub(super) fn fill_functions(&mut self, body: &mut Body) {
        let new = self.comparison.new;
        let placed: Vec<(usize, u64)> = self.functions_at.iter().map(|(index, at)| (*index, *at)).collect();
        for (index, at) in placed {
            let from = self.name_of(index);
            for reference in &new.pieces[index].references {
                self.fill(&from, at, reference, &mut body.text, at);
            }
        }
    }

    pub(super) fn fill_stubs(&mut self, body: &mut Body) {
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

    pub(super) fn fill_data(&mut self, body: &mut Body) {
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

    pub(super) fn fill_slots(&mut self) {
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

    pub(super) fn fill_unwind(&mut self, unwind_at: u64, pointers: &[(usize, Pointer)]) {
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
        if let (Place::Symbol(import, 0), Field::Like(RelocationKind::Absolute64)) = (&reference.place, reference.field)
        {
            let (name, version) = (import.name.clone(), import.version.clone());
            return self.imports.push(HotImport { name, version, slot: at });
        }
        let dest = match self.dest(&reference.place, reference.used) {
            Ok(dest) => match self.settle(reference, dest) {
                Ok(dest) => dest,
                Err(reason) => return self.object(from.to_owned(), Case::Data, reason),
            },
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
            // It counts from the start of the table, which lies so far before the field.
            (Field::Table, dest) => self.relocate(at, RelocationKind::Relative32, dest, reference.at.cast_signed()),
            _ => self.object(from.to_owned(), Case::Unreadable, "it refers to something in a way that cannot be moved"),
        }
    }

    /// Where a place of the new program is after the switch.
    pub(super) fn dest(&self, place: &Place, used: Use) -> Result<Dest, String> {
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
            Place::Symbol(..) | Place::SlotOf(_) | Place::Thread { .. } | Place::Code(_) | Place::Nowhere(_) => {
                Err(missing())
            }
        }
    }
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
