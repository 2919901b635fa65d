//! Prepared archives, kept by what they were made of, so that a standard library is not rewritten at every link.
//!
//! An entry is a folder named by the hash of the archive, the options and the version of the rules. It holds the prepared
//! archive under the name of the original, which linkers show and match against, and a record with the hash of that file.
//! An entry that does not agree with its record, or has none, is made anew. Entries that nobody used for a month go.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::prepare::PrepareOptions;
use crate::report::PreparedFile;

/// To be raised when the same archive would come out different.
const RULES: u32 = 1;
const RECORD: &str = "record.json";
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// A folder of prepared archives.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Record {
    /// BLAKE3 of the prepared archive.
    hash: String,
    file: PreparedFile,
}

impl Cache {
    /// Opens the cache, and makes its folder; `None` where it cannot be trusted: others must not be able to write to it.
    pub(crate) fn open(folder: &Path) -> Option<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).ok()?;
        let found = fs::metadata(folder).ok()?;
        let own = found.uid() == rustix::process::geteuid().as_raw() && found.permissions().mode() & 0o022 == 0;
        own.then(|| Self { folder: folder.to_owned() })
    }

    fn entry(&self, data: &[u8], options: &PrepareOptions) -> PathBuf {
        let mut hasher = blake3::Hasher::new();
        hasher.update(format!("{RULES} {} {:?}\n", env!("CARGO_PKG_VERSION"), options.min_pad).as_bytes());
        hasher.update(data);
        self.folder.join(hasher.finalize().to_hex().as_str())
    }

    /// The prepared archive that was made of `data` and had this name, if it is there and whole.
    pub(crate) fn find(&self, data: &[u8], options: &PrepareOptions, input: &Path) -> Option<(PathBuf, PreparedFile)> {
        let entry = self.entry(data, options);
        let record: Record = serde_json::from_slice(&fs::read(entry.join(RECORD)).ok()?).ok()?;
        let path = entry.join(input.file_name()?);
        if !record.file.changed {
            return Some((
                input.to_owned(),
                PreparedFile { input: input.to_owned(), output: input.to_owned(), ..record.file },
            ));
        }
        let mut hasher = blake3::Hasher::new();
        io::copy(&mut File::open(&path).ok()?, &mut hasher).ok()?;
        if hasher.finalize().to_hex().as_str() != record.hash {
            return None;
        }
        // Best effort: only so that it is not thrown out.
        let _: io::Result<()> = File::open(entry.join(RECORD)).and_then(|file| file.set_modified(SystemTime::now()));
        Some((path.clone(), PreparedFile { input: input.to_owned(), output: path, ..record.file }))
    }

    /// Keeps what was made of `data`; the path of the kept file. Without `bytes` nothing had to change.
    pub(crate) fn keep(
        &self,
        data: &[u8],
        options: &PrepareOptions,
        bytes: Option<&[u8]>,
        file: &PreparedFile,
    ) -> io::Result<Option<PathBuf>> {
        self.throw_out_old();
        let entry = self.entry(data, options);
        DirBuilder::new().recursive(true).mode(0o700).create(&entry)?;
        let mut kept = None;
        if let (Some(bytes), Some(name)) = (bytes, file.input.file_name()) {
            let path = entry.join(name);
            place(&entry, &path, bytes)?;
            kept = Some(path);
        }
        let hash = blake3::hash(bytes.unwrap_or_default()).to_hex().to_string();
        let record = serde_json::to_vec(&Record { hash, file: file.clone() })?;
        place(&entry, &entry.join(RECORD), &record)?;
        Ok(kept)
    }

    fn throw_out_old(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            let used =
                entry.path().join(RECORD).metadata().or_else(|_| entry.metadata()).and_then(|found| found.modified());
            let is_hash = entry.file_name().to_str().is_some_and(|name| name.len() == 64);
            if is_hash && used.is_ok_and(|used| used.elapsed().is_ok_and(|age| age > KEPT)) {
                let _: io::Result<()> = fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// A file that appears whole, whoever else makes it at the same time.
fn place(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}
