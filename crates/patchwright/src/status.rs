//! `patchwright status`: what has been applied here and can be taken back.

use std::path::Path;

use patchwright_formats::Manifest;

use crate::Quiet;
use crate::apply::file::recognise_at;
use crate::apply::{FolderPlace, Place};
use crate::disk::Disk;
use crate::error::{Error, ErrorKind, Result};
use crate::file_delta::PwpFile;
use crate::patch_file::Patch;
use crate::processes;
use crate::recognise::Version;
use crate::recognise_tree::recognise_tree;
use crate::records::{Shelf, reverts};
use crate::report::{AppliedPatch, StatusReport, hex};
use crate::transaction::is_unfinished;

/// Lists the patches that can be taken back from the file or folder at `target`, the latest first, and those of the
/// processes `pids`. Changes nothing, and stops nobody.
pub fn status(target: Option<&Path>, pids: &[i32]) -> Result<StatusReport> {
    let processes = pids.iter().map(|pid| processes::status(*pid)).collect::<Result<_>>()?;
    let report = match target {
        Some(target) => status_of_target(target)?,
        None => StatusReport {
            schema: "patchwright.status/1",
            target: None,
            applied: Vec::new(),
            unfinished: false,
            processes: Vec::new(),
        },
    };
    Ok(StatusReport { processes, ..report })
}

fn status_of_target(target: &Path) -> Result<StatusReport> {
    let is_folder = target.metadata().map_err(|error| Error::io("find the target", target, &error))?.is_dir();
    let (root, disk, name) = if is_folder {
        let place = FolderPlace::of(target)?;
        (place.root, place.disk, None)
    } else {
        let place = Place::of_file(target)?;
        (place.root, place.disk, Some(place.name))
    };
    let shelf = name.as_deref().map_or(Shelf::Tree, Shelf::File);
    let list = || -> Result<StatusReport> {
        let mut applied = Vec::new();
        for (path, record) in shelf.open_all(&disk)? {
            let Some(id) = reverts(&record) else { continue };
            applied.push(AppliedPatch {
                id: hex(&id.0),
                record: root.join(path),
                record_bytes: record.len_bytes(),
                revertible: starts_here(&disk, name.as_deref(), &record)?,
            });
        }
        let unfinished = is_unfinished(&disk)?;
        let target = Some(target.to_owned());
        Ok(StatusReport { schema: "patchwright.status/1", target, applied, unfinished, processes: Vec::new() })
    };
    list().map_err(|error| error.under(&root, name.as_deref().unwrap_or(Path::new("")), target))
}

/// Whether the target is what the record starts from.
fn starts_here(disk: &dyn Disk, name: Option<&Path>, record: &Patch) -> Result<bool> {
    let found = match (&record.manifest, name) {
        (Manifest::File(way_back), Some(name)) => {
            recognise_at(disk, name, &PwpFile { patch: record, manifest: way_back }, &Quiet)
                .map(|found| found.version != Version::New)
        }
        (Manifest::Tree(way_back), None) => recognise_tree(disk, way_back, &Quiet).map(|found| found.old.is_some()),
        _ => Ok(false),
    };
    match found {
        Err(error) if error.kind == ErrorKind::WrongInput => Ok(false),
        other => other,
    }
}
