//! Who is measured, and with which command lines: each tool at its documented setting for the smallest patch.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use crate::Result;
use crate::measure::Job;

/// A tool with its two command lines.
///
/// In a line, `OLD`, `NEW`, `PATCH` and `OUT` stand for the files, `RAW` for one between two steps, and `WINDOW` for the
/// least power of two that holds the old and the new file; a last word `>FILE` sends standard output there; `&&` goes
/// before a second step.
#[derive(Clone)]
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) create_line: &'static str,
    pub(crate) apply_line: &'static str,
    pub(crate) version: String,
    pub(crate) kind: Kind,
    programs: Arc<Programs>,
}

/// What a tool is measured for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Everything.
    Whole,
    /// The time of its create is in no goal: it is taken while another one of this kind runs on another core.
    Beside,
    /// As [`Kind::Whole`], and only when it is named.
    Named,
}

/// Where the first words of command lines are found; what is not here is on `PATH`.
type Programs = BTreeMap<&'static str, PathBuf>;

/// Paths of one pair and of what tools make from it.
#[derive(Clone)]
pub(crate) struct Files {
    pub(crate) old: PathBuf,
    pub(crate) new: PathBuf,
    pub(crate) patch: PathBuf,
    pub(crate) raw: PathBuf,
    pub(crate) out: PathBuf,
    pub(crate) complaint: PathBuf,
}

/// Where to find tools that have no package.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    pub(crate) patchwright: PathBuf,
    /// The folder of `hdiffz` and `hpatchz`; without it they are looked for on `PATH`.
    pub(crate) hdiffz: Option<PathBuf>,
    /// The folder of `bidiff` 2; without it version 1 is measured, which is a crate.
    pub(crate) bidiff: Option<PathBuf>,
    /// The program made from `bench/zucchini`.
    pub(crate) zucchini: Option<PathBuf>,
}

/// The tools in the order of the tables, and what is missing here.
///
/// Ours come first. Those called `pa19-…` make the same patch in Microsoft's format.
pub(crate) fn all(places: &Places) -> Result<(Vec<Tool>, Vec<String>)> {
    let mut programs = Programs::new();
    programs.insert("patchwright", places.patchwright.clone());
    programs.insert("bench", std::env::current_exe().map_err(|error| error.to_string())?);
    let mut missing = Vec::new();
    let hdiff = places.hdiffz.clone().or_else(|| on_path("hdiffz"));
    if let Some(dir) = &hdiff {
        programs.extend(["hdiffz", "hpatchz"].map(|name| (name, dir.join(name))));
    } else {
        missing.push("hdiffz: neither on PATH nor named by --hdiffz".into());
    }
    if let Some(dir) = &places.bidiff {
        programs.insert("bidiff", dir.join("bidiff"));
    }
    if let Some(program) = &places.zucchini {
        programs.insert("bench-zucchini", program.clone());
    } else {
        missing.push("zucchini+xz: not built; it wants clang 19".into());
    }
    let programs = Arc::new(programs);
    let tool = |kind, name, version, create_line, apply_line| Tool {
        name,
        create_line,
        apply_line,
        version,
        kind,
        programs: Arc::clone(&programs),
    };
    let lock = include_str!("../Cargo.lock");
    let of_crate = |name| format!("the crate, {}", locked_version(lock, name));
    let ours = says(Command::new(&places.patchwright).arg("--version"));
    let own =
        |kind, name, create_line| tool(kind, name, ours.clone(), create_line, "patchwright apply PATCH OLD -o OUT");
    use Kind::{Beside, Named, Whole};
    let mut tools = vec![
        own(Whole, "small", "patchwright diff OLD NEW -o PATCH --profile small"),
        own(Whole, "fast", "patchwright diff OLD NEW -o PATCH --profile fast"),
        own(Whole, "quick", "patchwright diff OLD NEW -o PATCH --profile quick"),
    ];
    if places.zucchini.is_some() {
        tools.push(tool(
            Whole,
            "zucchini+xz",
            format!(
                "the crate, {}; xz {}",
                locked_version(include_str!("../zucchini/Cargo.lock"), "zucchini"),
                package("xz-utils")
            ),
            "bench-zucchini diff OLD NEW RAW && xz -9e --stdout RAW >PATCH",
            "xz -d --stdout PATCH >RAW && bench-zucchini patch OLD RAW OUT",
        ));
    }
    if let Some(dir) = &hdiff {
        tools.push(tool(
            Whole,
            "hdiffz",
            says(Command::new(dir.join("hdiffz")).arg("-v")),
            "hdiffz -m-1 -SD-2m -p-2 -cache -block-0 -c-lzma2-9-64m -f OLD NEW PATCH",
            "hpatchz -f OLD PATCH OUT",
        ));
    }
    tools.push(match places.bidiff {
        Some(_) => tool(
            Whole,
            "bidiff",
            "2.0.0-dev, built from its sources".into(),
            "bidiff diff --ram OLD NEW PATCH",
            "bidiff patch OLD PATCH OUT",
        ),
        None => tool(
            Whole,
            "bidiff",
            format!("{}; xz {}", of_crate("bidiff"), package("xz-utils")),
            "bench bidiff-diff OLD NEW RAW && xz -9e --stdout RAW >PATCH",
            "xz -d --stdout PATCH >RAW && bench bidiff-patch OLD RAW OUT",
        ),
    });
    tools.extend([
        tool(Beside, "bsdiff", package("bsdiff"), "bsdiff OLD NEW PATCH", "bspatch OLD OUT PATCH"),
        tool(
            Beside,
            "zstd",
            package("zstd"),
            "zstd -q -f -19 --single-thread --long=31 --patch-from=OLD NEW -o PATCH",
            "zstd -q -f -d --long=31 --patch-from=OLD PATCH -o OUT",
        ),
        // No delta: what sending the whole file costs.
        tool(Beside, "xz", package("xz-utils"), "xz -9e --stdout NEW >PATCH", "xz -d --stdout PATCH >OUT"),
        tool(
            Named,
            "xdelta3",
            package("xdelta3"),
            "xdelta3 -e -f -9 -S lzma -B WINDOW -W 16777216 -s OLD NEW PATCH",
            "xdelta3 -d -f -B WINDOW -s OLD PATCH OUT",
        ),
        tool(
            Named,
            "qbsdiff",
            of_crate("qbsdiff"),
            "bench qbsdiff-diff OLD NEW PATCH",
            "bench qbsdiff-patch OLD PATCH OUT",
        ),
        own(Named, "patchwright", "patchwright diff OLD NEW -o PATCH"),
        own(Named, "pa19-raw", "patchwright diff OLD NEW -o PATCH --format pa19 --large-window"),
        own(Named, "pa19-fast", "patchwright diff OLD NEW -o PATCH --format pa19 --large-window --fast"),
        own(Named, "pa19-native", "patchwright diff OLD NEW -o PATCH --format pa19 --large-window --profile native"),
    ]);
    Ok((tools, missing))
}

impl Tool {
    /// Whether this is the program that is measured against the others.
    pub(crate) fn is_ours(&self) -> bool {
        self.create_line.starts_with("patchwright ")
    }

    pub(crate) fn create(&self, files: &Files) -> Result<Vec<Job>> {
        self.jobs(self.create_line, files)
    }

    pub(crate) fn apply(&self, files: &Files) -> Result<Vec<Job>> {
        self.jobs(self.apply_line, files)
    }

    fn jobs(&self, line: &str, files: &Files) -> Result<Vec<Job>> {
        line.split(" && ").map(|step| self.job(step, files)).collect()
    }

    fn job(&self, line: &str, files: &Files) -> Result<Job> {
        let mut job = Job { words: Vec::new(), stdout: None, stderr: files.complaint.clone() };
        for word in line.split(' ') {
            match (word, word.strip_prefix('>')) {
                (_, Some(place)) => job.stdout = Some(PathBuf::from(fill(place, files)?)),
                _ => job.words.push(fill(word, files)?),
            }
        }
        if let Some(first) = job.words.first_mut()
            && let Some(program) = first.to_str().and_then(|name| self.programs.get(name))
        {
            *first = program.clone().into();
        }
        Ok(job)
    }
}

/// Puts a path or number in the place that `word` names, if it names one; `--option=OLD` does as well.
fn fill(word: &str, files: &Files) -> Result<OsString> {
    let (prefix, place) = match word.rsplit_once('=') {
        Some((option, place)) => (format!("{option}="), place),
        None => (String::new(), word),
    };
    let mut filled = OsString::from(prefix);
    match place {
        "OLD" => filled.push(&files.old),
        "NEW" => filled.push(&files.new),
        "PATCH" => filled.push(&files.patch),
        "RAW" => filled.push(&files.raw),
        "OUT" => filled.push(&files.out),
        "WINDOW" => filled.push(window(len(&files.old)?.max(len(&files.new)?)).to_string()),
        other => filled.push(other),
    }
    Ok(filled)
}

/// The least power of two that holds `len` bytes, and at least the half megabyte that xdelta3 wants.
fn window(len: u64) -> u64 {
    len.next_power_of_two().max(1 << 19)
}

fn len(path: &Path) -> Result<u64> {
    Ok(fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?.len())
}

/// The folder of `PATH` that holds a program.
fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).find(|dir| dir.join(name).is_file())
}

/// Version of a Debian package: bsdiff does not tell its own.
fn package(name: &str) -> String {
    says(Command::new("dpkg-query").args(["-W", "-f=${Version}", name]))
}

/// The version of a package in a lock file.
fn locked_version(lock: &str, package: &str) -> String {
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| *line != name).skip(1);
    let version = lines.next().and_then(|line| line.strip_prefix("version = "));
    version.unwrap_or("unknown").trim_matches('"').into()
}

/// First line that a command prints.
fn says(command: &mut Command) -> String {
    let output = command.output().ok().filter(|output| output.status.success());
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let line = text.as_deref().and_then(|text| text.lines().map(str::trim).find(|line| !line.is_empty()));
    line.unwrap_or("unknown version").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_hold_the_files() {
        for (len, expect) in [(0, 524_288), (524_288, 524_288), (524_289, 1_048_576), (62_413_336, 67_108_864)] {
            assert_eq!(window(len), expect, "{len}");
        }
    }

    #[test]
    fn lines_are_filled() {
        let own = std::env::current_exe().unwrap();
        let files = Files {
            old: own.clone(),
            new: own.clone(),
            patch: "p".into(),
            raw: "r".into(),
            out: "o".into(),
            complaint: "c".into(),
        };
        let places = Places {
            patchwright: "/bin/pw".into(),
            hdiffz: Some("/opt".into()),
            bidiff: None,
            zucchini: Some("/z/zucchini".into()),
        };
        let (tools, missing) = all(&places).unwrap();
        assert_eq!(missing, [""; 0]);
        let jobs = |name: &str| tools.iter().find(|tool| tool.name == name).unwrap().create(&files).unwrap();
        let old = own.to_str().unwrap();
        assert_eq!(jobs("fast")[0].words, ["/bin/pw", "diff", old, old, "-o", "p", "--profile", "fast"]);
        assert_eq!(jobs("qbsdiff")[0].words, [old, "qbsdiff-diff", old, old, "p"]);
        assert_eq!(jobs("hdiffz")[0].words[0], "/opt/hdiffz");
        assert!(jobs("zstd")[0].words.contains(&format!("--patch-from={old}").into()));
        let steps = jobs("zucchini+xz");
        assert_eq!(steps[0].words, ["/z/zucchini", "diff", old, old, "r"]);
        assert_eq!(steps[1].words, ["xz", "-9e", "--stdout", "r"]);
        assert_eq!(steps[1].stdout, Some("p".into()));
    }

    #[test]
    fn tools_that_are_missing_are_told() {
        let (tools, missing) = all(&Places::default()).unwrap();
        assert!(tools.iter().all(|tool| tool.name != "zucchini+xz"));
        assert!(missing.iter().any(|line| line.starts_with("zucchini+xz")), "{missing:?}");
    }

    #[test]
    fn version_comes_from_the_lock_file() {
        let lock = "[[package]]\nname = \"qbsdiff\"\nversion = \"1.4.4\"\n";
        assert_eq!(locked_version(lock, "qbsdiff"), "1.4.4");
        assert_eq!(locked_version(lock, "absent"), "unknown");
    }
}
