//! What the caller may choose; what a verb needs is a parameter of its function.

use std::path::PathBuf;

pub use patchwright_delta::Profile;
use patchwright_formats::{ByteRange, RetainRange};
pub use patchwright_live::Limits;

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
    /// What the deltas are made for. A patch in Microsoft's format has choices of its own.
    pub profile: Profile,
    /// Most memory that matching may use, in bytes; the engine's own default without it. Files that need more are
    /// matched more coarsely, which makes a larger patch. It is part of the input: another limit may give other bytes.
    pub max_memory_bytes: Option<u64>,
    /// Threads to use; all cores without it. The patch is the same for every number.
    pub threads: Option<usize>,
    /// The format of the patch.
    pub format: PatchFormat,
    /// Whether running processes can get it too. Only for single files, of which all versions are ELF programs or
    /// libraries linked with their relocations kept: see `docs/guide/patch-a-process.md`.
    pub hot: bool,
}

/// The format of a patch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PatchFormat {
    /// Our own container.
    #[default]
    Pwp,
    /// Microsoft's, which Windows Installer applies. Only for single files, below 4 GiB.
    Pa19(Pa19Options),
}

/// Choices of a PA19 patch: what the creator's own options are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pa19Options {
    /// What is done to 32-bit images.
    pub profile: Pa19Profile,
    /// Whether relative calls are translated before compression.
    pub lzx: Lzx,
    /// Search less for matches: much faster, and larger.
    pub fast: bool,
    /// Windows of up to 32 MiB instead of 8.
    pub large_window: bool,
    /// Fail when the old file is the new one already.
    pub fail_if_same: bool,
    /// Fail when the patch is no smaller than the new file compressed.
    pub fail_if_bigger: bool,
    /// Carry the new file's time of change.
    pub timestamp: bool,
}

impl Default for Pa19Options {
    fn default() -> Self {
        Self {
            profile: Pa19Profile::Raw,
            lzx: Lzx::Best,
            fast: false,
            large_window: false,
            fail_if_same: false,
            fail_if_bigger: false,
            timestamp: true,
        }
    }
}

/// What a PA19 patch does to 32-bit images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pa19Profile {
    /// Nothing: every applier can apply the patch.
    #[default]
    Raw,
    /// Normalises and transforms them, as the genuine creator does: smaller patches, and rebased or bound copies are
    /// recognised.
    Native,
}

/// Whether the compressor of a PA19 patch translates relative calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lzx {
    /// It does not.
    A,
    /// It does in executable images.
    B,
    /// Whatever is smaller.
    #[default]
    Best,
}

/// Choices of [`signature`](crate::signature()).
#[derive(Clone, Debug, Default)]
pub struct SignatureOptions {
    /// MD5 instead of CRC-32.
    pub md5: bool,
    /// Ranges that read as zero.
    pub blanks: Vec<ByteRange>,
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
    /// Which processes get the patch as well.
    pub processes: Processes,
    /// Whether the file or the processes alone get it.
    pub parts: Parts,
    /// How long a process may stand still and be tried.
    pub limits: Limits,
}

/// Which processes a verb is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Processes {
    /// None.
    #[default]
    None,
    /// All that run a build that the patch knows.
    Running,
    /// These, by number.
    Numbered(Vec<i32>),
}

/// Which part of a patch is applied or taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parts {
    /// The file, and the processes that are named.
    #[default]
    All,
    /// The file alone.
    ColdOnly,
    /// The processes alone; the file stays as it is.
    HotOnly,
}

/// Choices of [`revert`](crate::revert()).
#[derive(Clone, Debug, Default)]
pub struct RevertOptions {
    /// Do everything but the change.
    pub dry_run: bool,
    /// What to do with a target that has other names.
    pub hard_links: HardLinks,
    /// From which processes the patch is taken as well.
    pub processes: Processes,
    /// Whether the file or the processes alone lose it.
    pub parts: Parts,
    /// How long a process may stand still and be tried.
    pub limits: Limits,
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
