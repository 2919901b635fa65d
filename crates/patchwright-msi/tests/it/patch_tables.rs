//! What the second transform of a pair does to the database, and what stands against it.

use patchwright_msi::database::{ColumnKind, Database, Value};
use patchwright_msi::patch_tables::{Delta, PatchTables, add};
use patchwright_msi::transform::{Definition, RowChange};

use crate::product::{bookkeeping, column_mut, pair, product, rows, table};
use crate::text;

#[test]
fn the_second_transform_keeps_book_of_the_patch() {
    let ([main, second], patched) = pair(&product("1.0.0"), &product("1.1.0"), &bookkeeping());
    let media = ["2", "1003", "", "#PCW_CAB_App", "", "AppSource"];
    for (name, key, expect) in [
        ("Media", "1", &["1", "2", "", "", "", ""][..]),
        ("Media", "2", &media),
        ("PatchPackage", crate::product::PATCH, &[crate::product::PATCH, "2"]),
        ("InstallExecuteSequence", "PatchFiles", &["PatchFiles", "", "4090"]),
        ("Property", "PATCHNEWPACKAGECODE", &["PATCHNEWPACKAGECODE", "{BBBBBBBB-2222-3333-4444-555555555555}"]),
        ("Property", "PATCHNEWSUMMARYSUBJECT", &["PATCHNEWSUMMARYSUBJECT", "App"]),
        // Nothing says how a file that is patched in place lies in the media; whole ones come from the patch (0x1000), and are
        // compressed (not 0x2000).
        ("File", "app.exe", &["app.exe", "Main", "APP~1.EXE|app.exe", "5200", "1.1.0", "1033", "512", "1"]),
        ("File", "help.txt", &["help.txt", "Main", "help.txt", "130", "", "", "4608", "1001"]),
        ("File", "new.dll", &["new.dll", "Main", "new.dll", "77", "", "", "4096", "1002"]),
    ] {
        let found: Vec<Vec<String>> =
            rows(&patched, name, key).iter().map(|row| row.iter().map(ToString::to_string).collect()).collect();
        assert_eq!(found, [expect], "{name} {key}");
    }
    let patch = vec![
        text("app.exe"),
        Value::Int(1000),
        Value::Int(321),
        Value::Int(0),
        Value::Binary(b"PA19 header".to_vec()),
        Value::Null,
    ];
    assert_eq!(patched.table("Patch").unwrap().rows, [patch]);
    assert_eq!(patched.table("Patch").unwrap().columns[1].kind, ColumnKind::Int32, "as File.Sequence is");
    assert!(patched.table("MsiPatchHeaders").unwrap().rows.is_empty());
    assert!(patched.table("AdminExecuteSequence").is_none());

    // The first transform leaves to the second what is its own.
    assert_eq!(main.table("Media"), None);
    assert_eq!(main.table("Patch"), None);
    let file = main.table("File").unwrap();
    let named: Vec<(String, Vec<&str>)> = file
        .rows
        .iter()
        .map(|row| (file.key_of(row)[0].to_string(), file.cells(row).into_iter().map(|(name, _)| name).collect()))
        .collect();
    assert_eq!(named[0], ("app.exe".to_owned(), vec!["FileSize", "Version"]));
    assert_eq!(named[1], ("help.txt".to_owned(), vec!["FileSize"]));
    assert!(matches!(&file.rows[2], RowChange::Insert(row) if row[0] == text("new.dll") && row[7] == Value::Int(3)));
    let file = second.table("File").unwrap();
    let cells = |at: usize| {
        file.cells(&file.rows[at]).into_iter().map(|(name, value)| (name, value.clone())).collect::<Vec<_>>()
    };
    assert_eq!(file.rows.len(), 2);
    assert_eq!(cells(0), [("Attributes", Value::Int(4608)), ("Sequence", Value::Int(1001))]);
    for name in ["MsiPatchHeaders", "Patch", "PatchPackage"] {
        assert_eq!(second.table(name).unwrap().definition, Definition::Added, "{name}");
    }
}

#[test]
fn patch_files_finds_its_place() {
    let with = |actions: &[(&str, i32)], wanted| {
        let mut upgraded = product("1.1.0");
        let sequence = upgraded.tables.iter_mut().find(|table| table.name == "InstallExecuteSequence").unwrap();
        sequence.rows =
            actions.iter().map(|(name, number)| vec![text(name), Value::Null, Value::Int(*number)]).collect();
        let tables = PatchTables { patch_files_sequence: wanted, ..bookkeeping() };
        add(&upgraded, &only_known(tables))
            .map(|made| rows(&made, "InstallExecuteSequence", "PatchFiles")[0][2].to_string())
    };
    let files = ("InstallFiles", 4000);
    for (actions, wanted, expect) in [
        (&[files, ("DuplicateFiles", 4210)][..], None, "4090"),
        (&[files], None, "4001"),
        (&[files, ("Other", 4001)], None, "4002"),
        (&[("InstallFiles", 100), ("DuplicateFiles", 200)], None, "150"),
        (&[files, ("DuplicateFiles", 4210), ("Other", 4090)], None, "4105"),
        (&[files, ("DuplicateFiles", 4210)], Some(4100), "4100"),
        (&[files, ("PatchFiles", 7)], None, "7"),
    ] {
        assert_eq!(with(actions, wanted).unwrap(), expect, "{actions:?}");
    }
    for (actions, wanted, expect) in [
        (&[("Other", 1)][..], None, "InstallFiles is not in the sequence"),
        (
            &[files, ("DuplicateFiles", 4001)],
            None,
            "no number is free between 4000 (InstallFiles) and 4001 (DuplicateFiles)",
        ),
        (&[files, ("DuplicateFiles", 4210)], Some(4210), "4210 is not between 4000"),
        (&[files, ("DuplicateFiles", 4210)], Some(4000), "4000 is not between 4000"),
    ] {
        let error = with(actions, wanted).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    }
}

/// Without what the old version lacks.
fn only_known(tables: PatchTables<'_>) -> PatchTables<'_> {
    PatchTables {
        media: tables
            .media
            .into_iter()
            .map(|media| patchwright_msi::patch_tables::PatchMedia { last_sequence: 1002, ..media })
            .collect(),
        ..tables
    }
}

/// A name of 62 letters is the longest that a stream has; the header of a longer one goes elsewhere, always to the same place.
#[test]
fn headers_without_a_name_have_an_identity() {
    // `Patch.` and `.1000` are eleven letters of it.
    for (len, in_row) in [(51, true), (52, false)] {
        let key = "f".repeat(len);
        let mut upgraded = product("1.1.0");
        let files = upgraded.tables.iter_mut().find(|table| table.name == "File").unwrap();
        files.rows[0][0] = text(&key);
        files.rows.truncate(1);
        let mut tables = bookkeeping();
        tables.whole_files.clear();
        tables.deltas[0].file.clone_from(&key);
        let made = add(&upgraded, &tables).unwrap();
        assert_eq!(made, add(&upgraded, &tables).unwrap());
        let header = Value::Binary(b"PA19 header".to_vec());
        let patch = &made.table("Patch").unwrap().rows[0];
        let headers = &made.table("MsiPatchHeaders").unwrap().rows;
        if in_row {
            assert_eq!((&patch[4..], headers.len()), (&[header, Value::Null][..], 0));
        } else {
            let id = patch[5].to_string();
            assert_eq!((id.len(), &id[..1], &id[15..16]), (37, "_", "3"));
            assert_eq!(patch[4], Value::Null);
            assert_eq!(headers[..], [vec![text(&id), header]]);
            let mut other = tables.clone();
            other.deltas[0].sequence = 1001;
            assert_ne!(add(&upgraded, &other).unwrap().table("Patch").unwrap().rows[0][5], text(&id));
        }
        made.write().unwrap();
    }
}

#[test]
fn a_template_says_what_the_tables_look_like() {
    let template = Database {
        tables: vec![table(
            "Patch",
            "*File_:s255 *Sequence:i4 PatchSize:i4 Attributes:i2 Header:v0 StreamRef_:S38",
            &[],
        )],
        ..Database::default()
    };
    let made = add(&product("1.1.0"), &PatchTables { definitions: Some(&template), ..bookkeeping() }).unwrap();
    assert_eq!(made.table("Patch").unwrap().columns, template.tables[0].columns);
    // A product that has the table already keeps it.
    let mut upgraded = product("1.1.0");
    upgraded.tables.push(table(
        "Patch",
        "*File_:s72 *Sequence:i2 PatchSize:i4 Attributes:i2 Header:V0 StreamRef_:S72",
        &[],
    ));
    let made = add(&upgraded, &PatchTables { definitions: Some(&template), ..bookkeeping() }).unwrap();
    assert_eq!(made.table("Patch").unwrap().columns, upgraded.tables.last().unwrap().columns);
}

/// Numbers of two bytes in the product make numbers of two bytes in the tables of the patch.
#[test]
fn small_packages_have_small_numbers() {
    let mut upgraded = product("1.1.0");
    column_mut(&mut upgraded, "File", "Sequence").kind = ColumnKind::Int16;
    column_mut(&mut upgraded, "Media", "LastSequence").kind = ColumnKind::Int16;
    let made = add(&upgraded, &bookkeeping()).unwrap();
    assert_eq!(made.table("Patch").unwrap().columns[1].kind, ColumnKind::Int16);
    let mut large = bookkeeping();
    large.media[0].last_sequence = 40_000;
    large.whole_files[0].sequence = 39_999;
    large.deltas[0].sequence = 39_998;
    let told = add(&upgraded, &large).unwrap_err().to_string();
    for expect in [
        "table Media, row 2, column LastSequence: 40000 does not fit a column of type i2",
        "table File, row help.txt, column Sequence: 39999 does not fit",
        "table Patch, row app.exe, 39998, column Sequence: 39998 does not fit",
    ] {
        assert!(told.contains(expect), "{expect}\n{told}");
    }
}

#[test]
fn everything_that_stands_against_it_is_told_at_once() {
    let mut tables = bookkeeping();
    tables.patch_code = "none".to_owned();
    tables.media[0].disk_id = 1;
    tables.media[0].source = String::new();
    tables.whole_files[0].sequence = 3;
    tables.whole_files[1].file = "absent.dll".to_owned();
    tables.deltas.push(Delta { sequence: 1002, size: u32::MAX, ..tables.deltas[0].clone() });
    let mut upgraded = product("1.1.0");
    upgraded.tables.retain(|table| table.name != "InstallExecuteSequence" && table.name != "Property");
    let told = add(&upgraded, &tables).unwrap_err();
    let told: Vec<String> = told.0.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "table PatchPackage, row none, column PatchId: it is no GUID in braces",
            "table File, row app.exe: the patch ships it twice",
            "table File, row app.exe, column Sequence: its number 1002 in the patch is also that of absent.dll",
            "table Media, row 1, column DiskId: the number of the disk is not above 1, which is in use",
            "table Media, row 1, column Source: it has no property",
            "table File, row help.txt, column Sequence: its number 3 in the patch is not between 3, the product's last, and 1003, the patch's",
            "table File, row absent.dll: the upgraded database lacks the file",
            "table Patch, row app.exe, column PatchSize: the delta is larger than 2 GiB",
            "table InstallExecuteSequence: the upgraded database lacks it",
            "table Property: the upgraded database lacks it",
        ]
    );
}
