//! `patchwright status`: what has been applied here and can be taken back.

use std::path::Path;

use patchwright_formats::Manifest;

use crate::Quiet;
use crate::apply::Place;
use crate::apply::file::recognise_at;
use crate::error::{Error, ErrorKind, Result};
use crate::records::{Shelf, reverts};
use crate::report::{AppliedPatch, StatusReport, hex};
use crate::transaction::is_unfinished;

/// Lists the patches that can be taken back from the file or folder at `target`, the latest first. Changes nothing.
pub fn status(target: &Path) -> Result<StatusReport> {
    let place = Place::of_file(target)?;
    let list = || -> Result<StatusReport> {
        let mut applied = Vec::new();
        for (path, record) in Shelf::File(&place.name).open_all(&place.disk)? {
            let Some(id) = reverts(&record) else { continue };
            let Manifest::File(way_back) = &record.manifest else { continue };
            let revertible = match recognise_at(&place.disk, &place.name, way_back, &Quiet) {
                Ok(_) => true,
                Err(error) if error.kind == ErrorKind::WrongInput => false,
                Err(error) => return Err(error),
            };
            applied.push(AppliedPatch {
                id: hex(&id.0),
                record: place.root.join(path),
                record_bytes: record.len_bytes(),
                revertible,
            });
        }
        Ok(StatusReport {
            schema: "patchwright.status/1",
            target: target.to_owned(),
            applied,
            unfinished: is_unfinished(&place.disk)?,
        })
    };
    list().map_err(|error: Error| error.under(&place.root))
}
