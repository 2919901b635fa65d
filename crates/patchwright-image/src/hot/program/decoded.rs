//! References of a program whose linker kept no relocations, as far as they leave no doubt.
//!
//! Only of programs that can be loaded anywhere: there every address in data is known to the loader, and every address
//! in code is relative to the instruction, so that no number can be mistaken for one. What remains is what the linker
//! resolved for good: tables of distances, which switches and exception handlers read. Those of switches are found by
//! the code that reads them; code whose table is not found is [`Program::unresolved`].

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use iced_x86::{
    Code, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind,
    Register,
};
use object::elf;
use rayon::prelude::*;

use super::{Kept, Loaded, Program};
use crate::hot::handlers;

/// What the code of one function says of tables.
#[derive(Default)]
struct Scan {
    /// Addresses that instructions refer to.
    targets: Vec<u64>,
    /// Addresses of data that are loaded into a register.
    bases: Vec<(Register, u64)>,
    /// Addresses at which instructions begin.
    starts: Vec<u64>,
    /// Whether a jump goes where a sum says, as that of a switch does.
    switches: bool,
    /// What distances were added to, not for a jump: the start of a table, or the register that has it.
    sums: Vec<Base>,
}

/// What an entry of a table is added to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Base {
    Table(u64),
    /// The table was loaded long before.
    Register(Register),
}

/// What the last instruction that wrote a register left there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    /// A pointer from memory, a parameter, what a call returned.
    Whole,
    /// An address of constants.
    Start(u64),
    /// Four bytes from a table that this register points to.
    Distance(Register),
    /// Something computed.
    Computed,
}

impl Program<'_> {
    /// Infers what `--emit-relocs` would have kept. `lists` are addresses of tables of exception handlers.
    pub(in crate::hot) fn infer(&mut self, lists: impl Iterator<Item = u64>) {
        self.infer_loaded();
        for list in lists {
            for (at, field) in handlers::types(self, list) {
                self.kept.insert(at, kept(field, 0));
            }
        }
        let scans: Vec<Scan> = (0..self.functions.len()).into_par_iter().map(|index| self.scan(index)).collect();
        self.anchors.extend(scans.iter().flat_map(|scan| &scan.targets));
        let parts = self.parts();
        let mut tables = BTreeMap::new();
        for index in (0..scans.len()).filter(|index| scans[*index].switches) {
            let own: Vec<(&Scan, Range<u64>)> = parts
                .get(&index)
                .into_iter()
                .flatten()
                .chain([&index])
                .filter_map(|part| Some((scans.get(*part)?, self.range_of(*part))))
                .collect();
            let lands = |to: u64| own.iter().any(|(scan, range)| range.contains(&to) && scan.starts.contains(&to));
            let bases: BTreeSet<u64> = own.iter().flat_map(|(scan, _)| &scan.bases).map(|(_, base)| *base).collect();
            let found: Vec<(u64, u64)> = bases
                .into_iter()
                .map(|base| (base, self.table_end(base, &lands)))
                .filter(|(at, end)| at < end)
                .collect();
            if found.is_empty() {
                self.unresolved.insert(index, "it jumps where no table is found that it could read");
            }
            tables.extend(found);
        }
        for scan in &scans {
            let added = |(register, base): &&(Register, u64)| {
                scan.sums.contains(&Base::Table(*base)) || scan.sums.contains(&Base::Register(*register))
            };
            for (_, base) in scan.bases.iter().filter(added) {
                let end = self.table_end(*base, &|to| self.is_constant(to));
                if *base < end {
                    tables.entry(*base).or_insert(end);
                }
            }
        }
        for (start, end) in tables {
            for at in (start..end).step_by(4) {
                self.kept.insert(at, kept(elf::R_X86_64_PC32, 0));
                self.tables.insert(at, start);
            }
        }
    }

    /// Pointers in data are the loader's.
    fn infer_loaded(&mut self) {
        let mut found = Vec::new();
        for (at, loaded) in &self.loaded {
            if self.section_at(*at).is_none_or(|section| section.name.starts_with(".got")) {
                continue;
            }
            match loaded {
                Loaded::Relative(target) | Loaded::Resolved(target) => {
                    found.push((*at, kept(elf::R_X86_64_64, *target)));
                }
                Loaded::Symbol { .. } => found.push((*at, Kept { undefined: true, ..kept(elf::R_X86_64_64, 0) })),
                Loaded::Copy(_) | Loaded::Thread { .. } => {}
            }
        }
        self.kept.extend(found);
    }

    fn range_of(&self, index: usize) -> Range<u64> {
        self.functions.get(index).map_or(0..0, |func| func.address..func.address + func.size)
    }

    /// By function, its cold parts and the function that it is a part of.
    fn parts(&self) -> BTreeMap<usize, Vec<usize>> {
        let mut by_owner: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, func) in self.functions.iter().enumerate() {
            let owners: BTreeSet<&str> =
                func.names.iter().map(|name| name.split(".cold").next().unwrap_or(name)).collect();
            owners.into_iter().for_each(|owner| by_owner.entry(owner).or_default().push(index));
        }
        let mut parts: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        // Local functions of one name are many; each is tried with the parts of all, which lie elsewhere.
        for group in by_owner.values().filter(|group| (2..=64).contains(&group.len())) {
            for index in group {
                parts.entry(*index).or_default().extend(group.iter().filter(|other| *other != index));
            }
        }
        parts
    }

    /// Where a table of distances from `base` ends: at the next thing that something refers to, or at the first entry
    /// that does not lead where it may.
    fn table_end(&self, base: u64, leads: &dyn Fn(u64) -> bool) -> u64 {
        if !self.is_constant(base) {
            return base;
        }
        let next = self.anchors.range(base + 1..).next().copied().unwrap_or(u64::MAX);
        let mut at = base;
        while at.saturating_add(4) <= next {
            let Some(entry) = self.bytes(at, 4).first_chunk() else { break };
            let to = base.wrapping_add_signed(i64::from(i32::from_le_bytes(*entry)));
            // A table does not lead into itself: these are small numbers.
            if !leads(to) || (base..at + 4).contains(&to) {
                break;
            }
            at += 4;
        }
        at
    }

    /// Reads the code of a function for what it says of tables.
    fn scan(&self, index: usize) -> Scan {
        let range = self.range_of(index);
        let code = self.bytes(range.start, range.end - range.start);
        let mut scan = Scan::default();
        let mut held: BTreeMap<Register, Held> = BTreeMap::new();
        let mut decoder = Decoder::with_ip(64, code, range.start, DecoderOptions::NONE);
        let mut info = InstructionInfoFactory::new();
        let mut instr = Instruction::default();
        while decoder.can_decode() {
            decoder.decode_out(&mut instr);
            if instr.is_invalid() {
                break;
            }
            scan.starts.push(instr.ip());
            if instr.is_ip_rel_memory_operand() {
                let target = instr.ip_rel_memory_address();
                scan.targets.push(target);
                if instr.mnemonic() == Mnemonic::Lea && self.is_constant(target) {
                    scan.bases.push((instr.op0_register().full_register(), target));
                }
            }
            if instr.flow_control() == FlowControl::IndirectBranch && instr.op0_kind() == OpKind::Register {
                let register = instr.op0_register();
                if held.get(&register).is_some_and(|held| matches!(held, Held::Computed | Held::Distance(_))) {
                    scan.switches = true;
                    // What was added up just before was for this jump.
                    scan.sums.pop();
                }
            }
            let next = match scan.bases.last() {
                Some((_, base)) if instr.mnemonic() == Mnemonic::Lea && instr.is_ip_rel_memory_operand() => {
                    if instr.ip_rel_memory_address() == *base { Held::Start(*base) } else { Held::Whole }
                }
                _ => left(&instr, &held),
            };
            if let (Mnemonic::Add, Some(base)) = (instr.mnemonic(), sum(&instr, &held)) {
                scan.sums.push(match held.get(&base) {
                    Some(Held::Start(table)) => Base::Table(*table),
                    _ => Base::Register(base),
                });
            }
            for used in info.info(&instr).used_registers() {
                let register = used.register().full_register();
                let writes = matches!(
                    used.access(),
                    OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite
                );
                if writes && register.is_gpr() {
                    held.insert(
                        register,
                        if register == instr.op0_register().full_register() { next } else { Held::Computed },
                    );
                }
            }
            if matches!(instr.flow_control(), FlowControl::Call | FlowControl::IndirectCall) {
                held.clear();
            }
        }
        scan.starts.sort_unstable();
        scan
    }
}

/// What an instruction leaves in its first operand.
fn left(instr: &Instruction, held: &BTreeMap<Register, Held>) -> Held {
    match instr.code() {
        Code::Mov_r64_rm64 if instr.op1_kind() == OpKind::Memory => Held::Whole,
        Code::Mov_r64_rm64 | Code::Mov_rm64_r64 if instr.op1_kind() == OpKind::Register => {
            held.get(&instr.op1_register()).copied().unwrap_or(Held::Whole)
        }
        Code::Pop_r64 => Held::Whole,
        Code::Movsxd_r64_rm32 if instr.op1_kind() == OpKind::Memory => {
            let plain = instr.memory_displacement64() == 0;
            if plain { Held::Distance(instr.memory_base()) } else { Held::Computed }
        }
        // A conditional move of two pointers is one of them.
        _ if instr.mnemonic() >= Mnemonic::Cmova && instr.mnemonic() <= Mnemonic::Cmovs => {
            let of = |register| held.get(&register).copied().unwrap_or(Held::Whole);
            match (instr.op1_kind(), of(instr.op0_register())) {
                (OpKind::Memory, other) => other,
                (_, Held::Whole) => of(instr.op1_register()),
                (_, other) => other,
            }
        }
        _ => Held::Computed,
    }
}

/// The register with the start of a table to which an entry of it is added.
fn sum(instr: &Instruction, held: &BTreeMap<Register, Held>) -> Option<Register> {
    if instr.op0_kind() != OpKind::Register || instr.op1_kind() != OpKind::Register {
        return None;
    }
    let (one, other) = (instr.op0_register(), instr.op1_register());
    let adds = |to: Register, entry: Register| held.get(&entry) == Some(&Held::Distance(to));
    if adds(other, one) {
        Some(other)
    } else if adds(one, other) {
        Some(one)
    } else {
        None
    }
}

fn kept(kind: elf::RelocationType, target: u64) -> Kept {
    Kept { kind, symbol: None, target, undefined: false }
}
