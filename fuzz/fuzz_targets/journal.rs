//! Any journal: read or refused; what is read stays inside the folder and has one spelling.

#![no_main]

use libfuzzer_sys::fuzz_target;
use patchwright_formats::journal::{Journal, Step};

fuzz_target!(|input: &[u8]| {
    let _ = Journal::decode(input);
    // With the right hash at its end, the fuzzer gets past the first check.
    let bytes = [input, blake3::hash(input).as_bytes()].concat();
    let Ok(journal) = Journal::decode(&bytes) else { return };
    assert_eq!(journal.encode(), bytes, "a journal has one spelling");
    for step in &journal.steps {
        let (Step::Take { path, .. }
        | Step::RemoveFolder { path, .. }
        | Step::MakeFolder { path, .. }
        | Step::Put { path, .. }
        | Step::SetMode { path, .. }) = step;
        let plain = |name: &[u8]| !name.is_empty() && name != b"." && name != b"..";
        assert!(path.split(|byte| *byte == b'/').all(plain), "{}", path.escape_ascii());
    }
});
