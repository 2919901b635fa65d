//! Our own crates, linked by `patchwright-linker`: their tests must pass as they do without it, and the test programs must
//! be hot-patchable to the last function. Says what that costs in size and in time at the link.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::args::Args;
use crate::run::{cargo, output, root, show, target_dir};
use crate::{Failure, Result};

/// Crates with many tests that need nothing but themselves.
const PACKAGES: [&str; 2] = ["patchwright-formats", "patchwright-delta"];

pub(crate) fn run(args: Args) -> Result {
    args.free(0)?;
    show(cargo().args(["build", "--locked", "--package", "patchwright-cli"]))?;
    let bin = target_dir().join("debug");
    let plain = programs(&mut build("plain", None))?;
    let linker = bin.join("patchwright-linker");
    let hot = programs(&mut build("prepared", Some(&linker)))?;
    println!("{:<28} {:>12} {:>12} {:>7}", "test program", "bytes", "prepared", "more");
    for (name, path) in &hot {
        let [before, after] = [plain.iter().find(|(other, _)| other == name).map(|(_, path)| path), Some(path)]
            .map(|path| path.and_then(|path| fs::metadata(path).ok()).map_or(0, |found| found.len()));
        let more = (after * 1000).checked_div(before).map_or(0, |share| share.saturating_sub(1000));
        println!("{name:<28} {before:>12} {after:>12} {:>5}.{} %", more / 10, more % 10);
        show(Command::new(bin.join("patchwright")).arg("check").arg(path).arg("--quiet"))?;
    }
    for (how, linker) in [("without", None), ("with", Some(&linker))] {
        println!("relinked {how}: {} ms", relink(linker.map(PathBuf::as_path))?);
    }
    show(build("prepared", Some(&linker)).args(["--no-fail-fast"]))
}

/// `cargo test` of the packages, in a target folder of its own.
fn build(folder: &str, linker: Option<&Path>) -> Command {
    let mut command = cargo();
    command.args(["test", "--locked", "--target-dir"]).arg(target_dir().join(folder));
    command.args(PACKAGES.iter().flat_map(|package| ["--package", package]));
    if let Some(linker) = linker {
        command.env("RUSTFLAGS", format!("-Clinker={}", linker.display()));
    }
    command
}

/// Builds the test programs; their names and paths.
fn programs(command: &mut Command) -> Result<Vec<(String, PathBuf)>> {
    let told = output(command.args(["--no-run", "--message-format=json"]))?;
    let mut found = Vec::new();
    for line in told.lines().filter(|line| line.contains("\"reason\":\"compiler-artifact\"")) {
        let Some((_, rest)) = line.split_once("\"executable\":\"") else { continue };
        let path = PathBuf::from(rest.split('"').next().unwrap_or_default());
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        // The hash of the build is in the name.
        let name = stem.rsplit_once('-').map_or(stem.clone(), |(name, _)| name.to_owned());
        found.push((name, path));
    }
    if found.is_empty() { Err(Failure::Failed("cargo built no test program".into())) } else { Ok(found) }
}

/// Milliseconds of rustc on an empty program, the second time, so that the cache is warm.
fn relink(linker: Option<&Path>) -> Result<u128> {
    let folder = target_dir().join("relink");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("main.rs"), "fn main() {}\n")?;
    let mut best = u128::MAX;
    for _ in 0..4 {
        let mut command = Command::new("rustc");
        command.args(["main.rs", "-o", "main"]).current_dir(&folder);
        if let Some(linker) = linker {
            command.arg(format!("-Clinker={}", root().join(linker).display()));
        }
        let start = Instant::now();
        show(&mut command)?;
        best = best.min(start.elapsed().as_millis());
    }
    Ok(best)
}
