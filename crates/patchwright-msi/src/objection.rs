//! What stands against a piece of work on tables: collected, so that all of it is told at once.

use std::fmt;

use crate::error::MsiError;

/// Something that stands against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    /// The table that it is about; empty if it is about the whole database.
    pub table: String,
    /// The key of the row that it is about, or nothing.
    pub row: String,
    /// The column that it is about, or nothing.
    pub column: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub hint: &'static str,
}

/// All that stands against it; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objections(pub Vec<Objection>);

impl Objection {
    pub(crate) fn of_table(table: &str, what: impl Into<String>, hint: &'static str) -> Self {
        Self { table: table.to_owned(), row: String::new(), column: String::new(), what: what.into(), hint }
    }

    pub(crate) fn of_database(what: impl Into<String>, hint: &'static str) -> Self {
        Self::of_table("", what, hint)
    }

    pub(crate) fn row(mut self, row: impl Into<String>) -> Self {
        self.row = row.into();
        self
    }

    pub(crate) fn column(mut self, column: impl Into<String>) -> Self {
        self.column = column.into();
        self
    }
}

impl Objections {
    /// `value`, unless something was collected.
    pub(crate) fn or<T>(collected: Vec<Objection>, value: T) -> Result<T, Self> {
        if collected.is_empty() { Ok(value) } else { Err(Self(collected)) }
    }
}

impl From<MsiError> for Objection {
    fn from(error: MsiError) -> Self {
        Self::of_database(error.to_string(), "")
    }
}

impl From<MsiError> for Objections {
    fn from(error: MsiError) -> Self {
        Self(vec![error.into()])
    }
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = [("table", &self.table), ("row", &self.row), ("column", &self.column)];
        let places: Vec<String> =
            places.iter().filter(|(_, name)| !name.is_empty()).map(|(kind, name)| format!("{kind} {name}")).collect();
        if places.is_empty() { f.write_str(&self.what) } else { write!(f, "{}: {}", places.join(", "), self.what) }
    }
}

impl fmt::Display for Objections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, objection) in self.0.iter().enumerate() {
            let newline = if at == 0 { "" } else { "\n" };
            write!(f, "{newline}{objection}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Objections {}
