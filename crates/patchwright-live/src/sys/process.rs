//! One process: its memory, its number, and what the planner may ask of it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use crate::target::{Call, Mapping, Protection, StopFailure, Target, Thread};

use super::gadgets::Gadgets;
use super::kernel::Hurry;
use super::maps::{parse_mapping, waiting};
use super::poke;
use super::threads::{ONE_THREAD, Traced};

/// A process of this machine.
#[derive(Debug)]
pub struct Process {
    pub(super) pid: i32,
    pub(super) memory: File,
    /// Traced threads.
    pub(super) traced: BTreeMap<i32, Traced>,
    pub(super) hurry: Option<Hurry>,
    /// Where threads make calls for us, once it was looked for.
    pub(super) gadgets: Option<Gadgets>,
    /// The thread that made the last call; it is likely to do for the next.
    pub(super) obliging: Option<i32>,
}

impl Process {
    /// Opens a process to patch it.
    ///
    /// # Errors
    /// It is gone, or it may not be traced by the caller.
    pub fn open(pid: i32) -> io::Result<Self> {
        Ok(Self::with(pid, OpenOptions::new().read(true).write(true).open(format!("/proc/{pid}/mem"))?))
    }

    /// Opens a process to look at it.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_to_read(pid: i32) -> io::Result<Self> {
        Ok(Self::with(pid, File::open(format!("/proc/{pid}/mem"))?))
    }

    fn with(pid: i32, memory: File) -> Self {
        Self { pid, memory, traced: BTreeMap::new(), hurry: None, gadgets: None, obliging: None }
    }

    /// Its number.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Its name.
    pub fn name(&self) -> String {
        super::discover::name(self.pid)
    }

    pub(super) fn field(&self, process: i32, name: &str) -> Option<String> {
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(line.trim().to_owned())
    }
}

impl Target for Process {
    fn mappings(&mut self) -> io::Result<Vec<Mapping>> {
        let text = fs::read(format!("/proc/{}/maps", self.pid))?;
        let text = String::from_utf8_lossy(&text);
        Ok(text.lines().filter_map(parse_mapping).collect())
    }

    fn read(&self, address: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut got = 0;
        while got < buffer.len() {
            let at = address.wrapping_add(got as u64);
            match self.memory.read_at(&mut buffer[got..], at) {
                Ok(0) => break,
                Ok(len) => got += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Nothing is mapped there.
                Err(_) if got > 0 => break,
                Err(error) if error.raw_os_error() == Some(libc::EIO) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(got)
    }

    fn write(&mut self, address: u64, bytes: &[u8]) -> io::Result<()> {
        let written = self.memory.write_all_at(bytes, address);
        match written {
            // Some kernels let only a debugger's own call write where the program may not (PROC_MEM_NO_FORCE).
            Err(error) if poke::may_help(&error) => self.poke(address, bytes).map_err(|_| error),
            written => written,
        }
    }

    fn map(&mut self, address: u64, len: u64, protection: Protection) -> io::Result<()> {
        let bit = |set: bool, bit: i32| if set { u64::from(bit.unsigned_abs()) } else { 0 };
        let protection = bit(protection.read, libc::PROT_READ)
            | bit(protection.write, libc::PROT_WRITE)
            | bit(protection.execute, libc::PROT_EXEC);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
        let arguments = [address, len, protection, u64::from(flags.unsigned_abs()), u64::MAX, 0];
        match self.system_call(libc::SYS_mmap, arguments)? {
            there if there == address => Ok(()),
            // A kernel that does not know MAP_FIXED_NOREPLACE took the address for a wish.
            elsewhere => {
                self.system_call(libc::SYS_munmap, [elsewhere, len, 0, 0, 0, 0])?;
                Err(io::Error::from_raw_os_error(libc::EEXIST))
            }
        }
    }

    fn unmap(&mut self, address: u64, len: u64) -> io::Result<()> {
        self.system_call(libc::SYS_munmap, [address, len, 0, 0, 0, 0]).map(|_| ())
    }

    fn call(&mut self, call: &Call) -> io::Result<()> {
        self.call_function(call)
    }

    fn stop(&mut self, pause: Duration) -> Result<(Vec<Thread>, Instant), StopFailure> {
        self.stop_all(pause)
    }

    fn resume(&mut self) {
        self.let_go();
    }

    fn rest(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while !self.traced.is_empty() && Instant::now() < end {
            self.release_late();
            std::thread::sleep(Duration::from_micros(200));
        }
        std::thread::sleep(end.saturating_duration_since(Instant::now()));
    }

    fn touched(&self, start: u64, end: u64) -> Vec<(u64, u64)> {
        super::pages::touched(self.pid, start, end)
    }

    fn waiting(&self) -> io::Result<Vec<Thread>> {
        let waits = |id: i32| waiting(id, &fs::read_to_string(format!("/proc/{}/task/{id}/syscall", self.pid)).ok()?);
        Ok(self.threads(&[])?.into_iter().filter_map(waits).collect())
    }

    fn thread_name(&self, thread: i32) -> String {
        super::discover::name(thread)
    }

    fn file(&self, mapping: &Mapping) -> io::Result<Vec<u8>> {
        fs::read(format!("/proc/{}/map_files/{:x}-{:x}", self.pid, mapping.start, mapping.end))
    }
}

impl Drop for Process {
    /// A thread that waits in the kernel even now is let go by the kernel, when the thread that traces it ends.
    fn drop(&mut self) {
        self.let_go();
        self.rest(if self.traced.is_empty() { Duration::ZERO } else { ONE_THREAD });
    }
}
