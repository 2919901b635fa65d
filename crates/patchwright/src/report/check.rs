//! What `check` tells.

use std::path::PathBuf;

use serde::Serialize;

use super::{Hex, lossy};

/// What `check` found.
#[derive(Clone, Debug, Serialize)]
pub struct CheckReport {
    /// `patchwright.check/1`.
    pub schema: &'static str,
    /// The image.
    #[serde(serialize_with = "lossy")]
    pub image: PathBuf,
    /// `elf` or `pe`.
    pub format: &'static str,
    /// `x86`, `x86-64`, `aarch64` or `arm`; of an archive for several machines `mixed`.
    pub machine: &'static str,
    /// `executable`, `library`, `object` or `archive`.
    pub kind: &'static str,
    /// What was asked for: `own`, `all`, `exported` or `list`.
    pub require: &'static str,
    /// Bytes of pad that each function needs.
    pub min_pad: usize,
    /// The answer.
    pub answer: CheckAnswer,
    /// Who told where functions are.
    pub sources: Vec<CheckSource>,
    /// How much the sources together can be expected to know.
    pub confidence: &'static str,
    /// Places where sources contradict each other.
    pub disagreements: Vec<CheckDisagreement>,
    /// Counts.
    pub counts: CheckCounts,
    /// Where the functions of the toolchain come from, and how many from each.
    pub origins: Vec<CheckOrigin>,
    /// The objects that it was linked from, as far as debug information tells.
    pub objects: Vec<CheckObject>,
    /// The members of an archive.
    pub members: Vec<CheckMember>,
    /// What holds for the image as a whole (`HP-A19`, `HP-A20`).
    pub findings: Vec<CheckObjection>,
    /// The functions that fail, by rule.
    pub causes: Vec<CheckCause>,
    /// Names of the list that no function has.
    pub missing: Vec<String>,
    /// Every function, by address.
    pub functions: Vec<CheckedFunction>,
    /// What the caller should know.
    pub warnings: Vec<String>,
}

/// The answer of `check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckAnswer {
    /// Every function that was asked for is hot-patchable.
    HotPatchable,
    /// At least one is not, or is missing.
    NotHotPatchable,
}

/// Who told where functions are.
#[derive(Clone, Debug, Serialize)]
pub struct CheckSource {
    /// Its name.
    pub source: &'static str,
    /// How many functions it told of.
    pub functions: usize,
}

/// Two sources that cannot both be right.
#[derive(Clone, Debug, Serialize)]
pub struct CheckDisagreement {
    /// The member of the archive that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// Where.
    pub address: String,
    /// What one of them says.
    pub found: String,
}

/// A part of the toolchain that functions come from.
#[derive(Clone, Debug, Serialize)]
pub struct CheckOrigin {
    /// What it is.
    pub origin: &'static str,
    /// How many functions come from it.
    pub functions: usize,
    /// How many of these are not hot-patchable.
    pub failing: usize,
}

/// An object that an image was linked from.
#[derive(Clone, Debug, Serialize)]
pub struct CheckObject {
    /// Its path, as the compiler or linker wrote it.
    pub object: String,
    /// The library that it was taken from, or the folder that it was compiled in.
    pub library: String,
    /// The compiler.
    pub producer: String,
    /// Whether it says that it was compiled for hot patching.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hot_patch: Option<bool>,
    /// The toolchain's runtime that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<&'static str>,
    /// How many functions come from it.
    pub functions: usize,
}

/// A member of an archive.
#[derive(Clone, Debug, Serialize)]
pub struct CheckMember {
    /// `archive(member)`.
    pub member: String,
    /// Why it was not checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// How many functions it has.
    pub functions: usize,
    /// How many of those that are asked for are not hot-patchable.
    pub failing: usize,
}

/// How many functions there are of each sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CheckCounts {
    /// All that were found.
    pub functions: usize,
    /// Those that are hot-patchable; the next three add up to it.
    pub hot_patchable: usize,
    /// One store switches them over.
    pub atomic: usize,
    /// A breakpoint must come first.
    pub trap: usize,
    /// All threads must be stopped.
    pub stopped: usize,
    /// Those that break a rule.
    pub unpatchable: usize,
    /// Those whose code cannot be read.
    pub unknown: usize,
    /// Thunks and parts of functions.
    pub exempt: usize,
    /// Those of the toolchain's start files and precompiled runtime, whatever came of them.
    pub runtime: usize,
    /// Those that are asked for.
    pub required: usize,
    /// Those that would be asked for, had they not been allowed to fail.
    pub allowed: usize,
    /// Those that are asked for and not hot-patchable.
    pub failing: usize,
}

/// The functions that fail for one cause.
#[derive(Clone, Debug, Serialize)]
pub struct CheckCause {
    /// `HP-A01` and so on; empty where the code cannot be read.
    pub rule: String,
    /// What must hold.
    pub meaning: &'static str,
    /// What to do.
    pub remedy: &'static str,
    /// Indices into `functions`.
    pub functions: Vec<usize>,
}

/// A function, judged.
#[derive(Clone, Debug, Serialize)]
pub struct CheckedFunction {
    /// The member of the archive that it is in: `archive(member)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// Its names; none where only unwind data tell of it.
    pub names: Vec<String>,
    /// Its address in hexadecimal; of an object section and offset.
    pub address: String,
    /// Its length, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// `hot-patchable`, `unpatchable`, `unknown` or `exempt`.
    pub verdict: &'static str,
    /// `ATOMIC`, `ATOMIC-RET`, `TRAP`, `STOPPED`, `NO`, `UNKNOWN`, `THUNK`, `PART` or `PATCHED`.
    pub class: &'static str,
    /// How it is switched over: `atomic`, `trap` or `stopped`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<&'static str>,
    /// Rules that do not hold.
    pub reasons: Vec<CheckObjection>,
    /// What whoever patches it should know.
    pub notes: Vec<CheckObjection>,
    /// Where it would be patched.
    pub site: CheckedSite,
    /// Whether the old function can be called past the jump: `yes`, `needs-fixup` or `no`.
    pub call_original: &'static str,
    /// How far a jump in its pad leads: `none`, `branch`, `rel32-only`, `slot` or `self-contained`.
    pub reach: &'static str,
    /// Who told of it.
    pub sources: Vec<&'static str>,
    /// The object that it comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// The part of the toolchain that it comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<&'static str>,
    /// Whether others see it.
    pub exported: bool,
    /// Whether it comes from the toolchain.
    pub runtime: bool,
    /// Whether it is asked for.
    pub required: bool,
    /// Whether it may fail although it would be asked for.
    pub allowed: bool,
}

/// A rule and what was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckObjection {
    /// `HP-A01` and so on; empty where the code cannot be read.
    pub rule: String,
    /// What was found.
    pub found: String,
}

/// The patch site of a function and the bytes around it.
#[derive(Clone, Debug, Serialize)]
pub struct CheckedSite {
    /// Distance from the entry.
    pub offset: u64,
    /// Length of the instruction there.
    pub bytes: usize,
    /// Usable filler before the entry.
    pub pad_bytes: usize,
    /// The end of the pad, up to 16 bytes.
    pub before: Hex,
    /// The first bytes of the function, up to 16.
    pub after: Hex,
}
