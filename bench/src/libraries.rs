//! Rivals that are libraries, as processes of their own, so that they are measured like the others: `qbsdiff`, the
//! suffix-array bsdiff in Rust, and version 1 of `bidiff`, whose patches are compressed by who uses it.

use std::fs::{self, File};
use std::io::{self, BufWriter, Cursor, Write};
use std::path::Path;

use qbsdiff::{Bsdiff, Bspatch};

use crate::Result;

pub(crate) fn qbsdiff_diff(old: &Path, new: &Path, patch: &Path) -> Result {
    let (old, new) = (read(old)?, read(new)?);
    let mut bytes = Vec::new();
    Bsdiff::new(&old, &new).compression_level(9).compare(&mut bytes).map_err(text)?;
    write(patch, &bytes)
}

pub(crate) fn qbsdiff_patch(old: &Path, patch: &Path, out: &Path) -> Result {
    let (old, patch) = (read(old)?, read(patch)?);
    let patcher = Bspatch::new(&patch).map_err(text)?;
    let mut bytes = Vec::new();
    patcher.apply(&old, &mut bytes).map_err(text)?;
    write(out, &bytes)
}

/// Both cores sort, each a half of the old file.
pub(crate) fn bidiff_diff(old: &Path, new: &Path, patch: &Path) -> Result {
    let (old, new) = (read(old)?, read(new)?);
    let params = bidiff::DiffParams::new(2, None).map_err(text)?;
    let mut out = BufWriter::new(File::create(patch).map_err(text)?);
    bidiff::simple_diff_with_params(&old, &new, &mut out, &params).map_err(text)?;
    out.flush().map_err(text)
}

pub(crate) fn bidiff_patch(old: &Path, patch: &Path, out: &Path) -> Result {
    let (old, patch) = (read(old)?, read(patch)?);
    let mut reader = bipatch::Reader::new(Cursor::new(patch), Cursor::new(old)).map_err(text)?;
    let mut out = BufWriter::new(File::create(out).map_err(text)?);
    io::copy(&mut reader, &mut out).map_err(text)?;
    out.flush().map_err(text)
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Result {
    fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}
