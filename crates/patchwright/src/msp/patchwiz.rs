//! The entry point of PATCHWIZ.DLL: its parameters, its log, its results.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::failure::{Failure, pcw};
use super::log::{BuildLog, LogLevel};
use super::{BuildOptions, MspBuildReport, build};
use crate::error::{Error, ErrorKind};
use crate::progress::Progress;

/// No log.
pub const LOGNONE: u32 = 0x0000;
/// The log tells what is done.
pub const LOGINFO: u32 = 0x0001;
/// The log has warnings.
pub const LOGWARN: u32 = 0x0002;
/// The log has errors.
pub const LOGERR: u32 = 0x0004;
/// The log says how long each phase took.
pub const LOGPERFMESSAGES: u32 = 0x0008;
/// The log has all of that.
pub const LOGALL: u32 = 0x000F;
/// Nothing is shown.
pub const UINONE: u32 = 0x0000;
/// Progress is shown.
pub const UIALL: u32 = 0x8000;

/// The parameters of `UiCreatePatchPackageEx`.
#[derive(Clone, Debug, Default)]
pub struct PatchPackage {
    /// `szPcpPath`
    pub pcp_path: PathBuf,
    /// `szPatchPath`; nothing or an empty path: `PatchOutputPath`.
    pub patch_path: Option<PathBuf>,
    /// `szLogPath`; the log goes to the end of the file.
    pub log_path: Option<PathBuf>,
    /// `szTempFolder`
    pub temp_folder: Option<PathBuf>,
    /// `fRemoveTempFolderIfPresent`; if not, a folder that is there already is an error. Nothing in a folder that others made
    /// is removed, whatever this says: the work is then done in a new one inside it.
    pub remove_temp_folder_if_present: bool,
    /// `dwFlags`: `LOG…` and `UI…`.
    pub flags: u32,
    /// `dwReserved`: 0.
    pub reserved: u32,
}

/// Why there is no patch, with the code that PATCHWIZ returns.
#[derive(Debug)]
pub struct PatchPackageError {
    /// The number.
    pub code: u32,
    /// Its name: `ERROR_PCW_…`.
    pub name: &'static str,
    /// What people are told.
    pub error: Box<Error>,
}

impl PatchPackageError {
    /// The error, its message with the code at its end.
    pub fn into_error(self) -> Error {
        let mut error = *self.error;
        error.message = format!("{}: {} (0x{:08X})", error.message, self.name, self.code);
        error
    }
}

/// What `UiCreatePatchPackageEx` does: `Ok` is `ERROR_SUCCESS`.
///
/// `options` has what that function does not know, such as where Windows paths lead; what `parameters` say goes first.
/// `progress` stands for the window.
pub fn create_patch_package_ex(
    parameters: &PatchPackage,
    options: &BuildOptions,
    progress: &dyn Progress,
) -> Result<MspBuildReport, PatchPackageError> {
    made(parameters, options, progress).map_err(|failure| PatchPackageError {
        code: failure.code.number,
        name: failure.code.name,
        error: failure.error,
    })
}

fn made(parameters: &PatchPackage, options: &BuildOptions, progress: &dyn Progress) -> Result<MspBuildReport, Failure> {
    check(parameters)?;
    let named = |path: &Option<PathBuf>| path.clone().filter(|path| !path.as_os_str().is_empty());
    let log = Log::open(named(&parameters.log_path).as_deref(), parameters.flags)?;
    let options = BuildOptions {
        output: named(&parameters.patch_path).or_else(|| options.output.clone()),
        temp_folder: named(&parameters.temp_folder).or_else(|| options.temp_folder.clone()),
        temp_folder_must_be_new: !parameters.remove_temp_folder_if_present,
        ..options.clone()
    };
    let quiet = crate::progress::Quiet;
    let progress: &dyn Progress = if parameters.flags & UIALL == 0 { &quiet } else { progress };
    let mut result = None;
    // The threads are those of the caller's pool unless a number is named.
    let ran = super::in_threads(options.threads, || {
        result = Some(build::build(&parameters.pcp_path, &options, progress, &log));
        Ok(())
    });
    let built = match (ran, result) {
        (Err(error), _) => Err(Failure::new(pcw::INTERNAL_ERROR, error)),
        (Ok(()), Some(result)) => result,
        (Ok(()), None) => Err(Failure::new(pcw::INTERNAL_ERROR, Error::bug("the build did not begin"))),
    };
    match &built {
        Ok(report) => log.line(LogLevel::Info, &format!("Patch package created: {}", report.output.display())),
        Err(failure) => log.line(
            LogLevel::Error,
            &format!("{} (0x{:08X}): {}", failure.code.name, failure.code.number, failure.error),
        ),
    }
    log.close()?;
    built
}

fn check(parameters: &PatchPackage) -> Result<(), Failure> {
    let usage = |code, what: String| Err(Failure::new(code, Error::new(ErrorKind::Usage, what)));
    if parameters.pcp_path.as_os_str().is_empty() || parameters.reserved != 0 {
        return usage(
            pcw::INVALID_PARAMETER,
            "the path of the .pcp is empty, or the reserved parameter is not 0".to_owned(),
        );
    }
    let rest = parameters.flags & !LOGALL & !UIALL;
    if rest & 0xFFFF != 0 {
        return usage(pcw::INVALID_LOG_LEVEL, format!("0x{:08X} has bits that are no log level", parameters.flags));
    }
    if rest != 0 {
        return usage(pcw::INVALID_UI_LEVEL, format!("0x{:08X} has bits that are no UI level", parameters.flags));
    }
    Ok(())
}

/// The log file.
struct Log {
    flags: u32,
    state: Mutex<State>,
}

struct State {
    file: Option<(PathBuf, File)>,
    failed: Option<io::Error>,
    phase: Option<(&'static str, Instant)>,
}

impl Log {
    fn open(path: Option<&Path>, flags: u32) -> Result<Self, Failure> {
        let open = |path: &Path| {
            let file = OpenOptions::new().append(true).create(true).open(path);
            file.map(|file| (path.to_owned(), file))
                .map_err(|error| Failure::io(pcw::CREATEFILE_LOG_FAILED, "open the log", path, &error))
        };
        let file = path.map(open).transpose()?;
        Ok(Self { flags, state: Mutex::new(State { file, failed: None, phase: None }) })
    }

    fn write(&self, line: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((_, file)) = &mut state.file else { return };
        if let Err(error) = file.write_all(format!("{line}\r\n").as_bytes()) {
            state.failed.get_or_insert(error);
        }
    }

    fn end_phase(&self) -> Option<String> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (name, began) = state.phase.take()?;
        Some(format!("Performance: phase {name}: {} ms", began.elapsed().as_millis()))
    }

    fn close(&self) -> Result<(), Failure> {
        if let Some(line) = self.end_phase() {
            self.line(LogLevel::Performance, &line);
        }
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match (&state.failed, &state.file) {
            (Some(error), Some((path, _))) => Err(Failure::io(pcw::ERROR_WRITING_TO_LOG, "write the log", path, error)),
            _ => Ok(()),
        }
    }
}

impl BuildLog for Log {
    fn line(&self, level: LogLevel, text: &str) {
        let (bit, before) = match level {
            LogLevel::Info => (LOGINFO, ""),
            LogLevel::Warning => (LOGWARN, "WARNING: "),
            LogLevel::Error => (LOGERR, "ERROR: "),
            LogLevel::Performance => (LOGPERFMESSAGES, ""),
        };
        if self.flags & bit != 0 {
            self.write(&format!("{before}{text}"));
        }
    }

    fn phase(&self, number: &'static str, about: &'static str) {
        if let Some(line) = self.end_phase() {
            self.line(LogLevel::Performance, &line);
        }
        self.line(LogLevel::Info, &format!("Entering phase {number}: {about}."));
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.phase = Some((number, Instant::now()));
    }
}
