//! The numbers of a delta body: limits, headers, streams. `docs/formats/delta.md` is the same in prose.
//!
//! ```text
//! body    = header segment* 0x00
//! header  = version:u8 transform:u8 transform_version:u8 0x00 old_len:u64le new_len:u64le
//! segment = 0x01 output_len:varint cover_count:varint stream_count:u8 entry{stream_count} stored bytes
//! entry   = kind:u8 codec:u8 raw_len:varint stored_len:varint
//! ```

use patchwright_formats::ReadAt;

use crate::ApplyError;

/// The version of the body format that this release writes and reads.
pub const VERSION: u8 = 1;

/// The transform number that means: the files are compared as they are.
pub const TRANSFORM_NONE: u8 = 0;

/// The most bytes that [`apply`](crate::apply()) keeps in memory, whatever the sizes of the files.
///
/// 48 MiB of decoder windows ([`MAX_WINDOWS`]), 4 MiB of old blocks, and below 10 MiB of buffers and decoder tables.
pub const APPLY_MEMORY: u64 = 64 << 20;

/// The most history one stream's decoder may keep.
pub const MAX_WINDOW: u64 = 16 << 20;

/// The most history all decoders of one segment may keep together.
pub const MAX_WINDOWS: u64 = 48 << 20;

/// The history that every decoder may keep, however short its stream is.
pub(crate) const MIN_WINDOW: u64 = 4 << 10;

/// The place of a run's corrections in [`StreamKind::CORRECTIONS`], from its length less one.
pub(crate) fn run_class(len_less_one: u64) -> usize {
    usize::try_from(len_less_one).unwrap_or(usize::MAX).min(StreamKind::CORRECTIONS.len() - 1)
}

/// The length of a body's header in bytes.
pub(crate) const HEADER_LEN: usize = 20;

/// Opens a segment.
pub(crate) const SEGMENT_MARK: u8 = 1;

/// Closes the body.
pub(crate) const END_MARK: u8 = 0;

/// The longest number in a body.
const VARINT_LEN: usize = 10;

/// The longest segment header: mark, two numbers, stream count, and per stream two bytes and two numbers.
const SEGMENT_HEADER_LEN: usize = 2 + 2 * VARINT_LEN + StreamKind::ALL.len() * (2 + 2 * VARINT_LEN);

/// What a stream of a segment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamKind {
    /// Per cover: how many literal bytes come before it.
    LiteralLengths,
    /// Per cover: its length.
    CoverLengths,
    /// Per cover: where it starts in the old file.
    Seeks,
    /// Per run of corrected bytes: how many covered bytes since the last run stay as they are.
    Gaps,
    /// Per run of corrected bytes: its length less one.
    RunLengths,
    /// What is added in runs of one byte.
    Corrections1,
    /// What is added in runs of two bytes.
    Corrections2,
    /// What is added in runs of three bytes.
    Corrections3,
    /// What is added in runs of four bytes and more.
    Corrections4,
    /// Bytes that stand for themselves.
    Literals,
}

impl StreamKind {
    /// Every kind, in order of its number.
    pub const ALL: [Self; 10] = [
        Self::LiteralLengths,
        Self::CoverLengths,
        Self::Seeks,
        Self::Gaps,
        Self::RunLengths,
        Self::Corrections1,
        Self::Corrections2,
        Self::Corrections3,
        Self::Corrections4,
        Self::Literals,
    ];

    /// The streams of corrections, by the length of their runs: 1, 2, 3, and more.
    pub(crate) const CORRECTIONS: [Self; 4] =
        [Self::Corrections1, Self::Corrections2, Self::Corrections3, Self::Corrections4];

    /// The kind's number in a body.
    pub const fn number(self) -> u8 {
        match self {
            Self::LiteralLengths => 0,
            Self::CoverLengths => 1,
            Self::Seeks => 2,
            Self::Gaps => 3,
            Self::RunLengths => 4,
            Self::Corrections1 => 5,
            Self::Corrections2 => 6,
            Self::Corrections3 => 7,
            Self::Corrections4 => 8,
            Self::Literals => 9,
        }
    }

    /// A short plain name for reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LiteralLengths => "literal lengths",
            Self::CoverLengths => "cover lengths",
            Self::Seeks => "seeks",
            Self::Gaps => "gaps",
            Self::RunLengths => "run lengths",
            Self::Corrections1 => "corrections of 1 byte",
            Self::Corrections2 => "corrections of 2 bytes",
            Self::Corrections3 => "corrections of 3 bytes",
            Self::Corrections4 => "corrections of 4 bytes and more",
            Self::Literals => "literals",
        }
    }

    pub(crate) fn index(self) -> usize {
        usize::from(self.number())
    }

    /// The longest this stream can be in a segment. Longer ones could not be used up.
    fn max_raw_len(self, output_len: u64, cover_count: u64) -> u64 {
        match self {
            Self::LiteralLengths | Self::CoverLengths | Self::Seeks => cover_count.saturating_mul(VARINT_LEN as u64),
            Self::Gaps | Self::RunLengths => output_len.saturating_mul(VARINT_LEN as u64),
            _ => output_len,
        }
    }
}

/// How a stream is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// As it is.
    Raw,
    /// One Zstandard frame.
    Zstd,
    /// A byte of LZMA properties, a byte of dictionary size (its base-2 logarithm), LZMA data without end mark.
    Lzma,
}

impl Codec {
    /// Every codec, in order of its number.
    pub const ALL: [Self; 3] = [Self::Raw, Self::Zstd, Self::Lzma];

    /// The codec's number in a body.
    pub const fn number(self) -> u8 {
        match self {
            Self::Raw => 0,
            Self::Zstd => 1,
            Self::Lzma => 2,
        }
    }

    /// A short plain name for reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Zstd => "zstd",
            Self::Lzma => "lzma",
        }
    }
}

/// The lengths that a body states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The length of the old file in bytes.
    pub old_len: u64,
    /// The length of the new file in bytes.
    pub new_len: u64,
}

impl Header {
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = vec![VERSION, TRANSFORM_NONE, 0, 0];
        bytes.extend_from_slice(&self.old_len.to_le_bytes());
        bytes.extend_from_slice(&self.new_len.to_le_bytes());
        bytes
    }

    /// Reads the header; the segments start at [`HEADER_LEN`].
    pub(crate) fn read(body: &dyn ReadAt) -> Result<Self, ApplyError> {
        let structure = "header";
        let mut first = [0; 4];
        if body.len_bytes() < HEADER_LEN as u64 {
            return Err(malformed(structure, 0, "the body ends inside it"));
        }
        body.read_exact_at(&mut first, 0).map_err(ApplyError::BodyRead)?;
        let [version, transform, transform_version, flags] = first;
        let unsupported =
            |offset, what, value: u8| Err(ApplyError::Unsupported { structure, offset, what, value: u64::from(value) });
        if version != VERSION {
            return unsupported(0, "format version", version);
        }
        if transform != TRANSFORM_NONE {
            return unsupported(1, "transform", transform);
        }
        if transform_version != 0 {
            return unsupported(2, "transform version", transform_version);
        }
        if flags != 0 {
            return unsupported(3, "flags", flags);
        }
        let read_u64 = |offset| {
            let mut bytes = [0; 8];
            body.read_exact_at(&mut bytes, offset).map_err(ApplyError::BodyRead)?;
            Ok(u64::from_le_bytes(bytes))
        };
        Ok(Self { old_len: read_u64(4)?, new_len: read_u64(12)? })
    }
}

/// Where a stream of a segment stands and how it is stored. Its ranges lie inside the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamHeader {
    pub(crate) kind: StreamKind,
    pub(crate) codec: Codec,
    pub(crate) raw_len: u64,
    pub(crate) stored_len: u64,
    /// Where the stored bytes start in the body.
    pub(crate) offset: u64,
}

/// One segment's header, checked against the length of the body and what is left of the new file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// Where the segment starts in the body.
    pub(crate) offset: u64,
    pub(crate) output_len: u64,
    pub(crate) cover_count: u64,
    /// In order of their kind; a stream that is not listed is empty.
    pub(crate) streams: Vec<StreamHeader>,
    /// Where the next segment starts.
    pub(crate) end: u64,
}

impl SegmentHeader {
    /// Reads the segment that starts at `offset`; `None` when the body ends there as it should.
    ///
    /// `new_left` is how much of the new file is still to be made.
    pub(crate) fn read(body: &dyn ReadAt, offset: u64, new_left: u64) -> Result<Option<Self>, ApplyError> {
        let left = body.len_bytes().saturating_sub(offset);
        let step = usize::try_from(left).unwrap_or(usize::MAX).min(SEGMENT_HEADER_LEN);
        let mut bytes = [0; SEGMENT_HEADER_LEN];
        body.read_exact_at(&mut bytes[..step], offset).map_err(ApplyError::BodyRead)?;
        let mut fields = Fields { bytes: &bytes[..step], at: 0, structure: "segment header", offset };
        match fields.byte()? {
            END_MARK if new_left > 0 => Err(malformed("end mark", offset, "the new file is not complete")),
            END_MARK if left > 1 => Err(malformed("end mark", offset, "bytes follow it")),
            END_MARK => Ok(None),
            SEGMENT_MARK => Self::parse(&mut fields, left, new_left).map(Some),
            other => Err(ApplyError::Unsupported {
                structure: "segment header",
                offset,
                what: "segment mark",
                value: u64::from(other),
            }),
        }
    }

    fn parse(fields: &mut Fields<'_>, left: u64, new_left: u64) -> Result<Self, ApplyError> {
        let offset = fields.offset;
        let output_len = fields.varint()?;
        if output_len == 0 {
            return Err(fields.malformed("it makes no output"));
        }
        if output_len > new_left {
            return Err(fields.malformed("it makes more than is left of the new file"));
        }
        let cover_count = fields.varint()?;
        if cover_count > output_len {
            return Err(fields.malformed("it has more covers than output bytes"));
        }
        let stream_count = fields.byte()?;
        let mut streams: Vec<StreamHeader> = Vec::new();
        for _ in 0..stream_count {
            let stream = read_entry(fields, output_len, cover_count)?;
            if streams.last().is_some_and(|last| last.kind >= stream.kind) {
                return Err(fields.malformed("its streams are out of order"));
            }
            streams.push(stream);
        }
        let mut end = fields.at as u64;
        for stream in &mut streams {
            stream.offset = offset + end;
            end = match end.checked_add(stream.stored_len) {
                Some(end) if end <= left => end,
                _ => return Err(fields.malformed("its streams reach beyond the end of the body")),
            };
        }
        Ok(Self { offset, output_len, cover_count, streams, end: offset + end })
    }

    /// The header's bytes, up to the stored streams.
    pub(crate) fn write(output_len: u64, cover_count: u64, streams: &[(StreamKind, Codec, u64, u64)]) -> Vec<u8> {
        let mut bytes = vec![SEGMENT_MARK];
        push_varint(&mut bytes, output_len);
        push_varint(&mut bytes, cover_count);
        bytes.push(u8::try_from(streams.len()).expect("one per kind"));
        for (kind, codec, raw_len, stored_len) in streams {
            bytes.extend_from_slice(&[kind.number(), codec.number()]);
            push_varint(&mut bytes, *raw_len);
            push_varint(&mut bytes, *stored_len);
        }
        bytes
    }
}

/// Reads one entry of the stream table. Where its bytes start is known only after the whole table.
fn read_entry(fields: &mut Fields<'_>, output_len: u64, cover_count: u64) -> Result<StreamHeader, ApplyError> {
    let kind = fields.byte()?;
    let kind = *StreamKind::ALL.get(usize::from(kind)).ok_or_else(|| fields.unsupported("stream kind", kind))?;
    let codec = fields.byte()?;
    let codec = *Codec::ALL.get(usize::from(codec)).ok_or_else(|| fields.unsupported("codec", codec))?;
    let raw_len = fields.varint()?;
    let stored_len = fields.varint()?;
    if raw_len == 0 || stored_len == 0 {
        return Err(fields.malformed("it lists an empty stream"));
    }
    if raw_len > kind.max_raw_len(output_len, cover_count) {
        return Err(fields.malformed("a stream is longer than the segment can use"));
    }
    Ok(StreamHeader { kind, codec, raw_len, stored_len, offset: 0 })
}

/// Bytes of a header that are read one after the other.
struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
    structure: &'static str,
    offset: u64,
}

impl Fields<'_> {
    fn byte(&mut self) -> Result<u8, ApplyError> {
        let byte = *self.bytes.get(self.at).ok_or_else(|| self.malformed("the body ends inside it"))?;
        self.at += 1;
        Ok(byte)
    }

    fn varint(&mut self) -> Result<u64, ApplyError> {
        let mut number = Varint::default();
        loop {
            let byte = self.byte()?;
            if let Some(value) = number.push(byte).map_err(|what| self.malformed(what))? {
                return Ok(value);
            }
        }
    }

    fn malformed(&self, what: &'static str) -> ApplyError {
        malformed(self.structure, self.offset, what)
    }

    fn unsupported(&self, what: &'static str, value: u8) -> ApplyError {
        ApplyError::Unsupported { structure: self.structure, offset: self.offset, what, value: u64::from(value) }
    }
}

pub(crate) fn malformed(structure: &'static str, offset: u64, what: &'static str) -> ApplyError {
    ApplyError::Malformed { structure, offset, what }
}

/// A number read byte by byte: seven bits each, lowest first, the top bit set on all but the last.
#[derive(Default)]
pub(crate) struct Varint {
    value: u64,
    shift: u32,
}

impl Varint {
    /// Adds a byte and returns the number when it was the last one. Each number has exactly one spelling.
    pub(crate) fn push(&mut self, byte: u8) -> Result<Option<u64>, &'static str> {
        let bits = u64::from(byte & 0x7F);
        if self.shift > 63 || (self.shift == 63 && bits > 1) {
            return Err("a number exceeds 64 bits");
        }
        self.value |= bits << self.shift;
        if byte & 0x80 != 0 {
            self.shift += 7;
            return Ok(None);
        }
        if byte == 0 && self.shift > 0 {
            return Err("a number is longer than it needs to be");
        }
        Ok(Some(self.value))
    }
}

/// Appends a number in its one spelling.
pub(crate) fn push_varint(bytes: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = value.to_le_bytes()[0] & 0x7F;
        value >>= 7;
        if value == 0 {
            return bytes.push(low);
        }
        bytes.push(low | 0x80);
    }
}

/// Folds the sign into the lowest bit: 0, -1, 1, -2 become 0, 1, 2, 3.
pub(crate) fn zigzag(value: i64) -> u64 {
    (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned()
}

/// Undoes [`zigzag`].
pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_varint(bytes: &[u8]) -> Result<u64, &'static str> {
        let mut number = Varint::default();
        for byte in bytes {
            if let Some(value) = number.push(*byte)? {
                return Ok(value);
            }
        }
        Err("cut short")
    }

    #[test]
    fn numbers_have_one_spelling() {
        for value in [0, 1, 127, 128, 300, 1 << 21, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut bytes = Vec::new();
            push_varint(&mut bytes, value);
            assert_eq!(read_varint(&bytes), Ok(value));
        }
        for bytes in
            [&[0x80, 0][..], &[0xFF, 0x80, 0], &[0xFF; 11], &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2]]
        {
            assert!(read_varint(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn zigzag_is_undone() {
        for value in [0, -1, 1, -2, 2, i64::MAX, i64::MIN] {
            assert_eq!(unzigzag(zigzag(value)), value);
        }
        assert_eq!([0, -1, 1, -2].map(zigzag), [0, 1, 2, 3]);
    }
}
