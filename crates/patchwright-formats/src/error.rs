//! What can be wrong with bytes that claim to be one of our structures.

use std::fmt;
use std::io;

/// A file that is not what its structure demands, or that could not be read.
#[derive(Debug)]
pub struct FormatError {
    /// The structure being read, as `docs/formats` names it.
    pub structure: &'static str,
    /// Where in the file, or in the decompressed structure where that is what was read, the fault lies.
    pub offset: u64,
    /// What is wrong.
    pub kind: FormatErrorKind,
}

/// The sort of fault in a [`FormatError`].
#[derive(Debug)]
pub enum FormatErrorKind {
    /// The file does not begin with our magic number.
    NotOurs,
    /// The structure goes on where the bytes end.
    Truncated,
    /// A value that the format forbids.
    Malformed(String),
    /// A value that a later version may define.
    Unsupported(String),
    /// More than the format's limit.
    TooLarge {
        /// What is counted.
        what: &'static str,
        /// The value found.
        found: u64,
        /// The largest value allowed.
        limit: u64,
    },
    /// The bytes do not have the hash that is recorded for them.
    HashMismatch,
    /// The file could not be read.
    Io(io::Error),
}

impl FormatError {
    pub(crate) fn new(structure: &'static str, offset: u64, kind: FormatErrorKind) -> Self {
        Self { structure, offset, kind }
    }

    pub(crate) fn malformed(structure: &'static str, offset: u64, what: impl Into<String>) -> Self {
        Self::new(structure, offset, FormatErrorKind::Malformed(what.into()))
    }

    pub(crate) fn unsupported(structure: &'static str, offset: u64, what: impl Into<String>) -> Self {
        Self::new(structure, offset, FormatErrorKind::Unsupported(what.into()))
    }

    /// Turns a read error at `offset` into a fault of `structure`; an early end is a truncated structure.
    pub(crate) fn io(structure: &'static str, offset: u64, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::new(structure, offset, FormatErrorKind::Truncated),
            _ => Self::new(structure, offset, FormatErrorKind::Io(error)),
        }
    }
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { structure, offset, kind } = self;
        match kind {
            FormatErrorKind::NotOurs => write!(f, "not a patch: no magic number at offset {offset:#x}"),
            FormatErrorKind::Truncated => write!(f, "{structure} at offset {offset:#x}: the file ends inside it"),
            FormatErrorKind::Malformed(what) => write!(f, "{structure} at offset {offset:#x}: {what}"),
            FormatErrorKind::Unsupported(what) => {
                write!(f, "{structure} at offset {offset:#x}: {what} is not supported by this version")
            }
            FormatErrorKind::TooLarge { what, found, limit } => {
                write!(f, "{structure} at offset {offset:#x}: {what} is {found}, the limit is {limit}")
            }
            FormatErrorKind::HashMismatch => {
                write!(f, "{structure} at offset {offset:#x}: the bytes do not match their recorded hash")
            }
            FormatErrorKind::Io(error) => write!(f, "{structure} at offset {offset:#x}: {error}"),
        }
    }
}

impl std::error::Error for FormatError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            FormatErrorKind::Io(error) => Some(error),
            _ => None,
        }
    }
}
