//! Brings what a database says about the files of a patch up to what the files are.
//!
//! An installed file is judged by what its row says: by version, or, without one, by the hash in `MsiFileHash`. A row
//! that was not renewed when the file was rebuilt is the classic reason why a patch does nothing. A file that goes whole
//! and has no version gets its hash even where the database had none, since nothing else tells it from the old one.

use std::collections::BTreeMap;

use crate::database::{Column, ColumnKind, Database, Table, Value};

/// What a file is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileFacts {
    /// Its length in bytes.
    pub size: u64,
    /// Its version, if it has one.
    pub version: Option<String>,
    /// Its languages, decimal numbers with commas, if it has some.
    pub language: Option<String>,
    /// Its MD5, as four numbers.
    pub hash: [i32; 4],
    /// Whether it goes whole, so that the installer decides whether it replaces the installed one.
    pub whole: bool,
}

/// A value that was not what the file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refreshed {
    /// The table.
    pub table: &'static str,
    /// The key of the file.
    pub ftk: String,
    /// The column.
    pub column: &'static str,
    /// What stood there.
    pub old: Value,
    /// What stands there now.
    pub new: Value,
}

const HASH_PARTS: [&str; 4] = ["HashPart1", "HashPart2", "HashPart3", "HashPart4"];

/// Brings the rows of these files up to date; tells what changed.
pub fn refresh(database: &mut Database, files: &BTreeMap<String, FileFacts>) -> Vec<Refreshed> {
    let mut changes = Vec::new();
    let mut unversioned: BTreeMap<&str, &FileFacts> = BTreeMap::new();
    if let Some(table) = database.tables.iter_mut().find(|table| table.name == "File") {
        for (ftk, facts) in files {
            let mut row = Row { table, name: "File", ftk, changes: &mut changes };
            if row.find().is_none() {
                continue;
            }
            row.set("FileSize", i32::try_from(facts.size).map_or(Value::Null, Value::Int));
            let stated = row.get("Version");
            match &facts.version {
                Some(version) if !row.refers_to_a_file(&stated) => {
                    row.set("Version", Value::Str(version.clone()));
                    if let Some(language) = &facts.language {
                        row.set("Language", Value::Str(language.clone()));
                    }
                }
                Some(_) => {}
                // A version that the author gave to a file without one is a way to have it replaced; it stays.
                None if stated == Value::Null => {
                    unversioned.insert(ftk, facts);
                }
                None => {}
            }
        }
    }
    hashes(database, &unversioned, &mut changes);
    changes
}

/// Renews rows of `MsiFileHash`, and adds those that must be there.
fn hashes(database: &mut Database, files: &BTreeMap<&str, &FileFacts>, changes: &mut Vec<Refreshed>) {
    if files.values().any(|facts| facts.whole) && database.table("MsiFileHash").is_none() {
        database.tables.push(hash_table());
        database.tables.sort_by(|one, other| one.name.cmp(&other.name));
    }
    let Some(table) = database.tables.iter_mut().find(|table| table.name == "MsiFileHash") else { return };
    let Some(key) = table.column("File_") else { return };
    for (ftk, facts) in files {
        let is_there = table.rows.iter().any(|row| matches!(row.get(key), Some(Value::Str(text)) if text == ftk));
        if !is_there && facts.whole {
            let mut row = vec![Value::Null; table.columns.len()];
            let zero = table.column("Options").and_then(|at| row.get_mut(at));
            zero.into_iter().for_each(|cell| *cell = Value::Int(0));
            row.get_mut(key).into_iter().for_each(|cell| *cell = Value::Str((*ftk).to_owned()));
            table.rows.push(row);
        }
        let mut row = Row { table, name: "MsiFileHash", ftk, changes };
        for (column, part) in HASH_PARTS.into_iter().zip(facts.hash) {
            // Nothing else than this number is stored as nothing.
            row.set(column, if part == i32::MIN { Value::Null } else { Value::Int(part) });
        }
    }
    table.sort();
}

fn hash_table() -> Table {
    let column =
        |name: &str, kind, key| Column { name: name.to_owned(), kind, nullable: false, key, localizable: false };
    let mut columns = vec![column("File_", ColumnKind::Text(72), true), column("Options", ColumnKind::Int16, false)];
    columns.extend(HASH_PARTS.map(|part| column(part, ColumnKind::Int32, false)));
    Table { name: "MsiFileHash".to_owned(), columns, rows: Vec::new() }
}

/// The row of a file in a table whose first key column is the key of a file.
struct Row<'a> {
    table: &'a mut Table,
    name: &'static str,
    ftk: &'a str,
    changes: &'a mut Vec<Refreshed>,
}

impl Row<'_> {
    fn find(&self) -> Option<usize> {
        let key = self.table.columns.iter().position(|column| column.key)?;
        self.table.rows.iter().position(|row| matches!(row.get(key), Some(Value::Str(text)) if text == self.ftk))
    }

    fn get(&self, column: &str) -> Value {
        let at = self.table.column(column).zip(self.find());
        let cell = at.and_then(|(column, row)| self.table.rows.get(row)?.get(column));
        cell.cloned().unwrap_or(Value::Null)
    }

    /// Whether a version is the key of another file, whose version counts.
    fn refers_to_a_file(&self, version: &Value) -> bool {
        let Value::Str(version) = version else { return false };
        let Some(key) = self.table.column("File") else { return false };
        self.table.rows.iter().any(|row| matches!(row.get(key), Some(Value::Str(text)) if text == version))
    }

    fn set(&mut self, column: &'static str, value: Value) {
        let Some((at, row)) = self.table.column(column).zip(self.find()) else { return };
        let Some(cell) = self.table.rows.get_mut(row).and_then(|row| row.get_mut(at)) else { return };
        if *cell != value {
            let old = std::mem::replace(cell, value.clone());
            self.changes.push(Refreshed { table: self.name, ftk: self.ftk.to_owned(), column, old, new: value });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(rows: &[(&str, i32, Option<&str>)], hashes: &[(&str, i32)]) -> Database {
        let column = |name: &str, kind, key: bool| Column {
            name: name.to_owned(),
            kind,
            nullable: !key,
            key,
            localizable: false,
        };
        let text = |text: &str| Value::Str(text.to_owned());
        let columns = vec![
            column("File", ColumnKind::Text(72), true),
            column("FileSize", ColumnKind::Int32, false),
            column("Version", ColumnKind::Text(72), false),
            column("Language", ColumnKind::Text(20), false),
        ];
        let row = |(key, size, version): &(&str, i32, Option<&str>)| {
            vec![text(key), Value::Int(*size), version.map_or(Value::Null, text), Value::Null]
        };
        let file = Table { name: "File".to_owned(), columns, rows: rows.iter().map(row).collect() };
        let hash =
            |(key, part): &(&str, i32)| [vec![text(key)], vec![Value::Int(0); 1], vec![Value::Int(*part); 4]].concat();
        let hashes = Table { rows: hashes.iter().map(hash).collect(), ..hash_table() };
        let mut tables = vec![file];
        if !hashes.rows.is_empty() {
            tables.push(hashes);
        }
        Database { tables, ..Database::default() }
    }

    fn facts(size: u64, version: Option<&str>, whole: bool) -> FileFacts {
        FileFacts {
            size,
            version: version.map(str::to_owned),
            language: version.map(|_| "1033,0".to_owned()),
            hash: [1, 2, 3, i32::MIN],
            whole,
        }
    }

    #[test]
    fn rows_become_what_the_files_are() {
        let mut found = database(
            &[
                ("exe", 1, Some("1.0")),
                ("txt", 1, None),
                ("doc", 1, None),
                ("its", 1, Some("exe")),
                ("set", 1, Some("1.0")),
            ],
            &[("doc", 7)],
        );
        let files = [
            ("exe", facts(2, Some("1.1"), false)),
            ("txt", facts(3, None, true)),
            ("doc", facts(1, None, false)),
            ("its", facts(1, Some("9.9"), false)),
            ("set", facts(1, None, true)),
            ("gone", facts(1, None, true)),
        ];
        let files = files.into_iter().map(|(ftk, facts)| (ftk.to_owned(), facts)).collect();
        let changes = refresh(&mut found, &files);
        let told: Vec<String> =
            changes.iter().map(|change| format!("{}.{}={}", change.ftk, change.column, change.new)).collect();
        let hash = |ftk: &str| {
            HASH_PARTS
                .iter()
                .zip(["1", "2", "3", ""])
                .map(|(part, value)| format!("{ftk}.{part}={value}"))
                .collect::<Vec<_>>()
        };
        let mut expect =
            ["exe.FileSize=2", "exe.Version=1.1", "exe.Language=1033,0", "txt.FileSize=3"].map(str::to_owned).to_vec();
        expect.extend(hash("doc"));
        // A new row has nothing before.
        expect.extend(hash("txt").into_iter().take(3));
        assert_eq!(told, expect);
        // It is done.
        assert!(refresh(&mut found, &files).is_empty());
    }

    #[test]
    fn a_table_of_hashes_is_made_if_it_must() {
        for (whole, version, made) in [(false, None, false), (true, Some("1.0"), false), (true, None, true)] {
            let mut found = database(&[("f", 1, None)], &[]);
            let files = [("f".to_owned(), facts(1, version, whole))].into();
            refresh(&mut found, &files);
            assert_eq!(found.table("MsiFileHash").is_some(), made, "{whole} {version:?}");
            assert!(found.write().is_ok());
        }
    }
}
