//! One file per verb: what was typed, what it means, the text of its report.

pub(crate) mod apply;
pub(crate) mod cc;
pub(crate) mod check;
pub(crate) mod cl;
pub(crate) mod completions;
pub(crate) mod diff;
pub(crate) mod driver;
pub(crate) mod inspect;
pub(crate) mod ld;
pub(crate) mod link;
pub(crate) mod man;
mod pa19;
pub(crate) mod pcp;
pub(crate) mod prepare;
pub(crate) mod revert;
pub(crate) mod status;
pub(crate) mod verify;

use std::fmt::Write as _;

use patchwright::report::{Recovered, TreeSummary};
use patchwright::{Error, ErrorKind, Result};

use crate::cli::Command;
use crate::console::{Answer, Console};
use crate::text::{count, counted};

/// Exit codes and what they mean to one verb.
pub(crate) type ExitCodes = &'static [(u8, &'static str)];

/// What an example shows, or nothing if it goes on from the one before; and the command.
pub(crate) type Examples = &'static [(&'static str, &'static str)];

/// What these two codes mean is the same everywhere.
const EVERYWHERE: ExitCodes = &[(2, "usage: see the message"), (70, "a bug of ours: please report it")];

impl Command {
    pub(crate) fn run(&self, console: &Console) -> Result<Answer> {
        match self {
            Self::Diff(args) => args.run(console),
            Self::Apply(args) => args.run(console),
            Self::Revert(args) => args.run(console),
            Self::Status(args) => args.run(console),
            Self::Inspect(args) => args.run(console),
            Self::Verify(args) => args.run(console),
            Self::Check(args) => args.run(console),
            Self::Cc(args) => args.run(console),
            Self::Cl(args) => args.run(console),
            Self::Link(args) => args.run(console),
            Self::Prepare(args) => args.run(console),
            Self::Ld(args) => args.run(console),
            Self::Pcp(args) => args.run(console),
            Self::Completions(args) => args.run(console),
            Self::Man(args) => args.run(console),
        }
    }
}

/// The end of a verb's long help: examples, and what its exit codes mean.
pub(crate) fn after_help(examples: Examples, exit_codes: ExitCodes) -> String {
    let mut text = "Examples:\n".to_owned();
    for (title, command) in examples {
        if !title.is_empty() {
            let _ = writeln!(text, "  {title}:");
        }
        let _ = writeln!(text, "    {command}");
    }
    text.push_str("\nExit codes:\n");
    let mut codes: Vec<_> = exit_codes.iter().chain(EVERYWHERE).collect();
    codes.sort_by_key(|(code, _)| *code);
    for (code, meaning) in codes {
        let _ = writeln!(text, "  {code:>2}  {meaning}");
    }
    text.truncate(text.trim_end().len());
    text
}

/// Refuses `--json` where there is no report.
fn no_json(console: &Console) -> Result<()> {
    if console.json {
        return Err(Error::new(ErrorKind::Usage, "this command has no report to print as JSON"));
    }
    Ok(())
}

/// What became of the work of a call that had died.
fn recovered_note(recovered: Option<Recovered>) -> Option<String> {
    recovered.map(|recovered| match recovered {
        Recovered::Finished => "an earlier call had died half-way; its work is completed now".to_owned(),
        Recovered::Undone => "an earlier call had died half-way; its work is taken back".to_owned(),
    })
}

/// Counts of what differs, those that are none left out.
fn tree_summary(summary: &TreeSummary) -> String {
    let counts = [
        (summary.added, "added"),
        (summary.removed, "removed"),
        (summary.changed, "changed"),
        (summary.renamed, "renamed"),
        (summary.mode_changed, "with other permission bits"),
    ];
    let unchanged = (summary.unchanged, "unchanged");
    let differing = counts.into_iter().filter(|(number, _)| *number > 0);
    let told: Vec<_> =
        differing.chain([unchanged]).map(|(number, word)| format!("{} {word}", count(number as u64))).collect();
    told.join(", ")
}

/// Counts ranges: `2 ignored ranges, 1 retained range`.
fn range_counts(ignored: usize, retained: usize) -> String {
    format!(
        "{}, {}",
        counted(ignored as u64, "ignored range", "ignored ranges"),
        counted(retained as u64, "retained range", "retained ranges")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_ends_with_examples_and_sorted_codes() {
        let text = after_help(&[("Do it", "patchwright x"), ("", "patchwright y")], &[(0, "done"), (5, "it fails")]);
        assert_eq!(
            text,
            "Examples:\n  Do it:\n    patchwright x\n    patchwright y\n\nExit codes:\n   0  done\n   2  usage: see the \
             message\n   5  it fails\n  70  a bug of ours: please report it"
        );
    }

    #[test]
    fn counts_of_none_are_left_out() {
        let summary = TreeSummary { added: 1, unchanged: 1234, ..TreeSummary::default() };
        assert_eq!(tree_summary(&summary), "1 added, 1,234 unchanged");
        assert_eq!(tree_summary(&TreeSummary::default()), "0 unchanged");
    }
}
