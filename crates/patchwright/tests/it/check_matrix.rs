//! `check` over compilers, widths, optimisation, position independence, link-time optimisation and control-flow
//! protection: what was compiled with room for patches passes, what was not fails for the right reason, and the functions
//! that are found are those that binutils and LLVM find.
//!
//! A build per compiler is in the default run. `cargo xtask matrix` sets `PATCHWRIGHT_MATRIX` and runs all combinations.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use patchwright::report::{CheckAnswer, CheckReport, CheckedFunction};
use patchwright::{CheckOptions, check};
use tempfile::TempDir;

use crate::skips::skip;

/// `keeps` needs a register across a call, so that it begins with a push wherever there is one.
const C: &str = "
__attribute__((noinline)) int add(int a, int b) { __asm__ volatile(\"\"); return a + b; }
__attribute__((noinline)) int keeps(int a, int b) { int c = add(a, b); return add(c, a) + a; }
__attribute__((noinline)) int picks(int a) {
  switch (a) { case 0: return add(3, 1); case 1: return 7; case 2: return add(4, 4); case 3: return 1; case 4: return add(9, a);
               case 5: return keeps(a, a); default: return add(a, 2); } }
int main(int argc, char **argv) { (void)argv; return keeps(argc, 2) + picks(argc); }
";

/// The same with exceptions, destructors and a virtual function.
const CPP: &str = "
struct Base { virtual ~Base() {} virtual int f(int a) = 0; };
struct Guard { int *p; ~Guard() { ++*p; } };
__attribute__((noinline)) int add(int a, int b) { __asm__ volatile(\"\"); return a + b; }
__attribute__((noinline)) int keeps(int a, int b) { int n = 0; { Guard g{&n}; if (a == 17) throw b; add(a, b); } return add(n, a); }
struct Derived : Base { int f(int a) override { try { return keeps(a, 1); } catch (int e) { return e; } } };
int main(int argc, char **) { Derived d; Base *b = &d; return b->f(argc); }
";

/// How a compiler is called.
struct Compiler {
    command: &'static str,
    source: &'static str,
    machine: &'static str,
    /// Always given.
    target: &'static str,
    /// What makes room for patches.
    room: &'static str,
    /// How functions with room are switched over.
    by: &'static str,
    /// Of functions without room: the rule that `keeps` breaks; none where it may be switched over with threads stopped.
    plain: Option<&'static str>,
    /// Sets of flags of which one each is given in the full matrix; the first of each in the default run.
    axes: &'static [&'static [&'static str]],
}

const LEVELS: &[&str] = &["-O2", "-O0", "-Os", "-O3"];
const PLACES: &[&str] = &["-fPIE -pie", "-fno-pie -no-pie", "-fPIC -shared"];
const CET: &[&str] = &["-fcf-protection=full", "-fcf-protection=none"];
const BRANCHES: &[&str] = &["-mbranch-protection=standard", "-mbranch-protection=none"];
const LTO: &[&str] = &["", "-flto"];
/// lld leaves the table of patchable functions empty where relocations fill it.
const LINKERS: &[&str] = &["", "-fuse-ld=lld", "-fuse-ld=lld -Wl,-z,pack-relative-relocs"];
const DEBUG: &[&str] = &["-g", ""];

const X64_ROOM: &str = "-fpatchable-function-entry=8,6";
const X86_ROOM: &str = "-fpatchable-function-entry=7,5";

const COMPILERS: &[Compiler] = &[
    Compiler {
        command: "gcc",
        source: C,
        machine: "x86-64",
        target: "",
        room: X64_ROOM,
        by: "STOPPED",
        plain: Some("HP-A01"),
        axes: &[LEVELS, PLACES, CET, LTO, DEBUG],
    },
    Compiler {
        command: "g++",
        source: CPP,
        machine: "x86-64",
        target: "",
        room: X64_ROOM,
        by: "STOPPED",
        plain: Some("HP-A01"),
        axes: &[LEVELS, PLACES, CET, LTO],
    },
    Compiler {
        command: "gcc",
        source: C,
        machine: "x86",
        target: "-m32 -nostdlib -Wl,-e,main",
        room: X86_ROOM,
        by: "STOPPED",
        plain: Some("HP-A01"),
        axes: &[LEVELS, PLACES, CET],
    },
    Compiler {
        command: "clang-19",
        source: C,
        machine: "x86-64",
        target: "",
        room: X64_ROOM,
        by: "ATOMIC",
        plain: Some("HP-A01"),
        axes: &[LEVELS, PLACES, CET, DEBUG, LINKERS],
    },
    Compiler {
        command: "clang++-19",
        source: CPP,
        machine: "x86-64",
        target: "",
        room: X64_ROOM,
        by: "ATOMIC",
        plain: Some("HP-A01"),
        axes: &[LEVELS, PLACES, CET],
    },
    Compiler {
        command: "x86_64-w64-mingw32-gcc",
        source: C,
        machine: "x86-64",
        target: "",
        room: X64_ROOM,
        by: "STOPPED",
        plain: Some("HP-A01"),
        axes: &[LEVELS, &["", "-shared"], LTO, DEBUG],
    },
    Compiler {
        command: "i686-w64-mingw32-gcc",
        source: C,
        machine: "x86",
        target: "",
        room: X86_ROOM,
        by: "STOPPED",
        plain: Some("HP-A01"),
        axes: &[LEVELS, &["", "-shared"], DEBUG],
    },
    Compiler {
        command: "aarch64-linux-gnu-gcc",
        source: C,
        machine: "aarch64",
        target: "",
        room: "-fpatchable-function-entry=6,4",
        by: "ATOMIC",
        plain: None,
        axes: &[LEVELS, PLACES, BRANCHES],
    },
    Compiler {
        command: "arm-linux-gnueabihf-gcc",
        source: C,
        machine: "arm",
        target: "",
        room: "-fpatchable-function-entry=6,5",
        by: "ATOMIC",
        plain: Some("HP-A02"),
        axes: &[LEVELS, PLACES, &["-mthumb", "-marm"]],
    },
];

fn is_full() -> bool {
    std::env::var_os("PATCHWRIGHT_MATRIX").is_some()
}

fn is_there(command: &str) -> bool {
    Command::new(command).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// The combinations of flags to build: all, or the first of each axis and a second row with the last of each.
fn combinations(axes: &[&[&str]]) -> Vec<String> {
    if !is_full() {
        let row = |pick: fn(&[&str]) -> String| axes.iter().map(|axis| pick(axis)).collect::<Vec<_>>().join(" ");
        return vec![row(|axis| axis[0].to_owned()), row(|axis| axis[axis.len() - 1].to_owned())];
    }
    let mut rows = vec![String::new()];
    for axis in axes {
        rows = rows.iter().flat_map(|row| axis.iter().map(move |flag| format!("{row} {flag}"))).collect();
    }
    rows
}

fn build(folder: &Path, compiler: &Compiler, flags: &str) -> PathBuf {
    let cpp = compiler.source == CPP;
    let source = folder.join(if cpp { "a.cc" } else { "a.c" });
    fs::write(&source, compiler.source).unwrap();
    let out = folder.join("out.bin");
    let words = [compiler.target, flags].join(" ");
    let mut command = Command::new(compiler.command);
    // One source file: what is said of it is said of the link as well.
    command.args(words.split_whitespace()).arg("-w").arg(&source).arg("-o").arg(&out).current_dir(folder);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    out
}

fn keeps(report: &CheckReport) -> &CheckedFunction {
    // Optimisation may leave a copy of it only.
    let is_it = |name: &String| {
        let name = name.trim_start_matches('_');
        (name.starts_with("keeps") || name.starts_with("Z5keepsii")) && !name.contains(".cold")
    };
    report.functions.iter().find(|one| one.names.iter().any(is_it)).expect("keeps is there")
}

/// Code addresses and names of functions, as another tool tells them.
fn functions_by_peer(image: &Path) -> Option<BTreeSet<(u64, String)>> {
    let listing = Command::new("llvm-readelf-19").args(["-sW"]).arg(image).output().ok()?;
    let text = String::from_utf8(listing.stdout).unwrap();
    let mut section = "";
    let mut found = BTreeSet::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("Symbol table '") {
            section = rest.split('\'').next().unwrap();
        }
        let fields: Vec<_> = line.split_whitespace().collect();
        if let [_, value, _, "FUNC" | "IFUNC", _, _, index, name, ..] = fields[..]
            && section == ".symtab"
            && index != "UND"
        {
            let value = u64::from_str_radix(value, 16).unwrap();
            found.insert((value, name.split('@').next().unwrap().to_owned()));
        }
    }
    Some(found)
}

/// LLVM's disassembler has an instruction at every patch site, as long as we say.
fn check_sites(image: &Path, report: &CheckReport, what: &str) {
    let Ok(listing) = Command::new("llvm-objdump-19").arg("-d").arg(image).output() else {
        skip("check", "llvm-objdump-19 is needed");
        return;
    };
    let text = String::from_utf8(listing.stdout).unwrap();
    let lengths: BTreeMap<u64, usize> = text
        .lines()
        .filter_map(|line| {
            let (address, rest) = line.trim_start().split_once(": ")?;
            let bytes = rest.split('\t').next()?;
            let len = bytes.split_whitespace().map(|group| group.len() / 2).sum();
            Some((u64::from_str_radix(address, 16).ok()?, len))
        })
        .collect();
    let mut seen = 0;
    for function in
        report.functions.iter().filter(|function| matches!(function.verdict, "hot-patchable" | "unpatchable"))
    {
        let entry = u64::from_str_radix(function.address.trim_start_matches("0x"), 16).unwrap();
        let site = entry + function.site.offset;
        let len = lengths.get(&site).copied();
        // Two one-byte nops, or a lone ret and what is behind it, are a site together.
        let pair = len == Some(1) && function.site.bytes == 2;
        assert!(len == Some(function.site.bytes) || pair, "{what}: {:?} at {site:#x}: {len:?}", function.names);
        seen += 1;
    }
    assert!(seen >= 3, "{what}: {seen} sites");
}

fn check_functions(image: &Path, report: &CheckReport, what: &str) {
    check_sites(image, report, what);
    if report.format != "elf" {
        return;
    }
    let Some(theirs) = functions_by_peer(image) else {
        skip("check", "llvm-readelf-19 is needed");
        return;
    };
    // The lowest bit of a Thumb function says what it is written in.
    let thumb = u64::from(report.machine == "arm");
    let theirs: BTreeSet<_> = theirs.into_iter().map(|(at, name)| (at & !thumb, name)).collect();
    let ours: BTreeSet<_> = report
        .functions
        .iter()
        .filter(|function| function.sources.contains(&"symbols"))
        .flat_map(|function| {
            let at = u64::from_str_radix(function.address.trim_start_matches("0x"), 16).unwrap();
            function.names.iter().map(move |name| (at, name.split('@').next().unwrap().to_owned()))
        })
        .collect();
    let missing: Vec<_> = theirs.difference(&ours).collect();
    assert!(missing.is_empty(), "{what}: we miss {missing:?}");
    // Debug information may know one more name.
    let more: Vec<_> =
        ours.difference(&theirs).filter(|(at, _)| !theirs.iter().any(|(known, _)| known == at)).collect();
    assert!(more.is_empty(), "{what}: only we have {more:?}");
}

fn check_compiler(compiler: &Compiler) {
    if !is_there(compiler.command) {
        skip("check", &format!("{} is needed", compiler.command));
        return;
    }
    let folder = TempDir::new().unwrap();
    for flags in combinations(compiler.axes) {
        let what = format!("{} {} {flags}", compiler.command, compiler.target);
        let image = build(folder.path(), compiler, &format!("{flags} {}", compiler.room));
        let report = check(&image, &CheckOptions::default()).unwrap();
        assert_eq!(report.machine, compiler.machine, "{what}");
        let failing: Vec<_> = report
            .functions
            .iter()
            .filter(|one| one.required && one.verdict != "hot-patchable")
            .map(|one| (&one.names, &one.reasons))
            .collect();
        assert!(failing.is_empty(), "{what}: {failing:?}");
        assert_eq!(report.answer, CheckAnswer::HotPatchable, "{what}");
        let function = keeps(&report);
        assert_eq!(function.class, compiler.by, "{what}: {:?} {:?}", function.notes, function.site);
        assert!(function.sources.contains(&"patchable-function-entries"), "{what}: {:?}", function.sources);
        assert!(report.disagreements.is_empty(), "{what}: {:?}", report.disagreements);
        check_functions(&image, &report, &what);

        let image = build(folder.path(), compiler, &flags);
        let report = check(&image, &CheckOptions::default()).unwrap();
        match compiler.plain {
            None => assert_eq!(keeps(&report).class, "STOPPED", "{what}"),
            Some(rule) => {
                // What link-time optimisation leaves may be so little that it is good by chance.
                if flags.contains("-flto") && report.answer == CheckAnswer::HotPatchable {
                    assert!(report.counts.required <= 6, "{what}: {:?}", report.counts);
                    check_functions(&image, &report, &what);
                    continue;
                }
                assert_eq!(report.answer, CheckAnswer::NotHotPatchable, "{what}");
                // One function alone may be good by chance: what is before it ends where a pad would.
                let rules: Vec<_> = report.causes.iter().map(|cause| cause.rule.as_str()).collect();
                assert!(rules.contains(&rule) || rules.contains(&"HP-A02"), "{what}: {rules:?}");
                // A branch that nothing reaches may lead behind its function, into what would be the pad (clang -O0).
                let expected = ["HP-A01", "HP-A02", "HP-A03", "HP-A05", "HP-A06", "HP-A10"];
                assert!(rules.iter().all(|rule| expected.contains(rule)), "{what}: {:?}", report.causes);
            }
        }
        check_functions(&image, &report, &what);
    }
}

#[test]
fn gcc_for_x86_64() {
    check_compiler(&COMPILERS[0]);
}

#[test]
fn gxx_for_x86_64() {
    check_compiler(&COMPILERS[1]);
}

#[test]
fn gcc_for_x86() {
    check_compiler(&COMPILERS[2]);
}

#[test]
fn clang_for_x86_64() {
    check_compiler(&COMPILERS[3]);
}

#[test]
fn clangxx_for_x86_64() {
    check_compiler(&COMPILERS[4]);
}

#[test]
fn mingw_of_both_widths() {
    check_compiler(&COMPILERS[5]);
    check_compiler(&COMPILERS[6]);
}

#[test]
fn gcc_for_arm_of_both_widths() {
    check_compiler(&COMPILERS[7]);
    check_compiler(&COMPILERS[8]);
}

/// clang-cl's way, linked by lld: the flag in the object makes the pads, and the database names every function.
#[test]
fn clang_and_lld_for_windows() {
    const SOURCE: &str = "
    __declspec(noinline) int add(int a, int b) { __asm__ volatile(\"\"); return a + b; }
    __declspec(noinline) int keeps(int a, int b) { int c = add(a, b); return add(c, a) + a; }
    __declspec(dllexport) int entry(int a) { return keeps(a, 2); }
    int __stdcall DllMainCRTStartup(void *a, unsigned b, void *c) { return 1; }
    ";
    if !["clang-19", "lld-link-19"].iter().all(|command| is_there(command)) {
        skip("check", "clang-19 and lld-link-19 are needed");
        return;
    }
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("a.c"), SOURCE).unwrap();
    let run = |command: &str, line: &str| {
        let status = Command::new(command).args(line.split_whitespace()).current_dir(folder.path()).status().unwrap();
        assert!(status.success(), "{command} {line}");
    };
    for (target, machine, pad) in
        [("x86_64", "x86-64", 6), ("i686", "x86", 5), ("aarch64", "aarch64", 16), ("thumbv7", "arm", 10)]
    {
        let flags = "-O2 -ffunction-sections -c a.c -o a.obj";
        let link = format!("/dll /nodefaultlib /entry:DllMainCRTStartup /debug /functionpadmin:{pad} a.obj");
        let checked = |file: &str| check(&folder.path().join(file), &CheckOptions::default()).unwrap();
        run("clang-19", &format!("--target={target}-pc-windows-msvc -fms-hotpatch -g -gcodeview {flags}"));
        run("lld-link-19", &format!("{link} /out:a.dll /pdb:a.pdb"));
        let (object, image) = (checked("a.obj"), checked("a.dll"));
        for report in [&object, &image] {
            assert_eq!(
                (report.machine, report.answer),
                (machine, CheckAnswer::HotPatchable),
                "{target}: {:?}",
                report.causes
            );
            assert_eq!(report.objects[0].hot_patch, Some(true), "{target}");
            assert!(keeps(report).sources.contains(&"codeview"), "{target}");
        }
        let told: Vec<_> = image.sources.iter().map(|source| source.source).collect();
        assert!(told.contains(&"pdb-publics") && told.contains(&"exports"), "{told:?}");
        assert_eq!(told.contains(&"pdata"), target != "i686", "{told:?}");
        // In a Thumb image LLVM skips the zeros between functions, and is out of step behind them.
        if target != "thumbv7" {
            check_sites(&folder.path().join("a.dll"), &image, target);
        }
        assert!(image.disagreements.is_empty(), "{:?}", image.disagreements);
        // The database of another build is not taken, and not taken for an error unless it was asked for.
        run("lld-link-19", &format!("{link} /out:b.dll /pdb:b.pdb /brepro /functionpadmin:64"));
        let other = CheckOptions { pdb: Some(folder.path().join("b.pdb")), ..CheckOptions::default() };
        let error = check(&folder.path().join("a.dll"), &other).unwrap_err();
        assert_eq!(error.kind, patchwright::ErrorKind::WrongInput);
        fs::copy(folder.path().join("b.pdb"), folder.path().join("a.pdb")).unwrap();
        let report = checked("a.dll");
        assert!(report.warnings.iter().any(|line| line.contains("another build")), "{:?}", report.warnings);
        // Without the flag in the object there is no pad, and nobody but us says so.
        if matches!(machine, "x86" | "x86-64") {
            run("clang-19", &format!("--target={target}-pc-windows-msvc -fms-hotpatch {flags}"));
            assert_eq!(checked("a.obj").answer, CheckAnswer::NotHotPatchable, "{target}");
            run("lld-link-19", &format!("{link} /out:a.dll /pdb:a.pdb"));
            let report = checked("a.dll");
            assert_eq!(report.answer, CheckAnswer::NotHotPatchable, "{target}");
            assert!(report.causes.iter().any(|cause| cause.rule == "HP-A02"), "{target}");
        }
    }
}

/// What linkers for Windows leave out without a word: all but the first function of a section, and what they compile
/// themselves.
#[test]
fn what_lld_leaves_out() {
    const SOURCE: &str = "
    __declspec(noinline) int add(int a, int b) { __asm__ volatile(\"\"); return a + b; }
    __declspec(dllexport) int entry(int a) { return add(a, 2) + add(a, a); }
    int __stdcall DllMainCRTStartup(void *a, unsigned b, void *c) { return 1; }
    ";
    if !["clang-19", "lld-link-19"].iter().all(|command| is_there(command)) {
        skip("check", "clang-19 and lld-link-19 are needed");
        return;
    }
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("a.c"), SOURCE).unwrap();
    for flags in ["-fno-function-sections", "-ffunction-sections -flto"] {
        let run = |command: &str, line: &str| {
            let status =
                Command::new(command).args(line.split_whitespace()).current_dir(folder.path()).status().unwrap();
            assert!(status.success(), "{command} {line}");
        };
        let compile = "--target=x86_64-pc-windows-msvc -O2 -fms-hotpatch -g -gcodeview -c a.c -o a.obj";
        run("clang-19", &format!("{compile} {flags}"));
        run(
            "lld-link-19",
            "/dll /nodefaultlib /entry:DllMainCRTStartup /debug /functionpadmin:64 a.obj /out:a.dll /pdb:a.pdb",
        );
        let options = CheckOptions { min_pad: Some(64), ..CheckOptions::default() };
        let report = check(&folder.path().join("a.dll"), &options).unwrap();
        let rules: Vec<_> = report.causes.iter().map(|cause| cause.rule.as_str()).collect();
        assert_eq!(rules, ["HP-A02"], "{flags}");
        if !flags.contains("lto") {
            assert_eq!(report.counts.failing, report.counts.required - 1, "{flags}");
            // The object is told the same before it is linked.
            let object = check(&folder.path().join("a.obj"), &options).unwrap();
            let rules: Vec<_> =
                object.causes.iter().map(|cause| (cause.rule.as_str(), cause.functions.len())).collect();
            assert_eq!(object.counts.failing, object.counts.required - 1, "{rules:?}");
        }
    }
}

/// Stable Rust has no flag: it fails, and what of it is the standard library's is counted apart.
#[test]
fn stable_rust() {
    let folder = TempDir::new().unwrap();
    let source = folder.path().join("a.rs");
    let program = "#[inline(never)] fn keeps(a: &[String]) -> String { let b = a.join(\"\"); format!(\"{b}{}\", a.len()) }\n\
        fn main() { println!(\"{}\", keeps(&std::env::args().collect::<Vec<_>>())); }\n";
    fs::write(&source, program).unwrap();
    let out = folder.path().join("a.out");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let status = Command::new(rustc).args(["-O", "-g"]).arg(&source).arg("-o").arg(&out).status().unwrap();
    assert!(status.success());
    let report = check(&out, &CheckOptions::default()).unwrap();
    assert_eq!(report.answer, CheckAnswer::NotHotPatchable);
    let rust = report.origins.iter().find(|origin| origin.origin == "Rust standard library").unwrap();
    assert!(rust.functions > 300, "{:?}", report.origins);
    // Everything asked for comes from the user's crate: what the library instantiates for it included.
    let own = report.functions.iter().filter(|one| one.required);
    let strange: Vec<_> =
        own.filter(|one| one.names.iter().all(|name| name.starts_with("_R"))).map(|one| &one.names).collect();
    assert!(strange.is_empty() || report.counts.required < 200, "{strange:?}");
    let all = CheckOptions { require: patchwright::Require::All, ..CheckOptions::default() };
    let all = check(&out, &all).unwrap();
    assert!(all.counts.required >= report.counts.required + rust.functions - 20, "{:?}", all.counts);
    check_functions(&out, &report, "rustc");
}

/// Members are checked each, under their own name; what has no code is said to be what it is.
#[test]
fn archives() {
    if !is_there("gcc") || !is_there("ar") {
        skip("check", "gcc and ar are needed");
        return;
    }
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("a.c"), C).unwrap();
    fs::write(path("lib.rmeta"), "metadata").unwrap();
    fs::write(path("text"), "hello").unwrap();
    let run = |command: &str, line: &str| {
        let status = Command::new(command).args(line.split_whitespace()).current_dir(folder.path()).status().unwrap();
        assert!(status.success(), "{command} {line}");
    };
    run("gcc", "-O2 -ffunction-sections -c a.c -o good.o -fpatchable-function-entry=8,6");
    run("gcc", "-O2 -ffunction-sections -c a.c -o bad.o");
    run("ar", "rcs libgood.a good.o lib.rmeta text");
    run("ar", "rcs libboth.a good.o bad.o");
    run("ar", "rcsT libthin.a good.o");
    let good = check(&path("libgood.a"), &CheckOptions::default()).unwrap();
    assert_eq!((good.kind, good.answer), ("archive", CheckAnswer::HotPatchable), "{:?}", good.causes);
    let told: Vec<_> = good.members.iter().map(|one| (one.member.as_str(), one.skipped.is_some())).collect();
    let expect = [("libgood.a(good.o)", false), ("libgood.a(lib.rmeta)", true), ("libgood.a(text)", true)];
    assert_eq!(told, expect);
    let both = check(&path("libboth.a"), &CheckOptions::default()).unwrap();
    assert_eq!(both.answer, CheckAnswer::NotHotPatchable);
    let failing = both.functions.iter().filter(|one| one.required && one.verdict != "hot-patchable");
    assert!(failing.clone().all(|one| one.member.as_deref() == Some("libboth.a(bad.o)")));
    assert_eq!(failing.count(), both.members[1].failing);
    assert_eq!(both.members[0].failing, 0);
    let thin = check(&path("libthin.a"), &CheckOptions::default()).unwrap_err();
    assert_eq!(thin.kind, patchwright::ErrorKind::Malformed, "{thin}");
    // A member that is damaged is named.
    let mut cut = fs::read(path("good.o")).unwrap();
    cut.truncate(200);
    fs::write(path("cut.o"), cut).unwrap();
    run("ar", "rc libcut.a cut.o");
    let error = check(&path("libcut.a"), &CheckOptions::default()).unwrap_err();
    assert!(error.message.contains("cut.o"), "{error}");
}
