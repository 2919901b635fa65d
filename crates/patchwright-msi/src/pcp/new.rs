//! A starting `.pcp`, from what installers say about their product.

use std::collections::BTreeMap;

use super::{SCHEMAS, Schema};
use crate::database::{Database, Property, Summary, Table, Value};
use crate::error::{MsiError, Result};
use crate::idt;
use crate::image::FileVersion;

/// An installer.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    /// Its path, as it is to stand in the `.pcp`.
    pub path: &'a str,
    /// Its tables.
    pub database: &'a Database,
}

/// An old version and the new one that it becomes.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'a> {
    /// The old version.
    pub old: Image<'a>,
    /// The new version; pairs with the same path have the same one.
    pub new: Image<'a>,
}

/// What a new `.pcp` is made of.
#[derive(Clone, Copy, Debug)]
pub struct New<'a> {
    /// At least one pair. Each new version gets a family of its own.
    pub pairs: &'a [Pair<'a>],
    /// Identity of the patch: a fresh one for every patch that leaves the house.
    pub patch_guid: &'a str,
    /// Path of the patch to make.
    pub patch_path: &'a str,
    /// Rows of `PatchMetadata` by property, which stand before what the installers say.
    pub metadata: &'a BTreeMap<String, String>,
}

/// What its author should look at.
pub type Todo = String;

/// Characters that the name of a family has at most.
const LONGEST_FAMILY: usize = 8;
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

/// What an installer says about its product.
struct Product {
    code: String,
    version: String,
    name: String,
    upgrade_code: Option<String>,
    manufacturer: Option<String>,
    more_info: Option<String>,
}

/// A new version, and the old ones that become it, the oldest first.
struct Upgrade<'a> {
    name: String,
    family: String,
    path: &'a str,
    product: Product,
    old: Vec<(&'a str, Product)>,
}

/// Makes a `.pcp`: the images by families, the settings that every patch needs, the place among other patches, and in
/// `_Validation` a description of each column. Also says what its author should look at.
pub fn new(options: &New<'_>) -> Result<(Database, Vec<Todo>)> {
    if !crate::is_guid(options.patch_guid) {
        return Err(MsiError::malformed("PatchGUID", format!("{:?} is no GUID in braces", options.patch_guid)));
    }
    let upgrades = upgrades(options.pairs)?;
    let Some(first) = upgrades.first() else {
        return Err(MsiError::malformed("images", "at least one old and one new version are needed"));
    };
    let mut todos = Vec::new();
    let changes = changes(&upgrades, &mut todos);
    let from: Vec<&str> = first.old.iter().map(|(_, product)| product.version.as_str()).collect();
    let title = format!("{} {} to {}", first.product.name, from.join(", "), first.product.version);
    let mut tables = Vec::new();
    let is_written = |schema: &&Schema| schema.table != "PatchSequence" || !changes.code;
    for schema in SCHEMAS.iter().filter(is_written) {
        let mut table = empty(schema)?;
        match schema.table {
            "Properties" => properties(&mut table, options, &changes),
            "ImageFamilies" => upgrades.iter().for_each(|upgrade| put(&mut table, &[Some(&upgrade.family)])),
            "UpgradedImages" => upgrades.iter().for_each(|upgrade| {
                put(&mut table, &[Some(&upgrade.name), Some(upgrade.path), None, None, Some(&upgrade.family)]);
            }),
            "TargetImages" => targets(&mut table, &upgrades),
            "PatchMetadata" => metadata(&mut table, options.metadata, &first.product, &title, &mut todos),
            "PatchSequence" => sequence(&mut table, &upgrades, &mut todos),
            _ => {}
        }
        tables.push(table);
    }
    tables.push(validation(SCHEMAS.iter().filter(is_written))?);
    Ok((database(tables, &title, &options.patch_guid.to_ascii_uppercase()), todos))
}

fn upgrades<'a>(pairs: &[Pair<'a>]) -> Result<Vec<Upgrade<'a>>> {
    let mut upgrades: Vec<Upgrade<'a>> = Vec::new();
    for pair in pairs {
        let old = (pair.old.path, product(&pair.old)?);
        if let Some(upgrade) = upgrades.iter_mut().find(|upgrade| upgrade.path == pair.new.path) {
            upgrade.old.push(old);
            continue;
        }
        let product = product(&pair.new)?;
        let taken = |name: &str| upgrades.iter().any(|upgrade| upgrade.family.eq_ignore_ascii_case(name));
        let family = unused(&family(&product.name), taken);
        let name = numbered("New", upgrades.len());
        upgrades.push(Upgrade { name, family, path: pair.new.path, product, old: vec![old] });
    }
    for upgrade in &mut upgrades {
        upgrade.old.sort_by_key(|(_, product)| FileVersion::numbers_of(&product.version));
    }
    Ok(upgrades)
}

/// `New`, `New2`, …
fn numbered(name: &str, index: usize) -> String {
    if index == 0 { name.to_owned() } else { format!("{name}{}", index + 1) }
}

/// The name, or with a number at its end that makes it one's own.
fn unused(name: &str, taken: impl Fn(&str) -> bool) -> String {
    let numbers = (2..).map(|number: u32| {
        let number = number.to_string();
        format!("{}{number}", &name[..name.len().min(LONGEST_FAMILY - number.len().min(LONGEST_FAMILY))])
    });
    std::iter::once(name.to_owned()).chain(numbers).find(|name| !taken(name)).expect("there is always a higher number")
}

/// What changes from any old version to its new one.
struct Changes {
    code: bool,
    major: bool,
}

fn changes(upgrades: &[Upgrade<'_>], todos: &mut Vec<Todo>) -> Changes {
    let any = |differs: &dyn Fn(&Product, &Product) -> bool| {
        upgrades.iter().any(|upgrade| upgrade.old.iter().any(|(_, old)| differs(old, &upgrade.product)))
    };
    let code = any(&|old, new| !old.code.eq_ignore_ascii_case(&new.code));
    let major = any(&|old, new| major(&old.version) != major(&new.version));
    if code {
        let what = "the product codes differ: the patch is a major upgrade, AllowProductCodeMismatches is set";
        todos.push(what.to_owned());
    }
    if major {
        todos.push("the major versions differ: AllowProductVersionMajorMismatches is set".to_owned());
    }
    for upgrade in upgrades {
        let version = &upgrade.product.version;
        if upgrade.old.iter().any(|(_, old)| old.version == *version) {
            todos.push(format!("both images have the version {version}: a minor update should raise it"));
        }
    }
    Changes { code, major }
}

fn properties(table: &mut Table, options: &New<'_>, changes: &Changes) {
    let flag = |set: bool| if set { "1" } else { "0" };
    let guid = options.patch_guid.to_ascii_uppercase();
    let rows = [
        ("AllowProductCodeMismatches", Some(flag(changes.code))),
        ("AllowProductVersionMajorMismatches", Some(flag(changes.major))),
        ("ApiPatchingSymbolFlags", Some("0x00000000")),
        ("DontRemoveTempFolderWhenFinished", Some("0")),
        ("IncludeWholeFilesOnly", Some("0")),
        ("ListOfPatchGUIDsToReplace", None),
        ("ListOfTargetProductCodes", Some("*")),
        ("MinimumRequiredMsiVersion", Some("310")),
        ("PatchGUID", Some(guid.as_str())),
        ("PatchOutputPath", Some(options.patch_path)),
    ];
    rows.iter().for_each(|(name, value)| put(table, &[Some(name), *value]));
}

fn targets(table: &mut Table, upgrades: &[Upgrade<'_>]) {
    let pairs = upgrades.iter().flat_map(|upgrade| upgrade.old.iter().map(move |old| (upgrade, old)));
    let mut order = 0;
    for (index, (upgrade, (path, old))) in pairs.enumerate() {
        put(table, &[Some(&numbered("Old", index)), Some(path), None, Some(&upgrade.name)]);
        order += 1;
        // Same product and version; and same upgrade code, if there is one.
        let is_related = old.upgrade_code.is_some() && upgrade.product.upgrade_code.is_some();
        let flags = if is_related { "0x00000922" } else { "0x00000122" };
        if let Some([.., place, validation, missing]) = table.rows.last_mut().map(Vec::as_mut_slice) {
            *place = Value::Int(order);
            *validation = Value::Str(flags.to_owned());
            *missing = Value::Int(0);
        }
    }
}

fn metadata(
    table: &mut Table,
    given: &BTreeMap<String, String>,
    product: &Product,
    title: &str,
    todos: &mut Vec<Todo>,
) {
    given.iter().for_each(|(name, value)| put(table, &[None, Some(name), Some(value)]));
    let known = [
        ("AllowRemoval", Some("1")),
        ("Classification", Some("Update")),
        ("Description", Some(title)),
        ("DisplayName", Some(title)),
        ("ManufacturerName", product.manufacturer.as_deref()),
        ("MoreInfoURL", product.more_info.as_deref()),
        ("TargetProductName", Some(product.name.as_str())),
    ];
    for (name, value) in known.into_iter().filter(|(name, _)| !given.contains_key(*name)) {
        match value {
            Some(_) => put(table, &[None, Some(name), value]),
            None => {
                todos.push(format!("PatchMetadata needs a row {name}: the new image does not say what it could be"));
            }
        }
    }
    if !["DisplayName", "Description"].iter().all(|name| given.contains_key(*name)) {
        let what = "DisplayName and Description of PatchMetadata are what users see: say what the patch is for";
        todos.push(what.to_owned());
    }
}

/// The place among other patches: that of the new version, and behind it for a patch that leaves the version.
///
/// Written down, it is the same each time the patch is built; what PATCHWIZ generates depends on the clock.
fn sequence(table: &mut Table, upgrades: &[Upgrade<'_>], todos: &mut Vec<Todo>) {
    for upgrade in upgrades {
        let version = &upgrade.product.version;
        let Some([major, minor, build, _]) = FileVersion::numbers_of(version) else { continue };
        let raises = upgrade.old.iter().all(|(_, old)| old.version != *version);
        let place = if raises { format!("{major}.{minor}.{build}") } else { format!("{major}.{minor}.{build}.1") };
        // In a patch of one product, the row is for all of its targets.
        let code = (upgrades.len() > 1).then_some(upgrade.product.code.as_str());
        put(table, &[Some(&upgrade.family), code, Some(&place)]);
        if let Some(supersede) = table.rows.last_mut().and_then(|row| row.last_mut()) {
            *supersede = Value::Int(i32::from(raises));
        }
        todos.push(if raises {
            format!("PatchSequence: the patch replaces earlier ones of the family {}, up to {place}", upgrade.family)
        } else {
            format!("PatchSequence: each patch of the family {} needs a higher number than {place}", upgrade.family)
        });
    }
}

fn database(tables: Vec<Table>, title: &str, guid: &str) -> Database {
    let text = |text: &str| Property::Text(text.to_owned());
    let summary = Summary {
        properties: [
            (1, Property::I2(1252)),
            (2, text("Patch Creation Properties")),
            (3, text(title)),
            (7, text(";1033")),
            (9, text(guid)),
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
    database
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
        upgrade_code: find("UpgradeCode"),
        manufacturer: find("Manufacturer"),
        more_info: find("ARPURLINFOABOUT").or_else(|| find("ARPHELPLINK")),
    })
}

fn major(version: &str) -> &str {
    version.split('.').next().unwrap_or_default()
}

/// The name of a family, made of that of the product.
fn family(product: &str) -> String {
    let name: String = product.chars().filter(char::is_ascii_alphanumeric).take(LONGEST_FAMILY).collect();
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
fn validation<'a>(schemas: impl Iterator<Item = &'a Schema>) -> Result<Table> {
    let keys = ["Table", "Column"];
    let mut made = table("_Validation", VALIDATION.iter().map(|(name, kind)| (*name, *kind, keys.contains(name))))?;
    for schema in schemas {
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
