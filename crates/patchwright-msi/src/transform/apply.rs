//! Follows a transform: the database that it makes of another.
//!
//! Windows Installer stops at what it does not expect (a row to add is there already, one to change is not), unless the
//! condition is suppressed; the summary information of a transform in a patch says which are. Then a row that is there is
//! overwritten, and what should change or go and is not there is left out.

use std::collections::BTreeMap;

use super::{Definition, RowChange, TableChange, Transform, shown};
use crate::database::{Column, Database, Table, Value, write};
use crate::objection::{Objection, Objections};

/// What Windows Installer would stop at and is told not to: the lower word of `PID_CHARCOUNT`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErrorConditions(pub u16);

impl ErrorConditions {
    /// A row to add is there.
    pub const ADD_EXISTING_ROW: u16 = 0x0001;
    /// A row to delete is not there.
    pub const DELETE_MISSING_ROW: u16 = 0x0002;
    /// A table to add is there.
    pub const ADD_EXISTING_TABLE: u16 = 0x0004;
    /// A table to drop is not there.
    pub const DELETE_MISSING_TABLE: u16 = 0x0008;
    /// A row to change is not there.
    pub const UPDATE_MISSING_ROW: u16 = 0x0010;
    /// The code pages differ and neither is neutral.
    pub const CHANGE_CODE_PAGE: u16 = 0x0020;
    /// All that there are.
    pub const ALL: u16 = 0x003f;

    /// Nothing is suppressed: what does not fit is an objection.
    pub const NONE: Self = Self(0);
    /// What the transforms of patches suppress as a rule: all but a missing table and another code page.
    pub const OF_PATCHES: Self = Self(0x0017);

    const NAMES: [(u16, &str); 6] = [
        (Self::ADD_EXISTING_ROW, "add-existing-row"),
        (Self::DELETE_MISSING_ROW, "delete-missing-row"),
        (Self::ADD_EXISTING_TABLE, "add-existing-table"),
        (Self::DELETE_MISSING_TABLE, "delete-missing-table"),
        (Self::UPDATE_MISSING_ROW, "update-missing-row"),
        (Self::CHANGE_CODE_PAGE, "change-code-page"),
    ];

    /// Whether this one is suppressed.
    pub fn has(self, condition: u16) -> bool {
        self.0 & condition != 0
    }

    /// The names of those that are suppressed.
    pub fn names(self) -> Vec<&'static str> {
        Self::NAMES.iter().filter(|(bit, _)| self.has(*bit)).map(|(_, name)| *name).collect()
    }
}

/// Makes the database that `transform` makes of `base`. Summary information and other streams are those of `base`.
///
/// Errors are all the conditions that hold and are not `suppressed`, and what no suppression helps against: a value that its
/// column does not take, a table that is not there and not new, two columns of one name.
pub fn apply(transform: &Transform, base: &Database, suppressed: ErrorConditions) -> Result<Database, Objections> {
    let mut work = Work { suppressed, objections: Vec::new() };
    let code_page = work.code_page(base.code_page, transform.code_page);
    for table in &transform.undecoded {
        let what = "the database lacks it, and the transform does not add it";
        work.objections.push(Objection::of_table(&table.table, what, OTHER_PRODUCT));
    }
    let mut tables: BTreeMap<String, Table> =
        base.tables.iter().map(|table| (table.name.clone(), table.clone())).collect();
    for change in &transform.tables {
        let table = tables.remove(&change.name);
        tables.extend(work.table(table, change).map(|table| (change.name.clone(), table)));
    }
    let database = Database {
        code_page,
        summary: base.summary.clone(),
        tables: tables.into_values().collect(),
        others: base.others.clone(),
    };
    Objections::or(work.objections, database)
}

const OTHER_PRODUCT: &str = "the transform was made for another database: compare product and version";

struct Work {
    suppressed: ErrorConditions,
    objections: Vec<Objection>,
}

impl Work {
    fn object(&mut self, condition: u16, objection: Objection) {
        if !self.suppressed.has(condition) {
            self.objections.push(objection);
        }
    }

    fn code_page(&mut self, base: u32, transform: u32) -> u32 {
        match (base, transform) {
            (base, 0) => base,
            (base, transform) => {
                if base != 0 && base != transform {
                    let what = format!("the code page of the database is {base}, that of the transform {transform}");
                    self.object(ErrorConditions::CHANGE_CODE_PAGE, Objection::of_database(what, OTHER_PRODUCT));
                }
                transform
            }
        }
    }

    /// What becomes of a table; `None` if it is not there afterwards.
    fn table(&mut self, table: Option<Table>, change: &TableChange) -> Option<Table> {
        let of_table = |what: &str| Objection::of_table(&change.name, what, OTHER_PRODUCT);
        let empty = || Table { name: change.name.clone(), columns: change.columns.clone(), rows: Vec::new() };
        let mut table = match (change.definition, table) {
            (Definition::Dropped, Some(_)) => return None,
            (Definition::Dropped, None) => {
                self.object(ErrorConditions::DELETE_MISSING_TABLE, of_table("the table to drop is not there"));
                return None;
            }
            (Definition::Added, Some(table)) => {
                self.object(ErrorConditions::ADD_EXISTING_TABLE, of_table("the table to add is there"));
                table
            }
            (Definition::Added, None) => empty(),
            (Definition::Kept | Definition::Widened(_), Some(table)) => table,
            (Definition::Kept | Definition::Widened(_), None) => {
                self.objections.push(of_table("the database lacks it, and the transform does not add it"));
                return None;
            }
        };
        if let Definition::Widened(old) = change.definition {
            self.widen(&mut table, change.columns.get(old..).unwrap_or_default());
        }
        let places = self.places(&table, &change.columns)?;
        self.rows(&mut table, change, &places);
        if let Err(error) = write::check(&table) {
            self.objections.push(error.into());
        }
        Some(table)
    }

    /// Adds columns at the end, and nothing in them to each row.
    fn widen(&mut self, table: &mut Table, columns: &[Column]) {
        for column in columns {
            if table.column(&column.name).is_some() {
                let what = "the column to add is there";
                let objection = Objection::of_table(&table.name, what, OTHER_PRODUCT).column(&column.name);
                self.object(ErrorConditions::ADD_EXISTING_TABLE, objection);
            } else {
                table.columns.push(column.clone());
                table.rows.iter_mut().for_each(|row| row.push(Value::Null));
            }
        }
    }

    /// Where the columns of the transform are in the table; `None` if one is nowhere, or is another's key.
    fn places(&mut self, table: &Table, columns: &[Column]) -> Option<Vec<usize>> {
        let before = self.objections.len();
        let mut places = Vec::new();
        for column in columns {
            let what = match table.column(&column.name) {
                Some(at) if table.columns.get(at).is_some_and(|own| own.key == column.key) => {
                    places.push(at);
                    continue;
                }
                Some(_) => "it is part of the key in one of the two only",
                None => "the table of the database lacks it",
            };
            self.objections.push(Objection::of_table(&table.name, what, OTHER_PRODUCT).column(&column.name));
        }
        for column in table.columns.iter().filter(|column| column.key) {
            if !columns.iter().any(|other| other.name == column.name) {
                let what = "it is part of the key, and the transform does not know it";
                self.objections.push(Objection::of_table(&table.name, what, OTHER_PRODUCT).column(&column.name));
            }
        }
        (self.objections.len() == before).then_some(places)
    }

    fn rows(&mut self, table: &mut Table, change: &TableChange, places: &[usize]) {
        let mut rows: BTreeMap<Vec<Value>, Vec<Value>> = BTreeMap::new();
        for row in std::mem::take(&mut table.rows) {
            rows.insert(table.key_of(&row).cloned().collect(), row);
        }
        // The key as the table orders it, of the key as the transform does.
        let places_of_keys: Vec<usize> =
            change.key_columns().iter().filter_map(|at| places.get(*at).copied()).collect();
        let own_key = |key: &[Value]| -> Vec<Value> {
            let mut ordered: Vec<(usize, Value)> = places_of_keys.iter().copied().zip(key.iter().cloned()).collect();
            ordered.sort_by_key(|(at, _)| *at);
            ordered.into_iter().map(|(_, value)| value).collect()
        };
        for row in &change.rows {
            let key = own_key(&change.key_of(row));
            let of_row = |what: &str| Objection::of_table(&table.name, what, OTHER_PRODUCT).row(shown(&key));
            match row {
                RowChange::Insert(values) => {
                    if rows.contains_key(&key) {
                        self.object(ErrorConditions::ADD_EXISTING_ROW, of_row("the row to add is there"));
                    }
                    let mut made = vec![Value::Null; table.columns.len()];
                    put(&mut made, places.iter().zip(values));
                    rows.insert(key, made);
                }
                RowChange::Update { cells, .. } => match rows.get_mut(&key) {
                    Some(found) => put(found, cells.iter().filter_map(|(at, value)| Some((places.get(*at)?, value)))),
                    None => self.object(ErrorConditions::UPDATE_MISSING_ROW, of_row("the row to change is not there")),
                },
                RowChange::Delete { .. } => {
                    if rows.remove(&key).is_none() {
                        self.object(ErrorConditions::DELETE_MISSING_ROW, of_row("the row to delete is not there"));
                    }
                }
            }
        }
        table.rows = rows.into_values().collect();
    }
}

fn put<'a>(row: &mut [Value], values: impl Iterator<Item = (&'a usize, &'a Value)>) {
    for (at, value) in values {
        if let Some(cell) = row.get_mut(*at) {
            *cell = value.clone();
        }
    }
}
