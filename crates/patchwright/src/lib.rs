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
//!
//! This is the crate that knows paths, files, locks and journals. What a patch looks like is `patchwright-formats`;
//! how bytes become other bytes is `patchwright-delta`.

mod error;
mod options;
mod progress;
pub mod range_list;
pub mod report;

pub use error::{Error, ErrorKind, Result};
pub use options::{ApplyOptions, DiffOptions, HardLinks, RevertOptions, UndoPolicy};
pub use progress::{Progress, Quiet};
