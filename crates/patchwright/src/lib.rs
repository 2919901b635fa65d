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
//! | `patchwright msp` | [`msp::build()`], [`msp::inspect()`] |
//! | `patchwright msimsp` | [`msp::create_patch_package_ex()`] |
//! | `patchwright cc`, `cl`, `link` | [`toolchain::cc()`], [`toolchain::cl()`], [`toolchain::link()`] |
//! | `patchwright prepare` | [`prepare()`] |
//! | `patchwright ld`, `patchwright-linker` | [`linker::link()`], [`linker::drive()`] |
//! | `patchwright pcp` | [`pcp::new()`], [`pcp::export()`], [`pcp::import()`], [`pcp::check()`] |
//!
//! This is the crate that knows paths, files, locks and journals. What a patch looks like is `patchwright-formats`;
//! how bytes become other bytes is `patchwright-delta`; what is a function is `patchwright-image`; running processes
//! are `patchwright-live`; databases of Windows
//! Installer are `patchwright-msi`.

#[cfg(test)]
mod anomaly;
mod apply;
mod atomic;
mod atomic_folder;
mod check;
mod diff;
mod disk;
mod error;
mod file_delta;
mod inspect;
mod installer;
pub mod linker;
mod make;
pub mod msp;
mod options;
mod pa19;
mod patch_file;
pub mod pcp;
mod pcp_images;
mod prepare;
mod processes;
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
mod windows_path;

pub use apply::apply;
pub use check::{CheckOptions, Require, check};
pub use diff::diff;
pub use error::{Error, ErrorKind, Result};
pub use inspect::inspect;
pub use options::{
    ApplyOptions, DiffOptions, HardLinks, Limits, Lzx, Pa19Options, Pa19Profile, Parts, PatchFormat, Processes,
    Profile, RevertOptions, SignatureOptions, UndoPolicy,
};
pub use pa19::{extract_header, signature};
pub use prepare::{PrepareOptions, prepare};
pub use progress::{Progress, Quiet};
pub use revert::revert;
pub use status::status;
pub use verify::verify;
pub use windows_path::PathMapping;
