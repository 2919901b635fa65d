//! An opened patch: header, table and manifest read and checked; bodies checked when they are asked for.

use std::io;
use std::path::{Path, PathBuf};

use patchwright_formats::account::{self, BodyAccount};
use patchwright_formats::hot::{HotPart, MAX_BODY};
use patchwright_formats::manifest;
use patchwright_formats::undo::Undo;
use patchwright_formats::{Container, FormatError, Kind, Manifest, PatchId, ReadAt, Section};

use crate::atomic::open_for_reading;
use crate::disk::FileSource;
use crate::error::{Error, ErrorKind, Result};
use crate::make::Step;
use crate::pa19::begins_with;

/// Longest undo blob that is read: about what a million entries with ACLs need.
const MAX_UNDO_LEN: u64 = 256 << 20;
/// Longest hot part that is read: code and what ties it to the program.
const MAX_HOT_LEN: u64 = 2 * MAX_BODY;
/// Longest account that is read: one of sixty thousand large deltas.
const MAX_ACCOUNT_LEN: u64 = 64 << 20;
/// A compressed manifest is not longer than one that is not.
const MAX_MANIFEST_BLOB_LEN: u64 = patchwright_formats::manifest::MAX_MANIFEST_LEN + 16;

/// A patch, or an undo record, which is a patch with an [`Undo`].
pub(crate) struct Patch {
    path: PathBuf,
    file: Box<dyn ReadAt>,
    pub(crate) container: Container,
    pub(crate) manifest: Manifest,
    pub(crate) undo: Option<Undo>,
}

/// First bytes of every compound file.
const COMPOUND: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";

impl Patch {
    /// Opens the patch at `path`.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        if begins_with(path, COMPOUND)? {
            let error = Error::new(ErrorKind::Malformed, "a file of Windows Installer or the like, no patch of ours");
            let hint = "`patchwright msp inspect` tells what is in a .msp; Windows Installer applies it";
            return Err(error.at(path).hint(hint));
        }
        let open = || -> io::Result<FileSource> { FileSource::new(open_for_reading(path)?) };
        let file = open().map_err(|error| Error::io("open the patch", path, &error))?;
        Self::read(Box::new(file), path)
    }

    /// Reads a patch that stands in `file`; `path` is its name in messages.
    pub(crate) fn read(file: Box<dyn ReadAt>, path: &Path) -> Result<Self> {
        let fault = |error: FormatError| Error::format(&error, path);
        let container = Container::read(&*file).map_err(fault)?;
        let manifest = read_blob(&container, &*file, Kind::MANIFEST, MAX_MANIFEST_BLOB_LEN)
            .map_err(fault)?
            .ok_or_else(|| Error::new(ErrorKind::Malformed, "the container holds no manifest").at(path))?;
        let kinds: Vec<Kind> = container.entries().iter().map(|entry| entry.kind).collect();
        let manifest = Manifest::decode(&manifest, &kinds).map_err(fault)?;
        let undo = read_blob(&container, &*file, Kind::UNDO, MAX_UNDO_LEN).map_err(fault)?;
        let undo = undo.map(|blob| Undo::decode(&blob)).transpose().map_err(fault)?;
        Ok(Self { path: path.to_owned(), file, container, manifest, undo })
    }

    /// Opens the patch at `path`, which must not be an undo record.
    pub(crate) fn open_forward(path: &Path) -> Result<Self> {
        let patch = Self::open(path)?;
        if patch.undo.is_some() {
            return Err(Error::new(ErrorKind::Usage, "this is an undo record, not a patch")
                .at(path)
                .hint("call `patchwright revert` with the patch that it takes back"));
        }
        Ok(patch)
    }

    pub(crate) fn id(&self) -> PatchId {
        self.container.id()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn len_bytes(&self) -> u64 {
        self.file.len_bytes()
    }

    /// A delta body, unchecked.
    pub(crate) fn body_unchecked(&self, index: usize) -> Result<Section<&dyn ReadAt>> {
        self.container.blob(&*self.file, index).map_err(|error| Error::format(&error, &self.path))
    }

    /// A delta body whose hash is right.
    fn body(&self, index: usize) -> Result<Section<&dyn ReadAt>> {
        self.verify(index)?;
        self.body_unchecked(index)
    }

    /// The deltas that lead from an old file to the new one, all of them with the right hash. `first` is the blob that
    /// the manifest names for the old file.
    pub(crate) fn steps(&self, first: usize) -> Result<Vec<Step<'_>>> {
        let way = manifest::way(self.manifest.links(), first);
        way.into_iter().map(|(index, makes)| Ok(Step { body: self.body(index)?, makes })).collect()
    }

    /// Compares one blob with its hash.
    pub(crate) fn verify(&self, index: usize) -> Result<()> {
        self.container.verify(&*self.file, index).map_err(|error| Error::format(&error, &self.path))
    }

    /// What running processes get, for each old version that the patch has a hot part for.
    pub(crate) fn hot_parts(&self) -> Result<Vec<HotPart>> {
        let fault = |error: FormatError| Error::format(&error, &self.path);
        let blobs = self.container.entries().iter().enumerate().filter(|(_, entry)| entry.kind == Kind::HOT);
        blobs
            .map(|(index, _)| {
                self.verify(index)?;
                let blob = self.container.read_blob(&*self.file, index, MAX_HOT_LEN).map_err(fault)?;
                HotPart::decode(&blob).map_err(fault)
            })
            .collect()
    }

    /// Where the bytes of deltas went, as far as the patch says.
    pub(crate) fn accounts(&self) -> Result<Vec<BodyAccount>> {
        let fault = |error: FormatError| Error::format(&error, &self.path);
        let blob = read_blob(&self.container, &*self.file, Kind::ACCOUNT, MAX_ACCOUNT_LEN).map_err(fault)?;
        let blobs: Vec<_> = self.container.entries().iter().map(|entry| (entry.kind, entry.range.len)).collect();
        blob.map_or(Ok(Vec::new()), |blob| account::decode(&blob, &blobs).map_err(fault))
    }

    /// Compares all blobs with their hashes.
    pub(crate) fn verify_all(&self) -> Result<()> {
        (0..self.container.entries().len()).try_for_each(|index| self.verify(index))
    }
}

fn read_blob(container: &Container, file: &dyn ReadAt, kind: Kind, limit: u64) -> Result<Option<Vec<u8>>, FormatError> {
    let Some(index) = container.find_one(kind)? else { return Ok(None) };
    container.verify(file, index)?;
    container.read_blob(file, index, limit).map(Some)
}
