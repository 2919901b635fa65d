//! What a command line of GCC or Clang asks for.
//!
//! Read without knowing the compiler: both share these options. What is not recognised is left alone; it can only be a
//! flag that does not matter here. Options that take the next word must be known, or that word would pass for an input.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::recipe::Nops;

/// How far the command goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// It prints something, or has nothing to work on.
    #[default]
    Nothing,
    /// It preprocesses or checks: no code is made.
    Preprocess,
    /// It makes assembly, objects or precompiled headers.
    Compile,
    /// It links, and may compile before.
    Link,
}

/// What was typed, as far as it matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct GnuJob {
    pub(crate) stage: Stage,
    /// What `-o` names.
    pub(crate) output: Option<OsString>,
    /// Sources in a language that is compiled; assembly is not.
    pub(crate) compiled: usize,
    /// Assembly sources, which nobody can prepare but their author.
    pub(crate) assembled: usize,
    /// Objects, archives and libraries, by name.
    pub(crate) inputs: Vec<PathBuf>,
    /// Folders of `-L`.
    pub(crate) folders: Vec<PathBuf>,
    /// Words that choose the target.
    pub(crate) target: Vec<OsString>,
    /// `-r`: the result is an object.
    pub(crate) relocatable: bool,
    /// The result loses its symbols.
    pub(crate) stripped: bool,
    /// Relocations stay in the result already.
    pub(crate) keeps_relocations: bool,
    /// A map that was asked for.
    pub(crate) map: Option<PathBuf>,
    /// `-fpatchable-function-entry`, the last.
    pub(crate) nops: Option<(String, Nops)>,
    /// Flags that take back what the driver gives.
    pub(crate) contrary: Vec<String>,
    /// `-fms-hotpatch`.
    pub(crate) ms_hotpatch: bool,
    /// Sections that nothing refers to are dropped by gold: with them the table of entries.
    pub(crate) gold_collects: bool,
}

/// Options that take the next word, in GCC or Clang.
const TAKES_NEXT: &[&str] = &[
    "--param",
    "--serialize-diagnostics",
    "--sysroot",
    "-A",
    "-B",
    "-D",
    "-F",
    "-G",
    "-I",
    "-L",
    "-MF",
    "-MQ",
    "-MT",
    "-MJ",
    "-T",
    "-U",
    "-V",
    "-Xanalyzer",
    "-Xarch_host",
    "-Xassembler",
    "-Xclang",
    "-Xcuda-fatbinary",
    "-Xlinker",
    "-Xopenmp-target",
    "-Xpreprocessor",
    "-allowable_client",
    "-arch",
    "-aux-info",
    "-b",
    "-dumpbase",
    "-dumpbase-ext",
    "-dumpdir",
    "-e",
    "-framework",
    "-idirafter",
    "-iframework",
    "-imacros",
    "-imultiarch",
    "-imultilib",
    "-include",
    "-include-pch",
    "-iplugindir",
    "-iprefix",
    "-iquote",
    "-isysroot",
    "-isystem",
    "-iwithprefix",
    "-iwithprefixbefore",
    "-l",
    "-mllvm",
    "-o",
    "-specs",
    "-target",
    "-u",
    "-wrapper",
    "-x",
    "-z",
];

/// Options that print and do nothing else.
const PRINTS: &[&str] =
    &["-dump", "-print-", "--print-", "--help", "--version", "-help", "--target-help", "-###", "-cc1"];

impl GnuJob {
    /// Reads the words behind the name of the compiler, response files expanded.
    pub(crate) fn read(words: &[OsString]) -> Self {
        let mut reader = Reader::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            reader.word(word, &mut words);
        }
        reader.finish()
    }

    /// Whether `-flto` or an object with intermediate code may make code at link time; GCC does not need to be told.
    pub(crate) fn makes_code(&self) -> bool {
        self.compiled > 0 || self.stage == Stage::Link
    }
}

#[derive(Default)]
struct Reader {
    job: GnuJob,
    stage: Option<Stage>,
    prints: bool,
    language: Option<String>,
    /// Behind `--` all words are inputs.
    only_inputs: bool,
    collects: bool,
    gold: bool,
    anything: bool,
}

impl Reader {
    fn word<'a>(&mut self, word: &'a OsStr, rest: &mut impl Iterator<Item = &'a OsString>) {
        let text = word.to_string_lossy();
        if self.only_inputs || !text.starts_with('-') || text == "-" {
            return self.input(word, &text);
        }
        if text == "--" {
            self.only_inputs = true;
            return;
        }
        let next = if TAKES_NEXT.contains(&text.as_ref()) { rest.next() } else { None };
        let value = next.map(|word| word.to_string_lossy()).unwrap_or_default();
        match (text.as_ref(), next) {
            ("-o", Some(next)) => self.job.output = Some(next.clone()),
            ("-x", _) => self.language = Some(value.into_owned()).filter(|name| name != "none"),
            ("-L", Some(next)) => self.job.folders.push(next.into()),
            ("-l", _) => self.anything = true,
            ("-Xlinker", _) => self.linker_word(&value),
            ("-Xclang", _) => self.flag(&value),
            ("-target" | "-arch" | "-B" | "--sysroot", Some(next)) => {
                self.job.target.extend([word.to_owned(), next.clone()]);
            }
            ("-c", _) => self.reach(Stage::Compile),
            ("-S", _) => self.reach(Stage::Compile),
            ("-E" | "-M" | "-MM" | "-fsyntax-only", _) => self.reach(Stage::Preprocess),
            ("-r", _) => self.job.relocatable = true,
            ("-s", _) => self.job.stripped = true,
            _ => self.joined(word, &text),
        }
    }

    /// Options with their value in the same word, and flags.
    fn joined(&mut self, word: &OsStr, text: &str) {
        if PRINTS.iter().any(|start| text.starts_with(start)) {
            self.prints = true;
        } else if let Some(path) = text.strip_prefix("-o") {
            self.job.output = Some(path.into());
        } else if let Some(language) = text.strip_prefix("-x") {
            self.language = Some(language.to_owned()).filter(|name| name != "none");
        } else if let Some(path) = text.strip_prefix("-L") {
            self.job.folders.push(path.into());
        } else if let Some(list) = text.strip_prefix("-Wl,") {
            let mut words = list.split(',');
            while let Some(word) = words.next() {
                if matches!(word, "-Map" | "--Map") {
                    self.job.map = words.next().map(PathBuf::from);
                }
                self.linker_word(word);
            }
        } else if let Some(name) = text.strip_prefix("-fuse-ld=") {
            self.gold = name == "gold" || name.ends_with("ld.gold");
        } else {
            self.anything |= text.starts_with("-l");
            self.flag(text);
            let target = ["-m", "--target=", "-B", "--sysroot=", "-fcf-protection", "--gcc-"];
            if target.iter().any(|start| text.starts_with(start)) {
                self.job.target.push(word.to_owned());
            }
        }
    }

    fn flag(&mut self, text: &str) {
        if let Some(value) = text.strip_prefix("-fpatchable-function-entry=") {
            self.job.nops = Nops::read(value).map(|nops| (text.to_owned(), nops));
        } else if matches!(text, "-fms-hotpatch") {
            self.job.ms_hotpatch = true;
        } else if text == "-fno-ms-hotpatch" {
            self.job.ms_hotpatch = false;
        } else if text == "-fno-function-sections"
            || text.starts_with("-falign-functions=")
            || text == "-fno-align-functions"
        {
            self.job.contrary.push(text.to_owned());
        }
    }

    fn linker_word(&mut self, word: &str) {
        let name = word.trim_start_matches('-');
        match name {
            "s" | "strip-all" => self.job.stripped = true,
            "q" | "emit-relocs" => self.job.keeps_relocations = true,
            "r" | "relocatable" => self.job.relocatable = true,
            "gc-sections" => self.collects = true,
            "no-gc-sections" => self.collects = false,
            _ => {
                let map = name.strip_prefix("Map=").or_else(|| name.strip_prefix("Map,"));
                if let Some(path) = map {
                    self.job.map = Some(path.into());
                }
            }
        }
    }

    fn input(&mut self, word: &OsStr, text: &str) {
        self.anything = true;
        let kind = match &self.language {
            Some(language) if language.starts_with("assembler") => Kind::Assembly,
            Some(_) => Kind::Compiled,
            None => Kind::of(Path::new(text)),
        };
        match kind {
            Kind::Compiled => self.job.compiled += 1,
            Kind::Assembly => self.job.assembled += 1,
            Kind::Linked => self.job.inputs.push(word.into()),
        }
    }

    /// The earliest end that is asked for holds, as `-E` does before `-c`.
    fn reach(&mut self, stage: Stage) {
        self.stage = Some(self.stage.map_or(stage, |known| known.min(stage)));
    }

    fn finish(self) -> GnuJob {
        let mut job = self.job;
        job.stage = match self.stage {
            _ if self.prints || !self.anything => Stage::Nothing,
            Some(stage) => stage,
            None => Stage::Link,
        };
        job.gold_collects = self.gold && self.collects;
        job
    }
}

/// What is done with an input, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Compiled,
    Assembly,
    Linked,
}

impl Kind {
    fn of(path: &Path) -> Self {
        const COMPILED: &[&str] = &[
            "C", "CPP", "F", "F03", "F08", "F90", "F95", "FOR", "FPP", "FTN", "H", "M", "ads", "adb", "bc", "c", "c++",
            "c++m", "cc", "ccm", "cl", "cp", "cpp", "cppm", "cu", "cxx", "cxxm", "d", "dd", "di", "f", "f03", "f08",
            "f90", "f95", "for", "fpp", "ftn", "go", "h", "hh", "hip", "hpp", "hxx", "i", "ii", "iim", "inc", "ixx",
            "ll", "m", "mi", "mii", "mm", "mod", "tcc",
        ];
        let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
        match extension {
            "s" | "S" | "sx" | "asm" => Self::Assembly,
            _ if COMPILED.contains(&extension) || path == Path::new("-") => Self::Compiled,
            _ => Self::Linked,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> GnuJob {
        GnuJob::read(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn commands_go_as_far_as_they_say() {
        use Stage::{Compile, Link, Nothing, Preprocess};
        for (line, stage, compiled, inputs) in [
            ("", Nothing, 0, 0),
            ("-v", Nothing, 0, 0),
            ("--version", Nothing, 0, 0),
            ("-dumpmachine -m32", Nothing, 0, 0),
            ("-print-prog-name=ld", Nothing, 0, 0),
            ("-v a.c", Link, 1, 0),
            ("-### a.c", Nothing, 1, 0),
            ("a.c", Link, 1, 0),
            ("a.c b.cc c.s d.S e.f90", Link, 3, 0),
            ("-E a.c", Preprocess, 1, 0),
            ("-E -c a.c", Preprocess, 1, 0),
            ("-MM a.c", Preprocess, 1, 0),
            ("-MMD -MF a.d -c a.c", Compile, 1, 0),
            ("-fsyntax-only a.c", Preprocess, 1, 0),
            ("-S a.c", Compile, 1, 0),
            ("-c -o a.o a.c", Compile, 1, 0),
            ("-x c - -o out", Link, 1, 0),
            ("-x c file.unknown -x none b.o", Link, 1, 1),
            ("-x assembler file", Link, 0, 0),
            ("a.o libb.a c.so.1 -lm", Link, 0, 3),
            ("-D X -I dir -include x.h -MF f.d a.c", Link, 1, 0),
            ("-Xlinker a.c b.o", Link, 0, 1),
            ("-- -strange.c", Link, 1, 0),
            ("-lm", Link, 0, 0),
        ] {
            let job = read(line);
            assert_eq!((job.stage, job.compiled, job.inputs.len()), (stage, compiled, inputs), "{line}");
        }
    }

    #[test]
    fn what_matters_is_seen() {
        let job = read("-m32 --target=x86_64-w64-mingw32 -target t -fcf-protection=full -ofile -Ldir -L more a.c");
        assert_eq!(job.target, ["-m32", "--target=x86_64-w64-mingw32", "-target", "t", "-fcf-protection=full"]);
        assert_eq!((job.output, job.folders), (Some("file".into()), vec!["dir".into(), "more".into()]));
        for (line, see) in [
            ("-s", (true, false, false)),
            ("-Wl,-O1,--strip-all", (true, false, false)),
            ("-Xlinker -s", (true, false, false)),
            ("-Wl,-q", (false, true, false)),
            ("-Wl,--emit-relocs", (false, true, false)),
            ("-r", (false, false, true)),
            ("-Wl,-r", (false, false, true)),
            ("-Wl,--strip-debug", (false, false, false)),
        ] {
            let job = read(line);
            assert_eq!((job.stripped, job.keeps_relocations, job.relocatable), see, "{line}");
        }
        for (line, map) in [
            ("-Wl,-Map=a.map", Some("a.map")),
            ("-Wl,-Map,a.map", Some("a.map")),
            ("-Wl,--Map=a.map,-q", Some("a.map")),
            ("-Xlinker -Map=a.map", Some("a.map")),
            ("-Wl,--print-map", None),
        ] {
            assert_eq!(read(line).map, map.map(PathBuf::from), "{line}");
        }
        for (line, expect) in [
            ("-fpatchable-function-entry=3", Some(Nops { total: 3, before: 0 })),
            ("-fpatchable-function-entry=3 -fpatchable-function-entry=16,14", Some(Nops { total: 16, before: 14 })),
            ("-fpatchable-function-entry=x", None),
        ] {
            assert_eq!(read(line).nops.map(|(_, nops)| nops), expect, "{line}");
        }
        assert_eq!(read("-fno-function-sections -falign-functions=1").contrary.len(), 2);
        assert!(read("-fms-hotpatch").ms_hotpatch && read("-Xclang -fms-hotpatch").ms_hotpatch);
        assert!(read("-fuse-ld=gold -Wl,--gc-sections a.o").gold_collects);
        assert!(!read("-fuse-ld=lld -Wl,--gc-sections a.o").gold_collects);
    }
}
