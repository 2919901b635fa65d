//! Bytes to structures and back, for the files that Patchwright reads and writes.
//!
//! Nothing here opens a file, asks for the time or looks at the environment, and no input makes it panic.
//!
//! | module | what |
//! |---|---|
//! | [`source`] | where bytes come from, and the canonical view in which ignored and retained bytes are blank |
//! | [`region`] | ignored and retained ranges and the rules they keep |
//! | [`pa19`] | patches of the Windows patch API: read, applied and made |
//! | [`path`] | paths that cannot leave a tree |
//! | [`container`] | the `.pwp` file: header, blobs, table |
//! | [`manifest`] | what a patch is for, from which versions, to which |
//! | [`account`] | where the bytes of deltas went, for people who ask |
//! | [`lzx`] | LZX DELTA, the compression of PA19 patches |
//! | [`journal`] | the steps of a change under way |
//! | [`hot`] | what running processes get, and the record that they keep of it |
//! | [`undo`] | what an undo record adds to a patch |

#![cfg_attr(test, allow(clippy::cast_possible_truncation))]

pub mod account;
pub mod container;
pub mod error;
pub mod hot;
pub mod journal;
pub mod lzx;
pub mod manifest;
pub mod pa19;
pub mod path;
pub mod region;
pub mod source;
pub mod undo;
mod wire;

pub use container::{Container, ContainerWriter, Kind, PatchId};
pub use error::{FormatError, FormatErrorKind};
pub use manifest::Manifest;
pub use path::TreePath;
pub use region::{ByteRange, Regions, RetainRange};
pub use source::{Blanked, ReadAt, Section};
