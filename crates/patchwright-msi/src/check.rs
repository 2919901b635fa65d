//! Everything that is wrong with a `.pcp`, as far as it can be seen without the images.
//!
//! Nothing stops at the first fault. Findings come table by table in the order of the documentation, rows by key. Each has
//! the code of PATCHWIZ that fits; where PATCHWIZ does not say which code a fault gets, it is that of the table or column.

use std::collections::BTreeMap;

use crate::code::{self as pcw, Code};
use crate::guid::{is_guid, split_guids};
use crate::pcp::{Pcp, RangeFault, checked_ranges, parse_numbers};

/// Whether a patch can be made in spite of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can, but is hardly what was meant.
    Warning,
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
    /// What to do.
    pub hint: &'static str,
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
const LONGEST_IMAGE_NAME: usize = 13;
const LONGEST_FAMILY_NAME: usize = 8;
const LONGEST_LIST: usize = 255;
const LONGEST_FAMILY_LIST: usize = 128;

/// Properties that are 1, 0 or empty.
const SWITCHES: [&str; 8] = [
    "AllowLaxValidationFlags",
    "AllowProductCodeMismatches",
    "AllowProductVersionMajorMismatches",
    "DontRemoveTempFolderWhenFinished",
    "IncludeWholeFilesOnly",
    "PATCH_CACHE_ENABLED",
    "SEQUENCE_DATA_GENERATION_DISABLED",
    "TrustMsi",
];
/// The other properties that there are.
const OTHER_PROPERTIES: [&str; 11] = [
    "ApiPatchingSymbolFlags",
    "ListOfPatchGUIDsToReplace",
    "ListOfTargetProductCodes",
    "MinimumRequiredMsiVersion",
    "MsiFileToUseToCreatePatchTables",
    "OptimizePatchSizeForLargeFiles",
    "PATCH_CACHE_DIR",
    "PatchGUID",
    "PatchOutputPath",
    "PatchSourceList",
    "SEQUENCE_DATA_SUPERSEDENCE",
];
const KNOWN_MSI_VERSIONS: [&str; 9] = ["100", "120", "200", "300", "310", "400", "405", "450", "500"];
const REQUIRED_METADATA: [&str; 7] = [
    "AllowRemoval",
    "Classification",
    "Description",
    "DisplayName",
    "ManufacturerName",
    "MoreInfoURL",
    "TargetProductName",
];
const OTHER_METADATA: [&str; 4] = ["CreationTimeUTC", "MinorUpdateTargetRTM", "OptimizeCA", "OptimizedInstallMode"];

/// Checks a `.pcp`: all findings, in an order that depends on nothing but its content.
pub fn check(pcp: &Pcp) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    for fault in &pcp.faults {
        let at = At { table: fault.table, row: None, column: fault.column };
        findings.error(fault.code, at, &fault.what, "compare the table with one that `patchwright pcp new` writes");
    }
    properties(pcp, &mut findings);
    families(pcp, &mut findings);
    upgraded_images(pcp, &mut findings);
    target_images(pcp, &mut findings);
    ignored_files(pcp, &mut findings);
    upgraded_files(pcp, &mut findings);
    target_files(pcp, &mut findings);
    family_ranges(pcp, &mut findings);
    external_files(pcp, &mut findings);
    metadata(pcp, &mut findings);
    sequence(pcp, &mut findings);
    findings.0
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
        self.0.push(Finding { severity, code, table, row: row.map(str::to_owned), column, message, hint });
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

fn properties(pcp: &Pcp, findings: &mut Findings) {
    let hint_guid = "write the patch's GUID in braces: {XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX}";
    match pcp.property("PatchGUID") {
        None => {
            let at = at(PROPERTIES, "PatchGUID").column("Value");
            findings.error(pcw::MISSING_PATCH_GUID, at, "PatchGUID is not set", hint_guid);
        }
        Some(guid) if !is_guid(guid) => {
            let what = format!("{guid:?} is no GUID in braces");
            findings.error(pcw::BAD_PATCH_GUID, at(PROPERTIES, "PatchGUID").column("Value"), what, hint_guid);
        }
        Some(_) => {}
    }
    for row in &pcp.properties {
        let at = at(PROPERTIES, &row.name);
        let known = || SWITCHES.iter().chain(&OTHER_PROPERTIES);
        if !known().any(|known| *known == row.name) {
            let similar = known().find(|known| known.eq_ignore_ascii_case(&row.name));
            let what = match similar {
                Some(known) => format!("there is no such property; the one called {known} is spelled differently"),
                None => "there is no such property".to_owned(),
            };
            findings.warning(pcw::INVALID_PCP_PROPERTY, at.column("Name"), what, "case matters; see docs/guide/pcp.md");
        }
        if let Some(value) = &row.value {
            property(pcp, at.column("Value"), value, findings);
        }
    }
    if pcp.property("PatchOutputPath").is_none() {
        let at = at(PROPERTIES, "PatchOutputPath").column("Value");
        findings.warning(pcw::MISSING_PATCH_PATH, at, "it is not set", "set it, or name the patch when you build it");
    }
    if pcp.property("PATCH_CACHE_ENABLED") == Some("1") && pcp.property("PATCH_CACHE_DIR").is_none() {
        let at = at(PROPERTIES, "PATCH_CACHE_DIR").column("Value");
        let what = "it is not set, though PATCH_CACHE_ENABLED is 1";
        findings.warning(pcw::INVALID_PCP_PROPERTY, at, what, "name the folder of the cache");
    }
}

fn property(pcp: &Pcp, at: At<'_>, value: &str, findings: &mut Findings) {
    let name = at.row.unwrap_or_default();
    match name {
        _ if SWITCHES.contains(&name) && !matches!(value, "0" | "1") => {
            let what = format!("{value:?} is neither 0 nor 1");
            findings.error(pcw::INVALID_PCP_PROPERTY, at, what, "write 1 for yes, 0 or nothing for no");
        }
        "SEQUENCE_DATA_GENERATION_DISABLED" if value == "1" && pcp.sequence.is_none() => {
            let what = "the patch will have no sequence: neither made nor in a table PatchSequence";
            findings.warning(pcw::SEQUENCE_DATA_GENERATION_DISABLED, at, what, "add a PatchSequence table, or write 0");
        }
        "ListOfPatchGUIDsToReplace" => {
            if split_guids(value).is_none() {
                let what = format!("{value:?} is no row of GUIDs in braces");
                findings.error(pcw::BAD_GUIDS_TO_REPLACE, at, what, "write {GUID}{GUID} with nothing between them");
            }
            let hint = "name the patches of one family in PatchSequence instead";
            if pcp.minimum_msi_version() >= 300 {
                let what = "Windows Installer 3.0 ignores the list for patches with a sequence";
                findings.warning(pcw::OBSOLETION_WITH_MSI30, at, what, hint);
            }
            if pcp.sequence.is_some() {
                let what = "the list is ignored, since the patch has a sequence";
                findings.warning(pcw::OBSOLETION_WITH_PATCHSEQUENCE, at, what, hint);
            }
        }
        "ListOfTargetProductCodes" => {
            let codes = value.split(';').enumerate();
            let bad: Vec<&str> = codes
                .filter(|(index, code)| !(is_guid(code) || *index == 0 && *code == "*"))
                .map(|(_, code)| code)
                .collect();
            if !bad.is_empty() {
                let what = format!("{bad:?}: neither a product code nor a * at the beginning");
                let hint = "write * for the codes of the target images, or {GUID};{GUID}";
                findings.error(pcw::BAD_TARGET_PRODUCT_CODE_LIST, at, what, hint);
            }
        }
        "ApiPatchingSymbolFlags" if flags(value).is_none_or(|flags| flags > 7) => {
            let what = format!("{value:?} is no 0x and 8 hexadecimal digits, up to 0x00000007");
            let hint = "write 0x00000000, or a sum of 1 (no imagehlp), 2 (no failures), 4 (undecorated too)";
            findings.error(pcw::BAD_API_PATCHING_SYMBOL_FLAGS, at, what, hint);
        }
        "MinimumRequiredMsiVersion" => {
            let hint = "write 100, 200, 300, 310 or 400";
            if value.parse::<u16>().is_err() {
                let what = format!("{value:?} is no version of Windows Installer");
                findings.error(pcw::INVALID_PCP_PROPERTY, at, what, hint);
            } else if !KNOWN_MSI_VERSIONS.contains(&value) {
                let what = format!("{value:?} is no known version of Windows Installer");
                findings.warning(pcw::INVALID_PCP_PROPERTY, at, what, hint);
            }
        }
        "SEQUENCE_DATA_SUPERSEDENCE" => {
            if !matches!(value, "0" | "1") {
                let what = format!("{value:?} is neither 0 nor 1");
                let hint = "write 1 if the patch replaces earlier ones of its family, 0 if not";
                findings.error(pcw::INVALID_SUPERSEDENCE_VALUE, at, what, hint);
            }
            if pcp.sequence.is_some() {
                let what = "it is ignored, since there is a table PatchSequence";
                let hint = "remove the property, or the table";
                findings.warning(pcw::SEQUENCE_DATA_SUPERSEDENCE_IGNORED, at, what, hint);
            }
        }
        _ => {}
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

fn families(pcp: &Pcp, findings: &mut Findings) {
    if pcp.families.is_empty() && !is_missing(pcp, FAMILIES) {
        let hint = "add a row: a family groups images that share files";
        findings.error(pcw::INVALID_PCP_IMAGEFAMILIES, At::table(FAMILIES), "the table has no rows", hint);
    }
    let must_be_set = pcp.minimum_msi_version() < 200;
    let hint_null = "fill it in, or set MinimumRequiredMsiVersion to 200 or more";
    for row in &pcp.families {
        let at = at(FAMILIES, &row.family);
        let name = at.column("Family");
        findings.text(
            name,
            &row.family,
            LONGEST_FAMILY_NAME,
            pcw::BAD_IMAGE_FAMILY_NAME,
            pcw::IMAGE_FAMILY_NAME_TOO_LONG,
        );
        if !row.family.chars().all(|char| char.is_ascii_alphanumeric() || char == '_') {
            let what = format!("{:?} has other characters than letters, digits and underscores", row.family);
            findings.error(pcw::BAD_IMAGE_FAMILY_NAME, name, what, "rename the family, here and where it is named");
        }
        let source = at.column("MediaSrcPropName");
        match &row.media_src_prop_name {
            None if must_be_set => findings.error(pcw::BAD_IMAGE_FAMILY_SRC_PROP, source, "it is empty", hint_null),
            Some(name) if !is_identifier(name) => {
                let what = format!("{name:?} is no name of a property");
                let hint = "begin with a letter or underscore and go on with letters, digits, underscores and dots";
                findings.error(pcw::BAD_IMAGE_FAMILY_SRC_PROP, source, what, hint);
            }
            _ => {}
        }
        let disk = at.column("MediaDiskId");
        match row.media_disk_id {
            None if must_be_set => findings.error(pcw::BAD_IMAGE_FAMILY_DISKID, disk, "it is empty", hint_null),
            Some(id) if !(1..=32_767).contains(&id) => {
                let what = format!("{id} is not from 1 to 32767");
                findings.error(pcw::BAD_IMAGE_FAMILY_DISKID, disk, what, "take one above every DiskId of the targets");
            }
            _ => {}
        }
        let start = at.column("FileSequenceStart");
        match row.file_sequence_start {
            None if must_be_set => findings.error(pcw::BAD_IMAGE_FAMILY_FILESEQSTART, start, "it is empty", hint_null),
            Some(number) if number < 1 => {
                let what = format!("{number} is less than 1");
                let hint = "take one above every File.Sequence of the targets";
                findings.error(pcw::BAD_IMAGE_FAMILY_FILESEQSTART, start, what, hint);
            }
            _ => {}
        }
    }
    let names = pcp.families.iter().map(|row| (row.family.as_str(), row.family.to_lowercase()));
    duplicates(names, |row, first| {
        let what = format!("{first} is the same name: case does not tell families apart");
        findings.error(pcw::DUP_IMAGE_FAMILY_NAME, at(FAMILIES, row).column("Family"), what, "rename one of them");
    });
    let rows = || pcp.families.iter();
    let sources = rows().filter_map(|row| Some((row.family.as_str(), row.media_src_prop_name.clone()?)));
    duplicates(sources, |row, first| {
        let at = at(FAMILIES, row).column("MediaSrcPropName");
        let what = format!("the family {first} has the same property");
        findings.error(pcw::BAD_IMAGE_FAMILY_SRC_PROP, at, what, "give each family a property of its own");
    });
    let disks = rows().filter_map(|row| Some((row.family.as_str(), row.media_disk_id?.to_string())));
    duplicates(disks, |row, first| {
        let what = format!("the family {first} has the same number");
        let at = at(FAMILIES, row).column("MediaDiskId");
        findings.error(pcw::BAD_IMAGE_FAMILY_DISKID, at, what, "give each family a number of its own");
    });
    let starts = rows().filter_map(|row| Some((row.family.as_str(), row.file_sequence_start?.to_string())));
    duplicates(starts, |row, first| {
        let what = format!("the family {first} begins at the same number");
        let at = at(FAMILIES, row).column("FileSequenceStart");
        findings.error(pcw::BAD_IMAGE_FAMILY_FILESEQSTART, at, what, "leave room for the files of each family");
    });
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

/// Codes for the name and the paths of an image.
struct ImageCodes {
    long: Code,
    bad: Code,
    duplicate: Code,
    path_empty: Code,
    path_long: Code,
}

/// What images have in common: name and path.
fn images<'a>(
    table: &'static str,
    column: &'static str,
    rows: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    codes: &ImageCodes,
    findings: &mut Findings,
) {
    for (name, path) in rows.clone() {
        let at = at(table, name);
        findings.text(at.column(column), name, LONGEST_IMAGE_NAME, codes.bad, codes.long);
        if !name.chars().all(|char| char.is_ascii_alphanumeric() || matches!(char, '_' | '.')) {
            let what = format!("{name:?} has other characters than letters, digits, underscores and dots");
            findings.error(codes.bad, at.column(column), what, "rename the image, here and where it is named");
        }
        findings.text(at.column("MsiPath"), path, LONGEST_PATH, codes.path_empty, codes.path_long);
    }
    duplicates(rows.map(|(name, _)| (name, name.to_lowercase())), |row, first| {
        let what = format!("{first} is the same name: case does not tell images apart");
        findings.error(codes.duplicate, at(table, row).column(column), what, "rename one of them");
    });
}

fn upgraded_images(pcp: &Pcp, findings: &mut Findings) {
    let codes = ImageCodes {
        long: pcw::UPGRADED_IMAGE_NAME_TOO_LONG,
        bad: pcw::BAD_UPGRADED_IMAGE_NAME,
        duplicate: pcw::DUP_UPGRADED_IMAGE_NAME,
        path_empty: pcw::UPGRADED_IMAGE_PATH_EMPTY,
        path_long: pcw::UPGRADED_IMAGE_PATH_TOO_LONG,
    };
    let rows = pcp.upgraded.iter().map(|row| (row.upgraded.as_str(), row.msi_path.as_str()));
    images(UPGRADED, "Upgraded", rows, &codes, findings);
    let is_named = |name: &str| pcp.targets.iter().any(|target| target.upgraded == name);
    for row in &pcp.upgraded {
        let at = at(UPGRADED, &row.upgraded);
        if let Some(path) = &row.patch_msi_path
            && path.chars().count() > LONGEST_PATH
        {
            let what = format!("{} characters; {LONGEST_PATH} is the most", path.chars().count());
            let at = at.column("PatchMsiPath");
            findings.error(pcw::UPGRADED_IMAGE_PATCH_PATH_TOO_LONG, at, what, "make it shorter");
        }
        if !is_family(pcp, &row.family) {
            let what = format!("{:?} is no row of {FAMILIES}", row.family);
            let hint = "name a family that there is; case matters";
            findings.error(pcw::BAD_UPGRADED_IMAGE_FAMILY, at.column("Family"), what, hint);
        }
        if !is_named(&row.upgraded) {
            let what = "no row of TargetImages names it: it is left out of the patch";
            let hint = "add a target image for it, or remove the row";
            findings.warning(pcw::INVALID_PCP_UPGRADEDIMAGES, at.column("Upgraded"), what, hint);
        }
    }
    if !pcp.upgraded.iter().any(|row| is_named(&row.upgraded)) && !is_missing(pcp, UPGRADED) {
        let what = "no new image that a target image names: there is nothing to patch";
        let hint = "add a new image, and a target image whose Upgraded names it";
        findings.error(pcw::NO_UPGRADED_IMAGES_TO_PATCH, At::table(UPGRADED), what, hint);
    }
}

fn target_images(pcp: &Pcp, findings: &mut Findings) {
    if pcp.targets.is_empty() && !is_missing(pcp, TARGETS) {
        let what = "the table has no rows";
        findings.error(pcw::INVALID_PCP_TARGETIMAGES, At::table(TARGETS), what, "add a row for each old version");
    }
    let codes = ImageCodes {
        long: pcw::TARGET_IMAGE_NAME_TOO_LONG,
        bad: pcw::BAD_TARGET_IMAGE_NAME,
        duplicate: pcw::DUP_TARGET_IMAGE_NAME,
        path_empty: pcw::TARGET_IMAGE_PATH_EMPTY,
        path_long: pcw::TARGET_IMAGE_PATH_TOO_LONG,
    };
    let rows = pcp.targets.iter().map(|row| (row.target.as_str(), row.msi_path.as_str()));
    images(TARGETS, "Target", rows, &codes, findings);
    let trusts_msi = pcp.property("TrustMsi") == Some("1");
    for row in &pcp.targets {
        let at = at(TARGETS, &row.target);
        if !is_upgraded(pcp, &row.upgraded) {
            let what = format!("{:?} is no row of {UPGRADED}", row.upgraded);
            let hint = "name a new image that there is; case matters";
            findings.error(pcw::BAD_TARGET_IMAGE_UPGRADED, at.column("Upgraded"), what, hint);
        }
        if let Some(text) = &row.product_validate_flags {
            validate_flags(at.column("ProductValidateFlags"), text, findings);
        }
        if trusts_msi && row.ignore_missing_src_files.is_some_and(|flag| flag != 0) {
            let what = "files that are missing cannot be left out while TrustMsi is 1";
            let at = at.column("IgnoreMissingSrcFiles");
            findings.warning(pcw::INVALID_PCP_TARGETIMAGES, at, what, "set one of the two to 0");
        }
    }
    let places =
        pcp.targets.iter().filter_map(|row| Some((row.target.as_str(), format!("{} {}", row.order?, row.upgraded))));
    duplicates(places, |row, first| {
        let what = format!("{first} has the same place");
        let at = at(TARGETS, row).column("Order");
        findings.warning(pcw::INVALID_PCP_TARGETIMAGES, at, what, "number the old versions, the oldest first");
    });
}

fn validate_flags(at: At<'_>, text: &str, findings: &mut Findings) {
    const FIELDS: u32 = 0x38;
    const COMPARISONS: u32 = 0x7c0;
    const ALL: u32 = 0xfff;
    let hint = "write 0x00000922 for the usual: same product, same version, same upgrade code";
    let Some(flags) = flags(text) else {
        let what = format!("{text:?} is no 0x and 8 hexadecimal digits");
        return findings.error(pcw::TARGET_BAD_PROD_VALIDATE, at, what, hint);
    };
    if flags & !ALL != 0 {
        let what = format!("{text} has bits that mean nothing: {:#x}", flags & !ALL);
        findings.error(pcw::TARGET_BAD_PROD_VALIDATE, at, what, hint);
    }
    let (fields, comparisons) = ((flags & FIELDS).count_ones(), (flags & COMPARISONS).count_ones());
    if fields > 1 || comparisons > 1 {
        let what = format!("{text} asks for more than one comparison of versions");
        findings.error(pcw::TARGET_BAD_PROD_VALIDATE, at, what, hint);
    } else if fields != comparisons {
        let what = format!(
            "{text} names {} without the other",
            if fields == 1 { "parts of a version" } else { "a comparison" }
        );
        findings.warning(pcw::INVALID_TRANSFORM_VALIDATION, at, what, hint);
    }
}

fn ignored_files(pcp: &Pcp, findings: &mut Findings) {
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

fn upgraded_files(pcp: &Pcp, findings: &mut Findings) {
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
fn numbers(text: Option<&str>) -> Option<Vec<u32>> {
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

fn target_files(pcp: &Pcp, findings: &mut Findings) {
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
        }
    }
}

fn family_ranges(pcp: &Pcp, findings: &mut Findings) {
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

fn external_files(pcp: &Pcp, findings: &mut Findings) {
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
    }
}

fn metadata(pcp: &Pcp, findings: &mut Findings) {
    let version = pcp.minimum_msi_version();
    let Some(rows) = &pcp.metadata else {
        let what = format!("the table is missing, though MinimumRequiredMsiVersion is {version}");
        let hint = "add the table with its seven required properties";
        match version {
            300 => findings.error(pcw::MISSING_PATCHMETADATA, At::table(METADATA), what, hint),
            301.. => findings.warning(pcw::MISSING_PATCHMETADATA, At::table(METADATA), what, hint),
            _ => {}
        }
        return;
    };
    for row in rows {
        let key = format!("{}, {}", row.company.as_deref().unwrap_or_default(), row.property);
        let at = at(METADATA, &key);
        let bad = |what: &str, hint, findings: &mut Findings| {
            findings.error(pcw::INVALID_PATCHMETADATA_PROP, at.column("Value"), what, hint);
        };
        let Some(value) = &row.value else {
            bad("it is empty", "fill it in, or remove the row", findings);
            continue;
        };
        if row.company.is_some() {
            continue;
        }
        let name = row.property.as_str();
        if !REQUIRED_METADATA.iter().chain(&OTHER_METADATA).any(|known| *known == name) {
            let what = format!("{name:?} is no standard property");
            let hint = "correct the name, or name in Company who defines it";
            findings.error(pcw::WRONG_PATCHMETADATA_STRD_PROP, at.column("Property"), what, hint);
        }
        match name {
            "AllowRemoval" | "MinorUpdateTargetRTM" | "OptimizedInstallMode"
                if !matches!(value.as_str(), "0" | "1") =>
            {
                bad(&format!("{value:?} is neither 0 nor 1"), "write 1 for yes, 0 for no", findings);
            }
            "OptimizeCA" if value.parse::<u8>().is_ok_and(|bits| bits <= 7) => {}
            "OptimizeCA" => bad(&format!("{value:?} is not from 0 to 7"), "write a sum of 1, 2 and 4", findings),
            "CreationTimeUTC" if !is_creation_time(value) => {
                bad(&format!("{value:?} is no time"), "write mm-dd-yy HH:MM, in UTC", findings);
            }
            _ => {}
        }
    }
    if rows.is_empty() && version < 300 {
        return;
    }
    let is_set = |name: &str| rows.iter().any(|row| row.company.is_none() && row.property == name);
    for name in REQUIRED_METADATA.iter().filter(|name| !is_set(name)) {
        let key = format!(", {name}");
        let what = format!("{name} is not set");
        findings.error(
            pcw::PATCHMETADATA_PROP_NOT_SET,
            at(METADATA, &key).column("Property"),
            what,
            "add a row for it",
        );
    }
}

/// Whether a text is `mm-dd-yy HH:MM`, or with a year of four digits.
fn is_creation_time(text: &str) -> bool {
    let in_range = |text: &str, digits: usize, from: u16, to: u16| {
        text.len() == digits
            && text.bytes().all(|byte| byte.is_ascii_digit())
            && text.parse().is_ok_and(|number| (from..=to).contains(&number))
    };
    let Some((date, clock)) = text.split_once(' ') else { return false };
    let (date, clock): (Vec<&str>, Vec<&str>) = (date.split('-').collect(), clock.split(':').collect());
    let ([month, day, year], [hour, minute]) = (date.as_slice(), clock.as_slice()) else { return false };
    in_range(month, 2, 1, 12)
        && in_range(day, 2, 1, 31)
        && (in_range(year, 2, 0, 99) || in_range(year, 4, 1980, 9999))
        && in_range(hour, 2, 0, 23)
        && in_range(minute, 2, 0, 59)
}

fn sequence(pcp: &Pcp, findings: &mut Findings) {
    let Some(rows) = &pcp.sequence else { return };
    if rows.is_empty() {
        let what = "the table has no rows; PATCHWIZ makes a patch of it that Windows Installer refuses";
        let hint = "remove the table, or add a row";
        findings.warning(pcw::INVALID_PCP_PATCHSEQUENCE, At::table(SEQUENCE), what, hint);
    }
    for row in rows {
        let key = format!("{}, {}", row.patch_family, row.target.as_deref().unwrap_or_default());
        let at = at(SEQUENCE, &key);
        if row.patch_family.is_empty() {
            findings.error(
                pcw::NULL_PATCHFAMILY,
                at.column("PatchFamily"),
                "it is empty",
                "name the family of patches",
            );
        } else if !is_identifier(&row.patch_family) {
            let what = format!("{:?} is no identifier", row.patch_family);
            let hint = "begin with a letter or underscore and go on with letters, digits, underscores and dots";
            findings.error(pcw::INVALID_PCP_PATCHSEQUENCE, at.column("PatchFamily"), what, hint);
        }
        if let Some(target) = &row.target
            && !is_guid(target)
            && !pcp.targets.iter().any(|row| row.target == *target)
        {
            let what = format!("{target:?} is neither a row of {TARGETS} nor a product code");
            let hint = "name a target image or a {GUID}, or leave it empty for every target";
            findings.error(pcw::SEQUENCING_BAD_TARGET, at.column("Target"), what, hint);
        }
        if let Some(version) = &row.sequence
            && !is_version(version)
        {
            let what = format!("{version:?} is no version");
            let hint = "write one to four numbers up to 65535 with dots between them";
            findings.error(pcw::BAD_SEQUENCE, at.column("Sequence"), what, hint);
        }
        if row.supersede.is_some_and(|flag| !(0..=1).contains(&flag)) {
            let hint = "write 1 if the patch replaces earlier ones of its family, 0 or nothing if not";
            findings.error(pcw::INVALID_SUPERCEDENCE, at.column("Supersede"), "it is neither 0 nor 1", hint);
        }
    }
}

fn is_version(text: &str) -> bool {
    let field = |field: &str| {
        !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_digit()) && field.parse::<u16>().is_ok()
    };
    text.split('.').count() <= 4 && text.split('.').all(field)
}
