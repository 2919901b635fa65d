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

use std::io::{Read, Seek};

use super::{Metadata, Msp, PatchSummary, Sequence};
use crate::database::Database;
use crate::objection::Objections;
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
    /// What it changes, table by table.
    pub tables: Vec<TableSummary>,
    /// Why it cannot be read, if it cannot.
    pub fault: Option<String>,
}

/// A transform as it was read, for the modules here.
struct Loaded {
    name: String,
    listed: bool,
    transform: Result<Transform, String>,
    info: Result<TransformInfo, Objections>,
}

impl Loaded {
    fn is_second(&self) -> bool {
        self.name.starts_with('#')
    }
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
    let loaded = load(msp, &summary);
    let transforms: Vec<TransformSummary> = loaded.iter().map(summarised).collect();
    let cabinets = files::cabinets(msp);
    let (families, shipped) = files::shipped(&loaded, &cabinets);
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
    overview.lints.extend(lint::lints(&overview, &loaded));
    overview
}

/// Reads all transforms: those that are listed in their order, then the others.
fn load<F: Read + Seek>(msp: &mut Msp<F>, summary: &PatchSummary) -> Vec<Loaded> {
    let there = msp.transforms().to_vec();
    let others = there.iter().filter(|name| !summary.transforms.contains(name)).map(|name| (name.clone(), false));
    let names: Vec<(String, bool)> = summary.transforms.iter().map(|name| (name.clone(), true)).chain(others).collect();
    let read = names.into_iter().map(|(name, listed)| {
        let transform = msp.transform(&name, Known::Standard).map_err(|error| error.to_string());
        let info = match &transform {
            Ok(transform) => TransformInfo::read(&transform.summary),
            Err(_) => Err(Objections(Vec::new())),
        };
        Loaded { name, listed, transform, info }
    });
    read.collect()
}

fn summarised(loaded: &Loaded) -> TransformSummary {
    let transform = loaded.transform.as_ref();
    TransformSummary {
        name: loaded.name.clone(),
        second: loaded.is_second(),
        listed: loaded.listed,
        code_page: transform.map_or(0, |transform| transform.code_page),
        info: loaded.info.as_ref().ok().cloned(),
        tables: transform.map_or_else(|_| Vec::new(), changes::tables),
        fault: transform.err().cloned(),
    }
}
