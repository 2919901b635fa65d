//! What a file system has to give so that an image can be opened.

use std::io::{self, Read, Seek, Write};

/// The bytes of a file, wherever they are.
pub trait Content: Read + Seek + Send {}

impl<T: Read + Seek + Send> Content for T {}

/// The folder of an installer, the installer itself, and a place for what is unpacked.
///
/// Names come as the folder lists them; whoever implements this need not compare any. Every reader stands at the first
/// byte and is independent of all others.
pub trait Store: Send + Sync {
    /// Names of all that is in a folder; `folder` goes down from the installer's own, which is the empty path.
    fn list(&self, folder: &[String]) -> io::Result<Vec<String>>;

    /// Opens a file: the last of `path`, the others are folders.
    fn open(&self, path: &[String]) -> io::Result<Box<dyn Content>>;

    /// Opens a stream of the installer: an embedded cabinet. Without such a stream the error is `NotFound`.
    fn stream(&self, name: &str) -> io::Result<Box<dyn Content>>;

    /// Makes the scratch file of a number, for what comes out of a cabinet; each number is asked for once.
    fn create(&self, number: usize) -> io::Result<Box<dyn Write>>;

    /// Opens a scratch file that was made.
    fn scratch(&self, number: usize) -> io::Result<Box<dyn Content>>;
}
