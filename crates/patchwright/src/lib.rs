//! Makes, checks, applies and takes back patches for native programs: one function per verb.
//!
//! | verb | function |
//! |---|---|
//! | `patchwright diff` | [`diff()`] |
//! | `patchwright apply` | [`apply()`] |
//! | `patchwright revert` | [`revert()`] |
//! | `patchwright status` | [`status()`] |
//! | `patchwright inspect` | [`inspect()`] |
//! | `patchwright verify` | [`verify()`] |
//! | `patchwright check` | [`check()`] |
//! | `patchwright cc`, `cl`, `link` | [`toolchain::cc()`], [`toolchain::cl()`], [`toolchain::link()`] |
//! | `patchwright prepare` | [`prepare()`] |
//! | `patchwright ld`, `patchwright-linker` | [`linker::link()`], [`linker::drive()`] |
//! | `patchwright pcp` | [`pcp::new()`], [`pcp::export()`], [`pcp::import()`], [`pcp::check()`] |
//!
//! This is the crate that knows paths, files, locks and journals. What a patch looks like is `patchwright-formats`;
//! how bytes become other bytes is `patchwright-delta`; what is a function is `patchwright-image`; databases of Windows
//! Installer are `patchwright-msi`.

#[cfg(test)]
mod anomaly;
mod apply;
mod atomic;
mod check;
mod diff;
mod disk;
mod error;
mod file_delta;
mod inspect;
pub mod linker;
mod make;
mod options;
mod pa19;
mod patch_file;
pub mod pcp;
mod prepare;
mod progress;
pub mod range_list;
mod recognise;
mod recognise_tree;
mod records;
mod regions_file;
pub mod report;
mod revert;
pub mod rules;
mod status;
pub mod toolchain;
mod transaction;
mod tree_changes;
mod verify;

pub use apply::apply;
pub use check::{CheckOptions, Require, check};
pub use diff::diff;
pub use error::{Error, ErrorKind, Result};
pub use inspect::inspect;
pub use options::{
    ApplyOptions, DiffOptions, HardLinks, Lzx, Pa19Options, Pa19Profile, PatchFormat, RevertOptions, SignatureOptions,
    UndoPolicy,
};
pub use pa19::{extract_header, signature};
pub use prepare::{PrepareOptions, prepare};
pub use progress::{Progress, Quiet};
pub use revert::revert;
pub use status::status;
pub use verify::verify;
