//! `check` on what compilers make: GCC for x86-64 and x86, mingw for x64.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use patchwright::report::{CheckAnswer, CheckReport, CheckedFunction};
use patchwright::{CheckOptions, Require, check};
use tempfile::TempDir;

use crate::skips::skip;

const GCC: &str = "gcc";
const MINGW: &str = "x86_64-w64-mingw32-gcc";

/// Small functions of the sorts that matter; `hooked` has room whatever the flags are.
const SOURCE: &str = r#"
#define KEEP __attribute__((noinline))
KEEP int add(int a, int b) { return a + b; }
KEEP void nothing(void) { __asm__(""); }
extern int puts(const char *);
KEEP int pushes(int a, int b) { int c = add(a, b); puts("x"); return c + a; }
__attribute__((noinline, ms_hook_prologue)) int hooked(int a) { return add(a, 1); }
int main(int argc, char **argv) { nothing(); (void)argv; return add(argc, 1) + pushes(argc, 2) + hooked(argc); }
"#;

fn is_there(compiler: &str) -> bool {
    Command::new(compiler).arg("--version").stdout(Stdio::null()).status().is_ok()
}

fn build(folder: &Path, compiler: &str, flags: &str) -> PathBuf {
    let source = folder.join("a.c");
    fs::write(&source, SOURCE).unwrap();
    let out = folder.join("out.bin");
    let mut command = Command::new(compiler);
    command.args(["-O2", "-w"]).args(flags.split_whitespace()).arg(&source).arg("-o").arg(&out);
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?}");
    out
}

fn function<'a>(report: &'a CheckReport, name: &str) -> &'a CheckedFunction {
    let is_it = |one: &&CheckedFunction| one.names.iter().any(|known| known == name);
    report.functions.iter().find(is_it).unwrap_or_else(|| panic!("{name} is missing: {:?}", report.sources))
}

/// Verdict and broken rules of a function: `hot-patchable atomic`, `unpatchable HP-A01 HP-A02`.
fn told(report: &CheckReport, name: &str) -> String {
    let function = function(report, name);
    let rules = function.reasons.iter().map(|reason| reason.rule.as_str());
    let words: Vec<_> = std::iter::once(function.verdict).chain(function.protocol).chain(rules).collect();
    words.join(" ")
}

fn list(names: &[&str]) -> CheckOptions {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    CheckOptions { require: Require::List(names), ..CheckOptions::default() }
}

#[test]
fn functions_of_gcc() {
    if !is_there(GCC) {
        skip("check", "gcc is needed");
        return;
    }
    let folder = TempDir::new().unwrap();
    let atomic = "hot-patchable atomic";
    let stopped = "hot-patchable stopped";
    let room = "-fpatchable-function-entry=8,6";
    for (flags, add, pushes, hooked) in [
        ("", atomic, "unpatchable HP-A01", atomic),
        ("-fno-align-functions -falign-functions=1", "unpatchable HP-A02", "unpatchable HP-A01 HP-A02", atomic),
        (room, stopped, stopped, ""),
        ("-fpatchable-function-entry=8,6 -no-pie", stopped, stopped, ""),
        ("-fpatchable-function-entry=8,6 -fcf-protection=full", stopped, stopped, ""),
        ("-fpatchable-function-entry=8,6 -s -rdynamic", stopped, stopped, ""),
        ("-fpatchable-function-entry=8,6 -c", stopped, stopped, ""),
        ("-fpatchable-function-entry=8,6 -shared -fpic", stopped, stopped, ""),
    ] {
        let report = check(&build(folder.path(), GCC, flags), &CheckOptions::default()).unwrap();
        let row = ["add", "pushes"].map(|name| told(&report, name));
        // Where its neighbours leave no filler before it by chance, `add` fails for the pad alone.
        if flags.is_empty() {
            assert!(row[0] == add || row[0] == "unpatchable HP-A02", "{row:?}");
            assert!(row[1].starts_with(pushes), "{row:?}");
        } else {
            assert_eq!(row, [add, pushes], "{flags}");
        }
        if !hooked.is_empty() {
            assert_eq!(told(&report, "hooked"), hooked, "{flags}");
        }
        let linked = report.kind != "object" && flags.contains("patchable");
        let table = report.sources.iter().find(|source| source.source == "patchable-function-entries");
        assert_eq!(table.is_some(), linked, "{flags}");
        assert_eq!(flags.contains(room), report.answer == CheckAnswer::HotPatchable, "{flags}: {:?}", report.causes);
    }
}

/// The toolchain's own functions do not spoil the answer, and are counted.
#[test]
fn start_files_are_counted_apart() {
    if !is_there(GCC) {
        skip("check", "gcc is needed");
        return;
    }
    let folder = TempDir::new().unwrap();
    let image = build(folder.path(), GCC, "-fpatchable-function-entry=8,6");
    let report = check(&image, &CheckOptions::default()).unwrap();
    assert!(function(&report, "_start").runtime);
    assert!(!function(&report, "_start").required);
    assert!(report.counts.runtime >= 3, "{:?}", report.counts);
    assert_eq!(report.counts.failing, 0, "{:?}", report.causes);
    assert_eq!(check(&image, &list(&["add", "main"])).unwrap().answer, CheckAnswer::HotPatchable);
    let short = CheckOptions { min_pad: Some(30), ..list(&["add"]) };
    assert_eq!(check(&image, &short).unwrap().answer, CheckAnswer::NotHotPatchable);
    let missing = check(&image, &list(&["add", "nowhere"])).unwrap();
    assert_eq!((missing.answer, missing.missing), (CheckAnswer::NotHotPatchable, vec!["nowhere".to_owned()]));
}

#[test]
fn objects_for_x86() {
    if !is_there(GCC) {
        skip("check", "gcc is needed");
        return;
    }
    let folder = TempDir::new().unwrap();
    let object = build(folder.path(), GCC, "-m32 -fno-pic -c -fpatchable-function-entry=7,5");
    let report = check(&object, &CheckOptions::default()).unwrap();
    assert_eq!((report.machine, report.kind, report.min_pad), ("x86", "object", 5));
    assert_eq!(told(&report, "add"), "hot-patchable stopped");
    let plain = check(&build(folder.path(), GCC, "-m32 -fno-pic -c"), &CheckOptions::default()).unwrap();
    // mov edi, edi
    assert_eq!(told(&plain, "hooked"), "hot-patchable atomic");
    assert!(function(&plain, "hooked").site.after.starts_with("8bff"));
    assert!(told(&plain, "pushes").contains("HP-A01"));
}

#[test]
fn functions_of_mingw() {
    if !is_there(MINGW) {
        skip("check", "gcc-mingw-w64-x86-64 is needed");
        return;
    }
    let folder = TempDir::new().unwrap();
    for (flags, pushes, sources) in [
        ("", "unpatchable HP-A01", "symbols dwarf pdata"),
        ("-fpatchable-function-entry=8,6", "hot-patchable stopped", "symbols dwarf pdata patchable-function-entries"),
        ("-c", "unpatchable HP-A01", "symbols"),
        ("-c -fpatchable-function-entry=8,6", "hot-patchable stopped", "symbols"),
        ("-shared -s -Wl,--export-all-symbols", "unpatchable HP-A01", "exports pdata"),
    ] {
        let report = check(&build(folder.path(), MINGW, flags), &CheckOptions::default()).unwrap();
        assert!(told(&report, "pushes").starts_with(pushes), "{flags}: {}", told(&report, "pushes"));
        let named: Vec<_> = report.sources.iter().map(|source| source.source).collect();
        assert_eq!(named.join(" "), sources, "{flags}");
        if !flags.contains("patchable") {
            assert_eq!(told(&report, "hooked"), "hot-patchable atomic", "{flags}");
        }
    }
}

/// A body that was copied into callers stays as it is there: debug information tells.
#[test]
fn copies_in_callers_are_told() {
    const SOURCE: &str = "
    extern int seed;
    static inline int twice(int a) { return a * seed + a; }
    int (*pointer)(int) = twice;
    int main(int argc, char **argv) { (void)argv; return twice(argc) + twice(argc + 1); }
    int seed = 3;
    ";
    if !is_there(GCC) {
        skip("check", "gcc is needed");
        return;
    }
    let folder = TempDir::new().unwrap();
    let (source, out) = (folder.path().join("b.c"), folder.path().join("b"));
    fs::write(&source, SOURCE).unwrap();
    let status = Command::new(GCC).args(["-O2", "-g"]).arg(&source).arg("-o").arg(&out).status().unwrap();
    assert!(status.success());
    let report = check(&out, &CheckOptions::default()).unwrap();
    let told = |name: &str| function(&report, name).notes.iter().any(|note| note.rule == "HP-A18");
    assert!(told("twice"), "{:?}", function(&report, "twice"));
    assert!(!told("main"));
    assert!(function(&report, "twice").object.as_deref().is_some_and(|object| object.ends_with("b.c")));
}

/// An exception that lands in the middle of the first instruction: no compiler does that, an assembler can.
#[test]
fn exceptions_that_land_in_the_site() {
    const SOURCE: &str = "
    .text
    .globl f
    .type f, @function
    .fill 16, 1, 0x90
f:  .cfi_startproc
    .cfi_personality 3, pers
    .cfi_lsda 3, table
    mov $1, %eax
    ret
    .cfi_endproc
    .size f, .-f
pers: ret
    .section .gcc_except_table, \"a\"
table: .byte 0xff, 0xff, 1, 4, 0, 5, LANDING, 0
    .section .note.GNU-stack
    ";
    if !is_there(GCC) {
        skip("check", "gcc is needed");
        return;
    }
    let folder = TempDir::new().unwrap();
    let (source, out) = (folder.path().join("a.s"), folder.path().join("a"));
    for (landing, expect) in [("5", "hot-patchable atomic"), ("2", "unpatchable HP-A05")] {
        fs::write(&source, SOURCE.replace("LANDING", landing)).unwrap();
        let mut command = Command::new(GCC);
        command.args(["-nostdlib", "-no-pie", "-Wl,-e,f"]).arg(&source).arg("-o").arg(&out);
        assert!(command.status().unwrap().success());
        assert_eq!(told(&check(&out, &CheckOptions::default()).unwrap(), "f"), expect, "landing at {landing}");
    }
}
