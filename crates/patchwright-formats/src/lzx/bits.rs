//! Bits in 16-bit little-endian words, the highest bit of a word first, within chunks that state their length.

use super::{LzxError, LzxErrorKind};

/// Reads the bits and raw bytes of one chunk after the other.
pub(super) struct BitReader<'a> {
    stream: &'a [u8],
    /// The next byte that is not in `bits`.
    at: usize,
    /// Where the chunk ends.
    end: usize,
    /// Bits read ahead, the next one highest; whole words, so that `available % 16` are left of the current one.
    bits: u64,
    available: u32,
    /// Whether padding may be anything.
    lenient: bool,
    /// For error messages.
    pub(super) structure: &'static str,
    pub(super) produced: usize,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(stream: &'a [u8]) -> Self {
        Self { stream, at: 0, end: 0, bits: 0, available: 0, lenient: false, structure: "chunk", produced: 0 }
    }

    /// A reader of one chunk, which nothing stands around; padding is not looked at.
    pub(super) fn of_chunk(chunk: &'a [u8]) -> Self {
        Self { end: chunk.len(), lenient: true, ..Self::new(chunk) }
    }

    /// The offset in the stream of the word that the next bit is in.
    pub(super) fn offset(&self) -> usize {
        self.at - usize::from(self.read_ahead().div_ceil(2)) * 2
    }

    fn read_ahead(&self) -> u8 {
        u8::try_from(self.available / 8).expect("64 bits at most")
    }

    #[cold]
    pub(super) fn fault(&self, kind: LzxErrorKind) -> LzxError {
        LzxError { kind, structure: self.structure, offset: self.offset(), produced: self.produced }
    }

    /// Goes on to the next chunk, whose length comes first.
    pub(super) fn begin_chunk(&mut self) -> Result<(), LzxError> {
        self.structure = "chunk";
        let truncated = self.fault(LzxErrorKind::Truncated);
        let (len, rest) = self.stream[self.at..].split_first_chunk().ok_or(truncated)?;
        let len = usize::from(u16::from_le_bytes(*len));
        if len > rest.len() {
            return Err(truncated);
        }
        self.at += 2;
        self.end = self.at + len;
        Ok(())
    }

    /// Makes sure that nothing is left of the chunk but zero bits of its last word.
    pub(super) fn end_chunk(&mut self) -> Result<(), LzxError> {
        self.structure = "chunk";
        self.skip_padding(self.available % 16)?;
        match self.end - self.at + usize::from(self.read_ahead()) {
            0 => Ok(()),
            left => Err(self.fault(LzxErrorKind::ChunkTooLong { left })),
        }
    }

    /// Ends bits before raw bytes: 1 to 16 zero bits, up to the end of a word.
    pub(super) fn end_bits(&mut self) -> Result<(), LzxError> {
        self.refill();
        let left = self.available % 16;
        self.skip_padding(if left == 0 { 16 } else { left })?;
        self.at -= usize::from(self.read_ahead());
        (self.bits, self.available) = (0, 0);
        Ok(())
    }

    fn skip_padding(&mut self, count: u32) -> Result<(), LzxError> {
        match self.bits(count)? {
            0 => Ok(()),
            _ if self.lenient => Ok(()),
            _ => Err(self.fault(LzxErrorKind::Padding)),
        }
    }

    /// Up to `len` raw bytes of the chunk, as many as are there; [`Self::end_bits`] comes before.
    pub(super) fn raw(&mut self, len: usize) -> Result<&'a [u8], LzxError> {
        debug_assert_eq!(self.available, 0, "bits have ended");
        if len > self.end - self.at {
            return Err(self.fault(LzxErrorKind::Truncated));
        }
        let start = self.at;
        self.at += len;
        Ok(&self.stream[start..self.at])
    }

    /// Fills the read-ahead to at least 48 bits, or with what the chunk has.
    #[inline]
    fn refill(&mut self) {
        while self.available <= 48 && self.end - self.at >= 2 {
            let word = u64::from(self.stream[self.at]) | u64::from(self.stream[self.at + 1]) << 8;
            self.bits |= word << (48 - self.available);
            self.available += 16;
            self.at += 2;
        }
    }

    /// The next 16 bits without taking them, zeros after the end of the chunk.
    #[inline]
    pub(super) fn peek16(&mut self) -> u16 {
        if self.available < 16 {
            self.refill();
        }
        let [high, low, ..] = self.bits.to_be_bytes();
        u16::from_be_bytes([high, low])
    }

    /// Takes bits that were seen.
    #[inline]
    pub(super) fn take(&mut self, count: u32) -> Result<(), LzxError> {
        if count > self.available {
            return Err(self.fault(LzxErrorKind::Truncated));
        }
        self.bits <<= count;
        self.available -= count;
        Ok(())
    }

    /// The next `count` bits, 32 at most.
    #[inline]
    pub(super) fn bits(&mut self, count: u32) -> Result<u32, LzxError> {
        if count == 0 {
            return Ok(0);
        }
        if self.available < count {
            self.refill();
        }
        let value = u32::try_from(self.bits >> 32).expect("32 bits") >> (32 - count);
        self.take(count)?;
        Ok(value)
    }
}

/// Writes chunks of bits and raw bytes.
#[derive(Default)]
pub(super) struct BitWriter {
    out: Vec<u8>,
    /// Where the length of the current chunk stands.
    chunk_start: usize,
    /// Bits of the current word so far, lowest last.
    bits: u32,
    count: u32,
}

impl BitWriter {
    pub(super) fn begin_chunk(&mut self) {
        self.chunk_start = self.out.len();
        self.out.extend([0, 0]);
    }

    /// Ends a chunk, and returns its length. One of 65536 bytes or more has no length that could be stated.
    pub(super) fn end_chunk(&mut self) -> usize {
        self.align();
        let len = self.out.len() - self.chunk_start - 2;
        let stated = u16::try_from(len).unwrap_or(u16::MAX);
        self.out[self.chunk_start..self.chunk_start + 2].copy_from_slice(&stated.to_le_bytes());
        len
    }

    /// Writes the low `count` bits of `value`, 32 at most, highest first.
    #[inline]
    pub(super) fn put(&mut self, value: u32, count: u32) {
        debug_assert!(count == 32 || value >> count == 0, "{value:#x} has more than {count} bits");
        if count > 16 {
            self.put_word(value >> 16, count - 16);
            self.put_word(value & 0xFFFF, 16);
        } else {
            self.put_word(value, count);
        }
    }

    #[inline]
    fn put_word(&mut self, value: u32, count: u32) {
        self.bits = self.bits << count | value;
        self.count += count;
        if self.count >= 16 {
            self.count -= 16;
            let [low, high, ..] = (self.bits >> self.count).to_le_bytes();
            self.out.extend([low, high]);
            self.bits &= (1 << self.count) - 1;
        }
    }

    fn align(&mut self) {
        if self.count > 0 {
            self.put(0, 16 - self.count);
        }
    }

    /// Ends bits before raw bytes: 1 to 16 zero bits.
    pub(super) fn end_bits(&mut self) {
        self.put(0, 16 - self.count);
    }

    /// Writes raw bytes; the bits have ended.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        debug_assert_eq!(self.count, 0, "bits have ended");
        self.out.extend_from_slice(bytes);
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_and_bytes_come_back() {
        let mut writer = BitWriter::default();
        writer.begin_chunk();
        writer.put(0b101, 3);
        writer.put(0xDEAD_BEEF, 32);
        writer.end_bits();
        writer.raw(b"odd");
        writer.end_chunk();
        writer.begin_chunk();
        writer.end_bits();
        writer.end_chunk();
        let stream = writer.finish();
        assert_eq!(stream.len(), 2 + 6 + 3 + 2 + 2);

        let mut reader = BitReader::new(&stream);
        reader.begin_chunk().unwrap();
        assert_eq!(reader.bits(3).unwrap(), 0b101);
        assert_eq!(reader.bits(32).unwrap(), 0xDEAD_BEEF);
        reader.end_bits().unwrap();
        assert_eq!(reader.raw(3).unwrap(), b"odd");
        assert_eq!(reader.raw(1).unwrap_err().kind, LzxErrorKind::Truncated);
        reader.end_chunk().unwrap();
        reader.begin_chunk().unwrap();
        reader.end_bits().unwrap();
        reader.end_chunk().unwrap();
        assert_eq!(reader.offset(), stream.len());
        assert_eq!(reader.begin_chunk().unwrap_err().kind, LzxErrorKind::Truncated);
    }

    #[test]
    fn what_is_left_of_a_chunk_is_noticed() {
        let end = |stream: &[u8], bits| {
            let mut reader = BitReader::new(stream);
            reader.begin_chunk()?;
            reader.bits(bits)?;
            reader.end_chunk()
        };
        assert!(end(&[2, 0, 0, 0x80], 1).is_ok());
        let kinds = [(&[2, 0, 1, 0x80][..], 1), (&[4, 0, 0, 0x80, 0, 0], 1), (&[3, 0, 0, 0x80, 0], 1), (&[2, 0, 0], 1)]
            .map(|(stream, bits)| end(stream, bits).unwrap_err().kind);
        let left = |left| LzxErrorKind::ChunkTooLong { left };
        assert_eq!(kinds, [LzxErrorKind::Padding, left(2), left(1), LzxErrorKind::Truncated]);
        assert_eq!(end(&[2, 0, 0, 0], 17).unwrap_err().kind, LzxErrorKind::Truncated);
    }
}
