//! The way back: what a thread that runs with registers of ours goes back to by itself.
//!
//! A thread makes a system call for us at an instruction that a return follows. Where the return goes stands, in the
//! thread's memory, what the kernel leaves for the end of a signal handler: the address of the code that ends one
//! (`rt_sigreturn`), and all that the thread had, registers, extended state and held signals. While we live, the thread
//! never gets that far: it is stopped after the call, and its registers are given back. If we are killed, it makes the
//! call, returns, and has everything back by its own doing.
//!
//! What the kernel does not know of afterwards is that a system call was interrupted. So the frame says what the kernel
//! would have done: the thread stands before the instruction again. A sleep that was interrupted before then sleeps its
//! whole time again, or ends with EINTR; threads that do not sleep are preferred.

use libc::user_regs_struct as Registers;

/// `ucontext`: flags, link, stack of signal handlers, registers, held signals.
const CONTEXT_LEN: usize = 304;
const REGISTERS_AT: usize = 40;
const EXTENDED_POINTER_AT: usize = REGISTERS_AT + 184;
const MASK_AT: usize = 296;
/// `UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS`.
const FLAGS: u64 = 7;
/// No stack of signal handlers has this mode. The kernel refuses it, leaves the thread's own as it is, which
/// nobody but the thread can ask for, and goes on.
const NO_SUCH_MODE: u32 = 4;

/// Extended state: the part of old, its free bytes that the kernel uses, and the header.
const LEGACY_LEN: usize = 512;
const SOFTWARE_AT: usize = 464;
const HEADER_LEN: usize = 64;
const MAGIC_BEFORE: u32 = 0x4650_5853;
const MAGIC_AFTER: u32 = 0x4650_5845;
/// x87 and SSE, which are always there.
const ALWAYS: u64 = 3;

/// A frame and its place: the stack pointer of a thread whose next return goes the way back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) at: u64,
    pub(super) bytes: Vec<u8>,
}

/// What a thread has.
pub(super) struct State<'a> {
    /// Its registers, as it would go on with them.
    pub(super) registers: &'a Registers,
    /// The signals that it holds back.
    pub(super) mask: u64,
    /// Its extended state as the kernel tells it.
    pub(super) extended: &'a [u8],
}

/// Builds the frame that ends at or below `top`. `restorer` is code that makes the call `rt_sigreturn`; `end_of` says
/// where a component of the extended state ends.
///
/// `None` if the extended state is not as this knows it.
pub(super) fn frame(top: u64, restorer: u64, state: &State<'_>, end_of: impl Fn(u32) -> usize) -> Option<Frame> {
    let extended = extended(state.extended, end_of)?;
    let extended_at = top.checked_sub(extended.len() as u64)? / 64 * 64;
    let context_at = extended_at.checked_sub(CONTEXT_LEN as u64)? / 16 * 16;
    let at = context_at.checked_sub(8)?;
    let mut bytes = restorer.to_le_bytes().to_vec();
    bytes.extend(context(state, extended_at));
    bytes.resize(usize::try_from(extended_at - at).ok()?, 0);
    bytes.extend(extended);
    Some(Frame { at, bytes })
}

/// The registers in the order of `sigcontext`.
fn context(state: &State<'_>, extended_at: u64) -> Vec<u8> {
    let r = state.registers;
    let order = [
        r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15, r.rdi, r.rsi, r.rbp, r.rbx, r.rdx, r.rax, r.rcx, r.rsp,
        r.rip, r.eflags,
    ];
    let mut out = vec![0; CONTEXT_LEN];
    let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &FLAGS.to_le_bytes());
    put(24, &NO_SUCH_MODE.to_le_bytes());
    for (index, value) in order.iter().enumerate() {
        put(REGISTERS_AT + 8 * index, &value.to_le_bytes());
    }
    // Code segment, two that do not count, stack segment: two bytes each.
    put(REGISTERS_AT + 144, &r.cs.to_le_bytes()[..2]);
    put(REGISTERS_AT + 150, &r.ss.to_le_bytes()[..2]);
    put(EXTENDED_POINTER_AT, &extended_at.to_le_bytes());
    put(MASK_AT, &state.mask.to_le_bytes());
    out
}

/// The extended state as a signal handler finds it: cut after the last component that is not at its beginning, and with
/// the kernel's two marks. Components that are left out are at their beginning after the return.
fn extended(told: &[u8], end_of: impl Fn(u32) -> usize) -> Option<Vec<u8>> {
    let has = u64::from_le_bytes(*told.get(LEGACY_LEN..)?.first_chunk()?) | ALWAYS;
    let components = (2..u64::BITS).filter(|bit| has >> bit & 1 == 1);
    let len = components.map(end_of).fold(LEGACY_LEN + HEADER_LEN, usize::max);
    let mut out = told.get(..len)?.to_vec();
    let whole = u32::try_from(len).ok()?;
    let mut software = Vec::new();
    software.extend(MAGIC_BEFORE.to_le_bytes());
    software.extend((whole + 4).to_le_bytes());
    software.extend(has.to_le_bytes());
    software.extend(whole.to_le_bytes());
    software.resize(LEGACY_LEN - SOFTWARE_AT, 0);
    out[SOFTWARE_AT..LEGACY_LEN].copy_from_slice(&software);
    out.extend(MAGIC_AFTER.to_le_bytes());
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::registers::tests::registers;

    fn told(has: u64, len: usize) -> Vec<u8> {
        let mut told = vec![0xab; len];
        told[LEGACY_LEN..LEGACY_LEN + 8].copy_from_slice(&has.to_le_bytes());
        told
    }

    fn ends(bit: u32) -> usize {
        // As processors have it: AVX at 576, the rest further on.
        576 + 256 * (bit as usize - 1)
    }

    #[test]
    fn frames_lie_below_their_top_and_aligned_as_the_kernel_wants_them() {
        let registers = registers(-1, 7);
        for top in [0x7fff_0000_0000_u64, 0x7fff_0000_0fff, 0x7fff_0000_0011] {
            for has in [0, 3, 7, 1 << 9 | 7] {
                let extended = told(has, 4096);
                let state = State { registers: &registers, mask: 5, extended: &extended };
                let frame = frame(top, 0x1234, &state, ends).unwrap();
                let word = |at: usize| crate::module::word::<8>(&frame.bytes, at);
                // As after a call, and what follows it as before one.
                assert_eq!(frame.at % 16, 8);
                assert!(frame.at + frame.bytes.len() as u64 <= top);
                assert_eq!(word(0), 0x1234);
                let extended_at = word(8 + EXTENDED_POINTER_AT);
                assert_eq!(extended_at % 64, 0);
                let at = usize::try_from(extended_at - frame.at).unwrap();
                assert_eq!(word(at + LEGACY_LEN), has);
                let whole = usize::try_from(crate::module::word::<4>(&frame.bytes, at + SOFTWARE_AT + 16)).unwrap();
                assert_eq!(frame.bytes.len(), at + whole + 4);
                assert_eq!(word(8 + MASK_AT), 5);
                assert_eq!(word(8 + REGISTERS_AT + 13 * 8), registers.rax);
                assert_eq!(word(8 + REGISTERS_AT + 16 * 8), registers.rip);
            }
        }
    }

    #[test]
    fn components_at_their_beginning_take_no_room() {
        for (has, len) in [(0, 576), (3, 576), (7, 832), (1 << 9, 2624)] {
            let made = extended(&told(has, 8192), ends).unwrap();
            assert_eq!(made.len(), len + 4, "{has:#x}");
            assert_eq!(made[..SOFTWARE_AT], told(has, 8192)[..SOFTWARE_AT]);
        }
    }

    #[test]
    fn state_that_is_cut_off_makes_no_frame() {
        for len in [519, 575, 831] {
            let told = told(7, 4096);
            assert_eq!(extended(&told[..len], ends), None, "{len}");
        }
        let registers = registers(-1, 7);
        let extended = told(3, 600);
        let state = State { registers: &registers, mask: 0, extended: &extended };
        assert_eq!(frame(500, 0, &state, ends), None);
    }
}
