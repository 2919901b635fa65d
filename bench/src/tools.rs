//! Who is measured, and with which command lines: each tool at its documented setting for the smallest patch.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::measure::Job;

/// A tool with its two command lines.
///
/// In a line, `OLD`, `NEW`, `PATCH` and `OUT` stand for the files and `WINDOW` for the least power of two that holds the
/// old and the new file; a last word `>FILE` sends standard output there.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) create_line: &'static str,
    pub(crate) apply_line: &'static str,
    pub(crate) version: String,
    /// The file behind the first word.
    program: PathBuf,
}

/// Paths of one pair and of what tools make from it.
pub(crate) struct Files {
    pub(crate) old: PathBuf,
    pub(crate) new: PathBuf,
    pub(crate) patch: PathBuf,
    pub(crate) out: PathBuf,
    pub(crate) complaint: PathBuf,
}

/// The tools in the order of the tables; the first is ours, the second the one that ratios are against. Those called
/// `pa19-…` make the same patch in Microsoft's format, and are measured when they are named.
pub(crate) fn all(patchwright: &Path) -> Result<Vec<Tool>> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let on_path = PathBuf::new;
    let tool = |name, program: PathBuf, version, create_line, apply_line| Tool {
        name,
        create_line,
        apply_line,
        version,
        program,
    };
    let our_version = says(Command::new(patchwright).arg("--version"));
    let pa19 = |name, create_line| {
        tool(name, patchwright.to_path_buf(), our_version.clone(), create_line, "patchwright apply PATCH OLD -o OUT")
    };
    Ok(vec![
        tool(
            "patchwright",
            patchwright.to_path_buf(),
            our_version.clone(),
            "patchwright diff OLD NEW -o PATCH",
            "patchwright apply PATCH OLD -o OUT",
        ),
        tool("bsdiff", on_path(), package("bsdiff"), "bsdiff OLD NEW PATCH", "bspatch OLD OUT PATCH"),
        tool(
            "xdelta3",
            on_path(),
            package("xdelta3"),
            "xdelta3 -e -f -9 -S lzma -B WINDOW -W 16777216 -s OLD NEW PATCH",
            "xdelta3 -d -f -B WINDOW -s OLD PATCH OUT",
        ),
        tool(
            "zstd",
            on_path(),
            package("zstd"),
            // What zstd itself advises for smaller patches when it is run with less.
            "zstd -q -f --ultra -22 --single-thread --long=31 --zstd=targetLength=4096,chainLog=30 --patch-from=OLD NEW -o PATCH",
            "zstd -q -f -d --long=31 --patch-from=OLD PATCH -o OUT",
        ),
        tool(
            "qbsdiff",
            own,
            format!("the crate, {}", locked_version(include_str!("../Cargo.lock"), "qbsdiff")),
            "bench qbsdiff-diff OLD NEW PATCH",
            "bench qbsdiff-patch OLD PATCH OUT",
        ),
        // No delta: what sending the whole file costs.
        tool("xz", on_path(), package("xz-utils"), "xz -9e --stdout NEW >PATCH", "xz -d --stdout PATCH >OUT"),
        pa19("pa19-raw", "patchwright diff OLD NEW -o PATCH --format pa19 --large-window"),
        pa19("pa19-fast", "patchwright diff OLD NEW -o PATCH --format pa19 --large-window --fast"),
        pa19("pa19-native", "patchwright diff OLD NEW -o PATCH --format pa19 --large-window --profile native"),
    ])
}

impl Tool {
    pub(crate) fn create(&self, files: &Files) -> Result<Job> {
        self.job(self.create_line, files)
    }

    pub(crate) fn apply(&self, files: &Files) -> Result<Job> {
        self.job(self.apply_line, files)
    }

    fn job(&self, line: &str, files: &Files) -> Result<Job> {
        let mut job = Job { words: Vec::new(), stdout: None, stderr: files.complaint.clone() };
        for word in line.split(' ') {
            match (word, word.strip_prefix('>')) {
                (_, Some(place)) => job.stdout = Some(PathBuf::from(fill(place, files)?)),
                _ => job.words.push(fill(word, files)?),
            }
        }
        if self.program != Path::new("")
            && let Some(first) = job.words.first_mut()
        {
            *first = self.program.clone().into();
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
    text.as_deref().and_then(|text| text.lines().next()).unwrap_or("unknown version").trim().into()
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
        let files =
            Files { old: own.clone(), new: own.clone(), patch: "p".into(), out: "o".into(), complaint: "c".into() };
        let tools = all(Path::new("/bin/pw")).unwrap();
        let job = |name: &str| tools.iter().find(|tool| tool.name == name).unwrap().create(&files).unwrap();
        let old = own.to_str().unwrap();
        assert_eq!(job("patchwright").words, ["/bin/pw", "diff", old, old, "-o", "p"]);
        assert_eq!(job("qbsdiff").words, [old, "qbsdiff-diff", old, old, "p"]);
        assert!(job("zstd").words.contains(&format!("--patch-from={old}").into()));
        let xz = job("xz");
        assert_eq!(xz.words, ["xz", "-9e", "--stdout", old]);
        assert_eq!(xz.stdout, Some("p".into()));
    }

    #[test]
    fn version_comes_from_the_lock_file() {
        let lock = "[[package]]\nname = \"qbsdiff\"\nversion = \"1.4.4\"\n";
        assert_eq!(locked_version(lock, "qbsdiff"), "1.4.4");
        assert_eq!(locked_version(lock, "absent"), "unknown");
    }
}
