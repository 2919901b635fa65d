//! One stored stream, decoded piece by piece in bounded memory.
//!
//! Window and dictionary sizes are read and checked here before a decoder exists, and a stream must end where its
//! header says: not a byte earlier or later, neither decoded nor stored.

use std::io::{self, Read};

use lzma_rust2::LzmaReader;
use patchwright_formats::{ByteRange, ReadAt, Section};
use zstd::stream::raw::{DParameter, Decoder as ZstdDecoder, Operation};

use crate::ApplyError;
use crate::format::{
    Codec, MAX_WINDOW, MAX_WINDOWS, MIN_WINDOW, SegmentHeader, StreamHeader, StreamKind, Varint, malformed,
};

/// How much of a stream is decoded at a time.
const BUFFER: usize = 64 << 10;

/// The streams of one segment, ready to be read from the start.
pub(crate) struct Streams<'a> {
    pub(crate) literal_lengths: Stream<'a>,
    pub(crate) cover_lengths: Stream<'a>,
    pub(crate) seeks: Stream<'a>,
    pub(crate) gaps: Stream<'a>,
    pub(crate) run_lengths: Stream<'a>,
    /// By the length of their runs: 1, 2, 3, and more.
    pub(crate) corrections: [Stream<'a>; 4],
    pub(crate) literals: Stream<'a>,
}

impl<'a> Streams<'a> {
    pub(crate) fn open(body: &'a dyn ReadAt, segment: &SegmentHeader) -> Result<Self, ApplyError> {
        let mut windows = 0;
        for stream in &segment.streams {
            windows += check_window(body, stream)?;
        }
        if windows > MAX_WINDOWS {
            let (structure, offset) = ("segment header", segment.offset);
            return Err(ApplyError::TooLarge { structure, offset, need: windows, limit: MAX_WINDOWS });
        }
        let open = |kind| match segment.streams.iter().find(|stream| stream.kind == kind) {
            Some(header) => Stream::open(body, *header),
            None => Ok(Stream::empty(kind, segment.offset)),
        };
        let [runs_of_1, runs_of_2, runs_of_3, runs_of_more] = StreamKind::CORRECTIONS;
        Ok(Self {
            literal_lengths: open(StreamKind::LiteralLengths)?,
            cover_lengths: open(StreamKind::CoverLengths)?,
            seeks: open(StreamKind::Seeks)?,
            gaps: open(StreamKind::Gaps)?,
            run_lengths: open(StreamKind::RunLengths)?,
            corrections: [open(runs_of_1)?, open(runs_of_2)?, open(runs_of_3)?, open(runs_of_more)?],
            literals: open(StreamKind::Literals)?,
        })
    }

    /// Checks that every stream is used up and that nothing stored is left over.
    pub(crate) fn finish(self) -> Result<(), ApplyError> {
        let Self { literal_lengths, cover_lengths, seeks, gaps, run_lengths, corrections, literals } = self;
        let others = [literal_lengths, cover_lengths, seeks, gaps, run_lengths, literals];
        others.into_iter().chain(corrections).try_for_each(Stream::finish)
    }
}

/// Returns how much history the stream's decoder keeps, after checking that it is no more than the stream can use.
fn check_window(body: &dyn ReadAt, stream: &StreamHeader) -> Result<u64, ApplyError> {
    let structure = stream.kind.name();
    let bad = |what| malformed(structure, stream.offset, what);
    let mut start = [0; 18];
    let step = usize::try_from(stream.stored_len).unwrap_or(usize::MAX).min(start.len());
    body.read_exact_at(&mut start[..step], stream.offset).map_err(ApplyError::BodyRead)?;
    let window = match stream.codec {
        Codec::Raw if stream.raw_len != stream.stored_len => {
            return Err(bad("the stored length is not the raw length"));
        }
        Codec::Raw => return Ok(0),
        Codec::Zstd => zstd_window(&start[..step], stream.raw_len).map_err(bad)?,
        Codec::Lzma => lzma_window(&start[..step]).map_err(bad)?,
    };
    let usable = stream.raw_len.checked_next_power_of_two().unwrap_or(u64::MAX);
    let limit = usable.clamp(MIN_WINDOW, MAX_WINDOW);
    if window > limit {
        return Err(ApplyError::TooLarge { structure, offset: stream.offset, need: window, limit });
    }
    Ok(window)
}

/// Reads a Zstandard frame header (RFC 8878, 3.1.1.1): the window, if the frame is of the one shape we allow.
fn zstd_window(start: &[u8], raw_len: u64) -> Result<u64, &'static str> {
    let cut = "the Zstandard frame is cut short";
    let (magic, rest) = start.split_first_chunk::<4>().ok_or(cut)?;
    if *magic != [0x28, 0xB5, 0x2F, 0xFD] {
        return Err("it is not a Zstandard frame");
    }
    let (descriptor, rest) = rest.split_first().ok_or(cut)?;
    if descriptor & 0b0000_1111 != 0 {
        return Err("the Zstandard frame has a checksum, a dictionary or reserved bits");
    }
    let single_segment = descriptor & 0b0010_0000 != 0;
    let (window, rest) = if single_segment {
        (None, rest)
    } else {
        let (byte, rest) = rest.split_first().ok_or(cut)?;
        let base = 1u64 << (10 + (byte >> 3));
        (Some(base + base / 8 * u64::from(byte & 7)), rest)
    };
    let content = match (descriptor >> 6, single_segment) {
        (0, true) => rest.first().map(|byte| u64::from(*byte)),
        (0, false) => return Err("the Zstandard frame states no length"),
        (1, _) => rest.first_chunk().map(|bytes| u64::from(u16::from_le_bytes(*bytes)) + 256),
        (2, _) => rest.first_chunk().map(|bytes| u64::from(u32::from_le_bytes(*bytes))),
        _ => rest.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)),
    };
    match content.ok_or(cut)? {
        content if content != raw_len => Err("the Zstandard frame states another length"),
        content => Ok(window.unwrap_or(content)),
    }
}

/// Reads our two bytes before LZMA data: the dictionary size, if the properties are in range.
fn lzma_window(start: &[u8]) -> Result<u64, &'static str> {
    let ([properties, dictionary_log], _) = start.split_first_chunk::<2>().ok_or("the LZMA header is cut short")?;
    let (lc, lp) = (properties % 9, properties / 9 % 5);
    if *properties >= 9 * 5 * 5 || lc + lp > 4 {
        return Err("the LZMA properties are out of range");
    }
    if *dictionary_log > 40 {
        return Err("the LZMA dictionary size is out of range");
    }
    Ok(1 << dictionary_log)
}

/// A stream being read.
pub(crate) struct Stream<'a> {
    kind: StreamKind,
    offset: u64,
    decoder: Decoder<'a>,
    /// What the decoder still has to give.
    raw_left: u64,
    buffer: Vec<u8>,
    at: usize,
}

impl<'a> Stream<'a> {
    fn empty(kind: StreamKind, offset: u64) -> Self {
        Self { kind, offset, decoder: Decoder::Empty, raw_left: 0, buffer: Vec::new(), at: 0 }
    }

    /// Opens a stream whose window is checked.
    fn open(body: &'a dyn ReadAt, header: StreamHeader) -> Result<Self, ApplyError> {
        let source = Stored::open(body, header)?;
        let decoder = match header.codec {
            Codec::Raw => Ok(Decoder::Raw(source)),
            Codec::Zstd => Zstd::open(source).map(Decoder::Zstd),
            Codec::Lzma => open_lzma(source, header.raw_len).map(Decoder::Lzma),
        };
        let decoder = decoder.map_err(|fault| fault.at(header.kind, header.offset))?;
        Ok(Self {
            kind: header.kind,
            offset: header.offset,
            decoder,
            raw_left: header.raw_len,
            buffer: Vec::new(),
            at: 0,
        })
    }

    /// Whether all bytes have been read.
    pub(crate) fn is_empty(&self) -> bool {
        self.raw_left == 0 && self.at == self.buffer.len()
    }

    /// Reads one byte.
    pub(crate) fn byte(&mut self) -> Result<u8, ApplyError> {
        if self.at == self.buffer.len() {
            self.fill()?;
        }
        let byte = *self.buffer.get(self.at).ok_or_else(|| self.malformed("it ends too early"))?;
        self.at += 1;
        Ok(byte)
    }

    /// Reads one number.
    pub(crate) fn varint(&mut self) -> Result<u64, ApplyError> {
        let mut number = Varint::default();
        loop {
            let byte = self.byte()?;
            if let Some(value) = number.push(byte).map_err(|what| self.malformed(what))? {
                return Ok(value);
            }
        }
    }

    /// Fills `out`.
    pub(crate) fn read(&mut self, mut out: &mut [u8]) -> Result<(), ApplyError> {
        while !out.is_empty() {
            if self.at == self.buffer.len() {
                self.fill()?;
            }
            let ready = self.buffer.get(self.at..).unwrap_or_default();
            let step = ready.len().min(out.len());
            if step == 0 {
                return Err(self.malformed("it ends too early"));
            }
            let (now, later) = out.split_at_mut(step);
            now.copy_from_slice(&ready[..step]);
            self.at += step;
            out = later;
        }
        Ok(())
    }

    fn fill(&mut self) -> Result<(), ApplyError> {
        let step = usize::try_from(self.raw_left).unwrap_or(usize::MAX).min(BUFFER);
        self.buffer.resize(step, 0);
        self.at = 0;
        self.raw_left -= step as u64;
        let read = match &mut self.decoder {
            Decoder::Empty => Ok(()),
            Decoder::Raw(source) => source.read_exact(&mut self.buffer).map_err(Fault::Read),
            Decoder::Zstd(zstd) => zstd.read_exact(&mut self.buffer),
            Decoder::Lzma(lzma) => read_lzma(lzma, &mut self.buffer),
        };
        read.map_err(|fault| fault.at(self.kind, self.offset))
    }

    fn finish(self) -> Result<(), ApplyError> {
        if !self.is_empty() {
            return Err(self.malformed("it holds more than the segment uses"));
        }
        let (kind, offset) = (self.kind, self.offset);
        let used_up = match self.decoder {
            Decoder::Empty => Ok(true),
            Decoder::Raw(source) => Ok(source.left() == 0),
            Decoder::Zstd(zstd) => zstd.ends_here(),
            Decoder::Lzma(lzma) => {
                let (source, unused) = lzma.into_parts();
                Ok(unused.is_empty() && source.left() == 0)
            }
        };
        match used_up.map_err(|fault| fault.at(kind, offset))? {
            true => Ok(()),
            false => Err(malformed(kind.name(), offset, "stored bytes are left over")),
        }
    }

    fn malformed(&self, what: &'static str) -> ApplyError {
        malformed(self.kind.name(), self.offset, what)
    }
}

enum Decoder<'a> {
    Empty,
    Raw(Stored<'a>),
    Zstd(Zstd<'a>),
    Lzma(Box<LzmaReader<Stored<'a>>>),
}

/// What stops a decoder: the body cannot be read, or its bytes make no sense.
enum Fault {
    Read(io::Error),
    Data(&'static str),
}

impl Fault {
    fn at(self, kind: StreamKind, offset: u64) -> ApplyError {
        match self {
            Self::Read(error) => ApplyError::BodyRead(error),
            Self::Data(what) => malformed(kind.name(), offset, what),
        }
    }
}

/// The stored bytes of one stream, front to back.
struct Stored<'a> {
    section: Section<&'a dyn ReadAt>,
    at: u64,
    /// Kept aside, because a decoder may wrap it in words of its own.
    failure: Option<io::Error>,
}

impl<'a> Stored<'a> {
    fn open(body: &'a dyn ReadAt, header: StreamHeader) -> Result<Self, ApplyError> {
        let section =
            Section::new(body, ByteRange::new(header.offset, header.stored_len)).map_err(ApplyError::BodyRead)?;
        Ok(Self { section, at: 0, failure: None })
    }

    fn left(&self) -> u64 {
        self.section.len_bytes() - self.at
    }
}

impl Read for Stored<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let step = usize::try_from(self.left()).unwrap_or(usize::MAX).min(out.len());
        if let Err(error) = self.section.read_exact_at(&mut out[..step], self.at) {
            let kind = error.kind();
            self.failure = Some(error);
            return Err(kind.into());
        }
        self.at += step as u64;
        Ok(step)
    }
}

/// A Zstandard frame being decoded.
struct Zstd<'a> {
    decoder: ZstdDecoder<'static>,
    source: Stored<'a>,
    input: Vec<u8>,
    at: usize,
    frame_ended: bool,
}

impl<'a> Zstd<'a> {
    fn open(source: Stored<'a>) -> Result<Self, Fault> {
        let mut decoder = ZstdDecoder::new().map_err(Fault::Read)?;
        decoder.set_parameter(DParameter::WindowLogMax(MAX_WINDOW.ilog2())).map_err(Fault::Read)?;
        Ok(Self { decoder, source, input: Vec::new(), at: 0, frame_ended: false })
    }

    fn read_exact(&mut self, mut out: &mut [u8]) -> Result<(), Fault> {
        while !out.is_empty() {
            match self.step(out)? {
                0 if self.frame_ended => return Err(Fault::Data("the Zstandard frame ends too early")),
                written => out = &mut out[written..],
            }
        }
        Ok(())
    }

    /// Decodes some bytes into `out`. Zero is no error as long as the frame goes on: it then took input.
    fn step(&mut self, out: &mut [u8]) -> Result<usize, Fault> {
        if self.frame_ended {
            return Ok(0);
        }
        if self.at == self.input.len() {
            let step = usize::try_from(self.source.left()).unwrap_or(usize::MAX).min(BUFFER);
            self.input.resize(step, 0);
            self.at = 0;
            self.source.read_exact(&mut self.input).map_err(Fault::Read)?;
        }
        let status = self
            .decoder
            .run_on_buffers(&self.input[self.at..], out)
            .map_err(|_| Fault::Data("the Zstandard frame is corrupt"))?;
        self.at += status.bytes_read;
        self.frame_ended = status.remaining == 0;
        if status.bytes_read == 0 && status.bytes_written == 0 && !self.frame_ended {
            return Err(Fault::Data("the Zstandard frame is cut short"));
        }
        Ok(status.bytes_written)
    }

    /// Whether the frame ends here and its end is the end of the stored bytes.
    fn ends_here(mut self) -> Result<bool, Fault> {
        while !self.frame_ended {
            if self.step(&mut [])? > 0 {
                return Ok(false);
            }
        }
        Ok(self.at == self.input.len() && self.source.left() == 0)
    }
}

fn open_lzma(mut source: Stored<'_>, raw_len: u64) -> Result<Box<LzmaReader<Stored<'_>>>, Fault> {
    let mut header = [0; 2];
    source.read_exact(&mut header).map_err(Fault::Read)?;
    let [properties, dictionary_log] = header;
    let dictionary = 1u32.checked_shl(u32::from(dictionary_log)).unwrap_or(u32::MAX);
    let mut lzma = LzmaReader::new_with_props(source, raw_len, properties, dictionary, None)
        .map_err(|_| Fault::Data("the LZMA data cannot be started"))?;
    lzma.set_relaxed_end_condition(false);
    Ok(Box::new(lzma))
}

fn read_lzma(lzma: &mut LzmaReader<Stored<'_>>, out: &mut [u8]) -> Result<(), Fault> {
    lzma.read_exact(out).map_err(|_| match lzma.inner_mut().failure.take() {
        Some(error) => Fault::Read(error),
        None => Fault::Data("the LZMA data is corrupt"),
    })
}
