//! Ignored and retained ranges of a file, and every rule they must keep.
//!
//! The meaning is that of Windows Installer's selected-region patching: an *ignore range* of the old file may hold
//! anything and is replaced by what the new file has there; a *retain range* of the old file is carried over into
//! the new file, to the same or another offset.

use std::fmt;

/// `[offset, offset + len)` of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteRange {
    /// First byte, counted from the start of the file.
    pub offset: u64,
    /// Length in bytes.
    pub len: u64,
}

impl ByteRange {
    /// The range `[offset, offset + len)`.
    pub const fn new(offset: u64, len: u64) -> Self {
        Self { offset, len }
    }

    /// The first offset after the range; `None` when it is beyond 64 bits.
    pub const fn end(self) -> Option<u64> {
        self.offset.checked_add(self.len)
    }

    pub(crate) const fn end_saturating(self) -> u64 {
        self.offset.saturating_add(self.len)
    }

    fn overlaps(self, other: Self) -> bool {
        self.len > 0 && other.len > 0 && self.offset < other.end_saturating() && other.offset < self.end_saturating()
    }
}

impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}+{}", self.offset, self.len)
    }
}

/// `len` bytes at `old_offset` of the file being patched that end up at `new_offset` of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RetainRange {
    /// Where the bytes stand in the old file.
    pub old_offset: u64,
    /// Length in bytes, the same on both sides.
    pub len: u64,
    /// Where they go in the new file.
    pub new_offset: u64,
}

impl RetainRange {
    /// The range in the old file.
    pub const fn old(self) -> ByteRange {
        ByteRange::new(self.old_offset, self.len)
    }

    /// The range in the new file.
    pub const fn new_side(self) -> ByteRange {
        ByteRange::new(self.new_offset, self.len)
    }
}

impl fmt::Display for RetainRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={:#x}", self.old(), self.new_offset)
    }
}

/// Most ranges of one sort that one old file may have. PatchAPI counts them in a byte; so many suffice for us too.
pub const MAX_RANGES: usize = 255;

/// The ignored and retained ranges of one old file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Regions {
    /// Ignored ranges of the old file.
    pub ignore: Vec<ByteRange>,
    /// Retained ranges of the old file.
    pub retain: Vec<RetainRange>,
}

impl Regions {
    /// Everything of the old file that is not looked at: ignored and retained ranges, sorted and joined.
    pub fn old_blanks(&self) -> Vec<ByteRange> {
        union(self.ignore.iter().copied().chain(self.retain.iter().map(|range| range.old())))
    }

    /// Everything of the new file that comes from the user's old file: sorted and joined.
    pub fn new_blanks(&self) -> Vec<ByteRange> {
        union(self.retain.iter().map(|range| range.new_side()))
    }

    /// Sorts both lists, which gives every set of ranges one spelling.
    pub fn sort(&mut self) {
        self.ignore.sort_unstable();
        self.retain.sort_unstable_by_key(|range| (range.new_offset, range.len, range.old_offset));
    }
}

/// Sorts ranges and joins those that touch or overlap; empty ones vanish.
pub fn union(ranges: impl IntoIterator<Item = ByteRange>) -> Vec<ByteRange> {
    let mut sorted: Vec<ByteRange> = ranges.into_iter().filter(|range| range.len > 0).collect();
    sorted.sort_unstable();
    let mut joined: Vec<ByteRange> = Vec::with_capacity(sorted.len());
    for range in sorted {
        match joined.last_mut() {
            Some(last) if range.offset <= last.end_saturating() => {
                last.len = last.end_saturating().max(range.end_saturating()) - last.offset;
            }
            _ => joined.push(range),
        }
    }
    joined
}

/// Which old file an objection speaks of: its 1-based place on the command line.
pub type OldNumber = usize;

/// One reason why a set of ranges cannot be used, with the range at fault.
#[allow(missing_docs, reason = "the fields are named as the message words them")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegionObjection {
    /// `offset + len` does not fit in 64 bits.
    Overflow { old: OldNumber, side: Side, range: ByteRange },
    /// The range reaches beyond the end of its file.
    BeyondEnd { old: OldNumber, side: Side, range: ByteRange, file_len: u64 },
    /// Two ranges of the same file share bytes.
    Overlap { old: OldNumber, side: Side, first: ByteRange, second: ByteRange },
    /// The same bytes are to be ignored and retained.
    IgnoredAndRetained { old: OldNumber, ignore: ByteRange, retain: ByteRange },
    /// Two old files want different lengths for the same place in the new file.
    RetainLengthDiffers { old: OldNumber, range: RetainRange, first_old: OldNumber, first: RetainRange },
    /// Another old file retains bytes for this place in the new file and this one does not.
    RetainMissing { old: OldNumber, first_old: OldNumber, first: RetainRange },
    /// More ranges than a patch can hold.
    TooMany { old: OldNumber, side: Side, count: usize },
}

/// Which list of ranges an objection is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Ignore ranges, which lie in the old file.
    Ignore,
    /// Retain ranges where they lie in the old file.
    RetainOld,
    /// Retain ranges where they lie in the new file.
    RetainNew,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ignore => "ignore range",
            Self::RetainOld => "retain range (old side)",
            Self::RetainNew => "retain range (new side)",
        })
    }
}

impl fmt::Display for RegionObjection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overflow { old, side, range } => {
                write!(f, "old file {old}: {side} {range}: offset + length exceeds 64 bits")
            }
            Self::BeyondEnd { old, side, range, file_len } => {
                write!(f, "old file {old}: {side} {range} reaches beyond the end of the file ({file_len} bytes)")
            }
            Self::Overlap { old, side, first, second } => {
                write!(f, "old file {old}: {side} {second} overlaps {first}")
            }
            Self::IgnoredAndRetained { old, ignore, retain } => {
                write!(f, "old file {old}: ignore range {ignore} overlaps retain range {retain}")
            }
            Self::RetainLengthDiffers { old, range, first_old, first } => write!(
                f,
                "old file {old}: retain range {range} is {} bytes long, but old file {first_old} retains {} bytes there ({first})",
                range.len, first.len
            ),
            Self::RetainMissing { old, first_old, first } => write!(
                f,
                "old file {old}: no retain range for new offset {:#x}, but old file {first_old} has one ({first})",
                first.new_offset
            ),
            Self::TooMany { old, side, count } => {
                write!(f, "old file {old}: {count} {side}s, at most {MAX_RANGES} are possible")
            }
        }
    }
}

/// Checks the ranges of all old files of one patch and lists everything that is wrong.
///
/// `olds` holds, for each old file in order, its length and its ranges. Zero-length ranges are no objection: drop
/// them first with [`drop_empty`], which says how many there were.
pub fn check(olds: &[(u64, &Regions)], new_len: u64) -> Vec<RegionObjection> {
    let mut objections = Vec::new();
    for (i, (old_len, regions)) in olds.iter().enumerate() {
        check_one(i + 1, *old_len, new_len, regions, &mut objections);
    }
    check_across(olds, &mut objections);
    objections
}

fn check_one(old: OldNumber, old_len: u64, new_len: u64, regions: &Regions, out: &mut Vec<RegionObjection>) {
    let retain_old: Vec<ByteRange> = regions.retain.iter().map(|range| range.old()).collect();
    let retain_new: Vec<ByteRange> = regions.retain.iter().map(|range| range.new_side()).collect();
    for (side, ranges, file_len) in [
        (Side::Ignore, &regions.ignore, old_len),
        (Side::RetainOld, &retain_old, old_len),
        (Side::RetainNew, &retain_new, new_len),
    ] {
        if ranges.len() > MAX_RANGES {
            out.push(RegionObjection::TooMany { old, side, count: ranges.len() });
        }
        for range in ranges {
            match range.end() {
                None => out.push(RegionObjection::Overflow { old, side, range: *range }),
                Some(end) if end > file_len => {
                    out.push(RegionObjection::BeyondEnd { old, side, range: *range, file_len });
                }
                Some(_) => {}
            }
        }
        for (first, second) in overlapping_pairs(ranges) {
            out.push(RegionObjection::Overlap { old, side, first, second });
        }
    }
    for ignore in &regions.ignore {
        for retain in retain_old.iter().filter(|retain| retain.overlaps(*ignore)) {
            out.push(RegionObjection::IgnoredAndRetained { old, ignore: *ignore, retain: *retain });
        }
    }
}

/// Lists each range together with the one before it, in order of offset, where the two share bytes.
fn overlapping_pairs(ranges: &[ByteRange]) -> Vec<(ByteRange, ByteRange)> {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable();
    let mut pairs = Vec::new();
    let mut widest: Option<ByteRange> = None;
    for range in sorted {
        if let Some(before) = widest.filter(|before| before.overlaps(range)) {
            pairs.push((before, range));
        }
        if widest.is_none_or(|before| before.end_saturating() < range.end_saturating()) {
            widest = Some(range);
        }
    }
    pairs
}

fn check_across(olds: &[(u64, &Regions)], out: &mut Vec<RegionObjection>) {
    let mut places: Vec<(OldNumber, RetainRange)> = Vec::new();
    for (i, (_, regions)) in olds.iter().enumerate() {
        for range in &regions.retain {
            match places.iter().find(|(_, first)| first.new_offset == range.new_offset) {
                None => places.push((i + 1, *range)),
                Some((first_old, first)) if first.len != range.len && *first_old != i + 1 => {
                    out.push(RegionObjection::RetainLengthDiffers {
                        old: i + 1,
                        range: *range,
                        first_old: *first_old,
                        first: *first,
                    });
                }
                Some(_) => {}
            }
        }
    }
    for (i, (_, regions)) in olds.iter().enumerate() {
        for (first_old, first) in &places {
            if !regions.retain.iter().any(|range| range.new_offset == first.new_offset) {
                out.push(RegionObjection::RetainMissing { old: i + 1, first_old: *first_old, first: *first });
            }
        }
    }
}

/// Removes the zero-length ranges of `regions` and returns a description of each.
pub fn drop_empty(regions: &mut Regions) -> Vec<String> {
    let ignored = regions.ignore.extract_if(.., |range| range.len == 0).map(|range| format!("ignore range {range}"));
    let mut dropped: Vec<String> = ignored.collect();
    dropped.extend(regions.retain.extract_if(.., |range| range.len == 0).map(|range| format!("retain range {range}")));
    dropped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regions(ignore: &[(u64, u64)], retain: &[(u64, u64, u64)]) -> Regions {
        Regions {
            ignore: ignore.iter().map(|(offset, len)| ByteRange::new(*offset, *len)).collect(),
            retain: retain
                .iter()
                .map(|(old_offset, len, new_offset)| RetainRange {
                    old_offset: *old_offset,
                    len: *len,
                    new_offset: *new_offset,
                })
                .collect(),
        }
    }

    fn objections(olds: &[Regions]) -> Vec<String> {
        let olds: Vec<(u64, &Regions)> = olds.iter().map(|regions| (100, regions)).collect();
        check(&olds, 80).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn legal_sets_have_no_objections() {
        for set in
            [regions(&[], &[]), regions(&[(0, 10), (10, 90)], &[]), regions(&[(0, 10)], &[(10, 5, 75), (15, 5, 0)])]
        {
            assert_eq!(objections(&[set]), Vec::<String>::new());
        }
    }

    #[test]
    fn every_fault_is_named_with_its_range_and_all_at_once() {
        let bad = regions(&[(95, 6), (u64::MAX, 2), (0, 20), (10, 5)], &[(30, 8, 76), (12, 2, 0), (40, 4, 1)]);
        assert_eq!(
            objections(&[bad]),
            [
                "old file 1: ignore range 0x5f+6 reaches beyond the end of the file (100 bytes)",
                "old file 1: ignore range 0xffffffffffffffff+2: offset + length exceeds 64 bits",
                "old file 1: ignore range 0xa+5 overlaps 0x0+20",
                "old file 1: retain range (new side) 0x4c+8 reaches beyond the end of the file (80 bytes)",
                "old file 1: retain range (new side) 0x1+4 overlaps 0x0+2",
                "old file 1: ignore range 0x0+20 overlaps retain range 0xc+2",
                "old file 1: ignore range 0xa+5 overlaps retain range 0xc+2",
            ]
        );
    }

    #[test]
    fn retain_ranges_must_agree_between_old_files() {
        let first = regions(&[], &[(0, 4, 0), (8, 4, 8)]);
        let second = regions(&[], &[(2, 5, 0)]);
        assert_eq!(
            objections(&[first, second]),
            [
                "old file 2: retain range 0x2+5=0x0 is 5 bytes long, but old file 1 retains 4 bytes there (0x0+4=0x0)",
                "old file 2: no retain range for new offset 0x8, but old file 1 has one (0x8+4=0x8)",
            ]
        );
    }

    #[test]
    fn too_many_ranges_are_refused() {
        let many = Regions { ignore: (0..256).map(|i| ByteRange::new(i, 1)).collect(), retain: Vec::new() };
        assert_eq!(check(&[(1000, &many)], 0).len(), 1);
    }

    #[test]
    fn empty_ranges_are_dropped_and_named() {
        let mut set = regions(&[(5, 0), (6, 1)], &[(7, 0, 9)]);
        assert_eq!(drop_empty(&mut set), ["ignore range 0x5+0", "retain range 0x7+0=0x9"]);
        assert_eq!(set, regions(&[(6, 1)], &[]));
    }

    #[test]
    fn union_joins_what_touches_and_keeps_gaps() {
        let ranges = [(10, 5), (0, 0), (15, 5), (30, 1), (11, 2)].map(|(offset, len)| ByteRange::new(offset, len));
        assert_eq!(union(ranges), [ByteRange::new(10, 10), ByteRange::new(30, 1)]);
    }
}
