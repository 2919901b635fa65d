//! Reference and new file to stream.
//!
//! In order: `matches` finds what could be copied from where, in `trees` or by `latest` positions; `parse` chooses the
//! cheapest way through it, given what symbols cost; `split` cuts the result into blocks; `block` makes trees for each,
//! which say what symbols cost in the next round; `tree` writes the trees' code lengths. The smallest result of all rounds
//! is written.

mod block;
mod cost;
mod latest;
mod matches;
mod parse;
mod split;
mod tree;
mod trees;

use super::{CHUNK_LEN, LzxError, LzxErrorKind, Window, e8, reference_in};
use block::{Block, BlockWriter};
use cost::{BIT, Costs, Temper};
use matches::{Effort, Finder, Match, Search};
use parse::{Parser, Token};
use tree::Lens;

/// Whether the targets of x86 calls are translated before compression.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum E8 {
    /// They are not.
    #[default]
    Never,
    /// They are, for a file of the stated size; the genuine creator states the length of the new file.
    Always(u32),
    /// They are where that makes a smaller stream.
    IfSmaller(u32),
}

/// How much time the encoder takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// A quick search and two rounds.
    Fast,
    /// A thorough search and as many rounds as are worth it.
    #[default]
    Best,
}

/// What the encoder may choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EncodeOptions {
    /// Whether the targets of calls are translated.
    pub e8: E8,
    /// How much time to take.
    pub level: Level,
}

/// Makes a stream from which [`decode`](super::decode()) makes `new`, given the same reference and window.
///
/// The same arguments always give the same stream. An empty file has an empty stream.
///
/// # Errors
/// [`LzxErrorKind::TooLarge`] where positions in both files do not fit into 31 bits, or the size for the translation of
/// calls does not.
pub fn encode(reference: &[u8], new: &[u8], window: Window, options: &EncodeOptions) -> Result<Vec<u8>, LzxError> {
    match options.e8 {
        E8::Never => stream(reference, new, window, options.level, None),
        E8::Always(size) => stream(reference, new, window, options.level, Some(size)),
        E8::IfSmaller(size) => {
            let plain = stream(reference, new, window, options.level, None)?;
            let translated = stream(reference, new, window, options.level, Some(size))?;
            Ok(if translated.len() < plain.len() { translated } else { plain })
        }
    }
}

/// Both files in a row, as matches see them, and how far back these may reach.
struct Data {
    bytes: Vec<u8>,
    /// Where the new file begins.
    start: usize,
    window: Window,
}

impl Data {
    /// How many bytes at `at` are the same as those `distance` before, `limit` at most, when `known` of them are.
    #[inline]
    fn common(&self, at: usize, distance: usize, known: usize, limit: usize) -> usize {
        let limit = limit.min(self.bytes.len() - at);
        let (new, old) = (&self.bytes[at..at + limit], &self.bytes[at - distance..at - distance + limit]);
        let mut len = known;
        while let (Some(new), Some(old)) = (new.get(len..len + 8), old.get(len..len + 8)) {
            let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
            let differ = word(new) ^ word(old);
            if differ != 0 {
                return len + index(differ.trailing_zeros() / 8);
            }
            len += 8;
        }
        while len < limit && new[len] == old[len] {
            len += 1;
        }
        len
    }

    /// Where the chunk that `at` is in ends.
    fn chunk_end(&self, at: usize) -> usize {
        self.bytes.len().min(self.start + (at - self.start + 1).next_multiple_of(CHUNK_LEN))
    }
}

/// A position or length in both files as a number of 32 bits: [`stream`] has made sure that all fit.
#[expect(clippy::cast_possible_truncation, reason = "see above")]
#[inline]
fn narrow(value: usize) -> u32 {
    debug_assert!(u32::try_from(value).is_ok(), "{value} is not a position");
    value as u32
}

#[inline]
fn index(value: u32) -> usize {
    value as usize
}

/// How much of the new file is looked at as a whole: what a block can hold, in chunks.
const PIECE_LEN: usize = (1 << 24) - CHUNK_LEN;
/// How many matches are kept at a time; a piece ends after the chunk that exceeds it.
const PIECE_MATCHES: usize = 1 << 22;

fn stream(
    reference: &[u8],
    new: &[u8],
    window: Window,
    level: Level,
    translation: Option<u32>,
) -> Result<Vec<u8>, LzxError> {
    let too_large = LzxError { kind: LzxErrorKind::TooLarge, structure: "new file", offset: 0, produced: 0 };
    let reference = reference_in(window, reference);
    if i32::try_from(reference.len().saturating_add(new.len())).is_err() {
        return Err(too_large);
    }
    let translation = translation.map(i32::try_from).transpose().map_err(|_| too_large)?;
    if new.is_empty() {
        return Ok(Vec::new());
    }
    let mut bytes = [reference, new].concat();
    let start = reference.len();
    if let Some(size) = translation {
        e8::apply(&mut bytes[start..], size);
    }
    let data = Data { bytes, start, window };
    let settings = Settings::of(level);
    compressed(&data, translation, &settings).or_else(|()| raw(&data, translation)).map_err(|()| too_large)
}

/// What has no more matches is parsed so quickly that it is worth more tries.
const FEW_MATCHES: usize = 1 << 19;

const TEMPERS: [Temper; 4] = [
    Temper { match_guess: 7, rare: 0, segment_tokens: 512 },
    Temper { match_guess: 7, rare: 2 * BIT, segment_tokens: 128 },
    Temper { match_guess: 14, rare: 2 * BIT, segment_tokens: 256 },
    Temper { match_guess: 20, rare: 5 * BIT, segment_tokens: 512 },
];

/// What a level means.
struct Settings {
    effort: Effort,
    rounds: usize,
    /// What to try where it takes little time; the first is for all.
    tempers: &'static [Temper],
}

impl Settings {
    fn of(level: Level) -> Self {
        match level {
            Level::Fast => {
                Self { effort: Effort { search: Search::Latest, long: 256 }, rounds: 2, tempers: &TEMPERS[..1] }
            }
            Level::Best => {
                Self { effort: Effort { search: Search::Trees { depth: 48 }, long: 512 }, rounds: 6, tempers: &TEMPERS }
            }
        }
    }
}

/// Makes the stream; fails where a chunk is longer than it may be.
fn compressed(data: &Data, translation: Option<i32>, settings: &Settings) -> Result<Vec<u8>, ()> {
    let mut writer = BlockWriter::new(data, translation);
    let mut finder = Finder::new(data, settings.effort);
    finder.add(0, data.start);
    let mut at = data.start;
    while at < data.bytes.len() {
        let piece = Piece::gather(&mut finder, data, at);
        at += piece.len();
        for (block, tokens) in best_blocks(data, &piece, &writer, settings) {
            writer.write(&block, &tokens)?;
        }
    }
    Ok(writer.finish())
}

/// Makes a stream of nothing but raw bytes, whose chunks cannot be too long.
fn raw(data: &Data, translation: Option<i32>) -> Result<Vec<u8>, ()> {
    let mut writer = BlockWriter::new(data, translation);
    let mut left = data.bytes.len() - data.start;
    while left > 0 {
        let len = left.min(PIECE_LEN);
        writer.write_raw(len)?;
        left -= len;
    }
    Ok(writer.finish())
}

/// A part of the new file, whole chunks, and what matches in it.
struct Piece {
    start: usize,
    /// For each position where its matches begin in `found`, and where the last ones end.
    firsts: Vec<u32>,
    found: Vec<Match>,
}

impl Piece {
    fn gather(finder: &mut Finder<'_>, data: &Data, start: usize) -> Self {
        let mut piece = Self { start, firsts: Vec::new(), found: Vec::new() };
        let mut at = start;
        while at < data.bytes.len() && at - start < PIECE_LEN && piece.found.len() < PIECE_MATCHES {
            let end = data.chunk_end(at);
            while at < end {
                piece.firsts.push(narrow(piece.found.len()));
                let skip = finder.find(at, end - at, &mut piece.found);
                at += 1;
                let next = end.min(at + skip);
                piece.firsts.resize(piece.firsts.len() + next - at, narrow(piece.found.len()));
                at = next;
            }
        }
        piece.firsts.push(narrow(piece.found.len()));
        piece
    }

    fn len(&self) -> usize {
        self.firsts.len() - 1
    }

    fn matches(&self, at: usize) -> &[Match] {
        let place = at - self.start;
        &self.found[index(self.firsts[place])..index(self.firsts[place + 1])]
    }
}

/// Blocks to be written, and what is in them.
type Blocks = Vec<(Block, Vec<Token>)>;

/// Parses a piece and cuts it into blocks, in rounds; returns the blocks that take the fewest bits.
fn best_blocks(data: &Data, piece: &Piece, writer: &BlockWriter<'_>, settings: &Settings) -> Blocks {
    let mut parser = Parser::new(settings.effort.long);
    let mut best: Option<(u64, Blocks)> = None;
    for temper in settings.tempers {
        let mut costs = vec![(piece.start + piece.len(), Costs::guess(data.window, *temper))];
        for _ in 0..settings.rounds {
            let tokens = parser.parse(data, piece, &costs, writer.repeats);
            let (bits, blocks) = blocks(data.window, &tokens, &writer.lens, temper.segment_tokens);
            let mut at = piece.start;
            costs.clear();
            costs.extend(blocks.iter().map(|(block, _)| {
                at += block.len;
                (at, Costs::of(block, *temper))
            }));
            if best.as_ref().is_none_or(|(least, _)| bits < *least) {
                best = Some((bits, blocks));
            }
        }
        if piece.found.len() > FEW_MATCHES {
            break;
        }
    }
    best.expect("there was a round").1
}

/// Cuts tokens into blocks that can follow one with the `old` trees; returns how many bits they take, and them.
fn blocks(window: Window, tokens: &[Token], old: &Lens, segment_tokens: usize) -> (u64, Blocks) {
    let mut old = old.clone();
    let mut bits = 0;
    let block = |range: std::ops::Range<usize>| {
        let block = Block::choose(window, &tokens[range.clone()], &old);
        bits += block.bits;
        if let Some(lens) = block.lens() {
            old.clone_from(lens);
        }
        (block, tokens[range].to_vec())
    };
    let blocks = split::split(window, tokens, segment_tokens).into_iter().map(block).collect();
    (bits, blocks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lzx::decode;

    /// No file is known whose chunks are too long otherwise, so this is tried by itself.
    #[test]
    fn raw_streams_decode() {
        for len in [1, 2, CHUNK_LEN - 1, CHUNK_LEN, CHUNK_LEN + 1, PIECE_LEN + 3] {
            let bytes: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let data = Data { bytes: bytes.clone(), start: 0, window: Window::MIN };
            let stream = raw(&data, None).unwrap();
            assert!(decode(&stream, &[], len, Window::MIN).unwrap() == bytes, "{len}");
        }
    }
}
