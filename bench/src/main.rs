//! Patchwright measured against other delta tools: `bench delta CORPUS --out REPORT.md`.
//!
//! | module | what |
//! |---|---|
//! | [`tools`] | who is measured, and with which command lines |
//! | [`measure`] | one process: wall time, processor time, peak memory |
//! | [`report`] | the tables |
//! | [`goals`] | what was to be reached, and whether it is |
//! | [`several`] | patches for several old versions at once |
//! | [`libraries`] | rivals that are libraries, as processes of their own |
//!
//! Per pair, all tools run one after the other before the next pair starts, so that whatever else the machine does in a
//! while hits all of them alike; only creates whose time is in no goal share it, one on each core. Every patch is
//! applied, and the result compared byte for byte. A tool that fails has a row that says so.

mod goals;
mod libraries;
mod measure;
mod report;
mod several;
mod tools;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use measure::{Job, Usage, measure};
use report::{Case, Report, Trial};
use tools::{Files, Kind, Places, Tool};

type Result<T = ()> = std::result::Result<T, String>;

/// An apply that is over quickly runs a few times, and the fastest counts.
const APPLY_RUNS: usize = 3;

/// Beyond this an apply runs no more.
const APPLY_TIME: Duration = Duration::from_secs(2);

const USAGE: &str = "usage: bench delta CORPUS --out REPORT.md [--pairs d01,d02] [--tools bsdiff,zstd]
             [--patchwright PROGRAM] [--zucchini PROGRAM] [--hdiffz DIR] [--bidiff DIR]
             [--scratch DIR] [--date DATE] [--commit ID]";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["delta", corpus, options @ ..] => Options::read(corpus, options).and_then(|options| delta(&options)),
        ["qbsdiff-diff", old, new, patch] => libraries::qbsdiff_diff(old.as_ref(), new.as_ref(), patch.as_ref()),
        ["qbsdiff-patch", old, patch, out] => libraries::qbsdiff_patch(old.as_ref(), patch.as_ref(), out.as_ref()),
        ["bidiff-diff", old, new, patch] => libraries::bidiff_diff(old.as_ref(), new.as_ref(), patch.as_ref()),
        ["bidiff-patch", old, patch, out] => libraries::bidiff_patch(old.as_ref(), patch.as_ref(), out.as_ref()),
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
    missing: Vec<String>,
    scratch: PathBuf,
    date: String,
    commit: String,
}

impl Options {
    fn read(corpus: &str, words: &[&str]) -> Result<Options> {
        let corpus = PathBuf::from(corpus);
        let (mut out, mut pairs, mut tools, mut scratch) = (None, None, None, corpus.join("scratch"));
        let mut places = Places { patchwright: PathBuf::from("target/release/patchwright"), ..Places::default() };
        let (mut date, mut commit) = (String::from("unknown"), String::from("unknown"));
        for option in words.chunks(2) {
            let [name, value] = option else { return Err(format!("{} wants a value\n{USAGE}", option[0])) };
            match *name {
                "--out" => out = Some(PathBuf::from(value)),
                "--pairs" => pairs = Some(value.split(',').map(String::from).collect()),
                "--tools" => tools = Some(value.split(',').map(String::from).collect::<Vec<_>>()),
                "--patchwright" => places.patchwright = PathBuf::from(value),
                "--zucchini" => places.zucchini = Some(PathBuf::from(value)),
                "--hdiffz" => places.hdiffz = Some(PathBuf::from(value)),
                "--bidiff" => places.bidiff = Some(PathBuf::from(value)),
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
        let (all, mut missing) = tools::all(&places)?;
        let tools: Vec<Tool> = match tools {
            None => all.into_iter().filter(|tool| tool.kind != Kind::Named).collect(),
            Some(names) => {
                missing.retain(|line| names.iter().any(|name| line.starts_with(name.as_str())));
                all.into_iter().filter(|tool| names.iter().any(|name| name == tool.name)).collect()
            }
        };
        if tools.is_empty() || pairs.is_empty() {
            return Err("nothing to measure".into());
        }
        Ok(Options { corpus, out, pairs, tools, missing, scratch, date, commit })
    }

    fn files(&self, pair: &str, tool: &str) -> Files {
        let dir = self.corpus.join(pair);
        let scratch = |kind: &str| self.scratch.join(format!("{kind}-{tool}"));
        Files {
            old: dir.join("old"),
            new: dir.join("new"),
            patch: scratch("patch"),
            raw: scratch("raw"),
            out: scratch("out"),
            complaint: scratch("complaint"),
        }
    }
}

/// Pairs of the corpus.
fn pairs_in(corpus: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(corpus).map_err(|error| format!("{}: {error}", corpus.display()))?;
    let mut pairs: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.path().join("new").is_file())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    pairs.sort();
    Ok(pairs)
}

fn delta(options: &Options) -> Result {
    let titles = titles(&fs::read_to_string(options.corpus.join("pairs.txt")).unwrap_or_default());
    let (pairs, families) = several::plan(&options.pairs);
    let mut report = Report::new(&options.tools, &options.date, &options.commit, pairs.len())?;
    report.missing.clone_from(&options.missing);
    fs::create_dir_all(&options.scratch).map_err(at(&options.scratch))?;
    if let Some(dir) = options.out.parent() {
        fs::create_dir_all(dir).map_err(at(dir))?;
    }
    for pair in &pairs {
        // Reading both once also makes sure that the first tool finds them in memory like the others.
        let files = options.files(pair, "none");
        let old_len = warm(&files.old)?;
        let new_len = warm(&files.new)?;
        let title = titles.iter().find(|(id, _)| id == pair).map_or("", |(_, title)| title);
        let trials = trials(&options.tools, &|tool| options.files(pair, tool));
        report.cases.push(Case { pair: pair.clone(), title: title.into(), old_len, new_len, trials });
        // A run takes long; one that is broken off leaves what it has measured.
        fs::write(&options.out, report.to_string()).map_err(at(&options.out))?;
    }
    for family in families {
        report.families.push(several::measured(family, options, &report.cases));
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

/// What each tool does with a pair, in their order; a failure is a result too.
fn trials(tools: &[Tool], files: &(dyn Fn(&str) -> Files + Sync)) -> Vec<Trial> {
    let beside = creates_beside(tools, files);
    let trials = tools.iter().zip(beside).map(|(tool, created)| {
        let files = files(tool.name);
        let created = created.unwrap_or_else(|| create(tool, &files));
        let trial = created.and_then(|usage| finish(tool, &files, usage)).unwrap_or_else(Trial::Failed);
        for file in [&files.patch, &files.raw, &files.out, &files.complaint] {
            let _ = fs::remove_file(file);
        }
        eprintln!(
            "{} {}: {trial}",
            files.old.parent().and_then(Path::file_name).unwrap_or_default().display(),
            tool.name
        );
        trial
    });
    trials.collect()
}

/// The creates of those tools that need no core of their own, one on each core at a time; `None` for the others.
fn creates_beside(tools: &[Tool], files: &(dyn Fn(&str) -> Files + Sync)) -> Vec<Option<Result<Usage>>> {
    let results: Vec<Mutex<Option<Result<Usage>>>> = tools.iter().map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some((tool, result)) = {
            let number = next.fetch_add(1, Ordering::Relaxed);
            tools.get(number).zip(results.get(number))
        } {
            if tool.kind == Kind::Beside {
                let created = create(tool, &files(tool.name));
                *result.lock().expect("no one panics with it") = Some(created);
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(work);
        }
    });
    results.into_iter().map(|result| result.into_inner().expect("no one panics with it")).collect()
}

fn create(tool: &Tool, files: &Files) -> Result<Usage> {
    run_fresh(&files.patch, || steps(&tool.create(files)?))
}

/// Applies what was created and compares the result.
fn finish(tool: &Tool, files: &Files, create: Usage) -> Result<Trial> {
    let patch_len = fs::metadata(&files.patch).map_err(at(&files.patch))?.len();
    let mut apply: Option<Usage> = None;
    let mut taken = Duration::ZERO;
    for _ in 0..APPLY_RUNS {
        let usage = run_fresh(&files.out, || steps(&tool.apply(files)?))?;
        if !same(&files.new, &files.out)? {
            return Err("the result is not the new file".into());
        }
        apply = Some(apply.filter(|best| best.wall <= usage.wall).unwrap_or(usage));
        taken += usage.wall;
        if taken > APPLY_TIME {
            break;
        }
    }
    Ok(Trial::Done { patch_len, create, apply: apply.ok_or("no run")? })
}

/// Runs the steps of a tool, one after the other.
fn steps(jobs: &[Job]) -> Result<Usage> {
    jobs.iter().try_fold(Usage::default(), |sum, job| Ok(sum.then(measure(job)?)))
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
    fn every_tool_has_a_trial_and_failures_are_told() {
        let dir = std::env::temp_dir().join(format!("patchwright-bench-trials-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("old"), [1; 100_000]).unwrap();
        fs::write(dir.join("new"), [2; 100_000]).unwrap();
        let places = Places { patchwright: "/nonexistent".into(), ..Places::default() };
        let (tools, _) = tools::all(&places).unwrap();
        let tools: Vec<Tool> = tools.into_iter().filter(|tool| ["small", "xz"].contains(&tool.name)).collect();
        let files = |tool: &str| Files {
            old: dir.join("old"),
            new: dir.join("new"),
            patch: dir.join(format!("patch-{tool}")),
            raw: dir.join("raw"),
            out: dir.join(format!("out-{tool}")),
            complaint: dir.join(format!("complaint-{tool}")),
        };
        let [small, xz] = trials(&tools, &files).try_into().unwrap_or_else(|_| panic!("two tools"));
        assert!(matches!(small, Trial::Failed(_)), "{small}");
        assert!(matches!(xz, Trial::Done { patch_len: 1..1000, .. }), "{xz}");
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
