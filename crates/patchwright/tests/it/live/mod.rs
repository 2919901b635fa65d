//! Running processes get a patch, lose it again, and refuse it: the cases of `testdata/hot`, each a real child process.

mod case;
mod plain;
mod process;
mod verbs;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use patchwright::report::ProcessOutcome;
use patchwright::{
    ApplyOptions, DiffOptions, ErrorKind, Limits, Parts, Processes, Quiet, RevertOptions, apply, diff, revert,
};

use crate::skips::skip;
use case::{Built, Case};
use process::Running;

/// Names of tests and their sources.
macro_rules! cases {
    ($($name:ident: $file:literal,)*) => {
        $(#[test] fn $name() { check($file); })*
        const CASES: &[&str] = &[$($file),*];
    };
}

cases! {
    alias: "alias.c",
    changed_constants: "changed_constants.c",
    cold_part: "cold_part.c",
    computed_goto: "computed_goto.c",
    constant_copies: "constant_copies.c",
    eintr: "eintr.c",
    endbr: "endbr.c",
    exceptions: "exceptions.cpp",
    fixed_address: "fixed_address.c",
    function_pointer: "function_pointer.c",
    jump_table: "jump_table.c",
    line_numbers: "line_numbers.c",
    lto: "lto.c",
    many_threads: "many_threads.c",
    no_memory: "no_memory.c",
    no_new_code: "no_new_code.c",
    long_vfork: "long_vfork.c",
    new_import: "new_import.c",
    new_things: "new_things.c",
    panics: "panics.rs",
    pinned: "pinned.c",
    recursion: "recursion.c",
    refuse_constructor: "refuse_constructor.c",
    refuse_data: "refuse_data.c",
    refuse_ifunc: "refuse_ifunc.c",
    refuse_layout: "refuse_layout.c",
    refuse_short: "refuse_short.c",
    refuse_thread_variable: "refuse_thread_variable.c",
    registers: "registers.c",
    seccomp: "seccomp.c",
    short_with_pad: "short_with_pad.c",
    signal_handler: "signal_handler.c",
    static_pie: "static_pie.c",
    static_program: "static_program.c",
    stripped: "stripped.c",
    thread_local: "thread_local.c",
    thread_local_library: "thread_local_library.c",
    value: "value.c",
    vfork_parent: "vfork_parent.c",
    virtual_functions: "virtual_functions.cpp",
}

#[test]
fn every_case_is_a_test() {
    let files = fs::read_dir(case::folder()).unwrap();
    let names = files.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let found: BTreeSet<String> = names.filter(|name| !name.ends_with(".h") && !name.ends_with(".md")).collect();
    assert_eq!(found, CASES.iter().map(|name| (*name).to_owned()).collect());
}

/// Whether this machine lets us trace a child; said once for each test that cannot run.
fn may_trace(name: &str) -> bool {
    let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    let restricted = !matches!(scope.trim(), "" | "0" | "1");
    if restricted {
        skip("live", &format!("{name}: kernel.yama.ptrace_scope is {}", scope.trim()));
    }
    !restricted
}

fn has_what_it_needs(case: &Case, name: &str) -> bool {
    for need in case.all("needs") {
        let there = match need {
            "root" => rustix::process::geteuid().is_root(),
            "avx" => fs::read_to_string("/proc/cpuinfo").unwrap_or_default().contains(" avx"),
            other => panic!("{name}: unknown need {other}"),
        };
        if !there {
            skip("live", &format!("{name} needs {need}"));
            return false;
        }
    }
    may_trace(name)
}

fn make(built: &Built, patch: &Path) -> patchwright::Result<patchwright::report::DiffReport> {
    let options = DiffOptions { hot: true, ..DiffOptions::default() };
    diff(std::slice::from_ref(&built.old), &built.new, patch, &options, &Quiet)
}

fn hot_only(pid: i32, limits: Limits) -> ApplyOptions {
    let processes = Processes::Numbered(vec![pid]);
    ApplyOptions { processes, parts: Parts::HotOnly, limits, ..ApplyOptions::default() }
}

fn revert_only(pid: i32, limits: Limits) -> RevertOptions {
    let processes = Processes::Numbered(vec![pid]);
    RevertOptions { processes, parts: Parts::HotOnly, limits, ..RevertOptions::default() }
}

/// Machines that run tests are slow and busy.
fn patient() -> Limits {
    Limits { pause: Duration::from_millis(500), deadline: Duration::from_secs(20), ..Limits::default() }
}

fn check(name: &str) {
    check_case(&Case::read(name), name);
}

fn check_case(case: &Case, name: &str) {
    let folder = tempfile::tempdir().unwrap();
    if !has_what_it_needs(case, name) {
        return;
    }
    let built = case.build(folder.path());
    let patch = folder.path().join("fix.pwp");
    let made = make(&built, &patch);
    let refusals = case.all("refuse-diff");
    if !refusals.is_empty() {
        let error = made.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Malformed, "{error}");
        for expect in refusals {
            assert!(error.details.iter().any(|line| line.starts_with(expect)), "{error}\nlacks {expect}");
        }
        assert!(!patch.exists());
        return;
    }
    let made = made.unwrap();
    if let Some(functions) = case.one("functions") {
        let found: Vec<&str> = made.hot[0].functions.iter().map(|function| function.name.as_str()).collect();
        assert_eq!(found.join(" "), functions);
    }
    let running = Running::start(&built.program, built.argument.as_deref());
    let before = case.one("before").unwrap();
    running.wait_for(before, 0);
    let refusals = case.all("refuse-apply");
    if !refusals.is_empty() {
        let kind = if case.one("refuse-kind") == Some("io") { ErrorKind::Io } else { ErrorKind::Busy };
        return check_refusal(&running, &patch, &built, before, (kind, &refusals));
    }
    let times = case.one("times").map_or(2, |times| times.parse().unwrap());
    for _ in 0..times {
        let mark = running.mark();
        let applied = apply(&patch, &built.old, &hot_only(running.pid(), patient()), &Quiet).unwrap();
        assert_eq!(applied.processes[0].outcome, ProcessOutcome::Applied);
        running.wait_for(case.one("after").unwrap(), mark);
        let mark = running.mark();
        let reverted = revert(&patch, &built.old, &revert_only(running.pid(), patient()), &Quiet).unwrap();
        assert_eq!(reverted.processes[0].outcome, ProcessOutcome::Reverted);
        // What is new prints its first line once; later rounds show what comes after it.
        if case.one("reverted") == case.one("after") || times == 2 && case.one("reverted").is_some() {
            running.wait_for(case.one("reverted").unwrap(), mark);
            return;
        }
        running.wait_for(before, mark);
    }
}

fn check_refusal(running: &Running, patch: &Path, built: &Built, before: &str, (kind, expect): (ErrorKind, &[&str])) {
    let limits = Limits { pause: Duration::from_millis(100), deadline: Duration::from_millis(400), ..Limits::default() };
    let error = apply(patch, &built.old, &hot_only(running.pid(), limits), &Quiet).unwrap_err();
    assert_eq!(error.kind, kind, "{error}");
    for expect in expect {
        assert!(error.details.iter().any(|line| line.contains(expect)), "{error}\nlacks {expect}");
    }
    running.wait_for(before, running.mark());
}
