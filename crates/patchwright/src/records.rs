//! Where undo records are kept: one folder for each file that was patched, one for the folder itself, numbered.

use std::io;
use std::path::{Path, PathBuf};

use patchwright_formats::PatchId;
use patchwright_formats::path::STATE_DIR;

use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::patch_file::Patch;
use crate::report::Recovered;
use crate::transaction::{Transaction, is_unfinished};

/// What the records are about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shelf<'a> {
    /// A single file in the folder.
    File(&'a Path),
    /// The folder as a tree.
    Tree,
}

impl Shelf<'_> {
    fn path(self) -> PathBuf {
        match self {
            Self::File(name) => Path::new(STATE_DIR).join("files").join(name),
            Self::Tree => Path::new(STATE_DIR).join("tree"),
        }
    }

    /// Makes the folder for the records and returns the path of the next one.
    pub(crate) fn next_record(self, disk: &dyn Disk) -> io::Result<PathBuf> {
        let shelf = self.path();
        for folder in [shelf.parent().unwrap_or(&shelf), &shelf] {
            match disk.make_folder(folder, 0o700) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            // One that was there already may be what a call left that died before it came to this.
            disk.sync_folder(folder.parent().unwrap_or(Path::new("")))?;
        }
        let last = numbers(disk, &shelf)?.last().copied().unwrap_or(0);
        Ok(record_path(&shelf, last + 1))
    }

    /// The paths of the records, the latest first.
    pub(crate) fn records(self, disk: &dyn Disk) -> io::Result<Vec<PathBuf>> {
        let shelf = self.path();
        if disk.stat(&shelf)?.is_none() {
            return Ok(Vec::new());
        }
        Ok(numbers(disk, &shelf)?.into_iter().rev().map(|number| record_path(&shelf, number)).collect())
    }

    /// Opens all records, the latest first.
    pub(crate) fn open_all(self, disk: &dyn Disk) -> Result<Vec<(PathBuf, Patch)>> {
        let paths = self.records(disk).map_err(|error| Error::io("list the undo records", self.path(), &error))?;
        paths
            .into_iter()
            .map(|path| {
                let file = disk.open(&path).map_err(|error| Error::io("open the undo record", &path, &error))?;
                let record = Patch::read(file, &path)?;
                Ok((path, record))
            })
            .collect()
    }

    /// Removes the folders for the records as far as they are empty and no unfinished change needs them.
    pub(crate) fn prune(self, disk: &dyn Disk) {
        if !matches!(is_unfinished(disk), Ok(false)) {
            return;
        }
        let shelf = self.path();
        for folder in [&shelf, shelf.parent().unwrap_or(&shelf)] {
            if folder != Path::new(STATE_DIR) {
                // A folder that is not empty stays.
                let _ = disk.remove_folder(folder);
            }
        }
    }
}

/// Runs `work` as a change to the folder, and tidies up after it; also says what became of an earlier call's work.
pub(crate) fn in_transaction<T>(
    disk: &dyn Disk,
    shelf: Shelf<'_>,
    work: impl FnOnce(&Transaction<'_>) -> Result<T>,
) -> Result<(T, Option<Recovered>)> {
    let (transaction, recovered) = Transaction::begin(disk)?;
    let result = work(&transaction);
    shelf.prune(disk);
    transaction.finish();
    result.map(|done| (done, recovered))
}

/// The patch that a record takes back.
pub(crate) fn reverts(record: &Patch) -> Option<PatchId> {
    record.undo.as_ref().map(|undo| undo.reverts)
}

fn record_path(shelf: &Path, number: u64) -> PathBuf {
    shelf.join(format!("{number:06}.pwp"))
}

fn numbers(disk: &dyn Disk, shelf: &Path) -> io::Result<Vec<u64>> {
    let names = disk.list(shelf)?;
    let number = |name: &std::ffi::OsString| name.to_str()?.strip_suffix(".pwp")?.parse().ok();
    let mut numbers: Vec<u64> = names.iter().filter_map(number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}
