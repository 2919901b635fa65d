//! Addresses that may mean two things.
//!
//! A linker leaves numbers. Where an instruction takes an address and no relocation names the symbol, the address where
//! one thing begins may be meant as the end of what stands before it (the limit of a loop), and an address shortly before
//! an array as the array with a negative index worked in. Nobody can tell from the program alone. But if all that an
//! address can mean leads to one place in the old program, nobody needs to.

use super::{Builder, Dest};
use crate::hot::likeness::Likeness;
use crate::hot::objections::LINKER_DATA;
use crate::hot::piece::{Place, Reference, Use};

/// How far before an array a compiler points, to save a subtraction.
const BEFORE: u64 = 64;
/// Arrays are longer.
const SCALAR: u64 = 8;

impl Builder<'_, '_, '_> {
    /// Where a reference without a symbol leads, given where it leads if it means what stands there.
    pub(super) fn settle(&self, reference: &Reference, dest: Dest) -> Result<Dest, String> {
        if !reference.vague {
            return Ok(dest);
        }
        let (old, new) = (&self.comparison.old.program, &self.comparison.new.program);
        for other in self.other_meanings(reference) {
            let distance = reference.target.wrapping_sub(new.data[other].address).cast_signed();
            // What cannot be reached nobody in the closed set refers to, and nobody else knows of it.
            let Ok(meant) = self.dest(&Place::Datum(other, distance), Use::Address) else { continue };
            if meant == dest {
                continue;
            }
            // A constant that stands there in the old program too is as good as its copy.
            if let (Place::Nameless(constant), Dest::Program(address)) = (&reference.place, meant)
                && old.is_constant(address)
                && self.comparison.constants(address, *constant) == Likeness::Same
            {
                return Ok(meant);
            }
            let (one, other) = (new.describe(&reference.place), new.describe(&Place::Datum(other, 0)));
            let how = if distance < 0 { "a place before" } else { "the end of" };
            return Err(format!(
                "the address that it takes is {one} or {how} {other}, and these no longer lie side by side: link with \
                 -Wl,--emit-relocs and compile with -fdata-sections"
            ));
        }
        Ok(dest)
    }

    /// Data that an address may mean beside what stands there.
    fn other_meanings(&self, reference: &Reference) -> Vec<usize> {
        let new = &self.comparison.new.program;
        let target = reference.target;
        let here = if let Place::Datum(index, _) = reference.place { Some(index) } else { None };
        let array = |index: &usize| {
            let datum = &new.data[*index];
            let made = datum.names.first().is_some_and(|name| LINKER_DATA.contains(&name.as_str()));
            datum.typed && datum.size > 0 && Some(*index) != here && !made
        };
        let ends_here = |index: &usize| new.data[*index].address + new.data[*index].size == target;
        let before = target.checked_sub(1).and_then(|last| new.datum_before(last));
        let mut others: Vec<usize> =
            before.filter(array).filter(ends_here).filter(|index| !self.is_unread(*index)).into_iter().collect();
        let starts = match &reference.place {
            Place::Datum(_, at) => *at == 0,
            Place::Nameless(address) => new.begins_text(*address),
            _ => true,
        };
        if !starts {
            let after = new.data.partition_point(|datum| datum.address <= target);
            let near = |index: &usize| {
                let datum = &new.data[*index];
                datum.address - target <= BEFORE && datum.size > SCALAR
            };
            others.extend(Some(after).filter(|index| *index < new.data.len()).filter(array).filter(near));
        }
        others
    }

    /// Whether a datum is a constant that its function alone goes through, a text or one that the compiler made up, and
    /// no function of the closed set reads it.
    fn is_unread(&self, index: usize) -> bool {
        let new = &self.comparison.new;
        let datum = &new.program.data[index];
        let bytes = new.program.bytes(datum.address, datum.size);
        // Some languages end a text with nothing.
        let text = bytes.strip_suffix(&[0]).unwrap_or(bytes);
        let is_text = text.iter().all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7e));
        let reads = |function: &usize| {
            let references = &new.pieces[*function].references;
            references.iter().any(|reference| matches!(reference.place, Place::Datum(other, _) if other == index))
        };
        let made_up = datum.names.iter().all(|name| name.starts_with(".L"));
        (is_text || made_up) && new.program.is_constant(datum.address) && !self.included.keys().any(reads)
    }
}
