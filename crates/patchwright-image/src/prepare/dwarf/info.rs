//! `.debug_info`: the lengths of what has a start, and the lists that entries name.

use gimli::{AttributeValue, DebugAbbrev, DebugInfo, EndianSlice, LittleEndian, constants as dw};

use super::lists::{Sort, Unit, at_index, at_offset};
use super::{Place, Work};
use crate::prepare::bytes::put;
use crate::prepare::lsda::{put_uleb, uleb};
use crate::prepare::model::{Class, Role};

/// Attributes whose offset is not that of a list of locations.
const NO_LOCATION: [gimli::DwAt; 13] = [
    dw::DW_AT_stmt_list,
    dw::DW_AT_ranges,
    dw::DW_AT_start_scope,
    dw::DW_AT_macro_info,
    dw::DW_AT_macros,
    dw::DW_AT_GNU_macros,
    dw::DW_AT_str_offsets_base,
    dw::DW_AT_addr_base,
    dw::DW_AT_rnglists_base,
    dw::DW_AT_loclists_base,
    dw::DW_AT_GNU_ranges_base,
    dw::DW_AT_GNU_addr_base,
    dw::DW_AT_GNU_locviews,
];

type Value<'a> = AttributeValue<EndianSlice<'a, LittleEndian>>;

/// An attribute with the offset of its value in the section.
type Found<'a> = (gimli::DwAt, u64, Value<'a>);

pub(super) fn edit(work: &mut Work<'_, '_>, section: usize) -> Option<()> {
    let bytes = relocated(work, section)?;
    let abbrevs = work.by_name.get(&b".debug_abbrev"[..]).map(|section| work.data(*section)).unwrap_or_default();
    let (info, abbrevs) = (DebugInfo::new(&bytes, LittleEndian), DebugAbbrev::new(abbrevs, LittleEndian));
    let mut units = info.units();
    while let Some(header) = units.next().ok()? {
        let start = header.debug_info_offset()?.0 as u64;
        let abbreviations = abbrevs.abbreviations(header.debug_abbrev_offset()).ok()?;
        let mut entries = header.entries_raw(&abbreviations, None).ok()?;
        let mut unit: Option<Unit> = None;
        let mut found: Vec<Found<'_>> = Vec::new();
        while !entries.is_empty() {
            let Some(abbreviation) = entries.read_abbreviation().ok()? else { continue };
            found.clear();
            for spec in abbreviation.attributes() {
                let at = start + entries.next_offset().0 as u64;
                let attribute = entries.read_attribute(*spec).ok()?;
                found.push((attribute.name(), at, attribute.raw_value()));
            }
            let unit = unit.get_or_insert_with(|| of_root(work, section, header.version(), &found));
            entry(work, section, unit, &found)?;
        }
    }
    Some(())
}

/// The section with what refers to other tables filled in.
fn relocated(work: &Work<'_, '_>, section: usize) -> Option<Vec<u8>> {
    let mut bytes = work.data(section).to_vec();
    for ((_, at), reloc) in work.relocs.range((section, 0)..(section + 1, 0)) {
        let symbol = work.model.symbols.get(reloc.symbol)?;
        let code = symbol
            .section
            .and_then(|section| work.model.sections.get(section))
            .is_none_or(|section| section.role == Role::Code);
        if let (false, Class::Absolute(width)) = (code, work.model.class(reloc.kind)) {
            let value = symbol.value.wrapping_add_signed(reloc.addend);
            put(&mut bytes, *at, width, value).then_some(())?;
        }
    }
    Some(bytes)
}

/// What the first entry of a unit says about all lists of the unit.
fn of_root(work: &Work<'_, '_>, section: usize, version: u16, found: &[Found<'_>]) -> Unit {
    let offset = |name| {
        found.iter().find(|(attribute, ..)| *attribute == name).and_then(|(.., value)| match value {
            AttributeValue::SecOffset(offset) => Some(*offset as u64),
            _ => None,
        })
    };
    let mut unit = Unit {
        version,
        base: None,
        addr_base: offset(dw::DW_AT_addr_base),
        rnglists_base: offset(dw::DW_AT_rnglists_base),
        loclists_base: offset(dw::DW_AT_loclists_base),
    };
    unit.base = low(work, section, &unit, found);
    unit
}

/// Where an entry begins.
fn low(work: &Work<'_, '_>, section: usize, unit: &Unit, found: &[Found<'_>]) -> Option<Place> {
    let (_, at, value) = found.iter().find(|(name, ..)| *name == dw::DW_AT_low_pc)?;
    match value {
        AttributeValue::Addr(_) => work.place(section, *at),
        AttributeValue::DebugAddrIndex(index) => work.address(unit.addr_base, index.0 as u64),
        _ => None,
    }
}

fn entry(work: &mut Work<'_, '_>, section: usize, unit: &Unit, found: &[Found<'_>]) -> Option<()> {
    let low = low(work, section, unit, found);
    for (name, at, value) in found {
        match (*name, value) {
            // The rest is in another file, which does not change.
            (dw::DW_AT_dwo_name | dw::DW_AT_GNU_dwo_name, _) => return None,
            (dw::DW_AT_high_pc, AttributeValue::Addr(_)) => {
                work.out.ends.insert((section, *at));
            }
            (dw::DW_AT_high_pc, value) => {
                if let Some(low) = low {
                    high(work, section, *at, value, low)?;
                }
            }
            // A distance from the start; an address speaks for itself.
            (dw::DW_AT_entry_pc, AttributeValue::Addr(_) | AttributeValue::DebugAddrIndex(_)) => {}
            (dw::DW_AT_entry_pc, value) => {
                let distance = value.udata_value()?;
                if let Some(low) = low {
                    let place = (low.0, low.1.checked_add(distance)?);
                    (work.start(place).checked_sub(work.start(low))? == distance).then_some(())?;
                }
            }
            (dw::DW_AT_ranges, AttributeValue::SecOffset(offset)) => {
                at_offset(work, unit, Sort::Ranges, *offset as u64)?;
            }
            (dw::DW_AT_ranges, AttributeValue::DebugRngListsIndex(index)) => {
                at_index(work, unit, Sort::Ranges, index.0 as u64)?;
            }
            (_, AttributeValue::DebugLocListsIndex(index)) => at_index(work, unit, Sort::Locations, index.0 as u64)?,
            (name, AttributeValue::SecOffset(offset)) if !NO_LOCATION.contains(&name) => {
                // Before DWARF 4 such a number may be anything.
                (unit.version >= 4).then_some(())?;
                at_offset(work, unit, Sort::Locations, *offset as u64)?;
            }
            _ => {}
        }
    }
    Some(())
}

/// The length of an entry, in the form that it has.
fn high(work: &mut Work<'_, '_>, section: usize, at: u64, value: &Value<'_>, low: Place) -> Option<()> {
    let (width, len) = match value {
        AttributeValue::Data1(len) => (1, u64::from(*len)),
        AttributeValue::Data2(len) => (2, u64::from(*len)),
        AttributeValue::Data4(len) => (4, u64::from(*len)),
        AttributeValue::Data8(len) => (8, *len),
        AttributeValue::Udata(len) => (0, *len),
        _ => return None,
    };
    let new = work.len(low, len)?;
    if width > 0 {
        return work.set(section, at, width, new);
    }
    // It must not grow: entries are referred to by their distance.
    let (_, taken) = uleb(work.data(section), usize::try_from(at).ok()?)?;
    let mut bytes = vec![0; taken];
    put_uleb(&mut bytes, 0, taken, new).then_some(())?;
    work.overwrite(section, at, bytes);
    Some(())
}
