//! A starting `.pcp`, from what two installers say about their product.

use super::{SCHEMAS, Schema};
use crate::database::{Database, Property, Summary, Table, Value};
use crate::error::{MsiError, Result};
use crate::idt;

/// An installer.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    /// Its path, as it is to stand in the `.pcp`.
    pub path: &'a str,
    /// Its tables.
    pub database: &'a Database,
}

/// What a new `.pcp` is made of.
#[derive(Clone, Copy, Debug)]
pub struct New<'a> {
    /// The old version.
    pub old: Image<'a>,
    /// The new version.
    pub new: Image<'a>,
    /// Identity of the patch: a fresh one for every patch that leaves the house.
    pub patch_guid: &'a str,
    /// Path of the patch to make.
    pub patch_path: &'a str,
}

/// What its author should look at.
pub type Todo = String;

/// The table that describes columns; editors show its texts beside them.
const VALIDATION: &[(&str, &str)] = &[
    ("Table", "s32"),
    ("Column", "s32"),
    ("Nullable", "s4"),
    ("MinValue", "I4"),
    ("MaxValue", "I4"),
    ("KeyTable", "S255"),
    ("KeyColumn", "I2"),
    ("Category", "S32"),
    ("Set", "S255"),
    ("Description", "S255"),
];

/// What the property of an installer is, for a message.
struct Product {
    code: String,
    version: String,
    name: String,
    manufacturer: Option<String>,
    more_info: Option<String>,
}

/// Makes a `.pcp`: one family, one old and one new image, the settings that every patch needs, and in `_Validation` a
/// description of each column. Also says what its author should look at.
pub fn new(options: &New<'_>) -> Result<(Database, Vec<Todo>)> {
    let (old, new) = (product(&options.old)?, product(&options.new)?);
    if !crate::is_guid(options.patch_guid) {
        return Err(MsiError::malformed("PatchGUID", format!("{:?} is no GUID in braces", options.patch_guid)));
    }
    let mut todos = Vec::new();
    let flag = |set: bool| if set { "1" } else { "0" };
    let other_code = !old.code.eq_ignore_ascii_case(&new.code);
    let other_major = major(&old.version) != major(&new.version);
    if other_code {
        todos.push(
            "the product codes differ: the patch is a major upgrade, AllowProductCodeMismatches is set".to_owned(),
        );
    }
    if other_major {
        todos.push("the major versions differ: AllowProductVersionMajorMismatches is set".to_owned());
    }
    if old.version == new.version {
        todos.push(format!("both images have the version {}: a minor update should raise it", new.version));
    }
    let guid = options.patch_guid.to_ascii_uppercase();
    let family = family(&new.name);
    let properties: Vec<[Option<&str>; 2]> = vec![
        [Some("AllowProductCodeMismatches"), Some(flag(other_code))],
        [Some("AllowProductVersionMajorMismatches"), Some(flag(other_major))],
        [Some("ApiPatchingSymbolFlags"), Some("0x00000000")],
        [Some("DontRemoveTempFolderWhenFinished"), Some("0")],
        [Some("IncludeWholeFilesOnly"), Some("0")],
        [Some("ListOfPatchGUIDsToReplace"), None],
        [Some("ListOfTargetProductCodes"), Some("*")],
        [Some("MinimumRequiredMsiVersion"), Some("310")],
        [Some("PatchGUID"), Some(&guid)],
        [Some("PatchOutputPath"), Some(options.patch_path)],
    ];
    let title = format!("{} {} to {}", new.name, old.version, new.version);
    let metadata = [
        ("AllowRemoval", Some("1")),
        ("Classification", Some("Update")),
        ("Description", Some(title.as_str())),
        ("DisplayName", Some(title.as_str())),
        ("ManufacturerName", new.manufacturer.as_deref()),
        ("MoreInfoURL", new.more_info.as_deref()),
        ("TargetProductName", Some(new.name.as_str())),
    ];
    for (name, value) in metadata {
        if value.is_none() {
            todos.push(format!("PatchMetadata needs a row {name}: the new image does not say what it could be"));
        }
    }
    todos.push("DisplayName and Description of PatchMetadata are what users see: say what the patch is for".to_owned());
    let mut tables = Vec::new();
    for schema in SCHEMAS.iter().filter(|schema| schema.table != "PatchSequence") {
        let mut table = empty(schema)?;
        match schema.table {
            "Properties" => properties.iter().for_each(|row| put(&mut table, row)),
            "ImageFamilies" => put(&mut table, &[Some(&family)]),
            "UpgradedImages" => {
                put(&mut table, &[Some("New"), Some(options.new.path), None, None, Some(&family)]);
            }
            "TargetImages" => {
                put(&mut table, &[Some("Old"), Some(options.old.path), None, Some("New")]);
                for row in &mut table.rows {
                    row[4] = Value::Int(1);
                    row[5] = Value::Str("0x00000922".to_owned());
                    row[6] = Value::Int(0);
                }
            }
            "PatchMetadata" => metadata
                .iter()
                .filter(|(_, value)| value.is_some())
                .for_each(|(name, value)| put(&mut table, &[None, Some(name), *value])),
            _ => {}
        }
        tables.push(table);
    }
    tables.push(validation()?);
    let text = |text: &str| Property::Text(text.to_owned());
    let summary = Summary {
        properties: [
            (1, Property::I2(1252)),
            (2, text("Patch Creation Properties")),
            (3, text(&title)),
            (7, text(";1033")),
            (9, text(&guid)),
            (14, Property::I4(200)),
            (15, Property::I4(0)),
            (18, text("patchwright")),
        ]
        .into(),
    };
    let is_ascii = |table: &Table| table.rows.iter().flatten().all(|value| value.to_string().is_ascii());
    let code_page = if tables.iter().all(is_ascii) && title.is_ascii() { 0 } else { 65001 };
    let mut database = Database { code_page, summary, tables, others: Vec::new() };
    if code_page != 0 {
        database.summary.properties.insert(1, Property::I2(65001_u16.cast_signed()));
    }
    database.sort();
    Ok((database, todos))
}

fn product(image: &Image<'_>) -> Result<Product> {
    let structure = || format!("{}: table Property", image.path);
    let missing = |what: &str| MsiError::malformed(structure(), what);
    let table = image.database.table("Property").ok_or_else(|| missing("it is missing: is this an installer?"))?;
    let (Some(name), Some(value)) = (table.column("Property"), table.column("Value")) else {
        return Err(missing("it has no columns Property and Value"));
    };
    let find = |wanted: &str| {
        let row = table.rows.iter().find(|row| matches!(&row[name], Value::Str(text) if text == wanted))?;
        match &row[value] {
            Value::Str(text) => Some(text.clone()),
            _ => None,
        }
    };
    let need = |wanted: &str| find(wanted).ok_or_else(|| missing(&format!("{wanted} is not set")));
    Ok(Product {
        code: need("ProductCode")?,
        version: need("ProductVersion")?,
        name: need("ProductName")?,
        manufacturer: find("Manufacturer"),
        more_info: find("ARPURLINFOABOUT").or_else(|| find("ARPHELPLINK")),
    })
}

fn major(version: &str) -> &str {
    version.split('.').next().unwrap_or_default()
}

/// The name of a family, made of that of the product.
fn family(product: &str) -> String {
    let name: String = product.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    if name.starts_with(|char: char| char.is_ascii_alphabetic()) { name } else { "Product".to_owned() }
}

fn put(table: &mut Table, texts: &[Option<&str>]) {
    let mut row: Vec<Value> =
        texts.iter().map(|text| text.map_or(Value::Null, |text| Value::Str(text.to_owned()))).collect();
    row.resize(table.columns.len(), Value::Null);
    table.rows.push(row);
}

fn empty(schema: &Schema) -> Result<Table> {
    let columns = schema.columns.iter().map(|column| (column.name, column.kind, column.key));
    table(schema.table, columns)
}

fn table<'a>(name: &str, columns: impl Iterator<Item = (&'a str, &'a str, bool)>) -> Result<Table> {
    let columns = columns.map(|(column, kind, key)| {
        idt::column_of(column.to_owned(), kind, key)
            .ok_or_else(|| MsiError::unsupported(format!("table {name}"), format!("a column of type {kind}")))
    });
    Ok(Table { name: name.to_owned(), columns: columns.collect::<Result<_>>()?, rows: Vec::new() })
}

/// Describes the columns, for whoever opens the file in an editor.
fn validation() -> Result<Table> {
    let keys = ["Table", "Column"];
    let mut made = table("_Validation", VALIDATION.iter().map(|(name, kind)| (*name, *kind, keys.contains(name))))?;
    for schema in SCHEMAS.iter().filter(|schema| schema.table != "PatchSequence") {
        for column in schema.columns {
            let nullable = if column.kind.starts_with(|letter: char| letter.is_ascii_uppercase()) { "Y" } else { "N" };
            let category = if column.kind.to_ascii_lowercase().starts_with('i') { None } else { Some("Text") };
            let none = None;
            put(
                &mut made,
                &[
                    Some(schema.table),
                    Some(column.name),
                    Some(nullable),
                    none,
                    none,
                    none,
                    none,
                    category,
                    none,
                    Some(column.description),
                ],
            );
        }
    }
    Ok(made)
}
