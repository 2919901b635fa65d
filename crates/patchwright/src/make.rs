//! Makes a new file from an old one and a delta, and the body that leads back.

use std::io::{self, Write};

use patchwright_delta::{ApplyError, Cover, CoverLog, CreateError, CreateOptions, InvertError};
use patchwright_formats::manifest::{Between, Hash, NewFile};
use patchwright_formats::source::{blank, overlaps};
use patchwright_formats::{Blanked, ByteRange, ReadAt, Regions, RetainRange, Section, region};

use crate::error::{Error, ErrorKind, Result};
use crate::progress::Progress;

/// What came of making a file.
pub(crate) struct Made {
    /// BLAKE3 of every byte written.
    pub(crate) raw_hash: Hash,
    /// The stretches of the old file that were used.
    pub(crate) covers: CoverLog,
}

/// One delta on the way from an old file to the new one.
pub(crate) struct Step<'a> {
    pub(crate) body: Section<&'a dyn ReadAt>,
    /// The file that it makes, if that is not the new one yet.
    pub(crate) makes: Option<Between>,
}

/// Writes the new file to `out`: what `steps` make of `user_old`, with the user's retained bytes in their new places.
///
/// The first delta sees the old file with ignored and retained bytes blank, each other what the one before it made: an
/// old version whose own ignored and retained bytes are blank. Retained bytes come from `user_old` in every case. What
/// each delta makes must have the hash that the manifest names; the caller throws `out` away when this fails.
pub(crate) fn make_new(
    user_old: &dyn ReadAt,
    regions: &Regions,
    steps: &[Step<'_>],
    new: &NewFile,
    out: &mut dyn Write,
    progress: &dyn Progress,
) -> Result<Made> {
    let view = Blanked::new(user_old, regions.old_blanks());
    let (last, before) = steps.split_last().ok_or_else(|| Error::bug("a new file that no delta leads to"))?;
    let between = before.iter().filter_map(|step| step.makes).fold(0u64, |sum, made| sum.saturating_add(made.size));
    progress.begin("apply", new.size.saturating_add(between));
    let made = (|| {
        let mut there: Option<(Vec<u8>, CoverLog)> = None;
        for step in before {
            let from: &dyn ReadAt = there.as_ref().map_or(&view, |(file, _)| file);
            let (file, covers) = make_between(from, step, progress)?;
            let covers = match &there {
                Some((_, earlier)) => earlier.then(&covers),
                None => covers,
            };
            there = Some((file, covers));
        }
        let from: &dyn ReadAt = there.as_ref().map_or(&view, |(file, _)| file);
        let mut covers = CoverLog::new();
        let mut writer = RetainingWriter::new(user_old, &regions.retain, new.size, out, progress);
        let mut log = |cover: Cover| covers.push(cover);
        patchwright_delta::apply(from, &last.body, new.size, &mut writer, &mut log)
            .map_err(|error| apply_error(&error))?;
        if *writer.canonical.finalize().as_bytes() != new.hash {
            return Err(wrongly_made());
        }
        let covers = match &there {
            Some((_, earlier)) => earlier.then(&covers),
            None => covers,
        };
        Ok(Made { raw_hash: *writer.raw.finalize().as_bytes(), covers })
    })();
    progress.end();
    made
}

fn wrongly_made() -> Error {
    Error::new(ErrorKind::Malformed, "the delta does not make the file that the manifest names")
        .hint("the patch was made wrongly; nothing was changed")
}

/// Makes a file that the next delta starts from.
fn make_between(from: &dyn ReadAt, step: &Step<'_>, progress: &dyn Progress) -> Result<(Vec<u8>, CoverLog)> {
    let Between { size, hash } =
        step.makes.ok_or_else(|| Error::bug("a delta that makes the new file is not the last one"))?;
    let mut file = BetweenWriter { bytes: Vec::new(), limit: size, progress };
    let mut covers = CoverLog::new();
    patchwright_delta::apply(from, &step.body, size, &mut file, &mut |cover: Cover| covers.push(cover))
        .map_err(|error| apply_error(&error))?;
    if *blake3::hash(&file.bytes).as_bytes() != hash {
        return Err(wrongly_made());
    }
    Ok((file.bytes, covers))
}

/// Keeps a file in memory, as it grows: what a manifest says of its length is not believed before it is there.
struct BetweenWriter<'a> {
    bytes: Vec<u8>,
    limit: u64,
    progress: &'a dyn Progress,
}

impl Write for BetweenWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() as u64 > self.limit - self.bytes.len() as u64 {
            return Err(io::Error::other("the delta makes more than it announces"));
        }
        self.bytes.try_reserve(bytes.len()).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        self.bytes.extend_from_slice(bytes);
        self.progress.advance(bytes.len() as u64);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes the body that turns the new file, as `make_new` wrote it, into the old file, ignored bytes included.
///
/// Retained bytes are blank on both sides: they are carried back as they were carried over. Without covers, old and new
/// are matched anew, which takes longer. The body is of version 1, which is quick to make: it is read once at most.
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
        return patchwright_delta::create_plain(&new, &old, &CreateOptions::default(), &|_| {}, out)
            .map(|_| ())
            .map_err(|error| match error {
                CreateError::OldRead(error)
                | CreateError::NewRead(error)
                | CreateError::Compress(error)
                | CreateError::Write(error) => error,
                CreateError::Index(what) => io::Error::other(what),
            });
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
        ApplyError::Unsupported { .. } => Error::new(ErrorKind::Malformed, error.to_string())
            .hint("update patchwright, or have the patch made for this release; nothing was changed"),
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
