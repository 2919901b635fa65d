//! What differs between two databases.
//!
//! Rows are matched by key. What a rule keeps as it is in the old database is told, so that nothing is lost in silence.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::{Definition, MASKED, RowChange, TableChange, Transform, shown};
use crate::database::{Column, Database, Table, Value, write};
use crate::objection::{Objection, Objections};

/// What is not to change although it differs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Values, rows and tables that stay as they are in the old database.
    pub keep: Vec<Keep>,
    /// What becomes of tables that the new database lacks.
    pub removed_tables: RemovedTables,
    /// What may differ between the columns of a table.
    pub definitions: Definitions,
}

/// Something that stays as it is in the old database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    /// The table.
    pub table: Cow<'static, str>,
    /// Which of its rows.
    pub rows: KeptRows,
    /// Which values of those rows.
    pub columns: KeptColumns,
    /// Why; it is told with what was kept.
    pub why: &'static str,
}

/// Which rows a [`Keep`] is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeptRows {
    /// All of them: none is added, removed or changed.
    All,
    /// Those that both databases have.
    Common,
    /// Those whose first key value is one of these texts.
    Keys(BTreeSet<String>),
}

/// Which values a [`Keep`] is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeptColumns {
    /// The whole row, which is then neither added, removed nor changed.
    All,
    /// Values of these columns, where both databases have the row.
    Named(Vec<Cow<'static, str>>),
}

/// What becomes of tables that the new database lacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RemovedTables {
    /// They are dropped.
    #[default]
    Drop,
    /// They are left alone.
    Keep,
}

/// What may differ between the columns of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Definitions {
    /// Nothing; columns may only be added at the end.
    #[default]
    Same,
    /// What does not change how values are stored: the length of texts, whether they are translated, whether a value may be
    /// empty. The old definition stays.
    SameStorage,
}

/// What differs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// What changes. Its summary information is empty.
    pub transform: Transform,
    /// What does not change although it differs, table by table.
    pub suppressed: Vec<Suppressed>,
}

/// A difference that a rule holds back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppressed {
    /// The table.
    pub table: String,
    /// The key of the row, unless it is about the table.
    pub row: String,
    /// The column, unless it is about the whole row or table.
    pub column: String,
    /// What stays.
    pub old: Option<Value>,
    /// What the new database has instead.
    pub new: Option<Value>,
    /// Why.
    pub why: &'static str,
}

/// Tables that keep book of patches; they belong to the other transform of a pair.
const PATCH_TABLES: [&str; 5] = ["MsiPatchHeaders", "MsiPatchMetadata", "MsiPatchSequence", "Patch", "PatchPackage"];

impl Rules {
    /// Those of the transform that leads from a product to its next version: the layout of the installed files stays, and
    /// the tables that keep book of patches are not touched.
    pub fn main() -> Self {
        let table =
            |name: &'static str, why| Keep { table: name.into(), rows: KeptRows::All, columns: KeptColumns::All, why };
        let file = Keep {
            table: "File".into(),
            rows: KeptRows::Common,
            columns: KeptColumns::Named(vec!["Attributes".into(), "Sequence".into()]),
            why: "where an installed file lies in the media, and how, cannot be changed by a patch",
        };
        let media = table("Media", "the media of an installed product cannot be changed by a patch");
        let patches = PATCH_TABLES.map(|name| table(name, "it keeps book of patches, which the patch does itself"));
        Self {
            keep: [file, media].into_iter().chain(patches).collect(),
            removed_tables: RemovedTables::Keep,
            definitions: Definitions::Same,
        }
    }

    /// Also keeps all that is said about these files, as `UpgradedFilesToIgnore` asks.
    pub fn ignore_files(mut self, files: impl IntoIterator<Item = String>) -> Self {
        let files: BTreeSet<String> = files.into_iter().collect();
        for table in ["File", "MsiFileHash"] {
            self.keep.push(Keep {
                table: table.into(),
                rows: KeptRows::Keys(files.clone()),
                columns: KeptColumns::All,
                why: "the file is one of UpgradedFilesToIgnore",
            });
        }
        self
    }
}

/// Finds what makes `new` of `old`. The summary information of the transform is left empty.
///
/// All that stands against it is told at once: tables whose columns differ in more than new ones at the end, two code pages,
/// rows that no database can hold.
pub fn diff(old: &Database, new: &Database, rules: &Rules) -> Result<Diff, Objections> {
    let mut work = Work { rules, diff: Diff::default(), objections: Vec::new() };
    let code_page = work.code_page(old, new);
    let tables = |database: &'_ Database| -> BTreeMap<String, usize> {
        database.tables.iter().enumerate().map(|(at, table)| (table.name.clone(), at)).collect()
    };
    let (olds, news) = (tables(old), tables(new));
    let names: BTreeSet<&String> = olds.keys().chain(news.keys()).collect();
    for name in names {
        let old_table = olds.get(name).and_then(|at| old.tables.get(*at));
        let new_table = news.get(name).and_then(|at| new.tables.get(*at));
        // Both are looked at, so that the faults of both are told.
        let unsound = [old_table, new_table].into_iter().flatten().filter(|table| !work.is_sound(table)).count();
        let change = match (old_table, new_table) {
            _ if unsound > 0 => None,
            (Some(old), Some(new)) => work.changed(old, new),
            (None, Some(new)) => work.added(new),
            (Some(old), None) => work.removed(old),
            (None, None) => None,
        };
        work.diff.transform.tables.extend(change);
    }
    // As Windows Installer has it: neutral where that says all there is to say.
    let needed = old.code_page != new.code_page || !work.diff.transform.is_ascii();
    work.diff.transform.code_page = if needed { code_page } else { 0 };
    Objections::or(work.objections, work.diff)
}

struct Work<'a> {
    rules: &'a Rules,
    diff: Diff,
    objections: Vec<Objection>,
}

impl Work<'_> {
    /// The code page that the database has afterwards.
    fn code_page(&mut self, old: &Database, new: &Database) -> u32 {
        match (old.code_page, new.code_page) {
            (old, new) if old == new => old,
            (0, new) => new,
            (old, 0) => {
                self.suppress("", String::new(), "", None, None, "a transform cannot make a code page neutral");
                old
            }
            (old, new) => {
                self.objections.push(Objection::of_database(
                    format!("the code page is {old} in the old database and {new} in the new one"),
                    "build both with the same code page; neutral (0) goes with any",
                ));
                new
            }
        }
    }

    fn is_sound(&mut self, table: &Table) -> bool {
        match write::check(table) {
            Ok(()) => true,
            Err(error) => {
                self.objections.push(Objection::from(error));
                false
            }
        }
    }

    fn suppress(
        &mut self,
        table: &str,
        row: String,
        column: &str,
        old: Option<&Value>,
        new: Option<&Value>,
        why: &'static str,
    ) {
        self.diff.suppressed.push(Suppressed {
            table: table.to_owned(),
            row,
            column: column.to_owned(),
            old: old.cloned(),
            new: new.cloned(),
            why,
        });
    }

    /// The rule that keeps the whole table as it is.
    fn kept_table(&self, table: &str) -> Option<&'static str> {
        let mut keep = self.rules.keep.iter();
        keep.find(|keep| keep.table == table && keep.rows == KeptRows::All && keep.columns == KeptColumns::All)
            .map(|keep| keep.why)
    }

    fn added(&mut self, new: &Table) -> Option<TableChange> {
        if let Some(why) = self.kept_table(&new.name) {
            self.suppress(&new.name, String::new(), "", None, None, why);
            return None;
        }
        let empty = Table { rows: Vec::new(), ..new.clone() };
        let rows = self.rows(&empty, new);
        Some(TableChange { name: new.name.clone(), columns: new.columns.clone(), definition: Definition::Added, rows })
    }

    fn removed(&mut self, old: &Table) -> Option<TableChange> {
        let kept = self.kept_table(&old.name);
        let kept = kept.or((self.rules.removed_tables == RemovedTables::Keep).then_some("a patch removes no tables"));
        if let Some(why) = kept {
            self.suppress(&old.name, String::new(), "", None, None, why);
            return None;
        }
        Some(TableChange {
            name: old.name.clone(),
            columns: old.columns.clone(),
            definition: Definition::Dropped,
            rows: Vec::new(),
        })
    }

    fn changed(&mut self, old: &Table, new: &Table) -> Option<TableChange> {
        if let Some(why) = self.kept_table(&new.name) {
            if !same_content(old, new) {
                self.suppress(&new.name, String::new(), "", None, None, why);
            }
            return None;
        }
        if !self.same_columns(old, new) {
            return None;
        }
        let widened = new.columns.get(old.columns.len()..).filter(|more| !more.is_empty());
        let definition = if widened.is_some() { Definition::Widened(old.columns.len()) } else { Definition::Kept };
        let columns: Vec<Column> = old.columns.iter().chain(widened.unwrap_or_default()).cloned().collect();
        let rows = self.rows(old, new);
        let unchanged = rows.is_empty() && definition == Definition::Kept;
        (!unchanged).then(|| TableChange { name: new.name.clone(), columns, definition, rows })
    }

    /// Whether the rows of the two can be compared; if not, why.
    fn same_columns(&mut self, old: &Table, new: &Table) -> bool {
        let before = self.objections.len();
        let object = |column: &str, what: String| {
            let hint = "give the table the same columns in both databases; columns can only be added at its end";
            Objection::of_table(&new.name, what, hint).column(column)
        };
        for (at, column) in old.columns.iter().enumerate() {
            match new.columns.get(at) {
                Some(other) if other == column => {}
                Some(other) if other.name == column.name => {
                    if self.rules.definitions == Definitions::SameStorage && same_storage(column, other) {
                        let why = "the definitions differ in what does not change how values are stored";
                        self.suppress(&new.name, String::new(), &column.name, None, None, why);
                    } else {
                        let what = format!(
                            "its type is {} in the old database and {} in the new one",
                            type_name(column),
                            type_name(other)
                        );
                        self.objections.push(object(&column.name, what));
                    }
                }
                Some(_) | None if new.column(&column.name).is_some() => {
                    self.objections.push(object(&column.name, "it has another place in the new database".to_owned()));
                }
                Some(_) | None => {
                    self.objections.push(object(&column.name, "the new database lacks it".to_owned()));
                }
            }
        }
        for column in new.columns.iter().skip(old.columns.len()).filter(|column| column.key) {
            self.objections.push(object(&column.name, "a new column cannot be part of the key".to_owned()));
        }
        self.objections.len() == before
    }

    fn rows(&mut self, old: &Table, new: &Table) -> Vec<RowChange> {
        fn by_key(table: &Table) -> BTreeMap<Vec<Value>, &Vec<Value>> {
            table.rows.iter().map(|row| (table.key_of(row).map(plain).collect(), row)).collect()
        }
        let (olds, news) = (by_key(old), by_key(new));
        let keys: BTreeSet<&Vec<Value>> = olds.keys().chain(news.keys()).collect();
        let rules: Vec<Keep> = self.rules.keep.iter().filter(|keep| keep.table == new.name).cloned().collect();
        let mut rows = Vec::new();
        for key in keys {
            let (old_row, new_row) = (olds.get(key), news.get(key));
            let keeps = rules.iter().filter(|keep| match &keep.rows {
                KeptRows::All => true,
                KeptRows::Common => old_row.is_some() && new_row.is_some(),
                KeptRows::Keys(keys) => matches!(key.first(), Some(Value::Str(text)) if keys.contains(text)),
            });
            let keeps: Vec<&Keep> = keeps.collect();
            match (old_row, new_row) {
                (Some(old_row), Some(new_row)) => rows.extend(self.update(new, key, old_row, new_row, &keeps)),
                (was, is) => {
                    if let Some(keep) = keeps.iter().find(|keep| keep.columns == KeptColumns::All) {
                        self.suppress(&new.name, shown(key), "", None, None, keep.why);
                        continue;
                    }
                    rows.extend(is.map(|row| RowChange::Insert(row.iter().map(plain).collect())));
                    rows.extend(was.map(|_| RowChange::Delete { key: key.clone() }));
                }
            }
        }
        rows
    }

    fn update(
        &mut self,
        table: &Table,
        key: &[Value],
        old_row: &[Value],
        new_row: &[Value],
        keeps: &[&Keep],
    ) -> Option<RowChange> {
        let mut cells = Vec::new();
        for (at, (column, new)) in table.columns.iter().zip(new_row).enumerate() {
            let (old, new) = (old_row.get(at).map_or(Value::Null, plain), plain(new));
            if column.key || old == new {
                continue;
            }
            let kept = keeps.iter().find(|keep| match &keep.columns {
                KeptColumns::All => true,
                KeptColumns::Named(names) => names.iter().any(|name| *name == column.name),
            });
            match kept {
                Some(keep) => {
                    self.suppress(&table.name, shown(key), &column.name, Some(&old), Some(&new), keep.why);
                }
                None => cells.push((at, new)),
            }
        }
        if cells.iter().all(|(at, _)| MASKED.contains(at)) {
            return (!cells.is_empty()).then(|| RowChange::Update { key: key.to_vec(), cells });
        }
        let mut whole: Vec<Value> = old_row.iter().map(plain).collect();
        whole.resize(table.columns.len(), Value::Null);
        for (at, value) in cells {
            if let Some(cell) = whole.get_mut(at) {
                *cell = value;
            }
        }
        Some(RowChange::Insert(whole))
    }
}

/// An empty text is no value.
fn plain(value: &Value) -> Value {
    match value {
        Value::Str(text) if text.is_empty() => Value::Null,
        value => value.clone(),
    }
}

fn same_content(old: &Table, new: &Table) -> bool {
    let sorted = |table: &Table| {
        let mut rows: Vec<Vec<Value>> = table.rows.iter().map(|row| row.iter().map(plain).collect()).collect();
        rows.sort();
        rows
    };
    old.columns == new.columns && sorted(old) == sorted(new)
}

/// Whether values of the two columns are stored alike.
fn same_storage(one: &Column, other: &Column) -> bool {
    use crate::database::ColumnKind::Text;
    let kinds = one.kind == other.kind || matches!((one.kind, other.kind), (Text(_), Text(_)));
    kinds && one.key == other.key
}

/// The type of a column as text archives spell it, with what they do not say.
fn type_name(column: &Column) -> String {
    let key = if column.key { " (key)" } else { "" };
    format!("{}{key}", crate::idt::type_name(column))
}
