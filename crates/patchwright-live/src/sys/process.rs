//! One process.
//!
//! Threads are seized, which does not disturb them, then interrupted all at once; nothing of this shows in the process
//! or to its parent. New threads of seized ones are seized by the kernel. A thread that waits where it cannot be
//! interrupted makes the stop fail at its time limit, and everybody runs on.
//!
//! If this program dies, the kernel lets go of all threads and they run on.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::target::{Call, Mapping, Protection, StopFailure, Target, Thread};

use super::kernel::{self, Hurry};
use super::registers::{SYSCALL, begun_again, for_call};

/// `PTRACE_EVENT_STOP`.
const EVENT_STOP: i32 = 128;
/// `PTRACE_O_SUSPEND_SECCOMP`.
const SUSPEND_SECCOMP: i32 = 1 << 21;
/// How long one thread may take to stop for a call of ours.
const ONE_THREAD: Duration = Duration::from_millis(100);
/// System calls in which a thread waits for the world: reading, writing, sleeping, waiting for events and children.
const HARMLESS: [i64; 24] = [
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_select,
    libc::SYS_pselect6,
    libc::SYS_epoll_wait,
    libc::SYS_epoll_pwait,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_pause,
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_rt_sigsuspend,
    libc::SYS_connect,
    libc::SYS_restart_syscall,
];
/// How long to wait before looking again whether a thread has stopped.
const BETWEEN_LOOKS: Duration = Duration::from_micros(10);
/// How long a call of ours may take.
const ONE_CALL: Duration = Duration::from_secs(2);

/// A process of this machine.
#[derive(Debug)]
pub struct Process {
    pid: i32,
    memory: File,
    /// Traced threads: whether they are stopped, and the signal that was on its way to them.
    traced: BTreeMap<i32, Traced>,
    hurry: Option<Hurry>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Traced {
    stopped: bool,
    signal: Option<Signal>,
    /// Whether the kernel seized it when it was made: nobody asked it to stop.
    born: bool,
}

fn pid_of(thread: i32) -> Pid {
    Pid::from_raw(thread)
}

fn from_errno(error: Errno) -> io::Error {
    io::Error::from_raw_os_error(error as i32)
}

impl Process {
    /// Opens a process to patch it.
    ///
    /// # Errors
    /// It is gone, or it may not be traced by the caller.
    pub fn open(pid: i32) -> io::Result<Self> {
        let memory = OpenOptions::new().read(true).write(true).open(format!("/proc/{pid}/mem"))?;
        Ok(Self { pid, memory, traced: BTreeMap::new(), hurry: None })
    }

    /// Opens a process to look at it.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_to_read(pid: i32) -> io::Result<Self> {
        let memory = File::open(format!("/proc/{pid}/mem"))?;
        Ok(Self { pid, memory, traced: BTreeMap::new(), hurry: None })
    }

    /// Its number.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Its name.
    pub fn name(&self) -> String {
        super::discover::name(self.pid)
    }

    fn field(&self, process: i32, name: &str) -> Option<String> {
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(line.trim().to_owned())
    }

    fn tracer(&self) -> Option<i32> {
        self.field(self.pid, "TracerPid")?.parse().ok().filter(|tracer| *tracer != 0)
    }

    /// Its threads, and those of processes that share its memory; threads that have ended are left out.
    fn threads(&self, sharers: &[i32]) -> io::Result<Vec<i32>> {
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
        let follow = Options::PTRACE_O_TRACECLONE | Options::PTRACE_O_TRACEFORK | Options::PTRACE_O_TRACEVFORK;
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
    fn wait_for_all(&mut self, until: Instant) -> Option<i32> {
        loop {
            let running: Vec<i32> =
                self.traced.iter().filter(|(_, traced)| !traced.stopped).map(|(thread, _)| *thread).collect();
            let first = *running.first()?;
            for thread in &running {
                self.poll(*thread);
            }
            if Instant::now() > until && self.traced.get(&first).is_some_and(|traced| !traced.stopped) {
                return Some(first);
            }
            // Sleeping, not yielding: whoever is to stop may need this processor for it.
            std::thread::sleep(BETWEEN_LOOKS);
        }
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
    fn let_go(&mut self) {
        let stopped: Vec<(i32, Traced)> =
            self.traced.iter().filter(|(_, state)| state.stopped).map(|(thread, state)| (*thread, *state)).collect();
        for (thread, state) in stopped {
            // A signal that is delivered now has ended the call, and the program expects that.
            if state.signal.is_none() {
                self.repair_call(thread);
            }
            let _ = ptrace::detach(pid_of(thread), state.signal);
            self.traced.remove(&thread);
        }
        self.hurry = None;
    }

    /// Lets go of threads that have stopped meanwhile.
    fn release_late(&mut self) {
        let late: Vec<i32> = self.traced.keys().copied().collect();
        for thread in late {
            self.poll(thread);
        }
        self.let_go();
    }

    /// Makes a system call that the stop has ended begin again.
    fn repair_call(&self, thread: i32) {
        let id = pid_of(thread);
        let Ok(registers) = ptrace::getregs(id) else { return };
        let mut before = [0; 2];
        let eintr = u64::from_ne_bytes((-i64::from(libc::EINTR)).to_ne_bytes());
        if registers.rax != eintr || self.read_exact(registers.rip.wrapping_sub(2), &mut before).is_err() {
            return;
        }
        // A signal that is on its way has ended the call, and the program expects that.
        if let Some(again) = begun_again(&registers, before)
            && !self.has_signal(thread)
        {
            let _ = ptrace::setregs(id, again);
        }
    }

    fn has_signal(&self, thread: i32) -> bool {
        let Ok(status) = fs::read_to_string(format!("/proc/{thread}/status")) else { return false };
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|value| u64::from_str_radix(value.trim(), 16).ok()).unwrap_or(0)
        };
        (field("SigPnd") | field("ShdPnd")) & !field("SigBlk") != 0
    }

    /// Finds a `syscall` instruction in the process.
    fn gadget(&mut self) -> io::Result<u64> {
        let mappings = self.mappings()?;
        let mut code: Vec<&Mapping> = mappings.iter().filter(|mapping| mapping.protection.execute).collect();
        code.sort_by_key(|mapping| mapping.name != "[vdso]");
        for mapping in code.into_iter().filter(|mapping| mapping.name != "[vsyscall]") {
            let len = usize::try_from((mapping.end - mapping.start).min(4 << 20)).unwrap_or(0);
            let mut bytes = vec![0; len];
            let got = self.read(mapping.start, &mut bytes)?;
            if let Some(at) = bytes[..got].windows(2).position(|pair| pair == SYSCALL) {
                return Ok(mapping.start + at as u64);
            }
        }
        Err(io::Error::new(io::ErrorKind::NotFound, "no system call instruction in the process"))
    }

    /// Stops one thread, whichever stops at once.
    fn stop_one(&mut self) -> io::Result<i32> {
        let options = self.options();
        let mut last = io::Error::from_raw_os_error(libc::ESRCH);
        self.release_late();
        for thread in
            self.threads(&[])?.into_iter().filter(|thread| !self.traced.contains_key(thread)).collect::<Vec<_>>()
        {
            match self.seize(thread, options) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(StopFailure::Traced { by }) => {
                    let message = format!("process {by} traces it (a debugger, strace)");
                    return Err(io::Error::new(io::ErrorKind::ResourceBusy, message));
                }
                Err(StopFailure::Failed(error)) => return Err(error),
                Err(StopFailure::Late { thread }) => {
                    last = io::Error::new(io::ErrorKind::TimedOut, thread);
                    continue;
                }
            }
            let _ = ptrace::interrupt(pid_of(thread));
            if self.wait_for(thread, Instant::now() + ONE_THREAD) {
                return Ok(thread);
            }
            last = io::Error::new(io::ErrorKind::TimedOut, format!("thread {thread} does not stop"));
        }
        Err(last)
    }

    /// Lets one thread make a system call.
    fn system_call(&mut self, number: i64, arguments: [u64; 6]) -> io::Result<u64> {
        let gadget = self.gadget()?;
        let thread = self.stop_one()?;
        let result = self.system_call_in(thread, gadget, number, arguments);
        self.let_go();
        match result? {
            value if value > u64::MAX - 4096 => {
                let error = i32::try_from(u64::MAX - value + 1).unwrap_or(libc::EIO);
                Err(io::Error::from_raw_os_error(error))
            }
            value => Ok(value),
        }
    }

    fn system_call_in(&mut self, thread: i32, gadget: u64, number: i64, arguments: [u64; 6]) -> io::Result<u64> {
        let id = pid_of(thread);
        let before = ptrace::getregs(id).map_err(from_errno)?;
        let mask = kernel::signal_mask(id)?;
        // A signal now would run the program's handler with our registers.
        kernel::set_signal_mask(id, u64::MAX)?;
        let run = || -> io::Result<u64> {
            ptrace::setregs(id, for_call(&before, gadget, number, arguments)).map_err(from_errno)?;
            ptrace::step(id, None).map_err(from_errno)?;
            wait_for_trap(id)?;
            let after = ptrace::getregs(id).map_err(from_errno)?;
            if after.rip != gadget + 2 {
                return Err(io::Error::other("the system call did not run"));
            }
            Ok(after.rax)
        };
        let result = run();
        let restored = ptrace::setregs(id, before).map_err(from_errno);
        kernel::set_signal_mask(id, mask)?;
        restored?;
        result
    }
}

/// Waits until a thread that was told to run stops again.
fn wait_for_trap(id: Pid) -> io::Result<()> {
    let end = Instant::now() + ONE_CALL;
    loop {
        match waitpid(id, Some(WaitPidFlag::__WALL | WaitPidFlag::WNOHANG)).map_err(from_errno)? {
            WaitStatus::StillAlive if Instant::now() < end => std::thread::sleep(BETWEEN_LOOKS),
            WaitStatus::StillAlive => return Err(io::Error::new(io::ErrorKind::TimedOut, "a call in the process")),
            WaitStatus::Stopped(_, Signal::SIGTRAP) => return Ok(()),
            WaitStatus::Exited(..) | WaitStatus::Signaled(..) => {
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
            // A stop for another reason; the call is still to come.
            WaitStatus::PtraceEvent(..) => ptrace::step(id, None).map_err(from_errno)?,
            other => return Err(io::Error::other(format!("a call in the process ended with {other:?}"))),
        }
    }
}

impl Target for Process {
    fn mappings(&mut self) -> io::Result<Vec<Mapping>> {
        let text = fs::read(format!("/proc/{}/maps", self.pid))?;
        let text = String::from_utf8_lossy(&text);
        Ok(text.lines().filter_map(parse_mapping).collect())
    }

    fn read(&self, address: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut got = 0;
        while got < buffer.len() {
            let at = address.wrapping_add(got as u64);
            match self.memory.read_at(&mut buffer[got..], at) {
                Ok(0) => break,
                Ok(len) => got += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Nothing is mapped there.
                Err(_) if got > 0 => break,
                Err(error) if error.raw_os_error() == Some(libc::EIO) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(got)
    }

    fn write(&mut self, address: u64, bytes: &[u8]) -> io::Result<()> {
        self.memory.write_all_at(bytes, address)
    }

    fn map(&mut self, address: u64, len: u64, protection: Protection) -> io::Result<()> {
        let bit = |set: bool, bit: i32| if set { u64::from(bit.unsigned_abs()) } else { 0 };
        let protection = bit(protection.read, libc::PROT_READ)
            | bit(protection.write, libc::PROT_WRITE)
            | bit(protection.execute, libc::PROT_EXEC);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
        let arguments = [address, len, protection, u64::from(flags.unsigned_abs()), u64::MAX, 0];
        match self.system_call(libc::SYS_mmap, arguments)? {
            there if there == address => Ok(()),
            // A kernel that does not know MAP_FIXED_NOREPLACE took the address for a wish.
            elsewhere => {
                self.system_call(libc::SYS_munmap, [elsewhere, len, 0, 0, 0, 0])?;
                Err(io::Error::from_raw_os_error(libc::EEXIST))
            }
        }
    }

    fn unmap(&mut self, address: u64, len: u64) -> io::Result<()> {
        self.system_call(libc::SYS_munmap, [address, len, 0, 0, 0, 0]).map(|_| ())
    }

    fn call(&mut self, call: &Call) -> io::Result<()> {
        let options = self.options();
        let mut reason = "no thread waits in a system call that leaves it free to".to_owned();
        self.release_late();
        for thread in
            self.threads(&[])?.into_iter().filter(|thread| !self.traced.contains_key(thread)).collect::<Vec<_>>()
        {
            match self.seize(thread, options) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(failure) => return Err(io::Error::other(format!("{failure:?}"))),
            }
            let _ = ptrace::interrupt(pid_of(thread));
            if self.wait_for(thread, Instant::now() + ONE_THREAD) && self.is_free(thread, call) {
                let result = self.call_in(thread, call);
                self.let_go();
                match result {
                    Ok(()) => return Ok(()),
                    Err(error) => reason = error.to_string(),
                }
            }
            self.let_go();
        }
        Err(io::Error::new(io::ErrorKind::WouldBlock, reason))
    }

    fn stop(&mut self, pause: Duration) -> Result<(Vec<Thread>, Instant), StopFailure> {
        // What takes longest is done before anybody stops.
        let sharers = self.sharers();
        let options = self.options();
        let result = self.seize_all(&sharers, options).and_then(|()| {
            self.hurry = Some(Hurry::new());
            let since = Instant::now();
            Ok((self.interrupt_all(&sharers, options, since + pause)?, since))
        });
        if result.is_err() {
            self.resume();
        }
        result
    }

    fn resume(&mut self) {
        self.let_go();
    }

    fn rest(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while !self.traced.is_empty() && Instant::now() < end {
            self.release_late();
            std::thread::sleep(Duration::from_micros(200));
        }
        std::thread::sleep(end.saturating_duration_since(Instant::now()));
    }

    fn touched(&self, start: u64, end: u64) -> Vec<(u64, u64)> {
        super::pages::touched(self.pid, start, end)
    }

    fn thread_name(&self, thread: i32) -> String {
        super::discover::name(thread)
    }

    fn file(&self, mapping: &Mapping) -> io::Result<Vec<u8>> {
        fs::read(format!("/proc/{}/map_files/{:x}-{:x}", self.pid, mapping.start, mapping.end))
    }
}

impl Process {
    /// Whether a stopped thread waits in a system call in which it holds nothing that a function might need: neither
    /// inside the allocator, which maps memory and waits for its locks, nor in code that it must not be in.
    fn is_free(&self, thread: i32, call: &Call) -> bool {
        let Ok(registers) = ptrace::getregs(pid_of(thread)) else { return false };
        let number = i64::from_ne_bytes(registers.orig_rax.to_ne_bytes());
        if !HARMLESS.contains(&number) {
            return false;
        }
        let mut stack = vec![0; 32 << 10];
        let got = self.read(registers.rsp, &mut stack).unwrap_or(0);
        let mut words = stack[..got].chunks_exact(8).map(|word| crate::module::word::<8>(word, 0));
        !words.any(|word| call.not_in.iter().any(|(start, end)| (*start..*end).contains(&word)))
    }

    fn call_in(&mut self, thread: i32, call: &Call) -> io::Result<()> {
        let id = pid_of(thread);
        let before = ptrace::getregs(id).map_err(from_errno)?;
        let mut extended = kernel::extended_state(id)?;
        let mask = kernel::signal_mask(id)?;
        kernel::set_signal_mask(id, u64::MAX)?;
        // As after a call: the stack is aligned to 16 but for the return address.
        let top = (call.stack & !15) - 8;
        let run = || -> io::Result<()> {
            self.memory.write_all_at(&call.trap.to_le_bytes(), top)?;
            let [first, second] = call.arguments;
            let mut calling = for_call(&before, call.function, 0, [first, second, 0, 0, 0, 0]);
            calling.rsp = top;
            ptrace::setregs(id, calling).map_err(from_errno)?;
            ptrace::cont(id, None).map_err(from_errno)?;
            wait_for_trap(id)?;
            let after = ptrace::getregs(id).map_err(from_errno)?;
            if after.rip != call.trap + 1 {
                return Err(io::Error::other(format!("a call in the process ended at {:#x}", after.rip)));
            }
            Ok(())
        };
        let result = run();
        let restored = ptrace::setregs(id, before).map_err(from_errno);
        let extended = kernel::set_extended_state(id, &mut extended);
        kernel::set_signal_mask(id, mask)?;
        restored?;
        extended?;
        result
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
        for thread in self.traced.keys() {
            let registers = ptrace::getregs(pid_of(*thread)).map_err(|error| StopFailure::Failed(from_errno(error)))?;
            threads.push(Thread { id: *thread, ip: registers.rip, sp: registers.rsp, bp: registers.rbp });
        }
        Ok(threads)
    }

    /// Children that were forked meanwhile have memory of their own.
    fn let_forked_go(&mut self, sharers: &[i32]) {
        let own = self.threads(sharers).unwrap_or_default();
        let born: Vec<i32> = self.traced.iter().filter(|(_, traced)| traced.born).map(|(thread, _)| *thread).collect();
        for thread in born.into_iter().filter(|thread| !own.contains(thread)) {
            if !kernel::shares_memory(pid_of(self.pid), pid_of(thread)) {
                self.traced.remove(&thread);
                let _ = ptrace::detach(pid_of(thread), None);
            }
        }
    }
}

impl Drop for Process {
    /// A thread that waits in the kernel even now is let go by the kernel, when the thread that traces it ends.
    fn drop(&mut self) {
        self.let_go();
        self.rest(if self.traced.is_empty() { Duration::ZERO } else { ONE_THREAD });
    }
}

/// A line of `/proc/PID/maps`: `start-end perms offset device inode name`.
fn parse_mapping(line: &str) -> Option<Mapping> {
    let mut fields = line.splitn(6, ' ');
    let (start, end) = fields.next()?.split_once('-')?;
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    let permissions = fields.next()?.as_bytes();
    let offset = hex(fields.next()?)?;
    let (major, minor) = fields.next()?.split_once(':')?;
    let inode = fields.next()?.parse().ok()?;
    let has = |at: usize, letter: u8| permissions.get(at) == Some(&letter);
    Some(Mapping {
        start: hex(start)?,
        end: hex(end)?,
        protection: Protection { read: has(0, b'r'), write: has(1, b'w'), execute: has(2, b'x') },
        private: has(3, b'p'),
        offset,
        file: (hex(major)? << 32 | hex(minor)?, inode),
        name: fields.next().unwrap_or_default().trim_start().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel_are_read() {
        let line = "7f0a1c000000-7f0a1c021000 r-xp 00001000 fe:01 1234                      /usr/lib/a b.so (deleted)";
        assert_eq!(
            parse_mapping(line),
            Some(Mapping {
                start: 0x7f0a_1c00_0000,
                end: 0x7f0a_1c02_1000,
                protection: Protection::TEXT,
                private: true,
                offset: 0x1000,
                file: (0xfe_0000_0001, 1234),
                name: "/usr/lib/a b.so (deleted)".to_owned(),
            })
        );
        let anonymous = parse_mapping("55d0-55e0 rw-s 00000000 00:00 0 ").unwrap();
        assert_eq!((anonymous.file, anonymous.private, anonymous.name.as_str()), ((0, 0), false, ""));
        for bad in ["", "x", "1-2", "1-2 r-xp", "1-2 r-xp 0 0:0 x", "g-2 r-xp 0 0:0 0"] {
            assert_eq!(parse_mapping(bad), None, "{bad}");
        }
    }
}
