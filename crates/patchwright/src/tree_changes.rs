//! What differs between an old version of a tree and the new one, entry by entry.

use patchwright_formats::TreePath;
use patchwright_formats::manifest::{NewEntry, NewFile, Node, OldEntry, OldFile, OldTree, Source, TreePatch};

use crate::report::{ChangeKind, TreeSummary};

/// One entry that differs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change<'m> {
    pub(crate) kind: ChangeKind,
    /// Where it is in the new version, or was, for what is removed.
    pub(crate) path: &'m TreePath,
    /// What stood at this path in the old version.
    pub(crate) before: Option<&'m Node<OldFile>>,
    /// What stands at this path in the new version.
    pub(crate) after: Option<&'m Node<NewFile>>,
    /// What a file of the new version is made from.
    pub(crate) source: Option<Source>,
    /// The old entry that a file is made from.
    pub(crate) origin: Option<&'m OldEntry>,
}

/// Everything that differs, sorted by path, and counts of all that does or does not.
#[derive(Debug)]
pub(crate) struct Changes<'m> {
    pub(crate) list: Vec<Change<'m>>,
    pub(crate) summary: TreeSummary,
}

/// Compares the old version `old` of `tree` with its new version.
pub(crate) fn changes<'m>(tree: &'m TreePatch, old: &'m OldTree) -> Changes<'m> {
    let mut found = Changes { list: Vec::new(), summary: TreeSummary::default() };
    let mut sources = old.sources.iter();
    for entry in &tree.new {
        let source = entry.node.file().and_then(|_| sources.next().copied());
        found.add_new(entry, source, old);
    }
    for entry in &old.entries {
        // What moved away is counted where it went.
        if find_new(tree, &entry.path).is_none() {
            found.list.push(Change {
                kind: ChangeKind::Removed,
                path: &entry.path,
                before: Some(&entry.node),
                after: None,
                source: None,
                origin: None,
            });
        }
    }
    found.count_removed();
    found.list.sort_by(|first, second| first.path.cmp(second.path));
    found
}

impl<'m> Changes<'m> {
    fn add_new(&mut self, entry: &'m NewEntry, source: Option<Source>, old: &'m OldTree) {
        let before = find_old(old, &entry.path).map(|entry| &entry.node);
        let origin = match source {
            Some(Source::Same { entry } | Source::Delta { entry, .. }) => old.entries.get(entry),
            _ => None,
        };
        let Some(kind) = kind_of_change(entry, before, source, origin) else {
            self.summary.unchanged += 1;
            return;
        };
        match kind {
            ChangeKind::Added => self.summary.added += 1,
            ChangeKind::Changed => self.summary.changed += 1,
            ChangeKind::Renamed => self.summary.renamed += 1,
            ChangeKind::ModeChanged => self.summary.mode_changed += 1,
            ChangeKind::Removed => {}
        }
        self.list.push(Change { kind, path: &entry.path, before, after: Some(&entry.node), source, origin });
    }

    /// Leaves what can still be to do in a folder that matches the new version: permission bits, and folders that go.
    pub(crate) fn keep_what_recognising_overlooks(&mut self) {
        self.list.retain(|change| {
            change.kind == ChangeKind::ModeChanged
                || (change.kind == ChangeKind::Removed && matches!(change.before, Some(Node::Folder { .. })))
        });
    }

    /// An old path that a moved file left is no removal of its own.
    fn count_removed(&mut self) {
        let mut left: Vec<&TreePath> = self
            .list
            .iter()
            .filter(|change| change.kind == ChangeKind::Renamed)
            .filter_map(|change| change.origin.map(|origin| &origin.path))
            .collect();
        left.sort_unstable();
        let removed = self.list.iter().filter(|change| change.kind == ChangeKind::Removed);
        self.summary.removed = removed.filter(|change| left.binary_search(&change.path).is_err()).count();
    }
}

/// What happens to an entry of the new version; `None` when it stays as it is.
fn kind_of_change(
    entry: &NewEntry,
    before: Option<&Node<OldFile>>,
    source: Option<Source>,
    origin: Option<&OldEntry>,
) -> Option<ChangeKind> {
    let moved = origin.is_some_and(|origin| origin.path != entry.path);
    match (&entry.node, before) {
        (Node::File { mode, .. }, Some(Node::File { mode: old_mode, .. })) => match source {
            Some(Source::Same { .. }) if !moved => (mode != old_mode).then_some(ChangeKind::ModeChanged),
            _ => Some(ChangeKind::Changed),
        },
        (Node::Folder { mode }, Some(Node::Folder { mode: old_mode })) => {
            (mode != old_mode).then_some(ChangeKind::ModeChanged)
        }
        (Node::Symlink { target }, Some(Node::Symlink { target: old_target })) => {
            (target != old_target).then_some(ChangeKind::Changed)
        }
        (_, Some(_)) => Some(ChangeKind::Changed),
        (Node::File { .. }, None) if moved => Some(ChangeKind::Renamed),
        (_, None) => Some(ChangeKind::Added),
    }
}

/// The entry of the new version at `path`.
pub(crate) fn find_new<'m>(tree: &'m TreePatch, path: &TreePath) -> Option<&'m NewEntry> {
    tree.new.binary_search_by(|entry| entry.path.cmp(path)).ok().and_then(|index| tree.new.get(index))
}

/// The entry of the old version at `path`.
pub(crate) fn find_old<'m>(old: &'m OldTree, path: &TreePath) -> Option<&'m OldEntry> {
    old.entries.binary_search_by(|entry| entry.path.cmp(path)).ok().and_then(|index| old.entries.get(index))
}
