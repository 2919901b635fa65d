//! The LZX of cabinets: the blocks of one folder, in memory for a window and a chunk.
//!
//! It differs from LZX DELTA in what stands around it and in few rules: there is no reference, a block of the cabinet is a chunk
//! (its lengths stand there), windows have 2^15 to 2^21 bytes, no match is longer than 257, and nobody says how long
//! all of it is. \[MS-CAB\] 2.4 and \[MS-PATCH\]; where these leave it open, as cabextract reads it.

use super::bits::BitReader;
use super::decode::{Decoding, Dialect, State};
use super::{CHUNK_LEN, LzxError, LzxErrorKind, Window, e8};

/// A folder being decoded.
pub struct Decoder {
    state: Option<State>,
    /// What a match can copy from, at least as much as the window, and what was just made.
    history: Vec<u8>,
    window: Window,
    /// The size for the translation of calls, once the first chunk has said it.
    translation: Option<Option<i32>>,
    /// How many bytes were made.
    produced: u64,
    /// The chunk as it is given out, calls translated back.
    chunk: Vec<u8>,
}

impl Decoder {
    /// A decoder at the start of a folder.
    #[must_use]
    pub fn new(window: Window) -> Self {
        let state = Some(State::new(window));
        Self { state, history: Vec::new(), window, translation: None, produced: 0, chunk: Vec::new() }
    }

    /// Makes the next `len` bytes, 32768 but at the end of the folder, of a block of the cabinet.
    ///
    /// # Errors
    /// A block that breaks a rule; after it the decoder gives errors alone.
    pub fn chunk(&mut self, data: &[u8], len: usize) -> Result<&[u8], LzxError> {
        let reader = BitReader::of_chunk(data);
        let Some(state) = self.state.take().filter(|_| len <= CHUNK_LEN) else {
            return Err(reader.fault(LzxErrorKind::TooLarge));
        };
        let out = std::mem::take(&mut self.history);
        let new_len = out.len() + len;
        let mut decoding = Decoding { reader, reference: &[], out, new_len, state, dialect: Dialect::Cabinet };
        if self.translation.is_none() {
            self.translation = Some(decoding.stream_header()?);
        }
        decoding.chunk()?;
        (self.history, self.state) = (decoding.out, Some(decoding.state));
        self.chunk.clear();
        self.chunk.extend_from_slice(&self.history[self.history.len() - len..]);
        if let Some(size) = self.translation.flatten() {
            e8::undo_chunk(&mut self.chunk, self.produced, size);
        }
        self.produced += len as u64;
        // Now and then, so that few bytes are moved.
        let keep = self.window.len_bytes();
        if self.history.len() >= 2 * keep {
            self.history.drain(..self.history.len() - keep);
        }
        Ok(&self.chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{E8, EncodeOptions, Level, encode};
    use super::*;

    /// Text without long repeats, and calls in it.
    fn sample(len: usize) -> Vec<u8> {
        let mut seed = 7_u32;
        let mut next = move || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed.to_be_bytes()[0]
        };
        let words: Vec<Vec<u8>> = (0..200).map(|_| (0..next() % 9 + 2).map(|_| next()).collect()).collect();
        let mut made = Vec::new();
        while made.len() < len {
            made.extend(&words[usize::from(next()) % words.len()]);
            if next() < 20 {
                made.extend([0xE8, next(), next(), 0, 0, next()]);
            }
        }
        made.truncate(len);
        made
    }

    /// Streams of our own encoder are such streams too, where no match is long: its chunks become blocks.
    #[test]
    fn chunks_come_out_as_they_went_in() {
        for (len, e8) in [(10, E8::Never), (32768, E8::Never), (500_000, E8::Never), (500_000, E8::Always(500_000))] {
            let file = sample(len);
            let options = EncodeOptions { e8, level: Level::Best };
            let stream = encode(&[], &file, Window::MIN, &options).unwrap();
            let mut decoder = Decoder::new(Window::of_cabinet(17).unwrap());
            let (mut rest, mut made) = (stream.as_slice(), Vec::new());
            while let Some((len, next)) = rest.split_first_chunk::<2>() {
                let (chunk, next) = next.split_at(usize::from(u16::from_le_bytes(*len)));
                let want = (file.len() - made.len()).min(CHUNK_LEN);
                made.extend_from_slice(decoder.chunk(chunk, want).unwrap());
                rest = next;
            }
            assert!(made == file, "{len}");
        }
    }

    #[test]
    fn damage_is_an_error() {
        let mut decoder = Decoder::new(Window::of_cabinet(15).unwrap());
        assert!(decoder.chunk(&[], 1).is_err());
        assert!(decoder.chunk(&[], 0).is_err(), "an error is the end");
        assert!(Decoder::new(Window::of_cabinet(15).unwrap()).chunk(&[0; 100], CHUNK_LEN + 1).is_err());
    }
}
