//! The outside of a body: its header, and where its segments are.
//!
//! ```text
//! body   = version:u8 table_log:u8 flags:u8 0x00 old_len:varint extra_len:varint new_len:varint segment_len:varint
//!          head_len:varint {kind:u8 part_len:varint}{segments} head part{segments}
//! ```
//!
//! Every segment has a [`Kind`], which says how it is coded; what a kind is given, and who decodes it, is in `segment`.

use std::io;

use crate::ApplyError;
use crate::cover::Cover;
use crate::format::{Varint, malformed, push_varint};

/// The version of bodies of this format, which is final.
pub const VERSION: u8 = 2;

/// How a segment is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Predictions, and what they miss by mixed models and a range coder.
    Mixed = 0,
    /// Predictions, and what they miss in streams.
    Streams = 1,
    /// Compressed by itself with LZMA.
    Lzma = 2,
    /// Compressed with Zstandard and old bytes before it.
    Zstd = 3,
}

impl Kind {
    fn of(number: u8) -> Option<Self> {
        [Self::Mixed, Self::Streams, Self::Lzma, Self::Zstd].into_iter().find(|kind| *kind as u8 == number)
    }

    /// Whether it needs the head: covers, the layouts of both images and the map. A body all of whose segments do
    /// without has none, and no image is read.
    pub(super) fn needs_head(self) -> bool {
        match self {
            Self::Mixed | Self::Streams => true,
            Self::Lzma | Self::Zstd => false,
        }
    }
}

/// A segment in a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<B> {
    pub(super) kind: Kind,
    pub(super) bytes: B,
}

/// The least and the largest size of the tables of a segment, as powers of two of 64 bytes.
const TABLE_LOGS: std::ops::RangeInclusive<u32> = 10..=17;

/// The shortest segment, the last one apart: each costs the making of its tables.
const MIN_SEGMENT: u32 = 1 << 20;

/// The longest segment.
pub(super) const MAX_SEGMENT: u32 = 16 << 20;

/// What a body looks like from the outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) old_len: u32,
    /// The length of the tables that are made anew: covers may come from there too.
    pub(super) extra_len: u32,
    pub(super) new_len: u32,
    /// How much of the new file each segment but the last makes.
    pub(super) segment_len: u32,
    pub(super) table_log: u32,
    /// Whether the old file counts as an image: if both are images of one machine.
    pub(super) image: bool,
    /// Whether literals look for their like in the whole old file.
    pub(super) old_index: bool,
}

const FLAG_OLD_INDEX: u8 = 1;
const FLAG_IMAGE: u8 = 2;

impl Shape {
    /// The shape for files of these lengths.
    #[cfg(feature = "create")]
    pub(super) fn choose(old_len: u32, extra_len: u32, new_len: u32, image: bool, literal_bytes: u64) -> Self {
        // Tables as large as what they can learn from.
        let log = (literal_bytes / 2 + u64::from(new_len) / 64).max(1).ilog2().clamp(14, *TABLE_LOGS.end());
        // Segments of one length, so that two threads, or four, end at about the same time.
        let count = match new_len.div_ceil(MAX_SEGMENT) {
            0 | 1 if new_len < 2 * MIN_SEGMENT => 1,
            count => count.next_multiple_of(2),
        };
        let segment_len = new_len.div_ceil(count).next_multiple_of(4096).clamp(MIN_SEGMENT, MAX_SEGMENT);
        Self { old_len, extra_len, new_len, segment_len, table_log: log, image, old_index: literal_bytes >= 4096 }
    }
}

/// Start and length of each segment.
pub(super) fn segments(new_len: u32, segment_len: u32) -> Vec<(u32, u32)> {
    let step = usize::try_from(segment_len).unwrap_or(usize::MAX).max(1);
    (0..new_len).step_by(step).map(|start| (start, segment_len.min(new_len - start))).collect()
}

/// The covers of a segment, cut to it.
pub(super) fn covers_of(covers: &[Cover], start: u32, len: u32) -> Vec<Cover> {
    let (start, end) = (u64::from(start), u64::from(start) + u64::from(len));
    let first = covers.partition_point(|cover| cover.new_end() <= start);
    let cut = |cover: &Cover| {
        let skip = start.saturating_sub(cover.new_offset);
        let len = cover.new_end().min(end) - cover.new_offset - skip;
        Cover { old_offset: cover.old_offset + skip, new_offset: cover.new_offset + skip, len }
    };
    covers[first..].iter().take_while(|cover| cover.new_offset < end).map(cut).collect()
}

/// Writes a body and returns its length.
#[cfg(feature = "create")]
pub(super) fn write(shape: &Shape, head: &[u8], parts: &[Part<Vec<u8>>], out: &mut dyn io::Write) -> io::Result<u64> {
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    let flags = flag(shape.old_index, FLAG_OLD_INDEX) | flag(shape.image, FLAG_IMAGE);
    let mut bytes = vec![VERSION, shape.table_log.to_le_bytes()[0], flags, 0];
    for number in [shape.old_len, shape.extra_len, shape.new_len, shape.segment_len] {
        push_varint(&mut bytes, u64::from(number));
    }
    push_varint(&mut bytes, head.len() as u64);
    for part in parts {
        bytes.push(part.kind as u8);
        push_varint(&mut bytes, part.bytes.len() as u64);
    }
    out.write_all(&bytes)?;
    out.write_all(head)?;
    parts.iter().try_for_each(|part| out.write_all(&part.bytes))?;
    Ok((bytes.len() + head.len() + parts.iter().map(|part| part.bytes.len()).sum::<usize>()) as u64)
}

/// A body taken apart.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    pub(super) shape: Shape,
    pub(super) head: &'a [u8],
    pub(super) parts: Vec<Part<&'a [u8]>>,
}

impl Parts<'_> {
    /// Whether any segment is of this kind.
    pub(super) fn any(&self, kind: Kind) -> bool {
        self.parts.iter().any(|part| part.kind == kind)
    }

    /// Whether any segment needs the head.
    pub(super) fn need_head(&self) -> bool {
        self.parts.iter().any(|part| part.kind.needs_head())
    }
}

/// The lengths of the old and the new file that a body states.
pub fn stated_lengths(body: &[u8]) -> Result<(u64, u64), ApplyError> {
    if let Some(packed) = super::packed::Packed::read(body) {
        let packed = packed?;
        return Ok((u64::from(packed.old_len), u64::from(packed.new_len)));
    }
    let shape = read(body)?.shape;
    Ok((u64::from(shape.old_len), u64::from(shape.new_len)))
}

/// Takes a body apart and checks its outside.
pub(super) fn read(body: &[u8]) -> Result<Parts<'_>, ApplyError> {
    let bad = |what| malformed("header", 0, what);
    let [version, table_log, flags, zero] = *body.first_chunk::<4>().ok_or_else(|| bad("the body ends inside it"))?;
    let unsupported = |offset, what, value: u8| {
        Err(ApplyError::Unsupported { structure: "header", offset, what, value: u64::from(value) })
    };
    if version != VERSION {
        return unsupported(0, "format version", version);
    }
    if flags & !(FLAG_OLD_INDEX | FLAG_IMAGE) != 0 {
        return unsupported(2, "flags", flags);
    }
    if zero != 0 {
        return unsupported(3, "flags", zero);
    }
    if !TABLE_LOGS.contains(&u32::from(table_log)) {
        return unsupported(1, "table size", table_log);
    }
    let mut rest = &body[4..];
    let (old_len, extra_len) = (length(&mut rest)?, length(&mut rest)?);
    let (new_len, segment_len) = (length(&mut rest)?, length(&mut rest)?);
    if extra_len > old_len {
        return Err(bad("more is made anew than there was"));
    }
    if !(MIN_SEGMENT..=MAX_SEGMENT).contains(&segment_len) {
        return Err(bad("its segments have an impossible length"));
    }
    let head_len = length(&mut rest)?;
    let mut lens = Vec::new();
    for _ in 0..new_len.div_ceil(segment_len) {
        let (kind, left) = rest.split_first().ok_or_else(|| bad("the body ends inside it"))?;
        rest = left;
        let Some(kind) = Kind::of(*kind) else {
            return unsupported((body.len() - rest.len() - 1) as u64, "kind of segment", *kind);
        };
        lens.push(Part { kind, bytes: length(&mut rest)? });
    }
    let shape = Shape {
        old_len,
        extra_len,
        new_len,
        segment_len,
        table_log: u32::from(table_log),
        image: flags & FLAG_IMAGE != 0,
        old_index: flags & FLAG_OLD_INDEX != 0,
    };
    let mut take = |len: u32| -> Result<&[u8], ApplyError> {
        let (taken, left) =
            rest.split_at_checked(super::code::index(len)).ok_or_else(|| bad("its parts reach beyond the end"))?;
        rest = left;
        Ok(taken)
    };
    let head = take(head_len)?;
    let parts = lens
        .into_iter()
        .map(|part| Ok(Part { kind: part.kind, bytes: take(part.bytes)? }))
        .collect::<Result<Vec<_>, ApplyError>>()?;
    if !rest.is_empty() {
        return Err(bad("bytes follow the last part"));
    }
    let parts = Parts { shape, head, parts };
    if !parts.need_head() && (head_len > 0 || extra_len > 0 || flags != 0) {
        return Err(bad("it has a head that no segment needs"));
    }
    Ok(parts)
}

/// A number below 2 GiB.
fn length(rest: &mut &[u8]) -> Result<u32, ApplyError> {
    let value = take_varint(rest).map_err(|what| malformed("header", 0, what))?;
    u32::try_from(value)
        .ok()
        .filter(|value| i32::try_from(*value).is_ok())
        .ok_or_else(|| malformed("header", 0, "a length exceeds 2 GiB"))
}

fn take_varint(rest: &mut &[u8]) -> Result<u64, &'static str> {
    let mut number = Varint::default();
    loop {
        let (byte, left) = rest.split_first().ok_or("the body ends inside it")?;
        *rest = left;
        if let Some(value) = number.push(*byte)? {
            return Ok(value);
        }
    }
}
