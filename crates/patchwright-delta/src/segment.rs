//! Covers and bytes to the streams of one segment, and streams to the bytes of a body.

use std::io;

use patchwright_formats::ReadAt;

use crate::codec::Packed;
use crate::cover::Cover;
use crate::format::{SegmentHeader, StreamKind, push_varint, run_class, zigzag};

/// The streams of one segment before they are compressed, by the number of their kind.
#[derive(Default)]
pub(crate) struct RawSegment {
    pub(crate) output_len: u64,
    pub(crate) cover_count: u64,
    /// Covered bytes that differ between old and new.
    pub(crate) corrected: u64,
    /// Covered bytes that do not.
    pub(crate) unchanged: u64,
    pub(crate) streams: [Vec<u8>; StreamKind::ALL.len()],
}

/// Where the old side of the next cover is expected: `apply` keeps the same account.
#[derive(Clone, Copy, Default)]
pub(crate) struct SeekBase {
    old: u64,
}

impl SeekBase {
    /// The place that a seek of zero leads to, when `literal_len` new bytes come before the cover.
    pub(crate) fn expected(self, literal_len: u64) -> u64 {
        self.old.saturating_add(literal_len)
    }

    /// Takes note of a cover.
    pub(crate) fn pass(&mut self, cover: Cover) {
        self.old = cover.old_end();
    }
}

/// Takes `output`, which stands at `start` of the new file, apart.
///
/// `covers` lie inside it and inside `old`, in order and without overlap.
pub(crate) fn build(old: &dyn ReadAt, output: &[u8], start: u64, covers: &[Cover]) -> io::Result<RawSegment> {
    let mut segment = RawSegment { output_len: output.len() as u64, ..RawSegment::default() };
    let mut base = SeekBase::default();
    let mut corrections = Corrections::default();
    let mut done = 0;
    for cover in covers {
        let at = within(cover.new_offset - start);
        let covered = &output[at..at + within(cover.len)];
        let literal_len = (at - done) as u64;
        segment.literals(&output[done..at]);
        push_varint(segment.stream(StreamKind::LiteralLengths), literal_len);
        push_varint(segment.stream(StreamKind::CoverLengths), cover.len);
        let seek = cover.old_offset.wrapping_sub(base.expected(literal_len)).cast_signed();
        push_varint(segment.stream(StreamKind::Seeks), zigzag(seek));
        corrections.add(old, cover.old_offset, covered, &mut segment)?;
        base.pass(*cover);
        segment.cover_count += 1;
        segment.unchanged += cover.len;
        done = at + covered.len();
    }
    segment.literals(&output[done..]);
    segment.unchanged -= segment.corrected;
    Ok(segment)
}

impl RawSegment {
    pub(crate) fn stream(&mut self, kind: StreamKind) -> &mut Vec<u8> {
        &mut self.streams[kind.index()]
    }

    fn literals(&mut self, bytes: &[u8]) {
        self.stream(StreamKind::Literals).extend_from_slice(bytes);
    }

    /// Adds a run of bytes that differ: new less old as little-endian numbers.
    fn run(&mut self, gap: u64, old: &[u8], new: &[u8]) {
        let len_less_one = old.len() as u64 - 1;
        push_varint(self.stream(StreamKind::Gaps), gap);
        push_varint(self.stream(StreamKind::RunLengths), len_less_one);
        let corrections = self.stream(StreamKind::CORRECTIONS[run_class(len_less_one)]);
        let mut borrow = false;
        for (old, new) in old.iter().zip(new) {
            let (difference, underflow) = new.overflowing_sub(*old);
            let (difference, underflow_of_borrow) = difference.overflowing_sub(u8::from(borrow));
            corrections.push(difference);
            borrow = underflow | underflow_of_borrow;
        }
        self.corrected += old.len() as u64;
    }

    /// Writes the segment with its streams as `packed`: `None` where a stream is empty.
    pub(crate) fn write(&self, packed: &[Option<Packed>], out: &mut dyn io::Write) -> io::Result<u64> {
        let present = || {
            StreamKind::ALL.iter().zip(&self.streams).zip(packed).filter_map(|(pair, p)| p.as_ref().map(|p| (pair, p)))
        };
        let table: Vec<_> = present()
            .map(|((kind, raw), packed)| (*kind, packed.codec, raw.len() as u64, packed.bytes.len() as u64))
            .collect();
        let header = SegmentHeader::write(self.output_len, self.cover_count, &table);
        out.write_all(&header)?;
        let mut written = header.len() as u64;
        for (_, packed) in present() {
            out.write_all(&packed.bytes)?;
            written += packed.bytes.len() as u64;
        }
        Ok(written)
    }
}

/// The walk over all covered bytes of a segment that lists the ones that differ.
#[derive(Default)]
struct Corrections {
    gap: u64,
    old: Vec<u8>,
}

impl Corrections {
    fn add(&mut self, old: &dyn ReadAt, offset: u64, covered: &[u8], segment: &mut RawSegment) -> io::Result<()> {
        const STEP: usize = 64 << 10;
        let mut offset = offset;
        for piece in covered.chunks(STEP) {
            self.old.resize(piece.len(), 0);
            old.read_exact_at(&mut self.old, offset)?;
            self.compare(piece, segment);
            offset += piece.len() as u64;
        }
        Ok(())
    }

    fn compare(&mut self, new: &[u8], segment: &mut RawSegment) {
        let (mut old, mut new) = (self.old.as_slice(), new);
        loop {
            let equal = common_prefix(old, new);
            self.gap += equal as u64;
            (old, new) = (&old[equal..], &new[equal..]);
            let run = old.iter().zip(new).take_while(|(old, new)| old != new).count();
            if run == 0 {
                return;
            }
            segment.run(self.gap, &old[..run], &new[..run]);
            self.gap = 0;
            (old, new) = (&old[run..], &new[run..]);
        }
    }
}

/// How many bytes at the start are the same.
pub(crate) fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    const WORD: usize = 8;
    let (a_words, _) = a.as_chunks::<WORD>();
    let (b_words, _) = b.as_chunks::<WORD>();
    let whole = a_words.iter().zip(b_words).position(|(a, b)| a != b);
    let start = whole.unwrap_or(a_words.len().min(b_words.len())) * WORD;
    start + a[start..].iter().zip(&b[start..]).take_while(|(a, b)| a == b).count()
}

fn within(distance: u64) -> usize {
    usize::try_from(distance).expect("inside a segment in memory")
}
