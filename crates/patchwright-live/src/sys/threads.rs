//! The threads of a process: seized, stopped, let go.
//!
//! Threads are seized, which does not disturb them, then interrupted all at once; nothing of this shows in the process
//! or to its parent. New threads of seized ones are seized by the kernel. A thread that waits where it cannot be
//! interrupted makes the stop fail at its time limit, and everybody runs on.
//!
//! If this program dies, the kernel lets go of all threads and they run on.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::target::{StopFailure, Target as _, Thread};

use super::kernel::{self, Hurry};
use super::process::Process;
use super::registers::{EINTR, begun_again, ended};

/// `PTRACE_EVENT_STOP`.
const EVENT_STOP: i32 = 128;
/// `PTRACE_O_SUSPEND_SECCOMP`.
const SUSPEND_SECCOMP: i32 = 1 << 21;
/// How long one thread may take to stop for a call of ours.
pub(super) const ONE_THREAD: Duration = Duration::from_millis(100);
/// How long to wait before looking again whether a thread has stopped.
pub(super) const BETWEEN_LOOKS: Duration = Duration::from_micros(10);
/// How long a call of ours may take.
pub(super) const ONE_CALL: Duration = Duration::from_secs(2);

/// What is known of a traced thread.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Traced {
    pub(super) stopped: bool,
    /// The signal that was on its way to it.
    pub(super) signal: Option<Signal>,
    /// Whether its system call was made to begin again.
    begins_again: bool,
    /// Whether the kernel seized it when it was made: nobody asked it to stop.
    born: bool,
}

pub(super) fn pid_of(thread: i32) -> Pid {
    Pid::from_raw(thread)
}

pub(super) fn from_errno(error: Errno) -> io::Error {
    io::Error::from_raw_os_error(error as i32)
}

impl Process {
    fn tracer(&self) -> Option<i32> {
        self.field(self.pid, "TracerPid")?.parse().ok().filter(|tracer| *tracer != 0)
    }

    /// Its threads, and those of processes that share its memory; threads that have ended are left out.
    pub(super) fn threads(&self, sharers: &[i32]) -> io::Result<Vec<i32>> {
        let mut threads = Vec::new();
        for process in std::iter::once(self.pid).chain(sharers.iter().copied()) {
            let list = match fs::read_dir(format!("/proc/{process}/task")) {
                Err(_) if process != self.pid => continue,
                list => list?,
            };
            threads.extend(list.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()));
        }
        Ok(threads)
    }

    /// Other processes with the same memory: children between vfork and exec, and makers of threads by hand.
    fn sharers(&self) -> Vec<i32> {
        let list = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = list.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        pids.filter(|pid| *pid != self.pid && *pid != own)
            .filter(|pid| kernel::shares_memory(pid_of(self.pid), pid_of(*pid)))
            .collect()
    }

    fn options(&self) -> Options {
        let follow = Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            // A stop at a system call is no signal: if we die in it, none is delivered.
            | Options::PTRACE_O_TRACESYSGOOD;
        // Calls of ours must not run into a filter that the program has for its own.
        let filtered = self.field(self.pid, "Seccomp").is_some_and(|mode| mode != "0");
        if filtered { follow | Options::from_bits_retain(SUSPEND_SECCOMP) } else { follow }
    }

    /// Whether a thread that traces the process is one of this program: one that has done its work and is about to end.
    fn is_ours(&self, tracer: i32) -> bool {
        self.field(tracer, "Tgid").is_some_and(|group| group.parse() == Ok(std::process::id()))
    }

    /// Seizes a thread; `false` if it has ended.
    fn seize(&mut self, thread: i32, options: Options) -> Result<bool, StopFailure> {
        let until = Instant::now() + ONE_CALL;
        let mut seized = ptrace::seize(pid_of(thread), options);
        while seized == Err(Errno::EPERM)
            && self.tracer().is_some_and(|tracer| self.is_ours(tracer))
            && Instant::now() < until
        {
            std::thread::sleep(BETWEEN_LOOKS);
            seized = ptrace::seize(pid_of(thread), options);
        }
        match seized {
            Ok(()) => {
                self.traced.insert(thread, Traced::default());
                Ok(true)
            }
            Err(Errno::ESRCH) => Ok(false),
            Err(error) => match (self.state(thread), self.tracer()) {
                (None | Some('Z' | 'X'), _) => Ok(false),
                (_, Some(by)) if !self.is_ours(by) => Err(StopFailure::Traced { by }),
                _ if options.bits() & SUSPEND_SECCOMP != 0 => Err(StopFailure::Failed(io::Error::new(
                    io::ErrorKind::PermissionDenied,
                    "the process filters its system calls (seccomp), and only root may suspend that",
                ))),
                _ => Err(StopFailure::Failed(from_errno(error))),
            },
        }
    }

    fn state(&self, thread: i32) -> Option<char> {
        let stat = fs::read_to_string(format!("/proc/{thread}/stat")).ok()?;
        stat.rsplit(')').next()?.trim().chars().next()
    }

    /// Takes in what the kernel tells of a thread, without waiting.
    fn poll(&mut self, thread: i32) {
        let status = waitpid(pid_of(thread), Some(WaitPidFlag::__WALL | WaitPidFlag::WNOHANG));
        match status {
            Ok(WaitStatus::PtraceEvent(_, _, event)) => {
                if event != EVENT_STOP
                    && let Ok(made) = ptrace::getevent(pid_of(thread))
                    && let Ok(made) = i32::try_from(made)
                {
                    self.traced.entry(made).or_default().born = true;
                }
                self.set_stopped(thread, None);
            }
            Ok(WaitStatus::Stopped(_, signal)) => self.set_stopped(thread, Some(signal)),
            Ok(WaitStatus::PtraceSyscall(_)) => self.set_stopped(thread, None),
            Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) | Err(Errno::ECHILD) => {
                self.traced.remove(&thread);
            }
            _ => {}
        }
    }

    fn set_stopped(&mut self, thread: i32, signal: Option<Signal>) {
        let traced = self.traced.entry(thread).or_default();
        traced.stopped = true;
        traced.signal = signal;
    }

    /// Waits until every traced thread is stopped, and says which is not.
    ///
    /// One after another: asking all that still run, again and again, takes the processor that they need for stopping.
    fn wait_for_all(&mut self, until: Instant) -> Option<i32> {
        while let Some(running) = self.traced.iter().find(|(_, traced)| !traced.stopped).map(|(thread, _)| *thread) {
            if !self.wait_for(running, until) && self.traced.contains_key(&running) {
                return Some(running);
            }
        }
        None
    }

    /// Waits until one thread is stopped, or gone; says whether it is stopped.
    fn wait_for(&mut self, thread: i32, until: Instant) -> bool {
        loop {
            self.poll(thread);
            match self.traced.get(&thread) {
                Some(traced) if traced.stopped => return true,
                Some(_) if Instant::now() < until => std::thread::sleep(BETWEEN_LOOKS),
                _ => return false,
            }
        }
    }

    /// Lets go of every thread that is stopped. One that is not has been told to stop and cannot be left before it does.
    pub(super) fn let_go(&mut self) {
        let stopped: Vec<(i32, Traced)> =
            self.traced.iter().filter(|(_, state)| state.stopped).map(|(thread, state)| (*thread, *state)).collect();
        for (thread, state) in stopped {
            // A signal that is delivered now has ended the call, and the program expects that.
            if state.begins_again {
                self.end_call_for_signal(thread);
            } else if state.signal.is_none() {
                self.repair_call(thread, || self.has_signal(thread));
            }
            let _ = ptrace::detach(pid_of(thread), state.signal);
            self.traced.remove(&thread);
        }
        self.hurry = None;
    }

    /// Lets go of threads that have stopped meanwhile.
    pub(super) fn release_late(&mut self) {
        let late: Vec<i32> = self.traced.keys().copied().collect();
        for thread in late {
            self.poll(thread);
        }
        self.let_go();
    }

    /// Makes a system call that the stop has ended begin again, unless it ended for a signal. Says whether it does.
    fn repair_call(&self, thread: i32, for_signal: impl FnOnce() -> bool) -> bool {
        let id = pid_of(thread);
        let Ok(registers) = ptrace::getregs(id) else { return false };
        let mut before = [0; 2];
        if registers.rax != EINTR || self.read_exact(registers.rip.wrapping_sub(2), &mut before).is_err() {
            return false;
        }
        // Whether there is one takes long to find out, and is asked of few.
        begun_again(&registers, before).is_some_and(|again| !for_signal() && ptrace::setregs(id, again).is_ok())
    }

    /// Makes a system call that was to begin again end after all, if a signal has come meanwhile.
    fn end_call_for_signal(&self, thread: i32) {
        let id = pid_of(thread);
        if self.has_signal(thread)
            && let Ok(registers) = ptrace::getregs(id)
        {
            let _ = ptrace::setregs(id, ended(&registers));
        }
    }

    pub(super) fn has_signal(&self, thread: i32) -> bool {
        let Ok(status) = fs::read_to_string(format!("/proc/{thread}/status")) else { return false };
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|value| u64::from_str_radix(value.trim(), 16).ok()).unwrap_or(0)
        };
        (field("SigPnd") | field("ShdPnd")) & !field("SigBlk") != 0
    }

    /// Stops every thread.
    pub(super) fn stop_all(&mut self, pause: Duration) -> Result<(Vec<Thread>, Instant), StopFailure> {
        // What takes longest is done before anybody stops.
        let sharers = self.sharers();
        let options = self.options();
        let result = self.seize_all(&sharers, options).and_then(|()| {
            self.hurry = Some(Hurry::new());
            let since = Instant::now();
            Ok((self.interrupt_all(&sharers, options, since + pause)?, since))
        });
        if result.is_err() {
            self.let_go();
        }
        result
    }

    /// Stops threads one after another until `suits` says that one will do, and lets the others run on. Looks at no more
    /// than `limit` of them.
    ///
    /// `None` if none will do.
    pub(super) fn stop_one(&mut self, limit: usize, suits: impl Fn(&Self, i32) -> bool) -> io::Result<Option<i32>> {
        let options = self.options();
        self.release_late();
        let mut threads = self.threads(&[])?;
        threads.retain(|thread| !self.traced.contains_key(thread));
        threads.sort_by_key(|thread| self.obliging != Some(*thread));
        for thread in threads.into_iter().take(limit) {
            match self.seize(thread, options) {
                Ok(true) => {}
                Ok(false) | Err(StopFailure::Late { .. }) => continue,
                Err(StopFailure::Traced { by }) => {
                    let message = format!("process {by} traces it (a debugger, strace)");
                    return Err(io::Error::new(io::ErrorKind::ResourceBusy, message));
                }
                Err(StopFailure::Failed(error)) => return Err(error),
            }
            let _ = ptrace::interrupt(pid_of(thread));
            if self.wait_for(thread, Instant::now() + ONE_THREAD) && suits(self, thread) {
                return Ok(Some(thread));
            }
            self.let_go();
        }
        Ok(None)
    }

    /// Stops one thread, whichever stops at once.
    pub(super) fn stop_any(&mut self) -> io::Result<i32> {
        let stopped = self.stop_one(usize::MAX, |_, _| true)?;
        stopped.ok_or_else(|| io::Error::new(io::ErrorKind::TimedOut, "no thread of the process stops"))
    }

    /// Seizes every thread, those that are made meanwhile too.
    fn seize_all(&mut self, sharers: &[i32], options: Options) -> Result<(), StopFailure> {
        for _ in 0..100 {
            let mut any = false;
            for thread in self.threads(sharers).map_err(StopFailure::Failed)? {
                if !self.traced.contains_key(&thread) {
                    any |= self.seize(thread, options)?;
                }
            }
            if !any {
                return Ok(());
            }
        }
        Ok(())
    }

    fn interrupt_all(&mut self, sharers: &[i32], options: Options, until: Instant) -> Result<Vec<Thread>, StopFailure> {
        loop {
            for (thread, _) in self.traced.iter().filter(|(_, traced)| !traced.stopped && !traced.born) {
                let _ = ptrace::interrupt(pid_of(*thread));
            }
            if let Some(late) = self.wait_for_all(until) {
                let wait = fs::read_to_string(format!("/proc/{late}/wchan")).unwrap_or_default();
                let name = self.thread_name(late);
                return Err(StopFailure::Late {
                    thread: format!("thread {late} ({name}) waits in the kernel: {wait}"),
                });
            }
            // Whoever was made before its maker was seized is still running.
            let mut any = false;
            for thread in self.threads(sharers).map_err(StopFailure::Failed)? {
                if !self.traced.contains_key(&thread) {
                    any |= self.seize(thread, options)?;
                }
            }
            if !any {
                break;
            }
        }
        self.let_forked_go(sharers);
        let mut threads = Vec::with_capacity(self.traced.len());
        let ids: Vec<(i32, Option<Signal>)> =
            self.traced.iter().map(|(thread, traced)| (*thread, traced.signal)).collect();
        for (thread, signal) in ids {
            let registers = ptrace::getregs(pid_of(thread)).map_err(|error| StopFailure::Failed(from_errno(error)))?;
            threads.push(Thread { id: thread, ip: registers.rip, sp: registers.rsp, bp: registers.rbp });
            // Now, and not when they go on: we may be killed before. Signals are looked for then.
            let ended = registers.rax == EINTR && signal.is_none();
            if ended
                && self.repair_call(thread, || false)
                && let Some(traced) = self.traced.get_mut(&thread)
            {
                traced.begins_again = true;
            }
        }
        Ok(threads)
    }

    /// Children that were forked meanwhile have memory of their own.
    fn let_forked_go(&mut self, sharers: &[i32]) {
        let born: Vec<i32> = self.traced.iter().filter(|(_, traced)| traced.born).map(|(thread, _)| *thread).collect();
        if born.is_empty() {
            return;
        }
        let own = self.threads(sharers).unwrap_or_default();
        for thread in born.into_iter().filter(|thread| !own.contains(thread)) {
            if !kernel::shares_memory(pid_of(self.pid), pid_of(thread)) {
                self.traced.remove(&thread);
                let _ = ptrace::detach(pid_of(thread), None);
            }
        }
    }
}
