//! `prepare` and the linker face on what compilers make: prepared programs do what they did, and `check` agrees.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use patchwright::report::{CheckReport, PreparedFile};
use patchwright::{CheckOptions, PrepareOptions, Require, check, prepare};
use tempfile::TempDir;

use crate::skips::skip;

/// Exceptions, virtual calls, jump tables, loops to the entry, recursion, function pointers, threads.
const CPP: &str = r#"
#include <cstdio>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>
static int recurses(int n) { return n < 2 ? n : recurses(n - 1) + recurses(n - 2); }
__attribute__((noinline)) int switches(int x) {
  switch (x) { case 0: return 5; case 1: puts("one"); return 1; case 2: return 77; case 3: return 12;
    case 4: puts("four"); return 9; case 5: return 31; default: return -1; }
}
struct Base { virtual ~Base() {} virtual int f(int) = 0; };
struct Derived : Base {
  int f(int a) override { if (a > 3) throw std::runtime_error("big " + std::to_string(a)); return a * 2; }
};
static int local(int a) { return a + 40; }
int (*table[])(int) = { local, switches, recurses };
__attribute__((noinline)) int loops(int *p, int n) { int s = 0; do { s += *p++; } while (--n); return s; }
int main() {
  Derived derived; Base *base = &derived; int total = 0;
  for (int i = 0; i < 8; i++) {
    try { total += base->f(i); } catch (const std::exception &e) { printf("caught %s\n", e.what()); }
    total += switches(i);
  }
  int a[] = {1, 2, 3, 4}; total += loops(a, 4);
  for (auto f : table) total += f(4);
  std::map<std::string, std::vector<int>> m; m["x"].push_back(total); m["y"] = {1, 2, 3};
  std::function<int(int)> g = [&](int x) { return x + total; };
  for (auto &[k, v] : m) printf("%s %zu\n", k.c_str(), v.size());
  printf("%d %d %d\n", total, g(3), recurses(10));
  return total & 63;
}
"#;

/// Computed gotos, an IFUNC, thread-local variables, threads, a weak symbol, an alias, variable arguments.
const C: &str = r#"
#define _GNU_SOURCE
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
static __thread int mine = 3;
extern int other(int) __attribute__((weak));
__attribute__((noinline)) int interpret(const char *code, int a) {
  static const void *const ops[] = { &&add, &&twice, &&done };
  goto *ops[(int)*code];
add: a += 1; goto *ops[(int)*++code];
twice: a *= 2; goto *ops[(int)*++code];
done: return a;
}
int plain(int a) { return a + 1; }
int alias(int) __attribute__((alias("plain")));
static int chosen_one(int a) { return a * 3; }
static int (*choose(void))(int) { return chosen_one; }
int chosen(int) __attribute__((ifunc("choose")));
static void *work(void *p) { mine += *(int *)p; return (void *)(long)mine; }
__attribute__((noinline)) int sum(int n, ...) {
  va_list list; va_start(list, n); int s = 0; while (n--) s += va_arg(list, int); va_end(list); return s;
}
int main(int argc, char **argv) {
  (void)argv; int five = 5 + argc - 1; void *got; pthread_t t;
  pthread_create(&t, 0, work, &five); pthread_join(t, &got);
  printf("%d %ld %d\n", interpret("\0\1\1\0\2", 4), (long)got, mine);
  printf("%d %d %d %d\n", alias(1), chosen(5), sum(3, 1, 2, 3), other ? other(1) : -1);
  return plain(20);
}
"#;

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

fn run(program: impl AsRef<OsStr>, args: &[&str], folder: &Path) {
    let mut command = Command::new(program);
    command.args(args).current_dir(folder);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What a program prints, and its exit code.
fn outcome(runner: &[&str], program: &Path) -> (Option<i32>, String) {
    let mut command = match runner {
        [] => Command::new(program),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            command
        }
    };
    let output = command.env("WINEDEBUG", "-all").output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).replace('\r', ""))
}

fn prepared(folder: &Path, object: &str) -> PreparedFile {
    let report = prepare(&[folder.join(object)], &folder.join("hot"), &PrepareOptions::default()).unwrap();
    let file = report.files[0].clone();
    // Nothing is left to do, byte for byte.
    let again = prepare(std::slice::from_ref(&file.output), &folder.join("again"), &PrepareOptions::default()).unwrap();
    assert!(!again.files[0].changed, "{:?}", again.files[0]);
    assert_eq!(fs::read(&again.files[0].output).unwrap(), fs::read(&file.output).unwrap());
    file
}

/// Every function of the object that was not refused passes the check in the image.
fn claims(image: &Path, object: &Path, file: &PreparedFile) -> CheckReport {
    let refused: Vec<_> = file.refused.iter().flat_map(|function| &function.names).collect();
    let own = check(object, &CheckOptions::default()).unwrap();
    let part = |name: &str| name.contains(".cold");
    let names = own.functions.iter().flat_map(|function| function.names.clone());
    // The start files of the toolchain come first in the link, and the linker keeps their copies of these.
    let shared = |name: &str| name.starts_with("__x86.get_pc_thunk.");
    let names = names.filter(|name| !refused.contains(&name) && !part(name) && !shared(name)).collect();
    let report = check(image, &CheckOptions { require: Require::List(names), ..CheckOptions::default() }).unwrap();
    let failing = report.functions.iter().filter(|one| one.required && one.verdict != "hot-patchable");
    let failing: Vec<_> = failing.map(|one| (&one.names, &one.reasons, &one.site)).collect();
    assert!(failing.is_empty(), "{failing:?}");
    report
}

/// Builds with and without preparing, and compares.
fn check_same(compiler: &str, extension: &str, source: &str, flags: &str, link: &str, runner: &[&str]) {
    let (program, first) = compiler.split_once(' ').unwrap_or((compiler, ""));
    if !is_there(program) || runner.first().is_some_and(|runner| !is_there(runner)) {
        skip("prepare", &format!("{compiler} is needed, and what runs its programs: {runner:?}"));
        return;
    }
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    fs::write(at.join(format!("a.{extension}")), source).unwrap();
    let compile = format!("{first} {flags} -w -c a.{extension} -o a.o");
    run(program, &compile.split_whitespace().collect::<Vec<_>>(), at);
    let file = prepared(at, "a.o");
    assert_eq!((file.counts.refused, file.changed), (0, true), "{compiler} {flags}: {:?}", file.refused);
    for (object, image) in [("a.o", "plain.exe"), ("hot/a.o", "hot.exe")] {
        let link = format!("{first} {object} -o {image} {link}");
        run(program, &link.split_whitespace().collect::<Vec<_>>(), at);
    }
    let told = ["plain.exe", "hot.exe"].map(|image| outcome(runner, &at.join(image)));
    assert_eq!(told[0], told[1], "{compiler} {flags}");
    assert!(told[0].1.lines().count() >= 2, "{compiler} {flags}: {told:?}");
    claims(&at.join("hot.exe"), &at.join("a.o"), &file);
}

/// Rows of the default run, or all combinations when `PATCHWRIGHT_MATRIX` is `full`.
fn rows(usual: &[&str], machine: &[&str]) -> Vec<String> {
    if std::env::var_os("PATCHWRIGHT_MATRIX").is_none_or(|value| value != "full") {
        return usual.iter().map(|row| (*row).to_owned()).collect();
    }
    let mut all = Vec::new();
    for level in ["-O0", "-O1", "-O2", "-O3", "-Os"] {
        for debug in ["", "-g", "-gdwarf-4"] {
            for sections in ["", "-ffunction-sections"] {
                all.extend(machine.iter().map(|kind| format!("{level} {debug} {sections} {kind}")));
            }
        }
    }
    all
}

#[test]
fn cpp_behaves_the_same() {
    let usual = [
        "-O0 -g",
        "-O1 -ffunction-sections",
        "-O2 -gdwarf-4",
        "-O2 -fcf-protection=full",
        "-O3 -g -ffunction-sections -fPIC",
        "-Os -fno-pic",
    ];
    for flags in rows(&usual, &["", "-fno-pic", "-fcf-protection=full"]) {
        let link = if flags.contains("-fno-pic") { "-no-pie" } else { "-Wl,--gc-sections" };
        check_same("g++", "cpp", CPP, &format!("-std=c++17 {flags}"), link, &[]);
    }
}

#[test]
fn cpp_of_clang_behaves_the_same() {
    let usual = ["-O0 -gdwarf-4", "-O2 -g", "-O3 -ffunction-sections", "-Os -fcf-protection=full"];
    for flags in rows(&usual, &["", "-fPIC", "-fcf-protection=full"]) {
        check_same("clang++-19", "cpp", CPP, &format!("-std=c++17 {flags}"), "", &[]);
    }
}

#[test]
fn c_behaves_the_same() {
    for (compiler, flags) in [
        ("gcc", "-O0 -g"),
        ("gcc", "-O2"),
        ("gcc", "-O2 -ffunction-sections -g"),
        ("gcc", "-Os -pg -mfentry"),
        ("gcc", "-O2 -fpatchable-function-entry=8,6"),
        ("clang-19", "-O2 -g -ffunction-sections"),
        ("clang-19", "-Os"),
    ] {
        let link = if flags.contains("-pg") { "-pthread -pg" } else { "-pthread" };
        check_same(compiler, "c", C, flags, link, &[]);
    }
}

#[test]
fn x86_behaves_the_same() {
    if Command::new("gcc")
        .args(["-m32", "-print-file-name=libgcc.a"])
        .output()
        .is_ok_and(|told| !told.stdout.starts_with(b"/"))
    {
        skip("prepare", "gcc-12-multilib is needed");
        return;
    }
    let usual = ["-O0 -g", "-O2", "-Os -fno-pic", "-O2 -ffunction-sections -gdwarf-4 -fcf-protection=full"];
    for flags in rows(&usual, &["", "-fno-pic", "-fcf-protection=full"]) {
        let link = if flags.contains("-fno-pic") { "-no-pie -pthread" } else { "-pthread" };
        check_same("gcc -m32", "c", C, &flags, link, &[]);
    }
}

#[test]
fn arm64_behaves_the_same() {
    let runner = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"];
    let usual = ["-O0 -g", "-O2", "-O2 -ffunction-sections -mbranch-protection=standard"];
    for flags in rows(&usual, &["", "-mbranch-protection=standard"]) {
        check_same("aarch64-linux-gnu-gcc", "c", C, &flags, "-pthread", &runner);
    }
}

/// No IFUNC, no threads of POSIX, no weak references there.
fn for_windows() -> String {
    let source = CPP.replace("#include <functional>", "#include <functional>\n#include <cstdlib>");
    source.replace("return total & 63;", "fflush(stdout); return total & 63;")
}

#[test]
fn programs_for_windows_behave_the_same() {
    const WINE: &str = "/usr/lib/wine/wine64";
    for flags in rows(&["-O0", "-O2 -g -ffunction-sections"], &[""]) {
        check_same("x86_64-w64-mingw32-g++", "cpp", &for_windows(), &format!("-std=c++17 {flags}"), "-static", &[WINE]);
    }
}

const DEBUGGED: &str = r#"
#include <stdio.h>
int leaf(int a)
{
  printf("leaf %d\n", a);
  return a + 1;
}
int main(int argc, char **argv)
{
  int x = argc;
  x = leaf(x);
  x = leaf(x + 1);
  (void)argv;
  return x;
}
"#;

/// What gdb says on a walk through the program; addresses left out.
fn walk(program: &Path) -> String {
    let commands = ["break main", "run", "step", "bt 2", "finish", "break leaf", "continue", "info args", "bt 2"];
    let mut command = Command::new("gdb");
    command.args(["-batch", "-nx"]);
    for line in commands {
        command.args(["-ex", line]);
    }
    let output = command.arg(program).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.contains("hread"));
    let plain = lines.map(|line| {
        let words = line.split(' ').filter(|word| !word.contains("0x"));
        words.collect::<Vec<_>>().join(" ")
    });
    plain.collect::<Vec<_>>().join("\n")
}

/// Breakpoints, steps, lines and frames are those of the program as it was. Without optimisation gdb does not know
/// GCC's prologue behind a nop; that is so with the compiler's own option as well, and left out here.
#[test]
fn debuggers_see_the_same() {
    for tool in ["gdb", "gcc", "clang-19"] {
        if !is_there(tool) {
            skip("prepare", &format!("{tool} is needed"));
            return;
        }
    }
    for (compiler, flags) in [
        ("gcc", "-O1 -fno-inline -g -ffunction-sections"),
        ("gcc", "-Os -fno-inline -gdwarf-4"),
        ("clang-19", "-O1 -fno-inline -g"),
        ("clang-19", "-O1 -fno-inline -gdwarf-4 -ffunction-sections"),
    ] {
        let folder = TempDir::new().unwrap();
        let at = folder.path();
        fs::write(at.join("a.c"), DEBUGGED).unwrap();
        run(compiler, &format!("{flags} -w -c a.c -o a.o").split_whitespace().collect::<Vec<_>>(), at);
        let file = prepared(at, "a.o");
        assert_eq!(file.counts.refused, 0, "{:?}", file.refused);
        run(compiler, &["a.o", "-o", "plain"], at);
        run(compiler, &["hot/a.o", "-o", "hot.exe"], at);
        let told = ["plain", "hot.exe"].map(|image| walk(&at.join(image)));
        assert!(told[0].contains("leaf (a=") && told[0].contains("a.c:"), "{}", told[0]);
        assert_eq!(told[0], told[1], "{compiler} {flags}");
    }
}

/// Every byte of every function comes from the line it came from, and from the same inlined functions.
#[test]
fn lines_follow_every_byte() {
    for tool in ["g++", "addr2line"] {
        if !is_there(tool) {
            skip("prepare", &format!("{tool} is needed"));
            return;
        }
    }
    for flags in ["-O2 -g -ffunction-sections", "-O2 -gdwarf-4", "-Os -g"] {
        let folder = TempDir::new().unwrap();
        let at = folder.path();
        fs::write(at.join("a.cpp"), CPP).unwrap();
        run("g++", &format!("-std=c++17 {flags} -c a.cpp -o a.o").split_whitespace().collect::<Vec<_>>(), at);
        prepared(at, "a.o");
        let told = ["a.o", "hot/a.o"].map(|object| lines(at, object));
        assert!(told[0].len() > 10, "{flags}: {told:?}");
        for (name, old) in &told[0] {
            let new = &told[1][name];
            // The island belongs to the first line.
            let more = new.len() - old.len();
            assert!(more <= 6 && new[more..] == old[..], "{flags} {name}:\n{old:?}\n{new:?}");
            assert_eq!(new[0], old[0], "{flags} {name}");
        }
    }
}

/// For each function of a linked copy of the object, what stands behind each byte.
fn lines(folder: &Path, object: &str) -> std::collections::BTreeMap<String, Vec<String>> {
    run("g++", &[object, "-o", "image"], folder);
    let names = check(&folder.join(object), &CheckOptions::default()).unwrap().functions;
    let image = check(&folder.join("image"), &CheckOptions::default()).unwrap();
    let mut found = std::collections::BTreeMap::new();
    for function in image.functions.iter().filter(|one| names.iter().any(|other| other.names == one.names)) {
        let start = u64::from_str_radix(function.address.trim_start_matches("0x"), 16).unwrap();
        let size = function.size.unwrap();
        let mut command = Command::new("addr2line");
        command.args(["-a", "-i", "-f", "-e"]).arg(folder.join("image"));
        command.args((start..start + size).map(|address| format!("{address:#x}")));
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let bytes = text.split("0x0").skip(1).map(|part| part.lines().skip(1).collect::<Vec<_>>().join(" "));
        found.insert(function.names.join(" "), bytes.collect());
    }
    found
}

/// clang for Microsoft's form of objects: marked, padded by lld, and what it says about functions follows.
#[test]
fn objects_for_microsofts_linker_are_marked() {
    for tool in ["clang-19", "lld-link-19"] {
        if !is_there(tool) {
            skip("prepare", &format!("{tool} is needed"));
            return;
        }
    }
    let source = "int g(int);\nint f(int a) { return g(a) + g(a + 1); }\nint g(int a) { while (--a) if (a == 7) return f(a); return 3; }\n\
                  int start(void) { return f(3) - 6; }\n";
    for (target, flags, entry) in [
        ("x86_64-pc-windows-msvc", "-O1 -fno-inline -ffunction-sections", "start"),
        ("x86_64-pc-windows-msvc", "-O1 -fno-inline -ffunction-sections -g -gcodeview", "start"),
        ("x86_64-pc-windows-msvc", "-O1 -fno-inline", "start"),
        ("i686-pc-windows-msvc", "-O1 -fno-inline -ffunction-sections", "start"),
    ] {
        let folder = TempDir::new().unwrap();
        let at = folder.path();
        fs::write(at.join("a.c"), source).unwrap();
        let line = format!("--target={target} {flags} -w -c a.c -o a.o");
        run("clang-19", &line.split_whitespace().collect::<Vec<_>>(), at);
        let file = prepared(at, "a.o");
        assert_eq!(file.counts.refused, 0, "{target} {flags}: {:?}", file.refused);
        let entry = format!("/entry:{entry}");
        let link = [
            "/functionpadmin",
            "/nodefaultlib",
            "/subsystem:console",
            &entry,
            "/debug:symtab",
            "hot/a.o",
            "/out:hot.exe",
        ];
        run("lld-link-19", &link, at);
        let report = check(&at.join("hot.exe"), &CheckOptions::default()).unwrap();
        let failing: Vec<_> =
            report.functions.iter().filter(|one| one.required && one.verdict != "hot-patchable").collect();
        assert!(report.counts.hot_patchable >= 2 && failing.is_empty(), "{target} {flags}: {failing:?}");
        if target.starts_with("x86_64") && is_there("/usr/lib/wine/wine64") {
            assert_eq!(outcome(&["/usr/lib/wine/wine64"], &at.join("hot.exe")).0, Some(0), "{target} {flags}");
        }
    }
}
