//! What a running process cannot be given beside code: other variables, other first values, code that runs at the start.

use std::collections::BTreeSet;

use patchwright_formats::hot::References;

use super::likeness::{Comparison, Likeness};
use super::piece::Place;
use super::program::{Datum, Loaded, Program};
use super::{Case, HotObjection};

/// Variables whose size or first value differ, constructors that a running process would not run.
pub(super) fn data_objections(comparison: &Comparison<'_, '_>) -> Vec<HotObjection> {
    let (old, new) = (&comparison.old.program, &comparison.new.program);
    let mut objections = Vec::new();
    let mut replaced = BTreeSet::new();
    for (new_index, old_index) in comparison.data.iter().enumerate() {
        let Some(old_index) = *old_index else { continue };
        let (o, n) = (&old.data[old_index], &new.data[new_index]);
        let subject = n.names.first().cloned().unwrap_or_default();
        let copied = matches!(new.loaded.get(&n.address), Some(Loaded::Copy(_)));
        if !o.typed || !n.typed || copied || LINKER_DATA.contains(&subject.as_str()) {
            continue;
        }
        if old.is_constant(o.address) && new.is_constant(n.address) {
            if matches!(comparison.data_content(old_index, new_index, 0), Likeness::Different(_)) {
                replaced.insert(o.address);
            }
            continue;
        }
        let zeros = |program: &Program<'_>, address| program.section_at(address).is_some_and(|s| s.data.is_empty());
        if o.size != n.size {
            let reason = format!("a variable of {} bytes is one of {} bytes in the new build", o.size, n.size);
            objections.push(HotObjection { subject, case: Case::Data, reason });
        } else if !(zeros(old, o.address) && zeros(new, n.address))
            && matches!(comparison.initial_content(old_index, new_index, 0), Likeness::Different(_))
        {
            let reason =
                "a variable begins with another value in the new build; a process has its own by now".to_owned();
            objections.push(HotObjection { subject, case: Case::Data, reason });
        }
    }
    objections.extend(pointers_to(comparison, &replaced));
    objections.extend(thread_objections(comparison));
    objections.extend(constructor_objections(comparison));
    objections
}

/// Variables that point to constants which are replaced: they would go on pointing to the old ones.
fn pointers_to(comparison: &Comparison<'_, '_>, replaced: &BTreeSet<u64>) -> Vec<HotObjection> {
    let old = &comparison.old.program;
    let variables = old.kept.iter().filter(|(at, kept)| {
        !old.is_constant(**at)
            && !old.section_at(**at).is_some_and(|section| section.executable)
            && kept.kind == object::elf::R_X86_64_64
    });
    let mut objections = Vec::new();
    for (at, kept) in variables {
        if let Place::Datum(index, _) = old.place(kept.target, kept.symbol.filter(|_| !kept.undefined))
            && replaced.contains(&old.data[index].address)
        {
            let subject = old.data[index].names.first().cloned().unwrap_or_default();
            let holder = old.describe(&old.place(*at, None));
            let reason = format!("a constant differs, and the variable {holder} points to it");
            objections.push(HotObjection { subject, case: Case::Data, reason });
        }
    }
    objections
}

fn thread_objections(comparison: &Comparison<'_, '_>) -> Vec<HotObjection> {
    let (old, new) = (&comparison.old.program, &comparison.new.program);
    let mut objections = thread_places(old, new);
    for (new_index, old_index) in comparison.thread_data.iter().enumerate() {
        let Some(old_index) = *old_index else { continue };
        let (o, n) = (&old.thread_data[old_index], &new.thread_data[new_index]);
        // What lies behind the first values begins as zero.
        let first = |program: &Program<'_>, datum: &Datum| {
            let block = program.sections.iter().find(|section| section.name == ".tdata");
            let held = block.filter(|block| datum.address + datum.size <= block.size);
            held.map(|block| (block.address + datum.address, block.address + datum.address + datum.size))
        };
        let alike = match (first(old, o), first(new, n)) {
            (None, None) => true,
            (Some(old), Some(new)) => comparison.stretches(old, new),
            (Some(held), None) => old.bytes(held.0, o.size).iter().all(|byte| *byte == 0),
            (None, Some(held)) => new.bytes(held.0, n.size).iter().all(|byte| *byte == 0),
        };
        let reason = if o.size != n.size {
            format!("a thread variable of {} bytes is one of {} bytes in the new build", o.size, n.size)
        } else if !alike {
            "a thread variable begins with another value in the new build".to_owned()
        } else {
            continue;
        };
        let subject = n.names.first().cloned().unwrap_or_default();
        objections.push(HotObjection { subject, case: Case::Data, reason });
    }
    objections
}

/// Without relocations, the place of a thread variable is a number in an instruction like any other: all must be where
/// they were.
fn thread_places(old: &Program<'_>, new: &Program<'_>) -> Vec<HotObjection> {
    let decoded = [old, new].iter().any(|program| program.references == References::Decoded);
    let places = |program: &Program<'_>| {
        let data = program.thread_data.iter();
        (program.thread_block, data.map(|datum| (datum.address, datum.size, datum.names.clone())).collect::<Vec<_>>())
    };
    if !decoded || places(old) == places(new) {
        return Vec::new();
    }
    let subject = "thread variables".to_owned();
    let reason = "they are others, or at other places, and code that uses them cannot be told from code that does not \
                  without relocations: link with -Wl,--emit-relocs"
        .to_owned();
    vec![HotObjection { subject, case: Case::NewThreadVariable, reason }]
}

fn constructor_objections(comparison: &Comparison<'_, '_>) -> Vec<HotObjection> {
    let mut objections = Vec::new();
    for name in [".preinit_array", ".init_array", ".fini_array"] {
        let list = |program: &Program<'_>| {
            let section = program.sections.iter().find(|section| section.name == name);
            section.map_or(Vec::new(), |section| {
                program.data_piece(section.address, section.address + section.size).references
            })
        };
        let (old, new) = (list(&comparison.old.program), list(&comparison.new.program));
        let same = old.len() == new.len()
            && old.iter().zip(&new).all(|(o, n)| comparison.places(&o.place, &n.place, 0, 0) == Likeness::Same);
        if !same {
            let reason = "functions that run before main or at the end are others; they will not run".to_owned();
            objections.push(HotObjection { subject: name.to_owned(), case: Case::Constructor, reason });
        }
    }
    objections
}

/// Symbols that linkers and start files make.
pub(super) const LINKER_DATA: [&str; 9] = [
    "_IO_stdin_used",
    "__dso_handle",
    "_DYNAMIC",
    "_GLOBAL_OFFSET_TABLE_",
    "__frame_dummy_init_array_entry",
    "__do_global_dtors_aux_fini_array_entry",
    "completed.0",
    "__FRAME_END__",
    "__abi_tag",
];
