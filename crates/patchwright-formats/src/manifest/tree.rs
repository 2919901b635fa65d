//! The part of a manifest that describes a tree.

use std::collections::HashMap;

use super::{
    MAX_TREE_ENTRIES, MODE_MASK, NewEntry, NewFile, Node, OldEntry, OldTree, STRUCTURE, Source, TreePatch, body_index,
    check_old, new_file, old_identity, olds_count, put_new_file, put_old_identity, put_retain_offsets, retain_offsets,
};
use crate::container::Kind;
use crate::error::{FormatError, FormatErrorKind};
use crate::path::{self, TreePath};
use crate::region::{Regions, RetainRange};
use crate::wire::{Reader, put_string, put_varint};

const NODE_FOLDER: u8 = 0;
const NODE_FILE: u8 = 1;
const NODE_SYMLINK: u8 = 2;
const SOURCE_WHOLE: u8 = 0;
const SOURCE_SAME: u8 = 1;
const SOURCE_DELTA: u8 = 2;

pub(super) fn put_tree_patch(out: &mut Vec<u8>, patch: &TreePatch) {
    put_entries(out, &patch.new, |entry| (&entry.path, &entry.node), put_new_file);
    put_varint(out, patch.olds.len() as u64);
    for old in &patch.olds {
        put_entries(out, &old.entries, |entry| (&entry.path, &entry.node), put_old_identity);
        for source in &old.sources {
            put_source(out, source);
        }
        for regions in retaining(old) {
            put_retain_offsets(out, regions);
        }
    }
}

/// The regions of the old files that are sources, in the order of the new files.
fn retaining(old: &OldTree) -> impl Iterator<Item = &Regions> {
    old.sources.iter().filter_map(|source| match source {
        Source::Whole { .. } => None,
        Source::Same { entry } | Source::Delta { entry, .. } => {
            old.entries.get(*entry).and_then(|entry| entry.node.file()).map(|file| &file.regions)
        }
    })
}

fn put_entries<E, F>(
    out: &mut Vec<u8>,
    entries: &[E],
    parts: impl Fn(&E) -> (&TreePath, &Node<F>),
    put_file: impl Fn(&mut Vec<u8>, &F),
) {
    put_varint(out, entries.len() as u64);
    for entry in entries {
        let (path, node) = parts(entry);
        put_string(out, path.as_str().as_bytes());
        match node {
            Node::Folder { mode } => {
                out.push(NODE_FOLDER);
                put_varint(out, u64::from(*mode));
            }
            Node::File { mode, file } => {
                out.push(NODE_FILE);
                put_varint(out, u64::from(*mode));
                put_file(out, file);
            }
            Node::Symlink { target } => {
                out.push(NODE_SYMLINK);
                put_string(out, target.as_bytes());
            }
        }
    }
}

fn put_source(out: &mut Vec<u8>, source: &Source) {
    match source {
        Source::Whole { body } => {
            out.push(SOURCE_WHOLE);
            put_varint(out, *body as u64);
        }
        Source::Same { entry } => {
            out.push(SOURCE_SAME);
            put_varint(out, *entry as u64);
        }
        Source::Delta { entry, body } => {
            out.push(SOURCE_DELTA);
            put_varint(out, *entry as u64);
            put_varint(out, *body as u64);
        }
    }
}

pub(super) fn tree_patch(reader: &mut Reader<'_>, blobs: &[Kind]) -> Result<TreePatch, FormatError> {
    let new: Vec<NewEntry> =
        entries(reader, new_file)?.into_iter().map(|(path, node)| NewEntry { path, node }).collect();
    let olds =
        (0..olds_count(reader)?).map(|_| old_tree(reader, &new, blobs)).collect::<Result<Vec<_>, FormatError>>()?;
    Ok(TreePatch { new, olds, links: Vec::new() })
}

fn old_tree(reader: &mut Reader<'_>, new: &[NewEntry], blobs: &[Kind]) -> Result<OldTree, FormatError> {
    let mut old = OldTree {
        entries: entries(reader, old_identity)?.into_iter().map(|(path, node)| OldEntry { path, node }).collect(),
        sources: Vec::new(),
    };
    let new_files: Vec<&NewFile> = new.iter().filter_map(|entry| entry.node.file()).collect();
    for _ in &new_files {
        old.sources.push(source(reader, &old.entries, blobs)?);
    }
    attach_retain_offsets(reader, &mut old, &new_files)?;
    Ok(old)
}

/// Reads where the retained bytes of each new file stand in the old file that it is made from.
fn attach_retain_offsets(
    reader: &mut Reader<'_>,
    old: &mut OldTree,
    new_files: &[&NewFile],
) -> Result<(), FormatError> {
    let mut owners: HashMap<usize, Vec<RetainRange>> = HashMap::new();
    for (source, new) in old.sources.iter().zip(new_files) {
        let (Source::Same { entry } | Source::Delta { entry, .. }) = source else {
            if new.retained.is_empty() {
                continue;
            }
            return Err(reader.malformed("a file with retained ranges has no old file to take them from"));
        };
        let retain = retain_offsets(reader, new)?;
        let Some(Node::File { file, .. }) = old.entries.get_mut(*entry).map(|entry| &mut entry.node) else {
            return Err(reader.malformed("a source is not a file"));
        };
        if owners.entry(*entry).or_insert_with(|| retain.clone()) != &retain {
            return Err(reader.malformed("two files retain different ranges of one old file"));
        }
        file.regions.retain = retain;
        check_old(reader, file, new.size)?;
        if matches!(source, Source::Same { .. }) && !file.is_new_already(new) {
            return Err(reader.malformed("a file that is said to stay as it is differs between the versions"));
        }
    }
    Ok(())
}

fn source(reader: &mut Reader<'_>, entries: &[OldEntry], blobs: &[Kind]) -> Result<Source, FormatError> {
    Ok(match reader.u8()? {
        SOURCE_WHOLE => Source::Whole { body: body_index(reader, blobs)? },
        SOURCE_SAME => Source::Same { entry: entry_index(reader, entries)? },
        SOURCE_DELTA => Source::Delta { entry: entry_index(reader, entries)?, body: body_index(reader, blobs)? },
        other => return Err(reader.unsupported(format!("source {other}"))),
    })
}

fn entry_index(reader: &mut Reader<'_>, entries: &[OldEntry]) -> Result<usize, FormatError> {
    let found = reader.varint()?;
    let index = usize::try_from(found).ok();
    match index.filter(|index| entries.get(*index).is_some_and(|entry| entry.node.file().is_some())) {
        Some(index) => Ok(index),
        None => Err(reader.malformed(format!("old entry {found} is not a file"))),
    }
}

/// A path takes at least two bytes and what follows it two more.
const MIN_ENTRY_LEN: usize = 4;

fn entries<F>(
    reader: &mut Reader<'_>,
    read_file: impl Fn(&mut Reader<'_>) -> Result<F, FormatError>,
) -> Result<Vec<(TreePath, Node<F>)>, FormatError> {
    let count = reader.count("tree entries", MIN_ENTRY_LEN)?;
    if count > MAX_TREE_ENTRIES {
        let kind =
            FormatErrorKind::TooLarge { what: "tree entries", found: count as u64, limit: MAX_TREE_ENTRIES as u64 };
        return Err(FormatError::new(STRUCTURE, reader.offset(), kind));
    }
    let mut entries: Vec<(TreePath, Node<F>)> = Vec::new();
    for _ in 0..count {
        let entry = (tree_path(reader)?, node(reader, &read_file)?);
        if entries.last().is_some_and(|(before, _)| *before >= entry.0) {
            return Err(reader.malformed(format!("'{}' is out of order", entry.0)));
        }
        entries.push(entry);
    }
    check_tree(reader, &entries)?;
    Ok(entries)
}

/// Makes sure that no two paths can be taken for each other and that only folders have something inside.
fn check_tree<F>(reader: &Reader<'_>, entries: &[(TreePath, Node<F>)]) -> Result<(), FormatError> {
    if let Some((first, second)) = path::twins(entries.iter().map(|(path, _)| path)).first() {
        return Err(reader.malformed(format!("'{first}' and '{second}' are one name on some file systems")));
    }
    for (path, _) in entries {
        let Some(parent) = path.parent() else { continue };
        let found = entries.binary_search_by(|(other, _)| other.cmp(&parent)).ok().map(|index| &entries[index].1);
        if !matches!(found, Some(Node::Folder { .. })) {
            return Err(reader.malformed(format!("'{path}' does not stand in a folder of the patch")));
        }
    }
    Ok(())
}

fn tree_path(reader: &mut Reader<'_>) -> Result<TreePath, FormatError> {
    let bytes = reader.string("path length")?;
    let text = std::str::from_utf8(bytes).map_err(|_| reader.malformed("a path is not UTF-8"))?;
    TreePath::new(text).map_err(|objection| reader.malformed(format!("path '{}' {objection}", text.escape_debug())))
}

fn node<F>(
    reader: &mut Reader<'_>,
    read_file: &impl Fn(&mut Reader<'_>) -> Result<F, FormatError>,
) -> Result<Node<F>, FormatError> {
    Ok(match reader.u8()? {
        NODE_FOLDER => Node::Folder { mode: mode(reader)? },
        NODE_FILE => Node::File { mode: mode(reader)?, file: read_file(reader)? },
        NODE_SYMLINK => Node::Symlink { target: symlink_target(reader)? },
        other => return Err(reader.unsupported(format!("node {other}"))),
    })
}

fn mode(reader: &mut Reader<'_>) -> Result<u32, FormatError> {
    let found = reader.varint_to("mode", MODE_MASK)?;
    Ok(u32::try_from(found).expect("at most twelve bits"))
}

fn symlink_target(reader: &mut Reader<'_>) -> Result<String, FormatError> {
    let bytes = reader.string("link length")?;
    match std::str::from_utf8(bytes) {
        Ok(target) if !target.is_empty() && !target.contains('\0') && target.len() < path::MAX_PATH_LEN => {
            Ok(target.to_owned())
        }
        _ => Err(reader.malformed("the target of a symbolic link is not a path")),
    }
}
