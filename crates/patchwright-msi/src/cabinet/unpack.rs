//! Files of a set of cabinets, written as they come out of their folders.

use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::io::Write;
use std::iter::Peekable;
use std::{mem, vec};

use super::data::{Blocks, Decoder, Stored};
use super::header::Header;
use crate::error::{MsiError, MsiErrorKind, Result};
use crate::image::Content;

/// Cabinets that continue each other, at most.
const LONGEST_SET: usize = 1024;

/// Files of one folder that share some of their bytes, and not all, at a place. Sound cabinets have none.
const MOST_OVERLAPS: usize = 64;

/// A file as a cabinet lists it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    /// Its name, which is a key of `File`.
    pub(crate) name: &'a str,
    /// Its bytes.
    pub(crate) len: u32,
}

struct Volume {
    name: String,
    header: Header,
}

/// Where cabinets come from and files go to.
pub(crate) trait Exchange {
    /// Opens a cabinet by name.
    fn open(&mut self, name: &str) -> Result<Box<dyn Content>>;

    /// The number of a file, the first time that it is asked for; nothing for one that is not wanted.
    fn wants(&mut self, entry: Entry<'_>) -> Option<usize>;

    /// Makes the file of a number, just before its first byte comes.
    fn create(&mut self, number: usize) -> Result<Box<dyn Write>>;

    /// A file has the very bytes of another one: they come once.
    fn same(&mut self, number: usize, other: usize);
}

/// Unpacks what is wanted of the set that a cabinet belongs to; returns the names of its cabinets.
///
/// Folders are decoded as far as they are needed, in memory for one block and the window of its compression.
pub(crate) fn unpack(name: &str, exchange: &mut dyn Exchange) -> Result<Vec<String>> {
    let set = set_of(name, exchange)?;
    let mut parts = Vec::new();
    for (at, volume) in set.iter().enumerate() {
        for index in 0..volume.header.folders.len() {
            parts.push((at, index));
            let is_last = index + 1 == volume.header.folders.len();
            let goes_on = is_last && volume.header.files.iter().any(|file| file.folder == index && file.to_next);
            if !goes_on || at + 1 == set.len() {
                unpack_folder(&set, &std::mem::take(&mut parts), exchange)?;
            }
        }
    }
    Ok(set.into_iter().map(|volume| volume.name).collect())
}

/// The cabinets that continue each other, from the first one on.
fn set_of(name: &str, exchange: &mut dyn Exchange) -> Result<Vec<Volume>> {
    let mut read = |name: &str| -> Result<Volume> {
        let header = Header::read(&mut exchange.open(name)?, &structure(name))?;
        Ok(Volume { name: name.to_owned(), header })
    };
    let mut seen = BTreeSet::new();
    let mut once = |name: &str| match seen.insert(name.to_lowercase()) && seen.len() <= LONGEST_SET {
        true => Ok(()),
        false => Err(MsiError::malformed(structure(name), "the cabinets before and after it have no end")),
    };
    let mut first = read(name)?;
    once(name)?;
    while let Some(previous) = first.header.previous.clone() {
        once(&previous)?;
        first = read(&previous)?;
    }
    let mut set = vec![first];
    let mut after = BTreeSet::new();
    while let Some(next) = set.last().and_then(|volume| volume.header.next.clone()) {
        if !after.insert(next.to_lowercase()) || after.len() > LONGEST_SET {
            return Err(MsiError::malformed(structure(&next), "the cabinets before and after it have no end"));
        }
        set.push(read(&next)?);
    }
    Ok(set)
}

fn structure(name: &str) -> String {
    format!("cabinet {name}")
}

/// A file on its way out.
struct Output {
    start: u64,
    end: u64,
    number: usize,
}

fn unpack_folder(set: &[Volume], parts: &[(usize, usize)], exchange: &mut dyn Exchange) -> Result<()> {
    let Some(&(first, folder)) = parts.first() else { return Ok(()) };
    let pending = outputs(set, parts, exchange);
    let Some(end) = pending.iter().map(|output| output.end).max() else { return Ok(()) };
    let names = structure(&set[first].name);
    let mut blocks = Blocks::new(Decoder::of(set[first].header.folders[folder].compression, &names)?);
    let mut parts = parts.iter();
    let mut files = Files { pending: pending.into_iter().peekable(), open: Vec::new() };
    let mut at = 0;
    while at < end {
        let block = blocks.next(&mut || {
            let Some(&(at, folder)) = parts.next() else { return Ok(None) };
            let Volume { name, header } = &set[at];
            let content = exchange.open(name)?;
            Stored::of(content, header.folders[folder], header.block_reserve, &structure(name)).map(Some)
        })?;
        let block =
            block.ok_or_else(|| MsiError::malformed(&names, format!("folder {folder} ends before its files do")))?;
        files.take(block, at, exchange)?;
        if files.open.len() > MOST_OVERLAPS {
            return Err(MsiError::malformed(&names, format!("folder {folder} has too many files that overlap")));
        }
        at += block.len() as u64;
    }
    // What has no bytes has no block.
    files.take(&[], at, exchange)
}

/// The files of a folder while its blocks go by.
struct Files {
    /// Those that did not begin yet, by their starts.
    pending: Peekable<vec::IntoIter<Output>>,
    /// Those that go on in the next block.
    open: Vec<(Output, Box<dyn Write>)>,
}

impl Files {
    /// Writes what a block, which begins at `at`, has of each file.
    fn take(&mut self, block: &[u8], at: u64, exchange: &mut dyn Exchange) -> Result<()> {
        let next = at + block.len() as u64;
        let within = |place: u64| usize::try_from(place.clamp(at, next) - at).unwrap_or(block.len());
        let write = |output: &Output, to: &mut Box<dyn Write>| -> Result<bool> {
            let piece = &block[within(output.start)..within(output.end)];
            let goes_on = output.end > next;
            let written = to.write_all(piece).and_then(|()| if goes_on { Ok(()) } else { to.flush() });
            written.map_err(|error| MsiError::new("scratch file", MsiErrorKind::Io(error)))?;
            Ok(goes_on)
        };
        for (output, mut to) in mem::take(&mut self.open) {
            if write(&output, &mut to)? {
                self.open.push((output, to));
            }
        }
        // Thousands of small files may begin and end here: one after another.
        while let Some(output) = self.pending.next_if(|output| output.start < next || output.start == output.end) {
            let mut to = exchange.create(output.number)?;
            if write(&output, &mut to)? {
                self.open.push((output, to));
            }
        }
        Ok(())
    }
}

/// The files of a folder that are wanted, by their places; those with the same bytes once.
fn outputs(set: &[Volume], parts: &[(usize, usize)], exchange: &mut dyn Exchange) -> Vec<Output> {
    let mut outputs: BTreeMap<(u64, u64), usize> = BTreeMap::new();
    // A file that goes on is listed by each cabinet; whoever wants files wants each of them once.
    for &(at, folder) in parts {
        for file in set[at].header.files.iter().filter(|file| file.folder == folder) {
            let Some(number) = exchange.wants(Entry { name: &file.name, len: file.len }) else { continue };
            let start = u64::from(file.offset);
            match outputs.entry((start, start + u64::from(file.len))) {
                btree_map::Entry::Vacant(place) => drop(place.insert(number)),
                btree_map::Entry::Occupied(place) => exchange.same(number, *place.get()),
            }
        }
    }
    outputs.into_iter().map(|((start, end), number)| Output { start, end, number }).collect()
}
