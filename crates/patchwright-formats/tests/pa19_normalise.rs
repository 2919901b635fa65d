//! Copies of one image that an installation has changed: bound, rebased, with lock prefixes taken out.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test ends where it fails; offsets are small"
)]

mod pa19_common;

use pa19_common::file;
use patchwright_formats::lzx::Level;
use patchwright_formats::pa19::{
    Change, Coff, CreateOptions, IfNew, OldInput, Profile, SignatureKind, apply, create, flags, normalise, signature,
};
use patchwright_formats::{ByteRange, Regions};

const COFF: Coff = Coff { base: 0x1000_0000, time: 0x1000_0000 };

/// The parts of a well-formed image that the tests change.
struct Image(Vec<u8>);

impl Image {
    fn u32_at(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.0[at..at + 4].try_into().unwrap())
    }

    fn put(&mut self, at: usize, value: u32) {
        self.0[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    fn optional(&self) -> usize {
        self.u32_at(0x3C) as usize + 24
    }

    fn directory(&self, index: usize) -> usize {
        self.optional() + 96 + 8 * index
    }

    /// Address, raw size and raw offset of every section.
    fn sections(&self) -> Vec<[u32; 3]> {
        let count = self.u32_at(self.optional() - 18) & 0xFFFF;
        let first = self.optional() + 224;
        (0..count as usize).map(|i| [12, 16, 20].map(|field| self.u32_at(first + 40 * i + field))).collect()
    }

    fn offset(&self, rva: u32) -> usize {
        let sections = self.sections();
        let [start, _, raw] = sections.iter().find(|[start, len, _]| (*start..start + len).contains(&rva)).unwrap();
        (rva - start + raw) as usize
    }

    /// Does what binding does: thunks become addresses, and descriptors have times.
    fn bind(&mut self) {
        let mut at = self.offset(self.u32_at(self.directory(1)));
        while self.u32_at(at) != 0 {
            self.put(at + 4, 0x5555_5555);
            self.put(at + 8, u32::MAX);
            let mut thunk = self.offset(self.u32_at(at + 16));
            while self.u32_at(thunk) != 0 {
                self.put(thunk, 0x7700_0000 + thunk as u32);
                thunk += 4;
            }
            at += 20;
        }
    }

    /// Puts a load configuration with a table of one lock prefix into the padding of a section; returns its offset.
    fn add_lock(&mut self) -> usize {
        let sections = self.sections();
        let tail = |[_, len, raw]: &&[u32; 3]| {
            let end = (raw + len) as usize;
            *len > 0x60 && self.0[end - 0x60..end].iter().all(|byte| *byte == 0)
        };
        let [start, len, raw] = *sections.iter().find(tail).unwrap();
        let (rva, at) = (start + len - 0x60, (raw + len - 0x60) as usize);
        let base = self.u32_at(self.optional() + 28);
        self.put(self.directory(10), rva);
        self.put(self.directory(10) + 4, 0x40);
        self.put(at + 0x20, base + rva + 0x44);
        self.put(at + 0x44, base + sections[0][0] + 8);
        sections[0][2] as usize + 8
    }
}

fn normalised(image: &[u8], options: u32) -> Vec<u8> {
    let mut image = image.to_vec();
    normalise(&mut image, options, COFF, []).unwrap();
    image
}

#[test]
fn bound_copies_are_the_same_file() {
    let original = file("t1_dll");
    let mut bound = Image(original.clone());
    bound.bind();
    assert!(bound.0 != original);
    assert!(normalised(&bound.0, 0) == normalised(&original, 0));
    assert!(normalised(&bound.0, flags::NO_BINDFIX) != normalised(&original, flags::NO_BINDFIX));

    let new = file("t2_dll");
    let options = CreateOptions { profile: Profile::Native, level: Level::Fast, ..CreateOptions::default() };
    let olds = [OldInput { bytes: &original, regions: &Regions::default() }];
    let patch = create(&olds, &new, &options).unwrap().patch;
    assert!(apply(&patch, &bound.0, IfNew::Copy).unwrap().new == new);
}

#[test]
fn the_bound_import_directory_goes() {
    let mut image = Image(file("t1_dll"));
    let (headers, directory) = (image.u32_at(image.optional() + 60), image.directory(11));
    image.put(directory, headers - 8);
    image.put(directory + 4, 8);
    image.put(headers as usize - 8, 0x1234_5678);
    let done = Image(normalised(&image.0, 0));
    assert_eq!([directory, directory + 4, headers as usize - 8].map(|at| done.u32_at(at)), [0; 3]);
}

#[test]
fn lock_prefixes_come_back() {
    let mut image = Image(file("t1_dll"));
    let at = image.add_lock();
    for (byte, options, expect) in [(0x90, 0, 0xF0), (0xF0, 0, 0xF0), (0x90, flags::NO_LOCKFIX, 0x90)] {
        image.0[at] = byte;
        // The base of the table is that of the image, so it must not be changed here.
        assert_eq!(normalised(&image.0, options | flags::NO_REBASE)[at], expect);
    }
}

#[test]
fn what_is_normalised_stays_as_it_is() {
    for name in ["t1_dll", "t1_rt_dll", "t1_norel_dll", "t2_rebased_dll"] {
        for options in [0, flags::NO_BINDFIX, flags::NO_LOCKFIX, flags::NO_REBASE, flags::NO_CHECKSUM] {
            let mut image = normalised(&file(name), options);
            assert_eq!(normalise(&mut image, options, COFF, []), Ok(Change::Unmodified), "{name} {options:#x}");
        }
    }
}

#[test]
fn ranges_count_as_changes_if_they_lie_inside() {
    for (range, expect) in [((0, 4), Change::Modified), ((4, 0), Change::Modified), ((2, 3), Change::Unmodified)] {
        let mut bytes = b"abcd".to_vec();
        let range = ByteRange::new(range.0, range.1);
        assert_eq!(normalise(&mut bytes, 0, COFF, [range]), Ok(expect));
    }
    let (text, _) = signature(&mut b"ab\xFFd".to_vec(), 0, [ByteRange::new(2, 1)], SignatureKind::Crc32).unwrap();
    assert_eq!(text, format!("{:08x}", crc32fast::hash(b"ab\0d")));
}
