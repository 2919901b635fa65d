//! The integrations as they are shipped, each built by its own build system: CMake with make and ninja, Meson, make, Cargo.
//! MSBuild is not here; its property file is read for what Microsoft's documentation asks of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cc::has_all;
use crate::harness::{Ran, Sandbox};

const PRINTS: &str = "no text\n4 words\n";

fn integrations() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../integrations")
}

/// A copy of the integrations, and the programs under their names on PATH.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    copy(&integrations(), &sandbox.path("integrations"));
    fs::create_dir(sandbox.path("bin")).unwrap();
    for (name, program) in [
        ("patchwright", env!("CARGO_BIN_EXE_patchwright")),
        ("patchwright-cc", env!("CARGO_BIN_EXE_patchwright")),
        ("patchwright-linker", env!("CARGO_BIN_EXE_patchwright-linker")),
    ] {
        std::os::unix::fs::symlink(program, sandbox.path("bin").join(name)).unwrap();
    }
    sandbox
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target)
        } else {
            fs::copy(entry.path(), target).map(|_| ()).unwrap()
        }
    }
}

/// Runs a line with our programs first on PATH.
fn tool(sandbox: &Sandbox, folder: &str, line: &str, variables: &[(&str, &str)]) -> Ran {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().unwrap());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let of_cargo =
            name.starts_with("CARGO") && name != "CARGO_HOME" || name.starts_with("RUSTC") || name == "RUSTFLAGS";
        if of_cargo
            || matches!(
                name.as_str(),
                "CC" | "CXX" | "CFLAGS" | "CXXFLAGS" | "LDFLAGS" | "MAKEFLAGS" | "LD_LIBRARY_PATH"
            )
        {
            command.env_remove(name);
        }
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(sandbox.path("bin")).chain(std::env::split_paths(&path));
    command.env("PATH", std::env::join_paths(paths).unwrap()).env("PATCHWRIGHT_CACHE", sandbox.path("cache"));
    command.envs(variables.iter().copied()).args(words).current_dir(sandbox.path(folder)).stdin(Stdio::null());
    Ran::of(&mut command)
}

fn ok(sandbox: &Sandbox, folder: &str, line: &str, variables: &[(&str, &str)]) -> Ran {
    let ran = tool(sandbox, folder, line, variables);
    assert_eq!(ran.code, 0, "{line}: {ran:?}");
    ran
}

/// Every function by one store, and the program does what it did.
fn hot_patchable(sandbox: &Sandbox, program: &str, by: &str) {
    let check = sandbox.run(&format!("check {program}"));
    assert_eq!(check.code, 0, "{program}: {check:?}");
    assert!(check.stdout.contains(by), "{program}: {check:?}");
    assert_eq!(Ran::of(&mut Command::new(sandbox.path(program))).stdout, PRINTS);
}

#[test]
fn cmake_builds_hot_patchable_targets() {
    if !has_all("cmake", &["cmake", "ninja"]) {
        return;
    }
    let sandbox = sandbox();
    let source = "integrations/cmake/example";
    for (build, generator, options) in [
        ("make", "Unix Makefiles", "-DCMAKE_BUILD_TYPE=Release -DPATCHWRIGHT_AUDIT=error"),
        ("ninja", "Ninja", "-DCMAKE_BUILD_TYPE=MinSizeRel -DPATCHWRIGHT_AUDIT=error"),
        (
            "lto",
            "Ninja",
            "-DCMAKE_BUILD_TYPE=Release -DCMAKE_INTERPROCEDURAL_OPTIMIZATION=ON -DPATCHWRIGHT_AUDIT=error",
        ),
        ("pad", "Ninja", "-DPATCHWRIGHT_PAD=14 -DPATCHWRIGHT_AUDIT=error"),
        ("clang", "Ninja", "-DCMAKE_C_COMPILER=clang-19 -DCMAKE_CXX_COMPILER=clang++-19 -DPATCHWRIGHT_AUDIT=error"),
        // Without the program, by the compiler's flags: GCC's two nops stay two.
        ("flags", "Ninja", "-DPATCHWRIGHT_EXECUTABLE=NOTFOUND -DCMAKE_DISABLE_FIND_PACKAGE_patchwright=ON"),
    ] {
        if build == "clang" && !has_all("cmake", &["clang-19"]) {
            continue;
        }
        let mut command = format!("cmake -S {source} -B {build} {options}");
        command += if generator == "Ninja" { " -GNinja" } else { "" };
        let without: &[(&str, &str)] = if build == "flags" { &[("PATH", "/usr/bin:/bin")] } else { &[] };
        ok(&sandbox, "", &command, without);
        ok(&sandbox, "", &format!("cmake --build {build}"), &[]);
        let by = if build == "flags" { "stopped threads" } else { "stopped threads 0" };
        hot_patchable(&sandbox, &format!("{build}/greeting"), by);
        if build == "pad" {
            assert_eq!(sandbox.run("check pad/greeting --min-pad 14").code, 0);
        }
    }
    // The option takes everything back.
    ok(
        &sandbox,
        "",
        &format!("cmake -S {source} -B off -GNinja -DCMAKE_BUILD_TYPE=MinSizeRel -DPATCHWRIGHT_HOTPATCH=OFF"),
        &[],
    );
    ok(&sandbox, "", "cmake --build off", &[]);
    assert_eq!(sandbox.run("check off/greeting").code, 1);
}

/// A target with a function that cannot be: a warning, or the end of the build.
#[test]
fn cmake_audits_after_the_link() {
    if !has_all("cmake", &["cmake", "ninja"]) {
        return;
    }
    let sandbox = sandbox();
    let folder = sandbox.path("integrations/cmake/example");
    fs::write(
        folder.join("asm.c"),
        "__asm__(\".globl hand\\n.type hand,@function\\nhand: push %rbp\\npop %rbp\\nret\\n.size hand,.-hand\\n\");",
    )
    .unwrap();
    let list = fs::read_to_string(folder.join("CMakeLists.txt")).unwrap().replace("main.cpp)", "main.cpp asm.c)");
    fs::write(folder.join("CMakeLists.txt"), list).unwrap();
    for (audit, code) in [("warn", 0), ("error", 1), ("off", 0)] {
        ok(
            &sandbox,
            "",
            &format!("cmake -S integrations/cmake/example -B {audit} -GNinja -DPATCHWRIGHT_AUDIT={audit}"),
            &[],
        );
        let ran = tool(&sandbox, "", &format!("cmake --build {audit}"), &[]);
        assert_eq!(ran.code, code, "{audit}: {ran:?}");
        let told = format!("{}{}", ran.stdout, ran.stderr);
        assert_eq!(told.contains("HP-A01") && told.contains("hand"), audit != "off", "{audit}: {told}");
    }
}

/// CMake finds out the same of a compiler that stands behind ours, as `CC` with words.
#[test]
fn cmake_detects_the_compiler_behind() {
    if !has_all("cmake", &["cmake", "ninja"]) {
        return;
    }
    let sandbox = sandbox();
    sandbox.write("detect/CMakeLists.txt", "cmake_minimum_required(VERSION 3.21)\nproject(detect LANGUAGES C CXX)\nforeach(l C CXX)\nmessage(\"${l} ${CMAKE_${l}_COMPILER_ID} ${CMAKE_${l}_COMPILER_VERSION} ${CMAKE_${l}_COMPILER_WORKS} ${CMAKE_${l}_COMPILE_FEATURES} ${CMAKE_${l}_IMPLICIT_LINK_LIBRARIES} ${CMAKE_${l}_COMPILER_ABI}\")\nendforeach()\n");
    let told = |build: &str, variables: &[(&str, &str)]| {
        let ran = ok(&sandbox, "", &format!("cmake -S detect -B {build} -GNinja"), variables);
        ran.stderr.lines().filter(|line| line.starts_with('C')).map(str::to_owned).collect::<Vec<_>>()
    };
    let plain = told("plain", &[("CC", "gcc"), ("CXX", "g++")]);
    let driven = told("driven", &[("CC", "patchwright cc -- gcc"), ("CXX", "patchwright cc -- g++")]);
    assert_eq!(plain, driven);
    assert!(plain.len() == 2 && plain[0].starts_with("C GNU "), "{plain:?}");
}

#[test]
fn meson_builds_through_a_native_file() {
    if !has_all("meson", &["meson", "ninja"]) {
        return;
    }
    let sandbox = sandbox();
    ok(&sandbox, "", "meson setup build integrations/meson/example --native-file integrations/meson/native.ini", &[]);
    ok(&sandbox, "", "meson compile -C build", &[("PATCHWRIGHT_AUDIT", "error")]);
    hot_patchable(&sandbox, "build/greeting", "stopped threads 0");
}

#[test]
fn make_builds_through_its_variables() {
    if !has_all("make", &["make"]) {
        return;
    }
    let sandbox = sandbox();
    let folder = "integrations/make/example";
    ok(&sandbox, folder, "make", &[("PATCHWRIGHT_AUDIT", "error")]);
    hot_patchable(&sandbox, &format!("{folder}/greeting"), "stopped threads 0");
}

#[test]
fn cargo_builds_through_its_configuration() {
    let sandbox = sandbox();
    let folder = "integrations/cargo/example";
    let quiet = &[("PATCHWRIGHT_AUDIT", "error")];
    ok(&sandbox, folder, "cargo build --release --offline", quiet);
    hot_patchable(&sandbox, &format!("{folder}/target/release/greeting"), "stopped threads 0");
    // And without the configuration it is not.
    fs::remove_dir_all(sandbox.path(folder).join(".cargo")).unwrap();
    ok(&sandbox, folder, "cargo build --release --offline --target-dir plain", &[]);
    assert_eq!(sandbox.run(&format!("check {folder}/plain/release/greeting")).code, 1);
}

/// The elements as Microsoft spells them, which differ between compiler and linker, in a file whose tags match.
#[test]
fn msbuild_properties_are_spelled_as_documented() {
    let text = fs::read_to_string(integrations().join("msbuild/Patchwright.props")).unwrap();
    for element in [
        "<CreateHotpatchableImage>true</CreateHotpatchableImage>",
        "<CreateHotPatchableImage>X86Image</CreateHotPatchableImage>",
        "<CreateHotPatchableImage>X64Image</CreateHotPatchableImage>",
        "<AdditionalOptions>/FUNCTIONPADMIN:16 %(AdditionalOptions)</AdditionalOptions>",
        "<Hotpatchable Condition=\"'$(Hotpatchable)' == ''\">true</Hotpatchable>",
    ] {
        assert!(text.contains(element), "{element}");
    }
    let mut open: Vec<&str> = Vec::new();
    let mut rest = text.as_str();
    while let Some((_, more)) = rest.split_once('<') {
        if let Some(comment) = more.strip_prefix("!--") {
            rest = comment.split_once("-->").expect("a comment ends").1;
            continue;
        }
        let (tag, more) = more.split_once('>').expect("a tag ends");
        rest = more;
        let name = tag.trim_start_matches('/').split_whitespace().next().unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') && !tag.starts_with('?') {
            open.push(name);
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}
