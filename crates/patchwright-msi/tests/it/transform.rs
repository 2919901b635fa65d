//! Transforms: what differs is found, written, read back and followed; what cannot be is refused, all at once.

use std::io::Cursor;

use patchwright_msi::database::{Column, ColumnKind, Database, Table, Value};
use patchwright_msi::transform::{Definitions, ErrorConditions, Known, Rules, Transform, apply, diff};
use proptest::prelude::*;

use crate::product::{product, rows, table};
use crate::{column, text};

/// What becomes of a table between two databases.
#[derive(Clone, Debug)]
struct TablePair {
    keys: Vec<u8>,
    others: Vec<u8>,
    /// How many of the others only the new table has.
    new_columns: usize,
    in_old: bool,
    in_new: bool,
    rows: Vec<RowPair>,
}

/// What the values of the key, of the old row and of the new one are made of.
type RowPair = (Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>);

fn table_pair() -> impl Strategy<Value = TablePair> {
    let keys = prop::collection::vec(0..3_u8, 1..4);
    let others = prop_oneof![3 => prop::collection::vec(0..4_u8, 0..6), 1 => prop::collection::vec(0..3_u8, 14..22)];
    (keys, others, 0..3_usize, prop_oneof![4 => Just((true, true)), 1 => Just((true, false)), 1 => Just((false, true))])
        .prop_flat_map(|(keys, others, new_columns, (in_old, in_new))| {
            let key = prop::collection::vec(any::<u8>(), keys.len());
            let row = || prop::option::of(prop::collection::vec(any::<u8>(), others.len()));
            let rows = prop::collection::vec((key, row(), row()), 0..8);
            (Just((keys, others, new_columns, in_old, in_new)), rows)
        })
        .prop_map(|((keys, others, new_columns, in_old, in_new), rows)| TablePair {
            new_columns: new_columns.min(others.len()),
            keys,
            others,
            in_old,
            in_new,
            rows,
        })
}

fn kind(seed: u8) -> ColumnKind {
    [ColumnKind::Text(72), ColumnKind::Int16, ColumnKind::Int32, ColumnKind::Binary][usize::from(seed) % 4]
}

fn value(kind: ColumnKind, seed: u8) -> Value {
    let pick = |count: u8| usize::from(seed % count);
    match kind {
        ColumnKind::Text(_) => match seed % 12 {
            0 => Value::Null,
            1 => text("Grüße €"),
            2 => text(&"long ".repeat(14_000)),
            _ => text(&format!("text {}", seed % 32)),
        },
        ColumnKind::Int16 => {
            [Value::Null, Value::Int(0), Value::Int(-0x7fff), Value::Int(0x7fff), Value::Int(-1)][pick(5)].clone()
        }
        ColumnKind::Int32 => {
            [Value::Null, Value::Int(0), Value::Int(-i32::MAX), Value::Int(i32::MAX), Value::Int(7)][pick(5)].clone()
        }
        ColumnKind::Binary => match seed % 3 {
            0 => Value::Null,
            1 => Value::Binary(Vec::new()),
            _ => Value::Binary(vec![seed; usize::from(seed) * 40]),
        },
    }
}

fn tables(pairs: &[TablePair]) -> (Vec<Table>, Vec<Table>) {
    let (mut olds, mut news) = (Vec::new(), Vec::new());
    for (at, pair) in pairs.iter().enumerate() {
        let mut seen_binary = false;
        let mut kinds: Vec<ColumnKind> = pair.keys.iter().map(|seed| kind(*seed)).collect();
        for seed in &pair.others {
            let one = kind(*seed);
            // A row has one stream.
            let one = if one == ColumnKind::Binary && seen_binary { ColumnKind::Int16 } else { one };
            seen_binary |= one == ColumnKind::Binary;
            kinds.push(one);
        }
        let columns: Vec<Column> = kinds
            .iter()
            .enumerate()
            .map(|(at, kind)| Column { nullable: true, ..column(&format!("C{at}"), *kind, at < pair.keys.len()) })
            .collect();
        let old_len = columns.len() - pair.new_columns;
        let name = format!("T{at}");
        let mut old = Table { name: name.clone(), columns: columns[..old_len].to_vec(), rows: Vec::new() };
        let mut new = Table { name, columns: columns.clone(), rows: Vec::new() };
        let mut keys = Vec::new();
        for (key, of_old, of_new) in &pair.rows {
            let key: Vec<Value> = key.iter().zip(&kinds).map(|(seed, kind)| short(value(*kind, *seed))).collect();
            if keys.contains(&key) {
                continue;
            }
            let row = |seeds: &[u8]| -> Vec<Value> {
                let others = seeds.iter().zip(&kinds[key.len()..]).map(|(seed, kind)| value(*kind, *seed));
                key.iter().cloned().chain(others).collect()
            };
            old.rows.extend(of_old.as_ref().map(|seeds| row(seeds)[..old_len].to_vec()));
            new.rows.extend(of_new.as_ref().map(|seeds| row(seeds)));
            keys.push(key);
        }
        olds.extend(pair.in_old.then_some(old));
        news.extend(pair.in_new.then_some(new));
    }
    (olds, news)
}

/// Keys become names of streams, which have an end.
fn short(value: Value) -> Value {
    match value {
        Value::Str(text) if text.len() > 10 => Value::Str("Größe".to_owned()),
        value => value,
    }
}

proptest! {
    /// A transform makes the new database of the old one, straight away and by way of its bytes.
    #[test]
    fn what_is_found_is_written_read_and_followed(
        pairs in prop::collection::vec(table_pair(), 0..5),
        code_pages in prop_oneof![Just((1252, 1252)), Just((0, 1252)), Just((65001, 65001))],
    ) {
        let (olds, news) = tables(&pairs);
        let old = Database { code_page: code_pages.0, tables: olds, ..Database::default() };
        let mut new = Database { code_page: code_pages.1, tables: news, ..Database::default() };
        new.sort();
        let made = diff(&old, &new, &Rules::default()).unwrap();
        prop_assert_eq!(&made.suppressed, &[]);
        let transform = made.transform;
        let mut result = apply(&transform, &old, ErrorConditions::OF_PATCHES).unwrap();
        result.sort();
        prop_assert_eq!(&result, &new);
        let bytes = transform.write().unwrap();
        prop_assert_eq!(&bytes, &transform.write().unwrap());
        let read = Transform::read(Cursor::new(bytes), Known::Database(&old)).unwrap();
        prop_assert_eq!(&read, &transform);
        // And back.
        let back = diff(&new, &old, &Rules::default());
        if pairs.iter().all(|pair| pair.new_columns == 0) && code_pages.0 == code_pages.1 {
            let mut result = apply(&back.unwrap().transform, &new, ErrorConditions::OF_PATCHES).unwrap();
            result.sort();
            let mut old = old.clone();
            old.sort();
            prop_assert_eq!(result, old);
        }
        prop_assert!(diff(&new, &new, &Rules::default()).unwrap().transform.is_empty());
    }
}

/// What differs in more than rows and new columns is refused, all of it at once, with table and column.
#[test]
fn definitions_that_differ_are_told_all_at_once() {
    let old = Database {
        code_page: 1252,
        tables: vec![
            table("A", "*K:s72 N:i2 T:s20 Gone:i2", &[]),
            table("B", "*K:s72 First:i2 Second:i2", &[]),
            table("C", "*K:s72 N:i2", &[]),
            table("D", "*K:s72 *L:i2", &[&["a", "1"]]),
        ],
        ..Database::default()
    };
    let mut new = Database {
        code_page: 1250,
        tables: vec![
            table("A", "*K:s72 N:i4 T:s40", &[]),
            table("B", "*K:s72 Second:i2 First:i2", &[]),
            table("C", "*K:s72 N:i2 *L:i2", &[]),
            table("D", "*K:s72 L:i2", &[&["a", "1"]]),
        ],
        ..Database::default()
    };
    new.tables[3].rows.push(vec![text("a"), Value::Int(1 << 20)]);
    let told = diff(&old, &new, &Rules::default()).unwrap_err();
    assert_eq!(
        told.to_string(),
        "the code page is 1252 in the old database and 1250 in the new one\n\
         table A, column N: its type is i2 in the old database and i4 in the new one\n\
         table A, column T: its type is s20 in the old database and s40 in the new one\n\
         table A, column Gone: the new database lacks it\n\
         table B, column First: it has another place in the new database\n\
         table B, column Second: it has another place in the new database\n\
         table C, column L: a new column cannot be part of the key\n\
         table D: row a: column L does not take 1048576"
    );
    assert!(told.0.iter().skip(1).take(6).all(|objection| objection.hint.contains("same columns")));
}

/// What does not change how values are stored may differ where the rules say so: the old definition stays, and it is told.
#[test]
fn definitions_that_are_stored_alike_may_differ() {
    let old = Database { tables: vec![table("A", "*K:s72 T:s20", &[&["a", "old"]])], ..Database::default() };
    let new = Database { tables: vec![table("A", "*K:s255 T:L40 N:I2", &[&["a", "new", "1"]])], ..Database::default() };
    let rules = Rules { definitions: Definitions::SameStorage, ..Rules::default() };
    let made = diff(&old, &new, &rules).unwrap();
    let columns: Vec<&str> = made.suppressed.iter().map(|suppressed| suppressed.column.as_str()).collect();
    assert_eq!(columns, ["K", "T"]);
    let result = apply(&made.transform, &old, ErrorConditions::NONE).unwrap();
    assert_eq!(result.tables, [table("A", "*K:s72 T:s20 N:I2", &[&["a", "new", "1"]])]);
    let narrow = Database { tables: vec![table("A", "*K:s72 T:i2", &[])], ..Database::default() };
    assert!(diff(&old, &narrow, &rules).unwrap_err().to_string().contains("table A, column T: its type is s20"));
}

/// What a rule holds back is told, with what stays and what the new database has instead.
#[test]
fn what_a_main_transform_leaves_alone_is_told() {
    let (old, mut new) = (product("1.0.0"), product("1.1.0"));
    let file = new.tables.iter_mut().find(|table| table.name == "File").unwrap();
    // A rebuild numbers files anew, and says other things of them.
    file.rows[0][7] = Value::Int(2);
    file.rows[1][7] = Value::Int(1);
    file.rows[1][6] = Value::Int(0);
    new.tables.retain(|table| table.name != "Binary");
    new.tables.push(table("PatchPackage", "*PatchId:s38 Media_:i2", &[]));
    new.tables.push(table(
        "MsiFileHash",
        "*File_:s72 Options:i2 HashPart1:i4 HashPart2:i4 HashPart3:i4 HashPart4:i4",
        &[&["help.txt", "0", "1", "2", "3", "4"], &["new.dll", "0", "1", "2", "3", "4"]],
    ));
    let made = diff(&old, &new, &Rules::main().ignore_files(["help.txt".to_owned()])).unwrap();
    let told: Vec<String> = made
        .suppressed
        .iter()
        .map(|held| {
            let value = |value: &Option<Value>| value.as_ref().map_or("-".to_owned(), ToString::to_string);
            format!("{} {} {} {} {}", held.table, held.row, held.column, value(&held.old), value(&held.new))
        })
        .collect();
    assert_eq!(
        told,
        [
            "Binary   - -",
            "File app.exe Sequence 1 2",
            "File help.txt FileSize 120 130",
            "File help.txt Attributes 512 0",
            "File help.txt Sequence 2 1",
            "Media   - -",
            "MsiFileHash help.txt  - -",
            "PatchPackage   - -",
        ]
    );
    let names: Vec<&str> = made.transform.tables.iter().map(|table| table.name.as_str()).collect();
    assert_eq!(names, ["File", "MsiFileHash", "Property"]);
    let result = apply(&made.transform, &old, ErrorConditions::NONE).unwrap();
    let found = |name: &str, key: &str| {
        rows(&result, name, key)[0].iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(found("File", "app.exe"), "app.exe Main APP~1.EXE|app.exe 5200 1.1.0 1033 512 1");
    assert_eq!(found("File", "help.txt"), "help.txt Main help.txt 120   512 2");
    assert_eq!(found("File", "new.dll"), "new.dll Main new.dll 77   8192 3");
    assert_eq!(found("Property", "ProductVersion"), "ProductVersion 1.1.0");
    assert_eq!(found("MsiFileHash", "new.dll"), "new.dll 0 1 2 3 4");
    assert_eq!(result.table("Media"), old.table("Media"));
    assert_eq!(result.table("Binary"), old.table("Binary"));
}

/// A neutral database takes any code page; one that has a code page keeps it.
#[test]
fn code_pages() {
    let with = |code_page, value: &str| Database {
        code_page,
        tables: vec![table("A", "*K:s72 T:s0", &[&["a", value]])],
        ..Database::default()
    };
    for (old, new, value, of_transform, of_result) in [
        (0, 0, "plain", 0, 0),
        (1252, 1252, "plain", 0, 1252),
        (0, 1252, "plain", 1252, 1252),
        (1252, 0, "plain", 1252, 1252),
    ] {
        let made = diff(&with(old, "x"), &with(new, value), &Rules::default()).unwrap();
        assert_eq!(made.transform.code_page, of_transform, "{old} {new}");
        assert_eq!(made.suppressed.len(), usize::from(old != 0 && new == 0));
        let result = apply(&made.transform, &with(old, "x"), ErrorConditions::NONE).unwrap();
        assert_eq!(result.code_page, of_result, "{old} {new}");
    }
    let mut german = with(1252, "x");
    german.tables[0].rows[0][1] = text("Gr\u{fc}\u{df}e");
    let made = diff(&with(1252, "x"), &german, &Rules::default()).unwrap().transform;
    assert_eq!(made.code_page, 1252, "a text needs it");
    let told = apply(&made, &with(1250, "x"), ErrorConditions::OF_PATCHES).unwrap_err().to_string();
    assert_eq!(told, "the code page of the database is 1250, that of the transform 1252");
    let suppressed = ErrorConditions(ErrorConditions::CHANGE_CODE_PAGE);
    assert_eq!(apply(&made, &with(1250, "x"), suppressed).unwrap().code_page, 1252);
}

/// Each condition stops a transform unless it is suppressed; all that hold are told at once.
#[test]
fn what_does_not_fit_is_told_all_at_once() {
    let base = Database {
        tables: vec![
            table("A", "*K:s72 N:i2", &[&["is", "1"], &["stays", "1"]]),
            table("New", "*K:s72 N:i2", &[&["x", "1"]]),
        ],
        ..Database::default()
    };
    let old = Database {
        tables: vec![table("A", "*K:s72 N:i2", &[&["changes", "1"], &["goes", "1"]]), table("Gone", "*K:s72", &[])],
        ..Database::default()
    };
    let new = Database {
        tables: vec![
            table("A", "*K:s72 N:i2", &[&["changes", "2"], &["is", "2"]]),
            table("New", "*K:s72 N:i2", &[&["x", "2"]]),
        ],
        ..Database::default()
    };
    let transform = diff(&old, &new, &Rules::default()).unwrap().transform;
    let rows = [
        (ErrorConditions::ADD_EXISTING_ROW, "table A, row is: the row to add is there"),
        (ErrorConditions::DELETE_MISSING_ROW, "table A, row goes: the row to delete is not there"),
        (ErrorConditions::ADD_EXISTING_TABLE, "table New: the table to add is there"),
        (ErrorConditions::DELETE_MISSING_TABLE, "table Gone: the table to drop is not there"),
        (ErrorConditions::UPDATE_MISSING_ROW, "table A, row changes: the row to change is not there"),
    ];
    for (condition, expect) in rows {
        let told = apply(&transform, &base, ErrorConditions(ErrorConditions::ALL & !condition)).unwrap_err();
        let told: Vec<String> = told.0.iter().map(ToString::to_string).collect();
        let mut all = vec![expect.to_owned()];
        if condition == ErrorConditions::ADD_EXISTING_ROW {
            all.push("table New, row x: the row to add is there".to_owned());
        }
        assert_eq!(told, all);
    }
    assert_eq!(apply(&transform, &base, ErrorConditions::NONE).unwrap_err().0.len(), 6);
    let result = apply(&transform, &base, ErrorConditions(ErrorConditions::ALL)).unwrap();
    assert_eq!(
        result.tables,
        [table("A", "*K:s72 N:i2", &[&["is", "2"], &["stays", "1"]]), table("New", "*K:s72 N:i2", &[&["x", "2"]]),]
    );
}

/// No suppression helps where the database is another one.
#[test]
fn another_database_is_refused() {
    let old = Database {
        tables: vec![table("A", "*K:s72 N:i4", &[&["a", "1"]]), table("B", "*K:s72 T:s0", &[&["a", "b"]])],
        ..Database::default()
    };
    let new = Database {
        tables: vec![table("A", "*K:s72 N:i4", &[&["a", "100000"]]), table("B", "*K:s72 T:s0", &[&["a", "c"]])],
        ..Database::default()
    };
    let transform = diff(&old, &new, &Rules::default()).unwrap().transform;
    let all = ErrorConditions(ErrorConditions::ALL);
    for (base, expect) in [
        (
            vec![table("A", "*K:s72 N:i2", &[&["a", "1"]])],
            "table A: row a: column N does not take 100000\ntable B: the database lacks it, and the transform does not add it",
        ),
        (
            vec![table("A", "*K:s72 M:i4", &[]), old.tables[1].clone()],
            "table A, column N: the table of the database lacks it",
        ),
        (
            vec![table("A", "*K:s72 *N:i4", &[]), old.tables[1].clone()],
            "table A, column N: it is part of the key in one of the two only",
        ),
        (
            vec![table("A", "*K:s72 N:i4 *L:i2", &[]), old.tables[1].clone()],
            "table A, column L: it is part of the key, and the transform does not know it",
        ),
    ] {
        let base = Database { tables: base, ..Database::default() };
        assert_eq!(apply(&transform, &base, all).unwrap_err().to_string(), expect);
    }
    // Read with a database that lacks the table, its rows are a mystery; they are not lost without a word.
    let read = Transform::read(Cursor::new(transform.write().unwrap()), Known::Database(&Database::default())).unwrap();
    assert_eq!(
        read.undecoded.iter().map(|table| (table.table.as_str(), table.len_bytes)).collect::<Vec<_>>(),
        [("A", 8), ("B", 6)]
    );
    assert_eq!(apply(&read, &Database::default(), all).unwrap_err().0.len(), 2);
}

/// Columns may stand in another order than where the transform was made; names decide.
#[test]
fn columns_are_found_by_name() {
    let columns = "*K:s72 *L:i2 N:i2 T:s0";
    let old = Database { tables: vec![table("A", columns, &[&["a", "1", "1", "x"]])], ..Database::default() };
    let new = Database {
        tables: vec![table("A", columns, &[&["a", "1", "2", "x"], &["b", "2", "3", "y"]])],
        ..Database::default()
    };
    let transform = diff(&old, &new, &Rules::default()).unwrap().transform;
    let base = Database {
        tables: vec![table("A", "*L:i2 T:s0 *K:s72 N:i2", &[&["1", "x", "a", "1"]])],
        ..Database::default()
    };
    let result = apply(&transform, &base, ErrorConditions::NONE).unwrap();
    assert_eq!(result.tables, [table("A", "*L:i2 T:s0 *K:s72 N:i2", &[&["1", "x", "a", "2"], &["2", "y", "b", "3"]])]);
}
