//! Where a demonstration is played: a directory, commands run as typed, promises that are checked, and the stamp of a machine.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::run::{output, read, target_dir};

pub(crate) const STAMP_LEN: usize = 64;

/// A directory with `patchwright` on the PATH of what is typed in it.
pub(crate) struct Stage {
    dir: PathBuf,
    path: OsString,
}

/// What a command left behind.
pub(crate) struct Outcome {
    pub(crate) stdout: String,
}

impl Stage {
    /// Makes `target/demo/NAME` anew, with these directories in it.
    pub(crate) fn new(name: &str, parts: &[&str], bin: &Path) -> Result<Self> {
        let dir = target_dir().join("demo").join(name);
        let _ = fs::remove_dir_all(&dir);
        for part in ["bin"].iter().chain(parts) {
            fs::create_dir_all(dir.join(part))?;
        }
        std::os::unix::fs::symlink(bin, dir.join("bin/patchwright"))?;
        let rest = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(dir.join("bin")).chain(std::env::split_paths(&rest));
        let path = std::env::join_paths(path).map_err(|error| format!("PATH: {error}"))?;
        Ok(Stage { dir, path })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Prints `line` as typed, runs it, prints what it prints and how it exits; another exit code than `expected` is a
    /// broken promise.
    pub(crate) fn type_in(&self, line: &str, expected: i32) -> Result<Outcome> {
        println!("$ {line}");
        let mut shell = Command::new("sh");
        let output = shell.args(["-c", line]).current_dir(&self.dir).env("PATH", &self.path).output()?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        print!("{stdout}{}", String::from_utf8_lossy(&output.stderr));
        let code = output.status.code();
        match code {
            Some(0) => {}
            Some(code) => println!("(exit code {code})"),
            None => println!("({})", output.status),
        }
        println!();
        if code == Some(expected) {
            return Ok(Outcome { stdout });
        }
        Err(format!("broken promise: `{line}` was to exit with {expected}; {}", output.status).into())
    }
}

impl Outcome {
    pub(crate) fn says(&self, expected: &str) -> Result {
        if self.stdout == expected {
            return Ok(());
        }
        Err(format!("broken promise: that was to print {expected:?}, and printed {:?}", self.stdout).into())
    }
}

pub(crate) fn chapter(title: &str, text: &str) {
    println!("== {title}\n\n{text}\n");
}

pub(crate) fn promise(held: bool, what: &str) -> Result {
    if held {
        println!("checked: {what}\n");
        return Ok(());
    }
    Err(format!("broken promise: {what}").into())
}

/// One line of [`STAMP_LEN`] bytes that is this machine's own.
pub(crate) fn stamp(host: &str) -> String {
    let host: String = host.chars().filter(char::is_ascii_graphic).take(STAMP_LEN / 2).collect();
    let mut line = format!("licensed to {host} ");
    while line.len() < STAMP_LEN - 1 {
        line.push('.');
    }
    line.push('\n');
    line
}

pub(crate) fn host() -> String {
    output(Command::new("uname").arg("-n")).map_or_else(|_| "this-machine".into(), |name| name.trim().into())
}

pub(crate) fn overwrite(file: &Path, at: usize, bytes: &[u8]) -> Result {
    let mut content = read(file)?;
    content[at..at + bytes.len()].copy_from_slice(bytes);
    Ok(fs::write(file, content)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_one_line_of_fixed_length() {
        for host in ["a", "", "a-very-long-host-name-that-goes-on-and-on.example.org", "mit Umläuten"] {
            let stamp = stamp(host);
            assert_eq!(stamp.len(), STAMP_LEN, "{stamp}");
            assert!(stamp.ends_with(".\n"), "{stamp}");
        }
    }
}
