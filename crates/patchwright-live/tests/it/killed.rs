//! SIGKILL of the tool, at each of its steps and at any time: the process lives, its registers are its own, it behaves as
//! the old build or the new one as a whole, and the next call does what was asked.
//!
//! The tool is this program itself, run once more for one test that is not a test; `strace` kills it at its n-th call
//! that traces or writes memory.

use std::env;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use patchwright_formats::PatchId;
use patchwright_formats::hot::HotPart;
use patchwright_live::sys::Process;
use patchwright_live::{Limits, apply, revert};

use crate::program::{Built, Running, build, skip};

const VERBS: [&str; 2] = ["apply", "revert"];
/// Calls that change something of the process.
const STEPS: &str = "ptrace,pwrite64";

/// What the tool does: `VERB PART PID` in `PATCHWRIGHT_TOOL`. Nothing, if nobody asks for it.
#[test]
fn tool() {
    let Ok(order) = env::var("PATCHWRIGHT_TOOL") else { return };
    let [verb, part, pid] = order.split(' ').collect::<Vec<_>>()[..] else { panic!("{order}") };
    let part = HotPart::decode(&std::fs::read(part).unwrap()).unwrap();
    let mut process = Process::open(pid.parse().unwrap()).unwrap();
    let limits = Limits { pause: Duration::from_secs(5), deadline: Duration::from_secs(60), ..Limits::default() };
    let id = PatchId([7; 32]);
    match verb {
        "apply" => drop(apply(&mut process, &part, id, 0, &limits).unwrap()),
        _ => drop(revert(&mut process, id, &limits).unwrap()),
    }
}

fn command(verb: &str, built: &Built, running: &Running, around: &[&str]) -> Command {
    let own = env::current_exe().unwrap();
    let mut line: Vec<&std::ffi::OsStr> = around.iter().map(std::ffi::OsStr::new).collect();
    line.push(own.as_os_str());
    let mut command = Command::new(line[0]);
    command.args(&line[1..]).args(["--exact", "killed::tool", "--test-threads=1"]);
    command.env("PATCHWRIGHT_TOOL", format!("{verb} {} {}", built.patch.display(), running.pid()));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn run(verb: &str, built: &Built, running: &Running) {
    let done = command(verb, built, running, &[]).stdout(Stdio::piped()).output().unwrap();
    assert!(done.status.success(), "{verb}: {}", String::from_utf8_lossy(&done.stdout));
}

/// A process that is ready for a verb.
fn ready(verb: &str, built: &Built) -> Running {
    let running = Running::start(&built.program);
    if verb == "revert" {
        run("apply", built, &running);
        assert_eq!(running.value("patched"), 2);
    }
    running
}

/// What must hold when a tool was killed, and when others came after it.
fn check(verb: &str, built: &Built, running: &Running, when: &str) {
    running.value(when);
    run(verb, built, running);
    assert_eq!(running.value(when), if verb == "apply" { 2 } else { 1 }, "{when}");
    let before = running.maps().lines().count();
    for (verb, expect) in [("apply", 2), ("revert", 1), ("apply", 2)] {
        run(verb, built, running);
        assert_eq!(running.value(when), expect, "{when}, {verb}");
    }
    let maps = running.maps();
    assert!(!maps.contains("rwx"), "{when}: {maps}");
    // A fresh record at most, if the killed call was to take back what it had not.
    assert!(maps.lines().count() <= before + 3, "{when}: {maps}");
}

fn scene() -> Option<(tempfile::TempDir, Built)> {
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    if !matches!(scope.trim(), "" | "0" | "1") {
        skip(&format!("kernel.yama.ptrace_scope is {}", scope.trim()));
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let built = build(folder.path())?;
    Some((folder, built))
}

/// Runs a verb under `strace`. `None` if there is none.
fn traced(verb: &str, built: &Built, running: &Running, options: &[&str]) -> Option<ExitStatus> {
    let around: Vec<&str> = ["strace", "-f", "-qq"].into_iter().chain(options.iter().copied()).collect();
    match command(verb, built, running, &around).status() {
        Ok(status) => Some(status),
        Err(error) => {
            skip(&format!("strace: {error}"));
            None
        }
    }
}

/// How many steps a verb takes.
fn steps(verb: &str, built: &Built, log: &Path) -> Option<usize> {
    let running = ready(verb, built);
    let status = traced(verb, built, &running, &["-e", &format!("trace={STEPS}"), "-o", log.to_str().unwrap()])?;
    assert!(status.success());
    let log = std::fs::read_to_string(log).unwrap();
    Some(log.lines().filter(|line| line.contains("ptrace(") || line.contains("pwrite64(")).count())
}

fn kill_at_steps(choose: impl Fn(usize) -> Vec<usize>) {
    let Some((folder, built)) = scene() else { return };
    for verb in VERBS {
        let Some(count) = steps(verb, &built, &folder.path().join("log")) else { return };
        assert!(count > 50, "{verb}: {count} steps");
        let mut killed = 0;
        for step in choose(count) {
            let running = ready(verb, &built);
            let inject = format!("inject={STEPS}:signal=KILL:when={step}");
            let trace = format!("trace={STEPS}");
            let Some(status) = traced(verb, &built, &running, &["-e", &trace, "-o", "/dev/null", "-e", &inject]) else {
                return;
            };
            killed += usize::from(!status.success());
            check(verb, &built, &running, &format!("{verb} killed at step {step} of {count}"));
        }
        assert!(killed > 0, "{verb}: nobody was killed");
    }
}

/// Whether everything is to be tried: `cargo xtask killed`.
fn full() -> bool {
    env::var_os("PATCHWRIGHT_KILLS").is_some_and(|value| value == "full")
}

#[test]
fn a_tool_that_is_killed_at_any_step_harms_nobody() {
    // Seventeen apart: steps of every kind are met.
    kill_at_steps(|count| (1..=count).step_by(if full() { 1 } else { 17 }).collect());
}

fn kill_any_time(times: u64) {
    let Some((_folder, built)) = scene() else { return };
    for verb in VERBS {
        for round in 0..times {
            let running = ready(verb, &built);
            let mut tool = command(verb, &built, &running, &[]).spawn().unwrap();
            // Any time is right; these are spread over what the tool takes.
            std::thread::sleep(Duration::from_micros(500 + round * 7919 % 20_000));
            tool.kill().unwrap();
            tool.wait().unwrap();
            check(verb, &built, &running, &format!("{verb} killed in round {round}"));
        }
    }
}

#[test]
fn a_tool_that_is_killed_at_any_time_harms_nobody() {
    kill_any_time(if full() { 500 } else { 6 });
}

#[test]
fn a_hundred_patches_that_come_and_go_leave_no_memory() {
    let Some((_folder, built)) = scene() else { return };
    let running = ready("revert", &built);
    let part = HotPart::decode(&std::fs::read(&built.patch).unwrap()).unwrap();
    let mut process = Process::open(running.pid().try_into().unwrap()).unwrap();
    let limits = Limits { pause: Duration::from_secs(5), deadline: Duration::from_secs(60), ..Limits::default() };
    let id = PatchId([7; 32]);
    let before = running.maps().lines().count();
    for _ in 0..100 {
        revert(&mut process, id, &limits).unwrap();
        apply(&mut process, &part, id, 0, &limits).unwrap();
    }
    assert_eq!(running.maps().lines().count(), before, "{}", running.maps());
    assert_eq!(running.value("after a hundred rounds"), 2);
}
