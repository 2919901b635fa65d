//! The hot part of a patch: what processes of one old version get.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use patchwright_image::hot::{self, HotBuild, HotError, HotObjection, Linked, ObjectFile};

use crate::error::{Error, ErrorKind, Result};
use crate::options::DiffOptions;

/// Compares two builds.
pub(super) fn build(old: &Path, new: &Path, options: &DiffOptions) -> Result<HotBuild> {
    let read = |path: &Path| fs::read(path).map_err(|error| Error::io("read", path, &error));
    let objects = |folder: &Option<PathBuf>| folder.as_deref().map_or(Ok(Vec::new()), objects);
    let (old_file, new_file) = (read(old)?, read(new)?);
    let (old_objects, new_objects) = (objects(&options.old_objects)?, objects(&options.new_objects)?);
    let linked = |file, objects| Linked { file, objects };
    hot::build_linked(linked(&old_file, &old_objects), linked(&new_file, &new_objects)).map_err(|error| match error {
        HotError::Image { old: is_old, error } => {
            Error::new(ErrorKind::Malformed, error.message).at(if is_old { old } else { new })
        }
        HotError::NothingChanged => {
            Error::new(ErrorKind::No, "no function differs: processes of this version have nothing to get")
                .at(old)
                .hint("make the patch without --hot")
        }
        HotError::Refused(objections) => Error::new(ErrorKind::Malformed, "processes cannot be given this change")
            .at(old)
            .details(objections.iter().map(line))
            .hint("docs/guide/patch-a-process.md says what to do at each; without --hot the file alone is patched"),
    })
}

fn line(objection: &HotObjection) -> String {
    format!("{} ({}): {}", objection.subject, objection.case.name(), objection.reason)
}

/// The objects and archives of a folder and the folders in it, by path; other files are passed over.
fn objects(folder: &Path) -> Result<Vec<ObjectFile>> {
    let mut objects = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| Error::io("read", &folder, &error))? {
            let entry = entry.map_err(|error| Error::io("read", &folder, &error))?;
            let (path, kind) = (entry.path(), entry.file_type().map_err(|error| Error::io("read", &folder, &error))?);
            // Links may lead anywhere, also back.
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file()
                && let Some(data) = object(&path).map_err(|error| Error::io("read", &path, &error))?
            {
                objects.push(ObjectFile { name: path.display().to_string(), data });
            }
        }
    }
    if objects.is_empty() {
        return Err(Error::new(ErrorKind::Malformed, "there are neither objects nor archives in it").at(folder));
    }
    objects.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(objects)
}

/// The bytes of a file if it begins as objects and archives do.
fn object(path: &Path) -> std::io::Result<Option<Vec<u8>>> {
    let mut file = File::open(path)?;
    let mut data = Vec::new();
    (&mut file).take(8).read_to_end(&mut data)?;
    if !data.starts_with(b"\x7fELF") && !data.starts_with(b"!<arch>\n") {
        return Ok(None);
    }
    file.read_to_end(&mut data)?;
    Ok(Some(data))
}
