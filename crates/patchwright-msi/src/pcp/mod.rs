//! Patch creation properties: the tables of a `.pcp`, typed.
//!
//! Tables and columns are found by name. An older file lacks columns that came later, a wider one has more; both are
//! read. What a file must have and lacks becomes a [`SchemaFault`], so that a check can tell it with everything else.

mod new;
mod ranges;

use crate::code::{self, Code};
use crate::database::{ColumnKind, Database, Table, Value};

pub use new::{Image, New, Pair, Todo, new};
pub use ranges::parse_numbers;
pub(crate) use ranges::{RangeFault, checked_ranges};

/// What a table should be.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// Its name.
    pub table: &'static str,
    /// Whether every `.pcp` has it.
    pub required: bool,
    /// What PATCHWIZ says when it is not what it should be.
    pub code: Code,
    /// Its columns, in the order of new files.
    pub columns: &'static [ColumnSchema],
}

/// What a column should be.
#[derive(Clone, Copy, Debug)]
pub struct ColumnSchema {
    /// Its name.
    pub name: &'static str,
    /// Its type in a new file, as text archives spell it.
    pub kind: &'static str,
    /// Whether it is part of the primary key.
    pub key: bool,
    /// Whether every table has it; if not, it came later.
    pub required: bool,
    /// What it is for.
    pub description: &'static str,
}

/// A table or column that is missing, or of another type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaFault {
    /// The table.
    pub table: &'static str,
    /// The column, unless all of the table is missing.
    pub column: Option<&'static str>,
    /// What PATCHWIZ says.
    pub code: Code,
    /// What is wrong.
    pub what: String,
}

/// How a field reads its value; the type of the column is checked before.
trait FromValue {
    const NUMBER: bool;
    fn from_value(value: Option<&Value>) -> Self;
}

impl FromValue for Option<String> {
    const NUMBER: bool = false;
    fn from_value(value: Option<&Value>) -> Self {
        match value {
            Some(Value::Str(text)) if !text.is_empty() => Some(text.clone()),
            _ => None,
        }
    }
}

impl FromValue for String {
    const NUMBER: bool = false;
    fn from_value(value: Option<&Value>) -> Self {
        Option::from_value(value).unwrap_or_default()
    }
}

impl FromValue for Option<i32> {
    const NUMBER: bool = true;
    fn from_value(value: Option<&Value>) -> Self {
        match value {
            Some(Value::Int(number)) => Some(*number),
            _ => None,
        }
    }
}

/// A row of a table of the model.
trait Row: Sized {
    const SCHEMA: Schema;
    /// Whether each column of the schema is one of numbers.
    const NUMBERS: &'static [bool];
    fn from_cells(cells: &[Option<&Value>]) -> Self;
}

macro_rules! count {
    ($($field:ident)*) => { [$(stringify!($field)),*].len() };
}

macro_rules! need {
    (key) => {
        (true, true)
    };
    (must) => {
        (false, true)
    };
    (later) => {
        (false, false)
    };
}

/// Defines a row, its schema and how it is read: once, so that the three cannot differ.
macro_rules! row {
    ($(#[doc = $doc:literal])* $row:ident = $table:literal, $required:literal, $code:ident {
        $($(#[doc = $about:literal])* $field:ident: $type:ty = $column:literal $kind:literal $need:ident,)*
    }) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $row {
            $($(#[doc = $about])* pub $field: $type,)*
        }

        impl Row for $row {
            const SCHEMA: Schema = Schema {
                table: $table,
                required: $required,
                code: code::$code,
                columns: &[$(ColumnSchema {
                    name: $column,
                    kind: $kind,
                    key: need!($need).0,
                    required: need!($need).1,
                    description: concat!($($about),*).trim_ascii_start(),
                }),*],
            };
            const NUMBERS: &'static [bool] = &[$(<$type as FromValue>::NUMBER),*];

            fn from_cells(cells: &[Option<&Value>]) -> Self {
                const COUNT: usize = count!($($field)*);
                let [$($field),*]: [Option<&Value>; COUNT] = std::array::from_fn(|at| cells.get(at).copied().flatten());
                Self { $($field: FromValue::from_value($field)),* }
            }
        }
    };
}

row! {
    /// A setting of the patch.
    PropertyRow = "Properties", true, INVALID_PCP_PROPERTIES {
        /// Name of the setting; case matters.
        name: String = "Name" "s72" key,
        /// Its value; empty means the default.
        value: Option<String> = "Value" "S0" must,
    }
}

row! {
    /// A group of images that share files: one cabinet of the patch.
    ImageFamily = "ImageFamilies", true, INVALID_PCP_IMAGEFAMILIES {
        /// Name, up to 8 letters, digits and underscores. The cabinet is called after it.
        family: String = "Family" "s8" key,
        /// Property for Media.Source; may be empty from MinimumRequiredMsiVersion 200 on.
        media_src_prop_name: Option<String> = "MediaSrcPropName" "S72" must,
        /// Number for Media.DiskId, above every one in every target; may be empty from MinimumRequiredMsiVersion 200 on.
        media_disk_id: Option<i32> = "MediaDiskId" "I2" must,
        /// First number of a patched file, above every File.Sequence; may be empty from MinimumRequiredMsiVersion 200 on.
        file_sequence_start: Option<i32> = "FileSequenceStart" "I4" must,
        /// Text for Media.DiskPrompt.
        disk_prompt: Option<String> = "DiskPrompt" "S128" later,
        /// Text for Media.VolumeLabel.
        volume_label: Option<String> = "VolumeLabel" "S32" later,
    }
}

row! {
    /// A new version: an installer with its files unpacked beside it.
    UpgradedImage = "UpgradedImages", true, INVALID_PCP_UPGRADEDIMAGES {
        /// Name, up to 13 characters.
        upgraded: String = "Upgraded" "s13" key,
        /// Path of the new installer; its files lie uncompressed beside it.
        msi_path: String = "MsiPath" "s255" must,
        /// Path of a copy of the new installer with dialogs and actions for the patch alone.
        patch_msi_path: Option<String> = "PatchMsiPath" "S255" later,
        /// Folders with symbol files, separated by semicolons.
        symbol_paths: Option<String> = "SymbolPaths" "S255" must,
        /// The family of the image.
        family: String = "Family" "s8" must,
    }
}

row! {
    /// An old version.
    TargetImage = "TargetImages", true, INVALID_PCP_TARGETIMAGES {
        /// Name, up to 13 characters.
        target: String = "Target" "s13" key,
        /// Path of the old installer; its files lie uncompressed beside it.
        msi_path: String = "MsiPath" "s255" must,
        /// Folders with symbol files, separated by semicolons.
        symbol_paths: Option<String> = "SymbolPaths" "S255" must,
        /// The new version that this one becomes.
        upgraded: String = "Upgraded" "s13" must,
        /// Place among the old versions, the oldest first.
        order: Option<i32> = "Order" "i2" later,
        /// What an installed product is asked before the patch is applied: 0x and 8 hexadecimal digits.
        product_validate_flags: Option<String> = "ProductValidateFlags" "S16" later,
        /// 1: files that the old image lacks are left out of the patch.
        ignore_missing_src_files: Option<i32> = "IgnoreMissingSrcFiles" "i2" later,
    }
}

row! {
    /// A file that is not patched although it differs.
    IgnoredFile = "UpgradedFilesToIgnore", false, INVALID_PCP_UPGRADEDFILESTOIGNORE {
        /// The new image, or * for all.
        upgraded: String = "Upgraded" "s13" key,
        /// Key of the file, or the beginning of keys and *.
        ftk: String = "FTK" "s255" key,
    }
}

row! {
    /// How a file of a new version is patched.
    UpgradedFile = "UpgradedFiles_OptionalData", false, INVALID_PCP_UPGRADEDFILES_OPTIONALDATA {
        /// The new image.
        upgraded: String = "Upgraded" "s13" key,
        /// Key of the file in its File table.
        ftk: String = "FTK" "s255" key,
        /// More folders with symbol files.
        symbol_paths: Option<String> = "SymbolPaths" "S255" must,
        /// 1: the user may go on when this file cannot be patched.
        allow_ignore_on_patch_error: Option<i32> = "AllowIgnoreOnPatchError" "I2" later,
        /// 1: the whole file is shipped instead of a delta.
        include_whole_file: Option<i32> = "IncludeWholeFile" "I2" later,
    }
}

row! {
    /// Ranges of a file of an old version.
    TargetFile = "TargetFiles_OptionalData", false, INVALID_PCP_TARGETFILES_OPTIONALDATA {
        /// The old image.
        target: String = "Target" "s13" key,
        /// Key of the file in its File table.
        ftk: String = "FTK" "s255" key,
        /// More folders with symbol files.
        symbol_paths: Option<String> = "SymbolPaths" "S255" must,
        /// Where ranges begin that may hold anything.
        ignore_offsets: Option<String> = "IgnoreOffsets" "S255" later,
        /// How long they are.
        ignore_lengths: Option<String> = "IgnoreLengths" "S255" later,
        /// Where ranges begin in the old file that are carried over, one for each of FamilyFileRanges.
        retain_offsets: Option<String> = "RetainOffsets" "S255" later,
    }
}

row! {
    /// Ranges of a file that keep what the user's copy holds.
    FamilyFileRange = "FamilyFileRanges", false, INVALID_PCP_FAMILYFILERANGES {
        /// The family.
        family: String = "Family" "s8" key,
        /// Key of the file in every new image of the family.
        ftk: String = "FTK" "s255" key,
        /// Where the ranges begin in the new file.
        retain_offsets: String = "RetainOffsets" "s128" must,
        /// How long they are.
        retain_lengths: String = "RetainLengths" "s128" must,
    }
}

row! {
    /// Another old version of a file, from outside the images.
    ExternalFile = "ExternalFiles", false, INVALID_PCP_EXTERNALFILES {
        /// The family.
        family: String = "Family" "s8" key,
        /// Key of the file in the new image.
        ftk: String = "FTK" "s255" key,
        /// Path of the old version.
        file_path: String = "FilePath" "s255" key,
        /// Folders with symbol files.
        symbol_paths: Option<String> = "SymbolPaths" "S255" must,
        /// Where ranges begin that may hold anything.
        ignore_offsets: Option<String> = "IgnoreOffsets" "S255" must,
        /// How long they are.
        ignore_lengths: Option<String> = "IgnoreLengths" "S255" must,
        /// Where ranges begin in the old file that are carried over, one for each of FamilyFileRanges.
        retain_offsets: Option<String> = "RetainOffsets" "S255" must,
        /// Place among the other versions of the file, the oldest first.
        order: Option<i32> = "Order" "I2" later,
    }
}

row! {
    /// What the patch says about itself once it is installed.
    MetadataRow = "PatchMetadata", false, MISSING_PATCHMETADATA {
        /// Empty for a standard property, else the company that defines it.
        company: Option<String> = "Company" "S72" key,
        /// Name of the property.
        property: String = "Property" "s72" key,
        /// Its value; never empty.
        value: Option<String> = "Value" "l0" must,
    }
}

row! {
    /// The place of the patch among others.
    SequenceRow = "PatchSequence", false, INVALID_PCP_PATCHSEQUENCE {
        /// Name of the family of patches.
        patch_family: String = "PatchFamily" "s72" key,
        /// Empty for every target, else a target image or a product code.
        target: Option<String> = "Target" "S72" key,
        /// Version of the patch, one to four numbers up to 65535; empty: it is made.
        sequence: Option<String> = "Sequence" "S72" must,
        /// 1: the patch replaces the earlier ones of the family.
        supersede: Option<i32> = "Supersede" "I4" must,
    }
}

/// Every table of the model, in the order of the documentation.
pub const SCHEMAS: [Schema; 11] = [
    PropertyRow::SCHEMA,
    ImageFamily::SCHEMA,
    UpgradedImage::SCHEMA,
    TargetImage::SCHEMA,
    IgnoredFile::SCHEMA,
    UpgradedFile::SCHEMA,
    TargetFile::SCHEMA,
    FamilyFileRange::SCHEMA,
    ExternalFile::SCHEMA,
    MetadataRow::SCHEMA,
    SequenceRow::SCHEMA,
];

/// All of a `.pcp`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pcp {
    /// `Properties`
    pub properties: Vec<PropertyRow>,
    /// `ImageFamilies`
    pub families: Vec<ImageFamily>,
    /// `UpgradedImages`
    pub upgraded: Vec<UpgradedImage>,
    /// `TargetImages`
    pub targets: Vec<TargetImage>,
    /// `UpgradedFilesToIgnore`
    pub ignored_files: Vec<IgnoredFile>,
    /// `UpgradedFiles_OptionalData`
    pub upgraded_files: Vec<UpgradedFile>,
    /// `TargetFiles_OptionalData`
    pub target_files: Vec<TargetFile>,
    /// `FamilyFileRanges`
    pub family_ranges: Vec<FamilyFileRange>,
    /// `ExternalFiles`
    pub external_files: Vec<ExternalFile>,
    /// `PatchMetadata`, if it is there
    pub metadata: Option<Vec<MetadataRow>>,
    /// `PatchSequence`, if it is there
    pub sequence: Option<Vec<SequenceRow>>,
    /// What is missing, or not what it should be.
    pub faults: Vec<SchemaFault>,
}

impl Pcp {
    /// Reads the tables of a database, rows sorted by key.
    pub fn read(database: &Database) -> Self {
        let mut faults = Vec::new();
        let mut pcp = Self {
            properties: required(database, &mut faults),
            families: required(database, &mut faults),
            upgraded: required(database, &mut faults),
            targets: required(database, &mut faults),
            ignored_files: required(database, &mut faults),
            upgraded_files: required(database, &mut faults),
            target_files: required(database, &mut faults),
            family_ranges: required(database, &mut faults),
            external_files: required(database, &mut faults),
            metadata: rows(database, &mut faults),
            sequence: rows(database, &mut faults),
            faults: Vec::new(),
        };
        pcp.faults = faults;
        pcp
    }

    /// The value of a property, unless it is empty.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties.iter().find(|row| row.name == name)?.value.as_deref()
    }

    /// `MinimumRequiredMsiVersion`; 100 where it is not set or no number.
    pub fn minimum_msi_version(&self) -> u32 {
        self.property("MinimumRequiredMsiVersion").and_then(|text| text.trim().parse().ok()).unwrap_or(100)
    }
}

fn required<R: Row>(database: &Database, faults: &mut Vec<SchemaFault>) -> Vec<R> {
    rows(database, faults).unwrap_or_else(|| {
        let Schema { table, code, required, .. } = R::SCHEMA;
        if required {
            faults.push(SchemaFault { table, column: None, code, what: "the table is missing".to_owned() });
        }
        Vec::new()
    })
}

fn rows<R: Row>(database: &Database, faults: &mut Vec<SchemaFault>) -> Option<Vec<R>> {
    let mut table = database.table(R::SCHEMA.table)?.clone();
    table.sort();
    let places: Vec<Option<usize>> = R::SCHEMA
        .columns
        .iter()
        .zip(R::NUMBERS)
        .map(|(column, number)| place::<R>(&table, column, *number, faults))
        .collect();
    let cells = |row: &Vec<Value>| -> R {
        let cells: Vec<Option<&Value>> = places.iter().map(|place| row.get((*place)?)).collect();
        R::from_cells(&cells)
    };
    Some(table.rows.iter().map(cells).collect())
}

/// Where a column is; nowhere if it holds what we cannot read.
fn place<R: Row>(table: &Table, column: &ColumnSchema, number: bool, faults: &mut Vec<SchemaFault>) -> Option<usize> {
    let mut fault = |what: String| {
        let Schema { table, code, .. } = R::SCHEMA;
        faults.push(SchemaFault { table, column: Some(column.name), code, what });
    };
    let Some(at) = table.column(column.name) else {
        if column.required {
            fault("the column is missing".to_owned());
        }
        return None;
    };
    let is_number = matches!(table.columns[at].kind, ColumnKind::Int16 | ColumnKind::Int32);
    if is_number != number || table.columns[at].kind == ColumnKind::Binary {
        fault(format!("the column does not hold {}", if number { "numbers" } else { "texts" }));
        return None;
    }
    Some(at)
}
