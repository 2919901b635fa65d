//! The linker face: every object and archive of a link is prepared on its way to the real linker.
//!
//! Two programs are played, one calling the other:
//!
//! - *driver* (`patchwright-linker`): takes the arguments of `cc`, which it runs with a folder of its own in front of
//!   `cc`'s places to look for a linker. Nothing else of the command changes, so that specs, search paths, sources on the
//!   same line and response files remain `cc`'s business. This is what `rustc -C linker=` wants.
//! - *linker* (`ld`, `ld.lld` and their kin, by the name it is called by): takes the arguments of `ld`, which by now name
//!   every folder and file. Inputs are replaced by prepared copies, and the real linker is run.
//!
//! Copies of objects live in a folder that only this call knows and that goes with it; archives are cached.

mod cache;
mod inputs;
mod response;

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use patchwright_image::is_archive;
use rayon::prelude::*;

use crate::prepare::{PrepareOptions, prepare_bytes};
use crate::report::{LinkReport, PrepareCounts, PreparedFile, RefusedMember};
use crate::{Error, ErrorKind, Result};
use cache::Cache;
use inputs::Input;

/// The variable with the program that the driver runs, or the linker in its place.
pub const PROGRAM: &str = "PATCHWRIGHT_LD";
/// The variable with which the driver tells the linker what to run.
const REAL: &str = "PATCHWRIGHT_REAL_LD";
/// The variable with the folder of the cache; empty for none.
pub const CACHE: &str = "PATCHWRIGHT_CACHE";

/// Which program is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// `cc`.
    Driver,
    /// `ld`.
    Linker,
}

impl Face {
    /// The program that a name asks for.
    pub fn of(program: &OsStr) -> Option<Self> {
        let name = Path::new(program).file_name()?.to_str()?;
        match name {
            "patchwright-linker" => Some(Self::Driver),
            "ld" | "ld.bfd" | "ld.gold" | "ld.lld" | "ld.mold" => Some(Self::Linker),
            // Of a cross compiler.
            _ if name.ends_with("-ld") => Some(Self::Linker),
            _ => None,
        }
    }
}

/// What a link is done with.
#[derive(Clone, Debug, Default)]
pub struct LinkOptions {
    /// The program to run; without it `cc`, or the linker that is found.
    pub program: Option<OsString>,
    /// What the objects are prepared for.
    pub prepare: PrepareOptions,
    /// The cache of prepared archives.
    pub cache: Option<PathBuf>,
    /// How this process was called: the name a real linker must have.
    pub called: OsString,
}

impl LinkOptions {
    /// As the environment says: `PATCHWRIGHT_LD`, `PATCHWRIGHT_CACHE`, `PATCHWRIGHT_PAD`.
    ///
    /// # Errors
    /// The pad is no number from 0 to 120.
    pub fn from_environment(called: &OsStr) -> Result<Self> {
        let var = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let min_pad = match var("PATCHWRIGHT_PAD") {
            None => None,
            Some(text) => Some(
                text.to_str()
                    .and_then(|text| text.parse().ok())
                    .filter(|pad| *pad <= 120)
                    .ok_or_else(|| Error::new(ErrorKind::Usage, "PATCHWRIGHT_PAD is no number from 0 to 120"))?,
            ),
        };
        let cache = match std::env::var_os(CACHE) {
            Some(folder) if folder.is_empty() => None,
            Some(folder) => Some(PathBuf::from(folder)),
            None => var("XDG_CACHE_HOME")
                .map(PathBuf::from)
                .or_else(|| Some(PathBuf::from(var("HOME")?).join(".cache")))
                .map(|folder| folder.join("patchwright/prepared")),
        };
        Ok(Self { program: var(PROGRAM), prepare: PrepareOptions { min_pad }, cache, called: called.to_owned() })
    }
}

/// What came of a link.
#[derive(Debug)]
pub struct Linked {
    /// The exit code of the program that was run; 128 and the number of the signal if one ended it.
    pub exit_code: u8,
    /// What was prepared; the driver leaves that to the linker that it has run.
    pub report: Option<LinkReport>,
}

/// Runs `cc` with this program in front of its linker.
///
/// # Errors
/// A program cannot be found or run.
pub fn drive(args: &[OsString], options: &LinkOptions) -> Result<Linked> {
    let compiler = options.program.clone().unwrap_or_else(|| OsString::from("cc"));
    let own = own_path()?;
    let folder = folder()?;
    let choice = Choice::of(&response::expand(args));
    let real = choice.find(&compiler, &own)?;
    let link = folder.path().join(&choice.name);
    std::os::unix::fs::symlink(&own, &link).map_err(|error| Error::io("make a link", &link, &error))?;
    let mut command = Command::new(&compiler);
    command.arg(joined("-B", folder.path()));
    if choice.path.is_some() {
        // A linker that is chosen by its path is not looked for.
        command.args(args.iter().filter(|arg| chosen_path(arg).is_none())).arg(joined("--ld-path=", &link));
    } else {
        command.args(args);
    }
    command.env(REAL, real).env_remove(PROGRAM);
    let status = run(&mut command, &compiler)?;
    Ok(Linked { exit_code: exit_code(status), report: None })
}

/// Runs the real linker on prepared copies of its inputs.
///
/// # Errors
/// The real linker cannot be found or run, or a copy cannot be written. An input that cannot be prepared is no error: the
/// linker gets it as it is.
pub fn link(args: &[OsString], options: &LinkOptions) -> Result<Linked> {
    let real = match (&options.program, std::env::var_os(REAL)) {
        (Some(program), _) => program.clone(),
        (None, Some(real)) => real,
        (None, None) => {
            let name = Path::new(&options.called).file_name().unwrap_or(OsStr::new("ld"));
            let name = if Face::of(name) == Some(Face::Linker) { name } else { OsStr::new("ld") };
            search(name, &own_path()?)?.into_os_string()
        }
    };
    let mut args = response::expand(args);
    let asked = inputs::read(&args, Path::is_file);
    let work = Work { folder: folder()?, options, cache: options.cache.as_deref().and_then(Cache::open) };
    let machine = asked.inputs.iter().filter(|input| !input.searched).find_map(|input| machine(&input.path));
    let fits = |input: &&Input| !input.searched || machine_of_archive(&input.path) == machine;
    let inputs: Vec<&Input> = asked.inputs.iter().filter(fits).collect();
    let done: Vec<Option<PreparedFile>> = inputs
        .par_iter()
        .enumerate()
        .map(|(number, input)| work.prepare(number, &input.path))
        .collect::<Result<_>>()?;
    let mut files = Vec::new();
    // From the end, so that places stay right when two arguments become one.
    for (input, file) in inputs.iter().zip(done).rev() {
        let Some(file) = file else { continue };
        if file.changed {
            args.splice(input.index..input.index + input.args, [file.output.clone().into_os_string()]);
        }
        files.push(file);
    }
    files.reverse();
    let mut command = Command::new(&real);
    work.pass(&args, &mut command)?;
    let status = run(&mut command, &real)?;
    let counts = files.iter().fold(PrepareCounts::default(), |sum, file| sum.plus(file.counts));
    let output = asked.output.unwrap_or_else(|| PathBuf::from("a.out"));
    let report = LinkReport { schema: "patchwright.link/1", linker: real.into(), output, files, counts };
    Ok(Linked { exit_code: exit_code(status), report: Some(report) })
}

/// Longer command lines go through a response file.
const LONGEST_LINE: usize = 64 << 10;

/// The start files of the toolchain: pieces that the linker puts together, and a few functions that run once.
const START_FILES: [&str; 7] = ["crt1.o", "crti.o", "crtn.o", "Scrt1.o", "gcrt1.o", "rcrt1.o", "Mcrt1.o"];

/// What inputs are prepared with.
struct Work<'a> {
    folder: tempfile::TempDir,
    options: &'a LinkOptions,
    cache: Option<Cache>,
}

impl Work<'_> {
    /// Prepares one input; none if there is nothing to prepare in it.
    fn prepare(&self, number: usize, input: &Path) -> Result<Option<PreparedFile>> {
        let Some(name) = input.file_name() else { return Ok(None) };
        let start_file = name.to_str().is_some_and(|name| {
            START_FILES.contains(&name)
                || name.ends_with(".o") && (name.starts_with("crtbegin") || name.starts_with("crtend"))
        });
        if start_file || !is_input(input) {
            return Ok(None);
        }
        let data = fs::read(input).map_err(|error| Error::io("read", input, &error))?;
        let options = &self.options.prepare;
        let cache = self.cache.as_ref().filter(|_| is_archive(&data));
        if let Some((_, file)) = cache.and_then(|cache| cache.find(&data, options, input)) {
            return Ok(Some(file));
        }
        let (bytes, mut file) = match prepare_bytes(&data, options, input, input) {
            Ok(prepared) => prepared,
            Err(error) => {
                let reason = RefusedMember { member: String::new(), reason: error.to_string() };
                return Ok(Some(PreparedFile::left_alone(input, reason)));
            }
        };
        // A cache that cannot be written to only costs time.
        let kept = cache.and_then(|cache| cache.keep(&data, options, bytes.as_deref(), &file).ok()).flatten();
        if let Some(bytes) = bytes {
            file.output = match kept {
                Some(path) => path,
                None => self.write(number, name, &bytes)?,
            };
        }
        Ok(Some(file))
    }

    fn write(&self, number: usize, name: &OsStr, bytes: &[u8]) -> Result<PathBuf> {
        // The name stays: linkers print it, and options such as `--exclude-libs` ask for it.
        let folder = self.folder.path().join(number.to_string());
        let path = folder.join(name);
        fs::create_dir(&folder)
            .and_then(|()| fs::write(&path, bytes))
            .map_err(|error| Error::io("write", &path, &error))?;
        Ok(path)
    }

    /// Gives the arguments to a command, by way of a file where they are too many for a command line.
    fn pass(&self, args: &[OsString], command: &mut Command) -> Result<()> {
        if args.iter().map(|arg| arg.len() + 1).sum::<usize>() < LONGEST_LINE {
            command.args(args);
            return Ok(());
        }
        let path = self.folder.path().join("arguments");
        let mut text = Vec::new();
        for byte in args.iter().flat_map(|arg| arg.as_bytes().iter().copied().map(Some).chain([None])) {
            match byte {
                None => text.push(b'\n'),
                Some(byte) if byte.is_ascii_alphanumeric() || b"/._-+=,:%@".contains(&byte) => text.push(byte),
                Some(byte) => text.extend([b'\\', byte]),
            }
        }
        fs::write(&path, text).map_err(|error| Error::io("write", &path, &error))?;
        command.arg(joined("@", &path));
        Ok(())
    }
}

/// Whether a file is an archive or a relocatable object: scripts and shared libraries are not.
fn is_input(path: &Path) -> bool {
    let mut head = [0; 18];
    let Ok(()) = File::open(path).and_then(|mut file| file.read_exact(&mut head)) else { return false };
    let object = head.starts_with(b"\x7fELF") && head[16..18] == [1, 0];
    object || is_archive(&head) || head.starts_with(b"BC\xc0\xde")
}

/// The machine type of an ELF object.
fn machine(path: &Path) -> Option<[u8; 2]> {
    let mut head = [0; 20];
    File::open(path).and_then(|mut file| file.read_exact(&mut head)).ok()?;
    head.starts_with(b"\x7fELF").then_some([head[18], head[19]])
}

/// The machine type of the first object of an archive.
fn machine_of_archive(path: &Path) -> Option<[u8; 2]> {
    let data = fs::read(path).ok()?;
    let at = data.windows(4).position(|window| window == b"\x7fELF")?;
    Some([*data.get(at + 18)?, *data.get(at + 19)?])
}

/// Which linker a command for `cc` chooses.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Choice {
    /// The name that `cc` looks for.
    name: String,
    /// The path, if it is given.
    path: Option<PathBuf>,
    /// The arguments that decide where `cc` looks.
    places: Vec<OsString>,
}

/// The linker that an argument chooses by its path.
fn chosen_path(arg: &OsStr) -> Option<PathBuf> {
    let bytes = arg.as_bytes();
    let path = bytes.strip_prefix(b"--ld-path=").or(bytes.strip_prefix(b"-fuse-ld="))?;
    path.contains(&b'/').then(|| PathBuf::from(OsStr::from_bytes(path)))
}

impl Choice {
    fn of(args: &[OsString]) -> Self {
        let mut choice = Self { name: "ld".to_owned(), path: None, places: Vec::new() };
        let mut words = args.iter();
        while let Some(arg) = words.next() {
            let bytes = arg.as_bytes();
            if let Some(path) = chosen_path(arg) {
                choice.path = Some(path);
                "ld".clone_into(&mut choice.name);
            } else if let Some(name) = arg.to_str().and_then(|arg| arg.strip_prefix("-fuse-ld=")) {
                choice.path = None;
                choice.name = if name.is_empty() || name == "ld" { "ld".to_owned() } else { format!("ld.{name}") };
                choice.places.push(arg.clone());
            } else if matches!(bytes, b"-B" | b"-target" | b"--sysroot" | b"-gcc-toolchain") {
                choice.places.extend([arg.clone()].into_iter().chain(words.next().cloned()));
            } else if [&b"-B"[..], b"--target=", b"--sysroot=", b"--gcc-toolchain=", b"-m32", b"-m64", b"-mx32"]
                .iter()
                .any(|place| bytes.starts_with(place))
            {
                choice.places.push(arg.clone());
            }
        }
        choice
    }

    /// The linker that `cc` would run by itself.
    fn find(&self, compiler: &OsStr, own: &Path) -> Result<PathBuf> {
        if let Some(path) = &self.path {
            return Ok(path.clone());
        }
        let told = Command::new(compiler).args(&self.places).arg(format!("-print-prog-name={}", self.name)).output();
        let told = told.map_err(|error| Error::io("run", Path::new(compiler), &error))?;
        let path = told.stdout.trim_ascii_end();
        if path.contains(&b'/') {
            return Ok(PathBuf::from(OsStr::from_bytes(path)));
        }
        search(OsStr::new(&self.name), own)
    }
}

/// The first program of that name on the path that is not this one.
fn search(name: &OsStr, own: &Path) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&path).map(|folder| folder.join(name));
    let own = own.canonicalize().ok();
    let real = found.find(|path| path.canonicalize().is_ok_and(|real| real.is_file() && Some(real) != own));
    real.ok_or_else(|| {
        let error = Error::new(ErrorKind::Usage, format!("there is no other {} on the path", name.to_string_lossy()));
        error.hint(format!("name the real linker in {PROGRAM}"))
    })
}

fn own_path() -> Result<PathBuf> {
    std::env::current_exe().map_err(|error| Error::io("find this program", "/proc/self/exe", &error))
}

fn folder() -> Result<tempfile::TempDir> {
    let made = tempfile::Builder::new().prefix("patchwright-").tempdir();
    made.map_err(|error| Error::io("make a folder", std::env::temp_dir(), &error))
}

fn joined(option: &str, path: &Path) -> OsString {
    let mut arg = OsString::from(option);
    arg.push(path);
    arg
}

fn run(command: &mut Command, program: &OsStr) -> Result<ExitStatus> {
    command.status().map_err(|error| {
        let error = Error::io("run", Path::new(program), &error);
        error.hint(format!("{PROGRAM} names the program to run in its place"))
    })
}

fn exit_code(status: ExitStatus) -> u8 {
    let signal = status.signal().map(|signal| 128 + signal);
    status.code().or(signal).and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choice_of_a_linker_is_seen() {
        for (line, name, path, places) in [
            ("a.o -o a", "ld", None, ""),
            ("-fuse-ld=lld a.o", "ld.lld", None, "-fuse-ld=lld"),
            ("-Bdir -fuse-ld=gold -B other", "ld.gold", None, "-Bdir -fuse-ld=gold -B other"),
            ("-fuse-ld=lld -fuse-ld=bfd", "ld.bfd", None, "-fuse-ld=lld -fuse-ld=bfd"),
            ("--ld-path=/opt/ld", "ld", Some("/opt/ld"), ""),
            ("-fuse-ld=/opt/ld.x --target=arm", "ld", Some("/opt/ld.x"), "--target=arm"),
            ("-m32 -O2", "ld", None, "-m32"),
        ] {
            let args: Vec<_> = line.split_whitespace().map(OsString::from).collect();
            let choice = Choice::of(&args);
            assert_eq!((choice.name.as_str(), choice.path.as_deref()), (name, path.map(Path::new)), "{line}");
            let told: Vec<_> = choice.places.iter().filter_map(|place| place.to_str()).collect();
            assert_eq!(told.join(" "), places, "{line}");
        }
    }

    #[test]
    fn programs_are_known_by_their_name() {
        for (name, face) in [
            ("/usr/bin/patchwright-linker", Some(Face::Driver)),
            ("/tmp/x/ld", Some(Face::Linker)),
            ("ld.lld", Some(Face::Linker)),
            ("aarch64-linux-gnu-ld", Some(Face::Linker)),
            ("patchwright", None),
            ("old", None),
        ] {
            assert_eq!(Face::of(OsStr::new(name)), face, "{name}");
        }
    }
}
