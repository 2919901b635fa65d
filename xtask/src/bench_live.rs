//! How long a process stands still when it is patched: as a spinning thread of it sees it, for some numbers of threads.
//! What a patch costs in time, in memory, and at every call after it.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::bench::{commit, machine};
use crate::run::{cargo, output, root, show, target_dir, today};
use crate::{Failure, Result};

/// Numbers of threads, and how often each is measured.
const THREADS: [(usize, usize); 3] = [(1, 50), (100, 50), (1000, 30)];
const PEERS: &str = include_str!("../../bench/live/peers.md");
const BEGIN: &str = "<!-- cargo xtask bench live -->";
const END: &str = "<!-- end -->";

/// The process that is measured.
struct Target {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// What a process holds.
#[derive(Clone, Copy)]
struct Held {
    /// Memory of its own.
    anonymous_kib: u64,
    /// With pages of files.
    resident_kib: u64,
    mappings: usize,
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
        // In one write: the process takes what one read gives for one order.
        self.orders.write_all(format!("{order}\n").as_bytes()).map_err(|error| Failure::Failed(error.to_string()))?;
        self.answer()
    }

    fn held(&self) -> Held {
        let file =
            |name: &str| std::fs::read_to_string(format!("/proc/{}/{name}", self.child.id())).unwrap_or_default();
        // The numbers of `status` are off by some pages for each processor.
        let rollup = file("smaps_rollup");
        let kib = |name: &str| {
            let line = rollup.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        Held { anonymous_kib: kib("Anonymous"), resident_kib: kib("Rss"), mappings: file("maps").lines().count() }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Measures `tool`, or what is built for release; what the table of the README shows is measured only so.
pub(crate) fn run(tool: Option<PathBuf>, out: Option<String>) -> Result {
    let released = tool.is_none();
    let tool = match tool {
        Some(tool) => tool,
        None => {
            show(cargo().args(["build", "--release", "--locked", "--package", "patchwright-cli"]))?;
            target_dir().join("release/patchwright")
        }
    };
    let folder = target_dir().join("bench-live");
    std::fs::create_dir_all(&folder)?;
    let plain = Pair::build(&tool, &folder, "plain", &["gcc"])?;
    let cc = tool.display().to_string();
    let prepared = Pair::build(&tool, &folder, "prepared", &[&cc, "cc", "--quiet", "--", "gcc"])?;

    let table = table(&tool, &plain, &prepared)?;
    let text = format!(
        "# Pauses of processes that are patched\n\n{}, {}, commit {}, `cargo xtask bench live`.\n\n{table}\n{PEERS}",
        machine(),
        today()?,
        commit()
    );
    print!("{text}");
    let out = match out {
        Some(out) => root().join(out),
        None if released => root().join(format!("bench/results/{}-live.md", machine())),
        None => folder.join("table.md"),
    };
    std::fs::write(&out, text)?;
    println!("\n{}", out.display());
    if released {
        fill(&root().join("README.md"), &table)?;
    }
    Ok(())
}

/// Puts the table where the README has room for it.
fn fill(file: &Path, table: &str) -> Result {
    let text = std::fs::read_to_string(file)?;
    let text = filled(&text, table).ok_or_else(|| format!("{} has no place for the table", file.display()))?;
    Ok(std::fs::write(file, text)?)
}

fn filled(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{table}{END}{after}"))
}

/// A program in two versions, and the patch between them.
struct Pair {
    old: PathBuf,
    patch: PathBuf,
}

impl Pair {
    fn build(tool: &Path, folder: &Path, name: &str, compiler: &[&str]) -> Result<Self> {
        let at = |end: &str| folder.join(format!("{name}-{end}"));
        let (old, new, patch) = (at("old"), at("new"), at("fix.pwp"));
        for (program, define) in [(&old, "-DOLD"), (&new, "-DNEW")] {
            let mut command = Command::new(compiler[0]);
            command.args(&compiler[1..]);
            command.args(["-O2", "-pthread", "-ffunction-sections", "-Wl,--emit-relocs", define, "-o"]).arg(program);
            show(command.arg(root().join("bench/live/spin.c")))?;
        }
        output(Command::new(tool).arg("diff").arg(&old).arg(&new).args(["--hot", "--quiet", "-o"]).arg(&patch))?;
        Ok(Pair { old, patch })
    }
}

fn table(tool: &Path, plain: &Pair, prepared: &Pair) -> Result<String> {
    let mut text = String::from(
        "| threads | pause, apply: min / median / max | revert: median | without a patch: median | apply, wall | memory |\n\
         |---:|---|---|---|---|---|\n",
    );
    for (threads, rounds) in THREADS {
        eprintln!("{threads} threads, {rounds} rounds");
        text += &measure(tool, plain, threads, rounds)?;
    }
    text += "\nPauses are the longest gap that a spinning thread of the process sees; the fourth column is that of 20 ms in which nothing\n\
             is patched. Memory is what the process has more of its own (with pages of its files, which were read), and mappings.\n\n\
             | redirect | call before | redirected | taken back |\n|---|---|---|---|\n";
    for (name, pair) in [("jump of five bytes", plain), ("prepared, two bytes and a jump in the pad", prepared)] {
        let mut target = Target::start(&pair.old, 1)?;
        let pid = target.child.id().to_string();
        let before = target.ask("cost")?;
        verb(tool, "apply", pair, &pid)?;
        let after = target.ask("cost")?;
        verb(tool, "revert", pair, &pid)?;
        let back = target.ask("cost")?;
        let _ = writeln!(text, "| {name} | {before} ns | {after} ns | {back} ns |");
    }
    Ok(text)
}

fn measure(tool: &Path, pair: &Pair, threads: usize, rounds: usize) -> Result<String> {
    let mut target = Target::start(&pair.old, threads)?;
    let pid = target.child.id().to_string();
    // Every thread has begun by then, and has its stack.
    std::thread::sleep(Duration::from_secs(1));
    let before = target.held();
    let mut added = before;
    let (mut pauses, mut reverts, mut walls, mut noise) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        // The same without a patch, for what the machine does by itself.
        target.ask("reset")?;
        std::thread::sleep(Duration::from_millis(20));
        noise.push(gap(&target.ask("report")?, 1)?);
        let begin = Instant::now();
        verb(tool, "apply", pair, &pid)?;
        walls.push(begin.elapsed().as_secs_f64() * 1e3);
        pauses.push(gap(&target.ask("report")?, 2)?);
        if round == 0 {
            added = target.held();
        }
        verb(tool, "revert", pair, &pid)?;
        reverts.push(gap(&target.ask("report")?, 1)?);
    }
    let [least, middle, most] = spread(&mut pauses);
    let ([_, revert, _], [_, usual, _], [_, wall, _]) = (spread(&mut reverts), spread(&mut noise), spread(&mut walls));
    let own = added.anonymous_kib.saturating_sub(before.anonymous_kib);
    let all = added.resident_kib.saturating_sub(before.resident_kib);
    let mappings = added.mappings.saturating_sub(before.mappings);
    Ok(format!(
        "| {threads} | {least:.2} / {middle:.2} / {most:.2} ms | {revert:.2} ms | {usual:.2} ms | {wall:.0} ms | {own} KiB ({all}), {mappings} |\n"
    ))
}

/// Least, median, most.
fn spread(list: &mut [f64]) -> [f64; 3] {
    list.sort_by(f64::total_cmp);
    [0, list.len() / 2, list.len() - 1].map(|at| list[at])
}

fn verb(tool: &Path, verb: &str, pair: &Pair, pid: &str) -> Result {
    let mut command = Command::new(tool);
    command.arg(verb).arg(&pair.patch).arg(&pair.old).args(["--hot-only", "--pause", "1000", "--quiet", "--pid", pid]);
    output(&mut command).map(|_| ())
}

/// The gap of a report, in milliseconds; it must come from the version that is in force.
fn gap(report: &str, version: u32) -> Result<f64> {
    match report.split_once(' ') {
        Some((gap, value)) if value == version.to_string() => {
            let nanoseconds = gap.parse::<f64>().map_err(|_| format!("not a report: {report}"))?;
            Ok(nanoseconds / 1e6)
        }
        _ => Err(format!("version {version} was to answer: {report}").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_replaces_what_stood_there() {
        let text = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        assert_eq!(filled(&text, "new\n").unwrap(), format!("a\n{BEGIN}\nnew\n{END}\nb\n"));
        assert_eq!(filled("a", "new"), None);
        assert!(filled(include_str!("../../README.md"), "").is_some());
    }

    #[test]
    fn reports_come_from_the_version_in_force() {
        assert_eq!(gap("1500000 2", 2).unwrap(), 1.5);
        assert!(gap("1500000 1", 2).is_err());
        assert!(gap("", 2).is_err());
    }
}
