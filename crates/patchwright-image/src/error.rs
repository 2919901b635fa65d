//! Why a file cannot be audited.

use std::fmt;

/// Whether the file is damaged or of a kind that is not supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageErrorKind {
    /// It is no image, or its structures contradict each other.
    Malformed,
    /// Its format or machine type is not supported.
    Unsupported,
    /// What stands beside it belongs to another build.
    Mismatch,
}

/// Why a file cannot be audited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageError {
    /// Damaged or not supported.
    pub kind: ImageErrorKind,
    /// One sentence without a full stop.
    pub message: String,
}

impl ImageError {
    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self { kind: ImageErrorKind::Malformed, message: message.into() }
    }

    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self { kind: ImageErrorKind::Unsupported, message: message.into() }
    }
}

impl ImageError {
    pub(crate) fn mismatch(message: impl Into<String>) -> Self {
        Self { kind: ImageErrorKind::Mismatch, message: message.into() }
    }
}

impl From<object::Error> for ImageError {
    fn from(error: object::Error) -> Self {
        Self::malformed(format!("not a whole PE, COFF or ELF file: {error}"))
    }
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ImageError {}
