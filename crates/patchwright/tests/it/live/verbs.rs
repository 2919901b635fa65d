//! What is about the verbs and not about a program: idempotence, replacement, other processes, files that are gone.

use std::fs;
use std::path::Path;
use std::process::Command;

use patchwright::report::{ApplyOutcome, ProcessOutcome};
use patchwright::{ApplyOptions, ErrorKind, Processes, Quiet, RevertOptions, apply, inspect, revert, status};

use super::case::{Case, run};
use super::process::Running;
use super::{hot_only, make, may_trace, patient, revert_only};

/// One program, its patch, and a process of it.
struct Scene {
    folder: tempfile::TempDir,
    built: super::Built,
    patch: std::path::PathBuf,
    running: Running,
}

fn scene(name: &str) -> Option<Scene> {
    if !may_trace(name) {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let built = Case::read("value.c").build(folder.path());
    let patch = folder.path().join("fix.pwp");
    make(&built, &patch).unwrap();
    let running = Running::start(&built.program, None);
    running.wait_for("value 1", 0);
    Some(Scene { folder, built, patch, running })
}

#[test]
fn applying_and_reverting_twice_change_nothing_the_second_time() {
    let Some(scene) = scene("twice") else { return };
    let pid = scene.running.pid();
    for expect in [ProcessOutcome::Applied, ProcessOutcome::AlreadyApplied] {
        let done = apply(&scene.patch, &scene.built.old, &hot_only(pid, patient()), &Quiet).unwrap();
        assert_eq!((done.outcome, done.processes[0].outcome), (ApplyOutcome::Untouched, expect));
        scene.running.wait_for("value 2", scene.running.mark());
    }
    let shown = status(None, &[pid]).unwrap();
    let patches = &shown.processes[0].patches;
    assert_eq!(
        (patches.len(), patches[0].state, patches[0].functions.as_slice()),
        (1, "active", &["value".to_owned()][..])
    );
    for expect in [ProcessOutcome::Reverted, ProcessOutcome::NotApplied] {
        let done = revert(&scene.patch, &scene.built.old, &revert_only(pid, patient()), &Quiet).unwrap();
        assert_eq!(done.processes[0].outcome, expect);
        scene.running.wait_for("value 1", scene.running.mark());
    }
    assert_eq!(status(None, &[pid]).unwrap().processes[0].patches[0].state, "idle");
}

#[test]
fn memory_does_not_grow_when_a_patch_comes_and_goes() {
    let Some(scene) = scene("memory") else { return };
    let pid = scene.running.pid();
    let maps = || fs::read_to_string(format!("/proc/{pid}/maps")).unwrap().lines().count();
    let mut counts = Vec::new();
    for _ in 0..10 {
        apply(&scene.patch, &scene.built.old, &hot_only(pid, patient()), &Quiet).unwrap();
        revert(&scene.patch, &scene.built.old, &revert_only(pid, patient()), &Quiet).unwrap();
        counts.push(maps());
    }
    assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    assert!(!maps.lines().any(|line| line.contains("rwx")), "{maps}");
}

#[test]
fn one_apply_changes_the_file_and_every_process_and_one_revert_takes_it_back() {
    let Some(scene) = scene("running") else { return };
    let second = Running::start(&scene.built.program, None);
    second.wait_for("value 1", 0);
    // What runs is found by what is in memory, whatever became of its file.
    let third_program = scene.folder.path().join("gone");
    fs::copy(&scene.built.old, &third_program).unwrap();
    let third = Running::start(&third_program, None);
    third.wait_for("value 1", 0);
    fs::remove_file(&third_program).unwrap();
    let old = fs::read(&scene.built.old).unwrap();
    let options = ApplyOptions { processes: Processes::Running, limits: patient(), ..ApplyOptions::default() };
    let done = apply(&scene.patch, &scene.built.old, &options, &Quiet).unwrap();
    assert_eq!(done.outcome, ApplyOutcome::Applied);
    let mut pids: Vec<i32> = done.processes.iter().map(|process| process.pid).collect();
    pids.sort_unstable();
    let mut expect = [scene.running.pid(), second.pid(), third.pid()];
    expect.sort_unstable();
    assert_eq!(pids, expect);
    for process in [&scene.running, &second, &third] {
        process.wait_for("value 2", process.mark());
    }
    assert_eq!(fs::read(&scene.built.old).unwrap(), fs::read(&scene.built.new).unwrap());
    let options = RevertOptions { processes: Processes::Running, limits: patient(), ..RevertOptions::default() };
    let done = revert(&scene.patch, &scene.built.old, &options, &Quiet).unwrap();
    assert_eq!(done.processes.len(), 3);
    for process in [&scene.running, &second, &third] {
        process.wait_for("value 1", process.mark());
    }
    assert_eq!(fs::read(&scene.built.old).unwrap(), old);
}

#[test]
fn a_newer_patch_takes_the_place_of_an_older_one() {
    let Some(scene) = scene("replace") else { return };
    let pid = scene.running.pid();
    let source = fs::read_to_string(super::case::folder().join("value.c")).unwrap();
    let third_source = scene.folder.path().join("third.c");
    fs::write(&third_source, source.replace("(1, 2)", "(1, 3)")).unwrap();
    fs::copy(super::case::folder().join("tick.h"), scene.folder.path().join("tick.h")).unwrap();
    let mut command = Command::new("gcc");
    command.args(["-g", "-O2", "-DNEW", "-ffunction-sections", "-Wl,--emit-relocs", "-o"]);
    run(command.arg(scene.folder.path().join("third")).arg(&third_source));
    let built = super::Built { new: scene.folder.path().join("third"), ..scene.built };
    let newer = scene.folder.path().join("newer.pwp");
    make(&built, &newer).unwrap();
    apply(&scene.patch, &built.old, &hot_only(pid, patient()), &Quiet).unwrap();
    scene.running.wait_for("value 2", scene.running.mark());
    let done = apply(&newer, &built.old, &hot_only(pid, patient()), &Quiet).unwrap();
    assert!(done.processes[0].replaced.is_some());
    scene.running.wait_for("value 3", scene.running.mark());
    let states = |pid| {
        let shown = status(None, &[pid]).unwrap();
        let mut states: Vec<&str> = shown.processes[0].patches.iter().map(|patch| patch.state).collect();
        states.sort_unstable();
        states
    };
    assert_eq!(states(pid), ["active", "idle"]);
    revert(&newer, &built.old, &revert_only(pid, patient()), &Quiet).unwrap();
    scene.running.wait_for("value 1", scene.running.mark());
    assert_eq!(states(pid), ["idle", "idle"]);
}

#[test]
fn processes_that_the_patch_is_not_for_are_refused_before_anything_changes() {
    let Some(scene) = scene("wrong process") else { return };
    let stranger = Running::start("/bin/cat".as_ref(), Some("/dev/zero".as_ref()));
    let old = fs::read(&scene.built.old).unwrap();
    let options = ApplyOptions {
        processes: Processes::Numbered(vec![scene.running.pid(), stranger.pid()]),
        limits: patient(),
        ..ApplyOptions::default()
    };
    let error = apply(&scene.patch, &scene.built.old, &options, &Quiet).unwrap_err();
    assert_eq!(error.kind, ErrorKind::WrongInput);
    assert!(error.details[0].contains(&format!("process {}", stranger.pid())), "{error}");
    assert_eq!(fs::read(&scene.built.old).unwrap(), old);
    scene.running.wait_for("value 1", scene.running.mark());
}

#[test]
fn a_process_that_somebody_traces_is_refused_with_who() {
    let Some(scene) = scene("traced") else { return };
    let mut strace = match Command::new("strace")
        .args(["-f", "-e", "trace=none", "-o", "/dev/null", "-p", &scene.running.pid().to_string()])
        .stderr(std::process::Stdio::null())
        .spawn()
    {
        Ok(strace) => strace,
        Err(error) => return crate::skips::skip("live", &format!("strace: {error}")),
    };
    let traced = || {
        let text = fs::read_to_string(format!("/proc/{}/status", scene.running.pid())).unwrap();
        !text.lines().any(|line| line == "TracerPid:\t0")
    };
    while !traced() {
        std::thread::yield_now();
    }
    let error = apply(&scene.patch, &scene.built.old, &hot_only(scene.running.pid(), patient()), &Quiet).unwrap_err();
    let told = format!("process {} traces it", strace.id());
    strace.kill().unwrap();
    strace.wait().unwrap();
    assert!(error.to_string().contains(&told), "{error} lacks {told}");
    scene.running.wait_for("value 1", scene.running.mark());
}

#[test]
fn a_breakpoint_in_a_changed_function_is_noticed() {
    let Some(scene) = scene("breakpoint") else { return };
    let other = Case::read("fixed_address.c");
    let built = other.build(scene.folder.path());
    let patch = scene.folder.path().join("fixed.pwp");
    let report = make(&built, &patch).unwrap();
    assert!(report.hot[0].functions.iter().any(|function| function.name == "pick"));
    let running = Running::start(&built.program, None);
    running.wait_for(other.one("before").unwrap(), 0);
    let address = symbol(&built.old, "pick");
    let memory = fs::OpenOptions::new().write(true).open(format!("/proc/{}/mem", running.pid())).unwrap();
    // In code that is not run: a case that nobody takes.
    std::os::unix::fs::FileExt::write_all_at(&memory, &[0xcc], address + 90).unwrap();
    let error = apply(&patch, &built.old, &hot_only(running.pid(), patient()), &Quiet).unwrap_err();
    assert_eq!(error.kind, ErrorKind::WrongInput, "{error}");
    assert!(error.details.iter().any(|line| line.contains("pick at 0x")), "{error}");
}

/// The address of a symbol, as `nm` tells it.
pub(super) fn symbol(program: &Path, name: &str) -> u64 {
    let told = Command::new("nm").arg(program).output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    let line = told.lines().find(|line| line.ends_with(&format!(" {name}"))).unwrap();
    u64::from_str_radix(line.split(' ').next().unwrap(), 16).unwrap()
}

#[test]
fn inspect_shows_what_is_switched_and_why() {
    let Some(scene) = scene("inspect") else { return };
    let patchwright::report::Inspection::Pwp(report) = inspect(&scene.patch).unwrap() else { panic!("not ours") };
    let functions: Vec<&str> = report.hot[0].functions.iter().map(|function| function.name.as_str()).collect();
    assert_eq!(functions, ["value"]);
    assert!(report.hot[0].functions[0].why.starts_with("it differs at +0x"), "{:?}", report.hot[0].functions);
    assert_eq!(report.blobs.iter().map(|blob| blob.kind.as_str()).collect::<Vec<_>>(), ["COLD", "MANI", "HOTP"]);
}

#[test]
fn a_patch_without_a_hot_part_is_refused_for_processes() {
    let Some(scene) = scene("no hot part") else { return };
    let cold = scene.folder.path().join("cold.pwp");
    let options = patchwright::DiffOptions::default();
    patchwright::diff(std::slice::from_ref(&scene.built.old), &scene.built.new, &cold, &options, &Quiet).unwrap();
    let error = apply(&cold, &scene.built.old, &hot_only(scene.running.pid(), patient()), &Quiet).unwrap_err();
    assert_eq!(error.kind, ErrorKind::WrongInput);
    assert!(error.hint.unwrap().contains("diff --hot"));
}
