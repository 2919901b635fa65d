//! The undo record of a tree: a patch from what the folder becomes to what it was, listing only what differs.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use patchwright_delta::CoverLog;
use patchwright_formats::journal::Print;
use patchwright_formats::manifest::{Hash, NewEntry, NewFile, Node, OldEntry, OldFile, OldTree, Source, TreePatch};
use patchwright_formats::undo::{Attributes, Undo};
use patchwright_formats::{
    Blanked, ContainerWriter, Kind, Manifest, PatchId, ReadAt, Regions, RetainRange, TreePath, source,
};

use crate::Quiet;
use crate::disk::{Disk, Output};
use crate::error::{Error, Result};
use crate::make::{make_new, make_way_back};
use crate::patch_file::Patch;
use crate::recognise_tree::at;
use crate::report::ChangeKind;
use crate::tree_changes::{Change, Changes, find_new, find_old};

use super::file::turned;

/// An undo record being written while the new files are made.
pub(super) struct UndoWriter<'a> {
    disk: &'a dyn Disk,
    path: PathBuf,
    stash: u64,
    reverts: PatchId,
    container: ContainerWriter<BufWriter<Box<dyn Output>>>,
    /// Old files that will be gone or different.
    lost: BTreeSet<&'a TreePath>,
    /// How each of them comes back.
    ways_back: BTreeMap<&'a TreePath, WayBack<'a>>,
    /// The hash of every byte of each new file, and where it is staged.
    made: BTreeMap<&'a TreePath, (Hash, PathBuf)>,
    covers: Option<CoverLog>,
}

/// How an old file comes back.
#[derive(Clone, Copy, Debug)]
enum WayBack<'a> {
    /// It is the new file at this path.
    Same(&'a TreePath),
    /// From the new file at this path, by a delta.
    Delta(&'a TreePath, usize),
    /// From nothing, by a delta.
    Whole(usize),
}

impl<'a> UndoWriter<'a> {
    /// Opens the record at `path` of the stage.
    pub(super) fn start(
        disk: &'a dyn Disk,
        path: PathBuf,
        stash: u64,
        reverts: PatchId,
        changes: &Changes<'a>,
    ) -> Result<Self> {
        let failed = |error: io::Error| Error::io("write the undo record", &path, &error);
        let container = ContainerWriter::new(BufWriter::new(disk.create(&path).map_err(failed)?)).map_err(failed)?;
        let is_file = |change: &&Change<'a>| change.before.is_some_and(|node| node.file().is_some());
        let lost = changes.list.iter().filter(is_file).map(|change| change.path).collect();
        let mut ways_back = BTreeMap::new();
        // The file that stays at its path is the natural way back; else the first copy.
        for in_place in [true, false] {
            for change in &changes.list {
                if let (Some(Source::Same { .. }), Some(origin)) = (change.source, change.origin)
                    && (origin.path == *change.path) == in_place
                {
                    ways_back.entry(&origin.path).or_insert(WayBack::Same(change.path));
                }
            }
        }
        Ok(Self { disk, path, stash, reverts, container, lost, ways_back, made: BTreeMap::new(), covers: None })
    }

    /// Notes which stretches of the old file the file made last was made from.
    pub(super) fn keep_covers(&mut self, covers: CoverLog) {
        self.covers = Some(covers);
    }

    /// Notes a new file; where it is made from an old one that is lost, writes the way back.
    pub(super) fn made(&mut self, change: &Change<'a>, raw_hash: Hash, staged: PathBuf) -> Result<()> {
        let covers = self.covers.take();
        if let (Some(Source::Delta { .. }), Some(origin), Some(covers)) = (change.source, change.origin, covers)
            && self.lost.contains(&origin.path)
            && self.is_better_way(change, &origin.path)
        {
            let retain = origin.node.file().map(|file| file.regions.retain.as_slice()).unwrap_or_default();
            let index = self.write_way_back(&origin.path, Some(&staged), retain, covers)?;
            self.ways_back.insert(&origin.path, WayBack::Delta(change.path, index));
        }
        self.made.insert(change.path, (raw_hash, staged));
        Ok(())
    }

    /// The file that stays at its path is the natural way back; else the first that was made from the old one.
    fn is_better_way(&self, change: &Change<'a>, origin: &TreePath) -> bool {
        match self.ways_back.get(origin) {
            None => true,
            Some(WayBack::Delta(path, _)) => change.path == origin && *path != origin,
            Some(_) => false,
        }
    }

    fn write_way_back(
        &mut self,
        old: &TreePath,
        staged: Option<&Path>,
        retain: &[RetainRange],
        covers: CoverLog,
    ) -> Result<usize> {
        let write = || -> io::Result<usize> {
            let user_old = self.disk.open(at(old))?;
            let nothing: Box<dyn ReadAt> = Box::new(Vec::new());
            let user_new = staged.map_or(Ok(nothing), |path| self.disk.open(path))?;
            let (index, ()) = self
                .container
                .add(Kind::COLD, |out| make_way_back(&*user_old, &*user_new, retain, Some(covers), out))?;
            Ok(index)
        };
        write().map_err(|error| Error::io("write the undo record", &self.path, &error))
    }

    /// Completes the record and follows it once; returns its number in the stage and what it is recognised by.
    pub(super) fn finish(
        mut self,
        tree: &'a TreePatch,
        old: &'a OldTree,
        changes: &Changes<'a>,
        kept_folders: &BTreeSet<&'a TreePath>,
    ) -> Result<(u64, Print)> {
        self.keep_what_has_no_way_back()?;
        let sides = Sides::gather(&self, tree, old, changes, kept_folders)?;
        let (way_back, attributes) = sides.into_manifest(&self.ways_back)?;
        let undo = Undo { reverts: self.reverts, attributes };
        let failed = |error: io::Error| Error::io("write the undo record", &self.path, &error);
        let close = || -> io::Result<()> {
            let mut container = self.container;
            container.add(Kind::MANIFEST, |out| out.write_all(&Manifest::Tree(way_back).encode()?))?;
            container.add(Kind::UNDO, |out| out.write_all(&undo.encode()))?;
            container.finish()?.0.flush()
        };
        close().map_err(failed)?;
        self.disk.sync_file(&self.path).map_err(failed)?;
        let written = self.disk.open(&self.path).map_err(failed)?;
        let print = Print::File { size: written.len_bytes(), hash: source::hash(&*written).map_err(failed)? };
        check(&Patch::read(written, &self.path)?, self.disk, &self.made)?;
        Ok((self.stash, print))
    }

    fn keep_what_has_no_way_back(&mut self) -> Result<()> {
        let without: Vec<&'a TreePath> =
            self.lost.iter().filter(|path| !self.ways_back.contains_key(*path)).copied().collect();
        for path in without {
            let index = self.write_way_back(path, None, &[], CoverLog::new())?;
            self.ways_back.insert(path, WayBack::Whole(index));
        }
        Ok(())
    }
}

/// Both versions of the way back, by path.
#[derive(Default)]
struct Sides {
    /// What the folder becomes by the patch: where the way back starts.
    from: BTreeMap<TreePath, Node<OldFile>>,
    /// What the folder was: where the way back leads.
    to: BTreeMap<TreePath, (Node<NewFile>, Attributes)>,
}

impl Sides {
    fn gather<'a>(
        undo: &UndoWriter<'a>,
        tree: &'a TreePatch,
        old: &'a OldTree,
        changes: &Changes<'a>,
        kept_folders: &BTreeSet<&'a TreePath>,
    ) -> Result<Self> {
        let mut sides = Self::default();
        for change in changes.list.iter().filter(|change| !kept_folders.contains(change.path)) {
            if let Some(after) = change.after {
                sides.from.insert(change.path.clone(), undo.becomes(change, after, old)?);
            }
            if let Some(before) = change.before {
                sides.to.insert(change.path.clone(), undo.was(change, before, tree)?);
            }
        }
        sides.add_folders_above(tree, old);
        Ok(sides)
    }

    /// Folders that stay, above what changes: a manifest names the folder of everything it names.
    fn add_folders_above(&mut self, tree: &TreePatch, old: &OldTree) {
        let listed: Vec<TreePath> = self.from.keys().chain(self.to.keys()).cloned().collect();
        for path in listed {
            let in_from = self.from.contains_key(&path);
            let mut next = path.parent();
            while let Some(parent) = next {
                let is_there = if in_from { self.from.contains_key(&parent) } else { self.to.contains_key(&parent) };
                if !is_there {
                    let mode = find_new(tree, &parent)
                        .and_then(|entry| entry.node.mode())
                        .or_else(|| find_old(old, &parent).and_then(|entry| entry.node.mode()))
                        .unwrap_or(0o755);
                    self.from.entry(parent.clone()).or_insert(Node::Folder { mode });
                    let folder = (Node::Folder { mode }, Attributes::default());
                    self.to.entry(parent.clone()).or_insert(folder);
                }
                next = parent.parent();
            }
        }
    }

    fn into_manifest(self, ways_back: &BTreeMap<&TreePath, WayBack<'_>>) -> Result<(TreePatch, Vec<Attributes>)> {
        let entries: Vec<OldEntry> = self.from.into_iter().map(|(path, node)| OldEntry { path, node }).collect();
        let index = |path: &TreePath| {
            entries
                .binary_search_by(|entry| entry.path.cmp(path))
                .map_err(|_| Error::bug("the way back starts from a file that is not listed"))
        };
        let mut sources = Vec::new();
        let mut new = Vec::new();
        let mut attributes = Vec::new();
        for (path, (node, its_attributes)) in self.to {
            if node.file().is_some() {
                sources.push(match ways_back.get(&path) {
                    Some(WayBack::Same(from)) => Source::Same { entry: index(from)? },
                    Some(WayBack::Delta(from, body)) => Source::Delta { entry: index(from)?, body: *body },
                    Some(WayBack::Whole(body)) => Source::Whole { body: *body },
                    None => return Err(Error::bug("an old file without a way back")),
                });
            }
            new.push(NewEntry { path, node });
            attributes.push(its_attributes);
        }
        Ok((TreePatch { new, olds: vec![OldTree { entries, sources }], links: Vec::new() }, attributes))
    }
}

impl<'a> UndoWriter<'a> {
    /// What the way back finds at the path of `change`.
    fn becomes(&self, change: &Change<'a>, after: &Node<NewFile>, old: &OldTree) -> Result<Node<OldFile>> {
        Ok(match after {
            Node::Folder { mode } => Node::Folder { mode: *mode },
            Node::Symlink { target } => Node::Symlink { target: target.clone() },
            Node::File { mode, file } => Node::File { mode: *mode, file: self.file_becomes(change, file, old)? },
        })
    }

    fn file_becomes(&self, change: &Change<'a>, new: &NewFile, old: &OldTree) -> Result<OldFile> {
        let leads_back = |(path, way): (&&'a TreePath, &WayBack<'a>)| match way {
            WayBack::Same(from) | WayBack::Delta(from, _) if *from == change.path => find_old(old, path),
            _ => None,
        };
        if let Some(origin) = self.ways_back.iter().find_map(leads_back).and_then(|entry| entry.node.file()) {
            let mut regions = Regions {
                ignore: Vec::new(),
                retain: origin.regions.retain.iter().map(|range| turned(*range)).collect(),
            };
            regions.sort();
            return Ok(OldFile { size: new.size, hash: new.hash, regions });
        }
        match self.made.get(change.path) {
            Some((raw_hash, _)) => Ok(OldFile { size: new.size, hash: *raw_hash, regions: Regions::default() }),
            None => Err(Error::bug("a new file that was neither made nor moved")),
        }
    }

    /// What the way back makes at the path of `change`, and the attributes it then has.
    fn was(
        &self,
        change: &Change<'a>,
        before: &Node<OldFile>,
        tree: &TreePatch,
    ) -> Result<(Node<NewFile>, Attributes)> {
        let path = at(change.path);
        let now = self.disk.attributes(path).map_err(|error| Error::io("read the attributes", path, &error))?;
        let same_node = match (before, change.after) {
            (Node::File { .. }, Some(Node::File { .. })) | (Node::Folder { .. }, Some(Node::Folder { .. })) => true,
            (Node::File { .. }, _) => !matches!(self.ways_back.get(change.path), Some(WayBack::Whole(_))),
            _ => false,
        };
        let mode_stays = change.kind != ChangeKind::ModeChanged
            && change.after.and_then(Node::mode).is_some_and(|mode| before.mode() == Some(mode));
        let modified = if matches!(before, Node::Folder { .. }) && same_node { None } else { now.modified };
        let attributes = if same_node {
            let mode = now.mode.filter(|_| !mode_stays);
            Attributes { modified, mode, ..Attributes::default() }
        } else {
            now
        };
        let node = match before {
            Node::Folder { mode } => Node::Folder { mode: *mode },
            Node::Symlink { target } => Node::Symlink { target: target.clone() },
            Node::File { mode, file } => Node::File { mode: *mode, file: self.file_was(change, file, tree)? },
        };
        Ok((node, attributes))
    }

    fn file_was(&self, change: &Change<'a>, old: &OldFile, tree: &TreePatch) -> Result<NewFile> {
        let retain = match self.ways_back.get(change.path) {
            Some(WayBack::Same(from)) => {
                let new = find_new(tree, from).and_then(|entry| entry.node.file());
                return new.cloned().ok_or_else(|| Error::bug("a file that stays as it is has no new version"));
            }
            Some(WayBack::Delta(..)) => old.regions.retain.as_slice(),
            Some(WayBack::Whole(_)) => &[],
            None => return Err(Error::bug("an old file without a way back")),
        };
        let path = at(change.path);
        let mut retained: Vec<_> = retain.iter().map(|range| range.old()).collect();
        retained.sort_unstable();
        let failed = |error: io::Error| Error::io("read", path, &error);
        let user_old = self.disk.open(path).map_err(failed)?;
        let hash = source::hash(&Blanked::new(&*user_old, retained.iter().copied())).map_err(failed)?;
        Ok(NewFile { size: user_old.len_bytes(), hash, retained })
    }
}

/// Follows the record once, before anything is changed: every old file must come back to the byte.
fn check(record: &Patch, disk: &dyn Disk, made: &BTreeMap<&TreePath, (Hash, PathBuf)>) -> Result<()> {
    let Manifest::Tree(tree) = &record.manifest else { return Err(Error::bug("the undo record is for a file")) };
    let old = tree.olds.first().ok_or_else(|| Error::bug("the undo record leads from nowhere"))?;
    let files = tree.new.iter().filter_map(|entry| entry.node.file().map(|file| (&entry.path, file)));
    for ((path, file), source) in files.zip(&old.sources) {
        let (body, from) = match source {
            Source::Same { .. } => continue,
            Source::Whole { body } => (*body, None),
            Source::Delta { entry, body } => (*body, old.entries.get(*entry)),
        };
        let nothing: Box<dyn ReadAt> = Box::new(Vec::new());
        let staged = from.and_then(|entry| made.get(&entry.path)).map(|(_, staged)| staged);
        let open = |path: &Path| disk.open(path).map_err(|error| Error::io("read", path, &error));
        let user_new = staged.map_or(Ok(nothing), |path| open(path))?;
        let none = Regions::default();
        let regions = from.and_then(|entry| entry.node.file()).map_or(&none, |file| &file.regions);
        let back = make_new(&*user_new, regions, &record.steps(body)?, file, &mut io::sink(), &Quiet)?;
        let user_old = open(at(path))?;
        let hash = source::hash(&*user_old).map_err(|error| Error::io("read", path.as_str(), &error))?;
        if back.raw_hash != hash {
            return Err(Error::bug("the undo record does not lead back; nothing was changed").at(path.as_str()));
        }
    }
    Ok(())
}
