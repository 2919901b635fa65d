//! What a process can be asked for.

use std::io;
use std::time::{Duration, Instant};

/// A stretch of the process's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// Address after the last.
    pub end: u64,
    /// Whether it can be read, written, executed.
    pub protection: Protection,
    /// Whether writes reach nobody else.
    pub private: bool,
    /// Offset in the file.
    pub offset: u64,
    /// Device and inode of the file; zeros if there is none.
    pub file: (u64, u64),
    /// The name that the kernel shows; empty without one.
    pub name: String,
}

/// What may be done with memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protection {
    /// Read.
    pub read: bool,
    /// Write.
    pub write: bool,
    /// Execute.
    pub execute: bool,
}

impl Protection {
    /// Code.
    pub const TEXT: Self = Self { read: true, write: false, execute: true };
    /// Constants.
    pub const CONSTANT: Self = Self { read: true, write: false, execute: false };
    /// Variables.
    pub const DATA: Self = Self { read: true, write: true, execute: false };
}

/// A stopped thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thread {
    /// Its number.
    pub id: i32,
    /// Instruction pointer.
    pub ip: u64,
    /// Stack pointer.
    pub sp: u64,
    /// Frame pointer register.
    pub bp: u64,
}

/// Why a process could not be stopped; it runs again.
#[derive(Debug)]
pub enum StopFailure {
    /// A thread did not stop in time: it waits in the kernel where it cannot be interrupted, as the parent of a vfork.
    Late {
        /// The thread, and what it is doing.
        thread: String,
    },
    /// Somebody else traces it.
    Traced {
        /// Process number of the tracer.
        by: i32,
    },
    /// The kernel refused.
    Failed(io::Error),
}

/// A function that a thread of the process is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its address.
    pub function: u64,
    /// What it gets.
    pub arguments: [u64; 2],
    /// Where the stack ends that it runs on; the way back to what the thread did lies there too.
    pub stack: u64,
    /// Code that the thread must not be in already: start and end of each stretch.
    pub not_in: Vec<(u64, u64)>,
}

/// A process, as far as patching needs it.
///
/// Between [`stop`](Self::stop) and [`resume`](Self::resume) nothing of it runs. All else works while it runs as well.
pub trait Target {
    /// Its memory, by address.
    fn mappings(&mut self) -> io::Result<Vec<Mapping>>;

    /// Reads memory; fewer bytes than asked for where it ends.
    fn read(&self, address: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes memory, whatever its protection.
    fn write(&mut self, address: u64, bytes: &[u8]) -> io::Result<()>;

    /// Maps fresh memory at exactly this address, or fails if something is there.
    fn map(&mut self, address: u64, len: u64, protection: Protection) -> io::Result<()>;

    /// Unmaps memory.
    fn unmap(&mut self, address: u64, len: u64) -> io::Result<()>;

    /// Lets a thread call a function of the process while the others run on.
    fn call(&mut self, call: &Call) -> io::Result<()>;

    /// Stops every thread, and every process that shares the memory, in no more than `pause`. Says since when they stand.
    fn stop(&mut self, pause: Duration) -> Result<(Vec<Thread>, Instant), StopFailure>;

    /// Lets everything run again. System calls that were interrupted begin again, unseen by the program.
    fn resume(&mut self);

    /// Lets time pass; a thread that stopped too late runs on meanwhile.
    fn rest(&mut self, time: Duration);

    /// Threads that wait in the kernel, without stopping anybody: they may have gone on by the time that they are looked
    /// at, and their frame pointers are not known.
    fn waiting(&self) -> io::Result<Vec<Thread>>;

    /// The name of a thread.
    fn thread_name(&self, thread: i32) -> String;

    /// The file behind a mapping, whatever became of its name.
    fn file(&self, mapping: &Mapping) -> io::Result<Vec<u8>>;

    /// The parts of a stretch of memory, by whole pages, that the program has touched: the rest is as the kernel made it.
    /// All of it, where the kernel does not say.
    fn touched(&self, start: u64, end: u64) -> Vec<(u64, u64)> {
        vec![(start, end)]
    }

    /// Reads exactly as many bytes as the buffer has.
    fn read_exact(&self, address: u64, buffer: &mut [u8]) -> io::Result<()> {
        match self.read(address, buffer)? {
            len if len == buffer.len() => Ok(()),
            len => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("{len} of {} bytes at {address:#x} can be read", buffer.len()),
            )),
        }
    }
}
