//! Calls to the kernel that `nix` has no safe face for.
#![allow(unsafe_code)]

use std::io;

use nix::unistd::Pid;

/// Which signals a thread holds back, as the kernel writes it.
pub(super) fn signal_mask(thread: Pid) -> io::Result<u64> {
    let mut mask = 0_u64;
    // SAFETY: PTRACE_GETSIGMASK writes `addr` bytes to `data`: eight, to a value of eight bytes that lives here.
    let done = unsafe {
        libc::ptrace(libc::PTRACE_GETSIGMASK, thread.as_raw(), size_of::<u64>(), std::ptr::from_mut(&mut mask))
    };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(mask) }
}

/// Sets which signals a stopped thread holds back.
pub(super) fn set_signal_mask(thread: Pid, mask: u64) -> io::Result<()> {
    // SAFETY: PTRACE_SETSIGMASK reads `addr` bytes from `data`: eight, from a value of eight bytes that lives here.
    let done =
        unsafe { libc::ptrace(libc::PTRACE_SETSIGMASK, thread.as_raw(), size_of::<u64>(), std::ptr::from_ref(&mask)) };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The extended state of a stopped thread (x87, SSE, AVX and on), as the kernel writes it.
pub(super) fn extended_state(thread: Pid) -> io::Result<Vec<u8>> {
    let mut state = vec![0_u8; 64 << 10];
    let mut area = libc::iovec { iov_base: state.as_mut_ptr().cast(), iov_len: state.len() };
    // SAFETY: PTRACE_GETREGSET writes at most `iov_len` bytes to `iov_base`, which is a buffer of that length that lives
    // here, and the length written to `area`, which does too.
    let done =
        unsafe { libc::ptrace(libc::PTRACE_GETREGSET, thread.as_raw(), NT_X86_XSTATE, std::ptr::from_mut(&mut area)) };
    if done == -1 {
        return Err(io::Error::last_os_error());
    }
    state.truncate(area.iov_len);
    Ok(state)
}

/// Gives a stopped thread its extended state back.
pub(super) fn set_extended_state(thread: Pid, state: &mut [u8]) -> io::Result<()> {
    let mut area = libc::iovec { iov_base: state.as_mut_ptr().cast(), iov_len: state.len() };
    // SAFETY: PTRACE_SETREGSET reads `iov_len` bytes from `iov_base`, a buffer of that length that the caller lent.
    let done =
        unsafe { libc::ptrace(libc::PTRACE_SETREGSET, thread.as_raw(), NT_X86_XSTATE, std::ptr::from_mut(&mut area)) };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Where a component of the extended state ends, as this processor lays it out.
pub(super) fn end_of_component(bit: u32) -> usize {
    let told = std::arch::x86_64::__cpuid_count(0xd, bit);
    usize::try_from(u64::from(told.eax) + u64::from(told.ebx)).unwrap_or(usize::MAX)
}

/// The note type of the extended state.
const NT_X86_XSTATE: libc::c_int = 0x202;

/// Whether two processes share their memory; no, if the kernel does not say.
pub(super) fn shares_memory(one: Pid, other: Pid) -> bool {
    const KCMP_VM: libc::c_int = 1;
    // SAFETY: kcmp takes numbers only.
    let answer = unsafe { libc::syscall(libc::SYS_kcmp, one.as_raw(), other.as_raw(), KCMP_VM, 0, 0) };
    answer == 0
}

/// Runs the calling thread before all others until the value is dropped, if that is allowed.
#[derive(Debug)]
pub(super) struct Hurry(bool);

impl Hurry {
    pub(super) fn new() -> Self {
        let urgent = libc::sched_param { sched_priority: 50 };
        // SAFETY: reads one structure that lives here; 0 is the calling thread.
        let done = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const urgent) };
        Self(done == 0)
    }
}

impl Drop for Hurry {
    fn drop(&mut self) {
        if self.0 {
            let usual = libc::sched_param { sched_priority: 0 };
            // SAFETY: as above.
            unsafe { libc::sched_setscheduler(0, libc::SCHED_OTHER, &raw const usual) };
        }
    }
}
