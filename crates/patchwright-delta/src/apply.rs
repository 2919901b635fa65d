//! Old bytes and a body to the new bytes.
//!
//! Memory is at most [`APPLY_MEMORY`](crate::format::APPLY_MEMORY), whatever the sizes of the files. Time is linear in
//! body and output: every cover makes at least a byte, and no stream may be longer than its segment can use.

use std::io;

use patchwright_formats::ReadAt;

use crate::ApplyError;
use crate::cover::Cover;
use crate::format::{HEADER_LEN, Header, SegmentHeader, malformed, run_class, unzigzag};
use crate::old::CachedOld;
use crate::segment::SeekBase;
use crate::stream::{Stream, Streams};

/// How much of the output is handed over at a time.
const PIECE: usize = 256 << 10;

/// Makes the new file of `new_len` bytes and hands it to `sink`, front to back, in pieces of at most a mebibyte.
///
/// `covers` is told every cover of the body, front to back, for [`invert`](crate::invert()). The bytes are those the
/// body describes; whether they are the right ones only a hash of the whole can tell, and that is the caller's to
/// check before the new file is put to use.
pub(crate) fn apply(
    old: &dyn ReadAt,
    body: &dyn ReadAt,
    new_len: u64,
    sink: &mut dyn io::Write,
    covers: &mut dyn FnMut(Cover),
) -> Result<(), ApplyError> {
    let header = Header::read(body)?;
    if header.old_len != old.len_bytes() {
        return Err(ApplyError::OldLength { stated: header.old_len, actual: old.len_bytes() });
    }
    if header.new_len != new_len {
        return Err(ApplyError::NewLength { stated: header.new_len, expected: new_len });
    }
    let mut output = Output { old: CachedOld::new(old), sink, buffer: vec![0; PIECE], filled: 0, made: 0 };
    let mut offset = HEADER_LEN as u64;
    while let Some(segment) = SegmentHeader::read(body, offset, new_len - output.made)? {
        apply_segment(body, &segment, &mut output, covers)?;
        offset = segment.end;
    }
    output.flush()
}

fn apply_segment(
    body: &dyn ReadAt,
    segment: &SegmentHeader,
    output: &mut Output<'_>,
    covers: &mut dyn FnMut(Cover),
) -> Result<(), ApplyError> {
    let bad = |what| malformed("segment", segment.offset, what);
    let mut streams = Streams::open(body, segment)?;
    let mut corrections = Corrections::start(&mut streams)?;
    let mut base = SeekBase::default();
    let mut left = segment.output_len;
    for _ in 0..segment.cover_count {
        let literal_len = streams.literal_lengths.varint()?;
        let len = streams.cover_lengths.varint()?;
        let seek = unzigzag(streams.seeks.varint()?);
        if len == 0 {
            return Err(bad("a cover is empty"));
        }
        left = literal_len
            .checked_add(len)
            .and_then(|made| left.checked_sub(made))
            .ok_or_else(|| bad("its covers make more than the segment"))?;
        let old_offset = base
            .expected(literal_len)
            .checked_add_signed(seek)
            .filter(|start| start.checked_add(len).is_some_and(|end| end <= output.old.len_bytes()))
            .ok_or_else(|| bad("a cover lies outside the old file"))?;
        output.literals(literal_len, &mut streams.literals)?;
        let cover = Cover { old_offset, new_offset: output.made, len };
        output.cover(cover, &mut corrections, &mut streams)?;
        base.pass(cover);
        covers(cover);
    }
    output.literals(left, &mut streams.literals)?;
    if corrections.run.is_some() {
        return Err(bad("a correction lies beyond the last cover"));
    }
    streams.finish()
}

/// The new file as it comes into being.
struct Output<'a> {
    old: CachedOld<'a>,
    sink: &'a mut dyn io::Write,
    buffer: Vec<u8>,
    filled: usize,
    made: u64,
}

impl Output<'_> {
    /// Hands out room for at most `want` more bytes, never none; they count as made.
    fn room(&mut self, want: u64) -> Result<&mut [u8], ApplyError> {
        if self.filled == self.buffer.len() {
            self.flush()?;
        }
        let start = self.filled;
        let step = usize::try_from(want).unwrap_or(usize::MAX).min(self.buffer.len() - start);
        self.filled += step;
        self.made += step as u64;
        Ok(&mut self.buffer[start..start + step])
    }

    fn flush(&mut self) -> Result<(), ApplyError> {
        self.sink.write_all(&self.buffer[..self.filled]).map_err(ApplyError::Sink)?;
        self.filled = 0;
        Ok(())
    }

    fn literals(&mut self, mut left: u64, literals: &mut Stream<'_>) -> Result<(), ApplyError> {
        while left > 0 {
            let room = self.room(left)?;
            literals.read(room)?;
            left -= room.len() as u64;
        }
        Ok(())
    }

    fn cover(
        &mut self,
        cover: Cover,
        corrections: &mut Corrections,
        streams: &mut Streams<'_>,
    ) -> Result<(), ApplyError> {
        let mut done = 0;
        while done < cover.len {
            let filled = if self.filled == self.buffer.len() { 0 } else { self.filled };
            let step = self.room(cover.len - done)?.len();
            let piece = &mut self.buffer[filled..filled + step];
            self.old.read(piece, cover.old_offset + done).map_err(ApplyError::OldRead)?;
            corrections.correct(piece, streams)?;
            done += step as u64;
        }
        Ok(())
    }
}

/// The corrections still to come.
struct Corrections {
    /// The run under way or the next one; `None` after the last.
    run: Option<Run>,
}

/// A run of corrected bytes: a little-endian number that is added to the one in the old file.
#[derive(Clone, Copy)]
struct Run {
    /// How many covered bytes come before it.
    gap: u64,
    /// How many of its bytes are still to come.
    left: u64,
    /// Which stream holds its bytes.
    class: usize,
    carry: bool,
}

impl Corrections {
    fn start(streams: &mut Streams<'_>) -> Result<Self, ApplyError> {
        Ok(Self { run: next_run(streams)? })
    }

    /// Corrects the next covered bytes.
    fn correct(&mut self, piece: &mut [u8], streams: &mut Streams<'_>) -> Result<(), ApplyError> {
        let mut rest = piece;
        while let Some(run) = &mut self.run {
            let gap = up_to(run.gap, rest.len());
            run.gap -= gap as u64;
            rest = &mut rest[gap..];
            if rest.is_empty() {
                break;
            }
            let step = up_to(run.left, rest.len());
            let (now, later) = rest.split_at_mut(step);
            run.add(now, &mut streams.corrections[run.class])?;
            rest = later;
            if run.left == 0 {
                self.run = next_run(streams)?;
            }
        }
        Ok(())
    }
}

impl Run {
    /// Adds the run's next bytes.
    fn add(&mut self, bytes: &mut [u8], corrections: &mut Stream<'_>) -> Result<(), ApplyError> {
        for byte in &mut *bytes {
            let (sum, overflow) = byte.overflowing_add(corrections.byte()?);
            let (sum, overflow_of_carry) = sum.overflowing_add(u8::from(self.carry));
            *byte = sum;
            self.carry = overflow | overflow_of_carry;
        }
        self.left -= bytes.len() as u64;
        Ok(())
    }
}

fn up_to(len: u64, most: usize) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX).min(most)
}

fn next_run(streams: &mut Streams<'_>) -> Result<Option<Run>, ApplyError> {
    if streams.gaps.is_empty() {
        return Ok(None);
    }
    let gap = streams.gaps.varint()?;
    let len_less_one = streams.run_lengths.varint()?;
    let left = len_less_one.saturating_add(1);
    Ok(Some(Run { gap, left, class: run_class(len_less_one), carry: false }))
}
