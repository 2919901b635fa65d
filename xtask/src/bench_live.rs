//! How long a process stands still when it is patched: as a spinning thread of it sees it, for some numbers of threads.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use crate::run::{cargo, output, root, show, target_dir};
use crate::{Failure, Result};

const THREADS: [usize; 3] = [2, 100, 1000];
const ROUNDS: usize = 20;

/// The process that is measured.
struct Target {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Target {
    fn start(program: &Path, threads: usize) -> Result<Self> {
        let mut child = Command::new(program)
            .arg(threads.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| Failure::Failed(format!("{}: {error}", program.display())))?;
        let (Some(orders), Some(out)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Failure::Failed("a pipe is missing".into()));
        };
        let mut target = Self { child, orders, answers: BufReader::new(out) };
        target.answer()?;
        Ok(target)
    }

    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(len) if len > 0 => Ok(line.trim().to_owned()),
            _ => Err(Failure::Failed("the process that is measured has ended".into())),
        }
    }

    fn ask(&mut self, order: &str) -> Result<String> {
        writeln!(self.orders, "{order}").map_err(|error| Failure::Failed(error.to_string()))?;
        self.answer()
    }

    fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Measures `tool`, or what is built for release.
pub(crate) fn run(tool: Option<PathBuf>) -> Result {
    let tool = match tool {
        Some(tool) => tool,
        None => {
            show(cargo().args(["build", "--release", "--locked", "--package", "patchwright-cli"]))?;
            target_dir().join("release/patchwright")
        }
    };
    let folder = target_dir().join("bench-live");
    std::fs::create_dir_all(&folder).map_err(|error| Failure::Failed(error.to_string()))?;
    let (old, new, patch) = (folder.join("old"), folder.join("new"), folder.join("fix.pwp"));
    for (program, define) in [(&old, "-DOLD"), (&new, "-DNEW")] {
        let mut gcc = Command::new("gcc");
        gcc.args(["-O2", "-pthread", "-ffunction-sections", "-Wl,--emit-relocs", define, "-o"]).arg(program);
        show(gcc.arg(root().join("bench/live/spin.c")))?;
    }
    let mut diff = Command::new(&tool);
    output(diff.arg("diff").arg(&old).arg(&new).args(["--hot", "--quiet", "-o"]).arg(&patch))?;
    println!(
        "| threads | pause seen by a spinning thread: min / median / max | noise | apply, wall | memory | call before / after |"
    );
    println!("|---|---|---|---|---|---|");
    for threads in THREADS {
        println!("{}", measure(&tool, &old, &patch, threads)?);
    }
    Ok(())
}

fn measure(tool: &Path, program: &Path, patch: &Path, threads: usize) -> Result<String> {
    let mut target = Target::start(program, threads)?;
    let pid = target.child.id().to_string();
    let before = target.ask("cost")?;
    let resident = target.resident_kib();
    let (mut pauses, mut walls, mut noise) = (Vec::new(), Vec::new(), Vec::new());
    let (mut memory, mut after) = (0, String::new());
    for round in 0..ROUNDS {
        // The same time without a patch, for what the machine does by itself.
        target.ask("reset")?;
        std::thread::sleep(std::time::Duration::from_millis(20));
        noise.push(gap(&target.ask("report")?)?);
        target.ask("reset")?;
        let begin = Instant::now();
        verb(tool, "apply", patch, program, &pid)?;
        walls.push(begin.elapsed().as_secs_f64() * 1e3);
        pauses.push(gap(&target.ask("report")?)?);
        if round == 0 {
            memory = target.resident_kib().saturating_sub(resident);
            after = target.ask("cost")?;
        }
        verb(tool, "revert", patch, program, &pid)?;
    }
    let of = |list: &mut Vec<f64>| {
        list.sort_by(f64::total_cmp);
        (list[0], list[list.len() / 2], list[list.len() - 1])
    };
    let (least, middle, most) = of(&mut pauses);
    let (quiet, usual, _) = of(&mut noise);
    let (_, wall, _) = of(&mut walls);
    Ok(format!(
        "| {threads} | {least:.2} / {middle:.2} / {most:.2} ms | {quiet:.2} / {usual:.2} ms | {wall:.0} ms | {memory} KiB | {before} / {after} ns |"
    ))
}

fn verb(tool: &Path, verb: &str, patch: &Path, program: &Path, pid: &str) -> Result {
    let mut command = Command::new(tool);
    command.arg(verb).arg(patch).arg(program).args(["--hot-only", "--pause", "1000", "--quiet", "--pid", pid]);
    output(&mut command).map(|_| ())
}

/// The first number of a report, in milliseconds.
fn gap(report: &str) -> Result<f64> {
    let nanoseconds = report.split(' ').next().and_then(|number| number.parse::<f64>().ok());
    nanoseconds.map(|gap| gap / 1e6).ok_or_else(|| Failure::Failed(format!("not a report: {report}")))
}
