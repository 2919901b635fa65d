//! Any old file and any body of version 2: apply ends with a new file of the stated length or with an error.

#![no_main]

use std::num::NonZero;

use libfuzzer_sys::fuzz_target;
use patchwright_delta::native::{apply, stated_lengths};
use patchwright_fuzz::{Sink, split};

/// More than any body of a few kilobytes should be let make.
const ROOM: usize = 1 << 20;

fuzz_target!(|input: &[u8]| {
    let (old, body) = split(input);
    let Ok((old_len, new_len)) = stated_lengths(body) else {
        let made = apply(old, body, 0, NonZero::<usize>::MIN, &mut Sink::with_room(0), &mut |_| ());
        assert!(made.is_err(), "a body without a header");
        return;
    };
    // An old file of the length that the body wants lets the fuzzer past the first check.
    let mut old = old.to_vec();
    match usize::try_from(old_len) {
        Ok(len @ ..=ROOM) if new_len <= ROOM as u64 => old.resize(len, 0),
        _ => return,
    }
    let mut sink = Sink::with_room(ROOM);
    let mut covered = 0;
    let made = apply(&old, body, new_len, NonZero::<usize>::MIN, &mut sink, &mut |cover| {
        assert!(cover.len > 0 && cover.new_offset >= covered, "{cover:?} after {covered}");
        covered = cover.new_offset.checked_add(cover.len).expect("covers lie in the new file");
        assert!(covered <= new_len, "{cover:?} ends after {new_len}");
        let old_end = cover.old_offset.checked_add(cover.len).expect("covers lie in the old file");
        assert!(old_end <= old_len, "{cover:?} ends after {old_len}");
    });
    if made.is_ok() {
        assert_eq!(sink.bytes.len() as u64, new_len, "a body that applies makes the whole file");
    }
});
