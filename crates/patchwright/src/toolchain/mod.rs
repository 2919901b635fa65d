//! Compiler and linker drivers: the user's own command, with what its tool needs for hot-patchable code.
//!
//! The path of a call, file by file:
//!
//! - `words`: response files and environment options become words;
//! - `gnu`, `cl_options`, `link_options`, `rust`: what was typed, as far as it matters;
//! - `compiler`: which compiler it is, and for what; `recipe`: machines, pads, nops;
//! - `gnu_plan`, `cl_plan`: what is added, what is refused, what the user should know (pure, tested as rows);
//! - `cc`, `cl`: these steps in order; `build`: the command is run, and what happens around it;
//! - `shim`: between GCC and its assembler;
//! - `map`, `verdict`: after a link, which functions missed out, and why.

mod build;
mod cc;
mod cl;
mod cl_options;
mod cl_plan;
mod compiler;
mod gnu;
mod gnu_plan;
mod link_options;
mod map;
mod options;
mod plan;
mod recipe;
mod rust;
mod shim;
mod verdict;
mod words;

pub use build::{Build, Built};
pub use cc::cc;
pub use cl::{cl, link};
pub use options::{AuditPolicy, DriverOptions};
pub use shim::behind_gcc;
