//! Output folders that change as one: the new one is made beside the old one and takes its place when it is whole.
//!
//! Linux exchanges two names in one step. On a file system that cannot, the old folder is moved away first: whatever dies
//! then leaves both, whole, side by side.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use tempfile::{Builder, TempDir};

use crate::atomic::absolute;
use crate::error::{Error, ErrorKind, Result};

/// What becomes of an entry of the old folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// It is one of those that are written anew.
    Ours,
    /// It is somebody else's: it stays.
    Other,
}

/// Lets `write` fill a new folder, which then takes the place of `folder`; other people's files stay in it.
///
/// # Errors
/// Those of `write`, and of the disk; then `folder` is as it was. A folder in it that is somebody else's is refused.
pub(crate) fn write_folder(
    folder: &Path,
    entry: impl Fn(&str, bool) -> Entry,
    write: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let shown = absolute(folder);
    let failed = |error: io::Error| Error::io("write", &shown, &error);
    // A link to a folder stays a link.
    let real = match folder.canonicalize() {
        Ok(real) => real,
        Err(error) if error.kind() == io::ErrorKind::NotFound => shown.clone(),
        Err(error) => return Err(failed(error)),
    };
    // A shell that stands in the folder would stand in one that is gone.
    if std::env::current_dir().is_ok_and(|current| current.starts_with(&real)) {
        let error = Error::new(ErrorKind::Usage, "the folder is the current one, or one above it");
        return Err(error.at(&shown).hint("write into a folder of its own"));
    }
    let parent =
        real.parent().ok_or_else(|| Error::new(ErrorKind::Usage, "the root is no folder to write").at(&shown))?;
    fs::create_dir_all(parent).map_err(failed)?;
    let draft = Builder::new().prefix(".patchwright-").tempdir_in(parent).map_err(failed)?;
    write(draft.path())?;
    let exists = real.exists();
    if exists {
        keep_others(&real, draft.path(), entry, &shown)?;
    }
    let permissions = match exists {
        true => fs::metadata(&real).map_err(failed)?.permissions(),
        false => new_folder_permissions(draft.path()).map_err(failed)?,
    };
    fs::set_permissions(draft.path(), permissions).map_err(failed)?;
    sync(draft.path()).map_err(failed)?;
    if exists {
        exchange(&draft, &real, parent).map_err(failed)?;
    } else {
        fs::rename(draft.path(), &real).map_err(failed)?;
        let _ = draft.keep(); // There is nothing left there to remove.
    }
    sync(parent).map_err(failed)
}

/// Brings what is somebody else's into the new folder, under the same inode where that can be.
fn keep_others(old: &Path, new: &Path, entry: impl Fn(&str, bool) -> Entry, shown: &Path) -> Result<()> {
    let failed = |error: io::Error| Error::io("read the folder", shown, &error);
    let mut folders = Vec::new();
    for found in fs::read_dir(old).map_err(failed)? {
        let found = found.map_err(failed)?;
        let (name, is_folder) = (found.file_name(), found.file_type().map_err(failed)?.is_dir());
        if entry(&name.to_string_lossy(), is_folder) == Entry::Ours {
            continue;
        }
        if is_folder {
            folders.push(name.to_string_lossy().into_owned());
            continue;
        }
        let (from, to) = (old.join(&name), new.join(&name));
        fs::hard_link(&from, &to).or_else(|_| fs::copy(&from, &to).map(drop)).map_err(failed)?;
    }
    if folders.is_empty() {
        return Ok(());
    }
    folders.sort();
    let error = Error::new(ErrorKind::Usage, "the folder has folders that are not ours");
    Err(error.at(shown).details(folders).hint("write into a folder of its own"))
}

/// What a folder gets that is made in the usual way.
fn new_folder_permissions(draft: &Path) -> io::Result<fs::Permissions> {
    let probe = draft.join(".probe");
    fs::create_dir(&probe)?;
    let permissions = fs::metadata(&probe)?.permissions();
    fs::remove_dir(&probe)?;
    Ok(permissions)
}

fn exchange(draft: &TempDir, real: &Path, parent: &Path) -> io::Result<()> {
    // The old one has the name of the draft then, and goes with it.
    let exchanged = renameat_with(CWD, draft.path(), CWD, real, RenameFlags::EXCHANGE).map_err(io::Error::from);
    match exchanged.as_ref().map_err(io::Error::kind) {
        Err(io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            let away = Builder::new().prefix(".patchwright-old-").tempdir_in(parent)?;
            let old = away.path().join("old");
            fs::rename(real, &old)?;
            fs::rename(draft.path(), real).or_else(|error| fs::rename(&old, real).and(Err(error)))
        }
        _ => exchanged,
    }
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
