//! `patchwright diff`: one patch from any of several old versions to a new one.

mod account;
mod body;
mod chain;
mod file;
mod hot;
mod tree;

use std::fs;
use std::io::{self, BufWriter, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use patchwright_formats::manifest::MAX_OLDS;
use patchwright_formats::{ContainerWriter, Kind, Manifest, PatchId};

use crate::atomic::write_atomically;
use crate::error::{Error, ErrorKind, Result};
use crate::options::{DiffOptions, PatchFormat};
use crate::progress::Progress;
use crate::report::DiffReport;

use body::Body;

/// Writes a patch to `patch` that leads from any of `olds` to `new`: files, or folders with all that is in them.
///
/// The ranges in `options` must fit together; everything that does not is listed at once ([`ErrorKind::Usage`]).
/// When every old version is the new one already there is nothing to patch ([`ErrorKind::No`]). The same files and
/// options give the same patch, byte for byte, on every machine and for every number of threads.
pub fn diff(
    olds: &[PathBuf],
    new: &Path,
    patch: &Path,
    options: &DiffOptions,
    progress: &dyn Progress,
) -> Result<DiffReport> {
    check_count(olds)?;
    check_output(olds, new, patch)?;
    if options.hot && options.format != PatchFormat::Pwp {
        return Err(Error::new(ErrorKind::Usage, "only a patch of our own format can hold a hot part"));
    }
    let work = || match are_folders(olds, new)? {
        false => match &options.format {
            PatchFormat::Pwp => file::diff(olds, new, patch, options, progress),
            PatchFormat::Pa19(pa19) => file::diff_pa19(olds, new, patch, options, pa19),
        },
        true if options.hot => {
            Err(Error::new(ErrorKind::Usage, "hot parts are for single files, and folders are compared"))
        }
        true => tree::diff(olds, new, patch, options, progress),
    };
    match options.threads {
        None => work(),
        Some(threads) => rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .map_err(|error| Error::new(ErrorKind::Io, format!("cannot start {threads} threads: {error}")))?
            .install(work),
    }
}

fn check_count(olds: &[PathBuf]) -> Result<()> {
    match olds.len() {
        0 => Err(Error::new(ErrorKind::Usage, "no old version is named")),
        count if count > MAX_OLDS => {
            Err(Error::new(ErrorKind::Usage, format!("{count} old versions, at most {MAX_OLDS} fit in one patch")))
        }
        _ => Ok(()),
    }
}

fn check_output(olds: &[PathBuf], new: &Path, patch: &Path) -> Result<()> {
    let Ok(real) = patch.canonicalize() else { return Ok(()) };
    let is_input = |input: &Path| input.canonicalize().is_ok_and(|input| input == real);
    if olds.iter().any(|old| is_input(old)) || is_input(new) {
        return Err(Error::new(ErrorKind::Usage, "the output is one of the inputs, and an input is never overwritten")
            .at(patch));
    }
    if real.is_dir() {
        return Err(Error::new(ErrorKind::Usage, "the output is a folder").at(patch));
    }
    Ok(())
}

/// Whether folders are compared; files and folders do not mix.
fn are_folders(olds: &[PathBuf], new: &Path) -> Result<bool> {
    let is_folder = |path: &Path| {
        fs::metadata(path).map(|metadata| metadata.is_dir()).map_err(|error| Error::io("open", path, &error))
    };
    let wanted = is_folder(new)?;
    for old in olds {
        if is_folder(old)? != wanted {
            let (what, other) = if wanted { ("a file", "a folder") } else { ("a folder", "a file") };
            return Err(Error::new(ErrorKind::Usage, format!("this is {what} and the new version is {other}")).at(old));
        }
    }
    Ok(wanted)
}

/// Passes the old versions on that a patch needs, unless some could be taken for others or none is left.
fn check_versions<V>(kept: Vec<V>, objections: Vec<String>, warnings: &mut Vec<String>) -> Result<Vec<V>> {
    if !objections.is_empty() {
        return Err(Error::new(ErrorKind::Usage, "versions could be taken for one another")
            .details(objections)
            .hint("outside the ignored and retained ranges, versions must differ: make the ranges smaller"));
    }
    if kept.is_empty() {
        return Err(Error::new(ErrorKind::No, "there is nothing to patch: every old version is the new one already")
            .details(warnings.drain(..)));
    }
    Ok(kept)
}

/// The container that a patch is written to.
pub(crate) type PatchWriter<'a, 'f> = ContainerWriter<&'a mut BufWriter<&'f fs::File>>;

/// Writes a container to `path`, which appears only when it is whole; returns its identity and length.
fn write_patch(path: &Path, fill: impl FnOnce(&mut PatchWriter<'_, '_>) -> Result<()>) -> Result<(PatchId, u64)> {
    let failed = |error: io::Error| Error::io("write the patch", path, &error);
    let mut made = None;
    write_atomically(path, None, |out| {
        let mut container = ContainerWriter::new(out).map_err(failed)?;
        fill(&mut container)?;
        let (out, id) = container.finish().map_err(failed)?;
        made = Some((id, out.seek(SeekFrom::End(0)).map_err(failed)?));
        Ok(())
    })?;
    made.ok_or_else(|| Error::bug("a patch was written that was not made"))
}

/// Where large deltas stand until they are written: beside the patch.
fn scratch_folder(patch: &Path) -> &Path {
    patch.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Appends a delta and returns its index.
fn add_body(container: &mut PatchWriter<'_, '_>, body: &Body, patch: &Path) -> Result<usize> {
    container
        .add(Kind::COLD, |out| body.copy_to(out))
        .map(|(index, ())| index)
        .map_err(|error| Error::io("write the patch", patch, &error))
}

/// Appends the manifest to a container of `bodies` deltas, if it reads back as what it is.
fn add_manifest(container: &mut PatchWriter<'_, '_>, manifest: &Manifest, bodies: usize, patch: &Path) -> Result<()> {
    let failed = |error: io::Error| Error::io("write the patch", patch, &error);
    let blob = manifest.encode().map_err(failed)?;
    let mut blobs = vec![Kind::COLD; bodies];
    blobs.push(Kind::MANIFEST);
    match Manifest::decode(&blob, &blobs) {
        Ok(read) if read == *manifest => {}
        Ok(_) => return Err(Error::bug("the manifest just written reads as another")),
        Err(error) => return Err(Error::bug(format!("the manifest just written cannot be read: {error}"))),
    }
    container.add(Kind::MANIFEST, |out| out.write_all(&blob)).map(|_| ()).map_err(failed)
}
