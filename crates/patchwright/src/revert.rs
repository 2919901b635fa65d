//! `patchwright revert`: the very bytes from before the patch.

use std::io;
use std::path::{Path, PathBuf};

use patchwright_formats::journal::{Journal, Print, Step};
use patchwright_formats::manifest::TreePatch;
use patchwright_formats::undo::Attributes;
use patchwright_formats::{Manifest, PatchId};

use crate::apply::file::{dress, recognise_at, refuse_unfinished};
use crate::apply::{FolderPlace, Place, check_replaceable, check_space, raw_path, tree};
use crate::disk::Disk;
use crate::error::{Error, ErrorKind, Result};
use crate::file_delta::{FileDelta, PwpFile};
use crate::make::make_new;
use crate::options::{Parts, RevertOptions};
use crate::pa19::Opened;
use crate::patch_file::Patch;
use crate::processes;
use crate::progress::Progress;
use crate::recognise::Version;
use crate::recognise_tree::recognise_tree;
use crate::records::{Shelf, in_transaction, reverts};
use crate::report::{RevertOutcome, RevertReport, hex};
use crate::transaction::{Transaction, is_untidy, print_of};

const STAGED_FILE: u64 = 0;
const TAKEN_RECORD: u64 = 1;

/// Takes the patch at `patch` back from the file or folder at `target`.
///
/// What it needs was kept by [`apply`](crate::apply()). The last patch applied is taken back first.
pub fn revert(patch: &Path, target: &Path, options: &RevertOptions, progress: &dyn Progress) -> Result<RevertReport> {
    let patch = match Opened::open(patch)? {
        Opened::Pwp(patch) => patch,
        Opened::Pa19(patch) => {
            processes::refuse_without_hot_part(&options.processes)?;
            return revert_single(&patch, target, options, progress);
        }
    };
    let chosen = processes::choose(&patch, &options.processes)?;
    // The processes first: the file that a restart would start stays the new one until they run the old code.
    let done = processes::revert(&patch, &chosen, &options.limits, options.dry_run)?;
    if options.parts == Parts::HotOnly {
        let report = report(patch.id(), RevertOutcome::Untouched);
        return Ok(RevertReport { target: target.to_owned(), processes: done, ..report });
    }
    let report = revert_files(&patch, target, options, progress)?;
    Ok(RevertReport { processes: done, ..report })
}

fn revert_files(
    patch: &Patch,
    target: &Path,
    options: &RevertOptions,
    progress: &dyn Progress,
) -> Result<RevertReport> {
    match &patch.manifest {
        Manifest::File(manifest) => revert_single(&PwpFile { patch, manifest }, target, options, progress),
        Manifest::Tree(manifest) => {
            let place = FolderPlace::of(target)?;
            revert_tree(&place.disk, patch, manifest, options, progress)
                .map(|report| RevertReport { target: target.to_owned(), ..report })
                .map_err(|error| error.under(target, Path::new(""), target))
        }
    }
}

fn revert_single(
    patch: &dyn FileDelta,
    target: &Path,
    options: &RevertOptions,
    progress: &dyn Progress,
) -> Result<RevertReport> {
    let place = Place::of_file(target)?;
    revert_file(&place.disk, &place.name, patch, options, progress)
        .map(|report| RevertReport { target: target.to_owned(), ..report })
        .map_err(|error| error.under(&place.root, &place.name, target))
}

pub(crate) fn revert_tree(
    disk: &dyn Disk,
    patch: &Patch,
    manifest: &TreePatch,
    options: &RevertOptions,
    progress: &dyn Progress,
) -> Result<RevertReport> {
    if options.dry_run {
        refuse_unfinished(disk)?;
        return restore_tree(None, disk, patch, manifest, options, progress);
    }
    if !is_untidy(disk)? && find(disk, Shelf::Tree, patch.id())?.is_none() && is_old_tree(disk, manifest, progress)? {
        return Ok(report(patch.id(), RevertOutcome::AlreadyOld));
    }
    let (report, recovered) = in_transaction(disk, Shelf::Tree, |transaction| {
        restore_tree(Some(transaction), disk, patch, manifest, options, progress)
    })?;
    Ok(RevertReport { recovered, ..report })
}

/// Without a transaction, everything is done but the change.
fn restore_tree(
    transaction: Option<&Transaction<'_>>,
    disk: &dyn Disk,
    patch: &Patch,
    manifest: &TreePatch,
    options: &RevertOptions,
    progress: &dyn Progress,
) -> Result<RevertReport> {
    let Some((record_path, record)) = find(disk, Shelf::Tree, patch.id())? else {
        if is_old_tree(disk, manifest, progress)? {
            return Ok(report(patch.id(), RevertOutcome::AlreadyOld));
        }
        return Err(no_record(disk, Shelf::Tree, patch.id())?.at(""));
    };
    let Manifest::Tree(way_back) = &record.manifest else {
        return Err(Error::new(ErrorKind::Malformed, "the undo record of a folder is one for a file").at(record_path));
    };
    let (written_bytes, warnings) =
        tree::restore(transaction, disk, &record_path, &record, way_back, options.hard_links, progress)
            .map_err(|error| not_as_left(disk, Shelf::Tree, patch.id(), error))?;
    let outcome = if transaction.is_some() { RevertOutcome::Reverted } else { RevertOutcome::WouldRevert };
    Ok(RevertReport { written_bytes, warnings, ..report(patch.id(), outcome) })
}

fn is_old_tree(disk: &dyn Disk, manifest: &TreePatch, progress: &dyn Progress) -> Result<bool> {
    match recognise_tree(disk, manifest, progress) {
        Ok(recognised) => Ok(recognised.old.is_some()),
        Err(error) if error.kind == ErrorKind::WrongInput => Ok(false),
        Err(error) => Err(error),
    }
}

pub(crate) fn revert_file(
    disk: &dyn Disk,
    name: &Path,
    patch: &dyn FileDelta,
    options: &RevertOptions,
    progress: &dyn Progress,
) -> Result<RevertReport> {
    if options.dry_run {
        refuse_unfinished(disk)?;
        return restore_file(None, disk, name, patch, options, progress);
    }
    if !is_untidy(disk)? && is_old(disk, name, patch, progress)? && find(disk, Shelf::File(name), patch.id())?.is_none()
    {
        return Ok(report(patch.id(), RevertOutcome::AlreadyOld));
    }
    let (report, recovered) = in_transaction(disk, Shelf::File(name), |transaction| {
        restore_file(Some(transaction), disk, name, patch, options, progress)
    })?;
    Ok(RevertReport { recovered, ..report })
}

/// Without a transaction, everything is done but the change.
fn restore_file(
    transaction: Option<&Transaction<'_>>,
    disk: &dyn Disk,
    name: &Path,
    patch: &dyn FileDelta,
    options: &RevertOptions,
    progress: &dyn Progress,
) -> Result<RevertReport> {
    let Some((record_path, record)) = find(disk, Shelf::File(name), patch.id())? else {
        if is_old(disk, name, patch, progress)? {
            return Ok(report(patch.id(), RevertOutcome::AlreadyOld));
        }
        return Err(no_record(disk, Shelf::File(name), patch.id())?.at(name));
    };
    let Manifest::File(way_back) = &record.manifest else {
        return Err(Error::new(ErrorKind::Malformed, "the undo record of a file is one for a folder").at(record_path));
    };
    let target = recognise_at(disk, name, &PwpFile { patch: &record, manifest: way_back }, progress)
        .map_err(|error| not_as_left(disk, Shelf::File(name), patch.id(), error))?;
    let (Version::Old(_), [old]) = (target.version, way_back.olds.as_slice()) else {
        return Ok(report(patch.id(), RevertOutcome::AlreadyOld));
    };
    check_replaceable(disk, &[name], options.hard_links)?;
    check_space(disk, way_back.new.size)?;
    let steps = record.steps(old.body)?;
    let done = RevertReport { written_bytes: way_back.new.size, ..report(patch.id(), RevertOutcome::Reverted) };
    let Some(transaction) = transaction else {
        make_new(&*target.file, &old.file.regions, &steps, &way_back.new, &mut io::sink(), progress)?;
        return Ok(RevertReport { outcome: RevertOutcome::WouldRevert, ..done });
    };
    let staged = transaction.staged(STAGED_FILE);
    let made = {
        let mut out = disk.create(&staged).map_err(|error| Error::io("write", &staged, &error))?;
        make_new(&*target.file, &old.file.regions, &steps, &way_back.new, &mut out, progress)
            .map_err(|error| error.at(&record_path))?
    };
    let attributes = disk.attributes(name).map_err(|error| Error::io("read the attributes", name, &error))?;
    let modified = record.undo.as_ref().and_then(|undo| undo.attributes.first()).and_then(|old| old.modified);
    dress(disk, &staged, Attributes { modified, ..attributes })?;
    target.check_unchanged(disk, name)?;
    let replace = Step::Put {
        path: raw_path(name),
        stash: STAGED_FILE,
        before: Print::File { size: target.stat.len, hash: target.raw_hash()? },
        after: Print::File { size: way_back.new.size, hash: made.raw_hash },
    };
    // In this order: where names can neither be exchanged nor doubled, the file's step cannot be taken back.
    transaction.commit(&Journal { steps: vec![take_record(disk, &record_path, TAKEN_RECORD)?, replace] })?;
    Ok(done)
}

/// The step that removes an undo record together with what it stands for.
pub(crate) fn take_record(disk: &dyn Disk, path: &Path, stash: u64) -> Result<Step> {
    let before = print_of(disk, path).map_err(|error| Error::io("read the undo record", path, &error))?;
    Ok(Step::Take { path: raw_path(path), stash, before })
}

/// The latest record that takes this patch back.
fn find(disk: &dyn Disk, shelf: Shelf<'_>, id: PatchId) -> Result<Option<(PathBuf, Patch)>> {
    let records = shelf.open_all(disk)?;
    Ok(records.into_iter().find(|(_, record)| reverts(record) == Some(id)))
}

fn is_old(disk: &dyn Disk, name: &Path, patch: &dyn FileDelta, progress: &dyn Progress) -> Result<bool> {
    match recognise_at(disk, name, patch, progress) {
        Ok(target) => Ok(target.version != Version::New),
        Err(error) if error.kind == ErrorKind::WrongInput => Ok(false),
        Err(error) => Err(error),
    }
}

/// Why there is nothing to take back, and what could be instead.
pub(crate) fn no_record(disk: &dyn Disk, shelf: Shelf<'_>, id: PatchId) -> Result<Error> {
    let applied = shelf.open_all(disk)?;
    let lines = applied.iter().filter_map(|(path, record)| {
        reverts(record).map(|id| format!("it can take back patch {id} ({})", path.display()))
    });
    Ok(Error::new(ErrorKind::WrongInput, format!("no record of patch {id} is kept here; nothing was changed"))
        .details(lines)
        .hint("was the patch applied here, with this name, and without --no-undo?"))
}

/// Explains why the target is not what the record starts from.
fn not_as_left(disk: &dyn Disk, shelf: Shelf<'_>, reverted: PatchId, mut error: Error) -> Error {
    if error.kind != ErrorKind::WrongInput {
        return error;
    }
    // What the record knows is the other way round, and would only confuse.
    error.details.clear();
    error.message = "the target is no longer what the patch made of it; nothing was changed".to_owned();
    let later = shelf.open_all(disk).unwrap_or_default();
    let later: Vec<String> = later
        .iter()
        .filter_map(|(_, record)| reverts(record))
        .take_while(|id| *id != reverted)
        .map(|id| format!("patch {id} was applied after it"))
        .collect();
    error.hint = Some(if later.is_empty() {
        "it was changed by something else since".to_owned()
    } else {
        "take back the later patches first".to_owned()
    });
    error.details(later)
}

pub(crate) fn report(id: PatchId, outcome: RevertOutcome) -> RevertReport {
    RevertReport {
        schema: "patchwright.revert/1",
        id: hex(&id.0),
        target: PathBuf::new(),
        outcome,
        written_bytes: 0,
        recovered: None,
        processes: Vec::new(),
        warnings: Vec::new(),
    }
}
