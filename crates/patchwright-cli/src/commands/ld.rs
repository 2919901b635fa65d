//! `patchwright ld ARGS...`, and the same by the name of the program.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use patchwright::linker::{Face, LinkOptions, Linked, drive, link};
use patchwright::report::LinkReport;
use patchwright::{Error, ErrorKind, Result};

use super::{Examples, ExitCodes, after_help};
use crate::console::{Answer, Console};
use crate::text::{count, counted, escape_path};

pub(crate) const EXIT_CODES: ExitCodes = &[(0, "linked"), (5, "a copy cannot be written, or the linker cannot be run")];

const EXAMPLES: Examples = &[
    ("A Rust program with all it brings along", "cargo rustc --release -- -C linker=patchwright-linker"),
    (
        "C and C++: the same in front of the compiler's own linker",
        "PATCHWRIGHT_LD=g++ patchwright-linker a.o b.o -o app",
    ),
    ("In place of ld", "patchwright ld -- -shared a.o -o liba.so"),
];

/// Link with prepared copies of all objects and archives
///
/// Takes the arguments of ld, prepares every object and archive among them as `patchwright prepare` does, and runs the real
/// ld on the copies. What cannot be prepared is linked as it is. Archives are cached.
///
/// The program patchwright-linker does the same from above: it takes the arguments of cc and runs cc with this command
/// in the place of ld. Called as ld, ld.bfd, ld.gold, ld.lld or ld.mold, by a link in a folder that -B names, it is this
/// command.
///
/// Environment: PATCHWRIGHT_LD is the program to run; PATCHWRIGHT_CACHE the folder of the cache, or empty for none;
/// PATCHWRIGHT_PAD the bytes of pad; PATCHWRIGHT_REPORT a file that gets the report as JSON.
#[derive(Debug, clap::Args)]
#[command(after_long_help = after_help(EXAMPLES, EXIT_CODES))]
pub(crate) struct Args {
    /// The arguments of ld
    #[arg(value_name = "ARGS", last = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

impl Args {
    pub(crate) fn run(&self, console: &Console) -> Result<Answer> {
        super::no_json(console)?;
        let linked = link(&self.args, &LinkOptions::from_environment(OsStr::new("ld"))?)?;
        let notes = told(&linked)?;
        Ok(Answer::data("").exit_code(linked.exit_code).notes(notes))
    }
}

/// Plays the program that it is called as.
pub(crate) fn play(face: Face, typed: &[OsString], console: &Console) -> Result<u8> {
    let (called, args) = typed.split_first().map_or((OsStr::new("ld"), typed), |(called, args)| (called, args));
    let options = LinkOptions::from_environment(called)?;
    let linked = match face {
        Face::Driver => drive(args, &options)?,
        Face::Linker => link(args, &options)?,
    };
    let notes = told(&linked)?;
    console.print(Answer::data("").exit_code(linked.exit_code).notes(notes))
}

/// Writes the report where it is asked for; what is worth a note is what was left out.
fn told(linked: &Linked) -> Result<Option<String>> {
    let Some(report) = &linked.report else { return Ok(None) };
    if let Some(path) = std::env::var_os("PATCHWRIGHT_REPORT").filter(|path| !path.is_empty()) {
        write(Path::new(&path), report)?;
    }
    // What comes with the system is in the report. Nobody here can compile it anew.
    let own: Vec<_> = report.files.iter().filter(|file| !is_of_the_system(&file.input)).collect();
    let unsupported: usize = own.iter().map(|file| file.unsupported.len()).sum();
    let refused: usize = own.iter().map(|file| file.counts.refused).sum();
    if linked.exit_code != 0 || refused == 0 && unsupported == 0 {
        return Ok(None);
    }
    let mut left = Vec::new();
    if refused > 0 {
        let all: usize = own.iter().map(|file| file.counts.functions).sum();
        left.push(format!("{} of {}", count(refused as u64), counted(all as u64, "function", "functions")));
    }
    if unsupported > 0 {
        left.push(counted(unsupported as u64, "object", "objects"));
    }
    let output = escape_path(&report.output);
    let left = left.join(" and ");
    Ok(Some(format!("{output}: {left} could not be prepared; PATCHWRIGHT_REPORT=FILE tells which, and why")))
}

/// Whether a file comes with the system or its compilers.
fn is_of_the_system(path: &Path) -> bool {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    ["/usr", "/lib", "/lib64", "/lib32"].iter().any(|folder| path.starts_with(folder))
        && !path.starts_with("/usr/local")
}

fn write(path: &Path, report: &LinkReport) -> Result<()> {
    let text = serde_json::to_string_pretty(report);
    let text = text.map_err(|error| Error::new(ErrorKind::Bug, format!("the report is no JSON: {error}")))?;
    let path = PathBuf::from(path);
    std::fs::write(&path, text + "\n").map_err(|error| Error::io("write", &path, &error))
}
