//! Stacks of no thread: a program that switches between stacks by itself (`swapcontext`, coroutines, `setjmp` with a stack
//! of its own) leaves functions half-way, to come back to them later.
//!
//! Nothing in the kernel tells of such a stack, so all memory that one could be in is searched for words that lead into a
//! changed function, plain ones and those that the C library mangles for `longjmp`. Stacks of threads are left out: what
//! is alive in them was unwound. A word that is found need not be a return address; whoever finds one waits, since
//! programs come back, and gives up in the end.
//!
//! The search reads all that the program has touched, which takes longer than a pause may. So it is done before the stop.
//! It is done again at the stop, in the time that the pause leaves, only for programs of which it is known that they
//! switch stacks: a module calls a function that does, or a thread was seen on a stack that is not its own. In any
//! other program a stack that is suspended between the search and the stop, some milliseconds, is not seen.

mod scan;
#[cfg(test)]
mod tests;

use std::time::Instant;

use object::read::{File, Object as _, ObjectSymbol as _};

use crate::import::Symbols;
use crate::module::Module;
use crate::stack::Zone;
use crate::target::{Mapping, Target};

use scan::{Stack, Word, guard, scan, stack_at_end_of};

/// Functions that programs which switch stacks call.
const SWITCHES: [&str; 10] = [
    "makecontext",
    "swapcontext",
    "setcontext",
    "make_fcontext",
    "jump_fcontext",
    "ontop_fcontext",
    "co_switch",
    "coro_transfer",
    "aco_resume",
    "pth_spawn",
];
/// In `ucontext_t`: registers begin at 40, the instruction pointer is the 17th of them, the pointer to the state of
/// numbers with fractions follows them, and leads to the end of the same structure.
const CONTEXT_IP: u64 = 40 + 8 * 16;
const CONTEXT_FRACTIONS: u64 = 40 + 8 * 23;
const CONTEXT_STATE: u64 = 424;

/// A word that leads into a changed function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resumption {
    /// Where it is.
    pub(crate) at: u64,
    /// Where it leads to.
    pub(crate) to: u64,
    pub(crate) zone: usize,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// The time was over after so many bytes.
    Late(u64),
    /// There are too many words to look at.
    Many,
}

/// What is known of the stacks of one process.
#[derive(Debug, Default)]
pub(crate) struct Suspended {
    /// Whether the program is one that switches stacks.
    switches: bool,
    guard: Option<u64>,
    /// Stacks of threads, as of the last search.
    stacks: Vec<Stack>,
    /// Bytes that the last search read.
    pub(crate) read_bytes: u64,
}

impl Suspended {
    pub(crate) fn new(target: &dyn Target, modules: &[Module]) -> Self {
        Self { switches: switches_stacks(target, modules), ..Self::default() }
    }

    /// Searches while the process runs.
    pub(crate) fn before_the_stop(
        &mut self,
        target: &dyn Target,
        mappings: &[Mapping],
        zones: &[Zone],
    ) -> Result<Option<Resumption>, Unknown> {
        self.guard = self.guard.or_else(|| guard(target, mappings));
        self.stacks = mappings.iter().filter_map(|mapping| stack_at_end_of(target, mapping)).collect();
        let own: Vec<(u64, u64)> = self.all_stacks(mappings).collect();
        self.search(target, mappings, zones, &own, None)
    }

    /// Searches again, if this is a program of which that must be known, while the process is stopped. `ends` are the places
    /// where unwinding the threads came to an end.
    pub(crate) fn at_the_stop(
        &mut self,
        target: &dyn Target,
        mappings: &[Mapping],
        zones: &[Zone],
        ends: &[u64],
        until: Instant,
    ) -> Result<Option<Resumption>, Unknown> {
        let has_end = |range: &(u64, u64)| ends.iter().any(|end| (range.0..range.1).contains(end));
        let all: Vec<(u64, u64)> = self.all_stacks(mappings).collect();
        let is_own = |end: &u64| all.iter().any(|(start, after)| (*start..*after).contains(end));
        // Also a thread that was made since the stacks were listed; then one search is one too many.
        self.switches |= !ends.iter().all(is_own);
        if !self.switches {
            return Ok(None);
        }
        let dead = self.stacks.iter().filter(|stack| stack.dead).map(|stack| stack.range);
        let own: Vec<(u64, u64)> = all.iter().copied().filter(has_end).chain(dead).collect();
        self.search(target, mappings, zones, &own, Some(until))
    }

    /// Whether an address is on the stack of a thread.
    pub(crate) fn is_own(&self, mappings: &[Mapping], address: u64) -> bool {
        self.all_stacks(mappings).any(|(start, end)| (start..end).contains(&address))
    }

    fn all_stacks<'a>(&'a self, mappings: &'a [Mapping]) -> impl Iterator<Item = (u64, u64)> + 'a {
        let first = mappings.iter().filter(|mapping| mapping.name == "[stack]");
        first.map(|mapping| (mapping.start, mapping.end)).chain(self.stacks.iter().map(|stack| stack.range))
    }

    /// Searches all writable private memory but for `own`: stacks that nobody comes back to but their threads.
    fn search(
        &mut self,
        target: &dyn Target,
        mappings: &[Mapping],
        zones: &[Zone],
        own: &[(u64, u64)],
        until: Option<Instant>,
    ) -> Result<Option<Resumption>, Unknown> {
        let found = scan(target, &without(mappings, own), zones, self.guard, until)?;
        self.read_bytes = found.read_bytes;
        // Stacks that the kernel has joined with a neighbour are found on the way.
        let mut own = own.to_vec();
        if until.is_none() {
            own.extend(found.stacks.iter().map(|stack| stack.range));
            self.stacks.extend(found.stacks.iter().cloned());
        } else {
            own.extend(found.stacks.iter().filter(|stack| stack.dead).map(|stack| stack.range));
        }
        let inside = |address: u64| own.iter().any(|(start, end)| (*start..*end).contains(&address));
        let counts = |word: &&Word| !inside(word.at) && !returns_to_own_stack(target, word, self.guard, inside);
        let first = found.words.iter().find(counts);
        Ok(first.map(|word| Resumption { at: word.at, to: word.to, zone: word.zone }))
    }
}

/// Whether a word belongs to a saved context whose stack pointer leads to the stack of a thread. It is alive there, and
/// was found by unwinding; or its function has returned, and nobody may come back to it.
fn returns_to_own_stack(target: &dyn Target, word: &Word, guard: Option<u64>, own: impl Fn(u64) -> bool) -> bool {
    let read = |address: u64| -> Option<u64> {
        let mut bytes = [0; 8];
        target.read_exact(address, &mut bytes).ok()?;
        Some(u64::from_le_bytes(bytes))
    };
    // Both forms keep the stack pointer before the instruction pointer.
    let Some(before) = word.at.checked_sub(8).and_then(read) else { return false };
    match guard {
        Some(guard) if word.mangled => own(scan::demangled(before, guard)),
        _ => {
            let context = word.at.checked_sub(CONTEXT_IP);
            let is_context = context.is_some_and(|context| {
                read(context.wrapping_add(CONTEXT_FRACTIONS)) == Some(context.wrapping_add(CONTEXT_STATE))
            });
            is_context && own(before)
        }
    }
}

/// Writable private memory but for some stretches.
fn without(mappings: &[Mapping], but: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let writable =
        mappings.iter().filter(|mapping| mapping.private && mapping.protection.read && mapping.protection.write);
    let mut but = but.to_vec();
    but.sort_unstable();
    let mut left = Vec::new();
    for mapping in writable {
        let mut at = mapping.start;
        for (start, end) in but.iter().filter(|(start, end)| *start < mapping.end && mapping.start < *end) {
            if at < *start {
                left.push((at, *start));
            }
            at = at.max(*end);
        }
        if at < mapping.end {
            left.push((at, mapping.end));
        }
    }
    left
}

/// Whether a module calls a function that switches stacks. One that is linked statically and has no symbols may.
fn switches_stacks(target: &dyn Target, modules: &[Module]) -> bool {
    if Symbols::new(target, modules).is_any_wanted(&SWITCHES) {
        return true;
    }
    let mut programs = modules.iter().filter(|module| module.name != "[vdso]");
    let (Some(program), None) = (programs.next(), programs.next()) else { return false };
    let Some(file) = program.first.as_ref().and_then(|mapping| target.file(mapping).ok()) else { return false };
    let Ok(file) = File::parse(file.as_slice()) else { return false };
    let mut names = file.symbols().filter_map(|symbol| symbol.name().ok()).peekable();
    names.peek().is_none() || names.any(|name| SWITCHES.contains(&name))
}
