//! The `.pwp` container: a header, blobs, and a table that knows the length and hash of each.
//!
//! Specification: `docs/formats/container.md`. The table stands at the end so that blobs can be written as they are
//! made; the header, which knows where the table is, is completed last.

use std::fmt;
use std::io::{self, Seek, SeekFrom, Write};

use crate::error::{FormatError, FormatErrorKind};
use crate::region::ByteRange;
use crate::source::{self, ReadAt, Section};
use crate::wire::Reader;

/// First bytes of every container. A transfer that mends line ends or strips bit 7 breaks them.
pub const MAGIC: [u8; 8] = *b"\x89PWP\r\n\x1a\n";
/// The only version there is.
pub const VERSION: u16 = 1;

const HEADER_SIZE: usize = 72;
const HEADER_LEN: u64 = HEADER_SIZE as u64;
/// The part of the header that the hash at its end covers, together with the table.
const HASHED_HEADER_LEN: usize = 40;
const ENTRY_LEN: usize = 56;
/// Most blobs of one container.
pub const MAX_ENTRIES: u32 = 1 << 20;

const FLAG_REQUIRED: u32 = 1;
const FLAG_DETACHED: u32 = 2;

/// What a blob is: four ASCII characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(pub [u8; 4]);

impl Kind {
    /// What the patch is for: see `docs/formats/manifest.md`.
    pub const MANIFEST: Self = Self(*b"MANI");
    /// A delta body: see `docs/formats/delta.md`.
    pub const COLD: Self = Self(*b"COLD");
    /// What an undo record knows beyond a patch: see `docs/formats/undo.md`.
    pub const UNDO: Self = Self(*b"UNDO");
    /// What running processes of one old build get: see `docs/formats/hot.md`. Who does not know it can still patch
    /// files.
    pub const HOT: Self = Self(*b"HOTP");

    /// Where the bytes of deltas went: see `docs/formats/account.md`. Nobody needs it to patch anything.
    pub const ACCOUNT: Self = Self(*b"ACCT");

    fn is_known(self) -> bool {
        [Self::MANIFEST, Self::COLD, Self::UNDO, Self::HOT, Self::ACCOUNT].contains(&self)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// Identifies a patch by everything in it but detached blobs, so that signing one does not rename it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PatchId(pub [u8; 32]);

impl fmt::Display for PatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What the blob is.
    pub kind: Kind,
    /// Whoever does not know the kind must refuse the container.
    pub required: bool,
    /// The blob takes no part in the identity of the patch.
    pub detached: bool,
    /// Where the blob stands in the file.
    pub range: ByteRange,
    /// BLAKE3 of the blob.
    pub hash: [u8; 32],
}

impl Entry {
    fn flags(&self) -> u32 {
        (if self.required { FLAG_REQUIRED } else { 0 }) | (if self.detached { FLAG_DETACHED } else { 0 })
    }
}

/// The checked header and table of a container. The blobs are not checked yet: see [`Container::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    entries: Vec<Entry>,
}

impl Container {
    /// Reads header and table. Their hash is checked, and that the blobs fill the file without gap or overlap.
    pub fn read(file: &dyn ReadAt) -> Result<Self, FormatError> {
        const STRUCTURE: &str = "container header";
        let mut header = [0; HEADER_SIZE];
        let available = usize::try_from(file.len_bytes()).unwrap_or(usize::MAX).min(header.len());
        file.read_exact_at(&mut header[..available], 0).map_err(|error| FormatError::io(STRUCTURE, 0, error))?;
        if header[..available.min(MAGIC.len())] != MAGIC[..available.min(MAGIC.len())] || available == 0 {
            return Err(FormatError::new(STRUCTURE, 0, FormatErrorKind::NotOurs));
        }
        if available < header.len() {
            return Err(FormatError::new(STRUCTURE, available as u64, FormatErrorKind::Truncated));
        }
        let header_fields = Header::parse(&header, file.len_bytes())?;
        let table = read_table(file, &header_fields)?;
        check_hash(&header, &table, &header_fields)?;
        let entries = parse_table(&table, &header_fields)?;
        Ok(Self { entries })
    }

    /// The table, in file order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The index of the one blob of `kind`, if there is one; an error if there are several.
    pub fn find_one(&self, kind: Kind) -> Result<Option<usize>, FormatError> {
        let mut found = self.entries.iter().enumerate().filter(|(_, entry)| entry.kind == kind);
        match (found.next(), found.next()) {
            (Some(_), Some((_, second))) => {
                Err(FormatError::malformed("container table", second.range.offset, format!("a second {kind} blob")))
            }
            (first, _) => Ok(first.map(|(index, _)| index)),
        }
    }

    /// The blob at `index` of the table as a source of its own.
    pub fn blob<S: ReadAt>(&self, file: S, index: usize) -> Result<Section<S>, FormatError> {
        let entry = self.entry(index)?;
        Section::new(file, entry.range).map_err(|error| FormatError::io("blob", entry.range.offset, error))
    }

    /// Reads the whole blob at `index`, which must not be longer than `limit`.
    pub fn read_blob(&self, file: &dyn ReadAt, index: usize, limit: u64) -> Result<Vec<u8>, FormatError> {
        let ByteRange { offset, len } = self.entry(index)?.range;
        let too_large =
            || FormatError::new("blob", offset, FormatErrorKind::TooLarge { what: "length", found: len, limit });
        let size = usize::try_from(len).ok().filter(|_| len <= limit).ok_or_else(too_large)?;
        let mut bytes = vec![0; size];
        file.read_exact_at(&mut bytes, offset).map_err(|error| FormatError::io("blob", offset, error))?;
        Ok(bytes)
    }

    /// Reads the blob at `index` and compares it with its recorded hash.
    pub fn verify(&self, file: &dyn ReadAt, index: usize) -> Result<(), FormatError> {
        let entry = self.entry(index)?;
        let blob = self.blob(file, index)?;
        let hash = source::hash(&blob).map_err(|error| FormatError::io("blob", entry.range.offset, error))?;
        if hash == entry.hash {
            Ok(())
        } else {
            Err(FormatError::new("blob", entry.range.offset, FormatErrorKind::HashMismatch))
        }
    }

    /// The identity of the patch.
    pub fn id(&self) -> PatchId {
        let mut hasher = blake3::Hasher::new_derive_key("Patchwright patch identity, version 1");
        for entry in self.entries.iter().filter(|entry| !entry.detached) {
            hasher.update(&entry.kind.0);
            hasher.update(&entry.flags().to_le_bytes());
            hasher.update(&entry.range.len.to_le_bytes());
            hasher.update(&entry.hash);
        }
        PatchId(*hasher.finalize().as_bytes())
    }

    fn entry(&self, index: usize) -> Result<&Entry, FormatError> {
        self.entries.get(index).ok_or_else(|| {
            let count = self.entries.len();
            FormatError::malformed("container table", HEADER_LEN, format!("no blob {index}, there are {count}"))
        })
    }
}

/// The header's fields, checked against the length of the file.
struct Header {
    table_offset: u64,
    count: u32,
    hash: [u8; 32],
}

impl Header {
    fn parse(bytes: &[u8], file_len: u64) -> Result<Self, FormatError> {
        let mut reader = Reader::new("container header", bytes);
        reader.array::<8>()?;
        let version = reader.u16()?;
        if version != VERSION {
            return Err(reader.unsupported(format!("container version {version}")));
        }
        let reserved = reader.u16()?;
        let features = reader.u32()?;
        if reserved != 0 || features != 0 {
            return Err(reader.unsupported(format!("required feature set {features:#x}/{reserved:#x}")));
        }
        let total = reader.u64()?;
        let table_offset = reader.u64()?;
        let count = reader.u32()?;
        let reserved = reader.u32()?;
        let hash = reader.array()?;
        if total > file_len {
            return Err(FormatError::new("container", file_len, FormatErrorKind::Truncated));
        }
        if total < file_len {
            let extra = file_len - total;
            return Err(FormatError::malformed("container", total, format!("{extra} bytes follow the end")));
        }
        if reserved != 0 {
            return Err(reader.malformed("a reserved field is not zero"));
        }
        if count > MAX_ENTRIES {
            let kind = FormatErrorKind::TooLarge { what: "blob count", found: count.into(), limit: MAX_ENTRIES.into() };
            return Err(FormatError::new("container header", 32, kind));
        }
        let table_len = u64::from(count) * ENTRY_LEN as u64;
        if table_offset < HEADER_LEN || table_offset.checked_add(table_len) != Some(total) {
            return Err(FormatError::malformed(
                "container header",
                24,
                format!("a table of {count} blobs at {table_offset:#x} does not end with the file"),
            ));
        }
        Ok(Self { table_offset, count, hash })
    }
}

fn read_table(file: &dyn ReadAt, header: &Header) -> Result<Vec<u8>, FormatError> {
    let len = usize::try_from(header.count).expect("bounded above") * ENTRY_LEN;
    let mut table = vec![0; len];
    file.read_exact_at(&mut table, header.table_offset)
        .map_err(|error| FormatError::io("container table", header.table_offset, error))?;
    Ok(table)
}

fn check_hash(header_bytes: &[u8; HEADER_SIZE], table: &[u8], header: &Header) -> Result<(), FormatError> {
    if table_hash(header_bytes, table) == header.hash {
        Ok(())
    } else {
        Err(FormatError::new("container table", header.table_offset, FormatErrorKind::HashMismatch))
    }
}

fn table_hash(header: &[u8; HEADER_SIZE], table: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&header[..HASHED_HEADER_LEN]);
    hasher.update(table);
    *hasher.finalize().as_bytes()
}

fn parse_table(table: &[u8], header: &Header) -> Result<Vec<Entry>, FormatError> {
    let mut reader = Reader::new("container table", table);
    let mut entries = Vec::with_capacity(table.len() / ENTRY_LEN);
    let mut expected = HEADER_LEN;
    for _ in 0..header.count {
        let entry = parse_entry(&mut reader)?;
        if entry.range.offset != expected {
            return Err(reader.malformed(format!("blob {} does not follow the one before it", entry.kind)));
        }
        expected = match entry.range.end() {
            Some(end) if end <= header.table_offset => end,
            _ => return Err(reader.malformed(format!("blob {} reaches into the table", entry.kind))),
        };
        entries.push(entry);
    }
    if expected != header.table_offset {
        return Err(reader.malformed("bytes that no blob owns stand before the table"));
    }
    reader.finish()?;
    Ok(entries)
}

fn parse_entry(reader: &mut Reader<'_>) -> Result<Entry, FormatError> {
    let kind = Kind(reader.array()?);
    let flags = reader.u32()?;
    if flags & !(FLAG_REQUIRED | FLAG_DETACHED) != 0 {
        return Err(reader.unsupported(format!("flags {flags:#x} of blob {kind}")));
    }
    let required = flags & FLAG_REQUIRED != 0;
    if required && !kind.is_known() {
        return Err(reader.unsupported(format!("required blob {kind}")));
    }
    let range = ByteRange::new(reader.u64()?, reader.u64()?);
    Ok(Entry { kind, required, detached: flags & FLAG_DETACHED != 0, range, hash: reader.array()? })
}

/// Writes a container: blobs first, as they are made, then the table, then the header.
pub struct ContainerWriter<W> {
    out: W,
    at: u64,
    entries: Vec<Entry>,
}

impl<W: Write + Seek> ContainerWriter<W> {
    /// Starts a container at the beginning of `out`.
    pub fn new(mut out: W) -> io::Result<Self> {
        out.seek(SeekFrom::Start(0))?;
        out.write_all(&[0; HEADER_SIZE])?;
        Ok(Self { out, at: HEADER_LEN, entries: Vec::new() })
    }

    /// Appends a blob that `write` produces, required unless files can be patched without it, and returns its index and what `write` returned.
    pub fn add<T, E: From<io::Error>>(
        &mut self,
        kind: Kind,
        write: impl FnOnce(&mut dyn Write) -> Result<T, E>,
    ) -> Result<(usize, T), E> {
        let mut blob = HashingWriter { out: &mut self.out, hasher: blake3::Hasher::new(), len: 0 };
        let made = write(&mut blob)?;
        let (len, hash) = (blob.len, *blob.hasher.finalize().as_bytes());
        let range = ByteRange::new(self.at, len);
        let required = ![Kind::HOT, Kind::ACCOUNT].contains(&kind);
        self.entries.push(Entry { kind, required, detached: false, range, hash });
        self.at += len;
        Ok((self.entries.len() - 1, made))
    }

    /// Writes table and header, and returns the output and the identity of the patch.
    pub fn finish(mut self) -> io::Result<(W, PatchId)> {
        let count = u32::try_from(self.entries.len()).ok().filter(|count| *count <= MAX_ENTRIES);
        let count = count.ok_or_else(|| io::Error::other("more blobs than a container holds"))?;
        let mut table = Vec::with_capacity(self.entries.len() * ENTRY_LEN);
        for entry in &self.entries {
            table.extend_from_slice(&entry.kind.0);
            table.extend_from_slice(&entry.flags().to_le_bytes());
            table.extend_from_slice(&entry.range.offset.to_le_bytes());
            table.extend_from_slice(&entry.range.len.to_le_bytes());
            table.extend_from_slice(&entry.hash);
        }
        let mut header = [0; HEADER_SIZE];
        header[..8].copy_from_slice(&MAGIC);
        header[8..10].copy_from_slice(&VERSION.to_le_bytes());
        header[16..24].copy_from_slice(&(self.at + table.len() as u64).to_le_bytes());
        header[24..32].copy_from_slice(&self.at.to_le_bytes());
        header[32..36].copy_from_slice(&count.to_le_bytes());
        let hash = table_hash(&header, &table);
        header[HASHED_HEADER_LEN..].copy_from_slice(&hash);
        self.out.write_all(&table)?;
        self.out.seek(SeekFrom::Start(0))?;
        self.out.write_all(&header)?;
        let id = Container { entries: self.entries }.id();
        Ok((self.out, id))
    }
}

struct HashingWriter<'a, W> {
    out: &'a mut W,
    hasher: blake3::Hasher,
    len: u64,
}

impl<W: Write> Write for HashingWriter<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.len += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn sample() -> Vec<u8> {
        let mut writer = ContainerWriter::new(Cursor::new(Vec::new())).unwrap();
        for (kind, bytes) in [(Kind::COLD, &b"first"[..]), (Kind::COLD, b""), (Kind::MANIFEST, b"third blob")] {
            writer.add(kind, |out| out.write_all(bytes)).unwrap();
        }
        writer.finish().unwrap().0.into_inner()
    }

    /// Puts the right hash on a container whose header or table was changed on purpose.
    fn rehash(file: &mut [u8]) {
        let table_offset = u64::from_le_bytes(file[24..32].try_into().unwrap()) as usize;
        let header: [u8; HEADER_SIZE] = file[..HEADER_SIZE].try_into().unwrap();
        let hash = table_hash(&header, &file[table_offset..]);
        file[HASHED_HEADER_LEN..HEADER_SIZE].copy_from_slice(&hash);
    }

    fn refusal(file: &[u8]) -> String {
        Container::read(&file).unwrap_err().to_string()
    }

    #[test]
    fn blobs_come_back_with_their_hashes() {
        let file = sample();
        let container = Container::read(&file).unwrap();
        assert_eq!(container.entries().len(), 3);
        for index in 0..3 {
            container.verify(&file, index).unwrap();
        }
        let blob = container.blob(&file, 2).unwrap();
        let mut bytes = vec![0; 10];
        blob.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(bytes, b"third blob");
        assert_eq!(container.find_one(Kind::MANIFEST).unwrap(), Some(2));
        assert_eq!(container.find_one(Kind::UNDO).unwrap(), None);
        assert!(container.find_one(Kind::COLD).is_err());
    }

    #[test]
    fn every_prefix_and_every_appended_byte_is_refused() {
        let file = sample();
        for len in 0..file.len() {
            assert!(Container::read(&&file[..len]).is_err(), "prefix of {len} bytes");
        }
        let mut longer = file;
        longer.push(0);
        assert!(refusal(&longer).contains("1 bytes follow the end"));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let file = sample();
        for index in 0..file.len() * 8 {
            let mut flipped = file.clone();
            flipped[index / 8] ^= 1 << (index % 8);
            let noticed = match Container::read(&flipped) {
                Err(_) => true,
                Ok(container) => (0..3).any(|blob| container.verify(&flipped, blob).is_err()),
            };
            assert!(noticed, "bit {index}");
        }
    }

    #[test]
    fn layout_faults_are_refused_even_with_a_right_hash() {
        let table = u64::from_le_bytes(sample()[24..32].try_into().unwrap()) as usize;
        let cases: [(usize, &[u8], &str); 7] = [
            (8, &2u16.to_le_bytes(), "container version 2 is not supported"),
            (12, &1u32.to_le_bytes(), "required feature set 0x1/0x0 is not supported"),
            (32, &u32::MAX.to_le_bytes(), "blob count is 4294967295, the limit is 1048576"),
            (32, &2u32.to_le_bytes(), "does not end with the file"),
            (table + 4, &4u32.to_le_bytes(), "flags 0x4 of blob COLD is not supported"),
            (table + 8, &73u64.to_le_bytes(), "does not follow the one before it"),
            (table + 16, &u64::MAX.to_le_bytes(), "reaches into the table"),
        ];
        for (offset, bytes, expect) in cases {
            let mut file = sample();
            file[offset..offset + bytes.len()].copy_from_slice(bytes);
            rehash(&mut file);
            assert!(refusal(&file).contains(expect), "{} lacks {expect}", refusal(&file));
        }
    }

    #[test]
    fn unknown_blobs_are_skipped_when_optional_and_refused_when_required() {
        let table = u64::from_le_bytes(sample()[24..32].try_into().unwrap()) as usize;
        let mut file = sample();
        file[table..table + 4].copy_from_slice(b"HOT1");
        rehash(&mut file);
        assert!(refusal(&file).contains("required blob HOT1 is not supported"));
        file[table + 4..table + 8].copy_from_slice(&0u32.to_le_bytes());
        rehash(&mut file);
        assert_eq!(Container::read(&file).unwrap().entries()[0].kind, Kind(*b"HOT1"));
    }

    #[test]
    fn detached_blobs_do_not_change_the_identity() {
        let container = Container::read(&sample()).unwrap();
        let mut signed = container.clone();
        let range = ByteRange::new(0, 9);
        signed.entries.push(Entry { kind: Kind(*b"SIGN"), required: false, detached: true, range, hash: [7; 32] });
        assert_eq!(signed.id(), container.id());
        signed.entries[3].detached = false;
        assert_ne!(signed.id(), container.id());
    }
}
