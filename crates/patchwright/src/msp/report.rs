//! What a build tells when it is done.

use std::path::PathBuf;

use patchwright_msi::msp::Sequence;
use serde::Serialize;

use crate::report::{PcpFinding, lossy, lossy_if_any};

/// What `msp build` did.
#[derive(Clone, Debug, Serialize)]
pub struct MspBuildReport {
    /// `patchwright.msp-build/1`.
    pub schema: &'static str,
    /// The patch creation properties.
    #[serde(serialize_with = "lossy")]
    pub pcp: PathBuf,
    /// The patch that was written.
    #[serde(serialize_with = "lossy")]
    pub output: PathBuf,
    /// Its identity.
    pub patch_guid: String,
    /// Its length.
    pub patch_bytes: u64,
    /// The products that it is for.
    pub product_codes: Vec<String>,
    /// The cabinets.
    pub families: Vec<MspFamily>,
    /// The files, family by family in the order of their numbers.
    pub files: Vec<MspFile>,
    /// The pairs of images, in the order in which they are tried.
    pub pairs: Vec<MspPair>,
    /// Its place among other patches; nothing if it has none.
    pub sequence: Vec<MspSequence>,
    /// The time that the patch has: seconds since 1970.
    pub time: u64,
    /// What the author should know.
    pub findings: Vec<PcpFinding>,
    /// The same of single files.
    pub warnings: Vec<String>,
    /// Where the parts are, if they were to be kept.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "lossy_if_any")]
    pub temp_folder: Option<PathBuf>,
}

/// A cabinet.
#[derive(Clone, Debug, Serialize)]
pub struct MspFamily {
    /// Name of the family.
    pub family: String,
    /// Name of the stream.
    pub cabinet: String,
    /// Its length.
    pub cabinet_bytes: u64,
    /// Number of the disk.
    pub disk_id: i32,
    /// The property that says where the patch is.
    pub source_property: String,
    /// The number of its first file.
    pub first_sequence: i32,
    /// The number up to which it reaches; the next patch begins above it.
    pub last_sequence: i32,
}

/// A file in a patch.
#[derive(Clone, Debug, Serialize)]
pub struct MspFile {
    /// The family.
    pub family: String,
    /// Its key.
    pub file: String,
    /// Its number.
    pub sequence: i32,
    /// `delta` or `whole`.
    pub kind: &'static str,
    /// Why it goes whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Length of the new file.
    pub new_bytes: u64,
    /// What is in the cabinet for it, before the cabinet compresses it.
    pub shipped_bytes: u64,
    /// Different old versions that the delta leads from.
    pub olds: usize,
    /// The most ignored ranges of an old version.
    pub ignored_ranges: usize,
    /// Retained ranges.
    pub retained_ranges: usize,
    /// The target images whose file it replaces.
    pub targets: Vec<String>,
    /// Whether users may go on when it cannot be patched.
    pub non_vital: bool,
    /// Whether the delta came from the cache.
    pub cached: bool,
}

/// A target image and what it becomes.
#[derive(Clone, Debug, Serialize)]
pub struct MspPair {
    /// Name of the target image.
    pub target: String,
    /// Name of the upgraded image.
    pub upgraded: String,
    /// Product code and version of the target.
    pub product_code: String,
    /// Its version.
    pub version: String,
    /// The version that it becomes.
    pub upgraded_version: String,
    /// Tables that the main transform changes.
    pub tables: Vec<String>,
    /// Differences that a patch cannot carry to an installed product, one line each.
    pub kept: Vec<String>,
    /// Values in tables that were not what the files are and were corrected, one line each.
    pub refreshed: Vec<String>,
}

/// A row of `MsiPatchSequence`.
#[derive(Clone, Debug, Serialize)]
pub struct MspSequence {
    /// The family of patches that are compared with each other.
    pub family: String,
    /// The product that the row is about; all of them without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_code: Option<String>,
    /// Where the patch stands in the family.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<String>,
    /// Whether the patch takes the place of all before it.
    pub supersedes: bool,
}

impl From<&Sequence> for MspSequence {
    fn from(row: &Sequence) -> Self {
        Self {
            family: row.family.clone(),
            product_code: row.product_code.clone(),
            sequence: row.sequence.clone(),
            supersedes: row.attributes.is_some_and(|attributes| attributes & 1 == 1),
        }
    }
}
