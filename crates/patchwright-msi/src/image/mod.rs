//! Images: an installer and the files that it installs, wherever they lie.
//!
//! | module | story |
//! |---|---|
//! | `product` | what the installer says about its product and its layout |
//! | `directory`, `name` | source paths, which cannot leave the installer's folder |
//! | `store` | what the caller's file system has to give |
//! | `opened` | each file found in its folder or taken out of its cabinet, and checked |
//! | `named` | all that a `.pcp` names outside itself |
//! | `facts` | size, hash, version and languages of a file |
//!
//! [`Image::read`] looks at the tables alone and always gives an image: what is wrong with a file stands in its row.
//! [`Opened::open`] then looks for the contents. Neither stops at the first fault.

mod directory;
mod facts;
mod name;
mod named;
mod opened;
mod product;
mod rows;
mod store;
mod version;

use std::collections::BTreeMap;
use std::fmt;

use crate::database::Database;

pub use directory::FolderPath;
pub use facts::{Facts, Hash};
pub use name::Name;
pub(crate) use name::is_name;
pub use named::{External, Images, Located, Unlocated};
pub use opened::{Opened, Options};
pub use product::{Layout, Product};
pub(crate) use rows::Rows;
pub use store::{Content, Store};
pub use version::{FileVersion, file_version};

use directory::Directories;
use rows::Row;

/// Bits of `File.Attributes` that say where a file is.
const NONCOMPRESSED: i32 = 0x2000;
const COMPRESSED: i32 = 0x4000;

/// An installer: its tables, what they say about the product, and its files.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// All of its tables.
    pub database: Database,
    /// Codes, version, layout.
    pub product: Product,
    /// The rows of `File`, sorted by key.
    pub files: Vec<ImageFile>,
    /// The rows of `Media`, sorted by number.
    pub media: Vec<Medium>,
    /// What is wrong with the tables themselves.
    pub faults: Vec<FaultKind>,
}

/// A row of `File`, with what other tables say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFile {
    /// Its key; also its name in a cabinet.
    pub key: String,
    /// The component that it belongs to.
    pub component: String,
    /// The directory of that component.
    pub directory: Option<String>,
    /// The name that it is installed under.
    pub name: Option<Name>,
    /// `FileSize`: bytes.
    pub size: u64,
    /// `Version`: a version, or the key of the file whose version counts for this one.
    pub version: Option<String>,
    /// `Language`: decimal numbers with commas.
    pub language: Option<String>,
    /// `Attributes`
    pub attributes: i32,
    /// `Sequence`: its place among all files, which says on which medium it is.
    pub sequence: i32,
    /// The row of `MsiFileHash`, if it has one.
    pub hash: Option<Hash>,
    /// The number of its medium.
    pub disk_id: Option<i32>,
    /// Where its content is; or why that cannot be said.
    pub place: Result<Place, FaultKind>,
}

/// Where the content of a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a folder: the folders from the installer's own down.
    Folder(FolderPath),
    /// In a cabinet, under the key of the file.
    Cabinet(Cabinet),
}

/// A cabinet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cabinet {
    /// A stream of the installer.
    Embedded(String),
    /// A file beside the installer.
    Beside(String),
}

/// A row of `Media`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Medium {
    /// `DiskId`
    pub disk_id: i32,
    /// `LastSequence`: the last file that is on it.
    pub last_sequence: i32,
    /// `Cabinet`, if it has one.
    pub cabinet: Option<String>,
}

/// What is wrong with an image or one of its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// A table lacks a column.
    NoColumn {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// There are files and no table of folders.
    NoDirectoryTable,
    /// A row of `File` without a key, a name or a size that can be.
    BadRow(String),
    /// The component is in no row.
    NoComponent(String),
    /// The directory is in no row.
    NoDirectory(String),
    /// The directories above this one have no end.
    TooDeep(String),
    /// A name that could lead out of the image's folder, or that no file can have.
    BadName(String),
    /// The file is in a cabinet, and no row of `Media` covers its sequence number, or that row names no cabinet.
    NoCabinet(i32),
    /// There is no such file or cabinet. The path is as the tables have it.
    Missing(String),
    /// Several names differ in case alone, and none is spelled as the tables have it.
    Ambiguous(Vec<String>),
    /// The cabinet has no file of this key.
    NotInCabinet(Cabinet),
    /// The cabinet cannot be read.
    BadCabinet {
        /// The cabinet.
        cabinet: Cabinet,
        /// Why.
        why: String,
    },
    /// The content has another length than `FileSize`.
    Size {
        /// `FileSize`
        stated: u64,
        /// The length.
        actual: u64,
    },
    /// The content has another hash than the row of `MsiFileHash`.
    Hash {
        /// The row.
        stated: Hash,
        /// The hash of the content.
        actual: Hash,
    },
    /// The content cannot be read.
    Unreadable {
        /// Its path, or that of its cabinet.
        path: String,
        /// What the system says.
        why: String,
    },
}

impl Image {
    /// Reads what the tables say.
    pub fn read(database: Database) -> Self {
        let product = Product::of(&database);
        let media = media(&database);
        let (mut files, faults) = files(&database, product.layout, &media);
        files.sort_by(|one, other| one.key.cmp(&other.key));
        Self { product, files, media, faults, database }
    }

    /// The file of a key; case matters.
    pub fn file(&self, key: &str) -> Option<&ImageFile> {
        let at = self.files.binary_search_by(|file| file.key.as_str().cmp(key)).ok()?;
        self.files.get(at)
    }

    /// Whether any file is in a cabinet.
    pub fn is_compressed(&self) -> bool {
        self.files.iter().any(|file| matches!(file.place, Ok(Place::Cabinet(_)) | Err(FaultKind::NoCabinet(_))))
    }

    /// The highest number of a file or medium, 0 without any.
    pub fn last_sequence(&self) -> i32 {
        let files = self.files.iter().map(|file| file.sequence);
        files.chain(self.media.iter().map(|medium| medium.last_sequence)).max().unwrap_or(0)
    }

    /// The highest number of a medium, 0 without any.
    pub fn last_disk_id(&self) -> i32 {
        self.media.last().map_or(0, |medium| medium.disk_id)
    }
}

fn media(database: &Database) -> Vec<Medium> {
    let media = Rows::of(database, "Media").iter().filter_map(|row| {
        Some(Medium {
            disk_id: row.int("DiskId")?,
            last_sequence: row.int("LastSequence").unwrap_or(0),
            cabinet: row.text("Cabinet").map(str::to_owned),
        })
    });
    let mut media: Vec<Medium> = media.collect();
    media.sort_by_key(|medium| medium.disk_id);
    media
}

fn files(database: &Database, layout: Layout, media: &[Medium]) -> (Vec<ImageFile>, Vec<FaultKind>) {
    const FILE: [&str; 5] = ["File", "Component_", "FileName", "FileSize", "Sequence"];
    let table = Rows::of(database, "File");
    let mut faults: Vec<FaultKind> =
        table.lacks(&FILE).into_iter().map(|column| FaultKind::NoColumn { table: "File", column }).collect();
    if table.iter().next().is_some() && !Rows::of(database, "Directory").exist() {
        faults.push(FaultKind::NoDirectoryTable);
    }
    let components = Rows::of(database, "Component").iter();
    let components = components.filter_map(|row| Some((row.text("Component")?, row.text("Directory_"))));
    let hashes = Rows::of(database, "MsiFileHash").iter();
    let context = Context {
        components: components.collect(),
        hashes: hashes.filter_map(|row| Some((row.text("File_")?, hash(row)?))).collect(),
        directories: Directories::of(database),
        layout,
        media,
        reach: media
            .iter()
            .scan(i32::MIN, |reach, medium| {
                *reach = medium.last_sequence.max(*reach);
                Some(*reach)
            })
            .collect(),
    };
    let mut files = Vec::new();
    for row in table.iter() {
        match context.file(row) {
            Ok(file) => files.push(file),
            Err(fault) => faults.push(fault),
        }
    }
    (files, faults)
}

fn hash(row: Row<'_>) -> Option<Hash> {
    let mut parts = [0; 4];
    for (part, column) in parts.iter_mut().zip(["HashPart1", "HashPart2", "HashPart3", "HashPart4"]) {
        *part = row.int(column)?;
    }
    Some(Hash(parts))
}

/// What the row of a file refers to.
struct Context<'a> {
    components: BTreeMap<&'a str, Option<&'a str>>,
    hashes: BTreeMap<&'a str, Hash>,
    directories: Directories<'a>,
    layout: Layout,
    media: &'a [Medium],
    /// For each medium, the highest number on it and those before it.
    reach: Vec<i32>,
}

impl Context<'_> {
    fn file(&self, row: Row<'_>) -> Result<ImageFile, FaultKind> {
        let key = row.text("File").ok_or_else(|| FaultKind::BadRow("a row without a key".to_owned()))?;
        let size = row.int("FileSize").unwrap_or(0);
        let size = u64::try_from(size).map_err(|_| FaultKind::BadRow(format!("{key}: FileSize is {size}")))?;
        let (component, file_name) =
            (row.text("Component_").unwrap_or_default(), row.text("FileName").unwrap_or_default());
        let directory = self.components.get(component).copied().flatten();
        let (attributes, sequence) = (row.int("Attributes").unwrap_or(0), row.int("Sequence").unwrap_or(0));
        let medium = self.medium(sequence);
        let name = Name::parse(file_name);
        let place = match name {
            None => Err(FaultKind::BadName(file_name.to_owned())),
            Some(_) if self.is_compressed(attributes) => cabinet(medium, sequence).map(Place::Cabinet),
            Some(_) => self.folder(component).map(Place::Folder),
        };
        Ok(ImageFile {
            key: key.to_owned(),
            component: component.to_owned(),
            directory: directory.map(str::to_owned),
            name,
            size,
            version: row.text("Version").map(str::to_owned),
            language: row.text("Language").map(str::to_owned),
            attributes,
            sequence,
            hash: self.hashes.get(key).copied(),
            disk_id: medium.map(|medium| medium.disk_id),
            place,
        })
    }

    /// The row's own word counts more than that of the layout; an administrative image has no cabinets at all.
    fn is_compressed(&self, attributes: i32) -> bool {
        match (attributes & NONCOMPRESSED != 0, attributes & COMPRESSED != 0) {
            _ if self.layout.is_administrative() => false,
            (true, _) => false,
            (false, true) => true,
            (false, false) => self.layout.is_compressed(),
        }
    }

    fn folder(&self, component: &str) -> Result<FolderPath, FaultKind> {
        let directory = self.components.get(component).copied().flatten();
        let directory = directory.ok_or_else(|| FaultKind::NoComponent(component.to_owned()))?;
        self.directories.source(directory)
    }

    /// The first medium, by number, that reaches to a file.
    fn medium(&self, sequence: i32) -> Option<&Medium> {
        self.media.get(self.reach.partition_point(|reach| *reach < sequence))
    }
}

fn cabinet(medium: Option<&Medium>, sequence: i32) -> Result<Cabinet, FaultKind> {
    let name = medium.and_then(|medium| medium.cabinet.as_deref()).ok_or(FaultKind::NoCabinet(sequence))?;
    match name.strip_prefix('#') {
        Some(stream) => Ok(Cabinet::Embedded(stream.to_owned())),
        None if is_name(name) => Ok(Cabinet::Beside(name.to_owned())),
        None => Err(FaultKind::BadName(name.to_owned())),
    }
}

impl fmt::Display for Cabinet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded(name) => write!(f, "#{name}"),
            Self::Beside(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoColumn { table, column } => write!(f, "the table {table} has no column {column}"),
            Self::NoDirectoryTable => f.write_str("there are files and no table Directory"),
            Self::BadRow(what) => write!(f, "a row of File cannot be: {what}"),
            Self::NoComponent(key) => write!(f, "the component {key:?} has no row, or no directory"),
            Self::NoDirectory(key) => write!(f, "the directory {key:?} has no row"),
            Self::TooDeep(key) => write!(f, "the directories above {key:?} have no end"),
            Self::BadName(name) => write!(f, "{name:?} cannot be the name of a file"),
            Self::NoCabinet(sequence) => write!(f, "no row of Media names the cabinet of sequence number {sequence}"),
            Self::Missing(path) => write!(f, "{path} is missing"),
            Self::Ambiguous(names) => write!(f, "{} differ in case alone", names.join(" and ")),
            Self::NotInCabinet(cabinet) => write!(f, "it is not in the cabinet {cabinet}"),
            Self::BadCabinet { why, .. } => f.write_str(why),
            Self::Size { stated, actual } => write!(f, "{actual} bytes; FileSize says {stated}"),
            Self::Hash { .. } => f.write_str("the content is not the one that MsiFileHash has the hash of"),
            Self::Unreadable { path, why } => write!(f, "{path}: {why}"),
        }
    }
}
