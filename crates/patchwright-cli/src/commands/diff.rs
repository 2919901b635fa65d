//! `patchwright diff OLD... NEW -o PATCH`

use std::path::{Path, PathBuf};

use patchwright::range_list::{number, parse_ignore, parse_retain};
use patchwright::report::DiffReport;
use patchwright::{DiffOptions, Error, ErrorKind, Result};

use super::pa19::{Format, Pa19Args, Profile};
use super::processes::hot_text;
use super::{Examples, ExitCodes, after_help, tree_summary};
use crate::console::{Answer, Console};
use crate::progress::progress;
use crate::text::{Align, HEADING, Table, byte_cells, bytes, escape, escape_path, facts, share};

pub(crate) const EXIT_CODES: ExitCodes = &[
    (0, "the patch is written"),
    (1, "there is nothing to patch: the old versions are the new version already"),
    (3, "an input is malformed or unsupported; --hot: processes cannot be given this change"),
    (5, "reading or writing failed; no patch is left behind"),
];

const EXAMPLES: Examples = &[
    ("From two old versions of a program to the new one", "patchwright diff app-1.0 app-1.1 app-1.2 -o fix.pwp"),
    (
        "A licence stamp of 64 bytes differs on each machine and stays",
        "patchwright diff app-1.0 app-1.1 -o fix.pwp --retain 0x2f00+64=0x3100",
    ),
    (
        "Eight bytes of the first old version may hold anything",
        "patchwright diff app-1.0 app-1.1 app-1.2 -o fix.pwp --ignore 1:0x88+8",
    ),
    (
        "A patch that Windows Installer applies",
        "patchwright diff old.dll new.dll -o fix.pa19 --format pa19 --ignore 0x3c0+16",
    ),
    ("A patch that is applied as quickly as can be", "patchwright diff app-1.0 app-1.1 -o fix.pwp --profile fast"),
    ("A patch for the file and for running processes", "patchwright diff app-1.0 app-1.1 -o fix.pwp --hot"),
    ("Folders", "patchwright diff tree-1.0/ tree-1.1/ -o fix.pwp --regions regions.toml"),
];

/// Make a patch that leads from each OLD version to the NEW one
///
/// OLD and NEW are files, or all folders. An input is never written to. The same inputs and options give the same
/// patch, byte for byte, on every machine and for every number of threads.
#[derive(Debug, clap::Args)]
#[command(override_usage = "patchwright diff [OPTIONS] -o <PATCH> <OLD>... <NEW>")]
#[command(after_long_help = after_help(EXAMPLES, EXIT_CODES))]
pub(crate) struct Args {
    /// The old versions that the patch starts from and, last, the new version that it leads to
    // One list, because clap takes options between the items of one positional, but not between two positionals.
    #[arg(value_name = "OLD... NEW", num_args = 1.., required = true)]
    versions: Vec<PathBuf>,
    /// Where to write the patch
    #[arg(short = 'o', long = "output", value_name = "PATCH")]
    patch: PathBuf,
    /// Ranges of the old file whose content does not matter
    ///
    /// `[N:]OFFSET+LENGTH[,...]`. They take no part in recognising the file, nothing is copied from them, and the new
    /// file's content replaces them. N is the number of the OLD file, from 1; without it, all of them. Single files
    /// only.
    #[arg(long, value_name = "[N:]OFF+LEN[,...]")]
    ignore: Vec<String>,
    /// Ranges that keep what they hold in the file being patched
    ///
    /// `[N:]OLDOFFSET+LENGTH[=NEWOFFSET][,...]`. The bytes at OLDOFFSET of the old file end up at NEWOFFSET of the
    /// result, whatever the new file held there; NEWOFFSET defaults to OLDOFFSET. Single files only.
    #[arg(long, value_name = "[N:]OLDOFF+LEN[=NEWOFF][,...]")]
    retain: Vec<String>,
    /// A file that lists ignored and retained ranges by path; the way to give those of folders
    #[arg(long, value_name = "FILE.toml")]
    regions: Option<PathBuf>,
    /// What the patch is made for [default: small, or raw with --format pa19]
    ///
    /// small, fast and quick lead to the same file: the smallest patch; one that is larger but quick to apply; one that
    /// is larger but quick to make. raw and native are of --format pa19: what is done to 32-bit images.
    #[arg(long, value_enum)]
    profile: Option<Profile>,
    /// Most memory that matching may use, such as 2GiB or 512MiB; a smaller limit may make a larger patch
    #[arg(long, value_name = "SIZE", value_parser = memory_size)]
    max_memory: Option<u64>,
    /// Threads to use; all cores without it
    #[arg(long, value_name = "N", value_parser = thread_count)]
    threads: Option<usize>,
    /// The format of the patch
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Make a part for running processes too, so that `apply --running` and `apply --pid` work
    ///
    /// Single files only: ELF programs and libraries for x86-64, all versions linked with -Wl,--emit-relocs.
    #[arg(long)]
    hot: bool,
    #[command(flatten)]
    pa19: Pa19Args,
}

impl Args {
    pub(crate) fn run(&self, console: &Console) -> Result<Answer> {
        let (olds, new) = self.versions()?;
        let report = patchwright::diff(olds, new, &self.patch, &self.options()?, progress(console).as_ref())?;
        Ok(console.report(&report, text)?.warnings(&report.warnings))
    }

    fn versions(&self) -> Result<(&[PathBuf], &Path)> {
        match self.versions.split_last() {
            Some((new, olds)) if !olds.is_empty() => Ok((olds, new)),
            _ => Err(Error::new(ErrorKind::Usage, "an old and a new version are needed, there is only one file")
                .hint("patchwright diff OLD... NEW -o PATCH")),
        }
    }

    /// What the flags mean; everything that is wrong with the ranges is said at once.
    fn options(&self) -> Result<DiffOptions> {
        let mut faults = Vec::new();
        let (format, profile) = self.pa19.format(self.format, self.profile)?;
        let mut options = DiffOptions {
            regions: self.regions.clone(),
            max_memory_bytes: self.max_memory,
            threads: self.threads,
            format,
            profile,
            hot: self.hot,
            ..DiffOptions::default()
        };
        for text in &self.ignore {
            match parse_ignore(text) {
                Ok(ranges) => options.ignore.push(ranges),
                Err(fault) => faults.push(format!("--ignore {text}: {fault}")),
            }
        }
        for text in &self.retain {
            match parse_retain(text) {
                Ok(ranges) => options.retain.push(ranges),
                Err(fault) => faults.push(format!("--retain {text}: {fault}")),
            }
        }
        if faults.is_empty() {
            return Ok(options);
        }
        Err(Error::new(ErrorKind::Usage, "ranges that cannot be read")
            .details(faults)
            .hint("a range is OFFSET+LENGTH, a retained one also OFFSET+LENGTH=NEWOFFSET; numbers are decimal or 0x"))
    }
}

/// Reads a size of memory: bytes, or a number of KiB, MiB, GiB or TiB.
fn memory_size(text: &str) -> Result<u64, String> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40), ("B", 0)];
    let unit = units.into_iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, shift)));
    let (digits, shift) = unit.unwrap_or((text, 0));
    let size = number(digits).map_err(|fault| format!("{fault}, alone or before B, KiB, MiB, GiB or TiB"))?;
    match size.checked_mul(1 << shift) {
        Some(0) => Err("nothing can be done in no memory".to_owned()),
        Some(size) => Ok(size),
        None => Err("it exceeds 64 bits".to_owned()),
    }
}

pub(super) fn thread_count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(threads) if threads > 0 => Ok(threads),
        _ => Err("it takes a whole number from 1".to_owned()),
    }
}

fn text(report: &DiffReport) -> String {
    let new_share = match report.new_bytes {
        0 => String::new(),
        new_bytes => format!(", {} of the new version", share(report.patch_bytes, new_bytes)),
    };
    let mut lines = vec![
        ("patch", escape_path(&report.patch)),
        ("id", escape(&report.id)),
        ("size", bytes(report.patch_bytes) + &new_share),
        ("new", bytes(report.new_bytes)),
    ];
    if let Some(tree) = &report.tree {
        lines.push(("entries", tree_summary(tree)));
    }
    let mut text = facts(lines);
    text.push_str(&format!("\n{HEADING}Old versions{HEADING:#}\n"));
    let mut table = Table::new([
        ("#", Align::Right),
        ("size", Align::Right),
        ("", Align::Left),
        ("own deltas", Align::Right),
        ("", Align::Left),
        ("matched by", Align::Left),
        ("leads to", Align::Left),
        ("path", Align::Left),
    ]);
    for (index, old) in report.olds.iter().enumerate() {
        let [size, human_size] = byte_cells(old.bytes);
        let [delta, human_delta] = byte_cells(old.delta_bytes);
        let number = (index + 1).to_string();
        let methods = if old.methods.is_empty() { "-".to_owned() } else { old.methods.join(", ") };
        let goal = old.via.map_or_else(|| "new".to_owned(), |via| format!("#{via}"));
        table.row([number, size, human_size, delta, human_delta, methods, goal, escape_path(&old.path)]);
    }
    text + &table.render() + &hot_text(&report.hot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_sizes_read_with_and_without_unit() {
        for (text, expect) in [
            ("4096", Ok(4096)),
            ("0x1000", Ok(4096)),
            ("4096B", Ok(4096)),
            ("64KiB", Ok(65536)),
            ("512MiB", Ok(512 << 20)),
            ("2GiB", Ok(2 << 30)),
            ("2 GiB", Ok(2 << 30)),
            ("1TiB", Ok(1 << 40)),
            ("0", Err("no memory")),
            ("", Err("is not a decimal")),
            ("2GB", Err("alone or before B, KiB")),
            ("1.5GiB", Err("is not a decimal")),
            ("-1", Err("is not a decimal")),
            ("99999999TiB", Err("exceeds 64 bits")),
        ] {
            match (memory_size(text), expect) {
                (Ok(size), Ok(expected)) => assert_eq!(size, expected, "{text}"),
                (Err(fault), Err(part)) => assert!(fault.contains(part), "{text}: {fault}"),
                (got, _) => panic!("{text}: {got:?}"),
            }
        }
    }

    #[test]
    fn a_report_reads_like_this() {
        use patchwright::report::{DiffedOld, Subject, TreeSummary};
        let report = DiffReport {
            schema: "patchwright.diff/1",
            patch: "fix.pwp".into(),
            id: "ab12".into(),
            patch_bytes: 12_345,
            subject: Subject::Tree,
            new_bytes: 1_265_432,
            olds: vec![
                DiffedOld {
                    path: "one".into(),
                    bytes: 1_200_000,
                    delta_bytes: 12_000,
                    methods: vec!["bytes"],
                    via: None,
                },
                DiffedOld { path: "t\u{7}wo".into(), bytes: 7, delta_bytes: 0, methods: vec![], via: Some(1) },
            ],
            tree: Some(TreeSummary { changed: 2, unchanged: 1, ..TreeSummary::default() }),
            hot: vec![],
            warnings: vec![],
        };
        let text = anstream::adapter::strip_str(&text(&report)).to_string();
        assert_eq!(
            text,
            "\
patch    fix.pwp
id       ab12
size     12,345 bytes (12.1 KiB), 1.0% of the new version
new      1,265,432 bytes (1.2 MiB)
entries  2 changed, 1 unchanged

Old versions
  #             size              own deltas             matched by  leads to  path
  1  1,200,000 bytes (1.1 MiB)  12,000 bytes (11.7 KiB)  bytes       new       one
  2          7 bytes                 0 bytes             -           #1        t\\u{7}wo
"
        );
    }
}
