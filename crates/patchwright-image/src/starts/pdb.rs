//! A program database (PDB) beside a PE image: its modules, their procedures, and public symbols.
//!
//! The file is a set of streams in pages (*MSF*). Stream 1 says which build it belongs to, stream 3 (*DBI*) lists modules
//! with the stream of each. Sizes are believed only against the file: a stream that claims more pages than the file has
//! is damage, and so is a page that two streams share, since each page is counted once.

use super::codeview::{half, note_module, note_publics, word};
use super::{Found, Module};
use crate::error::ImageError;
use crate::image::{Image, PdbReference};

const MAGIC: &[u8; 32] = b"Microsoft C/C++ MSF 7.00\r\n\x1aDS\0\0\0";
const PDB_STREAM: usize = 1;
const DBI_STREAM: usize = 3;
/// No stream.
const NIL: u32 = u32::MAX;

/// Reads the database that belongs to the image, which names it in `reference`.
pub(super) fn read(
    data: &[u8],
    reference: Option<&PdbReference>,
    image: &mut Image<'_>,
    found: &mut Found,
) -> Result<(), ImageError> {
    let mut streams = Streams::open(data).ok_or_else(|| ImageError::malformed("not a whole program database (PDB)"))?;
    let info = streams.read(PDB_STREAM).unwrap_or_default();
    let guid = info.get(12..28);
    if reference.is_some_and(|reference| guid != Some(&reference.guid)) {
        return Err(ImageError::mismatch("the program database (PDB) belongs to another build of the image"));
    }
    let dbi = streams.read(DBI_STREAM).unwrap_or_default();
    if word(&dbi, 0) != Some(NIL) {
        return Err(ImageError::malformed("the program database (PDB) has no list of modules"));
    }
    // Behind the header of 64 bytes.
    let len = word(&dbi, 24).and_then(|len| usize::try_from(len).ok()).unwrap_or_default();
    let list = dbi.get(64..).unwrap_or_default();
    for entry in modules(&list[..len.min(list.len())]) {
        let number = image.modules.len();
        image.modules.push(Module {
            name: entry.name,
            library: entry.library,
            producer: String::new(),
            hot_patch: None,
            origin: None,
            functions: 0,
        });
        let Some(stream) = entry.stream.and_then(|stream| streams.read(usize::from(stream))) else { continue };
        note_module(&stream[..entry.symbols.min(stream.len())], number, image, found);
    }
    if let Some(records) = half(&dbi, 20).and_then(|stream| streams.read(usize::from(stream))) {
        note_publics(&records, image, found);
    }
    Ok(())
}

/// A module of the list.
struct Entry {
    name: String,
    library: String,
    stream: Option<u16>,
    symbols: usize,
}

fn modules(mut list: &[u8]) -> Vec<Entry> {
    let mut found = Vec::new();
    while let Some(header) = list.first_chunk::<64>() {
        let mut names = list[64..].split(|byte| *byte == 0);
        let (Some(name), Some(library)) = (names.next(), names.next()) else { break };
        let len = (64 + name.len() + library.len() + 2).next_multiple_of(4);
        let stream = half(header, 34).filter(|stream| *stream != u16::MAX);
        let symbols = word(header, 36).and_then(|len| usize::try_from(len).ok()).unwrap_or_default();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        found.push(Entry { name: text(name), library: text(library), stream, symbols });
        list = list.get(len..).unwrap_or_default();
    }
    found
}

/// The streams of a database.
struct Streams<'a> {
    data: &'a [u8],
    page_size: usize,
    /// Length and pages of each; emptied when it was read.
    streams: Vec<(usize, Vec<u32>)>,
    /// Pages that something was read from: what all streams hold together is no more than the file.
    used: Vec<bool>,
}

impl<'a> Streams<'a> {
    fn open(data: &'a [u8]) -> Option<Self> {
        let header = data.strip_prefix(MAGIC)?;
        let page_size = usize::try_from(word(header, 0)?).ok()?;
        if !page_size.is_power_of_two() || !(512..=65536).contains(&page_size) {
            return None;
        }
        let number = data.len().div_ceil(page_size);
        let len = usize::try_from(word(header, 12)?).ok().filter(|len| *len <= data.len())?;
        // The page with the numbers of the pages with the directory.
        let map = usize::try_from(word(header, 20)?).ok()?.checked_mul(page_size)?;
        let map = numbers(data.get(map..)?).take(len.div_ceil(page_size)).collect::<Vec<_>>();
        let mut used = vec![false; number];
        let directory = gather(data, page_size, &map, len, &mut used)?;
        let count = usize::try_from(word(&directory, 0)?).ok().filter(|count| *count <= directory.len() / 4)?;
        let mut rest = numbers(directory.get(4..)?);
        let lengths: Vec<u32> = rest.by_ref().take(count).collect();
        let streams = lengths
            .into_iter()
            .map(|len| {
                let len = if len == NIL { 0 } else { usize::try_from(len).unwrap_or(usize::MAX) };
                let pages = len.div_ceil(page_size);
                (len, rest.by_ref().take(pages).collect::<Vec<_>>())
            })
            .collect();
        Some(Self { data, page_size, streams, used })
    }

    /// A stream, once; `None` where it is damaged or was read before.
    fn read(&mut self, number: usize) -> Option<Vec<u8>> {
        let (len, pages) = std::mem::take(self.streams.get_mut(number)?);
        if len == 0 || len > self.data.len() {
            return None;
        }
        gather(self.data, self.page_size, &pages, len, &mut self.used)
    }
}

/// The first `len` bytes of some pages, none of them twice.
fn gather(data: &[u8], page_size: usize, pages: &[u32], len: usize, used: &mut [bool]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for page in pages {
        let page = usize::try_from(*page).ok()?;
        let seen = used.get_mut(page)?;
        if std::mem::replace(seen, true) {
            return None;
        }
        let start = page.checked_mul(page_size)?;
        let end = start.saturating_add(page_size).min(data.len());
        let left = len - bytes.len();
        let piece = data.get(start..end)?;
        bytes.extend_from_slice(&piece[..left.min(piece.len())]);
    }
    (bytes.len() == len).then_some(bytes)
}

fn numbers(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    let (words, _) = bytes.as_chunks::<4>();
    words.iter().map(|word| u32::from_le_bytes(*word))
}
