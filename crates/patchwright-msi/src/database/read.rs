//! Reads a database: string pool, `_Tables`, `_Columns`, then each table, column by column.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Seek, Write};

use cfb::CompoundFile;

use super::name;
use super::pool::Pool;
use super::{Column, ColumnKind, Database, Summary, Table, Value};
use crate::container::{self, SUMMARY, Streams};
use crate::error::{MsiError, MsiErrorKind, Result};

/// Columns that a table has at most.
const MOST_COLUMNS: usize = 255;

impl Database {
    /// Reads every table and the streams that its cells name.
    ///
    /// No more bytes are read than the file has, and texts that repeat are copied up to a limit.
    pub fn read(file: impl Read + Seek) -> Result<Self> {
        let (mut container, len) = container::open(file)?;
        Self::read_streams(Streams::list(&mut container, None, len)?)
    }

    /// Reads the database that these streams are.
    pub(crate) fn read_streams<F: Read + Seek>(mut streams: Streams<'_, F>) -> Result<Self> {
        let Some(pool) = streams.take("_StringPool", true)? else {
            let why = "a compound file without a string pool".to_owned();
            return Err(MsiError::new("compound file", MsiErrorKind::NotADatabase(why)));
        };
        let data = streams.take("_StringData", true)?.unwrap_or_default();
        let pool = Pool::read(&pool, &data)?;
        let mut tables = definitions(&pool, &mut streams)?;
        for table in &mut tables {
            rows(table, &pool, &mut streams)?;
        }
        let summary = match streams.take_raw(SUMMARY)? {
            Some(bytes) => Summary::read(&bytes)?,
            None => Summary::default(),
        };
        Ok(Self { code_page: pool.code_page, summary, tables, others: streams.others() })
    }
}

/// Copies a stream of a database that is no table, such as a cabinet, a piece at a time.
///
/// # Errors
/// Those of reading and writing; `NotFound` where there is no such stream.
pub fn copy_stream(file: impl Read + Seek, name: &str, to: &mut impl Write) -> io::Result<u64> {
    let raw = name::encode(name, false).filter(|_| !name.contains(['/', '\\', ':', '!']));
    let raw = raw.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no stream can be called so"))?;
    let mut container = CompoundFile::open(file)?;
    let mut stream = container.open_stream(format!("/{raw}"))?;
    io::copy(&mut stream, to)
}

/// Reads `_Tables` and `_Columns`.
fn definitions<F: Read + Seek>(pool: &Pool, streams: &mut Streams<'_, F>) -> Result<Vec<Table>> {
    let text = |name: &str, key| Column {
        name: name.to_owned(),
        kind: ColumnKind::Text(64),
        nullable: false,
        key,
        localizable: false,
    };
    let int = |name: &str, key| Column { kind: ColumnKind::Int16, ..text(name, key) };
    let names = vec![text("Name", true)];
    let described = vec![text("Table", true), int("Number", true), text("Name", false), int("Type", false)];
    let mut tables = BTreeMap::new();
    for row in cells("_Tables", &names, pool, &streams.take("_Tables", true)?.unwrap_or_default())? {
        let [Value::Str(name)] = row.as_slice() else {
            return Err(MsiError::malformed("table _Tables", "a table without a name"));
        };
        tables.insert(name.clone(), BTreeMap::new());
    }
    for row in cells("_Columns", &described, pool, &streams.take("_Columns", true)?.unwrap_or_default())? {
        let [Value::Str(table), Value::Int(number), Value::Str(name), Value::Int(word)] = row.as_slice() else {
            return Err(MsiError::malformed("table _Columns", "a column without a table, number, name or type"));
        };
        // Columns of tables that are not in _Tables describe what is built in.
        let Some(columns) = tables.get_mut(table) else { continue };
        // The word is stored like any number of two bytes: less 0x8000.
        let column = u16::try_from(word & 0xffff).ok().and_then(|word| Column::from_word(name.clone(), word));
        let column = column.ok_or_else(|| {
            MsiError::malformed(format!("table {table}"), format!("column {name} has the type {word:#x}"))
        })?;
        columns.insert(*number, column);
    }
    tables
        .into_iter()
        .map(|(name, columns)| {
            let columns: Vec<Column> = columns.into_values().collect();
            let structure = || format!("table {name}");
            if columns.is_empty() || columns.len() > MOST_COLUMNS {
                return Err(MsiError::malformed(structure(), format!("{} columns", columns.len())));
            }
            let different: BTreeSet<&str> = columns.iter().map(|column| column.name.as_str()).collect();
            if different.len() < columns.len() {
                return Err(MsiError::malformed(structure(), "two columns of the same name"));
            }
            Ok(Table { name, columns, rows: Vec::new() })
        })
        .collect()
}

/// Reads the rows of a table, streams of cells included.
fn rows<F: Read + Seek>(table: &mut Table, pool: &Pool, streams: &mut Streams<'_, F>) -> Result<()> {
    let bytes = streams.take(&table.name, true)?.unwrap_or_default();
    let mut rows = cells(&table.name, &table.columns, pool, &bytes)?;
    if table.columns.iter().any(|column| column.kind == ColumnKind::Binary) {
        for row in &mut rows {
            let name = stream_name(table, row);
            for value in row.iter_mut().filter(|value| matches!(value, Value::Binary(_))) {
                *value = Value::Binary(streams.take(&name, false)?.ok_or_else(|| {
                    MsiError::malformed(format!("table {}", table.name), format!("the stream {name} is missing"))
                })?);
            }
        }
    }
    table.rows = rows;
    Ok(())
}

/// The name of the stream of a row: the table's and the key's.
pub(crate) fn stream_name(table: &Table, row: &[Value]) -> String {
    let key = table.key_of(row).map(|value| format!(".{value}"));
    std::iter::once(table.name.clone()).chain(key).collect()
}

/// Reads the values of a table. A binary one is empty yet.
fn cells(name: &str, columns: &[Column], pool: &Pool, bytes: &[u8]) -> Result<Vec<Vec<Value>>> {
    let structure = || format!("table {name}");
    let width_of = |column: &Column| width_of(column.kind, pool);
    let width: usize = columns.iter().map(width_of).sum();
    let count = bytes.len() / width;
    if count * width != bytes.len() {
        let what = format!("its {} bytes are no whole number of rows of {width} bytes", bytes.len());
        return Err(MsiError::malformed(structure(), what));
    }
    let mut rows = vec![Vec::with_capacity(columns.len()); count];
    let mut rest = bytes;
    for column in columns {
        let (stored, next) = rest.split_at(width_of(column) * count);
        for (cell, row) in stored.chunks_exact(width_of(column)).zip(&mut rows) {
            let number = number(cell);
            row.push(value(column, number, pool).ok_or_else(|| {
                MsiError::malformed(
                    structure(),
                    format!("column {}: there is no text {number}, or its copies are too many", column.name),
                )
            })?);
        }
        rest = next;
    }
    Ok(rows)
}

/// Bytes that a value takes.
pub(crate) fn width_of(kind: ColumnKind, pool: &Pool) -> usize {
    match kind {
        ColumnKind::Int16 | ColumnKind::Binary => 2,
        ColumnKind::Int32 => 4,
        ColumnKind::Text(_) => pool.ref_len,
    }
}

/// The number that up to four bytes are.
pub(crate) fn number(cell: &[u8]) -> u32 {
    cell.iter().rev().fold(0_u32, |number, byte| number << 8 | u32::from(*byte))
}

/// The value that a number stands for; a stream is empty yet. `None`: a text that is not there, or too many copies.
pub(crate) fn value(column: &Column, number: u32, pool: &Pool) -> Option<Value> {
    if number == 0 {
        return Some(Value::Null);
    }
    Some(match column.kind {
        ColumnKind::Int16 => Value::Int(i32::try_from(number).ok()? - 0x8000),
        ColumnKind::Int32 => Value::Int((number ^ 0x8000_0000).cast_signed()),
        ColumnKind::Text(_) => match pool.text(usize::try_from(number).ok()?)? {
            text if text.is_empty() => Value::Null,
            text => Value::Str(text),
        },
        ColumnKind::Binary => Value::Binary(Vec::new()),
    })
}
