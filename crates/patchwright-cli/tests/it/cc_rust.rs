//! `cc` with `rustc` and Cargo: stable by the preparing linker, nightly by its flag.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::cc::is_there;
use crate::harness::{Ran, Sandbox};

const SOURCE: &str = r#"
use std::collections::BTreeMap;
#[inline(never)]
fn total(bytes: &[u8]) -> u32 { let mut sum = 0; for byte in bytes { sum += u32::from(*byte); } sum }
#[inline(never)]
fn pick(at: usize) -> u32 { let list = vec![1u32, 2]; list[at] }
fn main() {
    let mut map = BTreeMap::new();
    map.insert("abc", total(b"abc"));
    println!("{map:?} {}", std::panic::catch_unwind(|| pick(std::env::args().count() + 5)).is_err());
}
"#;
const PRINTS: &str = "{\"abc\": 294} true\n";

fn report(sandbox: &Sandbox) -> Value {
    serde_json::from_slice(&sandbox.read("report.json")).unwrap()
}

fn prints(sandbox: &Sandbox, program: &str) {
    let ran = Ran::of(&mut Command::new(sandbox.path(program)));
    assert_eq!((ran.code, ran.stdout.as_str()), (0, PRINTS), "{ran:?}");
}

/// Cargo and its children without what the outer build told them.
fn clean(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let kept = ["CARGO_HOME"].contains(&name.as_str());
        if !kept
            && (name.starts_with("CARGO")
                || name.starts_with("RUSTC")
                || name == "RUSTFLAGS"
                || name == "LD_LIBRARY_PATH")
        {
            command.env_remove(name);
        }
    }
    command
}

/// The same program, by the same compiler, with and without.
#[test]
fn stable_rust_is_hot_patchable() {
    let sandbox = Sandbox::new();
    sandbox.write("main.rs", SOURCE);
    for flags in ["-O", "", "-Copt-level=s -g"] {
        let mut command = Command::new("rustc");
        let plain =
            command.args(flags.split_whitespace()).args(["main.rs", "-o", "plain"]).current_dir(sandbox.path(""));
        assert!(clean(plain).status().unwrap().success());
        let line = format!("cc --audit error --report report.json -- rustc {flags} main.rs -o app");
        let ran = Ran::of(clean(&mut sandbox.command(&line)).env("PATCHWRIGHT_CACHE", sandbox.path("cache")));
        assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{line}: {ran:?}");
        let counts = &report(&sandbox)["audit"]["counts"];
        assert_eq!(counts["missed"], 0, "{line}");
        assert!(counts["atomic"].as_u64().unwrap() > 300, "{line}: {counts}");
        prints(&sandbox, "app");
        prints(&sandbox, "plain");
        let (plain, good) = (sandbox.run("check plain"), sandbox.run("check app"));
        assert_eq!((plain.code, good.code), (1, 0), "{line}: {plain:?}\n{good:?}");
        assert!(plain.stdout.contains("HP-A01") && plain.stdout.contains("HP-A02"), "{line}: {plain:?}");
    }
}

/// A whole Cargo project: library, build script, procedural-macro-free dependency, tests; questions pass untouched.
#[test]
fn cargo_builds_through_the_wrapper() {
    let sandbox = Sandbox::new();
    sandbox.write("Cargo.toml", "[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\nbuild = \"build.rs\"\n[dependencies]\nutil = { path = \"util\" }\n[workspace]\n");
    sandbox.write(
        "build.rs",
        "fn main() { println!(\"cargo::rerun-if-changed=build.rs\"); println!(\"cargo::rustc-env=BUILT=yes\"); }",
    );
    sandbox.write("src/main.rs", "fn main() { println!(\"{} {}\", util::twice(21), env!(\"BUILT\")); }\n#[test]\nfn works() { assert_eq!(util::twice(2), 4); }\n");
    sandbox.write("util/Cargo.toml", "[package]\nname = \"util\"\nversion = \"0.1.0\"\nedition = \"2021\"\n");
    sandbox.write("util/src/lib.rs", "#[inline(never)]\npub fn twice(a: u32) -> u32 { a + a }\n");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_patchwright"), sandbox.path("patchwright-cc")).unwrap();
    let cargo = |arguments: &[&str]| {
        let mut command = Command::new("cargo");
        clean(&mut command)
            .args(arguments)
            .current_dir(sandbox.path(""))
            .env("RUSTC_WRAPPER", sandbox.path("patchwright-cc"))
            .env("PATCHWRIGHT_AUDIT", "error")
            .env("PATCHWRIGHT_CACHE", sandbox.path("cache"))
            .stdin(Stdio::null());
        let ran = Ran::of(&mut command);
        assert_eq!(ran.code, 0, "{arguments:?}: {ran:?}");
        ran
    };
    cargo(&["build", "--offline"]);
    assert_eq!(Ran::of(&mut Command::new(sandbox.path("target/debug/app"))).stdout, "42 yes\n");
    let check = sandbox.run("check target/debug/app");
    assert_eq!(check.code, 0, "{check:?}");
    assert!(cargo(&["test", "--offline"]).stdout.contains("1 passed"));
    // Nothing is built anew when nothing changed.
    assert!(!cargo(&["build", "--offline"]).stderr.contains("Compiling"));
}

/// Nightly has a flag; where there is no nightly, a stand-in shows what it would be given.
#[test]
fn nightly_gets_its_flag() {
    let sandbox = Sandbox::new();
    sandbox.write("main.rs", SOURCE);
    sandbox.write("rustc", "#!/bin/sh\ncase $1 in -vV) printf 'release: 1.97.0-nightly\\nhost: x86_64-unknown-linux-gnu\\n';; *) echo \"$@\" >seen;; esac\n");
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(sandbox.path("rustc"), fs::Permissions::from_mode(0o755)).unwrap();
    sandbox.ok("cc -- ./rustc -O main.rs -o app");
    let seen = String::from_utf8(sandbox.read("seen")).unwrap();
    assert!(
        seen.starts_with(
            "-O main.rs -o app -Zpatchable-function-entry=8,6 -Cllvm-args=-align-all-functions=4 -Clinker="
        ),
        "{seen}"
    );
    let has_nightly = is_there("rustup")
        && clean(Command::new("rustc").args(["+nightly", "-V"]))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
    if has_nightly {
        let ran = Ran::of(
            clean(&mut sandbox.command("cc --audit error -- rustc +nightly -Copt-level=s main.rs -o app"))
                .env("PATCHWRIGHT_CACHE", sandbox.path("cache")),
        );
        assert_eq!(ran.code, 0, "{ran:?}");
        prints(&sandbox, "app");
    }
}

/// What Cargo asks of a compiler gets the compiler's own answer.
#[test]
fn questions_get_the_answer_of_rustc() {
    let sandbox = Sandbox::new();
    for arguments in [
        "-vV",
        "--version",
        "--print sysroot",
        "--print cfg",
        "- --crate-name ___ --print=file-names --crate-type bin --crate-type rlib --print=split-debuginfo",
        "--no-such-flag",
    ] {
        let words: Vec<&str> = arguments.split_whitespace().collect();
        let plain =
            Ran::of(clean(Command::new("rustc").args(&words).current_dir(sandbox.path("")).stdin(Stdio::null())));
        let driven = Ran::of(clean(&mut sandbox.command(&format!("cc -- rustc {arguments}"))));
        assert_eq!(
            (driven.code, driven.stdout, driven.stderr),
            (plain.code, plain.stdout, plain.stderr),
            "{arguments}"
        );
    }
}
