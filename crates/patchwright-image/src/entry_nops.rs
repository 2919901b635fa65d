//! What GCC leaves undone for `-fpatchable-function-entry`: one nop at the patch site, and sites that one store reaches.
//!
//! GCC writes the two bytes at the entry as two nops of one byte, `90 90`, between which a thread may stand; Clang writes
//! one, `66 90`. And GCC gives cold functions, or all of them with `-Os`, sections of alignment 1, whatever
//! `-falign-functions` says. Both are mended in the object where the assembler left it: no byte moves, so that symbols,
//! relocations, unwind and debug data stay as they are.
//!
//! And the GNU assembler has a fault that only pads bring to light: for COFF it writes the place of a function in its
//! section into references to it where the function may be one of several copies (COMDAT), and the linker adds it again.
//! Behind a pad that place is not 0, so that calls would land inside the function. The place is taken out of them.
//!
//! The table `__patchable_function_entries` says where: it points to the first nop of each pad (ELF and mingw alike).

use std::collections::BTreeMap;

use object::read::{File, Object as _, ObjectSection as _, ObjectSymbol as _};
use object::{Architecture, BinaryFormat, ObjectKind, RelocationTarget, SectionFlags, SectionIndex, SymbolKind};

use crate::code::{What, decode};
use crate::error::ImageError;
use crate::image::Machine;

const TABLE: &str = "__patchable_function_entries";
const NOP: u8 = 0x90;
const ONE_NOP: [u8; 2] = [0x66, 0x90];
/// log2 of the alignment that sections with patch sites get.
const ALIGN_SHIFT: u32 = 4;

/// What [`merge_entry_nops`] made of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MergedNops {
    /// The object, of the same length; what came in if nothing had to change.
    pub object: Vec<u8>,
    /// Functions whose two nops are one now.
    pub merged: usize,
    /// Sections that are aligned to 16 bytes now.
    pub aligned: usize,
    /// Functions whose two nops must stay two: a branch leads to the second.
    pub branched: usize,
    /// References that held the place of a function twice.
    pub references: usize,
}

/// Merges the two one-byte nops at the entry of each function that the object's `__patchable_function_entries` names,
/// and aligns the sections of these functions to 16 bytes.
///
/// An object without such a table, or for a machine other than x86 and x86-64, comes back as it is.
///
/// # Errors
/// It is no relocatable ELF or COFF object, or damaged.
pub fn merge_entry_nops(data: &[u8]) -> Result<MergedNops, ImageError> {
    let file = File::parse(data)?;
    let mut result = MergedNops { object: data.to_vec(), ..MergedNops::default() };
    let machine = match file.architecture() {
        Architecture::I386 => Machine::X86,
        Architecture::X86_64 => Machine::X86_64,
        _ => return Ok(result),
    };
    if file.kind() != ObjectKind::Relocatable {
        return Err(ImageError::unsupported("not a relocatable object"));
    }
    let sites = Sites::of(&file)?;
    for (section, pads) in &sites.pads {
        let section = file.section_by_index(SectionIndex(*section))?;
        let code = section.data()?;
        let Some((offset, _)) = section.file_range() else { continue };
        let offset = to_usize(offset)?;
        let functions = sites.functions.get(&section.index().0).map(Vec::as_slice).unwrap_or_default();
        let mut patched = false;
        for pad in pads {
            let Some(site) = patch_site(code, *pad, functions) else { continue };
            patched = true;
            match code.get(site..) {
                Some([NOP, NOP, ..]) if is_target(machine, code, site, functions) => result.branched += 1,
                Some([NOP, NOP, ..]) => {
                    let at = offset.checked_add(site).and_then(|at| Some(at..at.checked_add(2)?));
                    let place = at.and_then(|at| result.object.get_mut(at));
                    place.ok_or_else(|| outside("a section's code"))?.copy_from_slice(&ONE_NOP);
                    result.merged += 1;
                }
                _ => {}
            }
        }
        if patched && section.align() < 1 << ALIGN_SHIFT {
            align(&file, section.index(), &mut result.object)?;
            result.aligned += 1;
        }
    }
    if file.format() == BinaryFormat::Coff {
        result.references = mend_references(&file, &sites, &mut result.object)?;
    }
    Ok(result)
}

/// Takes the place of functions behind pads out of references to them, where the assembler left it.
fn mend_references(file: &File<'_>, sites: &Sites, object: &mut [u8]) -> Result<usize, ImageError> {
    const COMDAT: u32 = 0x1000;
    let is_comdat = |flags| matches!(flags, SectionFlags::Coff { characteristics } if characteristics.0 & COMDAT != 0);
    let mut number = 0;
    for section in file.sections() {
        let Some((start, _)) = section.file_range() else { continue };
        let data = section.data()?;
        for (at, relocation) in section.relocations() {
            let RelocationTarget::Symbol(symbol) = relocation.target() else { continue };
            let symbol = file.symbol_by_index(symbol)?;
            let Some(target) = symbol.section_index() else { continue };
            let padded = symbol.is_global() && symbol.address() > 0 && sites.pads.contains_key(&target.0);
            if !padded || !is_comdat(file.section_by_index(target)?.flags()) {
                continue;
            }
            let width = usize::from(relocation.size() / 8);
            if in_place(data, at, relocation.size()) == i64::try_from(symbol.address()).ok() {
                let from = to_usize(start.saturating_add(at))?;
                let field = from.checked_add(width).and_then(|to| object.get_mut(from..to));
                field.ok_or_else(|| outside("a relocated field"))?.fill(0);
                number += 1;
            }
        }
    }
    Ok(number)
}

/// Where the table says that pads begin, and where functions do; by section, sorted.
#[derive(Default)]
struct Sites {
    pads: BTreeMap<usize, Vec<usize>>,
    functions: BTreeMap<usize, Vec<usize>>,
}

impl Sites {
    fn of(file: &File<'_>) -> Result<Self, ImageError> {
        let mut sites = Self::default();
        for table in file.sections().filter(|section| section.name() == Ok(TABLE)) {
            for (at, relocation) in table.relocations() {
                let RelocationTarget::Symbol(symbol) = relocation.target() else { continue };
                let symbol = file.symbol_by_index(symbol)?;
                let Some(section) = symbol.section_index() else { continue };
                let implicit = if relocation.has_implicit_addend() {
                    in_place(table.data()?, at, relocation.size()).ok_or_else(|| outside("an entry of the table"))?
                } else {
                    0
                };
                let place = symbol.address().wrapping_add_signed(relocation.addend().wrapping_add(implicit));
                sites.pads.entry(section.0).or_default().push(to_usize(place)?);
            }
        }
        if !sites.pads.is_empty() {
            for symbol in file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text) {
                if let Some(section) = symbol.section_index() {
                    sites.functions.entry(section.0).or_default().push(to_usize(symbol.address())?);
                }
            }
        }
        for list in sites.pads.values_mut().chain(sites.functions.values_mut()) {
            list.sort_unstable();
            list.dedup();
        }
        Ok(sites)
    }
}

/// What stands in the field of an entry of the table.
fn in_place(data: &[u8], at: u64, bits: u8) -> Option<i64> {
    let field = data.get(usize::try_from(at).ok()?..)?;
    match bits {
        32 => field.first_chunk().map(|bytes| i64::from(i32::from_le_bytes(*bytes))),
        64 => field.first_chunk().map(|bytes| i64::from_le_bytes(*bytes)),
        _ => None,
    }
}

/// The place behind the pad and behind ENDBR. Without a pad the table points to it, and no function begins there.
fn patch_site(code: &[u8], pad: usize, functions: &[usize]) -> Option<usize> {
    let nops = code.get(pad..)?.iter().take_while(|byte| **byte == NOP).count();
    let entry = functions.get(functions.partition_point(|entry| *entry < pad)).copied();
    let Some(entry) = entry.filter(|entry| *entry - pad <= nops) else { return (nops > 0).then_some(pad) };
    let landing_pads: [&[u8]; 2] = [&[0xf3, 0x0f, 0x1e, 0xfa], &[0xf3, 0x0f, 0x1e, 0xfb]];
    let tracked = landing_pads.iter().any(|endbr| code.get(entry..).is_some_and(|code| code.starts_with(endbr)));
    Some(if tracked { entry + 4 } else { entry })
}

/// Whether a branch of the function leads between the two nops: then the second belongs to its body.
fn is_target(machine: Machine, code: &[u8], site: usize, functions: &[usize]) -> bool {
    let end = functions.get(functions.partition_point(|entry| *entry <= site)).copied().unwrap_or(code.len());
    let body = code.get(site..end).unwrap_or_default();
    let mut at = 0;
    while let Some(instr) = body.get(at..).and_then(|rest| decode(machine, rest, (site + at) as u64)) {
        if matches!(instr.what, What::Branch { to: Some(to), .. } if to == site as u64 + 1) {
            return true;
        }
        at += instr.len;
    }
    false
}

/// Writes the alignment into the header of a section.
fn align(file: &File<'_>, section: SectionIndex, object: &mut [u8]) -> Result<(), ImageError> {
    let outside = || outside("a section header");
    // Of COFF the index counts from 1.
    let header = |start: usize, size: usize, index: usize| index.checked_mul(size)?.checked_add(start);
    match (file.format(), file.is_64()) {
        (BinaryFormat::Elf, true) => {
            let start = object.get(0x28..).and_then(|bytes| bytes.first_chunk()).ok_or_else(outside)?;
            let at = header(to_usize(u64::from_le_bytes(*start))?, 0x40, section.0).ok_or_else(outside)?;
            let field =
                at.checked_add(0x30).and_then(|at| object.get_mut(at..)?.first_chunk_mut()).ok_or_else(outside)?;
            *field = (1_u64 << ALIGN_SHIFT).to_le_bytes();
        }
        (BinaryFormat::Elf, false) => {
            let start = object.get(0x20..).and_then(|bytes| bytes.first_chunk()).ok_or_else(outside)?;
            let start = to_usize(u64::from(u32::from_le_bytes(*start)))?;
            let at = header(start, 0x28, section.0).ok_or_else(outside)?;
            let field =
                at.checked_add(0x20).and_then(|at| object.get_mut(at..)?.first_chunk_mut()).ok_or_else(outside)?;
            *field = (1_u32 << ALIGN_SHIFT).to_le_bytes();
        }
        (BinaryFormat::Coff, _) => {
            // A big object has a longer header, which begins like one of an unknown machine.
            let big = object.starts_with(&[0, 0, 0xff, 0xff]);
            let (start, optional) = if big { (56, 0) } else { (20, 16) };
            let optional = match optional {
                0 => 0,
                at => object
                    .get(at..)
                    .and_then(|bytes| bytes.first_chunk())
                    .map(|b| u16::from_le_bytes(*b))
                    .ok_or_else(outside)?,
            };
            let index = section.0.checked_sub(1).ok_or_else(outside)?;
            let at = header(start + usize::from(optional), 40, index).ok_or_else(outside)?;
            let field =
                at.checked_add(36).and_then(|at| object.get_mut(at..)?.first_chunk_mut()).ok_or_else(outside)?;
            let flags = u32::from_le_bytes(*field) & !0x00f0_0000 | (ALIGN_SHIFT + 1) << 20;
            *field = flags.to_le_bytes();
        }
        _ => {}
    }
    Ok(())
}

fn outside(what: &str) -> ImageError {
    ImageError::malformed(format!("{what} lies outside the file"))
}

fn to_usize(number: u64) -> Result<usize, ImageError> {
    usize::try_from(number).map_err(|_| ImageError::malformed("an offset lies outside the file"))
}

#[cfg(test)]
mod tests {
    use object::write::{Object, Relocation, StandardSection, Symbol, SymbolId, SymbolSection};
    use object::{
        Endianness, RelocationEncoding, RelocationFlags, RelocationKind, SectionKind, SymbolFlags, SymbolScope,
    };

    use super::*;

    /// An object with one function of these bytes, its entry at `entry`, and a table that points to `pad`.
    fn object(format: BinaryFormat, machine: Architecture, code: &[u8], pad: u32, entry: u64) -> Vec<u8> {
        let mut object = Object::new(format, machine, Endianness::Little);
        add_function(&mut object, machine, code, pad, entry);
        object.write().unwrap()
    }

    fn add_function(
        object: &mut Object<'_>,
        machine: Architecture,
        code: &[u8],
        pad: u32,
        entry: u64,
    ) -> ::object::write::SectionId {
        let text = object.add_section(Vec::new(), b".text.f".to_vec(), SectionKind::Text);
        object.append_section_data(text, code, 1);
        let symbol = |value, kind, name: &[u8]| Symbol {
            name: name.to_vec(),
            value,
            size: 0,
            kind,
            scope: SymbolScope::Linkage,
            weak: false,
            section: SymbolSection::Section(text),
            flags: SymbolFlags::None,
        };
        object.add_symbol(symbol(entry, SymbolKind::Text, b"f"));
        let start: SymbolId = object.add_symbol(symbol(0, SymbolKind::Label, b"pads"));
        let table = object.add_section(Vec::new(), TABLE.as_bytes().to_vec(), SectionKind::Data);
        let size = if machine == Architecture::I386 { 4 } else { 8 };
        object.append_section_data(table, &[0; 8][..size], 4);
        let flags = RelocationFlags::Generic {
            kind: RelocationKind::Absolute,
            encoding: RelocationEncoding::Generic,
            size: if size == 4 { 32 } else { 64 },
        };
        object.add_relocation(table, Relocation { offset: 0, symbol: start, addend: i64::from(pad), flags }).unwrap();
        text
    }

    fn code(object: &[u8]) -> (Vec<u8>, u64) {
        let file = File::parse(object).unwrap();
        let section = file.section_by_name(".text.f").unwrap();
        (section.data().unwrap().to_vec(), section.align())
    }

    #[test]
    fn two_nops_become_one_in_place() {
        const PADDED: &[u8] = &[0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x8d, 0x04, 0x11, 0xc3];
        const TRACKED: &[u8] = &[0x90, 0x90, 0xf3, 0x0f, 0x1e, 0xfa, 0x90, 0x90, 0xc3];
        // The second nop belongs to the body, which loops to it.
        const LOOP: &[u8] = &[0x90, 0x90, 0x90, 0x90, 0xeb, 0xfd, 0xc3];
        const CLANG: &[u8] = &[0x90, 0x90, 0x66, 0x90, 0xc3];
        for (input, pad, entry, at, branched) in [
            (PADDED, 0, 6, Some(6), 0),
            (TRACKED, 0, 2, Some(6), 0),
            // Without a pad, the table points behind ENDBR.
            (TRACKED, 6, 2, Some(6), 0),
            (LOOP, 0, 2, None, 1),
            (CLANG, 0, 2, None, 0),
        ] {
            for (format, machine) in [
                (BinaryFormat::Elf, Architecture::X86_64),
                (BinaryFormat::Elf, Architecture::I386),
                (BinaryFormat::Coff, Architecture::X86_64),
                (BinaryFormat::Coff, Architecture::I386),
            ] {
                let before = object(format, machine, input, pad, entry);
                let after = merge_entry_nops(&before).unwrap();
                let mut expect = input.to_vec();
                if let Some(at) = at {
                    expect[at..at + 2].copy_from_slice(&ONE_NOP);
                }
                assert_eq!(code(&after.object), (expect, 16), "{format:?} {machine:?} {input:02x?}");
                assert_eq!((after.merged, after.branched), (usize::from(at.is_some()), branched), "{input:02x?}");
                assert_eq!((before.len(), after.aligned), (after.object.len(), 1));
                let again = merge_entry_nops(&after.object).unwrap();
                assert_eq!((again.merged, again.aligned, again.object), (0, 0, after.object));
            }
        }
    }

    /// What the GNU assembler writes for COFF: the place of a COMDAT function in each reference to it.
    #[test]
    fn the_place_of_a_function_is_taken_out_of_references() {
        for (comdat, machine, held, expect) in [
            (true, Architecture::X86_64, 6_i64, 0),
            (true, Architecture::I386, 6, 0),
            (true, Architecture::X86_64, 0, 0),
            (true, Architecture::X86_64, 4, 4),
            (false, Architecture::X86_64, 6, 6),
        ] {
            let mut object = Object::new(BinaryFormat::Coff, machine, Endianness::Little);
            let text = add_function(&mut object, machine, &[0x90; 12], 0, 6);
            object.section_symbol(text);
            let symbol = object.symbol_id(b"f").unwrap();
            if comdat {
                let kind = ::object::ComdatKind::Any;
                object.add_comdat(::object::write::Comdat { kind, symbol, sections: vec![text] });
            }
            let data = object.section_id(StandardSection::Data);
            object.append_section_data(data, &[0; 8], 8);
            let flags = RelocationFlags::Generic {
                kind: RelocationKind::Absolute,
                encoding: RelocationEncoding::Generic,
                size: if machine == Architecture::I386 { 32 } else { 64 },
            };
            object.add_relocation(data, Relocation { offset: 0, symbol, addend: held, flags }).unwrap();
            let merged = merge_entry_nops(&object.write().unwrap()).unwrap();
            let file = File::parse(merged.object.as_slice()).unwrap();
            let field = file.section_by_name(".data").unwrap().data().unwrap()[0];
            assert_eq!(i64::from(field), expect, "{comdat} {machine:?} {held}");
            assert_eq!(merged.references, usize::from(held != expect), "{comdat} {machine:?} {held}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused_and_what_is_cut_does_no_harm() {
        let whole = object(BinaryFormat::Elf, Architecture::X86_64, &[0x90; 12], 0, 6);
        for len in 0..whole.len() {
            let _ = merge_entry_nops(&whole[..len]);
        }
        assert!(merge_entry_nops(b"no object").is_err());
        let arm = object(BinaryFormat::Elf, Architecture::Aarch64, &[0x90; 12], 0, 6);
        assert_eq!(merge_entry_nops(&arm).unwrap().object, arm);
    }

    /// Objects of real assemblers, damaged everywhere: the length stays, and nothing panics.
    #[test]
    fn damaged_objects_do_no_harm() {
        let seeds = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/entry_nops");
        let mut tried = 0;
        for seed in std::fs::read_dir(seeds).unwrap() {
            let whole = std::fs::read(seed.unwrap().path()).unwrap();
            let mended = merge_entry_nops(&whole).unwrap();
            assert!(mended.merged > 0, "{mended:?}");
            for at in 0..whole.len() {
                for value in [0, 0x7f, 0xff, whole[at].wrapping_add(1)] {
                    let mut damaged = whole.clone();
                    damaged[at] = value;
                    if let Ok(mended) = merge_entry_nops(&damaged) {
                        assert_eq!(mended.object.len(), whole.len());
                    }
                    tried += 1;
                }
            }
        }
        assert!(tried > 1000);
    }
}
