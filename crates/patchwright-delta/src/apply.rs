//! Old bytes and a body to the new bytes.
//!
//! Memory is at most [`APPLY_MEMORY`](crate::format::APPLY_MEMORY), whatever the sizes of the files. Time is linear in
//! body and output: every cover makes at least a byte, and no stream may be longer than its segment can use.

use std::io;

use patchwright_formats::ReadAt;

use crate::ApplyError;
use crate::cover::Cover;
use crate::format::{HEADER_LEN, Header, SegmentHeader, malformed, unzigzag};
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
pub fn apply(
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
    if corrections.next.is_some() {
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
    /// How many covered bytes come before the next one.
    next: Option<u64>,
}

impl Corrections {
    fn start(streams: &mut Streams<'_>) -> Result<Self, ApplyError> {
        Ok(Self { next: next_gap(streams)? })
    }

    /// Corrects the next covered bytes.
    fn correct(&mut self, mut piece: &mut [u8], streams: &mut Streams<'_>) -> Result<(), ApplyError> {
        while let Some(gap) = self.next {
            if gap >= piece.len() as u64 {
                self.next = Some(gap - piece.len() as u64);
                break;
            }
            let at = usize::try_from(gap).expect("inside the piece");
            piece[at] = piece[at].wrapping_add(streams.corrections.byte()?);
            piece = &mut piece[at + 1..];
            self.next = next_gap(streams)?;
        }
        Ok(())
    }
}

fn next_gap(streams: &mut Streams<'_>) -> Result<Option<u64>, ApplyError> {
    if streams.gaps.is_empty() { Ok(None) } else { streams.gaps.varint().map(Some) }
}
