//! Flags and texts about running processes, for `apply`, `revert` and `status`.

use std::time::Duration;

use patchwright::report::{HotReport, ProcessOutcome, ProcessReport, ProcessStatus};
use patchwright::{Limits, Parts, Processes};

use crate::text::{Align, HEADING, Table, bytes, counted, escape};

/// Which processes, and how much they may be disturbed.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Running processes")]
pub(crate) struct ProcessArgs {
    /// Also every process that runs an old version which the patch knows, wherever its file is
    #[arg(long, conflicts_with_all = ["pid", "cold_only"])]
    running: bool,
    /// Also this process; may be given several times
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(i32).range(1..), conflicts_with = "cold_only")]
    pid: Vec<i32>,
    /// The file alone, no process
    #[arg(long, conflicts_with = "hot_only")]
    cold_only: bool,
    /// The processes alone; the file stays as it is
    #[arg(long)]
    hot_only: bool,
    /// Longest time that a process may stand still at once, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pause: u64,
    /// Longest time to try for each process, in seconds
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    deadline: u64,
    /// Do not look for suspended stacks (coroutines, swapcontext); one in a changed function goes on in the old code
    #[arg(long)]
    accept_suspended: bool,
}

impl ProcessArgs {
    pub(crate) fn processes(&self) -> Processes {
        match (self.running, self.pid.as_slice()) {
            (true, _) => Processes::Running,
            (false, []) => Processes::None,
            (false, pids) => Processes::Numbered(pids.to_vec()),
        }
    }

    pub(crate) fn parts(&self) -> Parts {
        match (self.cold_only, self.hot_only) {
            (true, _) => Parts::ColdOnly,
            (_, true) => Parts::HotOnly,
            _ => Parts::All,
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            pause: Duration::from_millis(self.pause),
            deadline: Duration::from_secs(self.deadline),
            accept_suspended: self.accept_suspended,
        }
    }

    /// A note where all processes were asked for and there is none.
    pub(crate) fn note(&self, reports: &[ProcessReport]) -> Option<String> {
        (self.running && reports.is_empty()).then(|| "no process runs a version that the patch is for".to_owned())
    }
}

/// One line for each process.
pub(crate) fn process_lines(reports: &[ProcessReport]) -> String {
    let line = |report: &ProcessReport| {
        let what = match report.outcome {
            ProcessOutcome::Applied => "behaves like the new version now",
            ProcessOutcome::AlreadyApplied => "has the patch already",
            ProcessOutcome::AlreadyNew => "runs the new version",
            ProcessOutcome::Reverted => "runs its old code again",
            ProcessOutcome::NotApplied => "does not have the patch",
            ProcessOutcome::WouldChange => "would be changed",
        };
        let mut line = format!("process {} ({}) {what}", report.pid, escape(&report.name));
        if report.attempts > 0 {
            let functions = counted(report.functions as u64, "function", "functions");
            let (whole, rest) = (report.pause_us / 1000, report.pause_us % 1000 / 10);
            line += &format!(": {functions}, stood still for {whole}.{rest:02} ms");
        }
        if report.repaired {
            line += "; the work of a call that had died was taken back first";
        }
        line + "\n"
    };
    reports.iter().map(line).collect()
}

/// What is switched, and why.
pub(crate) fn hot_text(parts: &[HotReport]) -> String {
    let mut text = String::new();
    for part in parts {
        let sizes = format!("{} of code, {} of data", bytes(part.code_bytes), bytes(part.data_bytes));
        text += &format!("\n{HEADING}For running processes of build {}{HEADING:#}  {sizes}\n", escape(&part.old_build));
        text += match part.references {
            "decoded" => "references: decoded from instructions, since no relocations were kept\n",
            "objects" => "references: those of the objects that were linked\n",
            _ => "",
        };
        let mut table = Table::new([("function", Align::Left), ("", Align::Left), ("why", Align::Left)]);
        for function in &part.functions {
            let new = if function.new { "new" } else { "" };
            table.row([escape(&function.name), new.to_owned(), escape(&function.why)]);
        }
        text += &table.render();
        if !part.line_only.is_empty() {
            let names: Vec<String> = part.line_only.iter().map(|name| escape(name)).collect();
            text += &format!("left out, other line numbers only: {}\n", names.join(", "));
        }
    }
    text
}

/// The patches of processes.
pub(crate) fn status_text(processes: &[ProcessStatus]) -> String {
    let mut text = String::new();
    for process in processes {
        let name = format!("process {} ({})", process.pid, escape(&process.name));
        if process.patches.is_empty() {
            text += &format!("{name}: no patch\n");
            continue;
        }
        text += &format!("{name}: {}\n", counted(process.patches.len() as u64, "patch", "patches"));
        let mut table = Table::new([
            ("state", Align::Left),
            ("id", Align::Left),
            ("memory", Align::Right),
            ("functions", Align::Left),
        ]);
        for patch in &process.patches {
            let functions: Vec<String> = patch.functions.iter().map(|name| escape(name)).collect();
            let memory = bytes(patch.memory_bytes);
            table.row([patch.state.to_owned(), escape(&patch.id), memory, functions.join(", ")]);
        }
        text += &table.render();
        for line in process.patches.iter().flat_map(|patch| &patch.pinned) {
            text += &format!("  {}\n", escape(line));
        }
    }
    text
}
