//! What is below the end of a stack that was left: functions that have returned. It looks as alive as the rest.

use crate::target::Target;

use super::scan::{Saved, demangled};

/// In `ucontext_t`: where its stack begins and how long it is; the stack pointer; the instruction pointer.
const STACK_START: u64 = 16;
const STACK_LEN: u64 = 32;
const POINTER: u64 = 40 + 8 * 15;
const INSTRUCTION: u64 = 40 + 8 * 16;
/// No stack is longer.
const LONGEST: u64 = 1 << 32;

/// A stack that the program made, or that of a thread.
struct Stack {
    range: (u64, u64),
    /// The lowest saved stack pointer of it that belongs to a function which has been left half-way.
    end: Option<u64>,
}

/// Stacks that the C library's functions have left.
pub(super) struct Left(Vec<Stack>);

impl Left {
    /// `saved` are places of saved registers, `running` the stack pointers of threads that were unwound, `threads` their
    /// stacks.
    pub(super) fn new(
        target: &dyn Target,
        saved: &[Saved],
        guard: Option<u64>,
        running: &[u64],
        threads: Vec<(u64, u64)>,
    ) -> Self {
        let read = |address: u64| -> Option<u64> {
            let mut bytes = [0; 8];
            target.read_exact(address, &mut bytes).ok()?;
            Some(u64::from_le_bytes(bytes))
        };
        let contexts: Vec<u64> =
            saved.iter().filter_map(|saved| if let Saved::Context(at) = saved { Some(*at) } else { None }).collect();
        let made = contexts.iter().filter_map(|at| {
            let (start, len) = (read(at + STACK_START)?, read(at + STACK_LEN)?);
            let end = start.checked_add(len).filter(|_| start != 0 && (1..LONGEST).contains(&len))?;
            (start..=end).contains(&read(at + POINTER)?).then_some((start, end))
        });
        let mut ranges: Vec<(u64, u64)> = made.collect();
        let own = ranges.len();
        ranges.extend(threads);
        let mut stacks: Vec<Stack> = ranges.into_iter().map(|range| Stack { range, end: None }).collect();
        for at in &contexts {
            let (Some(pointer), Some(instruction)) = (read(at + POINTER), read(at + INSTRUCTION)) else { continue };
            // One that was made and never entered says nothing of where its stack was left.
            if follows_a_call(target, instruction) {
                stacks.iter_mut().for_each(|stack| stack.left_at(pointer));
            }
        }
        // Threads have jump buffers for other ends.
        for at in saved.iter().filter_map(|saved| if let Saved::Jump(at) = saved { Some(*at) } else { None }) {
            let Some(pointer) = guard.and_then(|guard| Some(demangled(read(at)?, guard))) else { continue };
            stacks[..own].iter_mut().for_each(|stack| stack.left_at(pointer));
        }
        // All of a stack that a thread is on was unwound, or is dead.
        for stack in &mut stacks[..own] {
            if running.iter().any(|sp| (stack.range.0..stack.range.1).contains(sp)) {
                stack.end = Some(stack.range.1);
            }
        }
        Self(stacks)
    }

    /// Whether nothing comes back to a word at this address.
    pub(super) fn is_dead(&self, address: u64) -> bool {
        let dead = |stack: &Stack| stack.end.is_some_and(|end| (stack.range.0..end).contains(&address));
        self.0.iter().any(dead)
    }
}

impl Stack {
    fn left_at(&mut self, pointer: u64) {
        if (self.range.0..=self.range.1).contains(&pointer) {
            self.end = Some(self.end.map_or(pointer, |end| end.min(pointer)));
        }
    }
}

/// Whether the instruction before an address is a call.
fn follows_a_call(target: &dyn Target, address: u64) -> bool {
    let mut before = [0; 7];
    let Some(start) = address.checked_sub(7) else { return false };
    if target.read_exact(start, &mut before).is_err() {
        return false;
    }
    // `call rel32`; or `call` of a register or memory: opcode ff, and 2 in the middle of the byte that follows.
    let through = |len: usize, modes: &[u8]| {
        let instruction = &before[7 - len..];
        instruction[0] == 0xff && instruction[1] >> 3 & 7 == 2 && modes.contains(&(instruction[1] >> 6))
    };
    before[2] == 0xe8
        || through(2, &[0, 3])
        || through(3, &[0, 1])
        || through(4, &[1])
        || through(6, &[0, 2])
        || through(7, &[2])
}
