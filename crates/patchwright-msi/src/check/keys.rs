//! Keys of files that no image has, and ranges beyond the ends of their files.

use super::files::retained_lengths;
use super::pairs::{is_whole, of_family};
use super::{
    At, EXTERNAL_FILES, FAMILY_RANGES, Findings, IGNORED_FILES, Options, Retain, TARGET_FILES, UPGRADED_FILES, at,
};
use crate::code as pcw;
use crate::image::{Image, Images, Opened};
use crate::pcp::{Pcp, UpgradedImage};

const HINT_KEY: &str = "name a key of its File table; case matters";
const HINT_END: &str = "correct the range: it must lie in the file";

pub(super) fn keys(pcp: &Pcp, images: &Images, options: Options, findings: &mut Findings) {
    ignored_files(pcp, images, findings);
    for row in &pcp.upgraded_files {
        let key = format!("{}, {}", row.upgraded, row.ftk);
        if let Some(opened) = images.upgraded(&row.upgraded)
            && let Some(what) = lacks(&opened.image, &row.ftk, &row.upgraded)
        {
            let at = at(UPGRADED_FILES, &key).column("FTK");
            findings.error(pcw::UFILEDATA_MISSING_FILE_TABLE_KEY, at, what, HINT_KEY);
        }
    }
    target_files(pcp, images, findings);
    family_ranges(pcp, images, options, findings);
    external_files(pcp, images, findings);
}

/// What is wrong with a key; nothing for an empty one, which was told with the tables.
fn lacks(image: &Image, ftk: &str, name: &str) -> Option<String> {
    if ftk.is_empty() || image.file(ftk).is_some() {
        return None;
    }
    let similar = image.files.iter().find(|file| file.key.eq_ignore_ascii_case(ftk));
    Some(match similar {
        Some(file) => {
            format!("the image {name} has no file {ftk:?}; the one called {} is spelled differently", file.key)
        }
        None => format!("the image {name} has no file {ftk:?}"),
    })
}

fn ignored_files(pcp: &Pcp, images: &Images, findings: &mut Findings) {
    for row in &pcp.ignored_files {
        let rows = pcp.upgraded.iter().filter(|image| row.upgraded == "*" || image.upgraded == row.upgraded);
        let opened: Vec<Option<&Opened>> = rows.map(|image| images.upgraded(&image.upgraded)).collect();
        let matches = |key: &str| match row.ftk.strip_suffix('*') {
            Some(prefix) => key.starts_with(prefix),
            None => key == row.ftk,
        };
        let any = |opened: &Option<&Opened>| {
            // An image that cannot be opened may have it.
            opened.is_none_or(|opened| opened.image.files.iter().any(|file| matches(&file.key)))
        };
        if !row.ftk.is_empty() && !opened.is_empty() && !opened.iter().any(any) {
            let key = format!("{}, {}", row.upgraded, row.ftk);
            let what = format!("no file is called {:?}", row.ftk);
            let at = at(IGNORED_FILES, &key).column("FTK");
            findings.warning(pcw::UFILEIGNORE_BAD_FILE_TABLE_KEY, at, what, "correct the key, or remove the row");
        }
    }
}

/// The numbers of a list; none where it cannot be read, which was told with the tables.
fn numbers(text: Option<&str>) -> Vec<u32> {
    super::files::numbers(text).unwrap_or_default()
}

/// Reports each range that goes beyond the end of a file.
fn beyond(at: At<'_>, offsets: &[u32], lengths: &[u32], (len, name): (u64, &str), findings: &mut Findings) {
    for (offset, length) in offsets.iter().zip(lengths).filter(|(_, length)| **length > 0) {
        if u64::from(*offset) + u64::from(*length) > len {
            let what =
                format!("the range {offset:#x}+{length:#x} goes beyond the end of {name}, which has {len:#x} bytes");
            findings.error(pcw::INVALID_RANGE_ELEMENT, at, what, HINT_END);
        }
    }
}

fn target_files(pcp: &Pcp, images: &Images, findings: &mut Findings) {
    for row in &pcp.target_files {
        let Some(opened) = images.target(&row.target) else { continue };
        let key = format!("{}, {}", row.target, row.ftk);
        let at = at(TARGET_FILES, &key);
        if let Some(what) = lacks(&opened.image, &row.ftk, &row.target) {
            findings.error(pcw::TFILEDATA_MISSING_FILE_TABLE_KEY, at.column("FTK"), what, HINT_KEY);
            continue;
        }
        let Ok(len) = opened.len(&row.ftk) else { continue };
        let name = format!("{} of {}", row.ftk, row.target);
        let end = (len, name.as_str());
        let (offsets, lengths) = (numbers(row.ignore_offsets.as_deref()), numbers(row.ignore_lengths.as_deref()));
        beyond(at.column("IgnoreOffsets"), &offsets, &lengths, end, findings);
        let family = pcp.targets.iter().find(|target| target.target == row.target).and_then(|target| {
            pcp.upgraded.iter().find(|image| image.upgraded == target.upgraded).map(|image| image.family.as_str())
        });
        let lengths = retained_lengths(pcp, family.unwrap_or_default(), &row.ftk);
        beyond(at.column("RetainOffsets"), &numbers(row.retain_offsets.as_deref()), &lengths, end, findings);
    }
}

fn family_ranges(pcp: &Pcp, images: &Images, options: Options, findings: &mut Findings) {
    for row in &pcp.family_ranges {
        let key = format!("{}, {}", row.family, row.ftk);
        let at = at(FAMILY_RANGES, &key);
        let (offsets, lengths) = (numbers(Some(&row.retain_offsets)), numbers(Some(&row.retain_lengths)));
        for (name, opened) in of_family(pcp, images, &row.family) {
            if let Some(what) = lacks(&opened.image, &row.ftk, name) {
                findings.error(pcw::INVALID_PCP_FAMILYFILERANGES, at.column("FTK"), what, HINT_KEY);
            } else if let Ok(len) = opened.len(&row.ftk) {
                let end = format!("{} of {name}", row.ftk);
                beyond(at.column("RetainOffsets"), &offsets, &lengths, (len, &end), findings);
            }
        }
        if options.retain != Retain::Exact || offsets.is_empty() {
            continue;
        }
        for target in &pcp.targets {
            let is_ours = |image: &&UpgradedImage| image.upgraded == target.upgraded && image.family == row.family;
            if pcp.upgraded.iter().any(|image| is_ours(&image)) {
                without_place(pcp, images, (&target.target, &row.ftk), at, findings);
            }
        }
    }
}

/// Reports an old file that has retained ranges and does not say where: they would be lost.
fn without_place(pcp: &Pcp, images: &Images, (target, ftk): (&str, &str), at: At<'_>, findings: &mut Findings) {
    let row = pcp.target_files.iter().find(|row| row.target == target && row.ftk == ftk);
    let has_file = images.target(target).is_some_and(|opened| opened.image.file(ftk).is_some());
    if has_file && row.is_none_or(|row| row.retain_offsets.is_none()) {
        let what = format!("TargetFiles_OptionalData does not say where {ftk} of {target} has the retained ranges");
        let hint =
            "add RetainOffsets for it; `msp build --retain-default same-offset` takes the offsets of the new file";
        findings.error(pcw::TFILEDATA_RETAIN_COUNT_MISMATCH, at.column("RetainOffsets"), what, hint);
    }
}

fn external_files(pcp: &Pcp, images: &Images, findings: &mut Findings) {
    for row in &pcp.external_files {
        let key = format!("{}, {}, {}", row.family, row.ftk, row.file_path);
        let at = at(EXTERNAL_FILES, &key);
        let opened = of_family(pcp, images, &row.family);
        let has = |opened: &Opened| opened.image.file(&row.ftk).is_some();
        if is_whole(pcp, images, &row.family)
            && !row.ftk.is_empty()
            && !opened.is_empty()
            && !opened.iter().any(|(_, opened)| has(opened))
        {
            let what = format!("no new image of the family {} has a file {:?}", row.family, row.ftk);
            findings.error(pcw::INVALID_PCP_EXTERNALFILES, at.column("FTK"), what, HINT_KEY);
        }
        let Some(Ok(external)) = images.external.get(&row.file_path) else { continue };
        let end = (external.len, row.file_path.as_str());
        let (offsets, lengths) = (numbers(row.ignore_offsets.as_deref()), numbers(row.ignore_lengths.as_deref()));
        beyond(at.column("IgnoreOffsets"), &offsets, &lengths, end, findings);
        let lengths = retained_lengths(pcp, &row.family, &row.ftk);
        beyond(at.column("RetainOffsets"), &numbers(row.retain_offsets.as_deref()), &lengths, end, findings);
    }
}
