//! `patchwright inspect PATCH`

use std::path::PathBuf;

use patchwright::range_list::{ByteRange, parse_ignore};
use patchwright::report::{
    ChangeKind, InspectReport, InspectedBlob, InspectedChange, InspectedDelta, InspectedNew, InspectedOld,
    InspectedRange, InspectedRetain, InspectedSpending, InspectedTree, Inspection, Subject,
};

use patchwright::{Error, ErrorKind, Result, SignatureOptions};

use super::pa19;
use super::processes::hot_text;
use super::{Examples, ExitCodes, after_help, range_counts, tree_summary};
use crate::console::{Answer, Console};
use crate::text::{Align, HEADING, Table, byte_cells, bytes, count, counted, escape, escape_path, facts, share};

pub(crate) const EXIT_CODES: ExitCodes = &[
    (0, "the patch is described"),
    (3, "it is no patch, damaged, or of a version that is not supported"),
    (5, "reading failed"),
];

const EXAMPLES: Examples = &[
    ("What is in a patch", "patchwright inspect fix.pwp"),
    ("Its identity, for a script", "patchwright inspect fix.pwp --json | jq -r .id"),
    (
        "The header that Windows Installer keeps of a PA19 patch",
        "patchwright inspect app.pa19 --extract-header app.hdr",
    ),
    ("The patch signature of a file", "patchwright inspect --signature app.dll"),
];

/// Show what is in PATCH: versions, ranges, sizes, methods, and where the bytes went
#[derive(Debug, clap::Args)]
#[command(after_long_help = after_help(EXAMPLES, EXIT_CODES))]
pub(crate) struct Args {
    /// The patch, ours or one in Microsoft's PA19 format
    patch: PathBuf,
    /// Write the header of a PA19 patch here, as a patch without streams
    #[arg(long, value_name = "OUT", conflicts_with = "signature")]
    extract_header: Option<PathBuf>,
    /// Take PATCH for any file and print the signature that the Windows patch API gives it
    #[arg(long)]
    signature: bool,
    /// MD5 instead of CRC-32
    #[arg(long, requires = "signature")]
    md5: bool,
    /// Ranges that read as zero in the signature
    #[arg(long, value_name = "OFF+LEN[,...]", requires = "signature")]
    ignore: Vec<String>,
}

impl Args {
    pub(crate) fn run(&self, console: &Console) -> Result<Answer> {
        if self.signature {
            let options = SignatureOptions { md5: self.md5, blanks: self.blanks()? };
            return console.report(&patchwright::signature(&self.patch, &options)?, pa19::signature);
        }
        if let Some(output) = &self.extract_header {
            return console.report(&patchwright::extract_header(&self.patch, output)?, pa19::extracted);
        }
        console.report(&patchwright::inspect(&self.patch)?, |report| match report {
            Inspection::Pwp(report) => text(report),
            Inspection::Pa19(report) => pa19::inspection(report),
        })
    }

    fn blanks(&self) -> Result<Vec<ByteRange>> {
        let mut blanks = Vec::new();
        for text in &self.ignore {
            let fault = |fault: String| Error::new(ErrorKind::Usage, format!("--ignore {text}: {fault}"));
            let parsed = parse_ignore(text).map_err(fault)?;
            if parsed.old.is_some() {
                return Err(fault("there is only one file".to_owned()));
            }
            blanks.extend(parsed.ranges);
        }
        Ok(blanks)
    }
}

fn text(report: &InspectReport) -> String {
    let mut text = head(report);
    text.extend(report.new.iter().map(new_version));
    text.extend(report.olds.iter().enumerate().map(|(index, old)| old_version(index + 1, old)));
    text.extend(report.tree.iter().enumerate().map(|(index, tree)| tree_version(index + 1, tree)));
    text += &blobs(&report.blobs, report.patch_bytes);
    let deltas = report.blobs.iter().enumerate().filter_map(|(index, blob)| Some((index, blob.delta.as_ref()?)));
    text.extend(deltas.map(|(index, found)| delta(index, found, report.patch_bytes)));
    text + &hot_text(&report.hot)
}

fn head(report: &InspectReport) -> String {
    let subject = match report.subject {
        Subject::File => "one file",
        Subject::Tree => "a folder",
    };
    let mut lines = vec![
        ("patch", escape_path(&report.patch)),
        ("id", escape(&report.id)),
        ("size", bytes(report.patch_bytes)),
        ("for", subject.to_owned()),
    ];
    lines.extend(report.reverts.as_ref().map(|id| ("takes back", escape(id))));
    facts(lines)
}

pub(super) fn heading(title: &str) -> String {
    format!("\n{HEADING}{title}{HEADING:#}\n")
}

fn new_version(new: &InspectedNew) -> String {
    let lines = facts([("  size", bytes(new.bytes)), ("  blake3", escape(&new.blake3))]);
    heading("New version") + &lines
}

fn old_version(number: usize, old: &InspectedOld) -> String {
    let lines = facts([
        ("  size", bytes(old.bytes)),
        ("  blake3", escape(&old.blake3)),
        (
            "  delta",
            std::iter::once(&old.blob)
                .chain(&old.then)
                .map(|blob| format!("blob {blob}"))
                .collect::<Vec<_>>()
                .join(", then "),
        ),
        ("  ranges", range_counts(old.ignore.len(), old.retain.len())),
    ]);
    heading(&format!("Old version {number}")) + &lines + &ranges(&old.ignore, &old.retain)
}

/// Ranges of a file: where they are in the old version and, for those that are carried over, in the new one.
pub(super) fn ranges(ignore: &[InspectedRange], retain: &[InspectedRetain]) -> String {
    if ignore.is_empty() && retain.is_empty() {
        return String::new();
    }
    let mut table = Table::new([
        ("range", Align::Left),
        ("old offset", Align::Right),
        ("new offset", Align::Right),
        ("length", Align::Right),
        ("", Align::Left),
    ]);
    for range in ignore {
        let [exact, human] = byte_cells(range.length);
        table.row(["ignore".to_owned(), hexadecimal(range.offset), "-".to_owned(), exact, human]);
    }
    for range in retain {
        let [exact, human] = byte_cells(range.length);
        let [old, new] = [range.old_offset, range.new_offset].map(hexadecimal);
        table.row(["retain".to_owned(), old, new, exact, human]);
    }
    table.render()
}

fn hexadecimal(offset: u64) -> String {
    format!("{offset:#x}")
}

fn tree_version(number: usize, tree: &InspectedTree) -> String {
    let mut text = heading(&format!("Old version {number}")) + &format!("  {}\n", tree_summary(&tree.summary));
    if tree.changes.is_empty() {
        return text;
    }
    let mut table = Table::new([
        ("change", Align::Left),
        ("what", Align::Left),
        ("old bytes", Align::Right),
        ("new bytes", Align::Right),
        ("blob", Align::Right),
        ("path", Align::Left),
    ]);
    tree.changes.iter().for_each(|change| table.row(change_cells(change)));
    text += &table.render();
    for change in tree.changes.iter().filter(|change| !change.ignore.is_empty() || !change.retain.is_empty()) {
        let counts = range_counts(change.ignore.len(), change.retain.len());
        text += &format!("\n  {}: {counts}\n{}", escape(&change.path), ranges(&change.ignore, &change.retain));
    }
    text
}

fn change_cells(change: &InspectedChange) -> [String; 6] {
    let kind = match change.change {
        ChangeKind::Added => "added",
        ChangeKind::Removed => "removed",
        ChangeKind::Changed => "changed",
        ChangeKind::Renamed => "renamed",
        ChangeKind::ModeChanged => "permissions",
    };
    let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), count);
    let path = match &change.from {
        Some(from) => format!("{} (from {})", escape(&change.path), escape(from)),
        None => escape(&change.path),
    };
    let blob = change.blob.map_or_else(|| "-".to_owned(), |blob| blob.to_string());
    [kind.to_owned(), escape(change.node), number(change.old_bytes), number(change.new_bytes), blob, path]
}

fn blobs(blobs: &[InspectedBlob], patch_bytes: u64) -> String {
    let mut table = Table::new([
        ("#", Align::Right),
        ("kind", Align::Left),
        ("offset", Align::Right),
        ("size", Align::Right),
        ("", Align::Left),
        ("of the patch", Align::Right),
        ("blake3", Align::Left),
    ]);
    for (index, blob) in blobs.iter().enumerate() {
        let [exact, human] = byte_cells(blob.bytes);
        let share = share(blob.bytes, patch_bytes);
        let [kind, blake3] = [&blob.kind, &blob.blake3].map(|text| escape(text));
        table.row([index.to_string(), kind, hexadecimal(blob.offset), exact, human, share, blake3]);
    }
    heading("Blobs") + &table.render()
}

fn delta(index: usize, delta: &InspectedDelta, patch_bytes: u64) -> String {
    let segments = counted(delta.segments, "segment", "segments");
    let covers = delta
        .covers
        .map(|covers| counted(covers, "stretch of the old file used", "stretches of the old file used"))
        .map_or_else(String::new, |covers| format!(", {covers}"));
    let mut table = Table::new([
        ("stream", Align::Left),
        ("method", Align::Left),
        ("raw", Align::Right),
        ("", Align::Left),
        ("stored", Align::Right),
        ("", Align::Left),
        ("of the patch", Align::Right),
    ]);
    for stream in &delta.streams {
        let [raw, human_raw] = byte_cells(stream.raw_bytes);
        let [stored, human_stored] = byte_cells(stream.stored_bytes);
        let share = share(stream.stored_bytes, patch_bytes);
        let method = escape(&stream.codecs.join(", "));
        table.row([escape(stream.kind), method, raw, human_raw, stored, human_stored, share]);
    }
    let table = if delta.streams.is_empty() { String::new() } else { table.render() };
    let spending = delta.spending.as_ref().map_or_else(String::new, |spending| spent(index, spending));
    heading(&format!("Delta in blob {index}, version {}: {segments}{covers}", delta.version)) + &table + &spending
}

/// Where the bytes of a delta went: a row for each section, a column for each sort of thing.
fn spent(index: usize, spending: &InspectedSpending) -> String {
    let mut table = Table::new([
        ("section", Align::Left),
        ("offset", Align::Right),
        ("length", Align::Right),
        ("delta", Align::Right),
        ("literals", Align::Right),
        ("references", Align::Right),
        ("words", Align::Right),
        ("bytes", Align::Right),
        ("flags", Align::Right),
        ("groups", Align::Right),
    ]);
    let dash = || "-".to_owned();
    let mut whole = |name: &str, bytes: u64| {
        let empty: [String; 6] = std::array::from_fn(|_| dash());
        let [literals, references, words, byte, flags, groups] = empty;
        table.row([name.to_owned(), dash(), dash(), count(bytes), literals, references, words, byte, flags, groups]);
    };
    whole("(covers and sections)", spending.head_bytes);
    whole("(lengths, other codings)", spending.other_bytes);
    for row in &spending.sections {
        let parts =
            [row.literal_bytes, row.reference_bytes, row.word_bytes, row.byte_bytes, row.flag_bytes, row.group_bytes];
        let sum = parts.iter().fold(0u64, |sum, part| sum.saturating_add(*part));
        let (name, place) = match (row.name.as_str(), row.length) {
            ("", 0) => ("(all other)".to_owned(), [dash(), dash()]),
            ("", length) => ("(no name)".to_owned(), [hexadecimal(row.offset), count(length)]),
            (name, length) => (escape(name), [hexadecimal(row.offset), count(length)]),
        };
        let [offset, length] = place;
        let [literals, references, words, byte, flags, groups] = parts.map(count);
        table.row([name, offset, length, count(sum), literals, references, words, byte, flags, groups]);
    }
    heading(&format!("Where the bytes of blob {index} went")) + &table.render()
}

#[cfg(test)]
mod tests {
    use patchwright::report::{InspectedSection, InspectedStream, TreeSummary};

    use super::*;

    fn report() -> InspectReport {
        InspectReport {
            schema: "patchwright.inspect/1",
            patch: "fix.pwp".into(),
            id: "ab12".into(),
            patch_bytes: 2048,
            subject: Subject::File,
            reverts: None,
            new: None,
            olds: vec![],
            tree: vec![],
            blobs: vec![],
            hot: vec![],
        }
    }

    fn spending() -> InspectedSpending {
        let section = |name: &str, offset, length, literal_bytes| InspectedSection {
            name: name.into(),
            offset,
            length,
            group_bytes: 1,
            flag_bytes: 2,
            byte_bytes: 30,
            reference_bytes: 400,
            word_bytes: 0,
            literal_bytes,
        };
        let sections = vec![section(".te\u{7}xt", 0x1000, 60_000, 5000), section("", 0, 0, 1), section("", 64, 7, 1)];
        InspectedSpending { head_bytes: 1234, other_bytes: 5, sections }
    }

    fn check(report: &InspectReport, expect: &str) {
        assert_eq!(anstream::adapter::strip_str(&text(report)).to_string(), expect);
    }

    #[test]
    fn a_patch_for_a_file_reads_like_this() {
        let streams = vec![
            InspectedStream { kind: "extra", codecs: vec!["zstd", "lzma"], raw_bytes: 4096, stored_bytes: 1024 },
            InspectedStream { kind: "covers", codecs: vec!["raw"], raw_bytes: 1, stored_bytes: 1 },
        ];
        let report = InspectReport {
            new: Some(InspectedNew { bytes: 70_000, blake3: "cd34".into() }),
            olds: vec![InspectedOld {
                bytes: 65_536,
                blake3: "ef56".into(),
                ignore: vec![InspectedRange { offset: 16, length: 4 }],
                retain: vec![InspectedRetain { old_offset: 0x40, length: 2048, new_offset: 0x12340 }],
                blob: 0,
                then: vec![3, 1],
            }],
            blobs: vec![InspectedBlob {
                kind: "delt".into(),
                offset: 64,
                bytes: 1536,
                blake3: "0789".into(),
                delta: Some(InspectedDelta {
                    version: 1,
                    segments: 1,
                    covers: Some(12),
                    streams,
                    spending: Some(spending()),
                }),
            }],
            ..report()
        };
        check(
            &report,
            "\
patch  fix.pwp
id     ab12
size   2,048 bytes (2.0 KiB)
for    one file

New version
  size    70,000 bytes (68.4 KiB)
  blake3  cd34

Old version 1
  size    65,536 bytes (64.0 KiB)
  blake3  ef56
  delta   blob 0, then blob 3, then blob 1
  ranges  1 ignored range, 1 retained range
  range   old offset  new offset       length
  ignore        0x10           -      4 bytes
  retain        0x40     0x12340  2,048 bytes (2.0 KiB)

Blobs
  #  kind  offset         size            of the patch  blake3
  0  delt    0x40  1,536 bytes (1.5 KiB)         75.0%  0789

Delta in blob 0, version 1: 1 segment, 12 stretches of the old file used
  stream  method              raw                 stored            of the patch
  extra   zstd, lzma  4,096 bytes (4.0 KiB)  1,024 bytes (1.0 KiB)         50.0%
  covers  raw              1 byte                 1 byte                    0.0%

Where the bytes of blob 0 went
  section                   offset  length  delta  literals  references  words  bytes  flags  groups
  (covers and sections)          -       -  1,234         -           -      -      -      -       -
  (lengths, other codings)       -       -      5         -           -      -      -      -       -
  .te\\u{7}xt                0x1000  60,000  5,433     5,000         400      0     30      2       1
  (all other)                    -       -    434         1         400      0     30      2       1
  (no name)                   0x40       7    434         1         400      0     30      2       1
",
        );
    }

    #[test]
    fn paths_of_a_patch_for_a_folder_are_escaped() {
        let change = |path: &str, change, from: Option<&str>| InspectedChange {
            path: path.into(),
            change,
            from: from.map(str::to_owned),
            node: "file",
            old_bytes: Some(1000),
            new_bytes: None,
            blob: Some(3),
            ignore: vec![],
            retain: vec![],
        };
        let report = InspectReport {
            subject: Subject::Tree,
            reverts: Some("77".into()),
            tree: vec![InspectedTree {
                summary: TreeSummary { renamed: 1, removed: 1, ..TreeSummary::default() },
                changes: vec![
                    change("a\u{1b}[2J", ChangeKind::Renamed, Some("b\u{202e}c")),
                    InspectedChange {
                        retain: vec![InspectedRetain { old_offset: 0, length: 1, new_offset: 2 }],
                        ..change("c\nd", ChangeKind::ModeChanged, None)
                    },
                ],
            }],
            ..report()
        };
        check(
            &report,
            "\
patch       fix.pwp
id          ab12
size        2,048 bytes (2.0 KiB)
for         a folder
takes back  77

Old version 1
  1 removed, 1 renamed, 0 unchanged
  change       what  old bytes  new bytes  blob  path
  renamed      file      1,000          -     3  a\\u{1b}[2J (from b\\u{202e}c)
  permissions  file      1,000          -     3  c\\nd

  c\\nd: 0 ignored ranges, 1 retained range
  range   old offset  new offset  length
  retain         0x0         0x2  1 byte

Blobs
  #  kind  offset  size   of the patch  blake3
",
        );
    }
}
