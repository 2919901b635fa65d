//! Instructions: the first of a function, filler before it, branches within. x86 by `iced-x86`, ARM64 by its fixed words.

use iced_x86::{Code, Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

use crate::image::Machine;

/// A branch with its target in the instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Branch {
    pub(crate) to: u64,
    pub(crate) from: u64,
    /// Whether it comes back.
    pub(crate) call: bool,
}

/// What an instruction is to the audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Stands for nothing: nop, or int3 on x86.
    Filler { breakpoint: bool },
    /// `endbr`, `bti`, `paciasp`: must stay the first instruction.
    LandingPad,
    /// A branch, with its target where it is in the instruction.
    Branch { to: Option<u64>, call: bool },
    /// `ret`.
    Return,
    /// No instruction of this machine.
    Invalid,
    /// Everything else.
    Other,
}

/// An instruction: its length and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instr {
    pub(crate) len: usize,
    pub(crate) what: What,
}

/// The instruction at the start of `bytes`, which lie at `address`; `None` at the end.
pub(crate) fn decode(machine: Machine, bytes: &[u8], address: u64) -> Option<Instr> {
    match machine {
        Machine::X86 => x86(32, bytes, address),
        Machine::X86_64 => x86(64, bytes, address),
        Machine::Aarch64 => bytes.first_chunk().map(|word| a64(u32::from_le_bytes(*word), address)),
    }
}

fn x86(bits: u32, bytes: &[u8], address: u64) -> Option<Instr> {
    if bytes.is_empty() {
        return None;
    }
    let instr = Decoder::with_ip(bits, bytes, address, DecoderOptions::NONE).decode();
    if instr.is_invalid() {
        return Some(Instr { len: 1, what: What::Invalid });
    }
    let what = match instr.mnemonic() {
        Mnemonic::Nop => What::Filler { breakpoint: false },
        Mnemonic::Int3 => What::Filler { breakpoint: true },
        Mnemonic::Lea if does_nothing(&instr) => What::Filler { breakpoint: false },
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
    Some(Instr { len: instr.len(), what })
}

/// `lea reg, [reg+0]`: how assemblers fill code for old 32-bit machines.
fn does_nothing(instr: &Instruction) -> bool {
    instr.code() == Code::Lea_r32_m
        && instr.op0_register() == instr.memory_base()
        && instr.memory_index() == Register::None
        && instr.memory_displacement64() == 0
}

fn a64(word: u32, address: u64) -> Instr {
    let branch = |field: u32, bits: u32, call| {
        // The field counts instructions and has a sign.
        let shift = 64 - bits;
        let offset = (u64::from(field) << shift).cast_signed() >> shift << 2;
        What::Branch { to: Some(address.wrapping_add_signed(offset)), call }
    };
    let what = match word {
        0xd503_201f | 0 => What::Filler { breakpoint: false },
        // bti, bti c, bti j, bti jc, paciasp, pacibsp
        0xd503_241f | 0xd503_245f | 0xd503_249f | 0xd503_24df | 0xd503_233f | 0xd503_237f => What::LandingPad,
        _ if word & 0xfc00_0000 == 0x1400_0000 => branch(word & 0x03ff_ffff, 26, false),
        _ if word & 0xfc00_0000 == 0x9400_0000 => branch(word & 0x03ff_ffff, 26, true),
        // b.cond, bc.cond; cbz, cbnz; tbz, tbnz
        _ if word & 0xff00_0000 == 0x5400_0000 || word & 0x7e00_0000 == 0x3400_0000 => {
            branch(word >> 5 & 0x7_ffff, 19, false)
        }
        _ if word & 0x7e00_0000 == 0x3600_0000 => branch(word >> 5 & 0x3fff, 14, false),
        _ if word & 0xffff_fc1f == 0xd65f_0000 => What::Return,
        _ => What::Other,
    };
    Instr { len: 4, what }
}

/// Whether an ARM64 core may run this word while another replaces it: B, BL, NOP, BRK, SVC, HVC, SMC, ISB.
pub(crate) fn a64_replaceable(word: u32) -> bool {
    word & 0x7c00_0000 == 0x1400_0000
        || word == 0xd503_201f
        || word & 0xffe0_001f == 0xd420_0000
        || matches!(word & 0xffe0_001f, 0xd400_0001..=0xd400_0003)
        || word & 0xffff_f0ff == 0xd503_30df
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_what_they_are() {
        let filler = What::Filler { breakpoint: false };
        for (machine, bytes, len, what) in [
            (Machine::X86_64, &[0x90][..], 1, filler),
            (Machine::X86_64, &[0x66, 0x90], 2, filler),
            (Machine::X86_64, &[0xcc], 1, What::Filler { breakpoint: true }),
            (Machine::X86_64, &[0x0f, 0x1f, 0x44, 0, 0], 5, filler),
            (Machine::X86_64, &[0x2e, 0x66, 0x0f, 0x1f, 0x84, 0, 0, 2, 0, 0], 10, filler),
            (Machine::X86, &[0x8d, 0xb4, 0x26, 0, 0, 0, 0], 7, filler),
            (Machine::X86, &[0x8d, 0x76, 0], 3, filler),
            (Machine::X86, &[0x8d, 0x76, 1], 3, What::Other),
            (Machine::X86, &[0x8b, 0xff], 2, What::Other),
            (Machine::X86_64, &[0xf3, 0x0f, 0x1e, 0xfa], 4, What::LandingPad),
            (Machine::X86_64, &[0x75, 0xfe], 2, What::Branch { to: Some(0x1000), call: false }),
            (Machine::X86_64, &[0xe8, 0, 0, 0, 0], 5, What::Branch { to: Some(0x1005), call: true }),
            (Machine::X86_64, &[0xff, 0x25, 0, 0, 0, 0], 6, What::Branch { to: None, call: false }),
            (Machine::X86_64, &[0xc3], 1, What::Return),
            (Machine::X86_64, &[0x06], 1, What::Invalid),
            (Machine::Aarch64, &[0x1f, 0x20, 0x03, 0xd5], 4, filler),
            (Machine::Aarch64, &[0x5f, 0x24, 0x03, 0xd5], 4, What::LandingPad),
            (Machine::Aarch64, &[0xff, 0xff, 0xff, 0x17], 4, What::Branch { to: Some(0xffc), call: false }),
            (Machine::Aarch64, &[0xe0, 0xff, 0xff, 0x54], 4, What::Branch { to: Some(0xffc), call: false }),
            (Machine::Aarch64, &[0xc0, 0x03, 0x5f, 0xd6], 4, What::Return),
        ] {
            assert_eq!(decode(machine, bytes, 0x1000), Some(Instr { len, what }), "{bytes:02x?}");
        }
        assert_eq!(decode(Machine::Aarch64, &[0, 0, 0], 0), None);
    }

    #[test]
    fn words_that_may_be_replaced() {
        for (word, expect) in [
            (0xd503_201f, true),
            (0x1400_0001, true),
            (0x9400_0001, true),
            (0xd420_0000, true),
            (0xd400_0001, true),
            (0xd503_3fdf, true),
            (0xd10043ff, false),
            (0xd400_0000, false),
        ] {
            assert_eq!(a64_replaceable(word), expect, "{word:08x}");
        }
    }
}
