//! 32-bit ARM: Thumb instructions of two or four bytes, and A32 words.

use super::{Instr, Movable, What, signed};

/// A Thumb instruction; `None` where `bytes` end before it does.
pub(super) fn thumb(bytes: &[u8], address: u64) -> Option<Instr> {
    let first = half(bytes, 0)?;
    if first >> 11 < 0b11101 {
        return Some(Instr { len: 2, what: narrow(first, address) });
    }
    Some(Instr { len: 4, what: wide(first, half(bytes, 2)?, address) })
}

fn half(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|half| u32::from(u16::from_le_bytes(*half)))
}

fn narrow(half: u32, address: u64) -> What {
    let branch =
        |offset: i64| What::Branch { to: Some(address.wrapping_add(4).wrapping_add_signed(offset)), call: false };
    match half {
        // nop; mov r8, r8; zeros
        0xbf00 | 0x46c0 | 0 => What::Filler { breakpoint: false },
        // bkpt; udf, which is what fills code for Windows
        0xbe00..=0xbeff | 0xde00..=0xdeff => What::Filler { breakpoint: true },
        0xd000..=0xddff => branch(signed(half & 0xff, 8) << 1),
        0xe000..=0xe7ff => branch(signed(half & 0x7ff, 11) << 1),
        // cbz, cbnz: forward only
        _ if half & 0xf500 == 0xb100 => branch(i64::from((half >> 9 & 1) << 6 | (half >> 3 & 0x1f) << 1)),
        0x4770 => What::Return,
        // pop {…, pc}
        0xbd00..=0xbdff => What::Return,
        // bx; mov pc; blx
        _ if half & 0xff87 == 0x4700 || half & 0xff87 == 0x4687 => What::Branch { to: None, call: false },
        _ if half & 0xff87 == 0x4780 => What::Branch { to: None, call: true },
        _ => What::Other,
    }
}

fn wide(first: u32, second: u32, address: u64) -> What {
    let next = address.wrapping_add(4);
    match (first, second) {
        (0xf3af, 0x8000) => return What::Filler { breakpoint: false },
        // bti, pacbti, pac
        (0xf3af, 0x800f | 0x800d | 0x801d) => return What::LandingPad,
        // pop.w {pc}; ldr pc, […]; ldmia sp!, {…, pc}; tbb, tbh
        (0xf85d, 0xfb04) => return What::Return,
        (0xf850..=0xf85f | 0xf8d0..=0xf8df, 0xf000..=0xffff) => return What::Branch { to: None, call: false },
        (0xe8bd, 0x8000..=0xffff) => return What::Return,
        (0xe8d0..=0xe8df, 0xf000..=0xf01f) => return What::Branch { to: None, call: false },
        _ => {}
    }
    if first & 0xf800 != 0xf000 || second & 0x8000 == 0 {
        return What::Other;
    }
    let sign = first >> 10 & 1;
    let (j1, j2) = (second >> 13 & 1, second >> 11 & 1);
    let low = second & 0x7ff;
    if second & 0x5000 == 0 {
        // A condition: 20 bits of halfwords. The values 14 and 15 are other instructions.
        if first >> 6 & 0xf >= 14 {
            return What::Other;
        }
        let field = sign << 19 | j2 << 18 | j1 << 17 | (first & 0x3f) << 11 | low;
        return What::Branch { to: Some(next.wrapping_add_signed(signed(field, 20) << 1)), call: false };
    }
    let field = sign << 23 | (1 ^ j1 ^ sign) << 22 | (1 ^ j2 ^ sign) << 21 | (first & 0x3ff) << 11 | low;
    let offset = signed(field, 24) << 1;
    match second & 0x5000 {
        0x1000 => What::Branch { to: Some(next.wrapping_add_signed(offset)), call: false },
        0x5000 => What::Branch { to: Some(next.wrapping_add_signed(offset)), call: true },
        // blx: the target is A32
        _ => What::Branch { to: Some((next & !3).wrapping_add_signed(offset)), call: true },
    }
}

/// An A32 word.
pub(super) fn a32(word: u32, address: u64) -> Instr {
    let unconditional = word >> 28 == 0xf;
    let what = match word {
        // nop; mov r0, r0; zeros
        0xe320_f000 | 0xe1a0_0000 | 0 => What::Filler { breakpoint: false },
        // bti, pac, pacbti are hints that no A32 core knows; mov pc, lr
        0xe1a0_f00e => What::Return,
        // bkpt, udf
        _ if word & 0xfff0_00f0 == 0xe120_0070 || word & 0xfff0_00f0 == 0xe7f0_00f0 => {
            What::Filler { breakpoint: true }
        }
        _ if word & 0x0e00_0000 == 0x0a00_0000 => {
            let to = address.wrapping_add(8).wrapping_add_signed(signed(word & 0x00ff_ffff, 24) << 2);
            // Without a condition bit 24 is half a word of distance: blx, a call.
            let to = if unconditional { to.wrapping_add(u64::from(word >> 24 & 1) << 1) } else { to };
            What::Branch { to: Some(to), call: unconditional || word & 1 << 24 != 0 }
        }
        _ if word & 0x0fff_ffff == 0x012f_ff1e => What::Return,
        _ if word & 0x0fff_fff0 == 0x012f_ff10 => What::Branch { to: None, call: false },
        _ if word & 0x0fff_fff0 == 0x012f_ff30 => What::Branch { to: None, call: true },
        // ldm sp!, {…, pc}; ldr pc, […]
        _ if word & 0x0fff_8000 == 0x08bd_8000 => What::Return,
        _ if !unconditional && word & 0x0c10_f000 == 0x0410_f000 => What::Branch { to: None, call: false },
        _ => What::Other,
    };
    Instr { len: 4, what }
}

/// B, NOP, BKPT and SVC of two bytes.
pub(super) fn is_replaceable_thumb(half: u16) -> bool {
    matches!(half, 0xbf00 | 0xbe00..=0xbeff | 0xdf00..=0xdfff | 0xe000..=0xe7ff)
}

/// B, BL, NOP, BKPT, SVC, HVC and SMC.
pub(super) fn is_replaceable_a32(word: u32) -> bool {
    word >> 28 != 0xf && word & 0x0e00_0000 == 0x0a00_0000
        || word == 0xe320_f000
        || word & 0x0f00_0000 == 0x0f00_0000 && word >> 28 != 0xf
        // bkpt, hvc, smc
        || word & 0xfff0_00f0 == 0xe120_0070
        || word & 0x0ff0_00f0 == 0x0140_0070
        || word & 0x0ff0_00f0 == 0x0160_0070
}

pub(super) fn movable_thumb(bytes: &[u8]) -> Movable {
    let (Some(instr), Some(first)) = (thumb(bytes, 0), half(bytes, 0)) else { return Movable::No };
    // it: says what the next four do
    if first & 0xff00 == 0xbf00 && first & 0xf != 0 {
        return Movable::No;
    }
    let relative_branch = matches!(instr.what, What::Branch { to: Some(_), .. });
    // ldr rt, [pc, #]; adr; their wide forms; tbb [pc]
    let relative_data = matches!(first, 0x4800..=0x4fff | 0xa000..=0xa7ff | 0xe8df)
        || matches!(first & 0xff7f, 0xf81f | 0xf83f | 0xf85f | 0xf91f | 0xf93f)
        || matches!(first & 0xfbff, 0xf20f | 0xf2af);
    if relative_branch || relative_data { Movable::NeedsFixup } else { Movable::Yes }
}

pub(super) fn movable_a32(word: u32) -> Movable {
    let relative_branch = matches!(a32(word, 0).what, What::Branch { to: Some(_), .. });
    // Data processing and loads whose base is the pc.
    let relative_data = word & 0x000f_0000 == 0x000f_0000 && word & 0x0c00_0000 <= 0x0400_0000 && word >> 28 != 0xf;
    if relative_branch || relative_data { Movable::NeedsFixup } else { Movable::Yes }
}
