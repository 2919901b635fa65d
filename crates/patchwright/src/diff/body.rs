//! One delta of a patch: made, and followed once before it is used.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use patchwright_delta::{CreateError, CreateOptions, CreateStats, Method, Phase, create::SizeTraded};
use patchwright_formats::account::BodyAccount;
use patchwright_formats::manifest::Hash;
use patchwright_formats::{ReadAt, source};

use crate::atomic::open_for_reading;
use crate::disk::FileSource;
use crate::error::{Error, Result};
use crate::make::apply_error;
use crate::options::DiffOptions;
use crate::progress::Progress;

use super::account;

/// Deltas of files up to this length are kept in memory until they are written.
const IN_MEMORY: u64 = 32 << 20;

/// A delta that leads to the right file.
pub(crate) struct Body {
    bytes: Bytes,
    stats: CreateStats,
    /// Where its bytes went, for large ones.
    account: Option<BodyAccount>,
}

enum Bytes {
    Memory(Vec<u8>),
    File(FileSource),
}

impl Body {
    /// Makes the delta from `old` to `new`, both seen with their blanks; `scratch` is a folder for large deltas.
    pub(crate) fn make(
        old: &dyn ReadAt,
        new: &dyn ReadAt,
        new_hash: &Hash,
        scratch: &Path,
        options: &DiffOptions,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let (bytes, stats) = if new.len_bytes() <= IN_MEMORY {
            let mut bytes = Vec::new();
            let stats = create(old, new, options, progress, &mut bytes)?;
            (Bytes::Memory(bytes), stats)
        } else {
            let failed = |error: io::Error| Error::io("write a temporary file in", scratch, &error);
            let file = tempfile::tempfile_in(scratch).map_err(failed)?;
            let mut out = BufWriter::new(file.try_clone().map_err(failed)?);
            let stats = create(old, new, options, progress, &mut out)?;
            out.flush().map_err(failed)?;
            (Bytes::File(FileSource::new(file).map_err(failed)?), stats)
        };
        let account = stats.spending.as_ref().map(|spending| account::of(spending, new)).transpose();
        let account = account.map_err(|error| without_path("read the new file", &error))?.flatten();
        let body = Self { bytes, stats, account };
        body.check(old, new.len_bytes(), new_hash)?;
        Ok(body)
    }

    /// Writes the delta to its place in the patch.
    pub(crate) fn copy_to(&self, out: &mut dyn Write) -> io::Result<()> {
        source::for_each_chunk(self.source(), |chunk| out.write_all(chunk))
    }

    /// Where its bytes went, once it stands in blob `index`; for large ones.
    pub(crate) fn account(&self, index: usize) -> Option<BodyAccount> {
        self.account.clone().map(|account| BodyAccount { body: index, ..account })
    }

    pub(crate) fn len_bytes(&self) -> u64 {
        self.source().len_bytes()
    }

    /// How old and new were matched, in a word.
    pub(crate) fn method(&self) -> &'static str {
        match self.stats.method {
            Method::Prediction => "prediction",
            Method::Suffixes => "suffixes",
            Method::Blocks { .. } => "blocks",
        }
    }

    /// What to tell about a delta that could be smaller.
    pub(crate) fn warning(&self) -> Option<String> {
        self.stats.size_traded.map(|traded| match traded {
            SizeTraded::Memory { need, allowed } => format!(
                "matching needs {need} bytes of memory and may use {allowed}: matched by {} instead, which makes a larger patch (--max-memory)",
                self.method()
            ),
            SizeTraded::TooLong => {
                format!("a file exceeds 2 GiB: matched by {}, which makes a larger patch", self.method())
            }
        })
    }

    fn source(&self) -> &dyn ReadAt {
        match &self.bytes {
            Bytes::Memory(bytes) => bytes,
            Bytes::File(file) => file,
        }
    }

    fn check(&self, old: &dyn ReadAt, new_len: u64, new_hash: &Hash) -> Result<()> {
        let mut hasher = blake3::Hasher::new();
        patchwright_delta::apply(old, self.source(), new_len, &mut hasher, &mut |_| {})
            .map_err(|error| apply_error(&error))?;
        if hasher.finalize().as_bytes() == new_hash {
            Ok(())
        } else {
            Err(Error::bug("the delta just made does not lead to the new file"))
        }
    }
}

fn create(
    old: &dyn ReadAt,
    new: &dyn ReadAt,
    options: &DiffOptions,
    progress: &dyn Progress,
    out: &mut dyn Write,
) -> Result<CreateStats> {
    let mut choices = CreateOptions { profile: options.profile, ..CreateOptions::default() };
    if let Some(limit) = options.max_memory_bytes {
        choices.max_memory_bytes = limit;
    }
    // The engine says how far it is with matching and with compressing; we say how much further that is than before.
    let (matched, compressed) = (AtomicU64::new(0), AtomicU64::new(0));
    let tell = |at: patchwright_delta::Progress| {
        let done = match at.phase {
            Phase::Index => return,
            Phase::Match => &matched,
            Phase::Compress => &compressed,
        };
        progress.advance(at.done.saturating_sub(done.fetch_max(at.done, Ordering::Relaxed)));
    };
    progress.begin("diff", new.len_bytes().saturating_mul(2));
    let made = patchwright_delta::create(old, new, &choices, &tell, out);
    progress.end();
    made.map_err(|error| match error {
        CreateError::OldRead(cause) => without_path("read the old file", &cause),
        CreateError::NewRead(cause) => without_path("read the new file", &cause),
        CreateError::Write(cause) | CreateError::Compress(cause) => without_path("write the delta", &cause),
        CreateError::Index(what) => Error::bug(what),
    })
}

fn without_path(doing: &str, error: &io::Error) -> Error {
    let mut made = Error::io(doing, "", error);
    made.path = None;
    made
}

/// Opens a regular file for reading.
pub(crate) fn open(path: &Path) -> Result<FileSource> {
    open_for_reading(path).and_then(FileSource::new).map_err(|error| Error::io("open", path, &error))
}
