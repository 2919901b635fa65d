//! A folder to work in, and the binary run in it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A folder that goes when the test ends.
pub(crate) struct Sandbox {
    folder: TempDir,
}

/// What a call printed and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// The command, ready to run in the folder and free of what the caller's environment says about colours and width.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_patchwright"));
        command.args(line.split_whitespace()).current_dir(self.folder.path()).stdin(Stdio::null());
        for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS"] {
            command.env_remove(name);
        }
        command
    }

    pub(crate) fn run(&self, line: &str) -> Ran {
        Ran::of(&mut self.command(line))
    }

    /// Runs a call that must succeed.
    pub(crate) fn ok(&self, line: &str) -> Ran {
        let ran = self.run(line);
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
        ran
    }

    /// Runs a call in JSON mode and returns its exit code and the one object it prints.
    pub(crate) fn json(&self, line: &str) -> (i32, Value) {
        let ran = self.run(&format!("{line} --json"));
        let value = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{line}: {error}: {ran:?}"));
        (ran.code, value)
    }

    /// Everything in a folder, with content, kind and permission bits: equal texts mean equal folders.
    pub(crate) fn listing(&self, name: &str) -> String {
        let mut text = String::new();
        list(&self.path(name), &self.path(name), &mut text);
        text
    }
}

/// Checks calls that fail: exit code and a part of the message; standard output stays empty, and the error object of
/// JSON mode says the same.
pub(crate) fn check_errors(sandbox: &Sandbox, rows: &[(&str, i32, &str)]) {
    for (line, code, expect) in rows {
        let ran = sandbox.run(line);
        assert_eq!(ran.code, *code, "{line}: {ran:?}");
        assert!(ran.stderr.starts_with("error: "), "{line}: {ran:?}");
        assert!(ran.stderr.contains(expect), "{line}: {ran:?}");
        assert_eq!(ran.stdout, "", "{line}");
        let (exit, object) = sandbox.json(line);
        assert_eq!(exit, *code, "{line}");
        assert_eq!(object["schema"], "patchwright.error/1", "{line}");
        assert_eq!(object["exit_code"], *code, "{line}");
    }
}

/// Two versions of a program in the sandbox, `old` and `new`, and the new one's content. The bytes 0x100+16 are a stamp
/// that stays and moves to 0x180; 0x40+8 may hold anything.
pub(crate) fn versions(sandbox: &Sandbox) -> Vec<u8> {
    let old = noise(1, 20_000);
    let mut new = old.clone();
    new.splice(0x80..0x80, noise(2, 0x80));
    new.splice(9000..9000, *b"the fix");
    sandbox.write("old", old);
    sandbox.write("new", &new);
    new
}

/// The flags that go with [`versions`].
pub(crate) const RANGES: &str = "--ignore 0x40+8 --retain 0x100+16=0x180";

impl Ran {
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

fn list(root: &Path, path: &Path, text: &mut String) {
    use std::os::unix::fs::PermissionsExt;
    let name = path.strip_prefix(root).unwrap().display();
    let found = fs::symlink_metadata(path).unwrap();
    let mode = found.permissions().mode() & 0o7777;
    if found.is_symlink() {
        let _ = writeln!(text, "{name} -> {}", fs::read_link(path).unwrap().display());
    } else if found.is_dir() {
        let _ = writeln!(text, "{name}/ {mode:o}");
        let mut entries: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        entries.iter().for_each(|entry| list(root, entry, text));
    } else {
        let _ = writeln!(text, "{name} {mode:o} {:?}", String::from_utf8_lossy(&fs::read(path).unwrap()));
    }
}

/// Bytes that look like nothing, the same for the same seed.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..len).map(step).collect()
}
