//! Everything that touches a target goes through a [`Disk`]: one folder and what is below it.
//!
//! Two reasons. Paths are resolved name by name below an open folder, and a symbolic link on the way is an error, so
//! that nothing outside is reached whatever a patch says or somebody swaps in meanwhile. And tests put a disk in
//! that fails, dies or loses power at every n-th call.

mod os;

use std::ffi::OsString;
use std::io;
use std::path::Path;

use patchwright_formats::ReadAt;
use patchwright_formats::undo::Attributes;

pub(crate) use os::{FileSource, OsDisk};

/// A folder and everything below it. Paths are relative and consist of plain names; the folder itself is `""`.
pub(crate) trait Disk: Sync {
    /// What stands at `path`, a link not followed; `None` when nothing does.
    fn stat(&self, path: &Path) -> io::Result<Option<Stat>>;
    /// Opens a regular file for reading.
    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadAt>>;
    /// Creates a file that nobody else can read yet; an error when something stands there.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Output>>;
    /// The names in a folder, sorted.
    fn list(&self, path: &Path) -> io::Result<Vec<OsString>>;
    /// Creates a folder with exactly these permission bits.
    fn make_folder(&self, path: &Path, mode: u32) -> io::Result<()>;
    /// Creates a symbolic link.
    fn make_link(&self, target: &Path, path: &Path) -> io::Result<()>;
    /// What a symbolic link holds.
    fn read_link(&self, path: &Path) -> io::Result<OsString>;
    /// Removes a file or a link.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty folder.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;
    /// Renames; what stands at `to` is replaced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Renames; an error when something stands at `to`.
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Lets two files or links change places at one instant.
    fn exchange(&self, first: &Path, second: &Path) -> io::Result<()>;
    /// Gives a file a second name.
    fn add_name(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes the content and attributes of a file durable.
    fn sync_file(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
    /// Owner, permissions, times and extended attributes.
    fn attributes(&self, path: &Path) -> io::Result<Attributes>;
    /// Sets those that are given; with [`Extended::Exactly`] all other extended attributes go.
    fn set_attributes(&self, path: &Path, attributes: &Attributes, extended: Extended) -> io::Result<()>;
    /// Whether what stands at `path` belongs to whoever we are, and nobody else may write to it.
    fn is_ours(&self, path: &Path) -> io::Result<bool>;
    /// Whether the file is marked as one that cannot be changed (`chattr +i`, `+a`).
    fn is_immutable(&self, path: &Path) -> io::Result<bool>;
    /// Bytes that can still be written here.
    fn free_bytes(&self) -> io::Result<u64>;
    /// Takes the lock file, creating it; `None` when somebody has it. Dropping the value gives it back.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>>;
}

/// A file being written. It is durable after [`Disk::sync_file`].
pub(crate) trait Output: io::Write + io::Seek {}

/// A lock that is held.
pub(crate) trait Lock {}

/// What [`Disk::set_attributes`] does with extended attributes that are not named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extended {
    /// They stay.
    Keep,
    /// They go.
    Exactly,
}

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) kind: FileKind,
    pub(crate) len: u64,
    /// Permission, set-id and sticky bits.
    pub(crate) mode: u32,
    /// How many names a file has.
    pub(crate) names: u64,
    pub(crate) modified: (i64, u32),
    pub(crate) changed: (i64, u32),
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

/// The sort of thing that stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    File,
    Folder,
    Link,
    /// A device, pipe or socket.
    Special,
}

impl FileKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::File => "a file",
            Self::Folder => "a folder",
            Self::Link => "a symbolic link",
            Self::Special => "a device, pipe or socket",
        }
    }
}
