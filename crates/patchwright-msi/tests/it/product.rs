//! A small product in two versions, and the patch between them.

use std::io::Cursor;

use patchwright_msi::database::{Column, Database, Property, Table, Value};
use patchwright_msi::idt::import;
use patchwright_msi::msp::{
    Cabinet, Contents, Metadata, PatchSummary, Sequence, metadata_table, sequence_table, write,
};
use patchwright_msi::patch_tables::{self, Delta, PatchMedia, PatchTables, WholeFile};
use patchwright_msi::transform::info::{TransformInfo, Validation};
use patchwright_msi::transform::{ErrorConditions, Rules, Transform, apply, diff};

pub(crate) const PRODUCT: &str = "{11111111-2222-3333-4444-555555555555}";
pub(crate) const UPGRADE: &str = "{99999999-8888-7777-6666-555555555555}";
pub(crate) const PATCH: &str = "{5406B219-A1AC-4BC4-8695-72292C8195AC}";

/// A table from columns as text archives spell them, `*` before a key, and rows of fields.
pub(crate) fn table(name: &str, columns: &str, rows: &[&[&str]]) -> Table {
    let columns: Vec<(&str, &str)> = columns.split(' ').map(|column| column.split_once(':').unwrap()).collect();
    let line = |fields: Vec<&str>| format!("{}\n", fields.join("\t"));
    let keys = columns.iter().filter_map(|(name, _)| name.strip_prefix('*'));
    let mut archive = line(columns.iter().map(|(name, _)| name.trim_start_matches('*')).collect());
    archive += &line(columns.iter().map(|(_, kind)| *kind).collect());
    archive += &line(std::iter::once(name).chain(keys).collect());
    archive.extend(rows.iter().map(|row| line(row.to_vec())));
    let file = format!("{name}.idt");
    let stream = |_: &str, name: &str| Ok(name.as_bytes().to_vec());
    import([(file.as_str(), archive.as_bytes())], stream).unwrap().tables.remove(0)
}

/// A version of the product. Its files are `app.exe`, `help.txt`, and from 1.1 on `new.dll`.
pub(crate) fn product(version: &str) -> Database {
    let newer = version != "1.0.0";
    let mut files = vec![
        ["app.exe", "Main", "APP~1.EXE|app.exe", if newer { "5200" } else { "5000" }, version, "1033", "512", "1"],
        ["help.txt", "Main", "help.txt", if newer { "130" } else { "120" }, "", "", "512", "2"],
    ];
    if newer {
        files.push(["new.dll", "Main", "new.dll", "77", "", "", "8192", "3"]);
    }
    let files: Vec<&[&str]> = files.iter().map(|row| &row[..]).collect();
    let tables = vec![
        table("Binary", "*Name:s72 Data:v0", &[&["dialog", if newer { "dialog.new" } else { "dialog.old" }]]),
        table(
            "Component",
            "*Component:s72 ComponentId:S38 Directory_:s72 Attributes:i2 Condition:S255 KeyPath:S72",
            &[&["Main", "{AAAAAAAA-2222-3333-4444-555555555555}", "INSTALLDIR", "0", "", "app.exe"]],
        ),
        table(
            "Directory",
            "*Directory:s72 Directory_Parent:S72 DefaultDir:l255",
            &[&["INSTALLDIR", "TARGETDIR", "App"], &["TARGETDIR", "", "SourceDir"]],
        ),
        table(
            "Feature",
            "*Feature:s38 Feature_Parent:S38 Title:L64 Description:L255 Display:I2 Level:i2 Directory_:S72 Attributes:i2",
            &[&["All", "", "All", "", "1", "1", "INSTALLDIR", "0"]],
        ),
        table("FeatureComponents", "*Feature_:s38 *Component_:s72", &[&["All", "Main"]]),
        table(
            "File",
            "*File:s72 Component_:s72 FileName:l255 FileSize:i4 Version:S72 Language:S20 Attributes:I2 Sequence:i4",
            &files,
        ),
        table(
            "InstallExecuteSequence",
            "*Action:s72 Condition:S255 Sequence:I2",
            &[
                &["CostInitialize", "", "800"],
                &["FileCost", "", "900"],
                &["CostFinalize", "", "1000"],
                &["InstallValidate", "", "1400"],
                &["InstallInitialize", "", "1500"],
                &["ProcessComponents", "", "1600"],
                &["InstallFiles", "", "4000"],
                &["DuplicateFiles", "", "4210"],
                &["InstallFinalize", "", "6600"],
            ],
        ),
        table(
            "Media",
            "*DiskId:i2 LastSequence:i4 DiskPrompt:L64 Cabinet:S255 VolumeLabel:S32 Source:S72",
            &[&["1", if newer { "3" } else { "2" }, "", "", "", ""]],
        ),
        table(
            "Property",
            "*Property:s72 Value:l0",
            &[
                &["Manufacturer", "Example"],
                &["ProductCode", PRODUCT],
                &["ProductLanguage", "1033"],
                &["ProductName", "App"],
                &["ProductVersion", version],
                &["UpgradeCode", UPGRADE],
            ],
        ),
    ];
    let mut database = Database { tables, ..Database::default() };
    let package =
        if newer { "{BBBBBBBB-2222-3333-4444-555555555555}" } else { "{CCCCCCCC-2222-3333-4444-555555555555}" };
    let text = |text: &str| Property::Text(text.to_owned());
    database.summary.properties = [
        (1, Property::I2(1252)),
        (2, text("Installation Database")),
        (3, text("App")),
        (4, text("Example")),
        (7, text("x64;1033")),
        (9, text(package)),
        (14, Property::I4(200)),
        (15, Property::I4(0)),
        (19, Property::I4(2)),
    ]
    .into();
    database.sort();
    database
}

/// What a patch from 1.0.0 to 1.1.0 keeps book of: `app.exe` as a delta, the others whole.
pub(crate) fn bookkeeping() -> PatchTables<'static> {
    let whole = |file: &str, sequence| WholeFile { file: file.to_owned(), sequence };
    PatchTables {
        patch_code: PATCH.to_owned(),
        media: vec![PatchMedia {
            disk_id: 2,
            last_sequence: 1003,
            cabinet: "PCW_CAB_App".to_owned(),
            source: "AppSource".to_owned(),
            ..PatchMedia::default()
        }],
        whole_files: vec![whole("help.txt", 1001), whole("new.dll", 1002)],
        deltas: vec![Delta {
            file: "app.exe".to_owned(),
            sequence: 1000,
            size: 321,
            header: b"PA19 header".to_vec(),
            vital: true,
        }],
        ..PatchTables::default()
    }
}

/// The two transforms of a pair, and the database after both.
pub(crate) fn pair(old: &Database, new: &Database, tables: &PatchTables<'_>) -> ([Transform; 2], Database) {
    let mut main = diff(old, new, &Rules::main()).unwrap().transform;
    let info = TransformInfo::of(old, new, Validation::DEFAULT, ErrorConditions::OF_PATCHES).unwrap();
    main.summary = info.summary(&new.summary);
    let mut upgraded = apply(&main, old, ErrorConditions::OF_PATCHES).unwrap();
    upgraded.summary = new.summary.clone();
    let patched = patch_tables::add(&upgraded, tables).unwrap();
    let mut second = diff(&upgraded, &patched, &Rules::default()).unwrap().transform;
    let info = TransformInfo::of(&upgraded, &upgraded, Validation(0x0927), ErrorConditions::OF_PATCHES).unwrap();
    second.summary = info.summary(&new.summary);
    ([main, second], patched)
}

/// The summary information of the patch.
pub(crate) fn summary() -> PatchSummary {
    PatchSummary {
        code_page: 1252,
        title: Some("App 1.0.0 to 1.1.0".to_owned()),
        sources: Some("Sources".to_owned()),
        product_codes: vec![PRODUCT.to_owned()],
        transforms: vec!["OldToNew".to_owned(), "#OldToNew".to_owned()],
        patch_code: PATCH.to_owned(),
        replaces: vec!["{DDDDDDDD-2222-3333-4444-555555555555}".to_owned()],
        installer: 5,
        security: Some(4),
        ..PatchSummary::default()
    }
}

/// The patch, with a cabinet of these bytes.
pub(crate) fn patch(cabinet: &[u8]) -> Vec<u8> {
    patch_with(cabinet, &bookkeeping())
}

/// The patch, with other deltas.
pub(crate) fn patch_with(mut cabinet: &[u8], tables: &PatchTables<'_>) -> Vec<u8> {
    let ([main, second], _) = pair(&product("1.0.0"), &product("1.1.0"), tables);
    let sequence = Sequence {
        family: "App".to_owned(),
        sequence: Some("1.1.0.0".to_owned()),
        attributes: Some(1),
        ..Sequence::default()
    };
    let metadata = [("AllowRemoval", "1"), ("Classification", "Update"), ("DisplayName", "App 1.1")];
    let metadata = metadata.map(|(property, value)| Metadata {
        company: None,
        property: property.to_owned(),
        value: Some(value.to_owned()),
    });
    let tables = [sequence_table(&[sequence]), metadata_table(&metadata)];
    let len_bytes = cabinet.len() as u64;
    let contents = Contents {
        summary: summary(),
        code_page: 0,
        tables: tables.into_iter().flatten().collect(),
        transforms: vec![("OldToNew".to_owned(), main), ("#OldToNew".to_owned(), second)],
        cabinets: vec![Cabinet { name: "PCW_CAB_App".to_owned(), len_bytes, content: &mut cabinet }],
    };
    write(contents, Cursor::new(Vec::new())).unwrap().into_inner()
}

/// The rows of a table that have this first value.
pub(crate) fn rows<'a>(database: &'a Database, table: &str, key: &str) -> Vec<&'a Vec<Value>> {
    let rows = database.table(table).into_iter().flat_map(|table| &table.rows);
    rows.filter(|row| row[0].to_string() == key).collect()
}

/// Widens or narrows a column.
pub(crate) fn column_mut<'a>(database: &'a mut Database, table: &str, column: &str) -> &'a mut Column {
    let table = database.tables.iter_mut().find(|other| other.name == table).unwrap();
    table.columns.iter_mut().find(|other| other.name == column).unwrap()
}
