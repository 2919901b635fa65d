//! `patchwright cl ARGS...`

use std::ffi::OsString;
use std::path::PathBuf;

use patchwright::Result;
use patchwright::toolchain::{self, DriverOptions};

use super::driver::{PASSED_ON, Switches};
use super::{Examples, ExitCodes, after_help};
use crate::console::{Answer, Console};

pub(crate) const EXIT_CODES: ExitCodes = super::driver::EXIT_CODES;

const EXAMPLES: Examples = &[
    ("Compile and link in one call: pads are implied", "patchwright cl /hotpatch /O2 app.c /link /out:app.exe"),
    ("In two", "patchwright cl /hotpatch /c /O2 app.c"),
    ("", "patchwright link /functionpadmin app.obj"),
    ("Fail where a function cannot be redirected", "patchwright cl /hotpatch app.c --pw-audit=error"),
];

/// Compile as cl does, with /hotpatch on every machine
///
/// Takes the options of cl, response files and the variables CL and _CL_ included, and runs cl on Windows, else clang-cl.
/// /hotpatch acts on x86, and is implied on x64 and ARM; in a call that links it implies /functionpadmin, which is 5 on
/// x86, 6 on x64 and 16 on ARM64. A size behind /link wins. What Clang needs for the same promise is added. The switches
/// below begin with --pw- here: --pw-audit=error. Notes are silenced by /nologo.
#[derive(Debug, clap::Args)]
#[command(after_long_help = format!("{}\n\n{PASSED_ON}", after_help(EXAMPLES, EXIT_CODES)))]
pub(crate) struct Args {
    /// The compiler to run [default: PATCHWRIGHT_CL, else cl or clang-cl on PATH]
    #[arg(long, value_name = "FILE")]
    tool: Option<PathBuf>,
    #[command(flatten)]
    switches: Switches,
    /// The arguments of cl
    #[arg(last = true, allow_hyphen_values = true, value_name = "ARGS")]
    words: Vec<OsString>,
}

impl Args {
    pub(crate) fn run(&self, console: &Console) -> Result<Answer> {
        let options = DriverOptions { tool: self.tool.clone(), ..self.switches.options() };
        let build = toolchain::cl(&self.words, options.or_environment()?)?;
        self.switches.run(build, console)
    }
}
