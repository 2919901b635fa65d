//! Tables of addresses that compilers and linkers leave for others: guard tables and exception handlers of PE, the unwind
//! index of ARM, functions compiled with room for a patch. And the one prologue that is a promise.

use std::collections::BTreeMap;

use object::read::{File, Object as _, ObjectSection as _};

use super::{Found, Source};
use crate::code::{What, decode};
use crate::image::{Address, Edge, Format, Guard, Image, Kind, Machine, Pe, Via, is_relative};

/// Functions that indirect calls may reach, exception handlers, and ways into the middle of functions.
pub(super) fn guard(pe: &Pe<'_>, image: &mut Image<'_>, found: &mut Found) {
    let thumb = u64::from(image.machine == Machine::Arm);
    for address in pe.guard_table(Guard::Functions) {
        note(image, found, address & !thumb, Source::GuardTable);
    }
    if image.machine == Machine::X86 {
        for address in pe.guard_table(Guard::Handlers) {
            note(image, found, address, Source::Handlers);
        }
    }
    for (table, via) in [(Guard::Continuations, Via::Continuation), (Guard::LongJumps, Via::LongJump)] {
        let targets = pe.guard_table(table).into_iter().map(|to| to & !thumb);
        image.edges.extend(targets.map(|to| Edge { to, from: to, via }));
    }
}

fn note(image: &Image<'_>, found: &mut Found, address: u64, source: Source) {
    if image.section_of(address).is_none() {
        let text = format!("{} has an entry here, where no code is", source.name());
        found.disagree(address, text);
    } else {
        found.note_range(image, address, 0, source);
    }
}

/// `.ARM.exidx`: pairs of the distance to a function and of unwind data. It has no lengths.
pub(super) fn exidx(file: &File<'_>, image: &Image<'_>, found: &mut Found) {
    if image.machine != Machine::Arm {
        return;
    }
    let Some(section) = file.section_by_name(".ARM.exidx") else { return };
    let (entries, _) = section.data().unwrap_or_default().as_chunks::<8>();
    for (place, entry) in (section.address()..).step_by(8).zip(entries) {
        let Some(word) = entry.first_chunk().map(|word| u32::from_le_bytes(*word)) else { continue };
        // 31 bits with a sign.
        let distance = i64::from((word << 1).cast_signed() >> 1);
        let address = place.wrapping_add_signed(distance) & !1;
        // Several functions without unwind data may share an entry, so it says nothing about the end.
        found.note_range(image, address, 0, Source::Exidx);
    }
}

/// Each entry holds the address of the first nop, before the function where there is a pad. A position-independent
/// image has it in a relocation, and not all linkers leave it in the section as well.
pub(super) fn patchable_entries(file: &File<'_>, image: &Image<'_>, found: &mut Found) {
    let Some(section) = file.section_by_name("__patchable_function_entries") else { return };
    let Ok(data) = section.data() else { return };
    let width = if file.is_64() { 8_u8 } else { 4 };
    let range = section.address()..section.address().saturating_add(data.len() as u64);
    let moved: BTreeMap<u64, u64> = file
        .dynamic_relocations()
        .into_iter()
        .flatten()
        .filter(|(at, relocation)| range.contains(at) && is_relative(relocation) && relocation.addend() != 0)
        .take(data.len())
        .map(|(at, relocation)| (at, relocation.addend().cast_unsigned()))
        .collect();
    let stored = data
        .chunks_exact(usize::from(width))
        .map(|chunk| chunk.iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte)));
    for (slot, value) in (range.start..).step_by(usize::from(width)).zip(stored) {
        let first_nop = moved.get(&slot).copied().unwrap_or(value);
        // A linker for Windows rounds the section up with zeros.
        if first_nop == 0 && image.format == Format::Pe {
            continue;
        }
        let next = found.functions.range(first_nop..).next().map(|(address, _)| *address);
        let inside = found.functions.range(..=first_nop).next_back().map(|(address, _)| *address);
        // Without a pad the nops may stand behind ENDBR.
        let entry =
            next.filter(|next| is_filler(image, first_nop, *next)).or(inside.filter(|start| first_nop - start <= 8));
        if let Some(function) = entry.and_then(|entry| found.functions.get_mut(&entry)) {
            function.sources.push(Source::PatchableEntries);
        } else {
            let text = "__patchable_function_entries leads here, where no source has a function".to_owned();
            found.disagree(first_nop, text);
        }
    }
}

/// Whether there is nothing but filler in `[from, to)`, which is no longer than a pad can be.
fn is_filler(image: &Image<'_>, mut from: u64, to: u64) -> bool {
    if to - from > 256 {
        return false;
    }
    while from < to {
        match decode(image.isa(from), image.bytes(Address(from), Address(to)), from) {
            Some(instr) if matches!(instr.what, What::Filler { .. }) => from += instr.len as u64,
            _ => return false,
        }
    }
    true
}

/// Five bytes of filler, `mov edi, edi; push ebp; mov ebp, esp`: x86 code for Windows has no table of all functions, and
/// no compiler makes this by chance. It misses every function whose first instruction was long enough already.
pub(super) fn prologues(image: &Image<'_>, found: &mut Found) {
    const PROLOGUE: [u8; 5] = [0x8b, 0xff, 0x55, 0x8b, 0xec];
    if image.machine != Machine::X86 || image.format != Format::Pe || image.kind == Kind::Object {
        return;
    }
    for section in &image.sections {
        for (at, window) in section.data.windows(10).enumerate() {
            let (filler, code) = window.split_at(5);
            if code == PROLOGUE && (filler == [0xcc; 5] || filler == [0x90; 5]) {
                found.note_range(image, section.address + at as u64 + 5, 0, Source::Prologue);
            }
        }
    }
}
