//! The header of a patch: what it makes, and from which old files.
//!
//! A patch is the header, the compressed streams of all old files one after the other, and four bytes that give the
//! whole file the CRC-32 `0xFFFFFFFF`. A header-only patch is the same without the streams.

use super::error::{Pa19Error, PatchCode};
use super::flags;
use super::rift::Rift;
use super::vli::{Reader, put_svli, put_uvli};
use crate::lzx::Window;
use crate::region::{ByteRange, RetainRange};

const MAGIC: &[u8; 4] = b"PA19";

/// The CRC-32 of a whole file with its trailer.
const SEALED_CRC: u32 = 0xFFFF_FFFF;

/// Output bytes of one chunk; lengths in interleave maps are multiples of it.
const CHUNK: u32 = 1 << 15;

/// Everything before the streams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Option bits as they are on disk (see [`flags`]).
    pub flags: u32,
    /// Extended option bits; on disk only if `flags` says so.
    pub ext: u32,
    /// Time of last change of the new file in seconds since 1970, if `flags` says so.
    pub file_time: Option<u32>,
    /// What the old image is rebased to, unless `flags` says `NO_REBASE`.
    pub coff: Option<Coff>,
    /// Time of the new image's resources, unless `flags` says `NO_RESTIMEFIX`.
    pub resource_time: Option<u32>,
    /// Length of the new file in bytes.
    pub new_len: u32,
    /// CRC-32 of the new file with its retained ranges zero.
    pub new_crc: u32,
    /// The LZX window, if `ext` says so; otherwise it follows from the lengths.
    pub window: Option<Window>,
    /// The old files, 1 to 255.
    pub olds: Vec<OldEntry>,
}

/// Image base and link time of the new image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coff {
    /// Image base; the low half is zero.
    pub base: u32,
    /// `TimeDateStamp` of the file header.
    pub time: u32,
}

/// What the header says of one old file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OldEntry {
    /// Length in bytes.
    pub len: u32,
    /// CRC-32 of the old file, normalised and with ignored and retained ranges zero.
    pub crc: u32,
    /// Ignored ranges in the order of the file.
    pub ignore: Vec<ByteRange>,
    /// Retained ranges in the order of the file: the same lengths and new offsets for all old files.
    pub retain: Vec<RetainRange>,
    /// Where things of the old image are in the new one.
    pub rift: Rift,
    /// Pieces that are decoded one by one, if `flags` says so and the list is not empty.
    pub interleave: Vec<Interleave>,
    /// Length of the compressed stream; 0 where the old file is the new file.
    pub stream_len: u32,
}

/// The next `new_len` bytes of the new file are decoded against `[old_offset, old_offset + old_len)` alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interleave {
    /// Start of the reference in the old file.
    pub old_offset: u32,
    /// Length of the reference.
    pub old_len: u32,
    /// Length of the output; a multiple of 32 KiB except for the last.
    pub new_len: u32,
}

impl Header {
    /// Reads the header at the start of `bytes`; returns it and its length.
    ///
    /// The rules of section "validation" in `docs/formats/pa19.md` hold for what is returned.
    pub fn read(bytes: &[u8]) -> Result<(Self, usize), Pa19Error> {
        let mut reader = Reader::new(bytes);
        let mut header = Self::read_global(&mut reader)?;
        let count = reader.u8("old file count")?;
        if count == 0 {
            return Err(reader.corrupt("old file count", "there is no old file"));
        }
        for _ in 0..count {
            let entry = OldEntry::read(&mut reader, &header)?;
            header.olds.push(entry);
        }
        Ok((header, reader.at()))
    }

    fn read_global(reader: &mut Reader<'_>) -> Result<Self, Pa19Error> {
        let magic = reader.array::<4>("magic number")?;
        if &magic != MAGIC {
            let newer = magic.starts_with(b"PA") && magic[2..].iter().all(u8::is_ascii_digit);
            let code = if newer { PatchCode::NewerFormat } else { PatchCode::Corrupt };
            return Err(Pa19Error::new(code, "magic number", 0, "it is not PA19"));
        }
        let mut header = Self { flags: reader.u32("options")?, ..Self::default() };
        if header.flags & !flags::VALID != 0 {
            return Err(unknown_bits("options", 4, header.flags & !flags::VALID));
        }
        if header.has(flags::EXTENDED) {
            header.ext = reader.u32("extended options")?;
            if header.ext & !flags::EXT_VALID != 0 {
                return Err(unknown_bits("extended options", 8, header.ext & !flags::EXT_VALID));
            }
        }
        if header.has(flags::TIMESTAMP) {
            header.file_time = Some(reader.u32("file time")?);
        }
        if !header.has(flags::NO_REBASE) {
            let base = u32::from(reader.u16("image base")?) << 16;
            let time = read_time(reader, "link time", header.file_time)?;
            header.coff = Some(Coff { base, time });
        }
        if !header.has(flags::NO_RESTIMEFIX) {
            let earlier = header.coff.map(|coff| coff.time);
            header.resource_time = Some(read_time(reader, "resource time", earlier)?);
        }
        header.new_len = reader.uvli("new file length")?;
        header.new_crc = reader.u32("new file CRC")?;
        if header.ext & flags::EXT_WINDOW != 0 {
            let log2 = reader.u8("window")?;
            let window = Window::new(log2);
            header.window =
                Some(window.ok_or_else(|| reader.corrupt("window", format!("2^{log2} bytes are no LZX window")))?);
        }
        Ok(header)
    }

    /// The bytes of the header, without trailer. Options and optional fields must agree, as [`Header::read`] makes them.
    pub fn write(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&self.flags.to_le_bytes());
        if self.has(flags::EXTENDED) {
            out.extend_from_slice(&self.ext.to_le_bytes());
        }
        if let Some(time) = self.file_time {
            out.extend_from_slice(&time.to_le_bytes());
        }
        if let Some(coff) = self.coff {
            out.extend_from_slice(&coff.base.to_le_bytes()[2..]);
            put_time(&mut out, coff.time, self.file_time);
        }
        if let Some(time) = self.resource_time {
            put_time(&mut out, time, self.coff.map(|coff| coff.time));
        }
        put_uvli(&mut out, self.new_len);
        out.extend_from_slice(&self.new_crc.to_le_bytes());
        if let Some(window) = self.window {
            out.push(window.log2());
        }
        out.push(u8::try_from(self.olds.len()).expect("the creator has bounded the number of old files"));
        for entry in &self.olds {
            entry.write(&mut out, self);
        }
        out
    }

    /// Whether any of `bits` is set in the options.
    pub fn has(&self, bits: u32) -> bool {
        self.flags & bits != 0
    }

    /// The LZX window for an old file of `old_len` bytes.
    pub fn window_for(&self, old_len: u32) -> Window {
        let cap = window_cap(self.has(flags::USE_LZX_LARGE));
        self.window.unwrap_or_else(|| Window::natural(old_len.into(), self.new_len.into(), cap))
    }
}

/// The largest window that follows from lengths alone.
pub(super) fn window_cap(large: bool) -> Window {
    if large { Window::MAX } else { Window::NORMAL_CAP }
}

fn unknown_bits(structure: &'static str, offset: u64, bits: u32) -> Pa19Error {
    Pa19Error::new(PatchCode::NewerFormat, structure, offset, format!("unknown bits {bits:#x}"))
}

/// A time that is stored as the distance to an earlier field, where that one is there and not zero.
fn read_time(reader: &mut Reader<'_>, structure: &'static str, base: Option<u32>) -> Result<u32, Pa19Error> {
    match base.filter(|base| *base != 0) {
        None => reader.u32(structure),
        Some(base) => {
            let distance = reader.svli(structure)?;
            u32::try_from(i64::from(base) - distance)
                .map_err(|_| reader.corrupt(structure, "the time does not fit in 32 bits"))
        }
    }
}

fn put_time(out: &mut Vec<u8>, time: u32, base: Option<u32>) {
    match base.filter(|base| *base != 0) {
        None => out.extend_from_slice(&time.to_le_bytes()),
        Some(base) => put_svli(out, i64::from(base) - i64::from(time)),
    }
}

impl OldEntry {
    fn read(reader: &mut Reader<'_>, header: &Header) -> Result<Self, Pa19Error> {
        let mut entry = Self::default();
        let delta = reader.svli("old file length")?;
        entry.len = u32::try_from(i64::from(header.new_len) + delta)
            .map_err(|_| reader.corrupt("old file length", "it does not fit in 32 bits"))?;
        entry.crc = reader.u32("old file CRC")?;
        entry.ignore = read_ignore(reader, entry.len)?;
        entry.retain = read_retain(reader, entry.len, header.new_len)?;
        let same = |(a, b): (&RetainRange, &RetainRange)| (a.len, a.new_offset) == (b.len, b.new_offset);
        if let Some(first) = header.olds.first()
            && (first.retain.len() != entry.retain.len() || !first.retain.iter().zip(&entry.retain).all(same))
        {
            return Err(reader.corrupt("retain range", "the old files do not retain the same places"));
        }
        entry.rift = read_rift(reader)?;
        if header.has(flags::INTERLEAVE_FILES) {
            entry.interleave = read_interleave(reader, entry.len, header.new_len)?;
        }
        entry.stream_len = reader.uvli("stream length")?;
        Ok(entry)
    }

    fn write(&self, out: &mut Vec<u8>, header: &Header) {
        put_svli(out, i64::from(self.len) - i64::from(header.new_len));
        out.extend_from_slice(&self.crc.to_le_bytes());
        let count = |len: usize| u8::try_from(len).expect("the creator has bounded the number of ranges");
        out.push(count(self.ignore.len()));
        let mut end = 0;
        for range in &self.ignore {
            put_svli(out, signed(range.offset) - end);
            put_uvli(out, short(range.len));
            end = signed(range.offset + range.len);
        }
        out.push(count(self.retain.len()));
        let mut end = 0;
        for range in &self.retain {
            put_svli(out, signed(range.old_offset) - end);
            put_svli(out, signed(range.new_offset) - signed(range.old_offset));
            put_uvli(out, short(range.len));
            end = signed(range.old_offset + range.len);
        }
        put_rift(out, &self.rift);
        if header.has(flags::INTERLEAVE_FILES) {
            put_interleave(out, &self.interleave);
        }
        put_uvli(out, self.stream_len);
    }
}

/// A number that reading and creation have bounded by 32 bits.
fn short(value: u64) -> u32 {
    u32::try_from(value).expect("ranges lie in files below 4 GiB")
}

fn signed(value: u64) -> i64 {
    i64::from(short(value))
}

fn read_ignore(reader: &mut Reader<'_>, old_len: u32) -> Result<Vec<ByteRange>, Pa19Error> {
    let mut ranges = Vec::new();
    let mut end = 0;
    for _ in 0..reader.u8("ignore range count")? {
        let distance = reader.svli("ignore range")?;
        let range = range_within(reader, "ignore range", end, distance, old_len)?;
        end = signed(range.offset + range.len);
        ranges.push(range);
    }
    Ok(ranges)
}

fn read_retain(reader: &mut Reader<'_>, old_len: u32, new_len: u32) -> Result<Vec<RetainRange>, Pa19Error> {
    let mut ranges = Vec::new();
    let mut end = 0;
    for _ in 0..reader.u8("retain range count")? {
        let distance = reader.svli("retain range")?;
        let shift = reader.svli("retain range")?;
        let old = range_within(reader, "retain range", end, distance, old_len)?;
        end = signed(old.offset + old.len);
        let new_offset = signed(old.offset).checked_add(shift).and_then(|offset| u64::try_from(offset).ok());
        match new_offset {
            Some(new_offset) if new_offset.saturating_add(old.len) <= u64::from(new_len) => {
                ranges.push(RetainRange { old_offset: old.offset, len: old.len, new_offset });
            }
            _ => return Err(reader.corrupt("retain range", "it reaches beyond the new file")),
        }
    }
    Ok(ranges)
}

/// The length that follows, and the range that starts `distance` after `end`; it must lie in a file of `file_len`.
fn range_within(
    reader: &mut Reader<'_>,
    structure: &'static str,
    end: i64,
    distance: i64,
    file_len: u32,
) -> Result<ByteRange, Pa19Error> {
    let len = u64::from(reader.uvli(structure)?);
    match end.checked_add(distance).and_then(|offset| u64::try_from(offset).ok()) {
        Some(offset) if offset.saturating_add(len) <= u64::from(file_len) => Ok(ByteRange::new(offset, len)),
        _ => Err(reader.corrupt(structure, format!("it reaches beyond the old file ({file_len} bytes)"))),
    }
}

/// A count of items that take at least two bytes each, believed only if they can be there.
fn read_count(reader: &mut Reader<'_>, structure: &'static str) -> Result<u32, Pa19Error> {
    let count = reader.uvli(structure)?;
    if count as usize > reader.remaining() / 2 {
        return Err(reader.corrupt(structure, format!("{count} items are more than the file can hold")));
    }
    Ok(count)
}

fn read_rift(reader: &mut Reader<'_>) -> Result<Rift, Pa19Error> {
    let mut rift = Rift::default();
    let (mut old, mut new) = (0i64, 0i64);
    for _ in 0..read_count(reader, "rift count")? {
        old += i64::from(reader.uvli("rift entry")?);
        new = new.saturating_add(reader.svli("rift entry")?);
        match (u32::try_from(old), u32::try_from(new)) {
            (Ok(old), Ok(new)) => rift.push(old, new),
            _ => return Err(reader.corrupt("rift entry", "an address does not fit in 32 bits")),
        }
    }
    Ok(rift)
}

fn put_rift(out: &mut Vec<u8>, rift: &Rift) {
    put_uvli(out, u32::try_from(rift.entries().len()).expect("as many as addresses"));
    let (mut old, mut new) = (0, 0);
    for entry in rift.entries() {
        put_uvli(out, entry.old - old);
        put_svli(out, i64::from(entry.new) - i64::from(new));
        (old, new) = (entry.old, entry.new);
    }
}

/// Offsets and lengths are stored as differences of differences; output lengths in chunks, the last one not at all.
fn read_interleave(reader: &mut Reader<'_>, old_len: u32, new_len: u32) -> Result<Vec<Interleave>, Pa19Error> {
    const WHAT: &str = "interleave map";
    let mut map = Vec::new();
    let count = read_count(reader, WHAT)?;
    let (mut offset, mut offset_step, mut len, mut len_step, mut piece, mut left) =
        (0i64, 0i64, 0i64, 0i64, 0i64, i64::from(new_len));
    for i in 0..count {
        offset_step = offset_step.saturating_add(reader.svli(WHAT)?);
        len_step = len_step.saturating_add(reader.svli(WHAT)?);
        offset = offset.saturating_add(offset_step);
        len = len.saturating_add(len_step);
        piece = if i + 1 == count {
            left
        } else {
            piece.saturating_add(reader.svli(WHAT)?.saturating_mul(i64::from(CHUNK)))
        };
        if offset < 0 || len < 0 || offset.saturating_add(len) > i64::from(old_len) || piece < 0 || piece > left {
            return Err(reader.corrupt(WHAT, "a range reaches beyond its file"));
        }
        left -= piece;
        let short = |value: i64| u32::try_from(value).expect("within a file, as just checked");
        map.push(Interleave { old_offset: short(offset), old_len: short(len), new_len: short(piece) });
    }
    Ok(map)
}

fn put_interleave(out: &mut Vec<u8>, map: &[Interleave]) {
    put_uvli(out, u32::try_from(map.len()).expect("as many as chunks"));
    let (mut offset, mut offset_step, mut len, mut len_step, mut piece) = (0i64, 0i64, 0i64, 0i64, 0i64);
    for (i, range) in map.iter().enumerate() {
        let step = i64::from(range.old_offset) - offset;
        put_svli(out, step - offset_step);
        (offset, offset_step) = (i64::from(range.old_offset), step);
        let step = i64::from(range.old_len) - len;
        put_svli(out, step - len_step);
        (len, len_step) = (i64::from(range.old_len), step);
        if i + 1 < map.len() {
            put_svli(out, (i64::from(range.new_len) - piece) / i64::from(CHUNK));
            piece = i64::from(range.new_len);
        }
    }
}

/// A patch, or the header of one, whose CRC is right.
#[derive(Clone, Debug)]
pub struct Patch<'a> {
    /// What the header says.
    pub header: Header,
    /// Length of the header in bytes.
    pub header_len: usize,
    bytes: &'a [u8],
}

impl<'a> Patch<'a> {
    /// Reads a patch. Bytes after the trailer are not looked at.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Pa19Error> {
        let (header, header_len) = Header::read(bytes)?;
        let streams: u64 = header.olds.iter().map(|entry| u64::from(entry.stream_len)).sum();
        let end = usize::try_from(header_len as u64 + streams + 4).unwrap_or(usize::MAX).min(bytes.len());
        if crc32fast::hash(&bytes[..end]) != SEALED_CRC {
            return Err(Pa19Error::corrupt("trailer", end as u64, "the CRC of the file is not right"));
        }
        Ok(Self { header, header_len, bytes })
    }

    /// The compressed stream of the old file with this index; `None` if only the header is there.
    pub fn stream(&self, index: usize) -> Option<&'a [u8]> {
        let len = self.header.olds.get(index)?.stream_len as usize;
        let before: u64 = self.header.olds[..index].iter().map(|entry| u64::from(entry.stream_len)).sum();
        let start = usize::try_from(self.header_len as u64 + before).ok()?;
        self.bytes.get(start..start.checked_add(len)?)
    }

    /// Whether streams are missing.
    pub fn is_header_only(&self) -> bool {
        (0..self.header.olds.len()).any(|index| self.stream(index).is_none())
    }
}

/// The header of a patch as a patch of its own: what Windows Installer keeps to choose patches by.
pub fn extract_header(patch: &[u8]) -> Result<Vec<u8>, Pa19Error> {
    let patch = Patch::read(patch)?;
    let mut header = patch.bytes[..patch.header_len].to_vec();
    seal(&mut header);
    Ok(header)
}

/// Appends the trailer, which gives the file its CRC.
pub(super) fn seal(out: &mut Vec<u8>) {
    let crc = crc32fast::hash(out);
    out.extend_from_slice(&(!crc).to_le_bytes());
}
