//! `patchwright revert PATCH TARGET`

use std::path::PathBuf;

use patchwright::report::{RevertOutcome, RevertReport};
use patchwright::{Result, RevertOptions};

use super::apply::hard_links;
use super::processes::{ProcessArgs, process_lines};
use super::{Examples, ExitCodes, after_help, recovered_note};
use crate::console::{Answer, Console};
use crate::progress::progress;
use crate::text::{bytes, escape_path};

pub(crate) const EXIT_CODES: ExitCodes = &[
    (0, "the target is what it was before the patch: again, or it is an old version already"),
    (3, "the patch or the record of it is damaged"),
    (4, "the target is not what the patch made of it, or no record is kept; nothing is changed"),
    (5, "reading or writing failed; the target is as before the call"),
    (6, "somebody else is at work on the target, try again"),
    (7, "refused: see the message and its hint"),
];

const EXAMPLES: Examples = &[
    ("Take a patch back", "patchwright revert fix.pwp /opt/app/app"),
    ("Take it back from running processes, and from the file", "patchwright revert fix.pwp /opt/app/app --running"),
    ("See which patches can be taken back", "patchwright status /opt/app/app"),
];

/// Take a patch back: TARGET becomes what it was before
///
/// It needs the record that `apply` keeps beside the target, and a target that is still what the patch made of it;
/// ignored ranges get back what they held, retained ranges keep what they hold now. Of several patches the last one
/// applied is taken back first. TARGET is replaced at once, as by `apply`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = after_help(EXAMPLES, EXIT_CODES))]
pub(crate) struct Args {
    /// The patch that was applied
    patch: PathBuf,
    /// The file or folder to bring back
    target: PathBuf,
    /// Do everything but the change
    #[arg(long)]
    dry_run: bool,
    /// Replace TARGET although it has other names (hard links), which stay as they are
    #[arg(long)]
    break_hard_links: bool,
    #[command(flatten)]
    processes: ProcessArgs,
}

impl Args {
    pub(crate) fn run(&self, console: &Console) -> Result<Answer> {
        let options = RevertOptions {
            dry_run: self.dry_run,
            hard_links: hard_links(self.break_hard_links),
            processes: self.processes.processes(),
            parts: self.processes.parts(),
            limits: self.processes.limits(),
        };
        let report = patchwright::revert(&self.patch, &self.target, &options, progress(console).as_ref())?;
        let notes = recovered_note(report.recovered).into_iter().chain(self.processes.note(&report.processes));
        Ok(console.report(&report, text)?.warnings(&report.warnings).notes(notes))
    }
}

fn text(report: &RevertReport) -> String {
    let target = escape_path(&report.target);
    let file = match report.outcome {
        RevertOutcome::Reverted => {
            format!("{target} is again what it was before the patch\n  written  {}\n", bytes(report.written_bytes))
        }
        RevertOutcome::AlreadyOld => format!("{target} is an old version already; nothing is changed\n"),
        RevertOutcome::WouldRevert => {
            format!("{target} would become what it was before the patch; nothing is changed\n")
        }
        RevertOutcome::Untouched => format!("{target} stays as it is\n"),
    };
    file + &process_lines(&report.processes)
}
