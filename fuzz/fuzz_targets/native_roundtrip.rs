//! Any old and new file: what the draft format makes of them leads from one to the other.

#![no_main]

use std::num::NonZero;

use libfuzzer_sys::fuzz_target;
use patchwright_delta::native::{apply, create};
use patchwright_fuzz::split;

fuzz_target!(|input: &[u8]| {
    let (old, new) = split(input);
    let mut body = Vec::new();
    create(old, new, &mut body).expect("any two files have a body");
    let mut made = Vec::new();
    apply(old, &body, new.len() as u64, NonZero::<usize>::MIN, &mut made, &mut |_| ()).expect("it was just made");
    assert!(made == new, "the new file comes back");
});
