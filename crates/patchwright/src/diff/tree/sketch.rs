//! What files have in common, judged from a few numbers of each.
//!
//! A sketch holds the smallest hashes of all 32-byte windows of a file. Of two files, the share of the smallest
//! hashes of both together that either has is an estimate of the share of windows that they have in common.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use patchwright_formats::manifest::Hash;
use patchwright_formats::{ReadAt, source};

use crate::error::{Error, Result};

use super::walk::View;

/// How many hashes a sketch holds at most.
const HASHES: usize = 64;
/// Bytes of a window: each shifts the state by two bits, so that it is gone after as many steps.
pub(super) const WINDOW: usize = 32;

/// The smallest hashes of a file's windows, in order, each once.
pub(super) struct Sketch(Vec<u64>);

impl Sketch {
    fn of(file: &dyn ReadAt) -> io::Result<Self> {
        let mut hashes: Vec<u64> = Vec::with_capacity(HASHES + 1);
        let mut limit = u64::MAX;
        let mut state = 0u64;
        let mut before = WINDOW - 1;
        source::for_each_chunk(file, |chunk| {
            for byte in chunk {
                state = (state << 2).wrapping_add(GEAR[usize::from(*byte)]);
                let hash = mix(state);
                if before > 0 {
                    before -= 1;
                } else if hash < limit
                    && let Err(place) = hashes.binary_search(&hash)
                {
                    hashes.insert(place, hash);
                    hashes.truncate(HASHES);
                    limit = if hashes.len() == HASHES { hashes[HASHES - 1] } else { u64::MAX };
                }
            }
            Ok(())
        })?;
        Ok(Self(hashes))
    }

    pub(super) fn hashes(&self) -> &[u64] {
        &self.0
    }

    /// How much two files have in common, in thousandths.
    pub(super) fn similarity(&self, other: &Self) -> usize {
        let (mut mine, mut others) = (self.0.iter().peekable(), other.0.iter().peekable());
        let (mut seen, mut shared) = (0, 0);
        while seen < HASHES {
            match (mine.peek(), others.peek()) {
                (None, None) => break,
                (Some(first), Some(second)) if first == second => {
                    shared += 1;
                    mine.next();
                    others.next();
                }
                (Some(first), second) if second.is_none_or(|second| *first < *second) => drop(mine.next()),
                _ => drop(others.next()),
            }
            seen += 1;
        }
        (shared * 1000usize).checked_div(seen).unwrap_or(0)
    }
}

/// Numbers for the 256 bytes, drawn once from a fixed sequence.
static GEAR: [u64; 256] = gear();

const fn gear() -> [u64; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    let mut state = 0x5851_F42D_4C95_7F2D_u64;
    while index < 256 {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        table[index] = mix(state);
        index += 1;
    }
    table
}

/// Spreads every bit over all others (the finish of SplitMix64).
const fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// The sketches made so far, by length and hash of what they are of: the old versions of a tree share most files.
#[derive(Default)]
pub(super) struct Sketches(Mutex<HashMap<(u64, Hash), Arc<Sketch>>>);

impl Sketches {
    /// The sketch of the file with this length and hash, which is read only when it is not known yet.
    pub(super) fn get(&self, key: (u64, Hash), open: impl FnOnce() -> Result<View>) -> Result<Arc<Sketch>> {
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sketch) = known().get(&key) {
            return Ok(Arc::clone(sketch));
        }
        let view = open()?;
        let sketch = Arc::new(Sketch::of(&view.bytes).map_err(|error| Error::io("read", &view.place, &error))?);
        known().insert(key, Arc::clone(&sketch));
        Ok(sketch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: u64, len: usize) -> Vec<u8> {
        (0..len as u64).map(|at| mix(seed ^ (at << 8)).to_le_bytes()[5]).collect()
    }

    fn similarity(first: &[u8], second: &[u8]) -> usize {
        Sketch::of(&first).unwrap().similarity(&Sketch::of(&second).unwrap())
    }

    #[test]
    fn similarity_follows_what_is_shared() {
        let file = noise(1, 20_000);
        let mut edited = file.clone();
        edited.splice(3000..3010, *b"something else");
        let half = [&file[..10_000], &noise(2, 10_000)].concat();
        assert_eq!(similarity(&file, &file), 1000);
        assert!(similarity(&file, &edited) > 900);
        assert!((200..500).contains(&similarity(&file, &half)), "{}", similarity(&file, &half));
        assert_eq!(similarity(&file, &noise(3, 20_000)), 0);
        assert_eq!(similarity(&file, &[]), 0);
        assert_eq!(similarity(&[], &[]), 0);
    }

    #[test]
    fn a_window_is_forgotten_after_its_length() {
        let tail = noise(7, 4000);
        let longer = [&noise(8, 100)[..], &tail].concat();
        let (tail, longer) = (Sketch::of(&tail).unwrap(), Sketch::of(&longer).unwrap());
        assert!(tail.similarity(&longer) > 850);
        assert_eq!(Sketch::of(&vec![0; WINDOW - 1]).unwrap().hashes().len(), 0);
        assert_eq!(Sketch::of(&vec![0; 100_000]).unwrap().hashes().len(), 1);
    }
}
