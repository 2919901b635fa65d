//! Any old and new file: what every profile makes of them leads from one to the other.

#![no_main]

use std::num::NonZero;

use libfuzzer_sys::fuzz_target;
use patchwright_delta::native::{Options, Profile, apply, create};
use patchwright_fuzz::split;

fuzz_target!(|input: &[u8]| {
    let (old, new) = split(input);
    for profile in Profile::ALL {
        let options = Options { profile, ..Options::default() };
        let mut body = Vec::new();
        create(old, new, &options, &mut body).expect("any two files have a body");
        let mut made = Vec::new();
        apply(old, &body, new.len() as u64, NonZero::<usize>::MIN, &mut made, &mut |_| ()).expect("it was just made");
        assert!(made == new, "the new file comes back");
    }
});
