//! What can be wrong with a body, or go wrong while one is read.

use std::{error::Error, fmt, io};

/// Why a body cannot be applied or described. Offsets count from the start of the body.
#[derive(Debug)]
pub enum ApplyError {
    /// The body breaks a rule of its format.
    Malformed {
        /// The part of the body at fault.
        structure: &'static str,
        /// Where that part stands.
        offset: u64,
        /// Which rule is broken.
        what: &'static str,
    },
    /// The body uses something that this release does not know.
    Unsupported {
        /// The part of the body at fault.
        structure: &'static str,
        /// Where that part stands.
        offset: u64,
        /// What is unknown.
        what: &'static str,
        /// Its number in the body.
        value: u64,
    },
    /// Decoding would take more memory than the format allows.
    TooLarge {
        /// The part of the body at fault.
        structure: &'static str,
        /// Where that part stands.
        offset: u64,
        /// The bytes asked for.
        need: u64,
        /// The bytes allowed.
        limit: u64,
    },
    /// The body was made for an old file of another length.
    OldLength {
        /// The length that the body states.
        stated: u64,
        /// The length of the old file given.
        actual: u64,
    },
    /// The body makes a new file of another length than the caller expects.
    NewLength {
        /// The length that the body states.
        stated: u64,
        /// The length that the caller expects.
        expected: u64,
    },
    /// The body cannot be read.
    BodyRead(io::Error),
    /// The old file cannot be read.
    OldRead(io::Error),
    /// The new file cannot be written: the error of the caller's sink, unchanged.
    Sink(io::Error),
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { structure, offset, what } => {
                write!(f, "the delta body is malformed: {structure} at offset {offset}: {what}")
            }
            Self::Unsupported { structure, offset, what, value } => {
                write!(f, "the delta body needs a newer release: {structure} at offset {offset}: {what} {value}")
            }
            Self::TooLarge { structure, offset, need, limit } => write!(
                f,
                "the delta body asks for too much memory: {structure} at offset {offset}: {need} bytes, at most {limit} are allowed"
            ),
            Self::OldLength { stated, actual } => {
                write!(f, "the delta body is for an old file of {stated} bytes, this one has {actual}")
            }
            Self::NewLength { stated, expected } => {
                write!(f, "the delta body makes a file of {stated} bytes, {expected} are expected")
            }
            Self::BodyRead(error) => write!(f, "the delta body cannot be read: {error}"),
            Self::OldRead(error) => write!(f, "the old file cannot be read: {error}"),
            Self::Sink(error) => write!(f, "the new file cannot be written: {error}"),
        }
    }
}

impl Error for ApplyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::BodyRead(error) | Self::OldRead(error) | Self::Sink(error) => Some(error),
            _ => None,
        }
    }
}
