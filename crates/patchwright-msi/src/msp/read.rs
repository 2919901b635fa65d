//! Reads any patch: its tables at once, transforms and cabinets when they are asked for.

use std::io::{Read, Seek};

use cfb::CompoundFile;

use super::PatchSummary;
use super::tables::{self, Metadata, Sequence};
use crate::container::{self, DATABASE, PATCH, Streams, TRANSFORM};
use crate::database::Database;
use crate::error::{MsiError, Result};
use crate::objection::Objections;
use crate::transform::{Known, Transform};

/// An opened patch.
///
/// Its tables are in memory; cabinets, which are most of it, are not. What is read of it at once, a transform or the tables, takes
/// memory in proportion to its own length, at most about two hundred times as much, and never more streams than the file has bytes.
pub struct Msp<F> {
    container: CompoundFile<F>,
    /// Bytes of the file.
    len: u64,
    database: Database,
    transforms: Vec<String>,
    parts: Vec<Part>,
    signature: Vec<Part>,
}

/// A stream of a patch that is no table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Its name in the container.
    raw: String,
    /// Its length in bytes.
    pub len_bytes: u64,
}

impl<F> std::fmt::Debug for Msp<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Msp").field("transforms", &self.transforms).field("parts", &self.parts).finish_non_exhaustive()
    }
}

impl<F: Read + Seek> Msp<F> {
    /// Opens a patch and reads its tables.
    pub fn open(file: F) -> Result<Self> {
        let (mut container, len) = container::open(file)?;
        let class = *container.root_entry().clsid();
        if class != PATCH {
            let whose = match class {
                DATABASE => "that of an installer or another database",
                TRANSFORM => "that of a transform",
                _ => "unknown",
            };
            return Err(MsiError::malformed("class of the file", format!("it is {whose}, not that of a patch")));
        }
        container::check_lengths(&container, len)?;
        let database = Database::read_streams(Streams::list(&mut container, None, len)?)?;
        let streams = Streams::list(&mut container, None, len)?;
        let transforms = streams.storages().to_vec();
        let left = streams.streams_left();
        let (mut parts, mut signature) = (Vec::new(), Vec::new());
        for (raw, name) in left {
            let entry = container.entry(format!("/{raw}"));
            let entry = entry.map_err(|error| MsiError::io(format!("stream {name}"), error))?;
            let part = Part { name, raw, len_bytes: entry.len() };
            // Names that are not packed: summary information and signatures.
            match part.raw.strip_prefix('\u{5}') {
                Some("DigitalSignature" | "MsiDigitalSignatureEx") => signature.push(part),
                Some(_) => {}
                None => parts.push(part),
            }
        }
        parts.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Self { container, len, database, transforms, parts, signature })
    }

    /// The tables of the patch, and its summary information.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// What the summary information says.
    pub fn summary(&self) -> Result<PatchSummary, Objections> {
        PatchSummary::read(&self.database.summary)
    }

    /// The rows of `MsiPatchSequence`; `None` if there is no such table.
    pub fn sequence(&self) -> Option<Vec<Sequence>> {
        tables::sequence(&self.database)
    }

    /// The rows of `MsiPatchMetadata`; `None` if there is no such table.
    pub fn metadata(&self) -> Option<Vec<Metadata>> {
        tables::metadata(&self.database)
    }

    /// Names of the transforms that are there, sorted; the order in which they apply is that of the summary information.
    pub fn transforms(&self) -> &[String] {
        &self.transforms
    }

    /// Streams that are no tables: cabinets as a rule.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The streams of the signature; empty if there is none. Nobody looked at what is in them.
    pub fn signature(&self) -> &[Part] {
        &self.signature
    }

    /// Reads a transform.
    pub fn transform(&mut self, name: &str, known: Known<'_>) -> Result<Transform> {
        if !self.transforms.iter().any(|other| other == name) {
            return Err(MsiError::malformed(format!("transform {name}"), "there is no storage of this name"));
        }
        let streams = Streams::list(&mut self.container, Some(name), self.len)?;
        Transform::read_streams(streams, known)
            .map_err(|error| MsiError::new(format!("transform {name}, {}", error.structure), error.kind))
    }

    /// The content of a stream that is no table, from its start.
    pub fn stream(&mut self, name: &str) -> Result<impl Read + Seek + use<F>> {
        let structure = || format!("stream {name}");
        let part = self.parts.iter().chain(&self.signature).find(|part| part.name == name);
        let part = part.ok_or_else(|| MsiError::malformed(structure(), "there is no stream of this name"))?;
        if part.len_bytes > self.len {
            let what = format!("its {} bytes are more than the file has", part.len_bytes);
            return Err(MsiError::malformed(structure(), what));
        }
        self.container.open_stream(format!("/{}", part.raw)).map_err(|error| MsiError::io(structure(), error))
    }
}
