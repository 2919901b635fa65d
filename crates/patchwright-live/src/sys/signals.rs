//! Signals that would end this program in the middle of its work on another.

use nix::sys::signal::{SigSet, Signal};

/// Holds back SIGINT, SIGTERM and SIGHUP of this thread, and of threads that it starts, until it is dropped; one that came
/// meanwhile is delivered then.
///
/// Nothing holds SIGKILL back; what it leaves, the next call finishes.
#[derive(Debug)]
pub struct SignalsHeld {
    before: Option<SigSet>,
}

impl SignalsHeld {
    /// Holds them from now on.
    #[must_use]
    pub fn now() -> Self {
        let mut held = SigSet::empty();
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            held.add(signal);
        }
        let before = SigSet::thread_get_mask().ok();
        // It fails for no set of signals that there are; without it, a signal ends us as before.
        let _ = held.thread_block();
        Self { before }
    }
}

impl Drop for SignalsHeld {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            let _ = before.thread_set_mask();
        }
    }
}
