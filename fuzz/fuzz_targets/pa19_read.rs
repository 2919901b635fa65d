//! Any patch on any old file: apply and test end with a new file that has its CRC, or with an error.

#![no_main]

use libfuzzer_sys::fuzz_target;
use patchwright_formats::pa19::{IfNew, Outcome, Patch, apply, extract_header, test};
use patchwright_fuzz::split;

/// More than any patch of a few kilobytes should be let make.
const ROOM: u32 = 4 << 20;

fuzz_target!(|input: &[u8]| {
    let (old, patch) = split(input);
    // A fuzzer does not find a CRC: the trailer is made right.
    let body = &patch[..patch.len().saturating_sub(4)];
    let patch = [body, &(!crc32fast::hash(body)).to_le_bytes()].concat();
    let Ok(read) = Patch::read(&patch) else {
        assert!(apply(&patch, old, IfNew::Copy).is_err(), "a patch that cannot be read");
        return;
    };
    let header = extract_header(&patch).expect("what can be read has a header");
    assert_eq!(Patch::read(&header).expect("a header is a patch").header, read.header);
    if read.header.new_len > ROOM {
        return;
    }
    let tested = test(&patch, old, IfNew::Copy);
    if let Ok(made) = apply(&patch, old, IfNew::Copy) {
        assert_eq!(Ok(made.outcome), tested);
        assert_eq!(made.new.len(), read.header.new_len as usize);
        if let Outcome::Old(index) = made.outcome {
            assert_eq!(old.len(), read.header.olds[index].len as usize);
        }
    }
});
