//! Any old file and any body: apply ends with a new file of the stated length or with an error, and writes no more.

#![no_main]

use libfuzzer_sys::fuzz_target;
use patchwright_delta::{apply, describe};
use patchwright_fuzz::{Sink, split};

/// More than any body of a few kilobytes should be let make.
const ROOM: usize = 4 << 20;

fuzz_target!(|input: &[u8]| {
    let (old, body) = split(input);
    let Ok(info) = describe(&body) else {
        // What cannot be described cannot be applied either; it must be refused without a panic.
        let made = apply(&old, &body, 0, &mut Sink::with_room(ROOM), &mut |_| ());
        assert!(made.is_err(), "a body that describe refuses");
        return;
    };
    // An old file of the length that the body wants lets the fuzzer past the first check.
    let mut old = old.to_vec();
    if let Ok(len @ ..=ROOM) = usize::try_from(info.header.old_len) {
        old.resize(len, 0);
    }
    let new_len = info.header.new_len;
    let mut sink = Sink::with_room(ROOM);
    let mut covered = 0;
    let made = apply(&old, &body, new_len, &mut sink, &mut |cover| {
        assert!(cover.len > 0, "{cover:?}");
        assert!(cover.new_offset >= covered, "covers come in the order of the new file: {cover:?} after {covered}");
        covered = cover.new_offset.checked_add(cover.len).expect("covers lie in the new file");
        assert!(covered <= new_len, "{cover:?} ends after {new_len}");
        let old_end = cover.old_offset.checked_add(cover.len).expect("covers lie in the old file");
        assert!(old_end <= info.header.old_len, "{cover:?} ends after {}", info.header.old_len);
    });
    let written = sink.bytes.len() as u64;
    assert!(written <= new_len, "{written} bytes for a file of {new_len}");
    if made.is_ok() {
        assert_eq!(written, new_len, "a body that applies makes the whole file");
    }
});
