//! Compresses a stream: the smallest of a fixed list of candidates.

use std::io;

use zstd::bulk::Compressor;
use zstd::stream::raw::CParameter;

use crate::format::{Codec, StreamKind};

/// A stream as it is stored.
pub(crate) struct Packed {
    pub(crate) codec: Codec,
    pub(crate) bytes: Vec<u8>,
}

/// One way to store a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Candidate {
    Raw,
    Zstd {
        level: i32,
    },
    #[cfg(feature = "create")]
    Lzma {
        lc: u32,
        lp: u32,
        pb: u32,
    },
}

impl Candidate {
    pub(crate) fn pack(self, kind: StreamKind, raw: &[u8]) -> io::Result<Packed> {
        Ok(match self {
            Self::Raw => Packed { codec: Codec::Raw, bytes: raw.to_vec() },
            Self::Zstd { level } => {
                Packed { codec: Codec::Zstd, bytes: zstd(raw, level, window_log(kind, raw.len()))? }
            }
            #[cfg(feature = "create")]
            Self::Lzma { lc, lp, pb } => {
                Packed { codec: Codec::Lzma, bytes: lzma(raw, [lc, lp, pb], window_log(kind, raw.len()))? }
            }
        })
    }
}

/// The smallest of several; the first of equals.
pub(crate) fn smallest(packed: impl IntoIterator<Item = Packed>) -> Option<Packed> {
    packed.into_iter().reduce(|best, other| if other.bytes.len() < best.bytes.len() { other } else { best })
}

/// The history a stream of this kind may use, as a power of two. All kinds together stay within
/// [`MAX_WINDOWS`](crate::format::MAX_WINDOWS): 16 + 5 * 4 + 4 * 2 MiB.
fn window_log(kind: StreamKind, raw_len: usize) -> u32 {
    let most = match kind {
        StreamKind::Literals => 24,
        StreamKind::LiteralLengths | StreamKind::CoverLengths | StreamKind::Seeks | StreamKind::RunLengths => 21,
        _ => 22,
    };
    raw_len.max(1 << 12).next_power_of_two().ilog2().min(most)
}

fn zstd(raw: &[u8], level: i32, window_log: u32) -> io::Result<Vec<u8>> {
    let mut compressor = Compressor::new(level)?;
    compressor.set_parameter(CParameter::WindowLog(window_log))?;
    compressor.set_parameter(CParameter::ContentSizeFlag(true))?;
    compressor.set_parameter(CParameter::ChecksumFlag(false))?;
    compressor.compress(raw)
}

#[cfg(feature = "create")]
fn lzma(raw: &[u8], [lc, lp, pb]: [u32; 3], window_log: u32) -> io::Result<Vec<u8>> {
    use io::Write;

    use lzma_rust2::{EncodeMode, LzmaOptions, LzmaWriter, MfType};

    let nice_len = LzmaOptions::NICE_LEN_MAX;
    let options = LzmaOptions::new(1 << window_log, lc, lp, pb, EncodeMode::Normal, nice_len, MfType::Bt4, 0);
    let header = vec![options.get_props(), u8::try_from(window_log).expect("at most 24")];
    let mut writer = LzmaWriter::new_no_header(header, &options, false)?;
    writer.write_all(raw)?;
    writer.finish()
}
