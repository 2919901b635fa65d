//! The manifest: what a patch is for, from which versions, to which, and how each file gets there.
//!
//! Specification: `docs/formats/manifest.md`. Reading checks everything that later code relies on: ranges are sorted,
//! disjoint and inside their files, references point at something that is there, paths are safe. What a
//! [`Manifest`] says can be followed without further thought.

mod links;
mod tree;

use std::io;

use crate::container::Kind;
use crate::error::FormatError;
use crate::path::TreePath;
use crate::region::{self, ByteRange, MAX_RANGES, Regions, RetainRange};
use crate::wire::{Reader, put_varint};

pub use links::{Between, Link, MAX_BETWEEN_LEN, MAX_STEPS, way};

/// Most old versions of one patch.
pub const MAX_OLDS: usize = 255;
/// Longest file that a patch may describe: one tebibyte.
pub const MAX_FILE_LEN: u64 = 1 << 40;
/// Longest manifest before compression.
pub const MAX_MANIFEST_LEN: u64 = 64 << 20;
/// Most entries of one version of a tree.
pub const MAX_TREE_ENTRIES: usize = 1 << 20;

const STRUCTURE: &str = "manifest";
/// The version of a manifest in which every delta leads to the new file.
const VERSION: u8 = 1;
/// The version that can link deltas.
const VERSION_LINKED: u8 = 2;
const CODEC_RAW: u8 = 0;
const CODEC_ZSTD: u8 = 1;
const ZSTD_LEVEL: i32 = 19;
/// Mode bits that a patch carries: permissions, set-id and sticky.
const MODE_MASK: u64 = 0o7777;

/// A BLAKE3 hash.
pub type Hash = [u8; 32];

/// What a patch is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manifest {
    /// One file, whatever its name.
    File(FilePatch),
    /// A folder with everything in it.
    Tree(TreePatch),
}

/// One file and its old versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePatch {
    /// The new version.
    pub new: NewFile,
    /// The old versions, none of which can be taken for another.
    pub olds: Vec<OldVersion>,
    /// The deltas that lead to a file between, in ascending order of their blobs.
    pub links: Vec<Link>,
}

/// An old version of a single file, and the delta that leads from it to the new one, or on the way there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldVersion {
    /// How it is recognised.
    pub file: OldFile,
    /// Index of the `COLD` blob in the container's table.
    pub body: usize,
}

/// The new version of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFile {
    /// Length in bytes.
    pub size: u64,
    /// BLAKE3 of the file with the retained ranges blanked.
    pub hash: Hash,
    /// Where retained bytes go: sorted, disjoint, inside the file.
    pub retained: Vec<ByteRange>,
}

/// An old version of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldFile {
    /// Length in bytes.
    pub size: u64,
    /// BLAKE3 of the file with ignored and retained ranges blanked.
    pub hash: Hash,
    /// Ignored and retained ranges; the new side of the latter is [`NewFile::retained`].
    pub regions: Regions,
}

impl OldFile {
    /// Whether the old file, whatever its retained bytes, is the new one.
    pub fn is_new_already(&self, new: &NewFile) -> bool {
        let in_place = |range: &RetainRange| range.old_offset == range.new_offset;
        self.size == new.size
            && self.hash == new.hash
            && self.regions.ignore.is_empty()
            && self.regions.retain.iter().all(in_place)
    }
}

/// A folder, its new version and its old ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TreePatch {
    /// Every entry of the new version, sorted by path.
    pub new: Vec<NewEntry>,
    /// The old versions.
    pub olds: Vec<OldTree>,
    /// The deltas that lead to a file between, in ascending order of their blobs.
    pub links: Vec<Link>,
}

/// One file, folder or symbolic link of the new version of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEntry {
    /// Where it stands.
    pub path: TreePath,
    /// What it is.
    pub node: Node<NewFile>,
}

/// One old version of a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OldTree {
    /// Every entry of the version, sorted by path.
    pub entries: Vec<OldEntry>,
    /// For each *file* among [`TreePatch::new`], in order, what it is made from.
    pub sources: Vec<Source>,
}

/// One file, folder or symbolic link of an old version of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldEntry {
    /// Where it stands.
    pub path: TreePath,
    /// What it is.
    pub node: Node<OldFile>,
}

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node<F> {
    /// A folder.
    Folder {
        /// Permission bits.
        mode: u32,
    },
    /// A regular file.
    File {
        /// Permission bits.
        mode: u32,
        /// Its content.
        file: F,
    },
    /// A symbolic link; it is never followed.
    Symlink {
        /// What the link holds.
        target: String,
    },
}

impl<F> Node<F> {
    /// The content, of a file.
    pub fn file(&self) -> Option<&F> {
        match self {
            Self::File { file, .. } => Some(file),
            _ => None,
        }
    }

    /// The permission bits, of a file or folder.
    pub fn mode(&self) -> Option<u32> {
        match self {
            Self::Folder { mode } | Self::File { mode, .. } => Some(*mode),
            Self::Symlink { .. } => None,
        }
    }
}

/// What a file of the new version is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A delta that takes nothing from the old version.
    Whole {
        /// Index of the `COLD` blob.
        body: usize,
    },
    /// An old file as it is: unchanged, or moved.
    Same {
        /// Index into [`OldTree::entries`].
        entry: usize,
    },
    /// A delta against an old file.
    Delta {
        /// Index into [`OldTree::entries`].
        entry: usize,
        /// Index of the `COLD` blob.
        body: usize,
    },
}

impl Manifest {
    /// Writes the manifest as a blob.
    pub fn encode(&self) -> io::Result<Vec<u8>> {
        let links = self.links();
        let mut raw = vec![if links.is_empty() { VERSION } else { VERSION_LINKED }];
        match self {
            Self::File(patch) => {
                raw.push(1);
                put_file_patch(&mut raw, patch);
            }
            Self::Tree(patch) => {
                raw.push(2);
                tree::put_tree_patch(&mut raw, patch);
            }
        }
        if !links.is_empty() {
            links::put(&mut raw, links);
        }
        if raw.len() as u64 > MAX_MANIFEST_LEN {
            return Err(io::Error::other("the manifest exceeds 64 MiB"));
        }
        let packed = zstd::bulk::compress(&raw, ZSTD_LEVEL)?;
        let (codec, data) = if packed.len() < raw.len() { (CODEC_ZSTD, &packed) } else { (CODEC_RAW, &raw) };
        let mut blob = vec![codec];
        put_varint(&mut blob, raw.len() as u64);
        blob.extend_from_slice(data);
        Ok(blob)
    }

    /// Reads a manifest blob; `blobs` says of each blob of the container what it is.
    pub fn decode(blob: &[u8], blobs: &[Kind]) -> Result<Self, FormatError> {
        let raw = unpack(blob)?;
        let mut reader = Reader::new(STRUCTURE, &raw);
        let version = reader.u8()?;
        if ![VERSION, VERSION_LINKED].contains(&version) {
            return Err(reader.unsupported(format!("manifest version {version}")));
        }
        let mut manifest = match reader.u8()? {
            1 => Self::File(file_patch(&mut reader, blobs)?),
            2 => Self::Tree(tree::tree_patch(&mut reader, blobs)?),
            subject => return Err(reader.unsupported(format!("subject {subject}"))),
        };
        if version == VERSION_LINKED {
            let links = links::read(&mut reader, blobs)?;
            match &mut manifest {
                Self::File(patch) => patch.links = links,
                Self::Tree(patch) => patch.links = links,
            }
        }
        reader.finish()?;
        Ok(manifest)
    }

    /// The deltas that lead to a file between.
    pub fn links(&self) -> &[Link] {
        match self {
            Self::File(patch) => &patch.links,
            Self::Tree(patch) => &patch.links,
        }
    }
}

fn unpack(blob: &[u8]) -> Result<Vec<u8>, FormatError> {
    let mut reader = Reader::new(STRUCTURE, blob);
    let codec = reader.u8()?;
    let raw_len = reader.varint_to("length", MAX_MANIFEST_LEN)?;
    let capacity = usize::try_from(raw_len).map_err(|_| reader.malformed("length"))?;
    let data = reader.bytes(reader.remaining())?;
    let raw = match codec {
        CODEC_RAW => data.to_vec(),
        CODEC_ZSTD => zstd::bulk::decompress(data, capacity)
            .map_err(|error| FormatError::malformed(STRUCTURE, 0, format!("zstd: {error}")))?,
        other => return Err(FormatError::unsupported(STRUCTURE, 0, format!("codec {other}"))),
    };
    if raw.len() as u64 == raw_len {
        Ok(raw)
    } else {
        let found = raw.len();
        Err(FormatError::malformed(STRUCTURE, 0, format!("{found} bytes where {raw_len} are announced")))
    }
}

// File patches.

fn put_file_patch(out: &mut Vec<u8>, patch: &FilePatch) {
    put_new_file(out, &patch.new);
    put_varint(out, patch.olds.len() as u64);
    for old in &patch.olds {
        put_old_identity(out, &old.file);
        put_retain_offsets(out, &old.file.regions);
        put_varint(out, old.body as u64);
    }
}

fn file_patch(reader: &mut Reader<'_>, blobs: &[Kind]) -> Result<FilePatch, FormatError> {
    let new = new_file(reader)?;
    let olds = (0..olds_count(reader)?)
        .map(|_| {
            let mut file = old_identity(reader)?;
            file.regions.retain = retain_offsets(reader, &new)?;
            check_old(reader, &file, new.size)?;
            Ok(OldVersion { file, body: body_index(reader, blobs)? })
        })
        .collect::<Result<_, FormatError>>()?;
    Ok(FilePatch { new, olds, links: Vec::new() })
}

fn olds_count(reader: &mut Reader<'_>) -> Result<u64, FormatError> {
    match reader.varint_to("old versions", MAX_OLDS as u64)? {
        0 => Err(reader.malformed("no old version")),
        count => Ok(count),
    }
}

// Files, which both subjects share.

fn put_new_file(out: &mut Vec<u8>, file: &NewFile) {
    put_varint(out, file.size);
    out.extend_from_slice(&file.hash);
    put_ranges(out, &file.retained);
}

fn new_file(reader: &mut Reader<'_>) -> Result<NewFile, FormatError> {
    let size = reader.varint_to("file length", MAX_FILE_LEN)?;
    let hash = reader.array()?;
    let retained = ranges(reader, size)?;
    Ok(NewFile { size, hash, retained })
}

fn put_old_identity(out: &mut Vec<u8>, file: &OldFile) {
    put_varint(out, file.size);
    out.extend_from_slice(&file.hash);
    put_ranges(out, &file.regions.ignore);
}

fn old_identity(reader: &mut Reader<'_>) -> Result<OldFile, FormatError> {
    let size = reader.varint_to("file length", MAX_FILE_LEN)?;
    let hash = reader.array()?;
    let ignore = ranges(reader, size)?;
    Ok(OldFile { size, hash, regions: Regions { ignore, retain: Vec::new() } })
}

fn put_retain_offsets(out: &mut Vec<u8>, regions: &Regions) {
    for range in &regions.retain {
        put_varint(out, range.old_offset);
    }
}

/// One old offset for each range that the new file retains.
fn retain_offsets(reader: &mut Reader<'_>, new: &NewFile) -> Result<Vec<RetainRange>, FormatError> {
    new.retained
        .iter()
        .map(|range| {
            let old_offset = reader.varint()?;
            Ok(RetainRange { old_offset, len: range.len, new_offset: range.offset })
        })
        .collect()
}

fn check_old(reader: &Reader<'_>, file: &OldFile, new_len: u64) -> Result<(), FormatError> {
    match region::check(&[(file.size, &file.regions)], new_len).first() {
        Some(objection) => Err(reader.malformed(objection.to_string())),
        None => Ok(()),
    }
}

/// Ranges as the gap since the end of the one before, and a length.
fn put_ranges(out: &mut Vec<u8>, ranges: &[ByteRange]) {
    put_varint(out, ranges.len() as u64);
    let mut end = 0;
    for range in ranges {
        put_varint(out, range.offset - end);
        put_varint(out, range.len);
        end = range.offset + range.len;
    }
}

fn ranges(reader: &mut Reader<'_>, file_len: u64) -> Result<Vec<ByteRange>, FormatError> {
    let count = reader.varint_to("ranges", MAX_RANGES as u64)?;
    let mut end = 0u64;
    (0..count)
        .map(|_| {
            let (gap, len) = (reader.varint()?, reader.varint()?);
            let offset = end.checked_add(gap);
            let range = offset.map(|offset| ByteRange::new(offset, len));
            match range.and_then(|range| range.end().map(|end| (range, end))) {
                Some((range, range_end)) if len > 0 && range_end <= file_len => {
                    end = range_end;
                    Ok(range)
                }
                _ => Err(reader.malformed(format!("a range does not lie inside its file of {file_len} bytes"))),
            }
        })
        .collect()
}

fn body_index(reader: &mut Reader<'_>, blobs: &[Kind]) -> Result<usize, FormatError> {
    let found = reader.varint()?;
    match usize::try_from(found).ok().filter(|index| blobs.get(*index) == Some(&Kind::COLD)) {
        Some(index) => Ok(index),
        None => Err(reader.malformed(format!("blob {found} is not a delta body"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOBS: [Kind; 3] = [Kind::COLD, Kind::COLD, Kind::MANIFEST];

    fn regions(ignore: &[(u64, u64)], retain: &[(u64, u64, u64)]) -> Regions {
        Regions {
            ignore: ignore.iter().map(|(offset, len)| ByteRange::new(*offset, *len)).collect(),
            retain: retain
                .iter()
                .map(|(old_offset, len, new_offset)| RetainRange {
                    old_offset: *old_offset,
                    len: *len,
                    new_offset: *new_offset,
                })
                .collect(),
        }
    }

    fn sample_file() -> Manifest {
        let new = NewFile { size: 90, hash: [1; 32], retained: vec![ByteRange::new(0, 4), ByteRange::new(80, 10)] };
        let old = |hash, offset, body| OldVersion {
            file: OldFile {
                size: 100,
                hash: [hash; 32],
                regions: regions(&[(20, 5), (30, 5)], &[(offset, 4, 0), (50, 10, 80)]),
            },
            body,
        };
        Manifest::File(FilePatch { new, olds: vec![old(2, 0, 0), old(3, 96, 1)], links: Vec::new() })
    }

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    fn sample_tree() -> Manifest {
        let new_file = |retained: &[(u64, u64)]| NewFile {
            size: 50,
            hash: [9; 32],
            retained: retained.iter().map(|(offset, len)| ByteRange::new(*offset, *len)).collect(),
        };
        let old_file = |regions| OldFile { size: 50, hash: [9; 32], regions };
        Manifest::Tree(TreePatch {
            new: vec![
                NewEntry { path: path("bin"), node: Node::Folder { mode: 0o755 } },
                NewEntry { path: path("bin/app"), node: Node::File { mode: 0o755, file: new_file(&[(4, 8)]) } },
                NewEntry { path: path("bin/new"), node: Node::File { mode: 0o4755, file: new_file(&[]) } },
                NewEntry { path: path("link"), node: Node::Symlink { target: "../x".into() } },
                NewEntry { path: path("moved"), node: Node::File { mode: 0o644, file: new_file(&[]) } },
            ],
            olds: vec![OldTree {
                entries: vec![
                    OldEntry {
                        path: path("app"),
                        node: Node::File { mode: 0o755, file: old_file(regions(&[(0, 2)], &[(10, 8, 4)])) },
                    },
                    OldEntry {
                        path: path("here"),
                        node: Node::File { mode: 0o600, file: old_file(regions(&[], &[])) },
                    },
                ],
                sources: vec![
                    Source::Delta { entry: 0, body: 1 },
                    Source::Whole { body: 0 },
                    Source::Same { entry: 1 },
                ],
            }],
            links: Vec::new(),
        })
    }

    /// The samples, with and without a link.
    fn samples() -> [Manifest; 4] {
        let linked = |mut manifest: Manifest| {
            let link = Link { body: 1, makes: Between { size: 100, hash: [2; 32] }, next: 0 };
            match &mut manifest {
                Manifest::File(patch) => patch.links.push(link),
                Manifest::Tree(patch) => patch.links.push(link),
            }
            manifest
        };
        [sample_file(), sample_tree(), linked(sample_file()), linked(sample_tree())]
    }

    #[test]
    fn manifests_round_trip() {
        for manifest in samples() {
            let blob = manifest.encode().unwrap();
            assert_eq!(Manifest::decode(&blob, &BLOBS).unwrap(), manifest);
        }
    }

    /// The blob uncompressed, so that a test can reach into it.
    fn raw_blob(manifest: &Manifest) -> Vec<u8> {
        let raw = unpack(&manifest.encode().unwrap()).unwrap();
        let mut blob = vec![CODEC_RAW];
        put_varint(&mut blob, raw.len() as u64);
        blob.extend_from_slice(&raw);
        blob
    }

    #[test]
    fn every_prefix_is_refused_and_no_flip_panics() {
        for manifest in samples() {
            let blob = raw_blob(&manifest);
            for len in 0..blob.len() {
                assert!(Manifest::decode(&blob[..len], &BLOBS).is_err());
            }
            for bit in 0..blob.len() * 8 {
                let mut flipped = blob.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                if let Ok(other) = Manifest::decode(&flipped, &BLOBS) {
                    assert_ne!(other, manifest, "bit {bit}");
                }
            }
        }
    }

    #[test]
    fn a_bomb_is_refused_by_its_announced_length() {
        let bomb = zstd::bulk::compress(&vec![0; 200 << 20], 1).unwrap();
        for announced in [10, MAX_MANIFEST_LEN, MAX_MANIFEST_LEN + 1, u64::MAX] {
            let mut blob = vec![CODEC_ZSTD];
            put_varint(&mut blob, announced);
            blob.extend_from_slice(&bomb);
            assert!(Manifest::decode(&blob, &BLOBS).is_err());
        }
    }

    fn refusal(change: impl FnOnce(&mut TreePatch)) -> String {
        let Manifest::Tree(mut tree) = sample_tree() else { unreachable!() };
        change(&mut tree);
        let blob = Manifest::Tree(tree).encode().unwrap();
        Manifest::decode(&blob, &BLOBS).unwrap_err().to_string()
    }

    #[test]
    fn trees_that_do_not_hang_together_are_refused() {
        type Case = (&'static str, fn(&mut TreePatch));
        let cases: [Case; 7] = [
            ("is not a delta body", |tree| tree.olds[0].sources[1] = Source::Whole { body: 2 }),
            ("is not a file", |tree| tree.olds[0].sources[2] = Source::Same { entry: 7 }),
            ("out of order", |tree| tree.new.swap(0, 3)),
            ("does not stand in a folder", |tree| tree.new[0].node = Node::Symlink { target: "/etc".into() }),
            ("one name on some file systems", |tree| tree.new[3].path = path("mOved")),
            ("no old file to take them from", |tree| tree.olds[0].sources[0] = Source::Whole { body: 0 }),
            ("no old version", |tree| tree.olds.clear()),
        ];
        for (expect, change) in cases {
            let found = refusal(change);
            assert!(found.contains(expect), "{found} lacks {expect}");
        }
    }
}
