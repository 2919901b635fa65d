//! The old file through a small cache: covers are short and near each other, so blocks are read once and used often.

use std::io;

use patchwright_formats::ReadAt;

const BLOCK: usize = 8 << 10;
const SLOTS: usize = 512;

/// A reader with a cache of 4 MiB at most. Reads of a block and more go around it.
pub(crate) struct CachedOld<'a> {
    old: &'a dyn ReadAt,
    len: u64,
    /// Each block has one slot where it may stand. Slots come into being when they are first used.
    slots: Vec<Option<(u64, Box<[u8]>)>>,
}

impl<'a> CachedOld<'a> {
    pub(crate) fn new(old: &'a dyn ReadAt) -> Self {
        Self { old, len: old.len_bytes(), slots: Vec::new() }
    }

    pub(crate) fn len_bytes(&self) -> u64 {
        self.len
    }

    /// Fills `buffer` from `offset`; `UnexpectedEof` when the range reaches beyond the end.
    pub(crate) fn read(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if buffer.len() >= BLOCK {
            return self.old.read_exact_at(buffer, offset);
        }
        let mut rest = buffer;
        let mut at = offset;
        while !rest.is_empty() {
            let block = at / BLOCK as u64;
            let within = index(at % BLOCK as u64);
            let bytes = self.block(block)?;
            let step = rest.len().min(bytes.len() - within);
            let (now, later) = rest.split_at_mut(step);
            now.copy_from_slice(&bytes[within..within + step]);
            rest = later;
            at += step as u64;
        }
        Ok(())
    }

    fn block(&mut self, block: u64) -> io::Result<&[u8]> {
        let slot = index(block % SLOTS as u64);
        if self.slots.is_empty() {
            self.slots.resize_with(SLOTS, || None);
        }
        let entry = &mut self.slots[slot];
        let mut bytes = match entry.take() {
            Some((number, bytes)) if number == block => return Ok(&entry.insert((number, bytes)).1),
            Some((_, bytes)) if bytes.len() == BLOCK => bytes,
            _ => vec![0; BLOCK].into_boxed_slice(),
        };
        let start = block * BLOCK as u64;
        let step = index((self.len - start).min(BLOCK as u64));
        self.old.read_exact_at(&mut bytes[..step], start)?;
        Ok(&entry.insert((block, bytes)).1[..step])
    }
}

fn index(within: u64) -> usize {
    usize::try_from(within).expect("below the size of the cache")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_are_those_of_the_file() {
        let data: Vec<u8> = (0..3_000_017u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]).collect();
        let mut old = CachedOld::new(&data);
        let mut at = 12_345usize;
        for len in [0usize, 1, 17, BLOCK - 1, BLOCK, 3 * BLOCK, 100] {
            for _ in 0..200 {
                at = (at * 7919 + 13) % (data.len() - len);
                let mut buffer = vec![0; len];
                old.read(&mut buffer, at as u64).unwrap();
                assert_eq!(buffer, data[at..at + len]);
            }
        }
        assert!(old.read(&mut [0; 2], data.len() as u64 - 1).is_err());
        assert!(old.read(&mut [0; 2], u64::MAX).is_err());
    }
}
