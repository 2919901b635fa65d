//! Any bytes as chunks of a cabinet's folder: each makes what was asked for, or is an error and the end.

#![no_main]

use libfuzzer_sys::fuzz_target;
use patchwright_formats::lzx::{CHUNK_LEN, Window, cabinet::Decoder};

fuzz_target!(|input: &[u8]| {
    let Some(([window, rest_len], mut rest)) = input.split_first_chunk::<2>() else { return };
    let Some(window) = Window::of_cabinet(15 + window % 7) else { return };
    let last = usize::from(*rest_len) * 128;
    let mut decoder = Decoder::new(window);
    while let Some((len, next)) = rest.split_first_chunk::<2>() {
        let (chunk, next) = next.split_at(usize::from(u16::from_le_bytes(*len)).min(next.len()));
        rest = next;
        let want = if rest.len() < 2 { last } else { CHUNK_LEN };
        match decoder.chunk(chunk, want) {
            Ok(made) => assert_eq!(made.len(), want),
            Err(error) => {
                assert!(!error.to_string().is_empty());
                assert!(decoder.chunk(chunk, 1).is_err(), "an error is the end");
                return;
            }
        }
    }
});
