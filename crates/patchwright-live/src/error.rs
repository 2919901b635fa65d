//! Why a process was not patched. It then runs on as it was.

use std::fmt;

/// Why, by what the caller does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiveErrorKind {
    /// The process does not run the build that the patch is for, or its code is not what the build has.
    Wrong,
    /// Not now: a thread is where it must not be, or somebody else is at work.
    Busy,
    /// The kernel does not allow it.
    Denied,
    /// The process cannot take this patch.
    Unsupported,
    /// The process is gone.
    Gone,
}

/// Why a process was not patched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveError {
    /// What the caller does next.
    pub kind: LiveErrorKind,
    /// One sentence without a full stop.
    pub message: String,
    /// Everything else that stands against it, one line each.
    pub details: Vec<String>,
    /// What to do.
    pub hint: Option<String>,
}

impl LiveError {
    pub(crate) fn new(kind: LiveErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), details: Vec::new(), hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn details(mut self, details: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(details);
        self
    }

    /// A call to the kernel that failed.
    pub(crate) fn io(doing: &str, error: &std::io::Error) -> Self {
        use std::io::ErrorKind as Kind;
        let (kind, hint) = match (error.kind(), error.raw_os_error()) {
            (_, Some(libc::ESRCH)) | (Kind::NotFound, _) => (LiveErrorKind::Gone, None),
            (Kind::PermissionDenied, _) => (
                LiveErrorKind::Denied,
                Some("run as root, or as the owner of the process with kernel.yama.ptrace_scope 0"),
            ),
            (Kind::OutOfMemory, _) => (
                LiveErrorKind::Denied,
                Some("the process may not have more memory (RLIMIT_AS, memory cgroup): allow it some pages more"),
            ),
            _ => (LiveErrorKind::Denied, None),
        };
        let mut made = Self::new(kind, format!("cannot {doing}: {error}"));
        made.hint = hint.map(str::to_owned);
        made
    }
}

impl fmt::Display for LiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.details.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

impl std::error::Error for LiveError {}
