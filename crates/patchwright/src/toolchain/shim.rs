//! Between GCC and its assembler: the object is mended as soon as it is made.
//!
//! GCC takes the assembler that it finds in the folder of `-B`. There we lie under the name `as`, beside `real-as`, the
//! assembler that GCC would have taken. So every object passes by: of `-c`, of compiling and linking at once, and of
//! link-time optimisation, whose objects nobody else sees. The folder has the same name in every call, so that compiler
//! caches, which look at the flags, still find what they know.
//!
//! A GCC that was built for one assembler, as Debian's mingw is, does not look into that folder. There `-wrapper` puts us
//! before every program that GCC runs. Link-time optimisation, deep in the linker, runs the GCC that `COLLECT_GCC` names: there
//! we lie as well, under the name `gcc`, and put `-wrapper` into its command.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use patchwright_image::merge_entry_nops;

use super::words::{Quoting, expand};
use crate::{Error, Result};

const NAME: &str = "as";
const REAL: &str = "real-as";
const COMPILER: &str = "gcc";
const REAL_COMPILER: &str = "real-gcc";

/// The folder for `-B`, in which we are the assembler for `real`.
///
/// # Errors
/// It cannot be made, or it belongs to somebody else.
pub(crate) fn folder(real: &Path) -> Result<PathBuf> {
    folder_of(NAME, REAL, real)
}

/// A folder in which `name` is this program and `real_name` the one that it stands before.
fn folder_of(name: &str, real_name: &str, real: &Path) -> Result<PathBuf> {
    let ours = std::env::current_exe().map_err(|error| Error::io("find this program", "patchwright", &error))?;
    let user = rustix::process::getuid().as_raw();
    let mut hash = blake3::Hasher::new();
    for path in [&ours, real] {
        hash.update(path.as_os_str().as_encoded_bytes()).update(&[0]);
    }
    let hash = hash.finalize().to_hex();
    let folder = std::env::temp_dir().join(format!("patchwright-{name}-{user}-{}", &hash[..16]));
    let failed = |error: io::Error| Error::io("make the folder of the assembler", &folder, &error);
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    // Anybody may make names in a folder of temporary files: what others made, or may change, is not run.
    let found = fs::symlink_metadata(&folder).map_err(failed)?;
    if !found.is_dir() || found.uid() != user || found.mode() & 0o077 != 0 {
        let error = io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to somebody else");
        return Err(failed(error).hint("remove it, or set TMPDIR to a folder of your own"));
    }
    for (name, target) in [(real_name, real), (name, ours.as_path())] {
        let link = folder.join(name);
        if fs::read_link(&link).is_ok_and(|known| known == target) {
            continue;
        }
        // Others may be at the same work: whoever comes last finds what it wants.
        let draft = tempfile::Builder::new().prefix("link-").make_in(&folder, |draft| symlink(target, draft));
        let draft = draft.map_err(failed)?.into_temp_path();
        fs::rename(&draft, &link).map_err(failed)?;
    }
    Ok(folder)
}

/// The first word behind our name when GCC calls us by `-wrapper`.
const WRAPPING: &str = "--pw-before-each";

/// The words that put us before every program that GCC runs; `None` if our path has a comma, which GCC splits at.
pub(crate) fn wrapper() -> Result<Option<[OsString; 2]>> {
    let ours = std::env::current_exe().map_err(|error| Error::io("find this program", "patchwright", &error))?;
    let plain = !ours.as_os_str().as_encoded_bytes().contains(&b',');
    let mut word = ours.into_os_string();
    word.push(",");
    word.push(WRAPPING);
    Ok(plain.then(|| [OsString::from("-wrapper"), word]))
}

/// Does the work of a call by GCC, if this is one: as its assembler, or before any program that it runs. Returns the exit
/// code.
pub fn behind_gcc(typed: &[OsString]) -> Option<Result<u8>> {
    let (program, words) = typed.split_first()?;
    if let Some(real) = assembler(program) {
        return Some(assemble(&real, words));
    }
    if let Some(real) = behind(program, COMPILER, REAL_COMPILER) {
        return Some(compile(&real, words));
    }
    let [first, program, words @ ..] = words else { return None };
    (first == WRAPPING).then_some(())?;
    let path = Path::new(program);
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    if name == NAME || name.ends_with("-as") {
        return Some(assemble(path, words));
    }
    let mut command = Command::new(program);
    if name == "collect2"
        && let Some(compiler) = std::env::var_os("COLLECT_GCC")
    {
        match on_path(Path::new(&compiler)).map(|real| folder_of(COMPILER, REAL_COMPILER, &real)) {
            Some(Ok(folder)) => command.env("COLLECT_GCC", folder.join(COMPILER)),
            Some(Err(error)) => return Some(Err(error)),
            None => &mut command,
        };
    }
    let error = command.args(words).exec();
    Some(Err(Error::io("run it", path, &error)))
}

/// Becomes the compiler, with us before every program that it runs.
fn compile(real: &Path, words: &[OsString]) -> Result<u8> {
    let error = Command::new(real).args(wrapper()?.into_iter().flatten()).args(words).exec();
    Err(Error::io("run it", real, &error))
}

/// The program of that name, where it is not a path already.
pub(crate) fn on_path(name: &Path) -> Option<PathBuf> {
    if name.components().count() > 1 {
        return Some(name.to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// The assembler behind us, if this process was called as one: `argv[0]` leads to a folder of [`folder`].
fn assembler(program: &OsStr) -> Option<PathBuf> {
    behind(program, NAME, REAL)
}

/// The program behind us, if this process was called by a name in a folder of [`folder_of`].
fn behind(program: &OsStr, name: &str, real_name: &str) -> Option<PathBuf> {
    let path = Path::new(program);
    (path.file_name()? == name).then_some(())?;
    fs::read_link(path.parent()?.join(real_name)).ok()
}

/// Runs the assembler, mends the object that it makes, and returns its exit code.
fn assemble(real: &Path, words: &[OsString]) -> Result<u8> {
    let status =
        Command::new(real).args(words).status().map_err(|error| Error::io("run the assembler", real, &error))?;
    if status.success() {
        let object = output(&expand(words, Quoting::Gnu)?);
        if fs::metadata(&object).is_ok_and(|found| found.is_file()) {
            mend(&object)?;
        }
    }
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// What `-o` names, the last.
fn output(words: &[OsString]) -> PathBuf {
    let mut output = PathBuf::from("a.out");
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_encoded_bytes() {
            b"-o" => output = words.next().map(PathBuf::from).unwrap_or(output),
            [b'-', b'o', ..] => {
                output = word.to_str().and_then(|word| word.get(2..)).map(PathBuf::from).unwrap_or(output);
            }
            _ => {}
        }
    }
    output
}

/// Makes one nop of two in the object, in place: names and times of others stay.
fn mend(path: &Path) -> Result<()> {
    let object = fs::read(path).map_err(|error| Error::io("read the object", path, &error))?;
    // What the assembler made is not for us to judge.
    let Ok(mended) = merge_entry_nops(&object) else { return Ok(()) };
    if mended.object != object {
        fs::write(path, &mended.object).map_err(|error| Error::io("write the object", path, &error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_is_what_the_last_option_names() {
        for (line, expect) in [
            ("--64 -o a.o x.s", "a.o"),
            ("--64 -oa.o x.s", "a.o"),
            ("-o a.o -o b.o", "b.o"),
            ("x.s", "a.out"),
            ("-o", "a.out"),
        ] {
            let words: Vec<_> = line.split_whitespace().map(OsString::from).collect();
            assert_eq!(output(&words), Path::new(expect), "{line}");
        }
    }

    #[test]
    fn the_folder_is_made_once_and_leads_to_the_real_one() {
        let first = folder(Path::new("/usr/bin/as")).unwrap();
        assert_eq!(folder(Path::new("/usr/bin/as")).unwrap(), first);
        assert_ne!(folder(Path::new("/usr/bin/other-as")).unwrap(), first);
        assert_eq!(assembler(first.join("as").as_os_str()).unwrap(), Path::new("/usr/bin/as"));
        assert_eq!(assembler(OsStr::new("/usr/bin/as")), None);
        assert_eq!(assembler(first.join("real-as").as_os_str()), None);
        for typed in [&["patchwright", "check", "x"][..], &["patchwright"], &[]] {
            let typed: Vec<_> = typed.iter().map(OsString::from).collect();
            assert!(behind_gcc(&typed).is_none());
        }
    }
}
