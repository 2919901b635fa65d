//! A disk that fails, or whose process dies, at the n-th call.

use std::ffi::OsString;
use std::io::{self, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex};

use patchwright_formats::ReadAt;
use patchwright_formats::undo::Attributes;

use crate::disk::{Disk, Extended, Lock, Output, Stat};

/// What happens at the n-th call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// So many calls fail; those after them do what they should.
    Fails(u64),
    /// This call and every later one fail.
    FailsForever,
    /// The call is carried out, and an error is reported all the same, as remote file systems do.
    DoneButFails,
    /// The process dies: neither this call nor any later one has an effect, clean-up included.
    Dies,
}

/// When what happens, and which error is reported.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) at: u64,
    pub(super) fault: Fault,
    pub(super) error: rustix::io::Errno,
}

#[derive(Debug)]
struct Counter {
    plan: Plan,
    calls: u64,
}

impl Counter {
    /// Counts a call, and says whether it is carried out and whether it fails.
    fn count(&mut self) -> (bool, Option<io::Error>) {
        let since = self.calls.checked_sub(self.plan.at);
        self.calls += 1;
        let error = || Some(self.plan.error.into());
        match (since, self.plan.fault) {
            (None, _) => (true, None),
            (Some(since), Fault::Fails(count)) if since >= count => (true, None),
            (Some(1..), Fault::DoneButFails) => (true, None),
            (Some(_), Fault::DoneButFails) => (true, error()),
            (Some(_), Fault::Dies) => (false, Some(io::Error::other("the process is dead"))),
            (Some(_), Fault::Fails(_) | Fault::FailsForever) => (false, error()),
        }
    }
}

type Shared = Arc<Mutex<Counter>>;

fn through<T>(counter: &Shared, call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let (carried_out, error) = counter.lock().unwrap().count();
    let result = if carried_out { Some(call()) } else { None };
    match (error, result) {
        (Some(error), _) => Err(error),
        (None, Some(result)) => result,
        (None, None) => unreachable!("a call that is not carried out fails"),
    }
}

/// Counts the calls to another disk, to the files opened on it and to those written on it.
pub(super) struct FaultDisk<'d> {
    inner: &'d dyn Disk,
    counter: Shared,
}

impl<'d> FaultDisk<'d> {
    pub(super) fn new(inner: &'d dyn Disk, plan: Plan) -> Self {
        Self { inner, counter: Arc::new(Mutex::new(Counter { plan, calls: 0 })) }
    }

    /// Whether the fault has happened.
    pub(super) fn was_reached(&self) -> bool {
        let counter = self.counter.lock().unwrap();
        counter.calls > counter.plan.at
    }
}

impl Disk for FaultDisk<'_> {
    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        through(&self.counter, || self.inner.stat(path))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadAt>> {
        let inner = through(&self.counter, || self.inner.open(path))?;
        Ok(Box::new(FaultSource { inner, counter: self.counter.clone() }))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        let inner = through(&self.counter, || self.inner.create(path))?;
        Ok(Box::new(FaultOutput { inner, counter: self.counter.clone() }))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        through(&self.counter, || self.inner.list(path))
    }

    fn make_folder(&self, path: &Path, mode: u32) -> io::Result<()> {
        through(&self.counter, || self.inner.make_folder(path, mode))
    }

    fn make_link(&self, target: &Path, path: &Path) -> io::Result<()> {
        through(&self.counter, || self.inner.make_link(target, path))
    }

    fn read_link(&self, path: &Path) -> io::Result<OsString> {
        through(&self.counter, || self.inner.read_link(path))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        through(&self.counter, || self.inner.remove(path))
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        through(&self.counter, || self.inner.remove_folder(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        through(&self.counter, || self.inner.rename(from, to))
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        through(&self.counter, || self.inner.rename_new(from, to))
    }

    fn exchange(&self, first: &Path, second: &Path) -> io::Result<()> {
        through(&self.counter, || self.inner.exchange(first, second))
    }

    fn add_name(&self, from: &Path, to: &Path) -> io::Result<()> {
        through(&self.counter, || self.inner.add_name(from, to))
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        through(&self.counter, || self.inner.sync_file(path))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        through(&self.counter, || self.inner.sync_folder(path))
    }

    fn attributes(&self, path: &Path) -> io::Result<Attributes> {
        through(&self.counter, || self.inner.attributes(path))
    }

    fn set_attributes(&self, path: &Path, attributes: &Attributes, extended: Extended) -> io::Result<()> {
        through(&self.counter, || self.inner.set_attributes(path, attributes, extended))
    }

    fn is_ours(&self, path: &Path) -> io::Result<bool> {
        through(&self.counter, || self.inner.is_ours(path))
    }

    fn is_immutable(&self, path: &Path) -> io::Result<bool> {
        through(&self.counter, || self.inner.is_immutable(path))
    }

    fn free_bytes(&self) -> io::Result<u64> {
        through(&self.counter, || self.inner.free_bytes())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        through(&self.counter, || self.inner.lock(path))
    }
}

struct FaultSource {
    inner: Box<dyn ReadAt>,
    counter: Shared,
}

impl ReadAt for FaultSource {
    fn len_bytes(&self) -> u64 {
        self.inner.len_bytes()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        through(&self.counter, || self.inner.read_exact_at(buffer, offset))
    }
}

struct FaultOutput {
    inner: Box<dyn Output>,
    counter: Shared,
}

impl io::Write for FaultOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        through(&self.counter, || self.inner.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        through(&self.counter, || self.inner.flush())
    }
}

impl io::Seek for FaultOutput {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        through(&self.counter, || self.inner.seek(position))
    }
}

impl Output for FaultOutput {}
