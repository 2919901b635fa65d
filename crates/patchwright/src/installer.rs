//! Installers as files: the folder beside one, the streams in it, and a scratch folder for what is unpacked.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use patchwright_msi::database::{Database, copy_stream};
use patchwright_msi::image::{Content, Image, Opened, Options, Store};
use patchwright_msi::{MsiError, MsiErrorKind};
use tempfile::TempDir;

use crate::atomic::open_for_reading;
use crate::error::{Error, ErrorKind, Result};

/// Reads the tables of a database.
pub(crate) fn load(path: &Path) -> Result<Database> {
    let file = open_for_reading(path).map_err(|error| Error::io("read", path, &error))?;
    Database::read(BufReader::new(file)).map_err(|error| failed(&error, path))
}

/// An error of a database at `path`.
pub(crate) fn failed(error: &MsiError, path: &Path) -> Error {
    match &error.kind {
        MsiErrorKind::Io(cause) => Error::io("read", path, cause),
        _ => Error::new(ErrorKind::Malformed, error.to_string()).at(path),
    }
}

/// Opens the image of an installer whose tables are read: looks for its files, unpacks what is in cabinets.
///
/// What is unpacked lies in a folder of our own until the image is dropped.
///
/// # Errors
/// The scratch folder cannot be made. What is wrong with files is told by the image.
pub(crate) fn open_image(path: &Path, database: Database, options: Options) -> Result<Opened> {
    Ok(Opened::open(Image::read(database), Box::new(Folder::of(path)?), options))
}

/// The folder of an installer.
struct Folder {
    root: PathBuf,
    installer: PathBuf,
    scratch: TempDir,
    /// Streams that were copied out, by name.
    streams: Mutex<BTreeMap<String, PathBuf>>,
}

impl Folder {
    fn of(installer: &Path) -> Result<Self> {
        let root = match installer.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        let scratch = tempfile::Builder::new().prefix("patchwright-").tempdir();
        let scratch =
            scratch.map_err(|error| Error::io("make a folder for temporary files in", std::env::temp_dir(), &error))?;
        Ok(Self { root, installer: installer.to_owned(), scratch, streams: Mutex::default() })
    }

    /// A path below the root. The names are those of its folders: none leads up.
    fn below(&self, names: &[String]) -> PathBuf {
        names.iter().fold(self.root.clone(), |path, name| path.join(name))
    }

    fn number(&self, number: usize) -> PathBuf {
        self.scratch.path().join(format!("{number}"))
    }
}

impl Store for Folder {
    fn list(&self, folder: &[String]) -> io::Result<Vec<String>> {
        // A name that is not Unicode is one that no table can have.
        let mut names = Vec::new();
        for entry in fs::read_dir(self.below(folder))? {
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    }

    fn open(&self, path: &[String]) -> io::Result<Box<dyn Content>> {
        boxed(open_for_reading(&self.below(path))?)
    }

    fn stream(&self, name: &str) -> io::Result<Box<dyn Content>> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = streams.get(name) {
            return boxed(File::open(path)?);
        }
        let path = self.scratch.path().join(format!("stream-{}", streams.len()));
        let mut copy = BufWriter::new(OpenOptions::new().write(true).create(true).truncate(true).open(&path)?);
        copy_stream(BufReader::new(open_for_reading(&self.installer)?), name, &mut copy)?;
        copy.flush()?;
        streams.insert(name.to_owned(), path.clone());
        boxed(File::open(path)?)
    }

    fn create(&self, number: usize) -> io::Result<Box<dyn Write>> {
        let file = OpenOptions::new().write(true).create_new(true).open(self.number(number))?;
        Ok(Box::new(BufWriter::new(file)))
    }

    fn scratch(&self, number: usize) -> io::Result<Box<dyn Content>> {
        boxed(File::open(self.number(number))?)
    }
}

fn boxed(file: File) -> io::Result<Box<dyn Content>> {
    Ok(Box::new(file))
}
