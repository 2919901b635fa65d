//! Transforms: what differs is found, written, read back and followed; what cannot be is refused, all at once.

use std::io::Cursor;

use patchwright_msi::database::{Column, ColumnKind, Database, Table, Value};
use patchwright_msi::transform::{ErrorConditions, Known, Rules, Transform, apply, diff};
use proptest::prelude::*;

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
    /// Rows: what the values of the key, of the old row and of the new one are made of.
    rows: Vec<(Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>)>,
}

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
