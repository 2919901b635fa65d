//! qbsdiff as a process of its own, so that it is measured like the others: the suffix-array bsdiff in Rust.

use std::fs;
use std::path::Path;

use qbsdiff::{Bsdiff, Bspatch};

use crate::Result;

pub(crate) fn diff(old: &Path, new: &Path, patch: &Path) -> Result {
    let (old, new) = (read(old)?, read(new)?);
    let mut bytes = Vec::new();
    Bsdiff::new(&old, &new).compression_level(9).compare(&mut bytes).map_err(|error| error.to_string())?;
    write(patch, &bytes)
}

pub(crate) fn patch(old: &Path, patch: &Path, out: &Path) -> Result {
    let (old, patch) = (read(old)?, read(patch)?);
    let patcher = Bspatch::new(&patch).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    patcher.apply(&old, &mut bytes).map_err(|error| error.to_string())?;
    write(out, &bytes)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Result {
    fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}
