//! The two tables of a patch: in which order patches apply, and what users are told about it.

use crate::database::{Column, Database, Table, Value};
use crate::idt;

const SEQUENCE: &str = "MsiPatchSequence";
const METADATA: &str = "MsiPatchMetadata";

/// A row of `MsiPatchSequence`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    /// The family of patches that are compared with each other.
    pub family: String,
    /// The product that the row is about, or all of them.
    pub product_code: Option<String>,
    /// Where the patch stands in the family: one to four numbers with dots.
    pub sequence: Option<String>,
    /// 1: the patch takes the place of all that come before it in the family.
    pub attributes: Option<i32>,
}

/// A row of `MsiPatchMetadata`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Whose property it is; nobody's: one of Windows Installer.
    pub company: Option<String>,
    /// Its name.
    pub property: String,
    /// Its value.
    pub value: Option<String>,
}

fn table(name: &str, columns: &[(&str, &str, bool)]) -> Table {
    let columns = columns.iter().filter_map(|(name, kind, key)| idt::column_of((*name).to_owned(), kind, *key));
    Table { name: name.to_owned(), columns: columns.collect::<Vec<Column>>(), rows: Vec::new() }
}

fn text(text: Option<&String>) -> Value {
    text.filter(|text| !text.is_empty()).map_or(Value::Null, |text| Value::Str(text.clone()))
}

/// Makes the table `MsiPatchSequence`, with the columns that PATCHWIZ gives it.
///
/// Without rows there is no table: an empty one makes Windows Installer refuse the patch.
pub fn sequence_table(rows: &[Sequence]) -> Option<Table> {
    let columns = [
        ("PatchFamily", "s0", true),
        ("ProductCode", "S38", true),
        ("Sequence", "s0", false),
        ("Attributes", "I2", false),
    ];
    let mut made = table(SEQUENCE, &columns);
    made.rows.extend(rows.iter().map(|row| {
        let attributes = row.attributes.map_or(Value::Null, Value::Int);
        vec![text(Some(&row.family)), text(row.product_code.as_ref()), text(row.sequence.as_ref()), attributes]
    }));
    (!rows.is_empty()).then_some(made)
}

/// Makes the table `MsiPatchMetadata`; none without rows.
pub fn metadata_table(rows: &[Metadata]) -> Option<Table> {
    let mut made = table(METADATA, &[("Company", "S72", true), ("Property", "s72", true), ("Value", "l0", false)]);
    made.rows.extend(
        rows.iter().map(|row| vec![text(row.company.as_ref()), text(Some(&row.property)), text(row.value.as_ref())]),
    );
    (!rows.is_empty()).then_some(made)
}

/// The value of a row in a column.
fn cell<'a>(table: &Table, row: &'a [Value], column: &str) -> Option<&'a Value> {
    row.get(table.column(column)?)
}

fn string(table: &Table, row: &[Value], column: &str) -> Option<String> {
    match cell(table, row, column) {
        Some(Value::Str(text)) if !text.is_empty() => Some(text.clone()),
        _ => None,
    }
}

/// The rows of `MsiPatchSequence`, whatever the widths of its columns; `None` if there is no table.
pub(super) fn sequence(database: &Database) -> Option<Vec<Sequence>> {
    let table = database.table(SEQUENCE)?;
    let row = |row: &Vec<Value>| Sequence {
        family: string(table, row, "PatchFamily").unwrap_or_default(),
        product_code: string(table, row, "ProductCode"),
        sequence: string(table, row, "Sequence"),
        attributes: match cell(table, row, "Attributes") {
            Some(Value::Int(number)) => Some(*number),
            _ => None,
        },
    };
    Some(table.rows.iter().map(row).collect())
}

/// The rows of `MsiPatchMetadata`; `None` if there is no table.
pub(super) fn metadata(database: &Database) -> Option<Vec<Metadata>> {
    let table = database.table(METADATA)?;
    let row = |row: &Vec<Value>| Metadata {
        company: string(table, row, "Company"),
        property: string(table, row, "Property").unwrap_or_default(),
        value: string(table, row, "Value"),
    };
    Some(table.rows.iter().map(row).collect())
}
