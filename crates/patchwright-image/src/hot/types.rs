//! Whether types are laid out the same in both builds, by their debug information.
//!
//! Only structures, unions and classes with a name are looked at. A type that one build does not have is no change: code
//! that uses it is new or gone. A name may stand for several types in several source files; then one build must have
//! all that the other has.

use std::collections::{BTreeMap, BTreeSet};

use gimli::{AttributeValue, DebuggingInformationEntry, Dwarf, Unit, UnitOffset};
use object::read::{File, Object as _};

use super::debug::{Slice, dwarf};

/// How a type is laid out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Layout {
    size: u64,
    /// Offset, name, and what is there.
    members: Vec<(u64, String, String)>,
}

type Layouts = BTreeMap<String, BTreeSet<Layout>>;

/// Types that are laid out differently, each with what differs; nothing if a build has no debug information.
pub(super) fn changes(old: &[u8], new: &[u8]) -> Option<Vec<(String, String)>> {
    let (old, new) = (layouts(old)?, layouts(new)?);
    let mut changes = Vec::new();
    for (name, news) in &new {
        let Some(olds) = old.get(name) else { continue };
        if olds.is_superset(news) || news.is_superset(olds) {
            continue;
        }
        let one = |from: &BTreeSet<Layout>, other: &BTreeSet<Layout>| from.difference(other).next().cloned();
        if let (Some(old), Some(new)) = (one(olds, news), one(news, olds)) {
            changes.push((name.clone(), difference(&old, &new)));
        }
    }
    Some(changes)
}

fn difference(old: &Layout, new: &Layout) -> String {
    if old.size != new.size {
        return format!("the type is {} bytes long instead of {}", new.size, old.size);
    }
    let changed = new.members.iter().find(|member| !old.members.contains(member));
    match changed.or_else(|| old.members.iter().find(|member| !new.members.contains(member))) {
        Some((offset, name, what)) => format!("its member {name} ({what} at {offset}) differs"),
        None => "its members stand in another order".to_owned(),
    }
}

fn layouts(bytes: &[u8]) -> Option<Layouts> {
    let file = File::parse(bytes).ok()?;
    file.section_by_name(".debug_info")?;
    let dwarf = dwarf(&file)?;
    let mut found = Layouts::new();
    let mut units = dwarf.units();
    let mut any = false;
    while let Ok(Some(header)) = units.next() {
        if let Ok(unit) = dwarf.unit(header) {
            any = true;
            // What a damaged unit holds up to the damage still counts.
            let _ = read_unit(&dwarf, &unit, &mut found);
        }
    }
    any.then_some(found)
}

fn read_unit(dwarf: &Dwarf<Slice<'_>>, unit: &Unit<Slice<'_>>, found: &mut Layouts) -> Result<(), gimli::Error> {
    let mut path: Vec<String> = Vec::new();
    let mut open: Option<(usize, String, Layout)> = None;
    let mut entries = unit.entries();
    while let Some(entry) = entries.next_dfs()? {
        let depth = usize::try_from(entry.depth()).unwrap_or(0);
        if open.as_ref().is_some_and(|(at, ..)| depth <= *at) {
            keep(open.take(), found);
        }
        path.truncate(depth);
        path.resize(depth, String::new());
        let name = name_of(dwarf, unit, entry);
        match entry.tag() {
            gimli::DW_TAG_structure_type | gimli::DW_TAG_class_type | gimli::DW_TAG_union_type => {
                keep(open.take(), found);
                let declared = entry.attr_value(gimli::DW_AT_declaration).is_some();
                if let (Some(name), Some(size), false) = (&name, number(entry, gimli::DW_AT_byte_size), declared) {
                    let full: Vec<&str> = path
                        .iter()
                        .map(String::as_str)
                        .filter(|part| !part.is_empty())
                        .chain([name.as_str()])
                        .collect();
                    open = Some((depth, full.join("::"), Layout { size, members: Vec::new() }));
                }
            }
            gimli::DW_TAG_member | gimli::DW_TAG_inheritance => {
                let offset = number(entry, gimli::DW_AT_data_member_location)
                    .or_else(|| number(entry, gimli::DW_AT_data_bit_offset));
                if let Some((at, _, layout)) = &mut open
                    && depth == *at + 1
                    && entry.attr_value(gimli::DW_AT_external).is_none()
                {
                    let what = reference(entry).map_or(String::new(), |at| type_name(dwarf, unit, at, 0));
                    layout.members.push((offset.unwrap_or(0), name.clone().unwrap_or_default(), what));
                }
            }
            _ => {}
        }
        // A name belongs to what is inside it, but not to the source file.
        let scope = entry.tag() != gimli::DW_TAG_compile_unit;
        path.push(name.filter(|_| scope).unwrap_or_default());
    }
    keep(open.take(), found);
    Ok(())
}

fn keep(open: Option<(usize, String, Layout)>, found: &mut Layouts) {
    if let Some((_, name, layout)) = open {
        found.entry(name).or_default().insert(layout);
    }
}

fn number(entry: &DebuggingInformationEntry<Slice<'_>>, attribute: gimli::DwAt) -> Option<u64> {
    entry.attr_value(attribute)?.udata_value()
}

fn reference(entry: &DebuggingInformationEntry<Slice<'_>>) -> Option<UnitOffset> {
    match entry.attr_value(gimli::DW_AT_type)? {
        AttributeValue::UnitRef(at) => Some(at),
        _ => None,
    }
}

fn name_of(
    dwarf: &Dwarf<Slice<'_>>,
    unit: &Unit<Slice<'_>>,
    entry: &DebuggingInformationEntry<Slice<'_>>,
) -> Option<String> {
    let value = entry.attr_value(gimli::DW_AT_name)?;
    let text = dwarf.attr_string(unit, value).ok()?;
    Some(text.to_string_lossy().into_owned())
}

/// What a member is: a name, or what it points to, or how long it is.
fn type_name(dwarf: &Dwarf<Slice<'_>>, unit: &Unit<Slice<'_>>, at: UnitOffset, depth: usize) -> String {
    let Ok(entry) = unit.entry(at) else { return String::new() };
    if depth > 8 {
        return "...".to_owned();
    }
    let inner = || reference(&entry).map_or("void".to_owned(), |at| type_name(dwarf, unit, at, depth + 1));
    match entry.tag() {
        gimli::DW_TAG_pointer_type => format!("{} *", inner()),
        gimli::DW_TAG_const_type | gimli::DW_TAG_volatile_type | gimli::DW_TAG_atomic_type => inner(),
        gimli::DW_TAG_subroutine_type => "function".to_owned(),
        gimli::DW_TAG_array_type => format!("{} [{}]", inner(), bounds(unit, at)),
        _ => match name_of(dwarf, unit, &entry) {
            Some(name) => match number(&entry, gimli::DW_AT_byte_size) {
                Some(size) => format!("{name}, {size} bytes"),
                None if entry.tag() == gimli::DW_TAG_typedef => format!("{name} = {}", inner()),
                None => name,
            },
            None => number(&entry, gimli::DW_AT_byte_size).map_or(inner(), |size| format!("{size} bytes")),
        },
    }
}

/// The numbers of elements of an array.
fn bounds(unit: &Unit<Slice<'_>>, at: UnitOffset) -> String {
    let mut texts = Vec::new();
    let Ok(mut entries) = unit.entries_at_offset(at) else { return String::new() };
    let Ok(Some(first)) = entries.next_dfs() else { return String::new() };
    let depth = first.depth();
    while let Ok(Some(entry)) = entries.next_dfs() {
        if entry.depth() <= depth {
            break;
        }
        if entry.tag() == gimli::DW_TAG_subrange_type {
            let count = number(entry, gimli::DW_AT_count).or_else(|| number(entry, gimli::DW_AT_upper_bound));
            texts.push(count.map_or(String::new(), |count| count.to_string()));
        }
    }
    texts.join("][")
}
