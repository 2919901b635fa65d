//! Each fault as a row: what is changed in a sound `.pcp`, and the codes that must come, no more and no less.

use std::collections::BTreeSet;

use patchwright_msi::check::{Finding, Severity, check};
use patchwright_msi::code::{Code, Use};
use patchwright_msi::database::{Database, Value};
use patchwright_msi::pcp::Pcp;

use crate::{GUID, reread, sound, text};

/// A change of a database.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    /// `Table`, key of the row (or `Column=value`), column, value.
    Set(&'static str, &'static str, &'static str, &'static str),
    Add(&'static str, &'static [&'static str]),
    Remove(&'static str, &'static str),
    Drop(&'static str),
    DropColumn(&'static str, &'static str),
}
pub(crate) use Change::{Add, Drop, DropColumn, Remove, Set};

fn table<'a>(database: &'a mut Database, name: &str) -> &'a mut patchwright_msi::database::Table {
    if database.table(name).is_none() {
        // The only one that a new file lacks.
        let schema = patchwright_msi::idt::import(
            [(
                "PatchSequence.idt",
                &b"PatchFamily\tTarget\tSequence\tSupersede\ns72\tS72\tS72\tI4\nPatchSequence\tPatchFamily\tTarget\n"[..],
            )],
            |_, _| unreachable!(),
        );
        database.tables.extend(schema.unwrap().tables);
        database.sort();
    }
    database.tables.iter_mut().find(|table| table.name == name).unwrap()
}

fn value(kind: patchwright_msi::database::ColumnKind, field: &str) -> Value {
    use patchwright_msi::database::ColumnKind;
    match kind {
        _ if field.is_empty() => Value::Null,
        ColumnKind::Int16 | ColumnKind::Int32 => Value::Int(field.parse().unwrap()),
        _ => text(field),
    }
}

/// Changes a database.
pub(crate) fn change(database: &mut Database, changes: &[Change]) {
    for change in changes {
        match *change {
            Set(name, row, column, field) => {
                let table = table(database, name);
                let at = table.column(column).unwrap();
                let kind = table.columns[at].kind;
                let index = table.rows.iter().position(|found| table.row_key(found) == row).unwrap();
                table.rows[index][at] = value(kind, field);
            }
            Add(name, fields) => {
                let table = table(database, name);
                let row = table.columns.iter().enumerate();
                let row = row.map(|(at, column)| value(column.kind, fields.get(at).copied().unwrap_or("")));
                let row = row.collect();
                table.rows.push(row);
            }
            Remove(name, row) => {
                let table = table(database, name);
                let index = table.rows.iter().position(|found| table.row_key(found) == row).unwrap();
                table.rows.remove(index);
            }
            Drop(name) => database.tables.retain(|table| table.name != name),
            DropColumn(name, column) => {
                let table = table(database, name);
                let at = table.column(column).unwrap();
                table.columns.remove(at);
                table.rows.iter_mut().for_each(|row| drop(row.remove(at)));
            }
        }
    }
    database.sort();
}

fn found(changes: &[Change]) -> Vec<Finding> {
    let mut database = sound();
    change(&mut database, changes);
    check(&Pcp::read(&reread(&database)))
}

/// `-` before a name is a warning, `~` a note; the prefix of the name is left out.
pub(crate) fn codes(findings: &[Finding]) -> Vec<String> {
    let one = |finding: &Finding| {
        let name = finding.code.name.trim_start_matches("ERROR_PCW_").trim_start_matches("WARN_");
        match finding.severity {
            Severity::Error => name.to_owned(),
            Severity::Warning => format!("-{name}"),
            Severity::Note => format!("~{name}"),
        }
    };
    findings.iter().map(one).collect()
}

#[test]
fn a_new_file_is_sound() {
    assert_eq!(found(&[]), []);
}

const F: &str = "NotePad";

/// What is changed, and what must come of it.
#[allow(clippy::too_many_lines)]
fn rows() -> Vec<(Vec<Change>, &'static str)> {
    const LONG: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const LONG_LIST: &str = "0x00000000,0x00000001,0x00000002,0x00000003,0x00000004,0x00000005,0x00000006,0x00000007,0x00000008,0x00000009,0x0000000a,0x0000000b,0x0000000c,0x0000000d,0x0000000e,0x0000000f,0x00000010,0x00000011,0x00000012,0x00000013,0x00000014,0x00000015,0x00000016,0x00000017";
    let property = |name, value| Set("Properties", name, "Value", value);
    vec![
        // Tables and columns.
        (
            vec![Drop("Properties")],
            "INVALID_PCP_PROPERTIES MISSING_PATCH_GUID -MISSING_PATCH_PATH BAD_IMAGE_FAMILY_SRC_PROP BAD_IMAGE_FAMILY_DISKID BAD_IMAGE_FAMILY_FILESEQSTART",
        ),
        (vec![Drop("ImageFamilies")], "INVALID_PCP_IMAGEFAMILIES BAD_UPGRADED_IMAGE_FAMILY"),
        (vec![Drop("UpgradedImages")], "INVALID_PCP_UPGRADEDIMAGES BAD_TARGET_IMAGE_UPGRADED"),
        (
            vec![Drop("TargetImages")],
            "-INVALID_PCP_UPGRADEDIMAGES NO_UPGRADED_IMAGES_TO_PATCH INVALID_PCP_TARGETIMAGES",
        ),
        (vec![Drop("FamilyFileRanges"), Drop("ExternalFiles")], ""),
        (vec![DropColumn("UpgradedImages", "SymbolPaths")], "INVALID_PCP_UPGRADEDIMAGES"),
        (vec![DropColumn("UpgradedImages", "PatchMsiPath"), DropColumn("TargetImages", "Order")], ""),
        (vec![DropColumn("UpgradedFilesToIgnore", "FTK")], "INVALID_PCP_UPGRADEDFILESTOIGNORE"),
        (vec![DropColumn("TargetFiles_OptionalData", "SymbolPaths")], "INVALID_PCP_TARGETFILES_OPTIONALDATA"),
        // Properties.
        (vec![Remove("Properties", "PatchGUID")], "MISSING_PATCH_GUID"),
        (vec![property("PatchGUID", "{5406B219}")], "BAD_PATCH_GUID"),
        (vec![property("PatchOutputPath", "")], "-MISSING_PATCH_PATH"),
        (
            vec![property("ListOfPatchGUIDsToReplace", "nonsense"), property("MinimumRequiredMsiVersion", "200")],
            "BAD_GUIDS_TO_REPLACE -OBSOLETION_WITH_SEQUENCE_DATA",
        ),
        (vec![property("ListOfPatchGUIDsToReplace", GUID)], "-OBSOLETION_WITH_MSI30"),
        (
            vec![
                property("ListOfPatchGUIDsToReplace", GUID),
                property("MinimumRequiredMsiVersion", "200"),
                Add("PatchSequence", &["F"]),
            ],
            "-OBSOLETION_WITH_PATCHSEQUENCE",
        ),
        (
            vec![property("ListOfTargetProductCodes", "{5406B219-A1AC-4BC4-8695-72292C8195AC};*")],
            "BAD_TARGET_PRODUCT_CODE_LIST",
        ),
        (vec![property("ListOfTargetProductCodes", "*;{5406B219-A1AC-4BC4-8695-72292C8195AC}")], ""),
        (vec![property("ApiPatchingSymbolFlags", "0x00000008")], "BAD_API_PATCHING_SYMBOL_FLAGS"),
        (vec![property("ApiPatchingSymbolFlags", "0x0")], "BAD_API_PATCHING_SYMBOL_FLAGS"),
        (vec![property("IncludeWholeFilesOnly", "yes")], "INVALID_PCP_PROPERTY"),
        (
            vec![property("MinimumRequiredMsiVersion", "three")],
            "INVALID_PCP_PROPERTY BAD_IMAGE_FAMILY_SRC_PROP BAD_IMAGE_FAMILY_DISKID BAD_IMAGE_FAMILY_FILESEQSTART",
        ),
        (vec![property("MinimumRequiredMsiVersion", "333")], "-INVALID_PCP_PROPERTY"),
        (vec![Add("Properties", &["patchGuid", "x"])], "-INVALID_PCP_PROPERTY"),
        (vec![Add("Properties", &["PATCH_CACHE_ENABLED", "1"])], "-INVALID_PCP_PROPERTY"),
        (vec![Add("Properties", &["SEQUENCE_DATA_GENERATION_DISABLED", "1"])], "-SEQUENCE_DATA_GENERATION_DISABLED"),
        (vec![Add("Properties", &["SEQUENCE_DATA_SUPERSEDENCE", "2"])], "INVALID_SUPERSEDENCE_VALUE"),
        (
            vec![Add("Properties", &["SEQUENCE_DATA_SUPERSEDENCE", "1"]), Add("PatchSequence", &["F"])],
            "-SEQUENCE_DATA_SUPERSEDENCE_IGNORED",
        ),
        // ImageFamilies.
        (vec![Remove("ImageFamilies", F)], "INVALID_PCP_IMAGEFAMILIES BAD_UPGRADED_IMAGE_FAMILY"),
        (vec![Add("ImageFamilies", &["Family_09"])], "IMAGE_FAMILY_NAME_TOO_LONG"),
        (vec![Add("ImageFamilies", &["a-b"])], "BAD_IMAGE_FAMILY_NAME"),
        (vec![Add("ImageFamilies", &["notepad"])], "DUP_IMAGE_FAMILY_NAME"),
        (vec![Set("ImageFamilies", F, "MediaSrcPropName", "1x")], "BAD_IMAGE_FAMILY_SRC_PROP"),
        (vec![Set("ImageFamilies", F, "MediaDiskId", "0")], "BAD_IMAGE_FAMILY_DISKID"),
        (vec![Set("ImageFamilies", F, "FileSequenceStart", "0")], "BAD_IMAGE_FAMILY_FILESEQSTART"),
        (
            vec![Add("ImageFamilies", &["A", "P", "2", "10"]), Add("ImageFamilies", &["B", "P", "2", "10"])],
            "BAD_IMAGE_FAMILY_SRC_PROP BAD_IMAGE_FAMILY_DISKID BAD_IMAGE_FAMILY_FILESEQSTART",
        ),
        // UpgradedImages and TargetImages.
        (
            vec![Add("UpgradedImages", &["Fourteen_chars", "x", "", "", F])],
            "UPGRADED_IMAGE_NAME_TOO_LONG -INVALID_PCP_UPGRADEDIMAGES",
        ),
        (vec![Add("UpgradedImages", &["a b", "x", "", "", F])], "BAD_UPGRADED_IMAGE_NAME -INVALID_PCP_UPGRADEDIMAGES"),
        (vec![Add("UpgradedImages", &["new", "x", "", "", F])], "DUP_UPGRADED_IMAGE_NAME -INVALID_PCP_UPGRADEDIMAGES"),
        (vec![Set("UpgradedImages", "New", "MsiPath", "")], "UPGRADED_IMAGE_PATH_EMPTY"),
        (vec![Set("UpgradedImages", "New", "MsiPath", LONG)], "UPGRADED_IMAGE_PATH_TOO_LONG"),
        (vec![Set("UpgradedImages", "New", "PatchMsiPath", LONG)], "UPGRADED_IMAGE_PATCH_PATH_TOO_LONG"),
        (vec![Set("UpgradedImages", "New", "Family", "notepad")], "BAD_UPGRADED_IMAGE_FAMILY"),
        (
            vec![Remove("TargetImages", "Old")],
            "-INVALID_PCP_UPGRADEDIMAGES NO_UPGRADED_IMAGES_TO_PATCH INVALID_PCP_TARGETIMAGES",
        ),
        (vec![Add("TargetImages", &["Fourteen_chars", "x", "", "New", "2"])], "TARGET_IMAGE_NAME_TOO_LONG"),
        (vec![Add("TargetImages", &["a/b", "x", "", "New", "2"])], "BAD_TARGET_IMAGE_NAME"),
        (vec![Add("TargetImages", &["OLD", "x", "", "New", "2"])], "DUP_TARGET_IMAGE_NAME"),
        (vec![Add("TargetImages", &["Older", "x", "", "New", "1"])], "-INVALID_PCP_TARGETIMAGES"),
        (vec![Set("TargetImages", "Old", "MsiPath", "")], "TARGET_IMAGE_PATH_EMPTY"),
        (vec![Set("TargetImages", "Old", "MsiPath", LONG)], "TARGET_IMAGE_PATH_TOO_LONG"),
        (
            vec![Set("TargetImages", "Old", "Upgraded", "new")],
            "-INVALID_PCP_UPGRADEDIMAGES NO_UPGRADED_IMAGES_TO_PATCH BAD_TARGET_IMAGE_UPGRADED",
        ),
        (vec![Set("TargetImages", "Old", "ProductValidateFlags", "922")], "TARGET_BAD_PROD_VALIDATE"),
        (vec![Set("TargetImages", "Old", "ProductValidateFlags", "0x00001922")], "TARGET_BAD_PROD_VALIDATE"),
        (vec![Set("TargetImages", "Old", "ProductValidateFlags", "0x00000932")], "TARGET_BAD_PROD_VALIDATE"),
        (vec![Set("TargetImages", "Old", "ProductValidateFlags", "0x00000902")], "-INVALID_TRANSFORM_VALIDATION"),
        (
            vec![Add("Properties", &["TrustMsi", "1"]), Set("TargetImages", "Old", "IgnoreMissingSrcFiles", "1")],
            "-INVALID_PCP_TARGETIMAGES",
        ),
        // Files.
        (vec![Add("UpgradedFilesToIgnore", &["*", "app*"])], ""),
        (vec![Add("UpgradedFilesToIgnore", &["Nix", "app"])], "UFILEIGNORE_BAD_UPGRADED_FIELD"),
        (vec![Add("UpgradedFilesToIgnore", &["New", "a*b"])], "UFILEIGNORE_BAD_FILE_TABLE_KEY"),
        (vec![Add("UpgradedFilesToIgnore", &["New", ""])], "UFILEIGNORE_BLANK_FILE_TABLE_KEY"),
        (vec![Add("UpgradedFilesToIgnore", &["New", LONG])], "UFILEIGNORE_LONG_FILE_TABLE_KEY"),
        (vec![Add("UpgradedFiles_OptionalData", &["Nix", "app"])], "UFILEDATA_BAD_UPGRADED_FIELD"),
        (vec![Add("UpgradedFiles_OptionalData", &["New", ""])], "UFILEDATA_BLANK_FILE_TABLE_KEY"),
        (vec![Add("UpgradedFiles_OptionalData", &["New", LONG])], "UFILEDATA_LONG_FILE_TABLE_KEY"),
        (vec![Add("UpgradedFiles_OptionalData", &["New", "app", "", "2"])], "INVALID_PCP_UPGRADEDFILES_OPTIONALDATA"),
        (
            vec![
                Add("UpgradedImages", &["New2", "x", "", "", F]),
                Add("TargetImages", &["Old2", "x", "", "New2", "1"]),
                Add("UpgradedFiles_OptionalData", &["New", "app", "", "", "1"]),
                Add("UpgradedFiles_OptionalData", &["New2", "app"]),
            ],
            "INVALID_PCP_UPGRADEDFILES_OPTIONALDATA",
        ),
        (vec![Add("TargetFiles_OptionalData", &["Old", "app", "", "0x10,32", "4,4"])], ""),
        (vec![Add("TargetFiles_OptionalData", &["Nix", "app"])], "TFILEDATA_BAD_TARGET_FIELD"),
        (vec![Add("TargetFiles_OptionalData", &["Old", ""])], "TFILEDATA_BLANK_FILE_TABLE_KEY"),
        (vec![Add("TargetFiles_OptionalData", &["Old", LONG])], "TFILEDATA_LONG_FILE_TABLE_KEY"),
        (
            vec![Add("TargetFiles_OptionalData", &["Old", "app", "", "1,", "0xg", "-1"])],
            "TFILEDATA_BAD_IGNORE_OFFSETS TFILEDATA_BAD_IGNORE_LENGTHS TFILEDATA_BAD_RETAIN_OFFSETS",
        ),
        (vec![Add("TargetFiles_OptionalData", &["Old", "app", "", "1,5", "2"])], "TFILEDATA_IGNORE_COUNT_MISMATCH"),
        (vec![Add("TargetFiles_OptionalData", &["Old", "app", "", "1", "2", "7"])], "TFILEDATA_RETAIN_COUNT_MISMATCH"),
        (vec![Add("TargetFiles_OptionalData", &["Old", "app", "", "8,1", "2,8"])], "INVALID_RANGE_ELEMENT"),
        (vec![Add("TargetFiles_OptionalData", &["Old", "app", "", "4294967295", "2"])], "INVALID_RANGE_ELEMENT"),
        (vec![Add("TargetFiles_OptionalData", &["Old", "app", "", "9", "0"])], "-INVALID_RANGE_ELEMENT"),
        (
            vec![Add("TargetFiles_OptionalData", &["Old", "app", "", LONG_LIST, "1"])],
            "TFILEDATA_LONG_IGNORE_OFFSETS TFILEDATA_IGNORE_COUNT_MISMATCH",
        ),
        (
            vec![
                Add("FamilyFileRanges", &[F, "app", "0x10", "8"]),
                Add("TargetFiles_OptionalData", &["Old", "app", "", "", "", "5"]),
            ],
            "",
        ),
        (
            vec![
                Add("FamilyFileRanges", &[F, "app", "16,64", "8,8"]),
                Add("TargetFiles_OptionalData", &["Old", "app", "", "", "", "5,9"]),
            ],
            "INVALID_RANGE_ELEMENT",
        ),
        (
            vec![Add("FamilyFileRanges", &["Family_09", "app", "0", "1"])],
            "FAMILY_RANGE_NAME_TOO_LONG BAD_FAMILY_RANGE_NAME",
        ),
        (vec![Add("FamilyFileRanges", &[F, "", "0", "1"])], "FAMILY_RANGE_BLANK_FILE_TABLE_KEY"),
        (vec![Add("FamilyFileRanges", &[F, LONG, "0", "1"])], "FAMILY_RANGE_LONG_FILE_TABLE_KEY"),
        (
            vec![Add("FamilyFileRanges", &[F, "app", "", ""])],
            "FAMILY_RANGE_BLANK_RETAIN_OFFSETS FAMILY_RANGE_BLANK_RETAIN_LENGTHS",
        ),
        (
            vec![Add("FamilyFileRanges", &[F, "app", "x", "y"])],
            "FAMILY_RANGE_BAD_RETAIN_OFFSETS FAMILY_RANGE_BAD_RETAIN_LENGTHS",
        ),
        (
            vec![Add("FamilyFileRanges", &[F, "app", LONG_LIST, "1"])],
            "FAMILY_RANGE_LONG_RETAIN_OFFSETS FAMILY_RANGE_COUNT_MISMATCH",
        ),
        (
            vec![Add("FamilyFileRanges", &[F, "app", "9", LONG_LIST])],
            "FAMILY_RANGE_LONG_RETAIN_LENGTHS FAMILY_RANGE_COUNT_MISMATCH -INVALID_RANGE_ELEMENT",
        ),
        (vec![Add("FamilyFileRanges", &[F, "app", "1,2", "1"])], "FAMILY_RANGE_COUNT_MISMATCH"),
        (vec![Add("ExternalFiles", &[F, "app", "old/app"])], ""),
        (
            vec![Add("ExternalFiles", &[F, "app", "x", "", LONG_LIST, "", LONG_LIST])],
            "EXTFILE_LONG_IGNORE_OFFSETS EXTFILE_IGNORE_COUNT_MISMATCH EXTFILE_LONG_RETAIN_OFFSETS EXTFILE_RETAIN_COUNT_MISMATCH",
        ),
        (
            vec![Add("TargetFiles_OptionalData", &["Old", "app", "", "1", LONG_LIST, LONG_LIST])],
            "TFILEDATA_LONG_IGNORE_LENGTHS TFILEDATA_IGNORE_COUNT_MISMATCH -INVALID_RANGE_ELEMENT TFILEDATA_LONG_RETAIN_OFFSETS TFILEDATA_RETAIN_COUNT_MISMATCH",
        ),
        (vec![Add("ExternalFiles", &["Nix", "app", "old/app"])], "EXTFILE_BAD_FAMILY_FIELD"),
        (
            vec![
                Add("FamilyFileRanges", &[F, "app", "16,64", "8,8"]),
                Add("TargetFiles_OptionalData", &["Old", "app", "", "0,70", "16,8", "32,71"]),
            ],
            "-INVALID_RANGE_ELEMENT",
        ),
        (
            vec![
                Add("FamilyFileRanges", &[F, "app", "16", "8"]),
                Add("ExternalFiles", &[F, "app", "x", "", "30,40", "2,9", "32"]),
            ],
            "",
        ),
        (
            vec![
                Add("FamilyFileRanges", &[F, "app", "16", "8"]),
                Add("ExternalFiles", &[F, "app", "x", "", "30,39", "3,9", "32"]),
            ],
            "-INVALID_RANGE_ELEMENT -INVALID_RANGE_ELEMENT",
        ),
        (
            vec![
                Add("FamilyFileRanges", &[F, "app", "16", "8"]),
                Add("UpgradedFiles_OptionalData", &["New", "app", "", "", "1"]),
            ],
            "INVALID_PCP_FAMILYFILERANGES",
        ),
        (
            vec![Add("FamilyFileRanges", &[F, "app", "16", "8"]), property("IncludeWholeFilesOnly", "1")],
            "INVALID_PCP_FAMILYFILERANGES",
        ),
        (vec![Add("ExternalFiles", &[F, "", ""])], "EXTFILE_BLANK_FILE_TABLE_KEY EXTFILE_BLANK_PATH_TO_FILE"),
        (vec![Add("ExternalFiles", &[F, LONG, LONG])], "EXTFILE_LONG_FILE_TABLE_KEY EXTFILE_LONG_PATH_TO_FILE"),
        (
            vec![Add("ExternalFiles", &[F, "app", "x", "", "a", "b", "c"])],
            "EXTFILE_BAD_IGNORE_OFFSETS EXTFILE_BAD_IGNORE_LENGTHS EXTFILE_BAD_RETAIN_OFFSETS",
        ),
        (
            vec![Add("ExternalFiles", &[F, "app", "x", "", "1", "", "3"])],
            "EXTFILE_IGNORE_COUNT_MISMATCH EXTFILE_RETAIN_COUNT_MISMATCH",
        ),
        (
            vec![Add("ExternalFiles", &[F, "app", "x", "", "1", LONG_LIST])],
            "EXTFILE_LONG_IGNORE_LENGTHS EXTFILE_IGNORE_COUNT_MISMATCH -INVALID_RANGE_ELEMENT",
        ),
        // PatchMetadata and PatchSequence.
        (vec![Drop("PatchMetadata"), property("MinimumRequiredMsiVersion", "300")], "MISSING_PATCHMETADATA"),
        (vec![Drop("PatchMetadata")], "-MISSING_PATCHMETADATA"),
        (vec![Drop("PatchMetadata"), property("MinimumRequiredMsiVersion", "200")], ""),
        (vec![Remove("PatchMetadata", ", MoreInfoURL")], "PATCHMETADATA_PROP_NOT_SET"),
        (
            vec![Remove("PatchMetadata", ", MoreInfoURL"), property("MinimumRequiredMsiVersion", "200")],
            "-PATCHPROPERTYNOTSET",
        ),
        (vec![Set("PatchMetadata", ", AllowRemoval", "Value", "maybe")], "INVALID_PATCHMETADATA_PROP"),
        (vec![Set("PatchMetadata", ", Description", "Value", "")], "INVALID_PATCHMETADATA_PROP"),
        (vec![Add("PatchMetadata", &["", "Mine", "x"])], "WRONG_PATCHMETADATA_STRD_PROP"),
        (
            vec![
                Add("PatchMetadata", &["Example", "Mine", "x"]),
                Add("PatchMetadata", &["", "CreationTimeUTC", "11-20-26 15:04"]),
            ],
            "",
        ),
        (vec![Add("PatchMetadata", &["", "CreationTimeUTC", "2026-11-20"])], "INVALID_PATCHMETADATA_PROP"),
        (vec![Add("PatchMetadata", &["", "OptimizeCA", "8"])], "INVALID_PATCHMETADATA_PROP"),
        (vec![Add("PatchSequence", &["F", "Old", "1.2.3.65535", "1"]), Add("PatchSequence", &["F", GUID])], ""),
        (vec![Add("PatchSequence", &["F"]), Remove("PatchSequence", "F, ")], "-INVALID_PCP_PATCHSEQUENCE"),
        (
            vec![Add("PatchSequence", &["a b", "Nix", "1.2.3.4.5", "2"])],
            "INVALID_PCP_PATCHSEQUENCE SEQUENCING_BAD_TARGET BAD_SEQUENCE INVALID_SUPERCEDENCE",
        ),
        (vec![Add("PatchSequence", &["", "", "65536"])], "NULL_PATCHFAMILY BAD_SEQUENCE"),
    ]
}

#[test]
fn every_fault_has_its_code() {
    let mut wrong = String::new();
    for (number, (changes, expect)) in rows().iter().enumerate() {
        let made = codes(&found(changes)).join(" ");
        if made != *expect {
            wrong += &format!("row {number}:\n  expected {expect}\n  found    {made}\n");
        }
    }
    assert_eq!(wrong, "");
}

#[test]
fn a_delta_has_only_so_many_old_versions() {
    let mut database = sound();
    let table = table(&mut database, "ExternalFiles");
    for number in 0..256 {
        let mut row = vec![text(F), text("app"), text(&format!("{number}"))];
        row.resize(table.columns.len(), Value::Null);
        table.rows.push(row);
    }
    assert_eq!(codes(&check(&Pcp::read(&database))), ["CANT_CREATE_ONE_PATCH_FILE"]);
    database.tables.iter_mut().find(|table| table.name == "ExternalFiles").unwrap().rows.pop();
    assert_eq!(check(&Pcp::read(&database)), []);
}

/// Every code that the table says `check` gives comes in a row of these tests, and only those do.
#[test]
fn the_table_of_codes_says_which_come() {
    let expected = rows().into_iter().map(|(_, codes)| codes).chain(crate::check_images::expected());
    let expected = expected.chain(["CANT_CREATE_ONE_PATCH_FILE"]);
    let given: BTreeSet<&str> =
        expected.flat_map(str::split_whitespace).map(|code| code.trim_start_matches(['-', '~'])).collect();
    let short = |code: Code| code.name.trim_start_matches("ERROR_PCW_").trim_start_matches("WARN_");
    let table = patchwright_msi::code::table();
    let checked: BTreeSet<&str> =
        table.iter().filter(|entry| entry.usage == Use::Check).map(|entry| short(entry.code)).collect();
    assert_eq!(given.difference(&checked).collect::<Vec<_>>(), Vec::<&&str>::new(), "given, and not in the table");
    assert_eq!(checked.difference(&given).collect::<Vec<_>>(), Vec::<&&str>::new(), "in the table, and not given");
    // All of the header is there, once.
    let offsets = |base: u32| -> Vec<u32> {
        let numbers = table.iter().map(|entry| entry.code.number);
        numbers.filter(|number| number & 0xffff_0000 == base & 0xffff_0000).map(|number| number - base).collect()
    };
    assert_eq!(offsets(0xC00E_5101), (0..0xa0).chain(0x100..0x118).collect::<Vec<_>>());
    assert_eq!(offsets(0xC010_5101), (0..11).chain(0x10..0x13).collect::<Vec<_>>());
    assert_eq!(offsets(0xC00F_5101), (0..11).chain(0x10..0x17).collect::<Vec<_>>());
}

/// The page of codes in the guide is made from the table.
#[test]
fn the_page_of_codes_is_the_table() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/patchwiz-codes.md");
    let mut page = "\
# Codes of PATCHWIZ

What `PatchWiz.h` and the documentation of `UiCreatePatchPackageEx` list, and what becomes of each here. This page is made from
`crates/patchwright-msi/src/code.rs`; a test compares the two.

- **check**: `patchwright pcp check` gives it, and so does a build, which checks first.
- **build**: making the patch gives it.
- all others: nothing gives it, for the reason that stands there.

| number | name | meaning | here |
|---|---|---|---|
"
    .to_owned();
    for entry in patchwright_msi::code::table() {
        let here = match entry.usage {
            Use::Check => "**check**",
            Use::Build => "**build**",
            Use::Never(why) => why,
        };
        page += &format!("| 0x{:08X} | `{}` | {} | {here} |\n", entry.code.number, entry.code.name, entry.meaning);
    }
    if std::env::var_os("PATCHWRIGHT_BLESS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    assert!(std::fs::read_to_string(path).unwrap_or_default() == page, "cargo xtask bless writes it anew");
}

/// Faults of many tables come in one go, twice the same, and say where they are and what to do.
#[test]
fn findings_come_all_at_once() {
    let changes = [
        Set("Properties", "PatchGUID", "Value", "x"),
        Set("UpgradedImages", "New", "MsiPath", ""),
        Add("TargetFiles_OptionalData", &["Nix", "app"]),
        Add("PatchMetadata", &["", "Mine", "x"]),
    ];
    let findings = found(&changes);
    assert_eq!(findings, found(&changes));
    let places: Vec<_> = findings.iter().map(|found| (found.table, found.row.as_deref(), found.column)).collect();
    assert_eq!(
        places,
        [
            ("Properties", Some("PatchGUID"), Some("Value")),
            ("UpgradedImages", Some("New"), Some("MsiPath")),
            ("TargetFiles_OptionalData", Some("Nix, app"), Some("Target")),
            ("PatchMetadata", Some(", Mine"), Some("Property")),
        ]
    );
    assert_eq!(findings[0].code.number, 0xC00E_5108);
    assert_eq!(findings[0].code.name, "ERROR_PCW_BAD_PATCH_GUID");
    assert!(findings.iter().all(|found| !found.hint.is_empty() && !found.message.is_empty()));
}
