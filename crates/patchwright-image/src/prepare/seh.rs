//! Unwind data of x64 Windows (`.pdata`, `.xdata`): they come to cover the island, so that the function still begins
//! where they say.
//!
//! Offsets in an `UNWIND_INFO` count from the start of the function, and so does what some handlers keep behind it. Where
//! they cannot be counted anew, the data go on describing the old code alone: at the island there is nothing to unwind but
//! the return address, and that is what Windows assumes where there are no data.

use std::collections::{BTreeMap, BTreeSet};

use super::edit::Edits;
use super::lsda::count_from_earlier;
use super::model::{Model, Reloc, Role};
use super::targets::Targets;
use crate::image::{Format, Machine};

/// Handlers whose data count from the image, or hold no place at all.
const KEEP: [&[u8]; 5] = [
    b"__C_specific_handler",
    b"__CxxFrameHandler3",
    b"__GSHandlerCheck",
    b"__GSHandlerCheck_EH",
    b"__GSHandlerCheck_SEH",
];
/// Handlers with a table in GCC's form behind the address of the handler.
const GCC: [&[u8]; 4] =
    [b"__gxx_personality_seh0", b"__gcc_personality_seh0", b"__gnat_personality_seh0", b"rust_eh_personality"];

/// `.pdata` entries whose function begins at the island now: section and offset of the field. Their unwind data are
/// changed in `new`.
pub(crate) fn extend(
    old: &Model<'_>,
    targets: &Targets,
    edits: &[Edits],
    new: &mut Model<'_>,
) -> BTreeSet<(usize, u64)> {
    let mut extended = BTreeSet::new();
    if (old.format, old.machine) != (Format::Pe, Machine::X86_64) {
        return extended;
    }
    let (entries, relocs) = (entries(old, targets), relocs(old));
    let mut users: BTreeMap<(usize, u64), usize> = BTreeMap::new();
    for entry in &entries {
        *users.entry(entry.unwind).or_default() += 1;
    }
    for entry in entries.iter().filter(|entry| users.get(&entry.unwind) == Some(&1)) {
        let island = edits.get(entry.code.0).and_then(|edits| edits.at(entry.code.1)).map_or(0, |at| at.island.len());
        if island > 0 && count_unwind_from_earlier(old, &relocs, new, entry.unwind, island) {
            extended.insert(entry.field);
        }
    }
    extended
}

/// Relocations by section and offset.
type Relocs = BTreeMap<(usize, u64), Reloc>;

/// Those of unwind data.
fn relocs(model: &Model<'_>) -> Relocs {
    let xdata = model.sections.iter().enumerate().filter(|(_, section)| section.name.starts_with(b".xdata"));
    xdata.flat_map(|(index, section)| section.relocs.iter().map(move |reloc| ((index, reloc.offset), *reloc))).collect()
}

/// A `RUNTIME_FUNCTION`.
struct Entry {
    /// Section and offset of its first field.
    field: (usize, u64),
    code: (usize, u64),
    unwind: (usize, u64),
}

fn entries(model: &Model<'_>, targets: &Targets) -> Vec<Entry> {
    let mut found = Vec::new();
    for (index, section) in model.sections.iter().enumerate() {
        if section.role != Role::Frames || !section.name.starts_with(b".pdata") {
            continue;
        }
        let mut fields = BTreeMap::new();
        for reloc in &section.relocs {
            if let Some((target, offset)) = targets.of(model, index, reloc)
                && let Ok(offset) = u64::try_from(offset)
            {
                fields.insert(reloc.offset, (target, offset));
            }
        }
        for (at, code) in fields.range(..).filter(|(at, _)| **at % 12 == 0) {
            if let Some(unwind) = fields.get(&(at + 8)) {
                found.push(Entry { field: (index, *at), code: *code, unwind: *unwind });
            }
        }
    }
    found
}

/// Adds to every offset of an `UNWIND_INFO`; whether that is possible. If not, nothing changes.
fn count_unwind_from_earlier(
    old: &Model<'_>,
    relocs: &Relocs,
    new: &mut Model<'_>,
    (section, at): (usize, u64),
    by: usize,
) -> bool {
    let Some(changed) = changed(old, relocs, section, at, by) else { return false };
    let Some(section) = new.sections.get_mut(section) else { return false };
    let Some(start) = usize::try_from(at).ok().filter(|start| *start <= section.data.len()) else { return false };
    let data = section.data.to_mut();
    let end = start.saturating_add(changed.len()).min(data.len());
    data[start..end].copy_from_slice(&changed[..end - start]);
    true
}

/// No unwind data are longer.
const LONGEST: usize = 1 << 16;

/// The unwind data from `at` on, changed.
fn changed(model: &Model<'_>, relocs: &Relocs, section: usize, at: u64, by: usize) -> Option<Vec<u8>> {
    let holder = model.sections.get(section)?;
    let rest = holder.data.get(usize::try_from(at).ok()?..)?;
    let mut data = rest[..rest.len().min(LONGEST)].to_vec();
    let by_byte = u8::try_from(by).ok()?;
    let &[head, prolog, count, _, ..] = data.as_slice() else { return None };
    let (version, flags) = (head & 7, head >> 3);
    if !matches!(version, 1 | 2) || flags & 4 != 0 {
        return None;
    }
    *data.get_mut(1)? = prolog.checked_add(by_byte)?;
    let end = 4 + 2 * usize::from(count);
    let mut slot = 4;
    while slot < end {
        let operation = *data.get(slot + 1)?;
        let slots = match (operation & 15, operation >> 4) {
            (0 | 2 | 3 | 10, _) => 1,
            (6, _) if version == 2 => {
                // An epilogue: counted from the end.
                slot += 2;
                continue;
            }
            (1, 0) | (4 | 6 | 8, _) => 2,
            (1, _) | (5 | 7 | 9, _) => 3,
            _ => return None,
        };
        let offset = data.get_mut(slot)?;
        *offset = offset.checked_add(by_byte)?;
        slot += 2 * slots;
    }
    if flags & 3 != 0 {
        let handler = 4 + 2 * usize::from(count.next_multiple_of(2));
        let place = at + handler as u64;
        let reloc = relocs.get(&(section, place))?;
        let name = model.symbols.get(reloc.symbol)?.name;
        if GCC.contains(&name) {
            count_from_earlier(&mut data, handler as u64 + 4, by as u64).then_some(())?;
        } else if !KEEP.contains(&name) {
            return None;
        }
    }
    Some(data)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::prepare::model::Section;

    #[test]
    fn unwind_data_count_from_earlier() {
        let check = |bytes: &[u8]| {
            let section = Section {
                name: b".xdata",
                role: Role::Frames,
                data: Cow::Owned(bytes.to_vec()),
                align: 4,
                relocs: Vec::new(),
                packed: false,
            };
            let model =
                Model { format: Format::Pe, machine: Machine::X86_64, sections: vec![section], symbols: Vec::new() };
            changed(&model, &Relocs::new(), 0, 0, 2)
        };
        // push rbx; sub rsp, 32
        assert_eq!(check(&[1, 5, 2, 0, 5, 0x32, 1, 0x30]), Some(vec![1, 7, 2, 0, 7, 0x32, 3, 0x30]));
        // An allocation with its size in a slot of its own.
        assert_eq!(check(&[1, 7, 2, 0, 7, 0x01, 0x20, 0x01]), Some(vec![1, 9, 2, 0, 9, 0x01, 0x20, 0x01]));
        assert_eq!(check(&[1, 0, 0, 0]), Some(vec![1, 2, 0, 0]));
        for bad in
            [&[][..], &[1, 254, 0, 0], &[0x21, 0, 0, 0], &[3, 0, 0, 0], &[1, 0, 1, 0, 1], &[9, 0, 0, 0, 0, 0, 0, 0]]
        {
            assert_eq!(check(bad), None, "{bad:02x?}");
        }
    }
}
