//! Addresses that have a name: imports, exports and resources of the same name are the same thing.

use std::collections::BTreeMap;

use crate::pa19::pe32::{Pe32, directory, u16_at, u32_at};

/// The longest name that is looked at.
const MAX_NAME: usize = 512;
/// The most imports, exports and resources of an image that are looked at.
const MAX_ENTRIES: usize = 1 << 16;

/// An address with a name of its own in the image. The first of two with the same name counts.
type Named = BTreeMap<(Kind, Vec<u8>), u32>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Import,
    ImportTable,
    Export,
    ExportName,
    ExportTable,
    Resource,
}

/// Old and new address of everything that has the same name in both images.
pub(super) fn pairs(old: &[u8], old_pe: &Pe32, new: &[u8], new_pe: &Pe32) -> Vec<(u32, u32)> {
    let new = named(new, new_pe);
    named(old, old_pe).into_iter().filter_map(|(name, rva)| Some((rva, *new.get(&name)?))).collect()
}

fn named(image: &[u8], pe: &Pe32) -> Named {
    let mut found = Named::new();
    let image = Image { image, pe };
    image.imports(&mut found);
    image.exports(&mut found);
    image.resources(&mut found);
    found
}

struct Image<'a> {
    image: &'a [u8],
    pe: &'a Pe32,
}

impl Image<'_> {
    fn u32_at(&self, at: usize) -> Option<u32> {
        u32_at(self.image, at)
    }

    fn name(&self, rva: u32, skip: usize) -> Option<Vec<u8>> {
        let bytes = self.image.get(self.pe.offset(rva)? + skip..)?;
        Some(bytes.iter().take(MAX_NAME).take_while(|byte| **byte != 0).copied().collect())
    }

    fn imports(&self, found: &mut Named) -> Option<()> {
        let start = self.pe.mapped(self.image, directory::IMPORT)?.start;
        let mut left = MAX_ENTRIES;
        for index in 0..MAX_ENTRIES {
            let field = |i: usize| self.u32_at(start + 20 * index + 4 * i);
            let (lookup, library, addresses) = (field(0)?, field(3)?, field(4)?);
            if lookup == 0 {
                break;
            }
            let name = self.name(library, 0)?.to_ascii_lowercase();
            for (part, rva) in [(b'l', lookup), (b'n', library), (b'a', addresses)] {
                found.entry((Kind::ImportTable, [&[part], &name[..]].concat())).or_insert(rva);
            }
            let Some(thunks) = self.pe.offset(lookup) else { continue };
            for index in 0..MAX_ENTRIES {
                let Some(thunk) = self.u32_at(thunks + 4 * index).filter(|thunk| *thunk != 0) else { break };
                left = left.checked_sub(1)?;
                let within = u32::try_from(4 * index).expect("bounded");
                let import = if thunk & 0x8000_0000 == 0 {
                    let Some(import) = self.name(thunk, 2) else { continue };
                    let key = [&name[..], b"!", &import].concat();
                    found.entry((Kind::Import, key.clone())).or_insert(thunk);
                    key
                } else {
                    [&name[..], b"#", &thunk.to_le_bytes()].concat()
                };
                // Code refers to the slots in the address table.
                let key = [&import[..], b"\0slot"].concat();
                found.entry((Kind::Import, key)).or_insert(addresses.wrapping_add(within));
            }
        }
        Some(())
    }

    fn exports(&self, found: &mut Named) -> Option<()> {
        let start = self.pe.mapped(self.image, directory::EXPORT)?.start;
        for at in [12, 28, 32, 36] {
            found.insert((Kind::ExportTable, vec![at]), self.u32_at(start + usize::from(at))?);
        }
        let count = self.u32_at(start + 24)? as usize;
        let table = |at: usize| self.pe.offset(self.u32_at(start + at)?);
        let (functions, names, ordinals) = (table(28)?, table(32)?, table(36)?);
        for index in 0..count.min(MAX_ENTRIES) {
            let name_rva = self.u32_at(names + 4 * index)?;
            let ordinal = usize::from(u16_at(self.image, ordinals + 2 * index)?);
            let name = self.name(name_rva, 0)?;
            found.insert((Kind::Export, name.clone()), self.u32_at(functions + 4 * ordinal)?);
            found.insert((Kind::ExportName, name), name_rva);
        }
        Some(())
    }

    fn resources(&self, found: &mut Named) -> Option<()> {
        let mapped = self.pe.mapped(self.image, directory::RESOURCE)?;
        let mut waiting = vec![(0usize, Vec::new())];
        let mut left = MAX_ENTRIES;
        while let Some((offset, path)) = waiting.pop() {
            let at = mapped.start + offset;
            let rva = |offset: usize| Some(mapped.rva.wrapping_add(u32::try_from(offset).ok()?));
            found.entry((Kind::Resource, path.clone())).or_insert(rva(offset)?);
            let count = usize::from(u16_at(self.image, at + 12)?) + usize::from(u16_at(self.image, at + 14)?);
            for index in 0..count {
                left = left.checked_sub(1)?;
                let entry = at + 16 + 8 * index;
                let (name, target) = (self.u32_at(entry)?, self.u32_at(entry + 4)?);
                let mut path = path.clone();
                path.push(b'/');
                if name & 0x8000_0000 == 0 {
                    path.extend_from_slice(&name.to_le_bytes());
                } else {
                    let at = (name & 0x7FFF_FFFF) as usize;
                    let len = 2 * usize::from(u16_at(self.image, mapped.start + at)?);
                    path.extend_from_slice(self.image.get(mapped.start + at + 2..)?.get(..len.min(MAX_NAME))?);
                    found.entry((Kind::Resource, [&path[..], b"name"].concat())).or_insert(rva(at)?);
                }
                let target_offset = (target & 0x7FFF_FFFF) as usize;
                if target & 0x8000_0000 != 0 && path.len() < MAX_NAME {
                    waiting.push((target_offset, path));
                } else {
                    let data = self.u32_at(mapped.start + target_offset)?;
                    found.entry((Kind::Resource, [&path[..], b"entry"].concat())).or_insert(rva(target_offset)?);
                    found.entry((Kind::Resource, [&path[..], b"data"].concat())).or_insert(data);
                }
            }
        }
        Some(())
    }
}
