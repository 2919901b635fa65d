//! Matches by an index of blocks of the old file, for files too large for a suffix array.
//!
//! One block of 32 bytes in every `sample_distance` is indexed by a hash of its bytes. The new file is walked with a
//! rolling hash; where a block of it is in the index, the old bytes are read and the match is extended both ways.
//! Memory is the index, whose size is bounded, and a cache per thread.

use std::io;

use patchwright_formats::ReadAt;

use crate::cover::Cover;
use crate::old::CachedOld;

use super::CreateError;
use super::covers::{Costs, Extension};

/// The length of a block in bytes.
const BLOCK: usize = 32;

/// The multiplier of the rolling hash: odd, with well-mixed bits.
const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

/// How much of the old file is read at a time.
const STEP: usize = 1 << 20;

/// A run of this length on the current diagonal is followed without looking for a better one.
const FOLLOW: usize = 32;

/// An index of sampled blocks of the old file.
pub(super) struct BlockIndex<'a> {
    old: &'a dyn ReadAt,
    /// The number of the sample plus one whose block has the hash; zero where there is none. Of equal hashes the
    /// first stays.
    slots: Vec<u32>,
    /// Eight more bits of each slot's hash, so that the old file is rarely read in vain.
    tags: Vec<u8>,
    sample_distance: u64,
}

impl<'a> BlockIndex<'a> {
    pub(super) fn new(old: &'a dyn ReadAt, max_bytes: u64) -> Result<Self, CreateError> {
        let sample_distance = sample_distance(old.len_bytes(), max_bytes);
        let samples = old.len_bytes() / sample_distance;
        let slots =
            usize::try_from((samples * 2).next_power_of_two()).map_err(|_| CreateError::Index("it is too long"))?;
        let slots = slots.max(2);
        let mut index = Self { old, slots: vec![0; slots], tags: vec![0; slots], sample_distance };
        index.fill().map_err(CreateError::OldRead)?;
        Ok(index)
    }

    pub(super) fn sample_distance(&self) -> u64 {
        self.sample_distance
    }

    fn fill(&mut self) -> io::Result<()> {
        let len = self.old.len_bytes();
        let distance = index(self.sample_distance);
        let samples_per_step = (STEP / distance).max(1);
        let mut buffer = Vec::new();
        let mut sample = 0u32;
        let mut offset = 0;
        while offset < len {
            let step = (len - offset).min((samples_per_step * distance) as u64);
            buffer.resize(index(step), 0);
            self.old.read_exact_at(&mut buffer, offset)?;
            for block in buffer.chunks(distance) {
                if let Some(block) = block.first_chunk::<BLOCK>() {
                    self.insert(hash(block), sample + 1);
                }
                sample += 1;
            }
            offset += step;
        }
        Ok(())
    }

    fn insert(&mut self, hash: u64, sample: u32) {
        let (slot, tag) = self.place(hash);
        if self.slots[slot] == 0 {
            self.slots[slot] = sample;
            self.tags[slot] = tag;
        }
    }

    /// The slot of a hash and its tag: the highest bits and the lowest ones.
    fn place(&self, hash: u64) -> (usize, u8) {
        let mixed = mix(hash);
        let [tag, ..] = (mixed >> 8).to_le_bytes();
        (index(mixed >> (64 - self.slots.len().ilog2())), tag)
    }

    fn lookup(&self, hash: u64) -> Option<u64> {
        let (slot, tag) = self.place(hash);
        let sample = self.slots[slot].checked_sub(1).filter(|_| self.tags[slot] == tag)?;
        Some(u64::from(sample) * self.sample_distance)
    }

    /// Finds the covers of a piece of the new file; their new offsets count from the start of the piece.
    pub(super) fn covers(&self, new: &[u8]) -> io::Result<Vec<Cover>> {
        Scan { index: self, old: CachedOld::new(self.old), new, covers: Vec::new() }.run()
    }
}

/// The least distance at which the index fits: two slots of five bytes for each sample, up to the next power of two.
fn sample_distance(old_len: u64, max_bytes: u64) -> u64 {
    let mut distance = BLOCK as u64;
    while old_len / distance * 20 > max_bytes || old_len / distance >= u64::from(u32::MAX) {
        distance *= 2;
    }
    distance
}

/// A polynomial over the bytes of a block, so that it can roll.
fn hash(block: &[u8; BLOCK]) -> u64 {
    block.iter().fold(0, |hash, byte| push(hash, *byte))
}

fn push(hash: u64, byte: u8) -> u64 {
    hash.wrapping_mul(MULTIPLIER).wrapping_add(u64::from(byte) + 1)
}

/// The weight of a block's first byte once the block has one byte more.
const fn out_weight() -> u64 {
    let mut weight = 1u64;
    let mut i = 0;
    while i < BLOCK {
        weight = weight.wrapping_mul(MULTIPLIER);
        i += 1;
    }
    weight
}

fn roll(hash: u64, out: u8, byte: u8) -> u64 {
    push(hash, byte).wrapping_sub(out_weight().wrapping_mul(u64::from(out) + 1))
}

fn mix(hash: u64) -> u64 {
    (hash ^ (hash >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9)
}

fn index(within: u64) -> usize {
    usize::try_from(within).expect("bounded by what is in memory")
}

/// The walk over one piece of the new file.
struct Scan<'a> {
    index: &'a BlockIndex<'a>,
    old: CachedOld<'a>,
    new: &'a [u8],
    covers: Vec<Cover>,
}

impl Scan<'_> {
    fn run(mut self) -> io::Result<Vec<Cover>> {
        let mut at = 0;
        let mut rolled = None;
        while let Some(block) = self.new.get(at..).and_then(|rest| rest.first_chunk::<BLOCK>()) {
            let now = rolled.unwrap_or_else(|| hash(block));
            rolled = self.new.get(at + BLOCK).map(|byte| roll(now, block[0], *byte));
            let candidates = [self.on_diagonal(at), self.index.lookup(now)];
            match self.first_match(at, candidates.into_iter().flatten())? {
                Some(old) => {
                    at = self.extend(old, at)?;
                    rolled = None;
                }
                None => at += 1,
            }
        }
        Ok(self.covers)
    }

    /// Where the last cover would go on.
    fn on_diagonal(&self, at: usize) -> Option<u64> {
        let last = self.covers.last()?;
        let distance = at as u64 - last.new_end();
        // Tried every eighth byte only: a long stretch of new bytes shall not read the old file at every byte.
        (distance.is_multiple_of(8) && distance < 4096).then(|| last.old_end() + distance)
    }

    fn first_match(&mut self, at: usize, candidates: impl Iterator<Item = u64>) -> io::Result<Option<u64>> {
        let mut bytes = [0; FOLLOW];
        for old in candidates {
            let inside = old.checked_add(FOLLOW as u64).is_some_and(|end| end <= self.old.len_bytes());
            if !inside {
                continue;
            }
            self.old.read(&mut bytes, old)?;
            if self.new.get(at..at + FOLLOW) == Some(&bytes[..]) {
                return Ok(Some(old));
            }
        }
        Ok(None)
    }

    /// Adds the cover around a match and returns where it ends.
    fn extend(&mut self, old: u64, at: usize) -> io::Result<usize> {
        let floor = self.covers.last().map_or(0, |last| index(last.new_end()));
        let back = self.backward(old, at, floor)?;
        let forward = self.forward(old, at)?;
        let (old_offset, new_offset) = (old - back as u64, (at - back) as u64);
        self.covers.push(Cover { old_offset, new_offset, len: (back + forward) as u64 });
        Ok(at + forward)
    }

    fn forward(&mut self, old: u64, at: usize) -> io::Result<usize> {
        let most = index((self.old.len_bytes() - old).min((self.new.len() - at) as u64));
        let mut extension = Extension::new(&Costs::STREAMS);
        let mut buffer = Vec::new();
        let mut done = 0;
        while done < most {
            // Short covers are common, so the first step is short.
            let step = (done * 2).clamp(256, 64 << 10).min(most - done);
            buffer.resize(step, 0);
            self.old.read(&mut buffer, old + done as u64)?;
            if !extension.forward(&buffer, &self.new[at + done..at + done + step]) {
                break;
            }
            done += step;
        }
        Ok(extension.best)
    }

    fn backward(&mut self, old: u64, at: usize, floor: usize) -> io::Result<usize> {
        let most = index(old.min((at - floor) as u64));
        let mut extension = Extension::new(&Costs::STREAMS);
        let mut buffer = Vec::new();
        let mut done = 0;
        while done < most {
            let step = (done * 2).clamp(64, 4 << 10).min(most - done);
            buffer.resize(step, 0);
            let end = old - done as u64;
            self.old.read(&mut buffer, end - step as u64)?;
            if !extension.backward(&buffer, &self.new[at - done - step..at - done]) {
                break;
            }
            done += step;
        }
        Ok(extension.best)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_rolls() {
        let data: Vec<u8> = (0..100u8).map(|i| i.wrapping_mul(37)).collect();
        let mut rolled = hash(data.first_chunk().unwrap());
        for at in 1..=data.len() - BLOCK {
            rolled = roll(rolled, data[at - 1], data[at + BLOCK - 1]);
            assert_eq!(rolled, hash(data[at..].first_chunk().unwrap()));
        }
    }

    #[test]
    fn the_index_keeps_to_its_bound() {
        for (len, max) in [(0, 1), (1 << 20, 1 << 10), (1 << 40, 1 << 30), (u64::MAX / 32, 1 << 28)] {
            let distance = sample_distance(len, max);
            assert!(distance >= 32 && ((len / distance) * 2).next_power_of_two() * 5 <= max.max(20));
        }
    }
}
