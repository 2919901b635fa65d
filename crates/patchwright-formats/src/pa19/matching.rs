//! Finds the rift table of two images.
//!
//! The format leaves the choice of the table to the creator. Ours: lay the new image over the old one with everything
//! blanked that changes when things move; where instructions or tables of pointers then lie over each other, what they
//! lead to must be the same thing. Every such pair is a *vote* for how far an address has moved. The table is the one
//! that contradicts the fewest votes, where an entry more must be worth the bytes that it takes.

mod align;
mod named;
mod votes;

use std::collections::BTreeMap;

use super::budget::Budget;
use super::pe32::{MACHINE_X86, Pe32, directory, reloc, u32_at};
use super::rift::Rift;
use super::transform::{HintMap, branches};
use align::align;
use votes::Votes;

/// What one vote of each sort weighs. A wrong pointer costs a few bytes of stream; the rest is worth less.
mod weight {
    /// The target of a pointer or branch.
    pub(super) const TARGET: u32 = 4;
    /// The place of a branch, which only counts together with its target.
    pub(super) const BRANCH: u32 = 2;
    /// The place of a pointer, which is an entry of the relocation table.
    pub(super) const FIXUP: u32 = 1;
    /// An address in a table of imports, exports or resources.
    pub(super) const NAMED: u32 = 3;
    /// The start of a section.
    pub(super) const SECTION: u32 = 1;
}

/// What an entry costs, in the unit of the weights; every value makes a candidate.
const ENTRY_COSTS: [u32; 2] = [3, 6];

/// Tables worth a try for making `new` from the normalised `old`; none where one of them is no 32-bit image.
///
/// The first knows no more than the sections.
pub(super) fn candidates(old: &[u8], new: &[u8]) -> Vec<Rift> {
    let Some((old_pe, new_pe)) = Pe32::parse(old).zip(Pe32::parse(new)) else { return Vec::new() };
    let mut tables = vec![by_sections(&old_pe, &new_pe)];
    let votes = collect(&View::new(old, &old_pe), &View::new(new, &new_pe));
    for cost in ENTRY_COSTS {
        let table = votes.table(cost);
        if !tables.contains(&table) {
            tables.push(table);
        }
    }
    tables
}

/// Sections of the same name have moved as a whole.
fn by_sections(old: &Pe32, new: &Pe32) -> Rift {
    let mut moved: Vec<(u32, u32)> = section_pairs(old, new).collect();
    moved.sort_unstable();
    let mut rift = Rift::default();
    rift.push(0, 0);
    let mut shift = 0;
    for (old, new) in moved {
        if new.wrapping_sub(old) != shift {
            shift = new.wrapping_sub(old);
            rift.push(old, new);
        }
    }
    rift
}

/// The first of several sections with the same name counts.
fn section_pairs(old: &Pe32, new: &Pe32) -> impl Iterator<Item = (u32, u32)> {
    let mut by_name = BTreeMap::new();
    for section in &new.sections {
        by_name.entry(section.name).or_insert(section.rva);
    }
    old.sections.iter().filter_map(move |section| Some((section.rva, *by_name.get(&section.name)?)))
}

/// An image with what leads to other places taken out.
struct View<'a> {
    image: &'a [u8],
    pe: &'a Pe32,
    /// In the order of their offsets.
    operands: Vec<Operand>,
    /// The image with operands and relocations zero.
    masked: Vec<u8>,
}

/// Four bytes that lead to another place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Operand {
    at: usize,
    target: u32,
    kind: OperandKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OperandKind {
    /// An address; `rva` is where it stands.
    Pointer { rva: u32 },
    /// A distance from `next`.
    Branch { next: u32 },
}

impl<'a> View<'a> {
    fn new(image: &'a [u8], pe: &'a Pe32) -> Self {
        let mut hints = HintMap::mark(image, pe, false);
        let mut operands = pointers(image, pe);
        for operand in &operands {
            hints.add(operand.at, 4, crate::pa19::transform::NO_CODE);
        }
        operands.extend(branches(image, pe, &hints).iter().map(|branch| Operand {
            at: branch.at + 1,
            target: branch.target,
            kind: OperandKind::Branch { next: branch.next },
        }));
        operands.sort_by_key(|operand| operand.at);
        let mut masked = image.to_vec();
        for operand in &operands {
            masked[operand.at..operand.at + 4].fill(0);
        }
        if let Some(table) = pe.mapped(image, directory::BASERELOC) {
            masked[table.start..table.end].fill(0);
        }
        Self { image, pe, operands, masked }
    }

    fn operand_at(&self, at: usize) -> Option<Operand> {
        self.operands.binary_search_by_key(&at, |operand| operand.at).ok().map(|index| self.operands[index])
    }
}

/// Every pointer of an image: what its relocations say, or what looks like one where it has none.
fn pointers(image: &[u8], pe: &Pe32) -> Vec<Operand> {
    let base = pe.image_base(image);
    let pointer = |at: usize, rva: u32| {
        let target = u32_at(image, at)?.wrapping_sub(base);
        (target < pe.size_of_image).then_some(Operand { at, target, kind: OperandKind::Pointer { rva } })
    };
    if let Some(table) = pe.mapped(image, directory::BASERELOC) {
        let fixups = reloc::fixups(image, table).unwrap_or_default();
        let fixups = fixups.iter().filter(|fixup| fixup.kind == reloc::HIGHLOW);
        let mut found: Vec<Operand> = fixups.filter_map(|fixup| pointer(pe.offset(fixup.rva)?, fixup.rva)).collect();
        found.sort_by_key(|operand| operand.at);
        found.dedup_by(|later, earlier| later.at < earlier.at + 4);
        return found;
    }
    let mut found = Vec::new();
    if pe.machine != MACHINE_X86 {
        return found;
    }
    let mut budget = Budget::new(image.len());
    for section in &pe.sections {
        let raw = section.raw(image.len());
        if !budget.spend(raw.len()) {
            break;
        }
        let mut at = raw.start;
        while at + 4 < raw.end {
            let rva = section.rva.wrapping_add(u32::try_from(at - raw.start).expect("sections are below 4 GiB"));
            match pointer(at, rva).filter(|operand| operand.target >= pe.sections[0].rva) {
                Some(operand) => {
                    found.push(operand);
                    at += 4;
                }
                None => at += 1,
            }
        }
    }
    found
}

fn collect(old: &View<'_>, new: &View<'_>) -> Votes {
    let mut votes = Votes::default();
    for (old, new) in section_pairs(old.pe, new.pe) {
        votes.add(old, new, weight::SECTION);
    }
    for (old, new) in named::pairs(old.image, old.pe, new.image, new.pe) {
        votes.add(old, new, weight::NAMED);
    }
    for piece in align(&old.masked, &new.masked) {
        let first = old.operands.partition_point(|operand| operand.at < piece.old);
        for operand in old.operands[first..].iter().take_while(|operand| operand.at + 4 <= piece.old + piece.len) {
            let at = operand.at - piece.old + piece.new;
            let Some(same) = new.operand_at(at) else { continue };
            if !surroundings_agree(&old.masked, operand.at, &new.masked, at) {
                continue;
            }
            match (operand.kind, same.kind) {
                (OperandKind::Pointer { rva: from }, OperandKind::Pointer { rva: to }) => {
                    votes.add(from, to, weight::FIXUP);
                }
                (OperandKind::Branch { next: from }, OperandKind::Branch { next: to }) => {
                    votes.add(from, to, weight::BRANCH);
                }
                _ => continue,
            }
            votes.add(operand.target, same.target, weight::TARGET);
        }
    }
    votes
}

/// Whether most bytes around two operands are the same, so that these are likely to be the same operand.
fn surroundings_agree(old: &[u8], old_at: usize, new: &[u8], new_at: usize) -> bool {
    const BEFORE: usize = 8;
    const LEN: usize = 20;
    let window = |bytes: &[u8], at: usize| bytes.iter().skip(at.saturating_sub(BEFORE)).take(LEN).copied().collect();
    let (old, new): (Vec<u8>, Vec<u8>) = (window(old, old_at), window(new, new_at));
    old.iter().zip(&new).filter(|(old, new)| old == new).count() * 4 >= LEN * 3
}
