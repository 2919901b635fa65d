//! Where everything goes in the body.

use std::collections::BTreeSet;

use patchwright_formats::hot::{BREAKPOINT, Body, HotImport, HotPart};

use super::{Builder, SlotKey};
use crate::hot::piece::Place;
use crate::hot::program::Import;

impl Builder<'_, '_, '_> {
    pub(super) fn lay_out_text(&mut self, body: &mut Body) {
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
    pub(super) fn lay_out_constants(&mut self, body: &mut Body, unwind: &[u8]) -> u64 {
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

    pub(super) fn lay_out_variables(&mut self, part: &mut HotPart) {
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
        wanted
    }
}

fn pad(bytes: &mut Vec<u8>, align: usize, with: u8) {
    bytes.resize(bytes.len().next_multiple_of(align), with);
}

/// What an address is a multiple of, as far as it can matter.
fn alignment(address: u64) -> usize {
    1 << address.trailing_zeros().min(6)
}
