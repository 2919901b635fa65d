//! A patch for a single file.

use std::io;
use std::path::{Path, PathBuf};

use patchwright_formats::manifest::{Between, FilePatch, Link, NewFile, OldFile, OldVersion};
use patchwright_formats::region::{self, drop_empty};
use patchwright_formats::{Blanked, ByteRange, Kind, Manifest, ReadAt, Regions, source};

use crate::disk::FileSource;
use crate::error::{Error, ErrorKind, Result};
use crate::options::{DiffOptions, Pa19Options};
use crate::pa19;
use crate::processes::hot_report;
use crate::progress::Progress;
use crate::range_list::RangeArg;
use crate::regions_file;
use crate::report::{DiffReport, DiffedOld, Subject, hex};

use super::body::{Body, open};
use super::chain::{self, Planned};
use super::{account, add_body, add_manifest, check_versions, hot, scratch_folder, write_patch};

/// An old version with its ranges, before deltas are made.
struct Old {
    path: PathBuf,
    source: FileSource,
    file: OldFile,
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
    let sizes: Vec<u64> = files.iter().map(ReadAt::len_bytes).collect();
    let regions = gather_regions(&sizes, new_source.len_bytes(), options, &mut warnings)?;
    warnings.extend(blank_altogether(&sizes, &regions));
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
            let size = file.len_bytes();
            Ok(Old { path: path.clone(), source: file, file: OldFile { size, hash, regions } })
        })
        .collect::<Result<Vec<_>>>()?;
    let olds = sort_out(olds, &new_source, &new_file, &mut warnings)?;
    let scratch = scratch_folder(patch);
    let (mut reports, mut hot) = (Vec::new(), Vec::new());
    let (id, patch_bytes) = write_patch(patch, |container| {
        let view = |index: usize| Blanked::new(&olds[index].source, olds[index].file.regions.old_blanks());
        let mut direct = Vec::new();
        for (index, old) in olds.iter().enumerate() {
            let body = Body::make(&view(index), &new_view, &new_file.hash, scratch, options, progress)?;
            warnings.extend(body.warning().map(|warning| format!("{}: {warning}", old.path.display())));
            direct.push(body);
        }
        let lens: Vec<u64> = olds.iter().map(|old| old.file.size).collect();
        let planned = chain::plan(&lens, direct, options, |from, to| {
            Body::make(&view(from), &view(to), &olds[to].file.hash, scratch, options, progress)
        })?;
        let mut accounts = Vec::new();
        let mut versions = Vec::new();
        for (old, Planned { body, via }) in olds.iter().zip(&planned) {
            let index = add_body(container, body, patch)?;
            accounts.extend(body.account(index));
            reports.push(DiffedOld {
                path: old.path.clone(),
                bytes: old.file.size,
                delta_bytes: body.len_bytes(),
                methods: vec![body.method()],
                via: via.map(|via| via + 1),
            });
            versions.push(OldVersion { file: old.file.clone(), body: index });
        }
        let links = links(&versions, &planned);
        let manifest = Manifest::File(FilePatch { new: new_file.clone(), olds: versions, links });
        add_manifest(container, &manifest, olds.len(), patch)?;
        account::add(container, accounts, patch)?;
        for old in olds.iter().filter(|_| options.hot) {
            let built = hot::build(&old.path, new)?;
            warnings.extend(built.warnings.iter().map(|warning| format!("{}: {warning}", old.path.display())));
            hot.push(hot_report(&built.part, built.line_only));
            let blob = built.part.encode();
            container
                .add(Kind::HOT, |out| out.write_all(&blob))
                .map_err(|error: io::Error| Error::io("write the patch", patch, &error))?;
        }
        Ok(())
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
        hot,
        warnings,
    })
}

/// Compares files for a patch in Microsoft's format.
pub(super) fn diff_pa19(
    olds: &[PathBuf],
    new: &Path,
    patch: &Path,
    options: &DiffOptions,
    pa19: &Pa19Options,
) -> Result<DiffReport> {
    let mut warnings = Vec::new();
    let sizes = olds.iter().map(|path| open(path).map(|file| file.len_bytes())).collect::<Result<Vec<_>>>()?;
    let regions = gather_regions(&sizes, open(new)?.len_bytes(), options, &mut warnings)?;
    warnings.extend(blank_altogether(&sizes, &regions));
    let olds: Vec<pa19::Old> =
        olds.iter().zip(regions).map(|(path, regions)| pa19::Old { path: path.clone(), regions }).collect();
    pa19::diff(&olds, new, patch, pa19, warnings)
}

/// What the deltas make that do not lead to the new file at once.
fn links(versions: &[OldVersion], planned: &[Planned]) -> Vec<Link> {
    let mut links: Vec<Link> = versions
        .iter()
        .zip(planned)
        .filter_map(|(old, planned)| {
            let through = versions.get(planned.via?)?;
            let makes = Between { size: through.file.size, hash: through.file.hash };
            Some(Link { body: old.body, makes, next: through.body })
        })
        .collect();
    links.sort_unstable_by_key(|link| link.body);
    links
}

fn read(view: &dyn ReadAt, path: &Path) -> Result<[u8; 32]> {
    source::hash(view).map_err(|error| Error::io("read", path, &error))
}

/// Sorts the ranges of the options and the regions file to the old files that they belong to.
fn gather_regions(
    sizes: &[u64],
    new_len: u64,
    options: &DiffOptions,
    warnings: &mut Vec<String>,
) -> Result<Vec<Regions>> {
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
    let count = sizes.len();
    let regions: Vec<Regions> = (1..=count)
        .map(|number| {
            let mut regions = Regions { ignore: belonging(&ignore, number), retain: belonging(&retain, number) };
            let dropped = drop_empty(&mut regions);
            warnings.extend(dropped.iter().map(|range| format!("old file {number}: {range} is empty and left out")));
            regions.sort();
            regions
        })
        .collect();
    let numbers = ignore.iter().map(|arg| arg.old).chain(retain.iter().map(|arg| arg.old));
    let mut objections = wrong_old_numbers(numbers, count);
    let olds: Vec<(u64, &Regions)> = sizes.iter().copied().zip(&regions).collect();
    objections.extend(region::check(&olds, new_len).iter().map(ToString::to_string));
    if objections.is_empty() {
        return Ok(regions);
    }
    Err(Error::new(ErrorKind::Usage, "the ignored and retained ranges cannot be used").details(objections))
}

/// Lists every `N:` that names none of the `count` old versions.
pub(super) fn wrong_old_numbers(numbers: impl Iterator<Item = Option<usize>>, count: usize) -> Vec<String> {
    let mut wrong: Vec<usize> = numbers.flatten().filter(|number| *number > count).collect();
    wrong.sort_unstable();
    wrong.dedup();
    let there_are = if count == 1 { "there is one".to_owned() } else { format!("there are {count}") };
    wrong.iter().map(|number| format!("a range belongs to old version {number}, {there_are}")).collect()
}

/// Old files of which the ranges leave nothing to recognise them by.
fn blank_altogether(sizes: &[u64], regions: &[Regions]) -> Vec<String> {
    let is_blank = |(size, regions): (&u64, &Regions)| *size > 0 && regions.old_blanks() == [ByteRange::new(0, *size)];
    let numbered = sizes.iter().zip(regions).enumerate().filter(|(_, old)| is_blank(*old));
    numbered
        .map(|(index, (size, _))| {
            format!("old file {}: the ranges cover all of it: every file of {size} bytes will pass for it", index + 1)
        })
        .collect()
}

/// The ranges that belong to the old file with this number.
fn belonging<R: Copy>(args: &[RangeArg<R>], number: usize) -> Vec<R> {
    let mine = args.iter().filter(|arg| arg.old.is_none_or(|old| old == number));
    mine.flat_map(|arg| arg.ranges.iter().copied()).collect()
}

/// Leaves out old files that say nothing new, and refuses those that could be taken for one another.
fn sort_out(olds: Vec<Old>, new: &FileSource, new_file: &NewFile, warnings: &mut Vec<String>) -> Result<Vec<Old>> {
    let mut kept: Vec<Old> = Vec::new();
    let mut objections = Vec::new();
    for (index, old) in olds.into_iter().enumerate() {
        let number = index + 1;
        if old.file.is_new_already(new_file) {
            warnings
                .push(format!("old file {number} ({}) is the new version already and left out", old.path.display()));
            continue;
        }
        if let Some(twin) = kept.iter().find(|other| other.file == old.file) {
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
    check_versions(kept, objections, warnings)
}

/// Lists the versions that some user's file could be as well as `old`, with another result.
fn confusions(others: &[Old], old: &Old, number: usize, new: &FileSource, new_file: &NewFile) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let blanks = old.file.regions.old_blanks();
    let agree = |second: &FileSource, second_blanks: &[ByteRange]| {
        agree_outside(&old.source, &blanks, second, second_blanks).map_err(|error| Error::io("read", &old.path, &error))
    };
    for other in others {
        let differ_in_result = other.file.regions.retain != old.file.regions.retain;
        if differ_in_result && agree(&other.source, &other.file.regions.old_blanks())? {
            found.push(format!("old file {number} ({}) and {}", old.path.display(), other.path.display()));
        }
    }
    if moves_retained(&old.file.regions) && agree(new, &new_file.retained)? {
        found.push(format!(
            "old file {number} ({}) and the new version: applying the patch twice would move the retained bytes twice",
            old.path.display()
        ));
    }
    Ok(found)
}

/// Whether retained bytes end up elsewhere.
pub(super) fn moves_retained(regions: &Regions) -> bool {
    regions.retain.iter().any(|range| range.old_offset != range.new_offset)
}

/// Whether two files are the same outside what either of them leaves open.
pub(super) fn agree_outside(
    first: &dyn ReadAt,
    first_blanks: &[ByteRange],
    second: &dyn ReadAt,
    second_blanks: &[ByteRange],
) -> io::Result<bool> {
    if first.len_bytes() != second.len_bytes() {
        return Ok(false);
    }
    let blanks = || first_blanks.iter().chain(second_blanks).copied();
    Ok(source::hash(&Blanked::new(first, blanks()))? == source::hash(&Blanked::new(second, blanks()))?)
}
