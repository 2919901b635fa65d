//! Patch creation properties made row by row.

use std::fs;
use std::path::{Path, PathBuf};

use patchwright_msi::database::{Database, Value};
use patchwright_msi::pcp::{Image, New, Pair, new};

use super::product::Product;

/// A `.pcp` in memory.
pub(crate) struct Pcp {
    pub(crate) database: Database,
}

/// What a cell can be given as.
pub(crate) trait Cell {
    fn value(&self) -> Value;
}

impl Cell for &str {
    fn value(&self) -> Value {
        if self.is_empty() { Value::Null } else { Value::Str((*self).to_owned()) }
    }
}

impl Cell for String {
    fn value(&self) -> Value {
        self.as_str().value()
    }
}

impl Cell for i32 {
    fn value(&self) -> Value {
        Value::Int(*self)
    }
}

impl Pcp {
    /// What `pcp new` makes: one family, the images `Old` and `New`.
    pub(crate) fn new(old: (&Product, &str), to: (&Product, &str)) -> Self {
        let (old_tables, new_tables) = (old.0.database(), to.0.database());
        let options = New {
            pairs: &[Pair {
                old: Image { path: old.1, database: &old_tables },
                new: Image { path: to.1, database: &new_tables },
            }],
            patch_guid: &format!(
                "{{5406B219-A1AC-4BC4-8695-{:012X}}}",
                u32::from(to.0.id) << 8 | u32::from(to.0.build)
            ),
            patch_path: "",
            metadata: &[("MoreInfoURL".to_owned(), "https://example.org".to_owned())].into(),
        };
        let (database, _) = new(&options).unwrap();
        Self { database }
    }

    /// Sets a property.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.row("Properties", &[("Name", &name), ("Value", &value)])
    }

    /// Adds a row, or puts it in the place of the one with the same key.
    pub(crate) fn row(&mut self, table: &str, cells: &[(&str, &dyn Cell)]) -> &mut Self {
        let table = self.database.tables.iter_mut().find(|other| other.name == table).unwrap();
        let mut row = vec![Value::Null; table.columns.len()];
        for (column, cell) in cells {
            row[table.column(column).unwrap()] = cell.value();
        }
        let keys: Vec<usize> = (0..table.columns.len()).filter(|at| table.columns[*at].key).collect();
        table.rows.retain(|other| keys.iter().any(|at| other[*at] != row[*at]));
        table.rows.push(row);
        self
    }

    /// Changes cells of every row of a table.
    pub(crate) fn all(&mut self, table: &str, cells: &[(&str, &dyn Cell)]) -> &mut Self {
        let table = self.database.tables.iter_mut().find(|other| other.name == table).unwrap();
        for (column, cell) in cells {
            let at = table.column(column).unwrap();
            table.rows.iter_mut().for_each(|row| row[at] = cell.value());
        }
        self
    }

    /// Removes every row of a table.
    pub(crate) fn clear(&mut self, table: &str) -> &mut Self {
        self.database.tables.iter_mut().filter(|other| other.name == table).for_each(|table| table.rows.clear());
        self
    }

    pub(crate) fn write(&self, folder: &Path) -> PathBuf {
        let path = folder.join("app.pcp");
        fs::write(&path, self.database.write().unwrap()).unwrap();
        path
    }
}
