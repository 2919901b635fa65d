//! Compound files: streams of the root or of a storage, read within a budget, written without a clock.
//!
//! The crate `cfb` does the container. It gives storages the time of the day, which is taken away again here, and it
//! trusts nobody's lengths but its own; what is read beyond them is counted here.

use std::collections::BTreeSet;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::time::{Duration, SystemTime};

use cfb::{CompoundFile, Version};
use uuid::Uuid;

use crate::database::name;
use crate::error::{MsiError, MsiErrorKind, Result};

/// The class of databases: installers, merge modules and patch creation properties.
pub(crate) const DATABASE: Uuid = class(0x1084);
/// The class of transforms, in a file of their own or in a storage of a patch.
pub(crate) const TRANSFORM: Uuid = class(0x1082);
/// The class of patches.
pub(crate) const PATCH: Uuid = class(0x1086);

/// The stream of the summary information.
pub(crate) const SUMMARY: &str = "\u{5}SummaryInformation";

const STRUCTURE: &str = "compound file";

const fn class(number: u128) -> Uuid {
    Uuid::from_u128(0x000C_0000_0000_0000_C000_0000_0000_0046 | number << 96)
}

/// Opens a compound file; also says how many bytes it has, which is all that can be read of it.
pub(crate) fn open<F: Read + Seek>(mut file: F) -> Result<(CompoundFile<F>, u64)> {
    let io = |error| MsiError::io(STRUCTURE, error);
    let len = file.seek(SeekFrom::End(0)).and_then(|len| file.rewind().map(|()| len)).map_err(io)?;
    let container = CompoundFile::open(file).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput => {
            MsiError::new(STRUCTURE, MsiErrorKind::NotADatabase(error.to_string()))
        }
        _ => io(error),
    })?;
    Ok((container, len))
}

/// Makes sure that no bytes of the file are in two streams: all of them together are no longer than the file.
///
/// A small file could else have any number of long streams.
pub(crate) fn check_lengths<F: Read + Seek>(container: &CompoundFile<F>, len: u64) -> Result<()> {
    let streams = container.walk().filter(cfb::Entry::is_stream);
    let sum = streams.fold(0_u64, |sum, entry| sum.saturating_add(entry.len()));
    if sum > len {
        let what = format!("its streams have {sum} bytes, the file {len}");
        return Err(MsiError::malformed(STRUCTURE, what));
    }
    Ok(())
}

/// The streams of one storage, by name.
pub(crate) struct Streams<'a, F> {
    container: &'a mut CompoundFile<F>,
    /// The path of the storage, with a slash at its end.
    folder: String,
    /// Raw names that were not taken yet.
    left: BTreeSet<String>,
    /// Names of the storages inside.
    storages: Vec<String>,
    /// Bytes that may still be read.
    budget: u64,
    /// Bytes of all streams together.
    len_bytes: u64,
}

impl<'a, F: Read + Seek> Streams<'a, F> {
    /// The streams of the root, or of the storage called `storage`, of which no more than `budget` bytes are read.
    pub(crate) fn list(container: &'a mut CompoundFile<F>, storage: Option<&str>, budget: u64) -> Result<Self> {
        let folder = storage.map_or("/".to_owned(), |storage| format!("/{storage}/"));
        let (mut left, mut storages, mut len_bytes) = (BTreeSet::new(), Vec::new(), 0_u64);
        let entries = container.read_storage(&folder);
        for entry in entries.map_err(|error| MsiError::io(format!("storage {folder}"), error))? {
            if entry.is_stream() {
                len_bytes = len_bytes.saturating_add(entry.len());
                left.insert(entry.name().to_owned());
            } else {
                storages.push(entry.name().to_owned());
            }
        }
        storages.sort();
        let len_bytes = len_bytes.min(budget);
        Ok(Self { container, folder, left, storages, budget, len_bytes })
    }

    /// Bytes of all streams together, taken or not; of the file, if that is less.
    pub(crate) fn len_bytes(&self) -> usize {
        usize::try_from(self.len_bytes).unwrap_or(usize::MAX)
    }

    /// The content of a table's or cell's stream; `None` if there is none, or if it was taken.
    pub(crate) fn take(&mut self, name: &str, table: bool) -> Result<Option<Vec<u8>>> {
        match name::encode(name, table) {
            Some(raw) => self.take_raw(&raw),
            None => Ok(None),
        }
    }

    /// The content of the stream with this name in the container.
    pub(crate) fn take_raw(&mut self, raw: &str) -> Result<Option<Vec<u8>>> {
        if !self.left.remove(raw) {
            return Ok(None);
        }
        let structure = || format!("stream {}", name::decode(raw).0);
        let io = |error| MsiError::io(structure(), error);
        let mut stream = self.container.open_stream(format!("{}{raw}", self.folder)).map_err(io)?;
        let len = stream.len();
        if len > self.budget {
            return Err(MsiError::malformed(structure(), format!("its {len} bytes are more than the file has")));
        }
        self.budget -= len;
        let mut bytes = Vec::new();
        Read::take(&mut stream, len).read_to_end(&mut bytes).map_err(io)?;
        Ok(Some(bytes))
    }

    /// Decoded names of tables whose streams nobody took, sorted.
    pub(crate) fn tables_left(&self) -> Vec<String> {
        let decoded = self.left.iter().map(|raw| name::decode(raw));
        let mut names: Vec<String> = decoded.filter(|(_, table)| *table).map(|(name, _)| name).collect();
        names.sort();
        names
    }

    /// Names of streams that nobody took, as they stand in the container and decoded; tables are not among them.
    pub(crate) fn streams_left(&self) -> Vec<(String, String)> {
        let decoded = self.left.iter().map(|raw| (raw.clone(), name::decode(raw)));
        decoded.filter(|(_, (_, table))| !table).map(|(raw, (name, _))| (raw, name)).collect()
    }

    /// Names of the storages inside.
    pub(crate) fn storages(&self) -> &[String] {
        &self.storages
    }

    /// Names of what nobody took.
    pub(crate) fn others(self) -> Vec<String> {
        let streams = self.left.iter().map(|raw| name::decode(raw).0);
        let mut names: Vec<String> = streams.chain(self.storages).collect();
        names.sort();
        names
    }
}

/// A compound file being written. Its bytes depend on what is put into it, in which order, and on nothing else.
pub(crate) struct Container<W>(CompoundFile<W>);

impl<W: Read + Write + Seek> Container<W> {
    /// Begins a file whose root has a class.
    pub(crate) fn create(out: W, version: Version, class: Uuid) -> Result<Self> {
        let io = |error| MsiError::io(STRUCTURE, error);
        let mut file = CompoundFile::create_with_version(version, out).map_err(io)?;
        file.set_storage_clsid("/", class).map_err(io)?;
        Ok(Self(file))
    }

    /// Adds a storage to the root.
    pub(crate) fn storage(&mut self, name: &str, class: Uuid) -> Result<()> {
        let path = format!("/{name}");
        let io = |error| storing(format!("storage {name}"), error);
        if self.0.exists(&path) {
            return Err(MsiError::malformed(format!("storage {name}"), "there are two of this name"));
        }
        self.0.create_storage(&path).map_err(io)?;
        self.0.set_storage_clsid(&path, class).map_err(io)?;
        self.0.set_created_time(&path, no_time()).map_err(io)?;
        self.0.set_modified_time(&path, no_time()).map_err(io)
    }

    /// Adds a stream called `raw` to the root or to a storage; `name` is for messages.
    pub(crate) fn put(&mut self, storage: Option<&str>, name: &str, raw: &str, mut bytes: &[u8]) -> Result<()> {
        self.copy(storage, name, raw, &mut bytes).map(|_| ())
    }

    /// Adds a stream with what `content` gives, however much that is; says how much it was.
    pub(crate) fn copy(&mut self, storage: Option<&str>, name: &str, raw: &str, content: &mut dyn Read) -> Result<u64> {
        let io = |error| storing(format!("stream {name}"), error);
        let path = storage.map_or(format!("/{raw}"), |storage| format!("/{storage}/{raw}"));
        let mut stream = self.0.create_new_stream(path).map_err(io)?;
        let len = io::copy(content, &mut stream).map_err(io)?;
        stream.flush().map_err(io)?;
        Ok(len)
    }

    /// Ends the file and gives back where it was written.
    pub(crate) fn finish(mut self) -> Result<W> {
        let io = |error| MsiError::io(STRUCTURE, error);
        self.0.set_modified_time("/", no_time()).map_err(io)?;
        self.0.flush().map_err(io)?;
        Ok(self.0.into_inner())
    }
}

/// An error while writing; two streams of one name are the caller's doing.
fn storing(structure: String, error: io::Error) -> MsiError {
    if error.kind() == io::ErrorKind::AlreadyExists {
        return MsiError::malformed(structure, "there are two of this name; capital and small letters are the same");
    }
    MsiError::io(structure, error)
}

/// 1601-01-01, which is stored as 0.
fn no_time() -> SystemTime {
    SystemTime::UNIX_EPOCH - Duration::from_secs(11_644_473_600)
}

/// The name that the stream of a table or cell has in the container.
pub(crate) fn encoded(text: &str, table: bool) -> Result<String> {
    name::encode(text, table).ok_or_else(|| MsiError::malformed(format!("stream {text}"), "the name is too long"))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// Streams that share their bytes make a small file long; such a file is refused.
    #[test]
    fn streams_that_share_bytes_are_refused() {
        let mut made = Container::create(Cursor::new(Vec::new()), Version::V3, PATCH).unwrap();
        made.put(None, "long", "long", &[7; 50_000]).unwrap();
        for name in ["a1", "b2", "c3", "d4"] {
            made.put(None, name, name, &[7; 5000]).unwrap();
        }
        let sound = made.finish().unwrap().into_inner();
        let check = |bytes: Vec<u8>| {
            let (container, len) = open(Cursor::new(bytes))?;
            check_lengths(&container, len)
        };
        check(sound.clone()).unwrap();
        // Entries of the directory: a name in 64 bytes, the first sector at 116, the length at 120.
        let entry = |name: &str| {
            let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
            sound
                .windows(name.len() + 2)
                .position(|found| found[..name.len()] == name && found[name.len()..] == [0; 2])
                .unwrap()
        };
        let mut shared = sound.clone();
        let long = sound[entry("long") + 116..][..8].to_vec();
        for name in ["a1", "b2", "c3", "d4"] {
            shared[entry(name) + 116..][..8].copy_from_slice(&long);
        }
        let told = check(shared).unwrap_err().to_string();
        assert_eq!(told, format!("compound file: its streams have 250000 bytes, the file {}", sound.len()));
    }
}
