//! Applying a patch to a single file.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use patchwright_formats::journal::{Journal, Print, Step};
use patchwright_formats::manifest::{FilePatch, Hash, NewFile, OldFile, OldVersion};
use patchwright_formats::undo::{Attributes, Undo};
use patchwright_formats::{Blanked, ContainerWriter, Kind, Manifest, PatchId, ReadAt, Regions, RetainRange, source};

use crate::atomic::{absolute, write_atomically};
use crate::disk::{Disk, Extended, FileKind, Stat};
use crate::error::{Error, ErrorKind, Result};
use crate::file_delta::{FileDelta, Made};
use crate::make::{make_new, make_way_back};
use crate::options::{ApplyOptions, UndoPolicy};
use crate::patch_file::Patch;
use crate::progress::Progress;
use crate::recognise::Version;
use crate::records::{Shelf, in_transaction};
use crate::report::{ApplyOutcome, ApplyReport, Recovered, hex};
use crate::transaction::{Transaction, is_unfinished, is_untidy};

use super::{Place, check_replaceable, check_space, raw_path};

const STAGED_FILE: u64 = 0;
const STAGED_RECORD: u64 = 1;

/// Replaces the file `name` in the folder of `disk` by the new version.
pub(crate) fn apply(
    disk: &dyn Disk,
    name: &Path,
    patch: &dyn FileDelta,
    options: &ApplyOptions,
    progress: &dyn Progress,
) -> Result<ApplyReport> {
    if options.dry_run {
        return rehearse(disk, name, patch, options, progress);
    }
    // Looking first leaves no trace where there is nothing to do; a change left half-way must be settled before.
    if !is_untidy(disk)? && recognise_at(disk, name, patch, progress)?.version == Version::New {
        return Ok(report(patch.id(), ApplyOutcome::AlreadyNew));
    }
    let (report, recovered) = in_transaction(disk, Shelf::File(name), |transaction| {
        replace(transaction, disk, name, patch, options, progress)
    })?;
    Ok(ApplyReport { recovered, ..report })
}

fn replace(
    transaction: &Transaction<'_>,
    disk: &dyn Disk,
    name: &Path,
    patch: &dyn FileDelta,
    options: &ApplyOptions,
    progress: &dyn Progress,
) -> Result<ApplyReport> {
    let target = recognise_at(disk, name, patch, progress)?;
    let Version::Old(index) = target.version else { return Ok(report(patch.id(), ApplyOutcome::AlreadyNew)) };
    check_replaceable(disk, &[name], options.hard_links)?;
    check_space(disk, patch.new_len())?;
    let staged = transaction.staged(STAGED_FILE);
    let made = stage_new(disk, &staged, &target, patch, index, progress)?;
    let (raw_hash, old_hash) = (made.raw_hash, target.raw_hash()?);
    let attributes = disk.attributes(name).map_err(|error| Error::io("read the attributes", name, &error))?;
    let mut steps = Vec::new();
    let mut undo_bytes = None;
    if options.undo == UndoPolicy::Keep {
        let record = transaction.staged(STAGED_RECORD);
        let undo = Undo {
            reverts: patch.id(),
            attributes: vec![Attributes { modified: attributes.modified, ..Attributes::default() }],
        };
        let print = stage_record(disk, &record, &staged, (&*target.file, &old_hash), made, &undo)?;
        if let Print::File { size, .. } = print {
            undo_bytes = Some(size);
        }
        let shelf = Shelf::File(name);
        let path = shelf.next_record(disk).map_err(|error| Error::io("make room for the undo record", name, &error))?;
        steps.push(Step::Put { path: raw_path(&path), stash: STAGED_RECORD, before: Print::Absent, after: print });
    }
    let modified = patch.file_time().map(|seconds| (seconds, 0));
    dress(disk, &staged, Attributes { modified, ..attributes })?;
    // Last: where names can neither be exchanged nor doubled, this step cannot be taken back.
    steps.push(Step::Put {
        path: raw_path(name),
        stash: STAGED_FILE,
        before: Print::File { size: target.stat.len, hash: old_hash },
        after: Print::File { size: patch.new_len(), hash: raw_hash },
    });
    target.check_unchanged(disk, name)?;
    transaction.commit(&Journal { steps })?;
    Ok(ApplyReport {
        from: Some(index + 1),
        written_bytes: patch.new_len(),
        undo_bytes,
        ..report(patch.id(), ApplyOutcome::Applied)
    })
}

/// Makes the new file and throws it away.
fn rehearse(
    disk: &dyn Disk,
    name: &Path,
    patch: &dyn FileDelta,
    options: &ApplyOptions,
    progress: &dyn Progress,
) -> Result<ApplyReport> {
    refuse_unfinished(disk)?;
    let target = recognise_at(disk, name, patch, progress)?;
    let Version::Old(index) = target.version else { return Ok(report(patch.id(), ApplyOutcome::AlreadyNew)) };
    check_replaceable(disk, &[name], options.hard_links)?;
    check_space(disk, patch.new_len())?;
    patch.make(&*target.file, index, &mut io::sink(), progress)?;
    Ok(ApplyReport {
        from: Some(index + 1),
        written_bytes: patch.new_len(),
        ..report(patch.id(), ApplyOutcome::WouldApply)
    })
}

/// Writes the new version to `output` and leaves the target alone.
pub(crate) fn apply_to(
    place: &Place,
    patch: &dyn FileDelta,
    output: &Path,
    options: &ApplyOptions,
    progress: &dyn Progress,
) -> Result<ApplyReport> {
    check_output(place, patch, output)?;
    let target = recognise_at(&place.disk, &place.name, patch, progress)?;
    let mut result = ApplyReport {
        output: Some(output.to_owned()),
        written_bytes: patch.new_len(),
        ..report(patch.id(), if options.dry_run { ApplyOutcome::WouldApply } else { ApplyOutcome::Applied })
    };
    if let Version::Old(index) = target.version {
        result.from = Some(index + 1);
    }
    let write = |out: &mut dyn Write| match target.version {
        Version::Old(index) => patch.make(&*target.file, index, out, progress).map(|_| ()),
        // The target is the result already, the user's bytes in it included.
        Version::New => source::for_each_chunk(&*target.file, |chunk| out.write_all(chunk))
            .map_err(|error| Error::io("copy to", output, &error)),
    };
    if options.dry_run {
        write(&mut io::sink())?;
    } else {
        let mode = fs::metadata(place.root.join(&place.name)).map(|metadata| metadata.permissions()).ok();
        write_atomically(output, mode, |out| write(out))?;
    }
    Ok(result)
}

fn check_output(place: &Place, patch: &dyn FileDelta, output: &Path) -> Result<()> {
    let shown = absolute(output);
    let Ok(real) = output.canonicalize() else { return Ok(()) };
    let inputs = [(place.root.join(&place.name), "the target"), (patch.path().to_owned(), "the patch")];
    for (input, what) in inputs {
        if input.canonicalize().is_ok_and(|input| input == real) {
            return Err(Error::new(ErrorKind::Usage, format!("the output is {what}: an input is never overwritten"))
                .at(shown)
                .hint("without -o, apply replaces the target itself and can take it back"));
        }
    }
    Ok(())
}

/// The file to be patched, as it was when it was recognised.
pub(crate) struct Target {
    pub(crate) file: Box<dyn ReadAt>,
    pub(crate) stat: Stat,
    pub(crate) version: Version,
}

impl Target {
    /// BLAKE3 of every byte.
    pub(crate) fn raw_hash(&self) -> Result<[u8; 32]> {
        source::hash(&*self.file).map_err(|error| {
            let mut made = Error::io("read the target", "", &error);
            made.path = None;
            made
        })
    }

    /// Makes sure that nobody has changed the file since.
    pub(crate) fn check_unchanged(&self, disk: &dyn Disk, name: &Path) -> Result<()> {
        let now = disk.stat(name).map_err(|error| Error::io("look at", name, &error))?;
        let same = |now: Stat| {
            (now.device, now.inode, now.len, now.modified, now.changed)
                == (self.stat.device, self.stat.inode, self.stat.len, self.stat.modified, self.stat.changed)
        };
        if now.is_some_and(same) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Busy, "the file changed while it was being patched; nothing was done")
            .at(name)
            .hint("stop whatever writes to it, or try again"))
    }
}

pub(crate) fn recognise_at(
    disk: &dyn Disk,
    name: &Path,
    patch: &dyn FileDelta,
    progress: &dyn Progress,
) -> Result<Target> {
    let (file, stat) = open_target(disk, name)?;
    let version = patch.recognise(&*file, name, progress)?;
    Ok(Target { file, stat, version })
}

fn open_target(disk: &dyn Disk, name: &Path) -> Result<(Box<dyn ReadAt>, Stat)> {
    let failed = |error: io::Error| Error::io("open the target", name, &error);
    let stat = disk.stat(name).map_err(failed)?.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
    if stat.kind != FileKind::File {
        return Err(
            Error::new(ErrorKind::WrongInput, format!("{} stands there, not a file", stat.kind.name())).at(name)
        );
    }
    Ok((disk.open(name).map_err(failed)?, stat))
}

pub(crate) fn refuse_unfinished(disk: &dyn Disk) -> Result<()> {
    if is_unfinished(disk)? {
        return Err(Error::new(ErrorKind::Busy, "an earlier call died half-way here")
            .at("")
            .hint("run apply or revert without --dry-run: it first completes or undoes what was left"));
    }
    Ok(())
}

fn stage_new(
    disk: &dyn Disk,
    staged: &Path,
    target: &Target,
    patch: &dyn FileDelta,
    index: usize,
    progress: &dyn Progress,
) -> Result<Made> {
    let mut out = disk.create(staged).map_err(|error| Error::io("write", staged, &error))?;
    patch.make(&*target.file, index, &mut out, progress)
}

/// Gives a staged file the attributes it will have in its place, and makes it durable.
pub(crate) fn dress(disk: &dyn Disk, staged: &Path, attributes: Attributes) -> Result<()> {
    disk.set_attributes(staged, &attributes, Extended::Exactly)
        .and_then(|()| disk.sync_file(staged))
        .map_err(|error| Error::io("prepare the new file", staged, &error).hint("nothing was changed"))
}

/// Writes the undo record and makes sure that it leads back.
fn stage_record(
    disk: &dyn Disk,
    record: &Path,
    staged: &Path,
    (user_old, old_hash): (&dyn ReadAt, &Hash),
    made: Made,
    undo: &Undo,
) -> Result<Print> {
    let failed = |error: io::Error| Error::io("write the undo record", record, &error);
    let user_new = disk.open(staged).map_err(failed)?;
    let write = || -> io::Result<()> {
        let mut container = ContainerWriter::new(BufWriter::new(disk.create(record)?))?;
        let (body, ()) =
            container.add(Kind::COLD, |out| make_way_back(user_old, &*user_new, &made.retain, made.covers, out))?;
        let way_back = Manifest::File(turned_round(user_old, &made.new, &made.retain, body)?);
        container.add(Kind::MANIFEST, |out| out.write_all(&way_back.encode()?))?;
        container.add(Kind::UNDO, |out| out.write_all(&undo.encode()))?;
        container.finish()?.0.flush()
    };
    write().map_err(failed)?;
    disk.sync_file(record).map_err(failed)?;
    let written = disk.open(record).map_err(failed)?;
    let print = Print::File { size: written.len_bytes(), hash: source::hash(&*written).map_err(failed)? };
    check_record(&Patch::read(written, record)?, &*user_new, old_hash)?;
    Ok(print)
}

/// The manifest that leads from the new file back to what the user had, ignored bytes included.
fn turned_round(user_old: &dyn ReadAt, new: &NewFile, retain: &[RetainRange], body: usize) -> io::Result<FilePatch> {
    let mut retain: Vec<RetainRange> = retain.iter().map(|range| turned(*range)).collect();
    retain.sort_unstable_by_key(|range| range.new_offset);
    let retained: Vec<_> = retain.iter().map(|range| range.new_side()).collect();
    let hash = source::hash(&Blanked::new(user_old, retained.iter().copied()))?;
    let regions = Regions { ignore: Vec::new(), retain };
    let old = OldFile { size: new.size, hash: new.hash, regions };
    Ok(FilePatch {
        new: NewFile { size: user_old.len_bytes(), hash, retained },
        olds: vec![OldVersion { file: old, body }],
        links: Vec::new(),
    })
}

/// The same range seen from the other side.
pub(crate) fn turned(range: RetainRange) -> RetainRange {
    RetainRange { old_offset: range.new_offset, len: range.len, new_offset: range.old_offset }
}

/// Follows the record once, before anything is changed.
fn check_record(record: &Patch, user_new: &dyn ReadAt, old_hash: &Hash) -> Result<()> {
    let Manifest::File(way_back) = &record.manifest else { return Err(Error::bug("the undo record is for a tree")) };
    let Some(old) = way_back.olds.first() else { return Err(Error::bug("the undo record leads from nowhere")) };
    let steps = record.steps(old.body)?;
    let made = make_new(user_new, &old.file.regions, &steps, &way_back.new, &mut io::sink(), &crate::Quiet)?;
    if made.raw_hash == *old_hash {
        Ok(())
    } else {
        Err(Error::bug("the undo record does not lead back; nothing was changed"))
    }
}

pub(crate) fn report(id: PatchId, outcome: ApplyOutcome) -> ApplyReport {
    ApplyReport {
        schema: "patchwright.apply/1",
        id: hex(&id.0),
        target: Default::default(),
        output: None,
        outcome,
        from: None,
        written_bytes: 0,
        undo_bytes: None,
        tree: None,
        recovered: None::<Recovered>,
        processes: Vec::new(),
        warnings: Vec::new(),
    }
}
