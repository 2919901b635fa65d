//! Any two files as two builds of a program, and as a program and what it was linked from: the hot build ends, says the
//! same twice, and what it makes can be read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use patchwright_formats::hot::HotPart;
use patchwright_fuzz::split;
use patchwright_image::hot::{HotBuild, HotError, Linked, ObjectFile, build, build_linked};

fuzz_target!(|input: &[u8]| {
    let (one, other) = split(input);
    let made = checked(build(one, other));
    assert_eq!(made, checked(build(one, other)), "the same every time");
    checked(build(other, one));
    let objects = [ObjectFile { name: "a".to_owned(), data: one.to_vec() }];
    let linked = Linked { file: other, objects: &objects };
    checked(build_linked(linked, linked));
});

fn checked(made: Result<HotBuild, HotError>) -> Option<HotPart> {
    match made {
        Ok(made) => {
            assert!(HotPart::decode(&made.part.encode()).is_ok_and(|part| part == made.part));
            assert!(made.part.functions.iter().all(|function| !function.why.is_empty()));
            Some(made.part)
        }
        Err(HotError::Refused(objections)) => {
            assert!(!objections.is_empty(), "a refusal has a reason");
            None
        }
        Err(HotError::Image { .. } | HotError::NothingChanged) => None,
    }
}
