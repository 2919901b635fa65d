//! The FDEs of `.eh_frame`: ranges of code that can be unwound, nearly all functions of an ELF image.
//!
//! Traps: an FDE may begin behind the entry (`ms_hook_prologue`, room made for a patch); cold parts have FDEs of their own
//! that look like functions; each may name an exception table, whose landing pads are targets of no branch.

use gimli::{
    BaseAddresses, CieOrFde, EhFrame, EhFrameHdr, EndianSlice, LittleEndian, Pointer, Reader as _, UnwindSection,
};
use object::read::{File, Object as _, ObjectSection as _};

use super::{Found, Source};
use crate::image::{Edge, Image, Machine, Via};

/// One FDE.
struct Range {
    start: u64,
    len: u64,
    /// Where its exception table is.
    lsda: Option<u64>,
}

pub(super) fn read(file: &File<'_>, file_len: usize, image: &mut Image<'_>, found: &mut Found) {
    let address_size = if file.is_64() { 8 } else { 4 };
    let place =
        |name| file.section_by_name(name).map(|section| (section.address(), section.data().unwrap_or_default()));
    let mut bases = BaseAddresses::default();
    if let Some((address, _)) = place(".text") {
        bases = bases.set_text(address);
    }
    if let Some((address, _)) = place(".got") {
        bases = bases.set_got(address);
    }
    let frame = place(".eh_frame");
    let header = place(".eh_frame_hdr");
    if let Some((address, _)) = frame {
        bases = bases.set_eh_frame(address);
    }
    if let Some((address, _)) = header {
        bases = bases.set_eh_frame_hdr(address);
    }
    let ranges = frame.map(|(_, data)| ranges(data, &bases, address_size)).unwrap_or_default();
    // Functions may share an exception table, but not so that the file is read over and over.
    let mut budget = file_len;
    for range in &ranges {
        note(image, found, range);
        landing_pads(image, range, address_size, &mut budget);
    }
    let Some((_, data)) = header else { return };
    let starts = header_starts(data, &bases, address_size);
    let mut known: Vec<u64> = ranges.iter().map(|range| range.start).collect();
    known.sort_unstable();
    for start in &starts {
        match known.binary_search(start) {
            // The same, said twice.
            Ok(_) => {
                if found.functions.contains_key(start) {
                    found.note(image, *start, 0, Source::EhFrameHeader);
                }
            }
            Err(_) if known.is_empty() => {
                found.note_range(image, *start, 0, Source::EhFrameHeader);
            }
            Err(_) => {
                let text = ".eh_frame_hdr has a function here, .eh_frame none".to_owned();
                found.disagree(*start, text);
            }
        }
    }
}

fn note(image: &Image<'_>, found: &mut Found, range: &Range) {
    let named = found.functions.contains_key(&range.start) || found.labels.contains_key(&range.start);
    let is_plt = image.section_of(range.start).is_some_and(|section| section.name.starts_with(".plt"));
    let has_symbols = image.has_symbol_table;
    let Some(function) = found.note_range(image, range.start, range.len, Source::EhFrame) else { return };
    // With a symbol table every function has a name; what has none is a piece of one.
    if has_symbols && !named && !is_plt && function.sources.len() == 1 {
        function.part = true;
    }
}

/// Every FDE up to the first entry that cannot be read.
fn ranges(data: &[u8], bases: &BaseAddresses, address_size: u8) -> Vec<Range> {
    let mut section = EhFrame::new(data, LittleEndian);
    section.set_address_size(address_size);
    let mut entries = section.entries(bases);
    let mut found = Vec::new();
    while let Ok(Some(entry)) = entries.next() {
        if let CieOrFde::Fde(partial) = entry
            && let Ok(fde) = partial.parse(|section, bases, offset| section.cie_from_offset(bases, offset))
        {
            let lsda = match fde.lsda() {
                Some(Pointer::Direct(at)) if at != 0 => Some(at),
                _ => None,
            };
            found.push(Range { start: fde.initial_address(), len: fde.len(), lsda });
        }
    }
    found
}

/// The functions of the search table.
fn header_starts(data: &[u8], bases: &BaseAddresses, address_size: u8) -> Vec<u64> {
    let parsed = EhFrameHdr::new(data, LittleEndian).parse(bases, address_size);
    let Some(table) = parsed.as_ref().ok().and_then(|parsed| parsed.table()) else { return Vec::new() };
    let mut entries = table.iter(bases);
    let mut starts = Vec::new();
    while let Ok(Some((start, _))) = entries.next() {
        if let Pointer::Direct(start) = start {
            starts.push(start);
        }
        // The count in the header is believed only against the bytes that remain: two bytes are the least of an entry.
        if starts.len() > data.len() / 2 {
            break;
        }
    }
    starts
}

/// Where a table of call sites (`.gcc_except_table`) lets exceptions land.
fn landing_pads(image: &mut Image<'_>, range: &Range, address_size: u8, budget: &mut usize) {
    // EHABI has tables of its own kind.
    let Some(lsda) = range.lsda.filter(|_| image.machine != Machine::Arm) else { return };
    let bytes = image.memory(lsda);
    let pads = call_sites(&bytes[..bytes.len().min(*budget)], lsda, range.start, address_size).unwrap_or_default();
    // A site takes four bytes or more.
    *budget = budget.saturating_sub(4 * pads.len() + 4);
    let edges = pads.into_iter().map(|to| Edge { to, from: range.start, via: Via::LandingPad });
    image.edges.extend(edges);
}

fn call_sites(bytes: &[u8], address: u64, start: u64, address_size: u8) -> Option<Vec<u64>> {
    let mut input = EndianSlice::new(bytes, LittleEndian);
    let number = |input: &mut EndianSlice<'_, LittleEndian>, encoding: u8| -> Option<u64> {
        match encoding & 0x0f {
            0x00 => input.read_address(address_size).ok(),
            0x01 => input.read_uleb128().ok(),
            0x02 => input.read_u16().ok().map(u64::from),
            0x03 => input.read_u32().ok().map(u64::from),
            0x04 => input.read_u64().ok(),
            0x09 => input.read_sleb128().ok().map(i64::cast_unsigned),
            0x0a => input.read_i16().ok().map(|value| i64::from(value).cast_unsigned()),
            0x0b => input.read_i32().ok().map(|value| i64::from(value).cast_unsigned()),
            0x0c => input.read_i64().ok().map(i64::cast_unsigned),
            _ => None,
        }
    };
    let mut base = start;
    let encoding = input.read_u8().ok()?;
    if encoding != 0xff {
        let at = address + 1;
        let value = number(&mut input, encoding)?;
        base = if encoding & 0x70 == 0x10 { at.wrapping_add(value) } else { value };
    }
    // The table of types.
    if input.read_u8().ok()? != 0xff {
        input.read_uleb128().ok()?;
    }
    let encoding = input.read_u8().ok()?;
    let len = usize::try_from(input.read_uleb128().ok()?).ok()?;
    let mut sites = input.split(len.min(input.len())).ok()?;
    let mut pads = Vec::new();
    while !sites.is_empty() {
        let row = [number(&mut sites, encoding), number(&mut sites, encoding), number(&mut sites, encoding)];
        let Some(pad) = row[2] else { break };
        if sites.read_uleb128().is_err() {
            break;
        }
        if pad != 0 {
            pads.push(base.wrapping_add(pad));
        }
    }
    Some(pads)
}

#[test]
fn landing_pads_of_a_call_site_table() {
    // No base, no types, unsigned LEB128; two sites, one without a pad.
    let table = [0xff, 0xff, 0x01, 8, 0, 4, 0, 0, 4, 4, 0x10, 1];
    assert_eq!(call_sites(&table, 0x5000, 0x1000, 8), Some(vec![0x1010]));
    assert_eq!(call_sites(&table[..9], 0x5000, 0x1000, 8), Some(vec![]));
    assert_eq!(call_sites(&[], 0x5000, 0x1000, 8), None);
}
