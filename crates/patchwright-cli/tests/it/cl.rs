//! `cl` and `link` with clang-cl and lld-link: the rules of Microsoft's documentation hold in the image.
//!
//! There is no Windows SDK here: programs bring their own entry, and an import library of `kernel32` is made of names.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::cc::{has_all, verdicts, whole_matrix};
use crate::harness::{Ran, Sandbox};

const WINE: &str = "/usr/lib/wine/wine64";

/// Frames, leaves, an empty function, a loop to the entry, an indirect call; the exit code tells that they work.
const SOURCE: &str = r#"
typedef int (*Binary)(int, int);
__declspec(dllimport) void __stdcall ExitProcess(unsigned);
__declspec(noinline) int add(int a, int b) { return a + b; }
__declspec(noinline) void nothing(void) { __asm__ volatile(""); }
__declspec(noinline) int spin(const char *text) { int sum = 0; do { sum += *text; } while (*text++); return sum; }
__declspec(noinline) int framed(int a) { volatile char room[100]; room[a] = 1; return add(room[a], a); }
__declspec(noinline) int through(Binary binary, int a) { return binary(a, 1); }
volatile Binary chosen = add;
void start(void) { nothing(); ExitProcess((unsigned)(add(spin("abc"), framed(3)) + through(chosen, 4)) & 0xff); }
"#;
const FUNCTIONS: [&str; 6] = ["add", "nothing", "spin", "framed", "through", "start"];
/// 294 + 4 + 5, in a byte.
const EXIT_CODE: i32 = 303 & 0xff;
const LINK: &str = "/entry:start /nodefaultlib /subsystem:console kernel32.lib";

fn sandbox(machine: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("a.c", SOURCE);
    kernel32(&sandbox, machine);
    sandbox
}

fn kernel32(sandbox: &Sandbox, machine: &str) {
    // On x86 the name carries the bytes of its arguments.
    let name = if machine == "i386" { "ExitProcess@4" } else { "ExitProcess" };
    sandbox.write("kernel32.def", format!("LIBRARY kernel32.dll\nEXPORTS\n{name}\n"));
    let mut command = Command::new("llvm-dlltool-19");
    let kill = if machine == "i386" { &["-k"][..] } else { &[] };
    command.args(["-m", machine, "-d", "kernel32.def", "-l", "kernel32.lib"]).args(kill);
    assert!(command.current_dir(sandbox.path("")).status().unwrap().success());
}

fn has_tools() -> bool {
    has_all("cl", &["clang-cl-19", "lld-link-19", "llvm-dlltool-19", "llvm-lib-19"])
}

fn report(sandbox: &Sandbox) -> Value {
    serde_json::from_slice(&sandbox.read("report.json")).unwrap()
}

fn counts(sandbox: &Sandbox) -> (u64, u64) {
    let report = report(sandbox);
    let counts = &report["audit"]["counts"];
    (counts["atomic"].as_u64().unwrap(), counts["missed"].as_u64().unwrap())
}

/// The bytes before and at the entry of a function, by the map: what the audit says is looked at with other eyes.
fn bytes_at(sandbox: &Sandbox, image: &str, map: &str, name: &str) -> (Vec<u8>, Vec<u8>) {
    let map = String::from_utf8(sandbox.read(map)).unwrap();
    let line = map
        .lines()
        .find(|line| line.split_whitespace().nth(1) == Some(name))
        .unwrap_or_else(|| panic!("{name}: {map}"));
    let offset =
        line.trim().split(':').nth(1).and_then(|text| usize::from_str_radix(text.split(' ').next()?, 16).ok()).unwrap();
    let bytes = sandbox.read(image);
    let word = |at: usize| usize::try_from(u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())).unwrap();
    let header = word(0x3c);
    let optional = usize::from(u16::from_le_bytes(bytes[header + 20..header + 22].try_into().unwrap()));
    let section = header + 24 + optional;
    let raw = word(section + 20);
    let at = raw + offset;
    (bytes[at - 16..at].to_vec(), bytes[at..at + 8].to_vec())
}

/// target × optimisation × LTO × debug records, in one call: `/hotpatch` implies pads, and every function has one.
#[test]
fn one_call_is_hot_patchable_on_every_machine() {
    if !has_tools() {
        return;
    }
    for (machine, target, pad, filler) in
        [("i386:x86-64", "", 6, 0xcc), ("i386", "-m32", 5, 0xcc), ("arm64", "--target=aarch64-pc-windows-msvc", 16, 0)]
    {
        let sandbox = sandbox(machine);
        for (at, flags) in [
            "/O2",
            "/Od",
            "/O2 /Z7",
            "/O1 /Gw",
            "/O2 -flto",
            "/O2 -flto=thin",
            "/O2 /Oy-",
            "/O2 -fcf-protection=branch",
        ]
        .into_iter()
        .enumerate()
        {
            let is_arm = machine == "arm64";
            if is_arm && flags.contains("cf-protection") || at > 4 && !whole_matrix() {
                continue;
            }
            let line = format!(
                "cl --pw-report=report.json --pw-audit=error /nologo /GS- {target} {flags} /hotpatch a.c /link /out:a.exe /map:a.map {LINK}"
            );
            let ran = sandbox.ok(&line);
            assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""), "{line}");
            let (atomic, missed) = counts(&sandbox);
            assert_eq!(missed, 0, "{line}");
            assert!(atomic >= 1 || is_arm, "{line}");
            let prefix = if machine == "i386" { "_" } else { "" };
            for name in FUNCTIONS.iter().filter(|_| !flags.contains("lto")).map(|name| format!("{prefix}{name}")) {
                let (before, entry) = bytes_at(&sandbox, "a.exe", "a.map", &name);
                assert!(before[16 - pad..].iter().all(|byte| *byte == filler), "{line}: {name}: {before:02x?}");
                // No instruction of one byte at the entry, which would be a push or a ret.
                assert!(is_arm || !matches!(entry[0], 0x50..=0x57 | 0xc3 | 0x90), "{line}: {name}: {entry:02x?}");
            }
            if machine == "i386:x86-64" && has_all("cl", &[WINE]) {
                let mut command = Command::new(WINE);
                command.arg(sandbox.path("a.exe")).env("WINEPREFIX", sandbox.path("wine")).env("WINEDEBUG", "-all");
                assert_eq!(command.status().unwrap().code(), Some(EXIT_CODE), "{line}");
            }
        }
    }
}

/// Without `/hotpatch` the same program fails the check, with the reasons that it should.
#[test]
fn without_the_option_the_same_program_fails() {
    if !has_tools() {
        return;
    }
    let sandbox = sandbox("i386:x86-64");
    let plain = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let status = Command::new(words[0]).args(&words[1..]).current_dir(sandbox.path("")).status().unwrap();
        assert!(status.success(), "{line}");
    };
    let tail = format!("/export:add /export:nothing /export:spin /export:framed {LINK}");
    plain(&format!("clang-cl-19 /nologo /GS- /Od a.c -fuse-ld=lld /link /out:plain.exe {tail}"));
    let found = verdicts(&sandbox, "plain.exe", &["add", "framed"]);
    assert!(found[0].contains("HP-A01"), "{found:?}");
    assert!(found.iter().all(|found| found.contains("unpatchable")), "{found:?}");
    // Clang's own option, as one would type it: no debug information, so no record, so no pads, and nobody says so.
    plain(&format!("clang-cl-19 /nologo /GS- /O2 /hotpatch a.c -fuse-ld=lld /link /out:trap.exe {tail}"));
    let found = verdicts(&sandbox, "trap.exe", &["add", "framed"]);
    assert!(found.iter().any(|found| found.contains("HP-A02")), "{found:?}");
    sandbox.ok(&format!("cl /nologo /GS- /O2 /hotpatch a.c /link /out:good.exe {tail}"));
    let found = verdicts(&sandbox, "good.exe", &["add", "nothing", "spin", "framed"]);
    assert!(found.iter().all(|found| found.ends_with("hot-patchable atomic")), "{found:?}");
}

/// Compiling and linking apart: compiling implies nothing and says so, the link needs the option.
#[test]
fn two_calls_need_both_options() {
    if !has_tools() {
        return;
    }
    let sandbox = sandbox("i386");
    let ran = sandbox.ok("cl -m32 /hotpatch /c /GS- a.c");
    assert_eq!(ran.stderr, "note: nothing is linked here: the link still needs /functionpadmin\n");
    assert_eq!(sandbox.ok("cl -m32 /nologo /hotpatch /c /GS- a.c").stderr, "");
    sandbox.ok(&format!("link --pw-report=report.json /functionpadmin /out:a.exe a.obj {LINK}"));
    assert_eq!((counts(&sandbox), report(&sandbox)["pad"].as_u64()), ((6, 0), Some(5)));
    // Without it nothing is promised, and nothing is audited.
    sandbox.ok(&format!("link --pw-report=report.json /out:a.exe a.obj {LINK}"));
    assert!(report(&sandbox)["audit"].is_null());
    // ARM64 needs a value.
    kernel32(&sandbox, "arm64");
    let ran = sandbox.ok("cl --target=aarch64-pc-windows-msvc /hotpatch /c /GS- a.c");
    assert!(
        ran.stderr.contains("/hotpatch is implied on ARM64") && ran.stderr.contains("/functionpadmin:16"),
        "{ran:?}"
    );
    let ran = sandbox.run(&format!("link /functionpadmin /out:a.exe a.obj {LINK}"));
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("HP-D07") && ran.stderr.contains("/functionpadmin:16"), "{ran:?}");
    sandbox.ok(&format!("link /functionpadmin:16 /map:a.map /out:a.exe a.obj {LINK}"));
    assert_eq!(bytes_at(&sandbox, "a.exe", "a.map", "add").0, [0; 16]);
}

/// Sizes: what the user says wins, wherever it is said; the last wins among several.
#[test]
fn explicit_sizes_win() {
    if !has_tools() {
        return;
    }
    let sandbox = sandbox("i386:x86-64");
    let head = "cl --pw-report=report.json /nologo /GS- /O2 /hotpatch a.c";
    let tail = format!("/link {LINK} /out:a.exe");
    for (line, pad, missed) in [
        (format!("{head} {tail}"), Some(6), 0),
        (format!("{head} {tail} /FUNCTIONPADMIN:16"), Some(16), 0),
        (format!("{head} {tail} -functionpadmin:0x20"), Some(32), 0),
        (format!("{head} {tail} /functionpadmin:16 /FunctionPadMin"), Some(6), 0),
    ] {
        let ran = sandbox.ok(&line);
        assert_eq!(ran.stderr, "", "{line}");
        assert_eq!((report(&sandbox)["pad"].as_u64(), counts(&sandbox).1), (pad, missed), "{line}");
    }
    let environment = |name: &str, value: &str, line: &str| Ran::of(sandbox.command(line).env(name, value));
    for (name, value, pad) in [("LINK", "/functionpadmin:24", 24), ("_LINK_", "/functionpadmin:32", 32)] {
        let ran = environment(name, value, &format!("{head} {tail}"));
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{name}");
        assert_eq!((report(&sandbox)["pad"].as_u64(), counts(&sandbox).1), (Some(pad), 0), "{name}");
    }
    let ran = sandbox.ok(&format!("{head} {tail} /functionpadmin:0"));
    assert!(ran.stderr.contains("turns pads off") && ran.stderr.contains("HP-A02"), "{ran:?}");
    let ran = sandbox.run(&format!("{head} {tail} /functionpadmin:zz"));
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("invalid argument"), "{ran:?}");
    let ran = sandbox.ok(&format!("{head} /Gy- {tail}"));
    assert!(ran.stderr.contains("HP-D02") && ran.stderr.contains("HP-A02"), "{ran:?}");
}

/// Where options may stand: variables, response files of two encodings, both first characters.
#[test]
fn options_come_from_everywhere() {
    if !has_tools() {
        return;
    }
    let sandbox = sandbox("i386:x86-64");
    let tail = format!("/link {LINK} /out:a.exe");
    // What stands in this variable goes behind everything.
    let behind = format!("/hotpatch /nologo {tail}");
    sandbox.write("options.rsp", "/nologo /GS- /O2\r\n\"/hotpatch\" a.c");
    let text = format!("/nologo /GS- /O2 -hotpatch a.c {tail}");
    let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    sandbox.write("utf16.rsp", utf16);
    for (variable, value, line) in [
        ("", "", format!("cl --pw-report=report.json @options.rsp {tail}")),
        ("", "", "cl --pw-report=report.json @utf16.rsp".to_owned()),
        ("CL", "/hotpatch /nologo /DX#1", format!("cl --pw-report=report.json /GS- a.c {tail}")),
        ("_CL_", &behind, "cl --pw-report=report.json /GS- a.c".to_owned()),
        ("LINK", "/functionpadmin", format!("link --pw-report=report.json /out:a.exe a.obj {LINK}")),
    ] {
        let _ = fs::remove_file(sandbox.path("a.exe"));
        sandbox.ok("cl /nologo /hotpatch /c /GS- a.c");
        let mut command = sandbox.command(&line);
        if !variable.is_empty() {
            command.env(variable, value);
        }
        let ran = Ran::of(&mut command);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{line}");
        let (atomic, missed) = counts(&sandbox);
        assert!(atomic >= 4 && missed == 0, "{line}: {atomic} {missed}");
    }
}

/// Objects without the record are silently left without pads by every linker; here they are named.
#[test]
fn objects_that_missed_out_are_named() {
    if !has_tools() {
        return;
    }
    let sandbox = sandbox("i386:x86-64");
    sandbox.write("main.c", "int util(int); void start(void) { util(1); }");
    sandbox.write("util.c", "int count; __declspec(noinline) int more(int a) { return count += a; } int util(int a) { return more(a) + more(2); }");
    let plain = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert!(
            Command::new(words[0]).args(&words[1..]).current_dir(sandbox.path("")).status().unwrap().success(),
            "{line}"
        );
    };
    sandbox.ok("cl /nologo /hotpatch /c /O2 /Z7 main.c");
    plain("clang-cl-19 /nologo /c /Od /Z7 util.c");
    plain("llvm-lib-19 /out:util.lib util.obj");
    for (input, object, why) in [
        ("util.obj", "util.obj", "whose object does not say that it is hot-patchable"),
        ("util.lib", "util:util.obj", "an archive that was not made hot-patchable"),
    ] {
        let line = format!(
            "link --pw-report=report.json /functionpadmin /entry:start /nodefaultlib /subsystem:console /out:a.exe main.obj {input}"
        );
        let ran = sandbox.ok(&line);
        let report = report(&sandbox);
        let found = &report["audit"]["objects"][0];
        assert_eq!(found["object"], object, "{line}: {ran:?}");
        assert!(found["why"].as_str().unwrap().contains(why), "{line}: {found}");
        assert!(ran.stderr.contains("HP-A01") && ran.stderr.contains("remedy: "), "{line}: {ran:?}");
        assert_eq!(sandbox.run(&format!("{line} --pw-audit=error")).code, 1);
        assert!(!sandbox.path("a.exe").exists());
    }
}

/// Questions, preprocessing and errors are the compiler's own.
#[test]
fn what_makes_no_code_is_passed_on() {
    if !has_tools() {
        return;
    }
    let sandbox = sandbox("i386:x86-64");
    sandbox.write("bad.c", "int main( {");
    for arguments in ["--version", "/E a.c", "/EP a.c", "/Zs a.c", "/c bad.c", "", "/c missing.c"] {
        let words: Vec<&str> = arguments.split_whitespace().collect();
        let plain = Ran::of(Command::new("clang-cl-19").args(&words).current_dir(sandbox.path("")));
        let driven = sandbox.run(&format!("cl {arguments}"));
        assert_eq!(driven.code, plain.code, "{arguments}: {driven:?}");
        assert_eq!(driven.stdout.replace("/usr/bin/", ""), plain.stdout.replace("/usr/bin/", ""), "{arguments}");
        assert_eq!(driven.stderr.replace("/usr/bin/", ""), plain.stderr.replace("/usr/bin/", ""), "{arguments}");
    }
    for (line, code, expect) in [
        ("cl /hotpatch- a.c", 2, "does not exist"),
        ("cl /functionpadmin a.c", 2, "behind /link"),
        ("cl --pw-tool=/no/such/tool a.c", 5, "/no/such/tool"),
        ("cl --pw-tool=/usr/bin/gcc a.c", 7, "neither cl nor clang-cl"),
    ] {
        let ran = sandbox.run(line);
        assert_eq!(ran.code, code, "{line}: {ran:?}");
        assert!(ran.stderr.contains(expect), "{line}: {ran:?}");
    }
    // A path from the root is an input, not an option.
    let path = sandbox.path("a.c");
    let ran = sandbox.ok(&format!("cl /nologo /hotpatch /GS- /c {} /Foelsewhere.obj", path.display()));
    assert_eq!(ran.stderr, "");
    assert!(Path::new(&sandbox.path("elsewhere.obj")).exists());
}

/// Versions that drop tail calls are refused before they run.
#[test]
fn old_clang_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::new();
    sandbox.write("clang-cl", "#!/bin/sh\nprintf 'clang version 17.0.6\\nTarget: x86_64-pc-windows-msvc\\n'\n");
    fs::set_permissions(sandbox.path("clang-cl"), fs::Permissions::from_mode(0o755)).unwrap();
    let ran = sandbox.run("cl --pw-tool=./clang-cl /hotpatch /c a.c");
    assert_eq!(ran.code, 7, "{ran:?}");
    for issue in ["HP-D05", "59039", "76879", "76958"] {
        assert!(ran.stderr.contains(issue), "{ran:?}");
    }
}

/// What the driver relies on, or works around, in the tools as they are installed: when one of these changes, the plan can.
#[test]
fn clang_and_lld_have_the_traps_that_the_driver_knows() {
    if !has_tools() {
        return;
    }
    let sandbox = sandbox("i386:x86-64");
    let tail = format!("-fuse-ld=lld /link /out:a.exe /map:a.map {LINK}");
    let plain = |line: &str| {
        let words: Vec<String> = format!("{line} {tail}").split_whitespace().map(str::to_owned).collect();
        Ran::of(Command::new(&words[0]).args(&words[1..]).current_dir(sandbox.path("")))
    };
    // The first function of the section stands at its start, or behind a pad.
    let first = || {
        let map = String::from_utf8(sandbox.read("a.map")).unwrap();
        let offsets = map.lines().filter_map(|line| line.trim().strip_prefix("0001:")?.split_once(' '));
        offsets
            .filter(|(_, rest)| rest.contains(".obj"))
            .filter_map(|(offset, _)| u64::from_str_radix(offset, 16).ok())
            .min()
            .unwrap()
    };
    for (flags, padded) in [
        // No debug information, no record, no pads, and no word about it.
        ("/hotpatch", false),
        ("/hotpatch /Z7", true),
        ("/hotpatch -gline-tables-only", true),
        ("/Z7 -Xclang -fms-hotpatch", false),
        // Link-time optimisation drops the mark.
        ("/hotpatch /Z7 -flto", false),
    ] {
        let ran = plain(&format!("clang-cl-19 /nologo /GS- /O2 {flags} a.c"));
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{flags}");
        assert_eq!(first() >= 6, padded, "{flags}");
    }
    // A nop of two bytes in one, where the first instruction has one byte; behind ENDBR.
    for (flags, name, expect) in [
        ("/hotpatch /Z7", "nothing", &[0x66, 0x90, 0xc3][..]),
        ("/hotpatch /Z7 -fcf-protection=branch", "nothing", &[0xf3, 0x0f, 0x1e, 0xfa, 0x66, 0x90, 0xc3]),
        ("/hotpatch /Z7", "add", &[0x8d, 0x04, 0x11, 0xc3]),
    ] {
        assert_eq!(plain(&format!("clang-cl-19 /nologo /GS- /O2 {flags} a.c")).code, 0);
        let entry = bytes_at(&sandbox, "a.exe", "a.map", name).1;
        assert!(entry.starts_with(expect), "{flags} {name}: {entry:02x?}");
    }
    // ARM64: a bare option, which clang-cl writes by itself, and no later one helps.
    kernel32(&sandbox, "arm64");
    let ran = plain("clang-cl-19 --target=aarch64-pc-windows-msvc /nologo /GS- /hotpatch a.c");
    assert!(ran.code != 0 && ran.stderr.contains("/functionpadmin: invalid argument for this machine"), "{ran:?}");
    let ran = plain(
        "clang-cl-19 --target=aarch64-pc-windows-msvc /nologo /GS- /O2 /clang:-fpatchable-function-entry=5,4 a.c",
    );
    assert!(ran.code != 0 && ran.stderr.contains("Incorrect size for"), "{ran:?}");
}
