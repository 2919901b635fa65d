//! Windows Installer as Wine has it.
//!
//! Its exit code says little: a patch that was not applied at all, for want of a transform that fits, ends with 0. So
//! whoever uses this looks at the files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Debian's Wine, called directly: its wrapper asks for a 32-bit one.
const WINE: &str = "/usr/lib/wine/wine64";
const SERVER: &str = "/usr/lib/wine/wineserver64";

/// A machine of its own: a registry and a drive in a folder.
pub(crate) struct Wine {
    prefix: PathBuf,
}

impl Wine {
    /// The machine in a folder; `None` without Wine.
    pub(crate) fn new(prefix: &Path) -> Option<Self> {
        if !Path::new(WINE).exists() {
            return None;
        }
        fs::create_dir_all(prefix).unwrap();
        // It would end soon after each call, and the next one would start it again. What it inherits it keeps open.
        let mut server = Command::new(SERVER);
        server.arg("-p20").env("WINEPREFIX", prefix).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let _ = server.status();
        Some(Self { prefix: prefix.to_owned() })
    }

    /// The place of a path of the drive C:.
    pub(crate) fn drive(&self, path: &str) -> PathBuf {
        self.prefix.join("drive_c").join(path)
    }

    /// The content of each file in a folder of the drive, sorted by name.
    pub(crate) fn folder(&self, path: &str) -> Vec<(String, Vec<u8>)> {
        let Ok(entries) = fs::read_dir(self.drive(path)) else { return Vec::new() };
        let mut files: Vec<_> = entries
            .map(|entry| {
                let entry = entry.unwrap();
                (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
            })
            .collect();
        files.sort();
        files
    }

    pub(crate) fn install(&self, installer: &Path) {
        self.msiexec("/i", installer, &[]);
    }

    pub(crate) fn patch(&self, patch: &Path) -> i32 {
        self.msiexec("/p", patch, &[])
    }

    /// Runs `msiexec`; returns its exit code.
    pub(crate) fn msiexec(&self, verb: &str, file: &Path, more: &[&str]) -> i32 {
        let file = format!("Z:{}", file.display().to_string().replace('/', "\\"));
        let ran = self.command().args(["msiexec", verb, &file, "/qn"]).args(more).output().unwrap();
        ran.status.code().unwrap_or(-1)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(WINE);
        command
            .env("WINEPREFIX", &self.prefix)
            .env("WINEDEBUG", std::env::var("PATCHWRIGHT_WINEDEBUG").unwrap_or_else(|_| "-all".to_owned()))
            .env("WINEDLLOVERRIDES", "mscoree,mshtml=")
            .env("HOME", self.prefix.parent().unwrap_or(&self.prefix))
            .env_remove("DISPLAY")
            .stdin(Stdio::null());
        command
    }
}

impl Drop for Wine {
    /// The server would keep the folder busy for a while.
    fn drop(&mut self) {
        let _ = Command::new(SERVER).arg("-k").env("WINEPREFIX", &self.prefix).stdin(Stdio::null()).status();
    }
}
