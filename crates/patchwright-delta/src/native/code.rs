//! The references in the code of an image, a page of the file at a time.
//!
//! Each page is decoded from its own start (or that of its section) as if an instruction began there: code falls
//! into step within a few instructions, and any page can be had without those before it, in any order, by any thread.
//! A field that does not lie in its page as a whole is no field.

use super::arm64;
use super::image::{Layout, Machine};
use super::x86::{self, Operand};

/// How many bytes of the file are decoded at a time.
pub(super) const PAGE: u32 = 16 << 10;

/// How the four bytes of a reference hold the address they refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The distance from the field's end, and from this many bytes after it.
    Relative { after: u8 },
    /// The low half of the address itself, the base included.
    Absolute,
    /// `B`, `BL`: 26 bits of words.
    Branch,
    /// `ADR`: 21 bits of bytes.
    Adr,
    /// `ADRP`: 21 bits of pages.
    Adrp,
    /// `LDR` of a literal: 19 bits of words.
    Literal,
    /// The low twelve bits, divided by the size of the access, in an `ADD`, a load or a store.
    Low { shift: u8 },
}

/// Four bytes that refer to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    /// Where they are in the file.
    pub(super) at: u32,
    pub(super) form: Form,
    /// The address, less the base of the image.
    pub(super) target: u32,
}

impl Form {
    /// The address that `word` refers to when it stands at `address`; `None` for the forms of AArch64.
    pub(super) fn target(self, word: u32, address: u32, base_low: u32) -> Option<u32> {
        match self {
            Self::Relative { after } => Some(address.wrapping_add(4).wrapping_add(u32::from(after)).wrapping_add(word)),
            Self::Absolute => Some(word.wrapping_sub(base_low)),
            _ => None,
        }
    }

    /// The address that `word` refers to, when it differs from `foretold` in its reference alone. What `word` does not
    /// hold of the address is that of `target`, which is what `foretold` refers to.
    pub(super) fn goal(self, word: u32, foretold: u32, target: u32, address: u32, base_low: u32) -> Option<u32> {
        let goal = match self {
            Self::Relative { .. } | Self::Absolute => self.target(word, address, base_low)?,
            _ => arm64::goal(self, word, target, address),
        };
        (self.point(foretold, goal, address, base_low) == word).then_some(goal)
    }

    /// `word`, changed so that it refers to `target` from `address`.
    pub(super) fn point(self, word: u32, target: u32, address: u32, base_low: u32) -> u32 {
        match self {
            Self::Relative { after } => target.wrapping_sub(address).wrapping_sub(4).wrapping_sub(u32::from(after)),
            Self::Absolute => target.wrapping_add(base_low),
            Self::Branch | Self::Adr | Self::Adrp | Self::Literal | Self::Low { .. } => {
                arm64::point(self, word, target, address)
            }
        }
    }
}

/// What is known of one page.
#[derive(Clone, Debug, Default)]
pub(super) struct Page {
    /// For each byte its distance from the start of its instruction, plus one; zero outside code.
    pub(super) steps: Vec<u8>,
    /// In order of their place.
    pub(super) references: Vec<Reference>,
}

impl Page {
    /// Decodes page `number` of an image; `relocated` lists, in order, fields that the image itself says are absolute.
    pub(super) fn decode(bytes: &[u8], layout: &Layout, relocated: &[u32], number: u32) -> Self {
        let start = number.saturating_mul(PAGE);
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let end = start.saturating_add(PAGE).min(len);
        let mut page = Self { steps: vec![0; index(end.saturating_sub(start))], references: Vec::new() };
        if layout.machine != Machine::Other {
            for section in layout.sections.iter().filter(|s| s.code && s.file_len > 0) {
                let (from, to) = (section.offset.max(start), section.file_end().min(end));
                if from < to {
                    let address = section.address.wrapping_add(from - section.offset);
                    page.decode_part(bytes, layout, (from, to), start, address);
                }
            }
        }
        page.add_relocated(bytes, layout, relocated, (start, end));
        page.references.shrink_to_fit();
        page
    }

    fn decode_part(&mut self, bytes: &[u8], layout: &Layout, (from, to): (u32, u32), start: u32, address: u32) {
        let Some(code) = bytes.get(index(from)..index(to)) else { return };
        let steps = &mut self.steps[index(from - start)..index(to - start)];
        match layout.machine {
            Machine::Other => {}
            Machine::Arm64 => arm64::scan(code, from, address, steps, &mut self.references),
            Machine::X86 | Machine::X64 => {
                scan_x86(code, from, address, layout, steps, &mut self.references);
            }
        }
    }

    /// Puts the fields that relocations name in place of whatever was decoded there.
    fn add_relocated(&mut self, bytes: &[u8], layout: &Layout, relocated: &[u32], (start, end): (u32, u32)) {
        let first = relocated.partition_point(|at| *at < start);
        let here: Vec<u32> = relocated[first..].iter().copied().take_while(|at| at.saturating_add(4) <= end).collect();
        if here.is_empty() {
            return;
        }
        self.references.retain(|reference| {
            let next = here.partition_point(|at| at.saturating_add(4) <= reference.at);
            here.get(next).is_none_or(|at| *at >= reference.at.saturating_add(4))
        });
        let base_low = layout.code_base();
        let mut free = 0;
        for at in here {
            if let Some(word) = word_at(bytes, at).filter(|_| at >= free) {
                self.references.push(Reference { at, form: Form::Absolute, target: word.wrapping_sub(base_low) });
                free = at + 4;
            }
        }
        self.references.sort_unstable_by_key(|reference| reference.at);
    }
}

fn scan_x86(code: &[u8], from: u32, address: u32, layout: &Layout, steps: &mut [u8], references: &mut Vec<Reference>) {
    let wide = layout.machine == Machine::X64;
    let (low_address, high_address) = (0x1000, layout.memory_end());
    let base_low = layout.code_base();
    let lowest = layout.sections.iter().map(|section| section.address).min().unwrap_or(0);
    // Where addresses start at zero, a small number is more often a number than an address.
    let absolute = !wide || layout.base > 0 || lowest >= 0x1_0000;
    let mut at = 0;
    while at < code.len() {
        let window = &code[at..code.len().min(at + x86::MAX_LEN)];
        let Some(instruction) = x86::decode(window, wide) else {
            steps[at] = 1;
            at += 1;
            continue;
        };
        for (step, number) in steps[at..at + instruction.len].iter_mut().zip(1..) {
            *step = number;
        }
        for (offset, operand) in instruction.operands.into_iter().flatten() {
            let Some(word) = word_at(window, narrow(offset)) else { continue };
            let place = narrow(at + offset);
            let here = address.wrapping_add(place);
            let after = u8::try_from(instruction.len - offset - 4).unwrap_or(0);
            let form = match operand {
                Operand::Relative => Form::Relative { after },
                Operand::Absolute => Form::Absolute,
            };
            let target = form.target(word, here, base_low).unwrap_or(0);
            let inside = (low_address..high_address).contains(&target);
            if inside && (operand == Operand::Relative || absolute) {
                references.push(Reference { at: from + place, form, target });
            }
        }
        at += instruction.len;
    }
}

/// The page cache of one walk over the old file.
pub(super) struct Pages<'a> {
    bytes: &'a [u8],
    layout: &'a Layout,
    relocated: &'a [u32],
    slots: Vec<Option<(u32, Page)>>,
}

impl<'a> Pages<'a> {
    /// A cache of `count` pages; each has one place where it may be.
    pub(super) fn new(bytes: &'a [u8], layout: &'a Layout, relocated: &'a [u32], count: usize) -> Self {
        let mut slots = Vec::new();
        slots.resize_with(count.max(1), || None);
        Self { bytes, layout, relocated, slots }
    }

    /// The page that holds a byte of the file.
    pub(super) fn page(&mut self, offset: u32) -> &Page {
        let number = offset / PAGE;
        let place = index(number) % self.slots.len();
        let slot = &mut self.slots[place];
        if slot.as_ref().is_none_or(|(held, _)| *held != number) {
            *slot = Some((number, Page::decode(self.bytes, self.layout, self.relocated, number)));
        }
        let (_, page) = slot.as_ref().expect("filled above");
        page
    }
}

/// The fields that the base relocations of a PE file name, as offsets in the file, in order.
pub(super) fn relocated(bytes: &[u8], layout: &Layout) -> Vec<u32> {
    const HIGHLOW: u16 = 3;
    let mut places = Vec::new();
    let Some(table) = layout.relocations.and_then(|(at, len)| bytes.get(index(at)..index(at.checked_add(len)?))) else {
        return places;
    };
    if layout.machine != Machine::X86 {
        return places;
    }
    for (page, entry) in super::tables::entries(table).take(super::tables::MAX_ENTRIES) {
        if entry >> 12 != HIGHLOW {
            continue;
        }
        let address = page.wrapping_add(u32::from(entry & 0xFFF));
        let section = layout.sections.iter().find(|s| s.address <= address && address - s.address < s.file_len);
        if let Some(section) = section {
            places.push(section.offset + (address - section.address));
        }
    }
    places.sort_unstable();
    places.dedup();
    places
}

/// The four bytes at a place.
pub(super) fn word_at(bytes: &[u8], at: u32) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(index(at)..)?.first_chunk()?))
}

/// The low half of an address.
pub(super) fn low(address: u64) -> u32 {
    u32::try_from(address & u64::from(u32::MAX)).expect("masked")
}

pub(super) fn index(at: u32) -> usize {
    usize::try_from(at).expect("files are in memory")
}

pub(super) fn narrow(at: usize) -> u32 {
    u32::try_from(at).expect("files of this format are shorter than 2 GiB")
}
