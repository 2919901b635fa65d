//! The record beside the body in a patched process.
//!
//! It is found by its first sixteen bytes, at the start of a mapping. Its state is one aligned word, written last when
//! something begins and first when it is done, so that whoever comes after a call that died knows what may be half
//! done, and the bytes to put back stand here too.

use crate::container::PatchId;
use crate::error::{FormatError, FormatErrorKind};
use crate::wire::{Reader, put_string, put_varint};

use super::{MAX_BODY, MAX_BUILD_ID, PAGE};

const STRUCTURE: &str = "hot registry";
/// First bytes of the mapping.
pub const MAGIC: [u8; 16] = *b"\x89Patchwright\r\n\x1a\0";
const VERSION: u32 = 1;
/// Magic, version, length of the rest, state, hash of the rest.
pub const HEAD_BYTES: usize = 16 + 4 + 4 + 8 + 32;
/// Where the state word stands.
pub const STATE_AT: u64 = 24;
/// Longest record that is believed.
pub const MAX_BYTES: u64 = 64 << 20;

/// How far a patch of a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The body is there, no redirect leads to it.
    Idle,
    /// Redirects are being written, or were when the call died.
    Applying,
    /// Every redirect stands.
    Active,
    /// Redirects are being taken back, or were when the call died.
    Reverting,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Idle, Self::Applying, Self::Active, Self::Reverting];

    /// The word in memory.
    pub const fn word(self) -> u64 {
        match self {
            Self::Idle => 1,
            Self::Applying => 2,
            Self::Active => 3,
            Self::Reverting => 4,
        }
    }
}

/// What a patched process knows of its patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry {
    /// How far it is.
    pub state: State,
    /// The patch.
    pub patch: PatchId,
    /// The build that it starts from.
    pub old_build: Vec<u8>,
    /// The build that it leads to.
    pub new_build: Vec<u8>,
    /// When it was applied, in seconds since 1970.
    pub since: u64,
    /// Where the program is: what is added to stated addresses.
    pub bias: u64,
    /// Offset of the body from the start of the mapping, and its length.
    pub body: (u64, u64),
    /// The closed set by actual addresses.
    pub functions: Vec<Entry>,
}

/// A function of the closed set, in the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Address and length of the old code; length 0 if there is none.
    pub old: (u64, u64),
    /// Address and length of the new code; length 0 if there is none.
    pub new: (u64, u64),
    /// The redirect, if it has one.
    pub redirect: Option<Redirect>,
}

/// Bytes at a place, before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// Where.
    pub address: u64,
    /// What stood there.
    pub before: Vec<u8>,
    /// What stands there while the patch is active; as long.
    pub after: Vec<u8>,
}

impl Registry {
    /// Writes the record.
    pub fn encode(&self) -> Vec<u8> {
        let mut rest = self.patch.0.to_vec();
        put_string(&mut rest, &self.old_build);
        put_string(&mut rest, &self.new_build);
        for number in [self.since, self.bias, self.body.0, self.body.1, self.functions.len() as u64] {
            put_varint(&mut rest, number);
        }
        for entry in &self.functions {
            put_string(&mut rest, entry.name.as_bytes());
            for number in [entry.old.0, entry.old.1, entry.new.0, entry.new.1] {
                put_varint(&mut rest, number);
            }
            rest.push(u8::from(entry.redirect.is_some()));
            if let Some(redirect) = &entry.redirect {
                put_varint(&mut rest, redirect.address);
                put_string(&mut rest, &redirect.before);
                put_string(&mut rest, &redirect.after);
            }
        }
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&u32::try_from(rest.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(&self.state.word().to_le_bytes());
        out.extend_from_slice(blake3::hash(&rest).as_bytes());
        out.extend_from_slice(&rest);
        out
    }

    /// The length of the whole record that begins with `head`, if it is one.
    ///
    /// # Errors
    /// It is one, of a version that is not known or of a length that cannot be.
    pub fn len_bytes(head: &[u8; HEAD_BYTES]) -> Result<Option<u64>, FormatError> {
        let mut reader = Reader::new(STRUCTURE, head);
        if reader.array()? != MAGIC {
            return Ok(None);
        }
        let version = reader.u32()?;
        if version != VERSION {
            return Err(reader.unsupported(format!("version {version}")));
        }
        let len = u64::from(reader.u32()?) + HEAD_BYTES as u64;
        if len > MAX_BYTES {
            return Err(reader.malformed(format!("a record of {len} bytes")));
        }
        Ok(Some(len))
    }

    /// Reads a record; bytes after it are not looked at.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut head = Reader::new(STRUCTURE, bytes);
        let Some(len) = Self::len_bytes(&head.array()?)? else {
            return Err(FormatError::new(STRUCTURE, 0, FormatErrorKind::NotOurs));
        };
        let mut reader = Reader::new(STRUCTURE, bytes.get(24..HEAD_BYTES).unwrap_or_default());
        let word = reader.u64()?;
        let state = State::ALL.into_iter().find(|state| state.word() == word);
        let state = state.ok_or_else(|| reader.malformed(format!("state {word}")))?;
        let hash: [u8; 32] = reader.array()?;
        let rest = head.bytes(usize::try_from(len).unwrap_or(usize::MAX) - HEAD_BYTES)?;
        if *blake3::hash(rest).as_bytes() != hash {
            return Err(FormatError::new(STRUCTURE, HEAD_BYTES as u64, FormatErrorKind::HashMismatch));
        }
        Self::decode_rest(Reader::new(STRUCTURE, rest), state)
    }

    fn decode_rest(mut reader: Reader<'_>, state: State) -> Result<Self, FormatError> {
        let patch = PatchId(reader.array()?);
        let build = |reader: &mut Reader<'_>| -> Result<Vec<u8>, FormatError> {
            let build = reader.string("length of the build identity")?;
            if build.len() > MAX_BUILD_ID {
                return Err(reader.malformed(format!("a build identity of {} bytes", build.len())));
            }
            Ok(build.to_vec())
        };
        let (old_build, new_build) = (build(&mut reader)?, build(&mut reader)?);
        let (since, bias) = (reader.varint()?, reader.varint()?);
        let body = (
            reader.varint_to("offset of the body", MAX_BYTES + PAGE)?,
            reader.varint_to("length of the body", 2 * MAX_BODY)?,
        );
        let count = reader.count("functions", 6)?;
        let functions = (0..count).map(|_| entry(&mut reader)).collect::<Result<_, _>>()?;
        reader.finish()?;
        Ok(Self { state, patch, old_build, new_build, since, bias, body, functions })
    }
}

fn range(reader: &mut Reader<'_>) -> Result<(u64, u64), FormatError> {
    let (start, len) = (reader.varint()?, reader.varint_to("length of a function", MAX_BODY)?);
    match start.checked_add(len) {
        Some(_) => Ok((start, len)),
        None => Err(reader.malformed("a function ends beyond the address space")),
    }
}

fn entry(reader: &mut Reader<'_>) -> Result<Entry, FormatError> {
    let name = reader.string("length of a name")?;
    let name = String::from_utf8(name.to_vec()).map_err(|_| reader.malformed("a name is not UTF-8"))?;
    let (old, new) = (range(reader)?, range(reader)?);
    let redirect = match reader.u8()? {
        0 => None,
        1 => {
            let address = reader.varint()?;
            let before = reader.string("length of a redirect")?.to_vec();
            let after = reader.string("length of a redirect")?.to_vec();
            if before.len() != after.len() || before.is_empty() || before.len() > 16 {
                return Err(reader.malformed("a redirect changes its length"));
            }
            Some(Redirect { address, before, after })
        }
        other => return Err(reader.malformed(format!("{other} says neither yes nor no"))),
    };
    Ok(Entry { name, old, new, redirect })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Registry {
        let redirect = Redirect { address: 0x55_0000_1000, before: vec![1, 2, 3, 4, 5], after: vec![0xe9, 0, 0, 0, 1] };
        Registry {
            state: State::Active,
            patch: PatchId([9; 32]),
            old_build: vec![1; 20],
            new_build: vec![2; 20],
            since: 1_800_000_000,
            bias: 0x55_0000_0000,
            body: (4096, 8192),
            functions: vec![
                Entry { name: "f".into(), old: (0x55_0000_1000, 32), new: (0x7f, 40), redirect: Some(redirect) },
                Entry { name: "new".into(), old: (0, 0), new: (0xff, 4), redirect: None },
            ],
        }
    }

    #[test]
    fn records_round_trip_and_what_follows_is_not_looked_at() {
        let record = sample();
        let bytes = record.encode();
        assert_eq!(Registry::decode(&[bytes.as_slice(), &[0; 100]].concat()).unwrap(), record);
        for len in 0..bytes.len() {
            assert!(Registry::decode(&bytes[..len]).is_err(), "prefix of {len} bytes");
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed_and_the_state_is_four_words() {
        let bytes = sample().encode();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            // A state may turn into another one: that is how it is written.
            let noticed = Registry::decode(&flipped).map(|read| read.state != State::Active);
            assert!(noticed.unwrap_or(true), "bit {bit}");
        }
        for state in State::ALL {
            let mut written = bytes.clone();
            written[24..32].copy_from_slice(&state.word().to_le_bytes());
            assert_eq!(Registry::decode(&written).unwrap().state, state);
        }
    }

    #[test]
    fn other_mappings_are_none_of_ours() {
        assert_eq!(Registry::len_bytes(&[0; HEAD_BYTES]).unwrap(), None);
        let mut head: [u8; HEAD_BYTES] = sample().encode()[..HEAD_BYTES].try_into().unwrap();
        head[20..24].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(Registry::len_bytes(&head).unwrap_err().to_string().contains("a record of"));
    }
}
