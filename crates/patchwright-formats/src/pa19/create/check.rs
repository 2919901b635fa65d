//! What cannot be, with the code that the genuine creator has for it where it has one.

use super::{CreateOptions, MAX_OLDS, OldInput, Warning};
use crate::pa19::error::{Pa19Error, PatchCode};
use crate::pa19::flags;
use crate::region::{ByteRange, MAX_RANGES, RetainRange};

/// Option bits that say what normalisation does.
pub(super) const NORMALISATION: u32 =
    flags::NO_BINDFIX | flags::NO_LOCKFIX | flags::NO_REBASE | flags::NO_CHECKSUM | flags::NO_RESTIMEFIX;
const OPTIONS: u32 = NORMALISATION | flags::FAIL_IF_SAME_FILE | flags::FAIL_IF_BIGGER | flags::USE_LZX_LARGE;
const EXTENDED_OPTIONS: u32 = flags::EXT_VALID & !flags::EXT_WINDOW;

/// Checks everything that the caller gives.
pub(super) fn inputs(olds: &[OldInput<'_>], new: &[u8], options: &CreateOptions) -> Result<Vec<Warning>, Pa19Error> {
    if options.flags & !OPTIONS != 0 || options.ext & !EXTENDED_OPTIONS != 0 {
        return Err(Pa19Error::new(PatchCode::InvalidParameter, "options", 0, "unknown option bits"));
    }
    if olds.is_empty() || olds.len() > MAX_OLDS {
        let what = format!("{} old files; 1 to {MAX_OLDS} are possible", olds.len());
        return Err(Pa19Error::new(PatchCode::InvalidParameter, "old file count", 0, what));
    }
    for bytes in olds.iter().map(|old| old.bytes).chain([new]) {
        if u32::try_from(bytes.len()).is_err() {
            return Err(Pa19Error::new(PatchCode::FileTooLarge, "file", 0, "it has 4 GiB or more"));
        }
    }
    let mut warnings = Vec::new();
    for (index, old) in olds.iter().enumerate() {
        ranges(index, old, new.len() as u64)?;
        retained_like_first(index, &old.regions.retain, &olds[0].regions.retain)?;
        let shared = |ignore: &ByteRange| old.regions.retain.iter().any(|retain| overlap(*ignore, retain.old()));
        if old.regions.ignore.iter().any(shared) {
            warnings.push(Warning::IgnoredAndRetained { old: index });
        }
    }
    Ok(warnings)
}

fn invalid(old: usize, structure: &'static str, range: ByteRange, what: &str) -> Pa19Error {
    let what = format!("old file {}: {range} {what}", old + 1);
    Pa19Error::new(PatchCode::InvalidParameter, structure, range.offset, what)
}

fn ranges(index: usize, old: &OldInput<'_>, new_len: u64) -> Result<(), Pa19Error> {
    let retain_old: Vec<ByteRange> = old.regions.retain.iter().map(|range| range.old()).collect();
    let retain_new: Vec<ByteRange> = old.regions.retain.iter().map(|range| range.new_side()).collect();
    let old_len = old.bytes.len() as u64;
    for (structure, ranges, file_len, may_overlap) in [
        ("ignore range", &old.regions.ignore, old_len, true),
        ("retain range (old side)", &retain_old, old_len, false),
        ("retain range (new side)", &retain_new, new_len, false),
    ] {
        if ranges.len() > MAX_RANGES {
            let what = format!("old file {}: {} ranges; {MAX_RANGES} are possible", index + 1, ranges.len());
            return Err(Pa19Error::new(PatchCode::InvalidParameter, structure, 0, what));
        }
        if let Some(range) = ranges.iter().find(|range| range.end().is_none_or(|end| end > file_len)) {
            return Err(invalid(index, structure, *range, "reaches beyond the end of its file"));
        }
        let mut sorted = ranges.clone();
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|pair| !may_overlap && overlap(pair[0], pair[1])) {
            return Err(invalid(index, structure, pair[1], "overlaps another one"));
        }
    }
    Ok(())
}

fn overlap(a: ByteRange, b: ByteRange) -> bool {
    a.len > 0 && b.len > 0 && a.offset < b.end_saturating() && b.offset < a.end_saturating()
}

/// Lengths and new offsets are the same in all old files, in the same order.
fn retained_like_first(index: usize, retain: &[RetainRange], first: &[RetainRange]) -> Result<(), Pa19Error> {
    let same = |(a, b): (&RetainRange, &RetainRange)| (a.len, a.new_offset) == (b.len, b.new_offset);
    if retain.len() == first.len() && retain.iter().zip(first).all(same) {
        return Ok(());
    }
    let what = format!("old file {} does not retain the same places of the new file as old file 1", index + 1);
    Err(Pa19Error::new(PatchCode::RetainRangesDiffer, "retain range", 0, what))
}
