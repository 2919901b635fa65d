//! What can be wrong with a stream, and where.

use std::fmt;

/// A stream that breaks a rule, or a request that cannot be a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LzxError {
    /// What is wrong.
    pub kind: LzxErrorKind,
    /// The structure at fault, as `docs/formats/lzx-delta.md` names it.
    pub structure: &'static str,
    /// Where in the stream reading stood, in bytes; bits are read in words of two bytes.
    pub offset: usize,
    /// How many bytes of the new file had been made.
    pub produced: usize,
}

/// The sort of fault in an [`LzxError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LzxErrorKind {
    /// The structure goes on where its chunk, or the stream, ends.
    Truncated,
    /// The chunk holds more than its 32768 bytes need.
    ChunkTooLong {
        /// How many bytes are left over.
        left: usize,
    },
    /// Bits or bytes of padding that are not zero.
    Padding,
    /// A block type other than verbatim, aligned and uncompressed.
    BlockType(u32),
    /// A block of no bytes, or of more than the new file has room for.
    BlockLen {
        /// The length that the block states.
        stated: usize,
        /// What is left of the new file.
        room: usize,
    },
    /// The code lengths do not make a complete prefix code.
    IncompleteTree,
    /// A run of code lengths reaches beyond the end of its tree, or repeats what cannot be repeated.
    Run,
    /// A match of a length that has no code in this block.
    NoLengthTree,
    /// A match that reaches across the end of its block or chunk.
    MatchLen {
        /// The length of the match.
        len: usize,
        /// What is left of the block or chunk.
        room: usize,
    },
    /// A match from before all data, or from beyond the window.
    Distance {
        /// How far back the match begins.
        distance: u32,
        /// How far back it may begin.
        limit: u32,
    },
    /// Bytes follow the last chunk.
    Trailing {
        /// How many.
        left: usize,
    },
    /// The caller asked to stop.
    Cancelled,
    /// The new file is too large for a translation of calls, or for a stream at all.
    TooLarge,
}

impl fmt::Display for LzxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, structure, offset, produced } = self;
        write!(f, "{structure} at stream offset {offset:#x}, output offset {produced:#x}: ")?;
        match kind {
            LzxErrorKind::Truncated => write!(f, "the data ends inside it"),
            LzxErrorKind::ChunkTooLong { left } => write!(f, "{left} bytes are left over"),
            LzxErrorKind::Padding => write!(f, "padding is not zero"),
            LzxErrorKind::BlockType(found) => write!(f, "no such block type: {found}"),
            LzxErrorKind::BlockLen { stated, room } => write!(f, "a block of {stated} bytes where {room} are left"),
            LzxErrorKind::IncompleteTree => write!(f, "the code lengths do not make a complete code"),
            LzxErrorKind::Run => write!(f, "a run of code lengths does not fit"),
            LzxErrorKind::NoLengthTree => write!(f, "the block has no codes for lengths above 8"),
            LzxErrorKind::MatchLen { len, room } => write!(f, "a match of {len} bytes where {room} are left"),
            LzxErrorKind::Distance { distance, limit } => {
                write!(f, "a match from {distance} bytes back, {limit} at most are there")
            }
            LzxErrorKind::Trailing { left } => write!(f, "{left} bytes follow"),
            LzxErrorKind::Cancelled => write!(f, "cancelled"),
            LzxErrorKind::TooLarge => write!(f, "the file is too large"),
        }
    }
}

impl std::error::Error for LzxError {}
