//! What stands in a process while redirects are written: where each place was, and where it goes.
//!
//! Every place first gets a jump to a step of its own, which goes on through a slot: to what stood there, moved, or to
//! where the place leads afterwards. All slots lie in one page and are written at once. That write is the switch;
//! before it the process is the old one, after it the new one, whatever part of the rest has been done. So a
//! call that finds the journal of one that died finishes what the slots say.

use crate::error::{FormatError, FormatErrorKind};
use crate::wire::{Reader, put_string, put_varint};

use super::registry::State;

const STRUCTURE: &str = "hot journal";
/// First bytes of the mapping.
pub const MAGIC: [u8; 16] = *b"\x89Patchswitch\r\n\x1a\0";
const VERSION: u32 = 1;
/// Magic, version, length of the rest, eight zeros, hash of the rest.
pub const HEAD_BYTES: usize = 64;
/// Longest journal that is believed.
pub const MAX_BYTES: u64 = 64 << 20;

/// What is written, in which order it is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Journal {
    /// Length of the mapping, which holds slots and steps too.
    pub len: u64,
    /// Offset of the slots, eight bytes for each place.
    pub slots: u64,
    /// The places.
    pub places: Vec<Place>,
    /// What becomes of registries.
    pub states: Vec<StateChange>,
}

/// A place of the process's code that is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where.
    pub address: u64,
    /// What stands there before.
    pub from: Vec<u8>,
    /// The jump to its step; as long.
    pub through: Vec<u8>,
    /// What stands there afterwards; as long.
    pub to: Vec<u8>,
    /// What its slot holds before: where the process goes on as it was.
    pub stay: u64,
    /// What its slot holds after the switch.
    pub go: u64,
}

/// The state of a registry before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// Where its state word is.
    pub address: u64,
    /// Before.
    pub from: State,
    /// Afterwards.
    pub to: State,
}

impl Journal {
    /// Writes what comes before the slots. Its length depends on the number of places and their lengths alone.
    pub fn encode(&self) -> Vec<u8> {
        let mut rest = Vec::new();
        for number in [self.len, self.slots] {
            rest.extend(number.to_le_bytes());
        }
        put_varint(&mut rest, self.places.len() as u64);
        for place in &self.places {
            for number in [place.address, place.stay, place.go] {
                rest.extend(number.to_le_bytes());
            }
            for bytes in [&place.from, &place.through, &place.to] {
                put_string(&mut rest, bytes);
            }
        }
        put_varint(&mut rest, self.states.len() as u64);
        for change in &self.states {
            rest.extend(change.address.to_le_bytes());
            for state in [change.from, change.to] {
                rest.extend(state.word().to_le_bytes());
            }
        }
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&u32::try_from(rest.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(blake3::hash(&rest).as_bytes());
        out.extend_from_slice(&rest);
        out
    }

    /// The length of what [`encode`](Self::encode) wrote, if `head` begins it.
    ///
    /// # Errors
    /// It begins a journal of a version that is not known or of a length that cannot be.
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
            return Err(reader.malformed(format!("a journal of {len} bytes")));
        }
        Ok(Some(len))
    }

    /// Reads a journal; bytes after it are not looked at.
    ///
    /// # Errors
    /// It is none, or it is damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut head = Reader::new(STRUCTURE, bytes);
        let Some(len) = Self::len_bytes(&head.array()?)? else {
            return Err(FormatError::new(STRUCTURE, 0, FormatErrorKind::NotOurs));
        };
        let mut reader = Reader::new(STRUCTURE, bytes.get(24..HEAD_BYTES).unwrap_or_default());
        if reader.u64()? != 0 {
            return Err(reader.malformed("bytes that mean nothing are not zero"));
        }
        let hash: [u8; 32] = reader.array()?;
        let rest = head.bytes(usize::try_from(len).unwrap_or(usize::MAX) - HEAD_BYTES)?;
        if *blake3::hash(rest).as_bytes() != hash {
            return Err(FormatError::new(STRUCTURE, HEAD_BYTES as u64, FormatErrorKind::HashMismatch));
        }
        Self::decode_rest(Reader::new(STRUCTURE, rest))
    }

    fn decode_rest(mut reader: Reader<'_>) -> Result<Self, FormatError> {
        let (len, slots) = (reader.u64()?, reader.u64()?);
        let count = reader.count("places", 27)?;
        let places = (0..count).map(|_| place(&mut reader)).collect::<Result<Vec<_>, _>>()?;
        if len > MAX_BYTES || slots.checked_add(8 * places.len() as u64).is_none_or(|end| end > len) {
            return Err(reader.malformed("the slots lie outside the journal"));
        }
        let count = reader.count("states", 24)?;
        let states = (0..count).map(|_| change(&mut reader)).collect::<Result<_, _>>()?;
        reader.finish()?;
        Ok(Self { len, slots, places, states })
    }
}

fn place(reader: &mut Reader<'_>) -> Result<Place, FormatError> {
    let (address, stay, go) = (reader.u64()?, reader.u64()?, reader.u64()?);
    let mut bytes = || reader.string("length of a place").map(<[u8]>::to_vec);
    let (from, through, to) = (bytes()?, bytes()?, bytes()?);
    if from.len() != through.len() || from.len() != to.len() || from.is_empty() || from.len() > 16 {
        return Err(reader.malformed("a place changes its length"));
    }
    Ok(Place { address, from, through, to, stay, go })
}

fn change(reader: &mut Reader<'_>) -> Result<StateChange, FormatError> {
    let address = reader.u64()?;
    let mut state = || {
        let word = reader.u64()?;
        let state = State::ALL.into_iter().find(|state| state.word() == word);
        state.ok_or_else(|| reader.malformed(format!("state {word}")))
    };
    Ok(StateChange { address, from: state()?, to: state()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(count: usize) -> Journal {
        let place = |index: usize| Place {
            address: 0x5500_0000 + 64 * index as u64,
            from: vec![1, 2, 3, 4, 5],
            through: vec![0xe9, 0, 0, 0, 1],
            to: vec![0xe9, 0, 0, 1, 0],
            stay: 0x7777,
            go: u64::MAX - index as u64,
        };
        let states = vec![StateChange { address: 0x1018, from: State::Idle, to: State::Active }];
        Journal { len: 8192, slots: 512, places: (0..count).map(place).collect(), states }
    }

    #[test]
    fn journals_round_trip_and_what_follows_is_not_looked_at() {
        for count in [0, 1, 3] {
            let journal = sample(count);
            let bytes = journal.encode();
            assert_eq!(Journal::decode(&[bytes.as_slice(), &[0; 100]].concat()).unwrap(), journal);
            for len in 0..bytes.len() {
                assert!(Journal::decode(&bytes[..len]).is_err(), "prefix of {len} bytes");
            }
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = sample(2).encode();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Journal::decode(&flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let mut outside = sample(2);
        outside.slots = 8192 - 15;
        let mut longer = sample(1);
        longer.places[0].to.push(0);
        let mut huge = sample(1);
        huge.len = MAX_BYTES + 1;
        for (journal, expect) in [
            (outside, "the slots lie outside the journal"),
            (longer, "a place changes its length"),
            (huge, "the slots lie outside the journal"),
        ] {
            let error = Journal::decode(&journal.encode()).unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        }
        assert_eq!(Journal::len_bytes(&[0; HEAD_BYTES]).unwrap(), None);
    }
}
