//! One call at a time works on a process.

use std::fs::{File, TryLockError};
use std::io;
use std::time::{Duration, Instant};

/// How long to wait before asking again.
const BETWEEN_LOOKS: Duration = Duration::from_millis(2);

/// The right to work on a process, held until the value is dropped or its holder dies. It is a lock on the process's
/// memory as the kernel shows it: who may not look into the process cannot take it.
#[derive(Debug)]
pub struct Turn {
    /// Closing it gives the lock back.
    _memory: File,
}

impl Turn {
    /// Waits for it, at most as long as told; `None` if another call has it all the time.
    ///
    /// # Errors
    /// The process is gone, or may not be looked into.
    pub fn take(pid: i32, at_most: Duration) -> io::Result<Option<Self>> {
        let memory = File::open(format!("/proc/{pid}/mem"))?;
        let begin = Instant::now();
        loop {
            match memory.try_lock() {
                Ok(()) => return Ok(Some(Self { _memory: memory })),
                Err(TryLockError::WouldBlock) if begin.elapsed() < at_most => std::thread::sleep(BETWEEN_LOOKS),
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_turn_for_a_process_and_it_comes_back() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let first = Turn::take(pid, Duration::ZERO).unwrap().unwrap();
        assert!(Turn::take(pid, Duration::from_millis(5)).unwrap().is_none());
        drop(first);
        assert!(Turn::take(pid, Duration::ZERO).unwrap().is_some());
        assert_eq!(Turn::take(i32::MAX, Duration::ZERO).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
