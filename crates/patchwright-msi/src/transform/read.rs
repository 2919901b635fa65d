//! Reads a transform. It does not say what the columns of a table are that it changes: the database says that, or, for a
//! look at a transform alone, what the tables of Windows Installer have as a rule.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek};

use super::{Definition, RowChange, TableChange, Transform, standard};
use crate::container::{self, SUMMARY, Streams};
use crate::database::pool::Pool;
use crate::database::read::{number, value, width_of};
use crate::database::{Column, ColumnKind, Database, Summary, Value};
use crate::error::{MsiError, MsiErrorKind, Result};

/// Who says what the columns of a table are.
#[derive(Clone, Copy, Debug)]
pub enum Known<'a> {
    /// The database that the transform is for.
    Database(&'a Database),
    /// The documentation of Windows Installer, as far as a stream agrees with it.
    Standard,
}

/// A table whose rows could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecoded {
    /// The table.
    pub table: String,
    /// Bytes of its rows.
    pub len_bytes: usize,
}

/// Bytes of text that may be copied of the smallest transform.
const LEAST_COPIES: usize = 1 << 16;
/// A table has at most so many columns.
const MOST_COLUMNS: usize = 255;

impl Transform {
    /// Reads a transform from a file of its own (`.mst`).
    ///
    /// No more bytes are read than the file has. Errors name the table and the offset in its stream.
    pub fn read(file: impl Read + Seek, known: Known<'_>) -> Result<Self> {
        let (mut container, len) = container::open(file)?;
        Self::read_streams(Streams::list(&mut container, None, len)?, known)
    }

    /// Reads the transform that these streams are.
    pub(crate) fn read_streams<F: Read + Seek>(mut streams: Streams<'_, F>, known: Known<'_>) -> Result<Self> {
        let Some(pool) = streams.take("_StringPool", true)? else {
            let why = "a transform without a string pool".to_owned();
            return Err(MsiError::new("transform", MsiErrorKind::NotADatabase(why)));
        };
        let data = streams.take("_StringData", true)?.unwrap_or_default();
        let pool = Pool::read(&pool, &data)?;
        // A patch may have many transforms; what each takes is bounded by its own length.
        let copies = data.len().saturating_mul(16).saturating_add(streams.len_bytes().saturating_mul(64));
        pool.allow_copies(copies.saturating_add(LEAST_COPIES));
        let summary = match streams.take_raw(SUMMARY)? {
            Some(bytes) => Summary::read(&bytes)?,
            None => Summary::default(),
        };
        let definitions = Definitions::read(&mut streams, &pool)?;
        let mut transform = Self { code_page: pool.code_page, summary, tables: Vec::new(), undecoded: Vec::new() };
        let mut names: BTreeSet<String> = streams.tables_left().into_iter().collect();
        names.extend(definitions.tables.keys().chain(definitions.columns.keys()).cloned());
        for name in names {
            let bytes = streams.take(&name, true)?.unwrap_or_default();
            let change = decode(&name, &bytes, &definitions, known, &pool)?;
            match change {
                Some(mut change) => {
                    fill(&mut change, &mut streams)?;
                    transform.tables.push(change);
                }
                None => transform.undecoded.push(Undecoded { table: name, len_bytes: bytes.len() }),
            }
        }
        Ok(transform)
    }
}

/// What the transform says about tables and columns.
struct Definitions {
    /// Tables that are new (`true`) or dropped.
    tables: BTreeMap<String, bool>,
    /// New columns of each table, and the number of those that have one.
    columns: BTreeMap<String, Vec<(Option<usize>, Column)>>,
}

impl Definitions {
    fn read<F: Read + Seek>(streams: &mut Streams<'_, F>, pool: &Pool) -> Result<Self> {
        let mut this = Self { tables: BTreeMap::new(), columns: BTreeMap::new() };
        let name = |row: &[Value], at: usize, table: &str| match row.get(at) {
            Some(Value::Str(text)) => Ok(text.clone()),
            _ => Err(MsiError::malformed(format!("table {table}"), "a row without a name")),
        };
        let bytes = streams.take("_Tables", true)?.unwrap_or_default();
        for row in records("_Tables", &bytes, &standard::tables(), pool)? {
            match row {
                RowChange::Insert(values) => this.tables.insert(name(&values, 0, "_Tables")?, true),
                RowChange::Delete { key } => this.tables.insert(name(&key, 0, "_Tables")?, false),
                RowChange::Update { .. } => return Err(MsiError::malformed("table _Tables", "a row that changes")),
            };
        }
        let bytes = streams.take("_Columns", true)?.unwrap_or_default();
        for row in records("_Columns", &bytes, &standard::columns(), pool)? {
            match row {
                RowChange::Insert(values) => {
                    let table = name(&values, 0, "_Columns")?;
                    let structure = || format!("table _Columns, table {table}");
                    let number = match values.get(1) {
                        Some(Value::Int(number)) => {
                            Some(usize::try_from(*number).ok().filter(|number| *number > 0).ok_or_else(|| {
                                MsiError::malformed(structure(), format!("the number {number} of a column"))
                            })?)
                        }
                        _ => None,
                    };
                    let column = name(&values, 2, "_Columns")?;
                    let Some(Value::Int(word)) = values.get(3) else {
                        return Err(MsiError::malformed(structure(), format!("column {column} has no type")));
                    };
                    // The word is stored like any number of two bytes: less 0x8000.
                    let read =
                        u16::try_from(word & 0xffff).ok().and_then(|word| Column::from_word(column.clone(), word));
                    let read = read.ok_or_else(|| {
                        MsiError::malformed(structure(), format!("column {column} has the type {word:#x}"))
                    })?;
                    let columns = this.columns.entry(table.clone()).or_default();
                    columns.push((number, read));
                    if columns.len() > MOST_COLUMNS {
                        return Err(MsiError::malformed(structure(), "more than 255 columns"));
                    }
                }
                // Columns go with their table. Nothing else that makes them go is known.
                RowChange::Delete { key } => {
                    let table = name(&key, 0, "_Columns")?;
                    if this.tables.get(&table) != Some(&false) {
                        let what = "a column that goes from a table that stays";
                        return Err(MsiError::unsupported(format!("table _Columns, table {table}"), what));
                    }
                }
                RowChange::Update { key, .. } => {
                    let table = name(&key, 0, "_Columns")?;
                    let what = "a column that changes its type";
                    return Err(MsiError::unsupported(format!("table _Columns, table {table}"), what));
                }
            }
        }
        Ok(this)
    }

    /// The columns that the transform gives the table called `name`, the numbered ones at their numbers.
    fn new_columns(&self, name: &str, old: &[Column]) -> Result<Vec<Column>> {
        let structure = || format!("table _Columns, table {name}");
        let mut columns = old.to_vec();
        for (number, column) in self.columns.get(name).into_iter().flatten() {
            if number.is_some_and(|number| number != columns.len() + 1) {
                let what = format!("column {} is not the one after {}", column.name, columns.len());
                return Err(MsiError::malformed(structure(), what));
            }
            if columns.iter().any(|other| other.name == column.name) {
                return Err(MsiError::malformed(structure(), format!("two columns are called {}", column.name)));
            }
            columns.push(column.clone());
        }
        Ok(columns)
    }
}

/// Reads what becomes of one table; `None` if nobody knows its columns.
fn decode(
    name: &str,
    bytes: &[u8],
    definitions: &Definitions,
    known: Known<'_>,
    pool: &Pool,
) -> Result<Option<TableChange>> {
    let change = |columns: Vec<Column>, definition| -> Result<TableChange> {
        let rows = records(name, bytes, &columns, pool)?;
        let mut change = TableChange { name: name.to_owned(), columns, definition, rows: Vec::new() };
        change.rows = sorted(&change, rows)?;
        Ok(change)
    };
    match definitions.tables.get(name) {
        Some(true) => {
            let columns = definitions.new_columns(name, &[])?;
            if columns.is_empty() {
                return Err(MsiError::malformed(format!("table {name}"), "a new table without columns"));
            }
            return change(columns, Definition::Added).map(Some);
        }
        Some(false) => {
            let columns = match known {
                Known::Database(database) => database.table(name).map(|table| table.columns.clone()),
                Known::Standard => None,
            };
            let columns = columns.unwrap_or_default();
            return Ok(Some(TableChange {
                name: name.to_owned(),
                columns,
                definition: Definition::Dropped,
                rows: Vec::new(),
            }));
        }
        None => {}
    }
    let widened = |old: &[Column]| -> Result<TableChange> {
        let columns = definitions.new_columns(name, old)?;
        let definition = if columns.len() > old.len() { Definition::Widened(old.len()) } else { Definition::Kept };
        change(columns, definition)
    };
    match known {
        Known::Database(database) => database.table(name).map(|table| widened(&table.columns)).transpose(),
        // A stream may agree with several shapes. Numbers that are read too wide come out negative, which few are.
        Known::Standard => {
            let shapes = standard::shapes(name);
            let read = shapes.iter().filter_map(|columns| {
                let left = pool.copies_left();
                let read = widened(columns);
                if read.is_err() {
                    // What was read in vain is gone again.
                    pool.allow_copies(left);
                }
                read.ok()
            });
            Ok(read.min_by_key(|change| change.rows.iter().map(negatives).sum::<usize>()))
        }
    }
}

/// How many negative numbers a row has.
fn negatives(row: &RowChange) -> usize {
    let is_negative = |value: &&Value| matches!(value, Value::Int(..=-1));
    match row {
        RowChange::Insert(values) => values.iter().filter(is_negative).count(),
        RowChange::Update { cells, .. } => cells.iter().map(|(_, value)| value).filter(is_negative).count(),
        RowChange::Delete { .. } => 0,
    }
}

/// Rows by key, two of one key being a fault.
fn sorted(change: &TableChange, rows: Vec<RowChange>) -> Result<Vec<RowChange>> {
    let mut by_key = BTreeMap::new();
    for row in rows {
        let key = change.key_of(&row);
        if by_key.contains_key(&key) {
            let what = format!("two rows have the key {}", super::shown(&key));
            return Err(MsiError::malformed(format!("table {}", change.name), what));
        }
        by_key.insert(key, row);
    }
    Ok(by_key.into_values().collect())
}

/// Reads the rows of a stream. A stream of a cell is empty yet.
fn records(table: &str, bytes: &[u8], columns: &[Column], pool: &Pool) -> Result<Vec<RowChange>> {
    let keys: Vec<usize> = columns.iter().enumerate().filter(|(_, column)| column.key).map(|(at, _)| at).collect();
    if keys.is_empty() {
        return Err(MsiError::malformed(format!("table {table}"), "no column is the key"));
    }
    let mut reader = Reader { table, bytes, at: 0, columns, pool };
    let mut rows = Vec::new();
    while reader.at < bytes.len() {
        let start = reader.at;
        let word = u16::try_from(reader.take(2)?).unwrap_or_default();
        rows.push(match word {
            0 => RowChange::Delete { key: keys.iter().map(|at| reader.value(*at)).collect::<Result<_>>()? },
            word if word & 1 == 1 => {
                let count = usize::from(word >> 8);
                if count > columns.len() || keys.iter().any(|at| *at >= count) {
                    let what = format!("a row of {count} columns in a table of {}", columns.len());
                    return Err(reader.malformed(start, &what));
                }
                RowChange::Insert((0..count).map(|at| reader.value(at)).collect::<Result<_>>()?)
            }
            word => {
                if columns.len() < 16 && word >> columns.len() != 0 {
                    let what = format!("the word {word:#06x} names a column after the {}", columns.len());
                    return Err(reader.malformed(start, &what));
                }
                let (mut key, mut cells) = (Vec::new(), Vec::new());
                for (at, column) in columns.iter().enumerate() {
                    if column.key {
                        key.push(reader.value(at)?);
                    } else if at < 16 && word >> at & 1 == 1 {
                        cells.push((at, reader.value(at)?));
                    }
                }
                if cells.is_empty() {
                    let what = format!("the word {word:#06x} names no column but those of the key");
                    return Err(reader.malformed(start, &what));
                }
                RowChange::Update { key, cells }
            }
        });
    }
    Ok(rows)
}

struct Reader<'a> {
    table: &'a str,
    bytes: &'a [u8],
    at: usize,
    columns: &'a [Column],
    pool: &'a Pool,
}

impl Reader<'_> {
    fn malformed(&self, at: usize, what: &str) -> MsiError {
        MsiError::malformed(format!("table {}, offset {at:#x}", self.table), what)
    }

    fn take(&mut self, len: usize) -> Result<u32> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(taken) = rest.get(..len) else {
            return Err(MsiError::new(format!("table {}, offset {:#x}", self.table, self.at), MsiErrorKind::Truncated));
        };
        self.at += len;
        Ok(number(taken))
    }

    fn value(&mut self, at: usize) -> Result<Value> {
        let start = self.at;
        let Some(column) = self.columns.get(at) else { return Err(self.malformed(start, "a column too many")) };
        let stored = self.take(width_of(column.kind, self.pool))?;
        value(column, stored, self.pool).ok_or_else(|| {
            let what = format!("column {}: there is no text {stored}, or its copies are too many", column.name);
            self.malformed(start, &what)
        })
    }
}

/// Reads the streams that the cells of new and changed rows name.
fn fill<F: Read + Seek>(change: &mut TableChange, streams: &mut Streams<'_, F>) -> Result<()> {
    if !change.columns.iter().any(|column| column.kind == ColumnKind::Binary) {
        return Ok(());
    }
    let mut rows = std::mem::take(&mut change.rows);
    for row in &mut rows {
        let name = super::stream_name(&change.name, &change.key_of(row));
        let values: Vec<&mut Value> = match row {
            RowChange::Insert(values) => values.iter_mut().collect(),
            RowChange::Update { cells, .. } => cells.iter_mut().map(|(_, value)| value).collect(),
            RowChange::Delete { .. } => continue,
        };
        for value in values.into_iter().filter(|value| matches!(value, Value::Binary(_))) {
            *value = Value::Binary(streams.take(&name, false)?.ok_or_else(|| {
                MsiError::malformed(format!("table {}", change.name), format!("the stream {name} is missing"))
            })?);
        }
    }
    change.rows = rows;
    Ok(())
}
