//! A patch for a single file.

use std::path::{Path, PathBuf};

use patchwright_formats::manifest::{FilePatch, NewFile, OldFile, OldVersion};
use patchwright_formats::region::{self, drop_empty};
use patchwright_formats::{Blanked, ByteRange, Kind, Manifest, ReadAt, Regions, source};

use crate::disk::FileSource;
use crate::error::{Error, ErrorKind, Result};
use crate::options::DiffOptions;
use crate::progress::Progress;
use crate::range_list::RangeArg;
use crate::regions_file;
use crate::report::{DiffReport, DiffedOld, Subject, hex};

use super::body::{Body, open};
use super::write_patch;

/// An old version with its ranges, before deltas are made.
struct Old {
    path: PathBuf,
    file: FileSource,
    regions: Regions,
    hash: [u8; 32],
}

/// Compares files.
pub(super) fn diff(
    olds: &[PathBuf],
    new: &Path,
    patch: &Path,
    options: &DiffOptions,
    progress: &dyn Progress,
) -> Result<DiffReport> {
    let mut warnings = Vec::new();
    let files = olds.iter().map(|path| open(path)).collect::<Result<Vec<_>>>()?;
    let new_source = open(new)?;
    let regions = gather_regions(olds.len(), options, &mut warnings)?;
    let sizes: Vec<u64> = files.iter().map(ReadAt::len_bytes).collect();
    check_regions(&sizes, &regions, new_source.len_bytes())?;
    let new_view = Blanked::new(&new_source, regions[0].new_blanks());
    let new_file = NewFile {
        size: new_source.len_bytes(),
        hash: read(&new_view, new)?,
        retained: regions[0].retain.iter().map(|range| range.new_side()).collect(),
    };
    let olds = olds
        .iter()
        .zip(files)
        .zip(regions)
        .map(|((path, file), regions)| {
            let hash = read(&Blanked::new(&file, regions.old_blanks()), path)?;
            Ok(Old { path: path.clone(), file, regions, hash })
        })
        .collect::<Result<Vec<_>>>()?;
    let olds = sort_out(olds, &new_source, &new_file, &mut warnings)?;
    let scratch = patch.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut reports = Vec::new();
    let (id, patch_bytes) = write_patch(patch, |container| {
        let mut versions = Vec::new();
        for old in &olds {
            let old_view = Blanked::new(&old.file, old.regions.old_blanks());
            let body = Body::make(&old_view, &new_view, &new_file.hash, scratch, options, progress)?;
            warnings.extend(body.warning().map(|warning| format!("{}: {warning}", old.path.display())));
            let index = add_body(container, &body, patch)?;
            reports.push(DiffedOld {
                path: old.path.clone(),
                bytes: old.file.len_bytes(),
                delta_bytes: body.len_bytes(),
                methods: vec![body.method()],
            });
            let file = OldFile { size: old.file.len_bytes(), hash: old.hash, regions: old.regions.clone() };
            versions.push(OldVersion { file, body: index });
        }
        let manifest = Manifest::File(FilePatch { new: new_file.clone(), olds: versions });
        add_manifest(container, &manifest, patch)
    })?;
    Ok(DiffReport {
        schema: "patchwright.diff/1",
        patch: patch.to_owned(),
        id: hex(&id.0),
        patch_bytes,
        subject: Subject::File,
        new_bytes: new_file.size,
        olds: reports,
        tree: None,
        warnings,
    })
}

pub(super) fn add_body(container: &mut super::PatchWriter<'_, '_>, body: &Body, patch: &Path) -> Result<usize> {
    container
        .add(Kind::COLD, |out| body.copy_to(out))
        .map(|(index, ())| index)
        .map_err(|error| Error::io("write the patch", patch, &error))
}

pub(super) fn add_manifest(
    container: &mut super::PatchWriter<'_, '_>,
    manifest: &Manifest,
    patch: &Path,
) -> Result<()> {
    container
        .add(Kind::MANIFEST, |out| out.write_all(&manifest.encode()?))
        .map(|_| ())
        .map_err(|error| Error::io("write the patch", patch, &error))
}

fn read(view: &dyn ReadAt, path: &Path) -> Result<[u8; 32]> {
    source::hash(view).map_err(|error| Error::io("read", path, &error))
}

/// Sorts the ranges of the options and the regions file to the old files that they belong to.
fn gather_regions(count: usize, options: &DiffOptions, warnings: &mut Vec<String>) -> Result<Vec<Regions>> {
    let mut ignore = options.ignore.clone();
    let mut retain = options.retain.clone();
    if let Some(path) = &options.regions {
        let file = regions_file::read(path)?;
        let about_a_tree = file.ignore.iter().any(|placed| placed.path.is_some())
            || file.retain.iter().any(|placed| placed.path.is_some())
            || !file.exclude.is_empty();
        if about_a_tree {
            return Err(Error::new(
                ErrorKind::Usage,
                "the regions file names paths of a tree, and single files are compared",
            )
            .at(path));
        }
        ignore.extend(file.ignore.into_iter().map(|placed| placed.ranges));
        retain.extend(file.retain.into_iter().map(|placed| placed.ranges));
    }
    check_old_numbers(ignore.iter().map(|arg| arg.old).chain(retain.iter().map(|arg| arg.old)), count)?;
    Ok((1..=count)
        .map(|number| {
            let mut regions = Regions { ignore: belonging(&ignore, number), retain: belonging(&retain, number) };
            let dropped = drop_empty(&mut regions);
            warnings.extend(dropped.iter().map(|range| format!("old file {number}: {range} is empty and left out")));
            regions.sort();
            regions
        })
        .collect())
}

/// Makes sure that every `N:` names one of the `count` old versions.
pub(super) fn check_old_numbers(numbers: impl Iterator<Item = Option<usize>>, count: usize) -> Result<()> {
    let mut wrong: Vec<usize> = numbers.flatten().filter(|number| *number > count).collect();
    wrong.sort_unstable();
    wrong.dedup();
    if wrong.is_empty() {
        return Ok(());
    }
    let lines = wrong.iter().map(|number| format!("a range belongs to old file {number}, there are {count}"));
    Err(Error::new(ErrorKind::Usage, "ranges belong to old files that are not named").details(lines))
}

/// The ranges that belong to the old file with this number.
pub(super) fn belonging<R: Copy>(args: &[RangeArg<R>], number: usize) -> Vec<R> {
    let mine = args.iter().filter(|arg| arg.old.is_none_or(|old| old == number));
    mine.flat_map(|arg| arg.ranges.iter().copied()).collect()
}

fn check_regions(sizes: &[u64], regions: &[Regions], new_len: u64) -> Result<()> {
    let olds: Vec<(u64, &Regions)> = sizes.iter().copied().zip(regions).collect();
    let objections = region::check(&olds, new_len);
    if objections.is_empty() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Usage, "the ignored and retained ranges cannot be used").details(objections))
}

/// Leaves out old files that say nothing new, and refuses those that could be taken for one another.
fn sort_out(olds: Vec<Old>, new: &FileSource, new_file: &NewFile, warnings: &mut Vec<String>) -> Result<Vec<Old>> {
    let mut kept: Vec<Old> = Vec::new();
    let mut objections = Vec::new();
    for (index, old) in olds.into_iter().enumerate() {
        let number = index + 1;
        if is_new_already(&old, new_file) {
            warnings
                .push(format!("old file {number} ({}) is the new version already and left out", old.path.display()));
            continue;
        }
        if let Some(twin) = kept.iter().find(|other| {
            (other.hash, other.file.len_bytes(), &other.regions) == (old.hash, old.file.len_bytes(), &old.regions)
        }) {
            warnings.push(format!(
                "old file {number} ({}) is the same version as {} and left out",
                old.path.display(),
                twin.path.display()
            ));
            continue;
        }
        objections.extend(confusions(&kept, &old, number, new, new_file)?);
        kept.push(old);
    }
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

/// Whether applying a patch to this version would change nothing, whatever its retained bytes.
fn is_new_already(old: &Old, new: &NewFile) -> bool {
    old.regions.ignore.is_empty()
        && old.regions.retain.iter().all(|range| range.old_offset == range.new_offset)
        && old.file.len_bytes() == new.size
        && old.hash == new.hash
}

/// Lists the versions that some user's file could be as well as `old`, with another result.
fn confusions(others: &[Old], old: &Old, number: usize, new: &FileSource, new_file: &NewFile) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let blanks = old.regions.old_blanks();
    for other in others {
        let differ_in_result = other.regions.retain != old.regions.retain;
        if differ_in_result && agree_outside(&old.file, &blanks, &other.file, &other.regions.old_blanks(), &old.path)? {
            found.push(format!("old file {number} ({}) and {}", old.path.display(), other.path.display()));
        }
    }
    let moves = old.regions.retain.iter().any(|range| range.old_offset != range.new_offset);
    if moves && agree_outside(&old.file, &blanks, new, &new_file.retained, &old.path)? {
        found.push(format!(
            "old file {number} ({}) and the new version: applying the patch twice would move the retained bytes twice",
            old.path.display()
        ));
    }
    Ok(found)
}

/// Whether two files are the same outside what either of them leaves open.
fn agree_outside(
    first: &FileSource,
    first_blanks: &[ByteRange],
    second: &FileSource,
    second_blanks: &[ByteRange],
    path: &Path,
) -> Result<bool> {
    if first.len_bytes() != second.len_bytes() {
        return Ok(false);
    }
    let blanks = || first_blanks.iter().chain(second_blanks).copied();
    Ok(read(&Blanked::new(first, blanks()), path)? == read(&Blanked::new(second, blanks()), path)?)
}
