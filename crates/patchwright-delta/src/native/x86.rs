//! The length of an x86 instruction, and where it holds a reference.
//!
//! One table-driven decoder for 32 and 64 bits. It knows lengths and the places of four-byte displacements and
//! immediates, nothing else; what it takes for an instruction is part of the format. A test compares it with an
//! independent decoder.

/// What a four-byte field of an instruction holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operand {
    /// A distance from the end of the instruction: a branch, or `[rip + n]`.
    Relative,
    /// A number that may be an address: `[n]`, `[reg + n]`, or an immediate.
    Absolute,
}

/// An instruction's length and its four-byte fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Instruction {
    pub(super) len: usize,
    /// The offsets of up to two fields in the instruction, in order.
    pub(super) operands: [Option<(usize, Operand)>; 2],
}

/// The longest instruction there is.
pub(super) const MAX_LEN: usize = 15;

/// The shape of what follows an opcode.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Shape {
    modrm: bool,
    immediate: Immediate,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Immediate {
    None,
    Byte,
    Two,
    Three,
    /// Two or four bytes, by operand size.
    Word,
    /// Two, four or eight bytes, by operand size.
    Full,
    /// A four-byte (in 32 bits, with an operand-size prefix, two-byte) distance.
    Branch,
    /// An address of the address size.
    Moffs,
    /// A far pointer.
    Far,
    /// The immediate of a group where it belongs to the first two members only.
    TestByte,
    TestWord,
}

const fn shape(modrm: bool, immediate: Immediate) -> Shape {
    Shape { modrm, immediate }
}

/// Decodes the instruction at the start of `code`; `None` when it is none, or is cut short.
pub(super) fn decode(code: &[u8], wide: bool) -> Option<Instruction> {
    let (mut at, mut operand_16, mut address_override, mut rex) = (0, false, false, 0u8);
    let opcode = loop {
        let byte = *code.get(at)?;
        at += 1;
        match byte {
            0x66 => operand_16 = true,
            0x67 => address_override = true,
            0x26 | 0x2E | 0x36 | 0x3E | 0x64 | 0x65 | 0xF0 | 0xF2 | 0xF3 => {}
            0x40..=0x4F if wide => {
                rex = byte;
                let byte = *code.get(at)?;
                // A prefix after REX makes the REX void; we start over from there.
                if matches!(
                    byte,
                    0x66 | 0x67 | 0x26 | 0x2E | 0x36 | 0x3E | 0x64 | 0x65 | 0xF0 | 0xF2 | 0xF3 | 0x40..=0x4F
                ) {
                    rex = 0;
                    continue;
                }
                at += 1;
                break byte;
            }
            _ => break byte,
        }
        if at >= MAX_LEN {
            return None;
        }
    };
    let mut registers_only = false;
    let shape = match opcode {
        0x0F => {
            let second = *code.get(at)?;
            at += 1;
            registers_only = matches!(second, 0x20..=0x23);
            match second {
                0x38 => {
                    at += 1;
                    shape(true, Immediate::None)
                }
                0x3A => {
                    at += 1;
                    shape(true, Immediate::Byte)
                }
                _ => two_byte(second),
            }
        }
        0xC4 | 0xC5 | 0x62 if wide || code.get(at)? & 0xC0 == 0xC0 => {
            let (map, skip) = match opcode {
                0xC5 => (1, 1),
                0xC4 => (code.get(at)? & 0x1F, 2),
                _ => (code.get(at)? & 7, 3),
            };
            at += skip;
            let opcode = *code.get(at)?;
            at += 1;
            match map {
                1 if opcode == 0x77 => shape(false, Immediate::None),
                1 => shape(true, two_byte(opcode).immediate),
                2 | 5 | 6 => shape(true, Immediate::None),
                3 => shape(true, Immediate::Byte),
                _ => return None,
            }
        }
        _ => one_byte(opcode, wide)?,
    };
    let mut operands = [None; 2];
    let mut reg = 0;
    let mut relative = None;
    if shape.modrm {
        let modrm = *code.get(at)?;
        at += 1;
        reg = modrm >> 3 & 7;
        // Control and debug registers move to and from registers only.
        let mode = if registers_only { 3 } else { modrm >> 6 };
        let rm = modrm & 7;
        if !wide && address_override {
            at += match (mode, rm) {
                (1, _) => 1,
                (2, _) | (0, 6) => 2,
                _ => 0,
            };
        } else {
            let mut displacement = match mode {
                1 => 1,
                2 => 4,
                _ => 0,
            };
            if mode != 3 && rm == 4 {
                let sib = *code.get(at)?;
                at += 1;
                if mode == 0 && sib & 7 == 5 {
                    displacement = 4;
                }
            } else if mode == 0 && rm == 5 {
                displacement = 4;
                if wide {
                    relative = Some(at);
                }
            }
            if displacement == 4 {
                let kind = if relative.is_some() { Operand::Relative } else { Operand::Absolute };
                operands[0] = Some((at, kind));
            }
            at += displacement;
        }
    }
    let word = if operand_16 && rex & 8 == 0 { 2 } else { 4 };
    let immediate = match shape.immediate {
        Immediate::None => 0,
        Immediate::Byte => 1,
        Immediate::Two => 2,
        Immediate::Three => 3,
        Immediate::TestByte => usize::from(reg < 2),
        Immediate::TestWord if reg >= 2 => 0,
        Immediate::Full if rex & 8 != 0 => 8,
        Immediate::Word | Immediate::TestWord | Immediate::Full => word,
        Immediate::Branch if wide => 4,
        Immediate::Branch => word,
        Immediate::Far => word + 2,
        Immediate::Moffs => match (wide, address_override) {
            (true, false) => 8,
            (false, true) => 2,
            _ => 4,
        },
    };
    if immediate == 4 && shape.immediate != Immediate::Far {
        let kind = if shape.immediate == Immediate::Branch { Operand::Relative } else { Operand::Absolute };
        let free = usize::from(operands[0].is_some());
        operands[free] = Some((at, kind));
    }
    at += immediate;
    (at <= MAX_LEN && at <= code.len()).then_some(Instruction { len: at, operands })
}

fn one_byte(opcode: u8, wide: bool) -> Option<Shape> {
    use Immediate as I;
    Some(match opcode {
        0x00..=0x3F => match opcode & 7 {
            0..=3 => shape(true, I::None),
            4 => shape(false, I::Byte),
            5 => shape(false, I::Word),
            _ if wide => return None,
            _ => shape(false, I::None),
        },
        0x40..=0x5F => shape(false, I::None),
        0x60 | 0x61 if wide => return None,
        0x62 | 0x63 => shape(true, I::None),
        0x68 => shape(false, I::Word),
        0x69 => shape(true, I::Word),
        0x6A => shape(false, I::Byte),
        0x6B => shape(true, I::Byte),
        0x70..=0x7F => shape(false, I::Byte),
        0x81 => shape(true, I::Word),
        0x82 if wide => return None,
        0x80 | 0x82 | 0x83 => shape(true, I::Byte),
        0x84..=0x8F => shape(true, I::None),
        0x9A | 0xEA if wide => return None,
        0x9A | 0xEA => shape(false, I::Far),
        0xA0..=0xA3 => shape(false, I::Moffs),
        0xA8 => shape(false, I::Byte),
        0xA9 => shape(false, I::Word),
        0xB0..=0xB7 => shape(false, I::Byte),
        0xB8..=0xBF => shape(false, I::Full),
        0xC0 | 0xC1 | 0xC6 => shape(true, I::Byte),
        0xC2 | 0xCA => shape(false, I::Two),
        0xC4 | 0xC5 => shape(true, I::None),
        0xC7 => shape(true, I::Word),
        0xC8 => shape(false, I::Three),
        0xCD => shape(false, I::Byte),
        0xD0..=0xD3 | 0xD8..=0xDF => shape(true, I::None),
        0xD4 | 0xD5 if wide => return None,
        0xD4 | 0xD5 => shape(false, I::Byte),
        0xE0..=0xE7 | 0xEB => shape(false, I::Byte),
        0xE8 | 0xE9 => shape(false, I::Branch),
        0xF6 => shape(true, I::TestByte),
        0xF7 => shape(true, I::TestWord),
        0xFE | 0xFF => shape(true, I::None),
        _ => shape(false, I::None),
    })
}

fn two_byte(opcode: u8) -> Shape {
    use Immediate as I;
    match opcode {
        0x04..=0x0C | 0x0E | 0x30..=0x37 | 0x77 | 0xA0..=0xA2 | 0xA8..=0xAA | 0xC8..=0xCF => shape(false, I::None),
        0x80..=0x8F => shape(false, I::Branch),
        0x0F | 0x70..=0x73 | 0xA4 | 0xAC | 0xBA | 0xC2 | 0xC4..=0xC6 => shape(true, I::Byte),
        _ => shape(true, I::None),
    }
}

#[cfg(test)]
mod tests {
    use iced_x86::{Decoder, DecoderOptions, Instruction as Iced, Mnemonic, OpKind};

    use super::*;

    /// What an independent decoder says, in our terms; `None` for what it takes for no instruction.
    fn iced(code: &[u8], wide: bool) -> Option<(Iced, Instruction)> {
        let mut decoder = Decoder::new(if wide { 64 } else { 32 }, code, DecoderOptions::NONE);
        let decoded = decoder.decode();
        if decoded.is_invalid() {
            return None;
        }
        let offsets = decoder.get_constant_offsets(&decoded);
        let mut operands = [None; 2];
        let mut free = 0;
        if offsets.has_displacement() && offsets.displacement_size() == 4 && decoded.memory_displ_size() >= 4 {
            let kind = if decoded.is_ip_rel_memory_operand() { Operand::Relative } else { Operand::Absolute };
            operands[free] = Some((offsets.displacement_offset(), kind));
            free += 1;
        }
        // Far pointers are no fields of ours.
        let far = matches!(decoded.op0_kind(), OpKind::FarBranch16 | OpKind::FarBranch32);
        if offsets.has_immediate() && offsets.immediate_size() == 4 && !far {
            // `XBEGIN` has the shape of a move and is taken for one.
            let near = matches!(decoded.op0_kind(), OpKind::NearBranch32 | OpKind::NearBranch64)
                && decoded.mnemonic() != Mnemonic::Xbegin;
            operands[free] =
                Some((offsets.immediate_offset(), if near { Operand::Relative } else { Operand::Absolute }));
        }
        Some((decoded, Instruction { len: decoded.len(), operands }))
    }

    #[test]
    fn lengths_and_fields_are_those_of_another_decoder() {
        let mut state = 7u64;
        let mut wrong = Vec::new();
        let mut compared = 0;
        for number in 0..400_000u32 {
            let mut code = [0u8; 16];
            for byte in &mut code {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                *byte = state.to_le_bytes()[6];
            }
            // Random bytes are rarely what compilers write: every opcode comes up, with and without its usual prefixes.
            let [opcode, map, ..] = number.to_le_bytes();
            let [_, one, two, three, ..] = code;
            let start: &[u8] = match map % 8 {
                0 => &[opcode],
                1 => &[0x0F, opcode],
                2 => &[0x48, opcode],
                3 => &[0x66, opcode],
                4 => &[0xC5, one, opcode],
                5 => &[0xC4, 0xE0 | (one % 4), two, opcode],
                6 => &[0x62, 0xF0 | (one % 4), two | 4, three, opcode],
                _ => &[0x0F, if one & 1 == 0 { 0x38 } else { 0x3A }, opcode, three],
            };
            code[..start.len()].copy_from_slice(start);
            for wide in [true, false] {
                let Some((decoded, expected)) = iced(&code, wide) else { continue };
                compared += 1;
                let found = decode(&code, wide);
                if found != Some(expected) {
                    wrong.push(format!("{wide} {code:02x?} {:?}: {found:?} not {expected:?}", decoded.code()));
                }
            }
        }
        assert!(compared > 200_000, "{compared} instructions compared");
        wrong.sort();
        assert!(
            wrong.is_empty(),
            "{} of {compared}, such as\n{}",
            wrong.len(),
            wrong.iter().step_by(wrong.len() / 40 + 1).cloned().collect::<Vec<_>>().join("\n")
        );
    }
}
