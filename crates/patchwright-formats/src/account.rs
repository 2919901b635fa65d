//! Where the bytes of deltas went: a blob for people who ask why a patch is large.
//!
//! Nobody needs it to apply a patch, so a reader may skip it. It is counted by the maker, who alone can count it cheaply:
//! from a body and nothing else, no part of it can be told. Specification: `docs/formats/account.md`.

use crate::container::Kind;
use crate::error::FormatError;
use crate::wire::{Reader, put_string, put_varint};

const STRUCTURE: &str = "account";
const VERSION: u8 = 1;
/// Longest name of a section.
pub const MAX_NAME_LEN: usize = 64;
/// Most sections that an account tells apart.
pub const MAX_SECTIONS: usize = 64;
/// What bytes of a section are spent on, in the order of [`SectionAccount::bytes`].
pub const PURPOSES: [&str; 6] = ["groups", "flags", "bytes", "references", "words", "literals"];
/// Two lengths, a name and what is spent: a byte each at least.
const MIN_SECTION_LEN: usize = 3 + PURPOSES.len();
/// A blob, two lengths and a count.
const MIN_BODY_LEN: usize = 4;

/// What the bytes of one delta went to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BodyAccount {
    /// Index of the `COLD` blob.
    pub body: usize,
    /// Bytes for the covers and for the sections of the new file.
    pub head_bytes: u64,
    /// Bytes that are in no other sum.
    pub other_bytes: u64,
    /// Bytes by section of the new file. One without name and length stands for all that are not told apart.
    pub sections: Vec<SectionAccount>,
}

/// What was spent on one section of the new file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SectionAccount {
    /// Its name, if it has one that is known: UTF-8, at most [`MAX_NAME_LEN`] bytes.
    pub name: String,
    /// Its first byte in the new file.
    pub offset: u64,
    /// Its length in the new file.
    pub len: u64,
    /// Bytes of the delta by [`PURPOSES`].
    pub bytes: [u64; PURPOSES.len()],
}

impl BodyAccount {
    /// All of it: the length of the delta.
    pub fn total(&self) -> u64 {
        let sections = self.sections.iter().flat_map(|section| section.bytes);
        sections.fold(self.head_bytes.saturating_add(self.other_bytes), u64::saturating_add)
    }
}

/// Writes an account of several deltas, which are in ascending order of their blobs.
pub fn encode(bodies: &[BodyAccount]) -> Vec<u8> {
    let mut out = vec![VERSION];
    put_varint(&mut out, bodies.len() as u64);
    for body in bodies {
        put_varint(&mut out, body.body as u64);
        put_varint(&mut out, body.head_bytes);
        put_varint(&mut out, body.other_bytes);
        put_varint(&mut out, body.sections.len() as u64);
        for section in &body.sections {
            put_string(&mut out, section.name.as_bytes());
            put_varint(&mut out, section.offset);
            put_varint(&mut out, section.len);
            section.bytes.iter().for_each(|bytes| put_varint(&mut out, *bytes));
        }
    }
    out
}

/// Reads an account; `blobs` says of each blob of the container what it is and how long.
///
/// # Errors
///
/// It is cut short, of another version, or its sums are not the lengths of the deltas.
pub fn decode(blob: &[u8], blobs: &[(Kind, u64)]) -> Result<Vec<BodyAccount>, FormatError> {
    let mut reader = Reader::new(STRUCTURE, blob);
    let version = reader.u8()?;
    if version != VERSION {
        return Err(reader.unsupported(format!("account version {version}")));
    }
    let count = reader.count("deltas", MIN_BODY_LEN)?;
    let mut bodies: Vec<BodyAccount> = Vec::new();
    for _ in 0..count {
        let body = body_account(&mut reader)?;
        if bodies.last().is_some_and(|before| before.body >= body.body) {
            return Err(reader.malformed(format!("blob {} is out of order", body.body)));
        }
        match blobs.get(body.body) {
            Some((Kind::COLD, len)) if *len == body.total() => bodies.push(body),
            Some((Kind::COLD, len)) => {
                let total = body.total();
                return Err(reader.malformed(format!("{total} bytes of blob {}, which has {len}", body.body)));
            }
            _ => return Err(reader.malformed(format!("blob {} is not a delta body", body.body))),
        }
    }
    reader.finish()?;
    Ok(bodies)
}

fn body_account(reader: &mut Reader<'_>) -> Result<BodyAccount, FormatError> {
    let found = reader.varint()?;
    let body = usize::try_from(found).map_err(|_| reader.malformed(format!("blob {found} is not a delta body")))?;
    let (head_bytes, other_bytes) = (reader.varint()?, reader.varint()?);
    let count = reader.count("sections", MIN_SECTION_LEN)?;
    if count > MAX_SECTIONS {
        return Err(reader.malformed(format!("{count} sections, at most {MAX_SECTIONS} are told apart")));
    }
    let sections = (0..count).map(|_| section_account(reader)).collect::<Result<_, _>>()?;
    Ok(BodyAccount { body, head_bytes, other_bytes, sections })
}

fn section_account(reader: &mut Reader<'_>) -> Result<SectionAccount, FormatError> {
    let name = reader.string("name length")?;
    let name = std::str::from_utf8(name).ok().filter(|name| name.len() <= MAX_NAME_LEN);
    let name = name.ok_or_else(|| reader.malformed("the name of a section is too long or not UTF-8"))?.to_owned();
    let (offset, len) = (reader.varint()?, reader.varint()?);
    if offset.checked_add(len).is_none() {
        return Err(reader.malformed("a section ends beyond 64 bits"));
    }
    let mut section = SectionAccount { name, offset, len, ..SectionAccount::default() };
    for bytes in &mut section.bytes {
        *bytes = reader.varint()?;
    }
    Ok(section)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<BodyAccount> {
        let section = |name: &str, offset, bytes| SectionAccount { name: name.into(), offset, len: 77, bytes };
        vec![
            BodyAccount { body: 0, head_bytes: 3, other_bytes: 1, sections: vec![] },
            BodyAccount {
                body: 2,
                head_bytes: 100,
                other_bytes: 0,
                sections: vec![section("", 0, [1, 0, 0, 0, 0, 0]), section(".text", 4096, [1, 2, 3, 4, 5, 600])],
            },
        ]
    }

    const BLOBS: [(Kind, u64); 4] = [(Kind::COLD, 4), (Kind::MANIFEST, 9), (Kind::COLD, 716), (Kind::COLD, 5)];

    #[test]
    fn accounts_round_trip_and_no_prefix_reads() {
        let blob = encode(&sample());
        assert_eq!(decode(&blob, &BLOBS).unwrap(), sample());
        assert_eq!(sample()[1].total(), 716);
        for len in 0..blob.len() {
            assert!(decode(&blob[..len], &BLOBS).is_err(), "{len}");
        }
        for bit in 0..blob.len() * 8 {
            let mut flipped = blob.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(other) = decode(&flipped, &BLOBS) {
                assert_ne!(other, sample(), "bit {bit}");
            }
        }
    }

    #[test]
    fn accounts_that_do_not_add_up_are_refused() {
        let check = |change: fn(&mut Vec<BodyAccount>), expect: &str| {
            let mut account = sample();
            change(&mut account);
            let error = decode(&encode(&account), &BLOBS).unwrap_err().to_string();
            assert!(error.contains(expect), "{error} lacks {expect}");
        };
        check(|account| account[0].head_bytes += 1, "5 bytes of blob 0, which has 4");
        check(|account| account[1].sections[1].bytes[5] = u64::MAX, "of blob 2, which has 716");
        check(|account| account[0].body = 1, "blob 1 is not a delta body");
        check(|account| account[0].body = 9, "blob 9 is not a delta body");
        check(|account| account.swap(0, 1), "blob 0 is out of order");
        check(|account| account[1].sections[0].name = "x".repeat(MAX_NAME_LEN + 1), "too long");
        check(|account| account[1].sections[0].offset = u64::MAX, "beyond 64 bits");
        check(|account| account[1].sections = vec![SectionAccount::default(); MAX_SECTIONS + 1], "at most 64");
    }
}
