//! Output files that appear only when they are whole.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, BufWriter, Seek, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use tempfile::Builder;

use crate::error::{Error, ErrorKind, Result};

/// What an output path leads to.
enum Place {
    /// A regular file that is replaced, or a name that is free. Symbolic links are followed: they stay.
    Name(PathBuf),
    /// A device, pipe or socket: it is written to.
    Special,
}

/// Writes a file beside `path` and lets it take its place when it is whole.
///
/// Without `permissions` it gets those of any new file. With them, nobody else can read it before it has them. A
/// device or pipe gets the bytes when all of them are made.
pub(crate) fn write_atomically(
    path: &Path,
    permissions: Option<Permissions>,
    write: impl FnOnce(&mut BufWriter<&fs::File>) -> Result<()>,
) -> Result<()> {
    match place(path)? {
        Place::Name(real) => write_beside(path, &real, permissions, write),
        Place::Special => write_into(path, write),
    }
}

fn place(path: &Path) -> Result<Place> {
    let shown = absolute(path);
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(Error::new(ErrorKind::Usage, "the output is a folder").at(shown)),
        Ok(found) if !found.is_file() => Ok(Place::Special),
        Ok(_) => path.canonicalize().map(Place::Name).map_err(|error| Error::io("find the output", shown, &error)),
        Err(_) if path.symlink_metadata().is_ok() => {
            Err(Error::new(ErrorKind::Usage, "the output is a symbolic link that leads nowhere").at(shown))
        }
        Err(_) => Ok(Place::Name(path.to_owned())),
    }
}

fn write_beside(
    shown: &Path,
    path: &Path,
    permissions: Option<Permissions>,
    write: impl FnOnce(&mut BufWriter<&fs::File>) -> Result<()>,
) -> Result<()> {
    let failed = |doing: &'static str| move |error: io::Error| failed(doing, shown, &error);
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // The umask takes its share of this.
    let mode = if permissions.is_some() { 0o600 } else { 0o666 };
    let draft = Builder::new()
        .prefix(".patchwright-")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder)
        .map_err(failed("write"))?;
    fill(draft.as_file(), shown, write)?;
    if let Some(permissions) = permissions {
        draft.as_file().set_permissions(permissions).map_err(failed("set the permissions"))?;
    }
    draft.as_file().sync_all().map_err(failed("write"))?;
    draft.persist(path).map_err(|error| failed("write")(error.error))?;
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("write"))
}

fn write_into(path: &Path, write: impl FnOnce(&mut BufWriter<&fs::File>) -> Result<()>) -> Result<()> {
    let mut draft = tempfile::tempfile().map_err(|error| failed("write a temporary file for", path, &error))?;
    fill(&draft, path, write)?;
    let mut pass_on = || -> io::Result<()> {
        draft.rewind()?;
        let mut out = OpenOptions::new().write(true).open(path)?;
        io::copy(&mut draft, &mut out)?;
        out.flush()
    };
    pass_on().map_err(|error| failed("write", path, &error))
}

fn fill(draft: &fs::File, shown: &Path, write: impl FnOnce(&mut BufWriter<&fs::File>) -> Result<()>) -> Result<()> {
    let mut out = BufWriter::new(draft);
    write(&mut out).map_err(|error| error.at(absolute(shown)))?;
    out.flush().map_err(|error| failed("write", shown, &error))
}

fn failed(doing: &str, path: &Path, error: &io::Error) -> Error {
    Error::io(doing, absolute(path), error)
}

/// The path from the root, so that nobody takes it for one below the target.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Opens a file for reading; a pipe does not keep us waiting for somebody to write to it.
pub(crate) fn open_for_reading(path: &Path) -> io::Result<fs::File> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }
}
