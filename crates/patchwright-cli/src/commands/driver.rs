//! What the drivers `cc`, `cl` and `link` share: their own switches, and how they are told from those of the tool.
//!
//! A driver is called where a compiler is: by build systems and `configure`. So standard output is the tool's alone, and
//! everything of ours goes to standard error, and only if there is something to say.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use patchwright::report::BuildReport;
use patchwright::toolchain::{AuditPolicy, Build, DriverOptions};
use patchwright::{Error, ErrorKind, Result};

use super::ExitCodes;
use crate::console::{Answer, Console};
use crate::text::{escape, facts};

pub(crate) const EXIT_CODES: ExitCodes = &[
    (0, "the tool succeeded, or --dry-run printed what would be run"),
    (1, "with --audit error: functions of the linked image are not hot-patchable; it is removed"),
    (5, "the tool cannot be started, or reading or writing failed"),
    (7, "refused: this tool is known to make wrong code, or cannot make hot-patchable code"),
];

/// Said under the help of each driver.
pub(crate) const PASSED_ON: &str =
    "Every other exit code is the tool's own, passed on; of a tool that a signal killed it is 128 and its number.";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Audit {
    /// Nobody looks
    Off,
    /// Functions that are not hot-patchable are named on standard error
    Warn,
    /// The same, the image is removed, and the exit code is 1
    Error,
}

/// Switches of the drivers. Between the words of the tool each is spelled with `--pw-`, as in `--pw-audit=error`.
#[derive(Debug, clap::Args)]
pub(crate) struct Switches {
    /// Audit what is linked: off, warn or error [default: warn]
    #[arg(long, value_name = "WHAT", value_enum, hide_possible_values = true)]
    audit: Option<Audit>,
    /// Write what was done as JSON; of a folder into a file named like the image
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Tell what is good to know, not only what breaks the promise
    #[arg(short, long)]
    verbose: bool,
    /// Print what would be run, and run nothing
    #[arg(long)]
    dry_run: bool,
}

impl Switches {
    pub(crate) fn options(&self) -> DriverOptions {
        let audit = self.audit.map(|audit| match audit {
            Audit::Off => AuditPolicy::Off,
            Audit::Warn => AuditPolicy::Warn,
            Audit::Error => AuditPolicy::Error,
        });
        let verbose = self.verbose.then_some(true);
        DriverOptions { audit, report: self.report.clone(), verbose, ..DriverOptions::default() }
    }

    /// Runs what is planned, or prints it.
    pub(crate) fn run(&self, build: Build, console: &Console) -> Result<Answer> {
        if self.dry_run {
            return console.report(&build.report(), text);
        }
        if console.json {
            let message = "standard output belongs to the tool; --json goes with --dry-run alone";
            return Err(Error::new(ErrorKind::Usage, message).hint("--report FILE writes the report as JSON"));
        }
        let notes = if build.is_verbose() { build.notes() } else { &[] };
        console.tell(notes, build.warnings());
        let built = build.run()?;
        Ok(Answer::data(Vec::new()).warnings(&built.warnings).exit_code(built.exit_code))
    }
}

fn text(report: &BuildReport) -> String {
    let words = |words: &[String]| words.iter().map(|word| shell(word)).collect::<Vec<_>>().join(" ");
    let added = if report.added.is_empty() { "nothing".to_owned() } else { words(&report.added) };
    let mut rows = vec![("runs", words(&report.command)), ("adds", added)];
    rows.extend(report.compiler.iter().map(|compiler| ("compiler", escape(compiler))));
    rows.extend(report.pad.iter().map(|pad| ("pad", format!("{pad} bytes"))));
    rows.extend(report.warnings.iter().map(|warning| ("warning", escape(warning))));
    rows.extend(report.notes.iter().map(|note| ("note", escape(note))));
    facts(rows)
}

/// A word as a shell reads it back.
fn shell(word: &str) -> String {
    let plain = |char: char| char.is_alphanumeric() || "-_=+,./:@%".contains(char);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", escape(word).replace('\'', "'\\''"))
}

/// What was typed, with the switches of a driver where clap finds them.
///
/// A program called `patchwright-cc`, `patchwright-cl` or `patchwright-link` is `patchwright` with that verb: for
/// build systems that want the path of one program. `cl` and `link` have no `--` between their own words and the tool's,
/// as nobody types one there; their switches begin with `--pw-`, and so may those of `cc` behind its `--`.
pub(crate) fn spell_out(typed: Vec<OsString>) -> Vec<OsString> {
    let name = typed.first().map(|program| Path::new(program).file_stem().unwrap_or_default().to_owned());
    let by_name = name.as_deref().and_then(OsStr::to_str).and_then(|name| name.strip_prefix("patchwright-"));
    let (verb, words) = match (by_name, typed.get(1).and_then(|word| word.to_str())) {
        (Some(verb @ ("cc" | "cl" | "link")), _) => (verb.to_owned(), typed.get(1..).unwrap_or_default()),
        (None, Some(verb @ ("cc" | "cl" | "link"))) => (verb.to_owned(), typed.get(2..).unwrap_or_default()),
        _ => return typed,
    };
    let asks_for_help = words.first().is_some_and(|word| word == "--help" || word == "-h");
    let is_plain_cc = verb == "cc" && by_name.is_none();
    // The words of ours that stand before those of the tool.
    let front = if is_plain_cc { own_words(words) } else { 0 };
    if asks_for_help && (front > 0 || by_name.is_none()) {
        return typed;
    }
    let own = |word: &OsString| {
        word.to_str().and_then(|word| word.strip_prefix("--pw-")).map(|rest| OsString::from(format!("--{rest}")))
    };
    let (before, after) = words.split_at(front);
    let program = typed.first().cloned();
    let mut out: Vec<OsString> = program.into_iter().chain([OsString::from(verb)]).collect();
    out.extend(before.iter().filter(|word| *word != "--").cloned());
    out.extend(after.iter().filter_map(own));
    if after.iter().any(|word| own(word).is_none()) || !is_plain_cc {
        out.push("--".into());
    }
    out.extend(after.iter().filter(|word| own(word).is_none()).cloned());
    out
}

/// How many words of `cc` stand before the compiler: up to `--`, or to the first that is no switch and no value of one.
fn own_words(words: &[OsString]) -> usize {
    let mut at = 0;
    while let Some(word) = words.get(at).and_then(|word| word.to_str()) {
        match word {
            "--" => return at + 1,
            "--pad" | "--audit" | "--report" | "--color" => at += 2,
            _ if word.starts_with('-') => at += 1,
            _ => break,
        }
    }
    at.min(words.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_are_found_among_the_words_of_the_tool() {
        for (typed, expect) in [
            ("patchwright check x", "patchwright check x"),
            ("patchwright cc -- gcc -c x.c", "patchwright cc -- gcc -c x.c"),
            ("patchwright cc --pad 14 -- gcc x.c --pw-audit=error", "patchwright cc --pad 14 --audit=error -- gcc x.c"),
            ("patchwright cc gcc -c x.c", "patchwright cc -- gcc -c x.c"),
            ("patchwright cc --pad 14 -v gcc -- x.c", "patchwright cc --pad 14 -v -- gcc -- x.c"),
            ("patchwright cc", "patchwright cc"),
            ("patchwright cc --pad", "patchwright cc --pad"),
            ("patchwright cc --help", "patchwright cc --help"),
            ("patchwright cl --help", "patchwright cl --help"),
            ("patchwright cl /c a.c --pw-verbose", "patchwright cl --verbose -- /c a.c"),
            ("patchwright link -q", "patchwright link -- -q"),
            ("/usr/bin/patchwright-cc gcc --help", "/usr/bin/patchwright-cc cc -- gcc --help"),
            ("patchwright-cc --pw-pad=6 gcc -- x.c", "patchwright-cc cc --pad=6 -- gcc -- x.c"),
            ("patchwright-cl.exe /hotpatch", "patchwright-cl.exe cl -- /hotpatch"),
            ("patchwright-link --help", "patchwright-link link -- --help"),
            ("patchwright", "patchwright"),
        ] {
            let words: Vec<OsString> = typed.split(' ').map(OsString::from).collect();
            let expect: Vec<OsString> = expect.split(' ').map(OsString::from).collect();
            assert_eq!(spell_out(words), expect, "{typed}");
        }
    }

    #[test]
    fn words_are_shown_as_a_shell_reads_them() {
        for (word, expect) in
            [("-O2", "-O2"), ("a b", "'a b'"), ("it's", "'it'\\''s'"), ("", "''"), ("a\u{1b}", "'a\\u{1b}'")]
        {
            assert_eq!(shell(word), expect);
        }
    }
}
