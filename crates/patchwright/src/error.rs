//! What a verb says when it cannot do what it was asked.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use patchwright_formats::{FormatError, FormatErrorKind};
use serde::Serialize;

/// Why a verb stopped, sorted by what the caller does next. The command line turns it into its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// The answer is no: there is nothing to patch.
    No,
    /// The call itself asks for what cannot be.
    Usage,
    /// An input is malformed, or of a version that is not supported.
    Malformed,
    /// The patch does not belong to this file.
    WrongInput,
    /// Reading or writing failed.
    Io,
    /// Somebody else is at work on the target.
    Busy,
    /// A rule forbids it.
    Refused,
    /// Something that cannot happen happened.
    Bug,
}

impl ErrorKind {
    /// Every kind, in the order of the exit codes.
    pub const ALL: [Self; 8] =
        [Self::No, Self::Usage, Self::Malformed, Self::WrongInput, Self::Io, Self::Busy, Self::Refused, Self::Bug];

    /// The exit code of the command line.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::No => 1,
            Self::Usage => 2,
            Self::Malformed => 3,
            Self::WrongInput => 4,
            Self::Io => 5,
            Self::Busy => 6,
            Self::Refused => 7,
            Self::Bug => 70,
        }
    }

    /// What the exit code means, for the documentation.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::No => {
                "the answer is no: `verify` finds that the patch would not apply, `check` that a function is not \
                 hot-patchable, `diff` finds nothing to patch"
            }
            Self::Usage => "usage: an option, a range or a combination of files that cannot be",
            Self::Malformed => "an input is malformed, or of a kind or version that is not supported",
            Self::WrongInput => "wrong input: the patch does not belong to this file, folder, build or process",
            Self::Io => "reading or writing failed: permission, space, device",
            Self::Busy => "the target is busy, try again",
            Self::Refused => "refused: signature, key or policy",
            Self::Bug => "a bug of ours",
        }
    }
}

/// What went wrong, where, and what to do about it.
#[derive(Debug)]
pub struct Error {
    /// What the caller does next.
    pub kind: ErrorKind,
    /// One sentence without a full stop.
    pub message: String,
    /// The file at fault.
    pub path: Option<PathBuf>,
    /// Everything else that is wrong, or that helps to see it: one line each.
    pub details: Vec<String>,
    /// What to do.
    pub hint: Option<String>,
}

/// What verbs return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind`; path, details and hint can be added.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), path: None, details: Vec::new(), hint: None }
    }

    /// Names the file at fault, unless one is named already.
    #[must_use]
    pub fn at(mut self, path: impl AsRef<Path>) -> Self {
        self.path.get_or_insert_with(|| path.as_ref().to_owned());
        self
    }

    /// Shows a path below `root` as the caller knows it: `shown` is what was called `name` in there.
    #[must_use]
    pub(crate) fn under(mut self, root: &Path, name: &Path, shown: &Path) -> Self {
        self.path = self.path.map(|path| match path {
            path if path == name => shown.to_owned(),
            path if path.as_os_str().is_empty() => root.to_owned(),
            path => root.join(path),
        });
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds lines that say more.
    #[must_use]
    pub fn details<T: ToString>(mut self, details: impl IntoIterator<Item = T>) -> Self {
        self.details.extend(details.into_iter().map(|line| line.to_string()));
        self
    }

    /// An I/O error of an operation on `path`.
    pub fn io(doing: &str, path: impl AsRef<Path>, error: &io::Error) -> Self {
        use io::ErrorKind as Kind;
        let (kind, hint) = match error.kind() {
            Kind::PermissionDenied => {
                (ErrorKind::Io, Some("check who owns the file and its folder, or run with more rights"))
            }
            Kind::StorageFull | Kind::QuotaExceeded => {
                (ErrorKind::Io, Some("nothing was changed; free some space and run the same command again"))
            }
            Kind::ReadOnlyFilesystem => (ErrorKind::Io, Some("the file system is mounted read-only")),
            Kind::ResourceBusy => (ErrorKind::Io, Some("is it a mount point? A mount point cannot be replaced")),
            _ => (ErrorKind::Io, None),
        };
        let mut made = Self::new(kind, format!("cannot {doing}: {error}")).at(path);
        made.hint = hint.map(str::to_owned);
        made
    }

    /// A fault in the structure of the file at `path`.
    pub fn format(error: &FormatError, path: impl AsRef<Path>) -> Self {
        let (kind, hint) = match &error.kind {
            FormatErrorKind::Io(cause) => return Self::io("read", path, cause),
            FormatErrorKind::Unsupported(_) => {
                (ErrorKind::Malformed, Some("a newer version of patchwright may know it"))
            }
            FormatErrorKind::Truncated | FormatErrorKind::HashMismatch => {
                (ErrorKind::Malformed, Some("the file is damaged: fetch it again"))
            }
            _ => (ErrorKind::Malformed, None),
        };
        let mut made = Self::new(kind, error.to_string()).at(path);
        made.hint = hint.map(str::to_owned);
        made
    }

    /// Something that cannot happen.
    pub fn bug(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Bug, message).hint("please report this, with the command and the files if you can")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{}: ", path.display())?;
        }
        f.write_str(&self.message)?;
        self.details.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

impl std::error::Error for Error {}
