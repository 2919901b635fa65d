//! `patchwright pcp new|export|import|check`

use std::path::PathBuf;

use clap::Subcommand;
use patchwright::pcp::{PcpCheckOptions, PcpNewOptions, PcpPair};
use patchwright::report::{PcpCheckReport, PcpExportReport, PcpFinding, PcpImportReport, PcpNewReport};
use patchwright::{Error, ErrorKind, PathMapping, Result};

use super::{Examples, ExitCodes, after_help};
use crate::console::{Answer, Console};
use crate::text::{counted, escape, escape_path, facts};

pub(crate) const EXIT_CODES: ExitCodes = &[
    (0, "done; `check` finds nothing, or warnings only"),
    (1, "`check` finds errors"),
    (3, "an input is no database of Windows Installer or no text archive, or it is damaged"),
    (5, "reading or writing failed"),
];

/// How many verbs there are below this one.
#[cfg(test)]
pub(crate) const VERBS: usize = 4;

const EXAMPLES: Examples = &[
    ("From two installers to a checked file", "patchwright pcp new 1.0/app.msi 1.1/app.msi -o app.pcp"),
    ("", "patchwright pcp check app.pcp"),
    ("From several old ones", "patchwright pcp new 1.0/app.msi 1.0.1/app.msi 1.1/app.msi -o app.pcp"),
    ("Keep it as text", "patchwright pcp export app.pcp -o app.pcp.d"),
    ("", "patchwright pcp import app.pcp.d -o app.pcp"),
    ("Check one that was written on Windows", "patchwright pcp check app.pcp --map 'C:\\build=/srv/build'"),
];

/// Patch creation properties: what a Windows Installer patch is made of
///
/// A .pcp is a small database that names the old and the new installers and says how their files are patched. It is made from
/// two installers, kept in version control as text, and checked before anything is built from it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = after_help(EXAMPLES, EXIT_CODES))]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Write a starting PCP that leads from old installers to a new one
    ///
    /// Product codes and versions are read from the installers. Paths without root stand in the PCP as seen from its folder.
    #[command(override_usage = "patchwright pcp new [OPTIONS] -o <PCP> <OLD>... <NEW>")]
    New {
        /// The old installers and, last, the new one
        #[arg(value_name = "OLD... NEW", num_args = 1.., required = true)]
        installers: Vec<PathBuf>,
        /// Another new installer of the same patch, for a product of its own, and an old one of it. Repeatable
        #[arg(long, num_args = 2, value_names = ["OLD", "NEW"])]
        also: Vec<PathBuf>,
        /// The file to write
        #[arg(short, long, value_name = "PCP")]
        output: PathBuf,
        /// The identity of the patch [default: a random one]
        #[arg(long, value_name = "GUID")]
        patch_guid: Option<String>,
        /// A row of PatchMetadata, such as MoreInfoURL=https://example.org, where the installers do not say it or say it
        /// otherwise. Repeatable
        #[arg(long, value_name = "NAME=VALUE", value_parser = metadata)]
        metadata: Vec<(String, String)>,
    },
    /// Write each table as a text archive (.idt) into a folder
    Export {
        /// The database: a .pcp, or any other of Windows Installer
        pcp: PathBuf,
        /// The folder, which is made if need be
        #[arg(short, long, value_name = "DIR")]
        output: PathBuf,
    },
    /// Make a database of the text archives in a folder
    Import {
        /// The folder
        dir: PathBuf,
        /// The file to write
        #[arg(short, long, value_name = "PCP")]
        output: PathBuf,
    },
    /// List everything that is wrong with a PCP, with the codes of PATCHWIZ
    ///
    /// The tables are checked, and the images that they name: files that are missing, codes and versions that do not fit,
    /// ranges beyond the ends of files, and more.
    ///
    /// Paths without root begin at the folder of the PCP; %NAME% is what the environment has; names are found in any case.
    Check {
        /// The patch creation properties
        pcp: PathBuf,
        #[command(flatten)]
        images: ImageArgs,
        /// Check the tables alone, and open no image
        #[arg(long, conflicts_with_all = ["map", "strict"])]
        no_images: bool,
    },
}

/// How images are found and judged.
#[derive(Debug, clap::Args)]
pub(crate) struct ImageArgs {
    /// Where a folder of Windows is here; the longest prefix that fits a path counts. Repeatable
    #[arg(long, value_name = "PREFIX=DIR")]
    pub(crate) map: Vec<PathMapping>,
    /// Take what PATCHWIZ refuses for an error, even where a patch can be made: images with files in cabinets
    #[arg(long)]
    pub(crate) strict: bool,
}

impl Args {
    pub(crate) fn run(&self, console: &Console) -> Result<Answer> {
        match &self.verb {
            Verb::New { installers, also, output, patch_guid, metadata } => {
                let pairs = pairs(installers, also)?;
                let metadata = metadata.iter().cloned().collect();
                let options = PcpNewOptions { patch_guid: patch_guid.clone(), metadata };
                let report = patchwright::pcp::new(&pairs, output, &options)?;
                let notes: Vec<String> = report.todos.iter().map(|todo| escape(todo)).collect();
                Ok(console.report(&report, made)?.notes(notes))
            }
            Verb::Export { pcp, output } => {
                let report = patchwright::pcp::export(pcp, output)?;
                let warnings: Vec<String> = report
                    .left_out
                    .iter()
                    .map(|name| format!("{} is no table: it is left out", escape(name)))
                    .collect();
                Ok(console.report(&report, exported)?.warnings(&warnings))
            }
            Verb::Import { dir, output } => console.report(&patchwright::pcp::import(dir, output)?, imported),
            Verb::Check { pcp, images, no_images } => {
                let options =
                    PcpCheckOptions { mappings: images.map.clone(), strict: images.strict, no_images: *no_images };
                let report = patchwright::pcp::check(pcp, &options)?;
                let answer = console.report(&report, checked)?;
                Ok(if report.errors > 0 { answer.no() } else { answer })
            }
        }
    }
}

fn metadata(typed: &str) -> std::result::Result<(String, String), String> {
    match typed.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("NAME=VALUE is needed".to_owned()),
    }
}

/// The last of the installers is new, the others are old; what comes besides comes in twos.
fn pairs(installers: &[PathBuf], also: &[PathBuf]) -> Result<Vec<PcpPair>> {
    let (new, old) = match installers.split_last() {
        Some((new, old)) if !old.is_empty() => (new, old),
        _ => return Err(Error::new(ErrorKind::Usage, "name at least one old installer and, last, the new one")),
    };
    let others = also.as_chunks::<2>().0.iter().map(|[old, new]| (old, new));
    let pairs = old.iter().map(|old| (old, new)).chain(others);
    Ok(pairs.map(|(old, new)| PcpPair { old: old.clone(), new: new.clone() }).collect())
}

fn made(report: &PcpNewReport) -> String {
    facts([("written", escape_path(&report.output)), ("PatchGUID", escape(&report.patch_guid))])
}

fn exported(report: &PcpExportReport) -> String {
    report.files.iter().map(|name| format!("{}\n", escape_path(&report.folder.join(name)))).collect()
}

fn imported(report: &PcpImportReport) -> String {
    let tables = counted(report.tables.len() as u64, "table", "tables");
    facts([("written", format!("{}, {tables}", escape_path(&report.output)))])
}

fn checked(report: &PcpCheckReport) -> String {
    let pcp = escape_path(&report.pcp);
    let warnings = counted(report.warnings as u64, "warning", "warnings");
    let answer = match (report.errors, report.warnings) {
        (0, 0) => format!("yes: {pcp} is sound"),
        (0, _) => format!("yes: {pcp} is sound, {warnings}"),
        (errors, _) => format!("no: {pcp} has {}, {warnings}", counted(errors as u64, "error", "errors")),
    };
    std::iter::once(answer + "\n").chain(report.findings.iter().map(found)).collect()
}

/// Lines that a finding has at most; `--json` has them all.
const MOST_DETAILS: usize = 20;

pub(crate) fn found(finding: &PcpFinding) -> String {
    let row = finding.row.as_ref().map(|row| format!(" [{}]", escape(row))).unwrap_or_default();
    let column = finding.column.map(|column| format!(".{column}")).unwrap_or_default();
    let mut details: String =
        finding.details.iter().take(MOST_DETAILS).map(|line| format!("    {}\n", escape(line))).collect();
    let left = finding.details.len().saturating_sub(MOST_DETAILS);
    if left > 0 {
        details += &format!("    and {left} more; --json has them all\n");
    }
    format!(
        "\n{}: {}{row}{column}: {}\n{details}  {} ({})\n  {}\n",
        finding.severity,
        finding.table,
        escape(&finding.message),
        finding.code,
        finding.number,
        finding.hint
    )
}
