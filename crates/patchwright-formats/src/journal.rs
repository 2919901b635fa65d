//! The journal: what a change to a target consists of, written before the first step of it is taken.
//!
//! Specification: `docs/formats/journal.md`. Whoever finds one knows of each step what it starts from and what it
//! leads to, and can tell by looking whether it was taken. Paths are relative to the folder that holds the journal's
//! own folder; they are checked like all input, for the folder may belong to somebody else.

use crate::error::{FormatError, FormatErrorKind};
use crate::manifest::Hash;
use crate::wire::{Reader, put_string, put_varint};

const STRUCTURE: &str = "journal";
const MAGIC: [u8; 8] = *b"\x89PWJ\r\n\x1a\n";
const VERSION: u8 = 1;
/// Longest journal that is read.
pub const MAX_JOURNAL_LEN: u64 = 256 << 20;

/// The steps of one change, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Journal {
    /// The steps.
    pub steps: Vec<Step>,
}

/// A path as the system has it: names joined by `/`, in bytes that need not be UTF-8.
pub type RawPath = Vec<u8>;

/// One step. Each can be taken, taken again without effect, and taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Moves a file or link out of the way, into the stage.
    Take {
        /// What is moved.
        path: RawPath,
        /// Its name in the stage.
        stash: u64,
        /// What it is.
        before: Print,
    },
    /// Removes an empty folder.
    RemoveFolder {
        /// The folder.
        path: RawPath,
        /// Its permission bits.
        mode: u32,
        /// Its user and group number.
        owner: (u32, u32),
    },
    /// Makes a folder.
    MakeFolder {
        /// The folder.
        path: RawPath,
        /// Its permission bits.
        mode: u32,
    },
    /// Moves a file or link from the stage to its place.
    Put {
        /// Its place.
        path: RawPath,
        /// Its name in the stage.
        stash: u64,
        /// What stood there.
        before: Print,
        /// What it is.
        after: Print,
    },
    /// Sets permission bits.
    SetMode {
        /// Of what.
        path: RawPath,
        /// The bits before.
        before: u32,
        /// The bits after.
        after: u32,
    },
}

/// By what a file or link is recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Print {
    /// Nothing is there.
    Absent,
    /// A file.
    File {
        /// Its length.
        size: u64,
        /// BLAKE3 of it, every byte counted.
        hash: Hash,
    },
    /// A symbolic link.
    Link {
        /// What it holds.
        target: RawPath,
    },
}

impl Journal {
    /// Writes the journal; its last 32 bytes are the BLAKE3 of those before.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.push(VERSION);
        put_varint(&mut out, self.steps.len() as u64);
        for step in &self.steps {
            put_step(&mut out, step);
        }
        let hash = blake3::hash(&out);
        out.extend_from_slice(hash.as_bytes());
        out
    }

    /// Reads a journal.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let body = check_envelope(bytes)?;
        let mut reader = Reader::new(STRUCTURE, body);
        reader.array::<8>()?;
        let version = reader.u8()?;
        if version != VERSION {
            return Err(reader.unsupported(format!("version {version}")));
        }
        let count = reader.count("steps", 4)?;
        let steps = (0..count).map(|_| step(&mut reader)).collect::<Result<_, _>>()?;
        reader.finish()?;
        Ok(Self { steps })
    }
}

fn check_envelope(bytes: &[u8]) -> Result<&[u8], FormatError> {
    if !bytes.starts_with(&MAGIC) {
        return Err(FormatError::new(STRUCTURE, 0, FormatErrorKind::NotOurs));
    }
    let (body, hash) =
        bytes.split_last_chunk::<32>().ok_or_else(|| FormatError::new(STRUCTURE, 0, FormatErrorKind::Truncated))?;
    if blake3::hash(body).as_bytes() != hash {
        return Err(FormatError::new(STRUCTURE, 0, FormatErrorKind::HashMismatch));
    }
    Ok(body)
}

const TAKE: u8 = 1;
const REMOVE_FOLDER: u8 = 2;
const MAKE_FOLDER: u8 = 3;
const PUT: u8 = 4;
const SET_MODE: u8 = 5;

fn put_step(out: &mut Vec<u8>, step: &Step) {
    match step {
        Step::Take { path, stash, before } => {
            put_head(out, TAKE, path);
            put_varint(out, *stash);
            put_print(out, before);
        }
        Step::RemoveFolder { path, mode, owner } => {
            put_head(out, REMOVE_FOLDER, path);
            put_varint(out, (*mode).into());
            out.extend_from_slice(&owner.0.to_le_bytes());
            out.extend_from_slice(&owner.1.to_le_bytes());
        }
        Step::MakeFolder { path, mode } => {
            put_head(out, MAKE_FOLDER, path);
            put_varint(out, (*mode).into());
        }
        Step::Put { path, stash, before, after } => {
            put_head(out, PUT, path);
            put_varint(out, *stash);
            put_print(out, before);
            put_print(out, after);
        }
        Step::SetMode { path, before, after } => {
            put_head(out, SET_MODE, path);
            put_varint(out, (*before).into());
            put_varint(out, (*after).into());
        }
    }
}

fn put_head(out: &mut Vec<u8>, kind: u8, path: &[u8]) {
    out.push(kind);
    put_string(out, path);
}

fn put_print(out: &mut Vec<u8>, print: &Print) {
    match print {
        Print::Absent => out.push(0),
        Print::File { size, hash } => {
            out.push(1);
            put_varint(out, *size);
            out.extend_from_slice(hash);
        }
        Print::Link { target } => {
            out.push(2);
            put_string(out, target);
        }
    }
}

fn step(reader: &mut Reader<'_>) -> Result<Step, FormatError> {
    let kind = reader.u8()?;
    let path = raw_path(reader)?;
    Ok(match kind {
        TAKE => Step::Take { path, stash: reader.varint()?, before: print(reader)? },
        REMOVE_FOLDER => Step::RemoveFolder { path, mode: mode(reader)?, owner: (reader.u32()?, reader.u32()?) },
        MAKE_FOLDER => Step::MakeFolder { path, mode: mode(reader)? },
        PUT => Step::Put { path, stash: reader.varint()?, before: print(reader)?, after: print(reader)? },
        SET_MODE => Step::SetMode { path, before: mode(reader)?, after: mode(reader)? },
        other => return Err(reader.unsupported(format!("step {other}"))),
    })
}

fn raw_path(reader: &mut Reader<'_>) -> Result<RawPath, FormatError> {
    let path = reader.string("path length")?;
    let plain = |name: &[u8]| !name.is_empty() && name != b"." && name != b".." && !name.contains(&0);
    if path.split(|byte| *byte == b'/').all(plain) {
        Ok(path.to_vec())
    } else {
        Err(reader.malformed(format!("'{}' is not a path inside the folder", path.escape_ascii())))
    }
}

fn mode(reader: &mut Reader<'_>) -> Result<u32, FormatError> {
    Ok(u32::try_from(reader.varint_to("mode", 0o7777)?).expect("at most twelve bits"))
}

fn print(reader: &mut Reader<'_>) -> Result<Print, FormatError> {
    Ok(match reader.u8()? {
        0 => Print::Absent,
        1 => Print::File { size: reader.varint()?, hash: reader.array()? },
        2 => Print::Link { target: reader.string("link length")?.to_vec() },
        other => return Err(reader.unsupported(format!("print {other}"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Journal {
        let file = |hash| Print::File { size: 7, hash: [hash; 32] };
        Journal {
            steps: vec![
                Step::Take { path: b"a".into(), stash: 3, before: Print::Link { target: b"../x".into() } },
                Step::RemoveFolder { path: b"d/e".into(), mode: 0o755, owner: (0, 1000) },
                Step::MakeFolder { path: b"f".into(), mode: 0o700 },
                Step::Put { path: b"f/\xff".into(), stash: 0, before: Print::Absent, after: file(1) },
                Step::Put { path: b"g".into(), stash: 1, before: file(2), after: file(3) },
                Step::SetMode { path: b"g".into(), before: 0o644, after: 0o755 },
            ],
        }
    }

    #[test]
    fn journals_round_trip_and_any_damage_is_noticed() {
        let bytes = sample().encode();
        assert_eq!(Journal::decode(&bytes).unwrap(), sample());
        for len in 0..bytes.len() {
            assert!(Journal::decode(&bytes[..len]).is_err());
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Journal::decode(&flipped).is_err());
        }
    }

    #[test]
    fn paths_that_leave_the_folder_are_refused() {
        for path in [&b""[..], b"/etc", b"..", b"a/../b", b"a//b", b"a\0b", b"a/"] {
            let journal = Journal { steps: vec![Step::MakeFolder { path: path.into(), mode: 0 }] };
            assert!(Journal::decode(&journal.encode()).is_err(), "{}", path.escape_ascii());
        }
    }
}
