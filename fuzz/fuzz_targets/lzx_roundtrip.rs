//! Any two files: what is encoded decodes, in any window, at any level, with and without translated calls.

#![no_main]

use libfuzzer_sys::fuzz_target;
use patchwright_formats::lzx::{E8, EncodeOptions, Level, Window, decode, encode};
use patchwright_fuzz::split;

fuzz_target!(|input: &[u8]| {
    let Some(([window, how], rest)) = input.split_first_chunk() else { return };
    let (old, new) = split(rest);
    // More than one chunk takes more than a fuzzer likes to send.
    let new = new.repeat(1 + usize::from(how % 16));
    let window = Window::new(17 + window % 9).expect("17 to 25");
    let size = u32::try_from(new.len()).expect("a short input");
    let level = if how & 0x10 == 0 { Level::Fast } else { Level::Best };
    let e8 = [E8::Never, E8::Always(size), E8::Always(size / 2), E8::IfSmaller(size)][usize::from(how >> 5 & 3)];
    let stream = encode(old, &new, window, &EncodeOptions { e8, level }).expect("not too large");
    assert_eq!(decode(&stream, old, new.len(), window).as_ref(), Ok(&new), "the new file comes back");
});
