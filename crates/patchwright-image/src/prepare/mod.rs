//! Makes objects hot-patchable that were compiled without it.
//!
//! A function needs two things: filler before its entry (the *pad*), and a first instruction that one store can replace
//! and that nothing jumps back to. Where the first instruction is wrong, a nop is put before it (the *island*), and the
//! symbol moves to the nop:
//!
//! ```text
//! before:  f: push rbp ...             after:  cc cc cc ... cc | f: 66 90 | push rbp ...
//! ```
//!
//! Calls and pointers go through the symbol and enter at the nop. Branches of the function, unwind and debug data
//! speak of the old code and stay with it. `docs/formats/prepare.md` has the rules one by one.
//!
//! - `model`: an object of any format; `elf`, `coff`: bytes ⇄ model; `codeview`: what a COFF object tells its linker;
//! - `flow`: what instructions refer to; `targets`: where relocations lead; `plan`: which function needs what, or why it cannot have it;
//! - `edit`: where offsets go; `rewrite`: everything moves there; `dwarf`: debug data; `frames`, `seh`, `lsda`: unwind data of islands;
//! - `archive`: the same for every object of an archive.
//!
//! Nothing is promised that the audit of the result does not confirm.

mod archive;
mod bytes;
mod codeview;
mod coff;
mod dwarf;
mod edit;
mod elf;
mod flow;
mod frames;
mod lsda;
mod model;
mod plan;
mod rewrite;
mod seh;
mod targets;

use std::borrow::Cow;

use crate::audit::{Verdict, audit};
use crate::error::ImageError;
use crate::image::{Image, Machine};
pub use archive::{PreparedArchive, PreparedMember, prepare_archive};
use coff::Coff;
use elf::Elf;
use model::Model;
use plan::{Plan, State};

/// What an object is prepared for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrepareOptions {
    /// Bytes of pad before each entry; by default 5 on x86, 6 on x86-64, 16 on ARM64.
    pub min_pad: Option<usize>,
}

impl PrepareOptions {
    fn min_pad(self, machine: Machine) -> usize {
        self.min_pad.unwrap_or(match machine {
            // A jump to anywhere: ldr x16, .+8; br x16; and the address.
            Machine::Aarch64 => 16,
            other => other.default_pad(),
        })
    }
}

/// An object, prepared.
#[derive(Clone, Debug)]
pub struct Prepared<'data> {
    /// The new object; borrowed where nothing had to change.
    pub bytes: Cow<'data, [u8]>,
    /// Its functions, by section and offset.
    pub functions: Vec<PreparedFunction>,
    /// Whether the linker must make the pads of functions that begin a section: with `/functionpadmin`.
    pub linker_pads: bool,
}

/// What became of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreparedFunction {
    /// Its names, sorted.
    pub names: Vec<String>,
    /// The section it is in.
    pub section: String,
    /// Where it was in the section.
    pub offset: u64,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was hot-patchable before.
    Already,
    /// It is hot-patchable now.
    Prepared,
    /// It is a part of another function, or a thunk.
    Exempt,
    /// It stays as it was.
    Refused {
        /// All that stands against it.
        reasons: Vec<String>,
    },
}

/// Makes the functions of a relocatable object hot-patchable, as many as can be.
///
/// # Errors
/// The file is damaged, or no object of a format and machine type that is supported.
pub fn prepare<'data>(data: &'data [u8], options: &PrepareOptions) -> Result<Prepared<'data>, ImageError> {
    let mut prepared = once(data, options)?;
    // What had to be left out for its neighbours' sake may find room now; mostly there is nothing left to do.
    for _ in 0..PASSES {
        let Cow::Owned(bytes) = &prepared.bytes else { break };
        let Ok(again) = once(bytes, options) else { break };
        let Cow::Owned(more) = again.bytes else { break };
        for (function, now) in prepared.functions.iter_mut().zip(again.functions) {
            if now.outcome == Outcome::Prepared {
                function.outcome = Outcome::Prepared;
            }
        }
        prepared.bytes = Cow::Owned(more);
    }
    Ok(prepared)
}

/// How often the result is looked at again.
const PASSES: usize = 4;

/// One pass over an object.
fn once<'data>(data: &'data [u8], options: &PrepareOptions) -> Result<Prepared<'data>, ImageError> {
    if data.starts_with(b"BC\xc0\xde") || data.starts_with(&[0xde, 0xc0, 0x17, 0x0b]) {
        return Err(ImageError::unsupported(
            "LLVM bitcode, which becomes code at the link: compile without link-time optimisation",
        ));
    }
    if by_nature(data) {
        return Ok(Prepared { bytes: Cow::Borrowed(data), functions: Vec::new(), linker_pads: true });
    }
    let (file, model) = File::read(data)?;
    let min_pad = options.min_pad(model.machine);
    let linker_pads = file.linker_pads();
    let mut plan = Plan::new(data, &model, min_pad, linker_pads)?;
    let mut rounds = 0;
    let bytes = loop {
        let Some(bytes) = build(&file, &model, &mut plan)? else {
            break match file.lacks_mark(&model) && plan.functions.iter().any(|one| one.state == State::Already) {
                true => Cow::Owned(file.write(&model, &model)?),
                false => Cow::Borrowed(data),
            };
        };
        if !withdraw_unconfirmed(&bytes, &model, &mut plan, min_pad)? {
            break Cow::Owned(bytes);
        }
        rounds += 1;
        if rounds == ROUNDS {
            plan.refuse_all("the audit of the result does not confirm its neighbours");
        }
    };
    Ok(Prepared { bytes, functions: report(&model, plan), linker_pads })
}

/// An object of either format.
enum File<'data> {
    Elf(Elf<'data>),
    Coff(Coff<'data>),
}

impl<'data> File<'data> {
    fn read(data: &'data [u8]) -> Result<(Self, Model<'data>), ImageError> {
        if data.starts_with(b"\x7fELF") {
            let (file, model) = Elf::read(data)?;
            return Ok((Self::Elf(file), model));
        }
        if data.starts_with(&[0, 0, 0xff, 0xff]) {
            return Err(ImageError::unsupported("a COFF object of the big form (/bigobj), or an import object"));
        }
        let (file, model) = Coff::read(data)?;
        Ok((Self::Coff(file), model))
    }

    fn write(&self, old: &Model<'_>, new: &Model<'_>) -> Result<Vec<u8>, ImageError> {
        match self {
            Self::Elf(file) => file.write(old, new),
            Self::Coff(file) => file.write(old, new),
        }
    }

    fn linker_pads(&self) -> bool {
        matches!(self, Self::Coff(file) if file.linker_pads)
    }

    fn lacks_mark(&self, model: &Model<'_>) -> bool {
        matches!(self, Self::Coff(file) if file.lacks_mark(model))
    }
}

/// COFF objects for ARM64 and for Thumb: every instruction is long enough, and linkers pad them all.
fn by_nature(data: &[u8]) -> bool {
    matches!(data, [0x64, 0xaa, ..] | [0xc4, 0x01, ..])
}

/// How often a plan is taken back in part before it is given up.
const ROUNDS: usize = 8;

/// The new object, without what turned out to be out of reach; `None` if there is nothing to change.
fn build(file: &File<'_>, model: &Model<'_>, plan: &mut Plan) -> Result<Option<Vec<u8>>, ImageError> {
    for round in 0.. {
        if round == ROUNDS {
            plan.refuse_all("branches cannot reach across the new bytes");
        }
        if !plan.is_anything_to_do() {
            return Ok(None);
        }
        let mut edits = plan.edits(model);
        let debug = dwarf::edit(model, &plan.targets, &edits);
        if debug.is_none() {
            plan.refuse_debugged();
            if !plan.is_anything_to_do() {
                return Ok(None);
            }
            edits = plan.edits(model);
        }
        match rewrite::rewrite(model, plan, &edits, debug.as_ref()) {
            Ok(new) => {
                if let Some(why) = rewrite::addends_fit(model, &new) {
                    return Err(ImageError::malformed(why));
                }
                return file.write(model, &new).map(Some);
            }
            Err(far) => {
                let mut any = false;
                for one in far {
                    any |= plan.refuse(one.section, one.from, one.to, &one.why);
                }
                if !any {
                    return Err(ImageError::malformed("a branch is out of reach before anything moved"));
                }
            }
        }
    }
    Ok(None)
}

/// Asks the audit about every function that is to be hot-patchable now, and takes back what it does not confirm.
fn withdraw_unconfirmed(bytes: &[u8], model: &Model<'_>, plan: &mut Plan, min_pad: usize) -> Result<bool, ImageError> {
    let image = Image::read(bytes)?;
    let audited = audit(&image, Some(min_pad));
    let edits = plan.edits(model);
    let mut good = std::collections::BTreeSet::new();
    for found in &audited {
        if let (Verdict::HotPatchable { .. }, Some(section)) =
            (&found.verdict, image.section_of(found.function.address.0))
        {
            good.insert((section.index, found.function.address.0 - section.address));
        }
    }
    let mut any = false;
    for function in &mut plan.functions {
        let place = edits[function.section].map(function.start, edit::Use::Entry);
        if matches!(function.state, State::Lacks(_)) && !good.contains(&(function.section, place)) {
            function.state = State::Refused(vec!["the audit of the result does not confirm it".to_owned()]);
            any = true;
        }
    }
    Ok(any)
}

fn report(model: &Model<'_>, plan: Plan) -> Vec<PreparedFunction> {
    plan.functions
        .into_iter()
        .map(|function| PreparedFunction {
            section: String::from_utf8_lossy(model.sections[function.section].name).into_owned(),
            names: function.names,
            offset: function.start,
            outcome: match function.state {
                State::Already => Outcome::Already,
                State::Exempt => Outcome::Exempt,
                State::Lacks(_) => Outcome::Prepared,
                State::Refused(reasons) => Outcome::Refused { reasons },
            },
        })
        .collect()
}
