//! What the streams of a segment say, told to the walk.

use zstd::bulk::Decompressor;

use crate::format::Varint;

use super::words::TAGS;
use super::{Foretold, Stream, Voice};

/// The streams of a segment, decoded, each with how much of it was read.
pub(super) struct Reader {
    streams: [Bytes; Stream::COUNT],
    /// How many references are as foretold before one that is not.
    to_target: u64,
    /// How many blocks follow that are as the last one.
    blocks_left: u64,
    tagged: bool,
    /// How many covered bytes stay as they are before a run that does not.
    to_run: u64,
    failure: Option<&'static str>,
}

#[derive(Default)]
struct Bytes {
    bytes: Vec<u8>,
    at: usize,
}

impl Bytes {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = *self.bytes.get(self.at..)?.first_chunk::<N>()?;
        self.at += N;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = Varint::default();
        loop {
            let [byte] = self.take()?;
            if let Some(value) = number.push(byte).ok()? {
                return Some(value);
            }
        }
    }

    /// A number that says how far it is to the next exception: the end of the stream says that there is none.
    fn gap(&mut self) -> Option<u64> {
        if self.at == self.bytes.len() { Some(u64::MAX) } else { self.varint() }
    }
}

impl Reader {
    /// Decodes the streams of a segment that makes `len` bytes.
    pub(super) fn open(part: &[u8], len: usize) -> Result<Self, &'static str> {
        let mut rest = Bytes { bytes: part.to_vec(), at: 0 };
        let mut lens = [(0usize, 0usize); Stream::COUNT];
        let mut all = 0usize;
        for (raw, stored) in &mut lens {
            let mut number =
                || rest.varint().and_then(|n| usize::try_from(n).ok()).ok_or("its streams have no lengths");
            *raw = number()?;
            *stored = if *raw == 0 { 0 } else { number()? };
            all = all.saturating_add(*raw);
        }
        if all > 2 * len + 64 {
            return Err("its streams are longer than they can be");
        }
        let mut at = rest.at;
        let mut streams: [Bytes; Stream::COUNT] = Default::default();
        let mut decoder = Decompressor::new().map_err(|_| "no decoder can be had")?;
        for (stream, (raw, stored)) in streams.iter_mut().zip(lens) {
            let end = at.checked_add(stored).ok_or("its streams reach beyond its end")?;
            let bytes = part.get(at..end).ok_or("its streams reach beyond its end")?;
            at = end;
            stream.bytes = if raw == stored {
                bytes.to_vec()
            } else {
                decoder.decompress(bytes, raw).map_err(|_| "a Zstandard frame is corrupt")?
            };
            if stream.bytes.len() != raw {
                return Err("a stream has another length than stated");
            }
        }
        if at != part.len() {
            return Err("bytes follow its streams");
        }
        let mut reader = Self { streams, to_target: 0, blocks_left: 0, tagged: true, to_run: 0, failure: None };
        reader.to_target = reader.gap(Stream::TargetGaps);
        reader.to_run = reader.gap(Stream::Gaps);
        Ok(reader)
    }

    /// Checks that everything was used up.
    pub(super) fn finish(self) -> Result<(), &'static str> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        match self.streams.iter().all(|stream| stream.at == stream.bytes.len()) {
            true => Ok(()),
            false => Err("its streams hold more than it uses"),
        }
    }

    fn stream(&mut self, stream: Stream) -> &mut Bytes {
        &mut self.streams[stream as usize]
    }

    fn fail(&mut self, what: &'static str) {
        self.failure.get_or_insert(what);
    }

    fn gap(&mut self, stream: Stream) -> u64 {
        self.stream(stream).gap().unwrap_or_else(|| {
            self.fail("a number is broken");
            u64::MAX
        })
    }

    fn take<const N: usize>(&mut self, stream: Stream) -> [u8; N] {
        self.stream(stream).take().unwrap_or_else(|| {
            self.fail("a stream ends too early");
            [0; N]
        })
    }
}

impl Voice for Reader {
    fn literals(&mut self, made: &mut [u8], from: usize, to: usize) {
        let stream = self.stream(Stream::Literals);
        match stream.bytes.get(stream.at..stream.at + (to - from)) {
            Some(bytes) => {
                made[from..to].copy_from_slice(bytes);
                stream.at += to - from;
            }
            None => self.fail("a stream ends too early"),
        }
    }

    #[inline]
    fn target(&mut self, _: usize, foretold: Foretold, _: impl FnOnce(u32) -> Option<u32>) -> Option<u32> {
        if self.to_target > 0 {
            self.to_target -= 1;
            return None;
        }
        self.to_target = self.gap(Stream::TargetGaps);
        let difference = u32::from_be_bytes(self.take(Stream::Targets));
        Some(foretold.target.wrapping_add(difference))
    }

    #[inline]
    fn block(&mut self, _: impl FnOnce(&[u8]) -> bool) -> bool {
        while self.blocks_left == 0 {
            self.tagged = !self.tagged;
            let streams = self.stream(Stream::Blocks);
            if streams.at == streams.bytes.len() {
                self.fail("a stream ends too early");
                return false;
            }
            self.blocks_left = self.gap(Stream::Blocks);
        }
        self.blocks_left -= 1;
        self.tagged
    }

    #[inline]
    fn tag(&mut self, _: usize, recent: u8, _: impl Fn(u8) -> Option<u32>) -> u8 {
        let [told] = self.take(Stream::Tags);
        if told > TAGS {
            self.fail("a tag means nothing");
        }
        told.checked_sub(1).unwrap_or(recent)
    }

    #[inline]
    fn odd(&mut self, _: usize, _: u32) -> bool {
        let [tag] = self.take(Stream::OddTags);
        tag != 0
    }

    fn difference(&mut self, _: usize, _: u32) -> u32 {
        u32::from_be_bytes(self.take(Stream::Differences))
    }

    #[inline]
    fn fix(&mut self, made: &mut [u8], from: usize, to: usize) {
        let mut at = from;
        loop {
            let room = (to - at) as u64;
            if self.to_run >= room {
                self.to_run -= room;
                return;
            }
            // Both are less than the length of the segment.
            at += usize::try_from(self.to_run).unwrap_or(0);
            at = self.run(made, at, to);
            if self.failure.is_some() {
                return;
            }
            self.to_run = self.gap(Stream::Gaps);
        }
    }

    fn failed(&self) -> bool {
        self.failure.is_some()
    }
}

impl Reader {
    /// Corrects the run that starts at `at`, and returns where it ends.
    fn run(&mut self, made: &mut [u8], at: usize, to: usize) -> usize {
        let len = self.stream(Stream::Runs).varint();
        let len = len.filter(|len| *len < (to - at) as u64).and_then(|len| usize::try_from(len).ok());
        let Some(less_one) = len else {
            self.fail("a run reaches beyond its block");
            return to;
        };
        let end = at + less_one + 1;
        let stream = self.stream(Stream::corrections(less_one as u64));
        let Some(bytes) = stream.bytes.get(stream.at..stream.at + less_one + 1) else {
            self.fail("a stream ends too early");
            return to;
        };
        super::add(&mut made[at..end], bytes);
        stream.at += less_one + 1;
        end
    }
}
