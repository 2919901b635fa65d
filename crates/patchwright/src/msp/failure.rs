//! Why a patch was not built: an error for people, and the code that PATCHWIZ has for it.

use std::io;
use std::path::Path;

use patchwright_msi::check::{Finding, Severity};
use patchwright_msi::code::Code;

use crate::error::{Error, ErrorKind};

/// The codes.
pub(super) use patchwright_msi::code as pcw;

/// Why there is no patch.
#[derive(Debug)]
pub(super) struct Failure {
    /// What PATCHWIZ would return.
    pub(super) code: Code,
    /// What people are told.
    pub(super) error: Box<Error>,
}

pub(super) type Result<T, E = Failure> = std::result::Result<T, E>;

/// Gives an error its code.
pub(super) trait Coded<T> {
    fn code(self, code: Code) -> Result<T>;
}

impl<T> Coded<T> for crate::error::Result<T> {
    fn code(self, code: Code) -> Result<T> {
        self.map_err(|error| Failure::new(code, error))
    }
}

impl Failure {
    pub(super) fn new(code: Code, error: Error) -> Self {
        Self { code, error: Box::new(error) }
    }

    /// Reading or writing failed.
    pub(super) fn io(code: Code, doing: &str, path: impl AsRef<Path>, error: &io::Error) -> Self {
        Self::new(code, Error::io(doing, path, error))
    }

    /// All that stands against a patch; the first error gives the code.
    pub(super) fn findings(findings: &[Finding], pcp: &Path) -> Self {
        let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
        let lines: Vec<String> = errors.clone().map(line).collect();
        let code = errors.map(|finding| finding.code).next().unwrap_or(pcw::INTERNAL_ERROR);
        let what = match lines.len() {
            1 => "the patch cannot be built: 1 error".to_owned(),
            count => format!("the patch cannot be built: {count} errors"),
        };
        let error = Error::new(ErrorKind::Malformed, what).at(pcp).details(lines);
        Self::new(code, error.hint("`patchwright pcp check` lists them with what to do about each"))
    }
}

/// A finding on one line.
pub(super) fn line(finding: &Finding) -> String {
    let row = finding.row.as_ref().map(|row| format!(" [{row}]")).unwrap_or_default();
    let column = finding.column.map(|column| format!(".{column}")).unwrap_or_default();
    let Finding { table, message, code, hint, .. } = finding;
    let details: String = finding.details.iter().map(|detail| format!("\n    {detail}")).collect();
    format!("{table}{row}{column}: {message}: {hint} ({}, 0x{:08X}){details}", code.name, code.number)
}
