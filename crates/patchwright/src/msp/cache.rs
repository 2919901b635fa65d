//! The cache of deltas: what was made once for the same files, ranges and options is not made again.
//!
//! A file of the cache is named after everything that the delta depends on, this program's version included, and ends with
//! a hash of itself. What is found is never believed: the delta is followed from every old file before it is used, and a
//! damaged file is made anew. A cache that cannot be read or written costs time, nothing else.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use patchwright_formats::pa19::{OldInput, extract_header};
use patchwright_msi::build::delta::{Delta, Made, is_sound};
use patchwright_msi::build::plan::{Old, WhyWhole};
use patchwright_msi::build::settings::LargeWindow;

use crate::atomic::{open_for_reading, write_atomically};
use crate::error::Error;

/// First bytes of a file of the cache: a delta follows, or nothing, since the file goes whole.
const DELTA: &[u8; 8] = b"PWPCI1\0D";
const WHOLE: &[u8; 8] = b"PWPCI1\0W";
const HASH_BYTES: usize = 32;
/// A file of the cache is not longer than this.
const LARGEST: u64 = 1 << 31;

/// A folder of deltas.
pub(super) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The cache in `folder`, which is made if need be.
    pub(super) fn open(folder: &Path) -> std::io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Where the delta with these inputs is.
    pub(super) fn place(&self, olds: &[Old], new_hash: &[u8; 32], window: LargeWindow) -> PathBuf {
        let mut key = blake3::Hasher::new_derive_key("Patchwright cache of PA19 deltas, version 1");
        key.update(env!("CARGO_PKG_VERSION").as_bytes());
        // Ends the text, so that no version runs into what follows.
        key.update(&[0]);
        key.update(&[match window {
            LargeWindow::WhereNeeded => 0,
            LargeWindow::Always => 1,
            LargeWindow::Never => 2,
        }]);
        key.update(new_hash);
        for old in olds {
            key.update(&old.content.hash);
            for count in [old.regions.ignore.len(), old.regions.retain.len()] {
                key.update(&(count as u64).to_le_bytes());
            }
            for range in &old.regions.ignore {
                [range.offset, range.len].iter().for_each(|number| {
                    key.update(&number.to_le_bytes());
                });
            }
            for range in &old.regions.retain {
                [range.old_offset, range.len, range.new_offset].iter().for_each(|number| {
                    key.update(&number.to_le_bytes());
                });
            }
        }
        self.folder.join(format!("{}.pci", key.finalize().to_hex()))
    }

    /// What is there, if it is sound.
    pub(super) fn get(&self, place: &Path, olds: &[OldInput<'_>], new: &[u8]) -> Option<Made> {
        let file = open_for_reading(place).ok()?;
        let len = file.metadata().ok().filter(|metadata| metadata.len() <= LARGEST)?.len();
        let mut bytes = Vec::with_capacity(usize::try_from(len).ok()?);
        std::io::Read::read_to_end(&mut std::io::Read::take(file, LARGEST), &mut bytes).ok()?;
        let (content, hash) = bytes.split_at_checked(bytes.len().checked_sub(HASH_BYTES)?)?;
        if blake3::hash(content).as_bytes() != hash {
            return None;
        }
        let (kind, delta) = content.split_at_checked(DELTA.len())?;
        // What must be a delta, since it retains bytes, cannot be told to go whole by a file.
        let must = olds.iter().any(|old| !old.regions.retain.is_empty());
        if kind == WHOLE && delta.is_empty() && !must {
            return Some(Made::Whole(WhyWhole::DeltaBigger));
        }
        if kind != DELTA || !is_sound(delta, olds, new) {
            return None;
        }
        let header = extract_header(delta).ok()?;
        Some(Made::Delta(Delta { patch: delta.to_vec(), header, warnings: Vec::new() }))
    }

    /// Keeps what was made. A delta with warnings is not kept: the next build should hear them too.
    pub(super) fn put(&self, place: &Path, made: &Made) -> Result<(), Error> {
        let (kind, delta) = match made {
            Made::Delta(delta) if delta.warnings.is_empty() => (DELTA, delta.patch.as_slice()),
            Made::Whole(WhyWhole::DeltaBigger) => (WHOLE, &[][..]),
            Made::Delta(_) | Made::Whole(_) => return Ok(()),
        };
        let mut hasher = blake3::Hasher::new();
        hasher.update(kind).update(delta);
        write_atomically(place, None, |out| {
            let written = out.write_all(kind).and_then(|()| out.write_all(delta));
            let written = written.and_then(|()| out.write_all(hasher.finalize().as_bytes()));
            written.map_err(|error| Error::io("write", place, &error))
        })
    }
}
