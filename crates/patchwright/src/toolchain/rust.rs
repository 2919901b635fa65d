//! `rustc` behind `cc`: its objects, and those of the standard library, are prepared at the link; nightly has a flag for
//! its own as well.
//!
//! Cargo calls every `rustc` through `RUSTC_WRAPPER`, and asks it questions through it; those pass untouched, and so do
//! build scripts and procedural macros, which run on the build machine and are shipped to nobody.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::build::{Build, MapFlag};
use super::options::DriverOptions;
use super::plan::{Choices, Plan};
use super::recipe::{MachineType, Nops};
use super::verdict::Linked;
use crate::{Error, ErrorKind, Result};

/// What was typed, as far as it matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RustJob {
    /// Code is made.
    compiles: bool,
    /// A program or a shared library is linked.
    links: bool,
    /// `--target`.
    target: Option<String>,
    /// `-C linker`.
    linker: Option<OsString>,
    /// `-C strip=symbols`.
    stripped: bool,
    /// `-Z patchable-function-entry`.
    nops: Option<String>,
    /// `-o`, or the place of the image in `--out-dir`.
    output: Option<PathBuf>,
    folder: Option<PathBuf>,
}

impl RustJob {
    /// Reads the words behind `rustc`.
    pub(crate) fn read(words: &[OsString]) -> Self {
        let mut job = Self::default();
        let (mut asks, mut input, mut test) = (false, false, false);
        let (mut kinds, mut emits, mut name) = (Vec::<String>::new(), Vec::<String>::new(), String::new());
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let text = word.to_string_lossy();
            let (option, joined) = match text.split_once('=') {
                Some((option, value)) if option.starts_with("--") => (option.to_owned(), Some(value.to_owned())),
                // `-Clinker=x`, `-Zname`, `-oout`, `-Ldir`
                _ if text.starts_with('-') && !text.starts_with("--") && text.len() > 2 && text.is_char_boundary(2) => {
                    (text[..2].to_owned(), Some(text[2..].to_owned()))
                }
                _ => (text.clone().into_owned(), None),
            };
            let mut value = || {
                joined
                    .clone()
                    .or_else(|| words.next().map(|word| word.to_string_lossy().into_owned()))
                    .unwrap_or_default()
            };
            match option.as_str() {
                "-C" | "--codegen" => job.codegen(&value()),
                "-Z" => {
                    let value = value();
                    let nops = value
                        .strip_prefix("patchable-function-entry=")
                        .or(value.strip_prefix("patchable_function_entry="));
                    job.nops = nops.map(str::to_owned).or(job.nops);
                }
                "--print" | "--explain" => {
                    value();
                    asks = true;
                }
                "-v" if joined.as_deref() == Some("V") => asks = true,
                "-V" | "--version" | "-h" | "--help" | "-vV" => asks = true,
                "--crate-type" => kinds.extend(value().split(',').map(str::to_owned)),
                "--emit" => {
                    emits.extend(value().split(',').map(|one| one.split('=').next().unwrap_or_default().to_owned()))
                }
                "--crate-name" => name = value(),
                "--target" => job.target = Some(value()),
                "--out-dir" => job.folder = Some(value().into()),
                "-o" => job.output = Some(value().into()),
                "--test" => test = true,
                "-L"
                | "-l"
                | "-W"
                | "-A"
                | "-D"
                | "-F"
                | "--cfg"
                | "--check-cfg"
                | "--edition"
                | "--extern"
                | "--sysroot"
                | "--error-format"
                | "--json"
                | "--color"
                | "--diagnostic-width"
                | "--remap-path-prefix"
                | "--cap-lints"
                | "--warn"
                | "--force-warn"
                | "--allow"
                | "--deny"
                | "--forbid"
                | "--env-set" => {
                    value();
                }
                _ if text.starts_with('-') && text != "-" => {}
                _ => input = true,
            }
        }
        // Nobody ships what runs at compile time.
        let helper = kinds.iter().any(|kind| kind == "proc-macro") || name.starts_with("build_script_");
        let emits_code = emits.is_empty()
            || emits.iter().any(|one| ["link", "obj", "asm", "llvm-bc", "llvm-ir"].contains(&one.as_str()));
        job.compiles = input && !asks && !helper && emits_code;
        let linked = ["bin", "dylib", "cdylib"];
        let kind = kinds.is_empty() || test || kinds.iter().any(|kind| linked.contains(&kind.as_str()));
        job.links = job.compiles && kind && (emits.is_empty() || emits.iter().any(|one| one == "link"));
        job
    }

    fn codegen(&mut self, value: &str) {
        match value.split_once('=') {
            Some(("linker", path)) => self.linker = Some(path.into()),
            Some(("strip", what)) => self.stripped = what == "symbols",
            _ => {}
        }
    }
}

/// What `rustc -vV` tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Version {
    release: String,
    host: String,
}

impl Version {
    fn read(text: &str) -> Option<Self> {
        let value =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned());
        Some(Self { release: value("release: ")?, host: value("host: ")? })
    }

    fn takes_unstable_flags(&self) -> bool {
        self.release.contains("nightly") || self.release.contains("-dev")
    }
}

/// Plans what is added; `linker` is the program that prepares objects on their way to the linker.
fn plan(
    job: &RustJob,
    version: &Version,
    choices: &Choices,
    linker: impl FnOnce() -> Result<PathBuf>,
) -> Result<(Plan, Vec<(&'static str, OsString)>)> {
    let (mut plan, mut set) = (Plan::default(), Vec::new());
    let triple = job.target.as_ref().unwrap_or(&version.host);
    let is_elf = ["linux", "freebsd", "netbsd", "openbsd", "android", "illumos", "solaris", "none"]
        .iter()
        .any(|os| triple.contains(os));
    let machine = MachineType::from_triple(triple).filter(|_| is_elf || triple.contains("windows"));
    let nightly = version.takes_unstable_flags();
    let refuse = |reason: &str| {
        let message = format!("rustc {} for {triple} cannot make hot-patchable code", version.release);
        Err(Error::new(ErrorKind::Refused, message)
            .details([reason])
            .hint("call rustc without patchwright, or take another one"))
    };
    let Some(machine) = machine else {
        return refuse("the target is none of x86, x86-64, ARM and ARM64 with ELF or COFF objects");
    };
    if !nightly && (!is_elf || machine == MachineType::Arm) {
        return refuse(
            "stable rustc has no flag for it, and the linker that prepares objects knows ELF for x86, x86-64 and ARM64",
        );
    }
    let pad = choices.pad.unwrap_or_else(|| machine.usual_pad());
    plan.pad = Some(pad);
    if nightly {
        let nops = Nops::for_pad(machine, pad)?;
        match &job.nops {
            None => plan.add([format!("-Zpatchable-function-entry={},{}", nops.total, nops.before)]),
            Some(value) => {
                let shortcoming = Nops::read(value).and_then(|nops| nops.shortcoming(machine, pad));
                plan.warnings
                    .extend(shortcoming.map(|why| format!("-Zpatchable-function-entry={value} wins over ours: {why}")));
            }
        }
        // With `opt-level=s` functions are not aligned.
        plan.add(["-Cllvm-args=-align-all-functions=4"]);
        if !is_elf {
            plan.note([
                "the standard library comes compiled: its functions stay as they are without -Zbuild-std".to_owned()
            ]);
        }
    }
    if job.links && is_elf && machine != MachineType::Arm {
        // What comes compiled, and the `main` that rustc itself makes, which carries no attribute.
        let mut word = OsString::from("-Clinker=");
        word.push(linker()?);
        plan.add([word]);
        set.push(("PATCHWRIGHT_LD", job.linker.clone().unwrap_or_else(|| "cc".into())));
        set.extend(choices.pad.map(|pad| ("PATCHWRIGHT_PAD", OsString::from(pad.to_string()))));
    }
    if job.links && is_elf && choices.emit_relocs {
        if job.stripped {
            plan.note([
                "the image is stripped: it keeps no relocations, so that a hot patch will need the unstripped one"
                    .to_owned(),
            ]);
        } else {
            plan.add(["-Clink-arg=-Wl,--emit-relocs"]);
        }
    }
    Ok((plan, set))
}

/// Plans a command of `rustc`, whose arguments begin at `at`.
pub(crate) fn rustc(words: &[OsString], at: usize, options: DriverOptions) -> Result<Build> {
    // `rustc +nightly`: rustup's choice of a toolchain belongs to the program.
    let chooses = words.get(at).is_some_and(|word| word.as_encoded_bytes().starts_with(b"+"));
    let start = at + usize::from(chooses);
    let program = words.get(at - 1..start).unwrap_or_default();
    let arguments = words.get(start..).unwrap_or_default();
    let job = RustJob::read(arguments);
    let mut build = Build {
        driver: "cc",
        compiler: None,
        command: words.to_vec(),
        added_at: start,
        chatty: false,
        map_flag: MapFlag::None,
        plan: Plan::default(),
        linked: None,
        hide: &["PATCHWRIGHT_REPORT"],
        set: Vec::new(),
        options,
        scratch: None,
    };
    if !job.compiles {
        return Ok(build);
    }
    let text = ask(program, ["-vV".as_ref()])?;
    let version = Version::read(&text).ok_or_else(|| {
        Error::new(ErrorKind::Refused, "it does not tell its version as rustc does").at(named(program))
    })?;
    build.compiler = Some(format!("rustc {} for {}", version.release, job.target.as_ref().unwrap_or(&version.host)));
    (build.plan, build.set) = plan(&job, &version, &build.options.choices(), preparing_linker)?;
    if job.links {
        let image = image(program, arguments, &job)?;
        build.linked = image.map(|image| Linked { image, min_pad: build.options.pad, ..Linked::default() });
    }
    // Behind the words of the user: the last linker wins, and theirs is run by ours.
    let added = build.plan.added.clone();
    build.command.extend(added);
    Ok(build)
}

fn named(program: &[OsString]) -> PathBuf {
    program.first().map(PathBuf::from).unwrap_or_default()
}

/// Where the program goes: what `rustc` itself says.
fn image(program: &[OsString], arguments: &[OsString], job: &RustJob) -> Result<Option<PathBuf>> {
    if job.output.is_some() {
        return Ok(job.output.clone());
    }
    let question: Vec<&OsStr> =
        arguments.iter().map(OsString::as_os_str).chain(["--print".as_ref(), "file-names".as_ref()]).collect();
    let names = ask(program, question)?;
    let is_linked = |name: &&str| {
        !["rlib", "rmeta", "a", "lib", "o"]
            .iter()
            .any(|extension| Path::new(name).extension().is_some_and(|found| found == *extension))
    };
    let folder = job.folder.clone().unwrap_or_default();
    Ok(names.lines().find(is_linked).map(|name| folder.join(name)))
}

fn ask<'a>(program: &[OsString], arguments: impl IntoIterator<Item = &'a OsStr>) -> Result<String> {
    let mut command = Command::new(named(program));
    command.args(program.get(1..).unwrap_or_default()).args(arguments).stdin(Stdio::null()).stderr(Stdio::null());
    let output = command.output().map_err(|error| {
        let made = Error::io("run it", named(program), &error);
        if error.kind() == std::io::ErrorKind::NotFound { made.hint("is it installed, and on PATH?") } else { made }
    })?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The program that prepares objects on their way to the linker: beside this one, or on PATH.
pub(crate) fn preparing_linker() -> Result<PathBuf> {
    const NAME: &str = "patchwright-linker";
    let own = std::env::current_exe().map_err(|error| Error::io("find this program", "patchwright", &error))?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let beside = own.parent().map(Path::to_owned);
    let mut found = beside
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(NAME))
        .filter(|file| file.is_file());
    found.next().ok_or_else(|| {
        Error::new(ErrorKind::Io, format!("{NAME} is not there"))
            .at(own)
            .hint(format!("install {NAME} beside patchwright"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> RustJob {
        RustJob::read(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn questions_and_helpers_are_left_alone() {
        for (line, compiles, links) in [
            ("", false, false),
            ("-vV", false, false),
            ("-V", false, false),
            ("--version --verbose", false, false),
            ("- --crate-name ___ --print=file-names --crate-type bin", false, false),
            ("--print cfg", false, false),
            ("main.rs", true, true),
            ("main.rs -O -o app", true, true),
            ("--crate-name app --edition=2024 src/main.rs --crate-type bin --emit=dep-info,link", true, true),
            ("--crate-name app src/main.rs --crate-type bin --emit=dep-info,metadata", false, false),
            ("--crate-name app src/lib.rs --crate-type lib --emit=dep-info,metadata,link", true, false),
            ("--crate-type cdylib,rlib src/lib.rs", true, true),
            ("--crate-type lib --test src/lib.rs", true, true),
            ("--crate-name build_script_build build.rs --crate-type bin --emit=dep-info,link", false, false),
            ("--crate-type proc-macro src/lib.rs", false, false),
            ("--emit obj main.rs", true, false),
        ] {
            let job = read(line);
            assert_eq!((job.compiles, job.links), (compiles, links), "{line}");
        }
        let job = read(
            "-C linker=clang -Cstrip=symbols --target x86_64-unknown-linux-musl --out-dir out -Zpatchable-function-entry=3 main.rs",
        );
        assert_eq!((job.linker, job.stripped, job.folder), (Some("clang".into()), true, Some("out".into())));
        assert_eq!((job.target.as_deref(), job.nops.as_deref()), (Some("x86_64-unknown-linux-musl"), Some("3")));
    }

    #[test]
    fn each_channel_gets_what_it_takes() {
        let version =
            |release: &str| Version { release: release.to_owned(), host: "x86_64-unknown-linux-gnu".to_owned() };
        let (stable, nightly) = (version("1.95.0"), version("1.97.0-nightly"));
        let relocs = "-Clink-arg=-Wl,--emit-relocs";
        let flag = "-Zpatchable-function-entry=8,6 -Cllvm-args=-align-all-functions=4";
        for (line, version, expect) in [
            ("main.rs", &stable, format!("-Clinker=/x/patchwright-linker {relocs}")),
            ("main.rs -Cstrip=symbols", &stable, "-Clinker=/x/patchwright-linker".to_owned()),
            ("lib.rs --crate-type lib", &stable, String::new()),
            ("main.rs", &nightly, format!("{flag} -Clinker=/x/patchwright-linker {relocs}")),
            ("lib.rs --crate-type lib", &nightly, flag.to_owned()),
            (
                "main.rs --target aarch64-unknown-linux-gnu",
                &nightly,
                format!(
                    "-Zpatchable-function-entry=5,4 -Cllvm-args=-align-all-functions=4 -Clinker=/x/patchwright-linker {relocs}"
                ),
            ),
            ("main.rs --target x86_64-pc-windows-msvc", &nightly, flag.to_owned()),
        ] {
            let (plan, _) =
                plan(&read(line), version, &Choices::default(), || Ok("/x/patchwright-linker".into())).unwrap();
            let added: Vec<_> = plan.added.iter().map(|word| word.to_str().unwrap()).collect();
            assert_eq!(added.join(" "), expect, "{line} {}", version.release);
        }
        for (line, reason) in [
            ("main.rs --target x86_64-pc-windows-msvc", "stable rustc has no flag"),
            ("main.rs --target wasm32-unknown-unknown", "the target is none of"),
        ] {
            let error = plan(&read(line), &stable, &Choices::default(), || Ok("x".into())).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Refused);
            assert!(error.details[0].contains(reason), "{error}");
        }
        let (_, set) = plan(&read("main.rs -C linker=clang"), &stable, &Choices::default(), || Ok("x".into())).unwrap();
        assert_eq!(set, [("PATCHWRIGHT_LD", "clang".into())]);
    }

    #[test]
    fn versions_are_read() {
        let text = "rustc 1.95.0 (abc 2026-01-01)\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\nrelease: 1.95.0\n";
        let version = Version::read(text).unwrap();
        assert_eq!((version.release.as_str(), version.takes_unstable_flags()), ("1.95.0", false));
        assert_eq!(Version::read("gcc 12"), None);
    }
}
