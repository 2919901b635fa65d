//! Deltas for native programs on another CPU: the golden bodies apply under `qemu-aarch64`, and what is made there is what
//! is made here, byte for byte.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::args::Args;
use crate::run::{cargo, output, read, root, show, target_dir};
use crate::setup::{Group, ensure};

const TARGET: &str = "aarch64-unknown-linux-gnu";
const LINKER: &str = "aarch64-linux-gnu-gcc";

pub(crate) fn run(args: Args) -> Result {
    args.free(0)?;
    ensure(Group::Test)?;
    has_standard_library()?;
    let (here, there) = (build(None)?, build(Some(TARGET))?);
    let on = |there_too: bool| {
        if !there_too {
            return Command::new(&here);
        }
        let mut command = Command::new("qemu-aarch64");
        command.args(["-L", "/usr/aarch64-linux-gnu"]).arg(&there);
        command
    };
    let scratch = target_dir().join("cross");
    fs::create_dir_all(&scratch)?;
    let made = scratch.join("made");
    let folders = root().join("testdata/delta");
    let mut folders: Vec<PathBuf> = fs::read_dir(&folders)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    for folder in &folders {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (old, new, body) = (folder.join("old"), folder.join("new"), folder.join("body"));
        let expected = read(&new)?;
        for (which, there_too) in [("here", false), (TARGET, true)] {
            let len = expected.len().to_string();
            output(on(there_too).arg("native-apply").args([&old, &body, &made]).arg(len))?;
            same(&made, &expected, &format!("{name}, applied on {which}"))?;
        }
        for profile in ["small", "fast", "quick"] {
            output(on(false).arg("native-create").args([&old, &new, &made]).arg(profile))?;
            let expected = read(&made)?;
            output(on(true).arg("native-create").args([&old, &new, &made]).arg(profile))?;
            same(&made, &expected, &format!("{name}, made as {profile} on {TARGET}"))?;
        }
        println!("{name}: the same on both");
    }
    if folders.is_empty() { Err("testdata/delta holds no golden bodies".into()) } else { Ok(()) }
}

fn same(made: &Path, expected: &[u8], what: &str) -> Result {
    if read(made)? == expected { Ok(()) } else { Err(format!("{what}: other bytes than here").into()) }
}

/// The compiler in use may come without the other CPU's library.
fn has_standard_library() -> Result {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let folder = output(Command::new(&rustc).args(["--print", "target-libdir", "--target", TARGET]))?;
    let found = fs::read_dir(folder.trim()).is_ok_and(|files| {
        files.filter_map(|file| file.ok()?.file_name().into_string().ok()).any(|name| name.starts_with("libstd-"))
    });
    if found {
        return Ok(());
    }
    Err(format!("no standard library for {TARGET}: `rustup target add {TARGET}`, or a compiler that has it in RUSTC")
        .into())
}

/// Builds the example that makes and applies bodies, for this machine or another.
fn build(target: Option<&str>) -> Result<PathBuf> {
    let mut command = cargo();
    command.args(["build", "--locked", "--package", "patchwright-delta", "--example", "delta"]);
    let mut folder = target_dir();
    if let Some(target) = target {
        command.args(["--target", target]);
        command
            .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", LINKER)
            .env("CC_aarch64_unknown_linux_gnu", LINKER);
        folder.push(target);
    }
    show(&mut command)?;
    Ok(folder.join("debug/examples/delta"))
}
