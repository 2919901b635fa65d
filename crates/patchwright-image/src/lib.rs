//! Reads PE and ELF images and objects, and says of each function whether it can be redirected while it runs.
//!
//! The path of a call, module by module:
//!
//! - `archive`: the members of a library;
//! - `image`: a file becomes sections with code, relocations, and what its headers say;
//! - `starts`: where functions begin and end, and which sources say so;
//! - `code`: instructions of each machine: first instruction, filler, branches;
//! - `entry_nops`: what GCC leaves undone in objects, mended in place; `producer`: who made an object;
//! - `prepare`: makes room in an object for what the rules ask;
//! - [`hot`]: what differs between two builds of a program, as a patch for processes that run the old one;
//! - `rule`: the rules as data; `audit`: the rules applied, function by function.
//!
//! Nothing here does I/O, and no input makes it panic. The same image gives the same answer on any number of threads.

mod archive;
mod audit;
mod code;
mod entry_nops;
mod error;
pub mod hot;
mod image;
mod places;
mod prepare;
mod producer;
mod rule;
mod starts;

pub use archive::{Content, Member, is_archive, members};
pub use audit::{Audited, Class, Objection, PatchSite, Protocol, Reach, Verdict, audit, findings};
pub use code::Movable;
pub use entry_nops::{MergedNops, merge_entry_nops};
pub use error::{ImageError, ImageErrorKind};
pub use image::{Address, Companions, Format, Image, Kind, Machine, PdbReference};
pub use places::{SectionPlace, section_places};
pub use prepare::{
    Outcome, PrepareOptions, Prepared, PreparedArchive, PreparedFunction, PreparedMember, prepare, prepare_archive,
};
pub use producer::{Producer, producer};
pub use rule::Rule;
pub use starts::{Disagreement, Function, Module, Source};
