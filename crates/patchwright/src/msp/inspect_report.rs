//! What `msp inspect` tells.

use std::path::PathBuf;

use serde::Serialize;

use super::report::MspSequence;
use crate::report::{InspectedRange, InspectedRetain, lossy};

/// What is in a patch of Windows Installer.
#[derive(Clone, Debug, Serialize)]
pub struct MspInspectReport {
    /// `patchwright.msp-inspect/1`.
    pub schema: &'static str,
    /// The patch.
    #[serde(serialize_with = "lossy")]
    pub patch: PathBuf,
    /// Its length.
    pub patch_bytes: u64,
    /// Its identity.
    pub patch_code: String,
    /// Title, subject, author and comments, those that there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Author.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Comments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comments: Option<String>,
    /// Where the installer finds the patch again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sources: Option<String>,
    /// What the patch needs of the installer, as its summary information spells it: 5 is Windows Installer 3.1.
    pub installer: i32,
    /// The version of Windows Installer that this is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub installer_version: Option<&'static str>,
    /// Product codes that the patch is for.
    pub product_codes: Vec<String>,
    /// Identities of patches that it takes the place of.
    pub replaces: Vec<String>,
    /// Whether there is a signature. Nobody checked it.
    pub signed: bool,
    /// The streams of the signature.
    pub signature: Vec<InspectedStream>,
    /// The rows of `MsiPatchSequence`, if there is such a table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<Vec<MspSequence>>,
    /// The rows of `MsiPatchMetadata`, if there is such a table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Vec<InspectedMetadata>>,
    /// Disks that the patch adds to the product.
    pub families: Vec<InspectedFamily>,
    /// Transforms in the order in which they apply.
    pub transforms: Vec<InspectedTransform>,
    /// Files that the patch ships, by number.
    pub files: Vec<InspectedFile>,
    /// Cabinets.
    pub cabinets: Vec<InspectedCabinet>,
    /// Streams that are neither tables nor cabinets.
    pub other_streams: Vec<InspectedStream>,
    /// What the patch does to the product of `--against`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<MspAgainst>,
    /// What the installer will not like.
    pub lints: Vec<InspectedLint>,
}

/// A stream.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedStream {
    /// Its name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
}

/// A row of `MsiPatchMetadata`.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedMetadata {
    /// Whose property it is; one of Windows Installer without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub company: Option<String>,
    /// Its name.
    pub property: String,
    /// Its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// A disk that the patch adds to the product.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedFamily {
    /// Number of the disk.
    pub disk_id: i32,
    /// The highest number of a file on it.
    pub last_sequence: i32,
    /// The cabinet; `#` stands before a stream of the patch.
    pub cabinet: String,
    /// The property that tells where the patch is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Title of the disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_prompt: Option<String>,
    /// Label of the volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_label: Option<String>,
    /// The transforms that add it.
    pub added_by: Vec<String>,
}

/// A transform.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedTransform {
    /// Its name.
    pub name: String,
    /// `changes`, or `bookkeeping` if its name begins with `#`.
    pub role: &'static str,
    /// Whether the patch lists it; if not, it is never applied.
    pub listed: bool,
    /// Code page of its texts.
    pub code_page: u32,
    /// What it needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<InspectedProduct>,
    /// What it leads to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<InspectedProduct>,
    /// What is compared before it is applied, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<String>,
    /// The same by name.
    pub compares: Vec<&'static str>,
    /// What does not stop it, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_conditions: Option<String>,
    /// The same by name.
    pub tolerates: Vec<&'static str>,
    /// What it changes.
    pub tables: Vec<InspectedTable>,
    /// Why it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// A version of a product.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedProduct {
    /// Its product code.
    pub product_code: String,
    /// Its version.
    pub version: String,
    /// Its upgrade code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upgrade_code: Option<String>,
    /// Its platform.
    pub platform: String,
    /// Its languages.
    pub languages: Vec<u16>,
}

/// What a transform does to a table.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedTable {
    /// The table.
    pub table: String,
    /// `changed`, `added`, `widened`, `dropped`, or `unknown`.
    pub change: &'static str,
    /// Columns that it gains.
    pub new_columns: Vec<String>,
    /// Rows that are added, or replaced as a whole.
    pub inserted: usize,
    /// Rows of which some values change.
    pub updated: usize,
    /// Rows that go.
    pub deleted: usize,
    /// Columns of which values change.
    pub changed_columns: Vec<String>,
    /// Bytes of rows whose columns nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undecoded_bytes: Option<usize>,
}

/// A file that the patch ships.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedFile {
    /// Its key in the `File` table.
    pub file: String,
    /// `whole` or `delta`.
    pub kind: &'static str,
    /// Its number in the patch.
    pub sequence: i32,
    /// The cabinet that has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cabinet: Option<String>,
    /// Length of what the cabinet has of it, unpacked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Of a delta: whether the installation fails where it cannot be applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vital: Option<bool>,
    /// Of a delta: what its header says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<InspectedHeader>,
    /// The transforms that speak of it.
    pub transforms: Vec<String>,
}

/// What the header of a delta says.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedHeader {
    /// Its length; 0 if there is none.
    pub header_bytes: u64,
    /// Option bits, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<String>,
    /// Length of the new file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_bytes: Option<u64>,
    /// CRC-32 of the new file, retained ranges blanked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_crc32: Option<String>,
    /// The old versions that the delta applies to.
    pub olds: Vec<MspOld>,
    /// What is wrong with the header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// An old version of a file.
#[derive(Clone, Debug, Serialize)]
pub struct MspOld {
    /// Its length.
    pub bytes: u64,
    /// Its CRC-32, ignored and retained ranges blanked.
    pub crc32: String,
    /// Length of what leads from it to the new file, compressed; 0: it is the new file.
    pub stream_bytes: u64,
    /// Ignored ranges.
    pub ignore: Vec<InspectedRange>,
    /// Retained ranges.
    pub retain: Vec<InspectedRetain>,
}

/// A cabinet.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedCabinet {
    /// Name of its stream.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// What is in it.
    pub members: Vec<InspectedMember>,
    /// Why it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// A file in a cabinet.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedMember {
    /// Its name: the key of a file.
    pub name: String,
    /// Its length, unpacked.
    pub bytes: u64,
}

/// What a patch does to a product.
#[derive(Clone, Debug, Serialize)]
pub struct MspAgainst {
    /// The installer.
    #[serde(serialize_with = "lossy")]
    pub installer: PathBuf,
    /// The product that it installs.
    pub product: InspectedProduct,
    /// What the installer lacks.
    pub faults: Vec<String>,
    /// Whether the patch lists the product code.
    pub listed: bool,
    /// Whether the patch applies.
    pub applies: bool,
    /// The version afterwards.
    pub version_after: String,
    /// Each transform, in order.
    pub transforms: Vec<InspectedVerdict>,
}

/// Whether a transform applies to the product, as those before it have left it.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedVerdict {
    /// Its name.
    pub name: String,
    /// Whether it applies.
    pub applies: bool,
    /// What does not match.
    pub mismatches: Vec<InspectedMismatch>,
    /// What goes wrong with it.
    pub faults: Vec<String>,
}

/// A reason why a transform does not apply.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedMismatch {
    /// What does not match.
    pub what: &'static str,
    /// What the transform needs.
    pub needed: String,
    /// What the product has.
    pub found: String,
}

/// Something that the installer will not like.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedLint {
    /// What sort of thing it is.
    pub code: &'static str,
    /// What it is.
    pub message: String,
    /// What follows from it, or what to do.
    pub hint: &'static str,
}
