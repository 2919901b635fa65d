//! Calls that a thread of the process makes for us.
//!
//! A thread that stands still gets registers of ours, runs, and gets its own back. Until then it must not be left alone:
//! so every one of these calls has a way back (see [`frame`](super::frame)), and we may be killed at any moment.
//! Stops are at the entry and the exit of system calls. A step, or a breakpoint, would stop it with a signal, which
//! ends the process if nobody is there any more to take it.
//!
//! In the order of what is done, and what becomes of the thread if we die after it:
//!
//! | done | the thread |
//! |---|---|
//! | the frame is written below its stack | goes on, knows nothing of it |
//! | registers are set, signals held | makes the call, returns into the frame, has everything back |
//! | stopped at the entry, at the exit of the call | the same |
//! | stopped as by `PTRACE_INTERRUPT`, signals and extended state given back | returns into the frame |
//! | registers given back | goes on; the kernel begins its own system call again |
//!
//! The last stop is where the kernel looks at interrupted system calls; after the exit of one of ours it would not.
//!
//! Frames lie below the stack pointer and the 128 bytes that belong to a function there, but only on stacks that the
//! process's own libraries made, and where there is room: what lies below other stacks (of coroutines) may be
//! somebody's. If no thread has one, a call is made without a frame.

use std::io;
use std::os::unix::fs::FileExt;
use std::time::Instant;

use libc::user_regs_struct as Registers;
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::target::{Call, Mapping, Target as _};

use super::frame::{Frame, State, frame};
use super::gadgets::Gadgets;
use super::kernel;
use super::process::Process;
use super::registers::{RESTART_BLOCK, for_call, on_its_own};
use super::threads::{BETWEEN_LOOKS, ONE_CALL, from_errno, pid_of};

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

/// What a function may use below its stack pointer.
const RED_ZONE: u64 = 128;
/// Room that a frame needs at most: registers, and the extended state of processors to come.
const ROOM: u64 = 16 << 10;
/// Threads that are looked at for one from which there is a way back; stopping each takes a while.
const CANDIDATES: usize = 16;

/// How well a thread does for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fitness {
    /// It stands.
    Any,
    /// There is a way back; a sleep may begin anew.
    WithWayBack,
    /// There is a way back to exactly where it is.
    Exact,
}

impl Process {
    /// Lets one thread make a system call.
    pub(super) fn system_call(&mut self, number: i64, arguments: [u64; 6]) -> io::Result<u64> {
        let gadgets = self.gadgets()?;
        let mappings = self.mappings()?;
        let mut thread = None;
        let wishes: &[Fitness] = if gadgets.restorer.is_some() { &[Fitness::Exact, Fitness::WithWayBack] } else { &[] };
        for wish in wishes {
            if thread.is_none() {
                thread = self.stop_one(CANDIDATES, |process, thread| process.fitness(thread, &mappings) >= *wish)?;
            }
        }
        let thread = match thread {
            Some(thread) => thread,
            None => self.stop_any()?,
        };
        let result = self.system_call_in(thread, gadgets, &mappings, number, arguments);
        self.obliging = Some(thread);
        self.let_go();
        match result? {
            value if value > u64::MAX - 4096 => {
                let error = i32::try_from(u64::MAX - value + 1).unwrap_or(libc::EIO);
                Err(io::Error::from_raw_os_error(error))
            }
            value => Ok(value),
        }
    }

    fn fitness(&self, thread: i32, mappings: &[Mapping]) -> Fitness {
        let Ok(registers) = ptrace::getregs(pid_of(thread)) else { return Fitness::Any };
        if room(mappings, &registers).is_none() {
            Fitness::Any
        } else if i64::from_ne_bytes(registers.rax.to_ne_bytes()) == RESTART_BLOCK {
            Fitness::WithWayBack
        } else {
            Fitness::Exact
        }
    }

    /// The frame of a stopped thread, if there is a place for it below `top`.
    fn frame_of(&self, thread: i32, before: &Registers, mask: u64, restorer: u64, top: u64) -> Option<Frame> {
        let mut behind = [0; 2];
        let _ = self.read(before.rip.wrapping_sub(2), &mut behind);
        let registers = on_its_own(before, behind, self.has_signal(thread));
        let extended = kernel::extended_state(pid_of(thread)).ok()?;
        let state = State { registers: &registers, mask, extended: &extended };
        frame(top, restorer, &state, kernel::end_of_component)
    }

    fn system_call_in(
        &mut self,
        thread: i32,
        gadgets: Gadgets,
        mappings: &[Mapping],
        number: i64,
        arguments: [u64; 6],
    ) -> io::Result<u64> {
        let id = pid_of(thread);
        let before = ptrace::getregs(id).map_err(from_errno)?;
        let mask = kernel::signal_mask(id)?;
        let mut calling = for_call(&before, gadgets.call, number, arguments);
        if let (Some((restorer, _)), Some((lowest, top))) = (gadgets.restorer, room(mappings, &before))
            && let Some(frame) = self.frame_of(thread, &before, mask, restorer, top)
            && frame.at >= lowest
        {
            self.memory.write_all_at(&frame.bytes, frame.at)?;
            calling.rsp = frame.at;
        }
        let run = || -> io::Result<u64> {
            ptrace::setregs(id, calling).map_err(from_errno)?;
            // A signal now would run the program's handler, and we would see its system calls.
            kernel::set_signal_mask(id, u64::MAX)?;
            let entry = to_next_stop(id)?;
            if entry.rip != gadgets.call + 2 || entry.orig_rax != calling.rax {
                return Err(io::Error::other("the system call did not run"));
            }
            Ok(to_next_stop(id)?.rax)
        };
        let result = run();
        self.give_back(thread, &before, mask, None)?;
        result
    }

    /// Gives a thread back what it had, at a stop where the kernel looks at interrupted system calls.
    fn give_back(
        &mut self,
        thread: i32,
        before: &Registers,
        mask: u64,
        extended: Option<&mut Vec<u8>>,
    ) -> io::Result<()> {
        let id = pid_of(thread);
        let work = || -> io::Result<()> {
            ptrace::interrupt(id).map_err(from_errno)?;
            ptrace::cont(id, None).map_err(from_errno)?;
            match wait_for_stop(id)? {
                WaitStatus::PtraceEvent(..) => {}
                other => return Err(io::Error::other(format!("a thread of the process ended a call with {other:?}"))),
            }
            if let Some(extended) = extended {
                kernel::set_extended_state(id, extended)?;
            }
            kernel::set_signal_mask(id, mask)?;
            ptrace::setregs(id, *before).map_err(from_errno)
        };
        let done = work();
        if done.is_err()
            && let Some(traced) = self.traced.get_mut(&thread)
        {
            // It runs: when it stops, it is let go, and takes the way back.
            traced.stopped = false;
        }
        done
    }

    /// Lets a thread call a function that is ready for it.
    pub(super) fn call_function(&mut self, call: &Call) -> io::Result<()> {
        let gadgets = self.gadgets()?;
        let Some(restorer) = gadgets.restorer else {
            return Err(io::Error::new(io::ErrorKind::NotFound, "no code that ends signal handlers in the process"));
        };
        let Some(thread) = self.stop_one(usize::MAX, |process, thread| process.is_free(thread, call))? else {
            let message = "no thread waits in a system call that leaves it free to";
            return Err(io::Error::new(io::ErrorKind::WouldBlock, message));
        };
        let result = self.call_in(thread, call, restorer);
        self.let_go();
        result
    }

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

    /// The function returns into the frame, which lies at the end of the stack that the call has: there it makes the
    /// system call that ends signal handlers, and is stopped at its entry.
    fn call_in(&mut self, thread: i32, call: &Call, (restorer, end): (u64, u64)) -> io::Result<()> {
        let id = pid_of(thread);
        let before = ptrace::getregs(id).map_err(from_errno)?;
        let mut extended = kernel::extended_state(id)?;
        let mask = kernel::signal_mask(id)?;
        let Some(frame) = self.frame_of(thread, &before, mask, restorer, call.stack) else {
            return Err(io::Error::other("the extended state of a thread is not as it should be"));
        };
        self.memory.write_all_at(&frame.bytes, frame.at)?;
        let run = || -> io::Result<()> {
            let [first, second] = call.arguments;
            let mut calling = for_call(&before, call.function, 0, [first, second, 0, 0, 0, 0]);
            calling.rsp = frame.at;
            ptrace::setregs(id, calling).map_err(from_errno)?;
            kernel::set_signal_mask(id, u64::MAX)?;
            let until = Instant::now() + ONE_CALL;
            while Instant::now() < until {
                let mut now = to_next_stop(id)?;
                if now.rip == end && now.rsp == frame.at + 8 && now.orig_rax == SIGRETURN {
                    // Not this time: it stands before the call again, should nobody give it its registers.
                    now.rip = restorer;
                    now.orig_rax = u64::MAX;
                    return ptrace::setregs(id, now).map_err(from_errno);
                }
            }
            Err(io::Error::new(io::ErrorKind::TimedOut, "a call in the process"))
        };
        let result = run();
        self.give_back(thread, &before, mask, Some(&mut extended))?;
        result
    }
}

const SIGRETURN: u64 = libc::SYS_rt_sigreturn.unsigned_abs();

/// The free memory below a thread's stack pointer, if it is on a stack that the kernel or the thread library made: the
/// first stack of the process, or memory at whose end the thread library keeps what it knows of the thread.
fn room(mappings: &[Mapping], registers: &Registers) -> Option<(u64, u64)> {
    let mapping = mappings.iter().find(|mapping| (mapping.start..mapping.end).contains(&registers.rsp))?;
    let own = registers.rsp..mapping.end;
    let known = mapping.name == "[stack]" || own.contains(&registers.fs_base);
    let usable = mapping.private && mapping.protection.read && mapping.protection.write;
    let top = registers.rsp.checked_sub(RED_ZONE)?;
    (known && usable && top.checked_sub(mapping.start)? >= ROOM).then_some((mapping.start, top))
}

/// Lets a thread run to the next entry or exit of a system call, and returns its registers there.
fn to_next_stop(id: Pid) -> io::Result<Registers> {
    loop {
        ptrace::syscall(id, None).map_err(from_errno)?;
        match wait_for_stop(id)? {
            WaitStatus::PtraceSyscall(_) => return ptrace::getregs(id).map_err(from_errno),
            // A stop for another reason; the call is still to come.
            WaitStatus::PtraceEvent(..) => {}
            WaitStatus::Exited(..) | WaitStatus::Signaled(..) => {
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
            other => return Err(io::Error::other(format!("a call in the process ended with {other:?}"))),
        }
    }
}

/// Waits until a thread that was told to run stops again.
fn wait_for_stop(id: Pid) -> io::Result<WaitStatus> {
    let end = Instant::now() + ONE_CALL;
    loop {
        match waitpid(id, Some(WaitPidFlag::__WALL | WaitPidFlag::WNOHANG)).map_err(from_errno)? {
            WaitStatus::StillAlive if Instant::now() < end => std::thread::sleep(BETWEEN_LOOKS),
            WaitStatus::StillAlive => return Err(io::Error::new(io::ErrorKind::TimedOut, "a call in the process")),
            status => return Ok(status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::registers::tests::registers;
    use crate::target::Protection;

    fn mapping(start: u64, end: u64, name: &str, protection: Protection) -> Mapping {
        let name = name.to_owned();
        Mapping { start, end, protection, private: true, offset: 0, file: (0, 0), name }
    }

    #[test]
    fn frames_have_room_only_on_stacks_that_are_known() {
        let maps = [
            mapping(0x1000, 0x9000, "", Protection::DATA),
            mapping(0xa000, 0xb000, "[heap]", Protection::DATA),
            mapping(0xc000, 0xd000, "", Protection::CONSTANT),
            mapping(0x10000, 0x20000, "[stack]", Protection::DATA),
        ];
        for (sp, fs, expect) in [
            (0x18000, 0x8f00, Some((0x10000, 0x18000 - 128))),
            (0x8000, 0x8f00, Some((0x1000, 0x8000 - 128))),
            // Nearly full.
            (0x5000, 0x8f00, None),
            (0x5080, 0x8f00, Some((0x1000, 0x5000))),
            // A stack within the heap, or beside that of another thread: somebody's memory is below it.
            (0xa800, 0x8f00, None),
            (0x8000, 0x7000, None),
            (0x8000, 0x18000, None),
            (0xc800, 0xcf00, None),
            (0x500, 0x8f00, None),
        ] {
            let mut registers = registers(-1, 0);
            registers.rsp = sp;
            registers.fs_base = fs;
            assert_eq!(room(&maps, &registers), expect, "{sp:#x} {fs:#x}");
        }
    }
}
