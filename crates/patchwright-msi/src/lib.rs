//! Windows Installer databases and patch creation properties (`.pcp`).
//!
//! | module | story |
//! |---|---|
//! | [`database`] | all tables of a database as plain values, read and written |
//! | [`idt`] | text archive files: a table as a text file, as `msidb` writes it |
//! | [`pcp`] | the tables of a `.pcp`, typed; a starting one from two installers |
//! | [`build`] | what goes into a patch, and each of its parts |
//! | [`check`] | everything that is wrong with a `.pcp`, each finding with its PATCHWIZ code |
//! | [`msp`] | patches: written part by part, read part by part |
//! | [`patch_tables`] | the tables that keep book of a patch in the database that it leads to |
//! | [`transform`] | what makes one database of another: found, written, read, followed |
//!
//! The crate opens no file and knows no clock: callers pass `Read + Seek`, or bytes.

pub mod build;
mod cabinet;
pub mod check;
pub mod code;
mod container;
pub mod database;
mod error;
mod guid;
pub mod idt;
pub mod image;
pub mod msp;
mod objection;
pub mod patch_tables;
pub mod pcp;
pub mod transform;

pub use error::{MsiError, MsiErrorKind, Result};
pub use guid::is_guid;
pub use objection::{Objection, Objections};
