//! ARM64: words of four bytes.

use super::{Instr, Movable, What, signed};

pub(super) fn decode(word: u32, address: u64) -> Instr {
    let branch = |field: u32, bits: u32, call| {
        // The field counts instructions and has a sign.
        What::Branch { to: Some(address.wrapping_add_signed(signed(field, bits) << 2)), call }
    };
    let what = match word {
        // Zeros are what linkers fill with.
        0xd503_201f | 0 => What::Filler { breakpoint: false },
        // bti, bti c, bti j, bti jc, paciasp, pacibsp
        0xd503_241f | 0xd503_245f | 0xd503_249f | 0xd503_24df | 0xd503_233f | 0xd503_237f => What::LandingPad,
        // retaa, retab
        0xd65f_0bff | 0xd65f_0fff => What::Return,
        // brk
        _ if word & 0xffe0_001f == 0xd420_0000 => What::Filler { breakpoint: true },
        _ if word & 0xfc00_0000 == 0x1400_0000 => branch(word & 0x03ff_ffff, 26, false),
        _ if word & 0xfc00_0000 == 0x9400_0000 => branch(word & 0x03ff_ffff, 26, true),
        // b.cond, bc.cond; cbz, cbnz; tbz, tbnz
        _ if word & 0xff00_0000 == 0x5400_0000 || word & 0x7e00_0000 == 0x3400_0000 => {
            branch(word >> 5 & 0x7_ffff, 19, false)
        }
        _ if word & 0x7e00_0000 == 0x3600_0000 => branch(word >> 5 & 0x3fff, 14, false),
        // br, blr
        _ if word & 0xffff_fc1f == 0xd61f_0000 => What::Branch { to: None, call: false },
        _ if word & 0xffff_fc1f == 0xd63f_0000 => What::Branch { to: None, call: true },
        _ if word & 0xffff_fc1f == 0xd65f_0000 => What::Return,
        _ => What::Other,
    };
    Instr { len: 4, what }
}

/// B, BL, NOP, BRK, SVC, HVC, SMC, ISB: what the architecture lets a core run while another replaces it.
pub(super) fn is_replaceable(word: u32) -> bool {
    word & 0x7c00_0000 == 0x1400_0000
        || word == 0xd503_201f
        || word & 0xffe0_001f == 0xd420_0000
        || matches!(word & 0xffe0_001f, 0xd400_0001..=0xd400_0003)
        || word & 0xffff_f0ff == 0xd503_30df
}

pub(super) fn movable(word: u32) -> Movable {
    let relative_branch = matches!(decode(word, 0).what, What::Branch { to: Some(_), .. });
    // adr, adrp; ldr and prfm of a literal
    let relative_data = word & 0x1f00_0000 == 0x1000_0000 || word & 0x3b00_0000 == 0x1800_0000;
    if relative_branch || relative_data { Movable::NeedsFixup } else { Movable::Yes }
}

/// `adrp x16, page; ldr x16, [x16, #o]; br x16`, or with `add` in the middle: then the target is known.
pub(super) fn stub(bytes: &[u8], address: u64) -> Option<Option<u64>> {
    let (words, _) = bytes.get(..12)?.as_chunks::<4>();
    let &[adrp, second, br] = words else { return None };
    let [adrp, second, br] = [adrp, second, br].map(u32::from_le_bytes);
    if adrp & 0x9f00_001f != 0x9000_0010 || br != 0xd61f_0200 {
        return None;
    }
    if second & 0xffc0_03ff == 0xf940_0210 {
        return Some(None);
    }
    if second & 0xffc0_03ff != 0x9100_0210 {
        return None;
    }
    let page = signed((adrp >> 5 & 0x7_ffff) << 2 | adrp >> 29 & 3, 21) << 12;
    let target = (address & !0xfff).wrapping_add_signed(page).wrapping_add(u64::from(second >> 10 & 0xfff));
    Some(Some(target))
}

#[test]
fn stubs_of_linkers() {
    let bytes = |words: [u32; 3]| words.map(u32::to_le_bytes).concat();
    // adrp x16, +0x1000; add x16, x16, #0x10; br x16
    let far = bytes([0xb000_0010, 0x9100_4210, 0xd61f_0200]);
    assert_eq!(stub(&far, 0x1234), Some(Some(0x2010)));
    let import = bytes([0xb000_0010, 0xf940_0210, 0xd61f_0200]);
    assert_eq!(stub(&import, 0x1000), Some(None));
    assert_eq!(stub(&bytes([0xb000_0010, 0x9100_4210, 0xd65f_03c0]), 0), None);
    assert_eq!(stub(&far[..11], 0), None);
}
