//! Output files that appear only when they are whole.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::Builder;

use crate::error::{Error, Result};

/// Writes a file beside `path` and lets it take its place when it is whole.
///
/// Without `permissions` it gets those of any new file. With them, nobody else can read it before it has them.
pub(crate) fn write_atomically(
    path: &Path,
    permissions: Option<fs::Permissions>,
    write: impl FnOnce(&mut BufWriter<&fs::File>) -> Result<()>,
) -> Result<()> {
    let failed = |doing: &'static str| move |error: io::Error| Error::io(doing, path, &error);
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // The umask takes its share of this.
    let mode = if permissions.is_some() { 0o600 } else { 0o666 };
    let draft = Builder::new()
        .prefix(".patchwright-")
        .permissions(fs::Permissions::from_mode(mode))
        .tempfile_in(folder)
        .map_err(failed("write"))?;
    let mut out = BufWriter::new(draft.as_file());
    write(&mut out).map_err(|error| error.at(path))?;
    out.flush().map_err(failed("write"))?;
    drop(out);
    if let Some(permissions) = permissions {
        draft.as_file().set_permissions(permissions).map_err(failed("set the permissions"))?;
    }
    draft.as_file().sync_all().map_err(failed("write"))?;
    draft.persist(path).map_err(|error| Error::io("write", path, &error.error))?;
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("write"))
}
