//! What a body holds, from its headers alone.

use patchwright_formats::ReadAt;

use crate::ApplyError;
use crate::format::{Codec, HEADER_LEN, Header, SegmentHeader, StreamKind};

/// What the headers of a body say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyInfo {
    /// The lengths of both files.
    pub header: Header,
    /// The length of the body in bytes.
    pub body_len: u64,
    /// The number of segments.
    pub segment_count: u64,
    /// The number of covers of all segments.
    pub cover_count: u64,
    /// The streams of all segments, summed up by kind and codec, in that order.
    pub streams: Vec<StreamInfo>,
    /// The first segments, at most [`MAX_SEGMENTS_LISTED`].
    pub segments: Vec<SegmentInfo>,
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

/// Most segments that [`describe`] lists one by one, so that its answer stays small for any body.
pub const MAX_SEGMENTS_LISTED: usize = 1024;

/// Reads the headers of a body. The streams themselves are not decoded: a body that can be described may still fail
/// to apply.
pub fn describe(body: &dyn ReadAt) -> Result<BodyInfo, ApplyError> {
    let header = Header::read(body)?;
    let mut info = BodyInfo {
        header,
        body_len: body.len_bytes(),
        segment_count: 0,
        cover_count: 0,
        streams: Vec::new(),
        segments: Vec::new(),
    };
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
        self.cover_count += segment.cover_count;
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
