//! A patch for a folder with all that is in it.
//!
//! | module | what |
//! |---|---|
//! | [`walk`] | what stands in a folder, and what of it cannot stand in a patch |
//! | [`ranges`] | which ranges belong to which file, and whether they can be used |
//! | [`matching`] | which old file each new file is made from |
//! | [`sketch`] | what two files have in common, judged from a few numbers of each |
//! | [`versions`] | which old versions the patch needs, and which could be taken for one another |
//! | [`bodies`] | the deltas, each made once |

mod bodies;
mod matching;
mod ranges;
mod sketch;
mod versions;
mod walk;

use std::path::{Path, PathBuf};

use patchwright_formats::manifest::{Hash, NewEntry, NewFile, Node, OldEntry, OldFile, TreePatch};
use patchwright_formats::{Manifest, Regions, TreePath, source};
use rayon::prelude::*;

use crate::error::{Error, ErrorKind, Result};
use crate::options::DiffOptions;
use crate::progress::Progress;
use crate::regions_file::{self, RegionsFile};
use crate::report::{DiffReport, Subject, hex};
use crate::tree_changes::changes;

use super::{account, add_manifest, scratch_folder, write_patch};
use ranges::Placement;
use sketch::Sketches;
use walk::{Exclusions, Folder, Tree, View};

/// The new version.
struct New {
    folder: Folder,
    entries: Vec<NewEntry>,
    /// Where the files are among the entries. Their number in this list is what everything else goes by.
    files: Vec<usize>,
}

/// An old version.
struct Old {
    /// 1-based place among the old versions that were named.
    number: usize,
    folder: Folder,
    entries: Vec<OldEntry>,
}

/// An old version and what each file of the new one is made from.
struct Version {
    old: Old,
    /// For each new file the index of an old entry, which is a file.
    partners: Vec<Option<usize>>,
}

/// Compares folders.
pub(super) fn diff(
    olds: &[PathBuf],
    new: &Path,
    patch: &Path,
    options: &DiffOptions,
    progress: &dyn Progress,
) -> Result<DiffReport> {
    refuse_ranges_without_path(options)?;
    refuse_output_inside(olds, new, patch)?;
    let regions_file = options.regions.as_deref().map_or_else(|| Ok(RegionsFile::default()), regions_file::read)?;
    let mut warnings = Vec::new();
    let mut exclusions = Exclusions::new(regions_file.exclude.iter().cloned());
    let (old_trees, new_tree) = walk_all(olds, new, &mut exclusions)?;
    warnings.extend(exclusions.idle().map(|path| format!("[[exclude]] '{path}': no tree has this path")));
    let mut objections = Vec::new();
    let placements = ranges::place(&regions_file, &exclusions, &old_trees, &mut warnings, &mut objections);
    let (olds, mut new) = read_all(old_trees, placements, new_tree, progress)?;
    let sketches = Sketches::default();
    let versions = olds
        .into_iter()
        .map(|old| Ok(Version { partners: matching::partners(&old, &new, &sketches)?, old }))
        .collect::<Result<Vec<_>>>()?;
    objections.extend(ranges::check(&versions, &new));
    if !objections.is_empty() {
        return Err(Error::new(ErrorKind::Usage, "the ignored and retained ranges cannot be used").details(objections));
    }
    new.settle_retained(&versions)?;
    let versions = versions::sort_out(versions, &new, &mut warnings)?;
    let plan = bodies::plan(&versions, &new);
    let mut made = None;
    let (id, patch_bytes) = write_patch(patch, |container| {
        let mut bodies =
            bodies::write(container, &plan, &versions, &new, (patch, scratch_folder(patch)), options, progress)?;
        let links = std::mem::take(&mut bodies.links);
        let manifest = TreePatch { new: new.entries.clone(), olds: plan.olds(&versions, &bodies), links };
        let summary = manifest.olds.first().map(|old| changes(&manifest, old).summary);
        add_manifest(container, &Manifest::Tree(manifest), bodies.len(), patch)?;
        account::add(container, std::mem::take(&mut bodies.accounts), patch)?;
        made = Some((plan.report(&versions, &bodies), summary));
        warnings.extend(bodies.warnings());
        Ok(())
    })?;
    let (olds, tree) = made.ok_or_else(|| Error::bug("a patch was written that was not made"))?;
    Ok(DiffReport {
        schema: "patchwright.diff/1",
        patch: patch.to_owned(),
        id: hex(&id.0),
        patch_bytes,
        subject: Subject::Tree,
        new_bytes: new.files().map(|(_, file)| file.size).sum(),
        olds,
        tree,
        hot: Vec::new(),
        warnings,
    })
}

fn refuse_ranges_without_path(options: &DiffOptions) -> Result<()> {
    if options.ignore.is_empty() && options.retain.is_empty() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Usage, "ranges on the command line are for single files, and folders are compared")
        .hint("name the file that each range belongs to in a regions file (--regions)"))
}

/// A patch inside a folder that is compared would be part of the next comparison.
fn refuse_output_inside(olds: &[PathBuf], new: &Path, patch: &Path) -> Result<()> {
    let Ok(folder) = scratch_folder(patch).canonicalize() else { return Ok(()) };
    let mut trees = olds.iter().map(PathBuf::as_path).chain([new]);
    match trees.find(|tree| tree.canonicalize().is_ok_and(|tree| folder.starts_with(tree))) {
        Some(tree) => {
            let message = format!("the output lies inside '{}', which is compared", tree.display());
            Err(Error::new(ErrorKind::Usage, message).at(patch))
        }
        None => Ok(()),
    }
}

fn walk_all(olds: &[PathBuf], new: &Path, exclusions: &mut Exclusions) -> Result<(Vec<Tree>, Tree)> {
    let mut objections = Vec::new();
    let mut walk = |root: &Path| walk::walk(root, exclusions, &mut objections);
    let old_trees = olds.iter().map(|root| walk(root)).collect::<Result<Vec<_>>>()?;
    let new_tree = walk(new)?;
    if objections.is_empty() {
        return Ok((old_trees, new_tree));
    }
    Err(Error::new(ErrorKind::Usage, "not everything in these folders can stand in a patch")
        .details(objections)
        .hint("rename it, or leave it out: [[exclude]] in a regions file (--regions)"))
}

/// Reads every file once.
fn read_all(
    old_trees: Vec<Tree>,
    placements: Vec<Placement>,
    new_tree: Tree,
    progress: &dyn Progress,
) -> Result<(Vec<Old>, New)> {
    let bytes = |tree: &Tree| tree.entries.iter().filter_map(|(_, node)| node.file()).sum::<u64>();
    progress.begin("hash", old_trees.iter().chain([&new_tree]).map(bytes).sum());
    let read = || {
        let olds = old_trees
            .into_iter()
            .zip(placements)
            .enumerate()
            .map(|(index, (tree, placement))| Old::read(index + 1, tree, placement, progress))
            .collect::<Result<Vec<_>>>()?;
        Ok((olds, New::read(new_tree, progress)?))
    };
    let result = read();
    progress.end();
    result
}

impl Old {
    fn read(number: usize, tree: Tree, mut placement: Placement, progress: &dyn Progress) -> Result<Self> {
        let Tree { folder, entries } = tree;
        let placed: Vec<_> =
            entries.into_iter().enumerate().map(|(index, entry)| (entry, placement.remove(&index))).collect();
        let read = |((path, node), regions): ((TreePath, Node<u64>), Option<_>)| {
            let regions: Regions = regions.unwrap_or_default();
            let node = with_content(node, |size| {
                let hash = hash(&folder.open(&path, size, regions.old_blanks())?, progress)?;
                Ok(OldFile { size, hash, regions })
            })?;
            Ok(OldEntry { path, node })
        };
        let entries = placed.into_par_iter().map(read).collect::<Result<Vec<_>>>()?;
        Ok(Self { number, folder, entries })
    }

    /// The file at an index of the entries.
    fn file(&self, entry: usize) -> Option<(&TreePath, &OldFile)> {
        self.entries.get(entry).and_then(|entry| entry.node.file().map(|file| (&entry.path, file)))
    }

    /// Every file, with the index of its entry.
    fn files(&self) -> impl Iterator<Item = (usize, &TreePath, &OldFile)> {
        (0..self.entries.len()).filter_map(|entry| self.file(entry).map(|(path, file)| (entry, path, file)))
    }

    /// The file at an index of the entries as the patch sees it.
    fn view(&self, entry: usize) -> Result<View> {
        let (path, file) = self.file(entry).ok_or_else(|| Error::bug("a partner is no file"))?;
        self.folder.open(path, file.size, file.regions.old_blanks())
    }

    /// How messages name it.
    fn name(&self) -> String {
        format!("old tree {} ({})", self.number, self.folder.root.display())
    }
}

impl New {
    fn read(tree: Tree, progress: &dyn Progress) -> Result<Self> {
        let Tree { folder, entries } = tree;
        let read = |(path, node): (TreePath, Node<u64>)| {
            let node = with_content(node, |size| {
                Ok(NewFile { size, hash: hash(&folder.open(&path, size, [])?, progress)?, retained: Vec::new() })
            })?;
            Ok(NewEntry { path, node })
        };
        let entries = entries.into_par_iter().map(read).collect::<Result<Vec<_>>>()?;
        let files = (0..entries.len()).filter(|index| entries[*index].node.file().is_some()).collect();
        Ok(Self { folder, entries, files })
    }

    /// Every file, by its number.
    fn files(&self) -> impl Iterator<Item = (&TreePath, &NewFile)> {
        self.entries.iter().filter_map(|entry| entry.node.file().map(|file| (&entry.path, file)))
    }

    /// The file with this number.
    fn file(&self, number: usize) -> Result<(&TreePath, &NewFile)> {
        let entry = self.files.get(number).and_then(|index| self.entries.get(*index));
        entry
            .and_then(|entry| entry.node.file().map(|file| (&entry.path, file)))
            .ok_or_else(|| Error::bug("there is no new file of this number"))
    }

    /// The file with this number as the patch sees it.
    fn view(&self, number: usize) -> Result<View> {
        let (path, file) = self.file(number)?;
        self.folder.open(path, file.size, file.retained.iter().copied())
    }

    /// Blanks what comes from the user's old files, and hashes those files again.
    fn settle_retained(&mut self, versions: &[Version]) -> Result<()> {
        for (number, index) in self.files.iter().enumerate() {
            let Some(NewEntry { path, node: Node::File { file, .. } }) = self.entries.get_mut(*index) else { continue };
            file.retained = ranges::retained(number, versions);
            if !file.retained.is_empty() {
                let view = self.folder.open(path, file.size, file.retained.iter().copied())?;
                file.hash = source::hash(&view.bytes).map_err(|error| Error::io("read", &view.place, &error))?;
            }
        }
        Ok(())
    }
}

impl Version {
    /// The old file that a new one is made from.
    fn partner(&self, number: usize) -> Option<(&TreePath, &OldFile)> {
        self.partners.get(number).copied().flatten().and_then(|entry| self.old.file(entry))
    }
}

/// The same node with something else about the content of files.
fn with_content<F, G>(node: Node<F>, content: impl FnOnce(F) -> Result<G>) -> Result<Node<G>> {
    Ok(match node {
        Node::Folder { mode } => Node::Folder { mode },
        Node::File { mode, file } => Node::File { mode, file: content(file)? },
        Node::Symlink { target } => Node::Symlink { target },
    })
}

fn hash(view: &View, progress: &dyn Progress) -> Result<Hash> {
    let mut hasher = blake3::Hasher::new();
    source::for_each_chunk(&view.bytes, |chunk| {
        hasher.update(chunk);
        progress.advance(chunk.len() as u64);
        Ok(())
    })
    .map_err(|error| Error::io("read", &view.place, &error))?;
    Ok(*hasher.finalize().as_bytes())
}

/// The index of the entry at `path`, of entries sorted by path.
fn find<T>(entries: &[T], path_of: impl Fn(&T) -> &TreePath, path: &TreePath) -> Option<usize> {
    entries.binary_search_by(|entry| path_of(entry).cmp(path)).ok()
}
