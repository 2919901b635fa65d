//! Files that are patched in a way of their own, and their ranges.

use std::collections::BTreeMap;

use super::{
    At, EXTERNAL_FILES, FAMILIES, FAMILY_RANGES, Findings, IGNORED_FILES, LONGEST_FAMILY_NAME, LONGEST_PATH,
    TARGET_FILES, TARGETS, UPGRADED, UPGRADED_FILES, at, is_family, is_upgraded,
};
use crate::code::{self as pcw, Code};
use crate::pcp::{Pcp, RangeFault, checked_ranges, parse_numbers};

/// Old versions of a file that one delta has at most: it counts them in a byte.
pub(super) const MOST_OLD_FILES: usize = 255;
const LONGEST_LIST: usize = 255;
const LONGEST_FAMILY_LIST: usize = 128;

pub(super) fn ignored_files(pcp: &Pcp, findings: &mut Findings) {
    for row in &pcp.ignored_files {
        let key = format!("{}, {}", row.upgraded, row.ftk);
        let at = at(IGNORED_FILES, &key);
        if row.upgraded != "*" && !is_upgraded(pcp, &row.upgraded) {
            let what = format!("{:?} is neither * nor a row of {UPGRADED}", row.upgraded);
            let hint = "name a new image that there is, or * for all";
            findings.error(pcw::UFILEIGNORE_BAD_UPGRADED_FIELD, at.column("Upgraded"), what, hint);
        }
        let ftk = at.column("FTK");
        findings.text(
            ftk,
            &row.ftk,
            LONGEST_PATH,
            pcw::UFILEIGNORE_BLANK_FILE_TABLE_KEY,
            pcw::UFILEIGNORE_LONG_FILE_TABLE_KEY,
        );
        if row.ftk.strip_suffix('*').unwrap_or(&row.ftk).contains('*') {
            let what = format!("{:?} has a * before its end", row.ftk);
            findings.error(pcw::UFILEIGNORE_BAD_FILE_TABLE_KEY, ftk, what, "let nothing follow the *");
        }
    }
}

pub(super) fn upgraded_files(pcp: &Pcp, findings: &mut Findings) {
    let family_of = |name: &str| pcp.upgraded.iter().find(|row| row.upgraded == name).map(|row| row.family.as_str());
    let mut first: BTreeMap<(&str, &str), &crate::pcp::UpgradedFile> = BTreeMap::new();
    for row in &pcp.upgraded_files {
        let key = format!("{}, {}", row.upgraded, row.ftk);
        let at = at(UPGRADED_FILES, &key);
        if !is_upgraded(pcp, &row.upgraded) {
            let what = format!("{:?} is no row of {UPGRADED}", row.upgraded);
            let hint = "name a new image that there is; case matters";
            findings.error(pcw::UFILEDATA_BAD_UPGRADED_FIELD, at.column("Upgraded"), what, hint);
        }
        let (blank, long) = (pcw::UFILEDATA_BLANK_FILE_TABLE_KEY, pcw::UFILEDATA_LONG_FILE_TABLE_KEY);
        findings.text(at.column("FTK"), &row.ftk, LONGEST_PATH, blank, long);
        if row.allow_ignore_on_patch_error.is_some_and(|flag| !(0..=1).contains(&flag)) {
            let at = at.column("AllowIgnoreOnPatchError");
            let what = "it is neither 0 nor 1";
            findings.error(
                pcw::INVALID_PCP_UPGRADEDFILES_OPTIONALDATA,
                at,
                what,
                "write 1 for yes, 0 or nothing for no",
            );
        }
        let Some(family) = family_of(&row.upgraded) else { continue };
        let other = first.entry((family, &row.ftk)).or_insert(row);
        let flags = |row: &crate::pcp::UpgradedFile| {
            [row.allow_ignore_on_patch_error, row.include_whole_file].map(|flag| flag.unwrap_or(0) != 0)
        };
        if flags(other) != flags(row) {
            let what = format!("the image {} of the same family wants the same file otherwise", other.upgraded);
            let hint = "a file is patched one way in all images of a family: make the rows equal";
            findings.error(pcw::INVALID_PCP_UPGRADEDFILES_OPTIONALDATA, at, what, hint);
        }
    }
}

/// A column with a list, and what PATCHWIZ says about it.
struct List<'a> {
    column: &'static str,
    text: Option<&'a str>,
    longest: usize,
    long: Code,
    bad: Code,
}

impl List<'_> {
    /// The numbers, where they can be read. An empty list has none.
    fn read(&self, at: At<'_>, findings: &mut Findings) -> Option<Vec<u32>> {
        let at = at.column(self.column);
        let Some(text) = self.text else { return Some(Vec::new()) };
        if text.chars().count() > self.longest {
            let what = format!("{} characters; PATCHWIZ takes {}", text.chars().count(), self.longest);
            findings.error(self.long, at, what, "join neighbouring ranges, or write offsets in the shorter notation");
        }
        let hint = "write numbers, decimal or 0x, with commas between them";
        parse_numbers(text).map_err(|what| findings.error(self.bad, at, what, hint)).ok()
    }
}

/// Checks that offsets and lengths belong together.
fn ranges(at: At<'_>, offsets: Option<&[u32]>, lengths: Option<&[u32]>, mismatch: Code, findings: &mut Findings) {
    let (Some(offsets), Some(lengths)) = (offsets, lengths) else { return };
    if offsets.len() != lengths.len() {
        let what = format!("{} offsets and {} lengths", offsets.len(), lengths.len());
        findings.error(mismatch, at, what, "give each offset a length");
    }
    for fault in checked_ranges(offsets, lengths) {
        match fault {
            RangeFault::Error(what) => findings.error(pcw::INVALID_RANGE_ELEMENT, at, what, "correct the range"),
            RangeFault::Warning(what) => findings.warning(pcw::INVALID_RANGE_ELEMENT, at, what, "remove the range"),
        }
    }
}

/// The numbers of a list, if it can be read; faults are told where the list stands.
pub(super) fn numbers(text: Option<&str>) -> Option<Vec<u32>> {
    text.map_or(Some(Vec::new()), |text| parse_numbers(text).ok())
}

/// Checks where an old file has the retained ranges of its family: as many, and none in another's place.
fn retained(
    pcp: &Pcp,
    at: At<'_>,
    (family, ftk): (&str, &str),
    offsets: Option<&[u32]>,
    mismatch: Code,
    findings: &mut Findings,
) {
    let Some(offsets) = offsets else { return };
    let at = at.column("RetainOffsets");
    let row = pcp.family_ranges.iter().find(|row| row.family == family && row.ftk == ftk);
    let Some(lengths) = row.map_or(Some(Vec::new()), |row| numbers(Some(&row.retain_lengths))) else { return };
    if !offsets.is_empty() && offsets.len() != lengths.len() {
        let what =
            format!("{} offsets; FamilyFileRanges has {} ranges for {family}, {ftk}", offsets.len(), lengths.len());
        findings.error(mismatch, at, what, "give one offset for each range of the family, in the same order");
        return;
    }
    for fault in checked_ranges(offsets, &lengths) {
        // What is a warning was told of the family's row.
        if let RangeFault::Error(what) = fault {
            findings.error(pcw::INVALID_RANGE_ELEMENT, at, what, "correct the offset");
        }
    }
}

/// Reports ignored ranges of an old file that lie over retained ones of it.
fn overlaps(
    at: At<'_>,
    (ignored, ignored_lens): (Option<&[u32]>, Option<&[u32]>),
    (retained, retained_lens): (Option<&[u32]>, &[u32]),
    findings: &mut Findings,
) {
    let (Some(ignored), Some(ignored_lens), Some(retained)) = (ignored, ignored_lens, retained) else { return };
    let spans = |offsets: &[u32], lens: &[u32]| -> Vec<(u64, u64)> {
        let ends = |(offset, len): (&u32, &u32)| (u64::from(*offset), u64::from(*offset) + u64::from(*len));
        offsets.iter().zip(lens).map(ends).filter(|(start, end)| start < end).collect()
    };
    let retained = spans(retained, retained_lens);
    for (start, end) in spans(ignored, ignored_lens) {
        if let Some((other, _)) = retained.iter().find(|(from, to)| *from < end && start < *to) {
            let what = format!("the ignored range at {start:#x} and the retained one at {other:#x} overlap");
            let hint = "retained bytes are ignored anyway: take them out of the ignored range";
            findings.warning(pcw::INVALID_RANGE_ELEMENT, at.column("IgnoreOffsets"), what, hint);
        }
    }
}

/// Lengths of the retained ranges of a file.
pub(super) fn retained_lengths(pcp: &Pcp, family: &str, ftk: &str) -> Vec<u32> {
    let row = pcp.family_ranges.iter().find(|row| row.family == family && row.ftk == ftk);
    row.and_then(|row| numbers(Some(&row.retain_lengths))).unwrap_or_default()
}

pub(super) fn target_files(pcp: &Pcp, findings: &mut Findings) {
    for row in &pcp.target_files {
        let key = format!("{}, {}", row.target, row.ftk);
        let at = at(TARGET_FILES, &key);
        let target = pcp.targets.iter().find(|target| target.target == row.target);
        if target.is_none() {
            let what = format!("{:?} is no row of {TARGETS}", row.target);
            let hint = "name a target image that there is; case matters";
            findings.error(pcw::TFILEDATA_BAD_TARGET_FIELD, at.column("Target"), what, hint);
        }
        let (blank, long) = (pcw::TFILEDATA_BLANK_FILE_TABLE_KEY, pcw::TFILEDATA_LONG_FILE_TABLE_KEY);
        findings.text(at.column("FTK"), &row.ftk, LONGEST_PATH, blank, long);
        let offsets = List {
            column: "IgnoreOffsets",
            text: row.ignore_offsets.as_deref(),
            longest: LONGEST_LIST,
            long: pcw::TFILEDATA_LONG_IGNORE_OFFSETS,
            bad: pcw::TFILEDATA_BAD_IGNORE_OFFSETS,
        };
        let lengths = List {
            column: "IgnoreLengths",
            text: row.ignore_lengths.as_deref(),
            long: pcw::TFILEDATA_LONG_IGNORE_LENGTHS,
            bad: pcw::TFILEDATA_BAD_IGNORE_LENGTHS,
            ..offsets
        };
        let retain = List {
            column: "RetainOffsets",
            text: row.retain_offsets.as_deref(),
            long: pcw::TFILEDATA_LONG_RETAIN_OFFSETS,
            bad: pcw::TFILEDATA_BAD_RETAIN_OFFSETS,
            ..offsets
        };
        let (offsets, lengths) = (offsets.read(at, findings), lengths.read(at, findings));
        let place = at.column("IgnoreOffsets");
        ranges(place, offsets.as_deref(), lengths.as_deref(), pcw::TFILEDATA_IGNORE_COUNT_MISMATCH, findings);
        let retain = retain.read(at, findings);
        let upgraded = target.and_then(|target| pcp.upgraded.iter().find(|row| row.upgraded == target.upgraded));
        if let Some(upgraded) = upgraded {
            let mismatch = pcw::TFILEDATA_RETAIN_COUNT_MISMATCH;
            retained(pcp, at, (&upgraded.family, &row.ftk), retain.as_deref(), mismatch, findings);
            let retained_lens = retained_lengths(pcp, &upgraded.family, &row.ftk);
            overlaps(at, (offsets.as_deref(), lengths.as_deref()), (retain.as_deref(), &retained_lens), findings);
        }
    }
}

pub(super) fn family_ranges(pcp: &Pcp, findings: &mut Findings) {
    for row in &pcp.family_ranges {
        let key = format!("{}, {}", row.family, row.ftk);
        let at = at(FAMILY_RANGES, &key);
        let family = at.column("Family");
        if row.family.chars().count() > LONGEST_FAMILY_NAME {
            let what = format!("{} characters; {LONGEST_FAMILY_NAME} is the most", row.family.chars().count());
            findings.error(pcw::FAMILY_RANGE_NAME_TOO_LONG, family, what, "make it shorter");
        }
        if !is_family(pcp, &row.family) {
            let what = format!("{:?} is no row of {FAMILIES}", row.family);
            findings.error(pcw::BAD_FAMILY_RANGE_NAME, family, what, "name a family that there is; case matters");
        }
        let (blank, long) = (pcw::FAMILY_RANGE_BLANK_FILE_TABLE_KEY, pcw::FAMILY_RANGE_LONG_FILE_TABLE_KEY);
        findings.text(at.column("FTK"), &row.ftk, LONGEST_PATH, blank, long);
        let mut list = |column, text: &str, blank, long, bad| {
            if text.trim().is_empty() {
                let hint = "fill it in, or remove the row";
                findings.error(blank, at.column(column), "it is empty", hint);
                return None;
            }
            List { column, text: Some(text), longest: LONGEST_FAMILY_LIST, long, bad }.read(at, findings)
        };
        let offsets = list(
            "RetainOffsets",
            &row.retain_offsets,
            pcw::FAMILY_RANGE_BLANK_RETAIN_OFFSETS,
            pcw::FAMILY_RANGE_LONG_RETAIN_OFFSETS,
            pcw::FAMILY_RANGE_BAD_RETAIN_OFFSETS,
        );
        let lengths = list(
            "RetainLengths",
            &row.retain_lengths,
            pcw::FAMILY_RANGE_BLANK_RETAIN_LENGTHS,
            pcw::FAMILY_RANGE_LONG_RETAIN_LENGTHS,
            pcw::FAMILY_RANGE_BAD_RETAIN_LENGTHS,
        );
        let place = at.column("RetainOffsets");
        ranges(place, offsets.as_deref(), lengths.as_deref(), pcw::FAMILY_RANGE_COUNT_MISMATCH, findings);
    }
}

pub(super) fn external_files(pcp: &Pcp, findings: &mut Findings) {
    for row in &pcp.external_files {
        let key = format!("{}, {}, {}", row.family, row.ftk, row.file_path);
        let at = at(EXTERNAL_FILES, &key);
        if !is_family(pcp, &row.family) {
            let what = format!("{:?} is no row of {FAMILIES}", row.family);
            let hint = "name a family that there is; case matters";
            findings.error(pcw::EXTFILE_BAD_FAMILY_FIELD, at.column("Family"), what, hint);
        }
        let (blank, long) = (pcw::EXTFILE_BLANK_FILE_TABLE_KEY, pcw::EXTFILE_LONG_FILE_TABLE_KEY);
        findings.text(at.column("FTK"), &row.ftk, LONGEST_PATH, blank, long);
        let (blank, long) = (pcw::EXTFILE_BLANK_PATH_TO_FILE, pcw::EXTFILE_LONG_PATH_TO_FILE);
        findings.text(at.column("FilePath"), &row.file_path, LONGEST_PATH, blank, long);
        let offsets = List {
            column: "IgnoreOffsets",
            text: row.ignore_offsets.as_deref(),
            longest: LONGEST_LIST,
            long: pcw::EXTFILE_LONG_IGNORE_OFFSETS,
            bad: pcw::EXTFILE_BAD_IGNORE_OFFSETS,
        };
        let lengths = List {
            column: "IgnoreLengths",
            text: row.ignore_lengths.as_deref(),
            long: pcw::EXTFILE_LONG_IGNORE_LENGTHS,
            bad: pcw::EXTFILE_BAD_IGNORE_LENGTHS,
            ..offsets
        };
        let retain = List {
            column: "RetainOffsets",
            text: row.retain_offsets.as_deref(),
            long: pcw::EXTFILE_LONG_RETAIN_OFFSETS,
            bad: pcw::EXTFILE_BAD_RETAIN_OFFSETS,
            ..offsets
        };
        let (offsets, lengths) = (offsets.read(at, findings), lengths.read(at, findings));
        let place = at.column("IgnoreOffsets");
        ranges(place, offsets.as_deref(), lengths.as_deref(), pcw::EXTFILE_IGNORE_COUNT_MISMATCH, findings);
        let retain = retain.read(at, findings);
        let mismatch = pcw::EXTFILE_RETAIN_COUNT_MISMATCH;
        retained(pcp, at, (&row.family, &row.ftk), retain.as_deref(), mismatch, findings);
        let retained_lens = retained_lengths(pcp, &row.family, &row.ftk);
        overlaps(at, (offsets.as_deref(), lengths.as_deref()), (retain.as_deref(), &retained_lens), findings);
    }
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for row in &pcp.external_files {
        *counts.entry((&row.family, &row.ftk)).or_default() += 1;
    }
    for ((family, ftk), count) in counts.into_iter().filter(|(_, count)| *count > MOST_OLD_FILES) {
        let what =
            format!("{count} old versions of {ftk} in the family {family}; a delta has {MOST_OLD_FILES} at most");
        let hint = "leave some out, or ship the file whole";
        findings.error(pcw::CANT_CREATE_ONE_PATCH_FILE, At::table(EXTERNAL_FILES), what, hint);
    }
}

/// Reports files that keep bytes of the user and are shipped whole, which would overwrite them.
pub(super) fn lost_ranges(pcp: &Pcp, findings: &mut Findings) {
    let all = pcp.property("IncludeWholeFilesOnly") == Some("1");
    for row in &pcp.family_ranges {
        let of_family =
            |name: &str| pcp.upgraded.iter().any(|image| image.upgraded == name && image.family == row.family);
        let whole = pcp.upgraded_files.iter().find(|file| {
            file.ftk == row.ftk && file.include_whole_file.is_some_and(|flag| flag != 0) && of_family(&file.upgraded)
        });
        let what = match whole {
            Some(file) => format!("{} is shipped whole ({UPGRADED_FILES} [{}, {}])", row.ftk, file.upgraded, file.ftk),
            None if all => format!("{} is shipped whole (IncludeWholeFilesOnly is 1)", row.ftk),
            None => continue,
        };
        let key = format!("{}, {}", row.family, row.ftk);
        let what = what + ": the retained ranges would be lost";
        let hint = "let a delta be made of it, or remove the ranges";
        findings.error(pcw::INVALID_PCP_FAMILYFILERANGES, at(FAMILY_RANGES, &key).column("FTK"), what, hint);
    }
}
