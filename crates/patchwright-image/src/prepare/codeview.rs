//! The record by which a COFF object tells its linker that pads make sense: `S_COMPILE3` with the HotPatch flag.
//!
//! lld pads functions of objects whose `.debug$S` has it among the first two records of a symbols subsection;
//! Microsoft's linker is documented to ask for objects compiled with `/hotpatch`, which set it.

use super::bytes::{put, u16_at, u32_at};
use super::model::Model;
use crate::image::Machine;

/// `CV_SIGNATURE_C13`.
const SIGNATURE: u32 = 4;
/// `DEBUG_S_SYMBOLS`.
const SYMBOLS: u32 = 0xf1;
const S_OBJNAME: u16 = 0x1101;
const S_COMPILE3: u16 = 0x113c;
/// In the word of language and flags.
const HOT_PATCH: u32 = 0x4000;

/// Where the flags of `S_COMPILE3` records stand.
fn flags(data: &[u8]) -> Vec<u64> {
    let mut found = Vec::new();
    if u32_at(data, 0) != Some(SIGNATURE) {
        return found;
    }
    let mut at = 4;
    while let (Some(kind), Some(len)) = (u32_at(data, at), u32_at(data, at + 4)) {
        let end = at + 8 + u64::from(len);
        let mut record = at + 8;
        while kind == SYMBOLS && record + 4 <= end {
            let (Some(len), Some(kind)) = (u16_at(data, record), u16_at(data, record + 2)) else { break };
            if kind == S_COMPILE3 && len >= 6 && u32_at(data, record + 4).is_some() {
                found.push(record + 4);
            }
            record += 2 + u64::from(len);
        }
        at = end.next_multiple_of(4);
    }
    found
}

/// Whether some record has the flag.
pub(crate) fn is_marked(model: &Model<'_>) -> bool {
    let sections = model.sections.iter().filter(|section| section.name == b".debug$S");
    let mut flags = sections.flat_map(|section| flags(&section.data).into_iter().map(|at| u32_at(&section.data, at)));
    flags.any(|flags| flags.is_some_and(|flags| flags & HOT_PATCH != 0))
}

/// Sets the flag; whether there was a record to set it in.
pub(crate) fn mark(model: &mut Model<'_>) -> bool {
    let mut any = false;
    for section in model.sections.iter_mut().filter(|section| section.name == b".debug$S") {
        for at in flags(&section.data) {
            let old = u32_at(&section.data, at).unwrap_or(0);
            let new = u64::from(old | HOT_PATCH);
            any |= old & HOT_PATCH != 0 || put(section.data.to_mut(), at, 4, new);
        }
    }
    any
}

/// A `.debug$S` that holds the two records that linkers look for and nothing else.
pub(crate) fn section(machine: Machine) -> Vec<u8> {
    let record = |kind: u16, body: &[u8]| {
        let mut body = body.to_vec();
        body.resize((body.len() + 4).next_multiple_of(4) - 4, 0);
        let len = u16::try_from(body.len() + 2).unwrap_or(u16::MAX);
        [&len.to_le_bytes()[..], &kind.to_le_bytes(), &body].concat()
    };
    // Signature and name of the object.
    let name = record(S_OBJNAME, &[0, 0, 0, 0, 0]);
    let cpu: u16 = match machine {
        Machine::X86_64 => 0xd0,
        _ => 0x06,
    };
    // Language: assembler, for what wrote the code is not known; then versions of a front and a back end.
    let compile = [&(0x03 | HOT_PATCH).to_le_bytes()[..], &cpu.to_le_bytes(), &[0; 16], b"patchwright\0"].concat();
    let symbols = [name, record(S_COMPILE3, &compile)].concat();
    let len = u32::try_from(symbols.len()).unwrap_or(0);
    [&SIGNATURE.to_le_bytes()[..], &SYMBOLS.to_le_bytes(), &len.to_le_bytes(), &symbols].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_made_section_has_the_mark() {
        let made = section(Machine::X86_64);
        let [at] = flags(&made)[..] else { panic!("{made:02x?}") };
        assert_eq!(u32_at(&made, at), Some(HOT_PATCH | 3));
        assert_eq!(made.len() % 4, 0);
        assert!(flags(&made[..made.len() - 40]).is_empty());
    }
}
