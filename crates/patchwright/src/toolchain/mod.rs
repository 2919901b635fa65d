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

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use proptest::prelude::*;

    use super::words::{Quoting, split};
    use super::{cl_options, compiler, gnu, link_options, map, rust};

    proptest! {
        /// Whatever stands on a command line, in a response file, in a map or among macros: it is read, and nothing panics.
        #[test]
        fn no_words_and_no_map_make_a_reader_panic(
            text in r#"([-/@]?[a-zA-Zä]{0,9}[=:, "'\\\t\n]?){0,40}"#,
            lines in r"((0x)?[0-9a-f]{1,17}[ :.\n]{1,3}|[a-z.(*)]{1,9} ){0,60}",
        ) {
            for quoting in [Quoting::Gnu, Quoting::Windows] {
                let words: Vec<OsString> = split(&text, quoting).into_iter().map(OsString::from).collect();
                gnu::GnuJob::read(&words);
                let job = cl_options::ClJob::read(&words);
                job.image();
                link_options::LinkJob::read(&words).image();
                rust::RustJob::read(&words);
            }
            for header in ["", "VMA LMA Size Align Out In Symbol\n", "Address Size Align Out In Symbol\n", "Publics by Value\n"] {
                let map = map::LinkMap::read(&format!("{header}{lines}"), u64::MAX);
                map.object_at(u64::MAX);
            }
            compiler::Compiler::from_macros(&format!("#define {lines}\n#define {text}"));
        }
    }
}
