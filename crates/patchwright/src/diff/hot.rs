//! The hot part of a patch: what processes of one old version get.

use std::fs;
use std::path::Path;

use patchwright_image::hot::{self, HotBuild, HotError, HotObjection};

use crate::error::{Error, ErrorKind, Result};

/// Compares two builds.
pub(super) fn build(old: &Path, new: &Path) -> Result<HotBuild> {
    let read = |path: &Path| fs::read(path).map_err(|error| Error::io("read", path, &error));
    hot::build(&read(old)?, &read(new)?).map_err(|error| match error {
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
