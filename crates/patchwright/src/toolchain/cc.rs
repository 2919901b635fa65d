//! `cc`: any compiler of the GNU kind, with what it needs for hot-patchable code.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::build::{Build, MapFlag};
use super::compiler::Compiler;
use super::gnu::{GnuJob, Stage};
use super::gnu_plan;
use super::options::DriverOptions;
use super::plan::Plan;
use super::verdict::Linked;
use super::words::{Quoting, expand};
use super::{rust, shim};
use crate::{Error, ErrorKind, Result};

/// Programs that run the compiler that their next word names.
const WRAPPERS: &[&str] = &["ccache", "sccache", "distcc", "icecc", "buildcache", "env", "nice", "time"];

/// Plans a command of a compiler: `words` is its name, perhaps behind a wrapper such as `ccache`, and its arguments.
///
/// # Errors
/// The compiler is unknown, or known to make wrong code; or a response file cannot be read.
pub fn cc(words: &[OsString], options: DriverOptions) -> Result<Build> {
    let at = words.iter().take_while(|word| is_wrapper(word)).count();
    let Some(compiler) = words.get(at) else {
        return Err(Error::new(ErrorKind::Usage, "no compiler is named").hint("patchwright cc -- gcc -c x.c"));
    };
    let arguments = words.get(at + 1..).unwrap_or_default();
    match stem(compiler).as_str() {
        name if name.starts_with("rustc") || name.starts_with("clippy-driver") => rust::rustc(words, at + 1, options),
        name if name.starts_with("clang-cl") || name == "cl" => {
            let message = format!("{} takes the options of cl", Path::new(compiler).display());
            Err(Error::new(ErrorKind::Usage, message).hint("call it with patchwright cl"))
        }
        _ => gnu(words, at + 1, &expand(arguments, Quoting::Gnu)?, options),
    }
}

fn is_wrapper(word: &OsStr) -> bool {
    // `env NAME=value` and `nice -5` have words of their own.
    let text = word.to_string_lossy();
    WRAPPERS.contains(&stem(word).as_str()) || text.contains('=') && !text.starts_with(['-', '/', '.', '@'])
}

/// The name of a program without folder and `.exe`.
fn stem(program: &OsStr) -> String {
    let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy().into_owned();
    name.strip_suffix(".exe").map(str::to_owned).unwrap_or(name)
}

/// `arguments` are those of the compiler, whose response files are replaced by their words.
fn gnu(words: &[OsString], at: usize, arguments: &[OsString], options: DriverOptions) -> Result<Build> {
    let job = GnuJob::read(arguments);
    let program = words.get(at - 1).cloned().unwrap_or_default();
    let (mut plan, mut compiler) = (Plan::default(), None);
    if job.stage > Stage::Preprocess {
        let found = probe(&program, &job.target)?;
        plan = gnu_plan::plan(&job, &found, &options.choices())?;
        if plan.mend_objects {
            let words = mending(&program, &job.target)?;
            plan.add(words);
        }
        compiler = Some(found.shown());
    }
    let mut command = words.to_vec();
    let mut set = Vec::new();
    if plan.image.is_some() && options.prepare == Some(true) {
        set.push(("PATCHWRIGHT_LD", program));
        set.extend(options.pad.map(|pad| ("PATCHWRIGHT_PAD", OsString::from(pad.to_string()))));
        if let Some(word) = command.get_mut(at - 1) {
            *word = rust::preparing_linker()?.into_os_string();
        }
    }
    command.splice(at..at, plan.added.iter().cloned());
    let linked = plan.image.clone().map(|image| Linked {
        image,
        map: None,
        inputs: job.inputs,
        folders: job.folders,
        min_pad: options.pad,
    });
    Ok(Build {
        driver: "cc",
        compiler,
        command,
        added_at: at,
        chatty: false,
        map_flag: MapFlag::Gnu,
        plan,
        linked,
        hide: &["PATCHWRIGHT_REPORT"],
        set,
        options,
        scratch: None,
    })
}

/// Asks the compiler for its macros, with the flags that choose its target.
fn probe(program: &OsStr, target: &[OsString]) -> Result<Compiler> {
    let mut command = Command::new(program);
    command.args(target).args(["-E", "-dM", "-x", "c", "-"]).stdin(Stdio::null()).stderr(Stdio::null());
    let output = command.output().map_err(|error| {
        let made = Error::io("run it", PathBuf::from(program), &error);
        if error.kind() == std::io::ErrorKind::NotFound { made.hint("is it installed, and on PATH?") } else { made }
    })?;
    Compiler::from_macros(&String::from_utf8_lossy(&output.stdout)).ok_or_else(|| {
        Error::new(ErrorKind::Refused, "it is neither GCC nor Clang, as far as its macros tell")
            .at(PathBuf::from(program))
            .hint("call it without patchwright, and rewrite its objects: patchwright prepare OBJECT... -o DIR")
    })
}

/// The words that put us between GCC and its assembler.
fn mending(program: &OsStr, target: &[OsString]) -> Result<Vec<OsString>> {
    let real = assembler(program, target)?;
    let folder = shim::folder(&real)?;
    let mut word = OsString::from("-B");
    word.push(&folder);
    word.push("/");
    // A path may be what GCC was built with, and then it looks nowhere else.
    let with_ours: Vec<_> = std::iter::once(word.clone()).chain(target.iter().cloned()).collect();
    if !real.is_absolute() || assembler(program, &with_ours)?.starts_with(&folder) {
        return Ok(vec![word]);
    }
    Ok(shim::wrapper()?.map(Vec::from).unwrap_or_default())
}

/// The assembler that GCC takes for this target.
fn assembler(program: &OsStr, target: &[OsString]) -> Result<PathBuf> {
    let mut command = Command::new(program);
    let output = command.args(target).arg("-print-prog-name=as").stdin(Stdio::null()).stderr(Stdio::null()).output();
    let output = output.map_err(|error| Error::io("run it", PathBuf::from(program), &error))?;
    let name = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let name = if name.is_empty() { "as".to_owned() } else { name };
    if name.contains('/') {
        return Ok(PathBuf::from(name));
    }
    shim::on_path(Path::new(&name)).ok_or_else(|| {
        Error::new(ErrorKind::Io, format!("its assembler {name} is not on PATH")).at(PathBuf::from(program))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrappers_stand_before_the_compiler() {
        for (word, expect) in [
            ("ccache", true),
            ("/usr/bin/distcc", true),
            ("CCACHE_DIR=/tmp", true),
            ("gcc", false),
            ("x86_64-linux-gnu-gcc-12", false),
            ("-DX=1", false),
        ] {
            assert_eq!(is_wrapper(OsStr::new(word)), expect, "{word}");
        }
        assert_eq!(stem(OsStr::new("/opt/rustc.exe")), "rustc");
        assert_eq!(cc(&[], DriverOptions::default()).unwrap_err().kind, ErrorKind::Usage);
        assert_eq!(cc(&["clang-cl-19".into()], DriverOptions::default()).unwrap_err().kind, ErrorKind::Usage);
    }
}
