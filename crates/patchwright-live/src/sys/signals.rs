//! Signals that would end this program while a thread of another runs with registers of ours.

use nix::sys::signal::{SigSet, Signal};

/// Holds back SIGINT, SIGTERM and SIGHUP of this thread, and of threads that it starts, until it is dropped; one that came
/// meanwhile is delivered then.
///
/// Nothing holds SIGKILL back: whoever sends it in one of the moments that a thread of the process makes a system call
/// for us leaves that thread with registers that are not its own.
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
