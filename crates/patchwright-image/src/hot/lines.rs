//! Line numbers in code, found by the debug information.
//!
//! Programs have assertions of their own, which pass `__LINE__` to functions that only they know. A constant that a function
//! passes on is taken for a line number if it is the number of the very line that its instruction belongs to, in both
//! builds. Functions that differ in nothing else need no patch; among them are event loops, which cannot get one.

use std::collections::{BTreeMap, BTreeSet};

use iced_x86::{Code, Decoder, DecoderOptions, Instruction, Register};
use object::read::File;

use super::debug::dwarf;
use super::likeness::Side;

/// Registers in which functions get integers.
const ARGUMENTS: [Register; 6] =
    [Register::EDI, Register::ESI, Register::EDX, Register::ECX, Register::R8D, Register::R9D];

/// A constant that may be a line number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Constant {
    function: usize,
    /// Offset of its four bytes in the function.
    at: u64,
    value: u64,
}

/// Constants by the address of their instruction.
type Constants = BTreeMap<u64, Constant>;

/// Marks line numbers in the functions of both builds that have as many bytes, but not the same.
pub(super) fn mark<'data>(old: (&mut Side<'data>, &[u8]), new: (&mut Side<'data>, &[u8])) {
    let (olds, news) = differing(old.0, new.0);
    for ((side, bytes), functions) in [(old, olds), (new, news)] {
        let constants = constants(side, &functions);
        if constants.is_empty() {
            continue;
        }
        for found in line_numbers(bytes, &constants).unwrap_or_default() {
            if let Some(piece) = side.pieces.get_mut(found.function) {
                piece.lines.push(found.at);
            }
        }
    }
}

/// Functions with a namesake in the other build that is as long, and not the same to the byte.
fn differing(old: &Side<'_>, new: &Side<'_>) -> (BTreeSet<usize>, BTreeSet<usize>) {
    let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, func) in old.program.functions.iter().enumerate() {
        func.names.iter().for_each(|name| by_name.entry(name).or_default().push(index));
    }
    let (mut olds, mut news) = (BTreeSet::new(), BTreeSet::new());
    for (index, func) in new.program.functions.iter().enumerate() {
        let Some(piece) = new.pieces.get(index) else { continue };
        for twin in func.names.iter().filter_map(|name| by_name.get(name.as_str())).flatten() {
            let other = old.pieces.get(*twin);
            if other.is_some_and(|other| other.bytes.len() == piece.bytes.len() && other.bytes != piece.bytes) {
                olds.insert(*twin);
                news.insert(index);
            }
        }
    }
    (olds, news)
}

/// What functions put into registers for a call.
fn constants(side: &Side<'_>, functions: &BTreeSet<usize>) -> Constants {
    let mut found = Constants::new();
    for index in functions {
        let (Some(func), Some(piece)) = (side.program.functions.get(*index), side.pieces.get(*index)) else { continue };
        let mut decoder = Decoder::with_ip(64, &piece.bytes, func.address, DecoderOptions::NONE);
        let mut instr = Instruction::default();
        while decoder.can_decode() {
            decoder.decode_out(&mut instr);
            if instr.code() != Code::Mov_r32_imm32 || !ARGUMENTS.contains(&instr.op0_register()) {
                continue;
            }
            let at = instr.ip() - func.address + decoder.get_constant_offsets(&instr).immediate_offset() as u64;
            // References are blank in the bytes, and no line is number 0.
            if instr.immediate32() != 0 {
                found.insert(instr.ip(), Constant { function: *index, at, value: u64::from(instr.immediate32()) });
            }
        }
    }
    found
}

/// The constants that are the line of their instruction; nothing if there is no debug information.
fn line_numbers(bytes: &[u8], constants: &Constants) -> Option<Vec<Constant>> {
    let file = File::parse(bytes).ok()?;
    let dwarf = dwarf(&file)?;
    let mut found = Vec::new();
    let mut units = dwarf.units();
    while let Ok(Some(header)) = units.next() {
        let Ok(unit) = dwarf.unit(header) else { continue };
        let Some(program) = unit.line_program.clone() else { continue };
        let mut rows = program.rows();
        let mut before: Option<(u64, u64)> = None;
        // What a damaged table holds up to the damage still counts.
        while let Ok(Some((_, row))) = rows.next_row() {
            // A row holds up to the next one.
            if let Some((address, line)) = before
                && address < row.address()
            {
                found.extend(constants.range(address..row.address()).map(|(_, it)| *it).filter(|it| it.value == line));
            }
            let line = row.line().map_or(0, |line| line.get());
            before = (!row.end_sequence()).then_some((row.address(), line));
        }
    }
    Some(found)
}
