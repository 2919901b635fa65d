//! The tables that keep book of a patch, which the second transform of each pair (`#…`) adds to the upgraded database.
//!
//! | table | what the patch puts there |
//! |---|---|
//! | `Media` | one disk for each cabinet of the patch |
//! | `PatchPackage` | the patch, and its disk |
//! | `File` | of files that are shipped whole: their number in the cabinet, and that the patch has them |
//! | `Patch` | of files that are shipped as deltas: number, size, and the header of the delta |
//! | `MsiPatchHeaders` | headers that the name of no stream could lead to |
//! | `InstallExecuteSequence`, `AdminExecuteSequence` | the action `PatchFiles` |
//! | `Property` | what becomes of the summary information of an administrative image |

use std::collections::{BTreeMap, BTreeSet};

use md5::{Digest, Md5};

use crate::database::{Column, ColumnKind, Database, Table, Value, name};
use crate::guid::is_guid;
use crate::objection::{Objection, Objections};
use crate::transform::info::{pid, text};
use crate::transform::{standard, stream_name};

/// What a patch adds to the database that it leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PatchTables<'a> {
    /// Identity of the patch, in braces.
    pub patch_code: String,
    /// The cabinets. `PatchPackage` names the first.
    pub media: Vec<PatchMedia>,
    /// Files that are shipped whole.
    pub whole_files: Vec<WholeFile>,
    /// Files that are shipped as deltas.
    pub deltas: Vec<Delta>,
    /// Where `PatchFiles` goes in the sequences; without it, a place after `InstallFiles` is found.
    pub patch_files_sequence: Option<i16>,
    /// A database whose `Patch`, `PatchPackage` and `MsiPatchHeaders` say what the columns of these tables are, where the
    /// upgraded database lacks them (`MsiFileToUseToCreatePatchTables`).
    pub definitions: Option<&'a Database>,
}

/// A cabinet of the patch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PatchMedia {
    /// Number of the disk; above those of the product.
    pub disk_id: i32,
    /// Above or equal to the number of the cabinet's last file.
    pub last_sequence: i32,
    /// Title of the disk.
    pub disk_prompt: Option<String>,
    /// Name of the cabinet's stream in the patch: `PCW_CAB_Family`.
    pub cabinet: String,
    /// Label of the volume.
    pub volume_label: Option<String>,
    /// The property that tells where the patch is. Windows Installer does not look for the cabinet without it.
    pub source: String,
}

/// A file that is shipped whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WholeFile {
    /// Its key in the `File` table.
    pub file: String,
    /// Its number in the cabinet.
    pub sequence: i32,
}

/// A file that is shipped as a delta.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// Its key in the `File` table.
    pub file: String,
    /// Its number in the cabinet.
    pub sequence: i32,
    /// Length of the delta in bytes.
    pub size: u32,
    /// The delta without its streams, by which the installer sees whether it applies.
    pub header: Vec<u8>,
    /// Whether the installation fails if the delta cannot be applied; if not, the user may go on.
    pub vital: bool,
}

/// What the installer takes a file from that the patch has whole.
pub(crate) const PATCH_ADDED: i32 = 0x1000;
const NONCOMPRESSED: i32 = 0x2000;
/// A delta whose file is not vital.
const NON_VITAL: i32 = 1;
/// Where `PatchFiles` stands as a rule.
const PATCH_FILES: i32 = 4090;
/// The largest number of a column of two bytes.
const LARGEST_SHORT: i32 = 0x7fff;

/// Adds what the patch needs to the upgraded database. The difference between the two is the second transform of a pair.
///
/// Errors are everything that stands against it: files and tables that are missing, numbers that do not fit their columns or
/// overlap those of the product, a sequence in which `PatchFiles` has no place.
pub fn add(upgraded: &Database, patch: &PatchTables<'_>) -> Result<Database, Objections> {
    let mut work = Work { database: upgraded.clone(), patch, objections: Vec::new() };
    work.check();
    work.define();
    work.media();
    work.files();
    work.deltas();
    work.sequences();
    work.properties();
    Objections::or(work.objections, work.database)
}

struct Work<'a> {
    database: Database,
    patch: &'a PatchTables<'a>,
    objections: Vec<Objection>,
}

impl Work<'_> {
    fn object(&mut self, table: &str, row: &str, column: &str, what: impl Into<String>, hint: &'static str) {
        self.objections.push(Objection::of_table(table, what, hint).row(row).column(column));
    }

    fn table(&mut self, name: &str) -> Option<&mut Table> {
        self.database.tables.iter_mut().find(|table| table.name == name)
    }

    /// What is wrong with the description itself.
    fn check(&mut self) {
        let patch = self.patch;
        if !is_guid(&patch.patch_code) {
            self.object("PatchPackage", &patch.patch_code, "PatchId", "it is no GUID in braces", "set PatchGUID");
        }
        if patch.media.is_empty() {
            self.object("Media", "", "", "the patch has no cabinet", "every image belongs to a family");
        }
        let mut keys = BTreeSet::new();
        let mut sequences = BTreeMap::new();
        let whole = patch.whole_files.iter().map(|file| (&file.file, file.sequence));
        let shipped: Vec<(&String, i32)> =
            whole.chain(patch.deltas.iter().map(|delta| (&delta.file, delta.sequence))).collect();
        for (file, sequence) in shipped {
            if !keys.insert(file) {
                self.object("File", file, "", "the patch ships it twice", "a cabinet has a file whole or as a delta");
            }
            if let Some(other) = sequences.insert(sequence, file) {
                let what = format!("its number {sequence} in the patch is also that of {other}");
                self.object("File", file, "Sequence", what, "numbers of files are unique in a patch");
            }
        }
    }

    /// Adds the tables that are missing.
    fn define(&mut self) {
        for name in ["MsiPatchHeaders", "Patch", "PatchPackage"] {
            if self.database.table(name).is_some() {
                continue;
            }
            let given = self.patch.definitions.and_then(|database| database.table(name));
            let mut columns = match given {
                Some(table) => table.columns.clone(),
                None => standard::shapes(name).into_iter().next().unwrap_or_default(),
            };
            if given.is_none() && name == "Patch" && self.has_large_numbers() {
                columns.iter_mut().filter(|column| column.name == "Sequence").for_each(|column| {
                    column.kind = ColumnKind::Int32;
                });
            }
            self.database.tables.push(Table { name: name.to_owned(), columns, rows: Vec::new() });
        }
        self.database.tables.sort_by(|one, other| one.name.cmp(&other.name));
    }

    /// Whether the product numbers its files with four bytes.
    fn has_large_numbers(&self) -> bool {
        [("File", "Sequence"), ("Media", "LastSequence")].iter().any(|(table, column)| {
            let table = self.database.table(table);
            let column = table.and_then(|table| table.columns.get(table.column(column)?));
            column.is_some_and(|column| column.kind == ColumnKind::Int32)
        })
    }

    fn media(&mut self) {
        const HINT: &str = "set MediaDiskId and FileSequenceStart of the family above all numbers of the targets";
        let disks = self.database.table("Media").map(disks).unwrap_or_default();
        let of_product = disks.iter().map(|(_, last)| *last).max().unwrap_or_default();
        let mut highest = disks.iter().map(|(disk, _)| *disk).max().unwrap_or_default();
        let mut last = of_product;
        for media in &self.patch.media {
            let row = media.disk_id.to_string();
            if media.disk_id <= highest {
                let what = format!("the number of the disk is not above {highest}, which is in use");
                self.object("Media", &row, "DiskId", what, HINT);
            }
            if media.last_sequence <= last {
                let what =
                    format!("its last number {} is not above {last}, that of a disk before it", media.last_sequence);
                self.object("Media", &row, "LastSequence", what, HINT);
            }
            if media.source.is_empty() {
                self.object("Media", &row, "Source", "it has no property", "set MediaSrcPropName of the family");
            }
            (highest, last) = (highest.max(media.disk_id), last.max(media.last_sequence));
            let text = |text: &Option<String>| text.clone().map_or(Value::Null, Value::Str);
            self.put(
                "Media",
                &[
                    ("DiskId", Value::Int(media.disk_id)),
                    ("LastSequence", Value::Int(media.last_sequence)),
                    ("DiskPrompt", text(&media.disk_prompt)),
                    ("Cabinet", Value::Str(format!("#{}", media.cabinet))),
                    ("VolumeLabel", text(&media.volume_label)),
                    ("Source", Value::Str(media.source.clone())),
                ],
            );
        }
        for (file, number) in self.shipped() {
            if number <= of_product || number > last {
                let what = format!(
                    "its number {number} in the patch is not between {of_product}, the product's last, and {last}, the patch's"
                );
                self.object("File", &file, "Sequence", what, HINT);
            }
        }
        if let Some(media) = self.patch.media.first() {
            let code = self.patch.patch_code.to_ascii_uppercase();
            self.put("PatchPackage", &[("PatchId", Value::Str(code)), ("Media_", Value::Int(media.disk_id))]);
        }
    }

    /// All files of the patch and their numbers.
    fn shipped(&self) -> Vec<(String, i32)> {
        let whole = self.patch.whole_files.iter().map(|file| (file.file.clone(), file.sequence));
        whole.chain(self.patch.deltas.iter().map(|delta| (delta.file.clone(), delta.sequence))).collect()
    }

    fn files(&mut self) {
        let mut whole: BTreeMap<&str, i32> =
            self.patch.whole_files.iter().map(|whole| (whole.file.as_str(), whole.sequence)).collect();
        let mut deltas: BTreeSet<&str> = self.patch.deltas.iter().map(|delta| delta.file.as_str()).collect();
        let Some(at) = self.database.tables.iter().position(|table| table.name == "File") else {
            self.object("File", "", "", "the upgraded database lacks it", "is this an installer?");
            return;
        };
        let Some(table) = self.database.tables.get_mut(at) else { return };
        let places = ["File", "Attributes", "Sequence"].map(|column| table.column(column));
        let [Some(key), Some(attributes), Some(sequence)] = places else {
            self.object(
                "File",
                "",
                "",
                "it lacks one of the columns File, Attributes, Sequence",
                "is this an installer?",
            );
            return;
        };
        let definition = table.columns.get(sequence).cloned();
        let mut wrong = Vec::new();
        for row in &mut table.rows {
            let Some(Value::Str(file)) = row.get(key) else { continue };
            deltas.remove(file.as_str());
            let Some(number) = whole.remove(file.as_str()) else { continue };
            let number = Value::Int(number);
            if let Some(column) = definition.as_ref().filter(|column| !fits(&number, column)) {
                wrong.push((file.clone(), misfit(&number, column)));
            }
            let old = match row.get(attributes) {
                Some(Value::Int(number)) => *number,
                _ => 0,
            };
            put_at(row, attributes, Value::Int((old | PATCH_ADDED) & !NONCOMPRESSED));
            put_at(row, sequence, number);
        }
        for (file, what) in wrong {
            self.object("File", &file, "Sequence", what, "widen the column to i4 in both databases");
        }
        for file in whole.into_keys().chain(deltas) {
            self.object("File", file, "", "the upgraded database lacks the file", "the key is that of its File table");
        }
    }

    fn deltas(&mut self) {
        let patch = self.patch;
        for delta in &patch.deltas {
            let Ok(size) = i32::try_from(delta.size) else {
                self.object("Patch", &delta.file, "PatchSize", "the delta is larger than 2 GiB", "ship the file whole");
                continue;
            };
            let key = [Value::Str(delta.file.clone()), Value::Int(delta.sequence)];
            // A name that is too long has no stream; the header gets one of its own, by an identity that is always the same.
            let fits = name::encode(&stream_name("Patch", &key), false).is_some();
            let header = Value::Binary(delta.header.clone());
            let (in_row, reference) = if fits {
                (header, Value::Null)
            } else {
                let reference = header_id(&patch.patch_code, &delta.file, delta.sequence);
                self.put("MsiPatchHeaders", &[("StreamRef", Value::Str(reference.clone())), ("Header", header)]);
                (Value::Null, Value::Str(reference))
            };
            let [file, sequence] = key;
            self.put(
                "Patch",
                &[
                    ("File_", file),
                    ("Sequence", sequence),
                    ("PatchSize", Value::Int(size)),
                    ("Attributes", Value::Int(if delta.vital { 0 } else { NON_VITAL })),
                    ("Header", in_row),
                    ("StreamRef_", reference),
                ],
            );
        }
    }

    fn sequences(&mut self) {
        for name in ["AdminExecuteSequence", "InstallExecuteSequence"] {
            let Some(table) = self.database.table(name) else {
                if name == "InstallExecuteSequence" {
                    self.object(name, "", "", "the upgraded database lacks it", "is this an installer?");
                }
                continue;
            };
            let actions = actions(table);
            if actions.contains_key("PatchFiles") {
                continue;
            }
            match place(&actions, self.patch.patch_files_sequence) {
                Ok(number) => {
                    self.put(
                        name,
                        &[("Action", Value::Str("PatchFiles".to_owned())), ("Sequence", Value::Int(number))],
                    );
                }
                Err(what) => {
                    let hint = "PatchFiles runs after InstallFiles and before DuplicateFiles; give its number with --patchfiles-sequence";
                    self.object(name, "PatchFiles", "Sequence", what, hint);
                }
            }
        }
    }

    fn properties(&mut self) {
        let of = |number| text(&self.database.summary, number).map(str::to_owned);
        let properties = [
            ("PATCHNEWPACKAGECODE", of(pid::REVISION)),
            ("PATCHNEWSUMMARYCOMMENTS", of(pid::COMMENTS)),
            ("PATCHNEWSUMMARYSUBJECT", of(pid::SUBJECT)),
        ];
        for (name, value) in properties {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                self.put("Property", &[("Property", Value::Str(name.to_owned())), ("Value", Value::Str(value))]);
            }
        }
    }

    /// Puts a row in its place by key; columns that are not named stay empty.
    fn put(&mut self, name: &str, cells: &[(&str, Value)]) {
        let Some(table) = self.database.table(name) else {
            if !self.objections.iter().any(|objection| objection.table == name && objection.row.is_empty()) {
                self.object(name, "", "", "the upgraded database lacks it", "is this an installer?");
            }
            return;
        };
        let mut row = vec![Value::Null; table.columns.len()];
        let mut wrong = Vec::new();
        for (column, value) in cells {
            match table.column(column).and_then(|at| Some((at, table.columns.get(at)?))) {
                Some((at, definition)) => {
                    put_at(&mut row, at, value.clone());
                    if !fits(value, definition) {
                        wrong.push((*column, misfit(value, definition)));
                    }
                }
                None if *value == Value::Null => {}
                None => wrong.push((*column, "the table lacks the column".to_owned())),
            }
        }
        let key: Vec<Value> = table.key_of(&row).cloned().collect();
        let shown = table.row_key(&row);
        let at = table.rows.iter().position(|other| table.key_of(other).eq(&key));
        for (column, what) in wrong {
            let hint = "widen the column in both databases, or name a template with wider ones in MsiFileToUseToCreatePatchTables";
            self.object(name, &shown, column, what, hint);
        }
        if let Some(table) = self.table(name) {
            match at.and_then(|at| table.rows.get_mut(at)) {
                Some(old) => *old = row,
                None => table.rows.push(row),
            }
        }
    }
}

fn put_at(row: &mut [Value], at: usize, value: Value) {
    if let Some(cell) = row.get_mut(at) {
        *cell = value;
    }
}

fn fits(value: &Value, column: &Column) -> bool {
    match (value, column.kind) {
        (Value::Null, _) => column.nullable,
        (Value::Int(number), ColumnKind::Int16) => (0..=LARGEST_SHORT).contains(number),
        (Value::Int(number), ColumnKind::Int32) => *number >= 0,
        (Value::Str(text), ColumnKind::Text(width)) => width == 0 || text.chars().count() <= usize::from(width),
        (Value::Binary(_), ColumnKind::Binary) => true,
        _ => false,
    }
}

fn misfit(value: &Value, column: &Column) -> String {
    format!("{value} does not fit a column of type {}", crate::idt::type_name(column))
}

/// The disks of a product: number and last number of a file.
fn disks(media: &Table) -> Vec<(i32, i32)> {
    let number = |row: &[Value], column: &str| match media.column(column).and_then(|at| row.get(at)) {
        Some(Value::Int(number)) => *number,
        _ => 0,
    };
    media.rows.iter().map(|row| (number(row, "DiskId"), number(row, "LastSequence"))).collect()
}

/// The actions of a sequence and their numbers; those without a number do not run.
fn actions(table: &Table) -> BTreeMap<String, Option<i32>> {
    let at = |column| table.column(column);
    let actions = table.rows.iter().filter_map(|row| {
        let number = match row.get(at("Sequence")?) {
            Some(Value::Int(number)) => Some(*number),
            _ => None,
        };
        Some((row.get(at("Action")?)?.to_string(), number))
    });
    actions.collect()
}

/// A number for `PatchFiles`: after `InstallFiles`, before `DuplicateFiles`, that no other action has.
fn place(actions: &BTreeMap<String, Option<i32>>, wanted: Option<i16>) -> Result<i32, String> {
    let number = |action: &str| actions.get(action).copied().flatten();
    let Some(after) = number("InstallFiles") else { return Err("InstallFiles is not in the sequence".to_owned()) };
    let before = number("DuplicateFiles").unwrap_or(LARGEST_SHORT + 1);
    let inside = |number: i32| after < number && number < before;
    if let Some(wanted) = wanted.map(i32::from) {
        let told = format!("{wanted} is not between {after} (InstallFiles) and {before} (DuplicateFiles)");
        return if inside(wanted) { Ok(wanted) } else { Err(told) };
    }
    let taken: BTreeSet<i32> = actions.values().copied().flatten().collect();
    let usual = number("DuplicateFiles").map(|_| PATCH_FILES);
    let middle = number("DuplicateFiles").map(|before| i32::midpoint(after, before));
    let mut numbers = usual.into_iter().chain(middle).chain(after + 1..before);
    numbers
        .find(|number| inside(*number) && !taken.contains(number))
        .ok_or_else(|| format!("no number is free between {after} (InstallFiles) and {before} (DuplicateFiles)"))
}

/// The name of a header that needs one: the same for the same patch, file and number (a UUID of version 3).
fn header_id(patch_code: &str, file: &str, sequence: i32) -> String {
    let hash = Md5::new()
        .chain_update(patch_code.to_ascii_uppercase())
        .chain_update(file)
        .chain_update(sequence.to_le_bytes())
        .finalize();
    let id = uuid::Builder::from_md5_bytes(hash.into()).into_uuid();
    format!("_{}", id.hyphenated().to_string().to_ascii_uppercase().replace('-', "_"))
}
