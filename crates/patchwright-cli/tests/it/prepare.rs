//! `prepare`, and the same at the link: `patchwright-linker` and `ld`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::harness::{Ran, Sandbox};

const MAIN: &str = r#"
#include <stdio.h>
extern int answer(int);
extern int twice(int);
__attribute__((noinline)) int local(int a) { printf("%d\n", answer(a)); return a; }
int main(int argc, char **argv) { (void)argv; return local(argc) + twice(argc) - 3; }
"#;

fn compile(sandbox: &Sandbox, source: &str, object: &str) {
    let mut command = Command::new("cc");
    command.args(["-O1", "-w", "-c", source, "-o", object]).current_dir(sandbox.path(""));
    assert!(command.status().unwrap().success(), "{source}");
}

/// Two objects and an archive with a third.
pub(crate) fn objects() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("main.c", MAIN);
    sandbox.write(
        "answer.c",
        "int g(int); int answer(int a) { return g(a) + g(a + 1); }\nint g(int a) { return a * 20; }\n",
    );
    sandbox.write("twice.c", "int puts(const char *); int twice(int a) { puts(\"twice\"); return 2 * a; }\n");
    for name in ["main", "answer", "twice"] {
        compile(&sandbox, &format!("{name}.c"), &format!("{name}.o"));
    }
    let mut command = Command::new("ar");
    command.args(["rcs", "lib/libtwice.a", "twice.o"]).current_dir(sandbox.path(""));
    fs::create_dir(sandbox.path("lib")).unwrap();
    assert!(command.status().unwrap().success());
    sandbox
}

#[test]
fn copies_are_written_and_counted() {
    let sandbox = objects();
    let ran = sandbox.ok("prepare main.o answer.o lib/libtwice.a -o hot");
    assert!(ran.stdout.starts_with("prepared  hot/main.o  2 functions: 2 prepared\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("prepared  hot/libtwice.a  1 function: 1 prepared\n"), "{}", ran.stdout);
    let again = sandbox.ok("prepare hot/main.o hot/libtwice.a -o again");
    assert!(
        again.stdout.starts_with("unchanged  again/main.o  2 functions: 2 hot-patchable before\n"),
        "{}",
        again.stdout
    );
    assert!(sandbox.read("hot/libtwice.a") == sandbox.read("again/libtwice.a"));
    let mut command = Command::new("cc");
    command.args(["hot/main.o", "hot/answer.o", "-Lhot", "-ltwice", "-o", "app"]).current_dir(sandbox.path(""));
    assert!(command.status().unwrap().success());
    let ran = Ran::of(&mut Command::new(sandbox.path("app")));
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "60\ntwice\n"));
    sandbox.write("names", "main\nlocal\nanswer\ng\ntwice\n");
    sandbox.ok("check app --require list --list names");
}

#[test]
fn what_cannot_be_done_is_listed_and_the_rest_is_done() {
    let sandbox = Sandbox::new();
    let function = |name: &str, code: &str| {
        format!(".globl {name}\n.type {name}, @function\n{name}: {code}\n.size {name}, .-{name}\n")
    };
    let source = [
        ".text\n",
        &function("first", "push %rbp\n.byte 0x06, 0x06\npop %rbp\nret"),
        ".section .text.good,\"ax\",@progbits\n",
        &function("good", "push %rbp\npop %rbp\nret"),
        ".section .text.hashed,\"ax\",@progbits\n.long 0x12345678\n",
        &function("hashed", "push %rbp\npop %rbp\nret"),
        ".section .text.short,\"ax\",@progbits\n",
        &function("jumps", "push %rbp\npop %rbp\njmp tail"),
        &format!(".fill 118, 1, 0x90\n{}", function("tail", "push %rbp\npop %rbp\nret").replace(".globl tail\n", "")),
    ];
    sandbox.write("a.s", source.concat());
    compile(&sandbox, "a.s", "a.o");
    let ran = sandbox.run("prepare a.o -o hot");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.contains("5 functions: 2 prepared, 3 refused"), "{}", ran.stdout);
    for told in [
        "refused: bytes that are no filler stand before its entry and may belong to it\n  hashed  .text.hashed+0x4  a.o",
        "refused: the branch at offset 0x2 cannot reach 0x7a across the new bytes\n  tail  .text.short+0x7a  a.o",
        "refused: the bytes at offset 0x1 are no instruction: calls of itself may hide there\n  first  .text+0x0  a.o",
    ] {
        assert!(ran.stdout.contains(told), "{told}: {}", ran.stdout);
    }
    sandbox.write("names", "good\njumps\n");
    sandbox.ok("check hot/a.o --require list --list names");
}

#[test]
fn inputs_that_make_no_sense_change_nothing() {
    let sandbox = objects();
    sandbox.write("other/main.o", sandbox.read("main.o"));
    sandbox.write("text.o", "no object");
    fs::create_dir(sandbox.path("same")).unwrap();
    sandbox.write("same/main.o", sandbox.read("main.o"));
    sandbox.write("bitcode.o", b"BC\xc0\xde....");
    fs::copy("/bin/true", sandbox.path("true")).unwrap();
    let before = sandbox.listing("");
    for (line, code, told) in [
        ("prepare main.o other/main.o -o hot", 2, "main.o and other/main.o have the same name"),
        ("prepare same/main.o -o same", 2, "same/main.o would be written over itself"),
        ("prepare main.o text.o -o hot", 3, "text.o"),
        ("prepare main.o true -o hot", 3, "linked already"),
        ("prepare bitcode.o -o hot", 3, "LLVM bitcode"),
        ("prepare nothing.o -o hot", 5, "nothing.o"),
        ("prepare main.o", 2, "--output"),
    ] {
        let ran = sandbox.run(line);
        assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{line}: {ran:?}");
        assert!(ran.stderr.contains(told), "{line}: {}", ran.stderr);
    }
    assert_eq!(sandbox.listing(""), before);
}

/// The linker as a command, with a cache of its own.
fn linker(sandbox: &Sandbox) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_patchwright-linker"));
    command.current_dir(sandbox.path(""));
    for name in ["PATCHWRIGHT_LD", "PATCHWRIGHT_REAL_LD", "PATCHWRIGHT_PAD"] {
        command.env_remove(name);
    }
    command.env("PATCHWRIGHT_CACHE", sandbox.path("cache")).env("PATCHWRIGHT_REPORT", sandbox.path("report.json"));
    command
}

fn report(sandbox: &Sandbox) -> Value {
    serde_json::from_slice(&sandbox.read("report.json")).unwrap()
}

fn runs(sandbox: &Sandbox, program: &str) {
    let ran = Ran::of(&mut Command::new(sandbox.path(program)));
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "60\ntwice\n"));
    sandbox.write("names", "main\nlocal\nanswer\ng\ntwice\n");
    sandbox.ok(&format!("check {program} --require list --list names"));
}

#[test]
fn everything_on_a_command_line_is_prepared() {
    let sandbox = objects();
    sandbox.write("arguments", "answer.o\n-Wl,--whole-archive \"-ltwice\" -Wl,--no-whole-archive");
    for args in [
        "main.o answer.o -Llib -ltwice -o app",
        "main.o answer.o lib/libtwice.a -o app",
        "-o app main.o -Llib @arguments",
        "main.o answer.o -Wl,--start-group,lib/libtwice.a,--end-group -o app",
        "-O1 -w main.c answer.c -Llib -l twice -o app",
    ] {
        let ran = Ran::of(linker(&sandbox).args(args.split_whitespace()));
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{args}: {ran:?}");
        runs(&sandbox, "app");
        let report = report(&sandbox);
        assert_eq!(report["schema"], "patchwright.link/1");
        let files = report["files"].as_array().unwrap();
        let own = files.iter().filter(|file| !file["input"].as_str().unwrap().starts_with("/usr/"));
        assert!(
            own.clone().count() >= 3 && own.clone().all(|file| file["counts"]["refused"] == 0),
            "{args}: {files:?}"
        );
        fs::remove_file(sandbox.path("app")).unwrap();
    }
}

#[test]
fn what_is_no_link_is_passed_on() {
    let sandbox = objects();
    let ran = Ran::of(linker(&sandbox).args(["-w", "-c", "main.c", "-o", "new.o"]));
    assert_eq!(ran.code, 0, "{ran:?}");
    let failing = Ran::of(linker(&sandbox).args(["main.o", "-o", "app"]));
    assert_eq!(failing.code, 1);
    assert!(failing.stderr.contains("answer"), "{}", failing.stderr);
    let missing = Ran::of(linker(&sandbox).env("PATCHWRIGHT_LD", "no-such-compiler").args(["main.o"]));
    assert_eq!(missing.code, 5);
    assert!(missing.stderr.contains("no-such-compiler"), "{}", missing.stderr);
    let wrong = Ran::of(linker(&sandbox).env("PATCHWRIGHT_PAD", "many").args(["main.o"]));
    assert_eq!(wrong.code, 2);
}

/// In a folder of `-B`, by the name of the linker.
#[test]
fn a_link_called_ld_is_a_linker() {
    let sandbox = objects();
    fs::create_dir(sandbox.path("tools")).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_patchwright"), sandbox.path("tools/ld")).unwrap();
    let mut command = Command::new("cc");
    command.args(["-Btools", "main.o", "answer.o", "lib/libtwice.a", "-o", "app"]).current_dir(sandbox.path(""));
    let ran = Ran::of(command.env("PATCHWRIGHT_CACHE", ""));
    assert_eq!(ran.code, 0, "{ran:?}");
    runs(&sandbox, "app");
}

#[test]
fn a_cache_saves_work_and_is_not_trusted() {
    let sandbox = objects();
    let link = || {
        let ran = Ran::of(linker(&sandbox).args(["main.o", "answer.o", "lib/libtwice.a", "-o", "app"]));
        assert_eq!(ran.code, 0, "{ran:?}");
        runs(&sandbox, "app");
        let report = report(&sandbox);
        let files = report["files"].as_array().unwrap().clone();
        let archive = files.iter().find(|file| file["input"] == "lib/libtwice.a").unwrap().clone();
        assert_eq!(archive["counts"]["prepared"], 1);
        PathBuf::from(archive["output"].as_str().unwrap())
    };
    let kept = link();
    assert!(kept.starts_with(sandbox.path("cache")) && kept.ends_with("libtwice.a"), "{kept:?}");
    let whole = fs::read(&kept).unwrap();
    let written = fs::metadata(&kept).unwrap().modified().unwrap();
    assert_eq!(link(), kept);
    assert_eq!(fs::metadata(&kept).unwrap().modified().unwrap(), written, "it was made a second time");
    let record = kept.with_file_name("record.json");
    for (file, damage) in [(&kept, &whole[..whole.len() / 2]), (&kept, b"".as_slice()), (&record, b"{".as_slice())] {
        fs::write(file, damage).unwrap();
        assert_eq!(link(), kept);
        assert_eq!(fs::read(&kept).unwrap(), whole);
    }
    // A folder that others may write to is none to take libraries from.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    fs::set_permissions(sandbox.path("cache"), mode).unwrap();
    assert!(!link().starts_with(sandbox.path("cache")));
}

#[test]
fn stable_rust_is_prepared_with_its_library() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "main.rs",
        "fn main() {
            let caught = std::panic::catch_unwind(|| vec![1][std::env::args().count() + 3]);
            let trace = std::backtrace::Backtrace::force_capture().to_string();
            println!(\"{} {}\", caught.is_err(), trace.contains(\"main::main\"));
        }",
    );
    let linker = format!("linker={}", env!("CARGO_BIN_EXE_patchwright-linker"));
    let mut command = Command::new("rustc");
    command.args(["-g", "-C", &linker, "main.rs", "-o", "app"]).current_dir(sandbox.path(""));
    command.env("PATCHWRIGHT_CACHE", "").env("PATCHWRIGHT_REPORT", sandbox.path("report.json"));
    let ran = Ran::of(&mut command);
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = Ran::of(&mut Command::new(sandbox.path("app")));
    assert_eq!(ran.stdout, "true true\n");
    assert!(report(&sandbox)["counts"]["prepared"].as_u64().unwrap() > 1000);
    sandbox.ok("check app");
}
