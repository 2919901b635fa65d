//! Opens all that a `.pcp` names: images, databases for the transforms, other old files.

use std::path::{Path, PathBuf};

use patchwright_msi::database::Database;
use patchwright_msi::image::{External, Images, Located, Opened, Options, Unlocated};
use patchwright_msi::pcp::Pcp;

use crate::atomic::open_for_reading;
use crate::error::{Error, ErrorKind, Result};
use crate::installer::{load, open_image};
use crate::windows_path::{PathMapping, Paths, environment};

/// Opens what `pcp`, the content of the file at `path`, names. What cannot be opened stands in its place with the reason.
///
/// # Errors
/// The folder for what is unpacked cannot be made.
pub(crate) fn open_images(path: &Path, pcp: &Pcp, mappings: &[PathMapping]) -> Result<Images> {
    let base = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let paths = Paths { base, mappings, variable: &environment };
    let options = Options { trust_msi: pcp.property("TrustMsi") == Some("1") };
    let open = |text: &str| -> Result<Located<Opened>> {
        match found_database(&paths, text) {
            Ok((path, database)) => open_image(&path, database, options).map(Ok),
            Err(why) => Ok(Err(why)),
        }
    };
    let mut images = Images::default();
    for row in &pcp.upgraded {
        images.upgraded.insert(row.upgraded.clone(), open(&row.msi_path)?);
        if let Some(text) = &row.patch_msi_path {
            let database = found_database(&paths, text).map(|(_, database)| database);
            images.patch_databases.insert(row.upgraded.clone(), database);
        }
    }
    for row in &pcp.targets {
        images.targets.insert(row.target.clone(), open(&row.msi_path)?);
    }
    for row in &pcp.external_files {
        let external = paths.find(&row.file_path).and_then(external);
        images.external.insert(row.file_path.clone(), external);
    }
    for name in ["MsiFileToUseToCreatePatchTables", "PatchOutputPath", "PATCH_CACHE_DIR"] {
        if let Some(Err(Unlocated::Unset(variable))) = pcp.property(name).map(|text| paths.place(text)) {
            images.unset.push((name.to_owned(), variable));
        }
    }
    Ok(images)
}

fn found_database(paths: &Paths<'_>, text: &str) -> Located<(PathBuf, Database)> {
    let path = paths.find(text)?;
    match load(&path) {
        Ok(database) => Ok((path, database)),
        Err(Error { kind: ErrorKind::Malformed, message, .. }) => {
            Err(Unlocated::NotADatabase { path: shown(&path), why: message })
        }
        Err(error) => Err(Unlocated::Unreadable { path: shown(&path), why: error.message }),
    }
}

fn external(path: PathBuf) -> Located<External> {
    let unreadable = |error: std::io::Error| Unlocated::Unreadable { path: shown(&path), why: error.to_string() };
    let len = open_for_reading(&path).and_then(|file| file.metadata()).map_err(unreadable)?.len();
    Ok(External { len, open: Box::new(move || Ok(Box::new(open_for_reading(&path)?))) })
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
