//! The cabinet of a family: its files in the order of their numbers, compressed with MSZIP.
//!
//! Windows Installer finds a file in it by name, which is the file's key. Nothing but the contents and the time that the
//! caller gives is in the bytes. Contents are read as they are written, so memory does not grow with them.

use std::io::{self, Read, Seek, Write};
use std::sync::{Arc, Mutex, PoisonError};

use cab::{CabinetBuilder, CompressionType};
use time::{Date, Month, PrimitiveDateTime, Time, UtcDateTime};

use crate::cabinet::{Entry, Exchange, unpack};
use crate::error::{MsiError, MsiErrorKind, Result};
use crate::image::Content;

/// A folder of a cabinet holds 65,535 blocks of 32 KiB at most; so does a file.
const MOST_BYTES: u64 = 0x7FFF_8000;
/// Names are up to so many bytes long.
const LONGEST_NAME: usize = 255;
/// Files of a cabinet.
const MOST_FILES: usize = 0xFFFF;

/// A file for a cabinet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// Its name, the key of the file.
    pub name: &'a str,
    /// Its length.
    pub len: u64,
}

/// Why a cabinet cannot hold what it should: a sentence for each reason.
pub fn objections(items: &[Item<'_>]) -> Vec<String> {
    let mut found = Vec::new();
    if items.len() > MOST_FILES {
        found.push(format!("{} files; a cabinet holds {MOST_FILES}", items.len()));
    }
    for item in items {
        if item.len > MOST_BYTES {
            found.push(format!(
                "{}: {} bytes; a cabinet holds files of {MOST_BYTES} bytes (2 GiB)",
                item.name, item.len
            ));
        }
        if item.name.len() > LONGEST_NAME || item.name.is_empty() || item.name.contains('\0') {
            found.push(format!("{:?}: a cabinet takes names of 1 to {LONGEST_NAME} bytes", item.name));
        }
    }
    found
}

/// Writes a cabinet; `open` gives the content of each item, by index, and must give as many bytes as the item says.
///
/// `time` is what all files get as the time of their last change: seconds since 1970, in UTC.
///
/// # Errors
/// What reading or writing gives; a cabinet of more than 2 GiB; contents of another length than their item says.
pub fn write<W: Write + Seek, R: Read>(
    out: W,
    items: &[Item<'_>],
    time: u64,
    mut open: impl FnMut(usize) -> io::Result<R>,
) -> io::Result<W> {
    let reasons = objections(items);
    if !reasons.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, reasons.join("; ")));
    }
    let mut builder = CabinetBuilder::new();
    let time = dos_time(time);
    let mut room = 0;
    for chunk in folders(items) {
        let folder = builder.add_folder(CompressionType::MsZip);
        for item in &items[chunk] {
            folder.add_file(item.name).set_datetime(time);
            room += 1;
        }
    }
    debug_assert_eq!(room, items.len(), "each file is in a folder");
    let mut cabinet = builder.build(out)?;
    let mut index = 0;
    while let Some(mut file) = cabinet.next_file()? {
        let mut content = open(index)?;
        let written = io::copy(&mut content, &mut file)?;
        let item = items.get(index).ok_or_else(|| io::Error::other("more files than were announced"))?;
        if written != item.len {
            let what = format!("{} has {written} bytes and had {} before: it changed meanwhile", item.name, item.len);
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        index += 1;
    }
    cabinet.finish()
}

/// A file that a cabinet should hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its length.
    pub len: u64,
    /// BLAKE3 of its content.
    pub hash: [u8; 32],
}

/// Unpacks a cabinet with the reader that installers are unpacked with, which shares nothing with what wrote it: every file
/// must be there, and be what it should.
///
/// # Errors
/// A cabinet that cannot be read; files that are missing, more than expected, or different.
pub fn prove(open: impl FnMut() -> io::Result<Box<dyn Content>>, expected: &[Expected<'_>]) -> Result<()> {
    let mut proof = Proof { open, expected, listed: 0, found: Vec::new() };
    proof.found.resize_with(expected.len(), || None);
    unpack(STRUCTURE, &mut proof)?;
    let mut wrong = Vec::new();
    for (item, found) in expected.iter().zip(&proof.found) {
        let same = found.as_ref().is_some_and(|hasher| {
            let hasher = hasher.lock().unwrap_or_else(PoisonError::into_inner);
            hasher.count() == item.len && *hasher.finalize().as_bytes() == item.hash
        });
        // A file without a byte is never begun.
        let is_empty = found.is_none() && item.len == 0 && proof.listed > 0;
        if !same && !is_empty {
            wrong.push(item.name);
        }
    }
    if proof.listed != expected.len() || !wrong.is_empty() {
        let what =
            format!("{} files of {} came out; not as they should: {}", proof.listed, expected.len(), wrong.join(", "));
        return Err(MsiError::malformed(STRUCTURE, what));
    }
    Ok(())
}

const STRUCTURE: &str = "cabinet";

struct Proof<'a, O> {
    open: O,
    expected: &'a [Expected<'a>],
    /// Files that the cabinet lists.
    listed: usize,
    found: Vec<Option<Arc<Mutex<blake3::Hasher>>>>,
}

impl<O: FnMut() -> io::Result<Box<dyn Content>>> Exchange for Proof<'_, O> {
    fn open(&mut self, _name: &str) -> Result<Box<dyn Content>> {
        (self.open)().map_err(|error| MsiError::new(STRUCTURE, MsiErrorKind::Io(error)))
    }

    fn wants(&mut self, entry: Entry<'_>) -> Option<usize> {
        // In the order in which they should be.
        let number = self.listed;
        self.listed += 1;
        let item = self.expected.get(number)?;
        (item.name == entry.name && item.len == u64::from(entry.len)).then_some(number)
    }

    fn create(&mut self, number: usize) -> Result<Box<dyn Write>> {
        let hasher = Arc::new(Mutex::new(blake3::Hasher::new()));
        if let Some(found) = self.found.get_mut(number) {
            *found = Some(Arc::clone(&hasher));
        }
        Ok(Box::new(Shared(hasher)))
    }

    fn same(&mut self, number: usize, other: usize) {
        let shared = self.found.get(other).cloned().flatten();
        if let Some(found) = self.found.get_mut(number) {
            *found = shared;
        }
    }
}

/// A hash that is asked for when the last byte is written.
struct Shared(Arc<Mutex<blake3::Hasher>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Cuts the items into runs that a folder holds.
fn folders(items: &[Item<'_>]) -> Vec<std::ops::Range<usize>> {
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    let mut filled = 0_u64;
    for (index, item) in items.iter().enumerate() {
        filled = filled.saturating_add(item.len);
        match runs.last_mut() {
            Some(run) if filled <= MOST_BYTES => run.end = index + 1,
            _ => {
                runs.push(index..index + 1);
                filled = item.len;
            }
        }
    }
    runs
}

/// The time as a cabinet can say it: from 1980 to 2107. An earlier one becomes the first of these, a later one the last.
fn dos_time(seconds: u64) -> PrimitiveDateTime {
    let first =
        PrimitiveDateTime::new(Date::from_calendar_date(1980, Month::January, 1).unwrap_or(Date::MIN), Time::MIDNIGHT);
    let given = i64::try_from(seconds).ok().and_then(|seconds| UtcDateTime::from_unix_timestamp(seconds).ok());
    let given = given.map_or(PrimitiveDateTime::MAX, |given| PrimitiveDateTime::new(given.date(), given.time()));
    given.max(first)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn made(contents: &[(&str, Vec<u8>)], time: u64) -> Vec<u8> {
        let items: Vec<Item<'_>> =
            contents.iter().map(|(name, bytes)| Item { name, len: bytes.len() as u64 }).collect();
        let out = write(Cursor::new(Vec::new()), &items, time, |index| Ok(Cursor::new(contents[index].1.clone())));
        out.unwrap().into_inner()
    }

    #[test]
    fn files_come_back_in_order() {
        let contents = [
            ("second", b"short".to_vec()),
            ("First.exe", (0..200_000_u32).flat_map(|number| (number / 7).to_le_bytes()).collect()),
            ("empty", Vec::new()),
            ("noise", (0..70_000_u64).map(|n| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect()),
        ];
        let bytes = made(&contents, 1_700_000_000);
        let mut cabinet = cab::Cabinet::new(Cursor::new(&bytes)).unwrap();
        let names: Vec<String> = cabinet
            .folder_entries()
            .flat_map(|folder| folder.file_entries().map(|file| file.name().to_owned()).collect::<Vec<_>>())
            .collect();
        assert_eq!(names, ["second", "First.exe", "empty", "noise"]);
        for (name, expect) in &contents {
            let mut found = Vec::new();
            cabinet.read_file(name).unwrap().read_to_end(&mut found).unwrap();
            assert!(found == *expect, "{name}");
        }
        let mut expected: Vec<Expected<'_>> = contents
            .iter()
            .map(|(name, bytes)| Expected { name, len: bytes.len() as u64, hash: *blake3::hash(bytes).as_bytes() })
            .collect();
        let proven = |expected: &[Expected<'_>]| prove(|| Ok(Box::new(Cursor::new(bytes.clone()))), expected).is_ok();
        assert!(proven(&expected));
        assert!(!proven(&expected[1..]) && !proven(&expected[..3]), "one is missing");
        expected.swap(0, 1);
        assert!(!proven(&expected), "another order");
        expected.swap(0, 1);
        expected[3].hash[0] ^= 1;
        assert!(!proven(&expected), "another content");
        assert!(bytes == made(&contents, 1_700_000_000), "the same bytes each time");
        assert_ne!(bytes, made(&contents, 1_700_000_100));
        assert!(made(&[], 0).starts_with(b"MSCF"));
    }

    #[test]
    fn a_folder_takes_two_gibibytes() {
        let item = |len| Item { name: "x", len };
        let limit = MOST_BYTES;
        for (lens, expect) in [
            (&[][..], &[][..]),
            (&[limit], &[(0, 1)]),
            (&[limit - 1, 1, 0, 1, 5], &[(0, 3), (3, 5)]),
            (&[limit, limit], &[(0, 1), (1, 2)]),
        ] {
            let items: Vec<_> = lens.iter().map(|len| item(*len)).collect();
            let runs: Vec<_> = folders(&items).into_iter().map(|run| (run.start, run.end)).collect();
            assert_eq!(runs, expect, "{lens:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_told_at_once() {
        let long = "n".repeat(256);
        let items = [
            Item { name: "huge", len: MOST_BYTES + 1 },
            Item { name: &long, len: 0 },
            Item { name: "", len: 0 },
            Item { name: "fits", len: MOST_BYTES },
        ];
        assert_eq!(objections(&items).len(), 3);
        let written = write(Cursor::new(Vec::new()), &items, 0, |_| Ok(io::empty()));
        assert!(written.unwrap_err().to_string().contains("huge: 2147450881 bytes"));
        // A file that shrank while it was packed.
        let items = [Item { name: "x", len: 3 }];
        assert!(write(Cursor::new(Vec::new()), &items, 0, |_| Ok(Cursor::new(b"no"))).is_err());
    }

    #[test]
    fn times_beyond_a_cabinet_are_brought_into_it() {
        for (seconds, year) in [(0, 1980), (315_532_799, 1980), (1_700_000_000, 2023), (u64::MAX, 9999)] {
            assert_eq!(dos_time(seconds).year(), year, "{seconds}");
        }
    }
}
