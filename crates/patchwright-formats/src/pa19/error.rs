//! What the patch API answers when it does not do as asked, and where in the file the reason lies.

use std::fmt;

/// The codes of the patch API that we use, with the values that its header gives them.
///
/// The Win32 codes among them are what the genuine creator answers in the same case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum PatchCode {
    /// A parameter that cannot be: range outside its file, too many old files, unknown options.
    InvalidParameter = 87,
    /// A file of 4 GiB or more.
    FileTooLarge = 223,
    /// The creator could not make what it should; a bug.
    EncodeFailure = 0xC00E_3101,
    /// Options that contradict each other.
    InvalidOptions = 0xC00E_3102,
    /// The old file is the new file already, and the caller wanted to be told.
    SameFile = 0xC00E_3103,
    /// The old files do not retain the same places of the new file.
    RetainRangesDiffer = 0xC00E_3104,
    /// The patch is no smaller than the new file, compressed.
    BiggerThanCompressed = 0xC00E_3105,
    /// The compressed stream cannot be decoded, or the old image cannot be prepared for it.
    DecodeFailure = 0xC00E_4101,
    /// The patch is damaged, or what it makes is not what it promises.
    Corrupt = 0xC00E_4102,
    /// The patch uses what a later version of the format may define.
    NewerFormat = 0xC00E_4103,
    /// The patch was not made for this old file.
    WrongFile = 0xC00E_4104,
    /// The old file is the new file already, and the caller wanted to be told.
    NotNecessary = 0xC00E_4105,
    /// The patch is a header only; the stream for this old file is not in it.
    NotAvailable = 0xC00E_4106,
}

impl PatchCode {
    /// Every code, in ascending order.
    pub const ALL: [Self; 13] = [
        Self::InvalidParameter,
        Self::FileTooLarge,
        Self::EncodeFailure,
        Self::InvalidOptions,
        Self::SameFile,
        Self::RetainRangesDiffer,
        Self::BiggerThanCompressed,
        Self::DecodeFailure,
        Self::Corrupt,
        Self::NewerFormat,
        Self::WrongFile,
        Self::NotNecessary,
        Self::NotAvailable,
    ];

    /// The number that `GetLastError` returns for it.
    pub const fn value(self) -> u32 {
        self as u32
    }

    /// The name in the Windows headers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidParameter => "ERROR_INVALID_PARAMETER",
            Self::FileTooLarge => "ERROR_FILE_TOO_LARGE",
            Self::EncodeFailure => "ERROR_PATCH_ENCODE_FAILURE",
            Self::InvalidOptions => "ERROR_PATCH_INVALID_OPTIONS",
            Self::SameFile => "ERROR_PATCH_SAME_FILE",
            Self::RetainRangesDiffer => "ERROR_PATCH_RETAIN_RANGES_DIFFER",
            Self::BiggerThanCompressed => "ERROR_PATCH_BIGGER_THAN_COMPRESSED",
            Self::DecodeFailure => "ERROR_PATCH_DECODE_FAILURE",
            Self::Corrupt => "ERROR_PATCH_CORRUPT",
            Self::NewerFormat => "ERROR_PATCH_NEWER_FORMAT",
            Self::WrongFile => "ERROR_PATCH_WRONG_FILE",
            Self::NotNecessary => "ERROR_PATCH_NOT_NECESSARY",
            Self::NotAvailable => "ERROR_PATCH_NOT_AVAILABLE",
        }
    }

    /// The exit code of the command line for it, as `docs/exit-codes.md` defines them.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::SameFile | Self::BiggerThanCompressed | Self::NotNecessary => 1,
            Self::InvalidParameter | Self::InvalidOptions | Self::RetainRangesDiffer => 2,
            Self::FileTooLarge | Self::DecodeFailure | Self::Corrupt | Self::NewerFormat | Self::NotAvailable => 3,
            Self::WrongFile => 4,
            Self::EncodeFailure => 70,
        }
    }
}

impl fmt::Display for PatchCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (0x{:08X})", self.name(), self.value())
    }
}

/// Why a PA19 patch was not read, applied or made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pa19Error {
    /// What the patch API would answer.
    pub code: PatchCode,
    /// The structure at fault, as `docs/formats/pa19.md` names it.
    pub structure: &'static str,
    /// Where the fault lies: in the patch for its structures, in the image for those of an image.
    pub offset: u64,
    /// What is wrong.
    pub what: String,
}

impl Pa19Error {
    pub(crate) fn new(code: PatchCode, structure: &'static str, offset: u64, what: impl Into<String>) -> Self {
        Self { code, structure, offset, what: what.into() }
    }

    pub(crate) fn corrupt(structure: &'static str, offset: u64, what: impl Into<String>) -> Self {
        Self::new(PatchCode::Corrupt, structure, offset, what)
    }
}

impl fmt::Display for Pa19Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at offset {:#x}: {}: {}", self.structure, self.offset, self.what, self.code)
    }
}

impl std::error::Error for Pa19Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_distinct_values_and_names() {
        for (i, code) in PatchCode::ALL.iter().enumerate() {
            for later in &PatchCode::ALL[i + 1..] {
                assert!(code.value() < later.value());
                assert_ne!(code.name(), later.name());
            }
        }
        assert_eq!(PatchCode::WrongFile.to_string(), "ERROR_PATCH_WRONG_FILE (0xC00E4104)");
    }
}
