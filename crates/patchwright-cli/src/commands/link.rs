//! `patchwright link ARGS...`

use std::ffi::OsString;
use std::path::PathBuf;

use patchwright::Result;
use patchwright::toolchain::{self, DriverOptions};

use super::driver::{PASSED_ON, Switches};
use super::{Examples, ExitCodes, after_help};
use crate::console::{Answer, Console};

pub(crate) const EXIT_CODES: ExitCodes = super::driver::EXIT_CODES;

const EXAMPLES: Examples = &[
    ("With the pad of the machine", "patchwright link /functionpadmin /out:app.exe app.obj"),
    ("With room for a jump to anywhere", "patchwright link /functionpadmin:14 /out:app.exe app.obj"),
];

/// Link as link does, and audit what /functionpadmin promised
///
/// Takes the options of link, response files and the variables LINK and _LINK_ included, and runs link on Windows, else
/// lld-link. /functionpadmin is 5 on x86 and 6 on x64; elsewhere it needs a value. No linker says which objects it
/// could not pad; the audit behind it does. The switches below begin with --pw- here: --pw-audit=error.
#[derive(Debug, clap::Args)]
#[command(after_long_help = format!("{}\n\n{PASSED_ON}", after_help(EXAMPLES, EXIT_CODES)))]
pub(crate) struct Args {
    /// The linker to run [default: PATCHWRIGHT_LINK, else link or lld-link on PATH]
    #[arg(long, value_name = "FILE")]
    tool: Option<PathBuf>,
    #[command(flatten)]
    switches: Switches,
    /// The arguments of link
    #[arg(last = true, allow_hyphen_values = true, value_name = "ARGS")]
    words: Vec<OsString>,
}

impl Args {
    pub(crate) fn run(&self, console: &Console) -> Result<Answer> {
        let options = DriverOptions { tool: self.tool.clone(), ..self.switches.options() };
        let build = toolchain::link(&self.words, options.or_environment()?)?;
        self.switches.run(build, console)
    }
}
