//! `patchwright msp`: patches of Windows Installer, built and looked at.
//!
//! | file | story |
//! |---|---|
//! | `build` | the way from one to the other, phase by phase |
//! | `assemble` | transforms, the patch put together, the proof at its end |
//! | `contents` | files of images, read and told from each other |
//! | `parts` | deltas in parallel, cabinets |
//! | `cache` | deltas that were made before |
//! | `folder` | where the parts lie meanwhile; only what we made is removed |
//! | `failure` | an error for people and the code of PATCHWIZ |
//! | `report`, `told`, `log` | what is told at the end, and as it goes on |
//! | `inspect` | what is in any patch, and what it does to a product |
//! | `inspect_report` | how that is told |
//! | `patchwiz` | the same under the name, parameters and results of PATCHWIZ.DLL |

mod assemble;
mod build;
mod cache;
mod contents;
mod failure;
mod folder;
mod inspect;
mod inspect_report;
mod log;
mod parts;
mod patchwiz;
mod report;
mod told;

use std::path::{Path, PathBuf};

pub use inspect::inspect;
pub use inspect_report::{
    InspectedCabinet, InspectedFamily, InspectedFile, InspectedHeader, InspectedLint, InspectedMember,
    InspectedMetadata, InspectedMismatch, InspectedProduct, InspectedStream, InspectedTable, InspectedTransform,
    InspectedVerdict, MspAgainst, MspInspectReport, MspOld,
};
pub use log::{BuildLog, LogLevel, NoLog};
pub use patchwiz::{
    LOGALL, LOGERR, LOGINFO, LOGNONE, LOGPERFMESSAGES, LOGWARN, PatchPackage, PatchPackageError, UIALL, UINONE,
    create_patch_package_ex,
};
pub use patchwright_msi::build::ranges::{RetainDefault, RetainMismatch};
pub use report::{MspBuildReport, MspFamily, MspFile, MspPair, MspSequence};

use crate::error::{Error, ErrorKind, Result};
use crate::progress::Progress;
use crate::windows_path::PathMapping;

/// How a patch is built, beyond what its `.pcp` says.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// The patch to write; without it, `PatchOutputPath`.
    pub output: Option<PathBuf>,
    /// Where the Windows paths of the `.pcp` lead here.
    pub mappings: Vec<PathMapping>,
    /// What PATCHWIZ refuses is refused.
    pub strict: bool,
    /// What becomes of retained ranges that an old file does not have in the number of its family.
    pub retain_mismatch: RetainMismatch,
    /// Where an old file that does not say has its retained ranges.
    pub retain_default: RetainDefault,
    /// Threads; all cores without it. The patch does not depend on it.
    pub threads: Option<usize>,
    /// The time that the patch has, in seconds since 1970 (`SOURCE_DATE_EPOCH`). Without it, the time at which the newest
    /// upgraded installer was saved, by its own account.
    pub time: Option<u64>,
    /// The time of the day, for installers that do not say when they were saved.
    pub now: u64,
    /// Where parts lie meanwhile; a folder of the system's without it.
    pub temp_folder: Option<PathBuf>,
    /// A folder for parts that exists already is an error.
    pub temp_folder_must_be_new: bool,
    /// Place of the action `PatchFiles`.
    pub patch_files_sequence: Option<i16>,
    /// What does not stop a transform: the lower word of its flags.
    pub error_conditions: u16,
}

impl Default for BuildOptions {
    fn default() -> Self {
        Self {
            output: None,
            mappings: Vec::new(),
            strict: false,
            retain_mismatch: RetainMismatch::default(),
            retain_default: RetainDefault::default(),
            threads: None,
            time: None,
            now: 0,
            temp_folder: None,
            temp_folder_must_be_new: false,
            patch_files_sequence: None,
            // As PATCHWIZ has it. Wine takes these for validation flags, and applies transforms with few others.
            error_conditions: 0x0017,
        }
    }
}

/// Builds the patch that a `.pcp` describes.
///
/// The same files and options give the same patch, byte for byte, on every machine and for every number of threads. It
/// appears whole or not at all. Before it does, it is opened again and followed: both transforms of every pair from the
/// target's tables, every delta from every old file, with other bytes in ignored and retained ranges too.
///
/// # Errors
/// All that stands against the patch, at once, each with the code of PATCHWIZ ([`ErrorKind::Malformed`]); nothing differs
/// between the images ([`ErrorKind::No`]); reading or writing failed ([`ErrorKind::Io`]).
pub fn build(pcp: &Path, options: &BuildOptions, progress: &dyn Progress) -> Result<MspBuildReport> {
    in_threads(options.threads, || build::build(pcp, options, progress, &NoLog).map_err(|failure| *failure.error))
}

fn in_threads<T: Send>(threads: Option<usize>, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    match threads {
        None => work(),
        Some(threads) => rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .map_err(|error| Error::new(ErrorKind::Io, format!("cannot start {threads} threads: {error}")))?
            .install(work),
    }
}
