//! What a body holds, from its headers alone: those of version 1; version 2 has its own reader.

use patchwright_formats::ReadAt;

use crate::ApplyError;
use crate::format::{Codec, HEADER_LEN, Header, SegmentHeader, StreamKind, VERSION};

/// What the headers of a body say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyInfo {
    /// The version of its format.
    pub version: u8,
    /// The lengths of both files.
    pub header: Header,
    /// The length of the body in bytes.
    pub body_len: u64,
    /// The number of segments.
    pub segment_count: u64,
    /// The number of covers of all segments; `None` where it cannot be told without the old file, as in version 2.
    pub cover_count: Option<u64>,
    /// Of version 1: the streams of all segments, summed up by kind and codec, in that order.
    pub streams: Vec<StreamInfo>,
    /// Of version 1: the first segments, at most [`MAX_SEGMENTS_LISTED`].
    pub segments: Vec<SegmentInfo>,
    /// Of version 2: its parts, summed up by name and method, in the order in which they first come.
    pub parts: Vec<PartInfo>,
}

/// The size of the parts of one name and method of a body of version 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartInfo {
    /// What they hold.
    pub name: &'static str,
    /// How they are coded.
    pub method: &'static str,
    /// How many bytes of the new file they make.
    pub raw_len: u64,
    /// Their length in bytes in the body.
    pub stored_len: u64,
}

/// What one segment's header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Where the segment starts in the body.
    pub offset: u64,
    /// How many bytes of the new file it makes.
    pub output_len: u64,
    /// Its number of covers.
    pub cover_count: u64,
    /// Its streams, in order of their kind.
    pub streams: Vec<StreamInfo>,
}

/// The size of a stream, or of all streams of one kind and codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamInfo {
    /// What it holds.
    pub kind: StreamKind,
    /// How it is stored.
    pub codec: Codec,
    /// Its length in bytes once decoded.
    pub raw_len: u64,
    /// Its length in bytes in the body.
    pub stored_len: u64,
}

/// Most segments that `describe` lists one by one, so that its answer stays small for any body.
pub const MAX_SEGMENTS_LISTED: usize = 1024;

/// Reads the headers of a body. The streams themselves are not decoded: a body that can be described may still fail
/// to apply.
pub(crate) fn describe(body: &dyn ReadAt) -> Result<BodyInfo, ApplyError> {
    let header = Header::read(body)?;
    let mut info = BodyInfo::new(VERSION, header, body.len_bytes());
    info.cover_count = Some(0);
    let mut offset = HEADER_LEN as u64;
    let mut new_left = header.new_len;
    while let Some(segment) = SegmentHeader::read(body, offset, new_left)? {
        new_left -= segment.output_len;
        offset = segment.end;
        info.add(&segment);
    }
    info.streams.sort_unstable_by_key(|stream| (stream.kind, stream.codec));
    Ok(info)
}

impl BodyInfo {
    /// Of a body of which only the outside is known.
    pub(crate) fn new(version: u8, header: Header, body_len: u64) -> Self {
        Self {
            version,
            header,
            body_len,
            segment_count: 0,
            cover_count: None,
            streams: Vec::new(),
            segments: Vec::new(),
            parts: Vec::new(),
        }
    }

    /// Adds a part of version 2.
    pub(crate) fn add_part(&mut self, part: PartInfo) {
        match self.parts.iter_mut().find(|sum| (sum.name, sum.method) == (part.name, part.method)) {
            Some(sum) => {
                sum.raw_len = sum.raw_len.saturating_add(part.raw_len);
                sum.stored_len = sum.stored_len.saturating_add(part.stored_len);
            }
            None => self.parts.push(part),
        }
    }

    fn add(&mut self, segment: &SegmentHeader) {
        let streams = segment.streams.iter().map(|stream| StreamInfo {
            kind: stream.kind,
            codec: stream.codec,
            raw_len: stream.raw_len,
            stored_len: stream.stored_len,
        });
        for stream in streams.clone() {
            match self.streams.iter_mut().find(|sum| (sum.kind, sum.codec) == (stream.kind, stream.codec)) {
                Some(sum) => {
                    sum.raw_len = sum.raw_len.saturating_add(stream.raw_len);
                    sum.stored_len += stream.stored_len;
                }
                None => self.streams.push(stream),
            }
        }
        self.segment_count += 1;
        self.cover_count = self.cover_count.and_then(|count| count.checked_add(segment.cover_count));
        if self.segments.len() < MAX_SEGMENTS_LISTED {
            self.segments.push(SegmentInfo {
                offset: segment.offset,
                output_len: segment.output_len,
                cover_count: segment.cover_count,
                streams: streams.collect(),
            });
        }
    }
}
