//! `patchwright msp`: patches of Windows Installer.
//!
//! | file | story |
//! |---|---|
//! | `inspect` | what is in any patch, and what it does to a product |
//! | `inspect_report` | how that is told |

mod inspect;
mod inspect_report;

pub use inspect::inspect;
pub use inspect_report::{
    InspectedCabinet, InspectedFamily, InspectedFile, InspectedHeader, InspectedLint, InspectedMember,
    InspectedMetadata, InspectedMismatch, InspectedProduct, InspectedSequence, InspectedStream, InspectedTable,
    InspectedTransform, InspectedVerdict, MspAgainst, MspInspectReport, MspOld,
};
