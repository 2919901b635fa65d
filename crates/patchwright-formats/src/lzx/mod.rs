//! LZX DELTA, the compression inside PA19 patches, as `docs/formats/lzx-delta.md` describes it.
//!
//! A stream makes one new file out of a reference (the old file, normalised and with its ranges zeroed) and itself.
//! It is a row of chunks, each of which makes 32768 bytes; blocks with Huffman trees of their own, or of raw bytes, run
//! through the chunks independently of where these begin.
//!
//! Written from the public specification \[MS-PATCH\] and from observation of the genuine creator's output.
//!
//! | module | what |
//! |---|---|
//! | [`decode`](mod@decode) | stream and reference to new file; every rule is checked |
//! | [`cabinet`] | the same family as cabinets have it, chunk by chunk |
//! | [`encode`](mod@encode) | reference and new file to stream |
//! | `slots` | windows, and how a distance is split into a slot and a footer |
//! | `huffman` | canonical codes: tables for decoding, optimal lengths for encoding |
//! | `bits` | bits in 16-bit words within chunks |
//! | `e8` | the translation of x86 call targets |

mod bits;
pub mod cabinet;
pub mod decode;
mod e8;
pub mod encode;
mod error;
mod huffman;
mod slots;

pub use decode::{decode, decode_prefix, decode_with};
pub use encode::{E8, EncodeOptions, Level, encode};
pub use error::{LzxError, LzxErrorKind};
pub use slots::Window;

/// How much of the new file one chunk makes; the last one makes the rest.
pub const CHUNK_LEN: usize = 32768;

/// Literals, which come first among the main symbols.
const LITERALS: usize = 256;
/// Symbols of the length tree.
const LENGTH_SYMBOLS: usize = 249;
/// Symbols of the aligned offset tree.
const ALIGNED_SYMBOLS: usize = 8;
/// Symbols of the tree that codes the lengths of the other trees.
const PRETREE_SYMBOLS: usize = 20;

/// The shortest match.
const MIN_MATCH: usize = 2;
/// The first match length that the length tree codes; shorter ones are part of the main symbol.
const FIRST_TREE_LENGTH: usize = 9;
/// The first match length with an extension after it.
const FIRST_EXTENDED_LENGTH: usize = 257;

/// What the three bits at the start of a block say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BlockType {
    Verbatim = 1,
    Aligned = 2,
    Uncompressed = 3,
}

/// The bits that extend a match of 257: how they begin, how many follow, what to add.
struct LengthExtension {
    prefix: u32,
    prefix_bits: u32,
    value_bits: u32,
    base: u32,
}

/// All forms of extension, shortest first. The last one reaches every length that a chunk can hold.
const LENGTH_EXTENSIONS: [LengthExtension; 4] = [
    LengthExtension { prefix: 0b0, prefix_bits: 1, value_bits: 8, base: 0 },
    LengthExtension { prefix: 0b10, prefix_bits: 2, value_bits: 10, base: 0x100 },
    LengthExtension { prefix: 0b110, prefix_bits: 3, value_bits: 12, base: 0x500 },
    LengthExtension { prefix: 0b111, prefix_bits: 3, value_bits: 15, base: 0 },
];

/// The reference as far as a window reaches: its head.
fn reference_in(window: Window, reference: &[u8]) -> &[u8] {
    &reference[..reference.len().min(window.len_bytes())]
}
