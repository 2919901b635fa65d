//! Other people's code on what we write: Wine's `msi.dll` follows our transforms and opens our patches.
//!
//! libmsi is no such peer: its `libmsi_database_apply_transform` looks for tables under names that begin with two stray bytes, and
//! so refuses every transform with a table in it (0.101).

use std::env;
use std::fs::{self, OpenOptions};
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use patchwright_msi::database::{Column, ColumnKind, Database, Property, Table, Value};
use patchwright_msi::transform::{ErrorConditions, Known, Rules, Transform, diff};
use tempfile::TempDir;

use crate::product::{PATCH, PRODUCT, bookkeeping, pair, patch, product};
use crate::{column, text};

const WINE: &str = "/usr/lib/wine/wine64";
const MINGW: &str = "x86_64-w64-mingw32-gcc";

/// Says that a test cannot run here, where `xtask test` can see it.
fn skip(group: &str, reason: &str) {
    eprintln!("skipped: {group}: {reason}");
    if let Some(path) = env::var_os("PATCHWRIGHT_SKIPS") {
        let mut skips = OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(skips, "skipped: {group}: {reason}").unwrap();
    }
}

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(name)
}

fn table(name: &str, columns: &[Column], rows: Vec<Vec<Value>>) -> Table {
    Table { name: name.to_owned(), columns: columns.to_vec(), rows }
}

fn database(code_page: u32, tables: &[&Table]) -> Database {
    let mut database =
        Database { code_page, tables: tables.iter().map(|table| (*table).clone()).collect(), ..Database::default() };
    database.summary.properties.insert(1, Property::I2(1252));
    database.summary.properties.insert(9, Property::Text(crate::GUID.to_owned()));
    database.sort();
    database
}

/// A database, another one, and whether the transform between them is followed by these peers.
struct Case {
    name: &'static str,
    old: Database,
    new: Database,
    /// What Wine makes of it, where that is something else.
    in_wine: Option<Database>,
}

fn cases() -> Vec<Case> {
    let property = [column("Property", ColumnKind::Text(72), true), column("Value", ColumnKind::Text(0), false)];
    let rows =
        |rows: &[(&str, &str)]| rows.iter().map(|(name, value)| vec![text(name), text(value)]).collect::<Vec<_>>();
    let properties = table("Property", &property, rows(&[("ProductVersion", "1.0.0"), ("Gone", "x"), ("Same", "y")]));
    let changed = table("Property", &property, rows(&[("ProductVersion", "1.1.0"), ("Same", "y"), ("Come", "z")]));
    let mixed = [
        column("Key", ColumnKind::Text(72), true),
        column("Number", ColumnKind::Int16, true),
        column("Long", ColumnKind::Int32, false),
        column("Short", ColumnKind::Int16, false),
        Column { localizable: true, ..column("Text", ColumnKind::Text(255), false) },
    ];
    let row = |key: &str, number, long: Option<i32>, short: Option<i32>, words: &str| {
        let number_or_none = |number: Option<i32>| number.map_or(Value::Null, Value::Int);
        let words = if words.is_empty() { Value::Null } else { text(words) };
        vec![text(key), Value::Int(number), number_or_none(long), number_or_none(short), words]
    };
    let values = table(
        "Mixed",
        &mixed,
        vec![
            row("a", 1, Some(1), Some(2), "three"),
            row("a", -2, Some(-1), Some(-2), "minus three"),
            row("b", 1, None, None, ""),
            row("c", 1, Some(i32::MAX), Some(0x7fff), "all"),
        ],
    );
    let other_values = table(
        "Mixed",
        &mixed,
        vec![
            row("a", 1, Some(1), Some(-2), "three"),
            row("a", -2, None, Some(7), ""),
            row("b", 1, Some(-i32::MAX), Some(-0x7fff), "Gr\u{fc}\u{df}e \u{20ac}"),
            row("d", 0x7fff, None, None, ""),
        ],
    );
    let mut widened = other_values.clone();
    for (name, kind) in [("More", ColumnKind::Text(0)), ("Most", ColumnKind::Int32)] {
        widened.columns.push(column(name, kind, false));
        widened.rows.iter_mut().enumerate().for_each(|(at, row)| {
            row.push(match (at, kind) {
                (0, _) => Value::Null,
                (at, ColumnKind::Int32) => Value::Int(i32::try_from(at).unwrap()),
                _ => text("more"),
            })
        });
    }
    let binary = [column("Name", ColumnKind::Text(72), true), column("Data", ColumnKind::Binary, false)];
    let stream = |name: &str, bytes: &[u8]| vec![text(name), Value::Binary(bytes.to_vec())];
    let binaries =
        table("Binary", &binary, vec![stream("icon", b"old"), stream("gone", b"gone"), stream("same", &[9; 9000])]);
    let other_binaries =
        table("Binary", &binary, vec![stream("icon", &[3; 5000]), stream("same", &[9; 9000]), stream("come", b"new")]);
    // More than 65,535 texts in few rows: Wine looks for each row among all of them.
    let thirty: Vec<Column> = (0..30).map(|at| column(&format!("C{at}"), ColumnKind::Text(0), at == 0)).collect();
    let many = |name: &str| {
        let row = |row: usize| (0..30).map(|column| text(&format!("{name}{row}-{column}"))).collect();
        table(name, &thirty, (0..2200).map(row).collect())
    };
    let (many, more) = (many("Many"), many("More"));
    let mut changed_many = many.clone();
    changed_many.rows[7][3] = text("other");
    changed_many.rows.remove(100);
    let wide: Vec<Column> = (0..20).map(|at| column(&format!("C{at}"), ColumnKind::Int16, at == 0)).collect();
    let wide_row = |last: i32| (1..20).map(Value::Int).chain([Value::Int(last)]).collect::<Vec<_>>();
    let wides = table("Wide", &wide, vec![wide_row(1)]);
    let other_wides = table("Wide", &wide, vec![wide_row(2)]);
    // Wine reads the stream of a changed row, and keeps what it had under that name.
    let kept_binaries =
        table("Binary", &binary, vec![stream("icon", b"old"), stream("same", &[9; 9000]), stream("come", b"new")]);
    let case = |name, old, new| Case { name, old, new, in_wine: None };
    vec![
        case("rows", database(0, &[&properties]), database(0, &[&changed])),
        case("values", database(1252, &[&properties, &values]), database(1252, &[&properties, &other_values])),
        case("new columns", database(1252, &[&values]), database(1252, &[&widened])),
        case("a new table", database(1252, &[&properties]), database(1252, &[&properties, &values, &binaries])),
        Case {
            in_wine: Some(database(0, &[&kept_binaries])),
            ..case("streams", database(0, &[&binaries]), database(0, &[&other_binaries]))
        },
        case("many texts come", database(0, &[&many]), database(0, &[&many, &more])),
        case("few texts among many", database(0, &[&many]), database(0, &[&changed_many])),
        case("a wide table", database(0, &[&wides]), database(0, &[&other_wides])),
        case("a table goes", database(0, &[&properties, &wides]), database(0, &[&properties])),
    ]
}

/// Writes the files of a case; gives their names without the folder.
fn write_case(root: &Path, at: usize, case: &Case) -> [String; 3] {
    let names = ["old.msi", "change.mst", "new.msi"].map(|name| format!("{at}-{name}"));
    let made = diff(&case.old, &case.new, &Rules::default()).unwrap_or_else(|error| panic!("{}: {error}", case.name));
    let mut transform = made.transform;
    transform.summary = case.old.summary.clone();
    fs::write(root.join(&names[0]), case.old.write().unwrap()).unwrap();
    fs::write(root.join(&names[1]), transform.write().unwrap()).unwrap();
    names
}

/// Compares what a peer made with what it should be.
fn compare(root: &Path, made: &str, name: &str, expect: &Database) {
    let bytes = fs::read(root.join(made)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut database = Database::read(Cursor::new(bytes)).unwrap_or_else(|error| panic!("{name}: {error}"));
    database.sort();
    for (made, expect) in database.tables.iter().zip(&expect.tables) {
        assert_eq!(made, expect, "{name}");
    }
    assert_eq!(database.tables.len(), expect.tables.len(), "{name}");
}

/// Wine's functions make of our transforms what we do, and open our patch as one.
#[test]
fn wine_follows_our_transforms_and_opens_our_patch() {
    let has_mingw = Command::new(MINGW).arg("--version").stdout(Stdio::null()).status().is_ok();
    if !Path::new(WINE).exists() || !has_mingw {
        skip("wine", "wine64 and gcc-mingw-w64-x86-64 are needed");
        return;
    }
    let folder = TempDir::new().unwrap();
    let root = folder.path();
    let driver = Command::new(MINGW)
        .args(["-O1", "-o"])
        .arg(root.join("transform.exe"))
        .arg(testdata("wine/transform.c"))
        .arg("-lmsi")
        .status();
    assert!(driver.unwrap().success());
    let cases = cases();
    let (mut list, mut outputs) = (String::new(), Vec::new());
    for (at, case) in cases.iter().enumerate() {
        let [old, change, new] = write_case(root, at, case);
        list.push_str(&format!("apply|{old}|{change}|{}|{new}\n", ErrorConditions::OF_PATCHES.0));
        outputs.push(new);
    }
    // The pair of a patch, one after the other.
    let (transforms, patched) = pair(&product("1.0.0"), &product("1.1.0"), &bookkeeping());
    fs::write(root.join("1.0.msi"), product("1.0.0").write().unwrap()).unwrap();
    for (transform, [old, change, new]) in
        transforms.iter().zip([["1.0.msi", "main.mst", "1.1.msi"], ["1.1.msi", "second.mst", "patched.msi"]])
    {
        fs::write(root.join(change), transform.write().unwrap()).unwrap();
        list.push_str(&format!("apply|{old}|{change}|{}|{new}\n", ErrorConditions::OF_PATCHES.0));
    }
    fs::write(root.join("app.msp"), patch(b"MSCF")).unwrap();
    list.push_str("patch|app.msp\npatch|1.0.msi\ngenerate|1.1.msi|1.0.msi|made.mst\n");
    fs::write(root.join("list"), list).unwrap();

    let answers = wine(root);
    let mut answers = answers.lines();
    for (case, output) in cases.iter().zip(outputs) {
        assert_eq!(answers.next(), Some("0"), "{}", case.name);
        compare(root, &output, case.name, case.in_wine.as_ref().unwrap_or(&case.new));
    }
    assert_eq!((answers.next(), answers.next()), (Some("0"), Some("0")));
    let mut in_wine = patched;
    // As in the case of streams.
    in_wine.tables.iter_mut().find(|table| table.name == "Binary").unwrap().rows[0][1] =
        Value::Binary(b"dialog.old".to_vec());
    in_wine.sort();
    compare(root, "patched.msi", "the pair", &in_wine);
    let summary = format!(
        "0 1=1252 2=App 1.0.0 to 1.1.0 5=Sources 7={PRODUCT} 8=:OldToNew;:#OldToNew \
         9={PATCH}{{DDDDDDDD-2222-3333-4444-555555555555}} 15=5 19=4"
    );
    assert_eq!(answers.next(), Some(summary.as_str()));
    const OPEN_FAILED: &str = "110";
    assert_eq!(answers.next(), Some(OPEN_FAILED), "an installer is no patch");
    // Wine makes no transforms that we could read. When it does, this is the place to compare them.
    const NOT_IMPLEMENTED: &str = "120 0";
    assert_eq!(answers.next(), Some(NOT_IMPLEMENTED));
}

/// GNOME's msitools reads tables, summary information and cabinet of a patch.
#[test]
fn msitools_reads_our_patch() {
    let has = |command: &str| {
        Command::new(command).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    };
    if !has("msiinfo") || !has("msidump") {
        skip("msitools", "msiinfo and msidump are needed");
        return;
    }
    let folder = TempDir::new().unwrap();
    let cabinet: Vec<u8> = (0..=255).cycle().take(20_000).collect();
    fs::write(folder.path().join("app.msp"), patch(&cabinet)).unwrap();
    let run = |args: &[&str]| {
        let ran = Command::new(args[0]).args(&args[1..]).current_dir(folder.path()).output().unwrap();
        assert!(ran.status.success(), "{args:?}: {ran:?}");
        String::from_utf8(ran.stdout).unwrap().replace("\r\n", "\n")
    };
    let summary = run(&["msiinfo", "suminfo", "app.msp"]);
    for expect in [
        &format!("Template: {PRODUCT}\n"),
        "Last author: :OldToNew;:#OldToNew\n",
        &format!("Revision number (UUID): {PATCH}{{DDDDDDDD-2222-3333-4444-555555555555}}\n"),
        "Keywords: Sources\n",
    ] {
        assert!(summary.contains(expect), "{summary}");
    }
    assert_eq!(
        run(&["msiinfo", "export", "app.msp", "MsiPatchSequence"]),
        "PatchFamily\tProductCode\tSequence\tAttributes\ns0\tS38\ts0\tI2\n\
         MsiPatchSequence\tPatchFamily\tProductCode\nApp\t\t1.1.0.0\t1\n"
    );
    assert!(run(&["msiinfo", "streams", "app.msp"]).contains("PCW_CAB_App\n"));
    run(&["msidump", "-t", "-s", "app.msp"]);
    assert_eq!(fs::read(folder.path().join("_Streams/PCW_CAB_App")).unwrap(), cabinet);
    let metadata = fs::read_to_string(folder.path().join("MsiPatchMetadata.idt")).unwrap();
    assert!(
        metadata
            .replace("\r\n", "\n")
            .ends_with("\tAllowRemoval\t1\n\tClassification\tUpdate\n\tDisplayName\tApp 1.1\n"),
        "{metadata}"
    );
}

/// A transform between two products that wixl made is read the same by their tables and by those of the documentation.
#[test]
fn tables_of_wixl_are_those_of_the_documentation() {
    if Command::new("wixl").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        skip("wixl", "wixl is needed");
        return;
    }
    let folder = TempDir::new().unwrap();
    let product = |name: &str, version: &str, more: &str| {
        fs::write(folder.path().join("app.txt"), version).unwrap();
        let reference = if more.is_empty() { "" } else { r#"<ComponentRef Id="More"/>"# };
        let source = PRODUCT_OF_WIXL.replace("VERSION", version);
        let source = source.replace("<!-- more -->", more).replace("<!-- reference -->", reference);
        fs::write(folder.path().join("app.wxs"), source).unwrap();
        let ran = Command::new("wixl").args(["-o", name, "app.wxs"]).current_dir(folder.path()).output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
        Database::read(Cursor::new(fs::read(folder.path().join(name)).unwrap())).unwrap()
    };
    let old = product("old.msi", "1.0.0", "");
    let more = r#"<Component Id="More" Guid="AAAAAAAA-2222-3333-4444-666666666666"><RegistryKey Root="HKLM" Key="Software\App">
        <RegistryValue Name="N" Type="integer" Value="7" KeyPath="yes"/></RegistryKey></Component>"#;
    let new = product("new.msi", "1.1.0", more);
    let transform = diff(&old, &new, &Rules::default()).unwrap().transform;
    let changed: Vec<&str> = transform.tables.iter().map(|table| table.name.as_str()).collect();
    for name in ["Component", "FeatureComponents", "Property"] {
        assert!(changed.contains(&name), "{changed:?}");
    }
    let bytes = transform.write().unwrap();
    let by_database = Transform::read(Cursor::new(&bytes), Known::Database(&old)).unwrap();
    let by_documentation = Transform::read(Cursor::new(&bytes), Known::Standard).unwrap();
    assert_eq!(by_database, transform);
    assert_eq!(by_documentation.undecoded, []);
    for (one, other) in by_database.tables.iter().zip(&by_documentation.tables) {
        assert_eq!((&one.name, &one.rows), (&other.name, &other.rows));
    }
    // Every table, by making all of its rows new, and one more: some have none.
    for table in &old.tables {
        let cell = |column: &Column| match column.kind {
            ColumnKind::Int16 => Value::Int(77),
            ColumnKind::Int32 => Value::Int(70_000),
            ColumnKind::Text(_) => text("other"),
            ColumnKind::Binary => Value::Binary(vec![7]),
        };
        let mut table = table.clone();
        table.rows.push(table.columns.iter().map(cell).collect());
        let with = |rows: Vec<Vec<Value>>| {
            let table = Table { rows, ..table.clone() };
            Database { code_page: old.code_page, tables: vec![table], ..Database::default() }
        };
        let made = diff(&with(Vec::new()), &with(table.rows.clone()), &Rules::default()).unwrap().transform;
        let read = Transform::read(Cursor::new(made.write().unwrap()), Known::Standard).unwrap();
        let rows = |transform: &Transform| transform.tables.iter().map(|table| table.rows.clone()).collect::<Vec<_>>();
        assert_eq!((rows(&read), &read.undecoded), (rows(&made), &Vec::new()), "{}", table.name);
    }
}

const PRODUCT_OF_WIXL: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<Wix xmlns="http://schemas.microsoft.com/wix/2006/wi">
  <Product Id="11111111-2222-3333-4444-555555555555" Name="App" Language="1033" Version="VERSION" Manufacturer="Example"
           UpgradeCode="99999999-8888-7777-6666-555555555555">
    <Package InstallerVersion="200" Compressed="no" Description="App" InstallScope="perMachine"/>
    <Media Id="1" Cabinet="app.cab" EmbedCab="no"/>
    <Property Id="TOLD" Value="yes"/>
    <Directory Id="TARGETDIR" Name="SourceDir"><Directory Id="ProgramFilesFolder"><Directory Id="INSTALLDIR" Name="App">
      <Component Id="Main" Guid="AAAAAAAA-2222-3333-4444-555555555555">
        <File Id="app.txt" Name="app.txt" Source="app.txt" KeyPath="yes"/>
        <RemoveFolder Id="Folder" On="uninstall"/>
        <Shortcut Id="Short" Name="App" Directory="INSTALLDIR" Target="[INSTALLDIR]app.txt"/>
        <ServiceControl Id="Stop" Name="app" Stop="both" Wait="yes"/>
      </Component>
      <!-- more -->
    </Directory></Directory></Directory>
    <Feature Id="All" Title="All" Level="1"><ComponentRef Id="Main"/><!-- reference --></Feature>
    <CustomAction Id="Set" Property="TOLD" Value="no"/>
    <InstallExecuteSequence><Custom Action="Set" After="CostFinalize"/></InstallExecuteSequence>
  </Product>
</Wix>
"#;

/// Runs `transform.exe` on the list; gives what it printed.
fn wine(root: &Path) -> String {
    let ran = Command::new(WINE)
        .args(["transform.exe", "list"])
        .current_dir(root)
        .env("WINEPREFIX", root.join("prefix"))
        .env("WINEDEBUG", "-all")
        .env("WINEDLLOVERRIDES", "mscoree,mshtml=")
        .env("HOME", root)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    // The server would keep the folder busy for a while.
    let _ = Command::new("/usr/lib/wine/wineserver64").arg("-k").env("WINEPREFIX", root.join("prefix")).status();
    assert!(ran.status.success(), "{ran:?}");
    String::from_utf8(ran.stdout).unwrap().replace("\r\n", "\n")
}
