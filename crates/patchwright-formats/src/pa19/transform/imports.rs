//! Import descriptors, their thunks and the names these lead to.

use super::Work;
use super::hints::STRUCTURE;
use crate::pa19::budget::Budget;
use crate::pa19::pe32::directory;

/// Set in a thunk that imports by number.
const ORDINAL: u32 = 0x8000_0000;

pub(super) fn transform(work: &mut Work<'_>) {
    let Some(imports) = work.directory(directory::IMPORT) else { return };
    work.hints.set(imports.start, imports.end - imports.start, STRUCTURE);
    let mut budget = Budget::new(work.image.len());
    let mut at = imports.start;
    while work.holds(at, 20) {
        let field = |work: &Work<'_>, index: usize| work.u32_at(at + 4 * index).unwrap_or(0);
        let (lookup, time, addresses) = (field(work, 0), field(work, 1), field(work, 4));
        if lookup == 0 {
            break;
        }
        if time == 0 {
            thunks(work, lookup, &mut budget);
            thunks(work, addresses, &mut budget);
        }
        for index in [3, 0, 4] {
            work.map_at(at + 4 * index);
        }
        at += 20;
    }
}

/// Descriptors may share their thunks, and thunks their names; the budget is for all of them.
fn thunks(work: &mut Work<'_>, rva: u32, budget: &mut Budget) {
    let Some(start) = work.pe.offset(rva) else { return };
    let mut at = start;
    while let Some(thunk) = work.u32_at(at)
        && thunk != 0
        && budget.spend(4)
    {
        if thunk & ORDINAL == 0 {
            if let Some(name) = work.pe.offset(thunk).filter(|name| *name < work.image.len()) {
                let text = work.image[name..].iter().skip(2).take(budget.left());
                let len = text.take_while(|byte| **byte != 0).count();
                budget.spend(len);
                work.hints.set(name, len + 4, STRUCTURE);
            }
            work.map_at(at);
        }
        at += 4;
    }
    work.hints.set(start, at.saturating_sub(start), STRUCTURE);
}
