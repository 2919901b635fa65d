//! A piece of a program, function or data: its bytes, and what they refer to.
//!
//! References inside a function that do not depend on where it is stay bytes. All others are taken out: the field reads
//! as zero, and beside it stands a [`Place`], what it refers to by identity and not by address.

use iced_x86::{Code, ConstantOffsets, Decoder, DecoderOptions, Instruction, OpKind, Register};
use object::elf;
use patchwright_formats::hot::RelocationKind;

use super::program::{Import, Loaded, Program};

/// What an address is, in the program that it is an address of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// So far into a function.
    Function(usize, u64),
    /// So far from the start of a datum; it may lie outside.
    Datum(usize, i64),
    /// Data without a name.
    Nameless(u64),
    /// Code without a name.
    Code(u64),
    /// The stub that calls a symbol of another module.
    Stub(Import),
    /// The slot that holds the address of a symbol of another module.
    Slot(Import),
    /// The slot that holds the address of a place of the program.
    SlotOf(Box<Place>),
    /// The slot that holds something of a thread variable: relocation type, and the variable.
    ThreadSlot(elf::RelocationType, Option<Import>, Option<(usize, u64)>),
    /// So far into a thread variable, as a distance from the thread pointer or from the start of the block.
    Thread { datum: usize, offset: u64, from_pointer: bool },
    /// So far behind a symbol of another module.
    Symbol(Import, i64),
    /// None of all these.
    Nowhere(u64),
}

/// How a reference is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// One byte of distance: it cannot reach far.
    Near,
    /// Like a relocation of the hot part.
    Like(RelocationKind),
    /// Four bytes, a constant of the program: the place of a thread variable.
    Constant,
    /// Four bytes of distance from the start of the piece: an entry of a jump table.
    Table,
    /// A relocation that is not known.
    Unknown(u32),
}

/// What instruction makes a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// A branch: what it leads to runs.
    Branch,
    /// The address is taken.
    Address,
    /// So many bytes are read or written there.
    Access(u64),
}

/// A field of a piece that refers to something.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    /// Offset in the piece.
    pub(super) at: u64,
    pub(super) field: Field,
    pub(super) used: Use,
    pub(super) place: Place,
    /// The address itself, in its program.
    pub(super) target: u64,
    /// What the stored distance counts from, after the field: bytes to the end of the instruction.
    pub(super) tail: u64,
    /// Whether the relocation names no symbol, only a section: the address may belong to what ends there.
    pub(super) vague: bool,
}

impl Reference {
    fn len_bytes(&self) -> u64 {
        match self.field {
            Field::Near => 1,
            Field::Like(kind) => kind.len_bytes(),
            Field::Constant | Field::Table | Field::Unknown(_) => 4,
        }
    }
}

/// Bytes with zeros where references are, and the references by offset.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) bytes: Vec<u8>,
    pub(super) references: Vec<Reference>,
    /// Offsets of immediates that are nothing but line numbers.
    pub(super) lines: Vec<u64>,
    /// Whether all of it are instructions.
    pub(super) readable: bool,
}

impl<'data> Program<'data> {
    /// What an address is. `symbol` is the value of the symbol that the relocation names.
    pub(super) fn place(&self, address: u64, symbol: Option<u64>) -> Place {
        // A pointer may be meant for what lies outside, but not far: in a merged section the symbol is another's.
        let near = |datum: &usize| {
            let datum = &self.data[*datum];
            let section = self.section_at(datum.address).or(self.section_at(datum.address.wrapping_sub(1)));
            let inside = section.is_none_or(|section| {
                address >= section.address.saturating_sub(NEAR) && address <= section.address + section.size + NEAR
            });
            inside && address >= datum.address.saturating_sub(NEAR) && address <= datum.address + datum.size + NEAR
        };
        let named = symbol.and_then(|symbol| self.datum_named_at(symbol)).filter(near);
        if let Some(datum) = named {
            return Place::Datum(datum, address.wrapping_sub(self.data[datum].address).cast_signed());
        }
        if let Some(loaded) = self.loaded.get(&address)
            && self.section_at(address).is_some_and(|section| section.name.starts_with(".got"))
        {
            return self.slot(address, loaded);
        }
        let Some(section) = self.section_at(address) else {
            return self.datum_at(address).map_or(Place::Nowhere(address), |datum| self.in_datum(datum, address));
        };
        if section.name.starts_with(".plt") || section.name == ".iplt" {
            return self.stub(address).unwrap_or(Place::Code(address));
        }
        if section.executable {
            return match self.function_at(address) {
                Some(index) => Place::Function(index, address - self.functions[index].address),
                None => Place::Code(address),
            };
        }
        // Without a dynamic loader the linker fills the table itself.
        if section.name.starts_with(".got") && self.word(address) != 0 {
            return Place::SlotOf(Box::new(self.place(self.word(address), None)));
        }
        self.datum_at(address).map_or(Place::Nameless(address), |datum| self.in_datum(datum, address))
    }

    fn in_datum(&self, datum: usize, address: u64) -> Place {
        Place::Datum(datum, address.wrapping_sub(self.data[datum].address).cast_signed())
    }

    fn slot(&self, address: u64, loaded: &Loaded) -> Place {
        match loaded {
            Loaded::Symbol { import, .. } => Place::Slot(import.clone()),
            Loaded::Relative(target) | Loaded::Resolved(target) => Place::SlotOf(Box::new(self.place(*target, None))),
            Loaded::Copy(_) => Place::Nowhere(address),
            Loaded::Thread { kind, import, offset } => {
                // The offset of a variable of the program itself stands in the next word.
                let next = if *kind == elf::R_X86_64_DTPMOD64 { self.word(address + 8) } else { *offset };
                let pair = *kind != elf::R_X86_64_DTPMOD64 || self.thread_datum_at(next).is_some() && next != 0;
                let datum = self.thread_datum_at(next).filter(|_| import.is_none() && pair);
                Place::ThreadSlot(
                    *kind,
                    import.clone(),
                    datum.map(|datum| (datum, next - self.thread_data[datum].address)),
                )
            }
        }
    }

    /// What a stub of the procedure linkage table leads to.
    fn stub(&self, address: u64) -> Option<Place> {
        let mut decoder = Decoder::with_ip(64, self.bytes(address, 24), address, DecoderOptions::NONE);
        for instr in decoder.iter().take(2) {
            if instr.is_ip_rel_memory_operand() && instr.is_jmp_near_indirect() {
                return match self.loaded.get(&instr.ip_rel_memory_address())? {
                    Loaded::Symbol { import, .. } => Some(Place::Stub(import.clone())),
                    // A function of the program that is chosen at the start.
                    Loaded::Resolved(resolver) => match self.place(*resolver, None) {
                        Place::Function(index, 0) => {
                            let name = self.functions[index].names.first().cloned().unwrap_or_default();
                            Some(Place::Stub(Import { name, version: "*".to_owned() }))
                        }
                        _ => None,
                    },
                    _ => None,
                };
            }
        }
        None
    }

    /// Reads a function.
    pub(super) fn function_piece(&self, index: usize) -> Piece {
        let func = &self.functions[index];
        let code = self.bytes(func.address, func.size);
        let (start, end) = (func.address, func.address + code.len() as u64);
        let mut piece = Piece { bytes: code.to_vec(), references: Vec::new(), lines: Vec::new(), readable: true };
        let mut decoder = Decoder::with_ip(64, code, start, DecoderOptions::NONE);
        let mut instr = Instruction::default();
        let mut line_candidate: Option<(u64, u32)> = None;
        let mut since_line = 0;
        while decoder.can_decode() {
            decoder.decode_out(&mut instr);
            if instr.is_invalid() {
                piece.readable = false;
                break;
            }
            let offsets = decoder.get_constant_offsets(&instr);
            let before = piece.references.len();
            self.read_instruction(&instr, &offsets, start..end, &mut piece);
            // `assert` passes the line as third argument.
            if instr.code() == Code::Mov_r32_imm32
                && instr.op0_register() == Register::EDX
                && piece.references.len() == before
            {
                line_candidate = Some((instr.ip() - start + offsets.immediate_offset() as u64, 4));
                since_line = 0;
            } else {
                since_line += 1;
            }
            let to_assert = piece.references.get(before).is_some_and(|reference| {
                matches!(&reference.place, Place::Stub(import) | Place::Slot(import) if ASSERTS.contains(&import.name.as_str()))
            });
            if to_assert && since_line < 6 {
                piece.lines.extend(line_candidate.take().map(|(at, _)| at));
            }
        }
        // A weak symbol that nobody defines is nowhere, however the linker writes that.
        for reference in &mut piece.references {
            let undefined = self.kept.get(&(start + reference.at)).is_some_and(|kept| kept.undefined);
            if undefined && matches!(reference.place, Place::Nowhere(_)) {
                reference.place = Place::Nowhere(0);
            }
        }
        self.blank(&mut piece);
        piece
    }

    fn read_instruction(
        &self,
        instr: &Instruction,
        offsets: &ConstantOffsets,
        own: std::ops::Range<u64>,
        piece: &mut Piece,
    ) {
        let start = instr.ip();
        let end = instr.next_ip();
        let at = |offset: usize| start - own.start + offset as u64;
        let mut taken = Vec::new();
        let branch = matches!(instr.op0_kind(), OpKind::NearBranch64);
        if branch && offsets.has_immediate() {
            let target = instr.near_branch_target();
            taken.push(start + offsets.immediate_offset() as u64);
            if !own.contains(&target) {
                let field = match offsets.immediate_size() {
                    4 => Field::Like(RelocationKind::Relative32),
                    _ => Field::Near,
                };
                let from = at(offsets.immediate_offset());
                piece.references.push(self.reference(from, field, Use::Branch, target, end - own.start - from, None));
            }
        } else if instr.is_ip_rel_memory_operand() && offsets.has_displacement() {
            let target = instr.ip_rel_memory_address();
            let field_address = start + offsets.displacement_offset() as u64;
            taken.push(field_address);
            // Inside the function only its own entry is more than a distance: it may be kept and compared.
            if !own.contains(&target) || target == own.start {
                let kept = self.kept.get(&field_address);
                let used = match instr.code() {
                    Code::Lea_r64_m | Code::Lea_r32_m => Use::Address,
                    _ => Use::Access(instr.memory_size().size() as u64),
                };
                let from = at(offsets.displacement_offset());
                let symbol = kept.filter(|kept| !kept.undefined).and_then(|kept| kept.symbol);
                let field = Field::Like(RelocationKind::Relative32);
                let mut reference = self.reference(from, field, used, target, end - own.start - from, symbol);
                reference.vague = symbol.is_none() && used == Use::Address;
                piece.references.push(reference);
            }
        }
        for (address, kept) in self.kept.range(start..end) {
            if !taken.contains(address) {
                self.read_absolute(*address, kept, own.start, end, piece);
            }
        }
    }

    /// A relocation of an instruction that is neither a branch nor relative to it.
    fn read_absolute(&self, address: u64, kept: &super::program::Kept, start: u64, end: u64, piece: &mut Piece) {
        let at = address - start;
        let value = self.bytes(address, 4).first_chunk().map_or(0, |bytes| i32::from_le_bytes(*bytes));
        let symbol = kept.symbol.filter(|_| !kept.undefined);
        let field = match kept.kind {
            elf::R_X86_64_64 => {
                let target = self.word(address);
                let target = if target == 0 { kept.target } else { target };
                let field = Field::Like(RelocationKind::Absolute64);
                piece.references.push(self.reference(at, field, Use::Address, target, 0, symbol));
                return;
            }
            elf::R_X86_64_32 => RelocationKind::Absolute32,
            // Relaxed from a table slot to the address.
            elf::R_X86_64_32S | elf::R_X86_64_GOTPCREL | elf::R_X86_64_GOTPCRELX | elf::R_X86_64_REX_GOTPCRELX => {
                RelocationKind::Signed32
            }
            elf::R_X86_64_TPOFF32 | elf::R_X86_64_GOTTPOFF => return self.read_thread(at, value, true, piece),
            // Relaxed to `mov %fs:0, %rax; lea x(%rax), %rax`: the distance stands eight bytes on.
            elf::R_X86_64_TLSGD => {
                let next = self.bytes(address + 5, 7);
                if let [0x48, 0x8d, 0x80, distance @ ..] = next
                    && let Some(distance) = distance.first_chunk()
                {
                    self.read_thread(at + 8, i32::from_le_bytes(*distance), true, piece);
                }
                return;
            }
            elf::R_X86_64_TLSLD | elf::R_X86_64_PC32 | elf::R_X86_64_PLT32 => return,
            elf::R_X86_64_DTPOFF32 => return self.read_thread(at, value, self.is_program(), piece),
            elf::R_X86_64_NONE => return,
            other => {
                let field = Field::Unknown(other.0);
                piece.references.push(self.reference(at, field, Use::Address, kept.target, 0, None));
                return;
            }
        };
        let target = i64::from(value).cast_unsigned();
        let target = if field == RelocationKind::Absolute32 { target & 0xffff_ffff } else { target };
        let mut reference = self.reference(at, Field::Like(field), Use::Address, target, end - start - at, symbol);
        reference.vague = symbol.is_none();
        piece.references.push(reference);
    }

    /// Whether thread variables are at fixed distances from the thread pointer.
    fn is_program(&self) -> bool {
        self.fixed || self.sections.iter().any(|section| section.name == ".interp")
    }

    fn read_thread(&self, at: u64, value: i32, from_pointer: bool, piece: &mut Piece) {
        let value = i64::from(value);
        let in_block = if from_pointer { self.thread_block.wrapping_add_signed(value) } else { value.cast_unsigned() };
        let place = match self.thread_datum_at(in_block) {
            Some(datum) => Place::Thread { datum, offset: in_block - self.thread_data[datum].address, from_pointer },
            None => Place::Nowhere(in_block),
        };
        let reference = Reference {
            at,
            field: Field::Constant,
            used: Use::Address,
            place,
            target: in_block,
            tail: 0,
            vague: false,
        };
        piece.references.push(reference);
    }

    fn reference(&self, at: u64, field: Field, used: Use, target: u64, tail: u64, symbol: Option<u64>) -> Reference {
        Reference { at, field, used, place: self.place(target, symbol), target, tail, vague: false }
    }

    /// Reads data from `start` to `end`.
    pub(super) fn data_piece(&self, start: u64, end: u64) -> Piece {
        // Of zeros that are not in the file there is nothing to read.
        let bytes = self.bytes(start, end.saturating_sub(start)).to_vec();
        let mut piece = Piece { bytes, references: Vec::new(), lines: Vec::new(), readable: true };
        let handlers = self.section_at(start).is_some_and(|section| section.name == ".gcc_except_table");
        for (address, kept) in self.kept.range(start..end.max(start)) {
            let at = *address - start;
            let symbol = kept.symbol.filter(|_| !kept.undefined);
            let loaded = self.loaded.get(address);
            match kept.kind {
                elf::R_X86_64_64 => {
                    let field = Field::Like(RelocationKind::Absolute64);
                    let mut reference = self.reference(at, field, Use::Address, kept.target, 0, symbol);
                    reference.vague = symbol.is_none();
                    if let Some(Loaded::Symbol { import, addend, .. }) = loaded {
                        reference.place = Place::Symbol(import.clone(), *addend);
                        reference.vague = false;
                    }
                    piece.references.push(reference);
                }
                elf::R_X86_64_32 | elf::R_X86_64_32S => {
                    let kind = if kept.kind == elf::R_X86_64_32 {
                        RelocationKind::Absolute32
                    } else {
                        RelocationKind::Signed32
                    };
                    piece.references.push(self.reference(at, Field::Like(kind), Use::Address, kept.target, 0, symbol));
                }
                elf::R_X86_64_PC32 | elf::R_X86_64_PLT32 => {
                    let value = self.bytes(*address, 4).first_chunk().map_or(0, |bytes| i32::from_le_bytes(*bytes));
                    let table = self.tables.get(address).copied();
                    let by_table = table.unwrap_or(start).wrapping_add_signed(i64::from(value));
                    let code = self.section_at(by_table).is_some_and(|section| section.executable);
                    let (field, target) = if table.is_some_and(|table| table != start) {
                        (Field::Unknown(kept.kind.0), by_table)
                    } else if table.is_some() || code && !handlers {
                        (Field::Table, by_table)
                    } else {
                        (Field::Like(RelocationKind::Relative32), address.wrapping_add_signed(i64::from(value)))
                    };
                    piece.references.push(self.reference(at, field, Use::Address, target, 0, symbol.filter(|_| !code)));
                }
                elf::R_X86_64_NONE => {}
                other => piece.references.push(self.reference(
                    at,
                    Field::Unknown(other.0),
                    Use::Address,
                    kept.target,
                    0,
                    None,
                )),
            }
        }
        self.blank(&mut piece);
        piece
    }

    /// Puts zeros where references are.
    fn blank(&self, piece: &mut Piece) {
        piece.references.sort_by_key(|reference| reference.at);
        for reference in &piece.references {
            let from = usize::try_from(reference.at).unwrap_or(usize::MAX);
            let to = from.saturating_add(usize::try_from(reference.len_bytes()).unwrap_or(0)).min(piece.bytes.len());
            if let Some(field) = piece.bytes.get_mut(from..to) {
                field.fill(0);
            }
        }
    }

    /// Whether a text begins at an address: one ends before it, or nothing is there.
    pub(super) fn begins_text(&self, address: u64) -> bool {
        let before = self.bytes(address.wrapping_sub(1), 1);
        let text = self.bytes(address, 4096).split(|byte| *byte == 0).next().unwrap_or_default();
        let printable = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | 0x1b | 0x20..=0x7e | 0x80..);
        matches!(before, [] | [0]) && !text.is_empty() && text.iter().all(printable)
    }

    /// Where data without a name that begins at `address` ends: at the next thing that something refers to, but not in
    /// the middle of a text, whose tail may be a text of its own.
    pub(super) fn nameless_end(&self, address: u64, at_least: u64) -> u64 {
        let Some(section) = self.section_at(address) else { return address };
        let limit = section.address + section.size;
        let next = self.anchors.range(address + 1..).next().copied().unwrap_or(limit).min(limit);
        let text = self.bytes(address, limit - address).iter().position(|byte| *byte == 0);
        let text_end = text.map_or(next, |len| address + len as u64 + 1).max(address);
        let end = if self.kept.range(address..text_end).next().is_none() { next.max(text_end) } else { next };
        end.max(address.saturating_add(at_least)).min(limit)
    }
}

/// How far outside of its variable a pointer may point.
const NEAR: u64 = 1 << 16;
const ASSERTS: [&str; 2] = ["__assert_fail", "__assert_perror_fail"];
