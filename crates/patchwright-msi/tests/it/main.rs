//! Databases, text archives and patch creation properties through the public interface alone.

#![allow(missing_docs, clippy::unwrap_used)]

mod archive;
mod cabinets;
mod check;
mod check_images;
mod database;
mod fixture;
mod image;
mod image_peers;
mod lint;
mod msp;
mod patch_tables;
mod peers;
mod plan;
mod product;
mod transform;
mod world;

use std::io::Cursor;

use patchwright_msi::database::{Column, ColumnKind, Database, Property, Summary, Table, Value};
use patchwright_msi::pcp::{Image, New, Pair, new};

const GUID: &str = "{5406B219-A1AC-4BC4-8695-72292C8195AC}";

fn text(text: &str) -> Value {
    Value::Str(text.to_owned())
}

fn column(name: &str, kind: ColumnKind, key: bool) -> Column {
    Column { name: name.to_owned(), kind, nullable: !key, key, localizable: false }
}

/// An installer as far as `new` looks at it.
fn installer(version: &str) -> Database {
    let rows = [
        ("Manufacturer", "Example"),
        ("ProductCode", "{11111111-2222-3333-4444-555555555555}"),
        ("ProductName", "Note Pad"),
        ("ProductVersion", version),
        ("UpgradeCode", "{AAAAAAAA-BBBB-CCCC-DDDD-EEEEEEEEEEEE}"),
        ("ARPHELPLINK", "https://example.org"),
    ];
    let table = Table {
        name: "Property".to_owned(),
        columns: vec![column("Property", ColumnKind::Text(72), true), column("Value", ColumnKind::Text(0), false)],
        rows: rows.iter().map(|(name, value)| vec![text(name), text(value)]).collect(),
    };
    Database { tables: vec![table], ..Database::default() }
}

/// A `.pcp` without a fault.
fn sound() -> Database {
    let (old, new_image) = (installer("1.0.0"), installer("1.1.0"));
    let pair = Pair {
        old: Image { path: "1.0/app.msi", database: &old },
        new: Image { path: "1.1/app.msi", database: &new_image },
    };
    let mut database =
        new(&New { pairs: &[pair], patch_guid: GUID, patch_path: "app.msp", metadata: &Default::default() }).unwrap().0;
    // Rows of the tests are about files with and without it; most have none.
    database.tables.retain(|table| table.name != "PatchSequence");
    database
}

/// A database with every kind of column, texts of every sort and streams.
fn varied() -> Database {
    let kinds = Table {
        name: "Kinds".to_owned(),
        columns: vec![
            column("Name", ColumnKind::Text(72), true),
            column("Number", ColumnKind::Int32, true),
            column("Short", ColumnKind::Int16, false),
            Column { localizable: true, ..column("Text", ColumnKind::Text(0), false) },
            column("Data", ColumnKind::Binary, false),
        ],
        rows: vec![
            vec![text("a"), Value::Int(-2), Value::Int(-0x7fff), text("tab\tline\r\nnul\0"), Value::Null],
            vec![text("a"), Value::Int(i32::MAX), Value::Null, Value::Null, Value::Binary(vec![0, 255, 13, 10])],
            vec![text("b"), Value::Int(0), Value::Int(0x7fff), text("Grüße €"), Value::Binary(vec![7; 10_000])],
            vec![text("c"), Value::Int(0), Value::Int(0), text(&"long ".repeat(20_000)), Value::Null],
        ],
    };
    let empty = Table { name: "Empty".to_owned(), columns: kinds.columns[..1].to_vec(), rows: Vec::new() };
    let properties = [
        (1, Property::I2(1252)),
        (2, Property::Text("Grüße".to_owned())),
        (9, Property::Text(GUID.to_owned())),
        (12, Property::Time(132_224_000_000_000_000 / 10_000_000 * 10_000_000)),
        (15, Property::I4(-1)),
    ];
    let summary = Summary { properties: properties.into() };
    Database { code_page: 1252, summary, tables: vec![empty, kinds], others: Vec::new() }
}

fn reread(database: &Database) -> Database {
    Database::read(Cursor::new(database.write().unwrap())).unwrap()
}
