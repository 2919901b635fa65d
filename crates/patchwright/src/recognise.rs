//! Which version of a file it is: by length and by a strong hash over what must not differ.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use patchwright_formats::manifest::{FilePatch, Hash, NewFile, OldFile};
use patchwright_formats::{Blanked, ByteRange, ReadAt, source};

use crate::error::{Error, ErrorKind, Result};
use crate::progress::Progress;
use crate::report::hex;

/// Which version a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// The old version with this index.
    Old(usize),
    /// The new version.
    New,
}

/// The hashes of one file under several sets of blanks, each worked out once.
pub(crate) struct Hashes<'a> {
    file: &'a dyn ReadAt,
    progress: &'a dyn Progress,
    known: HashMap<Vec<ByteRange>, Hash>,
}

impl<'a> Hashes<'a> {
    pub(crate) fn new(file: &'a dyn ReadAt, progress: &'a dyn Progress) -> Self {
        Self { file, progress, known: HashMap::new() }
    }

    /// The hash with `blanks` (sorted, disjoint) read as zero.
    pub(crate) fn with(&mut self, blanks: Vec<ByteRange>) -> io::Result<Hash> {
        if let Some(hash) = self.known.get(&blanks) {
            return Ok(*hash);
        }
        let hash = hash_with_progress(&Blanked::new(self.file, blanks.iter().copied()), self.progress)?;
        self.known.insert(blanks, hash);
        Ok(hash)
    }

    /// Whether the file is `new`, whatever its retained bytes.
    pub(crate) fn is_new(&mut self, new: &NewFile) -> io::Result<bool> {
        Ok(self.file.len_bytes() == new.size
            && self.with(patchwright_formats::region::union(new.retained.iter().copied()))? == new.hash)
    }

    /// Whether the file is `old`, whatever its ignored and retained bytes.
    pub(crate) fn is_old(&mut self, old: &OldFile) -> io::Result<bool> {
        Ok(self.file.len_bytes() == old.size && self.with(old.regions.old_blanks())? == old.hash)
    }
}

/// Hashes a file, telling how far it is.
pub(crate) fn hash_with_progress(file: &dyn ReadAt, progress: &dyn Progress) -> io::Result<Hash> {
    progress.begin("check", file.len_bytes());
    let mut hasher = blake3::Hasher::new();
    let result = source::for_each_chunk(file, |chunk| {
        hasher.update(chunk);
        progress.advance(chunk.len() as u64);
        Ok(())
    });
    progress.end();
    result.map(|()| *hasher.finalize().as_bytes())
}

/// Says which version of `patch` the file is, or that it is none, with the list of those it could be.
pub(crate) fn recognise(file: &dyn ReadAt, path: &Path, patch: &FilePatch, progress: &dyn Progress) -> Result<Version> {
    let mut hashes = Hashes::new(file, progress);
    let mut find = || -> io::Result<Option<Version>> {
        if hashes.is_new(&patch.new)? {
            return Ok(Some(Version::New));
        }
        for (index, old) in patch.olds.iter().enumerate() {
            if hashes.is_old(&old.file)? {
                return Ok(Some(Version::Old(index)));
            }
        }
        Ok(None)
    };
    find()
        .map_err(|error| Error::io("read", path, &error))?
        .ok_or_else(|| unknown_version(file.len_bytes(), patch).at(path))
}

fn unknown_version(len: u64, patch: &FilePatch) -> Error {
    let describe = |name: String, size: u64, hash: &Hash, ranges: String| {
        let verdict = if size == len { "same length, other content" } else { "other length" };
        format!("{name}: {size} bytes, blake3 {}{ranges} ({verdict})", hex(hash))
    };
    let olds = patch.olds.iter().enumerate().map(|(index, old)| {
        let regions = &old.file.regions;
        describe(
            format!("old version {}", index + 1),
            old.file.size,
            &old.file.hash,
            ranges_note(regions.ignore.len(), regions.retain.len()),
        )
    });
    let new =
        describe("new version".to_owned(), patch.new.size, &patch.new.hash, ranges_note(0, patch.new.retained.len()));
    Error::new(
        ErrorKind::WrongInput,
        format!("this file of {len} bytes is not a version that the patch knows; nothing was changed"),
    )
    .details(olds.chain([new]))
    .hint("the file differs outside the ignored and retained ranges: is it the right file, unmodified?")
}

fn ranges_note(ignored: usize, retained: usize) -> String {
    let count = |count: usize, what: &str| format!("{count} {what} range{}", if count == 1 { "" } else { "s" });
    match (ignored, retained) {
        (0, 0) => String::new(),
        (ignored, 0) => format!(" with {} blank", count(ignored, "ignored")),
        (0, retained) => format!(" with {} blank", count(retained, "retained")),
        (ignored, retained) => {
            format!(" with {} and {} blank", count(ignored, "ignored"), count(retained, "retained"))
        }
    }
}
