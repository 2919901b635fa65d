//! A case of `testdata/hot`: a source file whose head says how to build it, and what to expect of it.
//!
//! | directive | meaning |
//! |---|---|
//! | `case` | numbers of the acceptance list, and what it is about |
//! | `flags` | of the compiler; the new version gets `-DNEW`, or `--cfg new` |
//! | `library` | a library (`-DLIBRARY`) that a program of the same source opens; the library is patched |
//! | `strip` | what runs has no symbols |
//! | `needs` | `root`, `avx` |
//! | `before`, `after`, `reverted` | a line that the process prints then; `reverted` is `before` if it is not said |
//! | `times` | how often it is patched and taken back |
//! | `functions` | the closed set |
//! | `refuse-diff`, `refuse-apply` | what the refusal says |
//! | `refuse-kind` | `busy` if it is not said, or `io` |

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) source: PathBuf,
    directives: Vec<(String, String)>,
    /// Linked with its relocations kept.
    kept: bool,
}

/// What was built.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) old: PathBuf,
    pub(crate) new: PathBuf,
    /// What is run, and with which argument.
    pub(crate) program: PathBuf,
    pub(crate) argument: Option<PathBuf>,
}

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/hot").canonicalize().unwrap()
}

impl Case {
    pub(crate) fn read(name: &str) -> Self {
        let source = folder().join(name);
        let text = fs::read_to_string(&source).unwrap_or_else(|error| panic!("{name}: {error}"));
        let lines = text.lines().map_while(|line| line.strip_prefix("//# "));
        let directives: Vec<(String, String)> = lines
            .map(|line| {
                let (name, value) = line.split_once(':').unwrap_or((line, ""));
                (name.trim().to_owned(), value.trim().to_owned())
            })
            .collect();
        let known = [
            "case",
            "flags",
            "library",
            "strip",
            "needs",
            "before",
            "after",
            "reverted",
            "times",
            "functions",
            "refuse-diff",
            "refuse-apply",
            "refuse-kind",
        ];
        for (directive, _) in &directives {
            assert!(known.contains(&directive.as_str()), "{name}: unknown directive {directive}");
        }
        Self { source, directives, kept: true }
    }

    /// The case as programs are linked that nobody meant to patch.
    pub(crate) fn plain(name: &str) -> Self {
        Self { kept: false, ..Self::read(name) }
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.directives.iter().filter(|(directive, _)| directive == name).map(|(_, value)| value.as_str()).collect()
    }

    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// Builds both versions in a folder.
    pub(crate) fn build(&self, at: &Path) -> Built {
        let (old, new) = (at.join("old"), at.join("new"));
        let library = self.one("library").is_some();
        let extra: &[&str] = if library { &["-shared", "-DLIBRARY"] } else { &[] };
        self.compile(&old, false, extra);
        self.compile(&new, true, extra);
        let mut built = Built { program: old.clone(), old, new, argument: None };
        if library {
            built.program = at.join("main");
            self.compile(&built.program, false, &["-ldl"]);
            built.argument = Some(built.old.clone());
        }
        if self.one("strip").is_some() {
            built.program = at.join("stripped");
            run(Command::new("strip").arg("-s").arg("-o").arg(&built.program).arg(&built.old));
        }
        built
    }

    fn compile(&self, output: &Path, new: bool, extra: &[&str]) {
        let flags = self.one("flags").unwrap_or_default().split_whitespace();
        // Of this build alone: tests that run at the same time have the same sources.
        static BUILDS: AtomicU64 = AtomicU64::new(0);
        let number = BUILDS.fetch_add(1, Ordering::Relaxed);
        let identity = format!("-Wl,--build-id=0x{:08x}{number:016x}", std::process::id());
        let kind = self.source.extension().and_then(|kind| kind.to_str()).unwrap();
        let mut command = match kind {
            "rs" => {
                let mut command = Command::new("rustc");
                command.args([
                    "--crate-name",
                    "case",
                    "--edition",
                    "2021",
                    "-g",
                    "-Ccodegen-units=1",
                    "-Aunexpected_cfgs",
                ]);
                command.args(self.kept.then_some("-Clink-arg=-Wl,--emit-relocs"));
                command.arg(format!("-Clink-arg={identity}"));
                command.args(new.then_some(["--cfg", "new"]).into_iter().flatten());
                command
            }
            kind => {
                let mut command = Command::new(if kind == "cpp" { "g++" } else { "gcc" });
                command.args(["-g", "-ffunction-sections", &identity]);
                command.args(self.kept.then_some("-Wl,--emit-relocs"));
                command.args(new.then_some("-DNEW"));
                command
            }
        };
        command.args(flags).arg("-o").arg(output).arg(&self.source).args(extra);
        run(&mut command);
    }
}

pub(crate) fn run(command: &mut Command) {
    let ran = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(ran.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ran.stderr));
}
