//! What the outside of a body says.

use crate::ApplyError;
use crate::format::Header;
use crate::inspect::{BodyInfo, PartInfo};

use super::body::{self, Kind};
use super::packed::PACKED_VERSION;

/// Reads what the outside of a body says.
///
/// # Errors
///
/// As of [`crate::describe()`].
pub(crate) fn describe(bytes: &[u8]) -> Result<BodyInfo, ApplyError> {
    if bytes.first() == Some(&PACKED_VERSION) {
        return packed(bytes);
    }
    let body = body::read(bytes)?;
    let shape = body.shape;
    let header = Header { old_len: u64::from(shape.old_len), new_len: u64::from(shape.new_len) };
    let mut info = BodyInfo::new(body::VERSION, header, bytes.len() as u64);
    info.segment_count = body.parts.len() as u64;
    let head_len = body.head.len() as u64;
    let segments_len: u64 = body.parts.iter().map(|part| part.bytes.len() as u64).sum();
    let outside_len = info.body_len.saturating_sub(head_len).saturating_sub(segments_len);
    info.add_part(PartInfo { name: "lengths", method: "raw", raw_len: 0, stored_len: outside_len });
    info.add_part(PartInfo { name: "covers and sections", method: "mixed", raw_len: 0, stored_len: head_len });
    for (part, (_, len)) in body.parts.iter().zip(body::segments(shape.new_len, shape.segment_len)) {
        let stored_len = part.bytes.len() as u64;
        info.add_part(PartInfo { name: "segments", method: method(part.kind), raw_len: u64::from(len), stored_len });
    }
    Ok(info)
}

/// A body that is packed as a whole.
fn packed(bytes: &[u8]) -> Result<BodyInfo, ApplyError> {
    let (old_len, new_len) = body::stated_lengths(bytes)?;
    let mut info = BodyInfo::new(PACKED_VERSION, Header { old_len, new_len }, bytes.len() as u64);
    let method = if bytes.get(1) == Some(&0) { "lzma" } else { "zstd" };
    info.cover_count = Some(0);
    info.segment_count = new_len.min(1);
    info.add_part(PartInfo { name: "whole file", method, raw_len: new_len, stored_len: info.body_len });
    Ok(info)
}

/// The name of a coding in reports.
fn method(kind: Kind) -> &'static str {
    match kind {
        Kind::Mixed => "mixed",
        Kind::Streams => "streams",
        Kind::Lzma => "lzma",
        Kind::Zstd => "zstd",
    }
}
