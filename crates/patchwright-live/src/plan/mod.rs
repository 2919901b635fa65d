//! Apply, revert, repair.
//!
//! Everything that can be done while the process runs is done first: its modules are found, its code compared, new
//! memory mapped and filled. What is left for the stop is to look at each thread and to write a few bytes a function.

mod apply;
mod attempt;
mod body;
mod moved;
mod revert;
mod switch;
#[cfg(test)]
mod tests;
mod unwind;

use std::time::Duration;

use patchwright_formats::PatchId;

pub use apply::apply;
pub(crate) use apply::zones_of;
pub(crate) use attempt::pinned;
pub use revert::revert;

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest pause of the process.
    pub pause: Duration,
    /// Longest time until it is given up.
    pub deadline: Duration,
    /// Whether stacks of no thread (coroutines) may go on in old code; then nobody looks for them.
    pub accept_suspended: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { pause: Duration::from_millis(20), deadline: Duration::from_secs(10), accept_suspended: false }
    }
}

/// What became of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is patched now.
    Applied,
    /// It was patched already.
    AlreadyApplied,
    /// It runs the new build.
    AlreadyNew,
    /// It runs its old code again.
    Reverted,
    /// It has no such patch.
    NotApplied,
}

/// What was done to a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// What became of it.
    pub outcome: Outcome,
    /// Functions redirected or given back.
    pub functions: usize,
    /// How long it stood still, at the last attempt.
    pub pause: Duration,
    /// How often it was stopped.
    pub attempts: usize,
    /// Memory added to it.
    pub memory_bytes: u64,
    /// A patch that this one took the place of.
    pub replaced: Option<PatchId>,
    /// Whether the work of a call that had died was taken back first.
    pub repaired: bool,
    /// Threads at the stop.
    pub threads: usize,
}

impl Applied {
    pub(crate) fn nothing(outcome: Outcome) -> Self {
        Self {
            outcome,
            functions: 0,
            pause: Duration::ZERO,
            attempts: 0,
            memory_bytes: 0,
            replaced: None,
            repaired: false,
            threads: 0,
        }
    }
}

/// A thread that was in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// Its number and name.
    pub thread: String,
    /// The function that it is in.
    pub function: String,
    /// How far into it.
    pub offset: u64,
    /// The same as an address.
    pub address: u64,
    /// Whether it waits there for a function that it called.
    pub call: bool,
    /// `file:line`, if the program has line tables.
    pub source: Option<String>,
}

impl std::fmt::Display for Pinned {
    /// `thread 7 (worker) is in serve at +0x12 in a call (server.c:40)`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { thread, function, offset, .. } = self;
        write!(f, "{thread} is in {function} at +{offset:#x}{}", if self.call { " in a call" } else { "" })?;
        self.source.as_ref().map_or(Ok(()), |source| write!(f, " ({source})"))
    }
}
