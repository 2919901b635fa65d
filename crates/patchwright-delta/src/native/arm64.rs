//! References in AArch64 code: branches, literals, and pairs of `ADRP` and the instruction that adds the low bits.

use super::code::{Form, Reference, narrow};

/// How far behind an `ADRP` its partner may be, in instructions.
const PAIR_DISTANCE: usize = 64;

/// Lists the references of a stretch of code that starts at `from` in the file and at `address` in memory.
pub(super) fn scan(code: &[u8], from: u32, address: u32, steps: &mut [u8], references: &mut Vec<Reference>) {
    // Instructions are aligned in memory.
    let skip = address.wrapping_neg() % 4;
    // For each register, the ADRP that set it last: which reference, where, and the page.
    let mut pages: [Option<(usize, usize, u32)>; 32] = [None; 32];
    let (words, _) = code.get(usize::from(u8::try_from(skip).unwrap_or(0))..).unwrap_or_default().as_chunks::<4>();
    for (number, bytes) in words.iter().enumerate() {
        let word = u32::from_le_bytes(*bytes);
        let place = narrow(number * 4) + skip;
        let here = address.wrapping_add(place);
        let start = usize::try_from(place).expect("inside a page");
        for (step, count) in steps[start..start + 4].iter_mut().zip(1..) {
            *step = count;
        }
        let at = from + place;
        if word & 0x7C00_0000 == 0x1400_0000 {
            let target = here.wrapping_add(signed(word, 26) << 2);
            references.push(Reference { at, form: Form::Branch, target });
        } else if word & 0x1F00_0000 == 0x1000_0000 {
            let distance = adr_bits(word);
            if word >> 31 == 0 {
                references.push(Reference { at, form: Form::Adr, target: here.wrapping_add(distance) });
            } else {
                let page = (here & !0xFFF).wrapping_add(distance << 12);
                pages[register(word)] = Some((references.len(), number, page));
                references.push(Reference { at, form: Form::Adrp, target: page });
            }
        } else if word & 0x3B00_0000 == 0x1800_0000 {
            let target = here.wrapping_add(signed(word >> 5, 19) << 2);
            references.push(Reference { at, form: Form::Literal, target });
        } else if let Some(shift) = low_shift(word) {
            let Some((adrp, set, page)) = pages[register(word >> 5)] else { continue };
            if number - set > PAIR_DISTANCE {
                continue;
            }
            let target = page.wrapping_add((word >> 10 & 0xFFF) << shift);
            references.push(Reference { at, form: Form::Low { shift }, target });
            if let Some(first) = references.get_mut(adrp).filter(|first| first.target == page) {
                first.target = target;
            }
        }
    }
}

/// By how much the twelve bits of an `ADD`, a load or a store are shifted; `None` for everything else.
fn low_shift(word: u32) -> Option<u8> {
    if word & 0xFFC0_0000 == 0x9100_0000 {
        return Some(0);
    }
    if word & 0x3B00_0000 != 0x3900_0000 {
        return None;
    }
    let size = u8::try_from(word >> 30).expect("two bits");
    // Vector registers of sixteen bytes have size 0 and the high bit of the operation set.
    let quad = word & 0x0480_0000 == 0x0480_0000 && size == 0;
    Some(if quad { 4 } else { size })
}

/// `word`, changed so that it refers to `target` from `address`.
pub(super) fn point(form: Form, word: u32, target: u32, address: u32) -> u32 {
    let distance = target.wrapping_sub(address);
    match form {
        Form::Branch => (word & 0xFC00_0000) | (distance >> 2 & 0x03FF_FFFF),
        Form::Literal => (word & 0xFF00_001F) | (distance >> 2 & 0x7_FFFF) << 5,
        Form::Adr => with_adr_bits(word, distance),
        Form::Adrp => with_adr_bits(word, (target >> 12).wrapping_sub(address >> 12)),
        Form::Low { shift } => (word & 0xFFC0_03FF) | ((target & 0xFFF) >> shift) << 10,
        Form::Relative { .. } | Form::Absolute => word,
    }
}

/// The address that `word` refers to; what it does not hold of it is that of `target`.
pub(super) fn goal(form: Form, word: u32, target: u32, address: u32) -> u32 {
    match form {
        Form::Branch => address.wrapping_add(signed(word, 26) << 2),
        Form::Literal => address.wrapping_add(signed(word >> 5, 19) << 2),
        Form::Adr => address.wrapping_add(adr_bits(word)),
        Form::Adrp => (address & !0xFFF).wrapping_add(adr_bits(word) << 12) | (target & 0xFFF),
        Form::Low { shift } => {
            (target & !0xFFF) | ((word >> 10 & 0xFFF) << shift & 0xFFF) | (target & ((1 << shift) - 1))
        }
        Form::Relative { .. } | Form::Absolute => target,
    }
}

fn adr_bits(word: u32) -> u32 {
    signed((word >> 29 & 3) | (word >> 5 & 0x7_FFFF) << 2, 21)
}

fn with_adr_bits(word: u32, value: u32) -> u32 {
    (word & 0x9F00_001F) | (value & 3) << 29 | (value >> 2 & 0x7_FFFF) << 5
}

fn register(word: u32) -> usize {
    usize::try_from(word & 31).expect("five bits")
}

/// The low `bits` of a word as a signed number.
fn signed(word: u32, bits: u32) -> u32 {
    let unused = 32 - bits;
    ((word << unused).cast_signed() >> unused).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_pointed_elsewhere_and_found_there() {
        let here = 0x12_3458u32;
        for (form, word) in [
            (Form::Branch, 0x9400_0010u32),
            (Form::Literal, 0x5800_0041),
            (Form::Adr, 0x1000_0023),
            (Form::Adrp, 0x9000_0045),
            (Form::Low { shift: 0 }, 0x9100_0021),
            (Form::Low { shift: 3 }, 0xF940_0021),
            (Form::Low { shift: 4 }, 0x3DC0_0021),
        ] {
            for target in [here + 0x1_0000, here - 0x8000, 0x13_0FF0, here] {
                let moved = point(form, word, target, here);
                assert_eq!(goal(form, moved, target, here), target, "{form:?} {word:08x} to {target:x}");
                assert_eq!(point(form, moved, target, here), moved, "{form:?} twice");
            }
        }
    }

    #[test]
    fn pairs_refer_to_one_address() {
        // adrp x1, 3 pages on; ldr x2, [x1, #0x18]; bl 8 bytes on.
        let code: Vec<u8> =
            [0xF000_0001u32, 0xF940_0C22, 0x9400_0002].iter().flat_map(|word| word.to_le_bytes()).collect();
        let (mut steps, mut references) = (vec![0; code.len()], Vec::new());
        scan(&code, 0x100, 0x5000, &mut steps, &mut references);
        let found: Vec<_> = references.iter().map(|r| (r.at, r.form, r.target)).collect();
        let expected =
            [(0x100, Form::Adrp, 0x8018), (0x104, Form::Low { shift: 3 }, 0x8018), (0x108, Form::Branch, 0x5010)];
        assert_eq!(found, expected);
        assert_eq!(steps, [1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4]);
    }
}
