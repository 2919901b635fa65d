//! The hot build: what differs between two builds of a program, as a patch for processes that run the old one.
//!
//! Why it is sound: the new program is its changed and new functions and the old program's others, byte for byte. So
//! whatever a compiler did with a change (inlined it, cloned it, moved part of it away) shows as functions whose code
//! differs, and all of them are switched together. The steps, file by file:
//!
//! - `program`: sections, symbols, relocations that the linker kept, what the loader fills in;
//! - `piece`: a function or datum as bytes and references by identity;
//! - `twins`: which old function or datum is which new one;
//! - `likeness`: whether they are the same;
//! - `types`: whether types are laid out the same, by debug information;
//! - `build`: the closed set with what it needs, laid out; `unwind`, `site`: its unwind data, its redirects.
//!
//! What cannot be done is collected and refused once, each with its [`Case`].

mod build;
mod likeness;
mod lines;
mod piece;
mod program;
mod site;
mod twins;
mod types;
mod unwind;

use std::collections::{BTreeMap, BTreeSet};

use object::read::{File, Object as _, ObjectSection as _};
use patchwright_formats::hot::HotPart;
use rayon::prelude::*;

use crate::error::ImageError;
use crate::image::Image;
use crate::starts::origin::is_runtime_name;

use build::{Builder, Included};
use likeness::{Comparison, Likeness, Side};
use piece::{Place, Use};
use program::{Datum, Func, Loaded, Program};
use site::Sites;
use twins::{Item, pair};
use unwind::Frame;

/// A hot part, and what whoever ships it should know.
#[derive(Clone, Debug)]
pub struct HotBuild {
    /// What processes get.
    pub part: HotPart,
    /// Functions that differ in line numbers alone and are left out.
    pub line_only: Vec<String>,
    /// What could not be looked at, or works with a restriction.
    pub warnings: Vec<String>,
}

/// Why there is no hot part.
#[derive(Clone, Debug)]
pub enum HotError {
    /// The file at fault cannot be used: the old one or the new one.
    Image {
        /// Whether it is the old one.
        old: bool,
        /// What is wrong with it.
        error: ImageError,
    },
    /// No function differs.
    NothingChanged,
    /// The change cannot be made to a running process; every reason.
    Refused(Vec<HotObjection>),
}

/// Why something cannot be done to a running process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HotObjection {
    /// What it is about: a function, variable or type.
    pub subject: String,
    /// The sort of reason.
    pub case: Case,
    /// One sentence without a full stop.
    pub reason: String,
}

/// Sorts of reasons, each with a section in `docs/guide/patch-a-process.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Case {
    /// A variable, its value or its place.
    Data,
    /// How a type is laid out.
    Layout,
    /// No room for a jump, or somebody branches there.
    Entry,
    /// Code or references that cannot be understood.
    Unreadable,
    /// A new variable of each thread.
    NewThreadVariable,
    /// A function that is chosen when the program starts.
    Ifunc,
    /// A symbol of another module.
    Import,
    /// Several functions that share their code.
    Folded,
    /// Code that runs before `main`.
    Constructor,
    /// Unwind data.
    Unwind,
    /// No build identity.
    Identity,
}

impl Case {
    /// A short name, as reports spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Layout => "layout",
            Self::Entry => "entry",
            Self::Unreadable => "unreadable",
            Self::NewThreadVariable => "thread-variable",
            Self::Ifunc => "ifunc",
            Self::Import => "import",
            Self::Folded => "folded",
            Self::Constructor => "constructor",
            Self::Unwind => "unwind",
            Self::Identity => "identity",
        }
    }
}

/// Compares two builds of a program and makes the hot part that leads from one to the other.
///
/// Both must be ELF programs or libraries for x86-64 with symbols, a build identity, and the relocations that
/// `-Wl,--emit-relocs` keeps.
///
/// # Errors
/// See [`HotError`].
pub fn build(old: &[u8], new: &[u8]) -> Result<HotBuild, HotError> {
    let of_old = |error| HotError::Image { old: true, error };
    let of_new = |error| HotError::Image { old: false, error };
    let (mut old_side, _) = read(old).map_err(of_old)?;
    let (mut new_side, new_frames) = read(new).map_err(of_new)?;
    lines::mark((&mut old_side, old), (&mut new_side, new));
    let mut warnings = Vec::new();
    let mut objections = identities(&old_side, &new_side);
    let comparison = correlate(&old_side, &new_side);
    let (included, line_only, parts) = closed_set(&comparison, &mut objections);
    objections.extend(data_objections(&comparison));
    match types::changes(old, new) {
        Some(changes) if !included.is_empty() => objections
            .extend(changes.into_iter().map(|(subject, reason)| HotObjection { subject, case: Case::Layout, reason })),
        Some(_) => {}
        None => warnings.push(
            "without debug information in both builds (-g) it is not known whether types are laid out the same"
                .to_owned(),
        ),
    }
    if included.is_empty() && objections.is_empty() {
        return Err(HotError::NothingChanged);
    }
    if included.keys().any(|index| new_side.program.functions[*index].names.iter().any(|name| name == "main")) {
        warnings.push("main changed, which never returns while the program runs: no process can be patched".to_owned());
    }
    let unwound = needs_unwind(&old_side.program, &new_side.program);
    let mut builder = Builder::new(&comparison, included);
    builder.close(&new_frames, unwound);
    builder.objections.splice(0..0, objections);
    let image = Image::read(old).map_err(of_old)?;
    let sites = Sites::new(&image, code_pointers(&old_side.program));
    let part = builder.finish(&sites, &parts).map_err(HotError::Refused)?;
    Ok(HotBuild { part, line_only, warnings })
}

/// Reads a program, all its functions, and its unwind data.
fn read(bytes: &[u8]) -> Result<(Side<'_>, Vec<Frame<'_>>), ImageError> {
    let mut program = Program::read(bytes)?;
    let file = File::parse(bytes)?;
    let frames = match file.section_by_name(".eh_frame") {
        Some(section) => match section.data()? {
            data if data.len() <= unwind::LONGEST => unwind::read(data, section.address()),
            data => return Err(ImageError::unsupported(format!("{} bytes of unwind data", data.len()))),
        },
        None => Vec::new(),
    };
    let handlers: BTreeMap<u64, u64> = frames.iter().filter_map(|frame| Some((frame.start, frame.handlers?))).collect();
    program.anchors.extend(handlers.values());
    let pieces: Vec<_> =
        (0..program.functions.len()).into_par_iter().map(|index| program.function_piece(index)).collect();
    // What code refers to begins something.
    let referred = pieces.iter().flat_map(|piece| &piece.references).filter(|reference| reference.used != Use::Branch);
    let targets: Vec<u64> = referred.map(|reference| reference.target).collect();
    program.anchors.extend(targets);
    Ok((Side { program, pieces, handlers }, frames))
}

fn identities(old: &Side<'_>, new: &Side<'_>) -> Vec<HotObjection> {
    let object = |reason: &str| {
        vec![HotObjection { subject: "build identity".to_owned(), case: Case::Identity, reason: reason.to_owned() }]
    };
    if old.program.build.is_empty() || new.program.build.is_empty() {
        return object("there is none: processes are recognised by it; link with -Wl,--build-id");
    }
    if old.program.build == new.program.build {
        return object("both builds have the same");
    }
    Vec::new()
}

/// Finds out who is who.
fn correlate<'a, 'data>(old: &'a Side<'data>, new: &'a Side<'data>) -> Comparison<'a, 'data> {
    fn functions(list: &[Func]) -> Vec<Item<'_>> {
        list.iter().map(|func| Item { names: &func.names, file: func.file.as_deref() }).collect()
    }
    fn data(list: &[Datum]) -> Vec<Item<'_>> {
        list.iter().map(|datum| Item { names: &datum.names, file: datum.file.as_deref() }).collect()
    }
    let function_twins = pair(&functions(&old.program.functions), &functions(&new.program.functions), None);
    let users = (data_users(old), data_users(new));
    let data_twins = pair(&data(&old.program.data), &data(&new.program.data), Some((&users.0, &users.1)));
    let thread_twins = pair(&data(&old.program.thread_data), &data(&new.program.thread_data), None);
    Comparison::new(old, new, function_twins, data_twins, thread_twins)
}

/// For each datum the names of the functions that refer to it.
fn data_users(side: &Side<'_>) -> Vec<BTreeSet<String>> {
    let mut users = vec![BTreeSet::new(); side.program.data.len()];
    for (func, piece) in side.program.functions.iter().zip(&side.pieces) {
        let name = func.names.first().map(|name| twins::without_numbers(name).unwrap_or_else(|| name.clone()));
        for reference in &piece.references {
            if let (Place::Datum(index, _), Some(name)) = (&reference.place, &name) {
                users[*index].insert(name.clone());
            }
        }
    }
    users
}

/// The function that a cold part belongs to, by name.
fn owner_of(name: &str) -> Option<&str> {
    name.find(".cold").map(|at| &name[..at])
}

type ClosedSet = (BTreeMap<usize, Included>, Vec<String>, Vec<(usize, String)>);

/// The functions that differ, their cold parts and owners; those that differ in line numbers alone; and old parts that
/// the new build does not have.
fn closed_set(comparison: &Comparison<'_, '_>, objections: &mut Vec<HotObjection>) -> ClosedSet {
    let (old, new) = (&comparison.old.program, &comparison.new.program);
    let mut included: BTreeMap<usize, Included> = BTreeMap::new();
    let mut line_only = Vec::new();
    let mut by_old: BTreeMap<usize, Vec<(usize, bool)>> = BTreeMap::new();
    for (old_index, new_index) in same_names(comparison) {
        let name = || new.functions[new_index].names.first().cloned().unwrap_or_default();
        if new.functions[new_index].names.iter().any(|name| is_runtime_name(name)) {
            continue;
        }
        let changed = match comparison.functions(old_index, new_index) {
            Likeness::Same => false,
            Likeness::Lines => {
                line_only.push(name());
                false
            }
            Likeness::Different(why) => {
                let entry = included.entry(new_index).or_insert_with(|| Included { why, olds: Vec::new() });
                entry.olds.push(old_index);
                if new.functions[new_index].indirect || old.functions[old_index].indirect {
                    let reason = "it chooses a function when the program starts (IFUNC), and has chosen".to_owned();
                    objections.push(HotObjection { subject: name(), case: Case::Ifunc, reason });
                }
                true
            }
        };
        by_old.entry(old_index).or_default().push((new_index, changed));
    }
    for (old_index, news) in &by_old {
        if news.len() > 1 && news.iter().any(|(_, changed)| *changed) {
            let names = |index: &usize| new.functions[*index].names.join(", ");
            let list: Vec<String> = news.iter().map(|(index, _)| names(index)).collect();
            let reason = format!("{} share one code in the old build and no longer do", list.join(" and "));
            let subject = old.functions[*old_index].names.first().cloned().unwrap_or_default();
            objections.push(HotObjection { subject, case: Case::Folded, reason });
        }
    }
    let parts = unite_parts(comparison, &mut included);
    (included, line_only, parts)
}

/// Pairs of functions that share a name, twins among them.
fn same_names(comparison: &Comparison<'_, '_>) -> BTreeSet<(usize, usize)> {
    let (old, new) = (&comparison.old.program, &comparison.new.program);
    let mut pairs: BTreeSet<(usize, usize)> =
        comparison.functions.iter().enumerate().filter_map(|(new, old)| Some(((*old)?, new))).collect();
    // Other names of a function are other ways to reach it. Local names may be there many times.
    let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, func) in old.functions.iter().enumerate() {
        func.names.iter().for_each(|name| by_name.entry(name).or_default().push(index));
    }
    for (index, func) in
        new.functions.iter().enumerate().filter(|(_, func)| func.names.len() > 1 || func.file.is_none())
    {
        for name in &func.names {
            if let Some([old_index]) = by_name.get(name.as_str()).map(Vec::as_slice) {
                pairs.insert((*old_index, index));
            }
        }
    }
    pairs
}

/// A function and its cold part are one: if one is in the set, so is the other.
fn unite_parts(comparison: &Comparison<'_, '_>, included: &mut BTreeMap<usize, Included>) -> Vec<(usize, String)> {
    fn parts(program: &Program<'_>) -> Vec<(usize, usize)> {
        let mut owners: BTreeMap<(&str, Option<&str>), usize> = BTreeMap::new();
        for (index, func) in program.functions.iter().enumerate() {
            func.names.iter().for_each(|name| {
                owners.insert((name, func.file.as_deref()), index);
                owners.entry((name, None)).or_insert(index);
            });
        }
        let owner = |func: &Func| {
            let name = func.names.iter().find_map(|name| owner_of(name))?;
            owners.get(&(name, func.file.as_deref())).or_else(|| owners.get(&(name, None))).copied()
        };
        program.functions.iter().enumerate().filter_map(|(index, func)| Some((index, owner(func)?))).collect()
    }
    let (old, new) = (&comparison.old.program, &comparison.new.program);
    let new_parts = parts(new);
    loop {
        let before = included.len();
        for (part, owner) in &new_parts {
            for (one, other) in [(part, owner), (owner, part)] {
                if included.contains_key(one) && !included.contains_key(other) {
                    let names = (&new.functions[*one].names, &new.functions[*other].names);
                    let name = names.0.first().cloned().unwrap_or_default();
                    let olds = comparison.functions[*other].into_iter().collect();
                    included.insert(*other, Included { why: format!("it is one with {name}, which changed"), olds });
                }
            }
        }
        if included.len() == before {
            break;
        }
    }
    let replaced: BTreeSet<usize> = included.values().flat_map(|included| included.olds.iter().copied()).collect();
    let mut gone = Vec::new();
    for (part, owner) in parts(old) {
        if replaced.contains(&owner) && !replaced.contains(&part) {
            let name = old.functions[owner].names.first().cloned().unwrap_or_default();
            gone.push((part, format!("it is a part of {name}, which changed")));
        }
    }
    gone
}

/// Variables whose size or first value differ, constructors that a running process would not run.
fn data_objections(comparison: &Comparison<'_, '_>) -> Vec<HotObjection> {
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
    let mut objections = Vec::new();
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
const LINKER_DATA: [&str; 9] = [
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

/// Whether exceptions may pass through new functions: the language has them.
fn needs_unwind(old: &Program<'_>, new: &Program<'_>) -> bool {
    let languages =
        ["DW.ref.__gxx_personality_v0", "DW.ref.rust_eh_personality", "__gxx_personality_v0", "rust_eh_personality"];
    let named = |program: &Program<'_>| {
        let data = program.data.iter().flat_map(|datum| &datum.names);
        let functions = program.functions.iter().flat_map(|func| &func.names);
        data.chain(functions).any(|name| languages.contains(&name.as_str()))
    };
    named(old) || named(new)
}

/// Addresses in code that data or instructions point to.
fn code_pointers(program: &Program<'_>) -> Vec<u64> {
    let in_code = |address: &u64| program.section_at(*address).is_some_and(|section| section.executable);
    let mut pointers: Vec<u64> = program.anchors.iter().copied().filter(in_code).collect();
    // Entries of jump tables count from the table, which begins where something refers to. Unwind data are no such
    // table: they name the starts of functions, and count from themselves.
    for (at, _) in program.kept.iter().filter(|(_, kept)| kept.kind == object::elf::R_X86_64_PC32) {
        if let Some(section) = program.section_at(*at)
            && !section.executable
            && !section.name.starts_with(".eh_frame")
            && !section.name.starts_with(".gcc_except_table")
            && let Some(start) = program.anchors.range(..=*at).next_back()
        {
            let value = program.bytes(*at, 4).first_chunk().map_or(0, |bytes| i32::from_le_bytes(*bytes));
            pointers.extend(Some(start.wrapping_add_signed(i64::from(value))).filter(in_code));
        }
    }
    pointers
}
