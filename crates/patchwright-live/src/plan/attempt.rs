//! The stop: look at each thread, write, run on; again until it works or time is up.

use std::time::{Duration, Instant};

use crate::error::{LiveError, LiveErrorKind};
use crate::module::{Module, modules_in};
use crate::source;
use crate::stack::{Hit, Stacks, Zone, search};
use crate::suspended::{Resumption, Suspended, Unknown};
use crate::target::{Mapping, StopFailure, Target, Thread};

use super::{Limits, Pinned};

/// How long the stop took, how often it was tried, and how many threads there were.
pub(super) struct Stopped {
    pub(super) pause: Duration,
    pub(super) attempts: usize,
    pub(super) threads: usize,
}

/// Why an attempt did not work.
enum Obstacle {
    Late(String),
    Pinned(Vec<Pinned>),
    Uncertain(String),
    /// A stack of no thread may be in a changed function: where the word is, and where it leads to.
    Suspended(String),
}

const FIRST_WAIT: Duration = Duration::from_millis(1);
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// Waits between attempts, each longer than the one before, until a deadline.
pub(super) struct Patience {
    begin: Instant,
    wait: Duration,
    deadline: Duration,
}

impl Patience {
    pub(super) fn until(deadline: Duration) -> Self {
        Self { begin: Instant::now(), wait: FIRST_WAIT, deadline }
    }

    /// Lets the process run for a while; `false`, at once, if the deadline does not leave that long.
    pub(super) fn rest(&mut self, target: &mut dyn Target) -> bool {
        if self.begin.elapsed() + self.wait >= self.deadline {
            return false;
        }
        target.rest(self.wait);
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
        true
    }
}

/// Runs `write` at a moment when no thread is in one of `zones`.
pub(super) fn at_a_quiet_moment(
    target: &mut dyn Target,
    limits: &Limits,
    zones: &[Zone],
    mut write: impl FnMut(&mut dyn Target) -> Result<(), LiveError>,
) -> Result<Stopped, LiveError> {
    let mut patience = Patience::until(limits.deadline);
    let mut mappings = list(target)?;
    let mut modules = modules_in(target, &mappings);
    let mut stacks = Stacks::new(target, &modules);
    let mut suspended = (!limits.accept_suspended).then(|| Suspended::new(target, &modules));
    let mut attempts = 0;
    loop {
        attempts += 1;
        let found = match &mut suspended {
            Some(suspended) => suspended.before_the_stop(target, &mappings, zones),
            None => Ok(None),
        };
        let mut obstacle = if let Some(obstacle) = told(found, zones) {
            obstacle
        } else {
            match target.stop(limits.pause) {
                Err(StopFailure::Late { thread }) => Obstacle::Late(thread),
                Err(StopFailure::Traced { by }) => {
                    return Err(LiveError::new(
                        LiveErrorKind::Busy,
                        format!("process {by} traces it (a debugger, strace)"),
                    )
                    .hint("end the debugger, or let it detach"));
                }
                Err(StopFailure::Failed(error)) => return Err(LiveError::io("stop the process", &error)),
                Ok((threads, stop)) => {
                    match look(target, &threads, &mappings, zones, (&mut stacks, &mut suspended), stop + limits.pause) {
                        None => {
                            let written = write(target);
                            target.resume();
                            return written.map(|()| Stopped {
                                pause: stop.elapsed(),
                                attempts,
                                threads: threads.len(),
                            });
                        }
                        Some(obstacle) => {
                            target.resume();
                            obstacle
                        }
                    }
                }
            }
        };
        if !patience.rest(target) {
            // Only now, since line tables may be large.
            if let Obstacle::Pinned(pinned) = &mut obstacle {
                for pinned in pinned {
                    pinned.source = source::place(target, &modules, pinned.address);
                }
            }
            return Err(give_up(&obstacle, attempts, limits));
        }
        // New libraries and stacks are part of the picture.
        mappings = list(target)?;
        let now = modules_in(target, &mappings);
        if now.iter().map(key).ne(modules.iter().map(key)) {
            modules = now;
            stacks = Stacks::new(target, &modules);
            suspended = suspended.map(|_| Suspended::new(target, &modules));
        }
    }
}

/// What a search for suspended stacks has shown.
fn told(found: Result<Option<Resumption>, Unknown>, zones: &[Zone]) -> Option<Obstacle> {
    match found {
        Ok(None) => None,
        Ok(Some(Resumption { at, to, zone })) => {
            let zone = &zones[zone];
            let offset = to - zone.range.start;
            Some(Obstacle::Suspended(format!("the word at {at:#x} leads to {} at +{offset:#x}", zone.name)))
        }
        Err(Unknown::Late(bytes)) => {
            let megabytes = bytes >> 20;
            Some(Obstacle::Uncertain(format!(
                "the program switches stacks, and the pause is too short to look at its memory: {megabytes} MiB were"
            )))
        }
        Err(Unknown::Many) => {
            Some(Obstacle::Uncertain("tens of thousands of words in memory lead into changed functions".to_owned()))
        }
    }
}

fn key(module: &Module) -> ((u64, u64), &[u8]) {
    (module.range, &module.build)
}

fn list(target: &mut dyn Target) -> Result<Vec<Mapping>, LiveError> {
    target.mappings().map_err(|error| LiveError::io("list the memory of the process", &error))
}

/// What stands against writing now.
fn look(
    target: &mut dyn Target,
    threads: &[Thread],
    mappings: &[Mapping],
    zones: &[Zone],
    (stacks, suspended): (&mut Stacks, &mut Option<Suspended>),
    until: Instant,
) -> Option<Obstacle> {
    let (mut hits, unreliable, ends) = stacks.hits(target, threads, mappings, zones);
    if hits.is_empty()
        && let Some(first) = unreliable.first()
    {
        // Stacks may have been made since the memory was listed.
        let found = match target.mappings() {
            Ok(now) => {
                search(target, threads, &now, zones, |sp| suspended.as_ref().is_none_or(|known| known.is_own(&now, sp)))
            }
            Err(error) => Err(error.to_string()),
        };
        match found {
            Ok(found) => hits.extend(found.map(|hit| (*first, hit))),
            Err(why) => return Some(Obstacle::Uncertain(why)),
        }
    }
    if hits.is_empty() {
        if unreliable.is_empty()
            && let Some(suspended) = suspended
            && let Some(obstacle) = told(suspended.at_the_stop(target, mappings, zones, &ends, until), zones)
        {
            return Some(obstacle);
        }
        let late = Instant::now() > until;
        return late.then(|| Obstacle::Late("looking at the threads took longer than the pause may".to_owned()));
    }
    let pinned = |(index, hit): &(usize, Hit)| pinned(target, &threads[*index], hit, zones);
    Some(Obstacle::Pinned(hits.iter().map(pinned).collect()))
}

/// A thread in a zone, in words.
pub(crate) fn pinned(target: &dyn Target, thread: &Thread, hit: &Hit, zones: &[Zone]) -> Pinned {
    let zone = &zones[hit.zone];
    let name = target.thread_name(thread.id);
    Pinned {
        thread: if hit.certain {
            format!("thread {} ({name})", thread.id)
        } else {
            "a word in memory, which may be a return address".to_owned()
        },
        function: zone.name.clone(),
        offset: hit.address - zone.range.start,
        address: hit.address,
        call: hit.call,
        source: None,
    }
}

fn give_up(obstacle: &Obstacle, attempts: usize, limits: &Limits) -> LiveError {
    let tried = format!("after {attempts} attempts in {:.1} s", limits.deadline.as_secs_f64());
    match obstacle {
        Obstacle::Late(thread) => {
            LiveError::new(LiveErrorKind::Busy, format!("the process does not stop in time, {tried}"))
                .details([thread.clone()])
                .hint("a thread waits in the kernel (a vfork, a slow disk): try again, or allow a longer --pause")
        }
        Obstacle::Pinned(pinned) => {
            LiveError::new(LiveErrorKind::Busy, format!("a changed function is always in use, {tried}"))
                .details(pinned.iter().map(Pinned::to_string))
                .hint("a function that never returns (a main loop) cannot be replaced; of others: try again, or allow a longer --deadline")
        }
        Obstacle::Suspended(word) => LiveError::new(
            LiveErrorKind::Busy,
            format!("a suspended stack (a coroutine, swapcontext, setjmp) is in a changed function, {tried}"),
        )
        .details([word.clone()])
        .hint("try again when the coroutine is done; or, if the word is none of that kind, or the stack may go on in the old code, allow it with --accept-suspended"),
        Obstacle::Uncertain(why) => {
            LiveError::new(LiveErrorKind::Busy, format!("it is not certain what the threads do, {tried}"))
                .details([why.clone()])
                .hint("the program has code without unwind data; try again when it is idle")
        }
    }
}
