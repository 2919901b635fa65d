//! What can be wrong with a file that claims to be a database or a text archive.

use std::fmt;
use std::io;

/// A fault, and the structure that it is in.
#[derive(Debug)]
pub struct MsiError {
    /// The stream, table or file being read: `string pool`, `table Properties`, `Properties.idt, line 4`.
    pub structure: String,
    /// What is wrong.
    pub kind: MsiErrorKind,
}

/// The sort of fault in a [`MsiError`].
#[derive(Debug)]
pub enum MsiErrorKind {
    /// The file is no compound file, or one without tables.
    NotADatabase(String),
    /// The structure goes on where the bytes end.
    Truncated,
    /// A value that the format forbids.
    Malformed(String),
    /// A value that we do not know how to read or write.
    Unsupported(String),
    /// The file could not be read or written.
    Io(io::Error),
}

/// What this crate returns.
pub type Result<T, E = MsiError> = std::result::Result<T, E>;

impl MsiError {
    pub(crate) fn new(structure: impl Into<String>, kind: MsiErrorKind) -> Self {
        Self { structure: structure.into(), kind }
    }

    pub(crate) fn malformed(structure: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(structure, MsiErrorKind::Malformed(what.into()))
    }

    pub(crate) fn unsupported(structure: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(structure, MsiErrorKind::Unsupported(what.into()))
    }

    /// Sorts an error of the compound file: what is wrong with the bytes is malformed, the rest is I/O.
    pub(crate) fn io(structure: impl Into<String>, error: io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::UnexpectedEof => MsiErrorKind::Truncated,
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::NotFound => {
                MsiErrorKind::Malformed(error.to_string())
            }
            _ => MsiErrorKind::Io(error),
        };
        Self::new(structure, kind)
    }
}

impl fmt::Display for MsiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { structure, kind } = self;
        match kind {
            MsiErrorKind::NotADatabase(why) => write!(f, "not a Windows Installer database: {why}"),
            MsiErrorKind::Truncated => write!(f, "{structure}: the bytes end inside it"),
            MsiErrorKind::Malformed(what) => write!(f, "{structure}: {what}"),
            MsiErrorKind::Unsupported(what) => write!(f, "{structure}: {what} is not supported by this version"),
            MsiErrorKind::Io(error) => write!(f, "{structure}: {error}"),
        }
    }
}

impl std::error::Error for MsiError {}
