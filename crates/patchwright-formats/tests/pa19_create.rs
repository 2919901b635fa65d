//! What we make can be applied, is what the options ask for, and is no larger than what the genuine creator makes.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test ends where it fails; offsets are small"
)]

mod pa19_common;

use pa19_common::{Random, Vector, blanked, file, vectors};
use patchwright_formats::lzx::Level;
use patchwright_formats::pa19::{
    CreateOptions, Created, IfNew, LzxMode, OldInput, Outcome, Pa19Error, Patch, PatchCode, Profile, Warning, apply,
    create, flags, test,
};
use patchwright_formats::{ByteRange, Regions, RetainRange};

const RAW: CreateOptions = CreateOptions {
    profile: Profile::Raw,
    mode: LzxMode::Best,
    flags: 0,
    ext: 0,
    file_time: None,
    max_window: None,
    level: Level::Best,
};
/// For what is not about size.
const FAST: CreateOptions = CreateOptions { level: Level::Fast, ..RAW };
const NATIVE: CreateOptions = CreateOptions { profile: Profile::Native, ext: 0x300, ..RAW };

/// Makes a patch, and applies it to every old file with other bytes in the ranges.
fn round_trip(olds: &[(&[u8], &Regions)], new: &[u8], options: &CreateOptions) -> Created {
    let inputs: Vec<OldInput<'_>> = olds.iter().map(|(bytes, regions)| OldInput { bytes, regions }).collect();
    let made = create(&inputs, new, options).unwrap_or_else(|error| panic!("{error}"));
    let patch = Patch::read(&made.patch).unwrap();
    assert_eq!(patch.header.write(), &made.patch[..patch.header_len]);
    if new.len() < 1 << 15 {
        assert_eq!(create(&inputs, new, options).as_ref(), Ok(&made), "the same inputs make the same patch");
    }
    for (bytes, regions) in olds {
        let mut old = bytes.to_vec();
        for range in regions.old_blanks() {
            for byte in &mut old[range.offset as usize..][..range.len as usize] {
                *byte = byte.wrapping_mul(3).wrapping_add(77);
            }
        }
        let applied = apply(&made.patch, &old, IfNew::Copy).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(applied.file_time, options.file_time);
        let mut expect = new.to_vec();
        for range in &regions.retain {
            let from = if matches!(applied.outcome, Outcome::New(_)) { range.new_offset } else { range.old_offset };
            let kept = &old[from as usize..][..range.len as usize];
            expect[range.new_offset as usize..][..range.len as usize].copy_from_slice(kept);
        }
        assert!(applied.new == expect, "other bytes");
    }
    made
}

fn code(olds: &[(&[u8], &Regions)], new: &[u8], options: &CreateOptions) -> Result<(), PatchCode> {
    let inputs: Vec<OldInput<'_>> = olds.iter().map(|(bytes, regions)| OldInput { bytes, regions }).collect();
    create(&inputs, new, options).map(|_| ()).map_err(|Pa19Error { code, .. }| code)
}

fn regions(ignore: &[(u64, u64)], retain: &[(u64, u64, u64)]) -> Regions {
    Regions {
        ignore: ignore.iter().map(|(offset, len)| ByteRange::new(*offset, *len)).collect(),
        retain: retain
            .iter()
            .map(|(old_offset, len, new_offset)| RetainRange {
                old_offset: *old_offset,
                len: *len,
                new_offset: *new_offset,
            })
            .collect(),
    }
}

/// The options that the manifest says a vector was made with; `None` for what we only read.
fn options(vector: &Vector) -> Option<CreateOptions> {
    let number = |name: &str| vector.json[name].as_u64().map(|value| u32::try_from(value).unwrap());
    let given = number("flags").unwrap();
    if given & flags::INTERLEAVE_FILES != 0 {
        return None;
    }
    Some(CreateOptions {
        profile: Profile::Native,
        mode: match given & 3 {
            1 => LzxMode::A,
            2 => LzxMode::B,
            _ => LzxMode::Best,
        },
        flags: given & !(flags::TIMESTAMP | 3 | flags::FAIL_IF_SAME_FILE | flags::FAIL_IF_BIGGER),
        ext: number("ext").unwrap_or(0),
        file_time: (given & flags::TIMESTAMP == 0).then_some(1_500_000_000),
        max_window: number("maxwin"),
        level: Level::Best,
    })
}

#[test]
fn patches_are_no_larger_than_the_genuine_ones() {
    let mut worst = Vec::new();
    println!("| vector | genuine | ours | of it |\n|---|---:|---:|---:|");
    for vector in vectors() {
        let Some(options) = options(&vector) else { continue };
        let new = file(&vector.new);
        let bytes: Vec<Vec<u8>> = vector.olds.iter().map(|old| file(&old.file)).collect();
        let regions: Vec<Regions> = vector.olds.iter().map(pa19_common::Old::regions).collect();
        let olds: Vec<(&[u8], &Regions)> = bytes.iter().map(Vec::as_slice).zip(&regions).collect();
        let made = round_trip(&olds, &new, &options);
        let genuine = file(&vector.patch);
        compare_headers(&vector, &made, &genuine);
        let (ours, theirs) = (made.patch.len(), genuine.len());
        println!("| `{}` | {theirs} | {ours} | {:.1} % |", vector.name, 100.0 * ours as f64 / theirs as f64);
        // Where an old file that is the new file has ignored ranges, we make a stream on purpose.
        if ours > theirs && vector.name != "same_ignore" {
            worst.push(format!("{}: {ours} for {theirs}", vector.name));
        }
    }
    assert!(worst.is_empty(), "{worst:?}");
}

/// What the genuine header says ours says too.
fn compare_headers(vector: &Vector, made: &Created, genuine: &[u8]) {
    let name = &vector.name;
    let ours = Patch::read(&made.patch).unwrap().header;
    let genuine = Patch::read(genuine).unwrap().header;
    assert_eq!(ours.new_crc, genuine.new_crc, "{name}");
    assert_eq!(ours.file_time, genuine.file_time, "{name}");
    assert_eq!(ours.coff, genuine.coff, "{name}");
    assert_eq!(ours.resource_time, genuine.resource_time, "{name}");
    assert_eq!(ours.window, genuine.window, "{name}");
    let extra = flags::FAIL_IF_SAME_FILE | flags::FAIL_IF_BIGGER | flags::EXTENDED;
    if made.warnings.iter().any(|warning| matches!(warning, Warning::ChecksumLeftOut { .. })) {
        assert_eq!(ours.flags & !extra, (genuine.flags | flags::NO_CHECKSUM) & !extra, "{name}");
        return;
    }
    assert_eq!(ours.flags & !extra, genuine.flags & !extra, "{name}");
    for (ours, genuine) in ours.olds.iter().zip(&genuine.olds).filter(|(_, old)| old.stream_len > 0) {
        assert_eq!(ours.crc, genuine.crc, "{name}");
    }
}

#[test]
fn files_of_all_sorts_in_both_profiles() {
    let none = Regions::default();
    let mut random = Random(0xABCD);
    let noise = random.bytes(50_000);
    let (t64, t32) = (file("t64_1_dll"), file("t1_dll"));
    let text = file("txt_a");
    for options in [FAST, NATIVE, CreateOptions { mode: LzxMode::A, file_time: Some(1), ..FAST }] {
        for (old, new) in [
            (&b""[..], &b""[..]),
            (b"", b"x"),
            (b"x", b""),
            (b"x", b"x"),
            (&text, &noise),
            (&noise, &text),
            (&t64, &file("t64_2_dll")),
            (&t64, &t32),
            (&t32, &t64),
            (&t32[..3000], &t32),
            (&t32, &t32[..3000]),
        ] {
            round_trip(&[(old, &none)], new, &options);
        }
    }
}

#[test]
fn random_edits_ranges_and_old_files() {
    let mut random = Random(0x1234_5678);
    for round in 0..40 {
        let len = 1 + random.below(60_000);
        let new = random.bytes(len);
        let count = 1 + random.below(3);
        let retain_len = 1 + random.below(20).min(len - 1);
        let new_offset = random.below(len - retain_len);
        let retain = round % 2 == 0;
        let olds: Vec<(Vec<u8>, Regions)> = (0..count)
            .map(|_| {
                let mut old = new.clone();
                for _ in 0..random.below(8) {
                    let at = random.below(old.len());
                    let end = (at + random.below(300)).min(old.len());
                    let insert = random.below(200);
                    old.splice(at..end, random.bytes(insert));
                }
                old.extend(random.bytes(retain_len));
                let at = |random: &mut Random| random.below(old.len() - retain_len) as u64;
                let ignore: Vec<(u64, u64)> =
                    (0..random.below(4)).map(|_| (at(&mut random), retain_len as u64)).collect();
                let retain = (at(&mut random), retain_len as u64, new_offset as u64);
                let regions = regions(&ignore, if round % 2 == 0 { std::slice::from_ref(&retain) } else { &[] });
                (old, regions)
            })
            .collect();
        let olds: Vec<(&[u8], &Regions)> = olds.iter().map(|(old, regions)| (&old[..], regions)).collect();
        let made = round_trip(&olds, &new, if round % 3 == 0 { &NATIVE } else { &FAST });
        assert_eq!(Patch::read(&made.patch).unwrap().header.olds[0].retain.len(), usize::from(retain));
    }
}

#[test]
fn ignored_and_retained_bytes_are_nowhere_in_the_patch() {
    let secret = Random(99).bytes(64);
    let new = file("txt_b");
    let mut old = file("txt_a");
    old[1000..1064].copy_from_slice(&secret);
    old[3000..3064].copy_from_slice(&secret);
    let mut new_with_secret = new.clone();
    new_with_secret[5000..5064].copy_from_slice(&secret);
    let set = regions(&[(1000, 64)], &[(3000, 64, 5000)]);
    let with = create(&[OldInput { bytes: &old, regions: &set }], &new_with_secret, &RAW).unwrap();
    for range in set.old_blanks() {
        old[range.offset as usize..][..range.len as usize].fill(0xEE);
    }
    let without =
        create(&[OldInput { bytes: &old, regions: &set }], &blanked(new, [ByteRange::new(5000, 64)]), &RAW).unwrap();
    assert!(with == without, "the patch depends on bytes that it must not see");
    assert!(!with.patch.windows(16).any(|bytes| secret.windows(16).any(|part| part == bytes)));
}

#[test]
fn images_with_ranges_apply_whatever_is_in_them() {
    let (old, new) = (file("t1_dll"), file("t2_dll"));
    let made = round_trip(&[(&old, &regions(&[(2000, 8)], &[(1100, 16, 1100)]))], &new, &NATIVE);
    assert_eq!(made.warnings, [Warning::ChecksumLeftOut { old: 0 }]);
    let options = CreateOptions { flags: flags::NO_CHECKSUM, ..NATIVE };
    assert_eq!(round_trip(&[(&old, &regions(&[(2000, 8)], &[]))], &new, &options).warnings, []);
}

#[test]
fn rebased_copies_are_recognised() {
    let none = Regions::default();
    let (rebased, new) = (file("t2_rebased_dll"), file("t2_dll"));
    let made = round_trip(&[(&file("t1_dll"), &none)], &new, &NATIVE);
    assert_eq!(round_trip(&[(&file("t1_dll"), &none)], &new, &NATIVE), made, "the same inputs make the same patch");
    let applied = apply(&made.patch, &rebased, IfNew::FailIfExact).unwrap();
    assert!(applied.new == new && matches!(applied.outcome, Outcome::New(_)));
    let refused = apply(&made.patch, &rebased, IfNew::FailIfClose).unwrap_err();
    assert_eq!(refused.code, PatchCode::NotNecessary);
    let options = CreateOptions { flags: flags::FAIL_IF_SAME_FILE, ..NATIVE };
    assert_eq!(code(&[(&rebased, &none)], &new, &options), Err(PatchCode::SameFile));
    assert_eq!(code(&[(&rebased, &none)], &new, &CreateOptions { profile: Profile::Raw, ..options }), Ok(()));
}

#[test]
fn a_rebased_old_image_gets_the_same_patch() {
    let none = Regions::default();
    let (rebased, original) = (file("t2_rebased_dll"), file("t2_dll"));
    let new = file("t1_dll");
    let made = round_trip(&[(&rebased, &none), (&original, &none)], &new, &NATIVE);
    assert_eq!(Patch::read(&made.patch).unwrap().header.olds.len(), 1, "one entry serves for both");
    assert_eq!(test(&made.patch, &rebased, IfNew::Copy), Ok(Outcome::Old(0)));
}

#[test]
fn old_files_that_are_the_new_file_have_no_stream() {
    let (old, new, none) = (file("txt_a"), file("txt_b"), Regions::default());
    let streams = |olds: &[(&[u8], &Regions)]| {
        let made = round_trip(olds, &new, &RAW);
        Patch::read(&made.patch).unwrap().header.olds.iter().map(|old| old.stream_len > 0).collect::<Vec<_>>()
    };
    assert_eq!(streams(&[(&new, &none)]), [false]);
    assert_eq!(streams(&[(&new, &none), (&old, &none), (&new, &none)]), [false, true]);
    assert_eq!(streams(&[(&old, &none), (&old, &none)]), [true]);
    // What differs in an ignored range only is one old file.
    let (mut other, ignore) = (old.clone(), regions(&[(10, 4)], &[]));
    other[11] ^= 0xFF;
    assert_eq!(streams(&[(&old, &ignore), (&other, &ignore)]), [true]);
    assert_eq!(streams(&[(&new, &regions(&[], &[(5, 5, 5)]))]), [false]);
    assert_eq!(streams(&[(&new, &regions(&[], &[(5, 5, 6)]))]), [true]);
    let fail = CreateOptions { flags: flags::FAIL_IF_SAME_FILE, ..RAW };
    assert_eq!(code(&[(&new, &none)], &new, &fail), Err(PatchCode::SameFile));
    assert_eq!(code(&[(&new, &none), (&new, &none)], &new, &fail), Ok(()));
}

#[test]
fn what_cannot_be_is_refused_with_its_code() {
    let (old, new) = (&file("txt_a")[..], &file("txt_b")[..]);
    let none = Regions::default();
    let ok = regions(&[(0, 30_000), (10, 5)], &[(10, 5, 30_095)]);
    assert_eq!(code(&[(old, &ok)], new, &FAST), Ok(()), "ranges may reach the end, and ignored ones may overlap");
    for (ignore, retain) in [
        (&[(29_999, 2)][..], &[][..]),
        (&[(u64::MAX, 2)], &[]),
        (&[], &[(29_999, 2, 0)]),
        (&[], &[(0, 2, 30_099)]),
        (&[], &[(0, 4, 0), (3, 4, 10)]),
        (&[], &[(0, 4, 0), (10, 4, 3)]),
        (&[(0, 1); 256], &[]),
    ] {
        let bad = regions(ignore, retain);
        assert_eq!(code(&[(old, &bad)], new, &FAST), Err(PatchCode::InvalidParameter), "{bad:?}");
    }
    let retain = regions(&[], &[(0, 4, 8)]);
    for other in [&none, &regions(&[], &[(0, 4, 9)]), &regions(&[], &[(0, 5, 8)])] {
        assert_eq!(code(&[(old, &retain), (old, other)], new, &FAST), Err(PatchCode::RetainRangesDiffer));
    }
    let elsewhere = regions(&[], &[(100, 4, 8)]);
    assert_eq!(code(&[(old, &retain), (old, &elsewhere)], new, &FAST), Ok(()));
    assert_eq!(code(&[], new, &FAST), Err(PatchCode::InvalidParameter));
    assert_eq!(code(&[(&b""[..], &none); 128], new, &FAST), Err(PatchCode::InvalidParameter));
    assert_eq!(code(&[(&b""[..], &none); 127], b"", &FAST), Ok(()));
    for bad in [
        CreateOptions { flags: flags::TIMESTAMP, ..FAST },
        CreateOptions { flags: 0x0200_0000, ..FAST },
        CreateOptions { ext: u32::MAX, ..FAST },
    ] {
        assert_eq!(code(&[(old, &none)], new, &bad), Err(PatchCode::InvalidParameter));
    }
    let fail = CreateOptions { flags: flags::FAIL_IF_BIGGER, ..FAST };
    assert_eq!(code(&[(old, &none)], new, &fail), Ok(()));
    assert_eq!(code(&[(b"", &none)], new, &fail), Err(PatchCode::BiggerThanCompressed));
}

#[test]
fn damaged_relocations_leave_rebasing_out() {
    let (mut old, new) = (file("t1_dll"), file("t2_dll"));
    // The table starts at the first block of .reloc: its last entry becomes a HIGHADJ without a second half.
    let at = old.windows(8).position(|bytes| bytes == b".reloc\0\0").unwrap();
    let raw = u32::from_le_bytes(old[at + 20..at + 24].try_into().unwrap()) as usize;
    let len = u32::from_le_bytes(old[raw + 4..raw + 8].try_into().unwrap()) as usize;
    old[raw + len - 1] = 0x40;
    // Only a table that is to be walked is damaged.
    let base = old.windows(4).position(|bytes| bytes == b"PE\0\0").unwrap() + 24 + 28;
    old[base + 3] ^= 0x10;
    let made = round_trip(&[(&old, &Regions::default())], &new, &NATIVE);
    assert_eq!(made.warnings, [Warning::RebaseLeftOut { old: 0 }]);
}

#[test]
fn windows_are_as_small_as_asked_and_as_large_as_needed() {
    let none = Regions::default();
    let (old, new) = (file("txt_big_a"), file("txt_big_b"));
    let made = round_trip(&[(&old, &none)], &new, &CreateOptions { max_window: Some(1), ..FAST });
    assert_eq!(Patch::read(&made.patch).unwrap().header.window.map(|window| window.log2()), Some(17));
    assert_eq!(made.warnings, [Warning::OldLargerThanWindow { old: 0, window_bytes: 1 << 17 }]);
    let made = round_trip(&[(&old, &none)], &new, &CreateOptions { max_window: Some(u32::MAX), ..FAST });
    assert_eq!(Patch::read(&made.patch).unwrap().header.window, None);
    let large = CreateOptions { flags: flags::USE_LZX_LARGE, ..FAST };
    let made = round_trip(&[(&old, &none)], &new, &large);
    assert!(!Patch::read(&made.patch).unwrap().header.has(flags::USE_LZX_LARGE), "8 MiB are enough");
    let mut old = vec![0; 9 << 20];
    old[8_900_000..8_900_000 + new.len()].copy_from_slice(&new);
    let made = round_trip(&[(&old, &none)], &new, &large);
    assert!(Patch::read(&made.patch).unwrap().header.has(flags::USE_LZX_LARGE));
    assert!(made.patch.len() < 400 && made.warnings.is_empty());
    assert_eq!(round_trip(&[(&old, &none)], &new, &FAST).warnings.len(), 1);
}
