//! `patchwright status TARGET`

use std::path::PathBuf;

use patchwright::Result;
use patchwright::report::StatusReport;

use super::{Examples, ExitCodes, after_help};
use crate::console::{Answer, Console};
use crate::text::{Align, Table, byte_cells, counted, escape, escape_path};

pub(crate) const EXIT_CODES: ExitCodes =
    &[(0, "the report is printed, whatever it says"), (3, "a record is damaged"), (5, "reading failed")];

const EXAMPLES: Examples = &[("Which patches does this program have", "patchwright status /opt/app/app")];

/// Show which patches TARGET has that can be taken back
///
/// It also shows whether a call died half-way; the next `apply` or `revert` finishes or undoes its work.
#[derive(Debug, clap::Args)]
#[command(after_long_help = after_help(EXAMPLES, EXIT_CODES))]
pub(crate) struct Args {
    /// The file or folder in question
    target: PathBuf,
}

impl Args {
    pub(crate) fn run(&self, console: &Console) -> Result<Answer> {
        console.report(&patchwright::status(&self.target)?, text)
    }
}

fn text(report: &StatusReport) -> String {
    let target = escape_path(&report.target);
    let mut text = if report.applied.is_empty() {
        format!("{target}: no patch that can be taken back\n")
    } else {
        let patches = counted(report.applied.len() as u64, "applied patch", "applied patches, the latest first");
        format!("{target}: {patches}\n{}", table(report))
    };
    if report.unfinished {
        text += "unfinished: a call died half-way; the next apply or revert finishes or undoes its work\n";
    }
    text
}

fn table(report: &StatusReport) -> String {
    let mut table = Table::new([
        ("revert", Align::Left),
        ("id", Align::Left),
        ("record", Align::Right),
        ("", Align::Left),
        ("path", Align::Left),
    ]);
    for patch in &report.applied {
        let [size, human_size] = byte_cells(patch.record_bytes);
        let revertible = if patch.revertible { "possible" } else { "impossible: the target has changed" };
        table.row([revertible.to_owned(), escape(&patch.id), size, human_size, escape_path(&patch.record)]);
    }
    table.render()
}
