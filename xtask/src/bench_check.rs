//! How fast `check` is, beside a disassembler of the same file: `llvm-objdump -d` reads the same code, and prints it.
//!
//! A ratio below one means that the audit of an image takes less time than looking at it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::bench::{commit, machine};
use crate::run::{cargo, has, root, show, target_dir, today};
use crate::{Result, corpus};

const RIVAL: &str = "llvm-objdump-19";
const ROUNDS: usize = 3;

/// Large images of all sorts; and, where it is installed, LLVM itself, which is larger than any of them.
const IMAGES: [&str; 6] = ["d03", "d04", "d08", "d09", "d12", "d13"];
const LLVM: &str = "/usr/lib/x86_64-linux-gnu/libLLVM.so.19.1";

pub(crate) fn run(dir: &Path, pairs: Option<String>, out: Option<String>) -> Result {
    let whole = pairs.is_none();
    let ids: Vec<String> = match pairs {
        Some(list) => list.split(',').map(String::from).collect(),
        None => IMAGES.map(String::from).to_vec(),
    };
    corpus::fetch(dir, &ids)?;
    show(cargo().args(["build", "--release", "--locked", "--package", "patchwright-cli"]))?;
    let tool = target_dir().join("release/patchwright");
    let mut images: Vec<(String, PathBuf)> = ids.iter().map(|id| (id.clone(), dir.join(id).join("new"))).collect();
    images.push(("libLLVM".into(), PathBuf::from(LLVM)));
    images.retain(|(_, image)| image.is_file());
    if !has(RIVAL) {
        println!("no {RIVAL} here: its column stays empty");
    }
    let mut table = format!(
        "# `check` beside `{RIVAL} -d`\n\nCommit {}, {}, the best of {ROUNDS} rounds, output thrown away.\n\n\
         | image | bytes | `check` | `{RIVAL} -d` | ratio |\n|---|---:|---:|---:|---:|\n",
        commit(),
        today()?
    );
    for (name, image) in &images {
        let bytes = std::fs::metadata(image)?.len();
        let ours = best(|| Command::new(&tool), &["check"], image)?;
        let theirs = if has(RIVAL) { Some(best(|| Command::new(RIVAL), &["-d"], image)?) } else { None };
        let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
        let ratio = theirs.map(|theirs| format!("{:.3}", ours.as_secs_f64() / theirs.as_secs_f64()));
        let row = [seconds(ours), theirs.map(seconds).unwrap_or_default(), ratio.unwrap_or_default()].join(" | ");
        println!("{name}: {bytes} bytes: {row}");
        let _ = writeln!(table, "| {name} | {bytes} | {row} |");
    }
    let out = match out {
        Some(out) => root().join(out),
        None if whole => root().join(format!("bench/results/{}-check.md", machine())),
        None => target_dir().join("bench-check.md"),
    };
    std::fs::write(&out, table)?;
    println!("{}", out.display());
    Ok(())
}

/// The shortest of some runs.
fn best(command: impl Fn() -> Command, words: &[&str], image: &Path) -> Result<Duration> {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        let status = command().args(words).arg(image).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        // For `check`, 1 is an answer.
        if !matches!(status.code(), Some(0 | 1)) {
            return Err(format!("{}: {status}", image.display()).into());
        }
        best = best.min(started.elapsed());
    }
    Ok(best)
}
