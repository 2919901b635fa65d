//! Line tables. Nothing in them is encoded anew: where more code lies between two rows than before, an advance by the
//! difference is put before the second.

use super::{Cursor, Place, Work, to_uleb};

const ADVANCE_PC: u8 = 2;

/// What a unit's header says about its program.
struct Unit<'a> {
    end: u64,
    min_instruction: u64,
    line_range: u64,
    opcode_base: u8,
    /// Operands of standard opcodes, from opcode 1.
    operands: &'a [u8],
}

pub(super) fn edit(work: &mut Work<'_, '_>, section: usize) -> Option<()> {
    let data = work.data(section);
    let mut at = 0;
    while at < data.len() as u64 {
        let mut cursor = Cursor { data, at };
        let len = cursor.fixed(4).filter(|len| *len < 0xffff_fff0)?;
        let end = cursor.at.checked_add(len).filter(|end| *end <= data.len() as u64)?;
        let unit = header(&mut cursor, end)?;
        let grown = program(work, section, cursor, &unit)?;
        if grown > 0 {
            work.set(section, at, 4, len + grown)?;
        }
        at = end;
    }
    Some(())
}

/// Reads a header; the cursor is at the program then.
fn header<'a>(cursor: &mut Cursor<'a>, end: u64) -> Option<Unit<'a>> {
    let version = cursor.fixed(2).filter(|version| (2..=5).contains(version))?;
    if version >= 5 {
        // Size of addresses and of segments.
        cursor.skip(2)?;
    }
    let header_len = cursor.fixed(4)?;
    let program = cursor.at.checked_add(header_len).filter(|program| *program <= end)?;
    let min_instruction = cursor.fixed(1)?;
    if version >= 4 {
        // Operations per instruction: more than one on VLIW machines only.
        cursor.fixed(1).filter(|number| *number == 1)?;
    }
    // Whether rows begin as statements; the base of lines.
    cursor.skip(2)?;
    let line_range = cursor.fixed(1).filter(|range| *range > 0)?;
    let opcode_base = u8::try_from(cursor.fixed(1)?).ok().filter(|base| *base > 0)?;
    let start = usize::try_from(cursor.at).ok()?;
    let operands = cursor.data.get(start..start.checked_add(usize::from(opcode_base) - 1)?)?;
    cursor.at = program;
    Some(Unit { end, min_instruction: min_instruction.max(1), line_range, opcode_base, operands })
}

/// Where the program stands, and where it would stand now.
#[derive(Clone, Copy)]
struct Rows {
    section: usize,
    old: u64,
    /// The old and the new address of the row before, or of the start.
    before: (u64, u64),
}

impl Rows {
    fn at((section, old): Place, new: u64) -> Self {
        Self { section, old, before: (old, new) }
    }
}

/// Goes through a program; how many bytes it grows by.
fn program(work: &mut Work<'_, '_>, section: usize, mut cursor: Cursor<'_>, unit: &Unit<'_>) -> Option<u64> {
    let mut grown = 0;
    let mut rows: Option<Rows> = None;
    while cursor.at < unit.end {
        let at = cursor.at;
        let opcode = u8::try_from(cursor.fixed(1)?).ok()?;
        let mut row = false;
        let mut last = false;
        let mut advance = 0;
        match opcode {
            0 => {
                let len = cursor.uleb()?;
                let operands = cursor.at;
                let kind = if len > 0 { cursor.fixed(1)? } else { 0 };
                match kind {
                    1 => last = true,
                    2 => rows = work.place(section, cursor.at).map(|place| Rows::at(place, work.start(place))),
                    _ => {}
                }
                cursor.at = operands;
                cursor.skip(len)?;
            }
            _ if opcode >= unit.opcode_base => {
                advance = u64::from(opcode - unit.opcode_base) / unit.line_range * unit.min_instruction;
                row = true;
            }
            1 => row = true,
            ADVANCE_PC => advance = cursor.uleb()?.checked_mul(unit.min_instruction)?,
            8 => advance = u64::from(255 - unit.opcode_base) / unit.line_range * unit.min_instruction,
            9 => advance = cursor.fixed(2)?,
            _ => {
                for _ in 0..*unit.operands.get(usize::from(opcode) - 1)? {
                    cursor.uleb()?;
                }
            }
        }
        let Some(known) = &mut rows else { continue };
        known.old = known.old.checked_add(advance)?;
        if row || last {
            let place = (known.section, known.old);
            let new = if last { work.end(place) } else { work.start(place) };
            let more = new.checked_sub(known.before.1)?.checked_sub(known.old.checked_sub(known.before.0)?)?;
            known.before = (known.old, new);
            if more > 0 {
                (more % unit.min_instruction == 0).then_some(())?;
                let mut bytes = vec![ADVANCE_PC];
                bytes.extend(to_uleb(more / unit.min_instruction));
                grown += bytes.len() as u64;
                work.insert(section, at, bytes);
            }
        }
        if last {
            rows = None;
        }
    }
    Some(grown)
}
