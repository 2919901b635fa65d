//! Bytes that no prediction helps, compressed as a whole: single segments, and bodies that are nothing else.
//!
//! ```text
//! body = 0x03 method:u8 old_len:varint new_len:varint stored_len:varint{pieces - 1} stored{pieces}
//! ```
//!
//! Method 0 is LZMA: one piece, whose dictionary is the new file or its last 64 MiB. Method 1 is Zstandard, a frame for
//! every 64 MiB of the new file, each with the whole old file before it and without the four bytes that all frames start
//! with. So neither needs more memory than the last 64 MiB of what it made, which count as its output, and a decoder's
//! state of less than a megabyte. The old file is used where it is.

use std::io::{self, Read};

use lzma_rust2::LzmaReader;
use zstd::zstd_safe::{DCtx, DParameter};

use crate::ApplyError;
use crate::format::{Varint, malformed};

use super::code::index;

/// The first byte of a body that is packed as a whole.
pub const PACKED_VERSION: u8 = 3;

/// How much of the new file a piece makes, and the longest dictionary.
const PIECE: u32 = 64 << 20;

/// How much of the output is handed over at a time.
const STEP: usize = 1 << 20;

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Lzma,
    Zstd,
}

/// The header of a body, and its pieces.
#[derive(Debug)]
pub(super) struct Packed<'a> {
    method: Method,
    pub(super) old_len: u32,
    pub(super) new_len: u32,
    pieces: Vec<&'a [u8]>,
}

impl<'a> Packed<'a> {
    /// Takes a body apart, if it is one of these.
    pub(super) fn read(body: &'a [u8]) -> Option<Result<Self, ApplyError>> {
        (body.first() == Some(&PACKED_VERSION)).then(|| Self::parse(body))
    }

    fn parse(body: &'a [u8]) -> Result<Self, ApplyError> {
        let bad = |what| malformed("header", 0, what);
        let [_, method] = *body.first_chunk::<2>().ok_or_else(|| bad("the body ends inside it"))?;
        let method = match method {
            0 => Method::Lzma,
            1 => Method::Zstd,
            other => {
                let (structure, value) = ("header", u64::from(other));
                return Err(ApplyError::Unsupported { structure, offset: 1, what: "method", value });
            }
        };
        let mut rest = &body[2..];
        let mut number = || take_number(&mut rest).map_err(bad);
        let (old_len, new_len) = (number()?, number()?);
        let count = match method {
            Method::Lzma => new_len.min(1),
            Method::Zstd => new_len.div_ceil(PIECE),
        };
        let lens = (1..count).map(|_| number()).collect::<Result<Vec<_>, _>>()?;
        let mut pieces = Vec::with_capacity(lens.len() + 1);
        for len in lens {
            let (piece, left) =
                rest.split_at_checked(index(len)).ok_or_else(|| bad("its pieces reach beyond the end"))?;
            pieces.push(piece);
            rest = left;
        }
        match count {
            0 if rest.is_empty() => {}
            0 => return Err(bad("bytes follow the last piece")),
            _ => pieces.push(rest),
        }
        Ok(Self { method, old_len, new_len, pieces })
    }

    /// Makes the new file. `old` has the length that the header states.
    pub(super) fn apply(&self, old: &[u8], sink: &mut dyn io::Write) -> Result<(), ApplyError> {
        let mut left = self.new_len;
        for (number, piece) in (0u64..).zip(&self.pieces) {
            let bad = |what| malformed("piece", number, what);
            match self.method {
                Method::Lzma => {
                    let mut reader = lzma_reader(piece, left, left.min(PIECE)).map_err(bad)?;
                    let mut buffer = vec![0; index(left).min(STEP)];
                    while left > 0 {
                        let step = index(left).min(STEP);
                        reader.read_exact(&mut buffer[..step]).map_err(|_| bad(LZMA_CORRUPT))?;
                        sink.write_all(&buffer[..step]).map_err(ApplyError::Sink)?;
                        left -= super::code::narrow(step);
                    }
                    lzma_end(reader).map_err(bad)?;
                }
                Method::Zstd => {
                    let len = left.min(PIECE);
                    let mut made = vec![0; index(len)];
                    unpack_zstd(piece, old, &mut made).map_err(bad)?;
                    made.chunks(STEP).try_for_each(|step| sink.write_all(step)).map_err(ApplyError::Sink)?;
                    left -= len;
                }
            }
        }
        Ok(())
    }
}

/// Makes a segment from LZMA data: `out` is as long as it is.
pub(super) fn unpack_lzma(part: &[u8], out: &mut [u8]) -> Result<(), &'static str> {
    let len = super::code::narrow(out.len());
    let mut reader = lzma_reader(part, len, len)?;
    reader.read_exact(out).map_err(|_| LZMA_CORRUPT)?;
    lzma_end(reader)
}

/// Makes a segment from a stretch of the old file (its place and length) and a frame after it.
pub(super) fn unpack_zstd_near(part: &[u8], old: &[u8], out: &mut [u8]) -> Result<(), &'static str> {
    let mut rest = part;
    let (from, len) = (take_number(&mut rest)?, take_number(&mut rest)?);
    let end = from.checked_add(len).ok_or("its old bytes lie outside the old file")?;
    let near = old.get(index(from)..index(end)).ok_or("its old bytes lie outside the old file")?;
    unpack_zstd(rest, near, out)
}

const LZMA_CORRUPT: &str = "its LZMA data are corrupt";
const ZSTD_CORRUPT: &str = "its Zstandard frame is corrupt";

/// A byte of properties, and LZMA data without an end mark that make `len` bytes.
fn lzma_reader(part: &[u8], len: u32, dictionary: u32) -> Result<LzmaReader<&[u8]>, &'static str> {
    let (properties, data) = part.split_first().ok_or(LZMA_CORRUPT)?;
    let (lc, lp) = (properties % 9, properties / 9 % 5);
    if *properties >= 9 * 5 * 5 || lc + lp > 4 {
        return Err("its LZMA properties are out of range");
    }
    let dictionary = dictionary.max(lzma_rust2::DICT_SIZE_MIN);
    let mut reader = LzmaReader::new_with_props(data, u64::from(len), *properties, dictionary, None)
        .map_err(|_| "its LZMA data cannot be started")?;
    reader.set_relaxed_end_condition(false);
    Ok(reader)
}

/// Checks that nothing is left over.
fn lzma_end(reader: LzmaReader<&[u8]>) -> Result<(), &'static str> {
    let (left, unused) = reader.into_parts();
    if left.is_empty() && unused.is_empty() { Ok(()) } else { Err("stored bytes are left over") }
}

/// What every frame starts with, and none of ours.
const MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];

/// One frame that makes exactly `out`, with `before` as its history.
fn unpack_zstd(frame: &[u8], before: &[u8], out: &mut [u8]) -> Result<(), &'static str> {
    let frame = &[&MAGIC, frame].concat()[..];
    let mut decoder = DCtx::try_create().ok_or("no decoder can be had")?;
    decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG)).map_err(|_| ZSTD_CORRUPT)?;
    decoder.ref_prefix(before).map_err(|_| ZSTD_CORRUPT)?;
    // A second frame would have no history, and there is no telling what it is for.
    if zstd::zstd_safe::find_frame_compressed_size(frame) != Ok(frame.len()) {
        return Err(ZSTD_CORRUPT);
    }
    match decoder.decompress(out, frame) {
        Ok(len) if len == out.len() => Ok(()),
        Ok(_) => Err("it makes too few bytes"),
        Err(_) => Err(ZSTD_CORRUPT),
    }
}

/// The longest history of a frame, as a power of two, and the longest that a machine of 32 bits can have. It lies in the
/// old file and in the output, and costs no memory.
const WINDOW_LOG: u32 = 30;

/// A number below 2 GiB.
fn take_number(rest: &mut &[u8]) -> Result<u32, &'static str> {
    let mut number = Varint::default();
    loop {
        let (byte, left) = rest.split_first().ok_or("the body ends inside it")?;
        *rest = left;
        if let Some(value) = number.push(*byte)? {
            let narrow = u32::try_from(value).ok().filter(|value| i32::try_from(*value).is_ok());
            return narrow.ok_or("a length exceeds 2 GiB");
        }
    }
}

#[cfg(feature = "create")]
pub(super) mod create {
    //! The way there: what is tried, and when.

    use std::io::{self, Write};

    use lzma_rust2::{EncodeMode, LzmaOptions, LzmaWriter, MfType};
    use zstd::zstd_safe::{self, CCtx, CParameter};

    use super::super::code::{index, narrow};
    use super::{MAGIC, Method, PACKED_VERSION, PIECE, WINDOW_LOG};
    use crate::format::push_varint;

    /// A body that is smaller than one of `len` bytes and makes `new`, if one of these is. `image` says whether both
    /// files are programs of one kind.
    ///
    /// What is dear is only tried if something cheap says that it may win.
    pub(in super::super) fn smaller(old: &[u8], new: &[u8], image: bool, len: usize) -> io::Result<Option<Vec<u8>>> {
        let mut best: Option<Vec<u8>> = None;
        let least = |best: &Option<Vec<u8>>| best.as_ref().map_or(len, Vec::len);
        let offer = |best: &mut Option<Vec<u8>>, body: Vec<u8>| {
            if body.len() < least(best) {
                *best = Some(body);
            }
        };
        // With the old file before it, Zstandard's best is 0.4 of its quickest on programs; on archives it may be less.
        let quick = zstd_body(old, new, QUICK)?;
        if quick.len() / (if image { 2 } else { 16 }) <= len {
            offer(&mut best, quick);
            offer(&mut best, zstd_body(old, new, BEST)?);
        }
        // Alone, LZMA is half to three quarters of quick Zstandard, and its best two thirds of its quickest at least.
        let alone = pack_zstd(new, &[], QUICK)?.len();
        if alone / 4 <= least(&best) {
            let quick = lzma_body(old, new, &lzma_options(new.len(), PARAMETERS[0], Effort::Quick))?;
            let promising = quick.len() / 3 * 2 <= least(&best) && quick.len() <= new.len();
            offer(&mut best, quick);
            if promising {
                offer(&mut best, lzma_body(old, new, &best_options(new)?)?);
            }
        }
        Ok(best)
    }

    /// LZMA data of a segment.
    pub(in super::super) fn lzma(new: &[u8]) -> io::Result<Vec<u8>> {
        pack_lzma(new, &best_options(new)?)
    }

    /// A segment as a frame after a stretch of the old file.
    pub(in super::super) fn zstd_near(new: &[u8], old: &[u8], from: u32, len: u32) -> io::Result<Vec<u8>> {
        let near = old.get(index(from)..index(from.saturating_add(len))).unwrap_or_default();
        let mut part = Vec::new();
        push_varint(&mut part, u64::from(from));
        push_varint(&mut part, near.len() as u64);
        part.extend(pack_zstd(new, near, BEST)?);
        Ok(part)
    }

    const QUICK: i32 = 3;
    const BEST: i32 = 22;

    fn header(method: Method, old: &[u8], new: &[u8]) -> Vec<u8> {
        let method = match method {
            Method::Lzma => 0,
            Method::Zstd => 1,
        };
        let mut body = vec![PACKED_VERSION, method];
        push_varint(&mut body, old.len() as u64);
        push_varint(&mut body, new.len() as u64);
        body
    }

    fn body(mut header: Vec<u8>, pieces: &[Vec<u8>]) -> Vec<u8> {
        let told = &pieces[..pieces.len().saturating_sub(1)];
        told.iter().for_each(|piece| push_varint(&mut header, piece.len() as u64));
        pieces.iter().for_each(|piece| header.extend_from_slice(piece));
        header
    }

    fn zstd_body(old: &[u8], new: &[u8], level: i32) -> io::Result<Vec<u8>> {
        let pieces = new.chunks(index(PIECE)).map(|piece| pack_zstd(piece, old, level));
        Ok(body(header(Method::Zstd, old, new), &pieces.collect::<io::Result<Vec<_>>>()?))
    }

    fn lzma_body(old: &[u8], new: &[u8], options: &LzmaOptions) -> io::Result<Vec<u8>> {
        let pieces = if new.is_empty() { Vec::new() } else { vec![pack_lzma(new, options)?] };
        Ok(body(header(Method::Lzma, old, new), &pieces))
    }

    fn pack_zstd(new: &[u8], before: &[u8], level: i32) -> io::Result<Vec<u8>> {
        let failed = |code| io::Error::other(zstd_safe::get_error_name(code));
        let mut encoder = CCtx::try_create().ok_or(io::ErrorKind::OutOfMemory)?;
        for parameter in [
            CParameter::CompressionLevel(level),
            CParameter::WindowLog(WINDOW_LOG),
            CParameter::EnableLongDistanceMatching(true),
            CParameter::ContentSizeFlag(false),
            CParameter::ChecksumFlag(false),
        ] {
            encoder.set_parameter(parameter).map_err(failed)?;
        }
        encoder.ref_prefix(before).map_err(failed)?;
        let mut packed = Vec::with_capacity(zstd_safe::compress_bound(new.len()));
        encoder.compress2(&mut packed, new).map_err(failed)?;
        debug_assert!(packed.starts_with(&MAGIC), "a frame");
        Ok(packed.split_off(MAGIC.len()))
    }

    enum Effort {
        Quick,
        Best,
    }

    /// Which literals and positions share statistics: bits of the byte before, of the place for literals, of the place
    /// for lengths. As `xz` has it; for text; for code and tables of words of four bytes.
    const PARAMETERS: [[u32; 3]; 3] = [[3, 0, 2], [3, 0, 0], [2, 2, 2]];

    /// How long samples are that decide between them, and how many there are.
    const SAMPLE: usize = 512 << 10;
    const SAMPLES: usize = 8;

    /// What makes least of samples from everywhere, the first of equals.
    fn best_options(new: &[u8]) -> io::Result<LzmaOptions> {
        let step = new.len().div_ceil(SAMPLES).max(SAMPLE);
        let samples: Vec<u8> = new.chunks(step).flat_map(|part| &part[..part.len().min(SAMPLE)]).copied().collect();
        let mut best = (usize::MAX, PARAMETERS[0]);
        for parameters in PARAMETERS {
            let len = pack_lzma(&samples, &lzma_options(samples.len(), parameters, Effort::Best))?.len();
            if len < best.0 {
                best = (len, parameters);
            }
        }
        Ok(lzma_options(new.len(), best.1, Effort::Best))
    }

    fn lzma_options(len: usize, [lc, lp, pb]: [u32; 3], effort: Effort) -> LzmaOptions {
        let dictionary = narrow(len).clamp(lzma_rust2::DICT_SIZE_MIN, PIECE);
        match effort {
            Effort::Quick => LzmaOptions::new(dictionary, lc, lp, pb, EncodeMode::Fast, 128, MfType::Hc4, 8),
            // As `xz -9e`.
            Effort::Best => {
                let most = LzmaOptions::NICE_LEN_MAX;
                LzmaOptions::new(dictionary, lc, lp, pb, EncodeMode::Normal, most, MfType::Bt4, 512)
            }
        }
    }

    fn pack_lzma(new: &[u8], options: &LzmaOptions) -> io::Result<Vec<u8>> {
        let mut writer = LzmaWriter::new_no_header(vec![options.get_props()], options, false)?;
        writer.write_all(new)?;
        writer.finish()
    }
}
