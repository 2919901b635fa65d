//! A command that is ready to run, and what happens around it: map, audit, report.
//!
//! A compiler driver is called by build systems and by `configure`, which read its output, its exit code and its
//! standard error. So a command that needs nothing afterwards replaces this process; else its streams are its own, and
//! its exit code is passed on.

use std::ffi::OsString;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::{fs, io};

use tempfile::TempDir;

use super::options::{AuditPolicy, DriverOptions};
use super::plan::Plan;
use super::verdict::{Linked, judge};
use crate::report::{BuildAudit, BuildReport};
use crate::{Error, ErrorKind, Result};

/// A command of a driver, planned and ready to [`run`](Build::run).
#[derive(Debug)]
pub struct Build {
    pub(crate) driver: &'static str,
    pub(crate) compiler: Option<String>,
    /// Program and arguments.
    pub(crate) command: Vec<OsString>,
    /// Where in `command` the words of the compiler begin that `plan` adds.
    pub(crate) added_at: usize,
    pub(crate) plan: Plan,
    /// Whether notes are told without being asked for.
    pub(crate) chatty: bool,
    /// What the audit needs to know of the link.
    pub(crate) linked: Option<Linked>,
    /// How the linker is asked for a map.
    pub(crate) map_flag: MapFlag,
    /// Variables that the tool must not see, because their words are in `command`.
    pub(crate) hide: &'static [&'static str],
    /// Variables that the tool needs.
    pub(crate) set: Vec<(&'static str, OsString)>,
    pub(crate) options: DriverOptions,
    /// Files that the command reads and that go when it is done.
    pub(crate) scratch: Option<TempDir>,
}

/// How a linker is asked for a map, and where the words go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum MapFlag {
    #[default]
    None,
    /// `-Wl,-Map=FILE`, behind the words that the plan adds.
    Gnu,
    /// `/map:FILE` at the end, where linker options are.
    Microsoft,
}

/// What came of a command.
#[derive(Debug)]
pub struct Built {
    /// What this process exits with.
    pub exit_code: u8,
    /// What whoever reads standard error should know.
    pub warnings: Vec<String>,
    /// Everything about it.
    pub report: BuildReport,
}

impl Build {
    /// What breaks the promise, known before the command runs.
    pub fn warnings(&self) -> &[String] {
        &self.plan.warnings
    }

    /// What is good to know.
    pub fn notes(&self) -> &[String] {
        &self.plan.notes
    }

    /// Whether notes are wanted.
    pub fn is_verbose(&self) -> bool {
        self.options.verbose.unwrap_or(self.chatty)
    }

    /// What would be done.
    pub fn report(&self) -> BuildReport {
        let lossy = |words: &[OsString]| words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        BuildReport {
            schema: "patchwright.build/1",
            driver: self.driver,
            compiler: self.compiler.clone(),
            command: lossy(&self.command),
            added: lossy(&self.plan.added),
            pad: self.plan.pad,
            warnings: self.plan.warnings.clone(),
            notes: self.plan.notes.clone(),
            exit_code: None,
            audit: None,
        }
    }

    /// Runs the command. Where nothing is left to do afterwards, this process becomes the command, and the call does not
    /// return.
    ///
    /// # Errors
    /// The command cannot be started, or its result cannot be read.
    pub fn run(mut self) -> Result<Built> {
        let audited = self.linked.is_some() && self.options.audit() != AuditPolicy::Off;
        if !audited && self.options.report.is_none() && self.scratch.is_none() {
            let error = self.child().exec();
            return Err(self.cannot_start(&error));
        }
        let report = self.report();
        let map = if audited { self.ask_for_map()? } else { None };
        let status = self.child().status().map_err(|error| self.cannot_start(&error))?;
        let mut built = Built { exit_code: exit_code(status), warnings: Vec::new(), report };
        if audited && status.success() {
            self.audit(map.as_deref(), &mut built)?;
        }
        built.report.exit_code = Some(built.exit_code);
        if let Some(path) = &self.options.report {
            write_report(path, self.linked.as_ref(), &built.report)?;
        }
        Ok(built)
    }

    fn child(&self) -> Command {
        let mut words = self.command.iter();
        let mut command = Command::new(words.next().map_or_else(Default::default, Clone::clone));
        command.args(words);
        for name in self.hide {
            command.env_remove(name);
        }
        command.envs(self.set.iter().map(|(name, value)| (name, value)));
        command
    }

    fn cannot_start(&self, error: &io::Error) -> Error {
        let program = self.command.first().cloned().unwrap_or_default();
        let made = Error::io("run it", PathBuf::from(program), error);
        if error.kind() == io::ErrorKind::NotFound { made.hint("is it installed, and on PATH?") } else { made }
    }

    /// Asks the linker for a map, unless somebody did so already.
    fn ask_for_map(&mut self) -> Result<Option<PathBuf>> {
        if !self.plan.wants_map || self.map_flag == MapFlag::None {
            return Ok(self.plan.map.clone());
        }
        let folder = match self.scratch.take() {
            Some(folder) => folder,
            None => scratch()?,
        };
        let path = folder.path().join("link.map");
        self.scratch = Some(folder);
        match self.map_flag {
            MapFlag::Gnu => {
                let at = self.command.len().min(self.added_at + self.plan.added.len());
                let mut word = OsString::from("-Wl,-Map=");
                word.push(&path);
                self.command.insert(at, word);
            }
            MapFlag::Microsoft => {
                let mut word = OsString::from("/map:");
                word.push(&path);
                self.command.push(word);
            }
            MapFlag::None => {}
        }
        Ok(Some(path))
    }

    fn audit(&self, map: Option<&Path>, built: &mut Built) -> Result<()> {
        let Some(linked) = &self.linked else { return Ok(()) };
        let linked = Linked { map: map.map(Path::to_owned), ..linked.clone() };
        let Some(audit) = judge(&linked)? else { return Ok(()) };
        let strict = self.options.audit() == AuditPolicy::Error;
        let image = audit.image.clone();
        let failed = audit.counts.missed > 0 || audit.unaudited.is_some();
        if audit.counts.missed > 0 {
            built.warnings.push(missed(&audit));
        }
        match &audit.unaudited {
            Some(why) if strict || self.is_verbose() => {
                built.warnings.push(format!("{} was not audited: {why}", image.display()));
            }
            _ => {}
        }
        built.report.audit = Some(audit);
        if strict && failed {
            // As a linker leaves nothing behind when it fails: the next build would take it for done.
            fs::remove_file(&image)
                .map_err(|error| Error::io("remove the image that failed the audit", &image, &error))?;
            built.exit_code = ErrorKind::No.exit_code();
        }
        Ok(())
    }
}

/// A folder that goes with the process.
pub(crate) fn scratch() -> Result<TempDir> {
    tempfile::Builder::new()
        .prefix("patchwright-")
        .tempdir()
        .map_err(|error| Error::io("make a folder for temporary files", std::env::temp_dir(), &error))
}

/// As a shell says it: 128 and the signal, of a process that one killed.
fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

/// Functions named per object, before the rest is only counted.
const NAMED: usize = 3;
/// Objects named, before the rest is only counted.
const OBJECTS: usize = 10;

/// The warning for functions that missed out: objects, why, functions with the rules that they break, remedy.
fn missed(audit: &BuildAudit) -> String {
    let number = |number: usize, one: &str, many: &str| format!("{number} {}", if number == 1 { one } else { many });
    let functions = number(audit.counts.missed, "function is", "functions are");
    let mut text = format!("{}: {functions} not hot-patchable", audit.image.display());
    for object in audit.objects.iter().take(OBJECTS) {
        text += &format!("\n{}: {}", object.object, object.why);
        for function in object.functions.iter().take(NAMED) {
            text += &format!("\n  {}: {}", function.name, function.reasons.join("; "));
        }
        if let Some(more) = object.functions.len().checked_sub(NAMED).filter(|more| *more > 0) {
            text += &format!("\n  and {}", number(more, "more function", "more functions"));
        }
        text += &format!("\n  remedy: {}", object.remedy);
    }
    if let Some(more) = audit.objects.len().checked_sub(OBJECTS).filter(|more| *more > 0) {
        text += &format!("\nand {}", number(more, "more object", "more objects"));
    }
    text
}

/// Writes the report; below a folder under the name of the image.
fn write_report(path: &Path, linked: Option<&Linked>, report: &BuildReport) -> Result<()> {
    let path = match linked.and_then(|linked| linked.image.file_name()) {
        Some(image) if path.is_dir() => {
            let mut name = image.to_owned();
            name.push(".json");
            path.join(name)
        }
        // A folder collects what was linked.
        None if path.is_dir() => return Ok(()),
        _ => path.to_owned(),
    };
    let mut text = serde_json::to_string_pretty(report).map_err(|error| Error::bug(format!("the report: {error}")))?;
    text.push('\n');
    crate::atomic::write_atomically(&path, None, |out| {
        io::Write::write_all(out, text.as_bytes()).map_err(|error| Error::io("write the report", &path, &error))
    })
}
