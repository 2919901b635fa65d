//! The undo record: what `revert` must know beyond the patch that leads back.
//!
//! Specification: `docs/formats/undo.md`. An undo record is a container like any patch, with one more blob: this one.

use crate::container::PatchId;
use crate::error::FormatError;
use crate::wire::{Reader, put_string, put_varint};

const STRUCTURE: &str = "undo record";
const VERSION: u8 = 1;
const HAS_OWNER: u8 = 1;
const HAS_MODE: u8 = 2;

/// The part of an undo record that a patch does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undo {
    /// The patch that this takes back.
    pub reverts: PatchId,
    /// The old attributes of each entry of the manifest's new version (one, for a single file), in order.
    pub attributes: Vec<Attributes>,
}

/// What a file was besides its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Time of the last change of content: seconds since 1970 and nanoseconds.
    pub modified: Option<(i64, u32)>,
    /// User and group number; only of what the patch removed, since what it replaced keeps its owner.
    pub owner: Option<(u32, u32)>,
    /// Permission bits; only of what the patch removed.
    pub mode: Option<u32>,
    /// Extended attributes, ACLs among them; only of what the patch removed.
    pub extended: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Undo {
    /// Writes the blob.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&self.reverts.0);
        put_varint(&mut out, self.attributes.len() as u64);
        for attributes in &self.attributes {
            put_attributes(&mut out, attributes);
        }
        out
    }

    /// Reads the blob.
    pub fn decode(blob: &[u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new(STRUCTURE, blob);
        let version = reader.u8()?;
        if version != VERSION {
            return Err(reader.unsupported(format!("version {version}")));
        }
        let reverts = PatchId(reader.array()?);
        let count = reader.count("entries", 2)?;
        let attributes = (0..count).map(|_| attributes(&mut reader)).collect::<Result<_, _>>()?;
        reader.finish()?;
        Ok(Self { reverts, attributes })
    }
}

const HAS_MODIFIED: u8 = 4;

fn put_attributes(out: &mut Vec<u8>, attributes: &Attributes) {
    let flag = |present: bool, flag| if present { flag } else { 0 };
    out.push(
        flag(attributes.modified.is_some(), HAS_MODIFIED)
            | flag(attributes.owner.is_some(), HAS_OWNER)
            | flag(attributes.mode.is_some(), HAS_MODE),
    );
    if let Some((seconds, nanoseconds)) = attributes.modified {
        out.extend_from_slice(&seconds.to_le_bytes());
        out.extend_from_slice(&nanoseconds.to_le_bytes());
    }
    if let Some((user, group)) = attributes.owner {
        out.extend_from_slice(&user.to_le_bytes());
        out.extend_from_slice(&group.to_le_bytes());
    }
    if let Some(mode) = attributes.mode {
        out.extend_from_slice(&mode.to_le_bytes());
    }
    put_varint(out, attributes.extended.len() as u64);
    for (name, value) in &attributes.extended {
        put_string(out, name);
        put_string(out, value);
    }
}

fn attributes(reader: &mut Reader<'_>) -> Result<Attributes, FormatError> {
    let flags = reader.u8()?;
    if flags & !(HAS_OWNER | HAS_MODE | HAS_MODIFIED) != 0 {
        return Err(reader.unsupported(format!("attribute flags {flags:#x}")));
    }
    let has = |flag| flags & flag != 0;
    let modified =
        if has(HAS_MODIFIED) { Some((reader.array().map(i64::from_le_bytes)?, reader.u32()?)) } else { None };
    let owner = if has(HAS_OWNER) { Some((reader.u32()?, reader.u32()?)) } else { None };
    let mode = if has(HAS_MODE) { Some(reader.u32()?) } else { None };
    let count = reader.count("extended attributes", 2)?;
    let extended = (0..count)
        .map(|_| Ok((reader.string("name length")?.to_vec(), reader.string("value length")?.to_vec())))
        .collect::<Result<_, FormatError>>()?;
    Ok(Attributes { modified, owner, mode, extended })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_round_trip_and_prefixes_are_refused() {
        let undo = Undo {
            reverts: PatchId([5; 32]),
            attributes: vec![
                Attributes::default(),
                Attributes {
                    modified: Some((-7, 999_999_999)),
                    owner: Some((0, u32::MAX)),
                    mode: Some(0o4755),
                    extended: vec![(b"user.note".to_vec(), b"x".to_vec()), (b"user.empty".to_vec(), Vec::new())],
                },
            ],
        };
        let blob = undo.encode();
        assert_eq!(Undo::decode(&blob).unwrap(), undo);
        for len in 0..blob.len() {
            assert!(Undo::decode(&blob[..len]).is_err());
        }
    }
}
