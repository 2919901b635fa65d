//! Which ranges of each old file are ignored and retained.
//!
//! An ignored range belongs to one old file. A retained one is spread over two tables: `FamilyFileRanges` has its length
//! and its place in the new file, and each old file says where *it* has the bytes. Old files that do not agree with the
//! family about the number of ranges are where PATCHWIZ loses the user's bytes without a word; here they are an error,
//! unless the caller asks for what PATCHWIZ does.

use patchwright_formats::{ByteRange, Regions, RetainRange};

use crate::pcp::parse_numbers;

/// What to do where an old file and its family differ in the number of retained ranges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RetainMismatch {
    /// Refuse.
    #[default]
    Error,
    /// Retain nothing of that file, in any old version, and warn: what PATCHWIZ does.
    Drop,
}

/// Where an old file has the retained ranges if its row does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RetainDefault {
    /// Nowhere: it is a mismatch.
    #[default]
    None,
    /// Where the new file has them.
    SameOffset,
}

/// How retained ranges are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetainRules {
    /// What to do about different numbers.
    pub mismatch: RetainMismatch,
    /// What an old file without offsets means.
    pub default: RetainDefault,
}

/// The new side of the retained ranges of a file: offset and length, as `FamilyFileRanges` has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NewSide(Vec<(u64, u64)>);

/// The lists of an old file, as its row has them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OldLists<'a> {
    pub(super) ignore_offsets: Option<&'a str>,
    pub(super) ignore_lengths: Option<&'a str>,
    pub(super) retain_offsets: Option<&'a str>,
}

/// The old file has this many retained ranges, the family that many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CountsDiffer {
    pub(super) old: usize,
    pub(super) family: usize,
}

/// Reads a list; the checks have refused what is none.
fn numbers(list: Option<&str>) -> Vec<u64> {
    let numbers = list.and_then(|list| parse_numbers(list).ok()).unwrap_or_default();
    numbers.into_iter().map(u64::from).collect()
}

impl NewSide {
    pub(super) fn read(offsets: &str, lengths: &str) -> Self {
        Self(numbers(Some(offsets)).into_iter().zip(numbers(Some(lengths))).collect())
    }

    /// Whether a byte is retained at all.
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|(_, len)| *len == 0)
    }
}

/// The ranges of an old file.
pub(super) fn regions(
    new_side: &NewSide,
    lists: OldLists<'_>,
    default: RetainDefault,
) -> Result<Regions, CountsDiffer> {
    let offsets = numbers(lists.retain_offsets);
    let offsets: Vec<u64> = match default {
        RetainDefault::SameOffset if lists.retain_offsets.is_none() => {
            new_side.0.iter().map(|(offset, _)| *offset).collect()
        }
        _ => offsets,
    };
    if offsets.len() != new_side.0.len() {
        return Err(CountsDiffer { old: offsets.len(), family: new_side.0.len() });
    }
    let retain = offsets.iter().zip(&new_side.0).filter(|(_, (_, len))| *len > 0);
    let retain = retain.map(|(old, (new, len))| RetainRange { old_offset: *old, len: *len, new_offset: *new });
    Ok(Regions { ignore: ignored(lists), retain: retain.collect() })
}

/// The ignored ranges of an old file, and nothing retained.
pub(super) fn ignored_only(lists: OldLists<'_>) -> Regions {
    Regions { ignore: ignored(lists), retain: Vec::new() }
}

fn ignored(lists: OldLists<'_>) -> Vec<ByteRange> {
    let pairs = numbers(lists.ignore_offsets).into_iter().zip(numbers(lists.ignore_lengths));
    pairs.filter(|(_, len)| *len > 0).map(|(offset, len)| ByteRange::new(offset, len)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(retain: Option<&str>) -> OldLists<'_> {
        OldLists { ignore_offsets: Some("0x10,32"), ignore_lengths: Some("4,0"), retain_offsets: retain }
    }

    #[test]
    fn offsets_of_an_old_file_go_with_the_lengths_of_its_family() {
        let family = NewSide::read("100,0x200,7", "8,16,0");
        let range = |old_offset, len, new_offset| RetainRange { old_offset, len, new_offset };
        let found = regions(&family, lists(Some("90,400,1")), RetainDefault::None).unwrap();
        assert_eq!(found.retain, [range(90, 8, 100), range(400, 16, 0x200)]);
        assert_eq!(found.ignore, [ByteRange::new(0x10, 4)]);
        let same = regions(&family, lists(None), RetainDefault::SameOffset).unwrap();
        assert_eq!(same.retain, [range(100, 8, 100), range(0x200, 16, 0x200)]);
    }

    #[test]
    fn other_numbers_are_told() {
        let family = NewSide::read("100,0x200", "8,16");
        for (retain, default, old) in [
            (None, RetainDefault::None, 0),
            (Some("1"), RetainDefault::None, 1),
            (Some("1,2,3"), RetainDefault::None, 3),
            (Some("1"), RetainDefault::SameOffset, 1),
        ] {
            let found = regions(&family, lists(retain), default);
            assert_eq!(found, Err(CountsDiffer { old, family: 2 }), "{retain:?} {default:?}");
        }
        let none = NewSide::default();
        assert_eq!(regions(&none, lists(Some("5")), RetainDefault::None), Err(CountsDiffer { old: 1, family: 0 }));
        assert!(regions(&none, lists(None), RetainDefault::None).unwrap().retain.is_empty());
    }
}
