//! What instructions refer to, relative to themselves: fields that change when code between them and their target does.

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, OpKind};

use super::bytes::{fits_signed, put, signed_at, u32_at};
use super::model::{Model, SymbolKind};
use crate::image::Machine;

/// How an instruction refers to a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// It calls it.
    Call,
    /// It goes there, always or sometimes.
    Jump,
    /// It takes the address, or reads from there.
    Address,
}

/// How the distance is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    /// Bytes at an offset, counted from the end of the instruction.
    Bytes { at: u64, width: u8 },
    /// Bits of an ARM64 word: lowest bit and number of bits, counted in instructions from its start.
    Bits { low: u32, number: u32 },
    /// `adr`: bytes, in two fields.
    Adr,
}

/// A reference of an instruction to a place at a distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    /// Where the instruction begins and ends.
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) flow: Flow,
    field: Field,
    /// Where it leads without a relocation; may be outside of the section.
    pub(crate) target: i64,
}

impl Reference {
    /// Where a relocation of it stands.
    pub(crate) fn place(&self) -> u64 {
        match self.field {
            Field::Bytes { at, .. } => at,
            Field::Bits { .. } | Field::Adr => self.start,
        }
    }

    /// What the addend of an ELF relocation leaves out: from the field to where the distance is counted from.
    pub(crate) fn bias(&self) -> i64 {
        match self.field {
            Field::Bytes { at, .. } => (self.end - at).cast_signed(),
            Field::Bits { .. } | Field::Adr => 0,
        }
    }

    /// Rewrites the instruction, now at `start` of `code`, so that it leads to `target`; whether that is in its reach.
    #[must_use]
    pub(crate) fn retarget(&self, code: &mut [u8], start: u64, target: i64) -> bool {
        let from = match self.field {
            Field::Bytes { .. } => start + (self.end - self.start),
            Field::Bits { .. } | Field::Adr => start,
        };
        let distance = target.wrapping_sub(from.cast_signed());
        match self.field {
            Field::Bytes { at, width } => {
                let at = start + (at - self.start);
                fits_signed(distance, width) && put(code, at, width, distance.cast_unsigned())
            }
            Field::Bits { low, number } => {
                let words = distance >> 2;
                let limit = 1_i64 << (number - 1);
                let mask = ((1_u64 << number) - 1) << low;
                let Some(word) = u32_at(code, start).map(u64::from) else { return false };
                let word = word & !mask | words.cast_unsigned() << low & mask;
                distance & 3 == 0 && (-limit..limit).contains(&words) && put(code, start, 4, word)
            }
            Field::Adr => {
                let Some(word) = u32_at(code, start).map(u64::from) else { return false };
                let bits = distance.cast_unsigned();
                let word = word & 0x9f00_001f | (bits & 3) << 29 | (bits >> 2 & 0x7_ffff) << 5;
                (-(1 << 20)..1 << 20).contains(&distance) && put(code, start, 4, word)
            }
        }
    }
}

/// A stretch of code between two places that symbols name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Whether a function owns it.
    pub(crate) owned: bool,
}

/// All references of a section with code.
#[derive(Clone, Debug, Default)]
pub(crate) struct SectionFlow {
    /// By the place of the field.
    pub(crate) references: Vec<Reference>,
    /// What cannot be read as instructions, by the start of its stretch: the first such place.
    pub(crate) unreadable: Vec<(Stretch, u64)>,
    /// Starts of stretches after which execution may go on into the next.
    pub(crate) falls_through: Vec<u64>,
}

impl SectionFlow {
    /// The reference whose field is at `place`.
    pub(crate) fn at(&self, place: u64) -> Option<&Reference> {
        let index = self.references.binary_search_by_key(&place, Reference::place).ok()?;
        self.references.get(index)
    }
}

/// Reads the code of a section, stretch by stretch.
pub(crate) fn read(model: &Model<'_>, section: usize, stretches: &[Stretch]) -> SectionFlow {
    let mut flow = SectionFlow::default();
    let Some(data) = model.sections.get(section).map(|section| &*section.data) else { return flow };
    let marks = data_marks(model, section);
    for stretch in stretches {
        let mut reader = Reader { machine: model.machine, data, at: stretch.start, flow: &mut flow };
        let last = reader.read(stretch, &marks);
        if last.is_none_or(|last| !last) {
            flow.falls_through.push(stretch.start);
        }
    }
    flow.references.sort_unstable_by_key(Reference::place);
    flow
}

/// Where mapping symbols say that data begin, and instructions again.
fn data_marks(model: &Model<'_>, section: usize) -> Vec<(u64, bool)> {
    let mine = model.symbols.iter().filter(|symbol| symbol.section == Some(section) && symbol.kind == SymbolKind::Mark);
    let mut marks: Vec<_> = mine.map(|symbol| (symbol.value, symbol.name.starts_with(b"$d"))).collect();
    marks.sort_unstable();
    marks
}

struct Reader<'a> {
    machine: Machine,
    data: &'a [u8],
    at: u64,
    flow: &'a mut SectionFlow,
}

impl Reader<'_> {
    /// Reads to the end of the stretch; whether its last instruction leads elsewhere for sure.
    fn read(&mut self, stretch: &Stretch, marks: &[(u64, bool)]) -> Option<bool> {
        let mut last = None;
        while self.at < stretch.end {
            let after = marks.partition_point(|(at, _)| *at <= self.at);
            if after.checked_sub(1).and_then(|at| marks.get(at)).is_some_and(|(_, data)| *data) {
                self.at = marks.get(after).map_or(stretch.end, |(next, _)| *next);
                continue;
            }
            let step = match self.machine {
                Machine::Aarch64 => self.a64(stretch.end),
                Machine::X86 => self.x86(32, stretch.end),
                Machine::X86_64 => self.x86(64, stretch.end),
                // Such objects are not read.
                Machine::Arm => None,
            };
            let Some((len, leaves)) = step else {
                self.flow.unreadable.push((*stretch, self.at));
                return None;
            };
            last = Some(leaves);
            self.at += len;
        }
        last
    }

    fn x86(&mut self, bits: u32, end: u64) -> Option<(u64, bool)> {
        let start = usize::try_from(self.at).ok()?;
        let code = self.data.get(start..usize::try_from(end).ok()?)?;
        let mut decoder = Decoder::with_ip(bits, code, self.at, DecoderOptions::NONE);
        let instr = decoder.decode();
        if instr.is_invalid() {
            return None;
        }
        let end = self.at + instr.len() as u64;
        let offsets = decoder.get_constant_offsets(&instr);
        if let Some((flow, at, width)) = x86_field(&instr, &offsets) {
            let at = self.at + at as u64;
            let width = u8::try_from(width).ok()?;
            let target = signed_at(self.data, at, width)?.wrapping_add(end.cast_signed());
            self.flow.references.push(Reference {
                start: self.at,
                end,
                flow,
                field: Field::Bytes { at, width },
                target,
            });
        }
        let leaves = match instr.flow_control() {
            FlowControl::UnconditionalBranch
            | FlowControl::IndirectBranch
            | FlowControl::Return
            | FlowControl::Exception => true,
            // int3, hlt
            FlowControl::Interrupt => instr.len() == 1,
            _ => false,
        };
        Some((instr.len() as u64, leaves))
    }

    fn a64(&mut self, end: u64) -> Option<(u64, bool)> {
        if end - self.at < 4 {
            return None;
        }
        let word = u32_at(self.data, self.at)?;
        let bits = |low, number| Some(Field::Bits { low, number });
        let (flow, field) = match word {
            _ if word & 0xfc00_0000 == 0x1400_0000 => (Flow::Jump, bits(0, 26)),
            _ if word & 0xfc00_0000 == 0x9400_0000 => (Flow::Call, bits(0, 26)),
            // b.cond, bc.cond; cbz, cbnz
            _ if word & 0xff00_0000 == 0x5400_0000 || word & 0x7e00_0000 == 0x3400_0000 => (Flow::Jump, bits(5, 19)),
            // tbz, tbnz
            _ if word & 0x7e00_0000 == 0x3600_0000 => (Flow::Jump, bits(5, 14)),
            // ldr, ldrsw, prfm of a literal
            _ if word & 0x3b00_0000 == 0x1800_0000 => (Flow::Address, bits(5, 19)),
            _ if word & 0x9f00_0000 == 0x1000_0000 => (Flow::Address, Some(Field::Adr)),
            _ => (Flow::Address, None),
        };
        if let Some(field) = field {
            let distance = match field {
                Field::Bits { low, number } => {
                    let shift = 32 - number;
                    i64::from((word >> low << shift).cast_signed() >> shift) << 2
                }
                _ => i64::from(((word >> 5 & 0x7_ffff) << 13 | (word >> 29 & 3) << 11).cast_signed() >> 11),
            };
            let target = distance.wrapping_add(self.at.cast_signed());
            self.flow.references.push(Reference { start: self.at, end: self.at + 4, flow, field, target });
        }
        // b; ret and br; udf and brk
        let leaves = word & 0xfc00_0000 == 0x1400_0000
            || matches!(word & 0xfffe_0000, 0xd61e_0000 | 0xd65e_0000)
            || matches!(word & 0xfffe_0000, 0xd71e_0000 | 0xd75e_0000)
            || word & 0xffff_0000 == 0
            || word & 0xffe0_001f == 0xd420_0000;
        Some((4, leaves))
    }
}

/// What an x86 instruction refers to relative to itself: flow, and offset and width of the field.
fn x86_field(instr: &Instruction, offsets: &iced_x86::ConstantOffsets) -> Option<(Flow, usize, usize)> {
    let near = matches!(instr.op0_kind(), OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64);
    if near && offsets.has_immediate() {
        let flow = if instr.flow_control() == FlowControl::Call { Flow::Call } else { Flow::Jump };
        return Some((flow, offsets.immediate_offset(), offsets.immediate_size()));
    }
    // xbegin
    let transaction = instr.flow_control() == FlowControl::XbeginXabortXend && offsets.has_immediate();
    if transaction && instr.op_count() == 1 && instr.len() > 3 {
        return Some((Flow::Jump, offsets.immediate_offset(), offsets.immediate_size()));
    }
    if instr.is_ip_rel_memory_operand() && offsets.has_displacement() {
        return Some((Flow::Address, offsets.displacement_offset(), offsets.displacement_size()));
    }
    None
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::image::Format;
    use crate::prepare::model::{Role, Section};

    fn references(machine: Machine, code: &[u8]) -> SectionFlow {
        let section = Section {
            name: b".text",
            role: Role::Code,
            data: Cow::Borrowed(code),
            align: 1,
            relocs: Vec::new(),
            packed: false,
        };
        let model = Model { format: Format::Elf, machine, sections: vec![section], symbols: Vec::new() };
        read(&model, 0, &[Stretch { start: 0, end: code.len() as u64, owned: true }])
    }

    #[test]
    fn references_are_found_and_moved() {
        for (machine, code, flow, target) in [
            (Machine::X86_64, &[0xe8, 0xfb, 0xff, 0xff, 0xff][..], Flow::Call, 0),
            (Machine::X86_64, &[0xeb, 0x10], Flow::Jump, 18),
            (Machine::X86_64, &[0x0f, 0x84, 0, 1, 0, 0], Flow::Jump, 262),
            (Machine::X86_64, &[0xe3, 0x02], Flow::Jump, 4),
            (Machine::X86_64, &[0x48, 0x8d, 0x05, 0x10, 0, 0, 0], Flow::Address, 23),
            (Machine::X86_64, &[0x81, 0x3d, 0x10, 0, 0, 0, 1, 0, 0, 0], Flow::Address, 26),
            (Machine::X86_64, &[0xc7, 0xf8, 0x10, 0, 0, 0], Flow::Jump, 22),
            (Machine::X86, &[0xe8, 0, 0, 0, 0], Flow::Call, 5),
            (Machine::Aarch64, &[0x02, 0, 0, 0x14], Flow::Jump, 8),
            (Machine::Aarch64, &[0xff, 0xff, 0xff, 0x97], Flow::Call, -4),
            (Machine::Aarch64, &[0xe0, 0xff, 0xff, 0x54], Flow::Jump, -4),
            (Machine::Aarch64, &[0x40, 0, 0x00, 0xb4], Flow::Jump, 8),
            (Machine::Aarch64, &[0x40, 0, 0x00, 0x36], Flow::Jump, 8),
            (Machine::Aarch64, &[0x40, 0, 0x00, 0x58], Flow::Address, 8),
            (Machine::Aarch64, &[0x20, 0, 0x00, 0x30], Flow::Address, 5),
            (Machine::Aarch64, &[0xe0, 0xff, 0xff, 0x10], Flow::Address, -4),
        ] {
            let found = references(machine, code);
            let [reference] = found.references.as_slice() else { panic!("{code:02x?}: {found:?}") };
            assert_eq!((reference.flow, reference.target), (flow, target), "{code:02x?}");
            let mut moved = [vec![0; 8], code.to_vec()].concat();
            assert!(reference.retarget(&mut moved, 8, target + 16), "{code:02x?}");
            let again = references(machine, &moved[8..]);
            assert_eq!(again.references[0].target, target + 8, "{code:02x?}");
        }
    }

    #[test]
    fn what_is_out_of_reach_is_told() {
        for (machine, code, target, expect) in [
            (Machine::X86_64, &[0xeb, 0x10][..], 129, true),
            (Machine::X86_64, &[0xeb, 0x10], 130, false),
            (Machine::X86_64, &[0xeb, 0x10], -126, true),
            (Machine::X86_64, &[0xeb, 0x10], -127, false),
            (Machine::Aarch64, &[0x40, 0, 0x00, 0x36], (1 << 15) - 4, true),
            (Machine::Aarch64, &[0x40, 0, 0x00, 0x36], 1 << 15, false),
            (Machine::Aarch64, &[0x40, 0, 0x00, 0x36], 2, false),
            (Machine::Aarch64, &[0x20, 0, 0x00, 0x30], 1 << 20, false),
        ] {
            let found = references(machine, code);
            assert_eq!(found.references[0].retarget(&mut code.to_vec(), 0, target), expect, "{code:02x?} {target}");
        }
    }

    #[test]
    fn unreadable_code_is_told() {
        let found = references(Machine::X86_64, &[0x90, 0x06, 0x90]);
        assert_eq!(found.unreadable[0].1, 1);
        assert!(references(Machine::X86_64, &[0x90, 0xc3]).falls_through.is_empty());
        assert_eq!(references(Machine::X86_64, &[0xc3, 0x90]).falls_through, [0]);
    }
}
