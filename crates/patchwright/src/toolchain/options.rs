//! What whoever calls a driver may choose: on the command line, or in the environment where a build system hides it.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use super::plan::Choices;
use super::recipe::LARGEST_PAD;
use crate::{Error, ErrorKind, Result};

/// What happens when a linked image has functions that are not hot-patchable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuditPolicy {
    /// Nobody looks.
    Off,
    /// They are named on standard error.
    #[default]
    Warn,
    /// They are named, the image is removed, and the exit code is 1.
    Error,
}

/// Choices of the drivers [`cc`](super::cc()), [`cl`](super::cl()) and [`link`](super::link()).
#[derive(Clone, Debug, Default)]
pub struct DriverOptions {
    /// Bytes of pad before each entry; by default 5 on x86, 6 on x64, 16 on ARM64.
    pub pad: Option<usize>,
    /// What to do with functions that missed out.
    pub audit: Option<AuditPolicy>,
    /// Whether relocations stay in ELF images, which hot patches are made from; they do by default.
    pub emit_relocs: Option<bool>,
    /// `cc`: whether objects and static libraries that others made are prepared at the link.
    pub prepare: Option<bool>,
    /// A file or folder for the report as JSON.
    pub report: Option<PathBuf>,
    /// `cl` and `link`: the tool to run.
    pub tool: Option<PathBuf>,
    /// Tell what is good to know as well.
    pub verbose: Option<bool>,
}

impl DriverOptions {
    /// Fills what is left open with what the environment says: `PATCHWRIGHT_PAD`, `PATCHWRIGHT_AUDIT` (`off`, `warn`,
    /// `error`), `PATCHWRIGHT_EMIT_RELOCS` (`0`, `1`), `PATCHWRIGHT_PREPARE` (`0`, `1`), `PATCHWRIGHT_REPORT`, `PATCHWRIGHT_VERBOSE` (`0`, `1`).
    ///
    /// # Errors
    /// A variable holds something else.
    pub fn or_environment(self) -> Result<Self> {
        self.or_variables(|name| env::var_os(name).filter(|value| !value.is_empty()))
    }

    fn or_variables(self, get: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let parsed =
            |name: &'static str, expect: &str| Ok::<_, Error>(get(name).map(|value| (name, value, expect.to_owned())));
        let pad = match self.pad {
            Some(pad) => Some(pad),
            None => parse(parsed("PATCHWRIGHT_PAD", &format!("a number of bytes up to {LARGEST_PAD}"))?, |text| {
                text.parse().ok().filter(|pad| *pad <= LARGEST_PAD)
            })?,
        };
        let audit = match self.audit {
            Some(audit) => Some(audit),
            None => parse(parsed("PATCHWRIGHT_AUDIT", "off, warn or error")?, |text| match text {
                "off" => Some(AuditPolicy::Off),
                "warn" => Some(AuditPolicy::Warn),
                "error" => Some(AuditPolicy::Error),
                _ => None,
            })?,
        };
        let switch = |set: Option<bool>, name| match set {
            Some(set) => Ok(Some(set)),
            None => parse(parsed(name, "0 or 1")?, |text| match text {
                "0" => Some(false),
                "1" => Some(true),
                _ => None,
            }),
        };
        Ok(Self {
            pad,
            audit,
            emit_relocs: switch(self.emit_relocs, "PATCHWRIGHT_EMIT_RELOCS")?,
            prepare: switch(self.prepare, "PATCHWRIGHT_PREPARE")?,
            report: self.report.or_else(|| get("PATCHWRIGHT_REPORT").map(PathBuf::from)),
            tool: self.tool,
            verbose: switch(self.verbose, "PATCHWRIGHT_VERBOSE")?,
        })
    }

    pub(crate) fn audit(&self) -> AuditPolicy {
        self.audit.unwrap_or_default()
    }

    pub(crate) fn choices(&self) -> Choices {
        Choices { pad: self.pad, emit_relocs: self.emit_relocs.unwrap_or(true) }
    }
}

fn parse<T>(found: Option<(&str, OsString, String)>, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>> {
    let Some((name, value, expect)) = found else { return Ok(None) };
    match value.to_str().and_then(read) {
        Some(value) => Ok(Some(value)),
        None => {
            let message = format!("the environment variable {name} is '{}'", value.to_string_lossy());
            Err(Error::new(ErrorKind::Usage, message).hint(format!("it must be {expect}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: DriverOptions, variables: &[(&str, &str)]) -> Result<DriverOptions> {
        options.or_variables(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()))
    }

    #[test]
    fn the_environment_fills_what_is_open() {
        let set = [("PATCHWRIGHT_PAD", "14"), ("PATCHWRIGHT_AUDIT", "error"), ("PATCHWRIGHT_EMIT_RELOCS", "0")];
        let found = read(DriverOptions::default(), &set).unwrap();
        assert_eq!((found.pad, found.audit(), found.choices().emit_relocs), (Some(14), AuditPolicy::Error, false));
        let typed = DriverOptions {
            pad: Some(6),
            audit: Some(AuditPolicy::Off),
            emit_relocs: Some(true),
            ..DriverOptions::default()
        };
        let found = read(typed, &set).unwrap();
        assert_eq!((found.pad, found.audit(), found.choices().emit_relocs), (Some(6), AuditPolicy::Off, true));
        let plain = read(DriverOptions::default(), &[]).unwrap();
        assert_eq!((plain.pad, plain.audit(), plain.choices().emit_relocs), (None, AuditPolicy::Warn, true));
    }

    #[test]
    fn what_a_variable_cannot_be_is_told() {
        for (name, value) in [
            ("PATCHWRIGHT_PAD", "six"),
            ("PATCHWRIGHT_PAD", "121"),
            ("PATCHWRIGHT_AUDIT", "yes"),
            ("PATCHWRIGHT_EMIT_RELOCS", "true"),
            ("PATCHWRIGHT_PREPARE", "yes"),
            ("PATCHWRIGHT_VERBOSE", "2"),
        ] {
            let error = read(DriverOptions::default(), &[(name, value)]).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Usage);
            assert!(error.message.contains(name) && error.message.contains(value), "{error}");
        }
    }
}
