//! Applying a patch to a folder.
//!
//! Everything is looked at, made and checked before the first step of the change is taken; the steps are then one
//! transaction. The same code takes a patch back: an undo record is a patch that lists only what differs.

use std::fs;
use std::io;
use std::path::Path;

use patchwright_formats::manifest::TreePatch;
use patchwright_formats::path::STATE_DIR;

use crate::atomic::absolute;
use crate::disk::{Disk, Extended, FileKind, OsDisk};
use crate::error::{Error, ErrorKind, Result};
use crate::options::{ApplyOptions, HardLinks, UndoPolicy};
use crate::patch_file::Patch;
use crate::progress::Progress;
use crate::recognise_tree::recognise_tree;
use crate::records::{Shelf, in_transaction};
use crate::report::{ApplyOutcome, ApplyReport};
use crate::transaction::{Transaction, is_untidy};
use crate::tree_changes::changes;

use super::FolderPlace;
use super::file::{refuse_unfinished, report};
use super::tree_undo::UndoWriter;
use super::tree_work::{Work, copy};

/// Brings the folder of `disk` to the new version.
pub(crate) fn apply(
    disk: &dyn Disk,
    patch: &Patch,
    tree: &TreePatch,
    options: &ApplyOptions,
    progress: &dyn Progress,
) -> Result<ApplyReport> {
    if options.dry_run {
        refuse_unfinished(disk)?;
        return change(None, disk, patch, tree, options, progress);
    }
    if !is_untidy(disk)? && recognise_tree(disk, tree, progress)?.old.is_none() {
        return Ok(report(patch.id(), ApplyOutcome::AlreadyNew));
    }
    let (report, recovered) = in_transaction(disk, Shelf::Tree, |transaction| {
        change(Some(transaction), disk, patch, tree, options, progress)
    })?;
    Ok(ApplyReport { recovered, ..report })
}

/// Makes a copy of the folder at `output` and brings that to the new version.
pub(crate) fn apply_to(
    place: &FolderPlace,
    patch: &Patch,
    tree: &TreePatch,
    output: &Path,
    options: &ApplyOptions,
    progress: &dyn Progress,
) -> Result<ApplyReport> {
    let shown = absolute(output);
    let failed = |error: io::Error| Error::io("write", &shown, &error);
    if output.symlink_metadata().is_ok() {
        return Err(Error::new(ErrorKind::Usage, "the output exists already").at(&shown).hint("name a new folder"));
    }
    refuse_unfinished(&place.disk)?;
    let rehearsed = change(None, &place.disk, patch, tree, options, progress)?;
    let done = ApplyReport { output: Some(output.to_owned()), ..rehearsed };
    if options.dry_run {
        return Ok(done);
    }
    let parent = output.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let draft = tempfile::Builder::new().prefix(".patchwright-").tempdir_in(parent).map_err(failed)?;
    let copy = OsDisk::open(draft.path()).map_err(failed)?;
    copy_folder(&place.disk, &copy, Path::new("")).map_err(failed)?;
    let discard = ApplyOptions { undo: UndoPolicy::Discard, hard_links: HardLinks::Break, ..ApplyOptions::default() };
    let in_draft = |error: Error| error.under(draft.path(), Path::new(""), draft.path());
    apply(&copy, patch, tree, &discard, progress).map_err(in_draft)?;
    fs::set_permissions(draft.path(), fs::metadata(&place.root).map_err(failed)?.permissions()).map_err(failed)?;
    fs::rename(draft.path(), output).map_err(failed)?;
    let _ = draft.keep(); // There is nothing left there to remove.
    let outcome = if done.outcome == ApplyOutcome::WouldApply { ApplyOutcome::Applied } else { done.outcome };
    Ok(ApplyReport { outcome, ..done })
}

/// Copies what is in a folder, attributes included, except for our own state.
fn copy_folder(from: &dyn Disk, to: &dyn Disk, folder: &Path) -> io::Result<()> {
    for name in from.list(folder)? {
        let path = folder.join(name);
        let Some(stat) = from.stat(&path)?.filter(|_| path != Path::new(STATE_DIR)) else { continue };
        let attributes = from.attributes(&path)?;
        match stat.kind {
            FileKind::Folder => {
                to.make_folder(&path, 0o700)?;
                copy_folder(from, to, &path)?;
            }
            FileKind::File => {
                copy(&*from.open(&path)?, &mut to.create(&path)?)?;
            }
            FileKind::Link => to.make_link(Path::new(&from.read_link(&path)?), &path)?,
            FileKind::Special => {
                let what = format!("'{}' is {}, which is not copied", path.display(), stat.kind.name());
                return Err(io::Error::other(what));
            }
        }
        to.set_attributes(&path, &attributes, Extended::Exactly)?;
        if stat.kind == FileKind::File {
            to.sync_file(&path)?;
        }
    }
    to.sync_folder(folder)
}

/// Without a transaction, everything is done but the change.
fn change(
    transaction: Option<&Transaction<'_>>,
    disk: &dyn Disk,
    patch: &Patch,
    tree: &TreePatch,
    options: &ApplyOptions,
    progress: &dyn Progress,
) -> Result<ApplyReport> {
    let recognised = recognise_tree(disk, tree, progress)?;
    let Some(index) = recognised.old else {
        return Ok(report(patch.id(), ApplyOutcome::AlreadyNew));
    };
    let old = tree.olds.get(index).ok_or_else(|| Error::bug("a version that the patch does not have"))?;
    let mut changes = changes(tree, old);
    if recognised.is_new {
        changes.keep_what_recognising_overlooks();
    }
    let mut work = Work::new(transaction, disk, patch, tree, old, progress);
    work.check(&changes, options.hard_links)?;
    if let Some(transaction) = transaction.filter(|_| options.undo == UndoPolicy::Keep) {
        let stash = work.next_stash();
        work.undo = Some(UndoWriter::start(disk, transaction.staged(stash), stash, patch.id(), &changes)?);
    }
    work.prepare(&changes)?;
    if recognised.is_new && work.has_nothing_to_do() {
        return Ok(report(patch.id(), ApplyOutcome::AlreadyNew));
    }
    let undo_bytes = work.finish_undo(&changes)?;
    let done = ApplyReport {
        from: Some(index + 1),
        written_bytes: work.written,
        undo_bytes,
        tree: Some(changes.summary),
        warnings: std::mem::take(&mut work.warnings),
        ..report(patch.id(), ApplyOutcome::Applied)
    };
    match transaction {
        None => Ok(ApplyReport { outcome: ApplyOutcome::WouldApply, ..done }),
        Some(transaction) => {
            work.check_unchanged()?;
            transaction.commit(&work.journal())?;
            Ok(done)
        }
    }
}

/// Takes the change back that `record` describes, and removes the record with it. `None` for a rehearsal.
pub(crate) fn restore(
    transaction: Option<&Transaction<'_>>,
    disk: &dyn Disk,
    record_path: &Path,
    record: &Patch,
    tree: &TreePatch,
    hard_links: HardLinks,
    progress: &dyn Progress,
) -> Result<(u64, Vec<String>)> {
    let (Some(_), [old]) = (recognise_tree(disk, tree, progress)?.old, tree.olds.as_slice()) else {
        return Err(Error::new(ErrorKind::WrongInput, "the folder is already what the undo record leads to"));
    };
    let undo = record.undo.as_ref().ok_or_else(|| Error::bug("a patch where an undo record is needed"))?;
    let changes = changes(tree, old);
    let mut work = Work::new(transaction, disk, record, tree, old, progress);
    work.attributes = tree.new.iter().map(|entry| &entry.path).zip(&undo.attributes).collect();
    work.check(&changes, hard_links)?;
    work.prepare(&changes)?;
    if let Some(transaction) = transaction {
        let stash = work.next_stash();
        work.take(record_path, stash)?;
        work.check_unchanged()?;
        transaction.commit(&work.journal())?;
        work.restore_folders();
    }
    Ok((work.written, work.warnings))
}
