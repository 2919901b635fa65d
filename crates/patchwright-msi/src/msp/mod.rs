//! Patch packages (`.msp`): cabinets, pairs of transforms, sequencing, metadata. `docs/formats/msp.md` describes them.
//!
//! | module | story |
//! |---|---|
//! | [`summary`] | what the summary information of a patch says: which products, which transforms, in place of which patches |
//! | `tables` | `MsiPatchSequence` and `MsiPatchMetadata` |
//! | `write` | the parts of a patch to a compound file, cabinets straight through |
//! | [`overview`] | all of a patch at a glance, and what is odd about it |
//! | `read` | any patch: its parts by name, cabinets only when they are asked for |

pub mod overview;
mod read;
pub mod summary;
mod tables;
mod write;

pub use read::{Msp, Part};
pub use summary::PatchSummary;
pub use tables::{Metadata, Sequence, metadata_table, sequence_table};
pub use write::{Cabinet, Contents, write};

/// What the name of a cabinet's stream begins with; the family follows.
pub const CABINET_PREFIX: &str = "PCW_CAB_";
