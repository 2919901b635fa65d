//! What a build promises beside the patch itself: the same bytes, one refusal with everything in it, nothing half written.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use patchwright::msp::{
    BuildOptions, LOGALL, MspBuildReport, PatchPackage, RetainDefault, RetainMismatch, build, create_patch_package_ex,
};
use patchwright::{Error, ErrorKind, Progress, Quiet};
use patchwright_msi::database::{Column, ColumnKind, Database, Table, Value};
use patchwright_msi::msp::Msp;
use patchwright_msi::transform::{ErrorConditions, Known, Transform, apply};
use tempfile::TempDir;

use super::pcp::{Cell, Pcp};
use super::product::{Product, file};
use super::{fixed, noise};

/// Two versions of a product on disk, and properties that lead from one to the other.
struct World {
    folder: TempDir,
    pcp: Pcp,
}

impl World {
    fn new() -> Self {
        let app = noise(21, 12_000);
        let old = vec![file("app.bin", app.clone()), file("b.bin", noise(22, 6000)), file("read.me", "the same")];
        let new =
            vec![file("app.bin", fixed(&app)), file("b.bin", fixed(&noise(22, 6000))), file("read.me", "the same")];
        Self::of(&Product::new(50, "1.0.0", old), &Product::new(50, "1.0.1", new))
    }

    fn of(old: &Product, new: &Product) -> Self {
        let folder = TempDir::new().unwrap();
        old.write(&folder.path().join("old"));
        new.write(&folder.path().join("new"));
        let mut pcp = Pcp::new((old, "old/app.msi"), (new, "new/app.msi"));
        pcp.all("ImageFamilies", &[("Family", &"Fam")]).all("UpgradedImages", &[("Family", &"Fam")]);
        Self { folder, pcp }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn options(&self) -> BuildOptions {
        BuildOptions {
            output: Some(self.path("app.msp")),
            time: Some(1_700_000_000),
            temp_folder: Some(self.path("parts")),
            ..BuildOptions::default()
        }
    }

    fn build(&self, options: &BuildOptions) -> Result<MspBuildReport, Error> {
        build(&self.pcp.write(self.folder.path()), options, &Quiet)
    }

    fn built(&self) -> MspBuildReport {
        self.build(&self.options()).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Everything in the folder but the images.
    fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| !["old", "new", "app.pcp"].contains(&name.as_str()));
        names.sort();
        names
    }

    fn retained(&mut self, old_offsets: &str) -> &mut Self {
        let family: &[(&str, &dyn Cell)] =
            &[("Family", &"Fam"), ("FTK", &"app.bin"), ("RetainOffsets", &"0x100,0x200"), ("RetainLengths", &"8,8")];
        let target: &[(&str, &dyn Cell)] = &[("Target", &"Old"), ("FTK", &"app.bin"), ("RetainOffsets", &old_offsets)];
        self.pcp.row("FamilyFileRanges", family).row("TargetFiles_OptionalData", target);
        self
    }
}

#[test]
fn threads_and_folders_are_not_in_the_bytes() {
    let world = World::new();
    world.built();
    let first = fs::read(world.path("app.msp")).unwrap();
    for threads in [1, 4] {
        let options = BuildOptions { threads: Some(threads), temp_folder: None, ..world.options() };
        world.build(&options).unwrap();
        assert!(fs::read(world.path("app.msp")).unwrap() == first, "{threads} threads");
    }
    let again = World::new();
    again.built();
    assert!(fs::read(again.path("app.msp")).unwrap() == first, "another folder");
    let later = BuildOptions { time: Some(1_700_009_999), ..world.options() };
    world.build(&later).unwrap();
    assert!(fs::read(world.path("app.msp")).unwrap() != first, "another time");
    assert_eq!(world.left(), ["app.msp"], "nothing is left behind");
}

#[test]
fn everything_that_is_wrong_is_told_at_once_and_nothing_is_written() {
    let mut world = World::new();
    world.pcp.set("PatchGUID", "no guid").set("TrustMsi", "maybe").retained_by_hand();
    fs::remove_file(world.path("new/source/b.bin")).unwrap();
    let error = world.build(&world.options()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Malformed);
    let told = error.details.join("\n");
    for code in [
        "ERROR_PCW_BAD_PATCH_GUID",
        "ERROR_PCW_INVALID_PCP_PROPERTY",
        "ERROR_PCW_UPGRADED_MISSING_SRC_FILES",
        "0xC00E5108",
    ] {
        assert!(told.contains(code), "{code}: {told}");
    }
    assert!(world.left().is_empty(), "{:?}", world.left());
}

impl Pcp {
    /// A retained range that its old file has no place for.
    fn retained_by_hand(&mut self) -> &mut Self {
        let row: &[(&str, &dyn Cell)] =
            &[("Family", &"Fam"), ("FTK", &"app.bin"), ("RetainOffsets", &"1"), ("RetainLengths", &"1")];
        self.row("FamilyFileRanges", row)
    }
}

#[test]
fn retained_bytes_are_kept_or_the_build_refuses() {
    let refused = |world: &World, options: &BuildOptions, part: &str| {
        let error = world.build(options).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Malformed);
        assert!(error.details.iter().any(|line| line.contains(part)), "{part}: {error}");
        assert!(world.left().is_empty(), "{:?}", world.left());
    };
    let mut world = World::new();
    world.retained("0x90");
    let options = world.options();
    refused(&world, &options, "TFILEDATA_RETAIN_COUNT_MISMATCH");
    let drop = BuildOptions { retain_mismatch: RetainMismatch::Drop, ..options.clone() };
    let report = world.build(&drop).unwrap();
    assert_eq!(report.files[0].retained_ranges, 0);
    let warned = |report: &MspBuildReport| {
        report.findings.iter().any(|finding| finding.severity == "warning" && finding.code.contains("RETAIN_COUNT"))
    };
    assert!(warned(&report), "{:?}", report.findings);

    let mut silent = World::new();
    silent.pcp.retained_by_hand();
    refused(&silent, &silent.options(), "RETAIN");
    let same = BuildOptions { retain_default: RetainDefault::SameOffset, ..silent.options() };
    let report = silent.build(&same).unwrap();
    assert_eq!(report.files[0].retained_ranges, 1);
    assert!(!warned(&report));

    let mut whole = World::new();
    whole.retained("0x90,0x190").pcp.set("IncludeWholeFilesOnly", "1");
    refused(&whole, &whole.options(), "whole");
    let mut beyond = World::new();
    beyond.retained("0x90,12000");
    refused(&beyond, &beyond.options(), "end");
}

#[test]
fn the_cache_is_used_and_never_believed() {
    let mut world = World::new();
    world.pcp.set("PATCH_CACHE_ENABLED", "1").set("PATCH_CACHE_DIR", "cache");
    let cached = |report: &MspBuildReport| report.files.iter().map(|file| file.cached).collect::<Vec<_>>();
    assert_eq!(cached(&world.built()), [false, false]);
    let first = fs::read(world.path("app.msp")).unwrap();
    assert_eq!(cached(&world.built()), [true, true]);
    assert!(fs::read(world.path("app.msp")).unwrap() == first);
    let entries = || {
        let mut paths: Vec<_> = fs::read_dir(world.path("cache")).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    };
    assert_eq!(entries().len(), 2);
    // One file damaged, the other sound by its own account, and a delta of something else.
    let paths = entries();
    let (mut damaged, other) = (fs::read(&paths[0]).unwrap(), fs::read(&paths[1]).unwrap());
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    for (one, two) in [(damaged, other.clone()), (other.clone(), other)] {
        fs::write(&paths[0], one).unwrap();
        fs::write(&paths[1], two).unwrap();
        let report = world.built();
        assert_eq!(report.files.iter().filter(|file| file.cached).count(), 1, "{:?}", cached(&report));
        assert!(fs::read(world.path("app.msp")).unwrap() == first);
        assert_eq!(cached(&world.built()), [true, true], "it was made anew");
    }
    // Other ranges are another delta.
    world.pcp.row(
        "TargetFiles_OptionalData",
        &[("Target", &"Old"), ("FTK", &"app.bin"), ("IgnoreOffsets", &"5"), ("IgnoreLengths", &"5")],
    );
    assert_eq!(cached(&world.built()), [false, true]);
}

#[test]
fn an_output_appears_whole_or_not_at_all() {
    let world = World::new();
    let options = world.options();
    fs::write(world.path("app.msp"), "an older patch").unwrap();
    // The build fails late: there is no room for parts where a file is in the way.
    let blocked = BuildOptions { temp_folder: Some(world.path("app.msp")), ..options.clone() };
    assert_eq!(world.build(&blocked).unwrap_err().kind, ErrorKind::Io);
    assert_eq!(fs::read(world.path("app.msp")).unwrap(), b"an older patch");
    let report = world.build(&options).unwrap();
    assert_eq!(report.patch_bytes, fs::metadata(world.path("app.msp")).unwrap().len());
    for (output, kind) in [("new", ErrorKind::Usage), ("app.pcp", ErrorKind::Usage), ("nowhere/app.msp", ErrorKind::Io)]
    {
        let options = BuildOptions { output: Some(world.path(output)), ..world.options() };
        assert_eq!(world.build(&options).unwrap_err().kind, kind, "{output}");
    }
    assert!(world.pcp.write(world.folder.path()).exists());
}

#[test]
fn images_that_do_not_differ_are_no_patch() {
    let product = Product::new(51, "1.0.0", vec![file("a.txt", "a")]);
    let world = World::of(&product, &Product { build: 1, ..product.clone() });
    let error = world.build(&world.options()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::No, "{error}");
    // A change in the tables alone is one.
    let world = World::of(&product, &Product { version: "1.0.1", ..product.clone() });
    let report = world.built();
    assert!(report.files.is_empty());
    assert_eq!(report.pairs[0].tables, ["Property"]);
}

#[test]
fn files_that_are_missing_on_purpose_are_left_out() {
    let mut world = World::new();
    fs::remove_file(world.path("old/source/b.bin")).unwrap();
    assert_eq!(world.build(&world.options()).unwrap_err().kind, ErrorKind::Malformed);
    world.pcp.all("TargetImages", &[("IgnoreMissingSrcFiles", &1)]);
    let files: Vec<_> = world.built().files.into_iter().map(|file| file.file).collect();
    assert_eq!(files, ["app.bin"]);
}

#[test]
fn hostile_input_is_refused_and_never_panics() {
    let world = World::new();
    let pcp = world.pcp.write(world.folder.path());
    for path in [pcp.clone(), world.path("old/app.msi"), world.path("new/app.msi")] {
        let sound = fs::read(&path).unwrap();
        let bad = [Vec::new(), sound[..sound.len() / 2].to_vec(), vec![0xD0; 4096], sound[..512].to_vec()];
        let flipped = (0..24).map(|at| {
            let mut bytes = sound.clone();
            let place = (at * 977 + 513) % bytes.len();
            bytes[place] ^= 0xFF;
            bytes
        });
        for bytes in bad.into_iter().chain(flipped) {
            fs::write(&path, bytes).unwrap();
            match build(&pcp, &world.options(), &Quiet) {
                Ok(_) => fs::remove_file(world.path("app.msp")).unwrap(),
                Err(error) => assert_ne!(error.kind, ErrorKind::Bug, "{error}"),
            }
            assert!(world.left().is_empty(), "{:?}", world.left());
        }
        fs::write(&path, sound).unwrap();
    }
    world.built();
}

/// Counts what is told.
#[derive(Default)]
struct Heard(AtomicU64);

impl Progress for Heard {
    fn begin(&self, _task: &str, _total: u64) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn advance(&self, _bytes: u64) {}
    fn end(&self) {}
}

#[test]
fn the_entry_point_of_patchwiz_takes_its_parameters() {
    let world = World::new();
    let pcp_path = world.pcp.write(world.folder.path());
    let log_path = world.path("build.log");
    let call = |change: fn(&mut PatchPackage)| {
        let mut parameters = PatchPackage {
            pcp_path: pcp_path.clone(),
            patch_path: Some(world.path("app.msp")),
            log_path: Some(log_path.clone()),
            temp_folder: Some(world.path("parts")),
            remove_temp_folder_if_present: true,
            flags: LOGALL,
            reserved: 0,
        };
        change(&mut parameters);
        let heard = Heard::default();
        let made = create_patch_package_ex(&parameters, &world.options(), &heard);
        (made.map(|report| report.output).map_err(|error| (error.code, error.name)), heard.0.into_inner())
    };
    let output = Ok(world.path("app.msp"));
    assert_eq!(call(|_| {}), (output.clone(), 0));
    let (made, heard) = call(|parameters| parameters.flags = 0x8000);
    assert_eq!(made, output);
    assert!(heard > 0, "the window is told");
    let log = fs::read_to_string(&log_path).unwrap();
    for line in [
        "Patch file created: FTK=app.bin; temp location=Fam\\00004.HDR.",
        "Performance: phase III: ",
        "Entering phase V",
    ] {
        assert!(log.contains(line), "{line}: {log}");
    }
    let before = log.len();
    type Change = fn(&mut PatchPackage);
    let rows: [(Change, u32, &str); 8] = [
        (|parameters| parameters.flags = 0x10, 0xC00E_5196, "ERROR_PCW_INVALID_LOG_LEVEL"),
        (|parameters| parameters.flags = 0x1_0000, 0xC00E_5197, "ERROR_PCW_INVALID_UI_LEVEL"),
        (|parameters| parameters.reserved = 1, 0xC00E_5194, "ERROR_PCW_INVALID_PARAMETER"),
        (|parameters| parameters.pcp_path.clear(), 0xC00E_5194, "ERROR_PCW_INVALID_PARAMETER"),
        (|parameters| parameters.pcp_path = "/nowhere/app.pcp".into(), 0xC00E_5101, "ERROR_PCW_PCP_DOESNT_EXIST"),
        (
            |parameters| parameters.log_path = Some("/nowhere/x.log".into()),
            0xC00E_5195,
            "ERROR_PCW_CREATEFILE_LOG_FAILED",
        ),
        (
            |parameters| parameters.patch_path = Some("/nowhere/x.msp".into()),
            0xC00E_5106,
            "ERROR_PCW_CANT_CREATE_PATCH_FILE",
        ),
        (
            |parameters| {
                parameters.temp_folder = Some(parameters.pcp_path.parent().unwrap().join("old"));
                parameters.remove_temp_folder_if_present = false;
            },
            0xC00E_5103,
            "ERROR_PCW_CANT_CREATE_TEMP_FOLDER",
        ),
    ];
    for (change, code, name) in rows {
        assert_eq!(call(change).0, Err((code, name)));
    }
    let log = fs::read_to_string(&log_path).unwrap();
    assert!(log.len() > before, "it is appended");
    assert!(log.contains("ERROR: ERROR_PCW_PCP_DOESNT_EXIST (0xC00E5101)"), "{log}");
    assert!(Path::new(&world.path("old/app.msi")).exists(), "what others made stays");
}

/// The transform of a patch, read as an installer with these tables would.
fn transform(path: &Path, name: &str, tables: &Database) -> Transform {
    let mut msp = Msp::open(fs::File::open(path).unwrap()).unwrap();
    msp.transform(name, Known::Database(tables)).unwrap()
}

#[test]
fn tables_for_the_patch_alone_lead_the_transforms() {
    let mut world = World::new();
    // A copy of the upgraded installer with a property that only the patch brings.
    let path = world.path("new/app.msi");
    let mut tables = Database::read(fs::File::open(&path).unwrap()).unwrap();
    let property = tables.tables.iter_mut().find(|table| table.name == "Property").unwrap();
    property.rows.push(vec![Value::Str("ONLYINTHEPATCH".to_owned()), Value::Str("1".to_owned())]);
    fs::write(world.path("patch-only.msi"), tables.write().unwrap()).unwrap();
    world.pcp.all("UpgradedImages", &[("PatchMsiPath", &"patch-only.msi")]);
    // And a template of the patch tables with a wide sequence.
    let mut wide = Database::default();
    let column =
        |name: &str, kind, key, nullable| Column { name: name.to_owned(), kind, key, nullable, localizable: false };
    wide.tables.push(Table {
        name: "Patch".to_owned(),
        columns: vec![
            column("File_", ColumnKind::Text(72), true, false),
            column("Sequence", ColumnKind::Int32, true, false),
            column("PatchSize", ColumnKind::Int32, false, false),
            column("Attributes", ColumnKind::Int16, false, false),
            column("Header", ColumnKind::Binary, false, true),
            column("StreamRef_", ColumnKind::Text(72), false, true),
        ],
        rows: Vec::new(),
    });
    fs::write(world.path("template.msi"), wide.write().unwrap()).unwrap();
    world.pcp.set("MsiFileToUseToCreatePatchTables", "template.msi");
    world.built();
    let old = Database::read(fs::File::open(world.path("old/app.msi")).unwrap()).unwrap();
    let main = transform(&world.path("app.msp"), "OldToNew", &old);
    let changed = main.table("Property").unwrap();
    let keys: Vec<String> = changed.rows.iter().map(|row| changed.key_of(row)[0].to_string()).collect();
    assert!(keys.contains(&"ONLYINTHEPATCH".to_owned()), "{keys:?}");
    let upgraded = apply(&main, &old, ErrorConditions::NONE).unwrap();
    let patch = transform(&world.path("app.msp"), "#OldToNew", &upgraded);
    assert_eq!(patch.table("Patch").unwrap().columns[1].kind, ColumnKind::Int32);
}

#[test]
fn trusted_tables_decide_what_changed() {
    let text = |text: &'static str| vec![file("a.txt", text), file("b.txt", "same")];
    let old = Product::new(53, "1.0.0", text("old text"));
    let new = Product::new(53, "1.0.1", text("new text, longer"));
    let mut world = World::of(&old, &new);
    // Without hash or version the content counts; with them what is stated does.
    world.pcp.set("TrustMsi", "1");
    let files = |world: &World| world.built().files.into_iter().map(|file| file.file).collect::<Vec<_>>();
    assert_eq!(files(&world), ["a.txt"]);
    for (folder, version) in [("old", "1.0"), ("new", "1.0")] {
        let path = world.path(folder).join("app.msi");
        let mut tables = Database::read(fs::File::open(&path).unwrap()).unwrap();
        let table = tables.tables.iter_mut().find(|table| table.name == "File").unwrap();
        let (at, size) = (table.column("Version").unwrap(), table.column("FileSize").unwrap());
        for row in &mut table.rows {
            row[at] = Value::Str(version.to_owned());
            row[size] = Value::Int(16);
        }
        fs::write(&path, tables.write().unwrap()).unwrap();
    }
    let error = world.build(&BuildOptions { output: Some(world.path("none.msp")), ..world.options() });
    let none = error.map(|report| report.files.len());
    assert!(matches!(none, Ok(0)), "the tables say that nothing changed but the version: {none:?}");
}
