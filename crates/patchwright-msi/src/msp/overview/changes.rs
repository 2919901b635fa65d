//! A transform, table by table.

use std::collections::BTreeSet;

use crate::transform::{Definition, RowChange, TableChange, Transform};

/// What a transform does to a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSummary {
    /// The table.
    pub name: String,
    /// Whether it is new, goes, or gains columns.
    pub definition: Option<Definition>,
    /// Names of the columns that it gains.
    pub new_columns: Vec<String>,
    /// Rows that are added, or replaced as a whole.
    pub inserted: usize,
    /// Rows of which some values change.
    pub updated: usize,
    /// Rows that go.
    pub deleted: usize,
    /// The columns of which values change.
    pub changed_columns: Vec<String>,
    /// Bytes that could not be read, since nobody said what the columns are.
    pub undecoded_bytes: usize,
}

/// What the transform does, by the names of the tables.
pub(super) fn tables(transform: &Transform) -> Vec<TableSummary> {
    let undecoded = transform
        .undecoded
        .iter()
        .map(|table| TableSummary { undecoded_bytes: table.len_bytes, ..empty(&table.table) });
    let mut tables: Vec<TableSummary> = transform.tables.iter().map(table).chain(undecoded).collect();
    tables.sort_by(|one, other| one.name.cmp(&other.name));
    tables
}

fn empty(name: &str) -> TableSummary {
    TableSummary {
        name: name.to_owned(),
        definition: None,
        new_columns: Vec::new(),
        inserted: 0,
        updated: 0,
        deleted: 0,
        changed_columns: Vec::new(),
        undecoded_bytes: 0,
    }
}

fn table(change: &TableChange) -> TableSummary {
    let mut made = TableSummary { definition: Some(change.definition), ..empty(&change.name) };
    let from = match change.definition {
        Definition::Widened(old) => old,
        Definition::Kept | Definition::Added | Definition::Dropped => change.columns.len(),
    };
    made.new_columns = change.columns.iter().skip(from).map(|column| column.name.clone()).collect();
    let mut changed = BTreeSet::new();
    for row in &change.rows {
        match row {
            RowChange::Insert(_) => made.inserted += 1,
            RowChange::Update { cells, .. } => {
                made.updated += 1;
                changed.extend(cells.iter().map(|(at, _)| *at));
            }
            RowChange::Delete { .. } => made.deleted += 1,
        }
    }
    made.changed_columns = changed.into_iter().filter_map(|at| Some(change.columns.get(at)?.name.clone())).collect();
    made
}
