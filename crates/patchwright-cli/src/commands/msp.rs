//! `patchwright msp build|inspect`

use std::path::PathBuf;

use clap::Subcommand;
use patchwright::Result;

use super::{Examples, ExitCodes, after_help, msp_build, msp_inspect};
use crate::console::{Answer, Console};

pub(crate) const EXIT_CODES: ExitCodes = &[
    (0, "done; `inspect --against`: the patch applies"),
    (1, "`build`: there is nothing to patch; `inspect --against`: the patch does not apply"),
    (3, "an input is no patch or database of Windows Installer or is damaged; `build` cannot be done"),
    (5, "reading or writing failed"),
];

/// How many verbs there are below this one.
#[cfg(test)]
pub(crate) const VERBS: usize = 2;

const EXAMPLES: Examples = &[
    ("Build a patch", "patchwright msp build app.pcp -o app.msp"),
    (
        "Images that a Windows build has described",
        r"patchwright msp build app.pcp -o app.msp --map C:\build=/srv/build",
    ),
    ("What is in a patch, whoever made it", "patchwright msp inspect app.msp"),
    ("Whether it applies to a product, and why not", "patchwright msp inspect app.msp --against 1.0/app.msi"),
    ("Its product codes, for a script", "patchwright msp inspect app.msp --json | jq -r '.product_codes[]'"),
];

/// Patches of Windows Installer (.msp)
#[derive(Debug, clap::Args)]
#[command(after_long_help = after_help(EXAMPLES, EXIT_CODES))]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Build(msp_build::Build),
    /// Show what is in a patch: products, transforms, files, cabinets, and what the installer will not like
    ///
    /// Cabinets are listed, not unpacked. A signature is mentioned, not checked.
    Inspect {
        /// The patch, whoever made it
        patch: PathBuf,
        /// An installer: tell which transforms apply to its product, and why the others do not
        #[arg(long, value_name = "MSI")]
        against: Option<PathBuf>,
    },
}

impl Args {
    pub(crate) fn run(&self, console: &Console) -> Result<Answer> {
        match &self.verb {
            Verb::Build(build) => build.run(console),
            Verb::Inspect { patch, against } => {
                let report = patchwright::msp::inspect(patch, against.as_deref())?;
                let answer = console.report(&report, msp_inspect::text)?;
                Ok(if report.against.is_some_and(|against| !against.applies) { answer.no() } else { answer })
            }
        }
    }
}
