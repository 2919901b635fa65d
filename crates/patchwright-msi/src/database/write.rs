//! Writes a database. Its bytes depend on nothing but the database: rows are stored by key, times of the container are
//! not set.

use std::collections::BTreeSet;
use std::io::Cursor;

use cfb::Version;

use super::pool::PoolWriter;
use super::read::stream_name;
use super::{ColumnKind, Database, Summary, Table, Value};
use crate::container::{Container, DATABASE, SUMMARY, encoded};
use crate::error::{MsiError, Result};

/// The streams of a storage: summary information, tables, and what cells hold.
pub(crate) fn in_order(
    summary: &Summary,
    tables: Vec<(String, Vec<u8>)>,
    cells: Vec<(String, &[u8])>,
) -> Result<Vec<Stream>> {
    let mut streams = vec![Stream { name: SUMMARY.to_owned(), raw: SUMMARY.to_owned(), bytes: summary.write()? }];
    for (name, bytes) in tables {
        streams.push(Stream { raw: encoded(&name, true)?, name, bytes });
    }
    for (name, bytes) in cells {
        streams.push(Stream { raw: encoded(&name, false)?, name, bytes: bytes.to_vec() });
    }
    Ok(streams)
}

impl Database {
    /// Writes the database as a compound file.
    ///
    /// An error names the table whose rows cannot be: a value that the column does not take, two rows of one key.
    pub fn write(&self) -> Result<Vec<u8>> {
        let mut container = Container::create(Cursor::new(Vec::new()), Version::V3, DATABASE)?;
        for stream in self.streams()? {
            container.put(None, &stream.name, &stream.raw, &stream.bytes)?;
        }
        Ok(container.finish()?.into_inner())
    }

    /// The streams of the database, in the order in which they are written.
    pub(crate) fn streams(&self) -> Result<Vec<Stream>> {
        let mut tables = self.tables.clone();
        // By name and by key, which is how the numbers of the texts are.
        tables.sort_by(|one, other| one.name.cmp(&other.name));
        tables.iter_mut().for_each(Table::sort);
        tables.iter().try_for_each(check)?;
        let mut texts: BTreeSet<&str> = BTreeSet::new();
        for table in &tables {
            texts.insert(&table.name);
            texts.extend(table.columns.iter().map(|column| column.name.as_str()));
            texts.extend(table.rows.iter().flatten().filter_map(|value| match value {
                Value::Str(text) if !text.is_empty() => Some(text.as_str()),
                _ => None,
            }));
        }
        let mut pool = PoolWriter::new(&texts);
        let mut made = vec![("_Tables".to_owned(), Vec::new()), ("_Columns".to_owned(), Vec::new())];
        made[0].1 = tables.iter().flat_map(|table| text(&mut pool, &table.name)).collect();
        made[1].1 = described(&tables, &mut pool)?;
        let mut cells = Vec::new();
        for table in tables.iter().filter(|table| !table.rows.is_empty()) {
            made.push((table.name.clone(), stored(table, &mut pool)));
            for row in &table.rows {
                cells.extend(row.iter().filter_map(|value| match value {
                    Value::Binary(bytes) => Some((stream_name(table, row), bytes.as_slice())),
                    _ => None,
                }));
            }
        }
        let (strings, data) = pool.write(self.code_page)?;
        made.push(("_StringPool".to_owned(), strings));
        made.push(("_StringData".to_owned(), data));
        in_order(&self.summary, made, cells)
    }
}

/// A stream as it goes into the container.
pub(crate) struct Stream {
    /// Its name for people.
    pub(crate) name: String,
    /// Its name in the container.
    pub(crate) raw: String,
    pub(crate) bytes: Vec<u8>,
}

/// Refuses what would be read back as something else.
pub(crate) fn check(table: &Table) -> Result<()> {
    let structure = || format!("table {}", table.name);
    let names: BTreeSet<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    if table.name.is_empty() || names.contains("") || names.len() < table.columns.len() || names.is_empty() {
        return Err(MsiError::malformed(structure(), "tables and columns need names of their own"));
    }
    if !table.columns.iter().any(|column| column.key) {
        return Err(MsiError::malformed(structure(), "no column is the key"));
    }
    if table.columns.iter().filter(|column| column.kind == ColumnKind::Binary).count() > 1 {
        return Err(MsiError::unsupported(structure(), "more than one column of streams"));
    }
    for row in &table.rows {
        if row.len() != table.columns.len() {
            let what = format!("row {} has {} values for {} columns", table.row_key(row), row.len(), names.len());
            return Err(MsiError::malformed(structure(), what));
        }
        for (column, value) in table.columns.iter().zip(row) {
            let fits = match (value, column.kind) {
                (Value::Null, _) | (Value::Str(_), ColumnKind::Text(_)) | (Value::Binary(_), ColumnKind::Binary) => {
                    true
                }
                (Value::Int(number), ColumnKind::Int16) => (-0x7fff..=0x7fff).contains(number),
                (Value::Int(number), ColumnKind::Int32) => *number != i32::MIN,
                _ => false,
            };
            if !fits {
                let what = format!("row {}: column {} does not take {value}", table.row_key(row), column.name);
                return Err(MsiError::malformed(structure(), what));
            }
        }
    }
    let mut keys: BTreeSet<Vec<&Value>> = BTreeSet::new();
    match table.rows.iter().find(|row| !keys.insert(table.key_of(row).collect())) {
        Some(row) => Err(MsiError::malformed(structure(), format!("two rows have the key {}", table.row_key(row)))),
        None => Ok(()),
    }
}

/// The rows of `_Columns`.
fn described(tables: &[Table], pool: &mut PoolWriter<'_>) -> Result<Vec<u8>> {
    let mut columns = [const { Vec::new() }; 4];
    for table in tables {
        for (column, number) in table.columns.iter().zip(1_u16..) {
            if number > 255 {
                return Err(MsiError::malformed(format!("table {}", table.name), "more than 255 columns"));
            }
            columns[0].extend(text(pool, &table.name));
            columns[1].extend((number | 0x8000).to_le_bytes());
            columns[2].extend(text(pool, &column.name));
            columns[3].extend((column.word() ^ 0x8000).to_le_bytes());
        }
    }
    Ok(columns.concat())
}

/// The values of a table, column by column.
fn stored(table: &Table, pool: &mut PoolWriter<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (at, column) in table.columns.iter().enumerate() {
        for row in &table.rows {
            bytes.extend(cell(&row[at], column.kind, pool));
        }
    }
    bytes
}

/// A value as it is stored; of a stream, that there is one.
pub(crate) fn cell(value: &Value, kind: ColumnKind, pool: &mut PoolWriter<'_>) -> Vec<u8> {
    match (value, kind) {
        (Value::Null, ColumnKind::Int16 | ColumnKind::Binary) => vec![0; 2],
        (Value::Null, ColumnKind::Int32) => vec![0; 4],
        (Value::Null, ColumnKind::Text(_)) => text(pool, ""),
        (Value::Int(number), ColumnKind::Int32) => (number.cast_unsigned() ^ 0x8000_0000).to_le_bytes().to_vec(),
        (Value::Int(number), _) => (number + 0x8000).to_le_bytes()[..2].to_vec(),
        (Value::Str(value), _) => text(pool, value),
        (Value::Binary(_), _) => vec![1, 0],
    }
}

/// The number of a text, as it is stored.
pub(crate) fn text(pool: &mut PoolWriter<'_>, text: &str) -> Vec<u8> {
    let number = if text.is_empty() { 0 } else { pool.number(text) };
    number.to_le_bytes()[..pool.ref_len()].to_vec()
}
