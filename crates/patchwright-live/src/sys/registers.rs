//! Registers of a thread that was stopped in a system call.

use libc::user_regs_struct as Registers;

/// `syscall`.
pub(super) const SYSCALL: [u8; 2] = [0x0f, 0x05];

/// The result of a call that was interrupted.
pub(super) const EINTR: u64 = (-(libc::EINTR as i64)).cast_unsigned();

/// What makes a system call that the stop has ended with EINTR begin again, if these registers are of one.
///
/// Most calls that a stop interrupts are begun again by the kernel. Some (`epoll_wait`, `semop`, `sigtimedwait`, `recv`
/// with a time limit) return EINTR whatever the reason, and programs are not prepared for that without a signal. The
/// thread has not seen the result yet: it goes back to the instruction, with the number of the call. A time limit of the
/// call begins again with it: how much of it is over only the kernel knew, and the register that holds it is not ours to
/// change, since programs find it unchanged after a call.
pub(super) fn begun_again(registers: &Registers, before_ip: [u8; 2]) -> Option<Registers> {
    let call = i64::from_ne_bytes(registers.orig_rax.to_ne_bytes());
    let result = i64::from_ne_bytes(registers.rax.to_ne_bytes());
    if call < 0 || result != -i64::from(libc::EINTR) || before_ip != SYSCALL {
        return None;
    }
    let mut again = *registers;
    again.rax = registers.orig_rax;
    again.rip = registers.rip.wrapping_sub(2);
    again.orig_rax = u64::MAX;
    Some(again)
}

/// The registers of a call that was to [begin again](begun_again), and ends for a signal.
pub(super) fn ended(again: &Registers) -> Registers {
    let mut ended = *again;
    ended.orig_rax = again.rax;
    ended.rax = EINTR;
    ended.rip = again.rip.wrapping_add(2);
    ended
}

/// Results that the kernel keeps to itself: the system call begins again.
const BEGINS_AGAIN: [i64; 3] = [-512, -513, -514];
/// The same, of a call that knows how long it has slept already.
pub(super) const RESTART_BLOCK: i64 = -516;

/// The registers with which a stopped thread goes on without the kernel's help: a system call that was interrupted begins
/// again as if it had not begun. `signal` says that one is on its way to the thread.
pub(super) fn on_its_own(registers: &Registers, before_ip: [u8; 2], signal: bool) -> Registers {
    let call = i64::from_ne_bytes(registers.orig_rax.to_ne_bytes());
    let result = i64::from_ne_bytes(registers.rax.to_ne_bytes());
    let mut own = *registers;
    if call >= 0 && (BEGINS_AGAIN.contains(&result) || result == RESTART_BLOCK) {
        own.rax = registers.orig_rax;
        own.rip = registers.rip.wrapping_sub(2);
    } else if !signal && let Some(again) = begun_again(registers, before_ip) {
        own = again;
    }
    own.orig_rax = u64::MAX;
    own
}

/// The registers that run a system call at `at`.
pub(super) fn for_call(registers: &Registers, at: u64, number: i64, arguments: [u64; 6]) -> Registers {
    let mut calling = *registers;
    calling.rip = at;
    calling.rax = u64::from_ne_bytes(number.to_ne_bytes());
    [calling.rdi, calling.rsi, calling.rdx, calling.r10, calling.r8, calling.r9] = arguments;
    // So that the kernel does not take this for a call of the program that is to begin again.
    calling.orig_rax = u64::MAX;
    calling
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::sys) fn registers(call: i64, result: i64) -> Registers {
        Registers {
            r15: 0,
            r14: 0,
            r13: 0,
            r12: 0,
            rbp: 0,
            rbx: 0,
            r11: 0,
            r10: 0,
            r9: 0,
            r8: 0,
            rax: result.cast_unsigned(),
            rcx: 0,
            rdx: 0,
            rsi: 0,
            rdi: 0,
            orig_rax: call.cast_unsigned(),
            rip: 0x1002,
            cs: 0,
            eflags: 0,
            rsp: 0,
            ss: 0,
            fs_base: 0,
            gs_base: 0,
            ds: 0,
            es: 0,
            fs: 0,
            gs: 0,
        }
    }

    #[test]
    fn only_calls_that_ended_with_eintr_begin_again() {
        let interrupted = EINTR.cast_signed();
        for (call, result, before, expect) in [
            (232, interrupted, SYSCALL, true),
            (232, 3, SYSCALL, false),
            // The kernel begins these again itself.
            (0, -512, SYSCALL, false),
            (35, -516, SYSCALL, false),
            // Not in a call.
            (-1, interrupted, SYSCALL, false),
            (232, interrupted, [0, 0], false),
        ] {
            let again = begun_again(&registers(call, result), before);
            assert_eq!(again.is_some(), expect, "{call} {result}");
            if let Some(again) = again {
                assert_eq!((again.rip, again.rax, again.orig_rax), (0x1000, call.cast_unsigned(), u64::MAX));
                let ended = ended(&again);
                assert_eq!((ended.rip, ended.rax, ended.orig_rax), (0x1002, EINTR, call.cast_unsigned()));
            }
        }
    }

    #[test]
    fn interrupted_calls_begin_again_without_the_kernel() {
        let interrupted = EINTR.cast_signed();
        for (call, result, signal, expect) in [
            (0, -512, false, (0x1000, 0)),
            (0, -513, true, (0x1000, 0)),
            (34, -514, false, (0x1000, 34)),
            (230, -516, false, (0x1000, 230)),
            // What the kernel tells of a sleep that goes on: without its memory of it, that ends.
            (219, -516, false, (0x1000, 219)),
            (232, interrupted, false, (0x1000, 232)),
            (232, interrupted, true, (0x1002, interrupted)),
            (1, 7, false, (0x1002, 7)),
            (-1, -512, false, (0x1002, -512)),
        ] {
            let own = on_its_own(&registers(call, result), SYSCALL, signal);
            assert_eq!(
                (own.rip, own.rax.cast_signed(), own.orig_rax),
                (expect.0, expect.1, u64::MAX),
                "{call} {result}"
            );
        }
    }
}
