//! Any hot part, any registry, any journal: read or refused; what is read has one spelling.

#![no_main]

use libfuzzer_sys::fuzz_target;
use patchwright_formats::hot::HotPart;
use patchwright_formats::hot::journal::Journal;
use patchwright_formats::hot::registry::{HEAD_BYTES, Registry};

fuzz_target!(|input: &[u8]| {
    if let Ok(part) = HotPart::decode(input) {
        assert_eq!(part.encode(), input, "a hot part has one spelling");
        assert!(part.body.len_bytes() < 1 << 30);
    }
    let _ = Registry::decode(input);
    let _ = Journal::decode(input);
    // With the right hash, the fuzzer gets past the first check.
    let mut bytes = input.to_vec();
    if let Some(rest) = bytes.get(HEAD_BYTES..) {
        let hash = *blake3::hash(rest).as_bytes();
        bytes[32..HEAD_BYTES].copy_from_slice(&hash);
        if let Ok(registry) = Registry::decode(&bytes) {
            assert_eq!(registry.encode(), bytes[..registry.encode().len()], "a registry has one spelling");
        }
        if let Ok(journal) = Journal::decode(&bytes) {
            assert_eq!(journal.encode(), bytes[..journal.encode().len()], "a journal has one spelling");
        }
    }
});
