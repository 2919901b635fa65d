//! Images whose tables are as many, and as often the same bytes, as the format allows.
//!
//! No test has a clock: each is of a size at which work by the product of two counts takes from a minute to hours.

use super::budget::Budget;
use super::flags;
use super::header::Coff;
use super::matching::candidates;
use super::normalise::{Change, normalise};
use super::pe32::{MACHINE_X86, MEM_EXECUTE, Pe32, directory, put_u16, put_u32, reloc, u32_at};
use super::rift::Rift;
use super::transform::{HintMap, NO_CODE, transform};

const BASE: u32 = 0x40_0000;
const COFF: Coff = Coff { base: 0x1000_0000, time: 1 };
/// Address of the first section.
const FIRST: u32 = 0x0100_0000;
const SIZE_OF_IMAGE: u32 = 0x0200_0000;
const MANY: u32 = 0xFFFF;
/// Both versions of the transforms.
const VERSIONS: [u32; 2] = [0, flags::EXT_RESOURCE_2 | flags::EXT_IRELOC_2];

const FILE_HEADER: usize = 0x44;
const OPTIONAL: usize = FILE_HEADER + 20;
const SECTIONS: usize = OPTIONAL + 224;

/// An image being made: headers, the tables of the test, and what the sections hold.
///
/// The tables count as headers, so that they are at addresses that are their offsets.
struct Image(Vec<u8>);

impl Image {
    fn new(section_count: u32) -> Self {
        let mut image = Self(vec![0; SECTIONS + 40 * section_count as usize + 0x200]);
        image.0[..2].copy_from_slice(b"MZ");
        image.put(0x3C, 0x40);
        image.0[0x40..0x42].copy_from_slice(b"PE");
        put_u16(&mut image.0, FILE_HEADER, MACHINE_X86);
        put_u16(&mut image.0, FILE_HEADER + 2, u16::try_from(section_count).unwrap());
        put_u16(&mut image.0, FILE_HEADER + 16, 224);
        put_u16(&mut image.0, OPTIONAL, 0x10B);
        image.put(OPTIONAL + 28, BASE);
        image.put(OPTIONAL + 56, SIZE_OF_IMAGE);
        image.put(OPTIONAL + 92, 16);
        image
    }

    fn len(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap()
    }

    fn put(&mut self, at: usize, value: u32) {
        put_u32(&mut self.0, at, value);
    }

    /// Appends numbers; returns the offset of the first.
    fn append(&mut self, words: impl IntoIterator<Item = u32>) -> u32 {
        let at = self.len();
        self.0.extend(words.into_iter().flat_map(u32::to_le_bytes));
        at
    }

    fn set_directory(&mut self, index: usize, rva: u32) {
        let size = self.len() - rva;
        self.put(OPTIONAL + 96 + 8 * index, rva);
        self.put(OPTIONAL + 100 + 8 * index, size);
    }

    /// What is there by now is the headers.
    fn end_headers(&mut self) {
        let len = self.len();
        self.put(OPTIONAL + 60, len);
    }

    fn set_section(&mut self, index: u32, rva: u32, size: u32, offset: u32, characteristics: u32) {
        let at = SECTIONS + 40 * index as usize;
        for (field, value) in [(0, index), (8, size), (12, rva), (16, size), (20, offset), (36, characteristics)] {
            self.put(at + field, value);
        }
    }
}

/// From `old` on everything is 0x100 bytes later.
fn rift(old: u32) -> Rift {
    let mut rift = Rift::default();
    rift.push(0, 0);
    rift.push(old, old + 0x100);
    rift
}

/// 65,535 sections of 16 bytes: a call of the last section, and what relocations and locks lead to. Millions of them lead
/// to the last section.
struct ManySections {
    image: Vec<u8>,
    /// Offset of the first section.
    start: usize,
    last: usize,
}

const FIXUPS: u32 = 6_000_001;
const LAST: u32 = FIRST + 16 * (MANY - 1);

fn many_sections() -> ManySections {
    let mut image = Image::new(MANY);
    let table = image.append([LAST & !0xFFF, 8 + 2 * (FIXUPS + 1)]);
    let fixup = (u32::from(reloc::HIGHLOW) << 12) | ((LAST & 0xFFF) + 8);
    image.append((0..FIXUPS / 2).map(|_| (fixup << 16) | fixup));
    image.append([fixup]);
    image.set_directory(directory::BASERELOC, table);
    let locks = image.append((0..200_000).map(|_| COFF.base + LAST + 12).chain([0]));
    let config = image.append([0; 8].into_iter().chain([COFF.base + locks]));
    image.set_directory(directory::LOAD_CONFIG, config);
    image.end_headers();
    let start = image.len();
    for i in 0..MANY {
        image.set_section(i, FIRST + 16 * i, 16, start + 16 * i, MEM_EXECUTE);
        let distance = (16 * (MANY - 1 - i)).wrapping_sub(5);
        let [b0, b1, b2, b3] = distance.to_le_bytes();
        image.append([u32::from_le_bytes([0xE8, b0, b1, b2]), u32::from(b3), BASE, 0]);
    }
    let start = start as usize;
    ManySections { image: image.0, start, last: start + 16 * (MANY as usize - 1) }
}

#[test]
fn sections_are_not_walked_for_every_fixup_and_lock() {
    let ManySections { mut image, last, .. } = many_sections();
    assert_eq!(normalise(&mut image, 0, COFF, []), Ok(Change::Modified));
    let moved = (COFF.base - BASE).wrapping_mul(FIXUPS);
    assert_eq!(u32_at(&image, last + 8), Some(BASE.wrapping_add(moved)));
    assert_eq!(image[last + 12], 0xF0);
}

#[test]
fn sections_are_not_walked_for_every_pointer_and_branch() {
    let ManySections { image, start, last } = many_sections();
    let middle = FIRST + 16 * (MANY / 2);
    for ext in VERSIONS {
        let mut moved = image.clone();
        transform(&mut moved, &rift(middle), ext, 0);
        for (index, at) in (start..last).step_by(16).enumerate() {
            let further = if index < MANY as usize / 2 { 0x100 } else { 0 };
            let distance = u32_at(&image, at + 1).unwrap() + further;
            assert_eq!(u32_at(&moved, at + 1), Some(distance), "{index}");
        }
    }
}

#[test]
fn sections_are_not_walked_for_every_section_of_the_other_image() {
    let old = many_sections().image;
    let mut new = old.clone();
    for i in 0..MANY as usize {
        let at = SECTIONS + 40 * i + 12;
        let rva = u32_at(&new, at).unwrap();
        put_u32(&mut new, at, rva + 0x1000);
    }
    let by_sections = &candidates(&old, &new)[0];
    assert_eq!((by_sections.entries().len(), by_sections.map(LAST)), (2, LAST + 0x1000));
}

const DESCRIPTORS: u32 = 300_000;
const THUNKS: u32 = 250_000;

/// 300,000 bound descriptors, `lookup` and `addresses` of each as `at` says.
fn descriptors(image: &mut Image, at: impl Fn(u32) -> [u32; 2]) {
    let descriptor = |i| {
        let [lookup, addresses] = at(i);
        [lookup, 0x5555_5555, u32::MAX, 0x200, addresses]
    };
    let table = image.append((0..DESCRIPTORS).flat_map(descriptor).chain([0; 5]));
    image.set_directory(directory::IMPORT, table);
    image.end_headers();
}

#[test]
fn sections_are_not_walked_for_every_import() {
    let mut image = Image::new(MANY);
    // All in the last tenth of the sections.
    let place = |i| FIRST + 16 * (MANY - 1 - i % (MANY / 10));
    descriptors(&mut image, |i| [place(i), place(i) + 8]);
    let start = image.len();
    for i in 0..MANY {
        image.set_section(i, FIRST + 16 * i, 16, start + 16 * i, 0);
        image.append([LAST, 0, 0x7700_0000, 0]);
    }
    let (start, mut image) = (start as usize, image.0);
    assert_eq!(normalise(&mut image, flags::NO_REBASE, COFF, []), Ok(Change::Modified));
    let slots = |image: &[u8]| (0..MANY as usize).map(|i| u32_at(image, start + 16 * i + 8)).collect::<Vec<_>>();
    let bound = |slot: &Option<u32>| *slot == Some(0x7700_0000);
    assert_eq!(slots(&image).iter().filter(|slot| bound(slot)).count(), (MANY - MANY / 10) as usize);
    for ext in VERSIONS {
        transform(&mut image.clone(), &rift(FIRST), ext, 0);
    }
}

#[test]
fn thunks_and_names_that_all_imports_share_are_not_walked_for_each() {
    let mut image = Image::new(1);
    let (lookup, addresses) = (FIRST, FIRST + 4 * (THUNKS + 1));
    let name = addresses + 4 * (THUNKS + 1);
    descriptors(&mut image, |_| [lookup, addresses]);
    let start = image.len();
    image.append((0..THUNKS).map(|_| name).chain([0]));
    image.append((0..THUNKS).map(|i| 0x7700_0000 + i).chain([0]));
    // A name of 2 MiB.
    image.append((0..1 << 19).map(|_| u32::MAX));
    let size = image.len() - start;
    image.set_section(0, FIRST, size, start, 0);
    let mut image = image.0;
    assert_eq!(normalise(&mut image, flags::NO_REBASE, COFF, []), Ok(Change::Modified));
    for i in 0..THUNKS as usize {
        assert_eq!(u32_at(&image, (start + addresses - lookup) as usize + 4 * i), Some(name));
    }
    assert_eq!(normalise(&mut image.clone(), flags::NO_REBASE, COFF, []), Ok(Change::Unmodified));
    let mut in_place = Rift::default();
    in_place.push(0, 0);
    for ext in VERSIONS {
        let mut same = image.clone();
        transform(&mut same, &in_place, ext, 0);
        assert!(same == image);
    }
}

/// 65,535 sections that all are the whole file.
fn the_same_section_again(characteristics: u32) -> Vec<u8> {
    let mut image = Image::new(MANY);
    image.append([0xE8; 1 << 10]);
    let len = image.len();
    for i in 0..MANY {
        image.set_section(i, FIRST + i, len, 0, characteristics);
    }
    image.0
}

#[test]
fn bytes_of_many_sections_are_marked_once_and_walked_a_few_times() {
    for characteristics in [0, MEM_EXECUTE] {
        let image = the_same_section_again(characteristics);
        let pe = Pe32::parse(&image).unwrap();
        let hints = HintMap::mark(&image, &pe, false);
        assert_eq!(hints.clear(0, image.len(), NO_CODE), characteristics == MEM_EXECUTE);
        assert_eq!(hints.clear(image.len() - 1, 1, NO_CODE), characteristics == MEM_EXECUTE);
        let walked: usize = pe.sections_with_code().map(|range| range.end - range.start).sum();
        assert_eq!(walked, if characteristics == 0 { 0 } else { Budget::new(image.len()).left() });
        for ext in VERSIONS {
            transform(&mut image.clone(), &rift(FIRST), ext, 0);
        }
        assert!(!candidates(&image, &image).is_empty());
    }
}

#[test]
fn sections_that_overlap_leave_an_address_to_the_first() {
    let mut image = Image::new(3);
    let start = image.append([0, 1, 2, 3, 4, 5, 6, 7]);
    image.set_section(0, FIRST + 8, 8, start, 0);
    image.set_section(1, FIRST, 24, start + 8, 0);
    image.set_section(2, FIRST + 20, 8, start + 4, 0);
    let pe = Pe32::parse(&image.0).unwrap();
    let word = |within: u32| u32_at(&image.0, pe.offset(FIRST + within)?);
    for (within, expect) in [(0, 2), (4, 3), (8, 0), (12, 1), (16, 6), (20, 7), (24, 2)] {
        assert_eq!(word(within), Some(expect), "{within}");
    }
    assert_eq!(pe.offset(FIRST + 28), None);
}
