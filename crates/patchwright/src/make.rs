//! Makes a new file from an old one and a delta, and the body that leads back.

use std::io::{self, Write};

use patchwright_delta::{ApplyError, Cover, CoverLog, CreateError, CreateOptions, InvertError};
use patchwright_formats::manifest::{Hash, NewFile};
use patchwright_formats::source::{blank, overlaps};
use patchwright_formats::{Blanked, ByteRange, ReadAt, Regions, RetainRange, region};

use crate::error::{Error, ErrorKind, Result};
use crate::progress::Progress;

/// What came of making a file.
pub(crate) struct Made {
    /// BLAKE3 of every byte written.
    pub(crate) raw_hash: Hash,
    /// The stretches of the old file that were used.
    pub(crate) covers: CoverLog,
}

/// Writes the new file to `out`: what `body` makes of `user_old`, with the user's retained bytes in their new places.
///
/// The delta sees the old file with ignored and retained bytes blank. What it makes must have the hash that the
/// manifest names; the caller throws `out` away when this fails.
pub(crate) fn make_new(
    user_old: &dyn ReadAt,
    regions: &Regions,
    body: &dyn ReadAt,
    new: &NewFile,
    out: &mut dyn Write,
    progress: &dyn Progress,
) -> Result<Made> {
    let view = Blanked::new(user_old, regions.old_blanks());
    let mut covers = CoverLog::new();
    let mut writer = RetainingWriter::new(user_old, &regions.retain, new.size, out, progress);
    progress.begin("apply", new.size);
    let applied = patchwright_delta::apply(&view, body, new.size, &mut writer, &mut |cover: Cover| covers.push(cover));
    progress.end();
    applied.map_err(|error| apply_error(&error))?;
    if *writer.canonical.finalize().as_bytes() != new.hash {
        return Err(Error::new(ErrorKind::Malformed, "the delta does not make the file that the manifest names")
            .hint("the patch was made wrongly; nothing was changed"));
    }
    Ok(Made { raw_hash: *writer.raw.finalize().as_bytes(), covers })
}

/// Writes the body that turns the new file, as `make_new` wrote it, into the old file, ignored bytes included.
///
/// Retained bytes are blank on both sides: they are carried back as they were carried over. Without covers, old and new
/// are matched anew, which takes longer.
pub(crate) fn make_way_back(
    user_old: &dyn ReadAt,
    user_new: &dyn ReadAt,
    retain: &[RetainRange],
    covers: Option<CoverLog>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let old = Blanked::new(user_old, retain.iter().map(|range| range.old()));
    let new = Blanked::new(user_new, retain.iter().map(|range| range.new_side()));
    let Some(covers) = covers else {
        return patchwright_delta::create(&new, &old, &CreateOptions::default(), &|_| {}, out).map(|_| ()).map_err(
            |error| match error {
                CreateError::OldRead(error)
                | CreateError::NewRead(error)
                | CreateError::Compress(error)
                | CreateError::Write(error) => error,
                CreateError::Index(what) => io::Error::other(what),
            },
        );
    };
    patchwright_delta::invert(&old, &new, covers, out).map(|_| ()).map_err(|error| match error {
        InvertError::OldRead(error)
        | InvertError::NewRead(error)
        | InvertError::Compress(error)
        | InvertError::Write(error) => error,
    })
}

/// What a delta that cannot be applied means for the caller.
pub(crate) fn apply_error(error: &ApplyError) -> Error {
    match error {
        ApplyError::OldRead(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => {
            Error::new(ErrorKind::Busy, "the old file was cut short while it was read")
                .hint("somebody else changes it: try again")
        }
        ApplyError::OldRead(cause) | ApplyError::Sink(cause) | ApplyError::BodyRead(cause) => {
            let mut made = Error::io("make the new file", "", cause);
            made.path = None;
            made
        }
        other => Error::new(ErrorKind::Malformed, other.to_string()),
    }
}

/// Passes the new file on, front to back: hashes it as the manifest counts it, puts the user's bytes in, hashes that.
struct RetainingWriter<'a> {
    user_old: &'a dyn ReadAt,
    /// Sorted by new offset.
    retain: Vec<RetainRange>,
    /// The new side of `retain`.
    places: Vec<ByteRange>,
    /// The same, joined where they touch.
    blanks: Vec<ByteRange>,
    limit: u64,
    written: u64,
    canonical: blake3::Hasher,
    raw: blake3::Hasher,
    buffer: Vec<u8>,
    out: &'a mut dyn Write,
    progress: &'a dyn Progress,
}

impl<'a> RetainingWriter<'a> {
    fn new(
        user_old: &'a dyn ReadAt,
        retain: &[RetainRange],
        limit: u64,
        out: &'a mut dyn Write,
        progress: &'a dyn Progress,
    ) -> Self {
        let mut retain = retain.to_vec();
        retain.sort_unstable_by_key(|range| range.new_offset);
        let places: Vec<ByteRange> = retain.iter().map(|range| range.new_side()).collect();
        let blanks = region::union(places.iter().copied());
        Self {
            user_old,
            retain,
            places,
            blanks,
            limit,
            written: 0,
            canonical: blake3::Hasher::new(),
            raw: blake3::Hasher::new(),
            buffer: Vec::new(),
            out,
            progress,
        }
    }

    fn put_retained_bytes(&mut self) -> io::Result<()> {
        for (within, index) in overlaps(self.buffer.len(), self.written, &self.places) {
            let range = self.retain[index];
            let into_range = self.written + within.start as u64 - range.new_offset;
            self.user_old.read_exact_at(&mut self.buffer[within], range.old_offset + into_range)?;
        }
        Ok(())
    }
}

impl Write for RetainingWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() as u64 > self.limit - self.written {
            return Err(io::Error::other("the delta makes more than it announces"));
        }
        self.buffer.clear();
        self.buffer.extend_from_slice(bytes);
        blank(&mut self.buffer, self.written, &self.blanks);
        self.canonical.update(&self.buffer);
        self.put_retained_bytes()?;
        self.raw.update(&self.buffer);
        self.out.write_all(&self.buffer)?;
        self.written += bytes.len() as u64;
        self.progress.advance(bytes.len() as u64);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
