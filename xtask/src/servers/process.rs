//! A server that runs, what it takes of memory, and `patchwright` at work on it.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;
use crate::run::output;

/// A server and its workers; ended when this goes.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
}

/// What processes hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) mappings: usize,
    pub(crate) resident_kib: u64,
}

impl Server {
    /// Starts `program`, which will listen on `port`; its output goes to `server.log` in `dir`.
    pub(crate) fn start(program: &Path, args: &[String], dir: &Path, port: u16) -> Result<Self> {
        let log = std::fs::File::create(dir.join("server.log"))?;
        // A server that is to crash leaves no core file.
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -c 0; exec \"$0\" \"$@\""]).arg(program).args(args).current_dir(dir);
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        let mut server = Server { child, port };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = server.ended()? {
                let told = std::fs::read_to_string(dir.join("server.log")).unwrap_or_default();
                return Err(format!("{} ended at once: {status}\n{told}", program.display()).into());
            }
            if start.elapsed() > Duration::from_secs(20) {
                return Err(format!("{} does not listen on port {port}", program.display()).into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Result<Option<String>> {
        Ok(self.child.try_wait()?.map(|status| status.to_string()))
    }

    /// Waits for its end.
    pub(crate) fn end_of(&mut self, patience: Duration) -> Result<Option<String>> {
        let start = Instant::now();
        while start.elapsed() < patience {
            if let Some(status) = self.ended()? {
                return Ok(Some(status));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(None)
    }

    /// The process and its workers; children that it forks for a while, to save what it holds, are none.
    pub(crate) fn pids(&self, with_workers: bool) -> Vec<u32> {
        let pid = self.pid();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let workers = children.split_whitespace().filter_map(|number| number.parse().ok());
        std::iter::once(pid).chain(workers.filter(|_| with_workers)).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let workers = self.pids(true);
        // A server that is asked ends its workers.
        let _ = output(Command::new("kill").args(["-TERM", &self.pid().to_string()]));
        if !matches!(self.end_of(Duration::from_secs(5)), Ok(Some(_))) {
            for pid in workers {
                let _ = output(Command::new("kill").args(["-KILL", &pid.to_string()]));
            }
            let _ = self.child.wait();
        }
    }
}

/// What all of `pids` hold together.
pub(crate) fn memory(pids: &[u32]) -> Memory {
    let mut sum = Memory { mappings: 0, resident_kib: 0 };
    for pid in pids {
        sum.mappings += std::fs::read_to_string(format!("/proc/{pid}/maps")).map_or(0, |maps| maps.lines().count());
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        sum.resident_kib += line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0u64);
    }
    sum
}

/// A port that nobody listens on now.
pub(crate) fn free_port() -> Result<u16> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    Ok(listener.local_addr()?.port())
}

/// `patchwright`, and one patch.
pub(crate) struct Tool {
    pub(crate) bin: PathBuf,
    pub(crate) patch: PathBuf,
    /// The file that the patch is for.
    pub(crate) file: PathBuf,
}

/// What one call did.
#[derive(Default)]
pub(crate) struct Done {
    /// Microseconds that each process stood still.
    pub(crate) pauses: Vec<u64>,
    /// Attempts beyond the first.
    pub(crate) repeated: u64,
}

impl Tool {
    /// Makes the patch.
    pub(crate) fn diff(bin: &Path, old: &Path, new: &Path, patch: &Path) -> Result<Self> {
        let mut diff = Command::new(bin);
        let told = output(diff.arg("diff").arg(old).arg(new).args(["--hot", "--json", "-o"]).arg(patch))?;
        println!("  patch for processes: {}", functions(&told).join(", "));
        Ok(Tool { bin: bin.into(), patch: patch.into(), file: old.into() })
    }

    pub(crate) fn apply(&self, pids: &[u32]) -> Result<Done> {
        self.call("apply", "applied", pids)
    }

    pub(crate) fn revert(&self, pids: &[u32]) -> Result<Done> {
        self.call("revert", "reverted", pids)
    }

    fn call(&self, verb: &str, outcome: &str, pids: &[u32]) -> Result<Done> {
        let mut command = Command::new(&self.bin);
        command.arg(verb).arg(&self.patch).arg(&self.file).args(["--hot-only", "--json", "--deadline", "60"]);
        for pid in pids {
            command.args(["--pid", &pid.to_string()]);
        }
        let found = command.output()?;
        let told = String::from_utf8_lossy(&found.stdout);
        let wanted = format!("\"outcome\":\"{outcome}\"");
        let told: String = told.split_whitespace().collect();
        if !found.status.success() || told.matches(&wanted).count() < pids.len() {
            return Err(format!("patchwright {verb}: {}: {told}", found.status).into());
        }
        let attempts = numbers(&told, "attempts");
        Ok(Done {
            pauses: numbers(&told, "pause_us"),
            repeated: attempts.iter().map(|attempts| attempts.saturating_sub(1)).sum(),
        })
    }

    /// How many patches of the process are in use and not in use, as `status` says.
    pub(crate) fn states(&self, pid: u32) -> Result<[usize; 2]> {
        let mut command = Command::new(&self.bin);
        let told = output(command.args(["status", "--json", "--pid", &pid.to_string()]))?;
        let told: String = told.split_whitespace().collect();
        Ok(["active", "idle"].map(|state| told.matches(&format!("\"state\":\"{state}\"")).count()))
    }
}

/// Every number of a field in JSON without spaces.
fn numbers(json: &str, field: &str) -> Vec<u64> {
    let key = format!("\"{field}\":");
    let values = json.split(key.as_str()).skip(1);
    values.filter_map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()).collect()
}

/// Names of the functions in the report of `diff`.
fn functions(json: &str) -> Vec<String> {
    let Some((_, hot)) = json.split_once("\"hot\"") else { return Vec::new() };
    let values = hot.split("\"name\":").skip(1);
    values.filter_map(|rest| Some(rest.split('"').nth(1)?.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_in_reports() {
        let json =
            r#"{"hot":[{"functions":[{"name":"f","new":false},{"name": "g"}]}],"pause_us":12,"x":{"pause_us":7}}"#;
        assert_eq!(numbers(json, "pause_us"), [12, 7]);
        assert_eq!(numbers(json, "nothing"), []);
        assert_eq!(functions(json), ["f", "g"]);
    }
}
