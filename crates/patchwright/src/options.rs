//! What the caller may choose; what a verb needs is a parameter of its function.

use std::path::PathBuf;

use patchwright_formats::{ByteRange, RetainRange};

use crate::range_list::RangeArg;

/// Choices of [`diff`](crate::diff()).
#[derive(Clone, Debug, Default)]
pub struct DiffOptions {
    /// Ignored ranges. Only for single files; those of a tree stand in a regions file.
    pub ignore: Vec<RangeArg<ByteRange>>,
    /// Retained ranges, likewise.
    pub retain: Vec<RangeArg<RetainRange>>,
    /// A regions file: see `docs/guide/regions.md`.
    pub regions: Option<PathBuf>,
    /// Most memory that matching may use, in bytes; the engine's own default without it. Files that need more are
    /// matched in blocks, which makes a larger patch. It is part of the input: another limit may give other bytes.
    pub max_memory_bytes: Option<u64>,
    /// Threads to use; all cores without it. The patch is the same for every number.
    pub threads: Option<usize>,
}

/// Choices of [`apply`](crate::apply()).
#[derive(Clone, Debug, Default)]
pub struct ApplyOptions {
    /// Write the result here and leave the target alone.
    pub output: Option<PathBuf>,
    /// Do everything but the change.
    pub dry_run: bool,
    /// Whether `revert` shall be possible.
    pub undo: UndoPolicy,
    /// What to do with a target that has other names.
    pub hard_links: HardLinks,
}

/// Choices of [`revert`](crate::revert()).
#[derive(Clone, Debug, Default)]
pub struct RevertOptions {
    /// Do everything but the change.
    pub dry_run: bool,
    /// What to do with a target that has other names.
    pub hard_links: HardLinks,
}

/// Whether `apply` keeps what `revert` needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UndoPolicy {
    /// A record is kept beside the target.
    #[default]
    Keep,
    /// Nothing is kept: the patch cannot be taken back.
    Discard,
}

/// What to do with a target that has other names (hard links): replacing it leaves them at the old version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HardLinks {
    /// Refuse.
    #[default]
    Refuse,
    /// Replace this name alone.
    Break,
}
