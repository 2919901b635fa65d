//! Bodies for native programs: what follows from the move of addresses is foretold and not written down.
//!
//! This is version 2 of the format of bodies, which is final: `docs/formats/delta-native.md`.
//!
//! | module | what |
//! |---|---|
//! | `image` | PE, ELF, Mach-O → sections |
//! | `code`, `x86`, `arm64` | sections → references, a page at a time |
//! | `pages` | the references of pages, kept |
//! | `map` | covers → where each address went |
//! | `tables` | the map → tables that a linker would make again |
//! | `predict` | old bytes and the map → what the new bytes probably are |
//! | `coder`, `mix`, `model` | bits ⇄ bytes; probabilities; what is mixed for flags, bytes and numbers |
//! | `walk`, `literals` | one segment of the new file, both ways |
//! | `head`, `body` | the covers and sections of a body; its outside |
//! | `options` | what a body is made for |
//! | `search`, `view` | the search for covers; how files are looked at meanwhile |
//! | `create` | everything together |
//! | `streams` | the same predictions, with what they miss in byte streams: fast |
//! | `packed` | segments and whole bodies that no prediction helps |
//! | `span` | the section that an offset is in, and how far it goes |
//! | `segment` | what a segment of any kind is decoded from, and by whom |
//! | `memory` | what the way back takes, and how many threads that allows |
//! | `apply` | the way back |
//! | `spending` | what the bytes of a body went to |
//! | `outline` | what the outside of a body says |

mod apply;
mod arm64;
mod body;
#[cfg(feature = "create")]
mod choice;
mod code;
mod coder;
#[cfg(feature = "create")]
mod create;
mod head;
mod image;
mod literals;
mod map;
mod memory;
mod mix;
mod model;
#[cfg(feature = "create")]
mod options;
mod outline;
mod packed;
mod pages;
mod predict;
#[cfg(feature = "create")]
mod search;
mod segment;
mod span;
#[cfg(feature = "create")]
mod spending;
mod streams;
mod tables;
#[cfg(feature = "create")]
mod view;
mod walk;
mod x86;

pub use apply::apply;
pub use body::{Kind, VERSION, stated_lengths};
#[cfg(feature = "create")]
pub use create::{Stats, create};
pub use memory::{MIXED_MEMORY, stated_memory};
#[cfg(feature = "create")]
pub use options::{Options, Profile};
pub(crate) use outline::describe;
pub use packed::PACKED_VERSION;
#[cfg(feature = "create")]
pub(crate) use spending::spending;
#[cfg(feature = "create")]
pub use spending::{PURPOSE_NAMES, SectionSpending, Spending};
