//! A child process whose lines are watched.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// Long enough for the slowest machine; nothing is concluded from how long something takes.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Seen {
    lines: Vec<String>,
    ended: bool,
}

/// A process that prints lines; it ends with the value.
pub(crate) struct Running {
    child: Child,
    seen: Arc<(Mutex<Seen>, Condvar)>,
}

impl Running {
    pub(crate) fn start(program: &Path, argument: Option<&Path>) -> Self {
        Self::of(Command::new(program).args(argument))
    }

    /// Whatever a command starts.
    pub(crate) fn of(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let seen = Arc::new((Mutex::new(Seen::default()), Condvar::new()));
        let (out, shared) = (child.stdout.take().unwrap(), Arc::clone(&seen));
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines() {
                let Ok(line) = line else { break };
                shared.0.lock().unwrap().lines.push(line);
                shared.1.notify_all();
            }
            shared.0.lock().unwrap().ended = true;
            shared.1.notify_all();
        });
        Self { child, seen }
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// The rest of the first line that begins so.
    pub(crate) fn told(&self, prefix: &str) -> String {
        let (lock, bell) = &*self.seen;
        let end = Instant::now() + PATIENCE;
        let mut seen = lock.lock().unwrap();
        loop {
            if let Some(rest) = seen.lines.iter().find_map(|line| line.strip_prefix(prefix)) {
                return rest.to_owned();
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!seen.ended && !left.is_zero(), "no line begins with {prefix:?}: {:#?}", seen.lines);
            seen = bell.wait_timeout(seen, left).unwrap().0;
        }
    }

    /// Sends it a signal, by its name.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// How many lines there are by now.
    pub(crate) fn mark(&self) -> usize {
        self.seen.0.lock().unwrap().lines.len()
    }

    /// Waits for a line after the first `mark` ones, and returns how many there are then.
    pub(crate) fn wait_for(&self, expect: &str, mark: usize) -> usize {
        let (lock, bell) = &*self.seen;
        let end = Instant::now() + PATIENCE;
        let mut seen = lock.lock().unwrap();
        loop {
            let found = seen.lines.iter().skip(mark).position(|line| line == expect);
            if let Some(found) = found {
                return mark + found + 1;
            }
            let last = seen.lines.len().saturating_sub(12);
            assert!(!seen.ended, "the process ended before it printed {expect:?}; last: {:#?}", &seen.lines[last..]);
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the process does not print {expect:?}; last: {:#?}", &seen.lines[last..]);
            seen = bell.wait_timeout(seen, left).unwrap().0;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
