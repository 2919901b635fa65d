//! Products small enough to read: an installer, written by our own code, and its files beside it or in its cabinet.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use patchwright_msi::build::cabinet::{self, Item};
use patchwright_msi::database::{Column, ColumnKind, Database, Property, Summary, Table, Value};

/// A product in one version.
#[derive(Clone)]
pub(crate) struct Product {
    /// What tells it from other products: a letter or digit for its codes, the folder that it is installed into.
    pub(crate) id: u8,
    pub(crate) version: &'static str,
    /// Tells packages of one version apart.
    pub(crate) build: u8,
    pub(crate) files: Vec<File>,
    /// Files that are removed from the folder when the product is installed or patched.
    pub(crate) removes: Vec<&'static str>,
    /// Whether the files are in a cabinet beside the installer.
    pub(crate) packed: bool,
    /// The features, for a patch of several families: files whose key begins with the name belong to it.
    pub(crate) language: u16,
}

/// A file of a product: its key is its name.
#[derive(Clone)]
pub(crate) struct File {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) sequence: Option<i32>,
}

pub(crate) fn file(name: &'static str, bytes: impl Into<Vec<u8>>) -> File {
    File { name, bytes: bytes.into(), sequence: None }
}

impl Product {
    pub(crate) fn new(id: u8, version: &'static str, files: Vec<File>) -> Self {
        Self { id, version, build: 0, files, removes: Vec::new(), packed: false, language: 1033 }
    }

    /// The folder below the drive that it is installed into.
    pub(crate) fn folder(&self) -> String {
        format!("App{}", self.id)
    }

    pub(crate) fn code(&self) -> String {
        format!("{{{:08X}-0000-4000-8000-00000000000A}}", self.id)
    }

    fn package_code(&self) -> String {
        let version: String = self.version.chars().filter(char::is_ascii_digit).collect();
        format!("{{{:08X}-{version:0>4}-4000-80{:02X}-00000000000B}}", self.id, self.build)
    }

    /// Writes the installer and the files into a folder; returns the path of the installer.
    pub(crate) fn write(&self, folder: &Path) -> PathBuf {
        fs::create_dir_all(folder.join("source")).unwrap();
        if self.packed {
            let items: Vec<Item<'_>> =
                self.files.iter().map(|file| Item { name: file.name, len: file.bytes.len() as u64 }).collect();
            let packed = cabinet::write(Cursor::new(Vec::new()), &items, 0, |at| Ok(&self.files[at].bytes[..]));
            fs::write(folder.join("app.cab"), packed.unwrap().into_inner()).unwrap();
        } else {
            for file in &self.files {
                fs::write(folder.join("source").join(file.name), &file.bytes).unwrap();
            }
        }
        let path = folder.join("app.msi");
        fs::write(&path, self.database().write().unwrap()).unwrap();
        path
    }

    pub(crate) fn database(&self) -> Database {
        let file_name = |name: &str| Value::Str(format!("{}|{name}", short_name(name)));
        let sequence = |(at, file): (usize, &File)| file.sequence.unwrap_or(i32::try_from(at).unwrap() + 1);
        let last = self.files.iter().enumerate().map(sequence).max().unwrap_or(0);
        let mut tables = vec![
            table(
                "Property",
                "*Property s72 Value l0",
                vec![
                    vec![text("ProductCode"), text(&self.code())],
                    vec![text("ProductLanguage"), text(&self.language.to_string())],
                    vec![text("ProductName"), text(&format!("Product {}", self.id))],
                    vec![text("ProductVersion"), text(self.version)],
                    vec![text("Manufacturer"), text("Example")],
                    vec![text("UpgradeCode"), text(&format!("{{{:08X}-0000-4000-8000-00000000000C}}", self.id))],
                ],
            ),
            table(
                "Directory",
                "*Directory s72 Directory_Parent S72 DefaultDir l255",
                vec![
                    vec![text("TARGETDIR"), Value::Null, text("SourceDir")],
                    vec![text("INSTALLDIR"), text("TARGETDIR"), text(&format!("{}:source", self.folder()))],
                ],
            ),
            table(
                "Component",
                "*Component s72 ComponentId S38 Directory_ s72 Attributes i2 Condition S255 KeyPath S72",
                self.files
                    .iter()
                    .map(|file| {
                        let mark = file
                            .name
                            .bytes()
                            .fold(u32::from(self.id), |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
                        let id = format!("{{{mark:08X}-0000-4000-8000-00000000000D}}");
                        vec![
                            text(&component(file)),
                            text(&id),
                            text("INSTALLDIR"),
                            Value::Int(0),
                            Value::Null,
                            text(file.name),
                        ]
                    })
                    .collect(),
            ),
            table(
                "Feature",
                "*Feature s38 Feature_Parent S38 Title L64 Description L255 Display I2 Level i2 Directory_ S72 Attributes i2",
                vec![vec![
                    text("All"),
                    Value::Null,
                    Value::Null,
                    Value::Null,
                    Value::Int(1),
                    Value::Int(1),
                    text("INSTALLDIR"),
                    Value::Int(0),
                ]],
            ),
            table(
                "FeatureComponents",
                "*Feature_ s38 *Component_ s72",
                self.files.iter().map(|file| vec![text("All"), text(&component(file))]).collect(),
            ),
            table(
                "File",
                "*File s72 Component_ s72 FileName l255 FileSize i4 Version S72 Language S20 Attributes I2 Sequence i2",
                self.files
                    .iter()
                    .enumerate()
                    .map(|(at, file)| {
                        vec![
                            text(file.name),
                            text(&component(file)),
                            file_name(file.name),
                            Value::Int(i32::try_from(file.bytes.len()).unwrap()),
                            Value::Null,
                            Value::Null,
                            Value::Int(512),
                            Value::Int(sequence((at, file))),
                        ]
                    })
                    .collect(),
            ),
            table(
                "Media",
                "*DiskId i2 LastSequence i2 DiskPrompt L64 Cabinet S255 VolumeLabel S32 Source S72",
                vec![vec![
                    Value::Int(1),
                    Value::Int(last),
                    Value::Null,
                    if self.packed { text("app.cab") } else { Value::Null },
                    Value::Null,
                    Value::Null,
                ]],
            ),
            table(
                "InstallExecuteSequence",
                "*Action s72 Condition S255 Sequence I2",
                ACTIONS.iter().map(|(action, number)| vec![text(action), Value::Null, Value::Int(*number)]).collect(),
            ),
            table(
                "RemoveFile",
                "*FileKey s72 Component_ s72 FileName L255 DirProperty s72 InstallMode i2",
                self.removes
                    .iter()
                    .map(|name| {
                        let component = text(&component(&self.files[0]));
                        vec![
                            text(&format!("remove_{name}")),
                            component,
                            file_name(name),
                            text("INSTALLDIR"),
                            Value::Int(3),
                        ]
                    })
                    .collect(),
            ),
        ];
        tables.sort_by(|one, other| one.name.cmp(&other.name));
        let property = |text: &str| Property::Text(text.to_owned());
        let summary = [
            (1, Property::I2(1252)),
            (2, property("Installation Database")),
            (3, property(&format!("Product {}", self.id))),
            (4, property("Example")),
            (7, property(&format!("x64;{}", self.language))),
            (9, property(&self.package_code())),
            (14, Property::I4(200)),
            (15, Property::I4(if self.packed { 2 } else { 0 })),
        ];
        Database { code_page: 1252, summary: Summary { properties: summary.into() }, tables, others: Vec::new() }
    }
}

const ACTIONS: [(&str, i32); 15] = [
    ("LaunchConditions", 100),
    ("ValidateProductID", 700),
    ("CostInitialize", 800),
    ("FileCost", 900),
    ("CostFinalize", 1000),
    ("InstallValidate", 1400),
    ("InstallInitialize", 1500),
    ("ProcessComponents", 1600),
    ("UnpublishFeatures", 1800),
    ("RemoveFiles", 3500),
    ("InstallFiles", 4000),
    ("RegisterProduct", 6100),
    ("PublishFeatures", 6300),
    ("PublishProduct", 6400),
    ("InstallFinalize", 6600),
];

fn component(file: &File) -> String {
    format!("c.{}", file.name)
}

/// The name of eight and three letters that goes with a long one.
fn short_name(name: &str) -> String {
    let (stem, extension) = name.split_once('.').unwrap_or((name, ""));
    let cut = |text: &str, len| text.chars().filter(char::is_ascii_alphanumeric).take(len).collect::<String>();
    format!("{}.{}", cut(stem, 8), cut(extension, 3)).to_ascii_uppercase().trim_end_matches('.').to_owned()
}

pub(crate) fn text(text: &str) -> Value {
    Value::Str(text.to_owned())
}

/// A table whose columns are given as names and types; a star marks those of the key.
fn table(name: &str, columns: &str, rows: Vec<Vec<Value>>) -> Table {
    let words: Vec<&str> = columns.split_whitespace().collect();
    let column = |pair: &[&str]| {
        let (kind, width) = pair[1].split_at(1);
        let width: u8 = width.parse().unwrap();
        Column {
            name: pair[0].trim_start_matches('*').to_owned(),
            kind: match (kind, width) {
                ("i" | "I", 2) => ColumnKind::Int16,
                ("i" | "I", _) => ColumnKind::Int32,
                _ => ColumnKind::Text(width),
            },
            nullable: kind.chars().all(char::is_uppercase),
            key: pair[0].starts_with('*'),
            localizable: kind.eq_ignore_ascii_case("l"),
        }
    };
    Table { name: name.to_owned(), columns: words.chunks(2).map(column).collect(), rows }
}
