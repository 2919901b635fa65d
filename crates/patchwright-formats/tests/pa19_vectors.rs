//! Every vector of the genuine creator: `testdata/pa19`, described by its `manifest.json`.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test ends where it fails; offsets are small"
)]

mod pa19_common;

use pa19_common::{Vector, blanked, file, normalisations, vectors};
use patchwright_formats::pa19::{
    Coff, Header, IfNew, Outcome, Patch, PatchCode, SignatureKind, apply, extract_header, header, normalise, signature,
    test,
};

#[test]
fn headers_are_read_as_the_manifest_says_and_written_byte_for_byte() {
    for vector in vectors() {
        let bytes = file(&vector.patch);
        let patch = Patch::read(&bytes).unwrap_or_else(|error| panic!("{}: {error}", vector.name));
        let expect = &vector.json["hdr"];
        let header = &patch.header;
        let number = |name: &str| expect[name].as_u64();
        assert_eq!(Some(patch.header_len as u64), number("hdrlen"), "{}", vector.name);
        assert_eq!(Some(u64::from(header.flags)), number("flags"), "{}", vector.name);
        assert_eq!(Some(u64::from(header.ext)), number("ext"), "{}", vector.name);
        assert_eq!(header.file_time.map(u64::from), number("time"), "{}", vector.name);
        assert_eq!(header.coff.map(|coff| u64::from(coff.base)), number("base"), "{}", vector.name);
        assert_eq!(header.coff.map(|coff| u64::from(coff.time)), number("ctime"), "{}", vector.name);
        assert_eq!(header.resource_time.map(u64::from), number("rtime"), "{}", vector.name);
        assert_eq!(Some(u64::from(header.new_len)), number("newsize"), "{}", vector.name);
        assert_eq!(Some(u64::from(header.new_crc)), number("newcrc"), "{}", vector.name);
        assert_eq!(header.window.map(|window| u64::from(window.log2())), number("win"), "{}", vector.name);
        let entries = vector.json["old_entries"].as_array().unwrap();
        assert_eq!(header.olds.len(), entries.len(), "{}", vector.name);
        for (old, expect) in header.olds.iter().zip(entries) {
            let number = |name: &str| expect[name].as_u64().unwrap();
            assert_eq!(u64::from(old.len), number("size"), "{}", vector.name);
            assert_eq!(u64::from(old.crc), number("crc"), "{}", vector.name);
            assert_eq!(old.ignore.len() as u64, number("ir"), "{}", vector.name);
            assert_eq!(old.retain.len() as u64, number("rr"), "{}", vector.name);
            assert_eq!(old.rift.entries().len() as u64, number("rift"), "{}", vector.name);
            assert_eq!(u64::from(old.stream_len), number("psize"), "{}", vector.name);
            let map: Vec<[u64; 3]> = serde_json::from_value(expect["il"].clone()).unwrap_or_default();
            let found = old.interleave.iter().map(|piece| [piece.old_offset, piece.old_len, piece.new_len]);
            assert_eq!(found.map(|piece| piece.map(u64::from)).collect::<Vec<_>>(), map, "{}", vector.name);
        }
        assert_eq!(header.write(), &bytes[..patch.header_len], "{}", vector.name);
    }
}

#[test]
fn every_patch_applies_to_every_old_file() {
    for vector in vectors() {
        let bytes = file(&vector.patch);
        let new = file(&vector.new);
        for (index, old) in vector.olds.iter().enumerate() {
            let old_bytes = file(&old.file);
            let made = apply(&bytes, &old_bytes, IfNew::Copy)
                .unwrap_or_else(|error| panic!("{} on {}: {error}", vector.name, old.file));
            let mut expect = new.clone();
            let from_new = matches!(made.outcome, Outcome::New(_));
            for range in &old.retain {
                let source = if from_new { range.new_side() } else { range.old() };
                let (from, to) = (source.offset as usize, range.new_offset as usize);
                let len = range.len as usize;
                expect[to..to + len].copy_from_slice(&old_bytes[from..from + len]);
            }
            assert!(made.new == expect, "{} on {}: other bytes", vector.name, old.file);
            if !from_new {
                assert_eq!(made.outcome, Outcome::Old(index), "{}", vector.name);
            }
            assert_eq!(test(&bytes, &old_bytes, IfNew::Copy), Ok(made.outcome), "{}", vector.name);
        }
        assert_eq!(
            apply(&bytes, &new, IfNew::Copy).map(|made| made.new == new),
            Ok(true),
            "{} on its result",
            vector.name
        );
        assert_eq!(apply(&bytes, &new, IfNew::FailIfExact).map_err(|error| error.code), Err(PatchCode::NotNecessary));
    }
}

#[test]
fn ignored_and_retained_bytes_of_the_old_file_may_be_anything() {
    let mut tried = 0;
    for vector in vectors() {
        let bytes = file(&vector.patch);
        for old in vector.olds.iter().filter(|old| !old.ignore.is_empty() || !old.retain.is_empty()) {
            let clean = file(&old.file);
            let Ok(Outcome::Old(index)) = test(&bytes, &clean, IfNew::Copy) else { continue };
            let mut other = clean.clone();
            for range in old.blanks() {
                for byte in &mut other[range.offset as usize..][..range.len as usize] {
                    *byte = byte.wrapping_mul(7).wrapping_add(41);
                }
            }
            let made = apply(&bytes, &other, IfNew::Copy);
            if vector.name == "pe32_ranges" {
                // The checksum of an image is made anew before ranges are blanked, and so depends on them.
                assert_eq!(made.unwrap_err().code, PatchCode::WrongFile);
                continue;
            }
            let made = made.unwrap();
            assert_eq!(made.outcome, Outcome::Old(index));
            let mut expect = file(&vector.new);
            for range in &old.retain {
                let kept = &other[range.old_offset as usize..][..range.len as usize];
                expect[range.new_offset as usize..][..range.len as usize].copy_from_slice(kept);
            }
            assert!(made.new == expect, "{} on {}", vector.name, old.file);
            tried += 1;
        }
    }
    assert!(tried >= 5, "{tried}");
}

#[test]
fn normalisation_and_signatures_are_the_genuine_ones() {
    for case in normalisations() {
        let original = file(&case.file);
        let mut bytes = original.clone();
        let coff = Coff { base: case.base, time: case.time };
        let change = normalise(&mut bytes, case.flags, coff, []).unwrap();
        assert_eq!(change.return_value(), case.returned, "{} {:#x}", case.file, case.flags);
        let (crc, _) = signature(&mut original.clone(), case.flags, [], SignatureKind::Crc32).unwrap();
        assert_eq!(crc, case.crc32, "{} {:#x}", case.file, case.flags);
        assert_eq!(format!("{:08x}", crc32fast::hash(&bytes)), case.crc32);
    }
}

#[test]
fn old_file_crcs_of_patches_are_those_of_the_normalised_files() {
    for vector in vectors() {
        let bytes = file(&vector.patch);
        let Patch { header, .. } = Patch::read(&bytes).unwrap();
        for (entry, old) in header.olds.iter().zip(&vector.olds).filter(|(entry, _)| entry.stream_len > 0) {
            let mut image = file(&old.file);
            normalise(&mut image, header.flags, header.coff.unwrap_or(Coff { base: 0, time: 0 }), old.blanks())
                .unwrap();
            assert_eq!(crc32fast::hash(&image), entry.crc, "{}", vector.name);
        }
        let new = blanked(file(&vector.new), vector.olds[0].retain.iter().map(|range| range.new_side()));
        assert_eq!(crc32fast::hash(&new), header.new_crc, "{}", vector.name);
    }
}

#[test]
fn header_only_patches_can_be_tested_but_not_applied() {
    for vector in vectors() {
        let bytes = file(&vector.patch);
        let whole = Patch::read(&bytes).unwrap();
        let header_only = extract_header(&bytes).unwrap();
        assert_eq!(crc32fast::hash(&header_only), u32::MAX, "{}", vector.name);
        assert_eq!(header_only.len(), whole.header_len + 4);
        assert_eq!(extract_header(&header_only).as_ref(), Ok(&header_only), "the header of a header is itself");
        assert_eq!(Patch::read(&header_only).unwrap().header, whole.header);
        for old in &vector.olds {
            let old = file(&old.file);
            let outcome = test(&header_only, &old, IfNew::Copy).unwrap();
            let made = apply(&header_only, &old, IfNew::Copy);
            match outcome {
                Outcome::Old(index) if whole.header.olds[index].stream_len > 0 => {
                    assert_eq!(made.unwrap_err().code, PatchCode::NotAvailable, "{}", vector.name);
                }
                _ => assert!(made.is_ok(), "{}", vector.name),
            }
        }
    }
}

#[test]
fn wrong_files_damage_and_later_versions_have_their_codes() {
    let bytes = file("text_A.pa19");
    let old = file("txt_a");
    let code = |patch: &[u8], old: &[u8]| apply(patch, old, IfNew::Copy).map(|_| ()).map_err(|error| error.code);
    assert_eq!(code(&bytes, &old), Ok(()));
    assert_eq!(code(&bytes, &file("txt_c")), Err(PatchCode::WrongFile));
    let mut other = old.clone();
    other[5] ^= 1;
    assert_eq!(code(&bytes, &other), Err(PatchCode::WrongFile));
    assert_eq!(code(&bytes[..40], &old), Err(PatchCode::Corrupt));
    assert_eq!(code(b"not a patch at all", &old), Err(PatchCode::Corrupt));
    for (at, value, expect) in [
        (0, b'X', PatchCode::Corrupt),
        (2, b'2', PatchCode::NewerFormat),
        (7, 0x02, PatchCode::NewerFormat),
        (40, !bytes[40], PatchCode::Corrupt),
    ] {
        let mut patch = bytes.clone();
        patch[at] = value;
        assert_eq!(code(&patch, &old), Err(expect), "byte {at}");
    }
    // Damage that the CRC of the file does not show.
    let Patch { header_len, .. } = Patch::read(&bytes).unwrap();
    let mut patch = bytes[..bytes.len() - 4].to_vec();
    patch[header_len + 60] ^= 0x10;
    reseal(&mut patch);
    assert!(matches!(code(&patch, &old), Err(PatchCode::DecodeFailure | PatchCode::Corrupt)));
    // Bytes after the trailer are not looked at.
    assert_eq!(code(&[&bytes[..], b"more"].concat(), &old), Ok(()));
}

#[test]
fn hostile_counts_are_refused_before_anything_is_allocated() {
    let head = b"PA19\x01\x00\x44\x00\x9A\x00\x00\x00\x00";
    for (tail, what) in [
        (&b"\x00"[..], "no old files"),
        (b"\xFF", "255 old files in no bytes"),
        (b"\x01\x80\0\0\0\0\xFF", "255 ignored ranges in no bytes"),
        (b"\x01\x80\0\0\0\0\x00\xFF", "255 retained ranges in no bytes"),
        (b"\x01\x80\0\0\0\0\x00\x00\x7F\x7F\x7F\x7F\x8F", "2^32 rift entries"),
        (b"\x01\x80\0\0\0\0\x01\x80\x9B\x00\x80\x80", "an ignored range beyond the file"),
        (b"\x01\x80\0\0\0\0\x01\xC1\x81\x00\x80\x80", "an ignored range before the file"),
        (b"\x01\x80\0\0\0\0\x00\x01\x80\x81\x9A\x80\x80", "a retained range beyond the new file"),
        (b"\x01\x80\0\0\0\0\x00\x00\x80\x7F\x7F\x7F\x7F\xFF", "a stream of more than 4 GiB"),
        (b"\x01\xFF\0\0\0\0\x00\x00\x80\x80", "an old file of less than no bytes"),
    ] {
        let mut bytes = [&head[..], tail].concat();
        reseal(&mut bytes);
        assert_eq!(Patch::read(&bytes).map(|_| ()).map_err(|error| error.code), Err(PatchCode::Corrupt), "{what}");
    }
    // A large new file from a small stream ends with the stream.
    let vector = file("text_A.pa19");
    let (mut header, len): (Header, usize) = Header::read(&vector).unwrap();
    header.new_len = u32::MAX;
    let mut bytes = [header.write(), vector[len..vector.len() - 4].to_vec()].concat();
    reseal(&mut bytes);
    assert_eq!(apply(&bytes, &file("txt_a"), IfNew::Copy).unwrap_err().code, PatchCode::DecodeFailure);
}

#[test]
fn retained_ranges_that_differ_between_old_files_are_corrupt() {
    let bytes = file("retain_multi.pa19");
    let (mut header, _) = Header::read(&bytes).unwrap();
    header.olds[1].retain[0].new_offset += 1;
    let (code, structure) = Header::read(&header.write()).map(|_| ()).map_err(|e| (e.code, e.structure)).unwrap_err();
    assert_eq!((code, structure), (PatchCode::Corrupt, "retain range"));
}

#[test]
fn no_cut_and_no_changed_byte_makes_it_panic() {
    let mut random = pa19_common::Random(0x5EED);
    for vector in vectors() {
        let Vector { patch, olds, .. } = &vector;
        let bytes = file(patch);
        let old = file(&olds[0].file);
        let header_len = Patch::read(&bytes).unwrap().header_len;
        for len in (0..header_len).chain((header_len..bytes.len()).step_by(bytes.len() / 60 + 1)) {
            assert!(apply(&bytes[..len], &old, IfNew::Copy).is_err(), "{patch} cut to {len}");
        }
        // With the CRC of the file made right again, faults reach what lies behind it.
        for round in 0..40 {
            let mut changed = bytes[..bytes.len() - 4].to_vec();
            let limit = if round % 2 == 0 { header_len } else { changed.len() };
            for _ in 0..=round % 3 {
                let at = random.below(limit);
                changed[at] = random.byte();
            }
            reseal(&mut changed);
            let _ = apply(&changed, &old, IfNew::Copy);
        }
    }
}

#[test]
fn no_changed_image_makes_normalisation_panic() {
    let mut random = pa19_common::Random(0xC0FF);
    let image = file("t1_rt_dll");
    for round in 0..300 {
        let mut changed = image.clone();
        for _ in 0..8 {
            let at = random.below(if round % 2 == 0 { 0x400 } else { changed.len() });
            changed[at] = random.byte();
        }
        if round % 7 == 0 {
            changed.truncate(random.below(changed.len()));
        }
        let _ = normalise(&mut changed, 0, Coff { base: 0x1000_0000, time: 5 }, []);
    }
}

fn reseal(bytes: &mut Vec<u8>) {
    let crc = crc32fast::hash(bytes);
    bytes.extend_from_slice(&(!crc).to_le_bytes());
    assert!(header::Patch::read(b"").is_err());
}

fn document() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/formats/pa19.md")).unwrap()
}

#[test]
fn the_example_of_the_format_document_is_the_vector() {
    let text = document();
    let block = text.split("```hex\n").nth(1).unwrap().split("```").next().unwrap();
    let bytes = block.lines().flat_map(|line| line.split("  ").next().unwrap().split_whitespace());
    let bytes: Vec<u8> = bytes.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    assert_eq!(bytes, file("noref_one.pa19"));
}

#[test]
fn the_format_document_has_every_code() {
    let text = document();
    for code in PatchCode::ALL {
        let row = format!("| `{:08X}` | `{}` | {} |", code.value(), code.name(), code.exit_code());
        assert!(text.contains(&row), "{row}");
    }
}
