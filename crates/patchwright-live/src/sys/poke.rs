//! Writing as a debugger does, word by word, for kernels whose `/proc/PID/mem` writes only where the program may.

use std::io;

use nix::sys::ptrace;
use nix::unistd::Pid;

use crate::target::Target as _;

use super::process::Process;
use super::threads::from_errno;

const WORD: usize = size_of::<u64>();

/// Whether a failure of the file is one that the debugger's call does not have.
pub(super) fn may_help(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EIO | libc::EPERM | libc::EACCES))
}

/// Memory that is read and written by words, at any address.
trait Words {
    fn get(&mut self, address: u64) -> io::Result<u64>;
    fn put(&mut self, address: u64, word: u64) -> io::Result<()>;
}

/// Writes bytes by words; what is beside them stays. Up to eight bytes are one write, so that a redirect is never half
/// there.
fn write(words: &mut impl Words, address: u64, bytes: &[u8]) -> io::Result<()> {
    for (index, chunk) in bytes.chunks(WORD).enumerate() {
        let at = address.wrapping_add((index * WORD) as u64);
        // The last word may be the last of its memory: then one that ends with it is taken.
        let (start, skip, old) = match words.get(at) {
            Ok(old) => (at, 0, old),
            Err(_) => {
                let skip = WORD - chunk.len();
                let start = at.wrapping_sub(skip as u64);
                (start, skip, words.get(start)?)
            }
        };
        let mut word = old.to_le_bytes();
        word[skip..skip + chunk.len()].copy_from_slice(chunk);
        words.put(start, u64::from_le_bytes(word))?;
    }
    Ok(())
}

/// A stopped thread.
struct Stopped(Pid);

impl Words for Stopped {
    fn get(&mut self, address: u64) -> io::Result<u64> {
        let word = ptrace::read(self.0, address as ptrace::AddressType).map_err(from_errno)?;
        Ok(u64::from_ne_bytes(word.to_ne_bytes()))
    }

    fn put(&mut self, address: u64, word: u64) -> io::Result<()> {
        let word = i64::from_ne_bytes(word.to_ne_bytes());
        ptrace::write(self.0, address as ptrace::AddressType, word).map_err(from_errno)
    }
}

impl Process {
    /// Writes through a thread that is stopped; if none is, one is stopped for it.
    pub(super) fn poke(&mut self, address: u64, bytes: &[u8]) -> io::Result<()> {
        let stopped = self.traced.iter().find(|(_, traced)| traced.stopped).map(|(thread, _)| *thread);
        if let Some(thread) = stopped {
            return write(&mut Stopped(Pid::from_raw(thread)), address, bytes);
        }
        let thread = self.stop_any()?;
        let written = write(&mut Stopped(Pid::from_raw(thread)), address, bytes);
        self.resume();
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes at an address, and how often they were written.
    struct Fake(u64, Vec<u8>, usize);

    impl Fake {
        fn at(&self, address: u64) -> io::Result<usize> {
            let at = address.checked_sub(self.0).and_then(|at| usize::try_from(at).ok());
            at.filter(|at| at + WORD <= self.1.len()).ok_or_else(|| io::Error::from_raw_os_error(libc::EIO))
        }
    }

    impl Words for Fake {
        fn get(&mut self, address: u64) -> io::Result<u64> {
            let at = self.at(address)?;
            Ok(crate::module::word::<8>(&self.1, at))
        }

        fn put(&mut self, address: u64, word: u64) -> io::Result<()> {
            let at = self.at(address)?;
            self.1[at..at + WORD].copy_from_slice(&word.to_le_bytes());
            self.2 += 1;
            Ok(())
        }
    }

    #[test]
    fn any_bytes_at_any_place_are_written_and_nothing_else() {
        for len in 1..=20_usize {
            for start in 0..=32 - len {
                let mut fake = Fake(0x1000, (0..32).collect(), 0);
                let bytes = vec![0xee; len];
                write(&mut fake, 0x1000 + start as u64, &bytes).unwrap();
                let mut expect: Vec<u8> = (0..32).collect();
                expect[start..start + len].copy_from_slice(&bytes);
                assert_eq!(fake.1, expect, "{len} bytes at {start}");
                assert_eq!(fake.2, len.div_ceil(WORD), "{len} bytes at {start}");
            }
        }
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        for (start, len) in [(0xff8, 8), (0x1019, 8), (0x101d, 5), (0x2000, 1)] {
            let mut fake = Fake(0x1000, (0..32).collect(), 0);
            assert!(write(&mut fake, start, &vec![0xee; len]).is_err(), "{len} bytes at {start:#x}");
            assert_eq!(fake.1, (0..32).collect::<Vec<u8>>(), "{len} bytes at {start:#x}");
        }
    }

    #[test]
    fn only_refusals_are_tried_again() {
        for (error, expect) in [(libc::EIO, true), (libc::EPERM, true), (libc::EACCES, true), (libc::ESRCH, false)] {
            assert_eq!(may_help(&io::Error::from_raw_os_error(error)), expect, "{error}");
        }
    }
}
