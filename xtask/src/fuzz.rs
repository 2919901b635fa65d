//! Every fuzz target for a short while.
//!
//! The targets are `fuzz/fuzz_targets/*.rs`, their seeds `fuzz/seeds/TARGET/`. What the fuzzer finds on its way stays in
//! `fuzz/corpus/TARGET/`, an input that breaks a target in `fuzz/artifacts/TARGET/`. A find becomes a named file in `testdata/` that
//! a test replays.

use std::path::Path;
use std::process::Command;

use crate::args::Args;
use crate::run::{cargo, has, output, root, show, succeeds};
use crate::{Failure, Result};

pub(crate) fn run(mut args: Args) -> Result {
    let seconds = match args.value("--seconds")? {
        None => 20,
        Some(text) => text.parse::<u32>().map_err(|_| Failure::Usage(format!("--seconds {text}: not a number")))?,
    };
    let chosen = args.free(usize::MAX)?;
    let targets = targets(&root().join("fuzz/fuzz_targets"))?;
    if let Some(unknown) = chosen.iter().find(|name| !targets.contains(name)) {
        return Err(Failure::Usage(format!("no target is called {unknown}; there are: {}", targets.join(" "))));
    }
    ensure_cargo_fuzz()?;
    let toolchain = Toolchain::find();
    let mut broken = Vec::new();
    let chosen = if chosen.is_empty() { &targets } else { &chosen };
    for target in chosen {
        println!("== {target}, {seconds} s");
        if let Err(error) = fuzz(&toolchain, target, seconds) {
            println!("{error}");
            broken.push(target.as_str());
        }
    }
    println!("{} targets, {} broken", chosen.len(), broken.len());
    if broken.is_empty() { Ok(()) } else { Err(format!("broken: {}", broken.join(" ")).into()) }
}

fn targets(dir: &Path) -> Result<Vec<String>> {
    let files = std::fs::read_dir(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let mut names: Vec<String> =
        files.flatten().filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".rs")?.to_owned())).collect();
    names.sort();
    Ok(names)
}

/// The sanitizer is a flag that only nightly takes.
enum Toolchain {
    Nightly,
    /// Stable, told to take nightly's flags.
    Bootstrap,
}

impl Toolchain {
    fn find() -> Toolchain {
        if succeeds(Command::new("rustup").args(["run", "nightly", "cargo", "--version"])) {
            return Toolchain::Nightly;
        }
        println!("no nightly toolchain (rustup toolchain install nightly): fuzzes with stable and RUSTC_BOOTSTRAP=1");
        Toolchain::Bootstrap
    }

    fn cargo(&self) -> Command {
        match self {
            Toolchain::Nightly => {
                let mut command = Command::new("rustup");
                command.args(["run", "nightly", "cargo"]).current_dir(root());
                command
            }
            Toolchain::Bootstrap => {
                let mut command = cargo();
                command.env("RUSTC_BOOTSTRAP", "1");
                command
            }
        }
    }
}

fn fuzz(toolchain: &Toolchain, target: &str, seconds: u32) -> Result {
    let finds = root().join("fuzz/corpus").join(target);
    let seeds = root().join("fuzz/seeds").join(target);
    std::fs::create_dir_all(&finds)?;
    let mut command = toolchain.cargo();
    // C libraries would be built by GCC with GCC's address sanitizer, whose marks LLVM's runtime misreads: it reports a
    // use of the stack after its scope in zstd's match finder, at an address that is no stack.
    for flags in ["CFLAGS", "CXXFLAGS"] {
        command.env(flags, "-fno-sanitize=address");
    }
    command.args(["fuzz", "run", target]).arg(&finds);
    if seeds.is_dir() {
        command.arg(&seeds);
    }
    // Memory beyond a stated bound is a find, and so is an input that takes long.
    let limits = ["-rss_limit_mb=2048", "-timeout=20", "-print_final_stats=1"];
    show(command.arg("--").arg(format!("-max_total_time={seconds}")).args(limits))
}

fn ensure_cargo_fuzz() -> Result {
    if has("cargo-fuzz") || output(cargo().args(["fuzz", "--version"])).is_ok() {
        return Ok(());
    }
    println!("installs: cargo-fuzz (cargo install --locked cargo-fuzz)");
    show(cargo().args(["install", "--locked", "cargo-fuzz"]))
}
