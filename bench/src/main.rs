//! Patchwright measured against other delta tools: `bench delta CORPUS --out REPORT.md`.
//!
//! | module | what |
//! |---|---|
//! | [`tools`] | who is measured, and with which command lines |
//! | [`measure`] | one process: wall time, processor time, peak memory |
//! | [`report`] | the tables |
//! | [`qbsdiff`] | a rival that is a library, as a process of its own |
//!
//! Per pair, all tools run one after the other before the next pair starts, so that whatever else the machine does in a
//! while hits all of them alike. Every patch is applied, and the result compared byte for byte.

mod measure;
mod qbsdiff;
mod report;
mod tools;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use measure::{Usage, measure};
use report::{Case, Report, Trial};
use tools::{Files, Tool};

type Result<T = ()> = std::result::Result<T, String>;

/// An apply is over quickly, so that the fastest of a few runs counts.
const APPLY_RUNS: usize = 3;

const USAGE: &str = "usage: bench delta CORPUS --out REPORT.md [--pairs d01,d02] [--tools bsdiff,zstd]
             [--patchwright PROGRAM] [--scratch DIR] [--date DATE] [--commit ID]";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["delta", corpus, options @ ..] => Options::read(corpus, options).and_then(|options| delta(&options)),
        ["qbsdiff-diff", old, new, patch] => qbsdiff::diff(old.as_ref(), new.as_ref(), patch.as_ref()),
        ["qbsdiff-patch", old, patch, out] => qbsdiff::patch(old.as_ref(), patch.as_ref(), out.as_ref()),
        _ => Err(USAGE.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

struct Options {
    corpus: PathBuf,
    out: PathBuf,
    pairs: Vec<String>,
    tools: Vec<Tool>,
    scratch: PathBuf,
    date: String,
    commit: String,
}

impl Options {
    fn read(corpus: &str, words: &[&str]) -> Result<Options> {
        let corpus = PathBuf::from(corpus);
        let (mut out, mut pairs, mut tools, mut scratch) = (None, None, None, corpus.join("scratch"));
        let mut patchwright = PathBuf::from("target/release/patchwright");
        let (mut date, mut commit) = (String::from("unknown"), String::from("unknown"));
        for option in words.chunks(2) {
            let [name, value] = option else { return Err(format!("{} wants a value\n{USAGE}", option[0])) };
            match *name {
                "--out" => out = Some(PathBuf::from(value)),
                "--pairs" => pairs = Some(value.split(',').map(String::from).collect()),
                "--tools" => tools = Some(value.split(',').map(String::from).collect::<Vec<_>>()),
                "--patchwright" => patchwright = PathBuf::from(value),
                "--scratch" => scratch = PathBuf::from(value),
                "--date" => date = value.to_string(),
                "--commit" => commit = value.to_string(),
                _ => return Err(format!("unknown option {name}\n{USAGE}")),
            }
        }
        let out = out.ok_or(USAGE)?;
        let pairs = match pairs {
            Some(pairs) => pairs,
            None => pairs_in(&corpus)?,
        };
        let all = tools::all(&patchwright)?;
        let tools: Vec<Tool> = match tools {
            None => all.into_iter().filter(|tool| !tool.name.starts_with("pa19-")).collect(),
            Some(names) => all.into_iter().filter(|tool| names.iter().any(|name| name == tool.name)).collect(),
        };
        if tools.is_empty() || pairs.is_empty() {
            return Err("nothing to measure".into());
        }
        Ok(Options { corpus, out, pairs, tools, scratch, date, commit })
    }
}

/// Pairs of the corpus; those called `m..` are more old versions for patches with several of them.
fn pairs_in(corpus: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(corpus).map_err(|error| format!("{}: {error}", corpus.display()))?;
    let mut pairs: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.path().join("new").is_file())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with('m'))
        .collect();
    pairs.sort();
    Ok(pairs)
}

fn delta(options: &Options) -> Result {
    let titles = titles(&fs::read_to_string(options.corpus.join("pairs.txt")).unwrap_or_default());
    let mut report = Report::new(&options.tools, &options.date, &options.commit, options.pairs.len())?;
    fs::create_dir_all(&options.scratch).map_err(at(&options.scratch))?;
    if let Some(dir) = options.out.parent() {
        fs::create_dir_all(dir).map_err(at(dir))?;
    }
    for pair in &options.pairs {
        let dir = options.corpus.join(pair);
        let files = Files {
            old: dir.join("old"),
            new: dir.join("new"),
            patch: options.scratch.join("patch"),
            out: options.scratch.join("out"),
            complaint: options.scratch.join("complaint"),
        };
        // Reading both once also makes sure that the first tool finds them in memory like the others.
        let old_len = warm(&files.old)?;
        let new_len = warm(&files.new)?;
        let title = titles.iter().find(|(id, _)| id == pair).map_or("", |(_, title)| title);
        let mut case = Case { pair: pair.clone(), title: title.into(), old_len, new_len, trials: Vec::new() };
        for tool in &options.tools {
            let trial = trial(tool, &files);
            eprintln!("{pair} {}: {trial}", tool.name);
            case.trials.push(trial);
        }
        report.cases.push(case);
        // A run takes long; one that is broken off leaves what it has measured.
        fs::write(&options.out, report.to_string()).map_err(at(&options.out))?;
    }
    fs::remove_dir_all(&options.scratch).map_err(at(&options.scratch))?;
    match report.failures() {
        0 => Ok(()),
        failures => Err(format!("{failures} trials failed; {} says which", options.out.display())),
    }
}

/// Reads what `cargo xtask corpus` tells about the pairs: an id, a tab, a title per line.
fn titles(list: &str) -> Vec<(String, String)> {
    list.lines().filter_map(|line| line.split_once('\t')).map(|(id, title)| (id.into(), title.into())).collect()
}

/// Creates and applies one patch; a failure is a result too.
fn trial(tool: &Tool, files: &Files) -> Trial {
    let run = || -> Result<Trial> {
        let create = run_fresh(&files.patch, || measure(&tool.create(files)?))?;
        let patch_len = fs::metadata(&files.patch).map_err(at(&files.patch))?.len();
        let mut apply: Option<Usage> = None;
        for _ in 0..APPLY_RUNS {
            let usage = run_fresh(&files.out, || measure(&tool.apply(files)?))?;
            if !same(&files.new, &files.out)? {
                return Err("the result is not the new file".into());
            }
            apply = Some(match apply {
                Some(best) if best.wall <= usage.wall => best,
                _ => usage,
            });
        }
        Ok(Trial::Done { patch_len, create, apply: apply.ok_or("no run")? })
    };
    run().unwrap_or_else(Trial::Failed)
}

/// Runs `work`, which writes `file`, without an earlier version of it.
fn run_fresh(file: &Path, work: impl FnOnce() -> Result<Usage>) -> Result<Usage> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(file)(error)),
        _ => work(),
    }
}

/// Reads a file to its end and returns its length.
///
/// In pieces: a child process starts its count of peak memory with what we hold.
fn warm(path: &Path) -> Result<u64> {
    let mut file = File::open(path).map_err(at(path))?;
    io::copy(&mut file, &mut io::sink()).map_err(at(path))
}

/// Compares two files, in pieces.
fn same(a: &Path, b: &Path) -> Result<bool> {
    const PIECE: usize = 1 << 16;
    let mut left = File::open(a).map_err(at(a))?;
    let mut right = File::open(b).map_err(at(b))?;
    let (mut piece_a, mut piece_b) = (Vec::with_capacity(PIECE), Vec::with_capacity(PIECE));
    loop {
        piece_a.clear();
        piece_b.clear();
        left.by_ref().take(PIECE as u64).read_to_end(&mut piece_a).map_err(at(a))?;
        right.by_ref().take(PIECE as u64).read_to_end(&mut piece_b).map_err(at(b))?;
        if piece_a != piece_b {
            return Ok(false);
        }
        if piece_a.is_empty() {
            return Ok(true);
        }
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> String {
    move |error| format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_compared_to_their_end() {
        let dir = std::env::temp_dir().join(format!("patchwright-bench-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let file = |name: &str, bytes: &[u8]| {
            fs::write(dir.join(name), bytes).unwrap();
            dir.join(name)
        };
        let long = vec![7; 200_000];
        let mut other = long.clone();
        other[199_999] = 8;
        let a = file("a", &long);
        assert!(same(&a, &file("b", &long)).unwrap());
        assert!(!same(&a, &file("c", &other)).unwrap());
        assert!(!same(&a, &file("d", &long[..65_536])).unwrap());
        assert!(same(&a, &dir.join("nope")).is_err());
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn titles_are_optional() {
        assert_eq!(titles("d01\tsshd\n\nnoise\n"), [("d01".to_string(), "sshd".to_string())]);
    }

    #[test]
    fn options_that_make_no_sense_are_refused() {
        for words in [&["--out"][..], &["--frob", "x"], &["--pairs", "d01"]] {
            assert!(Options::read("corpus", words).is_err(), "{words:?}");
        }
    }
}
