//! A patch for one file, whatever its format: what `apply` and `revert` need to know of it.

use std::io::Write;
use std::path::Path;

use patchwright_delta::CoverLog;
use patchwright_formats::manifest::{FilePatch, Hash, NewFile};
use patchwright_formats::{PatchId, ReadAt, RetainRange};

use crate::error::{Error, Result};
use crate::make::make_new;
use crate::patch_file::Patch;
use crate::progress::Progress;
use crate::recognise::{Version, recognise};

/// A patch that leads from any of several old files to a new one.
pub(crate) trait FileDelta {
    /// The identity of the patch.
    fn id(&self) -> PatchId;
    /// Where the patch is.
    fn path(&self) -> &Path;
    /// Length of the new file.
    fn new_len(&self) -> u64;
    /// The time of change that the new file shall have, if the patch says: seconds since 1970.
    fn file_time(&self) -> Option<i64>;
    /// Which version `file` is; `name` is its name in messages.
    fn recognise(&self, file: &dyn ReadAt, name: &Path, progress: &dyn Progress) -> Result<Version>;
    /// Writes what becomes of `user_old`, which is the old version `index`, retained bytes in place.
    fn make(&self, user_old: &dyn ReadAt, index: usize, out: &mut dyn Write, progress: &dyn Progress) -> Result<Made>;
}

/// What came of making a file.
pub(crate) struct Made {
    /// The new file as an undo record recognises it.
    pub(crate) new: NewFile,
    /// What was retained.
    pub(crate) retain: Vec<RetainRange>,
    /// BLAKE3 of every byte written.
    pub(crate) raw_hash: Hash,
    /// The stretches of the old file that were used; `None` where the format does not tell.
    pub(crate) covers: Option<CoverLog>,
}

/// A patch of our own for one file.
pub(crate) struct PwpFile<'a> {
    pub(crate) patch: &'a Patch,
    pub(crate) manifest: &'a FilePatch,
}

impl FileDelta for PwpFile<'_> {
    fn id(&self) -> PatchId {
        self.patch.id()
    }

    fn path(&self) -> &Path {
        self.patch.path()
    }

    fn new_len(&self) -> u64 {
        self.manifest.new.size
    }

    fn file_time(&self) -> Option<i64> {
        None
    }

    fn recognise(&self, file: &dyn ReadAt, name: &Path, progress: &dyn Progress) -> Result<Version> {
        recognise(file, name, self.manifest, progress)
    }

    fn make(&self, user_old: &dyn ReadAt, index: usize, out: &mut dyn Write, progress: &dyn Progress) -> Result<Made> {
        let old = self.manifest.olds.get(index).ok_or_else(|| Error::bug("a version that the patch does not have"))?;
        let steps = self.patch.steps(old.body)?;
        let new = &self.manifest.new;
        let made = make_new(user_old, &old.file.regions, &steps, new, out, progress)
            .map_err(|error| error.at(self.patch.path()))?;
        Ok(Made {
            new: new.clone(),
            retain: old.file.regions.retain.clone(),
            raw_hash: made.raw_hash,
            covers: Some(made.covers),
        })
    }
}
