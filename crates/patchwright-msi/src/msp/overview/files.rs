//! Which file is in which cabinet, whole or as a delta.
//!
//! The transforms say what a file is and which number it has, the cabinets say what is in them; the two are put together by
//! the numbers of the disks and the keys of the files.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek};

use crate::database::Value;
use crate::msp::Msp;
use crate::patch_tables::PATCH_ADDED;
use crate::transform::{RowChange, TableChange, Transform};

/// A disk that the patch adds to the product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// Number of the disk.
    pub disk_id: i32,
    /// The highest number of a file on it.
    pub last_sequence: i32,
    /// The cabinet, as the `Media` table spells it: `#PCW_CAB_Family` for a stream of the patch.
    pub cabinet: String,
    /// The property that tells where the patch is.
    pub source: Option<String>,
    /// Title of the disk.
    pub disk_prompt: Option<String>,
    /// Label of the volume.
    pub volume_label: Option<String>,
    /// The transforms that add it.
    pub transforms: Vec<String>,
}

/// How a file is shipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shipping {
    /// As it is.
    Whole,
    /// As what differs from its old versions.
    Delta {
        /// Length of the delta in bytes, by the tables.
        patch_bytes: i32,
        /// Whether the installation fails where it cannot be applied.
        vital: bool,
        /// What the tables have of its header.
        header: Header,
    },
}

/// The header of a delta, which says what its old versions are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Header {
    /// The bytes, from the row itself or from `MsiPatchHeaders`.
    Bytes(Vec<u8>),
    /// There is none where one should be.
    Missing,
}

/// A file that the patch ships.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShippedFile {
    /// Its key in the `File` table.
    pub file: String,
    /// Its number, by which the installer finds its disk.
    pub sequence: i32,
    /// The cabinet that has it: the name of a stream of the patch; `None` if no disk of the patch has the number.
    pub cabinet: Option<String>,
    /// Length of what the cabinet has of it, whole file or delta; `None` if the cabinet does not list it.
    pub member_bytes: Option<u64>,
    /// How it is shipped.
    pub shipping: Shipping,
    /// The transforms that mention it.
    pub transforms: Vec<String>,
}

/// A cabinet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CabinetSummary {
    /// Name of its stream.
    pub name: String,
    /// Its length in bytes.
    pub len_bytes: u64,
    /// What is in it, in its order; or why it cannot be read.
    pub members: Result<Vec<Member>, String>,
}

/// A file in a cabinet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its length in bytes, unpacked.
    pub len_bytes: u64,
}

/// The first bytes of a cabinet.
const MAGIC: &[u8; 4] = b"MSCF";

/// Lists the cabinets of a patch: streams that begin like one.
pub(super) fn cabinets<F: Read + Seek>(msp: &mut Msp<F>) -> Vec<CabinetSummary> {
    let mut cabinets = Vec::new();
    for part in msp.parts().to_vec() {
        let Ok(mut stream) = msp.stream(&part.name) else { continue };
        let mut magic = [0; MAGIC.len()];
        if stream.read_exact(&mut magic).is_err() || magic != *MAGIC || stream.rewind().is_err() {
            continue;
        }
        let members = cab::Cabinet::new(stream).map(|cabinet| {
            let files = cabinet.folder_entries().flat_map(|folder| folder.file_entries().collect::<Vec<_>>());
            files
                .map(|file| Member { name: file.name().to_owned(), len_bytes: file.uncompressed_size().into() })
                .collect()
        });
        let members = members.map_err(|error| error.to_string());
        cabinets.push(CabinetSummary { name: part.name, len_bytes: part.len_bytes, members });
    }
    cabinets
}

/// A disk: number, last number of a file, cabinet; source, title, label.
type Disk = (i32, i32, String, [Option<String>; 3]);
/// What tells files from each other: number, key, whether it is whole, cabinet.
type FileKey = (i32, String, bool, Option<String>);

/// Disks and files, gathered transform by transform.
#[derive(Default)]
pub(super) struct Shipments {
    /// Disks, and the transforms that add them.
    families: BTreeMap<Disk, Vec<String>>,
    files: BTreeMap<FileKey, ShippedFile>,
}

impl Shipments {
    /// Takes what a transform says.
    pub(super) fn add(&mut self, name: &str, transform: &Transform) {
        // The disk of a number is the first whose last number is not below it.
        let mut disks = BTreeMap::new();
        for disk in media(transform) {
            disks.insert(disk.1, disk.2.clone());
            self.families.entry(disk).or_default().push(name.to_owned());
        }
        for mut file in whole(transform).chain(deltas(transform)) {
            let disk = disks.range(file.sequence..).next();
            file.cabinet = disk.and_then(|(_, cabinet)| cabinet.strip_prefix('#')).map(str::to_owned);
            let is_whole = matches!(file.shipping, Shipping::Whole);
            let key = (file.sequence, file.file.clone(), is_whole, file.cabinet.clone());
            self.files.entry(key).or_insert(file).transforms.push(name.to_owned());
        }
    }

    /// Puts them together with what is in the cabinets.
    pub(super) fn finish(self, cabinets: &[CabinetSummary]) -> (Vec<Family>, Vec<ShippedFile>) {
        let families = self.families.into_iter().map(|((disk_id, last_sequence, cabinet, texts), transforms)| {
            let [source, disk_prompt, volume_label] = texts;
            Family { disk_id, last_sequence, cabinet, source, disk_prompt, volume_label, transforms }
        });
        let mut members: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for cabinet in cabinets {
            let listed = cabinet.members.as_deref().unwrap_or_default();
            members
                .extend(listed.iter().map(|member| ((cabinet.name.as_str(), member.name.as_str()), member.len_bytes)));
        }
        let mut files: Vec<ShippedFile> = self.files.into_values().collect();
        for file in &mut files {
            let member = file.cabinet.as_deref().and_then(|cabinet| members.get(&(cabinet, file.file.as_str())));
            file.member_bytes = member.copied();
        }
        (families.collect(), files)
    }
}

/// The values of rows that a transform adds or changes, by column.
struct Cells<'a>(BTreeMap<&'a str, &'a Value>);

impl<'a> Cells<'a> {
    fn of(table: &'a TableChange, row: &'a RowChange) -> Self {
        Self(table.cells(row).into_iter().collect())
    }

    fn number(&self, column: &str) -> Option<i32> {
        match self.0.get(column) {
            Some(Value::Int(number)) => Some(*number),
            _ => None,
        }
    }

    fn text(&self, column: &str) -> Option<String> {
        match self.0.get(column) {
            Some(Value::Str(text)) => Some(text.clone()),
            _ => None,
        }
    }
}

/// The disks that a transform adds.
fn media(transform: &Transform) -> Vec<Disk> {
    let Some(table) = transform.table("Media") else { return Vec::new() };
    let added = table.rows.iter().filter(|row| matches!(row, RowChange::Insert(_)));
    let disks = added.filter_map(|row| {
        let cells = Cells::of(table, row);
        let last = cells.number("LastSequence").unwrap_or_default();
        let texts = ["Source", "DiskPrompt", "VolumeLabel"].map(|column| cells.text(column));
        Some((cells.number("DiskId")?, last, cells.text("Cabinet").unwrap_or_default(), texts))
    });
    disks.collect()
}

/// The files that a transform says to be in the patch as they are.
fn whole(transform: &Transform) -> impl Iterator<Item = ShippedFile> {
    let table = transform.table("File");
    table.into_iter().flat_map(|table| {
        table.rows.iter().filter_map(move |row| {
            let cells = Cells::of(table, row);
            let added = cells.number("Attributes").is_some_and(|attributes| attributes & PATCH_ADDED != 0);
            let key = table.key_of(row);
            added.then(|| ShippedFile {
                file: key.first().map(ToString::to_string).unwrap_or_default(),
                sequence: cells.number("Sequence").unwrap_or_default(),
                cabinet: None,
                member_bytes: None,
                shipping: Shipping::Whole,
                transforms: Vec::new(),
            })
        })
    })
}

/// The deltas of a transform.
fn deltas(transform: &Transform) -> impl Iterator<Item = ShippedFile> {
    let headers = headers(transform);
    let table = transform.table("Patch");
    table.into_iter().flat_map(|table| table.rows.iter().map(move |row| (table, row))).filter_map(
        move |(table, row)| {
            let RowChange::Insert(_) = row else { return None };
            let cells = Cells::of(table, row);
            let in_row = match cells.0.get("Header") {
                Some(Value::Binary(bytes)) => Some(bytes),
                _ => cells.text("StreamRef_").and_then(|reference| headers.get(reference.as_str()).copied()),
            };
            let header =
                in_row.filter(|bytes| !bytes.is_empty()).map_or(Header::Missing, |bytes| Header::Bytes(bytes.clone()));
            Some(ShippedFile {
                file: cells.text("File_").unwrap_or_default(),
                sequence: cells.number("Sequence").unwrap_or_default(),
                cabinet: None,
                member_bytes: None,
                shipping: Shipping::Delta {
                    patch_bytes: cells.number("PatchSize").unwrap_or_default(),
                    vital: cells.number("Attributes").unwrap_or_default() & 1 == 0,
                    header,
                },
                transforms: Vec::new(),
            })
        },
    )
}

/// The headers in `MsiPatchHeaders`, by what refers to them.
fn headers(transform: &Transform) -> BTreeMap<String, &Vec<u8>> {
    let rows =
        transform.table("MsiPatchHeaders").into_iter().flat_map(|table| table.rows.iter().map(move |row| (table, row)));
    let headers = rows.filter_map(|(table, row)| match Cells::of(table, row).0.get("Header") {
        Some(Value::Binary(bytes)) => Some((table.key_of(row).first()?.to_string(), bytes)),
        _ => None,
    });
    headers.collect()
}

/// Keys of files that are told more than once with different numbers or in different ways.
pub(super) fn ambiguous(files: &[ShippedFile]) -> BTreeSet<&str> {
    let mut seen: BTreeMap<(&str, &Option<String>), usize> = BTreeMap::new();
    for file in files {
        *seen.entry((&file.file, &file.cabinet)).or_default() += 1;
    }
    seen.into_iter().filter(|(_, count)| *count > 1).map(|((file, _), _)| file).collect()
}
