//! A Windows Installer database as plain values: every table by name, every column with its type, every row.
//!
//! The container is a compound file (crate `cfb`). What is in it we read ourselves, since the `msi` crate drops the exact
//! widths of columns and adds a table of its own to what it writes; its code pages are used here.

pub(crate) mod name;
pub(crate) mod pool;
pub(crate) mod read;
mod summary;
pub(crate) mod write;

use std::fmt;

pub(crate) use pool::Coding;
pub use read::copy_stream;
pub use summary::{Property, Summary};

/// A database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Database {
    /// Code page of its texts; 0 is neutral, which means ASCII.
    pub code_page: u32,
    /// Summary information.
    pub summary: Summary,
    /// The tables, sorted by name; those that describe tables are not among them.
    pub tables: Vec<Table>,
    /// Names of what else is in the container: cabinets, transforms, signatures. It is neither read nor written.
    pub others: Vec<String>,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name; case matters.
    pub name: String,
    /// The columns, as they are stored.
    pub columns: Vec<Column>,
    /// The rows, as they are stored: each has a value for each column.
    pub rows: Vec<Vec<Value>>,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name; case matters.
    pub name: String,
    /// What it holds.
    pub kind: ColumnKind,
    /// Whether it may be empty.
    pub nullable: bool,
    /// Whether it is part of the primary key.
    pub key: bool,
    /// Whether its texts are translated.
    pub localizable: bool,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// A number of two bytes.
    Int16,
    /// A number of four bytes.
    Int32,
    /// A text of at most so many characters; 0: any.
    Text(u8),
    /// A stream.
    Binary,
}

/// A value of a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// Nothing; an empty text is the same.
    Null,
    /// A number.
    Int(i32),
    /// A text.
    Str(String),
    /// The content of a stream.
    Binary(Vec<u8>),
}

impl Database {
    /// The table called `name`.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name)
    }

    /// Brings tables and rows into the order that the archives and our own databases have: by name, by key.
    pub fn sort(&mut self) {
        self.tables.sort_by(|one, other| one.name.cmp(&other.name));
        self.tables.iter_mut().for_each(Table::sort);
    }
}

impl Table {
    /// The index of a column.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The key of a row, for people: `Windows, 3`.
    pub fn row_key(&self, row: &[Value]) -> String {
        let key: Vec<String> = self.key_of(row).map(ToString::to_string).collect();
        key.join(", ")
    }

    pub(crate) fn key_of<'a>(&'a self, row: &'a [Value]) -> impl Iterator<Item = &'a Value> {
        self.columns.iter().zip(row).filter(|(column, _)| column.key).map(|(_, value)| value)
    }

    /// Sorts the rows by key: nothing first, numbers by value, texts by their characters.
    pub(crate) fn sort(&mut self) {
        let mut rows = std::mem::take(&mut self.rows);
        rows.sort_by(|one, other| self.key_of(one).cmp(self.key_of(other)).then_with(|| one.cmp(other)));
        self.rows = rows;
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Int(number) => number.fmt(f),
            Self::Str(text) => text.fmt(f),
            Self::Binary(bytes) => write!(f, "{} bytes", bytes.len()),
        }
    }
}

/// Bits of the word that describes a column.
mod bits {
    pub(super) const WIDTH: u16 = 0x00ff;
    pub(super) const VALID: u16 = 0x0100;
    pub(super) const LOCALIZABLE: u16 = 0x0200;
    pub(super) const SHORT: u16 = 0x0400;
    pub(super) const TEXT: u16 = 0x0800;
    pub(super) const NULLABLE: u16 = 0x1000;
    pub(super) const KEY: u16 = 0x2000;
}

impl Column {
    /// Reads the word that describes a column; `None` for a width that no number has.
    pub(crate) fn from_word(name: String, word: u16) -> Option<Self> {
        let width = word & bits::WIDTH;
        let kind = if word & !bits::NULLABLE == bits::TEXT | bits::VALID {
            ColumnKind::Binary
        } else if word & bits::TEXT != 0 {
            ColumnKind::Text(u8::try_from(width).ok()?)
        } else {
            // One byte is stored as two.
            match width {
                0..=2 => ColumnKind::Int16,
                4 => ColumnKind::Int32,
                _ => return None,
            }
        };
        let has = |bit| word & bit != 0;
        Some(Self {
            name,
            kind,
            nullable: has(bits::NULLABLE),
            key: has(bits::KEY),
            localizable: has(bits::LOCALIZABLE),
        })
    }

    /// The word that describes the column.
    pub(crate) fn word(&self) -> u16 {
        let kind = match self.kind {
            ColumnKind::Int16 => bits::SHORT | 2,
            ColumnKind::Int32 => 4,
            ColumnKind::Text(width) => bits::TEXT | bits::SHORT | u16::from(width),
            ColumnKind::Binary => bits::TEXT,
        };
        let bit = |set: bool, bit| if set { bit } else { 0 };
        kind | bits::VALID
            | bit(self.nullable, bits::NULLABLE)
            | bit(self.key, bits::KEY)
            | bit(self.localizable && self.kind != ColumnKind::Binary, bits::LOCALIZABLE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words that Windows Installer's own files have.
    #[test]
    fn words_of_columns() {
        for (word, kind, nullable, key, localizable) in [
            (0x2d48, ColumnKind::Text(72), false, true, false),
            (0x3d26, ColumnKind::Text(38), true, true, false),
            (0x0f00, ColumnKind::Text(0), false, false, true),
            (0x1f40, ColumnKind::Text(64), true, false, true),
            (0x0502, ColumnKind::Int16, false, false, false),
            (0x2502, ColumnKind::Int16, false, true, false),
            (0x1104, ColumnKind::Int32, true, false, false),
            (0x0900, ColumnKind::Binary, false, false, false),
            (0x1900, ColumnKind::Binary, true, false, false),
        ] {
            let column = Column { name: "c".to_owned(), kind, nullable, key, localizable };
            assert_eq!(Column::from_word("c".to_owned(), word), Some(column.clone()), "{word:#x}");
            assert_eq!(column.word(), word);
        }
        assert_eq!(Column::from_word("c".to_owned(), 0x0103), None);
    }
}
