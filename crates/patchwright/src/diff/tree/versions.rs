//! Which old versions the patch needs, and which could be taken for one another.

use std::cmp::Ordering;

use patchwright_formats::manifest::{Hash, NewEntry, Node, OldEntry};
use patchwright_formats::{ByteRange, Regions, TreePath, region};

use crate::error::{Error, Result};

use super::super::check_versions;
use super::super::file::{agree_outside, moves_retained};
use super::walk::Folder;
use super::{New, Old, Version, find};

/// Leaves out old versions that say nothing new, and refuses those that could be taken for one another.
pub(super) fn sort_out(versions: Vec<Version>, new: &New, warnings: &mut Vec<String>) -> Result<Vec<Version>> {
    let mut kept: Vec<Version> = Vec::new();
    let mut objections = Vec::new();
    for version in versions {
        let name = version.old.name();
        if is_new_already(&version, new) {
            warnings.push(format!("{name} is the new version already and left out"));
            continue;
        }
        if let Some(twin) = kept.iter().find(|other| other.old.entries == version.old.entries) {
            warnings.push(format!("{name} is the same version as {} and left out", twin.old.name()));
            continue;
        }
        objections.extend(confusions(&kept, &version, new)?);
        kept.push(version);
    }
    check_versions(kept, objections, warnings)
}

/// Whether nothing differs, permission bits included.
fn is_new_already(version: &Version, new: &New) -> bool {
    let old = &version.old.entries;
    let mut partners = version.partners.iter();
    old.len() == new.entries.len()
        && new.entries.iter().zip(old).enumerate().all(|(index, (new, old))| {
            new.path == old.path
                && match (&new.node, &old.node) {
                    (Node::File { mode, file }, Node::File { mode: old_mode, file: old }) => {
                        partners.next() == Some(&Some(index)) && mode == old_mode && old.is_new_already(file)
                    }
                    (Node::Folder { mode }, Node::Folder { mode: old_mode }) => mode == old_mode,
                    (Node::Symlink { target }, Node::Symlink { target: old_target }) => target == old_target,
                    _ => false,
                }
        })
}

/// Lists the versions that some user's folder could be as well as `version`, with other bytes retained.
fn confusions(others: &[Version], version: &Version, new: &New) -> Result<Vec<String>> {
    let files = new.files().enumerate().filter(|(_, (_, file))| !file.retained.is_empty());
    let retaining: Vec<(usize, &TreePath)> = files.map(|(number, (path, _))| (number, path)).collect();
    let mut found = Vec::new();
    let name = version.old.name();
    for other in others {
        let differs = |number: usize| retained(version, number) != retained(other, number);
        let paths: Vec<_> = retaining.iter().filter(|(number, _)| differs(*number)).collect();
        if !paths.is_empty() && could_be_either(&Side::old(&version.old), &Side::old(&other.old))? {
            let other = other.old.name();
            found.extend(
                paths.iter().map(|(_, path)| format!("{name} and {other}: they retain other bytes of '{path}'")),
            );
        }
    }
    let moves = |number: usize| retained(version, number).is_some_and(|(_, regions)| moves_retained(regions));
    let paths: Vec<_> = retaining.iter().filter(|(number, _)| moves(*number)).collect();
    if !paths.is_empty() && could_be_either(&Side::old(&version.old), &Side::new(new))? {
        found.extend(paths.iter().map(|(_, path)| {
            format!(
                "{name} and the new version: applying the patch twice would move the retained bytes of '{path}' twice"
            )
        }));
    }
    Ok(found)
}

/// The old file whose bytes a new file retains.
fn retained(version: &Version, number: usize) -> Option<(&TreePath, &Regions)> {
    let (path, file) = version.partner(number)?;
    (!file.regions.retain.is_empty()).then_some((path, &file.regions))
}

/// A version as somebody looks at it who wants to recognise it: no permission bits, and blanks in files.
struct Side<'a> {
    folder: &'a Folder,
    entries: Vec<(&'a TreePath, Sight<'a>)>,
}

enum Sight<'a> {
    Folder,
    Link(&'a str),
    File { size: u64, hash: Hash, blanks: Vec<ByteRange> },
}

impl<'a> Side<'a> {
    fn old(old: &'a Old) -> Self {
        let sight = |entry: &'a OldEntry| {
            let OldEntry { path, node } = entry;
            (path, Sight::of(node, |file| (file.size, file.hash, file.regions.old_blanks())))
        };
        Self { folder: &old.folder, entries: old.entries.iter().map(sight).collect() }
    }

    fn new(new: &'a New) -> Self {
        let sight = |entry: &'a NewEntry| {
            let NewEntry { path, node } = entry;
            (path, Sight::of(node, |file| (file.size, file.hash, region::union(file.retained.iter().copied()))))
        };
        Self { folder: &new.folder, entries: new.entries.iter().map(sight).collect() }
    }

    fn has(&self, path: &TreePath) -> bool {
        find(&self.entries, |(path, _)| path, path).is_some()
    }
}

impl<'a> Sight<'a> {
    fn of<F>(node: &'a Node<F>, content: impl FnOnce(&F) -> (u64, Hash, Vec<ByteRange>)) -> Self {
        match node {
            Node::Folder { .. } => Self::Folder,
            Node::Symlink { target } => Self::Link(target),
            Node::File { file, .. } => {
                let (size, hash, blanks) = content(file);
                Self::File { size, hash, blanks }
            }
        }
    }
}

/// Whether one folder can be both versions: one has all that the other has, and what both have agrees.
fn could_be_either(first: &Side<'_>, second: &Side<'_>) -> Result<bool> {
    let (small, large) = match first.entries.len().cmp(&second.entries.len()) {
        Ordering::Greater => (second, first),
        _ => (first, second),
    };
    if !small.entries.iter().all(|(path, _)| large.has(path)) {
        return Ok(false);
    }
    let mut undecided = Vec::new();
    for (path, mine) in &small.entries {
        let Some(place) = find(&large.entries, |(path, _)| path, path) else { return Ok(false) };
        let other = &large.entries[place].1;
        match (mine, other) {
            (Sight::Folder, Sight::Folder) => {}
            (Sight::Link(mine), Sight::Link(other)) if mine == other => {}
            (
                Sight::File { size, hash, blanks },
                Sight::File { size: other_size, hash: other_hash, blanks: others },
            ) if size == other_size => match (blanks == others, hash == other_hash) {
                (true, true) => {}
                (true, false) => return Ok(false),
                (false, _) => undecided.push((*path, *size, blanks, others)),
            },
            _ => return Ok(false),
        }
    }
    for (path, size, blanks, others) in undecided {
        let mine = small.folder.open(path, size, [])?;
        let other = large.folder.open(path, size, [])?;
        let agree = agree_outside(&mine.bytes, blanks, &other.bytes, others);
        if !agree.map_err(|error| Error::io("read", &mine.place, &error))? {
            return Ok(false);
        }
    }
    Ok(true)
}
