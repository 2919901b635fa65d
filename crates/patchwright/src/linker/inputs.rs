//! The arguments of a linker: which of them are objects and archives, as GNU ld and its kin read them.
//!
//! `-lNAME` is looked up the way the linker will: in every `-L` folder, whatever their order on the line, a shared library
//! before a static one unless `-Bstatic` holds at that point.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// An argument that names an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Input {
    /// Where it stands.
    pub(crate) index: usize,
    /// How many arguments it takes: `-l NAME` two.
    pub(crate) args: usize,
    /// The file.
    pub(crate) path: PathBuf,
    /// Whether the linker would look for it, and pass over one that does not fit.
    pub(crate) searched: bool,
}

/// What a linker is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) inputs: Vec<Input>,
    pub(crate) output: Option<PathBuf>,
}

/// Options whose argument follows as a word of its own, and may look like a file.
const WITH_ARGUMENT: [&str; 38] = [
    "-A",
    "-a",
    "-b",
    "--format",
    "-c",
    "--mri-script",
    "-dT",
    "-default-script",
    "-defsym",
    "--defsym",
    "-dynamic-linker",
    "--dynamic-linker",
    "-e",
    "--entry",
    "-F",
    "-f",
    "-G",
    "-h",
    "-soname",
    "--soname",
    "-init",
    "-fini",
    "-I",
    "-m",
    "-Map",
    "-plugin",
    "-plugin-opt",
    "-R",
    "--just-symbols",
    "-rpath",
    "-rpath-link",
    "-T",
    "--script",
    "-u",
    "-version-script",
    "--version-script",
    "-Y",
    "-z",
];

/// Reads the arguments; `is_file` tells whether there is such a file.
pub(crate) fn read(args: &[OsString], is_file: impl Fn(&Path) -> bool) -> Asked {
    let folders = folders(args);
    let mut asked = Asked::default();
    let (mut fixed, mut kept) = (false, Vec::new());
    let mut index = 0;
    while let Some(arg) = args.get(index) {
        let bytes = arg.as_bytes();
        let next = args.get(index + 1);
        let mut used = 1;
        match bytes {
            b"-o" | b"--output" => {
                asked.output = next.map(PathBuf::from);
                used = 2;
            }
            b"-L" | b"--library-path" => used = 2,
            b"-Bstatic" | b"-dn" | b"-non_shared" | b"-static" | b"--static" => fixed = true,
            b"-Bdynamic" | b"-dy" | b"-call_shared" => fixed = false,
            b"--push-state" | b"-push-state" => kept.push(fixed),
            b"--pop-state" | b"-pop-state" => fixed = kept.pop().unwrap_or(fixed),
            b"-l" | b"--library" => {
                used = 2;
                let found = next.and_then(|name| find(name.as_bytes(), &folders, fixed, &is_file));
                asked.inputs.extend(found.map(|path| Input { index, args: 2, path, searched: true }));
            }
            _ if WITH_ARGUMENT.iter().any(|option| option.as_bytes() == bytes) => used = 2,
            _ if bytes.starts_with(b"-l") || bytes.starts_with(b"--library=") => {
                let name = bytes.strip_prefix(b"--library=").or(bytes.strip_prefix(b"-l")).unwrap_or_default();
                let found = find(name, &folders, fixed, &is_file);
                asked.inputs.extend(found.map(|path| Input { index, args: 1, path, searched: true }));
            }
            _ if bytes.starts_with(b"--output=") => asked.output = Some(PathBuf::from(after(bytes, b"--output="))),
            // `-oformat` is an option of its own.
            _ if bytes.starts_with(b"-o") && !bytes.starts_with(b"-oformat") => {
                asked.output = Some(PathBuf::from(after(bytes, b"-o")));
            }
            _ if bytes.starts_with(b"-") => {}
            _ if is_file(Path::new(arg)) => {
                asked.inputs.push(Input { index, args: 1, path: PathBuf::from(arg), searched: false });
            }
            _ => {}
        }
        index += used;
    }
    asked
}

fn after(bytes: &[u8], prefix: &[u8]) -> OsString {
    OsString::from_vec(bytes.strip_prefix(prefix).unwrap_or_default().to_vec())
}

/// The folders of all `-L`, with `=` and `$SYSROOT` in front of a path standing for `--sysroot`.
fn folders(args: &[OsString]) -> Vec<PathBuf> {
    let sysroot = args.iter().find_map(|arg| arg.as_bytes().strip_prefix(b"--sysroot=")).unwrap_or_default();
    let mut folders = Vec::new();
    let mut words = args.iter();
    while let Some(arg) = words.next() {
        let bytes = arg.as_bytes();
        let folder = match bytes {
            b"-L" | b"--library-path" => words.next().map(|next| next.as_bytes()),
            _ => bytes.strip_prefix(b"-L").or(bytes.strip_prefix(b"--library-path=")),
        };
        let Some(folder) = folder else { continue };
        let below = folder.strip_prefix(b"=").or(folder.strip_prefix(b"$SYSROOT"));
        folders.push(match below {
            Some(below) => PathBuf::from(OsString::from_vec([sysroot, below].concat())),
            None => PathBuf::from(OsStr::from_bytes(folder)),
        });
    }
    folders
}

/// The static library that the linker would take; none if it would take a shared one, or finds nothing here.
fn find(name: &[u8], folders: &[PathBuf], fixed: bool, is_file: &impl Fn(&Path) -> bool) -> Option<PathBuf> {
    let file = |parts: &[&[u8]]| OsString::from_vec(parts.concat());
    for folder in folders {
        if let Some(exact) = name.strip_prefix(b":") {
            let path = folder.join(OsStr::from_bytes(exact));
            if is_file(&path) {
                return Some(path);
            }
            continue;
        }
        if !fixed && is_file(&folder.join(file(&[b"lib", name, b".so"]))) {
            return None;
        }
        let path = folder.join(file(&[b"lib", name, b".a"]));
        if is_file(&path) {
            return Some(path);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: [&str; 8] =
        ["a.o", "b.o", "old.o", "one/libx.a", "two/libx.so", "two/libx.a", "two/liby.a", "root/lib/libz.a"];

    fn check(line: &str, expect: &[&str], output: Option<&str>) {
        let args: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        let asked = read(&args, |path| FILES.iter().any(|file| Path::new(file) == path));
        let found: Vec<_> =
            asked.inputs.iter().map(|input| format!("{}:{}", input.index, input.path.display())).collect();
        assert_eq!(found, expect, "{line}");
        assert_eq!(asked.output, output.map(PathBuf::from), "{line}");
    }

    #[test]
    fn inputs_are_found_as_the_linker_does() {
        check("a.o b.o nothing.o", &["0:a.o", "1:b.o"], None);
        check("-o old.o a.o", &["2:a.o"], Some("old.o"));
        check("-oold.o a.o", &["1:a.o"], Some("old.o"));
        check("--output=old.o -T a.o b.o", &["3:b.o"], Some("old.o"));
        check("-Lone -lx", &["1:one/libx.a"], None);
        check("-lx -L one", &["0:one/libx.a"], None);
        check("-Ltwo -lx", &[], None);
        check("-Ltwo -Bstatic -lx -Bdynamic -lx", &["2:two/libx.a"], None);
        check("-Ltwo --push-state -Bstatic -lx --pop-state -lx", &["3:two/libx.a"], None);
        check("-Ltwo -static -l y", &["2:two/liby.a"], None);
        check("-Ltwo -l:libx.a -lnowhere", &["1:two/libx.a"], None);
        check("--sysroot=root -L=/lib -lz", &["2:root/lib/libz.a"], None);
        check("-Lone -Ltwo -lx", &["2:one/libx.a"], None);
        check("--whole-archive one/libx.a --no-whole-archive", &["1:one/libx.a"], None);
        check("--start-group a.o --end-group -z now -e old.o", &["1:a.o"], None);
    }
}
