//! The chores of this repository, each one command: `cargo xtask VERB`.
//!
//! | module | what |
//! |---|---|
//! | [`setup`] | Debian packages that a chore needs and the machine lacks |
//! | [`demo`] | the main job on a real program, narrated |
//! | [`mod@test`] | everything that must hold before a commit, with one closing line |
//! | [`bless`] | golden and generated files rewritten from the code |
//! | [`corpus`] | pairs of real program files to measure on |
//! | [`prepared`] | our own crates, linked by `patchwright-linker`, pass their tests |
//! | [`real`] | every promise about files, on the real pairs of the corpus |
//! | [`matrix`] | `check` over all combinations of compilers and their flags |
//! | [`cross`] | deltas made and applied on another CPU are the same bytes |
//! | [`images`] | `check` on the images of the corpus, against counts that were looked at once |
//! | [`mod@bench`] | size, time and memory against other tools on the corpus; `bench_live` pauses of processes |
//! | [`fuzz`] | every fuzz target for a short while |
//! | [`dist`] | a release archive |
//! | [`args`], [`run`], [`fetch`], [`elf`] | what these share |

mod args;
mod bench;
mod bench_check;
mod bench_live;
mod bless;
mod corpus;
mod cross;
mod demo;
mod dist;
mod elf;
mod fetch;
mod fuzz;
mod images;
mod matrix;
mod prepared;
mod real;
mod run;
mod setup;
mod test;

use std::process::ExitCode;

use args::Args;

/// Why a chore did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line makes no sense.
    Usage(String),
    /// The work itself failed.
    Failed(String),
}

pub(crate) type Result<T = ()> = std::result::Result<T, Failure>;

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Failure::Failed(text)
    }
}

impl From<&str> for Failure {
    fn from(text: &str) -> Self {
        Failure::Failed(text.into())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure::Failed(error.to_string())
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Usage(text) | Failure::Failed(text) => f.write_str(text),
        }
    }
}

struct Verb {
    name: &'static str,
    arguments: &'static str,
    about: &'static str,
    run: fn(Args) -> Result,
}

const VERBS: &[Verb] = &[
    Verb {
        name: "demo",
        arguments: "[--from debian|pypi|own] [--bin PATCHWRIGHT]",
        about: "patch a real program with a per-machine stamp, and take the patch back",
        run: demo::run,
    },
    Verb {
        name: "test",
        arguments: "[--quick]",
        about: "set up, format check, lints, tests, documentation; --quick: format check and tests",
        run: test::run,
    },
    Verb {
        name: "real",
        arguments: "[--corpus DIR] [--pairs d01,d02]",
        about: "stamp, patch and take back the real programs of the corpus",
        run: real::run,
    },
    Verb {
        name: "matrix",
        arguments: "",
        about: "audit what every compiler makes with every combination of flags (many minutes)",
        run: matrix::run,
    },
    Verb {
        name: "cross",
        arguments: "",
        about: "make and apply deltas of native programs under qemu-aarch64, and compare with here (minutes)",
        run: cross::run,
    },
    Verb {
        name: "prepared",
        arguments: "",
        about: "link crates of our own with patchwright-linker, run their tests, say what it costs (minutes)",
        run: prepared::run,
    },
    Verb {
        name: "images",
        arguments: "[--corpus DIR] [--bless]",
        about: "audit the images of the corpus, and compare the counts with those of before",
        run: images::run,
    },
    Verb { name: "ci", arguments: "", about: "what the build server runs: test", run: test::ci },
    Verb {
        name: "setup",
        arguments: "[demo|test|bench|corpus]...",
        about: "install the Debian packages that chores need (default: test)",
        run: setup::run,
    },
    Verb { name: "bless", arguments: "", about: "rewrite golden and generated files from the code", run: bless::run },
    Verb {
        name: "corpus",
        arguments: "[DIR] [--pairs d01,d02]",
        about: "fetch old/new pairs of real program files (default: corpus/, about 1 GB)",
        run: corpus::run,
    },
    Verb {
        name: "bench",
        arguments: "delta|pa19|check [--corpus DIR] [--pairs d01,d02] [--out FILE] [--hdiffz DIR] [--bidiff DIR] | live [--tool FILE]",
        about: "measure: delta and pa19 against other tools, check against llvm-objdump, live for pauses of processes",
        run: bench::run,
    },
    Verb {
        name: "fuzz",
        arguments: "[TARGET]... [--seconds N]",
        about: "run the fuzz targets for N seconds each (default: 20)",
        run: fuzz::run,
    },
    Verb {
        name: "dist",
        arguments: "[--out DIR]",
        about: "build a release archive with manual pages, completions and licences (default: dist/)",
        run: dist::run,
    },
];

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let Some(name) = words.next() else {
        eprint!("{}", help());
        return ExitCode::from(2);
    };
    if matches!(name.as_str(), "help" | "--help" | "-h") {
        print!("{}", help());
        return ExitCode::SUCCESS;
    }
    let Some(verb) = VERBS.iter().find(|verb| verb.name == name) else {
        eprint!("no chore is called {name}\n\n{}", help());
        return ExitCode::from(2);
    };
    let args = Args::new(words);
    if args.wants_help() {
        println!("cargo xtask {} {}\n  {}", verb.name, verb.arguments, verb.about);
        return ExitCode::SUCCESS;
    }
    match (verb.run)(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(text)) => {
            eprintln!("{text}\nusage: cargo xtask {} {}", verb.name, verb.arguments);
            ExitCode::from(2)
        }
        Err(Failure::Failed(text)) => {
            eprintln!("cargo xtask {}: {text}", verb.name);
            ExitCode::FAILURE
        }
    }
}

fn help() -> String {
    let mut text = String::from("usage: cargo xtask VERB\n\n");
    for Verb { name, arguments, about, .. } in VERBS {
        let line = format!("  {name} {arguments}");
        text.push_str(&format!("{}\n      {about}\n", line.trim_end()));
    }
    text
}
