//! Any two files: what is created applies, what is inverted applies back, by both methods, with the same bytes each time.

#![no_main]

use libfuzzer_sys::fuzz_target;
use patchwright_delta::{CoverLog, CreateOptions, apply, create_plain, invert};
use patchwright_fuzz::{Sink, split};

fuzz_target!(|input: &[u8]| {
    let (old, new) = split(input);
    // No memory at all chooses the method for files of any size.
    for options in [CreateOptions::default(), CreateOptions { max_memory_bytes: 0, ..CreateOptions::default() }] {
        let body = body(old, new, &options);
        assert_eq!(body, self::body(old, new, &options), "the same files give the same body");
        let mut log = CoverLog::new();
        let mut made = Sink::with_room(new.len());
        apply(&old, &body, new.len() as u64, &mut made, &mut |cover| log.push(cover)).expect("our own body applies");
        assert_eq!(made.bytes, new, "the new file comes back");

        let mut back = Vec::new();
        invert(&old, &new, log, &mut back).expect("covers of our own body");
        let mut made = Sink::with_room(old.len());
        apply(&new, &back, old.len() as u64, &mut made, &mut |_| ()).expect("our own inverted body applies");
        assert_eq!(made.bytes, old, "the old file comes back");
    }
});

fn body(old: &[u8], new: &[u8], options: &CreateOptions) -> Vec<u8> {
    let mut body = Vec::new();
    create_plain(&old, &new, options, &|_| (), &mut body).expect("memory is all that it needs");
    body
}
