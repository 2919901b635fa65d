//! Instructions: the first of a function, filler before it, branches within.
//!
//! One file per family: `x86` by `iced-x86`, `a64` by its fixed words, `arm` for Thumb and A32. What the audit needs of
//! an instruction is the same for all: its length, and [`What`] it is.

mod a64;
mod arm;
#[cfg(test)]
mod peers;
mod x86;

use crate::image::Machine;

pub(crate) use x86::{Hint, Reader as X86Reader};

/// An instruction set. A file for ARM may hold two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Isa {
    X86,
    X86_64,
    A64,
    A32,
    Thumb,
}

impl Isa {
    /// What every instruction's address is a multiple of.
    pub(crate) const fn step(self) -> u64 {
        match self {
            Self::X86 | Self::X86_64 => 1,
            Self::Thumb => 2,
            Self::A64 | Self::A32 => 4,
        }
    }

    /// Whether instructions have any length.
    pub(crate) const fn is_x86(self) -> bool {
        matches!(self, Self::X86 | Self::X86_64)
    }
}

/// The set of a machine; of ARM the one that nearly all of its code is in.
impl From<Machine> for Isa {
    fn from(machine: Machine) -> Self {
        match machine {
            Machine::X86 => Self::X86,
            Machine::X86_64 => Self::X86_64,
            Machine::Aarch64 => Self::A64,
            Machine::Arm => Self::Thumb,
        }
    }
}

/// What an instruction is to the audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Stands for nothing: nop, a breakpoint, zeros on ARM.
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

/// Whether an instruction does the same elsewhere, as a way back to the old function needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Movable {
    /// As it is.
    Yes,
    /// After its distance to what it names was corrected.
    NeedsFixup,
    /// Not at all.
    No,
}

/// The instruction at the start of `bytes`, which lie at `address`; `None` at the end.
pub(crate) fn decode(isa: impl Into<Isa>, bytes: &[u8], address: u64) -> Option<Instr> {
    match isa.into() {
        Isa::X86 => x86::decode(32, bytes, address),
        Isa::X86_64 => x86::decode(64, bytes, address),
        Isa::A64 => bytes.first_chunk().map(|word| a64::decode(u32::from_le_bytes(*word), address)),
        Isa::A32 => bytes.first_chunk().map(|word| arm::a32(u32::from_le_bytes(*word), address)),
        Isa::Thumb => arm::thumb(bytes, address),
    }
}

/// Whether a core may run the instruction while another replaces it. Always, where one store of two bytes is enough.
pub(crate) fn is_replaceable(isa: Isa, bytes: &[u8]) -> bool {
    match isa {
        Isa::X86 | Isa::X86_64 => true,
        Isa::A64 => bytes.first_chunk().is_some_and(|word| a64::is_replaceable(u32::from_le_bytes(*word))),
        Isa::A32 => bytes.first_chunk().is_some_and(|word| arm::is_replaceable_a32(u32::from_le_bytes(*word))),
        Isa::Thumb => bytes.first_chunk().is_some_and(|half| arm::is_replaceable_thumb(u16::from_le_bytes(*half))),
    }
}

/// Whether the instruction at the patch site can run elsewhere.
pub(crate) fn movable(isa: Isa, bytes: &[u8], address: u64) -> Movable {
    match isa {
        Isa::X86 => x86::movable(32, bytes, address),
        Isa::X86_64 => x86::movable(64, bytes, address),
        Isa::A64 => bytes.first_chunk().map_or(Movable::No, |word| a64::movable(u32::from_le_bytes(*word))),
        Isa::A32 => bytes.first_chunk().map_or(Movable::No, |word| arm::movable_a32(u32::from_le_bytes(*word))),
        Isa::Thumb => arm::movable_thumb(bytes),
    }
}

/// Where three instructions that are all of a function lead, if they are a stub of a linker on ARM64: an import, or a
/// veneer to what a branch does not reach.
pub(crate) fn a64_stub(bytes: &[u8], address: u64) -> Option<Option<u64>> {
    a64::stub(bytes, address)
}

/// The value of the low `bits` of `field`, which has a sign.
fn signed(field: u32, bits: u32) -> i64 {
    let shift = 64 - bits;
    (u64::from(field) << shift).cast_signed() >> shift
}

/// The length of the longest filler that ends at the end of `bytes`, the first of which lies at `address`.
///
/// A nop of many bytes must not be entered in its middle: only what decodes as filler, one after another up to the very
/// end, counts.
pub(crate) fn filler_before(isa: Isa, bytes: &[u8], address: u64, longest: usize) -> usize {
    let len = bytes.len();
    // `reaches[p]`: filler from `p` on ends at the end.
    let low = len - len.min(longest);
    let mut reaches = vec![false; len - low + 1];
    reaches[len - low] = true;
    let step = usize::try_from(isa.step()).unwrap_or(1);
    let (mut start, mut at) = (len, len);
    while at >= low + step {
        at -= step;
        // The longest instruction of x86; beyond that nothing can reach back any more.
        if start - at > 15 {
            break;
        }
        let plain = isa.is_x86() && matches!(bytes[at], 0x90 | 0xcc);
        let reach = if plain {
            Some(1)
        } else {
            decode(isa, &bytes[at..], address.wrapping_add(at as u64))
                .filter(|instr| matches!(instr.what, What::Filler { .. }))
                .map(|instr| instr.len)
        };
        let ends = reach.and_then(|reach| reaches.get(at - low + reach)).is_some_and(|ends| *ends);
        reaches[at - low] = ends;
        if ends {
            start = at;
        }
    }
    len - start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_what_they_are() {
        let filler = What::Filler { breakpoint: false };
        let trap = What::Filler { breakpoint: true };
        let to = |to| What::Branch { to: Some(to), call: false };
        let call = |to| What::Branch { to: Some(to), call: true };
        for (isa, bytes, len, what) in [
            (Isa::X86_64, &[0x90][..], 1, filler),
            (Isa::X86_64, &[0x66, 0x90], 2, filler),
            (Isa::X86_64, &[0xcc], 1, trap),
            (Isa::X86_64, &[0x0f, 0x1f, 0x44, 0, 0], 5, filler),
            (Isa::X86_64, &[0x2e, 0x66, 0x0f, 0x1f, 0x84, 0, 0, 2, 0, 0], 10, filler),
            (Isa::X86, &[0x8d, 0xb4, 0x26, 0, 0, 0, 0], 7, filler),
            (Isa::X86, &[0x8d, 0x76, 0], 3, filler),
            (Isa::X86, &[0x8d, 0x76, 1], 3, What::Other),
            (Isa::X86, &[0x8b, 0xff], 2, What::Other),
            (Isa::X86_64, &[0xf3, 0x0f, 0x1e, 0xfa], 4, What::LandingPad),
            (Isa::X86_64, &[0x75, 0xfe], 2, to(0x1000)),
            (Isa::X86_64, &[0xe8, 0, 0, 0, 0], 5, call(0x1005)),
            (Isa::X86_64, &[0xff, 0x25, 0, 0, 0, 0], 6, What::Branch { to: None, call: false }),
            (Isa::X86_64, &[0xc3], 1, What::Return),
            (Isa::X86_64, &[0x06], 1, What::Invalid),
            (Isa::A64, &[0x1f, 0x20, 0x03, 0xd5], 4, filler),
            (Isa::A64, &[0x00, 0x00, 0x20, 0xd4], 4, trap),
            (Isa::A64, &[0x5f, 0x24, 0x03, 0xd5], 4, What::LandingPad),
            (Isa::A64, &[0xff, 0xff, 0xff, 0x17], 4, to(0xffc)),
            (Isa::A64, &[0xe0, 0xff, 0xff, 0x54], 4, to(0xffc)),
            (Isa::A64, &[0xc0, 0x03, 0x5f, 0xd6], 4, What::Return),
            // What gas makes of: nop; nop.w; bkpt; beq .; b .; b.w .; bl .; blx .; beq.w .; cbz r0, .+4; bx lr
            (Isa::Thumb, &[0x00, 0xbf], 2, filler),
            (Isa::Thumb, &[0xaf, 0xf3, 0x00, 0x80], 4, filler),
            (Isa::Thumb, &[0x00, 0xbe], 2, trap),
            (Isa::Thumb, &[0xfe, 0xd0], 2, to(0x1000)),
            (Isa::Thumb, &[0xfe, 0xe7], 2, to(0x1000)),
            (Isa::Thumb, &[0xff, 0xf7, 0xfe, 0xbf], 4, to(0x1000)),
            (Isa::Thumb, &[0xff, 0xf7, 0xfe, 0xff], 4, call(0x1000)),
            (Isa::Thumb, &[0xff, 0xf7, 0xfe, 0xef], 4, call(0x1000)),
            (Isa::Thumb, &[0x3f, 0xf4, 0xfe, 0xaf], 4, to(0x1000)),
            (Isa::Thumb, &[0x00, 0xb1], 2, to(0x1004)),
            (Isa::Thumb, &[0x70, 0x47], 2, What::Return),
            (Isa::Thumb, &[0x10, 0xbd], 2, What::Return),
            (Isa::Thumb, &[0x10, 0xb5], 2, What::Other),
            // nop; b .; bl .; bx lr; pop {r4, pc}; push
            (Isa::A32, &[0x00, 0xf0, 0x20, 0xe3], 4, filler),
            (Isa::A32, &[0xfe, 0xff, 0xff, 0xea], 4, to(0x1000)),
            (Isa::A32, &[0xfe, 0xff, 0xff, 0xeb], 4, call(0x1000)),
            (Isa::A32, &[0x1e, 0xff, 0x2f, 0xe1], 4, What::Return),
            (Isa::A32, &[0x10, 0x80, 0xbd, 0xe8], 4, What::Return),
            (Isa::A32, &[0x10, 0x40, 0x2d, 0xe9], 4, What::Other),
        ] {
            assert_eq!(decode(isa, bytes, 0x1000), Some(Instr { len, what }), "{isa:?} {bytes:02x?}");
        }
        for isa in [Isa::A64, Isa::A32] {
            assert_eq!(decode(isa, &[0, 0, 0], 0), None);
        }
        assert_eq!(decode(Isa::Thumb, &[0], 0), None);
        assert_eq!(decode(Isa::Thumb, &[0xff, 0xf7], 0), None);
    }

    #[test]
    fn words_that_may_be_replaced() {
        for (isa, word, expect) in [
            (Isa::A64, 0xd503_201f_u32, true),
            (Isa::A64, 0x1400_0001, true),
            (Isa::A64, 0x9400_0001, true),
            (Isa::A64, 0xd420_0000, true),
            (Isa::A64, 0xd400_0001, true),
            (Isa::A64, 0xd503_3fdf, true),
            (Isa::A64, 0xd100_43ff, false),
            (Isa::A64, 0xd400_0000, false),
            (Isa::Thumb, 0xbf00, true),
            (Isa::Thumb, 0xe000, true),
            (Isa::Thumb, 0xb510, false),
            (Isa::A32, 0xe320_f000, true),
            (Isa::A32, 0xea00_0000, true),
            (Isa::A32, 0xe92d_4010, false),
        ] {
            assert_eq!(is_replaceable(isa, &word.to_le_bytes()), expect, "{isa:?} {word:08x}");
        }
    }

    #[test]
    fn instructions_that_can_move() {
        use Movable::{NeedsFixup, No, Yes};
        for (isa, bytes, expect) in [
            (Isa::X86_64, &[0x66, 0x90][..], Yes),
            (Isa::X86_64, &[0x48, 0x8d, 0x05, 0, 0, 0, 0], NeedsFixup),
            (Isa::X86_64, &[0xe8, 0, 0, 0, 0], NeedsFixup),
            (Isa::X86_64, &[0x06], No),
            (Isa::X86, &[0xa1, 0, 0, 0, 0], Yes),
            (Isa::A64, &[0x1f, 0x20, 0x03, 0xd5], Yes),
            (Isa::A64, &[0x00, 0x00, 0x00, 0x90], NeedsFixup),
            (Isa::A64, &[0x00, 0x00, 0x00, 0x58], NeedsFixup),
            (Isa::Thumb, &[0x00, 0x48], NeedsFixup),
            (Isa::Thumb, &[0x08, 0xbf], No),
            (Isa::Thumb, &[0x10, 0xb5], Yes),
            (Isa::A32, &[0x00, 0x00, 0x9f, 0xe5], NeedsFixup),
        ] {
            assert_eq!(movable(isa, bytes, 0x1000), expect, "{isa:?} {bytes:02x?}");
        }
    }

    #[test]
    fn filler_ends_at_the_entry() {
        for (isa, bytes, expect) in [
            (Isa::X86_64, &[0xc3, 0xcc, 0xcc][..], 2),
            (Isa::X86_64, &[0xc3, 0x0f, 0x1f, 0x44, 0, 0], 5),
            // Cut nops are none.
            (Isa::X86_64, &[0x0f, 0x1f, 0x44, 0], 0),
            (Isa::X86_64, &[0, 0, 0, 0x90, 0x90], 2),
            (Isa::X86_64, &[0, 0, 0], 0),
            (Isa::X86_64, &[0x2e, 0x66, 0x0f, 0x1f, 0x84, 0, 0, 2, 0, 0, 0x66, 0x0f, 0x1f, 0x44, 0, 0], 16),
            (Isa::A64, &[0xc0, 0x03, 0x5f, 0xd6, 0x1f, 0x20, 0x03, 0xd5, 0, 0, 0, 0], 8),
            (Isa::Thumb, &[0x70, 0x47, 0, 0xbf, 0, 0], 4),
            (Isa::Thumb, &[], 0),
        ] {
            assert_eq!(filler_before(isa, bytes, 0x1000, 120), expect, "{isa:?} {bytes:02x?}");
        }
        assert_eq!(filler_before(Isa::X86, &[0xcc; 300], 0, 120), 120);
    }
}
