//! Writes a transform: a string pool of its own, then for each table a stream of rows, one after the other.
//!
//! Each row begins with a word: 0 deletes the row whose key follows; an odd one has the number of columns in its upper byte
//! and all of their values follow; any other has a bit for each column that changes, and the key and those values follow.

use std::collections::BTreeSet;
use std::io::{Cursor, Read, Seek, Write};

use cfb::Version;

use super::{Definition, MASKED, RowChange, TableChange, Transform};
use crate::container::{Container, TRANSFORM};
use crate::database::pool::PoolWriter;
use crate::database::write::{Stream, cell, in_order, text};
use crate::database::{Column, ColumnKind, Table, Value, write};
use crate::error::{MsiError, Result};

/// The most columns that the upper byte of that word counts.
const MOST_COLUMNS: usize = 255;

impl Transform {
    /// Writes the transform as a file of its own (`.mst`).
    ///
    /// An error names the table that cannot be: a value that its column does not take, a change to a column that the word of
    /// a row has no bit for. What [`super::diff()`] makes can always be written.
    pub fn write(&self) -> Result<Vec<u8>> {
        let mut container = Container::create(Cursor::new(Vec::new()), Version::V3, TRANSFORM)?;
        put(&mut container, None, &self.streams()?)?;
        Ok(container.finish()?.into_inner())
    }

    /// The streams of the transform, in the order in which they are written.
    pub(crate) fn streams(&self) -> Result<Vec<Stream>> {
        self.tables.iter().try_for_each(check)?;
        let mut texts: BTreeSet<&str> = BTreeSet::new();
        for table in &self.tables {
            if table.definition != Definition::Kept {
                texts.insert(&table.name);
            }
            if table.definition != Definition::Dropped {
                texts.extend(described(table).map(|(_, column)| column.name.as_str()));
            }
        }
        self.each_value(|value| match value {
            Value::Str(text) if !text.is_empty() => {
                texts.insert(text);
            }
            _ => {}
        });
        let mut pool = PoolWriter::new(&texts);
        let mut made = vec![("_Tables".to_owned(), Vec::new()), ("_Columns".to_owned(), Vec::new())];
        let mut cells = Vec::new();
        for table in &self.tables {
            made[0].1.extend(table_record(table, &mut pool));
            made[1].1.extend(column_records(table, &mut pool));
            let rows: Vec<u8> = table.rows.iter().flat_map(|row| record(table, row, &mut pool)).collect();
            if !rows.is_empty() {
                made.push((table.name.clone(), rows));
            }
            table.rows.iter().for_each(|row| cells.extend(stream_of(table, row)));
        }
        made.retain(|(_, bytes)| !bytes.is_empty());
        let (strings, data) = pool.write(self.code_page)?;
        made.push(("_StringPool".to_owned(), strings));
        made.push(("_StringData".to_owned(), data));
        in_order(&self.summary, made, cells)
    }
}

/// Puts streams into the root or a storage.
pub(crate) fn put<W: Read + Write + Seek>(
    container: &mut Container<W>,
    storage: Option<&str>,
    streams: &[Stream],
) -> Result<()> {
    streams.iter().try_for_each(|stream| container.put(storage, &stream.name, &stream.raw, &stream.bytes))
}

/// Refuses what would be read back as something else.
fn check(change: &TableChange) -> Result<()> {
    let malformed = |what: &str| Err(MsiError::malformed(format!("table {}", change.name), what));
    if change.columns.len() > MOST_COLUMNS {
        return malformed("more than 255 columns");
    }
    let keys = change.key_columns();
    let mut rows = Vec::new();
    for row in &change.rows {
        let mut values = vec![Value::Null; change.columns.len()];
        let (places, given): (Vec<usize>, Vec<&Value>) = match row {
            RowChange::Insert(given) => (0..given.len()).zip(given).unzip(),
            RowChange::Update { key, cells } => {
                if cells.is_empty() || key.len() != keys.len() || cells.iter().any(|(at, _)| keys.contains(at)) {
                    return malformed("a change of a row without values, or with another key");
                }
                if !cells.iter().all(|(at, _)| MASKED.contains(at)) {
                    return malformed(
                        "a change to its first column, or to one after the sixteenth, takes the whole row",
                    );
                }
                keys.iter().copied().zip(key).chain(cells.iter().map(|(at, value)| (*at, value))).unzip()
            }
            RowChange::Delete { key } if key.len() == keys.len() => keys.iter().copied().zip(key).unzip(),
            RowChange::Delete { .. } => return malformed("a row to delete with another key"),
        };
        for (at, value) in places.into_iter().zip(given) {
            match values.get_mut(at) {
                Some(cell) => *cell = value.clone(),
                None => return malformed("a value for a column that is not there"),
            }
        }
        rows.push(values);
    }
    write::check(&Table { name: change.name.clone(), columns: change.columns.clone(), rows })
}

/// The columns that `_Columns` describes, and their indices.
fn described(table: &TableChange) -> impl Iterator<Item = (usize, &Column)> {
    let from = match table.definition {
        Definition::Kept => table.columns.len(),
        Definition::Widened(old) => old,
        Definition::Added | Definition::Dropped => 0,
    };
    table.columns.iter().enumerate().skip(from)
}

/// The row of `_Tables`, if there is one.
fn table_record(table: &TableChange, pool: &mut PoolWriter<'_>) -> Vec<u8> {
    let word: u16 = match table.definition {
        Definition::Added => 0x0101,
        Definition::Dropped => 0,
        Definition::Kept | Definition::Widened(_) => return Vec::new(),
    };
    [&word.to_le_bytes()[..], &text(pool, &table.name)].concat()
}

/// The rows of `_Columns`. Columns of a new table have no number: they are counted.
fn column_records(table: &TableChange, pool: &mut PoolWriter<'_>) -> Vec<u8> {
    let mut records = Vec::new();
    for (at, column) in described(table) {
        let number = u16::try_from(at + 1).unwrap_or(u16::MAX) | 0x8000;
        let word: u16 = if table.definition == Definition::Dropped { 0 } else { 0x0401 };
        records.extend(word.to_le_bytes());
        records.extend(text(pool, &table.name));
        match table.definition {
            Definition::Dropped => records.extend(number.to_le_bytes()),
            Definition::Added | Definition::Kept => records.extend([0; 2]),
            Definition::Widened(_) => records.extend(number.to_le_bytes()),
        }
        if table.definition != Definition::Dropped {
            records.extend(text(pool, &column.name));
            records.extend((column.word() ^ 0x8000).to_le_bytes());
        }
    }
    records
}

/// A row: the word, then its values.
fn record(table: &TableChange, row: &RowChange, pool: &mut PoolWriter<'_>) -> Vec<u8> {
    let keys = table.key_columns();
    let mut values: Vec<(usize, &Value)> = match row {
        RowChange::Insert(values) => values.iter().enumerate().collect(),
        RowChange::Update { key, cells } => {
            keys.iter().copied().zip(key).chain(cells.iter().map(|(at, value)| (*at, value))).collect()
        }
        RowChange::Delete { key } => keys.iter().copied().zip(key).collect(),
    };
    values.sort_by_key(|(at, _)| *at);
    let word = match row {
        RowChange::Insert(values) => u16::try_from(values.len()).unwrap_or(u16::MAX) << 8 | 1,
        RowChange::Update { cells, .. } => cells.iter().fold(0, |word, (at, _)| word | 1_u16 << (at % MASKED.end)),
        RowChange::Delete { .. } => 0,
    };
    let mut bytes = word.to_le_bytes().to_vec();
    for (at, value) in values {
        let kind = table.columns.get(at).map_or(ColumnKind::Int16, |column| column.kind);
        bytes.extend(cell(value, kind, pool));
    }
    bytes
}

/// The stream of a row's cell, if it has one.
fn stream_of<'a>(table: &TableChange, row: &'a RowChange) -> Option<(String, &'a [u8])> {
    let values: Vec<&Value> = match row {
        RowChange::Insert(values) => values.iter().collect(),
        RowChange::Update { cells, .. } => cells.iter().map(|(_, value)| value).collect(),
        RowChange::Delete { .. } => return None,
    };
    let bytes = values.into_iter().find_map(|value| match value {
        Value::Binary(bytes) => Some(bytes.as_slice()),
        _ => None,
    })?;
    Some((super::stream_name(&table.name, &table.key_of(row)), bytes))
}
