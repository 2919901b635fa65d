//! How long work tells how far it is.

/// Told about long work as it goes on; may be called from several threads.
pub trait Progress: Sync {
    /// A task of `total` bytes begins; `task` is a word such as "diff" or "hash".
    fn begin(&self, task: &str, total: u64);
    /// `bytes` more of it are done.
    fn advance(&self, bytes: u64);
    /// The task is done.
    fn end(&self);
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quiet;

impl Progress for Quiet {
    fn begin(&self, _task: &str, _total: u64) {}
    fn advance(&self, _bytes: u64) {}
    fn end(&self) {}
}
