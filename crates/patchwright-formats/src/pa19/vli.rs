//! The two integers of variable length that PA19 is made of.
//!
//! *UVLI*: seven bits a byte, low bits first, bit 7 set on the **last** byte (the opposite of LEB128).
//! *SVLI*: the first byte holds six bits and, in bit 6, the sign of a magnitude; the rest is as before.

use super::error::Pa19Error;

/// Longest integer that an applier takes. What the creator writes is never longer than it needs to be.
const MAX_BYTES: usize = 9;

/// A cursor over the header of a patch. It never reads past the end.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(super) fn corrupt(&self, structure: &'static str, what: impl Into<String>) -> Pa19Error {
        Pa19Error::corrupt(structure, self.at as u64, what)
    }

    pub(super) fn array<const N: usize>(&mut self, structure: &'static str) -> Result<[u8; N], Pa19Error> {
        let found = self.bytes[self.at..].first_chunk::<N>().copied();
        let found = found.ok_or_else(|| self.corrupt(structure, "the file ends inside it"))?;
        self.at += N;
        Ok(found)
    }

    pub(super) fn u8(&mut self, structure: &'static str) -> Result<u8, Pa19Error> {
        Ok(self.array::<1>(structure)?[0])
    }

    pub(super) fn u16(&mut self, structure: &'static str) -> Result<u16, Pa19Error> {
        self.array(structure).map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self, structure: &'static str) -> Result<u32, Pa19Error> {
        self.array(structure).map(u32::from_le_bytes)
    }

    /// An unsigned integer that must fit in 32 bits.
    pub(super) fn uvli(&mut self, structure: &'static str) -> Result<u32, Pa19Error> {
        let start = self.at;
        let value = self.groups(structure, 0, 0, MAX_BYTES)?;
        u32::try_from(value)
            .map_err(|_| Pa19Error::corrupt(structure, start as u64, format!("{value:#x} exceeds 32 bits")))
    }

    pub(super) fn svli(&mut self, structure: &'static str) -> Result<i64, Pa19Error> {
        let first = self.u8(structure)?;
        let low = i64::from(first & 0x3F);
        let magnitude = match first & 0x80 {
            0 => self.groups(structure, low, 6, MAX_BYTES - 1)?,
            _ => low,
        };
        Ok(if first & 0x40 == 0 { magnitude } else { -magnitude })
    }

    /// Seven bits a byte, added to `value` from bit `shift` on; at most 62 bits in all.
    fn groups(&mut self, structure: &'static str, value: i64, shift: u32, limit: usize) -> Result<i64, Pa19Error> {
        let (mut value, mut shift) = (value, shift);
        for _ in 0..limit {
            let byte = self.u8(structure)?;
            value |= i64::from(byte & 0x7F) << shift;
            shift += 7;
            if byte & 0x80 != 0 {
                return Ok(value);
            }
        }
        Err(self.corrupt(structure, "an integer has no end"))
    }
}

pub(super) fn put_uvli(out: &mut Vec<u8>, value: u32) {
    put_groups(out, u64::from(value));
}

pub(super) fn put_svli(out: &mut Vec<u8>, value: i64) {
    let magnitude = value.unsigned_abs();
    let sign = if value < 0 { 0x40 } else { 0 };
    let low = u8::try_from(magnitude & 0x3F).expect("six bits") | sign;
    match magnitude >> 6 {
        0 => out.push(low | 0x80),
        rest => {
            out.push(low);
            put_groups(out, rest);
        }
    }
}

fn put_groups(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = u8::try_from(value & 0x7F).expect("seven bits");
        value >>= 7;
        if value == 0 {
            return out.push(low | 0x80);
        }
        out.push(low);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_have_the_spelling_of_the_format() {
        for (value, expect) in
            [(0, &[0x80][..]), (26, &[0x9A]), (127, &[0xFF]), (128, &[0, 0x81]), (1023, &[0x7F, 0x87])]
        {
            let mut out = Vec::new();
            put_uvli(&mut out, value);
            assert_eq!(out, expect);
            assert_eq!(Reader::new(expect).uvli("test"), Ok(value));
        }
        for (value, expect) in [(0, &[0x80][..]), (1, &[0x81]), (-1, &[0xC1]), (-18, &[0xD2]), (64, &[0, 0x81])] {
            let mut out = Vec::new();
            put_svli(&mut out, value);
            assert_eq!(out, expect);
            assert_eq!(Reader::new(expect).svli("test"), Ok(value));
        }
    }

    #[test]
    fn integers_round_trip() {
        for bits in 0..32 {
            for value in [1u32 << bits, (1u32 << bits).wrapping_sub(1), u32::MAX >> bits] {
                let mut out = Vec::new();
                put_uvli(&mut out, value);
                put_svli(&mut out, i64::from(value));
                put_svli(&mut out, -i64::from(value));
                let mut reader = Reader::new(&out);
                assert_eq!(reader.uvli("test"), Ok(value));
                assert_eq!(reader.svli("test"), Ok(i64::from(value)));
                assert_eq!(reader.svli("test"), Ok(-i64::from(value)));
                assert_eq!(reader.remaining(), 0);
            }
        }
    }

    #[test]
    fn integers_without_end_or_too_large_are_corrupt() {
        for bytes in [&[0; 9][..], &[0; 20], &[], &[0x7F], &[0, 0, 0, 0, 0x90]] {
            assert!(Reader::new(bytes).uvli("test").is_err(), "{bytes:x?}");
        }
        assert!(Reader::new(&[0; 20]).svli("test").is_err());
        assert_eq!(
            Reader::new(&[0x7F; 8].iter().copied().chain([0xFF]).collect::<Vec<u8>>()).svli("test"),
            Ok(-((1 << 62) - 1))
        );
    }
}
