//! The export directory and its three tables.

use super::Work;
use super::hints::STRUCTURE;
use crate::pa19::pe32::directory;

pub(super) fn transform(work: &mut Work<'_>) {
    let Some(exports) = work.directory(directory::EXPORT) else { return };
    let start = exports.start;
    work.hints.set(start, exports.end - start, STRUCTURE);
    let field = |work: &Work<'_>, at: usize| work.u32_at(start + at).unwrap_or(0);
    let (functions, names) = (field(work, 20), field(work, 24));
    addresses(work, field(work, 28), functions);
    addresses(work, field(work, 32), names);
    if let Some(ordinals) = work.pe.offset(field(work, 36)) {
        let len = (names as usize).saturating_mul(2);
        if work.holds(ordinals, len) {
            work.hints.set(ordinals, len, STRUCTURE);
        }
    }
    for at in [12, 28, 32, 36] {
        work.map_at(start + at);
    }
}

fn addresses(work: &mut Work<'_>, rva: u32, count: u32) {
    let Some(start) = work.pe.offset(rva) else { return };
    let len = (count as usize).saturating_mul(4);
    if work.holds(start, len) {
        work.hints.set(start, len, STRUCTURE);
        for i in 0..count as usize {
            work.map_at(start + 4 * i);
        }
    }
}
