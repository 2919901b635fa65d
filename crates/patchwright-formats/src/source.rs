//! Where bytes come from: a file, a slice or a view of either, read at any offset.
//!
//! Nothing in this crate or in `patchwright-delta` opens a file. The verbs hand in a [`ReadAt`], which is why
//! old files are never mapped: a file cut short while it is read is an error, not a signal.

use std::io;

use crate::region::ByteRange;

/// Bytes of a known length that can be read at any offset, by several threads at once.
pub trait ReadAt: Sync {
    /// The length in bytes. It does not change while the value lives.
    fn len_bytes(&self) -> u64;

    /// Fills `buffer` from `offset`; `UnexpectedEof` when the range reaches beyond the end.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// All bytes, if they are in memory as they are: who needs them all need not copy them.
    fn in_memory(&self) -> Option<&[u8]> {
        None
    }
}

impl ReadAt for [u8] {
    fn len_bytes(&self) -> u64 {
        self.len() as u64
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let found = usize::try_from(offset)
            .ok()
            .and_then(|start| self.get(start..start.checked_add(buffer.len())?))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(found);
        Ok(())
    }

    fn in_memory(&self) -> Option<&[u8]> {
        Some(self)
    }
}

impl ReadAt for Vec<u8> {
    fn len_bytes(&self) -> u64 {
        self.as_slice().len_bytes()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.as_slice().read_exact_at(buffer, offset)
    }

    fn in_memory(&self) -> Option<&[u8]> {
        Some(self)
    }
}

impl<T: ReadAt + ?Sized> ReadAt for &T {
    fn len_bytes(&self) -> u64 {
        (**self).len_bytes()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        (**self).read_exact_at(buffer, offset)
    }

    fn in_memory(&self) -> Option<&[u8]> {
        (**self).in_memory()
    }
}

impl<T: ReadAt + ?Sized> ReadAt for Box<T> {
    fn len_bytes(&self) -> u64 {
        (**self).len_bytes()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        (**self).read_exact_at(buffer, offset)
    }

    fn in_memory(&self) -> Option<&[u8]> {
        (**self).in_memory()
    }
}

/// The part `[start, start + len)` of another source.
pub struct Section<S> {
    inner: S,
    start: u64,
    len: u64,
}

impl<S: ReadAt> Section<S> {
    /// Limits `inner` to `range`; `UnexpectedEof` when it does not lie inside.
    pub fn new(inner: S, range: ByteRange) -> io::Result<Self> {
        match range.end() {
            Some(end) if end <= inner.len_bytes() => Ok(Self { inner, start: range.offset, len: range.len }),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl<S: ReadAt> ReadAt for Section<S> {
    fn len_bytes(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.inner.read_exact_at(buffer, self.start + offset)
    }
}

/// A source in which some ranges read as zero, whatever they hold: the canonical view of a file.
///
/// The delta engine sees old files only through this view. Ignored and retained bytes can therefore never be
/// copied from, predicted from or hashed, by construction.
pub struct Blanked<S> {
    inner: S,
    /// Sorted by offset, not overlapping, not empty.
    blanks: Vec<ByteRange>,
}

impl<S: ReadAt> Blanked<S> {
    /// Blanks `ranges` of `inner`. They may come in any order and may overlap.
    pub fn new(inner: S, ranges: impl IntoIterator<Item = ByteRange>) -> Self {
        Self { inner, blanks: crate::region::union(ranges) }
    }

    /// The source without the blanks.
    pub fn inner(&self) -> &S {
        &self.inner
    }
}

impl<S: ReadAt> ReadAt for Blanked<S> {
    fn len_bytes(&self) -> u64 {
        self.inner.len_bytes()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.inner.read_exact_at(buffer, offset)?;
        blank(buffer, offset, &self.blanks);
        Ok(())
    }
}

/// Zeroes what `ranges` (sorted, not overlapping) cover of `buffer`, which stands at `offset` of its file.
pub fn blank(buffer: &mut [u8], offset: u64, ranges: &[ByteRange]) {
    for (within, _) in overlaps(buffer.len(), offset, ranges) {
        buffer[within].fill(0);
    }
}

/// Lists where `ranges` (sorted, not overlapping) meet a buffer of `len` bytes that stands at `offset` of its file.
///
/// Each item is the place in the buffer and the index of the range.
pub fn overlaps(
    len: usize,
    offset: u64,
    ranges: &[ByteRange],
) -> impl Iterator<Item = (std::ops::Range<usize>, usize)> {
    let end = offset.saturating_add(len as u64);
    let first = ranges.partition_point(|range| range.end_saturating() <= offset);
    ranges[first..].iter().enumerate().take_while(move |(_, range)| range.offset < end).map(move |(i, range)| {
        let from = range.offset.max(offset) - offset;
        let to = range.end_saturating().min(end) - offset;
        (to_index(from)..to_index(to), first + i)
    })
}

/// A distance inside a buffer; the caller has bounded it by the buffer's length.
fn to_index(distance: u64) -> usize {
    usize::try_from(distance).expect("not longer than a buffer in memory")
}

/// How much is hashed or copied at a time.
const STEP: usize = 1 << 20;

/// Hashes a source with BLAKE3, in memory of one step. Without blanks it is what `b3sum` prints for the file.
pub fn hash(source: &dyn ReadAt) -> io::Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    for_each_chunk(source, |chunk| {
        hasher.update(chunk);
        Ok(())
    })?;
    Ok(*hasher.finalize().as_bytes())
}

/// Calls `visit` with the whole source, front to back, in pieces of at most one mebibyte.
pub fn for_each_chunk(source: &dyn ReadAt, mut visit: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let len = source.len_bytes();
    let mut buffer = vec![0; STEP.min(usize::try_from(len).unwrap_or(STEP))];
    let mut offset = 0;
    while offset < len {
        let step = to_index((len - offset).min(STEP as u64));
        source.read_exact_at(&mut buffer[..step], offset)?;
        visit(&buffer[..step])?;
        offset += step as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(source: &dyn ReadAt, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0xEE; len];
        source.read_exact_at(&mut buffer, offset).map(|()| buffer)
    }

    #[test]
    fn blanked_bytes_read_as_zero_at_every_alignment() {
        let data: Vec<u8> = (1..=32).collect();
        let view = Blanked::new(data.clone(), [ByteRange::new(10, 4), ByteRange::new(2, 3), ByteRange::new(12, 4)]);
        let expect: Vec<u8> =
            (0..32).map(|i| if (2..5).contains(&i) || (10..16).contains(&i) { 0 } else { data[i] }).collect();
        for offset in 0..=32 {
            for len in 0..=32 - offset {
                assert_eq!(read(&view, offset as u64, len).unwrap(), expect[offset..offset + len]);
            }
        }
    }

    #[test]
    fn reading_beyond_the_end_is_an_error() {
        let data = vec![1, 2, 3, 4];
        for (offset, len) in [(4, 1), (0, 5), (u64::MAX, 1), (u64::MAX - 1, 4)] {
            assert!(read(&data, offset, len).is_err());
            assert!(read(&Blanked::new(&data, [ByteRange::new(0, 2)]), offset, len).is_err());
        }
        let section = Section::new(&data, ByteRange::new(1, 2)).unwrap();
        assert_eq!(read(&section, 0, 2).unwrap(), [2, 3]);
        assert!(read(&section, 1, 2).is_err());
        assert!(Section::new(&data, ByteRange::new(3, 2)).is_err());
        assert!(Section::new(&data, ByteRange::new(u64::MAX, 2)).is_err());
    }

    #[test]
    fn hash_without_blanks_is_plain_blake3() {
        let data: Vec<u8> = (0..3_000_001u32).map(|i| (i % 251) as u8).collect();
        assert_eq!(hash(&data).unwrap(), *blake3::hash(&data).as_bytes());
        assert_eq!(hash(&Vec::new()).unwrap(), *blake3::hash(b"").as_bytes());
    }
}
