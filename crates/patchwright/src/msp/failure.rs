//! Why a patch was not built: an error for people, and the code that PATCHWIZ has for it.

use std::io;
use std::path::Path;

use patchwright_msi::check::{Finding, Severity};
use patchwright_msi::code::Code;

use crate::error::{Error, ErrorKind};

/// Codes of failures that are no findings: `ERROR_PCW_…`.
pub(super) mod pcw {
    use patchwright_msi::code::Code;

    macro_rules! codes {
        ($($name:ident $offset:literal)*) => {
            $(pub(crate) const $name: Code =
                Code { number: 0xC00E_5101 + $offset, name: concat!("ERROR_PCW_", stringify!($name)) };)*
        };
    }

    codes! {
        PCP_DOESNT_EXIST 0x00
        PCP_BAD_FORMAT 0x01
        CANT_CREATE_TEMP_FOLDER 0x02
        MISSING_PATCH_PATH 0x03
        NO_UPGRADED_IMAGES_TO_PATCH 0x0a
        CANT_OVERWRITE_PATCH 0x04
        CANT_CREATE_PATCH_FILE 0x05
        CANT_CREATE_ONE_PATCH_FILE 0x3b
        CANNOT_RUN_MAKECAB 0x45
        CANT_GENERATE_TRANSFORM 0x72
        CANT_GENERATE_TRANSFORM_POUND 0x74
        INVALID_PARAMETER 0x93
        CREATEFILE_LOG_FAILED 0x94
        INVALID_LOG_LEVEL 0x95
        INVALID_UI_LEVEL 0x96
        ERROR_WRITING_TO_LOG 0x97
        INTERNAL_ERROR 0x100
        CANT_DELETE_TEMP_FOLDER 0x105
        CANT_READ_FILE 0x109
    }
}

/// Why there is no patch.
#[derive(Debug)]
pub(super) struct Failure {
    /// What PATCHWIZ would return.
    pub(super) code: Code,
    /// What people are told.
    pub(super) error: Error,
    /// Everything that stood against it, where that is what stopped it.
    pub(super) findings: Vec<Finding>,
}

pub(super) type Result<T, E = Failure> = std::result::Result<T, E>;

/// Gives an error its code.
pub(super) trait Coded<T> {
    fn code(self, code: Code) -> Result<T>;
}

impl<T> Coded<T> for crate::error::Result<T> {
    fn code(self, code: Code) -> Result<T> {
        self.map_err(|error| Failure { code, error, findings: Vec::new() })
    }
}

impl Failure {
    pub(super) fn new(code: Code, error: Error) -> Self {
        Self { code, error, findings: Vec::new() }
    }

    /// Reading or writing failed.
    pub(super) fn io(code: Code, doing: &str, path: impl AsRef<Path>, error: &io::Error) -> Self {
        Self::new(code, Error::io(doing, path, error))
    }

    /// All that stands against a patch; the first error gives the code.
    pub(super) fn findings(findings: Vec<Finding>, pcp: &Path) -> Self {
        let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
        let lines: Vec<String> = errors.clone().map(line).collect();
        let code = errors.map(|finding| finding.code).next().unwrap_or(pcw::INTERNAL_ERROR);
        let what = match lines.len() {
            1 => "the patch cannot be built: 1 error".to_owned(),
            count => format!("the patch cannot be built: {count} errors"),
        };
        let error = Error::new(ErrorKind::Malformed, what).at(pcp).details(lines);
        Self { code, error: error.hint("`patchwright pcp check` lists them with what to do about each"), findings }
    }
}

/// A finding on one line.
pub(super) fn line(finding: &Finding) -> String {
    let row = finding.row.as_ref().map(|row| format!(" [{row}]")).unwrap_or_default();
    let column = finding.column.map(|column| format!(".{column}")).unwrap_or_default();
    let Finding { table, message, code, hint, .. } = finding;
    format!("{table}{row}{column}: {message}: {hint} ({}, 0x{:08X})", code.name, code.number)
}
