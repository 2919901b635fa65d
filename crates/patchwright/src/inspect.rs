//! `patchwright inspect`: what is in a patch.

use std::path::Path;

use patchwright_delta::BodyInfo;
use patchwright_formats::account::{BodyAccount, SectionAccount};
use patchwright_formats::manifest::{self, Node, Source};
use patchwright_formats::{ByteRange, Kind, Manifest, RetainRange};

use crate::error::Result;
use crate::make::apply_error;
use crate::pa19::{Pa19File, is_pa19};
use crate::patch_file::Patch;
use crate::processes::hot_report;
use crate::report::{
    ChangeKind, InspectReport, InspectedBlob, InspectedChange, InspectedDelta, InspectedNew, InspectedOld,
    InspectedRange, InspectedRetain, InspectedSection, InspectedSpending, InspectedStream, InspectedTree, Inspection,
    Subject, hex,
};
use crate::tree_changes::{Change, Changes, changes};

/// Lists versions, ranges, sizes, and where the bytes of the patch went. Deltas are described by their headers; use
/// [`verify`](crate::verify()) to check every byte.
pub fn inspect(patch: &Path) -> Result<Inspection> {
    if is_pa19(patch)? {
        return Pa19File::open(patch)?.inspect().map(Inspection::Pa19);
    }
    let patch = Patch::open(patch)?;
    let mut report = InspectReport {
        schema: "patchwright.inspect/1",
        patch: patch.path().to_owned(),
        id: hex(&patch.id().0),
        patch_bytes: patch.len_bytes(),
        subject: Subject::File,
        reverts: patch.undo.as_ref().map(|undo| hex(&undo.reverts.0)),
        new: None,
        olds: Vec::new(),
        tree: Vec::new(),
        blobs: blobs(&patch)?,
        hot: patch.hot_parts()?.iter().map(|part| hot_report(part, Vec::new())).collect(),
    };
    match &patch.manifest {
        Manifest::File(patch) => {
            report.new = Some(InspectedNew { bytes: patch.new.size, blake3: hex(&patch.new.hash) });
            let old = |old: &patchwright_formats::manifest::OldVersion| InspectedOld {
                bytes: old.file.size,
                blake3: hex(&old.file.hash),
                ignore: ignored(&old.file.regions.ignore),
                retain: retained(&old.file.regions.retain),
                blob: old.body,
                then: manifest::way(&patch.links, old.body).into_iter().skip(1).map(|(blob, _)| blob).collect(),
            };
            report.olds = patch.olds.iter().map(old).collect();
        }
        Manifest::Tree(manifest) => {
            report.subject = Subject::Tree;
            report.tree = manifest.olds.iter().map(|old| inspect_tree(&changes(manifest, old))).collect();
        }
    }
    Ok(Inspection::Pwp(report))
}

fn inspect_tree(changes: &Changes<'_>) -> InspectedTree {
    // A path that a moved file left is told where it went.
    let left: Vec<_> = changes
        .list
        .iter()
        .filter(|change| change.kind == ChangeKind::Renamed)
        .filter_map(|change| change.origin.map(|origin| &origin.path))
        .collect();
    let told_elsewhere = |change: &&Change<'_>| change.kind == ChangeKind::Removed && left.contains(&change.path);
    let listed = changes.list.iter().filter(|change| !told_elsewhere(change));
    InspectedTree { summary: changes.summary, changes: listed.map(inspect_change).collect() }
}

fn inspect_change(change: &Change<'_>) -> InspectedChange {
    let origin = change.origin.and_then(|entry| entry.node.file());
    let old_file = origin.or(change.before.and_then(Node::file));
    InspectedChange {
        path: change.path.to_string(),
        change: change.kind,
        from: change.origin.filter(|entry| entry.path != *change.path).map(|entry| entry.path.to_string()),
        node: change.after.map(node_name).or(change.before.map(node_name)).unwrap_or_default(),
        old_bytes: old_file.map(|file| file.size),
        new_bytes: change.after.and_then(Node::file).map(|file| file.size),
        blob: match change.source {
            Some(Source::Whole { body } | Source::Delta { body, .. }) => Some(body),
            _ => None,
        },
        ignore: origin.map(|file| ignored(&file.regions.ignore)).unwrap_or_default(),
        retain: origin.map(|file| retained(&file.regions.retain)).unwrap_or_default(),
    }
}

fn node_name<F>(node: &Node<F>) -> &'static str {
    match node {
        Node::Folder { .. } => "folder",
        Node::File { .. } => "file",
        Node::Symlink { .. } => "link",
    }
}

pub(crate) fn ignored(ranges: &[ByteRange]) -> Vec<InspectedRange> {
    ranges.iter().map(|range| InspectedRange { offset: range.offset, length: range.len }).collect()
}

pub(crate) fn retained(ranges: &[RetainRange]) -> Vec<InspectedRetain> {
    let view = |range: &RetainRange| InspectedRetain {
        old_offset: range.old_offset,
        length: range.len,
        new_offset: range.new_offset,
    };
    ranges.iter().map(view).collect()
}

fn blobs(patch: &Patch) -> Result<Vec<InspectedBlob>> {
    let accounts = patch.accounts()?;
    let blob = |(index, entry): (usize, &patchwright_formats::container::Entry)| {
        let delta = match entry.kind {
            Kind::COLD => {
                let account = accounts.iter().find(|account| account.body == index);
                Some(InspectedDelta { spending: account.map(spending), ..describe(patch, index)? })
            }
            _ => None,
        };
        Ok(InspectedBlob {
            kind: entry.kind.to_string(),
            offset: entry.range.offset,
            bytes: entry.range.len,
            blake3: hex(&entry.hash),
            delta,
        })
    };
    patch.container.entries().iter().enumerate().map(blob).collect()
}

fn spending(account: &BodyAccount) -> InspectedSpending {
    let section = |section: &SectionAccount| {
        let [groups, flags, bytes, references, words, literals] = section.bytes;
        InspectedSection {
            name: section.name.clone(),
            offset: section.offset,
            length: section.len,
            group_bytes: groups,
            flag_bytes: flags,
            byte_bytes: bytes,
            reference_bytes: references,
            word_bytes: words,
            literal_bytes: literals,
        }
    };
    InspectedSpending {
        head_bytes: account.head_bytes,
        other_bytes: account.other_bytes,
        sections: account.sections.iter().map(section).collect(),
    }
}

fn describe(patch: &Patch, index: usize) -> Result<InspectedDelta> {
    let info = patchwright_delta::describe(&patch.body_unchecked(index)?)
        .map_err(|error| apply_error(&error).at(patch.path()))?;
    Ok(InspectedDelta {
        version: info.version,
        segments: info.segment_count,
        covers: info.cover_count,
        streams: streams(&info),
        spending: None,
    })
}

/// The streams summed up by kind; of version 2, the parts.
fn streams(info: &BodyInfo) -> Vec<InspectedStream> {
    let streams =
        info.streams.iter().map(|stream| (stream.kind.name(), stream.codec.name(), stream.raw_len, stream.stored_len));
    let parts = info.parts.iter().map(|part| (part.name, part.method, part.raw_len, part.stored_len));
    let mut summed: Vec<InspectedStream> = Vec::new();
    for (kind, codec, raw_len, stored_len) in streams.chain(parts) {
        if summed.last().is_none_or(|last| last.kind != kind) {
            summed.push(InspectedStream { kind, codecs: Vec::new(), raw_bytes: 0, stored_bytes: 0 });
        }
        if let Some(last) = summed.last_mut() {
            last.codecs.push(codec);
            last.raw_bytes = last.raw_bytes.saturating_add(raw_len);
            last.stored_bytes = last.stored_bytes.saturating_add(stored_len);
        }
    }
    summed
}
