//! Instructions that the process has anyway, for calls that a thread makes for us: a system call that a return follows, and
//! the end of signal handlers.

use std::io;

use crate::target::{Mapping, Target as _};

use super::process::Process;
use super::registers::SYSCALL;

/// `syscall; ret`.
const CALL: [u8; 3] = [0x0f, 0x05, 0xc3];
/// `mov $15, %rax; syscall`, as C libraries end signal handlers, and the shorter form.
const RESTORERS: [&[u8]; 2] = [&[0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05], &[0xb8, 15, 0, 0, 0, 0x0f, 0x05]];
/// Instructions of the process that calls are made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gadgets {
    /// `syscall`.
    pub(super) call: u64,
    /// If `call` returns, and there is code that ends signal handlers: where it is, and where its `syscall` ends.
    pub(super) restorer: Option<(u64, u64)>,
}

impl Process {
    /// Finds the instructions.
    pub(super) fn gadgets(&mut self) -> io::Result<Gadgets> {
        if let Some(known) = self.gadgets
            && known.still_there(|at, bytes| self.read_exact(at, bytes))
        {
            return Ok(known);
        }
        let mappings = self.mappings()?;
        let mut code: Vec<&Mapping> = mappings.iter().filter(|mapping| mapping.protection.execute).collect();
        code.retain(|mapping| mapping.name != "[vsyscall]");
        code.sort_by_key(|mapping| mapping.name != "[vdso]");
        let (mut returning, mut any, mut restorer) = (None, None, None);
        for mapping in code {
            let mut bytes = vec![0; usize::try_from((mapping.end - mapping.start).min(16 << 20)).unwrap_or(0)];
            let got = self.read(mapping.start, &mut bytes)?;
            let bytes = &bytes[..got];
            let find = |pattern: &[u8]| {
                let at = bytes.windows(pattern.len()).position(|window| window == pattern)?;
                Some(mapping.start + at as u64)
            };
            returning = returning.or_else(|| find(&CALL));
            any = any.or_else(|| find(&SYSCALL));
            let end = |pattern: &&[u8]| find(pattern).map(|at| (at, at + pattern.len() as u64));
            restorer = restorer.or_else(|| RESTORERS.iter().find_map(end));
            if returning.is_some() && restorer.is_some() {
                break;
            }
        }
        let found = match (returning, restorer, any) {
            (Some(call), Some(restorer), _) => Gadgets { call, restorer: Some(restorer) },
            (_, _, Some(call)) => Gadgets { call, restorer: None },
            _ => return Err(io::Error::new(io::ErrorKind::NotFound, "no system call instruction in the process")),
        };
        self.gadgets = Some(found);
        Ok(found)
    }
}

impl Gadgets {
    fn still_there(&self, read: impl Fn(u64, &mut [u8]) -> io::Result<()>) -> bool {
        let is = |at: u64, expect: &[u8]| {
            let mut there = vec![0; expect.len()];
            read(at, &mut there).is_ok() && there == expect
        };
        let Some((start, end)) = self.restorer else { return is(self.call, &SYSCALL) };
        is(self.call, &CALL)
            && RESTORERS.iter().any(|restorer| end - start == restorer.len() as u64 && is(start, restorer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_that_went_away_are_looked_for_again() {
        let code: Vec<u8> = [&CALL, RESTORERS[0], RESTORERS[1]].concat();
        let read = |code: &[u8], at: u64, bytes: &mut [u8]| {
            let at = usize::try_from(at).unwrap();
            let found = code.get(at..at + bytes.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
            bytes.copy_from_slice(found);
            Ok(())
        };
        for (gadgets, expect) in [
            (Gadgets { call: 0, restorer: Some((3, 12)) }, true),
            (Gadgets { call: 0, restorer: Some((12, 19)) }, true),
            (Gadgets { call: 0, restorer: Some((12, 21)) }, false),
            (Gadgets { call: 10, restorer: None }, true),
            (Gadgets { call: 10, restorer: Some((3, 12)) }, false),
            (Gadgets { call: 100, restorer: None }, false),
        ] {
            assert_eq!(gadgets.still_there(|at, bytes| read(&code, at, bytes)), expect, "{gadgets:?}");
        }
    }
}
