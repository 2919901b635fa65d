//! Blocks: what they count, which type is the shortest, and how they are written.

use super::super::bits::BitWriter;
use super::super::huffman::{codes, optimal_lens};
use super::super::slots::{REPEATS, footer_bits};
use super::super::{
    ALIGNED_SYMBOLS, BlockType, FIRST_EXTENDED_LENGTH, FIRST_TREE_LENGTH, LENGTH_EXTENSIONS, LENGTH_SYMBOLS, Window,
};
use super::cost::extension;
use super::parse::Token;
use super::tree::Lens;
use super::{CHUNK_LEN, Data, narrow};

/// The longest codes that there may be.
const MAIN_LIMIT: usize = 16;
const ALIGNED_LIMIT: usize = 7;

/// Bits of block type and length.
const HEADER_BITS: u64 = 27;
/// What raw bytes take besides: on average half a word of padding before and after, and the distances.
const RAW_BITS: u64 = HEADER_BITS + 8 + 12 * 8 + 8;
/// Rounds of the search for short trees.
const TREE_ROUNDS: usize = 4;

/// How often symbols occur.
#[derive(Clone)]
pub(super) struct Counts {
    pub(super) main: Vec<u32>,
    pub(super) length: Vec<u32>,
    /// The lowest three bits of footers that have them.
    pub(super) aligned: Vec<u32>,
    /// Bits of footers and extensions, all but those.
    pub(super) other_bits: u64,
    /// Bytes of the new file.
    pub(super) len: usize,
}

impl Counts {
    pub(super) fn new(window: Window) -> Self {
        Self {
            main: vec![0; window.main_symbols()],
            length: vec![0; LENGTH_SYMBOLS],
            aligned: vec![0; ALIGNED_SYMBOLS],
            other_bits: 0,
            len: 0,
        }
    }

    pub(super) fn of(window: Window, tokens: &[Token]) -> Self {
        let mut counts = Self::new(window);
        for token in tokens {
            counts.add(*token);
        }
        counts
    }

    fn add(&mut self, token: Token) {
        self.main[token.main_symbol()] += 1;
        let len = usize::from(token.len);
        self.len += len;
        if token.is_literal() {
            return;
        }
        if len >= FIRST_TREE_LENGTH {
            self.length[len.min(FIRST_EXTENDED_LENGTH) - FIRST_TREE_LENGTH] += 1;
        }
        if len >= FIRST_EXTENDED_LENGTH {
            self.other_bits += u64::from(extension(len).1);
        }
        match footer_bits(u32::from(token.slot)) {
            bits @ 0..3 => self.other_bits += u64::from(bits),
            bits => {
                self.other_bits += u64::from(bits - 3);
                self.aligned[super::index(token.footer % 8)] += 1;
            }
        }
    }

    pub(super) fn add_all(&mut self, other: &Self) {
        let add = |to: &mut [u32], from: &[u32]| to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
        add(&mut self.main, &other.main);
        add(&mut self.length, &other.length);
        add(&mut self.aligned, &other.aligned);
        self.other_bits += other.other_bits;
        self.len += other.len;
    }

    /// Bits of the lowest three bits of footers, uncoded.
    pub(super) fn low_bits(&self) -> u64 {
        3 * self.aligned.iter().map(|count| u64::from(*count)).sum::<u64>()
    }

    /// What raw bytes would take.
    pub(super) fn raw_bits(&self) -> u64 {
        RAW_BITS + 8 * self.len as u64
    }
}

/// A block that is ready to be written.
pub(super) struct Block {
    pub(super) counts: Counts,
    pub(super) len: usize,
    /// How many bits it takes, but for what chunks add.
    pub(super) bits: u64,
    codes: Codes,
}

enum Codes {
    Raw,
    Verbatim(Lens),
    Aligned(Lens, Vec<u8>),
}

impl Block {
    /// Makes the shortest block of these tokens that can follow one with the `old` trees.
    pub(super) fn choose(window: Window, tokens: &[Token], old: &Lens) -> Self {
        let counts = Counts::of(window, tokens);
        let lens = Lens {
            main: optimal_lens(&counts.main, MAIN_LIMIT),
            length: match counts.length.iter().any(|count| *count > 0) {
                true => optimal_lens(&counts.length, MAIN_LIMIT),
                false => vec![0; LENGTH_SYMBOLS],
            },
        };
        let common_bits = HEADER_BITS
            + u64::from(lens.bits_after(old, TREE_ROUNDS))
            + coded_bits(&counts.main, &lens.main)
            + coded_bits(&counts.length, &lens.length)
            + counts.other_bits;
        let verbatim_bits = common_bits + counts.low_bits();
        let aligned_lens = optimal_lens(&counts.aligned, ALIGNED_LIMIT);
        let aligned_bits = common_bits + coded_bits(&counts.aligned, &aligned_lens) + 3 * ALIGNED_SYMBOLS as u64;
        let raw_bits = counts.raw_bits();
        let (bits, codes) = if raw_bits < verbatim_bits.min(aligned_bits) {
            (raw_bits, Codes::Raw)
        } else if aligned_bits < verbatim_bits {
            (aligned_bits, Codes::Aligned(lens, aligned_lens))
        } else {
            (verbatim_bits, Codes::Verbatim(lens))
        };
        Self { len: counts.len, counts, bits, codes }
    }

    pub(super) fn is_aligned(&self) -> bool {
        matches!(self.codes, Codes::Aligned(..))
    }

    /// The trees that the next block's differ from, if this one changes them.
    pub(super) fn lens(&self) -> Option<&Lens> {
        match &self.codes {
            Codes::Raw => None,
            Codes::Verbatim(lens) | Codes::Aligned(lens, _) => Some(lens),
        }
    }
}

fn coded_bits(counts: &[u32], lens: &[u8]) -> u64 {
    counts.iter().zip(lens).map(|(count, len)| u64::from(*count) * u64::from(*len)).sum()
}

/// Codes and their lengths.
struct Table {
    codes: Vec<u16>,
    lens: Vec<u8>,
}

impl Table {
    fn new(lens: &[u8]) -> Self {
        Self { codes: codes(lens), lens: lens.to_vec() }
    }

    fn put(&self, symbol: usize, writer: &mut BitWriter) {
        debug_assert!(self.lens[symbol] > 0, "symbol {symbol} has a code");
        writer.put(u32::from(self.codes[symbol]), u32::from(self.lens[symbol]));
    }
}

/// The longest chunk that is written. The genuine creator's are hardly longer than what they make; who knows what
/// decoders have room for.
const MAX_CHUNK_BYTES: usize = CHUNK_LEN + 6144;

/// Writes blocks, and chunks around them.
pub(super) struct BlockWriter<'a> {
    data: &'a Data,
    writer: BitWriter,
    at: usize,
    chunk_end: usize,
    /// The last distances, and the trees of the last block that had some.
    pub(super) repeats: [u32; REPEATS],
    pub(super) lens: Lens,
}

impl<'a> BlockWriter<'a> {
    pub(super) fn new(data: &'a Data, translation: Option<i32>) -> Self {
        let mut writer = BitWriter::default();
        writer.begin_chunk();
        writer.put(u32::from(translation.is_some()), 1);
        if let Some(size) = translation {
            writer.put(size.cast_unsigned(), 32);
        }
        Self {
            data,
            writer,
            at: data.start,
            chunk_end: data.chunk_end(data.start),
            repeats: [1; REPEATS],
            lens: Lens::zero(data.window.main_symbols(), LENGTH_SYMBOLS),
        }
    }

    /// Writes a block; fails where that makes a chunk too long.
    pub(super) fn write(&mut self, block: &Block, tokens: &[Token]) -> Result<(), ()> {
        match &block.codes {
            Codes::Raw => {
                // The tokens are not written, but those of later blocks count on the distances after them.
                self.repeats = tokens.iter().fold(self.repeats, |repeats, token| token.repeats(repeats));
                self.write_raw(block.len)
            }
            Codes::Verbatim(lens) => self.write_coded(BlockType::Verbatim, block.len, lens, None, tokens),
            Codes::Aligned(lens, aligned) => {
                self.write_coded(BlockType::Aligned, block.len, lens, Some(aligned), tokens)
            }
        }
    }

    fn header(&mut self, block_type: BlockType, len: usize) {
        self.writer.put(block_type as u32, 3);
        self.writer.put(narrow(len), 24);
    }

    fn write_coded(
        &mut self,
        block_type: BlockType,
        len: usize,
        lens: &Lens,
        aligned: Option<&[u8]>,
        tokens: &[Token],
    ) -> Result<(), ()> {
        self.header(block_type, len);
        for len in aligned.unwrap_or_default() {
            self.writer.put(u32::from(*len), 3);
        }
        lens.write_after(&self.lens, TREE_ROUNDS, &mut self.writer);
        self.lens.clone_from(lens);
        let (main, length) = (Table::new(&lens.main), Table::new(&lens.length));
        let aligned = aligned.map(Table::new);
        for token in tokens {
            self.token(*token, &main, &length, aligned.as_ref());
            self.repeats = token.repeats(self.repeats);
            self.advance(usize::from(token.len))?;
        }
        Ok(())
    }

    fn token(&mut self, token: Token, main: &Table, length: &Table, aligned: Option<&Table>) {
        let writer = &mut self.writer;
        main.put(token.main_symbol(), writer);
        if token.is_literal() {
            return;
        }
        let len = usize::from(token.len);
        if len >= FIRST_TREE_LENGTH {
            length.put(len.min(FIRST_EXTENDED_LENGTH) - FIRST_TREE_LENGTH, writer);
        }
        match (footer_bits(u32::from(token.slot)), aligned) {
            (bits @ 3.., Some(aligned)) => {
                writer.put(token.footer >> 3, bits - 3);
                aligned.put(super::index(token.footer % 8), writer);
            }
            (bits, _) => writer.put(token.footer, bits),
        }
        if len >= FIRST_EXTENDED_LENGTH {
            let form = &LENGTH_EXTENSIONS[extension(len).0];
            writer.put(form.prefix, form.prefix_bits);
            writer.put(narrow(len - FIRST_EXTENDED_LENGTH) - form.base, form.value_bits);
        }
    }

    /// Writes raw bytes, in one block if that is well defined.
    ///
    /// Where an odd number of bytes ends a chunk, nobody has seen in which chunk the byte of padding goes, except at the
    /// end of the file. So the padding is moved away from there.
    pub(super) fn write_raw(&mut self, len: usize) -> Result<(), ()> {
        let end = self.at + len;
        let odd_at_edge =
            len % 2 == 1 && end < self.data.bytes.len() && (end - self.data.start).is_multiple_of(CHUNK_LEN);
        if odd_at_edge && len > 2 {
            self.write_raw_block(len - 2)?;
            return self.write_raw_block(2);
        }
        self.write_raw_block(len)
    }

    fn write_raw_block(&mut self, len: usize) -> Result<(), ()> {
        self.header(BlockType::Uncompressed, len);
        self.writer.end_bits();
        for distance in self.repeats {
            self.writer.raw(&distance.to_le_bytes());
        }
        let end = self.at + len;
        while self.at < end {
            let step = end.min(self.chunk_end) - self.at;
            self.writer.raw(&self.data.bytes[self.at..self.at + step]);
            if self.at + step == end && len % 2 == 1 {
                self.writer.raw(&[0]);
            }
            self.advance(step)?;
        }
        Ok(())
    }

    /// Notes that so many bytes are made; a token or a run of raw bytes never goes beyond its chunk.
    fn advance(&mut self, len: usize) -> Result<(), ()> {
        self.at += len;
        if self.at < self.chunk_end {
            return Ok(());
        }
        if self.writer.end_chunk() > MAX_CHUNK_BYTES {
            return Err(());
        }
        if self.at < self.data.bytes.len() {
            self.chunk_end = self.data.chunk_end(self.at);
            self.writer.begin_chunk();
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Vec<u8> {
        debug_assert_eq!(self.at, self.data.bytes.len(), "all is written");
        self.writer.finish()
    }
}
