//! Processes of Linux on x86-64: files below `/proc`, and ptrace.
//!
//! The only code that is not wholly safe: calls to the kernel that `nix` has no safe face for. None of them touches
//! memory of ours beyond the arguments that the same function owns.

mod discover;
mod frame;
mod gadgets;
mod inject;
mod kernel;
mod maps;
mod poke;
mod pages;
mod process;
mod registers;
mod signals;
mod threads;

pub use discover::{Seen, find_build, seen};
pub use process::Process;
pub use signals::SignalsHeld;
