//! Products are installed by Wine's `msiexec /i` and patched by `msiexec /p`; then the files are looked at.
//!
//! | trap of Wine | what is done about it |
//! |---|---|
//! | the exit code is 0 when no transform applied, and not 0 when a file that may fail failed | the files count |
//! | the lower word of a transform's flags is taken for validation flags | it is 0x17, which Wine can compare |
//! | a row of `Patch` without a header is dropped | keys of files are short here |
//! | targets that differ in the third field of the version only are both taken | each has what the other needs |
//! | an unversioned file of the same length stays unless a hash says otherwise | the build writes hashes |
//! | some threads of the server outlive the call | one machine for all cases, ended at the end |

use std::fs;
use std::path::Path;
use std::process::Command;

use patchwright::Quiet;
use patchwright::msp::{BuildOptions, MspBuildReport, build};
use tempfile::TempDir;

use super::pcp::{Cell, Pcp};
use super::product::{File, Product, file};
use super::wine::Wine;
use super::{fixed, noise};
use crate::skips::skip;

/// What a case does with a machine.
struct Case {
    name: &'static str,
    /// Old versions and what each becomes: all are installed on machines of their own, as far as files go.
    olds: Vec<Product>,
    new: Product,
    /// What the author writes beside what `pcp new` makes.
    edit: fn(&mut Pcp),
    /// What happens to an installed file before the patch comes.
    user: fn(&mut Vec<u8>, &str),
    /// What a file of the new version must be, given the user's old one; the new file itself as a rule.
    expect: fn(&str, &[u8], &[u8]) -> Vec<u8>,
    /// How files go: `key=delta` or `key=whole`.
    kinds: &'static str,
    /// More files, beside the `.pcp`.
    beside: Vec<(&'static str, Vec<u8>)>,
}

fn case(name: &'static str, olds: Vec<Product>, new: Product) -> Case {
    let edit: fn(&mut Pcp) = |_| {};
    let user: fn(&mut Vec<u8>, &str) = |_, _| {};
    Case { name, olds, new, edit, user, expect: |_, _, new| new.to_vec(), kinds: "", beside: Vec::new() }
}

fn cases() -> Vec<Case> {
    let (one, two, three) = (noise(1, 20_000), noise(2, 9_000), noise(3, 5_000));
    let same = || file("read.me", "the same");
    let mut next = 0;
    let mut products = |olds: &[(&'static str, Vec<File>)], new: (&'static str, Vec<File>)| {
        next += 1;
        let product = |(version, files): &(&'static str, Vec<File>)| Product::new(next, version, files.clone());
        (olds.iter().map(product).collect::<Vec<_>>(), product(&new))
    };
    let mut cases = Vec::new();

    let (olds, new) = products(
        &[("1.0.0", vec![file("app.bin", one.clone()), same()])],
        ("1.0.1", vec![file("app.bin", fixed(&one)), same()]),
    );
    cases.push(Case { kinds: "app.bin=delta", ..case("a delta", olds, new) });

    let (olds, new) = products(
        &[("1.0.0", vec![file("app.bin", one.clone()), file("b.txt", "old text"), same()])],
        ("1.1.0", vec![file("app.bin", fixed(&one)), file("b.txt", "new text"), same()]),
    );
    cases.push(Case {
        edit: |pcp| {
            pcp.set("IncludeWholeFilesOnly", "1");
        },
        kinds: "app.bin=whole b.txt=whole",
        ..case("whole files, one of the same length; the minor version rises", olds, new)
    });

    let (olds, new) = products(
        &[("1.0.0", vec![file("app.bin", one.clone()), file("gone.txt", "gone"), same()])],
        ("1.0.1", vec![file("app.bin", fixed(&one)), same(), file("new.bin", three.clone()), file("nothing", "")]),
    );
    let new = Product { removes: vec!["gone.txt"], ..new };
    let kinds = "app.bin=delta new.bin=whole nothing=whole";
    cases.push(Case { kinds, ..case("files that are new, files that go", olds, new) });

    // Wine takes both pairs, since product and minor version fit: what is old for one may be new for the other.
    let newer = fixed(&one);
    let (olds, new) = products(
        &[
            ("1.0.0", vec![file("app.bin", one.clone()), file("b.bin", two.clone()), same()]),
            ("1.0.1", vec![file("app.bin", newer.clone()), file("b.bin", fixed(&two)), same()]),
        ],
        ("1.0.2", vec![file("app.bin", fixed(&newer)), file("b.bin", fixed(&two)), same()]),
    );
    cases.push(Case { kinds: "app.bin=delta b.bin=delta", ..case("two targets", olds, new) });

    let (olds, new) = products(
        &[("1.0.0", vec![file("app.bin", one.clone()), same()])],
        ("1.0.1", vec![file("app.bin", fixed(&one)), same()]),
    );
    cases.push(Case {
        edit: |pcp| {
            let family: &str = "Product1";
            pcp.all("ImageFamilies", &[("Family", &family)]).all("UpgradedImages", &[("Family", &family)]);
            let ranges: &[(&str, &dyn Cell)] = &[
                ("Family", &family),
                ("FTK", &"app.bin"),
                ("RetainOffsets", &"0x200,4000"),
                ("RetainLengths", &"32,0x10"),
            ];
            pcp.row("FamilyFileRanges", ranges);
            pcp.row(
                "TargetFiles_OptionalData",
                &[
                    ("Target", &"Old"),
                    ("FTK", &"app.bin"),
                    ("IgnoreOffsets", &"0x40,9000"),
                    ("IgnoreLengths", &"8,100"),
                    ("RetainOffsets", &"0x100,3994"),
                ],
            );
        },
        user: |bytes, name| {
            if name == "app.bin" {
                for (from, len) in [(0x40, 8), (9000, 100), (0x100, 32), (3994, 16)] {
                    bytes[from..from + len].iter_mut().zip(7..).for_each(|(byte, mark)| *byte = mark);
                }
            }
        },
        expect: |name, user, new| {
            let mut expected = new.to_vec();
            if name == "app.bin" {
                expected[0x200..0x220].copy_from_slice(&user[0x100..0x120]);
                expected[4000..4016].copy_from_slice(&user[3994..4010]);
            }
            expected
        },
        kinds: "app.bin=delta",
        ..case("a stamp that stays and moves, bytes that may be anything", olds, new)
    });

    // The second old version is on no target image; the user has it all the same.
    let (olds, new) = products(
        &[("1.0.0", vec![file("app.bin", one.clone()), same()])],
        ("1.0.1", vec![file("app.bin", fixed(&one)), same()]),
    );
    cases.push(Case {
        edit: |pcp| {
            let family: &str = "Product1";
            pcp.all("ImageFamilies", &[("Family", &family)]).all("UpgradedImages", &[("Family", &family)]);
            pcp.row(
                "ExternalFiles",
                &[("Family", &family), ("FTK", &"app.bin"), ("FilePath", &"other.bin"), ("Order", &1)],
            );
        },
        beside: vec![("other.bin", fixed(&fixed(&one)))],
        user: |bytes, name| {
            if name == "app.bin" {
                *bytes = fixed(&fixed(bytes));
            }
        },
        kinds: "app.bin=delta",
        ..case("an old version from elsewhere", olds, new)
    });

    let (olds, new) = products(
        &[("1.0.0", vec![file("app.bin", one.clone()), file("b.bin", two.clone()), same()])],
        ("1.0.1", vec![file("app.bin", fixed(&one)), file("b.bin", fixed(&two)), same()]),
    );
    cases.push(Case {
        edit: |pcp| {
            let row: &[(&str, &dyn Cell)] =
                &[("Upgraded", &"New"), ("FTK", &"app.bin"), ("AllowIgnoreOnPatchError", &1), ("IncludeWholeFile", &0)];
            pcp.row("UpgradedFiles_OptionalData", row);
        },
        user: |bytes, name| {
            if name == "app.bin" {
                bytes.fill(b'u');
            }
        },
        expect: |name, user, new| if name == "app.bin" { user.to_vec() } else { new.to_vec() },
        kinds: "app.bin=delta b.bin=delta",
        ..case("a file that may fail, and does", olds, new)
    });

    let (olds, new) = products(
        &[("1.0.0", vec![file("app.bin", one.clone()), file("its.cfg", "setting=1"), same()])],
        ("1.0.1", vec![file("app.bin", fixed(&one)), file("its.cfg", "setting=2"), same()]),
    );
    cases.push(Case {
        edit: |pcp| {
            pcp.row("UpgradedFilesToIgnore", &[("Upgraded", &"*"), ("FTK", &"its*")]);
        },
        expect: |name, user, new| if name == "its.cfg" { user.to_vec() } else { new.to_vec() },
        kinds: "app.bin=delta",
        ..case("a file that is left alone", olds, new)
    });

    // Builds number their files anew; those of an installed product stay as they are.
    let (olds, new) = products(
        &[("1.0.0", vec![file("app.bin", one.clone()), file("b.txt", "old"), same()])],
        ("1.0.1", vec![file("a.new", "first"), file("app.bin", fixed(&one)), file("b.txt", "newer"), same()]),
    );
    cases.push(Case {
        edit: |pcp| {
            pcp.row("UpgradedFiles_OptionalData", &[("Upgraded", &"New"), ("FTK", &"b.txt"), ("IncludeWholeFile", &1)]);
        },
        kinds: "a.new=whole app.bin=delta b.txt=whole",
        ..case("files that were numbered anew", olds, new)
    });

    let (mut olds, mut new) = products(
        &[("1.0.0", vec![file("app.bin", one.clone()), file("b.txt", "old"), same()])],
        ("1.0.1", vec![file("app.bin", fixed(&one)), file("b.txt", "newer"), same()]),
    );
    (olds[0].packed, new.packed) = (true, true);
    cases.push(Case { kinds: "app.bin=delta b.txt=whole", ..case("files in cabinets", olds, new) });
    cases
}

#[test]
fn wine_installs_and_patches() {
    let mut folder = TempDir::new().unwrap();
    // For whoever wants to look at what is left.
    folder.disable_cleanup(std::env::var_os("PATCHWRIGHT_KEEP").is_some());
    let Some(wine) = Wine::new(&folder.path().join("prefix")) else {
        skip("wine", "wine64 is needed");
        return;
    };
    for (number, case) in cases().iter().enumerate() {
        run(&wine, &folder.path().join(format!("case{number}")), case);
    }
    several_families(&wine, &folder.path().join("families"));
    worked_example(&wine, &folder.path().join("example"));
}

/// One patch for two products, each with a family, and so a cabinet, of its own.
fn several_families(wine: &Wine, root: &Path) {
    let (one, two) = (noise(7, 8000), noise(8, 6000));
    let pairs = [(101, "one.bin", &one), (102, "two.bin", &two)].map(|(id, name, bytes)| {
        let new = vec![file(name, fixed(bytes)), file("whole.txt", "new")];
        (Product::new(id, "1.0.0", vec![file(name, bytes.clone())]), Product::new(id, "1.0.1", new))
    });
    let mut pcp = Pcp::new((&pairs[0].0, "a/old/app.msi"), (&pairs[0].1, "a/new/app.msi"));
    pcp.row("ImageFamilies", &[("Family", &"Other")]);
    pcp.row("UpgradedImages", &[("Upgraded", &"Two"), ("MsiPath", &"b/new/app.msi"), ("Family", &"Other")]);
    let target: &[(&str, &dyn Cell)] = &[
        ("Target", &"OldTwo"),
        ("MsiPath", &"b/old/app.msi"),
        ("Upgraded", &"Two"),
        ("Order", &2),
        ("ProductValidateFlags", &"0x00000922"),
        ("IgnoreMissingSrcFiles", &0),
    ];
    pcp.row("TargetImages", target);
    let mut installers = Vec::new();
    for ((old, new), letter) in pairs.iter().zip(["a", "b"]) {
        installers.push(old.write(&root.join(letter).join("old")));
        new.write(&root.join(letter).join("new"));
    }
    let report = built(&pcp, root, "several families");
    assert_eq!(report.families.len(), 2);
    assert_eq!(report.product_codes, [pairs[0].0.code(), pairs[1].0.code()]);
    installers.iter().for_each(|installer| wine.install(installer));
    wine.patch(&report.output);
    for (_, new) in &pairs {
        let expected: Vec<_> = new.files.iter().map(|file| (file.name.to_owned(), file.bytes.clone())).collect();
        assert!(wine.folder(&new.folder()) == expected, "{}", new.folder());
    }
}

/// The example of the documentation of PATCHWIZ, row by row, and in one of its files bytes that may be anything and bytes
/// that stay.
fn worked_example(wine: &Wine, root: &Path) {
    let app = noise(9, 30_000);
    let old = Product::new(110, "1.0.0", vec![file("mnp.exe", app.clone()), file("readme.txt", "with the error")]);
    let new = Product::new(110, "1.0.1", vec![file("mnp.exe", fixed(&app)), file("readme.txt", "without the error")]);
    let place = |name: &str| root.join("Note_Installer/Patch").join(name);
    let installers = [(&old, "Target"), (&new, "Upgraded")].map(|(product, name)| {
        let installer = place(name).join("MNP2000.msi");
        fs::rename(product.write(&place(name)), &installer).unwrap();
        installer
    });
    let mut pcp = Pcp::new((&old, ""), (&new, ""));
    for table in ["Properties", "ImageFamilies", "UpgradedImages", "TargetImages", "PatchMetadata", "PatchSequence"] {
        pcp.clear(table);
    }
    for (name, value) in [
        ("AllowProductCodeMismatches", "1"),
        ("AllowProductVersionMajorMismatches", "1"),
        ("ApiPatchingSymbolFlags", "0x00000000"),
        ("DontRemoveTempFolderWhenFinished", "1"),
        ("IncludeWholeFilesOnly", "0"),
        ("ListOfPatchGUIDsToReplace", ""),
        ("ListOfTargetProductCodes", "*"),
        ("PatchGUID", "{5406B219-A1AC-4BC4-8695-72292C8195AC}"),
        ("PatchOutputPath", r"c:\output.msp"),
        ("PatchSourceList", "PatchSourceList"),
    ] {
        pcp.set(name, value);
    }
    let family: &[(&str, &dyn Cell)] = &[
        ("Family", &"MNPapps"),
        ("MediaSrcPropName", &"MNPSrcPropName"),
        ("MediaDiskId", &2),
        ("FileSequenceStart", &1000),
    ];
    let upgraded: &[(&str, &dyn Cell)] = &[
        ("Upgraded", &"MNP_fixed"),
        ("MsiPath", &r"C:\Note_Installer\Patch\Upgraded\MNP2000.msi"),
        ("Family", &"MNPapps"),
    ];
    let target: &[(&str, &dyn Cell)] = &[
        ("Target", &"MNP_error"),
        ("MsiPath", &r"C:\Note_Installer\Patch\Target\MNP2000.msi"),
        ("Upgraded", &"MNP_fixed"),
        ("Order", &1),
        ("IgnoreMissingSrcFiles", &0),
    ];
    pcp.row("ImageFamilies", family).row("UpgradedImages", upgraded).row("TargetImages", target);
    let retained: &[(&str, &dyn Cell)] =
        &[("Family", &"MNPapps"), ("FTK", &"mnp.exe"), ("RetainOffsets", &"0x406"), ("RetainLengths", &"64")];
    let ranges: &[(&str, &dyn Cell)] = &[
        ("Target", &"MNP_error"),
        ("FTK", &"mnp.exe"),
        ("IgnoreOffsets", &"0x2000"),
        ("IgnoreLengths", &"0x100"),
        ("RetainOffsets", &"0x400"),
    ];
    pcp.row("FamilyFileRanges", retained).row("TargetFiles_OptionalData", ranges);
    let options = BuildOptions {
        mappings: vec![format!("C:\\={}", root.display()).parse().unwrap()],
        temp_folder: Some(root.join("parts")),
        time: Some(1_270_649_198),
        ..BuildOptions::default()
    };
    let report = build(&pcp.write(root), &options, &Quiet).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(report.output, root.join("output.msp"));
    assert_eq!(report.families[0].cabinet, "PCW_CAB_MNPapps");
    let numbers: Vec<_> = report.files.iter().map(|file| (file.file.as_str(), file.sequence, file.kind)).collect();
    assert_eq!(numbers, [("mnp.exe", 1000, "delta"), ("readme.txt", 1001, "whole")]);
    assert_eq!(report.families[0].last_sequence, 1002);
    let sequence = report.sequence[0].sequence.as_deref();
    assert_eq!(sequence, Some("0.0.19388.37230"));
    cabextract_reads(&root.join("parts"), &new);

    wine.install(&installers[0]);
    let installed = wine.drive(&old.folder()).join("mnp.exe");
    let mut user = fs::read(&installed).unwrap();
    user[0x400..0x440].fill(b'u');
    user[0x2000..0x2100].fill(b'x');
    fs::write(&installed, &user).unwrap();
    wine.patch(&report.output);
    let mut expected = fixed(&app);
    expected[0x406..0x446].fill(b'u');
    assert!(fs::read(&installed).unwrap() == expected);
    let whole = fs::read(wine.drive(&old.folder()).join("readme.txt")).unwrap();
    assert_eq!(whole, b"without the error");
}

/// The parts that were kept: a cabinet that others read, deltas and headers under the names of PATCHWIZ, both transforms.
fn cabextract_reads(parts: &Path, new: &Product) {
    for name in ["MNPapps/01000.PAT", "MNPapps/01000.HDR", "MNP_errorToMNP_fixed.mst", "#MNP_errorToMNP_fixed.mst"] {
        assert!(parts.join(name).is_file(), "{name}");
    }
    let into = parts.join("out");
    let cabinet = parts.join("PCW_CAB_MNPapps.cab");
    let Ok(ran) = Command::new("cabextract").arg("-q").arg("-d").arg(&into).arg(cabinet).output() else {
        skip("cabextract", "cabextract is needed");
        return;
    };
    assert!(ran.status.success(), "{ran:?}");
    assert_eq!(fs::read(into.join("readme.txt")).unwrap(), new.files[1].bytes);
    assert_eq!(fs::read(into.join("mnp.exe")).unwrap(), fs::read(parts.join("MNPapps/01000.PAT")).unwrap());
}

fn run(wine: &Wine, root: &Path, case: &Case) {
    let new = case.new.write(&root.join("new"));
    let olds: Vec<_> =
        case.olds.iter().enumerate().map(|(number, old)| old.write(&root.join(format!("old{number}")))).collect();
    let mut pcp = Pcp::new((&case.olds[0], "old0/app.msi"), (&case.new, "new/app.msi"));
    for number in 1..olds.len() {
        let (target, path) = (format!("Old{number}"), format!("old{number}/app.msi"));
        let order = i32::try_from(number).unwrap() + 1;
        pcp.row(
            "TargetImages",
            &[
                ("Target", &target),
                ("MsiPath", &path),
                ("Upgraded", &"New"),
                ("Order", &order),
                ("ProductValidateFlags", &"0x00000922"),
                ("IgnoreMissingSrcFiles", &0),
            ],
        );
    }
    (case.edit)(&mut pcp);
    for (name, bytes) in &case.beside {
        fs::write(root.join(name), bytes).unwrap();
    }
    let report = built(&pcp, root, case.name);
    let kinds: Vec<String> = report.files.iter().map(|file| format!("{}={}", file.file, file.kind)).collect();
    assert_eq!(kinds.join(" "), case.kinds, "{}", case.name);
    assert!(new.exists());
    for (number, old) in case.olds.iter().enumerate() {
        // What is installed already must go before the next one comes.
        wine.install(&olds[number]);
        let mut installed = wine.folder(&old.folder());
        let names: Vec<&str> = installed.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names.len(), old.files.len(), "{}: {names:?} were installed", case.name);
        for (name, bytes) in &mut installed {
            (case.user)(bytes, name);
            fs::write(wine.drive(&old.folder()).join(name), bytes).unwrap();
        }
        let status = wine.patch(&report.output);
        let mut expected: Vec<(String, Vec<u8>)> = case
            .new
            .files
            .iter()
            .map(|file| {
                let before = installed.iter().find(|(name, _)| name == file.name);
                let before = before.map(|(_, bytes)| bytes.as_slice()).unwrap_or_default();
                (file.name.to_owned(), (case.expect)(file.name, before, &file.bytes))
            })
            .collect();
        expected.sort();
        let patched = wine.folder(&old.folder());
        let shown = |files: &[(String, Vec<u8>)]| {
            files.iter().map(|(name, bytes)| format!("{name}:{}", blake(bytes))).collect::<Vec<_>>().join(" ")
        };
        assert!(
            patched == expected,
            "{}, from version {}: msiexec gave {status}\n  found  {}\n  expect {}",
            case.name,
            old.version,
            shown(&patched),
            shown(&expected)
        );
        if number + 1 < olds.len() {
            wine.msiexec("/x", &olds[number], &[]);
            let _ = fs::remove_dir_all(wine.drive(&old.folder()));
        }
    }
}

fn blake(bytes: &[u8]) -> String {
    let sum = bytes.iter().fold(0_u64, |sum, byte| sum.wrapping_mul(0x100_0000_01B3).wrapping_add((*byte).into()));
    format!("{} bytes, {sum:016x}", bytes.len())
}

fn built(pcp: &Pcp, root: &Path, name: &str) -> MspBuildReport {
    let path = pcp.write(root);
    let options =
        BuildOptions { output: Some(root.join("app.msp")), time: Some(1_700_000_000), ..BuildOptions::default() };
    build(&path, &options, &Quiet).unwrap_or_else(|error| panic!("{name}: {error}"))
}
