//! `patchwright apply PATCH TARGET`

use std::path::PathBuf;

use patchwright::report::{ApplyOutcome, ApplyReport};
use patchwright::{ApplyOptions, HardLinks, Result, UndoPolicy};

use super::processes::{ProcessArgs, process_lines};
use super::{Examples, ExitCodes, after_help, recovered_note, tree_summary};
use crate::console::{Answer, Console};
use crate::progress::progress;
use crate::text::{bytes, escape_path};

pub(crate) const EXIT_CODES: ExitCodes = &[
    (0, "the target is the new version: now, or already before the call"),
    (3, "the patch is damaged, or of a version that is not supported"),
    (4, "the patch was not made for this target or process; nothing is changed"),
    (5, "reading or writing failed; the target is the old version"),
    (6, "somebody else is at work on the target, or a process is using a changed function: try again"),
    (7, "refused: see the message and its hint"),
];

const EXAMPLES: Examples = &[
    ("Patch a program in place", "patchwright apply fix.pwp /opt/app/app"),
    ("See whether it would work", "patchwright apply fix.pwp /opt/app/app --dry-run"),
    ("The file, and every process that runs it", "patchwright apply fix.pwp /opt/app/app --running"),
    ("Leave the program alone and write the new version beside it", "patchwright apply fix.pwp app -o app.new"),
];

/// Turn TARGET into the new version
///
/// TARGET is replaced at once: it is the old version or the new one, never between, whatever dies when. A target that
/// is the new version already stays as it is. What `revert` needs is kept beside it. A patch for another file changes
/// nothing.
///
/// With --running or --pid, processes that run the old version get the change as well, without a restart: each at one
/// instant, entirely or not at all. The patch must have been made with `diff --hot`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = after_help(EXAMPLES, EXIT_CODES))]
pub(crate) struct Args {
    /// The patch
    patch: PathBuf,
    /// The file or folder to patch
    target: PathBuf,
    /// Write the result here and leave TARGET alone
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,
    /// Do everything but the change
    #[arg(long)]
    dry_run: bool,
    /// Keep nothing for `revert`: the patch cannot be taken back
    #[arg(long)]
    no_undo: bool,
    /// Replace TARGET although it has other names (hard links), which stay at the old version
    #[arg(long)]
    break_hard_links: bool,
    #[command(flatten)]
    processes: ProcessArgs,
}

impl Args {
    pub(crate) fn run(&self, console: &Console) -> Result<Answer> {
        let report = patchwright::apply(&self.patch, &self.target, &self.options(), progress(console).as_ref())?;
        let notes = recovered_note(report.recovered).into_iter().chain(self.processes.note(&report.processes));
        Ok(console.report(&report, text)?.warnings(&report.warnings).notes(notes))
    }

    fn options(&self) -> ApplyOptions {
        ApplyOptions {
            output: self.output.clone(),
            dry_run: self.dry_run,
            undo: if self.no_undo { UndoPolicy::Discard } else { UndoPolicy::Keep },
            hard_links: hard_links(self.break_hard_links),
            processes: self.processes.processes(),
            parts: self.processes.parts(),
            limits: self.processes.limits(),
        }
    }
}

/// What `--break-hard-links` means.
pub(super) fn hard_links(break_them: bool) -> HardLinks {
    if break_them { HardLinks::Break } else { HardLinks::Refuse }
}

fn text(report: &ApplyReport) -> String {
    let target = escape_path(&report.target);
    let from = report.from.map(|number| format!(", from old version {number}")).unwrap_or_default();
    let mut text = match (report.outcome, &report.output) {
        (ApplyOutcome::Applied, None) => format!("{target} is the new version now{from}\n"),
        (ApplyOutcome::Applied, Some(output)) => {
            format!("{} is the new version of {target}{from}\n", escape_path(output))
        }
        (ApplyOutcome::AlreadyNew, None) => format!("{target} is the new version already\n"),
        (ApplyOutcome::AlreadyNew, Some(output)) => {
            format!("{target} is the new version already; {} gets a copy\n", escape_path(output))
        }
        (ApplyOutcome::Untouched, _) => format!("{target} stays as it is\n"),
        (ApplyOutcome::WouldApply, _) => format!("{target} would become the new version{from}; nothing is changed\n"),
    };
    if let Some(tree) = &report.tree {
        text += &format!("  entries  {}\n", tree_summary(tree));
    }
    if report.outcome == ApplyOutcome::Applied {
        text += &format!("  written  {}\n", bytes(report.written_bytes));
    }
    if let Some(undo_bytes) = report.undo_bytes {
        text += &format!("  kept for revert  {}\n", bytes(undo_bytes));
    }
    text + &process_lines(&report.processes)
}
