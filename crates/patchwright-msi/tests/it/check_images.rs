//! Each fault of an image as a row: what is changed in a sound `.pcp` and its images, and the codes that must come.

use patchwright_msi::check::{Options, Retain, Severity, check_all};
use patchwright_msi::database::Property;

use crate::GUID;
use crate::check::{Add, Change, Drop, DropColumn, Remove, Set, change, codes};
use crate::world::{World, installer};

const F: &str = "NotePad";
const OLD: &str = "1.0/app.msi";
const NEW: &str = "1.1/app.msi";
const THIRD: &str = "0.9/app.msi";

/// What is changed, and where.
enum In {
    Pcp(Vec<Change>),
    Old(Vec<Change>),
    New(Vec<Change>),
    /// Content of a file; `None` takes it away.
    File(&'static str, &'static str, Option<&'static str>),
    /// A third image, an older one, whose version is given.
    Older(&'static str),
    PackageCode(&'static str, &'static str),
    WordCount(&'static str, i32),
    Other(&'static str, &'static str),
}
use In::{File, New, Old, Older, Other, PackageCode, Pcp, WordCount};

fn made(changes: &[In]) -> World {
    let mut world = World::sound();
    for item in changes {
        match item {
            Pcp(changes) => change(&mut world.pcp, changes),
            Old(changes) => change(world.installer(OLD), changes),
            New(changes) => change(world.installer(NEW), changes),
            File(image, path, bytes) => {
                let files = &mut world.folder(image).files;
                match bytes {
                    Some(bytes) => files.insert((*path).to_owned(), bytes.as_bytes().to_vec()),
                    None => files.remove(*path),
                };
            }
            Older(version) => {
                let older = installer(version, "{00000000-0000-0000-0000-0000000000A0}");
                world.installers.insert(THIRD, (older, crate::world::folder("older ap")));
                change(&mut world.pcp, &[Add("TargetImages", &["Older", THIRD, "", "New", "0", "0x00000922", "0"])]);
            }
            PackageCode(image, code) => {
                world.installer(image).summary.properties.insert(9, Property::Text((*code).to_owned()));
            }
            WordCount(image, word) => {
                world.installer(image).summary.properties.insert(15, Property::I4(*word));
            }
            Other(path, bytes) => {
                world.others.insert(path, bytes.as_bytes().to_vec());
            }
        }
    }
    world
}

const APP: &str = "Programs/Note Pad/Application.exe";
const LIB: &str = "Programs/Note Pad/lib.dll";
const HELP: &str = "Programs/Note Pad/Help Files/help.txt";

#[allow(clippy::too_many_lines)]
fn rows() -> Vec<(Vec<In>, &'static str)> {
    let property = |name, value| Set("Properties", name, "Value", value);
    let set = |property, value| vec![Set("Property", property, "Value", value)];
    let upgraded = |column, value| vec![Pcp(vec![Set("UpgradedImages", "New", column, value)])];
    let target = |column, value| vec![Pcp(vec![Set("TargetImages", "Old", column, value)])];
    let version = |value| {
        vec![Old(vec![Set("File", "app", "Version", "1.0.0.5")]), New(vec![Set("File", "app", "Version", value)])]
    };
    let trust = || Pcp(vec![Add("Properties", &["TrustMsi", "1"])]);
    let hash = |part| vec![Add("MsiFileHash", part)];
    let second_family = |start| {
        Pcp(vec![
            Set("ImageFamilies", F, "FileSequenceStart", "100"),
            Add("ImageFamilies", start),
            Add("UpgradedImages", &["New2", NEW, "", "", "Two"]),
            Add("TargetImages", &["Old2", OLD, "", "New2", "1", "0x00000922", "0"]),
        ])
    };
    vec![
        (vec![], ""),
        // Paths.
        (upgraded("MsiPath", "none.msi"), "UPGRADED_IMAGE_PATH_NOT_EXIST"),
        (upgraded("MsiPath", r"C:\none.msi"), "IMAGE_PATH_NOT_EXIST"),
        (upgraded("MsiPath", r"%ROOT%\none.msi"), "FAILED_EXPAND_PATH"),
        (
            vec![Other("text", "x"), Pcp(vec![Set("UpgradedImages", "New", "MsiPath", "text")])],
            "UPGRADED_IMAGE_PATH_NOT_MSI",
        ),
        (upgraded("PatchMsiPath", "none.msi"), "UPGRADED_IMAGE_PATCH_PATH_NOT_EXIST"),
        (
            vec![Other("text", "x"), Pcp(vec![Set("UpgradedImages", "New", "PatchMsiPath", "text")])],
            "UPGRADED_IMAGE_PATCH_PATH_NOT_MSI",
        ),
        (upgraded("PatchMsiPath", OLD), ""),
        (target("MsiPath", "none.msi"), "TARGET_IMAGE_PATH_NOT_EXIST"),
        (
            vec![Other("text", "x"), Pcp(vec![Set("TargetImages", "Old", "MsiPath", "text")])],
            "TARGET_IMAGE_PATH_NOT_MSI",
        ),
        (vec![Pcp(vec![Add("ExternalFiles", &[F, "app", "none"])])], "EXTFILE_MISSING_FILE"),
        // Tables of an image.
        (vec![New(vec![Drop("Directory")])], "MISSING_DIRECTORY_TABLE UPGRADED_MISSING_SRC_FILES"),
        (
            vec![New(vec![DropColumn("File", "Sequence")])],
            "UPGRADED_IMAGE_PATH_NOT_MSI CANT_GENERATE_TRANSFORM -BAD_TGT_UPD_IMAGES",
        ),
        (vec![Old(vec![Set("File", "app", "FileSize", "-1")])], "TARGET_IMAGE_PATH_NOT_MSI -BAD_TGT_UPD_IMAGES"),
        // Files.
        (vec![File(NEW, APP, None), File(NEW, HELP, None)], "UPGRADED_MISSING_SRC_FILES"),
        (vec![File(OLD, LIB, None)], "TARGET_MISSING_SRC_FILES"),
        (
            vec![File(OLD, LIB, None), Pcp(vec![Set("TargetImages", "Old", "IgnoreMissingSrcFiles", "1")])],
            "~TARGET_MISSING_SRC_FILES",
        ),
        (vec![File(OLD, LIB, None), trust()], ""),
        (vec![Old(vec![Set("File", "lib", "Component_", "Nix")])], "TARGET_MISSING_SRC_FILES -BAD_TGT_UPD_IMAGES"),
        (vec![New(vec![Set("Directory", "Help", "DefaultDir", "..")])], "UPGRADED_MISSING_SRC_FILES"),
        (vec![New(vec![Set("Directory", "Programs", "Directory_Parent", "Help")])], "UPGRADED_MISSING_SRC_FILES"),
        (
            vec![New(vec![Set("File", "lib", "FileName", "../lib.dll")])],
            "UPGRADED_MISSING_SRC_FILES -BAD_TGT_UPD_IMAGES",
        ),
        (
            vec![
                File(NEW, LIB, None),
                File(NEW, "Programs/Note Pad/LIB.dll", Some("lib.")),
                File(NEW, "Programs/Note Pad/Lib.dll", Some("lib.")),
            ],
            "UPGRADED_MISSING_SRC_FILES",
        ),
        (vec![WordCount(NEW, 2)], "~UPGRADED_IMAGE_COMPRESSED UPGRADED_MISSING_SRC_FILES"),
        (
            vec![WordCount(OLD, 2), Old(vec![Set("Media", "1", "Cabinet", "#cab")])],
            "~TARGET_IMAGE_COMPRESSED TARGET_MISSING_SRC_FILES",
        ),
        (
            vec![Old(vec![Set("File", "lib", "Attributes", "16384")])],
            "~TARGET_IMAGE_COMPRESSED TARGET_MISSING_SRC_FILES",
        ),
        (vec![WordCount(OLD, 6)], ""),
        (
            vec![
                WordCount(NEW, 2),
                New(vec![Set("Media", "1", "Cabinet", "bad.cab")]),
                File(NEW, "bad.cab", Some("no cabinet")),
            ],
            "~UPGRADED_IMAGE_COMPRESSED CANT_READ_FILE",
        ),
        // Products.
        (
            vec![New(set("ProductCode", "none"))],
            "BAD_UPGRADED_IMAGE_PRODUCT_CODE MISMATCHED_PRODUCT_CODES -CANT_GENERATE_SEQUENCEINFO_MAJORUPGD",
        ),
        (vec![New(set("ProductVersion", "1.256.0"))], "BAD_UPGRADED_IMAGE_PRODUCT_VERSION"),
        (vec![New(set("UpgradeCode", "{x}"))], "BAD_UPGRADED_IMAGE_UPGRADE_CODE"),
        (
            vec![Old(vec![Remove("Property", "ProductCode")])],
            "BAD_TARGET_IMAGE_PRODUCT_CODE -CANT_GENERATE_SEQUENCEINFO_MAJORUPGD",
        ),
        (vec![Old(set("ProductVersion", "one"))], "BAD_TARGET_IMAGE_PRODUCT_VERSION"),
        (vec![Old(vec![Remove("Property", "UpgradeCode")])], "BAD_TARGET_IMAGE_UPGRADE_CODE"),
        (
            vec![
                Old(vec![Remove("Property", "UpgradeCode")]),
                Pcp(vec![Set("TargetImages", "Old", "ProductValidateFlags", "0x00000122")]),
            ],
            "-BAD_TARGET_IMAGE_UPGRADE_CODE",
        ),
        (vec![PackageCode(NEW, "{00000000-0000-0000-0000-0000000000a1}")], "-DUP_UPGRADED_IMAGE_PACKCODE"),
        (vec![Older("1.0.1"), PackageCode(OLD, "{00000000-0000-0000-0000-0000000000A0}")], "DUP_TARGET_IMAGE_PACKCODE"),
        (
            vec![Pcp(vec![
                Add("UpgradedImages", &["New2", NEW, "", "", F]),
                Add("TargetImages", &["Old2", OLD, "", "New2", "1", "0x00000922", "0"]),
            ])],
            "DUP_UPGRADED_IMAGE_PACKCODE DUP_TARGET_IMAGE_PACKCODE",
        ),
        (vec![New(set("ProductCode", GUID))], "MISMATCHED_PRODUCT_CODES -CANT_GENERATE_SEQUENCEINFO_MAJORUPGD"),
        (
            vec![
                New(set("ProductCode", GUID)),
                Pcp(vec![property("AllowProductCodeMismatches", "1"), Add("PatchSequence", &["F"])]),
            ],
            "-PCW_MISMATCHED_PRODUCT_CODES ~MAJOR_UPGRADE_PATCH -INVALID_PATCH_TYPE_SEQUENCING",
        ),
        (
            vec![
                New(vec![
                    Set("Property", "ProductCode", "Value", GUID),
                    Set("Property", "ProductVersion", "Value", "1.0.0.9"),
                ]),
                Pcp(vec![property("AllowProductCodeMismatches", "1")]),
            ],
            "-PCW_MISMATCHED_PRODUCT_CODES ~MAJOR_UPGRADE_PATCH MATCHED_PRODUCT_VERSIONS -CANT_GENERATE_SEQUENCEINFO_MAJORUPGD",
        ),
        (vec![New(set("ProductVersion", "2.0.0"))], "MISMATCHED_PRODUCT_VERSIONS"),
        (
            vec![New(set("ProductVersion", "2.0.0")), Pcp(vec![property("AllowProductVersionMajorMismatches", "1")])],
            "-INVALID_MAJOR_VERSION",
        ),
        (
            vec![
                New(vec![
                    Set("Property", "ProductCode", "Value", GUID),
                    Set("Property", "ProductVersion", "Value", "2.0.0"),
                ]),
                Pcp(vec![
                    property("AllowProductCodeMismatches", "1"),
                    property("AllowProductVersionMajorMismatches", "1"),
                ]),
            ],
            "-PCW_MISMATCHED_PRODUCT_CODES ~MAJOR_UPGRADE_PATCH -PCW_MISMATCHED_PRODUCT_VERSIONS -CANT_GENERATE_SEQUENCEINFO_MAJORUPGD",
        ),
        // Validation.
        (target("ProductValidateFlags", "0x00000120"), "LAX_VALIDATION_FLAGS"),
        (
            vec![Pcp(vec![
                Set("TargetImages", "Old", "ProductValidateFlags", "0x00000120"),
                Add("Properties", &["AllowLaxValidationFlags", "1"]),
            ])],
            "-IMPROPER_TRANSFORM_VALIDATION",
        ),
        (target("ProductValidateFlags", "0x00000862"), "TARGET_WRONG_PRODUCT_VERSION_COMP"),
        (target("ProductValidateFlags", "0x000008a2"), ""),
        (vec![Pcp(vec![property("ListOfTargetProductCodes", GUID)])], "TARGET_BAD_PROD_CODE_VAL"),
        (vec![Older("0.9.0")], "MISMATCHED_PRODUCT_VERSIONS"),
        (vec![Older("1.0.1")], ""),
        (
            vec![Older("1.0.1"), Pcp(vec![Set("TargetImages", "Old", "ProductValidateFlags", "0x00000802")])],
            "-BAD_PRODUCTVERSION_VALIDATION",
        ),
        // Sequence.
        (
            vec![Pcp(vec![
                Add("PatchSequence", &["F", "Old"]),
                Add("PatchSequence", &["F", "{11111111-2222-3333-4444-555555555555}"]),
            ])],
            "DUPLICATE_SEQUENCE_RECORD",
        ),
        (vec![Pcp(vec![Add("PatchSequence", &["F", "Old"]), Add("PatchSequence", &["F"])])], ""),
        // Keys.
        (vec![Pcp(vec![Add("UpgradedFilesToIgnore", &["*", "li*"])])], ""),
        (vec![Pcp(vec![Add("UpgradedFilesToIgnore", &["New", "Lib"])])], "-UFILEIGNORE_BAD_FILE_TABLE_KEY"),
        (vec![Pcp(vec![Add("UpgradedFiles_OptionalData", &["New", "App"])])], "UFILEDATA_MISSING_FILE_TABLE_KEY"),
        (vec![Pcp(vec![Add("TargetFiles_OptionalData", &["Old", "nix"])])], "TFILEDATA_MISSING_FILE_TABLE_KEY"),
        (vec![Pcp(vec![Add("FamilyFileRanges", &[F, "nix", "0", "1"])])], "INVALID_PCP_FAMILYFILERANGES"),
        (vec![Other("x", "old"), Pcp(vec![Add("ExternalFiles", &[F, "nix", "x"])])], "INVALID_PCP_EXTERNALFILES"),
        // Ranges: files have 8 bytes.
        (vec![Pcp(vec![Add("TargetFiles_OptionalData", &["Old", "app", "", "4", "4"])])], ""),
        (vec![Pcp(vec![Add("TargetFiles_OptionalData", &["Old", "app", "", "4", "5"])])], "INVALID_RANGE_ELEMENT"),
        (
            vec![Pcp(vec![
                Add("FamilyFileRanges", &[F, "app", "6", "2"]),
                Add("TargetFiles_OptionalData", &["Old", "app", "", "", "", "0"]),
            ])],
            "",
        ),
        (
            vec![Pcp(vec![
                Add("FamilyFileRanges", &[F, "app", "7", "2"]),
                Add("TargetFiles_OptionalData", &["Old", "app", "", "", "", "7"]),
            ])],
            "INVALID_RANGE_ELEMENT INVALID_RANGE_ELEMENT",
        ),
        (
            vec![Other("x", "old app"), Pcp(vec![Add("ExternalFiles", &[F, "app", "x", "", "6,7", "1,1"])])],
            "INVALID_RANGE_ELEMENT",
        ),
        (vec![Pcp(vec![Add("FamilyFileRanges", &[F, "app", "6", "2"])])], "TFILEDATA_RETAIN_COUNT_MISMATCH"),
        // Versions.
        ([vec![trust()], version("1.0.0.6")].into_iter().flatten().collect(), ""),
        ([vec![trust()], version("1.0.0.4")].into_iter().flatten().collect(), "-FILE_VERSION_DOWNREV"),
        (
            [
                vec![
                    trust(),
                    Old(hash(&["app", "0", "1", "2", "3", "4"])),
                    New(hash(&["app", "0", "1", "2", "3", "5"])),
                ],
                version("1.0.0.4"),
            ]
            .into_iter()
            .flatten()
            .collect(),
            "-FILE_VERSION_DOWNREV",
        ),
        (
            [
                vec![
                    trust(),
                    Old(hash(&["app", "0", "1", "2", "3", "4"])),
                    New(hash(&["app", "0", "1", "2", "3", "5"])),
                ],
                version("1.0.0.5"),
            ]
            .into_iter()
            .flatten()
            .collect(),
            "-EQUAL_FILE_VERSION",
        ),
        // Layout.
        (
            vec![New(vec![Remove("File", "lib"), Add("File", &["Lib", "Main", "lib.dll", "4", "", "", "", "2"])])],
            "BAD_TGT_UPD_IMAGES -BAD_TGT_UPD_IMAGES",
        ),
        (
            vec![New(vec![Remove("File", "lib"), Add("File", &["lib2", "Main", "LIB.DLL", "4", "", "", "", "4"])])],
            "-BAD_TGT_UPD_IMAGES",
        ),
        (vec![New(vec![Add("File", &["new", "Main", "lib.dll", "4", "", "", "", "4"])])], ""),
        (vec![New(vec![Add("File", &["new", "Main", "lib.dll", "4", "", "", "", "3"])])], "-BAD_TGT_UPD_IMAGES"),
        (
            vec![
                New(vec![Set("File", "lib", "Component_", "Docs")]),
                File(NEW, "Programs/Note Pad/Help Files/lib.dll", Some("lib.")),
            ],
            "-BAD_TGT_UPD_IMAGES",
        ),
        (
            vec![New(vec![Set("File", "lib", "Sequence", "3"), Set("File", "help", "Sequence", "2")])],
            "-BAD_TGT_UPD_IMAGES",
        ),
        (
            vec![Old(vec![Add("File", &["APP", "Main", "Application.exe", "8", "", "", "", "4"])])],
            "-BAD_TGT_UPD_IMAGES",
        ),
        (vec![Old(vec![DropColumn("Media", "Source")])], ""),
        (vec![New(vec![DropColumn("Media", "Source")])], "CANT_GENERATE_TRANSFORM"),
        (
            vec![
                Pcp(vec![
                    Add("UpgradedImages", &["New2", THIRD, "", "", F]),
                    Set("TargetImages", "Old", "Upgraded", "New2"),
                    Add("TargetImages", &["Old2", "1.0/other.msi", "", "New", "1", "0x00000922", "0"]),
                ]),
                In::Older("1.0.1"),
                Pcp(vec![Remove("TargetImages", "Older")]),
            ],
            "BAD_TGT_UPD_IMAGES TARGET_IMAGE_PATH_NOT_EXIST",
        ),
        // Numbers.
        (vec![Pcp(vec![Set("ImageFamilies", F, "MediaDiskId", "1")])], "BAD_IMAGE_FAMILY_DISKID"),
        (vec![Pcp(vec![Set("ImageFamilies", F, "MediaDiskId", "2")])], ""),
        (vec![Pcp(vec![Set("ImageFamilies", F, "FileSequenceStart", "3")])], "BAD_FILE_SEQUENCE_START"),
        (vec![Pcp(vec![Set("ImageFamilies", F, "FileSequenceStart", "4")])], ""),
        (
            vec![second_family(&["Two", "", "", "102"])],
            "-BAD_IMAGE_FAMILY_FILESEQSTART DUP_UPGRADED_IMAGE_PACKCODE DUP_TARGET_IMAGE_PACKCODE",
        ),
        (vec![second_family(&["Two", "", "", "103"])], "DUP_UPGRADED_IMAGE_PACKCODE DUP_TARGET_IMAGE_PACKCODE"),
    ]
}

/// What the rows expect, for a test of all codes.
pub(crate) fn expected() -> impl Iterator<Item = &'static str> {
    rows().into_iter().map(|(_, codes)| codes)
}

#[test]
fn every_fault_has_its_code() {
    let mut wrong = String::new();
    for (number, (changes, expect)) in rows().iter().enumerate() {
        let (pcp, images) = made(changes).open();
        let findings = check_all(&pcp, &images, Options::default());
        let found = codes(&findings).join(" ");
        if found != *expect {
            wrong += &format!("row {number}:\n  expected {expect}\n  found    {found}\n");
            wrong += &findings
                .iter()
                .map(|found| format!("    {}: {} {:?}\n", found.table, found.message, found.details))
                .collect::<String>();
        }
    }
    assert_eq!(wrong, "");
}

#[test]
fn strict_refuses_what_patchwiz_refuses() {
    let (pcp, images) = made(&[WordCount(OLD, 2), Old(vec![Set("Media", "1", "Cabinet", "#cab")])]).open();
    let findings = check_all(&pcp, &images, Options { strict: true, ..Options::default() });
    let severity = findings.iter().find(|found| found.code.name.ends_with("TARGET_IMAGE_COMPRESSED")).unwrap().severity;
    assert_eq!(severity, Severity::Error);
}

/// What a build is told to do with retained ranges decides what their mismatch is.
#[test]
fn mismatched_ranges_are_judged_by_what_becomes_of_them() {
    let places = |offsets| {
        let ranges = Add("FamilyFileRanges", &[F, "app", "0,4", "2,2"]);
        let (pcp, images) = made(&[Pcp(vec![ranges, Add("TargetFiles_OptionalData", offsets)])]).open();
        [Retain::Exact, Retain::SameOffset, Retain::Drop].map(|retain| {
            let findings = check_all(&pcp, &images, Options { retain, ..Options::default() });
            codes(&findings).join(" ")
        })
    };
    let mismatch = "TFILEDATA_RETAIN_COUNT_MISMATCH";
    assert_eq!(places(&["Old", "app", "", "", "", "0"]), [mismatch, mismatch, &format!("-{mismatch}")]);
    assert_eq!(places(&["Old", "app"]), [mismatch, "", ""]);
    assert_eq!(places(&["Old", "app", "", "", "", "0,6"]), ["", "", ""]);
}

/// A finding about several files names each of them.
#[test]
fn files_are_named() {
    let (pcp, images) = made(&[File(NEW, APP, None), File(NEW, HELP, None)]).open();
    let findings = check_all(&pcp, &images, Options::default());
    assert_eq!(findings[0].message, "2 files missing");
    assert_eq!(findings[0].details, [format!("app: {APP} is missing"), format!("help: {HELP} is missing")]);
}
