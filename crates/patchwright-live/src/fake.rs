//! A process for tests: memory in a map, threads where a test wants them, and operations that fail when it says so.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use crate::target::{Call, Mapping, Protection, StopFailure, Target, Thread};

const PAGE: u64 = 4096;

/// What an operation of the process was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Write,
    Map,
    Unmap,
    Stop,
}

#[derive(Clone)]
pub(crate) struct Fake {
    /// Start, protection, bytes.
    pub(crate) memory: BTreeMap<u64, (Mapping, Vec<u8>)>,
    /// Where threads are at each stop; the last entry counts from then on.
    pub(crate) threads: Vec<Vec<Thread>>,
    pub(crate) stops: usize,
    pub(crate) stopped: bool,
    /// Operations so far, and the first that fails.
    pub(crate) operations: usize,
    pub(crate) fail_from: Option<usize>,
    /// Whether later ones fail too, as those of a call that was killed.
    pub(crate) dead: bool,
    /// Writes that were made while the process ran, to code that could be executed.
    pub(crate) unsafe_writes: usize,
    pub(crate) log: Vec<Op>,
    /// How many reads there were.
    reads: Cell<usize>,
}

impl Fake {
    pub(crate) fn new() -> Self {
        Self {
            memory: BTreeMap::new(),
            threads: vec![Vec::new()],
            stops: 0,
            stopped: false,
            operations: 0,
            fail_from: None,
            dead: false,
            unsafe_writes: 0,
            log: Vec::new(),
            reads: Cell::new(0),
        }
    }

    pub(crate) fn add(&mut self, start: u64, bytes: Vec<u8>, protection: Protection, name: &str, file: (u64, u64)) {
        let end = start + (bytes.len() as u64).next_multiple_of(PAGE);
        let mut bytes = bytes;
        bytes.resize(usize::try_from(end - start).unwrap(), 0);
        let mapping = Mapping { start, end, protection, private: true, offset: 0, file, name: name.to_owned() };
        self.memory.insert(start, (mapping, bytes));
    }

    /// A copy of all memory, by address, without what reads change.
    pub(crate) fn picture(&self) -> BTreeMap<u64, Vec<u8>> {
        self.memory.iter().map(|(start, (_, bytes))| (*start, bytes.clone())).collect()
    }

    fn step(&mut self, op: Op) -> io::Result<()> {
        self.operations += 1;
        self.log.push(op);
        match self.fail_from {
            Some(at) if self.operations == at || self.dead && self.operations > at => {
                Err(io::Error::from_raw_os_error(libc::EIO))
            }
            _ => Ok(()),
        }
    }

    fn holder(&self, address: u64) -> Option<(u64, &Mapping)> {
        let (start, (mapping, _)) = self.memory.range(..=address).next_back()?;
        (address < mapping.end).then_some((*start, mapping))
    }
}

impl Target for Fake {
    fn mappings(&mut self) -> io::Result<Vec<Mapping>> {
        Ok(self.memory.values().map(|(mapping, _)| mapping.clone()).collect())
    }

    fn read(&self, address: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.reads.set(self.reads.get() + 1);
        let Some((start, _)) = self.holder(address) else { return Ok(0) };
        let bytes = &self.memory[&start].1;
        let at = usize::try_from(address - start).unwrap();
        let len = buffer.len().min(bytes.len() - at);
        buffer[..len].copy_from_slice(&bytes[at..at + len]);
        Ok(len)
    }

    fn write(&mut self, address: u64, bytes: &[u8]) -> io::Result<()> {
        self.step(Op::Write)?;
        let (start, mapping) = self.holder(address).ok_or(io::ErrorKind::NotFound)?;
        if !self.stopped && mapping.protection.execute && mapping.file != (0, 0) {
            self.unsafe_writes += 1;
        }
        let at = usize::try_from(address - start).unwrap();
        let memory = &mut self.memory.get_mut(&start).unwrap().1;
        memory[at..at + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn map(&mut self, address: u64, len: u64, protection: Protection) -> io::Result<()> {
        self.step(Op::Map)?;
        assert!(!(protection.write && protection.execute), "memory that is written and executed");
        if self.memory.values().any(|(mapping, _)| address < mapping.end && mapping.start < address + len) {
            return Err(io::Error::from_raw_os_error(libc::EEXIST));
        }
        self.add(address, vec![0; usize::try_from(len).unwrap()], protection, "", (0, 0));
        Ok(())
    }

    fn unmap(&mut self, address: u64, len: u64) -> io::Result<()> {
        self.step(Op::Unmap)?;
        self.memory.retain(|start, _| *start < address || *start >= address + len);
        Ok(())
    }

    fn call(&mut self, _: &Call) -> io::Result<()> {
        Err(io::Error::from_raw_os_error(libc::ENOSYS))
    }

    fn stop(&mut self, _: Duration) -> Result<(Vec<Thread>, Instant), StopFailure> {
        assert!(!self.stopped);
        self.step(Op::Stop).map_err(StopFailure::Failed)?;
        self.stopped = true;
        let threads = self.threads.get(self.stops).or(self.threads.last()).cloned().unwrap_or_default();
        self.stops += 1;
        Ok((threads, Instant::now()))
    }

    fn resume(&mut self) {
        self.stopped = false;
    }

    fn rest(&mut self, _: Duration) {
        assert!(!self.stopped, "waiting while the process stands still");
    }

    fn waiting(&self) -> io::Result<Vec<Thread>> {
        Ok(self.threads.last().cloned().unwrap_or_default())
    }

    fn thread_name(&self, thread: i32) -> String {
        format!("thread-{thread}")
    }

    fn file(&self, _: &Mapping) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}
