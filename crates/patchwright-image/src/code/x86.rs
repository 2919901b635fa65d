//! x86 and x64, decoded by `iced-x86`.

use iced_x86::{Code, Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

use super::{Instr, Movable, What};

pub(super) fn decode(bits: u32, bytes: &[u8], address: u64) -> Option<Instr> {
    if bytes.is_empty() {
        return None;
    }
    let instr = Decoder::with_ip(bits, bytes, address, DecoderOptions::NONE).decode();
    Some(classify(&instr))
}

fn classify(instr: &Instruction) -> Instr {
    if instr.is_invalid() {
        return Instr { len: 1, what: What::Invalid };
    }
    let what = match instr.mnemonic() {
        Mnemonic::Nop => What::Filler { breakpoint: false },
        Mnemonic::Int3 => What::Filler { breakpoint: true },
        Mnemonic::Lea if does_nothing(instr) => What::Filler { breakpoint: false },
        Mnemonic::Endbr32 | Mnemonic::Endbr64 => What::LandingPad,
        Mnemonic::Ret | Mnemonic::Retf => What::Return,
        mnemonic => match instr.op0_kind() {
            OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64 => {
                What::Branch { to: Some(instr.near_branch_target()), call: mnemonic == Mnemonic::Call }
            }
            _ if matches!(mnemonic, Mnemonic::Jmp | Mnemonic::Call) => {
                What::Branch { to: None, call: mnemonic == Mnemonic::Call }
            }
            _ => What::Other,
        },
    };
    Instr { len: instr.len(), what }
}

/// `lea reg, [reg+0]`: how assemblers fill code for old 32-bit machines.
fn does_nothing(instr: &Instruction) -> bool {
    instr.code() == Code::Lea_r32_m
        && instr.op0_register() == instr.memory_base()
        && instr.memory_index() == Register::None
        && instr.memory_displacement64() == 0
}

pub(super) fn movable(bits: u32, bytes: &[u8], address: u64) -> Movable {
    let instr = Decoder::with_ip(bits, bytes, address, DecoderOptions::NONE).decode();
    let relative_branch = matches!(classify(&instr).what, What::Branch { to: Some(_), .. });
    if instr.is_invalid() {
        Movable::No
    } else if relative_branch || instr.is_ip_rel_memory_operand() {
        Movable::NeedsFixup
    } else {
        Movable::Yes
    }
}

/// What an instruction tells of a table of jump targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hint {
    /// Nothing.
    None,
    /// The address of something near: `lea reg, [rip+d]`.
    Address(u64),
    /// A load of four or eight bytes from `displacement + index * scale`, with or without a base register.
    Indexed { displacement: u64, scale: u32, based: bool },
    /// Something is compared with this number, perhaps an index.
    Compared(u64),
    /// A byte or halfword is looked up at `displacement + index`: the first of two tables.
    ByteIndexed(u64),
}

/// Instructions one after another, much faster than one by one.
pub(crate) struct Reader<'a> {
    decoder: Decoder<'a>,
    instr: Instruction,
    start: u64,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bits: u32, bytes: &'a [u8], address: u64) -> Self {
        let decoder = Decoder::with_ip(bits, bytes, address, DecoderOptions::NONE);
        Self { decoder, instr: Instruction::default(), start: address }
    }

    /// The next instruction.
    pub(crate) fn read(&mut self) -> Option<Instr> {
        if !self.decoder.can_decode() {
            return None;
        }
        let at = self.decoder.position();
        self.decoder.decode_out(&mut self.instr);
        let instr = classify(&self.instr);
        if instr.what == What::Invalid {
            self.go(at + 1);
        }
        Some(instr)
    }

    /// Goes on at an offset from the start.
    pub(crate) fn go(&mut self, offset: usize) {
        if self.decoder.set_position(offset).is_ok() {
            self.decoder.set_ip(self.start.wrapping_add(offset as u64));
        }
    }

    /// Whether the instruction that was read last is a jump without a condition.
    pub(crate) fn is_jump(&self) -> bool {
        self.instr.mnemonic() == Mnemonic::Jmp
    }

    /// What the instruction that was read last tells of a table of jump targets.
    pub(crate) fn hint(&self) -> Hint {
        let instr = &self.instr;
        match instr.mnemonic() {
            Mnemonic::Cmp
                if matches!(
                    instr.op1_kind(),
                    OpKind::Immediate8
                        | OpKind::Immediate32
                        | OpKind::Immediate8to32
                        | OpKind::Immediate8to64
                        | OpKind::Immediate32to64
                        | OpKind::Immediate8to16
                        | OpKind::Immediate16
                ) =>
            {
                Hint::Compared(instr.immediate(1) & 0xffff_ffff)
            }
            Mnemonic::Lea if instr.is_ip_rel_memory_operand() => Hint::Address(instr.memory_displacement64()),
            Mnemonic::Mov | Mnemonic::Movsxd | Mnemonic::Jmp | Mnemonic::Add
                if instr.memory_index() != Register::None && instr.memory_index_scale() >= 4 =>
            {
                Hint::Indexed {
                    displacement: instr.memory_displacement64(),
                    scale: instr.memory_index_scale(),
                    based: instr.memory_base() != Register::None,
                }
            }
            Mnemonic::Movzx
                if instr.op1_kind() == OpKind::Memory
                    && instr.memory_displ_size() >= 4
                    && !instr.is_ip_rel_memory_operand() =>
            {
                Hint::ByteIndexed(instr.memory_displacement64())
            }
            _ => Hint::None,
        }
    }
}
