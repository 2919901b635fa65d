//! Facts of a file that the rows of `File` and `MsiFileHash` state.

use std::io::{self, Read, Seek};

use md5::{Digest, Md5};

use super::{FileVersion, file_version};

/// The hash of a file: the row of `MsiFileHash`, which is its MD5 as four little-endian numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [i32; 4]);

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Bytes.
    pub size: u64,
    /// Hash of all of them.
    pub hash: Hash,
    /// Version and languages, if it is a PE image that has them.
    pub version: Option<FileVersion>,
}

impl Hash {
    /// The hash whose sixteen bytes these are.
    pub fn from_md5(digest: [u8; 16]) -> Self {
        let (words, _) = digest.as_chunks::<4>();
        let mut parts = [0; 4];
        for (part, word) in parts.iter_mut().zip(words) {
            *part = i32::from_le_bytes(*word);
        }
        Self(parts)
    }
}

impl Facts {
    /// Reads all of a file, a piece at a time.
    pub fn of(content: &mut (impl Read + Seek + ?Sized)) -> io::Result<Self> {
        content.rewind()?;
        let mut hasher = Md5::new();
        let mut size = 0;
        let mut piece = vec![0; 1 << 16];
        loop {
            let len = match content.read(&mut piece) {
                Ok(0) => break,
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            hasher.update(&piece[..len]);
            size += len as u64;
        }
        let hash = Hash::from_md5(hasher.finalize().into());
        Ok(Self { size, hash, version: file_version(content)? })
    }

    /// `File.Version`
    pub fn version_text(&self) -> Option<String> {
        self.version.as_ref().map(|version| version.to_string())
    }

    /// `File.Language`: decimal numbers with commas; nothing where there are none.
    pub fn language_text(&self) -> Option<String> {
        let languages = &self.version.as_ref()?.languages;
        let texts: Vec<String> = languages.iter().map(ToString::to_string).collect();
        (!texts.is_empty()).then(|| texts.join(","))
    }
}
