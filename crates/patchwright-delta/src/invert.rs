//! The way back: a body that turns the new file into the old one, made from the covers seen while applying.
//!
//! This runs on the machine that applies, so it takes time linear in the files, fixed memory (one segment of 8 MiB, its
//! streams, and the log) and a moderate compression level. What resembles what is known already; only the bytes are
//! compared again.

use std::{error::Error, fmt, io};

use patchwright_formats::ReadAt;

use crate::codec::{Candidate, smallest};
use crate::cover::{Cover, CoverLog};
use crate::format::{END_MARK, Header, StreamKind};
use crate::segment;

/// How many bytes of output one segment makes.
const SEGMENT: u64 = 8 << 20;

/// The Zstandard level: fast, since the body is read at most once, on the machine that made it.
const LEVEL: i32 = 6;

/// Why no inverted body can be made.
#[derive(Debug)]
pub enum InvertError {
    /// The old file, which the body shall lead back to, cannot be read.
    OldRead(io::Error),
    /// The new file cannot be read.
    NewRead(io::Error),
    /// A stream cannot be compressed.
    Compress(io::Error),
    /// The body cannot be written.
    Write(io::Error),
}

impl fmt::Display for InvertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OldRead(error) => write!(f, "the old file cannot be read: {error}"),
            Self::NewRead(error) => write!(f, "the new file cannot be read: {error}"),
            Self::Compress(error) => write!(f, "the inverted body cannot be compressed: {error}"),
            Self::Write(error) => write!(f, "the inverted body cannot be written: {error}"),
        }
    }
}

impl Error for InvertError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::OldRead(error) | Self::NewRead(error) | Self::Compress(error) | Self::Write(error) => Some(error),
        }
    }
}

/// What an inverted body consists of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InvertStats {
    /// The length of the body in bytes.
    pub body_len: u64,
    /// Its number of covers.
    pub cover_count: u64,
    /// Bytes of the old file that stand in the body.
    pub literal_bytes: u64,
}

/// Writes a body that turns `new` into `old`.
///
/// `log` holds the covers that [`apply`](crate::apply()) reported when it turned `old` into `new`. Any other covers lead
/// back too, only less briefly: every byte is compared.
pub fn invert(
    old: &dyn ReadAt,
    new: &dyn ReadAt,
    log: CoverLog,
    out: &mut dyn io::Write,
) -> Result<InvertStats, InvertError> {
    let (old_len, new_len) = (old.len_bytes(), new.len_bytes());
    let covers = turn_round(log.into_covers(), old_len, new_len);
    let header = Header { old_len: new_len, new_len: old_len }.to_bytes();
    out.write_all(&header).map_err(InvertError::Write)?;
    let mut stats = InvertStats { body_len: header.len() as u64 + 1, ..InvertStats::default() };
    let mut rest = covers.as_slice();
    let mut buffer = Vec::new();
    let mut start = 0;
    while start < old_len {
        let len = SEGMENT.min(old_len - start);
        buffer.resize(usize::try_from(len).expect("at most 8 MiB"), 0);
        old.read_exact_at(&mut buffer, start).map_err(InvertError::OldRead)?;
        let inside = take_until(&mut rest, start, start + len);
        write_segment(new, &buffer, start, &inside, out, &mut stats)?;
        start += len;
    }
    out.write_all(&[END_MARK]).map_err(InvertError::Write)?;
    Ok(stats)
}

fn write_segment(
    new: &dyn ReadAt,
    output: &[u8],
    start: u64,
    covers: &[Cover],
    out: &mut dyn io::Write,
    stats: &mut InvertStats,
) -> Result<(), InvertError> {
    let segment = segment::build(new, output, start, covers).map_err(InvertError::NewRead)?;
    let mut packed = Vec::new();
    for (kind, raw) in StreamKind::ALL.into_iter().zip(&segment.streams) {
        let candidates = [Candidate::Raw, Candidate::Zstd { level: LEVEL }].into_iter().filter(|_| !raw.is_empty());
        let all: io::Result<Vec<_>> = candidates.map(|candidate| candidate.pack(kind, raw)).collect();
        packed.push(smallest(all.map_err(InvertError::Compress)?));
    }
    stats.body_len += segment.write(&packed, out).map_err(InvertError::Write)?;
    stats.cover_count += segment.cover_count;
    stats.literal_bytes += segment.output_len - segment.unchanged - segment.corrected;
    Ok(())
}

/// Swaps the sides of all covers and makes them free of overlap in the file they now lead to.
fn turn_round(covers: Vec<Cover>, old_len: u64, new_len: u64) -> Vec<Cover> {
    let mut turned = covers;
    turned.retain(|cover| cover.len > 0 && cover.old_end() <= old_len && cover.new_end() <= new_len);
    turned.iter_mut().for_each(|cover| *cover = cover.swapped());
    turned.sort_unstable_by_key(|cover| (cover.new_offset, std::cmp::Reverse(cover.len), cover.old_offset));
    let mut end = 0;
    turned.retain_mut(|cover| {
        let overlap = end.max(cover.new_offset) - cover.new_offset;
        if overlap >= cover.len {
            return false;
        }
        *cover = without_start(*cover, overlap);
        end = cover.new_end();
        true
    });
    turned
}

/// Takes the covers of `[start, end)` off the front of `rest`, cut to it. A cover that reaches further stays in front.
fn take_until(rest: &mut &[Cover], start: u64, end: u64) -> Vec<Cover> {
    let mut inside = Vec::new();
    while let Some(cover) = rest.first().filter(|cover| cover.new_offset < end) {
        let cut = without_start(*cover, start.saturating_sub(cover.new_offset));
        inside.push(Cover { len: cut.len.min(end - cut.new_offset), ..cut });
        if cover.new_end() > end {
            break;
        }
        *rest = &rest[1..];
    }
    inside
}

fn without_start(cover: Cover, len: u64) -> Cover {
    Cover { old_offset: cover.old_offset + len, new_offset: cover.new_offset + len, len: cover.len - len }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cover(old_offset: u64, new_offset: u64, len: u64) -> Cover {
        Cover { old_offset, new_offset, len }
    }

    #[test]
    fn overlaps_on_the_old_side_are_cut() {
        let covers = vec![cover(10, 0, 20), cover(25, 40, 10), cover(12, 60, 5), cover(90, 70, 20)];
        assert_eq!(turn_round(covers, 100, 100), [cover(0, 10, 20), cover(45, 30, 5)]);
    }

    #[test]
    fn covers_are_cut_at_segments() {
        let covers = [cover(100, 0, 5), cover(200, 8, 10), cover(300, 20, 1)];
        let mut rest = covers.as_slice();
        assert_eq!(take_until(&mut rest, 0, 10), [cover(100, 0, 5), cover(200, 8, 2)]);
        assert_eq!(take_until(&mut rest, 10, 20), [cover(202, 10, 8)]);
        assert_eq!(take_until(&mut rest, 20, 30), [cover(300, 20, 1)]);
        assert!(rest.is_empty());
    }
}
