//! Stream and reference to new file.
//!
//! Every rule of the format is checked, also those that a lenient decoder could do without: a stream that this decoder
//! takes is one that the genuine creator could have made, as far as we know its habits.

use std::ops::ControlFlow;

use super::bits::BitReader;
use super::huffman::Decoder;
use super::slots::{FORMATTED_BIAS, MAX_SLOTS, REPEATS, SLOT_BASE, footer_bits};
use super::{
    ALIGNED_SYMBOLS, BlockType, CHUNK_LEN, FIRST_EXTENDED_LENGTH, FIRST_TREE_LENGTH, LENGTH_EXTENSIONS, LENGTH_SYMBOLS,
    LITERALS, LzxError, LzxErrorKind, MIN_MATCH, PRETREE_SYMBOLS, Window, e8, reference_in,
};

/// Makes the new file of `new_len` bytes.
///
/// `reference` is the old file, normalised and with its ranges zeroed; only its head, as long as the window, is used.
///
/// # Errors
/// A stream that breaks any rule, or that is followed by anything.
pub fn decode(stream: &[u8], reference: &[u8], new_len: usize, window: Window) -> Result<Vec<u8>, LzxError> {
    decode_with(stream, reference, new_len, window, &mut |_| ControlFlow::Continue(()))
}

/// Like [`decode`], and calls `progress` with the number of bytes made before each chunk and at the end.
///
/// # Errors
/// Those of [`decode`], and [`LzxErrorKind::Cancelled`] when `progress` breaks.
pub fn decode_with(
    stream: &[u8],
    reference: &[u8],
    new_len: usize,
    window: Window,
    progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<Vec<u8>, LzxError> {
    let (new, used) = decode_prefix(stream, reference, new_len, window, progress)?;
    match stream.len() - used {
        0 => Ok(new),
        left => Err(LzxError {
            kind: LzxErrorKind::Trailing { left },
            structure: "stream",
            offset: used,
            produced: new.len(),
        }),
    }
}

/// Like [`decode_with`], but other bytes may follow; also returns how many bytes of `stream` were read.
///
/// The ranges of an interleaved patch are streams of their own that follow each other.
///
/// # Errors
/// Those of [`decode_with`].
pub fn decode_prefix(
    stream: &[u8],
    reference: &[u8],
    new_len: usize,
    window: Window,
    progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<(Vec<u8>, usize), LzxError> {
    let mut decoding = Decoding {
        reader: BitReader::new(stream),
        reference: reference_in(window, reference),
        out: Vec::new(),
        new_len,
        state: State::new(window),
        dialect: Dialect::Delta,
    };
    let translation = decoding.run(progress)?;
    let Decoding { mut out, reader, .. } = decoding;
    if let Some(size) = translation {
        e8::undo(&mut out, size);
    }
    Ok((out, reader.offset()))
}

/// What the two formats of the family differ in, beyond what stands around their chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// LZX DELTA: long matches, blocks within the length of the file, padding of zeros.
    Delta,
    /// The LZX of cabinets: matches up to 257, files without a length, padding of anything.
    Cabinet,
}

pub(super) struct Decoding<'a> {
    pub(super) reader: BitReader<'a>,
    pub(super) reference: &'a [u8],
    pub(super) out: Vec<u8>,
    pub(super) new_len: usize,
    pub(super) state: State,
    pub(super) dialect: Dialect,
}

/// What goes on from chunk to chunk.
pub(super) struct State {
    window: Window,
    /// The last three distances, the latest first.
    repeats: [u32; REPEATS],
    /// Code lengths of the block before, from which those of the next block differ.
    main_lens: Vec<u8>,
    length_lens: [u8; LENGTH_SYMBOLS],
    block: Block,
}

impl State {
    pub(super) fn new(window: Window) -> Self {
        Self {
            window,
            repeats: [1; REPEATS],
            main_lens: vec![0; window.main_symbols()],
            length_lens: [0; LENGTH_SYMBOLS],
            block: Block { left: 0, codes: Codes::Raw { odd: false } },
        }
    }
}

struct Block {
    /// How many bytes of the new file the block has yet to make.
    left: usize,
    codes: Codes,
}

enum Codes {
    Trees(Box<Trees>),
    /// Raw bytes; after an odd number of them there is one of padding.
    Raw {
        odd: bool,
    },
}

struct Trees {
    main: Decoder,
    /// None where no match of the block is long enough to need one.
    length: Option<Decoder>,
    /// The lowest three bits of distances, in an aligned block.
    aligned: Option<Decoder>,
}

impl Decoding<'_> {
    /// Decodes all chunks; returns the size for the translation of calls, if there was one.
    fn run(&mut self, progress: &mut dyn FnMut(usize) -> ControlFlow<()>) -> Result<Option<i32>, LzxError> {
        let mut translation = None;
        while self.out.len() < self.new_len {
            self.report(progress)?;
            self.reader.begin_chunk()?;
            if self.out.is_empty() {
                translation = self.stream_header()?;
            }
            self.chunk()?;
            self.reader.end_chunk()?;
        }
        self.report(progress)?;
        Ok(translation)
    }

    fn report(&self, progress: &mut dyn FnMut(usize) -> ControlFlow<()>) -> Result<(), LzxError> {
        match progress(self.out.len()) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(self.reader.fault(LzxErrorKind::Cancelled)),
        }
    }

    pub(super) fn stream_header(&mut self) -> Result<Option<i32>, LzxError> {
        self.reader.structure = "stream header";
        match self.reader.bits(1)? {
            0 => Ok(None),
            _ => Ok(Some(self.reader.bits(32)?.cast_signed())),
        }
    }

    /// Makes the next 32768 bytes, or what is left of them.
    pub(super) fn chunk(&mut self) -> Result<(), LzxError> {
        let end = self.new_len.min(self.out.len() + CHUNK_LEN);
        self.out.reserve(end - self.out.len());
        while self.out.len() < end {
            if self.state.block.left == 0 {
                self.begin_block()?;
            }
            let len = self.state.block.left.min(end - self.out.len());
            self.state.block.left -= len;
            match &self.state.block.codes {
                Codes::Raw { odd } => {
                    self.reader.structure = "uncompressed block";
                    self.out.extend_from_slice(self.reader.raw(len)?);
                    // At the end of a chunk too: the byte belongs to the chunk that the block ends in.
                    if self.state.block.left == 0 && *odd {
                        match (self.dialect, self.reader.raw(1)) {
                            // The last block of a cabinet may do without.
                            (Dialect::Cabinet, _) | (Dialect::Delta, Ok([0])) => {}
                            (Dialect::Delta, padding) => {
                                return Err(padding.err().unwrap_or_else(|| self.reader.fault(LzxErrorKind::Padding)));
                            }
                        }
                    }
                }
                Codes::Trees(trees) => {
                    self.reader.structure = "compressed block";
                    let part = Part {
                        reader: &mut self.reader,
                        repeats: &mut self.state.repeats,
                        max_distance: self.state.window.max_distance(),
                        dialect: self.dialect,
                        history: History { reference: self.reference, out: &mut self.out },
                    };
                    part.decode(trees, len)?;
                }
            }
            self.reader.produced = self.out.len();
        }
        Ok(())
    }

    fn begin_block(&mut self) -> Result<(), LzxError> {
        self.reader.structure = "block header";
        let block_type = self.reader.bits(3)?;
        let stated = self.reader.bits(24)? as usize;
        let room = match self.dialect {
            Dialect::Delta => self.new_len - self.out.len(),
            Dialect::Cabinet => usize::MAX,
        };
        if stated == 0 || stated > room {
            return Err(self.reader.fault(LzxErrorKind::BlockLen { stated, room }));
        }
        let codes = match block_type {
            1 => Codes::Trees(Box::new(self.trees(BlockType::Verbatim)?)),
            2 => Codes::Trees(Box::new(self.trees(BlockType::Aligned)?)),
            3 => {
                self.raw_header()?;
                Codes::Raw { odd: stated % 2 == 1 }
            }
            other => return Err(self.reader.fault(LzxErrorKind::BlockType(other))),
        };
        self.state.block = Block { left: stated, codes };
        Ok(())
    }

    /// Reads the distances before raw bytes. Any that the encoder could have had will do.
    fn raw_header(&mut self) -> Result<(), LzxError> {
        self.reader.end_bits()?;
        for repeat in &mut self.state.repeats {
            let bytes = self.reader.raw(4)?.try_into().expect("four bytes were asked for");
            let distance = u32::from_le_bytes(bytes);
            let limit = self.state.window.max_distance();
            if distance == 0 || distance > limit {
                return Err(self.reader.fault(LzxErrorKind::Distance { distance, limit }));
            }
            *repeat = distance;
        }
        Ok(())
    }

    fn trees(&mut self, block_type: BlockType) -> Result<Trees, LzxError> {
        let aligned = match block_type {
            BlockType::Aligned => Some(self.aligned_tree()?),
            _ => None,
        };
        self.reader.structure = "main tree";
        let (literals, matches) = self.state.main_lens.split_at_mut(LITERALS);
        code_lens(&mut self.reader, literals)?;
        code_lens(&mut self.reader, matches)?;
        let main = self.tree(&self.state.main_lens)?;
        self.reader.structure = "length tree";
        code_lens(&mut self.reader, &mut self.state.length_lens)?;
        let length = match self.state.length_lens {
            [0, ..] if self.state.length_lens == [0; LENGTH_SYMBOLS] => None,
            lens => Some(self.tree(&lens)?),
        };
        Ok(Trees { main, length, aligned })
    }

    fn aligned_tree(&mut self) -> Result<Decoder, LzxError> {
        self.reader.structure = "aligned offset tree";
        let mut lens = [0; ALIGNED_SYMBOLS];
        for len in &mut lens {
            *len = small(self.reader.bits(3)?);
        }
        self.tree(&lens)
    }

    fn tree(&self, lens: &[u8]) -> Result<Decoder, LzxError> {
        Decoder::new(lens).ok_or_else(|| self.reader.fault(LzxErrorKind::IncompleteTree))
    }
}

/// Reads the code lengths of a part of a tree, as differences from those of the block before.
fn code_lens(reader: &mut BitReader<'_>, lens: &mut [u8]) -> Result<(), LzxError> {
    let mut pretree_lens = [0; PRETREE_SYMBOLS];
    for len in &mut pretree_lens {
        *len = small(reader.bits(4)?);
    }
    let pretree = Decoder::new(&pretree_lens).ok_or_else(|| reader.fault(LzxErrorKind::IncompleteTree))?;
    let mut at = 0;
    while at < lens.len() {
        let (run, len) = match pretree.read(reader)? {
            17 => (4 + reader.bits(4)?, 0),
            18 => (20 + reader.bits(5)?, 0),
            19 => {
                let run = 4 + reader.bits(1)?;
                let difference = pretree.read(reader)?;
                (run, changed(lens[at], difference).ok_or_else(|| reader.fault(LzxErrorKind::Run))?)
            }
            difference => (1, changed(lens[at], difference).expect("17 to 19 were seen to")),
        };
        let end = at + run as usize;
        lens.get_mut(at..end).ok_or_else(|| reader.fault(LzxErrorKind::Run))?.fill(len);
        at = end;
    }
    Ok(())
}

/// A code length that differs from the old one as symbols 0 to 16 of a pretree say.
fn changed(old: u8, difference: u16) -> Option<u8> {
    let difference = u8::try_from(difference).ok().filter(|difference| *difference <= 16)?;
    Some((old + 17 - difference) % 17)
}

/// A number of a few bits.
fn small(bits: u32) -> u8 {
    u8::try_from(bits).expect("eight bits at most")
}

/// The part of a compressed block that lies in one chunk.
struct Part<'a, 'stream> {
    reader: &'a mut BitReader<'stream>,
    repeats: &'a mut [u32; REPEATS],
    max_distance: u32,
    dialect: Dialect,
    history: History<'a>,
}

impl Part<'_, '_> {
    fn decode(mut self, trees: &Trees, len: usize) -> Result<(), LzxError> {
        let end = self.history.out.len() + len;
        loop {
            let room = end - self.history.out.len();
            if room == 0 {
                return Ok(());
            }
            let symbol = usize::from(trees.main.read(self.reader)?);
            match symbol.checked_sub(LITERALS) {
                None => self.history.out.push(u8::try_from(symbol).expect("below 256")),
                Some(symbol) => self.copy(trees, symbol, room)?,
            }
        }
    }

    /// Reads the rest of a match and makes its bytes.
    fn copy(&mut self, trees: &Trees, symbol: usize, room: usize) -> Result<(), LzxError> {
        let (slot, header) = (symbol / 8, symbol % 8);
        let mut len = MIN_MATCH + header;
        if len == FIRST_TREE_LENGTH {
            let tree = trees.length.as_ref().ok_or_else(|| self.fault(LzxErrorKind::NoLengthTree))?;
            len += usize::from(tree.read(self.reader)?);
        }
        let distance = self.distance(trees, slot)?;
        if len == FIRST_EXTENDED_LENGTH && self.dialect == Dialect::Delta {
            len += self.extension()?;
        }
        if len > room {
            return Err(self.fault(LzxErrorKind::MatchLen { len, room }));
        }
        let limit = self.max_distance.min(u32::try_from(self.history.reach()).unwrap_or(u32::MAX));
        if distance > limit {
            return Err(self.fault(LzxErrorKind::Distance { distance, limit }));
        }
        self.history.copy(distance as usize, len);
        Ok(())
    }

    /// Reads a distance and notes it as the latest.
    fn distance(&mut self, trees: &Trees, slot: usize) -> Result<u32, LzxError> {
        if slot < REPEATS {
            self.repeats.swap(0, slot);
            return Ok(self.repeats[0]);
        }
        debug_assert!(slot < MAX_SLOTS, "the main tree has no symbols for more");
        let bits = footer_bits(u32::try_from(slot).expect("a few hundred slots"));
        let footer = match &trees.aligned {
            Some(aligned) if bits >= 3 => {
                let high = self.reader.bits(bits - 3)?;
                high << 3 | u32::from(aligned.read(self.reader)?)
            }
            _ => self.reader.bits(bits)?,
        };
        let distance = SLOT_BASE[slot] + footer - FORMATTED_BIAS;
        *self.repeats = [distance, self.repeats[0], self.repeats[1]];
        Ok(distance)
    }

    /// Reads what a match of 257 is longer than that.
    fn extension(&mut self) -> Result<usize, LzxError> {
        let mut form = 0;
        while form < 3 && self.reader.bits(1)? == 1 {
            form += 1;
        }
        let form = &LENGTH_EXTENSIONS[form];
        Ok((form.base + self.reader.bits(form.value_bits)?) as usize)
    }

    fn fault(&mut self, kind: LzxErrorKind) -> LzxError {
        self.reader.produced = self.history.out.len();
        self.reader.fault(kind)
    }
}

/// What a match can copy from: zeros, the reference, what was made so far.
struct History<'a> {
    reference: &'a [u8],
    out: &'a mut Vec<u8>,
}

impl History<'_> {
    /// How far back a match may begin.
    ///
    /// The genuine creator matches runs of zeros before the reference, which fill it up to whole chunks.
    fn reach(&self) -> usize {
        self.reference.len().next_multiple_of(CHUNK_LEN) + self.out.len()
    }

    fn copy(&mut self, distance: usize, len: usize) {
        let mut left = len;
        let behind = distance.saturating_sub(self.out.len());
        if behind > 0 {
            let zeros = behind.saturating_sub(self.reference.len()).min(left);
            self.out.resize(self.out.len() + zeros, 0);
            left -= zeros;
            let start = self.reference.len().saturating_sub(behind);
            let old = &self.reference[start..];
            let old = &old[..old.len().min(left)];
            self.out.extend_from_slice(old);
            left -= old.len();
        }
        if left == 0 {
            return;
        }
        // Matches that overlap what they make repeat it; each round doubles what can be copied at once.
        let start = self.out.len() - distance;
        while left > 0 {
            let step = left.min(self.out.len() - start);
            self.out.extend_from_within(start..start + step);
            left -= step;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_run_from_zeros_through_the_reference_into_what_is_made() {
        let cases: [(&[u8], usize, usize, &[u8]); 6] = [
            (b"", 5, 7, b"\0\0abc\0\0"),
            (b"", 3, 7, b"abcabca"),
            (b"", 9, 3, b"\0\0\0"),
            (b"xy", 4, 2, b"xybc"),
            (b"xy", 4, 6, b"xybcxybc"),
            (b"xy", 1, 4, b"xyyyyy"),
        ];
        for (made, distance, len, expect) in cases {
            let mut out = made.to_vec();
            let mut history = History { reference: b"abc", out: &mut out };
            assert_eq!(history.reach(), CHUNK_LEN + made.len());
            history.copy(distance, len);
            assert_eq!(out, expect, "{len} from {distance} after {made:?}");
        }
    }
}
