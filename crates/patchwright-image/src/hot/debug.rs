//! Debug information of a program, as gimli reads it.

use gimli::{Dwarf, EndianSlice, LittleEndian};
use object::read::{File, Object as _, ObjectSection as _};

pub(super) type Slice<'data> = EndianSlice<'data, LittleEndian>;

/// The debug information in the file itself.
pub(super) fn dwarf<'data>(file: &File<'data>) -> Option<Dwarf<Slice<'data>>> {
    let load = |id: gimli::SectionId| -> Result<Slice<'data>, gimli::Error> {
        let section = file.section_by_name(id.name());
        // Compressed debug information counts as none.
        let data = section
            .filter(|section| {
                section.compressed_file_range().is_ok_and(|range| range.format == object::CompressionFormat::None)
            })
            .and_then(|section| section.data().ok())
            .unwrap_or_default();
        Ok(EndianSlice::new(data, LittleEndian))
    };
    Dwarf::load(load).ok()
}
