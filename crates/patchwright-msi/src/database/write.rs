//! Writes a database. Its bytes depend on nothing but the database: rows are stored by key, times of the container are
//! not set.

use std::collections::BTreeSet;
use std::io::{Cursor, Write};
use std::time::{Duration, SystemTime};

use cfb::{CompoundFile, Version};
use uuid::Uuid;

use super::pool::PoolWriter;
use super::read::{SUMMARY, stream_name};
use super::{ColumnKind, Database, Table, Value, name};
use crate::error::{MsiError, Result};

/// The class of databases: installers, merge modules and patch creation properties.
const CLASS: Uuid = Uuid::from_u128(0x000C_1084_0000_0000_C000_0000_0000_0046);

impl Database {
    /// Writes the database as a compound file.
    ///
    /// An error names the table whose rows cannot be: a value that the column does not take, two rows of one key.
    pub fn write(&self) -> Result<Vec<u8>> {
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
                    Value::Binary(bytes) => Some((stream_name(table, row), bytes)),
                    _ => None,
                }));
            }
        }
        let (strings, data) = pool.write(self.code_page)?;
        made.push(("_StringPool".to_owned(), strings));
        made.push(("_StringData".to_owned(), data));

        let mut container = Container::new()?;
        container.put(SUMMARY, SUMMARY.to_owned(), &self.summary.write()?)?;
        for (name, bytes) in &made {
            container.put(name, encoded(name, true)?, bytes)?;
        }
        for (name, bytes) in &cells {
            container.put(name, encoded(name, false)?, bytes)?;
        }
        container.finish()
    }
}

fn encoded(text: &str, table: bool) -> Result<String> {
    name::encode(text, table).ok_or_else(|| MsiError::malformed(format!("stream {text}"), "the name is too long"))
}

struct Container(CompoundFile<Cursor<Vec<u8>>>);

impl Container {
    fn new() -> Result<Self> {
        let io = |error| MsiError::io("compound file", error);
        let mut file = CompoundFile::create_with_version(Version::V3, Cursor::new(Vec::new())).map_err(io)?;
        file.set_storage_clsid("/", CLASS).map_err(io)?;
        Ok(Self(file))
    }

    fn put(&mut self, name: &str, raw: String, bytes: &[u8]) -> Result<()> {
        let io = |error| MsiError::io(format!("stream {name}"), error);
        let mut stream = self.0.create_new_stream(format!("/{raw}")).map_err(io)?;
        stream.write_all(bytes).and_then(|()| stream.flush()).map_err(io)
    }

    fn finish(mut self) -> Result<Vec<u8>> {
        let io = |error| MsiError::io("compound file", error);
        // 1601-01-01, which is stored as 0: no time.
        let none = SystemTime::UNIX_EPOCH - Duration::from_secs(11_644_473_600);
        self.0.set_modified_time("/", none).map_err(io)?;
        self.0.flush().map_err(io)?;
        Ok(self.0.into_inner().into_inner())
    }
}

/// Refuses what would be read back as something else.
fn check(table: &Table) -> Result<()> {
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
    let same = table.rows.windows(2).find(|pair| table.key_of(&pair[0]).eq(table.key_of(&pair[1])));
    match same {
        Some(pair) => {
            Err(MsiError::malformed(structure(), format!("two rows have the key {}", table.row_key(&pair[0]))))
        }
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
            match (&row[at], column.kind) {
                (Value::Null, ColumnKind::Int16 | ColumnKind::Binary) => bytes.extend([0; 2]),
                (Value::Null, ColumnKind::Int32) => bytes.extend([0; 4]),
                (Value::Null, ColumnKind::Text(_)) => bytes.extend(text(pool, "")),
                (Value::Int(number), ColumnKind::Int32) => {
                    bytes.extend((number.cast_unsigned() ^ 0x8000_0000).to_le_bytes());
                }
                (Value::Int(number), _) => bytes.extend(&(number + 0x8000).to_le_bytes()[..2]),
                (Value::Str(value), _) => bytes.extend(text(pool, value)),
                (Value::Binary(_), _) => bytes.extend([1, 0]),
            }
        }
    }
    bytes
}

/// The number of a text, as it is stored.
fn text(pool: &mut PoolWriter<'_>, text: &str) -> Vec<u8> {
    let number = if text.is_empty() { 0 } else { pool.number(text) };
    number.to_le_bytes()[..pool.ref_len()].to_vec()
}
