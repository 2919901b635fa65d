//! Which version of a tree it is: every entry that the patch lists must be there and match.
//!
//! What the patch does not list is the user's and is not looked at. Permission bits take no part: installers and
//! administrators change them.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use patchwright_formats::manifest::{Hash, Node, OldTree, TreePatch};
use patchwright_formats::{Blanked, ByteRange, TreePath, region};

use crate::disk::{Disk, FileKind};
use crate::error::{Error, ErrorKind, Result};
use crate::progress::Progress;
use crate::recognise::hash_with_progress;
use crate::tree_changes::find_new;

/// How many differences are listed.
const LISTED: usize = 10;

/// Which versions a folder can be. It can be the new one and an old one at once, where they differ only in permission
/// bits or in folders that go, which take no part in recognising; whether anything is left to do then shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Recognised {
    pub(crate) is_new: bool,
    /// Of the old versions that match, the one with most entries; the first among equals.
    pub(crate) old: Option<usize>,
}

/// Says which version of `tree` stands in the folder, or that it is none, with what differs from the closest.
pub(crate) fn recognise_tree(disk: &dyn Disk, tree: &TreePatch, progress: &dyn Progress) -> Result<Recognised> {
    let mut eye = Eye { disk, progress, hashes: HashMap::new() };
    let is_new = eye.is_new(tree)?;
    let mut old: Option<usize> = None;
    for (index, version) in tree.olds.iter().enumerate() {
        let entries = |index: usize| tree.olds.get(index).map_or(0, |version| version.entries.len());
        // One version can have all that another has, and more.
        let says_more = old.is_none_or(|best| version.entries.len() > entries(best));
        if says_more && eye.old_differences(version, 1)?.is_empty() {
            old = Some(index);
        }
    }
    if is_new || old.is_some() { Ok(Recognised { is_new, old }) } else { Err(eye.explain(tree)?) }
}

struct Eye<'a> {
    disk: &'a dyn Disk,
    progress: &'a dyn Progress,
    /// Hashes under blanks, each worked out once.
    hashes: HashMap<(TreePath, Vec<ByteRange>), Hash>,
}

impl Eye<'_> {
    fn is_new(&mut self, tree: &TreePatch) -> Result<bool> {
        if !self.new_differences(tree, 1)?.is_empty() {
            return Ok(false);
        }
        // Where nothing but removals is left to do, every new entry matches already.
        for entry in tree.olds.iter().flat_map(|old| &old.entries) {
            let is_gone = find_new(tree, &entry.path).is_none();
            if is_gone && !matches!(entry.node, Node::Folder { .. }) && self.stat(&entry.path)?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn new_differences(&mut self, tree: &TreePatch, limit: usize) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for entry in &tree.new {
            let difference = self.difference(&entry.path, &entry.node, |file| {
                (file.size, file.hash, region::union(file.retained.iter().copied()))
            })?;
            found.extend(difference);
            if found.len() >= limit {
                break;
            }
        }
        Ok(found)
    }

    fn old_differences(&mut self, old: &OldTree, limit: usize) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for entry in &old.entries {
            let difference =
                self.difference(&entry.path, &entry.node, |file| (file.size, file.hash, file.regions.old_blanks()))?;
            found.extend(difference);
            if found.len() >= limit {
                break;
            }
        }
        Ok(found)
    }

    /// How what stands at `path` differs from `node`; `identity` gives a file's length, hash and blanks.
    fn difference<F>(
        &mut self,
        path: &TreePath,
        node: &Node<F>,
        identity: impl Fn(&F) -> (u64, Hash, Vec<ByteRange>),
    ) -> Result<Option<String>> {
        let Some(stat) = self.stat(path)? else { return Ok(Some(format!("{path}: is missing"))) };
        let wanted = match node {
            Node::Folder { .. } => FileKind::Folder,
            Node::File { .. } => FileKind::File,
            Node::Symlink { .. } => FileKind::Link,
        };
        if stat.kind != wanted {
            return Ok(Some(format!("{path}: is {}, not {}", stat.kind.name(), wanted.name())));
        }
        Ok(match node {
            Node::Folder { .. } => None,
            Node::File { file, .. } => {
                let (size, hash, blanks) = identity(file);
                if stat.len != size {
                    Some(format!("{path}: has {} bytes, not {size}", stat.len))
                } else if self.hash(path, blanks)? != hash {
                    Some(format!("{path}: has other content"))
                } else {
                    None
                }
            }
            Node::Symlink { target } => {
                let found = self.disk.read_link(at(path)).map_err(|error| failed(path, &error))?;
                (found != target.as_str()).then(|| format!("{path}: leads elsewhere"))
            }
        })
    }

    fn stat(&self, path: &TreePath) -> Result<Option<crate::disk::Stat>> {
        match self.disk.stat(at(path)) {
            // A file where the patch has a folder: nothing can stand below it.
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(None),
            other => other.map_err(|error| failed(path, &error)),
        }
    }

    fn hash(&mut self, path: &TreePath, blanks: Vec<ByteRange>) -> Result<Hash> {
        let key = (path.clone(), blanks);
        if let Some(hash) = self.hashes.get(&key) {
            return Ok(*hash);
        }
        let file = self.disk.open(at(path)).map_err(|error| failed(path, &error))?;
        let view = Blanked::new(&*file, key.1.iter().copied());
        let hash = hash_with_progress(&view, self.progress).map_err(|error| failed(path, &error))?;
        self.hashes.insert(key, hash);
        Ok(hash)
    }

    fn explain(&mut self, tree: &TreePatch) -> Result<Error> {
        let mut closest = ("the new version".to_owned(), self.new_differences(tree, usize::MAX)?);
        for (index, old) in tree.olds.iter().enumerate() {
            let differences = self.old_differences(old, usize::MAX)?;
            if differences.len() <= closest.1.len() {
                closest = (format!("old version {}", index + 1), differences);
            }
        }
        let (version, differences) = closest;
        let count = differences.len();
        let more = count.saturating_sub(LISTED);
        let versions = match tree.olds.len() {
            1 => "neither the old version that the patch knows nor the new one".to_owned(),
            count => format!("none of the {count} old versions that the patch knows, nor the new one"),
        };
        let error = Error::new(ErrorKind::WrongInput, format!("this folder is {versions}; nothing was changed"));
        Ok(error
            .at("")
            .details([match count {
                1 => format!("closest is {version}, from which one entry differs:"),
                _ => format!("closest is {version}, from which {count} entries differ:"),
            }])
            .details(differences.into_iter().take(LISTED))
            .details((more > 0).then(|| format!("and {more} more")))
            .hint(
                "is it the right folder, unmodified? Files that users may edit can be excluded when the patch is made",
            ))
    }
}

/// Where an entry of a tree stands on the disk.
pub(crate) fn at(path: &TreePath) -> &Path {
    Path::new(path.as_str())
}

fn failed(path: &TreePath, error: &io::Error) -> Error {
    Error::io("read", path.as_str(), error)
}
