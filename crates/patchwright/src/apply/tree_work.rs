//! A change to a folder as it is being prepared: what stands against it, what is staged, which steps it takes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::Path;

use patchwright_formats::journal::{Journal, Print, Step};
use patchwright_formats::manifest::{Hash, NewFile, Node, OldFile, OldTree, Source, TreePatch};
use patchwright_formats::undo::Attributes;
use patchwright_formats::{ReadAt, Regions, TreePath, source};

use crate::disk::{Disk, Extended, FileKind, Stat};
use crate::error::{Error, ErrorKind, Result};
use crate::make::make_new;
use crate::options::HardLinks;
use crate::patch_file::Patch;
use crate::progress::Progress;
use crate::recognise_tree::at;
use crate::records::Shelf;
use crate::report::ChangeKind;
use crate::transaction::{Transaction, print_of};
use crate::tree_changes::{Change, Changes};

use super::file::dress;
use super::tree_undo::UndoWriter;
use super::{check_replaceable, check_space, raw_path};

/// A change to a folder as it is being prepared.
pub(super) struct Work<'a> {
    transaction: Option<&'a Transaction<'a>>,
    disk: &'a dyn Disk,
    patch: &'a Patch,
    tree: &'a TreePatch,
    old: &'a OldTree,
    progress: &'a dyn Progress,
    /// What the entries of the new version were before, when a patch is taken back.
    pub(super) attributes: BTreeMap<&'a TreePath, &'a Attributes>,
    pub(super) undo: Option<UndoWriter<'a>>,
    stashes: u64,
    /// Where removed files wait, for those that only move.
    taken: BTreeMap<&'a TreePath, u64>,
    /// Folders that stay because they hold what the patch does not know, or were there before it made them.
    pub(super) kept_folders: BTreeSet<&'a TreePath>,
    takes: Vec<Step>,
    folder_removals: Vec<Step>,
    folders: Vec<Step>,
    puts: Vec<Step>,
    modes: Vec<Step>,
    /// What was looked at, as it was then.
    seen: Vec<(&'a TreePath, Stat)>,
    pub(super) written: u64,
    pub(super) warnings: Vec<String>,
}

impl<'a> Work<'a> {
    pub(super) fn new(
        transaction: Option<&'a Transaction<'a>>,
        disk: &'a dyn Disk,
        patch: &'a Patch,
        tree: &'a TreePatch,
        old: &'a OldTree,
        progress: &'a dyn Progress,
    ) -> Self {
        Self {
            transaction,
            disk,
            patch,
            tree,
            old,
            progress,
            attributes: BTreeMap::new(),
            undo: None,
            stashes: 0,
            taken: BTreeMap::new(),
            kept_folders: BTreeSet::new(),
            takes: Vec::new(),
            folder_removals: Vec::new(),
            folders: Vec::new(),
            puts: Vec::new(),
            modes: Vec::new(),
            seen: Vec::new(),
            written: 0,
            warnings: Vec::new(),
        }
    }

    /// Everything that stands against the change, at once.
    pub(super) fn check(&mut self, changes: &Changes<'a>, hard_links: HardLinks) -> Result<()> {
        self.find_kept_folders(changes)?;
        let mut objections = Vec::new();
        for change in &changes.list {
            objections.extend(self.objection(change)?);
        }
        if !objections.is_empty() {
            return Err(Error::new(
                ErrorKind::WrongInput,
                "what the patch does not know stands in its way; nothing was changed",
            )
            .at("")
            .details(objections)
            .hint("move these away and run the same command again"));
        }
        let replaced: Vec<&Path> = changes
            .list
            .iter()
            .filter(|change| change.before.is_some_and(|node| node.file().is_some()))
            .filter(|change| change.kind != ChangeKind::ModeChanged)
            .map(|change| at(change.path))
            .collect();
        check_replaceable(self.disk, &replaced, hard_links)?;
        let needed = changes.list.iter().filter_map(|change| change.after.and_then(Node::file)).map(|file| file.size);
        check_space(self.disk, needed.fold(0, u64::saturating_add))
    }

    /// Folders that would go but hold something that the patch does not know, and those above them.
    fn find_kept_folders(&mut self, changes: &Changes<'a>) -> Result<()> {
        for change in changes.list.iter().rev() {
            let (Some(Node::Folder { .. }), None) = (change.before, change.after) else { continue };
            let names =
                self.disk.list(at(change.path)).map_err(|error| Error::io("list", change.path.as_str(), &error))?;
            let goes = |name: &std::ffi::OsString| {
                let child = name.to_str().and_then(|name| TreePath::new(format!("{}/{name}", change.path)).ok());
                let known = child.and_then(|child| crate::tree_changes::find_old(self.old, &child));
                known.is_some_and(|entry| !self.kept_folders.contains(&entry.path))
            };
            if !names.iter().all(goes) {
                self.warnings.push(format!("{}: the folder stays, it holds what the patch does not know", change.path));
                self.kept_folders.insert(change.path);
            }
        }
        Ok(())
    }

    fn objection(&mut self, change: &Change<'a>) -> Result<Option<String>> {
        let path = change.path;
        let stat = match self.disk.stat(at(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => None,
            other => other.map_err(|error| Error::io("look at", path.as_str(), &error))?,
        };
        if let Some(stat) = stat {
            self.seen.push((path, stat));
        }
        let Some(after) = change.after else { return Ok(None) };
        Ok(match (change.before, stat) {
            (None, Some(stat)) if stat.kind == FileKind::Folder && matches!(after, Node::Folder { .. }) => {
                // The user's own folder serves as well, and is not ours to take back.
                self.kept_folders.insert(path);
                None
            }
            (None, Some(stat)) => Some(format!("{path}: {} stands there", stat.kind.name())),
            (Some(Node::Folder { .. }), Some(_)) if !matches!(after, Node::Folder { .. }) => {
                let is_empty_then = self.will_be_empty(path)?;
                (!is_empty_then).then(|| format!("{path}: the folder holds what the patch does not know"))
            }
            _ => None,
        })
    }

    /// Whether a folder holds nothing but what the patch removes.
    fn will_be_empty(&self, path: &TreePath) -> Result<bool> {
        let names = self.disk.list(at(path)).map_err(|error| Error::io("list", path.as_str(), &error))?;
        Ok(names.iter().all(|name| {
            let child = name.to_str().and_then(|name| TreePath::new(format!("{path}/{name}")).ok());
            child
                .and_then(|child| crate::tree_changes::find_old(self.old, &child))
                .is_some_and(|entry| !self.kept_folders.contains(&entry.path))
        }))
    }

    pub(super) fn prepare(&mut self, changes: &Changes<'a>) -> Result<()> {
        // What goes first: a file that only moves is taken from where it waits.
        for change in &changes.list {
            self.prepare_removal(change)?;
        }
        for change in &changes.list {
            self.prepare_arrival(change)?;
        }
        Ok(())
    }

    fn prepare_removal(&mut self, change: &Change<'a>) -> Result<()> {
        let path = at(change.path);
        let stays_a_folder = matches!(change.after, Some(Node::Folder { .. }));
        match change.before {
            Some(Node::Folder { .. }) if !stays_a_folder && !self.kept_folders.contains(change.path) => {
                let attributes =
                    self.disk.attributes(path).map_err(|error| Error::io("look at the folder", path, &error))?;
                self.folder_removals.push(Step::RemoveFolder {
                    path: raw_path(path),
                    mode: attributes.mode.unwrap_or(0o755),
                    owner: attributes.owner.unwrap_or((0, 0)),
                });
            }
            Some(Node::File { .. } | Node::Symlink { .. }) if change.after.is_none() || stays_a_folder => {
                let stash = self.next_stash();
                self.take(path, stash)?;
                self.taken.insert(change.path, stash);
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn take(&mut self, path: &Path, stash: u64) -> Result<()> {
        let before = print_of(self.disk, path).map_err(|error| Error::io("read", path, &error))?;
        self.takes.push(Step::Take { path: raw_path(path), stash, before });
        Ok(())
    }

    fn prepare_arrival(&mut self, change: &Change<'a>) -> Result<()> {
        let path = at(change.path);
        match (change.after, change.kind) {
            (None, _) => Ok(()),
            (Some(after), ChangeKind::ModeChanged) => self.prepare_mode(change, after),
            (Some(Node::Folder { mode }), _) => {
                if !self.kept_folders.contains(change.path) {
                    let mode = self.exact_mode(change.path).unwrap_or(*mode);
                    self.folders.push(Step::MakeFolder { path: raw_path(path), mode });
                }
                Ok(())
            }
            (Some(Node::Symlink { target }), _) => self.prepare_link(change, target),
            (Some(Node::File { mode, file }), _) => self.prepare_file(change, *mode, file),
        }
    }

    fn prepare_mode(&mut self, change: &Change<'a>, after: &Node<NewFile>) -> Result<()> {
        let path = at(change.path);
        let stat = self.disk.stat(path).ok().flatten().ok_or_else(|| vanished(change.path))?;
        let vendor = (change.before.and_then(Node::mode), after.mode());
        let wanted = self.exact_mode(change.path).unwrap_or(carried_mode(stat.mode, vendor));
        if wanted != stat.mode {
            self.modes.push(Step::SetMode { path: raw_path(path), before: stat.mode, after: wanted });
        }
        Ok(())
    }

    /// Whether no step is needed to get to the new version.
    pub(super) fn has_nothing_to_do(&self) -> bool {
        [&self.takes, &self.folder_removals, &self.folders, &self.puts, &self.modes]
            .iter()
            .all(|steps| steps.is_empty())
    }

    fn prepare_link(&mut self, change: &Change<'a>, target: &str) -> Result<()> {
        let path = at(change.path);
        let before = self.standing(change)?;
        let stash = self.next_stash();
        if let Some(transaction) = self.transaction {
            let staged = transaction.staged(stash);
            let make = || -> io::Result<()> {
                self.disk.make_link(Path::new(target), &staged)?;
                let owner = if before == Print::Absent { None } else { self.disk.attributes(path)?.owner };
                let restored = self.attributes.get(change.path).map(|attributes| (*attributes).clone());
                let attributes = restored.unwrap_or(Attributes { owner, ..Attributes::default() });
                self.disk.set_attributes(&staged, &attributes, Extended::Keep)
            };
            make().map_err(|error| Error::io("make the link", path, &error))?;
        }
        let after = Print::Link { target: target.as_bytes().to_vec() };
        self.puts.push(Step::Put { path: raw_path(path), stash, before, after });
        Ok(())
    }

    fn prepare_file(&mut self, change: &Change<'a>, mode: u32, file: &'a NewFile) -> Result<()> {
        let path = at(change.path);
        let before = self.standing(change)?;
        if let Some((stash, print)) = self.moved(change)? {
            self.puts.push(Step::Put { path: raw_path(path), stash, before, after: print });
            return self.prepare_moved_mode(change, mode);
        }
        let stash = self.next_stash();
        let raw_hash = match self.transaction {
            None => self.make(change, file, &mut io::sink())?,
            Some(transaction) => {
                let staged = transaction.staged(stash);
                let mut out = self.disk.create(&staged).map_err(|error| Error::io("write", &staged, &error))?;
                let raw_hash = self.make(change, file, &mut out)?;
                drop(out);
                self.dress(change, mode, &staged)?;
                raw_hash
            }
        };
        self.written += file.size;
        if let Some(undo) = &mut self.undo {
            let staged = self.transaction.map(|transaction| transaction.staged(stash)).unwrap_or_default();
            undo.made(change, raw_hash, staged)?;
        }
        let after = Print::File { size: file.size, hash: raw_hash };
        self.puts.push(Step::Put { path: raw_path(path), stash, before, after });
        Ok(())
    }

    /// What stands where a file or link is to go, once the removals are done.
    fn standing(&self, change: &Change<'a>) -> Result<Print> {
        match change.before {
            Some(Node::File { .. } | Node::Symlink { .. }) => {
                let path = at(change.path);
                print_of(self.disk, path).map_err(|error| Error::io("read", path, &error))
            }
            _ => Ok(Print::Absent),
        }
    }

    /// The stash of an old file that goes to its new place as it is, if nobody else has claimed it.
    fn moved(&mut self, change: &Change<'a>) -> Result<Option<(u64, Print)>> {
        let (Some(Source::Same { .. }), Some(origin)) = (change.source, change.origin) else { return Ok(None) };
        let Some(stash) = self.taken.remove(&origin.path) else { return Ok(None) };
        let is_it = |step: &&Step| matches!(step, Step::Take { stash: other, .. } if *other == stash);
        match self.takes.iter().find(is_it) {
            Some(Step::Take { before, .. }) => Ok(Some((stash, before.clone()))),
            _ => Err(Error::bug("a file was taken without a step")),
        }
    }

    fn prepare_moved_mode(&mut self, change: &Change<'a>, mode: u32) -> Result<()> {
        let Some(origin) = change.origin else { return Ok(()) };
        let stat = self.disk.stat(at(&origin.path)).ok().flatten().ok_or_else(|| vanished(&origin.path))?;
        let wanted = self.exact_mode(change.path).unwrap_or(carried_mode(stat.mode, (origin.node.mode(), Some(mode))));
        if wanted != stat.mode {
            self.modes.push(Step::SetMode { path: raw_path(at(change.path)), before: stat.mode, after: wanted });
        }
        Ok(())
    }

    /// Writes the new content of a file; returns the hash of every byte.
    fn make(&mut self, change: &Change<'a>, file: &NewFile, out: &mut dyn Write) -> Result<Hash> {
        let origin =
            |path: &TreePath| self.disk.open(at(path)).map_err(|error| Error::io("open", path.as_str(), &error));
        match (change.source, change.origin) {
            (Some(Source::Same { .. }), Some(entry)) => {
                copy(&*origin(&entry.path)?, out).map_err(|error| Error::io("copy", change.path.as_str(), &error))
            }
            (Some(Source::Delta { body, .. }), Some(entry)) => {
                let old_file: &OldFile = entry.node.file().ok_or_else(|| Error::bug("a source that is no file"))?;
                let user_old = origin(&entry.path)?;
                let steps = self.patch.steps(body)?;
                let made = make_new(&*user_old, &old_file.regions, &steps, file, out, self.progress)
                    .map_err(|error| error.at(self.patch.path()))?;
                if let Some(undo) = &mut self.undo {
                    undo.keep_covers(made.covers);
                }
                Ok(made.raw_hash)
            }
            (Some(Source::Whole { body }), _) => {
                let nothing: &[u8] = &[];
                let steps = self.patch.steps(body)?;
                make_new(&nothing, &Regions::default(), &steps, file, out, self.progress)
                    .map(|made| made.raw_hash)
                    .map_err(|error| error.at(self.patch.path()))
            }
            _ => Err(Error::bug("a file without a source")),
        }
    }

    /// Gives a staged file the attributes that it will have in its place.
    fn dress(&self, change: &Change<'a>, mode: u32, staged: &Path) -> Result<()> {
        let model = match (change.before, change.origin) {
            (Some(node @ Node::File { .. }), _) => Some((change.path, node.mode())),
            (_, Some(origin)) => Some((&origin.path, origin.node.mode())),
            _ => None,
        };
        let restored = self.attributes.get(change.path);
        let Some((model, vendor_mode)) = model else {
            let attributes = restored.map(|attributes| (*attributes).clone()).unwrap_or_default();
            let attributes = Attributes { mode: Some(attributes.mode.unwrap_or(mode)), ..attributes };
            return self
                .disk
                .set_attributes(staged, &attributes, Extended::Keep)
                .and_then(|()| self.disk.sync_file(staged))
                .map_err(|error| Error::io("prepare the new file", change.path.as_str(), &error));
        };
        let attributes = self
            .disk
            .attributes(at(model))
            .map_err(|error| Error::io("read the attributes", model.as_str(), &error))?;
        let carried = attributes.mode.map(|user| carried_mode(user, (vendor_mode, Some(mode))));
        dress(
            self.disk,
            staged,
            Attributes {
                mode: self.exact_mode(change.path).or(carried),
                modified: restored.and_then(|attributes| attributes.modified),
                ..attributes
            },
        )
    }

    fn exact_mode(&self, path: &TreePath) -> Option<u32> {
        self.attributes.get(path).and_then(|attributes| attributes.mode)
    }

    pub(super) fn next_stash(&mut self) -> u64 {
        self.stashes += 1;
        self.stashes
    }

    /// Completes the undo record and adds the step that puts it in its place; returns its length.
    pub(super) fn finish_undo(&mut self, changes: &Changes<'a>) -> Result<Option<u64>> {
        let Some(undo) = self.undo.take() else { return Ok(None) };
        let failed = |error: io::Error| Error::io("make room for the undo record", "", &error);
        let path = Shelf::Tree.next_record(self.disk).map_err(failed)?;
        let (stash, after) = undo.finish(self.tree, self.old, changes, &self.kept_folders)?;
        let size = if let Print::File { size, .. } = after { size } else { 0 };
        self.puts.push(Step::Put { path: raw_path(&path), stash, before: Print::Absent, after });
        Ok(Some(size))
    }

    /// Makes sure that nobody has changed what was looked at.
    pub(super) fn check_unchanged(&self) -> Result<()> {
        let changed = |(path, then): &&(&TreePath, Stat)| {
            let now = self.disk.stat(at(path)).ok().flatten();
            let key = |stat: &Stat| (stat.kind, stat.inode, stat.device, stat.modified, stat.changed);
            now.as_ref().map(key) != Some(key(then))
        };
        let found: Vec<String> = self.seen.iter().filter(changed).map(|(path, _)| path.to_string()).collect();
        if found.is_empty() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Busy, "files changed while they were being patched; nothing was done")
            .details(found)
            .hint("stop whatever writes to them, or try again"))
    }

    pub(super) fn journal(&mut self) -> Journal {
        // Deepest first where folders go, topmost first where they come.
        self.folder_removals.reverse();
        let modes = self.modes.drain(..).rev();
        let steps = self
            .takes
            .drain(..)
            .chain(self.folder_removals.drain(..))
            .chain(self.folders.drain(..))
            .chain(self.puts.drain(..))
            .chain(modes)
            .collect();
        Journal { steps }
    }

    /// Gives folders that are back their owner and attributes; what fails is only worth a warning.
    pub(super) fn restore_folders(&mut self) {
        for (path, attributes) in &self.attributes {
            if attributes.owner.is_some()
                && self.disk.stat(at(path)).ok().flatten().is_some_and(|stat| stat.kind == FileKind::Folder)
                && let Err(error) = self.disk.set_attributes(at(path), attributes, Extended::Keep)
            {
                self.warnings.push(format!("{path}: the folder's attributes are not what they were: {error}"));
            }
        }
    }
}

pub(super) fn copy(from: &dyn ReadAt, out: &mut dyn Write) -> io::Result<Hash> {
    let mut hasher = blake3::Hasher::new();
    source::for_each_chunk(from, |chunk| {
        hasher.update(chunk);
        out.write_all(chunk)
    })?;
    Ok(*hasher.finalize().as_bytes())
}

/// The user's permission bits with the vendor's change to them.
fn carried_mode(user: u32, vendor: (Option<u32>, Option<u32>)) -> u32 {
    match vendor {
        (Some(old), Some(new)) => (user & !(old & !new)) | (new & !old),
        _ => user,
    }
}

fn vanished(path: &TreePath) -> Error {
    Error::new(ErrorKind::Busy, "it vanished meanwhile").at(path.as_str())
}
