//! Relative jumps and calls in x86 code.
//!
//! Nothing is disassembled: every byte that could begin such an instruction does, unless something else is known of
//! its bytes or its target cannot be code.

use super::Work;
use super::hints::{Hints, NO_CODE};
use crate::pa19::pe32::{CodeRange, MACHINE_X86, Pe32, u32_at};

/// Where an instruction that branches has its displacement.
#[derive(Clone, Copy, Debug)]
pub(in crate::pa19) struct Branch {
    /// Offset of the last byte before the displacement.
    pub(in crate::pa19) at: usize,
    /// Address of the next instruction.
    pub(in crate::pa19) next: u32,
    /// Address it leads to.
    pub(in crate::pa19) target: u32,
}

pub(super) fn jumps(work: &mut Work<'_>) {
    walk_mut(work, |work, range, at| {
        let opcode = work.image[at];
        let (at, conditional) = match opcode {
            0xE9 => (at, false),
            0x0F if work.image[at + 1] & 0xF0 == 0x80 => (at + 1, true),
            _ => return at + 1,
        };
        if at + 5 >= range.end || (conditional && !work.hints.clear(at - 1, 1, NO_CODE)) {
            return at + 1;
        }
        let Some(branch) = branch_at(work.image, &work.pe, &work.hints, range, at) else { return at + 1 };
        // A short distance has a shorter instruction, which this is not.
        if i8::try_from(branch.target.wrapping_sub(branch.next).cast_signed()).is_ok() {
            return at + 1;
        }
        let distance = work.rift.map(branch.target).wrapping_sub(work.rift.map(branch.next));
        match i8::try_from(distance.cast_signed()) {
            Err(_) => work.put_u32(at + 1, distance),
            Ok(short) if conditional => {
                work.image[at - 1] = 0x70 | (work.image[at] & 0x0F);
                work.image[at] = short.cast_unsigned();
            }
            Ok(short) => {
                work.image[at] = 0xEB;
                work.image[at + 1] = short.cast_unsigned();
            }
        }
        at + 5
    });
}

pub(super) fn calls(work: &mut Work<'_>) {
    walk_mut(work, |work, range, at| {
        let branch = match work.image[at] {
            0xE8 => branch_at(work.image, &work.pe, &work.hints, range, at),
            _ => None,
        };
        let Some(branch) = branch else { return at + 1 };
        work.put_u32(at + 1, work.rift.map(branch.target).wrapping_sub(work.rift.map(branch.next)));
        at + 5
    });
}

/// Calls `step` with every offset at which an instruction of five bytes can begin; it returns where to go on.
fn walk_mut(work: &mut Work<'_>, step: impl Fn(&mut Work<'_>, CodeRange, usize) -> usize) {
    if work.pe.machine != MACHINE_X86 {
        return;
    }
    let ranges: Vec<CodeRange> = work.pe.sections_with_code().collect();
    for range in ranges {
        let mut at = range.start;
        while at + 5 < range.end {
            at = step(work, range, at);
        }
    }
}

fn branch_at(image: &[u8], pe: &Pe32, hints: &Hints, range: CodeRange, at: usize) -> Option<Branch> {
    if !hints.clear(at, 5, NO_CODE) {
        return None;
    }
    let next = range.rva_of(at).wrapping_add(5);
    let target = next.wrapping_add(u32_at(image, at + 1)?);
    // What is not mapped counts as offset 0, which is in the headers and no code.
    let is_code = target < pe.size_of_image && hints.clear(pe.offset(target)?, 1, NO_CODE);
    is_code.then_some(Branch { at, next, target })
}

/// Every call and jump of an image, as the transforms see them, without a change.
pub(in crate::pa19) fn branches(image: &[u8], pe: &Pe32, hints: &Hints) -> Vec<Branch> {
    let mut found = Vec::new();
    if pe.machine != MACHINE_X86 {
        return found;
    }
    for range in pe.sections_with_code() {
        let mut at = range.start;
        while at + 5 < range.end {
            let opcode_at = match image[at] {
                0xE8 | 0xE9 => at,
                0x0F if image[at + 1] & 0xF0 == 0x80 && at + 6 < range.end => at + 1,
                _ => {
                    at += 1;
                    continue;
                }
            };
            match branch_at(image, pe, hints, range, opcode_at) {
                Some(branch) => {
                    found.push(branch);
                    at = opcode_at + 5;
                }
                None => at = opcode_at + 1,
            }
        }
    }
    found
}
