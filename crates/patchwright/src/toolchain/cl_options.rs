//! What a command line of `cl` or `clang-cl` asks for.
//!
//! Options begin with `/` or `-` and are case-sensitive. On systems where paths begin with `/` a word that no option
//! matches is an input if there is such a file, as `clang-cl` has it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::gnu::Stage;

/// What was typed, as far as it matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClJob {
    pub(crate) stage: Stage,
    /// `/hotpatch`, or Clang's `-fms-hotpatch`.
    pub(crate) hotpatch: bool,
    /// `/Gy` or `/Gy-`, the last.
    pub(crate) function_sections: Option<bool>,
    /// Objects have debug records.
    pub(crate) debug: bool,
    /// Code is made at link time.
    pub(crate) lto: bool,
    /// `/nologo`: the user wants no chatter.
    pub(crate) nologo: bool,
    /// `/LD`.
    pub(crate) dll: bool,
    /// `-fuse-ld=`.
    pub(crate) chooses_linker: bool,
    /// What `/Fe` names.
    pub(crate) output: Option<String>,
    /// Words that choose the target.
    pub(crate) target: Vec<OsString>,
    /// Sources that are compiled.
    pub(crate) sources: Vec<PathBuf>,
    /// Assembly sources.
    pub(crate) assembled: usize,
    /// Objects and libraries.
    pub(crate) inputs: Vec<PathBuf>,
    /// The words of the compiler without those that the driver replaces.
    pub(crate) words: Vec<OsString>,
    /// The words behind `/link`.
    pub(crate) linker: Vec<OsString>,
    /// Words that look like a mistake, with what was probably meant.
    pub(crate) mistakes: Vec<String>,
}

/// Options that take the next word if nothing follows in their own.
const JOINED_OR_NEXT: &[&str] = &["I", "D", "U", "FI", "AI", "Tc", "Tp", "o", "imsvc", "external:I"];
/// Options that always take the next word.
const TAKES_NEXT: &[&str] = &[
    "Xclang",
    "include",
    "isystem",
    "mllvm",
    "target",
    "MF",
    "MT",
    "MQ",
    "diasdkdir",
    "winsdkdir",
    "winsdkversion",
    "winsysroot",
    "vctoolsdir",
    "vctoolsversion",
    "headerUnit",
    "headerName",
    "ifcOutput",
    "ifcSearchDir",
    "reference",
    "scanDependencies",
    "sourceDependencies",
    "sourceDependencies:directives",
];

impl ClJob {
    /// Reads the words, response files and environment options expanded.
    pub(crate) fn read(words: &[OsString]) -> Self {
        let mut job = Self::default();
        let (mut stage, mut prints, mut only_inputs) = (None::<Stage>, false, false);
        let mut reach = |end: Stage| stage = Some(stage.map_or(end, |known| known.min(end)));
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let text = word.to_string_lossy();
            let option = if only_inputs { None } else { text.strip_prefix(['/', '-']).filter(|rest| !rest.is_empty()) };
            let Some(option) = option else {
                job.words.push(word.clone());
                job.input(word);
                continue;
            };
            match option {
                "link" if !only_inputs => {
                    job.linker.extend(words.by_ref().cloned());
                    break;
                }
                // Replaced by what the machine needs.
                "hotpatch" | "fms-hotpatch" => {
                    job.hotpatch = true;
                    continue;
                }
                "hotpatch-" => job.mistakes.push(format!("{text} does not exist; leave out /hotpatch")),
                "-" => only_inputs = true,
                "c" => reach(Stage::Compile),
                "E" | "EP" | "P" | "Zs" | "fsyntax-only" | "scanDependencies" => reach(Stage::Preprocess),
                "?" | "help" | "-help" | "-version" | "###" => prints = true,
                "nologo" => job.nologo = true,
                "Gy" => job.function_sections = Some(true),
                "Gy-" => job.function_sections = Some(false),
                "Z7" | "Zi" | "ZI" | "Zd" => job.debug = true,
                "GL" => job.lto = true,
                "GL-" | "fno-lto" => job.lto = false,
                "LD" | "LDd" => job.dll = true,
                "m32" | "m64" => job.target.push(word.clone()),
                "g0" => job.debug = false,
                _ if option.starts_with("-target=") => job.target.push(word.clone()),
                _ if option.starts_with("flto") => job.lto = true,
                _ if option.starts_with("fuse-ld=") => job.chooses_linker = true,
                _ if option.to_ascii_lowercase().starts_with("functionpadmin") => {
                    job.mistakes.push(format!("{text} is an option of the linker; write it behind /link"));
                }
                _ if option.starts_with("gline") || matches!(option, "g" | "g1" | "g2" | "g3" | "gcodeview") => {
                    job.debug = true
                }
                _ => {}
            }
            job.words.push(word.clone());
            job.values(word, option, &mut words);
            if !is_known(option) && (text.starts_with('/') && Path::new(word).is_file()) {
                job.input(word);
            }
        }
        job.stage = match stage {
            _ if prints || job.sources.is_empty() && job.inputs.is_empty() && job.assembled == 0 => Stage::Nothing,
            Some(stage) => stage,
            None => Stage::Link,
        };
        job
    }

    /// Options that have a value, perhaps in the next word.
    fn values<'a>(&mut self, word: &OsStr, option: &str, words: &mut impl Iterator<Item = &'a OsString>) {
        if let Some(name) = option.strip_prefix("Fe") {
            let name = name.strip_prefix([':', '=']).unwrap_or(name);
            // The compiler of Microsoft takes a name behind a space as well.
            let next = if name.is_empty() { words.next() } else { None };
            self.words.extend(next.cloned());
            self.output = Some(next.map_or_else(|| name.to_owned(), |next| next.to_string_lossy().into_owned()));
            return;
        }
        if option == "Fo:" || option == "Fd:" {
            self.words.extend(words.next().cloned());
            return;
        }
        let joined = JOINED_OR_NEXT
            .iter()
            .find(|name| option.strip_prefix(**name).is_some_and(|rest| rest.is_empty() || **name != "o"));
        let takes_next = TAKES_NEXT.contains(&option) || joined.is_some_and(|name| *name == option);
        let next = if takes_next { words.next() } else { None };
        self.words.extend(next.cloned());
        let value = match (next, joined) {
            (Some(next), _) => next.clone(),
            (None, Some(name)) => OsString::from(option.strip_prefix(name).unwrap_or_default()),
            (None, None) => return,
        };
        match option {
            "target" => self.target.extend([word.to_owned(), value]),
            "Xclang" if value == "-gcodeview" => self.debug = true,
            "o" => self.output = Some(value.to_string_lossy().into_owned()),
            _ if option.starts_with("Tc") || option.starts_with("Tp") => self.sources.push(value.into()),
            _ => {}
        }
    }

    fn input(&mut self, word: &OsStr) {
        let path = PathBuf::from(word);
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        match extension.as_str() {
            "obj" | "o" | "lib" | "a" | "res" | "def" | "dll" | "exp" => self.inputs.push(path),
            "asm" | "s" => self.assembled += 1,
            _ => self.sources.push(path),
        }
    }

    /// The name of what is linked, if no option of the linker says it.
    pub(crate) fn image(&self) -> PathBuf {
        let suffix = if self.dll { "dll" } else { "exe" };
        let first = self.sources.first().or(self.inputs.first()).map(|path| path.file_stem().unwrap_or_default());
        match &self.output {
            Some(name) if !name.ends_with(['/', '\\']) => {
                let path = PathBuf::from(name);
                if path.extension().is_some() { path } else { path.with_extension(suffix) }
            }
            folder => {
                let folder = folder.as_deref().map(PathBuf::from).unwrap_or_default();
                folder.join(first.unwrap_or_default()).with_extension(suffix)
            }
        }
    }
}

/// Whether `clang-cl` takes `/option` for an option although it may be a path: `/Users/x.c` undefines `sers/x.c`.
fn is_known(option: &str) -> bool {
    JOINED_OR_NEXT.iter().any(|name| *name != "o" && option.starts_with(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> ClJob {
        ClJob::read(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn commands_go_as_far_as_they_say() {
        use Stage::{Compile, Link, Nothing, Preprocess};
        for (line, stage, sources, inputs) in [
            ("", Nothing, 0, 0),
            ("/nologo", Nothing, 0, 0),
            ("--version", Nothing, 0, 0),
            ("-### a.c", Nothing, 1, 0),
            ("/? a.c", Nothing, 1, 0),
            ("a.c", Link, 1, 0),
            ("/c a.c b.cpp", Compile, 2, 0),
            ("-c a.c", Compile, 1, 0),
            ("/E a.c", Preprocess, 1, 0),
            ("/EP /c a.c", Preprocess, 1, 0),
            ("/P a.c", Preprocess, 1, 0),
            ("/Zs a.c", Preprocess, 1, 0),
            ("a.obj b.lib", Link, 0, 2),
            ("/I dir /D X /Ux a.c", Link, 1, 0),
            ("/Tp strange /Tcother.x", Link, 2, 0),
            ("-Xclang -gcodeview a.c", Link, 1, 0),
            ("/Fe: out.exe a.c", Link, 1, 0),
            ("a.c /link b.lib c.obj", Link, 1, 0),
            ("-- /hotpatch", Link, 1, 0),
        ] {
            let job = read(line);
            assert_eq!((job.stage, job.sources.len(), job.inputs.len()), (stage, sources, inputs), "{line}");
        }
    }

    #[test]
    fn what_matters_is_seen() {
        for (line, hotpatch, words) in [
            ("/hotpatch a.c", true, "a.c"),
            ("-hotpatch a.c", true, "a.c"),
            ("-fms-hotpatch a.c", true, "a.c"),
            // Options are case-sensitive: this one is a file, which is not there.
            ("/HOTPATCH a.c", false, "/HOTPATCH a.c"),
            ("/D hotpatch a.c", false, "/D hotpatch a.c"),
            ("a.c /link /hotpatch", false, "a.c"),
        ] {
            let job = read(line);
            let left: Vec<_> = job.words.iter().map(|word| word.to_str().unwrap()).collect();
            assert_eq!((job.hotpatch, left.join(" ").as_str()), (hotpatch, words), "{line}");
        }
        let job = read("/Gy /Gy- /Z7 -flto=thin /nologo -fuse-ld=lld /LD -m32 --target=x -target y a.c");
        assert_eq!((job.function_sections, job.debug, job.lto, job.nologo), (Some(false), true, true, true));
        assert!(job.chooses_linker && job.dll);
        assert_eq!(job.target, ["-m32", "--target=x", "-target", "y"]);
        assert!(!read("/Z7 -g0 -flto -fno-lto a.c").lto);
        assert_eq!(read("/hotpatch- a.c").mistakes.len(), 1);
        assert_eq!(read("/FunctionPadMin:6 a.c").mistakes.len(), 1);
        assert_eq!(read("a.c /link /FunctionPadMin:6").linker, ["/FunctionPadMin:6"]);
    }

    #[test]
    fn the_image_has_a_name() {
        for (line, expect) in [
            ("dir/a.c b.c", "a.exe"),
            ("/LD a.c", "a.dll"),
            ("/Feout a.c", "out.exe"),
            ("/Fe:out.scr a.c", "out.scr"),
            ("/Fe: out.exe a.c", "out.exe"),
            ("/Febin/ a.c", "bin/a.exe"),
            ("-o out.exe a.c", "out.exe"),
            ("a.obj", "a.exe"),
        ] {
            assert_eq!(read(line).image(), Path::new(expect), "{line}");
        }
    }

    /// As `clang-cl` has it: a path may begin like an option.
    #[test]
    fn a_path_from_the_root_is_an_input_if_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("x.c");
        std::fs::write(&source, "").unwrap();
        assert_eq!(ClJob::read(&["/c".into(), source.clone().into()]).sources, [source]);
        assert_eq!(read("/c /no/such/file.c").sources.len(), 0);
    }
}
