//! `patchwright status TARGET`

use std::path::PathBuf;

use patchwright::Result;
use patchwright::report::StatusReport;

use super::processes::status_text;
use super::{Examples, ExitCodes, after_help};
use crate::console::{Answer, Console};
use crate::text::{Align, Table, byte_cells, counted, escape, escape_path};

pub(crate) const EXIT_CODES: ExitCodes = &[
    (0, "the report is printed, whatever it says"),
    (3, "a record is damaged"),
    (4, "there is no such process"),
    (5, "reading failed"),
];

const EXAMPLES: Examples = &[
    ("Which patches does this program have", "patchwright status /opt/app/app"),
    ("Which patches does this process have", "patchwright status --pid 4711"),
];

/// Show which patches TARGET has that can be taken back, and which patches processes have
///
/// It also shows whether a call died half-way; the next `apply` or `revert` finishes or undoes its work.
#[derive(Debug, clap::Args)]
#[command(after_long_help = after_help(EXAMPLES, EXIT_CODES))]
pub(crate) struct Args {
    /// The file or folder in question
    #[arg(required_unless_present = "pid")]
    target: Option<PathBuf>,
    /// A process in question; may be given several times. It is not stopped
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    pid: Vec<i32>,
}

impl Args {
    pub(crate) fn run(&self, console: &Console) -> Result<Answer> {
        console.report(&patchwright::status(self.target.as_deref(), &self.pid)?, text)
    }
}

fn text(report: &StatusReport) -> String {
    let Some(target) = &report.target else { return status_text(&report.processes) };
    let target = escape_path(target);
    let mut text = if report.applied.is_empty() {
        format!("{target}: no patch that can be taken back\n")
    } else {
        let patches = counted(report.applied.len() as u64, "applied patch", "applied patches, the latest first");
        format!("{target}: {patches}\n{}", table(report))
    };
    if report.unfinished {
        text += "unfinished: a call died half-way; the next apply or revert finishes or undoes its work\n";
    }
    text + &status_text(&report.processes)
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
