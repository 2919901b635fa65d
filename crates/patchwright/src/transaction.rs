//! A change to a folder that happens entirely or not at all, whatever dies on the way.
//!
//! 1. Everything new is made in the *stage*, a folder inside our own folder `.patchwright`, and synced.
//! 2. The journal is written: every step, what it starts from, what it leads to. Before this point, whatever is
//!    found later is rubbish; from it on, everything needed to complete the change is on the disk.
//! 3. The steps are taken. Each is one rename or exchange of names.
//! 4. Folders are synced, the journal goes, then the stage.
//!
//! A step that fails makes all steps before it be taken back. Whoever finds a journal takes the remaining steps, or
//! takes all back where that is not possible; which steps were taken is seen by looking at what is there, never by
//! counting.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use patchwright_formats::journal::{Journal, MAX_JOURNAL_LEN, Print, Step};
use patchwright_formats::path::STATE_DIR;
use patchwright_formats::source;
use patchwright_formats::undo::Attributes;

use crate::disk::{Disk, Extended, FileKind, Lock};
use crate::error::{Error, ErrorKind, Result};
use crate::report::Recovered;

/// How often a taken lock is tried again, and how long to wait in between.
const LOCK_TRIES: u32 = 50;
const LOCK_WAIT: Duration = Duration::from_millis(100);

/// A change being prepared; the folder is locked while it lives.
pub(crate) struct Transaction<'d> {
    disk: &'d dyn Disk,
    /// A journal stands, or may stand after a power cut: what it needs must not be cleaned up.
    unfinished: Cell<bool>,
    _lock: Box<dyn Lock>,
}

impl<'d> Transaction<'d> {
    /// Locks the folder, completes or takes back what an earlier call left unfinished, and opens an empty stage.
    pub(crate) fn begin(disk: &'d dyn Disk) -> Result<(Self, Option<Recovered>)> {
        let lock = take_lock(disk)?;
        let transaction = Self { disk, unfinished: Cell::new(true), _lock: lock };
        match transaction.open() {
            Ok(recovered) => Ok((transaction, recovered)),
            Err(error) => {
                transaction.finish();
                Err(error)
            }
        }
    }

    fn open(&self) -> Result<Option<Recovered>> {
        let recovered = self.recover()?;
        self.unfinished.set(false);
        self.clear_stage().map_err(|error| Error::io("clear the stage", stage(), &error))?;
        self.disk.make_folder(&stage(), 0o700).map_err(|error| Error::io("make the stage", stage(), &error))?;
        Ok(recovered)
    }

    /// Where the staged file with this number stands.
    pub(crate) fn staged(&self, stash: u64) -> PathBuf {
        staged(stash)
    }

    /// Writes the journal and takes its steps. On an error nothing has changed, unless the error says otherwise.
    pub(crate) fn commit(&self, journal: &Journal) -> Result<()> {
        let failed = |error: io::Error| Error::io("write the journal", journal_path(), &error);
        self.write_draft(journal).map_err(failed)?;
        self.unfinished.set(true);
        self.publish_draft().map_err(|error| self.withdraw(failed(error)))?;
        match self.forward(journal, Trust::Fresh) {
            Ok(()) => self.conclude(journal),
            Err(error) => Err(self.take_back(journal, error)),
        }
    }

    /// Removes the stage, and our whole folder when nothing is left in it. What cannot be removed stays, and what an
    /// unfinished change needs.
    pub(crate) fn finish(self) {
        if !self.unfinished.get() {
            let _ = self.clear_stage();
            remove_if_unused(self.disk);
        }
    }

    fn recover(&self) -> Result<Option<Recovered>> {
        let Some(journal) = read_journal(self.disk)? else { return Ok(None) };
        // Who wrote it may have died before it was durable. No step may outlive it when the power goes.
        self.disk
            .sync_folder(Path::new(STATE_DIR))
            .map_err(|error| unfinished(Error::io("make the journal durable", journal_path(), &error)))?;
        let error = match self.forward(&journal, Trust::Look) {
            Ok(()) => return self.conclude(&journal).map(|()| Some(Recovered::Finished)),
            Err(error) => error,
        };
        match self.backward(&journal) {
            Ok(()) => self.conclude(&journal).map(|()| Some(Recovered::Undone)),
            Err(second) => Err(unfinished(error).details([format!("and taking it back fails: {second}")])),
        }
    }

    fn take_back(&self, journal: &Journal, error: Error) -> Error {
        match self.backward(journal).and_then(|()| self.conclude(journal)) {
            Ok(()) => error,
            Err(second) => unfinished(error).details([format!("and taking it back fails: {second}")]),
        }
    }

    /// Takes a journal back before any of its steps was taken.
    fn withdraw(&self, error: Error) -> Error {
        let remove = || -> io::Result<()> {
            if self.disk.stat(&journal_path())?.is_some() {
                self.disk.remove(&journal_path())?;
            }
            self.disk.sync_folder(Path::new(STATE_DIR))
        };
        match remove() {
            Ok(()) => {
                self.unfinished.set(false);
                error
            }
            Err(second) => unfinished(error).details([format!("and removing it fails: {second}")]),
        }
    }

    fn write_draft(&self, journal: &Journal) -> io::Result<()> {
        self.disk.sync_folder(&stage())?;
        self.disk.create(&draft())?.write_all(&journal.encode())?;
        self.disk.sync_file(&draft())
    }

    fn publish_draft(&self) -> io::Result<()> {
        self.disk.rename(&draft(), &journal_path())?;
        self.disk.sync_folder(Path::new(STATE_DIR))
    }

    /// Makes the steps durable, then forgets them.
    fn conclude(&self, journal: &Journal) -> Result<()> {
        self.make_durable(journal)
            .map_err(|error| unfinished(Error::io("make the change durable", journal_path(), &error)))?;
        self.unfinished.set(false);
        Ok(())
    }

    fn make_durable(&self, journal: &Journal) -> io::Result<()> {
        for path in modes_set(journal) {
            match self.disk.stat(path)?.map(|stat| stat.kind) {
                Some(FileKind::File) => unless_gone(self.disk.sync_file(path))?,
                Some(FileKind::Folder) => unless_gone(self.disk.sync_folder(path))?,
                _ => {}
            }
        }
        for folder in touched_folders(journal) {
            unless_gone(self.disk.sync_folder(&folder))?;
        }
        unless_gone(self.disk.sync_folder(&stage()))?;
        self.disk.remove(&journal_path())?;
        self.disk.sync_folder(Path::new(STATE_DIR))
    }

    fn forward(&self, journal: &Journal, trust: Trust) -> Result<()> {
        journal.steps.iter().try_for_each(|step| take_step(self.disk, step, trust))
    }

    fn backward(&self, journal: &Journal) -> Result<()> {
        journal.steps.iter().rev().try_for_each(|step| take_step_back(self.disk, step))
    }

    fn clear_stage(&self) -> io::Result<()> {
        if self.disk.stat(&draft())?.is_some() {
            self.disk.remove(&draft())?;
        }
        if self.disk.stat(&stage())?.is_none() {
            return Ok(());
        }
        for name in self.disk.list(&stage())? {
            self.disk.remove(&stage().join(name))?;
        }
        self.disk.remove_folder(&stage())
    }
}

/// Whether the steps of a journal may have been taken already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// It was written just now: none has.
    Fresh,
    /// It was found: look.
    Look,
}

/// Whether a call died half-way in this folder.
pub(crate) fn is_unfinished(disk: &dyn Disk) -> Result<bool> {
    let found = disk.stat(&journal_path()).map_err(|error| Error::io("look for a journal", journal_path(), &error))?;
    Ok(found.is_some())
}

/// Whether a call died here, half-way or while it prepared or cleaned up, or is at work right now.
pub(crate) fn is_untidy(disk: &dyn Disk) -> Result<bool> {
    for path in [journal_path(), draft(), stage()] {
        if disk.stat(&path).map_err(|error| Error::io("look for a journal", &path, &error))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// By what the file or link at `path` is recognised.
pub(crate) fn print_of(disk: &dyn Disk, path: &Path) -> io::Result<Print> {
    let Some(stat) = disk.stat(path)? else { return Ok(Print::Absent) };
    match stat.kind {
        FileKind::File => {
            let file = disk.open(path)?;
            Ok(Print::File { size: file.len_bytes(), hash: source::hash(&*file)? })
        }
        FileKind::Link => Ok(Print::Link { target: disk.read_link(path)?.as_bytes().to_vec() }),
        other => Err(io::Error::other(format!("{} stands there", other.name()))),
    }
}

fn take_lock(disk: &dyn Disk) -> Result<Box<dyn Lock>> {
    let lock_path = state("lock");
    for attempt in 0..LOCK_TRIES {
        if attempt > 0 {
            thread::sleep(LOCK_WAIT);
        }
        make_state_folder(disk).map_err(|error| Error::io("make the folder", STATE_DIR, &error))?;
        refuse_foreign_state(disk)?;
        match disk.lock(&lock_path) {
            Ok(Some(lock)) => return Ok(lock),
            // Taken; or removed together with its folder between two calls of ours.
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                // Only if nothing is in it.
                let _ = disk.remove_folder(Path::new(STATE_DIR));
                return Err(Error::io("take the lock", lock_path, &error));
            }
        }
    }
    Err(Error::new(ErrorKind::Busy, "another patchwright is at work in this folder")
        .at(lock_path)
        .hint("wait until it is done and run the same command again"))
}

/// A journal is followed, so that nobody else may have written it.
fn refuse_foreign_state(disk: &dyn Disk) -> Result<()> {
    match disk.is_ours(Path::new(STATE_DIR)) {
        Ok(true) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(false) => {
            Err(Error::new(ErrorKind::Refused, "the folder belongs to another user, or others can write to it")
                .at(STATE_DIR)
                .hint("take the patches in it back as that user, or remove it if nobody needs to take them back"))
        }
        Err(error) => Err(Error::io("look at", STATE_DIR, &error)),
    }
}

fn make_state_folder(disk: &dyn Disk) -> io::Result<()> {
    let path = Path::new(STATE_DIR);
    match disk.stat(path)? {
        Some(stat) if stat.kind == FileKind::Folder => return Ok(()),
        Some(stat) => return Err(io::Error::other(format!("{} stands there", stat.kind.name()))),
        None => {}
    }
    // Anybody may see whether something is unfinished; the folders in it are their owner's alone.
    match disk.make_folder(path, 0o755) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => disk.sync_folder(Path::new("")),
    }
}

fn remove_if_unused(disk: &dyn Disk) {
    let lock = state("lock");
    let only_the_lock = disk.list(Path::new(STATE_DIR)).is_ok_and(|names| names == ["lock"]);
    if only_the_lock && disk.remove(&lock).is_ok() {
        let _ = disk.remove_folder(Path::new(STATE_DIR));
    }
}

fn read_journal(disk: &dyn Disk) -> Result<Option<Journal>> {
    let path = journal_path();
    if !is_unfinished(disk)? {
        return Ok(None);
    }
    let read = || -> io::Result<Vec<u8>> {
        let file = disk.open(&path)?;
        let len = usize::try_from(file.len_bytes().min(MAX_JOURNAL_LEN)).map_err(io::Error::other)?;
        let mut bytes = vec![0; len];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|error| Error::io("read the journal", &path, &error))?;
    Journal::decode(&bytes).map(Some).map_err(|error| Error::format(&error, &path))
}

fn unfinished(error: Error) -> Error {
    error.hint("the change is unfinished: when the cause is mended, any apply or revert here completes or undoes it")
}

fn state(name: &str) -> PathBuf {
    Path::new(STATE_DIR).join(name)
}

fn journal_path() -> PathBuf {
    state("journal")
}

/// The journal while it is being written.
fn draft() -> PathBuf {
    state("journal.new")
}

fn stage() -> PathBuf {
    state("stage")
}

fn staged(stash: u64) -> PathBuf {
    stage().join(stash.to_string())
}

/// Where the old file waits on file systems that cannot exchange names.
fn set_aside(stash: u64) -> PathBuf {
    stage().join(format!("{stash}.old"))
}

fn raw(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}

/// What is gone need not be made durable.
fn unless_gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if is_gone(&error) => Ok(()),
        other => other,
    }
}

/// Nothing stands there; or a file has taken the place of a folder on the way, so that nothing can.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Whose permission bits the journal sets: they are no part of the folder that the name stands in.
fn modes_set(journal: &Journal) -> impl Iterator<Item = &Path> {
    journal.steps.iter().filter_map(|step| match step {
        Step::SetMode { path, .. } => Some(raw(path)),
        _ => None,
    })
}

fn touched_folders(journal: &Journal) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::new();
    for step in &journal.steps {
        let (Step::Take { path, .. }
        | Step::RemoveFolder { path, .. }
        | Step::MakeFolder { path, .. }
        | Step::Put { path, .. }
        | Step::SetMode { path, .. }) = step;
        folders.insert(raw(path).parent().unwrap_or(Path::new("")).to_owned());
        if matches!(step, Step::MakeFolder { .. }) {
            folders.insert(raw(path).to_owned());
        }
    }
    folders
}

fn take_step(disk: &dyn Disk, step: &Step, trust: Trust) -> Result<()> {
    let look = trust == Trust::Look;
    match step {
        Step::Take { path, stash, before } => {
            let path = raw(path);
            let now = if look { look_at(disk, path)? } else { Standing::Print(before.clone()) };
            match now {
                Standing::Print(now) if now == *before => {
                    disk.rename_new(path, &staged(*stash)).map_err(|error| Error::io("remove", path, &error))
                }
                // Taken. A later step may have moved it on from the stage, or made a folder in its place.
                Standing::Print(Print::Absent) | Standing::Folder => Ok(()),
                Standing::Print(_) => Err(changed_meanwhile(path)),
            }
        }
        Step::RemoveFolder { path, .. } => {
            let path = raw(path);
            match disk.remove_folder(path) {
                // A later step may have put a file in its place.
                Err(error) if look && is_gone(&error) => Ok(()),
                other => other.map_err(|error| Error::io("remove the folder", path, &error)),
            }
        }
        Step::MakeFolder { path, mode } => {
            let path = raw(path);
            match disk.make_folder(path, *mode) {
                Err(error) if look && error.kind() == io::ErrorKind::AlreadyExists => set_mode(disk, path, *mode),
                other => other.map_err(|error| Error::io("make the folder", path, &error)),
            }
        }
        Step::Put { path, stash, before, after } => {
            let path = raw(path);
            let now = if look { look_at(disk, path)? } else { Standing::Print(before.clone()) };
            // A step that was taken left nothing, or the old file, in the stage.
            if look && now.is(after) && !look_at(disk, &staged(*stash))?.is(after) {
                Ok(())
            } else if now.is(before) {
                put(disk, path, *stash, before).map_err(|error| Error::io("replace", path, &error))
            } else {
                Err(changed_meanwhile(path))
            }
        }
        Step::SetMode { path, after, .. } => set_mode(disk, raw(path), *after),
    }
}

fn put(disk: &dyn Disk, path: &Path, stash: u64, before: &Print) -> io::Result<()> {
    let new = staged(stash);
    if *before == Print::Absent {
        return disk.rename_new(&new, path);
    }
    match disk.exchange(&new, path) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
        other => return other,
    }
    // Without exchange, a second name keeps the old file; without second names, it can no longer be taken back once
    // replaced, but the replacement itself still happens at one instant.
    match disk.add_name(path, &set_aside(stash)) {
        Err(error)
            if !matches!(
                error.kind(),
                io::ErrorKind::AlreadyExists | io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied
            ) =>
        {
            return Err(error);
        }
        _ => {}
    }
    disk.rename(&new, path)
}

fn take_step_back(disk: &dyn Disk, step: &Step) -> Result<()> {
    match step {
        Step::Take { path, stash, .. } => {
            let path = raw(path);
            if !look_at(disk, path)?.is(&Print::Absent) || !is_staged(disk, *stash)? {
                return Ok(());
            }
            disk.rename_new(&staged(*stash), path).map_err(|error| Error::io("put back", path, &error))
        }
        Step::RemoveFolder { path, mode, owner } => {
            let path = raw(path);
            match disk.make_folder(path, *mode) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
                other => other.map_err(|error| Error::io("put back the folder", path, &error))?,
            }
            let attributes = Attributes { owner: Some(*owner), mode: Some(*mode), ..Attributes::default() };
            disk.set_attributes(path, &attributes, Extended::Keep)
                .map_err(|error| Error::io("put back the owner of the folder", path, &error))
        }
        Step::MakeFolder { path, .. } => {
            let path = raw(path);
            match disk.remove_folder(path) {
                // Never made; or somebody has put something inside meanwhile: then it stays.
                Err(error) if is_gone(&error) || error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
                other => other.map_err(|error| Error::io("remove the folder", path, &error)),
            }
        }
        Step::Put { path, stash, before, after } => put_back(disk, raw(path), *stash, before, after),
        Step::SetMode { path, before, .. } => set_mode(disk, raw(path), *before),
    }
}

fn put_back(disk: &dyn Disk, path: &Path, stash: u64, before: &Print, after: &Print) -> Result<()> {
    if look_at(disk, &staged(stash))?.is(after) {
        return Ok(()); // The step was not taken.
    }
    match look_at(disk, path)? {
        Standing::Print(now) if now == *after => {}
        Standing::Print(now) if now != *before => return Err(changed_meanwhile(path)),
        // Neither was it taken where the folder that is to go stands yet.
        _ => return Ok(()),
    }
    let restore = || -> io::Result<()> {
        if *before == Print::Absent {
            disk.rename_new(path, &staged(stash))
        } else if disk.stat(&set_aside(stash))?.is_some() {
            disk.rename(&set_aside(stash), path)
        } else {
            disk.exchange(&staged(stash), path)
        }
    };
    restore().map_err(|error| Error::io("put back", path, &error))
}

fn set_mode(disk: &dyn Disk, path: &Path, mode: u32) -> Result<()> {
    let attributes = Attributes { mode: Some(mode), ..Attributes::default() };
    disk.set_attributes(path, &attributes, Extended::Keep)
        .map_err(|error| Error::io("set the permissions", path, &error))
}

fn is_staged(disk: &dyn Disk, stash: u64) -> Result<bool> {
    let path = staged(stash);
    Ok(disk.stat(&path).map_err(|error| Error::io("look at", &path, &error))?.is_some())
}

/// What a step finds at its path.
enum Standing {
    Print(Print),
    Folder,
}

impl Standing {
    fn is(&self, print: &Print) -> bool {
        matches!(self, Self::Print(found) if found == print)
    }
}

fn look_at(disk: &dyn Disk, path: &Path) -> Result<Standing> {
    let look = || match disk.stat(path) {
        Ok(Some(stat)) if stat.kind == FileKind::Folder => Ok(Standing::Folder),
        Err(error) if is_gone(&error) => Ok(Standing::Print(Print::Absent)),
        Err(error) => Err(error),
        Ok(_) => print_of(disk, path).map(Standing::Print),
    };
    look().map_err(|error| Error::io("look at", path, &error))
}

fn changed_meanwhile(path: &Path) -> Error {
    Error::new(ErrorKind::Busy, "it was changed by somebody else meanwhile").at(path)
}
