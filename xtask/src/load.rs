//! Clients that ask a server all the time, while it is switched between two versions.
//!
//! Every answer is checked: it must be one that the version gives which is in force. A request that lies in a switch may be
//! answered by either. The first wrong or missing answer ends its client, and with it the chore.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::{Failure, Result};

/// Which version must answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Wanted {
    Old,
    Either,
    New,
}

/// Which version gives the answer that came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    Old,
    New,
    /// Both versions say this.
    Both,
}

impl Answer {
    fn fits(self, wanted: u8) -> bool {
        match self {
            Answer::Old => wanted != Wanted::New as u8,
            Answer::New => wanted != Wanted::Old as u8,
            Answer::Both => true,
        }
    }
}

/// One client with a connection of its own.
pub(crate) trait Client: Send + 'static {
    /// Asks once. An answer that neither version gives is an error, as is none within some seconds.
    fn ask(&mut self) -> Result<Answer>;
}

/// What clients saw.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) asked: usize,
    /// Answers that only one version gives.
    pub(crate) old: usize,
    pub(crate) new: usize,
    pub(crate) longest: Duration,
}

/// Clients, each on a thread of its own.
pub(crate) struct Load<C> {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Result<(Tally, C)>>>,
}

struct Shared {
    /// A [`Wanted`], or [`END`].
    wanted: AtomicU8,
    /// Requests of each client that are answered.
    answered: Vec<AtomicUsize>,
}

const END: u8 = 3;
/// A client that gets no answer for so long hangs.
const PATIENCE: Duration = Duration::from_secs(30);

impl<C: Client> Load<C> {
    /// Lets `clients` ask the old version.
    pub(crate) fn start(clients: Vec<C>) -> Self {
        let answered = clients.iter().map(|_| AtomicUsize::new(0)).collect();
        let shared = Arc::new(Shared { wanted: AtomicU8::new(Wanted::Old as u8), answered });
        let threads = clients.into_iter().enumerate().map(|(index, client)| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || ask_until_the_end(client, &shared, index))
        });
        let threads = threads.collect();
        Load { shared, threads }
    }

    /// From now on the answers must be these.
    pub(crate) fn expect(&self, wanted: Wanted) {
        self.shared.wanted.store(wanted as u8, Ordering::SeqCst);
    }

    /// Waits until every client has got `count` more answers; returns early when one has failed, which [`Load::stop`] tells.
    pub(crate) fn everyone_asks(&self, count: usize) -> Result {
        let start = Instant::now();
        let read = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
        let goals: Vec<usize> = self.shared.answered.iter().map(|counter| read(counter) + count).collect();
        let reached = || self.shared.answered.iter().zip(&goals).all(|(counter, goal)| read(counter) >= *goal);
        while !reached() && !self.has_failed() {
            if start.elapsed() > PATIENCE {
                return Err("a client hangs".into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Says whether a client has ended before it was told to.
    pub(crate) fn has_failed(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Ends the clients; the error of the first one that failed, or what they saw.
    pub(crate) fn stop(self) -> Result<(Tally, Vec<C>)> {
        self.shared.wanted.store(END, Ordering::SeqCst);
        let (mut sum, mut clients) = (Tally::default(), Vec::new());
        for thread in self.threads {
            let (tally, client) = thread.join().map_err(|_| Failure::Failed("a client panicked".into()))??;
            sum.asked += tally.asked;
            sum.old += tally.old;
            sum.new += tally.new;
            sum.longest = sum.longest.max(tally.longest);
            clients.push(client);
        }
        Ok((sum, clients))
    }
}

fn ask_until_the_end<C: Client>(mut client: C, shared: &Shared, index: usize) -> Result<(Tally, C)> {
    let mut tally = Tally::default();
    loop {
        let before = shared.wanted.load(Ordering::SeqCst);
        if before == END {
            return Ok((tally, client));
        }
        let start = Instant::now();
        let answer = client.ask()?;
        tally.longest = tally.longest.max(start.elapsed());
        tally.asked += 1;
        tally.old += usize::from(answer == Answer::Old);
        tally.new += usize::from(answer == Answer::New);
        let after = shared.wanted.load(Ordering::SeqCst);
        let wanted = if before == after { before } else { Wanted::Either as u8 };
        if !answer.fits(wanted) {
            return Err(format!("client {index}, request {}: the {answer:?} version answered", tally.asked).into());
        }
        if let Some(counter) = shared.answered.get(index) {
            counter.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Always(Answer);

    impl Client for Always {
        fn ask(&mut self) -> Result<Answer> {
            std::thread::sleep(Duration::from_micros(100));
            Ok(self.0)
        }
    }

    /// A client that always gets `answer`, where `wanted` is in force.
    fn check(answer: Answer, wanted: Wanted, right: bool) {
        let load = Load::start(vec![Always(Answer::Both), Always(answer)]);
        load.expect(wanted);
        load.everyone_asks(3).unwrap();
        assert_eq!(load.stop().is_ok(), right, "{answer:?} where {wanted:?} is wanted");
    }

    #[test]
    fn answers_of_the_wrong_version_are_found() {
        check(Answer::Old, Wanted::Old, true);
        check(Answer::Old, Wanted::Either, true);
        check(Answer::Old, Wanted::New, false);
        check(Answer::Both, Wanted::New, true);
        check(Answer::New, Wanted::Old, false);
    }
}
