//! `patchwright prepare OBJECT... -o DIR`

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use patchwright::report::{PrepareCounts, PrepareReport, PreparedFile};
use patchwright::{PrepareOptions, Result};

use super::{Examples, ExitCodes, after_help};
use crate::console::{Answer, Console};
use crate::text::{count, counted, escape, escape_path};

pub(crate) const EXIT_CODES: ExitCodes = &[
    (0, "every function of the copies is hot-patchable"),
    (1, "the copies are written, but at least one function or object stays as it was"),
    (3, "an input is damaged, or no object or archive of a kind that is supported; nothing was written"),
    (5, "reading or writing failed"),
];

const EXAMPLES: Examples = &[
    ("Prepare what a compiler made, then link the copies", "patchwright prepare main.o parse.o -o hot"),
    ("", "gcc hot/main.o hot/parse.o -o app"),
    ("Prepare a library that comes without source", "patchwright prepare /opt/vendor/libcodec.a -o hot"),
];

/// Functions listed per cause, before the rest is only counted.
const LISTED: usize = 20;

/// Make objects hot-patchable that were compiled without it
///
/// Writes a copy of each OBJECT into DIR: objects (ELF for x86-64, x86 and ARM64, COFF for x64 and x86) and archives of them
/// (.a, .lib, .rlib). Filler is put before each function, and a nop where its first instruction cannot be replaced by one
/// store. What cannot be done is listed with the reason, function by function.
#[derive(Debug, clap::Args)]
#[command(after_long_help = after_help(EXAMPLES, EXIT_CODES))]
pub(crate) struct Args {
    /// Objects and archives
    #[arg(required = true, value_name = "OBJECT")]
    objects: Vec<PathBuf>,
    /// The folder for the copies; it is made if it is not there
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Bytes of pad before each entry [default: 5 on x86, 6 on x86-64, 16 on ARM64]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=120))]
    min_pad: Option<u8>,
}

impl Args {
    pub(crate) fn run(&self, console: &Console) -> Result<Answer> {
        let options = PrepareOptions { min_pad: self.min_pad.map(usize::from) };
        let report = patchwright::prepare(&self.objects, &self.output, &options)?;
        let answer = console.report(&report, text)?;
        let all = report.counts.refused == 0 && report.files.iter().all(|file| file.unsupported.is_empty());
        Ok(if all { answer } else { answer.no() })
    }
}

fn text(report: &PrepareReport) -> String {
    let mut text = String::new();
    for file in &report.files {
        let state = if file.changed { "prepared" } else { "unchanged" };
        let _ = writeln!(text, "{state}  {}  {}", escape_path(&file.output), counts(file.counts));
    }
    if report.files.len() > 1 {
        let _ = writeln!(text, "together: {}", counts(report.counts));
    }
    text += &refused(&report.files);
    text
}

fn counts(counts: PrepareCounts) -> String {
    let told = [
        (counts.prepared, "prepared"),
        (counts.already, "hot-patchable before"),
        (counts.exempt, "parts or thunks"),
        (counts.refused, "refused"),
    ];
    let told: Vec<_> = told
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, word)| format!("{} {word}", count(number as u64)))
        .collect();
    let all = counted(counts.functions as u64, "function", "functions");
    if told.is_empty() { all } else { format!("{all}: {}", told.join(", ")) }
}

/// What stays as it was, by reason.
fn refused(files: &[PreparedFile]) -> String {
    let mut by_reason: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for file in files {
        let path = escape_path(&file.input);
        let place = |member: Option<&str>| match member {
            Some(member) => format!("{path}({})", escape(member)),
            None => path.clone(),
        };
        for member in &file.unsupported {
            by_reason.entry(&member.reason).or_default().push(place(Some(&member.member)));
        }
        for function in &file.refused {
            let name = function.names.first().map(|name| escape(name)).unwrap_or_default();
            for reason in &function.reasons {
                let line = format!("{name}  {}  {}", escape(&function.place), place(function.member.as_deref()));
                by_reason.entry(reason).or_default().push(line);
            }
        }
    }
    let mut text = String::new();
    for (reason, lines) in by_reason {
        let _ = writeln!(text, "\nrefused: {}", escape(reason));
        for line in lines.iter().take(LISTED) {
            let _ = writeln!(text, "  {line}");
        }
        if let Some(more) = lines.len().checked_sub(LISTED).filter(|more| *more > 0) {
            let _ = writeln!(text, "  and {} more; --json lists all", count(more as u64));
        }
    }
    text
}
