//! `patchwright-linker`: the program `patchwright` beside this one, called by this name.
//!
//! A name of its own is needed because compilers that run a linker pass it nothing but the linker's own arguments. It does
//! not end in `-ld`: rustc takes programs of such names for linkers without a compiler in front of them.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let own = std::env::current_exe().unwrap_or_default();
    let beside = own.parent().unwrap_or(Path::new("")).join("patchwright");
    let program = if beside.is_file() { beside.as_path() } else { Path::new("patchwright") };
    // Comes back only if it fails.
    let error = Command::new(program).arg0("patchwright-linker").args(std::env::args_os().skip(1)).exec();
    eprintln!("error: cannot run {}: {error}", program.display());
    eprintln!("hint: install patchwright beside patchwright-linker");
    ExitCode::from(5)
}
