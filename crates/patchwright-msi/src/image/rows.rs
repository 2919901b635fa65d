//! Rows of a table by the names of its columns, as other tables of an installer are wider or older than ours.

use crate::database::{Database, Table, Value};

/// A table that may be missing, or lack columns: then it gives nothing.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a>(Option<&'a Table>);

/// A row of it.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    table: &'a Table,
    cells: &'a [Value],
}

impl<'a> Rows<'a> {
    pub(crate) fn of(database: &'a Database, table: &str) -> Self {
        Self(database.table(table))
    }

    pub(crate) fn exist(self) -> bool {
        self.0.is_some()
    }

    /// Names of the columns that the table should have and lacks.
    pub(crate) fn lacks(self, columns: &[&'static str]) -> Vec<&'static str> {
        let Some(table) = self.0 else { return Vec::new() };
        columns.iter().copied().filter(|column| table.column(column).is_none()).collect()
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Row<'a>> {
        self.0.into_iter().flat_map(|table| table.rows.iter().map(move |cells| Row { table, cells }))
    }
}

impl<'a> Row<'a> {
    fn cell(self, column: &str) -> Option<&'a Value> {
        self.cells.get(self.table.column(column)?)
    }

    /// A text that is not empty.
    pub(crate) fn text(self, column: &str) -> Option<&'a str> {
        match self.cell(column)? {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn int(self, column: &str) -> Option<i32> {
        match self.cell(column)? {
            Value::Int(number) => Some(*number),
            _ => None,
        }
    }
}
