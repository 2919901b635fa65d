//! The regions file: ignored and retained ranges in TOML, for single files and for trees.
//!
//! Specification and examples: `docs/guide/regions.md`.

use std::io::Read;
use std::ops::Range;
use std::path::Path;

use patchwright_formats::{ByteRange, RetainRange, TreePath};
use serde::Deserialize;
use toml::Spanned;

use crate::atomic::open_for_reading;
use crate::error::{Error, ErrorKind, Result};
use crate::range_list::{RangeArg, number, parse_ignore, parse_retain};

/// What a regions file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RegionsFile {
    /// Ignored ranges.
    pub(crate) ignore: Vec<Placed<ByteRange>>,
    /// Retained ranges.
    pub(crate) retain: Vec<Placed<RetainRange>>,
    /// Paths of a tree that the patch leaves alone.
    pub(crate) exclude: Vec<TreePath>,
}

/// Ranges and the file that they are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placed<R> {
    /// Path in the old tree; `None` for a single file.
    pub(crate) path: Option<TreePath>,
    /// The ranges, and which old version they belong to.
    pub(crate) ranges: RangeArg<R>,
}

/// The largest regions file that is read.
const MAX_LEN: u64 = 16 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    ignore: Vec<Spanned<RawRange>>,
    #[serde(default)]
    retain: Vec<Spanned<RawRange>>,
    #[serde(default)]
    exclude: Vec<Spanned<RawExclude>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRange {
    path: Option<String>,
    old: Option<usize>,
    ranges: Option<RawList>,
    offset: Option<RawNumber>,
    old_offset: Option<RawNumber>,
    length: Option<RawNumber>,
    new_offset: Option<RawNumber>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawExclude {
    path: String,
}

/// One string with commas, or several strings.
#[derive(Deserialize)]
#[serde(untagged)]
enum RawList {
    One(String),
    Several(Vec<String>),
}

/// A TOML integer, or a string that reads as a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum RawNumber {
    Integer(i64),
    Text(String),
}

/// Reads the regions file at `path`. All that is wrong with it is listed at once, each with its line.
pub(crate) fn read(path: &Path) -> Result<RegionsFile> {
    let failed = |error: std::io::Error| Error::io("read the regions file", path, &error);
    let mut file = open_for_reading(path).map_err(failed)?;
    let len = file.metadata().map_err(failed)?.len();
    if len > MAX_LEN {
        return Err(Error::new(ErrorKind::Malformed, format!("a regions file of {len} bytes is too large")).at(path));
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(failed)?;
    parse(&text).map_err(|error| error.at(path))
}

/// Reads the text of a regions file.
pub(crate) fn parse(text: &str) -> Result<RegionsFile> {
    let malformed = |message: String| Error::new(ErrorKind::Malformed, message);
    let raw: Raw =
        toml::from_str(text).map_err(|error| malformed(error.to_string().trim_end().replace('\n', "\n  ")))?;
    let mut objections = Vec::new();
    let mut regions = RegionsFile::default();
    for entry in &raw.ignore {
        collect(
            placed(entry.get_ref(), ignore_ranges),
            text,
            "ignore",
            entry.span(),
            &mut regions.ignore,
            &mut objections,
        );
    }
    for entry in &raw.retain {
        collect(
            placed(entry.get_ref(), retain_ranges),
            text,
            "retain",
            entry.span(),
            &mut regions.retain,
            &mut objections,
        );
    }
    for entry in &raw.exclude {
        let path = tree_path(&entry.get_ref().path);
        collect(path, text, "exclude", entry.span(), &mut regions.exclude, &mut objections);
    }
    match objections.len() {
        0 => Ok(regions),
        count => Err(malformed(format!("{count} entries of the regions file cannot be used")).details(objections)),
    }
}

fn collect<T>(
    found: Result<T, String>,
    text: &str,
    table: &str,
    span: Range<usize>,
    into: &mut Vec<T>,
    objections: &mut Vec<String>,
) {
    match found {
        Ok(found) => into.push(found),
        Err(why) => {
            let line = text.get(..span.start).unwrap_or(text).matches('\n').count() + 1;
            objections.push(format!("line {line}: [[{table}]]: {why}"));
        }
    }
}

fn placed<R>(raw: &RawRange, ranges: impl Fn(&RawRange) -> Result<Vec<R>, String>) -> Result<Placed<R>, String> {
    let path = raw.path.as_deref().map(tree_path).transpose()?;
    if raw.old == Some(0) {
        return Err("`old` counts from 1".to_owned());
    }
    Ok(Placed { path, ranges: RangeArg { old: raw.old, ranges: ranges(raw)? } })
}

fn tree_path(text: &str) -> Result<TreePath, String> {
    TreePath::new(text).map_err(|objection| format!("path '{}' {objection}", text.escape_debug()))
}

fn ignore_ranges(raw: &RawRange) -> Result<Vec<ByteRange>, String> {
    if let Some(list) = &raw.ranges {
        only_ranges(raw)?;
        return list.parse(parse_ignore);
    }
    match raw {
        RawRange { offset: Some(offset), length: Some(length), old_offset: None, new_offset: None, .. } => {
            Ok(vec![ByteRange::new(offset.value()?, length.value()?)])
        }
        _ => Err("needs `offset` and `length`, or `ranges`".to_owned()),
    }
}

fn retain_ranges(raw: &RawRange) -> Result<Vec<RetainRange>, String> {
    if let Some(list) = &raw.ranges {
        only_ranges(raw)?;
        return list.parse(parse_retain);
    }
    match raw {
        RawRange { old_offset: Some(old_offset), length: Some(length), offset: None, new_offset, .. } => {
            let old_offset = old_offset.value()?;
            let new_offset = new_offset.as_ref().map_or(Ok(old_offset), RawNumber::value)?;
            Ok(vec![RetainRange { old_offset, len: length.value()?, new_offset }])
        }
        _ => Err("needs `old_offset` and `length` (and `new_offset` where it differs), or `ranges`".to_owned()),
    }
}

fn only_ranges(raw: &RawRange) -> Result<(), String> {
    match (&raw.offset, &raw.old_offset, &raw.length, &raw.new_offset) {
        (None, None, None, None) => Ok(()),
        _ => Err("has both `ranges` and offsets of its own".to_owned()),
    }
}

impl RawList {
    fn parse<R>(&self, parse: impl Fn(&str) -> Result<RangeArg<R>, String>) -> Result<Vec<R>, String> {
        let lists = match self {
            Self::One(list) => std::slice::from_ref(list),
            Self::Several(lists) => lists,
        };
        let mut ranges = Vec::new();
        for list in lists {
            let parsed = parse(list)?;
            if parsed.old.is_some() {
                return Err(format!("'{list}': name the old version by `old = N`"));
            }
            ranges.extend(parsed.ranges);
        }
        Ok(ranges)
    }
}

impl RawNumber {
    fn value(&self) -> Result<u64, String> {
        match self {
            Self::Integer(value) => u64::try_from(*value).map_err(|_| format!("{value} is negative")),
            Self::Text(text) => number(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_reads_the_same() {
        let retain = RetainRange { old_offset: 0x400, len: 64, new_offset: 0x480 };
        let placed = Placed { path: None, ranges: RangeArg { old: Some(1), ranges: vec![retain] } };
        let expect = RegionsFile { retain: vec![placed], ..RegionsFile::default() };
        for text in [
            "[[retain]]\nold = 1\nold_offset = 0x400\nlength = 64\nnew_offset = 0x480\n",
            "[[retain]]\nold = 1\nold_offset = \"0x400\"\nlength = \"64\"\nnew_offset = 1152\n",
            "[[retain]]\nold = 1\nranges = \"0x400+64=0x480\"\n",
            "[[retain]]\nold = 1\nranges = [\"1024+0x40=0x480\"]\n",
        ] {
            assert_eq!(parse(text).unwrap(), expect, "{text}");
        }
    }

    #[test]
    fn paths_and_exclusions_are_read() {
        let regions = parse(
            "[[ignore]]\npath = \"bin/app\"\nranges = \"0+4,8+4\"\n[[retain]]\npath = \"x\"\nold_offset = 1\nlength = 2\n[[exclude]]\npath = \"etc/app.conf\"\n",
        )
        .unwrap();
        assert_eq!(regions.ignore[0].path.as_ref().unwrap().as_str(), "bin/app");
        assert_eq!(regions.ignore[0].ranges.ranges, [ByteRange::new(0, 4), ByteRange::new(8, 4)]);
        assert_eq!(regions.retain[0].ranges.ranges[0].new_offset, 1);
        assert_eq!(regions.exclude[0].as_str(), "etc/app.conf");
    }

    #[test]
    fn all_faults_are_listed_with_their_lines() {
        let error = parse(
            "[[ignore]]\noffset = 1\n\n[[ignore]]\noffset = -1\nlength = 2\n\n[[retain]]\npath = \"../x\"\nranges = \"1+2\"\n\n[[retain]]\nold = 0\nranges = \"1+2\"\n\n[[retain]]\nranges = \"1+2\"\nlength = 3\n\n[[ignore]]\nranges = \"2:1+2\"\n",
        )
        .unwrap_err();
        assert_eq!(
            error.details,
            [
                "line 1: [[ignore]]: needs `offset` and `length`, or `ranges`",
                "line 4: [[ignore]]: -1 is negative",
                "line 20: [[ignore]]: '2:1+2': name the old version by `old = N`",
                "line 8: [[retain]]: path '../x' has '.' or '..' in it",
                "line 12: [[retain]]: `old` counts from 1",
                "line 16: [[retain]]: has both `ranges` and offsets of its own",
            ]
        );
        assert!(parse("[[ignore]]\nofset = 1\n").unwrap_err().message.contains("unknown field `ofset`"));
        assert!(parse("[[ignore").is_err());
    }
}
