//! Running processes, for `apply`, `revert` and `status`.
//!
//! Processes are found by the build identity in their memory. Each is worked on in a thread of its own that ends with
//! the work: whatever happens, the kernel then lets go of what that thread traced.

use std::collections::BTreeMap;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use patchwright_formats::PatchId;
use patchwright_formats::hot::HotPart;
use patchwright_formats::hot::registry::State;
use patchwright_live::sys::{Process, Seen, SignalsHeld, find_build, seen};
use patchwright_live::{Applied, Limits, LiveError, LiveErrorKind, LivePatch, Outcome};

use crate::error::{Error, ErrorKind, Result};
use crate::options::Processes;
use crate::patch_file::Patch;
use crate::report::{HotFunctionReport, HotReport, LivePatchReport, ProcessOutcome, ProcessReport, ProcessStatus, hex};

/// Processes that the patch is for, and what they get.
pub(crate) struct Chosen {
    parts: Vec<HotPart>,
    processes: Vec<Seen>,
    /// Whether a process that ends meanwhile is none the less done with.
    may_end: bool,
}

/// Refuses processes where the format of the patch has nothing for them.
pub(crate) fn refuse_without_hot_part(processes: &Processes) -> Result<()> {
    if *processes == Processes::None {
        return Ok(());
    }
    Err(Error::new(ErrorKind::WrongInput, "the patch has nothing for running processes")
        .hint("make it with `patchwright diff --hot`"))
}

/// Finds the processes that are meant; each must run a build that the patch knows.
pub(crate) fn choose(patch: &Patch, processes: &Processes) -> Result<Chosen> {
    if *processes == Processes::None {
        return Ok(Chosen { parts: Vec::new(), processes: Vec::new(), may_end: true });
    }
    let parts = patch.hot_parts()?;
    if parts.is_empty() {
        refuse_without_hot_part(processes).map_err(|error| error.at(patch.path()))?;
    }
    let builds: Vec<&[u8]> =
        parts.iter().flat_map(|part| [part.old_build.as_slice(), part.new_build.as_slice()]).collect();
    let olds: Vec<&[u8]> = parts.iter().map(|part| part.old_build.as_slice()).collect();
    let (found, may_end) = match processes {
        Processes::None => (Vec::new(), true),
        Processes::Running => (find_build(&olds).0, true),
        Processes::Numbered(pids) => (look_at(pids, &builds)?, false),
    };
    Ok(Chosen { parts, processes: found, may_end })
}

fn look_at(pids: &[i32], builds: &[&[u8]]) -> Result<Vec<Seen>> {
    let mut found = Vec::new();
    let mut wrong = Vec::new();
    let mut kind = ErrorKind::WrongInput;
    for pid in pids {
        match seen(*pid, builds) {
            Ok(Some(process)) => found.push(process),
            Ok(None) => wrong.push(format!("process {pid} runs no build that the patch knows, or there is none")),
            Err(()) => {
                kind = ErrorKind::Io;
                wrong.push(format!("process {pid} may not be looked into"));
            }
        }
    }
    if wrong.is_empty() {
        return Ok(found);
    }
    let hint = match kind {
        ErrorKind::Io => "run as root, or as the owner of the process with kernel.yama.ptrace_scope 0",
        _ => "nothing was changed; `patchwright inspect` shows the builds that the patch is for",
    };
    Err(Error::new(kind, "not every process can be patched").details(wrong).hint(hint))
}

/// Patches processes.
pub(crate) fn apply(patch: &Patch, chosen: &Chosen, limits: &Limits, dry_run: bool) -> Result<Vec<ProcessReport>> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let id = patch.id();
    for_each(chosen, dry_run, |process, seen| {
        let part = chosen.parts.iter().find(|part| seen.builds.contains(&part.old_build));
        let Some(part) = part.or(chosen.parts.first()) else { return Ok(None) };
        patchwright_live::apply(process, part, id, since, limits).map(Some)
    })
}

/// Takes a patch from processes.
pub(crate) fn revert(patch: &Patch, chosen: &Chosen, limits: &Limits, dry_run: bool) -> Result<Vec<ProcessReport>> {
    let id = patch.id();
    for_each(chosen, dry_run, |process, _| patchwright_live::revert(process, id, limits).map(Some))
}

/// Does the same to each process, and goes on where one fails; in the end all that failed are named.
fn for_each(
    chosen: &Chosen,
    dry_run: bool,
    work: impl Fn(&mut Process, &Seen) -> std::result::Result<Option<Applied>, LiveError> + Sync,
) -> Result<Vec<ProcessReport>> {
    let mut done = Vec::new();
    let mut failed: BTreeMap<i32, (String, LiveError)> = BTreeMap::new();
    for seen in &chosen.processes {
        if dry_run {
            done.push(report(seen, None));
            continue;
        }
        // A keystroke must not leave a thread of the process with registers of ours.
        let _held = SignalsHeld::now();
        // What the thread traces is let go when it ends.
        let worked = std::thread::scope(|scope| {
            let at_work = scope.spawn(|| {
                let mut process = Process::open(seen.pid).map_err(Failure::Closed)?;
                work(&mut process, seen).map_err(Failure::Live)
            });
            at_work.join().unwrap_or(Err(Failure::Died))
        });
        match worked {
            Ok(Some(applied)) => done.push(report(seen, Some(&applied))),
            Ok(None) => {}
            Err(failure) => match failure.told() {
                error if error.kind == LiveErrorKind::Gone && chosen.may_end => {}
                error => {
                    failed.insert(seen.pid, (seen.name.clone(), error));
                }
            },
        }
    }
    if failed.is_empty() { Ok(done) } else { Err(refusal(&done, &failed)) }
}

/// Why a process could not be worked on.
enum Failure {
    Closed(io::Error),
    Live(LiveError),
    Died,
}

impl Failure {
    fn told(self) -> LiveError {
        let plain = |kind, message: String, hint: Option<&str>| LiveError {
            kind,
            message,
            details: Vec::new(),
            hint: hint.map(str::to_owned),
        };
        match self {
            Self::Live(error) => error,
            Self::Closed(error) if error.kind() == io::ErrorKind::NotFound => {
                plain(LiveErrorKind::Gone, "the process is gone".to_owned(), None)
            }
            Self::Closed(error) => plain(
                LiveErrorKind::Denied,
                format!("cannot open the process: {error}"),
                Some("run as root, or as the owner of the process with kernel.yama.ptrace_scope 0"),
            ),
            Self::Died => plain(LiveErrorKind::Unsupported, "a bug of ours: the work on it died".to_owned(), None),
        }
    }
}

/// All processes that failed, in one error; its kind is that of the first that one can do most about.
fn refusal(done: &[ProcessReport], failed: &BTreeMap<i32, (String, LiveError)>) -> Error {
    let kind = |error: &LiveError| match error.kind {
        LiveErrorKind::Busy => ErrorKind::Busy,
        LiveErrorKind::Wrong | LiveErrorKind::Gone => ErrorKind::WrongInput,
        LiveErrorKind::Denied => ErrorKind::Io,
        LiveErrorKind::Unsupported => ErrorKind::Malformed,
    };
    let first = failed.values().find(|(_, error)| error.kind == LiveErrorKind::Busy).or(failed.values().next());
    let worst = first.map_or(ErrorKind::Bug, |(_, error)| kind(error));
    let mut lines = Vec::new();
    let mut hints: Vec<String> = Vec::new();
    for (pid, (name, error)) in failed {
        lines.push(format!("process {pid} ({name}): {}", error.message));
        lines.extend(error.details.iter().map(|line| format!("  {line}")));
        hints.extend(error.hint.iter().filter(|hint| !hints.contains(hint)).cloned().collect::<Vec<_>>());
    }
    let all = done.len() + failed.len();
    let message = match failed.len() {
        1 if all == 1 => "the process runs on as it was".to_owned(),
        count => format!("{count} of {all} processes run on as they were; the others are done"),
    };
    let mut made = Error::new(worst, message).details(lines);
    made.hint = (!hints.is_empty()).then(|| hints.join("; "));
    made
}

fn report(seen: &Seen, applied: Option<&Applied>) -> ProcessReport {
    let outcome = match applied.map(|applied| applied.outcome) {
        None => ProcessOutcome::WouldChange,
        Some(Outcome::Applied) => ProcessOutcome::Applied,
        Some(Outcome::AlreadyApplied) => ProcessOutcome::AlreadyApplied,
        Some(Outcome::AlreadyNew) => ProcessOutcome::AlreadyNew,
        Some(Outcome::Reverted) => ProcessOutcome::Reverted,
        Some(Outcome::NotApplied) => ProcessOutcome::NotApplied,
    };
    ProcessReport {
        pid: seen.pid,
        name: seen.name.clone(),
        outcome,
        functions: applied.map_or(0, |applied| applied.functions),
        threads: applied.map_or(0, |applied| applied.threads),
        pause_us: applied.map_or(0, |applied| u64::try_from(applied.pause.as_micros()).unwrap_or(u64::MAX)),
        attempts: applied.map_or(0, |applied| applied.attempts),
        memory_bytes: applied.map_or(0, |applied| applied.memory_bytes),
        replaced: applied.and_then(|applied| applied.replaced).map(|PatchId(id)| hex(&id)),
        repaired: applied.is_some_and(|applied| applied.repaired),
    }
}

/// What patches a process has.
pub(crate) fn status(pid: i32) -> Result<ProcessStatus> {
    let mut process = Process::open_to_read(pid).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::new(ErrorKind::WrongInput, format!("there is no process {pid}")),
        _ => Error::new(ErrorKind::Io, format!("process {pid} may not be looked into: {error}"))
            .hint("run as root, or as the owner of the process"),
    })?;
    let patches = patchwright_live::status(&mut process).map_err(|error| {
        let mut made = Error::new(ErrorKind::Io, format!("process {pid}: {}", error.message)).details(error.details);
        made.hint = error.hint;
        made
    })?;
    let patch = |patch: LivePatch| LivePatchReport {
        id: hex(&patch.patch.0),
        state: match patch.state {
            State::Active => "active",
            State::Idle => "idle",
            State::Applying | State::Reverting => "unfinished",
        },
        old_build: hex(&patch.old_build),
        new_build: hex(&patch.new_build),
        since: patch.since,
        memory_bytes: patch.memory_bytes,
        functions: patch.functions,
        pinned: patch.pinned.iter().map(ToString::to_string).collect(),
    };
    Ok(ProcessStatus { pid, name: process.name(), patches: patches.into_iter().map(patch).collect() })
}

/// A hot part in a report.
pub(crate) fn hot_report(part: &HotPart, line_only: Vec<String>) -> HotReport {
    let function = |function: &patchwright_formats::hot::HotFunction| HotFunctionReport {
        name: function.name.clone(),
        why: function.why.clone(),
        new: function.old.is_none(),
    };
    HotReport {
        old_build: hex(&part.old_build),
        new_build: hex(&part.new_build),
        references: part.references.name(),
        code_bytes: part.body.text.len() as u64,
        data_bytes: (part.body.rodata.len() + part.body.data.len()) as u64 + part.body.bss_bytes,
        functions: part.functions.iter().map(function).collect(),
        line_only,
    }
}
