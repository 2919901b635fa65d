//! `patchwright verify PATCH [TARGET]`

use std::path::PathBuf;

use patchwright::Result;
use patchwright::report::{VerifyAnswer, VerifyReport};

use super::{Examples, ExitCodes, after_help};
use crate::console::{Answer, Console};
use crate::text::{escape, escape_path};

pub(crate) const EXIT_CODES: ExitCodes = &[
    (0, "the patch is whole and, with TARGET, it would apply or is applied already"),
    (1, "the patch is whole, but it would not apply to TARGET"),
    (3, "the patch is damaged, or of a version that is not supported"),
    (5, "reading failed"),
];

const EXAMPLES: Examples = &[
    ("Is the patch whole", "patchwright verify fix.pwp"),
    ("Would it apply", "patchwright verify fix.pwp /opt/app/app && patchwright apply fix.pwp /opt/app/app"),
];

/// Say whether PATCH is whole and, with TARGET, whether it would apply
///
/// Nothing is changed. All objections are listed, not the first one only.
#[derive(Debug, clap::Args)]
#[command(after_long_help = after_help(EXAMPLES, EXIT_CODES))]
pub(crate) struct Args {
    /// The patch
    patch: PathBuf,
    /// The file or folder that it is meant for
    target: Option<PathBuf>,
}

impl Args {
    pub(crate) fn run(&self, console: &Console) -> Result<Answer> {
        let report = patchwright::verify(&self.patch, self.target.as_deref())?;
        let answer = console.report(&report, text)?;
        Ok(if report.answer == VerifyAnswer::WouldNotApply { answer.no() } else { answer })
    }
}

fn text(report: &VerifyReport) -> String {
    let patch = escape_path(&report.patch);
    let target = report.target.as_deref().map(escape_path).unwrap_or_default();
    let from = report.from.map(|number| format!(", which is old version {number}")).unwrap_or_default();
    let answer = match report.answer {
        VerifyAnswer::Intact => format!("yes: {patch} is whole"),
        VerifyAnswer::WouldApply => format!("yes: {patch} would apply to {target}{from}"),
        VerifyAnswer::AlreadyNew => format!("yes: {target} is the new version of {patch} already"),
        VerifyAnswer::WouldNotApply => format!("no: {patch} would not apply to {target}"),
    };
    let objections: String = report
        .objections
        .iter()
        .flat_map(|objection| objection.lines())
        .map(|line| format!("  {}\n", escape(line)))
        .collect();
    format!("{answer}\n{objections}")
}
