//! The patch in `testdata/msp`, made by us, part by part: other tests, the guide and the fuzzer's seeds take it from there.

use std::fs;
use std::path::Path;

use patchwright_formats::pa19::{CreateOptions, OldInput, create, extract_header};
use patchwright_formats::{ByteRange, Regions, RetainRange};
use patchwright_msi::msp::Msp;
use patchwright_msi::msp::overview::{Header, Shipping, overview};

use crate::product::{bookkeeping, patch_with, product};

/// A cabinet of files as they are: one folder, one block, nothing compressed.
pub(crate) fn cabinet(files: &[(&str, &[u8])]) -> Vec<u8> {
    let block: Vec<u8> = files.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
    let len = |len: usize| u16::try_from(len).unwrap().to_le_bytes();
    let long = |len: usize| u32::try_from(len).unwrap().to_le_bytes();
    let entries: usize = files.iter().map(|(name, _)| 16 + name.len() + 1).sum();
    let (files_at, data_at) = (36 + 8, 36 + 8 + entries);
    let mut made = b"MSCF\0\0\0\0".to_vec();
    made.extend([long(data_at + 8 + block.len()), long(0), long(files_at), long(0)].concat());
    // Version 1.3, one folder, no flags, no set.
    made.extend([3, 1, 1, 0]);
    made.extend([len(files.len()), len(0), len(0), len(0)].concat());
    made.extend([&long(data_at)[..], &len(1), &len(0)].concat());
    let mut at = 0;
    for (name, bytes) in files {
        // 2026-11-20, noon; an archive.
        made.extend([long(bytes.len()), long(at)].concat());
        made.extend([len(0), 0x5d74_u16.to_le_bytes(), 0x6000_u16.to_le_bytes(), len(0x20)].concat());
        made.extend([name.as_bytes(), &[0]].concat());
        at += bytes.len();
    }
    made.extend([&long(0)[..], &len(block.len()), &len(block.len())].concat());
    made.extend(block);
    made
}

/// A delta of a small file from two old versions, which have a stamp to keep and bytes that mean nothing.
fn delta() -> Vec<u8> {
    let file = |len: usize| -> Vec<u8> { (0..=250).cycle().take(len).collect() };
    let regions = |old_offset| Regions {
        ignore: vec![ByteRange::new(16, 8)],
        retain: vec![RetainRange { old_offset, len: 12, new_offset: 120 }],
    };
    let (one, other, mut new) = (file(600), file(640), file(620));
    new[300..340].copy_from_slice(b"what is different in the new version ...");
    let (regions_of_one, regions_of_other) = (regions(100), regions(110));
    let olds =
        [OldInput { bytes: &one, regions: &regions_of_one }, OldInput { bytes: &other, regions: &regions_of_other }];
    create(&olds, &new, &CreateOptions::default()).unwrap().patch
}

/// The patch as bytes.
pub(crate) fn fixture() -> Vec<u8> {
    let delta = delta();
    let mut tables = bookkeeping();
    tables.deltas[0].header = extract_header(&delta).unwrap();
    tables.deltas[0].size = u32::try_from(delta.len()).unwrap();
    let (help, dll) = (vec![b'h'; 130], vec![b'd'; 77]);
    patch_with(&cabinet(&[("app.exe", &delta), ("help.txt", &help), ("new.dll", &dll)]), &tables)
}

#[test]
fn the_files_in_testdata_are_what_we_write() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/msp");
    for (name, made) in [
        ("app.msp", fixture()),
        ("app-1.0.msi", product("1.0.0").write().unwrap()),
        ("app-1.1.msi", product("1.1.0").write().unwrap()),
    ] {
        let path = folder.join(name);
        if std::env::var_os("PATCHWRIGHT_BLESS").is_some_and(|bless| bless == "1") {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, &made).unwrap();
        }
        assert!(
            fs::read(&path).unwrap_or_default() == made,
            "{name} is another: run cargo xtask bless if that is meant"
        );
    }
}

#[test]
fn a_patch_is_put_together_from_all_of_its_parts() {
    let mut msp = Msp::open(std::io::Cursor::new(fixture())).unwrap();
    let found = overview(&mut msp, Some(&product("1.0.0")));
    let lints: Vec<&str> = found.lints.iter().map(|lint| lint.code).collect();
    assert_eq!(lints, ["obsoletion-ignored", "not-optimised", "not-optimised"], "{:#?}", found.lints);
    let files: Vec<(&str, i32, Option<u64>)> =
        found.files.iter().map(|file| (file.file.as_str(), file.sequence, file.member_bytes)).collect();
    let delta = delta();
    assert_eq!(
        files,
        [("app.exe", 1000, Some(delta.len() as u64)), ("help.txt", 1001, Some(130)), ("new.dll", 1002, Some(77))]
    );
    assert!(
        found
            .files
            .iter()
            .all(|file| file.cabinet.as_deref() == Some("PCW_CAB_App") && file.transforms == ["#OldToNew"])
    );
    let Shipping::Delta { patch_bytes, vital: true, header: Header::Bytes(header) } = &found.files[0].shipping else {
        panic!("{:?}", found.files[0]);
    };
    assert_eq!((usize::try_from(*patch_bytes).unwrap(), header), (delta.len(), &extract_header(&delta).unwrap()));
    let against = found.against.unwrap();
    assert!(against.applies && against.listed, "{against:#?}");
    assert_eq!(against.version_after, "1.1.0");
    // What it leads to is not what it is for.
    let mut msp = Msp::open(std::io::Cursor::new(fixture())).unwrap();
    let against = overview(&mut msp, Some(&product("1.1.0"))).against.unwrap();
    let verdicts: Vec<(bool, usize)> =
        against.transforms.iter().map(|verdict| (verdict.matches, verdict.mismatches.len())).collect();
    assert_eq!(verdicts, [(false, 1), (true, 0)]);
    assert!(!against.applies, "keeping book is not enough");
}
