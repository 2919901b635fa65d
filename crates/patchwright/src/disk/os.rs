//! The real disk: a folder held open, and system calls relative to it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Component, Path};

use patchwright_formats::ReadAt;
use patchwright_formats::undo::Attributes;
use rustix::fs::{self, AtFlags, CWD, Dir, FileType, FlockOperation, IFlags, Mode, OFlags, RenameFlags, XattrFlags};
use rustix::io::Errno;

use super::{Disk, Extended, FileKind, Lock, Output, Stat};

/// A folder of the machine's file systems.
pub(crate) struct OsDisk {
    root: OwnedFd,
}

impl OsDisk {
    /// Opens the folder at `path`.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let root = fs::openat(CWD, path, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { root })
    }

    /// Opens the folder that `path` stands in, name by name, following no link, and returns it with the last name.
    fn parent<'p>(&self, path: &'p Path) -> io::Result<(OwnedFd, &'p OsStr)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        Ok((self.folder(path.parent().unwrap_or(Path::new("")))?, name))
    }

    fn folder(&self, path: &Path) -> io::Result<OwnedFd> {
        let mut at = self.root.try_clone()?;
        for component in path.components() {
            let Component::Normal(name) = component else { return Err(io::ErrorKind::InvalidInput.into()) };
            at = fs::openat(&at, name, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
                .map_err(|error| not_a_link(error, path))?;
        }
        Ok(at)
    }

    /// Opens what stands at `path` for reading its content or attributes.
    fn handle(&self, path: &Path) -> io::Result<OwnedFd> {
        let (folder, name) = self.parent(path)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        fs::openat(&folder, name, flags, Mode::empty()).map_err(|error| not_a_link(error, path))
    }
}

/// Says what ELOOP and ENOTDIR mean here.
fn not_a_link(error: Errno, path: &Path) -> io::Error {
    if error == Errno::LOOP || error == Errno::NOTDIR {
        let what = format!("'{}' is or passes through a symbolic link or something that is no folder", path.display());
        return io::Error::new(io::ErrorKind::NotADirectory, what);
    }
    error.into()
}

impl Disk for OsDisk {
    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        if path.as_os_str().is_empty() {
            return Ok(Some(stat_of(&fs::fstat(&self.root)?)));
        }
        let (folder, name) = match self.parent(path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat_of(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadAt>> {
        Ok(Box::new(FileSource::new(self.handle(path)?.into())?))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        let (folder, name) = self.parent(path)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Box::new(OsOutput(fs::openat(&folder, name, flags, Mode::from_raw_mode(0o600))?.into())))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(self.folder(path)?)? {
            let name = entry?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name));
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn make_folder(&self, path: &Path, mode: u32) -> io::Result<()> {
        let (folder, name) = self.parent(path)?;
        fs::mkdirat(&folder, name, Mode::from_raw_mode(0o700))?;
        // The umask has taken bits away from what mkdir was told.
        Ok(fs::chmodat(&folder, name, Mode::from_raw_mode(mode), AtFlags::empty())?)
    }

    fn make_link(&self, target: &Path, path: &Path) -> io::Result<()> {
        let (folder, name) = self.parent(path)?;
        Ok(fs::symlinkat(target, &folder, name)?)
    }

    fn read_link(&self, path: &Path) -> io::Result<OsString> {
        let (folder, name) = self.parent(path)?;
        Ok(OsString::from_vec(fs::readlinkat(&folder, name, Vec::new())?.into_bytes()))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let (folder, name) = self.parent(path)?;
        Ok(fs::unlinkat(&folder, name, AtFlags::empty())?)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        let (folder, name) = self.parent(path)?;
        Ok(fs::unlinkat(&folder, name, AtFlags::REMOVEDIR)?)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let ((from, from_name), (to, to_name)) = (self.parent(from)?, self.parent(to)?);
        Ok(fs::renameat(&from, from_name, &to, to_name)?)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        let ((from, from_name), (to, to_name)) = (self.parent(from)?, self.parent(to)?);
        match fs::renameat_with(&from, from_name, &to, to_name, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS) => {
                // The file system cannot promise it; the lock and this look must do.
                match fs::statat(&to, to_name, AtFlags::SYMLINK_NOFOLLOW) {
                    Err(Errno::NOENT) => Ok(fs::renameat(&from, from_name, &to, to_name)?),
                    Ok(_) => Err(Errno::EXIST.into()),
                    Err(error) => Err(error.into()),
                }
            }
            other => Ok(other?),
        }
    }

    fn exchange(&self, first: &Path, second: &Path) -> io::Result<()> {
        let ((first, first_name), (second, second_name)) = (self.parent(first)?, self.parent(second)?);
        match fs::renameat_with(&first, first_name, &second, second_name, RenameFlags::EXCHANGE) {
            Err(Errno::INVAL | Errno::NOSYS) => Err(io::ErrorKind::Unsupported.into()),
            other => Ok(other?),
        }
    }

    fn add_name(&self, from: &Path, to: &Path) -> io::Result<()> {
        let ((from, from_name), (to, to_name)) = (self.parent(from)?, self.parent(to)?);
        Ok(fs::linkat(&from, from_name, &to, to_name, AtFlags::empty())?)
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        Ok(fs::fsync(self.handle(path)?)?)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        Ok(fs::fsync(self.folder(path)?)?)
    }

    fn attributes(&self, path: &Path) -> io::Result<Attributes> {
        let (folder, name) = self.parent(path)?;
        let raw = fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let stat = stat_of(&raw);
        let is_link = stat.kind == FileKind::Link;
        Ok(Attributes {
            modified: Some(stat.modified),
            owner: Some((raw.st_uid, raw.st_gid)),
            mode: (!is_link).then_some(stat.mode),
            extended: if is_link { Vec::new() } else { extended(&self.handle(path)?)? },
        })
    }

    fn set_attributes(&self, path: &Path, attributes: &Attributes, policy: Extended) -> io::Result<()> {
        let (folder, name) = self.parent(path)?;
        let now = fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let is_link = stat_of(&now).kind == FileKind::Link;
        // In this order: changing the owner takes set-id bits and capabilities away.
        if let Some((user, group)) = attributes.owner.filter(|owner| *owner != (now.st_uid, now.st_gid)) {
            let (user, group) = (fs::Uid::from_raw(user), fs::Gid::from_raw(group));
            fs::chownat(&folder, name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|error| cannot("keep owner and group", error))?;
        }
        if !is_link {
            // Through the name: one's own file need not be readable to oneself.
            if let Some(mode) = attributes.mode {
                fs::chmodat(&folder, name, Mode::from_raw_mode(mode), AtFlags::empty())
                    .map_err(|error| cannot("keep the permissions", error))?;
            }
            if policy == Extended::Exactly || !attributes.extended.is_empty() {
                set_extended(&self.handle(path)?, &attributes.extended, policy)?;
            }
        }
        if let Some((seconds, nanoseconds)) = attributes.modified {
            let modified = fs::Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() };
            let accessed = fs::Timespec { tv_sec: 0, tv_nsec: fs::UTIME_OMIT };
            let times = fs::Timestamps { last_access: accessed, last_modification: modified };
            fs::utimensat(&folder, name, &times, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|error| cannot("set the time of change", error))?;
        }
        Ok(())
    }

    fn is_ours(&self, path: &Path) -> io::Result<bool> {
        let (folder, name) = self.parent(path)?;
        let stat = fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(stat.st_uid == rustix::process::geteuid().as_raw() && stat.st_mode & 0o022 == 0)
    }

    fn is_immutable(&self, path: &Path) -> io::Result<bool> {
        match fs::ioctl_getflags(self.handle(path)?) {
            Ok(flags) => Ok(flags.intersects(IFlags::IMMUTABLE | IFlags::APPEND)),
            // The file system has no such flags.
            Err(_) => Ok(false),
        }
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let stat = fs::fstatvfs(&self.root)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        let (folder, name) = self.parent(path)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = fs::openat(&folder, name, flags, Mode::from_raw_mode(0o600))?;
        match fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        // Whoever had it before may have removed the file: then this lock is one on nothing.
        let held = fs::fstat(&file)?;
        match fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(named) if (named.st_dev, named.st_ino) == (held.st_dev, held.st_ino) => {
                Ok(Some(Box::new(OsLock { _file: file })))
            }
            Ok(_) | Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn cannot(what: &str, error: Errno) -> io::Error {
    let cause = io::Error::from(error);
    io::Error::new(cause.kind(), format!("cannot {what}: {cause}"))
}

#[allow(clippy::unnecessary_cast, clippy::cast_sign_loss, reason = "the fields' types differ between architectures")]
fn stat_of(stat: &fs::Stat) -> Stat {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Folder,
        FileType::Symlink => FileKind::Link,
        _ => FileKind::Special,
    };
    Stat {
        kind,
        len: u64::try_from(stat.st_size).unwrap_or(0),
        mode: stat.st_mode & 0o7777,
        names: stat.st_nlink as u64,
        modified: (stat.st_mtime as i64, u32::try_from(stat.st_mtime_nsec).unwrap_or(0)),
        changed: (stat.st_ctime as i64, u32::try_from(stat.st_ctime_nsec).unwrap_or(0)),
        device: stat.st_dev as u64,
        inode: stat.st_ino as u64,
    }
}

/// Signatures over the old content, which the new content cannot have.
const CONTENT_BOUND: [&[u8]; 2] = [b"security.ima", b"security.evm"];

fn extended(file: &OwnedFd) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut found = Vec::new();
    for name in extended_names(file)? {
        if !CONTENT_BOUND.contains(&name.as_slice()) {
            let value = grown(|buffer| fs::fgetxattr(file, OsStr::from_bytes(&name), buffer))?;
            found.push((name, value));
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn extended_names(file: &OwnedFd) -> io::Result<Vec<Vec<u8>>> {
    match grown(|buffer| fs::flistxattr(file, buffer)) {
        Ok(list) => Ok(list.split(|byte| *byte == 0).filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect()),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Calls `read` with a buffer that grows until what it reads fits.
fn grown(mut read: impl FnMut(&mut [u8]) -> Result<usize, Errno>) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; 4096];
    loop {
        match read(&mut buffer) {
            Ok(len) => {
                buffer.truncate(len);
                return Ok(buffer);
            }
            Err(Errno::RANGE) if buffer.len() < 1 << 20 => buffer.resize(buffer.len() * 4, 0),
            Err(error) => return Err(error.into()),
        }
    }
}

fn set_extended(file: &OwnedFd, wanted: &[(Vec<u8>, Vec<u8>)], policy: Extended) -> io::Result<()> {
    let present = extended(file)?;
    if policy == Extended::Exactly {
        for (name, _) in present.iter().filter(|(name, _)| !wanted.iter().any(|(keep, _)| keep == name)) {
            // A label that the system's policy gives every new file cannot be removed, and need not be.
            match fs::fremovexattr(file, OsStr::from_bytes(name)) {
                Err(error) if !name.starts_with(b"security.") => return Err(cannot_attribute(name, error)),
                _ => {}
            }
        }
    }
    for (name, value) in wanted.iter().filter(|attribute| !present.contains(attribute)) {
        fs::fsetxattr(file, OsStr::from_bytes(name), value, XattrFlags::empty())
            .map_err(|error| cannot_attribute(name, error))?;
    }
    Ok(())
}

fn cannot_attribute(name: &[u8], error: Errno) -> io::Error {
    cannot(&format!("keep the extended attribute '{}'", name.escape_ascii()), error)
}

/// An open file that is read at any offset.
pub(crate) struct FileSource {
    file: File,
    len: u64,
}

impl FileSource {
    pub(crate) fn new(file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(Self { file, len: metadata.len() })
    }
}

impl ReadAt for FileSource {
    fn len_bytes(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }
}

struct OsOutput(File);

impl io::Write for OsOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl io::Seek for OsOutput {
    fn seek(&mut self, position: io::SeekFrom) -> io::Result<u64> {
        self.0.seek(position)
    }
}

impl Output for OsOutput {}

struct OsLock {
    _file: OwnedFd,
}

impl Lock for OsLock {}
