//! What a build tells as it goes on, for a log.

/// What a line of a log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// What is being done.
    Info,
    /// What its author should know.
    Warning,
    /// Why it ends.
    Error,
    /// How long something took.
    Performance,
}

/// Where a build writes its log; may be called from several threads.
pub trait BuildLog: Sync {
    /// A line.
    fn line(&self, level: LogLevel, text: &str);
    /// A phase begins; its number is that of PATCHWIZ.
    fn phase(&self, number: &'static str, about: &'static str);
}

/// No log.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLog;

impl BuildLog for NoLog {
    fn line(&self, _level: LogLevel, _text: &str) {}
    fn phase(&self, _number: &'static str, _about: &'static str) {}
}
