//! Everything that must hold before a commit.
//!
//! The steps go on after a failure so that one run tells everything. The last line on stdout is the summary,
//! `N passed, N failed, N skipped`. A failed step that counts no failed tests counts as one.
//!
//! A group of tests that cannot run on this machine appends a line `skipped: GROUP: REASON` to the file that
//! `PATCHWRIGHT_SKIPS` names; it is printed here, and with `CI=true` it is a failure.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::Result;
use crate::args::Args;
use crate::run::{cargo, root, target_dir};
use crate::setup::{Group, ensure};

pub(crate) fn run(mut args: Args) -> Result {
    let quick = args.flag("--quick");
    args.free(0)?;
    test(quick)
}

pub(crate) fn ci(args: Args) -> Result {
    args.free(0)?;
    test(false)
}

/// Counts of tests, as cargo prints them.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
struct Counts {
    passed: usize,
    failed: usize,
    ignored: usize,
}

fn test(quick: bool) -> Result {
    let skips = target_dir().join("skipped-tests");
    let _ = std::fs::remove_file(&skips);
    std::fs::create_dir_all(target_dir())?;
    // Without the packages the tests that need them skip themselves, and say so.
    let mut skipped: Vec<String> =
        ensure(Group::Test).err().map(|e| format!("skipped: set-up: {e}")).into_iter().collect();

    let mut steps = Steps::default();
    steps.step("format", cargo().args(["fmt", "--all", "--check"]));
    for own in ["bench", "fuzz"] {
        let manifest = root().join(own).join("Cargo.toml");
        if manifest.is_file() {
            steps.step(&format!("format of {own}/"), cargo().args(["fmt", "--check", "--manifest-path"]).arg(manifest));
        }
    }
    if !quick {
        let lints = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
        steps.step("lints", cargo().args(lints));
    }
    steps.step(
        "tests",
        cargo().args(["test", "--workspace", "--locked", "--no-fail-fast"]).env("PATCHWRIGHT_SKIPS", &skips),
    );
    if !quick {
        let doc = ["doc", "--workspace", "--no-deps", "--locked"];
        steps.step("documentation", cargo().args(doc).env("RUSTDOCFLAGS", "-D warnings"));
    }

    skipped.extend(skip_lines(&std::fs::read_to_string(&skips).unwrap_or_default()));
    let counts = steps.counts;
    let strict = is_ci() && !skipped.is_empty();
    println!("\n{}", steps.times.join("\n"));
    skipped.iter().for_each(|line| println!("{line}"));
    if strict {
        println!("skipped test groups are failures here, because CI=true");
    }
    let failed = counts.failed + if strict { skipped.len() } else { 0 };
    println!("{} passed, {failed} failed, {} skipped", counts.passed, counts.ignored + skipped.len());
    std::io::stdout().flush()?;
    if failed == 0 { Ok(()) } else { Err(steps.complaint().into()) }
}

/// What ran, and how it went.
#[derive(Default)]
struct Steps {
    times: Vec<String>,
    failed: Vec<String>,
    counts: Counts,
}

impl Steps {
    fn step(&mut self, name: &str, command: &mut Command) {
        println!("== {name}");
        let started = Instant::now();
        let (success, counts) = watch(command);
        let word = if success { "ok" } else { "FAILED" };
        self.times.push(format!("{word:<6} {:>7.1} s  {name}", started.elapsed().as_secs_f64()));
        self.counts.passed += counts.passed;
        self.counts.ignored += counts.ignored;
        self.counts.failed += if success { 0 } else { counts.failed.max(1) };
        if !success {
            self.failed.push(name.into());
        }
    }

    fn complaint(&self) -> String {
        match self.failed.as_slice() {
            [] => "test groups were skipped".into(),
            failed => format!("failed: {}", failed.join(", ")),
        }
    }
}

/// Runs `command`, passes its output on and counts the tests that it reports.
fn watch(command: &mut Command) -> (bool, Counts) {
    let mut counts = Counts::default();
    let mut child = match command.stdout(Stdio::piped()).spawn() {
        Ok(child) => child,
        Err(error) => {
            println!("{}: {error}", command.get_program().to_string_lossy());
            return (false, counts);
        }
    };
    let stdout = BufReader::new(child.stdout.take().expect("piped above"));
    for line in stdout.split(b'\n').map_while(std::result::Result::ok) {
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        if let Some(result) = test_result(&line) {
            counts.passed += result.passed;
            counts.failed += result.failed;
            counts.ignored += result.ignored;
        }
    }
    (child.wait().is_ok_and(|status| status.success()), counts)
}

/// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
fn test_result(line: &str) -> Option<Counts> {
    let (_, list) = line.trim().strip_prefix("test result: ")?.split_once(". ")?;
    let mut counts = Counts::default();
    for part in list.split(';') {
        let (number, what) = part.trim().split_once(' ')?;
        match what {
            "passed" => counts.passed = number.parse().ok()?,
            "failed" => counts.failed = number.parse().ok()?,
            "ignored" => counts.ignored = number.parse().ok()?,
            _ => {}
        }
    }
    Some(counts)
}

/// Announcements of skipped groups, each once, in a fixed order: tests run at the same time.
fn skip_lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().filter(|line| !line.trim().is_empty()).map(String::from).collect();
    lines.sort();
    lines.dedup();
    lines
}

fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_results_are_counted() {
        let row = |line, expect: Option<(usize, usize, usize)>| {
            let expect = expect.map(|(passed, failed, ignored)| Counts { passed, failed, ignored });
            assert_eq!(test_result(line), expect, "{line}");
        };
        row(
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.42s",
            Some((3, 0, 1)),
        );
        row("test result: FAILED. 12 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out", Some((12, 2, 0)));
        row("test region::tests::result ... ok", None);
        row("running 3 tests", None);
        row("test result: ok.", None);
    }

    #[test]
    fn skipped_groups_are_told_once() {
        let text =
            "skipped: xattr: no attributes on tmpfs\n\nskipped: acl: none\nskipped: xattr: no attributes on tmpfs\n";
        assert_eq!(skip_lines(text), ["skipped: acl: none", "skipped: xattr: no attributes on tmpfs"]);
    }

    #[test]
    fn step_that_counts_nothing_counts_as_one_failure() {
        let mut steps = Steps::default();
        steps.step("fails", &mut Command::new("false"));
        steps.step("is not there", &mut Command::new("/nonexistent/command"));
        steps.step("prints", Command::new("echo").arg("test result: ok. 2 passed; 0 failed; 1 ignored"));
        assert_eq!(steps.counts, Counts { passed: 2, failed: 2, ignored: 1 });
        assert_eq!(steps.complaint(), "failed: fails, is not there");
    }
}
