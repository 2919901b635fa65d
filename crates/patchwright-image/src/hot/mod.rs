//! The hot build: what differs between two builds of a program, as a patch for processes that run the old one.
//!
//! Why it is sound: the new program is its changed and new functions and the old program's others, byte for byte. So
//! whatever a compiler did with a change (inlined it, cloned it, moved part of it away) shows as functions whose code
//! differs, and all of them are switched together. The steps, file by file:
//!
//! - `program`: sections, symbols, relocations that the linker kept or that can be inferred, what the loader fills in;
//!   `handlers`: what tables of exception handlers refer to; `objects`: relocations of what was linked;
//! - `piece`: a function or datum as bytes and references by identity;
//! - `twins`: which old function or datum is which new one;
//! - `likeness`: whether they are the same;
//! - `closed`: the closed set; `objections`: what of the data stands against it;
//! - `types`: whether types are laid out the same, by debug information;
//! - `build`: the closed set with what it needs, laid out; `unwind`, `site`: its unwind data, its redirects.
//!
//! What cannot be done is collected and refused once, each with its [`Case`].

mod build;
mod closed;
mod debug;
mod handlers;
mod likeness;
mod lines;
mod objections;
mod objects;
mod piece;
mod program;
mod site;
mod twins;
mod types;
mod unwind;

use std::collections::{BTreeMap, BTreeSet};

use object::read::{File, Object as _, ObjectSection as _};
use patchwright_formats::hot::{HotPart, References};
use rayon::prelude::*;

use crate::error::ImageError;
use crate::image::Image;

pub use objects::ObjectFile;

use build::Builder;
use closed::closed_set;
use likeness::{Comparison, Side};
use objections::data_objections;
use piece::{Place, Use};
use program::{Datum, Func, Program};
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
/// Both must be ELF programs or libraries for x86-64 with symbols and a build identity, and have the relocations that
/// `-Wl,--emit-relocs` keeps or be position-independent.
///
/// # Errors
/// See [`HotError`].
pub fn build(old: &[u8], new: &[u8]) -> Result<HotBuild, HotError> {
    build_linked(Linked { file: old, objects: &[] }, Linked { file: new, objects: &[] })
}

/// A linked program or library, and what it was linked from.
#[derive(Clone, Copy, Debug)]
pub struct Linked<'data> {
    /// The program.
    pub file: &'data [u8],
    /// Objects and archives, with those that it has nothing of; none where they are not at hand.
    pub objects: &'data [ObjectFile],
}

/// Like [`build`], with the objects that the builds were linked from. They tell the references of a program that was
/// linked without `-Wl,--emit-relocs`.
///
/// # Errors
/// See [`HotError`]; objects that are not those of the program are one.
pub fn build_linked(old: Linked<'_>, new: Linked<'_>) -> Result<HotBuild, HotError> {
    let (old_objects, new_objects) = (old.objects, new.objects);
    let (old, new) = (old.file, new.file);
    let of_old = |error| HotError::Image { old: true, error };
    let of_new = |error| HotError::Image { old: false, error };
    let mut objections = Vec::new();
    let (mut old_side, _) = read(old, old_objects, &mut objections).map_err(of_old)?;
    let (mut new_side, new_frames) = read(new, new_objects, &mut objections).map_err(of_new)?;
    lines::mark((&mut old_side, old), (&mut new_side, new));
    let mut warnings = Vec::new();
    objections.extend(identities(&old_side, &new_side));
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
fn read<'data>(
    bytes: &'data [u8],
    objects: &[ObjectFile],
    objections: &mut Vec<HotObjection>,
) -> Result<(Side<'data>, Vec<Frame<'data>>), ImageError> {
    let mut program = Program::read(bytes, !objects.is_empty())?;
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
    if program.references == References::Decoded {
        program.infer(handlers.values().copied());
        if !objects.is_empty() {
            objections.extend(program.link(objects)?);
        }
    }
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
