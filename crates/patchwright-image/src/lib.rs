//! Reads PE and ELF images and objects, and says of each function whether it can be redirected while it runs.
//!
//! The path of a call, file by file:
//!
//! - `image`: a file becomes sections with code, and relocations;
//! - `starts`: where functions begin and end, and which sources say so; `pdata`, `eh_frame` are two of them;
//! - `code`: instructions of each machine: first instruction, filler, branches;
//! - [`hot`]: what differs between two builds of a program, as a patch for processes that run the old one;
//! - `rule`: the rules as data; `audit`: the rules applied, function by function.
//!
//! Nothing here does I/O, and no input makes it panic. The same image gives the same answer on any number of threads.

mod audit;
mod code;
mod eh_frame;
mod error;
pub mod hot;
mod image;
mod pdata;
mod rule;
mod starts;

pub use audit::{Audited, Objection, PatchSite, Protocol, Verdict, audit};
pub use error::{ImageError, ImageErrorKind};
pub use image::{Address, Format, Image, Kind, Machine};
pub use rule::Rule;
pub use starts::{Function, Source};
