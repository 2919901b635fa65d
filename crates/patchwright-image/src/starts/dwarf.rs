//! DWARF: subprograms with their ranges, the unit that each comes from, and how often a body was copied into callers.
//!
//! Abstract instances have no address; parts that were split off are further ranges of the same subprogram; functions that
//! the linker dropped keep an address where no code is. Compressed sections and split units (`.dwo`) are not read.

use std::collections::BTreeMap;

use gimli::{
    AttributeValue, DebugInfoOffset, DebuggingInformationEntry, Dwarf, EndianSlice, LittleEndian, Unit, UnitHeader,
    UnitSectionOffset, constants,
};
use object::read::{CompressionFormat, File, Object as _, ObjectSection as _};
use rayon::prelude::*;

use super::{Found, Module, Source};
use crate::image::{Address, Image, Machine};

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// What a unit says.
#[derive(Default)]
struct UnitFound<'a> {
    name: &'a [u8],
    folder: &'a [u8],
    producer: &'a [u8],
    subprograms: Vec<Subprogram<'a>>,
    /// Copies of bodies in callers, by the abstract instance.
    copies: Vec<usize>,
}

/// More parts no compiler makes of a function; what they are in may be shared.
const MOST_RANGES: usize = 16;

struct Subprogram<'a> {
    ranges: Vec<(u64, u64)>,
    name: Option<&'a [u8]>,
    /// The abstract instance, or itself.
    identity: usize,
    external: bool,
}

pub(super) fn read(file: &File<'_>, image: &mut Image<'_>, found: &mut Found) {
    let load = |id: gimli::SectionId| -> Result<Slice<'_>, gimli::Error> {
        let section = file.section_by_name(id.name());
        let plain = section.filter(|section| {
            section.compressed_file_range().is_ok_and(|range| range.format == CompressionFormat::None)
        });
        let data = plain.and_then(|section| section.data().ok()).unwrap_or_default();
        Ok(EndianSlice::new(data, LittleEndian))
    };
    let Ok(dwarf) = Dwarf::load(load) else { return };
    let mut headers = Vec::new();
    let mut units = dwarf.units();
    while let Ok(Some(header)) = units.next() {
        headers.push(header);
    }
    let units: Vec<UnitFound<'_>> = headers.into_par_iter().map(|header| unit(&dwarf, header)).collect();
    let mut copies: BTreeMap<usize, usize> = BTreeMap::new();
    for copy in units.iter().flat_map(|unit| &unit.copies) {
        *copies.entry(*copy).or_default() += 1;
    }
    for unit in units {
        let number = image.modules.len();
        let mut text = |bytes| found.text(bytes).unwrap_or_default();
        let (name, library, producer) = (text(unit.name), text(unit.folder), text(unit.producer));
        let says = producer.starts_with("GNU ") || producer.contains(" -f");
        let asked = ["-fpatchable-function-entry", "-fms-hotpatch"].iter().any(|flag| producer.contains(flag));
        image.modules.push(Module {
            name,
            library,
            producer,
            // GCC writes down how it was called; others only when told to.
            hot_patch: (says || asked).then_some(asked),
            origin: None,
            functions: 0,
        });
        for subprogram in unit.subprograms {
            let inlined = copies.get(&subprogram.identity).copied().unwrap_or_default();
            note(&subprogram, inlined, number, image, found);
        }
    }
}

fn note(subprogram: &Subprogram<'_>, inlined: usize, module: usize, image: &Image<'_>, found: &mut Found) {
    let Some(&(start, end)) = subprogram.ranges.first() else { return };
    let thumb = u64::from(image.machine == Machine::Arm);
    let start = start & !thumb;
    // Symbols are better informed about where a function begins and what it is called.
    let known = found.functions.contains_key(&start);
    let Some(function) = found.note_range(image, start, end.saturating_sub(start), Source::Dwarf) else { return };
    function.module = function.module.or(Some(module));
    function.inlined = function.inlined.max(inlined);
    if let Some(name) = subprogram.name
        && !known
        && function.address == Address(start)
    {
        function.exported |= subprogram.external && !image.has_symbol_table;
        found.name(start, Source::Dwarf, name);
    }
    for &(part, end) in &subprogram.ranges[1..] {
        let part = part & !thumb;
        if let Some(function) = found.note_range(image, part, end.saturating_sub(part), Source::Dwarf)
            && function.address != Address(start)
        {
            function.part = true;
            function.parent = Some(Address(start));
            function.module = function.module.or(Some(module));
        }
    }
}

fn unit<'a>(dwarf: &Dwarf<Slice<'a>>, header: UnitHeader<Slice<'a>>) -> UnitFound<'a> {
    let mut told = UnitFound::default();
    let Ok(unit) = dwarf.unit(header) else { return told };
    let Ok(mut entries) = unit.entries_raw(None) else { return told };
    let mut entry = DebuggingInformationEntry::null();
    while !entries.is_empty() {
        if entries.read_entry(&mut entry).is_err() {
            break;
        }
        match entry.tag() {
            constants::DW_TAG_compile_unit => {
                let text = |at| text(dwarf, &unit, &entry, at).unwrap_or_default();
                told.name = text(constants::DW_AT_name);
                told.folder = text(constants::DW_AT_comp_dir);
                told.producer = text(constants::DW_AT_producer);
            }
            constants::DW_TAG_subprogram => told.subprograms.extend(subprogram(dwarf, &unit, &entry)),
            constants::DW_TAG_inlined_subroutine => {
                let origin = entry.attr_value(constants::DW_AT_abstract_origin);
                told.copies.extend(origin.and_then(|origin| reference(&unit, origin)));
            }
            _ => {}
        }
    }
    told
}

fn subprogram<'a>(
    dwarf: &Dwarf<Slice<'a>>,
    unit: &Unit<Slice<'a>>,
    entry: &DebuggingInformationEntry<Slice<'a>>,
) -> Option<Subprogram<'a>> {
    let mut ranges = Vec::new();
    // The reader adds the two without asking whether there is such an address.
    let low = entry.attr_value(constants::DW_AT_low_pc).and_then(|low| dwarf.attr_address(unit, low).ok().flatten());
    let len = entry.attr_value(constants::DW_AT_high_pc).and_then(|high| high.udata_value());
    low.unwrap_or(0).checked_add(len.unwrap_or(0))?;
    let mut all = dwarf.die_ranges(unit, entry).ok()?;
    while let Ok(Some(range)) = all.next() {
        if range.begin < range.end {
            ranges.push((range.begin, range.end));
        }
        if ranges.len() == MOST_RANGES {
            break;
        }
    }
    if ranges.is_empty() {
        return None;
    }
    let origin = entry.attr_value(constants::DW_AT_abstract_origin).and_then(|origin| reference(unit, origin));
    let identity = origin.unwrap_or_else(|| debug_info_offset(entry.offset().to_unit_section_offset(unit)));
    let external = matches!(entry.attr_value(constants::DW_AT_external), Some(AttributeValue::Flag(true)));
    Some(Subprogram { ranges, name: name(dwarf, unit, entry, 4), identity, external })
}

/// The linker's name, or the plain one, here or where the entry refers to.
fn name<'a>(
    dwarf: &Dwarf<Slice<'a>>,
    unit: &Unit<Slice<'a>>,
    entry: &DebuggingInformationEntry<Slice<'a>>,
    depth: u8,
) -> Option<&'a [u8]> {
    let own = [constants::DW_AT_linkage_name, constants::DW_AT_MIPS_linkage_name, constants::DW_AT_name]
        .into_iter()
        .find_map(|at| text(dwarf, unit, entry, at));
    let depth = depth.checked_sub(1)?;
    own.or_else(|| {
        let other = [constants::DW_AT_abstract_origin, constants::DW_AT_specification]
            .into_iter()
            .find_map(|at| entry.attr_value(at))?;
        let AttributeValue::UnitRef(offset) = other else { return None };
        name(dwarf, unit, &unit.entry(offset).ok()?, depth)
    })
}

fn text<'a>(
    dwarf: &Dwarf<Slice<'a>>,
    unit: &Unit<Slice<'a>>,
    entry: &DebuggingInformationEntry<Slice<'a>>,
    at: gimli::DwAt,
) -> Option<&'a [u8]> {
    let value = entry.attr_value(at)?;
    Some(dwarf.attr_string(unit, value).ok()?.slice())
}

/// Where in `.debug_info` an attribute refers to.
fn reference(unit: &Unit<Slice<'_>>, value: AttributeValue<Slice<'_>>) -> Option<usize> {
    match value {
        AttributeValue::UnitRef(offset) => Some(debug_info_offset(offset.to_unit_section_offset(unit))),
        AttributeValue::DebugInfoRef(DebugInfoOffset(offset)) => Some(offset),
        _ => None,
    }
}

fn debug_info_offset(offset: UnitSectionOffset) -> usize {
    offset.0
}
