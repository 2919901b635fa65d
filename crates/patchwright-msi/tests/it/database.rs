//! Databases as bytes: what is written is read back, here and by others, and damage is an error.

use std::io::Cursor;

use patchwright_msi::MsiErrorKind;
use patchwright_msi::database::{ColumnKind, Database, Table, Value};

use crate::{column, reread, sound, text, varied};

#[test]
fn what_is_written_is_read_back() {
    for database in [varied(), sound(), Database::default()] {
        assert_eq!(reread(&database), database);
        assert_eq!(database.write().unwrap(), database.write().unwrap());
    }
}

/// Beyond 65,535 texts their numbers take three bytes.
#[test]
fn many_texts() {
    let rows = (0..70_000).map(|number| vec![text(&format!("{number:06}"))]).collect();
    let table = Table { name: "Many".to_owned(), columns: vec![column("Name", ColumnKind::Text(8), true)], rows };
    let database = Database { tables: vec![table], ..Database::default() };
    assert_eq!(reread(&database), database);
}

/// The `msi` crate, which shares only the container with us, reads the same rows.
#[test]
fn another_reader_reads_the_same() {
    let database = varied();
    let mut package = msi::Package::open(Cursor::new(database.write().unwrap())).unwrap();
    for table in &database.tables {
        let names: Vec<&str> = package.get_table(&table.name).unwrap().columns().iter().map(|c| c.name()).collect();
        assert_eq!(names, table.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>());
        let rows = package.select_rows(msi::Select::table(&table.name)).unwrap();
        let rows: Vec<Vec<String>> = rows.map(|row| (0..row.len()).map(|at| row[at].to_string()).collect()).collect();
        let ours = table.rows.iter().map(|row| row.iter().map(shown).collect::<Vec<_>>());
        // What stands for a stream is shown otherwise.
        let columns = table.columns.iter().filter(|column| column.kind != ColumnKind::Binary).count();
        assert!(rows.iter().map(|row| &row[..columns]).eq(ours.map(|row| row[..columns].to_vec())), "{}", table.name);
    }
    assert_eq!(package.summary_info().title(), Some("Grüße"));
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Int(number) => number.to_string(),
        Value::Str(text) => msi::Value::Str(text.clone()).to_string(),
        Value::Binary(_) => String::new(),
    }
}

#[test]
fn values_that_cannot_be_are_refused() {
    let table = |rows| Table {
        name: "T".to_owned(),
        columns: vec![column("K", ColumnKind::Text(8), true), column("N", ColumnKind::Int16, false)],
        rows,
    };
    for (rows, expect) in [
        (vec![vec![text("a"), Value::Int(0x8000)]], "row a: column N does not take 32768"),
        (vec![vec![text("a"), text("b")]], "row a: column N does not take b"),
        (vec![vec![text("a")]], "row a has 1 values for 2 columns"),
        (vec![vec![text("a"), Value::Null], vec![text("a"), Value::Int(1)]], "two rows have the key a"),
        (vec![vec![text("ж"), Value::Null]], "code page 0 lacks characters"),
    ] {
        let error = Database { tables: vec![table(rows)], ..Database::default() }.write().unwrap_err();
        assert!(error.to_string().contains(expect), "{error}");
    }
}

/// Cut short anywhere, or with any byte changed, a file is read or refused; what is refused names the structure.
#[test]
fn damage_is_an_error() {
    let whole = varied().write().unwrap();
    for len in (0..whole.len()).step_by(97) {
        if let Err(error) = Database::read(Cursor::new(&whole[..len])) {
            assert!(!error.to_string().is_empty());
            assert!(!matches!(error.kind, MsiErrorKind::Io(_)), "{len}: {error}");
        }
    }
    assert!(matches!(
        Database::read(Cursor::new(b"no compound file")).unwrap_err().kind,
        MsiErrorKind::NotADatabase(_)
    ));
    for at in 0..whole.len().min(12_000) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x41;
        if let Err(error) = Database::read(Cursor::new(damaged)) {
            assert!(!error.structure.is_empty(), "byte {at}");
        }
    }
}

/// A text of a megabyte that every row names: a small file that would fill the memory.
#[test]
fn texts_are_not_copied_without_limit() {
    let row = |number| vec![Value::Int(number), text(&"x".repeat(1 << 20))];
    let table = |count| Table {
        name: "T".to_owned(),
        columns: vec![column("K", ColumnKind::Int16, true), column("T", ColumnKind::Text(0), false)],
        rows: (1..=count).map(row).collect(),
    };
    let file = |count| Database { tables: vec![table(count)], ..Database::default() }.write().unwrap();
    assert!(Database::read(Cursor::new(file(60))).is_ok());
    let error = Database::read(Cursor::new(file(100))).unwrap_err().to_string();
    assert!(error.contains("table T: column T: "), "{error}");
}
