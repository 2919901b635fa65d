//! Size, time and memory against other tools, on the corpus. The measuring is done by the package in `bench/`.

use std::path::{Path, PathBuf};

use crate::args::Args;
use crate::run::{cargo, has, output, root, show, target_dir, today};
use crate::setup::{Group, ensure};
use crate::{Failure, Result, bench_check, bench_live, corpus};

pub(crate) fn run(mut args: Args) -> Result {
    let dir = root().join(args.value("--corpus")?.as_deref().unwrap_or("corpus"));
    let pairs = args.value("--pairs")?;
    let out = args.value("--out")?;
    let tool = args.value("--tool")?;
    let rivals = Rivals { hdiffz: args.value("--hdiffz")?, bidiff: args.value("--bidiff")? };
    match args.free(1)?.as_slice() {
        [what] if what == "delta" => delta(&dir, &DELTA, pairs, out, &rivals),
        [what] if what == "pa19" => delta(&dir, &PA19, pairs, out, &rivals),
        [what] if what == "check" => bench_check::run(&dir, pairs, out),
        [what] if what == "live" => bench_live::run(tool.map(Into::into), out),
        _ => Err(Failure::Usage("bench what? There are: delta, pa19, check, live".into())),
    }
}

/// Folders of programs that no package client brings.
struct Rivals {
    /// Of `hdiffz` and `hpatchz`; else they are looked for on `PATH`.
    hdiffz: Option<String>,
    /// Of version 2 of `bidiff`; else version 1 is measured, a crate.
    bidiff: Option<String>,
}

/// What is measured.
struct Subject {
    /// Pairs of the corpus whose names begin like this, or are listed.
    pairs: &'static [&'static str],
    /// The tools; all that are no other format of ours without it.
    tools: Option<&'static str>,
    /// What the name of the table ends with.
    suffix: &'static str,
}

const DELTA: Subject = Subject { pairs: &[], tools: None, suffix: "" };

/// Microsoft's format beside ours and others, on Windows images.
const PA19: Subject = Subject {
    pairs: &["d09", "d10", "d11", "d12", "d13"],
    tools: Some("patchwright,bsdiff,xdelta3,pa19-raw,pa19-fast,pa19-native"),
    suffix: "-pa19",
};

fn delta(dir: &Path, subject: &Subject, pairs: Option<String>, out: Option<String>, rivals: &Rivals) -> Result {
    ensure(Group::Bench)?;
    let ids: Vec<String> = match &pairs {
        Some(list) => list.split(',').map(String::from).collect(),
        None if subject.pairs.is_empty() => corpus::ids("").collect(),
        None => subject.pairs.iter().map(ToString::to_string).collect(),
    };
    corpus::fetch(dir, &ids)?;
    show(cargo().args(["build", "--release", "--locked", "--package", "patchwright-cli"]))?;

    // The committed table is of the whole corpus; a first look goes elsewhere.
    let out = match (out, &pairs) {
        (Some(out), _) => root().join(out),
        (None, None) => root().join(format!("bench/results/{}{}.md", machine(), subject.suffix)),
        (None, Some(_)) => target_dir().join(format!("bench-delta{}.md", subject.suffix)),
    };
    let mut bench = cargo();
    bench.args(["run", "--release", "--locked", "--quiet", "--manifest-path", "bench/Cargo.toml", "--", "delta"]);
    bench.arg(dir).arg("--patchwright").arg(target_dir().join("release/patchwright"));
    bench.args(["--date", &today()?, "--commit", &commit(), "--out"]).arg(&out);
    match subject.tools {
        Some(tools) => {
            bench.args(["--tools", tools]);
        }
        None => {
            if let Some(program) = zucchini() {
                bench.arg("--zucchini").arg(program);
            }
        }
    }
    for (option, dir) in [("--hdiffz", &rivals.hdiffz), ("--bidiff", &rivals.bidiff)] {
        if let Some(dir) = dir {
            bench.arg(option).arg(root().join(dir));
        }
    }
    show(bench.args(["--pairs", &ids.join(",")]))?;
    println!("{}", out.display());
    Ok(())
}

/// Builds Zucchini, which is C++ that older compilers refuse; without clang 19 it is not measured.
fn zucchini() -> Option<PathBuf> {
    let dir = target_dir().join("bench-zucchini");
    let mut build = cargo();
    build.args(["build", "--release", "--locked", "--quiet", "--manifest-path", "bench/zucchini/Cargo.toml"]);
    build.arg("--target-dir").arg(&dir).env("CC", "clang-19").env("CXX", "clang++-19");
    match show(&mut build) {
        Ok(()) => Some(dir.join("release/bench-zucchini")),
        Err(error) => {
            println!("zucchini is not measured: {error}");
            None
        }
    }
}

/// A name for this kind of machine, never for this one: its processor and how many of them.
pub(crate) fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(std::env::consts::ARCH);
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{}-{count}-core", slug(model))
}

fn slug(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let noise = ["r", "tm", "cpu", "processor"];
    let words = words.map(str::to_ascii_lowercase).filter(|word| !noise.contains(&word.as_str()));
    words.collect::<Vec<_>>().join("-")
}

/// The commit that is measured, marked when the tree has changes.
pub(crate) fn commit() -> String {
    if !has("git") {
        return "unknown".into();
    }
    let describe = ["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"];
    output(std::process::Command::new("git").args(describe).current_dir(root()))
        .map_or_else(|_| "unknown".into(), |id| id.trim().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_named_by_their_processor() {
        assert_eq!(slug(": Intel(R) Xeon(R) Processor @ 2.60GHz"), "intel-xeon-2-60ghz");
        assert_eq!(slug(": AMD EPYC 7B13"), "amd-epyc-7b13");
    }
}
