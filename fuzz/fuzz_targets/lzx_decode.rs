//! Any reference and any stream: decoding ends with a new file of the stated length or with an error.
//!
//! What decodes as a part of a longer stream decodes by itself as well, to the same bytes.

#![no_main]

use std::ops::ControlFlow;

use libfuzzer_sys::fuzz_target;
use patchwright_formats::lzx::{Window, decode, decode_prefix};
use patchwright_fuzz::split;

fuzz_target!(|input: &[u8]| {
    // Window and length of the new file, then the reference, then the stream.
    let Some(([log2, low, high, more], rest)) = input.split_first_chunk() else { return };
    let window = Window::new(17 + log2 % 9).expect("17 to 25");
    let new_len = usize::from(*low) | usize::from(*high) << 8 | usize::from(more % 4) << 16;
    let (reference, stream) = split(rest);
    let mut told = 0;
    let made = decode_prefix(stream, reference, new_len, window, &mut |made| {
        assert!(made >= told && made <= new_len, "{made} after {told} of {new_len}");
        told = made;
        ControlFlow::Continue(())
    });
    match made {
        Ok((made, used)) => {
            assert_eq!(made.len(), new_len);
            assert_eq!(decode(&stream[..used], reference, new_len, window), Ok(made));
        }
        Err(error) => {
            assert!(error.offset <= stream.len() && error.produced <= new_len, "{error:?}");
            assert!(decode(stream, reference, new_len, window).is_err(), "refused as a part, not as a whole");
        }
    }
});
