//! The rules applied, function by function.
//!
//! First all code is swept once, for branches, for tables of branch targets and for the filler before each function
//! ([`sweep`]); then every function is judged for itself ([`case`]), and the image as a whole ([`whole`]). All objections to
//! a function are collected, not the first one only.

mod case;
mod sweep;
mod whole;

use rayon::prelude::*;

use crate::code::Movable;
use crate::image::{Address, Image, Machine};
use crate::rule::Rule;
use crate::starts::Function;

pub use whole::findings;

/// Longer pads are cut: no form of jump needs more, and a jump of two bytes reaches no further.
const LONGEST_PAD: usize = 120;

/// How a patcher switches the function over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// One aligned store.
    Atomic,
    /// A breakpoint first, since one store does not reach the whole site.
    Trap,
    /// All threads must be stopped.
    Stopped,
}

/// What came of the audit of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every rule holds.
    HotPatchable {
        /// The mildest way that is safe.
        by: Protocol,
    },
    /// Rules are broken.
    Unpatchable {
        /// All of them.
        reasons: Vec<Objection>,
    },
    /// Its code cannot be read.
    Unknown {
        /// Why.
        why: String,
    },
    /// It is no function of its own: a thunk (`HP-A16`) or a part (`HP-A17`).
    Exempt {
        /// Which of them.
        rule: Rule,
    },
}

/// The verdict in one word, as tables of results show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// One store of two or four bytes switches it over.
    Atomic,
    /// The same; the store covers a lone `ret` and the filler behind it.
    AtomicRet,
    /// A breakpoint must stand there first.
    Trap,
    /// All threads must be stopped.
    Stopped,
    /// It cannot be switched over.
    No,
    /// Its code cannot be read.
    Unknown,
    /// It only leads to another function.
    Thunk,
    /// It is a part of a function.
    Part,
    /// It is switched over already.
    Patched,
}

impl Class {
    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Atomic => "ATOMIC",
            Self::AtomicRet => "ATOMIC-RET",
            Self::Trap => "TRAP",
            Self::Stopped => "STOPPED",
            Self::No => "NO",
            Self::Unknown => "UNKNOWN",
            Self::Thunk => "THUNK",
            Self::Part => "PART",
            Self::Patched => "PATCHED",
        }
    }
}

/// How far a jump in the pad leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// There is no room for one.
    Nowhere,
    /// As far as a branch at the entry itself: 128 MiB.
    Branch,
    /// 2 GiB to either side: `E9 rel32`.
    Near,
    /// Anywhere, by a pointer within 2 GiB: `FF 25 rel32`.
    Slot,
    /// Anywhere, by itself.
    Anywhere,
}

impl Reach {
    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nowhere => "none",
            Self::Branch => "branch",
            Self::Near => "rel32-only",
            Self::Slot => "slot",
            Self::Anywhere => "self-contained",
        }
    }

    /// How far the biggest jump that fits into a pad leads.
    pub const fn of(machine: Machine, pad_bytes: usize) -> Self {
        match (machine, pad_bytes) {
            // A distance of 32 bits is all that a 32-bit address space has.
            (Machine::X86, 5..) | (Machine::X86_64, 14..) | (Machine::Aarch64, 16..) | (Machine::Arm, 8..) => {
                Self::Anywhere
            }
            (Machine::X86_64, 6..) => Self::Slot,
            (Machine::X86_64, 5) => Self::Near,
            (Machine::Aarch64, _) => Self::Branch,
            _ => Self::Nowhere,
        }
    }
}

/// A rule that does not hold, and what was found instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    /// The rule.
    pub rule: Rule,
    /// What was found.
    pub found: String,
}

/// Where the jump goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PatchSite {
    /// The entry, or the instruction after `endbr`, `bti` or `paciasp`.
    pub address: Address,
    /// Length of the instruction there; of two one-byte nops 2.
    pub len_bytes: usize,
    /// Usable filler right before the entry.
    pub pad_bytes: usize,
}

/// A function, judged.
#[derive(Clone, Debug)]
pub struct Audited<'image> {
    /// The function.
    pub function: &'image Function,
    /// Where it would be patched.
    pub site: PatchSite,
    /// What came of it.
    pub verdict: Verdict,
    /// What whoever patches it should know.
    pub notes: Vec<Objection>,
    /// Whether the old function can still be called past the jump: its first instruction must run elsewhere.
    pub call_original: Movable,
    /// How far a jump in its pad leads.
    pub reach: Reach,
}

impl Audited<'_> {
    /// The verdict in one word.
    pub fn class(&self) -> Class {
        let noted = |rule| self.notes.iter().any(|note| note.rule == rule);
        match &self.verdict {
            Verdict::HotPatchable { by: Protocol::Atomic } if noted(Rule::A10) => Class::AtomicRet,
            Verdict::HotPatchable { by: Protocol::Atomic } => Class::Atomic,
            Verdict::HotPatchable { by: Protocol::Trap } => Class::Trap,
            Verdict::HotPatchable { by: Protocol::Stopped } => Class::Stopped,
            Verdict::Unpatchable { reasons } if reasons.iter().any(|reason| reason.rule == Rule::A11) => Class::Patched,
            Verdict::Unpatchable { .. } => Class::No,
            Verdict::Unknown { .. } => Class::Unknown,
            Verdict::Exempt { rule: Rule::A16 } => Class::Thunk,
            Verdict::Exempt { .. } => Class::Part,
        }
    }
}

/// Judges every function of an image, by address. `min_pad` defaults to what the machine needs.
pub fn audit<'image>(image: &'image Image<'_>, min_pad: Option<usize>) -> Vec<Audited<'image>> {
    let sweep = sweep::Sweep::of(image);
    let sweep = &sweep;
    // Named, so that what the jobs borrow of the sweep ends before it does.
    let audited: Vec<_> = (0..image.functions.len())
        .into_par_iter()
        .map(|index| case::Case::new(image, sweep, index, min_pad).judge())
        .collect();
    audited
}
