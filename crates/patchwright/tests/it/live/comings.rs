//! Code that comes and goes while a program runs: libraries that are opened later, closed, and opened again; two tools at
//! once; stacks that somebody accepts.

use std::path::Path;
use std::process::Command;

use patchwright::report::ProcessOutcome;
use patchwright::{ApplyOptions, ErrorKind, Limits, Processes, Quiet, apply, revert, status};

use super::case::{Built, Case, run};
use super::process::Running;
use super::{hot_only, make, may_trace, patient, revert_only};

/// A program that opens a library at SIGUSR1 and closes it at SIGUSR2.
const OPENER: &str = r#"
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
static volatile int wanted;
static void open_it(int signal) { (void)signal; wanted = 1; }
static void close_it(int signal) { (void)signal; wanted = 0; }
int main(int count, char **arguments) {
    (void)count;
    signal(SIGUSR1, open_it);
    signal(SIGUSR2, close_it);
    void *library = 0;
    int (*value)(void) = 0;
    for (;;) {
        if (wanted && !library) { library = dlopen(arguments[1], RTLD_NOW); value = (int (*)(void))dlsym(library, "value"); }
        if (!wanted && library) { dlclose(library); library = 0; }
        if (library) printf("value %d\n", value()); else puts("closed");
        fflush(stdout);
        usleep(2000);
    }
}
"#;
const LIBRARY: &str = "int value(void) { static int calls; calls++; return calls > 0 ? NUMBER : 0; }\n";

fn opener(folder: &Path) -> Option<(Built, Running)> {
    if !may_trace("libraries") {
        return None;
    }
    let compile = |name: &str, text: &str, flags: &[&str]| {
        let source = folder.join(format!("{name}.c"));
        std::fs::write(&source, text).unwrap();
        let to = folder.join(name);
        run(Command::new("gcc").args(["-O2", "-g", "-Wl,--emit-relocs"]).args(flags).arg("-o").arg(&to).arg(source));
        to
    };
    let number = |number: u32| LIBRARY.replace("NUMBER", &number.to_string());
    let library = ["-shared", "-fPIC", "-ffunction-sections"];
    let (old, new) = (compile("old", &number(1), &library), compile("new", &number(2), &library));
    let program = compile("opener", OPENER, &["-ldl"]);
    let running = Running::start(&program, Some(&old));
    running.wait_for("closed", 0);
    Some((Built { program, argument: Some(old.clone()), old, new, objects: None }, running))
}

fn states(pid: i32) -> Vec<&'static str> {
    status(None, &[pid]).unwrap().processes[0].patches.iter().map(|patch| patch.state).collect()
}

#[test]
fn a_library_that_is_opened_later_is_patched_by_the_next_call() {
    let folder = tempfile::tempdir().unwrap();
    let Some((built, running)) = opener(folder.path()) else { return };
    let patch = folder.path().join("fix.pwp");
    make(&built, &patch).unwrap();
    let error = apply(&patch, &built.old, &hot_only(running.pid(), patient()), &Quiet).unwrap_err();
    assert_eq!(error.kind, ErrorKind::WrongInput);
    assert!(error.to_string().contains("runs no build that the patch knows"), "{error}");
    running.signal("USR1");
    running.wait_for("value 1", 0);
    apply(&patch, &built.old, &hot_only(running.pid(), patient()), &Quiet).unwrap();
    running.wait_for("value 2", running.mark());
}

#[test]
fn a_library_that_is_closed_takes_its_patch_along_and_gets_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let Some((built, running)) = opener(folder.path()) else { return };
    let patch = folder.path().join("fix.pwp");
    make(&built, &patch).unwrap();
    running.signal("USR1");
    running.wait_for("value 1", 0);
    for _ in 0..3 {
        let done = apply(&patch, &built.old, &hot_only(running.pid(), patient()), &Quiet).unwrap();
        assert_eq!(done.processes[0].outcome, ProcessOutcome::Applied);
        running.wait_for("value 2", running.mark());
        running.signal("USR2");
        running.wait_for("closed", running.mark());
        assert!(states(running.pid()).iter().all(|state| *state == "gone"), "{:?}", states(running.pid()));
        running.signal("USR1");
        // It comes back as its file has it, mostly to where it was.
        running.wait_for("value 1", running.mark());
        assert!(states(running.pid()).iter().all(|state| *state == "gone"), "{:?}", states(running.pid()));
        let done = revert(&patch, &built.old, &revert_only(running.pid(), patient()), &Quiet).unwrap();
        assert_eq!(done.processes[0].outcome, ProcessOutcome::NotApplied);
    }
}

#[test]
fn two_calls_at_once_do_it_once() {
    if !may_trace("two calls") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let built = Case::read("value.c").build(folder.path());
    let patch = folder.path().join("fix.pwp");
    make(&built, &patch).unwrap();
    let running = Running::start(&built.program, None);
    running.wait_for("value 1", 0);
    let maps = || std::fs::read_to_string(format!("/proc/{}/maps", running.pid())).unwrap().lines().count();
    let mut counts = Vec::new();
    for _ in 0..5 {
        let outcomes: Vec<ProcessOutcome> = std::thread::scope(|scope| {
            let call = || apply(&patch, &built.old, &hot_only(running.pid(), patient()), &Quiet).unwrap();
            let calls: Vec<_> = (0..4).map(|_| scope.spawn(call)).collect();
            calls.into_iter().map(|call| call.join().unwrap().processes[0].outcome).collect()
        });
        let applied = outcomes.iter().filter(|outcome| **outcome == ProcessOutcome::Applied).count();
        let already = outcomes.iter().filter(|outcome| **outcome == ProcessOutcome::AlreadyApplied).count();
        assert_eq!((applied, already), (1, 3), "{outcomes:?}");
        assert_eq!(states(running.pid()), ["active"]);
        running.wait_for("value 2", running.mark());
        revert(&patch, &built.old, &revert_only(running.pid(), patient()), &Quiet).unwrap();
        running.wait_for("value 1", running.mark());
        counts.push(maps());
    }
    assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
}

#[test]
fn a_suspended_stack_that_is_accepted_goes_on_in_the_old_code() {
    if !may_trace("accepted") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let case = Case::read("jump_buffer_suspended.c");
    let built = case.build(folder.path());
    let patch = folder.path().join("fix.pwp");
    make(&built, &patch).unwrap();
    let running = Running::start(&built.program, None);
    running.wait_for("round 1", 0);
    let limits = Limits { accept_suspended: true, ..patient() };
    let done = apply(&patch, &built.old, &hot_only(running.pid(), limits), &Quiet).unwrap();
    assert_eq!(done.processes[0].outcome, ProcessOutcome::Applied);
    // Its function never returns, so that nobody calls the new one.
    running.wait_for("round 1", running.mark());
}

#[test]
fn twenty_processes_get_a_patch_in_one_call() {
    if !may_trace("twenty") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let built = Case::read("value.c").build(folder.path());
    let patch = folder.path().join("fix.pwp");
    make(&built, &patch).unwrap();
    let all: Vec<Running> = (0..20).map(|_| Running::start(&built.program, None)).collect();
    for running in &all {
        running.wait_for("value 1", 0);
    }
    let options = ApplyOptions { processes: Processes::Running, limits: patient(), ..ApplyOptions::default() };
    let done = apply(&patch, &built.old, &options, &Quiet).unwrap();
    assert_eq!(done.processes.len(), 20);
    assert!(done.processes.iter().all(|process| process.outcome == ProcessOutcome::Applied));
    for running in &all {
        running.wait_for("value 2", running.mark());
    }
}
