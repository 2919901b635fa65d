//! `patchwright cc -- COMPILER ARGS...`

use std::ffi::OsString;

use patchwright::Result;
use patchwright::toolchain::{self, DriverOptions};

use super::driver::{PASSED_ON, Switches};
use super::{Examples, ExitCodes, after_help};
use crate::console::{Answer, Console};

pub(crate) const EXIT_CODES: ExitCodes = super::driver::EXIT_CODES;

const EXAMPLES: Examples = &[
    ("Compile and link", "patchwright cc -- gcc -O2 -o app app.c"),
    ("A whole build", "./configure CC=\"patchwright cc -- gcc\" && make"),
    ("See what is added", "patchwright cc --dry-run -- clang++ -c x.cc"),
];

/// Compile and link with GCC, Clang or rustc so that every function can be redirected
///
/// Adds to the command of any GCC, Clang, mingw or rustc what that compiler needs for hot-patchable code, runs it, and
/// audits what it links. Flags of the command win over those that are added. Called as patchwright-cc, everything is the
/// command. Behind the compiler's name the options are spelled --pw-pad=14, --pw-audit=error and so on; the environment
/// may set them too: PATCHWRIGHT_PAD, PATCHWRIGHT_AUDIT, PATCHWRIGHT_EMIT_RELOCS (0 or 1), PATCHWRIGHT_PREPARE
/// (0 or 1), PATCHWRIGHT_REPORT, PATCHWRIGHT_VERBOSE (0 or 1).
#[derive(Debug, clap::Args)]
#[command(after_long_help = format!("{}\n\n{PASSED_ON}", after_help(EXAMPLES, EXIT_CODES)))]
pub(crate) struct Args {
    /// Bytes of pad before each entry [default: 5 on x86, 6 on x86-64, 16 on ARM64]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=120))]
    pad: Option<u8>,
    /// Leave no relocations in ELF images
    ///
    /// They are kept otherwise: hot patches are made from them. They are not loaded when the program runs.
    #[arg(long)]
    no_emit_relocs: bool,
    /// Prepare objects and static libraries that others made, at the link
    ///
    /// As patchwright-linker does, which is used for it: ELF for x86, x86-64 and ARM64. Prepared archives are cached.
    #[arg(long)]
    prepare: bool,
    #[command(flatten)]
    switches: Switches,
    /// The compiler, perhaps behind ccache or another wrapper, and its arguments
    #[arg(required = true, last = true, allow_hyphen_values = true, value_name = "COMPILER ARGS")]
    command: Vec<OsString>,
}

impl Args {
    pub(crate) fn run(&self, console: &Console) -> Result<Answer> {
        let options = DriverOptions {
            pad: self.pad.map(usize::from),
            prepare: self.prepare.then_some(true),
            emit_relocs: self.no_emit_relocs.then_some(false),
            ..self.switches.options()
        };
        let build = toolchain::cc(&self.command, options.or_environment()?)?;
        self.switches.run(build, console)
    }
}
