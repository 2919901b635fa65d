//! What the walk is told when the new bytes are known, noted down.

use std::io;

use zstd::bulk::Compressor;
use zstd::stream::raw::CParameter;

use crate::format::push_varint;

use super::super::walk::PURPOSES;
use super::words::{SAME, TOLD, word};
use super::{Foretold, Stream, Voice};

/// How hard Zstandard tries.
const LEVEL: i32 = 19;

/// The streams of a segment as they grow.
pub(super) struct Writer<'a> {
    new: &'a [u8],
    streams: [Vec<u8>; Stream::COUNT],
    /// References as foretold since the last one that was not.
    since_target: u64,
    /// Blocks like the last one.
    blocks: u64,
    tagged: bool,
    /// Covered bytes since the last run.
    since_run: u64,
}

impl<'a> Writer<'a> {
    pub(super) fn new(new: &'a [u8]) -> Self {
        Self { new, streams: Default::default(), since_target: 0, blocks: 0, tagged: false, since_run: 0 }
    }

    /// The part that the streams make, and what its bits, in 1/256, were spent on.
    pub(super) fn finish(mut self) -> io::Result<(Vec<u8>, [u64; PURPOSES])> {
        if self.blocks > 0 {
            let blocks = self.blocks;
            push_varint(self.stream(Stream::Blocks), blocks);
        }
        let mut spent = [0; PURPOSES];
        let mut head = Vec::new();
        let mut stored = Vec::new();
        for (number, raw) in self.streams.iter().enumerate() {
            push_varint(&mut head, raw.len() as u64);
            if raw.is_empty() {
                continue;
            }
            let packed = pack(raw)?;
            let bytes = if packed.len() < raw.len() { &packed } else { raw };
            push_varint(&mut head, bytes.len() as u64);
            stored.extend_from_slice(bytes);
            spent[Stream::spent(number) as usize] += bytes.len() as u64 * 8 * 256;
        }
        head.extend_from_slice(&stored);
        Ok((head, spent))
    }

    fn stream(&mut self, stream: Stream) -> &mut Vec<u8> {
        &mut self.streams[stream as usize]
    }
}

fn pack(raw: &[u8]) -> io::Result<Vec<u8>> {
    let mut compressor = Compressor::new(LEVEL)?;
    compressor.set_parameter(CParameter::ContentSizeFlag(false))?;
    compressor.set_parameter(CParameter::ChecksumFlag(false))?;
    let log = raw.len().max(1 << 10).next_power_of_two().ilog2().min(24);
    compressor.set_parameter(CParameter::WindowLog(log))?;
    compressor.compress(raw)
}

impl Voice for Writer<'_> {
    fn literals(&mut self, made: &mut [u8], from: usize, to: usize) {
        let bytes = &self.new[from..to];
        made[from..to].copy_from_slice(bytes);
        self.streams[Stream::Literals as usize].extend_from_slice(bytes);
    }

    fn target(&mut self, at: usize, foretold: Foretold, goal: impl FnOnce(u32) -> Option<u32>) -> Option<u32> {
        let actual = word(self.new, at);
        let found = if actual == foretold.word { None } else { goal(actual) };
        match found {
            None => {
                self.since_target += 1;
                None
            }
            Some(found) => {
                let gap = std::mem::take(&mut self.since_target);
                push_varint(self.stream(Stream::TargetGaps), gap);
                let difference = found.wrapping_sub(foretold.target);
                self.stream(Stream::Targets).extend_from_slice(&difference.to_be_bytes());
                Some(found)
            }
        }
    }

    fn block(&mut self, worth: impl FnOnce(&[u8]) -> bool) -> bool {
        let tagged = worth(self.new);
        if tagged != self.tagged {
            let blocks = std::mem::take(&mut self.blocks);
            push_varint(self.stream(Stream::Blocks), blocks);
            self.tagged = tagged;
        }
        self.blocks += 1;
        tagged
    }

    fn tag(&mut self, at: usize, recent: u8, value: impl Fn(u8) -> Option<u32>) -> u8 {
        let actual = word(self.new, at);
        let right = |tag: &u8| value(*tag) == Some(actual);
        let found = std::iter::once(recent).chain(SAME..TOLD).find(right);
        let tag = found.unwrap_or_else(|| {
            let unlike = (value(SAME).unwrap_or(0) ^ actual).to_le_bytes();
            if unlike.iter().filter(|byte| **byte != 0).count() > 1 { TOLD } else { SAME }
        });
        self.stream(Stream::Tags).push(if tag == recent { 0 } else { tag + 1 });
        tag
    }

    fn odd(&mut self, at: usize, value: u32) -> bool {
        let right = word(self.new, at) == value;
        self.stream(Stream::OddTags).push(u8::from(right));
        right
    }

    fn difference(&mut self, at: usize, old: u32) -> u32 {
        let difference = word(self.new, at).wrapping_sub(old);
        self.stream(Stream::Differences).extend_from_slice(&difference.to_be_bytes());
        difference
    }

    fn fix(&mut self, made: &mut [u8], from: usize, to: usize) {
        let mut at = from;
        while at < to {
            let same = made[at..to].iter().zip(&self.new[at..to]).take_while(|(made, new)| made == new).count();
            self.since_run += same as u64;
            at += same;
            let unlike = made[at..to].iter().zip(&self.new[at..to]).take_while(|(made, new)| made != new).count();
            if unlike == 0 {
                continue;
            }
            let gap = std::mem::take(&mut self.since_run);
            push_varint(self.stream(Stream::Gaps), gap);
            push_varint(self.stream(Stream::Runs), unlike as u64 - 1);
            let run = subtract(&self.new[at..at + unlike], &made[at..at + unlike]);
            self.stream(Stream::corrections(unlike as u64 - 1)).extend_from_slice(&run);
            made[at..at + unlike].copy_from_slice(&self.new[at..at + unlike]);
            at += unlike;
        }
    }

    fn failed(&self) -> bool {
        false
    }
}

/// The difference of two numbers of as many bytes, lowest first.
fn subtract(from: &[u8], what: &[u8]) -> Vec<u8> {
    let mut borrow = false;
    let step = |(from, what): (&u8, &u8)| {
        let (first, one) = from.overflowing_sub(*what);
        let (second, two) = first.overflowing_sub(u8::from(borrow));
        borrow = one || two;
        second
    };
    from.iter().zip(what).map(step).collect()
}
