//! Writes a patch. Its bytes depend on its parts alone: no clock, one order, storages without times.

use std::io::{Read, Seek, Write};

use cfb::Version;

use super::PatchSummary;
use crate::container::{Container, PATCH, SUMMARY, TRANSFORM, encoded};
use crate::database::{Database, Table};
use crate::objection::{Objection, Objections};
use crate::transform::Transform;

/// The parts of a patch.
#[derive(Debug)]
pub struct Contents<'a> {
    /// Summary information.
    pub summary: PatchSummary,
    /// Code page of the tables; 0 is neutral.
    pub code_page: u32,
    /// `MsiPatchSequence` and `MsiPatchMetadata`, those that there are.
    pub tables: Vec<Table>,
    /// Transforms by name. Each must be in the summary information, and the other way round.
    pub transforms: Vec<(String, Transform)>,
    /// Cabinets.
    pub cabinets: Vec<Cabinet<'a>>,
}

/// A cabinet to put into a patch.
pub struct Cabinet<'a> {
    /// Name of its stream: `PCW_CAB_Family`.
    pub name: String,
    /// Length in bytes.
    pub len_bytes: u64,
    /// Its content, of which exactly that many bytes are taken.
    pub content: &'a mut dyn Read,
}

impl std::fmt::Debug for Cabinet<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cabinet").field("name", &self.name).field("len_bytes", &self.len_bytes).finish_non_exhaustive()
    }
}

/// Storages are called so; a name that `cfb` or the installer reads otherwise is refused.
const LONGEST_STORAGE_NAME: usize = 31;
/// A file of version 3 has at most 2 GiB; what is beyond, less what the container itself takes, needs version 4.
const LARGEST_VERSION_3: u64 = 0x7800_0000;

/// Writes a patch to `out`, which is read as well, and gives it back.
///
/// Errors are what stands against it: transforms without a name in the summary information or the reverse, two parts of one
/// name, texts that the code page lacks, a cabinet that is shorter or longer than it should be.
pub fn write<W: Read + Write + Seek>(contents: Contents<'_>, out: W) -> Result<W, Objections> {
    write_with_limit(contents, out, LARGEST_VERSION_3)
}

pub(super) fn write_with_limit<W: Read + Write + Seek>(
    contents: Contents<'_>,
    out: W,
    largest_version_3: u64,
) -> Result<W, Objections> {
    check(&contents)?;
    let Contents { summary, code_page, tables, transforms, cabinets } = contents;
    let root = Database { code_page, summary: summary.write(), tables, others: Vec::new() };
    let root = root.streams()?;
    let mut storages = Vec::new();
    for (name, transform) in &transforms {
        let streams = transform
            .streams()
            .map_err(|error| Objections(vec![Objection::of_database(format!("transform {name}: {error}"), "")]))?;
        storages.push((name, streams));
    }
    let streams = root.iter().chain(storages.iter().flat_map(|(_, streams)| streams));
    let len = streams.map(|stream| stream.bytes.len() as u64).sum::<u64>()
        + cabinets.iter().map(|cabinet| cabinet.len_bytes).sum::<u64>();
    let version = if len > largest_version_3 { Version::V4 } else { Version::V3 };
    let mut container = Container::create(out, version, PATCH)?;
    for stream in &root {
        container.put(None, &stream.name, &stream.raw, &stream.bytes)?;
    }
    for (name, streams) in storages {
        container.storage(name, TRANSFORM)?;
        crate::transform::put(&mut container, Some(name), &streams)?;
    }
    for cabinet in cabinets {
        let raw = encoded(&cabinet.name, false)?;
        // One byte more than it should have tells whether it has more.
        let mut content = cabinet.content.take(cabinet.len_bytes.saturating_add(1));
        let copied = container.copy(None, &cabinet.name, &raw, &mut content)?;
        if copied != cabinet.len_bytes {
            let what = format!("stream {}: its {} bytes became more or fewer", cabinet.name, cabinet.len_bytes);
            return Err(Objections(vec![Objection::of_database(what, "nobody may write to the cabinet meanwhile")]));
        }
    }
    Ok(container.finish()?)
}

fn check(contents: &Contents<'_>) -> Result<(), Objections> {
    let mut objections = Vec::new();
    let mut object = |what: String| objections.push(Objection::of_database(what, ""));
    let listed = &contents.summary.transforms;
    for (name, _) in &contents.transforms {
        if !listed.contains(name) {
            object(format!("transform {name}: the summary information does not list it"));
        }
        let units = name.encode_utf16().count();
        if units == 0
            || units > LONGEST_STORAGE_NAME
            || name.contains(['/', '\\', ':', '!', ';'])
            || name.contains(SUMMARY)
        {
            object(format!("transform {name}: no storage can be called so"));
        }
    }
    for name in listed {
        if !contents.transforms.iter().any(|(other, _)| other == name) {
            object(format!("transform {name}: the summary information lists it, and it is not there"));
        }
    }
    for table in contents.tables.iter().filter(|table| table.rows.is_empty()) {
        object(format!("table {}: Windows Installer refuses a patch whose table has no rows", table.name));
    }
    Objections::or(objections, ())
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::msp::Msp;

    /// What is too large for version 3 is written as version 4, and read the same.
    #[test]
    fn large_patches_are_of_version_4() {
        fn contents(content: &mut dyn Read) -> Contents<'_> {
            Contents {
                summary: PatchSummary { transforms: vec!["AToB".to_owned()], ..PatchSummary::default() },
                code_page: 0,
                tables: Vec::new(),
                transforms: vec![("AToB".to_owned(), Transform::default())],
                cabinets: vec![Cabinet { name: "PCW_CAB_A".to_owned(), len_bytes: 5000, content }],
            }
        }
        let cabinet = [7; 5000];
        for (limit, version) in [(LARGEST_VERSION_3, 3), (4000, 4)] {
            let mut content = &cabinet[..];
            let file = write_with_limit(contents(&mut content), Cursor::new(Vec::new()), limit).unwrap();
            assert_eq!(file.get_ref()[26], version);
            let mut msp = Msp::open(file).unwrap();
            let mut read = Vec::new();
            msp.stream("PCW_CAB_A").unwrap().read_to_end(&mut read).unwrap();
            assert_eq!(read, cabinet);
        }
    }
}
