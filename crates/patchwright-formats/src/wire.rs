//! Reading and writing the small parts that our structures are made of.
//!
//! Integers are little endian. A *varint* holds seven bits a byte, low bits first, bit 7 set on all but the last
//! byte, and is never longer than it needs to be, so that every value has one spelling.

use crate::error::{FormatError, FormatErrorKind};

/// A cursor over the bytes of one structure. It never reads past them and never believes a count they cannot hold.
pub(crate) struct Reader<'a> {
    structure: &'static str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(structure: &'static str, bytes: &'a [u8]) -> Self {
        Self { structure, bytes, at: 0 }
    }

    pub(crate) fn offset(&self) -> u64 {
        self.at as u64
    }

    pub(crate) fn malformed(&self, what: impl Into<String>) -> FormatError {
        FormatError::malformed(self.structure, self.offset(), what)
    }

    pub(crate) fn unsupported(&self, what: impl Into<String>) -> FormatError {
        FormatError::unsupported(self.structure, self.offset(), what)
    }

    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8], FormatError> {
        let truncated = FormatError::new(self.structure, self.offset(), FormatErrorKind::Truncated);
        let end = self
            .at
            .checked_add(len)
            .ok_or(())
            .and_then(|end| self.bytes.get(self.at..end).map(|found| (found, end)).ok_or(()));
        let (found, end) = end.map_err(|()| truncated)?;
        self.at = end;
        Ok(found)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        Ok(self.bytes(N)?.try_into().expect("bytes() returns as many as asked for"))
    }

    pub(crate) fn u8(&mut self) -> Result<u8, FormatError> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16, FormatError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, FormatError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, FormatError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn varint(&mut self) -> Result<u64, FormatError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7F);
            if bits << shift >> shift != bits {
                return Err(self.malformed("an integer exceeds 64 bits"));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return if byte == 0 && shift > 0 {
                    Err(self.malformed("an integer is longer than it needs to be"))
                } else {
                    Ok(value)
                };
            }
        }
        Err(self.malformed("an integer exceeds 64 bits"))
    }

    /// A varint that must not exceed `limit`.
    pub(crate) fn varint_to(&mut self, what: &'static str, limit: u64) -> Result<u64, FormatError> {
        let offset = self.offset();
        match self.varint()? {
            found if found > limit => {
                Err(FormatError::new(self.structure, offset, FormatErrorKind::TooLarge { what, found, limit }))
            }
            found => Ok(found),
        }
    }

    /// The number of items that follow, each of at least `item_len` bytes, believed only if they can be there.
    pub(crate) fn count(&mut self, what: &'static str, item_len: usize) -> Result<usize, FormatError> {
        let offset = self.offset();
        let found = self.varint()?;
        let limit = self.remaining() / item_len.max(1);
        match usize::try_from(found) {
            Ok(count) if count <= limit => Ok(count),
            _ => Err(FormatError::new(
                self.structure,
                offset,
                FormatErrorKind::TooLarge { what, found, limit: limit as u64 },
            )),
        }
    }

    /// A byte string with its length before it.
    pub(crate) fn string(&mut self, what: &'static str) -> Result<&'a [u8], FormatError> {
        let len = self.count(what, 1)?;
        self.bytes(len)
    }

    /// Makes sure that nothing follows.
    pub(crate) fn finish(self) -> Result<(), FormatError> {
        match self.remaining() {
            0 => Ok(()),
            left => Err(self.malformed(format!("{left} bytes follow the end"))),
        }
    }
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7F).expect("seven bits") | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).expect("below 0x80"));
}

pub(crate) fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_round_trip() {
        for value in [0, 1, 0x7F, 0x80, 0x3FFF, 0x4000, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            let mut reader = Reader::new("test", &bytes);
            assert_eq!(reader.varint().unwrap(), value);
            reader.finish().unwrap();
        }
    }

    #[test]
    fn varints_have_one_spelling_and_64_bits() {
        for bytes in [&[0x80, 0x00][..], &[0x81, 0x80, 0x00], &[0xFF; 10], &[0x80], &[]] {
            assert!(Reader::new("test", bytes).varint().is_err(), "{bytes:x?}");
        }
        let two_to_64 = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02];
        assert!(Reader::new("test", &two_to_64).varint().is_err());
    }

    #[test]
    fn counts_are_believed_only_against_the_bytes_that_remain() {
        assert_eq!(Reader::new("test", &[2, 0, 0]).count("items", 1).unwrap(), 2);
        assert!(Reader::new("test", &[3, 0, 0]).count("items", 1).is_err());
        assert!(Reader::new("test", &[2, 0, 0]).count("items", 2).is_err());
    }
}
