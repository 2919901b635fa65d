//! Everything that is wrong with a `.pcp`: in its own tables ([`check`]), and in what it names ([`check_all`]).
//!
//! Nothing stops at the first fault. Findings come table by table in the order of the documentation, rows by key. Each has
//! the code of PATCHWIZ that fits; where PATCHWIZ does not say which code a fault gets, it is that of the table or column.

mod contents;
mod families;
mod files;
mod images;
mod keys;
mod layout;
mod pairs;
mod paths;
mod products;
mod properties;
mod sequencing;
mod versions;

use std::collections::BTreeMap;

use crate::code::{self as pcw, Code};
use crate::image::Images;
use crate::pcp::{Pcp, SCHEMAS};
use pairs::Pairs;

/// Whether a patch can be made in spite of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can, but is hardly what was meant.
    Warning,
    /// PATCHWIZ refuses it, and we do not.
    Note,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The code of PATCHWIZ.
    pub code: Code,
    /// The table.
    pub table: &'static str,
    /// The key of the row, if it is about one.
    pub row: Option<String>,
    /// The column, if it is about one.
    pub column: Option<&'static str>,
    /// What is wrong.
    pub message: String,
    /// The files or tables that it is about, if it is about several: a line each.
    pub details: Vec<String>,
    /// What to do.
    pub hint: &'static str,
}

/// How images are judged.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// What PATCHWIZ refuses is an error even where we can do it.
    pub strict: bool,
    /// What becomes of retained ranges that an old file has no place for.
    pub retain: Retain,
}

/// What becomes of the retained ranges of a file where the old one has more or fewer places than the family has ranges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retain {
    /// It is an error.
    #[default]
    Exact,
    /// An old file without any place has them where the new one has.
    SameOffset,
    /// None is retained, as with PATCHWIZ.
    Drop,
}

const PROPERTIES: &str = "Properties";
const FAMILIES: &str = "ImageFamilies";
const UPGRADED: &str = "UpgradedImages";
const TARGETS: &str = "TargetImages";
const IGNORED_FILES: &str = "UpgradedFilesToIgnore";
const UPGRADED_FILES: &str = "UpgradedFiles_OptionalData";
const TARGET_FILES: &str = "TargetFiles_OptionalData";
const FAMILY_RANGES: &str = "FamilyFileRanges";
const EXTERNAL_FILES: &str = "ExternalFiles";
const METADATA: &str = "PatchMetadata";
const SEQUENCE: &str = "PatchSequence";

/// Characters of a path or file key.
const LONGEST_PATH: usize = 255;
const LONGEST_FAMILY_NAME: usize = 8;

/// Checks a `.pcp` with all that it names: the findings of [`check`], and those that need the images.
pub fn check_all(pcp: &Pcp, images: &Images, options: Options) -> Vec<Finding> {
    let mut findings = Findings(check(pcp));
    if options.retain == Retain::Drop {
        let counts = [pcw::TFILEDATA_RETAIN_COUNT_MISMATCH, pcw::EXTFILE_RETAIN_COUNT_MISMATCH];
        let mismatches = findings.0.iter_mut().filter(|finding| counts.contains(&finding.code));
        mismatches.for_each(|finding| finding.severity = Severity::Warning);
    }
    let pairs = Pairs::of(pcp, images);
    paths::paths(pcp, images, &mut findings);
    contents::contents(pcp, images, options, &mut findings);
    products::products(pcp, images, &pairs, &mut findings);
    keys::keys(pcp, images, options, &mut findings);
    layout::layout(pcp, images, &pairs, &mut findings);
    versions::versions(&pairs, &mut findings);
    findings.by_table()
}

/// Checks a `.pcp` alone: all findings, in an order that depends on nothing but its content.
pub fn check(pcp: &Pcp) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    for fault in &pcp.faults {
        let at = At { table: fault.table, row: None, column: fault.column };
        findings.error(fault.code, at, &fault.what, "compare the table with one that `patchwright pcp new` writes");
    }
    properties::properties(pcp, &mut findings);
    families::families(pcp, &mut findings);
    images::upgraded_images(pcp, &mut findings);
    images::target_images(pcp, &mut findings);
    files::ignored_files(pcp, &mut findings);
    files::upgraded_files(pcp, &mut findings);
    files::target_files(pcp, &mut findings);
    files::family_ranges(pcp, &mut findings);
    files::external_files(pcp, &mut findings);
    files::lost_ranges(pcp, &mut findings);
    sequencing::metadata(pcp, &mut findings);
    sequencing::sequence(pcp, &mut findings);
    findings.by_table()
}

/// Where a fault is.
#[derive(Clone, Copy)]
struct At<'a> {
    table: &'static str,
    row: Option<&'a str>,
    column: Option<&'static str>,
}

impl At<'_> {
    fn table(table: &'static str) -> Self {
        Self { table, row: None, column: None }
    }

    fn column(self, column: &'static str) -> Self {
        Self { column: Some(column), ..self }
    }
}

fn at<'a>(table: &'static str, row: &'a str) -> At<'a> {
    At { table, row: Some(row), column: None }
}

struct Findings(Vec<Finding>);

impl Findings {
    fn error(&mut self, code: Code, at: At<'_>, message: impl Into<String>, hint: &'static str) {
        self.add(Severity::Error, code, at, message.into(), hint);
    }

    fn warning(&mut self, code: Code, at: At<'_>, message: impl Into<String>, hint: &'static str) {
        self.add(Severity::Warning, code, at, message.into(), hint);
    }

    fn add(&mut self, severity: Severity, code: Code, at: At<'_>, message: String, hint: &'static str) {
        let At { table, row, column } = at;
        let row = row.map(str::to_owned);
        self.0.push(Finding { severity, code, table, row, column, message, details: Vec::new(), hint });
    }

    /// The findings by table, in the order of the documentation; those of one table stay as they came.
    fn by_table(mut self) -> Vec<Finding> {
        let place = |finding: &Finding| SCHEMAS.iter().position(|schema| schema.table == finding.table);
        self.0.sort_by_key(place);
        self.0
    }

    /// Adds a finding about several things; none without any.
    fn list(
        &mut self,
        severity: Severity,
        code: Code,
        at: At<'_>,
        (message, details): (impl Into<String>, Vec<String>),
        hint: &'static str,
    ) {
        if !details.is_empty() {
            self.add(severity, code, at, message.into(), hint);
            self.0.last_mut().expect("added above").details = details;
        }
    }

    /// Checks the length of a text and that it is there.
    fn text(&mut self, at: At<'_>, text: &str, longest: usize, blank: Code, long: Code) {
        if text.trim().is_empty() {
            self.error(blank, at, "it is empty", "fill it in, or remove the row");
        }
        if text.chars().count() > longest {
            let what = format!("{} characters; {longest} is the most", text.chars().count());
            self.error(long, at, what, "make it shorter");
        }
    }
}

/// Reads `0x` and exactly eight hexadecimal digits.
fn flags(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    let sound = digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u32::from_str_radix(digits, 16).ok().filter(|_| sound)
}

fn is_identifier(text: &str) -> bool {
    text.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_')
        && text.chars().all(|char| char.is_ascii_alphanumeric() || matches!(char, '_' | '.'))
}

/// Reports each name that an earlier row has in another case, or each value that an earlier row has.
fn duplicates<'a>(rows: impl Iterator<Item = (&'a str, String)>, mut report: impl FnMut(&'a str, &'a str)) {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for (row, value) in rows {
        match seen.get(&value) {
            Some(first) => report(row, first),
            None => {
                seen.insert(value, row);
            }
        }
    }
}

fn is_missing(pcp: &Pcp, table: &str) -> bool {
    pcp.faults.iter().any(|fault| fault.table == table && fault.column.is_none())
}

fn is_family(pcp: &Pcp, name: &str) -> bool {
    pcp.families.iter().any(|row| row.family == name)
}

fn is_upgraded(pcp: &Pcp, name: &str) -> bool {
    pcp.upgraded.iter().any(|row| row.upgraded == name)
}
