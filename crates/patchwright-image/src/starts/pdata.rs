//! The exception directory of PE images (`.pdata`): where functions with unwind data begin and end.
//!
//! Leaf functions are absent. On x64, entries whose unwind data are chained, or point to another entry, are parts of
//! functions. On ARM and ARM64 the low bits of the second word say whether it holds the unwind data itself; packed data of
//! a *fragment* are a part as well, and data elsewhere begin with the length.

use super::{Found, Source};
use crate::image::{Address, Image, Machine, Pe};

/// `UNW_FLAG_CHAININFO`, in the flags above the version of `UNWIND_INFO`.
const CHAINED: u8 = 4;

/// One `RUNTIME_FUNCTION`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RuntimeFunction {
    /// RVA of the first byte.
    begin: u32,
    /// RVA after the last.
    end: u32,
    /// Whether it is a part of a function.
    part: bool,
    /// RVA of the function that it is a part of.
    parent: Option<u32>,
}

pub(super) fn read(pe: &Pe<'_>, image: &Image<'_>, found: &mut Found) {
    let directory = pe.exceptions();
    let entries = match image.machine {
        Machine::X86_64 => x64(directory, |rva| pe.at(rva)),
        Machine::Aarch64 => arm(directory, ARM64, |rva| pe.at(rva)),
        Machine::Arm => arm(directory, ARM, |rva| pe.at(rva)),
        Machine::X86 => Vec::new(),
    };
    for entry in entries {
        let address = pe.base.wrapping_add(u64::from(entry.begin));
        let size = u64::from(entry.end - entry.begin);
        if let Some(function) = found.note_range(image, address, size, Source::Pdata) {
            function.part |= entry.part;
            let parent = entry.parent.map(|rva| Address(pe.base.wrapping_add(u64::from(rva))));
            function.parent = function.parent.or(parent);
        }
    }
}

/// Entries of x64; `at` gives the bytes at an RVA.
fn x64<'a>(directory: &[u8], at: impl Fn(u32) -> &'a [u8]) -> Vec<RuntimeFunction> {
    let (entries, _) = directory.as_chunks::<12>();
    entries
        .iter()
        .map(|entry| {
            let [begin, end, unwind] = [0, 4, 8].map(|at| word(entry, at));
            let parent = chain_end(unwind, begin, &at);
            RuntimeFunction { begin, end, part: parent.is_some(), parent: parent.flatten() }
        })
        .filter(|entry| entry.begin < entry.end)
        .collect()
}

/// Whether unwind data belong to a part, and where its function begins.
fn chain_end<'a>(mut unwind: u32, begin: u32, at: &impl Fn(u32) -> &'a [u8]) -> Option<Option<u32>> {
    let mut parent = None;
    // Chains are short; one that goes round ends here.
    for _ in 0..32 {
        let next = if unwind & 1 != 0 {
            at(unwind & !1)
        } else {
            let info = at(unwind);
            let (Some(flags), Some(codes)) = (info.first(), info.get(2)) else { break };
            if flags >> 3 & CHAINED == 0 {
                break;
            }
            // The codes come first, an even number of them.
            info.get(4 + 2 * (usize::from(*codes) + usize::from(codes & 1))..).unwrap_or_default()
        };
        let entry = next.first_chunk::<12>();
        parent = Some(entry.map(|entry| word(entry, 0)).filter(|parent| *parent != begin));
        let Some(entry) = entry else { break };
        unwind = word(entry, 8);
    }
    parent
}

/// What differs between the two machines: bits of the length, and bytes that one of it stands for.
#[derive(Clone, Copy)]
struct Widths {
    packed_length: u32,
    unit: u32,
    /// The bit of unwind data elsewhere that says that they are of a fragment.
    fragment: Option<u32>,
}

const ARM64: Widths = Widths { packed_length: 11, unit: 4, fragment: None };
const ARM: Widths = Widths { packed_length: 11, unit: 2, fragment: Some(22) };

/// Entries of ARM and ARM64; `at` gives the bytes at an RVA.
fn arm<'a>(directory: &[u8], widths: Widths, at: impl Fn(u32) -> &'a [u8]) -> Vec<RuntimeFunction> {
    let (entries, _) = directory.as_chunks::<8>();
    entries
        .iter()
        .filter_map(|entry| {
            let [begin, data] = [0, 4].map(|at| word(entry, at));
            // The lowest bit of a Thumb address says that it is one.
            let begin = begin & !1;
            let (units, part) = match data & 3 {
                0 => {
                    let info = at(data).first_chunk().map(|word| u32::from_le_bytes(*word))?;
                    (info & 0x3_ffff, widths.fragment.is_some_and(|bit| info >> bit & 1 != 0))
                }
                1 => (data >> 2 & ((1 << widths.packed_length) - 1), false),
                2 => (data >> 2 & ((1 << widths.packed_length) - 1), true),
                _ => return None,
            };
            let end = begin.checked_add(units * widths.unit)?;
            Some(RuntimeFunction { begin, end, part, parent: None })
        })
        .filter(|entry| entry.begin < entry.end)
        .collect()
}

fn word(entry: &[u8], at: usize) -> u32 {
    entry.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn parts_are_told_from_functions() {
        // The unwind data at 0x2004 have one code, so that the entry of the function stands after four bytes more.
        let chained = [&[0x21, 0, 1, 0, 0, 0, 0, 0][..], &bytes(&[0x1000, 0x1010, 0x2000])].concat();
        let directory =
            bytes(&[0x1000, 0x1010, 0x2000, 0x1010, 0x1020, 0x2004, 0x1020, 0x1030, 0x2061, 0x1040, 0x1040, 0x2000, 7]);
        let of_1020 = bytes(&[0x1000, 0x1010, 0x2000]);
        let found = x64(&directory, |at| match at {
            0x2004 => &chained,
            0x2060 => &of_1020,
            _ => &[1, 0, 0, 0],
        });
        let told: Vec<_> = found.iter().map(|entry| (entry.begin, entry.end, entry.part, entry.parent)).collect();
        let expect =
            [(0x1000, 0x1010, false, None), (0x1010, 0x1020, true, Some(0x1000)), (0x1020, 0x1030, true, Some(0x1000))];
        assert_eq!(told, expect);
    }

    #[test]
    fn chains_that_go_round_end() {
        let round = bytes(&[0x1000, 0x1010, 0x2001]);
        assert_eq!(x64(&bytes(&[0x1000, 0x1010, 0x2001]), |_| &round).len(), 1);
    }

    #[test]
    fn lengths_of_arm() {
        let elsewhere = bytes(&[0x0040_0003]);
        for (widths, entry, expect) in [
            // 16 bytes, packed; the same of a fragment; three units elsewhere, for ARM of a fragment.
            (ARM64, [0x1000, 4 << 2 | 1], Some((0x1000, 0x1010, false))),
            (ARM64, [0x1000, 4 << 2 | 2], Some((0x1000, 0x1010, true))),
            (ARM64, [0x1000, 0x3000], Some((0x1000, 0x100c, false))),
            (ARM, [0x1001, 4 << 2 | 1], Some((0x1000, 0x1008, false))),
            (ARM, [0x1001, 0x3000], Some((0x1000, 0x1006, true))),
            (ARM64, [0x1000, 3], None),
            (ARM64, [0x1000, 1], None),
        ] {
            let found = arm(&bytes(&entry), widths, |_| &elsewhere);
            assert_eq!(found.first().map(|entry| (entry.begin, entry.end, entry.part)), expect, "{entry:x?}");
        }
    }
}
