//! One process, measured: wall time, processor time, peak memory.

use std::ffi::OsString;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use wait4::Wait4;

use crate::Result;

/// What to run.
pub(crate) struct Job {
    pub(crate) words: Vec<OsString>,
    /// Where standard output goes; for tools that write their result there.
    pub(crate) stdout: Option<PathBuf>,
    /// Where complaints go.
    pub(crate) stderr: PathBuf,
}

/// What a process took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) wall: Duration,
    /// User and system time of all its threads.
    pub(crate) cpu: Duration,
    /// Its largest resident set.
    pub(crate) peak_bytes: u64,
}

impl Usage {
    /// What two steps take, one after the other.
    pub(crate) fn then(self, next: Self) -> Self {
        Self { wall: self.wall + next.wall, cpu: self.cpu + next.cpu, peak_bytes: self.peak_bytes.max(next.peak_bytes) }
    }
}

/// Runs `job` to its end.
pub(crate) fn measure(job: &Job) -> Result<Usage> {
    let (program, args) = job.words.split_first().ok_or("no command")?;
    let create = |path: &PathBuf| File::create(path).map_err(|error| format!("{}: {error}", path.display()));
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(create(&job.stderr)?);
    if let Some(path) = &job.stdout {
        command.stdout(create(path)?);
    }
    let started = Instant::now();
    let child = command.spawn().map_err(|error| error.to_string())?;
    let end = child.wait4().map_err(|error| error.to_string())?;
    let wall = started.elapsed();
    if !end.status.success() {
        let complaint = std::fs::read_to_string(&job.stderr).unwrap_or_default();
        return Err(format!("{}: {}", end.status, complaint.trim().lines().last().unwrap_or("no message")));
    }
    Ok(Usage { wall, cpu: end.rusage.utime + end.rusage.stime, peak_bytes: end.rusage.maxrss })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(line: &str) -> Job {
        // Tests run at the same time, each in a thread.
        let (process, thread) = (std::process::id(), std::thread::current().id());
        let stderr = std::env::temp_dir().join(format!("patchwright-bench-{process}-{thread:?}"));
        Job { words: ["sh", "-c", line].map(OsString::from).into(), stdout: None, stderr }
    }

    #[test]
    fn processes_are_measured() {
        let usage = measure(&shell("sleep 0.05")).unwrap();
        assert!(usage.wall >= Duration::from_millis(50));
        assert!(usage.cpu < usage.wall);
        assert!(usage.peak_bytes > 100_000, "bytes, not kilobytes: {}", usage.peak_bytes);
    }

    #[test]
    fn failing_processes_are_told() {
        assert_eq!(measure(&shell("echo one >&2; echo two >&2; exit 3")).unwrap_err(), "exit status: 3: two");
        assert!(measure(&Job { words: vec!["/nonexistent".into()], ..shell("") }).is_err());
    }
}
