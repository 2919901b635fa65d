//! Old bytes and new bytes to a body.
//!
//! Which version of body it is decides [`create()`]; what follows is version 1, which knows bytes alone. The new file is taken in segments of 64 MiB. In each, pieces of fixed size are matched with the old file in
//! parallel, the covers found are joined and weighed, and the streams that follow from them are compressed in
//! parallel. Nothing depends on the number of threads: piece and segment sizes are constants, and every choice has a
//! total order.
//!
//! | module | what |
//! |---|---|
//! | `predicted` | bodies of version 2: whether they fit, and what is told about them |
//! | `suffixes` | finds the longest matches of all, with the old file and its suffix array in memory |
//! | `blocks` | finds matches of 32-byte blocks, for files too large for that |
//! | `sampled` | finds matches of 16 bytes without a sort, in memory |
//! | `covers` | joins covers and drops those that cost more than they save |

mod blocks;
mod covers;
pub(crate) mod matching;
mod predicted;
mod sampled;
mod suffixes;

use std::sync::atomic::{AtomicU64, Ordering};
use std::{error::Error, fmt, io};

use patchwright_formats::ReadAt;
use rayon::prelude::*;

use crate::codec::{Candidate, Packed, smallest};
use crate::cover::Cover;
use crate::format::{Codec, END_MARK, Header, StreamKind};
use crate::inspect::StreamInfo;
use crate::native::{Profile, Spending};
use crate::segment::{self, RawSegment};

use blocks::BlockIndex;
use covers::Costs;
use suffixes::SuffixIndex;

/// How many bytes of the new file one segment makes.
const SEGMENT: u64 = 64 << 20;

/// How many bytes of the new file are matched as one task.
const PIECE: usize = 1 << 20;

/// Up to this length a stream is tried with Zstandard too, which beats LZMA on small streams only.
const SMALL: usize = 64 << 10;

/// Beyond this length a stream is looked at before LZMA is tried.
const LARGE: usize = 1 << 20;

/// How much of a large stream decides between forms of LZMA.
const SAMPLE: usize = 256 << 10;

/// What [`create`] may use. The same options and files give the same body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreateOptions {
    /// How much memory the choice of method and the size of the index may count on, in bytes. It is an option and
    /// not a fact about the machine, so that the body is the same on all. Values below [`MIN_MEMORY`] count as that
    /// for the size of the index.
    pub max_memory_bytes: u64,
    /// What the body is made for.
    pub profile: Profile,
}

/// The least memory that [`create`] makes do with.
pub const MIN_MEMORY: u64 = 1 << 30;

impl Default for CreateOptions {
    fn default() -> Self {
        Self { max_memory_bytes: 4 << 30, profile: Profile::default() }
    }
}

/// What the work is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// Bytes of the new file that are done with (of the old file while it is indexed).
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
}

/// A stretch of the work of [`create`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The old file is read and indexed.
    Index,
    /// The new file is matched with the old one; several threads may tell, in any order.
    Match,
    /// A segment's streams are compressed.
    Compress,
}

/// How matches are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// By what is foretold from the old program and the move of its addresses: a body of version 2.
    Prediction,
    /// By a suffix array of the whole old file.
    Suffixes,
    /// By an index of one 32-byte block in every `sample_distance` bytes of the old file.
    Blocks {
        /// The distance between two indexed blocks.
        sample_distance: u64,
    },
}

/// Why a body is larger than it could be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeTraded {
    /// The better method needs more memory than the options allow.
    Memory {
        /// The bytes needed.
        need: u64,
        /// The bytes allowed.
        allowed: u64,
    },
    /// A file is longer than the better method can take: 2 GiB.
    TooLong,
}

/// What a body consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateStats {
    /// How matches were found.
    pub method: Method,
    /// Set when another method, with more memory, would give a smaller body.
    pub size_traded: Option<SizeTraded>,
    /// The number of segments.
    pub segment_count: u64,
    /// The number of covers.
    pub cover_count: u64,
    /// Bytes of the new file copied from the old one unchanged. Version 2 does not count them.
    pub unchanged_bytes: u64,
    /// Bytes of the new file copied from the old one and corrected. Version 2 does not count them.
    pub corrected_bytes: u64,
    /// Bytes of the new file that stand in the body.
    pub literal_bytes: u64,
    /// Of version 1: sizes by kind of stream and codec, in that order.
    pub streams: Vec<StreamInfo>,
    /// Of version 2: what the bytes of the body went to.
    pub spending: Option<Spending>,
    /// The length of the body in bytes.
    pub body_len: u64,
}

/// Why no body can be made.
#[derive(Debug)]
pub enum CreateError {
    /// The old file cannot be read.
    OldRead(io::Error),
    /// The new file cannot be read.
    NewRead(io::Error),
    /// The old file cannot be indexed.
    Index(&'static str),
    /// A stream cannot be compressed.
    Compress(io::Error),
    /// The body cannot be written.
    Write(io::Error),
}

impl fmt::Display for CreateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OldRead(error) => write!(f, "the old file cannot be read: {error}"),
            Self::NewRead(error) => write!(f, "the new file cannot be read: {error}"),
            Self::Index(what) => write!(f, "the old file cannot be indexed: {what}"),
            Self::Compress(error) => write!(f, "the delta body cannot be compressed: {error}"),
            Self::Write(error) => write!(f, "the delta body cannot be written: {error}"),
        }
    }
}

impl Error for CreateError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::OldRead(error) | Self::NewRead(error) | Self::Compress(error) | Self::Write(error) => Some(error),
            Self::Index(_) => None,
        }
    }
}

/// Writes a body that turns `old` into `new`, on the current rayon thread pool.
///
/// It is of version 2 where both files and the search fit in `max_memory_bytes`, of version 1 otherwise;
/// [`CreateStats::size_traded`] tells.
///
/// # Errors
///
/// A file that cannot be read; a body that cannot be written.
pub fn create(
    old: &dyn ReadAt,
    new: &dyn ReadAt,
    options: &CreateOptions,
    progress: &(dyn Fn(Progress) + Sync),
    out: &mut dyn io::Write,
) -> Result<CreateStats, CreateError> {
    match predicted::size_traded(old.len_bytes(), new.len_bytes(), options) {
        None => predicted::create(old, new, options, progress, out),
        Some(traded) => {
            let made = create_plain(old, new, options, progress, out)?;
            Ok(CreateStats { size_traded: made.size_traded.or(Some(traded)), ..made })
        }
    }
}

/// Writes a body of version 1, which knows nothing of programs, and takes files of any length.
///
/// # Errors
///
/// As of [`create()`].
pub fn create_plain(
    old: &dyn ReadAt,
    new: &dyn ReadAt,
    options: &CreateOptions,
    progress: &(dyn Fn(Progress) + Sync),
    out: &mut dyn io::Write,
) -> Result<CreateStats, CreateError> {
    let (old_len, new_len) = (old.len_bytes(), new.len_bytes());
    let size_traded = size_traded(old_len, new_len, options);
    progress(Progress { phase: Phase::Index, done: 0, total: old_len });
    match size_traded {
        None => {
            let bytes = read_all(old)?;
            let index = SuffixIndex::new(&bytes, Costs::STREAMS)?;
            progress(Progress { phase: Phase::Index, done: old_len, total: old_len });
            let find = |piece: &[u8]| Ok(index.covers(piece));
            write_body(&bytes, new, (Method::Suffixes, None), &find, progress, out)
        }
        Some(_) => {
            let index = BlockIndex::new(old, options.max_memory_bytes.max(MIN_MEMORY) / 4)?;
            progress(Progress { phase: Phase::Index, done: old_len, total: old_len });
            let method = Method::Blocks { sample_distance: index.sample_distance() };
            let find = |piece: &[u8]| index.covers(piece);
            write_body(old, new, (method, size_traded), &find, progress, out)
        }
    }
}

/// Decides whether the suffix array fits: the old file, four bytes of index for each of its bytes, a segment of the
/// new file with its streams, and the compressors.
fn size_traded(old_len: u64, new_len: u64, options: &CreateOptions) -> Option<SizeTraded> {
    if i32::try_from(old_len).is_err() {
        return Some(SizeTraded::TooLong);
    }
    let segment = new_len.min(SEGMENT);
    let need = old_len * 5 + segment * 4 + segment.min(40 << 20) * 12;
    let allowed = options.max_memory_bytes;
    (need > allowed).then_some(SizeTraded::Memory { need, allowed })
}

fn read_all(old: &dyn ReadAt) -> Result<Vec<u8>, CreateError> {
    let len = usize::try_from(old.len_bytes()).map_err(|_| CreateError::Index("it is longer than memory can be"))?;
    let mut bytes = vec![0; len];
    old.read_exact_at(&mut bytes, 0).map_err(CreateError::OldRead)?;
    Ok(bytes)
}

/// Finds the covers of one piece of the new file. Their new offsets count from the start of the piece.
type Find<'a> = dyn Fn(&[u8]) -> io::Result<Vec<Cover>> + Sync + 'a;

fn write_body(
    old: &dyn ReadAt,
    new: &dyn ReadAt,
    (method, size_traded): (Method, Option<SizeTraded>),
    find: &Find<'_>,
    progress: &(dyn Fn(Progress) + Sync),
    out: &mut dyn io::Write,
) -> Result<CreateStats, CreateError> {
    let new_len = new.len_bytes();
    let header = Header { old_len: old.len_bytes(), new_len }.to_bytes();
    out.write_all(&header).map_err(CreateError::Write)?;
    let mut stats = CreateStats {
        method,
        size_traded,
        segment_count: 0,
        cover_count: 0,
        unchanged_bytes: 0,
        corrected_bytes: 0,
        literal_bytes: 0,
        streams: Vec::new(),
        spending: None,
        body_len: header.len() as u64 + 1,
    };
    let mut buffer = Vec::new();
    let mut start = 0;
    while start < new_len {
        let len = SEGMENT.min(new_len - start);
        buffer.resize(usize::try_from(len).expect("at most 64 MiB"), 0);
        new.read_exact_at(&mut buffer, start).map_err(CreateError::NewRead)?;
        let matched = AtomicU64::new(start);
        let find_and_tell = |piece: &[u8]| {
            let covers = find(piece);
            let done = matched.fetch_add(piece.len() as u64, Ordering::Relaxed) + piece.len() as u64;
            progress(Progress { phase: Phase::Match, done, total: new_len });
            covers
        };
        let covers = segment_covers(old, &buffer, start, &find_and_tell).map_err(CreateError::OldRead)?;
        let segment = segment::build(old, &buffer, start, &covers).map_err(CreateError::OldRead)?;
        let packed = pack(&segment).map_err(CreateError::Compress)?;
        stats.body_len += segment.write(&packed, out).map_err(CreateError::Write)?;
        stats.add(&segment, &packed);
        start += len;
        progress(Progress { phase: Phase::Compress, done: start, total: new_len });
    }
    out.write_all(&[END_MARK]).map_err(CreateError::Write)?;
    stats.streams.sort_unstable_by_key(|stream| (stream.kind, stream.codec));
    Ok(stats)
}

fn segment_covers(old: &dyn ReadAt, output: &[u8], start: u64, find: &Find<'_>) -> io::Result<Vec<Cover>> {
    let pieces: io::Result<Vec<Vec<Cover>>> = output.par_chunks(PIECE).map(find).collect();
    let mut all = Vec::new();
    for (number, piece) in pieces?.into_iter().enumerate() {
        let from = start + (number * PIECE) as u64;
        all.extend(piece.into_iter().map(|cover| Cover { new_offset: cover.new_offset + from, ..cover }));
    }
    covers::refine(old, output, start, all, &Costs::STREAMS)
}

/// Compresses all streams of a segment in parallel and keeps the smallest form of each; `None` for empty ones.
fn pack(segment: &RawSegment) -> io::Result<Vec<Option<Packed>>> {
    StreamKind::ALL.into_par_iter().zip(&segment.streams).map(|(kind, raw)| pack_stream(kind, raw)).collect()
}

fn pack_stream(kind: StreamKind, raw: &[u8]) -> io::Result<Option<Packed>> {
    if raw.is_empty() {
        return Ok(None);
    }
    let forms: io::Result<Vec<Packed>> =
        candidates(kind, raw)?.into_par_iter().map(|candidate| candidate.pack(kind, raw)).collect();
    Ok(smallest(forms?))
}

/// The forms tried for a stream. The order decides between equals.
fn candidates(kind: StreamKind, raw: &[u8]) -> io::Result<Vec<Candidate>> {
    let forms = lzma_forms(kind);
    if raw.len() <= SMALL {
        return Ok([Candidate::Raw, Candidate::Zstd { level: 19 }].into_iter().chain(forms).collect());
    }
    if raw.len() <= LARGE {
        return Ok([Candidate::Raw].into_iter().chain(forms).collect());
    }
    // LZMA takes a second for each megabyte or two: not for nothing, and not for every form.
    let quick = Candidate::Zstd { level: 3 };
    let quick_len = quick.pack(kind, raw)?.bytes.len();
    if quick_len >= raw.len() - raw.len() / 128 {
        return Ok(vec![Candidate::Raw, quick]);
    }
    if quick_len <= raw.len() / 512 {
        return Ok(vec![Candidate::Zstd { level: 19 }]);
    }
    let sample = &raw[raw.len() / 2..][..SAMPLE];
    let tried: io::Result<Vec<(usize, Candidate)>> =
        forms.into_iter().map(|form| Ok((form.pack(kind, sample)?.bytes.len(), form))).collect();
    Ok(tried?.into_iter().min_by_key(|(len, _)| *len).map(|(_, form)| form).into_iter().collect())
}

/// The contexts (lc, lp, pb) of LZMA that do best on streams of this kind. Corrections of two and four bytes are
/// aligned, code among literals has some alignment, numbers have none.
fn lzma_forms(kind: StreamKind) -> Vec<Candidate> {
    let contexts: &[(u32, u32, u32)] = match kind {
        StreamKind::Literals => &[(3, 0, 2), (2, 2, 2)],
        StreamKind::Corrections2 => &[(0, 1, 1), (3, 0, 0)],
        StreamKind::Corrections3 => &[(0, 0, 0), (3, 0, 0)],
        StreamKind::Corrections4 => &[(0, 0, 0), (0, 2, 2)],
        StreamKind::Corrections1 | StreamKind::RunLengths => &[(0, 0, 0)],
        StreamKind::LiteralLengths | StreamKind::CoverLengths | StreamKind::Seeks | StreamKind::Gaps => &[(1, 0, 0)],
    };
    contexts.iter().map(|(lc, lp, pb)| Candidate::Lzma { lc: *lc, lp: *lp, pb: *pb }).collect()
}

impl CreateStats {
    fn add(&mut self, segment: &RawSegment, packed: &[Option<Packed>]) {
        self.segment_count += 1;
        self.cover_count += segment.cover_count;
        self.unchanged_bytes += segment.unchanged;
        self.corrected_bytes += segment.corrected;
        self.literal_bytes += segment.output_len - segment.unchanged - segment.corrected;
        for ((kind, raw), packed) in StreamKind::ALL.into_iter().zip(&segment.streams).zip(packed) {
            if let Some(packed) = packed {
                self.add_stream(kind, packed.codec, raw.len() as u64, packed.bytes.len() as u64);
            }
        }
    }

    fn add_stream(&mut self, kind: StreamKind, codec: Codec, raw_len: u64, stored_len: u64) {
        match self.streams.iter_mut().find(|sum| (sum.kind, sum.codec) == (kind, codec)) {
            Some(sum) => {
                sum.raw_len += raw_len;
                sum.stored_len += stored_len;
            }
            None => self.streams.push(StreamInfo { kind, codec, raw_len, stored_len }),
        }
    }
}
