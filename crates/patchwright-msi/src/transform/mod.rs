//! Transforms: what makes one database of another. `docs/formats/transform.md` describes their bytes.
//!
//! | module | story |
//! |---|---|
//! | `diff` | two databases to a transform, by rules that say what is to stay as it is |
//! | `apply` | a transform and a database to another database, under the conditions of Windows Installer |
//! | `write` | a transform to the streams of a storage |
//! | `read` | the streams of a storage to a transform |
//! | [`info`] | its summary information: from which product to which, and when it may be applied |
//! | `standard` | what the tables of Windows Installer look like, for a reader without a database |
//!
//! For databases with one code page, `apply(diff(a, b), a)` has the tables of `b`; what is written is read back.

mod apply;
mod diff;
#[cfg(test)]
mod golden;
pub mod info;
mod read;
pub(crate) mod standard;
mod write;

use std::ops::Range;

use crate::database::{Column, Summary, Value};

pub use apply::{ErrorConditions, apply};
pub use diff::{Definitions, Diff, Keep, KeptColumns, KeptRows, RemovedTables, Rules, Suppressed, diff};
pub use read::{Known, Undecoded};
pub(crate) use write::put;

/// Indices of the columns that a change can name: the word at the start of a row has sixteen bits, and the first says
/// something else. Where others change, the whole row is given.
const MASKED: Range<usize> = 1..16;

/// What makes one database of another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transform {
    /// Code page that the database gets, and of the texts here; 0 is neutral and changes nothing.
    pub code_page: u32,
    /// Summary information of the transform; [`info::TransformInfo`] understands it.
    pub summary: Summary,
    /// The tables that change, sorted by name.
    pub tables: Vec<TableChange>,
    /// Tables whose rows could not be read, since nobody said what their columns are. Never written.
    pub undecoded: Vec<Undecoded>,
}

/// What becomes of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableChange {
    /// Its name.
    pub name: String,
    /// All of its columns after the change, by which its rows are written.
    pub columns: Vec<Column>,
    /// What becomes of its definition.
    pub definition: Definition,
    /// What becomes of its rows, sorted by key; at most one change for each key.
    pub rows: Vec<RowChange>,
}

/// What becomes of the definition of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Definition {
    /// It stays.
    Kept,
    /// The table is new.
    Added,
    /// The table had so many columns; those that follow are new.
    Widened(usize),
    /// The table goes, with its rows.
    Dropped,
}

/// What becomes of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowChange {
    /// It is there afterwards, with these values; columns that follow are empty. Where it was there before, it is replaced.
    Insert(Vec<Value>),
    /// Some of its values change.
    Update {
        /// Its key.
        key: Vec<Value>,
        /// The values that change: the index of the column, and the value. Columns of the key are not among them.
        cells: Vec<(usize, Value)>,
    },
    /// It goes.
    Delete {
        /// Its key.
        key: Vec<Value>,
    },
}

impl Transform {
    /// What becomes of the table called `name`.
    pub fn table(&self, name: &str) -> Option<&TableChange> {
        self.tables.iter().find(|table| table.name == name)
    }

    /// Whether all of its texts are ASCII.
    fn is_ascii(&self) -> bool {
        let mut ascii = self
            .tables
            .iter()
            .all(|table| table.name.is_ascii() && table.columns.iter().all(|column| column.name.is_ascii()));
        self.each_value(|value| ascii &= !matches!(value, Value::Str(text) if !text.is_ascii()));
        ascii
    }

    /// Calls `each` with every value of every row.
    fn each_value<'a>(&'a self, mut each: impl FnMut(&'a Value)) {
        for row in self.tables.iter().flat_map(|table| &table.rows) {
            match row {
                RowChange::Insert(values) => values.iter().for_each(&mut each),
                RowChange::Update { key, cells } => {
                    key.iter().chain(cells.iter().map(|(_, value)| value)).for_each(&mut each);
                }
                RowChange::Delete { key } => key.iter().for_each(&mut each),
            }
        }
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.undecoded.is_empty()
    }
}

impl TableChange {
    /// Indices of the columns that are the key.
    pub(crate) fn key_columns(&self) -> Vec<usize> {
        self.columns.iter().enumerate().filter(|(_, column)| column.key).map(|(at, _)| at).collect()
    }

    /// The key of a changed row.
    pub fn key_of(&self, row: &RowChange) -> Vec<Value> {
        match row {
            RowChange::Insert(values) => {
                self.key_columns().into_iter().map(|at| values.get(at).cloned().unwrap_or(Value::Null)).collect()
            }
            RowChange::Update { key, .. } | RowChange::Delete { key } => key.clone(),
        }
    }

    /// The values that a row gets, by the names of their columns: all of an inserted row, those that change of another.
    pub fn cells<'a>(&'a self, row: &'a RowChange) -> Vec<(&'a str, &'a Value)> {
        let name = |at: usize| self.columns.get(at).map_or("", |column| column.name.as_str());
        match row {
            RowChange::Insert(values) => values.iter().enumerate().map(|(at, value)| (name(at), value)).collect(),
            RowChange::Update { cells, .. } => cells.iter().map(|(at, value)| (name(*at), value)).collect(),
            RowChange::Delete { .. } => Vec::new(),
        }
    }
}

/// A key, for people.
pub(crate) fn shown(key: &[Value]) -> String {
    key.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The name of the stream of a row: the table's and the key's.
pub(crate) fn stream_name(table: &str, key: &[Value]) -> String {
    let key = key.iter().map(|value| format!(".{value}"));
    std::iter::once(table.to_owned()).chain(key).collect()
}
