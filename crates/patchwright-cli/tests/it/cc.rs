//! `cc` with real compilers: what it makes is hot-patchable, behaves the same, and nobody notices it otherwise.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::harness::{Ran, Sandbox};
use crate::skips::skip;

/// Small functions of the sorts that matter: a leaf, an empty one, a loop to the entry, a frame, a cold one, recursion.
pub(crate) const C: &str = r#"
#include <stdio.h>
#define KEEP __attribute__((noinline))
static int calls;
KEEP int add(int a, int b) { return a + b; }
KEEP void nothing(void) { __asm__ volatile(""); }
KEEP __attribute__((cold)) int rare(int a) { calls += a; return calls; }
KEEP int spin(const char *text) { int sum = 0; do { sum += *text; } while (*text++); return sum; }
KEEP int recur(int n) { return n < 2 ? n : recur(n - 1) + recur(n - 2); }
KEEP int framed(int a) { volatile char room[200]; room[a] = 7; return room[a] + add(a, 1); }
KEEP int choose(int n) {
  switch (n) { case 0: return 5; case 1: return 9; case 2: return 77; case 3: return 4; case 4: return 8; case 5: return 3; }
  return -1;
}
int main(int argc, char **argv) {
  (void)argv;
  nothing();
  printf("%d %d %d %d %d %d\n", add(argc, 1), rare(2), spin("abc"), recur(10), framed(3), choose(argc));
  return 0;
}
"#;
pub(crate) const C_FUNCTIONS: [&str; 8] = ["add", "nothing", "rare", "spin", "recur", "framed", "choose", "main"];
pub(crate) const C_PRINTS: &str = "2 2 294 55 11 9\n";

/// Exceptions, virtual calls, templates, destructors.
pub(crate) const CXX: &str = r#"
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>
struct Shape { virtual int area(int side) { if (side < 0) throw std::runtime_error("negative"); return side; } virtual ~Shape() {} };
struct Square : Shape { int area(int side) override { return Shape::area(side) * side; } };
template <class T> __attribute__((noinline)) T twice(T value) { return value + value; }
int main() {
  Square square;
  Shape *shape = &square;
  std::vector<std::string> words{"a", "b"};
  try { shape->area(-1); } catch (const std::exception &error) { std::puts(error.what()); }
  std::printf("%d %s %zu\n", shape->area(twice(3)), twice(words[1]).c_str(), words.size());
}
"#;
pub(crate) const CXX_PRINTS: &str = "negative\n36 bb 2\n";

pub(crate) fn is_there(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null()).status().is_ok()
}

/// Whether all programs are there; else says which is not.
pub(crate) fn has_all(group: &str, programs: &[&str]) -> bool {
    let missing: Vec<_> = programs.iter().filter(|program| !is_there(program)).collect();
    missing.iter().for_each(|program| skip(group, &format!("{program} is needed")));
    missing.is_empty()
}

/// Whether the whole matrix is asked for, not its representative part.
pub(crate) fn whole_matrix() -> bool {
    std::env::var_os("PATCHWRIGHT_MATRIX").is_some_and(|value| value == "full")
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("a.c", C);
    sandbox.write("a.cc", CXX);
    sandbox
}

/// The report that a call left in `report.json`.
fn report(sandbox: &Sandbox) -> Value {
    serde_json::from_slice(&sandbox.read("report.json")).unwrap()
}

fn script(sandbox: &Sandbox, name: &str, text: &str) {
    sandbox.write(name, format!("#!/bin/sh\n{text}\n"));
    fs::set_permissions(sandbox.path(name), fs::Permissions::from_mode(0o755)).unwrap();
}

/// What each of the named functions is, in the words of `check`.
pub(crate) fn verdicts(sandbox: &Sandbox, image: &str, names: &[&str]) -> Vec<String> {
    sandbox.write("names", names.join("\n"));
    let (_, report) = sandbox.json(&format!("check {image} --require list --list names"));
    let told = |name: &&str| {
        let functions = report["functions"].as_array().unwrap();
        let function = functions.iter().find(|one| one["names"].as_array().unwrap().iter().any(|known| known == *name));
        let Some(function) = function else { return format!("{name}: missing") };
        let rules: Vec<_> =
            function["reasons"].as_array().unwrap().iter().map(|one| one["rule"].as_str().unwrap()).collect();
        let by = function["protocol"].as_str().unwrap_or_default();
        format!("{name}: {} {by}{}", function["verdict"].as_str().unwrap(), rules.join(" "))
    };
    names.iter().map(told).collect()
}

fn all_atomic(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("{name}: hot-patchable atomic")).collect()
}

/// The machines that run here, or have somebody who runs them.
fn run(sandbox: &Sandbox, image: &str, runner: &[&str]) -> Option<String> {
    let path = sandbox.path(image);
    let mut words = runner.iter().map(|word| (*word).to_owned()).chain([path.display().to_string()]);
    let mut command = Command::new(words.next()?);
    // Profiled programs leave a file where they run.
    command.args(words).current_dir(sandbox.path("")).env("WINEDEBUG", "-all").env("WINEPREFIX", sandbox.path("wine"));
    let ran = Ran::of(&mut command);
    assert_eq!(ran.code, 0, "{image}: {ran:?}");
    Some(ran.stdout.replace("\r\n", "\n"))
}

/// compiler × width × optimisation × PIC × LTO × CET, for C: every function of the program is hot-patchable by one store,
/// and the program prints what it printed.
#[test]
fn every_compiler_keeps_the_promise() {
    const GCC: &[&str] = &["gcc"];
    let mut rows: Vec<(String, String)> = Vec::new();
    let compilers: &[(&str, &[&str], &[&str])] = &[
        (
            "gcc",
            &["", "-m32"],
            &["", "-no-pie", "-static", "-flto", "-fcf-protection=full", "-fcf-protection=none -pg"],
        ),
        (
            "clang-19",
            &["", "-m32"],
            &["", "-no-pie", "-flto -fuse-ld=lld", "-flto=thin -fuse-ld=lld", "-fcf-protection=full"],
        ),
        ("aarch64-linux-gnu-gcc", &[""], &["", "-no-pie", "-flto", "-mbranch-protection=standard"]),
        ("x86_64-w64-mingw32-gcc", &[""], &["", "-static", "-flto"]),
        ("i686-w64-mingw32-gcc", &[""], &["", "-static", "-flto"]),
    ];
    for (compiler, widths, kinds) in compilers {
        for (at_width, width) in widths.iter().enumerate() {
            for (at_kind, kind) in kinds.iter().enumerate() {
                for (at_level, level) in
                    ["-O2", "-O0", "-O1", "-O3", "-Os", "-O2 -fno-inline -fno-pic"].iter().enumerate()
                {
                    let plain = at_kind == 0 && at_width == 0 && at_level != 2 && at_level != 3;
                    let representative = plain || at_level == 0 && (at_width == 0 || at_kind < 2);
                    // Code for one address only is for programs that have one.
                    let fits = kind.contains("-no-pie") || !level.contains("no-pic");
                    if (representative || whole_matrix()) && fits {
                        rows.push(((*compiler).to_owned(), format!("{level} {width} {kind}")));
                    }
                }
            }
        }
    }
    assert!(has_all("cc", GCC), "a machine that builds this has gcc");
    let sandbox = sandbox();
    let mut held = 0;
    for (compiler, flags) in rows {
        if !has_all("cc", &[&compiler]) {
            continue;
        }
        let (image, runner): (_, &[&str]) = match compiler.as_str() {
            "aarch64-linux-gnu-gcc" => ("app", &["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"]),
            "x86_64-w64-mingw32-gcc" => ("app.exe", &["/usr/lib/wine/wine64"]),
            "i686-w64-mingw32-gcc" => ("app.exe", &[]),
            _ => ("app", &["env"]),
        };
        let line = format!("cc --audit error --report report.json -- {compiler} {flags} a.c -o {image}");
        let ran = sandbox.ok(&line);
        assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""), "{line}");
        let report = report(&sandbox);
        assert_eq!(report["audit"]["counts"]["missed"], 0, "{line}");
        // What link-time optimisation inlines or clones has no name of its own any more.
        let is_lto = flags.contains("lto");
        let names: Vec<&str> = if is_lto { vec!["main"] } else { C_FUNCTIONS.to_vec() };
        let prefix = if compiler.starts_with("i686") { "_" } else { "" };
        let names: Vec<String> = names.iter().map(|name| format!("{prefix}{name}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(verdicts(&sandbox, image, &names), all_atomic(&names), "{line}");
        if !runner.is_empty() && has_all("cc", &runner[..1]) {
            assert_eq!(run(&sandbox, image, runner).unwrap(), C_PRINTS, "{line}");
        }
        held += 1;
    }
    eprintln!("{held} rows held");
    assert!(held >= 10, "{held}");
}

/// C++ with exceptions, in one call and in two.
#[test]
fn cxx_programs_keep_the_promise() {
    let sandbox = sandbox();
    for (compiler, flags) in [
        ("g++", "-O2"),
        ("g++", "-Os -g"),
        ("g++", "-O0 -no-pie"),
        ("g++", "-O2 -flto"),
        ("clang++-19", "-O2"),
        ("clang++-19", "-Oz -g"),
        ("x86_64-w64-mingw32-g++", "-O2 -static"),
        ("x86_64-w64-mingw32-g++", "-Os -static -flto"),
    ] {
        if !has_all("cc", &[compiler]) {
            continue;
        }
        let image = if compiler.contains("mingw") { "app.exe" } else { "app" };
        for lines in [
            vec![format!("{compiler} {flags} a.cc -o {image}")],
            vec![format!("{compiler} {flags} -c a.cc -o a.o"), format!("{compiler} {flags} a.o -o {image}")],
        ] {
            for line in lines {
                let ran = sandbox.ok(&format!("cc --audit error -- {line}"));
                assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""), "{line}");
            }
            let runner: &[&str] = if compiler.contains("mingw") { &["/usr/lib/wine/wine64"] } else { &["env"] };
            if has_all("cc", &runner[..1]) {
                assert_eq!(run(&sandbox, image, runner).unwrap(), CXX_PRINTS, "{compiler} {flags}");
            }
        }
    }
}

/// The same program without the driver fails, for the right reasons.
#[test]
fn without_the_driver_the_same_program_fails() {
    let sandbox = sandbox();
    let gcc = ["gcc", "-Os", "a.c", "-o", "plain"];
    assert!(sandbox.command("").env_clear().status().is_ok());
    let mut command = Command::new(gcc[0]);
    assert!(command.args(&gcc[1..]).current_dir(sandbox.path("")).status().unwrap().success());
    let found = verdicts(&sandbox, "plain", &["add", "recur", "framed"]);
    for (found, rules) in found.iter().zip(["HP-A02", "HP-A01", "HP-A02"]) {
        assert!(found.contains("unpatchable") && found.contains(rules), "{found}");
    }
    assert_eq!(sandbox.run("check plain").code, 1);
    sandbox.ok("cc -- gcc -Os a.c -o good");
    assert_eq!(sandbox.run("check good").code, 0);
}

/// The commands of the guide for C++: the check proves it, and fails for the same program without them.
#[test]
fn the_guides_cxx_program_is_hot_patchable() {
    let sandbox = sandbox();
    sandbox.ok("cc -- g++ -Os -o app a.cc");
    let plain = ["-Os", "-o", "plain", "a.cc"];
    assert!(Command::new("g++").args(plain).current_dir(sandbox.path("")).status().unwrap().success());
    let (good, bad) = (sandbox.run("check app"), sandbox.run("check plain"));
    assert_eq!((good.code, bad.code), (0, 1), "{good:?}\n{bad:?}");
    assert!(good.stdout.contains("stopped threads 0"), "{good:?}");
    assert!(bad.stdout.contains("HP-A01, broken by ") && bad.stdout.contains("HP-A02, broken by "), "{bad:?}");
    for program in ["app", "plain"] {
        assert_eq!(run(&sandbox, program, &["env"]).unwrap(), CXX_PRINTS);
    }
}

/// Questions, preprocessing and failures: same output, same errors, same exit code.
#[test]
fn what_makes_no_code_is_passed_on_untouched() {
    let sandbox = sandbox();
    sandbox.write("bad.c", "int main( {");
    sandbox.write("unused.c", "int f(int a) { int b; return a; }");
    for compiler in ["gcc", "clang-19"] {
        if !has_all("cc", &[compiler]) {
            continue;
        }
        for arguments in [
            "--version",
            "-v",
            "-dumpmachine",
            "-dumpversion",
            "-print-search-dirs",
            "-print-prog-name=as",
            "-m32 -print-multi-directory",
            "-E a.c",
            "-E -dM -x c /dev/null",
            "-M a.c",
            "-fsyntax-only a.c",
            "",
            "-c bad.c",
            "bad.c -o bad",
            "-c missing.c",
            "-Wall -Wextra -c unused.c",
            "-o out missing.o -lm",
            "--no-such-flag -c a.c",
            "-S -o /dev/null unused.c",
        ] {
            let words: Vec<&str> = arguments.split_whitespace().collect();
            let plain = Ran::of(Command::new(compiler).args(&words).current_dir(sandbox.path("")).stdin(Stdio::null()));
            let driven = sandbox.run(&format!("cc -- {compiler} {arguments}"));
            assert_eq!(driven.code, plain.code, "{compiler} {arguments}: {driven:?}");
            assert_eq!(driven.stdout, plain.stdout, "{compiler} {arguments}");
            assert_eq!(steady(&driven.stderr), steady(&plain.stderr), "{compiler} {arguments}");
        }
    }
}

/// Without the names of temporary files, which differ from call to call.
fn steady(text: &str) -> String {
    let word = |word: &str| if word.contains("/tmp/") { "TEMPORARY".to_owned() } else { word.to_owned() };
    text.lines().map(|line| line.split(' ').map(word).collect::<Vec<_>>().join(" ") + "\n").collect()
}

/// Objects that others made are named, with who made them and what to do; the policy decides about the exit code.
#[test]
fn objects_that_missed_out_are_named() {
    if !has_all("cc", &["clang-19"]) {
        return;
    }
    let sandbox = sandbox();
    sandbox.write(
        "util.c",
        "int nop(void); int util(int a) { while (a--) nop(); return a; } int tiny(int a) { return util(a) + 1; }",
    );
    sandbox.write("asm.s", ".text\n.section .note.GNU-stack,\"\"\n.text\n.globl nop\n.type nop,@function\nnop: push %rbp\npop %rbp\nret\n.size nop,.-nop\n");
    sandbox.write("main.c", "int tiny(int); int main(int argc, char **argv) { return tiny(argc) < 0 ? 1 : 0; }");
    let plain = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert!(
            Command::new(words[0]).args(&words[1..]).current_dir(sandbox.path("")).status().unwrap().success(),
            "{line}"
        );
    };
    plain("clang-19 -Os -c util.c -o util.o");
    plain("ar rc libutil.a util.o");
    plain("gcc -c asm.s -o asm.o");
    let why = |objects: &Value| -> Vec<String> {
        let line =
            |object: &Value| format!("{}: {}", object["object"].as_str().unwrap(), object["why"].as_str().unwrap());
        objects.as_array().unwrap().iter().map(line).collect()
    };
    for (inputs, objects) in [
        ("util.o asm.o", &["asm.o: HP-D01: assembled", "util.o: by Debian clang version 19"][..]),
        ("libutil.a asm.o", &["asm.o: HP-D01: assembled", "libutil.a(util.o): an archive"]),
        ("-L. -lutil asm.o", &["asm.o: HP-D01: assembled", "./libutil.a(util.o): an archive"]),
        ("util.o asm.s", &["made by this command", "util.o: by Debian clang"]),
    ] {
        let line = format!("cc --report report.json -- gcc main.c {inputs} -o app");
        let ran = sandbox.ok(&line);
        let found = why(&report(&sandbox)["audit"]["objects"]);
        assert_eq!(found.len(), objects.len(), "{line}: {found:?}");
        for expect in objects {
            assert!(found.iter().any(|found| found.contains(expect)), "{line}: {expect}: {found:?}");
        }
        assert!(ran.stderr.starts_with("warning: app: 3 functions are not hot-patchable\n"), "{line}: {ran:?}");
        assert!(ran.stderr.contains("remedy: ") && ran.stderr.contains("nop: HP-A01: 1 byte long"), "{line}: {ran:?}");
        assert!(sandbox.path("app").exists());
    }
    let line = "gcc main.c util.o asm.o -o app";
    for (way, code, remains) in [
        (format!("cc --audit off -- {line}"), 0, true),
        (format!("cc --audit error -- {line}"), 1, false),
        (format!("cc -- {line} --pw-audit=error"), 1, false),
    ] {
        let ran = sandbox.run(&way);
        assert_eq!((ran.code, sandbox.path("app").exists()), (code, remains), "{way}: {ran:?}");
        assert_eq!(ran.stderr.is_empty(), code == 0, "{way}: {ran:?}");
    }
    let ran = Ran::of(sandbox.command(&format!("cc -- {line}")).env("PATCHWRIGHT_AUDIT", "error"));
    assert_eq!(ran.code, 1, "{ran:?}");
}

/// The user's flags win; what they break is said.
#[test]
fn flags_that_break_the_promise_are_told() {
    let sandbox = sandbox();
    for (flags, expect) in [
        ("-fpatchable-function-entry=0", "leaves no instruction at the entry"),
        ("-fpatchable-function-entry=4,2", "its pad of 2 bytes is shorter than 6"),
        ("-fpatchable-function-entry=16,14", ""),
        ("-falign-functions=1", ""),
    ] {
        let ran = sandbox.ok(&format!("cc --audit off -- gcc -O2 -c {flags} a.c -o a.o"));
        assert_eq!(ran.stderr.is_empty(), expect.is_empty(), "{flags}: {ran:?}");
        assert!(ran.stderr.contains(expect), "{flags}: {ran:?}");
    }
    let ran = sandbox.ok("cc --verbose -- gcc -O2 -c -falign-functions=1 a.c");
    assert_eq!(ran.stderr, "note: -falign-functions=1 wins over ours\n");
    let ran = sandbox.ok("cc --pad 14 --report report.json -- gcc -O2 a.c -o app");
    assert_eq!((ran.stderr.as_str(), report(&sandbox)["pad"].as_u64()), ("", Some(14)));
    assert_eq!(sandbox.run("check app --min-pad 14").code, 0);
}

/// Compilers that cannot, or are known to do it wrongly, are refused with every reason; what makes no code passes.
#[test]
fn wrong_compilers_are_refused() {
    let sandbox = sandbox();
    let macros = |lines: &[&str]| lines.iter().map(|line| format!("echo '#define {line}'\n")).collect::<String>();
    let clang = [
        "__clang__ 1",
        "__clang_major__ 17",
        "__clang_minor__ 0",
        "__clang_patchlevel__ 6",
        "__x86_64__ 1",
        "__ELF__ 1",
    ];
    script(&sandbox, "clang-17", &macros(&clang));
    script(
        &sandbox,
        "gcc-7",
        &macros(&["__GNUC__ 7", "__GNUC_MINOR__ 5", "__GNUC_PATCHLEVEL__ 0", "__x86_64__ 1", "__ELF__ 1"]),
    );
    script(
        &sandbox,
        "riscv-gcc",
        &macros(&["__GNUC__ 13", "__GNUC_MINOR__ 1", "__GNUC_PATCHLEVEL__ 0", "__riscv 1", "__ELF__ 1"]),
    );
    script(&sandbox, "tcc", "echo '#define __TINYC__ 927'");
    for (line, code, expect) in [
        ("cc -- ./clang-17 -fms-hotpatch -c a.c", 7, "59039"),
        ("cc -- ./gcc-7 -c a.c", 7, "since version 8"),
        ("cc -- ./riscv-gcc -c a.c", 7, "the target is none of"),
        ("cc -- ./tcc -c a.c", 7, "neither GCC nor Clang"),
        ("cc -- ./missing -c a.c", 5, "is it installed"),
        ("cc -- ./missing --version", 5, "is it installed"),
        ("cc -- clang-cl /c a.c", 2, "patchwright cl"),
        ("cc --json -- gcc -c a.c", 2, "--report FILE"),
        ("cc", 2, "Usage"),
    ] {
        let ran = sandbox.run(line);
        assert_eq!(ran.code, code, "{line}: {ran:?}");
        assert!(ran.stderr.contains(expect), "{line}: {ran:?}");
    }
    assert_eq!(sandbox.run("cc -- ./clang-17 -fms-hotpatch -E a.c").code, 0);
    let ran = Ran::of(sandbox.command("cc -- gcc -c a.c").env("PATCHWRIGHT_PAD", "six"));
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("PATCHWRIGHT_PAD"), "{ran:?}");
}

/// Wrappers, response files, standard input, several sources, assembly output, a signal.
#[test]
fn commands_may_look_strange() {
    let sandbox = sandbox();
    sandbox.write("other.c", "int other(int a) { return a; }");
    sandbox.write("args", "-O2 -c 'a.c'\n-o \"with space.o\"");
    script(&sandbox, "ccache", "exec \"$@\"");
    script(&sandbox, "dies", "case $* in *-dM*) exec gcc \"$@\";; *print-prog*) exec gcc \"$@\";; esac; kill -TERM $$");
    for (line, object) in [
        ("cc -- env LC_ALL=C gcc -O2 -c a.c -o out.o", "out.o"),
        ("cc -- ./ccache gcc -O2 -c a.c -o cached.o", "cached.o"),
        ("cc -- gcc @args", "with space.o"),
        ("cc gcc -O2 -c a.c -o without-dashes.o", "without-dashes.o"),
        ("cc -- gcc -pipe -O2 -c a.c -o pipe.o", "pipe.o"),
        ("cc -- gcc -O2 -c a.c other.c", "other.o"),
    ] {
        let ran = sandbox.ok(line);
        assert_eq!(ran.stderr, "", "{line}");
        let check = Ran::of(sandbox.command("check").arg(object));
        assert_eq!(check.code, 0, "{line}: {check:?}");
        assert!(check.stdout.contains("stopped threads 0"), "{line}: {check:?}");
    }
    let mut command = sandbox.command("cc -- gcc -x c -O2 - -o from-stdin");
    let source = fs::File::open(sandbox.path("a.c")).unwrap();
    assert_eq!(Ran::of(command.stdin(source)).code, 0);
    assert_eq!(sandbox.run("check from-stdin").code, 0);
    sandbox.ok("cc -- gcc -O2 -S a.c -o a.s");
    let text = String::from_utf8(sandbox.read("a.s")).unwrap();
    assert!(text.contains("__patchable_function_entries"));
    assert_eq!(sandbox.run("cc --audit error -- ./dies a.c -o app").code, 128 + 15);
}

/// The same object from any folder for temporary files: it is part of no object.
#[test]
fn objects_do_not_depend_on_the_machine() {
    let sandbox = sandbox();
    let objects = ["one", "two"].map(|name| {
        fs::create_dir(sandbox.path(name)).unwrap();
        let line = "cc -- gcc -O2 -g -c a.c -o a.o";
        let ran = Ran::of(sandbox.command(line).env("TMPDIR", sandbox.path(name)));
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        sandbox.read("a.o")
    });
    assert!(objects[0] == objects[1]);
}

/// Somebody else's folder under our name is not run.
#[test]
fn a_folder_that_others_may_write_to_is_refused() {
    let sandbox = sandbox();
    sandbox.ok("cc --dry-run -- gcc -c a.c");
    let temporary = sandbox.path("tmp");
    fs::create_dir(&temporary).unwrap();
    let dry = Ran::of(sandbox.command("cc --dry-run --json -- gcc -c a.c").env("TMPDIR", &temporary));
    let report: Value = serde_json::from_str(&dry.stdout).unwrap();
    let added = report["added"].as_array().unwrap();
    let folder = added.iter().find_map(|word| word.as_str().unwrap().strip_prefix("-B")).unwrap();
    fs::set_permissions(Path::new(folder), fs::Permissions::from_mode(0o777)).unwrap();
    let ran = Ran::of(sandbox.command("cc -- gcc -c a.c").env("TMPDIR", &temporary));
    assert_eq!(ran.code, 5, "{ran:?}");
    assert!(ran.stderr.contains("belongs to somebody else"), "{ran:?}");
}

/// What `configure` asks of a compiler, in its order, with the empty standard error that it insists on.
#[test]
fn configure_gets_the_same_answers() {
    let sandbox = sandbox();
    script(&sandbox, "configure", CONFIGURE);
    let driver = format!("{} cc -- gcc", env!("CARGO_BIN_EXE_patchwright"));
    let answers = ["gcc", &driver].map(|compiler| {
        let mut command = Command::new("./configure");
        let ran = Ran::of(command.current_dir(sandbox.path("")).env("CC", compiler));
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(ran.stderr, "", "{compiler}");
        ran.stdout
    });
    assert_eq!(answers[0], answers[1]);
    assert!(answers[0].contains("flag -Wall yes") && answers[0].contains("function strlcpy no"), "{}", answers[0]);
}

/// The steps of AC_PROG_CC, AC_PROG_CPP, AC_CHECK_HEADERS, AC_CHECK_FUNCS, AC_CHECK_LIB, AC_CHECK_SIZEOF and libtool's
/// flag checks, as they run a compiler.
const CONFIGURE: &str = include_str!("configure.sh");

/// Every field of the report stands in the guide.
#[test]
fn the_report_is_described() {
    let sandbox = sandbox();
    sandbox.write(
        "asm.s",
        ".section .note.GNU-stack,\"\"\n.text\n.globl hand\n.type hand,@function\nhand: push %rbp\npop %rbp\nret\n",
    );
    sandbox.ok("cc --report report.json -- gcc a.c asm.s -o app");
    let report = report(&sandbox);
    assert_eq!(report["schema"], "patchwright.build/1");
    let guide = crate::guide::guide();
    let chapter = guide.split_once("## `patchwright.build/1`\n").unwrap().1.split("\n## ").next().unwrap();
    let mut fields = std::collections::BTreeSet::new();
    crate::guide::collect(&report, &mut fields);
    assert!(fields.len() > 15, "{fields:?}");
    for field in fields.iter().filter(|field| *field != "schema") {
        assert!(chapter.contains(&format!("`{field}`")), "{field}");
    }
    let dry: Value = serde_json::from_str(&sandbox.ok("cc --dry-run --json -- gcc a.c -o never").stdout).unwrap();
    assert_eq!((&dry["schema"], &dry["exit_code"]), (&report["schema"], &Value::Null));
    assert!(!sandbox.path("never").exists());
    let told = sandbox.ok("cc --dry-run -- gcc -c a.c -DX='y").stdout;
    assert!(told.starts_with("runs      gcc -ffunction-sections ") && told.contains("\npad       6 bytes\n"), "{told}");
}
