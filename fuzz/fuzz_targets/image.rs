//! Any file as an image, an object or an archive, with any other as its program database: the audit ends, says the same
//! twice, and never speaks of what is not there.

#![no_main]

use libfuzzer_sys::fuzz_target;
use patchwright_fuzz::split;
use patchwright_image::{Address, Companions, Content, Image, PdbReference, audit, findings, is_archive, members};

fuzz_target!(|input: &[u8]| {
    let (pdb, file) = split(input);
    let _: Option<PdbReference> = PdbReference::of(file);
    if is_archive(file) {
        let Ok(members) = members(file) else { return };
        for member in members {
            if let Content::Object(bytes) = member.content {
                check(bytes, None);
            }
        }
    } else {
        check(file, None);
        check(file, Some(pdb));
    }
});

fn check(file: &[u8], pdb: Option<&[u8]>) {
    let Ok(image) = Image::read_with(file, Companions { pdb }) else { return };
    let audited = audit(&image, None);
    assert_eq!(audited.len(), image.functions().len());
    for one in &audited {
        image.place(one.function.address);
        image.bytes(one.function.address, Address(u64::MAX));
        // What is called a pad is in front of the entry.
        let pad = one.site.pad_bytes as u64;
        assert!(one.function.address.0 >= pad);
        assert!(one.site.address >= one.function.address);
        one.class();
    }
    let starts: Vec<_> = image.functions().iter().map(|function| function.address).collect();
    assert!(starts.is_sorted(), "functions are sorted");
    findings(&image);
}
