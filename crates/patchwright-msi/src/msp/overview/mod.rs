//! What a patch is made of, put together from all of its parts: pairs of transforms, cabinets, files, and what is odd.
//!
//! | module | story |
//! |---|---|
//! | `changes` | a transform, table by table |
//! | `files` | which file is in which cabinet, whole or as a delta |
//! | `against` | which transforms apply to a product, and why the others do not |
//! | `lint` | what the installer will not like |

mod against;
mod changes;
mod files;
mod lint;

use std::collections::BTreeSet;
use std::io::{Read, Seek};

use files::Shipments;

use super::{Metadata, Msp, PatchSummary, Sequence};
use crate::database::Database;
use crate::error::Result;
use crate::objection::Objection;
use crate::transform::info::TransformInfo;
use crate::transform::{Known, Transform};

pub use against::{Against, Verdict};
pub use changes::TableSummary;
pub use files::{CabinetSummary, Family, Header, Member, ShippedFile, Shipping};
pub use lint::Lint;

/// What a patch is made of.
#[derive(Clone, Debug)]
pub struct Overview {
    /// What the summary information says; what could not be understood of it is among the lints, and is empty here.
    pub summary: PatchSummary,
    /// The rows of `MsiPatchSequence`, if there is such a table.
    pub sequence: Option<Vec<Sequence>>,
    /// The rows of `MsiPatchMetadata`, if there is such a table.
    pub metadata: Option<Vec<Metadata>>,
    /// The transforms in the order in which they are applied, then those that nobody lists.
    pub transforms: Vec<TransformSummary>,
    /// Disks that the patch adds to the product, one for each cabinet.
    pub families: Vec<Family>,
    /// Files that the patch ships.
    pub files: Vec<ShippedFile>,
    /// Cabinets.
    pub cabinets: Vec<CabinetSummary>,
    /// Streams that are no cabinets, and their lengths in bytes.
    pub other_streams: Vec<(String, u64)>,
    /// Streams of a signature, and their lengths in bytes. What they hold was not checked.
    pub signature: Vec<(String, u64)>,
    /// What the patch does to a product, if one was given.
    pub against: Option<Against>,
    /// What the installer will not like.
    pub lints: Vec<Lint>,
}

/// A transform of a patch.
#[derive(Clone, Debug)]
pub struct TransformSummary {
    /// Name of its storage.
    pub name: String,
    /// Whether it keeps book of the patch: its name begins with `#`.
    pub second: bool,
    /// Whether the summary information of the patch lists it; if not, it is never applied.
    pub listed: bool,
    /// Code page of its texts.
    pub code_page: u32,
    /// From which product to which, and what is compared; `None` if its summary information cannot be understood.
    pub info: Option<TransformInfo>,
    /// What of its summary information cannot be understood.
    pub summary_faults: Vec<Objection>,
    /// What it changes, table by table.
    pub tables: Vec<TableSummary>,
    /// Why it cannot be read, if it cannot.
    pub fault: Option<String>,
}

/// Looks at all of a patch; with `base`, also at what it does to that product.
///
/// Faults of a part do not hide the other parts: they are told in its place, or among the lints. Errors of reading are told
/// there as well. No cabinet is unpacked.
pub fn overview<F: Read + Seek>(msp: &mut Msp<F>, base: Option<&Database>) -> Overview {
    let mut lints = Vec::new();
    let summary = msp.summary().unwrap_or_else(|objections| {
        lints.extend(
            objections
                .0
                .into_iter()
                .map(|objection| Lint::of("summary-information", objection.to_string(), objection.hint)),
        );
        // What is not wrong is still worth showing.
        PatchSummary::lenient(&msp.database().summary)
    });
    let mut shipments = Shipments::default();
    let mut transforms = Vec::new();
    for (name, listed) in in_order(msp, &summary) {
        // One at a time: all of them together may be large.
        let read = msp.transform(&name, Known::Standard);
        if let Ok(transform) = &read {
            shipments.add(&name, transform);
        }
        transforms.push(summarised(name, listed, read));
    }
    let cabinets = files::cabinets(msp);
    let (families, shipped) = shipments.finish(&cabinets);
    let sized =
        |parts: &[super::Part]| parts.iter().map(|part| (part.name.clone(), part.len_bytes)).collect::<Vec<_>>();
    let mut overview = Overview {
        sequence: msp.sequence(),
        metadata: msp.metadata(),
        transforms,
        families,
        files: shipped,
        other_streams: sized(msp.parts())
            .into_iter()
            .filter(|(name, _)| !cabinets.iter().any(|cabinet| cabinet.name == *name))
            .collect(),
        cabinets,
        signature: sized(msp.signature()),
        against: base.map(|base| against::against(msp, &summary, base)),
        lints,
        summary,
    };
    overview.lints.extend(lint::lints(&overview));
    overview
}

/// The names of all transforms: those that are listed in their order, then the others.
fn in_order<F: Read + Seek>(msp: &Msp<F>, summary: &PatchSummary) -> Vec<(String, bool)> {
    let listed: BTreeSet<&String> = summary.transforms.iter().collect();
    let others = msp.transforms().iter().filter(|name| !listed.contains(name)).map(|name| (name.clone(), false));
    summary.transforms.iter().map(|name| (name.clone(), true)).chain(others).collect()
}

fn summarised(name: String, listed: bool, read: Result<Transform>) -> TransformSummary {
    let mut made = TransformSummary {
        second: name.starts_with('#'),
        name,
        listed,
        code_page: 0,
        info: None,
        summary_faults: Vec::new(),
        tables: Vec::new(),
        fault: None,
    };
    match read {
        Ok(transform) => {
            made.code_page = transform.code_page;
            made.tables = changes::tables(&transform);
            match TransformInfo::read(&transform.summary) {
                Ok(info) => made.info = Some(info),
                Err(objections) => made.summary_faults = objections.0,
            }
        }
        Err(error) => made.fault = Some(error.to_string()),
    }
    made
}
