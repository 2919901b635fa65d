//! `patchwright msp build`

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::ValueEnum;
use patchwright::msp::{BuildOptions, MspBuildReport, MspFile, MspPair, RetainDefault, RetainMismatch};
use patchwright::{Error, ErrorKind, PathMapping, Result};

use super::diff::thread_count;
use crate::console::{Answer, Console};
use crate::progress::progress;
use crate::text::{Align, HEADING, Table, byte_cells, bytes, counted, escape, escape_path, facts, share};

/// Build the patch that a PCP describes
///
/// Everything that stands against it is told at once. The patch appears whole or not at all, and before it does it is followed:
/// both transforms of every pair of images, every delta from every old file, with other bytes in ignored and retained ranges too.
/// The same files and options give the same patch, byte for byte.
#[derive(Debug, clap::Args)]
pub(crate) struct Build {
    /// The patch creation properties
    pcp: PathBuf,
    /// The patch to write [default: PatchOutputPath]
    #[arg(short, long, value_name = "MSP")]
    output: Option<PathBuf>,
    /// Where the Windows paths of the PCP lead here: C:\build=/srv/build; the longest prefix counts
    #[arg(long = "map", value_name = "PREFIX=DIR")]
    mappings: Vec<PathMapping>,
    /// Refuse what PATCHWIZ refuses, such as images whose files are in cabinets
    #[arg(long)]
    strict: bool,
    /// What to do where an old file and its family differ in the number of retained ranges
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    retain_mismatch: OnMismatch,
    /// Where an old file without offsets has its retained ranges
    #[arg(long, value_enum, default_value_t, value_name = "WHERE")]
    retain_default: DefaultPlace,
    /// Threads to use; all cores without it
    #[arg(long, value_name = "N", value_parser = thread_count)]
    threads: Option<usize>,
    /// A folder for what lies between images and patch; kept if DontRemoveTempFolderWhenFinished is 1
    #[arg(long, value_name = "DIR")]
    temp_folder: Option<PathBuf>,
    /// Place of the action PatchFiles in the sequences [default: 4090, or after InstallFiles]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i16).range(1..))]
    patchfiles_sequence: Option<i16>,
    /// Which errors do not stop a transform: a sum of 1 to 0x3f
    #[arg(long, value_name = "BITS", default_value = "0x17", value_parser = error_conditions)]
    error_conditions: u16,
}

/// What to do about different numbers of retained ranges.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum OnMismatch {
    /// Refuse
    #[default]
    Error,
    /// Retain nothing of the file, and warn: what PATCHWIZ does
    Drop,
}

/// What an old file means that does not say where its retained ranges are.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum DefaultPlace {
    /// Nothing: it is a mismatch
    #[default]
    None,
    /// They are where the new file has them
    SameOffset,
}

impl Build {
    pub(crate) fn run(&self, console: &Console) -> Result<Answer> {
        let report = patchwright::msp::build(&self.pcp, &self.options()?, progress(console).as_ref())?;
        answer(console, &report)
    }

    fn options(&self) -> Result<BuildOptions> {
        Ok(BuildOptions {
            output: self.output.clone(),
            mappings: self.mappings.clone(),
            strict: self.strict,
            retain_mismatch: match self.retain_mismatch {
                OnMismatch::Error => RetainMismatch::Error,
                OnMismatch::Drop => RetainMismatch::Drop,
            },
            retain_default: match self.retain_default {
                DefaultPlace::None => RetainDefault::None,
                DefaultPlace::SameOffset => RetainDefault::SameOffset,
            },
            threads: self.threads,
            temp_folder: self.temp_folder.clone(),
            patch_files_sequence: self.patchfiles_sequence,
            error_conditions: self.error_conditions,
            ..timed()?
        })
    }
}

/// Options with the time: `SOURCE_DATE_EPOCH` and that of the day.
pub(crate) fn timed() -> Result<BuildOptions> {
    const NAME: &str = "SOURCE_DATE_EPOCH";
    let time = match std::env::var(NAME) {
        Err(_) => None,
        Ok(text) => Some(text.parse().map_err(|_| {
            Error::new(ErrorKind::Usage, format!("{NAME} is {text:?}, which is no number of seconds since 1970"))
        })?),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Ok(BuildOptions { time, now, ..BuildOptions::default() })
}

fn error_conditions(text: &str) -> Result<u16, String> {
    let number = patchwright::range_list::number(text)?;
    u16::try_from(number).ok().filter(|bits| *bits <= 0x3f).ok_or_else(|| "it takes 0 to 0x3f".to_owned())
}

/// The report with what its author should know.
pub(crate) fn answer(console: &Console, report: &MspBuildReport) -> Result<Answer> {
    let finding = |finding: &patchwright::report::PcpFinding| {
        let row = finding.row.as_ref().map(|row| format!(" [{row}]")).unwrap_or_default();
        let column = finding.column.map(|column| format!(".{column}")).unwrap_or_default();
        format!("{}{row}{column}: {} ({}); {}", finding.table, finding.message, finding.code, finding.hint)
    };
    let told = |severity: &str| {
        report.findings.iter().filter(|found| found.severity == severity).map(finding).collect::<Vec<_>>()
    };
    let mut warnings = told("warning");
    warnings.extend(report.warnings.iter().cloned());
    let mut notes = told("note");
    for pair in &report.pairs {
        notes.extend(pair.refreshed.iter().map(|line| format!("{}: {line}", pair.upgraded)));
    }
    notes.dedup();
    Ok(console.report(report, text)?.warnings(&warnings).notes(notes.iter().map(|note| escape(note))))
}

fn text(report: &MspBuildReport) -> String {
    let shipped: u64 = report.files.iter().map(|file| file.shipped_bytes).sum();
    let new: u64 = report.files.iter().map(|file| file.new_bytes).sum();
    let files = counted(report.files.len() as u64, "file", "files");
    let mut lines = vec![
        ("patch", escape_path(&report.output)),
        ("PatchGUID", escape(&report.patch_guid)),
        ("size", bytes(report.patch_bytes)),
        ("files", if new == 0 { files } else { format!("{files}, {} of their new versions", share(shipped, new)) }),
    ];
    if let Some(folder) = &report.temp_folder {
        lines.push(("parts", escape_path(folder)));
    }
    let mut text = facts(lines);
    text.push_str(&format!("\n{HEADING}Images{HEADING:#}\n"));
    text.extend(report.pairs.iter().map(pair));
    if !report.files.is_empty() {
        text.push_str(&format!("\n{HEADING}Files{HEADING:#}\n"));
        text.push_str(&table(&report.files));
    }
    text
}

fn pair(pair: &MspPair) -> String {
    let tables = if pair.tables.is_empty() { "no table".to_owned() } else { pair.tables.join(", ") };
    let kept: String = pair.kept.iter().map(|line| format!("    {}\n", escape(line))).collect();
    format!(
        "  {} {} to {} {}: changes {}\n{kept}",
        escape(&pair.target),
        escape(&pair.version),
        escape(&pair.upgraded),
        escape(&pair.upgraded_version),
        escape(&tables)
    )
}

fn table(files: &[MspFile]) -> String {
    let mut table = Table::new([
        ("number", Align::Right),
        ("", Align::Left),
        ("shipped", Align::Right),
        ("", Align::Left),
        ("new", Align::Right),
        ("", Align::Left),
        ("file", Align::Left),
        ("", Align::Left),
    ]);
    for file in files {
        let [shipped, human_shipped] = byte_cells(file.shipped_bytes);
        let [new, human_new] = byte_cells(file.new_bytes);
        let mut notes = Vec::new();
        if let Some(why) = &file.why {
            notes.push(escape(why));
        }
        if file.olds > 1 {
            notes.push(counted(file.olds as u64, "old version", "old versions"));
        }
        if file.ignored_ranges > 0 {
            notes.push(counted(file.ignored_ranges as u64, "ignored range", "ignored ranges"));
        }
        if file.retained_ranges > 0 {
            notes.push(counted(file.retained_ranges as u64, "retained range", "retained ranges"));
        }
        if file.non_vital {
            notes.push("may fail".to_owned());
        }
        if file.cached {
            notes.push("from the cache".to_owned());
        }
        let note = if notes.is_empty() { String::new() } else { format!("({})", notes.join(", ")) };
        let number = file.sequence.to_string();
        table.row([number, file.kind.to_owned(), shipped, human_shipped, new, human_new, escape(&file.file), note]);
    }
    table.render()
}
