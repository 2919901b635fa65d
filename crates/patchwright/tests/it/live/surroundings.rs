//! What is around a process: its parent, its container, its user, a debugger; and the memory that it had before.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use patchwright::{ErrorKind, Quiet, apply, revert};

use super::case::{Built, Case, run};
use super::process::Running;
use super::{hot_only, make, may_trace, patient, revert_only};
use crate::skips::skip;

fn value(folder: &Path) -> (Built, PathBuf) {
    let built = Case::read("value.c").build(folder);
    let patch = folder.join("fix.pwp");
    make(&built, &patch).unwrap();
    (built, patch)
}

/// Patches a process that prints to `shown`, and takes the patch back.
fn comes_and_goes(shown: &Running, pid: i32, built: &Built, patch: &Path) {
    apply(patch, &built.old, &hot_only(pid, patient()), &Quiet).unwrap();
    shown.wait_for("value 2", shown.mark());
    revert(patch, &built.old, &revert_only(pid, patient()), &Quiet).unwrap();
    shown.wait_for("value 1", shown.mark());
}

/// Children of a process, and theirs.
fn descendants(pid: i32) -> Vec<i32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children: Vec<i32> = list.split_whitespace().map(|child| child.parse().unwrap()).collect();
    children.iter().flat_map(|child| std::iter::once(*child).chain(descendants(*child))).collect()
}

#[test]
fn the_first_process_of_a_container_is_patched_from_outside() {
    if !may_trace("container") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (built, patch) = value(folder.path());
    let spaces = ["--pid", "--fork", "--mount", "--mount-proc", "--user", "--map-root-user", "--ipc", "--uts"];
    let able = Command::new("unshare").args(spaces).arg("true").output();
    if !able.is_ok_and(|able| able.status.success()) {
        return skip("live", "container: namespaces cannot be made here");
    }
    let running = Running::of(Command::new("unshare").args(spaces).arg("--kill-child").arg(&built.program));
    running.wait_for("value 1", 0);
    let inside = descendants(running.pid());
    let [pid] = inside.as_slice() else { panic!("{inside:?}") };
    let numbers = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(numbers.lines().any(|line| line.starts_with("NSpid:") && line.ends_with("\t1")), "{numbers}");
    comes_and_goes(&running, *pid, &built, &patch);
}

#[test]
fn a_program_that_runs_as_the_owner_of_its_file_is_patched_by_root() {
    if !may_trace("setuid") {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        return skip("live", "setuid needs root");
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (built, patch) = value(folder.path());
    fs::set_permissions(&built.program, fs::Permissions::from_mode(0o4755)).unwrap();
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let running = Running::of(Command::new("setpriv").args(nobody).arg(&built.program));
    running.wait_for("value 1", 0);
    let numbers = fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
    assert!(numbers.lines().any(|line| line.starts_with("Uid:\t65534\t0\t")), "{numbers}");
    comes_and_goes(&running, running.pid(), &built, &patch);
}

/// A parent that counts what it hears of its child: stops, continuations, its end.
const PARENT: &str = r#"
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>
static volatile int signals;
static void count(int signal) { (void)signal; signals++; }
int main(int number, char **arguments) {
    (void)number;
    signal(SIGCHLD, count);
    pid_t child = fork();
    if (child == 0) { prctl(PR_SET_PDEATHSIG, SIGKILL); execv(arguments[1], arguments + 1); _exit(1); }
    printf("child %d\n", child);
    for (int heard = 0;;) {
        int status;
        if (waitpid(child, &status, WUNTRACED | WCONTINUED | WNOHANG) > 0) heard++;
        printf("heard %d, signals %d\n", heard, signals);
        fflush(stdout);
        usleep(2000);
    }
}
"#;

#[test]
fn the_parent_of_a_process_hears_nothing() {
    if !may_trace("parent") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (built, patch) = value(folder.path());
    let source = folder.path().join("parent.c");
    fs::write(&source, PARENT).unwrap();
    let parent = folder.path().join("parent");
    run(Command::new("gcc").arg("-o").arg(&parent).arg(&source));
    let running = Running::start(&parent, Some(&built.program));
    let pid: i32 = running.told("child ").parse().unwrap();
    running.wait_for("value 1", 0);
    for _ in 0..5 {
        comes_and_goes(&running, pid, &built, &patch);
    }
    let mark = running.wait_for("heard 0, signals 0", running.mark());
    // It does hear what there is to hear.
    let stop =
        |name: &str| assert!(Command::new("kill").args(["-s", name, &pid.to_string()]).status().unwrap().success());
    stop("STOP");
    let mark = running.wait_for("heard 1, signals 1", mark);
    stop("CONT");
    running.wait_for("heard 2, signals 2", mark);
}

#[test]
fn a_process_that_its_shell_has_stopped_stays_stopped_and_is_patched() {
    if !may_trace("stopped") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (built, patch) = value(folder.path());
    let running = Running::start(&built.program, None);
    running.wait_for("value 1", 0);
    running.signal("STOP");
    let is_stopped = || fs::read_to_string(format!("/proc/{}/stat", running.pid())).unwrap().contains(") T ");
    while !is_stopped() {
        std::thread::yield_now();
    }
    let mark = running.mark();
    apply(&patch, &built.old, &hot_only(running.pid(), patient()), &Quiet).unwrap();
    assert!(is_stopped(), "{}", fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap());
    running.signal("CONT");
    running.wait_for("value 2", mark);
}

#[test]
fn memory_of_the_program_keeps_its_protection() {
    if !may_trace("protection") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (built, patch) = value(folder.path());
    let running = Running::start(&built.program, None);
    running.wait_for("value 1", 0);
    let maps = || -> Vec<String> {
        let maps = fs::read_to_string(format!("/proc/{}/maps", running.pid())).unwrap();
        maps.lines().map(str::to_owned).collect()
    };
    let before = maps();
    apply(&patch, &built.old, &hot_only(running.pid(), patient()), &Quiet).unwrap();
    let after = maps();
    let lost: Vec<&String> = before.iter().filter(|line| !after.contains(line) && !line.contains("[heap]")).collect();
    assert!(lost.is_empty(), "{lost:#?}");
    let added: Vec<&String> = after.iter().filter(|line| !before.contains(line) && !line.contains("[heap]")).collect();
    assert!(!added.is_empty() && added.iter().all(|line| !line.contains("wx")), "{added:#?}");
}

#[test]
fn profilers_are_told_where_the_new_code_is() {
    if !may_trace("perf map") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (built, patch) = value(folder.path());
    let running = Running::start(&built.program, None);
    running.wait_for("value 1", 0);
    apply(&patch, &built.old, &hot_only(running.pid(), patient()), &Quiet).unwrap();
    let shown = patchwright::status(None, &[running.pid()]).unwrap();
    let [line] = shown.processes[0].patches[0].perf_map.as_slice() else { panic!("{shown:?}") };
    let mut fields = line.split(' ');
    let mut number = || u64::from_str_radix(fields.next().unwrap(), 16).unwrap();
    let (start, len) = (number(), number());
    assert_eq!((fields.next(), fields.next()), (Some("value"), None));
    // There it is code, and the old function leads to it.
    let maps = fs::read_to_string(format!("/proc/{}/maps", running.pid())).unwrap();
    let holds = |line: &&str| {
        let (from, rest) = line.split_once('-').unwrap();
        let (to, rest) = rest.split_once(' ').unwrap();
        let hex = |text: &str| u64::from_str_radix(text, 16).unwrap();
        rest.starts_with("r-xp") && hex(from) <= start && start + len <= hex(to)
    };
    assert!(maps.lines().any(|line| holds(&line)), "{line}: {maps}");
    let program = maps.lines().find(|line| line.ends_with("/old")).unwrap();
    let base = u64::from_str_radix(program.split('-').next().unwrap(), 16).unwrap();
    let entry = base + super::verbs::symbol(&built.old, "value");
    let memory = fs::File::open(format!("/proc/{}/mem", running.pid())).unwrap();
    let mut jump = [0; 5];
    std::os::unix::fs::FileExt::read_exact_at(&memory, &mut jump, entry).unwrap();
    let distance = i32::from_le_bytes(jump[1..].try_into().unwrap());
    assert_eq!((jump[0], (entry + 5).wrapping_add_signed(distance.into())), (0xe9, start));
}

#[test]
fn a_process_of_32_bits_is_not_one_that_a_patch_is_for() {
    if !may_trace("32 bits") {
        return;
    }
    let case = Case::read("refuse_32_bit.c");
    if !super::has_what_it_needs(&case, "32 bits") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (built, patch) = value(folder.path());
    let other = folder.path().join("32");
    fs::create_dir(&other).unwrap();
    let running = Running::start(&case.build(&other).program, None);
    running.wait_for("value 1", 0);
    let error = apply(&patch, &built.old, &hot_only(running.pid(), patient()), &Quiet).unwrap_err();
    assert_eq!(error.kind, ErrorKind::WrongInput);
    assert!(error.to_string().contains("runs no build that the patch knows"), "{error}");
    running.wait_for("value 1", running.mark());
}
